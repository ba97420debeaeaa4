/*
 * api/routes.c - from a request target to an endpoint.
 *
 * Endpoints are rows of routes.def, those of each kind of objects, and those that plugins added. Paths are
 * matched after decoding, as the reference does: "%2F" is a slash. What matches nothing is redirected (a
 * missing version prefix, a trailing slash) or answered with 404. A redirect names the decoded path,
 * encoded anew.
 */
#include "api/private.h"

static const struct api_route core_routes[] = {
#define X(route, set, function, says, ...)                                                         \
    {.path = route,                                                                                \
     .type = TYPE_UTILITY,                                                                         \
     .kind = KIND_NONE,                                                                            \
     .methods = set,                                                                               \
     .handler = function,                                                                          \
     .doc = says,                                                                                  \
     ##__VA_ARGS__},
#include "api/routes.def"
#undef X
};

bool api_route_next_name(const char *path, size_t *at, str *name)
{
    str rest = str_drop(str_from(path), *at);
    size_t open = str_find(rest, '{');
    if (open == STR_NPOS)
        return false;
    str inner = str_drop(rest, open + 1);
    size_t close = str_find(inner, '}');
    CHECK(close != STR_NPOS);
    *name = str_sub(inner, 0, close);
    *at += open + 1 + close + 1;
    return true;
}

/* A segment of a path against its pattern, in which each "{...}" stands for as much as it can, and for
 * something. Puts what the one called `wanted` stands for into *value. */
static bool segment_matches(str want, str have, str wanted, str *value)
{
    size_t open = str_find(want, '{');
    if (open == STR_NPOS)
        return str_eq(want, have);
    if (have.n <= open || memcmp(want.p, have.p, open) != 0)
        return false;
    str rest = str_drop(want, open), name = str_cut(&rest, '}');
    have = str_drop(have, open);
    for (size_t n = have.n; n > 0; n--) {
        if (rest.n == 0 && n < have.n)
            return false;
        if (!segment_matches(rest, str_drop(have, n), wanted, value))
            continue;
        if (str_eq(str_drop(name, 1), wanted))
            *value = str_sub(have, 0, n);
        return true;
    }
    return false;
}

static struct api_segments cut(str path)
{
    struct api_segments s = {.n = 0};
    while (!str_none(path) && s.n < MAX_SEGMENTS)
        s.at[s.n++] = str_cut(&path, '/');
    if (!str_none(path))
        s.n++;
    return s;
}

/* Of a path with as many segments as the route's, or more: the last one stands for all that is left. (What
 * begins or ends with a slash is not stood for: it is a URL with one too many.) */
static bool take_rest(const struct api_route *route, str path, struct api_segments *have)
{
    unsigned n = route->segments.n;
    str *last = &have->at[n - 1];
    str rest = str_drop(path, (size_t)(last->p - path.p));
    if (!str_starts(rest, STR("/")) && !str_ends(rest, STR("/"))) {
        *last = rest;
        have->n = n;
    }
    return have->n == n;
}

/* By the number of its segments, which most are told apart by: asked of all routes for each request. */
static bool may_match(const struct api_route *route, const struct api_segments *segments)
{
    return route->takes_rest ? segments->n >= route->segments.n : segments->n == route->segments.n;
}

/* Has the path, whose segments these are, the form of the route's? As many as may_match() asks for it has. */
static bool matches(const struct api_route *route, str path, const struct api_segments *segments,
                    str wanted, str *value)
{
    struct api_segments longer;
    if (route->takes_rest) {
        longer = *segments;
        segments = &longer;
        if (!take_rest(route, path, &longer))
            return false;
    }
    for (unsigned i = 0; i < segments->n; i++)
        if ((route->plain & 1u << i) && !str_eq(route->segments.at[i], segments->at[i]))
            return false;
    for (unsigned i = 0; i < segments->n; i++)
        if (!(route->plain & 1u << i) &&
            !segment_matches(route->segments.at[i], segments->at[i], wanted, value))
            return false;
    return true;
}

str api_path_value(struct api_req *r, const char *name)
{
    struct api_segments segments = cut(r->path);
    str value = STR_NONE;
    CHECK(may_match(r->route, &segments) &&
          matches(r->route, r->path, &segments, str_from(name), &value));
    return value;
}

enum err api_add_route(struct api *a, const struct api_route *route)
{
    struct api_route *all = api_with_room(a, a->routes, a->nroutes, sizeof *all);
    if (all == NULL)
        return ERR_NOMEM;
    a->routes = all;
    struct api_route *added = &all[a->nroutes++];
    *added = *route;
    added->segments = cut(str_from(route->path));
    CHECK(added->segments.n <= MAX_SEGMENTS);
    for (unsigned i = 0; i < added->segments.n; i++)
        if (str_find(added->segments.at[i], '{') == STR_NPOS)
            added->plain |= 1u << i;
    return OK;
}

enum err api_add_core_routes(struct api *a)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < ARRAY_LEN(core_routes); i++)
        e = api_add_route(a, &core_routes[i]);
    return e;
}

