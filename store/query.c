/*
 * store/query.c - how a query is answered.
 *
 * Where candidates come from, the first that fits:
 *     a filter on id (EQ, IN)      one look-up an id
 *     an index of declared fields  a part of it (plan.c), unless that turns out to be much
 *     shared_with                  the ranges of the principals, merged
 *     else                         the range of the objects, with that of the tombstones if wanted
 * Filters on last_modified that compare with an integer become bounds of the ranges; all others are
 * tested on each candidate (match.c).
 *
 * In which order: where last_modified decides and the candidates come from ranges, they come in
 * order, and the walk begins behind `after` and stops one behind the limit. Everything else goes
 * through a heap of the best `limit` (sort.c). An index may give them in order, but for groups in which they
 * differ by something else: then each group goes through a heap of its own.
 *
 * The total is O(1) out of the list's state when nothing narrows the query; else it is a walk of
 * its own, done only when it is asked for.
 */
#include "store/private.h"

static const str time_field = STR_INIT("last_modified");

/* What it takes to come to one, beside looking into it. */
#define OBJECT_WORK 64
#define KEY_WORK    16

#define REST_OBJECTS 128 /* that are taken: some 20 microseconds */
#define COPY_BYTES   32  /* that are copied while one is looked at */

/* ---- preparation ----------------------------------------------------------------------------- */

/* Turns the filter into a bound: last_modified against an integer. */
static bool bound_take(struct query_run *r, const struct store_filter *f)
{
    int64_t v;

    if (!str_eq(f->field, time_field) || !json_is(f->value, JSON_NUMBER) ||
        json_to_i64(f->value, &v) != OK)
        return false;
    switch (f->op) {
    case STORE_EQ:
        r->lo = MAX_OF(r->lo, v);
        r->hi = MIN_OF(r->hi, v);
        return true;
    case STORE_GT:
        r->lo = v < INT64_MAX ? MAX_OF(r->lo, v + 1) : INT64_MAX; /* no time is that late */
        return true;
    case STORE_MIN:
        r->lo = MAX_OF(r->lo, v);
        return true;
    case STORE_LT:
        r->hi = v > INT64_MIN ? MIN_OF(r->hi, v - 1) : INT64_MIN;
        return true;
    case STORE_MAX:
        r->hi = MIN_OF(r->hi, v);
        return true;
    case STORE_NOT:
    case STORE_IN:
    case STORE_EXCLUDE:
    case STORE_LIKE:
    case STORE_HAS:
    case STORE_CONTAINS:
    case STORE_CONTAINS_ANY:
        break;
    }
    return false;
}

static bool names_ids(const struct store_filter *f)
{
    return str_eq(f->field, STR("id")) && (f->op == STORE_EQ || f->op == STORE_IN);
}

static enum err filters_prepare(struct query_run *r)
{
    r->lo = INT64_MIN;
    r->hi = INT64_MAX;
    r->matches = ARENA_NEW_ARRAY(r->a, struct match, r->q->nfilters);
    if (r->matches == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < r->q->nfilters; i++) {
        const struct store_filter *f = &r->q->filters[i];
        struct match *m = &r->matches[r->nmatches];
        enum err e;
        if (bound_take(r, f))
            continue;
        e = store_match_init(r->a, f, m);
        if (e != OK)
            return e;
        m->work = &r->s->work;
        r->nmatches++;
        if (names_ids(f) && r->ids == NULL)
            r->ids = m;
    }
    return OK;
}

/* A field that was named before decides nothing any more. */
static bool sorted_by(const struct order *order, str field)
{
    for (size_t i = 0; i < order->n; i++)
        if (str_eq(order->keys[i].field, field))
            return true;
    return false;
}

static enum err order_prepare(struct query_run *r)
{
    const struct store_query *q = r->q;

