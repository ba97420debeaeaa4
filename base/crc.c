/*
 * base/crc.c - CRC-32C three ways: SSE4.2, the CRC extension of ARMv8, and eight tables ("slicing
 * by eight") for everything else. The way is chosen at the first call; all give the same sums.
 *
 * Words are put together from bytes in little-endian order, which on little-endian machines
 * compiles to one load, and is right on the others.
 */
#include "base/crc.h"

#include <pthread.h>
#include <stdatomic.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define POLYNOMIAL UINT32_C(0x82F63B78) /* 0x1EDC6F41 with its bits reversed */

static uint32_t tables[8][256]; /* [k][b]: the effect of byte b with k zero bytes behind it */
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = b;
        for (int bit = 0; bit < 8; bit++)
            c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
        tables[0][b] = c;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++)
            tables[k][b] = tables[k - 1][b] >> 8 ^ tables[0][tables[k - 1][b] & 255];
}

static uint64_t load_le64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

/* These work on the register's contents; crc32c() inverts before and after. */
static uint32_t by_table(uint32_t c, const uint8_t *p, size_t n)
{
    pthread_once(&tables_once, make_tables);
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w = load_le64(p) ^ c;
        c = 0;
        for (int k = 0; k < 8; k++)
            c ^= tables[7 - k][w >> (8 * k) & 255];
    }
    for (; n > 0; p++, n--)
        c = c >> 8 ^ tables[0][(c ^ *p) & 255];
    return c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_cpu(uint32_t c, const uint8_t *p, size_t n)
{
    uint64_t wide = c;

    for (; n >= 8; p += 8, n -= 8)
        wide = _mm_crc32_u64(wide, load_le64(p));
    c = (uint32_t)wide;
    for (; n > 0; p++, n--)
        c = _mm_crc32_u8(c, *p);
    return c;
}

static bool cpu_can(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__)
#ifdef __clang__
__attribute__((target("crc")))
#else
__attribute__((target("+crc")))
#endif
static uint32_t
by_cpu(uint32_t c, const uint8_t *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8)
        c = __crc32cd(c, load_le64(p));
    for (; n > 0; p++, n--)
        c = __crc32cb(c, *p);
    return c;
}

static bool cpu_can(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
#else
#define by_cpu by_table

static bool cpu_can(void)
{
    return false;
}
#endif

typedef uint32_t way(uint32_t c, const uint8_t *p, size_t n);

static uint32_t choose(uint32_t c, const uint8_t *p, size_t n);
static _Atomic(way *) chosen = choose;

static uint32_t choose(uint32_t c, const uint8_t *p, size_t n)
{
    way *w = cpu_can() ? by_cpu : by_table;
    atomic_store_explicit(&chosen, w, memory_order_relaxed);
    return w(c, p, n);
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    way *w = atomic_load_explicit(&chosen, memory_order_relaxed);
    return ~w(~crc, p, n);
}

/* One byte forwards is c = (c >> 8) ^ row(low byte), and no two rows have the same high byte: that
 * tells which row it was. Bit by bit, the other way round. */
uint32_t crc32c_undo(uint32_t crc, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    uint32_t c = ~crc;

    while (n > 0) {
        for (int bit = 0; bit < 8; bit++)
            c = c >> 31 ? (c ^ 0x82F63B78u) << 1 | 1 : c << 1;
        c ^= bytes[--n];
    }
    return ~c;
}
