/*
 * The n-th call fails, for n = 1, 2, ... until a run needs no more calls: each system call of the engine,
 * once or from then on, with and without a part of a write done before; and each allocation. After each
 * run, what was acknowledged is there, what was refused is not, and the engine is FAILED exactly when a
 * sync failed or remains could not be cut off.
 */
#include <errno.h>
#include <poll.h>

#include "test/support/wait.h"
#include "test/unit/engine/audit.h"
#include "test/unit/engine/faults.h"

/* ---- a run ----------------------------------------------------------------------------------- */

#define TXNS 24

struct one { /* a transaction and what became of it */
    struct kit_wait wait;
    int number;
    bool begun;
};

static bool tidy; /* checkpoints and compaction all the time */
static bool idle; /* the same, by the keeper alone: few keys, written over and over */

struct run {
    struct kit_dir dir;
    struct engine *e;
    struct kit_model model; /* what was acknowledged */
    struct one one[TXNS];
    int unknown; /* transactions whose end nobody knows: the sync failed */
};

static str key_of(char buf[16], const char *what, int i)
{
    return (str){buf, (size_t)snprintf(buf, 16, "%s%03d", what, i)};
}

static str value_of(char buf[1000], int i)
{
    memset(buf, 'a' + i % 26, 1000);
    return (str){buf, (size_t)(i % 5 == 0 ? 10 : 700)};
}

/* The number of the keys of transaction i. */
static int name_of(int i)
{
    return idle ? i % 5 : i;
}

static enum err write_txn(struct engine_txn *t, int i)
{
    char key[16], value[1000];
    enum err err = engine_put(t, key_of(key, "a", name_of(i)), value_of(value, i));

    if (err == OK)
        err = engine_link(t, key_of(key, "b", name_of(i)));
    if (err == OK && i % 3 == 0)
        err = engine_del(t, key_of(key, "a", name_of(i - 1)));
    if (err == OK && i % 7 == 0)
        err = engine_del_prefix(t, STR("b00"), NULL);
    return err;
}

static void model_txn(struct kit_model *m, int i)
{
    char key[16], value[1000];

    model_put(m, key_of(key, "a", name_of(i)), value_of(value, i));
    model_put(m, key_of(key, "b", name_of(i)), value_of(value, i));
    if (i % 3 == 0)
        model_del(m, key_of(key, "a", name_of(i - 1)));
    if (i % 7 == 0)
        model_del_prefix(m, STR("b00"));
}

/* What fails here fails for the plan's reasons, and has taken nothing away. */
static void tidy_up(struct engine *e, int i)
{
    if (tidy && !idle)
        (void)!(i % 2 == 0 ? engine_checkpoint(e) : engine_compact(e));
}

/* Commits three transactions at a time, so that several are under way when something fails. */
static void write_some(struct run *run, int from, int to)
{
    for (int i = from; i < to; i += 3) {
        for (int k = i; k < MIN_OF(i + 3, to); k++) {
            struct engine_txn *t;
            struct one *one = &run->one[k];
            *one = (struct one){.wait = KIT_WAIT, .number = k};
            one->begun = engine_txn_begin(run->e, &t) == OK;
            if (!one->begun)
                continue;
            if (write_txn(t, k) == OK) {
                engine_txn_commit(t, kit_done, &one->wait);
                continue;
            }
            engine_txn_abort(t);
            one->begun = false;
        }
        for (int k = i; k < MIN_OF(i + 3, to); k++)
            if (run->one[k].begun && kit_wait(&run->one[k].wait) == OK)
                model_txn(&run->model, k);
            else if (run->one[k].begun)
                run->unknown++;
        tidy_up(run->e, i);
    }
}

/* The state on disk is the model, or, after a sync that failed, the model and some of what came next. */
static bool same_or_more(struct run *run, bool was_failed)
{
    struct kit_model m = model_copy(&run->model);
    bool same;

    kit_quiet = true;
    same = model_same_now(&m, run->e);
    for (int i = 0; !same && was_failed && i < TXNS; i++) {
        if (!run->one[i].begun || run->one[i].wait.result == OK)
            continue;
        model_txn(&m, i);
        same = model_same_now(&m, run->e);
    }
    free(m.p);
    kit_quiet = false;
    return same;
}

