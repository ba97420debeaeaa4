/*
 * base/bytes.h - eight bytes at a time, as one number. ("SWAR": H. S. Warren, Hacker's Delight, 6-1.)
 *
 * A mark is the top bit of a byte that has what is asked for. Some sums borrow from one byte to the next, so what is
 * said of the marks differs:
 *
 *     exact    a byte is marked if and only if it has it
 *     lowest   the lowest mark is right, and there is one if any byte has it; those above it may be false, or missing
 *
 * Lowest means first in memory only where numbers are little-endian: bytes_first().
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/base.h"

/* That byte in each of the eight. */
#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))
#define BYTES_TOPS   EACH_BYTE(0x80)

static inline uint64_t bytes_load(const void *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return w;
}

/* Those that are `c`. Lowest. */
static inline uint64_t bytes_equal(uint64_t w, unsigned char c)
{
    uint64_t x = w ^ EACH_BYTE(c);

    return (x - EACH_BYTE(1)) & ~x & BYTES_TOPS;
}

/* Those that are less than n, which is 0x80 at most. Lowest. */
static inline uint64_t bytes_below(uint64_t w, unsigned char n)
{
    return (w - EACH_BYTE(n)) & ~w & BYTES_TOPS;
}

/* Those from `first` to `last`, both below 0x80. Exact. */
static inline uint64_t bytes_between(uint64_t w, unsigned char first, unsigned char last)
{
    uint64_t low = w & ~BYTES_TOPS;

    return (low + EACH_BYTE(0x80u - first)) & ~(low + EACH_BYTE(0x7fu - last)) & ~w & BYTES_TOPS;
}

/* Which of the eight in memory has the lowest mark; 0 where the order is the other way round: each byte is to be looked
 * at then. There is a mark. */
static inline size_t bytes_first(uint64_t marks)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (size_t)__builtin_ctzll(marks) / 8;
#else
    (void)marks;
    return 0;
#endif
}

#endif
