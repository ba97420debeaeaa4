/*
 * base/crc.c - CRC-32C in several ways: SSE4.2, with PCLMULQDQ in three streams at once; the CRC extension of ARMv8; and
 * eight tables ("slicing by eight") for everything else. The way is chosen at the first call; all give the same sums.
 */
#include "base/crc.h"

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
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

/* Loads are what there is most of: each has to become one instruction. */
static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof w);
    return le64toh(w);
}

/* These work on the register's contents; crc32c() inverts before and after. */
typedef uint32_t way(uint32_t c, const uint8_t *p, size_t n);

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

#if defined(__x86_64__) || defined(__aarch64__)
static inline uint32_t load_le32(const uint8_t *p)
{
    uint32_t w;

    memcpy(&w, p, sizeof w);
    return le32toh(w);
}
#endif

#if defined(__x86_64__)
#define SSE   __attribute__((target("sse4.2")))
#define CLMUL __attribute__((target("sse4.2,pclmul")))

SSE static uint32_t by_cpu(uint32_t c, const uint8_t *p, size_t n)
{
    uint64_t wide = c;

    for (; n >= 8; p += 8, n -= 8)
        wide = _mm_crc32_u64(wide, load_le64(p));
    c = (uint32_t)wide;
    if (n & 4) {
        c = _mm_crc32_u32(c, load_le32(p));
        p += 4;
    }
    for (n &= 3; n > 0; p++, n--)
        c = _mm_crc32_u8(c, *p);
    return c;
}

/* An instruction can begin in each cycle, but what goes on from its result has to wait for three. So the sums of three thirds
 * are made at the same time, and put together (Gopal and others: "Fast CRC Computation for iSCSI Polynomial Using
 * CRC32 Instruction", Intel 2011). A sum is a polynomial; n bytes of zeros behind what it is of multiply it by x^8n. That
 * is a multiplication without carries, and what reduces the product is the instruction again:
 * it multiplies its 64 bits by x^32, which with the one that the order of the bits costs makes 33. */
#define THIRD_MIN 4u   /* words of eight bytes; for less it does not pay */
#define THIRD_MAX 168u /* a page is three of these */

static uint32_t moves[2 * THIRD_MAX + 1]; /* [w]: x^(64 w - 33), what moves a sum by w words */
static pthread_once_t moves_once = PTHREAD_ONCE_INIT;

static void make_moves(void)
{
    uint32_t c = 1; /* x^31: the lowest bit is the highest power */

    for (unsigned w = 1; w < ARRAY_LEN(moves); w++) {
        moves[w] = c;
        for (int bit = 0; bit < 64; bit++)
            c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
    }
}

CLMUL static uint64_t move(uint64_t c, size_t words)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)c),
                                           _mm_cvtsi64_si128((long long)moves[words]), 0);

    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

CLMUL static uint32_t by_thirds(uint32_t c, const uint8_t *p, size_t n)
{
    while (n >= 3 * 8 * THIRD_MIN) {
        size_t words = MIN_OF(n / 24, (size_t)THIRD_MAX);
        const uint8_t *second = p + 8 * words, *third = second + 8 * words;
        uint64_t a = c, b = 0, d = 0;
        for (size_t at = 0; at < 8 * words; at += 8) {
            a = _mm_crc32_u64(a, load_le64(p + at));
            b = _mm_crc32_u64(b, load_le64(second + at));
            d = _mm_crc32_u64(d, load_le64(third + at));
        }
        c = (uint32_t)(move(a, 2 * words) ^ move(b, words) ^ d);
        p = third + 8 * words;
        n -= 24 * words;
    }
    return by_cpu(c, p, n);
}

static bool cpu_can(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
}

static bool cpu_multiplies(void)
{
    return cpu_can() && __builtin_cpu_supports("pclmul");
}

static way *best(void)
{
    if (!cpu_multiplies())
        return cpu_can() ? by_cpu : by_table;
    pthread_once(&moves_once, make_moves);
    return by_thirds;
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
    if (n & 4) {
        c = __crc32cw(c, load_le32(p));
        p += 4;
    }
    for (n &= 3; n > 0; p++, n--)
        c = __crc32cb(c, *p);
    return c;
}

static bool cpu_can(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}

static way *best(void)
{
    return cpu_can() ? by_cpu : by_table;
}
#else
static way *best(void)
{
    return by_table;
}
#endif

static uint32_t choose(uint32_t c, const uint8_t *p, size_t n);
static _Atomic(way *) chosen = choose;

static uint32_t choose(uint32_t c, const uint8_t *p, size_t n)
{
    way *w = best();
    atomic_store_explicit(&chosen, w, memory_order_release); /* with what it reads */
    return w(c, p, n);
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    way *w = atomic_load_explicit(&chosen, memory_order_acquire);
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
