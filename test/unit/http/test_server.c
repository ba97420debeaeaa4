/*
 * The server over real sockets: framing of requests and responses, keep-alive, pipelining, bodies,
 * parked requests, many connections. Addresses are in test_listen.c, refusals, limits and time-outs
 * in test_limits.c, stopping in test_stop.c, TLS in test_tls.c.
 */
#include "test/unit/http/server_test.h"

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
    test_release(&f.app);
    test_end(&f, &c, &got);
}

/* ---- requests and responses -------------------------------------------------------------- */

START_TEST(head_of_a_response)
{
    static const char form[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 10\r\nDate: ";
    client_say(&c, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    reply_read(&c, &got, true);
    ck_assert_str_is(got.body, "GET /echo|");
    ck_assert_int_eq(strncmp(got.head, form, sizeof form - 1), 0);
    ck_assert_str_eq(got.head + sizeof form - 1 + 29, "\r\nServer: test\r\n\r\n");
}
END_TEST

START_TEST(keep_alive)
{
    for (int i = 0; i < 100; i++)
        expect_alive(&c);
    struct http_stats s;
    http_server_stats(f.server, &s);
    ck_assert_uint_eq(s.connections, 1);
    ck_assert_uint_eq(s.requests, 100);
    ck_assert_uint_eq(s.refused, 0);
    ck_assert_uint_eq(s.open_connections, 1);
}
END_TEST

static const int pipelined[] = {1, 2, 3, 100, 1000};

#define CHUNKED_FORM                                                                               \
    "PUT /n%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"                           \
    "1\r\nb\r\n3\r\nody\r\n0\r\n\r\n"

/* Requests of several kinds in one go; each answer tells which one it belongs to. */
static size_t write_pipeline(char *p, size_t size, int n)
{
    static const char *const forms[] = {
        "GET /n%d HTTP/1.1\r\nHost: h\r\n\r\n",
        "PUT /n%d HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody",
        CHUNKED_FORM,
        "\r\nGET /n%d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    };
    size_t at = 0;

    for (int i = 0; i < n; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        at += (size_t)snprintf(p + at, size - at, forms[i % 4], i);
#pragma GCC diagnostic pop
    }
    ck_assert_uint_lt(at, size);
    return at;
}

static void expect_pipeline(int n)
{
    char want[32];

    for (int i = 0; i < n; i++) {
        bool body = i % 4 == 1 || i % 4 == 2;
        snprintf(want, sizeof want, "%s /n%d|%s", body ? "PUT" : "GET", i, body ? "body" : "");
        expect_reply(&c, 200, want);
    }
}

START_TEST(pipelined_at_once)
{
    static char bytes[200000];
    size_t n = write_pipeline(bytes, sizeof bytes, pipelined[_i]);

    client_send(&c, (str){bytes, n});
    expect_pipeline(pipelined[_i]);
    expect_alive(&c);
}
END_TEST

START_TEST(pipelined_bytewise)
{
    static char bytes[20000];
    size_t n = write_pipeline(bytes, sizeof bytes, 20);

    client_send_bytewise(&c, (str){bytes, n});
    expect_pipeline(20);
}
END_TEST

/* Parts of every size, so that each buffer boundary falls on each byte of a request. */
START_TEST(pipelined_in_parts)
{
    static char bytes[20000];
    size_t n = write_pipeline(bytes, sizeof bytes, 40);
    size_t part = (size_t)_i * 13 + 3;

    for (size_t at = 0; at < n; at += part)
        client_send(&c, str_sub((str){bytes, n}, at, part));
    expect_pipeline(40);
}
END_TEST

START_TEST(head_has_no_body)
{
    client_say(&c, "HEAD /big?5000 HTTP/1.1\r\nHost: h\r\n\r\n");
    reply_read(&c, &got, false);
    ck_assert_int_eq(got.status, 200);
    ck_assert(reply_has(&got, "Content-Length: 5000\r\n"));
    client_say(&c, "HEAD /big?100000 HTTP/1.1\r\nHost: h\r\n\r\n"); /* a body that is not copied */
    reply_read(&c, &got, false);
    ck_assert(reply_has(&got, "Content-Length: 100000\r\n"));
    expect_alive(&c);
}
END_TEST

START_TEST(statuses)
{
    static const struct {
        const char *n, *line;
        bool body;
    } cases[] = {
        {"204", "HTTP/1.1 204 No Content\r\n", false},
        {"304", "HTTP/1.1 304 Not Modified\r\n", false},
        {"404", "HTTP/1.1 404 Not Found\r\n", true},
        {"299", "HTTP/1.1 299 Status\r\n", true},
    };
    char ask[64];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(ask, sizeof ask, "GET /status?%s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].n);
        client_send(&c, str_from(ask));
        reply_read(&c, &got, true);
        ck_assert_int_eq(strncmp(got.head, cases[i].line, strlen(cases[i].line)), 0);
        ck_assert_int_eq(reply_has(&got, "Content-Length: 1\r\n"), cases[i].body);
        ck_assert_int_eq(reply_has(&got, "Content-Length"), cases[i].body);
    }
    expect_alive(&c);
}
END_TEST

static const char *const unfit[] = {"/status?0",   "/status?99", "/status?101", "/status?1000",
                                    "/headers?49", "/breaks",    "/long"};

/* What the application must not send is replaced by a clean error. */
START_TEST(unfit_responses)
{
    char ask[64];

    snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", unfit[_i]);
    client_send(&c, str_from(ask));
    reply_read(&c, &got, true);
    ck_assert_int_eq(got.status, 500);
    ck_assert(!reply_has(&got, "Set-Cookie"));
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    expect_end(&c, false);
}
END_TEST

/* Each byte at each place of a value: it is looked at eight bytes at a time. */
START_TEST(headers_that_would_be_two)
{
    char value[20];

    memset(value, 'v', sizeof value);
    for (size_t n = 1; n <= sizeof value; n++)
        for (size_t at = 0; at < n; at++)
            for (int byte = 0; byte < 256; byte++) {
                struct http_response res = {.status = 200};
                bool breaks = byte == '\r' || byte == '\n' || byte == '\0';
                value[at] = (char)byte;
                http_header_add(&res, STR("Name"), (str){value, n});
                ck_assert_msg(res.overflow == breaks, "%02x at %zu of %zu", (unsigned)byte, at, n);
                ck_assert_uint_eq(res.nheaders, breaks ? 0 : 1);
                value[at] = 'v';
            }
}
END_TEST

START_TEST(as_many_headers_as_fit)
{
    client_say(&c, "GET /headers?48 HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "headers");
    expect_alive(&c);
}
END_TEST

START_TEST(http_1_0)
{
    client_say(&c, "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    reply_read(&c, &got, true);
    ck_assert(reply_has(&got, "Connection: keep-alive\r\n"));
    client_say(&c, "GET /b HTTP/1.0\r\n\r\n");
    reply_read(&c, &got, true);
    ck_assert_str_is(got.body, "GET /b|");
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    expect_end(&c, false);
}
END_TEST

START_TEST(client_asks_for_close)
{
    client_say(&c, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    reply_read(&c, &got, true);
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    expect_end(&c, false);
}
END_TEST

/* What is pipelined behind the last request is not served, and does not destroy its answer. */
START_TEST(application_asks_for_close)
{
    client_say(&c, "GET /close HTTP/1.1\r\nHost: h\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n");
    reply_read(&c, &got, true);
    ck_assert_str_is(got.body, "closing");
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    expect_end(&c, false);
}
END_TEST

START_TEST(half_closed_client_is_answered)
{
    client_say(&c, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /big?300000 HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(c.fd, SHUT_WR);
    expect_reply(&c, 200, "GET /a|");
    reply_read(&c, &got, true);
    ck_assert_uint_eq(got.body.n, 300000);
    expect_end(&c, false);
}
END_TEST

/* Behind its request the client begins another, or sends line ends as some do, and says no more. */
START_TEST(half_closed_client_is_answered_what_was_whole)
{
    static const char *const rest[] = {
        "\r\n", "GET /b HT", "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
        "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"};

    for (size_t i = 0; i < 20 * ARRAY_LEN(rest); i++) { /* it has to come before the server looks */
        struct client half;
        char text[200];
        client_open(&half, &f);
        snprintf(text, sizeof text, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n%s",
                 rest[i % ARRAY_LEN(rest)]);
        client_send(&half, str_from(text));
        shutdown(half.fd, SHUT_WR);
        expect_reply(&half, 200, "GET /a|");
        expect_end(&half, false);
        client_close(&half);
    }
}
END_TEST

START_TEST(joined_headers)
{
    client_say(&c, "GET /join HTTP/1.1\r\nHost: h\r\nX: a\r\nY: z\r\nx: b, c\r\nX:\r\n\r\n");
    expect_reply(&c, 200, "a, b, c, ");
    client_say(&c, "GET /join HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "");
}
END_TEST

START_TEST(absolute_form)
{
    client_say(&c, "GET http://other:1/host HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "other:1");
    client_say(&c, "GET http://other/x?y HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "GET /x?y|");
}
END_TEST

/* ---- bodies ------------------------------------------------------------------------------- */

static const size_t body_sizes[] = {0,
                                    1,
                                    300,
                                    4000,
                                    4096,
                                    5000,
                                    16384,
                                    65536,
                                    256 * 1024 - 1,
                                    256 * 1024,
                                    256 * 1024 + 1,
                                    1024 * 1024,
                                    5 * 1024 * 1024};

static char *pattern_new(size_t n)
{
    char *p = malloc(n + 1);

    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < n; i++)
        p[i] = test_pattern(i);
    return p;
}

static void check_echoed(const char *prefix, const char *p, size_t n)
{
    reply_read(&c, &got, true);
    ck_assert_int_eq(got.status, 200);
    ck_assert_uint_eq(got.body.n, strlen(prefix) + n);
    ck_assert_int_eq(memcmp(got.body.p, prefix, strlen(prefix)), 0);
    ck_assert_int_eq(memcmp(got.body.p + strlen(prefix), p, n), 0);
}

/* The body in the same write as the head, and, twice, in one of its own; on one connection. */
START_TEST(body_with_length)
{
    size_t n = body_sizes[_i];
    char *all = pattern_new(n + 200);
    char *body = all + 200;
    char head[200];
    int head_n =
        snprintf(head, sizeof head, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);

    memmove(body - head_n, head, (size_t)head_n);
    client_send(&c, (str){body - head_n, (size_t)head_n + n});
    check_echoed("PUT /b|", body, n);
    for (int i = 0; i < 2; i++) {
        client_send(&c, (str){head, (size_t)head_n});
        client_send(&c, (str){body, n});
        check_echoed("PUT /b|", body, n);
    }
    free(all);
}
END_TEST

static void send_chunks(const char *p, size_t n, size_t chunk)
{
    char line[32];

    for (size_t at = 0; at < n; at += chunk) {
        size_t part = MIN_OF(chunk, n - at);
        snprintf(line, sizeof line, "%zx;ext=1\r\n", part);
        client_send(&c, str_from(line));
        client_send(&c, (str){p + at, part});
        client_say(&c, "\r\n");
    }
    client_say(&c, "0\r\nTrailer: x\r\n\r\n");
}

START_TEST(body_in_chunks)
{
    static const size_t sizes[][2] = {{0, 1},       {1, 1},        {3000, 7},
                                      {5000, 5000}, {100000, 999}, {1000000, 100000}};
    size_t n = sizes[_i][0];
    char *p = pattern_new(n);

    for (int i = 0; i < 2; i++) {
        client_say(&c, "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        send_chunks(p, n, sizes[_i][1]);
        check_echoed("PUT /c|", p, n);
    }
    free(p);
}
END_TEST

/* A head that nearly fills its buffer has to move before the chunks fit behind it. */
START_TEST(chunks_behind_a_large_head)
{
    size_t filler = (size_t)(4096 - 200 + _i * 8);
    char *head = malloc(filler + 200), *p = pattern_new(30000);
    int n;

    ck_assert_ptr_nonnull(head);
    memset(head, 'x', filler + 200);
    memcpy(head, "PUT /", 5);
    n = 5 + (int)filler;
    n += snprintf(head + n, 100, " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    client_send(&c, (str){head, (size_t)n});
    send_chunks(p, 30000, 1000);
    reply_read(&c, &got, true);
    ck_assert_int_eq(got.status, 200);
    ck_assert_uint_eq(got.body.n, 4 + 1 + filler + 1 + 30000);
    ck_assert_int_eq(memcmp(got.body.p, "PUT /xxx", 8), 0);
    ck_assert_int_eq(memcmp(got.body.p + 6 + filler, p, 30000), 0);
    free(head);
    free(p);
    expect_alive(&c);
}
END_TEST

START_TEST(chunks_bytewise)
{
    client_send_bytewise(&c, STR("PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "5;x\r\nhello\r\n6\r\n world\r\n0\r\nT: x\r\n\r\n"
                                 "GET /alive HTTP/1.1\r\nHost: h\r\n\r\n"));
    expect_reply(&c, 200, "PUT /c|hello world");
    expect_reply(&c, 200, "GET /alive|");
}
END_TEST

START_TEST(expect_continue)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        if (chunked)
            client_say(&c, "PUT /e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                           "Expect: 100-continue\r\n\r\n");
        else
            client_say(&c, "PUT /e HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
                           "Expect: 100-continue\r\n\r\n");
        reply_read(&c, &got, false);
        ck_assert_str_eq(got.head, "HTTP/1.1 100 Continue\r\n\r\n");
        if (chunked)
            client_say(&c, "5\r\nhello\r\n0\r\n\r\n");
        else
            client_say(&c, "hello");
        expect_reply(&c, 200, "PUT /e|hello");
    }
}
END_TEST

/* A head that fills the first buffer is moved to a larger one while its body is waited for: nothing is said
 * twice. */
START_TEST(expect_continue_once)
{
    static char head[4096 + 1];
    int n = snprintf(head, sizeof head,
                     "PUT /e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                     "Expect: 100-continue\r\nX: ");

    memset(head + n, 'x', 4096 - (size_t)n);
    memcpy(head + 4096 - 4, "\r\n\r\n", 4);
    client_send(&c, (str){head, 4096});
    reply_read(&c, &got, false);
    ck_assert_str_eq(got.head, "HTTP/1.1 100 Continue\r\n\r\n");
    client_say(&c, "5\r\nhello\r\n0\r\n\r\n");
    expect_reply(&c, 200, "PUT /e|hello");
}
END_TEST

/* No 100 when the body is there, when there is none, or when HTTP/1.0 asks. */
START_TEST(expect_continue_needless)
{
    client_say(&c, "PUT /e HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
                   "Expect: 100-continue\r\n\r\nhello");
    expect_reply(&c, 200, "PUT /e|hello");
    client_say(&c,
               "PUT /e HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n");
    expect_reply(&c, 200, "PUT /e|");
    client_say(&c, "PUT /e HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    client_say(&c, "hello");
    expect_reply(&c, 200, "PUT /e|hello");
}
END_TEST

/* ---- large responses ---------------------------------------------------------------------- */

static const size_t big_sizes[] = {16384, 16385, 100000, 1000000, 20000000};

START_TEST(big_responses)
{
    char ask[64];

    snprintf(ask, sizeof ask, "GET /big?%zu HTTP/1.1\r\nHost: h\r\n\r\n", big_sizes[_i]);
    for (int i = 0; i < 2; i++) {
        client_send(&c, str_from(ask));
        reply_read(&c, &got, true);
        ck_assert_uint_eq(got.body.n, big_sizes[_i]);
        for (size_t k = 0; k < got.body.n; k++)
            if (got.body.p[k] != test_pattern(k))
                ck_abort_msg("byte %zu differs", k);
    }
}
END_TEST

/* A reader that stops in between is waited for; others are served meanwhile. */
START_TEST(slow_reader)
{
    struct client other;
    int n = 0;

    for (int i = 0; i < 50; i++) /* far more than the sockets' buffers hold */
        client_say(&c,
                   "GET /big?200000 HTTP/1.1\r\nHost: h\r\n\r\nGET /s HTTP/1.1\r\nHost: h\r\n\r\n");
    client_open(&other, &f);
    for (int i = 0; i < 20; i++)
        expect_alive(&other);
    client_close(&other);
    for (; n < 50; n++) {
        reply_read(&c, &got, true);
        ck_assert_uint_eq(got.body.n, 200000);
        ck_assert_int_eq(got.body.p[199999], test_pattern(199999));
        expect_reply(&c, 200, "GET /s|");
    }
}
END_TEST

/* Small responses that the client does not read pile up in the kernel, and then no more are made. */
START_TEST(flood_without_reading)
{
    static const char ask[] = "GET /big?4000 HTTP/1.1\r\nHost: h\r\n\r\n";
    static char bytes[100 * 40];
    size_t n = 0;
    struct client other;
    struct http_stats s;
    uint64_t sent = 0;

    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(bytes + n, sizeof bytes - n, "%s", ask);
    fcntl(c.fd, F_SETFL, O_NONBLOCK);
    for (;;) { /* until nothing goes in any more and the server has come to rest */
        ssize_t k = send(c.fd, bytes + sent % n, n - sent % n, MSG_NOSIGNAL);
        struct pollfd p = {c.fd, POLLOUT, 0};
        if (k > 0)
            sent += (uint64_t)k;
        else if (poll(&p, 1, 200) == 0)
            break;
    }
    http_server_stats(f.server, &s);
    ck_assert_uint_lt(s.requests * (n / 100), sent); /* not all of them were served */
    client_open(&other, &f);
    for (int i = 0; i < 20; i++)
        expect_alive(&other);
    client_close(&other);
    fcntl(c.fd, F_SETFL, 0);
    for (int i = 0; i < 2000; i++) /* it goes on as soon as somebody reads */
        expect_reply(&c, 200, NULL);
}
END_TEST

/*
 * A connection that has had its share of a turn leaves nothing behind for the next one. A request
 * with a body takes a step more than one without, so that the share ends at each step of a request.
 */
START_TEST(share_ends_anywhere)
{
    static const char put[] = "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nb";
    static const char get[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
    static char bytes[8000];
    struct client other;

    client_open(&other, &f);
    for (int puts = 0; puts < 12; puts++) {
        size_t n = 0;
        for (int i = 0; i < 60; i++)
            n += (size_t)snprintf(bytes + n, sizeof bytes - n, "%s", i < puts ? put : get);
        for (int round = 0; round < 10; round++) {
            client_say(&other, "GET /alive HTTP/1.1\r\nHost: h\r\n\r\n");
            client_send(&c, (str){bytes, n});
            client_say(&other, "GET /alive HTTP/1.1\r\nHost: h\r\n\r\n");
            for (int i = 0; i < 60; i++)
                expect_reply(&c, 200, i < puts ? "PUT /x|b" : "GET /x|");
            expect_reply(&other, 200, "GET /alive|");
            expect_reply(&other, 200, "GET /alive|");
        }
    }
    client_close(&other);
}
END_TEST

/* The same where it ends behind the read that begins a request: large bodies end a buffer each, and
 * the small requests before them shift the place. */
START_TEST(share_ends_at_a_read)
{
    static char bytes[30 * 5200];
    char want[5100];

    memset(want, 'b', sizeof want);
    memcpy(want, "PUT /x|", 7);
    want[7 + 5000] = '\0';
    for (int small = 0; small < 24; small++) {
        size_t n = 0;
        for (int i = 0; i < small; i++)
            n +=
                (size_t)snprintf(bytes + n, sizeof bytes - n, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
        for (int i = 0; i < 25; i++)
            n += (size_t)snprintf(bytes + n, sizeof bytes - n,
                                  "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n%s",
                                  want + 7);
        client_send(&c, (str){bytes, n});
        for (int i = 0; i < small; i++)
            expect_reply(&c, 200, "GET /x|");
        for (int i = 0; i < 25; i++)
            expect_reply(&c, 200, want);
    }
}
END_TEST

/* ---- parked requests ------------------------------------------------------------------------- */

START_TEST(parked)
{
    client_say(&c, "PUT /park HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiGET /a HTTP/1.1\r\n"
                   "Host: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    client_say(&c, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n"); /* waits for its turn */
    ck_assert_uint_eq(test_release(&f.app), 1);
    expect_reply(&c, 200, "PUT /park|hi");
    expect_reply(&c, 200, "GET /a|");
    expect_reply(&c, 200, "GET /b|");
}
END_TEST

START_TEST(parked_twice)
{
    client_say(&c, "GET /twice HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    ck_assert_uint_eq(test_release(&f.app), 1);
    test_wait(&f.app, &f.app.nparked, 1);
    ck_assert_uint_eq(test_release(&f.app), 1);
    expect_reply(&c, 200, "GET /twice|");
    ck_assert_uint_eq(f.app.nresumed, 2);
    expect_alive(&c);
}
END_TEST

START_TEST(parked_behind_gathered_responses)
{
    client_say(&c, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "GET /a|"); /* does not wait for the parked one */
    test_wait(&f.app, &f.app.nparked, 1);
    test_release(&f.app);
    expect_reply(&c, 200, "GET /park|");
}
END_TEST

START_TEST(many_parked)
{
    static struct client cs[300];

    for (size_t i = 0; i < ARRAY_LEN(cs); i++) {
        client_open(&cs[i], &f);
        client_say(&cs[i], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    test_wait(&f.app, &f.app.nparked, ARRAY_LEN(cs));
    ck_assert_uint_eq(test_release(&f.app), ARRAY_LEN(cs));
    for (size_t i = 0; i < ARRAY_LEN(cs); i++) {
        expect_reply(&cs[i], 200, "GET /park|");
        expect_alive(&cs[i]);
        client_close(&cs[i]);
    }
}
END_TEST

/* A handler may answer for the others of its loop. */
START_TEST(answered_by_another)
{
    static struct client cs[5];

    for (size_t i = 0; i < ARRAY_LEN(cs); i++) {
        client_open(&cs[i], &f);
        client_say(&cs[i], "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    test_wait(&f.app, &f.app.nparked, ARRAY_LEN(cs));
    client_say(&c, "GET /free HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "free");
    for (size_t i = 0; i < ARRAY_LEN(cs); i++) {
        expect_reply(&cs[i], 200, "freed");
        expect_alive(&cs[i]);
        client_close(&cs[i]);
    }
}
END_TEST

static void vanish(struct client *who)
{
    struct linger now = {1, 0};

    setsockopt(who->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now); /* close() sends a reset */
    client_close(who);
}

START_TEST(client_vanishes_while_parked)
{
    struct client gone;

    client_open(&gone, &f);
    client_say(&gone, "PUT /park HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    test_wait(&f.app, &f.app.nparked, 1);
    vanish(&gone);
    test_wait_open(&f, 1);
    ck_assert_str_is(f.app.parked[0]->body, "hi"); /* still valid */
    test_release(&f.app);
    test_wait(&f.app, &f.app.nresumed, 1);
    expect_alive(&c);
}
END_TEST

START_TEST(client_vanishes_and_another_answers)
{
    struct client gone;

    client_open(&gone, &f);
    client_say(&gone, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    vanish(&gone);
    test_wait_open(&f, 1);
    client_say(&c, "GET /free HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, "free");
    expect_alive(&c);
}
END_TEST

/* An orderly close looks like a half-close: the answer is made, sent to nobody, and all ends. */
START_TEST(client_closes_while_parked)
{
    struct client gone;

    client_open(&gone, &f);
    client_say(&gone, "GET /park HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nparked, 1);
    client_close(&gone);
    test_release(&f.app);
    test_wait(&f.app, &f.app.nresumed, 1);
    test_wait_open(&f, 1);
    expect_alive(&c);
}
END_TEST

START_TEST(client_vanishes_while_it_is_sent_to)
{
    struct client gone;

    client_open(&gone, &f);
    client_say(&gone, "GET /big?20000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_uint_gt(client_fill(&gone), 0);
    vanish(&gone);
    test_wait_open(&f, 1);
    expect_alive(&c);
}
END_TEST

/* ---- many connections, several loops --------------------------------------------------------- */

START_TEST(a_thousand_connections)
{
    enum { N = 1000 };
    static int fds[N];
    char in[512];

    for (int i = 0; i < N; i++)
        fds[i] = test_connect(f.port);
    test_wait_open(&f, N + 1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(send(fds[i], "GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 28, 0), 28);
        for (int i = 0; i < N; i++) {
            ssize_t n = recv(fds[i], in, sizeof in - 1, 0);
            ck_assert_int_gt(n, 12);
            ck_assert_int_eq(memcmp(in, "HTTP/1.1 200", 12), 0);
            ck_assert_int_eq(memcmp(in + n - 7, "GET /x|", 7), 0);
        }
    }
    for (int i = 0; i < N; i++)
        close(fds[i]);
    test_wait_open(&f, 1);
    expect_alive(&c);
}
END_TEST

static void *hammer(void *arg)
{
    const struct fixture *fx = arg;
    char in[512];

    for (int k = 0; k < 20; k++) {
        int fd = test_connect(fx->port);
        for (int i = 0; i < 50; i++) {
            ck_assert_int_eq(send(fd, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n", 28, MSG_NOSIGNAL), 28);
            ck_assert_int_gt(recv(fd, in, sizeof in, 0), 0);
        }
        close(fd);
    }
    return NULL;
}

START_TEST(several_loops)
{
    struct fixture many;
    pthread_t threads[8];
    struct http_stats s;

    test_prepare(&many);
    many.o.loops = 4;
    test_start(&many);
    ck_assert_uint_eq(many.app.nstarted, 4);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, &many), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    test_wait_open(&many, 0);
    http_server_stats(many.server, &s);
    ck_assert_uint_eq(s.requests, 8 * 20 * 50);
    ck_assert_uint_eq(s.connections, 8 * 20);
    test_stop(&many);
    ck_assert_uint_eq(many.app.nstopped, 4);
}
END_TEST

static void requests_case(Suite *s)
{
    TCase *t = test_case(s, "requests", setup, teardown, 4);
    tcase_add_test(t, head_of_a_response);
    tcase_add_test(t, keep_alive);
    tcase_add_loop_test(t, pipelined_at_once, 0, (int)ARRAY_LEN(pipelined));
    tcase_add_test(t, pipelined_bytewise);
    tcase_add_loop_test(t, pipelined_in_parts, 0, 20);
    tcase_add_test(t, head_has_no_body);
    tcase_add_test(t, statuses);
    tcase_add_loop_test(t, unfit_responses, 0, (int)ARRAY_LEN(unfit));
    tcase_add_test(t, as_many_headers_as_fit);
    tcase_add_test(t, headers_that_would_be_two);
    tcase_add_test(t, http_1_0);
    tcase_add_test(t, client_asks_for_close);
    tcase_add_test(t, application_asks_for_close);
    tcase_add_test(t, half_closed_client_is_answered);
    tcase_add_test(t, half_closed_client_is_answered_what_was_whole);
    tcase_add_test(t, joined_headers);
    tcase_add_test(t, absolute_form);
}

static void bodies_case(Suite *s)
{
    TCase *t = test_case(s, "bodies", setup, teardown, 30);
    tcase_add_loop_test(t, body_with_length, 0, (int)ARRAY_LEN(body_sizes));
    tcase_add_loop_test(t, body_in_chunks, 0, 6);
    tcase_add_loop_test(t, chunks_behind_a_large_head, 0, 30);
    tcase_add_test(t, chunks_bytewise);
    tcase_add_test(t, expect_continue);
    tcase_add_test(t, expect_continue_once);
    tcase_add_test(t, expect_continue_needless);
    tcase_add_loop_test(t, big_responses, 0, (int)ARRAY_LEN(big_sizes));
    tcase_add_test(t, slow_reader);
    tcase_add_test(t, flood_without_reading);
    tcase_add_test(t, share_ends_anywhere);
    tcase_add_test(t, share_ends_at_a_read);
}

static void parked_case(Suite *s)
{
    TCase *t = test_case(s, "parked", setup, teardown, 4);
    tcase_add_test(t, parked);
    tcase_add_test(t, parked_twice);
    tcase_add_test(t, parked_behind_gathered_responses);
    tcase_add_test(t, many_parked);
    tcase_add_test(t, answered_by_another);
    tcase_add_test(t, client_vanishes_while_parked);
    tcase_add_test(t, client_vanishes_and_another_answers);
    tcase_add_test(t, client_closes_while_parked);
    tcase_add_test(t, client_vanishes_while_it_is_sent_to);
    tcase_add_test(t, a_thousand_connections);
    tcase_add_test(t, several_loops);
}

static Suite *suite(void)
{
    Suite *s = suite_create("http/server");

    requests_case(s);
    bodies_case(s);
    parked_case(s);
    return s;
}

UNIT_MAIN(suite)
