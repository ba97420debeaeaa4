/*
 * plugins/forget.c - what history and revisions say of a principal that is erased (api/user_data.c).
 *
 * Entries that name it (as who made the change, in permissions, as a member of a group) are looked
 * for, once in all of them: when their object is gone they are forgotten, since nothing but they tell
 * what the principal wrote there; of one that is still there the name goes out of the entry, which
 * stays where it is. What others wrote as data is theirs, here as in the objects themselves.
 *
 * Memory: a few entries at a time. In one transaction no more than MOST_READ entries, or about MOST_BYTES
 * of them, are looked at, and about MOST_CHANGED of them are changed: how far that came it is told each
 * time (struct api_listener).
 */
#include "plugins/history.h"

#define PAGE         16
#define PAGE_BYTES   (256 * KIB)
#define MOST_BYTES   (8 * MIB)
#define MOST_READ    5000
#define MOST_CHANGED 500
#define MAX_ENTRY_ID 64 /* of both plugins: a UUID, or digits */

struct behind { /* the last entry of a page */
    int64_t time;
    char id[MAX_ENTRY_ID];
    size_t n; /* 0: none was read yet */
};

struct progress {
    uint32_t number; /* of the list */
    struct behind last;
};

struct forgetting {
    struct api_req *r;
    str name, quoted; /* quoted: as JSON has it */
    struct store_list_id list;
    size_t read, changed; /* entries, in this transaction, */
    size_t bytes;         /* and what was read; */
    bool touched;         /* one of the list was */
};

/* ---- one entry ------------------------------------------------------------------------------- */

static bool is_name(const struct forgetting *f, const struct json *v)
{
    return json_is(v, JSON_STRING) && str_eq(json_string(v), f->name);
}

/* Takes the name out of an array in the object; *found, if it was there. */
static enum err leave_array(const struct forgetting *f, struct json *object, str member,
                            bool *found)
{
    struct arena *a = api_arena(f->r);
    const struct json *old = json_get_typed(object, member, JSON_ARRAY);
    struct json *left = json_new_array(a);
    enum err e = left ? OK : ERR_NOMEM;
    bool here = false;
    for (size_t i = 0; old && e == OK && i < json_count(old); i++) {
        struct json *item = json_at(old, i);
        if (is_name(f, item))
            here = true;
        else
            e = json_push(a, left, item);
    }
    if (e != OK || !here)
        return e;
    *found = true;
    return json_set(a, object, member, left);
}

/* As add_principals() (change.c) writes them: a permission that nobody holds is not there. */
static enum err leave_permissions(const struct forgetting *f, struct json *permissions, bool *found)
{
    enum err e = OK;
    for (unsigned bit = 0; e == OK && bit < STORE_PERM_COUNT; bit++) {
        str perm = store_perm_name((enum store_perm)(1u << bit));
        e = leave_array(f, permissions, perm, found);
        const struct json *left = json_get_typed(permissions, perm, JSON_ARRAY);
        if (e == OK && left && json_count(left) == 0)
            json_remove(permissions, perm);
    }
    return e;
}

/* `state` has the members "data" and "permissions". */
static enum err leave_entry(const struct forgetting *f, struct json *entry, struct json *state,
                            bool group, bool *found)
{
    struct arena *a = api_arena(f->r);
    struct json *permissions = json_get_typed(state, STR("permissions"), JSON_OBJECT);
    struct json *data = json_get_typed(state, STR("data"), JSON_OBJECT);
    enum err e = OK;
    if (is_name(f, json_get(entry, STR("user_id")))) {
        *found = true;
        e = json_set(a, entry, STR("user_id"), json_new_null(a));
    }
    if (e == OK && permissions)
        e = leave_permissions(f, permissions, found);
    if (e == OK && data && group)
        e = leave_array(f, data, STR("members"), found);
    return e;
}

