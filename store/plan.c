/*
 * store/plan.c - which index of declared fields answers a query, and the walk through it.
 *
 * An index is of use for filters that give its first fields (EQ), for bounds of the field behind these, and for
 * an order by that field; behind the last one stands last_modified. Whatever comes out is a candidate: the query
 * tests it as any other (query.c), for different values may have the same key (field.c).
 *
 * Does it pay? To come to an object by an index takes some times as long as to come to the next one in the
 * order of time. So the walk ends at an eighth of the list, and everything is looked at instead: what was
 * done in vain is then less than that takes. In the order of time, which is not that of such an index, a page
 * ends with its last object: if a share s of n objects match, after limit / s of them, and the index has s * n.
 * Beyond the root of limit * n the order of time is the shorter way.
 */
#include "store/private.h"

#include <math.h>

#define PART 8
#define FEW  64

static const str time_field = STR_INIT("last_modified");

/* ---- the choice ------------------------------------------------------------------------------ */

/* A filter of that kind on the field; NULL: there is none. */
static struct match *find_match(const struct query_run *r, str field, enum store_op op)
{
    for (size_t i = 0; i < r->nmatches; i++)
        if (r->matches[i].filter->op == op && str_eq(r->matches[i].filter->field, field))
            return &r->matches[i];
    return NULL;
}

/* The field behind those that are given. */
static str next_field(const struct field_index *ix, unsigned at)
{
    return at < ix->n ? ix->names[at] : time_field;
}

/* The first fields that filters give go to the prefix. */
static enum err give(struct query_run *r, const struct field_index *ix, struct plan *p)
{
    struct match *m;
    enum err e = OK;

    while (e == OK && p->given < ix->n &&
           (m = find_match(r, ix->names[p->given], STORE_EQ)) != NULL) {
        e = store_fields_add(r->a, &p->prefix, ix, &m->value);
        if (store_fields_exact(&p->prefix, &m->value))
            p->decided[p->ndecided++] = m;
        p->given++;
    }
    return e;
}

/* Is the first key of the order the field behind those that are given? What comes behind that one in the index is not
 * in order: where values that differ have the same F, it begins anew with each of them. */
static void look_at_order(const struct query_run *r, const struct field_index *ix, struct plan *p)
{
    const struct store_sort *first = &r->order.keys[0];

    p->sorted = str_eq(first->field, next_field(ix, p->given));
    p->descending = p->sorted && first->descending;
}

/* A bound takes the place of one that leaves more. */
static void narrow(struct key *bound, const struct key *to, bool upper)
{
    int c = str_cmp(key_str(to), key_str(bound));

    if (bound->n == 0 || (upper ? c < 0 : c > 0))
        *bound = *to;
}

static enum err bound_by(struct query_run *r, const struct field_index *ix, struct plan *p,
                         const struct json_raw *v, bool upper)
{
    struct key k = p->prefix;
    enum err e = store_fields_add(r->a, &k, ix, v);

    if (e == OK)
        narrow(upper ? &p->hi : &p->lo, &k, upper);
    return e;
}

static void bound_by_time(struct plan *p, int64_t ms, bool upper)
{
    struct key k = p->prefix;

    store_key_add_ms(&k, ms);
    narrow(upper ? &p->hi : &p->lo, &k, upper);
}

/* By filters on the field behind those that are given. */
static enum err bound(struct query_run *r, const struct field_index *ix, struct plan *p)
{
    static const struct {
        enum store_op op;
        bool upper;
    } ops[] = {{STORE_GT, false}, {STORE_MIN, false}, {STORE_LT, true}, {STORE_MAX, true}};
    enum err e = OK;

    if (p->given == ix->n && r->lo > INT64_MIN)
        bound_by_time(p, r->lo, false);
    if (p->given == ix->n && r->hi < INT64_MAX)
        bound_by_time(p, r->hi, true);
    for (size_t i = 0; i < ARRAY_LEN(ops) && p->given < ix->n && e == OK; i++) {
        const struct match *m = find_match(r, ix->names[p->given], ops[i].op);
        if (m != NULL)
            e = bound_by(r, ix, p, &m->value, ops[i].upper);
    }
    return e;
}

enum err store_plan_behind(struct query_run *r)
{
    struct plan *p = r->plan;
    const struct field_index *ix = &p->fields->index[p->index];
    const struct json_raw *v = NULL;
    const struct json *time = json_get(r->q->after, time_field);
    int64_t ms;

    if (!r->has_after || !p->sorted)
        return OK;
    if (p->given == ix->n) {
        if (json_is(time, JSON_NUMBER) && json_to_i64(time, &ms) == OK)
            bound_by_time(p, ms, p->descending);
        return OK;
    }
    DCHECK(r->after.present != NULL);
    if (r->after.present[0])
        v = &r->after.fields[0];
    return bound_by(r, ix, p, v, p->descending);
}

/* What an index is worth; 0: nothing. */
static unsigned worth(const struct query_run *r, const struct field_index *ix, const struct plan *p)
{
    bool bounded = p->lo.n > 0 || p->hi.n > 0, timed = r->lo > INT64_MIN || r->hi < INT64_MAX;
    bool ordered = p->sorted && r->q->limit > 0;

    if (timed && p->given < ix->n) /* the order of time narrows it down as well */
        return 0;
    return 4 * p->given + 2 * ordered + bounded;
}

static enum err try_index(struct query_run *r, const struct list *l, unsigned i, struct plan *p)
{
    const struct field_index *ix = &l->fields->index[i];
    enum err e;

    *p = (struct plan){.fields = l->fields, .index = i};
    store_fields_prefix(&p->prefix, l->number, i);
    e = give(r, ix, p);
    look_at_order(r, ix, p);
    if (e == OK)
        e = bound(r, ix, p);
    return e;
}

