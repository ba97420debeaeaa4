/*
 * plugins/default_bucket.c - /buckets/default stands for a bucket of the user's own.
 *
 * Its id is made of the user id (HMAC-SHA256, the first 16 bytes written as a UUID). The bucket,
 * and the collection that a URL names, are made at the first access, also by a GET, in the
 * transaction of that request.
 */
#include "base/hash.h"
#include "base/log.h"
#include "base/uuid.h"
#include "plugins/private.h"

struct default_bucket {
    str secret; /* of the settings */
};

static const str alias_path = STR_INIT("/buckets/default");

static bool claims(void *ctx, str path)
{
    (void)ctx;
    return str_starts(path, alias_path) && (path.n == alias_path.n || path.p[alias_path.n] == '/');
}

static str bucket_id(const struct default_bucket *p, struct arena *a, str user_id)
{
    uint8_t sum[HASH_SHA256_LEN];
    char id[UUID_TEXT_BYTES + 1];
    hash_hmac_sha256(p->secret, user_id, sum);
    uuid_write(sum, id);
    return arena_str(a, str_from(id));
}

/* `text` with every "default" replaced by the bucket's id. */
static str replace_default(struct arena *a, str text, str id)
{
    struct buf b;
    buf_init_arena(&b, a, 64 * KIB);
    size_t at;
    while ((at = str_find_str(text, STR("default"))) != STR_NPOS) {
        buf_add_str(&b, str_sub(text, 0, at));
        buf_add_str(&b, id);
        text = str_drop(text, at + strlen("default"));
    }
    buf_add_str(&b, text);
    return buf_failed(&b) ? STR_NONE : buf_str(&b);
}

/* "id": "default" in the body means this bucket, too. A body that is no JSON is left for others to
 * refuse. */
static enum err rewrite_body(struct api_req *r, str id)
{
    struct arena *a = api_arena(r);
    struct json *root;
    if (str_find_str(api_body(r), STR("default")) == STR_NPOS ||
        json_parse(a, api_body(r), &root, NULL) != OK)
        return OK;
    struct json *data = json_get(root, STR("data"));
    struct json *old = data ? json_get_typed(data, STR("id"), JSON_STRING) : NULL;
    if (old == NULL || json_string(old).n > STORE_MAX_ID_BYTES) /* never valid */
        return OK;
    str replaced = replace_default(a, json_string(old), id);
    if (str_none(replaced))
        return ERR_NOMEM;
    enum err e = json_set(a, data, STR("id"), json_new_string(a, replaced));
    if (e != OK)
        return e;
    str text = json_text(a, root);
    api_set_body(r, text);
    return str_none(text) ? ERR_NOMEM : OK;
}

static enum api_step rewrite(void *ctx, struct api_req *r)
{
    if (str_none(api_user_id(r)))
        return api_fail(r, API_ERR_UNAUTHORIZED);
    if (api_readonly(r))
        return api_fail_readonly(r);
    str id = bucket_id(ctx, api_arena(r), api_user_id(r));
    str path = ARENA_JOIN(api_arena(r), STR("/buckets/"), id, str_drop(api_path(r), alias_path.n));
    enum err e = str_none(path) ? ERR_NOMEM : rewrite_body(r, id);
    if (e != OK)
        return api_fail_err(r, e);
    api_rewrite(r, path);
    return STEP_NEXT;
}

/* "/buckets/<id>/collections/<collection>..." -> the collection, or none. *exactly: and nothing
 * behind it, not even a slash, with which a PUT is only redirected. */
static str named_collection(str path, bool *exactly)
{
    bool slash = str_ends(path, STR("/"));
    while (str_ends(path, STR("/")))
        path.n--;
    str rest = str_drop(path, 1);
    str_cut(&rest, '/');
    str_cut(&rest, '/');
    if (str_none(rest) || !str_eq(str_cut(&rest, '/'), STR("collections")) || str_none(rest))
        return STR_NONE;
    str id = str_cut(&rest, '/');
    *exactly = str_none(rest) && !slash;
    return id;
}

/* What the request itself will create is left to it. */
static enum api_step prepare(void *ctx, struct api_req *r)
{
    str id = bucket_id(ctx, api_arena(r), api_user_id(r));
    if (str_none(id))
        return api_fail_err(r, ERR_NOMEM);
    bool put = api_method_of(r) == METHOD_PUT, exactly = false;
    str bucket_path = str_drop(api_path(r), strlen("/buckets/"));
    enum api_step s = STEP_NEXT;
    if (!(put && str_eq(bucket_path, id)))
        s = api_create_if_absent(r, id, STR_NONE);
    str collection = named_collection(api_path(r), &exactly);
    if (s != STEP_NEXT || str_none(collection) || (put && exactly))
        return s;
    if (!api_valid_collection_id(r, collection))
        return api_fail_invalid(r, "path", STR_NONE, STR("Invalid collection id"));
    return api_create_if_absent(r, id, collection);
}

static enum err user_info(void *ctx, struct api_req *r, struct json *user)
{
    struct arena *a = api_arena(r);
    return json_set(a, user, STR("bucket"), json_new_string(a, bucket_id(ctx, a, api_user_id(r))));
}

static const char *endpoint(void *ctx, str path)
{
    (void)ctx;
    return path.n == alias_path.n ? "default_bucket" : "default_bucket_collection";
}

enum err default_bucket_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    (void)d;
    struct default_bucket *p = calloc(1, sizeof *p);
    enum err e = p ? api_keep(a, p, free) : ERR_NOMEM;
    if (e != OK)
        return e;
    p->secret = settings_str(s, "kinto.default_bucket_hmac_secret");
    if (p->secret.n == 0) /* as in the reference: the same ids, but guessable ones */
        log_event(LOG_WARN, "default_bucket_secret",
                  "key=kinto.default_bucket_hmac_secret what=\"unset: whoever knows a user's id "
                  "can guess the id of its default bucket\"");
    e = api_add_alias(a, &(struct api_alias){p, claims, rewrite, prepare, endpoint});
    if (e == OK)
        e = api_fill_hello(a, NULL, p, user_info);
    if (e != OK)
        return e;
    return api_add_capability(
        a, "default_bucket",
        "{\"description\":\"The default bucket is an alias for a personal bucket where collections "
        "are created implicitly.\",\"url\":\"https://kinto.readthedocs.io/en/latest/api/1.x/"
        "buckets.html#personal-bucket-default\"}");
}
