/*
 * The index file: what is there after a checkpoint need not be replayed; what is wrong with it never leads
 * to wrong data; and what the log has lost, it tells. Also compaction, which relies on it.
 */
#include <errno.h>

#include "test/support/wait.h"
#include "test/unit/engine/audit.h"

static struct kit_dir dir;
static struct kit_model model;
static struct engine *e;

static struct engine_options options(void)
{
    return (struct engine_options){.dir = dir.path,
                                   .segment_bytes = 16 * KIB,
                                   .cache_bytes = 256 * KIB,
                                   .checkpoint_bytes = 64 * KIB,
                                   .compact_bytes = 16 * KIB};
}

static enum err try_open(struct engine_recovery *r, struct err_detail *d)
{
    struct engine_options o = options();

    e = NULL;
    return engine_open(&e, &o, r, d);
}

static struct engine_recovery open_again(void)
{
    struct engine_options o = options();
    struct engine_recovery r;

    e = kit_open_as(&o, &r);
    return r;
}

static void setup(void)
{
    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    model = (struct kit_model){0};
    open_again();
}

static void teardown(void)
{
    engine_close(e);
    e = NULL;
    kit_dir_remove(&dir);
    free(model.p);
    model_free_bytes();
}

/* The memory is small here: now and then it is full of what a checkpoint has to write first. */
static struct engine_txn *begin(void)
{
    struct engine_txn *t = NULL;

    while (engine_txn_begin(e, &t) == ERR_AGAIN)
        ck_assert_int_eq(engine_checkpoint(e), OK);
    ck_assert_ptr_nonnull(t);
    return t;
}

static void put(int key, int version, size_t n)
{
    struct engine_txn *t = begin();
    char k[24], v[2000];
    str key_str = {k, (size_t)snprintf(k, sizeof k, "key%06d", key)};

    memset(v, 'a' + (key + version) % 26, sizeof v);
    snprintf(v, sizeof v, "%d", version);
    ck_assert_int_eq(engine_put(t, key_str, (str){v, n}), OK);
    ck_assert_int_eq(kit_commit(t), OK);
    model_put(&model, key_str, (str){v, n});
}

static void put_many(int from, int to, int version)
{
    for (int i = from; i < to; i++)
        put(i, version, 300);
}

static void check_all(void)
{
    ck_assert(model_same_now(&model, e));
    audit_engine(e);
}

/* ---- opening --------------------------------------------------------------------------------- */

START_TEST(nothing_to_replay_after_a_clean_end)
{
    put_many(0, 200, 1);
    engine_close(e);
    ck_assert_uint_eq(open_again().txns, 0);
    check_all();
    put_many(100, 300, 2);
    check_all();
    engine_close(e);
    ck_assert_uint_eq(open_again().txns, 0);
    check_all();
}
END_TEST

/* What a page does not use says nothing of what the memory held before. */
START_TEST(the_gaps_of_pages_are_blank)
{
    size_t n, nodes = 0;
    const char *file;

    for (int version = 0; version < 5; version++)
        put_many(0, 300, version);
    engine_close(e);
    file = kit_read(&dir, "index", &n);
    for (size_t at = PAGE_FIRST * PAGE_BYTES; at + PAGE_BYTES <= n; at += PAGE_BYTES) {
        struct page p;
        memcpy(&p, file + at, sizeof p);
        if (p.pgno != at / PAGE_BYTES || p.crc != page_crc(&p))
            continue;
        nodes++;
        for (size_t i = PAGE_HEADER_BYTES + 2u * p.count; i < p.heap; i++)
            ck_assert_int_eq(file[at + i], 0);
    }
    ck_assert_uint_ge(nodes, 2);
    free((void *)file);
    open_again();
}
END_TEST

/* The bytes of the directory's next file, the caller's; NULL: that was the last one. */
/* One that a running engine has just removed is passed over. */
static char *next_file(DIR *d, const char **name, size_t *n)
{
    struct err_detail detail;
    struct dirent *entry;
    char path[600], *p;
    enum err err;

    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir.path, entry->d_name);
        err = os_read_file(path, SIZE_MAX / 2, &p, n, &detail);
        ck_assert(err == OK || err == ERR_NOTFOUND);
        *name = entry->d_name;
        if (err == OK)
            return p;
    }
    return NULL;
}

/* The directory as it is while the engine runs: what a crash leaves. */
static void copy_to(struct kit_dir *to)
{
    DIR *d = opendir(dir.path);
    const char *name;
    size_t n;

    kit_dir_make(to);
    for (char *p; (p = next_file(d, &name, &n)) != NULL;) {
        kit_write(to, name, p, n);
        free(p);
    }
    closedir(d);
}

