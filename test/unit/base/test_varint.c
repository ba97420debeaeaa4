/* Integers in as many bytes as they need. */
#include "test/support/unit.h"

#include "base/varint.h"

static const struct {
    uint64_t v;
    unsigned size;
} sizes[] = {{0, 1},          {1, 1},
             {0x7f, 1},       {0x80, 2},
             {0x3fff, 2},     {0x4000, 3},
             {UINT32_MAX, 5}, {(uint64_t)UINT32_MAX + 1, 5},
             {INT64_MAX, 9},  {(uint64_t)1 << 63, 10},
             {UINT64_MAX, 10}};

/* Nothing behind its own bytes is touched, and with one byte less it is no number. */
START_TEST(there_and_back)
{
    uint8_t at[VARINT_MAX_BYTES + 1];
    uint64_t v = sizes[_i].v, back = ~v;
    unsigned n = sizes[_i].size;

    memset(at, 0xaa, sizeof at);
    ck_assert_ptr_eq(varint_put(at, v), at + n);
    ck_assert_uint_eq(varint_size(v), n);
    ck_assert_uint_eq(at[n], 0xaa);
    ck_assert_ptr_eq(varint_get(at, at + n, &back), at + n);
    ck_assert_uint_eq(back, v);
    ck_assert_ptr_null(varint_get(at, at + n - 1, &back));

    uint32_t narrow = 0;
    const uint8_t *end = varint_get32(at, at + n, &narrow);
    ck_assert(v > UINT32_MAX ? end == NULL : end == at + n && narrow == v);
}
END_TEST

/* The same whatever follows: numbers of every length, each bit of them, in the midst of other bytes. */
START_TEST(in_the_midst_of_others)
{
    static const uint8_t fills[] = {0x00, 0x55, 0x7f, 0x80, 0xaa, 0xff};

    for (unsigned bit = 0; bit < 64; bit++)
        for (size_t i = 0; i < ARRAY_LEN(fills); i++)
            for (unsigned room = 0; room < 10; room++) {
                uint64_t all = UINT64_MAX >> (63 - bit), one = (uint64_t)1 << bit, back = 0;
                uint8_t at[24];
                memset(at, fills[i], sizeof at);
                uint8_t *end = varint_put(at, all);
                ck_assert_ptr_eq(varint_get(at, end + room, &back), end);
                ck_assert_uint_eq(back, all);
                memset(at, fills[i], sizeof at);
                end = varint_put(at, one);
                ck_assert_ptr_eq(varint_get(at, end + room, &back), end);
                ck_assert_uint_eq(back, one);
            }
}
END_TEST

START_TEST(what_is_no_number)
{
    static const uint8_t endless[11] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                        0x80, 0x80, 0x80, 0x80, 0x00};
    static const uint8_t too_large[10] = {0xff, 0xff, 0xff, 0xff, 0xff,
                                          0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t long_zero[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
    uint64_t v;
    uint32_t narrow;

    ck_assert_ptr_null(varint_get(endless, endless, &v));
    ck_assert_ptr_null(varint_get(endless, endless + sizeof endless, &v));
    ck_assert_ptr_null(varint_get(too_large, too_large + sizeof too_large, &v));
    ck_assert_ptr_null(varint_get32(long_zero, long_zero + sizeof long_zero, &narrow));
    ck_assert_ptr_nonnull(varint_get(long_zero, long_zero + sizeof long_zero, &v));
    ck_assert_uint_eq(v, 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/varint");
    TCase *tc = tcase_create("varint");

    tcase_add_loop_test(tc, there_and_back, 0, ARRAY_LEN(sizes));
    tcase_add_test(tc, in_the_midst_of_others);
    tcase_add_test(tc, what_is_no_number);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
