/*
 * api/openapi_operation.c - what the description of the API says of one method of an endpoint: of
 * resources by the rows of openapi.def, of all else by the `doc` of its route.
 */
#include "api/openapi.h"

#define P(name) (1u << PARAMETER_##name)
#define E(name) (1u << ERROR_##name)

/* What a method does on resources; the texts are for openapi_add_filled. */
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

/* ---- the parts of an operation --------------------------------------------------------------- */

static void add_media_types(struct buf *b, const char *answer, bool body, bool patch)
{
    buf_printf(b, ",\"produces\":[\"%s\"]", answer);
    if (body)
        buf_printf(b, ",\"consumes\":[\"application/json\"%s]",
                   patch ? ",\"application/merge-patch+json\"" : "");
}

static void add_body_parameter(struct buf *b, const char *name, const char *schema,
                               const struct api_resource *kind)
{
    buf_printf(b, "{\"name\":\"%s\",\"in\":\"body\",\"required\":true,\"schema\":", name);
    openapi_add_ref(b, schema, kind);
    buf_add_char(b, '}');
}

static void add_parameters(struct buf *b, const struct operation *o,
                           const struct api_resource *kind)
{
    bool first = true;
    buf_add_lit(b, ",\"parameters\":[");
    if (o->body) {
        openapi_separate(b, &first);
        add_body_parameter(b, "ObjectSchema", o->body, kind);
    }
    for (unsigned i = 0; i < PARAMETER_COUNT; i++) {
        if (!(o->parameters & (1u << i)))
            continue;
        openapi_separate(b, &first);
        buf_printf(b, "{\"$ref\":\"#/parameters/%s\"}", openapi_parameters[i].name);
    }
    buf_add_char(b, ']');
}

static void add_success(struct buf *b, const struct operation *o, const struct api_resource *kind,
                        bool created)
{
    buf_printf(b, "\"%d\":{", created ? 201 : 200);
    openapi_add_member(b, "description", created ? "The new %s." : o->description, kind);
    buf_add_lit(b, ",\"headers\":{" OPENAPI_TIMES);
    if (o->type == TYPE_PLURAL && o->method != METHOD_POST)
        buf_add_lit(b, ",\"Next-Page\":{\"type\":\"string\"}");
    buf_add_lit(b, "},\"schema\":");
    openapi_add_ref(b, o->answer, kind);
    buf_add_lit(b, "},");
}

/* Those of the set, and that there may be others. */
static void add_errors(struct buf *b, unsigned set)
{
    bool first = true;
    for (unsigned i = 0; i < ERROR_COUNT; i++) {
        if (!((set | E(TOO_LONG) | E(OTHER)) & (1u << i)))
            continue;
        openapi_separate(b, &first);
        buf_printf(b, "\"%s\":{\"$ref\":\"#/responses/%s\"}", openapi_errors[i].status,
                   openapi_errors[i].status);
    }
}

static void add_responses(struct buf *b, const struct operation *o, const struct api_resource *kind)
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

void openapi_add_policies(struct buf *b, const struct api *a, bool defined)
{
    str name;
    const char *scheme;
    bool first = true;
    for (size_t i = 0; auth_policy_at(a->auth, i, &name, &scheme); i++) {
        if (scheme == NULL)
            continue;
        openapi_separate(b, &first);
        buf_add_str(b, defined ? STR("") : STR("{"));
        json_write_string(b, name);
        buf_add_char(b, ':');
        buf_add_str(b, defined ? str_from(scheme) : STR("[]}"));
    }
}

static void add_answer(struct buf *b, int status, const char *description, const char *schema)
{
    buf_printf(b, "\"%d\":{\"description\":\"%s\",\"schema\":", status, description);
    openapi_add_ref(b, schema ? schema : "Any", NULL);
    buf_add_lit(b, "},");
}

