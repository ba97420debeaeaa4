/* The table of system calls: whole transfers, directories, maps, locks, replacement, whole files.
 */
#include "test/support/unit.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A kernel whose sets have as many bytes, all of whose CPUs may be used; a set that is too small is EINVAL.
 * 0: the one that is there. */
static size_t kernel_bytes;

static int affinity_of_any_size(pid_t pid, size_t bytes, cpu_set_t *set)
{
    if (kernel_bytes == 0)
        return sched_getaffinity(pid, bytes, set);
    if (bytes < kernel_bytes) {
        errno = EINVAL;
        return -1;
    }
    memset(set, 0, bytes);
    memset(set, 0xff, kernel_bytes);
    return 0;
}

#define sched_getaffinity affinity_of_any_size
#include "base/os.c" /* for count_cpus(), and the above */

static char dir[64];

static void setup(void)
{
    new_dir(dir, sizeof dir);
}

static void remove_one(void *arg, const char *name)
{
    (void)arg;
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (unlink(path) != 0)
        rmdir(path);
}

static void teardown(void)
{
    os_test_replace(NULL);
    os()->list_dir(dir, remove_one, NULL);
    rmdir(dir);
}

static const char *in_dir(const char *name)
{
    static char path[2][128];
    static unsigned turn;
    char *p = path[turn++ % 2];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static int open_new(const char *name)
{
    int fd = os()->open(in_dir(name), O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(bytes_written_are_read)
{
    int fd = open_new("a");
    char p[16];
    uint64_t size;

    ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(os()->pwrite(fd, "hello", 5, 3), 5);
    ck_assert_int_eq(os()->pread(fd, p, 16, 0), 8); /* short at the end */
    ck_assert_mem_eq(p, "\0\0\0hello", 8);
    ck_assert_int_eq(os()->pread(fd, p, 16, 100), 0);
    ck_assert_int_eq(os()->size(fd, &size), 0);
    ck_assert_uint_eq(size, 8);
    ck_assert_int_eq(os()->fsync(fd), 0);
    ck_assert_int_eq(os()->fdatasync(fd), 0);
    ck_assert_int_eq(os()->ftruncate(fd, 4), 0);
    ck_assert_int_eq(os()->size(fd, &size), 0);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_eq(os()->fallocate(fd, 2, 65536), 0);
    ck_assert_int_eq(os()->size(fd, &size), 0);
    ck_assert_uint_eq(size, 65538);
    ck_assert_int_eq(os()->fallocate(fd, 0, 16), 0);
    ck_assert_int_eq(os()->size(fd, &size), 0);
    ck_assert_uint_eq(size, 65538);
    ck_assert_int_eq(os()->pread(fd, p, 16, 0), 16);
    ck_assert_mem_eq(p, "\0\0\0h\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    ck_assert_int_eq(os()->close(fd), 0);
    ck_assert_int_eq(os()->open(in_dir("a"), O_RDWR | O_CREAT | O_EXCL, 0600), -1);
    ck_assert_int_eq(errno, EEXIST);
}
END_TEST

START_TEST(vectors_of_any_number_are_written_whole)
{
    enum { COUNT = 300 };
    static char block[COUNT][97], back[COUNT * 97];
    struct iovec v[2 * COUNT];
    int fd = open_new("a");
    size_t at = 0;

    for (int i = 0; i < COUNT; i++) { /* every second one is empty */
        memset(block[i], i, sizeof block[i]);
        v[2 * i] = (struct iovec){NULL, 0};
        v[2 * i + 1] = (struct iovec){block[i], (size_t)i % 97};
        at += (size_t)i % 97;
    }
    ck_assert_int_eq(os()->pwritev(fd, v, 2 * COUNT, 7), (ssize_t)at);
    ck_assert_int_eq(os()->pread(fd, back, at + 1, 7), (ssize_t)at);
    at = 0;
    for (int i = 0; i < COUNT; at += (size_t)i % 97, i++)
        ck_assert_mem_eq(back + at, block[i], (size_t)i % 97);
    ck_assert_int_eq(os()->pwritev(fd, v, 0, 0), 0);
    ck_assert_int_eq(os()->pwritev(fd, v, 1, 0), 0);
    os()->close(fd);
}
END_TEST

START_TEST(offsets_past_the_kernels_are_refused)
{
    int fd = open_new("a");
    struct iovec v = {(char[]){"x"}, 1};
    char p[1];

    ck_assert_int_eq(os()->pwrite(fd, "x", 1, UINT64_MAX), -1);
    ck_assert_int_eq(errno, EFBIG);
    ck_assert_int_eq(os()->pread(fd, p, 1, (uint64_t)INT64_MAX), -1);
    ck_assert_int_eq(os()->pwritev(fd, &v, 1, (uint64_t)INT64_MAX + 1), -1);
    ck_assert_int_eq(os()->ftruncate(fd, UINT64_MAX), -1);
    ck_assert_int_eq(os()->fallocate(fd, UINT64_MAX, 1), -1);
    os()->close(fd);
}
END_TEST

static void count_names(void *arg, const char *name)
{
    ck_assert_str_ne(name, ".");
    ck_assert_str_ne(name, "..");
    ++*(int *)arg;
}

START_TEST(directories)
{
    int n = 0;

    os()->close(open_new("a"));
    os()->close(open_new("b"));
    ck_assert_int_eq(os()->mkdir(in_dir("d"), 0700), 0);
    ck_assert_int_eq(os()->rename(in_dir("b"), in_dir("c")), 0);
    ck_assert_int_eq(os()->unlink(in_dir("a")), 0);
    ck_assert_int_eq(os()->sync_dir(dir), 0);
    ck_assert_int_eq(os()->list_dir(dir, count_names, &n), 0);
    ck_assert_int_eq(n, 2);
    ck_assert_int_eq(access(in_dir("c"), F_OK), 0);
    ck_assert_int_eq(os()->list_dir(in_dir("nope"), count_names, &n), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(os()->sync_dir(in_dir("nope")), -1);
    ck_assert_int_eq(os()->sync_dir(in_dir("c")), -1);
}
END_TEST

START_TEST(a_map_shows_what_is_written_later)
{
    int fd = open_new("a");
    const char *p;

    ck_assert_int_eq(os()->pwrite(fd, "one", 3, 0), 3);
    p = os()->map(fd, 0, 1 << 20); /* past the end of the file */
    ck_assert_ptr_nonnull(p);
    ck_assert_mem_eq(p, "one", 3);
    ck_assert_int_eq(os()->pwrite(fd, "two", 3, 3), 3);
    ck_assert_mem_eq(p, "onetwo", 6);
    ck_assert_int_eq(os()->unmap((void *)(uintptr_t)p, 1 << 20), 0);
    ck_assert_ptr_null(os()->map(-1, 0, 4096));
    os()->close(fd);
}
END_TEST

START_TEST(a_lock_keeps_others_out)
{
    int fd = open_new("a"), other = os()->open(in_dir("a"), O_RDWR, 0);

    ck_assert_int_eq(os()->lock(fd), 0);
    ck_assert_int_eq(os()->lock(other), -1);
    ck_assert_int_eq(errno, EWOULDBLOCK);
    os()->close(fd);
    ck_assert_int_eq(os()->lock(other), 0);
    os()->close(other);
}
END_TEST

static int pread_calls;

/* Gives one byte at a time, then an error. */
static ssize_t stingy_pread(int fd, void *p, size_t n, uint64_t off)
{
    (void)n;
    pread_calls++;
    if (off >= 3) {
        errno = EIO;
        return -1;
    }
    return os_kernel.pread(fd, p, 1, off);
}

START_TEST(the_table_can_be_replaced)
{
    struct os_ops ops = os_kernel;
    struct err_detail d;
    char *out = NULL;
    size_t n;
    int fd = open_new("a");

    os()->pwrite(fd, "123456", 6, 0);
    os()->close(fd);
    ops.pread = stingy_pread;
    os_test_replace(&ops);
    pread_calls = 0;
    ck_assert_int_eq(os_read_file(in_dir("a"), 100, &out, &n, &d), ERR_IO);
    ck_assert_int_eq(pread_calls, 4);
    ck_assert_int_eq(d.sys_errno, EIO);
    ck_assert_ptr_null(out);
    os_test_replace(NULL);
    ck_assert_ptr_eq(os(), &os_kernel);
}
END_TEST

START_TEST(whole_files)
{
    enum { BIG = 100000 };
    static char bytes[BIG];
    struct err_detail d;
    char *out = NULL;
    size_t n = 0;
    int fd = open_new("a");

    memset(bytes, 'x', sizeof bytes);
    ck_assert_int_eq(os()->pwrite(fd, bytes, BIG, 0), BIG);
    os()->close(fd);
    ck_assert_int_eq(os_read_file(in_dir("a"), BIG, &out, &n, &d), OK);
    ck_assert_uint_eq(n, BIG);
    ck_assert_mem_eq(out, bytes, BIG);
    ck_assert_int_eq(out[n], 0);
    free(out);
    out = NULL;
    ck_assert_int_eq(os_read_file(in_dir("a"), BIG - 1, &out, &n, &d), ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(d.text, "larger than 99999 bytes"));
    ck_assert_int_eq(os_read_file(in_dir("nope"), 10, &out, &n, &d), ERR_NOTFOUND);
    ck_assert_int_eq(d.sys_errno, ENOENT);
    ck_assert_int_eq(os_read_file(dir, 10, &out, &n, &d), ERR_IO);
    ck_assert_int_eq(os_read_file(in_dir("nope"), 10, &out, &n, NULL), ERR_NOTFOUND);
    ck_assert_ptr_null(out);

    os()->close(open_new("empty"));
    ck_assert_int_eq(os_read_file(in_dir("empty"), 0, &out, &n, &d), OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(out[0], 0);
    free(out);
}
END_TEST

START_TEST(a_pipe_is_a_file_too)
{
    char path[32], *out;
    struct err_detail d;
    size_t n;
    int fd[2];

    ck_assert_int_eq(pipe(fd), 0);
    ck_assert_int_eq(write(fd[1], "piped", 5), 5);
    close(fd[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", fd[0]);
    ck_assert_int_eq(os_read_file(path, 100, &out, &n, &d), OK);
    ck_assert_uint_eq(n, 5);
    ck_assert_str_eq(out, "piped");
    free(out);
    close(fd[0]);
}
END_TEST

/* What makes one wait: nobody writes into the first, and the others have no end or none that is known. */
START_TEST(what_is_read_while_serving_is_a_regular_file)
{
    const char *const odd[] = {in_dir("fifo"), dir, "/dev/zero"};
    struct err_detail d;
    char *out = NULL;
    size_t n = 7;

    ck_assert_int_eq(mkfifo(in_dir("fifo"), 0600), 0);
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        ck_assert_int_eq(os_read_regular(odd[i], 100, &out, &n, &d), ERR_REFUSED);
        ck_assert_ptr_nonnull(strstr(d.text, odd[i]));
        ck_assert_ptr_nonnull(strstr(d.text, "no regular file"));
    }
    ck_assert_int_eq(os_read_regular(in_dir("nope"), 100, &out, &n, &d), ERR_NOTFOUND);
    ck_assert(out == NULL && n == 7);
    int fd = open_new("a");
    ck_assert_int_eq(os()->pwrite(fd, "text", 4, 0), 4);
    os()->close(fd);
    ck_assert_int_eq(symlink("a", in_dir("link")), 0);
    ck_assert_int_eq(os_read_regular(in_dir("link"), 4, &out, &n, &d), OK);
    ck_assert_str_eq(out, "text");
    free(out);
    ck_assert_int_eq(os_read_regular(in_dir("a"), 3, &out, &n, &d), ERR_LIMIT);
}
END_TEST

static int open_nothing(const char *path, int flags, unsigned mode)
{
    (void)path;
    (void)flags;
    (void)mode;
    return INT_MAX;
}

static int close_nothing(int fd)
{
    return fd == INT_MAX ? 0 : -1;
}

START_TEST(a_file_that_cannot_be_looked_at_is_told_as_such)
{
    struct os_ops ops = *os();
    struct err_detail d;
    char *out;
    size_t n;

    ops.open = open_nothing;
    ops.close = close_nothing;
    os_test_replace(&ops);
    enum err e = os_read_regular("a", 100, &out, &n, &d);
    os_test_replace(NULL);
    ck_assert_int_eq(e, err_from_errno(EBADF));
    ck_assert_int_eq(d.sys_errno, EBADF);
}
END_TEST

/* Those that it may use, not those that there are. */
START_TEST(cpus_are_those_that_it_may_run_on)
{
    cpu_set_t set;

    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    ck_assert_uint_eq(os_cpu_count(), (unsigned)CPU_COUNT(&set));
    for (int i = 0; CPU_COUNT(&set) > 1; i++)
        CPU_CLR(i, &set);
    ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
    ck_assert_uint_eq(os_cpu_count(), 1);
}
END_TEST

/* The C library's type ends at 1,024. */
START_TEST(cpus_of_a_set_of_any_size)
{
    static const unsigned cpus[] = {64, CPU_SETSIZE, 2 * CPU_SETSIZE, MAX_CPUS};

    for (size_t i = 0; i < ARRAY_LEN(cpus); i++) {
        kernel_bytes = cpus[i] / 8;
        ck_assert_uint_eq(count_cpus(64), cpus[i] > 64 ? 0 : 64);
        ck_assert_uint_eq(os_cpu_count(), cpus[i]);
    }
    kernel_bytes = 2 * MAX_CPUS / 8; /* more than anybody has */
    ck_assert_uint_eq(os_cpu_count(), 1);
}
END_TEST

/* ---- how much memory ---- */

#define SYS "sys/fs/cgroup/"

static const struct {
    const char *groups;     /* /proc/self/cgroup */
    const char *file[4][2]; /* path and content */
    uint64_t want;          /* 0: what the machine has */
} memories[] = {
    {"0::/\n", {{NULL}}, 0}, /* no cgroups at all */
    {"", {{SYS "memory.max", "1048576\n"}}, 0},
    /* A container, which sees itself as the uppermost. */
    {"0::/\n", {{SYS "memory.max", "134217728\n"}}, 134217728},
    {"0::/\n", {{SYS "memory.max", "max\n"}}, 0},
    /* Not unless it is there: the paths are those of the machine. */
    {"0::/docker/abc\n", {{SYS "memory.max", "134217728\n"}}, 134217728},
    /* A unit; the least of all above it. */
    {"0::/system.slice/kinto.service\n",
     {{SYS "system.slice/kinto.service/memory.max", "67108864\n"},
      {SYS "system.slice/memory.max", "134217728\n"}},
     67108864},
    {"0::/system.slice/kinto.service\n",
     {{SYS "system.slice/kinto.service/memory.max", "max\n"},
      {SYS "system.slice/memory.max", "33554432\n"},
      {SYS "memory.max", "max\n"}},
     33554432},
    {"0::/a\n",
     {{SYS "a/memory.max", "67108864\n"}, {SYS "a/memory.high", "50331648\n"}},
     50331648},
    /* Both versions at once. */
    {"4:cpu,memory:/docker/abc\n1:name=systemd:/\n0::/\n",
     {{SYS "memory/docker/abc/memory.limit_in_bytes", "25165824\n"},
      {SYS "memory/memory.limit_in_bytes", "9223372036854771712\n"}},
     25165824},
    {"4:memory:/docker/abc\n0::/\n",
     {{SYS "memory/memory.limit_in_bytes", "16777216\n"}, {SYS "unified/memory.max", "max"}},
     16777216},
    {"4:memory:/\n0::/x\n",
     {{SYS "memory/memory.limit_in_bytes", "9223372036854771712\n"},
      {SYS "unified/x/memory.max", "8388608\n"}},
     8388608},
    {"3:cpu:/a\n", {{SYS "memory/a/memory.limit_in_bytes", "16777216\n"}}, 0},
    /* What makes no sense is no limit; outside of what is seen is not looked at. */
    {"0::/../other\n", {{SYS "memory.max", "many\n"}, {SYS "other/memory.max", "4096\n"}}, 0},
    {"what?\n:\n::\n0:\n0::\n\n4:memory", {{NULL}}, 0},
};

static int remove_any(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* A file of the directory of the test, with the directories above it. */
static void lay(const char *path, const char *content)
{
    char all[300];

    snprintf(all, sizeof all, "%s/%s", dir, path);
    for (char *p = strchr(all + 5, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = 0;
        ck_assert(mkdir(all, 0700) == 0 || errno == EEXIST);
        *p = '/';
    }
    int fd = os()->open(all, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(os()->pwrite(fd, content, strlen(content), 0), (int)strlen(content));
    os()->close(fd);
}

START_TEST(memory_of_a_cgroup)
{
    uint64_t machine = os_memory_limit(dir), want = memories[_i].want;

    ck_assert_uint_gt(machine, 8388608);
    lay("proc/self/cgroup", memories[_i].groups);
    for (size_t i = 0; i < 4 && memories[_i].file[i][0] != NULL; i++)
        lay(memories[_i].file[i][0], memories[_i].file[i][1]);
    ck_assert_uint_eq(os_memory_limit(dir), want == 0 ? machine : want);
    nftw(dir, remove_any, 8, FTW_DEPTH | FTW_PHYS);
}
END_TEST

START_TEST(memory_of_this_machine)
{
    ck_assert_uint_gt(os_memory_limit(""), 0);
    ck_assert_uint_le(os_memory_limit(""), os_memory_limit(dir));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/os");
    TCase *tc = tcase_create("os");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, bytes_written_are_read);
    tcase_add_test(tc, vectors_of_any_number_are_written_whole);
    tcase_add_test(tc, offsets_past_the_kernels_are_refused);
    tcase_add_test(tc, directories);
    tcase_add_test(tc, a_map_shows_what_is_written_later);
    tcase_add_test(tc, a_lock_keeps_others_out);
    tcase_add_test(tc, the_table_can_be_replaced);
    tcase_add_test(tc, whole_files);
    tcase_add_test(tc, a_pipe_is_a_file_too);
    tcase_add_test(tc, what_is_read_while_serving_is_a_regular_file);
    tcase_add_test(tc, a_file_that_cannot_be_looked_at_is_told_as_such);
    tcase_add_test(tc, cpus_are_those_that_it_may_run_on);
    tcase_add_test(tc, cpus_of_a_set_of_any_size);
    tcase_add_loop_test(tc, memory_of_a_cgroup, 0, (int)ARRAY_LEN(memories));
    tcase_add_test(tc, memory_of_this_machine);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
