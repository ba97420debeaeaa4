/*
 * store/field.c - indexes of declared fields: what is declared, how values become keys, and that the keys
 * are there.
 *
 * An index is a row of fields. For each object of its list (no tombstones) it has the key
 *
 *     10 list 04 i F... TIME        -> the object, or empty
 *
 * where i is its place in what is declared, from 0, and each F one of the object's values:
 *
 *     01 null     02 string     03 number     04 boolean     05 array     06 object     07 absent
 *
 * the order of json_compare; behind 02 the bytes, with 00 FF for a NUL, and at the end 00 00, or 00 01 where the
 * string was cut; behind 03 the nearest double, its bits turned so that they sort as numbers do; behind 04 one
 * byte.
 *
 * Of two values the greater never has the lesser F, and equal ones have the same. Different ones may have the same
 * (long strings, arrays, more digits than a double has): an index narrows down, and puts groups in order. What is
 * in a group, the objects themselves decide (plan.c).
 *
 * When does an index hold? A list whose indexes are complete says so, with the text of what is declared
 * (01 "index:" list). Nobody goes by that, or keeps it up, but a process with the same text; any other one
 * deletes it with the keys, in the first transaction that changes objects. So an index is either right, or
 * not there, after a crash, too. (The value is the object where the key was written with it; where it came
 * later, or was mended, the object lies under its TIME.) A list that is made when its indexes are declared
 * has them from the beginning; for others they are made when the store is opened.
 */
#include "store/private.h"

#include "base/log.h"

#include <endian.h>

#define STRING_BYTES 224  /* of all strings of an index together */
#define PORTION      1000 /* objects that get their keys in one transaction */

enum state { BEING_MADE, READY };

/* ---- what is declared ------------------------------------------------------------------------ */

static enum err parse_index(str word, struct field_index *out, const char **why)
{
    *out = (struct field_index){.n = 0};
    for (str rest = word; !str_none(rest);) {
        str name = str_cut(&rest, '+');
        if (name.n == 0) {
            *why = "a field without a name";
            return ERR_SYNTAX;
        }
        if (str_eq(name, STR("last_modified"))) {
            *why = "last_modified ends every index by itself";
            return ERR_SYNTAX;
        }
        if (out->n == STORE_MAX_INDEX_FIELDS) {
            *why = "more than 4 fields in one index";
            return ERR_LIMIT;
        }
        out->names[out->n++] = name;
    }
    return OK;
}

enum err store_fields_parse(str text, struct fields *out, const char **why)
{
    str rest = text, word;

    out->n = 0;
    if (text.n > STORE_MAX_INDEX_TEXT) {
        *why = "more than 1000 bytes";
        return ERR_LIMIT;
    }
    while (str_next_word(&rest, &word)) {
        enum err e;
        if (out->n == STORE_MAX_INDEXES) {
            *why = "more than 8 indexes of one collection";
            return ERR_LIMIT;
        }
        e = parse_index(word, &out->index[out->n++], why);
        if (e != OK)
            return e;
    }
    *why = "no field is named";
    return out->n > 0 ? OK : ERR_SYNTAX;
}

enum err store_declared_check(const struct store_declared *d, const char **why)
{
    struct fields unused;

    return store_fields_parse(d->fields, &unused, why);
}

/* As it is kept: with commas alone. */
static void write_text(struct buf *b, const struct fields *f)
{
    for (unsigned i = 0; i < f->n; i++)
        for (unsigned k = 0; k < f->index[i].n; k++) {
            if (i + k > 0)
                buf_add_str(b, k == 0 ? STR(",") : STR("+"));
            buf_add_str(b, f->index[i].names[k]);
        }
}

/* Its strings lie in f->memory. */
static enum err declare(struct fields *f, const struct store_declared *d)
{
    struct buf *b = &f->memory;
    const char *why;
    size_t parent;
    enum err e = store_fields_parse(d->fields, f, &why);

    buf_init(b, SIZE_MAX);
    if (e != OK)
        return e;
    buf_add_str(b, STR("/buckets/"));
    buf_add_str(b, d->bucket);
    buf_add_str(b, STR("/collections/"));
    buf_add_str(b, d->collection);
    parent = b->n;
    write_text(b, f);
    if (buf_failed(b))
        return b->err;
    f->list = (struct store_list_id){STR("record"), str_sub(buf_str(b), 0, parent)};
    f->text = str_drop(buf_str(b), parent);
    return store_fields_parse(f->text, f, &why);
}

