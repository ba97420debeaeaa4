/*
 * base/purse.h: what is left for whom, and what an arena takes out of one.
 */
#include "base/arena.h"
#include "test/support/unit.h"

#include <pthread.h>

#define LIGHT PURSE_LIGHT_BYTES

START_TEST(gives_no_more_than_it_has)
{
    struct purse p;

    purse_init(&p, NULL, 1000, 0);
    ck_assert(purse_take(&p, 600, LIGHT));
    ck_assert(!purse_take(&p, 401, LIGHT));
    ck_assert(purse_take(&p, 400, LIGHT));
    ck_assert(!purse_take(&p, 1, LIGHT));
    ck_assert(!purse_take(&p, SIZE_MAX, 0));
    purse_give_back(&p, 600);
    ck_assert_uint_eq(purse_taken(&p), 400);
    ck_assert(purse_take(&p, 600, 0));
}
END_TEST

START_TEST(keeps_a_part_for_those_who_hold_little)
{
    struct purse p;

    purse_init(&p, NULL, 10 * LIGHT, 2 * LIGHT);
    ck_assert(purse_take(&p, 8 * LIGHT, 0));
    ck_assert(!purse_take(&p, LIGHT + 1, 0));
    ck_assert(!purse_take(&p, LIGHT, 1)); /* with what it holds it is too much */
    ck_assert(!purse_take(&p, 1, LIGHT));
    ck_assert(purse_take(&p, LIGHT, 0));
    ck_assert(purse_take(&p, 1, LIGHT - 1));
    ck_assert_uint_eq(purse_taken(&p), 9 * LIGHT + 1);
}
END_TEST

START_TEST(one_in_another)
{
    struct purse all, a, b;

    purse_init(&all, NULL, 1000, 0);
    purse_init(&a, &all, 700, 0);
    purse_init(&b, &all, 700, 0);
    ck_assert(purse_take(&a, 700, LIGHT));
    ck_assert(!purse_take(&a, 1, LIGHT));
    ck_assert(!purse_take(&b, 301, LIGHT)); /* its own has it, the outer one has not */
    ck_assert_uint_eq(purse_taken(&b), 0);
    ck_assert(purse_take(&b, 300, LIGHT));
    ck_assert_uint_eq(purse_taken(&all), 1000);
    purse_give_back(&a, 700);
    purse_give_back(&b, 300);
    ck_assert_uint_eq(purse_taken(&all) + purse_taken(&a) + purse_taken(&b), 0);
}
END_TEST

#define THREADS 4
#define TURNS   100000

static struct purse shared, shared_outer;

static void *take_and_give(void *over)
{
    for (int i = 0; i < TURNS; i++) {
        if (purse_take(&shared, 300, LIGHT)) {
            if (purse_taken(&shared) > 1000 + THREADS * 300)
                *(bool *)over = true;
            purse_give_back(&shared, 300);
        }
    }
    return NULL;
}

START_TEST(nothing_is_lost_between_threads)
{
    pthread_t t[THREADS];
    bool over[THREADS] = {0};

    purse_init(&shared_outer, NULL, 1000, 0);
    purse_init(&shared, &shared_outer, 1000, 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, take_and_give, &over[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        ck_assert(!over[i]);
    }
    ck_assert_uint_eq(purse_taken(&shared), 0);
    ck_assert_uint_eq(purse_taken(&shared_outer), 0);
}
END_TEST

/* ---- arenas ---------------------------------------------------------------------------------- */

START_TEST(an_arena_takes_its_chunks_out_of_it)
{
    struct purse p;
    struct purse_holder h = {.purse = NULL};
    struct arena a;
    struct arena_spares spares = {.max_chunks = 4};
    _Alignas(16) char first[512];

    purse_init(&p, NULL, MIB, 0);
    arena_init(&a, first, sizeof first, &spares, SIZE_MAX);
    h.purse = &p;
    arena_set_holder(&a, &h);
    ck_assert_ptr_nonnull(arena_alloc(&a, 100));
    ck_assert_uint_eq(purse_taken(&p), 0); /* the first chunk is the owner's */
    ck_assert_ptr_nonnull(arena_alloc(&a, 1000));
    ck_assert_uint_eq(purse_taken(&p), a.used);
    struct arena_mark m = arena_mark(&a);
    ck_assert_ptr_nonnull(arena_alloc(&a, 300000));
    ck_assert_uint_eq(purse_taken(&p), a.used);
    arena_release(&a, m);
    ck_assert_uint_eq(purse_taken(&p), a.used);
    arena_reset(&a);
    ck_assert_uint_eq(purse_taken(&p), 0); /* spares are nobody's */
    ck_assert_uint_gt(spares.count, 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 1000));
    ck_assert_uint_eq(purse_taken(&p), a.used); /* a spare one */
    arena_fini(&a);
    arena_spares_fini(&spares);
}
END_TEST

