/*
 * engine/recover.c - from the files to a running engine.
 *
 *     index file -> segments -> replay of what came after its root -> where is the end? -> cut, sync -> open
 *
 * With an index file the segments that its root knows are only looked at (name, header, length), and
 * the frames behind the root's tail are replayed. Without one, or with one that cannot be used,
 * everything is replayed, with a checkpoint now and then, so that it needs no more memory than
 * usual and what was done is not done again if it is interrupted. A page of the tree that turns out to be
 * damaged while it is built upon makes an index one that cannot be used: whoever opens begins anew.
 *
 * Nothing of the log is changed before everything has been read and found good; then the torn
 * remains behind the last whole frame are cut off. The newest segment is synced before it is read, so
 * that what is served from now on is durable even if an earlier process died between write and sync.
 *
 * What may be torn, and what is damage? (log.c, invariants 1 to 4.)
 *   1. Only the newest segment can have a torn end. If a segment N+1 exists, whatever is in it, N
 *      was whole: anything else in N is damage.
 *   2. A newest segment that is no longer than its header and has a bad one was being created: it
 *      holds nothing and is removed. A longer one with a bad header is damage.
 *   3. A frame is good when its header's checksum, its payload's checksum, its number (the one
 *      before plus one) and its link (checksum of the header before) are right. Behind the first that is
 *      not, the remains are searched, byte by byte, for headers of later frames (checksum from the
 *      segment's salt, so neither a client's bytes nor another file's can pass for one). Such a frame
 *      says which transactions were durable when it was written (txn - back is the first that was not).
 *      If the missing one was among them, it has been lost: damage. If not, both were of one group whose
 *      sync never ended, of which a crash may leave any part: torn. Zeros up to the end are nothing:
 *      space that was prepared for frames to come.
 *      So damage in the last synced group alone looks like a torn end, but for what the index knows:
 *   4. A log that ends before the root's tail, or has another frame before it, has lost something.
 *   5. The row of segments begins with 1, or with one up to which a TRIM has said that they are not
 *      needed. Any other beginning, and any gap, is a lost segment. (Those before the last TRIM are
 *      what a crash kept compaction from removing.)
 */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "engine/private.h"

#define PROGRESS_MS 1000 /* between two lines of a long replay */

struct scan { /* the whole of it */
    struct engine *e;
    struct err_detail *detail;
    struct engine_recovery *r;
    struct frames f;
    struct version known; /* what the index file shows; txn 0 and tail 0: nothing */
    struct names names;
    size_t first; /* index in names of the first segment that counts */
    uint64_t said_ms;
    bool unfinished;  /* the newest was being created */
    bool longer;      /* the newest is, than its frames */
    size_t unwritten; /* pages in memory when the disk had no space for them; 0: it had */
};

static bool has_index(const struct scan *s)
{
    return s->known.tail != 0;
}

/* ---- which segments -------------------------------------------------------------------------- */

static enum err missing(const struct scan *s, uint32_t number)
{
    return err_set(s->detail, ERR_CORRUPT, 0, "%s/%08x.log: segment is missing", s->e->dir, number);
}

/* Those that the index knows must be there; leftovers before them do not count. */
static enum err check_row(struct scan *s)
{
    const struct names *n = &s->names;
    uint32_t first = has_index(s) ? (uint32_t)s->known.first : 0;

    while (s->first < n->n && n->number[s->first] < first)
        s->first++;
    if (has_index(s) && (s->first == n->n || n->number[s->first] != first))
        return missing(s, first);
    for (size_t i = s->first; i + 1 < n->n; i++)
        if (n->number[i + 1] != n->number[i] + 1)
            return missing(s, n->number[i] + 1);
    if (has_index(s) && n->number[n->n - 1] < POS_SEG(s->known.tail))
        return missing(s, n->number[n->n - 1] + 1);
    return OK;
}

/* ---- replay ---------------------------------------------------------------------------------- */

static void say_progress(struct scan *s)
{
    uint64_t now = clock_mono_ms();
    uint32_t first = s->names.number[s->first];

    if (now - s->said_ms < PROGRESS_MS)
        return;
    s->said_ms = now;
    log_event(LOG_INFO, "engine_replay", "segment=%08x percent=%u", s->f.number,
              (unsigned)((s->f.number - first) * 100 / (s->names.n - s->first)));
}

/* A full disk keeps nobody from reading: then they stay in memory, and it is tried again when they are
 * twice as many. */
static enum err relieve(struct scan *s)
{
    size_t pages = s->e->pages.memory_n;
    enum err err;

