/*
 * store/list.c - lists: their numbers, clocks and counts, and what goes away with a parent.
 *
 * A list has a number from its first write (or the first question for its clock) until its parent
 * goes away; a list that comes back later is a new one with a new number, so deleting a list is
 * one engine_del_prefix, whatever it holds.
 *
 * The clock: a write without a time of its own gets max(now, clock + 1), so times rise strictly
 * within a list even when the wall clock steps back, and because the clock is stored, also over
 * restarts. A time asked for is taken as it is and pulls the clock along when it is ahead of it;
 * equal to the clock it becomes clock + 1. A list that has no clock yet begins with 0.
 */
#include "store/private.h"

#define MAX_RESOURCE_BYTES ((size_t)64)

/* ---- state ----------------------------------------------------------------------------------- */

enum err store_list_state_decode(str value, struct list *l)
{
    struct reader r = store_reader(value);

    l->clock = store_dec_signed(&r);
    l->live = store_dec_varint(&r);
    l->tombstones = store_dec_varint(&r);
    return store_dec_end(&r, true);
}

void store_list_state_encode(const struct list *l, struct key *key, struct key *value)
{
    store_key_init_list(key, l->number, SUB_STATE);
    value->n = 0;
    store_key_add_signed(value, l->clock);
    store_key_add_varint(value, l->live);
    store_key_add_varint(value, l->tombstones);
}

static enum err state_write(struct store_session *s, struct list *l)
{
    struct key k, v;

    store_list_state_encode(l, &k, &v);
    l->dirty = false;
    return store_db_put(s, &k, key_str(&v));
}

enum err store_lists_write(struct store_session *s)
{
    for (unsigned i = 0; i < s->nlists; i++) {
        enum err e = s->lists[i].dirty ? state_write(s, &s->lists[i]) : OK;
        if (e != OK)
            return e;
    }
    return OK;
}

/* A free place among the session's states; the one that was there longest makes room. */
static enum err place_take(struct store_session *s, struct list **out)
{
    struct list *l;
    enum err e;

    if (s->nlists < SESSION_LISTS) {
        *out = &s->lists[s->nlists++];
        return OK;
    }
    l = &s->lists[s->evict];
    e = l->dirty ? state_write(s, l) : OK;
    if (e != OK)
        return e;
    s->evict = (s->evict + 1) % SESSION_LISTS;
    *out = l;
    return OK;
}

enum err store_list_state(struct store_session *s, uint32_t number, struct list **out)
{
    struct list fresh = {.number = number};
    struct list *place;
    struct key k;
    str value;
    enum err e;

    for (unsigned i = 0; i < s->nlists; i++)
        if (s->lists[i].number == number) {
            *out = &s->lists[i];
            return OK;
        }
    store_key_init_list(&k, number, SUB_STATE);
    e = store_db_get(s, &k, &value);
    if (e == OK)
        e = store_list_state_decode(value, &fresh);
    else if (e == ERR_NOTFOUND)
        e = ERR_CORRUPT; /* a list has a state as long as it has a number */
    if (e == OK)
        e = place_take(s, &place);
    if (e != OK)
        return e;
    *place = fresh;
    *out = place;
    return OK;
}

/* ---- numbers --------------------------------------------------------------------------------- */

enum err store_list_key(struct key *k, struct store_list_id id)
{
    enum err e;

    if (id.resource.n == 0 || id.resource.n > MAX_RESOURCE_BYTES)
        return ERR_LIMIT;
    store_key_init(k, KEY_LIST);
    e = store_key_add_path(k, id.parent);
    store_key_add_u8(k, 0);
    store_key_add(k, id.resource);
    return e;
}

enum err store_list_check(struct store_session *s, struct store_list_id id)
{
    struct key k;

    return store_memo_number(s, id) != 0 ? OK : store_list_key(&k, id);
}

enum err store_list_number(struct store_session *s, struct store_list_id id, uint32_t *out)
{
    struct reader r;
    struct key k;
    str value;
    enum err e;

    *out = store_memo_number(s, id);
    if (*out != 0)
        return OK;
    e = store_list_key(&k, id);
    if (e == OK)
        e = store_db_get(s, &k, &value);
    if (e != OK)
        return e;
    r = store_reader(value);
    *out = store_dec_u32(&r);
    e = store_dec_end(&r, false);
    if (e == OK)
        store_memo_add(s, id, *out);
    return e;
}

enum err store_list_find(struct store_session *s, struct store_list_id id, struct list **out)
{
    uint32_t number;
    enum err e = store_list_number(s, id, &number);

    if (e == OK)
        e = store_list_state(s, number, out);
    return e == OK ? store_fields_find(s, id, *out) : e;
}

enum err store_list_name_decode(str value, uint32_t *number, struct store_list_id *id)
{
    struct reader r = store_reader(value);