static enum err run_open(struct run *run)
{
    struct engine_options o = {.dir = run->dir.path, .segment_bytes = 4096};
    struct err_detail d = {.text = ""};
    enum err err;

    if (tidy)
        o.checkpoint_bytes = o.compact_bytes = KIB;
    run->e = NULL;
    err = engine_open(&run->e, &o, NULL, &d);
    ck_assert_msg(err != ERR_CORRUPT, "%s", d.text);
    ck_assert(err == OK || d.text[0] != 0);
    return err;
}

static struct run *run_new(void)
{
    struct run *run = calloc(1, sizeof *run);

    kit_dir_make(&run->dir);
    return run;
}

/* Its engine is closed. */
static void run_end(struct run *run)
{
    os_test_replace(NULL);
    kit_dir_remove(&run->dir);
    free(run->model.p);
    free(run);
    model_free_bytes();
}

/* While the plan is in force: does the engine say what it should? */
static void check_running(struct run *run)
{
    struct engine_txn *t;
    bool failed = engine_state(run->e) == ENGINE_FAILED;
    enum err err;

    ck_assert(model_same_now(&run->model, run->e));
    if (atomic_load(&faults.kinds) & (FAULT_BIT(FDATASYNC) | FAULT_BIT(FSYNC) | FAULT_BIT(LINKED)))
        ck_assert(failed);
    if ((atomic_load(&faults.kinds) & ~FAULT_BIT(OPEN)) == 0) /* what was not opened is as it was */
        ck_assert(!failed);
    unsigned both = FAULT_BIT(PWRITEV) | FAULT_BIT(FTRUNCATE);
    if (faults.for_ever && (atomic_load(&faults.kinds) & both) == both)
        ck_assert(failed);
    err = engine_txn_begin(run->e, &t);
    failed = engine_state(run->e) == ENGINE_FAILED; /* a checkpoint may have failed just now */
    if (err == ERR_NOSPACE)                         /* for a while compaction is alone */
        ck_assert(faults.error == ENOSPC && atomic_load(&faults.failed) > 0);
    else
        ck_assert(err == ERR_FAILED ? failed : err == OK);
    if (err == OK)
        engine_txn_abort(t);
    audit_engine(run->e);
}

/* After a full disk compaction may be alone for a while. */
static bool admits(struct engine *e)
{
    struct engine_txn *t;
    enum err err;

    while ((err = engine_txn_begin(e, &t)) == ERR_NOSPACE)
        wait_tick();
    if (err == OK)
        engine_txn_abort(t);
    return err == OK;
}

static bool is_tidy(struct engine *e)
{
    bool due, left;

    pthread_mutex_lock(&e->writer.mutex);
    due = compact_due(e);
    left = e->log.first < e->index.first; /* segments whose files are still there */
    pthread_mutex_unlock(&e->writer.mutex);
    return !due && !left;
}

static bool keeps_others_out(struct engine *e)
{
    return atomic_load(&e->reserve.given);
}

static bool lets_others_in(struct engine *e)
{
    return !keeps_others_out(e);
}

/* It comes to that by itself: nobody writes any more. */
static void wait_until(struct engine *e, bool (*is)(struct engine *e))
{
    for (int ms = 0; !is(e); ms++) {
        ck_assert_int_lt(ms, 20000);
        wait_tick();
    }
}

/* One run with the plan in force; returns false when the plan's call did not come. */
static bool torture(unsigned mask, int nth, bool for_ever, int error)
{
    struct run *run = run_new();
    bool failed = false;
    int calls;

    faults_plan(mask, nth, for_ever, error);
    faults_install();
    if (run_open(run) == OK) {
        atomic_store(&faults.kinds, 0); /* what failed and was put up with does not count below */
        write_some(run, 1, TXNS / 2);
        check_running(run);
        faults_end();
        failed = engine_state(run->e) == ENGINE_FAILED;
        if (idle && !failed)
            wait_until(run->e, is_tidy); /* what failed is brought to its end all the same */
        write_some(run, TXNS / 2, TXNS - 3);
        ck_assert_int_eq(admits(run->e), !failed); /* comes back by itself, unless FAILED */
        engine_close(run->e);
    }
    faults_end();
    calls = atomic_load(&faults.failed);
    ck_assert_int_eq(run_open(run), OK);
    ck_assert(same_or_more(run, failed));
    audit_engine(run->e);
    ck_assert_int_eq(kit_put(run->e, STR("end"), STR("")), OK);
    engine_close(run->e);
    run_end(run);
    return calls > 0;
}

