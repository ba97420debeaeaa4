/*
 * api/api.c - the API as an object: its configuration, what plugins add, and its face to the
 * server.
 */
#include "api/private.h"
#include <inttypes.h>
#include <time.h>

#define PROCESS_ARENA_BYTES (64 * MIB)

/* ---- configuration --------------------------------------------------------------------------- */

static struct api_names names_setting(const struct settings *s, const char *key)
{
    struct api_names n;
    n.names = settings_list(s, key, &n.count);
    return n;
}

static const char *key_of(char *buf, size_t n, const char *form, const char *a, const char *b)
{
    int len = snprintf(buf, n, form, a, b);
    CHECK(len > 0 && (size_t)len < n);
    return buf;
}

static enum api_generator generator_from(str path)
{
    if (str_ends(path, STR(".NameGenerator")))
        return GENERATOR_NAME;
    return str_ends(path, STR(".RelaxedUUID")) ? GENERATOR_RELAXED_UUID : GENERATOR_UUID4;
}

static void load_kind(struct api_config *c, const struct settings *s, enum api_kind k)
{
    static const char *const required[] = {"create", "read", "write"};
    static const struct {
        const char *name;
        enum api_method method;
    } methods[] = {{"head", METHOD_HEAD}, {"get", METHOD_GET},     {"post", METHOD_POST},
                   {"put", METHOD_PUT},   {"patch", METHOD_PATCH}, {"delete", METHOD_DELETE}};
    static const unsigned exist[2] = {METHOD_BIT(METHOD_HEAD) | METHOD_BIT(METHOD_GET) |
                                          METHOD_BIT(METHOD_POST) | METHOD_BIT(METHOD_DELETE),
                                      METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_PUT) |
                                          METHOD_BIT(METHOD_PATCH) | METHOD_BIT(METHOD_DELETE)};
    char key[128], middle[64];
    const char *name = api_kinds[k].name;
    for (unsigned i = 0; i < REQUIRED_COUNT; i++)
        c->principals[k][i] =
            names_setting(s, key_of(key, sizeof key, "kinto.%s_%s_principals", name, required[i]));
    c->cache_seconds[k] =
        settings_int(s, key_of(key, sizeof key, "kinto.%s_cache_expires_seconds%s", name, ""), -1);
    c->generator[k] = generator_from(
        settings_str(s, key_of(key, sizeof key, "kinto.%s_id_generator%s", name, "")));
    for (unsigned object = 0; object < 2; object++) {
        key_of(middle, sizeof middle, "%s_%s", object ? "object" : "plural", name);
        for (size_t i = 0; i < ARRAY_LEN(methods); i++)
            if ((exist[object] & METHOD_BIT(methods[i].method)) &&
                settings_bool(
                    s, key_of(key, sizeof key, "kinto.%s_%s_enabled", middle, methods[i].name)))
                c->enabled[object][k] |= METHOD_BIT(methods[i].method);
    }
    if (c->enabled[1][k] & METHOD_BIT(METHOD_GET))
        c->enabled[1][k] |= METHOD_BIT(METHOD_HEAD);
}

struct cache_target {
    struct api *api;
    struct map *map;
    enum err err;
};

static void take_cache_seconds(void *arg, str key, str star, str value, str origin)
{
    (void)key;
    (void)origin;
    struct cache_target *t = arg;
    int64_t *seconds = ARENA_NEW(&t->api->arena, int64_t);
    if (seconds == NULL || str_to_i64(value, seconds) != OK) {
        t->err = ERR_NOMEM; /* that it is a number has been checked when it was loaded */
        return;
    }
    enum err e = map_put(t->map, arena_str(&t->api->arena, star), seconds);
    if (e != OK)
        t->err = e;
}

