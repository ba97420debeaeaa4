/*
 * A server that is started in two steps: what holds between them, sockets that were passed to the process,
 * who may connect to a Unix socket, and whether the loops turn.
 */
#include "test/unit/http/server_test.h"

#include <stdatomic.h>
#include <sys/stat.h>

static struct fixture f;
static char dir[64], path[100], host[120];

static void setup(void)
{
    new_dir(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/socket", dir);
    snprintf(host, sizeof host, "unix:%s", path);
    test_prepare(&f);
}

static void teardown(void)
{
    http_server_stop(f.server);
    unlink(path);
    rmdir(dir);
}

static void bind_now(struct fixture *fx)
{
    struct err_detail d = {.text = ""};
    struct http_options o = fx->o;

    o.app = (struct http_app){.ctx = NULL}; /* it is not known yet */
    ck_assert_msg(http_server_bind(&fx->server, &o, &d) == OK, "%s", d.text);
    fx->port = http_server_port(fx->server, 0);
}

static enum err run_now(struct fixture *fx, struct err_detail *d)
{
    *d = (struct err_detail){.text = ""};
    return http_server_run(fx->server, &fx->o.app, d);
}

static int connect_tcp(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return test_try_connect(&a, sizeof a);
}

/* ---- two steps ------------------------------------------------------------------------------- */

START_TEST(nobody_connects_before_it_runs)
{
    struct err_detail d;

    f.o.loops = (unsigned)_i;
    bind_now(&f);
    ck_assert_uint_ne(f.port, 0);
    ck_assert_int_eq(connect_tcp(f.port), -1);
    ck_assert_int_eq(run_now(&f, &d), OK);
    for (int i = 0; i < 8; i++)
        expect_peer(connect_tcp(f.port), "127.0.0.1");
}
END_TEST

/* Two servers that are started at the same moment: exactly one of them gets the port. */
START_TEST(one_of_two_gets_the_port)
{
    struct fixture other;
    struct err_detail d;

    bind_now(&f); /* a port that is free */
    test_stop(&f);
    f.listen[0].port = f.port;
    f.o.loops = (unsigned)_i;
    test_prepare(&other);
    other.listen[0].port = f.port;
    other.o.loops = (unsigned)_i;
    bind_now(&f);
    bind_now(&other);
    ck_assert_int_eq(run_now(&f, &d), OK);
    ck_assert_int_eq(run_now(&other, &d), ERR_BUSY);
    ck_assert_ptr_nonnull(strstr(d.text, "127.0.0.1:"));
    test_stop(&other);
    expect_peer(connect_tcp(f.port), "127.0.0.1");
}
END_TEST

START_TEST(never_run)
{
    f.listen[0].host = str_from(host);
    f.o.loops = 3;
    bind_now(&f);
    ck_assert_int_eq(access(path, F_OK), 0);
    test_stop(&f);
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* ---- Unix sockets ---------------------------------------------------------------------------- */

static const struct {
    unsigned mode;
    mode_t want;
} modes[] = {{0, 0600}, {0660, 0660}, {0666, 0666}, {0200, 0200}};

START_TEST(unix_modes)
{
    struct stat st;
    mode_t before = umask(027);

    f.listen[0].host = str_from(host);
    f.o.unix_mode = modes[_i].mode;
    bind_now(&f);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, modes[_i].want);
    ck_assert_uint_eq(umask(before), 027); /* as it was */
}
END_TEST

START_TEST(unix_waits_and_is_given)
{
    struct stat st;
    struct err_detail d;
    bool root = geteuid() == 0;
    uid_t uid = root ? 4711 : geteuid();

    if (!root)
        fprintf(stderr, "not root: the socket is given to its own user only\n");
    f.listen[0].host = str_from(host);
    bind_now(&f);
    ck_assert_int_eq(http_server_give(f.server, uid, root ? 4712 : getegid(), &d), OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, uid);
    int fd = test_try_connect_unix(path); /* is kept waiting, not refused */
    ck_assert_int_eq(run_now(&f, &d), OK);
    expect_peer(fd, "unix");
}
END_TEST

/* Whatever somebody has put in the place of the socket keeps its owner. */
START_TEST(unix_replaced_is_not_given)
{
    struct stat st;
    struct err_detail d;

    f.listen[0].host = str_from(host);
    bind_now(&f);
    unlink(path);
    fclose(fopen(path, "w"));
    ck_assert_int_ne(http_server_give(f.server, 4711, 4712, &d), OK);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, geteuid());
}
END_TEST

