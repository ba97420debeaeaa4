/*
 * engine/tree.c - the B-tree.
 *
 * All values are in leaves, at one depth. A branch with n slots has n children; the key of slot i >
 * 0 is greater than every key below child i - 1 and not greater than any below child i. Separators
 * are cut to what tells the two sides apart.
 *
 * A change goes down from the root and makes each page on its way the transaction's own
 * (page_touch), so that parents can be told of their new children; then it works on its path upwards.
 * Nothing below a version's root ever changes (page.c, invariant 1).
 *
 * Filling. A page that overflows is split in halves by bytes; but when inserts come in rising order
 * (node.c counts runs), it is split behind the newest key, so that pages filled by rising keys stay
 * full. A page that falls below a quarter is merged with a neighbour when both fit one page with a
 * little room. Two neighbours that do not are well filled together, so there is no need to move
 * single cells between them.
 *
 * After an error the tree of the running transaction is in pieces and must be undone
 * (pages_undo and the root of before).
 */
#include "engine/private.h"

#define MERGE_BELOW    (PAGE_BYTES / 4)
#define MERGE_FITS     (PAGE_BYTES - PAGE_BYTES / 8) /* with room for an insert, or it would split */
#define RUN_SEQUENTIAL 3

/* From the root to a leaf. */
struct path {
    struct page *page[TREE_MAX_DEPTH];
    unsigned
        slot[TREE_MAX_DEPTH]; /* of the child that was taken; in the leaf, as the caller likes */
};

enum err tree_find(struct pages *ps, struct page_ref root, str key, const uint8_t **body)
{
    const struct page *p;
    bool exact;
    unsigned slot;

    if (root.pgno == PAGE_NONE)
        return ERR_NOTFOUND;
    for (p = page_get(ps, root); p != NULL && p->level > 0;)
        p = page_get(ps, node_child(p, node_child_slot(p, key)));
    if (p == NULL)
        return ERR_CORRUPT;
    slot = node_lower(p, key, &exact);
    if (!exact)
        return ERR_NOTFOUND;
    *body = node_body(p, slot);
    return OK;
}

/* The way down to where key is or would be, which the leaf's slot says. Nothing on it is changed, nor may be
 * before own_path(). CORRUPT. */
static enum err descend(const struct tree *t, str key, struct path *path, bool *exact)
{
    struct page_ref ref = t->root;

    *exact = false;
    for (unsigned d = 0; d < t->depth; d++) {
        const struct page *page = page_get(t->pages, ref);
        if (page == NULL)
            return ERR_CORRUPT;
        path->page[d] = (struct page *)page;
        if (page->level == 0) {
            path->slot[d] = node_lower(page, key, exact);
            return OK;
        }
        path->slot[d] = node_child_slot(page, key);
        ref = node_child(page, path->slot[d]);
    }
    return OK;
}

/* The first `levels` pages of a path become the transaction's own. NOMEM, CORRUPT. */
static enum err own_path(struct tree *t, struct path *path, unsigned levels)
{
    for (unsigned d = 0; d < levels; d++) {
        struct page_ref ref = page_ref_of(path->page[d]);
        enum err err = page_touch(t->pages, t->txn, ref, &path->page[d]);
        if (err != OK)
            return err;
        if (path->page[d]->pgno == ref.pgno)
            continue;
        if (d == 0)
            t->root = page_ref_of(path->page[0]);
        else
            node_set_child(path->page[d - 1], path->slot[d - 1], page_ref_of(path->page[d]));
    }
    return OK;
}

/* Both, all the way down. */
static enum err descend_own(struct tree *t, str key, struct path *path, bool *exact)
{
    enum err err = descend(t, key, path, exact);

    return err == OK ? own_path(t, path, t->depth) : err;
}

/* ---- splitting ------------------------------------------------------------------------------- */

/* The shortest key that is greater than `left` and not greater than `right`. */
static size_t separator(const struct item *left, const struct item *right,
                        uint8_t out[ENGINE_MAX_KEY_BYTES])
{
    uint8_t before[ENGINE_MAX_KEY_BYTES];
    str x = {(const char *)before, item_key(left, before)};
    str y = {(const char *)out, item_key(right, out)};
    size_t shared = str_common(x, y);

    CHECK(shared < y.n);
    return shared + 1;
}

/* Half of the bytes on each side; both sides get an item. */
static size_t cut_middle(const struct item *it, size_t n)
{
    size_t total = 0, sum = 0, cut = 0;

    for (size_t i = 0; i < n; i++)
        total += it[i].tail_n + (size_t)it[i].body_n + 4;
    while (cut < n - 1 && sum < total / 2) {
        sum += it[cut].tail_n + (size_t)it[cut].body_n + 4;
        cut++;
    }
    return MAX_OF(cut, (size_t)1);
}

