/*
 * engine/backup.c - a copy of a store that may be open elsewhere.
 *
 * Nothing is asked of whoever has the store open, because the log needs no help to be copied:
 *   1. A segment behind which there is another one is never written again.
 *   2. Of the newest, whole frames only become more. Behind them there may be zeros, space for frames to come,
 *      which go when it is finished; and remains of failed writes, which are cut off.
 *   3. Compaction takes the oldest segments away, each after a TRIM that says so is durable.
 *   4. An open descriptor outlives the name of its file.
 * So: list, open all, list again, and open what is new (open_row). A listing shows every name that
 * is there from its begin to its end; of others it may show some. So the first has all that was
 * there at the begin of the backup, but what was trimmed. And what went before the first ended was
 * trimmed before, so the segment with that TRIM is in the second. The TRIM is looked for
 * (check_first), not believed. If a name goes before its file is open, or the listings do not fit,
 * all begins anew. What was acknowledged before the begin lies below the size that a segment has
 * when it is copied.
 *
 * The newest is read while it is written. What is behind its last whole frame is left out, zeros or not, as
 * recovery would cut it off. If good frames lie behind a bad one, a write was cut off and another one came in
 * its place while it was read: it is read again, and only what stays so is damage. Then the
 * source's file is synced, and the last frame must still stand: no backup has what its store can
 * lose in a power cut. A frame may be copied that nobody has been told of yet, as after a crash.
 *
 * The copy is believed no more than any other file: each one is read back, frame by frame, also
 * those that are linked. Messages name the file it came from: the copy goes when it is bad.
 *
 * How an unfinished copy is told from a finished one. It is made in place, not beside it under
 * another name, so that a mount point, or a directory whose parent is not ours, can be filled:
 *   5. Files are written, checked and synced under NAME.partial, and so are these names, before
 *      they become NAME. As long as one is called so, nobody takes the directory for a store
 *      (names_list).
 *   6. When something fails, the oldest segment goes first: a row without it is refused, too
 *      (recover.c, 5).
 *   7. LOCK is held all the time: no server starts in it, no other copy is made there.
 *
 * A segment is linked from an earlier copy when it is finished in both and their headers and sizes
 * are the same. "Finished in both", as an engine that is opened on either appends to its newest.
 * Should the earlier copy have been opened and gone its own way, its frames do not lead to the
 * header of the next segment, which is found when it is read.
 */
#include <errno.h>
#include <fcntl.h>

#include "engine/private.h"

#define NAME_BYTES  64
#define CHUNK       MIB
#define TRIES_LIST  100
#define TRIES_WRITE 5
#define NO_FD       (-1)

enum stage { NOT_MADE, MADE, NAMED };

struct piece {       /* a file on its way */
    uint32_t number; /* 0: not a segment */
    int fd;          /* of the source, or NO_FD */
    bool sealed;
    enum stage stage;
    char name[NAME_BYTES];
};

struct job {
    const struct engine_backup *b;
    struct engine_backup_result result;
    struct err_detail *detail;
    struct names names;  /* in dir */
    struct piece *piece; /* segments, rising, then the other files */
    size_t segments, extras;
    struct names since;
    struct frames f; /* where the check of the copy is */
    uint8_t store[16];
    bool proven;   /* nothing before the first segment is missing */
    uint64_t last; /* offset of the newest's last frame; 0: it has none */
    uint8_t *chunk;
    uint64_t done, total; /* bytes, for the progress */
    int lock_fd;
    bool made_dir;
};

static enum err failed(struct job *j, const char *path, const char *what)
{
    int saved = errno;

    return err_set(j->detail, err_from_errno(saved), saved, "%s: %s", path, what);
}

/* Of the source: see os.h. A backup of root's is restored to whoever has the data, so that it must have
 * nothing that is not theirs already. */
static enum err not_opened(struct job *j, const char *path)
{
    if (errno != EPERM && errno != ELOOP)
        return failed(j, path, "cannot be opened");
    return err_set(
        j->detail, ERR_REFUSED, 0,
        "%s: is a link, or no file, or not of the directory's owner, or others may write "
        "to that directory of root's",
        path);
}

