/*
 * test/bench/engine.c - what the engine costs. Prints one line a figure.
 *
 *     engine [DIR [RECORDS]]
 *
 * DIR is an empty directory on the disk to be measured (default: a new one below /tmp, which is
 * removed at the end), RECORDS defaults to 200000. A record is a value of 300 bytes with two keys, of
 * 22 bytes (scattered) and 13 bytes (rising).
 */
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/os.h"
#include "engine/engine.h"

#define VALUE_BYTES 300
#define BATCH       25

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int under_way;
};

static void must(enum err err, const char *what)
{
    if (err == OK)
        return;
    fprintf(stderr, "%s: %s\n", what, err_text(err));
    exit(1);
}

static void figure(const char *what, uint64_t n, uint64_t ns, const char *unit)
{
    printf("%-34s %12.0f %s/s  %10.2f us each\n", what, (double)n * 1e9 / (double)ns, unit,
           (double)ns / 1e3 / (double)n);
}

/* Scattered like a UUID, but a function of i. */
static uint64_t mix(uint64_t i)
{
    i = (i ^ (i >> 30)) * 0xbf58476d1ce4e5b9u;
    i = (i ^ (i >> 27)) * 0x94d049bb133111ebu;
    return i ^ (i >> 31);
}

static str id_key(char buf[22], uint64_t i)
{
    uint64_t a = mix(i), b = mix(i + 77);

    memcpy(buf, "oparen", 6);
    memcpy(buf + 6, &a, 8);
    memcpy(buf + 14, &b, 8);
    return (str){buf, 22};
}

static str time_key(char buf[13], uint64_t i)
{
    uint64_t t = __builtin_bswap64(1700000000000 + i);

    memcpy(buf, "tpare", 5);
    memcpy(buf + 5, &t, 8);
    return (str){buf, 13};
}

