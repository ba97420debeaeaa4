/*
 * engine/compact.c - copies what still lives out of the oldest segment to the end of the log, so that
 * the segment can go.
 *
 * Always the oldest: so the log stays one row of segments, and a deletion is never forgotten before
 * what it deleted. (To pick the emptiest would let go of a DEL while an older segment still has the
 * PUT, which would come back when the index is made anew.) The price is that what never changes is
 * copied as often as the rest; with L bytes living in a log of at most F * L, for each byte written
 * 1 / (F - 1) bytes are copied. Without files there is nothing to be made anew: there the emptiest
 * one is taken.
 *
 * A step looks through a stretch of the segment under a snapshot for operations that the index still
 * refers to, and puts these again in one transaction, which looks once more: what was
 * changed meanwhile is left alone. To everybody else it is a transaction that changes nothing.
 *
 * When all of segment S is done:
 *   1. TRIM       a frame that says that segments up to S are not needed; durable
 *   2. checkpoint of a version with it: the index file no longer refers to S
 *   3. unlink     S, in the order of the numbers; its view goes when no reader may be in it
 * A crash before 3 leaves S where it was; recovery removes it, knowing of 1. A segment that is not
 * there although no TRIM says so has been lost.
 */
#include <errno.h>

#include "base/log.h"
#include "engine/private.h"

/* The log may be longer than what lives in it by this: a quarter is the unit. */
#define DUE_QUARTERS 7
#define STEP_LIVE    (32 * KIB) /* copied by one transaction, whose turn others wait for */
#define STEP_SCANNED MIB
#define STEP_KEYS    256
#define PAUSE_MAX_MS 10

struct found { /* a key that the index still has here, and its value */
    str key;
    struct value_ref value;
};

struct step {
    size_t n;
    uint64_t live, scanned;
    struct found found[STEP_KEYS];
    size_t keys_n;
    uint8_t keys[STEP_LIVE + 16 * KIB]; /* of those found, one behind the other */
};

/* ---- when, and which ------------------------------------------------------------------------- */

/* Bytes of log, without what only waits to be unlinked. */
static uint64_t log_bytes(const struct engine *e)
{
    uint64_t bytes = e->writer.now.log_bytes - atomic_load(&e->log.gone_bytes);

    for (uint32_t n = e->log.first; e->dir != NULL && n < e->writer.now.first; n++)
        bytes -= atomic_load(&log_segment(&e->log, n)->bytes);
    return bytes;
}

static uint64_t due_bytes(const struct engine *e)
{
    return e->writer.now.live_log_bytes / 4 * DUE_QUARTERS + e->options.compact_bytes;
}

bool compact_due(const struct engine *e)
{
    if (atomic_load_explicit(&e->keeper.given_up, memory_order_relaxed))
        return false;
    if (atomic_load_explicit(&e->reserve.given, memory_order_relaxed))
        return atomic_load_explicit(&e->reserve.worth, memory_order_relaxed);
    return log_bytes(e) > due_bytes(e);
}

/* The further the log is over the mark, the less it waits; a tenth over, and it does not. */
unsigned compact_pause_ms(struct engine *e)
{
    uint64_t bytes, due, over;

    if (atomic_load(&e->reserve.given))
        return 0;
    pthread_mutex_lock(&e->writer.mutex);
    bytes = log_bytes(e);
    due = due_bytes(e);
    pthread_mutex_unlock(&e->writer.mutex);
    over = bytes > due ? (bytes - due) * PAUSE_MAX_MS / (due / 10 + 1) : 0;
    return over >= PAUSE_MAX_MS ? 0 : PAUSE_MAX_MS - (unsigned)over;
}

static struct segment *emptiest(const struct engine *e)
{
    struct segment *best = NULL;

    for (uint32_t n = e->log.first; n < POS_SEG(e->writer.now.tail); n++) {
        struct segment *seg = log_segment(&e->log, n);
        if (seg == NULL || seg->cells == 0)
            continue;
        if (best == NULL || seg->live_bytes * atomic_load(&best->bytes) <
                                best->live_bytes * atomic_load(&seg->bytes))
            best = seg;
    }
    return best;
}

/* The segment to work on: sealed, durable. NULL: there is none yet. */
static struct segment *choose(const struct engine *e)
{
    uint32_t first = (uint32_t)e->writer.now.first;
    struct version durable;

    version_read(&e->published, &durable);
    if (e->dir == NULL)
        return emptiest(e);
    return first < POS_SEG(durable.tail) ? log_segment(&e->log, first) : NULL;
}

