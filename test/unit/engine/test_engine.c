/*
 * What engine.h promises, one promise a test. Each runs on files (_i == 0) and in memory (_i == 1).
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "test/unit/engine/audit.h"

static struct kit_dir dir;
static struct engine *e;

static void setup_with(bool files, uint64_t segment_bytes)
{
    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    e = kit_open(files ? dir.path : NULL, segment_bytes);
}

static void teardown(void)
{
    engine_close(e);
    kit_dir_remove(&dir);
}

static bool has(const struct engine_view *v, const char *key, const char *value)
{
    str got;
    enum err err = engine_get(v, str_from(key), &got);

    if (value == NULL)
        return err == ERR_NOTFOUND;
    return err == OK && str_eq(got, str_from(value));
}

static bool has_now(const char *key, const char *value)
{
    struct engine_reader *r;
    bool yes;

    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    yes = has(engine_snap_begin(r), key, value);
    engine_snap_end(r);
    engine_reader_free(r);
    return yes;
}

static struct engine_stats stats_now(void)
{
    struct engine_stats s;

    engine_stats(e, &s);
    return s;
}

static str zeros(size_t n) /* n bytes; the same memory each time */
{
    static char *p;
    static size_t cap;

    if (n > cap) {
        p = realloc(p, n);
        ck_assert_ptr_nonnull(p);
        memset(p, 'z', n);
        cap = n;
    }
    return (str){p != NULL ? p : "", n};
}

/* ---- values and keys ------------------------------------------------------------------------- */

START_TEST(put_and_get)
{
    setup_with(_i == 0, 0);
    ck_assert_int_eq(kit_put(e, STR("k"), STR("v")), OK);
    ck_assert_int_eq(kit_put(e, STR("empty"), STR("")), OK);
    ck_assert(has_now("k", "v"));
    ck_assert(has_now("empty", ""));
    ck_assert(has_now("kk", NULL));
    ck_assert(has_now("", NULL));
    ck_assert_int_eq(kit_put(e, STR("k"), STR("another and longer value, not kept in the page")),
                     OK);
    ck_assert(has_now("k", "another and longer value, not kept in the page"));
    ck_assert_uint_eq(stats_now().keys, 2);
    teardown();
}
END_TEST

/* Around the length where values move out of the page, and where varints grow. */
START_TEST(value_lengths)
{
    static const size_t lengths[] = {0, 1, 31, 32, 33, 127, 128, 4095, 4096, 16383, 16384, 300000};
    struct engine_reader *r;

    setup_with(_i == 0, 64 * KIB);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char key[16];
        str k = {key, (size_t)snprintf(key, sizeof key, "%zu", lengths[i])};
        ck_assert_int_eq(kit_put(e, k, zeros(lengths[i])), OK);
    }
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    const struct engine_view *v = engine_snap_begin(r);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char key[16];
        str k = {key, (size_t)snprintf(key, sizeof key, "%zu", lengths[i])}, got;
        ck_assert_int_eq(engine_get(v, k, &got), OK);
        ck_assert(str_eq(got, zeros(lengths[i])));
    }
    engine_snap_end(r);
    engine_reader_free(r);
    teardown();
}
END_TEST

START_TEST(key_limits)
{
    struct engine_txn *t;

    setup_with(_i == 0, 0);
    ck_assert_int_eq(kit_put(e, zeros(ENGINE_MAX_KEY_BYTES), STR("long")), OK);
    ck_assert_int_eq(kit_put(e, zeros(1), STR("short")), OK);
    ck_assert_int_eq(kit_put(e, zeros(ENGINE_MAX_KEY_BYTES + 1), STR("")), ERR_LIMIT);
    ck_assert_int_eq(kit_put(e, STR(""), STR("")), ERR_LIMIT);
    t = kit_begin(e);
    ck_assert_int_eq(engine_put(t, STR("a"), STR("b")), OK);
    ck_assert_int_eq(engine_link(t, STR("")), ERR_LIMIT);
    /* from now on the transaction can only be aborted; a commit says why */
    ck_assert_int_eq(engine_put(t, STR("a"), STR("b")), ERR_LIMIT);
    ck_assert_int_eq(kit_commit(t), ERR_LIMIT);
    t = kit_begin(e);
    ck_assert_int_eq(engine_del_prefix(t, STR(""), NULL), ERR_LIMIT);
    engine_txn_abort(t);
    ck_assert_uint_eq(stats_now().keys, 2);
    ck_assert(has_now("a", NULL));
    teardown();
}
END_TEST

