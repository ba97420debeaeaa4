/*
 * json/schema_crawl.c - which draft reads a schema, and what its references can name: every place
 * where the draft expects a schema is looked at for an id (then it is a resource) and for anchors.
 *
 * Which members of a schema hold schemas, and for which draft, is a row of schema_keywords.def, here
 * as for the compiler.
 */
#include "json/schema_private.h"

#define DRAFT_UNKNOWN ((enum schema_draft)0)

/* The keyword of that name in a draft, or KEYWORD_COUNT. */
enum schema_keyword_id schema_find_row(str name, enum schema_draft draft)
{
    for (unsigned i = 0; i < KEYWORD_COUNT; i++)
        if (str_eq(schema_rows[i].name, name))
            return schema_rows[i].drafts & draft ? (enum schema_keyword_id)i : KEYWORD_COUNT;
    return KEYWORD_COUNT;
}

/* ---- drafts and ids -------------------------------------------------------------------------- */

static enum schema_draft draft_of_uri(str uri)
{
    static const struct {
        const char *rest;
        bool https;
        enum schema_draft draft;
    } known[] = {
        {"//json-schema.org/draft-03/schema", false, DRAFT_4}, /* close enough, and rare */
        {"//json-schema.org/draft-04/schema", false, DRAFT_4},
        {"//json-schema.org/draft-06/schema", false, DRAFT_6},
        {"//json-schema.org/draft-07/schema", false, DRAFT_7},
        {"//json-schema.org/draft/2019-09/schema", true, DRAFT_2019},
        {"//json-schema.org/draft/2020-12/schema", true, DRAFT_2020},
    };
    str scheme = str_cut(&uri, ':');

    if (str_ends(uri, STR("#")))
        uri.n--;
    if (str_ends(uri, STR("?")))
        uri.n--;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(uri, str_from(known[i].rest)) &&
            str_eq_nocase(scheme, known[i].https ? STR("https") : STR("http")))
            return known[i].draft;
    return DRAFT_UNKNOWN;
}

enum schema_draft schema_own_draft(const struct json *value, enum schema_draft otherwise)
{
    const struct json *uri = json_get_typed(value, STR("$schema"), JSON_STRING);
    enum schema_draft draft = uri ? draft_of_uri(json_string(uri)) : DRAFT_UNKNOWN;

    return draft == DRAFT_UNKNOWN ? otherwise : draft;
}

/* The text of the id, also when it is only an anchor; none: there is none that counts. */
static str id_text(const struct json *value, enum schema_draft draft)
{
    const struct json *id =
        json_get_typed(value, draft == DRAFT_4 ? STR("id") : STR("$id"), JSON_STRING);

    if (id == NULL || (draft & UNTIL_7 && json_get(value, STR("$ref")) != NULL))
        return STR_NONE;
    return json_string(id);
}

str schema_id(const struct json *value, enum schema_draft draft)
{
    str id = id_text(value, draft);

    if (str_none(id) || (draft & UNTIL_7 && str_starts(id, STR("#"))))
        return STR_NONE;
    while (str_ends(id, STR("#")))
        id.n--;
    return id;
}

/* ---- crawl ----------------------------------------------------------------------------------- */

enum err schema_add_resource(struct json_schema *s, str uri, const struct json *root,
                             struct schema_resource **out)
{
    struct schema_resource *r = ARENA_NEW(&s->arena, struct schema_resource);
    enum err e;

    if (r == NULL)
        return ERR_NOMEM;
    r->uri = uri;
    r->root = root;
    map_init(&r->anchors, &s->arena);
    e = map_put(&s->resources, uri, r);
    if (e == OK)
        e = schema_crawl(s, root, schema_own_draft(root, DRAFT_2020), r);
    if (e == OK)
        *out = r;
    return e;
}

static enum err add_anchor(struct json_schema *s, struct schema_resource *r, str name,
                           const struct json *value, bool dynamic)
{
    struct schema_anchor *anchor = ARENA_NEW(&s->arena, struct schema_anchor);

    if (anchor == NULL)
        return ERR_NOMEM;
    *anchor = (struct schema_anchor){value, dynamic};
    return map_put(&r->anchors, name, anchor);
}

