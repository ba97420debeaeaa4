/*
 * test/unit/engine/faults.h - system calls that fail as planned: faults_install() puts itself between
 * the engine and the kernel (os_test_replace(NULL) ends that), faults_plan() says what is to fail.
 */
#ifndef TEST_ENGINE_FAULTS_H
#define TEST_ENGINE_FAULTS_H

#include <errno.h>
#include <stdatomic.h>

#include "test/unit/engine/kit.h"

enum fault_call {
    FAULT_OPEN,
    FAULT_CLOSE,
    FAULT_PREAD,
    FAULT_PWRITE,
    FAULT_PWRITEV,
    FAULT_FSYNC,
    FAULT_FDATASYNC,
    FAULT_FTRUNCATE,
    FAULT_FALLOCATE,
    FAULT_SIZE,
    FAULT_LINKED,
    FAULT_RENAME,
    FAULT_UNLINK,
    FAULT_LINK,
    FAULT_MKDIR,
    FAULT_RMDIR,
    FAULT_SYNC_DIR,
    FAULT_LIST_DIR,
    FAULT_MAP,
    FAULT_LOCK,
    FAULT_CALLS
};
#define FAULT_BIT(call) (1u << FAULT_##call)

static struct {
    _Atomic unsigned mask; /* which calls count */
    _Atomic int left;      /* of them, until the failure; counts down to 0 and on */
    bool for_ever;
    int error;
    _Atomic int failed;     /* calls */
    _Atomic unsigned kinds; /* which kinds failed */
} faults;

/* Of the calls in `mask` the nth fails, or all from the nth on. Mask 0: none. */
KIT void faults_plan(unsigned mask, int nth, bool for_ever, int error)
{
    atomic_store(&faults.mask, 0);
    faults.for_ever = for_ever;
    faults.error = error;
    atomic_store(&faults.failed, 0);
    atomic_store(&faults.kinds, 0);
    atomic_store(&faults.left, nth);
    atomic_store(&faults.mask, mask);
}

KIT void faults_end(void)
{
    atomic_store(&faults.mask, 0);
}

static bool fault(enum fault_call call)
{
    int left;

    if (!(atomic_load(&faults.mask) & 1u << call))
        return false;
    left = atomic_fetch_sub(&faults.left, 1);
    if (left != 1 && !(faults.for_ever && left < 1))
        return false;
    atomic_fetch_add(&faults.failed, 1);
    atomic_fetch_or(&faults.kinds, 1u << call);
    errno = faults.error;
    return true;
}

static int fault_open(const char *path, int flags, unsigned mode)
{
    return fault(FAULT_OPEN) ? -1 : os_kernel.open(path, flags, mode);
}

static int fault_open_own(const char *dir, const char *name)
{
    return fault(FAULT_OPEN) ? -1 : os_kernel.open_own(dir, name);
}

/* It is closed all the same. */
static int fault_close(int fd)
{
    bool no = fault(FAULT_CLOSE);
    int r = os_kernel.close(fd);

    errno = no ? faults.error : errno;
    return no ? -1 : r;
}

static ssize_t fault_pread(int fd, void *p, size_t n, uint64_t off)
{
    return fault(FAULT_PREAD) ? -1 : os_kernel.pread(fd, p, n, off);
}

/* A write that fails has done half of its work. */
static ssize_t fault_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    if (!fault(FAULT_PWRITE))
        return os_kernel.pwrite(fd, p, n, off);
    os_kernel.pwrite(fd, p, n / 2, off);
    errno = faults.error;
    return -1;
}

static ssize_t fault_pwritev(int fd, const struct iovec *v, int n, uint64_t off)
{
    if (!fault(FAULT_PWRITEV))
        return os_kernel.pwritev(fd, v, n, off);
    os_kernel.pwrite(fd, v[0].iov_base, v[0].iov_len / 2, off);
    errno = faults.error;
    return -1;
}

static int fault_fsync(int fd)
{
    return fault(FAULT_FSYNC) ? -1 : os_kernel.fsync(fd);
}

static int fault_fdatasync(int fd)
{
    return fault(FAULT_FDATASYNC) ? -1 : os_kernel.fdatasync(fd);
}

static int fault_ftruncate(int fd, uint64_t size)
{
    return fault(FAULT_FTRUNCATE) ? -1 : os_kernel.ftruncate(fd, size);
}

static int fault_fallocate(int fd, uint64_t off, uint64_t n)
{
    return fault(FAULT_FALLOCATE) ? -1 : os_kernel.fallocate(fd, off, n);
}

static int fault_size(int fd, uint64_t *out)
{
    return fault(FAULT_SIZE) ? -1 : os_kernel.size(fd, out);
}

static int fault_linked(int fd)
{
    return fault(FAULT_LINKED) ? -1 : os_kernel.linked(fd);
}

static int fault_rename(const char *from, const char *to)
{
    return fault(FAULT_RENAME) ? -1 : os_kernel.rename(from, to);
}

static int fault_unlink(const char *path)
{
    return fault(FAULT_UNLINK) ? -1 : os_kernel.unlink(path);
}

static int fault_link(const char *from, const char *to)
{
    return fault(FAULT_LINK) ? -1 : os_kernel.link(from, to);
}

static int fault_mkdir(const char *path, unsigned mode)
{
    return fault(FAULT_MKDIR) ? -1 : os_kernel.mkdir(path, mode);
}

static int fault_rmdir(const char *path)
{
    return fault(FAULT_RMDIR) ? -1 : os_kernel.rmdir(path);
}

static int fault_sync_dir(const char *path)
{
    return fault(FAULT_SYNC_DIR) ? -1 : os_kernel.sync_dir(path);
}

static int fault_list_dir(const char *path, void (*each)(void *, const char *), void *arg)
{
    return fault(FAULT_LIST_DIR) ? -1 : os_kernel.list_dir(path, each, arg);
}

static void *fault_map(int fd, uint64_t off, size_t n)
{
    return fault(FAULT_MAP) ? NULL : os_kernel.map(fd, off, n);
}

static int fault_lock(int fd)
{
    return fault(FAULT_LOCK) ? -1 : os_kernel.lock(fd);
}

static struct os_ops fault_ops = {
    .open = fault_open,
    .open_own = fault_open_own,
    .close = fault_close,
    .pread = fault_pread,
    .pwrite = fault_pwrite,
    .pwritev = fault_pwritev,
    .fsync = fault_fsync,
    .fdatasync = fault_fdatasync,
    .ftruncate = fault_ftruncate,
    .fallocate = fault_fallocate,
    .size = fault_size,
    .linked = fault_linked,
    .rename = fault_rename,
    .unlink = fault_unlink,
    .link = fault_link,
    .mkdir = fault_mkdir,
    .rmdir = fault_rmdir,
    .sync_dir = fault_sync_dir,
    .list_dir = fault_list_dir,
    .map = fault_map,
    .lock = fault_lock,
};

KIT void faults_install(void)
{
    fault_ops.unmap = os_kernel.unmap;
    os_test_replace(&fault_ops);
}

#endif
