/*
 * A disk that acknowledges a write of an index page and loses it: what lay there before is still there,
 * with a right checksum and the right number. It must never be served. Whoever looks at it gets CORRUPT,
 * a check names it, and the next start makes the index anew.
 */
#include <errno.h>

#include "test/unit/engine/audit.h"

static struct kit_dir dir;
static struct kit_model model;
static struct engine *e;

#define GROUPS  80
#define MEMBERS 400

static struct engine_recovery open_again(void)
{
    struct engine_options o = {.dir = dir.path, .cache_bytes = 8 * MIB, .compact_bytes = KIB * MIB};
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
    kit_dir_remove(&dir);
    free(model.p);
    model_free_bytes();
}

/* What tells two keys of a group apart comes late: long separators, so that there are pages between root
 * and leaves. */
static str key_of(int group, int member, char out[256])
{
    for (int i = 0; i < 60; i++)
        snprintf(out + (size_t)i * 4, 5, "%04d", group);
    snprintf(out + 240, 5, "%04d", member);
    return (str){out, 244};
}

static str value_of(int version, int member, char out[40])
{
    return (str){out, (size_t)snprintf(out, 40, "version %06d of member %04d", version, member)};
}

/* The members of a group from `from` on, `step` apart. */
static void put_group(int group, int from, int step, int version)
{
    struct engine_txn *t = kit_begin(e);
    char k[256], v[40];

    for (int m = from; m < MEMBERS; m += step) {
        str key = key_of(group, m, k), value = value_of(version, m, v);
        ck_assert_int_eq(engine_put(t, key, value), OK);
        model_put(&model, key, value);
    }
    ck_assert_int_eq(kit_commit(t), OK);
}

/* A tree of some hundred pages, each made anew several times, on numbers that were used before. */
static void fill(void)
{
    struct engine_stats st;

    for (int g = 0; g < GROUPS; g++)
        put_group(g, 0, 1, 0);
    ck_assert_int_eq(engine_checkpoint(e), OK);
    for (int version = 1; version < 7; version++) {
        for (int g = version % 2; g < GROUPS; g += 2)
            put_group(g, 0, 7, version);
        ck_assert_int_eq(engine_checkpoint(e), OK);
    }
    engine_stats(e, &st);
    ck_assert_uint_gt(st.pages, 200);
    ck_assert_uint_ge(e->writer.now.depth, 3);
}

/* One more state of every group, in the index file too. */
static void fill_again(int version)
{
    for (int g = 0; g < GROUPS; g++)
        put_group(g, g % 5, 11, version);
    ck_assert_int_eq(engine_checkpoint(e), OK);
}

/* ---- the file -------------------------------------------------------------------------------- */

struct image { /* of the index file */
    char *p;
    size_t n;
};

static struct image image_take(void)
{
    struct image image;

    image.p = kit_read(&dir, "index", &image.n);
    return image;
}

static const struct page *image_page(const struct image *image, uint32_t pgno)
{
    return (const void *)(image->p + (size_t)pgno * PAGE_BYTES);
}

static struct index_root newest_root(const struct image *image)
{
    struct index_root r[2];

    for (uint32_t i = 0; i < 2; i++)
        memcpy(&r[i], image_page(image, i), sizeof r[i]);
    return r[1].seq > r[0].seq ? r[1] : r[0];
}

/* Is there another page at the same place in `old`, whole, from an earlier day? */
static bool has_older(const struct image *old, const struct image *now, uint32_t pgno)
{
    const struct page *a, *b = image_page(now, pgno);

    if ((size_t)(pgno + 1) * PAGE_BYTES > old->n)
        return false;
    a = image_page(old, pgno);
    return a->crc == page_crc(a) && a->pgno == b->pgno && a->txn != 0 && a->txn < b->txn;
}

static void put_page(const void *page, uint32_t pgno)
{
    char path[600];
    int fd;

    snprintf(path, sizeof path, "%s/index", dir.path);
    fd = open(path, O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, page, PAGE_BYTES, (off_t)pgno * PAGE_BYTES), PAGE_BYTES);
    close(fd);
}