    if (pages < 2 * s->unwritten)
        return OK;
    err = replay_relieve(s->e, &s->f);
    s->unwritten = err == ERR_NOSPACE ? pages : 0;
    return err == ERR_NOSPACE ? OK : err;
}

/* All good frames of a segment; the place is then behind the last. */
static enum err replay_segment(struct scan *s)
{
    struct frame_header h;

    while (frames_peek(&s->f, &h)) {
        uint64_t first = s->e->writer.now.first;
        enum err err = replay_frame(s->e, &s->f, &h);
        if (err != OK)
            return err;
        if (replay_gave_up(s->e, first))
            return frames_damage(&s->f, s->f.at, "a frame that " REPLAY_GAVE_UP);
        s->r->txns++;
        s->r->bytes += FRAME_HEADER_BYTES + h.bytes;
        frames_step(&s->f, &h);
        say_progress(s);
        err = relieve(s);
        if (err != OK)
            return err;
    }
    return OK;
}

/* ---- a segment ------------------------------------------------------------------------------- */

/* The segment becomes the newest one of the log. */
static enum err adopt(struct scan *s, int fd, bool newest)
{
    struct log *log = &s->e->log;
    struct segment *seg = log_segment(log, s->f.number);
    size_t bytes = (size_t)s->f.size;

    if (newest && os()->fdatasync(fd) != 0)
        return err_set(s->detail, ERR_IO, errno, "%s/%08x.log: cannot be synced", log->dir,
                       s->f.number);
    seg->target = log_target(log, s->e->writer.live_log_bytes);
    if (newest)
        bytes = (size_t)MAX_OF(seg->target, s->f.size);
    if (log_map(seg, fd, bytes) != OK)
        return err_set(s->detail, ERR_NOMEM, 0, "%s/%08x.log: cannot be mapped", log->dir,
                       s->f.number);
    seg->salt = s->f.salt;
    log->active = seg;
    s->f.map = atomic_load(&seg->map);
    return OK;
}

/* Rule 4: the frame before the root's tail is the one that the root names. */
static enum err check_last(const struct scan *s)
{
    struct frame_header h;
    uint32_t off = POS_OFF(s->known.last);

    if (s->f.size < POS_OFF(s->known.tail))
        return frames_damage(&s->f, s->f.size, "transactions that the index has are missing");
    if (s->known.last == 0 || POS_SEG(s->known.last) != s->f.number)
        return OK;
    if (off + FRAME_HEADER_BYTES > s->f.size)
        return frames_damage(&s->f, off, "the index is of another log");
    memcpy(&h, s->f.map + off, sizeof h);
    if (h.head_crc != (uint32_t)s->known.link || h.head_crc != frame_head_crc(&h, s->f.salt))
        return frames_damage(&s->f, off, "not the frame that the index knows");
    return OK;
}

/* From where in the segment the replay goes on. */
static enum err find_start(struct scan *s)
{
    s->f.at = SEGMENT_HEADER_BYTES;
    if (!has_index(s) || s->f.number != POS_SEG(s->known.tail))
        return OK;
    s->f.at = POS_OFF(s->known.tail);
    return check_last(s);
}

/* Reads a segment with a valid header. */
static enum err read_segment(struct scan *s, int fd, bool newest)
{
    enum err err = log_segment_need(&s->e->log, s->f.number);
    struct segment *seg;

    if (err == OK)
        err = adopt(s, fd, newest);
    if (err == OK)
        err = find_start(s);
    if (err == OK)
        err = replay_segment(s);
    if (err != OK)
        return err;
    seg = log_segment(&s->e->log, s->f.number);
    if (s->f.at < s->f.size && !newest)
        return frames_damage(&s->f, s->f.at, "bad frame");
    if (s->f.at < s->f.size && frames_lost(&s->f))
        return frames_damage(&s->f, s->f.at, "bad frame before good ones");
    atomic_store(&seg->bytes, (uint32_t)s->f.at);
    seg->target = MAX_OF(seg->target, s->f.at);
    s->longer = s->f.at < s->f.size;
    s->r->torn_bytes += frames_written(&s->f) - s->f.at;
    return OK;
}

/* One that lies wholly before the root's tail: its name, header and length are as the books say. */
static enum err keep_segment(struct scan *s, int fd)
{
    struct segment *seg = log_segment(&s->e->log, s->f.number);

    if (s->f.size != atomic_load(&seg->bytes) || s->f.salt != seg->salt)
        return frames_damage(&s->f, 0, "not the segment that the index knows");
    s->f.at = s->f.size;
    return adopt(s, fd, false);
}

/* Holds a valid header against the store and what came before it. */
static enum err check_header(struct scan *s, const struct segment_header *h)
{
    struct log *log = &s->e->log;
    bool first = s->f.number == s->names.number[s->first];

