/*
 * plugins/trim.c - only the newest entries of a bucket's history stay (kinto.history.auto_trim_...).
 *
 * Entries are counted for each kind of object, and for each of the users that the settings name.
 * When there are more than auto_trim_max_count and auto_trim_threshold together, the oldest go,
 * without a trace, until auto_trim_max_count are left.
 *
 * Cost. A write may not count entries, nor look for the old ones among those that stay, so a small
 * object in a list of its own ("history-trim", in the bucket) remembers both:
 *     {"of": digest of the settings, "clock": of the history, "upto": a time, or not there,
 *      "counts": [[kind, user, n, from], ...]}
 * Of the entries up to that time (not there: of all) n are there, and none of them has a time up to
 * `from`: the search for the oldest begins there, and what it steps over are entries of others that lie
 * between. The object is right if `clock` is that of the list: somebody else who changes the list moves
 * its clock (or calls trim_forget). If it is not right, or was made for other settings, the entries are
 * counted anew, a part with each write, from the oldest on; what has been counted so far can be
 * trimmed as if it were all. Entries that a DELETE takes out are taken off the counts.
 *
 * So a write costs one small read and write more, and at most STEP entries are deleted and COUNT_STEP
 * counted (of large ones less): where there are many (trimming was just switched on), the next writes go on
 * with it.
 */
#include "plugins/history.h"

#include "base/hash.h"

#define STEP       1000 /* deleted by one write */
#define COUNT_STEP 500  /* counted by one write */
/* Looked at in one go, or as many as have so many bytes: a write session copies what it finds. */
#define CHUNK       50
#define CHUNK_BYTES (256 * KIB)

static const str state_id = STR_INIT("state");

static struct store_list_id state_list(str bucket_uri)
{
    return (struct store_list_id){STR("history-trim"), bucket_uri};
}

static bool by_user(const struct history *h)
{
    return h->ntrimmed_users > 0;
}

/* ---- counters --------------------------------------------------------------------------------- */

static const str kinds[] = {STR_INIT("bucket"), STR_INIT("group"), STR_INIT("collection"),
                            STR_INIT("record")};

/* The one of these that it is equal to, which lives as long as they; none: it is none of them. */
static str one_of(const str *names, size_t n, str name)
{
    for (size_t i = 0; i < n; i++)
        if (!str_none(name) && str_eq(names[i], name))
            return names[i];
    return STR_NONE;
}

/* The one that counts such an entry; NULL: none does. */
static struct trim_counter *counter_of(const struct history *h, struct trim *t, str resource,
                                       str user)
{
    resource = one_of(kinds, ARRAY_LEN(kinds), resource);
    user = by_user(h) ? one_of(h->trimmed_users, h->ntrimmed_users, user) : STR("");
    if (str_none(resource) || str_none(user))
        return NULL;
    for (size_t i = 0; i < t->n; i++)
        if (str_eq(t->counters[i].resource, resource) && str_eq(t->counters[i].user, user))
            return &t->counters[i];
    t->counters[t->n] = (struct trim_counter){resource, user, 0, INT64_MIN};
    return &t->counters[t->n++];
}

static str text_of(struct arena *a, const struct store_object *o, str member)
{
    struct json_raw raw;
    if (!json_scan_member(o->data, member, &raw) || raw.type != JSON_STRING)
        return STR_NONE;
    return json_raw_string(a, &raw);
}

static struct trim_counter *counter_of_entry(const struct history *h, struct api_req *r,
                                             struct trim *t, const struct store_object *o)
{
    struct arena *a = api_arena(r);
    return counter_of(h, t, text_of(a, o, STR("resource_name")), text_of(a, o, STR("user_id")));
}

/* Some of the entries that were not counted yet, the oldest. */
static enum err count_chunk(const struct history *h, struct api_req *r, struct trim *t)
{
    struct arena *a = api_arena(r);
    const struct store_filter behind = {STR("last_modified"), STORE_GT, json_new_i64(a, t->upto)};
    const struct store_sort by_time = {STR("last_modified"), false};
    const struct store_query q = {.filters = &behind,
                                  .nfilters = 1,
                                  .sort = &by_time,
                                  .nsort = 1,
                                  .limit = CHUNK,
                                  .enough_bytes = CHUNK_BYTES};
    struct store_result found;
    enum err e = behind.value
                     ? store_query(api_session(r), a, history_list(t->bucket_uri), &q, &found)
                     : ERR_NOMEM;
    if (e != OK)
        return e;
    for (size_t i = 0; i < found.count; i++) {
        struct trim_counter *c = counter_of_entry(h, r, t, &found.objects[i]);
        if (c)
            c->n++;
        t->upto = found.objects[i].last_modified;
    }
    t->counted = !found.more;
    return arena_failed(a) ? ERR_NOMEM : OK;
}

