/*
 * engine/index.c - the index file: what a checkpoint leaves in it, and how it is read back
 * (doc/format.md).
 *
 *     page 0, 1    the two roots, written in turn: which transaction the tree shows, where it begins,
 *                  where in the log the next frame is, where the books are
 *     others       pages of the tree and of the books, in any order
 *
 * The books are what the tree does not say: for each segment its length and how much of it is of
 * use, and which pages are in use. They are written anew at each checkpoint, on pages of their own.
 *
 * Invariants:
 *   1. A root is written when all that it leads to is synced. Until the next one is synced, none of
 *      that is written over (page.c, 4). So after a crash the newer root that is whole is right.
 *   2. A root that is whole beside a damaged one may be the older one, whose pages may have been
 *      used again since: it is not believed. So that none stands alone, the first, number 1, is
 *      written behind a number 0 that leads to nothing.
 *   3. The log of what a root shows was synced before. If the log ends before, it has lost
 *      something.
 * The file holds nothing that the log does not tell: whoever finds it missing or damaged makes it
 * anew.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/crc.h"
#include "base/log.h"
#include "engine/private.h"

#define INDEX_ASIDE   "index.damaged"
#define INDEX_UNNAMED "index.check"
#define INDEX_MAGIC   "KINTOIDX"
#define INDEX_VERSION 1u
#define EXTENT_BYTES  ((uint64_t)EXTENT_PAGES * PAGE_BYTES)

static uint32_t root_crc(const struct index_root *r)
{
    return crc32c(0, r, offsetof(struct index_root, crc));
}

static bool root_good(const struct index_root *r)
{
    return memcmp(r->magic, INDEX_MAGIC, sizeof r->magic) == 0 && r->crc == root_crc(r);
}

static void index_path(const struct engine *e, const char *name, char *out, size_t n)
{
    snprintf(out, n, "%s/%s", e->dir, name);
}

/* ---- the file -------------------------------------------------------------------------------- */

static enum err io_error(const struct engine *e, const char *what, struct err_detail *d)
{
    int saved = errno;

    return err_set(d, err_from_errno(saved), saved, "%s/" INDEX_FILE ": %s", e->dir, what);
}

void index_close(struct engine *e)
{
    if (e->index.fd >= 0)
        os()->close(e->index.fd);
    e->index.fd = -1;
}

enum err index_create(struct engine *e, struct err_detail *d)
{
    char path[LOG_PATH_MAX];

    index_close(e);
    index_path(e, INDEX_FILE, path, sizeof path);
    e->index.fd = os()->open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    e->index.seq = 0;
    e->index.pages = 0;
    return e->index.fd < 0 ? io_error(e, "cannot be created", d) : OK;
}

enum err index_put_aside(const struct engine *e, struct err_detail *d)
{
    char path[LOG_PATH_MAX], aside[LOG_PATH_MAX];
    int saved;

    index_path(e, INDEX_FILE, path, sizeof path);
    index_path(e, INDEX_ASIDE, aside, sizeof aside);
    if (os()->rename(path, aside) == 0)
        return OK;
    saved = errno;
    return err_set(d, err_from_errno(saved), saved,
                   "%s: cannot take the place of the damaged " INDEX_FILE, aside);
}

/* A damaged index is of no use but to be looked at. So what stands in the way of keeping it does not keep
 * a server from starting. */
enum err index_give_up(const struct engine *e, struct err_detail *d)
{
    struct err_detail why = {.text = ""};
    char path[LOG_PATH_MAX];

    if (index_put_aside(e, &why) == OK)
        return OK;
    log_event(LOG_WARN, "engine_index_not_kept", "why=\"%s\"", why.text);
    index_path(e, INDEX_FILE, path, sizeof path);
    return os()->unlink(path) == 0 ? OK : io_error(e, "is damaged, and cannot be removed", d);
}

enum err index_create_unnamed(struct engine *e, struct err_detail *d)
{
    char path[LOG_PATH_MAX];

