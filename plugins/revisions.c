/*
 * plugins/revisions.c - kinto.plugins.revisions: an object as it was, and how to get it back. (The
 * reference has nothing like it.)
 *
 *     GET  <object>/revisions               the revisions of an object, newest first; a list like others
 *     GET  <object>/revisions/{timestamp}   the object as it was then: its data, and its permissions for
 *                                           who may write it. 404: it was not there, or nobody knows
 *     POST <object>/revisions/{timestamp}   makes it so again
 * <object> is a bucket, a group, a collection or a record, also a record or a group that is gone.
 *
 * What is kept. Each object that is changed has a list of its own, ("revision", its URI), with an
 * entry for each state that it was in: {"date", "action", "user_id", "data", "permissions", "id",
 * "last_modified"}; the time of the entry is that of the state. So what was at a time is found by one
 * step in the order of time, however many objects and changes there are. An object that is older
 * than the plugin has the state before its first change as the entry "found"; so has one that was changed
 * while the plugin was off, at its next change.
 * Times of objects may go back (a client made it anew with a time of its own): then the entry gets the
 * time of the change, so that the order is that of the changes. Where the list's clock already stands at
 * the time of the state the entry's is one more; it is still found by its id, the time of the state.
 *
 * How long. A record or group that is deleted keeps its revisions, the last one being its tombstone.
 * What lies in a bucket or collection that is deleted goes with it, and so do its own revisions: a new
 * one of that name may be somebody else's. Of each object the newest kinto.revisions.max_count stay.
 *
 * Who may read: who may read the object; when it is gone, who may read what it lies in. Of an object
 * that was deleted and made anew, who may not read what it lies in sees no more than the new one: what
 * had been there may have been somebody else's. Permissions are shown to those who may write. Whom the
 * settings let read or write all objects of the kind (kinto.record_read_principals) may do so here, too.
 *
 * Coming back is a PUT of the object with the data of then: permissions, preconditions, schemas,
 * listeners, all as ever, and in the end it is one more revision. It also takes the right to read
 * the revision. What is there keeps its permissions, so that nobody gets back by accident what was
 * taken away; what was gone comes back with those of then, if the caller may see them.
 *
 * Cost of a change: two look-ups and one more write; of a read, a look at each object that it lies in.
 */
#include "plugins/history.h"

#include "base/clock.h"

#define TRIM_AT_ONCE 50

struct revisions {
    int64_t max_count;
};

static struct store_list_id list_of(str uri)
{
    return (struct store_list_id){STR("revision"), uri};
}

/* ---- writing them down ------------------------------------------------------------------------ */

struct state { /* of an object */
    const struct store_object *object;
    const char *action;
    struct json *date, *user;
};

static enum err new_entry(struct api_req *r, const struct state *s, struct json **out)
{
    struct arena *a = api_arena(r);
    *out = json_new_object(a);
    const struct {
        str name;
        struct json *value;
    } members[] = {
        {STR("date"), s->date},
        {STR("action"), json_new_string(a, str_from(s->action))},
        {STR("user_id"), s->user},
    };
    enum err e = OK;
    for (size_t i = 0; i < ARRAY_LEN(members) && e == OK; i++)
        e = json_set(a, *out, members[i].name, members[i].value);
    return e == OK ? change_set_state(r, *out, s->object) : e;
}

static str id_of(struct arena *a, int64_t time)
{
    return arena_printf(a, "%lld", (long long)time);
}

/* The newest entry, if there is one (newest->count), and the number of all. */
static enum err find_newest(struct api_req *r, struct store_list_id list,
                            struct store_result *newest)
{
    const struct store_query q = {.limit = 1, .want_total = true};
    return store_query(api_session(r), api_arena(r), list, &q, newest);
}

/* The time of the state, or of the change where that would not be behind the newest one. */
static enum err choose_time(struct api_req *r, struct store_list_id list, int64_t last_modified,
                            const struct store_result *newest, int64_t *out)
{
    int64_t clock = 0;
    *out = last_modified;
    if (newest->count == 0 || last_modified > newest->objects[0].last_modified)
        return OK;
    enum err e = store_timestamp(api_session(r), list, &clock);
    *out = MAX_OF(clock_wall_ms(), clock + 1);
    return e;
}

static enum err add_state(struct api_req *r, struct store_list_id list, const struct state *s,
                          const struct store_result *newest)
{
    int64_t time;
    struct json *entry;
    struct store_object stored;
    enum err e = new_entry(r, s, &entry);
    if (e == OK)
        e = choose_time(r, list, s->object->last_modified, newest, &time);
    if (e != OK)
        return e;
    struct store_put put = {.id = id_of(api_arena(r), time), .data = entry};
    if (time <= STORE_MAX_TIMESTAMP) /* else the clock is there already, and goes on by itself */
        put.last_modified = &time;
    if (str_none(put.id))
        return ERR_NOMEM;
    return store_put(api_session(r), api_arena(r), list, &put, &stored);
}

