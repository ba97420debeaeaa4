/*
 * store/scan.c - objects of a list in the order of time, out of one or more ranges of keys.
 *
 * All three kinds of ranges (objects, tombstones, what a principal holds permissions on) end in the
 * same TIME, so one merge serves the plain list, the list with tombstones, and the list of what is
 * shared with many principals. Of the ranges of a list with tombstones no two hold the same TIME
 * (private.h, invariant 1); of those of principals an object that two of them may see does, and is
 * given once.
 *
 * The ranges are few: principals that hold nothing in the list are left out at the start.
 */
#include "store/private.h"

enum err store_scan_init(struct scan *sc, struct arena *a, size_t cap)
{
    size_t bytes;

    sc->n = 0;
    sc->cap = cap;
    if (!size_mul(cap, sizeof *sc->ranges, &bytes))
        return ERR_NOMEM;
    sc->ranges = arena_alloc(a, bytes);
    return sc->ranges != NULL ? OK : ERR_NOMEM;
}

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

enum err store_scan_add(struct scan *sc, const struct key *prefix)
{
    struct scan_range *r = &sc->ranges[sc->n];
    enum err e;

    CHECK(sc->n < sc->cap);
    r->prefix = *prefix;
    engine_cursor_init(&r->cursor, sc->s->view, key_str(&r->prefix));
    e = arrive(sc, r, sc->descending ? seek_down(sc, r) : seek_up(sc, r));
    if (e == OK && !str_none(r->time))
        sc->n++;
    return e;
}

static enum err step(const struct scan *sc, struct scan_range *r)
{
    return arrive(sc, r,
                  sc->descending ? engine_cursor_prev(&r->cursor) : engine_cursor_next(&r->cursor));
}

static struct scan_range *first_of(const struct scan *sc)
{
    struct scan_range *first = NULL;

    for (size_t i = 0; i < sc->n; i++) {
        struct scan_range *r = &sc->ranges[i];
        if (str_none(r->time))
            continue;
        if (first != NULL) {
            int c = str_cmp(r->time, first->time);
            if (sc->descending ? c <= 0 : c >= 0)
                continue;
        }
        first = r;
    }
    return first;
}

static enum err read_object(const struct scan *sc, struct scan_range *r, struct object *out)
{
    int64_t ms = store_time_ms(r->time);
    struct key k;
    str value;
    enum err e;

    if (sc->shared) {
        store_key_init_list(&k, sc->list, SUB_TIME);
        store_key_add(&k, r->time);
        e = store_db_get(sc->s, &k, &value);
        if (e == ERR_NOTFOUND)
            e = ERR_CORRUPT;
    } else {
        e = engine_cursor_value(&r->cursor, &value);
    }
    if (e == OK)
        e = store_value_decode(value, out);
    return e == OK && out->o.last_modified != ms ? ERR_CORRUPT : e;
}

enum err store_scan_next(struct scan *sc, struct object *out)
{
    struct scan_range *first = first_of(sc);
    enum err e = OK;

    if (first == NULL)
        return ERR_NOTFOUND;
    if (out != NULL)
        e = read_object(sc, first, out);
    for (size_t i = 0; i < sc->n && e == OK; i++) {
        struct scan_range *r = &sc->ranges[i];
        if (r != first && str_eq(r->time, first->time) && !str_none(r->time))
            e = step(sc, r);
    }
    return e == OK ? step(sc, first) : e;
}
