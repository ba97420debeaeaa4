/*
 * test/unit/cli/test_ini.c - which INI file is in force, what it may refer to, and log levels.
 */
#include "test/unit/cli/cli_test.h"

static struct err_detail detail;

static struct cli_ini ini_of(const struct cli_args *a)
{
    struct cli_ini in;
    ck_assert_msg(cli_ini_open(&in, a, &detail) == OK, "%s", detail.text);
    cli_ini_close(&in);
    return in;
}

START_TEST(places_in_their_order)
{
    const struct cli_args none = {0}, memory = {.memory = true}, named = {.ini = "d.ini"};
    ck_assert_ptr_null(ini_of(&none).path);
    write_text("kinto.ini", "[app:main]\n");
    ck_assert_str_eq(ini_of(&none).path, "kinto.ini");
    ck_assert_int_eq(mkdir("config", 0700), 0);
    write_text("config/kinto.ini", "[app:main]\n");
    ck_assert_str_eq(ini_of(&none).path, "config/kinto.ini");
    ck_assert_ptr_null(ini_of(&memory).path);
    setenv("KINTO_INI", "", 1);
    ck_assert_str_eq(ini_of(&none).path, "config/kinto.ini");
    write_text("c.ini", "[app:main]\n");
    setenv("KINTO_INI", "c.ini", 1);
    ck_assert_str_eq(ini_of(&none).path, "c.ini");
    ck_assert_str_eq(ini_of(&memory).path, "c.ini");
    write_text("d.ini", "[app:main]\n");
    ck_assert_str_eq(ini_of(&named).path, "d.ini");
}
END_TEST

START_TEST(built_in_settings)
{
    struct cli_ini in;
    for (int memory = 0; memory < 2; memory++) {
        ck_assert_int_eq(cli_ini_open(&in, &(struct cli_args){.memory = memory}, &detail), OK);
        const char *includes = value_of(&in, "app:main", "kinto.includes");
        ck_assert_ptr_nonnull(strstr(includes, "kinto.plugins.default_bucket"));
        ck_assert_int_eq(strstr(includes, "kinto.plugins.flush") != NULL, memory);
        ck_assert_str_eq(in.sha256, "");
        ck_assert_int_eq(in.modified_us, 0);
        cli_ini_close(&in);
    }
}
END_TEST

START_TEST(variables_of_the_file)
{
    struct cli_ini in;
    char want[200], here[PATH_MAX];
    struct cli_args a = {.ini = "a.ini", .port = "77"};
    write_text("a.ini", "[app:main]\nx = %(here)s|%(__file__)s|%(http_port)s\n");
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(want, sizeof want, "%.90s|%.90s/a.ini|77", here, here);
    ck_assert_int_eq(cli_ini_open(&in, &a, &detail), OK);
    ck_assert_str_eq(value_of(&in, "app:main", "x"), want);
    cli_ini_close(&in);
}
END_TEST

START_TEST(a_file_that_cannot_be_read)
{
    struct cli_ini in;
    ck_assert_int_eq(cli_ini_open(&in, &(struct cli_args){.ini = "a.ini"}, &detail), ERR_NOTFOUND);
    cli_ini_close(&in);
    write_text("a.ini", "nonsense\n");
    ck_assert_int_eq(cli_ini_open(&in, &(struct cli_args){.ini = "a.ini"}, &detail), ERR_SYNTAX);
    ck_assert_ptr_nonnull(strstr(detail.text, "a.ini:1"));
    cli_ini_close(&in);
}
END_TEST

static const struct {
    const char *text;
    struct cli_args args;
    enum log_level want;
} levels[] = {
    {"[app:main]\n", {0}, LOG_INFO},
    {"[logger_root]\nlevel = ERROR\n", {0}, LOG_ERROR},
    {"[logger_root]\nlevel = CRITICAL\n[logger_kinto]\nlevel = debug\n", {0}, LOG_DEBUG},
    {"[logger_root]\nlevel = WARN\n[logger_kinto]\nlevel = NOTSET\n", {0}, LOG_WARN},
    {"[logger_kinto]\nlevel = loud\n", {0}, LOG_INFO},
    {"[logger_kinto]\nlevel = DEBUG\n", {.quiet = true}, LOG_WARN},
    {"[logger_kinto]\nlevel = ERROR\n", {.verbose = true}, LOG_DEBUG},
};

START_TEST(log_levels)
{
    struct cli_ini in;
    struct cli_args a = levels[_i].args;
    a.ini = "a.ini";
    write_text("a.ini", levels[_i].text);
    ck_assert_int_eq(cli_ini_open(&in, &a, &detail), OK);
    ck_assert_int_eq(cli_log_level(&in.ini, &a), levels[_i].want);
    cli_ini_close(&in);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cli/ini");
    TCase *t = tcase_create("ini");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, places_in_their_order);
    tcase_add_test(t, built_in_settings);
    tcase_add_test(t, variables_of_the_file);
    tcase_add_test(t, a_file_that_cannot_be_read);
    tcase_add_loop_test(t, log_levels, 0, ARRAY_LEN(levels));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
