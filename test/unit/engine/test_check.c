/*
 * The check and the repair. A healthy store has nothing wrong; whatever byte of its files is another, the
 * check says so or it does not matter, and an opening then serves exactly what was there, or refuses,
 * or makes the index anew. What a repair leaves is what the whole transactions outside of the damage
 * make.
 */
#include <errno.h>
#include <malloc.h>

#include "base/crc.h"
#include "test/unit/engine/audit.h"
#include "test/unit/engine/faults.h"

static struct kit_dir dir;

/* ---- stores ---------------------------------------------------------------------------------- */

#define SEG_BYTES (4 * KIB)
#define LOG_1     "00000001.log"
#define LOG_2     "00000002.log"

static struct engine *open_small(void)
{
    struct engine_options o = {
        .dir = dir.path, .segment_bytes = SEG_BYTES, .compact_bytes = MIB * KIB};

    return kit_open_as(&o, NULL);
}

/* What transaction i does, to an engine and to a model; either may be NULL. */
static void one(struct engine_txn *t, struct kit_model *m, int i)
{
    char key[32], other[32], value[600];
    str k = {key, (size_t)snprintf(key, sizeof key, "key/%03d", i % 40)};
    str l = {other, (size_t)snprintf(other, sizeof other, "link/%03d", i)};
    str v = {value, (size_t)(i % 4 == 0 ? 10 : 80 + 11 * (i % 30))};

    memset(value, 'a' + i % 26, sizeof value);
    snprintf(value, 8, "%06d", i);
    if (t != NULL) {
        ck_assert_int_eq(engine_put(t, k, v), OK);
        ck_assert_int_eq(engine_link(t, l), OK);
    }
    if (m != NULL) {
        model_put(m, k, v);
        model_put(m, l, v);
    }
    if (i % 3 == 0) {
        snprintf(key, sizeof key, "key/%03d", (i + 39) % 40);
        if (t != NULL)
            ck_assert_int_eq(engine_del(t, k), OK);
        if (m != NULL)
            model_del(m, k);
    }
    if (i % 25 == 0) {
        if (t != NULL)
            ck_assert_int_eq(engine_del_prefix(t, STR("link/00"), NULL), OK);
        if (m != NULL)
            model_del_prefix(m, STR("link/00"));
    }
}

static void write_txns(struct engine *e, int from, int to)
{
    for (int i = from; i <= to; i++) {
        struct engine_txn *t = kit_begin(e);
        one(t, NULL, i);
        ck_assert_int_eq(kit_commit(t), OK);
    }
}

/* Transactions 1 to n but those of [gone, gone_end). */
static struct kit_model model_of(int n, int gone, int gone_end)
{
    struct kit_model m = {.n = 0};

    for (int i = 1; i <= n; i++)
        if (i < gone || i >= gone_end)
            one(NULL, &m, i);
    return m;
}

static void setup(int checkpointed, int txns)
{
    struct engine *e;

    /* Tables of a store are large and hardly touched: thousands of them are made, from memory that is fresh
     * and needs no clearing (a sanitizer's malloc may not know of that). */
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    e = open_small();
    write_txns(e, 1, checkpointed);
    ck_assert_int_eq(engine_checkpoint(e), OK);
    engine_close(e);
    if (txns == checkpointed)
        return;
    e = open_small();
    write_txns(e, checkpointed + 1, txns);
    /* An engine that dies: what a close would write is not. */
    struct kit_dir from = dir;
    size_t n;
    char *index = kit_read(&from, "index", &n);
    engine_close(e);
    kit_write(&dir, "index", index, n);
    free(index);
}

static void remove_all(void)
{
    char command[600];

    snprintf(command, sizeof command, "rm -rf '%s'", dir.path);
    ck_assert_int_eq(system(command), 0);
}

static void teardown(void)
{
    remove_all();
    model_free_bytes();
}

/* ---- what was found -------------------------------------------------------------------------- */

static struct {
    char text[8192];
    size_t n, problems, notes;
    bool agree;
    int asked;
} said;

static void on_found(void *arg, const struct engine_finding *f)
{
    (void)arg;
    said.problems += f->problem;
    said.notes += !f->problem;
    said.n +=
        (size_t)snprintf(said.text + said.n, sizeof said.text - said.n, "%s:%s%llu: %s\n", f->file,
                         f->place == ENGINE_AT_PAGE ? "p" : "", (unsigned long long)f->at, f->what);
    said.n = MIN_OF(said.n, sizeof said.text - 1);
}

static bool on_ask(void *arg, const struct engine_check_report *r)
{
    (void)arg;
    (void)r;
    said.asked++;
    return said.agree;
}

static const struct engine_check_options checking = {.found = on_found, .cache_bytes = 64 * KIB};

static struct engine_check_report check(void)
{
    struct engine_check_report r;
    struct err_detail d;
    enum err err;

    memset(&said, 0, sizeof said);
    err = engine_check(dir.path, &checking, &r, &d);
    ck_assert_msg(err == OK, "%s (%s)", err_text(err), d.text);
    ck_assert_uint_eq(said.problems, r.log_problems + r.index_problems);
    return r;
}

#define want_said(part)                                                                            \
    ck_assert_msg(strstr(said.text, (part)) != NULL, "no \"%s\" in:\n%s", (part), said.text)

static struct engine_check_report want_clean(void)
{
    struct engine_check_report r = check();

    ck_assert_msg(r.log_problems + r.index_problems == 0, "%s", said.text);
    return r;
}

static enum engine_repaired repair(bool agree)
{
    struct engine_repair_options o = {
        .check = checking, .agree = on_ask, .stamp = "20200101-000000"};
    struct engine_check_report r;
    struct err_detail d;
    enum engine_repaired done = ENGINE_SOUND;
    enum err err;

    memset(&said, 0, sizeof said);
    said.agree = agree;
    err = engine_repair(dir.path, &o, &r, &done, &d);
    ck_assert_msg(err == OK, "%s (%s)", err_text(err), d.text);
    return done;
}

static void want_model(const struct kit_model *m)
{
    struct engine *e = open_small();

    ck_assert(model_same_now(m, e));
    audit_engine(e);
    engine_close(e);
}

static bool there(const char *name)
{
    char path[600];

    snprintf(path, sizeof path, "%s/%s", dir.path, name);
    return access(path, F_OK) == 0;
}

/* ---- healthy --------------------------------------------------------------------------------- */

START_TEST(a_healthy_store_is_clean)
{
    struct engine_check_report r;

    setup(200, 300);
    r = want_clean();
    ck_assert_uint_gt(r.segments, 5);
    ck_assert_uint_eq(r.txns, 300);
    struct kit_model m = model_of(300, 0, 0);
    ck_assert_uint_eq(r.keys, m.n);
    ck_assert_uint_gt(r.pages, 2);
    want_model(&m);
    want_clean();
    kit_drop_index(&dir);
    want_clean();
    ck_assert_uint_eq(said.notes, 1);
    free(m.p);
    teardown();
}
END_TEST

