/*
 * process/landlock.c - Landlock (landlock(7)): which files the process can reach, whatever their access
 * rights say.
 *
 * The rules of a kernel are a version number ("ABI") with a set of rights; what is asked for beyond them is
 * an error, so the sets are masked. Version 1 (Linux 5.13 to 5.18) refuses every rename between
 * directories, which bringing a repair to its end needs (doc/operations.md): it counts as none. The
 * numbers are the kernel's and written out here, since the headers may be older than the kernel.
 *
 * A rule holds for the file or directory that has the name now, not for what gets it later. So
 * where files are replaced by renaming (certificates, resolv.conf) the rule is for their directory.
 */
#include "process/process.h"

#include "base/os.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture (all calls since 5.1 have them). */
#define CALL_CREATE_RULESET 444
#define CALL_ADD_RULE       445
#define CALL_RESTRICT_SELF  446

#define CREATE_RULESET_VERSION 1
#define RULE_PATH_BENEATH      1
#define MIN_ABI                2

/* struct landlock_ruleset_attr of version 6; older kernels want zeros behind theirs. */
struct ruleset {
    uint64_t handled_fs, handled_net, scoped;
};

struct path_rule { /* struct landlock_path_beneath_attr */
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_MAKE_SOCK = 1 << 9,
    FS_MAKE_FIFO = 1 << 10,
    FS_MAKE_BLOCK = 1 << 11,
    FS_MAKE_SYM = 1 << 12,
    FS_REFER = 1 << 13,     /* ABI 2 */
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */

    NET_BIND_TCP = 1 << 0, /* ABI 4; connecting is left alone: plugins call out to any port */

    SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,        /* ABI 6 */

    OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};

static const uint64_t rights[] = {
    [SANDBOX_READ] = FS_READ_FILE | FS_READ_DIR,
    [SANDBOX_WRITE] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE | FS_MAKE_REG |
                      FS_MAKE_DIR | FS_REMOVE_FILE | FS_REMOVE_DIR | FS_REFER,
    [SANDBOX_REMOVE] = FS_REMOVE_FILE,
};

static struct ruleset handled_by(int abi)
{
    struct ruleset r = {.handled_fs = (uint64_t)FS_REFER * 2 - 1};
    if (abi >= 3)
        r.handled_fs |= FS_TRUNCATE;
    if (abi >= 4)
        r.handled_net = NET_BIND_TCP;
    if (abi >= 5)
        r.handled_fs |= FS_IOCTL_DEV;
    if (abi >= 6)
        r.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    return r;
}

static enum err failed(const char *what, struct err_detail *d)
{
    return err_set(d, ERR_FAILED, errno, "sandbox: %s", what);
}

static enum err add_path(int ruleset, uint64_t handled, const struct sandbox_path *p,
                         struct err_detail *d)
{
    struct path_rule rule = {.allowed = rights[p->access] & handled};
    struct stat st;
    int fd = os()->open(p->path, O_PATH, 0);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
        return OK; /* what cannot be reached needs no leave */
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum err e = failed(p->path, d);
        if (fd >= 0)
            os()->close(fd);
        return e;
    }
    if (!S_ISDIR(st.st_mode))
        rule.allowed &= OF_FILES;
    rule.fd = fd;
    long r = rule.allowed ? syscall(CALL_ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) : 0;
    enum err e = r == 0 ? OK : failed(p->path, d);
    os()->close(fd);
    return e;
}

enum err sandbox_files(const struct sandbox_path *paths, size_t n, int *abi, struct err_detail *d)
{
    long version = syscall(CALL_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
    if (version < MIN_ABI) {
        *abi = 0;
        return OK;
    }
    const struct ruleset handled = handled_by((int)version);
    int fd = (int)syscall(CALL_CREATE_RULESET, &handled, sizeof handled, 0);
    if (fd < 0)
        return failed("landlock_create_ruleset", d);
    enum err e = OK;
    for (size_t i = 0; i < n && e == OK; i++)
        e = add_path(fd, handled.handled_fs, &paths[i], d);
    if (e == OK && syscall(CALL_RESTRICT_SELF, fd, 0) != 0)
        e = failed("landlock_restrict_self", d);
    os()->close(fd);
    if (e == OK)
        *abi = (int)version;
    return e;
}
