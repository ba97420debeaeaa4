/*
 * plugins/revisions_read.c - revisions for who asks: what the caller may see, what was at a time, and coming
 * back to it. The rules are in plugins/revisions.c.
 */
#include "plugins/revisions.h"

/* ---- who asks --------------------------------------------------------------------------------- */

struct access {
    bool writes;   /* the object */
    int64_t since; /* nothing before that is for the caller */
};

static enum err get_object(struct api_req *r, const struct api_place *p, struct store_object *out)
{
    const struct api_placed *at = api_place_end(p);
    return store_get(api_session(r), api_arena(r), at->list, at->id, out);
}

/* Somebody may have made the object anew while the plugin was off: then it begins there, and behind all that
 * is written down, whatever the times say. */
static enum err begin_unwritten(struct api_req *r, struct store_list_id list,
                                const struct store_object *now, int64_t *since)
{
    struct store_result newest;
    enum err e = revisions_newest(r, list, &newest);
    if (e == OK && !revision_is_known(&newest, now))
        *since = newest.count > 0 ? MAX_OF(now->last_modified, newest.objects[0].last_modified + 1)
                                  : now->last_modified;
    return e;
}

/* When the object was made, the last time; or found, which may have been another one before. */
static enum err find_made(struct api_req *r, struct store_list_id list, int64_t *since)
{
    struct arena *a = api_arena(r);
    struct json *either = json_new_array(a);
    const struct store_filter made = {STR("action"), STORE_IN, either};
    const struct store_query q = {.filters = &made, .nfilters = 1, .limit = 1};
    struct store_result found;
    enum err e = json_push(a, either, json_new_string(a, STR("create")));
    if (e == OK)
        e = json_push(a, either, json_new_string(a, STR("found")));
    if (e != OK)
        return e;
    e = store_query(api_session(r), a, list, &q, &found);
    if (e == OK && found.count > 0)
        *since = found.objects[0].last_modified;
    return e;
}

/* May the caller see what had the name before? */
static enum err sees_all(struct api_req *r, const struct api_place *p, bool *all)
{
    *all = p->n == 1 || api_reads_by_settings(r); /* of a deleted bucket nothing is left */
    return *all ? OK : api_may(r, p, RIGHT_LIST, all);
}

static enum err ask_access(struct api_req *r, struct store_list_id list, struct access *out)
{
    struct api_place p;
    struct store_object o;
    bool all;
    *out = (struct access){.since = INT64_MIN};
    if (!api_place(api_of(r), list.parent, &p))
        return ERR_NOTFOUND;
    enum err e = api_may(r, &p, RIGHT_WRITE, &out->writes);
    if (e == OK)
        e = sees_all(r, &p, &all);
    if (e != OK || all)
        return e;
    e = find_made(r, list, &out->since);
    if (e != OK)
        return e;
    e = get_object(r, &p, &o);
    return e == OK ? begin_unwritten(r, list, &o, &out->since) : e == ERR_NOTFOUND ? OK : e;
}

