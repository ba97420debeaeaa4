/*
 * api/render.c - the bodies and headers of resource answers.
 *
 * An object's stored text is sent as it is, between a prefix and a suffix. It is copied here: the
 * snapshot that it lies in is given back before the answer has left.
 */
#include "api/private.h"
#include "base/decimal.h"

#define OBJECT_BYTES ((size_t)64) /* what one costs beside its bytes */
#define REST_EVERY   (64 * KIB)   /* bytes of a list that are copied: some 20 microseconds */

void api_timestamp_headers(struct api_req *r, int64_t timestamp)
{
    char *date = arena_alloc(r->arena, 30), *tag = arena_alloc(r->arena, DECIMAL_MAX_BYTES + 2);
    if (date == NULL || tag == NULL)
        return;
    /* Rounded down, also before 1970. */
    int64_t seconds = timestamp / 1000 - (timestamp % 1000 < 0);
    clock_http_date(seconds, date);
    http_header_add(r->out, STR("Last-Modified"), str_from(date));
    tag[0] = '"';
    char *end = decimal_put_i64(tag + 1, timestamp);
    *end++ = '"';
    http_header_add(r->out, STR("ETag"), (str){tag, (size_t)(end - tag)});
}

/* ---- Cache-Control: only anonymous answers may be cached ------------------------------------- */

/* kinto.<bucket>.<collection>.record_cache_expires_seconds and its older forms; < 0: unset. */
static int64_t record_cache_setting(const struct api_req *r)
{
    const struct api_config *c = &r->api->conf;
    str bucket = r->levels[0].id, collection = r->levels[1].id;
    str names[] = {
        ARENA_JOIN(r->arena, bucket, STR("."), collection), bucket, STR_NONE,
        ARENA_JOIN(r->arena, bucket, STR("_"), collection), bucket,
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct map *by_name = i < 2 ? &c->record_cache : &c->record_cache_old;
        const int64_t *seconds =
            i == 2 ? &r->api->kinds[KIND_RECORD].cache_seconds : map_get(by_name, names[i]);
        if (seconds && *seconds >= 0)
            return *seconds;
    }
    return -1;
}

#define MAX_CACHE_SECONDS (INT64_C(10) * 365 * 24 * 3600) /* as the settings allow */

/* The collection's own "cache_expires": the larger of it and the setting counts. */
static int64_t record_cache_seconds(struct api_req *r)
{
    int64_t seconds = record_cache_setting(r);
    struct json_raw raw;
    int64_t own;
    if (api_level_load(r, 1) == OK && r->levels[1].state == LEVEL_PRESENT &&
        json_scan_member(r->levels[1].object.data, STR("cache_expires"), &raw) &&
        str_to_i64(raw.text, &own) == OK)
        seconds = MAX_OF(seconds, MIN_OF(own, MAX_CACHE_SECONDS));
    return seconds;
}

void api_cache_header(struct api_req *r)
{
    if (str_none(r->user.id)) {
        bool record = r->route->kind == KIND_RECORD;
        int64_t seconds = record ? record_cache_seconds(r) : api_kind_of(r)->cache_seconds;
        if (seconds > 0 || (record && seconds == 0)) {
            api_cache_seconds(r, seconds);
            return;
        }
    }
    http_header_add(r->out, STR("Cache-Control"), STR("no-cache, no-store"));
}

/* ---- _fields --------------------------------------------------------------------------------- */

static struct json *subset_of(struct arena *a, const struct json *object, const str *fields,
                              size_t n);

/* One field of a subset: "a" or "a.b"; what is nested goes to what was taken before. */
static enum err take_field(struct arena *a, const struct json *object, str field,
                           struct json *result)
{
    str rest = field, head = str_cut(&rest, '.');
    struct json *value = json_get(object, head);
    if (value == NULL)
        return OK;
    if (str_none(rest) || !json_is(value, JSON_OBJECT))
        return json_set(a, result, head, json_copy(a, value));
    struct json *part = json_get_typed(result, head, JSON_OBJECT);
    if (part)
        return take_field(a, value, rest, part);
    part = subset_of(a, value, &rest, 1);
    return json_set(a, result, head, part);
}

static struct json *subset_of(struct arena *a, const struct json *object, const str *fields,
                              size_t n)
{
    struct json *result = json_new_object(a);
    for (size_t i = 0; i < n; i++)
        if (take_field(a, object, fields[i], result) != OK)
            return NULL;
    return result;
}

enum err api_subset(struct arena *a, str data, const str *fields, size_t n, str *out)
{
    struct json *object;
    enum err e = json_parse(a, data, &object, NULL);
    if (e != OK)
        return e == ERR_NOMEM ? e : ERR_CORRUPT;
    struct json *subset = subset_of(a, object, fields, n);
    *out = subset ? json_text(a, subset) : STR_NONE;
    return str_none(*out) ? ERR_NOMEM : OK;
}

