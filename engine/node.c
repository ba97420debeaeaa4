/*
 * engine/node.c - the inside of one page.
 *
 *     0        32                heap                       4096 - prefix       4096
 *     | header | slots ... free | cells (newest first) ....| common prefix      |
 *
 * A slot is the offset of a cell; slots are in key order, cells lie in any order. The bytes that
 * all keys of the page begin with are stored once, at its end; a cell keeps the suffix:
 *
 *     leaf cell    varint suffix length, suffix, value part (private.h)
 *     branch cell  varint suffix length, suffix, page number and stamp of the child
 *
 * Invariants:
 *   1. Keys rise strictly from slot to slot.
 *   2. The key of slot 0 of a branch stands for "less than any": it is never looked at, and the
 *      prefix is that of the other slots.
 *   3. heap + (bytes of all cells) + garbage = 4096 - prefix, and the slots end at or before heap.
 *   4. A cell takes at most a quarter of what a page holds, so that a full page can always be split
 *      in two that fit.
 *
 * A key that lacks the page's prefix can only go to one of the page's ends (all others lie between
 * keys that have it); then the page is built again with a shorter prefix. Nothing here allocates or
 * fails, other than by "does not fit".
 */
#include "engine/private.h"

#include <endian.h>

#define CELL_MAX_BYTES (2 + 2 + ENGINE_MAX_KEY_BYTES + BODY_MAX_BYTES)
static_assert(4 * CELL_MAX_BYTES <= PAGE_BYTES - PAGE_HEADER_BYTES, "invariant 4");
static_assert(NODE_MAX_ITEMS > (PAGE_BYTES - PAGE_HEADER_BYTES) / 5, "smallest cell: 5 bytes");

/* A number of our own making, in a page: known to be whole. */
static const uint8_t *varint_take(const uint8_t *at, uint32_t *out)
{
    if (LIKELY(*at < 0x80)) {
        *out = *at;
        return at + 1;
    }
    if (LIKELY(at[1] < 0x80)) {
        *out = (*at & 0x7fu) | (uint32_t)at[1] << 7;
        return at + 2;
    }
    at = varint_get32(at, at + VARINT32_MAX_BYTES, out);
    CHECK(at != NULL);
    return at;
}

size_t body_encode(uint8_t out[BODY_MAX_BYTES], const struct value_ref *ref)
{
    uint8_t *at = varint_put(out, ref->bytes << 2 | ref->kind);

    at = varint_put(at, ref->seg);
    if (ref->kind & VALUE_INLINE) {
        memcpy(at, ref->data, ref->bytes);
        at += ref->bytes;
    } else {
        memcpy(at, &ref->off, 4);
        at += 4;
    }
    return (size_t)(at - out);
}

size_t body_decode(const uint8_t *body, struct value_ref *out)
{
    uint32_t head;
    const uint8_t *at = varint_take(body, &head);

    out->bytes = head >> 2;
    out->kind = head & 3;
    at = varint_take(at, &out->seg);
    if (out->kind & VALUE_INLINE) {
        out->off = 0;
        out->data = at;
        at += out->bytes;
    } else {
        memcpy(&out->off, at, 4);
        out->data = NULL;
        at += 4;
    }
    return (size_t)(at - body);
}

/* ---- looking --------------------------------------------------------------------------------- */

static const uint8_t *prefix_of(const struct page *p)
{
    return (const uint8_t *)p + PAGE_BYTES - p->prefix;
}

static size_t free_bytes(const struct page *p)
{
    return (size_t)p->heap - PAGE_HEADER_BYTES - 2u * p->count;
}

size_t node_used(const struct page *p)
{
    return PAGE_BYTES - free_bytes(p) - p->garbage;
}

void node_init(struct page *p, unsigned level)
{
    p->crc = 0;
    p->count = 0;
    p->heap = PAGE_BYTES;
    p->garbage = 0;
    p->prefix = 0;
    p->level = (uint8_t)level;
    p->run = 0;
    p->last = 0;
}

/* What lies between slots and cells is whatever the memory held before, and is nobody's business. */
void node_copy(struct page *to, const struct page *from)
{
    size_t head = PAGE_HEADER_BYTES + from->count * sizeof from->slot[0];

    memcpy(to, from, head);
    memset((uint8_t *)to + head, 0, from->heap - head);
    memcpy((uint8_t *)to + from->heap, (const uint8_t *)from + from->heap, PAGE_BYTES - from->heap);
}