static void begin_segment(struct compaction *c, const struct engine *e, const struct segment *seg)
{
    const uint8_t *map = atomic_load(&seg->map);
    struct segment_header h;

    memcpy(&h, map, sizeof h);
    *c = (struct compaction){.active = true,
                             .generation = e->writer.generation,
                             .frames = {.dir = e->dir != NULL ? e->dir : "memory",
                                        .number = seg->number,
                                        .salt = seg->salt,
                                        .map = map,
                                        .size = atomic_load(&seg->bytes),
                                        .at = SEGMENT_HEADER_BYTES,
                                        .txn = h.first_txn - 1,
                                        .link = h.link}};
}

/* ---- looking --------------------------------------------------------------------------------- */

enum err op_is_live(const struct engine_view *v, str key, const struct value_ref *value, bool *live)
{
    const uint8_t *body;
    struct value_ref ref;
    enum err err = tree_find(v->pages, v->root, key, &body);

    *live = false;
    if (err != OK)
        return err == ERR_NOTFOUND ? OK : err;
    body_decode(body, &ref);
    if (ref.seg != value->seg || ref.bytes != value->bytes)
        return OK;
    /* A short value lies in the index, which does not say where in the segment it was put. Equal
     * ones are as good as each other. */
    *live = ref.kind & VALUE_INLINE ? memcmp(ref.data, value->data, ref.bytes) == 0
                                    : ref.off == value->off;
    return OK;
}

static void keep(struct step *s, const struct ops *o)
{
    struct found *f = &s->found[s->n];

    memcpy(s->keys + s->keys_n, o->key.p, o->key.n);
    f->key = (str){(const char *)s->keys + s->keys_n, o->key.n};
    f->value = o->value;
    s->keys_n += o->key.n;
    s->n++;
}

static enum err look_at(const struct engine_view *v, struct step *s, const struct ops *o)
{
    bool live = false;
    enum err err = OK;

    if (o->op == OP_PUT || o->op == OP_LINK)
        err = op_is_live(v, o->key, &o->value, &live);
    if (err != OK || !live)
        return err;
    keep(s, o);
    s->live += o->key.n + o->value.bytes;
    return OK;
}

/* Goes on to the next frame. NOTFOUND: there is none; CORRUPT. */
static enum err next_frame(struct compaction *c)
{
    struct frame_header h;

    if (c->frames.at == c->frames.size)
        return ERR_NOTFOUND;
    if (!frames_peek(&c->frames, &h))
        return frames_damage(&c->frames, c->frames.at, "bad frame");
    ops_begin(&c->ops, &c->frames, c->frames.at, &h);
    c->in_frame = true;
    frames_step(&c->frames, &h);
    return OK;
}

static enum err next_op(struct compaction *c)
{
    while (!c->in_frame || !ops_more(&c->ops)) {
        enum err err = next_frame(c);
        if (err != OK)
            return err;
    }
    return ops_next(&c->ops);
}

static bool has_room(const struct step *s)
{
    return s->n < STEP_KEYS && sizeof s->keys - s->keys_n >= ENGINE_MAX_KEY_BYTES;
}

static bool is_full(const struct step *s)
{
    return s->n >= STEP_KEYS / 2 || s->live >= STEP_LIVE || s->scanned >= STEP_SCANNED;
}

/* Another key of the same value comes next: both go in one step, or the value would be put twice. */
static bool more_of_value(const struct compaction *c)
{
    return c->in_frame && ops_link_is_next(&c->ops);
}

/* Collects what lives in the next stretch. NOTFOUND: the segment is at an end. */
static enum err look(struct compaction *c, const struct engine_view *v, struct step *s)
{
    enum err err = OK;

    while (has_room(s) && (!is_full(s) || more_of_value(c))) {
        err = next_op(c);
        if (err == OK)
            err = look_at(v, s, &c->ops);
        if (err != OK)
            return err;
        s->scanned += c->ops.key.n + c->ops.value.bytes + 1;
    }
    return OK;
}

/* ---- copying --------------------------------------------------------------------------------- */

enum err copy_value(struct engine_txn *t, str key, const struct value_ref *value, uint32_t last)
{
    if (value->off == last)
        return engine_link(t, key);
    return engine_put(t, key, (str){(const char *)value->data, value->bytes});
}

static enum err copy_found(struct engine_txn *t, const struct step *s)
{
    uint32_t last = 0; /* where the value lay that was put last */
    enum err err = OK;
    bool live;

