/*
 * test/http/test_http.c - HTTP/1.1 itself: connections, pipelines, bodies, malformed requests,
 * limits, time-outs, stop. Ours alone: the reference's server is another program.
 */
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "test/support/api.h"
#include "test/support/unit.h"
#include "test/support/wait.h"

#define HOST           "Host: h\r\n"
#define PUT_HEAD(path) "PUT /v1" path " HTTP/1.1\r\n" HOST "Content-Type: application/json\r\n"

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- connections ----------------------------------------------------------------------------- */

START_TEST(connection_is_kept)
{
    struct http_conn *c = raw_open();
    for (int i = 0; i < 5; i++) {
        raw_call(c, "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n");
        want(200);
        ck_assert(!re.close);
        raw_call(c, "HEAD /v1/ HTTP/1.1\r\n" HOST "\r\n");
        want(200);
        raw_call(c, "GET /v1/nope HTTP/1.1\r\n" HOST "\r\n");
        want(404);
        ck_assert(!re.close);
    }
    ck_assert_ptr_nonnull(header("Date"));
    ck_assert_int_eq(http_reply_header_count(&re, "Content-Length"), 1);
    ck_assert_int_eq(http_reply_header_count(&re, "Content-Type"), 1);
    http_close(c);
}
END_TEST

START_TEST(connection_is_closed_when_asked)
{
    struct http_conn *c = raw_open();
    raw_call(c, "GET /v1/ HTTP/1.1\r\n" HOST "connection: Close\r\n\r\n");
    want(200);
    want_header("Connection", "close");
    raw_want_closed(c);
    http_close(c);
}
END_TEST

START_TEST(http_1_0_closes)
{
    struct http_conn *c = raw_open();
    raw_call(c, "GET /v1/__lbheartbeat__ HTTP/1.0\r\n\r\n");
    want(200);
    want_body("{}");
    raw_want_closed(c);
    http_close(c);
}
END_TEST

START_TEST(pipelined)
{
    make_collection();
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    for (int i = 0; i < 40; i++) {
        const char *body = f("{\"data\":{\"n\":%d}}", i);
        fprintf(out, PUT_HEAD(R "/p%d") "%sContent-Length: %zu\r\n\r\n%s", i, raw_auth(),
                strlen(body), body);
        fprintf(out, "GET /v1" R "/p%d HTTP/1.1\r\n" HOST "%s\r\n", i, raw_auth());
    }
    fclose(out);
    struct http_conn *c = raw_open();
    ck_assert(http_send(c, text, n));
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
        want(201);
        ck_assert_ptr_nonnull(strstr(re.body, f("\"id\":\"p%d\"", i)));
        ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
        want(200);
        ck_assert_ptr_nonnull(strstr(re.body, f("\"n\":%d", i)));
    }
    http_close(c);
    free(text);
}
END_TEST

/* Everything that was sent before the client shut its side is answered. */
START_TEST(half_closed)
{
    struct http_conn *c = raw_open();
    const char *two = "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n"
                      "GET /v1/ HTTP/1.1\r\n" HOST "\r\n";
    ck_assert(http_send(c, two, strlen(two)));
    http_send_end(c);
    ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
    ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
    want(200);
    raw_want_closed(c);
    http_close(c);
}
END_TEST

START_TEST(many_connections)
{
    enum { N = 300 };
    struct http_conn *c[N];
    const char *get = "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n";
    for (int i = 0; i < N; i++)
        c[i] = raw_open();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++)
            ck_assert(http_send(c[i], get, strlen(get)));
        for (int i = 0; i < N; i++) {
            ck_assert_int_eq(http_read(c[i], false, &re), HTTP_GOT);
            want(200);
        }
    }
    for (int i = 0; i < N; i++)
        http_close(c[i]);
}
END_TEST

/* ---- targets --------------------------------------------------------------------------------- */