static enum err load_record_cache(struct api *a)
{
    map_init(&a->conf.record_cache, &a->arena);
    map_init(&a->conf.record_cache_old, &a->arena);
    struct cache_target t = {a, &a->conf.record_cache, OK};
    settings_each(a->settings, "kinto.*.record_cache_expires_seconds", take_cache_seconds, &t);
    t.map = &a->conf.record_cache_old;
    settings_each(a->settings, "kinto.*_record_cache_expires_seconds", take_cache_seconds, &t);
    return t.err;
}

/* kinto.eos: "2030-12-31", with or without "T12:34" or "T12:34:56". Local dates are not guessed:
 * UTC. */
static enum err load_end_of_service(struct api *a, struct err_detail *d)
{
    struct api_config *c = &a->conf;
    c->eos = settings_str(a->settings, "kinto.eos");
    c->eos_ms = INT64_MAX;
    if (c->eos.n == 0)
        return OK;
    str message = settings_str(a->settings, "kinto.eos_message");
    str url = settings_str(a->settings, "kinto.eos_url");
    url = url.n ? url : c->project_docs;
    c->soft_eol = api_alert_text(&a->arena, "soft-eol", message, url);
    c->hard_eol = api_alert_text(&a->arena, "hard-eol", message, url);
    struct tm tm = {0};
    char *text = arena_cstr(&a->arena, c->eos);
    if (text == NULL)
        return ERR_NOMEM;
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S",
                                        "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        memset(&tm, 0, sizeof tm);
        const char *end = strptime(text, forms[i], &tm);
        int day = tm.tm_mday;
        if (end == NULL || *end != '\0')
            continue;
        int64_t seconds = timegm(&tm);
        if (tm.tm_mday != day) /* February 30th became March */
            break;
        c->eos_ms = seconds * 1000;
        return OK;
    }
    str origin = settings_origin(a->settings, "kinto.eos");
    return err_set(d, ERR_SYNTAX, 0,
                   STR_FMT ": kinto.eos: \"" STR_FMT
                           "\" is no date like 2030-12-31 or 2030-12-31T23:59:59",
                   STR_ARG(origin), STR_ARG(c->eos));
}

static void load_redirects(struct api_config *c, const struct settings *s)
{
    c->slash_redirect = settings_bool(s, "kinto.trailing_slash_redirect_enabled");
    c->slash_redirect_ttl = settings_int(s, "kinto.trailing_slash_redirect_ttl_seconds", 3600);
    c->version_redirect = settings_bool(s, "kinto.version_prefix_redirect_enabled");
    c->version_redirect_ttl = settings_int(s, "kinto.version_prefix_redirect_ttl_seconds", -1);
}

static enum err load_config(struct api *a, struct err_detail *d)
{
    struct api_config *c = &a->conf;
    const struct settings *s = a->settings;
    c->readonly = settings_bool(s, "kinto.readonly");
    c->explicit_permissions = settings_bool(s, "kinto.explicit_permissions");
    c->schema_validation = settings_bool(s, "kinto.experimental_collection_schema_validation");
    c->batch_max = settings_int(s, "kinto.batch_max_requests", 25);
    c->paginate_by = settings_int(s, "kinto.paginate_by", 0);
    c->max_fetch = settings_int(s, "kinto.storage_max_fetch_size", 10000);
    c->token_ttl_ms = 1000 * settings_int(s, "kinto.pagination_token_validity_seconds", 600);
    c->cors_max_age = settings_int(s, "kinto.cors_max_age_seconds", 3600);
    c->cors_origins = names_setting(s, "kinto.cors_origins");
    c->root_cache = settings_int(s, "kinto.root_cache_expires_seconds", 86400);
    c->retry_after =
        arena_printf(&a->arena, "%" PRId64, settings_int(s, "kinto.retry_after_seconds", 3));
    if (settings_is_set(s, "kinto.backoff"))
        c->backoff = arena_printf(&a->arena, "%" PRId64, settings_int(s, "kinto.backoff", 0));
    c->backoff_percentage = settings_float(s, "kinto.backoff_percentage", -1);
    c->http_host = settings_str(s, "kinto.http_host");
    c->http_scheme = settings_str(s, "kinto.http_scheme");
    c->error_info = settings_str(s, "kinto.error_info_link");
    c->project_name = settings_str(s, "kinto.project_name");
    c->project_version = settings_str(s, "kinto.project_version");
    if (c->project_version.n == 0)
        c->project_version = a->version;
    c->project_docs = settings_str(s, "kinto.project_docs");
    c->http_api = settings_str(s, "kinto.http_api_version");
    c->version_path = settings_str(s, "kinto.version_json_path");
    c->permissions_readers = names_setting(s, "kinto.permissions_read_principals");
    load_redirects(c, s);
    for (unsigned k = 0; k < KIND_COUNT; k++)
        load_kind(c, s, (enum api_kind)k);
    enum err e = load_record_cache(a);
    return e == OK ? load_end_of_service(a, d) : e;
}