START_TEST(every_call)
{
    static const int errors[] = {EIO, ENOSPC};
    unsigned call = (unsigned)_i / 4;

    log_set_level(LOG_NONE);
    for (int n = 1; torture(1u << call, n, _i & 1, errors[_i >> 1 & 1]); n++)
        ck_assert_int_lt(n, 1000);
}
END_TEST

START_TEST(every_call_while_tidying)
{
    static const int errors[] = {ENOSPC, EIO};
    unsigned call = (unsigned)_i / 4;

    log_set_level(LOG_NONE);
    tidy = true;
    for (int n = 1; torture(1u << call, n, _i & 1, errors[_i >> 1 & 1]); n++)
        ck_assert_int_lt(n, 3000);
    tidy = false;
}
END_TEST

/* What a keeper can meet, once and for longer; nobody writes afterwards that would wake it. What is no full
 * disk it tries again after a second, so of those only some. */
static const enum fault_call of_keeper[] = {FAULT_OPEN,      FAULT_PWRITE,    FAULT_PWRITEV,
                                            FAULT_FTRUNCATE, FAULT_FALLOCATE, FAULT_UNLINK,
                                            FAULT_MAP};

START_TEST(compaction_ends_by_itself)
{
    unsigned mask = 1u << of_keeper[_i / 4];
    bool full = _i & 2;

    log_set_level(LOG_NONE);
    tidy = idle = true;
    for (int n = 1; torture(mask, n, _i & 1, full ? ENOSPC : EIO); n += full ? 1 : 7)
        ck_assert_int_lt(n, 3000);
    tidy = idle = false;
}
END_TEST

/* Writes fail, and then also the cut: FAILED. */
START_TEST(write_and_cut_fail)
{
    unsigned mask = FAULT_BIT(PWRITEV) | FAULT_BIT(FTRUNCATE);

    log_set_level(LOG_NONE);
    for (int n = 1; torture(mask, n, true, EIO); n++)
        ck_assert_int_lt(n, 1000);
    mask |= ~0u;
    for (int n = 1; torture(mask, n, true, ENOSPC); n++)
        ck_assert_int_lt(n, 1000);
}
END_TEST

/* A file system without fallocate is no reason to fail. */
START_TEST(no_fallocate)
{
    struct run *run = run_new();

    log_set_level(LOG_NONE);
    faults_plan(FAULT_BIT(FALLOCATE), 1, true, EOPNOTSUPP);
    faults_install();
    ck_assert_int_eq(run_open(run), OK);
    write_some(run, 1, TXNS);
    ck_assert_int_eq(run->unknown, 0);
    ck_assert(model_same_now(&run->model, run->e));
    /* Asked once for each of log, index and reserve, not for every group. */
    ck_assert_int_le(atomic_load(&faults.failed), 3);
    engine_close(run->e);
    run_end(run);
}
END_TEST

/* A full disk: refused with NOSPACE, nothing half, and back by itself when there is room. */
START_TEST(full_disk)
{
    struct run *run = run_new();

    log_set_level(LOG_NONE);
    faults_end();
    faults_install();
    ck_assert_int_eq(run_open(run), OK);
    write_some(run, 1, 4);
    faults_plan(FAULT_BIT(PWRITEV) | FAULT_BIT(FALLOCATE) | FAULT_BIT(PWRITE), 1, true, ENOSPC);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(kit_put(run->e, STR("never"), STR("seen")), ERR_NOSPACE);
    ck_assert_int_eq(engine_state(run->e), ENGINE_OK);
    ck_assert(model_same_now(&run->model, run->e));
    faults_end();
    wait_until(run->e, lets_others_in); /* it may have kept them out meanwhile */
    write_some(run, 4, TXNS);
    ck_assert_int_eq(run->unknown, 0);
    engine_close(run->e);
    ck_assert_int_eq(run_open(run), OK);
    ck_assert(model_same_now(&run->model, run->e));
    engine_close(run->e);
    run_end(run);
}
END_TEST

