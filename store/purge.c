/*
 * store/purge.c - old tombstones go.
 *
 * In steps, each a transaction that looks at so many lists and deletes so many tombstones at most:
 * neither a list with millions of them nor millions of lists make one large. Lists are walked over
 * by their numbers, which are never given out again, so the number is all that a step needs to
 * know of the one before. Within a list the oldest go first, and the count in the list's state says
 * when to stop: after any step what is left is a list that is as it should be.
 */
#include "store/private.h"

#define STEP 1000 /* lists and tombstones a transaction */

struct purge {
    const str *resources;
    size_t n;
    uint64_t keep;
    uint32_t list;    /* the first one that is not done */
    unsigned budget;  /* what is left of the step */
    uint64_t deleted; /* in this step */
};

static enum err delete_oldest(struct store_session *s, uint32_t list)
{
    struct engine_cursor c;
    struct key prefix, by_time, by_id;
    struct object o;
    str value;
    enum err e;

    store_key_init_list(&prefix, list, SUB_TOMBSTONE);
    engine_cursor_init(&c, s->view, key_str(&prefix));
    if (!engine_cursor_first(&c))
        return ERR_CORRUPT; /* the count says that there is one */
    e = engine_cursor_value(&c, &value);
    if (e == OK)
        e = store_value_decode(value, &o);
    if (e != OK)
        return e;
    by_time.n = 0;
    store_key_add(&by_time, engine_cursor_key(&c));
    store_id_key(&by_id, list, o.o.id);
    e = store_db_del(s, &by_time);
    return e == OK ? store_db_del(s, &by_id) : e;
}

/* As far as the budget goes. */
static enum err purge_list(struct store_session *s, struct purge *p)
{
    struct list *l;
    enum err e = store_list_state(s, p->list, &l);

    for (; e == OK && l->tombstones > p->keep && p->budget > 0; p->budget--) {
        e = delete_oldest(s, p->list);
        if (e != OK)
            break;
        l->tombstones--;
        l->dirty = true;
        p->deleted++;
    }
    return e;
}

/* NOTFOUND: everything is done. */
static enum err purge_some(struct store_session *s, struct purge *p)
{
    p->deleted = 0;
    for (p->budget = STEP; p->budget > 0; p->budget--) {
        struct store_list_id id;
        enum err e = store_list_next(s, &p->list, &id);
        if (e == OK && str_is_one_of(id.resource, p->resources, p->n))
            e = purge_list(s, p);
        if (e != OK)
            return e;
        if (p->budget == 0)
            return OK; /* the list may have more */
        if (p->list++ == UINT32_MAX)
            return ERR_NOTFOUND;
    }
    return OK;
}

/* One transaction; *more: there may be something left. */
static enum err step(struct store_thread *t, struct arena *a, struct purge *p, bool *more)
{
    struct store_session *s;
    enum err e = store_write_wait(t, a, &s);

    if (e != OK)
        return e;
    e = purge_some(s, p);
    *more = e == OK;
    if (e == OK || e == ERR_NOTFOUND)
        return store_commit_wait(s);
    store_abort(s);
    return e;
}

enum err store_purge_deleted(struct store_thread *t, const str *resources, size_t n, uint64_t keep,
                             uint64_t *count)
{
    struct purge p = {.resources = resources, .n = n, .keep = keep, .list = 1};
    struct arena a;
    enum err e = OK;

    arena_init(&a, NULL, 0, NULL, MIB);
    for (bool more = true; more && e == OK;) {
        e = step(t, &a, &p, &more);
        if (e == OK)
            *count += p.deleted;
        arena_reset(&a);
    }
    arena_fini(&a);
    return e;
}
