/*
 * json/schema_check.c - what each keyword judges, and how a refusal reads.
 *
 * A check answers VALID, INVALID (told in run->error, unless the run is quiet: below anyOf, not, if
 * and their like nobody sees it, and no message is made), or STOP, which nothing goes on after: the
 * budget is spent, a reference leads nowhere, or there is no memory.
 *
 * Cost: every keyword takes a step, and every loop over something of the schema or the value takes
 * as many as it has rounds.
 */
#include "json/schema_private.h"
#include <math.h>

#define NOWHERE   ((struct where){.kind = WHERE_NONE})
#define MEMBER(s) ((struct where){.kind = WHERE_NAME, .name = (s)})
#define ITEM(i)   ((struct where){.kind = WHERE_INDEX, .index = (i)})

/* ---- refusing -------------------------------------------------------------------------------- */

static void tell_place(struct json_schema_error *e, const struct frame *f)
{
    while (f != NULL && f->path.kind == WHERE_NONE)
        f = f->up;
    e->at = JSON_SCHEMA_AT_ROOT;
    if (f == NULL)
        return;
    e->at = f->path.kind == WHERE_NAME ? JSON_SCHEMA_AT_MEMBER : JSON_SCHEMA_AT_ITEM;
    e->member = f->path.name;
    e->item = f->path.index;
}

static void begin_message(struct run *run, struct buf *b)
{
    buf_init_arena(b, run->arena, 256 * MIB);
}

static enum verdict stop(struct run *run, enum err e)
{
    run->stop = e;
    return STOP;
}

static enum verdict refuse(struct run *run, const struct frame *f, const struct schema_keyword *k,
                           const struct buf *message)
{
    struct json_schema_error *e = run->error;

    if (buf_failed(message))
        return stop(run, ERR_NOMEM);
    e->message = buf_str(message);
    e->keyword = str_from(schema_keyword_names[k->id]);
    e->keyword_value = k->value;
    tell_place(e, f);
    return INVALID;
}

/* "<value> text" */
static enum verdict refuse_value(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v,
                                 const char *text)
{
    struct buf b;

    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    json_write_repr(&b, v);
    buf_add_str(&b, str_from(text));
    return refuse(run, f, k, &b);
}

/* "<value> text <other>" */
static enum verdict refuse_pair(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v,
                                const char *text, const struct json *other)
{
    struct buf b;

    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    json_write_repr(&b, v);
    buf_add_str(&b, str_from(text));
    json_write_repr(&b, other);
    return refuse(run, f, k, &b);
}

static enum verdict stop_message(struct run *run, enum err e, const struct buf *message)
{
    if (buf_failed(message))
        return stop(run, ERR_NOMEM);
    run->error->message = buf_str(message);
    return stop(run, e);
}

enum verdict schema_stop_limit(struct run *run)
{
    run->error->message = STR("The schema takes too long to check");
    return stop(run, ERR_LIMIT);
}

bool schema_spend(struct run *run, uint64_t steps)
{
    if (run->steps < steps) {
        schema_stop_limit(run);
        return false;
    }
    run->steps -= steps;
    return true;
}

#define SPEND(run, n)                                                                              \
    do {                                                                                           \
        if (!schema_spend((run), (n)))                                                             \
            return STOP;                                                                           \
    } while (0)

/* ---- going down ------------------------------------------------------------------------------ */

static const schema_check checks[KEYWORD_COUNT];

enum verdict schema_run(struct run *run, const struct frame *f, const struct json *v)
{
    enum verdict result = VALID;

    if (run->nesting == SCHEMA_MAX_NESTING) {
        run->error->message = STR("The schema refers to itself without end, or nests too deeply");
        return stop(run, ERR_LIMIT);
    }
    run->nesting++;
    for (size_t i = 0; result == VALID && i < f->node->count; i++) {
        const struct schema_keyword *k = &f->node->keywords[i];
        if (checks[k->id] == NULL)
            continue;
        result = schema_spend(run, 1) ? checks[k->id](run, f, k, v) : STOP;
    }
    run->nesting--;
    return result;
}

static bool names_its_step(const struct schema_keyword *k)
{
    return k->id != KEYWORD_IF && k->id != KEYWORD_REF;
}

/*
 * The schema `false`. The reference does not count the step that led to it, neither in the value nor
 * in the schema, and calls it by what is left of the way through the schema.
 */
