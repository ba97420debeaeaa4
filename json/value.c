/*
 * json/value.c - values: reading them, building them, and the members of objects.
 *
 * An object keeps its members in slots, in the order of insertion. Up to JSON_LINEAR_MEMBERS they
 * are found by looking at each; above, by an index: open addressing, keyed hash, so that strangers
 * who choose the names cannot choose the collisions. A removal from an indexed object leaves a hole
 * in the slots, and whoever needs the members by number closes the holes first; so neither many
 * look-ups nor many removals cost quadratic time.
 *
 * Depth (invariant 3 of private.h): the way up to the root is at most JSON_MAX_DEPTH steps and is
 * walked whenever a container goes into a container; scalars need no check.
 */
#include "base/map.h"
#include "json/private.h"

/* ---- reading --------------------------------------------------------------------------------- */

enum json_type json_type(const struct json *v)
{
    return (enum json_type)v->type;
}

bool json_is(const struct json *v, enum json_type t)
{
    return v != NULL && v->type == t;
}

bool json_bool(const struct json *v)
{
    CHECK(json_is(v, JSON_BOOL));
    return v->boolean;
}

str json_string(const struct json *v)
{
    CHECK(json_is(v, JSON_STRING));
    return v->text;
}

str json_number(const struct json *v)
{
    CHECK(json_is(v, JSON_NUMBER));
    return v->text;
}

bool json_number_is_integer(const struct json *v)
{
    str s = json_number(v);

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '.' || s.p[i] == 'e' || s.p[i] == 'E')
            return false;
    return true;
}

enum err json_to_i64(const struct json *v, int64_t *out)
{
    return json_number_is_integer(v) ? str_to_i64(v->text, out) : ERR_SYNTAX;
}

double json_to_double(const struct json *v)
{
    return json_number_value(json_number(v));
}

size_t json_count(const struct json *v)
{
    return v != NULL && json_is_container(v) ? v->count : 0;
}

struct json *json_at(const struct json *v, size_t i)
{
    return json_is(v, JSON_ARRAY) && i < v->count ? v->box->items[i] : NULL;
}

struct json *json_get_typed(const struct json *v, str name, enum json_type t)
{
    struct json *m = json_get(v, name);
    return json_is(m, t) ? m : NULL;
}

str json_get_str(const struct json *v, str name, str otherwise)
{
    const struct json *m = json_get_typed(v, name, JSON_STRING);
    return m ? json_string(m) : otherwise;
}

int64_t json_get_i64(const struct json *v, str name, int64_t otherwise)
{
    int64_t n;
    const struct json *m = json_get_typed(v, name, JSON_NUMBER);
    return m && json_to_i64(m, &n) == OK ? n : otherwise;
}

/* ---- the index of large objects -------------------------------------------------------------- */

struct index_entry {
    uint32_t hash;
    uint32_t slot; /* number of the slot + 1; 0: empty */
};

/* Entries may lead to holes; a name is found by the first entry of its chain that leads to it. */
struct json_index {
    uint32_t mask;   /* number of entries - 1 */
    uint32_t filled; /* entries that are not empty; at most 3/4 of them */
    struct index_entry *entries;
};

#define NO_SLOT UINT32_MAX

static uint32_t name_hash(str name)
{
    return (uint32_t)map_hash(name);
}

static uint32_t index_find(const struct json_box *box, str name)
{
    const struct json_index *x = box->index;
    uint32_t hash = name_hash(name);

    for (uint32_t i = hash & x->mask; x->entries[i].slot != 0; i = (i + 1) & x->mask) {
        const struct json_member *m = &box->members[x->entries[i].slot - 1];
        if (x->entries[i].hash == hash && m->name.p != NULL && str_eq(m->name, name))
            return x->entries[i].slot - 1;
    }
    return NO_SLOT;
}

/* There is room, and the name is not there. */
static void index_put(struct json_index *x, str name, uint32_t slot)
{
    uint32_t hash = name_hash(name), i = hash & x->mask;

    while (x->entries[i].slot != 0)
        i = (i + 1) & x->mask;
    x->entries[i] = (struct index_entry){hash, slot + 1};
    x->filled++;
}

/* A new, empty index with room for `n` names and as many again. */
static struct json_index *index_new(struct arena *a, uint32_t n)
{
    struct json_index *x = ARENA_NEW(a, struct json_index);
    size_t cap = 4 * JSON_LINEAR_MEMBERS;

