/*
 * store/rules.c - what must hold, a rule for each kind of key (doc/keys.md), and what is done where
 * it does not.
 *
 * Whom to believe. Damage is a transaction that is missing from the middle of the log, those
 * behind it played back all the same. Then
 *  - a key that follows from an object may be left from the object before, or lead to one that is
 *    gone: the object under its id is believed, not what leads to it;
 *  - an object may name a principal whose first appearance is missing: nobody can say any more who
 *    it was. It must not stay in the permissions, because the counter does not know the number,
 *    and would give it out again, to somebody else;
 *  - objects may be in a list whose first appearance is missing: they are kept, under a name that
 *    says so;
 *  - two lists of one name: the newer, with the higher number, is the one that was written to last;
 *  - two objects of one time may have learnt of each other or not (invariant 1): both are tied.
 * Where one of two keys of a value is missing, the other is believed.
 */
#include "store/private.h"

/* ---- principals: 03, 02 ---------------------------------------------------------------------- */

static void principal_key(struct key *k, str name)
{
    store_key_init(k, KEY_PRINCIPAL);
    store_key_add_text(k, name);
}

static void name_key(struct key *k, uint32_t principal)
{
    store_key_init(k, KEY_PRINCIPAL_NAME);
    store_key_add_u32(k, principal);
}

/* 0: it is none. */
static uint32_t number_of(str value)
{
    struct reader r = store_reader(value);
    uint32_t n = store_dec_u32(&r);

    return store_dec_end(&r, true) == OK ? n : 0;
}

static enum err is_called(struct audit *a, uint32_t number, str name, bool *yes)
{
    struct key k;
    str found;
    enum err e;

    name_key(&k, number);
    e = store_audit_get(a, &k, &found);
    *yes = e == OK && !str_none(found) && str_eq(found, name);
    return e;
}

/* Names first: what they lead to is right when the keys 02 are looked at. */
static enum err rule_name(struct audit *a, str key, str value)
{
    uint32_t number = number_of(str_drop(key, 1)), by_name;
    struct key k, v = {.n = 0};
    bool second;
    str found;
    enum err e;

    if (number == 0 || str_none(value))
        return store_audit_drop(a, key, "a damaged name of a principal");
    principal_key(&k, value);
    e = store_audit_get(a, &k, &found);
    if (e != OK)
        return e;
    by_name = number_of(found);
    if (by_name == number) {
        a->highest_principal = MAX_OF(a->highest_principal, number);
        return OK;
    }
    e = is_called(a, by_name, value, &second);
    if (e != OK || second)
        return e != OK ? e : store_audit_drop(a, key, "a second number of a principal");
    a->highest_principal = MAX_OF(a->highest_principal, number);
    store_audit_problem(a, "principal " STR_FMT " has no key by its name", STR_ARG(value));
    store_key_add_u32(&v, number);
    return store_audit_put(a, &k, key_str(&v));
}

/* A principal by its name, whose number has none: the key is the name, unless it is too long. */
static enum err name_restore(struct audit *a, str key, uint32_t number)
{
    str text = str_drop(key, 1);
    struct key by_name, k;

    principal_key(&by_name, text);
    if (!str_eq(key_str(&by_name), key))
        return store_audit_drop(a, key, "a principal whose name is lost");
    a->highest_principal = MAX_OF(a->highest_principal, number);
    store_audit_problem(a, "principal " STR_FMT " has no key by its number", STR_ARG(text));
    name_key(&k, number);
    return store_audit_put(a, &k, text);
}

static enum err rule_principal(struct audit *a, str key, str value)
{
    uint32_t number = number_of(value);
    struct key k;
    str name;
    enum err e;

    if (number == 0)
        return store_audit_drop(a, key, "a principal without a number");
    name_key(&k, number);
    e = store_audit_get(a, &k, &name);
    if (e != OK)
        return e;
    if (str_none(name))
        return name_restore(a, key, number);
    principal_key(&k, name);
    return str_eq(key_str(&k), key)
               ? OK
               : store_audit_drop(a, key, "a principal with the number of another");
}

