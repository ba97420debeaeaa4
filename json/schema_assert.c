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
    json_write_repr(&b, v);
    buf_add_lit(&b, " is not of type ");
    for (size_t i = 0; i < json_count(k->value); i++) {
        if (i > 0)
            buf_add_lit(&b, ", ");
        json_write_repr(&b, json_at(k->value, i));
    }
    return schema_refuse(run, f, k, &b);
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

enum verdict schema_check_enum(struct run *run, const struct frame *f,
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
    return schema_refuse_pair(run, f, k, v, " is not one of ", k->value);
}

enum verdict schema_check_const(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    SPEND(run, weigh(v));
    if (json_equal(k->value, v))
        return VALID;
    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    json_write_repr(&b, k->value);
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

    if (json_is_pyint(divisor))
        return json_is_pyint(v) ? magnitude(v) % magnitude(divisor) == 0 : fmod(n, d) == 0;
    quotient = n / d;
    return isinf(quotient) ? fmod(n, d) == 0 : trunc(quotient) == quotient;
}

enum verdict schema_check_multiple_of(struct run *run, const struct frame *f,
                                      const struct schema_keyword *k, const struct json *v)
{
    if (!(k->number > 0) || is_multiple(v, k->value, k->number))
        return VALID;
    return schema_refuse_pair(run, f, k, v, " is not a multiple of ", k->value);
}

/* Draft 4 has exclusive bounds as booleans beside the bound. */
static bool is_exclusive(const struct frame *f, str keyword)
{
    const struct json *flag = json_get_typed(f->node->value, keyword, JSON_BOOL);

    return f->node->draft == DRAFT_4 && flag != NULL && json_bool(flag);
}

enum verdict schema_check_maximum(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v)
{
    bool exclusive = is_exclusive(f, STR("exclusiveMaximum"));
    int order = json_number_compare(v->text, k->value->text);

    if (order < 0 || (order == 0 && !exclusive))
        return VALID;
    return schema_refuse_pair(run, f, k, v,
                              exclusive ? " is greater than or equal to the maximum of "
                                        : " is greater than the maximum of ",
                              k->value);
}

enum verdict schema_check_exclusive_maximum(struct run *run, const struct frame *f,
                                            const struct schema_keyword *k, const struct json *v)
{
    if (json_number_compare(v->text, k->value->text) < 0)
        return VALID;
    return schema_refuse_pair(run, f, k, v, " is greater than or equal to the maximum of ",
                              k->value);
}

enum verdict schema_check_minimum(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v)
{
    bool exclusive = is_exclusive(f, STR("exclusiveMinimum"));
    int order = json_number_compare(v->text, k->value->text);

    if (order > 0 || (order == 0 && !exclusive))
        return VALID;
    return schema_refuse_pair(run, f, k, v,
                              exclusive ? " is less than or equal to the minimum of "
                                        : " is less than the minimum of ",
                              k->value);
}

enum verdict schema_check_exclusive_minimum(struct run *run, const struct frame *f,
                                            const struct schema_keyword *k, const struct json *v)
{
    if (json_number_compare(v->text, k->value->text) > 0)
        return VALID;
    return schema_refuse_pair(run, f, k, v, " is less than or equal to the minimum of ", k->value);
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
    SPEND(run, v->text.n / 32);
    return check_most(run, f, k, v, code_points(v->text), " is too long");
}

enum verdict schema_check_min_length(struct run *run, const struct frame *f,
                                     const struct schema_keyword *k, const struct json *v)
{
    SPEND(run, v->text.n / 32);
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
    SPEND(run, 4);
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
    e = json_regex_new(&regex, json_string(v), &why);
    if (e == ERR_NOMEM)
        return schema_stop(run, e);
    SPEND(run, 100 + (regex ? json_regex_bytes(regex) / 16 : json_string(v).n / 16));
    json_regex_free(regex);
    if (e == OK)
        return VALID;
    if (run->quiet || why == NULL)
        return schema_refuse_pair(run, f, k, v, " is not a ", k->value);
    schema_begin_message(run, &b);
    json_write_repr(&b, v);
    buf_add_lit(&b, " is a regular expression that is not supported here: ");
    buf_add_str(&b, str_from(why));
    return schema_refuse(run, f, k, &b);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

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

enum verdict schema_check_unique_items(struct run *run, const struct frame *f,
                                       const struct schema_keyword *k, const struct json *v)
{
    struct arena_mark mark = arena_mark(run->arena);
    const struct json **sorted;
    bool unique = true;

    if (!json_bool(k->value) || v->count < 2)
        return VALID;
    SPEND(run, weigh(v) * log2_of(v->count) / 8); /* few comparisons go deep */
    sorted = ARENA_NEW_ARRAY(run->arena, const struct json *, v->count);
    if (sorted == NULL)
        return schema_stop(run, ERR_NOMEM);
    memcpy(sorted, v->box->items, v->count * sizeof *sorted);
    qsort(sorted, v->count, sizeof *sorted, by_value);
    for (size_t i = 1; unique && i < v->count; i++)
        unique = json_compare(sorted[i - 1], sorted[i]) != 0;
    arena_release(run->arena, mark);
    return unique ? VALID : schema_refuse_value(run, f, k, v, " has non-unique elements");
}

/* ---- objects --------------------------------------------------------------------------------- */

enum verdict schema_check_required(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, const struct json *v)
{
    struct buf b;

    SPEND(run, json_count(k->value));
    for (size_t i = 0; i < json_count(k->value); i++) {
        str name = json_string(json_at(k->value, i));
        if (json_get(v, name) != NULL)
            continue;
        if (run->quiet)
            return INVALID;
        schema_begin_message(run, &b);
        json_write_repr_string(&b, name);
        buf_add_lit(&b, " is a required property");
        return schema_refuse(run, f, k, &b);
    }
    return VALID;
}
