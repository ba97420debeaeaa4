/*
 * base/rate.h: what settings may say, and that nobody gets more than that.
 */
#include "base/rate.h"
#include "test/support/unit.h"

#include <pthread.h>

#define S  UINT64_C(1000000000)
#define T0 (1000 * S) /* the clock has been running for a while */

static struct rate_table *t;

static void make(const char *text)
{
    struct rate r;

    ck_assert_int_eq(rate_parse(str_from(text), &r), OK);
    ck_assert_int_eq(rate_table_new(&t, &r), OK);
}

static void teardown(void)
{
    rate_table_free(t);
    t = NULL;
}

START_TEST(what_settings_say)
{
    static const struct {
        const char *text;
        enum err e;
        uint64_t interval_ns, burst;
    } rows[] = {
        {"100/second", OK, S / 100, 100},
        {"100/s", OK, S / 100, 100},
        {" 30/Minute ", OK, 2 * S, 30},
        {"60/min burst 5", OK, S, 5},
        {"1/h", OK, 3600 * S, 1},
        {"1/day burst 1000", OK, 86400 * S, 1000},
        {"1000000000/s", OK, 1, 1000000000},
        {"", ERR_SYNTAX, 0, 0},
        {"100", ERR_SYNTAX, 0, 0},
        {"100/", ERR_SYNTAX, 0, 0},
        {"100/fortnight", ERR_SYNTAX, 0, 0},
        {"/second", ERR_SYNTAX, 0, 0},
        {"-1/second", ERR_SYNTAX, 0, 0},
        {"1.5/second", ERR_SYNTAX, 0, 0},
        {"0/second", ERR_RANGE, 0, 0},
        {"1000000001/second", ERR_RANGE, 0, 0},
        {"99999999999999999999999/s", ERR_SYNTAX, 0, 0},
        {"1/s burst", ERR_SYNTAX, 0, 0},
        {"1/s burst 0", ERR_RANGE, 0, 0},
        {"1/s 5", ERR_SYNTAX, 0, 0},
        {"1/s burst 5 6", ERR_SYNTAX, 0, 0},
        {"1/s/s", ERR_SYNTAX, 0, 0},
        {"1/day burst 1000000000", ERR_RANGE, 0, 0}, /* 2.7 million years */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rate r = {0};
        enum err e = rate_parse(str_from(rows[i].text), &r);
        ck_assert_msg(e == rows[i].e, "\"%s\": %d", rows[i].text, e);
        ck_assert_msg(r.interval_ns == rows[i].interval_ns && r.burst == rows[i].burst, "\"%s\"",
                      rows[i].text);
    }
}
END_TEST

START_TEST(a_burst_and_then_the_rate)
{
    make("10/second burst 3");
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(rate_take(t, 7, T0), 0);
    ck_assert_uint_eq(rate_take(t, 7, T0), S / 10);
    ck_assert_uint_eq(rate_take(t, 7, T0), S / 10); /* what is refused costs nothing */
    ck_assert_uint_eq(rate_take(t, 7, T0 + S / 20), S / 20);
    ck_assert_uint_eq(rate_take(t, 7, T0 + S / 10), 0);
    ck_assert_uint_eq(rate_take(t, 7, T0 + S / 10), S / 10);
    ck_assert_uint_eq(rate_take(t, 8, T0), 0); /* somebody else */
    for (int i = 0; i < 3; i++) /* after a rest the burst is there again, and no more */
        ck_assert_uint_eq(rate_take(t, 7, T0 + 100 * S), 0);
    ck_assert_uint_gt(rate_take(t, 7, T0 + 100 * S), 0);
}
END_TEST

START_TEST(charging_is_never_refused)
{
    make("1/second burst 2");
    for (int i = 0; i < 6; i++)
        rate_charge(t, 7, T0);
    ck_assert_uint_eq(rate_take(t, 7, T0), 5 * S);
    ck_assert_uint_eq(rate_take(t, 7, T0 + 4 * S), S);
    ck_assert_uint_eq(rate_take(t, 7, T0 + 5 * S), 0);
}
END_TEST

START_TEST(looking_costs_nothing)
{
    make("1/second burst 2");
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(rate_wait_ns(t, 7, T0), 0);
    ck_assert_uint_eq(rate_take(t, 7, T0), 0);
    ck_assert_uint_eq(rate_wait_ns(t, 7, T0), 0);
    ck_assert_uint_eq(rate_take(t, 7, T0), 0);
    ck_assert_uint_eq(rate_wait_ns(t, 7, T0), S);
    ck_assert_uint_eq(rate_wait_ns(t, 7, T0 + S), 0);
    ck_assert_uint_eq(rate_take(t, 7, T0 + S), 0);
}
END_TEST

/* However much is counted at once: the debt neither wraps nor lasts for ever. */
START_TEST(a_debt_has_a_bound)
{
    make("2/day");
    uint64_t day = UINT64_C(24) * 3600 * 1000000000;
    for (int i = 0; i < 300000; i++)
        rate_charge(t, 7, 1);
    uint64_t wait = rate_take(t, 7, 1);
    ck_assert_uint_gt(wait, day);
    ck_assert_uint_le(wait, 5 * day);
    ck_assert_uint_eq(rate_take(t, 7, 1 + 5 * day), 0);
}
END_TEST

/* A full table: who owes much is remembered, whoever comes. */
START_TEST(a_flood_of_strangers_clears_no_debt)
{
    make("1/second burst 5");
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(rate_take(t, 7, T0), 0);
    for (uint64_t key = 1000; key < 1000 + 20 * RATE_SLOTS; key++)
        ck_assert_uint_eq(rate_take(t, key, T0), 0);
    ck_assert_uint_eq(rate_take(t, 7, T0), S);
}
END_TEST

/* ... and whoever has used up nothing any more makes room. */
START_TEST(places_are_free_again)
{
    make("1/second burst 5");
    for (uint64_t key = 1; key <= 4 * RATE_SLOTS; key++)
        for (int i = 0; i < 5; i++)
            (void)rate_take(t, key, T0);
    for (uint64_t key = 1; key <= RATE_SLOTS; key++) {
        ck_assert_uint_eq(rate_take(t, key, T0 + 10 * S), 0);
        for (int i = 0; i < 4; i++)
            ck_assert_uint_eq(rate_take(t, key, T0 + 10 * S), 0);
    }
    for (uint64_t key = 1; key <= RATE_SLOTS; key++) /* all are remembered */
        ck_assert_uint_eq(rate_take(t, key, T0 + 10 * S), S);
}
END_TEST

#define THREADS 4

static void *take_all(void *taken)
{
    for (int i = 0; i < 100000; i++)
        *(unsigned *)taken += rate_take(t, 7, T0) == 0;
    return NULL;
}

START_TEST(threads_share_one_burst)
{
    pthread_t threads[THREADS];
    unsigned taken[THREADS] = {0}, all = 0;

    make("1/second burst 1000");
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_all, &taken[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += taken[i];
    }
    ck_assert_uint_eq(all, 1000);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("base/rate");
    TCase *tc = tcase_create("rate");

    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, what_settings_say);
    tcase_add_test(tc, a_burst_and_then_the_rate);
    tcase_add_test(tc, charging_is_never_refused);
    tcase_add_test(tc, looking_costs_nothing);
    tcase_add_test(tc, a_debt_has_a_bound);
    tcase_add_test(tc, a_flood_of_strangers_clears_no_debt);
    tcase_add_test(tc, places_are_free_again);
    tcase_add_test(tc, threads_share_one_burst);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
