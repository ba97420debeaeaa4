/*
 * store/note.c - small values that somebody above keeps at the URIs of objects.
 *
 * A note follows from the objects (a sum of them, say), and whoever keeps it does so in the
 * transactions that change them. What if objects are changed by a process that does not know of
 * the notes? Each name whose notes are right has a mark (01 "notes:" name). A process claims the
 * names that it keeps up. The first change of objects in a transaction of a process that has not
 * claimed a name takes its mark away, in the same transaction; whoever claims the name next finds
 * no mark, and begins anew. So notes are either right, or known not to be, after a crash, too; and
 * a process without marks that it has not claimed pays nothing.
 */
#include "store/private.h"

#define STEP 1000 /* notes deleted in a transaction */

/* ---- marks ----------------------------------------------------------------------------------- */

static void mark_key(struct key *k, const char *name)
{
    store_key_init(k, KEY_META);
    store_key_add(k, STR(META_NOTES));
    store_key_add(k, str_from(name));
}

static bool is_claimed(const struct store *s, str name)
{
    for (unsigned i = 0; i < s->nclaims; i++)
        if (str_eq(str_from(s->claims[i]), name))
            return true;
    return false;
}

/* The first mark of a name that nobody claimed. NOTFOUND. */
static enum err unclaimed_find(struct store_session *s, struct key *out)
{
    struct engine_cursor c;
    struct key prefix;

    mark_key(&prefix, "");
    engine_cursor_init(&c, s->view, key_str(&prefix));
    for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c)) {
        str key = engine_cursor_key(&c);
        if (is_claimed(s->thread->store, str_drop(key, prefix.n)))
            continue;
        out->n = 0;
        store_key_add(out, key);
        return OK;
    }
    return engine_cursor_err(&c) != OK ? engine_cursor_err(&c) : ERR_NOTFOUND;
}

enum err store_notes_marked(const struct engine_view *view, bool *marked)
{
    struct engine_cursor c;
    struct key prefix;

    mark_key(&prefix, "");
    engine_cursor_init(&c, view, key_str(&prefix));
    *marked = engine_cursor_first(&c);
    return engine_cursor_err(&c);
}

enum err store_notes_changed(struct store_session *s)
{
    struct key k;
    enum err e = OK;

    if (s->notes_seen || !s->thread->store->unclaimed)
        return OK;
    s->notes_seen = true;
    while (e == OK) {
        e = unclaimed_find(s, &k);
        if (e == OK)
            e = store_db_del(s, &k);
    }
    return e == ERR_NOTFOUND ? OK : store_fail(s, e);
}

enum err store_notes_doubt(struct store_session *s)
{
    struct key k;

    mark_key(&k, "");
    return store_db_del_prefix(s, &k);
}

enum err store_notes_settle(struct store_session *s, const char *name)
{
    struct key k;

    CHECK(is_claimed(s->thread->store, str_from(name)));
    mark_key(&k, name);
    return store_db_put(s, &k, STR(""));
}

/* ---- claiming -------------------------------------------------------------------------------- */

/* The name of the note with this key; STR_NONE: it is none. */
static str name_in(str key)
{
    size_t at = str_find(key, '\0');

    return at == STR_NPOS || at == 0 ? STR_NONE : str_drop(key, at + 1);
}

/* The first note of that name at or behind `at`, which becomes its key. NOTFOUND. */
static enum err find_named(struct store_session *s, str name, struct key *at)
{
    struct engine_cursor c;
    struct key prefix;

    store_key_init(&prefix, KEY_NOTE);
    engine_cursor_init(&c, s->view, key_str(&prefix));
    for (bool more = engine_cursor_seek(&c, key_str(at)); more; more = engine_cursor_next(&c)) {
        str key = engine_cursor_key(&c), found = name_in(key);
        if (str_none(found) || !str_eq(found, name))
            continue;
        at->n = 0;
        store_key_add(at, key);
        return OK;
    }
    return engine_cursor_err(&c) != OK ? engine_cursor_err(&c) : ERR_NOTFOUND;
}