static enum err count_some(const struct history *h, struct api_req *r, struct trim *t)
{
    enum err e = OK;
    for (int i = 0; e == OK && !t->counted && i < COUNT_STEP / CHUNK; i++) {
        struct arena_mark mark = arena_mark(api_arena(r));
        e = count_chunk(h, r, t);
        arena_release(api_arena(r), mark);
    }
    return e;
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

static bool read_counter(const struct history *h, struct trim *t, const struct json *row)
{
    const struct json *resource = json_at(row, 0), *user = json_at(row, 1);
    if (!json_is(resource, JSON_STRING) || !json_is(user, JSON_STRING))
        return false;
    struct trim_counter *c = counter_of(h, t, json_string(resource), json_string(user));
    return c && read_number(json_at(row, 2), &c->n) && read_number(json_at(row, 3), &c->from);
}

/* False: it is not right. */
static bool read_state(const struct history *h, const struct json *state, int64_t clock,
                       struct trim *t)
{
    const struct json *of = json_get_typed(state, STR("of"), JSON_STRING);
    const struct json *counts = json_get_typed(state, STR("counts"), JSON_ARRAY);
    const struct json *upto = json_get(state, STR("upto"));
    int64_t then;
    if (of == NULL || !str_eq(json_string(of), t->digest) || counts == NULL ||
        !read_number(json_get(state, STR("clock")), &then) || then != clock)
        return false;
    t->counted = upto == NULL;
    if (upto && !read_number(upto, &t->upto))
        return false;
    for (size_t i = 0; i < json_count(counts); i++)
        if (!read_counter(h, t, json_at(counts, i)))
            return false;
    return true;
}

/* What is not right is nothing: nothing was counted yet. */
static enum err load(const struct history *h, struct api_req *r, struct trim *t)
{
    struct arena *a = api_arena(r);
    struct store_object o;
    int64_t clock;
    t->digest = settings_digest(h, a);
    t->counters =
        ARENA_NEW_ARRAY(a, struct trim_counter, ARRAY_LEN(kinds) * MAX_OF(h->ntrimmed_users, 1u));
    if (str_none(t->digest) || t->counters == NULL)
        return ERR_NOMEM;
    enum err e = store_timestamp(api_session(r), history_list(t->bucket_uri), &clock);
    if (e == OK)
        e = store_get(api_session(r), a, state_list(t->bucket_uri), state_id, &o);
    if (e != OK && e != ERR_NOTFOUND)
        return e;
    struct json *state;
    if (e == OK)
        e = store_data(a, &o, &state);
    if (e == ERR_NOMEM)
        return e;
    if (e != OK || !read_state(h, state, clock, t)) {
        t->n = 0;
        t->counted = false;
        t->upto = INT64_MIN;
    }
    return OK;
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

static enum err save(struct api_req *r, const struct trim *t)
{
    struct arena *a = api_arena(r);
    struct json *state = json_new_object(a), *counts = json_new_array(a);
    int64_t clock;
    enum err e = store_timestamp(api_session(r), history_list(t->bucket_uri), &clock);
    for (size_t i = 0; i < t->n && e == OK; i++)
        e = push_counter(a, counts, &t->counters[i]);
    if (e == OK)
        e = json_set(a, state, STR("of"), json_new_string(a, t->digest));
    if (e == OK)
        e = json_set(a, state, STR("clock"), json_new_i64(a, clock));
    if (e == OK && !t->counted)
        e = json_set(a, state, STR("upto"), json_new_i64(a, t->upto));
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
                            .limit = most,
                            .enough_bytes = CHUNK_BYTES};
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
    int chunks = STEP / CHUNK;
    for (int64_t left = STEP; e == OK && left > 0 && chunks-- > 0 && c->n > h->max_count;) {
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
    *t = (struct trim){.on = h->max_count > 0, .bucket_uri = bucket_uri};
    return t->on ? load(h, r, t) : OK;
}

enum err trim_end(const struct history *h, struct api_req *r, struct trim *t, const char *resource)
{
    if (!t->on)
        return OK;
    struct trim_counter *c = counter_of(h, t, str_from(resource), api_user_id(r));
    enum err e = OK;
    if (!t->counted)
        e = count_some(h, r, t); /* it is one of those that are not counted yet */
    else if (c)
        c->n++;
    if (e == OK && c && c->n > h->max_count && c->n - h->max_count > h->threshold)
        e = delete_oldest(h, r, t, c);
    return e == OK ? save(r, t) : e;
}

/* ---- while entries are deleted ---------------------------------------------------------------- */

enum err trim_deleted(const struct history *h, struct api_req *r, struct trim *t,
                      const struct store_object *entry, bool last)
{
    struct trim_counter *c = t->on ? counter_of_entry(h, r, t, entry) : NULL;
    if (arena_failed(api_arena(r)))
        return ERR_NOMEM;
    if (c && c->n > 0 && (t->counted || entry->last_modified <= t->upto))
        c->n--;
    return t->on && last ? save(r, t) : OK;
}

enum err trim_forget(struct api_req *r, str bucket_uri)
{
    enum err e = store_forget(api_session(r), api_arena(r), state_list(bucket_uri), state_id);
    return e == ERR_NOTFOUND ? OK : e;
}
