/*
 * base/thread.h: which signals a thread takes.
 */
#include "base/thread.h"
#include "test/support/unit.h"

#include <signal.h>

static void *read_mask(void *mask)
{
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, mask), 0);
    return NULL;
}

START_TEST(blocks_what_is_for_the_process_alone)
{
    static const int theirs[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGALRM, SIGCHLD, SIGUSR1};
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t before, mask, after;
    pthread_t t;

    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
    ck_assert_int_eq(thread_start(&t, read_mask, &mask), OK);
    ck_assert_int_eq(pthread_join(t, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
        ck_assert_int_eq(sigismember(&mask, theirs[i]), 1);
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        ck_assert_int_eq(sigismember(&mask, own[i]), 0);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    ck_assert_int_eq(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/thread");
    TCase *tc = tcase_create("thread");

    tcase_add_test(tc, blocks_what_is_for_the_process_alone);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
