/*
 * json/schema_apply.c - applicators: the keywords that put other schemas to the value, or to what is
 * in it.
 */
#include "json/schema_private.h"

/* ---- arrays ---------------------------------------------------------------------------------- */

/* The items from `first` on, each by the same schema. */
static enum verdict each_item(struct run *run, const struct frame *f,
                              const struct schema_keyword *k, const struct json *v, size_t first)
{
    const struct schema_node *node = k->entries[0].node;
    enum verdict result = VALID;

    if (node->kind == NODE_TRUE)
        return VALID;
    for (size_t i = first; result == VALID && i < v->count; i++)
        result = schema_descend(run, f, k, node, v->box->items[i], ITEM(i), NOWHERE);
    return result;
}

/* The items one by one, each by the schema in its place. */
static enum verdict items_in_place(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = VALID;

    for (size_t i = 0; result == VALID && i < v->count && i < k->count; i++)
        result = schema_descend(run, f, k, k->entries[i].node, v->box->items[i], ITEM(i), ITEM(i));
    return result;
}

enum verdict schema_check_prefix_items(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v)
{
    return items_in_place(run, f, k, v);
}

/* `items: false` behind a prefix. */
static enum verdict refuse_rest(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v, size_t prefix)
{
    size_t extra = v->count - prefix;
    struct buf b;

    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    buf_printf(&b, "Expected at most %zu %s but found %zu extra: ", prefix,
               prefix == 1 ? "item" : "items", extra);
    if (extra > 1)
        buf_add_char(&b, '[');
    for (size_t i = prefix; i < v->count; i++) {
        if (i > prefix)
            buf_add_lit(&b, ", ");
        schema_write_value(run, &b, v->box->items[i]);
    }
    if (extra > 1)
        buf_add_char(&b, ']');
    return schema_refuse(run, f, k, &b);
}

enum verdict schema_check_items(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v)
{
    size_t prefix = 0;

    if (json_is(k->value, JSON_ARRAY))
        return items_in_place(run, f, k, v);
    if (f->node->draft == DRAFT_2020)
        prefix = json_count(json_get_typed(f->node->value, STR("prefixItems"), JSON_ARRAY));
    if (v->count <= prefix)
        return VALID;
    if (f->node->draft == DRAFT_2020 && k->entries[0].node->kind == NODE_FALSE)
        return refuse_rest(run, f, k, v, prefix);
    return each_item(run, f, k, v, prefix);
}

enum verdict schema_refuse_items(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v,
                                 const char *what, const bool *marks, size_t first)
{
    size_t n = 0;
    struct buf b;

    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    buf_printf(&b, "%s items are not allowed (", what);
    for (size_t i = first; i < v->count; i++) {
        if (marks != NULL && marks[i])
            continue;
        if (n++ > 0)
            buf_add_lit(&b, ", ");
        schema_write_value(run, &b, v->box->items[i]);
    }
    buf_printf(&b, " %s unexpected)", n == 1 ? "was" : "were");
    return schema_refuse(run, f, k, &b);
}

enum verdict schema_check_additional_items(struct run *run, const struct frame *f,
                                           const struct schema_keyword *k, const struct json *v)
{
    const struct json *items = json_get_typed(f->node->value, STR("items"), JSON_ARRAY);

    if (items == NULL || v->count <= items->count)
        return VALID;
    if (k->entries[0].node->kind == NODE_FALSE)
        return schema_refuse_items(run, f, k, v, "Additional", NULL, items->count);
    return each_item(run, f, k, v, items->count);
}

/* minContains or maxContains; false: not there. */
static bool contains_bound(const struct frame *f, str name, const struct json **value,
                           double *bound)
{
    if (!(f->node->draft & SINCE_2019))
        return false;
    *value = json_get_typed(f->node->value, name, JSON_NUMBER);
    if (*value != NULL)
        *bound = json_to_double(*value);
    return *value != NULL;
}

static enum verdict refuse_too_many(struct run *run, const struct frame *f,
                                    const struct schema_keyword *k, const struct json *most)
{
    struct buf b;

    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    buf_add_lit(&b, "Too many items match the given schema (expected at most ");
    schema_write_value(run, &b, most);
    buf_add_char(&b, ')');
    return schema_refuse(run, f, k, &b);
}

static enum verdict refuse_too_few(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v,
                                   const struct json *least, size_t matches)
{
    struct buf b;

    if (matches == 0)
        return schema_refuse_value(run, f, k, v,
                                   " does not contain items matching the given schema");
    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    buf_add_lit(&b, "Too few items match the given schema (expected at least ");
    schema_write_value(run, &b, least);
    buf_printf(&b, " but only %zu matched)", matches);
    return schema_refuse(run, f, k, &b);
}

/* Drafts 6 and 7 say it in their own way. */
static enum verdict refuse_none(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    buf_add_lit(&b, "None of ");
    schema_write_value(run, &b, v);
    buf_add_lit(&b, " are valid under the given schema");
    return schema_refuse(run, f, k, &b);
}

