/*
 * api/request.c - the making of a struct api_req, and what plugins may ask of one.
 */
#include "api/private.h"

static enum api_method method_from(str name)
{
    static const struct {
        str name;
        enum api_method method;
    } names[] = {{STR_INIT("GET"), METHOD_GET},        {STR_INIT("HEAD"), METHOD_HEAD},
                 {STR_INIT("POST"), METHOD_POST},      {STR_INIT("PUT"), METHOD_PUT},
                 {STR_INIT("PATCH"), METHOD_PATCH},    {STR_INIT("DELETE"), METHOD_DELETE},
                 {STR_INIT("OPTIONS"), METHOD_OPTIONS}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(name, names[i].name))
            return names[i].method;
    return METHOD_OTHER;
}

static str without_default_port(str scheme, str host)
{
    str port = str_eq(scheme, STR("https")) ? STR(":443") : STR(":80");
    return str_ends(host, port) ? str_sub(host, 0, host.n - port.n) : host;
}

bool api_is_part(const struct api_req *r)
{
    return r->parent != NULL;
}

struct api_req *api_outermost(struct api_req *r)
{
    while (r->parent)
        r = r->parent;
    return r;
}

str api_host(struct api_req *r)
{
    const struct api_config *c = &r->api->conf;
    str host = c->http_host.n ? c->http_host : api_req_header(api_outermost(r), "Host");
    return host.n ? host : STR("localhost");
}

str api_scheme(struct api_req *r)
{
    const struct api_config *c = &r->api->conf;
    if (c->http_scheme.n)
        return c->http_scheme;
    const struct http_req *http = api_outermost(r)->http;
    return http && http->tls ? STR("https") : STR("http");
}

str api_origin(struct api_req *r)
{
    str scheme = api_scheme(r);
    return ARENA_JOIN(r->arena, scheme, STR("://"), without_default_port(scheme, api_host(r)));
}

struct api_req *api_req_new(struct api_loop *loop, struct http_req *http)
{
    struct api_req *r = ARENA_NEW(http->arena, struct api_req);
    if (r == NULL)
        return NULL;
    r->api = loop->api;
    r->loop = loop;
    r->arena = http->arena;
    r->http = http;
    r->out = &http->res;
    r->method_name = http->method;
    r->method = method_from(http->method);
    r->raw_path = r->path = http->path;
    r->query = http->query;
    r->headers = http->headers;
    r->nheaders = http->nheaders;
    r->body = http->body;
    http->app_data = r;
    return r;
}

struct api_req *api_req_part(struct api_req *parent, str method, str target)
{
    struct api_req *r = ARENA_NEW(parent->arena, struct api_req);
    struct http_response *out = arena_alloc(parent->arena, sizeof *out);
    if (r == NULL || out == NULL)
        return NULL;
    http_response_init(out);
    r->api = parent->api;
    r->loop = parent->loop;
    r->arena = parent->arena;
    r->parent = parent;
    r->out = out;
    r->method_name = method;
    r->method = method_from(method);
    r->query = target;
    r->raw_path = r->path = str_cut(&r->query, '?');
    return r;
}

str api_req_header(struct api_req *r, const char *name)
{
    if (r->http)
        return http_header_get(r->http, str_from(name));
    for (unsigned i = 0; i < r->nheaders; i++)
        if (str_eq_nocase(r->headers[i].name, str_from(name)))
            return r->headers[i].value;
    return STR_NONE;
}

str api_answer_header(const struct http_response *out, const char *name)
{
    for (unsigned i = 0; i < out->nheaders; i++)
        if (str_eq_nocase(out->headers[i].name, str_from(name)))
            return out->headers[i].value;
    return STR_NONE;
}

/* ---- answers --------------------------------------------------------------------------------- */

void api_set_header(struct api_req *r, str name, str value)
{
    for (unsigned i = 0; i < r->out->nheaders; i++)
        if (str_eq_nocase(r->out->headers[i].name, name))
            r->out->headers[i--] = r->out->headers[--r->out->nheaders];
    http_header_add(r->out, name, value);
}

enum api_step api_reply_json(struct api_req *r, int status, str body)
{
    r->out->status = status;
    r->out->body = body;
    return STEP_DONE;
}

enum api_step api_reply(struct api_req *r, int status, str content_type, str body)
{
    http_header_add(r->out, STR("Content-Type"), content_type);
    return api_reply_json(r, status, body);
}

enum api_step api_arena_reply(struct api_req *r, int status, struct buf *b)
{
    if (!buf_failed(b))
        return api_reply_json(r, status, buf_str(b));
    /* No room even for the answer: a static one. The failed arena makes it a 503 in any case. */
    r->failed = true;
    api_fail_bare(r->out, r->arena->over_budget);
    return STEP_DONE;
}

/* ---- end of service -------------------------------------------------------------------------- */