static enum verdict refuse_false(struct run *run, const struct frame *up,
                                 const struct schema_keyword *via, const struct json *v)
{
    struct json_schema_error *e = run->error;
    struct buf b;

    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    buf_add_lit(&b, "False schema does not allow ");
    json_write_repr(&b, v);
    if (buf_failed(&b))
        return stop(run, ERR_NOMEM);
    e->message = buf_str(&b);
    e->keyword_value = NULL;
    e->keyword = STR_NONE;
    tell_place(e, up);
    for (; via != NULL; via = up->via, up = up->up) {
        if (names_its_step(via)) {
            e->keyword = str_from(schema_keyword_names[via->id]);
            return INVALID;
        }
        if (up->at.kind == WHERE_NAME)
            e->keyword = up->at.name;
        if (up->at.kind == WHERE_INDEX)
            e->keyword = arena_printf(run->arena, "%zu", up->at.index);
        if (!str_none(e->keyword))
            return INVALID;
    }
    return INVALID;
}

static enum verdict stop_bad(struct run *run)
{
    run->error->message = STR("A reference leads to what is no schema");
    return stop(run, ERR_NOTFOUND);
}

static enum verdict descend(struct run *run, const struct frame *f,
                            const struct schema_keyword *via, const struct schema_node *node,
                            const struct json *v, struct where path, struct where at)
{
    struct frame inner = {f, via, node, path, at};

    switch (node->kind) {
    case NODE_TRUE:
        return VALID;
    case NODE_FALSE:
        return refuse_false(run, f, via, v);
    case NODE_BAD:
        return stop_bad(run);
    case NODE_KEYWORDS:
        break;
    }
    return schema_run(run, &inner, v);
}

enum verdict schema_is_valid(struct run *run, const struct frame *f, const struct schema_keyword *k,
                             const struct schema_node *node, const struct json *v)
{
    bool quiet = run->quiet;
    enum verdict result;

    run->quiet = true;
    result = descend(run, f, k, node, v, NOWHERE, NOWHERE);
    run->quiet = quiet;
    return result;
}

const struct schema_keyword *schema_find_keyword(const struct schema_node *node,
                                                 enum schema_keyword_id id)
{
    for (size_t i = 0; i < node->count; i++)
        if (node->keywords[i].id == id)
            return &node->keywords[i];
    return NULL;
}

/* ---- references ------------------------------------------------------------------------------ */

/* The outermost resource on the way here that has a dynamic anchor of that name decides. */
static const struct schema_node *follow_dynamic(struct run *run, const struct schema_ref *ref,
                                                const struct scope *scope)
{
    const struct schema_node *node = ref->node;

    for (; scope != NULL; scope = scope->behind) {
        const struct schema_anchor *anchor = map_get(&scope->resource->anchors, ref->fragment);
        if (anchor == NULL || !anchor->dynamic)
            continue;
        const struct schema_node *found = schema_find_node(run->schema, anchor->value, ref->draft);
        node = found ? found : node;
    }
    return node;
}

static bool is_recursive(const struct json *root)
{
    const struct json *anchor = json_get_typed(root, STR("$recursiveAnchor"), JSON_BOOL);

    return anchor != NULL && json_bool(anchor);
}

/* $recursiveRef: the root of the outermost resource, as long as all on the way say so. */
static const struct schema_node *follow_recursive(struct run *run, const struct schema_ref *ref,
                                                  const struct scope *scope)
{
    const struct schema_node *node = ref->node;

    if (!is_recursive(ref->resource->root))
        return node;
    for (; scope != NULL && is_recursive(scope->resource->root); scope = scope->behind) {
        const struct schema_node *found =
            schema_find_node(run->schema, scope->resource->root, ref->draft);
        node = found ? found : node;
    }
    return node;
}

const struct schema_node *schema_follow(struct run *run, const struct schema_node *from,
                                        const struct schema_keyword *k)
{
    const struct schema_ref *ref = k->ref;
    struct scope space;
    struct buf b;

    if (ref->result != REF_FOUND) {
        begin_message(run, &b);
        schema_write_ref_error(&b, ref);
        stop_message(run, ERR_NOTFOUND, &b);
        return NULL;
    }
    if (ref->recursive)
        return follow_recursive(run, ref, schema_enter(run, from, ref->node, &space));
    if (ref->dynamic)
        return follow_dynamic(run, ref, schema_enter(run, from, ref->node, &space));
    return ref->node;
}

const struct scope *schema_enter(struct run *run, const struct schema_node *from,
                                 const struct schema_node *to, struct scope *space)
{
    if (from->resource->uri.n == 0 || (run->scope != NULL && to->resource == from->resource))
        return run->scope;
    *space = (struct scope){from->resource, run->scope};
    return space;
}

