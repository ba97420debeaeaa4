/*
 * engine/reserve.c - space on the disk that only compaction may use.
 *
 * A log can fill the disk with what is dead. To give that back, what lives has to be copied first, and
 * a copy takes space. So some is kept in a file of its own, `reserve`, whose content means nothing:
 *
 *     kept --the disk is full, and enough is dead--> given --a segment went, space is there--> kept
 *
 * kept:  everybody may write. When the disk is full and little is dead, it stays: there is nothing that
 *        the engine could do, and each transaction finds out for itself whether there is space again.
 * given: the file is empty, and compaction goes on until it can be as long as it was. Until then other
 *        transactions are refused (NOSPACE), or they would take what it needs.
 *
 * It is long enough for the copies out of the segment that has most to copy, and for the pages of the
 * index that these change between two checkpoints, which are closer together while it is given. So a
 * step out of one segment comes to its end, whatever else is on the disk; it gives back more than it
 * took when anything was dead in there, and if nothing was, the next one is looked at.
 *
 * Where space cannot be kept (no fallocate), compaction takes its chance with what is there.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "engine/private.h"

#define PART_MIN     8 /* of the log: when less is dead, a copy of all is too much for it */
#define DEAD_MIN     (64 * KIB)  /* in segments that are full */
#define FRAMES_BYTES (128 * KIB) /* headers of frames, and of a segment; a TRIM */
#define UNIT         (64 * KIB)

/* What is in the segments that compaction can work on. */
struct sealed {
    uint64_t bytes, dead, most_live;
    uint64_t next; /* what will be in the one that is being written */
};

static struct sealed look(struct engine *e)
{
    struct sealed s = {0};

    pthread_mutex_lock(&e->writer.mutex);
    writer_give_back(e);
    for (uint64_t n = e->writer.now.first; n < POS_SEG(e->writer.now.tail); n++) {
        const struct segment *seg = log_segment(&e->log, (uint32_t)n);
        uint64_t bytes = atomic_load(&seg->bytes), live = MIN_OF(seg->live_bytes, bytes);
        s.bytes += bytes;
        s.dead += bytes - live;
        s.most_live = MAX_OF(s.most_live, live);
    }
    s.next = log_target(&e->log, e->writer.live_log_bytes);
    pthread_mutex_unlock(&e->writer.mutex);
    return s;
}

static bool worth_it(const struct engine *e, const struct sealed *s)
{
    if (e->reserve.at_once)
        return s->dead > 0;
    return s->dead >= DEAD_MIN && s->dead >= s->bytes / PART_MIN;
}

/* How long it should be. */
static uint64_t wanted(struct engine *e)
{
    struct sealed s = look(e);
    struct version v;
    uint64_t index, copies;

    version_read(&e->published, &v);
    index = MIN_OF(v.pages * PAGE_BYTES, (uint64_t)RESERVE_INDEX_BYTES);
    copies = MAX_OF(s.most_live, MIN_OF(v.live_log_bytes, s.next));
    return (copies + index + FRAMES_BYTES + UNIT - 1) / UNIT * UNIT;
}

static enum err open_file(struct engine *e)
{
    char path[LOG_PATH_MAX];

    if (e->reserve.fd >= 0)
        return OK;
    snprintf(path, sizeof path, "%s/" RESERVE_NAME, e->dir);
    e->reserve.fd = os()->open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    return e->reserve.fd >= 0 ? OK : err_from_errno(errno);
}

/* The length of the file is what it keeps, for whoever looks. */
static enum err set_bytes(struct reserve *r, uint64_t bytes)
{
    if (bytes > r->bytes && os()->fallocate(r->fd, 0, bytes) != 0)
        return err_from_errno(errno);
    if (os()->ftruncate(r->fd, bytes) != 0)
        return err_from_errno(errno);
    r->bytes = bytes;
    return OK;
}

bool reserve_fit(struct engine *e)
{
    struct reserve *r = &e->reserve;
    uint64_t bytes;
    enum err err;

    if (e->dir == NULL || r->impossible || atomic_load(&e->failed))
        return true;
    bytes = wanted(e);
    if (bytes <= r->bytes && bytes >= r->bytes / 2)
        return true;
    err = open_file(e);
    if (err == OK)
        err = set_bytes(r, bytes);
    r->impossible = err != OK && err != ERR_NOSPACE && err != ERR_NOMEM;
    return err != ERR_NOSPACE;
}

/* From here on, or no longer, compaction is alone. What others had handed over is on disk, or thrown
 * away, when this is back. */
static void let_in(struct engine *e, bool others)
{
    struct engine_txn *t;

    pthread_mutex_lock(&e->queue.mutex);
    e->queue.housekeeping_only = !others;
    pthread_mutex_unlock(&e->queue.mutex);
    if (!others && txn_begin(e, TXN_HOUSEKEEPING, &t) == OK)
        (void)!engine_txn_commit_wait(t);
}

bool reserve_give(struct engine *e)
{
    struct reserve *r = &e->reserve;
    struct sealed s;

    if (e->dir == NULL || r->given || atomic_load(&e->keeper.given_up) || atomic_load(&e->failed))
        return false;
    s = look(e);
    if (!worth_it(e, &s))
        return false;
    let_in(e, false);
    if (r->bytes > 0 && os()->ftruncate(r->fd, 0) == 0)
        r->bytes = 0;
    r->given = true;
    pthread_mutex_lock(&e->writer.mutex);
    r->first = e->log.first;
    pthread_mutex_unlock(&e->writer.mutex);
    log_event(LOG_WARN, "engine_disk_full", "dead_bytes=%llu action=compact",
              (unsigned long long)s.dead);
    return true;
}

/* Did a segment go since the last time? */
static bool gained(struct engine *e)
{
    struct reserve *r = &e->reserve;
    uint32_t before = r->first;

    pthread_mutex_lock(&e->writer.mutex);
    r->first = e->log.first;
    pthread_mutex_unlock(&e->writer.mutex);
    return r->first != before;
}

static void take_back(struct engine *e)
{
    e->reserve.given = false;
    let_in(e, true);
    log_event(LOG_INFO, "engine_disk_has_room", "reserve_bytes=%llu",
              (unsigned long long)e->reserve.bytes);
}

static bool may_gain(struct engine *e)
{
    struct sealed s = look(e);

    return worth_it(e, &s) && !atomic_load(&e->keeper.given_up);
}

bool reserve_after(struct engine *e, enum err err)
{
    struct reserve *r = &e->reserve;
    bool full = atomic_exchange(&r->full, false) || err == ERR_NOSPACE;

    if (!r->given)
        return full && reserve_give(e);
    if (r->at_once)
        return false;
    if (!atomic_load(&e->failed) && (gained(e) || err != OK || !may_gain(e)) &&
        (reserve_fit(e) || !may_gain(e)))
        take_back(e);
    return false;
}

void reserve_close(struct engine *e)
{
    if (e->reserve.fd >= 0)
        os()->close(e->reserve.fd);
    e->reserve.fd = -1;
}
