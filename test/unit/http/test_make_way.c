/* Is a loop of this processor kept from running? What threads that compute for long ask (http_make_way). */
#include "test/support/pin.h"
#include "test/support/unit.h"

#include "http/private.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct loop loops[2];
static struct http_server server;
static int wake_fd;

/* Two loops, of which the second ran here last; something may come for it. */
static void setup(void)
{
    struct epoll_event events = {.events = EPOLLIN | EPOLLET};
    int cpu = pin_here();

    memset(loops, 0, sizeof loops);
    server = (struct http_server){.loops = loops, .nloops = 2};
    wake_fd = eventfd(0, EFD_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        loops[i].epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        ck_assert_int_ge(loops[i].epoll_fd, 0);
        ck_assert_int_eq(epoll_ctl(loops[i].epoll_fd, EPOLL_CTL_ADD, wake_fd, &events), 0);
        loops[i].asleep = true;
    }
    loops[0].cpu = cpu + 1;
    loops[1].cpu = cpu;
}

static void teardown(void)
{
    for (int i = 0; i < 2; i++)
        close(loops[i].epoll_fd);
    close(wake_fd);
}

static void wake(void)
{
    ck_assert_int_eq(eventfd_write(wake_fd, 1), 0);
}

START_TEST(who_sleeps_is_not_due)
{
    ck_assert(!server_has_loop_due(&server, false));
    ck_assert(!server_has_loop_due(&server, true));
}
END_TEST

START_TEST(who_was_woken_is_due)
{
    struct epoll_event got;

    wake();
    ck_assert(server_has_loop_due(&server, false));
    ck_assert(server_has_loop_due(&server, true)); /* to look takes nothing away */
    ck_assert_int_eq(epoll_wait(loops[1].epoll_fd, &got, 1, 0), 1);
    ck_assert(!server_has_loop_due(&server, false)); /* it has got what it was woken for */
}
END_TEST

START_TEST(who_is_awake_is_due_if_asked_for)
{
    loops[1].asleep = false;
    ck_assert(!server_has_loop_due(&server, false));
    ck_assert(server_has_loop_due(&server, true));
    wake(); /* it will see by itself */
    ck_assert(!server_has_loop_due(&server, false));
}
END_TEST

START_TEST(others_run_elsewhere)
{
    loops[1].cpu = loops[0].cpu;
    loops[0].asleep = false;
    wake();
    ck_assert(!server_has_loop_due(&server, false));
    ck_assert(!server_has_loop_due(&server, true));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http/make_way");
    TCase *c = tcase_create("due");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, who_sleeps_is_not_due);
    tcase_add_test(c, who_was_woken_is_due);
    tcase_add_test(c, who_is_awake_is_due_if_asked_for);
    tcase_add_test(c, others_run_elsewhere);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
