/*
 * base/siphash.c - both widths are one walk over the text; they differ in a constant at the beginning and in
 * how the state is folded at the end.
 */
#include "base/siphash.h"

static uint64_t rotl(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "as the words of the text are");

static inline uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;

    if (n > 0)
        memcpy(&v, p, n);
    return v;
}

static inline void rounds(uint64_t v[4], int n)
{
    while (n-- > 0) {
        v[0] += v[1];
        v[1] = rotl(v[1], 13) ^ v[0];
        v[0] = rotl(v[0], 32);
        v[2] += v[3];
        v[3] = rotl(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotl(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotl(v[1], 17) ^ v[2];
        v[2] = rotl(v[2], 32);
    }
}

static inline void take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

static void walk(uint64_t v[4], const struct siphash_key *key, str s)
{
    size_t i = 0;

    v[0] = key->k[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] ^= key->k[1] ^ UINT64_C(0x646f72616e646f6d);
    v[2] = key->k[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = key->k[1] ^ UINT64_C(0x7465646279746573);
    for (; s.n - i >= 8; i += 8)
        take(v, load(s.p + i, 8));
    take(v, load(s.p + i, s.n - i) | (uint64_t)s.n << 56);
}

uint64_t siphash64(const struct siphash_key *key, str s)
{
    uint64_t v[4] = {0};

    walk(v, key, s);
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct siphash_tag siphash128(const struct siphash_key *key, str s)
{
    uint64_t v[4] = {0, 0xee, 0, 0};
    struct siphash_tag tag;

    walk(v, key, s);
    v[2] ^= 0xee;
    rounds(v, 4);
    tag.t[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(v, 4);
    tag.t[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
    return tag;
}