START_TEST(value_and_frame_limits)
{
    struct engine_options o = {.dir = _i == 0 ? "" : NULL, .max_txn_bytes = 100000};
    struct engine_txn *t;

    setup_with(false, 0);
    engine_close(e);
    o.dir = _i == 0 ? dir.path : NULL;
    ck_assert_int_eq(engine_open(&e, &o, NULL, NULL), OK);
    ck_assert_int_eq(kit_put(e, STR("k"), zeros(99000)), OK);
    ck_assert_int_eq(kit_put(e, STR("k"), zeros(101000)), ERR_LIMIT);
    t = kit_begin(e);
    ck_assert_int_eq(engine_put(t, STR("a"), zeros(60000)), OK);
    ck_assert_int_eq(engine_put(t, STR("b"), zeros(60000)), ERR_LIMIT);
    engine_txn_abort(t);
    ck_assert_uint_eq(stats_now().keys, 1);
    /* 64 MiB is the most; one byte more is refused before it is looked at */
    ck_assert_int_eq(kit_put(e, STR("k"), (str){"", ENGINE_MAX_VALUE_BYTES + 1}), ERR_LIMIT);
    teardown();
}
END_TEST

START_TEST(largest_value)
{
    struct engine_reader *r;
    str got;

    setup_with(_i == 0, 0);
    ck_assert_int_eq(kit_put(e, STR("k"), zeros(ENGINE_MAX_VALUE_BYTES)), OK);
    ck_assert_int_eq(kit_put(e, STR("l"), zeros(100)), OK);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    ck_assert_int_eq(engine_get(engine_snap_begin(r), STR("k"), &got), OK);
    ck_assert(str_eq(got, zeros(ENGINE_MAX_VALUE_BYTES)));
    engine_snap_end(r);
    engine_reader_free(r);
    if (_i == 0) { /* a segment that a frame outgrew is found whole again */
        engine_close(e);
        e = kit_open(dir.path, 0);
        ck_assert_uint_eq(stats_now().keys, 2);
        ck_assert_uint_eq(stats_now().segments, 2);
    }
    teardown();
}
END_TEST

START_TEST(keys_are_bytes)
{
    static const char *const keys[] = {"\x00", "\x00\x00", "\x01", "a",    "a\x00", "a\x00\x01",
                                       "aa",   "b",        "\x7f", "\x80", "\xff",  "\xff\xff"};
    static const size_t lengths[] = {1, 2, 1, 1, 2, 3, 2, 1, 1, 1, 1, 2};
    struct engine_cursor c;
    struct engine_reader *r;
    size_t i;

    setup_with(_i == 0, 0);
    for (i = ARRAY_LEN(keys); i-- > 0;)
        ck_assert_int_eq(kit_put(e, (str){keys[i], lengths[i]}, STR("v")), OK);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    engine_cursor_init(&c, engine_snap_begin(r), STR(""));
    i = 0;
    for (bool ok = engine_cursor_first(&c); ok; ok = engine_cursor_next(&c), i++)
        ck_assert(str_eq(engine_cursor_key(&c), (str){keys[i], lengths[i]}));
    ck_assert_uint_eq(i, ARRAY_LEN(keys));
    engine_snap_end(r);
    engine_reader_free(r);
    teardown();
}
END_TEST

