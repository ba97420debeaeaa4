/*
 * A disk that is full: of what is dead, of what lives, of what others put there. The disk is the
 * kernel's with a limit: what the files of the store have been given is counted.
 */
#include <errno.h>

#include "test/support/wait.h"
#include "test/unit/engine/audit.h"

#define FILES 4096

/* ---- the disk -------------------------------------------------------------------------------- */

static struct small_disk {
    pthread_mutex_t mutex;
    uint64_t limit, used;
    size_t n;
    struct {
        ino_t ino;
        uint64_t bytes; /* it has been given */
    } file[FILES];
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static struct os_ops limited;

static uint64_t *given_to(ino_t ino)
{
    size_t i = 0;

    while (i < disk.n && disk.file[i].ino != ino)
        i++;
    ck_assert_uint_lt(i, FILES);
    if (i == disk.n) {
        disk.file[disk.n++].bytes = 0;
        disk.file[i].ino = ino;
    }
    return &disk.file[i].bytes;
}

static ino_t ino_of(int fd)
{
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    return st.st_ino;
}

/* The file has at least, or at most, `end` bytes from here on. What there is of too little stays with
 * the file, as on ext4. */
static int give(ino_t ino, uint64_t end, bool cut)
{
    uint64_t blocks = (end + 4095) / 4096 * 4096, *has, left;
    bool full = false;

    pthread_mutex_lock(&disk.mutex);
    has = given_to(ino);
    left = disk.limit - MIN_OF(disk.used, disk.limit);
    if (!cut && blocks > *has && blocks - *has > left) {
        full = true;
        blocks = *has + left / 4096 * 4096;
    }
    if (cut ? blocks < *has : blocks > *has) {
        disk.used += blocks - *has;
        *has = blocks;
    }
    pthread_mutex_unlock(&disk.mutex);
    errno = full ? ENOSPC : errno;
    return full ? -1 : 0;
}

static int d_open(const char *path, int flags, unsigned mode)
{
    int fd = os_kernel.open(path, flags, mode);

    if (fd >= 0 && (flags & O_TRUNC) != 0)
        give(ino_of(fd), 0, true);
    return fd;
}

static ssize_t d_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    return give(ino_of(fd), off + n, false) != 0 ? -1 : os_kernel.pwrite(fd, p, n, off);
}

static ssize_t d_pwritev(int fd, const struct iovec *v, int n, uint64_t off)
{
    uint64_t end = off;

    for (int i = 0; i < n; i++)
        end += v[i].iov_len;
    return give(ino_of(fd), end, false) != 0 ? -1 : os_kernel.pwritev(fd, v, n, off);
}

static int d_fallocate(int fd, uint64_t off, uint64_t n)
{
    return give(ino_of(fd), off + n, false) != 0 ? -1 : os_kernel.fallocate(fd, off, n);
}

static int d_ftruncate(int fd, uint64_t size)
{
    give(ino_of(fd), size, true);
    return os_kernel.ftruncate(fd, size);
}

static int d_unlink(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0)
        give(st.st_ino, 0, true);
    return os_kernel.unlink(path);
}

static void set_limit(uint64_t bytes)
{
    pthread_mutex_lock(&disk.mutex);
    disk.limit = bytes;
    pthread_mutex_unlock(&disk.mutex);
}

static uint64_t used(void)
{
    pthread_mutex_lock(&disk.mutex);
    uint64_t bytes = disk.used;
    pthread_mutex_unlock(&disk.mutex);
    return bytes;
}

static uint64_t limit(void)
{
    pthread_mutex_lock(&disk.mutex);
    uint64_t bytes = disk.limit;
    pthread_mutex_unlock(&disk.mutex);
    return bytes;
}

/* ---- the store ------------------------------------------------------------------------------- */

static struct kit_dir dir;
static struct kit_model model;
static struct engine *e;

static bool as_usual; /* segments, memory and checkpoints as if nothing was said */

