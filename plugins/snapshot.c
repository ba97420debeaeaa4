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
 * as a client may set the time of a record, the order of the history is not that of the records. A
 * filter on record_id or uri reads as many entries, and is not faster than one look at each.)
 * Memory: what is answered, and an id and a pointer for each that has changed.
 *
 * So a small one is answered at once, and one that would keep the other requests of the loop waiting is
 * made by a thread of the pool, in a session of its own: the rights were asked before, and are again
 * behind it. The parts of a batch, and what a request has itself written, only its own session can
 * see: these are made in it, and what they look at counts against what a batch may (store_work).
 */
#include "plugins/history.h"

#include "base/map.h"

/* Entries looked at in one go; each page has twice as many as the one before. */
#define FIRST_PAGE ((size_t)64)
#define LAST_PAGE  ((size_t)4096)
#define SMALL      2000 /* records or entries that may be looked at on a loop: a millisecond or two */

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
    struct arena *a;
    struct store_session *session;
    bool aside; /* on a thread of the pool */
    bool small; /* no more than that may be looked at: AGAIN */
    const struct api *api;
    size_t entries;    /* that were looked at */
    struct arena page; /* of them, and what is made on the way */
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

static struct store_list_id records_of(const struct snapshot *s)
{
    return (struct store_list_id){STR("record"), s->collection_uri};
}

static enum err records(struct snapshot *s, enum store_op op, bool tombstones,
                        struct store_result *out)
{
    struct arena *a = s->a;
    const struct store_filter bound = {STR("last_modified"), op, json_new_i64(a, s->timestamp)};
    const struct store_query q = {
        .filters = &bound, .nfilters = 1, .tombstones = tombstones, .limit = s->small ? SMALL : 0};
    if (bound.value == NULL)
        return ERR_NOMEM;
    enum err e = store_query(s->session, a, records_of(s), &q, out);
    return e == OK && out->more ? ERR_AGAIN : e;
}

