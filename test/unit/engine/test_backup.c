/*
 * Copies of a store: that they open and hold what they must, what is linked instead of copied, what
 * is refused; of a store that is written and compacted meanwhile; and with each system call
 * failing once, after which nothing looks like a finished copy.
 */
#include <errno.h>

#include "test/support/wait.h"
#include "test/unit/engine/audit.h"
#include "test/unit/engine/faults.h"

static struct kit_dir src, place; /* copies are made below `place` */
static struct kit_model model;
static struct err_detail detail;
static struct engine_backup_result result;

static char *at(const char *name)
{
    static char ring[8][512];
    static unsigned next;
    char *p = ring[next++ % ARRAY_LEN(ring)];

    snprintf(p, sizeof ring[0], "%s/%s", place.path, name);
    return p;
}

static char *in(const char *dir, const char *name)
{
    static char ring[8][600];
    static unsigned next;
    char *p = ring[next++ % ARRAY_LEN(ring)];

    snprintf(p, sizeof ring[0], "%s/%s", dir, name);
    return p;
}

static void remove_dir(const char *path)
{
    struct kit_dir d;

    snprintf(d.path, sizeof d.path, "%s", path);
    if (access(path, F_OK) == 0)
        kit_dir_remove(&d);
}

static void setup(void)
{
    log_set_level(LOG_ERROR + 1);
    kit_dir_make(&src);
    kit_dir_make(&place);
    model = (struct kit_model){.p = NULL};
}

static void teardown(void)
{
    os_test_replace(NULL);
    for (const char *name = "abcd"; *name != 0; name++)
        remove_dir(at((char[]){*name, 0}));
    kit_dir_remove(&place);
    kit_dir_remove(&src);
    free(model.p);
    model_free_bytes();
}

/* ---- words ----------------------------------------------------------------------------------- */

static void put(struct engine *e, int n)
{
    char key[32], value[300];
    str k = {key, (size_t)snprintf(key, sizeof key, "key/%05d", n)};
    str v = {value, 100 + (size_t)n % 200};

    memset(value, 'a' + n % 26, sizeof value);
    ck_assert_int_eq(kit_put(e, k, v), OK);
    model_put(&model, k, v);
}

static struct engine *filled(int n)
{
    struct engine *e = kit_open(src.path, 4096);

    for (int i = 0; i < n; i++)
        put(e, i);
    return e;
}

static enum err copy_since(const char *name, const char *since)
{
    const struct engine_backup b = {
        .dir = src.path, .dest = at(name), .since = since != NULL ? at(since) : NULL};

    detail.text[0] = 0;
    return engine_backup(&b, &result, &detail);
}

static void want_copy(const char *name, const char *since)
{
    enum err err = copy_since(name, since);

    ck_assert_msg(err == OK, "%s: %s", err_text(err), detail.text);
}

static void want_text(const char *part)
{
    ck_assert_msg(strstr(detail.text, part) != NULL, "\"%s\" has no \"%s\"", detail.text, part);
}

static void want_same(const char *name)
{
    struct engine_options o = {.dir = at(name), .segment_bytes = 4096};
    struct engine_recovery r;
    struct engine *e = kit_open_as(&o, &r);

    ck_assert_uint_eq(r.torn_bytes, 0);
    ck_assert(model_same_now(&model, e));
    engine_close(e);
}

static bool is_there(const char *name)
{
    return access(at(name), F_OK) == 0;
}

