/*
 * api/patch.c - PATCH in its three forms: attributes replaced one by one (application/json), merge
 * patch (RFC 7396) and JSON patch (RFC 6902) over {"data": ..., "permissions": {kind: {principal:
 * principal}}}.
 */
#include "api/private.h"

struct patch_result {
    struct json *data;        /* the new object */
    struct json *changes;     /* the fields that were sent (JSON patch: the whole result) */
    struct json *permissions; /* by kind, or NULL */
    unsigned replaced;        /* the kinds in it */
};

/* ---- JSON patch ------------------------------------------------------------------------------ */

/* Permissions are shown only to those who may write the object itself, not through its parents. */
static bool sees_permissions(const struct api_req *r)
{
    return store_acl_allows(&r->object, &r->who, STORE_PERM_WRITE);
}

static struct json *permissions_document(struct api_req *r, enum err *error)
{
    struct arena *a = r->arena;
    struct json *doc = json_new_object(a);
    const struct store_ace *acl = NULL;
    size_t n = 0;
    *error = sees_permissions(r) ? store_acl_list(r->session, a, &r->object, &acl, &n) : OK;
    /* read and write are always there, so that one can add to them */
    if (*error == OK)
        *error = json_set(a, doc, STR("read"), json_new_object(a));
    if (*error == OK)
        *error = json_set(a, doc, STR("write"), json_new_object(a));
    for (size_t i = 0; *error == OK && i < n * STORE_PERM_COUNT; i++) {
        const struct store_ace *ace = &acl[i / STORE_PERM_COUNT];
        enum store_perm perm = (enum store_perm)(1u << (i % STORE_PERM_COUNT));
        if (!(ace->perms & perm))
            continue;
        struct json *kind = json_get(doc, store_perm_name(perm));
        if (kind == NULL) {
            kind = json_new_object(a);
            *error = json_set(a, doc, store_perm_name(perm), kind);
        }
        if (*error == OK)
            *error = json_set(a, kind, ace->principal, json_new_string(a, ace->principal));
    }
    return doc;
}

static bool names_principal(str path)
{
    return str_starts(path, STR("/permissions/read/")) ||
           str_starts(path, STR("/permissions/write/"));
}

/* The value of an operation on a principal is the principal itself, whatever was sent. */
static enum err complete_operations(struct api_req *r, struct json *ops)
{
    for (size_t i = 0; i < json_count(ops); i++) {
        struct json *op = json_at(ops, i);
        str path = json_string(json_get(op, STR("path"))), last = path;
        if (!names_principal(path))
            continue;
        while (str_find(last, '/') != STR_NPOS)
            last = str_drop(last, str_find(last, '/') + 1);
        enum err e = json_set(r->arena, op, STR("value"), json_new_string(r->arena, last));
        if (e != OK)
            return e;
    }
    return OK;
}

static bool touches_permissions(const struct json *ops)
{
    for (size_t i = 0; i < json_count(ops); i++) {
        const struct json *op = json_at(ops, i);
        const struct json *verb = json_get(op, STR("op"));
        if (str_starts(json_string(json_get(op, STR("path"))), STR("/permissions")) &&
            !str_eq(json_string(verb), STR("test")))
            return true;
        const struct json *from = json_get_typed(op, STR("from"), JSON_STRING);
        if (from && str_starts(json_string(from), STR("/permissions")))
            return true;
    }
    return false;
}

static enum api_step patch_failed(struct api_req *r, str what)
{
    return api_fail_invalid(r, "body", STR_NONE,
                            ARENA_JOIN(r->arena, STR("JSON Patch operation failed: "), what));
}

/* A list of strings, or an object with their names; none of them empty. */
static bool are_principals(const struct json *v)
{
    str name;
    struct json *value;
    if (json_is(v, JSON_OBJECT)) {
        for (size_t i = 0; json_member(v, i, &name, &value); i++)
            if (name.n == 0)
                return false;
        return true;
    }
    for (size_t i = 0; json_is(v, JSON_ARRAY) && i < json_count(v); i++)
        if (!json_is(json_at(v, i), JSON_STRING) || json_string(json_at(v, i)).n == 0)
            return false;
    return json_is(v, JSON_ARRAY);
}

/* Only known kinds with principals can be stored. */
static enum api_step check_patched_permissions(struct api_req *r, const struct json *permissions)
{
    str kind;
    struct json *principals;
    if (!json_is(permissions, JSON_OBJECT))
        return patch_failed(r, STR("/permissions must be an object"));
    for (size_t i = 0; json_member(permissions, i, &kind, &principals); i++) {
        if (!(store_perm_from_name(kind) & api_kind_of(r)->perms))
            return patch_failed(r,
                                ARENA_JOIN(r->arena, STR("unknown permission '"), kind, STR("'")));
        if (!are_principals(principals))
            return patch_failed(r, STR("principals must be a list of strings"));
    }
    return STEP_NEXT;
}

