/*
 * engine/page.c - page numbers, and where their bytes are.
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
 * The bytes of a page are in memory from page_alloc until a checkpoint has written them to the index
 * file; from then on they are looked at in a view of the file (page_to_file). When they are first asked
 * for there, their checksum is held against them, and their stamp against what the page above says: a
 * disk that loses a write leaves an older page, which is whole. Without files they stay in memory.
 *
 * Invariants:
 *   1. A page that a reader's version can reach is not changed, and its number is not used again.
 *   2. What transactions not yet durable did can be undone (pages_undo): every page they made is in
 *      `made` once, every page they dropped is in `retired` once, newest at the back.
 *   3. Giving a page back cannot fail: pages_reserve has made room before the operation began.
 *   4. A number that the last checkpoint refers to, or one that is being written, is not used again
 *      before a later one has taken its place: whatever a crash leaves, one root has all its pages.
 *   5. A page's memory is given back at once when its number was reclaimed or undone (nobody can be
 *      in it), and after page_to_file when every reader that may have found it there has gone.
 *
 * The lowest number is taken first, so that the file's end can be cut off when the tree shrinks.
 * page_get is the one way from number to bytes. It needs no lock: the entry was written before the
 * version that leads to it was published.
 */
#include "base/crc.h"
#include "base/rand.h"
#include "engine/private.h"

#define POOL_PAGES   256u /* memory that is kept for use again */
#define RECLAIM_MOST 512u /* that is given back in one go, while others wait for their turn */

enum err pages_init(struct pages *ps)
{
    *ps = (struct pages){.next = PAGE_FIRST, .hint = PAGE_FIRST};
    ring_init(&ps->loose, sizeof(uint32_t));
    ring_init(&ps->made, sizeof(struct page_entry));
    ring_init(&ps->retired, sizeof(struct page_entry));
    ring_init(&ps->dropped, sizeof(struct page_memory));
    rand_bytes(&ps->stamp, sizeof ps->stamp);
    ps->extent = mem_zalloc(EXTENTS * sizeof *ps->extent);
    return ps->extent == NULL ? ERR_NOMEM : pages_extend(ps, PAGE_FIRST);
}

static void extent_free(struct extent *x)
{
    const uint8_t *map = atomic_load(&x->map);

    for (size_t i = 0; i < EXTENT_PAGES; i++) {
        struct page *page = atomic_load_explicit(&x->memory[i], memory_order_relaxed);
        if (page != NULL) /* few are: thousands of calls for nothing */
            free(page);
    }
    if (map != NULL)
        os()->unmap((void *)map, (size_t)EXTENT_PAGES * PAGE_BYTES);
    free(x);
}

void pages_fini(struct pages *ps)
{
    struct page_memory *dropped;

    for (size_t i = 0; ps->extent != NULL && i < EXTENTS && ps->extent[i] != NULL; i++)
        extent_free(ps->extent[i]);
    free(ps->extent);
    while ((dropped = ring_front(&ps->dropped)) != NULL) {
        free(dropped->page);
        ring_pop_front(&ps->dropped);
    }
    while (ps->pool != NULL) {
        struct page *page = ps->pool;
        memcpy(&ps->pool, page, sizeof(void *));
        free(page);
    }
    bits_fini(&ps->free);
    bits_fini(&ps->disk);
    bits_fini(&ps->ahead);
    bits_fini(&ps->memory);
    ring_fini(&ps->loose);
    ring_fini(&ps->made);
    ring_fini(&ps->retired);
    ring_fini(&ps->dropped);
    *ps = (struct pages){0};
}

static _Atomic(struct page *) *entry_of(const struct pages *ps, uint32_t pgno)
{
    return &ps->extent[pgno >> EXTENT_BITS]->memory[pgno & (EXTENT_PAGES - 1)];
}

/* ---- bytes in the file ----------------------------------------------------------------------- */

uint32_t page_crc(const struct page *p)
{
    return crc32c(0, (const uint8_t *)p + sizeof p->crc, PAGE_BYTES - sizeof p->crc);
}

