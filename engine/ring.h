/*
 * engine/ring.h - a queue of equal items that is pushed and popped at the back and popped at the
 * front; grows by doubling, never shrinks. The writer's journals are rings: what a transaction did
 * is pushed; it is popped at the front once durable, or at the back to be undone.
 */
#ifndef ENGINE_RING_H
#define ENGINE_RING_H

#include "base/err.h"

struct ring {
    uint8_t *p;
    size_t item, cap;    /* bytes of an item; items that fit (a power of two, or 0) */
    uint64_t head, tail; /* counted from the beginning of time: items live in [head, tail) */
};

static inline void ring_init(struct ring *r, size_t item)
{
    *r = (struct ring){.item = item};
}

void ring_fini(struct ring *r);
/* Room for `more` pushes, which then cannot fail. */
MUST_CHECK enum err ring_reserve(struct ring *r, size_t more);

static inline size_t ring_count(const struct ring *r)
{
    return (size_t)(r->tail - r->head);
}

/* The item with number n, head <= n < tail. */
static inline void *ring_at(const struct ring *r, uint64_t n)
{
    DCHECK(n >= r->head && n < r->tail);
    return r->p + (size_t)(n & (r->cap - 1)) * r->item;
}

static inline void *ring_push(struct ring *r)
{
    CHECK(ring_count(r) < r->cap);
    r->tail++;
    return ring_at(r, r->tail - 1);
}

static inline void *ring_front(const struct ring *r) /* NULL: empty */
{
    return r->head == r->tail ? NULL : ring_at(r, r->head);
}

static inline void *ring_back(const struct ring *r) /* NULL: empty */
{
    return r->head == r->tail ? NULL : ring_at(r, r->tail - 1);
}

static inline void ring_pop_front(struct ring *r)
{
    r->head++;
}

static inline void ring_pop_back(struct ring *r)
{
    r->tail--;
}

#endif
