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
#include "api/private.h"

#define MAX_SCRATCH_BYTES (16 * MIB) /* for making it */

/* ---- the tables of openapi.def --------------------------------------------------------------- */

#define JSON(...) #__VA_ARGS__

enum parameter {
#define PARAMETER(constant, name, json) PARAMETER_##constant,
#include "api/openapi.def"
    PARAMETER_COUNT
};

enum error_answer {
#define ERROR_ANSWER(constant, status, description) ERROR_##constant,
#include "api/openapi.def"
    ERROR_COUNT
};

static const struct {
    const char *name, *json;
} parameters[] = {
#define PARAMETER(constant, name, json) {name, json},
#include "api/openapi.def"
};

static const struct {
    const char *status, *description;
} errors[] = {
#define ERROR_ANSWER(constant, status, description) {status, description},
#include "api/openapi.def"
};

#define P(name) (1u << PARAMETER_##name)
#define E(name) (1u << ERROR_##name)

/* What a method does on resources; the texts are for add_filled. */
struct operation {
    enum api_type type;
    enum api_method method;
    const char *id, *summary;
    unsigned parameters; /* set of P() */
    const char *body;    /* the definition of what is sent, or NULL */
    const char *answer, *description;
    bool creates;    /* may also answer 201 */
    unsigned errors; /* set of E() */
};

