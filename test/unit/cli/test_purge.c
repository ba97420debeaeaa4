/*
 * test/unit/cli/test_purge.c - the operands of kinto purge-deleted.
 */
#include "cli/cli.h"
#include "store/store.h"
#include "test/support/unit.h"

static const struct {
    struct cli_operands words;
    size_t n; /* 0: refused */
    uint64_t keep;
} given[] = {
    {{{"record", "10"}, 2}, 1, 10},
    {{{"record", "bucket", "0"}, 3}, 2, 0},
    {{{"record", "-5"}, 2}, 1, 0},
    {{{"7", "10"}, 2}, 1, 10},
    {{{NULL}, 0}, 0, 0},
    {{{"10"}, 1}, 0, 0},
    {{{"record"}, 1}, 0, 0},
    {{{"10", "record"}, 2}, 0, 0},
    {{{"record", "1.5"}, 2}, 0, 0},
    {{{"record", "99999999999999999999"}, 2}, 0, 0},
};

START_TEST(resources_and_a_number)
{
    struct err_detail d = {0};
    struct cli_purge p = {.n = 0};
    enum err e = cli_purge_read(&given[_i].words, &p, &d);
    ck_assert_int_eq(e, given[_i].n > 0 ? OK : ERR_SYNTAX);
    ck_assert_int_eq(d.text[0] != '\0', e != OK);
    ck_assert_uint_eq(p.n, given[_i].n);
    ck_assert_uint_eq(p.keep, given[_i].keep);
    for (size_t i = 0; i < p.n; i++)
        ck_assert_str_is(p.resources[i], given[_i].words.at[i]);
}
END_TEST

START_TEST(the_store_is_asked)
{
    const struct cli_purge p = {.resources = {STR_INIT("record")}, .n = 1, .keep = 1};
    const struct store_options o = {.dir = NULL};
    struct err_detail d = {0};
    struct store *store;
    uint64_t count = 7;
    ck_assert_int_eq(store_open(&store, &o, NULL, &d), OK);
    ck_assert_int_eq(cli_purge_run(store, &p, &count, &d), OK);
    ck_assert_uint_eq(count, 0);
    store_close(store);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cli/purge");
    TCase *t = tcase_create("purge");
    tcase_add_loop_test(t, resources_and_a_number, 0, ARRAY_LEN(given));
    tcase_add_test(t, the_store_is_asked);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
