/*
 * engine/commit.c - the committer: makes queued transactions durable, many at a time, in order.
 *
 * It takes all that is queued, seals the frames, writes them with one vector, syncs once, publishes
 * the last version, and calls done() for each. Transactions that come meanwhile form the next
 * group, so the slower the disk the larger the groups. A group ends where a segment ends.
 *
 * Order, and why a crash in between is safe:
 *   1. write     frames behind the durable end: torn or whole, nothing depends on them yet
 *   2. sync      from here the transactions are durable, whether or not anybody hears of it
 *   3. publish   readers see them
 *   4. done      clients hear of them
 *
 * When 1 fails, what was written is cut off, and all transactions not durable fail: those of the
 * group, those queued, and one that may be running (by the generation). The engine goes on. When
 * the cut or 2 fails, nobody knows what is on disk: FAILED.
 *
 * Without files commit_run does the same in the thread of the writer, and there is nothing that can
 * fail but memory.
 */
#include "base/crc.h"
#include "base/log.h"
#include "engine/private.h"

#define VECTORS       64
#define SPARE_COMMITS 256

/* ---- the queue ------------------------------------------------------------------------------- */

/* Lets the committer begin; true: it has to be woken. The mutex is held. */
static bool let_go(struct queue *q)
{
    bool first = !q->go;

    q->go = true;
    return first;
}

bool commit_enqueue(struct engine *e, struct commit *c, uint64_t generation, bool go, enum err *why)
{
    struct queue *q = &e->queue;
    bool ok, wake = false;

    pthread_mutex_lock(&q->mutex);
    ok = generation == q->generation;
    if (ok) {
        list_push(&q->commits, &c->node);
        q->cost += c->cost;
        wake = go && let_go(q);
    } else {
        *why = q->generation_err;
    }
    pthread_mutex_unlock(&q->mutex);
    if (wake)
        pthread_cond_signal(&q->wake);
    return ok;
}

/* The same, if anything waits. */
static bool let_any_go(struct queue *q)
{
    return !list_empty(&q->commits) && let_go(q);
}

void commits_let_go(struct queue *q)
{
    if (let_any_go(q))
        pthread_cond_signal(&q->wake);
}

void engine_commits_go(struct engine *e)
{
    struct queue *q = &e->queue;
    bool wake;

    if (e->log.dir == NULL) /* what was committed is there already */
        return;
    pthread_mutex_lock(&q->mutex);
    wake = let_any_go(q);
    pthread_mutex_unlock(&q->mutex);
    if (wake)
        pthread_cond_signal(&q->wake);
}

/* Moves all of `from` to the end of `to`. */
static void splice(struct list_node *to, struct list_node *from)
{
    struct list_node *node;

    while ((node = list_pop(from)) != NULL)
        list_push(to, node);
}

