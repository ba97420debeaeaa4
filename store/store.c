/*
 * store/store.c - the store, its threads, its sessions, and every write to the engine.
 *
 * A session is a view of the engine: a snapshot, or the write transaction. While writing, the
 * states of the lists that were touched lie in the session (struct list) and are written once, when
 * one has to make room for another or at the commit: a batch of writes to one list costs one write
 * of its state.
 *
 * The first write that fails, for whatever reason, marks the session. From then on nothing is
 * written and store_commit answers with that error: what is half done is never made durable.
 */
#include "store/private.h"

#define DEFAULT_CACHE_BYTES (512 * KIB)
#define PAGE_MEMORY_PART    16 /* of the memory: one in so many, within these */
#define PAGE_MEMORY_LEAST   (32 * MIB)
#define PAGE_MEMORY_MOST    (128 * MIB)

/* ---- the store ------------------------------------------------------------------------------- */

static enum err layout_check(str value, struct err_detail *detail)
{
    struct reader r = store_reader(value);
    uint64_t version = store_dec_varint(&r);

    if (store_dec_end(&r, true) != OK)
        return err_set(detail, ERR_CORRUPT, 0, "the version of the data's layout is damaged");
    if (version != LAYOUT_VERSION)
        return err_set(detail, ERR_UNSUPPORTED, 0,
                       "the data has layout %llu, this program knows layout %d",
                       (unsigned long long)version, LAYOUT_VERSION);
    return OK;
}

static void layout_key(struct key *k)
{
    store_key_init(k, KEY_META);
    store_key_add(k, STR(META_LAYOUT));
}

/* NOTFOUND: there is no version. *marked: notes have been kept. */
static enum err layout_look(const struct engine_view *view, struct err_detail *detail, bool *marked)
{
    struct key k;
    str value;
    enum err e;

    layout_key(&k);
    e = engine_get(view, key_str(&k), &value);
    if (e == OK)
        e = layout_check(value, detail);
    return e == OK ? store_notes_marked(view, marked) : e;
}

/* That is waited for: a reader would not see it before, and a disk that has no room for it should not be
 * found out later. */
static enum err layout_mark(struct engine *engine)
{
    static const char version = LAYOUT_VERSION;
    struct engine_txn *txn;
    struct key k;
    enum err e = engine_txn_begin(engine, &txn);

    if (e != OK)
        return e;
    layout_key(&k);
    e = engine_put(txn, key_str(&k), (str){&version, 1});
    if (e == OK)
        return engine_txn_commit_wait(txn);
    engine_txn_abort(txn);
    return e;
}

/* Looks at the version of the layout; an engine without one is new and gets it. Whatever else there is can be
 * read, also when nothing can be written (a full disk). */
static enum err layout_open(struct engine *engine, struct err_detail *detail, bool *marked)
{
    struct engine_reader *reader;
    enum err e = engine_reader_new(engine, &reader);

    if (e != OK)
        return e;
    e = layout_look(engine_snap_begin(reader), detail, marked);
    engine_snap_end(reader);
    engine_reader_free(reader);
    return e == ERR_NOTFOUND ? layout_mark(engine) : e;
}

/* What is in the engine. `again`: it was opened twice, which mends what an opening can mend. */
static enum err look_open(struct store *s, const struct store_options *options, bool again,
                          struct err_detail *detail)
{
    enum err e = layout_open(s->engine, detail, &s->unclaimed);

    s->fields_stale = true;
    return e == OK && !options->as_is ? store_fields_open(s, again) : e;
}

size_t store_page_memory(const struct store_options *o)
{
    uint64_t part = MAX_OF(o->memory_bytes / PAGE_MEMORY_PART, (uint64_t)PAGE_MEMORY_LEAST);

    return o->page_memory_bytes ? o->page_memory_bytes
                                : (size_t)MIN_OF(part, (uint64_t)PAGE_MEMORY_MOST);
}

enum err store_open(struct store **out, const struct store_options *options,
                    struct store_opened *opened, struct err_detail *detail)
{
    struct engine_options eo = {.dir = options->dir,
                                .cache_bytes = store_page_memory(options),
                                .changed_bytes =
                                    options->page_memory_bytes, /* as much as there is room for */
                                .checkpoint_bytes = options->checkpoint_bytes,
                                .new_index = options->new_index};
    struct engine_recovery found = {0};
    struct store *s = calloc(1, sizeof *s);
    enum err e;

