/* The pool of threads: all is done, nobody waits for somebody else's lane, newcomers come first, what waits
 * can be taken back, and a stop drops. */
#include "base/pool.h"
#include "test/support/unit.h"

#include <limits.h>
#include <pthread.h>
#include <sys/resource.h>

/* Jobs write their number down in the order in which they run; no more of them end than may. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned may_end;
    unsigned inside, done, dropped;
    unsigned order[1000];
} seen;

struct numbered {
    struct pool_job job;
    unsigned number;
};

static void note(struct pool_job *job, bool dropped)
{
    struct numbered *n = CONTAINER_OF(job, struct numbered, job);

    pthread_mutex_lock(&seen.lock);
    seen.inside++;
    pthread_cond_broadcast(&seen.changed);
    while (seen.done >= seen.may_end)
        pthread_cond_wait(&seen.changed, &seen.lock);
    seen.dropped += dropped;
    seen.order[seen.done++] = n->number;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void let_end(unsigned n)
{
    pthread_mutex_lock(&seen.lock);
    seen.may_end = n;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void open_gate(void)
{
    let_end(UINT_MAX);
}

static void wait_inside(unsigned n)
{
    pthread_mutex_lock(&seen.lock);
    while (seen.inside < n)
        pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
}

static void wait_done(unsigned n)
{
    pthread_mutex_lock(&seen.lock);
    while (seen.done < n)
        pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
}

static struct numbered jobs[1000];
static struct pool *pool;

static void make(unsigned threads, size_t max_jobs, size_t max_a_lane)
{
    memset(&seen, 0, sizeof seen);
    pthread_mutex_init(&seen.lock, NULL);
    pthread_cond_init(&seen.changed, NULL);
    ck_assert_int_eq(pool_new(&pool, &(struct pool_options){threads, max_jobs, max_a_lane, 5}), OK);
}

static enum err submit(unsigned number, uint64_t lane)
{
    jobs[number] = (struct numbered){.job = {.run = note}, .number = number};
    return pool_submit(pool, &jobs[number].job, lane);
}

START_TEST(everything_is_done_once)
{
    bool was[ARRAY_LEN(jobs)] = {false};

    make(4, 1000, 1000);
    open_gate();
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
        ck_assert_int_eq(submit(i, i * 7919), OK);
    wait_done(ARRAY_LEN(jobs));
    pool_free(pool);
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
        was[seen.order[i]] = true;
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
        ck_assert(was[i]);
    ck_assert_uint_eq(seen.dropped, 0);
}
END_TEST

/* One thread, held by job 0; then eight jobs in one lane, one in each of two others. */
START_TEST(lanes_take_turns)
{
    make(1, 100, 100);
    ck_assert_int_eq(submit(0, 1), OK);
    wait_inside(1);
    for (unsigned i = 1; i <= 8; i++)
        ck_assert_int_eq(submit(i, 1), OK);
    ck_assert_int_eq(submit(9, 2), OK);
    ck_assert_int_eq(submit(10, 3), OK);
    open_gate();
    wait_done(11);
    pool_free(pool);
    static const unsigned want[] = {0, 1, 9, 10, 2, 3, 4, 5, 6, 7, 8};
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        ck_assert_uint_eq(seen.order[i], want[i]);
}
END_TEST

/* One thread; `lanes` of them have always something to do, and none is new: five jobs of each are done, one
 * runs. *next: the number of the next job. */
static void crowd(unsigned lanes, unsigned *next)
{
    make(1, 1000, 1000);
    for (*next = 0; *next < 7 * lanes; ++*next)
        ck_assert_int_eq(submit(*next, *next % lanes), OK);
    let_end(5 * lanes);
    wait_inside(5 * lanes + 1);
}

/* Where the job was among those that ended. */
static unsigned place_of(unsigned number)
{
    for (unsigned i = 0; i < seen.done; i++)
        if (seen.order[i] == number)
            return i;
    ck_abort_msg("%u was not done", number);
    return 0;
}

/* A hundred lanes are always full; somebody new waits for none of them, with any of his first jobs. */
START_TEST(newcomers_first)
{
    unsigned n;

    crowd(100, &n);
    for (unsigned i = 0; i < POOL_FRESH_JOBS; i++) {
        ck_assert_int_eq(submit(n + i, 100), OK);
        let_end(501 + i);
        wait_inside(502 + i);
    }
    open_gate();
    wait_done(700 + POOL_FRESH_JOBS);
    pool_free(pool);
    for (unsigned i = 0; i < POOL_FRESH_JOBS; i++)
        ck_assert_uint_eq(place_of(n + i), 501 + i); /* what ran was begun before it came */
}
END_TEST

/* But who comes with one job after the other is none any more, and has his turn like the others. */
START_TEST(nobody_stays_new)
{
    unsigned n;

    crowd(100, &n);
    for (unsigned i = 0; i < POOL_FRESH_JOBS + 2; i++) {
        ck_assert_int_eq(submit(n + i, 100), OK);
        let_end(501 + i);
        wait_inside(502 + i);
    }
    open_gate();
    wait_done(702 + POOL_FRESH_JOBS);
    pool_free(pool);
    ck_assert_uint_eq(place_of(n + POOL_FRESH_JOBS - 1), 500 + POOL_FRESH_JOBS);
    ck_assert_uint_ge(place_of(n + POOL_FRESH_JOBS), 600);
    ck_assert_uint_ge(place_of(n + POOL_FRESH_JOBS + 1), 700);
}
END_TEST