/* Is worked out once a request. */
static enum err access_of(struct api_req *r, struct store_list_id list, const struct access **out)
{
    struct access *a = api_remembered(r);
    enum err e = OK;
    if (a == NULL) {
        a = ARENA_NEW(api_arena(r), struct access);
        e = a ? ask_access(r, list, a) : ERR_NOMEM;
        if (e == OK)
            api_remember(r, a);
    }
    *out = a;
    return e;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* The newest entry that is not later. */
static enum err find_at(struct api_req *r, struct store_list_id list, int64_t time,
                        struct store_object *out)
{
    const struct store_filter bound = {STR("last_modified"), STORE_MAX,
                                       json_new_i64(api_arena(r), time)};
    const struct store_query q = {.filters = &bound, .nfilters = 1, .limit = 1};
    struct store_result found;
    if (bound.value == NULL)
        return ERR_NOMEM;
    enum err e = store_query(api_session(r), api_arena(r), list, &q, &found);
    if (e == OK && found.count == 0)
        return ERR_NOTFOUND;
    if (e == OK)
        *out = found.objects[0];
    return e;
}

/* The object as it is, as an entry that nobody has written down. */
static enum err unwritten(struct api_req *r, const struct store_object *now,
                          struct store_object *out)
{
    struct arena *a = api_arena(r);
    struct json *entry;
    const struct revision_state s = {now, "found", json_new_null(a), json_new_null(a)};
    enum err e = revision_entry(r, &s, &entry);
    if (e != OK)
        return e;
    *out = (struct store_object){.id = revision_id(a, now->last_modified),
                                 .last_modified = now->last_modified,
                                 .data = json_text(a, entry)};
    return str_none(out->data) || str_none(out->id) ? ERR_NOMEM : OK;
}

/* Was what is not there any more, and nobody saw go, gone at that time? See add_missed_deletion(). */
static enum err was_gone(struct api_req *r, const struct api_placed *at, int64_t time,
                         const struct store_object *newest, bool *gone)
{
    struct store_object tombstone;
    enum err e = store_get_tombstone(api_session(r), api_arena(r), at->list, at->id, &tombstone);
    if (e == OK)
        *gone = time >= tombstone.last_modified;
    else if (e == ERR_NOTFOUND)
        *gone = time > newest->last_modified;
    return e == ERR_NOTFOUND ? OK : e;
}

/* What nobody has written down: the object itself, when it has been so since before that time; *gone,
 * when it is not there since before it. NOTFOUND: the entries tell, but for what is gone. */
static enum err find_unwritten(struct api_req *r, struct store_list_id list, int64_t time,
                               struct store_object *out, bool *gone)
{
    struct store_result newest;
    struct api_place p;
    struct store_object now;
    enum err e = revisions_newest(r, list, &newest);
    *gone = false;
    if (e != OK || !api_place(api_of(r), list.parent, &p))
        return e != OK ? e : ERR_NOTFOUND;
    e = get_object(r, &p, &now);
    if (e == OK && now.last_modified <= time && !revision_is_known(&newest, &now))
        return unwritten(r, &now, out);
    if (e == ERR_NOTFOUND && revisions_end_alive(&newest))
        e = was_gone(r, api_place_end(&p), time, &newest.objects[0], gone);
    return e == OK ? ERR_NOTFOUND : e;
}

/* The object as it was at the time that the URL names. */
enum err revisions_find(void *ctx, struct api_req *r, struct store_list_id list, str id,
                        struct store_object *out)
{
    (void)ctx;
    int64_t time;
    bool gone = false;
    const struct access *access;
    struct store_object now;
    if (str_to_i64(id, &time) != OK)
        return ERR_NOTFOUND;
    enum err e = access_of(r, list, &access);
    if (e == OK)
        e = find_unwritten(r, list, time, &now, &gone);
    if (e != OK && e != ERR_NOTFOUND)
        return e;
    const bool as_it_is = e == OK; /* since before that time */
    if (as_it_is && now.last_modified == time)
        e = ERR_NOTFOUND; /* an entry of that id is of what was there before */
    else
        e = store_get(api_session(r), api_arena(r), list, id, out);
    if (e == ERR_NOTFOUND && as_it_is) {
        *out = now;
        return OK;
    }
    if (e == ERR_NOTFOUND && !gone)
        e = find_at(r, list, time, out);
    if (e == OK && (revision_is(out, "delete") || out->last_modified < access->since))
        e = ERR_NOTFOUND;
    return e;
}

/* A list of nothing would be made by who asks for it. */
enum api_step revisions_enter(void *ctx, struct api_req *r)
{
    (void)ctx;
    struct store_list_id list = api_list(r);
    const struct access *access;
    struct api_place p;
    struct store_result newest;
    struct store_object o;
    if (!api_place(api_of(r), list.parent, &p))
        return api_fail(r, API_ERR_NOT_FOUND);
    enum err e = revisions_newest(r, list, &newest);
    if (e == OK && newest.total == 0) {
        e = get_object(r, &p, &o);
        if (e == ERR_NOTFOUND)
            return api_fail_missing(r, API_ERR_MISSING_PARENT, api_place_end(&p)->id,
                                    api_place_end(&p)->list.resource.p);
    }
    if (e == OK)
        e = access_of(r, list, &access);
    if (e != OK)
        return api_fail_err(r, e);
    if (access->since > INT64_MIN)
        api_only_since(r, access->since);
    return STEP_NEXT;
}

/* The text of an entry without its permissions, which stand behind something. */
static str without_permissions(struct arena *a, str entry, str permissions)
{
    size_t end = (size_t)(permissions.p + permissions.n - entry.p);
    size_t begin = end - permissions.n - strlen(",\"permissions\":");
    return ARENA_JOIN(a, str_sub(entry, 0, begin), str_drop(entry, end));
}

enum err revisions_show(void *ctx, struct api_req *r, const struct store_object *o, bool listed,
                        struct api_shown *out)
{
    (void)ctx;
    struct json_raw data, permissions;
    const struct access *access;
    if (!json_scan_member(o->data, STR("data"), &data) ||
        !json_scan_member(o->data, STR("permissions"), &permissions))
        return ERR_CORRUPT;
    enum err e = access_of(r, api_list(r), &access);
    if (e != OK)
        return e;
    if (!listed) {
        out->data = data.text;
        out->permissions = access->writes ? permissions.text : STR("{}");
    } else if (!access->writes) {
        out->data = without_permissions(api_arena(r), o->data, permissions.text);
    }
    return str_none(out->data) ? ERR_NOMEM : OK;
}

/* ---- coming back ------------------------------------------------------------------------------ */

/* The body of the PUT: without the old time, so that those who synchronise notice. */
static enum err body_of(struct api_req *r, const struct store_object *then, bool with_permissions,
                        str *out)
{
    struct arena *a = api_arena(r);
    struct json *entry, *body = json_new_object(a);
    enum err e = store_data(a, then, &entry);
    if (e != OK)
        return e;
    struct json *data = json_get(entry, STR("data")),
                *permissions = json_get(entry, STR("permissions"));
    json_remove(data, STR("last_modified"));
    e = json_set(a, body, STR("data"), data);
    if (e == OK && with_permissions)
        e = json_set(a, body, STR("permissions"), permissions);
    *out = e == OK ? json_text(a, body) : STR_NONE;
    return e == OK && str_none(*out) ? ERR_NOMEM : e;
}

enum api_step revisions_restore(void *ctx, struct api_req *r)
{
    (void)ctx;
    struct store_list_id list = api_list(r);
    const struct access *access;
    struct api_place p;
    struct store_object now;
    enum api_step s = api_require_object(r);
    if (s != STEP_NEXT)
        return s;
    enum err e = access_of(r, list, &access);
    if (e != OK || !api_place(api_of(r), list.parent, &p))
        return api_fail_err(r, e != OK ? e : ERR_CORRUPT);
    e = get_object(r, &p, &now);
    if (e != OK && e != ERR_NOTFOUND)
        return api_fail_err(r, e);
    str body, uri = arena_str(api_arena(r), list.parent);
    e = body_of(r, api_object(r), e == ERR_NOTFOUND && access->writes, &body);
    if (e != OK || str_none(uri))
        return api_fail_err(r, e != OK ? e : ERR_NOMEM);
    return api_handle_as(r, METHOD_PUT, uri, body);
}
