/* CRC-32C: published values, and that every way of computing it gives the same. */
#include "test/support/unit.h"

#include "base/crc.c" /* for the ways */

START_TEST(published_values)
{
    uint8_t p[32];

    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xE3069283);
    ck_assert_uint_eq(crc32c(0, "", 0), 0);
    memset(p, 0, sizeof p); /* RFC 3720, B.4 */
    ck_assert_uint_eq(crc32c(0, p, sizeof p), 0x8A9136AA);
    memset(p, 0xff, sizeof p);
    ck_assert_uint_eq(crc32c(0, p, sizeof p), 0x62A8AB43);
    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)i;
    ck_assert_uint_eq(crc32c(0, p, sizeof p), 0x46DD794E);
    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)(31 - i);
    ck_assert_uint_eq(crc32c(0, p, sizeof p), 0x113FDB5C);
}
END_TEST

/* The definition, a bit at a time. */
static uint32_t naive(const uint8_t *p, size_t n)
{
    uint32_t c = ~0u;

    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
    }
    return ~c;
}

START_TEST(all_ways_agree)
{
    uint8_t p[300];

    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)(i * 167 + 13);
    for (size_t start = 0; start < 9; start++)
        for (size_t n = 0; n + start <= sizeof p; n++) {
            uint32_t want = naive(p + start, n);
            ck_assert_uint_eq(crc32c(0, p + start, n), want);
            ck_assert_uint_eq(~by_table(~0u, p + start, n), want);
#if defined(__x86_64__) || defined(__aarch64__)
            if (cpu_can())
                ck_assert_uint_eq(~by_cpu(~0u, p + start, n), want);
#endif
        }
}
END_TEST

/* Around each length at which a way does something else: several blocks, the largest one, and what is left. */
START_TEST(all_ways_agree_on_pages)
{
    enum { MOST = 10000 };
    static uint8_t p[MOST];
    uint32_t c = ~0u;

    for (size_t i = 0; i < sizeof p; i++)
        p[i] = (uint8_t)(i * i >> 3 ^ i * 31);
    for (size_t n = 0; n <= sizeof p; n++) {
        ck_assert_uint_eq(crc32c(0, p, n), ~c);
        if (n % 13 == 0)
            ck_assert_uint_eq(crc32c(crc32c(0, p, n / 3), p + n / 3, n - n / 3), ~c);
        c = by_table(c, p + n, n < sizeof p);
    }
}
END_TEST

START_TEST(parts_add_up)
{
    const char text[] = "a sum may be taken in parts, of any sizes";

    for (size_t cut = 0; cut <= sizeof text; cut++)
        ck_assert_uint_eq(crc32c(crc32c(0, text, cut), text + cut, sizeof text - cut),
                          crc32c(0, text, sizeof text));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/crc");
    TCase *tc = tcase_create("crc");

    tcase_add_test(tc, published_values);
    tcase_add_test(tc, all_ways_agree);
    tcase_add_test(tc, all_ways_agree_on_pages);
    tcase_add_test(tc, parts_add_up);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
