/*
 * test/unit/cli/test_secret.c - the secret of a data directory: made once, kept, never half, never
 * replaced unasked.
 */
#include "test/unit/cli/cli_test.h"

static struct arena arena;
static struct err_detail detail;

static void begin(void)
{
    setup();
    arena_init(&arena, NULL, 0, NULL, MIB);
    detail = (struct err_detail){0};
}

static void end(void)
{
    arena_fini(&arena);
    teardown();
}

static str keep(const char *where)
{
    str secret = STR_NONE;
    ck_assert_msg(cli_secret_keep(&arena, where, &secret, &detail) == OK, "%s", detail.text);
    ck_assert_uint_eq(strlen(secret.p), secret.n);
    return secret;
}

START_TEST(made_once_and_kept)
{
    struct stat st;
    str first = keep(dir);
    ck_assert_uint_eq(first.n, 64);
    for (size_t i = 0; i < first.n; i++)
        ck_assert_int_ge(str_hex_digit(first.p[i]), 0);
    ck_assert(str_eq(keep(dir), first));
    ck_assert_int_eq(stat("secret", &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(access("secret.tmp", F_OK), -1);
}
END_TEST

START_TEST(memory_gets_a_new_one_each_time)
{
    str first = keep(NULL), second = keep(NULL);
    ck_assert_uint_eq(first.n, 64);
    ck_assert(!str_eq(first, second));
}
END_TEST

START_TEST(one_that_was_put_there_is_taken)
{
    write_text("secret", "  my own words \n");
    ck_assert_str_is(keep(dir), "my own words");
    ck_assert_str_eq(read_text("secret"), "  my own words \n");
}
END_TEST

START_TEST(an_empty_one_is_no_secret)
{
    str secret = STR("untouched");
    write_text("secret", " \n");
    ck_assert_int_eq(cli_secret_keep(&arena, dir, &secret, &detail), ERR_CORRUPT);
    ck_assert_ptr_nonnull(strstr(detail.text, "secret is empty"));
    ck_assert_str_is(secret, "untouched");
    ck_assert_str_eq(read_text("secret"), " \n");
}
END_TEST

START_TEST(one_that_is_too_long_is_refused)
{
    static char text[5000];
    str secret = STR("untouched");
    memset(text, 'x', sizeof text - 1);
    write_text("secret", text);
    ck_assert_int_eq(cli_secret_keep(&arena, dir, &secret, &detail), ERR_LIMIT);
    ck_assert_str_is(secret, "untouched");
}
END_TEST

START_TEST(remains_of_a_start_that_was_cut_off)
{
    write_text("secret.tmp", "ha");
    ck_assert_uint_eq(keep(dir).n, 64);
    ck_assert_int_eq(access("secret.tmp", F_OK), -1);
}
END_TEST

/* Whichever call fails: an error, and under its name a whole secret or none. */
START_TEST(every_call_may_fail)
{
    unsigned n = 1, errors = 0;
    for (;; n++) {
        str secret = STR("untouched");
        (void)unlink("secret");
        fail_call(n);
        enum err e = cli_secret_keep(&arena, dir, &secret, &detail);
        os_test_replace(NULL);
        if (!call_failed())
            break;
        const char *text = read_text("secret");
        ck_assert_msg(!text || strlen(text) == 65, "call %u: half a secret: %s", n, text);
        if (e != OK) {
            errors++;
            ck_assert_str_is(secret, "untouched");
        }
        str next = keep(dir);
        ck_assert_uint_eq(next.n, 64);
        ck_assert(e != OK || str_eq(next, secret));
    }
    ck_assert_uint_ge(errors, 6); /* open, write, sync, close, rename, sync of the directory */
}
END_TEST

START_TEST(no_memory)
{
    struct arena small;
    str secret = STR("untouched");
    arena_init(&small, NULL, 0, NULL, 16);
    ck_assert_int_eq(cli_secret_keep(&small, dir, &secret, &detail), ERR_NOMEM);
    ck_assert_str_is(secret, "untouched");
    ck_assert_int_eq(access("secret", F_OK), -1);
    arena_fini(&small);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cli/secret");
    TCase *t = tcase_create("secret");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, made_once_and_kept);
    tcase_add_test(t, memory_gets_a_new_one_each_time);
    tcase_add_test(t, one_that_was_put_there_is_taken);
    tcase_add_test(t, an_empty_one_is_no_secret);
    tcase_add_test(t, one_that_is_too_long_is_refused);
    tcase_add_test(t, remains_of_a_start_that_was_cut_off);
    tcase_add_test(t, every_call_may_fail);
    tcase_add_test(t, no_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
