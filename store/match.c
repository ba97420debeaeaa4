/*
 * store/match.c - one filter against one object.
 *
 * Objects are text and stay text: a filter's operand is turned into JSON text once, and compared
 * with a slice of the object's (json_raw_compare takes no memory for scalars). "id" and
 * "last_modified" are slices that decoding the object has found already.
 *
 * Sets of operands are sorted, so that a test costs a binary search for each item of the field, not
 * items times operands: both numbers are chosen by strangers.
 */
#include "store/private.h"

/* ---- fields ---------------------------------------------------------------------------------- */

/*
 * A name with dots. Members may have dots in their names, too: at each level the longest name that
 * the path begins with (up to a dot, or all of it) is the one; what is behind it is looked up
 * in there.
 */
static bool field_by_path(struct arena *a, str text, str path, struct json_raw *out)
{
    for (;;) {
        struct json_raw value, longest = {.text = STR_NONE};
        str name, longest_name = STR_NONE;
        size_t at = 0;

        while (json_scan_next(a, text, &at, &name, &value)) {
            if (str_eq(name, path)) {
                *out = value;
                return true;
            }
            if (str_starts(path, name) && path.p[name.n] == '.' &&
                (str_none(longest_name) || name.n > longest_name.n)) {
                longest_name = name;
                longest = value;
            }
        }
        if (str_none(longest_name) || longest.type != JSON_OBJECT)
            return false;
        path = str_drop(path, longest_name.n + 1);
        text = longest.text;
    }
}

bool store_field(struct arena *a, str data, str field, struct json_raw *out)
{
    struct arena_mark mark;
    bool found;

    if (str_find(field, '.') == STR_NPOS)
        return json_scan_member(data, field, out);
    mark = arena_mark(a);
    found = field_by_path(a, data, field, out);
    arena_release(a, mark); /* names with escapes were decoded there; *out is a slice of data */
    return found;
}

bool store_object_field(struct arena *a, const struct object *o, str name, struct json_raw *out)
{
    if (str_none(o->value)) /* a row that was never stored (select.c) */
        return store_field(a, o->o.data, name, out);
    if (str_eq(name, STR("last_modified")))
        *out = o->time;
    else if (str_eq(name, STR("id")))
        *out = o->id;
    else
        return store_field(a, o->o.data, name, out);
    return true;
}

/* ---- work ------------------------------------------------------------------------------------ */

void store_work_field(struct work *w, const struct object *o, const struct json_raw *found)
{
    str data = o->o.data;

    if (w == NULL || data.p == NULL)
        return;
    if (found != NULL && found->text.p >= data.p && found->text.p <= data.p + data.n)
        data.n = (size_t)(found->text.p - data.p) + found->text.n;
    w->done += 16 + data.n;
}

/* Objects and arrays are read for it, which takes some ten times as long as looking for a field. */
#define COMPARE_WEIGHT 12

int store_compare(struct arena *a, struct work *w, const struct json_raw *x,
                  const struct json_raw *y)
{
    bool large = w != NULL && x != NULL && y != NULL && x->type == y->type &&
                 (x->type == JSON_ARRAY || x->type == JSON_OBJECT);

    if (large)
        w->done += COMPARE_WEIGHT * ((uint64_t)x->text.n + y->text.n);
    return large && work_over(w) ? 0 : json_raw_compare(a, x, y);
}

/* ---- operands -------------------------------------------------------------------------------- */

enum err store_raw_from(struct arena *a, const struct json *v, struct json_raw *out)
{
    str text = json_text(a, v);

    if (str_none(text))
        return ERR_NOMEM;
    *out = (struct json_raw){json_type(v), text};
    return OK;
}

