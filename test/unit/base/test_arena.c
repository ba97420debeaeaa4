/* Arena: alignment, budget, sticky failure, spares, extension, marks, clean-ups, poison. */
#include "test/support/unit.h"

#include "base/arena.h"

#if WITH_ASAN
#include <sanitizer/asan_interface.h>
#endif

static _Alignas(16) char first[4096];

START_TEST(blocks_are_aligned_and_apart)
{
    struct arena a;
    uint8_t *p[200];

    arena_init(&a, first, sizeof first, NULL, MIB);
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        p[i] = arena_alloc(&a, i * 7);
        ck_assert_ptr_nonnull(p[i]);
        ck_assert_uint_eq((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        for (size_t k = 0; k < i * 7; k++)
            ck_assert_uint_eq(p[i][k], i);
    arena_fini(&a);
}
END_TEST

START_TEST(blocks_of_no_bytes_are_blocks)
{
    struct arena a;
    void *p, *q;

    arena_init(&a, NULL, 0, NULL, MIB);
    p = arena_alloc(&a, 0);
    q = arena_alloc(&a, 0);
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_ne(p, q);
    arena_fini(&a);
}
END_TEST

START_TEST(the_first_chunk_comes_first_and_costs_no_budget)
{
    struct arena a;
    char *p;

    arena_init(&a, first, sizeof first, NULL, 0);
    p = arena_alloc(&a, 1000);
    ck_assert_ptr_eq(p, first);
    ck_assert_uint_eq(a.used, 0);
    ck_assert_ptr_null(arena_alloc(&a, sizeof first));
    ck_assert(arena_failed(&a));
    arena_reset(&a);
    ck_assert(!arena_failed(&a));
    ck_assert_ptr_eq(arena_alloc(&a, 1000), first);
    arena_fini(&a);
    memset(first, 1, sizeof first); /* given back unpoisoned */
}
END_TEST

START_TEST(the_budget_holds_and_failure_sticks)
{
    struct arena a;
    size_t got = 0;

    arena_init(&a, NULL, 0, NULL, 100 * KIB);
    while (arena_alloc(&a, 1000) != NULL)
        got++;
    ck_assert_uint_ge(got, 95); /* the last chunk is cut down to what the budget leaves */
    ck_assert_uint_le(got, 102);
    ck_assert_uint_le(a.used, a.budget);
    ck_assert(arena_failed(&a));
    arena_reset(&a);
    ck_assert_uint_eq(a.used, 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 90 * KIB));
    ck_assert_ptr_null(arena_alloc(&a, 90 * KIB));
    ck_assert_ptr_nonnull(arena_alloc(&a, 10)); /* small ones may still fit; the mark remains */
    ck_assert(arena_failed(&a));
    arena_fini(&a);
}
END_TEST

START_TEST(one_beside_another_has_as_much_and_tells_what_it_lacked)
{
    struct arena a, beside;
    arena_init(&a, first, sizeof first, NULL, 1024);
    arena_init_beside(&beside, &a);
    ck_assert_ptr_nonnull(arena_alloc(&beside, 1024));
    arena_fini_beside(&beside, &a);
    ck_assert(!arena_failed(&a));

    arena_init_beside(&beside, &a);
    ck_assert_ptr_null(arena_alloc(&beside, 1024 + sizeof first));
    arena_fini_beside(&beside, &a);
    ck_assert(arena_failed(&a) && a.over_budget);
    arena_fini(&a);

    arena_init(&a, first, sizeof first, NULL, SIZE_MAX);
    arena_init_beside(&beside, &a);
    ck_assert_uint_eq(beside.budget, SIZE_MAX);
    arena_fini_beside(&beside, &a);
    arena_fini(&a);
}
END_TEST

START_TEST(sizes_that_overflow_fail)
{
    struct arena a;

    arena_init(&a, first, sizeof first, NULL, MIB);
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 15));
    ck_assert_ptr_null(arena_alloc(&a, SIZE_MAX - 64));
    arena_reset(&a);
    ck_assert_ptr_null(arena_array(&a, SIZE_MAX / 2, 3));
    ck_assert(arena_failed(&a));
    arena_fini(&a);
}
END_TEST