static const struct api_route *find(const struct api *a, str path,
                                    const struct api_segments *segments)
{
    str none = STR_NONE;
    for (size_t i = 0; i < a->nroutes; i++)
        if (may_match(&a->routes[i], segments) &&
            matches(&a->routes[i], path, segments, none, &none))
            return &a->routes[i];
    return NULL;
}

unsigned api_route_ids(const struct api *a, const struct api_route *route,
                       enum api_kind kinds[MAX_LEVELS])
{
    if (route->kind == KIND_NONE)
        return 0;
    unsigned depth = a->kinds[route->kind].depth;
    enum api_kind kind = route->kind;
    for (unsigned i = depth + 1; i-- > 0; kind = a->kinds[kind].is.parent)
        kinds[i] = kind;
    return route->type == TYPE_PLURAL ? depth : depth + 1;
}

/* The objects that the path of a resource names, "/buckets/b/collections/c": slices of it. */
static void fill_levels(struct api_req *r, const struct api_segments *segments)
{
    enum api_kind kinds[MAX_LEVELS] = {KIND_NONE};
    r->nlevels = api_route_ids(r->api, r->route, kinds);
    for (unsigned i = 0; i < r->nlevels; i++) {
        str id = segments->at[2 * i + 2];
        struct api_level *l = &r->levels[i];
        l->kind = kinds[i];
        l->id = id;
        l->uri = str_sub(r->path, 0, (size_t)(id.p + id.n - r->path.p));
        l->state = LEVEL_UNKNOWN;
    }
}

str api_one_slash(str target)
{
    while (str_starts(target, STR("//")))
        target = str_drop(target, 1);
    return target;
}

bool api_says_version(str path)
{
    return path.n >= 3 && path.p[1] == 'v' && str_is_digit(path.p[2]);
}

static str with_query(struct api_req *r, str prefix, str path, str suffix)
{
    if (str_none(r->query) || r->query.n == 0)
        return ARENA_JOIN(r->arena, prefix, path, suffix);
    return ARENA_JOIN(r->arena, prefix, path, suffix, STR("?"), r->query);
}

/* The path as it has to be written: nothing encoded that need not be, and all that must. STR_NONE: no
 * memory. */
static str written_path(struct api_req *r)
{
    struct buf b;
    buf_init_arena(&b, r->arena, MIB);
    http_url_encode(&b, http_url_decode(r->arena, r->raw_path, false), "/!$&'()*+,;=:@");
    return buf_failed(&b) ? STR_NONE : buf_str(&b);
}

