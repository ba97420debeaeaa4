/*
 * api/kinds.c - the kinds of objects: the core's, those that plugins add, and what the settings say
 * of each. (What Kinto knows of its own four alone, schemas and caches of records, stands where that is.)
 *
 * What gives what (authorize.c) follows from the tree of kinds alone, so it is the same for all:
 *     read        write or read, on the object or on one that it lies in
 *     attributes  the same, or any permission on the object itself
 *     write       write, on the object or on one that it lies in
 *     create      write, on the object or on one that it lies in; or, on the object itself, the
 *                 permission to create objects of that kind in it
 */
#include "api/private.h"

#define READS      (METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD))
#define OF_LISTS   (READS | METHOD_BIT(METHOD_POST) | METHOD_BIT(METHOD_DELETE))
#define CHANGES    (METHOD_BIT(METHOD_PUT) | METHOD_BIT(METHOD_PATCH))
#define OF_OBJECTS (READS | CHANGES | METHOD_BIT(METHOD_DELETE))
#define KEY_BYTES  128

#define COMMON "\"id\":{\"type\":\"string\"},\"last_modified\":{\"type\":\"integer\"}"
#define SCHEMA(properties)                                                                         \
    "{\"type\":\"object\",\"additionalProperties\":{},\"properties\":{" COMMON properties "}}"

static const struct api_resource core[] = {
    {.name = "bucket",
     .plural = "buckets",
     .parent = KIND_NONE,
     .create_perm = STORE_PERM_BUCKET_CREATE,
     .plural_methods = OF_LISTS,
     .object_methods = OF_OBJECTS,
     .validate = api_validate_bucket,
     .doc.data = SCHEMA(",\"collection:schema\":{\"$ref\":\"#/definitions/JSONSchema\"},"
                        "\"group:schema\":{\"$ref\":\"#/definitions/JSONSchema\"},"
                        "\"record:schema\":{\"$ref\":\"#/definitions/JSONSchema\"}")},
    {.name = "group",
     .plural = "groups",
     .parent = KIND_BUCKET,
     .create_perm = STORE_PERM_GROUP_CREATE,
     .plural_methods = OF_LISTS,
     .object_methods = OF_OBJECTS,
     .validate = api_validate_group,
     .doc.data = SCHEMA(",\"members\":{\"$ref\":\"#/definitions/Principals\"}")},
    {.name = "collection",
     .plural = "collections",
     .parent = KIND_BUCKET,
     .create_perm = STORE_PERM_COLLECTION_CREATE,
     .plural_methods = OF_LISTS,
     .object_methods = OF_OBJECTS,
     .validate = api_validate_collection,
     .doc.data = SCHEMA(",\"schema\":{\"$ref\":\"#/definitions/JSONSchema\"},"
                        "\"cache_expires\":{\"type\":\"integer\"}")},
    {.name = "record",
     .plural = "records",
     .parent = KIND_COLLECTION,
     .create_perm = STORE_PERM_RECORD_CREATE,
     .plural_methods = OF_LISTS,
     .object_methods = OF_OBJECTS,
     .parent_is_told = true,
     .doc.data = SCHEMA("")},
};

/* ---- what the settings say ------------------------------------------------------------------- */

/* "kinto.<a><b><c><d>" */
static const char *key_of(char key[KEY_BYTES], const char *a, const char *b, const char *c,
                          const char *d)
{
    int n = snprintf(key, KEY_BYTES, "kinto.%s%s%s%s", a, b, c, d);
    CHECK(n > 0 && n < KEY_BYTES);
    return key;
}

static enum api_generator generator_from(str path)
{
    if (str_ends(path, STR(".NameGenerator")))
        return GENERATOR_NAME;
    return str_ends(path, STR(".RelaxedUUID")) ? GENERATOR_RELAXED_UUID : GENERATOR_UUID4;
}

/* Those of the methods that are not switched off. */
static unsigned enabled(const struct settings *s, const char *endpoint, const char *name,
                        unsigned methods)
{
    static const struct {
        const char *suffix;
        enum api_method method;
    } rows[] = {{"_head_enabled", METHOD_HEAD},   {"_get_enabled", METHOD_GET},
                {"_post_enabled", METHOD_POST},   {"_put_enabled", METHOD_PUT},
                {"_patch_enabled", METHOD_PATCH}, {"_delete_enabled", METHOD_DELETE}};
    char key[KEY_BYTES];
    unsigned on = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((methods & METHOD_BIT(rows[i].method)) &&
            settings_bool(s, key_of(key, endpoint, "_", name, rows[i].suffix)))
            on |= METHOD_BIT(rows[i].method);
    return on;
}

static bool can_be_made(const struct api_resource *r)
{
    return ((r->plural_methods & METHOD_BIT(METHOD_POST)) |
            (r->object_methods & METHOD_BIT(METHOD_PUT))) != 0;
}