START_TEST(prefix_without_successor)
{
    struct engine_cursor c;
    struct engine_reader *r;

    setup_with(_i == 0, 0);
    ck_assert_int_eq(kit_put(e, STR("\xff"), STR("1")), OK);
    ck_assert_int_eq(kit_put(e, STR("\xff\xff\xff"), STR("2")), OK);
    ck_assert_int_eq(kit_put(e, STR("\xfe\xff"), STR("3")), OK);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    const struct engine_view *v = engine_snap_begin(r);
    engine_cursor_init(&c, v, STR("\xff\xff"));
    ck_assert(engine_cursor_last(&c));
    ck_assert_str_is(engine_cursor_key(&c), "\xff\xff\xff");
    ck_assert(!engine_cursor_next(&c));
    ck_assert(!engine_cursor_next(&c)); /* nowhere stays nowhere */
    engine_cursor_init(&c, v, STR("\xfe\xff"));
    ck_assert(engine_cursor_last(&c));
    ck_assert_str_is(engine_cursor_key(&c), "\xfe\xff");
    ck_assert(!engine_cursor_prev(&c));
    engine_cursor_init(&c, v, STR("\xff\xff\xff\xff"));
    ck_assert(!engine_cursor_first(&c));
    ck_assert(!engine_cursor_last(&c));
    engine_snap_end(r);
    engine_reader_free(r);
    teardown();
}
END_TEST

/* ---- transactions ---------------------------------------------------------------------------- */

START_TEST(own_changes_are_seen)
{
    struct engine_txn *t;
    const struct engine_view *v;

    setup_with(_i == 0, 0);
    ck_assert_int_eq(kit_put(e, STR("old"), zeros(100)), OK);
    t = kit_begin(e);
    v = engine_txn_view(t);
    ck_assert_uint_eq(engine_view_version(v), 1);
    ck_assert_int_eq(engine_put(t, STR("new"), STR("a value that lies in the frame only")), OK);
    ck_assert(has(v, "new", "a value that lies in the frame only"));
    ck_assert_int_eq(engine_del(t, STR("old")), OK);
    ck_assert(has(v, "old", NULL));
    ck_assert(has_now("new", NULL));
    ck_assert(has_now("old",
                      "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
                      "zzzzzzzzzzzzzzzzzzzzzzzzzzz"));
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert(has_now("new", "a value that lies in the frame only"));
    ck_assert(has_now("old", NULL));
    teardown();
}
END_TEST

START_TEST(abort_leaves_nothing)
{
    struct engine_txn *t;
    struct engine_stats before, after;

    setup_with(_i == 0, 0);
    ck_assert_int_eq(kit_put(e, STR("k"), zeros(50)), OK);
    before = stats_now();
    for (int i = 0; i < 100; i++) {
        t = kit_begin(e);
        ck_assert_int_eq(engine_put(t, STR("k"), zeros(300000)), OK);
        ck_assert_int_eq(engine_put(t, STR("l"), zeros(60)), OK);
        ck_assert_int_eq(engine_del_prefix(t, STR("k"), NULL), OK);
        engine_txn_abort(t);
    }
    audit_engine(e);
    ck_assert_int_eq(kit_put(e, STR("m"), STR("")), OK);
    after = stats_now();
    ck_assert_uint_eq(after.version, before.version + 1);
    ck_assert_uint_lt(after.log_bytes, before.log_bytes + 100);
    ck_assert_uint_le(after.free_pages, 8);
    ck_assert(has_now("l", NULL));
    teardown();
}
END_TEST

static uint64_t mark_now(void)
{
    struct engine_reader *r;
    uint64_t mark;

    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    mark = engine_view_mark(engine_snap_begin(r));
    engine_snap_end(r);
    engine_reader_free(r);
    return mark;
}

/* Puts a key; in a transaction that is marked, or not. */
static struct engine_txn *begin_put(bool marked)
{
    struct engine_txn *t = kit_begin(e);

    ck_assert_uint_eq(engine_view_mark(engine_txn_view(t)), mark_now());
    if (marked)
        engine_txn_mark(t);
    ck_assert_int_eq(engine_put(t, STR("k"), STR("v")), OK);
    ck_assert(!marked || engine_view_mark(engine_txn_view(t)) == ENGINE_NO_MARK);
    return t;
}

START_TEST(a_mark_is_seen_with_its_transaction)
{
    struct engine_reader *r;
    uint64_t first, second;

    setup_with(_i == 0, 0);
    first = mark_now();
    ck_assert_int_eq(kit_commit(begin_put(false)), OK);
    ck_assert_uint_eq(mark_now(), first);
    engine_txn_abort(begin_put(true));
    ck_assert_uint_eq(mark_now(), first);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    const struct engine_view *old = engine_snap_begin(r);
    ck_assert_int_eq(kit_commit(begin_put(true)), OK);
    second = mark_now();
    ck_assert_uint_ne(second, first);
    ck_assert_uint_eq(engine_view_mark(old), first);
    engine_snap_end(r);
    engine_reader_free(r);
    ck_assert_int_eq(kit_commit(begin_put(false)), OK);
    ck_assert_uint_eq(mark_now(), second);
    ck_assert_int_eq(kit_commit(begin_put(true)), OK);
    ck_assert(mark_now() != second && mark_now() != first);
    teardown();
}
END_TEST

