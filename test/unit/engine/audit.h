/*
 * test/unit/engine/audit.h - looks at an engine at rest from inside: are the invariants of node.c,
 * page.c and apply.c true? No transaction may be running.
 */
#ifndef TEST_ENGINE_AUDIT_H
#define TEST_ENGINE_AUDIT_H

#include "engine/private.h"
#include "test/unit/engine/kit.h"

struct audit {
    struct engine *e;
    uint8_t *seen;          /* by page number: how many lists and parents name it */
    uint64_t *cells, *live; /* by segment */
    uint64_t keys, leaves, leaf_bytes, values;
    uint8_t last[ENGINE_MAX_KEY_BYTES];
    size_t last_n;
};

KIT void audit_bytes(const struct page *p)
{
    size_t cells = 0;

    for (unsigned i = 0; i < p->count; i++) {
        struct cell c = node_cell(p, i);
        cells += (size_t)(c.body - ((const uint8_t *)p + p->slot[i])) + c.body_n;
        ck_assert_uint_ge(p->slot[i], p->heap);
    }
    ck_assert_uint_eq(p->heap + cells + p->garbage, PAGE_BYTES - p->prefix);
    ck_assert_uint_le(PAGE_HEADER_BYTES + 2u * p->count, p->heap);
}

/* Keys rise strictly through the whole tree. */
KIT void audit_key(struct audit *a, str key)
{
    ck_assert_int_gt(str_cmp(key, (str){(char *)a->last, a->last_n}), 0);
    memcpy(a->last, key.p, key.n);
    a->last_n = key.n;
}

KIT void audit_leaf(struct audit *a, const struct page *p)
{
    uint8_t key[ENGINE_MAX_KEY_BYTES];

    a->leaves++;
    a->leaf_bytes += node_used(p);
    for (unsigned i = 0; i < p->count; i++) {
        struct value_ref ref;
        size_t n = node_key(p, i, key);
        audit_key(a, (str){(char *)key, n});
        body_decode(node_cell(p, i).body, &ref);
        a->cells[ref.seg]++;
        a->live[ref.seg] += n + (ref.kind & VALUE_LINK ? 2 : ref.bytes + 8);
        a->values += ref.kind & VALUE_LINK ? 0 : ref.bytes;
        a->keys++;
    }
}

/* `low`: what the parent says is the least possible key below (separator). */
KIT void audit_page(struct audit *a, struct page_ref ref, unsigned level, str low)
{
    const struct page *p = page_get(&a->e->pages, ref);
    uint8_t key[ENGINE_MAX_KEY_BYTES];

    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(p->pgno, ref.pgno);
    ck_assert_uint_eq(p->stamp, ref.stamp);
    ck_assert_uint_eq(p->level, level);
    ck_assert_uint_gt(p->count, 0);
    a->seen[p->pgno]++;
    audit_bytes(p);
    if (level == 0) {
        size_t n = node_key(p, 0, key);
        ck_assert_int_ge(str_cmp((str){(char *)key, n}, low), 0);
        audit_leaf(a, p);
        return;
    }
    for (unsigned i = 0; i < p->count; i++) {
        str sep = low;
        if (i > 0) {
            sep = (str){(char *)key, node_key(p, i, key)};
            ck_assert_int_gt(str_cmp(sep, (str){(char *)a->last, a->last_n}), 0);
            ck_assert_int_ge(str_cmp(sep, low), 0);
        }
        audit_page(a, node_child(p, i), level - 1, sep);
    }
}

KIT void audit_lists(struct audit *a)
{
    const struct pages *ps = &a->e->pages;
    size_t memory = 0, unused = 0;

    for (uint32_t n = PAGE_FIRST; n < ps->next; n++) {
        const struct extent *x = ps->extent[n >> EXTENT_BITS];
        bool has = atomic_load(&x->memory[n & (EXTENT_PAGES - 1)]) != NULL;
        ck_assert_int_eq(has, bits_get(&ps->memory, n));
        ck_assert(!bits_get(&ps->free, n) || !has);
        memory += has;
        unused += bits_get(&ps->free, n);
        a->seen[n] += bits_get(&ps->free, n);
    }
    ck_assert_uint_eq(memory, ps->memory_n);
    ck_assert_uint_eq(unused, ps->free_n);
    for (uint64_t i = ps->retired.head; i < ps->retired.tail; i++)
        a->seen[((struct page_entry *)ring_at(&ps->retired, i))->pgno]++;
    ck_assert_uint_eq(ring_count(&ps->loose), 0);
    for (uint32_t n = PAGE_FIRST; n < ps->next; n++)
        ck_assert_msg(a->seen[n] == 1, "page %u is in %u places", n, a->seen[n]);
}

/* Returns how full the leaves are, in percent. */
KIT unsigned audit_engine(struct engine *e)
{
    const struct version *v = &e->writer.now;
    uint64_t segments, live = 0;
    struct audit a = {.e = e};

    pthread_mutex_lock(&e->keeper.work);
    pthread_mutex_lock(&e->writer.mutex);
    segments = e->log.next + 1;
    a.seen = calloc(e->pages.next, 1);
    a.cells = calloc(segments, sizeof *a.cells);
    a.live = calloc(segments, sizeof *a.live);
    if (v->root.pgno != PAGE_NONE)
        audit_page(&a, v->root, (unsigned)v->depth - 1, (str){"", 0});
    else
        ck_assert_uint_eq(v->depth, 0);
    audit_lists(&a);
    ck_assert_uint_eq(a.keys, v->keys);
    ck_assert_uint_eq(a.values, v->live_value_bytes);
    for (uint32_t n = 1; n < segments; n++) {
        struct segment *seg = log_segment(&e->log, n);
        ck_assert_uint_eq(seg == NULL ? 0 : seg->cells, a.cells[n]);
        ck_assert_uint_eq(seg == NULL ? 0 : seg->live_bytes, a.live[n]);
        live += a.live[n];
    }
    ck_assert_uint_eq(live, v->live_log_bytes);
    pthread_mutex_unlock(&e->writer.mutex);
    pthread_mutex_unlock(&e->keeper.work);
    free(a.seen);
    free(a.cells);
    free(a.live);
    return a.leaves == 0 ? 100 : (unsigned)(a.leaf_bytes * 100 / (a.leaves * PAGE_BYTES));
}

#endif
