/*
 * engine/check.c - log and index held against each other.
 *
 *     lock -> the index file by itself (inspect.c) -> the log, frame by frame (walk.c), replayed into
 *     a second index -> where the first one ends, both trees are walked in step -> the rest of the log
 *
 * The second index is made as recovery makes one, from a file without a name when it outgrows the
 * cache, so that memory is bounded in the same way. Nothing that has a name is written but LOCK.
 *
 * Where pages of the first one are damaged there is no walk in step: then each key of the leaves that
 * are right is looked for in the second.
 *
 * When the log is damaged the replay goes on with the whole transactions behind: then the comparison
 * tells what a repair would lose, and the second index is what it would keep (repair.c).
 */
#include <errno.h>

#include "base/clock.h"
#include "engine/private.h"

#define TELL_MAX        5 /* keys that differ, one by one */
#define PROGRESS_FRAMES 256

/* ---- two trees in step ----------------------------------------------------------------------- */

struct side {
    struct engine_view view;
    struct engine_cursor at;
    bool there;
};

static void side_begin(struct side *s, struct engine *e, struct page_ref root)
{
    s->view = (struct engine_view){.pages = &e->pages, .engine = e, .root = root};
    engine_cursor_init(&s->at, &s->view, STR(""));
    s->there = engine_cursor_first(&s->at);
}

static const uint8_t *side_body(const struct side *s)
{
    return node_cell(s->at.path[s->at.depth].page, s->at.path[s->at.depth].slot).body;
}

static bool same_value(const uint8_t *a, const uint8_t *b)
{
    struct value_ref x, y;

    body_decode(a, &x);
    body_decode(b, &y);
    if (x.bytes != y.bytes || x.kind != y.kind || x.seg != y.seg)
        return false;
    return x.kind & VALUE_INLINE ? memcmp(x.data, y.data, x.bytes) == 0 : x.off == y.off;
}

struct difference {
    uint64_t missing, changed, extra; /* in the index file, beside the log */
};

/* Keys have any bytes; those that print are shown. */
static const char *show(str key, char out[64])
{
    size_t n = MIN_OF(key.n, (size_t)60);

    for (size_t i = 0; i < n; i++)
        out[i] = key.p[i] >= ' ' && key.p[i] <= '~' ? key.p[i] : '.';
    memcpy(out + n, key.n > n ? "..." : "", key.n > n ? 4 : 1);
    return out;
}

/* With the log damaged, the index file is not to blame. */
static void tell_key(const struct check *c, const struct difference *d, struct side *s,
                     const char *what)
{
    char text[64];

    if (c->found.r->log_problems > 0 || d->missing + d->changed + d->extra > TELL_MAX)
        return;
    finding_add(&c->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_PAGE,
                ((const struct page *)s->at.path[s->at.depth].page)->pgno, "key \"%s\" %s",
                show(engine_cursor_key(&s->at), text), what);
}

/* The lower of both keys, or both when they are the same. */
static void step(const struct check *c, struct side *filed, struct side *made, struct difference *d)
{
    int order = filed->there - made->there;

    if (order == 0)
        order = -str_cmp(engine_cursor_key(&filed->at), engine_cursor_key(&made->at));
    if (order == 0 && !same_value(side_body(filed), side_body(made))) {
        d->changed++;
        tell_key(c, d, filed, "has another value than the log says");
    } else if (order > 0) {
        d->extra++;
        tell_key(c, d, filed, "is not there by the log");
    } else if (order < 0) {
        d->missing++;
    }
    if (order >= 0)
        filed->there = engine_cursor_next(&filed->at);
    if (order <= 0)
        made->there = engine_cursor_next(&made->at);
}

static enum err cannot_read_back(const struct check *c)
{
    return err_set(c->detail, ERR_IO, 0, "%s: the file of the check cannot be read back", c->dir);
}

static enum err walk_both(const struct check *c, struct difference *d)
{
    struct side filed, made;

    side_begin(&filed, c->filed, c->index.content.root.root);
    side_begin(&made, c->made, c->made->writer.tree.root);
    while (filed.there || made.there)
        step(c, &filed, &made, d);
    if (engine_cursor_err(&made.at) != OK)
        return cannot_read_back(c);
    if (engine_cursor_err(&filed.at) != OK)
        finding_add(&c->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_FILE, 0,
                    "a page changed while it was looked at");
    return OK;
}

/* ---- the leaves that are left ---------------------------------------------------------------- */

static enum err look_for_key(const struct check *c, const struct page *leaf, unsigned slot,
                             struct difference *d)
{
    uint8_t key[ENGINE_MAX_KEY_BYTES];
    str k = {(char *)key, node_key(leaf, slot, key)};
    const uint8_t *body;
    enum err err = tree_find(&c->made->pages, c->made->writer.tree.root, k, &body);

    c->found.r->filed_keys++;
    if (err == ERR_NOTFOUND)
        d->extra++;
    else if (err != OK)
        return cannot_read_back(c);
    else if (!same_value(node_cell(leaf, slot).body, body))
        d->changed++;
    return OK;
}

