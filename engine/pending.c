/*
 * engine/pending.c - the bytes of frames that are not on disk yet.
 *
 * The writer lays each frame down where the log will have it: a chunk is memory for a contiguous
 * piece of log. So the committer writes a chunk's frames with one vector, and the writer's own view
 * finds a value here by its log position. A single operation is never split over chunks (a value
 * must be contiguous); a frame may be.
 *
 * Chunks are taken away by whoever holds the writer's mutex, and only behind the durable end: what
 * the running transaction has borrowed stays. The committer reads chunks without the mutex; it
 * looks only at frames handed to it, whose bytes no longer change, and follows `next` only inside a
 * frame, where it is final.
 */
#include "engine/private.h"

void pending_init(struct pending *p)
{
    list_init(&p->chunks);
    p->spare = NULL;
}

void pending_fini(struct pending *p)
{
    struct list_node *node;

    while ((node = list_pop(&p->chunks)) != NULL)
        free(LIST_ENTRY(node, struct chunk, node));
    free(p->spare);
    p->spare = NULL;
}

static struct chunk *newest(const struct pending *p)
{
    return list_empty(&p->chunks) ? NULL : LIST_ENTRY(p->chunks.prev, struct chunk, node);
}

static uint32_t used(const struct chunk *c)
{
    return atomic_load_explicit(&c->n, memory_order_relaxed);
}

static void set_used(struct chunk *c, uint32_t n)
{
    atomic_store_explicit(&c->n, n, memory_order_relaxed);
}

static struct chunk *chunk_new(struct pending *p, logpos pos, size_t n)
{
    size_t cap = MAX_OF(n, CHUNK_BYTES);
    struct chunk *c = p->spare;

    if (cap == CHUNK_BYTES && c != NULL)
        p->spare = NULL;
    else
        c = mem_alloc(sizeof *c + cap);
    if (c == NULL)
        return NULL;
    c->pos = pos;
    c->cap = (uint32_t)cap;
    set_used(c, 0);
    list_push(&p->chunks, &c->node);
    return c;
}

/* What was popped off the list. */
static void chunk_free(struct pending *p, struct list_node *popped)
{
    struct chunk *c = LIST_ENTRY(popped, struct chunk, node);

    CHECK(popped != NULL);
    if (p->spare == NULL && c->cap == CHUNK_BYTES)
        p->spare = c;
    else
        free(c);
}

uint8_t *pending_reserve(struct pending *p, logpos pos, size_t n, struct chunk **chunk)
{
    struct chunk *c = newest(p);

    if (c != NULL && used(c) == 0)
        c->pos = pos; /* nobody looks into an empty chunk */
    if (c == NULL || c->pos + used(c) != pos || n > c->cap - used(c))
        c = chunk_new(p, pos, n);
    if (c == NULL)
        return NULL;
    *chunk = c;
    set_used(c, used(c) + (uint32_t)n);
    return c->data + used(c) - n;
}

const uint8_t *pending_find(const struct pending *p, logpos pos, size_t n)
{
    for (struct list_node *it = p->chunks.prev; it != &p->chunks; it = it->prev) {
        struct chunk *c = LIST_ENTRY(it, struct chunk, node);
        if (pos >= c->pos && pos - c->pos < used(c))
            return n <= used(c) - (pos - c->pos) ? c->data + (pos - c->pos) : NULL;
    }
    return NULL;
}

/* Forgets everything from `from` on: a transaction that will not be. */
void pending_cut(struct pending *p, logpos from)
{
    struct chunk *c;

    while ((c = newest(p)) != NULL) {
        if (c->pos < from) {
            if (from - c->pos < used(c))
                set_used(c, (uint32_t)(from - c->pos));
            return;
        }
        chunk_free(p, list_pop_last(&p->chunks));
    }
}

/* Gives back the chunks that are wholly durable; the newest is kept for use again, emptied. */
void pending_reap(struct pending *p, logpos durable)
{
    while (!list_empty(&p->chunks)) {
        struct chunk *c = LIST_ENTRY(p->chunks.next, struct chunk, node);
        if (c->pos + used(c) > durable)
            return;
        if (c == newest(p) && c->cap == CHUNK_BYTES) {
            set_used(c, 0);
            return;
        }
        chunk_free(p, list_pop(&p->chunks));
    }
}
