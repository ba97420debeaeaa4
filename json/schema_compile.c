/*
 * json/schema_compile.c - from a document to nodes.
 *
 * 1. Crawl (schema_crawl.c): every place where the draft expects a schema is looked at for an id and
 *    for anchors. 2. Compile: the root and all below it become nodes. 3. References that were met on
 *    the way are resolved, and what they lead to is compiled, which may meet more references; until
 *    none is left. A value is compiled once for each draft that reads it, so this ends.
 */
#include "json/schema_private.h"

#define DRAFT_UNKNOWN ((enum schema_draft)0)

/* ---- nodes ----------------------------------------------------------------------------------- */

static const struct schema_node node_true = {.kind = NODE_TRUE};
static const struct schema_node node_false = {.kind = NODE_FALSE};
static const struct schema_node node_bad = {.kind = NODE_BAD};

static enum err compile_node(struct json_schema *s, const struct json *value,
                             enum schema_draft draft, const struct schema_resource *resource,
                             const struct schema_node **out);

const struct schema_node *schema_find_node(const struct json_schema *s, const struct json *value,
                                           enum schema_draft draft)
{
    struct schema_node_key key = {(uintptr_t)value, schema_own_draft(value, draft)};

    return map_get(&s->nodes, (str){(const char *)&key, sizeof key});
}

static enum err add_regex(struct json_schema *s, str pattern, const struct json_regex **out)
{
    struct schema_regex *link = ARENA_NEW(&s->arena, struct schema_regex);
    enum err e = link ? json_regex_new(&link->regex, pattern, &s->steps, NULL) : ERR_NOMEM;

    if (e == ERR_SYNTAX || e == ERR_UNSUPPORTED) /* told when it is needed */
        return OK;
    if (e != OK)
        return e;
    link->next = s->regexes;
    s->regexes = link;
    s->regex_bytes += json_regex_bytes(link->regex);
    *out = link->regex;
    return s->regex_bytes > SCHEMA_MAX_REGEX_BYTES ? ERR_LIMIT : OK;
}

static bool all_strings(const struct json *v)
{
    if (!json_is(v, JSON_ARRAY))
        return false;
    for (size_t i = 0; i < json_count(v); i++)
        if (!json_is(json_at(v, i), JSON_STRING))
            return false;
    return true;
}

