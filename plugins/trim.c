/*
 * plugins/trim.c - only the newest entries of a bucket's history stay (kinto.history.auto_trim_...).
 *
 * Entries are counted for each kind of object, and for each of the users that the settings name.
 * When there are more than auto_trim_max_count and auto_trim_threshold together, the oldest go,
 * without a trace, until auto_trim_max_count are left.
 *
 * Cost. A write may not count entries, nor look for the old ones among those that stay, so a small
 * object in a list of its own ("history-trim", in the bucket) remembers both:
 *     {"of": digest of the settings, "clock": of the history, "counts": [[kind, user, n, from], ...]}
 * n entries are there, and none of them has a time up to `from`: the search for the oldest begins
 * there, and what it steps over are entries of others that lie between. The object is right if
 * `clock` is that of the list: somebody else who changes the list moves its clock (or calls
 * trim_forget). If it is not right, or was made for other settings, the entries are counted anew,
 * once.
 *
 * So a write costs one small read and write more, and at most STEP entries are deleted: where there
 * are many too many (trimming was just switched on), the next writes go on with it.
 */
#include "plugins/history.h"

#include "base/hash.h"

#define STEP  1000 /* deleted by one write */
#define CHUNK 50   /* looked for at a time: a write session copies what it finds */

static const str state_id = STR_INIT("state");

static struct store_list_id state_list(str bucket_uri)
{
    return (struct store_list_id){STR("history-trim"), bucket_uri};
}

static bool by_user(const struct history *h)
{
    return h->ntrimmed_users > 0;
}

static bool is_trimmed(const struct history *h, str user)
{
    for (size_t i = 0; i < h->ntrimmed_users; i++)
        if (!str_none(user) && str_eq(h->trimmed_users[i], user))
            return true;
    return !by_user(h);
}

/* ---- counters --------------------------------------------------------------------------------- */

/* The one for such an entry, made if need be; NULL: no memory. */
static struct trim_counter *counter_of(struct trim *t, struct arena *a, str resource, str user)
{
    for (size_t i = 0; i < t->n; i++)
        if (str_eq(t->counters[i].resource, resource) && str_eq(t->counters[i].user, user))
            return &t->counters[i];
    struct trim_counter *all =
        arena_extend(a, t->counters, t->n * sizeof *all, (t->n + 1) * sizeof *all);
    if (all == NULL)
        return NULL;
    t->counters = all;
    all[t->n] = (struct trim_counter){arena_str(a, resource), arena_str(a, user), 0, INT64_MIN};
    return arena_failed(a) ? NULL : &all[t->n++];
}

static str text_of(struct arena *a, const struct store_object *o, str member)
{
    struct json_raw raw;
    if (!json_scan_member(o->data, member, &raw) || raw.type != JSON_STRING)
        return STR_NONE;
    return json_raw_string(a, &raw);
}