/* ---- which segments -------------------------------------------------------------------------- */

/* The row that ends with the newest; before a gap there can only be what a crash kept from being
 * removed. */
static size_t row_start(const struct names *n)
{
    size_t i = n->n - 1;

    while (i > 0 && n->number[i - 1] + 1 == n->number[i])
        i--;
    return i;
}

static void close_pieces(struct job *j)
{
    for (size_t i = 0; i < j->segments; i++)
        if (j->piece[i].fd != NO_FD)
            os()->close(j->piece[i].fd);
    free(j->piece);
    j->piece = NULL;
    j->segments = 0;
}

/* Room for `n` more segments, and the other files behind them. */
static enum err need_pieces(struct job *j, size_t n)
{
    struct piece *row = mem_zalloc((j->segments + n + j->extras) * sizeof *row);

    if (row == NULL)
        return ERR_NOMEM;
    if (j->segments > 0)
        memcpy(row, j->piece, j->segments * sizeof *row);
    free(j->piece);
    j->piece = row;
    return OK;
}

/* AGAIN: it is not there any more. */
static enum err open_piece(struct job *j, uint32_t number)
{
    struct piece *p = &j->piece[j->segments];
    char path[LOG_PATH_MAX];

    *p = (struct piece){.number = number};
    snprintf(p->name, sizeof p->name, "%08x.log", number);
    log_path(j->b->dir, number, path, sizeof path);
    p->fd = os()->open_own(j->b->dir, p->name);
    if (p->fd < 0)
        return errno == ENOENT ? ERR_AGAIN : not_opened(j, path);
    j->segments++;
    return OK;
}

/* The segments of the listing from `from` on are opened, too. */
static enum err open_listed(struct job *j, size_t from)
{
    enum err err = need_pieces(j, j->names.n - from);

    for (size_t i = from; err == OK && i < j->names.n; i++)
        err = open_piece(j, j->names.number[i]);
    return err;
}

/* Where in the listing that goes on which is not open yet. AGAIN: the two do not fit, as one of
 * them was made while names came and went. */
static enum err find_new(const struct job *j, size_t *from)
{
    const struct names *n = &j->names;
    size_t i = row_start(n);
    uint32_t opened = j->piece[j->segments - 1].number;

    if (n->number[i] < j->piece[0].number || n->number[i] > opened + 1)
        return ERR_AGAIN;
    while (i < n->n && n->number[i] <= opened)
        i++;
    *from = i;
    return OK;
}

static enum err no_store(struct job *j, const char *dir)
{
    return err_set(j->detail, ERR_NOTFOUND, 0, "%s: no store is there", dir);
}

static enum err list(struct job *j)
{
    enum err err;

    j->names.n = 0;
    err = names_list(j->b->dir, &j->names, j->detail);
    return err == OK && j->names.n == 0 ? no_store(j, j->b->dir) : err;
}

/* A repair that was not brought to its end has the new store's files in two places. */
static enum err no_repair(const struct job *j)
{
    bool pending;
    enum err err = repair_pending(j->b->dir, &pending, j->detail);

    if (err != OK || !pending)
        return err;
    return err_set(j->detail, ERR_BUSY, 0,
                   "%s: a repair is not finished: start kinto, or repair again", j->b->dir);
}

/* Lists and opens, twice. */
static enum err try_row(struct job *j)
{
    size_t from;
    enum err err = no_repair(j);

    if (err == OK)
        err = list(j);
    if (err == OK)
        err = open_listed(j, row_start(&j->names));
    if (err == OK)
        err = list(j);
    if (err == OK)
        err = no_repair(j);
    if (err == OK)
        err = find_new(j, &from);
    return err == OK ? open_listed(j, from) : err;
}

static enum err open_row(struct job *j)
{
    enum err err = ERR_AGAIN;

    for (int i = 0; err == ERR_AGAIN && i < TRIES_LIST; i++) {
        close_pieces(j);
        err = try_row(j);
    }
    for (size_t i = 0; i < j->segments; i++)
        j->piece[i].sealed = i + 1 < j->segments;
    if (err != ERR_AGAIN)
        return err;
    return err_set(j->detail, err, 0, "%s: segments come and go faster than they are opened",
                   j->b->dir);
}