/* ---- objects --------------------------------------------------------------------------------- */

/* Those who may write the object itself; and who made it just now, even for somebody else, who became
 * its writer. */
static bool sees_permissions(const struct api_req *r, const struct store_object *o)
{
    bool made = !r->exists && (r->method == METHOD_POST || r->method == METHOD_PUT);
    return store_acl_allows(o, &r->who, STORE_PERM_WRITE) || (made && api_author_writes(r));
}

/* {"read":["..."],"write":["..."]}, as far as the caller sees them. */
static enum err write_permissions(struct api_req *r, const struct store_object *o, struct buf *b)
{
    buf_add_char(b, '{');
    if (sees_permissions(r, o)) {
        const struct store_ace *acl;
        size_t n, kinds = 0;
        enum err e = store_acl_list(r->session, r->arena, o, &acl, &n);
        if (e != OK)
            return e;
        for (unsigned bit = 0; bit < STORE_PERM_COUNT; bit++) {
            size_t listed = 0;
            for (size_t i = 0; i < n; i++) {
                if (!(acl[i].perms & (1u << bit)))
                    continue;
                if (listed++ == 0) {
                    buf_add_str(b, kinds++ ? STR(",\"") : STR("\""));
                    buf_add_str(b, store_perm_name((enum store_perm)(1u << bit)));
                    buf_add_lit(b, "\":[");
                } else {
                    buf_add_char(b, ',');
                }
                json_write_string(b, acl[i].principal);
            }
            if (listed)
                buf_add_char(b, ']');
        }
    }
    buf_add_char(b, '}');
    return OK;
}

/* What the caller gets to see of it. */
static enum err show(struct api_req *r, const struct store_object *o, bool listed,
                     struct api_shown *out)
{
    const struct api_resource *resource = &api_kind_of(r)->is;
    *out = (struct api_shown){o->data, STR_NONE};
    if (resource->show == NULL || o->deleted)
        return OK;
    return resource->show(resource->ctx, r, o, listed, out);
}

enum api_step api_reply_object(struct api_req *r, int status, const struct store_object *o)
{
    struct buf b;
    buf_init_arena(&b, r->arena, SIZE_MAX / 2);
    struct api_shown shown;
    enum err e = show(r, o, false, &shown);
    if (e == OK && r->q.fields)
        e = api_subset(r->arena, shown.data, r->q.fields, r->q.nfields, &shown.data);
    buf_add_char(&b, '{');
    if (e == OK && !r->q.fields && !o->deleted) {
        buf_add_lit(&b, "\"permissions\":");
        if (str_none(shown.permissions))
            e = write_permissions(r, o, &b);
        else
            buf_add_str(&b, shown.permissions);
        buf_add_char(&b, ',');
    }
    if (e != OK)
        return api_fail_err(r, e);
    e = buf_reserve(&b, shown.data.n + sizeof "\"data\":}");
    if (e != OK)
        return api_fail_err(r, e);
    buf_add_lit(&b, "\"data\":");
    buf_add_str(&b, shown.data);
    buf_add_char(&b, '}');
    return api_arena_reply(r, status, &b);
}

enum api_step api_reply_data(struct api_req *r, const struct json *data)
{
    struct buf b;
    buf_init_arena(&b, r->arena, SIZE_MAX / 2);
    buf_add_lit(&b, "{\"data\":");
    json_write(&b, data);
    buf_add_char(&b, '}');
    return api_arena_reply(r, 200, &b);
}

/* {"data":[...]}: a copy of each object's bytes, into memory taken once. */
enum api_step api_reply_list(struct api_req *r, const struct store_object *objects, size_t n)
{
    struct buf b;
    buf_init_arena(&b, r->arena, SIZE_MAX / 2);
    size_t total = 32, rest = 0;
    for (size_t i = 0; i < n; i++)
        total += objects[i].data.n + 1; /* cannot overflow: all of it is in memory */
    enum err e = buf_reserve(&b, r->q.fields ? 32 : total);
    if (e != OK)
        return api_fail_err(r, e);
    buf_add_lit(&b, "{\"data\":[");
    for (size_t i = 0; i < n; i++) {
        rest += objects[i].data.n + OBJECT_BYTES;
        if (rest >= REST_EVERY) {
            api_make_way(r);
            rest = 0;
        }
        struct api_shown shown = {objects[i].data, STR_NONE};
        if (r->route->kind != KIND_NONE)
            e = show(r, &objects[i], true, &shown);
        if (e == OK && r->q.fields)
            e = api_subset(r->arena, shown.data, r->q.fields, r->q.nfields, &shown.data);
        if (e != OK)
            return api_fail_err(r, e);
        if (i)
            buf_add_char(&b, ',');
        buf_add_str(&b, shown.data);
    }
    buf_add_lit(&b, "]}");
    return api_arena_reply(r, 200, &b);
}
