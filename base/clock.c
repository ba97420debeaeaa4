/*
 * base/clock.c - the two clocks, and dates as HTTP and JSON write them.
 *
 * The calendar is computed here: gmtime_r takes glibc's time zone lock and may read a file, which a
 * loop that dates every response should not do.
 */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic(int64_t (*)(void)) test_wall;

void clock_test_wall(int64_t (*fn)(void))
{
    atomic_store(&test_wall, fn);
}

int64_t clock_wall_us(void)
{
    int64_t (*fn)(void) = atomic_load_explicit(&test_wall, memory_order_relaxed);
    struct timespec t;

    if (UNLIKELY(fn != NULL))
        return fn() * 1000;
    CHECK(clock_gettime(CLOCK_REALTIME, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}

static uint64_t ns_of(clockid_t clock)
{
    struct timespec t;

    CHECK(clock_gettime(clock, &t) == 0);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
    return ns_of(CLOCK_MONOTONIC);
}

uint64_t clock_thread_ns(void)
{
    return ns_of(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}

struct date {
    unsigned year, month, day; /* month 0..11, day 1..31 */
};

/*
 * Days since 1970-01-01 to a date of the proleptic Gregorian calendar. Years are counted from
 * March, so that the leap day is the last of its year and month lengths follow one formula; 400
 * years are an era of always 146097 days. `days` lies between the years 0 and 9999.
 */
static struct date date_of(int64_t days)
{
    unsigned from_march_0000 = (unsigned)(days + 719468 + 146097); /* an era early: year 0 */
    unsigned era = from_march_0000 / 146097, day_of_era = from_march_0000 % 146097;
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153; /* 0 is March */
    unsigned year = era * 400 + year_of_era + (month >= 10) - 400;

    return (struct date){year, (month + 2) % 12, day_of_year - (153 * month + 2) / 5 + 1};
}

static inline char *put_digits(char *p, unsigned v, unsigned width)
{
    for (unsigned i = width; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + width;
}

/* A moment in the parts that dates are written in. */
struct moment {
    struct date date;
    unsigned weekday, second; /* from Sunday; of the day */
};

static struct moment moment_of(int64_t seconds)
{
    static const int64_t first = INT64_C(-62167219200), last = INT64_C(253402300799);
    int64_t s = seconds < first ? first : seconds > last ? last : seconds;
    int64_t days = s / 86400 - (s % 86400 < 0);
    unsigned weekday = (unsigned)((days + 719528 + 6) % 7); /* 0000-01-01 was a Saturday */

    return (struct moment){date_of(days), weekday, (unsigned)(s - days * 86400)};
}

/* "08:49:37" */
static char *put_time(char *p, unsigned second)
{
    p = put_digits(p, second / 3600, 2);
    *p++ = ':';
    p = put_digits(p, second / 60 % 60, 2);
    *p++ = ':';
    return put_digits(p, second % 60, 2);
}

void clock_http_date(int64_t seconds, char out[30])
{
    struct moment m = moment_of(seconds);
    char *p = out;

    memcpy(p, &"SunMonTueWedThuFriSat"[3 * m.weekday], 3);
    memcpy(p + 3, ", ", 2);
    p = put_digits(p + 5, m.date.day, 2);
    *p++ = ' ';
    memcpy(p, &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * m.date.month], 3);
    p[3] = ' ';
    p = put_digits(p + 4, m.date.year, 4);
    *p++ = ' ';
    p = put_time(p, m.second);
    memcpy(p, " GMT", 5);
}

void clock_iso_date(int64_t us, char out[33])
{
    int64_t seconds = us / 1000000 - (us % 1000000 < 0);
    struct moment m = moment_of(seconds);
    char *p = put_digits(out, m.date.year, 4);

    *p++ = '-';
    p = put_digits(p, m.date.month + 1, 2);
    *p++ = '-';
    p = put_digits(p, m.date.day, 2);
    *p++ = 'T';
    p = put_time(p, m.second);
    *p++ = '.';
    p = put_digits(p, (unsigned)(us - seconds * 1000000), 6);
    memcpy(p, "+00:00", 7);
}