START_TEST(an_empty_store_is_clean)
{
    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    want_clean();
    engine_close(open_small());
    ck_assert_uint_eq(want_clean().txns, 0);
    teardown();
}
END_TEST

/* Segments begin with another than 1, and their number changes while there is an index. */
START_TEST(a_compacted_store_is_clean)
{
    struct engine *e;

    setup(200, 200);
    e = open_small();
    ck_assert_int_eq(engine_compact(e), OK);
    write_txns(e, 201, 260);
    engine_close(e);
    ck_assert(!there(LOG_1));
    struct kit_model m = model_of(260, 0, 0);
    want_clean();
    kit_drop_index(&dir);
    want_clean();
    want_model(&m);
    want_clean();
    free(m.p);
    teardown();
}
END_TEST

/* Compaction was done with segment 1, and a crash kept it from removing it. */
START_TEST(leftovers_are_a_note)
{
    struct engine *e;
    char *p;
    size_t n;

    setup(60, 60);
    p = kit_read(&dir, LOG_1, &n);
    e = open_small();
    ck_assert_int_eq(engine_compact(e), OK);
    engine_close(e);
    memset(p + 100, 'x', 20);
    kit_write(&dir, LOG_1, p, n);
    want_clean();
    want_said(LOG_1 ":0: is not needed any more");
    free(p);
    teardown();
}
END_TEST

/* Loop: behind the last frame is what a crash left, or what was prepared for more. */
START_TEST(a_check_changes_nothing)
{
    size_t n[4];
    char *p[4];

    setup(40, 60);
    p[0] = kit_read(&dir, LOG_1, &n[0]);
    p[1] = kit_read(&dir, "index", &n[1]);
    p[0] = realloc(p[0], n[0] + 9);
    char last[16];
    for (int i = 99;; i--) {
        snprintf(last, sizeof last, "%08x.log", i);
        if (there(last))
            break;
    }
    p[2] = kit_read(&dir, last, &n[2]);
    p[2] = realloc(p[2], n[2] + 9);
    memset(p[2] + n[2], _i, 9);
    kit_write(&dir, last, p[2], n[2] + 9);
    struct engine_check_report r = want_clean();
    ck_assert_uint_eq(r.torn_bytes, _i == 0 ? 0 : 9);
    ck_assert_uint_eq(said.notes, _i == 0 ? 0 : 1);
    p[3] = kit_read(&dir, last, &n[3]);
    ck_assert_uint_eq(n[3], n[2] + 9);
    free(p[3]);
    p[3] = kit_read(&dir, "index", &n[3]);
    ck_assert_uint_eq(n[3], n[1]);
    ck_assert_mem_eq(p[3], p[1], n[1]);
    ck_assert(!there("index.check"));
    for (int i = 0; i < 4; i++)
        free(p[i]);
    teardown();
}
END_TEST

START_TEST(a_store_in_use_is_refused)
{
    struct engine_check_report r;
    struct err_detail d;
    struct engine *e;
    char pid[24];

    setup(3, 3);
    e = open_small();
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    ck_assert_int_eq(engine_check(dir.path, NULL, &r, &d), ERR_BUSY);
    ck_assert_msg(strstr(d.text, pid) != NULL, "%s", d.text);
    engine_close(e);
    ck_assert_int_eq(engine_check("/nowhere/at/all", NULL, &r, &d), ERR_NOTFOUND);
    teardown();
}
END_TEST

/* ---- every byte ------------------------------------------------------------------------------ */

/* Opens; what is served is right, or it is refused. Returns what became of it. */
enum served { RIGHT, REFUSED, FEWER };

static enum served serve(const struct kit_model *m, const struct kit_model *fewer)
{
    struct engine_options o = {
        .dir = dir.path, .segment_bytes = SEG_BYTES, .compact_bytes = MIB * KIB};
    struct err_detail d = {.text = ""};
    struct engine_reader *r;
    struct engine_cursor c;
    struct engine *e;
    enum served got = RIGHT;
    enum err err = engine_open(&e, &o, NULL, &d);
    size_t i = 0;

    if (err == ERR_CORRUPT)
        return REFUSED;
    ck_assert_msg(err == OK, "%s (%s)", err_text(err), d.text);
    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    const struct engine_view *v = engine_snap_begin(r);
    engine_cursor_init(&c, v, (str){"", 0});
    bool ok;
    str value;
    for (ok = engine_cursor_first(&c); ok && got == RIGHT; ok = engine_cursor_next(&c), i++) {
        err = engine_cursor_value(&c, &value);
        if (err == ERR_CORRUPT)
            got = REFUSED;
        else if (i >= m->n || !str_eq(engine_cursor_key(&c), model_key(m, i)) ||
                 !str_eq(value, model_value(m, i)))
            got = FEWER;
    }
    if (got == RIGHT && engine_cursor_err(&c) != OK)
        got = REFUSED;
    else if (got == RIGHT && i != m->n)
        got = FEWER;
    kit_quiet = true;
    if (got == FEWER)
        ck_assert_msg(fewer != NULL && model_same(fewer, v), "wrong data is served");
    kit_quiet = false;
    engine_snap_end(r);
    engine_reader_free(r);
    engine_close(e);
    return got;
}

struct files {
    char *p[8];
    size_t n[8];
    char name[8][16];
    int count;
};

static struct index_root newest_root(const struct files *f)
{
    struct index_root r[2];

    memcpy(&r[0], f->p[0], sizeof r[0]);
    memcpy(&r[1], f->p[0] + PAGE_BYTES, sizeof r[1]);
    return r[1].seq > r[0].seq ? r[1] : r[0];
}

static struct files files_take(void)
{
    struct files f = {.count = 0};

    snprintf(f.name[f.count++], 16, "index");
    for (int i = 1; i < 8; i++) {
        snprintf(f.name[f.count], 16, "%08x.log", i);
        f.count += there(f.name[f.count]);
    }
    for (int i = 0; i < f.count; i++)
        f.p[i] = kit_read(&dir, f.name[i], &f.n[i]);
    f.n[0] = MIN_OF(f.n[0], (size_t)newest_root(&f).pages * PAGE_BYTES); /* behind: room for more */
    return f;
}

static void files_put(const struct files *f)
{
    kit_dir_empty(&dir);
    for (int i = 0; i < f->count; i++)
        kit_write(&dir, f->name[i], f->p[i], f->n[i]);
}

static void files_free(struct files *f)
{
    for (int i = 0; i < f->count; i++)
        free(f->p[i]);
}