START_TEST(only_the_tail_is_replayed_after_a_crash)
{
    struct kit_dir crashed, alive = dir;
    struct engine *running;

    put_many(0, 100, 1);
    ck_assert_int_eq(engine_checkpoint(e), OK);
    put_many(90, 110, 2);
    copy_to(&crashed);
    running = e;
    dir = crashed;
    ck_assert_uint_eq(open_again().txns, 20);
    check_all();
    engine_close(e);
    kit_dir_remove(&crashed);
    dir = alive;
    e = running;
}
END_TEST

static const struct {
    size_t cache, want_cache;
    uint64_t checkpoint, want_checkpoint;
} sizes[] = {
    {1, 64 * KIB, 1, KIB},
    {MIB, MIB, 0, 4 * MIB},
    {2048 * (size_t)MIB, 1024 * MIB, 32 * MIB, 32 * MIB},
};

START_TEST(sizes_within_what_is_sane)
{
    struct engine_options o = {
        .dir = dir.path, .cache_bytes = sizes[_i].cache, .checkpoint_bytes = sizes[_i].checkpoint};

    engine_close(e);
    e = kit_open_as(&o, NULL);
    ck_assert_uint_eq(e->options.cache_bytes, sizes[_i].want_cache);
    ck_assert_uint_eq(e->options.checkpoint_bytes, sizes[_i].want_checkpoint);
}
END_TEST

static const struct {
    size_t cache, changed, index, enough;
} changes[] = {
    {128 * MIB, 0, 0, 16 * MIB},          {128 * MIB, 0, 64 * MIB, 16 * MIB},
    {128 * MIB, 0, 100 * MIB, 25 * MIB},  {128 * MIB, 0, 256 * MIB, 64 * MIB},
    {128 * MIB, 0, 1024 * MIB, 64 * MIB}, {24 * MIB, 0, 64 * MIB, 12 * MIB},
    {128 * MIB, MIB, 1024 * MIB, MIB},    {128 * MIB, 48 * MIB, 0, 48 * MIB},
    {128 * MIB, 128 * MIB, 0, 64 * MIB},
};

START_TEST(enough_changes_for_a_checkpoint)
{
    struct engine_options o = {.cache_bytes = changes[_i].cache,
                               .changed_bytes = changes[_i].changed};

    ck_assert_uint_eq(checkpoint_enough(&o, changes[_i].index), changes[_i].enough);
}
END_TEST

START_TEST(a_lost_index_is_made_anew)
{
    struct engine_recovery r;

    put_many(0, 300, 1);
    engine_close(e);
    kit_drop_index(&dir);
    r = open_again();
    ck_assert_uint_gt(r.txns, 0);
    check_all();
    put_many(0, 50, 2);
    engine_close(e);
    ck_assert_uint_eq(open_again().txns, 0);
    check_all();
}
END_TEST

static void flip(const char *name, size_t at)
{
    size_t n;
    char *p = kit_read(&dir, name, &n);

    ck_assert_uint_lt(at, n);
    p[at] ^= 1;
    kit_write(&dir, name, p, n);
    free(p);
}

/* Each of the two roots, and the books: what was put aside is still there to be looked at. */
START_TEST(a_damaged_index_is_made_anew)
{
    static const size_t places[] = {0, 40, 127, PAGE_BYTES, PAGE_BYTES + 50, PAGE_BYTES + 127};
    char path[600];

    put_many(0, 100, 1);
    engine_close(e);
    open_again();
    put_many(0, 10, 2);
    engine_close(e);
    flip("index", places[_i]);
    ck_assert(open_again().rebuilt);
    check_all();
    snprintf(path, sizeof path, "%s/index.damaged", dir.path);
    ck_assert_int_eq(access(path, F_OK), 0);
    engine_close(e);
    ck_assert(!open_again().rebuilt);
    check_all();
}
END_TEST

static void rename_file(const char *from, const char *to)
{
    char a[600], b[600];

    snprintf(a, sizeof a, "%s/%s", dir.path, from);
    snprintf(b, sizeof b, "%s/%s", dir.path, to);
    ck_assert_int_eq(rename(a, b), 0);
}

