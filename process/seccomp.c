/*
 * process/seccomp.c - seccomp (seccomp(2)): which system calls the process can make at all.
 *
 * Three answers, by what a call would mean:
 *
 *     in `allowed`     what kinto and its libraries do; some of them only with certain arguments
 *     in `killed`      what no part of a server does, and whoever got into one tries first: the process
 *                      ends with SIGSYS before the call does anything. An error would let them go on trying
 *     anything else    ENOSYS. Not EPERM, which code behind a call may take for an answer about a file; and
 *                      not the end, since a C library that is newer than this table tries its new calls first
 *                      and does without them on a kernel that has none
 *
 * clone3() hides its flags in memory, where a filter cannot look: it gets ENOSYS, too, and the C library
 * makes its threads with clone(). No page can become executable: nothing here compiles at run
 * time (pcre2 is used without its JIT).
 *
 * The filter is a list, asked from the top; the calls of a request come first. (Since Linux 5.11 the kernel
 * remembers which numbers are allowed whatever their arguments, and does not ask at all.)
 */
#include "process/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define OUR_ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define OUR_ARCH AUDIT_ARCH_RISCV64
#endif

#ifdef OUR_ARCH

#ifdef __NR_mmap2 /* 32 bits */
#define CALL_MMAP  __NR_mmap2
#define CALL_FCNTL __NR_fcntl64
#else
#define CALL_MMAP  __NR_mmap
#define CALL_FCNTL __NR_fcntl
#endif
#define X32_BIT          0x40000000u
#define MAX_INSTRUCTIONS 1024
#define MAX_VALUES       ((UINT8_MAX - 2) / 2) /* of one argument: a jump passes over 255 instructions */

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "low words of arguments come first");

static const int allowed[] = {
    /* requests */
    __NR_epoll_pwait,
    __NR_read,
    __NR_write,
    __NR_recvfrom,
    __NR_recvmsg,
    __NR_sendto,
    __NR_sendmsg,
    __NR_writev,
    __NR_readv,
    __NR_futex,
    __NR_accept4,
    __NR_close,
    __NR_epoll_ctl,
    __NR_setsockopt,
    __NR_getsockopt,
    __NR_shutdown,
    __NR_getpeername,
    __NR_getsockname,
    __NR_recvmmsg,
    __NR_sendmmsg,
    __NR_connect,
    __NR_bind,
    __NR_listen,
    __NR_accept,
    __NR_ppoll,
    __NR_pselect6,
    __NR_epoll_create1,
    __NR_eventfd2,
    __NR_pipe2,
    __NR_dup,
    __NR_dup3,
    /* files */
    __NR_pread64,
    __NR_pwrite64,
    __NR_preadv,
    __NR_pwritev,
    __NR_pwritev2,
    __NR_fdatasync,
    __NR_fsync,
    __NR_ftruncate,
    __NR_fallocate,
    __NR_fstat,
    __NR_openat,
    __NR_statx,
    __NR_lseek,
    __NR_unlinkat,
    __NR_renameat2,
    __NR_mkdirat,
    __NR_linkat,
    __NR_readlinkat,
    __NR_faccessat,
    __NR_faccessat2,
    __NR_getdents64,
    __NR_flock,
    __NR_getcwd,
    __NR_fstatfs,
    __NR_umask,
    /* memory */
    __NR_munmap,
    __NR_mremap,
    __NR_madvise,
    __NR_brk,
    __NR_msync,
    __NR_mincore,
    /* time, threads, signals, who we are */
    __NR_clock_gettime,
    __NR_clock_getres,
    __NR_clock_nanosleep,
    __NR_nanosleep,
    __NR_gettimeofday,
    __NR_set_robust_list,
    __NR_get_robust_list,
    __NR_set_tid_address,
    __NR_rseq,
    __NR_sched_yield,
    __NR_getcpu,
    __NR_sched_getaffinity,
    __NR_sched_getparam,
    __NR_sched_getscheduler,
    __NR_sched_setscheduler,
    __NR_setpriority,
    __NR_getpriority,
    __NR_membarrier,
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_rt_sigreturn,
    __NR_rt_sigtimedwait,
    __NR_rt_sigpending,
    __NR_rt_sigsuspend,
    __NR_sigaltstack,
    __NR_restart_syscall,
    __NR_getpid,
    __NR_getppid,
    __NR_gettid,
    __NR_getuid,
    __NR_geteuid,
    __NR_getgid,
    __NR_getegid,
    __NR_getrandom,
    __NR_uname,
    __NR_sysinfo,
    __NR_getrusage,
    __NR_times,
    __NR_exit,
    __NR_exit_group,
#ifdef __NR_newfstatat
    __NR_newfstatat,
#endif
#ifdef __NR_fadvise64
    __NR_fadvise64,
#endif
#ifdef __NR_renameat
    __NR_renameat,
#endif
#ifdef __NR_open /* the first architectures: x86-64 and arm */
    __NR_epoll_wait,
    __NR_poll,
    __NR_open,
    __NR_stat,
    __NR_lstat,
    __NR_access,
    __NR_unlink,
    __NR_rename,
    __NR_mkdir,
    __NR_rmdir,
    __NR_link,
    __NR_readlink,
    __NR_pause,
    __NR_pipe,
    __NR_dup2,
#endif
#ifdef __NR_select
    __NR_select,
#endif
#ifdef __NR_time
    __NR_time,
#endif
#ifdef __NR_mmap2 /* 32 bits */
    __NR__llseek,
    __NR__newselect,
    __NR_fstat64,
    __NR_stat64,
    __NR_lstat64,
    __NR_fstatat64,
    __NR_ftruncate64,
    __NR_fstatfs64,
    __NR_ugetrlimit,
    __NR_getuid32,
    __NR_geteuid32,
    __NR_getgid32,
    __NR_getegid32,
    __NR_recv,
    __NR_send,
    __NR_sigreturn,
#endif
#ifdef __NR_clock_gettime64 /* 32 bits behind 2038 */
    __NR_clock_gettime64,
    __NR_clock_getres_time64,
    __NR_clock_nanosleep_time64,
    __NR_futex_time64,
    __NR_ppoll_time64,
    __NR_pselect6_time64,
    __NR_recvmmsg_time64,
    __NR_rt_sigtimedwait_time64,
#endif
#ifdef __NR_arm_fadvise64_64
    __NR_arm_fadvise64_64,
#endif
};