    *number = store_dec_u32(&r);
    id->parent = store_dec_bytes(&r, store_dec_varint(&r));
    id->resource = store_dec_rest(&r);
    return store_dec_end(&r, true);
}

/* Writes the list's name under both of its keys. */
static enum err name_write(struct store_session *s, struct store_list_id id, uint32_t number)
{
    struct key k, head = {.n = 0};
    struct buf b;
    enum err e = store_list_key(&k, id);

    if (e != OK)
        return e;
    buf_init(&b, ENGINE_MAX_VALUE_BYTES);
    store_key_add_u32(&head, number);
    store_key_add_varint(&head, id.parent.n);
    buf_add_str(&b, key_str(&head));
    buf_add_str(&b, id.parent);
    buf_add_str(&b, id.resource);
    e = b.err == OK ? store_db_put(s, &k, buf_str(&b)) : b.err;
    buf_fini(&b);
    store_key_init(&k, KEY_LIST_NAME);
    store_key_add_u32(&k, number);
    return e == OK ? store_db_link(s, &k) : e;
}

/* Gives the list a number and an empty state, which lies in the session until it is written. */
static enum err list_new(struct store_session *s, struct store_list_id id, struct list **out)
{
    struct list *place;
    uint32_t number;
    enum err e = store_db_count(s, COUNTER_LIST, &number);

    if (e == OK)
        e = name_write(s, id, number);
    if (e == OK)
        e = place_take(s, &place);
    if (e != OK)
        return e;
    *place = (struct list){.number = number, .dirty = true};
    *out = place;
    return store_fields_begin(s, id, place);
}

enum err store_list_make(struct store_session *s, struct store_list_id id, struct list **out)
{
    enum err e = store_list_find(s, id, out);

    return e == ERR_NOTFOUND ? list_new(s, id, out) : e;
}

enum err store_list_next(struct store_session *s, uint32_t *number, struct store_list_id *out)
{
    uint32_t from = *number;
    struct engine_cursor c;
    struct key prefix, at;
    str value;
    enum err e;

    store_key_init(&prefix, KEY_LIST_NAME);
    at = prefix;
    store_key_add_u32(&at, from);
    engine_cursor_init(&c, s->view, key_str(&prefix));
    if (!engine_cursor_seek(&c, key_str(&at))) {
        e = engine_cursor_err(&c);
        return e == OK ? ERR_NOTFOUND : e;
    }
    e = engine_cursor_value(&c, &value);
    if (e == OK)
        e = store_list_name_decode(value, number, out);
    return e == OK && *number < from ? ERR_CORRUPT : e; /* it would go round for ever */
}

/* Adds what the list holds to the counts of its resource, if that is asked for. */
static enum err count_list(struct store_session *s, uint32_t number, str resource,
                           const str *resources, size_t n, struct store_counts *counts)
{
    struct list *l;

    for (size_t i = 0; i < n; i++) {
        if (!str_eq(resource, resources[i]))
            continue;
        enum err e = store_list_state(s, number, &l);
        if (e != OK)
            return e;
        counts[i].objects += l->live;
        counts[i].tombstones += l->tombstones;
    }
    return OK;
}

enum err store_count(struct store_session *s, const str *resources, size_t n,
                     struct store_counts *out)
{
    enum err e = OK;

    memset(out, 0, n * sizeof *out);
    for (uint32_t number = 1; e == OK && number != 0; number++) {
        struct store_list_id id;
        e = store_list_next(s, &number, &id);
        if (e == OK)
            e = count_list(s, number, id.resource, resources, n, out);
    }
    return e == ERR_NOTFOUND ? OK : e;
}

enum err store_list_name(struct store_session *s, struct arena *a, uint32_t number,
                         struct store_list_id *out)
{
    struct store_list_id id;
    struct key k;
    str value;
    enum err e;

    store_key_init(&k, KEY_LIST_NAME);
    store_key_add_u32(&k, number);
    e = store_db_get(s, &k, &value);
    if (e == OK)
        e = store_keep(s, a, &value);
    if (e != OK)
        return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
    e = store_list_name_decode(value, &number, &id);
    if (e == OK)
        *out = id;
    return e;
}

/* ---- the clock ------------------------------------------------------------------------------- */

int64_t store_list_stamp(struct list *l, const int64_t *asked)
{
    int64_t t = asked != NULL ? *asked : clock_wall_ms();

    if (t == l->clock || (asked == NULL && t < l->clock))
        t = l->clock + 1;
    l->clock = MAX_OF(l->clock, t);
    l->dirty = true;
    return t;
}

enum err store_timestamp(struct store_session *s, struct store_list_id list, int64_t *out)
{
    STORE_TIME(s->thread->store, TIMESTAMP);
    struct list *l;
    enum err e = store_list_find(s, list, &l);