/* Is the page in use, or a root? What is in others does not matter. */
static bool page_counts(const struct files *f, size_t pgno)
{
    struct index_root root = newest_root(f);
    struct books_page books;
    uint64_t word;

    memcpy(&books, f->p[0] + (size_t)root.books * PAGE_BYTES, sizeof books);
    ck_assert_uint_eq(books.next, 0);
    memcpy(&word,
           books.data + sizeof(struct books_head) +
               (POS_SEG(root.tail) + 1 - root.first) * sizeof(struct books_segment) + pgno / 64 * 8,
           8);
    return pgno < 2 || pgno == root.books || (word >> (pgno % 64) & 1);
}

static void change(char *p, int how)
{
    *p = (char)(how == 0 ? *p ^ 1 : how == 1 ? ~*p : 0);
}

static bool repaired_is_openable(void)
{
    enum engine_repaired done = repair(true);

    check();
    ck_assert_msg(said.problems == 0, "after the repair (%d): %s", (int)done, said.text);
    return done != ENGINE_SOUND;
}

/* loop: 0 flips, 1 turns around, 2 zeroes each byte. */
START_TEST(every_byte_counts)
{
    struct files f;
    size_t found = 0, harmless = 0;

    setup(14, 22);
    f = files_take();
    ck_assert_int_eq(f.count, 3);
    struct kit_model m = model_of(22, 0, 0), fewer = model_of(21, 0, 0);
    for (int file = 0; file < f.count; file++) {
        for (size_t i = 0; i < f.n[file]; i++) {
            char was = f.p[file][i];
            /* Where nothing but zeros is, a part will do. */
            if (file == 0 && was == 0 && i % 7 != 0)
                continue;
            change(f.p[file] + i, _i);
            if (f.p[file][i] == was)
                continue;
            files_put(&f);
            struct engine_check_report r = check();
            bool clean = r.log_problems + r.index_problems == 0;
            char text[sizeof said.text];
            memcpy(text, said.text, sizeof text);
            enum served got = serve(&m, &fewer);
            f.p[file][i] = was;
            if (clean && r.torn_bytes == 0) {
                ck_assert_msg(file == 0 && !page_counts(&f, i / PAGE_BYTES),
                              "byte %zu of %s is not covered", i, f.name[file]);
                ck_assert_int_eq(got, RIGHT);
                harmless++;
                continue;
            }
            ck_assert_msg(got != FEWER || (clean && r.torn_bytes > 0), "byte %zu of %s: %s", i,
                          f.name[file], text);
            ck_assert_msg(clean || strstr(text, f.name[file]) != NULL ||
                              (file > 0 && strstr(text, ".log") != NULL),
                          "byte %zu of %s: %s", i, f.name[file], text);
            found++;
        }
    }
    ck_assert_uint_gt(found, 5000);
    ck_assert_uint_lt(harmless, found);
    files_free(&f);
    free(m.p);
    free(fewer.p);
    teardown();
}
END_TEST

START_TEST(every_cut_is_found)
{
    struct files f;

    setup(14, 22);
    f = files_take();
    struct kit_model m = model_of(22, 0, 0);
    for (int file = 0; file < f.count; file++) {
        for (size_t n = 0; n < f.n[file]; n += file == 0 ? 97 : 1) {
            struct files cut = f;
            cut.n[file] = n;
            files_put(&cut);
            struct engine_check_report r = check();
            bool last = file + 1 == f.count;
            bool clean = r.log_problems + r.index_problems == 0;
            /* The end of the log can be torn, and the index can be new. */
            ck_assert_msg(!clean || (last && r.txns >= 14) || (file == 0 && n <= PAGE_BYTES),
                          "%s cut at %zu", f.name[file], n);
            if (!last && file > 0)
                ck_assert_int_eq(serve(&m, NULL), REFUSED);
            else if (file == 0)
                ck_assert_int_eq(serve(&m, NULL), RIGHT);
            else if (clean) {
                struct kit_model some = model_of((int)r.txns, 0, 0);
                serve(&m, &some);
                free(some.p);
            } else
                ck_assert_int_eq(serve(&m, NULL), REFUSED);
        }
    }
    files_free(&f);
    free(m.p);
    teardown();
}
END_TEST

/* ---- pages with a right checksum ------------------------------------------------------------- */

/* Which bytes of a tree page say something: not the hints, the transaction (any earlier one will do),
 * what lies between slots and cells, dead cells, and the key of a branch's first slot. */
static void bytes_that_count(const struct page *p, bool counts[PAGE_BYTES])
{
    memset(counts, false, PAGE_BYTES);
    memset(counts + 4, true, 4);
    memset(counts + 16, true, 13);
    memset(counts + PAGE_HEADER_BYTES, true, 2u * p->count);
    memset(counts + PAGE_BYTES - p->prefix, true, p->prefix);
    for (unsigned i = 0; i < p->count; i++) {
        struct cell c = node_cell(p, i);
        const uint8_t *from = p->level > 0 && i == 0 ? c.body : (const uint8_t *)p + p->slot[i];
        memset(counts + (from - (const uint8_t *)p), true, (size_t)(c.body + c.body_n - from));
    }
}

/* Whatever the bytes of a tree page say. */
START_TEST(nonsense_with_a_right_checksum)
{
    static const uint8_t nonsense[] = {0, 1, 0x7f, 0x80, 0x81, 0xff};
    static bool counts[PAGE_BYTES];
    struct files f;
    size_t tried = 0;
    int leaves = 0;

    setup(200, 200);
    f = files_take();
    struct index_root root = newest_root(&f);
    ck_assert_uint_ge(root.depth, 2);
    for (uint32_t pgno = PAGE_FIRST; pgno < root.pages; pgno++) {
        struct page *p = (void *)(f.p[0] + (size_t)pgno * PAGE_BYTES), before = *p;
        if (!page_counts(&f, pgno) || pgno == root.books || (p->level == 0 && leaves++ > 1))
            continue;
        bytes_that_count(p, counts);
        for (size_t at = 4; at < PAGE_BYTES; at += at < 300 ? 1 : 3)
            for (size_t k = 0; k < ARRAY_LEN(nonsense); k++) {
                uint8_t *byte = (uint8_t *)p + at;
                if (*byte == nonsense[k] || (!counts[at] && k > 0))
                    continue;
                *byte = nonsense[k];
                p->crc = page_crc(p);
                kit_write(&dir, "index", f.p[0], f.n[0]);
                check();
                ck_assert_msg(said.problems > 0 || !counts[at], "page %u, byte %zu: %02x", pgno, at,
                              *byte);
                tried++;
                *p = before;
            }
    }
    ck_assert_uint_gt(tried, 1000);
    files_free(&f);
    teardown();
}
END_TEST