static const int killed[] = {
    /* other programs and processes */
    __NR_execve,
    __NR_execveat,
    __NR_ptrace,
    __NR_process_vm_readv,
    __NR_process_vm_writev,
    __NR_pidfd_getfd,
    __NR_kcmp,
    /* other users and rights */
    __NR_setuid,
    __NR_setgid,
    __NR_setreuid,
    __NR_setregid,
    __NR_setresuid,
    __NR_setresgid,
    __NR_setfsuid,
    __NR_setfsgid,
    __NR_setgroups,
    __NR_capset,
    __NR_unshare,
    __NR_setns,
    __NR_personality,
    /* other files */
    __NR_mount,
    __NR_umount2,
    __NR_pivot_root,
    __NR_chroot,
    __NR_move_mount,
    __NR_open_tree,
    __NR_fsopen,
    __NR_fsconfig,
    __NR_fsmount,
    __NR_fspick,
    __NR_mount_setattr,
    __NR_mknodat,
    __NR_name_to_handle_at,
    __NR_open_by_handle_at,
    __NR_fanotify_init,
    __NR_quotactl,
    __NR_swapon,
    __NR_swapoff,
    __NR_acct,
    /* the kernel */
    __NR_init_module,
    __NR_finit_module,
    __NR_delete_module,
    __NR_kexec_load,
    __NR_reboot,
    __NR_syslog,
    __NR_bpf,
    __NR_perf_event_open,
    __NR_userfaultfd,
    __NR_io_uring_setup,
    __NR_io_uring_enter,
    __NR_io_uring_register,
    __NR_add_key,
    __NR_request_key,
    __NR_keyctl,
    __NR_settimeofday,
    __NR_clock_settime,
    __NR_clock_adjtime,
    __NR_adjtimex,
    __NR_sethostname,
    __NR_setdomainname,
    __NR_vhangup,
#ifdef __NR_kexec_file_load
    __NR_kexec_file_load,
#endif
#ifdef __NR_fork
    __NR_fork,
    __NR_vfork,
    __NR_mknod,
#endif
#ifdef __NR_iopl
    __NR_iopl,
    __NR_ioperm,
    __NR_modify_ldt,
#endif
#ifdef __NR_setuid32
    __NR_setuid32,
    __NR_setgid32,
    __NR_setreuid32,
    __NR_setregid32,
    __NR_setresuid32,
    __NR_setresgid32,
    __NR_setfsuid32,
    __NR_setfsgid32,
    __NR_setgroups32,
    __NR_clock_settime64,
    __NR_clock_adjtime64,
#endif
};

/* Values of an argument that are fine; all others have the answer of the row. What the rooms use is here:
 * lint compares. The rest is the libraries'. */
static const uint32_t families[] = {AF_INET, AF_INET6, AF_UNIX};
static const uint32_t ioctls[] = {SIOCOUTQ, FIONREAD, FIONBIO, TCGETS};
static const uint32_t fcntls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD, F_DUPFD_CLOEXEC};
static const uint32_t prctls[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS};

/* ---- the program ----------------------------------------------------------------------------- */

struct program {
    struct sock_filter at[MAX_INSTRUCTIONS];
    unsigned short n;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t if_true, uint8_t if_false)
{
    CHECK(p->n < MAX_INSTRUCTIONS); /* the tables are constant */
    p->at[p->n++] = (struct sock_filter){code, if_true, if_false, k};
}