    for (size_t i = 0; err == OK && i < s->n; i++) {
        const struct found *f = &s->found[i];
        err = op_is_live(engine_txn_view(t), f->key, &f->value, &live);
        if (err != OK || !live) /* not any more */
            continue;
        err = copy_value(t, f->key, &f->value, last);
        last = f->value.off;
    }
    return err;
}

/* A transaction on top of all that was copied of this segment. AGAIN: something of it was thrown away
 * (a full disk), and the segment is begun anew. */
static enum err begin_in(struct engine *e, struct engine_txn **t)
{
    enum err err = txn_begin(e, TXN_HOUSEKEEPING, t);

    if (err != OK || (*t)->generation == e->keeper.compaction.generation)
        return err;
    engine_txn_abort(*t);
    return ERR_AGAIN;
}

static enum err copy(struct engine *e, const struct step *s)
{
    struct engine_txn *t;
    enum err err = begin_in(e, &t);

    if (err != OK)
        return err;
    err = copy_found(t, s);
    if (err != OK) {
        engine_txn_abort(t);
        return err;
    }
    engine_txn_commit(t, NULL, NULL);
    return OK;
}

/* ---- giving a segment back ------------------------------------------------------------------- */

static enum err remove_segment(struct engine *e, const char *path)
{
    if (os()->unlink(path) != 0 && errno != ENOENT)
        return ERR_IO;
    if (log_sync_dir(&e->log) == 0)
        return OK;
    engine_fail(e, "the directory could not be synced");
    return ERR_FAILED;
}

enum err compact_unlink(struct engine *e)
{
    char path[LOG_PATH_MAX];
    enum err err = OK;
    uint32_t n;

    pthread_mutex_lock(&e->writer.mutex);
    for (n = e->log.first; err == OK && n < e->index.first; n++) {
        struct segment *seg = log_segment(&e->log, n);
        log_path(e->dir, n, path, sizeof path);
        /* Synced one by one, so that a crash leaves a row without gaps. */
        err = remove_segment(e, path);
        if (err != OK)
            break;
        CHECK(seg->cells == 0);
        seg->dead_txn = e->index.txn;
        log_count_gone(&e->log, seg);
        list_push(&e->writer.dead, &seg->dead);
        e->log.first = n + 1;
    }
    pthread_mutex_unlock(&e->writer.mutex);
    return err;
}

/* A segment that was looked through to its end, and to which the index still refers, is not what
 * the index takes it for. */
static enum err trim(struct engine *e, uint32_t number)
{
    struct engine_txn *t;
    enum err err = begin_in(e, &t);

    if (err != OK)
        return err;
    if (e->writer.now.first != number || log_segment(&e->log, number)->cells > 0)
        err = ERR_CORRUPT;
    if (err == OK)
        err = txn_trim(t, number + 1);
    if (err == OK)
        return engine_txn_commit_wait(t);
    engine_txn_abort(t);
    return err;
}

static enum err finish_segment(struct engine *e, uint32_t number)
{
    enum err err;

    if (e->dir == NULL) /* apply_durable sees that it is empty */
        return OK;
    err = trim(e, number);
    if (err == OK)
        err = checkpoint_run(e);
    return err == OK ? compact_unlink(e) : err;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* The segment of the compaction, held by a snapshot against being released; false: nothing to do. */
static bool hold_segment(struct engine *e, const struct engine_view **v)
{
    struct compaction *c = &e->keeper.compaction;
    struct segment *seg;

    pthread_mutex_lock(&e->writer.mutex);
    writer_give_back(e);
    c->active = c->active && c->generation == e->writer.generation;
    seg = c->active ? log_segment(&e->log, c->frames.number) : NULL;
    c->active =
        seg != NULL && (e->dir != NULL ? seg->number >= e->writer.now.first : seg->cells > 0);
    if (!c->active) {
        seg = choose(e);
        if (seg != NULL)
            begin_segment(c, e, seg);
    }
    if (c->active)
        *v = engine_snap_begin(&e->keeper.reader);
    pthread_mutex_unlock(&e->writer.mutex);
    return c->active;
}

enum err compact_step(struct engine *e)
{
    struct compaction *c = &e->keeper.compaction, before = *c;
    struct err_detail d = {.text = ""};
    const struct engine_view *v = NULL;
    struct step s;
    enum err err, copied = OK;

