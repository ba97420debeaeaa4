/*
 * store/check.c - is everything as it must be (store_check), and making it so (store_repair).
 *
 * Both are one walk over all keys, each kind by its rule (rules.c), in an order in which a rule may
 * rely on those before it: principals, names of lists, each list, what refers to lists, counters at
 * the end. A repair that went wrong in the middle, or was cut off, is begun again: a rule that
 * finds things as they must be writes nothing.
 *
 * A check reads one view with one cursor at a time. A repair writes, and a cursor does not outlive
 * a write: the walk then seeks the key behind the one that it was at, in the same transaction or
 * in the next one. A transaction ends after so many writes or bytes, not after so many keys: what
 * needs no repair is only read.
 */
#include "store/private.h"

#include <stdarg.h>

#ifndef TXN_WRITES /* tests want many transactions */
#define TXN_WRITES 500
#endif
#define TXN_BYTES      (4 * MIB)
#define PROGRESS_KEYS  4096
#define PROBLEM_BYTES  1024
#define KEY_TEXT_BYTES 40

/* ---- what rules call ------------------------------------------------------------------------- */

static void make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

/* "record of /buckets/b/collections/c: ", or by its number when it has no name. */
static size_t list_text(struct audit *a, char *out, size_t n)
{
    struct store_list_id id;
    struct key k;
    uint32_t number;
    str value;
    int used;

    if (a->list.number == 0)
        return 0;
    store_key_init(&k, KEY_LIST_NAME);
    store_key_add_u32(&k, a->list.number);
    if (store_db_get(a->s, &k, &value) == OK && store_list_name_decode(value, &number, &id) == OK)
        used = snprintf(out, n, STR_FMT " of \"" STR_FMT "\": ", STR_ARG(id.resource),
                        STR_ARG(id.parent));
    else
        used = snprintf(out, n, "list %lu: ", (unsigned long)a->list.number);
    return used < 0 ? 0 : MIN_OF((size_t)used, n - 1);
}

void store_audit_problem(struct audit *a, const char *fmt, ...)
{
    char text[PROBLEM_BYTES];
    va_list args;
    size_t n;

    a->result.problems++;
    if (a->options->problem == NULL)
        return;
    n = list_text(a, text, sizeof text);
    va_start(args, fmt);
    vsnprintf(text + n, sizeof text - n, fmt, args);
    va_end(args);
    make_printable(text);
    a->options->problem(a->options->arg, text);
}

enum err store_audit_end(struct audit *a, const struct engine_cursor *c)
{
    enum err e = engine_cursor_err(c);

    if (e != ERR_CORRUPT || a->repairing)
        return e;
    store_audit_problem(a, "a page of the index is damaged: not everything could be looked at");
    return OK;
}

/* A value could not be read: is it the value, or the way to it? */
static enum err page_check(struct audit *a, const struct key *k)
{
    struct engine_cursor c;

    engine_cursor_init(&c, a->s->view, key_str(k));
    return engine_cursor_first(&c) ? OK : store_audit_end(a, &c);
}

enum err store_audit_get(struct audit *a, const struct key *k, str *value)
{
    enum err e = store_db_get(a->s, k, value);

    if (e == OK && str_none(*value))
        *value = STR("");
    if (e != ERR_NOTFOUND && e != ERR_CORRUPT)
        return e;
    *value = STR_NONE;
    return e == ERR_CORRUPT ? page_check(a, k) : OK;
}

enum err store_audit_any(struct audit *a, const struct key *k, bool *yes)
{
    struct engine_cursor c;

    engine_cursor_init(&c, a->s->view, key_str(k));
    *yes = engine_cursor_first(&c);
    return *yes ? OK : store_audit_end(a, &c);
}

static void wrote(struct audit *a, size_t bytes)
{
    a->moved = true;
    a->writes++;
    a->bytes += bytes;
}

enum err store_audit_put(struct audit *a, const struct key *k, str value)
{
    if (!a->repairing)
        return OK;
    wrote(a, value.n);
    return store_db_put(a->s, k, value);
}

enum err store_audit_put_both(struct audit *a, const struct key *k1, const struct key *k2,
                              str value)
{
    enum err e;

    if (!a->repairing)
        return OK;
    e = store_audit_put(a, k1, value);
    return e == OK ? store_db_link(a->s, k2) : e;
}

enum err store_audit_del(struct audit *a, str key)
{
    struct key k = {.n = 0};