static void load_settings(struct api_kind_info *k, const struct settings *s)
{
    static const char *const required[REQUIRED_COUNT] = {
        [REQUIRED_CREATE] = "_create_principals",
        [REQUIRED_READ] = "_read_principals",
        [REQUIRED_WRITE] = "_write_principals",
    };
    const char *name = k->is.name;
    char key[KEY_BYTES];
    for (unsigned i = can_be_made(&k->is) ? 0 : REQUIRED_CREATE + 1; i < REQUIRED_COUNT; i++)
        k->principals[i].names =
            settings_list(s, key_of(key, name, required[i], "", ""), &k->principals[i].count);
    k->cache_seconds = settings_int(s, key_of(key, name, "_cache_expires_seconds", "", ""), -1);
    if (k->is.valid_id == NULL && can_be_made(&k->is))
        k->generator = generator_from(settings_str(s, key_of(key, name, "_id_generator", "", "")));
    k->enabled[0] = enabled(s, "plural", name, k->is.plural_methods);
    k->enabled[1] = enabled(s, "object", name, k->is.object_methods & ~METHOD_BIT(METHOD_HEAD));
    if (k->enabled[1] & METHOD_BIT(METHOD_GET)) /* has no setting of its own */
        k->enabled[1] |= METHOD_BIT(METHOD_HEAD);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static enum err add_endpoint(struct api *a, enum api_kind kind, enum api_type type,
                             const char *path, unsigned methods)
{
    if (methods == 0)
        return OK;
    return api_add_route(a, &(struct api_route){
                                .path = path,
                                .type = type,
                                .kind = kind,
                                .methods = methods,
                                .writes = methods & ~READS,
                                .json_body = methods & (CHANGES | METHOD_BIT(METHOD_POST)),
                                .check_accept = true,
                            });
}

enum err api_add_resource(struct api *a, const struct api_resource *resource)
{
    CHECK(resource->parent == KIND_NONE || resource->parent < a->nkinds);
    if (a->nkinds == MAX_KINDS)
        return ERR_LIMIT;
    struct api_kind_info *k = &a->kinds[a->nkinds], *parent = NULL;
    if (resource->parent != KIND_NONE)
        parent = &a->kinds[resource->parent];
    *k = (struct api_kind_info){.is = *resource, .generator = GENERATOR_UUID4};
    k->depth = parent ? parent->depth + 1 : 0;
    CHECK(k->depth < MAX_LEVELS);
    k->perms = STORE_PERM_READ | STORE_PERM_WRITE;
    if (parent)
        parent->perms |= resource->create_perm;
    load_settings(k, a->settings);
    str list = ARENA_JOIN(&a->arena, str_from(parent ? parent->path : ""), STR("/"),
                          str_from(resource->plural));
    str object = ARENA_JOIN(&a->arena, list, STR("/{}"));
    if (str_none(list) || str_none(object))
        return ERR_NOMEM;
    k->path = object.p;
    enum api_kind kind = (enum api_kind)a->nkinds;
    enum err e = add_endpoint(a, kind, TYPE_PLURAL, list.p, resource->plural_methods);
    if (e == OK)
        e = add_endpoint(a, kind, TYPE_OBJECT, object.p, resource->object_methods);
    if (e == OK)
        a->nkinds++;
    return e;
}

enum err api_add_core_resources(struct api *a)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < ARRAY_LEN(core); i++)
        e = api_add_resource(a, &core[i]);
    return e;
}

/* ---- asking ---------------------------------------------------------------------------------- */

const struct api_kind_info *api_kind_of(const struct api_req *r)
{
    return &r->api->kinds[r->route->kind];
}

enum api_kind api_kind_named(const struct api *a, str name)
{
    for (unsigned k = 0; k < a->nkinds; k++)
        if (str_eq(name, str_from(a->kinds[k].is.name)))
            return (enum api_kind)k;
    return KIND_NONE;
}

static bool is_uuid(str id)
{
    uint8_t unused[UUID_BYTES];

    return uuid_read(id, unused);
}

bool api_valid_id(str id)
{
    static const bool in_id[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
        ['_'] = true,         ['-'] = true,
    };
    if (id.n == 0 || id.n > STORE_MAX_ID_BYTES || !str_is_alnum(id.p[0]))
        return false;
    for (size_t i = 1; i < id.n; i++)
        if (!in_id[(unsigned char)id.p[i]])
            return false;
    return true;
}

const char *api_id_pattern(const struct api *a, enum api_kind kind)
{
    const struct api_kind_info *k = &a->kinds[kind];
    if (k->is.id_pattern)
        return k->is.id_pattern;
    if (k->generator == GENERATOR_UUID4)
        return "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
    return "^[a-zA-Z0-9][a-zA-Z0-9_-]*$";
}

bool api_valid_id_of(const struct api_req *r, enum api_kind kind, str id)
{
    const struct api_kind_info *k = &r->api->kinds[kind];
    if (k->is.valid_id)
        return k->is.valid_id(id);
    return k->generator == GENERATOR_UUID4 ? is_uuid(id) : api_valid_id(id);
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
    if (api_kind_of(r)->generator == GENERATOR_NAME) {
        rand_name(id, 1, alnum);
        rand_name(id + 1, 7, more);
    } else {
        rand_uuid4(id);
    }
    return arena_str(r->arena, str_from(id));
}
