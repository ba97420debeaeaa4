/*
 * base/pool.c - the pool: one mutex over the lanes, one condition that idle threads wait for.
 */
#include "base/pool.h"
#include "base/thread.h"
#include <unistd.h>

#define LANES       64
#define MAX_THREADS 64

struct lane {
    struct pool_job *first, **last; /* last: where the next one is hung in */
    size_t count;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct pool_options o;
    struct lane lanes[LANES];
    unsigned next; /* lane that is looked at first */
    size_t waiting;
    unsigned started, idle;
    bool stop;
    pthread_t threads[MAX_THREADS];
};

/* Under the lock. */
static struct pool_job *take(struct pool *p)
{
    for (unsigned i = 0; i < LANES; i++) {
        struct lane *l = &p->lanes[(p->next + i) % LANES];
        struct pool_job *job = l->first;
        if (job == NULL)
            continue;
        l->first = job->next;
        if (l->first == NULL)
            l->last = &l->first;
        l->count--;
        p->waiting--;
        p->next = (p->next + i + 1) % LANES;
        return job;
    }
    return NULL;
}

static void *work(void *arg)
{
    struct pool *p = arg;
    /* Linux gives each thread a niceness of its own, so that this is the thread's, and begins with its process's. */
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
    for (unsigned i = 0; i < LANES; i++)
        p->lanes[i].last = &p->lanes[i].first;
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
    CHECK(pthread_cond_init(&p->wake, NULL) == 0);
    *out = p;
    return OK;
}

enum err pool_submit(struct pool *p, struct pool_job *job, uint64_t lane)
{
    struct lane *l = &p->lanes[lane % LANES];
    pthread_mutex_lock(&p->lock);
    enum err e = p->stop ? ERR_CLOSED : ERR_AGAIN;
    if (!p->stop && p->waiting < p->o.max_jobs && l->count < p->o.max_a_lane && have_thread(p)) {
        job->next = NULL;
        *l->last = job;
        l->last = &job->next;
        l->count++;
        p->waiting++;
        pthread_cond_signal(&p->wake);
        e = OK;
    }
    pthread_mutex_unlock(&p->lock);
    return e;
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
