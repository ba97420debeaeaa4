/*
 * api/cors.c - cross-origin requests (the Fetch standard's CORS protocol), as the reference does
 * it: which headers a page may read depends on the endpoint, and they are named even without an
 * Origin.
 */
#include "api/private.h"

/* Whole strings: nothing is put together for a request. Each holds those before it. */
#define BASE_HEADERS   "Content-Length, Alert, Backoff, Retry-After, Content-Type"
#define OBJECT_HEADERS BASE_HEADERS ", Last-Modified, ETag, Cache-Control, Expires, Pragma"
#define LIST_HEADERS   OBJECT_HEADERS ", Next-Page"
#define COUNT_HEADERS  LIST_HEADERS ", Total-Objects, Total-Records"

static const str core_headers[EXPOSED_COUNT] = {
    [EXPOSED_BASE] = STR_INIT(BASE_HEADERS),
    [EXPOSED_OBJECT] = STR_INIT(OBJECT_HEADERS),
    [EXPOSED_LIST] = STR_INIT(LIST_HEADERS),
    [EXPOSED_COUNTS] = STR_INIT(COUNT_HEADERS),
};

static str headers_of(const struct api *a, enum api_exposed e)
{
    return str_none(a->exposed[e]) ? core_headers[e] : a->exposed[e];
}

enum err api_expose_header(struct api *a, const char *name)
{
    for (unsigned i = 0; i < EXPOSED_COUNT; i++) {
        str all = ARENA_JOIN(&a->arena, headers_of(a, i), STR(", "), str_from(name));
        if (str_none(all))
            return ERR_NOMEM;
        a->exposed[i] = all;
    }
    return OK;
}

static enum api_exposed exposed(const struct api_req *r)
{
    if (r->route == NULL || r->route->type == TYPE_UTILITY)
        return EXPOSED_BASE;
    if (r->method != METHOD_GET && r->method != METHOD_HEAD)
        return EXPOSED_BASE;
    if (r->alias && r->out->status == 401) /* the alias is of nobody: it leads to no endpoint */
        return EXPOSED_BASE;
    if (r->route->type == TYPE_OBJECT)
        return EXPOSED_OBJECT;
    return r->method == METHOD_HEAD ? EXPOSED_COUNTS : EXPOSED_LIST;
}

/* What a star may stand for a part of: behind "://" nothing that ends a host and a port, or comes before
 * one. (Browsers send nothing else; but then nobody has to think of it.) */
static bool is_host_and_port(str origin)
{
    size_t at = str_find_str(origin, STR("://"));
    str rest = at == STR_NPOS ? origin : str_drop(origin, at + 3);
    for (size_t i = 0; i < rest.n; i++)
        if (memchr("/?#@\\, ", rest.p[i], 7) != NULL)
            return false;
    return true;
}

/*
 * A pattern of kinto.cors_origins; a star in it stands for any characters. What stands between two
 * stars is looked for behind the piece before: the leftmost place is always as good as any other,
 * and nothing has to be tried again, whatever a stranger calls his origin.
 */
static bool origin_matches(str pattern, str origin)
{
    str rest = pattern, piece = str_cut(&rest, '*');
    if (str_none(rest))
        return str_eq(pattern, origin);
    if (!str_starts(origin, piece) || !is_host_and_port(origin))
        return false;
    origin = str_drop(origin, piece.n);
    for (piece = str_cut(&rest, '*'); !str_none(rest); piece = str_cut(&rest, '*')) {
        size_t at = str_find_str(origin, piece);
        if (at == STR_NPOS)
            return false;
        origin = str_drop(origin, at + piece.n);
    }
    return str_ends(origin, piece);
}

/* The value of Access-Control-Allow-Origin, or none. */
static str allowed_origin(struct api_req *r)
{
    str origin = api_req_header(r, "Origin");
    const struct api_names *allowed = &r->api->conf.cors_origins;
    if (str_none(origin) || origin.n == 0)
        return STR_NONE;
    str found = STR_NONE;
    for (size_t i = 0; i < allowed->count; i++) {
        if (str_eq(allowed->names[i], STR("*")))
            return STR("*");
        if (origin_matches(allowed->names[i], origin))
            found = origin;
    }
    return found;
}

/* Is the answer to another origin another one? Then caches have to know, whoever asks now. */
static bool depends_on_origin(const struct api_req *r)
{
    const struct api_names *allowed = &r->api->conf.cors_origins;
    return allowed->count > 0 && !str_is_one_of(STR("*"), allowed->names, allowed->count);
}

/* kinto.cors_origins is empty: the endpoints know nothing of CORS. */
static bool is_off(const struct api_req *r)
{
    return r->api->conf.cors_origins.count == 0;
}

/* True if the page's origin is not among those of kinto.cors_origins; the error has been added. */
static bool origin_refused(struct api_req *r)
{
    str origin = api_req_header(r, "Origin");
    if (origin.n == 0 || is_off(r) || !str_none(allowed_origin(r)))
        return false;
    api_invalid_add(r, "header", STR("Origin"), ARENA_JOIN(r->arena, origin, STR(" not allowed")));
    return true;
}