    r->order = (struct order){.arena = r->a, .work = &r->s->work};
    r->order.keys = ARENA_NEW_ARRAY(r->a, struct store_sort, q->nsort + 1);
    if (r->order.keys == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < q->nsort; i++)
        if (!sorted_by(&r->order, q->sort[i].field))
            r->order.keys[r->order.n++] = q->sort[i];
    if (r->order.n == 0)
        r->order.keys[r->order.n++] = (struct store_sort){time_field, true};
    return OK;
}

static enum err after_prepare(struct query_run *r)
{
    const struct json *id;
    enum err e;

    if (r->q->after == NULL)
        return OK;
    r->has_after = true;
    e = store_entry_init(r->a, &r->order, &r->after);
    if (e == OK)
        e = store_entry_init(r->a, &r->order, &r->probe);
    for (size_t i = 0; i < r->order.n && e == OK; i++) {
        const struct json *v = json_get(r->q->after, r->order.keys[i].field);
        DCHECK(r->after.present != NULL);
        r->after.present[i] = v != NULL;
        if (v != NULL)
            e = store_raw_from(r->a, v, &r->after.fields[i]);
    }
    id = json_get_typed(r->q->after, STR("id"), JSON_STRING);
    if (id != NULL)
        r->after.object.o.id = json_string(id);
    return e;
}

/* ---- candidates ------------------------------------------------------------------------------ */

bool store_run_visible(struct query_run *r, const struct object *o)
{
    const struct store_query *q = r->q;

    r->seen += o->o.data.n;
    r->s->work.done += OBJECT_WORK;
    r->s->work.limit = r->before + MAX_OF(STORE_WORK_MAX, 10 * r->seen);
    if (o->o.last_modified < r->lo || o->o.last_modified > r->hi)
        return false;
    if (o->o.deleted && (!q->tombstones || q->shared_with != NULL))
        return false;
    if (q->shared_with != NULL && !store_acl_allows(&o->o, q->shared_with, q->shared_perms))
        return false;
    for (size_t i = 0; i < r->nmatches; i++)
        if (!r->matches[i].decided && !store_match_test(r->a, &r->matches[i], o))
            return false;
    return true;
}

enum err store_run_bounds(const struct query_run *r)
{
    if (arena_failed(r->a))
        return ERR_NOMEM;
    work_rest(&r->s->work);
    if (store_gave_up(r->s))
        return ERR_TIMEOUT;
    return work_over(&r->s->work) ? ERR_LIMIT : OK;
}

bool store_run_behind(struct query_run *r, const struct object *o)
{
    if (!r->has_after)
        return true;
    store_entry_set(&r->order, &r->probe, o);
    return store_order_compare(&r->order, &r->probe, &r->after) > 0;
}

struct source {
    bool by_id;
    size_t at;
    struct scan scan;
    struct plan_walk *walk; /* or NULL */
};

static enum err source_add(struct query_run *r, struct source *src, enum key_sub sub)
{
    struct key prefix;

    store_key_init_list(&prefix, r->list, sub);
    return store_scan_add(&src->scan, &prefix);
}

static enum err scan_open(struct query_run *r, struct source *src, bool tombstones)
{
    const struct store_principals *p = r->q->shared_with;
    enum err e;

    src->scan.s = r->s;
    src->scan.list = r->list;
    src->scan.arena = r->a;
    src->scan.shared = p != NULL;
    if (p != NULL)
        return store_scan_add_shared(&src->scan, p);
    e = source_add(r, src, SUB_TIME);
    if (e == OK && tombstones)
        e = source_add(r, src, SUB_TOMBSTONE);
    return e;
}

/* The scan's bounds and direction are set. */
static enum err source_open(struct query_run *r, struct source *src, bool tombstones)
{
    src->by_id = r->ids != NULL;
    if (r->plan != NULL)
        return store_plan_begin(r, &src->walk);
    return src->by_id ? OK : scan_open(r, src, tombstones);
}

/* The object with the next id of the filter that is there. */
static enum err next_by_id(struct query_run *r, struct source *src, struct object *out)
{
    const struct match *m = r->ids;
    const struct json_raw *ids;
    size_t n;