/* A newest segment that is no longer than its header, and has none, is just being made (recover.c,
 * 2). The size is asked for first: a header that is not there then may be there now. */
static enum err drop_unfinished(struct job *j)
{
    struct piece *p = &j->piece[j->segments - 1];
    struct segment_header h;
    bool good;
    enum err err;

    j->f.dir = j->b->dir;
    j->f.number = p->number;
    if (os()->size(p->fd, &j->f.size) != 0)
        return failed(j, j->b->dir, "cannot be read");
    err = frames_header(&j->f, p->fd, &h, &good);
    if (err != OK || good || j->f.size > SEGMENT_HEADER_BYTES)
        return err;
    os()->close(p->fd);
    j->segments--;
    return j->segments > 0 ? OK : no_store(j, j->b->dir);
}

static enum err add_up(struct job *j)
{
    uint64_t size;

    for (size_t i = 0; i < j->segments; i++) {
        if (os()->size(j->piece[i].fd, &size) != 0)
            return failed(j, j->b->dir, "cannot be read");
        j->total += size;
    }
    return OK;
}

static enum err progress(struct job *j, uint64_t bytes)
{
    j->done = MIN_OF(j->done + bytes, j->total);
    if (j->b->progress != NULL && !j->b->progress(j->b->arg, j->done, j->total))
        return err_set(j->detail, ERR_CLOSED, 0, "stopped; nothing was kept");
    return OK;
}

/* ---- the earlier copy ------------------------------------------------------------------------ */

/* A segment of the earlier copy; its header. */
static enum err since_header(struct job *j, uint32_t number, struct segment_header *h,
                             struct frames *f, bool *good)
{
    int fd = NO_FD;
    enum err err;

    *f = (struct frames){.dir = j->b->since, .detail = j->detail, .number = number};
    err = frames_open(f, O_RDONLY, &fd);
    if (err == OK)
        err = frames_header(f, fd, h, good);
    if (fd != NO_FD)
        os()->close(fd);
    return err;
}

/* Its newest segment counts as one only with a header: without, the one before it is the newest
 * when it is opened, and is appended to. */
static enum err open_since(struct job *j)
{
    struct names *n = &j->since;
    struct segment_header h, ours;
    struct frames f;
    bool good = false;
    enum err err = names_list(j->b->since, n, j->detail);

    while (err == OK && n->n > 0 && !good) {
        err = since_header(j, n->number[n->n - 1], &h, &f, &good);
        n->n -= good ? 0 : 1;
    }
    if (err == OK && n->n == 0)
        return no_store(j, j->b->since);
    if (err != OK)
        return err;
    j->f.number = j->piece[0].number;
    err = frames_header(&j->f, j->piece[0].fd, &ours, &good);
    if (err == OK && !good)
        return frames_damage(&j->f, 0, "bad header");
    if (err == OK && memcmp(h.store, ours.store, sizeof h.store) != 0)
        return err_set(j->detail, ERR_CONFLICT, 0, "%s: a copy of another store than %s",
                       j->b->since, j->b->dir);
    return err;
}

static bool since_has(const struct job *j, uint32_t number)
{
    for (size_t i = 0; i + 1 < j->since.n; i++)
        if (j->since.number[i] == number)
            return true;
    return false;
}

/* Is it, by header and size, what we would copy? */
static enum err since_same(struct job *j, const struct piece *p, bool *same)
{
    struct segment_header theirs, ours;
    struct frames f, mine = {.dir = j->b->dir, .detail = j->detail, .number = p->number};
    bool good, ours_good = false;
    enum err err = since_header(j, p->number, &theirs, &f, &good);

    if (err == OK)
        err = frames_header(&mine, p->fd, &ours, &ours_good);
    if (err == OK && os()->size(p->fd, &mine.size) != 0)
        err = failed(j, j->b->dir, "cannot be read");
    if (err != OK)
        return err;
    *same = good && ours_good && f.size == mine.size && memcmp(&theirs, &ours, sizeof ours) == 0;
    return OK;
}

