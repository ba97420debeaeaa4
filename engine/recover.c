/*
 * engine/recover.c - from the files to a running engine.
 *
 *     list segments -> headers -> replay frames -> where is the end? -> cut, sync -> open
 *
 * Nothing is changed on disk before everything has been read and found good; then the torn remains
 * behind the last whole frame are cut off and the newest segment is synced, so that what is served
 * from now on is durable even if an earlier process died between write and sync.
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
 *      sync never ended, of which a crash may leave any part: torn.
 *   So damage in the last synced group alone looks like a torn end; nothing in the log could tell.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/crc.h"
#include "base/rand.h"
#include "engine/private.h"

struct scan { /* one segment being read */
    struct engine *e;
    struct err_detail *detail;
    uint32_t number;
    const uint8_t *map;
    uint64_t size;
    uint64_t at;  /* of the next frame */
    uint64_t txn; /* of the last good frame */
    uint32_t link, salt;
};

struct names {
    uint32_t *number;
    size_t n, cap;
    bool nomem;
};

static enum err damage(const struct scan *s, uint64_t off, const char *what)
{
    return err_set(s->detail, ERR_CORRUPT, 0, "%s/%08x.log: %s at offset %llu", s->e->log.dir,
                   s->number, what, (unsigned long long)off);
}

/* ---- which segments -------------------------------------------------------------------------- */

/* "0000001a.log" -> 26; other names are not ours to judge. */
static bool parse_name(const char *name, uint32_t *out)
{
    uint32_t v = 0;

    if (strlen(name) != 12 || strcmp(name + 8, ".log") != 0)
        return false;
    for (int i = 0; i < 8; i++) {
        const char *digits = "0123456789abcdef";
        const char *d = strchr(digits, name[i]);
        if (d == NULL)
            return false;
        v = v << 4 | (uint32_t)(d - digits);
    }
    *out = v;
    return v > 0;
}

