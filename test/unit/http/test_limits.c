/*
 * What the server does not put up with: malformed and oversized requests, slow clients, too many of
 * them; that a refusal can be read by the client; and that nobody else is disturbed.
 */
#include "test/support/wait.h"
#include "test/unit/http/server_test.h"

#include <sys/resource.h>

static struct fixture f;
static struct client c;
static struct reply got;

#define SHORT_MS 50 /* of the time-out that a test is about */

static void setup(void)
{
    test_prepare(&f);
    f.o.max_head_bytes = 6000;
    f.o.max_target_bytes = 1000;
    f.o.max_body_bytes = 300000;
    f.o.max_connections = 20;
}

static void begin(void)
{
    test_begin(&f, &c);
}

static void teardown(void)
{
    test_end(&f, &c, &got);
}

/* The refusal is there, says so, and the connection ends behind it. */
static void expect_refusal(int status)
{
    reply_read(&c, &got, true);
    ck_assert_int_eq(got.status, status);
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    ck_assert_int_eq(strncmp(got.body.p, "refused ", 8), 0);
    expect_end(&c, false);
}

/* ---- what the application is asked first ----------------------------------------------------- */

static bool admits_all(void *loop_ctx, struct http_req *req)
{
    (void)loop_ctx;
    req->app_data = arena_zalloc(req->arena, 100);
    return true;
}