static enum api_step apply_json_patch(struct api_req *r, struct json *data,
                                      struct patch_result *result)
{
    enum err e;
    struct json *doc = json_new_object(r->arena);
    struct json *permissions = permissions_document(r, &e);
    if (e == OK)
        e = json_set(r->arena, doc, STR("data"), data);
    if (e == OK)
        e = json_set(r->arena, doc, STR("permissions"), permissions);
    if (e == OK)
        e = complete_operations(r, r->root);
    struct json_patch_error error = {0};
    if (e == OK)
        e = json_patch_apply(r->arena, &doc, r->root, &error);
    if (e == ERR_NOMEM)
        return api_fail_err(r, e);
    if (e != OK)
        return patch_failed(r, error.what);
    result->data = json_get_typed(doc, STR("data"), JSON_OBJECT);
    if (result->data == NULL)
        return patch_failed(r, STR("/data must be an object"));
    result->changes = json_copy(r->arena, result->data);
    if (!touches_permissions(r->root))
        return STEP_NEXT;
    /* Who did not see the permissions can only add to them. */
    result->permissions = json_get(doc, STR("permissions"));
    result->replaced = sees_permissions(r) ? api_replaced_perms(r, result->permissions) : 0;
    return check_patched_permissions(r, result->permissions);
}

/* ---- the other two --------------------------------------------------------------------------- */

static enum api_step apply_members(struct api_req *r, struct json *data,
                                   struct patch_result *result)
{
    if (r->data == NULL && r->permissions == NULL)
        return api_fail_invalid(r, "body", STR("data"),
                                STR("Provide at least one of data or permissions"));
    result->data = data;
    result->changes = r->data ? r->data : json_new_object(r->arena);
    if (result->changes == NULL)
        return api_fail_err(r, ERR_NOMEM);
    result->permissions = r->permissions;
    enum api_step s = api_take_inline_permissions(r, result->changes, &result->permissions);
    if (s != STEP_NEXT)
        return s;
    result->replaced = api_replaced_perms(r, result->permissions);
    if (r->patch == PATCH_MERGE) {
        result->data = json_merge_patch(r->arena, data, result->changes);
        return result->data ? STEP_NEXT : api_fail_err(r, ERR_NOMEM);
    }
    str name;
    struct json *value;
    for (size_t i = 0; json_member(result->changes, i, &name, &value); i++) {
        enum err e = json_set(r->arena, data, name, json_copy(r->arena, value));
        if (e != OK)
            return api_fail_err(r, e);
    }
    return STEP_NEXT;
}

/* ---- Response-Behavior ----------------------------------------------------------------------- */

/* A time that was sent and not taken counts as changed: the client learns the real one. */
static bool time_ignored(const struct api_req *r, const struct json *sent)
{
    int64_t n;
    return !json_is(sent, JSON_NUMBER) || !json_number_is_integer(sent) ||
           json_to_i64(sent, &n) != OK || n <= r->object.last_modified;
}

static bool same(const struct json *a, const struct json *b)
{
    /* absent and null are one to the reference here */
    if (a == NULL || b == NULL)
        return (a == NULL || json_is(a, JSON_NULL)) && (b == NULL || json_is(b, JSON_NULL));
    return json_equal(a, b);
}

/* light: the fields that changed; diff: those that changed and are not as they were sent. */
static enum api_step reply_fields(struct api_req *r, const struct patch_result *p,
                                  const struct json *old, const struct store_object *stored)
{
    struct json *now, *result = json_new_object(r->arena), *sent;
    enum err e = store_data(r->arena, stored, &now);
    str name;
    for (size_t i = 0; e == OK && json_member(p->changes, i, &name, &sent); i++) {
        bool time = str_eq(name, STR("last_modified"));
        struct json *value = json_get(now, name);
        bool changed = time ? !same(json_get(old, name), sent) || time_ignored(r, sent)
                            : !same(json_get(old, name), value);
        if (!changed || value == NULL || (r->behavior == BEHAVIOR_DIFF && same(sent, value)))
            continue;
        e = json_set(r->arena, result, name, json_copy(r->arena, value));
    }
    if (e == OK && result == NULL)
        e = ERR_NOMEM;
    return e == OK ? api_reply_data(r, result) : api_fail_err(r, e);
}

enum api_step api_patch_object(struct api_req *r)
{
    enum api_step s = api_require_object(r);
    if (s == STEP_NEXT)
        s = api_precondition(r, &r->object, true, r->object.last_modified);
    if (s != STEP_NEXT)
        return s;
    struct json *old, *data;
    enum err e = store_data(r->arena, &r->object, &old);
    if (e != OK)
        return api_fail_err(r, e);
    data = json_copy(r->arena, old);
    if (data == NULL)
        return api_fail_err(r, ERR_NOMEM);
    struct patch_result p = {0};
    s = r->patch == PATCH_JSON ? apply_json_patch(r, data, &p) : apply_members(r, data, &p);
    if (s != STEP_NEXT)
        return s;
    r->invalid = NULL;
    api_validate_data(r, p.data, "");
    if (r->invalid) {
        r->invalid->next = NULL; /* only the first is told */
        return api_invalid_fail(r, 400);
    }
    s = api_check_same_id(r, p.data);
    struct store_object stored;
    if (s == STEP_NEXT)
        s = api_store_object(r, p.data, p.permissions, p.replaced, &stored);
    if (s != STEP_NEXT)
        return s;
    return r->behavior == BEHAVIOR_FULL ? api_reply_object(r, 200, &stored)
                                        : reply_fields(r, &p, old, &stored);
}
