/*
 * Request heads, accepted and refused, each against an unreadable page: whole, in two parts split
 * at every byte, dripping byte by byte, and cut off at every byte.
 */
#include "http/private.h"
#include "test/unit/http/guard.h"

static const struct parse_limits wide = {64 * KIB, 32 * KIB};

struct accepted {
    str in;
    const char *method, *target, *path, *query; /* query NULL: none */
    unsigned minor, nheaders;
    bool close, chunked, expect;
    uint64_t length;
};

#define HOST "Host: h\r\n"
#define END  "\r\n"

static const struct accepted accepted[] = {
    {STR_INIT("GET / HTTP/1.1\r\n" HOST END), "GET", "/", "/", NULL, 1, 1, 0, 0, 0, 0},
    {STR_INIT("GET / HTTP/1.0\r\n" END), "GET", "/", "/", NULL, 0, 0, 1, 0, 0, 0},
    {STR_INIT("GET /a/b?c=d&e HTTP/1.1\r\n" HOST END), "GET", "/a/b?c=d&e", "/a/b", "c=d&e", 1, 1,
     0, 0, 0, 0},
    {STR_INIT("GET /a? HTTP/1.1\r\n" HOST END), "GET", "/a?", "/a", "", 1, 1, 0, 0, 0, 0},
    {STR_INIT("GET /?? HTTP/1.1\r\n" HOST END), "GET", "/??", "/", "?", 1, 1, 0, 0, 0, 0},
    {STR_INIT("GET //x/%7e%zz HTTP/1.1\r\n" HOST END), "GET", "//x/%7e%zz", "//x/%7e%zz", NULL, 1,
     1, 0, 0, 0, 0},
    {STR_INIT("GET /\xc3\xa9\xff HTTP/1.1\r\n" HOST END), "GET", "/\xc3\xa9\xff", "/\xc3\xa9\xff",
     NULL, 1, 1, 0, 0, 0, 0},
    {STR_INIT("GET /\"<>[\\]^`{|}'()*,;:@ HTTP/1.1\r\n" HOST END), "GET", "/\"<>[\\]^`{|}'()*,;:@",
     "/\"<>[\\]^`{|}'()*,;:@", NULL, 1, 1, 0, 0, 0, 0},
    {STR_INIT("OPTIONS * HTTP/1.1\r\n" HOST END), "OPTIONS", "*", "*", NULL, 1, 1, 0, 0, 0, 0},
    {STR_INIT("patch /x HTTP/1.1\r\n" HOST END), "patch", "/x", "/x", NULL, 1, 1, 0, 0, 0, 0},
    {STR_INIT("!#$%&'*+-.^_`|~9 /x HTTP/1.1\r\n" HOST END), "!#$%&'*+-.^_`|~9", "/x", "/x", NULL, 1,
     1, 0, 0, 0, 0},
    /* absolute form */
    {STR_INIT("GET http://e.x:80/p?q HTTP/1.1\r\n" HOST END), "GET", "/p?q", "/p", "q", 1, 1, 0, 0,
     0, 0},
    {STR_INIT("GET HTTPS://[::1] HTTP/1.1\r\n" HOST END), "GET", "/", "/", NULL, 1, 1, 0, 0, 0, 0},
    {STR_INIT("GET http://e?q HTTP/1.1\r\n" HOST END), "GET", "?q", "/", "q", 1, 1, 0, 0, 0, 0},
    /* empty lines before */
    {STR_INIT("\r\nGET / HTTP/1.1\r\n" HOST END), "GET", "/", "/", NULL, 1, 1, 0, 0, 0, 0},
    {STR_INIT("\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST END), "GET", "/", "/", NULL, 1, 1, 0, 0, 0, 0},
    /* Host */
    {STR_INIT("GET / HTTP/1.1\r\nHost:\r\n" END), "GET", "/", "/", NULL, 1, 1, 0, 0, 0, 0},
    {STR_INIT("GET / HTTP/1.1\r\nhOST: \t[::1]:8888 \t\r\n" END), "GET", "/", "/", NULL, 1, 1, 0, 0,
     0, 0},
    /* header lines */
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "A:\r\nB: \r\nC:x y\t\r\nd: \xff\x80\r\n" END), "GET", "/",
     "/", NULL, 1, 5, 0, 0, 0, 0},
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "Tabs: a\tb\tc\td\te\tf\r\n" END), "GET", "/", "/", NULL, 1,
     2, 0, 0, 0, 0},
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "!#$%&'*+-.^_`|~: x\r\n" END), "GET", "/", "/", NULL, 1, 2,
     0, 0, 0, 0},
    /* Connection */
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n" END), "GET", "/", "/", NULL, 1, 2,
     1, 0, 0, 0},
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "Connection: x, CLOSE ,y\r\n" END), "GET", "/", "/", NULL,
     1, 2, 1, 0, 0, 0},
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n" END), "GET", "/", "/", NULL, 1, 2,
     0, 0, 0, 0},
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nConnection: close\r\n" END), "GET",
     "/", "/", NULL, 1, 3, 1, 0, 0, 0},
    {STR_INIT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n" END), "GET", "/", "/", NULL, 0, 1, 0,
     0, 0, 0},
    {STR_INIT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n" END), "GET", "/", "/", NULL, 0,
     1, 1, 0, 0, 0},
    /* bodies */
    {STR_INIT("PUT / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END), "PUT", "/", "/", NULL, 1, 2,
     0, 0, 0, 0},
    {STR_INIT("PUT / HTTP/1.1\r\n" HOST "Content-Length: 00012\r\n" END), "PUT", "/", "/", NULL, 1,
     2, 0, 0, 0, 12},
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "content-length:9223372036854775807\r\n" END), "GET", "/",
     "/", NULL, 1, 2, 0, 0, 0, INT64_MAX},
    {STR_INIT("PUT / HTTP/1.0\r\nContent-Length: 5\r\n" END), "PUT", "/", "/", NULL, 0, 1, 1, 0, 0,
     5},
    {STR_INIT("PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END), "PUT", "/", "/",
     NULL, 1, 2, 0, 1, 0, 0},
    {STR_INIT("PUT / HTTP/1.1\r\n" HOST "transfer-encoding:\t Chunked \r\n" END), "PUT", "/", "/",
     NULL, 1, 2, 0, 1, 0, 0},
    {STR_INIT("PUT / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 3\r\n" END), "PUT",
     "/", "/", NULL, 1, 3, 0, 0, 1, 3},
    {STR_INIT("PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" END), "PUT", "/",
     "/", NULL, 0, 2, 1, 0, 0, 3},
    /* what only resembles the headers that matter */
    {STR_INIT("GET / HTTP/1.1\r\n" HOST "Content-Lengthx: a\r\nXontent-Length: b\r\n"
              "Xransfer-Encoding: c\r\nXost: d e\r\nExpecx: f\r\nXonnection: close\r\n" END),
     "GET", "/", "/", NULL, 1, 7, 0, 0, 0, 0},
};

