/*
 * engine/checkpoint.c - puts the index as a durable transaction left it into the index file, while
 * transactions go on.
 *
 *   1. prepare   with the writer's mutex: hold the newest durable version V like a reader does; note
 *                which pages it has, which of them are in memory, and what the books say of it
 *   2. write     without any lock: these pages and the books, to numbers that the checkpoint before
 *                does not use; sync
 *   3. flip      the root; sync. From here an opening begins at V
 *   4. finish    with the writer's mutex: the pages are in the file now, their memory goes when
 *                nobody can be in it; numbers that only the checkpoint before used can be used again
 *
 * A crash before 3 leaves the checkpoint before, all of it. Pages of V do not change, and holding V
 * keeps them from being reclaimed, so that 2 needs no lock.
 *
 * When 2 fails (no space), all is as if nothing had been; it is tried again later. When a sync
 * or 3 fails, nobody knows what is in the file: FAILED.
 */
#include <errno.h>
#include <time.h>

#include "engine/private.h"

#define ROOM_WAIT_NS  2000000
#define CHANGED_PART  4 /* of the index: one in so many */
#define CHANGED_LEAST (16 * MIB)
#define AGAIN_MOST    256u /* checkpoints in a row that made too little room: others write too much */

struct checkpoint {
    struct engine *e;
    struct version v;
    uint32_t *todo; /* pages of v that are in memory */
    size_t todo_n;
    uint8_t *books;
    size_t books_bytes;
    uint32_t *books_page;
    size_t books_pages;
    uint32_t pages; /* numbers below that the file needs */
};

/* ---- prepare: which pages -------------------------------------------------------------------- */

static enum err list_todo(struct checkpoint *c)
{
    const struct pages *ps = &c->e->pages;

    c->todo = mem_alloc((ps->memory_n + 1) * sizeof *c->todo);
    if (c->todo == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < bits_words(ps->next); i++)
        for (uint64_t w = ps->ahead.w[i] & ps->memory.w[i]; w != 0; w &= w - 1)
            c->todo[c->todo_n++] = (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(w);
    return OK;
}

/* ---- prepare: the books ---------------------------------------------------------------------- */

static struct books_segment *books_segments(struct checkpoint *c)
{
    return (void *)(c->books + sizeof(struct books_head));
}

/* The counts are of the writer's newest version: what came after v is taken off again. */
static void note_segments(struct checkpoint *c)
{
    struct engine *e = c->e;
    uint32_t first = (uint32_t)c->v.first, n = POS_SEG(c->v.tail) + 1 - first;
    const struct ring *r = &e->writer.deltas;

    for (uint32_t i = 0; i < n; i++) {
        const struct segment *seg = log_segment(&e->log, first + i);
        books_segments(c)[i] = (struct books_segment){
            .number = seg->number,
            .salt = seg->salt,
            .bytes = i + 1 < n ? atomic_load(&seg->bytes) : POS_OFF(c->v.tail),
            .cells = seg->cells,
            .live_bytes = seg->live_bytes,
        };
    }
    for (uint64_t i = r->head; i < r->tail; i++) {
        const struct delta *d = ring_at(r, i);
        if (d->txn <= c->v.txn || d->seg < first || d->seg - first >= n)
            continue;
        books_segments(c)[d->seg - first].cells -= (uint64_t)d->cells;
        books_segments(c)[d->seg - first].live_bytes -= (uint64_t)d->live_bytes;
    }
}

static size_t books_size(const struct checkpoint *c)
{
    uint32_t segments = POS_SEG(c->v.tail) + 1 - (uint32_t)c->v.first;

    return sizeof(struct books_head) + segments * sizeof(struct books_segment) +
           bits_words(c->e->pages.next) * 8;
}

/* Numbers for the pages of the books. They may be new ones, which makes the books longer. */
static enum err take_books_pages(struct checkpoint *c)
{
    struct pages *ps = &c->e->pages;
    size_t cap = books_size(c) / BOOKS_PAGE_BYTES + 3;
    enum err err = OK;