/* ---- names of lists: 08, 04 ------------------------------------------------------------------ */

static void list_name_key(struct key *k, uint32_t number)
{
    store_key_init(k, KEY_LIST_NAME);
    store_key_add_u32(k, number);
}

struct list_name { /* what stands under a key 04 or 08 */
    str value;
    uint32_t number; /* 0: nothing that makes sense */
    struct store_list_id id;
};

static void list_name_decode(str value, struct list_name *out)
{
    *out = (struct list_name){.value = value};
    if (str_none(value) || store_list_name_decode(value, &out->number, &out->id) != OK)
        out->number = 0;
}

static enum err list_name_get(struct audit *a, const struct key *k, struct list_name *out)
{
    str value;
    enum err e = store_audit_get(a, k, &value);

    if (e == OK)
        list_name_decode(value, out);
    return e;
}

/* What is found by a list's name; what stands there and is about another one counts for nothing. */
static enum err list_find_by_name(struct audit *a, const struct key *k, struct list_name *out)
{
    struct key own;
    enum err e = list_name_get(a, k, out);

    if (e == OK && out->number != 0 &&
        (store_list_key(&own, out->id) != OK || !str_eq(key_str(&own), key_str(k))))
        *out = (struct list_name){.value = STR_NONE};
    return e;
}

static enum err has_keys(struct audit *a, uint32_t list, bool *yes)
{
    struct key k;

    store_key_init_list(&k, list, SUB_STATE);
    k.n--;
    return store_audit_any(a, &k, yes);
}

/* Takes out a list that lost its name to a newer one; `key` is its 08. */
static enum err list_remove(struct audit *a, str key, uint32_t number)
{
    struct key k;
    enum err e = store_audit_drop(a, key, "a list whose name is that of a newer one");

    store_key_init_list(&k, number, SUB_STATE);
    k.n--;
    return e == OK ? store_audit_del_prefix(a, &k) : e;
}

/* Another list is found by the name of list `number` (its 08 is `key`). The newer one counts, and the
 * other goes away: *lost, this one. An older one without a key 08 goes later, for want of it. */
static enum err rival_settle(struct audit *a, str key, uint32_t number,
                             const struct list_name *by_name, bool *lost)
{
    uint32_t rival = by_name->number;
    struct list_name there;
    struct key k;
    bool keys;
    enum err e;

    *lost = false;
    if (rival == 0 || rival == number)
        return OK;
    list_name_key(&k, rival);
    e = list_name_get(a, &k, &there);
    if (e != OK)
        return e;
    if (there.number != 0 && !str_eq(there.value, by_name->value))
        return OK; /* that number is another list's */
    e = has_keys(a, rival, &keys);
    if (e != OK)
        return e;
    *lost = rival > number && (there.number != 0 || keys);
    if (*lost)
        return list_remove(a, key, number);
    return there.number != 0 ? list_remove(a, key_str(&k), rival) : OK;
}

/* A list has a state as long as it has a name. One without a clock begins with now, as a new one
 * does, or with its latest time (store_rule_list_end). */
static enum err state_ensure(struct audit *a, uint32_t number)
{
    struct list fresh = {.number = number, .clock = clock_wall_ms()}, there;
    struct key k, v;
    str value;
    enum err e;

    store_list_state_encode(&fresh, &k, &v);
    e = store_audit_get(a, &k, &value);
    if (e != OK || (!str_none(value) && store_list_state_decode(value, &there) == OK))
        return e;
    store_audit_problem(a, "list %lu has no clock", (unsigned long)number);
    return store_audit_put(a, &k, key_str(&v));
}

static enum err list_keep(struct audit *a, uint32_t number)
{
    a->highest_list = MAX_OF(a->highest_list, number);
    a->result.lists++;
    return state_ensure(a, number);
}