    index_path(e, INDEX_UNNAMED, path, sizeof path);
    e->index.fd = os()->open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (e->index.fd < 0)
        return err_set(d, err_from_errno(errno), errno, "%s: cannot be created", path);
    if (os()->unlink(path) != 0)
        return err_set(d, err_from_errno(errno), errno, "%s: cannot be removed", path);
    return OK;
}

enum err index_map(struct engine *e, uint32_t pages)
{
    for (uint32_t i = 0; i < (pages + EXTENT_PAGES - 1) >> EXTENT_BITS; i++) {
        struct extent *x = e->pages.extent[i];
        const uint8_t *map;
        if (atomic_load_explicit(&x->map, memory_order_relaxed) != NULL)
            continue;
        map = os()->map(e->index.fd, i * EXTENT_BYTES, EXTENT_BYTES);
        if (map == NULL)
            return err_from_errno(errno);
        atomic_store_explicit(&x->map, map, memory_order_release);
    }
    return OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum err damaged(const struct engine *e, const char *what, struct err_detail *d)
{
    return err_set(d, ERR_CORRUPT, 0, "%s/" INDEX_FILE ": %s", e->dir, what);
}

/* Was never written: the file was made, and there was no checkpoint yet. */
static bool is_blank(const struct index_root *r)
{
    static const struct index_root blank;

    return memcmp(r, &blank, sizeof blank) == 0;
}

enum err index_root_read(const struct engine *e, unsigned i, struct index_root *r, bool *good,
                         bool *blank, struct err_detail *d)
{
    memset(r, 0, sizeof *r);
    if (os()->pread(e->index.fd, r, sizeof *r, (uint64_t)i * PAGE_BYTES) < 0)
        return io_error(e, "cannot be read", d);
    *good = root_good(r);
    *blank = is_blank(r);
    return OK;
}

/* Both must be whole (invariant 2). NOTFOUND: there was no checkpoint yet. */
static enum err choose_root(const struct engine *e, struct index_root *out, struct err_detail *d)
{
    struct index_root r[2];
    bool good[2];
    bool blank[2];
    unsigned newer;

    for (unsigned i = 0; i < 2; i++) {
        enum err err = index_root_read(e, i, &r[i], &good[i], &blank[i], d);
        if (err != OK)
            return err;
    }
    newer = good[1] && (!good[0] || r[1].seq > r[0].seq);
    if (blank[1] && (blank[0] || (good[0] && r[0].seq == 0)))
        return ERR_NOTFOUND;
    if (!good[newer])
        return damaged(e, "it has no root", d);
    *out = r[newer];
    if (out->version != INDEX_VERSION || out->page_bytes != PAGE_BYTES)
        return damaged(e, "it is of another version", d);
    if (out->seq % 2 != newer || !good[newer ^ 1] || out->seq != r[newer ^ 1].seq + 1)
        return damaged(e, "a root is damaged", d);
    return OK;
}

static enum err read_books(const struct engine *e, struct index_content *l, struct err_detail *d)
{
    uint32_t pgno = l->root.books, want = l->root.books_bytes;
    struct books_page page;

