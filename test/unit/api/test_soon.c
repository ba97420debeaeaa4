/* For what a loop stays awake. */
#include "test/support/unit.h"

#include "api/private.h"

#define US UINT64_C(1000)

static struct api api;
static struct api_loop loop;

static void setup(void)
{
    api.conf.stay_awake_ns = 300 * US;
    loop = (struct api_loop){.api = &api};
}

/* As if it had been expected for so long. */
static void wait_us(uint64_t us)
{
    loop.soon.since_ns -= us * US;
}

START_TEST(nothing_is_expected)
{
    ck_assert_uint_eq(api_soon_ns(&loop), 0);
    api_soon_request(&loop);
    ck_assert_uint_eq(api_soon_ns(&loop), 0);
    api_soon_answer(&loop); /* whose write was never let go */
    ck_assert_uint_eq(api_soon_ns(&loop), 0);
}
END_TEST

static void write_takes(uint64_t disk_us)
{
    api_soon_disk(&loop);
    wait_us(disk_us);
    api_soon_answer(&loop);
}

START_TEST(as_long_as_the_last_time)
{
    api_soon_disk(&loop);
    ck_assert_uint_eq(api_soon_ns(&loop), 0); /* nobody knows yet how long it takes */
    wait_us(100);
    api_soon_answer(&loop);
    ck_assert_uint_eq(api_soon_ns(&loop), 0); /* nor the client */
    wait_us(50);
    api_soon_request(&loop);
    ck_assert_uint_eq(api_soon_ns(&loop), 0); /* it reads, maybe */

    api_soon_disk(&loop);
    uint64_t ns = api_soon_ns(&loop);
    ck_assert(ns > 0 && ns <= 2 * loop.soon.took_ns[SOON_DISK]);
    wait_us(60);
    ck_assert_uint_le(api_soon_ns(&loop), ns - 60 * US);
    wait_us(1000);
    ck_assert_uint_eq(api_soon_ns(&loop), 0);
}
END_TEST

START_TEST(not_for_what_takes_long)
{
    write_takes(5000);
    api_soon_disk(&loop);
    ck_assert_uint_eq(api_soon_ns(&loop), 0);
    api_soon_answer(&loop); /* faster this time: it was in the test's own time */
    wait_us(1000 * 1000);
    api_soon_request(&loop); /* a client that thinks */
    api_soon_disk(&loop);
    api_soon_answer(&loop);
    ck_assert_uint_eq(api_soon_ns(&loop), 0);
}
END_TEST

/* Who reads in between changes nothing of what is known of the disk. */
START_TEST(requests_that_do_not_write)
{
    write_takes(100);
    uint64_t disk = loop.soon.took_ns[SOON_DISK];
    wait_us(50);
    api_soon_request(&loop);
    uint64_t client = loop.soon.took_ns[SOON_REQUEST];
    ck_assert_uint_ge(client, 50 * US);
    for (int i = 0; i < 3; i++)
        api_soon_request(&loop);
    api_soon_disk(&loop);
    api_soon_request(&loop); /* of another one, while it is at the disk */
    ck_assert_uint_gt(api_soon_ns(&loop), 0);
    ck_assert_uint_eq(loop.soon.took_ns[SOON_DISK], disk);
    ck_assert_uint_eq(loop.soon.took_ns[SOON_REQUEST], client);
}
END_TEST

/* A second group is let go while the first one is at the disk. */
START_TEST(of_two_groups_one_after_the_other)
{
    loop.at_disk = 2;
    api_soon_disk(&loop);
    wait_us(100);
    api_soon_disk(&loop);
    loop.at_disk = 1;
    api_soon_answer(&loop);
    ck_assert_uint_ge(loop.soon.took_ns[SOON_DISK], 100 * US);
    ck_assert_int_eq(loop.soon.what, SOON_DISK); /* the other one is still to come */
    ck_assert_uint_gt(api_soon_ns(&loop), 0);
    loop.waiting = 1; /* not, if it has not been let go */
    api_soon_answer(&loop);
    ck_assert_int_eq(loop.soon.what, SOON_REQUEST);
}
END_TEST

START_TEST(never_where_it_is_switched_off)
{
    api.conf.stay_awake_ns = 0;
    write_takes(10);
    api_soon_disk(&loop);
    ck_assert_uint_eq(api_soon_ns(&loop), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("api/soon");
    TCase *c = tcase_create("soon");

    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_test(c, nothing_is_expected);
    tcase_add_test(c, as_long_as_the_last_time);
    tcase_add_test(c, not_for_what_takes_long);
    tcase_add_test(c, requests_that_do_not_write);
    tcase_add_test(c, of_two_groups_one_after_the_other);
    tcase_add_test(c, never_where_it_is_switched_off);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
