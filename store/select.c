/*
 * store/select.c - lists that are stored nowhere: walks through stored objects, from which the
 * caller makes rows, and the page of those rows that a query asks for.
 *
 * A selection keeps the best `limit` rows. A row that falls out of them leaves its memory to the
 * next one, so however many are added, in whatever order, the arena holds about a page of them.
 */
#include "store/private.h"

/* ---- walks ----------------------------------------------------------------------------------- */

struct store_walk {
    struct scan scan;
    const struct store_principals *shared_with; /* NULL: every object */
};

enum err store_walk_new(struct store_session *s, struct arena *a,
                        const struct store_principals *shared_with, struct store_walk **out)
{
    struct store_walk *w = ARENA_NEW(a, struct store_walk);

    if (w == NULL)
        return ERR_NOMEM;
    *w = (struct store_walk){
        .scan =
            {.s = s, .arena = a, .shared = shared_with != NULL, .lo = INT64_MIN, .hi = INT64_MAX},
        .shared_with = shared_with,
    };
    *out = w;
    return OK;
}

enum err store_walk_list(struct store_walk *w, struct store_list_id list)
{
    struct key prefix;
    struct list *l;
    enum err e = store_list_find(w->scan.s, list, &l);

    w->scan.n = 0;
    if (e != OK)
        return e == ERR_NOTFOUND ? OK : e;
    w->scan.list = l->number;
    if (w->shared_with != NULL)
        return store_scan_add_shared(&w->scan, w->shared_with);
    store_key_init_list(&prefix, w->scan.list, SUB_TIME);
    return store_scan_add(&w->scan, &prefix);
}

enum err store_walk_next(struct store_walk *w, struct store_object *out)
{
    struct object o;
    enum err e = store_scan_next(&w->scan, &o);

    if (e == OK)
        *out = o.o;
    return e;
}

/* ---- selections ------------------------------------------------------------------------------ */

struct row { /* the memory of one, used again */
    size_t cap;
    char text[];
};
#define MIN_ROW_BYTES 256

struct store_selection {
    struct query_run run;
    struct best best;
    struct row *spare;
    uint64_t total;
};

enum err store_select_new(struct store_session *s, struct arena *a, const struct store_query *q,
                          struct store_selection **out)
{
    struct store_selection *sel = ARENA_NEW(a, struct store_selection);
    enum err e;

    if (sel == NULL)
        return ERR_NOMEM;
    *sel = (struct store_selection){.run = {.s = s, .a = a, .q = q}};
    e = store_run_prepare(&sel->run);
    if (e == OK)
        e = store_best_init(&sel->best, a, &sel->run.order, q->limit);
    if (e == OK)
        *out = sel;
    return e;
}

bool store_select_may(struct store_selection *sel, str row, const str *known, size_t n)
{
    struct object o = {.o = {.data = row}};

    for (size_t i = 0; i < sel->run.nmatches; i++)
        for (size_t k = 0; k < n; k++)
            if (str_eq(sel->run.matches[i].filter->field, known[k]) &&
                !store_match_test(sel->run.a, &sel->run.matches[i], &o))
                return false;
    return true;
}

/* A copy, in the spare memory if it is large enough. False: no memory. */
static bool row_copy(struct store_selection *sel, str text, struct row **out)
{
    struct row *row = sel->spare;

    sel->spare = NULL;
    if (row == NULL || row->cap < text.n) {
        size_t cap = MIN_ROW_BYTES, bytes;
        while (cap < text.n)
            cap *= 2;
        if (!size_add(sizeof *row, cap, &bytes) || (row = arena_alloc(sel->run.a, bytes)) == NULL)
            return false;
        row->cap = cap;
    }
    memcpy(row->text, text.p, text.n);
    *out = row;
    return true;
}

static struct row *row_of(str text)
{
    return (struct row *)(void *)(text.p - offsetof(struct row, text));
}

/* To make a row takes as long as looking through so many bytes. */
#define ROW_WEIGHT ((uint64_t)4 * KIB)

enum err store_select_add(struct store_selection *sel, str text)
{
    struct object o = {.o = {.data = text}};
    size_t before = sel->best.n;
    struct row *row;
    enum err e;

    sel->run.seen += ROW_WEIGHT;
    sel->run.s->work.done += ROW_WEIGHT;
    if (!store_run_visible(&sel->run, &o))
        return store_run_bounds(&sel->run);
    sel->total++;
    if (!store_run_behind(&sel->run, &o))
        return OK;
    if (!row_copy(sel, text, &row))
        return ERR_NOMEM;
    o.o.data.p = row->text;
    e = store_best_add(&sel->best, &o);
    if (e == OK && sel->best.n == before) /* it, or the one that it took the place of */
        sel->spare = row_of(sel->best.spare.object.o.data);
    return e == OK ? store_run_bounds(&sel->run) : e;
}

enum err store_select_end(struct store_selection *sel, struct store_result *out)
{
    struct best *best = &sel->best;
    struct store_result result = {.more = best->more, .total = sel->total};
    enum err e;

    store_best_sort(best);
    result.objects = ARENA_NEW_ARRAY(sel->run.a, struct store_object, best->n);
    if (result.objects == NULL)
        return ERR_NOMEM;
    e = store_run_bounds(&sel->run);
    if (e != OK)
        return e;
    for (; result.count < best->n; result.count++)
        result.objects[result.count] = best->heap[result.count].object.o;
    *out = result;
    return OK;
}