enum api_step api_check_origin(struct api_req *r)
{
    r->invalid = NULL;
    if (!origin_refused(r))
        return STEP_NEXT;
    enum api_step s = api_invalid_fail(r, 400);
    r->failed = false; /* as other errors of validation: api_validate */
    return s;
}

/* Answers that leave Access-Control-Expose-Headers out, as the reference's do. Where an end of
 * service is in sight, it names them below an alias all the same. */
static bool names_no_headers(const struct api_req *r)
{
    int status = r->out->status;
    bool ends = r->alias && r->api->conf.eos.n != 0;
    if (r->route == NULL)
        return status == 401 && r->alias && !ends;
    if (is_off(r) && (status < 300 || status == 401) && !ends)
        return true;
    if (r->alias)
        return !ends && (status == 401 || (r->method == METHOD_OPTIONS && status != 405));
    return status == 405 || r->method == METHOD_OPTIONS;
}

void api_cors_headers(struct api_req *r)
{
    if (r->parent && r->out->status == 401) /* as the reference leaves them out there */
        return;
    str origin = allowed_origin(r);
    if (!str_none(origin))
        http_header_add(r->out, STR("Access-Control-Allow-Origin"), origin);
    if (depends_on_origin(r) && (r->parent == NULL || !str_none(origin)))
        http_header_add(r->out, STR("Vary"), STR("Origin"));
    if (!names_no_headers(r))
        http_header_add(r->out, STR("Access-Control-Expose-Headers"),
                        headers_of(r->api, exposed(r)));
}

str api_method_list(struct api_req *r, const char *separator)
{
    static const struct {
        enum api_method method;
        const char *name;
    } names[] = {{METHOD_HEAD, "HEAD"},    {METHOD_GET, "GET"}, {METHOD_HEAD, "HEAD"},
                 {METHOD_POST, "POST"},    {METHOD_PUT, "PUT"}, {METHOD_PATCH, "PATCH"},
                 {METHOD_DELETE, "DELETE"}};
    /* The reference names HEAD first for lists, and behind GET elsewhere. */
    size_t skip = r->route && r->route->type == TYPE_PLURAL ? 2 : 0;
    unsigned methods = r->route ? api_route_methods(r) : 0;
    struct buf b;
    buf_init_arena(&b, r->arena, KIB);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (i == skip || !(methods & METHOD_BIT(names[i].method)))
            continue;
        if (b.n != 0)
            buf_add_str(&b, str_from(separator));
        buf_add_str(&b, str_from(names[i].name));
    }
    if (!is_off(r)) {
        if (b.n != 0)
            buf_add_str(&b, str_from(separator));
        buf_add_lit(&b, "OPTIONS");
    }
    return buf_str(&b);
}

/* Everything that any method of the endpoint exposes. */
static enum api_exposed all_exposed(const struct api_req *r)
{
    unsigned methods = api_route_methods(r);
    if (r->route->type == TYPE_PLURAL && (methods & METHOD_BIT(METHOD_HEAD)))
        return EXPOSED_COUNTS;
    if (r->route->type == TYPE_UTILITY || !(methods & METHOD_BIT(METHOD_GET)))
        return EXPOSED_BASE;
    return r->route->type == TYPE_OBJECT ? EXPOSED_OBJECT : EXPOSED_LIST;
}

/* That, and what the page asks for. */
static str allowed_headers(struct api_req *r)
{
    const str all = headers_of(r->api, all_exposed(r));
    struct buf b;
    buf_init_arena(&b, r->arena, 64 * KIB);
    buf_add_str(&b, all);
    str asked = api_req_header(r, "Access-Control-Request-Headers");
    while (!str_none(asked)) {
        str name = str_trim(str_cut(&asked, ','));
        if (name.n == 0 || str_has_word(all, name))
            continue;
        buf_add_lit(&b, ", ");
        buf_add_str(&b, name);
    }
    return buf_str(&b);
}

enum api_step api_preflight(struct api_req *r)
{
    str origin = api_req_header(r, "Origin");
    str method = api_req_header(r, "Access-Control-Request-Method");
    r->invalid = NULL;
    if (is_off(r))
        return api_fail(r, API_ERR_METHOD_NOT_ALLOWED);
    if (origin_refused(r))
        return api_invalid_fail(r, 400);
    if (origin.n == 0)
        api_invalid_add(r, "header", STR("Origin"), STR("this header is mandatory"));
    if (method.n == 0)
        api_invalid_add(r, "header", STR("Access-Control-Request-Method"),
                        STR("this header is mandatory"));
    else if (origin.n && !str_has_word(api_method_list(r, ","), method))
        api_invalid_add(r, "header", STR("Access-Control-Request-Method"),
                        STR("Method not allowed"));
    if (r->invalid)
        return api_invalid_fail(r, 400);

    http_header_add(r->out, STR("Access-Control-Allow-Headers"), allowed_headers(r));
    http_header_add(r->out, STR("Access-Control-Allow-Methods"), api_method_list(r, ","));
    if (r->api->conf.cors_max_age > 0)
        http_header_add(r->out, STR("Access-Control-Max-Age"),
                        arena_printf(r->arena, "%lld", (long long)r->api->conf.cors_max_age));
    return api_reply_json(r, 200, STR("null"));
}