static bool eos_reached(const struct api_req *r)
{
    return clock_wall_ms() >= r->api->conf.eos_ms;
}

bool api_eos_refused(struct api_req *r)
{
    if (!eos_reached(r))
        return false;
    api_fail(r, API_ERR_GONE);
    return true;
}

static void add_text_or_null(struct buf *b, str text)
{
    if (str_none(text))
        buf_add_lit(b, "null");
    else
        json_write_string(b, text);
}

str api_alert_text(struct arena *a, const char *code, str message, str url)
{
    struct buf b;
    buf_init_arena(&b, a, SIZE_MAX / 2);
    buf_printf(&b, "{\"code\":\"%s\",\"message\":", code);
    add_text_or_null(&b, message);
    buf_add_lit(&b, ",\"url\":");
    add_text_or_null(&b, url);
    buf_add_char(&b, '}');
    return buf_failed(&b) ? STR_NONE : buf_str(&b);
}

static void add_alert(struct api_req *r, str text)
{
    if (str_none(text))
        return; /* the arena remembers */
    for (unsigned i = 0; i < r->out->nheaders; i++)
        if (str_eq(r->out->headers[i].name, STR("Alert"))) {
            r->out->headers[i].value = text; /* there is one, and the last word counts */
            return;
        }
    http_header_add(r->out, STR("Alert"), text);
}

void api_alert_deprecated(struct api_req *r, str message, str url)
{
    add_alert(r, api_alert_text(r->arena, "soft-eol", message, url));
}

void api_eos_alert(struct api_req *r)
{
    const struct api_config *c = &r->api->conf;
    if (c->eos.n)
        add_alert(r, eos_reached(r) ? c->hard_eol : c->soft_eol);
}

/* ---- what plugins see ------------------------------------------------------------------------ */

struct api *api_of(struct api_req *r)
{
    return r->api;
}

void *api_endpoint_ctx(struct api_req *r)
{
    return r->route->ctx;
}

struct arena *api_arena(struct api_req *r)
{
    return r->arena;
}

enum api_method api_method_of(struct api_req *r)
{
    return r->method;
}

str api_user_id(struct api_req *r)
{
    return r->user.id;
}

struct store_session *api_session(struct api_req *r)
{
    return r->session;
}

str api_path(struct api_req *r)
{
    return r->path;
}

str api_query(struct api_req *r)
{
    return r->query;
}

str api_body(struct api_req *r)
{
    if (r->body_json && r->body.n == 0)
        r->body = json_text(r->arena, r->body_json); /* none: the arena remembers */
    return r->body;
}

bool api_readonly(struct api_req *r)
{
    return r->api->conf.readonly;
}

bool api_is_plural(const struct api_req *r)
{
    return r->route->type == TYPE_PLURAL;
}

str api_url_id(const struct api_req *r)
{
    return r->route->type == TYPE_OBJECT ? r->levels[r->nlevels - 1].id : STR_NONE;
}

str api_object_id(const struct api_req *r)
{
    return r->id;
}

const struct json *api_body_json(struct api_req *r)
{
    api_body_parse(r);
    return r->root;
}

const struct store_principals *api_principals(struct api_req *r)
{
    return &r->who;
}

bool api_explicit_permissions(struct api_req *r)
{
    return r->api->conf.explicit_permissions;
}

const struct store_object *api_object(struct api_req *r)
{
    return r->exists ? &r->object : NULL;
}

void api_set_author(struct api_req *r, str principal)
{
    r->principal = principal;
}

enum err api_read_object(struct api_req *r, struct store_list_id list, str id,
                         struct store_object *out)
{
    struct store_session *session;
    enum err e = store_read_begin(r->loop->thread, r->arena, &session);
    if (e != OK)
        return e;
    e = store_get(session, r->arena, list, id, out);
    if (e == OK) { /* it lies in the session */
        out->id = arena_str(r->arena, out->id);
        out->data = arena_str(r->arena, out->data);
        out->acl = arena_str(r->arena, out->acl);
    }
    store_read_end(session);
    return e == OK && arena_failed(r->arena) ? ERR_NOMEM : e;
}

struct store_list_id api_list(struct api_req *r)
{
    return r->list;
}

void api_remember(struct api_req *r, void *what)
{
    r->remembered = what;
}

void *api_remembered(struct api_req *r)
{
    return r->remembered;
}

void api_only_since(struct api_req *r, int64_t timestamp)
{
    int64_t *since = ARENA_NEW(r->arena, int64_t);
    if (since)
        *since = timestamp; /* else no answer leaves: the arena remembers */
    r->only_since = since;
}

void api_set_body(struct api_req *r, str body)
{
    r->body = body;
    r->body_json = NULL;
    r->body_state = BODY_UNREAD;
}

void api_rewrite(struct api_req *r, str path)
{
    r->path = path;
}
