/* The log: form of a line, levels, forged lines, long lines, one write a line. */
#include "test/support/unit.h"

#include "base/log.h"
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static char last[8192];
static int lines;

static void keep(const char *line, void *arg)
{
    ck_assert_ptr_eq(arg, &lines);
    snprintf(last, sizeof last, "%s", line);
    lines++;
}

static void setup(void)
{
    lines = 0;
    log_set_level(LOG_INFO);
    log_test_sink(keep, &lines);
}

static void teardown(void)
{
    log_test_sink(NULL, NULL);
    log_set_level(LOG_INFO);
}

START_TEST(a_line_has_time_level_event_and_pairs)
{
    int year, month, day, hour, minute, second, ms, end = 0;

    log_event(LOG_WARN, "unknown_setting", "key=%s line=%d", "kinto.foo", 12);
    ck_assert_int_eq(lines, 1);
    ck_assert_int_eq(sscanf(last, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour,
                            &minute, &second, &ms, &end),
                     7);
    ck_assert_int_eq(end, 24);
    ck_assert_str_eq(last + end, " WARN unknown_setting key=kinto.foo line=12");
    log_event(LOG_INFO, "ready", "%s", "");
    ck_assert_str_eq(last + 24, " INFO ready");
}
END_TEST

START_TEST(levels)
{
    log_event(LOG_DEBUG, "x", "%d", 1);
    ck_assert_int_eq(lines, 0);
    ck_assert(!log_enabled(LOG_DEBUG) && log_enabled(LOG_INFO));
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "x", "%d", 1);
    ck_assert_int_eq(lines, 1);
    log_set_level(LOG_ERROR);
    log_event(LOG_WARN, "x", "%d", 1);
    ck_assert_int_eq(lines, 1);
    log_event(LOG_ERROR, "x", "%d", 1);
    ck_assert_int_eq(lines, 2);
    log_set_level(LOG_NONE);
    log_event(LOG_ERROR, "x", "%d", 1);
    log_event(LOG_NONE, "x", "%d", 1);
    ck_assert_int_eq(lines, 2);
}
END_TEST

START_TEST(no_value_forges_a_line)
{
    log_event(LOG_INFO, "x", "a=%s", "1\n2026 ERROR y\r\t\x1b[31m\x7f\xc3\xa9");
    ck_assert_str_eq(last + 24, " INFO x a=1\\x0a2026 ERROR y\\x0d\\x09\\x1b[31m\\x7f\xc3\xa9");
}
END_TEST

START_TEST(long_lines_are_cut)
{
    char longer[6000];

    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    log_event(LOG_INFO, "x", "%s", longer);
    ck_assert_uint_le(strlen(last), 4096);
    ck_assert_uint_ge(strlen(last), 4000);
    ck_assert_str_eq(last + strlen(last) - 4, "x...");
    memset(longer, '\n', sizeof longer - 1); /* each becomes four */
    log_event(LOG_INFO, "x", "%s", longer);
    ck_assert_uint_le(strlen(last), 4096);
    ck_assert_str_eq(last + strlen(last) - 7, "\\x0a...");
}
END_TEST

static void *write_many(void *arg)
{
    char text[200];

    memset(text, *(char *)arg, sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 200; i++)
        log_event(LOG_INFO, "many", "%s", text);
    return NULL;
}

START_TEST(lines_of_threads_do_not_mix)
{
    static char names[] = "ab";
    char path[] = "/tmp/kinto-test-log-XXXXXX", line[512];
    int fd = mkstemp(path), saved = dup(STDERR_FILENO);
    pthread_t t[2];
    FILE *f;
    int n = 0;

    log_test_sink(NULL, NULL);
    ck_assert_int_ge(fcntl(fd, F_SETFL, O_APPEND), 0);
    dup2(fd, STDERR_FILENO);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, write_many, &names[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    dup2(saved, STDERR_FILENO);

    f = fdopen(fd, "r");
    rewind(f);
    for (; fgets(line, sizeof line, f) != NULL; n++) {
        char *text = strstr(line, "many ") + 5;
        ck_assert_uint_eq(strspn(text, (char[]){text[0], 0}), 199);
        ck_assert_str_eq(text + 199, "\n");
    }
    ck_assert_int_eq(n, 400);
    fclose(f);
    close(saved);
    unlink(path);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/log");
    TCase *tc = tcase_create("log");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_line_has_time_level_event_and_pairs);
    tcase_add_test(tc, levels);
    tcase_add_test(tc, no_value_forges_a_line);
    tcase_add_test(tc, long_lines_are_cut);
    tcase_add_test(tc, lines_of_threads_do_not_mix);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