/* Nothing but a full disk makes it compact. */
static void open_store(void)
{
    struct engine_options o = {.dir = dir.path, .compact_bytes = 1024 * (uint64_t)MIB};
    if (!as_usual) {
        o.segment_bytes = 32 * KIB;
        o.cache_bytes = 512 * KIB;
        o.checkpoint_bytes = 64 * KIB;
    }
    e = kit_open_as(&o, NULL);
}

static void setup(void)
{
    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    model = (struct kit_model){0};
    disk.n = disk.used = 0;
    disk.limit = UINT64_MAX;
    limited = os_kernel;
    limited.open = d_open;
    limited.pwrite = d_pwrite;
    limited.pwritev = d_pwritev;
    limited.fallocate = d_fallocate;
    limited.ftruncate = d_ftruncate;
    limited.unlink = d_unlink;
    os_test_replace(&limited);
    open_store();
}

static void setup_as_usual(void)
{
    as_usual = true;
    setup();
}

static void teardown(void)
{
    engine_close(e);
    os_test_replace(NULL);
    kit_dir_remove(&dir);
    free(model.p);
    model_free_bytes();
}

static enum err try_put(uint32_t key, uint32_t version)
{
    char k[24], v[500];
    str key_str = {k, (size_t)snprintf(k, sizeof k, "key%06u", key)}, value = {v, sizeof v};
    struct engine_txn *t;
    enum err err = engine_txn_begin(e, &t);

    if (err != OK)
        return err;
    memset(v, 'a' + (key + version) % 26, sizeof v);
    snprintf(v, sizeof v, "%u", version);
    err = engine_put(t, key_str, value);
    if (err != OK) {
        engine_txn_abort(t);
        return err;
    }
    err = kit_commit(t);
    if (err == OK)
        model_put(&model, key_str, value);
    return err;
}

/* Memory for pages may be short for a moment. NOSPACE, or OK. */
static enum err put(uint32_t key, uint32_t version)
{
    enum err err;

    while ((err = try_put(key, version)) == ERR_AGAIN)
        ck_assert_int_eq(engine_checkpoint(e) == ERR_FAILED, 0);
    ck_assert_msg(err == OK || err == ERR_NOSPACE, "%s", err_text(err));
    return err;
}

/* Until the disk is full. How many came before. */
static uint32_t overwrite_until_full(uint64_t *seed, uint32_t keys)
{
    uint32_t n = 0;

    while (put(kit_rand(seed) % keys, n) == OK)
        n++;
    return n;
}

static void wait_for_space(uint64_t *seed, uint32_t keys)
{
    while (put(kit_rand(seed) % keys, 0) != OK)
        wait_tick();
}

/* Space for a write can come before compaction was called (what was allocated ahead went back): this waits
 * until that call is answered, and what was kept is kept again. */
static void wait_until_kept(void)
{
    bool kept = false;

    while (!kept) {
        wait_tick();
        pthread_mutex_lock(&e->keeper.work);
        kept = !atomic_load(&e->reserve.full) && !atomic_load(&e->reserve.given);
        pthread_mutex_unlock(&e->keeper.work);
    }
}

/* Whatever is free, others take it; all but what was kept and then given to compaction. */
static void others_fill_the_disk(void)
{
    pthread_mutex_lock(&e->keeper.work);
    if (!atomic_load(&e->reserve.given))
        set_limit(used());
    pthread_mutex_unlock(&e->keeper.work);
}

/* A transaction that nobody waits for. */
static enum err put_later(uint32_t key)
{
    char k[24];
    str key_str = {k, (size_t)snprintf(k, sizeof k, "key%06u", key)};
    struct engine_txn *t;
    enum err err = engine_txn_begin(e, &t);

    if (err != OK)
        return err;
    ck_assert_int_eq(engine_put(t, key_str, STR("an early value, longer than what lies in a leaf")),
                     OK);
    engine_txn_commit(t, NULL, NULL);
    model_put(&model, key_str, STR("an early value, longer than what lies in a leaf"));
    return OK;
}

