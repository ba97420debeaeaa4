/*
 * json/schema_assert.c - assertions: the keywords that look at the value itself.
 */
#include "json/schema_private.h"
#include <math.h>

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

enum verdict schema_check_type(struct run *run, const struct frame *f,
                               const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    if (k->types & TYPE_BIT(json_type(v)))
        return VALID;
    if (k->types & TYPE_INTEGER && json_is(v, JSON_NUMBER) && is_integer(v, f->node->draft))
        return VALID;
    if (json_is(k->value, JSON_STRING))
        return schema_refuse_pair(run, f, k, v, " is not of type ", k->value);
    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    schema_write_value(run, &b, v);
    buf_add_lit(&b, " is not of type ");
    for (size_t i = 0; i < json_count(k->value); i++) {
        if (i > 0)
            buf_add_lit(&b, ", ");
        schema_write_value(run, &b, json_at(k->value, i));
    }
    return schema_refuse(run, f, k, &b);
}

static uint64_t cost_of_number(const struct json *v)
{
    return v->type == JSON_NUMBER ? SCHEMA_TEXT_STEPS(v->text.n) : 0;
}

enum verdict schema_check_enum(struct run *run, const struct frame *f,
                               const struct schema_keyword *k, const struct json *v)
{
    uint64_t weight = schema_weigh(v);

    SPEND(run, weight);
    for (size_t i = 0; i < json_count(k->value); i++) {
        const struct json *each = json_at(k->value, i);
        if (each->type != v->type)
            continue;
        SPEND(run, weight + cost_of_number(each));
        if (json_equal(each, v))
            return VALID;
    }
    SPEND(run, json_count(k->value) / 8);
    return schema_refuse_pair(run, f, k, v, " is not one of ", k->value);
}

enum verdict schema_check_const(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    SPEND(run, schema_weigh(v));
    if (json_equal(k->value, v))
        return VALID;
    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    schema_write_value(run, &b, k->value);
    buf_add_lit(&b, " was expected");
    return schema_refuse(run, f, k, &b);
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

    if (json_is_pyint(divisor)) {
        uint64_t by = magnitude(divisor);
        DCHECK(by > 0); /* as d is */
        return json_is_pyint(v) ? magnitude(v) % by == 0 : fmod(n, d) == 0;
    }
    quotient = n / d;
    return isinf(quotient) ? fmod(n, d) == 0 : trunc(quotient) == quotient;
}

enum verdict schema_check_multiple_of(struct run *run, const struct frame *f,
                                      const struct schema_keyword *k, const struct json *v)
{
    SPEND(run, 3);
    if (!(k->number > 0) || is_multiple(v, k->value, k->number))
        return VALID;
    return schema_refuse_pair(run, f, k, v, " is not a multiple of ", k->value);
}

/* Draft 4 has exclusive bounds as booleans beside the bound. */
static bool is_exclusive(const struct frame *f, str keyword)
{
    const struct json *flag;

    if (f->node->draft != DRAFT_4)
        return false;
    flag = json_get_typed(f->node->value, keyword, JSON_BOOL);
    return flag != NULL && json_bool(flag);
}

/* `order` is that of the value to the bound, positive where it goes beyond. */
static enum verdict check_bound(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v, int order,
                                bool exclusive, const char *beyond, const char *which)
{
    char text[64];

    if (order < 0 || (order == 0 && !exclusive))
        return VALID;
    if (run->quiet)
        return INVALID;
    snprintf(text, sizeof text, " is %s than %sthe %s of ", beyond, exclusive ? "or equal to " : "",
             which);
    return schema_refuse_pair(run, f, k, v, text, k->value);
}

static int compare_to_bound(const struct schema_keyword *k, const struct json *v)
{
    return json_number_compare(v->text, k->value->text);
}

enum verdict schema_check_maximum(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v)
{
    return check_bound(run, f, k, v, compare_to_bound(k, v),
                       is_exclusive(f, STR("exclusiveMaximum")), "greater", "maximum");
}

enum verdict schema_check_exclusive_maximum(struct run *run, const struct frame *f,
                                            const struct schema_keyword *k, const struct json *v)
{
    return check_bound(run, f, k, v, compare_to_bound(k, v), true, "greater", "maximum");
}

enum verdict schema_check_minimum(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v)
{
    return check_bound(run, f, k, v, -compare_to_bound(k, v),
                       is_exclusive(f, STR("exclusiveMinimum")), "less", "minimum");
}

enum verdict schema_check_exclusive_minimum(struct run *run, const struct frame *f,
                                            const struct schema_keyword *k, const struct json *v)
{
    return check_bound(run, f, k, v, -compare_to_bound(k, v), true, "less", "minimum");
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
    return schema_refuse_value(run, f, k, v, k->number == 0 ? " is expected to be empty" : text);
}

static enum verdict check_least(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v, size_t n,
                                const char *text)
{
    if ((double)n >= k->number)
        return VALID;
    return schema_refuse_value(run, f, k, v, k->number == 1 ? " should be non-empty" : text);
}

enum verdict schema_check_max_length(struct run *run, const struct frame *f,
                                     const struct schema_keyword *k, const struct json *v)
{
    return check_most(run, f, k, v, code_points(v->text), " is too long");
}