/* One transaction; *more: there may be something left. */
static enum err forget_some(struct store_thread *t, struct arena *a, str name, struct key *at,
                            bool *more)
{
    struct store_session *s;
    enum err e = store_write_wait(t, a, &s);

    if (e != OK)
        return e;
    for (unsigned i = 0; i < STEP && e == OK; i++) {
        e = find_named(s, name, at);
        if (e == OK)
            e = store_db_del(s, at);
    }
    *more = e == OK;
    if (e == OK || e == ERR_NOTFOUND)
        return store_commit_wait(s);
    store_abort(s);
    return e;
}

static enum err forget(struct store_thread *t, struct arena *a, const char *name)
{
    struct key at;
    enum err e = OK;

    store_key_init(&at, KEY_NOTE);
    for (bool more = true; more && e == OK; arena_reset(a))
        e = forget_some(t, a, str_from(name), &at, &more);
    return e;
}

static enum err claim(struct store_thread *t, struct arena *a, const char *name, bool *current)
{
    struct store_session *s;
    struct key k;
    enum err e = store_read_begin(t, a, &s);

    if (e != OK)
        return e;
    mark_key(&k, name);
    e = store_db_has(s, &k, current);
    if (e == OK) {
        t->store->claims[t->store->nclaims++] = name;
        e = unclaimed_find(s, &k);
        t->store->unclaimed = e != ERR_NOTFOUND;
        e = e == ERR_NOTFOUND ? OK : e;
    }
    store_read_end(s);
    return e == OK && !*current ? forget(t, a, name) : e;
}

enum err store_notes_claim(struct store_thread *t, const char *name, bool *current)
{
    struct arena a;
    enum err e;

    CHECK(strlen(name) > 0 && strlen(name) <= STORE_MAX_NOTE_NAME);
    if (t->store->nclaims == MAX_CLAIMS)
        return ERR_LIMIT;
    arena_init(&a, NULL, 0, NULL, MIB);
    e = claim(t, &a, name, current);
    arena_fini(&a);
    return e;
}

/* ---- notes ----------------------------------------------------------------------------------- */

static enum err note_key(struct key *k, str uri, const char *name)
{
    enum err e;

    CHECK(strlen(name) > 0 && strlen(name) <= STORE_MAX_NOTE_NAME);
    store_key_init(k, KEY_NOTE);
    e = store_key_add_path(k, uri);
    store_key_add_u8(k, 0);
    store_key_add(k, str_from(name));
    return e;
}

enum err store_note_get(struct store_session *s, struct arena *a, str uri, const char *name,
                        str *value)
{
    struct key k;
    enum err e = note_key(&k, uri, name);

    if (e == OK)
        e = store_db_get(s, &k, value);
    return e == OK ? store_keep(s, a, value) : e;
}

enum err store_note_put(struct store_session *s, str uri, const char *name, str value)
{
    struct key k;
    enum err e = note_key(&k, uri, name);

    return e == OK ? store_db_put(s, &k, value) : e;
}

enum err store_note_delete(struct store_session *s, str uri, const char *name)
{
    struct key k;
    enum err e = note_key(&k, uri, name);

    return e == OK ? store_db_del(s, &k) : e;
}

enum err store_notes_delete_below(struct store_session *s, str uri)
{
    struct key k;
    enum err e;

    store_key_init(&k, KEY_NOTE);
    e = store_key_add_path(&k, uri);
    store_key_add_u8(&k, '/');
    return e == OK ? store_db_del_prefix(s, &k) : e;
}

bool store_note_key_sound(str key)
{
    str name = name_in(key);

    return !str_none(name) && name.n > 0 && name.n <= STORE_MAX_NOTE_NAME &&
           str_find(name, '\0') == STR_NPOS;
}