static enum err see_to(struct forgetting *f, const struct store_object *o)
{
    struct store_session *s = api_session(f->r);
    struct arena *a = api_arena(f->r);
    struct json *entry;
    struct api_place p;
    struct store_object now;
    enum err e = store_data(a, o, &entry);
    if (e != OK)
        return e;
    const struct json *uri = json_get_typed(entry, STR("uri"), JSON_STRING);
    struct json *target = json_get_typed(entry, STR("target"), JSON_OBJECT);
    if (!api_place(api_of(f->r), uri ? json_string(uri) : f->list.parent, &p))
        return ERR_CORRUPT;
    const struct api_placed *at = api_place_end(&p);
    bool group = at->kind == KIND_GROUP, found = false;
    e = leave_entry(f, entry, target ? target : entry, group, &found);
    if (e != OK || !found)
        return e;
    f->touched = true;
    f->changed++;
    e = store_get(s, a, at->list, at->id, &now);
    if (e == ERR_NOTFOUND)
        return store_forget(s, a, f->list, o->id);
    return e == OK ? store_set_data(s, a, f->list, o->id, entry) : e;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static enum err read_page(struct forgetting *f, struct behind *last, struct store_result *out)
{
    struct arena *a = api_arena(f->r);
    struct store_query q = {.limit = PAGE, .enough_bytes = PAGE_BYTES};
    enum err e = OK;
    if (last->n > 0) {
        struct json *after = json_new_object(a);
        q.after = after;
        e = json_set(a, after, STR("last_modified"), json_new_i64(a, last->time));
        if (e == OK)
            e = json_set(a, after, STR("id"), json_new_string(a, (str){last->id, last->n}));
    }
    return e == OK ? store_query(api_session(f->r), a, f->list, &q, out) : e;
}

static enum err see_to_page(struct forgetting *f, struct behind *last, bool *more)
{
    struct store_result page;
    enum err e = read_page(f, last, &page);
    for (size_t i = 0; e == OK && i < page.count; i++) {
        f->bytes += page.objects[i].data.n;
        if (str_find_str(page.objects[i].data, f->quoted) != STR_NPOS)
            e = see_to(f, &page.objects[i]);
    }
    if (e != OK)
        return e;
    *more = page.more;
    f->read += page.count;
    if (page.count == 0)
        return OK;
    const struct store_object *o = &page.objects[page.count - 1];
    if (o->id.n > sizeof last->id)
        return ERR_CORRUPT;
    last->time = o->last_modified;
    last->n = o->id.n;
    memcpy(last->id, o->id.p, o->id.n);
    return OK;
}

static bool is_enough(const struct forgetting *f)
{
    return f->read >= MOST_READ || f->changed >= MOST_CHANGED || f->bytes >= MOST_BYTES;
}

/* AGAIN: there is more. */
static enum err see_to_list(struct forgetting *f, struct behind *last)
{
    for (bool more = true; more;) {
        struct arena_mark mark = arena_mark(api_arena(f->r));
        enum err e = is_enough(f) ? ERR_AGAIN : see_to_page(f, last, &more);
        arena_release(api_arena(f->r), mark);
        if (e != OK)
            return e;
    }
    return OK;
}

/* The list of that number, from where the last transaction came to. */
static enum err see_to_number(struct forgetting *f, struct progress *at, str resource,
                              enum err (*touched)(struct api_req *r, str parent))
{
    struct arena *a = api_arena(f->r);
    struct store_list_id found;
    uint32_t number = at->number;
    enum err e = store_list_next(api_session(f->r), &at->number, &found);
    if (e != OK)
        return e;
    f->read++;
    if (at->number != number)
        at->last.n = 0;
    if (!str_eq(found.resource, resource))
        return OK;
    struct arena_mark mark = arena_mark(a);
    f->list = (struct store_list_id){resource, arena_str(a, found.parent)};
    f->touched = false;
    e = str_none(f->list.parent) ? ERR_NOMEM : see_to_list(f, &at->last);
    if ((e == OK || e == ERR_AGAIN) && f->touched && touched) {
        enum err more = e;
        e = touched(f->r, f->list.parent);
        e = e == OK ? more : e;
    }
    arena_release(a, mark);
    return e;
}

static enum err find_progress(struct api_req *r, void **at, struct progress **out)
{
    if (*at == NULL) {
        struct progress *p = *at = ARENA_NEW(api_arena(r), struct progress);
        if (p == NULL)
            return ERR_NOMEM;
        *p = (struct progress){.number = 1};
    }
    *out = *at;
    return OK;
}

enum err change_forget(struct api_req *r, str resource, str name, void **where,
                       enum err (*touched)(struct api_req *r, str parent))
{
    struct forgetting f = {.r = r, .name = name};
    struct progress *at;
    struct buf b;
    enum err e = find_progress(r, where, &at);
    if (e != OK)
        return e;
    buf_init_arena(&b, api_arena(r), MIB);
    json_write_string(&b, name);
    if (buf_failed(&b))
        return b.err;
    f.quoted = buf_str(&b);
    while (e == OK && at->number != 0) {
        e = is_enough(&f) ? ERR_AGAIN : see_to_number(&f, at, resource, touched);
        if (e == OK) {
            at->number++;
            at->last.n = 0;
        }
    }
    return e == ERR_NOTFOUND ? OK : e;
}
