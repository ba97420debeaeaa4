/*
 * json/schema_evaluated.c - which items or members has a schema looked at? What is left over is for
 * unevaluatedItems and unevaluatedProperties (drafts 2019-09 and 2020-12).
 *
 * The schema is gone through once more, and so are those that apply to the same value: below `$ref`,
 * allOf, anyOf, oneOf, if, then, else and dependentSchemas, as far as the value fits them. This is
 * done where the keyword stands rather than noted while judging, as the reference does: schemas
 * without these keywords (nearly all) pay nothing.
 */
#include "json/schema_private.h"

typedef enum verdict (*marker)(struct run *run, const struct frame *f, const struct json *v,
                               bool *marks);

/* Marks what another schema has looked at, of the same value. */
static enum verdict mark_by(struct run *run, const struct frame *f, const struct schema_keyword *k,
                            const struct schema_node *node, const struct json *v, bool *marks,
                            marker mark)
{
    struct frame inner = {f, k, node, NOWHERE, NOWHERE};
    enum verdict result;

    if (node->kind != NODE_KEYWORDS)
        return VALID;
    if (run->nesting == SCHEMA_MAX_NESTING)
        return schema_stop_limit(run);
    run->nesting++;
    result = schema_spend(run, 1 + json_count(v) / 8) ? mark(run, &inner, v, marks) : STOP;
    run->nesting--;
    return result;
}

static enum verdict mark_by_ref(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v, bool *marks,
                                marker mark)
{
    struct schema_crossing crossing;
    enum verdict result;

    if (!schema_enter(run, f->node, k->ref, false, &crossing))
        return STOP;
    result = mark_by(run, f, k, crossing.node, v, marks, mark);
    schema_leave(run, &crossing);
    return result;
}

/* allOf, anyOf, oneOf: those that the value fits. */
static enum verdict mark_by_fitting(struct run *run, const struct frame *f,
                                    const struct schema_keyword *k, const struct json *v,
                                    bool *marks, marker mark)
{
    for (size_t i = 0; i < k->count; i++) {
        const struct schema_node *node = k->entries[i].node;
        enum verdict result = schema_is_valid(run, f, k, node, v);
        if (result == VALID)
            result = mark_by(run, f, k, node, v, marks, mark);
        if (result == STOP)
            return STOP;
    }
    return VALID;
}

static enum verdict mark_by_if(struct run *run, const struct frame *f,
                               const struct schema_keyword *k, const struct json *v, bool *marks,
                               marker mark)
{
    const struct schema_node *node = k->entries[0].node;
    enum verdict result = schema_is_valid(run, f, k, node, v);
    const struct schema_keyword *branch =
        schema_find_keyword(f->node, result == VALID ? KEYWORD_THEN : KEYWORD_ELSE);

    if (result == VALID)
        result = mark_by(run, f, k, node, v, marks, mark);
    if (result == STOP || branch == NULL)
        return result == STOP ? STOP : VALID;
    return mark_by(run, f, branch, branch->entries[0].node, v, marks, mark);
}

