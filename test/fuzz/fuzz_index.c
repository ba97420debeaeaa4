/*
 * The index file of a store, changed: the input says where and to what. Without its checksums made right
 * again (mode 0) no change may be served: an opening shows what was there, or says that something is
 * damaged. With them (mode 1) the check says what is wrong, or it does not matter, as the log is right; and
 * what the check finds good is served as it was.
 *
 * Input: mode, then changes of four bytes and more: page, offset (2), length, and so many bytes.
 */
#include "test/fuzz/store.h"

#include "base/crc.h"

#define MAX_FILE (256 * KIB)
#define LOG_NAME "00000001.log"

/* A store as it was made once. */
static struct {
    char *index, *log;
    size_t index_n, log_n;
    uint64_t digest;
} made;

static struct engine *open_store(const struct fuzz_dir *dir, enum err *e)
{
    struct engine_options o = {.dir = dir->path};
    struct err_detail d = {.text = ""};
    struct engine *engine = NULL;

    *e = engine_open(&engine, &o, NULL, &d);
    CHECK(*e == OK || (*e == ERR_CORRUPT && d.text[0] != '\0'));
    return engine;
}

static void take(const struct fuzz_dir *dir, const char *name, char **p, size_t *n)
{
    struct err_detail d;
    char path[400];

    fuzz_file(dir, name, path);
    CHECK(os_read_file(path, MAX_FILE, p, n, &d) == OK);
}

static void make(void)
{
    struct fuzz_dir dir;
    struct engine_txn *t;
    enum err e;

    fuzz_dir_make(&dir);
    struct engine *engine = open_store(&dir, &e);
    for (int i = 0; i < 3; i++) {
        CHECK(e == OK && engine_txn_begin(engine, &t) == OK);
        for (int k = i; k < 200; k += 1 + i) {
            char key[40], value[100];
            int n = snprintf(key, sizeof key, "list/%c/%03d", 'a' + k % 3, k);
            memset(value, 'a' + i, sizeof value);
            CHECK(engine_put(t, (str){key, (size_t)n}, (str){value, (size_t)k % 100}) == OK);
            if (k % 10 == 0)
                CHECK(engine_link(t, (str){key + 5, (size_t)n - 5}) == OK);
        }
        CHECK(engine_txn_commit_wait(t) == OK && engine_checkpoint(engine) == OK);
    }
    CHECK(fuzz_digest(engine, &made.digest));
    engine_close(engine);
    take(&dir, "index", &made.index, &made.index_n);
    take(&dir, LOG_NAME, &made.log, &made.log_n);
    fuzz_dir_remove(dir.path);
}

static void seal(char *index, size_t pgno)
{
    char *page = index + pgno * PAGE_BYTES;
    struct index_root *r = (void *)page;

    if (pgno < PAGE_FIRST)
        r->crc = crc32c(0, r, offsetof(struct index_root, crc));
    else
        ((struct page *)(void *)page)->crc = page_crc((const void *)page);
}

/* Pages are counted from the roots, and from the end. */
static void change(char *index, str in, bool sealed)
{
    size_t pages = made.index_n / PAGE_BYTES;

    while (in.n > 0) {
        size_t pgno = fuzz_byte(&in) % pages;
        size_t at = ((size_t)fuzz_byte(&in) << 8 | fuzz_byte(&in)) % PAGE_BYTES;
        str bytes = str_sub(in, 0, fuzz_byte(&in));
        bytes.n = MIN_OF(bytes.n, PAGE_BYTES - at);
        if (bytes.n > 0)
            memcpy(index + pgno * PAGE_BYTES + at, bytes.p, bytes.n);
        in = str_drop(in, bytes.n);
        if (sealed)
            seal(index, pgno);
    }
}

/* What is served is right. */
static void serve(const struct fuzz_dir *dir)
{
    enum err e;
    struct engine *engine = open_store(dir, &e);
    uint64_t digest;

    if (e != OK)
        return;
    if (fuzz_digest(engine, &digest))
        CHECK(digest == made.digest);
    engine_close(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    bool sealed = fuzz_byte(&in) & 1;
    struct engine_check_options o = {0};
    struct engine_check_report report;
    struct err_detail d;
    struct fuzz_dir dir;

    log_set_level(LOG_NONE);
    if (made.index == NULL)
        make();
    char *index = fuzz_copy((str){made.index, made.index_n});
    change(index, in, sealed);
    fuzz_dir_make(&dir);
    fuzz_write(&dir, "index", index, made.index_n);
    fuzz_write(&dir, LOG_NAME, made.log, made.log_n);
    enum err e = engine_check(dir.path, &o, &report, &d);
    CHECK(e == OK);
    CHECK(sealed || report.log_problems == 0); /* a root may say that the log is of another store */
    if (!sealed || report.log_problems + report.index_problems == 0)
        serve(&dir);
    if (sealed && report.index_problems > 0 && report.log_problems == 0) {
        struct engine_repair_options repair = {.stamp = "1"};
        enum engine_repaired done;
        e = engine_repair(dir.path, &repair, &report, &done, &d);
        CHECK(e == OK);
        if (done == ENGINE_INDEX_REBUILT)
            serve(&dir);
    }
    free(index);
    fuzz_dir_remove(dir.path);
    return 0;
}