/* Counts those that were done, and how. */
struct told {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n, failed;
};

static void tell_done(void *arg, enum err result)
{
    struct told *t = arg;

    pthread_mutex_lock(&t->lock);
    t->n++;
    t->failed += result != OK;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

static void want_told(struct told *t, unsigned n)
{
    pthread_mutex_lock(&t->lock);
    while (t->n < n)
        pthread_cond_wait(&t->changed, &t->lock);
    ck_assert_uint_eq(t->failed, 0);
    pthread_mutex_unlock(&t->lock);
}

static void commit_soon(struct told *t, const char *key, bool marked)
{
    struct engine_txn *txn = kit_begin(e);

    if (marked)
        engine_txn_mark(txn);
    ck_assert_int_eq(engine_put(txn, str_from(key), STR("v")), OK);
    engine_txn_commit_soon(txn, tell_done, t);
}

/* What is held back is synced together when it is let go, or goes along with another's commit; and is durable
 * behind a close that nobody has let it go before. */
START_TEST(commits_that_go_together)
{
    struct told t = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    uint64_t syncs;

    setup_with(true, 0);
    ck_assert_int_eq(kit_put(e, STR("first"), STR("")), OK);
    syncs = stats_now().syncs;
    for (int i = 0; i < 10; i++)
        commit_soon(&t, (const char[]){(char)('a' + i), '\0'}, false);
    ck_assert(has_now("a", NULL)); /* nobody sees it before it is durable */
    ck_assert_uint_eq(stats_now().syncs, syncs);
    engine_commits_go(e);
    want_told(&t, 10);
    ck_assert_uint_eq(stats_now().syncs, syncs + 1);
    ck_assert(has_now("j", "v"));
    engine_commits_go(e); /* nothing is there */
    commit_soon(&t, "k", false);
    ck_assert_int_eq(kit_put(e, STR("other"), STR("")), OK);
    want_told(&t, 11);
    ck_assert_uint_eq(stats_now().syncs, syncs + 2);
    commit_soon(&t, "last", false);
    engine_close(e);
    want_told(&t, 12);
    e = kit_open(dir.path, 0);
    ck_assert(has_now("last", "v"));
    teardown();
}
END_TEST

/* What a transaction sees of a marked one that is not durable yet may be remembered by nobody. */
START_TEST(a_mark_that_is_not_durable_is_none)
{
    struct told t = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    struct engine_txn *txn;
    uint64_t before;

    setup_with(true, 0);
    before = mark_now();
    commit_soon(&t, "a", true);
    txn = kit_begin(e);
    ck_assert(has(engine_txn_view(txn), "a", "v"));
    ck_assert_uint_eq(engine_view_mark(engine_txn_view(txn)), ENGINE_NO_MARK);
    engine_txn_abort(txn);
    ck_assert_uint_eq(mark_now(), before);
    engine_commits_go(e);
    want_told(&t, 1);
    ck_assert_uint_ne(mark_now(), before);
    txn = kit_begin(e);
    ck_assert_uint_eq(engine_view_mark(engine_txn_view(txn)), mark_now());
    engine_txn_abort(txn);
    teardown();
}
END_TEST

START_TEST(nothing_written_takes_no_space)
{
    struct engine_txn *t;
    struct engine_stats before;
    uint64_t count = 5;

    setup_with(_i == 0, 0);
    ck_assert_int_eq(kit_put(e, STR("k"), STR("v")), OK);
    before = stats_now();
    t = kit_begin(e);
    ck_assert_int_eq(engine_del(t, STR("missing")), OK);
    ck_assert_int_eq(engine_del_prefix(t, STR("missing"), &count), OK);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert_uint_eq(stats_now().version, before.version);
    ck_assert_uint_eq(stats_now().log_bytes, before.log_bytes);
    ck_assert_uint_eq(stats_now().syncs, before.syncs);
    teardown();
}
END_TEST

START_TEST(commit_without_callback)
{
    struct engine_txn *t;

    setup_with(_i == 0, 0);
    t = kit_begin(e);
    ck_assert_int_eq(engine_put(t, STR("k"), STR("v")), OK);
    engine_txn_commit(t, NULL, NULL);
    t = kit_begin(e);
    engine_txn_commit(t, NULL, NULL);
    ck_assert_int_eq(kit_put(e, STR("l"), STR("v")), OK);
    ck_assert(has_now("k", "v"));
    teardown();
}
END_TEST

START_TEST(link_shares_the_value)
{
    struct engine_txn *t;
    struct engine_stats s;

    setup_with(_i == 0, 0);
    t = kit_begin(e);
    ck_assert_int_eq(engine_put(t, STR("one"), zeros(10000)), OK);
    ck_assert_int_eq(engine_link(t, STR("two")), OK);
    ck_assert_int_eq(engine_put(t, STR("small"), STR("v")), OK);
    ck_assert_int_eq(engine_link(t, STR("small2")), OK);
    ck_assert_int_eq(kit_commit(t), OK);
    s = stats_now();
    ck_assert_uint_lt(s.log_bytes, 10200);
    ck_assert_uint_eq(s.live_value_bytes, 10001);
    ck_assert_uint_eq(s.keys, 4);
    ck_assert(has_now("small2", "v"));
    t = kit_begin(e);
    ck_assert_int_eq(engine_del(t, STR("one")), OK);
    ck_assert_int_eq(kit_commit(t), OK);
    struct engine_reader *r;
    str got;
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    ck_assert_int_eq(engine_get(engine_snap_begin(r), STR("two"), &got), OK);
    ck_assert(str_eq(got, zeros(10000)));
    engine_snap_end(r);
    engine_reader_free(r);
    audit_engine(e);
    teardown();
}
END_TEST

START_TEST(delete_prefix)
{
    struct engine_txn *t;
    uint64_t count = 0;
    char key[32];

    setup_with(_i == 0, 0);
    t = kit_begin(e);
    for (int i = 0; i < 20000; i++) {
        str k = {key, (size_t)snprintf(key, sizeof key, "%c/%05d", "abc"[i % 3], i)};
        ck_assert_int_eq(engine_put(t, k, zeros((size_t)(i % 60))), OK);
    }
    ck_assert_int_eq(kit_commit(t), OK);
    struct engine_stats before = stats_now();
    t = kit_begin(e);
    ck_assert_int_eq(engine_del_prefix(t, STR("b/"), &count), OK);
    ck_assert_uint_eq(count, 6667);
    ck_assert_int_eq(engine_del_prefix(t, STR("b/"), &count), OK);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert_uint_eq(stats_now().keys, 20000 - 6667);
    ck_assert_uint_lt(stats_now().log_bytes, before.log_bytes + 64 + SEGMENT_HEADER_BYTES);
    audit_engine(e);
    t = kit_begin(e);
    ck_assert_int_eq(engine_del_prefix(t, STR("a"), &count), OK);
    ck_assert_int_eq(engine_del_prefix(t, STR("c/1"), &count), OK);
    ck_assert_int_eq(engine_del_prefix(t, STR("c"), &count), OK);
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert_uint_eq(stats_now().keys, 0);
    ck_assert_uint_eq(stats_now().pages, 0);
    ck_assert_uint_eq(stats_now().live_value_bytes, 0);
    audit_engine(e);
    teardown();
}
END_TEST

/* ---- pages ----------------------------------------------------------------------------------- */

/* Rising keys, also at the ends of several ranges in turn, leave full pages; scattered ones do not. */
START_TEST(rising_keys_fill_pages)
{
    struct engine_txn *t;
    char key[32];
    int ranges = _i == 0 ? 1 : 5;

    setup_with(false, 0);
    for (int i = 0; i < 30000;) {
        t = kit_begin(e);
        for (int k = 0; k < 25; k++, i++) {
            str s = {key, (size_t)snprintf(key, sizeof key, "range%d/%09d", i / 25 % ranges, i)};
            ck_assert_int_eq(engine_put(t, s, zeros(100)), OK);
        }
        ck_assert_int_eq(kit_commit(t), OK);
    }
    ck_assert_uint_ge(audit_engine(e), 90);
    teardown();
}
END_TEST

START_TEST(scattered_keys_fill_pages)
{
    uint64_t rand = kit_seed();
    struct engine_txn *t;

    setup_with(false, 0);
    t = kit_begin(e);
    for (int i = 0; i < 30000; i++) {
        uint32_t key[4] = {kit_rand(&rand), kit_rand(&rand), kit_rand(&rand), kit_rand(&rand)};
        ck_assert_int_eq(engine_put(t, (str){(char *)key, sizeof key}, zeros(100)), OK);
    }
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert_uint_ge(audit_engine(e), 60);
    teardown();
}
END_TEST

/* Deleting most keys here and there leaves pages that are worth having. */
START_TEST(thin_pages_are_merged)
{
    struct engine_txn *t;
    char key[32];

    setup_with(_i == 0, 0);
    t = kit_begin(e);
    for (int i = 0; i < 20000; i++) {
        str k = {key, (size_t)snprintf(key, sizeof key, "%05d", i)};
        ck_assert_int_eq(engine_put(t, k, zeros(20)), OK);
    }
    ck_assert_int_eq(kit_commit(t), OK);
    uint64_t before = stats_now().pages;
    t = kit_begin(e);
    for (int i = 0; i < 20000; i++) {
        str k = {key, (size_t)snprintf(key, sizeof key, "%05d", i)};
        if (i % 20 != 0)
            ck_assert_int_eq(engine_del(t, k), OK);
    }
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert_uint_ge(audit_engine(e), 40);
    ck_assert_uint_le(stats_now().pages, before / 5);
    teardown();
}
END_TEST

/* Overwriting for ever uses the same pages again, unless a reader looks at them. */
START_TEST(pages_are_used_again)
{
    struct engine_reader *r;

    setup_with(_i == 0, 0);
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(kit_put(e, STR("k"), STR("v")), OK);
    ck_assert_uint_le(stats_now().pages + stats_now().free_pages, 6);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    const struct engine_view *v = engine_snap_begin(r);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(kit_put(e, STR("k"), STR("w")), OK);
    ck_assert_uint_ge(stats_now().free_pages, 90);
    ck_assert(has(v, "k", "v"));
    engine_snap_end(r);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(kit_put(e, STR("k"), STR("x")), OK);
    ck_assert_uint_le(stats_now().pages + stats_now().free_pages, 110);
    audit_engine(e);
    engine_reader_free(r);
    teardown();
}
END_TEST

/* Without files, what is deleted gives its memory back, but not under a reader. */
START_TEST(memory_is_given_back)
{
    struct engine_reader *r;
    struct engine_txn *t;
    const struct engine_view *v;
    char key[16];
    str got;

    setup_with(false, 0);
    for (int i = 0; i < 500; i++) {
        str k = {key, (size_t)snprintf(key, sizeof key, "k%d", i)};
        ck_assert_int_eq(kit_put(e, k, zeros(20000)), OK);
    }
    ck_assert_uint_ge(stats_now().segments, 9);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    v = engine_snap_begin(r);
    t = kit_begin(e);
    ck_assert_int_eq(engine_del_prefix(t, STR("k"), NULL), OK);
    ck_assert_int_eq(kit_commit(t), OK);
    ck_assert_int_eq(kit_put(e, STR("x"), STR("")), OK);
    ck_assert_uint_ge(stats_now().segments, 9);
    ck_assert_int_eq(engine_get(v, STR("k0"), &got), OK);
    ck_assert(str_eq(got, zeros(20000)));
    engine_snap_end(r);
    ck_assert_int_eq(kit_put(e, STR("x"), STR("")), OK);
    ck_assert_int_eq(kit_put(e, STR("x"), STR("")), OK);
    ck_assert_uint_le(stats_now().segments, 2);
    ck_assert_uint_le(stats_now().log_bytes, 2 * MIB);
    engine_reader_free(r);
    teardown();
}
END_TEST

/* ---- snapshots ------------------------------------------------------------------------------- */

START_TEST(snapshots_stand_still)
{
    struct engine_reader *r, *r2;
    const struct engine_view *v;

    setup_with(_i == 0, 4096);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    ck_assert_int_eq(engine_reader_new(e, &r2), OK);
    ck_assert(has(engine_snap_begin(r), "k", NULL)); /* of the empty store */
    ck_assert_uint_eq(engine_view_version(engine_snap_begin(r2)), 0);
    engine_snap_end(r2);
    ck_assert_int_eq(kit_put(e, STR("k"), zeros(3000)), OK);
    v = engine_snap_begin(r2);
    ck_assert_uint_eq(engine_view_version(v), 1);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(kit_put(e, STR("k"), zeros((size_t)i)), OK);
    str got;
    ck_assert_int_eq(engine_get(v, STR("k"), &got), OK);
    ck_assert(str_eq(got, zeros(3000)));
    engine_snap_end(r2);
    engine_snap_end(r);
    engine_reader_free(r2);
    engine_reader_free(r);
    teardown();
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------- */

START_TEST(damaged_value_is_not_served)
{
    struct engine_reader *r;
    char path[600];
    str got;

    setup_with(true, 0);
    ck_assert_int_eq(kit_put(e, STR("k"), zeros(1000)), OK);
    snprintf(path, sizeof path, "%s/00000001.log", dir.path);
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "y", 1, (off_t)e->log.end - 500), 1);
    close(fd);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    ck_assert_int_eq(engine_get(engine_snap_begin(r), STR("k"), &got), ERR_CORRUPT);
    engine_snap_end(r);
    engine_reader_free(r);
    teardown();
}
END_TEST