static _Atomic uint64_t *good_word(const struct pages *ps, uint32_t pgno, uint64_t *bit)
{
    uint32_t i = pgno & (EXTENT_PAGES - 1);

    *bit = (uint64_t)1 << (i % 64);
    return &ps->extent[pgno >> EXTENT_BITS]->good[i / 64];
}

/* NULL: there is none. */
static const struct page *whole_in_file(const struct pages *ps, uint32_t pgno)
{
    const struct extent *x = ps->extent[pgno >> EXTENT_BITS];
    const uint8_t *map = atomic_load_explicit(&x->map, memory_order_acquire);
    const struct page *p;

    if (map == NULL)
        return NULL;
    p = (const void *)(map + (size_t)(pgno & (EXTENT_PAGES - 1)) * PAGE_BYTES);
    return p->pgno == pgno && p->crc == page_crc(p) ? p : NULL;
}

const char *page_in_file(const struct pages *ps, struct page_ref ref, const struct page **out)
{
    const struct page *p = whole_in_file(ps, ref.pgno);

    if (p == NULL)
        return "bad checksum";
    if (p->stamp != ref.stamp)
        return "has another stamp than what leads to it says: a write was lost";
    *out = p;
    return NULL;
}

static const struct page *damaged(struct pages *ps, uint32_t pgno)
{
    atomic_store(&ps->damaged, pgno);
    keeper_alarm(CONTAINER_OF(ps, struct engine, pages));
    return NULL;
}

/* A page is looked at for the first time since it was put into the file, or since the start. */
const struct page *page_verify(struct pages *ps, struct page_ref ref)
{
    const struct page *p = NULL;
    _Atomic uint64_t *word;
    uint64_t bit;

    if (page_in_file(ps, ref, &p) != NULL)
        return damaged(ps, ref.pgno);
    word = good_word(ps, ref.pgno, &bit);
    atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
    return p;
}

/* It is not noted as good: that would let an old page be served. */
const struct page *page_peek(struct pages *ps, uint32_t pgno)
{
    const struct page *p = atomic_load_explicit(entry_of(ps, pgno), memory_order_acquire);

    if (p == NULL)
        p = whole_in_file(ps, pgno);
    return p != NULL ? p : damaged(ps, pgno);
}

