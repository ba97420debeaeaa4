/*
 * base/pool.c - the pool: one mutex over the lanes, one condition that idle threads wait for.
 *
 * The order is that of fair queueing with a bonus for those who want little (as FQ-CoDel, RFC 8290, has it
 * for packets). Jobs that go on with something lie in one row before all lanes. A lane is in one of three
 * places:
 *
 *     out     nothing waits in it --submit--> fresh
 *     fresh   it has credit left for this; taken from first. Without jobs -> out; without credit -> known
 *     known   takes its turn behind all others. Without jobs when its turn comes -> out, with all its credit
 *
 * A lane that has used its credit up is known until its next turn, be there a job in it or not; so nobody
 * becomes a newcomer again by waiting for the end of each job. As there are POOL_LANES of them, those who are
 * known wait for POOL_LANES * POOL_FRESH_JOBS newcomers at most.
 */
#include "base/pool.h"
#include "base/thread.h"
#include <unistd.h>

#define MAX_THREADS 64u

struct lane { /* of zeroes: was never used */
    struct list_node jobs;
    struct list_node turn; /* in pool.fresh or pool.known; alone: out */
    size_t count;
    unsigned credit; /* so many jobs more as a fresh one */
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct pool_options o;
    struct list_node going_on;     /* jobs: before all lanes */
    struct list_node fresh, known; /* lanes; the first has the next turn */
    size_t waiting;
    unsigned started, idle;
    bool stop;
    pthread_t threads[MAX_THREADS];
    struct lane lanes[POOL_LANES];
};

/* ---- the order; all under the lock ----------------------------------------------------------- */

static struct lane *lane_of(struct pool *p, uint64_t number)
{
    struct lane *l = &p->lanes[number % POOL_LANES];

    if (l->jobs.next == NULL) {
        list_init(&l->jobs);
        list_init(&l->turn);
        l->credit = POOL_FRESH_JOBS;
    }
    return l;
}

static void remove_job(struct pool *p, struct pool_job *job)
{
    list_remove(&job->waiting);
    p->lanes[job->lane].count--;
    p->waiting--;
}

/* NULL: none waits in this row. */
static struct pool_job *take_first(struct pool *p, const struct list_node *jobs)
{
    struct pool_job *job =
        list_empty(jobs) ? NULL : LIST_ENTRY(jobs->next, struct pool_job, waiting);

    if (job != NULL)
        remove_job(p, job);
    return job;
}

/* Of the lane that is first among the fresh ones. NULL: it has none, and is out. */
static struct pool_job *take_fresh(struct pool *p)
{
    struct lane *l = LIST_ENTRY(list_pop(&p->fresh), struct lane, turn);
    struct pool_job *job = take_first(p, &l->jobs);

    if (job == NULL)
        return NULL;
    if (--l->credit == 0)
        list_push(&p->known, &l->turn);
    else if (!list_empty(&l->jobs))
        list_push(&p->fresh, &l->turn);
    return job;
}

static struct pool_job *take_known(struct pool *p)
{
    struct lane *l = LIST_ENTRY(list_pop(&p->known), struct lane, turn);
    struct pool_job *job = take_first(p, &l->jobs);

    if (job == NULL)
        l->credit = POOL_FRESH_JOBS;
    else
        list_push(&p->known, &l->turn);
    return job;
}

static struct pool_job *take(struct pool *p)
{
    struct pool_job *job = take_first(p, &p->going_on);

    while (job == NULL && p->waiting > 0)
        job = list_empty(&p->fresh) ? take_known(p) : take_fresh(p);
    return job;
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *work(void *arg)
{
    struct pool *p = arg;
    /* Linux gives each thread a niceness of its own, so that this is the thread's, and begins with its
     * process's. */
    if (p->o.niceness > 0)
        (void)!nice(p->o.niceness);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct pool_job *job = take(p);
        bool dropped = p->stop;
        if (job == NULL && p->stop)
            break;
        if (job == NULL) {
            p->idle++;
            pthread_cond_wait(&p->wake, &p->lock);
            p->idle--;
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        job->run(job, dropped);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Under the lock. True if there is a thread to do the work, at once or later. */
static bool have_thread(struct pool *p)
{
    if (p->idle > p->waiting || p->started == p->o.threads)
        return true;
    if (thread_start(&p->threads[p->started], work, p) == OK)
        p->started++;
    return p->started > 0;
}

enum err pool_new(struct pool **out, const struct pool_options *o)
{
    CHECK(o->threads > 0);
    struct pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    p->o = *o;
    p->o.threads = MIN_OF(o->threads, MAX_THREADS);
    list_init(&p->going_on);
    list_init(&p->fresh);
    list_init(&p->known);
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
    CHECK(pthread_cond_init(&p->wake, NULL) == 0);
    *out = p;
    return OK;
}

static enum err submit(struct pool *p, struct pool_job *job, uint64_t lane, bool goes_on)
{
    pthread_mutex_lock(&p->lock);
    struct lane *l = lane_of(p, lane);
    enum err e = p->stop ? ERR_CLOSED : ERR_AGAIN;
    if (!p->stop && p->waiting < p->o.max_jobs && l->count < p->o.max_a_lane && have_thread(p)) {
        job->lane = (unsigned)(lane % POOL_LANES);
        list_push(goes_on ? &p->going_on : &l->jobs, &job->waiting);
        if (!goes_on && list_empty(&l->turn))
            list_push(&p->fresh, &l->turn);
        l->count++;
        p->waiting++;
        pthread_cond_signal(&p->wake);
        e = OK;
    }
    pthread_mutex_unlock(&p->lock);
    return e;
}

enum err pool_submit(struct pool *p, struct pool_job *job, uint64_t lane)
{
    return submit(p, job, lane, false);
}

enum err pool_go_on(struct pool *p, struct pool_job *job, uint64_t lane)
{
    return submit(p, job, lane, true);
}

bool pool_take_back(struct pool *p, struct pool_job *job)
{
    pthread_mutex_lock(&p->lock);
    bool waits = !list_empty(&job->waiting);
    if (waits)
        remove_job(p, job);
    pthread_mutex_unlock(&p->lock);
    return waits;
}

void pool_stop(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    pool_stop(p);
    for (unsigned i = 0; i < p->started; i++)
        CHECK(pthread_join(p->threads[i], NULL) == 0);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
