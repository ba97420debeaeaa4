/*
 * json/schema.c - the table of keywords, the life of a compiled schema, and one validation.
 */
#include "json/schema_private.h"

const struct schema_keyword_row schema_rows[KEYWORD_COUNT] = {
#define X(id, name, drafts, shape, judges, check)                                                  \
    [KEYWORD_##id] = {STR_INIT(name), drafts, SHAPE_##shape, judges, schema_check_##check},
#define HOLDS(id, name, drafts, shape)                                                             \
    [KEYWORD_##id] = {STR_INIT(name), drafts, SHAPE_##shape, 0, NULL},
#include "json/schema_keywords.def"
#undef HOLDS
#undef X
};

/* ---- new and free ---------------------------------------------------------------------------- */

/* The reference takes them out of `required`, and that away when nothing is left. */
static void drop_required(struct json *document, const str *ignored, size_t n)
{
    struct json *required = json_get_typed(document, STR("required"), JSON_ARRAY);

    for (size_t i = json_count(required); i > 0; i--) {
        const struct json *name = json_at(required, i - 1);
        if (json_is(name, JSON_STRING) && str_is_one_of(json_string(name), ignored, n))
            json_remove_at(required, i - 1);
    }
    if (required != NULL && json_count(required) == 0)
        json_remove(document, STR("required"));
}

static struct json_schema *new_schema(bool formats)
{
    struct json_schema *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    arena_init(&s->arena, NULL, 0, NULL, SCHEMA_MAX_ARENA_BYTES);
    map_init(&s->resources, &s->arena);
    map_init(&s->nodes, &s->arena);
    s->formats = formats;
    s->steps = JSON_SCHEMA_STEPS;
    return s;
}

static enum err parse_document(struct json_schema *s, str text)
{
    enum err e;

    text = arena_str(&s->arena, text);
    if (str_none(text))
        return ERR_NOMEM;
    e = json_parse(&s->arena, text, &s->document, NULL);
    if (e == OK && !json_is(s->document, JSON_OBJECT))
        e = ERR_SYNTAX;
    return e;
}

static enum err finish(struct json_schema *s, enum err e, struct json_schema **out)
{
    if (e == ERR_NOMEM && s->arena.over_budget)
        e = ERR_LIMIT;
    if (e == OK)
        *out = s;
    else
        json_schema_free(s);
    return e;
}

enum err json_schema_new(struct json_schema **out, str text, const str *ignored_required, size_t n)
{
    struct json_schema *s = text.n > JSON_SCHEMA_MAX_BYTES ? NULL : new_schema(false);
    enum err e;

    if (s == NULL)
        return text.n > JSON_SCHEMA_MAX_BYTES ? ERR_LIMIT : ERR_NOMEM;
    e = parse_document(s, text);
    if (e == OK) {
        drop_required(s->document, ignored_required, n);
        e = schema_compile(s, s->document);
    }
    return finish(s, e, out);
}

enum err json_schema_new_draft7(struct json_schema **out)
{
    struct json_schema *s = new_schema(true);
    enum err e;

    if (s == NULL)
        return ERR_NOMEM;
    e = parse_document(s, schema_metaschema(STR(SCHEMA_DRAFT7_URI)));
    if (e == OK)
        e = schema_compile(s, s->document);
    return finish(s, e, out);
}

void json_schema_free(struct json_schema *s)
{
    if (s == NULL)
        return;
    for (struct schema_regex *r = s->regexes; r != NULL; r = r->next)
        json_regex_free(r->regex);
    arena_fini(&s->arena);
    free(s);
}

size_t json_schema_bytes(const struct json_schema *s)
{
    return sizeof *s + s->arena.used + s->regex_bytes;
}

/* ---- judging --------------------------------------------------------------------------------- */

uint64_t schema_weigh(const struct json *v)
{
    const struct json_member *m;
    uint64_t sum = 1;
    uint32_t at = 0;

    if (v->type == JSON_STRING || v->type == JSON_NUMBER)
        return sum + SCHEMA_TEXT_STEPS(v->text.n);
    if (v->type == JSON_ARRAY)
        for (uint32_t i = 0; i < v->count; i++)
            sum += schema_weigh(v->box->items[i]);
    while (v->type == JSON_OBJECT && (m = json_next_member(v, &at)) != NULL)
        sum += schema_weigh(m->value) + SCHEMA_TEXT_STEPS(m->name.n);
    return sum;
}

enum err json_schema_validate(const struct json_schema *s, struct arena *a,
                              const struct json *value, uint64_t *steps,
                              struct json_schema_error *error)
{
    struct json_schema_error found = {0};
    struct run run = {.schema = s, .arena = a, .error = &found, .steps = *steps};
    struct frame root = {.node = s->root};
    enum verdict result = schema_run(&run, &root, value);
    enum err e = result == VALID ? OK : result == INVALID ? ERR_RANGE : run.stop;

    json_regex_scratch_fini(&run.scratch);
    *steps = run.steps;
    if (arena_failed(a))
        e = ERR_NOMEM;
    if (e != OK && e != ERR_NOMEM)
        *error = found;
    return e;
}
