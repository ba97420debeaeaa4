/*
 * engine/log.c - the segments of the log: making, appending, syncing, cutting off.
 *
 * A segment is a file NNNNNNNN.log (its number in hexadecimal): a header of 64 bytes and frames
 * (doc/format.md). Frames are appended to the newest segment only. A frame does not cross segments:
 * a new one is begun when the newest has reached its target, so the last frame of a segment may
 * reach beyond that. The target is a part of what lives in the store, so that compaction, which
 * takes whole segments, works on small stores as on large ones.
 *
 * Invariants (the committer keeps them; recover.c relies on them):
 *   1. Before segment N+1 exists under its name, segment N is whole, ends with its last frame, is synced
 *      and never written again. The header of N+1 says how long N is.
 *   2. Before the first frame is written to a segment, its header and its name are synced. So a
 *      segment longer than its header has a good header.
 *   3. Frames are written at `end`, behind which the file has nothing but zeros; a failed write is cut
 *      off again and the cut synced before the next write.
 *   4. log.end, log.link and segment.bytes speak of what is synced, and only of that.
 *   5. After a failed sync, or a failed cut, log.broken is set and nothing is written any more.
 *
 * A sync that could not be tried is none that failed. So nothing has to be opened for one: the
 * directory stays open, and a segment is opened before anything of it is written.
 *
 * Without files a segment is memory that frames are copied into; the same code path, no sync.
 *
 * Space is asked for ahead of the write (fallocate), so that a full disk is known before anything
 * is written rather than from a sync that cannot be trusted afterwards. The file gets longer by it, and
 * not by the write: its new length would be one more thing for each sync to bring to the disk.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/rand.h"
#include "engine/private.h"

#define LEAF_ENTRIES   ((size_t)1 << SEGMENT_LEAF_BITS)
#define TOP_ENTRIES    ((size_t)1 << SEGMENT_TOP_BITS)
#define ALLOCATE_BYTES ((uint64_t)MIB)
#define TARGET_PART    64 /* of what lives; a compaction holds one or two of these more */
#define TARGET_MAX     (64 * (uint64_t)MIB)
#define SMALL_PART     4 /* the same up to */
#define SMALL_MAX      ((uint64_t)MIB)

/* ---- the table of segments ------------------------------------------------------------------- */

enum err log_init(struct log *log)
{
    log->fd = log->dir_fd = -1;
    log->first = log->next = 1;
    log->top = mem_zalloc(TOP_ENTRIES * sizeof *log->top);
    return log->top == NULL ? ERR_NOMEM : OK;
}

static void unmap(const struct log *log, const uint8_t *map, size_t mapped)
{
    if (map == NULL)
        return;
    if (log->dir == NULL)
        free((void *)map);
    else
        os()->unmap((void *)map, mapped);
}

void log_count_gone(struct log *log, const struct segment *seg)
{
    atomic_fetch_add_explicit(&log->gone_bytes, atomic_load(&seg->bytes), memory_order_relaxed);
    atomic_fetch_add_explicit(&log->gone_segments, 1, memory_order_relaxed);
}

/* Nobody may look at the segment any more. */
void log_segment_release(struct log *log, struct segment *seg)
{
    log->top[seg->number >> SEGMENT_LEAF_BITS][seg->number & (LEAF_ENTRIES - 1)] = NULL;
    unmap(log, atomic_load(&seg->map), seg->mapped);
    for (size_t i = 0; i < ARRAY_LEN(seg->old); i++)
        unmap(log, seg->old[i].map, seg->old[i].mapped);
    free(seg);
}

/* The active segment takes no more frames. */
static void close_active(struct log *log)
{
    if (log->fd >= 0)
        os()->close(log->fd);
    log->fd = -1;
}

void log_fini(struct log *log)
{
    for (uint64_t n = log->first; log->top != NULL && n < log->next; n++) {
        struct segment *seg = log_segment(log, (uint32_t)n);
        if (seg != NULL)
            log_segment_release(log, seg);
    }
    for (uint32_t i = 0; log->top != NULL && i <= (log->next - 1) >> SEGMENT_LEAF_BITS; i++)
        free(log->top[i]);
    free(log->top);
    log->top = NULL;
    /* What was allocated is given back (also by a call that failed: it may keep what it got). */
    if (log->fd >= 0 && !log->broken)
        (void)!os()->ftruncate(log->fd, log->end);
    close_active(log);
    if (log->dir_fd >= 0)
        os()->close(log->dir_fd);
    log->dir_fd = -1;
}

enum err log_open_dir(struct log *log, struct err_detail *d)
{
    log->dir_fd = os()->open(log->dir, O_RDONLY | O_DIRECTORY, 0);
    if (log->dir_fd < 0)
        return err_set(d, err_from_errno(errno), errno, "%s: cannot be opened", log->dir);
    return OK;
}

int log_sync_dir(const struct log *log)
{
    return os()->fsync(log->dir_fd);
}