static void note_name(void *arg, const char *name)
{
    struct names *names = arg;
    uint32_t number;

    if (names->nomem || !parse_name(name, &number))
        return;
    if (names->n == names->cap) {
        size_t cap = names->cap == 0 ? 64 : 2 * names->cap;
        uint32_t *p = mem_alloc(cap * sizeof *p);
        names->nomem = p == NULL;
        if (p == NULL)
            return;
        if (names->n > 0)
            memcpy(p, names->number, names->n * sizeof *p);
        free(names->number);
        names->number = p;
        names->cap = cap;
    }
    names->number[names->n++] = number;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static enum err list_segments(struct engine *e, struct names *names, struct err_detail *d)
{
    if (os()->list_dir(e->log.dir, note_name, names) != 0)
        return err_set(d, err_from_errno(errno), errno, "%s: cannot be listed", e->log.dir);
    if (names->nomem)
        return ERR_NOMEM;
    if (names->n > 0)
        qsort(names->number, names->n, sizeof *names->number, by_number);
    for (size_t i = 0; i < names->n; i++)
        if (names->number[i] != i + 1)
            return err_set(d, ERR_CORRUPT, 0, "%s/%08zx.log: segment is missing", e->log.dir,
                           i + 1);
    return OK;
}

/* ---- headers --------------------------------------------------------------------------------- */

/* *good = false: the header is not valid. */
static enum err read_header(struct scan *s, int fd, struct segment_header *h, bool *good)
{
    ssize_t n = os()->pread(fd, h, sizeof *h, 0);

    if (n < 0)
        return err_set(s->detail, err_from_errno(errno), errno, "%s/%08x.log: cannot be read",
                       s->e->log.dir, s->number);
    *good = n == (ssize_t)sizeof *h && memcmp(h->magic, LOG_MAGIC, sizeof h->magic) == 0 &&
            h->crc == segment_header_crc(h);
    return OK;
}

/* Holds a valid header against what came before it. */
static enum err check_header(struct scan *s, const struct segment_header *h, uint64_t prev_bytes)
{
    struct log *log = &s->e->log;

    if (h->version != FORMAT_VERSION)
        return err_set(s->detail, ERR_UNSUPPORTED, 0,
                       "%s/%08x.log: format version %u, this program knows %u", log->dir, s->number,
                       h->version, FORMAT_VERSION);
    if (s->number == 1)
        memcpy(log->store, h->store, sizeof log->store);
    if (h->number != s->number || memcmp(h->store, log->store, sizeof log->store) != 0)
        return damage(s, 0, "header of another segment or store");
    if (h->prev_bytes != prev_bytes)
        return damage(s, 0, "segment before it has another length than the header says");
    if (h->first_txn != s->txn + 1 || h->link != s->link)
        return damage(s, 0, "header does not follow the segment before it");
    return OK;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static struct frame_header header_at(const struct scan *s, uint64_t off)
{
    struct frame_header h;

    memcpy(&h, s->map + off, sizeof h);
    return h;
}

/* The next frame is whole and the right one. */
static bool frame_good(const struct scan *s, struct frame_header *out)
{
    struct frame_header h;

    if (s->size - s->at < FRAME_HEADER_BYTES)
        return false;
    h = header_at(s, s->at);
    if (h.txn != s->txn + 1 || h.link != s->link || h.bytes == 0 ||
        h.bytes > s->size - s->at - FRAME_HEADER_BYTES || h.head_crc != frame_head_crc(&h, s->salt))
        return false;
    if (crc32c(0, s->map + s->at + FRAME_HEADER_BYTES, h.bytes) != h.body_crc)
        return false;
    *out = h;
    return true;
}

/* Is there, at or behind the bad frame, the header of one that was written when the bad one was
 * durable? */
static bool lost_frames(const struct scan *s)
{
    uint64_t missing = s->txn + 1;

    for (uint64_t off = s->at; off + FRAME_HEADER_BYTES <= s->size; off++) {
        struct frame_header h = header_at(s, off);
        if (h.txn <= missing || h.txn - missing > UINT32_MAX || h.back >= h.txn - missing ||
            h.bytes == 0)
            continue;
        if (h.head_crc == frame_head_crc(&h, s->salt))
            return true;
    }
    return false;
}

/* ---- replay ---------------------------------------------------------------------------------- */

struct ops { /* the operations of one frame */
    const uint8_t *base, *at, *end;
    uint32_t seg;
    struct value_ref put;
    bool has_put;
};

static bool take_key(struct ops *o, str *key)
{
    uint32_t n;
    const uint8_t *at = varint_get(o->at, o->end, &n);

    if (at == NULL || n == 0 || n > ENGINE_MAX_KEY_BYTES || n > (size_t)(o->end - at))
        return false;
    *key = (str){(const char *)at, n};
    o->at = at + n;
    return true;
}

static bool take_value(struct ops *o)
{
    uint32_t n;
    const uint8_t *at = varint_get(o->at, o->end, &n);

    if (at == NULL || n > ENGINE_MAX_VALUE_BYTES || (size_t)(o->end - at) < (size_t)n + 4)
        return false;
    o->put = (struct value_ref){.bytes = n,
                                .kind = n <= INLINE_MAX_BYTES ? VALUE_INLINE : 0,
                                .seg = o->seg,
                                .off = (uint32_t)(at - o->base),
                                .data = at + 4};
    o->has_put = true;
    o->at = at + 4 + n;
    return true;
}

/* One operation. CORRUPT: it makes no sense. */
static enum err replay_op(struct engine *e, struct ops *o)
{
    uint8_t op = *o->at++;
    struct value_ref link;
    uint64_t count;
    bool found;
    str key;

    if (!take_key(o, &key))
        return ERR_CORRUPT;
    switch (op) {
    case OP_PUT:
        return take_value(o) ? apply_put(e, key, &o->put) : ERR_CORRUPT;
    case OP_LINK:
        link = o->put;
        link.kind |= VALUE_LINK;
        return o->has_put ? apply_put(e, key, &link) : ERR_CORRUPT;
    case OP_DEL:
        return apply_del(e, key, &found);
    case OP_DELPREFIX:
        return apply_del_prefix(e, key, &count);
    default:
        return ERR_CORRUPT;
    }
}

static enum err replay_frame(struct scan *s, const struct frame_header *h)
{
    const uint8_t *payload = s->map + s->at + FRAME_HEADER_BYTES;
    struct ops o = {.base = s->map, .at = payload, .end = payload + h->bytes, .seg = s->number};
    enum err err = OK;

    while (err == OK && o.at < o.end)
        err = replay_op(s->e, &o);
    if (err == ERR_CORRUPT)
        return damage(s, (uint64_t)(o.at - s->map), "operation that makes no sense");
    return err;
}

/* All good frames of a segment; s->at is then behind the last. */
static enum err replay_segment(struct scan *s, struct engine_recovery *r)
{
    struct frame_header h;

    while (frame_good(s, &h)) {
        enum err err = replay_frame(s, &h);
        if (err != OK)
            return err;
        s->at += FRAME_HEADER_BYTES + h.bytes;
        s->txn = h.txn;
        s->link = h.head_crc;
        r->txns++;
        r->bytes += FRAME_HEADER_BYTES + h.bytes;
    }
    return OK;
}

/* ---- a segment ------------------------------------------------------------------------------- */

/* The segment becomes the newest one of the log. Its descriptor is the log's from here. */
static enum err adopt(struct scan *s, int fd, bool newest)
{
    struct log *log = &s->e->log;
    struct segment *seg = log_segment(log, s->number);
    size_t bytes = (size_t)s->size;

    if (newest)
        bytes = MAX_OF(bytes, (size_t)log->segment_bytes);
    if (log_map(seg, fd, bytes) != OK)
        return err_set(s->detail, ERR_NOMEM, 0, "%s/%08x.log: cannot be mapped", log->dir,
                       s->number);
    seg->salt = s->salt;
    log->active = seg;
    s->map = atomic_load(&seg->map);
    return OK;
}

/* Reads a segment with a valid header. */
static enum err read_segment(struct scan *s, int fd, bool newest, struct engine_recovery *r)
{
    struct segment *seg;
    enum err err = log_segment_need(&s->e->log, s->number);

    if (err == OK)
        err = adopt(s, fd, newest);
    if (err == OK)
        err = replay_segment(s, r);
    if (err != OK)
        return err;
    if (s->at < s->size && !newest)
        return damage(s, s->at, "bad frame");
    if (s->at < s->size && lost_frames(s))
        return damage(s, s->at, "bad frame before good ones");
    seg = log_segment(&s->e->log, s->number);
    atomic_store(&seg->bytes, (uint32_t)s->at);
    r->torn_bytes += s->size - s->at;
    return OK;
}

static enum err open_segment(struct scan *s, int *fd)
{
    char path[LOG_PATH_MAX];

    log_path(&s->e->log, s->number, path, sizeof path);
    *fd = os()->open(path, O_RDWR, 0);
    if (*fd < 0 || os()->size(*fd, &s->size) != 0)
        return err_set(s->detail, err_from_errno(errno), errno, "%s: cannot be opened", path);
    if (s->size > UINT32_MAX)
        return damage(s, UINT32_MAX, "segment is longer than any can be");
    return OK;
}

/* One file. *unfinished: it was being created when the process died, and holds nothing. */
static enum err load_segment(struct scan *s, bool newest, bool *unfinished,
                             struct engine_recovery *r)
{
    struct segment_header h;
    uint64_t prev_bytes = s->at;
    bool good = false, keep = false;
    int fd = -1;
    enum err err = open_segment(s, &fd);

    if (err == OK)
        err = read_header(s, fd, &h, &good);
    if (err == OK && !good) {
        *unfinished = newest && s->size <= SEGMENT_HEADER_BYTES;
        err = *unfinished ? OK : damage(s, 0, "bad header");
        if (*unfinished)
            r->torn_bytes += s->size;
    }
    if (err == OK && good)
        err = check_header(s, &h, prev_bytes);
    if (err == OK && good) {
        s->at = SEGMENT_HEADER_BYTES;
        s->salt = h.salt;
        err = read_segment(s, fd, newest, r);
        keep = err == OK && newest;
    }
    if (keep)
        s->e->log.fd = fd;
    else if (fd >= 0)
        os()->close(fd);
    return err;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Takes away a segment that was not finished, for good before anything is appended elsewhere. */
static enum err remove_unfinished(struct scan *s)
{
    char path[LOG_PATH_MAX];

    log_path(&s->e->log, s->number, path, sizeof path);
    if (os()->unlink(path) != 0)
        return err_set(s->detail, err_from_errno(errno), errno, "%s: cannot be removed", path);
    return OK;
}

/* The segment before an unfinished one is the newest again, and needs a descriptor to append. */
static enum err reopen_newest(struct scan *s)
{
    struct log *log = &s->e->log;
    char path[LOG_PATH_MAX];

    if (log->active == NULL || log->fd >= 0)
        return OK;
    log_path(log, log->active->number, path, sizeof path);
    log->fd = os()->open(path, O_RDWR, 0);
    if (log->fd < 0)
        return err_set(s->detail, err_from_errno(errno), errno, "%s: cannot be opened", path);
    return OK;
}

/* Cuts off the torn end and makes sure that everything that was read is durable. */
static enum err settle(struct scan *s, bool torn)
{
    struct log *log = &s->e->log;

    if (log->active == NULL)
        return OK;
    if (torn && os()->ftruncate(log->fd, log->end) != 0)
        return err_set(s->detail, err_from_errno(errno), errno,
                       "%s/%08x.log: torn end cannot be cut off", log->dir, log->active->number);
    if (os()->fdatasync(log->fd) != 0 || os()->sync_dir(log->dir) != 0)
        return err_set(s->detail, ERR_IO, errno, "%s: cannot be synced", log->dir);
    return OK;
}

/* The version that the log leads to. */
static void publish(struct engine *e, const struct scan *s, const struct engine_recovery *r)
{
    struct writer *w = &e->writer;
    uint64_t segments = e->log.next - e->log.first;

    pages_commit(&e->pages, w->tree.txn);
    w->now = (struct version){
        .txn = s->txn,
        .root = w->tree.root,
        .depth = w->tree.depth,
        .keys = w->tree.keys,
        .live_value_bytes = w->live_value_bytes,
        .tail = LOGPOS(e->log.active->number, e->log.end),
        .log_bytes = r->bytes + segments * SEGMENT_HEADER_BYTES,
        .segments = segments,
        .free_pages = pages_free_count(&e->pages),
    };
    w->now.pages = e->pages.next - PAGE_FIRST - w->now.free_pages;
    version_publish(&e->published, &w->now);
    apply_durable(e, s->txn);
}

static enum err load_segments(struct scan *s, const struct names *names, bool *unfinished,
                              struct engine_recovery *r)
{
    enum err err = OK;

    for (size_t i = 0; err == OK && i < names->n; i++) {
        s->number = names->number[i];
        err = load_segment(s, i + 1 == names->n, unfinished, r);
    }
    return err;
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
    return OK;
}

enum err recover(struct engine *e, struct engine_recovery *r, struct err_detail *d)
{
    struct scan s = {.e = e, .detail = d};
    struct names names = {0};
    uint64_t started = clock_mono_ms();
    bool unfinished = false;
    enum err err = OK;

    /* The replay is one transaction to the pages: all of them its own, until the end. */
    e->writer.tree.txn = 1;
    if (e->log.dir != NULL)
        err = list_segments(e, &names, d);
    if (err == OK)
        err = load_segments(&s, &names, &unfinished, r);
    e->log.end = e->log.allocated = s.at;
    e->log.link = s.link;
    if (err == OK && unfinished)
        err = remove_unfinished(&s);
    if (err == OK)
        err = reopen_newest(&s);
    if (err == OK)
        err = settle(&s, r->torn_bytes > 0);
    if (err == OK && e->log.active == NULL)
        err = first_segment(&s);
    if (err == OK)
        publish(e, &s, r);
    r->ms = clock_mono_ms() - started;
    free(names.number);
    return err;
}