    if (!hold_segment(e, &v))
        return OK;
    if (!before.active)
        before = *c;
    c->frames.detail = &d;
    s.n = s.keys_n = 0;
    s.live = s.scanned = 0;
    err = look(c, v, &s);
    if (s.n > 0 && (err == OK || err == ERR_NOTFOUND))
        copied = copy(e, &s);
    engine_snap_end(&e->keeper.reader);
    if (copied != OK) { /* the same stretch again, later */
        *c = before;
        return copied;
    }
    if (err == ERR_NOTFOUND) {
        err = finish_segment(e, c->frames.number);
        c->active = err != OK && err != ERR_CORRUPT;
    }
    if (err == ERR_CORRUPT)
        log_event(LOG_ERROR, "engine_compaction_stopped", "error=\"%s\"",
                  d.text[0] != 0 ? d.text : "a segment is damaged");
    return err;
}

/* ---- at once --------------------------------------------------------------------------------- */

enum err compact_roll(struct engine *e, uint32_t *number)
{
    struct engine_txn *t;
    enum err err;

    pthread_mutex_lock(&e->writer.mutex);
    e->writer.roll = true;
    pthread_mutex_unlock(&e->writer.mutex);
    err = txn_begin(e, TXN_HOUSEKEEPING, &t);
    if (err != OK) {
        pthread_mutex_lock(&e->writer.mutex);
        e->writer.roll = false;
        pthread_mutex_unlock(&e->writer.mutex);
        return err;
    }
    e->writer.roll = false;
    if (number != NULL)
        *number = POS_SEG(t->start);
    err = txn_trim(t, (uint32_t)e->writer.now.first);
    if (err == OK)
        return engine_txn_commit_wait(t);
    engine_txn_abort(t);
    return err;
}

static bool done_up_to(struct engine *e, uint32_t number)
{
    bool done;

    pthread_mutex_lock(&e->writer.mutex);
    done = e->dir == NULL || e->writer.now.first >= number;
    pthread_mutex_unlock(&e->writer.mutex);
    return done;
}

/* After NOSPACE: is there more of it for compaction now? (The keeper may have seen to that.) */
static bool has_reserve(struct engine *e, bool had)
{
    return reserve_give(e) || (!had && atomic_load(&e->reserve.given));
}

static enum err make_room(struct engine *e, unsigned *again)
{
    enum err err;

    pthread_mutex_lock(&e->keeper.work);
    err = checkpoint_make_room(e, again);
    pthread_mutex_unlock(&e->keeper.work);
    return err;
}

static enum err roll_at_once(struct engine *e, uint32_t *number)
{
    bool had = atomic_load(&e->reserve.given), more;
    unsigned again = 0;
    enum err err = compact_roll(e, number);

    while (err == ERR_AGAIN && (err = make_room(e, &again)) == OK)
        err = compact_roll(e, number);
    if (err != ERR_NOSPACE)
        return err;
    pthread_mutex_lock(&e->keeper.work);
    more = has_reserve(e, had);
    pthread_mutex_unlock(&e->keeper.work);
    return more ? compact_roll(e, number) : err;
}

static enum err step_at_once(struct engine *e, unsigned *again)
{
    bool had = atomic_load(&e->reserve.given);
    enum err err = compact_step(e);

    if (err == ERR_AGAIN)
        err = checkpoint_make_room(e, again);
    else
        *again = 0;
    return err == ERR_NOSPACE && has_reserve(e, had) ? OK : err;
}

static void set_at_once(struct engine *e, bool at_once)
{
    pthread_mutex_lock(&e->keeper.work);
    e->reserve.at_once = at_once;
    pthread_mutex_unlock(&e->keeper.work);
    if (!at_once)
        keeper_alarm(e); /* it takes the reserve back */
}

enum err engine_compact(struct engine *e)
{
    uint32_t number = 0;
    unsigned again = 0;
    enum err err;

    set_at_once(e, true);
    err = e->dir != NULL ? roll_at_once(e, &number) : OK;
    while (err == OK && !done_up_to(e, number)) {
        pthread_mutex_lock(&e->keeper.work);
        err = step_at_once(e, &again);
        pthread_mutex_unlock(&e->keeper.work);
    }
    set_at_once(e, false);
    if (err != OK || e->dir == NULL)
        return err;
    pthread_mutex_lock(&e->keeper.work);
    err = shrink_index(e, UINT32_MAX);
    if (err == OK)
        err = compact_unlink(e);
    pthread_mutex_unlock(&e->keeper.work);
    return err;
}