static enum err rule_list_name(struct audit *a, str key, str value)
{
    struct list_name name, by_name;
    struct key by_number, k;
    bool lost;
    enum err e;

    list_name_decode(value, &name);
    list_name_key(&by_number, name.number);
    if (name.number == 0 || !str_eq(key_str(&by_number), key) || store_list_key(&k, name.id) != OK)
        return store_audit_drop(a, key, "a damaged name of a list");
    e = list_find_by_name(a, &k, &by_name);
    if (e == OK && (by_name.number == 0 || !str_eq(by_name.value, value))) {
        e = rival_settle(a, key, name.number, &by_name, &lost);
        if (e != OK || lost)
            return e;
        store_audit_problem(a, STR_FMT " of \"" STR_FMT "\" is not found by its name",
                            STR_ARG(name.id.resource), STR_ARG(name.id.parent));
        e = store_audit_put_both(a, &k, &by_number, value);
    }
    return e == OK ? list_keep(a, name.number) : e;
}

static enum err rule_list(struct audit *a, str key, str value)
{
    struct list_name name, by_number;
    struct key own, k;
    enum err e;

    list_name_decode(value, &name);
    if (name.number == 0 || store_list_key(&own, name.id) != OK || !str_eq(key_str(&own), key))
        return store_audit_drop(a, key, "a damaged list");
    list_name_key(&k, name.number);
    e = list_name_get(a, &k, &by_number);
    if (e != OK || (by_number.number != 0 && str_eq(by_number.value, value)))
        return e;
    if (by_number.number != 0) /* that name was found above, and leads here */
        return store_audit_drop(a, key, "a list with the number of another");
    store_audit_problem(a, STR_FMT " of \"" STR_FMT "\" has no key by its number",
                        STR_ARG(name.id.resource), STR_ARG(name.id.parent));
    e = store_audit_put_both(a, &own, &k, value);
    return e == OK ? list_keep(a, name.number) : e;
}

/* ---- the keys of time: 10 list 02, 10 list 05 ------------------------------------------------ */

static enum err rule_time(struct audit *a, str key, str value)
{
    struct object o;
    struct key k;
    str there;
    enum err e;

    if (str_none(value) || store_value_decode(value, &o) != OK)
        return store_audit_drop(a, key, "a time of a damaged object");
    store_time_key(&k, a->list.number, &o);
    if (!str_eq(key_str(&k), key))
        return store_audit_drop(a, key, "a time that is not its object's");
    store_id_key(&k, a->list.number, o.o.id);
    e = store_audit_get(a, &k, &there);
    if (e != OK || (!str_none(there) && str_eq(there, value)))
        return e;
    return store_audit_drop(a, key, "a time of an object that is not there, or is another now");
}

/* ---- permissions ----------------------------------------------------------------------------- */

static enum err is_named(struct audit *a, uint32_t principal, bool *yes)
{
    struct key k;
    str name;
    enum err e;

    name_key(&k, principal);
    e = store_audit_get(a, &k, &name);
    *yes = e == OK && !str_none(name);
    return e;
}

/* The entries that make sense, as they must be written. */
static enum err acl_filter(struct audit *a, const struct object *o, struct buf *out)
{
    struct reader r = store_reader(o->o.acl);
    uint32_t last = 0;
    struct ace ace;

    while (!o->o.deleted && store_acl_next(&r, &ace)) {
        struct key pair = {.n = 0};
        bool named;
        enum err e = is_named(a, ace.who, &named);
        if (e != OK)
            return e;
        if (!named || ace.who <= last)
            continue;
        last = ace.who;
        store_key_add_varint(&pair, ace.who);
        store_key_add_varint(&pair, ace.perms);
        buf_add_str(out, key_str(&pair));
    }
    return out->err;
}

/* Invariant 3, from the object's side. */
static enum err shares_ensure(struct audit *a, const struct object *o)
{
    struct reader r = store_reader(o->o.acl);
    struct ace ace;