/* "config" of the root URL: which INI this is, so that a deployment can tell. */
static enum err load_hello_config(struct api *a, const struct api_options *o)
{
    struct arena *m = &a->arena;
    a->hello_config = json_new_null(m);
    if (str_none(o->config_path))
        return a->hello_config ? OK : ERR_NOMEM;
    time_t seconds = (time_t)(o->config_modified_us / 1000000);
    struct tm tm;
    char date[64];
    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        date[0] = '\0';
    struct json *c = a->hello_config = json_new_object(m);
    enum err e = json_set(m, c, STR("path"), json_new_string(m, arena_str(m, o->config_path)));
    if (e == OK)
        e = json_set(m, c, STR("hash"), json_new_string(m, arena_str(m, o->config_sha256)));
    if (e == OK)
        e = json_set(m, c, STR("modified"),
                     json_new_string(m, arena_printf(m, "%s.%06d", date,
                                                     (int)(o->config_modified_us % 1000000))));
    return e;
}

static enum err add_route(struct api *a, const struct api_route *route)
{
    struct api_route *extra = arena_extend(&a->arena, a->extra, a->nextra * sizeof *extra,
                                           (a->nextra + 1) * sizeof *extra);
    if (extra == NULL)
        return ERR_NOMEM;
    extra[a->nextra++] = *route;
    a->extra = extra;
    return OK;
}

static enum err add_permissions_endpoint(struct api *a)
{
    enum err e =
        add_route(a, &(struct api_route){
                         .path = "/permissions",
                         .type = TYPE_PLURAL,
                         .kind = KIND_NONE,
                         .methods = METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD),
                         .check_accept = true,
                         .handler = api_list_permissions,
                         .doc = {.operation = "get_permissionss",
                                 .tag = "Permissionss",
                                 .summary = "List what the user may do, and on which objects.",
                                 .answer = "PermissionList"},
                     });
    if (e != OK)
        return e;
    return api_add_capability(
        a, "permissions_endpoint",
        "{\"description\":\"The permissions endpoint can be used to list all user objects "
        "permissions.\",\"url\":\"https://kinto.readthedocs.io/en/latest/configuration/"
        "settings.html#activating-the-permissions-endpoint\"}");
}

static enum err add_core_capabilities(struct api *a)
{
    enum err e = OK;
    if (a->conf.schema_validation)
        e = api_add_capability(
            a, "schema",
            "{\"description\":\"Validates collection records with JSON schemas.\",\"url\":"
            "\"https://kinto.readthedocs.io/en/latest/api/1.x/collections.html"
            "#collection-json-schema\"}");
    if (e == OK && settings_bool(a->settings, "kinto.experimental_permissions_endpoint"))
        e = add_permissions_endpoint(a);
    if (e != OK || !auth_has_policy(a->auth, STR("basicauth")))
        return e;
    return api_add_capability(
        a, "basicauth",
        "{\"description\":\"Very basic authentication sessions. Not for production use.\",\"url\":"
        "\"http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html\"}");
}