static void put_back(const struct image *old, uint32_t pgno)
{
    put_page(image_page(old, pgno), pgno);
}

/* As if books had been there. */
static void put_books(const struct image *image, uint32_t pgno)
{
    struct page page;

    memcpy(&page, image_page(image, newest_root(image).books), sizeof page);
    ck_assert_uint_eq(page.pgno, ~newest_root(image).books);
    page.pgno = ~pgno;
    page.crc = page_crc(&page);
    put_page(&page, pgno);
}

/* Pages of the tree, of one level, at whose place another one was. */
struct victims {
    const struct image *old, *now;
    unsigned level;
    uint32_t pgno[1000];
    size_t n;
};

static void collect(struct victims *v, uint32_t pgno)
{
    const struct page *p = image_page(v->now, pgno);

    if (p->level == v->level && has_older(v->old, v->now, pgno) && v->n < ARRAY_LEN(v->pgno))
        v->pgno[v->n++] = pgno;
    for (unsigned i = 0; p->level > v->level && i < p->count; i++) {
        uint32_t child;
        memcpy(&child, node_cell(p, i).body, 4);
        collect(v, child);
    }
}

static struct victims victims_of(const struct image *old, const struct image *now, unsigned level)
{
    struct victims v = {.old = old, .now = now, .level = level};
    struct index_root root = newest_root(now);
    const uint8_t *ref = (const uint8_t *)&root + 92; /* doc/format.md */
    uint32_t pgno;

    memcpy(&pgno, ref, 4);
    collect(&v, pgno);
    return v;
}

/* ---- what is served --------------------------------------------------------------------------- */

/* How many keys cannot be read; what can is right. */
static size_t unreadable(void)
{
    const struct engine_view *view;
    struct engine_reader *r;
    size_t bad = 0;

    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    view = engine_snap_begin(r);
    for (size_t i = 0; i < model.n; i++) {
        str value;
        enum err err = engine_get(view, model_key(&model, i), &value);
        ck_assert_msg(err == OK || err == ERR_CORRUPT, "%s", err_text(err));
        ck_assert_msg(err != OK || str_eq(value, model_value(&model, i)), "it is an old value");
        bad += err != OK;
    }
    engine_snap_end(r);
    engine_reader_free(r);
    return bad;
}

/* Forwards and backwards: all is right, up to a page that cannot be read. */
static void walk_to_damage(bool forward)
{
    struct engine_cursor c;
    struct engine_reader *r;
    size_t seen = 0;
    bool more;

    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    engine_cursor_init(&c, engine_snap_begin(r), STR(""));
    for (more = forward ? engine_cursor_first(&c) : engine_cursor_last(&c); more;
         more = forward ? engine_cursor_next(&c) : engine_cursor_prev(&c)) {
        size_t i = forward ? seen : model.n - 1 - seen;
        str value;
        ck_assert_uint_lt(seen, model.n);
        ck_assert(str_eq(engine_cursor_key(&c), model_key(&model, i)));
        ck_assert_int_eq(engine_cursor_value(&c, &value), OK);
        ck_assert(str_eq(value, model_value(&model, i)));
        seen++;
    }
    ck_assert_int_eq(engine_cursor_err(&c), ERR_CORRUPT);
    engine_snap_end(r);
    engine_reader_free(r);
}

static void want_failed(void)
{
    struct engine_txn *t;
    enum err err;

    while ((err = engine_txn_begin(e, &t)) == OK) /* until the keeper has seen it */
        engine_txn_abort(t);
    ck_assert_int_eq(err, ERR_FAILED);
}

static void want_healed(void)
{
    engine_close(e);
    ck_assert_uint_gt(open_again().txns, 0); /* from the log */
    ck_assert_uint_eq(unreadable(), 0);
    ck_assert(model_same_now(&model, e));
    audit_engine(e);
}

static uint32_t named; /* page that a check found something wrong with */

static void on_found(void *arg, const struct engine_finding *f)
{
    (void)arg;
    if (f->problem && f->place == ENGINE_AT_PAGE && strstr(f->what, "a write was lost") != NULL)
        named = (uint32_t)f->at;
}