static void load(struct program *p, size_t offset)
{
    emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct program *p, uint32_t action)
{
    emit(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Is what was loaded `value`? Then the answer; else go on. */
static void if_equal(struct program *p, uint32_t value, uint32_t action)
{
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    answer(p, action);
}

static void list(struct program *p, const int *calls, size_t n, uint32_t action)
{
    for (size_t i = 0; i < n; i++)
        if_equal(p, (uint32_t)calls[i], action);
}

static size_t low_word(unsigned arg)
{
    return offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t);
}

static void load_number(struct program *p)
{
    load(p, offsetof(struct seccomp_data, nr));
}

/* Of one call: an argument (its low 32 bits, which the kernel takes for an int) is one of the values, or
 * the answer is `otherwise`. */
static void one_of(struct program *p, int call, unsigned arg, const uint32_t *values, size_t n,
                   uint32_t otherwise)
{
    CHECK(n <= MAX_VALUES);
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, (uint8_t)(2 * n + 2));
    load(p, low_word(arg));
    for (size_t i = 0; i < n; i++)
        if_equal(p, values[i], SECCOMP_RET_ALLOW);
    answer(p, otherwise);
}

/* Of one call: the bits of an argument under the mask are `want`, or the answer is `otherwise`. */
static void bits_are(struct program *p, int call, unsigned arg, uint32_t mask, uint32_t want,
                     uint32_t otherwise)
{
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 5);
    load(p, low_word(arg));
    emit(p, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
    if_equal(p, want, SECCOMP_RET_ALLOW);
    answer(p, otherwise);
}

static uint32_t error(int e)
{
    return SECCOMP_RET_ERRNO | ((uint32_t)e & SECCOMP_RET_DATA);
}

/* Calls of another architecture have other numbers, x32 has them with a bit of its own. */
static void our_calls_only(struct program *p)
{
    load(p, offsetof(struct seccomp_data, arch));
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
    answer(p, SECCOMP_RET_KILL_PROCESS);
    load_number(p);
#ifdef __x86_64__
    emit(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    answer(p, SECCOMP_RET_KILL_PROCESS);
#endif
}

static void calls_with_arguments(struct program *p)
{
    const uint32_t us = (uint32_t)getpid(), myself = 0;
    const uint32_t netlink = AF_NETLINK;
    const uint32_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;

    bits_are(p, __NR_clone, 0, thread, thread, SECCOMP_RET_KILL_PROCESS);
    bits_are(p, __NR_mprotect, 2, PROT_EXEC, 0, error(EACCES));
    bits_are(p, CALL_MMAP, 2, PROT_EXEC, 0, error(EACCES));
    one_of(p, CALL_FCNTL, 1, fcntls, ARRAY_LEN(fcntls), error(EINVAL));
    one_of(p, __NR_ioctl, 1, ioctls, ARRAY_LEN(ioctls), error(ENOTTY));
    one_of(p, __NR_prctl, 0, prctls, ARRAY_LEN(prctls), error(EINVAL));
    one_of(p, __NR_tgkill, 0, &us, 1, error(EPERM)); /* abort() */
    one_of(p, __NR_kill, 0, &us, 1, error(EPERM));
    one_of(p, __NR_prlimit64, 0, &myself, 1, error(EPERM));
    /* A resolver may ask for interfaces, and does without; packets, AF_ALG, vsock are no server's
     * business. */
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3);
    load(p, low_word(0));
    if_equal(p, netlink, error(EAFNOSUPPORT));
    load_number(p);
    one_of(p, __NR_socket, 0, families, ARRAY_LEN(families), SECCOMP_RET_KILL_PROCESS);
}

enum err sandbox_calls(struct err_detail *d)
{
    struct program p = {.n = 0};

    our_calls_only(&p);
    list(&p, allowed, ARRAY_LEN(allowed), SECCOMP_RET_ALLOW);
    calls_with_arguments(&p);
    list(&p, killed, ARRAY_LEN(killed), SECCOMP_RET_KILL_PROCESS);
    answer(&p, error(ENOSYS));
    const struct sock_fprog filter = {p.n, p.at};
    long r = syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    if (r == 0)
        return OK;
    if (r > 0) /* and errno is an old one: no reason to go on without a filter */
        return err_set(d, ERR_FAILED, 0, "sandbox: thread %ld has a filter of its own", r);
    if (errno == ENOSYS || errno == EINVAL)
        return err_set(d, ERR_UNSUPPORTED, errno, "sandbox: this kernel has no seccomp filters");
    return err_set(d, ERR_FAILED, errno, "sandbox: seccomp");
}

#else

enum err sandbox_calls(struct err_detail *d)
{
    return err_set(d, ERR_UNSUPPORTED, 0, "sandbox: the calls of this architecture are not listed");
}

#endif
