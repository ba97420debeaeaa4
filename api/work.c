/*
 * api/work.c - work that a request needs done before it can go on, on the threads of a pool: what
 * takes long (the hash of a password) or waits for others (another server).
 *
 * A step that needs such work asks for its result. When there is none, it hands the work over and
 * answers WAIT; the session is given back, the work is done, and the steps run again from the start
 * of where they were: before the session, or inside a new one. This time the result is there. So a
 * step is written as if the work took no time, and no session is ever open while it is done. (Of k pieces of
 * work, the passwords of a batch say, each is found missing by a run of its own: k + 1 runs of some
 * microseconds, beside which each piece takes a thousand times as long.)
 *
 * Many requests may need the same of others at once (a thousand with one token). Shared work is done
 * for the first of them; the rest hang in its list until it is done, and cost no thread.
 */
#include "api/private.h"
#include "base/os.h"

/* Of the pools' threads: the loops come first, but do not starve them. With all cores busy a thread has a
 * quarter of one (sched(7)); at 10 it has a tenth, and a log-in of 0.2 s takes 3.5 s. */
#define NICENESS 5
/* Of those that read much, beside which a loop that they let go first (aside.c) is put before them. Not lower:
 * meanwhile they hold a version of the data. */
#define LOWEST 10

struct api_work *api_work_done(struct api_req *r, api_work_fn run, str key)
{
    for (struct api_work *w = api_outermost(r)->works; w; w = w->next)
        if (w->run == run && str_eq(w->key, key))
            return w;
    return NULL;
}