    while (cap / 2 < n)
        cap *= 2;
    if (x == NULL || cap > UINT32_MAX / 2)
        return NULL;
    x->mask = (uint32_t)cap - 1;
    x->entries = ARENA_NEW_ARRAY(a, struct index_entry, cap);
    return x->entries != NULL ? x : NULL;
}

static void index_fill(struct json_box *box)
{
    for (uint32_t i = 0; i < box->used; i++)
        if (box->members[i].name.p != NULL)
            index_put(box->index, box->members[i].name, i);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static uint32_t find_slot(const struct json *v, str name)
{
    const struct json_box *box = v->box;

    if (box->index != NULL)
        return index_find(box, name);
    for (uint32_t i = 0; i < box->used; i++)
        if (str_eq(box->members[i].name, name))
            return i;
    return NO_SLOT;
}

struct json *json_get(const struct json *v, str name)
{
    uint32_t slot;

    if (!json_is(v, JSON_OBJECT))
        return NULL;
    slot = find_slot(v, name);
    return slot != NO_SLOT ? v->box->members[slot].value : NULL;
}

/* Moves the members together and lets the index follow. */
static void close_holes(struct json *v)
{
    struct json_box *box = v->box;
    struct json_index *x = box->index;
    uint32_t n = 0;

    if (box->used == v->count)
        return;
    for (uint32_t i = 0; i < box->used; i++)
        if (box->members[i].name.p != NULL)
            box->members[n++] = box->members[i];
    box->used = n;
    memset(x->entries, 0, ((size_t)x->mask + 1) * sizeof *x->entries);
    x->filled = 0;
    index_fill(box);
}

bool json_member(const struct json *v, size_t i, str *name, struct json **value)
{
    if (!json_is(v, JSON_OBJECT) || i >= v->count)
        return false;
    /* Not seen from outside, and only after a removal; who removes is not reading elsewhere. */
    close_holes((struct json *)(uintptr_t)v);
    *name = v->box->members[i].name;
    *value = v->box->members[i].value;
    return true;
}

/* Room for one more slot of `size` bytes. */
static enum err grow_slots(struct arena *a, struct json *v, size_t size)
{
    struct json_box *box = v->box;
    uint32_t cap = box->cap < 4 ? 4 : box->cap * 2;
    void *slots;

    if (box->used < box->cap)
        return OK;
    if (box->cap >= UINT32_MAX / 4 || cap > SIZE_MAX / size)
        return ERR_NOMEM;
    slots = arena_extend(a, box->items, box->cap * size, cap * size);
    if (slots == NULL)
        return ERR_NOMEM;
    box->items = slots;
    box->cap = cap;
    return OK;
}

/* Makes sure that an object with one member more will have an index with room for it. */
static enum err grow_index(struct arena *a, struct json *v)
{
    struct json_box *box = v->box;
    struct json_index *x = box->index;

    if (v->count < JSON_LINEAR_MEMBERS && x == NULL)
        return OK;
    if (x != NULL && x->filled < (x->mask + 1) / 4 * 3)
        return OK;
    x = index_new(a, v->count + 1);
    if (x == NULL)
        return ERR_NOMEM;
    box->index = x;
    index_fill(box);
    return OK;
}

static enum err append_member(struct arena *a, struct json *v, str name, struct json *value)
{
    struct json_box *box = v->box;

    if (box->used == box->cap && box->used / 2 > v->count)
        close_holes(v); /* rather than growing */
    if (grow_slots(a, v, sizeof *box->members) != OK || grow_index(a, v) != OK)
        return ERR_NOMEM;
    if (box->index != NULL)
        index_put(box->index, name, box->used);
    box->members[box->used++] = (struct json_member){name, value};
    v->count++;
    return OK;
}

/* Linear merge of duplicates: the object is small. */
static void merge_duplicates(struct json_box *box)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < box->used; i++) {
        uint32_t k = 0;
        while (k < n && !str_eq(box->members[k].name, box->members[i].name))
            k++;
        if (k == n)
            box->members[n++] = box->members[i];
        else
            box->members[k].value = box->members[i].value;
    }
    box->used = n;
}

enum err json_object_finish(struct arena *a, struct json *v)
{
    struct json_box *box = v->box;
    uint32_t n = 0;

