/*
 * api/aside.c - reads that take long, on threads of their own, so that those who ask for little do not wait.
 *
 * Nobody can tell before how much a filter has to look at. So each read begins on its loop; when its session has
 * looked at more than a little (AT_ONCE), it is given up, and done again by a thread of a pool, whose
 * priority is lower: what was done in vain is less than the way there costs. When too many wait for that already, the
 * loop does it after all.
 *
 * A lower priority alone is not enough: schedulers let a thread that has the processor go on for a millisecond or more,
 * whoever is woken meanwhile, and give it the share that is its own in such pieces. So what takes long asks every now and
 * then whether a loop has something to do on its processor, and lets it go first (api_make_way). Where loops hardly ever rest
 * that would leave it nothing: so after a while (API_PATIENT_MS) it takes what the scheduler gives it.
 *
 * A session belongs to a thread, so each thread of the pool takes a reader: a loop's context without a loop.
 */
#include "api/private.h"

/* As store_work() counts: some 300 objects that are only listed, some 80 that a filter looks through. */
#define AT_ONCE ((uint64_t)20 * KIB)
/* By the same measure, some 25 microseconds of filtering or 80 of listing: how often it is looked whether a loop has
 * something to do. */
#define REST_EVERY ((uint64_t)40 * KIB)

struct aside {
    struct api_work work;
    enum api_step step; /* that it came to */
};

struct api_reader {
    struct api_loop loop; /* first: it is what a request sees */
    struct api_reader *next;
};

static const str reading = STR_INIT("read"); /* which work it is, of a request's */

static struct api_reader *reader_new(struct api *a)
{
    struct api_reader *reader = calloc(1, sizeof *reader);
    if (reader && api_loop_init(&reader->loop, a) == OK)
        return reader;
    free(reader);
    return NULL;
}

/* One that nobody uses; made when there is none. NULL: no memory. */
static struct api_reader *reader_take(struct api *a)
{
    pthread_mutex_lock(&a->sharing);
    struct api_reader *reader = a->readers;
    if (reader)
        a->readers = reader->next;
    pthread_mutex_unlock(&a->sharing);
    return reader ? reader : reader_new(a);
}

static void reader_give_back(struct api *a, struct api_reader *reader)
{
    pthread_mutex_lock(&a->sharing);
    reader->next = a->readers;
    a->readers = reader;
    pthread_mutex_unlock(&a->sharing);
}

void api_readers_free(struct api *a)
{
    while (a->readers) {
        struct api_reader *reader = a->readers;
        a->readers = reader->next;
        api_loop_fini(&reader->loop);
        free(reader);
    }
}

void api_make_way(struct api_req *r)
{
    const struct api_req *outer = api_outermost(r);
    if (outer->aside_since_ms == 0)
        return;
    uint64_t ms = clock_mono_ms() - outer->aside_since_ms;
    if (ms < outer->api->patient_ms ||
        (clock_thread_ns() - outer->aside_since_cpu_ns) / 1000000 >= ms / 2)
        http_make_way(outer->http, ms < outer->api->patient_ms);
}

void api_set_aside(struct api_req *r, bool aside)
{
    r->aside_since_ms = aside ? MAX_OF(clock_mono_ms(), (uint64_t)1) : 0;
    r->aside_since_cpu_ns = aside ? clock_thread_ns() : 0;
}

static void rest(void *ctx)
{
    api_make_way(ctx);
}

void api_make_way_in_session(struct api_req *r)
{
    struct api_req *outer = api_outermost(r);
    if (outer->aside_since_ms > 0)
        store_work_rests(r->session, REST_EVERY, rest, outer);
}

static void set_loop(struct api_req *r, struct api_loop *loop)
{
    r->loop = loop;
    if (r->batch)
        api_batch_set_loop(r->batch, loop);
}

/* On a thread of the pool. */
static enum err run_aside(struct api_work *w)
{
    struct aside *x = CONTAINER_OF(w, struct aside, work);
    struct api_req *r = w->req;
    struct api_loop *loop = r->loop;
    struct api_reader *reader = reader_take(r->api);
    if (reader == NULL)
        return ERR_NOMEM;
    set_loop(r, &reader->loop);
    api_set_aside(r, true);
    x->step = api_run_reading(r, 0);
    if (x->step == STEP_DONE)
        api_gzip_here(r); /* saves it a second way here */
    api_set_aside(r, false);
    set_loop(r, loop);
    reader_give_back(r->api, reader);
    return OK;
}

bool api_goes_aside(struct api_req *r, enum err e)
{
    struct api_req *outer = api_outermost(r);
    if (e != ERR_TIMEOUT || r->session == NULL || !store_gave_up(r->session) ||
        api_is_stopping(r->api))
        return false;
    if (outer->todo) /* another part has said it */
        return true;
    struct aside *x = ARENA_NEW(outer->arena, struct aside);
    if (x == NULL)
        return false;
    api_work_begin(r, &x->work, run_aside, reading, POOL_READ);
    return true;
}

bool api_aside_was_refused(struct api_req *r)
{
    const struct api_work *w = api_outermost(r)->works;
    return w && w->run == run_aside && w->result != OK;
}

enum api_step api_read(struct api_req *r)
{
    struct api_work *w = api_work_done(r, run_aside, reading);
    if (w == NULL)
        return api_run_reading(r, AT_ONCE);
    if (w->outcome == WORK_DROPPED || http_is_gone(r->http)) /* a stop waits for nobody */
        return api_fail(r, API_ERR_UNAVAILABLE);
    if (w->result != OK) /* too many are there already, or there is no memory for one more */
        return api_run_reading(r, 0);
    api_work_forget(r, w); /* a session later on sees something else */
    return CONTAINER_OF(w, struct aside, work)->step;
}
