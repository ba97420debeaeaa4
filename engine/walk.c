/*
 * engine/walk.c - all good frames of a log, one after the other, whatever lies between them.
 *
 * Recovery stops where something is wrong; here that is noted, and what comes behind it is looked for:
 *
 *   a bad frame      the next header whose checksum is right by the segment's salt, and whose payload is
 *                    right, too: neither a client's bytes nor an old frame can pass for one
 *   a bad header     the salt is in it, or in the index file, or follows from the first frame
 *                    (head_crc is known, and what it was made from but the salt)
 *   a bad block      what the disk does not give is taken for zeros, in a copy of the segment
 *   a missing file   the next segment says itself which transaction it begins with
 *
 * What recovery accepts is accepted here, and nothing more is called good: recover.c, rules 1 to 5,
 * say what is torn. Every operation must make sense, and every value have its own checksum.
 *
 * Invariants:
 *   1. The numbers of the frames that walk_next gives rise; where they do not by one, a problem of the
 *      log was found.
 *   2. A second walk over the same files gives the same frames.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

#include "base/crc.h"
#include "engine/private.h"

#define PIECE_BYTES ((uint64_t)256 * KIB)
#define BLOCK_BYTES ((uint64_t)4 * KIB)
#define GAP_MAX     65536 /* segments; a file behind a wider one is not a part of the log */

/* ---- findings -------------------------------------------------------------------------------- */

void finding_add(const struct findings *s, enum finding kind, const char *file,
                 enum engine_place place, uint64_t at, const char *fmt, ...)
{
    char text[400];
    struct engine_finding f = {kind != FINDING_NOTE, file, place, at, text};
    va_list ap;

    s->r->log_problems += kind == FINDING_LOG;
    s->r->index_problems += kind == FINDING_INDEX;
    if (s->o == NULL || s->o->found == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->o->found(s->o->arg, &f);
}

struct file_name {
    char text[16];
};

static struct file_name file_name(uint32_t number)
{
    struct file_name n;

    snprintf(n.text, sizeof n.text, "%08x.log", number);
    return n;
}

typedef unsigned long long ull;

/* The last damage is told of, with the transactions that are missing there, when that is known. */
static void tell(struct log_walk *w, uint64_t from, uint64_t to)
{
    struct damage *d = &w->damage;
    struct file_name name = file_name(d->number);
    char bytes[32] = "", txns[80] = "";

    if (!d->is)
        return;
    d->is = false;
    if (d->bytes > 0)
        snprintf(bytes, sizeof bytes, ", %llu bytes", (ull)d->bytes);
    if (from > 0 && to == from)
        snprintf(txns, sizeof txns, ", transaction %llu is missing", (ull)from);
    else if (from > 0)
        snprintf(txns, sizeof txns, ", transactions %llu to %llu are missing", (ull)from, (ull)to);
    finding_add(w->found, FINDING_LOG, name.text, ENGINE_AT_OFFSET, d->off, "%s%s%s", d->what,
                bytes, txns);
    w->found->r->lost_bytes += d->bytes;
    w->found->r->lost_txns += from > 0 ? to - from + 1 : 0;
}

static void damaged(struct log_walk *w, uint32_t number, uint64_t off, uint64_t bytes,
                    const char *what)
{
    tell(w, 0, 0);
    w->damage = (struct damage){true, number, off, bytes, what};
}

static bool is_newest(const struct log_walk *w)
{
    return w->next == w->names->n;
}

/* Does the index have transactions at or behind this place? */
static bool index_knows(const struct log_walk *w, uint32_t number, uint64_t off)
{
    return w->index != NULL && LOGPOS(number, off) < w->index->root.tail;
}

/* ---- which segments -------------------------------------------------------------------------- */

/* Each votes for the store that its header names; the one with more than half of them wins, if there
 * is one. */
struct votes {
    uint8_t store[16];
    size_t lead;
};

static void vote(struct votes *v, const uint8_t store[16])
{
    if (v->lead == 0)
        memcpy(v->store, store, sizeof v->store);
    if (memcmp(v->store, store, sizeof v->store) == 0)
        v->lead++;
    else
        v->lead--;
}

static enum err look_at_all(struct log_walk *w)
{
    struct votes votes = {.lead = 0};
    enum err err = OK;