    while (store_acl_next(&r, &ace)) {
        struct key keys[2];
        store_shared_key(&keys[0], a->list.number, ace.who, o);
        store_shared_list_key(&keys[1], ace.who, a->list.number);
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            str value;
            enum err e = store_audit_get(a, &keys[i], &value);
            if (e == OK && (str_none(value) || value.n > 0)) {
                store_audit_problem(a, "object " STR_FMT " is not found by principal %lu",
                                    STR_ARG(o->o.id), (unsigned long)ace.who);
                e = store_audit_put(a, &keys[i], STR(""));
            }
            if (e != OK)
                return e;
        }
    }
    return OK;
}

static enum err rule_shared(struct audit *a, str key, str value)
{
    struct reader r = store_reader(str_drop(key, 1 + 4 + 1));
    uint32_t who = store_dec_u32(&r);
    str time = store_dec_rest(&r), found;
    struct object o;
    struct ace ace;
    struct key k;
    enum err e;

    if (str_none(value) || value.n > 0 || time.n < KEY_TIME_LEN)
        return store_audit_drop(a, key, "a damaged key of what is shared");
    store_key_init_list(&k, a->list.number, SUB_TIME);
    store_key_add(&k, time);
    e = store_audit_get(a, &k, &found);
    if (e != OK)
        return e;
    if (!str_none(found) && store_value_decode(found, &o) == OK)
        for (r = store_reader(o.o.acl); store_acl_next(&r, &ace);)
            if (ace.who == who)
                return OK;
    return store_audit_drop(a, key, "a principal that holds nothing on the object");
}

static enum err rule_shared_list(struct audit *a, str key, str value)
{
    struct reader r = store_reader(str_drop(key, 1));
    uint32_t who = store_dec_u32(&r), list = store_dec_u32(&r);
    struct key k;
    bool any;
    enum err e;

    if (store_dec_end(&r, true) != OK || str_none(value) || value.n > 0)
        return store_audit_drop(a, key, "a damaged key of a list that is shared");
    store_shared_key(&k, list, who, NULL);
    e = store_audit_any(a, &k, &any);
    return e != OK || any ? e : store_audit_drop(a, key, "a principal that holds nothing here");
}

/* ---- indexes of declared fields: 10 list 04, 01 "index:" ------------------------------------- */

/* What the list says of its indexes. */
static enum err fields_begin(struct audit *a, uint32_t number)
{
    bool ready = false;
    const char *why;
    str value, text = STR("");
    enum err e = store_fields_marked(a->s, number, &value);

    a->fields.n = 0;
    a->fields_marked = false;
    if (e == OK)
        e = store_fields_mark_decode(value, &ready, &text);
    if (e != OK || text.n > sizeof a->fields_text)
        return e == ERR_NOTFOUND || e == ERR_CORRUPT ? OK
                                                     : e; /* rule_mark tells of what is damaged */
    a->fields_marked = true;
    memcpy(a->fields_text, text.p, text.n);
    if (!ready || store_fields_parse((str){a->fields_text, text.n}, &a->fields, &why) != OK)
        a->fields.n = 0;
    return OK;
}

/* Each object has its keys; */
static enum err fields_ensure(struct audit *a, const struct object *o)
{
    struct key k;
    str value;
    enum err e = OK;

    for (unsigned i = 0; i < a->fields.n && !o->o.deleted && e == OK; i++) {
        e = store_fields_key(a->s->arena, &k, a->list.number, &a->fields, i, o);
        if (e == OK)
            e = store_audit_get(a, &k, &value);
        if (e != OK || (!str_none(value) && (value.n == 0 || str_eq(value, o->value))))
            continue;
        store_audit_problem(a, "object " STR_FMT " is not found by index %u", STR_ARG(o->o.id), i);
        e = store_audit_put(a, &k, STR(""));
    }
    return e;
}

