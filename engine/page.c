/*
 * engine/page.c - page numbers and the memory behind them.
 *
 * A page number names one content from the transaction that made it until the number is used again;
 * whoever changes a page that an earlier transaction made gets a copy under another number
 * (copy-on-write). The life of a number:
 *
 *                 page_alloc                    page_retire by transaction V
 *     free  ----------------------->  in use  ------------------------------->  retired at V
 *       ^                               |  page_retire by its own transaction       |
 *       |                               +------------->  loose  ------------------->+ pages_commit
 *       +---------------------------------------------------------------------------+
 *                pages_reclaim: V is durable and no reader holds a version before V
 *
 * Invariants:
 *   1. A page that a reader's version can reach is not changed, and its number is not used again.
 *   2. What transactions not yet durable did can be undone (pages_undo): every page they made is in
 *      `made` once, every page they dropped is in `retired` once, newest at the back.
 *   3. Lists that take page numbers back have room for all numbers ever used, so that giving a
 *      page back cannot fail: only page_alloc and page_touch can.
 *
 * Numbers on the free stack may have no memory behind them: beyond a reserve their memory goes back
 * to the system. page_get is the one way from number to memory; pages that lie in a file slot in
 * there. It needs no lock: the entry was written before the version that leads to it was published.
 */
#include "engine/private.h"

#define LEAF_ENTRIES ((size_t)1 << PAGE_LEAF_BITS)
#define TOP_ENTRIES  ((size_t)1 << PAGE_TOP_BITS)
#define SPARE_PAGES  256u /* free pages that keep their memory */
#define FIRST_CAP    64u

enum err pages_init(struct pages *ps)
{
    *ps = (struct pages){.next = PAGE_FIRST};
    ring_init(&ps->made, sizeof(struct page_entry));
    ring_init(&ps->retired, sizeof(struct page_entry));
    ps->top = mem_zalloc(TOP_ENTRIES * sizeof *ps->top);
    return ps->top == NULL ? ERR_NOMEM : OK;
}

void pages_fini(struct pages *ps)
{
    for (size_t i = 0; ps->top != NULL && i < TOP_ENTRIES && ps->top[i] != NULL; i++) {
        for (size_t k = 0; k < LEAF_ENTRIES; k++)
            free(ps->top[i][k]);
        free(ps->top[i]);
    }
    free(ps->top);
    free(ps->free);
    free(ps->loose);
    ring_fini(&ps->made);
    ring_fini(&ps->retired);
    *ps = (struct pages){0};
}

static struct page **entry_of(struct pages *ps, uint32_t pgno)
{
    return &ps->top[pgno >> PAGE_LEAF_BITS][pgno & (LEAF_ENTRIES - 1)];
}

/* ---- numbers --------------------------------------------------------------------------------- */

static enum err grow_stack(uint32_t **stack, size_t used, size_t cap)
{
    uint32_t *p = mem_alloc(cap * sizeof *p);

    if (p == NULL)
        return ERR_NOMEM;
    if (used > 0)
        memcpy(p, *stack, used * sizeof *p);
    free(*stack);
    *stack = p;
    return OK;
}

/* Keeps invariant 3 for one more number. */
static enum err reserve_lists(struct pages *ps)
{
    size_t cap = ps->cap == 0 ? FIRST_CAP : 2 * ps->cap;
    enum err err;

    if (ps->next < ps->cap)
        return OK;
    err = grow_stack(&ps->free, ps->free_n, cap);
    if (err == OK)
        err = grow_stack(&ps->loose, ps->loose_n, cap);
    if (err == OK)
        err = ring_reserve(&ps->made, cap - ring_count(&ps->made));
    if (err == OK)
        err = ring_reserve(&ps->retired, cap - ring_count(&ps->retired));
    if (err == OK)
        ps->cap = cap;
    return err;
}

static enum err number_new(struct pages *ps, uint32_t *out)
{
    uint32_t pgno = ps->next;
    struct page ***leaf;
    enum err err;

    if (pgno >> PAGE_LEAF_BITS >= TOP_ENTRIES)
        return ERR_LIMIT;
    err = reserve_lists(ps);
    if (err != OK)
        return err;
    leaf = &ps->top[pgno >> PAGE_LEAF_BITS];
    if (*leaf == NULL)
        *leaf = mem_zalloc(LEAF_ENTRIES * sizeof **leaf);
    if (*leaf == NULL)
        return ERR_NOMEM;
    ps->next++;
    *out = pgno;
    return OK;
}