    for (size_t i = w->first; err == OK && i < w->names->n; i++) {
        struct segment_header h;
        bool good = false;
        int fd = -1;
        w->f.number = w->names->number[i];
        err = frames_open(&w->f, O_RDONLY, &fd);
        w->total += w->f.size;
        if (err == OK)
            err = frames_header(&w->f, fd, &h, &good);
        if (err == OK && good)
            vote(&votes, h.store);
        if (fd >= 0)
            os()->close(fd);
        if (err == ERR_CORRUPT || (err == ERR_IO && fd >= 0))
            err = OK; /* too long, or unreadable: enter() tells */
    }
    memcpy(w->store, w->index != NULL ? w->index->root.store : votes.store, sizeof w->store);
    return err;
}

/* What the index does not need any more does not count. */
static void skip_leftovers(struct log_walk *w)
{
    const struct names *n = w->names;

    while (w->index != NULL && w->first < n->n && n->number[w->first] < w->index->root.first) {
        struct file_name name = file_name(n->number[w->first++]);
        finding_add(w->found, FINDING_NOTE, name.text, ENGINE_AT_FILE, 0,
                    "is not needed any more, the next start removes it");
    }
}

enum err walk_begin(struct log_walk *w, const char *dir, const struct names *names,
                    const struct index_content *index, const struct findings *found,
                    struct err_detail *d)
{
    enum err err;

    *w = (struct log_walk){.found = found,
                           .names = names,
                           .index = index,
                           .f = {.dir = dir, .detail = d},
                           .joined = true,
                           .known_last = true};
    skip_leftovers(w);
    err = look_at_all(w);
    w->next = w->first;
    w->f = (struct frames){.dir = dir, .detail = d};
    return err;
}

/* ---- into a segment -------------------------------------------------------------------------- */

static void leave(struct log_walk *w)
{
    if (w->f.map != NULL && w->copied)
        free((void *)w->f.map);
    else if (w->f.map != NULL)
        os()->unmap((void *)w->f.map, (size_t)w->f.size);
    w->f.map = NULL;
    w->in_segment = false;
}

void walk_end(struct log_walk *w)
{
    leave(w);
}

/* Segments between the one before and this one are missing; false: too many to be true. */
static bool check_gap(struct log_walk *w, uint32_t number)
{
    bool begins = w->next == w->first + 1;
    uint32_t expect = w->f.number + 1;
    struct file_name name = file_name(number);

    if (begins && w->index == NULL)
        expect = number;
    else if (begins)
        expect = w->index->root.first;
    if (number == expect)
        return true;
    if (number - expect > GAP_MAX) {
        finding_add(w->found, FINDING_LOG, name.text, ENGINE_AT_FILE, 0,
                    "is not a part of the log");
        return false;
    }
    damaged(w, expect, 0, 0,
            number - expect == 1 ? "segment is missing"
                                 : "segment, and those behind it, are missing");
    w->joined = false;
    w->known_last &= !begins;
    return true;
}

/* The header is held against what came before it. */
static void join(struct log_walk *w, const struct segment_header *h)
{
    uint32_t number = w->f.number;
    bool begins = w->next == w->first + 1;

    if (begins && w->joined)
        w->last = h->first_txn - 1;
    else if (w->joined && h->prev_bytes > w->f.at)
        damaged(w, number - 1, w->f.at, h->prev_bytes - w->f.at,
                "the end of the segment is missing");
    else if (w->joined && h->prev_bytes < w->f.at)
        damaged(w, number - 1, h->prev_bytes, w->f.at - h->prev_bytes,
                "segment is longer than the next one says");
    else if (w->joined && (h->first_txn != w->f.txn + 1 || h->link != w->f.link))
        damaged(w, number, 0, 0, "header does not follow the segment before it");
    w->f.txn = MAX_OF(h->first_txn - 1, w->last);
    w->f.link = h->link;
    w->joined = true;
}

static bool try_salt(struct log_walk *w, uint32_t salt)
{
    struct frame_header h;
    uint64_t off;

    w->f.salt = salt;
    return frames_find(&w->f, &off, &h);
}

/* The salt that the first frame's checksum was begun with, if the frame is whole. */
static uint32_t salt_of_first(const struct log_walk *w)
{
    struct frame_header h;

    if (w->f.size < SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES)
        return 0;
    memcpy(&h, w->f.map + SEGMENT_HEADER_BYTES, sizeof h);
    return crc32c_undo(h.head_crc, (const uint8_t *)&h + 4, sizeof h - 4);
}

static const struct books_segment *books_of(const struct log_walk *w, uint32_t number)
{
    const struct books_segment *b;
    uint32_t n;

    if (w->index == NULL || number < w->index->root.first)
        return NULL;
    b = index_segments(w->index, &n);
    return number - w->index->root.first < n ? &b[number - w->index->root.first] : NULL;
}

/* Frames behind a bad header can be read when the salt is known. */
static void find_salt(struct log_walk *w, uint32_t in_header)
{
    const struct books_segment *b = books_of(w, w->f.number);
    struct frames before = w->f;

    w->f.txn = w->last;
    if (!try_salt(w, in_header) && !(b != NULL && try_salt(w, b->salt)))
        (void)!try_salt(w, salt_of_first(w));
    w->f.txn = before.txn;
}

static void bad_header(struct log_walk *w, const struct segment_header *h)
{
    struct file_name name = file_name(w->f.number);

    if (is_newest(w) && w->f.size <= SEGMENT_HEADER_BYTES && !index_knows(w, w->f.number, 0)) {
        finding_add(w->found, FINDING_NOTE, name.text, ENGINE_AT_FILE, 0,
                    "was being made, the next start removes it");
        w->found->r->torn_bytes += w->f.size;
        leave(w);
        return;
    }
    damaged(w, w->f.number, 0, MIN_OF(w->f.size, (uint64_t)SEGMENT_HEADER_BYTES), "bad header");
    if (w->f.number > 1 && w->next == w->first + 1)
        w->joined = w->known_last = false;
    if (w->f.size <= SEGMENT_HEADER_BYTES)
        leave(w);
    else
        find_salt(w, h->salt);
}

static void check_books(const struct log_walk *w)
{
    const struct books_segment *b = books_of(w, w->f.number);
    struct file_name name = file_name(w->f.number);

    if (b == NULL)
        return;
    if (b->salt != w->f.salt ||
        (w->f.number < POS_SEG(w->index->root.tail) && b->bytes != w->f.size))
        finding_add(w->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_FILE, 0,
                    "%s is not the segment that the index knows", name.text);
}

static void foreign(struct log_walk *w)
{
    damaged(w, w->f.number, 0, w->f.size, "header of another segment or store");
    w->joined = false;
    w->known_last &= w->next > w->first + 1;
    leave(w);
}

/* Whoever looks at a view of a file whose disk fails is killed for it. So all of it is read first: what
 * cannot be read there cannot be read here, either, but for an error. */
static bool is_readable(const struct log_walk *w, int fd)
{
    uint8_t *piece = mem_alloc(PIECE_BYTES);
    bool ok = piece != NULL;

    for (uint64_t at = 0; ok && at < w->f.size; at += PIECE_BYTES)
        ok = os()->pread(fd, piece, (size_t)MIN_OF(w->f.size - at, PIECE_BYTES), at) >= 0;
    free(piece);
    return ok;
}

/* A copy with zeros for what cannot be read. */
static uint8_t *copy_of(struct log_walk *w, int fd)
{
    uint8_t *copy = mem_zalloc((size_t)w->f.size);
    struct file_name name = file_name(w->f.number);

    for (uint64_t at = 0; copy != NULL && at < w->f.size; at += BLOCK_BYTES) {
        size_t n = (size_t)MIN_OF(w->f.size - at, BLOCK_BYTES);
        if (os()->pread(fd, copy + at, n, at) >= 0)
            continue;
        memset(copy + at, 0, n);
        finding_add(w->found, FINDING_LOG, name.text, ENGINE_AT_OFFSET, at,
                    "%zu bytes cannot be read: %s", n, strerror(errno));
    }
    return copy;
}

static enum err map(struct log_walk *w, int fd)
{
    w->in_segment = true;
    w->f.map = NULL;
    w->copied = w->f.size > 0 && !is_readable(w, fd);
    if (w->f.size == 0)
        return OK;
    w->f.map = w->copied ? copy_of(w, fd) : os()->map(fd, 0, (size_t)w->f.size);
    if (w->f.map == NULL)
        return err_set(w->f.detail, ERR_NOMEM, errno, "%s/%08x.log: cannot be mapped", w->f.dir,
                       w->f.number);
    return OK;
}

static enum err enter_file(struct log_walk *w, int fd)
{
    struct segment_header h = {.number = 0};
    bool good = false;
    enum err err = frames_header(&w->f, fd, &h, &good);