static enum err look_for_keys(const struct check *c, struct difference *d)
{
    const struct bits *leaves = &c->index.leaves;
    enum err err = OK;

    for (uint32_t n = PAGE_FIRST; err == OK && n < leaves->words * 64; n++) {
        const struct page *leaf = bits_get(leaves, n) ? page_peek(&c->filed->pages, n) : NULL;
        for (unsigned i = 0; leaf != NULL && err == OK && i < leaf->count; i++)
            err = look_for_key(c, leaf, i, d);
    }
    return err;
}

/* ---- both indexes ---------------------------------------------------------------------------- */

static void compare_sums(const struct check *c)
{
    const struct version *v = &c->index.v;
    const struct writer *w = &c->made->writer;
    uint32_t n, first = c->index.content.root.first;
    const struct books_segment *books = index_segments(&c->index.content, &n);

    if (w->tree.keys != v->keys || w->live_value_bytes != v->live_value_bytes ||
        w->live_log_bytes != v->live_log_bytes || w->now.first != v->first)
        finding_add(&c->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_PAGE,
                    c->index.content.root.seq % 2, "the root's sums are not those of the log");
    for (uint32_t i = 0; i < n; i++) {
        const struct segment *seg = log_segment(&c->made->log, first + i);
        uint64_t cells = seg == NULL ? 0 : seg->cells, live = seg == NULL ? 0 : seg->live_bytes;
        if (cells != books[i].cells || live != books[i].live_bytes)
            finding_add(&c->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_PAGE,
                        c->index.content.root.books,
                        "the books' sums of segment %08x are not those of the log", first + i);
    }
}

/* The replay has come to where the index file ends. */
static enum err compare(struct check *c)
{
    struct engine_check_report *r = c->found.r;
    struct difference d = {0};
    bool blame = r->log_problems == 0;
    enum err err;

    c->compared = true;
    err = c->index.whole ? walk_both(c, &d) : look_for_keys(c, &d);
    if (err != OK)
        return err;
    if (blame && d.missing + d.changed + d.extra > 0)
        finding_add(&c->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_FILE, 0,
                    "beside the log: %llu keys are missing, %llu have another value, %llu are not "
                    "of the log",
                    (unsigned long long)d.missing, (unsigned long long)d.changed,
                    (unsigned long long)d.extra);
    if (blame && c->index.whole)
        compare_sums(c);
    r->keys_known = c->index.whole;
    if (c->index.whole)
        r->filed_keys = c->index.v.keys;
    r->lost_keys = d.changed + d.extra;
    r->extra_keys = d.extra;
    r->back_keys = d.missing;
    return OK;
}

/* ---- the log --------------------------------------------------------------------------------- */

static bool has_index(const struct check *c)
{
    return c->index.usable;
}

/* A frame behind the last that the index knows: now both show the same, or never. */
static enum err compare_before(struct check *c)
{
    if (c->compared || !has_index(c) || c->walk.h.txn <= c->index.v.txn)
        return OK;
    return compare(c);
}

/* The last frame of the index is the one that it names, where it says. */
static void look_for_last(struct check *c)
{
    const struct index_root *r = &c->index.content.root;
    const struct log_walk *w = &c->walk;

    if (!has_index(c) || w->h.txn != r->txn)
        return;
    c->last_seen = LOGPOS(w->f.number, w->f.at) == r->last && w->h.head_crc == r->link &&
                   (POS_SEG(r->tail) > w->f.number ||
                    r->tail == LOGPOS(w->f.number, w->f.at + FRAME_HEADER_BYTES + w->h.bytes));
}

/* Places in the table of segments, also for those that are missing. */
static enum err need_segments(struct check *c)
{
    struct log *log = &c->made->log;
    uint32_t number = c->walk.f.number;
    enum err err = OK;

    for (; err == OK && c->needed <= number; c->needed++)
        err = log_segment_need(log, c->needed);
    return err;
}

/* Where transactions are missing before it, what they took out of the segment may still be there. */
static void look_for_use(const struct check *c, uint64_t first)
{
    char name[16];

    if (c->found.r->log_problems > 0 || !replay_gave_up(c->made, first))
        return;
    snprintf(name, sizeof name, "%08x.log", c->walk.f.number);
    finding_add(&c->found, FINDING_LOG, name, ENGINE_AT_OFFSET, c->walk.f.at, REPLAY_GAVE_UP);
}

static enum err replay(struct check *c)
{
    struct frames behind = c->walk.f;
    uint64_t first = c->made->writer.now.first;
    enum err err = need_segments(c);

    if (err == OK)
        err = replay_frame(c->made, &c->walk.f, &c->walk.h);
    if (err != OK)
        return err;
    look_for_use(c, first);
    frames_step(&behind, &c->walk.h);
    if (checkpoint_pays(c->made) && c->made->index.fd < 0)
        err = index_create_unnamed(c->made, c->detail);
    return err == OK ? replay_relieve(c->made, &behind) : err;
}

