/*
 * base/decimal.h - whole numbers in decimal, without printf: they are in every answer. No allocation; any thread.
 */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include "base/base.h"

#define DECIMAL_MAX_BYTES 20 /* of 64 bits, a sign included */

/* Writes at most DECIMAL_MAX_BYTES, no NUL; returns the byte behind. */
static inline char *decimal_put_u64(char *at, uint64_t v)
{
    char digits[DECIMAL_MAX_BYTES];
    size_t i = sizeof digits;

    do {
        digits[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    memcpy(at, digits + i, sizeof digits - i);
    return at + (sizeof digits - i);
}

static inline char *decimal_put_i64(char *at, int64_t v)
{
    if (v >= 0)
        return decimal_put_u64(at, (uint64_t)v);
    *at = '-';
    return decimal_put_u64(at + 1, 0 - (uint64_t)v);
}

#endif