enum verdict schema_check_contains(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v)
{
    const struct json *least = NULL, *most = NULL;
    double min = 1, max = 0;
    bool bounded;
    size_t matches = 0;

    contains_bound(f, STR("minContains"), &least, &min);
    bounded = contains_bound(f, STR("maxContains"), &most, &max);
    for (size_t i = 0; i < v->count; i++) {
        enum verdict result = schema_is_valid(run, f, k, k->entries[0].node, v->box->items[i]);
        if (result == STOP)
            return STOP;
        matches += result == VALID;
        if (result == VALID && !bounded && (double)matches >= min)
            return VALID;
        if (bounded && (double)matches > max)
            return refuse_too_many(run, f, k, most);
    }
    if ((double)matches >= min)
        return VALID;
    return f->node->draft & UNTIL_7 ? refuse_none(run, f, k, v)
                                    : refuse_too_few(run, f, k, v, least, matches);
}

/* ---- objects --------------------------------------------------------------------------------- */

enum verdict schema_check_properties(struct run *run, const struct frame *f,
                                     const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = VALID;

    for (size_t i = 0; result == VALID && i < k->count; i++) {
        const struct schema_entry *p = &k->entries[i];
        const struct json *member = json_get(v, p->name);
        if (member != NULL)
            result = schema_descend(run, f, k, p->node, member, MEMBER(p->name), MEMBER(p->name));
    }
    return result;
}

enum verdict schema_check_pattern_properties(struct run *run, const struct frame *f,
                                             const struct schema_keyword *k, const struct json *v)
{
    const struct json_member *m;
    enum verdict result = VALID;

    for (size_t i = 0; i < k->count; i++) {
        uint32_t at = 0;
        while ((m = json_next_member(v, &at)) != NULL) {
            result = schema_matches(run, &k->entries[i], m->name);
            if (result == VALID)
                result = schema_descend(run, f, k, k->entries[i].node, m->value, MEMBER(m->name),
                                        MEMBER(k->entries[i].name));
            else if (result == INVALID)
                continue;
            if (result != VALID)
                return result;
        }
    }
    return VALID;
}

/* Is the member covered by one of the patterns? The reference joins them to one, and an empty one
 * alone is none to it. */
static enum verdict covered_by_pattern(struct run *run, const struct schema_keyword *patterns,
                                       str name)
{
    if (patterns == NULL || (patterns->count == 1 && patterns->entries[0].name.n == 0))
        return INVALID;
    for (size_t i = 0; i < patterns->count; i++) {
        enum verdict result = schema_matches(run, &patterns->entries[i], name);
        if (result != INVALID)
            return result;
    }
    return INVALID;
}

/* "'a', 'b' were unexpected", or by patterns. */
static enum verdict refuse_extras(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, str *extras, size_t n)
{
    const struct json *patterns = json_get(f->node->value, STR("patternProperties"));
    const struct json_member *m;
    uint32_t at = 0;
    struct buf b;
    str *names;
    size_t count = 0;

    schema_begin_message(run, &b);
    if (patterns == NULL) {
        buf_add_lit(&b, "Additional properties are not allowed (");
        schema_write_names(&b, extras, n, true);
        buf_printf(&b, " %s unexpected)", n == 1 ? "was" : "were");
        return schema_refuse(run, f, k, &b);
    }
    names = ARENA_NEW_ARRAY(run->arena, str, json_count(patterns));
    if (names == NULL)
        return schema_stop(run, ERR_NOMEM);
    while (json_is(patterns, JSON_OBJECT) && (m = json_next_member(patterns, &at)) != NULL)
        names[count++] = m->name;
    schema_write_names(&b, extras, n, true);
    buf_printf(&b, " %s not match any of the regexes: ", n == 1 ? "does" : "do");
    schema_write_names(&b, names, count, true);
    return schema_refuse(run, f, k, &b);
}

/* Goes over the members that neither `properties` nor `patternProperties` name. */
static enum verdict next_extra(struct run *run, const struct frame *f, const struct json *v,
                               uint32_t *at, const struct json_member **out)
{
    const struct json *properties = json_get(f->node->value, STR("properties"));
    const struct schema_keyword *patterns =
        schema_find_keyword(f->node, KEYWORD_PATTERN_PROPERTIES);

    while ((*out = json_next_member(v, at)) != NULL) {
        enum verdict covered;
        SPEND(run, 1 + SCHEMA_TEXT_STEPS((*out)->name.n));
        if (json_get(properties, (*out)->name) != NULL)
            continue;
        covered = covered_by_pattern(run, patterns, (*out)->name);
        if (covered != VALID)
            return covered == STOP ? STOP : VALID;
    }
    return VALID;
}

static enum verdict no_extras(struct run *run, const struct frame *f,
                              const struct schema_keyword *k, const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    size_t n = 0;
    str *extras = NULL;

    for (;;) {
        enum verdict result = next_extra(run, f, v, &at, &m);
        if (result != VALID)
            return result;
        if (m == NULL)
            return n == 0 ? VALID : refuse_extras(run, f, k, extras, n);
        if (run->quiet)
            return INVALID;
        if (extras == NULL)
            extras = ARENA_NEW_ARRAY(run->arena, str, v->count);
        if (extras == NULL)
            return schema_stop(run, ERR_NOMEM);
        extras[n++] = m->name;
    }
}

