/*
 * engine/txn.c - the writer: begin, put, link, del, commit, abort.
 *
 * One transaction at a time, between engine_txn_begin (takes writer.mutex) and commit or abort
 * (gives it back). It works on the newest committed version, durable or not: `writer.now`. What it
 * writes goes at once into the index, in pages of its own, and into its frame, in pending memory at
 * the place where the log will have it; so commit only has to hand the frame over.
 *
 *     idle --begin--> running --commit--> queued ---committer: synced---> durable, published
 *                        |                   |
 *                        +--abort--> undone  +---committer: write or sync failed---> thrown away
 *
 * Thrown away: the committer cannot undo, for a transaction may be running on top of what failed.
 * It moves queue.generation on instead. A commit whose transaction began in an earlier generation
 * fails, and the next begin takes the writer back to the durable version (come_back).
 *
 * Everything that commit needs has been reserved by begin and by the operations: it cannot fail for
 * want of memory.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/crc.h"
#include "base/log.h"
#include "engine/private.h"

#define LATE_MS 1000

/* ---- begin ----------------------------------------------------------------------------------- */

/* More pages are in memory than may be: checkpoints do not keep up. */
static bool over_cache(const struct engine *e)
{
    return e->dir != NULL && atomic_load(&e->page_memory) > e->options.cache_bytes;
}

/* Of a transaction that was admitted, or refused (AGAIN). One line when they begin to be refused, and one when
 * none has been for a while. queue.mutex is held. */
static void say_late(struct engine *e, enum err err)
{
    struct queue *q = &e->queue;
    bool late = err == ERR_AGAIN, was = q->late;
    uint64_t now;

    if (!late && !was)
        return;
    now = clock_mono_ms();
    if (!late && now - q->late_ms < LATE_MS)
        return;
    q->late = late;
    q->late_ms = now;
    if (late != was)
        log_event(late ? LOG_WARN : LOG_INFO, late ? "engine_disk_late" : "engine_disk_keeps_up",
                  "queue_bytes=%" PRIu64 " page_bytes=%zu", q->cost, atomic_load(&e->page_memory));
}

/* May a transaction begin, and in which generation? Takes a commit from the spares if there is one.
 */
static enum err admit(struct engine *e, enum txn_kind kind, uint64_t *generation,
                      struct commit **commit)
{
    struct queue *q = &e->queue;
    enum err err = OK;

    pthread_mutex_lock(&q->mutex);
    if (q->closing)
        err = ERR_CLOSED;
    else if (q->failed)
        err = ERR_FAILED;
    else if (q->housekeeping_only && kind != TXN_HOUSEKEEPING)
        err = ERR_NOSPACE;
    else if (q->cost > e->options.max_queue_bytes || over_cache(e))
        err = ERR_AGAIN;
    if (err == OK || err == ERR_AGAIN)
        say_late(e, err);
    if (err == ERR_AGAIN) /* what was held back to go together is part of it */
        commits_let_go(q);
    if (err == OK) {
        struct list_node *node = list_pop(&q->spare);
        *commit = node == NULL ? NULL : LIST_ENTRY(node, struct commit, node);
        q->spare_n -= node != NULL;
        *generation = q->generation;
    }
    pthread_mutex_unlock(&q->mutex);
    return err;
}

/* Transactions on which the writer stood were thrown away: back to the durable version. */
static void come_back(struct engine *e)
{
    struct writer *w = &e->writer;

    version_read(&e->published, &w->now);
    apply_undo(e, w->now.txn);
    pending_cut(&w->pending, 0);
    w->live_value_bytes = w->now.live_value_bytes;
    w->live_log_bytes = w->now.live_log_bytes;
}

static void writer_catch_up(struct engine *e, uint64_t generation)
{
    if (generation != e->writer.generation)
        come_back(e);
    e->writer.generation = generation;
}

/* Nobody can tell what is dead, or durable, from a state that was thrown away: it goes first. */
void writer_give_back(struct engine *e)
{
    struct version durable;
    uint64_t generation;

    pthread_mutex_lock(&e->queue.mutex);
    generation = e->queue.generation;
    pthread_mutex_unlock(&e->queue.mutex);
    writer_catch_up(e, generation);
    version_read(&e->published, &durable);
    apply_durable(e, durable.txn);
    pending_reap(&e->writer.pending, durable.tail);
}

/* The frame's place: behind the newest one, or in a new segment when that one is full. */
static enum err place_frame(struct engine *e, logpos *start)
{
    logpos tail = e->writer.now.tail;
    struct segment *seg = log_segment(&e->log, POS_SEG(tail));

