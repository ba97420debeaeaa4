/*
 * store/object.c - reading, writing and deleting one object.
 *
 * A write has three parts: what is there (the key 01), what there will be (time, ACL, value), and
 * the change from one to the other (the keys 01 and 02 or 05, the sharing index, the counts). What
 * is there is copied before anything is written, because a write takes the view's bytes away.
 */
#include "store/private.h"

/* ---- reading --------------------------------------------------------------------------------- */

void store_id_key(struct key *k, uint32_t list, str id)
{
    store_key_init_list(k, list, SUB_ID);
    store_key_add_id(k, id);
}

enum err store_object_get(struct store_session *s, uint32_t list, str id, struct object *out)
{
    struct key k;
    str value;
    enum err e;

    store_id_key(&k, list, id);
    e = store_db_get(s, &k, &value);
    return e == OK ? store_value_decode(value, out) : e;
}

enum err store_object_at(struct store_session *s, uint32_t list, str time, struct object *out)
{
    struct key k;
    str value;
    enum err e;

    store_key_init_list(&k, list, SUB_TIME);
    store_key_add(&k, time);
    e = store_db_get(s, &k, &value);
    if (e == ERR_NOTFOUND)
        return ERR_CORRUPT;
    return e == OK ? store_value_decode_at(value, time, out) : e;
}

/* The object or tombstone, in the arena while writing. */
static enum err object_load(struct store_session *s, struct arena *a, uint32_t list, str id,
                            struct object *out)
{
    struct key k;
    str value;
    enum err e;

    store_id_key(&k, list, id);
    e = store_db_get(s, &k, &value);
    if (e == OK)
        e = store_keep(s, a, &value);
    return e == OK ? store_value_decode(value, out) : e;
}

static enum err get(struct store_session *s, struct arena *a, struct store_list_id list, str id,
                    bool deleted, struct store_object *out)
{
    struct object ob;
    uint32_t number;
    enum err e = store_list_number(s, list, &number);

    if (e == OK)
        e = object_load(s, a, number, id, &ob);
    if (e == OK && ob.o.deleted != deleted)
        e = ERR_NOTFOUND;
    if (e == OK)
        *out = ob.o;
    return e;
}

enum err store_data(struct arena *a, const struct store_object *o, struct json **out)
{
    enum err e = json_parse(a, o->data, out, NULL);
    return e == OK || e == ERR_NOMEM ? e : ERR_CORRUPT;
}

enum err store_get(struct store_session *s, struct arena *a, struct store_list_id list, str id,
                   struct store_object *out)
{
    STORE_TIME(s->thread->store, GET);
    return get(s, a, list, id, false, out);
}

enum err store_get_tombstone(struct store_session *s, struct arena *a, struct store_list_id list,
                             str id, struct store_object *out)
{
    return get(s, a, list, id, true, out);
}

/* ---- the change from one object to another --------------------------------------------------- */

void store_time_key(struct key *k, uint32_t list, const struct object *ob)
{
    store_key_init_list(k, list, ob->o.deleted ? SUB_TOMBSTONE : SUB_TIME);
    store_key_add_time(k, ob);
}

static void count(struct list *l, const struct object *ob, int by)
{
    uint64_t *n = ob->o.deleted ? &l->tombstones : &l->live;

    *n += (uint64_t)(int64_t)by;
    l->dirty = true;
}

/* Puts the value of `after` in the place of `before` (NULL: there was nothing). */
static enum err replace(struct store_session *s, struct list *l, const struct object *before,
                        const struct object *after, str value)
{
    struct key k;
    enum err e = OK;

    if (before != NULL) {
        store_time_key(&k, l->number, before);
        e = store_db_del(s, &k);
        if (e == OK)
            e = store_fields_remove(s, l, before);
        count(l, before, -1);
    }
    store_id_key(&k, l->number, after->o.id);
    if (e == OK)
        e = store_db_put(s, &k, value);
    store_time_key(&k, l->number, after);
    if (e == OK)
        e = store_db_link(s, &k);
    if (e == OK)
        e = store_fields_link(s, l, after);
    count(l, after, +1);
    return e == OK ? store_share(s, l->number, before, after) : e;
}

/* ---- equal times ----------------------------------------------------------------------------- */

/*
 * Who has the time `ms` already? Only a time that was asked for, at or behind the clock, can meet
 * another one. *tied: someone other than `id` has; *lone: the value of the only one, whose TIME has
 * no ID yet (invariant 1).
 */
