/*
 * plugins/snapshot.c - GET /buckets/{id}/snapshot/collections/{id}@{timestamp}: the records of a
 * collection as they were then, out of what they are now and the history of the bucket.
 *
 * A record that was not changed since is as it is. Of one that was changed or deleted since, the
 * newest entry of the history that was not later tells what it was; where there is none it was not
 * there yet (or its entries are gone).
 *
 * When the collection was deleted and made anew, the one before it may have been somebody else's: only who
 * may read the bucket gets something out of the time before. An entry of the collection itself says that
 * those behind it (newer) are of this one; where the oldest are trimmed, what is before all that are
 * left may be of another.
 *
 * Cost. Of the collection only what is answered or has changed since is looked at, each once, by its
 * time. When something has changed the history is read from its end, without a copy of what is of
 * no use, and no further than it takes to find all of them; a record that was made since has nothing
 * to be found, and then that is all of it. (An entry does not say where the one before it is; and
 * as a client may set the time of a record, the order of the history is not that of the records.)
 * Memory: what is answered, and an id and a pointer for each that has changed.
 */
#include "plugins/history.h"

#include "base/map.h"

#define FIRST_PAGE                                                                                 \
    ((size_t)64) /* entries looked at in one go; each page has twice as many, up to */
#define LAST_PAGE ((size_t)4096)

/* One that has changed since. */
struct changed {
    str id;
    bool found;
    bool gone; /* it was deleted, or never there */
    str data;  /* as it was */
    int64_t last_modified;
    size_t order; /* in which they were found; then among equals */
};

struct snapshot {
    struct api_req *r;
    str bucket_uri, collection_uri, collection_id;
    int64_t timestamp;
    bool this_one_only; /* and none of that name before it: the caller may not read the bucket */
    bool is_trimmed, began; /* the history is; where the collection begins was passed */
    size_t found, certain;  /* so many; and those of them that are surely of this collection */
    struct store_result unchanged;
    struct changed *changed;
    size_t n, missing; /* of those that have changed; not found yet */
    struct map by_id;
};

/* ---- what has changed since ------------------------------------------------------------------- */

static enum err records(struct snapshot *s, enum store_op op, bool tombstones,
                        struct store_result *out)
{
    struct arena *a = api_arena(s->r);
    const struct store_filter bound = {STR("last_modified"), op, json_new_i64(a, s->timestamp)};
    const struct store_query q = {.filters = &bound, .nfilters = 1, .tombstones = tombstones};
    if (bound.value == NULL)
        return ERR_NOMEM;
    return store_query(api_session(s->r), a,
                       (struct store_list_id){STR("record"), s->collection_uri}, &q, out);
}

static enum err find_changed(struct snapshot *s)
{
    struct arena *a = api_arena(s->r);
    struct store_result since;
    enum err e = records(s, STORE_MAX, false, &s->unchanged);
    if (e == OK)
        e = records(s, STORE_GT, true, &since);
    if (e != OK)
        return e;
    map_init(&s->by_id, a);
    s->changed = ARENA_NEW_ARRAY(a, struct changed, since.count);
    if (s->changed == NULL)
        return ERR_NOMEM;
    for (; s->n < since.count && e == OK; s->n++) {
        s->changed[s->n].id = since.objects[s->n].id;
        e = map_put(&s->by_id, since.objects[s->n].id, &s->changed[s->n]);
    }
    s->missing = s->n;
    return e;
}

/* ---- what it was ------------------------------------------------------------------------------ */

/* What a snapshot wants to know of an entry. */
struct entry {
    struct json_raw resource, collection, record, action, target;
};

static struct entry read_entry(struct arena *a, str text)
{
    struct entry e = {.target = {.type = JSON_NULL}};
    const struct {
        str name;
        struct json_raw *value;
    } members[] = {
        {STR("resource_name"), &e.resource}, {STR("collection_id"), &e.collection},
        {STR("record_id"), &e.record},       {STR("action"), &e.action},
        {STR("target"), &e.target},
    };
    size_t at = 0;
    str name;
    struct json_raw value;
    while (json_scan_next(a, text, &at, &name, &value))
        for (size_t i = 0; i < ARRAY_LEN(members); i++)
            if (str_eq(name, members[i].name))
                *members[i].value = value;
    return e;
}

static bool is_text(const struct json_raw *raw, str text)
{
    return raw->type == JSON_STRING && raw->text.n == text.n + 2 &&
           str_eq(str_sub(raw->text, 1, text.n), text);
}

/* The collection was made or deleted, or changed, then. */
static bool is_of_itself(const struct snapshot *s, const struct entry *e)
{
    return is_text(&e->resource, STR("collection")) && is_text(&e->collection, s->collection_id);
}

static void pass(struct snapshot *s, bool began)
{
    s->certain = s->found;
    s->began = began;
    if (began)
        s->missing = 0; /* they were not there yet */
}

/* Has the whole history to be read, for what is certain? */
static bool must_see_all(const struct snapshot *s)
{
    return s->this_one_only && s->is_trimmed && !s->began;
}