static enum api_step add_version(struct api_req *r)
{
    const struct api_config *c = &r->api->conf;
    if (!c->version_redirect)
        return api_fail(r, API_ERR_UNKNOWN_VERSION);
    if (r->method == METHOD_OPTIONS) { /* a preflight never follows a redirect */
        r->out->status = 200;
        r->out->body = STR("");
        http_header_add(r->out, STR("Content-Type"), STR("text/html; charset=UTF-8"));
        return STEP_DONE;
    }
    str path = written_path(r);
    if (str_none(path))
        return api_fail_err(r, ERR_NOMEM);
    return api_redirect(r, with_query(r, STR("/" API_PREFIX), path, STR("")),
                        c->version_redirect_ttl);
}

enum api_step api_route_not_found(struct api_req *r)
{
    const struct api_config *c = &r->api->conf;
    str path = written_path(r);
    if (str_none(path))
        return api_fail_err(r, ERR_NOMEM);
    if (!str_starts(path, STR("/" API_PREFIX)))
        return api_fail(r, API_ERR_UNKNOWN_VERSION);
    if (c->slash_redirect && str_ends(path, STR("/"))) {
        while (str_ends(path, STR("/")))
            path.n--;
        return api_redirect(r, with_query(r, STR(""), path, STR("")), c->slash_redirect_ttl);
    }
    if (c->slash_redirect && str_eq(path, STR("/" API_PREFIX)))
        return api_redirect(r, with_query(r, STR(""), path, STR("/")), c->slash_redirect_ttl);
    return api_fail(r, API_ERR_NOT_FOUND);
}

/* Decodes the target and takes the version prefix off. */
enum api_step api_route_parse_target(struct api_req *r)
{
    r->raw_path = api_one_slash(r->raw_path);
    str path = http_url_decode(r->arena, r->raw_path, false);
    str query = str_none(r->query) ? STR("") : http_url_decode(r->arena, r->query, true);
    if (str_none(path) || str_none(query))
        return api_fail_err(r, ERR_NOMEM);
    if (!str_utf8_valid(path))
        return api_fail(r, API_ERR_INVALID_PATH);
    if (!str_utf8_valid(query))
        return api_fail_told(
            r, API_ERR_BAD_REQUEST,
            ARENA_JOIN(r->arena,
                       STR("A request with an incorrect encoding in the querystring was"
                           "received. Please make sure your requests are encoded in UTF-8: "),
                       r->query),
            STR_NONE);
    r->path = path;
    if (!api_says_version(path))
        return add_version(r);
    if (!str_starts(path, STR("/" API_PREFIX "/")))
        return api_route_not_found(r);
    r->path = str_drop(path, strlen("/" API_PREFIX));
    return STEP_NEXT;
}

void api_route_lookup(struct api_req *r)
{
    struct api_segments segments = cut(r->path);
    r->route = find(r->api, r->path, &segments);
    if (r->route && r->route->kind != KIND_NONE)
        fill_levels(r, &segments);
}

/* Which endpoint? An alias keeps its route until the user is known (pipeline.c). */
enum api_step api_route_find(struct api_req *r)
{
    api_route_lookup(r);
    r->alias = NULL;
    for (size_t i = 0; i < r->api->naliases; i++) {
        const struct api_alias *a = &r->api->aliases[i];
        if (a->claims(a->ctx, r->path)) {
            r->alias = a;
            r->alias_endpoint = a->endpoint ? a->endpoint(a->ctx, r->path) : NULL;
        }
    }
    return r->route || r->alias ? STEP_NEXT : api_route_not_found(r);
}

unsigned api_enabled_methods(const struct api *a, const struct api_route *route)
{
    unsigned methods = route->methods;
    if (route->kind == KIND_NONE)
        return methods;
    if (a->conf.readonly)
        methods &= METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD);
    return methods & a->kinds[route->kind].enabled[route->type == TYPE_OBJECT];
}

unsigned api_route_methods(const struct api_req *r)
{
    return api_enabled_methods(r->api, r->route);
}