/* ---- the directory --------------------------------------------------------------------------- */

/* What the reader of a message knows it by. */
static const char *dest_name(const struct job *j)
{
    return j->b->dest_name != NULL ? j->b->dest_name : j->b->dest;
}

static enum err piece_failed(struct job *j, const struct piece *p, const char *suffix,
                             const char *what)
{
    int saved = errno;

    return err_set(j->detail, err_from_errno(saved), saved, "%s/%s%s: %s", dest_name(j), p->name,
                   suffix, what);
}

static void path_of(const struct job *j, const struct piece *p, const char *suffix, char *out)
{
    snprintf(out, LOG_PATH_MAX, "%s/%s%s", j->b->dest, p->name, suffix);
}

static void note_any(void *arg, const char *name)
{
    (void)name;
    *(bool *)arg = true;
}

static enum err begin_dest(struct job *j)
{
    const char *dest = j->b->dest;
    bool any = false;
    enum err err = dir_make(dest, dest_name(j), &j->made_dir, j->detail);

    if (err != OK)
        return err;
    if (os()->list_dir(dest, note_any, &any) != 0)
        return failed(j, dest_name(j), "cannot be listed");
    if (any)
        return err_set(j->detail, ERR_EXISTS, 0,
                       "%s: is not empty: name another directory, or move away what is there",
                       dest_name(j));
    err = dir_lock(dest, dest_name(j), O_EXCL, &j->lock_fd, j->detail);
    if (err == ERR_BUSY) { /* somebody was faster: it is theirs */
        os()->close(j->lock_fd);
        j->lock_fd = NO_FD;
    }
    return err;
}

static enum err name_piece(struct job *j, struct piece *p)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];

    if (p->stage != MADE)
        return OK;
    path_of(j, p, PARTIAL_SUFFIX, from);
    path_of(j, p, "", to);
    if (os()->rename(from, to) != 0)
        return piece_failed(j, p, "", "cannot be renamed");
    p->stage = NAMED;
    return OK;
}

static enum err sync_dest(struct job *j)
{
    return os()->sync_dir(j->b->dest) == 0 ? OK : failed(j, dest_name(j), "cannot be synced");
}

/* Rule 5. */
static enum err name_all(struct job *j)
{
    enum err err = sync_dest(j);

    for (size_t i = 0; err == OK && i < j->segments + j->extras; i++)
        err = name_piece(j, &j->piece[i]);
    return err == OK ? sync_dest(j) : err;
}

/* Rule 6. What cannot be removed stays, and is no store. */
static void remove_all(struct job *j)
{
    char path[LOG_PATH_MAX];

    for (size_t i = 0; j->piece != NULL && i < j->segments + j->extras; i++) {
        struct piece *p = &j->piece[i];
        path_of(j, p, p->stage == NAMED ? "" : PARTIAL_SUFFIX, path);
        if (p->stage != NOT_MADE)
            (void)os()->unlink(path);
    }
    snprintf(path, sizeof path, "%s/" LOCK_NAME, j->b->dest);
    if (j->lock_fd != NO_FD)
        (void)os()->unlink(path);
    if (j->made_dir)
        (void)os()->rmdir(j->b->dest);
}

/* ---- reading the copy back ------------------------------------------------------------------- */

static enum err check_ops(struct job *j, const struct frame_header *h)
{
    struct ops o;

    ops_begin(&o, &j->f, j->f.at, h);
    while (ops_more(&o)) {
        if (ops_next(&o) != OK)
            return frames_damage(&j->f, (uint64_t)(o.at - o.base), "operation that makes no sense");
        if (o.op == OP_TRIM && o.number >= j->piece[0].number)
            j->proven = true;
    }
    return OK;
}

static enum err check_frames(struct job *j)
{
    struct frame_header h;
    enum err err = OK;

    j->last = 0;
    while (err == OK && frames_peek(&j->f, &h)) {
        err = check_ops(j, &h);
        j->last = j->f.at;
        j->result.txns++;
        frames_step(&j->f, &h);
    }
    return err;
}

