/*
 * json/compare.c - equality and the total order of values.
 *
 * Members of objects are compared by name, whatever their order. For the total order they are
 * visited sorted: large objects through a sorted array of pointers, small ones (and large ones when
 * there is no memory for the array) by searching the next larger name each time, which allocates
 * nothing. Recursion is as deep as the values.
 */
#include "base/map.h"
#include "json/private.h"

static bool arrays_equal(const struct json *a, const struct json *b)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (!json_equal(a->box->items[i], b->box->items[i]))
            return false;
    return true;
}

static bool objects_equal(const struct json *a, const struct json *b)
{
    const struct json_member *m;
    uint32_t at = 0;

    while ((m = json_next_member(a, &at)) != NULL) {
        const struct json *other = json_get(b, m->name);
        if (other == NULL || !json_equal(m->value, other))
            return false;
    }
    return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
    if (a == NULL || b == NULL || a->type != b->type)
        return a == b;
    switch (json_type(a)) {
    case JSON_NULL:
        return true;
    case JSON_BOOL:
        return a->boolean == b->boolean;
    case JSON_NUMBER:
        return json_number_compare(a->text, b->text) == 0;
    case JSON_STRING:
        return str_eq(a->text, b->text);
    case JSON_ARRAY:
        return a->count == b->count && arrays_equal(a, b);
    case JSON_OBJECT:
        return a->count == b->count && objects_equal(a, b);
    }
    return false;
}

static uint64_t hash_words(uint64_t a, uint64_t b)
{
    uint64_t words[2] = {a, b};
    return map_hash((str){(const char *)words, sizeof words});
}

/* Whatever the order of the members. */
static uint64_t hash_members(const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    uint64_t sum = v->type;

    while ((m = json_next_member(v, &at)) != NULL)
        sum += hash_words(map_hash(m->name), json_hash(m->value));
    return sum;
}

uint64_t json_hash(const struct json *v)
{
    uint64_t hash = v->type;

    switch (json_type(v)) {
    case JSON_NULL:
        break;
    case JSON_BOOL:
        return hash_words(hash, v->boolean);
    case JSON_NUMBER:
        return hash_words(hash, json_number_hash(v->text));
    case JSON_STRING:
        return map_hash(v->text);
    case JSON_ARRAY:
        for (uint32_t i = 0; i < v->count; i++)
            hash = hash_words(hash, json_hash(v->box->items[i]));
        return hash;
    case JSON_OBJECT:
        return hash_members(v);
    }
    return hash;
}

int json_type_rank(enum json_type t)
{
    static const uint8_t ranks[] = {
        [JSON_NULL] = 0, [JSON_STRING] = 1, [JSON_NUMBER] = 2,
        [JSON_BOOL] = 3, [JSON_ARRAY] = 4,  [JSON_OBJECT] = 5,
    };
    return ranks[t];
}

static int compare_sizes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_arrays(const struct json *a, const struct json *b)
{
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        int c = json_compare(a->box->items[i], b->box->items[i]);
        if (c != 0)
            return c;
    }
    return compare_sizes(a->count, b->count);
}

/* Visits the members of an object in the order of their names. */
struct sorted {
    const struct json *object;
    const struct json_member **order; /* malloc'd, or NULL */
    const struct json_member *last;
    uint32_t at;
};

static int by_name(const void *x, const void *y)
{
    const struct json_member *const *a = x, *const *b = y;
    return str_cmp((*a)->name, (*b)->name);
}

static void sorted_init(struct sorted *s, const struct json *object)
{
    const struct json_member *m;
    uint32_t at = 0, n = 0;

    *s = (struct sorted){.object = object};
    if (object->count <= JSON_LINEAR_MEMBERS)
        return;
    s->order = malloc(object->count * sizeof *s->order);
    if (s->order == NULL)
        return;
    while ((m = json_next_member(object, &at)) != NULL)
        s->order[n++] = m;
    qsort(s->order, n, sizeof *s->order, by_name);
}

static void sorted_fini(struct sorted *s)
{
    free(s->order);
}

static const struct json_member *search_next(const struct sorted *s)
{
    const struct json_member *m, *best = NULL;
    uint32_t at = 0;

    while ((m = json_next_member(s->object, &at)) != NULL)
        if ((s->last == NULL || str_cmp(m->name, s->last->name) > 0) &&
            (best == NULL || str_cmp(m->name, best->name) < 0))
            best = m;
    return best;
}

/* NULL at the end. */
static const struct json_member *sorted_next(struct sorted *s)
{
    if (s->at == s->object->count)
        return NULL;
    s->last = s->order != NULL ? s->order[s->at] : search_next(s);
    s->at++;
    return s->last;
}

static int compare_members(struct sorted *a, struct sorted *b)
{
    for (;;) {
        const struct json_member *x = sorted_next(a), *y = sorted_next(b);
        int c;
        if (x == NULL || y == NULL)
            return (x != NULL) - (y != NULL);
        c = str_cmp(x->name, y->name);
        if (c == 0)
            c = json_compare(x->value, y->value);
        if (c != 0)
            return c;
    }
}

static int compare_objects(const struct json *a, const struct json *b)
{
    struct sorted x, y;
    int c;

    sorted_init(&x, a);
    sorted_init(&y, b);
    c = compare_members(&x, &y);
    sorted_fini(&y);
    sorted_fini(&x);
    return c;
}

int json_compare(const struct json *a, const struct json *b)
{
    if (a == NULL || b == NULL)
        return (a == NULL) - (b == NULL);
    if (a->type != b->type)
        return json_type_rank(json_type(a)) - json_type_rank(json_type(b));
    switch (json_type(a)) {
    case JSON_NULL:
        return 0;
    case JSON_BOOL:
        return a->boolean - b->boolean;
    case JSON_NUMBER:
        return json_number_compare(a->text, b->text);
    case JSON_STRING:
        return str_cmp(a->text, b->text);
    case JSON_ARRAY:
        return compare_arrays(a, b);
    case JSON_OBJECT:
        return compare_objects(a, b);
    }
    return 0;
}
