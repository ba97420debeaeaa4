/*
 * engine/reader.c - versions as readers see them.
 *
 * The newest durable version lies in one of two places of struct published, in turn; `current` says
 * which, and its number. A reader
 *   1. reads `current`,
 *   2. writes the number into its slot,
 *   3. copies the version,
 *   4. reads `current` again and starts over if it has moved.
 * If it has not, then whoever looks at the slots after a later version was published finds the
 *      number there (all these accesses are sequentially consistent), and the copy is of one version:
 *      the other place is the one being written meanwhile. Nobody waits.
 *
 * A page that transaction V dropped is used again only when V is durable and every slot is empty or
 * holds V or later (readers_oldest, pages_reclaim). In the same way a reader says how many checkpoints
 * had ended when it began: memory of a page that went to the file with checkpoint C is given back when
 * every slot is empty or says C or more, for whoever begins later does not find it.
 */
#include "base/crc.h"
#include "engine/private.h"

#define CACHE_LINE     64u
#define PREFETCH_BYTES 512u /* of one value; the processor follows by itself then */

void version_publish(struct published *p, const struct version *v)
{
    uint64_t words[VERSION_WORDS];
    uint64_t current = atomic_load_explicit(&p->current, memory_order_relaxed);
    unsigned place = (current & 1) ^ 1;

    memcpy(words, v, sizeof words);
    /* Release and acquire: whoever sees a word written here also sees that `current` had moved on
     * from this place before. */
    for (size_t i = 0; i < VERSION_WORDS; i++)
        atomic_store_explicit(&p->words[place][i], words[i], memory_order_release);
    atomic_store(&p->current, v->txn << 1 | place);
}

static void copy_words(const struct published *p, uint64_t current, struct version *out)
{
    uint64_t words[VERSION_WORDS];

    for (size_t i = 0; i < VERSION_WORDS; i++)
        words[i] = atomic_load_explicit(&p->words[current & 1][i], memory_order_acquire);
    /* cppcheck-suppress uninitvar ; the loop has set all of them */
    memcpy(out, words, sizeof words);
}

void version_read(const struct published *p, struct version *out)
{
    uint64_t current;

    do {
        current = atomic_load(&p->current);
        copy_words(p, current, out);
    } while (atomic_load(&p->current) != current);
}

uint64_t version_durable(const struct published *p)
{
    return atomic_load(&p->current) >> 1;
}

void reader_init(struct engine_reader *r, struct engine *e)
{
    memset(r, 0, sizeof *r);
    r->view.engine = e;
    r->view.pages = &e->pages;
    pthread_mutex_lock(&e->readers_mutex);
    list_push(&e->readers, &r->node);
    pthread_mutex_unlock(&e->readers_mutex);
}

void reader_fini(struct engine_reader *r)
{
    struct engine *e = r->view.engine;

    CHECK(atomic_load(&r->held) == 0);
    pthread_mutex_lock(&e->readers_mutex);
    list_remove(&r->node);
    pthread_mutex_unlock(&e->readers_mutex);
}

enum err engine_reader_new(struct engine *e, struct engine_reader **out)
{
    struct engine_reader *r = mem_aligned(_Alignof(struct engine_reader), sizeof *r);

    if (r == NULL)
        return ERR_NOMEM;
    reader_init(r, e);
    *out = r;
    return OK;
}

void engine_reader_free(struct engine_reader *r)
{
    if (r == NULL)
        return;
    reader_fini(r);
    free(r);
}

void snap_hold(struct engine_reader *r, struct version *out)
{
    const struct published *p = &r->view.engine->published;
    uint64_t current;

    CHECK(atomic_load_explicit(&r->held, memory_order_relaxed) == 0);
    do {
        atomic_store(&r->checkpoint, atomic_load(&r->view.engine->index.checkpoints));
        current = atomic_load(&p->current);
        atomic_store(&r->held, (current >> 1) + 1);
        copy_words(p, current, out);
    } while (atomic_load(&p->current) != current);
    r->view.version = out->txn;
    r->view.root = out->root;
    r->view.mark = out->mark;
}

const struct engine_view *engine_snap_begin(struct engine_reader *r)
{
    struct version v;

    snap_hold(r, &v);
    return &r->view;
}

void engine_snap_end(struct engine_reader *r)
{
    atomic_store_explicit(&r->held, 0, memory_order_release);
}

struct oldest readers_oldest(struct engine *e)
{
    struct oldest oldest = {UINT64_MAX, UINT64_MAX};

    pthread_mutex_lock(&e->readers_mutex);
    LIST_EACH(&e->readers, it)
    {
        struct engine_reader *r = LIST_ENTRY(it, struct engine_reader, node);
        uint64_t held = atomic_load(&r->held);
        if (held == 0)
            continue;
        oldest.version = MIN_OF(oldest.version, held - 1);
        oldest.checkpoint = MIN_OF(oldest.checkpoint, atomic_load(&r->checkpoint));
    }
    pthread_mutex_unlock(&e->readers_mutex);
    return oldest;
}

uint64_t engine_view_version(const struct engine_view *v)
{
    return v->version;
}

uint64_t engine_view_mark(const struct engine_view *v)
{
    return v->mark;
}

/* The bytes behind a reference: n of them from `off`, or NULL when the segment does not have them.
 */
static const uint8_t *value_bytes(const struct engine_view *v, const struct value_ref *ref)
{
    uint64_t n = (uint64_t)ref->bytes + 4;
    const struct segment *seg;
    const uint8_t *p;

    if (v->writer) {
        p = pending_find(&v->engine->writer.pending, LOGPOS(ref->seg, ref->off), (size_t)n);
        if (p != NULL)
            return p;
    }
    seg = log_segment(&v->engine->log, ref->seg);
    if (seg == NULL || ref->off + n > atomic_load_explicit(&seg->bytes, memory_order_acquire))
        return NULL;
    p = atomic_load_explicit(&seg->map, memory_order_acquire);
    return p == NULL ? NULL : p + ref->off;
}

/* Values of neighbouring keys lie scattered over the log: whoever walks over them waits for memory at
 * each one, unless it was asked for ahead. */
void view_prefetch(const struct engine_view *v, const uint8_t *body)
{
    const struct segment *seg;
    const uint8_t *map;
    struct value_ref ref;

    body_decode(body, &ref);
    seg = ref.kind & VALUE_INLINE ? NULL : log_segment(&v->engine->log, ref.seg);
    map = seg == NULL ? NULL : atomic_load_explicit(&seg->map, memory_order_acquire);
    if (map == NULL)
        return;
    for (uint32_t at = 0; at < MIN_OF(ref.bytes + 4, PREFETCH_BYTES); at += CACHE_LINE)
        __builtin_prefetch(map + ref.off + at);
}

enum err view_value(const struct engine_view *v, const uint8_t *body, str *out)
{
    struct value_ref ref;
    const uint8_t *p;
    uint32_t crc;

    body_decode(body, &ref);
    if (ref.kind & VALUE_INLINE) {
        *out = (str){(const char *)ref.data, ref.bytes};
        return OK;
    }
    p = value_bytes(v, &ref);
    if (p == NULL)
        return ERR_CORRUPT;
    memcpy(&crc, p, 4);
    if (crc32c(0, p + 4, ref.bytes) != crc)
        return ERR_CORRUPT;
    *out = (str){(const char *)p + 4, ref.bytes};
    return OK;
}

enum err engine_get(const struct engine_view *v, str key, str *value)
{
    const uint8_t *body;
    enum err err = tree_find(v->pages, v->root, key, &body);

    return err == OK ? view_value(v, body, value) : err;
}