static enum verdict check_ref(struct run *run, const struct frame *f,
                              const struct schema_keyword *k, const struct json *v)
{
    const struct schema_node *node = schema_follow(run, f->node, k);
    const struct scope *outer = run->scope;
    struct scope space;
    enum verdict result;

    if (node == NULL)
        return STOP;
    run->scope = schema_enter(run, f->node, node, &space);
    result = descend(run, f, k, node, v, NOWHERE, NOWHERE);
    run->scope = outer;
    return result;
}

/* ---- any value ------------------------------------------------------------------------------- */

/* From draft 6 on 1.0 is an integer; in draft 4 it is one only when it is written as one. */
static bool is_integer(const struct json *v, enum schema_draft draft)
{
    double d;

    if (json_number_is_integer(v))
        return true;
    if (draft == DRAFT_4)
        return false;
    d = json_to_double(v);
    return isfinite(d) && trunc(d) == d;
}

static enum verdict check_type(struct run *run, const struct frame *f,
                               const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    if (k->types & TYPE_BIT(json_type(v)))
        return VALID;
    if (k->types & TYPE_INTEGER && json_is(v, JSON_NUMBER) && is_integer(v, f->node->draft))
        return VALID;
    if (json_is(k->value, JSON_STRING))
        return refuse_pair(run, f, k, v, " is not of type ", k->value);
    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    json_write_repr(&b, v);
    buf_add_lit(&b, " is not of type ");
    for (size_t i = 0; i < json_count(k->value); i++) {
        if (i > 0)
            buf_add_lit(&b, ", ");
        json_write_repr(&b, json_at(k->value, i));
    }
    return refuse(run, f, k, &b);
}

/* How much there is to compare: values, and bytes by the dozen. */
static uint64_t weigh(const struct json *v)
{
    const struct json_member *m;
    uint64_t sum = 1;
    uint32_t at = 0;

    if (v->type == JSON_STRING || v->type == JSON_NUMBER)
        return sum + v->text.n / 64;
    if (v->type == JSON_ARRAY)
        for (uint32_t i = 0; i < v->count; i++)
            sum += weigh(v->box->items[i]);
    while (v->type == JSON_OBJECT && (m = json_next_member(v, &at)) != NULL)
        sum += weigh(m->value) + m->name.n / 64;
    return sum;
}

static enum verdict check_enum(struct run *run, const struct frame *f,
                               const struct schema_keyword *k, const struct json *v)
{
    uint64_t weight = weigh(v);

    SPEND(run, weight);
    for (size_t i = 0; i < json_count(k->value); i++) {
        const struct json *each = json_at(k->value, i);
        if (each->type != v->type)
            continue;
        SPEND(run, weight);
        if (json_equal(each, v))
            return VALID;
    }
    SPEND(run, json_count(k->value) / 8);
    return refuse_pair(run, f, k, v, " is not one of ", k->value);
}

static enum verdict check_const(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    SPEND(run, weigh(v));
    if (json_equal(k->value, v))
        return VALID;
    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    json_write_repr(&b, k->value);
    buf_add_lit(&b, " was expected");
    return refuse(run, f, k, &b);
}

/* `regex` is the only format that is checked, and only in metaschemas. */
static enum verdict check_format(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v)
{
    struct json_regex *regex = NULL;
    const char *why = NULL;
    struct buf b;
    enum err e;

    if (!json_is(v, JSON_STRING) || !str_eq(json_string(k->value), STR("regex")))
        return VALID;
    e = json_regex_new(&regex, json_string(v), &why);
    if (e == ERR_NOMEM)
        return stop(run, e);
    SPEND(run, 100 + (regex ? json_regex_bytes(regex) / 16 : json_string(v).n / 16));
    json_regex_free(regex);
    if (e == OK)
        return VALID;
    if (run->quiet || why == NULL)
        return refuse_pair(run, f, k, v, " is not a ", k->value);
    begin_message(run, &b);
    json_write_repr(&b, v);
    buf_add_lit(&b, " is a regular expression that is not supported here: ");
    buf_add_str(&b, str_from(why));
    return refuse(run, f, k, &b);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* The magnitude of what is an int to the reference: it fits. */
static uint64_t magnitude(const struct json *v)
{
    uint64_t n = 0;

    for (size_t i = 0; i < v->text.n; i++)
        if (v->text.p[i] != '-')
            n = n * 10 + (uint64_t)(v->text.p[i] - '0');
    return n;
}

/* Python's % and /: exact for two ints, else as doubles; by a float the quotient is looked at. */
static bool is_multiple(const struct json *v, const struct json *divisor, double d)
{
    double n = json_to_double(v), quotient;

    if (json_is_pyint(divisor))
        return json_is_pyint(v) ? magnitude(v) % magnitude(divisor) == 0 : fmod(n, d) == 0;
    quotient = n / d;
    return isinf(quotient) ? fmod(n, d) == 0 : trunc(quotient) == quotient;
}

static enum verdict check_multiple_of(struct run *run, const struct frame *f,
                                      const struct schema_keyword *k, const struct json *v)
{
    if (!json_is(v, JSON_NUMBER) || !(k->number > 0) || is_multiple(v, k->value, k->number))
        return VALID;
    return refuse_pair(run, f, k, v, " is not a multiple of ", k->value);
}

/* Draft 4 has exclusive bounds as booleans beside the bound. */
static bool is_exclusive(const struct frame *f, str keyword)
{
    const struct json *flag = json_get_typed(f->node->value, keyword, JSON_BOOL);

    return f->node->draft == DRAFT_4 && flag != NULL && json_bool(flag);
}

static enum verdict check_maximum(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v)
{
    bool exclusive = is_exclusive(f, STR("exclusiveMaximum"));
    int order;