static enum err check_header(struct job *j, const struct segment_header *h)
{
    if (j->f.number == j->piece[0].number) {
        memcpy(j->store, h->store, sizeof j->store);
        j->f.txn = h->first_txn - 1;
        j->f.link = h->link;
        j->f.at = h->prev_bytes;
    }
    if (h->number != j->f.number || memcmp(h->store, j->store, sizeof j->store) != 0)
        return frames_damage(&j->f, 0, "header of another segment or store");
    return frames_follow(&j->f, h);
}

static enum err check_mapped(struct job *j, bool sealed)
{
    enum err err = check_frames(j);

    if (err == OK && j->f.at < j->f.size && sealed)
        return frames_damage(&j->f, j->f.at, "bad frame");
    if (err == OK && j->f.at < j->f.size && frames_lost(&j->f))
        return frames_damage(&j->f, j->f.at, "bad frame before good ones");
    return err;
}

/* The place in the copy is then behind its last frame. */
static enum err check_copy(struct job *j, const struct piece *p, int fd, const char *origin)
{
    struct segment_header h;
    bool good;
    enum err err;

    j->f.dir = origin;
    j->f.number = p->number;
    err = frames_header(&j->f, fd, &h, &good);
    if (err == OK)
        err = good ? check_header(j, &h) : frames_damage(&j->f, 0, "bad header");
    if (err != OK)
        return err;
    j->f.at = SEGMENT_HEADER_BYTES;
    j->f.map = os()->map(fd, 0, (size_t)j->f.size);
    if (j->f.map == NULL)
        return failed(j, dest_name(j), "cannot be mapped");
    err = check_mapped(j, p->sealed);
    os()->unmap((void *)j->f.map, (size_t)j->f.size);
    return err;
}

/* Rule 5 of recover.c: nothing that counts is missing before the first segment. */
static enum err check_first(struct job *j)
{
    uint32_t first = j->piece[0].number;

    if (j->proven || first == 1)
        return OK;
    return err_set(j->detail, ERR_CORRUPT, 0, "%s/%08x.log: segment is missing", j->b->dir,
                   first - 1);
}

/* ---- copying --------------------------------------------------------------------------------- */

/* Up to `want` bytes; *got: how many there were. */
static enum err copy_bytes(struct job *j, const struct piece *p, int to, uint64_t want,
                           uint64_t *got)
{
    char path[LOG_PATH_MAX];
    enum err err = OK;

    for (*got = 0; err == OK && *got < want;) {
        ssize_t n = os()->pread(p->fd, j->chunk, (size_t)MIN_OF(CHUNK, want - *got), *got);
        snprintf(path, sizeof path, "%s/%s", j->b->dir, p->name);
        if (n < 0)
            return failed(j, path, "cannot be read");
        if (n == 0)
            break;
        if (os()->pwrite(to, j->chunk, (size_t)n, *got) != n)
            return piece_failed(j, p, PARTIAL_SUFFIX, "cannot be written");
        *got += (uint64_t)n;
        err = progress(j, (uint64_t)n);
    }
    return err;
}

static enum err make_file(struct job *j, struct piece *p, int *fd)
{
    char path[LOG_PATH_MAX];

    path_of(j, p, PARTIAL_SUFFIX, path);
    *fd = os()->open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (*fd < 0)
        return piece_failed(j, p, PARTIAL_SUFFIX, "cannot be created");
    p->stage = MADE;
    return OK;
}

static enum err sync_file(struct job *j, const struct piece *p, int fd)
{
    return os()->fsync(fd) == 0 ? OK : piece_failed(j, p, PARTIAL_SUFFIX, "cannot be synced");
}

static enum err copy_segment(struct job *j, const struct piece *p, int to)
{
    uint64_t size;
    enum err err = OK;

    if (os()->size(p->fd, &size) != 0)
        return failed(j, j->b->dir, "cannot be read");
    if (size > UINT32_MAX)
        return frames_damage(&j->f, UINT32_MAX, "segment is longer than any can be");
    err = copy_bytes(j, p, to, size, &j->f.size);
    return err == OK ? check_copy(j, p, to, j->b->dir) : err;
}