static bool is_done(const struct snapshot *s)
{
    return s->missing == 0 && !must_see_all(s);
}

static void drop_uncertain(struct snapshot *s)
{
    for (size_t i = 0; must_see_all(s) && i < s->n; i++)
        s->changed[i].gone |= s->changed[i].found && s->changed[i].order >= s->certain;
}

/* Entries come newest first: the first one of a record that is not too late tells. (Ids need no
 * escapes, so text can be compared as it is.) */
static enum err look_at(struct snapshot *s, str text)
{
    struct entry e = read_entry(api_arena(s->r), text);
    if (s->this_one_only && is_of_itself(s, &e)) {
        pass(s, !is_text(&e.action, STR("update")));
        return OK;
    }
    if (!is_text(&e.resource, STR("record")) || !is_text(&e.collection, s->collection_id) ||
        e.record.type != JSON_STRING || e.record.text.n < 2)
        return OK;
    struct changed *c = map_get(&s->by_id, str_sub(e.record.text, 1, e.record.text.n - 2));
    struct json_raw data, time;
    int64_t last_modified;
    if (c == NULL || c->found)
        return OK;
    if (!json_scan_member(e.target.text, STR("data"), &data) ||
        !json_scan_member(data.text, STR("last_modified"), &time) ||
        str_to_i64(time.text, &last_modified) != OK)
        return ERR_CORRUPT;
    if (last_modified > s->timestamp)
        return OK;
    c->last_modified = last_modified;
    c->gone = is_text(&e.action, STR("delete"));
    c->data = data.text;
    c->found = true;
    c->order = s->found++;
    s->missing--;
    return OK;
}

/* Where the next page begins. */
static struct json *behind(struct arena *a, const struct store_object *last)
{
    struct json *after = json_new_object(a);
    enum err e = json_set(a, after, STR("last_modified"), json_new_i64(a, last->last_modified));
    if (e == OK)
        e = json_set(a, after, STR("id"), json_new_string(a, last->id));
    return e == OK ? after : NULL;
}

/* *last: the last entry of the page; *more: there are others. While reading, texts are the session's,
 * and what the page took of the arena is given back. */
static enum err read_page(struct snapshot *s, struct store_query *q, struct store_object *last,
                          bool *more)
{
    struct arena *a = api_arena(s->r);
    struct arena_mark mark = arena_mark(a);
    struct store_result page;
    enum err e = store_query(api_session(s->r), a, history_list(s->bucket_uri), q, &page);
    for (size_t i = 0; e == OK && !is_done(s) && i < page.count; i++)
        e = look_at(s, page.objects[i].data);
    if (e != OK)
        return e;
    *more = page.more;
    if (page.more)
        *last = page.objects[page.count - 1];
    if (!store_is_writing(api_session(s->r)))
        arena_release(a, mark);
    return OK;
}

static enum err read_history(struct snapshot *s)
{
    struct store_query q = {.limit = FIRST_PAGE};
    bool more = true;
    while (!is_done(s) && more) {
        struct store_object last = {.last_modified = 0};
        enum err e = read_page(s, &q, &last, &more);
        if (e != OK)
            return e;
        if (more && (q.after = behind(api_arena(s->r), &last)) == NULL)
            return ERR_NOMEM;
        q.limit = MIN_OF(2 * q.limit, LAST_PAGE);
    }
    drop_uncertain(s);
    return OK;
}

/* ---- the answer ------------------------------------------------------------------------------- */

static int newest_first(const void *x, const void *y)
{
    const struct changed *a = x, *b = y;
    if (a->last_modified != b->last_modified)
        return a->last_modified < b->last_modified ? 1 : -1;
    return a->order < b->order ? -1 : 1;
}

/* Leaves those that were there, newest first. */
static void sort_changed(struct snapshot *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->changed[i].found && !s->changed[i].gone) {
            s->changed[kept] = s->changed[i];
            s->changed[kept].order = kept;
            kept++;
        }
    s->n = kept;
    if (kept > 1)
        qsort(s->changed, kept, sizeof s->changed[0], newest_first);
}

/* Both are sorted. */
static void write_merged(struct snapshot *s, struct buf *b)
{
    size_t i = 0, k = 0;
    while (i < s->unchanged.count || k < s->n) {
        bool as_it_is =
            k == s->n || (i < s->unchanged.count &&
                          s->unchanged.objects[i].last_modified >= s->changed[k].last_modified);
        if (i + k > 0)
            buf_add_char(b, ',');
        buf_add_str(b, as_it_is ? s->unchanged.objects[i].data : s->changed[k].data);
        i += as_it_is;
        k += !as_it_is;
    }
}