/* and each key its object. */
static enum err rule_field(struct audit *a, str key, str value)
{
    static const size_t head = 1 + 4 + 1;
    unsigned i = key.n > head ? (uint8_t)key.p[head] : UINT8_MAX;
    size_t end = i < a->fields.n ? store_fields_skip(key, head + 1, a->fields.index[i].n) : 0;
    struct object o;
    struct key k;
    str found;
    enum err e;

    if (!a->fields_marked)
        return store_rule_stranger(a, key, value);
    if (a->fields.n == 0) /* not made to the end */
        return OK;
    if (end == 0 || key.n - end < KEY_TIME_LEN || str_none(value))
        return store_audit_drop(a, key, "a damaged key of an index");
    store_key_init_list(&k, a->list.number, SUB_TIME);
    store_key_add(&k, str_drop(key, end));
    e = store_audit_get(a, &k, &found);
    if (e != OK)
        return e;
    if (!str_none(found) && store_value_decode(found, &o) == OK) {
        e = store_fields_key(a->s->arena, &k, a->list.number, &a->fields, i, &o);
        if (e != OK || (str_eq(key_str(&k), key) && (value.n == 0 || str_eq(value, found))))
            return e;
    }
    return store_audit_drop(a, key, "an index that leads to another object");
}

/* ---- objects: 10 list 01 --------------------------------------------------------------------- */

/* Puts the object anew, with other permissions or tied; `after` lies in the arena. */
static enum err rewrite(struct audit *a, const struct object *before, str acl, bool tied,
                        struct object *after)
{
    struct value_parts parts = {.id = before->o.id,
                                .acl = acl,
                                .last_modified = before->o.last_modified,
                                .tied = tied,
                                .text = before->o.deleted ? STR_NONE : before->o.data};
    struct key by_id, by_time;
    struct buf b;
    enum err e;

    buf_init_arena(&b, a->s->arena, ENGINE_MAX_VALUE_BYTES);
    e = store_value_encode(&b, &parts);
    if (e == OK)
        e = store_value_decode(buf_str(&b), after);
    store_time_key(&by_time, a->list.number, before);
    if (e == OK)
        e = store_audit_del(a, key_str(&by_time));
    if (e != OK)
        return e;
    store_id_key(&by_id, a->list.number, after->o.id);
    store_time_key(&by_time, a->list.number, after);
    return store_audit_put_both(a, &by_id, &by_time, after->value);
}

/* Who else has the object's time? Those that are not tied yet are copied (one below each sub: they
 * stand before all that are). */
static enum err others_find(struct audit *a, const struct object *o, bool *any, str lone[2])
{
    static const enum key_sub subs[2] = {SUB_TIME, SUB_TOMBSTONE};
    enum err e = OK;

    *any = false;
    for (size_t i = 0; i < ARRAY_LEN(subs); i++) {
        struct engine_cursor c;
        struct object other;
        struct key k;
        str value;
        lone[i] = STR_NONE;
        store_key_init_list(&k, a->list.number, subs[i]);
        store_key_add_ms(&k, o->o.last_modified);
        engine_cursor_init(&c, a->s->view, key_str(&k));
        for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c)) {
            if (engine_cursor_value(&c, &value) != OK || store_value_decode(value, &other) != OK ||
                str_eq(other.o.id, o->o.id))
                continue;
            *any = true;
            lone[i] = other.tied ? STR_NONE : value;
            break;
        }
        if (engine_cursor_err(&c) != OK && e == OK)
            e = store_audit_end(a, &c);
        if (a->repairing && e == OK && !str_none(lone[i]))
            e = store_keep(a->s, a->s->arena, &lone[i]);
    }
    return e;
}

/* Invariant 1. The others are tied at once; *tie: so must this one be. */
static enum err others_tie(struct audit *a, const struct object *o, bool *tie)
{
    struct object other, after;
    str lone[2];
    enum err e = others_find(a, o, tie, lone);