/* Whoever has much of one kind is not taken for somebody who holds little of another. */
START_TEST(a_holder_is_one_whatever_for)
{
    struct purse p;
    struct purse_holder h = {.purse = &p};
    struct arena a;

    purse_init(&p, NULL, 4 * LIGHT, 2 * LIGHT);
    arena_init(&a, NULL, 0, NULL, 64 * MIB);
    arena_set_holder(&a, &h);
    ck_assert(purse_holder_take(&h, 2 * LIGHT));
    ck_assert_ptr_null(arena_alloc(&a, 100));
    ck_assert_uint_eq(purse_holds(&h), 2 * LIGHT);
    arena_reset(&a);
    purse_holder_give_back(&h, 2 * LIGHT);
    ck_assert_ptr_nonnull(arena_alloc(&a, 100));
    ck_assert_uint_eq(purse_holds(&h), a.used);
    ck_assert(!purse_holder_take(&h, LIGHT * 2));
    arena_fini(&a);
    ck_assert_uint_eq(purse_holds(&h) + purse_taken(&p), 0);
}
END_TEST

START_TEST(an_empty_purse_is_like_no_memory)
{
    struct purse p;
    struct purse_holder h = {.purse = NULL};
    struct arena a, beside;

    purse_init(&p, NULL, MIB, 0);
    arena_init(&a, NULL, 0, NULL, 64 * MIB);
    h.purse = &p;
    arena_set_holder(&a, &h);
    ck_assert_ptr_null(arena_alloc(&a, 2 * MIB));
    ck_assert(arena_failed(&a) && !a.over_budget);
    ck_assert_uint_eq(purse_taken(&p), 0);
    arena_reset(&a);
    arena_init_beside(&beside, &a);
    ck_assert_ptr_null(arena_alloc(&beside, 2 * MIB));
    arena_fini_beside(&beside, &a);
    ck_assert(arena_failed(&a) && !a.over_budget);
    arena_fini(&a);
}
END_TEST

START_TEST(a_growing_block_takes_what_it_grows_by)
{
    struct purse p;
    struct purse_holder h = {.purse = NULL};
    struct arena a;
    size_t n = 300 * KIB;

    purse_init(&p, NULL, MIB, 0);
    arena_init(&a, NULL, 0, NULL, 64 * MIB);
    h.purse = &p;
    arena_set_holder(&a, &h);
    char *block = arena_alloc(&a, n), *more;
    ck_assert_ptr_nonnull(block);
    memset(block, 'x', n);
    while ((more = arena_extend(&a, block, n, n + 100 * KIB)) != NULL) {
        block = more;
        n += 100 * KIB;
        ck_assert_uint_eq(purse_taken(&p), a.used);
    }
    ck_assert_uint_ge(n, 900 * KIB);
    ck_assert_uint_eq(purse_taken(&p), a.used);
    ck_assert_int_eq(block[300 * KIB - 1], 'x'); /* it stays */
    arena_reset(&a);
    block = arena_alloc(&a, 300 * KIB);
    arena_test_fail_chunk(1);
    ck_assert_ptr_null(arena_extend(&a, block, 300 * KIB, 400 * KIB));
    ck_assert_uint_eq(purse_taken(&p), a.used); /* what was taken for nothing is back */
    arena_fini(&a);
    ck_assert_uint_eq(purse_taken(&p), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("base/purse");
    TCase *t = tcase_create("purse");

    tcase_add_test(t, gives_no_more_than_it_has);
    tcase_add_test(t, keeps_a_part_for_those_who_hold_little);
    tcase_add_test(t, one_in_another);
    tcase_add_test(t, nothing_is_lost_between_threads);
    suite_add_tcase(s, t);
    t = tcase_create("arena");
    tcase_add_test(t, an_arena_takes_its_chunks_out_of_it);
    tcase_add_test(t, a_holder_is_one_whatever_for);
    tcase_add_test(t, an_empty_purse_is_like_no_memory);
    tcase_add_test(t, a_growing_block_takes_what_it_grows_by);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