/* A directory, with something in it, where the damaged index is to be put. */
static void stand_in_the_way(void)
{
    char path[600];

    snprintf(path, sizeof path, "%s/index.damaged", dir.path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    kit_write(&dir, "index.damaged/mine", "x", 1);
}

static void clear_the_way(void)
{
    char path[600];
    size_t n;

    free(kit_read(&dir, "index.damaged/mine", &n));
    snprintf(path, sizeof path, "%s/index.damaged/mine", dir.path);
    ck_assert_int_eq(unlink(path), 0);
    snprintf(path, sizeof path, "%s/index.damaged", dir.path);
    ck_assert_int_eq(rmdir(path), 0);
}

/* A damaged index is kept to be looked at, and where that is not possible the start goes on: it is worth
 * nothing. What stands in its way is left alone. */
START_TEST(a_damaged_index_that_cannot_be_kept)
{
    put_many(0, 100, 1);
    engine_close(e);
    flip("index", 40);
    stand_in_the_way();
    ck_assert(open_again().rebuilt);
    check_all();
    engine_close(e);
    ck_assert(!open_again().rebuilt);
    check_all();
    clear_the_way();
}
END_TEST

static int no_rename(const char *from, const char *to)
{
    (void)from;
    (void)to;
    errno = EIO;
    return -1;
}

static int no_unlink(const char *path)
{
    (void)path;
    errno = EPERM;
    return -1;
}

/* Neither kept nor removed: it would be taken for the index again. */
START_TEST(a_damaged_index_that_cannot_be_removed)
{
    struct os_ops ops = os_kernel;
    struct engine_recovery r;
    struct err_detail d;

    put_many(0, 100, 1);
    engine_close(e);
    flip("index", 40);
    ops.rename = no_rename;
    ops.unlink = no_unlink;
    os_test_replace(&ops);
    ck_assert_int_eq(try_open(&r, &d), ERR_IO);
    ck_assert_msg(strstr(d.text, "/index: ") != NULL && strstr(d.text, "removed") != NULL, "%s",
                  d.text);
    os_test_replace(NULL);
    open_again();
    check_all();
}
END_TEST

/* loop: 1 it cannot be kept. */
START_TEST(a_damaged_page_is_noticed_and_made_anew)
{
    struct engine_reader *r;
    struct engine_txn *t;
    struct index_root root;
    enum err err;
    char *index;
    size_t n;

    put_many(0, 300, 1);
    engine_close(e);
    index = kit_read(&dir, "index", &n);
    memcpy(&root, index + PAGE_BYTES, sizeof root);
    ck_assert_uint_eq(root.seq % 2, 1);
    if (((struct index_root *)(void *)index)->seq > root.seq)
        memcpy(&root, index, sizeof root);
    free(index);
    for (size_t page = PAGE_FIRST; page < n / PAGE_BYTES; page++)
        if (page != root.books) /* these are read by an opening */
            flip("index", page * PAGE_BYTES + 1000);
    if (_i == 1)
        stand_in_the_way();
    open_again();
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    for (int i = 0; i < 300; i++) {
        char k[24];
        str value, key = {k, (size_t)snprintf(k, sizeof k, "key%06d", i)};
        err = engine_get(engine_snap_begin(r), key, &value);
        engine_snap_end(r);
        ck_assert(err == OK || err == ERR_CORRUPT);
    }
    engine_reader_free(r);
    while ((err = engine_txn_begin(e, &t)) == OK) /* until the keeper has seen it */
        engine_txn_abort(t);
    ck_assert_int_eq(err, ERR_FAILED);
    engine_close(e);
    ck_assert_uint_gt(open_again().txns, 0);
    check_all();
    if (_i == 1)
        clear_the_way();
}
END_TEST

/* The replay of what came after the index builds on the damaged page. */
START_TEST(a_damaged_page_does_not_end_an_opening)
{
    struct index_root root;
    char *index;
    size_t n;

    put_many(0, 300, 1);
    engine_close(e);
    index = kit_read(&dir, "index", &n);
    open_again();
    put_many(100, 150, 2);
    engine_close(e);
    memcpy(&root, index, sizeof root);
    if (((struct index_root *)(void *)(index + PAGE_BYTES))->seq > root.seq)
        memcpy(&root, index + PAGE_BYTES, sizeof root);
    kit_write(&dir, "index", index, n);
    free(index);
    for (size_t page = PAGE_FIRST; page < n / PAGE_BYTES; page++)
        if (page != root.books)
            flip("index", page * PAGE_BYTES + 1000);
    ck_assert(open_again().rebuilt);
    check_all();
    engine_close(e);
    ck_assert_uint_eq(open_again().txns, 0);
    check_all();
}
END_TEST

/* An index file put back from an earlier day: the log has what came after. */
START_TEST(an_old_index_is_caught_up)
{
    size_t n;
    char *old;

    put_many(0, 50, 1);
    engine_close(e);
    old = kit_read(&dir, "index", &n);
    open_again();
    put_many(0, 80, 2);
    engine_close(e);
    kit_write(&dir, "index", old, n);
    free(old);
    ck_assert_uint_ge(open_again().txns, 80);
    check_all();
}
END_TEST

START_TEST(an_index_of_another_log)
{
    struct err_detail d;

    put_many(0, 50, 1);
    engine_close(e);
    rename_file("index", "other");
    kit_drop_index(&dir);
    open_again();
    put_many(0, 30, 2);
    engine_close(e);
    /* A log that is not the one that the index saw: another frame stands before its tail. */
    size_t n;
    char *index = kit_read(&dir, "index", &n);
    kit_dir_empty(&dir);
    open_again();
    put_many(0, 90, 3);
    engine_close(e);
    kit_write(&dir, "index", index, n);
    free(index);
    ck_assert_int_eq(try_open(NULL, &d), ERR_CORRUPT);
    kit_drop_index(&dir);
    model_del_prefix(&model, STR(""));
    for (int i = 0; i < 90; i++) {
        char k[24], v[300];
        memset(v, 'a' + (i + 3) % 26, sizeof v);
        snprintf(v, sizeof v, "3");
        model_put(&model, (str){k, (size_t)snprintf(k, sizeof k, "key%06d", i)}, (str){v, 300});
    }
    open_again();
    check_all();
}
END_TEST

/* ---- what the log has lost -------------------------------------------------------------------- */

static const char *newest(void)
{
    static char name[24];

    snprintf(name, sizeof name, "%08x.log", POS_SEG(e->writer.now.tail));
    return name;
}

START_TEST(a_cut_log_is_missed)
{
    struct err_detail d;
    char name[24], *p;
    size_t n;

    put_many(0, 20, 1);
    snprintf(name, sizeof name, "%s", newest());
    engine_close(e);
    p = kit_read(&dir, name, &n);
    for (size_t cut = n - 1; cut > SEGMENT_HEADER_BYTES; cut -= MIN_OF(cut, (size_t)97)) {
        kit_write(&dir, name, p, cut);
        ck_assert_int_eq(try_open(NULL, &d), ERR_CORRUPT);
        ck_assert_msg(strstr(d.text, name) != NULL, "%s", d.text);
    }
    kit_write(&dir, name, p, n);
    free(p);
    open_again();
    check_all();
}
END_TEST

START_TEST(a_lost_segment_is_missed)
{
    struct err_detail d;
    char name[24];

    put_many(0, 300, 1);
    ck_assert_int_eq(engine_compact(e), OK);
    snprintf(name, sizeof name, "%08x.log", e->log.first);
    ck_assert_uint_gt(e->log.first, 1);
    ck_assert_str_ne(name, newest());
    engine_close(e);
    rename_file(name, "away");
    ck_assert_int_eq(try_open(NULL, &d), ERR_CORRUPT); /* the index knows it */
    ck_assert_msg(strstr(d.text, name) != NULL, "%s", d.text);
    kit_drop_index(&dir);
    ck_assert_int_eq(try_open(NULL, &d), ERR_CORRUPT); /* no TRIM allows it */
    ck_assert_msg(strstr(d.text, name) != NULL, "%s", d.text);
    kit_drop_index(&dir);
    rename_file("away", name);
    open_again();
    check_all();
}
END_TEST

START_TEST(a_removed_directory_ends_the_writing)
{
    kit_dir_empty(&dir);
    ck_assert_int_ne(kit_put(e, STR("a"), STR("b")), OK);
    ck_assert_int_eq(engine_state(e), ENGINE_FAILED);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

START_TEST(memory_does_not_grow_with_the_keys)
{
    size_t most = 0;

    for (int i = 0; i < 20000; i += 100) {
        struct engine_txn *t = begin();
        for (int k = i; k < i + 100; k++) {
            char key[24];
            unsigned scattered = (unsigned)k * 2654435761u;
            str ks = {key, (size_t)snprintf(key, sizeof key, "%08x", scattered)};
            ck_assert_int_eq(engine_put(t, ks, STR("value")), OK);
        }
        ck_assert_int_eq(kit_commit(t), OK);
        pthread_mutex_lock(&e->writer.mutex);
        most = MAX_OF(most, e->pages.memory_n + ring_count(&e->pages.dropped));
        pthread_mutex_unlock(&e->writer.mutex);
    }
    ck_assert_uint_le(most * PAGE_BYTES, 2 * 256 * KIB); /* a transaction more than the limit */
    engine_close(e);
    kit_drop_index(&dir); /* nor does making it anew */
    open_again();
    ck_assert_uint_le(e->pages.memory_n * PAGE_BYTES, 256 * KIB);
    audit_engine(e);
}
END_TEST

/* ---- compaction ------------------------------------------------------------------------------ */

static uint64_t disk_bytes(void)
{
    DIR *d = opendir(dir.path);
    uint64_t sum = 0;
    struct dirent *entry;
    struct stat st;
    char path[600];

    while ((entry = readdir(d)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", dir.path, entry->d_name);
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_size;
    }
    closedir(d);
    return sum;
}

/* The keeper works beside the writer, at its own pace: it has to come down to so much, and the test's
 * time-out is for one that does not. */
static void wait_for_disk_bytes(uint64_t most)
{
    while (disk_bytes() > most)
        wait_tick();
}

START_TEST(overwriting_does_not_fill_the_disk)
{
    struct engine_stats st;

    put_many(0, 1000, 0);
    engine_stats(e, &st);
    for (int version = 1; version <= 20; version++) {
        put_many(0, 1000, version);
        wait_for_disk_bytes(st.live_log_bytes * 5 / 2 + 512 * KIB);
    }
    check_all();
    engine_close(e);
    open_again();
    check_all();
    engine_close(e);
    kit_drop_index(&dir);
    open_again();
    check_all();
}
END_TEST

static void link_many(int n)
{
    for (int i = 0; i < n; i++) {
        char k[24], l[24], v[400];
        struct engine_txn *t = begin();
        str key = {k, (size_t)snprintf(k, sizeof k, "key%06d", i)};
        str link = {l, (size_t)snprintf(l, sizeof l, "link%06d", i)};
        str value = {v, i % 3 == 0 ? 10 : 400};
        memset(v, 'a' + i % 26, sizeof v);
        ck_assert_int_eq(engine_put(t, key, value), OK);
        ck_assert_int_eq(engine_link(t, link), OK);
        model_put(&model, key, value);
        model_put(&model, link, value);
        if (i % 5 == 0) {
            ck_assert_int_eq(engine_del(t, key), OK);
            model_del(&model, key);
        }
        ck_assert_int_eq(kit_commit(t), OK);
    }
}

/* One value of several keys is one value afterwards, whichever of them are left. */
START_TEST(compaction_keeps_what_lives)
{
    struct engine_stats before, after;

    link_many(200);
    engine_stats(e, &before);
    ck_assert_int_eq(engine_compact(e), OK);
    check_all();
    engine_stats(e, &after);
    ck_assert_uint_le(after.log_bytes, before.log_bytes);
    ck_assert_uint_eq(after.keys, before.keys);
    ck_assert_uint_gt(e->log.first, 1);
    for (int i = 0; i < 3; i++) { /* and again, from files, with and without an index */
        engine_close(e);
        if (i == 1)
            kit_drop_index(&dir);
        open_again();
        check_all();
        ck_assert_int_eq(engine_compact(e), OK);
        check_all();
    }
}
END_TEST

/* Large values fill a step each, and still take their keys along. */
START_TEST(sharing_survives_compactions)
{
    static char big[40 * KIB];
    struct engine_stats before, after;

    for (int i = 0; i < 40; i++) {
        char k[24], l[24];
        struct engine_txn *t = begin();
        str key = {k, (size_t)snprintf(k, sizeof k, "key%06d", i)};
        str link = {l, (size_t)snprintf(l, sizeof l, "link%06d", i)};
        str value = {big, sizeof big - (size_t)i * KIB};
        ck_assert_int_eq(engine_put(t, key, value), OK);
        ck_assert_int_eq(engine_link(t, link), OK);
        ck_assert_int_eq(engine_put(t, STR("dead"), value), OK);
        ck_assert_int_eq(kit_commit(t), OK);
    }
    engine_stats(e, &before);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(engine_compact(e), OK);
    engine_stats(e, &after);
    ck_assert_uint_eq(after.live_log_bytes, before.live_log_bytes);
    ck_assert_uint_eq(after.live_value_bytes, before.live_value_bytes);
}
END_TEST

/* What a snapshot keeps from being released takes no room in the log, and is no reason to compact. */
START_TEST(a_reader_does_not_drive_compaction)
{
    struct engine_reader *r;
    struct engine_stats st;

    engine_close(e); /* with the memory that a snapshot held over so many changes takes */
    e = kit_open(dir.path, 16 * KIB);
    put_many(0, 300, 1);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    engine_snap_begin(r);
    for (int version = 2; version < 8; version++)
        put_many(0, 300, version);
    ck_assert_int_eq(engine_compact(e), OK);
    engine_stats(e, &st);
    ck_assert_uint_lt(st.log_bytes, 2 * st.live_log_bytes + 64 * KIB);
    engine_snap_end(r);
    engine_reader_free(r);
    check_all();
}
END_TEST

static struct os_ops failing;
static _Atomic int writes_left; /* until one write finds the disk full; then it has room again */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static ssize_t gated_pwritev(int fd, const struct iovec *v, int n, uint64_t off)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return os_kernel.pwritev(fd, v, n, off);
}

/* One transaction that alone makes more pages than may be in memory. It is durable only when all that the
 * writer does for it is done. */
static void put_more_than_the_cache(void)
{
    struct engine_txn *t = begin();
    struct kit_wait done = KIT_WAIT;
    char key[200];

    failing = os_kernel;
    failing.pwritev = gated_pwritev;
    os_test_replace(&failing);
    for (int i = 0; i < 3000; i++) {
        int n = snprintf(key, sizeof key, "%-190d", i);
        ck_assert_int_eq(engine_put(t, (str){key, (size_t)n}, STR("v")), OK);
    }
    ck_assert_uint_gt(e->pages.memory_n * PAGE_BYTES, e->options.cache_bytes);
    pthread_mutex_lock(&gate);
    engine_txn_commit(t, kit_done, &done);
    pthread_mutex_unlock(&gate);
    ck_assert_int_eq(kit_wait(&done), OK);
    os_test_replace(NULL);
}

static atomic_uint told_late;

static void count_late(const char *line, void *arg)
{
    (void)arg;
    told_late += strstr(line, "engine_disk_late") != NULL;
}

/* Whoever is refused meanwhile comes back; nobody but those has to do anything for it. loop: 0 behind the
 * transaction that filled it, 1 behind a start that has replayed it. */
START_TEST(memory_that_is_full_is_relieved)
{
    struct engine_txn *t;
    int refused = 0;
    enum err err;

    log_set_level(LOG_WARN);
    log_test_sink(count_late, NULL);
    ck_assert_int_eq(engine_checkpoint(e), OK); /* it is not one that is due anyhow */
    put_more_than_the_cache();
    if (_i == 1) {
        engine_close(e);
        kit_drop_index(&dir);
        ck_assert_uint_eq(open_again().txns, 1);
    }
    for (; (err = engine_txn_begin(e, &t)) == ERR_AGAIN; refused++) {
        ck_assert_int_lt(refused, 20000);
        wait_tick();
    }
    ck_assert_int_eq(err, OK);
    engine_txn_abort(t);
    ck_assert_uint_eq(told_late, refused > 0); /* however many they were */
    log_test_sink(NULL, NULL);
}
END_TEST

static ssize_t full_once(int fd, const struct iovec *v, int n, uint64_t off)
{
    if (atomic_fetch_sub(&writes_left, 1) != 1)
        return os_kernel.pwritev(fd, v, n, off);
    errno = ENOSPC;
    return -1;
}

/* Wherever in a compaction the disk is full for a moment: nothing that lives is given up, and it is
 * brought to its end. */
START_TEST(compaction_after_a_full_disk)
{
    enum err err = ERR_AGAIN;

    link_many(200);
    failing = os_kernel;
    failing.pwritev = full_once;
    atomic_store(&writes_left, _i);
    os_test_replace(&failing);
    for (int i = 0; i < 3; i++) {
        pthread_mutex_lock(&e->keeper.work);
        while ((err = compact_step(e)) == OK && e->writer.now.first < 6)
            continue;
        pthread_mutex_unlock(&e->keeper.work);
        ck_assert_int_ne(err, ERR_CORRUPT);
    }
    ck_assert(!atomic_load(&e->keeper.given_up));
    check_all();
    err = engine_compact(e);
    ck_assert(err == OK || err == ERR_NOSPACE); /* if it is only now */
    ck_assert(err == OK || engine_compact(e) == OK);
    check_all();
    os_test_replace(NULL);
    engine_close(e);
    kit_drop_index(&dir);
    open_again();
    check_all();
}
END_TEST

/* A deletion is not forgotten before what it deleted. */
START_TEST(what_was_deleted_stays_deleted)
{
    put_many(0, 300, 1);
    for (int i = 0; i < 300; i += 2) {
        char k[24];
        struct engine_txn *t = begin();
        str key = {k, (size_t)snprintf(k, sizeof k, "key%06d", i)};
        ck_assert_int_eq(engine_del(t, key), OK);
        model_del(&model, key);
        ck_assert_int_eq(kit_commit(t), OK);
    }
    for (int i = 0; i < 4; i++) {
        put_many(400, 500, i);
        ck_assert_int_eq(engine_compact(e), OK);
        engine_close(e);
        kit_drop_index(&dir);
        open_again();
        check_all();
    }
}
END_TEST

START_TEST(the_index_file_shrinks)
{
    struct stat st;
    char path[600];
    struct engine_txn *t;

    snprintf(path, sizeof path, "%s/index", dir.path);
    for (int i = 0; i < 30000; i += 1000) {
        t = begin();
        for (int k = i; k < i + 1000; k++) {
            char key[24];
            str ks = {key, (size_t)snprintf(key, sizeof key, "%08x", (unsigned)k * 2654435761u)};
            ck_assert_int_eq(engine_put(t, ks, STR("some value")), OK);
        }
        ck_assert_int_eq(kit_commit(t), OK);
        ck_assert_int_eq(engine_checkpoint(e), OK);
    }
    ck_assert_int_eq(stat(path, &st), 0);
    off_t before = st.st_size;
    t = begin();
    for (unsigned c = 0; c < 15; c++) {
        char prefix = "0123456789abcde"[c];
        ck_assert_int_eq(engine_del_prefix(t, (str){&prefix, 1}, NULL), OK);
    }
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert_int_eq(engine_compact(e), OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_msg(st.st_size < before / 2, "%ld of %ld", (long)st.st_size, (long)before);
    audit_engine(e);
    engine_close(e);
    ck_assert_uint_eq(open_again().txns, 0);
    audit_engine(e);
}
END_TEST

/* ---- a close -------------------------------------------------------------------------------- */

static void open_large(void)
{
    struct engine_options o = {.dir = dir.path,
                               .segment_bytes = MIB,
                               .checkpoint_bytes = 1024 * MIB,
                               .compact_bytes = 1024 * MIB};

    ck_assert_int_eq(engine_open(&e, &o, NULL, NULL), OK);
}

static str large_key(char out[400], unsigned i)
{
    memset(out, '.', 400);
    snprintf(out, 9, "%08x", i * 2654435761u);
    out[8] = '.';
    return (str){out, 400};
}

static size_t changed_pages(uint64_t *checkpoint)
{
    pthread_mutex_lock(&e->writer.mutex);
    size_t n = e->pages.memory_n;
    *checkpoint = e->index.txn;
    pthread_mutex_unlock(&e->writer.mutex);
    return n;
}

static void put_large(unsigned from, unsigned n)
{
    struct engine_txn *t = begin();
    char key[400];

    for (unsigned i = from; i < from + n; i++)
        ck_assert_int_eq(engine_put(t, large_key(key, i), STR("v")), OK);
    ck_assert_int_eq(kit_commit(t), OK);
}

static const struct {
    size_t cache, changed, not_yet, yet;
} enough_at[] = {
    {512 * MIB, 0, 15 * MIB,
     17 * MIB}, /* however much memory there is: the file would grow by it */
    {512 * MIB, 24 * MIB, 23 * MIB, 25 * MIB},
    {12 * MIB, 0, 5 * MIB, 7 * MIB},
};

START_TEST(changed_pages_are_written_when_they_are_many)
{
    struct engine_options o = {.dir = dir.path,
                               .cache_bytes = enough_at[_i].cache,
                               .changed_bytes = enough_at[_i].changed,
                               .checkpoint_bytes = 1024 * MIB,
                               .compact_bytes = 1024 * MIB};
    uint64_t first, now;
    unsigned keys = 0;

    engine_close(e);
    e = kit_open_as(&o, NULL);
    changed_pages(&first);
    for (; changed_pages(&now) * PAGE_BYTES < enough_at[_i].not_yet && now == first; keys += 50)
        put_large(keys, 50);
    ck_assert_uint_eq(now, first);
    for (; changed_pages(&now) * PAGE_BYTES < enough_at[_i].yet && now == first; keys += 50)
        put_large(keys, 50);
    while (now == first) {
        wait_tick();
        changed_pages(&now);
    }
    audit_engine(e);
}
END_TEST

/* Long keys: some ten to a page. Then all but a part of them go, and what is left lies everywhere. */
static void leave_holes(unsigned keys)
{
    struct engine_txn *t = NULL;
    char key[400];

    for (unsigned i = 0; i < keys; i++) {
        if (i % 1000 == 0)
            t = begin();
        ck_assert_int_eq(engine_put(t, large_key(key, i), STR("v")), OK);
        if (i % 1000 == 999)
            ck_assert_int_eq(kit_commit(t), OK);
    }
    ck_assert_int_eq(engine_checkpoint(e), OK);
    t = begin();
    for (const char *c = "02468ace1"; *c != 0; c++)
        ck_assert_int_eq(engine_del_prefix(t, (str){c, 1}, NULL), OK);
    ck_assert_int_eq(kit_commit(t), OK);
}

static size_t index_pages(void)
{
    struct stat st;
    char path[600];

    snprintf(path, sizeof path, "%s/index", dir.path);
    ck_assert_int_eq(stat(path, &st), 0);
    return (size_t)st.st_size / PAGE_BYTES;
}

static struct engine_stats stats(void)
{
    struct engine_stats s;

    engine_stats(e, &s);
    return s;
}

/* Whoever stops a server waits for it, and not for long: a close moves so many pages of a large index and
 * leaves the rest to the next. Each cuts the file by what it moved. */
START_TEST(a_close_shrinks_the_index_a_part_at_a_time)
{
    size_t before, now, closes = 0;
    struct engine_stats was, is;

    engine_close(e);
    open_large();
    leave_holes(60000);
    was = stats();
    ck_assert_uint_gt(was.pages, 2000);
    before = index_pages();
    for (;; before = now, was = is) {
        engine_close(e);
        now = index_pages();
        open_large();
        is = stats();
        ck_assert_uint_eq(is.keys, was.keys);
        audit_engine(e);
        /* 64 pages a transaction */
        ck_assert_uint_le(is.version - was.version, SHRINK_AT_CLOSE / 64 + 1);
        if (is.version == was.version)
            break;
        ck_assert_uint_lt(now, before - SHRINK_AT_CLOSE);
        closes++;
    }
    ck_assert_uint_ge(closes, 2);
    ck_assert_uint_lt(now, is.pages * 2);
}
END_TEST

/* Pages that are moved are looked at, and one may be damaged: then the index is put aside. */
static void put_named(const char *format, unsigned i, const char *value)
{
    char key[64];
    struct engine_txn *t = begin();

    snprintf(key, sizeof key, format, i);
    if (value != NULL)
        ck_assert_int_eq(engine_put(t, str_from(key), str_from(value)), OK);
    else
        ck_assert_int_eq(engine_del(t, str_from(key)), OK);
    ck_assert_int_eq(kit_commit(t), OK);
}

static unsigned files_with(const char *text)
{
    unsigned found = 0;
    DIR *d = opendir(dir.path);
    const char *name;
    size_t n;

    for (char *p; (p = next_file(d, &name, &n)) != NULL;) {
        found += memmem(p, n, text, strlen(text)) != NULL;
        free(p);
    }
    closedir(d);
    return found;
}

/* Deleted are keys between others, or a stretch of them, whose ends share pages with others, or all in a
 * place of their own; or one alone. */
START_TEST(a_new_index_knows_nothing_of_what_was_deleted)
{
    struct engine_options o = options();
    const char *kept = _i == 0 ? "shared/%05u/kept" : "%05u/kept";
    const char *secret = _i == 0   ? "shared/%05u/secret/and/long/enough/to/split/pages"
                         : _i == 1 ? "00300/secret/and/long/enough/to/split/pages/%05u"
                                   : "secret/%05u";
    for (unsigned i = 0; i < 600; i++)
        put_named(kept, i, "kept");
    unsigned deleted = _i == 3 ? 1 : 600;
    for (unsigned i = 0; i < deleted; i++)
        put_named(secret, i, "secret");
    ck_assert_int_eq(engine_checkpoint(e), OK);
    for (unsigned i = 0; i < deleted; i++)
        put_named(secret, i, NULL);
    ck_assert_uint_gt(files_with("secret"), 1);
    ck_assert_int_eq(engine_compact(e), OK);
    engine_close(e);
    o.new_index = true;
    e = kit_open_as(&o, NULL);
    for (int closed = 0; closed < 2; closed++) {
        audit_engine(e);
        ck_assert_uint_eq(stats().keys, 600);
        engine_close(e);
        ck_assert_uint_eq(files_with("secret"), 0);
        ck_assert_uint_gt(files_with("kept"), 0);
        open_again();
    }
    ck_assert_uint_eq(stats().keys, 600);
}
END_TEST

START_TEST(a_close_that_meets_damage)
{
    struct engine_stats was;

    engine_close(e);
    open_large();
    leave_holes(30000);
    ck_assert_int_eq(engine_checkpoint(e), OK);
    was = stats();
    for (size_t page = index_pages() / 2; page < index_pages(); page++) {
        char path[600], x = 'x';
        snprintf(path, sizeof path, "%s/index", dir.path);
        int fd = open(path, O_WRONLY);
        ck_assert_int_eq(pwrite(fd, &x, 1, (off_t)(page * PAGE_BYTES + 2000)), 1);
        close(fd);
    }
    engine_close(e);
    free(kit_read(&dir, "index.damaged", &(size_t){0}));
    open_large();
    ck_assert_uint_eq(stats().keys, was.keys);
    audit_engine(e);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/index");
    TCase *c = tcase_create("index");

    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, nothing_to_replay_after_a_clean_end);
    tcase_add_test(c, only_the_tail_is_replayed_after_a_crash);
    tcase_add_loop_test(c, sizes_within_what_is_sane, 0, (int)ARRAY_LEN(sizes));
    tcase_add_loop_test(c, enough_changes_for_a_checkpoint, 0, (int)ARRAY_LEN(changes));
    tcase_add_test(c, a_lost_index_is_made_anew);
    tcase_add_test(c, the_gaps_of_pages_are_blank);
    tcase_add_loop_test(c, a_damaged_index_is_made_anew, 0, 6);
    tcase_add_test(c, a_damaged_index_that_cannot_be_kept);
    tcase_add_test(c, a_damaged_index_that_cannot_be_removed);
    tcase_add_loop_test(c, a_damaged_page_is_noticed_and_made_anew, 0, 2);
    tcase_add_test(c, a_damaged_page_does_not_end_an_opening);
    tcase_add_test(c, an_old_index_is_caught_up);
    tcase_add_test(c, sharing_survives_compactions);
    tcase_add_test(c, a_reader_does_not_drive_compaction);
    tcase_add_loop_test(c, compaction_after_a_full_disk, 1, 40);
    tcase_add_test(c, an_index_of_another_log);
    tcase_add_test(c, a_cut_log_is_missed);
    tcase_add_test(c, a_lost_segment_is_missed);
    tcase_add_test(c, a_removed_directory_ends_the_writing);
    tcase_add_test(c, memory_does_not_grow_with_the_keys);
    tcase_add_loop_test(c, changed_pages_are_written_when_they_are_many, 0,
                        (int)ARRAY_LEN(enough_at));
    tcase_add_loop_test(c, memory_that_is_full_is_relieved, 0, 2);
    tcase_add_test(c, overwriting_does_not_fill_the_disk);
    tcase_add_test(c, compaction_keeps_what_lives);
    tcase_add_loop_test(c, a_new_index_knows_nothing_of_what_was_deleted, 0, 4);
    tcase_add_test(c, what_was_deleted_stays_deleted);
    tcase_add_test(c, the_index_file_shrinks);
    tcase_add_test(c, a_close_shrinks_the_index_a_part_at_a_time);
    tcase_add_test(c, a_close_that_meets_damage);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