    *tie = *tie && !o->tied;
    if (*tie)
        store_audit_problem(a, "object " STR_FMT " is not the only one of its time",
                            STR_ARG(o->o.id));
    for (size_t i = 0; i < ARRAY_LEN(lone) && a->repairing && e == OK; i++) {
        if (str_none(lone[i]))
            continue;
        e = store_value_decode(lone[i], &other);
        if (e == OK)
            e = rewrite(a, &other, other.o.acl, true, &after);
        if (e == OK)
            e = shares_ensure(a, &after);
        if (e == OK)
            e = fields_ensure(a, &after);
    }
    return e;
}

/* Its permissions and its time; what has to change, changes in *o. */
static enum err object_ensure(struct audit *a, struct object *o)
{
    struct object before = *o;
    struct buf acl;
    bool tie, same;
    enum err e;

    buf_init_arena(&acl, a->s->arena, ENGINE_MAX_VALUE_BYTES);
    e = acl_filter(a, o, &acl);
    if (e != OK)
        return e;
    same = str_eq(buf_str(&acl), o->o.acl);
    if (!same)
        store_audit_problem(a, "object " STR_FMT " has permissions of nobody", STR_ARG(o->o.id));
    e = others_tie(a, o, &tie);
    if (e != OK || (same && !tie) || !a->repairing)
        return e;
    return rewrite(a, &before, buf_str(&acl), tie || o->tied, o);
}

static enum err time_ensure(struct audit *a, const struct object *o, const struct key *by_id)
{
    struct key by_time;
    str value;
    enum err e;

    store_time_key(&by_time, a->list.number, o);
    e = store_audit_get(a, &by_time, &value);
    if (e != OK || (!str_none(value) && str_eq(value, o->value)))
        return e;
    store_audit_problem(a, "object " STR_FMT " is not found by its time", STR_ARG(o->o.id));
    return store_audit_put_both(a, by_id, &by_time, o->value);
}

static void tally(struct audit *a, const struct object *o)
{
    if (o->o.deleted)
        a->list.tombstones++;
    else
        a->list.live++;
    a->list.clock = MAX_OF(a->list.clock, o->o.last_modified);
}

static enum err rule_object(struct audit *a, str key, str value)
{
    struct object o;
    struct key k;
    enum err e;

    if (str_none(value) || store_value_decode(value, &o) != OK)
        return store_audit_drop(a, key, "a damaged object");
    store_id_key(&k, a->list.number, o.o.id);
    if (!str_eq(key_str(&k), key))
        return store_audit_drop(a, key, "an object under the id of another");
    e = object_ensure(a, &o);
    if (e == OK)
        e = time_ensure(a, &o, &k);
    tally(a, &o);
    if (e == OK)
        e = shares_ensure(a, &o);
    return e == OK ? fields_ensure(a, &o) : e;
}

/* ---- a list: 10 list ------------------------------------------------------------------------- */

static enum err rule_state(struct audit *a, str key, str value)
{
    return key.n == 1 + 4 + 1 ? OK : store_rule_stranger(a, key, value); /* looked at in the end */
}

/* Gives a list that nobody can name a name that nobody asks for. */
static enum err name_as_lost(struct audit *a, uint32_t number)
{
    struct key by_name, by_number, v = {.n = 0};
    char parent[32];
    enum err e;

    snprintf(parent, sizeof parent, "/lost/%lu", (unsigned long)number);
    e = store_list_key(&by_name, (struct store_list_id){STR(STORE_LOST), str_from(parent)});
    if (e != OK)
        return e;
    store_key_add_u32(&v, number);
    store_key_add_varint(&v, strlen(parent));
    store_key_add(&v, str_from(parent));
    store_key_add(&v, STR(STORE_LOST));
    list_name_key(&by_number, number);
    e = store_audit_put_both(a, &by_name, &by_number, key_str(&v));
    return e == OK ? list_keep(a, number) : e;
}

/* Keys of a list whose name was given in a transaction that is missing. */
static enum err nameless(struct audit *a, uint32_t number, bool *reachable)
{
    struct key k;
    bool objects;
    enum err e;