struct refused {
    str in;
    int status;
};

#define R(text, status)                                                                            \
    {                                                                                              \
        STR_INIT(text), status                                                                     \
    }
#define LINE "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST

static const struct refused refused[] = {
    /* request line */
    R(" GET / HTTP/1.1\r\n" HOST END, 400),
    R("\tGET / HTTP/1.1\r\n" HOST END, 400),
    R("GET\t/ HTTP/1.1\r\n" HOST END, 400),
    R("GET  / HTTP/1.1\r\n" HOST END, 400),
    R("GET /  HTTP/1.1\r\n" HOST END, 400),
    R("GET / HTTP/1.1 \r\n" HOST END, 400),
    R("GET /a b HTTP/1.1\r\n" HOST END, 400),
    R("GET /\tHTTP/1.1\r\n" HOST END, 400),
    R("G(T / HTTP/1.1\r\n" HOST END, 400),
    R("GET\r\n" HOST END, 400),
    R("GET /\r\n" HOST END, 400),
    R("GET /\r\n", 400),
    R("GET /a#b HTTP/1.1\r\n" HOST END, 400),
    R("GET /a\x01 HTTP/1.1\r\n" HOST END, 400),
    R("GET /a\x7f HTTP/1.1\r\n" HOST END, 400),
    R("GET /a\0b HTTP/1.1\r\n" HOST END, 400),
    R("GET a HTTP/1.1\r\n" HOST END, 400),
    R("GET ?a HTTP/1.1\r\n" HOST END, 400),
    R("GET * HTTP/1.1\r\n" HOST END, 400),
    R("CONNECT h:443 HTTP/1.1\r\n" HOST END, 400),
    R("GET ftp://h/ HTTP/1.1\r\n" HOST END, 400),
    R("GET http:/h/ HTTP/1.1\r\n" HOST END, 400),
    R("GET http:///x HTTP/1.1\r\n" HOST END, 400),
    R("GET http://u@h/x HTTP/1.1\r\n" HOST END, 400),
    R("GET http:// HTTP/1.1\r\n" HOST END, 400),
    R("GET / http/1.1\r\n" HOST END, 400),
    R("GET / HTTP/1.\r\n" HOST END, 400),
    R("GET / HTTP/1\r\n" HOST END, 400),
    R("GET / HTTP/1.10\r\n" HOST END, 400),
    R("GET / HTTP/01.1\r\n" HOST END, 400),
    R("GET / HTTP/+1.1\r\n" HOST END, 400),
    R("GET / HTTP 1.1\r\n" HOST END, 400),
    R("GET / HTTPS/1.1\r\n" HOST END, 400),
    R("GET / HTTP/1.2\r\n" HOST END, 505),
    R("GET / HTTP/1.9\r\n" HOST END, 505),
    R("GET / HTTP/0.9\r\n" HOST END, 505),
    R("GET / HTTP/2.0\r\n" HOST END, 505),
    R("GET / HTTP/9.9\r\n" HOST END, 505),
    R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    R("\x16\x03\x01\x02", 400), /* a TLS client */
    R("\0", 400),
    R("\n", 400),
    R("\nGET / HTTP/1.1\r\n" HOST END, 400),
    R("\rGET / HTTP/1.1\r\n" HOST END, 400),
    /* line ends */
    R("GET / HTTP/1.1\n" HOST END, 400),
    R("GET / HTTP/1.1\nHost: h\n\n", 400),
    R("GET / HTTP/1.1\r" HOST END, 400),
    R(LINE "Host: h\n" END, 400),
    R(LINE "Host: h\r\n\n", 400),
    R(LINE "Host: h\r\r\n" END, 400),
    R(LINE "Host: h\rX: y\r\n" END, 400),
    R(LINE HOST "\rX: y\r\n" END, 400),
    R(LINE "Host: h\r\nX: a\nContent-Length: 5\r\n" END, 400),
    /* header lines */
    R(LINE " Host: h\r\n" END, 400),
    R(LINE HOST "X : y\r\n" END, 400),
    R(LINE HOST "X\t: y\r\n" END, 400),
    R(LINE HOST ": y\r\n" END, 400),
    R(LINE HOST "X\r\n" END, 400),
    R(LINE HOST "X y: z\r\n" END, 400),
    R(LINE HOST "X(: z\r\n" END, 400),
    R(LINE HOST "X\xc3\xa9: z\r\n" END, 400),
    R(LINE HOST "X\0: z\r\n" END, 400),
    R(LINE HOST "X: y\r\n folded\r\n" END, 400),
    R(LINE HOST "X: y\r\n\tfolded\r\n" END, 400),
    R(LINE HOST "X: a\0b\r\n" END, 400),
    R(LINE HOST "X: a\x01\r\n" END, 400),
    R(LINE HOST "X: a\x7f\r\n" END, 400),
    R(LINE HOST "X: 0123456789\x1f"
                "0123456789\r\n" END,
      400),
    R(LINE HOST "X: 01234567\x7f"
                "01234567\r\n" END,
      400),
    R(LINE HOST "X: a\vb\r\n" END, 400),
    /* Host */
    R(LINE END, 400),
    R(LINE "X: y\r\n" END, 400),
    R(LINE HOST HOST END, 400),
    R(LINE HOST "HOST: other\r\n" END, 400),
    R("GET / HTTP/1.0\r\n" HOST HOST END, 400),
    R(LINE "Host: a b\r\n" END, 400),
    R(LINE "Host: u@h\r\n" END, 400),
    R(LINE "Host: h:1:2\r\n" END, 400),
    R(LINE "Host: h:x\r\n" END, 400),
    R(LINE "Host: h:123456\r\n" END, 400),
    R(LINE "Host: h:65536\r\n" END, 400),
    R(LINE "Host: [::1\r\n" END, 400),
    R(LINE "Host: [::1]1\r\n" END, 400),
    R(LINE "Host: h]:1\r\n" END, 400),
    R(LINE "Host: h/x\r\n" END, 400),
    R(LINE "Host: h\"\r\n" END, 400),
    R(LINE "Host: \xc3\xa9\r\n" END, 400),
    R(LINE "Host: []\r\n" END, 400),
    R(LINE "Host: [::1[]\r\n" END, 400),
    R("GET http://h/ HTTP/1.1\r\n" END, 400),
    /* a host in the target takes the place of the Host header */
    R("GET http://h:1:2/ HTTP/1.1\r\n" HOST END, 400),
    R("GET http://h:x/ HTTP/1.1\r\n" HOST END, 400),
    R("GET http://h:123456/ HTTP/1.1\r\n" HOST END, 400),
    R("GET http://[::1/ HTTP/1.1\r\n" HOST END, 400),
    R("GET http://h]/ HTTP/1.1\r\n" HOST END, 400),
    /* Content-Length */
    R(POST "Content-Length:\r\n" END, 400),
    R(POST "Content-Length: +5\r\n" END, 400),
    R(POST "Content-Length: -5\r\n" END, 400),
    R(POST "Content-Length: -0\r\n" END, 400),
    R(POST "Content-Length: 5, 5\r\n" END, 400),
    R(POST "Content-Length: 5 5\r\n" END, 400),
    R(POST "Content-Length: 0x5\r\n" END, 400),
    R(POST "Content-Length: 5.0\r\n" END, 400),
    R(POST "Content-Length: five\r\n" END, 400),
    R(POST "Content-Length: \xd9\xa5\r\n" END, 400),
    R(POST "Content-Length: 9223372036854775808\r\n" END, 400),
    R(POST "Content-Length: 18446744073709551616\r\n" END, 400),
    R(POST "Content-Length: 18446744073709551621\r\n" END, 400),
    R(POST "Content-Length: 99999999999999999999999999999999\r\n" END, 400),
    R(POST "Content-Length: 5\r\nContent-Length: 6\r\n" END, 400),
    R(POST "Content-Length: 5\r\ncontent-length: 5\r\n" END, 400),
    /* Transfer-Encoding */
    R(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END, 400),
    R(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" END, 400),
    R(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n" END, 400),
    R(POST "Transfer-Encoding: chunked, chunked\r\n" END, 400),
    R(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END, 400),
    R(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" END, 400),
    R(POST "Transfer-Encoding:\r\n" END, 400),
    R(POST "Transfer-Encoding: ,chunked\r\n" END, 400),
    R(POST "Transfer-Encoding: chunked,\r\n" END, 400),
    R(POST "Transfer-Encoding: gzip, chunked\r\n" END, 501),
    R(POST "Transfer-Encoding: chunked, gzip\r\n" END, 501),
    R(POST "Transfer-Encoding: identity\r\n" END, 501),
    R(POST "Transfer-Encoding: xchunked\r\n" END, 501),
    R(POST "Transfer-Encoding: chunked;q=1\r\n" END, 501),
    R(POST "Transfer-Encoding: \"chunked\"\r\n" END, 501),
    R(POST "Transfer-Encoding: \vchunked\r\n" END, 400),
    R(POST "Transfer-Encoding : chunked\r\n" END, 400),
    R(POST "Transfer-Encoding:\r\n chunked\r\n" END, 400),
    R("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END, 400),
    /* Expect */
    R(POST "Expect: 200-ok\r\n" END, 417),
    R(POST "Expect:\r\n" END, 417),
    R(POST "Expect: 100-continue, x\r\n" END, 417),
};

static enum parse_status parse(str in, size_t seen, struct http_header *headers, struct head *h)
{
    return parse_head(guarded(in), in.n, seen, &wide, headers, h);
}

static void check_accepted(const struct accepted *a, const struct head *h)
{
    ck_assert_uint_eq(h->bytes, a->in.n);
    ck_assert_str_is(h->method, a->method);
    ck_assert_str_is(h->target, a->target);
    ck_assert_str_is(h->path, a->path);
    ck_assert_int_eq(str_none(h->query), a->query == NULL);
    ck_assert_str_is(h->query, a->query != NULL ? a->query : "");
    ck_assert_uint_eq(h->minor, a->minor);
    ck_assert_uint_eq(h->nheaders, a->nheaders);
    ck_assert_int_eq(h->keep_alive, !a->close);
    ck_assert_int_eq(h->chunked, a->chunked);
    ck_assert_int_eq(h->expect_continue, a->expect);
    ck_assert_uint_eq(h->content_length, a->length);
}

START_TEST(accepts)
{
    const struct accepted *a = &accepted[_i];
    struct http_header headers[HTTP_MAX_HEADERS];
    struct head h;

    ck_assert_int_eq(parse(a->in, 0, headers, &h), PARSE_DONE);
    check_accepted(a, &h);
    for (size_t k = 0; k < a->in.n; k++) {
        /* cut at k: always more is wanted; dripping: what was seen before is said truly */
        ck_assert_int_eq(parse(str_sub(a->in, 0, k), 0, headers, &h), PARSE_MORE);
        if (k > 0)
            ck_assert_int_eq(parse(str_sub(a->in, 0, k), k - 1, headers, &h), PARSE_MORE);
        ck_assert_int_eq(parse(a->in, k, headers, &h), PARSE_DONE);
        check_accepted(a, &h);
    }
}
END_TEST

START_TEST(leaves_what_follows)
{
    const struct accepted *a = &accepted[_i];
    struct http_header headers[HTTP_MAX_HEADERS];
    char space[1024];
    struct head h;
    int n = snprintf(space, sizeof space, STR_FMT "GET /next HTTP/1.1\r\nHost", STR_ARG(a->in));

    ck_assert_int_eq(parse((str){space, (size_t)n}, 0, headers, &h), PARSE_DONE);
    check_accepted(a, &h);
}
END_TEST

START_TEST(refuses)
{
    const struct refused *r = &refused[_i];
    struct http_header headers[HTTP_MAX_HEADERS];
    struct head h;

    ck_assert_int_eq(parse(r->in, 0, headers, &h), PARSE_BAD);
    ck_assert_int_eq(h.status, r->status);
    ck_assert_ptr_nonnull(h.reason);
    for (size_t k = 1; k < r->in.n; k++) {
        /* never taken for whole before its end, and never accepted at its end */
        ck_assert_int_ne(parse(str_sub(r->in, 0, k), 0, headers, &h), PARSE_DONE);
        ck_assert_int_ne(parse(str_sub(r->in, 0, k), k - 1, headers, &h), PARSE_DONE);
        ck_assert_int_ne(parse(r->in, k, headers, &h), PARSE_DONE);
    }
}
END_TEST

/* What a drip of single bytes ends in: the parser is asked behind each of them, as a loop asks. */
START_TEST(refuses_a_drip)
{
    const struct refused *r = &refused[_i];
    struct http_header headers[HTTP_MAX_HEADERS];
    enum parse_status s = PARSE_MORE;
    struct head h;

    for (size_t k = 1; k <= r->in.n && s == PARSE_MORE; k++)
        s = parse(str_sub(r->in, 0, k), k - 1, headers, &h);
    if (str_find_str(r->in, STR("\r\n\r\n")) != STR_NPOS)
        ck_assert_int_eq(s, PARSE_BAD);
    else
        ck_assert_int_ne(s, PARSE_DONE);
}
END_TEST

START_TEST(header_values_are_trimmed)
{
    struct http_header f[HTTP_MAX_HEADERS];
    struct head h;

    ck_assert_int_eq(
        parse(STR(LINE "Host:  h \r\nA:\t b  c\t \r\nEmpty: \t\r\nN:x\r\n" END), 0, f, &h),
        PARSE_DONE);
    ck_assert_uint_eq(h.nheaders, 4);
    ck_assert_str_is(f[0].name, "Host");
    ck_assert_str_is(f[0].value, "h");
    ck_assert_str_is(f[1].value, "b  c");
    ck_assert_str_is(f[2].value, "");
    ck_assert_str_is(f[3].value, "x");
}
END_TEST

START_TEST(absolute_form_names_the_host)
{
    struct http_header f[HTTP_MAX_HEADERS];
    struct head h;

    ck_assert_int_eq(
        parse(STR("GET https://real:1/p HTTP/1.1\r\nA: b\r\nHost: claimed\r\n" END), 0, f, &h),
        PARSE_DONE);
    ck_assert_str_is(f[1].value, "real:1");
}
END_TEST

/* Every byte in every place where the grammar is selective. */
START_TEST(each_byte_in_place)
{
    struct http_header f[HTTP_MAX_HEADERS];
    const char *token =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    struct head h;
    char in[64];

    for (int c = 1; c < 256; c++) {
        bool is_token = strchr(token, c) != NULL;
        int n = snprintf(in, sizeof in, "G%cT / HTTP/1.0\r\n\r\n", c);
        bool ok = parse((str){in, (size_t)n}, 0, f, &h) == PARSE_DONE;
        ck_assert_msg(ok == is_token, "method byte %d", c);
        n = snprintf(in, sizeof in, "GET / HTTP/1.0\r\nX%cX: y\r\n\r\n", c);
        ok = parse((str){in, (size_t)n}, 0, f, &h) == PARSE_DONE;
        ck_assert_msg(ok == (is_token || c == ':'), "name byte %d", c);
        n = snprintf(in, sizeof in, "GET / HTTP/1.0\r\nX: 0123456789a%cb\r\n\r\n", c);
        ok = parse((str){in, (size_t)n}, 0, f, &h) == PARSE_DONE;
        ck_assert_msg(ok == (c == '\t' || (c >= 0x20 && c != 0x7f)), "value byte %d", c);
        n = snprintf(in, sizeof in, "GET /a%cb HTTP/1.0\r\n\r\n", c);
        ok = parse((str){in, (size_t)n}, 0, f, &h) == PARSE_DONE;
        ck_assert_msg(ok == (c > 0x20 && c != 0x7f && c != '#'), "target byte %d", c);
    }
}
END_TEST

/* A control character at each place of a value, so that the eight-byte steps miss none. */
START_TEST(control_characters_anywhere)
{
    struct http_header f[HTTP_MAX_HEADERS];
    struct head h;
    char in[96];

    for (size_t at = 0; at < 40; at++)
        for (int c = 0; c < 256; c++) {
            int n = snprintf(in, sizeof in, "GET / HTTP/1.0\r\nX:%040d\r\n\r\n", 0);
            in[18 + at] = (char)c;
            enum parse_status s = parse((str){in, (size_t)n}, 0, f, &h);
            bool ok = c == '\t' || (c >= 0x20 && c != 0x7f);
            ck_assert_msg(s == (ok ? PARSE_DONE : PARSE_BAD), "byte %d at %zu", c, at);
        }
}
END_TEST

START_TEST(too_many_headers)
{
    struct http_header f[HTTP_MAX_HEADERS];
    char in[4096] = "GET / HTTP/1.0\r\n";
    size_t n = strlen(in);
    struct head h;

    for (int i = 0; i < HTTP_MAX_HEADERS; i++)
        n += (size_t)snprintf(in + n, sizeof in - n, "X%d: y\r\n", i);
    memcpy(in + n, "\r\n", 2);
    ck_assert_int_eq(parse((str){in, n + 2}, 0, f, &h), PARSE_DONE);
    ck_assert_uint_eq(h.nheaders, HTTP_MAX_HEADERS);
    memcpy(in + n, "One: more\r\n\r\n", 13);
    ck_assert_int_eq(parse((str){in, n + 13}, 0, f, &h), PARSE_BAD);
    ck_assert_int_eq(h.status, 431);
}
END_TEST

static enum parse_status parse_limited(size_t target, size_t value, size_t max_target,
                                       size_t max_head, bool whole, struct head *h)
{
    static char in[8192];
    struct http_header f[HTTP_MAX_HEADERS];
    struct parse_limits limits = {max_head, max_target};
    size_t n;

    memset(in, 'x', sizeof in);
    memcpy(in, "GET /", 5);
    n = 4 + target; /* the slash is counted */
    n += (size_t)snprintf(in + n, sizeof in - n, " HTTP/1.0\r\nX:");
    memset(in + n, 'y', value);
    n += value;
    memcpy(in + n, "\r\n\r\n", 4);
    n += whole ? 4 : 0;
    return parse_head(guarded((str){in, n}), n, 0, &limits, f, h);
}

START_TEST(target_limit)
{
    struct head h;

    ck_assert_int_eq(parse_limited(100, 1, 100, 4096, true, &h), PARSE_DONE);
    ck_assert_int_eq(parse_limited(101, 1, 100, 4096, true, &h), PARSE_BAD);
    ck_assert_int_eq(h.status, 414);
    ck_assert_str_is(h.method, "GET");
}
END_TEST

START_TEST(head_limit)
{
    size_t around = 4 + 1 + 13 + 4; /* of parse_limited's head, beside the value */
    struct head h;

    ck_assert_int_eq(parse_limited(1, 1000 - around, 100, 1000, true, &h), PARSE_DONE);
    ck_assert_uint_eq(h.bytes, 1000);
    ck_assert_int_eq(parse_limited(1, 1001 - around, 100, 1000, true, &h), PARSE_BAD);
    ck_assert_int_eq(h.status, 431);
    /* not whole yet, and cannot be within the limit any more */
    ck_assert_int_eq(parse_limited(1, 999 - 18, 100, 1000, false, &h), PARSE_MORE);
    ck_assert_int_eq(parse_limited(1, 1000 - 18, 100, 1000, false, &h), PARSE_BAD);
    ck_assert_int_eq(h.status, 431);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/parse");
    TCase *t = tcase_create("heads");

    tcase_add_loop_test(t, accepts, 0, (int)ARRAY_LEN(accepted));
    tcase_add_loop_test(t, leaves_what_follows, 0, (int)ARRAY_LEN(accepted));
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_LEN(refused));
    tcase_add_loop_test(t, refuses_a_drip, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(t, header_values_are_trimmed);
    tcase_add_test(t, absolute_form_names_the_host);
    tcase_add_test(t, each_byte_in_place);
    tcase_add_test(t, control_characters_anywhere);
    tcase_add_test(t, too_many_headers);
    tcase_add_test(t, target_limit);
    tcase_add_test(t, head_limit);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
