/*
 * Bodies as gzip: what comes out is what went in, and whatever cannot be had, the arena is as it was.
 */
#include "http/gzip.h"
#include "test/support/gunzip.h"

#define LARGEST (3 * MIB)

static const size_t sizes[] = {0,
                               1,
                               23,
                               1400,
                               16384,
                               HTTP_GZIP_SMALL,
                               HTTP_GZIP_SMALL + 1,
                               128 * KIB,
                               128 * KIB + 1,
                               1000003,
                               LARGEST};
static char *text, *noise;
static unsigned patience;

static bool is_over(void *ctx)
{
    unsigned *left = ctx;
    return (*left)-- == 0;
}

static struct http_gzip_patience patient(unsigned turns)
{
    patience = turns;
    return (struct http_gzip_patience){is_over, &patience};
}

#define FOR_EVER 1000000u

/* Records, more or less; and bytes that nothing can be made of. */
static void setup(void)
{
    uint64_t x = 88172645463325252u;
    text = malloc(LARGEST + 64);
    noise = malloc(LARGEST);
    ck_assert(text && noise);
    for (size_t n = 0; n < LARGEST;)
        n += (size_t)snprintf(text + n, 64, "{\"id\":\"r%zu\",\"last_modified\":%zu},", n,
                              (size_t)1700000000000 + n * n % 1000);
    for (size_t i = 0; i < LARGEST; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        noise[i] = (char)x;
    }
}

static void teardown(void)
{
    free(text);
    free(noise);
}

START_TEST(what_goes_in_comes_out)
{
    struct arena a;
    str in = {text, sizes[_i]}, out = STR_NONE;
    arena_init(&a, NULL, 0, NULL, 16 * MIB);
    ck_assert_int_eq(http_gzip(&a, in, in.n + 64, patient(FOR_EVER), &out), OK);
    want_gzip_of(out, in);
    ck_assert(!arena_failed(&a));
    ck_assert_uint_le(a.used, MAX_OF(in.n, 32 * KIB)); /* of what it worked with nothing is left */
    if (in.n >= 1400) {
        ck_assert_uint_lt(out.n, in.n / 2);
        ck_assert_int_eq((unsigned char)out.p[0], 0x1f);
        ck_assert_int_eq((unsigned char)out.p[1], 0x8b);
    }
    arena_fini(&a);
}
END_TEST

START_TEST(what_does_not_get_smaller_is_refused)
{
    struct arena a;
    str in = {noise, sizes[_i]}, out = STR_NONE;
    arena_init(&a, NULL, 0, NULL, 16 * MIB);
    char *before = arena_alloc(&a, 100);
    size_t used = a.used;
    ck_assert_int_eq(http_gzip(&a, in, in.n, patient(FOR_EVER), &out), ERR_LIMIT);
    ck_assert(str_none(out) && !arena_failed(&a));
    ck_assert_uint_eq(a.used, used);
    ck_assert_ptr_eq(arena_alloc(&a, 16), before + (WITH_ASAN ? 128 : 112));
    arena_fini(&a);
}
END_TEST

/* The room that it may take is kept to the byte. */
START_TEST(no_more_than_it_may_take)
{
    struct arena a;
    str in = {text, 100000}, out = STR_NONE;
    arena_init(&a, NULL, 0, NULL, 16 * MIB);
    ck_assert_int_eq(http_gzip(&a, in, in.n, patient(FOR_EVER), &out), OK);
    size_t n = out.n;
    ck_assert_int_eq(http_gzip(&a, in, n - 1, patient(FOR_EVER), &out), ERR_LIMIT);
    ck_assert_int_eq(http_gzip(&a, in, 0, patient(FOR_EVER), &out), ERR_LIMIT);
    ck_assert_int_eq(http_gzip(&a, in, n, patient(FOR_EVER), &out), OK);
    want_gzip_of(out, in);
    arena_fini(&a);
}
END_TEST

START_TEST(who_is_asked_may_end_it)
{
    struct arena a;
    str in = {text, LARGEST}, out = STR_NONE;
    arena_init(&a, NULL, 0, NULL, 16 * MIB);
    unsigned turns = 0;
    while (http_gzip(&a, in, in.n, patient(turns), &out) == ERR_AGAIN) {
        ck_assert(!arena_failed(&a) && a.used == 0 && str_none(out));
        turns++;
    }
    ck_assert_uint_gt(turns, 20); /* a millisecond or so each */
    want_gzip_of(out, in);
    arena_fini(&a);
}
END_TEST

/* Each chunk, one after the other, cannot be had. */
START_TEST(without_memory_all_is_as_before)
{
    struct purse purse;
    purse_init(&purse, NULL, 64 * MIB, 0);
    struct purse_holder holder = {.purse = &purse};
    struct arena a;
    str in = {text, _i ? LARGEST : 16 * KIB}, out = STR_NONE;
    arena_init(&a, NULL, 0, NULL, 16 * MIB);
    arena_set_holder(&a, &holder);
    enum err e = ERR_NOMEM;
    unsigned n = 1;
    for (; e != OK; n++) {
        arena_test_fail_chunk(n);
        e = http_gzip(&a, in, in.n, patient(FOR_EVER), &out);
        arena_test_fail_chunk(0);
        ck_assert(e == OK || e == ERR_NOMEM);
        ck_assert(!arena_failed(&a) && !a.over_budget);
        ck_assert_uint_eq(purse_taken(&purse), a.used);
        ck_assert(e == OK || a.used == 0);
    }
    ck_assert_uint_gt(n, 3);
    want_gzip_of(out, in);
    arena_fini(&a);
    ck_assert_uint_eq(purse_taken(&purse), 0);
}
END_TEST

/* A purse, and a budget, of n KiB, from none on: it is not done until there is enough, and that is what the header
 * says. */
START_TEST(it_takes_what_the_header_says)
{
    str in = {text, _i ? LARGEST : HTTP_GZIP_SMALL}, out = STR_NONE;
    size_t most = _i ? 400 * KIB + in.n / 2 : 112 * KIB + in.n, kib = 0;
    enum err e = ERR_NOMEM;
    for (; e != OK; kib++) {
        struct purse purse;
        purse_init(&purse, NULL, kib * KIB, 0);
        struct purse_holder holder = {.purse = &purse};
        struct arena a;
        arena_init(&a, NULL, 0, NULL, 16 * MIB);
        arena_set_holder(&a, &holder);
        e = http_gzip(&a, in, in.n, patient(FOR_EVER), &out);
        ck_assert(e == OK || e == ERR_NOMEM);
        ck_assert(!arena_failed(&a) && (e == OK || purse_taken(&purse) == 0));
        arena_fini(&a);
    }
    ck_assert_uint_le(kib * KIB, most);
    struct arena a;
    arena_init(&a, NULL, 0, NULL, in.n / 8);
    ck_assert_int_eq(http_gzip(&a, in, in.n, patient(FOR_EVER), &out), ERR_NOMEM);
    ck_assert(!arena_failed(&a) && !a.over_budget && a.used == 0);
    arena_fini(&a);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http/gzip");
    TCase *t = tcase_create("gzip");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, what_goes_in_comes_out, 0, ARRAY_LEN(sizes));
    tcase_add_loop_test(t, what_does_not_get_smaller_is_refused, 0, ARRAY_LEN(sizes));
    tcase_add_test(t, no_more_than_it_may_take);
    tcase_add_test(t, who_is_asked_may_end_it);
    tcase_add_loop_test(t, without_memory_all_is_as_before, 0, 2);
    tcase_add_loop_test(t, it_takes_what_the_header_says, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