    c->books_page = mem_alloc(cap * sizeof *c->books_page);
    if (c->books_page == NULL)
        return ERR_NOMEM;
    for (uint32_t from = PAGE_FIRST; c->books_pages * BOOKS_PAGE_BYTES < books_size(c); from++) {
        CHECK(c->books_pages < cap);
        from = pages_available(ps, from);
        if (from == ps->next)
            err = pages_extend(ps, from + 1);
        if (err != OK)
            return err;
        c->books_page[c->books_pages++] = from;
    }
    c->books_bytes = books_size(c);
    c->books = mem_zalloc(c->books_bytes);
    return c->books == NULL ? ERR_NOMEM : OK;
}

static void write_books(struct checkpoint *c)
{
    struct pages *ps = &c->e->pages;
    uint32_t segments = POS_SEG(c->v.tail) + 1 - (uint32_t)c->v.first;
    struct books_head *h = (void *)c->books;

    h->segments = segments;
    note_segments(c);
    memcpy(books_segments(c) + segments, ps->ahead.w, bits_words(ps->next) * 8);
}

static enum err prepare_locked(struct checkpoint *c)
{
    struct pages *ps = &c->e->pages;
    enum err err;

    pages_shrink(ps);
    pages_note_used(ps, c->v.txn);
    err = list_todo(c);
    if (err == OK)
        err = take_books_pages(c);
    if (err == OK)
        err = ring_reserve(&ps->dropped, c->todo_n);
    if (err != OK)
        return err;
    write_books(c);
    for (size_t i = 0; i < c->books_pages; i++)
        bits_set(&ps->ahead, c->books_page[i]);
    c->pages = ps->next;
    /* The file reaches to its last page, be that one written or not: opening holds it to that. */
    return index_reach(c->e, c->pages);
}

/* ---- write ----------------------------------------------------------------------------------- */

static enum err write_tree(struct checkpoint *c, struct page_writer *w)
{
    struct page *to;
    enum err err = OK;

    for (size_t i = 0; err == OK && i < c->todo_n; i++) {
        err = page_writer_next(w, c->todo[i], &to);
        if (err == OK)
            node_copy(to, page_peek(&c->e->pages, c->todo[i]));
    }
    return err;
}

static void fill_books_page(const struct checkpoint *c, size_t i, struct books_page *page)
{
    size_t at = i * BOOKS_PAGE_BYTES;

    *page = (struct books_page){
        .pgno = ~c->books_page[i],
        .txn = c->v.txn,
        .stamp = c->v.root.stamp,
        .next = i + 1 < c->books_pages ? c->books_page[i + 1] : PAGE_NONE,
        .n = (uint32_t)MIN_OF(c->books_bytes - at, (size_t)BOOKS_PAGE_BYTES),
    };
    memcpy(page->data, c->books + at, page->n);
}

static enum err write_books_pages(struct checkpoint *c, struct page_writer *w)
{
    struct page *to;
    enum err err = OK;

    for (size_t i = 0; err == OK && i < c->books_pages; i++) {
        err = page_writer_next(w, c->books_page[i], &to);
        if (err == OK)
            fill_books_page(c, i, (void *)to);
    }
    return err;
}

static enum err write_pages(struct checkpoint *c)
{
    struct page_writer *w = mem_alloc(sizeof *w);
    enum err err = w == NULL ? ERR_NOMEM : OK;

    if (err == OK) {
        page_writer_init(w, c->e->index.fd);
        err = write_tree(c, w);
    }
    if (err == OK)
        err = write_books_pages(c, w);
    if (err == OK)
        err = page_writer_flush(w);
    free(w);
    return err != OK ? err : index_map(c->e, c->pages);
}

static enum err write_all(struct checkpoint *c)
{
    struct engine *e = c->e;
    enum err err = write_pages(c);

