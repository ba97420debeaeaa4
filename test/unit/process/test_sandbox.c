/*
 * What a process that is locked in can do, and what becomes of one that tries more: each in a process of its
 * own. A kernel without Landlock or seccomp skips what it cannot do, loudly; so do builds with sanitizers,
 * which make calls of their own.
 */
#include "test/unit/cli/cli_test.h"
#include "test/unit/process/child.h"

#include "process/process.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define NO_LANDLOCK 77 /* status of a child that could not be locked in */
#define NO_SECCOMP  78

static bool skipped(int status)
{
    if (!WIFEXITED(status))
        return false;
    if (WEXITSTATUS(status) == NO_LANDLOCK)
        fprintf(stderr, "SKIPPED: this kernel has no Landlock\n");
    if (WEXITSTATUS(status) == NO_SECCOMP)
        fprintf(stderr, "SKIPPED: this kernel has no seccomp filters\n");
    return WEXITSTATUS(status) == NO_LANDLOCK || WEXITSTATUS(status) == NO_SECCOMP;
}

static void succeeds(int (*run)(void))
{
    int status = in_child(run);
    if (!skipped(status))
        want_success(status);
}

static void ends_by(int (*run)(void), int sig)
{
    int status = in_child(run);
    if (!skipped(status))
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == sig, "status %x", status);
}

static bool is_sanitized(void)
{
    if (SANITIZED)
        fprintf(stderr, "SKIPPED: a build with sanitizers\n");
    return SANITIZED;
}

/* ---- Landlock -------------------------------------------------------------------------------- */

static int abi;

/* 0, or the status to end with. */
static int lock_files(void)
{
    static const struct sandbox_path paths[] = {
        {"data", SANDBOX_WRITE}, {"read", SANDBOX_READ},     {"file", SANDBOX_READ},
        {"run", SANDBOX_REMOVE}, {"missing", SANDBOX_WRITE}, {"missing/below", SANDBOX_READ},
    };
    struct err_detail d = {.text = ""};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return 101;
    if (sandbox_files(paths, ARRAY_LEN(paths), &abi, &d) != OK)
        return fprintf(stderr, "%s\n", d.text), 102;
    return abi == 0 ? NO_LANDLOCK : 0;
}

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool denied(bool done)
{
    return !done && (errno == EACCES || errno == EPERM || errno == EXDEV);
}

static int reads_and_writes_its_own(void)
{
    int status = lock_files();
    if (status != 0)
        return status;
    if (!opens("data/new", O_RDWR | O_CREAT | O_TRUNC) || !opens("data/a", O_RDWR | O_TRUNC))
        return 1;
    if (mkdir("data/sub", 0700) != 0 || rename("data/new", "data/sub/new") != 0)
        return 2;
    if (rename("data/sub/new", "data/newer") != 0 || rmdir("data/sub") != 0)
        return 3;
    if (link("data/a", "data/b") != 0 || unlink("data/b") != 0 || truncate("data/a", 0) != 0)
        return 4;
    if (!opens("data", O_RDONLY | O_DIRECTORY) || !opens("read/r", O_RDONLY))
        return 5;
    if (!opens("file", O_RDONLY) || unlink("run/socket") != 0)
        return 6;
    return 0;
}

/* Access rights would allow all of it. */
static int nothing_else(void)
{
    int status = lock_files();
    if (status != 0)
        return status;
    if (!denied(opens("shadow", O_RDONLY)) || !denied(opens("shadow", O_WRONLY)))
        return 1;
    if (!denied(opens(".", O_RDONLY | O_DIRECTORY)) || !denied(opens("/etc/passwd", O_RDONLY)))
        return 2;
    if (!denied(opens("read/r", O_WRONLY)) || !denied(opens("read/n", O_WRONLY | O_CREAT)))
        return 3;
    if (!denied(opens("file", O_WRONLY)) || !denied(opens("run/n", O_WRONLY | O_CREAT)))
        return 4;
    if (!denied(opens("data/../shadow", O_RDONLY)) || !denied(opens("data/link", O_RDONLY)))
        return 5;
    if (!denied(unlink("shadow") == 0) || !denied(mkdir("dir", 0700) == 0))
        return 6;
    if (!denied(rename("data/a", "a") == 0) || !denied(link("data/a", "b") == 0))
        return 7;
    if (!denied(symlink("x", "data/new") == 0) || !denied(mkfifo("data/fifo", 0600) == 0))
        return 8;
    if (abi >= 3 && !denied(truncate("shadow", 0) == 0))
        return 9;
    execl("/bin/true", "true", NULL);
    return denied(false) ? 0 : 10;
}