START_TEST(arrays_are_zeroed)
{
    struct arena a;
    uint64_t *p;

    memset(first, 0xff, sizeof first);
    arena_init(&a, first, sizeof first, NULL, 0);
    p = ARENA_NEW_ARRAY(&a, uint64_t, 10);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(p[i], 0);
    arena_fini(&a);
}
END_TEST

START_TEST(spares_are_kept_and_taken)
{
    struct arena_spares spares = {.max_chunks = 2};
    struct arena a;
    void *p, *q;

    arena_init(&a, NULL, 0, &spares, MIB);
    p = arena_alloc(&a, 100);
    arena_reset(&a);
    ck_assert_uint_eq(spares.count, 1);
    q = arena_alloc(&a, 100);
    ck_assert_ptr_eq(p, q);
    ck_assert_uint_eq(spares.count, 0);

    for (int i = 0; i < 40; i++)
        arena_alloc(&a, 10000); /* several chunks */
    arena_fini(&a);
    ck_assert_uint_eq(spares.count, 2);
    arena_spares_fini(&spares);
    ck_assert_uint_eq(spares.count, 0);
    ck_assert_ptr_null(spares.head);
}
END_TEST

START_TEST(chunks_of_odd_sizes_are_no_spares)
{
    struct arena_spares spares = {.max_chunks = 8};
    struct arena a;

    arena_init(&a, NULL, 0, &spares, 10 * MIB);
    arena_alloc(&a, 300000);
    arena_reset(&a);
    ck_assert_uint_eq(spares.count, 0);
    arena_fini(&a);
    arena_spares_fini(&spares);
}
END_TEST

START_TEST(a_spare_that_is_over_budget_is_not_taken)
{
    struct arena_spares spares = {.max_chunks = 8};
    struct arena a;

    arena_init(&a, NULL, 0, &spares, MIB);
    arena_alloc(&a, 100);
    arena_fini(&a);
    ck_assert_uint_eq(spares.count, 1);
    arena_init(&a, NULL, 0, &spares, 8 * KIB);
    ck_assert_ptr_nonnull(arena_alloc(&a, 100));
    ck_assert_uint_eq(spares.count, 1);
    ck_assert_uint_le(a.used, 8 * KIB);
    arena_fini(&a);
    arena_spares_fini(&spares);
}
END_TEST

START_TEST(the_newest_block_grows_in_place)
{
    struct arena a;
    char *p, *q;

    arena_init(&a, first, sizeof first, NULL, MIB);
    p = arena_extend(&a, NULL, 0, 10);
    memcpy(p, "0123456789", 10);
    ck_assert_ptr_eq(arena_extend(&a, p, 10, 1000), p);
    ck_assert_mem_eq(p, "0123456789", 10);
    ck_assert_ptr_eq(arena_extend(&a, p, 1000, 20), p); /* and shrinks */
    q = arena_alloc(&a, 16);
    ck_assert_uint_lt((size_t)(q - p), 100);
    arena_fini(&a);
}
END_TEST

START_TEST(other_blocks_grow_by_copy)
{
    struct arena a;
    char *p, *q;

    arena_init(&a, first, sizeof first, NULL, MIB);
    p = arena_alloc(&a, 10);
    memcpy(p, "0123456789", 10);
    arena_alloc(&a, 10);
    ck_assert_ptr_eq(arena_extend(&a, p, 10, 5), p);
    q = arena_extend(&a, p, 10, 50);
    ck_assert_ptr_ne(p, q);
    ck_assert_mem_eq(q, "0123456789", 10);
    /* Past the chunk's end, too. */
    p = arena_extend(&a, q, 50, 100000);
    ck_assert_mem_eq(p, "0123456789", 10);
    arena_fini(&a);
}
END_TEST