static inline const uint8_t *cell_suffix(const struct page *p, unsigned slot, uint32_t *n)
{
    return varint_take((const uint8_t *)p + p->slot[slot], n);
}

struct cell node_cell(const struct page *p, unsigned slot)
{
    struct cell c;
    struct value_ref ref;
    uint32_t n;

    DCHECK(slot < p->count);
    c.suffix = cell_suffix(p, slot, &n);
    c.suffix_n = (uint16_t)n;
    c.body = c.suffix + n;
    c.body_n = (uint16_t)(p->level > 0 ? sizeof(struct page_ref) : body_decode(c.body, &ref));
    return c;
}

const uint8_t *node_body(const struct page *p, unsigned slot)
{
    uint32_t n;
    const uint8_t *suffix = cell_suffix(p, slot, &n);

    return suffix + n;
}

static size_t cell_bytes(const struct page *p, unsigned slot)
{
    struct cell c = node_cell(p, slot);
    return (size_t)(c.body - ((const uint8_t *)p + p->slot[slot])) + c.body_n;
}

struct page_ref node_child(const struct page *p, unsigned slot)
{
    struct page_ref child;
    uint32_t n;
    const uint8_t *suffix = cell_suffix(p, slot, &n);

    memcpy(&child, suffix + n, sizeof child);
    return child;
}

void node_set_child(struct page *p, unsigned slot, struct page_ref child)
{
    struct cell c = node_cell(p, slot);
    memcpy((uint8_t *)p + (c.body - (const uint8_t *)p), &child, sizeof child);
}

/* Where key lies beside all keys with the page's prefix: < 0 before, > 0 behind, 0: it has it. */
static int prefix_cmp(const struct page *p, str key)
{
    size_t n = MIN_OF(key.n, p->prefix);
    int c = n > 0 ? memcmp(key.p, prefix_of(p), n) : 0;

    if (c != 0)
        return c;
    return key.n < p->prefix ? -1 : 0;
}

/* Eight bytes as a number that has their order. */
static inline uint64_t load_order(const void *p)
{
    return be64toh(bytes_load(p));
}

/* Most keys differ in the first eight bytes behind the prefix, of which the suffix may have fewer: what it does
 * not have is masked out. (What is read for it behind its end is the page's.) */
static int suffix_cmp(str rest, const struct page *p, unsigned slot)
{
    uint32_t n;
    const uint8_t *suffix = cell_suffix(p, slot, &n);
    size_t m = MIN_OF(rest.n, n);
    int c;

    if (LIKELY(rest.n >= 8 && n > 0 && (const uint8_t *)p + PAGE_BYTES - suffix >= 8)) {
        uint64_t mask = n >= 8 ? UINT64_MAX : UINT64_MAX << (64 - 8 * n);
        uint64_t a = load_order(rest.p) & mask, b = load_order(suffix) & mask;
        if (a != b)
            return a < b ? -1 : 1;
        if (n < 8)
            return 1;
    }
    c = m > 0 ? memcmp(rest.p, suffix, m) : 0;
    if (c != 0)
        return c;
    return rest.n < n ? -1 : rest.n > n;
}

/* One of these two is looked at behind `mid`: on its way while that is compared, as a page of many is seldom in a cache. */
static inline void fetch_next(const struct page *p, unsigned lo, unsigned mid, unsigned hi)
{
    if (hi - lo < 4)
        return;
    __builtin_prefetch((const uint8_t *)p + p->slot[(lo + mid) / 2]);
    __builtin_prefetch((const uint8_t *)p + p->slot[(mid + 1 + hi) / 2]);
}

