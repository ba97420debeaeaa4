/* Clocks and HTTP dates. */
#include "test/support/unit.h"

#include "base/clock.h"
#include <time.h>

START_TEST(clocks_run)
{
    int64_t wall = clock_wall_ms();
    uint64_t mono = clock_mono_ns();

    ck_assert_int_ge(wall, (int64_t)time(NULL) * 1000 - 2000);
    ck_assert_int_le(wall, (int64_t)time(NULL) * 1000 + 2000);
    for (int i = 0; i < 1000; i++) {
        uint64_t next = clock_mono_ns();
        ck_assert_uint_ge(next, mono);
        mono = next;
    }
    ck_assert_uint_le(clock_mono_ms() - mono / 1000000, 1000);
}
END_TEST

static int64_t fixed(void)
{
    return 1234567890123;
}

START_TEST(the_wall_clock_can_be_replaced)
{
    clock_test_wall(fixed);
    ck_assert_int_eq(clock_wall_ms(), 1234567890123);
    ck_assert_int_eq(clock_wall_us(), 1234567890123000);
    clock_test_wall(NULL);
    ck_assert_int_ne(clock_wall_ms(), 1234567890123);
}
END_TEST

START_TEST(http_dates)
{
    static const struct {
        int64_t at;
        const char *text;
    } rows[] = {
        {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110's example */
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {-1, "Wed, 31 Dec 1969 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
        {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {253402300800, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {-62167219200, "Sat, 01 Jan 0000 00:00:00 GMT"},
        {INT64_MIN, "Sat, 01 Jan 0000 00:00:00 GMT"},
    };
    char out[30];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        clock_http_date(rows[i].at, out);
        ck_assert_str_eq(out, rows[i].text);
    }
}
END_TEST

START_TEST(iso_dates)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {INT64_C(784111777000123), "1994-11-06T08:49:37.000123+00:00"},
        {0, "1970-01-01T00:00:00.000000+00:00"},
        {-1, "1969-12-31T23:59:59.999999+00:00"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000+00:00"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999+00:00"},
        {INT64_C(253402300800000000), "9999-12-31T23:59:59.000000+00:00"},
    };
    char out[33];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        clock_iso_date(rows[i].us, out);
        ck_assert_str_eq(out, rows[i].text);
    }
    clock_iso_date(INT64_MAX, out);
    ck_assert_uint_eq(strlen(out), 32);
    clock_iso_date(INT64_MIN, out);
    ck_assert_uint_eq(strlen(out), 32);
}
END_TEST

START_TEST(http_dates_are_the_c_librarys)
{
    /* Every 40 days and a bit, from the year 0 to 9999. */
    for (int64_t at = -62167219200; at <= 253402300799; at += 40 * 86400 + 12345) {
        time_t t = (time_t)at;
        char out[30], want[64];
        struct tm tm;

        gmtime_r(&t, &tm);
        snprintf(want, sizeof want, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
                 &"SunMonTueWedThuFriSat"[3 * tm.tm_wday], tm.tm_mday,
                 &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * tm.tm_mon], tm.tm_year + 1900,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        clock_http_date(at, out);
        ck_assert_str_eq(out, want);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/clock");
    TCase *tc = tcase_create("clock");

    tcase_add_test(tc, clocks_run);
    tcase_add_test(tc, the_wall_clock_can_be_replaced);
    tcase_add_test(tc, http_dates);
    tcase_add_test(tc, iso_dates);
    tcase_add_test(tc, http_dates_are_the_c_librarys);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
