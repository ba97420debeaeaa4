/*
 * engine/reserve.c - space on the disk that only compaction may use.
 *
 * A log can fill the disk with what is dead. To give that back, what lives has to be copied first, and
 * a copy takes space. So some is kept in a file of its own, `reserve`, whose content means nothing:
 *
 *     kept     --the disk is full, and enough is dead-->  given  --a segment went, space is there-->  kept
 *     kept     --there is no space to keep enough------>  waiting
 *     waiting  --enough is dead-->  given;   --there is space-->  kept
 *
 * kept:    everybody may write. When the disk is full and little is dead, it stays: there is nothing that
 *          the engine could do, and each transaction finds out for itself whether there is space again.
 * given:   the file is empty, and compaction goes on, as long as enough is dead, until it can be as long
 *          as it was. Until then other transactions are refused (NOSPACE), or they would take what it needs;
 *          also after a restart, which knows it by a file of no length.
 * waiting: the file is as it was, and others are refused, too. It has to be longer when a segment is (or the
 *          index), which is seen to with each segment that begins. If there is no space for that, those who
 *          write have had enough: going on would end where a copy needs more than was kept.
 *
 * What is dead may lie in the segment that is being written: on a disk that is not much larger than one, all
 * of it. Then the segment ends early (reserve_wants_roll).
 *
 * It is long enough for the copies out of the segment that has most to copy, also when that is the one which
 * is being written, and for the pages of the index that these change between two checkpoints, which are
 * closer together while it is given. (What others changed before has its place in the index file already:
 * index_room.) So the segment comes to its end, and gives back more than was taken when anything was dead in
 * it; if nothing was, the next one is looked at.
 *
 * What lives is known as what it takes at most (ref_log_bytes). So what is dead may be more than is known here: mostly a
 * few in a hundred; where long keys that are much alike were written together, a third. Until that much is dead, it is waited.
 *
 * Where space cannot be kept (no fallocate, or a limit to the size of files), compaction takes its chance
 * with what is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <time.h>

#include "base/log.h"
#include "engine/private.h"

#define PART_MIN      8 /* of the log: when less is dead, a copy of all is too much for it */
#define DEAD_MIN      (64 * KIB)  /* in segments that are full */
#define SLACK_BYTES   (256 * KIB) /* headers of frames, and of a segment; TRIMs; index_room */
#define DRAIN_POLL_NS 1000000
#define UNIT          (64 * KIB)

/* What is in the segments: those that compaction can work on, and the newest one. */
struct content {
    uint64_t bytes, dead, most_live;
    uint64_t newest_dead;
    uint64_t newest; /* how long it can become */
};

/* With writer.mutex. */
static void look_at_newest(const struct engine *e, struct content *s)
{
    const struct segment *seg = log_segment(&e->log, POS_SEG(e->writer.now.tail));
    uint64_t bytes = POS_OFF(e->writer.now.tail);

    s->newest = log_target(&e->log, e->writer.live_log_bytes);
    if (seg == NULL)
        return;
    s->newest = MAX_OF(s->newest, seg->target);
    s->newest_dead = bytes - MIN_OF(seg->live_bytes, bytes);
}

static struct content look(struct engine *e)
{
    struct content s = {0};

    pthread_mutex_lock(&e->writer.mutex);
    writer_give_back(e);
    for (uint64_t n = e->writer.now.first; n < POS_SEG(e->writer.now.tail); n++) {
        const struct segment *seg = log_segment(&e->log, (uint32_t)n);
        uint64_t bytes = atomic_load(&seg->bytes);
        s.bytes += bytes;
        s.dead += bytes - MIN_OF(seg->live_bytes, bytes);
        s.most_live = MAX_OF(s.most_live, seg->live_bytes); /* what the copies take at most */
    }
    look_at_newest(e, &s);
    pthread_mutex_unlock(&e->writer.mutex);
    return s;
}

/* `dead` of them in segments with so many bytes. */
static bool is_much(uint64_t dead, uint64_t bytes)
{
    return dead >= DEAD_MIN && dead >= bytes / PART_MIN;
}

static bool sealed_worth_it(const struct engine *e, const struct content *s)
{
    return e->reserve.at_once ? s->dead > 0 : is_much(s->dead, s->bytes);
}