    if (first && !has_index(s)) {
        memcpy(log->store, h->store, sizeof log->store);
        s->f.txn = h->first_txn - 1;
        s->f.link = h->link;
        s->f.at = h->prev_bytes;
    }
    if (h->number != s->f.number || memcmp(h->store, log->store, sizeof log->store) != 0)
        return frames_damage(&s->f, 0, "header of another segment or store");
    if (has_index(s) && s->f.number <= POS_SEG(s->known.tail))
        return first || h->prev_bytes == s->f.at
                   ? OK
                   : frames_damage(&s->f, 0, "segment before it has another length than it says");
    return frames_follow(&s->f, h);
}

static enum err take_segment(struct scan *s, const struct segment_header *h, int fd, bool newest)
{
    bool known = has_index(s) && s->f.number < POS_SEG(s->known.tail);
    enum err err = check_header(s, h);

    if (err != OK)
        return err;
    if (!known)
        s->e->writer.now.log_bytes +=
            has_index(s) && s->f.number == POS_SEG(s->known.tail) ? 0 : SEGMENT_HEADER_BYTES;
    return known ? keep_segment(s, fd) : read_segment(s, fd, newest);
}

/* One file. */
static enum err load_segment(struct scan *s, bool newest)
{
    struct segment_header h;
    bool good = false, keep = false;
    int fd = -1;
    enum err err = frames_open(&s->f, O_RDWR, &fd);

    if (err == OK)
        err = frames_header(&s->f, fd, &h, &good);
    if (err == OK && !good) {
        s->unfinished = newest && s->f.size <= SEGMENT_HEADER_BYTES &&
                        !(has_index(s) && s->f.number <= POS_SEG(s->known.tail));
        err = s->unfinished ? OK : frames_damage(&s->f, 0, "bad header");
        if (s->unfinished)
            s->r->torn_bytes += s->f.size;
    }
    if (err == OK && good) {
        err = take_segment(s, &h, fd, newest);
        keep = err == OK && newest;
    }
    if (keep)
        s->e->log.fd = fd;
    else if (fd >= 0)
        os()->close(fd);
    return err;
}

static enum err load_segments(struct scan *s)
{
    enum err err = OK;

    for (size_t i = s->first; err == OK && i < s->names.n; i++) {
        s->f.number = s->names.number[i];
        err = load_segment(s, i + 1 == s->names.n);
    }
    if (s->unfinished)
        s->f.number--;
    return err;
}

/* ---- the end --------------------------------------------------------------------------------- */

static enum err remove_segment(struct scan *s, uint32_t number)
{
    char path[LOG_PATH_MAX];

    log_path(s->e->dir, number, path, sizeof path);
    if (os()->unlink(path) != 0)
        return err_set(s->detail, err_from_errno(errno), errno, "%s: cannot be removed", path);
    return OK;
}

/* Rule 5, and what a crash kept from being removed: an unfinished segment, for good before anything
 * is appended elsewhere. Those before the first are removed when the index has no need of them. */
static enum err check_ends(struct scan *s)
{
    if (s->e->index.unproven > 0)
        return missing(s, s->e->index.unproven - 1);
    return s->unfinished ? remove_segment(s, s->names.number[s->names.n - 1]) : OK;
}

static enum err remove_leftovers(struct scan *s)
{
    enum err err = OK;

    for (size_t i = 0; err == OK && i < s->first; i++)
        err = remove_segment(s, s->names.number[i]);
    return err;
}

/* The segment before an unfinished one is the newest again, and needs a descriptor to append. */
static enum err reopen_newest(struct scan *s)
{
    struct log *log = &s->e->log;
    char path[LOG_PATH_MAX];

    if (log->active == NULL || log->fd >= 0)
        return OK;
    log_path(log->dir, log->active->number, path, sizeof path);
    log->fd = os()->open(path, O_RDWR | O_NOFOLLOW, 0);
    if (log->fd < 0)
        return err_set(s->detail, err_from_errno(errno), errno, "%s: cannot be opened", path);
    return OK;
}

/* It could not be cut off: zeros may stay, they are written over, or cut off with the segment's end. */
static enum err keep_prepared(struct scan *s)
{
    struct log *log = &s->e->log;

    if (s->r->torn_bytes > 0)
        return err_set(s->detail, err_from_errno(errno), errno,
                       "%s/%08x.log: torn end cannot be cut off", log->dir, log->active->number);
    log->allocated = s->f.size;
    return OK;
}

