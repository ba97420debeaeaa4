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
 * In the memory of one object however many there are: each object that is seen to leaves the index of
 * what is shared with the principal, so the first one that is found there is always the next. Buckets
 * come first, then what lies in them, so that of a tree only the top is deleted.
 *
 * Nobody else writes meanwhile, and the other requests of the loop wait; so there is one transaction for
 * each PORTION objects (or PORTION_BYTES of them), and behind each others get their turn (STEP_MORE). Most
 * erasures are done in one. The answer comes when all is done, and the client need not know; what was asked
 * for is that nothing is left, so a half that is durable after a crash or a stop (503) is a part of it, and
 * the request is made again. To have told the client to come again for each portion would be simpler by a
 * few lines, but no program written for the reference expects that, and where the look through what plugins
 * keep had ended would have to be written down. Each object is seen to as a whole. What lies in a bucket
 * that is deleted counts as nothing: that is the cost of any DELETE of one.
 *
 * A batch is one transaction: where there is more than MOST_IN_BATCH, its answer is 413, and nothing is done.
 *
 * What somebody shares with the principal while it is erased is seen to as long as that is not over yet;
 * if it holds something at the end: 503, ask again.
 *
 * Who may do it the setting kinto.user-data_delete_principals says; without it, nobody. The principal is
 * the rest of the URL, as names that come from elsewhere (OpenID, a proxy) may hold slashes. Groups, whose
 * principals begin with one, are no users.
 */
#include "api/private.h"

#define BASE      "/__user_data__"
#define ANY_DEPTH 2u /* what lies in collections, and whatever plugins may put below that */

#define PORTION             500 /* objects, */
#define PORTION_BYTES       (8 * MIB)
#define MOST_IN_BATCH       5000
#define MOST_BYTES_IN_BATCH (64 * MIB)

/* How far it has come; lives as long as the request. */
struct api_erasure {
    unsigned stage;        /* of stages[] */
    unsigned round, depth; /* of the stages that see to objects: the list that is next */
    uint32_t number;
    size_t listener; /* that is next; */
    void *at;        /* how far it has come */
};

struct erasure { /* in one transaction */
    struct api_req *r;
    str name;
    struct store_principals who; /* the one */
    struct api_erasure *at;
    struct api_erased *spent; /* all parts of a batch have one transaction */
};

/* So much was done. MORE: enough for one transaction; DONE: too much for a batch. */
static enum api_step spend(struct erasure *x, unsigned n)
{
    struct api_req *r = x->r;
    x->spent->objects += n;
    if (x->spent->objects < (r->parent ? MOST_IN_BATCH : PORTION) &&
        x->spent->bytes < (r->parent ? MOST_BYTES_IN_BATCH : PORTION_BYTES))
        return STEP_NEXT;
    if (r->parent)
        return api_fail_told(r, API_ERR_TOO_LARGE,
                             STR("There is more to erase than a batch may: ask for it alone."),
                             STR_NONE);
    return STEP_MORE;
}

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
    x->spent->bytes += o->data.n;
    enum err e = str_none(o->id) ? ERR_NOMEM : store_acl_list(r->session, r->arena, o, &aces, &n);
    if (e == OK && !is_sole_writer(x, aces, n))
        e = drop_ace(x, list, o->id, aces, n);
    else if (e == OK) {
        enum api_kind kind = api_kind_named(r->api, list.resource);
        return kind == KIND_NONE ? delete_unknown(r, list, o->id)
                                 : api_delete_stored(r, kind, list, o, NULL, 0, &tombstone);
    }
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

/* What was made on the way goes, and with it what listeners said of one change of many. */
static enum api_step see_to_first(struct erasure *x, struct store_list_id list, bool *more)
{
    struct api_req *r = x->r;
    struct api_mark mark = api_mark(r);
    struct store_object o;
    struct store_walk *walk;
    enum err e = store_walk_new(r->session, r->arena, &x->who, &walk);
    if (e == OK)
        e = store_walk_list(walk, list);
    if (e == OK)
        e = store_walk_next(walk, &o);
    *more = e == OK;
    if (e == ERR_NOTFOUND)
        return STEP_NEXT;
    enum api_step s = e == OK ? see_to(x, list, &o) : api_fail_err(r, e);
    if (s != STEP_NEXT) /* the answer stands in the arena */
        return s;
    api_release(r, mark);
    return spend(x, 1);
}

/* How many objects those in the list lie in. */
static unsigned depth_of(struct store_list_id list)
{
    unsigned slashes = 0;
    for (size_t i = 0; i < list.parent.n; i++)
        slashes += list.parent.p[i] == '/';
    return MIN_OF(slashes / 2, ANY_DEPTH);
}

