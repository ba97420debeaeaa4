/*
 * engine/apply.c - what an operation does to the index and to the books.
 *
 * The books say, for each segment, how many cells refer to it and how many bytes of its log are
 * still of use. A transaction's changes to them are noted in writer.deltas, one entry a segment, so
 * that they can be undone with the transaction. The same functions serve transactions and the
 * replay of the log.
 */
#include "engine/private.h"

/* Bytes of log beside key and value that an operation takes: operation, lengths, checksum. */
#define PUT_OVERHEAD  8
#define LINK_OVERHEAD 2

uint64_t ref_log_bytes(size_t key_bytes, const struct value_ref *ref)
{
    if (ref->kind & VALUE_LINK)
        return key_bytes + LINK_OVERHEAD;
    return key_bytes + ref->bytes + PUT_OVERHEAD;
}

/* The running transaction's entry for a segment. NULL: out of memory. */
static struct delta *delta_of(struct engine *e, struct segment *seg)
{
    struct ring *r = &e->writer.deltas;
    uint64_t txn = e->writer.tree.txn;
    struct delta *d;

    /* The note in the segment may be of a transaction that was undone: look whether it is ours. */
    if (seg->delta_at >= r->head && seg->delta_at < r->tail) {
        d = ring_at(r, seg->delta_at);
        if (d->txn == txn && d->seg == seg->number)
            return d;
    }
    if (ring_reserve(r, 1) != OK)
        return NULL;
    seg->delta_at = r->tail;
    d = ring_push(r);
    *d = (struct delta){.txn = txn, .seg = seg->number};
    return d;
}

static void add(struct segment *seg, int64_t cells, int64_t live_bytes)
{
    seg->cells += (uint64_t)cells;
    seg->live_bytes += (uint64_t)live_bytes;
}

static enum err account(struct engine *e, size_t key_bytes, const struct value_ref *ref, int sign)
{
    struct segment *seg = log_segment(&e->log, ref->seg);
    int64_t live = (int64_t)ref_log_bytes(key_bytes, ref) * sign;
    struct delta *d;

    CHECK(seg != NULL);
    d = delta_of(e, seg);
    if (d == NULL)
        return ERR_NOMEM;
    d->cells += sign;
    d->live_bytes += live;
    add(seg, sign, live);
    e->writer.live_log_bytes += (uint64_t)live;
    if (!(ref->kind & VALUE_LINK))
        e->writer.live_value_bytes += (uint64_t)((int64_t)ref->bytes * sign);
    return OK;
}

enum err apply_put(struct engine *e, str key, const struct value_ref *ref)
{
    struct body body, old;
    struct value_ref old_ref;
    bool replaced;
    enum err err;

    body.n = body_encode(body.p, ref);
    err = tree_put(&e->writer.tree, key, &body, &old, &replaced);
    if (err == OK && replaced) {
        body_decode(old.p, &old_ref);
        err = account(e, key.n, &old_ref, -1);
    }
    if (err == OK)
        err = account(e, key.n, ref, 1);
    return err;
}

enum err apply_del(struct engine *e, str key, bool *found)
{
    struct body old;
    struct value_ref ref;
    enum err err = tree_del(&e->writer.tree, key, &old, found);

    if (err != OK || !*found)
        return err;
    body_decode(old.p, &ref);
    return account(e, key.n, &ref, -1);
}

struct each_deleted {
    struct engine *e;
    enum err err;
};

static void account_deleted(void *arg, size_t key_bytes, const uint8_t *body)
{
    struct each_deleted *each = arg;
    struct value_ref ref;

    body_decode(body, &ref);
    if (each->err == OK)
        each->err = account(each->e, key_bytes, &ref, -1);
}

enum err apply_del_prefix(struct engine *e, str prefix, uint64_t *count)
{
    struct each_deleted each = {e, OK};
    enum err err;

    *count = 0;
    err = tree_del_prefix(&e->writer.tree, prefix, account_deleted, &each, count);
    return err != OK ? err : each.err;
}

/* Pages and books as transaction keep_txn left them. */
void apply_undo(struct engine *e, uint64_t keep_txn)
{
    struct ring *r = &e->writer.deltas;

    pages_undo(&e->pages, keep_txn);
    for (;;) {
        struct delta *d = ring_back(r);
        if (d == NULL || d->txn <= keep_txn)
            return;
        add(log_segment(&e->log, d->seg), -d->cells, -d->live_bytes);
        ring_pop_back(r);
    }
}

/* Without files a sealed segment that nothing refers to is given back once no reader can be in it.
 */
static void note_dead(struct engine *e, struct segment *seg, uint64_t txn)
{
    if (e->log.dir != NULL || seg == NULL || seg->cells > 0 || seg->dead_txn > 0 ||
        seg->number >= POS_SEG(e->writer.now.tail))
        return;
    seg->dead_txn = txn;
    list_push(&e->writer.dead, &seg->dead);
}

void release_dead(struct engine *e, uint64_t oldest_reader)
{
    while (!list_empty(&e->writer.dead)) {
        struct segment *seg = LIST_ENTRY(e->writer.dead.next, struct segment, dead);
        if (seg->dead_txn > oldest_reader)
            return;
        list_remove(&seg->dead);
        if (e->log.dir == NULL)
            log_count_gone(&e->log, seg);
        log_segment_release(&e->log, seg);
    }
}

void note_memory(struct engine *e)
{
    size_t pages = e->pages.memory_n + ring_count(&e->pages.dropped);

    atomic_store_explicit(&e->page_memory, pages * PAGE_BYTES, memory_order_relaxed);
}

/* What is durable need not be undone any more; what nobody can see is given back. */
void apply_durable(struct engine *e, uint64_t durable)
{
    struct ring *r = &e->writer.deltas;
    struct oldest oldest = readers_oldest(e);

    pages_reclaim(&e->pages, durable, &oldest);
    for (;;) {
        struct delta *d = ring_front(r);
        if (d == NULL || d->txn > durable)
            break;
        note_dead(e, log_segment(&e->log, d->seg), durable);
        ring_pop_front(r);
    }
    if (e->log.dir == NULL)
        note_dead(e, log_segment(&e->log, POS_SEG(e->writer.now.tail) - 1), durable);
    release_dead(e, oldest.version);
    note_memory(e);
}
