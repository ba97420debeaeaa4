/*
 * base/os.h - the only caller of the system calls that touch files.
 *
 * The engine and whoever else keeps data go through this table, so that a test can put a simulated
 * disk in its place, or make the n-th call fail. Each function returns the call's result and leaves
 * errno as the kernel does; EINTR is retried here and short writes are completed here.
 */
#ifndef BASE_OS_H
#define BASE_OS_H

#include "base/err.h"
#include <sys/types.h>
#include <sys/uio.h>

struct os_ops {
    int (*open)(const char *path, int flags, unsigned mode);
    /* Opens dir/name to read it, if it is a regular file (no link, nothing that makes one wait) of the one
     * who has the directory: for root, who would be let into everything that somebody else put a link to.
     * In one of root's own, nobody else must be able to write. errno EPERM, ELOOP: it is not so. */
    int (*open_own)(const char *dir, const char *name);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *p, size_t n, uint64_t off);        /* short only at the end */
    ssize_t (*pwrite)(int fd, const void *p, size_t n, uint64_t off); /* all n, or -1 */
    ssize_t (*pwritev)(int fd, const struct iovec *v, int n, uint64_t off); /* all, or -1 */
    int (*fsync)(int fd);
    int (*fdatasync)(int fd);
    int (*ftruncate)(int fd, uint64_t size);
    /* There is space for these bytes, and the file is at least so long; what it gets is 0. When that fails, it
     * may have got a part, and be longer. */
    int (*fallocate)(int fd, uint64_t off, uint64_t n);
    int (*size)(int fd, uint64_t *out);
    int (*linked)(int fd); /* 1: the file still has a name, 0: it was removed; -1 */
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*link)(const char *from, const char *to); /* one more name for a file */
    int (*mkdir)(const char *path, unsigned mode);
    int (*rmdir)(const char *path);    /* of an empty directory */
    int (*sync_dir)(const char *path); /* open + fsync + close of a directory */
    int (*list_dir)(const char *path, void (*each)(void *arg, const char *name), void *arg);
    /* A shared read-only view of [off, off + n), off a multiple of 64 KiB, which may reach past the
     * end of file; bytes beyond the file's size must not be touched. NULL on failure. */
    void *(*map)(int fd, uint64_t off, size_t n);
    int (*unmap)(void *p, size_t n);
    int (*lock)(int fd); /* exclusive, non-blocking; -1 with EWOULDBLOCK when another holds it */
};

const struct os_ops *os(void);                  /* the table in force */
void os_test_replace(const struct os_ops *ops); /* tests only; NULL restores the kernel's */
extern const struct os_ops os_kernel;           /* the real one, for wrappers to call */

/* The CPUs that this process may run on (taskset, cpusets), at least 1. */
unsigned os_cpu_count(void);

/* The whole file into malloc'd memory (caller frees), at most `max` bytes (LIMIT). NUL-terminated. What
 * comes through a pipe is waited for. *out and *out_n are set on success only. */
MUST_CHECK enum err os_read_file(const char *path, size_t max, char **out, size_t *out_n,
                                 struct err_detail *d);
/* The same for threads that others wait for, and what is read again and again: never waits for whoever
 * might write. REFUSED: it is no regular file (nor a link to one). */
MUST_CHECK enum err os_read_regular(const char *path, size_t max, char **out, size_t *out_n,
                                    struct err_detail *d);
/* Either of them, for who reads at the start and again later. */
typedef enum err os_read_fn(const char *path, size_t max, char **out, size_t *out_n,
                            struct err_detail *d);

/*
 * Bytes of memory that the process may use: the machine's, or less where a cgroup (a container, a unit of
 * systemd) sets a limit: memory.max and memory.high of version 2, memory.limit_in_bytes of version 1, the
 * smallest of the process's own cgroup and of all above it. `root` is where proc/ and sys/ are: "" for
 * those of the system, or a directory of a test, of at most 200 bytes. What cannot be read sets no limit;
 * 0: not even the machine tells. Reads files below /proc and /sys, so it is to be called before the process
 * is confined.
 */
uint64_t os_memory_limit(const char *root);

#endif