void store_fields_free(struct store *s)
{
    for (unsigned i = 0; i < s->nfields; i++)
        buf_fini(&s->fields[i].memory);
    free(s->fields);
    s->fields = NULL;
    s->nfields = 0;
}

enum err store_fields_declare(struct store *s, const struct store_declared *d, unsigned n)
{
    if (n == 0)
        return OK;
    s->fields = calloc(n, sizeof *s->fields);
    if (s->fields == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < n; i++) {
        enum err e = declare(&s->fields[s->nfields++], &d[i]);
        if (e != OK)
            return e;
    }
    return OK;
}

/* NULL: nothing is declared for it. */
static const struct fields *declared_for(const struct store *s, struct store_list_id id)
{
    for (unsigned i = 0; i < s->nfields; i++)
        if (str_eq(s->fields[i].list.parent, id.parent) &&
            str_eq(s->fields[i].list.resource, id.resource))
            return &s->fields[i];
    return NULL;
}

/* ---- keys ------------------------------------------------------------------------------------ */

enum { TAG_STRING = 2, TAG_NUMBER, TAG_BOOL, TAG_ABSENT = 7 };

static void add_string(struct key *k, str s, size_t most)
{
    size_t from = k->n;

    for (size_t i = 0; i < s.n; i++) {
        if (k->n - from + (s.p[i] == 0 ? 2 : 1) > most) {
            store_key_add(k, (str){"\0\1", 2});
            return;
        }
        store_key_add_u8(k, (uint8_t)s.p[i]);
        if (s.p[i] == 0)
            store_key_add_u8(k, 0xFF);
    }
    store_key_add(k, (str){"\0\0", 2});
}

/* The sign bit turned over, and of a negative number all others, too. */
static void add_number(struct key *k, double d)
{
    uint64_t bits, sign = UINT64_C(1) << 63;

    d = d == 0 ? 0 : d; /* -0 is 0 */
    memcpy(&bits, &d, sizeof bits);
    bits = htobe64(bits & sign ? ~bits : bits | sign);
    store_key_add(k, (str){(const char *)&bits, sizeof bits});
}

