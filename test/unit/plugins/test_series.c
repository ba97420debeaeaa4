/*
 * Series: one a key, so many and no more, and nothing is lost between threads.
 */
#include <pthread.h>

#include "plugins/series.h"
#include "test/support/unit.h"

static struct series_table *table;

static void open_table(size_t known, size_t chosen, size_t cells)
{
    ck_assert_int_eq(series_table_new(&table, known, chosen, cells), OK);
}

static void close_table(void)
{
    series_table_free(table);
    table = NULL;
}

static struct series *get(const char *key)
{
    return series_get(table, str_from(key), SERIES_KNOWN);
}

static size_t count_series(void)
{
    size_t n = 0;
    for (const struct series *s = NULL; (s = series_next(table, s)) != NULL;)
        n++;
    return n;
}

START_TEST(one_a_key)
{
    char key[] = "a";
    open_table(10, 0, 3);
    struct series *a = get(key), *b = get("b"), *none = get("");
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_nonnull(b);
    ck_assert_ptr_nonnull(none);
    key[0] = 'x'; /* it was copied */
    ck_assert_ptr_eq(get("a"), a);
    ck_assert_ptr_eq(get("b"), b);
    ck_assert_ptr_eq(get(""), none);
    ck_assert_ptr_ne(a, b);
    ck_assert(str_eq(series_key(a), STR("a")));
    ck_assert_int_gt(series_made_ms(a), INT64_C(1600000000000));
    ck_assert_ptr_eq(series_next(table, NULL), a);
    ck_assert_ptr_eq(series_next(table, a), b);
    ck_assert_ptr_eq(series_next(table, none), NULL);
    close_table();
}
END_TEST

START_TEST(cells_are_apart)
{
    enum { CELLS = 19 };
    open_table(4, 0, CELLS);
    struct series *a = get("a"), *b = get("b");
    for (size_t i = 0; i < CELLS; i++)
        series_add(table, a, i, i + 1);
    series_add(table, a, 7, UINT64_C(1) << 40);
    for (size_t i = 0; i < CELLS; i++) {
        ck_assert_uint_eq(series_sum(table, a, i), i + 1 + (i == 7 ? UINT64_C(1) << 40 : 0));
        ck_assert_uint_eq(series_sum(table, b, i), 0);
    }
    close_table();
}
END_TEST

START_TEST(so_many_and_no_more)
{
    open_table(2, 3, 1);
    ck_assert_ptr_nonnull(series_get(table, STR("a"), SERIES_CHOSEN));
    ck_assert_ptr_nonnull(series_get(table, STR("b"), SERIES_CHOSEN));
    ck_assert_ptr_nonnull(series_get(table, STR("c"), SERIES_CHOSEN));
    ck_assert_ptr_null(series_get(table, STR("d"), SERIES_CHOSEN));
    ck_assert_ptr_nonnull(series_get(table, STR("c"), SERIES_CHOSEN)); /* is there */
    ck_assert_ptr_nonnull(get("d"));
    ck_assert_ptr_nonnull(get("e"));
    ck_assert_ptr_null(get("f"));
    ck_assert_ptr_nonnull(series_get(table, STR("d"), SERIES_CHOSEN));
    ck_assert_ptr_null(series_get(table, STR("f"), SERIES_CHOSEN));
    ck_assert_uint_eq(count_series(), 5);
    close_table();
}
END_TEST

START_TEST(any_bytes)
{
    char big[5000];
    memset(big, 'k', sizeof big);
    open_table(10, 0, 1);
    struct series *nul = series_get(table, (str){"a\0b", 3}, SERIES_KNOWN);
    ck_assert_ptr_ne(nul, series_get(table, (str){"a\0c", 3}, SERIES_KNOWN));
    ck_assert_ptr_ne(nul, get("a"));
    struct series *s = series_get(table, (str){big, sizeof big}, SERIES_KNOWN);
    ck_assert(str_eq(series_key(s), (str){big, sizeof big}));
    close_table();
}
END_TEST

enum { THREADS = 8, KEYS = 300, TURNS = 40, MAX = 200 };

/* Adds one to each of KEYS series, and to cell 1 of one that all share; in an order of its own. */
static void *work(void *arg)
{
    size_t number = (size_t)(uintptr_t)arg;
    for (size_t turn = 0; turn < TURNS; turn++)
        for (size_t i = 0; i < KEYS; i++) {
            char key[16];
            int n = snprintf(key, sizeof key, "%zu", (i * 7 + number * 31) % KEYS);
            struct series *s = series_get(table, (str){key, (size_t)n}, SERIES_CHOSEN);
            if (s == NULL)
                s = series_get(table, STR("others"), SERIES_KNOWN);
            series_add(table, s, 0, 1);
            series_add(table, get("all"), 1, 1);
        }
    return NULL;
}

START_TEST(threads_lose_nothing)
{
    pthread_t threads[THREADS];
    uint64_t sum = 0;
    open_table(2, MAX, 2);
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i), 0);
    for (uint64_t last = 0, now; last < THREADS * TURNS * KEYS / 2; last = now) { /* meanwhile */
        now = 0;
        for (const struct series *s = NULL; (s = series_next(table, s)) != NULL;)
            now += series_key(s).n ? series_sum(table, s, 0) : 0;
        ck_assert_uint_ge(now, last);
    }
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (const struct series *s = NULL; (s = series_next(table, s)) != NULL;) {
        sum += series_sum(table, s, 0);
        for (const struct series *t = s; (t = series_next(table, t)) != NULL;)
            ck_assert(!str_eq(series_key(s), series_key(t)));
    }
    ck_assert_uint_eq(sum, THREADS * TURNS * KEYS);
    ck_assert_uint_eq(series_sum(table, get("all"), 1), THREADS * TURNS * KEYS);
    ck_assert_uint_eq(count_series(), MAX + 2);
    close_table();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("plugins/series");
    TCase *t = tcase_create("series");
    tcase_add_test(t, one_a_key);
    tcase_add_test(t, cells_are_apart);
    tcase_add_test(t, so_many_and_no_more);
    tcase_add_test(t, any_bytes);
    tcase_add_test(t, threads_lose_nothing);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
