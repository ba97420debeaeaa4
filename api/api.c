/*
 * api/api.c - the API as an object: how it is made, what plugins add, and its face to the server.
 */
#include "api/private.h"
#include <time.h>

#define PROCESS_ARENA_BYTES (64 * MIB)

/* ---- making one ------------------------------------------------------------------------------- */

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

void *api_with_room(struct api *a, void *list, size_t n, size_t size)
{
    return arena_extend(&a->arena, list, n * size, (n + 1) * size);
}

/* Puts a copy of the item behind the last one of a->list. */
#define APPEND(a, list, item)                                                                      \
    do {                                                                                           \
        void *all_ = api_with_room((a), (a)->list, (a)->n##list, sizeof *(a)->list);               \
        if (all_ == NULL)                                                                          \
            return ERR_NOMEM;                                                                      \
        (a)->list = all_;                                                                          \
        (a)->list[(a)->n##list++] = (item);                                                        \
    } while (0)

static enum err add_permissions_endpoint(struct api *a)
{
    enum err e =
        api_add_route(a, &(struct api_route){
                             .path = "/permissions",
                             .type = TYPE_PLURAL,
                             .kind = KIND_NONE,
                             .methods = a->conf.permissions_methods,
                             .check_accept = true,
                             .handler = api_list_permissions,
                             .doc = {.operation = "get_permissionss",
                                     .endpoint = "permissions-plural",
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
    if (e == OK)
        e = api_add_user_data(a);
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
    CHECK(pthread_mutex_init(&a->sharing, NULL) == 0);
    a->patient_ms = API_PATIENT_MS;
    a->store = o->store;
    a->settings = o->settings;
    a->version = arena_str(&a->arena, o->version);
    a->capabilities = json_new_object(&a->arena);
    enum err e = a->capabilities ? OK : ERR_NOMEM;
    if (e == OK)
        e = api_settings_check(o->settings, d);
    if (e == OK)
        e = auth_new(&a->auth, o->settings, o->policies, o->npolicies, d);
    if (e == OK)
        e = api_schemas_new(&a->schemas);
    if (e == OK)
        e = api_pools_new(a);
    if (e == OK)
        e = api_config_load(a, d);
    if (e == OK)
        e = api_limits_load(a, d);
    if (e == OK)
        e = api_add_core_routes(a);
    if (e == OK)
        e = api_add_core_resources(a);
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
    api_pools_free(a);
    api_readers_free(a);
    for (size_t i = 0; i < a->nservices; i++)
        if (a->services[i].join)
            a->services[i].join(a->services[i].ctx);
    if (a->nobservers)
        store_observe(a->store, NULL);
    while (a->nkept > 0) {
        const struct api_kept *k = &a->kept[--a->nkept];
        k->release(k->what);
    }
    api_limits_free(a);
    auth_free(a->auth);
    pthread_mutex_destroy(&a->sharing);
    api_schemas_free(a->schemas);
    arena_fini(&a->arena);
    free(a);
}

/* ---- what plugins add ------------------------------------------------------------------------ */

enum err api_keep(struct api *a, void *what, void (*release)(void *what))
{
    void *all = api_with_room(a, a->kept, a->nkept, sizeof *a->kept);
    if (all == NULL) {
        release(what);
        return ERR_NOMEM;
    }
    a->kept = all;
    a->kept[a->nkept++] = (struct api_kept){what, release};
    return OK;
}

enum err api_add_capability(struct api *a, const char *name, const char *json)
{
    struct json *value;
    enum err e = json_parse(&a->arena, str_from(json), &value, NULL);
    CHECK(e != ERR_SYNTAX && e != ERR_LIMIT);
    return e == OK ? json_set(&a->arena, a->capabilities, str_from(name), value) : e;
}

enum err api_fill_hello(struct api *a, const char *capability, void *ctx, api_fill_fn fill)
{
    if (capability && !json_get_typed(a->capabilities, str_from(capability), JSON_OBJECT))
        return ERR_NOTFOUND;
    APPEND(a, fillers, ((struct api_filler){capability, ctx, fill}));
    return OK;
}

enum err api_add_endpoint(struct api *a, const struct api_endpoint *e)
{
    unsigned methods = e->methods, described = methods & ~METHOD_BIT(METHOD_HEAD);
    CHECK(e->doc.operation && e->doc.tag && e->doc.summary);
    CHECK(e->doc.body == NULL || e->doc.parameters == NULL);
    CHECK((described & (described - 1)) == 0); /* one name, so one method */
    if (methods & METHOD_BIT(METHOD_GET))
        methods |= METHOD_BIT(METHOD_HEAD);
    return api_add_route(a, &(struct api_route){
                                .path = e->path,
                                .type = TYPE_UTILITY,
                                .kind = KIND_NONE,
                                .methods = methods,
                                .writes = e->writes ? methods : 0,
                                .handler = e->handler,
                                .doc = e->doc,
                                .ctx = e->ctx,
                            });
}

enum err api_add_alias(struct api *a, const struct api_alias *alias)
{
    APPEND(a, aliases, *alias);
    return OK;
}

enum err api_add_service(struct api *a, const struct api_service *service)
{
    APPEND(a, services, *service);
    return OK;
}

enum err api_start(struct api *a, struct err_detail *d)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < a->nservices; i++)
        if (a->services[i].start)
            e = a->services[i].start(a->services[i].ctx, d);
    return e;
}

enum err api_add_listener(struct api *a, const struct api_listener *listener)
{
    APPEND(a, listeners, *listener);
    return OK;
}

enum err api_add_observer(struct api *a, const struct api_observer *o)
{
    APPEND(a, observers, *o);
    if (o->store_timed)
        store_observe(a->store, &(struct store_observer){a, api_observe_store});
    return OK;
}

const struct auth *api_auth(struct api *a)
{
    return a->auth;
}

struct store *api_store(struct api *a)
{
    return a->store;
}

/* ---- the face to the HTTP server ------------------------------------------------------------- */

enum err api_loop_init(struct api_loop *loop, struct api *a)
{
    loop->api = a;
    loop->memory = auth_memory_new();
    loop->callers = api_callers_new();
    if (loop->memory && loop->callers && store_thread_new(a->store, &loop->thread) == OK)
        return OK;
    api_loop_fini(loop);
    return ERR_NOMEM;
}

void api_loop_fini(struct api_loop *loop)
{
    store_thread_free(loop->thread);
    api_callers_free(loop->callers);
    auth_memory_free(loop->memory);
}

static void *loop_start(void *ctx, unsigned index)
{
    (void)index;
    struct api_loop *loop = calloc(1, sizeof *loop);
    if (loop && api_loop_init(loop, ctx) == OK)
        return loop;
    free(loop);
    return NULL;
}

static void loop_stop(void *ctx)
{
    api_loop_fini(ctx);
    free(ctx);
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

static uint64_t turn_end(void *ctx)
{
    api_turn_end(ctx);
    return api_soon_ns(ctx);
}

/* The server refused a request before it was one: the same form of error, the server's status. */
static void refuse(void *ctx, struct http_req *req, const char *reason)
{
    struct api_req *r = api_req_new(ctx, req);
    if (r == NULL)
        return;
    api_fail_told(r, api_error_of_status(req->res.status), str_from(reason), STR_NONE);
    api_finish_headers(r);
}

struct http_app api_http_app(struct api *a)
{
    return (struct http_app){
        .ctx = a,
        .loop_start = loop_start,
        .loop_stop = loop_stop,
        .admit = a->limits.address ? api_limit_admit : NULL,
        .handle = handle,
        .resume = resume,
        .turn_end = turn_end,
        .refuse = refuse,
    };
}