/* False: closing, and nothing is left to do. (A batch may be empty: what made it begin was thrown away.) */
static bool take_queued(struct queue *q, struct list_node *batch)
{
    bool more;

    pthread_mutex_lock(&q->mutex);
    while (!q->go && !q->closing)
        pthread_cond_wait(&q->wake, &q->mutex);
    q->go = false;
    splice(batch, &q->commits);
    more = !list_empty(batch) || !q->closing;
    pthread_mutex_unlock(&q->mutex);
    return more;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Walks the bytes of a frame, piece by piece. */
struct pieces {
    struct chunk *chunk;
    uint32_t off;
    uint64_t left;
};

static bool next_piece(struct pieces *p, struct iovec *out)
{
    uint32_t used;

    if (p->left == 0)
        return false;
    used = atomic_load_explicit(&p->chunk->n, memory_order_relaxed);
    out->iov_base = p->chunk->data + p->off;
    out->iov_len = (size_t)MIN_OF(p->left, (uint64_t)(used - p->off));
    p->left -= out->iov_len;
    if (p->left > 0) {
        p->chunk = LIST_ENTRY(p->chunk->node.next, struct chunk, node);
        p->off = 0;
    }
    return true;
}

static struct pieces pieces_of(const struct commit *c)
{
    return (struct pieces){c->chunk, c->chunk_off, c->bytes};
}

/* Completes the header and gives back its checksum, the next frame's link. */
static uint32_t frame_seal(const struct commit *c, uint32_t salt, uint32_t link, uint64_t durable)
{
    uint8_t *at = c->chunk->data + c->chunk_off;
    struct pieces p = pieces_of(c);
    struct frame_header h;
    struct iovec v;
    uint32_t crc = 0;

    p.off += FRAME_HEADER_BYTES;
    p.left -= FRAME_HEADER_BYTES;
    while (next_piece(&p, &v))
        crc = crc32c(crc, v.iov_base, v.iov_len);
    memcpy(&h, at, sizeof h);
    h.back = (uint32_t)(h.txn - durable - 1);
    h.link = link;
    h.body_crc = crc;
    h.head_crc = frame_head_crc(&h, salt);
    memcpy(at, &h, sizeof h);
    return h.head_crc;
}

/* Collects vectors and writes them when there are enough; neighbours in memory become one. */
struct gather {
    struct log *log;
    uint64_t off, bytes; /* where the collected bytes go */
    int n;
    struct iovec v[VECTORS];
};

static enum err gather_flush(struct gather *g)
{
    enum err err = g->n == 0 ? OK : log_write(g->log, g->v, g->n, g->off, g->bytes);

    g->off += g->bytes;
    g->bytes = 0;
    g->n = 0;
    return err;
}

static enum err gather_add(struct gather *g, struct iovec piece)
{
    struct iovec *last = g->n > 0 ? &g->v[g->n - 1] : NULL;
    enum err err = OK;

    if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == piece.iov_base) {
        last->iov_len += piece.iov_len;
    } else {
        if (g->n == VECTORS)
            err = gather_flush(g);
        g->v[g->n++] = piece;
    }
    g->bytes += piece.iov_len;
    return err;
}

/* ---- a group --------------------------------------------------------------------------------- */

static enum err write_frames(struct engine *e, struct list_node *group, uint32_t *link)
{
    struct gather g = {.log = &e->log, .off = e->log.end};
    uint64_t durable = version_durable(&e->published);
    enum err err = OK;
    struct iovec piece;

    *link = e->log.link;
    LIST_EACH(group, it)
    {
        const struct commit *c = LIST_ENTRY(it, struct commit, node);
        struct pieces p = pieces_of(c);
        if (c->bytes > 0)
            *link = frame_seal(c, e->log.active->salt, *link, durable);
        while (err == OK && next_piece(&p, &piece))
            err = gather_add(&g, piece);
    }
    return err != OK ? err : gather_flush(&g);
}

/* One line when writes begin to fail, and one when they work again. */
static void say(struct log *log, enum err err)
{
    bool failing = err != OK;

    if (failing != log->failing || log->broken)
        log_event(failing ? LOG_ERROR : LOG_INFO,
                  failing ? "engine_write_failed" : "engine_writes_again", "error=\"%s\" state=%s",
                  err_text(err), log->broken ? "failed" : "ok");
    log->failing = failing;
}

/* Makes a group of frames of one segment durable. */
static enum err write_group(struct engine *e, struct list_node *group, const struct commit *first,
                            const struct commit *last)
{
    struct log *log = &e->log;
    uint64_t end = POS_OFF(last->start) + last->bytes;
    uint32_t number = POS_SEG(first->start), link = 0;
    struct version v = last->version;
    enum err err = OK;

    if (log->active == NULL || log->active->number != number)
        err = log_create(log, number, first->version.txn);
    if (err == OK)
        err = log_room(log, end, atomic_load_explicit(&e->reserve.given, memory_order_relaxed));
    if (err == OK)
        err = write_frames(e, group, &link);
    if (err == OK)
        err = log_sync(log);
    if (err != OK)
        return err;
    log->end = end;
    log->link = link;
    atomic_store_explicit(&log->active->bytes, (uint32_t)end, memory_order_release);
    v.link = link;
    version_publish(&e->published, &v);
    say(log, OK);
    return OK;
}