/* So many keys may be looked at. */
static uint64_t most_keys(const struct query_run *r, const struct list *l, const struct plan *p)
{
    uint64_t most = l->live / PART;
    bool by_time = r->order.n == 1 && str_eq(r->order.keys[0].field, time_field);

    if (by_time && !p->sorted && r->q->limit > 0)
        most = MIN_OF(most, (uint64_t)sqrt((double)l->live * ((double)r->q->limit + 1)));
    return most + FEW;
}

static enum err choose(struct query_run *r, const struct list *l)
{
    unsigned best = 0;

    for (unsigned i = 0; i < l->fields->n; i++) {
        struct plan p;
        unsigned value;
        enum err e = try_index(r, l, i, &p);
        if (e != OK)
            return e;
        value = worth(r, &l->fields->index[i], &p);
        if (value <= best)
            continue;
        if (r->plan == NULL)
            r->plan = ARENA_NEW(r->a, struct plan);
        if (r->plan == NULL)
            return ERR_NOMEM;
        best = value;
        p.most = most_keys(r, l, &p);
        *r->plan = p;
    }
    return OK;
}

enum err store_plan_make(struct query_run *r, const struct list *l)
{
    const struct store_query *q = r->q;

    r->plan = NULL;
    if (l->fields == NULL || q->tombstones || q->shared_with != NULL || q->enough_bytes > 0 ||
        r->ids != NULL)
        return OK;
    enum err e = choose(r, l);
    for (unsigned i = 0; e == OK && r->plan != NULL && i < r->plan->ndecided; i++)
        r->plan->decided[i]->decided = true;
    return e;
}

void store_plan_leave(struct query_run *r)
{
    for (unsigned i = 0; i < r->plan->ndecided; i++)
        r->plan->decided[i]->decided = false;
    r->plan = NULL;
}

/* ---- the walk -------------------------------------------------------------------------------- */

enum err store_plan_begin(struct query_run *r, struct plan_walk **out)
{
    struct plan_walk *w = ARENA_NEW(r->a, struct plan_walk);

    if (w == NULL)
        return ERR_NOMEM;
    w->r = r;
    w->plan = r->plan;
    w->started = false;
    w->seen = w->groups = 0;
    engine_cursor_init(&w->cursor, r->s->view, key_str(&r->plan->prefix));
    *out = w;
    return OK;
}

/* To the last key that begins with the bound, or is before it: the one before all that do not. */
static bool seek_last(struct plan_walk *w)
{
    struct key k = w->plan->hi;

    while (k.n > 0 && (uint8_t)k.b[k.n - 1] == 0xFF)
        k.n--;
    if (k.n == 0)
        return engine_cursor_last(&w->cursor);
    k.b[k.n - 1] = (char)((uint8_t)k.b[k.n - 1] + 1);
    return engine_cursor_seek_before(&w->cursor, key_str(&k));
}

static bool move(struct plan_walk *w)
{
    const struct plan *p = w->plan;

    if (w->started)
        return p->descending ? engine_cursor_prev(&w->cursor) : engine_cursor_next(&w->cursor);
    w->started = true;
    if (p->descending)
        return p->hi.n > 0 ? seek_last(w) : engine_cursor_last(&w->cursor);
    return p->lo.n > 0 ? engine_cursor_seek(&w->cursor, key_str(&p->lo))
                       : engine_cursor_first(&w->cursor);
}

/* Nothing further on in the direction of the walk lies within the bounds. */
static bool is_beyond(const struct plan *p, str key)
{
    if (p->descending)
        return p->lo.n > 0 && str_cmp(key, key_str(&p->lo)) < 0;
    return p->hi.n > 0 && str_cmp(str_sub(key, 0, MIN_OF(key.n, p->hi.n)), key_str(&p->hi)) > 0;
}

/* Those with the same value behind what is given are a group; last_modified may be that value. */
static void note_group(struct plan_walk *w, str group)
{
    if (w->groups > 0 && str_eq(group, key_str(&w->group)))
        return;
    w->group.n = 0;
    store_key_add(&w->group, group);
    w->groups++;
}

static enum err take_apart(struct plan_walk *w, str key, str *time)
{
    const struct plan *p = w->plan;
    unsigned left = p->fields->index[p->index].n - p->given;
    size_t first = p->prefix.n + KEY_TIME_LEN, end = p->prefix.n;

    if (left > 0) {
        first = store_fields_skip(key, end, 1);
        end = store_fields_skip(key, end, left);
    }
    if (first == 0 || end == 0 || end + KEY_TIME_LEN > key.n)
        return ERR_CORRUPT;
    note_group(w, str_sub(key, 0, first));
    *time = str_drop(key, end);
    return OK;
}

static enum err read_object(struct plan_walk *w, str time, struct object *out)
{
    str value;
    enum err e = engine_cursor_value(&w->cursor, &value);

    if (e == OK && value.n == 0)
        return store_object_at(w->r->s, w->r->list, time, out);
    return e == OK ? store_value_decode_at(value, time, out) : e;
}

enum err store_plan_next(struct plan_walk *w, struct object *out)
{
    str key, time;
    enum err e;

    if (!move(w)) {
        e = engine_cursor_err(&w->cursor);
        return e == OK ? ERR_NOTFOUND : e;
    }
    if (w->seen++ == w->plan->most)
        return ERR_AGAIN;
    key = engine_cursor_key(&w->cursor);
    if (is_beyond(w->plan, key))
        return ERR_NOTFOUND;
    e = take_apart(w, key, &time);
    if (e == OK)
        e = read_object(w, time, out);
    return e == ERR_CORRUPT ? ERR_AGAIN : e; /* the objects themselves may be right */
}
