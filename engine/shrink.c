/*
 * engine/shrink.c - moves pages of the index to low numbers, so that the end of its file can be cut
 * off. A file that grew under a burst of writes would otherwise stay as long as it ever was: its free
 * pages are used again, but they are not at the end.
 *
 * A page is moved by changing nothing in it: copy-on-write gives the copy the lowest number there is.
 * The leaves are walked in the order of their keys; those that lie behind the limit are renewed, with
 * what leads to them, some at a time. What the transaction writes to the log is a TRIM that says what
 * is known.
 */
#include "engine/private.h"

#define STEP_LEAVES 64u

struct walk {
    uint32_t limit;                    /* pages from here on are to be moved */
    uint8_t key[ENGINE_MAX_KEY_BYTES]; /* of the leaf where the walk goes on */
    size_t key_bytes;
    bool more;
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

bool shrink_pays(struct engine *e)
{
    const struct pages *ps = &e->pages;
    size_t unused;

    pthread_mutex_lock(&e->writer.mutex);
    unused = pages_free_count(ps);
    pthread_mutex_unlock(&e->writer.mutex);
    return unused > 2 * (size_t)PAGES_WORTH_CUTTING && unused > ps->next / 3;
}

/* The key at which the next leaf begins; false: there is none, or it is damaged. */
static bool next_leaf(struct engine_cursor *c, struct walk *w)
{
    const struct page *leaf = c->path[c->depth].page;
    str key;

    c->path[c->depth].slot = leaf->count - 1u;
    if (!engine_cursor_next(c))
        return false;
    key = engine_cursor_key(c);
    memcpy(w->key, key.p, key.n);
    w->key_bytes = key.n;
    return true;
}

static bool is_high(const struct engine_cursor *c, uint32_t limit)
{
    bool high = false;

    for (int d = 0; d <= c->depth; d++)
        high |= ((const struct page *)c->path[d].page)->pgno >= limit;
    return high;
}

/* Looks at one leaf, and moves it if it lies high. */
static enum err move_leaf(struct engine_txn *t, struct walk *w)
{
    uint8_t at[ENGINE_MAX_KEY_BYTES];
    str key = {(const char *)at, w->key_bytes};
    struct engine_cursor c;
    enum err err;
    bool high;

    memcpy(at, w->key, w->key_bytes);
    engine_cursor_init(&c, engine_txn_view(t), STR(""));
    if (!engine_cursor_seek(&c, key)) {
        w->more = false;
        return engine_cursor_err(&c);
    }
    high = is_high(&c, w->limit);
    w->more = next_leaf(&c, w);
    err = engine_cursor_err(&c);
    return err == OK && high ? txn_renew(t, key) : err;
}

static enum err move_some(struct engine *e, struct walk *w)
{
    struct engine_txn *t;
    enum err err = txn_begin(e, TXN_HOUSEKEEPING, &t);

    if (err != OK)
        return err;
    err = txn_trim(t, (uint32_t)e->writer.now.first);
    for (unsigned i = 0; err == OK && w->more && i < STEP_LEAVES; i++)
        err = move_leaf(t, w);
    if (err == OK)
        return engine_txn_commit_wait(t);
    engine_txn_abort(t);
    return err;
}

enum err shrink_index(struct engine *e)
{
    struct walk w = {.limit = limit_of(e), .more = true};
    enum err err = checkpoint_run(e); /* so that low numbers are not held by the one before */

    while (err == OK && w.more) {
        err = move_some(e, &w);
        if (err == ERR_AGAIN)
            err = checkpoint_make_room(e);
    }
    if (err == OK)
        err = checkpoint_run(e);
    /* The numbers that were left are given up by the checkpoint after the one that left them. */
    w.more = false;
    if (err == OK)
        err = move_some(e, &w);
    return err == OK ? checkpoint_run(e) : err;
}