static enum err count_entries(const struct history *h, struct api_req *r, struct trim *t)
{
    struct arena *a = api_arena(r);
    struct store_walk *walk;
    struct store_object o;
    t->n = 0;
    enum err e = store_walk_new(api_session(r), a, NULL, &walk);
    if (e == OK)
        e = store_walk_list(walk, history_list(t->bucket_uri));
    while (e == OK && (e = store_walk_next(walk, &o)) == OK) {
        str resource = text_of(a, &o, STR("resource_name")), user = text_of(a, &o, STR("user_id"));
        if (str_none(resource) || !is_trimmed(h, user))
            continue;
        struct trim_counter *c = counter_of(t, a, resource, by_user(h) ? user : STR(""));
        if (c == NULL)
            return ERR_NOMEM;
        c->n++;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

/* ---- the state -------------------------------------------------------------------------------- */

/* What the counts depend on. */
static str settings_digest(const struct history *h, struct arena *a)
{
    struct buf b;
    uint8_t sum[HASH_SHA256_LEN];
    char hex[2 * HASH_SHA256_LEN + 1];
    buf_init_arena(&b, a, MIB);
    for (size_t i = 0; i < h->ntrimmed_users; i++)
        json_write_string(&b, h->trimmed_users[i]);
    if (buf_failed(&b))
        return STR_NONE;
    hash_sha256(buf_str(&b), sum);
    hash_hex(sum, sizeof sum, hex);
    return arena_str(a, str_sub(str_from(hex), 0, 16));
}

static bool read_number(const struct json *v, int64_t *out)
{
    return json_is(v, JSON_NUMBER) && json_to_i64(v, out) == OK;
}

static enum err read_counter(struct trim *t, struct arena *a, const struct json *row)
{
    const struct json *resource = json_at(row, 0), *user = json_at(row, 1);
    if (!json_is(resource, JSON_STRING) || !json_is(user, JSON_STRING))
        return ERR_CORRUPT;
    struct trim_counter *c = counter_of(t, a, json_string(resource), json_string(user));
    if (c == NULL)
        return ERR_NOMEM;
    return read_number(json_at(row, 2), &c->n) && read_number(json_at(row, 3), &c->from)
               ? OK
               : ERR_CORRUPT;
}

/* NOTFOUND: there is none, or it is not right. */
static enum err load(const struct history *h, struct api_req *r, int64_t clock, struct trim *t)
{
    struct arena *a = api_arena(r);
    struct store_object o;
    enum err e = store_get(api_session(r), a, state_list(t->bucket_uri), state_id, &o);
    if (e != OK)
        return e;
    struct json *state = change_data(r, &o);
    str digest = settings_digest(h, a);
    if (state == NULL || str_none(digest))
        return ERR_NOMEM;
    int64_t then;
    const struct json *of = json_get_typed(state, STR("of"), JSON_STRING);
    const struct json *counts = json_get_typed(state, STR("counts"), JSON_ARRAY);
    if (of == NULL || !str_eq(json_string(of), digest) || counts == NULL ||
        !read_number(json_get(state, STR("clock")), &then) || then != clock)
        return ERR_NOTFOUND;
    for (size_t i = 0; i < json_count(counts) && e == OK; i++)
        e = read_counter(t, a, json_at(counts, i));
    return e == ERR_CORRUPT ? ERR_NOTFOUND : e;
}

static enum err push_counter(struct arena *a, struct json *counts, const struct trim_counter *c)
{
    struct json *row = json_new_array(a);
    enum err e = json_push(a, row, json_new_string(a, c->resource));
    if (e == OK)
        e = json_push(a, row, json_new_string(a, c->user));
    if (e == OK)
        e = json_push(a, row, json_new_i64(a, c->n));
    if (e == OK)
        e = json_push(a, row, json_new_i64(a, c->from));
    return e == OK ? json_push(a, counts, row) : e;
}

static enum err save(const struct history *h, struct api_req *r, const struct trim *t)
{
    struct arena *a = api_arena(r);
    struct json *state = json_new_object(a), *counts = json_new_array(a);
    str digest = settings_digest(h, a);
    int64_t clock;
    enum err e = str_none(digest) ? ERR_NOMEM : OK;
    if (e == OK)
        e = store_timestamp(api_session(r), history_list(t->bucket_uri), &clock);
    for (size_t i = 0; i < t->n && e == OK; i++)
        e = push_counter(a, counts, &t->counters[i]);
    if (e == OK)
        e = json_set(a, state, STR("of"), json_new_string(a, digest));
    if (e == OK)
        e = json_set(a, state, STR("clock"), json_new_i64(a, clock));
    if (e == OK)
        e = json_set(a, state, STR("counts"), counts);
    if (e != OK)
        return e;
    struct store_put put = {.id = state_id, .data = state};
    struct store_object stored;
    return store_put(api_session(r), a, state_list(t->bucket_uri), &put, &stored);
}

/* ---- deleting --------------------------------------------------------------------------------- */

/* Up to `most` of the oldest entries that the counter counts. */
static enum err delete_some(struct api_req *r, const struct trim *t, struct trim_counter *c,
                            size_t most, size_t *deleted)
{
    struct arena *a = api_arena(r);
    struct store_list_id list = history_list(t->bucket_uri);
    const struct store_filter filters[] = {
        {STR("last_modified"), STORE_GT, json_new_i64(a, c->from)},
        {STR("resource_name"), STORE_EQ, json_new_string(a, c->resource)},
        {STR("user_id"), STORE_EQ, json_new_string(a, c->user)},
    };
    const struct store_sort by_time = {STR("last_modified"), false};
    struct store_query q = {.filters = filters,
                            .nfilters = c->user.n ? 3 : 2,
                            .sort = &by_time,
                            .nsort = 1,
                            .limit = most};
    struct store_result found;
    enum err e = arena_failed(a) ? ERR_NOMEM : OK;
    if (e == OK)
        e = store_query(api_session(r), a, list, &q, &found);
    for (size_t i = 0; e == OK && i < found.count; i++) {
        c->from = found.objects[i].last_modified;
        e = store_forget(api_session(r), a, list, found.objects[i].id);
    }
    if (e == OK)
        *deleted = found.count;
    return e;
}

static enum err delete_oldest(const struct history *h, struct api_req *r, const struct trim *t,
                              struct trim_counter *c)
{
    struct arena *a = api_arena(r);
    enum err e = OK;
    for (int64_t left = STEP; e == OK && left > 0 && c->n > h->max_count;) {
        struct arena_mark mark = arena_mark(a);
        size_t deleted = 0;
        int64_t most = MIN_OF(MIN_OF(left, CHUNK), c->n - h->max_count);
        e = delete_some(r, t, c, (size_t)most, &deleted);
        arena_release(a, mark);
        c->n = deleted ? c->n - (int64_t)deleted : h->max_count; /* none is left to count */
        left -= (int64_t)deleted;
    }
    return e;
}

/* ---- while an entry is added ------------------------------------------------------------------ */

enum err trim_begin(const struct history *h, struct api_req *r, str bucket_uri, struct trim *t)
{
    int64_t clock;
    *t = (struct trim){.on = h->max_count > 0, .bucket_uri = bucket_uri};
    if (!t->on)
        return OK;
    enum err e = store_timestamp(api_session(r), history_list(bucket_uri), &clock);
    if (e == OK)
        e = load(h, r, clock, t);
    return e == ERR_NOTFOUND ? count_entries(h, r, t) : e;
}

enum err trim_end(const struct history *h, struct api_req *r, struct trim *t, const char *resource)
{
    str user = api_user_id(r);
    enum err e = OK;
    if (!t->on)
        return OK;
    if (is_trimmed(h, user)) {
        struct trim_counter *c =
            counter_of(t, api_arena(r), str_from(resource), by_user(h) ? user : STR(""));
        if (c == NULL)
            return ERR_NOMEM;
        c->n++;
        if (c->n > h->max_count && c->n - h->max_count > h->threshold)
            e = delete_oldest(h, r, t, c);
    }
    return e == OK ? save(h, r, t) : e;
}

enum err trim_forget(struct api_req *r, str bucket_uri)
{
    enum err e = store_forget(api_session(r), api_arena(r), state_list(bucket_uri), state_id);
    return e == ERR_NOTFOUND ? OK : e;
}