    if (!json_is(v, JSON_NUMBER))
        return VALID;
    order = json_number_compare(v->text, k->value->text);
    if (order < 0 || (order == 0 && !exclusive))
        return VALID;
    return refuse_pair(run, f, k, v,
                       exclusive ? " is greater than or equal to the maximum of "
                                 : " is greater than the maximum of ",
                       k->value);
}

static enum verdict check_exclusive_maximum(struct run *run, const struct frame *f,
                                            const struct schema_keyword *k, const struct json *v)
{
    if (!json_is(v, JSON_NUMBER) || json_number_compare(v->text, k->value->text) < 0)
        return VALID;
    return refuse_pair(run, f, k, v, " is greater than or equal to the maximum of ", k->value);
}

static enum verdict check_minimum(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v)
{
    bool exclusive = is_exclusive(f, STR("exclusiveMinimum"));
    int order;

    if (!json_is(v, JSON_NUMBER))
        return VALID;
    order = json_number_compare(v->text, k->value->text);
    if (order > 0 || (order == 0 && !exclusive))
        return VALID;
    return refuse_pair(run, f, k, v,
                       exclusive ? " is less than or equal to the minimum of "
                                 : " is less than the minimum of ",
                       k->value);
}

static enum verdict check_exclusive_minimum(struct run *run, const struct frame *f,
                                            const struct schema_keyword *k, const struct json *v)
{
    if (!json_is(v, JSON_NUMBER) || json_number_compare(v->text, k->value->text) > 0)
        return VALID;
    return refuse_pair(run, f, k, v, " is less than or equal to the minimum of ", k->value);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static size_t code_points(str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static enum verdict check_most(struct run *run, const struct frame *f,
                               const struct schema_keyword *k, const struct json *v, size_t n,
                               const char *text)
{
    if ((double)n <= k->number)
        return VALID;
    return refuse_value(run, f, k, v, k->number == 0 ? " is expected to be empty" : text);
}

static enum verdict check_least(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v, size_t n,
                                const char *text)
{
    if ((double)n >= k->number)
        return VALID;
    return refuse_value(run, f, k, v, k->number == 1 ? " should be non-empty" : text);
}

static enum verdict check_max_length(struct run *run, const struct frame *f,
                                     const struct schema_keyword *k, const struct json *v)
{
    if (!json_is(v, JSON_STRING))
        return VALID;
    SPEND(run, v->text.n / 32);
    return check_most(run, f, k, v, code_points(v->text), " is too long");
}

static enum verdict check_min_length(struct run *run, const struct frame *f,
                                     const struct schema_keyword *k, const struct json *v)
{
    if (!json_is(v, JSON_STRING))
        return VALID;
    SPEND(run, v->text.n / 32);
    return check_least(run, f, k, v, code_points(v->text), " is too short");
}

static enum verdict check_max_items(struct run *run, const struct frame *f,
                                    const struct schema_keyword *k, const struct json *v)
{
    return json_is(v, JSON_ARRAY) ? check_most(run, f, k, v, v->count, " is too long") : VALID;
}

static enum verdict check_min_items(struct run *run, const struct frame *f,
                                    const struct schema_keyword *k, const struct json *v)
{
    return json_is(v, JSON_ARRAY) ? check_least(run, f, k, v, v->count, " is too short") : VALID;
}

static enum verdict check_max_properties(struct run *run, const struct frame *f,
                                         const struct schema_keyword *k, const struct json *v)
{
    return json_is(v, JSON_OBJECT) ? check_most(run, f, k, v, v->count, " has too many properties")
                                   : VALID;
}

static enum verdict check_min_properties(struct run *run, const struct frame *f,
                                         const struct schema_keyword *k, const struct json *v)
{
    return json_is(v, JSON_OBJECT)
               ? check_least(run, f, k, v, v->count, " does not have enough properties")
               : VALID;
}

/* ---- patterns -------------------------------------------------------------------------------- */

static enum verdict stop_pattern(struct run *run, str pattern)
{
    struct buf b;

    begin_message(run, &b);
    json_write_repr_string(&b, pattern);
    buf_add_lit(&b, " is not a 'regex'");
    return stop_message(run, ERR_NOTFOUND, &b);
}

enum verdict schema_matches(struct run *run, const struct schema_entry *pattern, str subject)
{
    bool found = false;
    enum err e;

    if (pattern->regex == NULL)
        return stop_pattern(run, pattern->name);
    SPEND(run, 4);
    e = json_regex_search(pattern->regex, &run->scratch, subject, &run->steps, &found);
    if (e == ERR_LIMIT)
        return schema_stop_limit(run);
    if (e != OK)
        return stop(run, e);
    return found ? VALID : INVALID;
}

static enum verdict check_pattern(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v)
{
    enum verdict found = json_is(v, JSON_STRING) ? schema_matches(run, k->entries, v->text) : VALID;

    return found == INVALID ? refuse_pair(run, f, k, v, " does not match ", k->value) : found;
}

/* ---- lists in messages ----------------------------------------------------------------------- */

static int by_code_point(const void *a, const void *b)
{
    return str_cmp(*(const str *)a, *(const str *)b);
}

static void write_names(struct buf *b, str *names, size_t n, bool sorted)
{
    if (sorted)
        qsort(names, n, sizeof *names, by_code_point);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_lit(b, ", ");
        json_write_repr_string(b, names[i]);
    }
}

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
        result = schema_spend(run, 1) ? descend(run, f, k, node, v->box->items[i], ITEM(i), NOWHERE)
                                      : STOP;
    return result;
}

/* The items one by one, each by the schema in its place. */
static enum verdict items_in_place(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = VALID;

    for (size_t i = 0; result == VALID && i < v->count && i < k->count; i++)
        result = schema_spend(run, 1)
                     ? descend(run, f, k, k->entries[i].node, v->box->items[i], ITEM(i), ITEM(i))
                     : STOP;
    return result;
}

static enum verdict check_prefix_items(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v)
{
    return json_is(v, JSON_ARRAY) ? items_in_place(run, f, k, v) : VALID;
}

/* `items: false` behind a prefix. */
static enum verdict refuse_rest(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v, size_t prefix)
{
    size_t extra = v->count - prefix;
    struct buf b;

    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    buf_printf(&b, "Expected at most %zu %s but found %zu extra: ", prefix,
               prefix == 1 ? "item" : "items", extra);
    if (extra > 1)
        buf_add_char(&b, '[');
    for (size_t i = prefix; i < v->count; i++) {
        if (i > prefix)
            buf_add_lit(&b, ", ");
        json_write_repr(&b, v->box->items[i]);
    }
    if (extra > 1)
        buf_add_char(&b, ']');
    return refuse(run, f, k, &b);
}

static enum verdict check_items(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v)
{
    size_t prefix = 0;