static void cut_reserve(void)
{
    char path[600];
    struct stat st;

    snprintf(path, sizeof path, "%s/" RESERVE_NAME, dir.path);
    ck_assert_int_eq(stat(path, &st), 0);
    give(st.st_ino, 0, true);
    ck_assert_int_eq(truncate(path, 0), 0);
}

static uint64_t reserve_bytes(void)
{
    char path[600];
    struct stat st;

    snprintf(path, sizeof path, "%s/" RESERVE_NAME, dir.path);
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void wait_for_reserve(void)
{
    while (reserve_bytes() == 0)
        wait_tick();
}

static void check_all(void)
{
    ck_assert(model_same_now(&model, e));
    ck_assert_int_eq(engine_state(e), ENGINE_OK);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Full of what is dead, over and over, and each time others take what was left: writes come back by
 * themselves, on the space that was kept. */
START_TEST(full_of_the_dead)
{
    static const uint32_t keys[] = {40, 400, 1500}; /* 20 kB to 800 kB that live */
    uint64_t seed = kit_seed();

    for (uint32_t i = 0; i < keys[_i]; i++)
        ck_assert_int_eq(put(i, 1), OK);
    ck_assert_int_eq(engine_checkpoint(e), OK);
    wait_for_reserve();
    set_limit(used() + 1500 * KIB);
    for (int round = 0; round < 12; round++) {
        overwrite_until_full(&seed, keys[_i]);
        others_fill_the_disk();
        wait_for_space(&seed, keys[_i]);
        check_all();
    }
    engine_close(e);
    open_store();
    check_all();
    audit_engine(e);
}
END_TEST

/* Others take that too, while compaction is at it: it goes on when there is space. */
START_TEST(the_reserve_is_taken)
{
    uint64_t seed = kit_seed();
    bool given = false;

    for (uint32_t i = 0; i < 800; i++)
        ck_assert_int_eq(put(i, 1), OK);
    wait_for_reserve();
    set_limit(used() + MIB);
    while (!given) {
        (void)!put(kit_rand(&seed) % 800, 1);
        pthread_mutex_lock(&e->keeper.work);
        given = atomic_load(&e->reserve.given);
        set_limit(given ? used() : limit());
        pthread_mutex_unlock(&e->keeper.work);
    }
    for (int i = 0; i < 200; i++)
        (void)!put(kit_rand(&seed) % 800, 2);
    check_all();
    set_limit(UINT64_MAX);
    wait_for_space(&seed, 800);
    check_all();
    audit_engine(e);
}
END_TEST

/* Thousands of pages changed since the last checkpoint: each has its place in the file already. */
START_TEST(full_of_the_dead_with_much_in_memory)
{
    uint64_t seed = kit_seed();
    enum { KEYS = 40000 };

    for (uint32_t i = 0; i < KEYS; i++)
        while (put_later(i) == ERR_AGAIN)
            ck_assert_int_eq(engine_checkpoint(e), OK);
    ck_assert_int_eq(engine_checkpoint(e), OK);
    wait_for_reserve();
    set_limit(used() + 8 * MIB);
    for (int round = 0; round < 3; round++) {
        overwrite_until_full(&seed, KEYS);
        others_fill_the_disk();
        wait_for_space(&seed, KEYS);
        ck_assert_int_eq(engine_state(e), ENGINE_OK);
    }
    check_all();
    audit_engine(e);
}
END_TEST

/* The store is left while compaction has the reserve, and others have all the rest of the disk: those who
 * write are not let in before compaction is done. */
START_TEST(left_while_given)
{
    uint64_t seed = kit_seed();

    for (uint32_t i = 0; i < 800; i++)
        ck_assert_int_eq(put(i, 1), OK);
    ck_assert_int_eq(engine_checkpoint(e), OK);
    wait_for_reserve();
    set_limit(used() + MIB);
    overwrite_until_full(&seed, 800);
    wait_for_space(&seed, 800);
    engine_close(e);
    set_limit(used());
    cut_reserve();
    open_store();
    for (int round = 0; round < 5; round++) {
        wait_for_space(&seed, 800);
        others_fill_the_disk();
        overwrite_until_full(&seed, 800);
    }
    wait_for_space(&seed, 800);
    check_all();
    audit_engine(e);
}
END_TEST

/* A reserve that is not quite as long as it should be is one all the same. */
START_TEST(it_is_known_after_a_start)
{
    uint64_t seed = kit_seed(), kept;

    for (uint32_t i = 0; i < 800; i++)
        ck_assert_int_eq(put(i, 1), OK);
    wait_for_reserve();
    set_limit(used() + MIB);
    overwrite_until_full(&seed, 800);
    wait_for_space(&seed, 800);
    wait_until_kept();
    engine_close(e);
    kept = reserve_bytes();
    ck_assert_uint_gt(kept, 64 * KIB);
    set_limit(used());
    open_store();
    pthread_mutex_lock(&e->keeper.work);
    ck_assert_uint_ge(e->reserve.bytes, kept);
    pthread_mutex_unlock(&e->keeper.work);
    wait_for_space(&seed, 800);
    check_all();
}
END_TEST

/* Nothing is to be gained: the reserve is not touched, and writes come back with the space. */
START_TEST(full_of_what_lives)
{
    uint32_t n = 0;
    uint64_t kept;

    wait_for_reserve();
    set_limit(2 * MIB);
    /* What was allocated ahead goes back when a write fails, so a smaller one may still fit. */
    for (int refused = 0; refused < 200; refused++)
        if (put(n, 1) == OK) {
            n++;
            refused = 0;
        }
    kept = reserve_bytes();
    ck_assert_uint_gt(kept, 0);
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(put(n, 1), ERR_NOSPACE);
    ck_assert_uint_eq(reserve_bytes(), kept);
    check_all();
    set_limit(UINT64_MAX);
    while (put(n, 1) != OK)
        wait_tick();
    check_all();
}
END_TEST

/* The same with a server that is asked to compact, and with a start on the full disk. */
START_TEST(at_once)
{
    uint64_t seed = kit_seed(), full;

    for (uint32_t i = 0; i < 800; i++)
        ck_assert_int_eq(put(i, 1), OK);
    wait_for_reserve();
    set_limit(used() + MIB);
    for (uint32_t i = 0; put(kit_rand(&seed) % 800, i) == OK && i < 1000; i++)
        continue;
    engine_close(e);
    open_store();
    wait_for_reserve();
    others_fill_the_disk();
    full = used();
    ck_assert_int_eq(engine_compact(e), OK);
    ck_assert_uint_lt(used(), full);
    check_all();
    audit_engine(e);
}
END_TEST

/* The reserve cannot be as long as it should be, and little is dead: others are kept out. Who asks for
 * compaction all the same has the reserve for it. */
START_TEST(at_once_while_others_wait)
{
    char path[600];
    uint64_t kept, full;
    int fd;

    for (uint32_t i = 0; i < 800; i++)
        ck_assert_int_eq(put(i, 1), OK);
    for (uint32_t i = 0; i < 20; i++)
        ck_assert_int_eq(put(i, 2), OK);
    wait_for_reserve();
    engine_close(e);
    kept = reserve_bytes();
    snprintf(path, sizeof path, "%s/" RESERVE_NAME, dir.path);
    ck_assert_int_ge(fd = os()->open(path, O_RDWR, 0), 0);
    ck_assert_int_eq(os()->ftruncate(fd, kept - 64 * KIB), 0);
    os()->close(fd);
    set_limit(full = used());
    open_store();
    while (!atomic_load(&e->reserve.given))
        wait_tick();
    ck_assert_uint_eq(reserve_bytes(), kept - 64 * KIB);
    ck_assert_int_eq(put(0, 3), ERR_NOSPACE);
    ck_assert_int_eq(engine_compact(e), OK);
    ck_assert_uint_lt(used(), full);
    check_all();
    audit_engine(e);
}
END_TEST

/* The reserve is as long as what it is for, and no longer. */
START_TEST(it_fits)
{
    uint64_t small;

    wait_for_reserve();
    small = reserve_bytes();
    for (uint32_t i = 0; i < 3000; i++)
        ck_assert_int_eq(put(i, 1), OK);
    while (reserve_bytes() <= small)
        wait_tick();
    ck_assert_uint_lt(reserve_bytes(), 1000 * KIB);
}
END_TEST

static uint64_t live_bytes(void)
{
    struct engine_stats s;

    engine_stats(e, &s);
    return s.live_log_bytes;
}

/* Disks of 1 to 4 MiB, everything as usual: whatever is written over and over (a few keys, or so many that
 * half of the disk is what lives), and whenever the store is left, writes come back. */
START_TEST(a_tiny_disk)
{
    static const struct {
        uint64_t disk;
        uint32_t keys;
    } tiny[] = {{1280, 20}, {1536, 200}, {2048, 1000}, {3072, 20}, {3072, 2000}, {4096, 3000}};
    uint64_t seed = kit_seed();
    uint32_t keys = tiny[_i].keys;

    engine_close(e);
    disk.n = disk.used = 0;
    kit_dir_remove(&dir);
    kit_dir_make(&dir);
    set_limit(tiny[_i].disk * KIB);
    open_store();
    for (int round = 0; round < 3; round++) {
        for (uint32_t n = 0; n < 2500; n++)
            if (put(kit_rand(&seed) % keys, n) != OK)
                wait_for_space(&seed, keys);
        check_all();
        engine_close(e);
        open_store();
        wait_for_space(&seed, keys);
    }
    ck_assert_uint_gt(live_bytes(), 0);
    audit_engine(e);
}
END_TEST

/* All that is dead is in the segment that is being written, and nothing else is there. */
START_TEST(dead_in_the_newest_segment)
{
    uint64_t seed = kit_seed();

    for (uint32_t i = 0; i < 200; i++)
        ck_assert_int_eq(put(i % 20, i), OK);
    wait_for_reserve();
    for (int round = 0; round < 5; round++) {
        set_limit(used() + 200 * KIB);
        overwrite_until_full(&seed, 20);
        others_fill_the_disk();
        wait_for_space(&seed, 20);
        check_all();
    }
    audit_engine(e);
}
END_TEST

/* The log is all there is, and the disk is full: the index that is made of it stays in memory until there is
 * space, however much that is. */
START_TEST(a_start_without_index)
{
    char path[600];
    struct stat st;

    for (uint32_t i = 0; i < 6000; i++)
        ck_assert_int_eq(put(i, 1), OK);
    engine_close(e);
    snprintf(path, sizeof path, "%s/" INDEX_FILE, dir.path);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(d_unlink(path), 0);
    set_limit(used());
    open_store();
    check_all();
    (void)!put(0, 2);
    set_limit(UINT64_MAX);
    while (put(0, 3) != OK)
        wait_tick();
    check_all();
    audit_engine(e);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/reserve");
    TCase *c = tcase_create("full disk");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, full_of_the_dead, 0, 3);
    tcase_add_test(c, the_reserve_is_taken);
    tcase_add_test(c, left_while_given);
    tcase_add_test(c, it_is_known_after_a_start);
    tcase_add_test(c, full_of_what_lives);
    tcase_add_test(c, at_once);
    tcase_add_test(c, at_once_while_others_wait);
    tcase_add_test(c, it_fits);
    tcase_add_test(c, a_start_without_index);
    tcase_set_timeout(c, 60);
    suite_add_tcase(s, c);
    c = tcase_create("full disk as usual");
    tcase_add_checked_fixture(c, setup_as_usual, teardown);
    tcase_add_test(c, full_of_the_dead_with_much_in_memory);
    tcase_add_loop_test(c, a_tiny_disk, 0, 6);
    tcase_add_test(c, dead_in_the_newest_segment);
    tcase_set_timeout(c, 60);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
