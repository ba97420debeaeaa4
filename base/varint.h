/*
 * base/varint.h - unsigned integers in as many bytes as they need: seven bits a byte, the low ones
 * first, the high bit of a byte says that another follows (LEB128). Small numbers on disk are written
 * that way everywhere. No allocation; any thread.
 */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include "base/base.h"

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

/* Returns the byte behind; NULL: it does not end before `end`, or does not fit. No byte at or behind
 * `end` is read. */
static inline const uint8_t *varint_get(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;

    if (LIKELY(at < end && *at < 0x80)) { /* most are small */
        *out = *at;
        return at + 1;
    }
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