static bool both_fit(const struct item *it, size_t n, size_t cut, unsigned level)
{
    return cut >= 1 && cut < n && items_bytes(it, cut, level) <= PAGE_BYTES &&
           items_bytes(it + cut, n - cut, level) <= PAGE_BYTES;
}

/*
 * Where to cut a row of n items of which `slot` is new, and which do not fit one page. Rising
 * inserts: what is behind the new one (another collection's first keys, say) goes to the right, so
 * that the next inserts find the end of a page; at the end of a page, the new one starts the next.
 */
static size_t choose_cut(const struct page *p, const struct item *it, size_t n, size_t slot,
                         bool rightmost)
{
    bool next = slot == p->last + 1u && p->run + 1u >= RUN_SEQUENTIAL;
    size_t middle = cut_middle(it, n);

    if (slot == n - 1 && (next || rightmost) && both_fit(it, n, slot, p->level))
        return slot;
    if (next && both_fit(it, n, slot + 1, p->level))
        return slot + 1;
    if (next && both_fit(it, n, slot, p->level))
        return slot;
    if (both_fit(it, n, middle, p->level))
        return middle;
    /* A key without the page's prefix, which can only be the first or the last: it goes alone. */
    return slot + 1 < n ? slot + 1 : slot;
}

/* Is the page at depth d the last one of its level? */
static bool is_rightmost(const struct path *path, unsigned d)
{
    for (unsigned i = 0; i < d; i++)
        if (path->slot[i] + 1u < path->page[i]->count)
            return false;
    return true;
}

/* A new root above the old one, with `right` beside it. */
static enum err grow_root(struct tree *t, struct page *left, struct page *right,
                          const struct item *sep)
{
    struct item items[2] = {{0}, *sep};
    struct page_ref child[2] = {page_ref_of(left), page_ref_of(right)};
    struct page *root;
    enum err err;

    if (t->depth >= TREE_MAX_DEPTH)
        return ERR_LIMIT;
    err = page_alloc(t->pages, t->txn, &root);
    if (err != OK)
        return err;
    for (unsigned i = 0; i < 2; i++) {
        items[i].body = (const uint8_t *)&child[i];
        items[i].body_n = sizeof child[i];
    }
    node_init(root, left->level + 1u);
    node_build(root, items, 2);
    t->root = page_ref_of(root);
    t->depth++;
    return OK;
}

/* The items from `cut` on go to the new page; one of them has just been put in at `slot`. */
static void divide(struct page *left, struct page *right, struct item *items, size_t n, size_t cut,
                   unsigned slot)
{
    node_init(right, left->level);
    node_build(left, items, cut);
    node_build(right, items + cut, n - cut);
    left->last = (uint16_t)MIN_OF(slot, (unsigned)left->count);
    if (slot >= cut)
        right->last = (uint16_t)(slot - cut);
}

/* Puts an item into the page at depth d, splitting it and those above where it must. */
static enum err insert_at(struct tree *t, struct path *path, unsigned d, unsigned slot,
                          struct item item)
{
    uint8_t key[2][ENGINE_MAX_KEY_BYTES]; /* of the separator going up, and of the next one */
    struct page_ref child[2];
    struct item *items = t->scratch->items;

    for (unsigned turn = 0;; turn ^= 1) {
        struct page *left = path->page[d], *right;
        size_t n = left->count + 1u, cut;
        uint8_t run = left->run;
        enum err err;

        if (node_insert(left, slot, &item, &t->scratch->copy, items))
            return OK;
        err = page_alloc(t->pages, t->txn, &right);
        if (err != OK)
            return err;
        cut = choose_cut(left, items, n, slot, is_rightmost(path, d));
        item.head_n =
            (uint16_t)(left->level > 0 ? item_key(&items[cut], key[turn])
                                       : separator(&items[cut - 1], &items[cut], key[turn]));
        divide(left, right, items, n, cut, slot);
        left->run = right->run = run;

        child[turn] = page_ref_of(right);
        item = (struct item){.head = key[turn],
                             .head_n = item.head_n,
                             .body = (const uint8_t *)&child[turn],
                             .body_n = sizeof child[turn]};
        if (d == 0)
            return grow_root(t, left, right, &item);
        d--;
        slot = path->slot[d] + 1;
    }
}

/* ---- putting --------------------------------------------------------------------------------- */

static enum err first_leaf(struct tree *t)
{
    struct page *leaf;
    enum err err = page_alloc(t->pages, t->txn, &leaf);

