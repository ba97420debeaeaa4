/*
 * A view of a file that was cut short: the process dies of SIGBUS, and says which file and offset it was.
 */
#include "test/support/unit.h"

#include "base/fault.h"
#include "base/os.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 40
#define PAGE  4096

static char dir[64], name[128], said[4096];

static void setup(void)
{
    new_dir(dir, sizeof dir);
    snprintf(name, sizeof name, "%s/a name with blanks", dir);
}

static void teardown(void)
{
    unlink(name);
    rmdir(dir);
}

static const volatile char *view;

/* A view of the file from `from` on, which then ends after `keep` bytes. */
static void make_view(uint64_t from, off_t keep)
{
    int fd = open(name, O_RDWR | O_CREAT, 0600);

    ck_assert(fd >= 0 && ftruncate(fd, (off_t)PAGES * PAGE) == 0);
    view = os()->map(fd, from, PAGES * PAGE - from);
    ck_assert_ptr_nonnull((void *)view);
    ck_assert_int_eq(ftruncate(fd, keep), 0);
    close(fd);
}

static void *touch(void *arg)
{
    return (void *)(intptr_t)view[(intptr_t)arg];
}

/* Runs it in a process of its own, with what it says into `said`; it must die of SIGBUS. */
static void dies(void (*run)(void))
{
    int fds[2], status;
    size_t n = 0;
    ssize_t got;

    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        fault_watch();
        run();
        _exit(3);
    }
    close(fds[1]);
    while ((got = read(fds[0], said + n, sizeof said - 1 - n)) > 0)
        n += (size_t)got;
    said[n] = '\0';
    close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "status %x: %s", status, said);
}

static void want_said(uint64_t off)
{
    char want[300];

    snprintf(want, sizeof want,
             "FAULT: %s: offset %llu cannot be read: the disk failed, or the file was cut short\n",
             name, (unsigned long long)off);
    ck_assert_str_eq(said, want);
}

static void read_behind_the_end(void)
{
    make_view(0, 2 * PAGE);
    touch((void *)(intptr_t)(PAGE + 5)); /* is there */
    touch((void *)(intptr_t)(3 * PAGE + 77));
}

static void read_in_a_later_view(void)
{
    make_view(64 * KIB, 0);
    touch((void *)(intptr_t)9);
}

START_TEST(the_file_and_the_offset_are_named)
{
    dies(read_behind_the_end);
    want_said(3 * PAGE + 77);
    dies(read_in_a_later_view);
    want_said(64 * KIB + 9);
}
END_TEST

/* More mappings before it than one look at the list has room for. */
static void read_among_many(void)
{
    int fd = open(name, O_RDWR | O_CREAT, 0600);

    ck_assert(fd >= 0 && ftruncate(fd, PAGE) == 0);
    for (int i = 0; i < 1000; i++)
        ck_assert_ptr_nonnull(os()->map(fd, 0, PAGE));
    read_behind_the_end();
}

START_TEST(one_mapping_of_many)
{
    dies(read_among_many);
    want_said(3 * PAGE + 77);
}
END_TEST

static void read_in_threads(void)
{
    pthread_t t[16];

    make_view(0, 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_create(&t[i], NULL, touch, (void *)(intptr_t)7);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
}

START_TEST(only_one_of_many_threads_speaks)
{
    dies(read_in_threads);
    want_said(7);
}
END_TEST

static void send_the_signal(void)
{
    raise(SIGBUS);
}

START_TEST(somebody_sends_the_signal)
{
    dies(send_the_signal);
    ck_assert_str_eq(said, "");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("base/fault");
    TCase *t = tcase_create("fault");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_file_and_the_offset_are_named);
    tcase_add_test(t, one_mapping_of_many);
    tcase_add_test(t, only_one_of_many_threads_speaks);
    tcase_add_test(t, somebody_sends_the_signal);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