unsigned node_child_slot(const struct page *p, str key)
{
    unsigned lo = 1, hi = p->count; /* the first slot in [1, count) whose key is > key */
    int c = p->count > 1 ? prefix_cmp(p, key) : -1;

    if (c != 0)
        return c < 0 ? 0 : p->count - 1u;
    key = str_drop(key, p->prefix);
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        fetch_next(p, lo, mid, hi);
        if (suffix_cmp(key, p, mid) < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo - 1;
}

unsigned node_lower(const struct page *p, str key, bool *exact)
{
    unsigned lo = 0, hi = p->count;
    int c = prefix_cmp(p, key);

    *exact = false;
    if (c != 0)
        return c < 0 ? 0 : p->count;
    key = str_drop(key, p->prefix);
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        fetch_next(p, lo, mid, hi);
        c = suffix_cmp(key, p, mid);
        if (c == 0) {
            *exact = true;
            return mid;
        }
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

bool node_shares_prefix(const struct page *p, str prefix)
{
    return p->prefix >= prefix.n &&
           (prefix.n == 0 || memcmp(prefix.p, prefix_of(p), prefix.n) == 0);
}

bool node_has_prefix(const struct page *p, unsigned slot, str prefix)
{
    size_t n = MIN_OF(prefix.n, p->prefix);
    uint32_t m;
    const uint8_t *suffix = cell_suffix(p, slot, &m);

    if (n > 0 && memcmp(prefix.p, prefix_of(p), n) != 0)
        return false;
    prefix = str_drop(prefix, p->prefix);
    return prefix.n <= m && (prefix.n == 0 || memcmp(prefix.p, suffix, prefix.n) == 0);
}

unsigned node_prefix_end(const struct page *p, unsigned from, str prefix)
{
    while (from < p->count && node_has_prefix(p, from, prefix))
        from++;
    return from;
}

size_t node_key(const struct page *p, unsigned slot, uint8_t out[ENGINE_MAX_KEY_BYTES])
{
    uint32_t n;
    const uint8_t *suffix = cell_suffix(p, slot, &n);

    CHECK((size_t)p->prefix + n <= ENGINE_MAX_KEY_BYTES);
    memcpy(out, prefix_of(p), p->prefix);
    memcpy(out + p->prefix, suffix, n);
    return (size_t)p->prefix + n;
}

/* ---- changing in place ----------------------------------------------------------------------- */

void node_remove(struct page *p, unsigned slot, unsigned n)
{
    DCHECK(slot + n <= p->count);
    for (unsigned i = slot; i < slot + n; i++)
        p->garbage = (uint16_t)(p->garbage + cell_bytes(p, i));
    memmove(p->slot + slot, p->slot + slot + n, (p->count - slot - n) * sizeof p->slot[0]);
    p->count = (uint16_t)(p->count - n);
    p->run = 0;
}

bool node_overwrite(struct page *p, unsigned slot, const uint8_t *body, size_t n)
{
    struct cell c = node_cell(p, slot);

    if (c.body_n != n)
        return false;
    memcpy((uint8_t *)p + (c.body - (const uint8_t *)p), body, n);
    return true;
}

/* The part of an item's key behind its first `skip` bytes goes to `at`. */
static uint8_t *item_copy_from(const struct item *it, size_t skip, uint8_t *at)
{
    size_t from_head = skip < it->head_n ? it->head_n - skip : 0;
    size_t from_tail = it->head_n + (size_t)it->tail_n - skip - from_head;

    if (from_head > 0)
        memcpy(at, it->head + skip, from_head);
    if (from_tail > 0)
        memcpy(at + from_head, it->tail + it->tail_n - from_tail, from_tail);
    return at + from_head + from_tail;
}

size_t item_key(const struct item *it, uint8_t out[ENGINE_MAX_KEY_BYTES])
{
    CHECK((size_t)it->head_n + it->tail_n <= ENGINE_MAX_KEY_BYTES);
    return (size_t)(item_copy_from(it, 0, out) - out);
}

static size_t item_key_bytes(const struct item *it)
{
    return (size_t)it->head_n + it->tail_n;
}

static size_t item_cell_bytes(const struct item *it, size_t prefix)
{
    size_t suffix = item_key_bytes(it) - prefix;
    return varint_size((uint32_t)suffix) + suffix + it->body_n;
}

/* Writes the item's cell below the heap and its slot; it has the page's prefix and it fits. */
static void put_cell(struct page *p, unsigned slot, const struct item *it, size_t prefix)
{
    size_t n = item_cell_bytes(it, prefix);
    uint8_t *at;

    CHECK(n + 2 <= free_bytes(p));
    p->heap = (uint16_t)(p->heap - n);
    at = varint_put((uint8_t *)p + p->heap, (uint32_t)(item_key_bytes(it) - prefix));
    at = item_copy_from(it, prefix, at);
    memcpy(at, it->body, it->body_n);
    memmove(p->slot + slot + 1, p->slot + slot, (p->count - slot) * sizeof p->slot[0]);
    p->slot[slot] = p->heap;
    p->count++;
}

/* ---- building -------------------------------------------------------------------------------- */

size_t node_gather(const struct page *p, struct item *out)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct cell c = node_cell(p, i);
        bool no_key = p->level > 0 && i == 0;
        out[i] = (struct item){.head = prefix_of(p),
                               .head_n = no_key ? 0 : p->prefix,
                               .tail = c.suffix,
                               .tail_n = no_key ? 0 : c.suffix_n,
                               .body = c.body,
                               .body_n = c.body_n};
    }
    return p->count;
}