/* The disk is full before anybody has written: it is seen by itself when there is room. */
START_TEST(full_from_the_start)
{
    struct run *run = run_new();

    log_set_level(LOG_NONE);
    faults_plan(FAULT_BIT(FALLOCATE), 1, true, ENOSPC);
    faults_install();
    ck_assert_int_eq(run_open(run), OK);
    wait_until(run->e, keeps_others_out);
    faults_end();
    wait_until(run->e, lets_others_in);
    ck_assert(admits(run->e));
    engine_close(run->e);
    run_end(run);
}
END_TEST

/* A transaction is running on top of one that fails: it fails too, and what it saw is gone. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static ssize_t gated_pwritev(int fd, const struct iovec *v, int n, uint64_t off)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return fault_pwritev(fd, v, n, off);
}

START_TEST(running_on_top_of_a_failure)
{
    struct kit_wait lost = KIT_WAIT, seen = KIT_WAIT;
    struct os_ops ops;
    struct engine_txn *t;
    struct engine *e;
    struct kit_dir dir;
    str got;

    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    faults_install();
    ops = *os();
    ops.pwritev = gated_pwritev;
    os_test_replace(&ops);
    faults_end();
    e = kit_open(dir.path, 4096);
    ck_assert_int_eq(kit_put(e, STR("k"), STR("first")), OK);

    faults_plan(FAULT_BIT(PWRITEV), 1, false, EIO);
    pthread_mutex_lock(&gate);
    t = kit_begin(e);
    ck_assert_int_eq(
        engine_put(t, STR("k"), STR("lost, and long enough to lie in the log's frame")), OK);
    engine_txn_commit(t, kit_done, &lost);
    t = kit_begin(e); /* sees what will be lost */
    ck_assert_int_eq(engine_get(engine_txn_view(t), STR("k"), &got), OK);
    ck_assert_int_eq(got.p[0], 'l');
    pthread_mutex_unlock(&gate);
    ck_assert_int_eq(kit_wait(&lost), ERR_IO);
    ck_assert_int_eq(engine_get(engine_txn_view(t), STR("k"), &got), OK); /* still whole */
    ck_assert_int_eq(got.p[0], 'l');
    if (_i == 0)
        ck_assert_int_eq(engine_put(t, STR("k2"), STR("on top")), OK);
    engine_txn_commit(t, kit_done, &seen); /* with changes or without: it saw what never was */
    ck_assert_int_eq(kit_wait(&seen), ERR_IO);

    t = kit_begin(e);
    ck_assert_int_eq(engine_get(engine_txn_view(t), STR("k"), &got), OK);
    ck_assert_str_is(got, "first");
    ck_assert_int_eq(engine_get(engine_txn_view(t), STR("k2"), &got), ERR_NOTFOUND);
    ck_assert_int_eq(engine_put(t, STR("k3"), STR("goes on")), OK);
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert_int_eq(engine_state(e), ENGINE_OK);
    audit_engine(e);
    engine_close(e);
    os_test_replace(NULL);
    kit_dir_remove(&dir);
}
END_TEST

