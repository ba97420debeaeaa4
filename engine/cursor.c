/*
 * engine/cursor.c - walking a range of keys.
 *
 * A cursor holds the path from the root to its key. Pages of a version do not change, so the path
 * stays good as long as the view does. There are no links between leaves (copy-on-write would have
 * to follow them); the next leaf is found by going up to the first branch with a further child and
 * down again.
 *
 * A page that is damaged ends every move with false and the cursor's `err` set, until it is placed
 * anew.
 *
 * The keys with a prefix are one stretch of the tree: each move ends with a look at whether the key
 * it landed on still has the prefix, and if not the cursor stands nowhere (depth < 0). Of most pages all keys have
 * it, which the page's own prefix tells once.
 */
#include "engine/private.h"

#define AHEAD 4 /* slots; measured: 2 to 6 are as good, 1 and 12 are not */

void engine_cursor_init(struct engine_cursor *c, const struct engine_view *v, str prefix)
{
    c->view = v;
    c->prefix = prefix;
    c->depth = -1;
    c->inner = NULL;
    c->ahead = 0;
    c->err = OK;
}

enum err engine_cursor_err(const struct engine_cursor *c)
{
    return c->err;
}

static const struct page *at(const struct engine_cursor *c)
{
    return c->path[c->depth].page;
}

/* False: the page is damaged, and the cursor stands nowhere. */
static bool push(struct engine_cursor *c, struct page_ref ref, unsigned slot)
{
    const struct page *page = page_get(c->view->pages, ref);

    CHECK(c->depth + 1 < (int)TREE_MAX_DEPTH);
    if (UNLIKELY(page == NULL)) {
        c->err = ERR_CORRUPT;
        c->depth = -1;
        return false;
    }
    c->depth++;
    c->path[c->depth].page = page;
    c->path[c->depth].slot = slot;
    return true;
}

static struct page_ref child_of(const struct engine_cursor *c)
{
    return node_child(at(c), c->path[c->depth].slot);
}

/* Down to the first or last key below the page that the cursor stands on. */
static bool down(struct engine_cursor *c, bool last)
{
    for (;;) {
        c->path[c->depth].slot = last ? at(c)->count - 1u : 0;
        if (at(c)->level == 0)
            return true;
        if (!push(c, child_of(c), 0))
            return false;
    }
}

static bool start(struct engine_cursor *c)
{
    c->depth = -1;
    c->inner = NULL; /* who writes between two walks may have changed it */
    c->err = OK;
    return c->view->root.pgno != PAGE_NONE && push(c, c->view->root, 0);
}

/* To the neighbouring leaf; false, and nowhere, behind the last. */
static bool step_leaf(struct engine_cursor *c, bool forward)
{
    for (c->depth--; c->depth >= 0; c->depth--) {
        uint32_t slot = c->path[c->depth].slot;
        if (forward ? slot + 1 >= at(c)->count : slot == 0)
            continue;
        c->path[c->depth].slot = forward ? slot + 1 : slot - 1;
        return push(c, child_of(c), 0) && down(c, !forward);
    }
    return false;
}

static bool step(struct engine_cursor *c, bool forward)
{
    uint32_t slot = c->path[c->depth].slot;

    c->ahead = forward ? 1 : -1;
    if (forward ? slot + 1 >= at(c)->count : slot == 0)
        return step_leaf(c, forward);
    c->path[c->depth].slot = forward ? slot + 1 : slot - 1;
    return true;
}

/* To the leaf where key is or would be; the slot may be one behind the leaf's last. */
static bool to_leaf(struct engine_cursor *c, str key)
{
    bool exact;

    if (!start(c))
        return false;
    while (at(c)->level > 0) {
        c->path[c->depth].slot = node_child_slot(at(c), key);
        if (!push(c, child_of(c), 0))
            return false;
    }
    c->path[c->depth].slot = node_lower(at(c), key, &exact);
    return true;
}

/* First key >= key, or last key < key, of the whole tree. */
static bool place(struct engine_cursor *c, str key, bool before)
{
    if (!to_leaf(c, key))
        return false;
    if (before)
        return step(c, false);
    if (c->path[c->depth].slot < at(c)->count)
        return true;
    return step_leaf(c, true);
}

/* Where the cursor stands. */
static bool has_prefix(struct engine_cursor *c)
{
    if (at(c) == c->inner)
        return true;
    if (!node_shares_prefix(at(c), c->prefix))
        return node_has_prefix(at(c), c->path[c->depth].slot, c->prefix);
    c->inner = at(c);
    return true;
}

/* Keeps the place if its key has the prefix. */
static bool within(struct engine_cursor *c, bool placed)
{
    if (placed && has_prefix(c))
        return true;
    c->depth = -1;
    return false;
}

bool engine_cursor_first(struct engine_cursor *c)
{
    return within(c, place(c, c->prefix, false));
}

/* The first string behind all that begin with the prefix; false: there is none (all 0xff). */
static bool prefix_end(struct engine_cursor *c, str *out)
{
    size_t n = c->prefix.n;

    while (n > 0 && (uint8_t)c->prefix.p[n - 1] == 0xff)
        n--;
    if (n == 0 || n > sizeof c->key_buf)
        return false;
    memcpy(c->key_buf, c->prefix.p, n);
    c->key_buf[n - 1] = (char)((uint8_t)c->key_buf[n - 1] + 1);
    *out = (str){c->key_buf, n};
    return true;
}

bool engine_cursor_last(struct engine_cursor *c)
{
    str end;

    if (prefix_end(c, &end))
        return within(c, place(c, end, true));
    return within(c, start(c) && down(c, true));
}

bool engine_cursor_seek(struct engine_cursor *c, str key)
{
    if (str_cmp(key, c->prefix) < 0)
        return engine_cursor_first(c);
    return within(c, place(c, key, false));
}

bool engine_cursor_seek_before(struct engine_cursor *c, str key)
{
    if (str_cmp(key, c->prefix) > 0 && !str_starts(key, c->prefix))
        return engine_cursor_last(c);
    return within(c, place(c, key, true));
}

bool engine_cursor_next(struct engine_cursor *c)
{
    return c->depth >= 0 && within(c, step(c, true));
}

bool engine_cursor_prev(struct engine_cursor *c)
{
    return c->depth >= 0 && within(c, step(c, false));
}

str engine_cursor_key(struct engine_cursor *c)
{
    CHECK(c->depth >= 0);
    return (str){c->key_buf, node_key(at(c), c->path[c->depth].slot, (uint8_t *)c->key_buf)};
}

/* Whoever asks for values while walking will ask for the next ones: of this page, in the direction of
 * the last step. */
static void prefetch(const struct engine_cursor *c)
{
    int64_t slot = (int64_t)c->path[c->depth].slot + (int64_t)c->ahead * AHEAD;

    if (c->ahead != 0 && slot >= 0 && slot < at(c)->count)
        view_prefetch(c->view, node_body(at(c), (unsigned)slot));
}

enum err engine_cursor_value(struct engine_cursor *c, str *value)
{
    CHECK(c->depth >= 0);
    prefetch(c);
    return view_value(c->view, node_body(at(c), c->path[c->depth].slot), value);
}