    if (!a->repairing)
        return OK;
    store_key_add(&k, key);
    wrote(a, 0);
    return store_db_del(a->s, &k);
}

enum err store_audit_del_prefix(struct audit *a, const struct key *k)
{
    if (!a->repairing)
        return OK;
    wrote(a, 0);
    return store_db_del_prefix(a->s, k);
}

enum err store_audit_drop(struct audit *a, str key, const char *why)
{
    static const char digits[] = "0123456789abcdef";
    char hex[2 * KEY_TEXT_BYTES + 1];
    size_t n = MIN_OF(key.n, (size_t)KEY_TEXT_BYTES);

    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[(uint8_t)key.p[i] >> 4];
        hex[2 * i + 1] = digits[(uint8_t)key.p[i] & 15];
    }
    hex[2 * n] = '\0';
    store_audit_problem(a, "%s (key %s%s)", why, hex, n < key.n ? "..." : "");
    return store_audit_del(a, key);
}

/* ---- the walk -------------------------------------------------------------------------------- */

static void tell_progress(struct audit *a)
{
    if (a->options->progress != NULL)
        a->options->progress(a->options->arg, a->done, MAX_OF(a->done, a->total));
}

/* Ends the transaction of a repair when it is large enough, and begins the next one. */
static enum err turn_over(struct audit *a)
{
    struct store_session *s = a->s;
    struct store_thread *thread = s->thread;
    struct arena *arena = s->arena;
    enum err e;

    if (a->writes < TXN_WRITES && a->bytes < TXN_BYTES)
        return OK;
    a->s = NULL;
    a->moved = true;
    a->writes = 0;
    a->bytes = 0;
    e = store_commit_wait(s);
    if (e != OK)
        return e;
    arena_reset(arena); /* the session was in it */
    return store_write_wait(thread, arena, &a->s);
}

/* The value where the cursor stands, a copy in a repair; STR_NONE: damaged. */
static enum err value_at(struct audit *a, struct engine_cursor *c, str *value)
{
    enum err e = engine_cursor_value(c, value);

    if (e == ERR_CORRUPT) {
        *value = STR_NONE;
        return OK;
    }
    if (e == OK && str_none(*value))
        *value = STR("");
    return e == OK ? store_keep(a->s, a->s->arena, value) : e;
}

/* The key where the cursor stands, by its rule. */
static enum err visit(struct audit *a, struct engine_cursor *c, struct key *at, store_rule rule)
{
    struct arena_mark m = arena_mark(a->s->arena);
    str value;
    enum err e;

    at->n = 0;
    store_key_add(at, engine_cursor_key(c));
    e = value_at(a, c, &value);
    if (e == OK)
        e = rule(a, key_str(at), value);
    arena_release(a->s->arena, m);
    if (++a->done % PROGRESS_KEYS == 0)
        tell_progress(a);
    return e == OK && a->repairing ? turn_over(a) : e;
}

/* To the key behind `at`. */
static bool advance(struct audit *a, struct engine_cursor *c, const struct key *prefix,
                    const struct key *at)
{
    if (!a->moved)
        return engine_cursor_next(c);
    a->moved = false;
    engine_cursor_init(c, a->s->view, key_str(prefix));
    if (!engine_cursor_seek(c, key_str(at)))
        return false;
    return str_eq(engine_cursor_key(c), key_str(at)) ? engine_cursor_next(c) : true;
}

/* All keys with the prefix, from `from` on. */
static enum err walk(struct audit *a, const struct key *prefix, const struct key *from,
                     store_rule rule)
{
    struct engine_cursor c;
    struct key at;
    enum err e = OK;

    a->moved = false;
    engine_cursor_init(&c, a->s->view, key_str(prefix));
    for (bool more = engine_cursor_seek(&c, key_str(from)); more && e == OK;) {
        e = visit(a, &c, &at, rule);
        more = e == OK && advance(a, &c, prefix, &at);
    }
    return e == OK ? store_audit_end(a, &c) : e;
}

static enum err walk_list(struct audit *a, uint32_t number)
{
    struct key all, prefix;
    bool reachable;
    enum err e = store_rule_list_begin(a, number, &reachable);

    if (e != OK || !reachable)
        return e;
    CHECK(store_list_rules_count > 0);
    for (size_t i = 0; i < store_list_rules_count && e == OK; i++) {
        store_key_init_list(&prefix, number, store_list_rules[i].sub);
        e = walk(a, &prefix, &prefix, store_list_rules[i].rule);
    }
    if (e != OK)
        return e;
    all = prefix;
    all.n--;
    prefix.b[prefix.n - 1] = SUB_TOMBSTONE + 1; /* the last that there is, and what is behind it */
    e = walk(a, &all, &prefix, store_rule_stranger);
    return e == OK ? store_rule_list_end(a) : e;
}