    if (s == NULL)
        return ERR_NOMEM;
    e = store_cache_new(options->cache_max_bytes ? options->cache_max_bytes : DEFAULT_CACHE_BYTES,
                        &s->cache);
    if (e == OK && !options->as_is)
        e = store_fields_declare(s, options->declared, options->ndeclared);
    if (e == OK)
        e = engine_open(&s->engine, &eo, &found, detail);
    if (e == OK)
        e = look_open(s, options, false, detail);
    if (e == ERR_CORRUPT && s->engine != NULL) { /* of the index, perhaps, which an opening mends */
        engine_close(s->engine);
        s->engine = NULL;
        e = engine_open(&s->engine, &eo, &found, detail);
        if (e == OK)
            e = look_open(s, options, true, detail);
    }
    if (e != OK) {
        store_close(s);
        return e;
    }
    if (opened != NULL)
        *opened = (struct store_opened){found.txns, found.bytes, found.torn_bytes, found.ms};
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    if (s->engine != NULL)
        engine_close(s->engine);
    store_fields_free(s);
    store_cache_free(s->cache);
    free(s);
}

bool store_healthy(const struct store *s)
{
    return engine_state(s->engine) == ENGINE_OK;
}

void store_observe(struct store *s, const struct store_observer *o)
{
    s->observer = o != NULL ? *o : (struct store_observer){NULL, NULL};
}

enum err store_compact(struct store *s, uint64_t *before, uint64_t *after)
{
    struct engine_stats stats;
    enum err e;

    engine_stats(s->engine, &stats);
    *before = stats.log_bytes;
    e = engine_compact(s->engine);
    engine_stats(s->engine, &stats);
    *after = stats.log_bytes;
    return e;
}

enum err store_thread_new(struct store *s, struct store_thread **out)
{
    struct store_thread *t = calloc(1, sizeof *t);
    enum err e;

    if (t == NULL)
        return ERR_NOMEM;
    t->store = s;
    t->memo = store_memo_new();
    e = t->memo != NULL ? engine_reader_new(s->engine, &t->reader) : ERR_NOMEM;
    if (e != OK) {
        store_memo_free(t->memo);
        free(t);
        return e;
    }
    *out = t;
    return OK;
}