START_TEST(what_was_begun_goes_on)
{
    unsigned n;

    crowd(100, &n);
    ck_assert_int_eq(submit(n, 200), OK); /* a newcomer */
    jobs[n + 1] = (struct numbered){.job = {.run = note}, .number = n + 1};
    ck_assert_int_eq(pool_go_on(pool, &jobs[n + 1].job, 0), OK);
    jobs[n + 2] = (struct numbered){.job = {.run = note}, .number = n + 2};
    ck_assert_int_eq(pool_go_on(pool, &jobs[n + 2].job, 0), OK);
    ck_assert(pool_take_back(pool, &jobs[n + 2].job));
    open_gate();
    wait_done(702);
    pool_free(pool);
    ck_assert_uint_eq(place_of(n + 1), 501);
    ck_assert_uint_eq(place_of(n), 502);
}
END_TEST

/* More clients than there used to be lanes: none is behind another one's jobs. */
START_TEST(many_lanes)
{
    make(1, 1000, 1000);
    for (unsigned i = 0; i < 500; i++)
        ck_assert_int_eq(submit(i, i % 250), OK);
    open_gate();
    wait_done(500);
    pool_free(pool);
    for (unsigned i = 0; i < 500; i++)
        ck_assert_uint_eq(seen.order[i], i);
}
END_TEST

START_TEST(taken_back)
{
    make(1, 2, 2);
    ck_assert_int_eq(submit(0, 0), OK);
    wait_inside(1);
    ck_assert(!pool_take_back(pool, &jobs[0].job));
    ck_assert_int_eq(submit(1, 1), OK);
    ck_assert_int_eq(submit(2, 1), OK);
    ck_assert_int_eq(submit(3, 2), ERR_AGAIN);
    ck_assert(pool_take_back(pool, &jobs[1].job));
    ck_assert(!pool_take_back(pool, &jobs[1].job));
    ck_assert_int_eq(submit(3, 2), OK); /* it makes room */
    ck_assert(pool_take_back(pool, &jobs[2].job));
    open_gate();
    wait_done(2);
    ck_assert(!pool_take_back(pool, &jobs[3].job));
    ck_assert_int_eq(submit(2, 1), OK); /* the lane was empty, and has jobs again */
    wait_done(3);
    pool_free(pool);
    static const unsigned want[] = {0, 3, 2};
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        ck_assert_uint_eq(seen.order[i], want[i]);
}
END_TEST

START_TEST(threads_work_at_the_same_time)
{
    make(3, 100, 100);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(submit(i, 0), OK);
    wait_inside(3);
    open_gate();
    wait_done(5);
    pool_free(pool);
}
END_TEST

START_TEST(a_full_lane_takes_nothing)
{
    make(1, 6, 2);
    ck_assert_int_eq(submit(0, 0), OK);
    wait_inside(1);
    ck_assert_int_eq(submit(1, 1), OK);
    ck_assert_int_eq(submit(2, 1), OK);
    ck_assert_int_eq(submit(3, 1), ERR_AGAIN);
    for (unsigned i = 3; i < 7; i++)
        ck_assert_int_eq(submit(i, i), OK);
    ck_assert_int_eq(submit(7, 40), ERR_AGAIN); /* six wait */
    open_gate();
    wait_done(7);
    ck_assert_int_eq(submit(7, 40), OK);
    wait_done(8);
    pool_free(pool);
}
END_TEST

START_TEST(a_stop_drops_what_waits)
{
    make(1, 100, 100);
    ck_assert_int_eq(submit(0, 0), OK);
    wait_inside(1);
    for (unsigned i = 1; i < 5; i++)
        ck_assert_int_eq(submit(i, i), OK);
    pool_stop(pool);
    ck_assert_int_eq(submit(5, 0), ERR_CLOSED);
    open_gate();
    pool_free(pool);
    ck_assert_uint_eq(seen.done, 5);
    ck_assert_uint_eq(seen.dropped, 4);
}
END_TEST

START_TEST(a_pool_without_work_is_only_memory)
{
    make(2, 1, 1);
    pool_free(pool);
    pool_free(NULL);
}
END_TEST

struct nice_job {
    struct pool_job job;
    int niceness;
};

static void note_niceness(struct pool_job *job, bool dropped)
{
    (void)dropped;
    CONTAINER_OF(job, struct nice_job, job)->niceness = getpriority(PRIO_PROCESS, 0);
}

/* Beside the others of its process, however important that is as a whole. */
START_TEST(niceness_is_the_callers_and_more)
{
    struct nice_job n = {.job = {.run = note_niceness}, .niceness = -100};
    struct pool_options o = {.threads = 1, .max_jobs = 1, .max_a_lane = 1, .niceness = _i};

    int own = MIN_OF(getpriority(PRIO_PROCESS, 0) + 3, 19);
    ck_assert_int_eq(setpriority(PRIO_PROCESS, 0, own), 0);
    ck_assert_int_eq(pool_new(&pool, &o), OK);
    ck_assert_int_eq(pool_submit(pool, &n.job, 0), OK);
    pool_free(pool); /* waits for it */
    ck_assert_int_eq(n.niceness, MIN_OF(own + _i, 19));
    ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), own);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {everything_is_done_once,
                                  lanes_take_turns,
                                  threads_work_at_the_same_time,
                                  a_full_lane_takes_nothing,
                                  a_stop_drops_what_waits,
                                  a_pool_without_work_is_only_memory,
                                  newcomers_first,
                                  nobody_stays_new,
                                  what_was_begun_goes_on,
                                  many_lanes,
                                  taken_back};
    Suite *s = suite_create("base/pool");
    TCase *c = tcase_create("pool");
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(c, tests[i]);
    tcase_add_loop_test(c, niceness_is_the_callers_and_more, 0, 6);
    suite_add_tcase(s, c);
    return s;
}
UNIT_MAIN(make_suite)
