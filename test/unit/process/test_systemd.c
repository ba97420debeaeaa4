/*
 * What systemd passes and is told: its environment variables, right and wrong, and the datagrams.
 */
#include "test/unit/cli/cli_test.h"
#include "test/unit/process/child.h"

#include "base/clock.h"
#include "cli/private.h"
#include "process/process.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

static struct arena arena;
static struct err_detail detail;
static struct http_listen got[HTTP_MAX_LISTEN];
static struct systemd_socket passed[HTTP_MAX_LISTEN];
static unsigned count;

static void set_number(const char *name, uint64_t n)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, n);
    setenv(name, text, 1);
}

static void open_all(void)
{
    setup();
    arena_init(&arena, NULL, 0, NULL, MIB);
}

static void close_all(void)
{
    arena_fini(&arena);
    teardown();
}

/* ---- sockets --------------------------------------------------------------------------------- */

static int tcp(int family)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockaddr_in four = {.sin_family = AF_INET};
    int fd = socket(family, SOCK_STREAM, 0);

    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (family == AF_INET6)
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&six, sizeof six), 0);
    else
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&four, sizeof four), 0);
    return fd;
}

static int unix_socket(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(a.sun_path, path, strlen(path));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static bool tls_otherwise;

/* 0, or the number of what is wrong. */
static int take_sockets(void)
{
    int fds[] = {tcp(AF_INET), unix_socket("s"), tcp(AF_INET6), tcp(AF_INET)};
    for (int i = 0; i < 4; i++)
        fds[i] = fcntl(fds[i], F_DUPFD, 10); /* out of the way; from here on without Check */
    for (int i = 0; i < 4; i++)
        if (dup2(fds[i], 3 + i) != 3 + i)
            return 7;
    set_number("LISTEN_PID", (uint64_t)getpid());
    setenv("LISTEN_FDS", "4", 1);
    setenv("LISTEN_FDNAMES", "http:kinto.socket:https:redirect", 1);
    if (systemd_listen(&arena, passed, HTTP_MAX_LISTEN, &count, &detail) != OK || count != 4)
        return 1;
    for (unsigned i = 0; i < count; i++)
        got[i] = cli_listen_passed(&passed[i], tls_otherwise);
    if (!str_eq(got[0].host, STR("127.0.0.1")) || !str_starts(got[1].host, STR("unix:")))
        return 2;
    if (!str_eq(got[2].host, STR("::1")) || !str_eq(passed[1].name, STR("kinto.socket")))
        return 8;
    if (got[0].fd != 3 || got[1].fd != 4 || got[2].fd != 5)
        return 3;
    if (got[0].tls || got[1].tls != tls_otherwise || !got[2].tls)
        return 4;
    if (got[3].tls || !got[3].redirect || got[0].redirect || got[1].redirect || got[2].redirect)
        return 9;
    if (getenv("LISTEN_PID") || getenv("LISTEN_FDS") || getenv("LISTEN_FDNAMES"))
        return 5;
    return systemd_listen(&arena, passed, HTTP_MAX_LISTEN, &count, &detail) == OK && count == 0 ? 0
                                                                                                : 6;
}

/* In a process that needs none of these descriptors, as Check does. */
START_TEST(takes_sockets)
{
    tls_otherwise = _i == 1;
    want_success(in_child(take_sockets));
}
END_TEST

START_TEST(not_meant)
{
    setenv("LISTEN_FDS", "1", 1);
    if (_i == 1)
        set_number("LISTEN_PID", (uint64_t)getppid());
    if (_i == 2)
        setenv("LISTEN_PID", "me", 1);
    ck_assert_int_eq(systemd_listen(&arena, passed, HTTP_MAX_LISTEN, &count, &detail), OK);
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_null(getenv("LISTEN_FDS"));
}
END_TEST

static const struct {
    const char *fds;
    enum err want;
} wrong[] = {{"x", ERR_SYNTAX}, {"-1", ERR_SYNTAX}, {"17", ERR_LIMIT}, {"4294967297", ERR_LIMIT}};

START_TEST(refuses)
{
    set_number("LISTEN_PID", (uint64_t)getpid());
    setenv("LISTEN_FDS", wrong[_i].fds, 1);
    ck_assert_int_eq(systemd_listen(&arena, passed, HTTP_MAX_LISTEN, &count, &detail),
                     wrong[_i].want);
    ck_assert_str_ne(detail.text, "");
}
END_TEST

/* ---- datagrams ------------------------------------------------------------------------------- */

static const char *const addresses[] = {"notify", "@kinto-test-notify"};
static char address[200], text[1024];

static int listen_at(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t n;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (name[0] == '@')
        snprintf(address, sizeof address, "%s-%d", name, (int)getpid());
    else
        snprintf(address, sizeof address, "%s/%s", dir, name);
    memcpy(a.sun_path, address, strlen(address));
    n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
    if (name[0] == '@')
        a.sun_path[0] = '\0';
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
    setenv("NOTIFY_SOCKET", address, 1);
    return fd;
}

static const char *next(int fd)
{
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

START_TEST(tells)
{
    struct systemd s;
    int fd = listen_at(addresses[_i]);

    ck_assert_int_eq(systemd_open(&s, &detail), OK);
    ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
    systemd_say(&s, "READY=1\nSTATUS=%s", "serves");
    ck_assert_str_eq(next(fd), "READY=1\nSTATUS=serves");
    uint64_t before = clock_mono_ns() / 1000, usec = 0;
    systemd_reloading(&s);
    ck_assert_int_eq(strncmp(next(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    ck_assert_int_eq(str_to_u64(str_from(text + 27), &usec), OK);
    ck_assert(usec >= before && usec <= clock_mono_ns() / 1000);
    systemd_close(&s);
    systemd_say(&s, "STOPPING=1");
    ck_assert_str_eq(next(fd), "");
    close(fd);
}
END_TEST

/* Whoever was started without a standard input has 0 for the way there. */
START_TEST(tells_by_any_descriptor)
{
    struct systemd s;
    int fd = listen_at("notify");

    close(STDIN_FILENO);
    ck_assert_int_eq(systemd_open(&s, &detail), OK);
    ck_assert_int_eq(s.fd, 0);
    systemd_say(&s, "READY=1");
    ck_assert_str_eq(next(fd), "READY=1");
    systemd_close(&s);
    ck_assert_int_eq(fcntl(0, F_GETFD), -1);
    close(fd);
}
END_TEST

/* A supervisor that does not read must not hold up the server. */
START_TEST(does_not_wait)
{
    struct systemd s;
    int fd = listen_at("notify");

    ck_assert_int_eq(systemd_open(&s, &detail), OK);
    for (int i = 0; i < 100000; i++)
        systemd_say(&s, "STATUS=%d", i);
    ck_assert_str_eq(next(fd), "STATUS=0");
    close(fd);
    systemd_say(&s, "STATUS=nobody"); /* and one that is gone */
    systemd_close(&s);
}
END_TEST

START_TEST(nobody_to_tell)
{
    struct systemd s;

    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "1000000", 1);
    ck_assert_int_eq(systemd_open(&s, &detail), OK);
    ck_assert_int_eq(s.fd, -1);
    ck_assert_uint_eq(s.watchdog_ms, 0);
    systemd_say(&s, "READY=1");
    systemd_close(&s);
}
END_TEST

static const char *const no_addresses[] = {"relative", "/", "@", "/nothing/is/here",
                                           "vsock:2:1234"};

START_TEST(wrong_address)
{
    struct systemd s;

    setenv("NOTIFY_SOCKET", no_addresses[_i], 1);
    ck_assert_int_eq(systemd_open(&s, &detail), ERR_IO);
    ck_assert_ptr_nonnull(strstr(detail.text, "NOTIFY_SOCKET"));
}
END_TEST

static const struct {
    const char *usec;
    int pid; /* 0: none, 1: ours, 2: another's */
    uint64_t ms;
} dogs[] = {{"30000000", 0, 30000},
            {"30000000", 1, 30000},
            {"30000000", 2, 0},
            {"0", 0, 0},
            {"x", 0, 0},
            {"1", 0, 1},
            {NULL, 0, 0}};

START_TEST(watchdog)
{
    struct systemd s;
    int fd = listen_at("notify");

    if (dogs[_i].usec)
        setenv("WATCHDOG_USEC", dogs[_i].usec, 1);
    if (dogs[_i].pid != 0)
        set_number("WATCHDOG_PID", (uint64_t)(dogs[_i].pid == 1 ? getpid() : getppid()));
    ck_assert_int_eq(systemd_open(&s, &detail), OK);
    ck_assert_uint_eq(s.watchdog_ms, dogs[_i].ms);
    systemd_close(&s);
    close(fd);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("process/systemd");
    TCase *t = tcase_create("systemd");

    tcase_add_checked_fixture(t, open_all, close_all);
    tcase_add_loop_test(t, takes_sockets, 0, 2);
    tcase_add_loop_test(t, not_meant, 0, 3);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_LEN(wrong));
    tcase_add_loop_test(t, tells, 0, (int)ARRAY_LEN(addresses));
    tcase_add_test(t, tells_by_any_descriptor);
    tcase_add_test(t, does_not_wait);
    tcase_add_test(t, nobody_to_tell);
    tcase_add_loop_test(t, wrong_address, 0, (int)ARRAY_LEN(no_addresses));
    tcase_add_loop_test(t, watchdog, 0, (int)ARRAY_LEN(dogs));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
