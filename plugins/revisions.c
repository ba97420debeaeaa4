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
#include "plugins/revisions.h"

#include "base/clock.h"

/* Taken out by one change: so many chunks of so many, or of so many bytes (in a write session each is a
 * copy). */
#define CHUNKS      8
#define CHUNK       16u
#define CHUNK_BYTES (256 * KIB)

struct revisions {
    int64_t max_count;
};

static struct store_list_id list_of(str uri)
{
    return (struct store_list_id){STR("revision"), uri};
}

/* ---- writing them down ------------------------------------------------------------------------ */

enum err revision_entry(struct api_req *r, const struct revision_state *s, struct json **out)
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

str revision_id(struct arena *a, int64_t time)
{
    return arena_printf(a, "%lld", (long long)time);
}

/* The newest entry, if there is one (newest->count), and the number of all. */
enum err revisions_newest(struct api_req *r, struct store_list_id list, struct store_result *newest)
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

static enum err add_state(struct api_req *r, struct store_list_id list,
                          const struct revision_state *s, const struct store_result *newest)
{
    int64_t time;
    struct json *entry;
    struct store_object stored;
    enum err e = revision_entry(r, s, &entry);
    if (e == OK)
        e = choose_time(r, list, s->object->last_modified, newest, &time);
    if (e != OK)
        return e;
    struct store_put put = {.id = revision_id(api_arena(r), time), .data = entry};
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
    const struct revision_state s = {old, "found", date_of(r, old->last_modified),
                                     json_new_null(api_arena(r))};
    return add_state(r, list, &s, newest);
}

/* Is the state the one that was written down last? Not if there was a change while the plugin was off. */
bool revision_is_known(const struct store_result *newest, const struct store_object *state)
{
    struct json_raw data;
    return newest->count > 0 && json_scan_member(newest->objects[0].data, STR("data"), &data) &&
           str_eq(data.text, state->data);
}

bool revision_is(const struct store_object *o, const char *action)
{
    struct json_raw raw;
    return json_scan_member(o->data, STR("action"), &raw) && raw.text.n > 2 &&
           str_eq(str_sub(raw.text, 1, raw.text.n - 2), str_from(action));
}

/* Does the newest entry know of no deletion? */
bool revisions_end_alive(const struct store_result *newest)
{
    return newest->count > 0 && !revision_is(&newest->objects[0], "delete");
}

/* The deletion that nobody has written down, of what had the name before. When that was its tombstone says;
 * without one it is gone as soon as nobody knows any more that it was there. */
static enum err add_missed_deletion(struct api_req *r, struct store_list_id list,
                                    const struct api_change *c, const struct store_result *newest)
{
    struct store_object o = {.id = c->id, .deleted = true};
    o.last_modified =
        c->deleted_at != INT64_MIN ? c->deleted_at : newest->objects[0].last_modified + 1;
    o.data = arena_printf(api_arena(r),
                          "{\"id\":\"" STR_FMT "\",\"last_modified\":%lld,\"deleted\":true}",
                          STR_ARG(c->id), (long long)o.last_modified);
    if (str_none(o.data))
        return ERR_NOMEM;
    const struct revision_state s = {&o, "delete", date_of(r, o.last_modified),
                                     json_new_null(api_arena(r))};
    return add_state(r, list, &s, newest);
}

/* What went on while the plugin was off. *newest is the newest entry again. */
static enum err add_missed(struct api_req *r, struct store_list_id list, const struct api_change *c,
                           struct store_result *newest)
{
    enum err e;
    if (c->old != NULL && !revision_is_known(newest, c->old))
        e = add_found(r, list, c->old, newest);
    else if (c->old == NULL && revisions_end_alive(newest))
        e = add_missed_deletion(r, list, c, newest);
    else
        return OK;
    return e == OK ? revisions_newest(r, list, newest) : e;
}

/* Up to so many of the oldest go, of large ones less. */
static enum err forget_oldest(struct api_req *r, struct store_list_id list, size_t most,
                              size_t *gone)
{
    const struct store_sort oldest = {STR("last_modified"), false};
    const struct store_query q = {
        .sort = &oldest, .nsort = 1, .limit = most, .enough_bytes = CHUNK_BYTES};
    struct store_result found;
    enum err e = store_query(api_session(r), api_arena(r), list, &q, &found);
    for (size_t i = 0; e == OK && i < found.count; i++)
        e = store_forget(api_session(r), api_arena(r), list, found.objects[i].id);
    *gone = e == OK ? found.count : 0;
    return e;
}

/* The oldest go, some with each change. */
static enum err trim(const struct revisions *p, struct api_req *r, struct store_list_id list,
                     uint64_t count)
{
    const uint64_t most = (uint64_t)p->max_count;
    enum err e = OK;
    for (int i = 0; e == OK && count > most && i < CHUNKS; i++) {
        struct arena_mark mark = arena_mark(api_arena(r));
        size_t gone;
        e = forget_oldest(r, list, (size_t)MIN_OF(count - most, CHUNK), &gone);
        count -= MIN_OF(count, gone);
        arena_release(api_arena(r), mark);
    }
    return e;
}

static enum err add_change(const struct revisions *p, struct api_req *r, const struct api_change *c)
{
    struct store_list_id list = list_of(c->uri);
    struct store_result newest;
    enum err e = revisions_newest(r, list, &newest);
    if (e == OK)
        e = add_missed(r, list, c, &newest);
    const struct revision_state s = {c->now, change_action(c->action), change_date(r),
                                     change_user(r)};
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
                   .find = revisions_find,
                   .enter = revisions_enter,
                   .show = revisions_show,
                   .post = revisions_restore,
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
