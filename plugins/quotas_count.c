/*
 * plugins/quotas_count.c - counting everything, where the notes are not right: the plugin was off while
 * objects were changed, or was never on.
 *
 * At the start, when nobody else writes: so one snapshot stays true, however many transactions the
 * sums take. They are not believed before the last one, which settles them, so a start that was cut
 * short is followed by another count.
 */
#include "base/clock.h"
#include "base/log.h"
#include "plugins/private.h"
#include "plugins/quotas.h"

#define STEP_NOTES 1000

struct count {
    struct store_thread *reading, *writing; /* of their own: a snapshot and a transaction at once */
    struct arena read_arena, write_arena;
    struct store_session *from, *to;
    struct store_walk *walk;
    unsigned notes; /* in this transaction */
    uint64_t objects, bytes;
};

static enum err turn_over(struct count *n)
{
    enum err e = store_commit_wait(n->to);
    n->to = NULL;
    n->notes = 0;
    arena_reset(&n->write_arena);
    return e == OK ? store_write_wait(n->writing, &n->write_arena, &n->to) : e;
}

static enum err add(struct count *n, str uri, const struct sums *what)
{
    struct sums sums;
    enum err e = quotas_sums_get(n->to, &n->write_arena, uri, &sums);
    if (e != OK)
        return e;
    sums.items += what->items;
    sums.bytes += what->bytes;
    e = quotas_sums_put(n->to, uri, &sums);
    return e == OK && ++n->notes == STEP_NOTES ? turn_over(n) : e;
}

/* What an object is itself, where objects of its kind have notes. */
static enum err add_own(struct count *n, struct store_list_id list, enum api_kind kind,
                        const struct store_object *o, uint64_t size)
{
    if (kind != KIND_BUCKET && kind != KIND_COLLECTION)
        return OK;
    str plural = kind == KIND_BUCKET ? STR("/buckets/") : STR("/collections/");
    str uri = ARENA_JOIN(&n->write_arena, list.parent, plural, o->id);
    return str_none(uri) ? ERR_NOMEM : add(n, uri, &(struct sums){0, size});
}

static enum err count_list(struct count *n, struct store_list_id list, enum api_kind kind)
{
    struct sums sums = {0};
    struct store_object o;
    enum err e = store_walk_list(n->walk, list);
    while (e == OK) {
        e = store_walk_next(n->walk, &o);
        if (e != OK)
            break;
        uint64_t size = quotas_size(o.data);
        sums.items += kind == KIND_RECORD;
        sums.bytes += size;
        n->objects++;
        e = add_own(n, list, kind, &o, size);
    }
    if (e != ERR_NOTFOUND)
        return e;
    n->bytes += sums.bytes;
    e = OK;
    if (kind == KIND_RECORD)
        e = add(n, list.parent, &sums);
    return e == OK && kind != KIND_BUCKET ? add(n, quotas_bucket_uri(list.parent), &sums) : e;
}

static enum err count_lists(struct count *n)
{
    static const str resources[] = {
        [KIND_BUCKET] = STR_INIT("bucket"),
        [KIND_GROUP] = STR_INIT("group"),
        [KIND_COLLECTION] = STR_INIT("collection"),
        [KIND_RECORD] = STR_INIT("record"),
    };
    struct store_list_id list;
    enum err e = store_walk_new(n->from, &n->read_arena, NULL, &n->walk);
    for (uint32_t number = 1; e == OK && number != 0; number++) {
        e = store_list_next(n->from, &number, &list);
        for (unsigned k = 0; e == OK && k < ARRAY_LEN(resources); k++)
            if (str_eq(list.resource, resources[k]))
                e = count_list(n, list, (enum api_kind)k);
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err count_into(struct count *n)
{
    enum err e = store_read_begin(n->reading, &n->read_arena, &n->from);
    if (e != OK)
        return e;
    e = store_write_wait(n->writing, &n->write_arena, &n->to);
    if (e == OK)
        e = count_lists(n);
    if (e == OK)
        e = store_notes_settle(n->to, QUOTAS_NOTE);
    store_read_end(n->from);
    if (e == OK)
        return store_commit_wait(n->to);
    if (n->to)
        store_abort(n->to);
    return e;
}

static enum err count_everything(struct store *store, struct store_thread *thread)
{
    struct count n = {.writing = thread};
    uint64_t begun = clock_mono_ms();
    arena_init(&n.read_arena, NULL, 0, NULL, 16 * MIB);
    arena_init(&n.write_arena, NULL, 0, NULL, 16 * MIB);
    enum err e = store_thread_new(store, &n.reading);
    if (e == OK)
        e = count_into(&n);
    store_thread_free(n.reading);
    arena_fini(&n.read_arena);
    arena_fini(&n.write_arena);
    if (e == OK && n.objects > 0)
        log_event(LOG_INFO, "quotas_counted", "objects=%llu bytes=%llu ms=%llu",
                  (unsigned long long)n.objects, (unsigned long long)n.bytes,
                  (unsigned long long)(clock_mono_ms() - begun));
    return e;
}

enum err quotas_make_current(struct store *store, struct err_detail *d)
{
    struct store_thread *thread;
    bool current = false;
    enum err e = store_thread_new(store, &thread);
    if (e != OK)
        return e;
    e = store_notes_claim(thread, QUOTAS_NOTE, &current);
    if (e == OK && !current)
        e = count_everything(store, thread);
    store_thread_free(thread);
    return e == OK ? OK
                   : err_set(d, e, 0, "kinto.plugins.quotas: what is there cannot be counted: %s",
                             err_text(e));
}
