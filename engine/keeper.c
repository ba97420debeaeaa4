/*
 * engine/keeper.c - a thread that looks after the files: checkpoints, so that neither memory nor
 * the time of the next start grows; compaction, so that the log does not.
 *
 * The writer pokes it when there is something to do (one comparison a transaction). It works in
 * small turns and leaves the turn to others in between. What fails is tried again after a while;
 * what met damage is not.
 *
 * When transactions come faster than the disk takes their pages, memory would grow. The committer then
 * waits for the checkpoint: whoever waits for an answer sends nothing new, so all slow down to what
 * the disk can do. Only who goes on regardless comes to the end of the memory and is refused.
 */
#include <errno.h>
#include <time.h>

#include "base/log.h"
#include "engine/private.h"

#define RETRY_MS 1000
#define SOON_MS  10
#define FULL_MS  100 /* a disk that stays full */
#define BRAKE(e) ((e)->options.cache_bytes / 4 * 3)
#define BRAKE_MS 1000

void keeper_poke(struct engine *e)
{
    struct keeper *k = &e->keeper;

    if (atomic_load_explicit(&k->wanted, memory_order_relaxed) ||
        (!checkpoint_due(e) && !compact_due(e) && !reserve_due(e)))
        return;
    pthread_mutex_lock(&k->mutex);
    atomic_store_explicit(&k->wanted, true, memory_order_relaxed);
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->mutex);
}

void keeper_alarm(struct engine *e)
{
    pthread_mutex_lock(&e->keeper.mutex);
    atomic_store(&e->keeper.wanted, true);
    pthread_cond_signal(&e->keeper.wake);
    pthread_mutex_unlock(&e->keeper.mutex);
}

/* The log has everything, so a start makes the index anew. Until then what leads through the page
 * cannot be read, and what would build on it is refused. */
void keeper_give_index_up(struct engine *e)
{
    if (index_give_up(e, NULL) == OK)
        engine_fail(e, "a page of the index is damaged; the next start makes it anew");
    else
        engine_fail(e, "a page of the index is damaged: stop kinto, remove the file index, start");
}

void keeper_set_writing(struct engine *e, bool writing)
{
    pthread_mutex_lock(&e->keeper.mutex);
    atomic_store(&e->keeper.writing, writing);
    pthread_cond_broadcast(&e->keeper.written);
    pthread_mutex_unlock(&e->keeper.mutex);
}

static struct timespec time_after(unsigned ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

void keeper_let_write(struct engine *e)
{
    struct keeper *k = &e->keeper;
    struct timespec until;
    int waited = 0;

    if (atomic_load_explicit(&e->page_memory, memory_order_relaxed) < BRAKE(e) ||
        !atomic_load(&k->writing))
        return;
    until = time_after(BRAKE_MS);
    pthread_mutex_lock(&k->mutex);
    while (atomic_load(&k->writing) && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&k->written, &k->mutex, &until);
    pthread_mutex_unlock(&k->mutex);
}

/* Waits until it is poked (pause_ms 0), or for a while. False: stop. */
static bool wait_turn(struct keeper *k, bool poked, unsigned pause_ms)
{
    struct timespec until = time_after(pause_ms);
    bool stop;

    pthread_mutex_lock(&k->mutex);
    if (poked)
        while (!k->stop && !atomic_load(&k->wanted))
            pthread_cond_wait(&k->wake, &k->mutex);
    else
        while (!k->stop && pthread_cond_timedwait(&k->wake, &k->mutex, &until) != ETIMEDOUT)
            continue;
    stop = k->stop;
    pthread_mutex_unlock(&k->mutex);
    return !stop;
}

struct todo {
    bool checkpoint, compaction, reserve;
};

static struct todo what_is_due(struct engine *e)
{
    struct todo due = {false, false, false};
    bool left; /* files that could not be removed behind the last checkpoint */

    pthread_mutex_lock(&e->writer.mutex);
    left = e->log.first < e->index.first;
    if (!atomic_load(&e->failed))
        due = (struct todo){checkpoint_due(e) || left, compact_due(e), reserve_due(e)};
    if (!due.checkpoint && !due.compaction && !due.reserve)
        atomic_store_explicit(&e->keeper.wanted, false, memory_order_relaxed);
    pthread_mutex_unlock(&e->writer.mutex);
    return due;
}

static enum err take_turn(struct engine *e, struct todo due)
{
    struct keeper *k = &e->keeper;
    enum err err = OK;

    pthread_mutex_lock(&k->work);
    if (due.checkpoint)
        err = checkpoint_run(e);
    if (err == OK && due.checkpoint)
        err = compact_unlink(e);
    if (err == OK && (due.checkpoint || due.reserve))
        reserve_fit(e);
    if (err == OK && reserve_wants_shrinking(e))
        err = shrink_index(e, SHRINK_WHEN_FULL);
    if (err == OK && reserve_wants_roll(e))
        err = compact_roll(e, NULL);
    if (err == OK && due.compaction)
        err = compact_step(e);
    if (err == ERR_CORRUPT)
        atomic_store(&k->given_up, true);
    if (reserve_after(e, err))
        err = OK;
    pthread_mutex_unlock(&k->work);
    return err;
}

/* One line when files cannot be looked after, and one when they can again. */
static void say(struct engine *e, enum err err)
{
    bool failing = err != OK && err != ERR_AGAIN;

    if (failing != e->keeper.failing && !atomic_load(&e->failed))
        log_event(failing ? LOG_ERROR : LOG_INFO,
                  failing ? "engine_housekeeping_failed" : "engine_housekeeping_works",
                  "error=\"%s\"", err_text(err));
    e->keeper.failing = failing;
}

static bool nothing_to_do(struct engine *e, struct todo due)
{
    if (atomic_load(&e->failed))
        return true;
    return !due.checkpoint && !due.compaction && !due.reserve && !atomic_load(&e->reserve.given);
}

static unsigned pause_after(struct engine *e, struct todo due, enum err err)
{
    switch (err) {
    case OK:
        if (due.compaction)
            return compact_pause_ms(e);
        return atomic_load(&e->reserve.given) && !atomic_load(&e->reserve.worth) ? FULL_MS : 0;
    case ERR_AGAIN:
        return SOON_MS;
    case ERR_NOSPACE:
        return FULL_MS;
    default:
        return RETRY_MS;
    }
}

static void begin_reserve(struct engine *e)
{
    pthread_mutex_lock(&e->keeper.work);
    reserve_fit(e);
    pthread_mutex_unlock(&e->keeper.work);
}

void *keeper_thread(void *engine)
{
    struct engine *e = engine;
    bool poked = true;
    unsigned pause_ms = 0;

    begin_reserve(e);
    keeper_alarm(e); /* something may be due since the start */
    while (wait_turn(&e->keeper, poked, pause_ms)) {
        struct todo due = what_is_due(e); /* first: an alarm from here on is for the next round */
        if (atomic_load(&e->pages.damaged) != 0 && !atomic_load(&e->failed))
            keeper_give_index_up(e);
        enum err err = take_turn(e, due);
        say(e, err);
        poked = nothing_to_do(e, due);
        pause_ms = pause_after(e, due, err);
    }
    return NULL;
}
