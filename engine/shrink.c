/*
 * engine/shrink.c - moves pages of the index to low numbers, so that the end of its file can be cut
 * off. A file that grew under a burst of writes would otherwise stay as long as it ever was: its free
 * pages are used again, but they are not at the end.
 *
 * A page is moved by changing nothing in it: copy-on-write gives the copy the lowest number there is.
 * The numbers are walked from the last one down, so that the end can be cut off wherever the walk stops:
 * a close has no time for all of a large file. Each page that the tree has is renewed, with what
 * leads to it, some at a time; a key below it shows the way (it may be a wrong one, if the disk has lost
 * the page and an old one lies there: then nothing is moved). What the transaction writes to the log is
 * a TRIM that says what is known.
 */
#include "engine/private.h"

#define STEP_PAGES 64u

struct walk {
    uint32_t limit; /* pages from here on are to be moved */
    uint32_t next;  /* those from here on were looked at */
    uint32_t most;  /* that may still be moved */
};

/* Some room, so that moving does not fill every hole. */
static uint32_t limit_of(struct engine *e)
{
    const struct pages *ps = &e->pages;
    uint32_t used;

    pthread_mutex_lock(&e->writer.mutex);
    used = ps->next - (uint32_t)pages_free_count(ps);
    pthread_mutex_unlock(&e->writer.mutex);
    return used + used / 32 + PAGES_WORTH_CUTTING / 2;
}

static uint32_t end_of(struct engine *e)
{
    uint32_t end;

    pthread_mutex_lock(&e->writer.mutex);
    end = e->pages.next;
    pthread_mutex_unlock(&e->writer.mutex);
    return end;
}

bool shrink_pays(struct engine *e)
{
    const struct pages *ps = &e->pages;
    size_t unused, next;

    pthread_mutex_lock(&e->writer.mutex);
    unused = pages_free_count(ps);
    next = ps->next;
    pthread_mutex_unlock(&e->writer.mutex);
    return unused > 2 * (size_t)PAGES_WORTH_CUTTING && unused > next / 3;
}

/* The first key below a page: on the way to it lies the page, if the tree still has it. */
static enum err first_key(struct pages *ps, uint32_t pgno, uint8_t out[ENGINE_MAX_KEY_BYTES],
                          str *key)
{
    const struct page *p = page_peek(ps, pgno);

    while (p != NULL && p->level > 0)
        p = page_follow(ps, node_child(p, 0));
    if (p == NULL)
        return ERR_CORRUPT;
    *key = (str){(char *)out, node_key(p, 0, out)};
    return OK;
}

static bool leads_through(const struct engine_cursor *c, uint32_t pgno)
{
    bool found = false;

    for (int d = 0; d <= c->depth; d++)
        found |= ((const struct page *)c->path[d].page)->pgno == pgno;
    return found;
}

/* Moves one page, if the tree has it (`ahead`): it may also wait for readers, or be one of the books. */
static enum err move_page(struct engine_txn *t, uint32_t pgno, bool *moved)
{
    struct pages *ps = &t->engine->pages;
    uint8_t bytes[ENGINE_MAX_KEY_BYTES];
    struct engine_cursor c;
    enum err err;
    str key;

    *moved = false;
    if (!bits_get(&ps->ahead, pgno))
        return OK;
    err = first_key(ps, pgno, bytes, &key);
    if (err != OK)
        return err;
    engine_cursor_init(&c, engine_txn_view(t), STR(""));
    if (!engine_cursor_seek(&c, key))
        return engine_cursor_err(&c);
    *moved = leads_through(&c, pgno);
    return *moved ? txn_renew(t, key) : OK;
}

static bool more(const struct walk *w)
{
    return w->most > 0 && w->next > w->limit;
}

/* As many as one transaction should. */
static enum err move_pages(struct engine_txn *t, struct walk *w)
{
    struct pages *ps = &t->engine->pages;
    enum err err = OK;
    bool moved;

    w->next = MIN_OF(w->next, ps->next); /* a checkpoint in between may have cut the end off */
    pages_note_used(ps, t->engine->writer.now.txn);
    for (unsigned n = 0; err == OK && more(w) && n < STEP_PAGES; n += moved) {
        err = move_page(t, --w->next, &moved);
        w->most -= moved;
    }
    pages_forget_ahead(ps);
    return err;
}

static enum err move_some(struct engine *e, struct walk *w)
{
    struct walk before = *w;
    struct engine_txn *t;
    enum err err = txn_begin(e, TXN_HOUSEKEEPING, &t);

    if (err != OK)
        return err;
    err = txn_trim(t, (uint32_t)e->writer.now.first);
    if (err == OK)
        err = move_pages(t, w);
    if (err == OK)
        return engine_txn_commit_wait(t);
    engine_txn_abort(t);
    *w = before;
    return err;
}

/* AGAIN: others write so much that there was no room. */
static enum err move_with_room(struct engine *e, struct walk *w)
{
    unsigned again = 0;
    enum err err = move_some(e, w);

    while (err == ERR_AGAIN && (err = checkpoint_make_room(e, &again)) == OK)
        err = move_some(e, w);
    return err;
}

enum err shrink_index(struct engine *e, uint32_t most)
{
    enum err err = checkpoint_run(e); /* so that low numbers are not held by the one before */
    struct walk w = {.limit = limit_of(e), .next = end_of(e), .most = most};

    while (err == OK && more(&w))
        err = move_with_room(e, &w);
    if (err == OK)
        err = checkpoint_run(e);
    /* The numbers that were left are given up by the checkpoint after the one that left them. */
    w.most = 0;
    if (err == OK)
        err = move_with_room(e, &w);
    return err == OK ? checkpoint_run(e) : err;
}
