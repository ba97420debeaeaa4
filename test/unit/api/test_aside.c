/*
 * Reads that take long are done by other threads: which ones, and that their answers are the same, whatever else
 * happens meanwhile.
 */
#include "test/unit/api/full_pool.h"

#define C       "/v1/buckets/b/collections/c"
#define RECORDS 1000

static pthread_t loop_thread;
static unsigned here, aside; /* lists that this thread looked at, and others */

static void timed(void *ctx, enum store_timed what, uint64_t ns)
{
    (void)ctx;
    (void)ns;
    if (what != STORE_TIMED_LIST)
        return;
    unsigned *n = pthread_equal(pthread_self(), loop_thread) ? &here : &aside;
    __atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

/* So many lists were looked at since the last call, by the loop and by others. */
static void want_looked(unsigned by_loop, unsigned by_others)
{
    ck_assert_uint_eq(here, by_loop);
    ck_assert_uint_eq(aside, by_others);
    here = aside = 0;
}

static void setup_records(void)
{
    setup();
    user = "alice:x";
    loop_thread = pthread_self();
    server.api->patient_ms =
        UINT64_MAX; /* what is counted does not depend on how crowded the machine is */
    want(201, "PUT", "/v1/buckets/b", NULL);
    want(201, "PUT", C, NULL);
    for (int i = 0; i < RECORDS; i += 25) {
        struct buf b;
        buf_init_arena(&b, &keep, MIB);
        buf_add_lit(&b, "{\"defaults\":{\"method\":\"PUT\"},\"requests\":[");
        for (int k = i; k < i + 25; k++)
            buf_printf(&b, "%s{\"path\":\"" C "/records/r%d\",\"body\":{\"data\":{\"n\":%d}}}",
                       k > i ? "," : "", k, k);
        buf_add_lit(&b, "]}");
        ck_assert_int_eq(ask_raw("POST", STR("/v1/batch"), NULL, buf_str(&b))->status, 200);
    }
    store_observe(server.store, &(struct store_observer){NULL, timed});
    here = aside = 0;
}

static void teardown_records(void)
{
    teardown(); /* the observer goes with the store, when the pools' threads have ended */
}

static size_t count_at(const struct fake_answer *a, const char *pointer)
{
    struct json *v;
    ck_assert_ok(json_pointer_get(&keep, a->json, str_from(pointer), &v));
    return json_count(v);
}

static size_t listed(const char *query)
{
    const char *target = arena_printf(&keep, C "/records%s", query).p;
    const struct fake_answer *a = want(200, "GET", target, NULL);
    return count_at(a, "/data");
}

START_TEST(what_is_long_is_done_elsewhere)
{
    ck_assert_uint_eq(listed("?_limit=50"), 50);
    want_looked(1, 0);
    ck_assert_uint_eq(listed("?n=17"), 1);
    want_looked(1, 1); /* begun here */
    ck_assert_uint_eq(listed(""), RECORDS);
    want_looked(1, 1);
    ck_assert_uint_eq(listed("?min_n=500&_sort=-n&_limit=3"), 3);
    want_looked(1, 1);
    ck_assert_int_eq(ask("HEAD", C "/records?_since=1", NULL, NULL)->status, 200);
    want_looked(1, 0); /* keys are counted quickly */
    ck_assert_int_eq(ask("HEAD", C "/records?min_n=1", NULL, NULL)->status, 200);
    want_looked(1, 1);
    want(404, "GET", C "/records/none", NULL);
    want_looked(0, 0);
}
END_TEST

/* So many times at least loops could go first since the last call; 0: never. */
static void want_ways(unsigned at_least)
{
    unsigned made = atomic_exchange(&fake_ways_made, 0);
    ck_assert_uint_ge(made, at_least);
    ck_assert(at_least > 0 || made == 0);
}

/* While objects are looked at, sorted, taken, and packed. */
START_TEST(what_is_long_lets_loops_go_first)
{
    want_ways(0);
    ck_assert_uint_eq(listed("?_limit=50"), 50);
    want_ways(0);
    ck_assert_uint_eq(listed("?min_n=2000"), 0);
    want_ways(2);
    ck_assert_uint_eq(listed(""), RECORDS);
    want_ways(1);
    ck_assert_uint_eq(listed("?_sort=-n"), RECORDS);
    want_ways(2 + RECORDS / 32 + RECORDS / 128); /* looked at, sorted, taken */
    ck_assert_int_eq(ask("GET", C "/records", "Accept-Encoding: gzip\n", NULL)->status, 200);
    want_ways(1 + RECORDS * 50 / (8 * KIB)); /* packed, and they have more than 50 bytes each */
    unsigned n = fill_lane();                /* on the loop there is nobody to let go first */
    ck_assert_uint_eq(listed("?min_n=990"), 10);
    want_ways(0);
    empty_lane(n);
}
END_TEST

/* Nothing of the first run is left in the answer of the second. */
START_TEST(answers_are_the_same)
{
    const struct fake_answer *a = want(200, "GET", C "/records?_sort=n&_limit=400", NULL);
    unsigned seen = 0;
    want_looked(1, 1);
    for (unsigned i = 0; i < a->nheaders; i++)
        for (unsigned k = 0; k < i; k++)
            ck_assert(!str_eq_nocase(a->headers[i].name, a->headers[k].name));
    for (unsigned i = 0; i < a->nheaders; i++)
        seen +=
            str_eq(a->headers[i].name, STR("Next-Page")) || str_eq(a->headers[i].name, STR("ETag"));
    ck_assert_uint_eq(seen, 2);
    for (int i = 0; i < 400; i++)
        ck_assert_str_is(at(a, arena_printf(&keep, "/data/%d/n", i).p),
                         arena_printf(&keep, "%d", i).p);
    user = "bob:x";
    want(403, "GET", C "/records", NULL);
}
END_TEST

/* All of its parts share a session, which is long together. */
START_TEST(a_batch_goes_as_a_whole)
{
    const struct fake_answer *a =
        want(200, "POST", "/v1/batch",
             "{\"requests\":[{\"path\":\"" C "/records/r1\"},{\"path\":\"" C
             "/records?_limit=200\"},{\"path\":\"" C "/records?_limit=200&_sort=n\"},{\"path\":\"" C
             "/records?n=3\"}]}");
    ck_assert_str_is(at(a, "/responses/0/status"), "200");
    ck_assert_uint_eq(count_at(a, "/responses/1/body/data"), 200);
    ck_assert_uint_eq(count_at(a, "/responses/2/body/data"), 200);
    ck_assert_str_is(at(a, "/responses/3/body/data/0/id"), "\"r3\"");
    ck_assert_uint_gt(aside, 2);
    here = aside = 0;
    want(200, "POST", "/v1/batch",
         "{\"requests\":[{\"path\":\"" C "/records?n=3\"},{\"method\":\"PUT\",\"path\":\"" C
         "/records/new\"}]}");
    want_looked(1, 0); /* writes stay where they are */
}
END_TEST

/* When the pool takes no more the loop does all of it. */
START_TEST(the_loop_does_it_if_nobody_else_can)
{
    unsigned n = fill_lane();
    ck_assert_uint_eq(listed(""), RECORDS);
    want_looked(2, 0);
    ck_assert_uint_eq(listed("?min_n=990"), 10);
    want_looked(2, 0);
    empty_lane(n);
    ck_assert_uint_eq(listed("?min_n=990"), 10);
    want_looked(1, 1);
}
END_TEST

/* A stop waits for nothing that is long. */
START_TEST(a_stop_does_not_read)
{
    api_stop(server.api);
    want(503, "GET", C "/records", NULL);
    want_looked(1, 0); /* begun, and given up */
    ck_assert_uint_eq(listed("?_limit=50"), 50);
    want_looked(1, 0);
}
END_TEST

/* Large ones are long by their bytes. */
START_TEST(bytes_count_too)
{
    struct buf b;
    buf_init_arena(&b, &keep, MIB);
    buf_add_lit(&b, "{\"data\":{\"text\":\"");
    for (int i = 0; i < 100000; i++)
        buf_add_char(&b, 'x');
    buf_add_lit(&b, "\"}}");
    for (int i = 0; i < 8; i++) {
        str target = arena_printf(&keep, C "/records/large%d", i);
        ck_assert_int_eq(ask_raw("PUT", target, NULL, buf_str(&b))->status, 201);
    }
    here = aside = 0;
    ck_assert_uint_eq(listed("?_limit=3"), 3);
    want_looked(1, 0);
    ck_assert_uint_eq(listed("?_limit=8"), 8);
    want_looked(1, 1);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {what_is_long_is_done_elsewhere,
                                  what_is_long_lets_loops_go_first,
                                  answers_are_the_same,
                                  a_batch_goes_as_a_whole,
                                  the_loop_does_it_if_nobody_else_can,
                                  a_stop_does_not_read,
                                  bytes_count_too};
    Suite *s = suite_create("api/aside");

    tests_of(s, "aside", setup_records, teardown_records, tests, ARRAY_LEN(tests));
    return s;
}

UNIT_MAIN(make_suite)
