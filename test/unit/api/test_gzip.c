/*
 * Answers as gzip, where the threads that make them, or the memory, are not to be had: then they go out as they are.
 */
#include "test/unit/api/full_pool.h"

#include "test/support/gunzip.h"

#define C    "/v1/buckets/b/collections/c"
#define ASKS "Accept-Encoding: gzip\n"

enum { SMALL_BYTES = 8000, LARGE_BYTES = 100000 };

static const char *const paths[] = {C "/records/small", C "/records/large", C "/records"};

static void put_text(const char *id, int n)
{
    struct buf b;
    buf_init_arena(&b, &keep, MIB);
    buf_add_lit(&b, "{\"data\":{\"text\":\"");
    for (int i = 0; i < n / 10; i++)
        buf_printf(&b, "%09d ", i * 7919);
    buf_add_lit(&b, "\"}}");
    str target = arena_printf(&keep, C "/records/%s", id);
    ck_assert_int_eq(ask_raw("PUT", target, NULL, buf_str(&b))->status, 201);
}

static void setup_texts(void)
{
    setup();
    user = "alice:x";
    want(201, "PUT", "/v1/buckets/b", NULL);
    want(201, "PUT", C, NULL);
    put_text("small", SMALL_BYTES);
    put_text("large", LARGE_BYTES);
}

static bool is_packed(const struct fake_answer *a)
{
    return !str_none(fake_header(a, "Content-Encoding"));
}

/* The right answer, packed or not; says which. */
static bool asked(const char *path)
{
    const struct fake_answer *plain = ask("GET", path, NULL, NULL);
    const struct fake_answer *a = ask("GET", path, ASKS, NULL);
    ck_assert_int_eq(a->status, 200);
    ck_assert(!is_packed(plain) && !a->out_of_memory);
    ck_assert_str_is(fake_header(a, "Vary"), "Accept-Encoding");
    if (is_packed(a))
        want_gzip_of(a->body, plain->body);
    else
        ck_assert(str_eq(a->body, plain->body));
    return is_packed(a);
}

START_TEST(all_sizes_are_packed)
{
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        ck_assert(asked(paths[i]));
}
END_TEST

START_TEST(a_stop_packs_nothing)
{
    api_stop(server.api);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        ck_assert(!asked(paths[i]));
}
END_TEST

START_TEST(nobody_waits_behind_many)
{
    unsigned n = fill_lane();
    ck_assert(asked(paths[0])); /* its loop does it */
    ck_assert(!asked(paths[1]));
    ck_assert(!asked(paths[2]));
    empty_lane(n);
    ck_assert(asked(paths[1]));
}
END_TEST

/* Each chunk of the arena fails, one after the other. What is not an error is whole. */
START_TEST(memory_runs_out_everywhere)
{
    const char *path = paths[_i];
    const struct fake_answer *plain = ask("GET", path, NULL, NULL);
    unsigned packed = 0, as_it_is = 0;
    for (fake_memory.fail_chunk = 1; packed < 5; fake_memory.fail_chunk++) {
        ck_assert_uint_lt(fake_memory.fail_chunk, 1000);
        const struct fake_answer *a = ask("GET", path, ASKS, NULL);
        packed += is_packed(a);
        if (is_packed(a))
            want_gzip_of(a->body, plain->body);
        else if (a->status == 200)
            ck_assert(str_eq(a->body, plain->body));
        else
            ck_assert_int_eq(a->status, 503);
        as_it_is += a->status == 200 && !is_packed(a);
    }
    ck_assert_uint_gt(as_it_is, 0); /* memory that only packing wants */
    fake_memory.fail_chunk = 0;
    ck_assert(asked(path));
}
END_TEST

/* A budget that holds the answer, and not what is made of it. */
START_TEST(a_budget_is_for_the_answer)
{
    unsigned as_it_is = 0;
    bool packed = false;
    for (fake_memory.budget = 16 * KIB; !packed; fake_memory.budget += 8 * KIB) {
        const struct fake_answer *a = ask("GET", paths[1], ASKS, NULL);
        packed = is_packed(a);
        as_it_is += a->status == 200 && !packed;
        ck_assert(a->status == 200 || a->status == 413);
        ck_assert_uint_lt(fake_memory.budget, 4 * MIB);
    }
    fake_memory.budget = 256 * MIB;
    ck_assert_uint_gt(as_it_is, 0);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {all_sizes_are_packed, a_stop_packs_nothing,
                                  nobody_waits_behind_many, a_budget_is_for_the_answer};
    Suite *s = suite_create("api/gzip");
    TCase *t = tests_of(s, "gzip", setup_texts, teardown, tests, ARRAY_LEN(tests));

    tcase_add_loop_test(t, memory_runs_out_everywhere, 0, ARRAY_LEN(paths));
    return s;
}

UNIT_MAIN(make_suite)
