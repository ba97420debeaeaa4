/*
 * store/sort.c - the order of objects, and the first n of many in that order.
 *
 * Any order ends in the id, so it is total: a page that begins behind the last object of the one
 * before leaves nothing out and gives nothing twice. The first n are kept in a heap with the last
 * of them on top, so a page costs memory for its own length, however long the list is.
 */
#include "store/private.h"

#define REST_EVERY 32 /* entries that are sorted: some 20 microseconds */

enum err store_entry_init(struct arena *a, const struct order *order, struct entry *e)
{
    e->fields = ARENA_NEW_ARRAY(a, struct json_raw, order->n);
    e->present = ARENA_NEW_ARRAY(a, bool, order->n);
    return e->fields != NULL && e->present != NULL ? OK : ERR_NOMEM;
}

void store_entry_set(const struct order *order, struct entry *e, const struct object *o)
{
    e->object = *o;
    for (size_t i = 0; i < order->n; i++) {
        e->present[i] = store_object_field(order->arena, o, order->keys[i].field, &e->fields[i]);
        store_work_field(order->work, o, e->present[i] ? &e->fields[i] : NULL);
    }
}

int store_order_compare(const struct order *order, const struct entry *x, const struct entry *y)
{
    bool descending = false;
    int c = 0;

    for (size_t i = 0; i < order->n && c == 0; i++) {
        descending = order->keys[i].descending;
        c = store_compare(order->arena, order->work, x->present[i] ? &x->fields[i] : NULL,
                          y->present[i] ? &y->fields[i] : NULL);
    }
    if (c == 0 && !str_none(x->object.o.id) && !str_none(y->object.o.id))
        c = store_id_compare(x->object.o.id, y->object.o.id);
    return descending ? -c : c;
}

enum err store_best_init(struct best *b, struct arena *a, const struct order *order, size_t limit)
{
    *b = (struct best){.order = order, .arena = a, .limit = limit};
    return store_entry_init(a, order, &b->spare);
}

static void swap(struct entry *x, struct entry *y)
{
    struct entry t = *x;

    *x = *y;
    *y = t;
}

static void sift_up(struct best *b, size_t i)
{
    while (i > 0 && store_order_compare(b->order, &b->heap[(i - 1) / 2], &b->heap[i]) < 0) {
        swap(&b->heap[(i - 1) / 2], &b->heap[i]);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct best *b, size_t n)
{
    size_t i = 0;

    for (;;) {
        size_t last = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++)
            if (store_order_compare(b->order, &b->heap[last], &b->heap[child]) < 0)
                last = child;
        if (last == i)
            return;
        swap(&b->heap[i], &b->heap[last]);
        i = last;
    }
}

static enum err push(struct best *b, const struct object *o)
{
    struct entry *e;
    enum err err;

    if (b->n == b->cap) {
        size_t cap = b->cap == 0 ? 16 : 2 * b->cap;
        struct entry *heap =
            arena_extend(b->arena, b->heap, b->cap * sizeof *heap, cap * sizeof *heap);
        if (heap == NULL)
            return ERR_NOMEM;
        b->heap = heap;
        b->cap = cap;
    }
    e = &b->heap[b->n];
    err = store_entry_init(b->arena, b->order, e);
    if (err != OK)
        return err;
    store_entry_set(b->order, e, o);
    sift_up(b, b->n++);
    return OK;
}

enum err store_best_add(struct best *b, const struct object *o)
{
    if (b->limit == 0 || b->n < b->limit)
        return push(b, o);
    b->more = true;
    store_entry_set(b->order, &b->spare, o);
    if (store_order_compare(b->order, &b->spare, &b->heap[0]) < 0) {
        swap(&b->spare, &b->heap[0]);
        sift_down(b, b->n);
    }
    return OK;
}

void store_best_sort(struct best *b)
{
    for (size_t n = b->n; n > 1; n--) {
        swap(&b->heap[0], &b->heap[n - 1]);
        sift_down(b, n - 1);
        if (n % REST_EVERY == 0)
            work_rest_now(b->order->work);
    }
}