bool store_fields_exact(const struct key *f, const struct json_raw *v)
{
    switch (v->type) {
    case JSON_NULL:
    case JSON_BOOL:
        return true;
    case JSON_STRING: /* not cut */
        return f->n > 0 && f->b[f->n - 1] == 0;
    case JSON_NUMBER:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return false;
}

enum err store_fields_add(struct arena *a, struct key *k, const struct field_index *ix,
                          const struct json_raw *v)
{
    str text;

    store_key_add_u8(k, v == NULL ? TAG_ABSENT : 1 + (unsigned)json_type_rank(v->type));
    if (v == NULL)
        return OK;
    if (v->type == JSON_NUMBER)
        add_number(k, json_number_value(v->text));
    if (v->type == JSON_BOOL)
        store_key_add_u8(k, v->text.p[0] == 't');
    if (v->type != JSON_STRING)
        return OK;
    text = json_raw_string(a, v);
    if (str_none(text))
        return ERR_NOMEM;
    add_string(k, text, STRING_BYTES / ix->n);
    return OK;
}

/* Behind the string that begins here; NULL: it has no end. */
static const char *skip_string(const char *at, const char *end)
{
    for (; end - at >= 2; at++) {
        if (*at != 0)
            continue;
        if ((uint8_t)at[1] != 0xFF)
            return at + 2;
        at++;
    }
    return NULL;
}

size_t store_fields_skip(str key, size_t at, unsigned n)
{
    const char *p = key.p + at, *end = key.p + key.n;

    for (; n > 0 && p != NULL && p < end; n--) {
        unsigned tag = (uint8_t)*p++;
        if (tag == TAG_STRING)
            p = skip_string(p, end);
        else if (tag == TAG_NUMBER)
            p = end - p >= 8 ? p + 8 : NULL;
        else if (tag == TAG_BOOL)
            p = end - p >= 1 ? p + 1 : NULL;
    }
    return n > 0 || p == NULL ? 0 : (size_t)(p - key.p);
}

void store_fields_prefix(struct key *k, uint32_t list, unsigned i)
{
    store_key_init_list(k, list, SUB_FIELD);
    store_key_add_u8(k, i);
}

enum err store_fields_key(struct arena *a, struct key *k, uint32_t list, const struct fields *f,
                          unsigned i, const struct object *o)
{
    const struct field_index *ix = &f->index[i];
    enum err e = OK;

    store_fields_prefix(k, list, i);
    for (unsigned n = 0; n < ix->n && e == OK; n++) {
        struct arena_mark m = arena_mark(a);
        struct json_raw v;
        bool there = store_object_field(a, o, ix->names[n], &v);
        e = arena_failed(a) ? ERR_NOMEM : store_fields_add(a, k, ix, there ? &v : NULL);
        arena_release(a, m);
    }
    store_key_add_time(k, o);
    return e;
}

/* ---- is it complete? ------------------------------------------------------------------------- */

static void mark_key(struct key *k, uint32_t list)
{
    store_key_init(k, KEY_META);
    store_key_add(k, STR(META_INDEX));
    store_key_add_u32(k, list);
}

enum err store_fields_mark_decode(str value, bool *ready, str *text)
{
    struct reader r = store_reader(value);
    uint64_t state = store_dec_varint(&r);

    *text = store_dec_rest(&r);
    *ready = state == READY;
    return r.bad || state > READY ? ERR_CORRUPT : OK;
}

static enum err mark_put(struct store_session *s, uint32_t list, const struct fields *f,
                         enum state state)
{
    struct key k;
    char value[1 + STORE_MAX_INDEX_TEXT];

    value[0] = (char)state;
    memcpy(value + 1, f->text.p, f->text.n);
    mark_key(&k, list);
    return store_db_put(s, &k, (str){value, 1 + f->text.n});
}

enum err store_fields_marked(struct store_session *s, uint32_t list, str *value)
{
    struct key k;

    mark_key(&k, list);
    return store_db_get(s, &k, value);
}

enum err store_fields_find(struct store_session *s, struct store_list_id id, struct list *l)
{
    const struct fields *f;
    bool ready;
    str value, text;
    enum err e;

    if (l->fields_known || s->thread->store->nfields == 0)
        return OK;
    f = declared_for(s->thread->store, id);
    e = f != NULL ? store_fields_marked(s, l->number, &value) : ERR_NOTFOUND;
    if (e != OK && e != ERR_NOTFOUND)
        return e;
    if (e == OK && store_fields_mark_decode(value, &ready, &text) == OK && ready &&
        str_eq(text, f->text))
        l->fields = f;
    l->fields_known = true;
    return OK;
}

enum err store_fields_begin(struct store_session *s, struct store_list_id id, struct list *l)
{
    const struct fields *f = declared_for(s->thread->store, id);
    enum err e = f != NULL ? mark_put(s, l->number, f, READY) : OK;

    l->fields_known = true;
    l->fields = e == OK ? f : NULL;
    return e;
}

enum err store_fields_forget(struct store_session *s, struct store_list_id id, uint32_t list)
{
    struct key k;

    if (declared_for(s->thread->store, id) == NULL)
        return OK;
    mark_key(&k, list);
    return store_db_del(s, &k);
}

/* ---- kept up --------------------------------------------------------------------------------- */

/* For each key of an object. */
static enum err write_keys(struct store_session *s, const struct list *l, const struct object *o,
                           enum err (*write)(struct store_session *s, const struct key *k))
{
    struct key k;
    enum err e = OK;

    CHECK(l->fields_known || s->thread->store->nfields == 0);
    for (unsigned i = 0; l->fields != NULL && !o->o.deleted && i < l->fields->n && e == OK; i++) {
        e = store_fields_key(s->arena, &k, l->number, l->fields, i, o);
        if (e == OK)
            e = write(s, &k);
    }
    return e;
}

enum err store_fields_remove(struct store_session *s, const struct list *l, const struct object *o)
{
    return write_keys(s, l, o, store_db_del);
}

enum err store_fields_link(struct store_session *s, const struct list *l, const struct object *o)
{
    return write_keys(s, l, o, store_db_link);
}

/* What the mark under the cursor says is what is declared here. */
static bool is_current(struct store_session *s, struct arena *a, struct engine_cursor *c,
                       uint32_t list)
{
    const struct fields *f;
    struct store_list_id id;
    bool ready = false;
    str value, text = STR("");

    if (engine_cursor_value(c, &value) != OK ||
        store_fields_mark_decode(value, &ready, &text) != OK ||
        store_list_name(s, a, list, &id) != OK)
        return false; /* what is damaged is made anew */
    f = declared_for(s->thread->store, id);
    return f != NULL && ready && str_eq(text, f->text);
}

/* The first mark at or behind `at`, which becomes its key, that is not right. *list: whose it is; 0: nobody knows.
 * NOTFOUND. */
static enum err stale_find(struct store_session *s, struct arena *a, struct key *at, uint32_t *list)
{
    struct engine_cursor c;
    struct key prefix;

    store_key_init(&prefix, KEY_META);
    store_key_add(&prefix, STR(META_INDEX));
    engine_cursor_init(&c, s->view, key_str(&prefix));
    for (bool more = engine_cursor_seek(&c, key_str(at)); more; more = engine_cursor_next(&c)) {
        str key = engine_cursor_key(&c);
        struct reader r = store_reader(str_drop(key, prefix.n));
        *list = store_dec_u32(&r);
        if (store_dec_end(&r, true) != OK)
            *list = 0;
        if (*list != 0 && is_current(s, a, &c, *list))
            continue;
        at->n = 0;
        store_key_add(at, key);
        return OK;
    }
    return engine_cursor_err(&c) != OK ? engine_cursor_err(&c) : ERR_NOTFOUND;
}

/* The indexes of a list, and their mark. */
static enum err take_away(struct store_session *s, const struct key *mark, uint32_t list)
{
    struct key k;
    enum err e = store_db_del(s, mark);

    store_key_init_list(&k, list, SUB_FIELD);
    return e == OK && list != 0 ? store_db_del_prefix(s, &k) : e;
}

enum err store_fields_changed(struct store_session *s)
{
    struct key at;
    uint32_t list = 0;
    enum err e = OK;

    if (s->fields_seen || !s->thread->store->fields_stale)
        return OK;
    s->fields_seen = true;
    mark_key(&at, 0);
    while (e == OK) {
        e = stale_find(s, s->arena, &at, &list);
        if (e == OK)
            e = take_away(s, &at, list);
    }
    return e == ERR_NOTFOUND ? OK : store_fail(s, e);
}

/* ---- made for what is there ------------------------------------------------------------------ */

/* The keys of one object, in the arena. */
static enum err gather(struct store_session *s, uint32_t list, const struct fields *f,
                       const struct object *o, str *keys)
{
    struct key k;
    enum err e = OK;

    for (unsigned i = 0; i < f->n && e == OK; i++) {
        e = store_fields_key(s->arena, &k, list, f, i, o);
        keys[i] = e == OK ? arena_str(s->arena, key_str(&k)) : STR_NONE;
        if (e == OK && str_none(keys[i]))
            e = ERR_NOMEM;
    }
    return e;
}

/* Of up to PORTION objects from `at` on, which becomes the next one's key: no cursor outlives a write. *n: keys;
 * *more: objects are left. */
static enum err gather_some(struct store_session *s, uint32_t list, const struct fields *f,
                            struct key *at, str *keys, size_t *n, bool *more)
{
    struct engine_cursor c;
    struct key prefix;
    enum err e = OK;

    store_key_init_list(&prefix, list, SUB_TIME);
    engine_cursor_init(&c, s->view, key_str(&prefix));
    *n = 0;
    *more = engine_cursor_seek(&c, key_str(at));
    for (unsigned i = 0; *more && i < PORTION && e == OK; i++) {
        struct object o;
        str value;
        e = engine_cursor_value(&c, &value);
        if (e == OK)
            e = store_value_decode(value, &o);
        if (e == OK)
            e = gather(s, list, f, &o, keys + *n);
        *n += f->n;
        *more = e == OK && engine_cursor_next(&c);
    }
    if (e == OK)
        e = engine_cursor_err(&c);
    at->n = 0;
    if (*more)
        store_key_add(at, engine_cursor_key(&c));
    return e;
}

/* One transaction; with the last one the indexes are complete. */
static enum err make_some(struct store_session *s, uint32_t list, const struct fields *f,
                          struct key *at, bool *more)
{
    str *keys = ARENA_NEW_ARRAY(s->arena, str, (size_t)PORTION * f->n);
    size_t n;
    enum err e;

    if (keys == NULL)
        return ERR_NOMEM;
    e = gather_some(s, list, f, at, keys, &n, more);
    for (size_t i = 0; i < n && e == OK; i++) {
        struct key k = {.n = 0};
        store_key_add(&k, keys[i]);
        e = store_db_put(s, &k, STR(""));
    }
    return e == OK && !*more ? mark_put(s, list, f, READY) : e;
}

/* Whatever there is goes; from here on it is begun. */
static enum err begin_making(struct store_session *s, uint32_t list, const struct fields *f)
{
    struct key mark;
    enum err e = store_fields_changed(s);

    mark_key(&mark, list);
    if (e == OK)
        e = take_away(s, &mark, list);
    return e == OK ? mark_put(s, list, f, BEING_MADE) : e;
}

/* *list: of what is declared. NOTFOUND: there is nothing to do for it. */
static enum err is_missing(struct store_session *s, const struct fields *f, uint32_t *list)
{
    struct list *l;
    enum err e = store_list_find(s, f->list, &l);

    if (e == OK && l->fields != NULL)
        e = ERR_NOTFOUND;
    if (e == OK)
        *list = l->number;
    return e;
}

/* Commits, or, where something failed, aborts. */
static enum err end_session(struct store_session *s, enum err e)
{
    if (e == OK)
        return store_commit_wait(s);
    store_abort(s);
    return e;
}

static enum err make(struct store_thread *t, struct arena *a, const struct fields *f)
{
    struct store_session *s;
    struct key at;
    uint32_t list;
    bool more = true;
    enum err e = store_write_wait(t, a, &s);

    if (e != OK)
        return e;
    e = is_missing(s, f, &list);
    if (e != OK) {
        store_abort(s);
        return e == ERR_NOTFOUND ? OK : e;
    }
    log_event(LOG_INFO, "store_index_begun", "list=\"" STR_FMT "\" fields=\"" STR_FMT "\"",
              STR_ARG(f->list.parent), STR_ARG(f->text));
    store_key_init_list(&at, list, SUB_TIME);
    for (e = end_session(s, begin_making(s, list, f)); e == OK && more;) {
        arena_reset(a);
        e = store_write_wait(t, a, &s);
        if (e == OK)
            e = end_session(s, make_some(s, list, f, &at, &more));
    }
    if (e == OK)
        log_event(LOG_INFO, "store_index_made", "list=\"" STR_FMT "\"", STR_ARG(f->list.parent));
    return e;
}

/* What is not declared any more goes. */
static enum err settle(struct store_thread *t, struct arena *a)
{
    struct store_session *s;
    enum err e = store_write_wait(t, a, &s);

    return e == OK ? end_session(s, store_fields_changed(s)) : e;
}

static enum err look(struct store_thread *t, struct arena *a)
{
    struct store_session *s;
    struct key at;
    uint32_t list;
    enum err e = store_read_begin(t, a, &s);

    if (e != OK)
        return e;
    mark_key(&at, 0);
    e = stale_find(s, a, &at, &list);
    t->store->fields_stale = e != ERR_NOTFOUND;
    store_read_end(s);
    return e == ERR_NOTFOUND ? OK : e;
}

static void say_not_made(const struct fields *f, enum err e)
{
    log_event(LOG_WARN, "store_index_not_made", "list=\"" STR_FMT "\" error=\"%s\"",
              STR_ARG(f->list.parent), err_text(e));
}

/* Where it cannot be, what there is can be read all the same. */
static bool can_wait(enum err e, bool again)
{
    return e == ERR_NOSPACE || e == ERR_FAILED || (again && e == ERR_CORRUPT);
}

static enum err open_with(struct store_thread *t, struct arena *a, bool again)
{
    struct store *s = t->store;
    enum err e = look(t, a);

    if (e == OK && s->fields_stale)
        e = settle(t, a);
    for (unsigned i = 0; i < s->nfields && e == OK; i++) {
        arena_reset(a);
        e = make(t, a, &s->fields[i]);
        if (!can_wait(e, again))
            continue;
        say_not_made(&s->fields[i], e);
        e = OK;
    }
    arena_reset(a);
    return e == OK ? look(t, a) : e;
}

enum err store_fields_open(struct store *s, bool again)
{
    struct store_thread *t;
    struct arena a;
    enum err e = store_thread_new(s, &t);

    if (e != OK)
        return e;
    arena_init(&a, NULL, 0, NULL, SIZE_MAX);
    e = open_with(t, &a, again);
    if (can_wait(e, again)) { /* then they go with the first change */
        s->fields_stale = true;
        e = OK;
    }
    arena_fini(&a);
    store_thread_free(t);
    return e;
}