    store_key_init_list(&k, number, SUB_ID);
    e = store_audit_any(a, &k, &objects);
    if (e != OK)
        return e;
    if (number != 0 && objects) {
        store_audit_problem(a, "nobody knows any more which list this was; it has objects");
        *reachable = a->repairing;
        return a->repairing ? name_as_lost(a, number) : OK;
    }
    store_audit_problem(a, "keys of a list that is not there");
    k.n--;
    return store_audit_del_prefix(a, &k);
}

enum err store_rule_list_begin(struct audit *a, uint32_t number, bool *reachable)
{
    struct list_name name;
    struct key k;
    enum err e;

    a->list = (struct list){.number = number, .clock = INT64_MIN};
    list_name_key(&k, number);
    e = list_name_get(a, &k, &name);
    if (e != OK)
        return e;
    *reachable = name.number != 0;
    if (!*reachable)
        e = nameless(a, number, reachable);
    return e == OK ? fields_begin(a, number) : e;
}

/* Invariants 2 and 4. */
enum err store_rule_list_end(struct audit *a)
{
    const struct list *found = &a->list;
    struct list there = {.number = found->number};
    struct key k, v;
    str value;
    enum err e;

    a->result.objects += found->live;
    a->result.tombstones += found->tombstones;
    store_list_state_encode(&there, &k, &v);
    e = store_audit_get(a, &k, &value);
    if (e != OK || str_none(value) || store_list_state_decode(value, &there) != OK)
        return e; /* state_ensure has told of it */
    if (there.live == found->live && there.tombstones == found->tombstones &&
        there.clock >= found->clock)
        return OK;
    if (there.clock < found->clock)
        store_audit_problem(a, "the clock is behind an object");
    if (there.live != found->live || there.tombstones != found->tombstones)
        store_audit_problem(a,
                            "%llu objects and %llu tombstones are there, counted are %llu and %llu",
                            (unsigned long long)found->live, (unsigned long long)found->tombstones,
                            (unsigned long long)there.live, (unsigned long long)there.tombstones);
    there.live = found->live;
    there.tombstones = found->tombstones;
    there.clock = MAX_OF(there.clock, found->clock);
    store_list_state_encode(&there, &k, &v);
    return store_audit_put(a, &k, key_str(&v));
}

/* ---- memberships: 06, 07 --------------------------------------------------------------------- */

static enum err rule_membership(struct audit *a, str key, str value)
{
    struct membership m;
    struct key keys[2];
    size_t own = key.p[0] == KEY_MEMBER ? 0 : 1;
    str mirror;
    enum err e;

    if (str_none(value) || store_membership_decode(value, &m) != OK ||
        store_member_key(&keys[0], &m) != OK || store_group_key(&keys[1], &m) != OK ||
        !str_eq(key_str(&keys[own]), key))
        return store_audit_drop(a, key, "a damaged membership");
    e = store_audit_get(a, &keys[1 - own], &mirror);
    if (e != OK || (!str_none(mirror) && str_eq(mirror, value)))
        return e;
    store_audit_problem(a, "member " STR_FMT " of " STR_FMT " is not found by the %s",
                        STR_ARG(m.member), STR_ARG(m.uri), own == 0 ? "group" : "member");
    return store_audit_put_both(a, &keys[own], &keys[1 - own], value);
}

/* ---- notes: 09. What they say is known to those who keep them. ------------------------------- */

static enum err rule_note(struct audit *a, str key, str value)
{
    bool sound = !str_none(value) && store_note_key_sound(key);

    return sound ? OK : store_audit_drop(a, key, "a damaged note");
}

/* ---- counters and version: 01 ---------------------------------------------------------------- */

static enum err rule_mark(struct audit *a, str key, str value)
{
    struct reader r = store_reader(str_drop(key, 1 + strlen(META_INDEX)));
    struct list_name name;
    uint32_t number = store_dec_u32(&r);
    struct fields fields;
    const char *why;
    struct key k;
    bool ready;
    str text;
    enum err e;