/* What is alone in its chunk takes no more than it is large, however often it grew. */
START_TEST(a_large_block_takes_its_chunk_along)
{
    struct arena a;
    size_t n = 300 * KIB;
    arena_init(&a, first, sizeof first, NULL, 3 * MIB);
    char *p = arena_extend(&a, arena_alloc(&a, n), n, n);
    memset(p, 'x', n);
    for (size_t next = 2 * n; next < 2 * MIB; n = next, next *= 2) {
        p = arena_extend(&a, p, n, next);
        ck_assert_ptr_nonnull(p);
        ck_assert_int_eq(p[0], 'x');
        ck_assert_int_eq(p[300 * KIB - 1], 'x');
        memset(p, 'x', next);
        ck_assert_uint_lt(a.used, next + 100);
    }
    ck_assert_ptr_null(arena_extend(&a, p, n, 3 * MIB));
    ck_assert(a.over_budget);
    ck_assert_int_eq(p[n - 1], 'x');
    a.failed = a.over_budget = false;
    arena_test_fail_chunk(1);
    ck_assert_ptr_null(arena_extend(&a, p, n, n + MIB));
    arena_test_fail_chunk(0);
    ck_assert(a.failed && !a.over_budget);
    ck_assert_int_eq(p[n - 1], 'x');
    char *q = arena_alloc(&a, 10); /* from now on it is not alone, or not the newest */
    p = arena_extend(&a, p, n, n + 100 * KIB);
    ck_assert_ptr_nonnull(p);
    ck_assert(p + n < q || q + 10 <= p);
    ck_assert_int_eq(p[n - 1], 'x');
    arena_fini(&a);
}
END_TEST

START_TEST(a_failed_extension_leaves_the_block)
{
    struct arena a;
    char *p;

    arena_init(&a, first, sizeof first, NULL, 0);
    p = arena_alloc(&a, 10);
    memcpy(p, "0123456789", 10);
    ck_assert_ptr_null(arena_extend(&a, p, 10, 10000));
    ck_assert_ptr_null(arena_extend(&a, p, 10, SIZE_MAX));
    ck_assert_mem_eq(p, "0123456789", 10);
    ck_assert(arena_failed(&a));
    arena_fini(&a);
}
END_TEST

START_TEST(release_goes_back_to_the_mark)
{
    struct arena a;
    struct arena_mark m;
    void *p, *q;

    arena_init(&a, first, sizeof first, NULL, MIB);
    arena_alloc(&a, 100);
    m = arena_mark(&a);
    p = arena_alloc(&a, 100);
    for (int i = 0; i < 50; i++)
        arena_alloc(&a, 5000);
    ck_assert_uint_gt(a.used, 0);
    arena_release(&a, m);
    ck_assert_uint_eq(a.used, 0);
    q = arena_alloc(&a, 100);
    ck_assert_ptr_eq(p, q);

    /* A mark in a later chunk, with that chunk staying. */
    arena_alloc(&a, 5000);
    m = arena_mark(&a);
    p = arena_alloc(&a, 300000);
    ck_assert_ptr_nonnull(p);
    arena_release(&a, m);
    ck_assert_uint_eq(a.used, 16 * KIB);
    arena_fini(&a);
}
END_TEST

START_TEST(the_nth_chunk_fails_on_command)
{
    struct arena a;

    arena_init(&a, NULL, 0, NULL, MIB);
    arena_test_fail_chunk(2);
    ck_assert_ptr_nonnull(arena_alloc(&a, 100));
    ck_assert_ptr_null(arena_alloc(&a, 20000));
    ck_assert(arena_failed(&a));
    ck_assert_ptr_nonnull(arena_alloc(&a, 20000)); /* only that one */
    arena_test_fail_chunk(1);
    arena_test_fail_chunk(0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 100000));
    arena_fini(&a);
}
END_TEST

START_TEST(copies_end_with_nul)
{
    struct arena a;
    str s, parts[3] = {STR_INIT("ab"), {NULL, 0}, STR_INIT("cd")};
    char longer[3000];

    arena_init(&a, first, sizeof first, NULL, MIB);
    s = arena_str(&a, (str){"abcdef", 3});
    ck_assert_str_is(s, "abc");
    ck_assert_int_eq(s.p[3], 0);
    ck_assert_str_eq(arena_cstr(&a, STR("xyz")), "xyz");
    s = arena_str(&a, STR_NONE);
    ck_assert(!str_none(s) && s.n == 0 && s.p[0] == 0);
    s = arena_concat(&a, parts, 3);
    ck_assert_str_is(s, "abcd");
    ck_assert_int_eq(s.p[4], 0);
    s = arena_concat(&a, NULL, 0);
    ck_assert_uint_eq(s.n, 0);
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    s = arena_printf(&a, "%d-%s", 42, longer);
    ck_assert_uint_eq(s.n, 3 + sizeof longer - 1);
    ck_assert(str_starts(s, STR("42-xxx")));
    arena_fini(&a);
}
END_TEST

