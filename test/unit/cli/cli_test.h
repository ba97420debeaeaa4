/*
 * test/unit/cli/cli_test.h - a folder of its own for each test, which is also the working
 * directory, and a disk whose n-th call fails.
 */
#ifndef TEST_UNIT_CLI_CLI_TEST_H
#define TEST_UNIT_CLI_CLI_TEST_H

#include "base/os.h"
#include "cli/cli.h"
#include "test/support/unit.h"
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[128], came_from[512];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void setup(void)
{
    ck_assert_ptr_nonnull(getcwd(came_from, sizeof came_from));
    new_dir(dir, sizeof dir);
    ck_assert_int_eq(chdir(dir), 0);
    unsetenv("KINTO_INI");
}

static void teardown(void)
{
    os_test_replace(NULL);
    ck_assert_int_eq(chdir(came_from), 0);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* Static memory; NULL: there is no such file. */
static inline const char *read_text(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static inline void count_one(void *arg, const char *name)
{
    (void)name;
    ++*(unsigned *)arg;
}

/* How many names a folder has in it. */
static inline unsigned entries_of(const char *path)
{
    unsigned n = 0;
    ck_assert_int_eq(os()->list_dir(path, count_one, &n), 0);
    return n;
}

static inline const char *value_of(const struct cli_ini *in, const char *section, const char *key)
{
    const struct ini_entry *e = ini_get(&in->ini, str_from(section), str_from(key));
    return e ? e->value.p : "(not there)";
}

/* ---- a disk that fails: the calls that write, counted ---------------------------------------- */

static unsigned calls, failing_call; /* failing_call 0: none */

static inline bool fails(void)
{
    errno = EIO;
    return ++calls == failing_call;
}

static inline int failing_open(const char *path, int flags, unsigned mode)
{
    return fails() ? -1 : os_kernel.open(path, flags, mode);
}

static inline ssize_t failing_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    if (!fails())
        return os_kernel.pwrite(fd, p, n, off);
    (void)os_kernel.pwrite(fd, p, n / 2, off); /* half of it got there */
    errno = EIO;
    return -1;
}

static inline int failing_fsync(int fd)
{
    return fails() ? -1 : os_kernel.fsync(fd);
}

static inline int failing_close(int fd)
{
    bool no = fails();
    int result = os_kernel.close(fd);
    errno = EIO;
    return no ? -1 : result;
}

static inline int failing_rename(const char *from, const char *to)
{
    return fails() ? -1 : os_kernel.rename(from, to);
}

static inline int failing_sync_dir(const char *path)
{
    return fails() ? -1 : os_kernel.sync_dir(path);
}

static inline int failing_mkdir(const char *path, unsigned mode)
{
    return fails() ? -1 : os_kernel.mkdir(path, mode);
}

/* From now on; the n-th call fails. */
static inline void fail_call(unsigned n)
{
    static struct os_ops ops;
    ops = os_kernel;
    ops.open = failing_open;
    ops.pwrite = failing_pwrite;
    ops.fsync = failing_fsync;
    ops.close = failing_close;
    ops.rename = failing_rename;
    ops.sync_dir = failing_sync_dir;
    ops.mkdir = failing_mkdir;
    calls = 0;
    failing_call = n;
    os_test_replace(&ops);
}

static inline bool call_failed(void)
{
    return calls >= failing_call;
}

#endif