/* Any of the policies in force will do. */
static void add_security(struct buf *b, const struct api *a)
{
    buf_add_lit(b, ",\"security\":[");
    openapi_add_policies(b, a, false);
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
    const struct api_resource *kind = &a->kinds[route->kind].is;
    if (o.type == TYPE_OBJECT && method == METHOD_POST && kind->doc.post)
        o.summary = kind->doc.post;
    if (api_route_ids(a, route, (enum api_kind[MAX_LEVELS]){0}) == 0)
        o.errors &= ~E(NOT_FOUND); /* a list that lies in nothing is always there */
    openapi_add_member(b, "operationId", o.id, kind);
    buf_add_char(b, ',');
    openapi_add_member(b, "summary", o.summary, kind);
    add_media_types(b, "application/json", o.body != NULL, method == METHOD_PATCH);
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
    add_parameters(b, &o, NULL);
    add_responses(b, &o, NULL);
    add_security(b, a);
}

/* An object that is made for the answer: what is not there is no error. */
static void add_on_made_object(struct buf *b, const struct api *a, const struct api_doc *doc,
                               enum api_method method)
{
    struct operation o = *find_operation(TYPE_OBJECT, method);
    o.errors &= ~(E(NOT_FOUND) | E(MODIFIED));
    add_parameters(b, &o, NULL);
    buf_add_lit(b, ",\"responses\":{");
    add_answer(b, 200, "Done.", doc->answer);
    add_errors(b, o.errors);
    buf_add_char(b, '}');
    add_security(b, a);
}

static void add_on_utility(struct buf *b, const struct api *a, const struct api_route *route)
{
    const struct api_doc *doc = &route->doc;
    unsigned errors = E(INVALID);
    if (doc->body)
        errors |= E(UNSUPPORTED);
    if (doc->asks_who)
        errors |= E(UNAUTHORIZED) | E(FORBIDDEN) | E(NOT_FOUND);
    bool in_path = strchr(route->path, '{') != NULL;
    if (doc->body || in_path || doc->parameters)
        buf_add_lit(b, ",\"parameters\":[");
    openapi_add_path_parameters(b, a, route);
    if (doc->body) {
        buf_add_str(b, in_path ? STR(",") : STR(""));
        add_body_parameter(b, doc->body, doc->body, NULL);
    }
    if (doc->parameters)
        buf_printf(b, "%s%s", doc->body || in_path ? "," : "", doc->parameters);
    if (doc->body || in_path || doc->parameters)
        buf_add_char(b, ']');
    buf_add_lit(b, ",\"responses\":{");
    if (doc->status == 307)
        buf_add_lit(b, "\"307\":{\"description\":\"Where to go on.\",\"headers\":{"
                       "\"Location\":{\"type\":\"string\"}}},");
    else
        add_answer(b, doc->status ? doc->status : 200, "Done.", doc->answer);
    if (doc->answers_503)
        add_answer(b, 503, "Something does not work.", doc->answer);
    add_errors(b, errors);
    buf_add_char(b, '}');
    if (doc->asks_who)
        add_security(b, a);
    else
        buf_add_lit(b, ",\"security\":[]");
}

void openapi_add_operation(struct buf *b, const struct api *a, const struct api_route *route,
                           enum api_method method)
{
    buf_add_lit(b, "{\"tags\":[\"");
    openapi_add_tag(b, a, route);
    buf_add_lit(b, "\"],");
    if (route->kind != KIND_NONE) {
        add_on_resource(b, a, route, method);
    } else {
        const struct api_doc *doc = &route->doc;
        buf_printf(b, "\"operationId\":\"%s\",\"summary\":\"%s\"", doc->operation, doc->summary);
        add_media_types(b, doc->media ? doc->media : "application/json", doc->body != NULL, false);
        if (route->type == TYPE_PLURAL)
            add_on_made_list(b, a, doc);
        else if (route->type == TYPE_OBJECT)
            add_on_made_object(b, a, doc, method);
        else
            add_on_utility(b, a, route);
    }
    buf_add_char(b, '}');
}