void api_work_forget(struct api_req *r, const struct api_work *w)
{
    struct api_work **at = &api_outermost(r)->works;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

enum api_step api_work_begin(struct api_req *r, struct api_work *w, api_work_fn run, str key,
                             enum api_pool pool)
{
    struct api_req *outer = api_outermost(r);
    CHECK(outer->todo == NULL);
    *w = (struct api_work){
        .run = run, .key = key, .pool = pool, .arena = outer->arena, .req = outer};
    outer->todo = w;
    return STEP_WAIT;
}

enum api_step api_work_begin_shared(struct api_req *r, struct api_work *w, api_work_fn run,
                                    api_share_fn share, str key, enum api_pool pool)
{
    enum api_step s = api_work_begin(r, w, run, key, pool);
    w->share = share;
    return s;
}

/* ---- work that several wait for -------------------------------------------------------------- */

/* True if the same work is under way: `w` gets its result. Else others may wait for `w` from now on. */
static bool join(struct api *a, struct api_work *w)
{
    pthread_mutex_lock(&a->sharing);
    struct api_work *s = a->shared;
    while (s && (s->run != w->run || !str_eq(s->key, w->key)))
        s = s->next_shared;
    if (s) {
        w->waiting = s->waiting;
        s->waiting = w;
    } else {
        w->next_shared = a->shared;
        a->shared = w;
    }
    pthread_mutex_unlock(&a->sharing);
    return s != NULL;
}

/* Nobody can wait for it any more; those who do get its result and go on. */
static void part(struct api *a, struct api_work *done)
{
    pthread_mutex_lock(&a->sharing);
    struct api_work **at = &a->shared;
    while (*at != done)
        at = &(*at)->next_shared;
    *at = done->next_shared;
    pthread_mutex_unlock(&a->sharing);
    for (struct api_work *w = done->waiting, *next; w; w = next) {
        next = w->waiting; /* its memory is its request's, which goes on now */
        w->outcome = done->outcome;
        w->result = done->result == OK ? w->share(w, done) : done->result;
        http_resume(w->req->http);
    }
}

/* ---- doing it -------------------------------------------------------------------------------- */

/* Whoever waits for its result, its own client or that of a request that has joined, is still there. */
static bool has_client(const struct api_work *w)
{
    struct api *a = w->req->api;
    pthread_mutex_lock(&a->sharing);
    while (w && http_is_gone(w->req->http))
        w = w->waiting;
    pthread_mutex_unlock(&a->sharing);
    return w != NULL;
}

static bool is_wanted(const struct api_work *w)
{
    return has_client(w) && (!w->still_wanted || w->still_wanted(w->req));
}

/* On a thread of the pool. */
static void run_work(struct pool_job *job, bool dropped)
{
    struct api_work *w = CONTAINER_OF(job, struct api_work, job);
    if (dropped)
        w->outcome = WORK_DROPPED;
    else if (!is_wanted(w))
        w->outcome = WORK_UNWANTED;
    w->result = w->outcome == WORK_DONE ? w->run(w) : ERR_AGAIN;
    if (w->share)
        part(w->req->api, w);
    http_resume(w->req->http);
}

/* The arena goes to the thread, and comes back. Its spares are the loop's, which goes on using them:
 * they stay here. */
static void lend_arena(struct api_req *r)
{
    r->spares = r->arena->spares;
    r->arena->spares = NULL;
}

bool api_work_dropped(struct api_req *r)
{
    const struct api_work *newest = api_outermost(r)->works;
    return newest && newest->outcome == WORK_DROPPED;
}

/* What was unwanted is as if it had never been asked for: the steps, or proceed(), will see why before they
 * ask again. (It may have been unwanted by another request, which asked for the same.) */
void api_work_end(struct api_req *r)
{
    r->arena->spares = r->spares;
    if (r->works->outcome == WORK_UNWANTED)
        r->works = r->works->next;
}

#define TELL_AGAIN_MS ((uint64_t)10 * 1000)

/* Not once for each that is refused: who floods the queue would flood the log, too. */
static void tell_full(struct api *a, str peer)
{
    uint64_t now = clock_mono_ms(), told = atomic_load(&a->told_full_ms);
    if ((told == 0 || now - told >= TELL_AGAIN_MS) &&
        atomic_compare_exchange_strong(&a->told_full_ms, &told, now))
        log_event(LOG_WARN, "work_refused", "reason=\"too many requests wait\" peer=" STR_FMT,
                  STR_ARG(peer));
}

enum api_step api_work_refuse(struct api_req *r)
{
    if (!api_work_dropped(r))
        tell_full(r->api, r->http->peer);
    return api_fail(r, API_ERR_UNAVAILABLE);
}

enum err api_work_submit(struct api_req *r)
{
    struct api_work *w = r->todo;
    CHECK(r->parent == NULL && w);
    r->todo = NULL;
    w->next = r->works;
    r->works = w;
    w->job.run = run_work;
    lend_arena(r);
    if (w->share && join(r->api, w))
        return OK;
    enum err e = pool_submit(r->api->pools[w->pool], &w->job, r->http->network);
    if (e == OK)
        return OK;
    api_work_end(r);
    w->result = ERR_AGAIN;
    w->outcome = e == ERR_CLOSED ? WORK_DROPPED : WORK_DONE;
    if (w->share)
        part(r->api, w);
    return e;
}

enum err api_run_aside(struct api *a, enum api_pool pool, struct pool_job *job)
{
    return pool_submit(a->pools[pool], job, 0);
}

enum err api_pools_new(struct api *a)
{
    unsigned half = os_cpu_count() / 2;
    const struct pool_options options[POOL_COUNT] = {
        /* Half of the cores, so that the loops are never crowded out. */
        [POOL_COMPUTE] = {.threads = MAX_OF(half, 1u),
                          .max_jobs = 1024,
                          .max_a_lane = 64,
                          .niceness = NICENESS},
        [POOL_READ] = {.threads = os_cpu_count(),
                       .max_jobs = API_READS_WAITING,
                       .max_a_lane = API_READS_OF_A_NETWORK,
                       .niceness = LOWEST},
        [POOL_WAIT] = {.threads = 16, .max_jobs = 1024, .max_a_lane = 64, .niceness = NICENESS},
    };
    enum err e = OK;
    for (unsigned i = 0; e == OK && i < POOL_COUNT; i++)
        e = pool_new(&a->pools[i], &options[i]);
    return e;
}

bool api_is_stopping(const struct api *a)
{
    return atomic_load(&a->stopping);
}

void api_stop(struct api *a)
{
    atomic_store(&a->stopping, true);
    auth_stop(a->auth);
    for (size_t i = 0; i < a->nservices; i++)
        if (a->services[i].stop)
            a->services[i].stop(a->services[i].ctx);
    for (unsigned i = 0; i < POOL_COUNT; i++)
        pool_stop(a->pools[i]);
}

void api_pools_free(struct api *a)
{
    for (unsigned i = 0; i < POOL_COUNT; i++)
        pool_free(a->pools[i]);
}