/* ---- sockets that were passed ---------------------------------------------------------------- */

static int tcp_socket(bool listening, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert(!listening || listen(fd, 16) == 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

START_TEST(passed_tcp)
{
    struct err_detail d;
    uint16_t port;

    f.listen[0] = (struct http_listen){.host = STR("passed"), .fd = tcp_socket(true, &port)};
    f.o.loops = (unsigned)_i;
    int early = connect_tcp(port);
    bind_now(&f);
    ck_assert_uint_eq(f.port, port);
    ck_assert_int_eq(run_now(&f, &d), OK);
    expect_peer(early, "127.0.0.1");
    for (int i = 0; i < 20; i++)
        expect_peer(connect_tcp(port), "127.0.0.1");
    test_stop(&f);
    ck_assert_int_eq(connect_tcp(port), -1);
}
END_TEST

START_TEST(passed_unix_keeps_its_file)
{
    struct err_detail d;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    memcpy(a.sun_path, path, strlen(path));
    ck_assert(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 16) == 0);
    f.listen[0] = (struct http_listen){.host = STR("passed"), .fd = fd};
    f.o.loops = 2;
    bind_now(&f);
    ck_assert_int_eq(run_now(&f, &d), OK);
    expect_peer(test_try_connect_unix(path), "unix");
    test_stop(&f);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(passed_and_of_no_use)
{
    struct err_detail d;
    uint16_t port;
    int fds[4] = {tcp_socket(false, &port), socket(AF_INET, SOCK_DGRAM, 0),
                  open("/dev/null", O_RDWR), socket(AF_NETLINK, SOCK_RAW, 0)};

    f.listen[0] = (struct http_listen){.host = STR("passed"), .fd = fds[_i]};
    ck_assert_int_eq(http_server_bind(&f.server, &f.o, &d), ERR_SYNTAX);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}
END_TEST

/* ---- do the loops turn? ---------------------------------------------------------------------- */

static bool turns_soon(void)
{
    uint64_t until = clock_mono_ms() + TEST_MS;

    while (clock_mono_ms() < until) {
        if (http_server_turns(f.server))
            return true;
        wait_tick();
    }
    return false;
}

static atomic_bool hangs; /* the handler has the loop */

static void *hang_start(void *ctx, unsigned index)
{
    (void)index;
    return ctx;
}

static void hang_handle(void *loop_ctx, struct http_req *req)
{
    atomic_store(&hangs, true);
    pthread_mutex_lock(loop_ctx);
    pthread_mutex_unlock(loop_ctx);
    req->res.status = 200;
    http_respond(req);
}

START_TEST(idle_loops_turn)
{
    f.o.loops = 3;
    test_start(&f);
    for (int i = 0; i < 5; i++)
        ck_assert(turns_soon());
}
END_TEST

START_TEST(a_loop_that_hangs_is_found)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct client c;

    f.o.app = (struct http_app){.ctx = &lock, .loop_start = hang_start, .handle = hang_handle};
    pthread_mutex_lock(&lock);
    test_start(&f);
    ck_assert(turns_soon());
    client_adopt(&c, connect_tcp(f.port));
    client_say(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    while (!atomic_load(&hangs))
        wait_tick();
    (void)http_server_turns(f.server); /* may be about the turn before */
    for (int i = 0; i < 20; i++) {
        ck_assert(!http_server_turns(f.server));
        wait_tick();
    }
    pthread_mutex_unlock(&lock);
    ck_assert(turns_soon());
    client_close(&c);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/bind");
    TCase *t = test_case(s, "bind", setup, teardown, 4);
    tcase_add_loop_test(t, nobody_connects_before_it_runs, 1, 4);
    tcase_add_loop_test(t, one_of_two_gets_the_port, 1, 4);
    tcase_add_test(t, never_run);
    tcase_add_loop_test(t, unix_modes, 0, (int)ARRAY_LEN(modes));
    tcase_add_test(t, unix_waits_and_is_given);
    tcase_add_test(t, unix_replaced_is_not_given);
    tcase_add_loop_test(t, passed_tcp, 1, 4);
    tcase_add_test(t, passed_unix_keeps_its_file);
    tcase_add_loop_test(t, passed_and_of_no_use, 0, 4);
    tcase_add_test(t, idle_loops_turn);
    tcase_add_test(t, a_loop_that_hangs_is_found);
    return s;
}

UNIT_MAIN(suite)
