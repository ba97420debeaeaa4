/* The order of objects, and the best of many. */
#include "test/unit/store/store_test.h"

enum { N = 300 };

static struct object objects[N];

/* v takes few values (and is absent at times), so that there are many ties for the id to break. */
static void make_objects(void)
{
    static const char *const vs[] = {"{}",           "{\"v\":1}",   "{\"v\":\"x\"}",
                                     "{\"v\":null}", "{\"v\":[1]}", "{\"v\":{\"a\":1}}",
                                     "{\"v\":true}", "{\"v\":2.5}"};
    uint32_t state = 42;

    for (int i = 0; i < N; i++) {
        struct value_parts p = {.acl = STR("")};
        struct buf b;
        state = state * 1664525 + 1013904223;
        p.id = arena_printf(&arena, "o%u", state >> 8);
        p.data = parse(vs[(state >> 4) % ARRAY_LEN(vs)]);
        p.last_modified = (state >> 16) % 20;
        buf_init_arena(&b, &arena, SIZE_MAX);
        ck_assert_ok(store_value_encode(&b, &p));
        ck_assert_ok(store_value_decode(buf_str(&b), &objects[i]));
    }
}

static struct store_sort by_v = {STR_INIT("v"), false};
static struct store_sort by_v_and_time[] = {{STR_INIT("v"), true},
                                            {STR_INIT("last_modified"), false}};
static struct store_sort by_time = {STR_INIT("last_modified"), true};

static const struct {
    struct store_sort *keys;
    size_t n, limit;
} cases[] = {
    {&by_v, 1, 0},     {&by_v, 1, 1},         {&by_v, 1, 10},
    {&by_v, 1, N - 1}, {&by_v, 1, N},         {&by_v, 1, N + 1},
    {&by_time, 1, 7},  {by_v_and_time, 2, 0}, {by_v_and_time, 2, 50},
};

static struct order test_order;

static int compare_objects(const void *x, const void *y)
{
    struct entry ex, ey;
    int c;

    ck_assert_ok(store_entry_init(&arena, &test_order, &ex));
    ck_assert_ok(store_entry_init(&arena, &test_order, &ey));
    store_entry_set(&test_order, &ex, x);
    store_entry_set(&test_order, &ey, y);
    c = store_order_compare(&test_order, &ex, &ey);
    ck_assert_int_eq(c == 0, x == y || str_eq(ex.object.o.id, ey.object.o.id));
    return c;
}

START_TEST(the_best_are_the_first_of_all)
{
    struct best best;
    size_t want = cases[_i].limit == 0 ? N : MIN_OF(cases[_i].limit, (size_t)N);

    make_objects();
    test_order = (struct order){.arena = &arena, .keys = cases[_i].keys, .n = cases[_i].n};
    ck_assert_ok(store_best_init(&best, &arena, &test_order, cases[_i].limit));
    for (int i = 0; i < N; i++)
        ck_assert_ok(store_best_add(&best, &objects[i]));
    store_best_sort(&best);
    ck_assert_uint_eq(best.n, want);
    ck_assert_int_eq(best.more, want < N);
    qsort(objects, N, sizeof objects[0], compare_objects);
    for (size_t i = 0; i < want; i++)
        ck_assert_ptr_eq(best.heap[i].object.value.p, objects[i].value.p);
}
END_TEST

START_TEST(absent_is_last_and_descending_turns_all_over)
{
    struct order up = {.arena = &arena, .keys = &by_v, .n = 1};
    struct store_sort key = {STR_INIT("v"), true};
    struct order down = {.arena = &arena, .keys = &key, .n = 1};

    make_objects();
    for (int i = 0; i + 1 < N; i++) {
        struct entry x, y;
        ck_assert_ok(store_entry_init(&arena, &up, &x));
        ck_assert_ok(store_entry_init(&arena, &up, &y));
        store_entry_set(&up, &x, &objects[i]);
        store_entry_set(&up, &y, &objects[i + 1]);
        if (x.present[0] && !y.present[0])
            ck_assert_int_lt(store_order_compare(&up, &x, &y), 0);
        ck_assert_int_eq(store_order_compare(&up, &x, &y) > 0,
                         store_order_compare(&down, &x, &y) < 0);
        /* The end of a page may lack the id: then equal fields are equal. */
        y = x;
        y.object.o.id = STR_NONE;
        ck_assert_int_eq(store_order_compare(&up, &x, &y), 0);
    }
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {absent_is_last_and_descending_turns_all_over};
    Suite *s = suite_of("store/sort", setup, teardown, tests, ARRAY_LEN(tests));
    TCase *c = tcase_create("best");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, the_best_are_the_first_of_all, 0, ARRAY_LEN(cases));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