/* When an object was changed: the last day that there is a date for, if it says later. */
static struct json *date_of(struct api_req *r, int64_t last_modified)
{
    static const int64_t end = INT64_C(253402300799999); /* of the year 9999 */
    char date[33];
    int64_t ms = MAX_OF(MIN_OF(last_modified, end), -end);
    clock_iso_date(ms * 1000, date);
    str text = arena_str(api_arena(r), str_from(date));
    return str_none(text) ? NULL : json_new_string(api_arena(r), text);
}

/* The state that nobody has written down. */
static enum err add_found(struct api_req *r, struct store_list_id list,
                          const struct store_object *old, const struct store_result *newest)
{
    const struct state s = {old, "found", date_of(r, old->last_modified),
                            json_new_null(api_arena(r))};
    return add_state(r, list, &s, newest);
}

/* Is the state the one that was written down last? Not if there was a change while the plugin was off. */
static bool is_known(const struct store_result *newest, const struct store_object *state)
{
    struct json_raw data, time;
    int64_t last_modified;
    return newest->count > 0 && json_scan_member(newest->objects[0].data, STR("data"), &data) &&
           json_scan_member(data.text, STR("last_modified"), &time) &&
           str_to_i64(time.text, &last_modified) == OK && last_modified == state->last_modified;
}

static bool is_entry_of(const struct store_object *o, const char *action)
{
    struct json_raw raw;
    return json_scan_member(o->data, STR("action"), &raw) && raw.text.n > 2 &&
           str_eq(str_sub(raw.text, 1, raw.text.n - 2), str_from(action));
}

/* Does the newest entry know of no deletion? */
static bool knows_it_there(const struct store_result *newest)
{
    return newest->count > 0 && !is_entry_of(&newest->objects[0], "delete");
}

/* The deletion that nobody has written down, of what had the name before. When that was its tombstone says;
 * without one it is gone as soon as nobody knows any more that it was there. */
static enum err add_missed_deletion(struct api_req *r, struct store_list_id list,
                                    const struct api_change *c, const struct store_result *newest)
{
    struct store_object o = {.id = c->id, .deleted = true};
    o.last_modified =
        c->tombstone ? c->tombstone->last_modified : newest->objects[0].last_modified + 1;
    o.data = arena_printf(api_arena(r),
                          "{\"id\":\"" STR_FMT "\",\"last_modified\":%lld,\"deleted\":true}",
                          STR_ARG(c->id), (long long)o.last_modified);
    if (str_none(o.data))
        return ERR_NOMEM;
    const struct state s = {&o, "delete", date_of(r, o.last_modified), json_new_null(api_arena(r))};
    return add_state(r, list, &s, newest);
}

/* What went on while the plugin was off. *newest is the newest entry again. */
static enum err add_missed(struct api_req *r, struct store_list_id list, const struct api_change *c,
                           struct store_result *newest)
{
    enum err e;
    if (c->old != NULL && !is_known(newest, c->old))
        e = add_found(r, list, c->old, newest);
    else if (c->old == NULL && knows_it_there(newest))
        e = add_missed_deletion(r, list, c, newest);
    else
        return OK;
    return e == OK ? find_newest(r, list, newest) : e;
}

/* The oldest go, a few at a time. */
static enum err trim(const struct revisions *p, struct api_req *r, struct store_list_id list,
                     uint64_t count)
{
    uint64_t most = (uint64_t)p->max_count;
    if (count <= most)
        return OK;
    const struct store_sort oldest = {STR("last_modified"), false};
    const struct store_query q = {
        .sort = &oldest, .nsort = 1, .limit = (size_t)MIN_OF(count - most, TRIM_AT_ONCE)};
    struct store_result found;
    enum err e = store_query(api_session(r), api_arena(r), list, &q, &found);
    for (size_t i = 0; e == OK && i < found.count; i++)
        e = store_forget(api_session(r), api_arena(r), list, found.objects[i].id);
    return e;
}

static enum err add_change(const struct revisions *p, struct api_req *r, const struct api_change *c)
{
    struct store_list_id list = list_of(c->uri);
    struct store_result newest;
    enum err e = find_newest(r, list, &newest);
    if (e == OK)
        e = add_missed(r, list, c, &newest);
    const struct state s = {c->now, change_action(c->action), change_date(r), change_user(r)};
    if (e == OK)
        e = add_state(r, list, &s, &newest);
    return e == OK ? trim(p, r, list, newest.total + 1) : e;
}