/* Roots and books, in the same way. */
START_TEST(nonsense_in_roots_and_books)
{
    static const uint32_t nonsense[] = {0, 1, 2, 3, 0x100, 0xffff, 0x7fffffff, 0xffffffff};
    struct files f;

    setup(100, 100);
    f = files_take();
    struct index_root root = newest_root(&f), *r = (void *)(f.p[0] + root.seq % 2 * PAGE_BYTES);
    struct page *b = (void *)(f.p[0] + (size_t)root.books * PAGE_BYTES), books = *b;
    for (size_t at = 8; at < offsetof(struct index_root, crc); at += 4)
        for (size_t k = 0; k < ARRAY_LEN(nonsense); k++) {
            if (memcmp((uint8_t *)r + at, &nonsense[k], 4) == 0)
                continue;
            memcpy((uint8_t *)r + at, &nonsense[k], 4);
            r->crc = crc32c(0, r, offsetof(struct index_root, crc));
            kit_write(&dir, "index", f.p[0], f.n[0]);
            check();
            *r = root;
            ck_assert_msg(said.problems > 0 || at == offsetof(struct index_root, pages) ||
                              at == offsetof(struct index_root, unproven),
                          "root: offset %zu, %x", at, nonsense[k]);
        }
    for (size_t at = 4; at < 400; at += 4)
        for (size_t k = 0; k < ARRAY_LEN(nonsense); k++) {
            memcpy((uint8_t *)b + at, &nonsense[k], 4);
            b->crc = page_crc(b);
            if (memcmp(b, &books, sizeof books) == 0)
                continue;
            kit_write(&dir, "index", f.p[0], f.n[0]);
            check();
            *b = books;
        }
    files_free(&f);
    teardown();
}
END_TEST

/* The index by itself is right, and the log, and they do not belong together. */
START_TEST(an_index_that_differs_from_the_log)
{
    struct files f, g;

    setup(50, 50);
    f = files_take();
    struct index_root root = newest_root(&f);
    for (uint32_t pgno = PAGE_FIRST; pgno < root.pages; pgno++) {
        struct page *p = (void *)(f.p[0] + (size_t)pgno * PAGE_BYTES), before = *p;
        struct value_ref ref;
        if (!page_counts(&f, pgno) || pgno == root.books || p->level > 0)
            continue;
        struct cell c = node_cell(p, 0);
        body_decode(c.body, &ref);
        ((uint8_t *)p)[(size_t)(c.body - (uint8_t *)p) + c.body_n - 1] ^= ref.kind & 1 ? 0x20 : 0;
        ((uint8_t *)p)[(size_t)(c.body - (uint8_t *)p) + c.body_n - 4] ^= ref.kind & 1 ? 0 : 4;
        p->crc = page_crc(p);
        kit_write(&dir, "index", f.p[0], f.n[0]);
        check();
        ck_assert_uint_gt(said.problems, 0);
        want_said("has another value than the log says");
        *p = before;
    }
    files_put(&f);
    ck_assert_uint_eq(check().index_problems, 0);
    /* An older log with a newer index has lost something; a newer one has not. */
    struct engine *e = open_small();
    write_txns(e, 51, 70);
    engine_close(e);
    g = files_take();
    kit_write(&dir, "index", f.p[0], f.n[0]);
    want_clean();
    files_put(&f);
    kit_write(&dir, "index", g.p[0], g.n[0]);
    ck_assert_uint_gt(check().log_problems, 0);
    want_said("51 to 70 are missing");
    files_free(&f);
    files_free(&g);
    teardown();
}
END_TEST

/* One more transaction, whose frame is as long whatever `key` is. */
static void write_one(const char *key)
{
    struct engine *e = open_small();

    ck_assert_int_eq(kit_put(e, str_from(key), STR("a value")), OK);
    engine_close(e);
}

/* The index of one day beside the log of another: both begin alike, and go on with another key. */
static void mix_histories(void)
{
    struct files f, g;

    setup(50, 50);
    f = files_take();
    write_one("only/of/the/index");
    g = files_take();
    files_put(&f);
    write_one("only/of/the/log..");
    kit_write(&dir, "index", g.p[0], g.n[0]);
    files_free(&f);
    files_free(&g);
}

START_TEST(keys_that_the_log_has_not_are_counted)
{
    struct engine_check_report r;

    mix_histories();
    r = check();
    ck_assert_uint_eq(r.log_problems, 0);
    ck_assert_uint_gt(r.index_problems, 0);
    want_said("\"only/of/the/index\" is not there by the log");
    ck_assert(r.keys_known);
    ck_assert_uint_eq(r.filed_keys, r.keys);
    ck_assert_uint_eq(r.extra_keys, 1);
    ck_assert_uint_eq(r.lost_keys, 1);
    ck_assert_uint_eq(r.back_keys, 1);
    teardown();
}
END_TEST

/* Also when the tree cannot be walked, as a page of it is damaged: of the keys that are left. */
START_TEST(keys_of_a_damaged_index_are_looked_for)
{
    struct engine_check_report whole, r;
    struct files f;
    size_t hit = 0;

    mix_histories();
    whole = check();
    f = files_take();
    struct index_root root = newest_root(&f);
    for (uint32_t pgno = PAGE_FIRST; pgno < root.pages; pgno++) {
        struct page *p = (void *)(f.p[0] + (size_t)pgno * PAGE_BYTES);
        if (!page_counts(&f, pgno) || pgno == root.books || p->level > 0)
            continue;
        bool has = memmem(p, PAGE_BYTES, "only/of/the/index", 17) != NULL;
        unsigned count = p->count;
        p->crc ^= 1;
        kit_write(&dir, "index", f.p[0], f.n[0]);
        p->crc ^= 1;
        r = check();
        want_said("bad checksum");
        ck_assert(!r.keys_known);
        ck_assert_uint_eq(r.filed_keys, whole.filed_keys - count);
        ck_assert_uint_eq(r.extra_keys, !has);
        ck_assert_uint_eq(r.lost_keys, !has);
        hit += has;
    }
    ck_assert_uint_eq(hit, 1);
    files_free(&f);
    teardown();
}
END_TEST

/* ---- repair ---------------------------------------------------------------------------------- */

/* What only the index has is not given up unasked. */
START_TEST(an_index_with_more_than_the_log_is_asked_about)
{
    struct files f, g;

    mix_histories();
    f = files_take();
    ck_assert_int_eq(repair(false), ENGINE_NOT_AGREED);
    ck_assert_int_eq(said.asked, 1);
    g = files_take();
    for (int i = 0; i < f.count; i++) {
        ck_assert_uint_eq(f.n[i], g.n[i]);
        ck_assert_mem_eq(f.p[i], g.p[i], f.n[i]);
    }
    ck_assert(!there("index.damaged"));
    ck_assert_int_eq(repair(true), ENGINE_INDEX_REBUILT);
    ck_assert_int_eq(said.asked, 1);
    want_clean();
    struct kit_model m = model_of(50, 0, 0);
    model_put(&m, STR("only/of/the/log.."), STR("a value"));
    want_model(&m);
    free(m.p);
    files_free(&f);
    files_free(&g);
    teardown();
}
END_TEST

