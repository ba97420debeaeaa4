/*
 * base/purse.h - one budget that many share, and many smaller ones inside it.
 *
 * What a server holds for its clients is bounded for each (arenas, buffers with a maximum), but many
 * times a bounded amount is a lot. So whoever holds more than a little takes it out of a purse first,
 * and gives it back with the memory. A purse may lie in another one: what is taken out of it is taken
 * out of that, too. (One for each client inside one for all: a client that takes all it can get leaves
 * something to the others.)
 *
 * A part of each purse is kept for those who ask for little, so that small requests are served while large
 * ones have to wait.
 *
 * Any thread; nothing blocks, and what is refused has taken nothing.
 */
#ifndef BASE_PURSE_H
#define BASE_PURSE_H

#include "base/base.h"

#include <stdatomic.h>

/* Who holds so much in all, or less, may have the kept part, too: a TLS session, a long head and a small
 * request have room in it. */
#define PURSE_LIGHT_BYTES (128 * KIB)

struct purse {
    struct purse *outer; /* that it lies in, or NULL; outlives it */
    size_t most;         /* bytes */
    size_t kept;         /* of them for those who hold little */
    atomic_size_t taken;
};

/* `kept` is at most `most`. */
void purse_init(struct purse *p, struct purse *outer, size_t most, size_t kept);

/* n bytes for somebody who holds `holds` bytes already. False: there is not enough left. */
MUST_CHECK bool purse_take(struct purse *p, size_t n, size_t holds);
void purse_give_back(struct purse *p, size_t n); /* of what was taken */

/* Somebody who takes out of a purse by several ways (his memory of one kind, and of another), so that all
 * that he holds is counted together. Any thread. */
struct purse_holder {
    struct purse *purse; /* outlives him */
    atomic_size_t holds;
};

MUST_CHECK bool purse_holder_take(struct purse_holder *h, size_t n);
void purse_holder_give_back(struct purse_holder *h, size_t n);

static inline size_t purse_holds(const struct purse_holder *h)
{
    return atomic_load_explicit(&h->holds, memory_order_relaxed);
}

/* Could somebody who holds little have n bytes of this one alone? (Not of those that it lies in.) */
static inline bool purse_has(const struct purse *p, size_t n)
{
    size_t taken = atomic_load_explicit(&p->taken, memory_order_relaxed);

    return taken <= p->most && n <= p->most - taken;
}

static inline size_t purse_taken(const struct purse *p)
{
    return atomic_load_explicit(&p->taken, memory_order_relaxed);
}

#endif
