/*
 * Where the server listens: IPv4, IPv6, both, Unix sockets; ports that are taken, addresses that are
 * none, and other reasons not to start.
 */
#include "test/unit/http/server_test.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct fixture f;
static struct client c;
static struct reply got;

static void setup(void)
{
    test_prepare(&f);
    test_begin(&f, &c);
}

static void teardown(void)
{
    test_end(&f, &c, &got);
}

/* ---- addresses and start ------------------------------------------------------------------------ */

static enum err try_start(struct fixture *fx, struct err_detail *d)
{
    *d = (struct err_detail){.text = ""};
    return http_server_start(&fx->server, &fx->o, d);
}

START_TEST(port_in_use)
{
    struct fixture other;
    struct err_detail d;

    test_prepare(&other);
    other.listen[0].port = f.port;
    for (unsigned loops = 1; loops <= 2; loops++) {
        other.o.loops = loops;
        ck_assert_int_eq(try_start(&other, &d), ERR_BUSY);
        ck_assert_ptr_nonnull(strstr(d.text, "127.0.0.1:"));
    }
    expect_alive(&c); /* none of its connections went elsewhere */
}
END_TEST

START_TEST(given_port_with_several_loops)
{
    uint16_t port = f.port;
    struct fixture other;

    test_stop(&f);
    test_prepare(&other);
    other.listen[0].port = port;
    other.o.loops = 3;
    test_start(&other);
    ck_assert_uint_eq(other.port, port);
    client_close(&c);
    client_open(&c, &other);
    expect_alive(&c);
    test_stop(&other);
    test_start(&f);
}
END_TEST

static const char *const no_addresses[] = {"",          "example.org", "1.2.3",     "::g",
                                           "1.2.3.4.5", "unix:",       "127.0.0.1 "};

START_TEST(not_an_address)
{
    struct fixture other;
    struct err_detail d;

    test_prepare(&other);
    other.listen[0].host = str_from(no_addresses[_i]);
    ck_assert_int_eq(try_start(&other, &d), ERR_SYNTAX);
    ck_assert_ptr_null(other.server);
}
END_TEST

START_TEST(tls_without_certificate)
{
    struct fixture other;
    struct err_detail d;

    test_prepare(&other);
    other.listen[0].tls = true;
    ck_assert_int_eq(try_start(&other, &d), ERR_SYNTAX);
}
END_TEST

START_TEST(loop_does_not_start)
{
    struct fixture other;
    struct err_detail d;

    test_prepare(&other);
    other.o.loops = 3;
    other.app.fail_start = true;
    ck_assert_int_eq(try_start(&other, &d), ERR_FAILED);
    ck_assert_uint_eq(other.app.nstarted, 3);
    ck_assert_uint_eq(other.app.nstopped, 2);
}
END_TEST

START_TEST(server_names)
{
    static char longest[200];
    struct fixture other;
    struct err_detail d;

    test_prepare(&other);
    memset(longest, 'n', sizeof longest - 1);
    other.o.server_name = longest;
    ck_assert_int_eq(try_start(&other, &d), ERR_RANGE);
    other.o.server_name = "a\r\nSet-Cookie: b";
    ck_assert_int_eq(try_start(&other, &d), ERR_SYNTAX);
    other.o.server_name = NULL;
    test_start(&other);
    client_close(&c);
    client_open(&c, &other);
    client_say(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    reply_read(&c, &got, true);
    ck_assert(!reply_has(&got, "Server:"));
    test_stop(&other);
}
END_TEST

static int connect_v6(uint16_t port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    a.sin6_addr = in6addr_loopback;
    return test_try_connect(&a, sizeof a);
}

static bool have_v6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok;

    a.sin6_addr = in6addr_loopback;
    ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return ok;
}

START_TEST(addresses)
{
    static const struct {
        const char *host;
        bool v4, v6;
    } cases[] = {{"127.0.0.1", true, false}, {"0.0.0.0", true, false}, {"*", true, false},
                 {"::1", false, true},       {"::", true, true},       {"localhost", true, true}};
    struct fixture other;
    int fd;

    if (!have_v6() && cases[_i].v6)
        return;
    test_prepare(&other);
    other.listen[0].host = str_from(cases[_i].host);
    other.o.loops = 2;
    test_start(&other);
    if (cases[_i].v4)
        expect_peer(test_connect(other.port), "127.0.0.1");
    if (cases[_i].v6)
        expect_peer(connect_v6(other.port), "::1");
    else if ((fd = connect_v6(other.port)) >= 0)
        ck_abort_msg("%s serves IPv6", cases[_i].host);
    test_stop(&other);
}
END_TEST

/* Only so many more descriptors can be opened; what it was before. */
static struct rlimit allow_descriptors(unsigned more)
{
    struct rlimit before, few;
    int highest = 0;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int fd = 0; fd < 1024; fd++)
        highest = fcntl(fd, F_GETFD) >= 0 ? fd : highest;
    for (int fd = 0; fd < highest;) /* none is free below it */
        ck_assert_int_ge(fd = dup(0), 0);
    few = (struct rlimit){(rlim_t)highest + 2 + more, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    return before;
}