/* A number onto the free stack; memory beyond the reserve goes back to the system. */
static void number_free(struct pages *ps, uint32_t pgno)
{
    struct page **entry = entry_of(ps, pgno);

    if (*entry != NULL && ps->spare >= SPARE_PAGES) {
        free(*entry);
        *entry = NULL;
    } else if (*entry != NULL) {
        ps->spare++;
    }
    ps->free[ps->free_n++] = pgno;
}

/* A number that was free gets memory, if it has none left. */
static enum err give_memory(struct pages *ps, uint32_t pgno)
{
    struct page **entry = entry_of(ps, pgno);

    if (*entry != NULL) {
        ps->spare--;
        return OK;
    }
    *entry = mem_alloc(PAGE_BYTES);
    return *entry == NULL ? ERR_NOMEM : OK;
}

/* ---- for the tree ---------------------------------------------------------------------------- */

/* A page with undefined contents but for pgno and txn. NOMEM; LIMIT: no numbers left. */
enum err page_alloc(struct pages *ps, uint64_t txn, struct page **out)
{
    bool loose = ps->loose_n > 0;
    enum err err = OK;
    uint32_t pgno = 0;

    if (loose)
        pgno = ps->loose[--ps->loose_n]; /* is in `made` already */
    else if (ps->free_n > 0)
        pgno = ps->free[--ps->free_n];
    else
        err = number_new(ps, &pgno);
    if (err != OK)
        return err;
    if (!loose && give_memory(ps, pgno) != OK) {
        ps->free[ps->free_n++] = pgno;
        return ERR_NOMEM;
    }
    if (!loose)
        *(struct page_entry *)ring_push(&ps->made) = (struct page_entry){txn, pgno};
    *out = page_get(ps, pgno);
    (*out)->pgno = pgno;
    (*out)->txn = txn;
    return OK;
}

/* The page, or a copy of it under another number, that transaction txn may change. */
enum err page_touch(struct pages *ps, uint64_t txn, uint32_t pgno, struct page **out)
{
    struct page *old = page_get(ps, pgno), *copy;
    uint32_t number;
    enum err err;

    if (old->txn == txn) {
        *out = old;
        return OK;
    }
    err = page_alloc(ps, txn, &copy);
    if (err != OK)
        return err;
    number = copy->pgno;
    memcpy(copy, old, PAGE_BYTES);
    copy->pgno = number;
    copy->txn = txn;
    page_retire(ps, txn, pgno);
    *out = copy;
    return OK;
}

/* The tree of transaction txn no longer refers to the page. */
void page_retire(struct pages *ps, uint64_t txn, uint32_t pgno)
{
    if (page_get(ps, pgno)->txn == txn)
        ps->loose[ps->loose_n++] = pgno;
    else
        *(struct page_entry *)ring_push(&ps->retired) = (struct page_entry){txn, pgno};
}

/* ---- for transactions ------------------------------------------------------------------------ */

/* Loose pages wait like retired ones: an undo of txn finds them in `made`, and must find them there
 * only. */
void pages_commit(struct pages *ps, uint64_t txn)
{
    while (ps->loose_n > 0) {
        uint32_t pgno = ps->loose[--ps->loose_n];
        *(struct page_entry *)ring_push(&ps->retired) = (struct page_entry){txn, pgno};
    }
}

/* Takes back what all transactions after keep_txn did. */
void pages_undo(struct pages *ps, uint64_t keep_txn)
{
    struct page_entry *last;

    ps->loose_n = 0;
    for (;;) {
        last = ring_back(&ps->retired);
        if (last == NULL || last->txn <= keep_txn)
            break;
        ring_pop_back(&ps->retired);
    }
    for (;;) {
        last = ring_back(&ps->made);
        if (last == NULL || last->txn <= keep_txn)
            break;
        number_free(ps, last->pgno);
        ring_pop_back(&ps->made);
    }
}

/* Forgets how to undo what is durable, and takes back what nobody can see any more. */
void pages_reclaim(struct pages *ps, uint64_t durable, uint64_t oldest_reader)
{
    const struct page_entry *first;

    for (;;) {
        first = ring_front(&ps->made);
        if (first == NULL || first->txn > durable)
            break;
        ring_pop_front(&ps->made);
    }
    for (;;) {
        first = ring_front(&ps->retired);
        if (first == NULL || first->txn > durable || first->txn > oldest_reader)
            break;
        number_free(ps, first->pgno);
        ring_pop_front(&ps->retired);
    }
}

size_t pages_free_count(const struct pages *ps)
{
    return ps->free_n + ps->loose_n + ring_count(&ps->retired);
}
