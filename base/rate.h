/*
 * base/rate.h - how often somebody may do something: N in a second (minute, hour, day), with a burst.
 *
 * The generic cell rate algorithm (ITU-T I.371): for each of those who are limited one point in time is
 * kept, at which all that he has done so far would have been done at the allowed rate. He may go on as
 * long as that is not further ahead than the burst allows. So there are no windows whose edges can be
 * played with, and nothing has to be counted down.
 *
 * Memory: a table of RATE_SLOTS places of 16 bytes (1 MiB), made once. Whoever has used up nothing needs
 * none. When all places are taken that somebody new may have, the one of them who owes least is
 * forgotten, and begins with a full burst when he comes back: so who owes much is not forgotten for some
 * who come after him, unless those owe more. Who is limited is a number, best a keyed hash (of a
 * network: net_network, of a user: map_hash), so that nobody can choose his places.
 *
 * Any thread.
 */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include "base/err.h"
#include "base/str.h"

#define RATE_SLOTS ((size_t)64 * 1024)

/* "100/second", "600/minute burst 50": s, sec, second, m, min, minute, h, hour, d, day. Without a burst it is
 * the number: all of a period may be done at once. Both 1 to 1,000,000,000. */
struct rate {
    uint64_t interval_ns; /* between two, at the allowed rate */
    uint64_t burst;       /* at once by who has done nothing for long */
};
MUST_CHECK enum err rate_parse(str text, struct rate *out); /* SYNTAX, RANGE */

struct rate_table;
MUST_CHECK enum err rate_table_new(struct rate_table **out, const struct rate *rate); /* NOMEM */
void rate_table_free(struct rate_table *t);                                           /* or NULL */

/* `key` is the number of who is limited, `now_ns` is clock_mono_ns(). */
/* Once more. 0: he may, and it is counted; else in so many nanoseconds he may, and nothing is. */
uint64_t rate_take(struct rate_table *t, uint64_t key, uint64_t now_ns);
/* The same answer, without counting. */
uint64_t rate_wait_ns(struct rate_table *t, uint64_t key, uint64_t now_ns);
/* It has happened, allowed or not. A debt grows to that of four bursts at most: nobody is shut out for good
 * by what was counted at once. */
void rate_charge(struct rate_table *t, uint64_t key, uint64_t now_ns);

#endif
