/*
 * Requests that two servers in a row might read in two ways, and what else is sent to a port (RFC 9112, and
 * RFC 9110 where it says so). Behind each of them goes a good request for /smuggled: where the first one is
 * refused, it must never be served, and the connection must end. What is unusual but legal is served, and
 * the request behind it, too: it is where the first one ends.
 *
 * Each is sent in one piece, byte by byte, and cut at each byte in both ways that a connection can end.
 */
#include "test/support/wait.h"
#include "test/unit/http/server_test.h"

#include <dirent.h>

#define H        "Host: h\r\n"
#define GET      "GET / HTTP/1.1\r\n"
#define POST     "POST /p HTTP/1.1\r\n" H
#define CHUNKED  POST "Transfer-Encoding: chunked\r\n\r\n"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\n" H "\r\n"

/* ---- what is refused ------------------------------------------------------------------------- */

struct refused {
    int status;
    str in;
};
#define R(status, text)                                                                            \
    {                                                                                              \
        status, STR_INIT(text)                                                                     \
    }

static const struct refused refused[] = {
    /* two lengths (6.1, 6.3) */
    R(400, POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    R(400, POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
    R(400, POST "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    R(400, POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    R(400, POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    R(400, POST "Content-Length: 5\r\ncontent-length: 0\r\n\r\nhello"),
    R(400, POST "Content-Length: 5, 5\r\n\r\nhello"),
    R(400, POST "Content-Length: 5,\r\n\r\nhello"), R(400, POST "Content-Length: 5;x\r\n\r\nhello"),
    /* lengths that are no numbers (6.2; RFC 9110, 8.6: only digits) */
    R(400, POST "Content-Length: +5\r\n\r\nhello"), R(400, POST "Content-Length: -5\r\n\r\nhello"),
    R(400, POST "Content-Length: 0x5\r\n\r\nhello"),
    R(400, POST "Content-Length: 5.0\r\n\r\nhello"),
    R(400, POST "Content-Length: 5e0\r\n\r\nhello"),
    R(400, POST "Content-Length: 1_0\r\n\r\nhello"),
    R(400, POST "Content-Length: 1 0\r\n\r\nhello"),
    R(400, POST "Content-Length: \"5\"\r\n\r\nhello"),
    R(400, POST "Content-Length: \xd9\xa5\r\n\r\nhello"), /* ARABIC-INDIC DIGIT FIVE */
    R(400, POST "Content-Length:\r\n\r\n"),
    R(400, POST "Content-Length: 9223372036854775808\r\n\r\n"),
    R(400, POST "Content-Length: 18446744073709551616\r\n\r\n"), /* 2^64: 0 to whoever wraps */
    R(400, POST "Content-Length: 18446744073709551621\r\n\r\nhello"),
    R(413, POST "Content-Length: 9223372036854775807\r\n\r\n"),
    R(413, POST "Content-Length: 300001\r\n\r\n"),
    /* transfer codings (6.1, 7) */
    R(501, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    R(501, POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"),
    R(501, POST "Transfer-Encoding: identity\r\n\r\n"),
    R(501, POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    R(501, POST "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    R(501, POST "Transfer-Encoding: gzip\r\n\r\n"),
    R(501, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    R(501, POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    R(501, POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    R(501, POST "Transfer-Encoding: chun ked\r\n\r\n0\r\n\r\n"),
    R(501, POST "Transfer-Encoding: chunke\xc4\xb1"
                "d\r\n\r\n0\r\n\r\n"),
    R(400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    R(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    R(400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    R(400, POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"),
    R(400, POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    R(400, POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
    R(400, POST "Transfer-Encoding: chunked\v\r\n\r\n0\r\n\r\n"),
    R(400, "POST /p HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    /* where a header ends, and its name (5.1, 5.2) */
    R(400, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    R(400, POST "Content-Length : 5\r\n\r\nhello"), R(400, POST "Content-Length\t: 5\r\n\r\nhello"),
    R(400, POST " Content-Length: 5\r\n\r\nhello"),
    R(400, POST "X: y\r\n Content-Length: 5\r\n\r\nhello"), /* obs-fold */
    R(400, POST "X: y\r\n\tz\r\n\r\n"),
    R(400, GET " " H "\r\n"), /* white space behind the request line (2.2) */
    R(400, POST "Content-Length\x00: 5\r\n\r\nhello"),
    R(400, POST "Content\xc2\xadLength: 5\r\n\r\nhello"),
    R(400, POST "\xef\xbb\xbf"
                "Content-Length: 5\r\n\r\nhello"),
    R(400, POST "Content(Length: 5\r\n\r\nhello"), R(400, POST ": 5\r\n\r\n"),
    R(400, POST "Content-Length 5\r\n\r\n"), R(400, POST "X\r\n\r\n"),
    /* line ends and control characters (2.2; RFC 9110, 5.5) */
    R(400, "GET / HTTP/1.1\n" H "\r\n"), R(400, GET "Host: h\n\r\n"), R(400, GET H "\n"),
    R(400, GET H "X: y\rZ: z\r\n\r\n"), R(400, GET H "X: y\r\r\n\r\n"),
    R(400, GET H "X: y\nContent-Length: 5\r\n\r\nhello"), R(400, GET H "\r\r\n"),
    R(400, GET H "X: a\x00"
                 "b\r\n\r\n"),
    R(400, GET H "X: a\x01"
                 "b\r\n\r\n"),
    R(400, GET H "X: a\x7f\r\n\r\n"), R(400, GET H "X: \x1b[2J\r\n\r\n"),
    R(400, GET H "X: \x0b\x0c\r\n\r\n"),
    /* the request line (3) */
    R(400, "GET /\r\n" H "\r\n"), /* HTTP/0.9 */
    R(400, "GET /\r\n"), R(400, "GET  / HTTP/1.1\r\n" H "\r\n"),
    R(400, "GET /  HTTP/1.1\r\n" H "\r\n"), R(400, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
    R(400, "GET /\tHTTP/1.1\r\n" H "\r\n"), R(400, " GET / HTTP/1.1\r\n" H "\r\n"),
    R(400, "GET / HTTP/1.1 \r\n" H "\r\n"), R(400, "GET / HTTP/1.1 HTTP/1.1\r\n" H "\r\n"),
    R(400, "GET /a b HTTP/1.1\r\n" H "\r\n"), R(400, "GET / http/1.1\r\n" H "\r\n"),
    R(400, "GET / HTTP/1\r\n" H "\r\n"), R(400, "GET / HTTP/1.10\r\n" H "\r\n"),
    R(400, "GET / HTTP/01.1\r\n" H "\r\n"), R(400, "GET / HTTP /1.1\r\n" H "\r\n"),
    R(400, "GET / HTTPS/1.1\r\n" H "\r\n"), R(400, "GET / HTTP/1,1\r\n" H "\r\n"),
    R(505, "GET / HTTP/1.2\r\n" H "\r\n"), R(505, "GET / HTTP/0.9\r\n" H "\r\n"),
    R(505, "GET / HTTP/2.0\r\n" H "\r\n"), R(505, "GET / HTTP/9.9\r\n" H "\r\n"),
    R(400, "G{}T / HTTP/1.1\r\n" H "\r\n"), R(400, "G\x00T / HTTP/1.1\r\n" H "\r\n"),
    R(400, "GET /\x00 HTTP/1.1\r\n" H "\r\n"), R(400, "GET /\x7f HTTP/1.1\r\n" H "\r\n"),
    R(400, "GET * HTTP/1.1\r\n" H "\r\n"), R(400, "GET p HTTP/1.1\r\n" H "\r\n"),
    R(400, "CONNECT h:80 HTTP/1.1\r\n" H "\r\n"), R(400, "GET ftp://h/ HTTP/1.1\r\n" H "\r\n"),
    R(400, "GET http:///p HTTP/1.1\r\n" H "\r\n"),
    R(400, "GET http://u@h/p HTTP/1.1\r\n" H "\r\n"), /* RFC 9110, 4.2.4 */
    R(400, "\n" GET H "\r\n"), R(400, "\r" GET H "\r\n"),
    /* Host (3.2) */
    R(400, GET "\r\n"), R(400, GET H H "\r\n"), R(400, GET H "host: h\r\n\r\n"),
    R(400, GET "Host: a b\r\n\r\n"), R(400, GET "Host: h/p\r\n\r\n"),
    R(400, GET "Host: u@h\r\n\r\n"),
    R(400, GET "Host: h\xe2\x80\xa4"
               "x\r\n\r\n"),
    R(400, "GET http://other/p HTTP/1.1\r\n\r\n"), /* also with a host in the target */
    /* chunks (7.1) */
    R(400, CHUNKED "5\nhello\r\n0\r\n\r\n"), R(400, CHUNKED "5\r\nhello\n0\r\n\r\n"),
    R(400, CHUNKED "5\r\nhello0\r\n\r\n"), R(400, CHUNKED "5\r\nhello!\r\n0\r\n\r\n"),
    R(400, CHUNKED "4\r\nhello\r\n0\r\n\r\n"), R(400, CHUNKED "0x5\r\nhello\r\n0\r\n\r\n"),
    R(400, CHUNKED "+5\r\nhello\r\n0\r\n\r\n"), R(400, CHUNKED "-5\r\nhello\r\n0\r\n\r\n"),
    R(400, CHUNKED " 5\r\nhello\r\n0\r\n\r\n"), R(400, CHUNKED "5 \r\nhello\r\n0\r\n\r\n"),
    R(400, CHUNKED "5\t\r\nhello\r\n0\r\n\r\n"), R(400, CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n"),
    R(400, CHUNKED "g\r\n"), R(400, CHUNKED ";x\r\n"), R(400, CHUNKED "5;x\nhello\r\n0\r\n\r\n"),
    R(400, CHUNKED "5;x\x00\r\nhello\r\n0\r\n\r\n"), R(400, CHUNKED "5;\r\r\nhello\r\n0\r\n\r\n"),
    R(400, CHUNKED "8000000000000000\r\n"),
    R(400, CHUNKED "10000000000000005\r\nhello\r\n0\r\n\r\n"), /* 2^64 + 5 */
    R(400, CHUNKED "fffffffffffffffff\r\n"),
    R(400, CHUNKED "000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n"),
    R(400, CHUNKED "5\r\nhello\r\n0\r\n\n"), R(400, CHUNKED "5\r\nhello\r\n0\r\nX: y\n\r\n"),
    R(400, CHUNKED "5\r\nhello\r\n0\r\n X: y\r\n\r\n"), /* a folded trailer */
    R(400, CHUNKED "5\r\nhello\r\n0\r\nX: \x00\r\n\r\n"), R(400, CHUNKED "5\r\nhello\r\n0\r\n\rx"),
    R(400, CHUNKED "5\r\nhello\r\n0\r\nX\r\n\r\n"), R(400, CHUNKED "0\r\nX : y\r\n\r\n"),
    R(400, CHUNKED "5\xc2\xa0\r\nhello\r\n0\r\n\r\n"),
    /* a chunk that is too large is refused before it comes */
    R(413, CHUNKED "493e1\r\n"), R(413, CHUNKED "5\r\nhello\r\n493dc\r\n"),
    R(413, CHUNKED "7fffffffffffffff\r\n"),
    /* expectations (RFC 9110, 10.1.1) */
    R(417, POST "Expect: 200-maybe\r\nContent-Length: 5\r\n\r\nhello"),
    /* what is no HTTP/1 */
    R(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),             /* RFC 9113, 3.4 */
    R(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), /* a TLS ClientHello */
    R(400, "\x80\x2e\x01\x00\x02"),                         /* and one of SSL 2 */
    R(400, "SSH-2.0-OpenSSH_9.2p1\r\n"), R(400, "EHLO example.com\r\n"),
    R(400, "*1\r\n$4\r\nPING\r\n"),             /* Redis */
    R(400, "\x03\x00\x00\x13\x0e\xe0\x00\x00"), /* RDP */
    R(400, "\x00\x00\x00\x85\xffSMBr"),         /* SMB */
    R(400, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" GET H "\r\n"),
    R(400, "\r\n\r\n\x00\x0d\x0a\x51\x55\x49\x54\x0a"), /* PROXY, version 2 */
};

/* ---- what is served -------------------------------------------------------------------------- */

static const struct {
    str in;
    const char *answer;
} served[] = {
    {STR_INIT("\r\n\r\n" GET H "\r\n"), "GET /|"}, /* 2.2: empty lines before */
    {STR_INIT("GET / HTTP/1.1\r\nhOsT:h\r\n\r\n"), "GET /|"},
    {STR_INIT("GET / HTTP/1.1\r\nHost: \t h \t\r\n\r\n"), "GET /|"},
    {STR_INIT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "GET /|"}, /* 3.2: empty, but there */
    {STR_INIT("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), "GET /|"},
    {STR_INIT("GET http://other/p?q HTTP/1.1\r\n" H "\r\n"), "GET /p?q|"}, /* 3.2.2 */
    {STR_INIT("GET HTTP://OTHER HTTP/1.1\r\n" H "\r\n"), "GET /|"},
    {STR_INIT("OPTIONS * HTTP/1.1\r\n" H "\r\n"), "OPTIONS *|"},
    {STR_INIT("GET //p HTTP/1.1\r\n" H "\r\n"), "GET //p|"},
    {STR_INIT("GET /%00%0d%0a HTTP/1.1\r\n" H "\r\n"), "GET /%00%0d%0a|"}, /* the application's */
    {STR_INIT("M-SEARCH!# / HTTP/1.1\r\n" H "\r\n"), "M-SEARCH!# /|"},
    {STR_INIT(GET H "X: \xe2\x82\xac\r\nY:\r\n\r\n"), "GET /|"},
    {STR_INIT(GET H "Content-Length: 5\r\n\r\nhello"), "GET /|hello"}, /* a body is legal */
    {STR_INIT(POST "Content-Length: 0005\r\n\r\nhello"), "POST /p|hello"},
    {STR_INIT(POST "Content-Length:\t 5\t\r\n\r\nhello"), "POST /p|hello"},
    {STR_INIT(POST "Content-Length: 0\r\n\r\n"), "POST /p|"},
    {STR_INIT(POST "\r\n"), "POST /p|"},
    {STR_INIT(POST "TRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "POST /p|hello"},
    {STR_INIT(CHUNKED "0\r\n\r\n"), "POST /p|"},
    {STR_INIT(CHUNKED "00005\r\nhello\r\n00\r\n\r\n"), "POST /p|hello"},
    {STR_INIT(CHUNKED "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
     "POST /p|01234567890123456789"},
    {STR_INIT(CHUNKED "5;name=\"v\"; x\r\nhello\r\n0;last\r\n\r\n"), "POST /p|hello"},
    {STR_INIT(CHUNKED "5 ;x\r\nhello\r\n0\r\n\r\n"), "POST /p|hello"}, /* 7.1.1: BWS */
    /* Trailers mean nothing, whatever they say (7.1.2). */
    {STR_INIT(CHUNKED "5\r\nhello\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\n"
                      "Host: other\r\n\r\n"),
     "POST /p|hello"},
    {STR_INIT(CHUNKED "f\r\nGET /smuggled H\r\n0\r\n\r\n"), "POST /p|GET /smuggled H"},
    {STR_INIT("POST /p HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"),
     "POST /p|hello"},
    {STR_INIT(GET H "Connection: Transfer-Encoding, keep-alive\r\n\r\n"), "GET /|"},
    {STR_INIT(GET H "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n"), "GET /|"}, /* not taken up */
    {STR_INIT(GET H "X-Content-Length: 50\r\nTransfer_Encoding: chunked\r\n\r\n"), "GET /|"},
};

/* ---- the cases ------------------------------------------------------------------------------- */

static struct fixture f;
static struct client c;
static struct reply got;

static void setup(void)
{
    test_prepare(&f);
    f.o.max_body_bytes = 300000;
    test_begin(&f, &c);
}

static void teardown(void)
{
    test_end(&f, &c, &got);
}

static str with_smuggled(str in, char space[4096])
{
    size_t n = sizeof SMUGGLED - 1;

    ck_assert_uint_le(in.n + n, 4096);
    memcpy(space, in.p, in.n);
    memcpy(space + in.n, SMUGGLED, n);
    return (str){space, in.n + n};
}

/* One answer with the status, and nothing behind it. */
static void expect_refused(int status)
{
    reply_read(&c, &got, true);
    ck_assert_msg(got.status == status, "%d", got.status);
    ck_assert(reply_has(&got, "Connection: close\r\n"));
    expect_end(&c, true);
    pthread_mutex_lock(&f.app.lock);
    ck_assert_uint_eq(f.app.nhandled, 0);
    ck_assert_uint_eq(f.app.nrefused, 1);
    pthread_mutex_unlock(&f.app.lock);
}

START_TEST(refuses)
{
    char space[4096];

    client_send(&c, with_smuggled(refused[_i].in, space));
    expect_refused(refused[_i].status);
}
END_TEST

START_TEST(refuses_bytewise)
{
    char space[4096];
    str all = with_smuggled(refused[_i].in, space);

    for (size_t i = 0; i < all.n; i++)
        if (!client_try_send(&c, str_sub(all, i, 1)))
            break; /* refused before its end */
    expect_refused(refused[_i].status);
}
END_TEST

/* Behind a good one the bad one is refused as well, and in its turn. */
START_TEST(refuses_behind_another)
{
    char space[4096];

    client_say(&c, "POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok");
    client_send(&c, with_smuggled(refused[_i].in, space));
    expect_reply(&c, 200, "POST /first|ok");
    reply_read(&c, &got, true);
    ck_assert_int_eq(got.status, refused[_i].status);
    expect_end(&c, true);
    ck_assert_uint_eq(f.app.nsmuggled, 0);
}
END_TEST

START_TEST(serves)
{
    client_send(&c, served[_i].in);
    client_say(&c, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&c, 200, served[_i].answer);
    expect_reply(&c, 200, "GET /next|");
}
END_TEST

START_TEST(serves_bytewise)
{
    client_send_bytewise(&c, served[_i].in);
    expect_reply(&c, 200, served[_i].answer);
    expect_alive(&c);
}
END_TEST

/* The last request is the last one, whatever is sent behind it (9.6). */
START_TEST(nothing_behind_close)
{
    client_say(&c, "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" SMUGGLED);
    expect_reply(&c, 200, "GET /last|");
    expect_end(&c, true);
    ck_assert_uint_eq(f.app.nsmuggled, 0);
}
END_TEST

/* A client that says it has ended is answered what it has asked before. */
START_TEST(half_closed)
{
    client_say(&c, "GET /one HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n"
                   "GET /thr");
    shutdown(c.fd, SHUT_WR);
    expect_reply(&c, 200, "GET /one|");
    expect_reply(&c, 200, "GET /two|");
    expect_end(&c, true);
}
END_TEST

/* ---- floods ---------------------------------------------------------------------------------- */

/* 100,000 requests in one go by somebody who reads nothing: the server stops reading, holds what it may
 * hold, serves others meanwhile, and answers each of them when it is read from. */
START_TEST(pipelined_flood)
{
    static const char one[] = "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n";
    static char many[100 * (sizeof one - 1)];
    size_t sent = 0, answered = 0, all = 1000 * sizeof many;
    struct http_stats s;
    struct client other;

    for (size_t i = 0; i < 100; i++)
        memcpy(many + i * (sizeof one - 1), one, sizeof one - 1);
    ck_assert_int_eq(fcntl(c.fd, F_SETFL, O_NONBLOCK), 0);
    for (unsigned idle = 0; sent < all && idle < 100;) { /* until nothing goes any more */
        size_t at = sent % sizeof many;
        ssize_t r = send(c.fd, many + at, sizeof many - at, MSG_NOSIGNAL);
        struct pollfd p = {c.fd, POLLOUT, 0};
        if (r > 0)
            sent += (size_t)r;
        idle = r > 0 || poll(&p, 1, 10) == 1 ? 0 : idle + 1;
    }
    http_server_stats(f.server, &s);
    ck_assert_uint_lt(s.memory_bytes, 512 * KIB);
    client_open(&other, &f);
    expect_alive(&other);
    client_close(&other);
    while (answered < 100000) {
        struct pollfd p = {c.fd, (short)(POLLIN | (sent < all ? POLLOUT : 0)), 0};
        ck_assert_int_eq(poll(&p, 1, TEST_MS), 1);
        if (p.revents & POLLOUT) {
            size_t at = sent % sizeof many;
            ssize_t r = send(c.fd, many + at, sizeof many - at, MSG_NOSIGNAL);
            sent += r > 0 ? (size_t)r : 0;
        }
        if ((p.revents & POLLIN) == 0)
            continue;
        ck_assert_uint_gt(client_fill(&c), 0);
        for (const char *at; (at = memmem(c.buf + c.at, c.n, "GET /flood|", 11)) != NULL;) {
            client_take(&c, (size_t)(at - c.buf) - c.at + 11);
            answered++;
        }
    }
    ck_assert_uint_eq(sent, all);
    ck_assert_uint_eq(answered, 100000);
}
END_TEST

/* ---- cut ------------------------------------------------------------------------------------- */

static const str whole[] = {
    STR_INIT("GET /x?y HTTP/1.1\r\n" H "Accept: */*\r\n\r\n"),
    STR_INIT("PUT /x HTTP/1.1\r\n" H "Content-Length: 11\r\n\r\nhello world"),
    STR_INIT("PUT /x HTTP/1.1\r\n" H "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
             "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n"),
};

static unsigned count_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

/* Cut at each byte: in good order, by a reset, and half closed. Nothing of it stays, no request is taken
 * for a whole one, and the server has nothing to do afterwards. */
START_TEST(cut_at_each_byte)
{
    str all = whole[_i];
    unsigned before;
    struct http_stats s;

    expect_alive(&c);
    before = count_descriptors();
    for (int how = 0; how < 3; how++) {
        for (size_t n = 0; n < all.n; n++) {
            struct linger now = {1, 0};
            struct client cut;
            client_open(&cut, &f);
            client_send(&cut, str_sub(all, 0, n));
            if (how == 1)
                setsockopt(cut.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            if (how ==
                2) { /* the server has nobody to wait for: it ends it, with an answer or without */
                shutdown(cut.fd, SHUT_WR);
                while (client_fill(&cut) > 0)
                    client_take(&cut, cut.n);
            }
            client_close(&cut);
        }
    }
    test_wait_open(&f, 1);
    ck_assert_uint_eq(count_descriptors(), before);
    http_server_stats(f.server, &s);
    ck_assert_uint_eq(s.memory_bytes, 0);
    pthread_mutex_lock(&f.app.lock);
    ck_assert_uint_eq(f.app.nhandled, 1); /* expect_alive() */
    pthread_mutex_unlock(&f.app.lock);
    uint64_t cpu = test_cpu_ms();
    let_pass(200, "the server must not turn in circles");
    ck_assert_uint_lt(test_cpu_ms() - cpu, 50);
    expect_alive(&c);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/smuggling");
    TCase *t = test_case(s, "requests", setup, teardown, 4);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_LEN(refused));
    tcase_add_loop_test(t, refuses_bytewise, 0, (int)ARRAY_LEN(refused));
    tcase_add_loop_test(t, refuses_behind_another, 0, (int)ARRAY_LEN(refused));
    tcase_add_loop_test(t, serves, 0, (int)ARRAY_LEN(served));
    tcase_add_loop_test(t, serves_bytewise, 0, (int)ARRAY_LEN(served));
    tcase_add_test(t, nothing_behind_close);
    tcase_add_test(t, half_closed);
    t = test_case(s, "floods", setup, teardown, 30);
    tcase_add_test(t, pipelined_flood);
    tcase_add_loop_test(t, cut_at_each_byte, 0, (int)ARRAY_LEN(whole));
    return s;
}

UNIT_MAIN(suite)
