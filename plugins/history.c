/*
 * plugins/history.c - kinto.plugins.history: who changed what and when, in each bucket.
 *
 * Each change of a bucket, group, collection or record adds an entry to the list "history" of its
 * bucket, in the transaction of the change: the object as it is now (or its tombstone), its
 * permissions, the user and the date. GET /buckets/{id}/history lists the entries with all that
 * lists can do; DELETE takes out those that match. Nobody writes them.
 *
 * Who may read: whoever may read the bucket. With kinto.explicit_permissions (the default) also
 * those who could read the bucket, the collection or the object when it was changed: the entry
 * keeps them as its own readers.
 *
 * An entry is written behind what follows from the change (api/events.c), so the entry of a bucket
 * that is deleted would be all that is left of it: there is none, and nothing else of its history.
 *
 * Reference: Kinto 26.5, the plugin "history".
 */
#include "plugins/history.h"

#include "base/map.h"
#include "base/rand.h"

struct store_list_id history_list(str bucket_uri)
{
    return (struct store_list_id){STR("history"), bucket_uri};
}

/* ---- what is left out ------------------------------------------------------------------------- */

/* The settings name it, or what it lies in, or the user. */
static bool is_excluded(const struct history *h, struct api_req *r, const struct api_place *p)
{
    str user = api_user_id(r);
    if (!str_none(user) && str_is_one_of(user, h->excluded_users, h->nexcluded_users))
        return true;
    for (size_t i = 0; i < p->n; i++)
        if (str_is_one_of(p->at[i].uri, h->excluded, h->nexcluded))
            return true;
    return false;
}

/* ---- an entry --------------------------------------------------------------------------------- */

/* "bucket_id" of a bucket; of what lies in one the ids below the bucket. */
static enum err add_ids(struct api_req *r, struct json *entry, const struct api_place *p)
{
    struct arena *a = api_arena(r);
    enum err e = OK;
    for (size_t i = p->n > 1 ? 1 : 0; i < p->n && e == OK; i++) {
        str name = ARENA_JOIN(a, p->at[i].list.resource, STR("_id"));
        e = str_none(name) ? ERR_NOMEM : json_set(a, entry, name, json_new_string(a, p->at[i].id));
    }
    return e;
}

static enum err new_entry(struct api_req *r, const struct api_change *c, const struct api_place *p,
                          struct json **out)
{
    struct arena *a = api_arena(r);
    struct json *entry = *out = json_new_object(a), *target = json_new_object(a);
    enum err e = change_set_state(r, target, c->now);
    const struct {
        str name;
        struct json *value;
    } members[] = {
        {STR("date"), change_date(r)},
        {STR("target"), target},
        {STR("action"), json_new_string(a, str_from(change_action(c->action)))},
        {STR("uri"), json_new_string(a, c->uri)},
        {STR("user_id"), change_user(r)},
        {STR("resource_name"), json_new_string(a, str_from(c->resource))},
    };
    for (size_t i = 0; i < ARRAY_LEN(members) && e == OK; i++)
        e = json_set(a, entry, members[i].name, members[i].value);
    return e == OK ? add_ids(r, entry, p) : e;
}

struct readers {
    struct store_ace *acl;
    size_t n;
    struct map index; /* by their names: an object may have very many */
};

/* Those who may read or write the object, each once. */
static enum err add_readers(struct api_req *r, const struct store_object *o, struct readers *out)
{
    static char known;
    const struct store_ace *acl;
    size_t n;
    enum err e = store_acl_list(api_session(r), api_arena(r), o, &acl, &n);
    if (e != OK || n == 0)
        return e;
    struct store_ace *all =
        arena_extend(api_arena(r), out->acl, out->n * sizeof *all, (out->n + n) * sizeof *all);
    if (all == NULL)
        return ERR_NOMEM;
    out->acl = all;
    for (size_t i = 0; i < n && e == OK; i++) {
        str who = acl[i].principal;
        if (!(acl[i].perms & (STORE_PERM_READ | STORE_PERM_WRITE)) || map_get(&out->index, who))
            continue;
        e = map_put(&out->index, who, &known);
        all[out->n++] = (struct store_ace){who, STORE_PERM_READ};
    }
    return e;
}