    if (e == ERR_NOTFOUND) {
        if (s->txn == NULL)
            return ERR_AGAIN;
        e = list_new(s, list, &l);
        if (e != OK)
            return store_fail(s, e);
        store_list_stamp(l, NULL);
    }
    if (e == OK)
        *out = l->clock;
    return e;
}

/* ---- what goes away with a parent ------------------------------------------------------------ */

/* The name itself is followed by the NUL of its key, what lies below it by a '/': two ranges, and
 * the neighbours (b1, b-2 ... beside b) are not walked over. */
enum err store_below_init(struct below *b, struct store_session *s, enum key_tag tag, str uri)
{
    enum err e;

    b->started = b->children = false;
    store_key_init(&b->prefix, tag);
    e = store_key_add_path(&b->prefix, uri);
    store_key_add_u8(&b->prefix, 0);
    engine_cursor_init(&b->cursor, s->view, key_str(&b->prefix));
    return e;
}

static bool below_step(struct below *b)
{
    bool more = b->started ? engine_cursor_next(&b->cursor) : engine_cursor_first(&b->cursor);

    b->started = true;
    if (more || b->children || engine_cursor_err(&b->cursor) != OK)
        return more;
    b->children = true;
    b->prefix.b[b->prefix.n - 1] = '/';
    engine_cursor_init(&b->cursor, b->cursor.view, key_str(&b->prefix));
    return engine_cursor_first(&b->cursor);
}

enum err store_below_next(struct below *b, str *value)
{
    if (below_step(b))
        return engine_cursor_value(&b->cursor, value);
    return engine_cursor_err(&b->cursor) == OK ? ERR_NOTFOUND : engine_cursor_err(&b->cursor);
}

static void state_forget(struct store_session *s, uint32_t number)
{
    for (unsigned i = 0; i < s->nlists; i++)
        if (s->lists[i].number == number) {
            s->lists[i] = s->lists[--s->nlists];
            s->evict = 0;
            return;
        }
}

/* Takes the list out: the value of its name, which must not be borrowed from the view. */
static enum err list_delete(struct store_session *s, str value)
{
    struct store_list_id id;
    struct key k;
    uint32_t number;
    enum err e = store_list_name_decode(value, &number, &id);

    if (e == OK && store_list_key(&k, id) != OK)
        e = ERR_CORRUPT;
    if (e == OK)
        e = store_share_forget(s, number);
    if (e == OK)
        e = store_fields_forget(s, id, number);
    if (e != OK)
        return e;
    state_forget(s, number);
    e = store_db_del(s, &k);
    store_key_init(&k, KEY_LIST_NAME);
    store_key_add_u32(&k, number);
    if (e == OK)
        e = store_db_del(s, &k);
    k.b[0] = KEY_OBJECT; /* the rest is the list's number, too */
    return e == OK ? store_db_del_prefix(s, &k) : e;
}

/* One list at a time: a cursor does not outlive a write, and the next search begins where the one
 * before ended, because what it found is gone. */
static enum err lists_delete_below(struct store_session *s, str uri)
{
    for (;;) {
        struct arena_mark m = arena_mark(s->arena);
        struct below b;
        str value;
        enum err e;

        e = store_below_init(&b, s, KEY_LIST, uri);
        if (e == OK)
            e = store_below_next(&b, &value);
        if (e == OK)
            e = store_keep(s, s->arena, &value);
        if (e == OK)
            e = list_delete(s, value);
        arena_release(s->arena, m);
        if (e != OK)
            return e == ERR_NOTFOUND ? OK : e;
    }
}

enum err store_delete_below(struct store_session *s, str uri)
{
    STORE_TIME(s->thread->store, DELETE_BELOW);
    enum err e = store_changes(s);

    if (e == OK)
        e = lists_delete_below(s, uri);
    if (e == OK)
        e = store_groups_delete_below(s, uri);
    if (e == OK)
        e = store_notes_delete_below(s, uri);
    return store_fail(s, e);
}

enum err store_delete_everything(struct store_session *s)
{
    STORE_TIME(s->thread->store, FLUSH);
    static const enum key_tag tags[] = {KEY_PRINCIPAL,   KEY_PRINCIPAL_NAME, KEY_LIST,
                                        KEY_SHARED_LIST, KEY_MEMBER,         KEY_GROUP,
                                        KEY_LIST_NAME,   KEY_NOTE,           KEY_OBJECT};
    struct key k;
    enum err e = store_changes(s);

    s->nlists = s->evict = 0;
    for (size_t i = 0; i < ARRAY_LEN(tags) && e == OK; i++) {
        store_key_init(&k, tags[i]);
        e = store_db_del_prefix(s, &k);
    }
    store_key_init(&k, KEY_META);
    store_key_add(&k, STR(META_INDEX));
    return e == OK ? store_db_del_prefix(s, &k) : e;
}