START_TEST(copies_without_memory_are_none)
{
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 0);
    ck_assert(str_none(arena_str(&a, STR("x"))));
    ck_assert(str_none(arena_printf(&a, "%d", 1)));
    ck_assert(str_none(arena_concat(&a, (str[]){STR("x")}, 1)));
    ck_assert_ptr_null(arena_cstr(&a, STR("x")));
    ck_assert_ptr_null(ARENA_NEW(&a, struct arena));
    arena_fini(&a);
}
END_TEST

START_TEST(latin_1_becomes_utf_8)
{
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 4096);
    ck_assert_str_is(arena_utf8(&a, STR("\xc3\xa9\xe2\x82\xac")),
                     "\xc3\xa9\xe2\x82\xac"); /* it is */
    ck_assert_str_is(arena_utf8(&a, STR("caf\xe9\x80\xff!")), "caf\xc3\xa9\xc2\x80\xc3\xbf!");
    ck_assert_str_is(arena_utf8(&a, STR("")), "");
    ck_assert(str_none(arena_utf8(&a, STR_NONE)));
    ck_assert(!arena_failed(&a));
    arena_fini(&a);
    arena_init(&a, NULL, 0, NULL, 0);
    ck_assert(str_none(arena_utf8(&a, STR("\xff"))));
    ck_assert(arena_failed(&a));
    arena_fini(&a);
}
END_TEST

#if WITH_ASAN
START_TEST(what_is_not_allocated_is_poisoned)
{
    struct arena a;
    char *p, *q;

    arena_init(&a, first, sizeof first, NULL, MIB);
    p = arena_alloc(&a, 10);
    q = arena_alloc(&a, 16);
    ck_assert(!__asan_address_is_poisoned(p + 9));
    ck_assert(__asan_address_is_poisoned(p + 10));
    ck_assert(__asan_address_is_poisoned(q + 16)); /* a red zone, though 16 fills the step */
    arena_reset(&a);
    ck_assert(__asan_address_is_poisoned(p));
    p = arena_alloc(&a, 10);
    arena_alloc(&a, 10);
    q = arena_extend(&a, p, 10, 100);
    ck_assert(__asan_address_is_poisoned(p)); /* moved away */
    ck_assert(!__asan_address_is_poisoned(q + 99));
    arena_fini(&a);
    ck_assert(!__asan_address_is_poisoned(first + 100));
}
END_TEST
#endif

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/arena");
    TCase *tc = tcase_create("arena");

    tcase_add_test(tc, blocks_are_aligned_and_apart);
    tcase_add_test(tc, blocks_of_no_bytes_are_blocks);
    tcase_add_test(tc, the_first_chunk_comes_first_and_costs_no_budget);
    tcase_add_test(tc, the_budget_holds_and_failure_sticks);
    tcase_add_test(tc, sizes_that_overflow_fail);
    tcase_add_test(tc, one_beside_another_has_as_much_and_tells_what_it_lacked);
    tcase_add_test(tc, arrays_are_zeroed);
    tcase_add_test(tc, spares_are_kept_and_taken);
    tcase_add_test(tc, chunks_of_odd_sizes_are_no_spares);
    tcase_add_test(tc, a_spare_that_is_over_budget_is_not_taken);
    tcase_add_test(tc, the_newest_block_grows_in_place);
    tcase_add_test(tc, other_blocks_grow_by_copy);
    tcase_add_test(tc, a_large_block_takes_its_chunk_along);
    tcase_add_test(tc, a_failed_extension_leaves_the_block);
    tcase_add_test(tc, release_goes_back_to_the_mark);
    tcase_add_test(tc, the_nth_chunk_fails_on_command);
    tcase_add_test(tc, copies_end_with_nul);
    tcase_add_test(tc, copies_without_memory_are_none);
    tcase_add_test(tc, latin_1_becomes_utf_8);
#if WITH_ASAN
    tcase_add_test(tc, what_is_not_allocated_is_poisoned);
#endif
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