static void want_check_names(uint32_t pgno)
{
    struct engine_check_options o = {.found = on_found};
    struct engine_check_report r;
    struct err_detail d;

    named = 0;
    ck_assert_int_eq(engine_check(dir.path, &o, &r, &d), OK);
    ck_assert_uint_gt(r.index_problems, 0);
    ck_assert_uint_eq(r.log_problems, 0);
    ck_assert_uint_eq(named, pgno);
}

/* ---- one page -------------------------------------------------------------------------------- */

/* loop: the level of the page, 2 is the root's. The write was lost before the last stop. */
START_TEST(a_stale_page_is_not_served)
{
    struct image old, now;
    struct victims v;

    fill();
    old = image_take();
    fill_again(10);
    fill_again(11);
    engine_close(e);
    now = image_take();
    v = victims_of(&old, &now, (unsigned)_i);
    ck_assert_uint_gt(v.n, 0);
    for (size_t i = 0; i < v.n; i += MAX_OF(v.n / 4, (size_t)1)) {
        kit_write(&dir, "index", now.p, now.n);
        put_back(&old, v.pgno[i]);
        want_check_names(v.pgno[i]);
        open_again();
        ck_assert_uint_gt(unreadable(), 0);
        walk_to_damage(true);
        walk_to_damage(false);
        want_failed();
        want_healed();
        engine_close(e);
    }
    open_again();
    free(old.p);
    free(now.p);
}
END_TEST

static bool looked_at(uint32_t pgno)
{
    uint32_t i = pgno & (EXTENT_PAGES - 1);

    return atomic_load(&e->pages.extent[pgno >> EXTENT_BITS]->good[i / 64]) >> (i % 64) & 1;
}

/* loop: as above. The write that is lost is the last one, and nobody has looked yet. */
START_TEST(a_stale_page_is_not_served_before_the_stop_either)
{
    struct image old, now;
    struct victims v;
    size_t i = 0;

    fill();
    old = image_take();
    fill_again(10);
    fill_again(11);
    now = image_take();
    v = victims_of(&old, &now, (unsigned)_i);
    while (i < v.n && looked_at(v.pgno[i]))
        i++;
    ck_assert_uint_lt(i, v.n);
    put_back(&old, v.pgno[i]);
    ck_assert_uint_gt(unreadable(), 0);
    want_failed();
    want_healed();
    free(old.p);
    free(now.p);
}
END_TEST

/* Nothing is built on it: a transaction whose way leads through it fails. */
START_TEST(a_stale_page_is_not_changed)
{
    struct image old, now;
    struct victims v;
    enum err err = OK;

    fill();
    old = image_take();
    fill_again(10);
    fill_again(11);
    engine_close(e);
    now = image_take();
    v = victims_of(&old, &now, 0);
    ck_assert_uint_gt(v.n, 0);
    put_back(&old, v.pgno[v.n / 2]);
    open_again();
    for (size_t i = 0; err == OK && i < model.n; i++) {
        struct engine_txn *t = kit_begin(e);
        err = _i == 0   ? engine_put(t, model_key(&model, i), STR("new"))
              : _i == 1 ? engine_del(t, model_key(&model, i))
                        : engine_del_prefix(t, model_key(&model, i), NULL);
        engine_txn_abort(t);
    }
    ck_assert_int_eq(err, ERR_CORRUPT);
    want_failed();
    want_healed();
    free(old.p);
    free(now.p);
}
END_TEST

/* An opening that meets it, because the log has what came after, heals at once. */
START_TEST(an_opening_that_meets_a_stale_page_heals)
{
    struct image old, now;
    struct victims v;

    fill();
    old = image_take();
    fill_again(10);
    fill_again(11);
    now = image_take();
    v = victims_of(&old, &now, (unsigned)_i);
    ck_assert_uint_gt(v.n, 0);
    fill_again(12);
    engine_close(e);
    kit_write(&dir, "index", now.p, now.n);
    put_back(&old, v.pgno[0]);
    ck_assert(open_again().rebuilt);
    ck_assert(model_same_now(&model, e));
    audit_engine(e);
    engine_close(e);
    ck_assert_uint_eq(open_again().txns, 0);
    ck_assert(model_same_now(&model, e));
    free(old.p);
    free(now.p);
}
END_TEST

