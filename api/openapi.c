/*
 * api/openapi.c - GET /__api__: this instance, described in OpenAPI 2.0 ("Swagger"), from which
 * clients are generated.
 *
 * The description is made of the route table and the settings in force: an endpoint is in it
 * because it is routed, a method because it is switched on. What the table does not know (summaries,
 * parameters, what answers look like) are rows of openapi.def for resources, and the `doc` of the
 * route for all other endpoints, those of plugins too.
 *
 * All but the host and the scheme is the same for every request: it is written once, before the
 * server starts (api_describe), and each answer is that text behind those two.
 */
#include "api/openapi.h"

#define MAX_SCRATCH_BYTES (16 * MIB) /* for making it */
#define MAX_TEXT_BYTES    200        /* in a path, of what is no id: more has no use */

/* ---- the tables of openapi.def --------------------------------------------------------------- */

const struct definition openapi_parameters[PARAMETER_COUNT] = {
#define PARAMETER(constant, name, json) {name, json},
#include "api/openapi.def"
};

const struct error_answer_row openapi_errors[ERROR_COUNT] = {
#define ERROR_ANSWER(constant, status, description) {status, description},
#include "api/openapi.def"
};

static const struct definition definitions[] = {
#define DEFINITION(name, json) {name, json},
#include "api/openapi.def"
};

static const struct definition kind_definitions[] = {
#define KIND_DEFINITION(name, json) {name, json},
#include "api/openapi.def"
};

/* HEAD is there wherever GET is, and goes without saying. */
static const struct {
    enum api_method method;
    const char *name;
} methods[] = {{METHOD_GET, "get"},
               {METHOD_POST, "post"},
               {METHOD_PUT, "put"},
               {METHOD_PATCH, "patch"},
               {METHOD_DELETE, "delete"}};

/* ---- words ----------------------------------------------------------------------------------- */

static void add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void openapi_separate(struct buf *b, bool *first)
{
    if (!*first)
        buf_add_char(b, ',');
    *first = false;
}

/* "Bucket" */
static void add_title(struct buf *b, const char *name)
{
    CHECK(name[0] >= 'a' && name[0] <= 'z');
    buf_add_char(b, (char)(name[0] - 'a' + 'A'));
    add_text(b, name + 1);
}

void openapi_add_filled(struct buf *b, const char *text, const struct api_resource *kind)
{
    for (const char *p = text; *p; p++) {
        if (p[0] == '%' && (p[1] == 's' || p[1] == 'p')) {
            CHECK(kind);
            p++;
            add_text(b, kind->doc.prefix ? kind->doc.prefix : "");
            add_text(b, *p == 's' ? kind->name : kind->plural);
        } else if (p[0] == '*') {
            CHECK(kind);
            add_title(b, kind->doc.prefix ? kind->doc.prefix : kind->name);
            add_text(b, kind->doc.prefix ? kind->name : "");
        } else {
            buf_add_char(b, *p);
        }
    }
}

void openapi_add_member(struct buf *b, const char *name, const char *text,
                        const struct api_resource *kind)
{
    buf_printf(b, "\"%s\":\"", name);
    openapi_add_filled(b, text, kind);
    buf_add_char(b, '"');
}

void openapi_add_ref(struct buf *b, const char *name, const struct api_resource *kind)
{
    buf_add_lit(b, "{\"$ref\":\"#/definitions/");
    openapi_add_filled(b, name, kind);
    buf_add_lit(b, "\"}");
}

/* ---- what is described ----------------------------------------------------------------------- */

static unsigned described_methods(const struct api *a, const struct api_route *route)
{
    unsigned on = api_enabled_methods(a, route) & ~METHOD_BIT(METHOD_HEAD);
    if (a->conf.readonly) /* refuses all others before it looks where they go */
        on &= METHOD_BIT(METHOD_GET);
    return on;
}

/* "bucket_id"; that of the object which the path is about is "id". */
static void add_id_name(struct buf *b, const struct api *a, const struct api_route *route,
                        const enum api_kind *named, unsigned i, unsigned n)
{
    if (route->type != TYPE_OBJECT || i + 1 < n)
        buf_printf(b, "%s_", a->kinds[named[i]].is.name);
    buf_add_lit(b, "id");
}

/* "/buckets/{bucket_id}/groups" */
static void add_path(struct buf *b, const struct api *a, const struct api_route *route)
{
    enum api_kind named[MAX_LEVELS];
    unsigned n = api_route_ids(a, route, named), i = 0;
    for (const char *p = route->path; *p; p++) {
        buf_add_char(b, *p);
        if (*p == '{' && i < n) {
            add_id_name(b, a, route, named, i, n);
            i++;
        }
    }
}

