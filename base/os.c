/*
 * base/os.c - the kernel's side of the table in os.h.
 *
 * Every call that can be interrupted is repeated, and a transfer that stopped half-way goes on
 * where it stopped, so that no caller has to. Descriptors are close-on-exec.
 */
#include "base/os.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_CPUS (CPU_SETSIZE * 64)

#define RETRY(result, call)                                                                        \
    do                                                                                             \
        (result) = (call);                                                                         \
    while ((result) < 0 && errno == EINTR)

static bool offset_fits(uint64_t off, uint64_t n)
{
    uint64_t end;

    if (!__builtin_add_overflow(off, n, &end) && end <= INT64_MAX)
        return true;
    errno = EFBIG;
    return false;
}

static int kernel_open(const char *path, int flags, unsigned mode)
{
    int fd;
    RETRY(fd, open(path, flags | O_CLOEXEC, (mode_t)mode));
    return fd;
}

/* For root. Others read with their own rights. */
static bool is_theirs(const struct stat *above, const struct stat *st)
{
    if (above->st_uid == 0)
        return !(above->st_mode & 022);
    return st->st_uid == above->st_uid;
}

static bool is_owned(int dir, int fd)
{
    struct stat above, st;
    if (fstat(dir, &above) != 0 || fstat(fd, &st) != 0)
        return false;
    if (S_ISREG(st.st_mode) && (geteuid() != 0 || is_theirs(&above, &st)))
        return true;
    errno = EPERM;
    return false;
}

static void close_quietly(int fd) /* errno stays */
{
    int saved = errno;

    close(fd);
    errno = saved;
}

static int open_in(int dir, const char *name)
{
    int fd;

    RETRY(fd, openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (fd < 0 || is_owned(dir, fd))
        return fd;
    close_quietly(fd);
    return -1;
}

static int kernel_open_own(const char *path, const char *name)
{
    int dir = kernel_open(path, O_PATH | O_DIRECTORY, 0), fd;

    if (dir < 0)
        return -1;
    fd = open_in(dir, name);
    close_quietly(dir);
    return fd;
}

/* Not repeated: after EINTR the descriptor is gone, and its number may be somebody else's already.
 */
static int kernel_close(int fd)
{
    int r = close(fd);
    return r < 0 && errno == EINTR ? 0 : r;
}

static ssize_t kernel_pread(int fd, void *p, size_t n, uint64_t off)
{
    size_t done = 0;

    if (!offset_fits(off, n))
        return -1;
    while (done < n) {
        ssize_t r;
        RETRY(r, pread(fd, (char *)p + done, n - done, (off_t)(off + done)));
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

static ssize_t kernel_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    size_t done = 0;

    if (!offset_fits(off, n))
        return -1;
    while (done < n) {
        ssize_t r;
        RETRY(r, pwrite(fd, (const char *)p + done, n - done, (off_t)(off + done)));
        if (r < 0)
            return -1;
        done += (size_t)r;
    }
    return (ssize_t)done;
}

/* Drops the first `n` bytes, which have been written, from the vectors. */
static void iov_advance(struct iovec *v, int *count, size_t n)
{
    int gone = 0;

    while (gone < *count && n >= v[gone].iov_len)
        n -= v[gone++].iov_len;
    *count -= gone;
    memmove(v, v + gone, (size_t)*count * sizeof *v);
    if (*count > 0) {
        v[0].iov_base = (char *)v[0].iov_base + n;
        v[0].iov_len -= n;
    }
}

static int write_batch(int fd, struct iovec *v, int count, uint64_t *off)
{
    iov_advance(v, &count, 0); /* empty vectors at the front would look like no progress */
    while (count > 0) {
        ssize_t r;
        RETRY(r, pwritev(fd, v, count, (off_t)*off));
        if (r < 0)
            return -1;
        *off += (uint64_t)r;
        iov_advance(v, &count, (size_t)r);
    }
    return 0;
}

static ssize_t kernel_pwritev(int fd, const struct iovec *v, int n, uint64_t off)
{
    struct iovec batch[128];
    uint64_t at = off;
    size_t total = 0;

    for (int i = 0; i < n; i++)
        if (!size_add(total, v[i].iov_len, &total) || total > SSIZE_MAX) {
            errno = EINVAL;
            return -1;
        }
    if (!offset_fits(off, total))
        return -1;
    for (int i = 0; i < n;) {
        int count = MIN_OF(n - i, (int)ARRAY_LEN(batch));
        memcpy(batch, v + i, (size_t)count * sizeof *v);
        if (write_batch(fd, batch, count, &at) < 0)
            return -1;
        i += count;
    }
    return (ssize_t)total;
}

static int kernel_fsync(int fd)
{
    int r;
    RETRY(r, fsync(fd));
    return r;
}

static int kernel_fdatasync(int fd)
{
    int r;
    RETRY(r, fdatasync(fd));
    return r;
}

static int kernel_ftruncate(int fd, uint64_t size)
{
    int r;

    if (!offset_fits(size, 0))
        return -1;
    RETRY(r, ftruncate(fd, (off_t)size));
    return r;
}

static int kernel_fallocate(int fd, uint64_t off, uint64_t n)
{
    int r;

    if (!offset_fits(off, n))
        return -1;
    RETRY(r, fallocate(fd, 0, (off_t)off, (off_t)n));
    return r;
}

static int kernel_size(int fd, uint64_t *out)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -1;
    *out = (uint64_t)st.st_size;
    return 0;
}

/* By statx(2), which is asked for nothing but the number of names. Who has been told a file's times is owed a new
 * one at the next write (multigrain timestamps, since Linux 6.13), and that is one more thing to bring to the
 * disk: this comes after each sync. */
static int kernel_linked(int fd)
{
    struct statx st;
    struct stat plain;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_NLINK, &st) == 0)
        return st.stx_nlink > 0;
    if ((errno != ENOSYS && errno != EPERM) ||
        fstat(fd, &plain) < 0) /* a sandbox may not know it */
        return -1;
    return plain.st_nlink > 0;
}