/* The commits no longer count as waiting. */
static void uncount(struct queue *q, struct list_node *list)
{
    pthread_mutex_lock(&q->mutex);
    LIST_EACH(list, it)
    q->cost -= LIST_ENTRY(it, struct commit, node)->cost;
    pthread_mutex_unlock(&q->mutex);
}

/* Keeps some commits for use again. */
static void put_back(struct queue *q, struct list_node *list)
{
    struct list_node *node;

    pthread_mutex_lock(&q->mutex);
    for (; q->spare_n < SPARE_COMMITS && (node = list_pop(list)) != NULL; q->spare_n++)
        list_push(&q->spare, node);
    pthread_mutex_unlock(&q->mutex);
    while ((node = list_pop(list)) != NULL)
        free(LIST_ENTRY(node, struct commit, node));
}

/* Calls what waits, in order. */
static void tell(struct engine *e, struct list_node *list, enum err err, uint64_t durable)
{
    uncount(&e->queue, list);
    LIST_EACH(list, it)
    {
        struct commit *c = LIST_ENTRY(it, struct commit, node);
        bool ok = err == OK || (c->bytes == 0 && c->version.txn <= durable);
        if (c->bytes > 0 && ok)
            atomic_fetch_add_explicit(&e->commits, 1, memory_order_relaxed);
        if (c->done != NULL)
            c->done(c->arg, ok ? OK : err);
    }
    put_back(&e->queue, list);
}

/* Everything not durable is thrown away. */
static void throw_away(struct engine *e, struct list_node *batch, enum err err)
{
    struct queue *q = &e->queue;

    if (log_cut(&e->log) != OK)
        err = ERR_IO;
    say(&e->log, err);
    if (e->log.broken)
        atomic_store(&e->failed, true);
    pthread_mutex_lock(&q->mutex);
    splice(batch, &q->commits);
    q->generation++;
    q->generation_err = err;
    q->failed |= e->log.broken;
    pthread_mutex_unlock(&q->mutex);
    if (err == ERR_NOSPACE)
        reserve_call(e);
    tell(e, batch, err, version_durable(&e->published));
}

/* Moves the transactions of the first segment in the batch to the group. Those without a frame wait
 * for the ones before them, so they go along. */
static void take_group(struct list_node *batch, struct list_node *group,
                       const struct commit **first, const struct commit **last)
{
    *first = *last = NULL;
    while (!list_empty(batch)) {
        struct commit *c = LIST_ENTRY(batch->next, struct commit, node);
        if (c->bytes > 0 && *first != NULL && POS_SEG(c->start) != POS_SEG((*first)->start))
            return;
        list_remove(&c->node);
        list_push(group, &c->node);
        if (c->bytes > 0) {
            *first = *first == NULL ? c : *first;
            *last = c;
        }
    }
}

static void run_batch(struct engine *e, struct list_node *batch)
{
    struct list_node group;
    const struct commit *first, *last;

    list_init(&group);
    while (!list_empty(batch)) {
        enum err err;
        take_group(batch, &group, &first, &last);
        err = first == NULL ? OK : write_group(e, &group, first, last);
        if (err != OK) {
            splice(&group, batch);
            throw_away(e, &group, err);
            return;
        }
        tell(e, &group, OK, 0);
    }
}

void commit_run(struct engine *e)
{
    struct list_node batch;

    list_init(&batch);
    splice(&batch, &e->queue.commits);
    run_batch(e, &batch);
}

/* Memory of frames is otherwise given back when the next transaction begins, which may be never; and what is
 * due depends on what is durable. */
static void reap(struct engine *e)
{
    struct version durable;

    if (pthread_mutex_trylock(&e->writer.mutex) != 0)
        return;
    version_read(&e->published, &durable);
    pending_reap(&e->writer.pending, durable.tail);
    keeper_poke(e);
    pthread_mutex_unlock(&e->writer.mutex);
}

void *commit_thread(void *engine)
{
    struct engine *e = engine;
    struct list_node batch;

    list_init(&batch);
    while (take_queued(&e->queue, &batch)) {
        keeper_let_write(e);
        run_batch(e, &batch);
        reap(e);
    }
    return NULL;
}