    if (err != OK)
        return err;
    node_init(leaf, 0);
    t->root = page_ref_of(leaf);
    t->depth = 1;
    return OK;
}

static void body_take(struct body *out, const struct page *leaf, unsigned slot)
{
    struct cell c = node_cell(leaf, slot);

    CHECK(c.body_n <= sizeof out->p);
    memcpy(out->p, c.body, c.body_n);
    out->n = c.body_n;
}

/* Puts or replaces; *replaced tells, and then *old is what was there. NOMEM, LIMIT (numbers or
 * depth at an end), CORRUPT. */
enum err tree_put(struct tree *t, str key, const struct body *body, struct body *old,
                  bool *replaced)
{
    struct path path;
    struct item item = {.head = (const uint8_t *)key.p,
                        .head_n = (uint16_t)key.n,
                        .body = body->p,
                        .body_n = (uint16_t)body->n};
    enum err err = pages_reserve(t->pages);
    struct page *leaf;
    unsigned slot;

    if (err == OK && t->root.pgno == PAGE_NONE)
        err = first_leaf(t);
    if (err == OK)
        err = descend_own(t, key, &path, replaced);
    if (err != OK)
        return err;
    leaf = path.page[t->depth - 1];
    slot = path.slot[t->depth - 1];
    if (*replaced) {
        body_take(old, leaf, slot);
        if (node_overwrite(leaf, slot, body->p, body->n))
            return OK;
        node_remove(leaf, slot, 1);
        t->keys--;
    }
    t->keys++;
    return insert_at(t, &path, t->depth - 1, slot, item);
}

/* ---- deleting -------------------------------------------------------------------------------- */

/* Can one page hold both? What they share of their prefixes is not longer than either, so that no cell becomes
 * shorter; only a header and a prefix are saved. */
static bool may_fit_one(const struct page *x, const struct page *y)
{
    size_t saved = PAGE_HEADER_BYTES + MAX_OF(x->prefix, y->prefix);

    return node_used(x) + node_used(y) - saved <= MERGE_FITS;
}

/* The page at depth d has a neighbour to swallow: both become one page. AGAIN: they do not fit. */
static enum err merge_with(struct tree *t, struct path *path, unsigned d, bool with_right)
{
    struct page *page = path->page[d], *parent = path->page[d - 1];
    unsigned mine = path->slot[d - 1], other = with_right ? mine + 1 : mine - 1;
    const struct page *sibling = page_get(t->pages, node_child(parent, other));
    struct tree_scratch *s = t->scratch;
    uint8_t key[ENGINE_MAX_KEY_BYTES];
    size_t n, first;

    if (sibling == NULL)
        return ERR_CORRUPT;
    /* Before all is gathered: a thin page is asked at each deletion. */
    if (!may_fit_one(page, sibling))
        return ERR_AGAIN;
    memcpy(&s->copy, page, PAGE_BYTES);
    first = n = node_gather(with_right ? &s->copy : sibling, s->items);
    n += node_gather(with_right ? sibling : &s->copy, s->items + n);
    if (page->level > 0) { /* what was slot 0 on the right needs its key: the parent's separator */
        s->items[first].head = key;
        s->items[first].head_n = (uint16_t)node_key(parent, MAX_OF(mine, other), key);
    }
    if (items_bytes(s->items, n, page->level) > MERGE_FITS)
        return ERR_AGAIN;
    node_build(page, s->items, n);
    node_set_child(parent, MIN_OF(mine, other), page_ref_of(page));
    node_remove(parent, MAX_OF(mine, other), 1);
    page_retire(t->pages, t->txn, sibling);
    return OK;
}

/* AGAIN: no neighbour is small enough. CORRUPT. */
static enum err try_merge(struct tree *t, struct path *path, unsigned d)
{
    const struct page *parent = path->page[d - 1];
    unsigned mine = path->slot[d - 1];
    enum err err = ERR_AGAIN;

    if (mine + 1u < parent->count)
        err = merge_with(t, path, d, true);
    if (err == ERR_AGAIN && mine > 0)
        err = merge_with(t, path, d, false);
    return err;
}

/* A root with one child gives way to it. */
static enum err shrink_root(struct tree *t)
{
    for (;;) {
        const struct page *root = page_get(t->pages, t->root);
        if (root == NULL)
            return ERR_CORRUPT;
        if (root->level == 0 || root->count > 1)
            return OK;
        t->root = node_child(root, 0);
        t->depth--;
        page_retire(t->pages, t->txn, root);
    }
}

