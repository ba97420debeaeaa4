/*
 * api/resource.c - the objects that a URL names.
 *
 * A URL like /buckets/b/collections/c/records/r names one object a level; levels[i] remembers what
 * was loaded, so that authorisation and the handler look each one up once.
 */
#include "api/private.h"

/* The kind whose objects have that plural and lie in `parent`; NONE: there is none. */
static enum api_kind kind_below(const struct api *a, enum api_kind parent, str plural)
{
    for (unsigned k = 0; k < a->nkinds; k++)
        if (a->kinds[k].is.parent == parent && str_eq(plural, str_from(a->kinds[k].is.plural)))
            return (enum api_kind)k;
    return KIND_NONE;
}

bool api_place(const struct api *a, str uri, struct api_place *out)
{
    enum api_kind kind = KIND_NONE;
    str parent = STR("");
    *out = (struct api_place){.n = 0};
    if (!str_starts(uri, STR("/")))
        return false;
    for (str rest = str_drop(uri, 1); !str_none(rest);) {
        kind = kind_below(a, kind, str_cut(&rest, '/'));
        str id = str_none(rest) ? STR("") : str_cut(&rest, '/');
        if (kind == KIND_NONE || id.n == 0)
            return false;
        str own = str_sub(uri, 0, (size_t)(id.p + id.n - uri.p));
        CHECK(out->n < API_MAX_DEPTH);
        out->at[out->n++] =
            (struct api_placed){kind, {str_from(a->kinds[kind].is.name), parent}, own, id};
        parent = own;
    }
    return true;
}

str api_list_uri(struct api_req *r)
{
    return ARENA_JOIN(r->arena, r->list.parent, STR("/"), str_from(api_kind_of(r)->is.plural));
}

struct store_list_id api_list_of(const struct api_req *r, enum api_kind kind, unsigned nparents)
{
    return (struct store_list_id){
        .resource = str_from(r->api->kinds[kind].is.name),
        .parent = nparents ? r->levels[nparents - 1].uri : STR(""),
    };
}

enum err api_level_load(struct api_req *r, unsigned i)
{
    struct api_level *l = &r->levels[i];
    if (l->state != LEVEL_UNKNOWN)
        return OK;
    for (unsigned k = 0; k <= i; k++)
        if (!api_valid_id_of(r, r->levels[k].kind, r->levels[k].id)) {
            l->state = LEVEL_ABSENT; /* no such object can exist */
            return OK;
        }
    const struct api_resource *resource = &r->api->kinds[l->kind].is;
    struct store_list_id list = api_list_of(r, l->kind, i);
    enum err e = resource->find ? resource->find(resource->ctx, r, list, l->id, &l->object)
                                : store_get(r->session, r->arena, list, l->id, &l->object);
    if (e == OK)
        l->state = LEVEL_PRESENT;
    else if (e == ERR_NOTFOUND)
        l->state = LEVEL_ABSENT;
    else
        return e;
    return OK;
}

/* The id in the body of a POST: the object that it may be about. */
static void find_posted_id(struct api_req *r)
{
    api_body_parse(r);
    struct json *data = json_get(r->root, STR("data"));
    struct json *id = data ? json_get(data, STR("id")) : NULL;
    if (id == NULL)
        return;
    if (!json_is(id, JSON_STRING) || !api_valid_id_of(r, r->route->kind, json_string(id)))
        r->id_invalid = true;
    else
        r->id = json_string(id);
}

/* Is there an object of that id, but not for the caller? Its permissions count all the same. */
static bool is_hidden(const struct api_req *r)
{
    return !str_none(r->only_id) && !str_eq(r->id, r->only_id);
}

void api_show_only(struct api_req *r, str id)
{
    r->only_id = id;
    if (r->route->type == TYPE_OBJECT && is_hidden(r))
        r->exists = false;
}

static enum api_step load_posted(struct api_req *r)
{
    find_posted_id(r);
    if (r->id_invalid)
        return api_fail_invalid(r, "path", STR_NONE, STR("Invalid object id"));
    if (str_none(r->id) || is_hidden(r))
        return STEP_NEXT;
    enum err e = store_get(r->session, r->arena, r->list, r->id, &r->object);
    if (e != OK && e != ERR_NOTFOUND)
        return api_fail_err(r, e);
    r->exists = e == OK;
    return STEP_NEXT;
}

/*
 * For a write on records, a missing collection is told before permissions are looked at; for a
 * read, after. (A collection's or group's bucket is not checked: without it nobody has a
 * permission.)
 */
enum api_step api_check_parent(struct api_req *r)
{
    unsigned nparents = r->route->type == TYPE_PLURAL ? r->nlevels : r->nlevels - 1;
    for (unsigned i = 0; i < nparents; i++)
        if (!api_valid_id_of(r, r->levels[i].kind, r->levels[i].id))
            return api_fail_missing(r, API_ERR_MISSING_PARENT, r->levels[i].id,
                                    r->api->kinds[r->levels[i].kind].is.name);
    if (!api_kind_of(r)->is.parent_is_told)
        return STEP_NEXT;
    struct api_level *parent = &r->levels[nparents - 1];
    enum err e = api_level_load(r, nparents - 1);
    if (e != OK)
        return api_fail_err(r, e);
    if (parent->state == LEVEL_ABSENT)
        return api_fail_missing(r, API_ERR_MISSING_PARENT, parent->id,
                                r->api->kinds[parent->kind].is.name);
    return STEP_NEXT;
}

bool api_loads_first(const struct api_req *r)
{
    if (r->route->type == TYPE_PLURAL)
        return r->method == METHOD_POST;
    return r->method == METHOD_PUT || r->method == METHOD_PATCH || r->method == METHOD_DELETE;
}

enum api_step api_find_list(struct api_req *r)
{
    unsigned nparents = r->route->type == TYPE_PLURAL ? r->nlevels : r->nlevels - 1;
    r->list = api_list_of(r, r->route->kind, nparents);
    return STEP_NEXT;
}

enum api_step api_load_target(struct api_req *r)
{
    if (api_loads_first(r)) {
        enum api_step s = api_check_parent(r);
        if (s != STEP_NEXT)
            return s;
    }
    if (r->route->type == TYPE_PLURAL)
        return r->method == METHOD_POST ? load_posted(r) : STEP_NEXT;

    struct api_level *target = &r->levels[r->nlevels - 1];
    r->id = target->id;
    enum err e = api_level_load(r, r->nlevels - 1);
    if (e != OK)
        return api_fail_err(r, e);
    r->exists = target->state == LEVEL_PRESENT && !is_hidden(r);
    r->object = target->object;
    return STEP_NEXT;
}