    e->log.segment_bytes = log_target(&e->log, e->writer.live_log_bytes);
    /* Full for good: nothing may follow once the next one exists. */
    if (e->writer.roll && POS_OFF(tail) > SEGMENT_HEADER_BYTES)
        seg->target = POS_OFF(tail);
    if (POS_OFF(tail) >= seg->target)
        tail = LOGPOS(POS_SEG(tail) + 1, SEGMENT_HEADER_BYTES);
    *start = tail;
    return log_segment_need(&e->log, POS_SEG(tail));
}

static void set_view(struct engine_txn *t)
{
    const struct tree *tree = &t->engine->writer.tree;
    t->view.root = tree->root;
}

static void start_tree(struct writer *w)
{
    w->tree.txn = w->now.txn + 1;
    w->tree.root = w->now.root;
    w->tree.depth = (uint32_t)w->now.depth;
    w->tree.keys = w->now.keys;
}

enum err txn_begin(struct engine *e, enum txn_kind kind, struct engine_txn **out)
{
    struct writer *w = &e->writer;
    struct engine_txn *t = &w->txn;
    struct commit *commit = NULL;
    uint64_t generation = 0;
    enum err err;

    pthread_mutex_lock(&w->mutex);
    writer_give_back(e); /* first of all: admit looks at the memory that this gives back */
    err = admit(e, kind, &generation, &commit);
    if (err != OK) {
        keeper_poke(e); /* is what it waits for due by now? Nobody else is let in who would look */
        goto out;
    }
    writer_catch_up(e, generation);
    if (commit == NULL)
        commit = mem_alloc(sizeof *commit);
    *t = (struct engine_txn){.engine = e, .generation = generation, .commit = commit};
    op_keys_clear(&w->keys);
    err = commit == NULL ? ERR_NOMEM : place_frame(e, &t->start);
    if (err != OK)
        goto out;
    start_tree(w);
    t->made_before = e->pages.made.tail;
    t->view = (struct engine_view){
        .pages = &e->pages, .engine = e, .version = w->now.txn, .writer = true};
    t->view.mark = w->now.mark <= version_durable(&e->published) ? w->now.mark : ENGINE_NO_MARK;
    set_view(t);
    *out = t;
    return OK;
out:
    pthread_mutex_unlock(&w->mutex);
    free(commit);
    return err;
}

enum err engine_txn_begin(struct engine *e, struct engine_txn **out)
{
    return txn_begin(e, TXN_ORDINARY, out);
}

const struct engine_view *engine_txn_view(struct engine_txn *t)
{
    return &t->view;
}