static enum err tie_find(struct store_session *s, uint32_t list, int64_t ms, str id, bool *tied,
                         str *lone)
{
    static const enum key_sub subs[] = {SUB_TIME, SUB_TOMBSTONE};

    for (size_t i = 0; i < ARRAY_LEN(subs); i++) {
        struct engine_cursor c;
        struct key prefix;
        struct object ob;
        str value;
        enum err e;

        store_key_init_list(&prefix, list, subs[i]);
        store_key_add_ms(&prefix, ms);
        engine_cursor_init(&c, s->view, key_str(&prefix));
        if (!engine_cursor_first(&c)) {
            if (engine_cursor_err(&c) != OK)
                return engine_cursor_err(&c);
            continue;
        }
        e = engine_cursor_value(&c, &value);
        if (e == OK)
            e = store_value_decode(value, &ob);
        if (e != OK)
            return e;
        if (!ob.tied && str_eq(ob.o.id, id))
            return OK; /* itself, alone */
        *tied = true;
        if (!ob.tied)
            *lone = value;
    }
    return OK;
}

/* Gives the TIME of the object with this value (copied here) its ID. */
static enum err tie(struct store_session *s, struct arena *a, struct list *l, str value)
{
    struct object before, after;
    char *untied = arena_cstr(a, value), *tied = arena_cstr(a, value);
    enum err e;

    if (untied == NULL || tied == NULL)
        return ERR_NOMEM;
    store_value_set_tied(tied);
    e = store_value_decode((str){untied, value.n}, &before);
    if (e == OK)
        e = store_value_decode((str){tied, value.n}, &after);
    return e == OK ? replace(s, l, &before, &after, after.value) : e;
}

/* The time for a write of `id`, and whether its TIME needs the ID. What was there under that id is
 * not replaced yet. */
static enum err stamp(struct store_session *s, struct arena *a, struct list *l, str id,
                      const int64_t *asked, struct value_parts *parts)
{
    int64_t clock = l->clock;
    str lone = STR_NONE;
    enum err e;

    parts->last_modified = store_list_stamp(l, asked);
    parts->tied = false;
    if (parts->last_modified > clock)
        return OK;
    e = tie_find(s, l->number, parts->last_modified, id, &parts->tied, &lone);
    return e == OK && !str_none(lone) ? tie(s, a, l, lone) : e;
}

/* ---- put, set_acl, delete -------------------------------------------------------------------- */

static enum err id_check(str id)
{
    if (id.n > STORE_MAX_ID_BYTES)
        return ERR_LIMIT;
    return json_is_plain(id) && str_utf8_valid(id) ? OK : ERR_SYNTAX;
}

static enum err time_check(const int64_t *asked)
{
    bool far = asked != NULL && (*asked > STORE_MAX_TIMESTAMP || *asked < -STORE_MAX_TIMESTAMP);

    return far ? ERR_RANGE : OK;
}

/* Encodes `parts` and puts it in the place of `before`; `out` lies in the arena. */
static enum err write_object(struct store_session *s, struct arena *a, struct list *l,
                             const struct object *before, const struct value_parts *parts,
                             struct object *out)
{
    struct object after;
    struct buf b;
    enum err e = store_changes(s);

    buf_init_arena(&b, a, ENGINE_MAX_VALUE_BYTES);
    if (e == OK)
        e = store_value_encode(&b, parts);
    if (e == OK)
        e = store_value_decode(buf_str(&b), &after);
    if (e == OK)
        e = replace(s, l, before, &after, buf_str(&b));
    if (e == OK)
        *out = after;
    return e;
}

static const int64_t *asked_for_update(const int64_t *asked, const struct object *before)
{
    bool stale = asked != NULL && before != NULL && *asked <= before->o.last_modified;

    return stale ? NULL : asked;
}

/* `timed` becomes UPDATE if the object is there. */
static enum err put(struct store_session *s, struct arena *a, struct store_list_id list,
                    const struct store_put *put, struct object *out, enum store_timed *timed)
{
    struct value_parts parts = {.id = put->id, .acl = STR(""), .data = put->data};
    struct object before, *there = NULL, *live = NULL;
    struct list *l;
    enum err e = store_list_make(s, list, &l);

    if (e == OK)
        e = object_load(s, a, l->number, put->id, &before);
    if (e == OK) {
        there = &before;
        live = before.o.deleted ? NULL : &before;
        if (live != NULL)
            *timed = STORE_TIMED_UPDATE;
    } else if (e == ERR_NOTFOUND) {
        e = OK;
    }
    if (e == OK && put->acl != NULL)
        e = store_acl_encode(s, a, put->acl, put->nacl, &parts.acl);
    else if (e == OK && live != NULL)
        parts.acl = live->o.acl;
    if (e == OK)
        e = stamp(s, a, l, put->id, asked_for_update(put->last_modified, live), &parts);
    return e == OK ? write_object(s, a, l, there, &parts, out) : e;
}

