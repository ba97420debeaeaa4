/*
 * engine/bits.h - a set of page numbers, a bit each. Grows in zeros, never shrinks; reading beyond
 * its end is not allowed. Owned by one thread at a time.
 */
#ifndef ENGINE_BITS_H
#define ENGINE_BITS_H

#include "base/err.h"

struct bits {
    uint64_t *w;
    size_t words;
};

static inline size_t bits_words(size_t bits)
{
    return (bits + 63) / 64;
}

static inline bool bits_get(const struct bits *b, size_t i)
{
    return b->w[i / 64] >> (i % 64) & 1;
}

static inline void bits_set(struct bits *b, size_t i)
{
    b->w[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline void bits_clear(struct bits *b, size_t i)
{
    b->w[i / 64] &= ~((uint64_t)1 << (i % 64));
}

static inline size_t bits_count(const struct bits *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->words; i++)
        n += (size_t)__builtin_popcountll(b->w[i]);
    return n;
}

/* Room for at least `words` words; the new ones are zero. NOMEM: unchanged. */
MUST_CHECK enum err bits_grow(struct bits *b, size_t words);
void bits_fini(struct bits *b);

#endif