    if (err == OK || err == ERR_IO)
        err = map(w, fd);
    if (err != OK)
        return err;
    if (good && (h.number != w->f.number || memcmp(h.store, w->store, sizeof h.store) != 0)) {
        foreign(w);
        return OK;
    }
    if (good) {
        join(w, &h);
        check_books(w);
    }
    w->f.at = SEGMENT_HEADER_BYTES;
    if (!good)
        bad_header(w, &h);
    return OK;
}

/* The next segment. NOTFOUND: there is none. */
static enum err enter(struct log_walk *w)
{
    uint32_t number;
    uint64_t size = w->f.size;
    int fd = -1;
    enum err err;

    if (w->next == w->names->n)
        return ERR_NOTFOUND;
    w->done += size;
    number = w->names->number[w->next++];
    if (!check_gap(w, number))
        return OK;
    w->f.number = number;
    err = frames_open(&w->f, O_RDONLY, &fd);
    if (err == ERR_CORRUPT) {
        damaged(w, number, UINT32_MAX, w->f.size - UINT32_MAX, "segment is longer than any can be");
        w->f.size = UINT32_MAX;
        err = OK;
    }
    if (err == OK)
        err = enter_file(w, fd);
    if (fd >= 0)
        os()->close(fd);
    w->found->r->segments++;
    w->found->r->bytes += w->f.size;
    return err;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* What a right checksum does not say: the operations make sense, each value has its own checksum. */
static bool is_sound(struct log_walk *w)
{
    struct ops o;
    uint64_t n = 0;
    uint32_t trim = w->trim;

    ops_begin(&o, &w->f, w->f.at, &w->h);
    for (; ops_more(&o); n++) {
        if (ops_next(&o) != OK || (o.op == OP_PUT && !ops_value_good(&o)))
            return false;
        if (o.op == OP_TRIM)
            trim = MAX_OF(trim, o.number);
    }
    w->trim = trim;
    w->found->r->operations += n;
    return true;
}

/* The frame at the place is the next one. */
static void take(struct log_walk *w)
{
    bool gap = w->known_last && w->h.txn > w->last + 1;

    tell(w, gap ? w->last + 1 : 0, w->h.txn - 1);
    w->known_last = true;
    w->last = w->h.txn;
    w->in_frame = true;
    w->found->r->txns++;
}

static void torn(struct log_walk *w)
{
    struct file_name name = file_name(w->f.number);
    uint64_t bytes = frames_written(&w->f) - w->f.at;

    finding_add(w->found, FINDING_NOTE, name.text, ENGINE_AT_OFFSET, w->f.at,
                "a torn end of %llu bytes, as a write that was never acknowledged leaves it: the "
                "next start cuts it off",
                (ull)bytes);
    w->found->r->torn_bytes += bytes;
    leave(w);
}

/* Something is wrong at the place: goes on behind it, or to the end of the segment. */
static void stumble(struct log_walk *w)
{
    struct frame_header h;
    uint64_t off = 0, from = w->f.at, end = w->f.size;

    if (is_newest(w) &&
        frames_written(&w->f) == from) { /* prepared; should more have been there: check_end */
        leave(w);
        return;
    }
    if (is_newest(w) && !index_knows(w, w->f.number, w->f.at) && !frames_lost(&w->f)) {
        torn(w);
        return;
    }
    if (is_newest(w))
        end = frames_written(&w->f);
    w->f.txn = w->last;
    if (!frames_find(&w->f, &off, &h)) {
        damaged(w, w->f.number, from, end - from, "bad frame");
        w->f.at = w->f.size;
        w->joined = false;
        return;
    }
    if (off > from)
        damaged(w, w->f.number, from, off - from, "bad frame");
    else if (w->joined)
        damaged(w, w->f.number, from, 0, "frame does not follow the one before it");
    w->f.at = off;
    w->f.txn = h.txn - 1;
    w->f.link = h.link;
    w->joined = true;
}

/* Rule 4. */
static void check_end(struct log_walk *w)
{
    const struct index_root *r = &w->index->root;
    uint32_t last = w->f.number;

    if (last < POS_SEG(r->tail))
        damaged(w, last + 1, 0, 0, "segment is missing");
    else if (index_knows(w, last, w->f.at) && !w->damage.is)
        damaged(w, last, w->f.at, 0, "transactions that the index has are missing");
    tell(w, w->known_last && w->last < r->txn ? w->last + 1 : 0, r->txn);
}

/* Rule 5. */
static void check_beginning(struct log_walk *w)
{
    uint32_t first;

    if (w->first == w->names->n)
        return;
    first = w->names->number[w->first];
    if (first > 1 && w->trim < first && w->found->r->log_problems == 0)
        damaged(w, first - 1, 0, 0, "segment is missing");
    tell(w, 0, 0);
}

/* All that there is was seen. */
static enum err finish(struct log_walk *w)
{
    if (w->next == w->first && w->index != NULL)
        damaged(w, w->index->root.first, 0, 0, "segment is missing");
    else if (w->index != NULL)
        check_end(w);
    tell(w, 0, 0);
    check_beginning(w);
    return ERR_NOTFOUND;
}

/* A frame that is what was written, and makes no sense all the same. */
static void skip_frame(struct log_walk *w)
{
    damaged(w, w->f.number, w->f.at, FRAME_HEADER_BYTES + (uint64_t)w->h.bytes,
            "operation that makes no sense");
    frames_step(&w->f, &w->h);
}

enum err walk_next(struct log_walk *w)
{
    if (w->in_frame)
        frames_step(&w->f, &w->h);
    w->in_frame = false;
    for (;;) {
        if (!w->in_segment) {
            enum err err = enter(w);
            if (err == ERR_NOTFOUND)
                return finish(w);
            if (err != OK)
                return err;
        } else if (w->f.at == w->f.size) {
            leave(w);
        } else if (!frames_peek(&w->f, &w->h)) {
            stumble(w);
        } else if (!is_sound(w)) {
            skip_frame(w);
        } else {
            take(w);
            return OK;
        }
    }
}