static enum err crawl_anchors(struct json_schema *s, const struct json *value,
                              enum schema_draft draft, struct schema_resource *r)
{
    const struct json *anchor = json_get_typed(value, STR("$anchor"), JSON_STRING);
    const struct json *dynamic = json_get_typed(value, STR("$dynamicAnchor"), JSON_STRING);
    str id = id_text(value, draft);
    enum err e = OK;

    if (draft & UNTIL_7)
        return str_starts(id, STR("#")) && !str_none(id)
                   ? add_anchor(s, r, str_drop(id, 1), value, false)
                   : OK;
    if (anchor != NULL)
        e = add_anchor(s, r, json_string(anchor), value, false);
    if (e == OK && dynamic != NULL && draft == DRAFT_2020)
        e = add_anchor(s, r, json_string(dynamic), value, true);
    return e;
}

static enum err crawl_items(struct json_schema *s, const struct json *array,
                            enum schema_draft draft, struct schema_resource *r)
{
    enum err e = OK;

    for (size_t i = 0; e == OK && i < json_count(array); i++)
        e = schema_crawl(s, json_at(array, i), draft, r);
    return e;
}

static enum err crawl_members(struct json_schema *s, const struct json *object,
                              enum schema_draft draft, struct schema_resource *r)
{
    const struct json_member *m;
    uint32_t at = 0;
    enum err e = OK;

    while (e == OK && json_is(object, JSON_OBJECT) && (m = json_next_member(object, &at)) != NULL)
        e = schema_crawl(s, m->value, draft, r);
    return e;
}

static enum err crawl_keyword(struct json_schema *s, enum schema_shape shape,
                              const struct json *value, enum schema_draft draft,
                              struct schema_resource *r)
{
    switch (shape) {
    case SHAPE_SCHEMA:
        return schema_crawl(s, value, draft, r);
    case SHAPE_SCHEMAS:
        return crawl_items(s, value, draft, r);
    case SHAPE_ITEMS:
        return json_is(value, JSON_ARRAY) ? crawl_items(s, value, draft, r)
                                          : schema_crawl(s, value, draft, r);
    case SHAPE_SCHEMA_MAP:
    case SHAPE_PATTERN_MAP:
    case SHAPE_DEPENDENCIES:
        return crawl_members(s, value, draft, r);
    case SHAPE_ANY:
    case SHAPE_BOOL:
    case SHAPE_NUMBER:
    case SHAPE_FORMAT:
    case SHAPE_ARRAY:
    case SHAPE_STRINGS:
    case SHAPE_TYPES:
    case SHAPE_PATTERN:
    case SHAPE_REF:
    case SHAPE_STRINGS_MAP:
        break;
    }
    return OK;
}

/* A sub-schema with an id begins a resource; the root of one has its resource already. */
static enum err crawl_id(struct json_schema *s, const struct json *value, enum schema_draft draft,
                         struct schema_resource **r)
{
    str id = schema_id(value, draft), uri;
    struct schema_resource *own;
    enum err e;

    if (str_none(id) || value == (*r)->root)
        return OK;
    e = schema_join(s, (*r)->uri, id, &uri);
    if (e != OK)
        return e;
    own = ARENA_NEW(&s->arena, struct schema_resource);
    if (own == NULL)
        return ERR_NOMEM;
    own->uri = uri;
    own->root = value;
    map_init(&own->anchors, &s->arena);
    *r = own;
    return map_put(&s->resources, uri, own);
}

enum err schema_crawl(struct json_schema *s, const struct json *value, enum schema_draft draft,
                      struct schema_resource *r)
{
    const struct json_member *m;
    uint32_t at = 0;
    enum err e;

    if (!json_is(value, JSON_OBJECT))
        return OK;
    draft = schema_own_draft(value, draft);
    e = crawl_id(s, value, draft, &r);
    if (e == OK)
        e = crawl_anchors(s, value, draft, r);
    while (e == OK && (m = json_next_member(value, &at)) != NULL) {
        enum schema_keyword_id id = schema_find_row(m->name, draft);
        if (id != KEYWORD_COUNT)
            e = crawl_keyword(s, schema_rows[id].shape, m->value, draft, r);
    }
    return e;
}