START_TEST(stale_books_are_not_believed)
{
    struct image old, now;
    uint32_t books;

    fill();
    fill_again(8);
    fill_again(9);
    old = image_take();
    for (int version = 10;; version++) {
        ck_assert_int_lt(version, 30);
        fill_again(version);
        now = image_take();
        books = newest_root(&now).books;
        if (has_older(&old, &now, books))
            break;
        free(now.p);
    }
    engine_close(e);
    kit_write(&dir, "index", now.p, now.n);
    put_back(&old, books);
    ck_assert(open_again().rebuilt);
    ck_assert(model_same_now(&model, e));
    audit_engine(e);
    free(old.p);
    free(now.p);
}
END_TEST

/* All groups again, while a reader keeps what was there: the file grows. */
static void grow(int version)
{
    struct engine_reader *r;

    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    engine_snap_begin(r);
    for (int i = 0; i < 3; i++)
        for (int g = 0; g < GROUPS; g++)
            put_group(g, i, 7, version);
    engine_snap_end(r);
    engine_reader_free(r);
    ck_assert_int_eq(engine_checkpoint(e), OK);
}

/* A close moves pages to lower numbers, by their numbers: nothing led there, so what lies there may be an
 * old one, or one of old books. */
START_TEST(a_stale_page_is_not_moved)
{
    struct image old, now;
    size_t tried = 0, from;

    fill();
    grow(8);
    grow(9);
    old = image_take();
    fill_again(10);
    grow(11);
    ck_assert(shrink_pays(e));
    now = image_take();
    engine_close(e);
    from = MIN_OF(old.n, now.n) / PAGE_BYTES;
    for (uint32_t n = (uint32_t)from - 1; n >= PAGE_FIRST && tried < 12; n--) {
        if (image_page(&now, n)->pgno != n || !has_older(&old, &now, n))
            continue;
        kit_write(&dir, "index", now.p, now.n);
        if (tried++ % 3 == 2)
            put_books(&now, n);
        else
            put_back(&old, n);
        open_again();
        engine_close(e);
        open_again();
        if (unreadable() > 0)
            want_failed();
        engine_close(e);
        open_again();
        ck_assert(model_same_now(&model, e));
        audit_engine(e);
        engine_close(e);
    }
    ck_assert_uint_gt(tried, 4);
    open_again();
    free(old.p);
    free(now.p);
}
END_TEST

/* What replays make is of one transaction, the first behind the root. Two of them, after two crashes, of
 * another length: a page of the first, which went to the file and whose root did not, is not taken for one
 * of the second. */
START_TEST(replays_do_not_make_the_same_page)
{
    struct image base, old, now;
    size_t tried = 0;

    fill();
    engine_close(e);
    base = image_take();
    open_again();
    fill_again(10);
    engine_close(e);
    kit_write(&dir, "index", base.p, base.n);
    ck_assert_uint_gt(open_again().txns, 0);
    ck_assert_int_eq(engine_checkpoint(e), OK);
    old = image_take();
    fill_again(11);
    engine_close(e);
    kit_write(&dir, "index", base.p, base.n);
    ck_assert_uint_gt(open_again().txns, 0);
    engine_close(e);
    now = image_take();
    for (uint32_t n = PAGE_FIRST; (n + 1) * (size_t)PAGE_BYTES <= MIN_OF(old.n, now.n); n++) {
        const struct page *a = image_page(&old, n), *b = image_page(&now, n);
        if (a->txn != b->txn || a->pgno != n || b->pgno != n || a->crc == b->crc || n % 5 != 0)
            continue;
        tried++;
        kit_write(&dir, "index", now.p, now.n);
        put_back(&old, n);
        want_check_names(n);
        open_again();
        ck_assert_uint_gt(unreadable(), 0);
        want_failed();
        engine_close(e);
    }
    ck_assert_uint_gt(tried, 5);
    open_again();
    ck_assert(model_same_now(&model, e));
    free(base.p);
    free(old.p);
    free(now.p);
}
END_TEST

/* ---- any page -------------------------------------------------------------------------------- */