/* The first key at or behind `at` below the tag of objects, copied to it. NOTFOUND. */
static enum err find_object_key(struct audit *a, struct key *at)
{
    struct engine_cursor c;
    struct key tag;

    store_key_init(&tag, KEY_OBJECT);
    engine_cursor_init(&c, a->s->view, key_str(&tag));
    if (!engine_cursor_seek(&c, key_str(at))) {
        enum err e = store_audit_end(a, &c);
        return e == OK ? ERR_NOTFOUND : e;
    }
    at->n = 0;
    store_key_add(at, engine_cursor_key(&c));
    return OK;
}

/* Moves `at`, which is the first key of a list, to where the next one may begin. NOTFOUND: that was
 * the last number. */
static enum err walk_list_at(struct audit *a, struct key *at)
{
    struct reader r = store_reader(str_drop(key_str(at), 1));
    uint32_t number = store_dec_u32(&r);
    enum err e;

    if (r.bad || r.at == r.end) {
        e = store_audit_drop(a, key_str(at), "a key that means nothing");
        store_key_add_u8(at, 0); /* the next one that can be */
        return e;
    }
    e = walk_list(a, number);
    a->list.number = 0;
    if (e == OK && a->repairing)
        e = turn_over(a);
    if (e == OK && number == UINT32_MAX)
        return ERR_NOTFOUND;
    store_key_init(at, KEY_OBJECT);
    store_key_add_u32(at, number + 1);
    return e;
}

static enum err walk_lists(struct audit *a)
{
    struct key at;
    enum err e = OK;

    store_key_init(&at, KEY_OBJECT);
    while (e == OK) {
        e = find_object_key(a, &at);
        if (e == OK)
            e = walk_list_at(a, &at);
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static bool is_known(unsigned tag)
{
    for (size_t i = 0; i < store_rules_count; i++)
        if ((unsigned)store_rules[i].tag == tag)
            return true;
    return false;
}

static enum err walk_tag(struct audit *a, unsigned tag, store_rule rule)
{
    struct key prefix;

    store_key_init(&prefix, tag);
    return walk(a, &prefix, &prefix, rule);
}

static enum err walk_everything(struct audit *a)
{
    struct engine_stats stats;
    enum err e = OK;

    engine_stats(a->s->thread->store->engine, &stats);
    a->total = stats.keys;
    for (size_t i = 0; i < store_rules_count && e == OK; i++) {
        const struct store_rule_row *row = &store_rules[i];
        e = row->rule != NULL ? walk_tag(a, row->tag, row->rule) : walk_lists(a);
    }
    for (unsigned tag = 0; tag <= UINT8_MAX && e == OK; tag++)
        e = is_known(tag) ? OK : walk_tag(a, tag, store_rule_stranger);
    if (e == OK)
        e = store_rule_counters(a);
    if (e == OK)
        tell_progress(a);
    return e;
}

/* ---- check and repair ------------------------------------------------------------------------ */

static const struct store_audit_options no_options;

enum err store_check(struct store_session *s, const struct store_audit_options *o,
                     struct store_audit_result *out)
{
    struct audit a = {.s = s, .options = o != NULL ? o : &no_options};
    enum err e = s->txn != NULL ? store_lists_write(s) : OK;

    if (e == OK)
        e = walk_everything(&a);
    if (e == OK)
        *out = a.result;
    return e;
}

enum err store_repair(struct store_thread *t, const struct store_audit_options *o,
                      struct store_audit_result *out)
{
    struct audit a = {.repairing = true, .options = o != NULL ? o : &no_options};
    struct arena arena;
    enum err e;

    arena_init(&arena, NULL, 0, NULL, 8 * (size_t)ENGINE_MAX_VALUE_BYTES);
    e = store_write_wait(t, &arena, &a.s);
    if (e == OK)
        e = store_notes_doubt(a.s); /* what they were made from is missing, or will be */
    if (e == OK)
        e = walk_everything(&a);
    if (e == OK)
        e = store_commit_wait(a.s);
    else if (a.s != NULL)
        store_abort(a.s);
    if (e == OK)
        *out = a.result;
    arena_fini(&arena);
    return e;
}