    for (uint32_t at = 0; at < want; pgno = page.next) {
        uint64_t off = (uint64_t)pgno * PAGE_BYTES;
        if (pgno < PAGE_FIRST || pgno >= l->root.pages || l->books_pages > want / BOOKS_PAGE_BYTES)
            return damaged(e, "the books are damaged", d);
        if (os()->pread(e->index.fd, &page, sizeof page, off) < 0)
            return io_error(e, "cannot be read", d);
        if (page.pgno != ~pgno || page.crc != page_crc((const void *)&page) ||
            page.txn != l->root.txn || page.stamp != l->root.root.stamp ||
            page.n > BOOKS_PAGE_BYTES || page.n > want - at || page.n == 0)
            return damaged(e, "the books are damaged", d);
        memcpy(l->books + at, page.data, page.n);
        at += page.n;
        l->books_page[l->books_pages++] = pgno;
    }
    return OK;
}

static struct books_segment *segments_of(const struct index_content *l)
{
    return (void *)(l->books + sizeof(struct books_head));
}

const struct books_segment *index_segments(const struct index_content *l, uint32_t *n)
{
    *n = ((const struct books_head *)(const void *)l->books)->segments;
    return segments_of(l);
}

void index_content_free(struct index_content *l)
{
    free(l->books);
    free(l->books_page);
    *l = (struct index_content){.books = NULL};
}

static uint64_t *bits_of(const struct index_content *l)
{
    const struct books_head *h = (const void *)l->books;

    return (void *)(l->books + sizeof *h + h->segments * sizeof(struct books_segment));
}

struct bits index_bits(const struct index_content *l)
{
    return (struct bits){bits_of(l), bits_words(l->root.pages)};
}

/* The books are as long as they say, and the root names what they know. */
static bool books_make_sense(const struct index_content *l)
{
    const struct index_root *r = &l->root;
    const struct books_head *h = (const void *)l->books;
    uint64_t words = bits_words(r->pages);
    struct bits used;

    if (r->books_bytes < sizeof *h || h->segments == 0 ||
        r->books_bytes !=
            sizeof *h + (uint64_t)h->segments * sizeof(struct books_segment) + words * 8)
        return false;
    for (uint32_t i = 0; i < h->segments; i++)
        if (segments_of(l)[i].number != r->first + i || segments_of(l)[i].bytes > UINT32_MAX)
            return false;
    if (r->first + h->segments - 1 != POS_SEG(r->tail) || r->depth > TREE_MAX_DEPTH ||
        (r->root.pgno == PAGE_NONE) != (r->depth == 0))
        return false;
    used = index_bits(l);
    return r->root.pgno == PAGE_NONE || (r->root.pgno < r->pages && bits_get(&used, r->root.pgno));
}

enum err index_read(const struct engine *e, uint32_t oldest, struct index_content *l,
                    struct err_detail *d)
{
    uint64_t size;
    enum err err = choose_root(e, &l->root, d);

    if (err != OK)
        return err;
    if (oldest > l->root.first)
        return damaged(e, "it is older than what is there of the log", d);
    if (os()->size(e->index.fd, &size) != 0)
        return io_error(e, "cannot be read", d);
    if (l->root.pages > PAGES_MAX || size < (uint64_t)l->root.pages * PAGE_BYTES ||
        l->root.books_bytes > size)
        return damaged(e, "it is shorter than its root says", d);
    l->file_pages = (uint32_t)MIN_OF(size / PAGE_BYTES, (uint64_t)PAGES_MAX);
    l->books = mem_alloc((size_t)l->root.books_bytes + 1);
    l->books_page = mem_alloc((l->root.books_bytes / BOOKS_PAGE_BYTES + 2) * sizeof(uint32_t));
    if (l->books == NULL || l->books_page == NULL)
        return ERR_NOMEM;
    err = read_books(e, l, d);
    if (err == OK && !books_make_sense(l))
        err = damaged(e, "the books make no sense", d);
    return err;
}

static enum err take_pages(struct engine *e, const struct index_content *l)
{
    struct pages *ps = &e->pages;
    struct bits used = index_bits(l);
    enum err err = pages_extend(ps, l->root.pages);

    for (uint32_t n = PAGE_FIRST; err == OK && n < l->root.pages; n++) {
        if (!bits_get(&used, n))
            continue;
        bits_clear(&ps->free, n);
        bits_set(&ps->disk, n);
        ps->free_n--;
    }
    for (size_t i = 0; err == OK && i < l->books_pages; i++)
        bits_set(&ps->disk, l->books_page[i]);
    return err == OK ? index_map(e, l->root.pages) : err;
}

static enum err take_segments(struct engine *e, const struct index_content *l, uint64_t *log_bytes)
{
    const struct books_head *h = (const void *)l->books;