static unsigned type_bit(str name)
{
    static const struct {
        const char *name;
        unsigned bit;
    } types[] = {
        {"null", TYPE_BIT(JSON_NULL)},     {"boolean", TYPE_BIT(JSON_BOOL)},
        {"number", TYPE_BIT(JSON_NUMBER)}, {"integer", TYPE_INTEGER},
        {"string", TYPE_BIT(JSON_STRING)}, {"array", TYPE_BIT(JSON_ARRAY)},
        {"object", TYPE_BIT(JSON_OBJECT)},
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (str_eq(name, str_from(types[i].name)))
            return types[i].bit;
    return 0;
}

static unsigned type_bits(const struct json *v)
{
    unsigned bits = 0;

    if (json_is(v, JSON_STRING))
        return type_bit(json_string(v));
    for (size_t i = 0; i < json_count(v); i++)
        bits |= type_bit(json_string(json_at(v, i)));
    return bits;
}

/* The place that a keyword's sub-schemas are compiled for. */
struct place {
    struct json_schema *s;
    enum schema_draft draft;
    const struct schema_resource *resource;
};

static enum err compile_one(const struct place *p, const struct json *value,
                            struct schema_entry *entry)
{
    return compile_node(p->s, value, p->draft, p->resource, &entry->node);
}

static enum err add_entries(const struct place *p, struct schema_keyword *k, size_t n)
{
    k->entries = ARENA_NEW_ARRAY(&p->s->arena, struct schema_entry, n);
    k->count = n;
    return k->entries ? OK : ERR_NOMEM;
}

static enum err compile_list(const struct place *p, struct schema_keyword *k)
{
    enum err e = add_entries(p, k, json_count(k->value));

    for (size_t i = 0; e == OK && i < k->count; i++)
        e = compile_one(p, json_at(k->value, i), &k->entries[i]);
    return e;
}

static enum err compile_single(const struct place *p, struct schema_keyword *k)
{
    enum err e = add_entries(p, k, 1);

    return e == OK ? compile_one(p, k->value, &k->entries[0]) : e;
}

static enum err compile_pattern(const struct place *p, struct schema_keyword *k)
{
    enum err e = add_entries(p, k, 1);

    if (e != OK)
        return e;
    k->entries[0].name = json_string(k->value);
    return add_regex(p->s, json_string(k->value), &k->entries[0].regex);
}

/* Members: schemas, or lists of names where `strings` allows them. */
static enum err compile_map(const struct place *p, struct schema_keyword *k, bool strings,
                            bool patterns)
{
    const struct json_member *m;
    uint32_t at = 0;
    enum err e = add_entries(p, k, json_count(k->value));

    for (struct schema_entry *entry = k->entries;
         e == OK && (m = json_next_member(k->value, &at)) != NULL; entry++) {
        entry->name = m->name;
        if (strings && all_strings(m->value))
            entry->strings = m->value;
        else
            e = compile_one(p, m->value, entry);
        if (e == OK && patterns)
            e = add_regex(p->s, m->name, &entry->regex);
    }
    return e;
}

static enum err compile_ref(const struct place *p, struct schema_keyword *k)
{
    struct schema_ref *ref = ARENA_NEW(&p->s->arena, struct schema_ref);

    if (ref == NULL)
        return ERR_NOMEM;
    ref->recursive = k->id == KEYWORD_RECURSIVE_REF;
    ref->text = ref->recursive ? STR("#") : json_string(k->value);
    ref->draft = p->draft;
    ref->resource = p->resource; /* that it stands in, until it is resolved */
    ref->next = p->s->pending;
    p->s->pending = ref;
    k->ref = ref;
    return OK;
}

/* Has the value the type that its shape asks for? */
static bool has_shape(const struct json_schema *s, enum schema_shape shape, const struct json *v)
{
    switch (shape) {
    case SHAPE_ANY:
        return true;
    case SHAPE_BOOL:
        return json_is(v, JSON_BOOL);
    case SHAPE_NUMBER:
        return json_is(v, JSON_NUMBER);
    case SHAPE_FORMAT:
        return s->formats && json_is(v, JSON_STRING);
    case SHAPE_STRINGS:
        return all_strings(v);
    case SHAPE_TYPES:
        return json_is(v, JSON_STRING) || all_strings(v);
    case SHAPE_PATTERN:
    case SHAPE_REF:
        return json_is(v, JSON_STRING);
    case SHAPE_ARRAY:
    case SHAPE_SCHEMAS:
        return json_is(v, JSON_ARRAY);
    case SHAPE_SCHEMA:
        return json_is(v, JSON_OBJECT) || json_is(v, JSON_BOOL);
    case SHAPE_ITEMS:
        return json_is(v, JSON_OBJECT) || json_is(v, JSON_BOOL) || json_is(v, JSON_ARRAY);
    case SHAPE_SCHEMA_MAP:
    case SHAPE_PATTERN_MAP:
    case SHAPE_STRINGS_MAP:
    case SHAPE_DEPENDENCIES:
        break;
    }
    return json_is(v, JSON_OBJECT);
}

static enum err compile_value(const struct place *p, struct schema_keyword *k)
{
    switch (k->row->shape) {
    case SHAPE_NUMBER:
        k->number = json_to_double(k->value);
        return OK;
    case SHAPE_TYPES:
        k->types = type_bits(k->value);
        return OK;
    case SHAPE_PATTERN:
        return compile_pattern(p, k);
    case SHAPE_REF:
        return compile_ref(p, k);
    case SHAPE_SCHEMA:
        return compile_single(p, k);
    case SHAPE_SCHEMAS:
        return compile_list(p, k);
    case SHAPE_ITEMS:
        return json_is(k->value, JSON_ARRAY) ? compile_list(p, k) : compile_single(p, k);
    case SHAPE_SCHEMA_MAP:
        return compile_map(p, k, false, false);
    case SHAPE_PATTERN_MAP:
        return compile_map(p, k, false, true);
    case SHAPE_STRINGS_MAP:
    case SHAPE_DEPENDENCIES:
        return compile_map(p, k, true, false);
    case SHAPE_ANY:
    case SHAPE_BOOL:
    case SHAPE_FORMAT:
    case SHAPE_ARRAY:
    case SHAPE_STRINGS:
        break;
    }
    return OK;
}

static uint64_t cost_of_names(const struct schema_keyword *k)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < k->count; i++) {
        const struct schema_entry *entry = &k->entries[i];
        sum += 1 + SCHEMA_TEXT_STEPS(entry->name.n);
        if (entry->strings != NULL)
            sum += schema_weigh(entry->strings);
    }
    return sum;
}