/* "bucket_id": of a bucket. */
static enum api_kind kind_of_name(const struct api *a, str name)
{
    if (!str_ends(name, STR("_id")))
        return KIND_NONE;
    return api_kind_named(a, str_sub(name, 0, name.n - strlen("_id")));
}

void openapi_add_path_parameters(struct buf *b, const struct api *a, const struct api_route *route)
{
    enum api_kind named[MAX_LEVELS];
    unsigned n = api_route_ids(a, route, named), i = 0;
    str name;
    for (size_t at = 0; api_route_next_name(route->path, &at, &name); i++) {
        enum api_kind kind = i < n ? named[i] : kind_of_name(a, name);
        buf_printf(b, "%s{\"name\":\"", i ? "," : "");
        if (i < n)
            add_id_name(b, a, route, named, i, n);
        else
            buf_add_str(b, name);
        buf_printf(b, "\",\"in\":\"path\",\"required\":true,\"type\":\"string\",\"maxLength\":%d",
                   kind == KIND_NONE ? MAX_TEXT_BYTES : STORE_MAX_ID_BYTES);
        if (kind != KIND_NONE)
            buf_printf(b, ",\"pattern\":\"%s\"", api_id_pattern(a, kind));
        buf_add_char(b, '}');
    }
}

void openapi_add_tag(struct buf *b, const struct api *a, const struct api_route *route)
{
    if (route->kind == KIND_NONE)
        add_text(b, route->doc.tag);
    else
        add_title(b, a->kinds[route->kind].is.plural);
}

static bool same_tag(const struct api *a, const struct api_route *x, const struct api_route *y)
{
    if (x->kind == KIND_NONE || y->kind == KIND_NONE)
        return x->kind == y->kind && strcmp(x->doc.tag, y->doc.tag) == 0;
    return strcmp(a->kinds[x->kind].is.plural, a->kinds[y->kind].is.plural) == 0;
}

/* ---- the parts of the document --------------------------------------------------------------- */

static void add_info(struct buf *b, const struct api *a)
{
    buf_add_lit(b, "\"swagger\":\"2.0\",\"info\":{\"title\":");
    json_write_string(b, a->conf.project_name);
    buf_add_lit(b, ",\"version\":");
    json_write_string(b, a->conf.http_api);
    buf_add_lit(b, "},\"basePath\":\"/" API_PREFIX "\"");
}

/* True if a route before the i-th has its tag. */
static bool tag_is_known(const struct api *a, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (described_methods(a, &a->routes[k]) && same_tag(a, &a->routes[k], &a->routes[i]))
            return true;
    return false;
}

static void add_tags(struct buf *b, const struct api *a)
{
    bool first = true;
    buf_add_lit(b, ",\"tags\":[");
    for (size_t i = 0; i < a->nroutes; i++) {
        const struct api_route *route = &a->routes[i];
        if (!described_methods(a, route) || tag_is_known(a, i))
            continue;
        openapi_separate(b, &first);
        buf_add_lit(b, "{\"name\":\"");
        openapi_add_tag(b, a, route);
        buf_add_lit(b, "\"}");
    }
    buf_add_char(b, ']');
}

static void add_path_item(struct buf *b, const struct api *a, const struct api_route *route)
{
    unsigned on = described_methods(a, route);
    bool first = true;
    buf_add_char(b, '{');
    if (route->type != TYPE_UTILITY && strchr(route->path, '{')) {
        buf_add_lit(b, "\"parameters\":[");
        openapi_add_path_parameters(b, a, route);
        buf_add_lit(b, "],");
    }
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (!(on & METHOD_BIT(methods[i].method)))
            continue;
        openapi_separate(b, &first);
        buf_printf(b, "\"%s\":", methods[i].name);
        openapi_add_operation(b, a, route, methods[i].method);
    }
    buf_add_char(b, '}');
}

static void add_paths(struct buf *b, const struct api *a)
{
    bool first = true;
    buf_add_lit(b, ",\"paths\":{");
    for (size_t i = 0; i < a->nroutes; i++) {
        const struct api_route *route = &a->routes[i];
        if (!described_methods(a, route))
            continue;
        openapi_separate(b, &first);
        buf_add_char(b, '"');
        add_path(b, a, route);
        buf_add_lit(b, "\":");
        add_path_item(b, a, route);
    }
    buf_add_char(b, '}');
}

