/*
 * api/validate.c - are the headers, the query and the body of a resource request well-formed?
 *
 * All errors of a request are gathered and answered at once, in the wording of the reference (which
 * shows values as Python writes them). A body with unknown members is told only that.
 */
#include "api/private.h"

str api_python_str(struct arena *a, const struct json *v)
{
    struct buf b;
    buf_init_arena(&b, a, MIB);
    json_write_pystr(&b, v);
    return buf_failed(&b) ? STR("...") : buf_str(&b);
}

bool api_is_falsy(const struct json *v)
{
    switch (json_type(v)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return !json_bool(v);
    case JSON_NUMBER:
        return json_number_compare(json_number(v), STR("0")) == 0;
    case JSON_STRING:
        return json_string(v).n == 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return json_count(v) == 0;
}

/* ---- the reference's checks of a value ------------------------------------------------------- */

bool api_is_mapping(struct api_req *r, const struct json *v, str name)
{
    if (json_is(v, JSON_OBJECT))
        return true;
    api_invalid_add(
        r, "body", name,
        ARENA_JOIN(r->arena, STR("\""), api_python_str(r->arena, v),
                   STR("\" is not a mapping type: Does not implement dict-like functionality.")));
    return false;
}

bool api_is_text(struct api_req *r, const struct json *v, str name, const char *key)
{
    if (v == NULL || api_is_falsy(v)) {
        api_invalid_add(r, "body", name, STR("Required"));
        return false;
    }
    if (json_is(v, JSON_STRING))
        return true;
    api_invalid_add(r, "body", name,
                    ARENA_JOIN(r->arena, api_python_str(r->arena, v), STR(" is not a string: {'"),
                               str_from(key), STR("': ''}")));
    return false;
}

bool api_is_choice(struct api_req *r, const struct json *v, str name, const char *key,
                   const str *choices, size_t n)
{
    if (!api_is_text(r, v, name, key))
        return false;
    if (str_is_one_of(json_string(v), choices, n))
        return true;
    str told = ARENA_JOIN(r->arena, STR("\""), json_string(v), STR("\" is not one of "));
    for (size_t i = 0; i < n; i++)
        told = ARENA_JOIN(r->arena, told, i ? STR(", ") : STR(""), choices[i]);
    api_invalid_add(r, "body", name, told);
    return false;
}

bool api_is_path(struct api_req *r, const struct json *v, str name, const char *key)
{
    if (!api_is_text(r, v, name, key))
        return false;
    if (str_starts(json_string(v), STR("/")))
        return true;
    api_invalid_add(r, "body", name, STR("String does not match expected pattern"));
    return false;
}

bool api_is_sequence(struct api_req *r, const struct json *v, str name)
{
    if (json_is(v, JSON_ARRAY))
        return true;
    api_invalid_add(
        r, "body", name,
        ARENA_JOIN(r->arena, STR("\""), api_python_str(r->arena, v), STR("\" is not iterable")));
    return false;
}

bool api_only_members(struct api_req *r, const struct json *v, const str *known, size_t n, str name)
{
    struct json *unknown = NULL;
    str member;
    struct json *value;
    for (size_t i = 0; json_member(v, i, &member, &value); i++) {
        if (str_is_one_of(member, known, n))
            continue;
        if (unknown == NULL)
            unknown = json_new_object(r->arena);
        if (json_set(r->arena, unknown, member, json_copy(r->arena, value)) != OK)
            return false; /* no answer leaves: the arena remembers */
    }
    if (unknown == NULL)
        return true;
    api_invalid_add(r, "body", name,
                    ARENA_JOIN(r->arena, STR("Unrecognized keys in mapping: \""),
                               api_python_str(r->arena, unknown), STR("\"")));
    return false;
}

static str number(struct api_req *r, size_t n)
{
    return arena_printf(r->arena, "%zu", n);
}

/* ---- the data of the core's kinds ------------------------------------------------------------------- */

/* Fails only without memory, and the arena remembers that: no answer leaves. */
static void put(struct api_req *r, struct json *object, str name, struct json *value)
{
    enum err e = json_set(r->arena, object, name, value);
    (void)e;
}

static str field_name(struct api_req *r, const char *prefix, const char *field)
{
    return arena_printf(r->arena, "%s%s", prefix, field);
}

void api_validate_group(struct api_req *r, struct json *data, const char *prefix)
{
    struct json *members = json_get(data, STR("members"));
    if (members == NULL) {
        put(r, data, STR("members"), json_new_array(r->arena));
        return;
    }
    str name = field_name(r, prefix, "members");
    if (!api_is_sequence(r, members, name))
        return;
    for (size_t i = 0; i < json_count(members); i++) {
        str item = ARENA_JOIN(r->arena, name, STR("."), number(r, i));
        if (!api_is_text(r, json_at(members, i), item, ""))
            continue;
        str member = json_string(json_at(members, i));
        if (str_starts(member, STR("/buckets/")) || str_eq(member, STR("system.Everyone")))
            api_invalid_add(
                r, "body", item,
                ARENA_JOIN(r->arena, STR("'"), member, STR("' is not a valid user ID.")));
    }
}

static void check_schema_field(struct api_req *r, struct json *data, const char *field,
                               const char *prefix)
{
    struct json *v = json_get(data, str_from(field));
    str name = field_name(r, prefix, field);
    if (v && api_is_mapping(r, v, name))
        api_check_schema(r, v, name);
}

/* An integer, or text of one, which becomes one; what is empty goes away. */
static void check_cache_expires(struct api_req *r, struct json *data, const char *prefix)
{
    struct json *v = json_get(data, STR("cache_expires"));
    if (v == NULL)
        return;
    if (api_is_falsy(v) && !json_is(v, JSON_NUMBER) && !json_is(v, JSON_BOOL)) {
        json_remove(data, STR("cache_expires"));
        return;
    }
    int64_t n;
    if (json_is(v, JSON_BOOL))
        n = json_bool(v);
    else if (!api_to_integer(v, &n)) {
        api_invalid_add(r, "body", field_name(r, prefix, "cache_expires"),
                        ARENA_JOIN(r->arena, STR("\""), api_python_str(r->arena, v),
                                   STR("\" is not a number")));
        return;
    }
    put(r, data, STR("cache_expires"), json_new_i64(r->arena, n));
}

void api_validate_bucket(struct api_req *r, struct json *data, const char *prefix)
{
    check_schema_field(r, data, "collection:schema", prefix);
    check_schema_field(r, data, "group:schema", prefix);
    check_schema_field(r, data, "record:schema", prefix);
}

void api_validate_collection(struct api_req *r, struct json *data, const char *prefix)
{
    check_schema_field(r, data, "schema", prefix);
    check_cache_expires(r, data, prefix);
}

void api_validate_data(struct api_req *r, struct json *data, const char *prefix)
{
    const struct api_resource *resource = &api_kind_of(r)->is;
    if (resource->validate)
        resource->validate(r, data, prefix);
}

/* ---- permissions ----------------------------------------------------------------------------- */

/* "read, write, record:create": those that the kind has, in the reference's order. */
static str known_perms(struct api_req *r)
{
    struct buf b;
    buf_init_arena(&b, r->arena, KIB);
    for (unsigned i = 0; i < STORE_PERM_COUNT; i++) {
        if (!(api_kind_of(r)->perms & (1u << i)))
            continue;
        if (b.n)
            buf_add_lit(&b, ", ");
        buf_add_str(&b, store_perm_name((enum store_perm)(1u << i)));
    }
    return buf_str(&b);
}

static bool known_perm(struct api_req *r, str name)
{
    return (store_perm_from_name(name) & api_kind_of(r)->perms) != 0;
}

void api_check_permissions(struct api_req *r, const struct json *permissions)
{
    if (!api_is_mapping(r, permissions, STR("permissions")))
        return;
    str perm;
    struct json *principals;
    for (size_t i = 0; json_member(permissions, i, &perm, &principals); i++) {
        if (json_is(principals, JSON_NULL) || known_perm(r, perm))
            continue;
        api_invalid_add(
            r, "body", STR("permissions"),
            ARENA_JOIN(r->arena, STR("\""), perm, STR("\" is not one of "), known_perms(r)));
        return;
    }
    for (size_t i = 0; json_member(permissions, i, &perm, &principals); i++) {
        str name = ARENA_JOIN(r->arena, STR("permissions."), perm);
        if (json_is(principals, JSON_NULL) || !api_is_sequence(r, principals, name))
            continue;
        for (size_t k = 0; k < json_count(principals); k++)
            api_is_text(r, json_at(principals, k),
                        ARENA_JOIN(r->arena, name, STR("."), number(r, k)), "");
    }
}

/* ---- the body -------------------------------------------------------------------------------- */

static bool takes_body(const struct api_req *r)
{
    return r->method == METHOD_POST || r->method == METHOD_PUT || r->method == METHOD_PATCH;
}

static bool has_body(const struct api_req *r)
{
    return r->body.n > 0 || r->body_json;
}

/* A GET or DELETE means nothing by its body, but what calls itself JSON, or nothing, has to be some. */
bool api_reads_body(struct api_req *r)
{
    return takes_body(r) || (has_body(r) && api_is_json_type(api_req_header(r, "Content-Type")));
}

void api_body_parse(struct api_req *r)
{
    if (r->body_state != BODY_UNREAD)
        return;
    if (!has_body(r)) {
        r->body_state = BODY_EMPTY;
        r->root = json_new_object(r->arena);
        return;
    }
    if (r->body_json) { /* a copy, for it is changed on its way to the store, and may be asked for again */
        r->body_state = BODY_JSON;
        r->root = json_copy(r->arena, r->body_json);
        return;
    }
    enum err e = json_parse_flat(r->arena, r->body, API_BODY_DEPTH, &r->root, &r->body_error);
    r->body_state = e == OK ? BODY_JSON : BODY_BAD;
    if (e != OK)
        r->root = NULL;
}

/* True if there is an object or array; else the errors that the reference gives: two where the body has a
 * meaning. */
bool api_body_usable(struct api_req *r)
{
    api_body_parse(r);
    if (r->body_state == BODY_BAD)
        api_invalid_add(r, "body", STR(""),
                        arena_printf(r->arena, "Invalid JSON: Parse error at offset %zu: %s",
                                     r->body_error.offset, r->body_error.what));
    else if (json_is(r->root, JSON_OBJECT) || json_is(r->root, JSON_ARRAY))
        return true;
    else
        api_invalid_add(r, "body", STR(""), STR("Should be a JSON object or an array"));
    if (takes_body(r))
        api_invalid_add(r, "body", STR(""), STR("Required"));
    return false;
}

static void check_patch_operation(struct api_req *r, struct json *op, size_t i)
{
    static const str members[] = {STR_INIT("op"), STR_INIT("path"), STR_INIT("from"),
                                  STR_INIT("value")};
    static const str ops[] = {STR_INIT("test"),    STR_INIT("add"),  STR_INIT("remove"),
                              STR_INIT("replace"), STR_INIT("move"), STR_INIT("copy")};
    str name = number(r, i);
    if (!api_is_mapping(r, op, name) || !api_only_members(r, op, members, ARRAY_LEN(members), name))
        return;
    api_is_choice(r, json_get(op, STR("op")), ARENA_JOIN(r->arena, name, STR(".op")), "op", ops,
                  ARRAY_LEN(ops));
    api_is_path(r, json_get(op, STR("path")), ARENA_JOIN(r->arena, name, STR(".path")), "path");
    const struct json *from = json_get(op, STR("from"));
    if (from == NULL || api_is_falsy(from))
        json_remove(op, STR("from")); /* may be left out, and an empty one is */
    else
        api_is_path(r, from, ARENA_JOIN(r->arena, name, STR(".from")), "from");
}

/* Each operation may move all items of an array, inside the write transaction. */
#define MAX_PATCH_OPERATIONS 1000

static void check_patch(struct api_req *r)
{
    if (!api_is_sequence(r, r->root, STR("")))
        return;
    if (json_count(r->root) > MAX_PATCH_OPERATIONS) {
        api_invalid_add(r, "body", STR(""),
                        arena_printf(r->arena, "At most %d operations", MAX_PATCH_OPERATIONS));
        return;
    }
    for (size_t i = 0; i < json_count(r->root); i++)
        check_patch_operation(r, json_at(r->root, i), i);
}

static void check_object_body(struct api_req *r)
{
    static const str members[] = {STR_INIT("data"), STR_INIT("permissions")};
    if (!api_is_mapping(r, r->root, STR("")) ||
        !api_only_members(r, r->root, members, ARRAY_LEN(members), STR("")))
        return;
    r->data = json_get(r->root, STR("data"));
    r->permissions = json_get(r->root, STR("permissions"));
    bool whole = r->method != METHOD_PATCH;
    if (whole && r->data == NULL && api_kind_of(r)->is.data_required)
        api_invalid_add(r, "body", STR("data"), STR("Required"));
    if (r->data && api_is_mapping(r, r->data, STR("data")) && whole)
        api_validate_data(r, r->data, "data.");
    if (r->permissions)
        api_check_permissions(r, r->permissions);
}

static void check_body(struct api_req *r)
{
    if (r->patch == PATCH_JSON)
        check_patch(r);
    else
        check_object_body(r);
}

/* ---- headers --------------------------------------------------------------------------------- */

static void check_tag(struct api_req *r, const char *header, struct api_tag *tag)
{
    str v = api_req_header(r, header);
    *tag = (struct api_tag){TAG_NONE, 0};
    if (v.n == 0)
        return;
    if (str_eq(v, STR("*"))) {
        tag->kind = TAG_ANY;
        return;
    }
    bool quoted = v.n > 2 && v.p[0] == '"' && v.p[v.n - 1] == '"';
    uint64_t n = 0;
    enum err e = quoted ? str_to_u64(str_sub(v, 1, v.n - 2), &n) : ERR_SYNTAX;
    if (e == ERR_SYNTAX) {
        api_invalid_add(r, "header", str_from(header),
                        STR("The value should be integer between double quotes."));
        return;
    }
    tag->kind = TAG_VALUE;
    tag->value = e == OK && n <= INT64_MAX ? (int64_t)n : INT64_MIN;
}

static void check_behavior(struct api_req *r)
{
    r->behavior = BEHAVIOR_FULL;
    str v = api_req_header(r, "Response-Behavior");
    if (r->method != METHOD_PATCH || v.n == 0 || str_eq(v, STR("full")))
        return;
    if (str_eq(v, STR("light")))
        r->behavior = BEHAVIOR_LIGHT;
    else if (str_eq(v, STR("diff")))
        r->behavior = BEHAVIOR_DIFF;
    else
        api_invalid_add(
            r, "header", STR("Response-Behavior"),
            ARENA_JOIN(r->arena, STR("\""), v, STR("\" is not one of full, light, diff")));
}

/* A body that is no JSON is all that is told. */
static void check_all(struct api_req *r)
{
    r->data = r->permissions = NULL;
    if (api_reads_body(r) && !api_body_usable(r))
        return;
    check_tag(r, "If-Match", &r->if_match);
    check_tag(r, "If-None-Match", &r->if_none_match);
    check_behavior(r);
    api_query_parse(r);
    if (takes_body(r))
        check_body(r);
}

enum api_step api_validate(struct api_req *r)
{
    r->invalid = NULL;
    check_all(r);
    if (arena_failed(r->arena))
        return api_fail_err(r, ERR_NOMEM);
    if (r->invalid == NULL)
        return STEP_NEXT;
    enum api_step s = api_invalid_fail(r, 400);
    r->failed = false; /* in a batch, this error has the headers of an ordinary answer */
    return s;
}
