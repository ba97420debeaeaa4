/*
 * base/purse.c - one budget that many share.
 *
 * Invariant: `taken` is never above `most`, but for the moment in which somebody who asked for too much has
 * not yet put it back. Others may be refused in that moment, none gets what is not there.
 */
#include "base/purse.h"

void purse_init(struct purse *p, struct purse *outer, size_t most, size_t kept)
{
    CHECK(kept <= most);
    p->outer = outer;
    p->most = most;
    p->kept = kept;
    atomic_init(&p->taken, 0);
}

static bool take_one(struct purse *p, size_t n, bool light)
{
    size_t most = light ? p->most : p->most - p->kept;
    size_t before;

    if (n > most) /* the sum below cannot overflow */
        return false;
    before = atomic_fetch_add_explicit(&p->taken, n, memory_order_relaxed);
    if (before <= most - n)
        return true;
    atomic_fetch_sub_explicit(&p->taken, n, memory_order_relaxed);
    return false;
}

bool purse_take(struct purse *p, size_t n, size_t holds)
{
    bool light = holds <= PURSE_LIGHT_BYTES && n <= PURSE_LIGHT_BYTES - holds;

    for (struct purse *at = p; at != NULL; at = at->outer)
        if (!take_one(at, n, light)) {
            for (struct purse *back = p; back != at; back = back->outer)
                atomic_fetch_sub_explicit(&back->taken, n, memory_order_relaxed);
            return false;
        }
    return true;
}

void purse_give_back(struct purse *p, size_t n)
{
    for (; p != NULL; p = p->outer)
        atomic_fetch_sub_explicit(&p->taken, n, memory_order_relaxed);
}

bool purse_holder_take(struct purse_holder *h, size_t n)
{
    if (!purse_take(h->purse, n, purse_holds(h)))
        return false;
    atomic_fetch_add_explicit(&h->holds, n, memory_order_relaxed);
    return true;
}

void purse_holder_give_back(struct purse_holder *h, size_t n)
{
    size_t held = atomic_fetch_sub_explicit(&h->holds, n, memory_order_relaxed);

    CHECK(held >= n);
    purse_give_back(h->purse, n);
}