static int kernel_mkdir(const char *path, unsigned mode)
{
    return mkdir(path, (mode_t)mode);
}

static int kernel_sync_dir(const char *path)
{
    int fd = kernel_open(path, O_RDONLY | O_DIRECTORY, 0);
    int r;

    if (fd < 0)
        return -1;
    r = kernel_fsync(fd);
    close_quietly(fd);
    return r;
}

static int kernel_list_dir(const char *path, void (*each)(void *arg, const char *name), void *arg)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int saved;

    if (dir == NULL)
        return -1;
    for (;;) {
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(arg, entry->d_name);
    }
    saved = errno;
    closedir(dir);
    errno = saved;
    return saved == 0 ? 0 : -1;
}

static void *kernel_map(int fd, uint64_t off, size_t n)
{
    void *p =
        offset_fits(off, n) ? mmap(NULL, n, PROT_READ, MAP_SHARED, fd, (off_t)off) : MAP_FAILED;
    return p == MAP_FAILED ? NULL : p;
}

static int kernel_lock(int fd)
{
    int r;
    RETRY(r, flock(fd, LOCK_EX | LOCK_NB));
    return r;
}

const struct os_ops os_kernel = {
    .open = kernel_open,
    .open_own = kernel_open_own,
    .close = kernel_close,
    .pread = kernel_pread,
    .pwrite = kernel_pwrite,
    .pwritev = kernel_pwritev,
    .fsync = kernel_fsync,
    .fdatasync = kernel_fdatasync,
    .ftruncate = kernel_ftruncate,
    .fallocate = kernel_fallocate,
    .size = kernel_size,
    .linked = kernel_linked,
    .rename = rename,
    .unlink = unlink,
    .link = link,
    .mkdir = kernel_mkdir,
    .rmdir = rmdir,
    .sync_dir = kernel_sync_dir,
    .list_dir = kernel_list_dir,
    .map = kernel_map,
    .unmap = munmap,
    .lock = kernel_lock,
};

static _Atomic(const struct os_ops *) in_force = &os_kernel;

const struct os_ops *os(void)
{
    return atomic_load_explicit(&in_force, memory_order_acquire);
}

