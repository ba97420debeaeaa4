/*
 * api/query.c - the query string of a resource request.
 *
 * Every value is JSON if it parses as JSON, else a string. Some parameters have a type of their own
 * (_limit, _since ...); which ones are looked at depends on the endpoint. What a list filters by is
 * made of the result in page.c.
 */
#include <math.h>

#include "api/private.h"

struct json *api_native_value(struct arena *a, str text)
{
    struct json *v;
    if (text.n && json_parse(a, text, &v, NULL) == OK)
        return v;
    return json_new_string(a, text);
}

/* Python's int(): whole numbers as text (blanks around, a sign), numbers cut to whole ones. */
bool api_to_integer(const struct json *v, int64_t *out)
{
    if (json_is(v, JSON_NUMBER)) {
        if (json_to_i64(v, out) == OK)
            return true;
        double d = json_to_double(v);
        *out = d >= 0x1p63 ? INT64_MAX : d < -0x1p63 ? INT64_MIN : (int64_t)d;
        return true;
    }
    if (!json_is(v, JSON_STRING))
        return false;
    str s = str_trim(json_string(v));
    if (str_starts(s, STR("+")) && !str_starts(s, STR("+-")))
        s = str_drop(s, 1);
    enum err e = str_to_i64(s, out);
    if (e == ERR_RANGE)
        *out = s.p[0] == '-' ? INT64_MIN : INT64_MAX;
    return e == OK || e == ERR_RANGE;
}