static struct os_ops lying;
static size_t lose, written; /* pages of the index */
static _Atomic int index_fd = -1;

static int note_index(const char *path, int flags, unsigned mode)
{
    int fd = os_kernel.open(path, flags, mode);
    bool is = strcmp(strrchr(path, '/'), "/index") == 0;

    index_fd = is ? fd : fd == index_fd ? -1 : index_fd;
    return fd;
}

/* Acknowledges all, and one page is not written. */
static ssize_t forgetful(int fd, const void *p, size_t n, uint64_t off)
{
    size_t first = written;

    if (fd != index_fd)
        return os_kernel.pwrite(fd, p, n, off);
    written += (n + PAGE_BYTES - 1) / PAGE_BYTES;
    for (size_t at = 0; at < n; at += PAGE_BYTES, first++) {
        size_t part = MIN_OF(n - at, (size_t)PAGE_BYTES);
        if (first != lose &&
            os_kernel.pwrite(fd, (const char *)p + at, part, off + at) != (ssize_t)part)
            return -1;
    }
    return (ssize_t)n;
}

/* Puts until the engine refuses them; what was acknowledged is in the model. */
static void go_on_until_refused(void)
{
    for (int i = 0; i < 240; i++) {
        struct engine_txn *t;
        char k[256], v[40];
        enum err err = engine_txn_begin(e, &t);
        str key = key_of(i * 7 % 20, i % MEMBERS, k), value = value_of(100 + i, i, v);
        if (err == ERR_FAILED)
            return;
        ck_assert_int_eq(err, OK);
        err = engine_put(t, key, value);
        if (err == OK)
            err = engine_txn_commit_wait(t);
        else
            engine_txn_abort(t);
        if (err != OK)
            return;
        model_put(&model, key, value);
        if (i % 60 == 39 && engine_checkpoint(e) != OK)
            return;
    }
}

static void stop(bool crash)
{
    struct image image = {NULL, 0};

    crash = crash && engine_state(e) == ENGINE_OK;
    if (crash)
        image = image_take();
    engine_close(e);
    if (crash)
        kit_write(&dir, "index", image.p, image.n);
    free(image.p);
}

/* Whichever page it is, of the tree, the books, or a root: nothing but what was acknowledged is ever
 * seen, now or after a start, and a second start at the latest has everything. */
START_TEST(a_disk_that_loses_a_write)
{
    size_t all = SIZE_MAX, bad = 0;

    lying = os_kernel;
    lying.pwrite = forgetful;
    lying.open = note_index;
    os_test_replace(&lying);
    lose = SIZE_MAX;
    for (bool counting = true; counting || lose < all; counting = false) {
        engine_close(e);
        kit_dir_empty(&dir);
        model_del_prefix(&model, STR(""));
        written = 0;
        open_again();
        for (int g = 0; g < 20; g++)
            put_group(g, 0, 3, g);
        (void)!engine_checkpoint(e);
        go_on_until_refused();
        bad += unreadable() > 0;
        stop(lose % 2 == 0);
        all = counting ? written : all;
        lose = counting ? 0 : lose + 1 + lose / 16;
        written = SIZE_MAX / 2; /* from here on nothing is lost */
        open_again();
        if (unreadable() > 0) {
            bad++;
            want_failed();
            want_healed();
        }
        ck_assert(model_same_now(&model, e));
        audit_engine(e);
    }
    os_test_replace(NULL);
    ck_assert_uint_gt(all, 100);
    ck_assert_uint_gt(bad, 10);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/stale");
    TCase *c = tcase_create("stale");

    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, a_stale_page_is_not_served, 0, 3);
    tcase_add_loop_test(c, a_stale_page_is_not_served_before_the_stop_either, 0, 2);
    tcase_add_loop_test(c, a_stale_page_is_not_changed, 0, 3);
    tcase_add_loop_test(c, an_opening_that_meets_a_stale_page_heals, 0, 3);
    tcase_add_test(c, stale_books_are_not_believed);
    tcase_add_test(c, a_stale_page_is_not_moved);
    tcase_add_test(c, replays_do_not_make_the_same_page);
    tcase_add_test(c, a_disk_that_loses_a_write);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