static unsigned mode_of(const char *path)
{
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static unsigned long inode_of(const char *dir, uint32_t number)
{
    char path[LOG_PATH_MAX];
    struct stat st;

    log_path(dir, number, path, sizeof path);
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_ino;
}

static uint32_t newest_of(const char *dir)
{
    struct names n = {.number = NULL};
    uint32_t newest;

    ck_assert_int_eq(names_list(dir, &n, &detail), OK);
    newest = n.n > 0 ? n.number[n.n - 1] : 0;
    free(n.number);
    return newest;
}

static void append(const char *dir, uint32_t number, const void *p, size_t n)
{
    char path[LOG_PATH_MAX];
    int fd;

    log_path(dir, number, path, sizeof path);
    fd = open(path, O_WRONLY | O_APPEND);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
    close(fd);
}

static void flip(const char *dir, uint32_t number, off_t off)
{
    char path[LOG_PATH_MAX], c;
    int fd;

    log_path(dir, number, path, sizeof path);
    fd = open(path, O_RDWR);
    ck_assert_int_eq(pread(fd, &c, 1, off), 1);
    c ^= 1;
    ck_assert_int_eq(pwrite(fd, &c, 1, off), 1);
    close(fd);
}

/* ---- what a copy is -------------------------------------------------------------------------- */

START_TEST(an_open_store_is_copied)
{
    struct engine *e = filled(100);
    struct engine_stats s;

    want_copy("a", NULL);
    engine_stats(e, &s);
    ck_assert_uint_eq(result.segments, s.segments);
    ck_assert_uint_gt(result.segments, 3);
    ck_assert_uint_eq(result.version, s.version);
    ck_assert_uint_eq(result.txns, 100);
    ck_assert_uint_eq(result.bytes_copied, s.log_bytes);
    ck_assert_uint_eq(result.bytes_linked, 0);
    ck_assert_uint_eq(mode_of(at("a")), 0700);
    ck_assert_uint_eq(mode_of(in(at("a"), "00000001.log")), 0600);
    want_same("a");
    put(e, 1000);
    engine_close(e);
    want_copy("b", NULL);
    want_same("b");
}
END_TEST

START_TEST(a_copy_of_a_copy_is_one)
{
    engine_close(filled(20));
    want_copy("a", NULL);
    const struct engine_backup b = {.dir = at("a"), .dest = at("b")};
    ck_assert_int_eq(engine_backup(&b, &result, &detail), OK);
    want_same("b");
}
END_TEST

START_TEST(a_directory_that_is_there_must_be_empty)
{
    engine_close(filled(10));
    ck_assert_int_eq(mkdir(at("a"), 0755), 0);
    want_copy("a", NULL);
    ck_assert_uint_eq(mode_of(at("a")), 0755);
    want_same("a");
    ck_assert_int_eq(copy_since("a", NULL), ERR_EXISTS);
    want_text("not empty: name another directory, or move away what is there");
    want_same("a");
    ck_assert_int_eq(copy_since("x/y", NULL), ERR_NOTFOUND);
    ck_assert_int_eq(copy_since("", NULL), ERR_EXISTS);
    const struct engine_backup nameless = {.dir = src.path, .dest = ""};
    ck_assert_int_eq(engine_backup(&nameless, &result, NULL), ERR_LIMIT);
}
END_TEST

START_TEST(no_store_no_copy)
{
    ck_assert_int_eq(copy_since("a", NULL), ERR_NOTFOUND);
    want_text("no store is there");
    const struct engine_backup b = {.dir = at("nowhere"), .dest = at("a")};
    ck_assert_int_eq(engine_backup(&b, &result, &detail), ERR_NOTFOUND);
    kit_write(&src, "00000001.log", "KINTO", 5);
    ck_assert_int_eq(copy_since("a", NULL), ERR_NOTFOUND);
    ck_assert(!is_there("a"));
}
END_TEST

START_TEST(other_files_go_with_it_when_they_are_there)
{
    const char *const extra[] = {"missing", "secret", NULL};
    const struct engine_backup b = {.dir = src.path, .dest = at("a"), .extra = extra};
    struct kit_dir a;
    size_t n;

    engine_close(filled(5));
    kit_write(&src, "secret", "abc\n", 4);
    ck_assert_int_eq(engine_backup(&b, &result, &detail), OK);
    snprintf(a.path, sizeof a.path, "%s", at("a"));
    char *text = kit_read(&a, "secret", &n);
    ck_assert_str_eq(text, "abc\n");
    free(text);
    ck_assert_uint_eq(mode_of(in(a.path, "secret")), 0600);
    ck_assert_int_eq(access(in(a.path, "missing"), F_OK), -1);
    want_same("a");
}
END_TEST

START_TEST(a_torn_end_is_left_out)
{
    engine_close(filled(30));
    append(src.path, newest_of(src.path), "\x01\x02\x03", 3);
    want_copy("a", NULL);
    want_same("a"); /* with no torn bytes */
}
END_TEST

START_TEST(a_segment_that_is_being_made_is_left_out)
{
    char name[32];

    engine_close(filled(30));
    snprintf(name, sizeof name, "%08x.log", newest_of(src.path) + 1);
    kit_write(&src, name, "KINTOLOG", (size_t)_i * 8);
    want_copy("a", NULL);
    want_same("a");
    ck_assert_int_eq(access(in(at("a"), name), F_OK), -1);
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------- */

static const struct {
    int behind; /* segments before the newest */
    off_t off;
    const char *says;
} damages[] = {
    {2, 10, "bad header at offset 0"},
    {2, 64 + 40, "bad frame at offset 64"},
    {1, 64 + 5, "bad frame at offset 64"},
    {0, 64 + 40, "bad frame before good ones at offset 64"},
};

START_TEST(damage_is_named_and_not_copied)
{
    struct engine *e = filled(60);
    uint32_t newest = newest_of(src.path);
    char name[32];

    while (newest == newest_of(src.path) || newest_of(src.path) % 3 != 0)
        put(e, 500 + (int)newest_of(src.path));
    for (int i = 0; i < 3; i++)
        put(e, 600 + i);
    engine_close(e);
    newest = newest_of(src.path) - (uint32_t)damages[_i].behind;
    flip(src.path, newest, damages[_i].off);
    ck_assert_int_eq(copy_since("a", NULL), ERR_CORRUPT);
    want_text(damages[_i].says);
    snprintf(name, sizeof name, "/%08x.log", newest);
    want_text(in(src.path, name + 1));
    ck_assert(!is_there("a"));
}
END_TEST

START_TEST(a_missing_segment_is_damage)
{
    engine_close(filled(100));
    ck_assert_int_eq(unlink(in(src.path, _i == 0 ? "00000001.log" : "00000003.log")), 0);
    ck_assert_int_eq(copy_since("a", NULL), ERR_CORRUPT);
    want_text(_i == 0 ? "00000001.log: segment is missing" : "00000003.log: segment is missing");
    ck_assert(!is_there("a"));
}
END_TEST

START_TEST(a_compacted_store_is_whole)
{
    struct engine *e = filled(100);

    ck_assert_int_eq(engine_compact(e), OK);
    ck_assert_int_eq(access(in(src.path, "00000001.log"), F_OK), -1);
    put(e, 1001);
    want_copy("a", NULL);
    engine_close(e);
    want_same("a");
}
END_TEST

/* What a power cut leaves of a copy: some names, and some of the others. */
START_TEST(an_unfinished_copy_is_no_store)
{
    struct engine_options o = {.dir = at("a")};
    struct engine *e;

    engine_close(filled(100));
    want_copy("a", NULL);
    const char *name = _i == 0 ? "00000001.log" : "00000002.log";
    ck_assert_int_eq(rename(in(at("a"), name), in(at("a"), "x" PARTIAL_SUFFIX)), 0);
    ck_assert_int_eq(engine_open(&e, &o, NULL, &detail), ERR_CORRUPT);
    want_text("a backup that was not finished");
    ck_assert_int_eq(copy_since("b", "a"), ERR_CORRUPT);
    const struct engine_backup b = {.dir = at("a"), .dest = at("b")};
    ck_assert_int_eq(engine_backup(&b, &result, &detail), ERR_CORRUPT);
    ck_assert(!is_there("b"));
}
END_TEST

/* ---- since ----------------------------------------------------------------------------------- */

START_TEST(what_an_earlier_copy_has_is_linked)
{
    struct engine *e = filled(100);
    uint64_t all;
    uint32_t newest;

    want_copy("a", NULL);
    all = result.bytes_copied;
    newest = newest_of(at("a"));
    for (int i = 200; i < 230; i++)
        put(e, i);
    want_copy("b", "a");
    engine_close(e);
    ck_assert_uint_eq(result.txns, 130);
    for (uint32_t n = 1; n < newest; n++)
        ck_assert_uint_eq(inode_of(at("a"), n), inode_of(at("b"), n));
    ck_assert_uint_ne(inode_of(at("a"), newest), inode_of(at("b"), newest));
    ck_assert_uint_lt(result.bytes_copied, all / 2);
    ck_assert_uint_gt(result.bytes_linked, all / 2);
    want_same("b");
    want_copy("c", "b");
    want_same("c");
}
END_TEST

/* The newest of the copy is its own file: whoever opens it appends. */
START_TEST(copies_do_not_share_what_grows)
{
    struct engine *e = filled(100);

    want_copy("a", NULL);
    want_copy("b", "a");
    engine_close(e);
    ck_assert_uint_ne(inode_of(at("a"), newest_of(at("a"))), inode_of(at("b"), newest_of(at("b"))));
    e = kit_open(at("b"), 4096);
    ck_assert_int_eq(kit_put(e, STR("more"), STR("here")), OK);
    engine_close(e);
    want_same("a");
}
END_TEST

START_TEST(copies_of_another_store_are_refused)
{
    struct kit_dir other;
    struct engine *e = filled(10);

    engine_close(e);
    want_copy("a", NULL);
    kit_dir_make(&other);
    engine_close(kit_open(other.path, 4096));
    const struct engine_backup b = {.dir = other.path, .dest = at("b"), .since = at("a")};
    ck_assert_int_eq(engine_backup(&b, &result, &detail), ERR_CONFLICT);
    want_text("a copy of another store");
    kit_dir_remove(&other);
    ck_assert_int_eq(copy_since("b", "nowhere"), ERR_NOTFOUND);
    ck_assert_int_eq(mkdir(at("c"), 0700), 0);
    ck_assert_int_eq(copy_since("b", "c"), ERR_NOTFOUND);
    want_text("no store is there");
    ck_assert(!is_there("b"));
}
END_TEST

START_TEST(damage_in_the_earlier_copy_is_found)
{
    engine_close(filled(100));
    want_copy("a", NULL);
    flip(at("a"), 2, 200);
    ck_assert_int_eq(copy_since("b", "a"), ERR_CORRUPT);
    want_text(in(at("a"), "00000002.log"));
    ck_assert(!is_there("b"));
    want_copy("b", NULL);
    want_same("b");
}
END_TEST

static void remove_newest(const char *dir)
{
    char path[LOG_PATH_MAX];

    log_path(dir, newest_of(dir), path, sizeof path);
    ck_assert_int_eq(unlink(path), 0);
}

/* _i = 0: finished in the earlier copy, the newest in this one; 1: the other way round. */
START_TEST(what_is_finished_in_one_only_is_copied)
{
    uint32_t last;

    engine_close(filled(100));
    want_copy("a", NULL);
    remove_newest(_i == 0 ? src.path : at("a"));
    last = newest_of(_i == 0 ? src.path : at("a"));
    want_copy("b", "a");
    ck_assert_uint_ne(inode_of(at("a"), last), inode_of(at("b"), last));
    ck_assert_uint_eq(inode_of(at("a"), last - 1), inode_of(at("b"), last - 1));
}
END_TEST

/* A copy that was opened and went its own way has segments with equal headers and other frames. Of
 * another size they are copied; of the same, it is found when they are read. */
START_TEST(a_copy_that_went_its_own_way_is_not_taken)
{
    struct engine *e = filled(3), *other;
    char key[32], value[300];

    want_copy("a", NULL);
    other = kit_open(at("a"), 4096);
    memset(value, 'x', sizeof value);
    for (int i = 100; i < 140; i++) {
        str k = {key, (size_t)snprintf(key, sizeof key, "kex/%05d", i)};
        ck_assert_int_eq(kit_put(other, k, (str){value, 100 + (size_t)(i + _i) % 200}), OK);
        put(e, i);
    }
    engine_close(other);
    engine_close(e);
    if (_i == 1) {
        want_copy("b", "a");
        ck_assert_uint_eq(result.bytes_linked, 0);
        want_same("b");
        return;
    }
    ck_assert_int_eq(copy_since("b", "a"), ERR_CORRUPT);
    want_text("header does not follow");
    ck_assert(!is_there("b"));
}
END_TEST

static int no_links(const char *from, const char *to)
{
    (void)from, (void)to;
    errno = EXDEV;
    return -1;
}

START_TEST(without_links_all_is_copied)
{
    struct os_ops ops = os_kernel;

    engine_close(filled(100));
    want_copy("a", NULL);
    ops.link = no_links;
    os_test_replace(&ops);
    want_copy("b", "a");
    os_test_replace(NULL);
    ck_assert_uint_eq(result.bytes_linked, 0);
    ck_assert_uint_ne(inode_of(at("a"), 1), inode_of(at("b"), 1));
    want_same("b");
}
END_TEST

/* ---- while it changes ------------------------------------------------------------------------ */

static struct engine *running;
static unsigned opened;

/* Between the listing and the first opening, all that was listed goes. */
static int open_late(const char *path, int flags, unsigned mode)
{
    if (strstr(path, src.path) != NULL && flags == O_RDONLY && opened++ == 0)
        ck_assert_int_eq(engine_compact(running), OK);
    return os_kernel.open(path, flags, mode);
}

START_TEST(segments_that_vanish_are_looked_for_again)
{
    struct os_ops ops = os_kernel;

    running = filled(100);
    opened = 0;
    ops.open = open_late;
    os_test_replace(&ops);
    want_copy("a", NULL);
    os_test_replace(NULL);
    engine_close(running);
    want_same("a");
}
END_TEST

static struct {
    void (*each)(void *, const char *);
    void *arg;
    int left;
} lister;

static void skip_newest(void *arg, const char *name)
{
    char newest[32];

    (void)arg;
    snprintf(newest, sizeof newest, "%08x.log", (unsigned)lister.left);
    if (strcmp(name, newest) != 0)
        lister.each(lister.arg, name);
}

/* A listing may miss what appears while it runs. */
static int list_badly(const char *path, void (*each)(void *, const char *), void *arg)
{
    if (lister.left == 0)
        return os_kernel.list_dir(path, each, arg);
    lister.each = each;
    lister.arg = arg;
    int r = os_kernel.list_dir(path, skip_newest, NULL);
    lister.left = 0;
    return r;
}

START_TEST(what_the_first_listing_missed_is_found)
{
    struct os_ops ops = os_kernel;

    engine_close(filled(100));
    lister.left = (int)newest_of(src.path) - _i;
    ops.list_dir = list_badly;
    os_test_replace(&ops);
    want_copy("a", NULL);
    os_test_replace(NULL);
    want_same("a");
}
END_TEST

static off_t cut_to;
static char cut_path[LOG_PATH_MAX];

/* The first sync finds the last frame cut off, as a write that failed is. */
static int cut_then_sync(int fd)
{
    if (cut_to > 0)
        ck_assert_int_eq(truncate(cut_path, cut_to), 0);
    cut_to = 0;
    return os_kernel.fdatasync(fd);
}

START_TEST(a_frame_that_was_withdrawn_is_not_in_the_copy)
{
    struct os_ops ops = os_kernel;
    struct engine *e = filled(10);

    log_path(src.path, newest_of(src.path), cut_path, sizeof cut_path);
    cut_to = (off_t)e->log.end;
    ck_assert_int_eq(kit_put(e, STR("not"), STR("for ever")), OK);
    engine_close(e);
    ops.fdatasync = cut_then_sync;
    os_test_replace(&ops);
    want_copy("a", NULL);
    os_test_replace(NULL);
    want_same("a");
}
END_TEST

#define WRITERS 4

struct load {
    struct engine *e;
    _Atomic bool stop;
    _Atomic enum err failed; /* OK: nothing did */
    _Atomic uint32_t acked[WRITERS];
};
struct load_thread {
    struct load *load;
    int id;
    pthread_t thread;
};

static str count_key(char buf[32], const char *what, int id)
{
    return (str){buf, (size_t)snprintf(buf, 32, "%s/%d", what, id)};
}

/* Counts on under two keys, and fills the log with what is soon of no use. */
static enum err count_on(struct load_thread *t, uint32_t n)
{
    char a[32], b[32], c[32], filler[400];
    str number = {(char *)&n, sizeof n};
    struct engine_txn *txn;
    enum err err = engine_txn_begin(t->load->e, &txn);

    if (err != OK)
        return err;
    memset(filler, (int)n, sizeof filler);
    err = engine_put(txn, count_key(a, "a", t->id), number);
    if (err == OK)
        err = engine_put(txn, count_key(b, "b", t->id), number);
    if (err == OK)
        err = engine_put(txn, count_key(c, "filler", t->id), (str){filler, sizeof filler});
    if (err == OK)
        return kit_commit(txn);
    engine_txn_abort(txn);
    return err;
}

static void *count_for_ever(void *arg)
{
    struct load_thread *t = arg;

    for (uint32_t n = 1; !atomic_load(&t->load->stop); n++) {
        enum err err = count_on(t, n);
        if (err == ERR_AGAIN)
            n--;
        else if (err != OK)
            atomic_store(&t->load->failed, err);
        else
            atomic_store(&t->load->acked[t->id], n);
    }
    return NULL;
}

static uint32_t count_in(const struct engine_view *v, const char *what, int id)
{
    char buf[32];
    uint32_t n = 0;
    str value;

    if (engine_get(v, count_key(buf, what, id), &value) == OK && value.n == sizeof n)
        memcpy(&n, value.p, sizeof n);
    return n;
}

static void check_counts(const char *name, const uint32_t *least)
{
    struct engine *e = kit_open(at(name), 4096);
    struct engine_reader *r;
    const struct engine_view *v;

    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    v = engine_snap_begin(r);
    ck_assert_uint_ge(engine_view_version(v), result.version);
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_uint_ge(count_in(v, "a", i), least[i]);
        ck_assert_uint_eq(count_in(v, "a", i), count_in(v, "b", i));
    }
    engine_snap_end(r);
    engine_reader_free(r);
    engine_close(e);
}

static void wait_for_compaction(struct load *l)
{
    uint32_t number = newest_of(src.path) + 1;
    char path[LOG_PATH_MAX];

    log_path(src.path, number, path, sizeof path);
    while (newest_of(src.path) <= number || access(path, F_OK) == 0) {
        ck_assert_int_eq(atomic_load(&l->failed), OK);
        wait_tick();
    }
}

START_TEST(copies_under_writers_and_compaction)
{
    struct engine_options o = {.dir = src.path,
                               .segment_bytes = 32 * KIB, /* a mapping each: there are 65,530 */
                               .max_txn_bytes = 64 * KIB,
                               .compact_bytes = 16 * KIB,
                               .checkpoint_bytes = 32 * KIB};
    struct load l = {.stop = false};
    struct load_thread t[WRITERS];
    uint32_t least[WRITERS];

    ck_assert_int_eq(engine_open(&l.e, &o, NULL, &detail), OK);
    for (int i = 0; i < WRITERS; i++) {
        t[i] = (struct load_thread){.load = &l, .id = i};
        ck_assert_int_eq(pthread_create(&t[i].thread, NULL, count_for_ever, &t[i]), 0);
    }
    for (int round = 0; round < 20; round++) {
        wait_for_compaction(&l);
        for (int i = 0; i < WRITERS; i++)
            least[i] = atomic_load(&l.acked[i]);
        want_copy(round % 2 ? "b" : "a", round == 0 ? NULL : round % 2 ? "a" : "b");
        check_counts(round % 2 ? "b" : "a", least);
        remove_dir(at(round % 2 ? "a" : "b"));
    }
    atomic_store(&l.stop, true);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(t[i].thread, NULL);
    engine_close(l.e);
    ck_assert_int_eq(atomic_load(&l.failed), OK);
}
END_TEST

/* ---- failures -------------------------------------------------------------------------------- */

static int open_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* _i = 0: all is copied; 1: most is linked. ENOSPC, so that it is the error that is told. */
START_TEST(each_call_fails_once)
{
    const char *const extra[] = {"secret", NULL};
    struct engine_backup b = {.dir = src.path, .dest = at("b"), .extra = extra};
    int fds, quiet_failures = 0;
    enum err err = ERR_IO;
    char since[512];

    engine_close(filled(60));
    kit_write(&src, "secret", "abc\n", 4);
    want_copy("a", NULL);
    snprintf(since, sizeof since, "%s", at("a"));
    b.since = _i == 1 ? since : NULL;
    fds = open_fds();
    for (int n = 1; n == 1 || atomic_load(&faults.failed) > 0; n++) {
        ck_assert_int_lt(n, 2000);
        b.dest = at("b");
        faults_plan(~0u, n, false, ENOSPC);
        faults_install();
        detail.text[0] = 0;
        err = engine_backup(&b, &result, &detail);
        os_test_replace(NULL);
        ck_assert_int_eq(open_fds(), fds);
        if (err == OK) { /* the close of what was only read, or of the lock */
            quiet_failures += atomic_load(&faults.failed) > 0;
            want_same("b");
        } else {
            ck_assert_msg(!is_there("b"), "call %d: %s", n, detail.text);
            ck_assert(err == ERR_NOSPACE || err == ERR_IO);
            ck_assert(detail.text[0] == '/' && strstr(detail.text, strerror(ENOSPC)) != NULL);
        }
        remove_dir(at("b"));
    }
    ck_assert_int_gt(quiet_failures, 0);
    ck_assert_int_eq(err, OK);
    want_same("a");
}
END_TEST

/* As when the directory is held open, and filled by its number. */
START_TEST(messages_call_it_by_the_name_that_was_given)
{
    const char *const extra[] = {"secret", NULL};
    struct engine_backup b = {.dir = src.path, .dest_name = "the copy", .extra = extra};
    bool named = false;

    engine_close(filled(60));
    kit_write(&src, "secret", "abc\n", 4);
    for (int n = 1; n == 1 || atomic_load(&faults.failed) > 0; n++) {
        b.dest = at("b");
        ck_assert_int_eq(mkdir(b.dest, 0700), 0);
        faults_plan(~0u, n, false, ENOSPC);
        faults_install();
        detail.text[0] = 0;
        (void)!engine_backup(&b, &result, &detail);
        os_test_replace(NULL);
        ck_assert_ptr_null(strstr(detail.text, at("b")));
        named = named || strstr(detail.text, "the copy/LOCK: ") != NULL;
        remove_dir(at("b"));
    }
    ck_assert(named);
    ck_assert_int_eq(mkdir(b.dest, 0700), 0);
    ck_assert_int_eq(mkdir(at("b/x"), 0700), 0);
    ck_assert_int_eq(engine_backup(&b, &result, &detail), ERR_EXISTS);
    want_text("the copy: is not empty");
    ck_assert_int_eq(rmdir(at("b/x")), 0);
}
END_TEST

/* It has segments, and opens. */
static bool looks_finished(const char *name)
{
    struct engine_options o = {.dir = at(name)};
    struct names names = {.number = NULL};
    struct engine *e;
    enum err err = is_there(name) ? names_list(at(name), &names, &detail) : ERR_NOTFOUND;

    if (err == OK && names.n > 0)
        err = engine_open(&e, &o, NULL, &detail);
    if (err == OK && names.n > 0)
        engine_close(e);
    free(names.number);
    return err == OK && names.n > 0;
}

/* From the n-th on no call works, not even those that clean up. */
START_TEST(what_cannot_be_cleaned_up_is_no_store)
{
    enum err err = ERR_IO;
    int whole = 0;

    engine_close(filled(60));
    for (int n = 1; err != OK; n++) {
        faults_plan(FAULT_BIT(RENAME) | FAULT_BIT(SYNC_DIR) | FAULT_BIT(UNLINK), n, true, EIO);
        faults_install();
        err = copy_since("b", NULL);
        os_test_replace(NULL);
        /* All names are there, only their sync failed: then it is the whole. */
        if (err != OK && looks_finished("b")) {
            want_same("b");
            whole++;
        }
        remove_dir(at("b"));
    }
    ck_assert_int_eq(whole, 1);
}
END_TEST

static int syncs;

/* The one that ends it. */
static int second_sync_dir(const char *path)
{
    if (strcmp(path, at("b")) != 0 || ++syncs != 2)
        return os_kernel.sync_dir(path);
    errno = EIO;
    return -1;
}

/* Complete, but that could not be made sure; and then the removal stops in the middle. */
START_TEST(what_is_half_removed_is_no_store)
{
    struct os_ops ops;
    unsigned half = 0;

    engine_close(filled(60));
    faults_install();
    ops = *os();
    os_test_replace(NULL);
    ops.sync_dir = second_sync_dir;
    for (int n = 2; is_there("b") || n == 2; n++) {
        remove_dir(at("b"));
        faults_plan(FAULT_BIT(UNLINK), n, true, EIO);
        syncs = 0;
        os_test_replace(&ops);
        ck_assert_int_eq(copy_since("b", NULL), ERR_IO);
        os_test_replace(NULL);
        ck_assert(!looks_finished("b"));
        half += is_there("b");
    }
    ck_assert_uint_gt(half, 2);
}
END_TEST

START_TEST(each_allocation_fails_once)
{
    enum err err = ERR_NOMEM;

    engine_close(filled(60));
    for (unsigned n = 1; err != OK; n++) {
        ck_assert_uint_lt(n, 100);
        engine_test_fail_alloc(n);
        err = copy_since("a", NULL);
        engine_test_fail_alloc(0);
        ck_assert(err == OK || err == ERR_NOMEM);
        ck_assert(err == OK || !is_there("a"));
    }
    want_same("a");
}
END_TEST

static uint64_t seen_done, seen_total;

static bool note_progress(void *arg, uint64_t done, uint64_t total)
{
    ck_assert_uint_ge(done, seen_done);
    ck_assert_uint_le(done, total);
    seen_done = done;
    seen_total = total;
    return --*(int *)arg != 0;
}

START_TEST(progress_is_told_and_may_stop_it)
{
    int left = 0;
    const struct engine_backup b = {
        .dir = src.path, .dest = at("a"), .progress = note_progress, .arg = &left};

    engine_close(filled(100));
    left = 3;
    seen_done = 0;
    ck_assert_int_eq(engine_backup(&b, &result, &detail), ERR_CLOSED);
    ck_assert_int_eq(left, 0);
    ck_assert(!is_there("a"));
    left = -1;
    seen_done = 0;
    ck_assert_int_eq(engine_backup(&b, &result, &detail), OK);
    ck_assert_uint_eq(seen_done, seen_total);
    ck_assert_uint_eq(seen_done, result.bytes_copied);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("engine/backup");
    TCase *t = tcase_create("backup");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, an_open_store_is_copied);
    tcase_add_test(t, a_copy_of_a_copy_is_one);
    tcase_add_test(t, a_directory_that_is_there_must_be_empty);
    tcase_add_test(t, no_store_no_copy);
    tcase_add_test(t, other_files_go_with_it_when_they_are_there);
    tcase_add_test(t, a_torn_end_is_left_out);
    tcase_add_loop_test(t, a_segment_that_is_being_made_is_left_out, 0, 2);
    tcase_add_loop_test(t, damage_is_named_and_not_copied, 0, ARRAY_LEN(damages));
    tcase_add_loop_test(t, a_missing_segment_is_damage, 0, 2);
    tcase_add_test(t, a_compacted_store_is_whole);
    tcase_add_loop_test(t, an_unfinished_copy_is_no_store, 0, 2);
    tcase_add_test(t, what_an_earlier_copy_has_is_linked);
    tcase_add_test(t, copies_do_not_share_what_grows);
    tcase_add_test(t, copies_of_another_store_are_refused);
    tcase_add_test(t, damage_in_the_earlier_copy_is_found);
    tcase_add_loop_test(t, what_is_finished_in_one_only_is_copied, 0, 2);
    tcase_add_loop_test(t, a_copy_that_went_its_own_way_is_not_taken, 0, 2);
    tcase_add_test(t, without_links_all_is_copied);
    tcase_add_test(t, segments_that_vanish_are_looked_for_again);
    tcase_add_loop_test(t, what_the_first_listing_missed_is_found, 0, 3);
    tcase_add_test(t, a_frame_that_was_withdrawn_is_not_in_the_copy);
    tcase_add_test(t, copies_under_writers_and_compaction);
    tcase_add_loop_test(t, each_call_fails_once, 0, 2);
    tcase_add_test(t, messages_call_it_by_the_name_that_was_given);
    tcase_add_test(t, what_cannot_be_cleaned_up_is_no_store);
    tcase_add_test(t, what_is_half_removed_is_no_store);
    tcase_add_test(t, each_allocation_fails_once);
    tcase_add_test(t, progress_is_told_and_may_stop_it);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