    if (!json_is(v, JSON_ARRAY))
        return VALID;
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

/* "<what> items are not allowed ('a', 'b' were unexpected)": those that are not marked. */
static enum verdict refuse_items(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v,
                                 const char *what, const bool *marks, size_t first)
{
    size_t n = 0;
    struct buf b;

    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    buf_printf(&b, "%s items are not allowed (", what);
    for (size_t i = first; i < v->count; i++) {
        if (marks != NULL && marks[i])
            continue;
        if (n++ > 0)
            buf_add_lit(&b, ", ");
        json_write_repr(&b, v->box->items[i]);
    }
    buf_printf(&b, " %s unexpected)", n == 1 ? "was" : "were");
    return refuse(run, f, k, &b);
}

static enum verdict check_additional_items(struct run *run, const struct frame *f,
                                           const struct schema_keyword *k, const struct json *v)
{
    const struct json *items = json_get_typed(f->node->value, STR("items"), JSON_ARRAY);

    if (items == NULL || !json_is(v, JSON_ARRAY) || v->count <= items->count)
        return VALID;
    if (k->entries[0].node->kind == NODE_FALSE)
        return refuse_items(run, f, k, v, "Additional", NULL, items->count);
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

/* The two bounds are keywords of their own to whoever is told of them. */
static enum verdict refuse_contains(struct run *run, const struct frame *f, const char *name,
                                    const struct json *bound, const struct buf *message)
{
    enum verdict result = refuse(run, f, &f->node->keywords[0], message);

    if (result == INVALID) {
        run->error->keyword = str_from(name);
        run->error->keyword_value = bound;
    }
    return result;
}

static enum verdict refuse_too_many(struct run *run, const struct frame *f, const struct json *most)
{
    struct buf b;

    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    buf_add_lit(&b, "Too many items match the given schema (expected at most ");
    json_write_repr(&b, most);
    buf_add_char(&b, ')');
    return refuse_contains(run, f, "maxContains", most, &b);
}

static enum verdict refuse_too_few(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v,
                                   const struct json *least, size_t matches)
{
    struct buf b;

    if (matches == 0)
        return refuse_value(run, f, k, v, " does not contain items matching the given schema");
    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    buf_add_lit(&b, "Too few items match the given schema (expected at least ");
    json_write_repr(&b, least);
    buf_printf(&b, " but only %zu matched)", matches);
    return refuse_contains(run, f, "minContains", least, &b);
}

/* Drafts 6 and 7 say it in their own way. */
static enum verdict refuse_none(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    if (run->quiet)
        return INVALID;
    begin_message(run, &b);
    buf_add_lit(&b, "None of ");
    json_write_repr(&b, v);
    buf_add_lit(&b, " are valid under the given schema");
    return refuse(run, f, k, &b);
}

static enum verdict check_contains(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v)
{
    const struct json *least = NULL, *most = NULL;
    double min = 1, max = 0;
    bool bounded;
    size_t matches = 0;

    if (!json_is(v, JSON_ARRAY))
        return VALID;
    contains_bound(f, STR("minContains"), &least, &min);
    bounded = contains_bound(f, STR("maxContains"), &most, &max);
    for (size_t i = 0; i < v->count; i++) {
        enum verdict result = schema_is_valid(run, f, k, k->entries[0].node, v->box->items[i]);
        if (result == STOP || !schema_spend(run, 1))
            return STOP;
        matches += result == VALID;
        if (result == VALID && !bounded && (double)matches >= min)
            return VALID;
        if (bounded && (double)matches > max)
            return refuse_too_many(run, f, most);
    }
    if ((double)matches >= min)
        return VALID;
    return f->node->draft & UNTIL_7 ? refuse_none(run, f, k, v)
                                    : refuse_too_few(run, f, k, v, least, matches);
}

static int by_value(const void *a, const void *b)
{
    return json_compare(*(const struct json *const *)a, *(const struct json *const *)b);
}

static uint64_t log2_of(size_t n)
{
    uint64_t bits = 1;

    while (n >>= 1)
        bits++;
    return bits;
}

static enum verdict check_unique_items(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v)
{
    struct arena_mark mark = arena_mark(run->arena);
    const struct json **sorted;
    bool unique = true;

    if (!json_is(v, JSON_ARRAY) || !json_bool(k->value) || v->count < 2)
        return VALID;
    SPEND(run, weigh(v) * log2_of(v->count) / 8); /* few comparisons go deep */
    sorted = ARENA_NEW_ARRAY(run->arena, const struct json *, v->count);
    if (sorted == NULL)
        return stop(run, ERR_NOMEM);
    memcpy(sorted, v->box->items, v->count * sizeof *sorted);
    qsort(sorted, v->count, sizeof *sorted, by_value);
    for (size_t i = 1; unique && i < v->count; i++)
        unique = json_compare(sorted[i - 1], sorted[i]) != 0;
    arena_release(run->arena, mark);
    return unique ? VALID : refuse_value(run, f, k, v, " has non-unique elements");
}

static enum verdict check_unevaluated_items(struct run *run, const struct frame *f,
                                            const struct schema_keyword *k, const struct json *v)
{
    bool *marks;
    enum verdict result;

    if (!json_is(v, JSON_ARRAY) || v->count == 0)
        return VALID;
    SPEND(run, 1 + v->count / 8);
    marks = ARENA_NEW_ARRAY(run->arena, bool, v->count);
    if (marks == NULL)
        return stop(run, ERR_NOMEM);
    result = schema_mark_items(run, f, v, marks);
    for (size_t i = 0; result == VALID && i < v->count; i++)
        if (!marks[i])
            return refuse_items(run, f, k, v, "Unevaluated", marks, 0);
    return result;
}

/* ---- objects --------------------------------------------------------------------------------- */

static enum verdict check_properties(struct run *run, const struct frame *f,
                                     const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = VALID;

    if (!json_is(v, JSON_OBJECT))
        return VALID;
    SPEND(run, k->count);
    for (size_t i = 0; result == VALID && i < k->count; i++) {
        const struct schema_entry *p = &k->entries[i];
        const struct json *member = json_get(v, p->name);
        if (member != NULL)
            result = descend(run, f, k, p->node, member, MEMBER(p->name), MEMBER(p->name));
    }
    return result;
}

static enum verdict check_pattern_properties(struct run *run, const struct frame *f,
                                             const struct schema_keyword *k, const struct json *v)
{
    const struct json_member *m;
    enum verdict result = VALID;

    if (!json_is(v, JSON_OBJECT))
        return VALID;
    for (size_t i = 0; i < k->count; i++) {
        uint32_t at = 0;
        while ((m = json_next_member(v, &at)) != NULL) {
            result = schema_matches(run, &k->entries[i], m->name);
            if (result == VALID)
                result = descend(run, f, k, k->entries[i].node, m->value, MEMBER(m->name),
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

    begin_message(run, &b);
    if (patterns == NULL) {
        buf_add_lit(&b, "Additional properties are not allowed (");
        write_names(&b, extras, n, true);
        buf_printf(&b, " %s unexpected)", n == 1 ? "was" : "were");
        return refuse(run, f, k, &b);
    }
    names = ARENA_NEW_ARRAY(run->arena, str, json_count(patterns));
    if (names == NULL)
        return stop(run, ERR_NOMEM);
    while (json_is(patterns, JSON_OBJECT) && (m = json_next_member(patterns, &at)) != NULL)
        names[count++] = m->name;
    write_names(&b, extras, n, true);
    buf_printf(&b, " %s not match any of the regexes: ", n == 1 ? "does" : "do");
    write_names(&b, names, count, true);
    return refuse(run, f, k, &b);
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
        SPEND(run, 1);
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
            return stop(run, ERR_NOMEM);
        extras[n++] = m->name;
    }
}

static enum verdict check_additional_properties(struct run *run, const struct frame *f,
                                                const struct schema_keyword *k,
                                                const struct json *v)
{
    const struct schema_node *node = k->entries[0].node;
    const struct json_member *m;
    uint32_t at = 0;
    enum verdict result;

    if (!json_is(v, JSON_OBJECT) || node->kind == NODE_TRUE)
        return VALID;
    if (node->kind == NODE_FALSE)
        return no_extras(run, f, k, v);
    for (;;) {
        result = next_extra(run, f, v, &at, &m);
        if (result != VALID || m == NULL)
            return result;
        result = descend(run, f, k, node, m->value, MEMBER(m->name), NOWHERE);
        if (result != VALID)
            return result;
    }
}

static enum verdict check_property_names(struct run *run, const struct frame *f,
                                         const struct schema_keyword *k, const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    enum verdict result = VALID;

    while (result == VALID && json_is(v, JSON_OBJECT) && (m = json_next_member(v, &at)) != NULL) {
        struct json name = {.type = JSON_STRING, .text = m->name};
        result = schema_spend(run, 1)
                     ? descend(run, f, k, k->entries[0].node, &name, NOWHERE, NOWHERE)
                     : STOP;
    }
    return result;
}

static enum verdict check_required(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    if (!json_is(v, JSON_OBJECT))
        return VALID;
    SPEND(run, json_count(k->value));
    for (size_t i = 0; i < json_count(k->value); i++) {
        str name = json_string(json_at(k->value, i));
        if (json_get(v, name) != NULL)
            continue;
        if (run->quiet)
            return INVALID;
        begin_message(run, &b);
        json_write_repr_string(&b, name);
        buf_add_lit(&b, " is a required property");
        return refuse(run, f, k, &b);
    }
    return VALID;
}

/* The names that must be there because another is. */
static enum verdict depends_on(struct run *run, const struct frame *f,
                               const struct schema_keyword *k, const struct schema_entry *entry,
                               const struct json *v)
{
    struct buf b;

    SPEND(run, json_count(entry->strings));
    for (size_t i = 0; i < json_count(entry->strings); i++) {
        str name = json_string(json_at(entry->strings, i));
        if (json_get(v, name) != NULL)
            continue;
        if (run->quiet)
            return INVALID;
        begin_message(run, &b);
        json_write_repr_string(&b, name);
        buf_add_lit(&b, " is a dependency of ");
        json_write_repr_string(&b, entry->name);
        return refuse(run, f, k, &b);
    }
    return VALID;
}

static enum verdict check_dependencies(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = VALID;

    if (!json_is(v, JSON_OBJECT))
        return VALID;
    SPEND(run, k->count);
    for (size_t i = 0; result == VALID && i < k->count; i++) {
        const struct schema_entry *entry = &k->entries[i];
        if (json_get(v, entry->name) == NULL)
            continue;
        if (entry->strings != NULL)
            result = depends_on(run, f, k, entry, v);
        else if (k->id != KEYWORD_DEPENDENT_REQUIRED)
            result = descend(run, f, k, entry->node, v, NOWHERE, MEMBER(entry->name));
    }
    return result;
}

/* Those of the members that are not marked and do not fit; "Unevaluated properties are ..." */
static enum verdict refuse_unevaluated(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, str *names, size_t n)
{
    bool never = k->entries[0].node->kind == NODE_FALSE;
    struct buf b;

    begin_message(run, &b);
    buf_add_str(&b, never ? STR("Unevaluated properties are not allowed (")
                          : STR("Unevaluated properties are not valid under the given schema ("));
    write_names(&b, names, n, never);
    buf_printf(&b, " %s %s)", n == 1 ? "was" : "were",
               never ? "unexpected" : "unevaluated and invalid");
    return refuse(run, f, k, &b);
}

static enum verdict check_unevaluated_properties(struct run *run, const struct frame *f,
                                                 const struct schema_keyword *k,
                                                 const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    size_t i = 0, n = 0;
    bool *marks;
    str *names;

    if (!json_is(v, JSON_OBJECT) || v->count == 0)
        return VALID;
    SPEND(run, 1 + v->count / 8);
    marks = ARENA_NEW_ARRAY(run->arena, bool, v->count);
    names = ARENA_NEW_ARRAY(run->arena, str, v->count);
    if (marks == NULL || names == NULL)
        return stop(run, ERR_NOMEM);
    if (schema_mark_members(run, f, v, marks) == STOP)
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

/* ---- several schemas ------------------------------------------------------------------------- */

static enum verdict check_all_of(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = VALID;

    for (size_t i = 0; result == VALID && i < k->count; i++)
        result = schema_spend(run, 1) ? descend(run, f, k, k->entries[i].node, v, NOWHERE, ITEM(i))
                                      : STOP;
    return result;
}

/* The next from *i on that the value fits; VALID: *i is it; INVALID: none is left. */
static enum verdict next_fitting(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v, size_t *i)
{
    for (; *i < k->count; ++*i) {
        enum verdict result =
            schema_spend(run, 1) ? schema_is_valid(run, f, k, k->entries[*i].node, v) : STOP;
        if (result != INVALID)
            return result;
    }
    return INVALID;
}

#define NONE_FITS " is not valid under any of the given schemas"

static enum verdict check_any_of(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v)
{
    size_t i = 0;
    enum verdict result = next_fitting(run, f, k, v, &i);

    return result == INVALID ? refuse_value(run, f, k, v, NONE_FITS) : result;
}

static enum verdict check_one_of(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v)
{
    size_t first = 0, i;
    enum verdict result = next_fitting(run, f, k, v, &first);
    struct buf b;
    bool several = false;

    if (result != VALID)
        return result == STOP ? STOP : refuse_value(run, f, k, v, NONE_FITS);
    begin_message(run, &b);
    for (i = first + 1; (result = next_fitting(run, f, k, v, &i)) == VALID; i++) {
        if (run->quiet)
            return INVALID;
        if (!several) {
            json_write_repr(&b, v);
            buf_add_lit(&b, " is valid under each of ");
        }
        several = true;
        json_write_repr(&b, json_at(k->value, i));
        buf_add_lit(&b, ", ");
    }
    if (result == STOP || !several)
        return result == STOP ? STOP : VALID;
    json_write_repr(&b, json_at(k->value, first));
    return refuse(run, f, k, &b);
}

static enum verdict check_not(struct run *run, const struct frame *f,
                              const struct schema_keyword *k, const struct json *v)
{
    enum verdict result = schema_is_valid(run, f, k, k->entries[0].node, v);

    if (result != VALID)
        return result == STOP ? STOP : VALID;
    return refuse_pair(run, f, k, v, " should not be valid under ", k->value);
}

static enum verdict check_if(struct run *run, const struct frame *f, const struct schema_keyword *k,
                             const struct json *v)
{
    enum verdict result = schema_is_valid(run, f, k, k->entries[0].node, v);
    const struct schema_keyword *branch;
    str name = result == VALID ? STR("then") : STR("else");

    if (result == STOP)
        return STOP;
    branch = schema_find_keyword(f->node, result == VALID ? KEYWORD_THEN : KEYWORD_ELSE);
    return branch ? descend(run, f, k, branch->entries[0].node, v, NOWHERE, MEMBER(name)) : VALID;
}

static const schema_check checks[KEYWORD_COUNT] = {
#define X(id, name, drafts, shape, check) [KEYWORD_##id] = check,
#include "json/schema_keywords.def"
#undef X
};