/* The source has the last frame, on disk. AGAIN: it was cut off. (A file system that cannot be
 * written has nothing to sync.) */
static enum err settle_source(struct job *j, const struct piece *p)
{
    struct frame_header h;
    char path[LOG_PATH_MAX];

    log_path(j->b->dir, p->number, path, sizeof path);
    if (os()->fdatasync(p->fd) != 0 && errno != EINVAL && errno != EROFS)
        return failed(j, path, "cannot be synced");
    if (j->last == 0)
        return OK;
    ssize_t got = os()->pread(p->fd, &h, sizeof h, j->last);
    if (got < 0)
        return failed(j, path, "cannot be read");
    if ((size_t)got < sizeof h)
        return ERR_AGAIN;
    return h.head_crc == j->f.link && h.txn == j->f.txn ? OK : ERR_AGAIN;
}

/* See above: what looks damaged while it is written may be good the next time. */
static enum err copy_growing(struct job *j, struct piece *p, int to)
{
    const struct frames before = j->f;
    const struct engine_backup_result counts = j->result;
    const bool proven = j->proven;
    enum err err = ERR_AGAIN;

    for (int i = 0; i < TRIES_WRITE && (err == ERR_AGAIN || err == ERR_CORRUPT); i++) {
        j->f = before;
        j->result = counts;
        j->proven = proven;
        err = copy_segment(j, p, to);
        if (err == OK)
            err = settle_source(j, p);
    }
    if (err == ERR_AGAIN)
        return err_set(j->detail, err, 0, "%s: writes fail and are cut off, again and again",
                       j->b->dir);
    if (err == OK && os()->ftruncate(to, j->f.at) != 0)
        err = piece_failed(j, p, PARTIAL_SUFFIX, "cannot be cut");
    return err;
}

static enum err copy_piece(struct job *j, struct piece *p)
{
    int fd = NO_FD;
    enum err err = make_file(j, p, &fd);

    if (err == OK)
        err = p->sealed ? copy_segment(j, p, fd) : copy_growing(j, p, fd);
    if (err == OK)
        err = sync_file(j, p, fd);
    if (fd != NO_FD && os()->close(fd) != 0 && err == OK)
        err = failed(j, dest_name(j), "cannot be closed");
    j->result.bytes_copied += err == OK ? j->f.at : 0;
    return err;
}

/* ---- linking --------------------------------------------------------------------------------- */

static bool cannot_link(int error)
{
    return error == EXDEV || error == EPERM || error == EMLINK || error == ENOSYS ||
           error == EOPNOTSUPP;
}

static enum err check_linked(struct job *j, struct piece *p)
{
    char path[LOG_PATH_MAX];
    int fd;
    enum err err;

    path_of(j, p, PARTIAL_SUFFIX, path);
    fd = os()->open(path, O_RDONLY, 0);
    if (fd < 0 || os()->size(fd, &j->f.size) != 0)
        err = piece_failed(j, p, PARTIAL_SUFFIX, "cannot be opened");
    else
        err = check_copy(j, p, fd, j->b->since);
    if (err == OK)
        err = sync_file(j, p, fd);
    if (fd >= 0)
        os()->close(fd);
    if (err == OK)
        err = progress(j, j->f.size);
    j->result.bytes_linked += err == OK ? j->f.size : 0;
    return err;
}

/* *linked = false: it has to be copied. */
static enum err link_piece(struct job *j, struct piece *p, bool *linked)
{
    char from[LOG_PATH_MAX], to[LOG_PATH_MAX];
    bool same = false;
    enum err err = since_same(j, p, &same);

    if (err != OK || !same)
        return err;
    log_path(j->b->since, p->number, from, sizeof from);
    path_of(j, p, PARTIAL_SUFFIX, to);
    if (os()->link(from, to) != 0)
        return cannot_link(errno) ? OK : piece_failed(j, p, PARTIAL_SUFFIX, "cannot be linked");
    p->stage = MADE;
    *linked = true;
    return check_linked(j, p);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* The last piece is never linked: whoever opens the copy appends to it. */
static enum err take_piece(struct job *j, size_t i)
{
    struct piece *p = &j->piece[i];
    bool linked = false;
    enum err err = OK;