/* Of the entry: the readers of the object, and of what it lies in. */
static enum err find_readers(struct api_req *r, const struct api_change *c,
                             const struct api_place *p, struct readers *out)
{
    *out = (struct readers){.acl = NULL};
    map_init(&out->index, api_arena(r));
    if (!api_explicit_permissions(r))
        return OK;
    enum err e = c->now->deleted ? OK : add_readers(r, c->now, out);
    for (size_t i = 0; i + 1 < p->n && e == OK; i++) {
        struct store_object above;
        e = store_get(api_session(r), api_arena(r), p->at[i].list, p->at[i].id, &above);
        if (e == OK)
            e = add_readers(r, &above, out);
        else if (e == ERR_NOTFOUND) /* deleted below the feet of it, in this very transaction */
            e = OK;
    }
    return e;
}

static enum err add_entry(const struct history *h, struct api_req *r, const struct api_change *c,
                          const struct api_place *p)
{
    static const struct store_ace nobody = {STR_INIT(""), 0};
    struct trim trim;
    struct json *entry;
    struct readers readers;
    struct store_object stored;
    char id[37];
    rand_uuid4(id);
    enum err e = trim_begin(h, r, p->at[0].uri, &trim);
    if (e == OK)
        e = new_entry(r, c, p, &entry);
    if (e == OK)
        e = find_readers(r, c, p, &readers);
    if (e != OK)
        return e;
    struct store_put put = {.id = str_from(id),
                            .data = entry,
                            .acl = readers.n ? readers.acl : &nobody,
                            .nacl = readers.n};
    e = store_put(api_session(r), api_arena(r), history_list(p->at[0].uri), &put, &stored);
    return e == OK ? trim_end(h, r, &trim, c->resource) : e;
}

/* ---- deleting entries ------------------------------------------------------------------------- */