/* What a keyword takes whenever it judges, whatever the value. */
static uint64_t cost_of(const struct schema_keyword *k)
{
    switch (k->row->shape) {
    case SHAPE_NUMBER:
        return SCHEMA_TEXT_STEPS(k->value->text.n);
    case SHAPE_STRINGS:
        return schema_weigh(k->value);
    case SHAPE_SCHEMA_MAP:
    case SHAPE_STRINGS_MAP:
    case SHAPE_DEPENDENCIES:
        return cost_of_names(k);
    default: /* those that spend as they go */
        return 0;
    }
}

/* Up to draft 7 a `$ref` hides what stands beside it. */
static bool is_hidden(const struct schema_node *node, enum schema_keyword_id id)
{
    return node->draft & UNTIL_7 && id != KEYWORD_REF &&
           json_get_typed(node->value, STR("$ref"), JSON_STRING) != NULL;
}

static enum err compile_keywords(struct json_schema *s, struct schema_node *node)
{
    struct place p = {s, node->draft, node->resource};
    const struct json_member *m;
    uint32_t at = 0;
    enum err e = OK;

    node->keywords = ARENA_NEW_ARRAY(&s->arena, struct schema_keyword, json_count(node->value));
    if (node->keywords == NULL)
        return ERR_NOMEM;
    while (e == OK && (m = json_next_member(node->value, &at)) != NULL) {
        enum schema_keyword_id id = schema_find_row(m->name, node->draft);
        if (id == KEYWORD_COUNT || is_hidden(node, id) ||
            !has_shape(s, schema_rows[id].shape, m->value))
            continue;
        struct schema_keyword *k = &node->keywords[node->count++];
        k->id = id;
        k->row = &schema_rows[id];
        k->value = m->value;
        e = compile_value(&p, k);
        if (e == OK)
            k->cost = cost_of(k);
    }
    return e;
}

static enum err compile_node(struct json_schema *s, const struct json *value,
                             enum schema_draft draft, const struct schema_resource *resource,
                             const struct schema_node **out)
{
    struct schema_node *node;
    enum err e;

    if (!json_is(value, JSON_OBJECT)) {
        *out = !json_is(value, JSON_BOOL) ? &node_bad : json_bool(value) ? &node_true : &node_false;
        return OK;
    }
    *out = schema_find_node(s, value, draft);
    if (*out != NULL)
        return OK;
    node = ARENA_NEW(&s->arena, struct schema_node);
    if (node == NULL)
        return ERR_NOMEM;
    node->kind = NODE_KEYWORDS;
    node->draft = schema_own_draft(value, draft);
    node->key = (struct schema_node_key){(uintptr_t)value, node->draft};
    node->value = value;
    node->resource = resource;
    *out = node;
    e = schema_own_resource(s, value, node->draft, &node->resource);
    if (e == OK)
        e = map_put(&s->nodes, (str){(const char *)&node->key, sizeof node->key}, node);
    return e == OK ? compile_keywords(s, node) : e;
}

/* ---- references ------------------------------------------------------------------------------ */

static enum err compile_anchors(struct json_schema *s, const struct schema_resource *r,
                                enum schema_draft draft)
{
    size_t it = 0;
    str name;
    void *found;
    enum err e = OK;