struct segment *log_segment(const struct log *log, uint32_t number)
{
    struct segment **leaf;

    if (number >> SEGMENT_LEAF_BITS >= TOP_ENTRIES)
        return NULL;
    leaf = log->top[number >> SEGMENT_LEAF_BITS];
    return leaf == NULL ? NULL : leaf[number & (LEAF_ENTRIES - 1)];
}

/* The segment has a place in the table, be there a file or not yet. NOMEM; LIMIT: no numbers left. */
enum err log_segment_need(struct log *log, uint32_t number)
{
    struct segment ***leaf = &log->top[MIN_OF(number >> SEGMENT_LEAF_BITS, TOP_ENTRIES - 1)];
    struct segment *seg;

    if (number >> SEGMENT_LEAF_BITS >= TOP_ENTRIES)
        return ERR_LIMIT;
    if (log_segment(log, number) != NULL)
        return OK;
    seg = mem_zalloc(sizeof *seg);
    /* No leaf stays without a segment: log_fini looks where numbers were in use. */
    if (seg != NULL && *leaf == NULL)
        *leaf = mem_zalloc(LEAF_ENTRIES * sizeof **leaf);
    if (seg == NULL || *leaf == NULL) {
        free(seg);
        return ERR_NOMEM;
    }
    seg->number = number;
    seg->target = log->segment_bytes;
    (*leaf)[number & (LEAF_ENTRIES - 1)] = seg;
    log->next = MAX_OF(log->next, number + 1);
    return OK;
}

void log_path(const char *dir, uint32_t number, char *out, size_t n)
{
    snprintf(out, n, "%s/%08x.log", dir, number);
}

/* Small ones go away soon, and little is kept for their copies (reserve.c); but to begin one takes some syncs. */
uint64_t log_target(const struct log *log, uint64_t live_bytes)
{
    uint64_t few = MIN_OF(live_bytes / SMALL_PART, SMALL_MAX), many = live_bytes / TARGET_PART;

    return log->fixed_segments ? log->segment_bytes
                               : MIN_OF(MAX_OF(MAX_OF(few, many), LOG_TARGET_MIN), TARGET_MAX);
}

/* ---- making a segment ------------------------------------------------------------------------ */

/* Gives the segment a view of at least `bytes`. A view that readers may be in stays until the
 * segment goes: it is outgrown by the segment's last frame (log_room), or by that and, when that one
 * was thrown away, another. */
static enum err set_map(struct segment *seg, const uint8_t *map, size_t bytes)
{
    const uint8_t *old = atomic_load_explicit(&seg->map, memory_order_relaxed);
    unsigned i = seg->old[0].map != NULL;

    CHECK(old == NULL || seg->old[i].map == NULL);
    seg->old[i].map = old;
    seg->old[i].mapped = seg->mapped;
    seg->mapped = bytes;
    atomic_store_explicit(&seg->map, map, memory_order_release);
    return OK;
}

enum err log_map(struct segment *seg, int fd, size_t bytes)
{
    const uint8_t *map = os()->map(fd, 0, bytes);

    return map == NULL ? err_from_errno(errno) : set_map(seg, map, bytes);
}

static enum err memory_grow(struct segment *seg, size_t bytes)
{
    const uint8_t *old = atomic_load_explicit(&seg->map, memory_order_relaxed);
    uint8_t *map = mem_alloc(bytes);

    if (map == NULL)
        return ERR_NOMEM;
    if (old != NULL)
        memcpy(map, old, seg->mapped);
    return set_map(seg, map, bytes);
}

static enum err sync_failed(struct log *log)
{
    log->broken = true;
    return ERR_IO;
}

/* Invariant 1: the active segment ends with its last frame. */
static enum err seal(struct log *log)
{
    return log->fd < 0 || log->allocated <= log->end ? OK : log_cut(log);
}

/* Invariant 2: header and name are synced. */
static enum err write_header(struct log *log, int fd, const struct segment_header *h)
{
    if (os()->pwrite(fd, h, sizeof *h, 0) != (ssize_t)sizeof *h)
        return err_from_errno(errno);
    atomic_fetch_add(&log->syncs, 1);
    if (os()->fdatasync(fd) != 0 || log_sync_dir(log) != 0)
        return sync_failed(log);
    return OK;
}

/* A segment that was not finished is taken away again. If that fails too, its header is not
 * followed by anything, and the next attempt, or recovery, writes over it. */
static enum err create_file(struct log *log, struct segment *seg, const struct segment_header *h,
                            int *out)
{
    char path[LOG_PATH_MAX];
    enum err err;
    int fd;

    log_path(log->dir, seg->number, path, sizeof path);
    fd = os()->open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_from_errno(errno);
    err = write_header(log, fd, h);
    if (err == OK)
        err = log_map(seg, fd, (size_t)seg->target);
    if (err == OK) {
        *out = fd;
        return OK;
    }
    os()->close(fd);
    if (!log->broken)
        os()->unlink(path);
    return err;
}

