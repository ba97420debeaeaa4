/*
 * Stopping: the ports are free at once, what is in work is finished or cut off in time, and whoever
 * parked a request is waited for.
 */
#include "test/support/wait.h"
#include "test/unit/http/server_test.h"

#include <stdatomic.h>

static struct fixture f;
static struct client c;
static struct reply got;

static void setup(void)
{
    test_prepare(&f);
    f.o.loops = 2;
    f.o.stop_timeout_ms = TEST_MS; /* a test that runs into it fails by its length */
}

static void begin(void)
{
    test_begin(&f, &c);
}

static void teardown(void)
{
    client_close(&c);
    reply_free(&got);
}

/* ---- a stop in another thread --------------------------------------------------------------- */

static pthread_t stopper;
static atomic_bool stopped;

static void *stop_thread(void *arg)
{
    http_server_stop(arg);
    atomic_store(&stopped, true);
    return NULL;
}

static bool port_refuses(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(f.port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), r, e;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r = connect(fd, (struct sockaddr *)&a, sizeof a);
    e = errno;
    close(fd);
    return r < 0 && e == ECONNREFUSED;
}

/* Begins to stop, and waits until nobody can connect any more. */
static void stop_begins(void)
{
    uint64_t until = clock_mono_ms() + TEST_MS;

    atomic_store(&stopped, false);
    ck_assert_int_eq(pthread_create(&stopper, NULL, stop_thread, f.server), 0);
    while (!port_refuses() && clock_mono_ms() < until)
        wait_tick();
    ck_assert(port_refuses());
}

static void stop_ends(void)
{
    pthread_join(stopper, NULL);
    ck_assert(atomic_load(&stopped));
    ck_assert_uint_eq(f.app.nstopped, 2);
}

/* ---- tests ------------------------------------------------------------------------------------ */

START_TEST(idle)
{
    struct client more[30];
    uint64_t begun;

    begin();
    expect_alive(&c);
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        client_open(&more[i], &f);
    test_wait_open(&f, ARRAY_LEN(more) + 1);
    begun = clock_mono_ms();
    test_stop(&f);
    ck_assert_uint_lt(clock_mono_ms() - begun, TEST_MS / 2);
    expect_end(&c, false);
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        expect_end(&more[i], false);
        client_close(&more[i]);
    }
    ck_assert(port_refuses());
}
END_TEST

START_TEST(nobody_connected)
{
    begin();
    test_stop(&f);
    expect_end(&c, true);
}
END_TEST

START_TEST(port_is_free_at_once)
{
    begin();
    for (int i = 0; i < 20; i++) { /* with a client that is connected each time */
        expect_alive(&c);
        test_stop(&f);
        f.listen[0].port = f.port;
        test_start(&f);
        client_close(&c);
        client_open(&c, &f);
    }
    test_stop(&f);
}
END_TEST