static void add_shared_parameters(struct buf *b, const struct api *a)
{
    buf_add_lit(b, ",\"parameters\":{");
    for (unsigned i = 0; i < PARAMETER_COUNT; i++) {
        const char *name = openapi_parameters[i].name;
        buf_printf(b, "%s\"%s\":{\"name\":\"%s\",%s", i ? "," : "", name, name,
                   openapi_parameters[i].json);
        if (i == PARAMETER_LIMIT && a->conf.paginate_by > 0)
            buf_printf(b, ",\"default\":%lld", (long long)a->conf.paginate_by);
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
}

static void add_shared_responses(struct buf *b)
{
    buf_add_lit(b, ",\"responses\":{\"304\":{\"description\":\"There was no change since the ETag "
                   "of If-None-Match.\",\"headers\":{" OPENAPI_TIMES "}}");
    for (unsigned i = 0; i < ERROR_COUNT; i++) {
        buf_printf(b, ",\"%s\":{\"description\":\"%s\",\"schema\":", openapi_errors[i].status,
                   openapi_errors[i].description);
        openapi_add_ref(b, "ErrorSchema", NULL);
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
}

/* The permissions that objects of the kind may have. */
static void add_permissions(struct buf *b, const struct api_kind_info *k)
{
    bool first = true;
    buf_add_lit(b, ",\"");
    openapi_add_filled(b, "*Permissions", &k->is);
    buf_add_lit(b, "\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (unsigned i = 0; i < STORE_PERM_COUNT; i++) {
        if (!(k->perms & (1u << i)))
            continue;
        openapi_separate(b, &first);
        json_write_string(b, store_perm_name((enum store_perm)(1u << i)));
        buf_add_char(b, ':');
        openapi_add_ref(b, "Principals", NULL);
    }
    buf_add_lit(b, "}}");
}

static void add_kind_definitions(struct buf *b, const struct api_kind_info *k)
{
    buf_add_lit(b, ",\"");
    openapi_add_filled(b, "*Data", &k->is);
    buf_add_lit(b, "\":");
    add_text(b, k->is.doc.data);
    for (size_t i = 0; i < ARRAY_LEN(kind_definitions); i++) {
        buf_add_lit(b, ",\"");
        openapi_add_filled(b, kind_definitions[i].name, &k->is);
        buf_add_lit(b, "\":");
        openapi_add_filled(b, kind_definitions[i].json, &k->is);
    }
    add_permissions(b, k);
}

static void add_batch_requests(struct buf *b, const struct api *a)
{
    buf_add_lit(b, "\"BatchRequests\":{\"type\":\"array\",\"items\":");
    openapi_add_ref(b, "BatchRequest", NULL);
    if (a->conf.batch_max > 0)
        buf_printf(b, ",\"maxItems\":%lld", (long long)a->conf.batch_max);
    buf_add_char(b, '}');
}

static void add_definitions(struct buf *b, const struct api *a)
{
    buf_add_lit(b, ",\"definitions\":{");
    add_batch_requests(b, a);
    for (size_t i = 0; i < ARRAY_LEN(definitions); i++)
        buf_printf(b, ",\"%s\":%s", definitions[i].name, definitions[i].json);
    for (unsigned k = 0; k < a->nkinds; k++)
        add_kind_definitions(b, &a->kinds[k]);
    buf_add_char(b, '}');
}

/* ---- the document ---------------------------------------------------------------------------- */

/* The same JSON without blanks, in the process' own memory; none: no memory. */
static str compact(struct api *a, struct arena *scratch, str text)
{
    struct json *document;
    enum err e = json_parse(scratch, text, &document, NULL);
    CHECK(e != ERR_SYNTAX && e != ERR_LIMIT); /* a row of openapi.def is no JSON */
    return e == OK ? json_text(&a->arena, document) : STR_NONE;
}

enum err api_describe(struct api *a)
{
    struct arena scratch;
    struct buf b;
    arena_init(&scratch, NULL, 0, NULL, MAX_SCRATCH_BYTES);
    buf_init_arena(&b, &scratch, MAX_SCRATCH_BYTES);
    buf_add_char(&b, '{');
    add_info(&b, a);
    buf_add_lit(&b, ",\"securityDefinitions\":{");
    openapi_add_policies(&b, a, true);
    buf_add_char(&b, '}');
    add_tags(&b, a);
    add_paths(&b, a);
    add_shared_parameters(&b, a);
    add_shared_responses(&b);
    add_definitions(&b, a);
    buf_add_char(&b, '}');
    str text = buf_failed(&b) ? STR_NONE : compact(a, &scratch, buf_str(&b));
    a->description = str_none(text) ? STR_NONE : str_drop(text, 1);
    arena_fini(&scratch);
    return str_none(text) ? ERR_NOMEM : OK;
}

enum api_step api_openapi(struct api_req *r)
{
    struct buf b;
    buf_init_arena(&b, r->arena, SIZE_MAX / 2);
    buf_add_lit(&b, "{\"host\":");
    json_write_string(&b, api_host(r));
    buf_add_lit(&b, ",\"schemes\":[");
    json_write_string(&b, api_scheme(r));
    buf_add_lit(&b, "],");
    buf_add_str(&b, r->api->description);
    return api_arena_reply(r, 200, &b);
}