void store_thread_free(struct store_thread *t)
{
    if (t == NULL)
        return;
    engine_reader_free(t->reader);
    store_memo_free(t->memo);
    free(t);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static struct store_session *session_new(struct store_thread *t, struct arena *arena)
{
    struct store_session *s = arena_alloc(arena, sizeof *s);

    if (s == NULL)
        return NULL;
    *s = (struct store_session){.thread = t, .arena = arena};
    return s;
}

enum err store_read_begin(struct store_thread *t, struct arena *arena, struct store_session **out)
{
    struct store_session *s = session_new(t, arena);

    if (s == NULL)
        return ERR_NOMEM;
    s->view = engine_snap_begin(t->reader);
    *out = s;
    return OK;
}

void store_read_end(struct store_session *s)
{
    CHECK(s->txn == NULL);
    engine_snap_end(s->thread->reader);
}

enum err store_write_begin(struct store_thread *t, struct arena *arena, struct store_session **out)
{
    struct store_session *s = session_new(t, arena);
    enum err e;

    if (s == NULL)
        return ERR_NOMEM;
    e = engine_txn_begin(t->store->engine, &s->txn);
    if (e != OK)
        return e;
    s->view = engine_txn_view(s->txn);
    *out = s;
    return OK;
}

enum err store_write_wait(struct store_thread *t, struct arena *arena, struct store_session **out)
{
    for (;;) {
        enum err e = store_write_begin(t, arena, out);
        if (e != ERR_AGAIN)
            return e;
        e = engine_checkpoint(t->store->engine);
        if (e != OK)
            return e;
    }
}

/* False: it was aborted, and done has been told. */
static bool may_commit(struct store_session *s, void (*done)(void *arg, enum err result), void *arg)
{
    enum err e = s->err;

    CHECK(s->txn != NULL);
    if (e == OK)
        e = store_lists_write(s);
    if (e == OK)
        return true;
    engine_txn_abort(s->txn);
    done(arg, e);
    return false;
}

void store_commit(struct store_session *s, void (*done)(void *arg, enum err result), void *arg)
{
    if (may_commit(s, done, arg))
        engine_txn_commit(s->txn, done, arg);
}

void store_commit_soon(struct store_session *s, void (*done)(void *arg, enum err result), void *arg)
{
    if (may_commit(s, done, arg))
        engine_txn_commit_soon(s->txn, done, arg);
}

void store_commits_go(struct store_thread *t)
{
    engine_commits_go(t->store->engine);
}

enum err store_commit_wait(struct store_session *s)
{
    enum err e = s->err;

    CHECK(s->txn != NULL);
    if (e == OK)
        e = store_lists_write(s);
    if (e == OK)
        return engine_txn_commit_wait(s->txn);
    engine_txn_abort(s->txn);
    return e;
}

void store_abort(struct store_session *s)
{
    CHECK(s->txn != NULL);
    engine_txn_abort(s->txn);
}

bool store_is_writing(const struct store_session *s)
{
    return s->txn != NULL;
}

_Static_assert(STORE_NO_MARK == ENGINE_NO_MARK, "a session's mark is its view's");

uint64_t store_names_mark(const struct store_session *s)
{
    return engine_view_mark(s->view);
}

/* ---- to and from the engine ------------------------------------------------------------------ */

enum err store_fail(struct store_session *s, enum err e)
{
    if (s->err == OK)
        s->err = e;
    return e;
}

enum err store_db_get(struct store_session *s, const struct key *k, str *value)
{
    return engine_get(s->view, key_str(k), value);
}

enum err store_db_has(struct store_session *s, const struct key *k, bool *found)
{
    str value;
    enum err e = store_db_get(s, k, &value);

    if (e != OK && e != ERR_NOTFOUND)
        return e;
    *found = e == OK;
    return OK;
}

enum err store_db_any(struct store_session *s, const struct key *k, bool *found)
{
    struct engine_cursor c;

    engine_cursor_init(&c, s->view, key_str(k));
    *found = engine_cursor_first(&c);
    return engine_cursor_err(&c);
}

/* Does it say what lists, principals or groups there are? (memo.c, and store_names_mark()) */
static bool is_of_names(const struct key *k)
{
    switch ((enum key_tag)(uint8_t)k->b[0]) {
    case KEY_PRINCIPAL:
    case KEY_PRINCIPAL_NAME:
    case KEY_LIST:
    case KEY_LIST_NAME:
    case KEY_MEMBER:
    case KEY_GROUP:
        return true;
    case KEY_META:
    case KEY_SHARED_LIST:
    case KEY_NOTE:
    case KEY_OBJECT:
        break;
    }
    return false;
}

/* Before each write. */
static void writes(struct store_session *s, const struct key *k)
{
    CHECK(s->txn != NULL);
    if (is_of_names(k))
        engine_txn_mark(s->txn);
}

enum err store_db_put(struct store_session *s, const struct key *k, str value)
{
    writes(s, k);
    return s->err != OK ? s->err : store_fail(s, engine_put(s->txn, key_str(k), value));
}

enum err store_db_link(struct store_session *s, const struct key *k)
{
    writes(s, k);
    return s->err != OK ? s->err : store_fail(s, engine_link(s->txn, key_str(k)));
}

enum err store_db_del(struct store_session *s, const struct key *k)
{
    writes(s, k);
    return s->err != OK ? s->err : store_fail(s, engine_del(s->txn, key_str(k)));
}

enum err store_db_del_prefix(struct store_session *s, const struct key *k)
{
    writes(s, k);
    return s->err != OK ? s->err : store_fail(s, engine_del_prefix(s->txn, key_str(k), NULL));
}

enum err store_db_count(struct store_session *s, const char *counter, uint32_t *out)
{
    struct key k, v;
    struct reader r;
    uint32_t last = 0;
    str value;
    enum err e;

    store_key_init(&k, KEY_META);
    store_key_add(&k, str_from(counter));
    e = store_db_get(s, &k, &value);
    if (e == OK) {
        r = store_reader(value);
        last = store_dec_u32(&r);
        e = store_dec_end(&r, true);
    }
    if (e != OK && e != ERR_NOTFOUND)
        return e;
    if (last == UINT32_MAX)
        return ERR_LIMIT;
    v.n = 0;
    store_key_add_u32(&v, last + 1);
    e = store_db_put(s, &k, key_str(&v));
    if (e == OK)
        *out = last + 1;
    return e;
}

enum err store_changes(struct store_session *s)
{
    enum err e = store_notes_changed(s);

    return e == OK ? store_fields_changed(s) : e;
}

enum err store_keep(struct store_session *s, struct arena *a, str *bytes)
{
    str copy;

    if (s->txn == NULL)
        return OK;
    copy = arena_str(a, *bytes);
    if (str_none(copy))
        return ERR_NOMEM;
    *bytes = copy;
    return OK;
}