    *log_bytes = 0;
    e->log.first = l->root.first;
    for (uint32_t i = 0; i < h->segments; i++) {
        const struct books_segment *b = &segments_of(l)[i];
        enum err err = log_segment_need(&e->log, b->number);
        struct segment *seg = log_segment(&e->log, b->number);
        if (err != OK)
            return err;
        seg->salt = b->salt;
        seg->cells = b->cells;
        seg->live_bytes = b->live_bytes;
        atomic_store(&seg->bytes, (uint32_t)b->bytes);
        *log_bytes += b->bytes;
    }
    return OK;
}

enum err index_take(struct engine *e, const struct index_content *l, struct version *v)
{
    const struct index_root *r = &l->root;
    const struct books_head *h = (const void *)l->books;
    uint64_t log_bytes = 0;
    enum err err = take_pages(e, l);

    if (err == OK)
        err = take_segments(e, l, &log_bytes);
    if (err != OK)
        return err;
    *v = (struct version){.txn = r->txn,
                          .root = r->root,
                          .depth = r->depth,
                          .keys = r->keys,
                          .live_value_bytes = r->live_value_bytes,
                          .live_log_bytes = r->live_log_bytes,
                          .tail = r->tail,
                          .last = r->last,
                          .link = r->link,
                          .first = r->first,
                          .log_bytes = log_bytes,
                          .segments = h->segments};
    memcpy(e->log.store, r->store, sizeof e->log.store);
    e->index.seq = r->seq;
    e->index.txn = r->txn;
    e->index.first = r->first;
    e->index.pages = l->file_pages;
    e->index.log_bytes = log_bytes;
    e->index.unproven = r->unproven;
    return OK;
}

enum err index_open(struct engine *e, int flags, struct err_detail *d)
{
    char path[LOG_PATH_MAX];

    index_path(e, INDEX_FILE, path, sizeof path);
    e->index.fd = os()->open(path, flags | O_NOFOLLOW, 0);
    if (e->index.fd >= 0)
        return OK;
    return errno == ENOENT ? ERR_NOTFOUND : io_error(e, "cannot be opened", d);
}

enum err index_load(struct engine *e, uint32_t oldest, struct version *v, struct err_detail *d)
{
    struct index_content l = {.books = NULL};
    enum err err = index_open(e, O_RDWR, d);

    if (err == OK)
        err = index_read(e, 0, &l, d);
    if (err == OK && oldest > l.root.first)
        err = err_set(d, ERR_CONFLICT, 0,
                      "%s/%08x.log: segment is missing, or " INDEX_FILE
                      " is of an earlier day (then remove it)",
                      e->dir, oldest - 1);
    if (err == OK)
        err = index_take(e, &l, v);
    index_content_free(&l);
    return err;
}

/* ---- writing --------------------------------------------------------------------------------- */

void page_writer_init(struct page_writer *w, int fd)
{
    w->fd = fd;
    w->n = 0;
}

enum err page_writer_flush(struct page_writer *w)
{
    size_t bytes = w->n * PAGE_BYTES;
    uint64_t off = (uint64_t)w->first * PAGE_BYTES;

    if (w->n == 0)
        return OK;
    for (size_t i = 0; i < w->n; i++)
        w->page[i].crc = page_crc(&w->page[i]);
    w->n = 0;
    return os()->pwrite(w->fd, w->page, bytes, off) == (ssize_t)bytes ? OK : err_from_errno(errno);
}

enum err page_writer_next(struct page_writer *w, uint32_t pgno, struct page **out)
{
    enum err err = OK;