/* After cells went from the page at depth d: removes empty pages, merges thin ones, upwards. */
static enum err rebalance(struct tree *t, struct path *path, unsigned d)
{
    for (;; d--) {
        struct page *page = path->page[d];
        enum err err = OK;
        if (page->count > 0 && (d == 0 || node_used(page) >= MERGE_BELOW))
            break;
        if (page->count > 0)
            err = try_merge(t, path, d);
        if (err == ERR_AGAIN)
            break;
        if (err != OK)
            return err;
        if (page->count > 0)
            continue;
        page_retire(t->pages, t->txn, page);
        if (d == 0) {
            t->root = NO_PAGE;
            t->depth = 0;
            return OK;
        }
        node_remove(path->page[d - 1], path->slot[d - 1], 1);
    }
    return shrink_root(t);
}

/* *found: it was there, and *old is what it had. NOMEM, CORRUPT. */
enum err tree_del(struct tree *t, str key, struct body *old, bool *found)
{
    struct path path;
    struct page *leaf;
    unsigned slot;
    enum err err = descend(t, key, &path, found);

    if (err != OK || !*found)
        return err;
    err = pages_reserve(t->pages);
    if (err == OK)
        err = own_path(t, &path, t->depth);
    if (err != OK)
        return err;
    leaf = path.page[t->depth - 1];
    slot = path.slot[t->depth - 1];
    body_take(old, leaf, slot);
    node_remove(leaf, slot, 1);
    t->keys--;
    return rebalance(t, &path, t->depth - 1);
}

/* Every page on the way to where key is or would be becomes the transaction's own. NOMEM, CORRUPT. */
enum err tree_renew(struct tree *t, str key)
{
    struct path path;
    bool exact;
    enum err err = pages_reserve(t->pages);

    return err == OK ? descend_own(t, key, &path, &exact) : err;
}

/* The first key with the prefix, into `out`. NOTFOUND, CORRUPT. */
static enum err first_with_prefix(const struct tree *t, str prefix,
                                  uint8_t out[ENGINE_MAX_KEY_BYTES], size_t *n)
{
    const struct engine_view v = {.pages = t->pages, .root = t->root};
    struct engine_cursor c;
    str key;

    engine_cursor_init(&c, &v, prefix);
    if (!engine_cursor_first(&c))
        return engine_cursor_err(&c) != OK ? engine_cursor_err(&c) : ERR_NOTFOUND;
    key = engine_cursor_key(&c);
    memcpy(out, key.p, key.n);
    *n = key.n;
    return OK;
}

/* The whole leaf at the path's end goes: there was no need to make it our own first. */
static enum err drop_leaf(struct tree *t, struct path *path)
{
    unsigned d = t->depth - 1;

    page_retire(t->pages, t->txn, path->page[d]);
    if (d == 0) {
        t->root = NO_PAGE;
        t->depth = 0;
        return OK;
    }
    node_remove(path->page[d - 1], path->slot[d - 1], 1);
    return rebalance(t, path, d - 1);
}

/* Takes out of one leaf every cell with the prefix, from `first` on. */
static enum err del_in_leaf(struct tree *t, str first, str prefix, tree_each_fn *each, void *arg,
                            uint64_t *count)
{
    struct path path;
    struct page *leaf;
    unsigned from, to, d = t->depth - 1;
    bool exact;
    enum err err = pages_reserve(t->pages);

    CHECK(t->depth > 0); /* `first` is in a leaf */

    if (err == OK)
        err = descend(t, first, &path, &exact);
    if (err == OK)
        err = own_path(t, &path, d);
    if (err != OK)
        return err;
    CHECK(exact);
    leaf = path.page[d];
    from = path.slot[d];
    to = node_prefix_end(leaf, from, prefix);
    for (unsigned i = from; i < to; i++) {
        struct cell c = node_cell(leaf, i);
        each(arg, (size_t)leaf->prefix + c.suffix_n, c.body);
    }
    *count += to - from;
    t->keys -= to - from;
    if (to - from == leaf->count)
        return drop_leaf(t, &path);
    err = own_path(t, &path, t->depth);
    if (err != OK)
        return err;
    node_remove(path.page[d], from, to - from);
    return rebalance(t, &path, d);
}

/* Deletes all keys with the prefix; each() sees the length of each key and its value part. NOMEM,
 * CORRUPT. */
enum err tree_del_prefix(struct tree *t, str prefix, tree_each_fn *each, void *arg, uint64_t *count)
{
    uint8_t key[ENGINE_MAX_KEY_BYTES];
    size_t n = 0;

    for (;;) {
        enum err err = first_with_prefix(t, prefix, key, &n);
        if (err == ERR_NOTFOUND)
            return OK;
        if (err == OK)
            err = del_in_leaf(t, (str){(char *)key, n}, prefix, each, arg, count);
        if (err != OK)
            return err;
    }
}