    if (store_dec_end(&r, true) != OK || str_none(value) ||
        store_fields_mark_decode(value, &ready, &text) != OK ||
        store_fields_parse(text, &fields, &why) != OK)
        return store_audit_drop(a, key, "a damaged word on indexes");
    list_name_key(&k, number);
    e = list_name_get(a, &k, &name);
    if (e == OK && name.number == 0)
        e = store_audit_drop(a, key, "indexes of a list that is not there");
    return e;
}

static enum err rule_meta(struct audit *a, str key, str value)
{
    static const char *const names[] = {META_LAYOUT, COUNTER_LIST, COUNTER_PRINCIPAL};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(str_drop(key, 1), str_from(names[i])))
            return OK; /* looked at in the end */
    if (str_starts(str_drop(key, 1), STR(META_NOTES)))
        return OK;
    if (str_starts(str_drop(key, 1), STR(META_INDEX)))
        return rule_mark(a, key, value);
    return store_rule_stranger(a, key, value);
}

static enum err counter_ensure(struct audit *a, const char *name, uint32_t highest)
{
    struct key k, v = {.n = 0};
    str value;
    enum err e;

    store_key_init(&k, KEY_META);
    store_key_add(&k, str_from(name));
    e = store_audit_get(a, &k, &value);
    if (e != OK || number_of(value) >= MAX_OF(highest, 1u) || (str_none(value) && highest == 0))
        return e;
    store_audit_problem(a, "the last %s number given out is %lu, but there is %lu", name,
                        (unsigned long)number_of(value), (unsigned long)highest);
    store_key_add_u32(&v, MAX_OF(highest, 1u));
    return store_audit_put(a, &k, key_str(&v));
}

static enum err layout_ensure(struct audit *a)
{
    static const char version = LAYOUT_VERSION;
    struct key k;
    str value;
    enum err e;

    store_key_init(&k, KEY_META);
    store_key_add(&k, STR(META_LAYOUT));
    e = store_audit_get(a, &k, &value);
    if (e != OK || (!str_none(value) && str_eq(value, (str){&version, 1})))
        return e;
    store_audit_problem(a, "the version of the layout is missing");
    return store_audit_put(a, &k, (str){&version, 1});
}

enum err store_rule_counters(struct audit *a)
{
    enum err e = layout_ensure(a);

    if (e == OK)
        e = counter_ensure(a, COUNTER_LIST, a->highest_list);
    return e == OK ? counter_ensure(a, COUNTER_PRINCIPAL, a->highest_principal) : e;
}

/* ---- tables ---------------------------------------------------------------------------------- */

enum err store_rule_stranger(struct audit *a, str key, str value)
{
    (void)value;
    return store_audit_drop(a, key, "a key that means nothing");
}

const struct store_rule_row store_rules[] = {
    {KEY_PRINCIPAL_NAME, rule_name},
    {KEY_PRINCIPAL, rule_principal},
    {KEY_LIST_NAME, rule_list_name},
    {KEY_LIST, rule_list},
    {KEY_OBJECT, NULL},
    {KEY_SHARED_LIST, rule_shared_list},
    {KEY_MEMBER, rule_membership},
    {KEY_GROUP, rule_membership},
    {KEY_NOTE, rule_note},
    {KEY_META, rule_meta},
};
const size_t store_rules_count = ARRAY_LEN(store_rules);

/* Keys of time that are not true go before the objects are looked at, so that what is found at
 * an object's time is an object; shares come behind them, because objects may change theirs. */
const struct store_list_rule_row store_list_rules[] = {
    {SUB_STATE, rule_state}, {SUB_TIME, rule_time},     {SUB_TOMBSTONE, rule_time},
    {SUB_ID, rule_object},   {SUB_SHARED, rule_shared}, {SUB_FIELD, rule_field},
};
const size_t store_list_rules_count = ARRAY_LEN(store_list_rules);