static enum api_step answer(struct snapshot *s)
{
    struct buf b;
    size_t total = 32;
    for (size_t i = 0; i < s->unchanged.count; i++)
        total += s->unchanged.objects[i].data.n + 1;
    for (size_t i = 0; i < s->n; i++)
        total += s->changed[i].data.n + 1;
    buf_init_arena(&b, api_arena(s->r), SIZE_MAX / 2);
    enum err e = buf_reserve(&b, total);
    buf_add_lit(&b, "{\"data\":[");
    write_merged(s, &b);
    buf_add_lit(&b, "]}");
    if (e != OK || buf_failed(&b))
        return api_fail_err(s->r, e != OK ? e : b.err);
    return api_reply_json(s->r, 200, buf_str(&b));
}

/* ---- the request ------------------------------------------------------------------------------ */

/* As Python's int() reads it: a sign, and blanks around. One that no time comes near is the last. */
static bool read_timestamp(str text, int64_t *out)
{
    text = str_trim(text);
    if (str_starts(text, STR("+")) && !str_starts(text, STR("+-")))
        text = str_drop(text, 1);
    enum err e = str_to_i64(text, out);
    if (e == ERR_RANGE && text.p[0] != '-')
        *out = INT64_MAX;
    else if (e != OK)
        return false;
    return *out >= 0;
}

/* What is stored counts, and the settings do not: so it is in the reference. They do when it comes to
 * what was there before the collection was made, which the reference does not ask at all. */
static enum err may_read(struct snapshot *s, bool *allowed)
{
    const unsigned perms = STORE_PERM_READ | STORE_PERM_WRITE;
    struct api_place p;
    if (!api_place(api_of(s->r), s->collection_uri, &p))
        return ERR_NOTFOUND;
    *allowed = false;
    for (unsigned i = 0; i < p.n && !*allowed; i++) {
        struct store_object o;
        enum err e = store_get(api_session(s->r), api_arena(s->r), p.at[i].list, p.at[i].id, &o);
        if (e == OK)
            *allowed = store_acl_allows(&o, api_principals(s->r), perms);
        else if (e != ERR_NOTFOUND)
            return e;
    }
    bool all;
    enum err e = api_may(s->r, &p, RIGHT_LIST, &all);
    s->this_one_only = !all;
    return e;
}

static str invalid_timestamp(struct api_req *r, str text)
{
    struct buf b;
    buf_init_arena(&b, api_arena(r), 64 * KIB);
    buf_add_lit(&b, "Invalid timestamp ");
    json_write_repr_string(&b, text);
    return buf_failed(&b) ? STR("Invalid timestamp") : buf_str(&b);
}

static enum api_step check(struct snapshot *s, str bucket_id)
{
    str text = api_path_value(s->r, "timestamp");
    if (!read_timestamp(text, &s->timestamp))
        return api_fail_invalid(s->r, "path", STR("timestamp"), invalid_timestamp(s->r, text));
    if (!api_valid_id_of(s->r, KIND_BUCKET, bucket_id))
        return api_fail_missing(s->r, API_ERR_MISSING_PARENT, bucket_id, "bucket");
    if (!api_valid_id_of(s->r, KIND_COLLECTION, s->collection_id))
        return api_fail_missing(s->r, API_ERR_MISSING_PARENT, s->collection_id, "collection");
    bool allowed;
    enum err e = may_read(s, &allowed);
    if (e != OK)
        return api_fail_err(s->r, e);
    if (allowed)
        return STEP_NEXT;
    return api_fail(s->r, str_none(api_user_id(s->r)) ? API_ERR_UNAUTHORIZED : API_ERR_FORBIDDEN);
}

static enum api_step get_snapshot(struct api_req *r)
{
    str bucket_id = api_path_value(r, "bucket_id");
    const struct history *h = api_endpoint_ctx(r);
    struct snapshot s = {.r = r,
                         .collection_id = api_path_value(r, "collection_id"),
                         .is_trimmed = h->max_count > 0};
    s.bucket_uri = ARENA_JOIN(api_arena(r), STR("/buckets/"), bucket_id);
    s.collection_uri =
        ARENA_JOIN(api_arena(r), s.bucket_uri, STR("/collections/"), s.collection_id);
    if (str_none(s.bucket_uri) || str_none(s.collection_uri))
        return api_fail_err(r, ERR_NOMEM);
    enum api_step step = check(&s, bucket_id);
    if (step != STEP_NEXT)
        return step;
    enum err e = find_changed(&s);
    if (e == OK)
        e = read_history(&s);
    if (e != OK)
        return api_fail_err(r, e);
    sort_changed(&s);
    return answer(&s);
}

enum err snapshot_load(struct api *a, struct history *h)
{
    const struct api_endpoint endpoint = {
        .path = "/buckets/{bucket_id}/snapshot/collections/{collection_id}@{timestamp}",
        .methods = METHOD_BIT(METHOD_GET),
        .handler = get_snapshot,
        .ctx = h,
        .doc = {.operation = "get_history_snapshot",
                .endpoint = "history_snapshot",
                .tag = "History_snapshot",
                .summary = "The records of a collection as they were at a time, in milliseconds.",
                .asks_who = true},
    };
    return api_add_endpoint(a, &endpoint);
}
