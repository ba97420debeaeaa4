/*
 * Many threads: writers that group, readers that never see half a transaction nor an older state
 * than before, and a queue that pushes back.
 */
#include "test/support/wait.h"
#include "test/unit/engine/audit.h"

#define WRITERS 4
#define READERS 4
#define WINDOW  8 /* commits that a writer has under way */

struct shared {
    struct engine *e;
    int txns; /* of each writer */
    _Atomic bool stop;
    _Atomic int failures; /* Check's assertions are for the main thread only */
};

struct writer_thread {
    struct shared *shared;
    int id;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int under_way;
    int done;
    enum err bad;
};

static void writer_done(void *arg, enum err result)
{
    struct writer_thread *w = arg;

    pthread_mutex_lock(&w->mutex);
    w->under_way--;
    w->done++;
    if (result != OK)
        w->bad = result;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static void wait_below(struct writer_thread *w, int n)
{
    pthread_mutex_lock(&w->mutex);
    while (w->under_way >= n)
        pthread_cond_wait(&w->cond, &w->mutex);
    w->under_way++;
    pthread_mutex_unlock(&w->mutex);
}

static str number_key(char buf[32], const char *what, int id, int n)
{
    return (str){buf, (size_t)snprintf(buf, 32, "%s/%d/%06d", what, id, n)};
}

/* Each transaction counts on: "a/id" and "b/id" get the same number, and a record is added. */
static enum err write_one(struct writer_thread *w, struct engine_txn *t, int n)
{
    char buf[32], value[100];
    enum err err;

    memset(value, 'a' + n % 26, sizeof value);
    err = engine_put(t, number_key(buf, "a", w->id, 0), (str){(char *)&n, sizeof n});
    if (err == OK)
        err = engine_put(t, number_key(buf, "b", w->id, 0), (str){(char *)&n, sizeof n});
    if (err == OK)
        err = engine_put(t, number_key(buf, "r", w->id, n), (str){value, sizeof value});
    if (err == OK && n % 7 == 0)
        err = engine_del(t, number_key(buf, "r", w->id, n / 2));
    return err;
}

static void *write_many(void *arg)
{
    struct writer_thread *w = arg;
    struct engine_txn *t;

    for (int n = 1; n <= w->shared->txns;) {
        enum err err;
        wait_below(w, WINDOW);
        err = engine_txn_begin(w->shared->e, &t);
        if (err == OK && write_one(w, t, n) == OK) {
            engine_txn_commit(t, writer_done, w);
            n++;
            continue;
        }
        if (err == OK)
            engine_txn_abort(t);
        if (err != ERR_AGAIN)
            atomic_fetch_add(&w->shared->failures, 1);
        pthread_mutex_lock(&w->mutex);
        w->under_way--;
        pthread_mutex_unlock(&w->mutex);
        if (err != ERR_AGAIN)
            return NULL;
        sched_yield();
    }
    return NULL;
}

static int read_number(const struct engine_view *v, const char *what, int id)
{
    char buf[32];
    str value;
    int n = 0;

    if (engine_get(v, number_key(buf, what, id, 0), &value) == OK && value.n == sizeof n)
        memcpy(&n, value.p, sizeof n);
    return n;
}

/* Records of one writer: the highest must be the count. */
static bool records_fit(const struct engine_view *v, int id, int count)
{
    char prefix[32], last[32];
    struct engine_cursor c;
    str value;

    engine_cursor_init(&c, v, (str){prefix, (size_t)snprintf(prefix, 32, "r/%d/", id)});
    if (!engine_cursor_last(&c))
        return count == 0;
    return str_eq(engine_cursor_key(&c), number_key(last, "r", id, count)) &&
           engine_cursor_value(&c, &value) == OK && value.n == 100 &&
           value.p[99] == 'a' + count % 26;
}

static void *read_many(void *arg)
{
    struct shared *s = arg;
    struct engine_reader *r;
    int before[WRITERS] = {0};
    uint64_t version = 0;

    if (engine_reader_new(s->e, &r) != OK) {
        atomic_fetch_add(&s->failures, 1);
        return NULL;
    }
    while (!atomic_load(&s->stop)) {
        const struct engine_view *v = engine_snap_begin(r);
        if (engine_view_version(v) < version)
            atomic_fetch_add(&s->failures, 1);
        version = engine_view_version(v);
        for (int i = 0; i < WRITERS; i++) {
            int a = read_number(v, "a", i), b = read_number(v, "b", i);
            if (a != b || a < before[i] || !records_fit(v, i, a))
                atomic_fetch_add(&s->failures, 1);
            before[i] = a;
        }
        engine_snap_end(r);
    }
    engine_reader_free(r);
    return NULL;
}

static void check_end(struct engine *e, int txns)
{
    struct engine_reader *r;

    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    const struct engine_view *v = engine_snap_begin(r);
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(read_number(v, "a", i), txns);
        ck_assert(records_fit(v, i, txns));
    }
    engine_snap_end(r);
    engine_reader_free(r);
    audit_engine(e);
}

/* Transactions come meanwhile, also where tests have their files in memory. */
static int sync_as_a_disk(int fd)
{
    let_pass(1, "a disk takes its time");
    return os_kernel.fdatasync(fd);
}

static void run(const char *dir, int txns, size_t queue_bytes)
{
    static struct os_ops disk;
    struct engine_options o = {
        .dir = dir, .segment_bytes = 64 * KIB, .max_queue_bytes = queue_bytes};
    struct shared s = {.txns = txns};
    struct writer_thread w[WRITERS];
    pthread_t readers[READERS];
    struct engine_stats stats;

    disk = os_kernel;
    disk.fdatasync = sync_as_a_disk;
    if (queue_bytes == 0)
        os_test_replace(&disk);
    ck_assert_int_eq(engine_open(&s.e, &o, NULL, NULL), OK);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_many, &s), 0);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer_thread){.shared = &s, .id = i};
        pthread_mutex_init(&w[i].mutex, NULL);
        pthread_cond_init(&w[i].cond, NULL);
        ck_assert_int_eq(pthread_create(&w[i].thread, NULL, write_many, &w[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(w[i].thread, NULL);
        wait_below(&w[i], 1);
        ck_assert_int_eq(w[i].done, txns);
        ck_assert_int_eq(w[i].bad, OK);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    ck_assert_int_eq(atomic_load(&s.failures), 0);
    check_end(s.e, txns);
    engine_stats(s.e, &stats);
    ck_assert_uint_eq(stats.commits, (uint64_t)txns * WRITERS);
    if (dir != NULL && queue_bytes == 0)
        ck_assert_msg(stats.syncs < stats.commits / 2, "%llu syncs for %llu commits",
                      (unsigned long long)stats.syncs, (unsigned long long)stats.commits);
    engine_close(s.e);
    os_test_replace(NULL);
}

START_TEST(memory)
{
    run(NULL, 2000, 0);
}
END_TEST

START_TEST(files)
{
    struct kit_dir d;

    kit_dir_make(&d);
    run(d.path, 1000, _i == 0 ? 0 : 1000);
    struct engine *e = kit_open(d.path, 64 * KIB);
    check_end(e, 1000);
    engine_close(e);
    kit_dir_remove(&d);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/threads");
    TCase *c = tcase_create("threads");

    tcase_set_timeout(c, 120);
    tcase_add_test(c, memory);
    tcase_add_loop_test(c, files, 0,
                        2); /* the second time with a queue that is nearly always full */
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