static int binds_no_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0), status = lock_files();
    if (status != 0)
        return status;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (abi < 4)
        return 0;
    return denied(bind(fd, (struct sockaddr *)&a, sizeof a) == 0) ? 0 : 1;
}

static int signals_nobody(void)
{
    int status = lock_files();
    if (status != 0)
        return status;
    return abi < 6 || denied(kill(getppid(), 0) == 0) ? 0 : 1;
}

static int (*const by_files[])(void) = {reads_and_writes_its_own, nothing_else, binds_no_port,
                                        signals_nobody};

static void make_tree(void)
{
    setup();
    ck_assert(mkdir("data", 0700) == 0 && mkdir("read", 0700) == 0 && mkdir("run", 0700) == 0);
    write_text("data/a", "a");
    write_text("read/r", "r");
    write_text("run/socket", "s");
    write_text("file", "f");
    write_text("shadow", "secret");
    ck_assert_int_eq(symlink("../shadow", "data/link"), 0);
}

START_TEST(files_of_a_server)
{
    succeeds(by_files[_i]);
}
END_TEST

/* ---- what process_confine() leaves to be read -------------------------------------------------- */

static const char *user; /* of the settings */

/* Locks the process in as `kinto start` does. 0, or the status to end with. */
static int confine(void)
{
    static const struct process_path paths[] = {{"file", PROCESS_READ},
                                                {"read/r", PROCESS_REPLACED}};
    struct setting_table tables[] = {process_settings};
    const struct setting_override as = {"kinto.server.user", user};
    struct process_plan plan = {.data = "data", .paths = paths, .npaths = ARRAY_LEN(paths)};
    struct err_detail d = {.text = ""};
    struct settings *settings;

    if (strcmp(user, "root") != 0)
        plan.data = NULL; /* what is in it is nobody's to take over */
    if (settings_load(&settings, tables, 1, NULL, &as, 1, &d) != OK)
        return 103;
    plan.settings = settings;
    if (process_confine(&plan, &d) != OK)
        return fprintf(stderr, "%s\n", d.text), 104;
    /* the log knows whether there is a Landlock; a file of everybody does, too */
    return opens("public", O_RDONLY) ? NO_LANDLOCK : 0;
}

static int reads_what_it_has_to(void)
{
    int status = confine();
    if (status != 0)
        return status;
    if (!opens("file", O_RDONLY) || !opens("read/r", O_RDONLY))
        return 1;
    if (!opens("/dev/null", O_RDONLY) || !opens("/dev/urandom", O_RDONLY))
        return 2;
    if (!opens("/proc/self/stat", O_RDONLY) || !opens("/proc/stat", O_RDONLY))
        return 3;
    if (opens("/etc/passwd", O_RDONLY) == (geteuid() == 0)) /* as root it is closed */
        return 4;
    if (!denied(opens("/dev/null", O_WRONLY)) || !denied(opens("file", O_WRONLY)))
        return 5;
    if (!denied(opens("/bin/sh", O_RDONLY)) || !denied(opens("/", O_RDONLY | O_DIRECTORY)))
        return 6;
    if (!denied(opens("/proc/1/status", O_RDONLY)) || !denied(opens("/tmp", O_RDONLY)))
        return 7;
    if (opens("data/a", O_RDWR) != (strcmp(user, "root") == 0))
        return 8;
    return 0;
}

