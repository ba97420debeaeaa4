/*
 * base/siphash.h - SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
 *
 * A keyed function for short texts: who does not know the key cannot choose texts that collide, nor tell from
 * what comes out what went in. Any thread.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/str.h"

struct siphash_key {
    uint64_t k[2]; /* drawn at random, and kept to oneself */
};

uint64_t siphash64(const struct siphash_key *key, str s);

/* 128 bits: as good as the text itself for telling whether two are the same. */
struct siphash_tag {
    uint64_t t[2];
};
struct siphash_tag siphash128(const struct siphash_key *key, str s);

/* Takes as long whatever they are. */
static inline bool siphash_tag_equal(const struct siphash_tag *a, const struct siphash_tag *b)
{
    return ((a->t[0] ^ b->t[0]) | (a->t[1] ^ b->t[1])) == 0;
}

#endif