static void done(void *arg, enum err result)
{
    struct waiter *w = arg;

    must(result, "commit");
    pthread_mutex_lock(&w->mutex);
    if (--w->under_way == 0)
        pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static void wait_all(struct waiter *w)
{
    pthread_mutex_lock(&w->mutex);
    while (w->under_way > 0)
        pthread_cond_wait(&w->cond, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
}

static void commit(struct engine_txn *t, struct waiter *w)
{
    pthread_mutex_lock(&w->mutex);
    w->under_way++;
    pthread_mutex_unlock(&w->mutex);
    engine_txn_commit(t, done, w);
}

static void put_record(struct engine_txn *t, uint64_t i)
{
    char id[22], time[13], value[VALUE_BYTES];

    memset(value, (int)('a' + i % 26), sizeof value);
    must(engine_put(t, id_key(id, i), (str){value, sizeof value}), "put");
    must(engine_link(t, time_key(time, i)), "link");
}

static void load(struct engine *e, uint64_t records)
{
    struct waiter w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    uint64_t start = clock_mono_ns();
    struct engine_stats s;

    for (uint64_t i = 0; i < records;) {
        struct engine_txn *t;
        enum err err = engine_txn_begin(e, &t);
        if (err == ERR_AGAIN) {
            wait_all(&w);
            continue;
        }
        must(err, "begin");
        for (int k = 0; k < BATCH && i < records; k++)
            put_record(t, i++);
        commit(t, &w);
    }
    wait_all(&w);
    figure("puts, 25 records a transaction", records, clock_mono_ns() - start, "records");
    engine_stats(e, &s);
    printf("%-34s %12.1f bytes of log, %.1f of index, a record\n", "size",
           (double)s.log_bytes / (double)records, (double)s.pages * 4096 / (double)records);
}

static void point_gets(struct engine *e, uint64_t records)
{
    struct engine_reader *r;
    uint64_t n = 1000000, start = clock_mono_ns();
    char key[22];
    str value;

    must(engine_reader_new(e, &r), "reader");
    for (uint64_t i = 0; i < n; i++) {
        const struct engine_view *v = engine_snap_begin(r);
        must(engine_get(v, id_key(key, mix(i) % records), &value), "get");
        engine_snap_end(r);
    }
    figure("gets, a snapshot each", n, clock_mono_ns() - start, "gets");
    engine_reader_free(r);
}

static void scans(struct engine *e, uint64_t records)
{
    struct engine_reader *r;
    uint64_t n = 10000, start = clock_mono_ns();
    char key[13];
    str value;

    must(engine_reader_new(e, &r), "reader");
    for (uint64_t i = 0; i < n; i++) {
        struct engine_cursor c;
        int k = 0;
        engine_cursor_init(&c, engine_snap_begin(r), STR("tpare"));
        for (bool ok = engine_cursor_seek(&c, time_key(key, mix(i) % records)); ok && k < 100;
             ok = engine_cursor_next(&c), k++)
            must(engine_cursor_value(&c, &value), "value");
        engine_snap_end(r);
    }
    figure("scans of 100 values", n, clock_mono_ns() - start, "scans");
    engine_reader_free(r);
}

struct committer {
    struct engine *e;
    uint64_t from, n;
    pthread_t thread;
};

static void *commit_one_by_one(void *arg)
{
    struct committer *c = arg;
    struct waiter w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

    for (uint64_t i = 0; i < c->n; i++) {
        struct engine_txn *t;
        must(engine_txn_begin(c->e, &t), "begin");
        put_record(t, c->from + i);
        commit(t, &w);
        wait_all(&w);
    }
    return NULL;
}

static void durable(struct engine *e, int threads, uint64_t each)
{
    struct committer c[64];
    struct engine_stats before, after;
    uint64_t start = clock_mono_ns();
    char what[64];

    engine_stats(e, &before);
    for (int i = 0; i < threads; i++) {
        c[i] = (struct committer){.e = e, .from = 1000000000u * (uint64_t)(i + 1), .n = each};
        if (pthread_create(&c[i].thread, NULL, commit_one_by_one, &c[i]) != 0)
            must(ERR_NOMEM, "thread");
    }
    for (int i = 0; i < threads; i++)
        pthread_join(c[i].thread, NULL);
    engine_stats(e, &after);
    snprintf(what, sizeof what, "durable commits, %d writers", threads);
    figure(what, each * (uint64_t)threads, clock_mono_ns() - start, "commits");
    printf("%-34s %12.1f commits a sync\n", "",
           (double)(after.commits - before.commits) /
               (double)MAX_OF(after.syncs - before.syncs, 1u));
}

static void open_again(const char *dir)
{
    struct engine_options o = {.dir = dir};
    struct engine_recovery r;
    struct engine *e;
    uint64_t start = clock_mono_ns();

    must(engine_open(&e, &o, &r, NULL), "open");
    figure("open, transactions replayed", r.txns, clock_mono_ns() - start, "txns");
    engine_close(e);
}

static void remove_one(void *dir, const char *name)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s", (const char *)dir, name);
    os()->unlink(path);
}

int main(int argc, char **argv)
{
    char made[] = "/tmp/kinto-bench-XXXXXX";
    const char *dir = argc > 1 ? argv[1] : mkdtemp(made);
    uint64_t records = 200000;
    struct engine_options o = {.dir = dir};
    struct err_detail d = {.text = ""};
    struct engine *e;

    if (argc > 2)
        must(str_to_u64(str_from(argv[2]), &records), argv[2]);
    if (dir == NULL || engine_open(&e, &o, NULL, &d) != OK) {
        fprintf(stderr, "cannot open the store: %s\n", d.text);
        return 1;
    }
    load(e, records);
    point_gets(e, records);
    scans(e, records);
    durable(e, 1, 500);
    durable(e, 16, 200);
    durable(e, 64, 100);
    engine_close(e);
    open_again(dir);
    if (dir != made)
        return 0;
    os()->list_dir(made, remove_one, made);
    return rmdir(made) == 0 ? 0 : 1;
}
