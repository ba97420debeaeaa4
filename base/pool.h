/*
 * base/pool.h - a few threads for work that takes long (hashing a password) or waits for others
 * (another server), so that event loops never do.
 *
 * Jobs wait in lanes; each thread takes the next one of the next lane that has any. So who fills a lane
 * waits for itself, and a job in another lane waits for one job of each lane at most. Two go before that:
 *
 *   - A job that goes on with what an earlier one began, so that what was spent is not spent in vain. There
 *     are no more of these than others were taken before.
 *   - A lane that had nothing lately: the first POOL_FRESH_JOBS of a newcomer wait for other newcomers only. It is
 *     none again before all others had a turn, so nobody is kept waiting for ever.
 *
 * Lanes are numbers of whom the work is for (a network, base/net.h); two that are the same modulo POOL_LANES
 * share a lane.
 *
 * Threads are started when there is work for them, and stay. With a niceness they run at a
 * lower priority than the loops, and signals are not theirs (thread.h). Memory: none for a job; the
 * pool itself is some 200 KB, of which only what lanes in use need is ever touched.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/err.h"
#include "base/list.h"

#define POOL_LANES      4096
#define POOL_FRESH_JOBS 4 /* a browser opens some connections at once */

struct pool;

struct pool_options {
    unsigned threads;  /* at most so many */
    size_t max_jobs;   /* that wait, in all lanes together */
    size_t max_a_lane; /* and in one */
    int niceness; /* of the threads, more than of those that submit: 0 as they are (sched(7)) */
};

/* The caller's, usually inside something larger; untouched by him from pool_submit until run(), or until
 * pool_take_back. */
struct pool_job {
    /* On a thread of the pool; may release the job. `dropped`: the pool has been stopped, be quick. */
    void (*run)(struct pool_job *job, bool dropped);
    struct list_node waiting; /* the pool's */
    unsigned lane;            /* the pool's */
};

MUST_CHECK enum err pool_new(struct pool **out, const struct pool_options *o); /* NOMEM */
/* Any thread. AGAIN: too many wait already, or no thread could be started; CLOSED: the pool has been
 * stopped. The job was not taken then. */
MUST_CHECK enum err pool_submit(struct pool *p, struct pool_job *job, uint64_t lane);
/* The same of one that goes on with what an earlier job began, once for each of these: it comes before
 * others. */
MUST_CHECK enum err pool_go_on(struct pool *p, struct pool_job *job, uint64_t lane);
/* Of a job that was submitted and whose run() has not released it. True: no thread has begun with it, and
 * none will; it is the caller's again. False: run() is called, now or soon, or was. Any thread. */
bool pool_take_back(struct pool *p, struct pool_job *job);
/* Takes no more jobs, and drops those that wait. Any thread; returns at once. */
void pool_stop(struct pool *p);
/* Stops it, waits for its threads, and releases it (or NULL). */
void pool_free(struct pool *p);

#endif