    j->f.number = p->number;
    if (i + 1 < j->segments && since_has(j, p->number))
        err = link_piece(j, p, &linked);
    return err != OK || linked ? err : copy_piece(j, p);
}

static enum err copy_extra(struct job *j, struct piece *p)
{
    char path[LOG_PATH_MAX];
    uint64_t size = 0, got = 0;
    int fd = NO_FD;
    enum err err = OK;

    snprintf(path, sizeof path, "%s/%s", j->b->dir, p->name);
    p->fd = os()->open_own(j->b->dir, p->name);
    if (p->fd < 0)
        return errno == ENOENT ? OK : not_opened(j, path);
    if (os()->size(p->fd, &size) != 0)
        err = failed(j, path, "cannot be read");
    if (err == OK && size > ENGINE_BACKUP_EXTRA_BYTES)
        err =
            err_set(j->detail, ERR_LIMIT, 0, "%s: is larger than a file of its kind can be", path);
    if (err == OK)
        err = make_file(j, p, &fd);
    if (err == OK)
        err = copy_bytes(j, p, fd, size, &got);
    if (err == OK)
        err = sync_file(j, p, fd);
    if (fd != NO_FD && os()->close(fd) != 0 && err == OK)
        err = failed(j, dest_name(j), "cannot be closed");
    os()->close(p->fd);
    return err;
}

static enum err take_extras(struct job *j)
{
    enum err err = OK;

    for (size_t i = 0; err == OK && i < j->extras; i++) {
        struct piece *p = &j->piece[j->segments + i];
        *p = (struct piece){.fd = NO_FD};
        CHECK(strlen(j->b->extra[i]) < sizeof p->name);
        memcpy(p->name, j->b->extra[i], strlen(j->b->extra[i]) + 1);
        err = copy_extra(j, p);
    }
    return err;
}

static enum err open_all(struct job *j)
{
    enum err err = open_row(j);

    if (err == OK)
        err = drop_unfinished(j);
    if (err == OK)
        err = add_up(j);
    if (err == OK && j->b->since != NULL)
        err = open_since(j);
    return err;
}

static enum err copy_all(struct job *j)
{
    enum err err = begin_dest(j);

    for (size_t i = 0; err == OK && i < j->segments; i++)
        err = take_piece(j, i);
    if (err == OK)
        err = check_first(j);
    if (err == OK)
        err = take_extras(j);
    if (err == OK)
        err = name_all(j);
    if (err != OK)
        remove_all(j);
    return err;
}

static enum err begin(struct job *j)
{
    const struct engine_backup *b = j->b;

    while (b->extra != NULL && b->extra[j->extras] != NULL)
        j->extras++;
    if (b->dest[0] == 0 || strlen(b->dest) > LOG_PATH_MAX - 2 * NAME_BYTES ||
        strlen(b->dir) > LOG_PATH_MAX - 2 * NAME_BYTES)
        return err_set(j->detail, ERR_LIMIT, 0, "the name of a directory is empty or too long");
    j->chunk = mem_alloc(CHUNK);
    return j->chunk == NULL ? ERR_NOMEM : OK;
}

enum err engine_backup(const struct engine_backup *b, struct engine_backup_result *out,
                       struct err_detail *detail)
{
    struct err_detail d = {.text = ""};
    struct job j = {.b = b, .detail = &d, .f = {.detail = &d}, .lock_fd = NO_FD};
    enum err err = begin(&j);

    if (err == OK)
        err = open_all(&j);
    if (err == OK)
        err = copy_all(&j);
    if (j.lock_fd != NO_FD)
        os()->close(j.lock_fd);
    if (err == OK) {
        *out = j.result;
        out->segments = j.segments;
        out->version = j.f.txn;
    }
    close_pieces(&j);
    free(j.names.number);
    free(j.since.number);
    free(j.chunk);
    if (err != OK && d.text[0] == 0)
        return err_set(detail, err, 0, "the backup failed: %s", err_text(err));
    if (err != OK && detail != NULL)
        *detail = d;
    return err;
}