static void progress(const struct check *c, bool end)
{
    const struct engine_check_options *o = c->found.o;
    const struct log_walk *w = &c->walk;

    if (o == NULL || o->progress == NULL || (!end && c->found.r->txns % PROGRESS_FRAMES != 0))
        return;
    o->progress(o->arg, end ? w->total : MIN_OF(w->done + w->f.at, w->total), w->total);
}

static void log_begins(struct check *c)
{
    uint32_t first = c->walk.first < c->names.n ? c->names.number[c->walk.first] : 1;

    if (has_index(c))
        first = MIN_OF(first, c->index.content.root.first);
    c->needed = c->made->log.first = first;
    c->made->writer.now.first = first;
}

static enum err read_log(struct check *c)
{
    enum err err = walk_begin(&c->walk, c->dir, &c->names, has_index(c) ? &c->index.content : NULL,
                              &c->found, c->detail);

    log_begins(c);
    while (err == OK) {
        err = walk_next(&c->walk);
        if (err == OK)
            err = compare_before(c);
        if (err == OK)
            err = replay(c);
        if (err == OK)
            look_for_last(c);
        progress(c, err == ERR_NOTFOUND);
    }
    return err == ERR_NOTFOUND ? OK : err;
}

/* The index file ends with the log, or the log before it. */
static enum err finish(struct check *c)
{
    struct engine_check_report *r = c->found.r;

    r->keys = c->made->writer.tree.keys;
    if (!has_index(c))
        return OK;
    if (r->log_problems == 0 && !c->last_seen && c->index.content.root.last != 0)
        finding_add(&c->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_PAGE,
                    c->index.content.root.seq % 2, "it does not end where a frame of the log does");
    return c->compared ? OK : compare(c);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static void note_dir(void *arg, const char *name)
{
    (void)arg;
    (void)name;
}

/* A repair that was interrupted comes first. */
static enum err after_repair(struct check *c, bool may_write)
{
    bool pending = false;
    enum err err;

    if (may_write)
        return repair_finish(c->dir, c->detail);
    err = repair_pending(c->dir, &pending, c->detail);
    if (err == OK && pending)
        return err_set(c->detail, ERR_AGAIN, 0,
                       "%s: a repair was interrupted, which the next start, or the next repair, "
                       "brings to its end",
                       c->dir);
    return err;
}

static enum err begin(struct check *c, bool may_write)
{
    const struct engine_check_options *o = c->found.o;
    struct engine_options eo = {.dir = c->dir, .cache_bytes = o == NULL ? 0 : o->cache_bytes};
    enum err err;

    if (c->dir[0] == 0 || strlen(c->dir) > LOG_PATH_MAX - 128)
        return err_set(c->detail, ERR_LIMIT, 0,
                       "the name of the data directory is empty or too long");
    if (os()->list_dir(c->dir, note_dir, NULL) != 0)
        return err_set(c->detail, err_from_errno(errno), errno, "%s", c->dir);
    err = dir_lock(c->dir, c->dir, 0, &c->lock_fd, c->detail);
    if (err == OK)
        err = after_repair(c, may_write);
    if (err == OK)
        err = names_list(c->dir, &c->names, c->detail);
    if (err == OK)
        err = engine_bare(&c->filed, &eo, c->detail);
    if (err == OK)
        err = engine_bare(&c->made, &eo, c->detail);
    if (err == OK)
        c->made->writer.tree.txn = 1;
    return err;
}

enum err check_run(struct check *c, const char *dir, const struct engine_check_options *o,
                   bool may_write, struct engine_check_report *r, struct err_detail *d)
{
    uint64_t started = clock_mono_ms();
    enum err err;

    *r = (struct engine_check_report){0};
    *c = (struct check){.dir = dir, .found = {o, r}, .detail = d, .lock_fd = -1};
    err = begin(c, may_write);
    if (err == OK)
        err = inspect_index(c->filed, c->names.n > 0 ? c->names.number[0] : 0, &c->found, &c->index,
                            d);
    if (err == OK)
        err = read_log(c);
    if (err == OK)
        err = finish(c);
    r->ms = clock_mono_ms() - started;
    if (err != OK && d != NULL && d->text[0] == 0)
        return err_set(d, err, 0, "%s: cannot be checked: %s", dir, err_text(err));
    return err;
}

void check_fini(struct check *c)
{
    walk_end(&c->walk);
    engine_release(c->made);
    engine_release(c->filed);
    index_content_free(&c->index.content);
    bits_fini(&c->index.leaves);
    free(c->names.number);
    if (c->lock_fd >= 0)
        os()->close(c->lock_fd);
}

enum err engine_check(const char *dir, const struct engine_check_options *options,
                      struct engine_check_report *report, struct err_detail *detail)
{
    struct check c;
    struct err_detail own = {0};
    enum err err;

    detail = detail == NULL ? &own : detail;
    detail->text[0] = 0;
    err = check_run(&c, dir, options, false, report, detail);
    check_fini(&c);
    return err;
}
