/*
 * test/bench/engine/store_sqlite.c - SQLite: WAL, synchronous=FULL, prepared statements, a cache and a
 * memory map that hold everything. No layout is best at everything, so there are two, and the goals
 * are held against the better one: WITHOUT ROWID (one B-tree with the values in it, as LMDB has it:
 * faster scans) and an ordinary table (values in the order in which they came, beside an index of
 * the keys: faster writes). Two ways for many writers: one connection behind a mutex, or a
 * connection a thread that waits with SQLite's own busy handler.
 */
#include <pthread.h>
#include <sqlite3.h>

#include "test/bench/engine/bench.h"

#define PATH_BYTES 4096
#define SETTINGS                                                                                   \
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-262144;"                 \
    "PRAGMA mmap_size=4294967296; PRAGMA temp_store=MEMORY"
#define TABLE "CREATE TABLE IF NOT EXISTS r (k BLOB PRIMARY KEY, v BLOB NOT NULL)"

enum way { SHARED, OWN };
enum statement { BEGIN, COMMIT, PUT, GET, SCAN, STATEMENTS };

static const char *const sql[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [PUT] = "INSERT OR REPLACE INTO r (k, v) VALUES (?1, ?2)",
    [GET] = "SELECT v FROM r WHERE k = ?1",
    [SCAN] = "SELECT k, v FROM r WHERE k >= ?1 ORDER BY k LIMIT ?2",
};

struct connection {
    sqlite3 *db;
    sqlite3_stmt *statement[STATEMENTS];
};

struct store {
    char path[PATH_BYTES];
    const char *table;
    struct connection shared;
    pthread_mutex_t mutex;
};

struct session {
    struct store *store;
    struct connection own;
    struct connection *c; /* own, or the store's */
};

static void must(const struct connection *c, bool ok, const char *what)
{
    if (!ok)
        bench_fail("sqlite", what, sqlite3_errmsg(c->db));
}

static void connection_open(struct connection *c, const struct store *s)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    must(c, sqlite3_open_v2(s->path, &c->db, flags, NULL) == SQLITE_OK, "open");
    must(c, sqlite3_busy_timeout(c->db, 60000) == SQLITE_OK, "busy_timeout");
    must(c, sqlite3_exec(c->db, SETTINGS, NULL, NULL, NULL) == SQLITE_OK, "settings");
    must(c, sqlite3_exec(c->db, s->table, NULL, NULL, NULL) == SQLITE_OK, "create table");
    for (unsigned i = 0; i < STATEMENTS; i++)
        must(c,
             sqlite3_prepare_v3(c->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &c->statement[i],
                                NULL) == SQLITE_OK,
             sql[i]);
}

static void connection_close(struct connection *c)
{
    for (unsigned i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(c->statement[i]);
    must(c, sqlite3_close(c->db) == SQLITE_OK, "close");
}

static struct store *open_table(const char *dir, const char *table)
{
    struct store *s = bench_alloc(sizeof *s);
    int n = snprintf(s->path, sizeof s->path, "%s/db", dir);

    if (n < 0 || (size_t)n >= sizeof s->path)
        bench_fail("sqlite", dir, "name too long");
    if (pthread_mutex_init(&s->mutex, NULL) != 0)
        bench_fail("sqlite", "mutex", "failed");
    s->table = table;
    connection_open(&s->shared, s);
    return s;
}

static struct store *open_without_rowid(const char *dir)
{
    return open_table(dir, TABLE " WITHOUT ROWID");
}

static struct store *open_rowid(const char *dir)
{
    return open_table(dir, TABLE);
}

/* The last connection writes the WAL back and removes it. */
static void sqlite_close(struct store *s)
{
    connection_close(&s->shared);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

static struct session *sqlite_session_new(struct store *s, unsigned way)
{
    struct session *t = bench_alloc(sizeof *t);

    t->store = s;
    t->c = way == OWN ? &t->own : &s->shared;
    if (way == OWN)
        connection_open(&t->own, s);
    return t;
}

static void sqlite_session_free(struct session *t)
{
    if (t->c == &t->own)
        connection_close(&t->own);
    free(t);
}

static void bind(const struct connection *c, enum statement which, int at, str s)
{
    sqlite3_stmt *st = c->statement[which];

    must(c, sqlite3_bind_blob(st, at, s.p, (int)s.n, SQLITE_STATIC) == SQLITE_OK, "bind");
}

static str column(sqlite3_stmt *st, int at)
{
    const void *p = sqlite3_column_blob(st, at);
    return (str){p, (size_t)sqlite3_column_bytes(st, at)};
}

/* Runs a statement that gives no rows. */
static void run(const struct connection *c, enum statement which)
{
    must(c, sqlite3_step(c->statement[which]) == SQLITE_DONE, sql[which]);
    must(c, sqlite3_reset(c->statement[which]) == SQLITE_OK, sql[which]);
}

static void put(const struct connection *c, str key, str value)
{
    bind(c, PUT, 1, key);
    bind(c, PUT, 2, value);
    run(c, PUT);
}

static void sqlite_load(struct session *t, uint64_t n)
{
    struct record r;

    for (uint64_t i = 0; i < n;) {
        run(t->c, BEGIN);
        for (unsigned k = 0; k < BULK_BATCH && i < n; k++) {
            str key = record_key(&r, i++);
            put(t->c, key, record_value(&r));
        }
        run(t->c, COMMIT);
    }
}

static void sqlite_put(struct session *t, str key, str value)
{
    bool shared = t->c == &t->store->shared;

    if (shared)
        pthread_mutex_lock(&t->store->mutex);
    put(t->c, key, value);
    if (shared)
        pthread_mutex_unlock(&t->store->mutex);
}

static void sqlite_get(struct session *t, str key)
{
    sqlite3_stmt *st = t->c->statement[GET];

    bind(t->c, GET, 1, key);
    must(t->c, sqlite3_step(st) == SQLITE_ROW, "get");
    record_check(key, column(st, 0));
    must(t->c, sqlite3_reset(st) == SQLITE_OK, "get");
}

static unsigned sqlite_scan(struct session *t, str from, unsigned n)
{
    sqlite3_stmt *st = t->c->statement[SCAN];
    unsigned seen = 0;
    int rc;

    bind(t->c, SCAN, 1, from);
    must(t->c, sqlite3_bind_int64(st, 2, n) == SQLITE_OK, "bind");
    for (; (rc = sqlite3_step(st)) == SQLITE_ROW; seen++)
        record_check(column(st, 0), column(st, 1));
    must(t->c, rc == SQLITE_DONE, "scan");
    must(t->c, sqlite3_reset(st) == SQLITE_OK, "scan");
    return seen;
}

#define SQLITE_OPS                                                                                 \
    .ways = {[SHARED] = "one connection, a mutex", [OWN] = "a connection a thread"},               \
    .close = sqlite_close, .session_new = sqlite_session_new, .session_free = sqlite_session_free, \
    .load = sqlite_load, .put = sqlite_put, .get = sqlite_get, .scan = sqlite_scan

const struct store_ops store_sqlite = {
    .name = "sqlite",
    .note = "WAL, synchronous=FULL, prepared statements, cache and map hold all; WITHOUT ROWID",
    .open = open_without_rowid,
    SQLITE_OPS,
};

const struct store_ops store_sqlite_rowid = {
    .name = "sqlite-rowid",
    .note = "the same with an ordinary table; \"/ sqlite\" is against the better of the two",
    .open = open_rowid,
    SQLITE_OPS,
};