/* While the disk stands still the queue takes what max_queue_bytes allows, pages counted, and no more. */
START_TEST(slow_disk_pushes_back)
{
    struct kit_wait first = KIT_WAIT, last = KIT_WAIT;
    struct engine_options o = {.max_queue_bytes = 200000};
    struct engine_txn *t;
    struct engine *e;
    struct kit_dir dir;
    struct os_ops ops;
    struct engine_stats s;
    enum err err;
    int n = 0;

    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    o.dir = dir.path;
    faults_end();
    faults_install();
    ops = *os();
    ops.pwritev = gated_pwritev;
    os_test_replace(&ops);
    ck_assert_int_eq(engine_open(&e, &o, NULL, NULL), OK);
    pthread_mutex_lock(&gate);
    while ((err = engine_txn_begin(e, &t)) == OK) {
        ck_assert_int_eq(engine_put(t, STR("k"), STR("v")), OK);
        engine_txn_commit(t, n == 0 ? kit_done : NULL, &first);
        n++;
    }
    ck_assert_int_eq(err, ERR_AGAIN);
    ck_assert_int_gt(n, 10);
    ck_assert_int_le(n, 50);
    pthread_mutex_unlock(&gate);
    ck_assert_int_eq(kit_wait(&first), OK);
    while ((err = engine_txn_begin(e, &t)) == ERR_AGAIN)
        wait_tick();
    ck_assert_int_eq(err, OK);
    ck_assert_int_eq(engine_put(t, STR("k"), STR("w")), OK);
    engine_txn_commit(t, kit_done, &last);
    ck_assert_int_eq(kit_wait(&last), OK);
    engine_stats(e, &s);
    ck_assert_uint_eq(s.version, (uint64_t)n + 1);
    ck_assert_uint_le(s.pages + s.free_pages, 60);
    engine_close(e);
    os_test_replace(NULL);
    kit_dir_remove(&dir);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

/* Returns false when no allocation failed. */
static bool starve(unsigned nth, bool files)
{
    struct engine_options o = {.segment_bytes = 4096};
    struct kit_model m = {0};
    struct engine *e = NULL;
    struct engine_reader *r;
    struct kit_dir dir;
    bool starved = false;

    kit_dir_make(&dir);
    o.dir = files ? dir.path : NULL;
    engine_test_fail_alloc(nth);
    if (engine_open(&e, &o, NULL, NULL) != OK) {
        starved = true;
        engine_test_fail_alloc(0);
        ck_assert_int_eq(engine_open(&e, &o, NULL, NULL), OK);
    }
    for (int i = 1; i < 150; i++) {
        struct engine_txn *t;
        enum err err = engine_txn_begin(e, &t);
        if (err == OK) {
            err = write_txn(t, i);
            if (err != OK)
                engine_txn_abort(t);
            else
                err = kit_commit(t);
        }
        starved |= err == ERR_NOMEM;
        ck_assert(err == OK || err == ERR_NOMEM);
        if (err == OK)
            model_txn(&m, i);
        else
            audit_engine(e);
    }
    if (engine_reader_new(e, &r) == OK)
        engine_reader_free(r);
    else
        starved = true;
    engine_test_fail_alloc(0);
    ck_assert(model_same_now(&m, e));
    audit_engine(e);
    engine_close(e);
    kit_dir_remove(&dir);
    free(m.p);
    model_free_bytes();
    return starved;
}

START_TEST(every_allocation)
{
    unsigned n = 1;

    log_set_level(LOG_NONE);
    while (starve(n, _i == 0))
        n++;
    ck_assert_uint_gt(n, 30);
}
END_TEST

/* Without files a segment is memory. None for the next one: that transaction was not, and the next one
 * goes on. */
START_TEST(no_memory_for_a_segment)
{
    struct engine_options o = {.segment_bytes = 4096};
    struct kit_model m = {0};
    struct engine *e;
    char value[3000];

    log_set_level(LOG_NONE);
    ck_assert_int_eq(engine_open(&e, &o, NULL, NULL), OK);
    for (int i = 0; i < 20; i++) { /* one to a segment */
        struct engine_stats before, after;
        struct engine_txn *t = kit_begin(e);
        memset(value, 'a' + i, sizeof value);
        engine_stats(e, &before);
        ck_assert_int_eq(engine_put(t, STR("key"), (str){value, sizeof value}), OK);
        if (i % 2 == 1)
            engine_test_fail_alloc(1);
        ck_assert_int_eq(kit_commit(t), i % 2 == 1 ? ERR_NOMEM : OK);
        engine_test_fail_alloc(0);
        if (i % 2 == 0)
            model_put(&m, STR("key"), (str){value, sizeof value});
        engine_stats(e, &after);
        ck_assert_uint_eq(after.version, before.version + (i % 2 == 0));
        ck_assert_int_eq(engine_state(e), ENGINE_OK);
        ck_assert(model_same_now(&m, e));
        audit_engine(e);
    }
    engine_close(e);
    free(m.p);
    model_free_bytes();
}
END_TEST

/* ---- FAILED ---------------------------------------------------------------------------------- */

/* What is done to the index file, whatever name it has by then. */
static _Atomic int index_fd, index_calls, syncs_left;

static int x_open(const char *path, int flags, unsigned mode)
{
    int fd = os_kernel.open(path, flags, mode);

    if (str_ends(str_from(path), STR("/index")) && (flags & O_ACCMODE) != O_RDONLY) {
        atomic_store(&index_fd, fd);
        atomic_fetch_add(&index_calls, 1);
    }
    return fd;
}

static int count(int fd)
{
    return atomic_fetch_add(&index_calls, fd == atomic_load(&index_fd));
}

static ssize_t x_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    count(fd);
    return os_kernel.pwrite(fd, p, n, off);
}

