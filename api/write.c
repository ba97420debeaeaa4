/*
 * api/write.c - POST, PUT and DELETE. (PATCH: patch.c.)
 *
 * All of it runs inside the write transaction: what was checked still holds when it is written.
 */
#include "api/private.h"

/* May the client have that time? */
static bool may_ask(const struct api_req *r, int64_t time)
{
    return !api_kind_of(r)->is.time_is_ours || time <= clock_wall_ms();
}

/* The time that the client asks for: an integer, or nothing. */
static enum api_step asked_time(struct api_req *r, const struct json *data, int64_t *value,
                                const int64_t **asked)
{
    const struct json *v = json_get_typed(data, STR("last_modified"), JSON_NUMBER);
    *asked = NULL;
    if (v == NULL || !json_number_is_integer(v))
        return STEP_NEXT;
    if (json_to_i64(v, value) != OK || *value > STORE_MAX_TIMESTAMP ||
        *value < -STORE_MAX_TIMESTAMP)
        return api_fail_invalid(r, "body", STR("data.last_modified"),
                                STR("The timestamp is out of range"));
    if (may_ask(r, *value))
        *asked = value;
    return STEP_NEXT;
}

/* A principal that the store meets for the first time has no number until it is written. */
static enum err refresh_principals(struct api_req *r)
{
    return r->who.unseen
               ? store_principals_resolve(r->session, r->arena, r->who.names, r->who.count, &r->who)
               : OK;
}

enum api_step api_write(struct api_req *r, enum api_kind kind, struct store_list_id list,
                        const struct store_object *old, const struct store_put *put,
                        struct store_object *out)
{
    struct api_change change;
    enum err e = api_change_begin(r, kind, list, put->id, old, &change);
    if (e == OK)
        e = store_put(r->session, r->arena, list, put, out);
    if (e == OK && put->acl) /* it may name the caller for the first time */
        e = refresh_principals(r);
    return e == OK ? api_change_end(r, &change, out, put->data) : api_fail_err(r, e);
}

/* Does the body's "permissions" (or NULL) name a kind? null is no permission. */
static bool names_any(const struct json *permissions)
{
    str kind;
    struct json *value;
    for (size_t i = 0; permissions && json_member(permissions, i, &kind, &value); i++)
        if (!json_is(value, JSON_NULL))
            return true;
    return false;
}

/* "__permissions__" in data is read as permissions when the body names none, and never stored. */
enum api_step api_take_inline_permissions(struct api_req *r, struct json *data,
                                          struct json **permissions)
{
    struct json *inner = json_get(data, STR("__permissions__"));
    if (inner == NULL)
        return STEP_NEXT;
    json_remove(data, STR("__permissions__"));
    if (names_any(*permissions))
        return STEP_NEXT;
    r->invalid = NULL;
    r->inline_permissions = true;
    api_check_permissions(r, inner);
    *permissions = inner;
    return r->invalid ? api_invalid_fail(r, 400) : STEP_NEXT;
}

/* A list must have its clock before an object with a time of the client's own comes into it. */
static enum err start_clock(struct api_req *r)
{
    int64_t ignored;
    return store_timestamp(r->session, r->list, &ignored);
}

enum api_step api_store_object(struct api_req *r, struct json *data, const struct json *permissions,
                               unsigned replaced, struct store_object *out)
{
    int64_t time;
    struct store_put put = {.id = r->id, .data = data};
    json_remove(data, STR("__permissions__")); /* never stored, however it came there */
    const struct api_resource *resource = &api_kind_of(r)->is;
    enum api_step s = resource->process ? resource->process(resource->ctx, r, data) : STEP_NEXT;
    if (s == STEP_NEXT)
        s = api_validate_by_schemas(r, data);
    if (s == STEP_NEXT)
        s = asked_time(r, data, &time, &put.last_modified);
    if (s != STEP_NEXT)
        return s;
    struct store_object old = r->object;
    enum err e = put.last_modified ? start_clock(r) : OK;
    if (e == OK)
        e = api_new_acl(r, r->exists ? &old : NULL, permissions, replaced, &put.acl, &put.nacl);
    if (e != OK)
        return api_fail_err(r, e);
    s = api_write(r, r->route->kind, r->list, r->exists ? &old : NULL, &put, out);
    if (s == STEP_NEXT)
        api_timestamp_headers(r, out->last_modified);
    return s;
}

/* Stores the data and the permissions of the body, and answers with the object. */
static enum api_step store_body(struct api_req *r, struct json *data, int status)
{
    struct store_object stored;
    enum api_step s = STEP_NEXT;
    if (data == r->data) /* of the client, not of the store */
        s = api_take_inline_permissions(r, data, &r->permissions);
    if (s == STEP_NEXT)
        s = api_store_object(r, data, r->permissions, api_replaced_perms(r, r->permissions),
                             &stored);
    return s == STEP_NEXT ? api_reply_object(r, status, &stored) : s;
}