/* The keywords that work alike for arrays and objects. */
static enum verdict mark_by_keyword(struct run *run, const struct frame *f,
                                    const struct schema_keyword *k, const struct json *v,
                                    bool *marks, marker mark)
{
    switch (k->id) {
    case KEYWORD_REF:
    case KEYWORD_DYNAMIC_REF:
    case KEYWORD_RECURSIVE_REF:
        return mark_by_ref(run, f, k, v, marks, mark);
    case KEYWORD_ALL_OF:
    case KEYWORD_ANY_OF:
    case KEYWORD_ONE_OF:
        return mark_by_fitting(run, f, k, v, marks, mark);
    case KEYWORD_IF:
        return mark_by_if(run, f, k, v, marks, mark);
    default: /* the rest looks at no items and no members */
        return VALID;
    }
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static void mark_first(const struct json *v, size_t n, bool *marks)
{
    memset(marks, true, MIN_OF(n, (size_t)v->count));
}

/* How many of the items `items` is for: an array of them ends, unless additionalItems go on. */
static size_t count_by_items(const struct frame *f, const struct schema_keyword *k)
{
    bool ends =
        json_is(k->value, JSON_ARRAY) &&
        (f->node->draft == DRAFT_2020 || json_get(f->node->value, STR("additionalItems")) == NULL);

    return ends ? k->count : SIZE_MAX;
}

static enum verdict mark_fitting_items(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v,
                                       bool *marks)
{
    for (size_t i = 0; i < v->count; i++) {
        enum verdict result = schema_is_valid(run, f, k, k->entries[0].node, v->box->items[i]);
        if (result == STOP)
            return STOP;
        marks[i] = marks[i] || result == VALID;
    }
    return VALID;
}

static enum verdict mark_items(struct run *run, const struct frame *f, const struct json *v,
                               bool *marks)
{
    enum verdict result = VALID;

    for (size_t i = 0; result == VALID && i < f->node->count; i++) {
        const struct schema_keyword *k = &f->node->keywords[i];
        if (k->id == KEYWORD_ITEMS)
            mark_first(v, count_by_items(f, k), marks);
        else if (k->id == KEYWORD_PREFIX_ITEMS)
            mark_first(v, k->count, marks);
        else if (k->id == KEYWORD_CONTAINS || k->id == KEYWORD_UNEVALUATED_ITEMS)
            result = mark_fitting_items(run, f, k, v, marks);
        else
            result = mark_by_keyword(run, f, k, v, marks, mark_items);
    }
    return result;
}

enum verdict schema_check_unevaluated_items(struct run *run, const struct frame *f,
                                            const struct schema_keyword *k, const struct json *v)
{
    bool *marks;
    enum verdict result;

    SPEND(run, 1 + v->count / 8);
    marks = ARENA_NEW_ARRAY(run->arena, bool, v->count);
    if (marks == NULL)
        return schema_stop(run, ERR_NOMEM);
    result = mark_items(run, f, v, marks);
    for (size_t i = 0; result == VALID && i < v->count; i++)
        if (!marks[i])
            return schema_refuse_items(run, f, k, v, "Unevaluated", marks, 0);
    return result;
}

/* ---- objects --------------------------------------------------------------------------------- */

static enum verdict mark_named(struct run *run, const struct json *schemas, const struct json *v,
                               bool *marks)
{
    const struct json_member *m;
    uint32_t at = 0;

    for (size_t i = 0; (m = json_next_member(v, &at)) != NULL; i++) {
        SPEND(run, 1 + SCHEMA_TEXT_STEPS(m->name.n));
        marks[i] = marks[i] || json_get(schemas, m->name) != NULL;
    }
    return VALID;
}

static enum verdict mark_fitting_members(struct run *run, const struct frame *f,
                                         const struct schema_keyword *k, const struct json *v,
                                         bool *marks)
{
    const struct json_member *m;
    uint32_t at = 0;

    for (size_t i = 0; (m = json_next_member(v, &at)) != NULL; i++) {
        enum verdict result = schema_is_valid(run, f, k, k->entries[0].node, m->value);
        if (result == STOP)
            return STOP;
        marks[i] = marks[i] || result == VALID;
    }
    return VALID;
}

static enum verdict mark_matching(struct run *run, const struct schema_keyword *k,
                                  const struct json *v, bool *marks)
{
    const struct json_member *m;
    uint32_t at = 0;

    for (size_t i = 0; (m = json_next_member(v, &at)) != NULL; i++)
        for (size_t p = 0; !marks[i] && p < k->count; p++) {
            enum verdict result = schema_matches(run, &k->entries[p], m->name);
            if (result == STOP)
                return STOP;
            marks[i] = result == VALID;
        }
    return VALID;
}

static enum verdict mark_members(struct run *run, const struct frame *f, const struct json *v,
                                 bool *marks);

static enum verdict mark_by_dependents(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v,
                                       bool *marks)
{
    enum verdict result = VALID;

    SPEND(run, k->cost);
    for (size_t i = 0; result == VALID && i < k->count; i++)
        if (json_get(v, k->entries[i].name) != NULL)
            result = mark_by(run, f, k, k->entries[i].node, v, marks, mark_members);
    return result;
}

static enum verdict mark_members_by(struct run *run, const struct frame *f,
                                    const struct schema_keyword *k, const struct json *v,
                                    bool *marks)
{
    switch (k->id) {
    case KEYWORD_PROPERTIES:
        return mark_named(run, k->value, v, marks);
    case KEYWORD_ADDITIONAL_PROPERTIES:
    case KEYWORD_UNEVALUATED_PROPERTIES:
        return mark_fitting_members(run, f, k, v, marks);
    case KEYWORD_PATTERN_PROPERTIES:
        return mark_matching(run, k, v, marks);
    case KEYWORD_DEPENDENT_SCHEMAS:
        return mark_by_dependents(run, f, k, v, marks);
    default: /* those that are not for objects alone */
        return mark_by_keyword(run, f, k, v, marks, mark_members);
    }
}

static enum verdict mark_members(struct run *run, const struct frame *f, const struct json *v,
                                 bool *marks)
{
    enum verdict result = VALID;

    for (size_t i = 0; result == VALID && i < f->node->count; i++)
        result = mark_members_by(run, f, &f->node->keywords[i], v, marks);
    return result;
}

/* Those of the members that are not marked and do not fit; "Unevaluated properties are ..." */
static enum verdict refuse_unevaluated(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, str *names, size_t n)
{
    bool never = k->entries[0].node->kind == NODE_FALSE;
    struct buf b;

    schema_begin_message(run, &b);
    buf_add_str(&b, never ? STR("Unevaluated properties are not allowed (")
                          : STR("Unevaluated properties are not valid under the given schema ("));
    schema_write_names(&b, names, n, never);
    buf_printf(&b, " %s %s)", n == 1 ? "was" : "were",
               never ? "unexpected" : "unevaluated and invalid");
    return schema_refuse(run, f, k, &b);
}

enum verdict schema_check_unevaluated_properties(struct run *run, const struct frame *f,
                                                 const struct schema_keyword *k,
                                                 const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    size_t i = 0, n = 0;
    bool *marks;
    str *names;

    SPEND(run, 1 + v->count / 8);
    marks = ARENA_NEW_ARRAY(run->arena, bool, v->count);
    names = ARENA_NEW_ARRAY(run->arena, str, v->count);
    if (marks == NULL || names == NULL)
        return schema_stop(run, ERR_NOMEM);
    if (mark_members(run, f, v, marks) == STOP)
        return STOP;
    for (; (m = json_next_member(v, &at)) != NULL; i++) {
        enum verdict result =
            marks[i] ? VALID : schema_is_valid(run, f, k, k->entries[0].node, m->value);
        if (result == STOP)
            return STOP;
        if (result == INVALID)
            names[n++] = m->name;
    }
    if (n == 0)
        return VALID;
    return run->quiet ? INVALID : refuse_unevaluated(run, f, k, names, n);
}