/* ---- redirects ------------------------------------------------------------------------------- */

void api_cache_seconds(struct api_req *r, int64_t seconds)
{
    char *date = arena_alloc(r->arena, 30);
    if (date == NULL)
        return;
    clock_http_date(clock_wall_ms() / 1000 + seconds, date);
    if (seconds > 0) {
        http_header_add(r->out, STR("Cache-Control"),
                        arena_printf(r->arena, "max-age=%lld", (long long)seconds));
    } else {
        http_header_add(r->out, STR("Cache-Control"),
                        STR("max-age=0, must-revalidate, no-cache, no-store"));
        if (str_none(api_answer_header(r->out, "Last-Modified")))
            http_header_add(r->out, STR("Last-Modified"), str_from(date));
        http_header_add(r->out, STR("Pragma"), STR("no-cache"));
    }
    http_header_add(r->out, STR("Expires"), str_from(date));
}

static void html_escape(struct buf *b, str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '&')
            buf_add_lit(b, "&amp;");
        else if (s.p[i] == '<')
            buf_add_lit(b, "&lt;");
        else if (s.p[i] == '>')
            buf_add_lit(b, "&gt;");
        else
            buf_add_char(b, s.p[i]);
    }
}

#define MOVED_BEFORE "The resource has been moved to "
#define MOVED_BEHIND "; you should be redirected automatically.\n\n"

/* The small text that goes with a redirect, in the form that the client likes best. */
static str redirect_body(struct api_req *r, str location, struct buf *b)
{
    str accept = api_req_header(r, "Accept");
    int html = accept.n == 0 ? -1 : api_accept_quality(accept, "text", "html");
    int json = accept.n == 0 ? -1 : api_accept_quality(accept, "application", "json");
    if (html > 0 && html >= json) {
        buf_add_lit(b,
                    "<html>\n <head>\n  <title>307 Temporary Redirect</title>\n </head>\n <body>\n"
                    "  <h1>307 Temporary Redirect</h1>\n  " MOVED_BEFORE);
        html_escape(b, location);
        buf_add_lit(b, MOVED_BEHIND "\n </body>\n</html>");
        return STR("text/html; charset=UTF-8");
    }
    if (json > 0) {
        buf_add_lit(b, "{\"message\": ");
        json_write_string(b, ARENA_JOIN(r->arena, STR(MOVED_BEFORE), location, STR(MOVED_BEHIND)));
        buf_add_lit(b,
                    ", \"code\": \"307 Temporary Redirect\", \"title\": \"Temporary Redirect\"}");
        return STR("application/json");
    }
    buf_add_lit(b, "307 Temporary Redirect\n\n" MOVED_BEFORE);
    buf_add_str(b, location);
    buf_add_lit(b, MOVED_BEHIND);
    return STR("text/plain; charset=UTF-8");
}

/* `told`: where to, in the text; `location`: in the header. */
static enum api_step redirect(struct api_req *r, str told, str location, int64_t cache_seconds)
{
    struct buf b;
    buf_init_arena(&b, r->arena, MIB);
    str type = redirect_body(r, told, &b);
    if (buf_failed(&b) || str_none(location))
        return api_fail_err(r, ERR_NOMEM);
    r->failed = true;
    r->out->status = 307;
    r->out->body = buf_str(&b);
    http_header_add(r->out, STR("Content-Type"), type);
    http_header_add(r->out, STR("Location"), location);
    if (cache_seconds >= 0)
        api_cache_seconds(r, cache_seconds);
    return STEP_DONE;
}

enum api_step api_redirect(struct api_req *r, str location, int64_t cache_seconds)
{
    str url = str_none(location) ? location : ARENA_JOIN(r->arena, api_origin(r), location);
    return redirect(r, location, url, cache_seconds);
}

enum api_step api_redirect_to(struct api_req *r, str url)
{
    return redirect(r, url, url, -1);
}