START_TEST(a_sound_store_needs_no_repair)
{
    setup(20, 30);
    ck_assert_int_eq(repair(true), ENGINE_SOUND);
    ck_assert_int_eq(said.asked, 0);
    teardown();
}
END_TEST

/* What was put aside before stays. */
START_TEST(a_stamp_is_used_once)
{
    struct engine_repair_options o = {
        .check = checking, .agree = on_ask, .stamp = "20200101-000000"};
    struct engine_check_report r;
    enum engine_repaired done;
    struct err_detail d;
    struct files f;
    char path[600];

    setup(9, 9);
    f = files_take();
    f.p[1][100] ^= 1;
    files_put(&f);
    snprintf(path, sizeof path, "%s/damaged-20200101-000000", dir.path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    said.agree = true;
    ck_assert_int_eq(engine_repair(dir.path, &o, &r, &done, &d), ERR_EXISTS);
    ck_assert_msg(strstr(d.text, path) != NULL, "%s", d.text);
    ck_assert(!there("repair.tmp"));
    o.stamp[0] = '/';
    ck_assert_int_eq(engine_repair(dir.path, &o, &r, &done, &d), ERR_SYNTAX);
    files_free(&f);
    teardown();
}
END_TEST

/* Where transaction i begins: file in *file. */
static size_t frame_of(const struct files *f, uint64_t txn, int *file)
{
    for (*file = 1; *file < f->count; ++*file)
        for (size_t at = SEGMENT_HEADER_BYTES; at < f->n[*file];) {
            struct frame_header h;
            memcpy(&h, f->p[*file] + at, sizeof h);
            if (h.txn == txn)
                return at;
            at += FRAME_HEADER_BYTES + h.bytes;
        }
    ck_abort_msg("no transaction %llu", (unsigned long long)txn);
}

/* The directory is byte by byte what it was, but for LOCK. */
static void want_untouched(const struct files *f)
{
    struct files now = files_take();
    DIR *d = opendir(dir.path);
    struct dirent *entry;
    int n = 0;

    ck_assert_int_eq(now.count, f->count);
    for (int i = 0; i < f->count; i++) {
        ck_assert_str_eq(now.name[i], f->name[i]);
        ck_assert_uint_eq(now.n[i], f->n[i]);
        ck_assert_mem_eq(now.p[i], f->p[i], f->n[i]);
    }
    while ((entry = readdir(d)) != NULL)
        n += entry->d_name[0] != '.' && strcmp(entry->d_name, "LOCK") != 0;
    closedir(d);
    ck_assert_int_eq(n, f->count);
    files_free(&now);
}

static enum err try_open(void)
{
    struct engine_options o = {.dir = dir.path, .segment_bytes = SEG_BYTES};
    struct err_detail d;
    struct engine *e;
    enum err err = engine_open(&e, &o, NULL, &d);

    if (err == OK)
        engine_close(e);
    return err;
}

/* A byte here and there in the log, a segment that is cut or gone: whoever refuses the store leaves it as it
 * is, and so does a repair that was not agreed to, or that fails. */
START_TEST(what_is_refused_is_left_alone)
{
    struct files f;
    size_t refused = 0;

    setup(14, 30);
    f = files_take();
    for (int file = 1; file < f.count; file++)
        for (size_t at = 3; at < f.n[file]; at += 101) {
            struct files bad = f;
            if (at % 2 == 0)
                bad.n[file] = at;
            f.p[file][at] ^= 0x10;
            files_put(&bad);
            if (try_open() == ERR_CORRUPT) {
                want_untouched(&bad);
                ck_assert_int_eq(repair(false), ENGINE_NOT_AGREED);
                want_untouched(&bad);
                refused++;
            }
            f.p[file][at] ^= 0x10;
        }
    ck_assert_uint_gt(refused, 30);
    files_put(&f);
    char path[600];
    snprintf(path, sizeof path, "%s/" LOG_1, dir.path);
    ck_assert_int_eq(unlink(path), 0);
    struct files without = files_take();
    ck_assert_int_eq(try_open(), ERR_CORRUPT);
    want_untouched(&without);
    files_free(&without);
    files_free(&f);
    teardown();
}
END_TEST

/* Beside a log that is refused an index that is of no use is put aside, whole, and the log stays. */
START_TEST(a_log_that_is_refused_without_its_index)
{
    struct files f;
    int file;

    setup(14, 30);
    f = files_take();
    f.p[0][40] ^= 1;
    size_t at = frame_of(&f, 20, &file);
    f.p[file][at + 40] ^= 1;
    files_put(&f);
    ck_assert_int_eq(try_open(), ERR_CORRUPT);
    for (int i = 0; i < f.count; i++) {
        size_t n;
        char *p = kit_read(&dir, i == 0 ? "index.damaged" : f.name[i], &n);
        ck_assert_uint_eq(n, f.n[i]);
        ck_assert_mem_eq(p, f.p[i], n);
        free(p);
    }
    files_free(&f);
    teardown();
}
END_TEST

/* The new store turns out not to be right: the old one stays. */
static int r_rename(const char *from, const char *to)
{
    ck_assert_msg(strstr(to, "repaired-") == NULL && strstr(to, "damaged-") == NULL, "%s", to);
    return os_kernel.rename(from, to);
}

static int in_new = -1;

static int w_open(const char *path, int flags, unsigned mode)
{
    int fd = os_kernel.open(path, flags, mode);

    if (strstr(path, "repair.tmp/" LOG_1) != NULL && (flags & O_CREAT))
        in_new = fd;
    return fd;
}

/* The disk writes something else. */
static ssize_t w_pwritev(int fd, const struct iovec *v, int n, uint64_t off)
{
    ssize_t r = os_kernel.pwritev(fd, v, n, off);

    if (fd == in_new)
        ck_assert_int_eq(os_kernel.pwrite(fd, "x", 1, off + 50), 1);
    return r;
}

START_TEST(a_repair_that_writes_nonsense)
{
    struct engine_repair_options o = {
        .check = checking, .agree = on_ask, .stamp = "20200101-000000"};
    struct os_ops ops = os_kernel;
    struct engine_check_report r;
    enum engine_repaired done;
    struct err_detail d;
    struct files f;
    int file;

    setup(14, 30);
    f = files_take();
    size_t at = frame_of(&f, 9, &file);
    f.p[file][at + 40] ^= 1;
    files_put(&f);
    said.agree = true;
    ops.open = w_open;
    ops.pwritev = w_pwritev;
    ops.rename = r_rename;
    os_test_replace(&ops);
    ck_assert_int_eq(engine_repair(dir.path, &o, &r, &done, &d), ERR_CORRUPT);
    os_test_replace(NULL);
    ck_assert_int_ge(in_new, 0);
    want_untouched(&f);
    files_free(&f);
    teardown();
}
END_TEST

START_TEST(a_damaged_index_is_made_anew)
{
    struct files f;

    setup(60, 80);
    f = files_take();
    struct kit_model m = model_of(80, 0, 0);
    f.p[0][2 * PAGE_BYTES + 1000] ^= 1;
    for (size_t pgno = 2; pgno * PAGE_BYTES < f.n[0]; pgno++)
        f.p[0][pgno * PAGE_BYTES + 1000] ^= 1;
    files_put(&f);
    ck_assert_int_eq(repair(false), ENGINE_INDEX_REBUILT);
    ck_assert_int_eq(said.asked, 0);
    ck_assert(there("index.damaged"));
    want_clean();
    want_model(&m);
    files_free(&f);
    free(m.p);
    teardown();
}
END_TEST

/* The files are all kept, or nothing is done; the message names what is in the way. */
START_TEST(a_damaged_index_that_cannot_be_kept)
{
    struct engine_repair_options o = {.check = checking, .stamp = "20200101-000000"};
    struct engine_check_report r;
    enum engine_repaired done;
    struct err_detail d;
    struct files f;
    char path[600];

    setup(60, 80);
    f = files_take();
    f.p[0][40] ^= 1;
    kit_write(&dir, "index", f.p[0], f.n[0]);
    snprintf(path, sizeof path, "%s/index.damaged", dir.path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(engine_repair(dir.path, &o, &r, &done, &d), ERR_IO);
    ck_assert_msg(strncmp(d.text, path, strlen(path)) == 0, "%s", d.text);
    ck_assert(there("index"));
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(repair(false), ENGINE_INDEX_REBUILT);
    want_clean();
    files_free(&f);
    teardown();
}
END_TEST

/* Each frame in turn: all of it, its header, a byte of its payload. */
START_TEST(what_is_left_is_the_rest)
{
    struct files f;

    setup(_i == 3 ? 0 : 30, 44);
    f = files_take();
    for (int txn = 1; txn <= 43; txn++) {
        int file;
        size_t at = frame_of(&f, (uint64_t)txn, &file);
        struct files bad = f;
        struct frame_header h;
        char says[64];
        memcpy(&h, f.p[file] + at, sizeof h);
        bad.p[file] = malloc(f.n[file]);
        memcpy(bad.p[file], f.p[file], f.n[file]);
        if (_i == 0 || _i == 3)
            memset(bad.p[file] + at, 0x55, FRAME_HEADER_BYTES + h.bytes);
        else
            bad.p[file][at + (_i == 1 ? 13 : FRAME_HEADER_BYTES + 3)] ^= 4;
        files_put(&bad);
        struct engine_check_report r = check();
        snprintf(says, sizeof says, "%s:%zu: bad frame, %u bytes, transaction %d is missing\n",
                 f.name[file], at, FRAME_HEADER_BYTES + h.bytes, txn);
        want_said(says);
        ck_assert_uint_eq(r.log_problems, 1);
        ck_assert_uint_eq(r.lost_txns, 1);
        ck_assert_uint_eq(r.lost_bytes, FRAME_HEADER_BYTES + h.bytes);
        ck_assert_int_eq(repair(false), ENGINE_NOT_AGREED);
        ck_assert_int_eq(repair(true), ENGINE_LOG_REWRITTEN);
        struct kit_model m = model_of(44, txn, txn + 1);
        ck_assert(there("damaged-20200101-000000/" LOG_1));
        want_clean();
        want_model(&m);
        free(m.p);
        free(bad.p[file]);
        remove_all();
        kit_dir_make(&dir);
    }
    files_free(&f);
    teardown();
}
END_TEST

/* A header: its fields, its salt, all of it. */
START_TEST(a_bad_header_loses_nothing)
{
    struct files f;

    setup(30, 44);
    f = files_take();
    if (_i >= 3)
        f.name[0][0] = 'X'; /* no index to help */
    memset(f.p[2] + (_i % 3 == 1 ? 16 : 0), _i % 3 == 0 ? 0x11 : 0, _i % 3 == 1 ? 4 : 64);
    if (_i % 3 == 0)
        f.p[2][8] ^= 1;
    files_put(&f);
    unlink("X");
    struct engine_check_report r = check();
    want_said(LOG_2 ":0: bad header, 64 bytes\n");
    ck_assert_uint_eq(r.lost_txns, 0);
    ck_assert_uint_eq(r.txns, 44);
    ck_assert_int_eq(repair(true), ENGINE_LOG_REWRITTEN);
    struct kit_model m = model_of(44, 0, 0);
    want_model(&m);
    want_clean();
    free(m.p);
    files_free(&f);
    teardown();
}
END_TEST

static int first_of(const struct files *f, int file)
{
    struct segment_header h;

    memcpy(&h, f->p[file], sizeof h);
    return (int)h.first_txn;
}

/* A segment in the middle, the first, the last that the index knows. */
START_TEST(a_missing_segment)
{
    struct files f;
    char says[80];

    setup(48, 48);
    f = files_take();
    ck_assert_int_ge(f.count, 4);
    int file = _i == 0 ? 2 : _i == 1 ? 1 : f.count - 1;
    int from = first_of(&f, file), to = file + 1 < f.count ? first_of(&f, file + 1) : 49;
    files_put(&f);
    char path[600];
    snprintf(path, sizeof path, "%s/%s", dir.path, f.name[file]);
    unlink(path);
    struct engine_check_report r = check();
    snprintf(says, sizeof says, "%s:0: segment is missing", f.name[file]);
    want_said(says);
    ck_assert(r.log_problems > 0);
    if (_i != 1) {
        ck_assert_uint_eq(r.lost_txns, (uint64_t)(to - from));
        ck_assert(r.keys_known);
        ck_assert_uint_gt(r.lost_keys, 0);
    }
    ck_assert_int_eq(repair(true), ENGINE_LOG_REWRITTEN);
    struct kit_model m = model_of(48, from, to);
    want_model(&m);
    want_clean();
    free(m.p);
    files_free(&f);
    teardown();
}
END_TEST

/* A TRIM that gives up what is needed: nothing is missing yet, and a repair sees to it that it stays so. */
START_TEST(a_segment_given_up_too_early)
{
    static const uint8_t trim[] = {OP_TRIM, 2};
    struct frame_header h = {.bytes = sizeof trim, .txn = 49, .body_crc = crc32c(0, trim, 2)};
    struct segment_header header;
    struct files f;
    int file;

    setup(48, 48);
    f = files_take();
    size_t at = frame_of(&f, 48, &file), n = f.n[file];
    uint8_t *longer = malloc(n + sizeof h + sizeof trim);
    memcpy(longer, f.p[file], n);
    memcpy(&header, longer, sizeof header);
    memcpy(&h.link, longer + at, sizeof h.link);
    h.head_crc = frame_head_crc(&h, header.salt);
    memcpy(longer + n, &h, sizeof h);
    memcpy(longer + n + sizeof h, trim, sizeof trim);
    kit_write(&dir, f.name[file], longer, n + sizeof h + sizeof trim);
    struct engine_check_report r = check();
    ck_assert_uint_eq(r.log_problems, 1);
    want_said("gives up a segment that is of use");
    ck_assert_int_eq(repair(true), ENGINE_LOG_REWRITTEN);
    struct kit_model m = model_of(48, 0, 0);
    want_model(&m);
    want_clean();
    free(longer);
    free(m.p);
    files_free(&f);
    teardown();
}
END_TEST

/* What shares a value shares it again, also when the key that brought it is gone. */
START_TEST(links_are_kept)
{
    static char value[3000];
    struct engine_stats st;
    struct engine_txn *t;
    struct engine *e;
    struct files f;
    int file;

    setup(9, 9);
    e = open_small();
    t = kit_begin(e);
    ck_assert_int_eq(engine_put(t, STR("a"), (str){value, sizeof value}), OK);
    for (const char *key = "b\0c\0d\0"; *key; key += 2)
        ck_assert_int_eq(engine_link(t, str_from(key)), OK);
    ck_assert_int_eq(engine_del_prefix(t, STR("key"), NULL), OK);
    ck_assert_int_eq(engine_del_prefix(t, STR("link"), NULL), OK);
    ck_assert_int_eq(kit_commit(t), OK);
    t = kit_begin(e);
    ck_assert_int_eq(engine_del(t, STR("a")), OK);
    ck_assert_int_eq(kit_commit(t), OK);
    engine_close(e);
    f = files_take();
    size_t at = frame_of(&f, 3, &file);
    f.p[file][at] ^= 1;
    files_put(&f);
    ck_assert_int_eq(repair(true), ENGINE_LOG_REWRITTEN);
    e = open_small();
    engine_stats(e, &st);
    engine_close(e);
    ck_assert_uint_eq(st.keys, 3);
    ck_assert_uint_eq(st.live_value_bytes, sizeof value);
    ck_assert_uint_lt(st.log_bytes, 2 * sizeof value);
    files_free(&f);
    teardown();
}
END_TEST

/* Random damage, of all kinds and several at once: what a repair leaves is a store. */
START_TEST(any_damage_can_be_repaired)
{
    uint64_t seed = kit_seed();
    struct files f;

    setup(40, 60);
    f = files_take();
    for (int round = 0; round < 150; round++) {
        struct files bad = f;
        for (int i = 0; i < bad.count; i++) {
            bad.p[i] = malloc(f.n[i]);
            memcpy(bad.p[i], f.p[i], f.n[i]);
        }
        for (unsigned k = kit_rand(&seed) % 4; k < 4; k++) {
            int i = (int)(kit_rand(&seed) % (unsigned)bad.count);
            size_t at = kit_rand(&seed) % f.n[i], n = 1 + kit_rand(&seed) % 300;
            n = MIN_OF(n, f.n[i] - at);
            if (kit_rand(&seed) % 5 == 0)
                bad.n[i] = MIN_OF(bad.n[i], at);
            else if (kit_rand(&seed) % 3 == 0)
                memmove(bad.p[i] + at, bad.p[i], MIN_OF(n, at));
            else
                memset(bad.p[i] + at, (int)kit_rand(&seed), n);
        }
        files_put(&bad);
        repaired_is_openable();
        engine_close(open_small());
        for (int i = 0; i < bad.count; i++)
            free(bad.p[i]);
        remove_all();
        kit_dir_make(&dir);
    }
    files_free(&f);
    teardown();
}
END_TEST

/* ---- a disk that does not give everything ----------------------------------------------------- */

static const char *bad_file;
static uint64_t bad_block;
static int bad_fd = -1;

static int b_open(const char *path, int flags, unsigned mode)
{
    int fd = os_kernel.open(path, flags, mode);
    size_t n = strlen(path), m = strlen(bad_file);

    if (n > m && strcmp(path + n - m, bad_file) == 0 && strstr(path, "repair.tmp") == NULL)
        bad_fd = fd;
    return fd;
}

/* The file can be read the first time, and the second time a frame is gone. */
static int opened;

static int f_open(const char *path, int flags, unsigned mode)
{
    size_t n = strlen(path);

    if (n > sizeof LOG_1 && strcmp(path + n - sizeof LOG_1 + 1, LOG_1) == 0 &&
        strstr(path, "repair.tmp") == NULL && ++opened == 3) {
        int fd = os_kernel.open(path, O_RDWR, 0);
        ck_assert_int_eq(pwrite(fd, "x", 1, SEGMENT_HEADER_BYTES + 8), 1);
        close(fd);
    }
    return os_kernel.open(path, flags, mode);
}

/* Keys that are written again later are there without the frame, too: their number does not tell. */
START_TEST(a_log_that_changes_during_its_repair)
{
    struct engine_repair_options o = {
        .check = checking, .agree = on_ask, .stamp = "20200101-000000"};
    struct os_ops ops = os_kernel;
    struct engine_check_report r;
    enum engine_repaired done;
    struct err_detail d;
    struct engine *e;
    struct files f;
    int file;

    setup(0, 0);
    e = open_small();
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(kit_put(e, i == 7 ? STR("other") : STR("key"), STR("a value")), OK);
    engine_close(e);
    f = files_take();
    size_t at = frame_of(&f, 8, &file);
    f.p[file][at + 40] ^= 1;
    files_put(&f);
    memset(&said, 0, sizeof said);
    said.agree = true;
    opened = 0;
    ops.open = f_open;
    os_test_replace(&ops);
    ck_assert_int_eq(engine_repair(dir.path, &o, &r, &done, &d), ERR_IO);
    os_test_replace(NULL);
    ck_assert_msg(strstr(d.text, "not the same") != NULL, "%s", d.text);
    ck_assert_int_ge(opened, 3);
    ck_assert(!there("repair.tmp"));
    ck_assert_int_eq(repair(true), ENGINE_LOG_REWRITTEN);
    files_free(&f);
    teardown();
}
END_TEST

static int b_close(int fd)
{
    bad_fd = fd == bad_fd ? -1 : bad_fd;
    return os_kernel.close(fd);
}

static ssize_t b_pread(int fd, void *p, size_t n, uint64_t off)
{
    if (fd != bad_fd || off + n <= bad_block || off >= bad_block + 4096)
        return os_kernel.pread(fd, p, n, off);
    errno = EIO;
    return -1;
}

/* loop: a block in the first segment, its header's block, a page of the index. */
START_TEST(bad_blocks_are_damage)
{
    struct os_ops ops = os_kernel;
    struct engine_check_report r;

    setup(40, 60);
    bad_file = _i < 2 ? LOG_1 : "index";
    bad_block = _i == 0 ? 4096 : _i == 1 ? 0 : 3 * 4096;
    ops.open = b_open;
    ops.close = b_close;
    ops.pread = b_pread;
    os_test_replace(&ops);
    r = check();
    want_said("cannot be read");
    ck_assert_int_eq(r.log_problems > 0, _i < 2);
    ck_assert_int_eq(repair(true), _i < 2 ? ENGINE_LOG_REWRITTEN : ENGINE_INDEX_REBUILT);
    os_test_replace(NULL);
    want_clean();
    ck_assert_uint_gt(check().keys, 0);
    teardown();
}
END_TEST

/* ---- a repair that fails, or dies ------------------------------------------------------------ */

/* A backup beside a repair that was stopped: not before it was brought to its end, as the new store lies in
 * two places; before it was decided, the damage is in the way; behind it, all is there. */
static void back_up_beside(bool pending, bool ended, const struct kit_model *m)
{
    struct kit_dir to, was = dir;
    struct engine_backup_result r;
    struct err_detail d;

    kit_dir_make(&to);
    enum err err = engine_backup(&(struct engine_backup){.dir = dir.path, .dest = to.path}, &r, &d);
    ck_assert_int_eq(err, pending ? ERR_BUSY : ended ? OK : ERR_CORRUPT);
    dir = to;
    if (err == OK)
        want_model(m);
    else
        ck_assert(!there(LOG_1));
    remove_all();
    dir = was;
}

/* loop: 0 one call fails, 1 all from then on, as when the process dies. Then the store is the damaged one,
 * which is refused and can be repaired, or the new one. */
START_TEST(a_repair_that_stops_anywhere)
{
    struct engine_repair_options o = {
        .check = checking, .agree = on_ask, .stamp = "20200101-000000"};
    struct files f;
    int file, old = 0, new = 0;

    setup(20, 40);
    f = files_take();
    size_t at = frame_of(&f, 9, &file);
    f.p[file][at + 40] ^= 1;
    struct kit_model m = model_of(40, 9, 10);
    for (int n = 1;; n++) {
        struct engine_check_report r;
        struct err_detail d;
        enum engine_repaired done = ENGINE_SOUND;
        files_put(&f);
        said.agree = true;
        faults_plan(~0u, n, _i == 1, EIO);
        faults_install();
        enum err err = engine_repair(dir.path, &o, &r, &done, &d);
        os_test_replace(NULL);
        bool hit = atomic_load(&faults.failed) > 0;
        if (!hit)
            ck_assert_int_eq(err, OK);
        memset(&said, 0, sizeof said);
        said.agree = true;
        /* Damage that lies before the index's end is not seen by an opening: only by the check. */
        if (err != OK) {
            enum engine_repaired again;
            bool pending = false;
            ck_assert_int_eq(repair_pending(dir.path, &pending, &d), OK);
            bool decided = pending || there("damaged-20200101-000000");
            if (pending)
                ck_assert_int_eq(engine_check(dir.path, NULL, &r, &d), ERR_AGAIN);
            back_up_beside(pending, decided, &m);
            if (pending && n % 2 == 0)
                want_model(&m); /* an opening brings it to its end */
            ck_assert_int_eq(
                engine_repair(dir.path,
                              &(struct engine_repair_options){
                                  .check = checking, .agree = on_ask, .stamp = "20200101-000001"},
                              &r, &again, &d),
                OK);
            ck_assert_int_eq(again, decided ? ENGINE_SOUND : ENGINE_LOG_REWRITTEN);
            old += !decided;
            new += decided;
        }
        want_clean();
        want_model(&m);
        ck_assert(!there("repair.tmp"));
        remove_all();
        kit_dir_make(&dir);
        if (!hit)
            break;
    }
    ck_assert_int_gt(old, 10);
    ck_assert_int_gt(new, 5);
    files_free(&f);
    free(m.p);
    teardown();
}
END_TEST

/* ---- small parts ----------------------------------------------------------------------------- */

START_TEST(a_checksum_can_be_undone)
{
    uint64_t seed = kit_seed();

    for (int i = 0; i < 1000; i++) {
        uint32_t salt = kit_rand(&seed);
        uint8_t p[24];
        for (size_t k = 0; k < sizeof p; k++)
            p[k] = (uint8_t)kit_rand(&seed);
        ck_assert_uint_eq(crc32c_undo(crc32c(salt, p, sizeof p), p, sizeof p), salt);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/check");
    TCase *t = tcase_create("healthy");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_checksum_can_be_undone);
    tcase_add_test(t, a_healthy_store_is_clean);
    tcase_add_test(t, an_empty_store_is_clean);
    tcase_add_test(t, a_compacted_store_is_clean);
    tcase_add_test(t, leftovers_are_a_note);
    tcase_add_loop_test(t, a_check_changes_nothing, 0, 2);
    tcase_add_test(t, a_store_in_use_is_refused);
    suite_add_tcase(s, t);
    t = tcase_create("damage");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, every_byte_counts, 0, 3);
    tcase_add_test(t, every_cut_is_found);
    tcase_add_test(t, nonsense_with_a_right_checksum);
    tcase_add_test(t, nonsense_in_roots_and_books);
    tcase_add_test(t, an_index_that_differs_from_the_log);
    tcase_add_test(t, keys_that_the_log_has_not_are_counted);
    tcase_add_test(t, keys_of_a_damaged_index_are_looked_for);
    suite_add_tcase(s, t);
    t = tcase_create("repair");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, a_sound_store_needs_no_repair);
    tcase_add_test(t, a_stamp_is_used_once);
    tcase_add_test(t, what_is_refused_is_left_alone);
    tcase_add_test(t, a_log_that_is_refused_without_its_index);
    tcase_add_test(t, a_repair_that_writes_nonsense);
    tcase_add_test(t, a_damaged_index_is_made_anew);
    tcase_add_test(t, an_index_with_more_than_the_log_is_asked_about);
    tcase_add_test(t, a_damaged_index_that_cannot_be_kept);
    tcase_add_loop_test(t, what_is_left_is_the_rest, 0, 4);
    tcase_add_loop_test(t, a_bad_header_loses_nothing, 0, 6);
    tcase_add_loop_test(t, a_missing_segment, 0, 3);
    tcase_add_test(t, a_segment_given_up_too_early);
    tcase_add_test(t, links_are_kept);
    tcase_add_test(t, any_damage_can_be_repaired);
    tcase_add_loop_test(t, bad_blocks_are_damage, 0, 3);
    tcase_add_test(t, a_log_that_changes_during_its_repair);
    tcase_add_loop_test(t, a_repair_that_stops_anywhere, 0, 2);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