/* The length of what all keys begin with: in a sorted row, what the first and the last share. */
static size_t common_prefix(const struct item *it, size_t n, unsigned level)
{
    uint8_t a[ENGINE_MAX_KEY_BYTES], b[ENGINE_MAX_KEY_BYTES];
    size_t first = level > 0 ? 1 : 0, an, bn;

    if (n <= first)
        return 0;
    an = item_key(&it[first], a);
    bn = item_key(&it[n - 1], b);
    return str_common((str){(const char *)a, an}, (str){(const char *)b, bn});
}

/* Slot 0 of a branch is written without a key, whatever its item says. */
static struct item item_at(const struct item *it, size_t i, unsigned level)
{
    struct item item = it[i];

    if (level > 0 && i == 0)
        item.head_n = item.tail_n = 0;
    return item;
}

static size_t item_prefix(size_t i, unsigned level, size_t prefix)
{
    return level > 0 && i == 0 ? 0 : prefix;
}

static size_t bytes_with_prefix(const struct item *it, size_t n, unsigned level, size_t prefix)
{
    size_t sum = PAGE_HEADER_BYTES + prefix;

    for (size_t i = 0; i < n; i++) {
        struct item item = item_at(it, i, level);
        sum += 2 + item_cell_bytes(&item, item_prefix(i, level, prefix));
    }
    return sum;
}

size_t items_bytes(const struct item *it, size_t n, unsigned level)
{
    return bytes_with_prefix(it, n, level, common_prefix(it, n, level));
}

/* The items must not point into p. */
void node_build(struct page *p, const struct item *it, size_t n)
{
    size_t prefix = common_prefix(it, n, p->level);
    uint8_t key[ENGINE_MAX_KEY_BYTES];

    node_init(p, p->level);
    if (prefix > 0) {
        item_key(&it[n - 1], key);
        memcpy((uint8_t *)p + PAGE_BYTES - prefix, key, prefix);
        p->prefix = (uint16_t)prefix;
        p->heap = (uint16_t)(PAGE_BYTES - prefix);
    }
    for (size_t i = 0; i < n; i++) {
        struct item item = item_at(it, i, p->level);
        put_cell(p, (unsigned)i, &item, item_prefix(i, p->level, prefix));
    }
}

static bool item_has_prefix(const struct page *p, const struct item *it)
{
    uint8_t key[ENGINE_MAX_KEY_BYTES];
    size_t n = item_key(it, key);

    return n >= p->prefix && memcmp(key, prefix_of(p), p->prefix) == 0;
}

/* Tells sequential inserts from scattered ones, for the split. */
static void note_insert(struct page *p, unsigned slot)
{
    bool next = p->count > 1 && slot == p->last + 1u;

    p->run = (uint8_t)(next ? MIN_OF(p->run + 1, UINT8_MAX) : 0);
    p->last = (uint16_t)slot;
}

/*
 * Inserts at a slot; false: it does not fit, and `items` holds the page's items with the new one
 * among them, out of `scratch`, for a split.
 */
bool node_insert(struct page *p, unsigned slot, const struct item *it, struct page *scratch,
                 struct item *items)
{
    unsigned run = p->run, last = p->last;
    size_t n;

    if (item_has_prefix(p, it) && item_cell_bytes(it, p->prefix) + 2 <= free_bytes(p)) {
        put_cell(p, slot, it, p->prefix);
        note_insert(p, slot);
        return true;
    }
    memcpy(scratch, p, PAGE_BYTES);
    n = node_gather(scratch, items);
    memmove(items + slot + 1, items + slot, (n - slot) * sizeof *items);
    items[slot] = *it;
    if (items_bytes(items, n + 1, p->level) > PAGE_BYTES)
        return false;
    node_build(p, items, n + 1);
    p->run = (uint8_t)run;
    p->last = (uint16_t)last;
    note_insert(p, slot);
    return true;
}