    if (box->used <= JSON_LINEAR_MEMBERS) {
        merge_duplicates(box);
        v->count = box->used;
        return OK;
    }
    box->index = index_new(a, box->used);
    if (box->index == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < box->used; i++) {
        struct json_member m = box->members[i];
        uint32_t slot = index_find(box, m.name);
        if (slot != NO_SLOT) {
            box->members[slot].value = m.value;
            continue;
        }
        index_put(box->index, m.name, n);
        box->members[n++] = m;
    }
    v->count = box->used = n;
    return OK;
}

/* ---- depth ----------------------------------------------------------------------------------- */

static uint16_t child_height(const struct json *child)
{
    return json_is_container(child) ? child->height : 0;
}

static uint16_t measure(struct json *v);

/* (A function, since a macro would measure one of them twice.) */
static uint16_t higher(uint16_t a, uint16_t b)
{
    return a > b ? a : b;
}

static uint16_t measure_children(const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    uint16_t height = 0;

    if (v->type == JSON_OBJECT) {
        while ((m = json_next_member(v, &at)) != NULL)
            height = higher(height, measure(m->value));
        return height;
    }
    for (uint32_t i = 0; i < v->count; i++)
        height = higher(height, measure(v->box->items[i]));
    return height;
}

/* Makes the heights in `v` exact again after removals. Recursion: at most JSON_MAX_DEPTH deep. */
static uint16_t measure(struct json *v)
{
    if (!json_is_container(v))
        return 0;
    v->height = (uint16_t)(measure_children(v) + 1);
    return v->height;
}

/* LIMIT: `value` may not go into `v`. It must not hold `v`. */
static enum err check_depth(const struct json *v, struct json *value)
{
    unsigned depth = 0;

    if (!json_is_container(value))
        return OK;
    for (const struct json *up = v; up != NULL; up = up->box->parent) {
        CHECK(up != value);
        depth++;
    }
    if (depth + value->height <= JSON_MAX_DEPTH)
        return OK;
    return depth + measure(value) <= JSON_MAX_DEPTH ? OK : ERR_LIMIT;
}

static void attach(struct json *v, struct json *value)
{
    uint16_t height = child_height(value);

    if (height == 0)
        return;
    value->box->parent = v;
    for (; v != NULL && v->height <= height; v = v->box->parent)
        v->height = ++height;
}

static void detach(struct json *value)
{
    if (json_is_container(value))
        value->box->parent = NULL;
}

/* ---- building -------------------------------------------------------------------------------- */

static struct json *new_value(struct arena *a, enum json_type t)
{
    struct json *v = ARENA_NEW(a, struct json);
    if (v != NULL)
        v->type = (uint8_t)t;
    return v;
}

static struct json *new_text(struct arena *a, enum json_type t, str s)
{
    struct json *v = new_value(a, t);
    if (v != NULL)
        v->text = str_none(s) ? STR("") : s;
    return v;
}

static struct json *new_container(struct arena *a, enum json_type t)
{
    struct json *v = new_value(a, t);

    if (v == NULL)
        return NULL;
    v->height = 1;
    v->box = ARENA_NEW(a, struct json_box);
    return v->box != NULL ? v : NULL;
}

struct json *json_new_null(struct arena *a)
{
    return new_value(a, JSON_NULL);
}

struct json *json_new_bool(struct arena *a, bool b)
{
    struct json *v = new_value(a, JSON_BOOL);
    if (v != NULL)
        v->boolean = b;
    return v;
}

struct json *json_new_i64(struct arena *a, int64_t n)
{
    str s = arena_printf(a, "%lld", (long long)n);
    return str_none(s) ? NULL : new_text(a, JSON_NUMBER, s);
}

struct json *json_new_string(struct arena *a, str s)
{
    return new_text(a, JSON_STRING, s);
}

struct json *json_new_array(struct arena *a)
{
    return new_container(a, JSON_ARRAY);
}

struct json *json_new_object(struct arena *a)
{
    return new_container(a, JSON_OBJECT);
}

static struct json *copy_array(struct arena *a, const struct json *v)
{
    struct json *copy = json_new_array(a);
    uint32_t n = v->count;