/* Whose deletion of entries is counted as one, however many there are. */
static enum api_step enter(void *ctx, struct api_req *r)
{
    if (api_method_of(r) != METHOD_DELETE)
        return STEP_NEXT;
    struct trim *t = ARENA_NEW(api_arena(r), struct trim);
    enum err e = t ? trim_begin(ctx, r, api_list(r).parent, t) : ERR_NOMEM;
    api_remember(r, t);
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

static enum err entry_deleted(const struct history *h, struct api_req *r,
                              const struct api_change *c)
{
    struct trim *t = api_remembered(r);
    return t ? trim_deleted(h, r, t, c->old, c->left == 0) : trim_forget(r, c->list.parent);
}

/* ---- as a listener ---------------------------------------------------------------------------- */

static enum api_step changed(void *ctx, struct api_req *r, const struct api_change *c)
{
    const struct history *h = ctx;
    struct api_place p;
    enum err e = OK;
    if (str_eq(c->list.resource, STR("history")))
        e = entry_deleted(h, r, c);
    else if (!api_is_core(c->kind) || (c->kind == KIND_BUCKET && c->action == ACTION_DELETE))
        return STEP_NEXT;
    else if (api_place(api_of(r), c->uri, &p) && !is_excluded(h, r, &p))
        e = add_entry(h, r, c, &p);
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

static enum err erased(void *ctx, struct api_req *r, str principal, void **at)
{
    (void)ctx;
    return change_forget(r, STR("history"), principal, at, trim_forget);
}

/* ---- setting up ------------------------------------------------------------------------------- */

static const char *const fields[] = {"id",
                                     "last_modified",
                                     "date",
                                     "target",
                                     "action",
                                     "uri",
                                     "user_id",
                                     "resource_name",
                                     "deleted",
                                     "bucket_id",
                                     "collection_id",
                                     "group_id",
                                     "record_id",
                                     NULL};
static const char *const text_fields[] = {"bucket_id", "collection_id", "record_id", NULL};

static const struct api_resource resource = {
    .name = "history",
    .plural = "history",
    .parent = KIND_BUCKET,
    .plural_methods = METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD) | METHOD_BIT(METHOD_DELETE),
    .fields = fields,
    .text_fields = text_fields,
    .doc.data =
        "{\"type\":\"object\",\"required\":[\"id\",\"last_modified\"],\"properties\":{"
        "\"id\":{\"type\":\"string\"},\"last_modified\":{\"type\":\"integer\"},"
        "\"date\":{\"type\":\"string\"},\"action\":{\"type\":\"string\"},"
        "\"uri\":{\"type\":\"string\"},\"user_id\":{},\"resource_name\":{\"type\":\"string\"},"
        "\"bucket_id\":{\"type\":\"string\"},\"collection_id\":{\"type\":\"string\"},"
        "\"group_id\":{\"type\":\"string\"},\"record_id\":{\"type\":\"string\"},"
        "\"target\":{\"$ref\":\"#/definitions/Any\"}}}",
};

static void load_settings(struct history *h, const struct settings *s)
{
    h->excluded = settings_list(s, "kinto.history.exclude_resources", &h->nexcluded);
    h->excluded_users = settings_list(s, "kinto.history.exclude_user_ids", &h->nexcluded_users);
    h->trimmed_users = settings_list(s, "kinto.history.auto_trim_user_ids", &h->ntrimmed_users);
    h->max_count = settings_int(s, "kinto.history.auto_trim_max_count", -1);
    h->threshold = settings_int(s, "kinto.history.auto_trim_threshold", 100);
}

/* {"bucket":"b","collection":"c"} */
static void write_excluded(struct buf *b, const struct api_place *p)
{
    for (size_t i = 0; i < p->n; i++) {
        buf_printf(b, "%s\"" STR_FMT "\":", i ? "," : "{", STR_ARG(p->at[i].list.resource));
        json_write_string(b, p->at[i].id);
    }
    buf_add_char(b, '}');
}

/* The members of the capability that tell of settings. SYNTAX: one that means nothing. */
static enum err write_exposed(struct buf *b, const struct api *a, const struct history *h,
                              const struct settings *s, struct err_detail *d)
{
    if (h->max_count > 0)
        buf_printf(b, ",\"auto_trim_max_count\":%lld", (long long)h->max_count);
    for (size_t i = 0; i < h->ntrimmed_users; i++) {
        buf_add_str(b, i ? STR(",") : STR(",\"auto_trim_user_ids\":["));
        json_write_string(b, h->trimmed_users[i]);
    }
    buf_add_str(b, h->ntrimmed_users ? STR("]") : STR(""));
    for (size_t i = 0; i < h->nexcluded; i++) {
        struct api_place p;
        if (!api_place(a, h->excluded[i], &p) || !api_is_core(api_place_end(&p)->kind))
            return settings_refuse(s, "kinto.history.exclude_resources", ERR_SYNTAX, d,
                                   "\"%s\" is no URI of a bucket, group, collection or record",
                                   settings_quote(h->excluded[i]).text);
        buf_add_str(b, i ? STR(",") : STR(",\"excluded_resources\":["));
        write_excluded(b, &p);
    }
    buf_add_str(b, h->nexcluded ? STR("]") : STR(""));
    return OK;
}

static enum err add_capability(struct api *a, struct history *h, const struct settings *s,
                               struct err_detail *d)
{
    struct buf b;
    buf_init_arena(&b, &h->arena, MIB);
    buf_add_lit(&b, "{\"description\":\"Track changes on data.\",\"url\":"
                    "\"http://kinto.readthedocs.io/en/latest/api/1.x/history.html\"");
    enum err e = write_exposed(&b, a, h, s, d);
    buf_add_char(&b, '}');
    buf_add_char(&b, '\0');
    if (e == OK && buf_failed(&b))
        e = b.err;
    return e == OK ? api_add_capability(a, "history", buf_str(&b).p) : e;
}

static void history_release(void *ctx)
{
    struct history *h = ctx;
    arena_fini(&h->arena);
    free(h);
}

enum err history_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    struct history *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ERR_NOMEM;
    arena_init(&h->arena, NULL, 0, NULL, 2 * MIB);
    enum err e = api_keep(a, h, history_release);
    if (e != OK)
        return e;
    load_settings(h, s);
    e = api_add_listener(a, &(struct api_listener){h, changed, erased});
    if (e == OK)
        e = add_capability(a, h, s, d);
    if (e == OK)
        e = snapshot_load(a, h);
    struct api_resource own = resource;
    own.ctx = h;
    own.enter = enter;
    return e == OK ? api_add_resource(a, &own) : e;
}
