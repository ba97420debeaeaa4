/* Hash table: against a naive model, and deletion inside runs. */
#include "test/support/unit.h"

#include "base/map.c" /* for its key */

START_TEST(the_process_has_a_key)
{
    ck_assert_uint_eq(map_hash(STR("abc")), map_hash(STR("abc")));
    ck_assert(process_key.key.k[0] != 0 || process_key.key.k[1] != 0);
    ck_assert_uint_eq(map_hash(STR_NONE), map_hash(STR("")));
}
END_TEST

START_TEST(put_get_replace_delete)
{
    struct map m;
    int one = 1, two = 2;

    map_init(&m, NULL);
    ck_assert_ptr_null(map_get(&m, STR("a")));
    ck_assert(!map_del(&m, STR("a")));
    ck_assert_int_eq(map_put(&m, STR("a"), &one), OK);
    ck_assert_ptr_eq(map_get(&m, STR("a")), &one);
    ck_assert_int_eq(map_put(&m, STR("a"), &two), OK);
    ck_assert_ptr_eq(map_get(&m, STR("a")), &two);
    ck_assert_uint_eq(m.count, 1);
    ck_assert_ptr_null(map_get(&m, STR("b")));
    ck_assert(map_del(&m, STR("a")));
    ck_assert(!map_del(&m, STR("a")));
    ck_assert_ptr_null(map_get(&m, STR("a")));
    ck_assert_uint_eq(m.count, 0);

    ck_assert_int_eq(map_put(&m, STR_NONE, &one), OK);
    ck_assert_ptr_eq(map_get(&m, STR("")), &one);
    map_fini(&m);
}
END_TEST

#define KEYS 500

START_TEST(random_operations_agree_with_a_model)
{
    static char names[KEYS][16];
    bool there[KEYS] = {false};
    struct map m;
    size_t count = 0;
    uint64_t seed = 12345 + (uint64_t)_i;

    map_init(&m, NULL);
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "k%d", i);
    for (int step = 0; step < 20000; step++) {
        size_t k;
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        k = (seed >> 33) % KEYS;
        if (seed >> 63) {
            ck_assert_int_eq(map_put(&m, str_from(names[k]), names[k]), OK);
            count += !there[k];
            there[k] = true;
        } else {
            ck_assert(map_del(&m, str_from(names[k])) == there[k]);
            count -= there[k];
            there[k] = false;
        }
        ck_assert_uint_eq(m.count, count);
    }
    for (int i = 0; i < KEYS; i++)
        ck_assert_ptr_eq(map_get(&m, str_from(names[i])), there[i] ? names[i] : NULL);
    map_fini(&m);
}
END_TEST

START_TEST(a_crowded_table_deletes_well)
{
    /* Eight slots hold six keys; take away each of the six in turn. */
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};

    for (int round = 0; round < 200; round++) {
        struct map m;
        int gone = round % 6;

        process_key.key.k[0] += 0x9e3779b97f4a7c15u; /* other collisions in each round */
        map_init(&m, NULL);
        for (int i = 0; i < 6; i++)
            ck_assert_int_eq(map_put(&m, str_from(names[i]), (void *)names[i]), OK);
        ck_assert_uint_eq(m.cap, 8);
        ck_assert(map_del(&m, str_from(names[gone])));
        for (int i = 0; i < 6; i++)
            ck_assert_ptr_eq(map_get(&m, str_from(names[i])), i == gone ? NULL : names[i]);
        map_fini(&m);
    }
}
END_TEST

START_TEST(iteration_meets_each_key_once)
{
    static char names[100][16];
    int seen[100] = {0};
    struct map m;
    size_t it = 0;
    str key;
    void *value;

    map_init(&m, NULL);
    ck_assert(!map_next(&m, &it, &key, &value));
    for (int i = 0; i < 100; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        ck_assert_int_eq(map_put(&m, str_from(names[i]), names[i]), OK);
    }
    it = 0;
    while (map_next(&m, &it, &key, &value)) {
        ck_assert_ptr_eq(key.p, value);
        seen[((char(*)[16])value - names)]++;
    }
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(seen[i], 1);
    map_fini(&m);
}
END_TEST

START_TEST(without_memory_the_map_stays_as_it_was)
{
    static char names[2000][16];
    struct arena a;
    struct map m;
    int stored = 0;

    arena_init(&a, NULL, 0, NULL, 16 * KIB);
    map_init(&m, &a);
    for (int i = 0; i < 2000; i++)
        snprintf(names[i], sizeof names[i], "%d", i);
    while (map_put(&m, str_from(names[stored]), names[stored]) == OK)
        stored++;
    ck_assert_int_gt(stored, 50);
    ck_assert_uint_eq(m.count, (size_t)stored);
    for (int i = 0; i < stored; i++)
        ck_assert_ptr_eq(map_get(&m, str_from(names[i])), names[i]);
    ck_assert_ptr_null(map_get(&m, str_from(names[stored])));
    arena_fini(&a);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/map");
    TCase *tc = tcase_create("map");

    tcase_add_test(tc, the_process_has_a_key);
    tcase_add_test(tc, put_get_replace_delete);
    tcase_add_loop_test(tc, random_operations_agree_with_a_model, 0, 5);
    tcase_add_test(tc, a_crowded_table_deletes_well);
    tcase_add_test(tc, iteration_meets_each_key_once);
    tcase_add_test(tc, without_memory_the_map_stays_as_it_was);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