    if (copy == NULL)
        return NULL;
    copy->box->items = ARENA_NEW_ARRAY(a, struct json *, n);
    if (copy->box->items == NULL)
        return NULL;
    for (uint32_t i = 0; i < n; i++) {
        struct json *item = json_copy(a, v->box->items[i]);
        if (item == NULL)
            return NULL;
        attach(copy, item);
        copy->box->items[i] = item;
    }
    copy->count = copy->box->used = copy->box->cap = n;
    return copy;
}

static struct json *copy_object(struct arena *a, const struct json *v)
{
    struct json *copy = json_new_object(a);
    const struct json_member *m;
    uint32_t at = 0, n = 0;

    if (copy == NULL)
        return NULL;
    copy->box->members = ARENA_NEW_ARRAY(a, struct json_member, v->count);
    if (copy->box->members == NULL)
        return NULL;
    while ((m = json_next_member(v, &at)) != NULL) {
        struct json *value = json_copy(a, m->value);
        if (value == NULL)
            return NULL;
        attach(copy, value);
        copy->box->members[n++] = (struct json_member){m->name, value};
    }
    copy->count = copy->box->used = copy->box->cap = n;
    if (n <= JSON_LINEAR_MEMBERS)
        return copy;
    copy->box->index = index_new(a, n);
    if (copy->box->index == NULL)
        return NULL;
    index_fill(copy->box);
    return copy;
}

struct json *json_copy(struct arena *a, const struct json *v)
{
    struct json *copy;

    if (v == NULL)
        return NULL;
    if (v->type == JSON_ARRAY)
        return copy_array(a, v);
    if (v->type == JSON_OBJECT)
        return copy_object(a, v);
    copy = new_value(a, json_type(v));
    if (copy != NULL)
        *copy = *v;
    return copy;
}

enum err json_set(struct arena *a, struct json *object, str name, struct json *value)
{
    uint32_t slot;
    enum err e;

    if (object == NULL || value == NULL)
        return ERR_NOMEM;
    CHECK(object->type == JSON_OBJECT);
    e = check_depth(object, value);
    if (e != OK)
        return e;
    slot = find_slot(object, name);
    if (slot != NO_SLOT) {
        detach(object->box->members[slot].value);
        object->box->members[slot].value = value;
    } else {
        e = append_member(a, object, str_none(name) ? STR("") : name, value);
    }
    if (e == OK)
        attach(object, value);
    return e;
}

enum err json_push(struct arena *a, struct json *array, struct json *value)
{
    return json_insert(a, array, json_count(array), value);
}

enum err json_insert(struct arena *a, struct json *array, size_t i, struct json *value)
{
    struct json_box *box;
    enum err e;

    if (array == NULL || value == NULL)
        return ERR_NOMEM;
    CHECK(array->type == JSON_ARRAY);
    if (i > array->count)
        return ERR_RANGE;
    e = check_depth(array, value);
    if (e == OK)
        e = grow_slots(a, array, sizeof *array->box->items);
    if (e != OK)
        return e;
    box = array->box;
    memmove(box->items + i + 1, box->items + i, (box->used - i) * sizeof *box->items);
    box->items[i] = value;
    array->count = ++box->used;
    attach(array, value);
    return OK;
}

bool json_remove(struct json *object, str name)
{
    struct json_box *box;
    uint32_t slot;

    if (!json_is(object, JSON_OBJECT))
        return false;
    slot = find_slot(object, name);
    if (slot == NO_SLOT)
        return false;
    box = object->box;
    detach(box->members[slot].value);
    object->count--;
    if (box->index != NULL) {
        box->members[slot] = (struct json_member){STR_NONE, NULL};
        return true;
    }
    box->used--;
    memmove(box->members + slot, box->members + slot + 1,
            (box->used - slot) * sizeof *box->members);
    return true;
}

struct json *json_remove_at(struct json *array, size_t i)
{
    struct json *item = json_at(array, i);
    struct json_box *box;

    if (item == NULL)
        return NULL;
    box = array->box;
    array->count = --box->used;
    memmove(box->items + i, box->items + i + 1, (box->used - i) * sizeof *box->items);
    detach(item);
    return item;
}

enum err json_replace_at(struct json *array, size_t i, struct json *value)
{
    struct json *old = json_at(array, i);
    enum err e;

    if (array == NULL || value == NULL)
        return ERR_NOMEM;
    if (old == NULL)
        return ERR_RANGE;
    e = check_depth(array, value);
    if (e != OK)
        return e;
    detach(old);
    array->box->items[i] = value;
    attach(array, value);
    return OK;
}