/* What it made for the look is gone with its arena, and its note of it, too. */
START_TEST(what_is_admitted_begins_anew)
{
    f.o.app.admit = admits_all;
    begin();
    client_say(&c, "GET /app-data HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "none");
}
END_TEST

/* ---- malformed (what is: test_smuggling.c)
 * ---------------------------------------------------------------------------- */

/* Good requests before a bad one are answered first. */
START_TEST(refuses_in_turn)
{
    begin();
    client_say(&c, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
                   "bad\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "GET /a|");
    expect_reply(&c, 200, "GET /b|");
    expect_refusal(400);
}
END_TEST

START_TEST(refuses_by_itself)
{
    f.o.app.refuse = NULL;
    begin();
    client_say(&c, "bad\r\n\r\n");
    reply_read(&c, &got, true);
    ck_assert_int_eq(got.status, 400);
    ck_assert(reply_has(&got, "Content-Type: text/plain\r\n"));
    ck_assert_uint_gt(got.body.n, 0);
    expect_end(&c, false);
}
END_TEST

START_TEST(refused_head_has_no_body)
{
    begin();
    client_say(&c, "HEAD / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n");
    reply_read(&c, &got, false);
    ck_assert_int_eq(got.status, 400);
    expect_end(&c, false);
}
END_TEST

/* ---- oversized ---------------------------------------------------------------------------- */

static void fill(char *p, size_t n)
{
    memset(p, 'x', n);
}

/* A head of exactly n bytes. */
static size_t head_of(char *p, size_t n)
{
    int k = snprintf(p, n, "GET /h HTTP/1.1\r\nHost: h\r\nX: ");

    fill(p + k, n - (size_t)k - 4);
    memcpy(p + n - 4, "\r\n\r\n", 4);
    return n;
}

START_TEST(head_limit)
{
    static char p[8000];

    begin();
    for (int i = 0; i < 3; i++) { /* also behind one another */
        client_send(&c, (str){p, head_of(p, 6000)});
        expect_reply(&c, 200, "GET /h|");
    }
    client_send(&c, (str){p, head_of(p, 6001)});
    expect_refusal(431);
}
END_TEST

START_TEST(head_without_end)
{
    static char p[8000];

    begin();
    client_send(&c, (str){p, head_of(p, 8000) - 100});
    expect_refusal(431);
}
END_TEST

START_TEST(too_many_headers)
{
    begin();
    client_say(&c, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < HTTP_MAX_HEADERS; i++)
        client_say(&c, "X: y\r\n");
    client_say(&c, "\r\n");
    expect_refusal(431);
}
END_TEST

START_TEST(target_limit)
{
    static char p[3000];

    begin();
    memcpy(p, "GET /", 5);
    fill(p + 5, 2000);
    memcpy(p + 4 + 1000, " HTTP/1.1\r\nHost: h\r\n\r\n", 22);
    client_send(&c, (str){p, 4 + 1000 + 22});
    expect_reply(&c, 200, NULL);
    fill(p + 5, 2000);
    client_send(&c, (str){p, 2000});
    expect_refusal(414);
}
END_TEST

static void say_length(size_t n, const char *more)
{
    char head[200];

    snprintf(head, sizeof head, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n%s\r\n", n,
             more);
    client_send(&c, str_from(head));
}

START_TEST(body_limit)
{
    static char p[400000];

    begin();
    fill(p, sizeof p);
    say_length(300000, "");
    client_send(&c, (str){p, 300000});
    reply_read(&c, &got, true);
    ck_assert_uint_eq(got.body.n, 7 + 300000);
    say_length(300001, "");
    expect_refusal(413); /* at once, whether the body comes or not */
}
END_TEST

/* A client that sends on and reads only then still gets to read why. */
START_TEST(oversized_body_is_sent_nevertheless)
{
    static char p[100000];

    begin();
    say_length(10000000, "");
    for (int i = 0; i < 100; i++)
        client_send(&c, (str){p, sizeof p});
    expect_refusal(413);
}
END_TEST

START_TEST(oversized_body_without_100)
{
    begin();
    say_length(300001, "Expect: 100-continue\r\n");
    expect_refusal(413);
}
END_TEST

START_TEST(chunked_body_limit)
{
    static char p[100000];

    begin();
    fill(p, sizeof p);
    for (int over = 0; over < 2; over++) {
        client_say(&c, "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 3; i++) {
            client_say(&c, "186a0\r\n"); /* 100,000 */
            client_send(&c, (str){p, sizeof p});
            client_say(&c, "\r\n");
        }
        if (over)
            client_say(&c, "1\r\nx\r\n");
        client_say(&c, "0\r\n\r\n");
        if (over)
            break;
        reply_read(&c, &got, true);
        ck_assert_uint_eq(got.body.n, 7 + 300000);
    }
    expect_refusal(413);
}
END_TEST

/* Small enough to come whole with its head, and over the limit all the same. */
START_TEST(small_chunked_body_limit)
{
    f.o.max_body_bytes = 5;
    begin();
    client_say(&c, "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "5\r\nhello\r\n0\r\n\r\n");
    expect_reply(&c, 200, "PUT /b|hello");
    client_say(&c, "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "6\r\nhello!\r\n0\r\n\r\n");
    expect_refusal(413);
}
END_TEST

/* ---- slow --------------------------------------------------------------------------------- */

START_TEST(head_timeout)
{
    f.o.head_timeout_ms = SHORT_MS;
    begin();
    client_say(&c, "GET / HTTP/1.1\r\nHost");
    expect_refusal(408);
}
END_TEST

/* Bytes now and then do not buy time: the head is due from its first byte on. */
START_TEST(dripping_head)
{
    uint64_t begun;

    f.o.head_timeout_ms = 200;
    begin();
    begun = clock_mono_ms();
    client_say(&c, "GET / HTTP/1.1\r\nX: ");
    for (struct pollfd p = {c.fd, POLLIN, 0}; poll(&p, 1, 10) == 0;)
        ck_assert(client_try_send(&c, STR("x")));
    ck_assert_uint_ge(clock_mono_ms() - begun, 150);
    ck_assert_uint_lt(clock_mono_ms() - begun, TEST_MS / 2);
    reply_read(&c, &got, true);
    ck_assert_int_eq(got.status, 408);
}
END_TEST

START_TEST(head_timeout_begins_anew)
{
    f.o.head_timeout_ms = 300;
    begin();
    for (int i = 0; i < 20; i++) { /* together longer than the time-out */
        client_say(&c, "GET /al");
        let_pass(20, "each head takes a while, but none takes too long");
        client_say(&c, "ive HTTP/1.1\r\nHost: h\r\n\r\n");
        expect_reply(&c, 200, "GET /alive|");
    }
}
END_TEST

START_TEST(body_timeout)
{
    f.o.body_timeout_ms = SHORT_MS;
    begin();
    if (_i == 0)
        say_length(5, "");
    else if (_i == 1)
        say_length(100000, "");
    else
        client_say(&c, "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n");
    client_say(&c, "hell");
    expect_refusal(408);
}
END_TEST

START_TEST(idle_timeout)
{
    f.o.idle_timeout_ms = SHORT_MS;
    begin();
    if (_i == 0)
        expect_alive(&c);
    expect_end(&c, false); /* in silence */
}
END_TEST

START_TEST(only_line_ends)
{
    f.o.head_timeout_ms = SHORT_MS;
    begin();
    client_say(&c, "\r\n\r\n");
    expect_end(&c, true); /* in silence: nobody has asked anything */
}
END_TEST

START_TEST(send_timeout)
{
    f.o.send_timeout_ms = SHORT_MS;
    begin();
    client_say(&c, "GET /big?50000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait_open(&f, 1);
    test_wait_open(&f, 0); /* it is not read from */
}
END_TEST

/* Whoever goes on reading, however slowly, gets it all. */
START_TEST(send_timeout_counts_from_progress)
{
    f.o.send_timeout_ms = 200;
    begin();
    client_say(&c, "GET /big?12000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    for (size_t n = 0; n < 12000000;) {
        ssize_t r = recv(c.fd, c.buf, 200000, 0);
        ck_assert_int_gt(r, 0);
        n += (size_t)r;
        let_pass(5, "somebody who reads slowly");
    }
}
END_TEST

/* Parked requests have all the time in the world. */
START_TEST(no_timeout_while_parked)
{
    f.o.head_timeout_ms = f.o.body_timeout_ms = f.o.idle_timeout_ms = f.o.send_timeout_ms =
        SHORT_MS;
    begin();
    client_say(&c, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    let_pass(3 * SHORT_MS, "no time-out may end it");
    test_release(&f.app);
    expect_reply(&c, 200, "GET /park|");
}
END_TEST

/* ---- many ----------------------------------------------------------------------------------- */

/* Nobody can be spared: all are being served. */
START_TEST(connection_limit)
{
    struct client cs[19], more;

    begin();
    for (size_t i = 0; i < ARRAY_LEN(cs); i++) {
        client_open(&cs[i], &f);
        client_say(&cs[i], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    client_say(&c, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 20);
    client_open(&more, &f);
    expect_end(&more, true);
    client_close(&more);
    test_release(&f.app);
    for (size_t i = 0; i < ARRAY_LEN(cs); i++)
        expect_reply(&cs[i], 200, NULL);
    expect_reply(&c, 200, NULL);
    client_open(&more, &f); /* in the place of the one that has been idle longest */
    expect_alive(&more);
    test_wait_open(&f, 20);
    client_close(&more);
    for (size_t i = 0; i < ARRAY_LEN(cs); i++)
        client_close(&cs[i]);
}
END_TEST

/* Cut off at each byte of a request: nothing stays open, nothing is disturbed. */
START_TEST(cut_at_each_byte)
{
    static const char request[] = "PUT /x?y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                                  "Expect: 100-continue\r\n\r\n3;x\r\nabc\r\n0\r\nT: x\r\n\r\n";

    f.o.max_connections = 200;
    begin();
    for (size_t n = 0; n < sizeof request; n++) {
        struct linger now = {1, 0};
        struct client cut;
        client_open(&cut, &f);
        client_send(&cut, (str){request, n});
        if (n % 2 == 0) /* with a reset, and in good order */
            setsockopt(cut.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        client_close(&cut);
    }
    test_wait_open(&f, 1);
    expect_alive(&c);
}
END_TEST

static unsigned npaused;
static pthread_mutex_t pause_lock = PTHREAD_MUTEX_INITIALIZER;

static void count_pauses(const char *line, void *arg)
{
    (void)arg;
    pthread_mutex_lock(&pause_lock);
    npaused += strstr(line, "http_accept_paused") != NULL;
    pthread_mutex_unlock(&pause_lock);
}

static unsigned pauses(void)
{
    pthread_mutex_lock(&pause_lock);
    unsigned n = npaused;
    pthread_mutex_unlock(&pause_lock);
    return n;
}

/*
 * Out of descriptors: the server does not spin, those who are in are served, and who waits gets in
 * when somebody can be spared. The client's sockets are made first: both sides share the process' limit.
 */
START_TEST(out_of_descriptors)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct rlimit before, few;
    struct client waiting;
    uint64_t cpu, wall;
    int fd;

    log_test_sink(count_pauses, NULL);
    begin();
    client_say(&c, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)fd + 1; /* the lowest free descriptor is beyond */
    int plugs[64], nplugs = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (nplugs < 64 && (plugs[nplugs] = dup(0)) >= 0) /* fill the holes below */
        nplugs++;
    a.sin_port = htons(f.port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0); /* into the backlog */
    client_adopt(&waiting, fd);
    client_say(&waiting, "GET /alive HTTP/1.1\r\nHost: h\r\n\r\n");
    for (wall = clock_mono_ms() + TEST_MS; pauses() == 0 && clock_mono_ms() < wall;)
        wait_tick();
    ck_assert_uint_eq(pauses(), 1);
    cpu = test_cpu_ms();
    wall = clock_mono_ms();
    while (clock_mono_ms() < wall + 500)
        let_pass(50, "the server must not turn in circles");
    ck_assert_uint_lt(test_cpu_ms() - cpu, 100);
    ck_assert_uint_eq(pauses(), 1); /* said once, however often it was tried */
    test_release(&f.app);
    expect_reply(&c, 200, "GET /park|");
    expect_reply(&waiting, 200, "GET /alive|");
    expect_end(&c, true);
    client_close(&c);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    while (nplugs > 0)
        close(plugs[--nplugs]);
    c = waiting;
    log_test_sink(NULL, NULL);
}
END_TEST

static char said_level[16];

static void note_few(const char *line, void *arg)
{
    (void)arg;
    if (strstr(line, "http_few_descriptors") != NULL)
        ck_assert_int_eq(sscanf(line, "%*s %15s", said_level), 1);
}

/* The system's limit is below the settings': connections stay below it, too. (Both sides share the process'
 * limit, so it is lifted again for the clients: how many there may be was settled at the start.) */
START_TEST(descriptors_are_kept_back)
{
    static const struct {
        unsigned allowed, least, most;
        const char *level;
    } of[] = {{128, 30, 64, "WARN"}, {70, 16, 16, "ERROR"}, {1024, 90, 90, NULL}};
    struct rlimit before, few;
    static struct client cs[90];

    said_level[0] = '\0';
    log_test_sink(note_few, NULL);
    f.o.max_connections = 90;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){of[_i].allowed, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    test_start(&f);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    log_test_sink(NULL, NULL);
    ck_assert_str_eq(said_level, of[_i].level != NULL ? of[_i].level : "");
    for (size_t i = 0; i < ARRAY_LEN(cs); i++) {
        client_open(&cs[i], &f);
        expect_alive(&cs[i]); /* in the place of another one, if need be */
    }
    struct http_stats st;
    http_server_stats(f.server, &st);
    ck_assert_uint_ge(st.open_connections, of[_i].least);
    ck_assert_uint_le(st.open_connections, of[_i].most);
    for (size_t i = 0; i < ARRAY_LEN(cs); i++)
        client_close(&cs[i]);
    client_open(&c, &f);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/limits");
    TCase *t = test_case(s, "refused", setup, teardown, 4);
    tcase_add_test(t, what_is_admitted_begins_anew);
    tcase_add_test(t, refuses_in_turn);
    tcase_add_test(t, refuses_by_itself);
    tcase_add_test(t, refused_head_has_no_body);
    tcase_add_test(t, head_limit);
    tcase_add_test(t, head_without_end);
    tcase_add_test(t, too_many_headers);
    tcase_add_test(t, target_limit);
    tcase_add_test(t, body_limit);
    tcase_add_test(t, oversized_body_is_sent_nevertheless);
    tcase_add_test(t, oversized_body_without_100);
    tcase_add_test(t, chunked_body_limit);
    tcase_add_test(t, small_chunked_body_limit);
    t = test_case(s, "slow", setup, teardown, 20);
    tcase_add_test(t, head_timeout);
    tcase_add_test(t, dripping_head);
    tcase_add_test(t, head_timeout_begins_anew);
    tcase_add_loop_test(t, body_timeout, 0, 3);
    tcase_add_loop_test(t, idle_timeout, 0, 2);
    tcase_add_test(t, only_line_ends);
    tcase_add_test(t, send_timeout);
    tcase_add_test(t, send_timeout_counts_from_progress);
    tcase_add_test(t, no_timeout_while_parked);
    t = test_case(s, "many", setup, teardown, 4);
    tcase_add_test(t, connection_limit);
    tcase_add_test(t, cut_at_each_byte);
    tcase_add_test(t, out_of_descriptors);
    tcase_add_loop_test(t, descriptors_are_kept_back, 0, 3);
    return s;
}

UNIT_MAIN(suite)
