/* A store is opened: on a disk that is full, too. */
#include "base/os.h"
#include "test/support/wait.h"
#include "test/unit/store/store_test.h"

static struct os_ops full;

static int no_space(int fd, uint64_t off, uint64_t n)
{
    (void)fd;
    (void)off;
    (void)n;
    errno = ENOSPC;
    return -1;
}

/* What was kept for compaction is gone, as after a stop while that had it, and there is no space for it. */
static void fill_disk(void)
{
    char path[100];

    snprintf(path, sizeof path, "%s/reserve", directory);
    ck_assert_int_eq(truncate(path, 0), 0);
    full = os_kernel;
    full.fallocate = no_space;
    os_test_replace(&full);
}

static enum err try_write(void)
{
    enum err e = store_write_begin(thread, &arena, &session);

    if (e == OK)
        store_abort(session);
    session = NULL;
    return e;
}

/* What is there is read, nothing is written, and both without a new start. */
START_TEST(a_full_disk)
{
    begin_write();
    put("a", "{}");
    commit();
    close_store();
    fill_disk();
    open_store();
    begin_read();
    ck_assert_ok(get_result(records, "a"));
    end_read();
    ck_assert_err(try_write(), ERR_NOSPACE);
    os_test_replace(NULL);
    while (try_write() != OK)
        wait_tick();
    begin_write();
    put("b", "{}");
    commit();
}
END_TEST

/* What the engine has for changed pages: what was asked for, else a part of what there is. */
START_TEST(page_memory)
{
    static const struct {
        uint64_t memory, asked, want;
    } rows[] = {
        {0, 0, 32 * MIB},           {256 * MIB, 0, 32 * MIB},   {1024 * MIB, 0, 64 * MIB},
        {2048 * MIB, 0, 128 * MIB}, {UINT64_MAX, 0, 128 * MIB}, {UINT64_MAX, MIB, MIB},
        {0, 512 * MIB, 512 * MIB},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_options o = {.memory_bytes = rows[i].memory,
                                  .page_memory_bytes = rows[i].asked};
        ck_assert_uint_eq(store_page_memory(&o), rows[i].want);
    }
}
END_TEST

static Suite *suite(void)
{
    const TTest *const tests[] = {a_full_disk, page_memory};

    return suite_of("store/open", setup_files, teardown, tests, ARRAY_LEN(tests));
}

UNIT_MAIN(suite)