static const char *const users[] = {"root", "65534"};

START_TEST(files_that_stay_open)
{
    if (is_sanitized())
        return;
    if (!is_root())
        return;
    user = users[_i];
    write_text("public", "everybody's");
    ck_assert(chmod("public", 0644) == 0 && chmod(".", 0711) == 0 && chmod("read", 0711) == 0);
    ck_assert(chmod("file", 0644) == 0 && chmod("read/r", 0644) == 0);
    succeeds(reads_what_it_has_to);
}
END_TEST

/* ---- seccomp --------------------------------------------------------------------------------- */

static int lock_calls(void)
{
    struct err_detail d = {.text = ""};
    enum err e;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return 101;
    e = sandbox_calls(&d);
    if (e == ERR_UNSUPPORTED)
        return NO_SECCOMP;
    return e == OK ? 0 : 102;
}

static void *thread(void *arg)
{
    return arg;
}

static int serves(void)
{
    int status = lock_calls(), pair[2], n = 0;
    pthread_t t;
    void *back = NULL;
    if (status != 0)
        return status;
    if (pthread_create(&t, NULL, thread, &n) != 0 || pthread_join(t, &back) != 0 || back != &n)
        return 1;
    if (pipe(pair) != 0 || write(pair[1], "x", 1) != 1 || read(pair[0], &n, 1) != 1)
        return 2;
    int fd = socket(AF_INET, SOCK_STREAM, 0), six = socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd < 0 || (six < 0 && errno != EAFNOSUPPORT) || socket(AF_UNIX, SOCK_DGRAM, 0) < 0)
        return 3;
    if (ioctl(fd, SIOCOUTQ, &n) != 0 ||
        n != 0) /* how much of a response has not reached its reader */
        return 6;
    char *p = malloc(1 << 20);
    if (!p || !opens("data/a", O_RDWR) || rename("data/a", "data/b") != 0)
        return 4;
    free(p);
    FILE *file = fopen("data/b", "r"); /* asks whether it is a terminal */
    return file && fgetc(file) == 'a' ? 0 : 5;
}

/* Answers, not the end: libraries try such things. */
static int is_refused(void)
{
    int status = lock_calls();
    if (status != 0)
        return status;
    if (syscall(SYS_clone3, NULL, 0) != -1 || errno != ENOSYS)
        return 1;
    if (syscall(100000) != -1 || errno != ENOSYS)
        return 2;
    if (syscall(SYS_memfd_create, "x", 0) != -1 || errno != ENOSYS)
        return 3;
    if (chmod("data/a", 0777) != -1 || errno != ENOSYS)
        return 4;
    if (socket(AF_NETLINK, SOCK_RAW, 0) != -1 || errno != EAFNOSUPPORT)
        return 5;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page, 4096, PROT_READ | PROT_EXEC) != -1 || errno != EACCES)
        return 6;
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ||
        errno != EACCES)
        return 7;
    if (kill(getppid(), 0) != -1 || errno != EPERM || kill(getpid(), 0) != 0)
        return 8;
    if (prctl(PR_SET_DUMPABLE, 1) != -1 || errno != EINVAL)
        return 9;
    return 0;
}

static int aborts(void)
{
    int status = lock_calls();
    if (status != 0)
        return status;
    abort();
}

static int (*const by_calls[])(void) = {serves, is_refused};

START_TEST(calls_of_a_server)
{
    if (is_sanitized())
        return;
    succeeds(by_calls[_i]);
}
END_TEST

START_TEST(can_abort)
{
    if (is_sanitized())
        return;
    ends_by(aborts, SIGABRT);
}
END_TEST

static void try_exec(void)
{
    execl("/bin/true", "true", NULL);
}