START_TEST(the_second_process_is_refused)
{
    struct engine_options o;
    struct err_detail d = {.text = ""};
    struct engine *second = NULL;
    char pid[32];

    setup_with(true, 0);
    o = (struct engine_options){.dir = dir.path};
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        enum err err = engine_open(&second, &o, NULL, &d);
        _exit(err == ERR_BUSY && strstr(d.text, pid) != NULL ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    /* a second opening by the same process is refused alike */
    ck_assert_int_eq(engine_open(&second, &o, NULL, &d), ERR_BUSY);
    ck_assert_ptr_null(second);
    engine_close(e);
    e = kit_open(dir.path, 0);
    teardown();
}
END_TEST

START_TEST(the_directory_is_made)
{
    struct kit_dir inner;
    struct stat st;

    kit_dir_make(&dir);
    ck_assert_int_lt(snprintf(inner.path, sizeof inner.path, "%.200s/data", dir.path), 250);
    e = kit_open(inner.path, 0);
    ck_assert_int_eq(kit_put(e, STR("k"), STR("v")), OK);
    engine_close(e);
    ck_assert_int_eq(stat(inner.path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    kit_dir_remove(&inner);
    kit_dir_remove(&dir);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    struct engine_options o = {.dir = "/dev/null/x"};
    struct err_detail d = {.text = ""};
    struct engine *none = NULL;

    ck_assert_int_ne(engine_open(&none, &o, NULL, &d), OK);
    ck_assert_ptr_nonnull(strstr(d.text, "/dev/null/x"));
    o.dir = "/nonexistent-kinto/a/b";
    ck_assert_int_eq(engine_open(&none, &o, NULL, &d), ERR_NOTFOUND);
    o.dir = "";
    ck_assert_int_eq(engine_open(&none, &o, NULL, &d), ERR_LIMIT);
    ck_assert_ptr_null(none);
}
END_TEST

/* A done() may be called with the commit's other locks free: it may look at the clock, count, signal.
 * Order: as committed. */
static int order[200], order_n;
static void note_order(void *arg, enum err result)
{
    ck_assert_int_eq(result, OK);
    order[order_n++] = (int)(intptr_t)arg;
}

START_TEST(done_comes_in_order)
{
    setup_with(_i == 0, 4096);
    order_n = 0;
    for (int i = 0; i < 200; i++) {
        struct engine_txn *t = kit_begin(e);
        ck_assert_int_eq(engine_put(t, STR("k"), zeros((size_t)i)), OK);
        engine_txn_commit(t, note_order, (void *)(intptr_t)i);
    }
    engine_close(e);
    ck_assert_int_eq(order_n, 200);
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(order[i], i);
    e = kit_open(_i == 0 ? dir.path : NULL, 4096);
    teardown();
}
END_TEST

/* ---- descriptors ----------------------------------------------------------------------------- */

enum { PLUGS = 1024 };
static int plugs[PLUGS], nplugs;

/* Only so many more descriptors can be opened; what the limit was before. */
static struct rlimit allow_descriptors(unsigned more)
{
    struct rlimit before, few;
    int highest = 0;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int fd = 0; fd < 1024; fd++)
        highest = fcntl(fd, F_GETFD) >= 0 ? fd : highest;
    for (nplugs = 0; nplugs < PLUGS && (plugs[nplugs] = dup(0)) < highest;) /* holes */
        nplugs++;
    ck_assert_int_lt(nplugs, PLUGS);
    close(plugs[nplugs]);
    few = (struct rlimit){(rlim_t)highest + 1 + more, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    return before;
}

/* Somebody has taken all descriptors but _i: a segment may not be begun, but nothing is broken by that. */
START_TEST(without_descriptors_nothing_breaks)
{
    struct rlimit before;
    unsigned refused = 0;
    char key[16];

    setup_with(true, 4096);
    ck_assert_int_eq(kit_put(e, STR("k"), STR("v")), OK);
    before = allow_descriptors((unsigned)_i);
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "%d", i);
        enum err err = kit_put(e, str_from(key), zeros(1000));
        ck_assert_msg(err == OK || err == ERR_NOFILES, "%s", err_text(err));
        refused += err != OK;
        ck_assert_int_eq(engine_state(e), ENGINE_OK);
    }
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    while (nplugs > 0)
        close(plugs[--nplugs]);
    if (_i != 1) /* one may be for the reserve, or for the next segment */
        ck_assert_int_eq(refused > 0, _i == 0);
    ck_assert_int_eq(kit_put(e, STR("k"), STR("w")), OK);
    engine_close(e);
    e = kit_open(dir.path, 4096);
    ck_assert(has_now("k", "w"));
    audit_engine(e);
    teardown();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/engine");
    TCase *c = tcase_create("engine");

    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, put_and_get, 0, 2);
    tcase_add_loop_test(c, value_lengths, 0, 2);
    tcase_add_loop_test(c, key_limits, 0, 2);
    tcase_add_loop_test(c, value_and_frame_limits, 0, 2);
    tcase_add_loop_test(c, largest_value, 0, 2);
    tcase_add_loop_test(c, keys_are_bytes, 0, 2);
    tcase_add_loop_test(c, prefix_without_successor, 0, 2);
    tcase_add_loop_test(c, own_changes_are_seen, 0, 2);
    tcase_add_loop_test(c, abort_leaves_nothing, 0, 2);
    tcase_add_loop_test(c, a_mark_is_seen_with_its_transaction, 0, 2);
    tcase_add_test(c, commits_that_go_together);
    tcase_add_test(c, a_mark_that_is_not_durable_is_none);
    tcase_add_loop_test(c, nothing_written_takes_no_space, 0, 2);
    tcase_add_loop_test(c, commit_without_callback, 0, 2);
    tcase_add_loop_test(c, link_shares_the_value, 0, 2);
    tcase_add_loop_test(c, delete_prefix, 0, 2);
    tcase_add_loop_test(c, rising_keys_fill_pages, 0, 2);
    tcase_add_test(c, scattered_keys_fill_pages);
    tcase_add_loop_test(c, thin_pages_are_merged, 0, 2);
    tcase_add_loop_test(c, pages_are_used_again, 0, 2);
    tcase_add_test(c, memory_is_given_back);
    tcase_add_loop_test(c, snapshots_stand_still, 0, 2);
    tcase_add_test(c, damaged_value_is_not_served);
    tcase_add_test(c, the_second_process_is_refused);
    tcase_add_test(c, the_directory_is_made);
    tcase_add_test(c, what_cannot_be_opened);
    tcase_add_loop_test(c, done_comes_in_order, 0, 2);
    tcase_add_loop_test(c, without_descriptors_nothing_breaks, 0, 3);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