void engine_txn_mark(struct engine_txn *t)
{
    t->marked = true;
    t->view.mark = ENGINE_NO_MARK;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* After the first failure the transaction refuses everything with the same error. */
static enum err fail(struct engine_txn *t, enum err err)
{
    if (t->failed == OK)
        t->failed = err;
    return t->failed;
}

static bool key_fits(str key)
{
    return key.n > 0 && key.n <= ENGINE_MAX_KEY_BYTES;
}

static logpos frame_end(const struct engine_txn *t)
{
    return t->start + t->bytes;
}

/* n contiguous bytes at the end of the frame; the first operation also gets the header its place.
 */
static enum err frame_reserve(struct engine_txn *t, size_t n, uint8_t **out)
{
    size_t head = t->bytes == 0 ? FRAME_HEADER_BYTES : 0;
    struct chunk *chunk;
    uint8_t *p;
    enum err err = index_room(t->engine);

    if (err != OK)
        return err;
    if (n + head > t->engine->log.max_frame - t->bytes)
        return ERR_LIMIT;
    p = pending_reserve(&t->engine->writer.pending, frame_end(t), n + head, &chunk);
    if (p == NULL)
        return ERR_NOMEM;
    if (head > 0) {
        t->commit->chunk = chunk;
        t->commit->chunk_off = (uint32_t)(p - chunk->data);
    }
    t->bytes += n + head;
    *out = p + head;
    return OK;
}

static enum err write_key_op(struct engine_txn *t, enum op op, str key)
{
    struct op_head head = op_head(&t->engine->writer.keys, op, key);
    uint8_t *at;
    enum err err = frame_reserve(t, head.bytes, &at);

    if (err == OK)
        op_head_put(at, &head, &t->engine->writer.keys);
    return err;
}

/* The value's checksum and bytes lie behind one another; a reference names the checksum's offset.
 */
static enum err write_put(struct engine_txn *t, str key, str value)
{
    struct op_head head = op_head(&t->engine->writer.keys, OP_PUT, key);
    size_t before = head.bytes + varint_size((uint32_t)value.n);
    uint32_t crc = crc32c(0, value.p, value.n);
    bool is_inline = value.n <= INLINE_MAX_BYTES;
    uint8_t *at;
    enum err err = frame_reserve(t, before + 4 + value.n, &at);

    if (err != OK)
        return err;
    at = op_head_put(at, &head, &t->engine->writer.keys);
    at = varint_put(at, (uint32_t)value.n);
    memcpy(at, &crc, 4);
    if (value.n > 0)
        memcpy(at + 4, value.p, value.n);
    t->has_put = true;
    t->put = (struct value_ref){.bytes = (uint32_t)value.n,
                                .kind = is_inline ? VALUE_INLINE : 0,
                                .seg = POS_SEG(t->start),
                                .off = POS_OFF(frame_end(t) - value.n - 4),
                                .data = is_inline ? t->put_inline : NULL};
    if (is_inline && value.n > 0)
        memcpy(t->put_inline, value.p, value.n);
    return OK;
}

enum err engine_put(struct engine_txn *t, str key, str value)
{
    enum err err = t->failed;

    if (err == OK && (!key_fits(key) || value.n > ENGINE_MAX_VALUE_BYTES))
        err = ERR_LIMIT;
    if (err == OK)
        err = write_put(t, key, value);
    if (err == OK)
        err = apply_put(t->engine, key, &t->put);
    set_view(t);
    return err == OK ? OK : fail(t, err);
}

enum err engine_link(struct engine_txn *t, str key)
{
    struct value_ref ref = t->put;
    enum err err = t->failed;

    CHECK(t->has_put || err != OK);
    ref.kind |= VALUE_LINK;
    if (err == OK && !key_fits(key))
        err = ERR_LIMIT;
    if (err == OK)
        err = write_key_op(t, OP_LINK, key);
    if (err == OK)
        err = apply_put(t->engine, key, &ref);
    set_view(t);
    return err == OK ? OK : fail(t, err);
}

enum err engine_del(struct engine_txn *t, str key)
{
    enum err err = t->failed;
    bool found = false;

    if (err == OK && !key_fits(key))
        err = ERR_LIMIT;
    if (err == OK)
        err = index_room(t->engine);
    if (err == OK) /* first: if nothing changes, the log need not say so */
        err = apply_del(t->engine, key, &found);
    if (err == OK && found)
        err = write_key_op(t, OP_DEL, key);
    set_view(t);
    return err == OK ? OK : fail(t, err);
}

static enum err any_with_prefix(const struct engine_txn *t, str prefix, bool *any)
{
    struct engine_cursor c;

    engine_cursor_init(&c, &t->view, prefix);
    *any = engine_cursor_first(&c);
    return engine_cursor_err(&c);
}

enum err engine_del_prefix(struct engine_txn *t, str prefix, uint64_t *count)
{
    enum err err = t->failed;
    uint64_t n = 0;
    bool any = false;

    if (err == OK && !key_fits(prefix))
        err = ERR_LIMIT;
    if (err == OK)
        err = any_with_prefix(t, prefix, &any);
    if (err == OK && any) {
        err = write_key_op(t, OP_DELPREFIX, prefix);
        if (err == OK)
            err = apply_del_prefix(t->engine, prefix, &n);
    }
    set_view(t);
    if (err != OK)
        return fail(t, err);
    if (count != NULL)
        *count = n;
    return OK;
}

enum err txn_trim(struct engine_txn *t, uint32_t number)
{
    enum err err = t->failed;
    uint8_t *at;

    if (err == OK)
        err = frame_reserve(t, 1 + varint_size(number), &at);
    if (err != OK)
        return fail(t, err);
    *at++ = OP_TRIM;
    varint_put(at, number);
    t->trim = number;
    return OK;
}

enum err txn_renew(struct engine_txn *t, str key)
{
    enum err err = t->failed == OK ? tree_renew(&t->engine->writer.tree, key) : t->failed;

    set_view(t);
    return err == OK ? OK : fail(t, err);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void undo(struct engine_txn *t)
{
    struct writer *w = &t->engine->writer;

    apply_undo(t->engine, w->now.txn);
    pending_cut(&w->pending, t->start);
    w->live_value_bytes = w->now.live_value_bytes;
    w->live_log_bytes = w->now.live_log_bytes;
}

/* The commit goes back to the spares, unless the committer has it. */
static void finish(struct engine_txn *t, bool handed_over)
{
    struct engine *e = t->engine;

    if (!handed_over) {
        pthread_mutex_lock(&e->queue.mutex);
        list_push(&e->queue.spare, &t->commit->node);
        e->queue.spare_n++;
        pthread_mutex_unlock(&e->queue.mutex);
    }
    pthread_mutex_unlock(&e->writer.mutex);
}

void engine_txn_abort(struct engine_txn *t)
{
    undo(t);
    finish(t, false);
}

/* What the transaction leaves behind. */
static struct version version_after(const struct engine_txn *t)
{
    const struct engine *e = t->engine;
    const struct writer *w = &e->writer;
    struct version v = w->now;
    bool new_segment = POS_SEG(t->start) != POS_SEG(v.tail);

    v.txn = w->tree.txn;
    v.root = w->tree.root;
    v.depth = w->tree.depth;
    v.keys = w->tree.keys;
    v.live_value_bytes = w->live_value_bytes;
    v.live_log_bytes = w->live_log_bytes;
    v.tail = frame_end(t);
    v.last = t->start;
    v.first = t->trim != 0 ? t->trim : v.first;
    v.log_bytes += t->bytes + (new_segment ? SEGMENT_HEADER_BYTES : 0);
    v.segments += new_segment;
    v.mark = t->marked ? v.txn : v.mark;
    v.free_pages = pages_free_count(&e->pages);
    v.pages = e->pages.next - PAGE_FIRST - v.free_pages;
    return v;
}

/* The part of the header that the writer knows; the committer completes it (frame_seal). */
static void begin_header(const struct engine_txn *t)
{
    struct frame_header h = {.bytes = (uint32_t)(t->bytes - FRAME_HEADER_BYTES),
                             .txn = t->engine->writer.tree.txn};
    memcpy(t->commit->chunk->data + t->commit->chunk_off, &h, sizeof h);
}

/* OK: the committer has it. */
static enum err hand_over(struct engine_txn *t, bool go)
{
    struct engine *e = t->engine;
    struct writer *w = &e->writer;
    enum err why;

    if (t->bytes > 0) {
        begin_header(t);
        pages_commit(&e->pages, w->tree.txn);
        t->commit->version = version_after(t);
    } else {
        t->commit->version = w->now;
    }
    t->commit->start = t->start;
    t->commit->bytes = t->bytes;
    t->commit->cost =
        sizeof *t->commit + t->bytes + (e->pages.made.tail - t->made_before) * PAGE_BYTES;
    /* From the queue on the commit is the committer's, who may have given it back already. */
    const struct version after = t->commit->version;
    if (!commit_enqueue(e, t->commit, t->generation, go, &why))
        return why;
    w->now = after;
    note_memory(e);
    keeper_poke(e);
    return OK;
}

static void commit(struct engine_txn *t, bool go, void (*done)(void *arg, enum err result),
                   void *arg)
{
    struct engine *e = t->engine;
    enum err err = t->failed;
    bool wait = false;

    t->commit->done = done;
    t->commit->arg = arg;
    /* Nothing written, and all that was seen is durable: there is nothing to wait for. */
    if (err == OK && (t->bytes > 0 || t->view.version > version_durable(&e->published))) {
        err = hand_over(t, go);
        wait = err == OK;
    }
    if (err != OK)
        undo(t);
    if (wait && e->log.dir == NULL)
        commit_run(e);
    finish(t, wait);
    if (!wait && done != NULL)
        done(arg, err);
}

void engine_txn_commit(struct engine_txn *t, void (*done)(void *arg, enum err result), void *arg)
{
    commit(t, true, done, arg);
}

void engine_txn_commit_soon(struct engine_txn *t, void (*done)(void *arg, enum err result),
                            void *arg)
{
    commit(t, false, done, arg);
}

/* Waits for the end of a transaction. */
struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
    enum err result;
};

static void on_done(void *arg, enum err result)
{
    struct waiting *w = arg;

    pthread_mutex_lock(&w->mutex);
    w->done = true;
    w->result = result;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

enum err engine_txn_commit_wait(struct engine_txn *t)
{
    struct waiting w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, OK};

    engine_txn_commit(t, on_done, &w);
    pthread_mutex_lock(&w.mutex);
    while (!w.done)
        pthread_cond_wait(&w.cond, &w.mutex);
    pthread_mutex_unlock(&w.mutex);
    pthread_mutex_destroy(&w.mutex);
    pthread_cond_destroy(&w.cond);
    return w.result;
}
