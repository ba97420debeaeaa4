/* Buffers: growth, maximum, sticky failure, both kinds of memory. */
#include "test/support/unit.h"

#include "base/buf.h"

START_TEST(appends_add_up)
{
    struct buf b;

    buf_init(&b, KIB);
    ck_assert_str_is(buf_str(&b), "");
    ck_assert(!str_none(buf_str(&b)));
    buf_add_lit(&b, "ab");
    buf_add_str(&b, STR("cd"));
    buf_add_str(&b, STR_NONE);
    buf_add_char(&b, '-');
    buf_add_u64(&b, UINT64_MAX);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, 0);
    buf_printf(&b, "%s!%d", "x", 7);
    ck_assert(!buf_failed(&b));
    ck_assert_str_is(buf_str(&b), "abcd-18446744073709551615 0x!7");
    buf_clear(&b);
    ck_assert_uint_eq(b.n, 0);
    buf_add_lit(&b, "again");
    ck_assert_str_is(buf_str(&b), "again");
    buf_fini(&b);
    ck_assert_ptr_null(b.p);
}
END_TEST

START_TEST(exactly_the_maximum_fits)
{
    struct buf b;

    for (int how = 0; how < 2; how++) {
        buf_init(&b, 10);
        if (how == 0)
            buf_add(&b, "0123456789", 10);
        else
            buf_printf(&b, "%s", "0123456789");
        ck_assert(!buf_failed(&b));
        ck_assert_str_is(buf_str(&b), "0123456789");
        buf_add_char(&b, 'x');
        ck_assert_int_eq(b.err, ERR_LIMIT);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(failure_sticks_until_cleared)
{
    struct buf b;

    buf_init(&b, 4);
    buf_add_lit(&b, "12345");
    ck_assert_int_eq(b.err, ERR_LIMIT);
    buf_add_lit(&b, "1");
    buf_printf(&b, "%d", 1);
    ck_assert_uint_eq(b.n, 0);
    ck_assert_int_eq(buf_reserve(&b, 0), ERR_LIMIT);
    buf_clear(&b);
    buf_add_lit(&b, "1234");
    ck_assert(!buf_failed(&b));
    buf_fini(&b);

    buf_init(&b, 4);
    buf_printf(&b, "%s", "12345");
    ck_assert_int_eq(b.err, ERR_LIMIT);
    buf_fini(&b);
}
END_TEST

START_TEST(reserved_room_is_there)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    ck_assert_int_eq(buf_reserve(&b, 1000), OK);
    ck_assert_uint_ge(b.cap, 1000);
    memset(b.p, 'x', 1000);
    b.n = 1000;
    ck_assert_int_eq(buf_reserve(&b, SIZE_MAX), ERR_LIMIT);
    buf_fini(&b);
}
END_TEST

START_TEST(growth_doubles_and_stops_at_the_maximum)
{
    struct buf b;

    buf_init(&b, 100000);
    for (int i = 0; i < 100000; i++)
        buf_add_char(&b, (char)i);
    ck_assert(!buf_failed(&b));
    ck_assert_uint_eq(b.n, 100000);
    ck_assert_uint_eq(b.cap, 100000);
    for (int i = 0; i < 100000; i++)
        ck_assert_int_eq(b.p[i], (char)i);
    buf_fini(&b);
}
END_TEST

START_TEST(an_arena_gives_the_memory)
{
    struct arena a;
    struct buf b;

    arena_init(&a, NULL, 0, NULL, MIB);
    buf_init_arena(&b, &a, MIB);
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%d,", i % 10);
    ck_assert(!buf_failed(&b));
    ck_assert_uint_eq(b.n, 20000);
    ck_assert_uint_lt(a.used, 128 * KIB);
    arena_fini(&a);
}
END_TEST

START_TEST(an_arena_at_its_end_is_nomem)
{
    struct arena a;
    struct buf b;

    arena_init(&a, NULL, 0, NULL, 20 * KIB);
    buf_init_arena(&b, &a, MIB);
    for (int i = 0; i < 30000; i++)
        buf_add_char(&b, 'x');
    ck_assert_int_eq(b.err, ERR_NOMEM);
    ck_assert(arena_failed(&a));
    arena_fini(&a);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/buf");
    TCase *tc = tcase_create("buf");

    tcase_add_test(tc, appends_add_up);
    tcase_add_test(tc, exactly_the_maximum_fits);
    tcase_add_test(tc, failure_sticks_until_cleared);
    tcase_add_test(tc, reserved_room_is_there);
    tcase_add_test(tc, growth_doubles_and_stops_at_the_maximum);
    tcase_add_test(tc, an_arena_gives_the_memory);
    tcase_add_test(tc, an_arena_at_its_end_is_nomem);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