static const struct operation operations[] = {
#define OPERATION(type, method, id, summary, parameters, body, answer, text, creates, errors)      \
    {TYPE_##type, METHOD_##method, id, summary, parameters, body, answer, text, creates, errors},
#include "api/openapi.def"
};

struct definition {
    const char *name, *json;
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

static void separate(struct buf *b, bool *first)
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

/* A text about a kind of object: "%s" is its name, a star its name with a capital. */
static void add_filled(struct buf *b, const char *text, const char *kind)
{
    for (const char *p = text; *p; p++) {
        if (p[0] == '%' && p[1] == 's') {
            add_text(b, kind);
            p++;
        } else if (p[0] == '*') {
            add_title(b, kind);
        } else {
            buf_add_char(b, *p);
        }
    }
}

static void add_member(struct buf *b, const char *name, const char *text, const char *kind)
{
    buf_printf(b, "\"%s\":\"", name);
    add_filled(b, text, kind);
    buf_add_char(b, '"');
}

/* {"$ref":"#/definitions/BucketObject"} of "*Object" */
static void add_definition_ref(struct buf *b, const char *name, const char *kind)
{
    buf_add_lit(b, "{\"$ref\":\"#/definitions/");
    add_filled(b, name, kind);
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
static void add_id_name(struct buf *b, const struct api_route *route, const enum api_kind *named,
                        unsigned i, unsigned n)
{
    if (route->type != TYPE_OBJECT || i + 1 < n)
        buf_printf(b, "%s_", api_kinds[named[i]].name);
    buf_add_lit(b, "id");
}

/* "/buckets/{bucket_id}/groups" */
static void add_path(struct buf *b, const struct api_route *route)
{
    enum api_kind named[MAX_LEVELS];
    unsigned n = api_route_ids(route, named), i = 0;
    for (const char *p = route->path; *p; p++) {
        buf_add_char(b, *p);
        if (*p == '{' && i < n) {
            add_id_name(b, route, named, i, n);
            i++;
        }
    }
}

static void add_path_parameters(struct buf *b, const struct api *a, const struct api_route *route)
{
    enum api_kind named[MAX_LEVELS];
    unsigned n = api_route_ids(route, named);
    if (n == 0)
        return;
    buf_add_lit(b, "\"parameters\":[");
    for (unsigned i = 0; i < n; i++) {
        buf_printf(b, "%s{\"name\":\"", i ? "," : "");
        add_id_name(b, route, named, i, n);
        buf_printf(b,
                   "\",\"in\":\"path\",\"required\":true,\"type\":\"string\",\"maxLength\":%d,"
                   "\"pattern\":\"%s\"}",
                   STORE_MAX_ID_BYTES, api_id_pattern(a, named[i]));
    }
    buf_add_lit(b, "],");
}

/* "Buckets" */
static void add_tag(struct buf *b, const struct api_route *route)
{
    if (route->kind == KIND_NONE)
        add_text(b, route->doc.tag);
    else
        add_filled(b, "*s", api_kinds[route->kind].name);
}

static bool same_tag(const struct api_route *x, const struct api_route *y)
{
    if (x->kind != KIND_NONE || y->kind != KIND_NONE)
        return x->kind == y->kind;
    return strcmp(x->doc.tag, y->doc.tag) == 0;
}

/* ---- the parts of an operation --------------------------------------------------------------- */

static void add_media_types(struct buf *b, bool body, bool patch)
{
    buf_add_lit(b, ",\"produces\":[\"application/json\"]");
    if (body)
        buf_printf(b, ",\"consumes\":[\"application/json\"%s]",
                   patch ? ",\"application/merge-patch+json\"" : "");
}

static void add_body_parameter(struct buf *b, const char *name, const char *schema,
                               const char *kind)
{
    buf_printf(b, "{\"name\":\"%s\",\"in\":\"body\",\"required\":true,\"schema\":", name);
    add_definition_ref(b, schema, kind);
    buf_add_char(b, '}');
}

static void add_parameters(struct buf *b, const struct operation *o, const char *kind)
{
    bool first = true;
    buf_add_lit(b, ",\"parameters\":[");
    if (o->body) {
        separate(b, &first);
        add_body_parameter(b, "ObjectSchema", o->body, kind);
    }
    for (unsigned i = 0; i < PARAMETER_COUNT; i++) {
        if (!(o->parameters & (1u << i)))
            continue;
        separate(b, &first);
        buf_printf(b, "{\"$ref\":\"#/parameters/%s\"}", parameters[i].name);
    }
    buf_add_char(b, ']');
}

#define TIMES                                                                                      \
    "\"ETag\":{\"type\":\"string\",\"pattern\":\"^\\\"-?[0-9]+\\\"$\"},"                           \
    "\"Last-Modified\":{\"type\":\"string\"}"

static void add_success(struct buf *b, const struct operation *o, const char *kind, bool created)
{
    buf_printf(b, "\"%d\":{", created ? 201 : 200);
    add_member(b, "description", created ? "The new %s." : o->description, kind);
    buf_add_lit(b, ",\"headers\":{" TIMES);
    if (o->type == TYPE_PLURAL && o->method != METHOD_POST)
        buf_add_lit(b, ",\"Next-Page\":{\"type\":\"string\"}");
    buf_add_lit(b, "},\"schema\":");
    add_definition_ref(b, o->answer, kind);
    buf_add_lit(b, "},");
}

/* Those of the set, and that there may be others. */
static void add_errors(struct buf *b, unsigned set)
{
    bool first = true;
    for (unsigned i = 0; i < ERROR_COUNT; i++) {
        if (!((set | E(OTHER)) & (1u << i)))
            continue;
        separate(b, &first);
        buf_printf(b, "\"%s\":{\"$ref\":\"#/responses/%s\"}", errors[i].status, errors[i].status);
    }
}

static void add_responses(struct buf *b, const struct operation *o, const char *kind)
{
    buf_add_lit(b, ",\"responses\":{");
    add_success(b, o, kind, false);
    if (o->creates)
        add_success(b, o, kind, true);
    if (o->method == METHOD_GET && (o->parameters & P(IF_NONE_MATCH)))
        buf_add_lit(b, "\"304\":{\"$ref\":\"#/responses/304\"},");
    add_errors(b, o->errors);
    buf_add_char(b, '}');
}

/* Any of the policies in force will do. */
static void add_security(struct buf *b, const struct api *a)
{
    str name;
    const char *scheme;
    bool first = true;
    buf_add_lit(b, ",\"security\":[");
    for (size_t i = 0; auth_policy_at(a->auth, i, &name, &scheme); i++) {
        if (scheme == NULL)
            continue;
        separate(b, &first);
        buf_add_char(b, '{');
        json_write_string(b, name);
        buf_add_lit(b, ":[]}");
    }
    buf_add_char(b, ']');
}

/* ---- operations ------------------------------------------------------------------------------ */

/* Each method of a resource has a row. */
static const struct operation *find_operation(enum api_type type, enum api_method method)
{
    size_t i = 0;
    while (operations[i].type != type || operations[i].method != method) {
        i++;
        CHECK(i < ARRAY_LEN(operations));
    }
    return &operations[i];
}

static void add_on_resource(struct buf *b, const struct api *a, const struct api_route *route,
                            enum api_method method)
{
    struct operation o = *find_operation(route->type, method);
    const char *kind = api_kinds[route->kind].name;
    if (api_route_ids(route, (enum api_kind[MAX_LEVELS]){0}) == 0)
        o.errors &= ~E(NOT_FOUND); /* a list that lies in nothing is always there */
    add_member(b, "operationId", o.id, kind);
    buf_add_char(b, ',');
    add_member(b, "summary", o.summary, kind);
    add_media_types(b, o.body != NULL, method == METHOD_PATCH);
    add_parameters(b, &o, kind);
    add_responses(b, &o, kind);
    add_security(b, a);
}

/* A list that is made for the answer: filtered and paged like all lists, but never a 304. */
static void add_on_made_list(struct buf *b, const struct api *a, const struct api_doc *doc)
{
    struct operation o = *find_operation(TYPE_PLURAL, METHOD_GET);
    o.parameters &= ~(P(IF_MATCH) | P(IF_NONE_MATCH));
    o.errors &= ~(E(NOT_FOUND) | E(MODIFIED));
    o.answer = doc->answer;
    o.description = "The matching entries.";
    add_parameters(b, &o, "");
    add_responses(b, &o, "");
    add_security(b, a);
}

static void add_answer(struct buf *b, int status, const char *description, const char *schema)
{
    buf_printf(b, "\"%d\":{\"description\":\"%s\",\"schema\":", status, description);
    add_definition_ref(b, schema ? schema : "Any", "");
    buf_add_lit(b, "},");
}

static void add_on_utility(struct buf *b, const struct api_doc *doc)
{
    if (doc->body) {
        buf_add_lit(b, ",\"parameters\":[");
        add_body_parameter(b, doc->body, doc->body, "");
        buf_add_char(b, ']');
    }
    buf_add_lit(b, ",\"responses\":{");
    add_answer(b, doc->status ? doc->status : 200, "Done.", doc->answer);
    if (doc->answers_503)
        add_answer(b, 503, "Something does not work.", doc->answer);
    add_errors(b, doc->body ? E(INVALID) | E(UNSUPPORTED) : E(INVALID));
    buf_add_lit(b, "},\"security\":[]");
}

static void add_operation(struct buf *b, const struct api *a, const struct api_route *route,
                          enum api_method method)
{
    buf_add_lit(b, "{\"tags\":[\"");
    add_tag(b, route);
    buf_add_lit(b, "\"],");
    if (route->kind != KIND_NONE) {
        add_on_resource(b, a, route, method);
    } else {
        const struct api_doc *doc = &route->doc;
        buf_printf(b, "\"operationId\":\"%s\",\"summary\":\"%s\"", doc->operation, doc->summary);
        add_media_types(b, doc->body != NULL, false);
        if (route->type == TYPE_PLURAL)
            add_on_made_list(b, a, doc);
        else
            add_on_utility(b, doc);
    }
    buf_add_char(b, '}');
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

static void add_security_definitions(struct buf *b, const struct api *a)
{
    str name;
    const char *scheme;
    bool first = true;
    buf_add_lit(b, ",\"securityDefinitions\":{");
    for (size_t i = 0; auth_policy_at(a->auth, i, &name, &scheme); i++) {
        if (scheme == NULL)
            continue;
        separate(b, &first);
        json_write_string(b, name);
        buf_add_char(b, ':');
        add_text(b, scheme);
    }
    buf_add_char(b, '}');
}

/* True if a route before the i-th has its tag. */
static bool tag_is_known(const struct api *a, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (described_methods(a, api_route_at(a, k)) &&
            same_tag(api_route_at(a, k), api_route_at(a, i)))
            return true;
    return false;
}

static void add_tags(struct buf *b, const struct api *a)
{
    bool first = true;
    const struct api_route *route;
    buf_add_lit(b, ",\"tags\":[");
    for (size_t i = 0; (route = api_route_at(a, i)) != NULL; i++) {
        if (!described_methods(a, route) || tag_is_known(a, i))
            continue;
        separate(b, &first);
        buf_add_lit(b, "{\"name\":\"");
        add_tag(b, route);
        buf_add_lit(b, "\"}");
    }
    buf_add_char(b, ']');
}

static void add_path_item(struct buf *b, const struct api *a, const struct api_route *route)
{
    unsigned on = described_methods(a, route);
    bool first = true;
    buf_add_char(b, '{');
    add_path_parameters(b, a, route);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (!(on & METHOD_BIT(methods[i].method)))
            continue;
        separate(b, &first);
        buf_printf(b, "\"%s\":", methods[i].name);
        add_operation(b, a, route, methods[i].method);
    }
    buf_add_char(b, '}');
}

static void add_paths(struct buf *b, const struct api *a)
{
    bool first = true;
    const struct api_route *route;
    buf_add_lit(b, ",\"paths\":{");
    for (size_t i = 0; (route = api_route_at(a, i)) != NULL; i++) {
        if (!described_methods(a, route))
            continue;
        separate(b, &first);
        buf_add_char(b, '"');
        add_path(b, route);
        buf_add_lit(b, "\":");
        add_path_item(b, a, route);
    }
    buf_add_char(b, '}');
}

static void add_shared_parameters(struct buf *b, const struct api *a)
{
    buf_add_lit(b, ",\"parameters\":{");
    for (unsigned i = 0; i < PARAMETER_COUNT; i++) {
        const char *name = parameters[i].name;
        buf_printf(b, "%s\"%s\":{\"name\":\"%s\",%s", i ? "," : "", name, name, parameters[i].json);
        if (i == PARAMETER_LIMIT && a->conf.paginate_by > 0)
            buf_printf(b, ",\"default\":%lld", (long long)a->conf.paginate_by);
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
}

static void add_shared_responses(struct buf *b)
{
    buf_add_lit(b, ",\"responses\":{\"304\":{\"description\":\"There was no change since the ETag "
                   "of If-None-Match.\",\"headers\":{" TIMES "}}");
    for (unsigned i = 0; i < ERROR_COUNT; i++) {
        buf_printf(b, ",\"%s\":{\"description\":\"%s\",\"schema\":", errors[i].status,
                   errors[i].description);
        add_definition_ref(b, "ErrorSchema", "");
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
}

/* The permissions that objects of the kind may have. */
static void add_permissions(struct buf *b, enum api_kind k)
{
    bool first = true;
    buf_add_lit(b, ",\"");
    add_filled(b, "*Permissions", api_kinds[k].name);
    buf_add_lit(b, "\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (unsigned i = 0; i < STORE_PERM_COUNT; i++) {
        if (!(api_kinds[k].perms & (1u << i)))
            continue;
        separate(b, &first);
        json_write_string(b, store_perm_name((enum store_perm)(1u << i)));
        buf_add_char(b, ':');
        add_definition_ref(b, "Principals", "");
    }
    buf_add_lit(b, "}}");
}

static void add_kind_definitions(struct buf *b, enum api_kind k)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_definitions); i++) {
        buf_add_lit(b, ",\"");
        add_filled(b, kind_definitions[i].name, api_kinds[k].name);
        buf_add_lit(b, "\":");
        add_filled(b, kind_definitions[i].json, api_kinds[k].name);
    }
    add_permissions(b, k);
}

static void add_definitions(struct buf *b, const struct api *a)
{
    buf_printf(
        b,
        ",\"definitions\":{\"BatchPayloadSchema\":{\"type\":\"object\",\"required\":["
        "\"requests\"],\"additionalProperties\":false,\"properties\":{\"defaults\":{\"$ref\":"
        "\"#/definitions/BatchDefaults\"},\"requests\":{\"type\":\"array\",\"maxItems\":%lld,"
        "\"items\":{\"$ref\":\"#/definitions/BatchRequest\"}}}}",
        (long long)a->conf.batch_max);
    for (size_t i = 0; i < ARRAY_LEN(definitions); i++)
        buf_printf(b, ",\"%s\":%s", definitions[i].name, definitions[i].json);
    for (unsigned k = 0; k < KIND_COUNT; k++)
        add_kind_definitions(b, (enum api_kind)k);
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
    add_security_definitions(&b, a);
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