    DCHECK(m != NULL); /* as by_id says */
    ids = m->set != NULL ? m->set : &m->value;
    n = m->set != NULL ? m->nset : 1;
    while (src->at < n) {
        const struct json_raw *raw = &ids[src->at++];
        enum err e;
        str id;
        if (raw->type != JSON_STRING)
            continue;
        id = json_raw_string(r->a, raw);
        if (str_none(id))
            return ERR_NOMEM;
        e = store_object_get(r->s, r->list, id, out);
        if (e != ERR_NOTFOUND)
            return e;
    }
    return ERR_NOTFOUND;
}

/* The next candidate that is visible. OK, NOTFOUND at the end. */
static enum err source_next(struct query_run *r, struct source *src, struct object *out)
{
    enum err e;

    for (;;) {
        bool visible;
        e = src->by_id          ? next_by_id(r, src, out)
            : src->walk != NULL ? store_plan_next(src->walk, out)
                                : store_scan_next(&src->scan, out);
        if (e != OK)
            return e;
        visible = store_run_visible(r, out);
        e = store_run_bounds(r);
        if (e != OK || visible)
            return e;
    }
}

/* ---- the total ------------------------------------------------------------------------------- */

static enum err count_keys(struct query_run *r, uint64_t *total)
{
    struct source src = {.scan = {.lo = r->lo, .hi = r->hi}};
    enum err e = scan_open(r, &src, false);