enum err store_put(struct store_session *s, struct arena *a, struct store_list_id list,
                   const struct store_put *p, struct store_object *out)
{
    STORE_TIME(s->thread->store, CREATE);
    struct object after;
    enum err e = store_list_check(s, list);

    CHECK(s->txn != NULL && json_is(p->data, JSON_OBJECT));
    if (e == OK)
        e = id_check(p->id);
    if (e == OK)
        e = time_check(p->last_modified);
    if (e != OK)
        return e;
    e = put(s, a, list, p, &after, &timing.what);
    if (e == OK)
        *out = after.o;
    return store_fail(s, e);
}

/* The object that is to be changed. NOTFOUND: there is none; nothing was changed. */
static enum err find(struct store_session *s, struct arena *a, struct store_list_id list, str id,
                     struct list **l, struct object *out)
{
    enum err e;

    CHECK(s->txn != NULL);
    e = store_list_find(s, list, l);
    if (e == OK)
        e = object_load(s, a, (*l)->number, id, out);
    return e == OK && out->o.deleted ? ERR_NOTFOUND : e;
}

enum err store_set_acl(struct store_session *s, struct arena *a, struct store_list_id list, str id,
                       const struct store_ace *acl, size_t nacl)
{
    STORE_TIME(s->thread->store, ACL_SET);
    struct value_parts parts = {.data = NULL};
    struct object before, after;
    struct list *l;
    enum err e = find(s, a, list, id, &l, &before);

    if (e != OK)
        return e;
    parts.id = before.o.id;
    parts.text = before.o.data;
    parts.last_modified = before.o.last_modified;
    parts.tied = before.tied;
    e = store_acl_encode(s, a, acl, nacl, &parts.acl);
    if (e == OK)
        e = write_object(s, a, l, &before, &parts, &after);
    return store_fail(s, e);
}

enum err store_set_data(struct store_session *s, struct arena *a, struct store_list_id list, str id,
                        const struct json *data)
{
    STORE_TIME(s->thread->store, UPDATE);
    struct value_parts parts = {.data = data};
    struct object before, after;
    struct list *l;
    enum err e = find(s, a, list, id, &l, &before);

    CHECK(json_is(data, JSON_OBJECT));
    if (e != OK)
        return e;
    parts.id = before.o.id;
    parts.acl = before.o.acl;
    parts.last_modified = before.o.last_modified;
    parts.tied = before.tied;
    e = write_object(s, a, l, &before, &parts, &after);
    return store_fail(s, e);
}

enum err store_delete(struct store_session *s, struct arena *a, struct store_list_id list, str id,
                      const int64_t *last_modified, struct store_object *out)
{
    STORE_TIME(s->thread->store, DELETE);
    struct value_parts parts = {.acl = STR("")};
    struct object before, after;
    struct list *l;
    enum err e = time_check(last_modified);

    if (e == OK)
        e = find(s, a, list, id, &l, &before);
    if (e != OK)
        return e;
    parts.id = before.o.id;
    e = stamp(s, a, l, id, asked_for_update(last_modified, &before), &parts);
    if (e == OK)
        e = write_object(s, a, l, &before, &parts, &after);
    if (e == OK)
        *out = after.o;
    return store_fail(s, e);
}

enum err store_forget(struct store_session *s, struct arena *a, struct store_list_id list, str id)
{
    struct object before;
    struct key k;
    struct list *l;
    enum err e = find(s, a, list, id, &l, &before);

    if (e == OK)
        e = store_changes(s);
    if (e != OK)
        return e;
    store_time_key(&k, l->number, &before);
    e = store_db_del(s, &k);
    store_id_key(&k, l->number, before.o.id);
    if (e == OK)
        e = store_db_del(s, &k);
    if (e == OK)
        e = store_share(s, l->number, &before, NULL);
    if (e == OK)
        e = store_fields_remove(s, l, &before);
    if (e == OK)
        count(l, &before, -1);
    return store_fail(s, e);
}