enum err api_new(struct api **out, const struct api_options *o, struct err_detail *d)
{
    struct api *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_NOMEM;
    arena_init(&a->arena, NULL, 0, NULL, PROCESS_ARENA_BYTES);
    a->store = o->store;
    a->settings = o->settings;
    a->version = arena_str(&a->arena, o->version);
    a->capabilities = json_new_object(&a->arena);
    enum err e = a->capabilities ? OK : ERR_NOMEM;
    if (e == OK)
        e = api_settings_check(o->settings, d);
    if (e == OK)
        e = auth_new(&a->auth, o->settings, d);
    if (e == OK)
        e = api_schemas_new(&a->schemas);
    if (e == OK)
        e = load_config(a, d);
    if (e == OK)
        e = load_hello_config(a, o);
    if (e == OK)
        e = add_core_capabilities(a);
    if (e == OK && arena_failed(&a->arena))
        e = ERR_NOMEM;
    if (e == OK)
        *out = a;
    else
        api_free(a);
    return e;
}

void api_free(struct api *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->naliases; i++)
        if (a->aliases[i].free)
            a->aliases[i].free(a->aliases[i].ctx);
    auth_free(a->auth);
    api_schemas_free(a->schemas);
    arena_fini(&a->arena);
    free(a);
}

/* ---- what plugins add ------------------------------------------------------------------------ */

enum err api_add_capability(struct api *a, const char *name, const char *json)
{
    struct json *value;
    enum err e = json_parse(&a->arena, str_from(json), &value, NULL);
    CHECK(e != ERR_SYNTAX && e != ERR_LIMIT);
    return e == OK ? json_set(&a->arena, a->capabilities, str_from(name), value) : e;
}

enum err api_add_endpoint(struct api *a, const struct api_endpoint *e)
{
    unsigned methods = e->methods, described = methods & ~METHOD_BIT(METHOD_HEAD);
    CHECK(e->doc.operation && e->doc.tag && e->doc.summary);
    CHECK((described & (described - 1)) == 0); /* one name, so one method */
    if (methods & METHOD_BIT(METHOD_GET))
        methods |= METHOD_BIT(METHOD_HEAD);
    return add_route(a, &(struct api_route){
                            .path = e->path,
                            .type = TYPE_UTILITY,
                            .kind = KIND_NONE,
                            .methods = methods,
                            .writes = e->writes ? methods : 0,
                            .handler = e->handler,
                            .doc = e->doc,
                        });
}

enum err api_add_alias(struct api *a, const struct api_alias *alias)
{
    struct api_alias *aliases = arena_extend(&a->arena, a->aliases, a->naliases * sizeof *aliases,
                                             (a->naliases + 1) * sizeof *aliases);
    if (aliases == NULL)
        return ERR_NOMEM;
    aliases[a->naliases++] = *alias;
    a->aliases = aliases;
    return OK;
}

struct store *api_store(struct api *a)
{
    return a->store;
}

/* ---- the face to the HTTP server ------------------------------------------------------------- */

static void *loop_start(void *ctx, unsigned index)
{
    (void)index;
    struct api_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->api = ctx;
    if (store_thread_new(loop->api->store, &loop->thread) != OK) {
        free(loop);
        return NULL;
    }
    return loop;
}

static void loop_stop(void *ctx)
{
    struct api_loop *loop = ctx;
    store_thread_free(loop->thread);
    free(loop);
}

static void handle(void *ctx, struct http_req *req)
{
    api_request_handle(ctx, req);
}

static void resume(void *ctx, struct http_req *req)
{
    (void)ctx;
    api_request_resume(req);
}

/* The server refused a request before it was one: the same form of error, the server's status. */
static void refuse(void *ctx, struct http_req *req, const char *reason)
{
    struct api_req *r = api_req_new(ctx, req);
    if (r == NULL)
        return;
    api_fail_message(r, api_error_of_status(req->res.status), str_from(reason));
    api_finish_headers(r);
}

struct http_app api_http_app(struct api *a)
{
    return (struct http_app){
        .ctx = a,
        .loop_start = loop_start,
        .loop_stop = loop_stop,
        .handle = handle,
        .resume = resume,
        .refuse = refuse,
    };
}