void os_test_replace(const struct os_ops *ops)
{
    atomic_store(&in_force, ops != NULL ? ops : &os_kernel);
}

/* Of a set that has room for n CPUs; 0: the kernel's sets are larger, or it failed. */
static unsigned count_cpus(int n)
{
    size_t bytes = CPU_ALLOC_SIZE(n);
    cpu_set_t *set = CPU_ALLOC(n);
    int found = 0;

    if (set != NULL && sched_getaffinity(0, bytes, set) == 0)
        found = CPU_COUNT_S(bytes, set);
    CPU_FREE(set);
    return (unsigned)found;
}

/* The C library's type ends at 1,024. */
unsigned os_cpu_count(void)
{
    unsigned count = 0;

    for (int n = CPU_SETSIZE; count == 0 && n <= MAX_CPUS; n *= 4)
        count = count_cpus(n);
    return MAX_OF(count, 1u);
}

/* Settings and keys may come through a pipe or /dev/stdin, which has no offsets. */
static ssize_t read_some(int fd, char *p, size_t n, uint64_t off)
{
    ssize_t r = os()->pread(fd, p, n, off);

    if (r < 0 && errno == ESPIPE)
        RETRY(r, read(fd, p, n));
    return r;
}

/* Room for *cap bytes and a NUL, twice as much as before. */
static bool make_room(char **p, size_t *cap)
{
    size_t bigger = *cap < 4 * KIB ? 4 * KIB : *cap * 2;
    char *grown = realloc(*p, bigger + 1);

    if (grown == NULL)
        return false;
    *p = grown;
    *cap = bigger;
    return true;
}

/* Reads to the end into *p (malloc'd, also after an error), one byte more than `max` at most: that
 * byte tells that there is too much. */
static enum err read_to_end(int fd, size_t max, char **p, size_t *n)
{
    size_t cap = 0;
    ssize_t r;

    do {
        if (*n == cap && !make_room(p, &cap))
            return ERR_NOMEM;
        r = read_some(fd, *p + *n, MIN_OF(cap - *n, max - *n + 1), *n);
        if (r < 0)
            return err_from_errno(errno);
        *n += (size_t)r;
        if (*n > max)
            return ERR_LIMIT;
    } while (r > 0);
    (*p)[*n] = '\0';
    return OK;
}

static enum err read_all(int fd, size_t max, char **out, size_t *out_n)
{
    char *p = NULL;
    size_t n = 0;
    enum err e = read_to_end(fd, max, &p, &n);
    int saved = errno;

    if (e == OK) {
        *out = p;
        *out_n = n;
    } else {
        free(p);
        errno = saved;
    }
    return e;
}

static enum err not_read(const char *path, struct err_detail *d)
{
    int saved = errno;
    return err_set(d, err_from_errno(saved), saved, "%s", path);
}

/* An open file, which is closed. */
static enum err read_and_close(int fd, const char *path, size_t max, char **out, size_t *out_n,
                               struct err_detail *d)
{
    enum err e = read_all(fd, MIN_OF(max, (size_t)SSIZE_MAX / 4), out, out_n);
    int saved = errno;

    os()->close(fd);
    if (e == ERR_LIMIT)
        return err_set(d, e, 0, "%s: larger than %zu bytes", path, max);
    if (e == ERR_NOMEM)
        return err_set(d, e, 0, "%s: %s", path, err_text(e));
    if (e != OK)
        return err_set(d, e, saved, "%s", path);
    return OK;
}

enum err os_read_file(const char *path, size_t max, char **out, size_t *out_n, struct err_detail *d)
{
    int fd = os()->open(path, O_RDONLY, 0);

    return fd < 0 ? not_read(path, d) : read_and_close(fd, path, max, out, out_n, d);
}

enum err os_read_regular(const char *path, size_t max, char **out, size_t *out_n,
                         struct err_detail *d)
{
    struct stat st;
    int fd = os()->open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

