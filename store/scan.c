/*
 * store/scan.c - objects of a list in the order of time, out of one or more ranges of keys.
 *
 * All three kinds of ranges (objects, tombstones, what a principal holds permissions on) end in the
 * same TIME, so one merge serves the plain list, the list with tombstones, and the list of what is
 * shared with many principals. Of the ranges of a list with tombstones no two hold the same TIME
 * (private.h, invariant 1); of those of principals an object that two of them may see does, and is
 * given once.
 *
 * A user may be in very many groups. What is open in the list is found by walking through its index
 * and the principals side by side, so principals that hold nothing in it cost next to nothing, and
 * the ranges that there are lie in a heap.
 */
#include "store/private.h"

/* Takes over where the cursor stands. `there`: it stands at a key. False: at the end. */
static enum err arrive(const struct scan *sc, struct scan_range *r, bool there)
{
    int64_t ms;

    r->time = STR_NONE;
    if (!there)
        return engine_cursor_err(&r->cursor);
    r->time = str_drop(engine_cursor_key(&r->cursor), r->prefix.n);
    if (r->time.n < KEY_TIME_LEN)
        return ERR_CORRUPT;
    ms = store_time_ms(r->time);
    if (ms < sc->lo || ms > sc->hi)
        r->time = STR_NONE;
    return OK;
}

static bool seek_up(const struct scan *sc, struct scan_range *r)
{
    struct key at = r->prefix;

    store_key_add_ms(&at, sc->lo);
    if (!engine_cursor_seek(&r->cursor, key_str(&at)))
        return false;
    /* A TIME without ID lies before all that have one; it may be behind the start all the same. */
    if (sc->start.n == 0 || str_eq(engine_cursor_key(&r->cursor), key_str(&at)))
        return true;
    at = r->prefix;
    store_key_add(&at, key_str(&sc->start));
    return engine_cursor_seek(&r->cursor, key_str(&at));
}

static bool seek_down(const struct scan *sc, struct scan_range *r)
{
    struct key at = r->prefix;

    if (sc->start.n > 0)
        store_key_add(&at, key_str(&sc->start));
    else if (sc->hi < INT64_MAX)
        store_key_add_ms(&at, sc->hi + 1);
    else
        return engine_cursor_last(&r->cursor);
    return engine_cursor_seek_before(&r->cursor, key_str(&at));
}

/* ---- the heap -------------------------------------------------------------------------------- */

static bool is_before(const struct scan *sc, size_t x, size_t y)
{
    int c = str_cmp(sc->ranges[x]->time, sc->ranges[y]->time);

    return sc->descending ? c > 0 : c < 0;
}

static void swap(struct scan *sc, size_t x, size_t y)
{
    struct scan_range *r = sc->ranges[x];

    sc->ranges[x] = sc->ranges[y];
    sc->ranges[y] = r;
}

static void sift_up(struct scan *sc, size_t i)
{
    for (; i > 0 && is_before(sc, i, (i - 1) / 2); i = (i - 1) / 2)
        swap(sc, i, (i - 1) / 2);
}

static void sift_down(struct scan *sc, size_t i)
{
    for (size_t child; (child = 2 * i + 1) < sc->n; i = child) {
        if (child + 1 < sc->n && is_before(sc, child + 1, child))
            child++;
        if (!is_before(sc, child, i))
            return;
        swap(sc, i, child);
    }
}

/* ---- ranges ---------------------------------------------------------------------------------- */

/* One that has come to its end, or a new one: at the end of the heap, and not in it yet. A range
 * does not move in memory, because its cursor borrows the prefix. */
static struct scan_range *spare(struct scan *sc)
{
    if (sc->n < sc->made)
        return sc->ranges[sc->n];
    if (sc->made == sc->cap) {
        size_t more = sc->cap == 0 ? 4 : 2 * sc->cap;
        struct scan_range **ranges =
            arena_extend(sc->arena, sc->ranges, sc->cap * sizeof(*ranges), more * sizeof(*ranges));
        if (ranges == NULL)
            return NULL;
        sc->ranges = ranges;
        sc->cap = more;
    }
    sc->ranges[sc->made] = ARENA_NEW(sc->arena, struct scan_range);
    return sc->ranges[sc->made] != NULL ? sc->ranges[sc->made++] : NULL;
}

enum err store_scan_add(struct scan *sc, const struct key *prefix)
{
    struct scan_range *r = spare(sc);
    enum err e;

    if (r == NULL)
        return ERR_NOMEM;
    r->prefix = *prefix;
    engine_cursor_init(&r->cursor, sc->s->view, key_str(&r->prefix));
    e = arrive(sc, r, sc->descending ? seek_down(sc, r) : seek_up(sc, r));
    if (e == OK && !str_none(r->time))
        sift_up(sc, sc->n++);
    return e;
}

enum err store_scan_add_shared(struct scan *sc, const struct store_principals *p)
{
    struct engine_cursor c;
    struct key all, at;
    enum err e = OK;

    store_key_init_list(&all, sc->list, SUB_SHARED);
    engine_cursor_init(&c, sc->s->view, key_str(&all));
    for (size_t i = 0; i < p->nids && e == OK;) {
        struct reader r;
        uint32_t who;
        store_shared_key(&at, sc->list, p->ids[i], NULL);
        if (!engine_cursor_seek(&c, key_str(&at)))
            return engine_cursor_err(&c);
        r = store_reader(str_drop(engine_cursor_key(&c), all.n));
        who = store_dec_u32(&r);
        if (r.bad)
            return ERR_CORRUPT;
        i = store_principals_from(p, i, who);
        if (i == p->nids || p->ids[i] != who)
            continue;
        store_shared_key(&at, sc->list, who, NULL);
        e = store_scan_add(sc, &at);
        i++;
    }
    return e;
}

/* The first range goes on; at its end it leaves the heap. */
static enum err step(struct scan *sc)
{
    struct scan_range *r = sc->ranges[0];
    enum err e = arrive(
        sc, r, sc->descending ? engine_cursor_prev(&r->cursor) : engine_cursor_next(&r->cursor));

    if (e == OK && str_none(r->time))
        swap(sc, 0, --sc->n);
    sift_down(sc, 0);
    return e;
}

/* ---- objects --------------------------------------------------------------------------------- */

static enum err read_object(const struct scan *sc, struct scan_range *r, struct object *out)
{
    str value;
    enum err e;

    if (sc->shared)
        return store_object_at(sc->s, sc->list, r->time, out);
    e = engine_cursor_value(&r->cursor, &value);
    return e == OK ? store_value_decode_at(value, r->time, out) : e;
}

enum err store_scan_next(struct scan *sc, struct object *out)
{
    struct key at;
    enum err e = OK;

    if (sc->n == 0)
        return ERR_NOTFOUND;
    if (out != NULL)
        e = read_object(sc, sc->ranges[0], out);
    if (e != OK || sc->n == 1) /* then there is no other with the same TIME */
        return e != OK ? e : step(sc);
    at.n = 0;
    store_key_add(&at, sc->ranges[0]->time);
    e = step(sc);
    while (e == OK && sc->n > 0 && str_eq(sc->ranges[0]->time, key_str(&at)))
        e = step(sc);
    return e;
}
