/*
 * api/user_data.c - DELETE /__user_data__/{principal}: everything that is one principal's alone is
 * deleted, and nothing is kept that tells of it (the right to erasure: GDPR, Article 17).
 *
 *  - An object is the principal's own when nobody else may write it by its own permissions. It is
 *    deleted, as any deletion: with all that lies in it, with a tombstone, and listeners are told.
 *  - Elsewhere the principal goes out of the permissions, without a new time.
 *  - It goes out of the groups, as a member and in what they say of themselves: these are updated, so
 *    that those who synchronise learn of it.
 *  - What plugins keep of it (who changed what) they forget.
 *  - The store forgets its name.
 *
 * One transaction, in the memory of one object however many there are: each object that is seen to
 * leaves the index of what is shared with the principal, so the first one that is found there is
 * always the next. Buckets come first, then what lies in them, so that of a tree only the top is
 * deleted.
 *
 * Who may do it the setting kinto.user-data_delete_principals says; without it, nobody. The
 * principal is one segment of the URL: groups, whose principals hold slashes, are no users.
 */
#include "api/private.h"

#define BASE      "/__user_data__"
#define ANY_DEPTH 2 /* what lies in collections, and whatever plugins may put below that */

struct erasure {
    struct api_req *r;
    str name;
    struct store_principals who; /* the one */
    struct store_walk *walk;
};

/* ---- objects --------------------------------------------------------------------------------- */

static bool is_sole_writer(const struct erasure *x, const struct store_ace *aces, size_t n)
{
    bool writes = false;
    for (size_t i = 0; i < n; i++) {
        if (!(aces[i].perms & STORE_PERM_WRITE))
            continue;
        if (!str_eq(aces[i].principal, x->name))
            return false;
        writes = true;
    }
    return writes;
}

