/* Looking for events without sleeping. */
#include "test/support/pin.h"
#include "test/support/unit.h"

#include "base/clock.h"
#include "http/private.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LONG_NS (UINT64_C(20) * 1000 * 1000 * 1000) /* nothing here takes as long */

static int epoll_fd, wake_fd;
static struct look look;
static struct epoll_event events[4];

static void setup(void)
{
    struct epoll_event in = {.events = EPOLLIN};

    pin_here();
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ck_assert(wake_fd >= 0 && epoll_fd >= 0);
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &in), 0);
    look = (struct look){.ns = LONG_NS};
}

static void teardown(void)
{
    close(epoll_fd);
    close(wake_fd);
}

static int looked(void)
{
    return look_for_events(&look, epoll_fd, events, (int)ARRAY_LEN(events));
}

static void *wake(void *arg)
{
    (void)arg;
    ck_assert_int_eq(eventfd_write(wake_fd, 1), 0);
    return NULL;
}

START_TEST(what_is_there_is_found)
{
    wake(NULL);
    ck_assert_int_eq(looked(), 1);
    ck_assert_uint_eq(look.pause_ns, 0);
}
END_TEST

START_TEST(what_comes_is_found)
{
    for (int i = 0; i < 200; i++) {
        eventfd_t n;
        pthread_t t;
        int found;
        ck_assert_int_eq(pthread_create(&t, NULL, wake, NULL), 0);
        while ((found = looked()) == 0) /* the start of a thread may look like a crowd */
            look.paused_until_ns = 0;
        ck_assert_int_eq(found, 1);
        ck_assert_int_eq(pthread_join(t, NULL), 0);
        ck_assert_int_eq(eventfd_read(wake_fd, &n), 0);
    }
}
END_TEST

START_TEST(it_comes_to_an_end)
{
    uint64_t began = clock_mono_ns();

    look.ns = UINT64_C(1000) * 1000;
    while (looked() == 0 && clock_mono_ns() - began < look.ns)
        look.paused_until_ns = 0;
    ck_assert_uint_ge(clock_mono_ns() - began, look.ns);
    look.ns = 0; /* no reason to look at all */
    wake(NULL);
    ck_assert_int_eq(looked(), 0);
}
END_TEST

START_TEST(nothing_is_found_in_a_pause)
{
    wake(NULL);
    look.paused_until_ns = clock_mono_ns() + LONG_NS;
    ck_assert_int_eq(looked(), 0);
    look.paused_until_ns = clock_mono_ns();
    ck_assert_int_eq(looked(), 1);
}
END_TEST

static atomic_bool done;

static void *compute(void *arg)
{
    while (!atomic_load(&done))
        continue;
    return arg;
}

/* Where others compute there is a pause, which becomes longer up to a bound. */
START_TEST(who_disturbs_others_pauses)
{
    uint64_t last = 0;
    pthread_t t;

    atomic_store(&done, false);
    ck_assert_int_eq(pthread_create(&t, NULL, compute, NULL), 0);
    for (int i = 0; i < 10; i++) {
        look.paused_until_ns = 0;
        ck_assert_int_eq(looked(), 0);
        ck_assert_uint_gt(look.paused_until_ns, 0);
        ck_assert(look.pause_ns >= 2 * last || look.pause_ns == last);
        last = look.pause_ns;
    }
    ck_assert_uint_eq(last, UINT64_C(320) * 1000 * 1000);
    atomic_store(&done, true);
    ck_assert_int_eq(pthread_join(t, NULL), 0);
}
END_TEST

/* What is there at once does not tell that nobody is disturbed. */
START_TEST(a_pause_is_not_forgotten_too_soon)
{
    uint64_t pause = UINT64_C(40) * 1000 * 1000;
    eventfd_t n;

    look.pause_ns = pause;
    wake(NULL);
    ck_assert_int_eq(looked(), 1);
    ck_assert_uint_eq(look.pause_ns, pause);
    ck_assert_int_eq(eventfd_read(wake_fd, &n), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http/look");
    TCase *c = tcase_create("look");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, what_is_there_is_found);
    tcase_add_test(c, what_comes_is_found);
    tcase_add_test(c, it_comes_to_an_end);
    tcase_add_test(c, nothing_is_found_in_a_pause);
    tcase_add_test(c, who_disturbs_others_pauses);
    tcase_add_test(c, a_pause_is_not_forgotten_too_soon);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