/* Begins segment `number` behind the active one and makes it the active one. Changes nothing when
 * it fails, but log.broken, and what was allocated. */
enum err log_create(struct log *log, uint32_t number, uint64_t first_txn)
{
    struct segment *seg = log_segment(log, number);

    CHECK(log->active == NULL || number == log->active->number + 1);
    struct segment_header h = {.magic = LOG_MAGIC,
                               .version = FORMAT_VERSION,
                               .number = number,
                               .salt = (uint32_t)rand_u64(),
                               .link = log->link,
                               .first_txn = first_txn,
                               .prev_bytes = log->active == NULL ? 0 : log->end};
    enum err err;
    int fd = -1;

    memcpy(h.store, log->store, sizeof h.store);
    h.crc = segment_header_crc(&h);
    if (log->dir != NULL) {
        err = seal(log);
        err = err == OK ? create_file(log, seg, &h, &fd) : err;
    } else {
        err = memory_grow(seg, (size_t)seg->target);
        if (err == OK)
            memcpy((uint8_t *)atomic_load(&seg->map), &h, sizeof h);
    }
    if (err != OK)
        return err;
    close_active(log);
    seg->salt = h.salt;
    atomic_store(&seg->bytes, SEGMENT_HEADER_BYTES);
    log->active = seg;
    log->fd = fd;
    log->end = log->allocated = SEGMENT_HEADER_BYTES;
    return OK;
}

/* ---- appending ------------------------------------------------------------------------------- */

static enum err allocate(struct log *log, uint64_t end, bool tight)
{
    uint64_t unit = tight ? PAGE_BYTES : MIN_OF(log->active->target, ALLOCATE_BYTES);
    uint64_t want = (end + unit - 1) / unit * unit, from = log->allocated;

    if (log->no_fallocate || end <= from)
        return OK;
    for (;; want = end) { /* a last time with what is needed now and not a byte more */
        if (os()->fallocate(log->fd, from, want - from) == 0) {
            log->allocated = want;
            return OK;
        }
        if (err_from_errno(errno) != ERR_NOSPACE)
            break;
        if (want == end)
            return ERR_NOSPACE;
        (void)!os()->ftruncate(log->fd, log->end); /* some file systems keep what they got */
        from = log->allocated = log->end;
    }
    log->no_fallocate = true; /* a file system without it: the write will tell */
    (void)!os()->ftruncate(log->fd, log->end);
    log->allocated = log->end;
    return OK;
}

/* How much to look at when a frame reaches beyond what was expected: to its end, for it is the last
 * one; the second time, as far as any can reach. (Address space may be short.) */
static size_t outgrown(const struct log *log, const struct segment *seg, uint64_t end)
{
    return (size_t)(seg->old[0].map == NULL ? end : seg->target + log->max_frame);
}

/* The active segment can take frames up to `end`: views reach there, and there is space. */
enum err log_room(struct log *log, uint64_t end, bool tight)
{
    struct segment *seg = log->active;
    enum err err = OK;

    if (log->dir == NULL)
        return end > seg->mapped ? memory_grow(seg, outgrown(log, seg, end)) : OK;
    if (end > seg->mapped)
        err = log_map(seg, log->fd, outgrown(log, seg, end));
    return err != OK ? err : allocate(log, end, tight);
}

/* Writes `bytes` bytes at `off` of the active segment, which log_room has seen. Not durable yet. */
enum err log_write(struct log *log, const struct iovec *v, int n, uint64_t off, uint64_t bytes)
{
    uint8_t *at;

    if (log->dir != NULL)
        return os()->pwritev(log->fd, v, n, off) == (ssize_t)bytes ? OK : err_from_errno(errno);
    at = (uint8_t *)atomic_load_explicit(&log->active->map, memory_order_relaxed) + off;
    for (int i = 0; i < n; i++) {
        memcpy(at, v[i].iov_base, v[i].iov_len);
        at += v[i].iov_len;
    }
    return OK;
}

enum err log_sync(struct log *log)
{
    if (log->dir == NULL)
        return OK;
    atomic_fetch_add_explicit(&log->syncs, 1, memory_order_relaxed);
    /* What is synced to a file that was removed under us is on no disk that anybody finds again. */
    return os()->fdatasync(log->fd) == 0 && os()->linked(log->fd) == 1 ? OK : sync_failed(log);
}

/* Takes off what a failed write left behind the durable end. After a failed sync it is tried all
 * the same, so that a restart finds as little as possible of what was reported as failed; the log
 * stays broken. */
enum err log_cut(struct log *log)
{
    if (log->fd >= 0 && os()->ftruncate(log->fd, log->end) != 0)
        return sync_failed(log);
    log->allocated = log->end;
    if (log->broken)
        return ERR_IO;
    return log->fd < 0 ? OK : log_sync(log);
}