/* Cuts off the torn end, and what was prepared, and makes sure that all that was read is durable. */
static enum err settle(struct scan *s)
{
    struct log *log = &s->e->log;
    enum err err = OK;

    if (log->active == NULL)
        return OK;
    if (s->longer && os()->ftruncate(log->fd, log->end) != 0)
        err = keep_prepared(s);
    if (err != OK)
        return err;
    if (os()->fdatasync(log->fd) != 0 || log_sync_dir(log) != 0)
        return err_set(s->detail, ERR_IO, errno, "%s: cannot be synced", log->dir);
    return OK;
}

/* A new store begins with segment 1. */
static enum err first_segment(struct scan *s)
{
    struct log *log = &s->e->log;
    enum err err = log_segment_need(log, 1);

    rand_bytes(log->store, sizeof log->store);
    if (err == OK)
        err = log_create(log, 1, 1);
    if (err != OK)
        return err_set(s->detail, err, 0, "%s: the log cannot be created: %s",
                       log->dir == NULL ? "memory" : log->dir, err_text(err));
    s->f.number = 1;
    s->f.at = SEGMENT_HEADER_BYTES;
    s->e->writer.now.log_bytes = SEGMENT_HEADER_BYTES;
    return OK;
}

/* ---- the index file -------------------------------------------------------------------------- */

/* The replay begins where the index ends. */
static void start_from(struct scan *s, const struct version *v)
{
    struct writer *w = &s->e->writer;

    s->known = *v;
    s->f.txn = v->txn;
    s->f.link = (uint32_t)v->link;
    w->now = *v;
    w->tree.root = v->root;
    w->tree.depth = (uint32_t)v->depth;
    w->tree.keys = v->keys;
    w->live_value_bytes = v->live_value_bytes;
    w->live_log_bytes = v->live_log_bytes;
    w->tree.txn = v->txn + 1;
}

/* Everything is replayed. */
static enum err new_index(struct scan *s)
{
    struct engine *e = s->e;
    uint32_t first = s->names.n > 0 ? s->names.number[0] : 1;

    e->index.unproven = first > 1 ? first : 0;
    e->log.first = first;
    e->writer.now.first = first;
    e->writer.tree.txn = 1;
    return index_create(e, s->detail);
}

/* An index that cannot be used is put aside, if it can be, and a new one begun. */
static enum err open_index(struct scan *s)
{
    struct err_detail why = {.text = ""};
    struct version v;

    if (s->e->options.new_index)
        return new_index(s);
    enum err err = index_load(s->e, s->names.n > 0 ? s->names.number[0] : 0, &v, &why);

    if (err == OK) {
        start_from(s, &v);
        return OK;
    }
    if (err == ERR_CORRUPT) {
        log_event(LOG_WARN, "engine_index_rebuilt", "why=\"%s\"", why.text);
        s->r->rebuilt = true;
        index_close(s->e);
        err = index_give_up(s->e, s->detail);
        return err == OK ? new_index(s) : err;
    }
    if (err == ERR_NOTFOUND)
        return new_index(s);
    if (err == ERR_CONFLICT) /* of the log, it seems: nothing is touched */
        return err_set(s->detail, ERR_CORRUPT, 0, "%s", why.text);
    return err_set(s->detail, err, 0, "%s", why.text[0] != 0 ? why.text : err_text(err));
}

static enum err open_files(struct scan *s)
{
    enum err err = names_list(s->e->dir, &s->names, s->detail);

    if (err == OK)
        err = open_index(s);
    if (err == OK)
        err = check_row(s);
    if (err == OK)
        err = load_segments(s);
    if (err == OK && (s->e->log.active != NULL || s->e->index.unproven > 0))
        err = check_ends(s);
    return err;
}

enum err recover(struct engine *e, struct engine_recovery *r, struct err_detail *d)
{
    struct scan s = {.e = e, .detail = d, .r = r, .f = {.dir = e->dir, .detail = d}};
    uint64_t started = clock_mono_ms();
    enum err err = OK;

    s.said_ms = started;
    e->writer.tree.txn = 1;
    e->writer.now.first = 1;
    if (e->dir != NULL)
        err = open_files(&s);
    e->log.end = e->log.allocated = s.f.at;
    e->log.link = s.f.link;
    if (err == OK)
        err = reopen_newest(&s);
    if (err == OK)
        err = settle(&s);
    if (err == OK && e->log.active == NULL)
        err = first_segment(&s);
    if (err == OK)
        err = remove_leftovers(&s);
    if (err == OK)
        replay_publish(e, &s.f);
    if (err != OK)
        e->log.broken = true; /* what was found stays as it is */
    r->ms = clock_mono_ms() - started;
    free(s.names.number);
    return err;
}
