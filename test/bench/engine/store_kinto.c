/*
 * test/bench/engine/store_kinto.c - our engine. A writer waits for its own done(), which the committer
 * calls when the transaction is on disk. Bulk puts do not wait between transactions: the next one
 * builds on what is not yet durable, and the end waits for all.
 */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>

#include "engine/engine.h"
#include "test/bench/engine/bench.h"

struct store {
    struct engine *engine;
};

struct session {
    struct engine *engine;
    struct engine_reader *reader;
    sem_t durable; /* counts the transactions that became so */
};

static void must(enum err err, const char *what)
{
    if (err != OK)
        bench_fail("kinto", what, err_text(err));
}

static struct store *kinto_open(const char *dir)
{
    struct engine_options o = {.dir = dir};
    struct err_detail d = {.text = ""};
    struct store *s = bench_alloc(sizeof *s);

    if (engine_open(&s->engine, &o, NULL, &d) != OK)
        bench_fail("kinto", "engine_open", d.text);
    return s;
}

static void kinto_close(struct store *s)
{
    engine_close(s->engine);
    free(s);
}

static struct session *kinto_session_new(struct store *s, unsigned way)
{
    struct session *t = bench_alloc(sizeof *t);

    (void)way;
    t->engine = s->engine;
    must(engine_reader_new(s->engine, &t->reader), "engine_reader_new");
    if (sem_init(&t->durable, 0, 0) != 0)
        bench_fail("kinto", "sem_init", strerror(errno));
    return t;
}

static void kinto_session_free(struct session *t)
{
    engine_reader_free(t->reader);
    sem_destroy(&t->durable);
    free(t);
}

static void done(void *session, enum err result)
{
    struct session *t = session;

    must(result, "commit");
    if (sem_post(&t->durable) != 0)
        bench_fail("kinto", "sem_post", strerror(errno));
}

static void wait_one(struct session *t)
{
    while (sem_wait(&t->durable) != 0)
        if (errno != EINTR)
            bench_fail("kinto", "sem_wait", strerror(errno));
}

/* The engine refuses to queue more than fits its memory; own transactions under way are waited for.
 */
static struct engine_txn *begin(struct session *t, unsigned *under_way)
{
    struct engine_txn *txn;
    enum err err;

    while ((err = engine_txn_begin(t->engine, &txn)) == ERR_AGAIN) {
        if (*under_way > 0) {
            wait_one(t);
            (*under_way)--;
        } else {
            sched_yield();
        }
    }
    must(err, "engine_txn_begin");
    return txn;
}

static void kinto_load(struct session *t, uint64_t n)
{
    unsigned under_way = 0;
    struct record r;

    for (uint64_t i = 0; i < n;) {
        struct engine_txn *txn = begin(t, &under_way);
        for (unsigned k = 0; k < BULK_BATCH && i < n; k++) {
            str key = record_key(&r, i++);
            must(engine_put(txn, key, record_value(&r)), "engine_put");
        }
        engine_txn_commit(txn, done, t);
        under_way++;
    }
    while (under_way-- > 0)
        wait_one(t);
}

static void kinto_put(struct session *t, str key, str value)
{
    unsigned under_way = 0;
    struct engine_txn *txn = begin(t, &under_way);

    must(engine_put(txn, key, value), "engine_put");
    engine_txn_commit(txn, done, t);
    wait_one(t);
}

static void kinto_get(struct session *t, str key)
{
    str value;

    must(engine_get(engine_snap_begin(t->reader), key, &value), "engine_get");
    record_check(key, value);
    engine_snap_end(t->reader);
}

static unsigned kinto_scan(struct session *t, str from, unsigned n)
{
    struct engine_cursor c;
    unsigned seen = 0;
    str value;

    engine_cursor_init(&c, engine_snap_begin(t->reader), (str){from.p, 1});
    for (bool ok = engine_cursor_seek(&c, from); ok; ok = engine_cursor_next(&c)) {
        must(engine_cursor_value(&c, &value), "engine_cursor_value");
        record_check(engine_cursor_key(&c), value);
        if (++seen == n)
            break;
    }
    engine_snap_end(t->reader);
    return seen;
}

const struct store_ops store_kinto = {
    .name = "kinto",
    .note = "every value read is checked against its CRC; bulk puts do not wait for one another",
    .ways = {"one engine"},
    .open = kinto_open,
    .close = kinto_close,
    .session_new = kinto_session_new,
    .session_free = kinto_session_free,
    .load = kinto_load,
    .put = kinto_put,
    .get = kinto_get,
    .scan = kinto_scan,
};