enum verdict schema_check_additional_properties(struct run *run, const struct frame *f,
                                                const struct schema_keyword *k,
                                                const struct json *v)
{
    const struct schema_node *node = k->entries[0].node;
    const struct json_member *m;
    uint32_t at = 0;
    enum verdict result;

    if (node->kind == NODE_TRUE)
        return VALID;
    if (node->kind == NODE_FALSE)
        return no_extras(run, f, k, v);
    for (;;) {
        result = next_extra(run, f, v, &at, &m);
        if (result != VALID || m == NULL)
            return result;
        result = schema_descend(run, f, k, node, m->value, MEMBER(m->name), NOWHERE);
        if (result != VALID)
            return result;
    }
}

enum verdict schema_check_property_names(struct run *run, const struct frame *f,
                                         const struct schema_keyword *k, const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    enum verdict result = VALID;

    while (result == VALID && (m = json_next_member(v, &at)) != NULL) {
        struct json name = {.type = JSON_STRING, .text = m->name};
        result = schema_descend(run, f, k, k->entries[0].node, &name, NOWHERE, NOWHERE);
    }
    return result;
}

/* The names that must be there because another is. */
static enum verdict depends_on(struct run *run, const struct frame *f,
                               const struct schema_keyword *k, const struct schema_entry *entry,
                               const struct json *v)
{
    str name = schema_missing(v, entry->strings);

    return str_none(name)
               ? VALID
               : schema_refuse_missing(run, f, k, name, " is a dependency of ", entry->name);
}

enum verdict schema_check_dependencies(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = VALID;

    for (size_t i = 0; result == VALID && i < k->count; i++) {
        const struct schema_entry *entry = &k->entries[i];
        if (json_get(v, entry->name) == NULL)
            continue;
        if (entry->strings != NULL)
            result = depends_on(run, f, k, entry, v);
        else if (k->id != KEYWORD_DEPENDENT_REQUIRED)
            result = schema_descend(run, f, k, entry->node, v, NOWHERE, MEMBER(entry->name));
    }
    return result;
}

/* ---- several schemas ------------------------------------------------------------------------- */

enum verdict schema_check_all_of(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = VALID;

    for (size_t i = 0; result == VALID && i < k->count; i++)
        result = schema_descend(run, f, k, k->entries[i].node, v, NOWHERE, ITEM(i));
    return result;
}

/* The next from *i on that the value fits; VALID: *i is it; INVALID: none is left. */
static enum verdict next_fitting(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v, size_t *i)
{
    for (; *i < k->count; ++*i) {
        enum verdict result = schema_is_valid(run, f, k, k->entries[*i].node, v);
        if (result != INVALID)
            return result;
    }
    return INVALID;
}

#define NONE_FITS " is not valid under any of the given schemas"

enum verdict schema_check_any_of(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v)
{
    size_t i = 0;
    enum verdict result = next_fitting(run, f, k, v, &i);

    return result == INVALID ? schema_refuse_value(run, f, k, v, NONE_FITS) : result;
}

enum verdict schema_check_one_of(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v)
{
    size_t first = 0, i;
    enum verdict result = next_fitting(run, f, k, v, &first);
    struct buf b;
    bool several = false;

    if (result != VALID)
        return result == STOP ? STOP : schema_refuse_value(run, f, k, v, NONE_FITS);
    schema_begin_message(run, &b);
    for (i = first + 1; (result = next_fitting(run, f, k, v, &i)) == VALID; i++) {
        if (run->quiet)
            return INVALID;
        if (!several) {
            schema_write_value(run, &b, v);
            buf_add_lit(&b, " is valid under each of ");
        }
        several = true;
        schema_write_value(run, &b, json_at(k->value, i));
        buf_add_lit(&b, ", ");
    }
    if (result == STOP || !several)
        return result == STOP ? STOP : VALID;
    schema_write_value(run, &b, json_at(k->value, first));
    return schema_refuse(run, f, k, &b);
}

enum verdict schema_check_not(struct run *run, const struct frame *f,
                              const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = schema_is_valid(run, f, k, k->entries[0].node, v);

    if (result != VALID)
        return result == STOP ? STOP : VALID;
    return schema_refuse_pair(run, f, k, v, " should not be valid under ", k->value);
}

enum verdict schema_check_if(struct run *run, const struct frame *f, const struct schema_keyword *k,
                             const struct json *v)
{
    enum verdict result = schema_is_valid(run, f, k, k->entries[0].node, v);
    const struct schema_keyword *branch;
    str name = result == VALID ? STR("then") : STR("else");

    if (result == STOP)
        return STOP;
    branch = schema_find_keyword(f->node, result == VALID ? KEYWORD_THEN : KEYWORD_ELSE);
    return branch ? schema_descend(run, f, k, branch->entries[0].node, v, NOWHERE, MEMBER(name))
                  : VALID;
}