static enum err find_changed(struct snapshot *s)
{
    struct arena *a = s->a;
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

/* Which of those not found yet it is an entry of; NULL: of none. (Ids need no escapes, so text can be
 * compared as it is.) */
static struct changed *missing_one(struct snapshot *s, const struct entry *e)
{
    if (!is_text(&e->resource, STR("record")) || !is_text(&e->collection, s->collection_id) ||
        e->record.type != JSON_STRING || e->record.text.n < 2)
        return NULL;
    struct changed *c = map_get(&s->by_id, str_sub(e->record.text, 1, e->record.text.n - 2));
    return c && !c->found ? c : NULL;
}

/* What the entry says of it, if that is not too late. */
static enum err take(struct snapshot *s, struct changed *c, const struct entry *e)
{
    struct json_raw data, time;
    int64_t last_modified;
    if (!json_scan_member(e->target.text, STR("data"), &data) ||
        !json_scan_member(data.text, STR("last_modified"), &time) ||
        str_to_i64(time.text, &last_modified) != OK)
        return ERR_CORRUPT;
    if (last_modified > s->timestamp)
        return OK;
    c->last_modified = last_modified;
    c->gone = is_text(&e->action, STR("delete"));
    c->data = store_is_writing(s->session) ? arena_str(s->a, data.text) : data.text;
    if (str_none(c->data))
        return ERR_NOMEM;
    c->found = true;
    c->order = s->found++;
    s->missing--;
    return OK;
}

/* Entries come newest first: the first one of a record that is not too late tells. */
static enum err look_at(struct snapshot *s, str text)
{
    struct entry e = read_entry(&s->page, text);
    if (s->this_one_only && is_of_itself(s, &e)) {
        pass(s, !is_text(&e.action, STR("update")));
        return OK;
    }
    struct changed *c = missing_one(s, &e);
    return c ? take(s, c, &e) : OK;
}

/* Where the next page begins; the last one may go. */
static struct json *behind(struct arena *a, const struct store_object *last)
{
    struct json *after = json_new_object(a);
    enum err e = json_set(a, after, STR("last_modified"), json_new_i64(a, last->last_modified));
    if (e == OK)
        e = json_set(a, after, STR("id"), json_new_string(a, arena_str(a, last->id)));
    return e == OK ? after : NULL;
}

/* *more: there are others, behind q->after. Texts are the session's, or the page's while writing. */
static enum err read_page(struct snapshot *s, struct store_query *q, bool *more)
{
    struct store_result page;
    enum err e = store_query(s->session, &s->page, history_list(s->bucket_uri), q, &page);
    for (size_t i = 0; e == OK && !is_done(s) && i < page.count; i++)
        e = look_at(s, page.objects[i].data);
    if (e != OK)
        return e;
    s->entries += page.count;
    *more = page.more;
    if (page.more && (q->after = behind(s->a, &page.objects[page.count - 1])) == NULL)
        return ERR_NOMEM;
    arena_reset(&s->page);
    return OK;
}

static enum err read_pages(struct snapshot *s)
{
    struct store_query q = {.limit = FIRST_PAGE};
    for (bool more = true; !is_done(s) && more; q.limit = MIN_OF(2 * q.limit, LAST_PAGE)) {
        if ((s->small && s->entries + q.limit > SMALL) || (s->aside && api_is_stopping(s->api)))
            return ERR_AGAIN;
        enum err e = read_page(s, &q, &more);
        if (e != OK)
            return e;
    }
    return OK;
}

static enum err read_history(struct snapshot *s)
{
    arena_init_beside(&s->page, s->a);
    enum err e = read_pages(s);
    arena_fini_beside(&s->page, s->a);
    if (e != OK)
        return e;
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

static enum err write_answer(struct snapshot *s, str *body)
{
    struct buf b;
    size_t total = 32;
    for (size_t i = 0; i < s->unchanged.count; i++)
        total += s->unchanged.objects[i].data.n + 1;
    for (size_t i = 0; i < s->n; i++)
        total += s->changed[i].data.n + 1;
    buf_init_arena(&b, s->a, SIZE_MAX / 2);
    enum err e = buf_reserve(&b, total);
    buf_add_lit(&b, "{\"data\":[");
    write_merged(s, &b);
    buf_add_lit(&b, "]}");
    if (e == OK && buf_failed(&b))
        e = b.err;
    *body = e == OK ? buf_str(&b) : STR_NONE;
    return e;
}

/* AGAIN: it is not small, or the server stops. */
static enum err make(struct snapshot *s, str *body)
{
    enum err e = find_changed(s);
    if (e == OK)
        e = read_history(s);
    if (e != OK)
        return e;
    sort_changed(s);
    return write_answer(s, body);
}

/* ---- aside ------------------------------------------------------------------------------------ */

struct making {
    struct api_work work;
    struct store *store;
    struct snapshot snapshot;
    str body;
};

static enum err run_making(struct api_work *w)
{
    struct making *m = CONTAINER_OF(w, struct making, work);
    struct store_thread *thread;
    enum err e = store_thread_new(m->store, &thread);
    if (e != OK)
        return e;
    e = store_read_begin(thread, w->arena, &m->snapshot.session);
    if (e == OK) {
        e = make(&m->snapshot, &m->body);
        store_read_end(m->snapshot.session);
    }
    store_thread_free(thread);
    return e;
}

/* By what it depends on. */
static str key_of(const struct snapshot *s)
{
    return arena_printf(s->a, STR_FMT "@%lld%s", STR_ARG(s->collection_uri),
                        (long long)s->timestamp, s->this_one_only ? " this one" : "");
}

static enum api_step make_aside(struct api_req *r, const struct snapshot *s)
{
    str key = key_of(s);
    struct making *m = ARENA_NEW(s->a, struct making);
    if (str_none(key) || m == NULL)
        return api_fail_err(r, ERR_NOMEM);
    m->store = api_store(api_of(r));
    m->snapshot = *s;
    m->snapshot.session = NULL;
    m->snapshot.aside = true;
    return api_work_begin(r, &m->work, run_making, key, POOL_COMPUTE);
}

/* What was made aside for the request; NULL: nothing yet. */
static const struct making *made_aside(struct api_req *r, const struct snapshot *s)
{
    str key = key_of(s);
    struct api_work *w = str_none(key) ? NULL : api_work_done(r, run_making, key);
    return w ? CONTAINER_OF(w, struct making, work) : NULL;
}

static enum api_step reply(struct api_req *r, enum err e, str body)
{
    return e == OK ? api_reply_json(r, 200, body) : api_fail_err(r, e);
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
static enum err may_read(struct api_req *r, struct snapshot *s, bool *allowed)
{
    const unsigned perms = STORE_PERM_READ | STORE_PERM_WRITE;
    struct api_place p;
    if (!api_place(api_of(r), s->collection_uri, &p))
        return ERR_NOTFOUND;
    *allowed = false;
    for (unsigned i = 0; i < p.n && !*allowed; i++) {
        struct store_object o;
        enum err e = store_get(s->session, s->a, p.at[i].list, p.at[i].id, &o);
        if (e == OK)
            *allowed = store_acl_allows(&o, api_principals(r), perms);
        else if (e != ERR_NOTFOUND)
            return e;
    }
    bool all;
    enum err e = api_may(r, &p, RIGHT_LIST, &all);
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

static enum api_step check(struct api_req *r, struct snapshot *s, str bucket_id)
{
    str text = api_path_value(r, "timestamp");
    if (!read_timestamp(text, &s->timestamp))
        return api_fail_invalid(r, "path", STR("timestamp"), invalid_timestamp(r, text));
    if (!api_valid_id_of(r, KIND_BUCKET, bucket_id))
        return api_fail_missing(r, API_ERR_MISSING_PARENT, bucket_id, "bucket");
    if (!api_valid_id_of(r, KIND_COLLECTION, s->collection_id))
        return api_fail_missing(r, API_ERR_MISSING_PARENT, s->collection_id, "collection");
    bool allowed;
    enum err e = may_read(r, s, &allowed);
    if (e != OK)
        return api_fail_err(r, e);
    if (allowed)
        return STEP_NEXT;
    return api_fail(r, str_none(api_user_id(r)) ? API_ERR_UNAUTHORIZED : API_ERR_FORBIDDEN);
}

static enum api_step get_snapshot(struct api_req *r)
{
    str bucket_id = api_path_value(r, "bucket_id");
    const struct history *h = api_endpoint_ctx(r);
    struct arena *a = api_arena(r);
    struct snapshot s = {.a = a,
                         .session = api_session(r),
                         .api = api_of(r),
                         .collection_id = api_path_value(r, "collection_id"),
                         .is_trimmed = h->max_count > 0};
    s.bucket_uri = ARENA_JOIN(a, STR("/buckets/"), bucket_id);
    s.collection_uri = ARENA_JOIN(a, s.bucket_uri, STR("/collections/"), s.collection_id);
    if (str_none(s.bucket_uri) || str_none(s.collection_uri))
        return api_fail_err(r, ERR_NOMEM);
    enum api_step step = check(r, &s, bucket_id);
    if (step != STEP_NEXT)
        return step;
    const struct making *made = made_aside(r, &s);
    if (made)
        return reply(r, made->work.result, made->body);
    struct snapshot here = s; /* what comes of a try is not taken along */
    here.small = !api_is_part(r) && !store_is_writing(s.session);
    struct arena_mark mark = arena_mark(a);
    str body = STR_NONE;
    enum err e = make(&here, &body);
    if (e != ERR_AGAIN || !here.small)
        return reply(r, e, body);
    arena_release(a, mark);
    return make_aside(r, &s);
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