static enum api_step changed(void *ctx, struct api_req *r, const struct api_change *c)
{
    bool holds = c->kind == KIND_BUCKET || c->kind == KIND_COLLECTION;
    if (!api_is_core(c->kind) || (holds && c->action == ACTION_DELETE))
        return STEP_NEXT;
    enum err e = add_change(ctx, r, c);
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

static enum err erased(void *ctx, struct api_req *r, str principal, void **at)
{
    (void)ctx;
    return change_forget(r, STR("revision"), principal, at, NULL);
}

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

/* Somebody may have made the object anew while the plugin was off: then it begins there. */
static enum err begin_unwritten(struct api_req *r, struct store_list_id list,
                                const struct store_object *now, int64_t *since)
{
    struct store_result newest;
    enum err e = find_newest(r, list, &newest);
    if (e == OK && !is_known(&newest, now))
        *since = now->last_modified;
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
    const struct state s = {now, "found", json_new_null(a), json_new_null(a)};
    enum err e = new_entry(r, &s, &entry);
    if (e != OK)
        return e;
    *out = (struct store_object){.id = id_of(a, now->last_modified),
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
    enum err e = find_newest(r, list, &newest);
    *gone = false;
    if (e != OK || !api_place(api_of(r), list.parent, &p))
        return e != OK ? e : ERR_NOTFOUND;
    e = get_object(r, &p, &now);
    if (e == OK && now.last_modified <= time && !is_known(&newest, &now))
        return unwritten(r, &now, out);
    if (e == ERR_NOTFOUND && knows_it_there(&newest))
        e = was_gone(r, api_place_end(&p), time, &newest.objects[0], gone);
    return e == OK ? ERR_NOTFOUND : e;
}

/* The object as it was at the time that the URL names. */
static enum err find(void *ctx, struct api_req *r, struct store_list_id list, str id,
                     struct store_object *out)
{
    (void)ctx;
    int64_t time;
    bool gone = false;
    const struct access *access;
    if (str_to_i64(id, &time) != OK)
        return ERR_NOTFOUND;
    enum err e = access_of(r, list, &access);
    if (e == OK)
        e = store_get(api_session(r), api_arena(r), list, id, out);
    if (e == ERR_NOTFOUND)
        e = find_unwritten(r, list, time, out, &gone);
    if (e == ERR_NOTFOUND && !gone)
        e = find_at(r, list, time, out);
    if (e == OK && (is_entry_of(out, "delete") || out->last_modified < access->since))
        e = ERR_NOTFOUND;
    return e;
}

/* A list of nothing would be made by who asks for it. */
static enum api_step enter(void *ctx, struct api_req *r)
{
    (void)ctx;
    struct store_list_id list = api_list(r);
    const struct access *access;
    struct api_place p;
    struct store_result newest;
    struct store_object o;
    if (!api_place(api_of(r), list.parent, &p))
        return api_fail(r, API_ERR_NOT_FOUND);
    enum err e = find_newest(r, list, &newest);
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

static enum err show(void *ctx, struct api_req *r, const struct store_object *o, bool listed,
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

static enum api_step restore(void *ctx, struct api_req *r)
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

/* ---- setting up ------------------------------------------------------------------------------- */

/* Milliseconds: "-" and up to 19 digits. */
static bool is_time(str id)
{
    str digits = str_drop(id, str_starts(id, STR("-")));
    for (size_t i = 0; i < digits.n; i++)
        if (!str_is_digit(digits.p[i]))
            return false;
    return digits.n > 0 && digits.n <= 19;
}

static enum err add_resources(struct api *a, struct revisions *p)
{
    static const char *const fields[] = {"id",      "last_modified", "date", "action",
                                         "user_id", "data",          NULL};
    static const struct {
        enum api_kind parent;
        const char *prefix;
    } kinds[] = {{KIND_BUCKET, "bucket_"},
                 {KIND_GROUP, "group_"},
                 {KIND_COLLECTION, "collection_"},
                 {KIND_RECORD, "record_"}};
    enum err e = OK;
    for (size_t i = 0; i < ARRAY_LEN(kinds) && e == OK; i++)
        e = api_add_resource(
            a, &(struct api_resource){
                   .name = "revision",
                   .plural = "revisions",
                   .parent = kinds[i].parent,
                   .plural_methods = METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD),
                   .object_methods =
                       METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD) | METHOD_BIT(METHOD_POST),
                   .id_pattern = "^-?[0-9]{1,19}$",
                   .valid_id = is_time,
                   .follows_parent = true,
                   .fields = fields,
                   .doc.data = "{\"type\":\"object\",\"additionalProperties\":{}}",
                   .doc.prefix = kinds[i].prefix,
                   .doc.post = "Make the object what it was at that time.",
                   .ctx = p,
                   .find = find,
                   .enter = enter,
                   .show = show,
                   .post = restore,
               });
    return e;
}

enum err revisions_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    (void)d;
    struct revisions *p = calloc(1, sizeof *p);
    enum err e = p ? api_keep(a, p, free) : ERR_NOMEM;
    if (e != OK)
        return e;
    p->max_count = settings_int(s, "kinto.revisions.max_count", 100);
    e = api_add_listener(a, &(struct api_listener){p, changed, erased});
    if (e != OK)
        return e;
    e = api_add_capability(a, "revisions",
                           "{\"description\":\"Objects as they were, and back to them: "
                           "GET and POST .../revisions/{timestamp}.\",\"url\":"
                           "\"https://kinto.readthedocs.io/\"}");
    return e == OK ? add_resources(a, p) : e;
}