static bool newest_worth_it(const struct engine *e, const struct content *s)
{
    return !e->reserve.at_once && is_much(s->newest_dead, s->bytes);
}

static bool worth_it(const struct engine *e, const struct content *s)
{
    return sealed_worth_it(e, s) || newest_worth_it(e, s);
}

/* How long it should be. */
static uint64_t wanted(struct engine *e)
{
    struct content s = look(e);
    struct version v;
    uint64_t index, copies;

    version_read(&e->published, &v);
    index = MIN_OF(v.pages * PAGE_BYTES, (uint64_t)RESERVE_INDEX_BYTES);
    copies = MAX_OF(s.most_live, s.newest);
    return (copies + index + SLACK_BYTES + UNIT - 1) / UNIT * UNIT;
}

/* `flags`: O_CREAT, or 0 (NOTFOUND). */
static enum err open_file(struct engine *e, int flags)
{
    struct reserve *r = &e->reserve;
    char path[LOG_PATH_MAX];

    if (r->fd >= 0)
        return OK;
    snprintf(path, sizeof path, "%s/" RESERVE_NAME, e->dir);
    r->fd = os()->open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
    if (r->fd < 0)
        return err_from_errno(errno);
    return os()->size(r->fd, &r->bytes) == 0 ? OK : err_from_errno(errno);
}

/* A process may not be allowed a file of that length (RLIMIT_FSIZE): no disk is full for that. */
static enum err refused(void)
{
    return errno == EFBIG ? ERR_UNSUPPORTED : err_from_errno(errno);
}

/* The length of the file is what it keeps, for whoever looks, and for the next start. */
static enum err set_bytes(struct reserve *r, uint64_t bytes)
{
    enum err err = OK;

    if (bytes > r->bytes && os()->fallocate(r->fd, 0, bytes) != 0) {
        err = refused();
        bytes = r->bytes; /* some file systems keep what they got */
    }
    if (os()->ftruncate(r->fd, bytes) != 0) {
        err = err != OK ? err : refused();
        (void)!os()->ftruncate(r->fd, r->bytes); /* what it got behind its end is not kept */
        return err;
    }
    r->bytes = bytes;
    return err;
}

/* As long as it should be now. False: the disk is too full. */
static bool fit(struct engine *e)
{
    struct reserve *r = &e->reserve;
    uint64_t bytes;
    enum err err;

    if (e->dir == NULL || r->impossible || atomic_load(&e->failed))
        return true;
    bytes = wanted(e);
    if (bytes <= r->bytes && bytes >= r->bytes / 2)
        return true;
    err = open_file(e, O_CREAT);
    if (err == OK && bytes != r->bytes)
        err = set_bytes(r, bytes);
    r->impossible = err == ERR_UNSUPPORTED;
    return err != ERR_NOSPACE;
}

static void let_in(struct engine *e, bool others)
{
    pthread_mutex_lock(&e->queue.mutex);
    e->queue.housekeeping_only = !others;
    pthread_mutex_unlock(&e->queue.mutex);
}

static bool any_queued(struct engine *e)
{
    uint64_t cost;

    pthread_mutex_lock(&e->queue.mutex);
    cost = e->queue.cost;
    pthread_mutex_unlock(&e->queue.mutex);
    return cost > 0;
}

/* What others had begun before they were kept out is on disk, or thrown away, when this is back. */
static void wait_for_others(struct engine *e)
{
    const struct timespec moment = {.tv_nsec = DRAIN_POLL_NS};

    pthread_mutex_lock(&e->writer.mutex); /* whoever is in there hands over first */
    pthread_mutex_unlock(&e->writer.mutex);
    while (any_queued(e))
        nanosleep(&moment, NULL);
}

/* Did a segment go since the last time, or a part of the index file? */
static bool gained(struct engine *e)
{
    struct reserve *r = &e->reserve;
    uint32_t first = r->first, pages = r->index_pages;

    pthread_mutex_lock(&e->writer.mutex);
    r->first = e->log.first;
    r->index_pages = e->index.pages;
    pthread_mutex_unlock(&e->writer.mutex);
    return r->first != first || r->index_pages < pages;
}