    while (e == OK && map_next(&r->anchors, &it, &name, &found)) {
        const struct schema_anchor *anchor = found;
        const struct schema_node *ignored;
        if (anchor->dynamic)
            e = compile_node(s, anchor->value, draft, r, &ignored);
    }
    return e;
}

/*
 * What a dynamic reference means is known only while judging: whatever it may mean is compiled, the
 * dynamic anchors and (for $recursiveRef) the roots of all resources. Once for a draft.
 */
static enum err compile_dynamic(struct json_schema *s, enum schema_draft draft)
{
    size_t it = 0;
    str uri;
    void *found;
    enum err e = OK;

    if (s->dynamic_drafts & draft)
        return OK;
    s->dynamic_drafts |= draft;
    while (e == OK && map_next(&s->resources, &it, &uri, &found)) {
        const struct schema_resource *r = found;
        const struct schema_node *ignored;
        e = compile_anchors(s, r, draft);
        if (e == OK && draft == DRAFT_2019)
            e = compile_node(s, r->root, draft, r, &ignored);
    }
    return e;
}

static enum err follow_one(struct json_schema *s, struct schema_ref *ref)
{
    const struct json *value = NULL;
    const struct schema_resource *from = ref->resource;
    enum err e;

    ref->resource = NULL;
    e = schema_resolve(s, ref, from, &value);
    if (e == OK && ref->result == REF_FOUND)
        e = compile_node(s, value, ref->draft, ref->resource, &ref->node);
    if (e == OK && (ref->dynamic || ref->recursive))
        e = compile_dynamic(s, ref->draft);
    return e;
}

static enum err follow_references(struct json_schema *s)
{
    enum err e = OK;

    while (e == OK && s->pending != NULL) {
        struct schema_ref *ref = s->pending;
        s->pending = ref->next;
        e = follow_one(s, ref);
    }
    return e;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool has_array_items(const struct json *v);

static bool any_has_array_items(const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;

    for (size_t i = 0; json_is(v, JSON_ARRAY) && i < json_count(v); i++)
        if (has_array_items(json_at(v, i)))
            return true;
    while (json_is(v, JSON_OBJECT) && (m = json_next_member(v, &at)) != NULL)
        if (has_array_items(m->value))
            return true;
    return false;
}

/* Does a schema below `v` have `items` in the form that draft 2020-12 has given up? */
static bool has_array_items(const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;

    if (!json_is(v, JSON_OBJECT))
        return false;
    if (json_get_typed(v, STR("items"), JSON_ARRAY) != NULL)
        return true;
    while ((m = json_next_member(v, &at)) != NULL) {
        enum schema_keyword_id id = schema_find_row(m->name, ALL);
        enum schema_shape shape = id == KEYWORD_COUNT ? SHAPE_ANY : schema_rows[id].shape;
        bool one = shape == SHAPE_SCHEMA || shape == SHAPE_ITEMS;
        bool more = shape == SHAPE_SCHEMAS || shape == SHAPE_SCHEMA_MAP ||
                    shape == SHAPE_PATTERN_MAP || shape == SHAPE_DEPENDENCIES;
        if ((one && has_array_items(m->value)) || (more && any_has_array_items(m->value)))
            return true;
    }
    return false;
}

enum err schema_compile(struct json_schema *s, struct json *document)
{
    enum schema_draft draft = schema_own_draft(document, DRAFT_UNKNOWN);
    struct schema_resource *root = ARENA_NEW(&s->arena, struct schema_resource);
    str id;
    enum err e;

    if (draft == DRAFT_UNKNOWN)
        draft = has_array_items(document) ? DRAFT_7 : DRAFT_2020;
    if (root == NULL)
        return ERR_NOMEM;
    id = schema_id(document, draft);
    root->uri = str_none(id) ? STR("") : id;
    root->root = document;
    map_init(&root->anchors, &s->arena);
    e = map_put(&s->resources, root->uri, root);
    if (e == OK)
        e = schema_crawl(s, document, draft, root);
    if (e == OK)
        e = compile_node(s, document, draft, root, &s->root);
    return e == OK ? follow_references(s) : e;
}