enum api_step api_list_precondition(struct api_req *r, bool exists)
{
    if (r->if_match.kind == TAG_NONE && r->if_none_match.kind == TAG_NONE)
        return STEP_NEXT;
    int64_t timestamp;
    enum err e = store_timestamp(r->session, r->list, &timestamp);
    return e == OK ? api_precondition(r, NULL, exists, timestamp) : api_fail_err(r, e);
}

static enum api_step precondition(struct api_req *r)
{
    if (r->exists)
        return api_precondition(r, &r->object, true, r->object.last_modified);
    return api_list_precondition(r, false);
}

enum api_step api_post(struct api_req *r)
{
    enum api_step s = precondition(r);
    if (s != STEP_NEXT)
        return s;
    if (r->exists) { /* nothing is changed */
        api_timestamp_headers(r, r->object.last_modified);
        return api_reply_object(r, 200, &r->object);
    }
    if (str_none(r->id))
        r->id = api_new_id(r);
    struct json *data = r->data ? r->data : json_new_object(r->arena);
    if (data == NULL || str_none(r->id))
        return api_fail_err(r, ERR_NOMEM);
    return store_body(r, data, 201);
}

enum api_step api_check_same_id(struct api_req *r, const struct json *data)
{
    const struct json *id = json_get(data, STR("id"));
    if (id == NULL || (json_is(id, JSON_STRING) && str_eq(json_string(id), r->id)))
        return STEP_NEXT;
    return api_fail_invalid(r, "body", STR("id"), STR("Object id does not match existing object"));
}

enum api_step api_put(struct api_req *r)
{
    if (!api_valid_id_of(r, r->route->kind, r->id))
        return api_fail_invalid(r, "path", STR_NONE, STR("Invalid object id"));
    enum api_step s = precondition(r);
    if (s != STEP_NEXT)
        return s;
    struct json *data = r->data;
    enum err e = OK;
    if (data == NULL && r->exists) /* without data the object keeps what it has */
        e = store_data(r->arena, &r->object, &data);
    else if (data == NULL)
        data = json_new_object(r->arena);
    if (e != OK || data == NULL)
        return api_fail_err(r, e != OK ? e : ERR_NOMEM);
    s = api_check_same_id(r, data);
    return s == STEP_NEXT ? store_body(r, data, r->exists ? 200 : 201) : s;
}

/* ---- DELETE ---------------------------------------------------------------------------------- */

/* ?last_modified= of a DELETE: ignored unless it is ahead of the object. */
static enum api_step asked_deletion_time(struct api_req *r, int64_t *value, const int64_t **asked)
{
    const struct api_param *p = api_query_get(&r->q, "last_modified");
    *asked = NULL;
    bool empty = p && !str_none(p->text) && p->text.n == 0;
    if (p == NULL || empty || json_is(p->value, JSON_NULL) || json_is(p->value, JSON_BOOL))
        return STEP_NEXT;
    if (!api_to_integer(p->value, value) || *value > STORE_MAX_TIMESTAMP)
        return api_fail_invalid(r, "querystring", STR("last_modified"),
                                ARENA_JOIN(r->arena, STR("\""), api_python_str(r->arena, p->value),
                                           STR("\" is not a number")));
    if (*value > r->object.last_modified && may_ask(r, *value))
        *asked = value;
    return STEP_NEXT;
}

enum api_step api_delete_stored(struct api_req *r, enum api_kind kind, struct store_list_id list,
                                const struct store_object *o, const int64_t *time, size_t left,
                                struct store_object *tombstone)
{
    struct api_change change;
    enum err e = api_change_begin(r, kind, list, o->id, o, &change);
    change.left = left;
    if (e == OK)
        e = store_delete(r->session, r->arena, list, o->id, time, tombstone);
    return e == OK ? api_change_end(r, &change, tombstone, NULL) : api_fail_err(r, e);
}

static enum api_step delete_one(struct api_req *r, const struct store_object *o,
                                const int64_t *time, size_t left, struct store_object *tombstone)
{
    return api_delete_stored(r, r->route->kind, r->list, o, time, left, tombstone);
}

enum api_step api_delete_object(struct api_req *r)
{
    enum api_step s = api_require_object(r);
    if (s == STEP_NEXT)
        s = api_precondition(r, &r->object, true, r->object.last_modified);
    int64_t time;
    const int64_t *asked = NULL;
    if (s == STEP_NEXT)
        s = asked_deletion_time(r, &time, &asked);
    if (s != STEP_NEXT)
        return s;
    struct store_object object = r->object, tombstone;
    object.id = r->id;
    s = delete_one(r, &object, asked, 0, &tombstone);
    if (s != STEP_NEXT)
        return s;
    api_timestamp_headers(r, tombstone.last_modified);
    return api_reply_object(r, 200, &tombstone);
}

/* One of many: what was made on the way goes, but for its tombstone, which is put into `kept`. Of the last
 * one it stays, with the headers that listeners have set. */