/* What is said not to be listened on is not listened on by some of the loops. */
START_TEST(localhost_has_all_of_its_second_address_or_nothing)
{
    enum { LOOPS = 4 };
    struct fixture other;
    struct err_detail d;
    struct rlimit before;

    if (!have_v6())
        return;
    test_prepare(&other);
    other.listen[0].host = STR("localhost");
    other.o.loops = LOOPS;
    expect_alive(&c); /* it is accepted: nobody else opens anything */
    before = allow_descriptors(LOOPS + (unsigned)_i);
    enum err e = http_server_bind(&other.server, &other.o, &d);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_msg(e == OK, "%s", d.text);
    ck_assert_int_eq(http_server_run(other.server, &other.o.app, &d), OK);
    uint16_t port = http_server_port(other.server, 0);
    expect_peer(test_connect(port), "127.0.0.1");
    if (_i <= LOOPS)
        ck_assert_int_eq(connect_v6(port), -1);
    else
        expect_peer(connect_v6(port), "::1");
    http_server_stop(other.server);
}
END_TEST

START_TEST(both_families_side_by_side)
{
    struct fixture other;
    struct err_detail d = {.text = ""};

    if (!have_v6())
        return;
    test_prepare(&other);
    other.o.nlisten = 2;
    for (int tries = 0;;
         tries++) { /* on a port that was f's, and that nobody else took meanwhile */
        other.listen[0] = (struct http_listen){.host = STR("0.0.0.0"), .port = f.port};
        other.listen[1] = (struct http_listen){.host = STR("::"), .port = f.port};
        test_stop(&f);
        if (http_server_start(&other.server, &other.o, &d) == OK)
            break;
        ck_assert_msg(tries < 10, "%s", d.text);
        test_start(&f);
    }
    other.port = http_server_port(other.server, 0);
    expect_peer(test_connect(other.port), "127.0.0.1");
    expect_peer(connect_v6(other.port), "::1");
    test_stop(&other);
    test_start(&f);
}
END_TEST

/* ---- Unix sockets ---------------------------------------------------------------------------------- */

static char dir[64], path[100], host[120];

static void unix_setup(void)
{
    new_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/socket", dir);
    snprintf(host, sizeof host, "unix:%s", path);
    test_prepare(&f);
    f.listen[0].host = str_from(host);
    f.o.loops = 3;
}

static void unix_teardown(void)
{
    unlink(path);
    rmdir(dir);
}

START_TEST(unix_socket)
{
    test_start(&f);
    ck_assert_uint_eq(f.port, 0);
    for (int i = 0; i < 20; i++)
        expect_peer(test_try_connect_unix(path), "unix");
    test_stop(&f);
    ck_assert_int_eq(access(path, F_OK), -1); /* removed */
}
END_TEST

START_TEST(unix_socket_many)
{
    struct client cs[50];

    test_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(cs); i++)
        client_adopt(&cs[i], test_try_connect_unix(path));
    for (int round = 0; round < 10; round++)
        for (size_t i = 0; i < ARRAY_LEN(cs); i++)
            expect_alive(&cs[i]);
    for (size_t i = 0; i < ARRAY_LEN(cs); i++)
        client_close(&cs[i]);
    test_wait_open(&f, 0);
    test_stop(&f);
}
END_TEST

START_TEST(unix_socket_stale)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(a.sun_path, path, strlen(path)); /* what a killed server leaves */
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    test_start(&f);
    expect_peer(test_try_connect_unix(path), "unix");
    test_stop(&f);
}
END_TEST

START_TEST(unix_socket_in_use)
{
    struct fixture other;
    struct err_detail d;

    test_start(&f);
    test_prepare(&other);
    other.listen[0].host = str_from(host);
    ck_assert_int_eq(try_start(&other, &d), ERR_BUSY);
    expect_peer(test_try_connect_unix(path), "unix"); /* the file is still there */
    test_stop(&f);
}
END_TEST

START_TEST(unix_socket_is_another_file)
{
    struct err_detail d;
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fclose(file);
    ck_assert_int_eq(try_start(&f, &d), ERR_EXISTS);
    ck_assert_int_eq(access(path, F_OK), 0); /* not removed */
}
END_TEST

/* Somebody else's socket in place of ours is left alone. */
START_TEST(unix_socket_replaced)
{
    test_start(&f);
    unlink(path);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    test_stop(&f);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(unix_path_too_long)
{
    char longest[300];
    struct err_detail d;

    memset(longest, 'p', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memcpy(longest, "unix:/", 6);
    f.listen[0].host = str_from(longest);
    ck_assert_int_eq(try_start(&f, &d), ERR_SYNTAX);
}
END_TEST

static void addresses_case(Suite *s)
{
    TCase *t = test_case(s, "addresses", setup, teardown, 4);
    tcase_add_test(t, port_in_use);
    tcase_add_test(t, given_port_with_several_loops);
    tcase_add_loop_test(t, not_an_address, 0, (int)ARRAY_LEN(no_addresses));
    tcase_add_test(t, tls_without_certificate);
    tcase_add_test(t, loop_does_not_start);
    tcase_add_test(t, server_names);
    tcase_add_loop_test(t, addresses, 0, 6);
    tcase_add_test(t, both_families_side_by_side);
    tcase_add_loop_test(t, localhost_has_all_of_its_second_address_or_nothing, 0, 6);
}

static void unix_case(Suite *s)
{
    TCase *t = test_case(s, "unix", unix_setup, unix_teardown, 4);
    tcase_add_test(t, unix_socket);
    tcase_add_test(t, unix_socket_many);
    tcase_add_test(t, unix_socket_stale);
    tcase_add_test(t, unix_socket_in_use);
    tcase_add_test(t, unix_socket_is_another_file);
    tcase_add_test(t, unix_socket_replaced);
    tcase_add_test(t, unix_path_too_long);
}

static Suite *suite(void)
{
    Suite *s = suite_create("http/listen");

    addresses_case(s);
    unix_case(s);
    return s;
}

UNIT_MAIN(suite)