const struct api_param *api_query_get(const struct api_query *q, const char *name)
{
    for (size_t i = 0; i < q->count; i++)
        if (str_eq(q->params[i].name, str_from(name)))
            return &q->params[i];
    return NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A repeated parameter is a list of its texts. */
static enum err add_param(struct api_req *r, struct map *index, str name, str text)
{
    struct api_param *p = map_get(index, name);
    if (p) {
        p->last = text;
        if (!str_none(p->text)) {
            p->value = json_new_array(r->arena);
            enum err e = json_push(r->arena, p->value, json_new_string(r->arena, p->text));
            if (e != OK)
                return e;
            p->text = STR_NONE;
        }
        return json_push(r->arena, p->value, json_new_string(r->arena, text));
    }
    p = &r->q.params[r->q.count++];
    *p = (struct api_param){.name = name, .text = text, .last = text};
    return map_put(index, name, p);
}

static enum err read_params(struct api_req *r)
{
    r->q = (struct api_query){0};
    size_t most = http_query_bound(r->query);
    if (most == 0)
        return OK;
    r->q.params = ARENA_NEW_ARRAY(r->arena, struct api_param, most);
    if (r->q.params == NULL)
        return ERR_NOMEM;
    struct map index;
    map_init(&index, r->arena);
    str rest = r->query, name, value;
    while (http_query_next(r->arena, &rest, &name, &value)) {
        enum err e = r->q.count < most ? add_param(r, &index, name, value) : ERR_LIMIT;
        if (e != OK)
            return e;
    }
    return OK;
}

/* "a,b" or the repeated parameter's texts; empty items are dropped. */
static struct json *text_list(struct api_req *r, const struct api_param *p, bool native)
{
    struct json *list = json_new_array(r->arena);
    str rest = p->text;
    for (size_t i = 0; str_none(p->text) ? i < json_count(p->value) : !str_none(rest); i++) {
        str item = str_none(p->text) ? json_string(json_at(p->value, i)) : str_cut(&rest, ',');
        if (item.n == 0)
            continue;
        struct json *v =
            native ? api_native_value(r->arena, item) : json_new_string(r->arena, item);
        if (json_push(r->arena, list, v) != OK)
            return NULL;
    }
    return list;
}

static struct json *one_or_list(struct api_req *r, struct json *v)
{
    if (v == NULL || json_is(v, JSON_ARRAY))
        return v;
    struct json *list = json_new_array(r->arena);
    return json_push(r->arena, list, v) == OK ? list : NULL;
}

static void set_value(struct api_req *r, struct api_param *p)
{
    str name = str_trim(p->name); /* blanks around a filter's name do not count */
    if (str_starts(name, STR("in_")) || str_starts(name, STR("exclude_"))) {
        p->value = text_list(r, p, true);
        return;
    }
    if (!str_none(p->text))
        p->value = api_native_value(r->arena, p->text);
    if (str_starts(name, STR("contains_")))
        p->value = one_or_list(r, p->value);
}

/* ---- parameters with a type ------------------------------------------------------------------ */

static void invalid(struct api_req *r, const struct api_param *p, const char *before, str shown,
                    const char *behind)
{
    api_invalid_add(r, "querystring", p->name,
                    ARENA_JOIN(r->arena, str_from(before), shown, str_from(behind)));
}

/* Booleans are shown, and refused, as the text that they came as. */
static str shown_value(struct api_req *r, const struct api_param *p)
{
    return json_is(p->value, JSON_BOOL) ? p->text : api_python_str(r->arena, p->value);
}

/* The integer that the reference makes of it: by way of a double where 64 bits do not hold it. */
static str shown_integer(struct api_req *r, const struct api_param *p)
{
    int64_t n;
    uint64_t u;
    if (!json_is(p->value, JSON_NUMBER) || json_to_i64(p->value, &n) == OK ||
        str_to_u64(json_number(p->value), &u) == OK)
        return shown_value(r, p);
    return arena_printf(r->arena, "%.0f", trunc(json_to_double(p->value)));
}

static void check_integer(struct api_req *r, struct api_param *p)
{
    int64_t n;
    if (!json_is(p->value, JSON_NUMBER) && !json_is(p->value, JSON_BOOL) && api_is_falsy(p->value))
        return; /* as if it were not there; page.c knows what is left */
    if (json_is(p->value, JSON_BOOL) || !api_to_integer(p->value, &n)) {
        invalid(r, p, "\"", shown_value(r, p), "\" is not a number");
        return;
    }
    if (n < 0)
        invalid(r, p, "", shown_integer(r, p), " is less than minimum value 0");
    else if (n == INT64_MAX && json_is(p->value, JSON_NUMBER) &&
             json_number_compare(json_number(p->value), STR("9223372036854775808")) > 0)
        invalid(r, p, "", shown_integer(r, p),
                " is greater than maximum value 9223372036854775808");
    else
        p->value = json_new_i64(r->arena, n);
}

static void check_text(struct api_req *r, struct api_param *p)
{
    const struct json *v = p->value;
    if (json_is(v, JSON_BOOL)) {
        p->value = json_new_string(r->arena, p->text);
        return;
    }
    if (api_is_falsy(v) || json_is(v, JSON_STRING))
        return;
    api_invalid_add(r, "querystring", p->name,
                    ARENA_JOIN(r->arena, shown_value(r, p), STR(" is not a string: {'"), p->name,
                               STR("': ''}")));
}

#define MAX_FIELDS 200 /* each is looked up in each object */

static void take_fields(struct api_req *r, const struct api_param *p)
{
    size_t n = json_count(p->value);
    if (n == 0)
        return;
    if (n > MAX_FIELDS) {
        api_invalid_add(r, "querystring", p->name, STR("Too many fields"));
        return;
    }
    str *fields = ARENA_NEW_ARRAY(r->arena, str, n + 2);
    if (fields == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        fields[i] = json_string(json_at(p->value, i));
    fields[n] = STR("id"); /* synchronisation needs these two */
    fields[n + 1] = STR("last_modified");
    r->q.fields = fields;
    r->q.nfields = n + 2;
}

enum param_type { PARAM_INTEGER, PARAM_TEXT, PARAM_LIST };

static const struct {
    const char *name;
    enum param_type type;
    bool get_only;  /* not on DELETE */
    bool on_object; /* also on GET of an object */
} typed[] = {
    {"_limit", PARAM_INTEGER, false, false},
    {"_since", PARAM_INTEGER, false, false},
    {"_to", PARAM_INTEGER, false, false},
    {"_before", PARAM_INTEGER, false, false},
    {"last_modified", PARAM_INTEGER, false, false},
    {"_token", PARAM_TEXT, false, false},
    {"id", PARAM_TEXT, false, false},
    {"_sort", PARAM_LIST, false, false},
    {"_fields", PARAM_LIST, true, true},
};

static void check_param(struct api_req *r, struct api_param *p, enum param_type type)
{
    switch (type) {
    case PARAM_INTEGER:
        check_integer(r, p);
        break;
    case PARAM_TEXT:
        check_text(r, p);
        break;
    case PARAM_LIST:
        p->value = text_list(r, p, false);
        break;
    }
}

static void check_typed(struct api_req *r, struct api_param *p)
{
    bool plural = r->route->type == TYPE_PLURAL;
    bool get = r->method == METHOD_GET || r->method == METHOD_HEAD;
    if (plural ? !get && r->method != METHOD_DELETE : !get)
        return;
    for (size_t i = 0; i < ARRAY_LEN(typed); i++) {
        if (!str_eq(p->name, str_from(typed[i].name)))
            continue;
        if (plural ? typed[i].get_only && !get : !typed[i].on_object)
            continue;
        check_param(r, p, typed[i].type);
        if (str_eq(p->name, STR("_fields")))
            take_fields(r, p);
    }
}

void api_query_parse(struct api_req *r)
{
    if (read_params(r) != OK)
        return; /* the arena remembers */
    for (size_t i = 0; i < r->q.count; i++) {
        set_value(r, &r->q.params[i]);
        if (r->q.params[i].value == NULL)
            return;
        check_typed(r, &r->q.params[i]);
    }
}