/* What is parked is answered, and told that it was the last one. */
START_TEST(parked_in_time)
{
    begin();
    client_say(&c, "GET /park HTTP/1.1\r\nHost: h\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    stop_begins();
    ck_assert(!atomic_load(&stopped));
    test_release(&f.app);
    reply_read(&c, &got, true);
    ck_assert_str_is(got.body, "GET /park|");
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    expect_end(&c, false);
    client_close(&c); /* it lingers for what was pipelined */
    stop_ends();
    client_adopt(&c, dup(0));
}
END_TEST

/* Past the time-out the client is cut off; the request is waited for nevertheless. */
START_TEST(parked_too_long)
{
    f.o.stop_timeout_ms = 50;
    begin();
    client_say(&c, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    stop_begins();
    expect_end(&c, true);
    ck_assert(!atomic_load(&stopped));
    ck_assert_str_is(f.app.parked[0]->path, "/park"); /* still valid */
    test_release(&f.app);
    stop_ends();
    ck_assert_uint_eq(f.app.nresumed, 1);
}
END_TEST

START_TEST(parked_whose_client_is_gone)
{
    struct linger now = {1, 0};

    begin();
    client_say(&c, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client_close(&c);
    test_wait_open(&f, 0);
    stop_begins();
    ck_assert(!atomic_load(&stopped));
    test_release(&f.app);
    stop_ends();
    client_adopt(&c, dup(0));
}
END_TEST

/* A request that is on its way may still arrive whole. */
START_TEST(head_and_body_on_their_way)
{
    struct client half;

    begin();
    client_open(&half, &f);
    client_say(&half, "GET /al");
    client_say(&c,
               "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    reply_read(&c, &got, false); /* it is there, and its body is not */
    stop_begins();
    client_say(&c, "hello");
    reply_read(&c, &got, true);
    ck_assert_str_is(got.body, "PUT /b|hello");
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    client_say(&half, "ive HTTP/1.1\r\nHost: h\r\n\r\n");
    reply_read(&half, &got, true);
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    stop_ends();
    client_close(&half);
}
END_TEST

START_TEST(cut_off)
{
    static const char *const begun[] = {
        "GET /never", "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell",
        "GET /big?50000000 HTTP/1.1\r\nHost: h\r\n\r\n", "bad\r\n\r\nand more"};
    uint64_t at;

    f.o.stop_timeout_ms = 50;
    begin();
    client_send(&c, str_from(begun[_i]));
    test_wait_open(&f, 1);
    at = clock_mono_ms();
    test_stop(&f);
    ck_assert_uint_lt(clock_mono_ms() - at, TEST_MS / 2);
}
END_TEST

/* A large response goes out whole, if its reader keeps on reading. */
START_TEST(response_on_its_way)
{
    begin();
    client_say(&c, "GET /big?20000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_uint_gt(client_fill(&c), 0);
    stop_begins();
    reply_read(&c, &got, true);
    ck_assert_uint_eq(got.body.n, 20000000);
    expect_end(&c, false);
    stop_ends();
}
END_TEST

/* ---- under load --------------------------------------------------------------------------------- */

static atomic_bool enough;

/* Asks without end; whatever is answered is answered whole. */
static void *asker(void *arg)
{
    static const char ask[] =
        "GET /x HTTP/1.1\r\nHost: h\r\n\r\nGET /park HTTP/1.1\r\nHost: h\r\n\r\n";
    const struct fixture *fx = arg;
    char in[4096];

    while (!atomic_load(&enough)) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(fx->port)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
            for (int i = 0; i < 5; i++)
                if (send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) < 0 ||
                    recv(fd, in, sizeof in, 0) <= 0)
                    break;
        close(fd);
    }
    return NULL;
}

static void *releaser(void *arg)
{
    struct fixture *fx = arg;

    while (!atomic_load(&enough))
        if (test_release(&fx->app) == 0)
            wait_tick();
    return NULL;
}

START_TEST(under_load)
{
    pthread_t askers[6], release;
    struct http_stats s;

    f.o.stop_timeout_ms = 100;
    begin();
    atomic_store(&enough, false);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        ck_assert_int_eq(pthread_create(&askers[i], NULL, asker, &f), 0);
    ck_assert_int_eq(pthread_create(&release, NULL, releaser, &f), 0);
    do {
        wait_tick();
        http_server_stats(f.server, &s);
    } while (s.requests < 500);
    http_server_stop(f.server);
    atomic_store(&enough, true);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        pthread_join(askers[i], NULL);
    pthread_join(release, NULL);
    ck_assert_uint_eq(f.app.nstopped, 2);
    ck_assert_uint_eq(f.app.nparked, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/stop");
    TCase *t = test_case(s, "stop", setup, teardown, 30);
    tcase_add_test(t, idle);
    tcase_add_test(t, nobody_connected);
    tcase_add_test(t, port_is_free_at_once);
    tcase_add_test(t, parked_in_time);
    tcase_add_test(t, parked_too_long);
    tcase_add_test(t, parked_whose_client_is_gone);
    tcase_add_test(t, head_and_body_on_their_way);
    tcase_add_loop_test(t, cut_off, 0, 4);
    tcase_add_test(t, response_on_its_way);
    tcase_add_test(t, under_load);
    return s;
}

UNIT_MAIN(suite)
