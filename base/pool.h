/*
 * base/pool.h - a few threads for work that takes long (hashing a password) or waits for others
 * (another server), so that event loops never do.
 *
 * Jobs wait in lanes; each thread takes the next one of the next lane that has any. So who fills a
 * lane waits for itself, and a job in another lane waits for one job of each lane at most. Lanes are
 * numbers of whom the work is for (a network, base/net.h); two that collide share a lane.
 *
 * Threads are started when there is work for them, and stay. With a niceness they run at a
 * lower priority than the loops, and signals are not theirs (thread.h). Memory: none for a job; the pool itself is a
 * few kilobytes.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/err.h"

struct pool;

struct pool_options {
    unsigned threads;  /* at most so many */
    size_t max_jobs;   /* that wait, in all lanes together */
    size_t max_a_lane; /* and in one */
    int niceness; /* of the threads, more than of those that submit: 0 as they are (sched(7)) */
};

/* The caller's, usually inside something larger; untouched by him from pool_submit until run(). */
struct pool_job {
    /* On a thread of the pool; may release the job. `dropped`: the pool has been stopped, be quick. */
    void (*run)(struct pool_job *job, bool dropped);
    struct pool_job *next; /* the pool's */
};

MUST_CHECK enum err pool_new(struct pool **out, const struct pool_options *o); /* NOMEM */
/* Any thread. AGAIN: too many wait already, or no thread could be started; CLOSED: the pool has been
 * stopped. The job was not taken then. */
MUST_CHECK enum err pool_submit(struct pool *p, struct pool_job *job, uint64_t lane);
/* Takes no more jobs, and drops those that wait. Any thread; returns at once. */
void pool_stop(struct pool *p);
/* Stops it, waits for its threads, and releases it (or NULL). */
void pool_free(struct pool *p);

#endif