    *total = 0;
    for (; e == OK; *total += e == OK) {
        e = store_scan_next(&src.scan, NULL);
        r->s->work.done += KEY_WORK;
        work_rest(&r->s->work);
        if (e == OK && store_gave_up(r->s))
            e = ERR_TIMEOUT;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err count_matches(struct query_run *r, uint64_t *total)
{
    struct source src = {.scan = {.lo = r->lo, .hi = r->hi}};
    struct object o;
    enum err e = source_open(r, &src, false);

    *total = 0;
    while (e == OK) {
        e = source_next(r, &src, &o);
        if (e == OK && !o.o.deleted)
            ++*total;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err count(struct query_run *r, uint64_t *total)
{
    if (r->nmatches > 0 || r->q->shared_with != NULL)
        return count_matches(r, total);
    if (r->lo > INT64_MIN || r->hi < INT64_MAX)
        return count_keys(r, total);
    *total = r->live;
    return OK;
}

/* ---- the page -------------------------------------------------------------------------------- */

static enum err deliver_bare(struct query_run *r, const struct object *o, struct store_object *out)
{
    *out = (struct store_object){.id = arena_str(r->a, o->o.id),
                                 .last_modified = o->o.last_modified,
                                 .deleted = o->o.deleted};
    return str_none(out->id) ? ERR_NOMEM : OK;
}

/* One object for the result; what lies in the transaction is copied. */
static enum err deliver(struct query_run *r, const struct object *o, struct store_object *out)
{
    if (r->q->bare)
        return deliver_bare(r, o, out);
    struct object kept;
    str value = o->value;
    enum err e = store_keep(r->s, r->a, &value);

    r->s->work.done += value.n / COPY_BYTES;

    if (e == OK && value.p == o->value.p)
        *out = o->o;
    else if (e == OK && (e = store_value_decode(value, &kept)) == OK)
        *out = kept.o;
    return e;
}

/* Narrows the walk to what can lie behind `after`. */
static void walk_from(struct query_run *r, struct scan *scan)
{
    const struct json *v = json_get(r->q->after, time_field);
    bool exact = !str_none(r->after.object.o.id);
    int64_t ms;

    if (!json_is(v, JSON_NUMBER) || json_to_i64(v, &ms) != OK || ms < scan->lo || ms > scan->hi)
        return;
    if (scan->descending)
        scan->hi = ms;
    else
        scan->lo = ms;
    if (exact) {
        store_key_add_ms(&scan->start, ms);
        store_key_add_id(&scan->start, r->after.object.o.id);
    }
}

/* Room for one more. */
static enum err result_grow(struct query_run *r, struct store_result *out, size_t *cap)
{
    size_t more = *cap == 0 ? 16 : 2 * *cap;
    struct store_object *objects;

    if (out->count < *cap)
        return OK;
    objects = arena_extend(r->a, out->objects, *cap * sizeof *objects, more * sizeof *objects);
    if (objects == NULL)
        return ERR_NOMEM;
    out->objects = objects;
    *cap = more;
    return OK;
}

static enum err page_in_order(struct query_run *r, struct store_result *out)
{
    bool descending = r->order.keys[0].descending;
    struct source src = {.scan = {.lo = r->lo, .hi = r->hi, .descending = descending}};
    size_t cap = 0, bytes = 0;
    enum err e;

    if (r->has_after)
        walk_from(r, &src.scan);
    e = source_open(r, &src, r->q->tombstones);
    while (e == OK) {
        struct object o;
        e = source_next(r, &src, &o);
        if (e != OK || !store_run_behind(r, &o))
            continue;
        if ((r->q->limit > 0 && out->count == r->q->limit) ||
            (r->q->enough_bytes > 0 && bytes >= r->q->enough_bytes)) {
            out->more = true;
            break;
        }
        e = result_grow(r, out, &cap);
        if (e == OK)
            e = deliver(r, &o, &out->objects[out->count]);
        bytes += o.value.n;
        out->count += e == OK;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

/* Objects of a sorted page are taken one behind the other, and nothing is looked at that would count. */
static void rest_sometimes(const struct query_run *r, size_t taken)
{
    if (taken % REST_OBJECTS == 0)
        work_rest_now(&r->s->work);
}

static enum err page_sorted(struct query_run *r, struct store_result *out)
{
    struct source src = {.scan = {.lo = r->lo, .hi = r->hi}};
    struct best best;
    struct object o;
    enum err e = store_best_init(&best, r->a, &r->order, r->q->limit);

    if (e == OK)
        e = source_open(r, &src, r->q->tombstones);
    while (e == OK) {
        e = source_next(r, &src, &o);
        if (e == OK && store_run_behind(r, &o))
            e = store_best_add(&best, &o);
    }
    if (e != ERR_NOTFOUND)
        return e;
    store_best_sort(&best);
    out->objects = ARENA_NEW_ARRAY(r->a, struct store_object, best.n);
    if (out->objects == NULL)
        return ERR_NOMEM;
    for (e = OK; out->count < best.n && e == OK; rest_sometimes(r, ++out->count))
        e = deliver(r, &best.heap[out->count].object, &out->objects[out->count]);
    out->more = best.more;
    return e;
}

/* ---- the page, group by group ---------------------------------------------------------------- */

struct groups {
    struct query_run *r;
    struct store_result *out;
    size_t cap;
    struct object lone; /* the first of a group: most have no other */
    bool has_lone;
    struct best best; /* where there is another: all of them */
};

static enum err group_put(struct groups *g, const struct object *o)
{
    enum err e = result_grow(g->r, g->out, &g->cap);

    if (e == OK)
        e = deliver(g->r, o, &g->out->objects[g->out->count]);
    g->out->count += e == OK;
    return e;
}

/* The group is complete. */
static enum err group_end(struct groups *g)
{
    enum err e = OK;

    if (g->has_lone)
        e = group_put(g, &g->lone);
    g->has_lone = false;
    store_best_sort(&g->best);
    for (size_t i = 0; i < g->best.n && e == OK; rest_sometimes(g->r, ++i))
        e = group_put(g, &g->best.heap[i].object);
    g->out->more = g->best.more;
    g->best.n = 0;
    if (g->best.limit > 0)
        g->best.limit = g->r->q->limit - g->out->count;
    return e;
}

static enum err group_add(struct groups *g, const struct object *o)
{
    enum err e = OK;

    if (!g->has_lone && g->best.n == 0) {
        g->lone = *o;
        g->has_lone = true;
        return OK;
    }
    if (g->has_lone)
        e = store_best_add(&g->best, &g->lone);
    g->has_lone = false;
    return e == OK ? store_best_add(&g->best, o) : e;
}

static enum err page_grouped(struct query_run *r, struct store_result *out)
{
    struct source src = {.scan = {.lo = r->lo, .hi = r->hi}};
    struct groups g = {.r = r, .out = out};
    uint64_t group = 0;
    struct object o;
    enum err e = store_best_init(&g.best, r->a, &r->order, r->q->limit);

    if (e == OK)
        e = source_open(r, &src, false);
    while (e == OK) {
        e = source_next(r, &src, &o);
        if (e != OK || !store_run_behind(r, &o))
            continue;
        DCHECK(src.walk != NULL);
        if (src.walk->groups > group)
            e = group_end(&g);
        group = src.walk->groups;
        if (e == OK && out->count == r->q->limit && r->q->limit > 0) {
            out->more = true;
            return OK;
        }
        if (e == OK)
            e = group_add(&g, &o);
    }
    return e == ERR_NOTFOUND ? group_end(&g) : e;
}

enum err store_run_prepare(struct query_run *r)
{
    enum err e = filters_prepare(r);

    r->before = r->s->work.done;
    r->s->work.limit = r->before + STORE_WORK_MAX;
    if (e == OK)
        e = order_prepare(r);
    return e == OK ? after_prepare(r) : e;
}

uint64_t store_work(const struct store_session *s)
{
    return s->work.done;
}

void store_work_at_most(struct store_session *s, uint64_t most)
{
    s->work.most = most;
}

void store_work_until(struct store_session *s, const _Atomic bool *stop)
{
    s->work.stop = stop;
}

void store_work_rests(struct store_session *s, uint64_t every, void (*rest)(void *ctx), void *ctx)
{
    s->work.rest = rest;
    s->work.rest_ctx = ctx;
    s->work.rest_every = every;
    s->work.rest_next = s->work.done + every;
}

bool store_gave_up(const struct store_session *s)
{
    const struct work *w = &s->work;

    return (w->most > 0 && w->done > w->most) ||
           (w->stop != NULL && atomic_load_explicit(w->stop, memory_order_relaxed));
}

/* AGAIN: not by this plan. */
static enum err answer(struct query_run *r, struct store_result *out)
{
    bool in_order = r->order.n == 1 && str_eq(r->order.keys[0].field, time_field) &&
                    r->ids == NULL && r->plan == NULL;
    bool grouped = r->plan != NULL && r->plan->sorted;
    enum err e = r->q->want_total ? count(r, &out->total) : OK;

    if (e == OK && r->plan != NULL)
        e = store_plan_behind(r);
    if (e == OK)
        e = in_order ? page_in_order(r, out) : grouped ? page_grouped(r, out) : page_sorted(r, out);
    return e == OK ? store_run_bounds(r) : e;
}

enum err store_query(struct store_session *s, struct arena *a, struct store_list_id list,
                     const struct store_query *q, struct store_result *out)
{
    STORE_TIME(s->thread->store, LIST);
    struct store_result result = {.count = 0};
    struct query_run r = {.s = s, .a = a, .q = q};
    struct list *l;
    enum err e = store_list_find(s, list, &l);

    if (e == ERR_NOTFOUND) {
        *out = result;
        return OK;
    }
    if (e == OK) {
        r.list = l->number;
        r.live = l->live;
        e = store_run_prepare(&r);
    }
    if (e == OK)
        e = store_plan_make(&r, l);
    if (e == OK)
        e = answer(&r, &result);
    if (e == ERR_AGAIN) { /* the index does not pay */
        store_plan_leave(&r);
        result = (struct store_result){.count = 0};
        e = answer(&r, &result);
    }
    if (e == OK)
        *out = result;
    return e;
}
