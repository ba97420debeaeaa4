/*
 * base/varint.h - unsigned integers in as many bytes as they need: seven bits a byte, the low ones
 * first, the high bit of a byte says that another follows (LEB128). Small numbers on disk are written
 * that way everywhere. No allocation; any thread.
 */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include <endian.h>

#include "base/bytes.h"

#define VARINT_MAX_BYTES   10 /* of 64 bits */
#define VARINT32_MAX_BYTES 5  /* of 32 bits */

/* Writes at most VARINT_MAX_BYTES; returns the byte behind. */
static inline uint8_t *varint_put(uint8_t *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

static inline unsigned varint_size(uint64_t v)
{
    unsigned n = 1;

    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

/* One of at most eight bytes, of which all can be read, in one piece: times of today have six. The groups of seven
 * bits move together in pairs. NULL: it is longer. */
static inline const uint8_t *varint_get_word(const uint8_t *at, uint64_t *out)
{
    uint64_t w = le64toh(bytes_load(at)), ends = ~w & BYTES_TOPS;

    if (ends == 0)
        return NULL;
    w &= ends ^ (ends - 1); /* up to the first byte that ends it */
    w &= UINT64_C(0x7f7f7f7f7f7f7f7f);
    w = (w & UINT64_C(0x7f007f007f007f00)) >> 1 | (w & UINT64_C(0x007f007f007f007f));
    w = (w & UINT64_C(0x3fff00003fff0000)) >> 2 | (w & UINT64_C(0x00003fff00003fff));
    *out = (w & UINT64_C(0x0fffffff00000000)) >> 4 | (w & UINT64_C(0x0fffffff));
    return at + __builtin_ctzll(ends) / 8 + 1;
}

/* Returns the byte behind; NULL: it does not end before `end`, or does not fit. No byte at or behind
 * `end` is read. */
static inline const uint8_t *varint_get(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    const uint8_t *behind;
    uint64_t v = 0;

    if (LIKELY(at < end && *at < 0x80)) { /* most are small */
        *out = *at;
        return at + 1;
    }
    if (end - at >= 8 && (behind = varint_get_word(at, out)) != NULL)
        return behind;
    for (unsigned shift = 0; at < end && shift < 64; shift += 7) {
        uint8_t byte = *at++;
        if (shift == 63 && byte > 1)
            return NULL;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = v;
            return at;
        }
    }
    return NULL;
}

/* The same of a number that fits 32 bits, in VARINT32_MAX_BYTES at most. */
static inline const uint8_t *varint_get32(const uint8_t *at, const uint8_t *end, uint32_t *out)
{
    uint64_t v;

    at = varint_get(at, end - at > VARINT32_MAX_BYTES ? at + VARINT32_MAX_BYTES : end, &v);
    if (at == NULL || v > UINT32_MAX)
        return NULL;
    *out = (uint32_t)v;
    return at;
}

#endif