static enum err drop_ace(struct erasure *x, struct store_list_id list, str id,
                         const struct store_ace *aces, size_t n)
{
    struct api_req *r = x->r;
    struct store_ace *others = ARENA_NEW_ARRAY(r->arena, struct store_ace, n);
    size_t left = 0;
    if (others == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (!str_eq(aces[i].principal, x->name))
            others[left++] = aces[i];
    return store_set_acl(r->session, r->arena, list, id, others, left);
}

/* Of a plugin that is off: there is nobody to be told. */
static enum api_step delete_unknown(struct api_req *r, struct store_list_id list, str id)
{
    struct store_object tombstone;
    enum err e = store_delete(r->session, r->arena, list, id, NULL, &tombstone);
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

/* The object leaves what is shared with the principal. */
static enum api_step see_to(struct erasure *x, struct store_list_id list, struct store_object *o)
{
    struct api_req *r = x->r;
    const struct store_ace *aces;
    struct store_object tombstone;
    size_t n;
    o->id = arena_str(r->arena, o->id); /* it lies in the session, which is written to */
    enum err e = str_none(o->id) ? ERR_NOMEM : store_acl_list(r->session, r->arena, o, &aces, &n);
    if (e == OK && !is_sole_writer(x, aces, n))
        e = drop_ace(x, list, o->id, aces, n);
    else if (e == OK) {
        enum api_kind kind = api_kind_named(r->api, list.resource);
        return kind == KIND_NONE ? delete_unknown(r, list, o->id)
                                 : api_delete_stored(r, kind, list, o, NULL, &tombstone);
    }
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

/* What was made on the way goes, and with it what listeners said of one change of many. */
static enum api_step see_to_first(struct erasure *x, struct store_list_id list, bool *more)
{
    struct api_req *r = x->r;
    struct arena_mark mark = arena_mark(r->arena);
    unsigned nheaders = r->out->nheaders;
    struct store_object o;
    enum err e = store_walk_list(x->walk, list);
    if (e == OK)
        e = store_walk_next(x->walk, &o);
    *more = e == OK;
    if (e == ERR_NOTFOUND)
        return STEP_NEXT;
    enum api_step s = e == OK ? see_to(x, list, &o) : api_fail_err(r, e);
    if (s != STEP_NEXT) /* the answer stands in the arena */
        return s;
    arena_release(r->arena, mark);
    r->out->nheaders = nheaders;
    return STEP_NEXT;
}

/* How many objects those in the list lie in. */
static unsigned depth_of(struct store_list_id list)
{
    unsigned slashes = 0;
    for (size_t i = 0; i < list.parent.n; i++)
        slashes += list.parent.p[i] == '/';
    return MIN_OF(slashes / 2, ANY_DEPTH);
}

/* The lists of one depth; number 0: that was the last one. */
static enum api_step see_to_next_list(struct erasure *x, unsigned depth, uint32_t *number)
{
    struct api_req *r = x->r;
    struct arena_mark mark = arena_mark(r->arena);
    struct store_list_id list;
    enum err e = store_shared_list_next(r->session, r->arena, &x->who, number, &list);
    if (e == ERR_NOTFOUND) {
        *number = 0;
        return STEP_NEXT;
    }
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = STEP_NEXT;
    for (bool more = depth_of(list) == depth; more && s == STEP_NEXT;)
        s = see_to_first(x, list, &more);
    if (s != STEP_NEXT)
        return s;
    arena_release(r->arena, mark);
    ++*number; /* behind the last of all is 0, too */
    return STEP_NEXT;
}

/* Each list once. A listener may have shared something with the principal meanwhile (what it keeps
 * of a deletion, with those who could read what was deleted): once more, but not for ever. */
#define MAX_ROUNDS 3

static enum api_step see_to_objects(struct erasure *x)
{
    enum api_step s = STEP_NEXT;
    for (unsigned round = 0; round < MAX_ROUNDS; round++)
        for (unsigned depth = 0; depth <= ANY_DEPTH; depth++)
            for (uint32_t number = 1; number != 0;) {
                s = see_to_next_list(x, depth, &number);
                if (s != STEP_NEXT)
                    return s;
            }
    return s;
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* The data without the member. NOMEM, CORRUPT. */
static enum err without_member(const struct erasure *x, const struct store_object *o,
                               struct json **data)
{
    struct arena *a = x->r->arena;
    struct json *left = json_new_array(a);
    enum err e = json_parse(a, o->data, data, NULL);
    if (e != OK)
        return e == ERR_SYNTAX ? ERR_CORRUPT : e;
    const struct json *members = json_get_typed(*data, STR("members"), JSON_ARRAY);
    for (size_t i = 0; e == OK && members && i < json_count(members); i++) {
        struct json *member = json_at(members, i);
        if (!json_is(member, JSON_STRING) || !str_eq(json_string(member), x->name))
            e = json_push(a, left, member);
    }
    return e == OK ? json_set(a, *data, STR("members"), left) : e;
}

static enum api_step update_group(struct erasure *x, struct store_list_id list, str id,
                                  const struct store_object *old)
{
    struct api_req *r = x->r;
    struct json *data;
    struct store_object now;
    enum err e = without_member(x, old, &data);
    if (e != OK)
        return api_fail_err(r, e);
    return api_write(r, KIND_GROUP, list, old, &(struct store_put){.id = id, .data = data}, &now);
}

static enum api_step leave_group(struct erasure *x, str uri)
{
    struct api_req *r = x->r;
    struct api_place p;
    struct store_object old;
    enum err e = ERR_NOTFOUND;
    bool group = api_place(r->api, uri, &p) && api_place_end(&p)->kind == KIND_GROUP;
    if (group)
        e = store_get(r->session, r->arena, api_place_end(&p)->list, api_place_end(&p)->id, &old);
    if (e == OK)
        return update_group(x, api_place_end(&p)->list, api_place_end(&p)->id, &old);
    if (e == ERR_NOTFOUND) /* a group that is not there has no members */
        e = store_group_set(r->session, uri, NULL, 0);
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

static enum api_step leave_groups(struct erasure *x)
{
    struct api_req *r = x->r;
    const str *uris;
    size_t n;
    enum err e = store_groups_of(r->session, r->arena, x->name, &uris, &n);
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = STEP_NEXT;
    for (size_t i = 0; s == STEP_NEXT && i < n; i++) {
        struct arena_mark mark = arena_mark(r->arena);
        unsigned nheaders = r->out->nheaders;
        s = leave_group(x, uris[i]);
        if (s != STEP_NEXT)
            return s;
        arena_release(r->arena, mark);
        r->out->nheaders = nheaders;
    }
    return s;
}

/* ---- the endpoint ---------------------------------------------------------------------------- */

static enum api_step authorize(struct api_req *r)
{
    if (api_is_one_of(r, &r->api->conf.erasers))
        return STEP_NEXT;
    return api_fail(r, str_none(r->user.id) ? API_ERR_UNAUTHORIZED : API_ERR_FORBIDDEN);
}

static enum api_step erase(struct api_req *r, str name)
{
    struct erasure x = {.r = r, .name = name};
    enum err e = store_principals_resolve(r->session, r->arena, &x.name, 1, &x.who);
    if (e == OK)
        e = store_walk_new(r->session, r->arena, &x.who, &x.walk);
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = see_to_objects(&x);
    if (s == STEP_NEXT)
        s = leave_groups(&x);
    if (s == STEP_NEXT)
        s = see_to_objects(&x); /* again, for what listeners kept of the groups */
    if (s != STEP_NEXT)
        return s;
    for (size_t i = 0; e == OK && i < r->api->nlisteners; i++)
        if (r->api->listeners[i].erased)
            e = r->api->listeners[i].erased(r->api->listeners[i].ctx, r, name);
    if (e == OK)
        e = store_principal_forget(r->session, name);
    return e == OK || e == ERR_EXISTS ? STEP_NEXT : api_fail_err(r, e);
}

static enum api_step delete_user_data(struct api_req *r)
{
    str name = api_path_value(r, "principal");
    enum api_step s = authorize(r);
    if (s == STEP_NEXT)
        s = api_check_origin(r);
    if (s == STEP_NEXT)
        s = api_validate(r);
    if (s == STEP_NEXT)
        s = erase(r, name);
    if (s != STEP_NEXT)
        return s;
    struct json *data = json_new_object(r->arena);
    enum err e = json_set(r->arena, data, STR("principal"), json_new_string(r->arena, name));
    return e == OK ? api_reply_data(r, data) : api_fail_err(r, e);
}

enum err api_add_user_data(struct api *a)
{
    struct api_route route = {.path = BASE "/{principal}",
                              .type = TYPE_OBJECT,
                              .kind = KIND_NONE,
                              .methods = a->conf.erase_methods,
                              .writes = METHOD_BIT(METHOD_DELETE),
                              .check_accept = true,
                              .handler = delete_user_data,
                              .doc = {.operation = "delete_user-data",
                                      .endpoint = "user-data-object",
                                      .tag = "User-datas",
                                      .summary = "Delete what is one principal's alone, and its "
                                                 "traces.",
                                      .answer = "UserData"}};
    enum err e = api_add_route(a, &route);
    if (e != OK)
        return e;
    route = (struct api_route){.path = BASE,
                               .type = TYPE_PLURAL,
                               .kind = KIND_NONE,
                               .doc = {.endpoint = "user-data-plural"}};
    return api_add_route(a, &route); /* there, but for no method */
}