    if (w->n == ARRAY_LEN(w->page) || (w->n > 0 && pgno != w->first + w->n))
        err = page_writer_flush(w);
    if (err != OK)
        return err;
    if (w->n == 0)
        w->first = pgno;
    *out = &w->page[w->n++];
    return OK;
}

/* Pages that the books of a checkpoint can take. */
static uint32_t books_most(const struct engine *e)
{
    uint32_t segments = POS_SEG(e->writer.now.tail) + 2 - (uint32_t)e->writer.now.first;
    size_t bytes = sizeof(struct books_head) + segments * sizeof(struct books_segment) +
                   bits_words(e->pages.next + PAGES_RESERVE) * 8;

    return (uint32_t)(bytes / BOOKS_PAGE_BYTES) + 3;
}

/* Space is asked for ahead, as for the log: a sync that runs out of it cannot be trusted. */
enum err index_reach(struct engine *e, uint32_t pages)
{
    struct index *x = &e->index;
    uint64_t from = (uint64_t)x->pages * PAGE_BYTES, to = (uint64_t)pages * PAGE_BYTES;

    if (pages <= x->pages)
        return OK;
    if (!x->no_fallocate && os()->fallocate(x->fd, from, to - from) != 0) {
        if (err_from_errno(errno) == ERR_NOSPACE) {
            (void)!os()->ftruncate(x->fd, from); /* some file systems keep what they got */
            return ERR_NOSPACE;
        }
        x->no_fallocate = true; /* a file system without it: the write will tell */
    }
    if (os()->ftruncate(x->fd, to) != 0)
        return err_from_errno(errno);
    x->pages = pages;
    return OK;
}

void index_cut(struct engine *e)
{
    if (e->pages.next < e->index.pages &&
        os()->ftruncate(e->index.fd, (uint64_t)e->pages.next * PAGE_BYTES) == 0)
        e->index.pages = e->pages.next;
}

enum err index_room(struct engine *e)
{
    uint32_t path = 4 * (e->writer.tree.depth + 2); /* more than an operation makes */
    uint32_t need = e->pages.next + path + books_most(e);
    enum err err;

    if (e->dir == NULL || need <= e->index.pages)
        return OK;
    err = index_reach(e, need + MIN_OF(e->pages.next / 8, ROOM_AHEAD));
    if (err == ERR_NOSPACE)
        err = index_reach(e, need);
    if (err == ERR_NOSPACE)
        reserve_call(e);
    return err;
}

enum err index_write_none(struct engine *e)
{
    struct index_root r = {
        .magic = INDEX_MAGIC, .version = INDEX_VERSION, .page_bytes = PAGE_BYTES};

    memcpy(r.store, e->log.store, sizeof r.store);
    r.crc = root_crc(&r);
    return os()->pwrite(e->index.fd, &r, sizeof r, 0) == (ssize_t)sizeof r ? OK
                                                                           : err_from_errno(errno);
}

enum err index_write_root(struct engine *e, const struct version *v, uint32_t books,
                          uint32_t books_bytes, uint32_t pages)
{
    struct index_root r = {.magic = INDEX_MAGIC,
                           .version = INDEX_VERSION,
                           .page_bytes = PAGE_BYTES,
                           .seq = e->index.seq + 1,
                           .txn = v->txn,
                           .tail = v->tail,
                           .last = v->last,
                           .keys = v->keys,
                           .live_value_bytes = v->live_value_bytes,
                           .live_log_bytes = v->live_log_bytes,
                           .link = (uint32_t)v->link,
                           .root = v->root,
                           .depth = (uint32_t)v->depth,
                           .first = (uint32_t)v->first,
                           .unproven = e->index.unproven,
                           .pages = pages,
                           .books = books,
                           .books_bytes = books_bytes};
    uint64_t off = (r.seq % 2) * PAGE_BYTES;

    memcpy(r.store, e->log.store, sizeof r.store);
    r.crc = root_crc(&r);
    if (os()->pwrite(e->index.fd, &r, sizeof r, off) != (ssize_t)sizeof r ||
        os()->fdatasync(e->index.fd) != 0)
        return ERR_IO;
    e->index.seq = r.seq;
    return OK;
}
