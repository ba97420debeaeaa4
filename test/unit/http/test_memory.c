/*
 * The memory of a server: what a connection costs (SECURITY.md says it), and what comes of each allocation that
 * fails: the request is answered, or its connection is closed; nothing stays behind, and the next client is served.
 */
#include "http/private.h"
#include "test/support/memory.h"
#include "test/unit/http/tls_test.h"

static void setup(void)
{
    memory_mine(false);
    tls_setup();
    f.o.loops = 1;
}

/* ---- what a connection costs ----------------------------------------------------------------- */

#define MANY 320 /* connections: whole slabs of them */

static int fds[MANY];

static void start_counted(void)
{
    memory_mine(true);
    test_start(&f);
    memory_mine(false);
}

static long bytes(void)
{
    return atomic_load(&memory.bytes);
}

/* n connections to listen[i], each of which says `text`. */
static void open_many(unsigned i, size_t n, str text)
{
    for (size_t k = 0; k < n; k++) {
        fds[k] = test_connect(http_server_port(f.server, i));
        ck_assert_int_eq(send(fds[k], text.p, text.n, MSG_NOSIGNAL), (ssize_t)text.n);
    }
    test_wait_open(&f, (unsigned)n);
}

static void close_many(size_t n)
{
    for (size_t k = 0; k < n; k++)
        close(fds[k]);
    test_wait_open(&f, 0);
}

/* Until each of the n costs `least` bytes at least, as what they have sent is read by and by. How much it is then. */
static long cost_of(size_t n, long before, long least)
{
    uint64_t until = clock_mono_ms() + TEST_MS;

    while ((bytes() - before) / (long)n < least && clock_mono_ms() < until)
        wait_tick();
    return (bytes() - before) / (long)n;
}

#define IDLE_BYTES 512
#define WORK_BYTES ((long)(14 * KIB))
#define SLACK      64 /* of the allocator, and what is there but once */

START_TEST(an_idle_connection)
{
    long before, after;

    start_counted();
    before = bytes();
    open_many(1, MANY, STR(""));
    after = cost_of(MANY, before, 1);
    ck_assert_int_le(after, IDLE_BYTES);
    for (size_t k = 0; k < MANY; k++) { /* again idle, behind a request */
        struct client c;
        client_adopt(&c, fds[k]);
        expect_alive(&c);
        free(c.buf);
    }
    after = (bytes() - before - WORK_BYTES - (long)IN_SMALL_BYTES) / MANY;
    ck_assert_int_le(after, IDLE_BYTES);
    close_many(MANY);
}
END_TEST

static const struct {
    const char *what;
    size_t head; /* bytes of a head, which is then whole or not */
    bool whole;
    long most;
} costs[] = {
    {"a head on its way", 100, false, (long)(4 * KIB)},
    {"a head on its way, the longest that is short", 4 * KIB - 1, false, (long)(4 * KIB)},
    {"a long head on its way", 5000, false, (long)(32 * KIB)},
    {"the longest head on its way", 16 * KIB - 1, false, (long)(32 * KIB)},
    {"a request in work", 100, true, WORK_BYTES + (long)(4 * KIB)},
    {"a request in work with a long head", 5000, true, WORK_BYTES + (long)(32 * KIB)},
};

START_TEST(a_connection_that_does_something)
{
    static char head[16 * KIB];
    size_t n = costs[_i].head;
    int k = snprintf(head, sizeof head, "GET /park HTTP/1.1\r\nHost: h\r\nX: ");
    long before, cost;

    memset(head + k, 'x', n - (size_t)k);
    if (costs[_i].whole)
        memcpy(head + n - 4, "\r\n\r\n", 4);
    f.o.max_head_bytes = 16 * KIB;
    start_counted();
    before = bytes();
    open_many(1, MANY, (str){head, n});
    if (costs[_i].whole)
        test_wait(&f.app, &f.app.nparked, MANY);
    cost = cost_of(MANY, before, costs[_i].most / 10 * 9);
    ck_assert_msg(cost <= costs[_i].most + IDLE_BYTES + SLACK, "%s: %ld bytes", costs[_i].what,
                  cost);
    ck_assert_msg(cost >= costs[_i].most / 10 * 9, "%s: only %ld bytes: is the page right?",
                  costs[_i].what, cost);
    test_release(&f.app);
    close_many(MANY);
}
END_TEST

#define SESSIONS 40

/* The promise is what the budget counts, so a session must not take more. */
START_TEST(a_session_of_tls)
{
    static struct tls_client ts[SESSIONS];
    long before, cost;

    start_counted();
    tls_open(&ts[0]); /* what there is once is there */
    tls_expect_alive(&ts[0]);
    before = bytes();
    for (size_t i = 1; i < SESSIONS; i++) {
        tls_open(&ts[i]);
        tls_expect_alive(&ts[i]);
    }
    cost = (bytes() - before) / (SESSIONS - 1);
    ck_assert_int_le(cost, (long)TLS_SESSION_BYTES + IDLE_BYTES + SLACK);
    ck_assert_int_ge(cost, (long)TLS_SESSION_BYTES / 10 * 8);
    for (size_t i = 0; i < SESSIONS; i++)
        tls_close(&ts[i]);
}
END_TEST

/* The same in the middle of its handshake, while keys are being agreed on. */
START_TEST(a_session_that_begins)
{
    static struct tls_client ts[SESSIONS];
    long before = 0, cost;

    start_counted();
    for (size_t i = 0; i < SESSIONS; i++) {
        struct pollfd p;
        tls_prepare(&ts[i]);
        tls_begin(&ts[i]);
        p = (struct pollfd){ts[i].fd, POLLIN, 0};
        ck_assert_int_eq(poll(&p, 1, TEST_MS), 1); /* the answer: it is the client's turn */
        if (i == 0)
            before = bytes();
    }
    cost = (bytes() - before) / (SESSIONS - 1);
    ck_assert_int_le(cost, (long)TLS_SESSION_BYTES + IDLE_BYTES + SLACK);
    for (size_t i = 0; i < SESSIONS; i++)
        tls_close(&ts[i]);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/memory");
    TCase *t = test_case(s, "costs", setup, tls_teardown, 20);

    tcase_add_test(t, an_idle_connection);
    tcase_add_loop_test(t, a_connection_that_does_something, 0, (int)ARRAY_LEN(costs));
    tcase_add_test(t, a_session_of_tls);
    tcase_add_test(t, a_session_that_begins);
    return s;
}

UNIT_MAIN(suite)