/* The next list of one depth; number 0: that was the last one. */
static enum api_step see_to_next_list(struct erasure *x)
{
    struct api_req *r = x->r;
    struct arena_mark mark = arena_mark(r->arena);
    struct store_list_id list;
    uint32_t *number = &x->at->number;
    enum err e = store_shared_list_next(r->session, r->arena, &x->who, number, &list);
    if (e == ERR_NOTFOUND) {
        *number = 0;
        return STEP_NEXT;
    }
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = STEP_NEXT;
    for (bool more = depth_of(list) == x->at->depth; more && s == STEP_NEXT;)
        s = see_to_first(x, list, &more);
    if (s != STEP_NEXT)
        return s;
    arena_release(r->arena, mark);
    ++*number; /* behind the last of all is 0, too */
    return STEP_NEXT;
}

static enum api_step see_to_depth(struct erasure *x)
{
    enum api_step s = STEP_NEXT;
    if (x->at->number == 0)
        x->at->number = 1;
    while (x->at->number != 0 && s == STEP_NEXT)
        s = see_to_next_list(x);
    return s;
}

/* Each list once. A listener may have shared something with the principal meanwhile (what it keeps
 * of a deletion, with those who could read what was deleted): once more, but not for ever. */
#define MAX_ROUNDS 3

static enum api_step see_to_objects(struct erasure *x)
{
    for (; x->at->round < MAX_ROUNDS; x->at->round++, x->at->depth = 0)
        for (; x->at->depth <= ANY_DEPTH; x->at->depth++) {
            enum api_step s = see_to_depth(x);
            if (s != STEP_NEXT)
                return s;
        }
    x->at->round = 0;
    return STEP_NEXT;
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* The data without the member. NOMEM, CORRUPT. */
static enum err without_member(const struct erasure *x, const struct store_object *o,
                               struct json **data)
{
    struct arena *a = x->r->arena;
    struct json *left = json_new_array(a);
    enum err e = store_data(a, o, data);
    if (e != OK)
        return e;
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
    if (e == OK) {
        x->spent->bytes += old.data.n;
        return update_group(x, api_place_end(&p)->list, api_place_end(&p)->id, &old);
    }
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
        struct api_mark mark = api_mark(r);
        s = leave_group(x, uris[i]);
        if (s != STEP_NEXT)
            return s;
        api_release(r, mark);
        s = spend(x, 1);
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

bool api_is_erasing(const struct api_req *r)
{
    return r->erasure != NULL;
}

static enum api_step tell_plugins(struct erasure *x)
{
    struct api_req *r = x->r;
    struct api_erasure *at = x->at;
    for (; at->listener < r->api->nlisteners; at->listener++, at->at = NULL) {
        const struct api_listener *l = &r->api->listeners[at->listener];
        enum err e = l->erased ? l->erased(l->ctx, r, x->name, &at->at) : OK;
        while (e == ERR_AGAIN) {
            enum api_step s = spend(x, PORTION);
            if (s != STEP_NEXT)
                return s;
            e = l->erased(l->ctx, r, x->name, &at->at);
        }
        if (e != OK)
            return api_fail_err(r, e);
    }
    return STEP_NEXT;
}

static enum api_step forget_name(struct erasure *x)
{
    enum err e = store_principal_forget(x->r->session, x->name);
    if (e == ERR_EXISTS)
        return api_fail(x->r, API_ERR_UNAVAILABLE);
    return e == OK ? STEP_NEXT : api_fail_err(x->r, e);
}

static enum api_step erase(struct api_req *r, str name)
{
    /* Objects once more, for what listeners kept of the groups. */
    static enum api_step (*const stages[])(struct erasure * x) = {
        see_to_objects, leave_groups, see_to_objects, tell_plugins, forget_name};
    struct erasure x = {.r = r, .name = name, .at = r->erasure, .spent = &api_outermost(r)->erased};
    enum err e = store_principals_resolve(r->session, r->arena, &x.name, 1, &x.who);
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = STEP_NEXT;
    for (; x.at->stage < ARRAY_LEN(stages); x.at->stage++) {
        s = stages[x.at->stage](&x);
        if (s != STEP_NEXT)
            return s;
    }
    return s;
}

/* Once: the rights of who asks may go with what is erased. */
static enum api_step begin(struct api_req *r)
{
    enum api_step s = authorize(r);
    if (s == STEP_NEXT)
        s = api_check_origin(r);
    if (s == STEP_NEXT)
        s = api_validate(r);
    if (s != STEP_NEXT)
        return s;
    r->erasure = ARENA_NEW(r->arena, struct api_erasure);
    if (r->erasure == NULL)
        return api_fail_err(r, ERR_NOMEM);
    *r->erasure = (struct api_erasure){.stage = 0};
    return STEP_NEXT;
}

static enum api_step delete_user_data(struct api_req *r)
{
    str name = api_path_value(r, "principal");
    enum api_step s = r->erasure ? STEP_NEXT : begin(r);
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
                              .takes_rest = true,
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