START_TEST(targets)
{
    struct http_conn *c = raw_open();
    raw_call(c, "GET http://h/v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n");
    want(200);
    raw_call(c, "GET /v1/__lbheartbeat__?a=1&b HTTP/1.1\r\n" HOST "\r\n");
    want(200);
    raw_call(c, "GET /v1/__lbheartbeat__#x HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_lt(re.status, 500);
    http_close(c);
    c = raw_open();
    raw_call(c, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
    ck_assert_int_lt(re.status, 500);
    http_close(c);
    c = raw_open();
    raw_call(c, "FOO /v1/ HTTP/1.1\r\n" HOST "\r\n");
    want(405);
    http_close(c);
}
END_TEST

START_TEST(leading_empty_lines)
{
    struct http_conn *c = raw_open();
    raw_call(c, "\r\nGET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n");
    want(200);
    http_close(c);
}
END_TEST

START_TEST(header_values_are_trimmed)
{
    struct http_conn *c = raw_open();
    raw_call(c,
             "GET /v1/__lbheartbeat__ HTTP/1.1\r\nhOST:\t  h \t\r\nX-A:\r\nX-B: \xC3\xA9\r\n\r\n");
    want(200);
    http_close(c);
}
END_TEST

/* ---- bodies ---------------------------------------------------------------------------------- */

START_TEST(chunked_body)
{
    make_collection();
    struct http_conn *c = raw_open();
    raw_call(
        c, f(PUT_HEAD(
                 R "/r") "%sTransfer-Encoding: chunked\r\n\r\n"
                         "5\r\n{\"dat\r\n1;x=\"y\"\r\na\r\n00A\r\n\":{\"n\":42}\r\n1\r\n}\r\n0\r\n"
                         "X-Trailer: t\r\n\r\n",
             raw_auth()));
    want(201);
    want_at("/data/n", "42");
    raw_call(c, f("GET /v1" R "/r HTTP/1.1\r\n" HOST "%s\r\n", raw_auth()));
    want(200);
    want_at("/data/n", "42");
    http_close(c);
}
END_TEST

/* Cut in two at each byte, then byte by byte: always the same answer. */
START_TEST(split_at_every_byte)
{
    make_collection();
    const char *plain =
        f(PUT_HEAD(R "/r") "%sContent-Length: 18\r\n\r\n{\"data\":{\"n\":423}}", raw_auth());
    const char *chunked = f(PUT_HEAD(R "/r") "%sTransfer-Encoding: chunked\r\n\r\n"
                                             "6\r\n{\"data\r\nc\r\n\":{\"n\":423}}\r\n0\r\n\r\n",
                            raw_auth());
    const char *request[] = {plain, chunked};
    for (size_t k = 0; k < ARRAY_LEN(request); k++) {
        size_t n = strlen(request[k]);
        struct http_conn *c = raw_open();
        for (size_t cut = 1; cut < n; cut++) {
            ck_assert(http_send(c, request[k], cut));
            if (cut % 16 == 0)
                let_pass(1, "the halves arrive apart, now and then");
            raw_call(c, request[k] + cut);
            ck_assert(re.status == 201 || re.status == 200);
            want_at("/data/n", "423");
        }
        for (size_t i = 0; i + 1 < n; i++)
            ck_assert(http_send(c, request[k] + i, 1));
        raw_call(c, request[k] + n - 1);
        want(200);
        http_close(c);
    }
}
END_TEST

/* A client that dies at any byte of its request has written nothing. */
START_TEST(cut_off_at_every_byte)
{
    make_collection();
    const char *request =
        f(PUT_HEAD(R "/cut") "%sContent-Length: 17\r\n\r\n{\"data\":{\"n\":42}}", raw_auth());
    size_t n = strlen(request);
    for (size_t cut = 0; cut < n; cut++) {
        struct http_conn *c = raw_open();
        ck_assert(http_send(c, request, cut));
        if (cut % 2)
            http_close(c);
        else
            http_abort(c);
    }
    call("GET", R "/cut", NULL);
    want(404);
    call("GET", R, NULL);
    want_ids("");
}
END_TEST

START_TEST(expect_continue)
{
    make_collection();
    struct http_conn *c = raw_open();
    const char *head =
        f(PUT_HEAD(R "/r") "%sExpect: 100-continue\r\nContent-Length: 15\r\n\r\n", raw_auth());
    raw_call(c, head);
    want(100);
    raw_call(c, "{\"data\":{\"n\":}}");
    want_error(400, 107, NULL);
    raw_call(
        c, f(PUT_HEAD(R "/r") "%sExpect: 100-continue\r\nContent-Length: 16\r\n\r\n", raw_auth()));
    want(100);
    raw_call(c, "{\"data\":{\"n\":1}}");
    want(201);
    http_close(c);
}
END_TEST

START_TEST(expect_something_else)
{
    struct http_conn *c = raw_open();
    raw_call(c, "GET /v1/ HTTP/1.1\r\n" HOST "Expect: a-miracle\r\n\r\n");
    want(417);
    http_close(c);
}
END_TEST

START_TEST(body_on_get_is_read_over)
{
    struct http_conn *c = raw_open();
    raw_call(c, "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    want(200);
    raw_call(c, "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n");
    want(200);
    http_close(c);
}
END_TEST

/* ---- malformed ------------------------------------------------------------------------------- */

static const struct {
    const char *request;
    int status; /* 0: 400 or 501 */
} MALFORMED[] = {
    {"GET /v1/\r\n\r\n", 400},
    {"GET  /v1/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /v1/ HTTP/1.1 \r\n" HOST "\r\n", 400},
    {"GET /v1/ x HTTP/1.1\r\n" HOST "\r\n", 400},
    {" GET /v1/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET v1/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /v1/ HTTP/9.9\r\n" HOST "\r\n", 505},
    {"GET /v1/ HTTP/2.0\r\n" HOST "\r\n", 505},
    {"GET /v1/ HTTP/1\r\n" HOST "\r\n", 400},
    {"GET /v1/ HTTX/1.1\r\n" HOST "\r\n", 400},
    {"GET /v1/\x01 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"G(T /v1/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n" HOST "Host: i\r\n\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n" HOST "X-A: 1\r\n 2\r\n\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n" HOST "X A: 1\r\n\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n" HOST "X-A : 1\r\n\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n" HOST ": 1\r\n\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n" HOST "X-A\r\n\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n" HOST "X-A: a\x01z\r\n\r\n", 400},
    {"GET /v1/ HTTP/1.1\r\n" HOST "X-A: a\rb\r\n\r\n", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Content-Length: 5, 6\r\n\r\nhello", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nhello", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\nhello", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\nhello", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Content-Length: 5x\r\n\r\nhello", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Content-Length: \r\n\r\nhello", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", -1},
    {"POST /v1/ HTTP/1.1\r\n" HOST
     "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 0},
    {"POST /v1/ HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     0},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 0},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding:\x0b"
     "chunked\r\n\r\n0\r\n\r\n",
     0},
    {"POST /v1/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n\r\n", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n", 400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", -1},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n: nameless\r\n\r\n",
     400},
    {"POST /v1/ HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\x01\r\n\r\n", 400},
};

/* Refused, the connection closed, and what follows is not taken for a request. */
START_TEST(malformed)
{
    struct http_conn *c = raw_open();
    const char *smuggled = "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n";
    raw_call(c, f("%s%s", MALFORMED[_i].request, smuggled));
    if (MALFORMED[_i].status > 0)
        want(MALFORMED[_i].status);
    else if (MALFORMED[_i].status == 0)
        ck_assert_msg(re.status == 400 || re.status == 501, "status %d", re.status);
    else
        ck_assert_msg(re.status == 400 || re.status == 413, "status %d", re.status);
    want_at("/code", f("%d", re.status));
    ck_assert(has("/errno") && has("/error"));
    raw_want_closed(c);
    http_close(c);
    call("GET", "/__lbheartbeat__", NULL);
    want(200);
}
END_TEST

START_TEST(nul_in_the_head)
{
    struct http_conn *c = raw_open();
    static const char request[] = "GET /v1/ HTTP/1.1\r\n" HOST "X-A: a\0b\r\n\r\n";
    ck_assert(http_send(c, request, sizeof request - 1));
    ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
    want(400);
    raw_want_closed(c);
    http_close(c);
}
END_TEST

START_TEST(noise)
{
    unsigned seed = 12345;
    for (int i = 0; i < 50; i++) {
        char bytes[512];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (char)rand_r(&seed);
        struct http_conn *c = raw_open();
        (void)http_send(c, bytes, sizeof bytes); /* the server may close before the end */
        http_close(c);
    }
    call("GET", "/__lbheartbeat__", NULL);
    want(200);
}
END_TEST

/* ---- limits ---------------------------------------------------------------------------------- */

START_TEST(limits_of_the_head)
{
    struct http_conn *c = raw_open();
    raw_call(c, f("GET /v1/%s HTTP/1.1\r\n" HOST "\r\n", repeat('a', 9000)));
    want(414);
    raw_want_closed(c);
    http_close(c);
    c = raw_open();
    raw_call(c, f("GET /v1/ HTTP/1.1\r\n" HOST "X-A: %s\r\n\r\n", repeat('a', 20000)));
    want(431);
    http_close(c);
    c = raw_open();
    const char *many = "";
    for (int i = 0; i < 120; i++)
        many = f("%sX-%d: 1\r\n", many, i);
    raw_call(c, f("GET /v1/ HTTP/1.1\r\n" HOST "%s\r\n", many));
    want(431);
    http_close(c);
    c = raw_open();
    raw_call(c, f("GET /v1/nope%s HTTP/1.1\r\n" HOST "X-A: %s\r\n\r\n", repeat('a', 7000),
                  repeat('a', 7000)));
    want(404);
    http_close(c);
}
END_TEST

START_TEST(limits_of_the_body)
{
    struct server s;
    server_start(
        &s, &(struct server_options){.sections = "[server:main]\nmax_request_body_size = 4096\n"});
    api_use(s.url);
    make_collection();
    call("PUT", R "/a", f("{'data':{'t':'%s'}}", repeat('x', 4000)));
    want(201);
    call("PUT", R "/b", f("{'data':{'t':'%s'}}", repeat('x', 5000)));
    want_error(413, 113, NULL);
    struct http_conn *c = raw_open();
    raw_call(c, f(PUT_HEAD(R "/c") "%sContent-Length: 4097\r\n\r\n", raw_auth()));
    want_error(413, 113, NULL);
    raw_want_closed(c);
    http_close(c);
    c = raw_open();
    raw_call(c, f(PUT_HEAD(R "/c") "%sTransfer-Encoding: chunked\r\n\r\n800\r\n%s\r\n900\r\n%s",
                  raw_auth(), repeat('x', 0x800), repeat('x', 0x900)));
    want_error(413, 113, NULL);
    http_close(c);
    c = raw_open();
    raw_call(c, f(PUT_HEAD(R "/c") "%sExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n",
                  raw_auth()));
    want_error(413, 113, NULL);
    http_close(c);
    call("GET", R, NULL);
    want_ids("a");
    server_stop(&s);
}
END_TEST

/* Who comes when there are enough takes the place of the one that has been idle longest. */
START_TEST(limit_of_connections)
{
    struct server s;
    server_start(&s, &(struct server_options){
                         .sections = "[server:main]\nconnection_limit = 4\nloops = 1\n"});
    api_use(s.url);
    struct http_conn *c[5];
    for (int i = 0; i < 5; i++) {
        c[i] = raw_open();
        raw_call(c[i], "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n");
        want(200);
    }
    ck_assert_int_eq(http_wait_close(c[0]), HTTP_CLOSED);
    for (int i = 1; i < 5; i++) {
        raw_call(c[i], "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n");
        want(200);
    }
    for (int i = 0; i < 5; i++)
        http_close(c[i]);
    server_stop(&s);
}
END_TEST

/* Slow heads, slow bodies, and idleness end; other clients are served meanwhile. */
START_TEST(time_outs)
{
    struct server s;
    server_start(&s, &(struct server_options){.sections = "[server:main]\n"
                                                          "head_timeout_seconds = 1\n"
                                                          "body_timeout_seconds = 1\n"
                                                          "channel_timeout = 1\n"});
    api_use(s.url);
    int64_t start = now_ms();
    struct http_conn *head = raw_open(), *body = raw_open(), *idle = raw_open(),
                     *never = raw_open();
    const char *part = "GET /v1/ HTTP/1.1\r\nHo";
    ck_assert(http_send(head, part, strlen(part)));
    part = f(PUT_HEAD("/buckets/b") "%sContent-Length: 10\r\n\r\n{", raw_auth());
    ck_assert(http_send(body, part, strlen(part)));
    raw_call(idle, "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n");
    want(200);
    ck_assert_int_eq(http_read(head, false, &re), HTTP_GOT);
    want(408);
    raw_want_closed(head);
    ck_assert_int_eq(http_read(body, false, &re), HTTP_GOT);
    want(408);
    raw_want_closed(body);
    raw_want_closed(idle);
    raw_want_closed(never);
    ck_assert_int_ge(now_ms() - start, 900);
    ck_assert_int_lt(now_ms() - start, 5000);
    http_close(head);
    http_close(body);
    http_close(idle);
    http_close(never);
    call("GET", "/buckets/b", NULL);
    want(403);
    server_stop(&s);
}
END_TEST

/* One that does not read its answers does not stop the others. */
START_TEST(slow_reader)
{
    make_collection();
    for (int i = 0; i < 20; i++)
        put(f(R "/r%d", i), f("{'t':'%s'}", repeat('x', 100000)));
    struct http_conn *slow = raw_open();
    const char *get = f("GET /v1" R " HTTP/1.1\r\n" HOST "%s\r\n", raw_auth());
    for (int i = 0; i < 5; i++)
        ck_assert(http_send(slow, get, strlen(get)));
    for (int i = 0; i < 20; i++) {
        call("GET", f(R "/r%d", i), NULL);
        want(200);
    }
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(http_read(slow, false, &re), HTTP_GOT);
        want(200);
        ck_assert_uint_gt(re.body_n, 2000000);
    }
    http_close(slow);
}
END_TEST

/* ---- stop ------------------------------------------------------------------------------------ */

START_TEST(stop_frees_the_port_at_once)
{
    struct server s, again;
    server_start(&s, &(struct server_options){.settings = ""});
    api_use(s.url);
    struct http_conn *idle = raw_open();
    raw_call(idle, "GET /v1/__lbheartbeat__ HTTP/1.1\r\n" HOST "\r\n");
    const char *port = strrchr(s.url, ':') + 1;
    const char *args[] = {"--port", port, NULL};
    int64_t start = now_ms();
    server_stop(&s);
    ck_assert_int_lt(now_ms() - start, 500);
    raw_want_closed(idle);
    server_start(&again, &(struct server_options){.args = args, .no_port = true});
    ck_assert_str_eq(strrchr(again.url, ':') + 1, port);
    api_use(again.url);
    call("GET", "/__lbheartbeat__", NULL);
    want(200);
    server_stop(&again);
    http_close(idle);
}
END_TEST

/* A request whose head is there when SIGTERM comes is answered. */
START_TEST(stop_finishes_what_is_in_flight)
{
    struct server s;
    server_start(&s, &(struct server_options){.sections = "[server:main]\n"
                                                          "stop_timeout_milliseconds = 5000\n"});
    api_use(s.url);
    make_collection();
    struct http_conn *c = raw_open();
    const char *head =
        f(PUT_HEAD(R "/r") "%sExpect: 100-continue\r\nContent-Length: 16\r\n\r\n", raw_auth());
    raw_call(c, head);
    want(100);
    kill(s.pid, SIGTERM);
    struct http_conn *probe;
    int64_t deadline = now_ms() + 5000;
    while ((probe = http_open(s.url, NULL, 1000)) && now_ms() < deadline)
        http_close(probe); /* until it listens no more */
    ck_assert_ptr_null(probe);
    raw_call(c, "{\"data\":{\"n\":1}}");
    want(201);
    raw_want_closed(c);
    http_close(c);
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/http");
    TCase *t = api_case(s, "connections", "ours");
    tcase_add_test(t, connection_is_kept);
    tcase_add_test(t, connection_is_closed_when_asked);
    tcase_add_test(t, http_1_0_closes);
    tcase_add_test(t, pipelined);
    tcase_add_test(t, half_closed);
    tcase_add_test(t, many_connections);
    tcase_add_test(t, slow_reader);
    t = api_case(s, "requests", "ours");
    tcase_add_test(t, targets);
    tcase_add_test(t, leading_empty_lines);
    tcase_add_test(t, header_values_are_trimmed);
    tcase_add_test(t, chunked_body);
    tcase_add_test(t, split_at_every_byte);
    tcase_add_test(t, cut_off_at_every_byte);
    tcase_add_test(t, expect_continue);
    tcase_add_test(t, expect_something_else);
    tcase_add_test(t, body_on_get_is_read_over);
    t = api_case(s, "malformed", "ours");
    tcase_add_loop_test(t, malformed, 0, ARRAY_LEN(MALFORMED));
    tcase_add_test(t, nul_in_the_head);
    tcase_add_test(t, noise);
    tcase_add_test(t, limits_of_the_head);
    t = api_case_own(s, "limits");
    tcase_add_test(t, limits_of_the_body);
    tcase_add_test(t, limit_of_connections);
    tcase_add_test(t, time_outs);
    tcase_add_test(t, stop_frees_the_port_at_once);
    tcase_add_test(t, stop_finishes_what_is_in_flight);
    return s;
}

API_MAIN(suite, NULL)
