/* The cache: what is set is found, until it is old, pushed out or deleted. */
#include "test/unit/store/store_test.h"

#include <pthread.h>

static void set(const char *key, const char *value, uint64_t ttl_ms)
{
    ck_assert_ok(store_cache_set(store, str_from(key), str_from(value), ttl_ms));
}

static bool has(const char *key)
{
    str value;

    return store_cache_get(store, &arena, str_from(key), &value);
}

START_TEST(what_is_set_is_found)
{
    str value = STR("untouched");

    ck_assert(!store_cache_get(store, &arena, STR("k"), &value));
    ck_assert_str_is(value, "untouched");
    set("k", "v", 100000);
    set("", "", 100000);
    ck_assert(store_cache_get(store, &arena, STR("k"), &value));
    ck_assert_str_is(value, "v");
    ck_assert(store_cache_get(store, &arena, STR(""), &value));
    ck_assert_str_is(value, "");
    set("k", "another", 100000);
    ck_assert(store_cache_get(store, &arena, STR("k"), &value));
    ck_assert_str_is(value, "another");
    ck_assert(store_cache_delete(store, STR("k")));
    ck_assert(!store_cache_delete(store, STR("k")));
    ck_assert(!has("k"));
    ck_assert(has(""));
    store_cache_flush(store);
    ck_assert(!has(""));
}
END_TEST

START_TEST(values_are_copies)
{
    char key[] = "k", text[] = "v";
    str value;

    ck_assert_ok(store_cache_set(store, str_from(key), str_from(text), 100000));
    key[0] = text[0] = 'x';
    ck_assert(store_cache_get(store, &arena, STR("k"), &value));
    set("k", "w", 100000);
    ck_assert_str_is(value, "v");
}
END_TEST

START_TEST(time_takes_things_away)
{
    uint64_t deadline = clock_mono_ms() + 10000;

    set("now", "v", 0);
    ck_assert(!has("now"));
    ck_assert(!store_cache_delete(store, STR("now")));
    set("long", "v", UINT64_MAX);
    set("short", "v", 20);
    while (has("short"))
        ck_assert_uint_lt(clock_mono_ms(), deadline);
    ck_assert(has("long"));
}
END_TEST

/* The default maximum; every entry takes somewhat more than a KiB. */
START_TEST(the_one_used_longest_ago_goes_first)
{
    char key[16], value[1025];

    memset(value, 'v', sizeof value);
    value[1024] = '\0';
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        set(key, value, 1000000);
        ck_assert(has("k0")); /* in use all the time */
    }
    ck_assert(!has("k1"));
    ck_assert(!has("k1000"));
    ck_assert(has("k1999"));
    ck_assert(has("k1700"));
}
END_TEST

START_TEST(what_is_too_large_is_forgotten)
{
    char *big = malloc(600 * KIB);

    memset(big, 'v', 600 * KIB);
    set("k", "old", 1000000);
    set("other", "v", 1000000);
    ck_assert_ok(store_cache_set(store, STR("k"), (str){big, 600 * KIB}, 1000000));
    ck_assert(!has("k")); /* not the old value either */
    set("k", "v", 1000000);
    ck_assert(has("k"));
    free(big);
}
END_TEST

static void *hammer(void *arg)
{
    struct arena a;
    unsigned found = 0;

    arena_init(&a, NULL, 0, NULL, MIB);
    for (int i = 0; i < 3000; i++) {
        char key[16];
        str value;
        int n = snprintf(key, sizeof key, "k%d", i % 50);
        str k = {key, (size_t)n};
        if (i % 3 == 0)
            ck_assert_ok(store_cache_set(store, k, k, 1000000));
        else if (i % 7 == 0)
            store_cache_delete(store, k);
        else if (store_cache_get(store, &a, k, &value)) {
            ck_assert(str_eq(value, k));
            found++;
        }
        if (i % 1000 == 999)
            store_cache_flush(store);
        arena_reset(&a);
    }
    arena_fini(&a);
    *(unsigned *)arg = found;
    return NULL;
}

START_TEST(any_thread_may_use_it)
{
    pthread_t threads[4];
    unsigned found[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, &found[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_gt(found[i], 0);
    }
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {
        what_is_set_is_found,           values_are_copies,
        time_takes_things_away,         the_one_used_longest_ago_goes_first,
        what_is_too_large_is_forgotten, any_thread_may_use_it};
    return suite_of("store/cache", setup, teardown, tests, ARRAY_LEN(tests));
}

UNIT_MAIN(make_suite)
