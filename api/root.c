/*
 * api/root.c - the utility endpoints: what the server is, how it is, and where it comes from.
 */
#include "api/private.h"
#include "base/os.h"

#define MAX_VERSION_FILE (64 * KIB)

static enum err set_str(struct arena *a, struct json *o, const char *name, str value)
{
    return json_set(a, o, str_from(name),
                    str_none(value) ? json_new_null(a) : json_new_string(a, value));
}

/* What plugins have to say, of the user or of capabilities. */
static enum err fill(struct api_req *r, bool of_user, struct json *out)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < r->api->nfillers; i++) {
        const struct api_filler *f = &r->api->fillers[i];
        if (of_user == (f->capability == NULL))
            e = f->fill(f->ctx, r, of_user ? out : json_get(out, str_from(f->capability)));
    }
    return e;
}

static struct json *user_info(struct api_req *r)
{
    struct arena *a = r->arena;
    struct json *user = json_new_object(a), *principals = json_new_array(a);
    enum err e = set_str(a, user, "id", r->user.id);
    for (size_t i = 0; e == OK && i < r->who.count; i++)
        e = json_push(a, principals, json_new_string(a, r->who.names[i]));
    if (e == OK)
        e = json_set(a, user, STR("principals"), principals);
    return e == OK && fill(r, true, user) == OK ? user : NULL;
}

static struct json *capabilities(struct api_req *r)
{
    struct json *all = json_copy(r->arena, r->api->capabilities);
    return all && fill(r, false, all) == OK ? all : NULL;
}

static struct json *public_settings(struct api_req *r)
{
    struct arena *a = r->arena;
    const struct api_config *c = &r->api->conf;
    struct json *s = json_new_object(a);
    enum err e = json_set(a, s, STR("batch_max_requests"), json_new_i64(a, c->batch_max));
    if (e == OK)
        e = json_set(a, s, STR("readonly"), json_new_bool(a, c->readonly));
    if (e == OK)
        e = json_set(a, s, STR("explicit_permissions"), json_new_bool(a, c->explicit_permissions));
    return e == OK ? s : NULL;
}

enum api_step api_hello(struct api_req *r)
{
    struct arena *a = r->arena;
    const struct api_config *c = &r->api->conf;
    struct json *o = json_new_object(a);
    enum err e = set_str(a, o, "project_name", c->project_name);
    if (e == OK)
        e = set_str(a, o, "project_version", c->project_version);
    if (e == OK)
        e = set_str(a, o, "http_api_version", c->http_api);
    if (e == OK)
        e = set_str(a, o, "project_docs", c->project_docs);
    if (e == OK)
        e = set_str(a, o, "url", ARENA_JOIN(a, api_origin(r), STR("/" API_PREFIX "/")));
    if (e == OK)
        e = json_set(a, o, STR("config"), json_copy(a, r->api->hello_config));
    if (e == OK && c->eos.n)
        e = set_str(a, o, "eos", c->eos);
    if (e == OK)
        e = json_set(a, o, STR("settings"), public_settings(r));
    if (e == OK && !str_none(r->user.id))
        e = json_set(a, o, STR("user"), user_info(r));
    if (e == OK)
        e = json_set(a, o, STR("capabilities"), capabilities(r));
    if (e != OK)
        return api_fail_err(r, e);
    if (c->readonly)
        api_cache_seconds(r, c->root_cache);
    return api_reply_json(r, 200, json_text(a, o));
}

enum api_step api_heartbeat(struct api_req *r)
{
    bool ok = store_healthy(r->api->store);
    /* Permissions and cache live in the same store. */
    return api_reply_json(r, ok ? 200 : 503,
                          ok ? STR("{\"storage\":true,\"permission\":true,\"cache\":true}")
                             : STR("{\"storage\":false,\"permission\":false,\"cache\":true}"));
}

enum api_step api_lbheartbeat(struct api_req *r)
{
    return api_reply_json(r, 200, STR("{}"));
}

/* The file of kinto.version_json_path, or what this program knows of itself. */
enum api_step api_version(struct api_req *r)
{
    char *text;
    size_t n;
    char *path = arena_cstr(r->arena, r->api->conf.version_path);
    if (path && os_read_regular(path, MAX_VERSION_FILE, &text, &n, NULL) == OK) {
        str body = arena_str(r->arena, (str){text, n});
        free(text);
        struct json *parsed;
        if (json_parse(r->arena, body, &parsed, NULL) == OK)
            return api_reply_json(r, 200, json_text(r->arena, parsed));
        log_event(LOG_WARN, "version_file", "path=\"%s\" error=\"not JSON\"", path);
    }
    return api_reply_json(r, 200,
                          arena_printf(r->arena, "{\"name\":\"kinto\",\"version\":\"" STR_FMT "\"}",
                                       STR_ARG(r->api->version)));
}

enum api_step api_contribute(struct api_req *r)
{
    return api_reply_json(
        r, 200,
        STR("{\"name\":\"kinto\",\"description\":\"A JSON storage service with synchronisation and "
            "sharing, as one static binary.\",\"keywords\":[\"JSON\",\"C\",\"REST\",\"API\","
            "\"Database\"],\"participate\":{\"docs\":\"https://kinto.readthedocs.io/\"}}"));
}
