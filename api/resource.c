/*
 * api/resource.c - the kinds of objects, their ids, and the objects that a URL names.
 *
 * A URL like /buckets/b/collections/c/records/r names one object a level; levels[i] remembers what
 * was loaded, so that authorisation and the handler look each one up once.
 */
#include "api/private.h"

const struct api_kind_info api_kinds[KIND_COUNT] = {
#define X(name, text, parent, perms) [KIND_##name] = {text, parent, perms},
#include "api/resources.def"
#undef X
};

static bool is_alnum(char c)
{
    return str_is_letter(c) || str_is_digit(c);
}

bool api_valid_id(str id)
{
    if (id.n == 0 || id.n > STORE_MAX_ID_BYTES || !is_alnum(id.p[0]))
        return false;
    for (size_t i = 1; i < id.n; i++)
        if (!is_alnum(id.p[i]) && id.p[i] != '_' && id.p[i] != '-')
            return false;
    return true;
}

/* Lower-case hex digits and dashes; of which version the UUID is is not asked. */
static bool is_uuid(str id)
{
    if (id.n != 36)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        bool hex = str_is_digit(id.p[i]) || (id.p[i] >= 'a' && id.p[i] <= 'f');
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? id.p[i] != '-' : !hex)
            return false;
    }
    return true;
}

const char *api_id_pattern(const struct api *a, enum api_kind k)
{
    if (a->conf.generator[k] == GENERATOR_UUID4)
        return "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
    return "^[a-zA-Z0-9][a-zA-Z0-9_-]*$";
}

bool api_valid_id_of(const struct api_req *r, enum api_kind k, str id)
{
    return r->api->conf.generator[k] == GENERATOR_UUID4 ? is_uuid(id) : api_valid_id(id);
}

bool api_valid_collection_id(const struct api_req *r, str id)
{
    return api_valid_id_of(r, KIND_COLLECTION, id);
}

str api_new_id(struct api_req *r)
{
    static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    char id[37];
    if (r->api->conf.generator[r->route->kind] == GENERATOR_NAME) {
        rand_name(id, 1, alnum);
        rand_name(id + 1, 7, more);
    } else {
        rand_uuid4(id);
    }
    return arena_str(r->arena, str_from(id));
}

str api_list_uri(struct api_req *r)
{
    return ARENA_JOIN(r->arena, r->list.parent, STR("/"), r->list.resource, STR("s"));
}

struct store_list_id api_list_of(const struct api_req *r, enum api_kind kind, unsigned nparents)
{
    return (struct store_list_id){
        .resource = str_from(api_kinds[kind].name),
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
    enum err e = store_get(r->session, r->arena, api_list_of(r, l->kind, i), l->id, &l->object);
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

static enum api_step load_posted(struct api_req *r)
{
    find_posted_id(r);
    if (r->id_invalid)
        return api_fail_invalid(r, "path", STR_NONE, STR("Invalid object id"));
    if (str_none(r->id))
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
                                    api_kinds[r->levels[i].kind].name);
    if (r->route->kind != KIND_RECORD)
        return STEP_NEXT;
    struct api_level *collection = &r->levels[nparents - 1];
    enum err e = api_level_load(r, nparents - 1);
    if (e != OK)
        return api_fail_err(r, e);
    if (collection->state == LEVEL_ABSENT)
        return api_fail_missing(r, API_ERR_MISSING_PARENT, collection->id, "collection");
    return STEP_NEXT;
}

/* Does this request look at the object before it asks for permission? */
static bool loads_first(const struct api_req *r)
{
    if (r->route->type == TYPE_PLURAL)
        return r->method == METHOD_POST;
    return r->method == METHOD_PUT || r->method == METHOD_PATCH || r->method == METHOD_DELETE;
}

enum api_step api_load_target(struct api_req *r)
{
    unsigned nparents = r->route->type == TYPE_PLURAL ? r->nlevels : r->nlevels - 1;
    r->list = api_list_of(r, r->route->kind, nparents);
    if (loads_first(r)) {
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
    r->exists = target->state == LEVEL_PRESENT;
    r->object = target->object;
    return STEP_NEXT;
}
