/*
 * test/unit/cli/test_init.c - the INI file that init writes, and the question before it.
 */
#include "test/unit/cli/cli_test.h"

#include <sched.h>

static struct err_detail detail;

START_TEST(the_file_is_read_again)
{
    struct cli_ini in;
    const struct cli_args a = {.ini = "new/deep/kinto.ini"};
    ck_assert_int_eq(cli_init_write(a.ini, "kinto.engine", "::1", false, &detail), OK);
    ck_assert_int_eq(cli_ini_open(&in, &a, &detail), OK);
    const char *secret = value_of(&in, "app:main", "kinto.userid_hmac_secret");
    const char *other = value_of(&in, "app:main", "kinto.default_bucket_hmac_secret");
    ck_assert_uint_eq(strlen(secret), 64);
    ck_assert_uint_eq(strlen(other), 64);
    ck_assert_str_ne(secret, other);
    ck_assert_str_eq(value_of(&in, "app:main", "kinto.storage_backend"), "kinto.engine");
    ck_assert_str_eq(value_of(&in, "server:main", "host"), "::1");
    ck_assert_uint_eq(strlen(in.sha256), 64);
    ck_assert_int_gt(in.modified_us, 0);
    cli_ini_close(&in);
}
END_TEST

START_TEST(a_file_that_is_there_stays)
{
    write_text("kinto.ini", "precious");
    ck_assert_int_eq(cli_init_write("kinto.ini", "kinto.engine", NULL, false, &detail), ERR_EXISTS);
    ck_assert_str_eq(detail.text, "kinto.ini already exists");
    ck_assert_str_eq(read_text("kinto.ini"), "precious");
}
END_TEST

START_TEST(a_folder_that_is_a_file)
{
    write_text("config", "");
    ck_assert_int_ne(cli_init_write("config/kinto.ini", "kinto.engine", NULL, false, &detail), OK);
    ck_assert_ptr_nonnull(strstr(detail.text, "config"));
}
END_TEST

START_TEST(a_path_too_long)
{
    static char path[PATH_MAX + 16];
    for (size_t i = 0; i + 1 < sizeof path; i++)
        path[i] = i % 2 ? '/' : '.';
    ck_assert_int_eq(cli_init_write(path, "kinto.engine", NULL, false, &detail), ERR_LIMIT);
}
END_TEST

START_TEST(nothing_is_left_of_a_write_that_failed)
{
    unsigned n = 1;
    for (;; n++) {
        fail_call(n);
        enum err e = cli_init_write("config/kinto.ini", "kinto.engine", NULL, false, &detail);
        os_test_replace(NULL);
        if (!call_failed())
            break;
        ck_assert_int_eq(e, ERR_IO);
        ck_assert_int_eq(detail.sys_errno, EIO);
        ck_assert_int_eq(access("config/kinto.ini", F_OK), -1);
        detail = (struct err_detail){0};
    }
    ck_assert_uint_gt(n, 5); /* mkdir, open, write, sync, close */
}
END_TEST

/* A list of paths cannot have such a one in it. */
START_TEST(no_certificate_in_a_folder_with_a_comma)
{
    const struct cli_args args = {.ini = "a,b/kinto.ini", .backend = "memory", .self_signed = true};
    const struct cli_args plain = {.ini = "a,b/kinto.ini", .backend = "memory"};
    struct err_detail d = {.text = ""};
    FILE *out = fopen("out", "w+");

    ck_assert_int_eq(cli_command_init(&args, stdin, out, &d), ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(d.text, "a,b"));
    ck_assert_int_ne(access("a,b/kinto.ini", F_OK), 0);
    ck_assert_int_ne(access("a,b/kinto-key.pem", F_OK), 0);
    ck_assert_int_eq(cli_command_init(&plain, stdin, out, &d), OK);
    fclose(out);
}
END_TEST

/* As the kernel takes it; hostname(1) would not. */
START_TEST(a_host_name_that_is_none_is_left_out)
{
    const struct cli_args args = {.ini = "kinto.ini", .backend = "memory", .self_signed = true};
    struct err_detail d = {.text = ""};
    FILE *out = fopen("out", "w+");

    if (unshare(CLONE_NEWUTS) != 0 || sethostname("odd name!", 9) != 0) {
        fprintf(stderr, "SKIPPED: not root, so the host has the name that it has\n");
        fclose(out);
        return;
    }
    ck_assert_msg(cli_command_init(&args, stdin, out, &d) == OK, "%s", d.text);
    ck_assert_int_eq(access("kinto-certificate.pem", F_OK), 0);
    fclose(out);
}
END_TEST

static const struct {
    const char *typed, *answer;
    unsigned asked;
} answers[] = {
    {"\n", "engine", 1},          {"1\n", "memory", 1},      {" 1 \n", "memory", 1},
    {"2\nyes\n1\n", "memory", 3}, {"what\n\n", "engine", 2}, {"what", "engine", 2},
};

START_TEST(the_question)
{
    char said[1024] = "";
    FILE *in = fmemopen((void *)(uintptr_t)answers[_i].typed, strlen(answers[_i].typed), "r");
    FILE *out = fmemopen(said, sizeof said, "w");
    ck_assert_str_eq(cli_ask_backend(in, out), answers[_i].answer);
    fclose(in);
    fclose(out);
    unsigned asked = 0;
    for (const char *at = said; (at = strstr(at, "Where shall")); at++)
        asked++;
    ck_assert_uint_eq(asked, answers[_i].asked);
    ck_assert_ptr_nonnull(cli_backend_setting(answers[_i].answer));
}
END_TEST

START_TEST(backends_by_name)
{
    ck_assert_str_eq(cli_backend_setting("engine"), "kinto.engine");
    ck_assert_str_eq(cli_backend_setting("memory"), "kinto.core.storage.memory");
    ck_assert_ptr_null(cli_backend_setting("postgresql"));
    ck_assert_ptr_null(cli_backend_setting(""));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cli/init");
    TCase *t = tcase_create("init");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_file_is_read_again);
    tcase_add_test(t, a_file_that_is_there_stays);
    tcase_add_test(t, a_folder_that_is_a_file);
    tcase_add_test(t, a_path_too_long);
    tcase_add_test(t, a_host_name_that_is_none_is_left_out);
    tcase_add_test(t, no_certificate_in_a_folder_with_a_comma);
    tcase_add_test(t, nothing_is_left_of_a_write_that_failed);
    tcase_add_loop_test(t, the_question, 0, ARRAY_LEN(answers));
    tcase_add_test(t, backends_by_name);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
