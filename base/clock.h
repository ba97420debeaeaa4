/*
 * base/clock.h - the two clocks, and dates as text. Wall time may step in both directions; monotonic time
 * never does.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/base.h"

int64_t clock_wall_ms(void);  /* milliseconds since 1970-01-01 UTC */
int64_t clock_wall_us(void);  /* the same in microseconds */
uint64_t clock_mono_ms(void); /* for time-outs and durations */
uint64_t clock_mono_ns(void);
uint64_t clock_thread_ns(void); /* that the calling thread has computed */

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7), 29 characters and a NUL. Times before year 0
 * or after 9999 are clamped. */
void clock_http_date(int64_t seconds, char out[30]);

/* "2026-11-22T08:49:37.000123+00:00" (RFC 3339), 32 characters and a NUL; clamped as above. */
void clock_iso_date(int64_t us, char out[33]);

/* Tests only: the wall clock becomes fn(); NULL restores. */
void clock_test_wall(int64_t (*fn)(void));

#endif