/* `worth`: there is something to gain. */
static void begin_given(struct engine *e, const struct content *s, bool worth)
{
    atomic_store(&e->reserve.given, true);
    atomic_store(&e->reserve.worth, worth);
    e->reserve.fresh = true;
    (void)gained(e);
    keeper_alarm(e); /* nobody else is let in who could wake it */
    log_event(LOG_WARN, "engine_disk_full", "dead_bytes=%" PRIu64 " action=%s",
              s->dead + s->newest_dead, worth ? "compact" : "wait");
}

/* Can compaction be of any help? *s: what there is. */
static bool may_gain(struct engine *e, struct content *s)
{
    *s = look(e);
    return worth_it(e, s) && !atomic_load(&e->keeper.given_up);
}

bool reserve_give(struct engine *e)
{
    struct reserve *r = &e->reserve;
    struct content s;
    bool alone = atomic_load(&r->given);

    if (e->dir == NULL || (alone && r->bytes == 0) || atomic_load(&e->failed) || !may_gain(e, &s))
        return false;
    let_in(e, false);
    if (!alone)
        wait_for_others(e);
    if (open_file(e, O_CREAT) == OK)
        (void)!set_bytes(r, 0);
    begin_given(e, &s, true);
    return true;
}

/* It cannot be as long as it should be. */
static void keep_others_out(struct engine *e)
{
    struct content s;

    if (reserve_give(e) || atomic_load(&e->failed))
        return;
    let_in(e, false);
    s = look(e);
    begin_given(e, &s, false);
}

void reserve_fit(struct engine *e)
{
    if (atomic_load(&e->reserve.given)) /* it would be taken away from who needs it */
        return;
    pthread_mutex_lock(&e->writer.mutex);
    e->reserve.fitted = POS_SEG(e->writer.now.tail);
    pthread_mutex_unlock(&e->writer.mutex);
    if (!fit(e))
        keep_others_out(e);
}

bool reserve_due(const struct engine *e)
{
    const struct reserve *r = &e->reserve;

    return e->dir != NULL && !atomic_load_explicit(&r->given, memory_order_relaxed) &&
           r->fitted != POS_SEG(e->writer.now.tail);
}

static void take_back(struct engine *e)
{
    atomic_store(&e->reserve.given, false);
    let_in(e, true);
    log_event(LOG_INFO, "engine_disk_has_room", "reserve_bytes=%" PRIu64, e->reserve.bytes);
}

/* After a turn while it is given: there is space for it again. A turn that failed is an occasion to look,
 * too: somebody else may have made space; so is one with nothing that compaction could do. */
static bool is_over(struct engine *e, enum err err)
{
    struct content s;
    bool worth = may_gain(e, &s);

    atomic_store(&e->reserve.worth, worth);
    if (worth && reserve_give(e)) /* others were kept out before there was anything to gain */
        return false;
    return (gained(e) || err != OK || !worth) && fit(e);
}

bool reserve_after(struct engine *e, enum err err)
{
    struct reserve *r = &e->reserve;
    bool full = atomic_exchange(&r->full, false) || err == ERR_NOSPACE;

    if (!atomic_load(&r->given))
        return full && reserve_give(e);
    if (!r->at_once && !atomic_load(&e->failed) && is_over(e, err))
        take_back(e);
    return false;
}

bool reserve_wants_roll(struct engine *e)
{
    struct content s;

    if (!atomic_load(&e->reserve.given) || !may_gain(e, &s))
        return false;
    return !sealed_worth_it(e, &s) && newest_worth_it(e, &s);
}

bool reserve_wants_shrinking(struct engine *e)
{
    bool fresh = e->reserve.fresh;

    e->reserve.fresh = false;
    return fresh && atomic_load(&e->reserve.given) && shrink_pays(e);
}

void reserve_call(struct engine *e)
{
    atomic_store(&e->reserve.full, true);
    keeper_alarm(e);
}

/* A file of no length was given away, or is about to be made the first time. */
void reserve_open(struct engine *e)
{
    struct content s;
    bool worth;

    if (e->dir == NULL || open_file(e, 0) != OK || e->reserve.bytes > 0 || fit(e))
        return;
    worth = may_gain(e, &s);
    let_in(e, false);
    begin_given(e, &s, worth);
}

void reserve_close(struct engine *e)
{
    if (e->reserve.fd >= 0)
        os()->close(e->reserve.fd);
    e->reserve.fd = -1;
}
