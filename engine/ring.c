/* engine/ring.c - see ring.h. */
#include "engine/ring.h"
#include "engine/private.h"

void ring_fini(struct ring *r)
{
    free(r->p);
    ring_init(r, r->item);
}

enum err ring_reserve(struct ring *r, size_t more)
{
    size_t want, cap = MAX_OF(r->cap, (size_t)16), bytes;
    uint8_t *p;

    if (!size_add(ring_count(r), more, &want) || want > SIZE_MAX / 4)
        return ERR_NOMEM;
    if (want <= r->cap)
        return OK;
    while (cap < want)
        cap *= 2;
    if (!size_mul(cap, r->item, &bytes))
        return ERR_NOMEM;
    p = mem_alloc(bytes);
    if (p == NULL)
        return ERR_NOMEM;
    for (uint64_t n = r->head; n < r->tail; n++)
        memcpy(p + (size_t)(n & (cap - 1)) * r->item, ring_at(r, n), r->item);
    free(r->p);
    r->p = p;
    r->cap = cap;
    return OK;
}