    if (fd < 0)
        return not_read(path, d);
    enum err e = fstat(fd, &st) != 0    ? not_read(path, d)
                 : !S_ISREG(st.st_mode) ? err_set(d, ERR_REFUSED, 0, "%s: is no regular file", path)
                                        : OK;
    if (e == OK)
        return read_and_close(fd, path, max, out, out_n, d);
    os()->close(fd);
    return e;
}

/* ---- how much memory ------------------------------------------------------------------------- */

#define CGROUP_LINES_MAX (16 * KIB)
#define CGROUP_FILE_MAX  64

/* Where a hierarchy is mounted, and the files in each of its directories that set a limit. */
struct cgroup_kind { /* NULL: there is no second one */
    const char *at[2];
    const char *limits[2];
};

static const struct cgroup_kind cgroup_two = {{"sys/fs/cgroup", "sys/fs/cgroup/unified"},
                                              {"memory.max", "memory.high"}};
static const struct cgroup_kind cgroup_one = {{"sys/fs/cgroup/memory"}, {"memory.limit_in_bytes"}};

/* What is there of a small file, into p; nothing if it cannot be read. It takes no memory, which might not
 * be there. */
static str read_small(const char *path, char *p, size_t max)
{
    int fd = os()->open(path, O_RDONLY, 0);
    ssize_t n = fd < 0 ? 0 : os()->pread(fd, p, max, 0);

    if (fd >= 0)
        os()->close(fd);
    return (str){p, n > 0 ? (size_t)n : 0};
}

/* UINT64_MAX: there is no such file, or no limit in it ("max"). */
static uint64_t read_limit(const char *root, const char *at, str group, const char *name)
{
    char path[PATH_MAX], text[CGROUP_FILE_MAX];
    int n = snprintf(path, sizeof path, "%s/%s" STR_FMT "/%s", root, at, STR_ARG(group), name);
    uint64_t limit;

    if (n < 0 || (size_t)n >= sizeof path ||
        str_to_u64(str_trim(read_small(path, text, sizeof text)), &limit) != OK)
        return UINT64_MAX;
    return limit;
}

/* The least of a group ("/a/b", or "" for the uppermost) and of those above it. What the process sees may be
 * a part of the hierarchy whose paths do not begin there: where nothing is, no limit is. */
static uint64_t least_limit(const char *root, const struct cgroup_kind *kind, str group)
{
    uint64_t least = UINT64_MAX;

    for (;;) {
        for (size_t i = 0; i < ARRAY_LEN(kind->at) && kind->at[i] != NULL; i++)
            for (size_t j = 0; j < ARRAY_LEN(kind->limits) && kind->limits[j] != NULL; j++) {
                uint64_t limit = read_limit(root, kind->at[i], group, kind->limits[j]);
                least = MIN_OF(least, limit);
            }
        if (group.n == 0)
            return least;
        while (group.n > 0 && group.p[--group.n] != '/')
            continue;
    }
}

/* A line of /proc/self/cgroup: "0::/path" (version 2), "4:cpu,memory:/path" (version 1). */
static uint64_t line_limit(const char *root, str line)
{
    str number = str_cut(&line, ':'), controllers = str_cut(&line, ':'), group = line;

    if (group.n <= 1 || group.p[0] != '/' || str_find_str(group, STR("/..")) != STR_NPOS)
        group = STR(""); /* "/", or outside of what the process sees */
    if (str_eq(number, STR("0")) && controllers.n == 0)
        return least_limit(root, &cgroup_two, group);
    return str_has_word(controllers, STR("memory")) ? least_limit(root, &cgroup_one, group)
                                                    : UINT64_MAX;
}

static uint64_t cgroup_limit(const char *root)
{
    char path[PATH_MAX], text[CGROUP_LINES_MAX];
    uint64_t least = UINT64_MAX;
    str rest;

    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    for (rest = read_small(path, text, sizeof text); rest.n > 0;) {
        str line = str_cut(&rest, '\n');
        uint64_t limit = line_limit(root, line);
        least = MIN_OF(least, limit);
    }
    return least;
}

uint64_t os_memory_limit(const char *root)
{
    long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes : UINT64_MAX,
             limit = cgroup_limit(root);

    limit = MIN_OF(machine, limit);
    return limit == UINT64_MAX ? 0 : limit;
}