static int x_ftruncate(int fd, uint64_t size)
{
    count(fd);
    return os_kernel.ftruncate(fd, size);
}

static int x_fallocate(int fd, uint64_t off, uint64_t n)
{
    count(fd);
    return os_kernel.fallocate(fd, off, n);
}

static int x_fdatasync(int fd)
{
    count(fd);
    if (atomic_fetch_sub(&syncs_left, 1) != 1)
        return os_kernel.fdatasync(fd);
    errno = EIO;
    return -1;
}

static int x_unlink(const char *path)
{
    atomic_fetch_add(&index_calls, strstr(path, ".log") != NULL);
    return os_kernel.unlink(path);
}

/* After a failed sync nobody knows what the log has on disk: an index that goes beyond it, or a segment that
 * is removed for it, would make of that a loss. loop: which sync fails, of the log or of the index. */
START_TEST(a_failed_engine_leaves_the_index_alone)
{
    struct run *run = run_new();
    struct os_ops ops = os_kernel;
    struct engine_txn *t;
    char *before, *after;
    size_t n, m;

    log_set_level(LOG_NONE);
    ops.open = x_open;
    ops.pwrite = x_pwrite;
    ops.ftruncate = x_ftruncate;
    ops.fallocate = x_fallocate;
    ops.fdatasync = x_fdatasync;
    ops.unlink = x_unlink;
    os_test_replace(&ops);
    tidy = true;
    ck_assert_int_eq(run_open(run), OK);
    atomic_store(&syncs_left, 10 + _i);
    write_some(run, 1, TXNS);
    for (int i = 0; i < 100 && engine_state(run->e) == ENGINE_OK; i++)
        tidy_up(run->e, i);
    ck_assert_int_eq(engine_state(run->e), ENGINE_FAILED);
    pthread_mutex_lock(&run->e->keeper.work); /* what was under way has ended */
    pthread_mutex_unlock(&run->e->keeper.work);
    atomic_store(&index_calls, 0);
    before = kit_read(&run->dir, "index", &n);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(engine_txn_begin(run->e, &t), ERR_FAILED);
        ck_assert_int_ne(engine_checkpoint(run->e), OK);
        ck_assert_int_ne(engine_compact(run->e), OK);
    }
    engine_close(run->e);
    ck_assert_int_eq(atomic_load(&index_calls), 0);
    after = kit_read(&run->dir, "index", &m);
    ck_assert_uint_eq(n, m);
    ck_assert_mem_eq(before, after, n);
    os_test_replace(NULL);
    ck_assert_int_eq(run_open(run), OK);
    ck_assert(same_or_more(run, true));
    engine_close(run->e);
    tidy = false;
    free(before);
    free(after);
    run_end(run);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/torture");
    TCase *c = tcase_create("torture");

    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, every_call, 0, 4 * FAULT_CALLS);
    tcase_add_loop_test(c, every_call_while_tidying, 0, 4 * FAULT_CALLS);
    tcase_add_loop_test(c, compaction_ends_by_itself, 0, 4 * (int)ARRAY_LEN(of_keeper));
    tcase_add_test(c, write_and_cut_fail);
    tcase_add_test(c, no_fallocate);
    tcase_add_test(c, full_disk);
    tcase_add_test(c, full_from_the_start);
    tcase_add_loop_test(c, running_on_top_of_a_failure, 0, 2);
    tcase_add_test(c, slow_disk_pushes_back);
    tcase_add_loop_test(c, every_allocation, 0, 2);
    tcase_add_test(c, no_memory_for_a_segment);
    tcase_add_loop_test(c, a_failed_engine_leaves_the_index_alone, 0, 12);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