    if (err == OK && e->index.seq == 0)
        err = index_write_none(e);
    if (err != OK)
        return err;
    if (os()->fdatasync(e->index.fd) == 0 &&
        index_write_root(e, &c->v, c->books_page[0], (uint32_t)c->books_bytes, c->pages) == OK)
        return OK;
    engine_fail(e, "the index could not be synced");
    return ERR_IO;
}

/* ---- finish ---------------------------------------------------------------------------------- */

/* Gives the end of the file back when much of it is not used. */
static void cut_file(struct engine *e)
{
    if (e->index.pages - MIN_OF(e->pages.next, e->index.pages) < PAGES_WORTH_CUTTING)
        return;
    index_cut(e);
}

static void finish_locked(struct checkpoint *c)
{
    struct engine *e = c->e;
    struct pages *ps = &e->pages;
    struct bits before = ps->disk;

    ps->disk = ps->ahead;
    ps->ahead = before;
    pages_forget_ahead(ps);
    for (size_t i = 0; i < c->todo_n; i++)
        page_to_file(ps, c->todo[i], atomic_load(&e->index.checkpoints) + 1);
    e->index.txn = c->v.txn;
    e->index.first = (uint32_t)c->v.first;
    e->index.log_bytes = c->v.log_bytes;
    atomic_fetch_add(&e->index.checkpoints, 1);
    cut_file(e);
}

static void release(struct checkpoint *c)
{
    free(c->todo);
    free(c->books);
    free(c->books_page);
}

/* What was held for the checkpoint can go now; there may be no transaction for long that would see to
 * it. In portions (pages_reclaim): others take their turns in between. */
static void give_back(struct engine *e)
{
    size_t before, left;

    do {
        pthread_mutex_lock(&e->writer.mutex);
        before = ring_count(&e->pages.dropped);
        writer_give_back(e);
        left = ring_count(&e->pages.dropped);
        pthread_mutex_unlock(&e->writer.mutex);
    } while (left > 0 && left < before);
}

size_t checkpoint_enough(const struct engine_options *o, uint64_t index_bytes)
{
    uint64_t enough = o->changed_bytes;

    if (enough == 0)
        enough = MAX_OF(index_bytes / CHANGED_PART, (uint64_t)CHANGED_LEAST);
    return (size_t)MIN_OF(enough, (uint64_t)(o->cache_bytes / 2));
}

bool checkpoint_pays(const struct engine *e)
{
    size_t enough = checkpoint_enough(&e->options, e->writer.now.pages * PAGE_BYTES);

    if (atomic_load_explicit(&e->reserve.given, memory_order_relaxed)) /* space is short */
        enough = MIN_OF(enough, RESERVE_INDEX_BYTES / 4);
    return e->pages.memory_n * PAGE_BYTES >= enough;
}

bool checkpoint_due(const struct engine *e)
{
    if (e->dir == NULL)
        return false;
    return e->index.txn != version_durable(&e->published) &&
           (checkpoint_pays(e) ||
            e->writer.now.log_bytes - e->index.log_bytes >= e->options.checkpoint_bytes);
}

enum err checkpoint_run(struct engine *e)
{
    struct checkpoint c = {.e = e};
    struct writer *w = &e->writer;
    enum err err;

    if (atomic_load(&e->failed))
        return ERR_FAILED;
    keeper_set_writing(e, true);
    pthread_mutex_lock(&w->mutex);
    snap_hold(&e->keeper.reader, &c.v);
    err = c.v.txn == e->index.txn && e->index.seq > 0 ? ERR_NOTFOUND : prepare_locked(&c);
    if (err != OK)
        pages_forget_ahead(&e->pages);
    pthread_mutex_unlock(&w->mutex);
    if (err == OK) {
        err = write_all(&c);
        pthread_mutex_lock(&w->mutex);
        if (err == OK)
            finish_locked(&c);
        else if (!atomic_load(&e->failed)) /* nobody knows what is in the file: keep it */
            pages_forget_ahead(&e->pages);
        pthread_mutex_unlock(&w->mutex);
    }
    engine_snap_end(&e->keeper.reader);
    give_back(e);
    keeper_set_writing(e, false);
    release(&c);
    return err == ERR_NOTFOUND ? OK : err;
}

enum err checkpoint_make_room(struct engine *e, unsigned *again)
{
    const struct timespec moment = {.tv_nsec = ROOM_WAIT_NS};
    enum err err = ++*again > AGAIN_MOST ? ERR_AGAIN : checkpoint_run(e);

    if (err == OK)
        nanosleep(&moment, NULL);
    return err;
}
