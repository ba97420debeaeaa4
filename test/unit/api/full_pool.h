/*
 * The threads of long reads have all the work that they take: what happens to a request that comes now?
 *
 *     unsigned n = fill_lane();
 *     ...
 *     empty_lane(n);
 */
#ifndef FULL_POOL_H
#define FULL_POOL_H

#include "test/unit/api/api_test.h"

#include "base/os.h"

/* Jobs that hold the pool's threads, and fill the lane of the requests here, until they are let go. */
static struct pool_job jobs[1024];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool may_end;
static unsigned begun, ended;

static inline void hold(struct pool_job *job, bool dropped)
{
    (void)job;
    pthread_mutex_lock(&lock);
    begun++;
    pthread_cond_broadcast(&changed);
    while (!may_end && !dropped)
        pthread_cond_wait(&changed, &lock);
    ended++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static inline unsigned submit_from(unsigned n)
{
    for (; n < ARRAY_LEN(jobs); n++) {
        jobs[n].run = hold;
        if (api_run_aside(server.api, POOL_READ, &jobs[n]) != OK)
            break;
    }
    ck_assert_uint_lt(n, ARRAY_LEN(jobs));
    return n;
}

/* Every thread has one, and as many wait as may. */
static inline unsigned fill_lane(void)
{
    unsigned n = submit_from(0);
    pthread_mutex_lock(&lock);
    while (begun < os_cpu_count())
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return submit_from(n);
}

/* They are let go; back when all n have ended. */
static inline void empty_lane(unsigned n)
{
    pthread_mutex_lock(&lock);
    may_end = true;
    pthread_cond_broadcast(&changed);
    while (ended < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

#endif