/* Where `v` is in the set, or belongs. True: it is there. */
static bool set_find(struct arena *a, const struct match *m, const struct json_raw *v, size_t *at)
{
    size_t lo = 0, hi = m->nset;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = store_compare(a, m->work, &m->set[mid], v);
        if (c == 0) {
            *at = mid;
            return true;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *at = lo;
    return false;
}

/* Half and half, merged: comparing may need memory of the arena, and n log n comparisons will do. */
static void set_sort(struct arena *a, struct json_raw *set, struct json_raw *spare, size_t n)
{
    size_t half = n / 2, i = 0, k = half, to = 0;

    if (n < 2)
        return;
    set_sort(a, set, spare, half);
    set_sort(a, set + half, spare, n - half);
    while (i < half && k < n)
        spare[to++] = json_raw_compare(a, &set[k], &set[i]) < 0 ? set[k++] : set[i++];
    while (i < half)
        spare[to++] = set[i++];
    memcpy(set, spare, to * sizeof *set); /* what is left of the second half is in its place */
}

static enum err set_init(struct arena *a, struct match *m, const struct json *items)
{
    size_t n = json_is(items, JSON_ARRAY) ? json_count(items) : 0;
    struct json_raw *spare = ARENA_NEW_ARRAY(a, struct json_raw, n);

    m->set = ARENA_NEW_ARRAY(a, struct json_raw, n);
    m->seen = ARENA_NEW_ARRAY(a, bool, n);
    if (m->set == NULL || m->seen == NULL || spare == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        enum err e = store_raw_from(a, json_at(items, i), &m->set[i]);
        if (e != OK)
            return e;
    }
    set_sort(a, m->set, spare, n);
    for (size_t i = 0; i < n; i++)
        if (m->nset == 0 || json_raw_compare(a, &m->set[m->nset - 1], &m->set[i]) != 0)
            m->set[m->nset++] = m->set[i];
    return OK;
}

/* Ids are strings: an integer stands for its digits, as in the reference. */
static enum err operand_init(struct arena *a, struct match *m)
{
    const struct json *v = m->filter->value;

    if (str_eq(m->filter->field, STR("id")) && json_is(v, JSON_NUMBER) &&
        json_number_is_integer(v)) {
        m->value.type = JSON_STRING;
        m->value.text = arena_printf(a, "\"" STR_FMT "\"", STR_ARG(json_number(v)));
        return str_none(m->value.text) ? ERR_NOMEM : OK;
    }
    return store_raw_from(a, v, &m->value);
}

enum err store_match_init(struct arena *a, const struct store_filter *f, struct match *out)
{
    struct match m = {.filter = f};
    enum err e = OK;

    switch (f->op) {
    case STORE_EQ:
    case STORE_NOT:
    case STORE_LT:
    case STORE_GT:
    case STORE_MIN:
    case STORE_MAX:
        e = operand_init(a, &m);
        break;
    case STORE_IN:
    case STORE_EXCLUDE:
    case STORE_CONTAINS:
    case STORE_CONTAINS_ANY:
        e = set_init(a, &m, f->value);
        break;
    case STORE_LIKE:
        if (json_is(f->value, JSON_STRING)) {
            m.like = store_like_new(a, json_string(f->value));
            e = m.like == NULL ? ERR_NOMEM : OK;
        }
        break;
    case STORE_HAS:
        break;
    }
    if (e == OK)
        *out = m;
    return e;
}

/* ---- tests ----------------------------------------------------------------------------------- */

#define LIKE_WEIGHT 4 /* by character */

static bool test_like(struct arena *a, const struct match *m, const struct json_raw *v)
{
    struct arena_mark mark = arena_mark(a);
    bool yes;

    if (m->like == NULL || v->type != JSON_STRING)
        return false;
    if (m->work != NULL)
        m->work->done += LIKE_WEIGHT * (uint64_t)v->text.n;
    yes = store_like_test(m->like, json_raw_string(a, v));
    arena_release(a, mark);
    return yes;
}

/* What `contains` counts as items: those of an array, the characters of a string, the names of an
 * object. */
struct items {
    struct json_raw of;
    size_t at;
    char character[16]; /* one of a string, as JSON */
};

/* A string's text holds characters as they are, or escapes as json_write writes them. */
static bool next_character(struct items *it, struct json_raw *out)
{
    str rest = str_drop(it->of.text, it->at + 1);
    uint8_t first = rest.n > 1 ? (uint8_t)rest.p[0] : 0;
    size_t n;

    if (rest.n <= 1)
        return false;
    if (first == '\\')
        n = rest.p[1] == 'u' ? 6 : 2;
    else
        n = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    n = MIN_OF(n, rest.n - 1);
    it->character[0] = it->character[n + 1] = '"';
    memcpy(it->character + 1, rest.p, n);
    it->at += n;
    *out = (struct json_raw){JSON_STRING, {it->character, n + 2}};
    return true;
}

static bool next_name(struct arena *a, struct items *it, struct json_raw *out)
{
    struct json_raw value;
    struct buf b;
    str name;

    if (!json_scan_next(a, it->of.text, &it->at, &name, &value))
        return false;
    buf_init_arena(&b, a, SIZE_MAX);
    json_write_string(&b, name);
    *out = (struct json_raw){JSON_STRING, buf_str(&b)};
    return !buf_failed(&b);
}

static bool next_item(struct arena *a, struct items *it, struct json_raw *out)
{
    switch (it->of.type) {
    case JSON_ARRAY:
        return json_scan_item(it->of.text, &it->at, out);
    case JSON_STRING:
        return next_character(it, out);
    case JSON_OBJECT:
        return next_name(a, it, out);
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_NUMBER:
        break;
    }
    return false;
}

static bool has_items(const struct json_raw *v)
{
    return v->type == JSON_ARRAY || v->type == JSON_STRING || v->type == JSON_OBJECT;
}

#define ITEMS_WEIGHT 8 /* each is looked for in the set */

/* Holds the field all of the set, or one of it? */
static bool test_contains(struct arena *a, const struct match *m, const struct json_raw *v)
{
    size_t wanted = m->filter->op == STORE_CONTAINS ? m->nset : 1, found = 0, at;
    struct items it = {.of = *v};
    struct json_raw item;

    if (!has_items(v))
        return false;
    if (m->work != NULL)
        m->work->done += ITEMS_WEIGHT * (uint64_t)v->text.n;
    if (m->nset > 0)
        memset(m->seen, 0, m->nset * sizeof *m->seen);
    while (found < wanted) {
        struct arena_mark mark = arena_mark(a);
        bool more = next_item(a, &it, &item);
        if (more && set_find(a, m, &item, &at) && !m->seen[at]) {
            m->seen[at] = true;
            found++;
        }
        arena_release(a, mark);
        if (!more)
            return false;
    }
    return true;
}

bool store_match_test(struct arena *a, const struct match *m, const struct object *o)
{
    struct json_raw v;
    bool there = store_object_field(a, o, m->filter->field, &v);
    const struct json_raw *x = there ? &v : NULL;
    size_t at;

    store_work_field(m->work, o, x);
    switch (m->filter->op) {
    case STORE_EQ:
        return there && store_compare(a, m->work, x, &m->value) == 0;
    case STORE_NOT:
        return !there || store_compare(a, m->work, x, &m->value) != 0;
    case STORE_LT:
        return store_compare(a, m->work, x, &m->value) < 0;
    case STORE_GT:
        return store_compare(a, m->work, x, &m->value) > 0;
    case STORE_MIN:
        return store_compare(a, m->work, x, &m->value) >= 0;
    case STORE_MAX:
        return store_compare(a, m->work, x, &m->value) <= 0;
    case STORE_IN:
        return there && set_find(a, m, x, &at);
    case STORE_EXCLUDE:
        return !there || !set_find(a, m, x, &at);
    case STORE_LIKE:
        return there && test_like(a, m, x);
    case STORE_HAS:
        return there == (json_is(m->filter->value, JSON_BOOL) && json_bool(m->filter->value));
    case STORE_CONTAINS:
    case STORE_CONTAINS_ANY:
        break;
    }
    return there && test_contains(a, m, x);
}