enum verdict schema_check_min_length(struct run *run, const struct frame *f,
                                     const struct schema_keyword *k, const struct json *v)
{
    return check_least(run, f, k, v, code_points(v->text), " is too short");
}

enum verdict schema_check_max_items(struct run *run, const struct frame *f,
                                    const struct schema_keyword *k, const struct json *v)
{
    return check_most(run, f, k, v, v->count, " is too long");
}

enum verdict schema_check_min_items(struct run *run, const struct frame *f,
                                    const struct schema_keyword *k, const struct json *v)
{
    return check_least(run, f, k, v, v->count, " is too short");
}

enum verdict schema_check_max_properties(struct run *run, const struct frame *f,
                                         const struct schema_keyword *k, const struct json *v)
{
    return check_most(run, f, k, v, v->count, " has too many properties");
}

enum verdict schema_check_min_properties(struct run *run, const struct frame *f,
                                         const struct schema_keyword *k, const struct json *v)
{
    return check_least(run, f, k, v, v->count, " does not have enough properties");
}

/* ---- strings --------------------------------------------------------------------------------- */

static enum verdict stop_pattern(struct run *run, str pattern)
{
    struct buf b;

    schema_begin_message(run, &b);
    json_write_repr_string(&b, pattern);
    buf_add_lit(&b, " is not a 'regex'");
    return schema_stop_message(run, ERR_NOTFOUND, &b);
}

enum verdict schema_matches(struct run *run, const struct schema_entry *pattern, str subject)
{
    bool found = false;
    enum err e;

    if (pattern->regex == NULL)
        return stop_pattern(run, pattern->name);
    SPEND(run, 4 + subject.n / 16); /* what is run over before the first callout */
    e = json_regex_search(pattern->regex, &run->scratch, subject, &run->steps, &found);
    if (e == ERR_LIMIT)
        return schema_stop_limit(run);
    if (e != OK)
        return schema_stop(run, e);
    return found ? VALID : INVALID;
}

enum verdict schema_check_pattern(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v)
{
    enum verdict found = schema_matches(run, k->entries, v->text);

    return found == INVALID ? schema_refuse_pair(run, f, k, v, " does not match ", k->value)
                            : found;
}

/* `regex` is the only format that is checked, and only in metaschemas. */
enum verdict schema_check_format(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v)
{
    struct json_regex *regex = NULL;
    const char *why = NULL;
    struct buf b;
    enum err e;

    if (!str_eq(json_string(k->value), STR("regex")))
        return VALID;
    e = json_regex_new(&regex, json_string(v), &run->steps, &why);
    json_regex_free(regex);
    if (e == OK)
        return VALID;
    if (e == ERR_LIMIT)
        return schema_stop_limit(run);
    if (e == ERR_NOMEM)
        return schema_stop(run, e);
    if (run->quiet || why == NULL)
        return schema_refuse_pair(run, f, k, v, " is not a ", k->value);
    schema_begin_message(run, &b);
    schema_write_value(run, &b, v);
    buf_add_lit(&b, " is a regular expression that is not supported here: ");
    buf_add_str(&b, str_from(why));
    return schema_refuse(run, f, k, &b);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

struct seen {
    uint64_t hash;
    const struct json *item; /* NULL: free */
};

/* Is the item like one of those before? If not it is one of them from now on. INVALID: it is. */
static enum verdict see(struct run *run, struct seen *table, size_t cap, const struct json *item)
{
    uint64_t hash = json_hash(item);
    size_t i = hash & (cap - 1);

    for (; table[i].item != NULL; i = (i + 1) & (cap - 1)) {
        if (table[i].hash != hash)
            continue;
        if (json_equal(table[i].item, item))
            return INVALID;
        SPEND(run, schema_weigh(item));
    }
    table[i] = (struct seen){hash, item};
    return VALID;
}

enum verdict schema_check_unique_items(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v)
{
    struct arena_mark mark = arena_mark(run->arena);
    struct seen *table;
    size_t cap = 4;
    enum verdict result = VALID;

    if (!json_bool(k->value) || v->count < 2)
        return VALID;
    SPEND(run, 3 * schema_weigh(v));
    while (cap < 2 * (size_t)v->count)
        cap *= 2;
    table = ARENA_NEW_ARRAY(run->arena, struct seen, cap);
    if (table == NULL)
        return schema_stop(run, ERR_NOMEM);
    for (size_t i = 0; result == VALID && i < v->count; i++)
        result = see(run, table, cap, v->box->items[i]);
    if (result != STOP)
        arena_release(run->arena, mark);
    return result == INVALID ? schema_refuse_value(run, f, k, v, " has non-unique elements")
                             : result;
}

/* ---- objects --------------------------------------------------------------------------------- */

str schema_missing(const struct json *v, const struct json *names)
{
    for (size_t i = 0; i < json_count(names); i++)
        if (json_get(v, json_string(json_at(names, i))) == NULL)
            return json_string(json_at(names, i));
    return STR_NONE;
}

enum verdict schema_check_required(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v)
{
    str name = schema_missing(v, k->value);

    return str_none(name)
               ? VALID
               : schema_refuse_missing(run, f, k, name, " is a required property", STR_NONE);
}
