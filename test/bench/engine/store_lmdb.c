/*
 * test/bench/engine/store_lmdb.c - LMDB as its manual has it used: one environment, synchronous commits
 * (no NOSYNC, NOMETASYNC, WRITEMAP or MAPASYNC), writers that wait in mdb_txn_begin for one another,
 * and a read transaction a thread that is reset and renewed for each snapshot.
 */
#include <lmdb.h>

#include "test/bench/engine/bench.h"

#define MAP_BYTES ((size_t)64 << 30) /* address space, not disk */

struct store {
    MDB_env *env;
    MDB_dbi dbi;
};

struct session {
    struct store *store;
    MDB_txn *read; /* begun with the first read: a thread that writes must not hold one */
    MDB_cursor *cursor;
};

static void must(int rc, const char *what)
{
    if (rc != 0)
        bench_fail("lmdb", what, mdb_strerror(rc));
}

/* LMDB writes to neither; its MDB_val has no const. */
static MDB_val val(str s)
{
    return (MDB_val){.mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p};
}

static str str_of(MDB_val v)
{
    return (str){v.mv_data, v.mv_size};
}

static struct store *lmdb_open(const char *dir)
{
    struct store *s = bench_alloc(sizeof *s);
    MDB_txn *txn;

    must(mdb_env_create(&s->env), "mdb_env_create");
    must(mdb_env_set_mapsize(s->env, MAP_BYTES), "mdb_env_set_mapsize");
    must(mdb_env_open(s->env, dir, 0, 0600), "mdb_env_open");
    must(mdb_txn_begin(s->env, NULL, 0, &txn), "mdb_txn_begin");
    must(mdb_dbi_open(txn, NULL, 0, &s->dbi), "mdb_dbi_open");
    must(mdb_txn_commit(txn), "mdb_txn_commit");
    return s;
}

static void lmdb_close(struct store *s)
{
    mdb_env_close(s->env);
    free(s);
}

static struct session *lmdb_session_new(struct store *s, unsigned way)
{
    struct session *t = bench_alloc(sizeof *t);

    (void)way;
    t->store = s;
    return t;
}

static void lmdb_session_free(struct session *t)
{
    if (t->cursor != NULL)
        mdb_cursor_close(t->cursor);
    if (t->read != NULL)
        mdb_txn_abort(t->read);
    free(t);
}

static void put(MDB_txn *txn, struct store *s, str key, str value)
{
    MDB_val k = val(key), v = val(value);

    must(mdb_put(txn, s->dbi, &k, &v, 0), "mdb_put");
}

static void lmdb_load(struct session *t, uint64_t n)
{
    struct record r;
    MDB_txn *txn;

    for (uint64_t i = 0; i < n;) {
        must(mdb_txn_begin(t->store->env, NULL, 0, &txn), "mdb_txn_begin");
        for (unsigned k = 0; k < BULK_BATCH && i < n; k++) {
            str key = record_key(&r, i++);
            put(txn, t->store, key, record_value(&r));
        }
        must(mdb_txn_commit(txn), "mdb_txn_commit");
    }
}

static void lmdb_put(struct session *t, str key, str value)
{
    MDB_txn *txn;

    must(mdb_txn_begin(t->store->env, NULL, 0, &txn), "mdb_txn_begin");
    put(txn, t->store, key, value);
    must(mdb_txn_commit(txn), "mdb_txn_commit");
}

static void snapshot(struct session *t)
{
    if (t->read != NULL) {
        must(mdb_txn_renew(t->read), "mdb_txn_renew");
        must(mdb_cursor_renew(t->read, t->cursor), "mdb_cursor_renew");
        return;
    }
    must(mdb_txn_begin(t->store->env, NULL, MDB_RDONLY, &t->read), "mdb_txn_begin");
    must(mdb_cursor_open(t->read, t->store->dbi, &t->cursor), "mdb_cursor_open");
}

static void lmdb_get(struct session *t, str key)
{
    MDB_val k = val(key), v;

    snapshot(t);
    must(mdb_get(t->read, t->store->dbi, &k, &v), "mdb_get");
    record_check(key, str_of(v));
    mdb_txn_reset(t->read);
}

static unsigned lmdb_scan(struct session *t, str from, unsigned n)
{
    MDB_val k = val(from), v;
    unsigned seen = 0;
    int rc;

    snapshot(t);
    for (rc = mdb_cursor_get(t->cursor, &k, &v, MDB_SET_RANGE); rc == 0;
         rc = mdb_cursor_get(t->cursor, &k, &v, MDB_NEXT)) {
        record_check(str_of(k), str_of(v));
        if (++seen == n)
            break;
    }
    if (rc != MDB_NOTFOUND)
        must(rc, "mdb_cursor_get");
    mdb_txn_reset(t->read);
    return seen;
}

const struct store_ops store_lmdb = {
    .name = "lmdb",
    .note = "synchronous (no flags), one environment, values are not checked",
    .ways = {"one environment"},
    .open = lmdb_open,
    .close = lmdb_close,
    .session_new = lmdb_session_new,
    .session_free = lmdb_session_free,
    .load = lmdb_load,
    .put = lmdb_put,
    .get = lmdb_get,
    .scan = lmdb_scan,
};