/* An old page may lead to where there is nothing any more. */
const struct page *page_follow(struct pages *ps, struct page_ref ref)
{
    return ref.pgno < ps->next ? page_get(ps, ref) : damaged(ps, ref.pgno);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static struct page *memory_take(struct pages *ps)
{
    struct page *page = ps->pool;

    if (page == NULL)
        return mem_alloc(PAGE_BYTES);
    memcpy(&ps->pool, page, sizeof(void *));
    ps->pool_n--;
    return page;
}

static void memory_give(struct pages *ps, struct page *page)
{
    if (ps->pool_n >= POOL_PAGES) {
        free(page);
        return;
    }
    memcpy(page, &ps->pool, sizeof(void *));
    ps->pool = page;
    ps->pool_n++;
}

/* Takes the memory of a number away from it; NULL: it has none. */
static struct page *memory_detach(struct pages *ps, uint32_t pgno)
{
    struct page *page = atomic_load_explicit(entry_of(ps, pgno), memory_order_relaxed);

    if (page == NULL)
        return NULL;
    atomic_store(entry_of(ps, pgno), NULL);
    bits_clear(&ps->memory, pgno);
    ps->memory_n--;
    return page;
}

void page_to_file(struct pages *ps, uint32_t pgno, uint64_t checkpoint)
{
    struct page_memory *m = ring_push(&ps->dropped);
    _Atomic uint64_t *word;
    uint64_t bit;

    word = good_word(ps, pgno, &bit);
    atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
    *m = (struct page_memory){checkpoint, memory_detach(ps, pgno)};
    CHECK(m->page != NULL);
}

/* ---- numbers --------------------------------------------------------------------------------- */

enum err pages_reserve(struct pages *ps)
{
    size_t loose = ring_count(&ps->loose);
    enum err err = ring_reserve(&ps->made, PAGES_RESERVE);

    if (err == OK)
        err = ring_reserve(&ps->loose, PAGES_RESERVE);
    if (err == OK) /* pages_commit moves the loose ones there */
        err = ring_reserve(&ps->retired, loose + 2 * PAGES_RESERVE);
    return err;
}

enum err pages_extend(struct pages *ps, uint32_t next)
{
    struct bits *all[] = {&ps->free, &ps->disk, &ps->ahead, &ps->memory};
    enum err err = next > PAGES_MAX ? ERR_LIMIT : OK;

    for (size_t i = 0; err == OK && i < ARRAY_LEN(all); i++)
        err = bits_grow(all[i], bits_words(next));
    for (; err == OK && ps->next < next; ps->next++) {
        struct extent **x = &ps->extent[ps->next >> EXTENT_BITS];
        if (*x == NULL)
            *x = mem_zalloc(sizeof **x);
        if (*x == NULL)
            return ERR_NOMEM;
        bits_set(&ps->free, ps->next);
        ps->free_n++;
    }
    return err;
}

void pages_shrink(struct pages *ps)
{
    uint32_t next = ps->next;

    while (next > PAGE_FIRST && bits_get(&ps->free, next - 1) && !bits_get(&ps->disk, next - 1))
        next--;
    if (ps->next - next < PAGES_WORTH_CUTTING)
        return;
    for (uint32_t n = next; n < ps->next; n++)
        bits_clear(&ps->free, n);
    ps->free_n -= ps->next - next;
    ps->next = next;
}

uint32_t pages_available(const struct pages *ps, uint32_t from)
{
    for (size_t i = from / 64; i < bits_words(ps->next); i++) {
        uint64_t w = ps->free.w[i] & ~ps->disk.w[i] & ~ps->ahead.w[i];
        if (i == from / 64)
            w &= ~(uint64_t)0 << (from % 64);
        if (w != 0)
            return (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(w);
    }
    return ps->next;
}

/* All that is not free now, but what later transactions made, and what earlier ones dropped and
 * only readers see. */
void pages_note_used(struct pages *ps, uint64_t txn)
{
    size_t words = bits_words(ps->next);

    for (size_t i = 0; i < words; i++)
        ps->ahead.w[i] = ~ps->free.w[i];
    ps->ahead.w[0] &= ~(uint64_t)0 << PAGE_FIRST;
    if (ps->next % 64 != 0)
        ps->ahead.w[words - 1] &= ~(~(uint64_t)0 << (ps->next % 64));
    for (uint64_t i = ps->made.head; i < ps->made.tail; i++) {
        const struct page_entry *made = ring_at(&ps->made, i);
        if (made->txn > txn)
            bits_clear(&ps->ahead, made->pgno);
    }
    for (uint64_t i = ps->retired.head; i < ps->retired.tail; i++) {
        const struct page_entry *retired = ring_at(&ps->retired, i);
        if (retired->txn <= txn)
            bits_clear(&ps->ahead, retired->pgno);
    }
}

void pages_forget_ahead(struct pages *ps)
{
    if (ps->ahead.words > 0)
        memset(ps->ahead.w, 0, ps->ahead.words * 8);
    ps->hint = PAGE_FIRST;
}

static enum err number_take(struct pages *ps, uint32_t *out)
{
    uint32_t pgno = pages_available(ps, ps->hint);
    enum err err = pgno < ps->next ? OK : pages_extend(ps, pgno + 1);

    ps->hint = pgno;
    if (err != OK)
        return err;
    bits_clear(&ps->free, pgno);
    ps->free_n--;
    *out = pgno;
    return OK;
}

/* Nobody refers to the number, or can be in its memory. */
static void number_free(struct pages *ps, uint32_t pgno)
{
    struct page *page = memory_detach(ps, pgno);

    if (page != NULL)
        memory_give(ps, page);
    bits_set(&ps->free, pgno);
    ps->free_n++;
    if (!bits_get(&ps->disk, pgno) && !bits_get(&ps->ahead, pgno))
        ps->hint = MIN_OF(ps->hint, pgno);
}

/* ---- for the tree ---------------------------------------------------------------------------- */

/* A number that has memory, in the journal of what txn made. */
static enum err page_new(struct pages *ps, uint64_t txn, uint32_t *out)
{
    enum err err = number_take(ps, out);
    struct page *page;

    if (err != OK)
        return err;
    page = memory_take(ps);
    if (page == NULL) {
        number_free(ps, *out);
        return ERR_NOMEM;
    }
    atomic_store_explicit(entry_of(ps, *out), page, memory_order_release);
    bits_set(&ps->memory, *out);
    ps->memory_n++;
    *(struct page_entry *)ring_push(&ps->made) = (struct page_entry){txn, *out};
    return OK;
}

/* A page with undefined contents but for pgno, txn and stamp. NOMEM; LIMIT: no numbers left. */
enum err page_alloc(struct pages *ps, uint64_t txn, struct page **out)
{
    const uint32_t *loose = ring_back(&ps->loose);
    uint32_t pgno = loose == NULL ? 0 : *loose;
    enum err err = OK;

    if (loose != NULL)
        ring_pop_back(&ps->loose); /* is in `made` already */
    else
        err = page_new(ps, txn, &pgno);
    if (err != OK)
        return err;
    *out = atomic_load_explicit(entry_of(ps, pgno), memory_order_relaxed);
    (*out)->pgno = pgno;
    (*out)->txn = txn;
    (*out)->stamp = ps->stamp++;
    return OK;
}

/* The page, or a copy of it under another number, that transaction txn may change. CORRUPT, and as
 * page_alloc. */
enum err page_touch(struct pages *ps, uint64_t txn, struct page_ref ref, struct page **out)
{
    const struct page *old = page_get(ps, ref);
    struct page_ref made;
    struct page *copy;
    enum err err;

    if (old == NULL)
        return ERR_CORRUPT;
    if (old->txn == txn) { /* made by it, so it is in memory */
        *out = atomic_load_explicit(entry_of(ps, ref.pgno), memory_order_relaxed);
        return OK;
    }
    err = page_alloc(ps, txn, &copy);
    if (err != OK)
        return err;
    made = page_ref_of(copy);
    memcpy(copy, old, PAGE_BYTES);
    copy->pgno = made.pgno;
    copy->stamp = made.stamp;
    copy->txn = txn;
    page_retire(ps, txn, old);
    *out = copy;
    return OK;
}

/* The tree of transaction txn no longer refers to the page. */
void page_retire(struct pages *ps, uint64_t txn, const struct page *page)
{
    if (page->txn == txn)
        *(uint32_t *)ring_push(&ps->loose) = page->pgno;
    else
        *(struct page_entry *)ring_push(&ps->retired) = (struct page_entry){txn, page->pgno};
}

/* ---- for transactions ------------------------------------------------------------------------ */

/* Loose pages wait like retired ones: an undo of txn finds them in `made`, and must find them there
 * only. */
void pages_commit(struct pages *ps, uint64_t txn)
{
    const uint32_t *loose;

    while ((loose = ring_back(&ps->loose)) != NULL) {
        *(struct page_entry *)ring_push(&ps->retired) = (struct page_entry){txn, *loose};
        ring_pop_back(&ps->loose);
    }
}

/* Takes back what all transactions after keep_txn did. */
void pages_undo(struct pages *ps, uint64_t keep_txn)
{
    struct page_entry *last;

    while (ring_count(&ps->loose) > 0)
        ring_pop_back(&ps->loose);
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

static void reclaim_dropped(struct pages *ps, uint64_t oldest_checkpoint)
{
    struct page_memory *first;

    for (unsigned n = 0; n < RECLAIM_MOST; n++) {
        first = ring_front(&ps->dropped);
        if (first == NULL || first->checkpoint > oldest_checkpoint)
            return;
        memory_give(ps, first->page);
        ring_pop_front(&ps->dropped);
    }
}

/* Forgets how to undo what is durable, and takes back what nobody can see any more. */
void pages_reclaim(struct pages *ps, uint64_t durable, const struct oldest *oldest)
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
        if (first == NULL || first->txn > durable || first->txn > oldest->version)
            break;
        number_free(ps, first->pgno);
        ring_pop_front(&ps->retired);
    }
    reclaim_dropped(ps, oldest->checkpoint);
}

size_t pages_free_count(const struct pages *ps)
{
    return ps->free_n + ring_count(&ps->loose) + ring_count(&ps->retired);
}