static void try_fork(void)
{
    syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void try_ptrace(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void try_setuid(void)
{
    (void)!syscall(SYS_setuid, 0);
}

static void try_setresuid(void)
{
    (void)!syscall(SYS_setresuid, -1, -1, -1);
}

static void try_unshare(void)
{
    (void)!unshare(CLONE_NEWUSER);
}

static void try_io_uring(void)
{
    syscall(SYS_io_uring_setup, 1, NULL);
}

static void try_bpf(void)
{
    syscall(SYS_bpf, 0, NULL, 0);
}

static void try_process_vm(void)
{
    syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static void try_mount(void)
{
    syscall(SYS_mount, "none", "/", "tmpfs", 0, NULL);
}

static void try_packets(void)
{
    (void)!socket(AF_PACKET, SOCK_RAW, 0);
}

static void try_af_alg(void)
{
    (void)!socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static void try_x32(void)
{
#ifdef __x86_64__
    syscall(0x40000000 | SYS_getpid);
#else
    try_exec();
#endif
}

static void (*const tries[])(void) = {
    try_exec, try_fork,       try_ptrace, try_setuid,  try_setresuid, try_unshare, try_io_uring,
    try_bpf,  try_process_vm, try_mount,  try_packets, try_af_alg,    try_x32,
};
static int which;

static int tries_more(void)
{
    int status = lock_calls();
    if (status != 0)
        return status;
    tries[which]();
    return 0; /* it should not have got here */
}

START_TEST(is_killed)
{
    if (is_sanitized())
        return;
    which = _i;
    ends_by(tries_more, SIGSYS);
}
END_TEST

/* The filter holds for threads that are there already. */
static void *wait_and_try(void *arg)
{
    char c;
    if (read(*(int *)arg, &c, 1) == 1)
        try_exec();
    return NULL;
}

static int with_a_thread(void)
{
    int pair[2];
    pthread_t t;
    if (pipe(pair) != 0 || pthread_create(&t, NULL, wait_and_try, &pair[0]) != 0)
        return 1;
    int status = lock_calls();
    if (status != 0)
        return status;
    if (write(pair[1], "x", 1) != 1)
        return 2;
    pthread_join(t, NULL);
    return 3;
}

START_TEST(holds_for_all_threads)
{
    if (is_sanitized())
        return;
    ends_by(with_a_thread, SIGSYS);
}
END_TEST

/* A thread that has a filter of its own cannot follow; then nobody is locked in, and that is no lack of the
 * kernel's, whatever errno was before. */
static void *filter_itself(void *arg)
{
    const int *ends = arg;
    struct sock_filter all[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    const struct sock_fprog own = {ARRAY_LEN(all), all};
    char c = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &own) == 0 ? 'f' : '-';
    if (write(ends[1], &c, 1) == 1)
        pause();
    return NULL;
}

static int with_a_stray_thread(void)
{
    struct err_detail d = {.text = ""};
    int ends[2];
    pthread_t t;
    char c = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || pipe(ends) != 0 ||
        pthread_create(&t, NULL, filter_itself, ends) != 0 || read(ends[0], &c, 1) != 1)
        return 1;
    if (c != 'f')
        return NO_SECCOMP;
    errno = ENOSYS;
    if (sandbox_calls(&d) != ERR_FAILED)
        return 2;
    return strstr(d.text, "thread") ? 0 : 3;
}

START_TEST(every_thread_or_an_error)
{
    if (is_sanitized())
        return;
    succeeds(with_a_stray_thread);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("process/sandbox");
    TCase *t = tcase_create("sandbox");

    tcase_add_checked_fixture(t, make_tree, teardown);
    tcase_add_loop_test(t, files_of_a_server, 0, (int)ARRAY_LEN(by_files));
    tcase_add_loop_test(t, files_that_stay_open, 0, (int)ARRAY_LEN(users));
    tcase_add_loop_test(t, calls_of_a_server, 0, (int)ARRAY_LEN(by_calls));
    tcase_add_test(t, can_abort);
    tcase_add_loop_test(t, is_killed, 0, (int)ARRAY_LEN(tries));
    tcase_add_test(t, holds_for_all_threads);
    tcase_add_test(t, every_thread_or_an_error);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
