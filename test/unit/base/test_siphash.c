/* SipHash-2-4, 64 and 128 bits: key 00..0f, messages 00, 00 01 and so on, as published and as OpenSSL has it. */
#include "base/siphash.h"
#include "test/support/unit.h"

static const struct siphash_key key = {
    {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)}};
static uint8_t message[16];

static str first(size_t n)
{
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    return (str){(const char *)message, n};
}

START_TEST(of_64_bits)
{
    ck_assert_uint_eq(siphash64(&key, first(15)), UINT64_C(0xa129ca6149be45e5)); /* the paper's */
    ck_assert_uint_eq(siphash64(&key, STR("")), UINT64_C(0x726fdb47dd0e0e31));
    ck_assert_uint_eq(siphash64(&key, first(8)), UINT64_C(0x93f5f5799a932462));
}
END_TEST

static const struct {
    size_t n;
    uint8_t tag[16];
} wide[] = {
    {0,
     {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02,
      0x93}},
    {1,
     {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc,
      0x45}},
    {8,
     {0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61, 0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14, 0x97,
      0xb4}},
    {15,
     {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3,
      0xd9}},
    {16,
     {0x6e, 0xe2, 0xa4, 0xca, 0x67, 0xb0, 0x54, 0xbb, 0xfd, 0x33, 0x15, 0xbf, 0x85, 0x23, 0x05,
      0x77}},
};

START_TEST(of_128_bits)
{
    struct siphash_tag tag = siphash128(&key, first(wide[_i].n));

    for (size_t i = 0; i < sizeof wide[_i].tag; i++)
        ck_assert_uint_eq(tag.t[i / 8] >> (8 * (i % 8)) & 0xff, wide[_i].tag[i]);
    ck_assert(siphash_tag_equal(&tag, &tag));
    for (unsigned bit = 0; bit < 128; bit++) {
        struct siphash_tag other = tag;
        other.t[bit / 64] ^= UINT64_C(1) << bit % 64;
        ck_assert(!siphash_tag_equal(&tag, &other));
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/siphash");
    TCase *c = tcase_create("siphash");

    tcase_add_test(c, of_64_bits);
    tcase_add_loop_test(c, of_128_bits, 0, ARRAY_LEN(wide));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