static enum api_step delete_bare(struct api_req *r, struct store_object *o, size_t left,
                                 struct arena *kept)
{
    struct api_mark mark = api_mark(r);
    struct store_object whole = *o, tombstone;
    enum err e = OK;
    if (api_is_listened_to(r))
        e = store_get(r->session, r->arena, r->list, o->id, &whole);
    if (e != OK)
        return api_fail_err(r, e);
    whole.id = o->id;
    enum api_step s = delete_one(r, &whole, NULL, left, &tombstone);
    if (s != STEP_NEXT)
        return s;
    *o = (struct store_object){.id = o->id,
                               .last_modified = tombstone.last_modified,
                               .deleted = true,
                               .data = arena_str(kept, tombstone.data)};
    if (str_none(o->data))
        return api_fail_err(r, ERR_NOMEM);
    if (left > 0)
        api_release(r, mark);
    return STEP_NEXT;
}

static enum api_step delete_found(struct api_req *r, struct store_result *found, int64_t *newest,
                                  struct arena *kept)
{
    enum api_step s = STEP_NEXT;
    for (size_t i = 0; s == STEP_NEXT && i < found->count; i++) {
        s = delete_bare(r, &found->objects[i], found->count - i - 1, kept);
        if (s == STEP_NEXT && (i == 0 || found->objects[i].last_modified > *newest))
            *newest = found->objects[i].last_modified;
    }
    return s;
}

/* However large they are: one at a time is in memory. */
static enum err find_bare(struct api_req *r, struct api_page *page, struct store_result *found)
{
    page->query.bare = true;
    enum err e = store_query(r->session, r->arena, r->list, &page->query, found);
    if (e != OK || !found->more)
        return e;
    struct store_object *last = &found->objects[found->count - 1]; /* there the next page begins */
    return store_get(r->session, r->arena, r->list, last->id, last);
}

static enum api_step delete_page(struct api_req *r, struct api_page *page, int64_t timestamp,
                                 struct arena *kept)
{
    struct store_result found;
    enum err e = find_bare(r, page, &found);
    if (e != OK)
        return api_fail_err(r, e);
    /* The next page goes on behind the object as it was: its tombstone has no fields to sort by. */
    enum api_step s = api_page_next(r, page, &found);
    if (s == STEP_NEXT)
        s = delete_found(r, &found, &timestamp, kept);
    if (s != STEP_NEXT)
        return s;
    api_timestamp_headers(r, timestamp);
    return api_reply_list(r, found.objects, found.count);
}

enum api_step api_delete_plural(struct api_req *r)
{
    enum api_step s = api_list_precondition(r, true);
    if (s != STEP_NEXT)
        return s;
    int64_t timestamp;
    enum err e = store_timestamp(r->session, r->list, &timestamp);
    if (e != OK)
        return api_fail_err(r, e);
    r->list_clock = timestamp;
    struct api_page page;
    s = api_page_build(r, &page);
    if (s != STEP_NEXT)
        return s;
    struct arena kept;
    arena_init_beside(&kept, r->arena);
    s = delete_page(r, &page, timestamp, &kept);
    arena_fini_beside(&kept, r->arena);
    return s;
}

/* ---- for plugins ----------------------------------------------------------------------------- */

enum api_step api_put_object(struct api_req *r, enum api_kind kind, str parent, str id,
                             const struct json *data, struct store_object *out)
{
    const struct store_list_id list = {str_from(r->api->kinds[kind].is.name), parent};
    const struct store_put put = {.id = id, .data = data};
    struct store_object old;
    enum err e = store_get(r->session, r->arena, list, id, &old);
    if (e != OK && e != ERR_NOTFOUND)
        return api_fail_err(r, e);
    return api_write(r, kind, list, e == OK ? &old : NULL, &put, out);
}

/* Makes one object with no data of its own, with the caller as its writer. */
static enum api_step create_empty(struct api_req *r, enum api_kind kind, struct store_list_id list,
                                  str id)
{
    struct store_put put = {.id = id, .data = json_new_object(r->arena)};
    struct store_object made;
    enum err e = put.data ? api_new_acl(r, NULL, NULL, 0, &put.acl, &put.nacl) : ERR_NOMEM;
    return e == OK ? api_write(r, kind, list, NULL, &put, &made) : api_fail_err(r, e);
}

static enum api_step ensure(struct api_req *r, enum api_kind kind, str parent, str id)
{
    struct store_object found;
    struct store_list_id list = {str_from(r->api->kinds[kind].is.name), parent};
    enum err e = store_get(r->session, r->arena, list, id, &found);
    if (e == ERR_NOTFOUND)
        return store_is_writing(r->session) ? create_empty(r, kind, list, id) : STEP_WRITE;
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

enum api_step api_create_if_absent(struct api_req *r, str bucket_id, str collection_id)
{
    if (str_none(collection_id))
        return ensure(r, KIND_BUCKET, STR(""), bucket_id);
    str uri = ARENA_JOIN(r->arena, STR("/buckets/"), bucket_id);
    if (str_none(uri))
        return api_fail_err(r, ERR_NOMEM);
    return ensure(r, KIND_COLLECTION, uri, collection_id);
}
