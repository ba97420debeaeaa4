/*
 * The HTTP client against servers that the test plays: good ones, broken ones, and those that would
 * keep a caller for ever. Also what it says to proxies, whom it trusts, and what it never sends.
 */
#include "test/support/wait.h"
#include "test/unit/http/peer_test.h"

static struct arena arena;
static struct http_trust *trust;
static struct http_cancel cancel;
static struct http_client *client;
static struct err_detail detail;
static struct http_answer answer;

static void clear_env(void)
{
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "https_proxy",   "HTTPS_PROXY",
                                        "no_proxy",   "NO_PROXY",   "SSL_CERT_FILE", "CARES_HOSTS"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
}

static void remake_client(void)
{
    http_client_free(client);
    client = http_client_new(trust, &cancel, "test/1.0");
    ck_assert_ptr_nonnull(client);
}

static void setup(void)
{
    clear_env();
    resolve_test_servers(NULL);
    arena_init(&arena, NULL, 0, NULL, 64 * MIB);
    trust = http_trust_new(certs.ca);
    ck_assert_ptr_nonnull(trust);
    ck_assert_int_eq(http_cancel_init(&cancel, &detail), OK);
    client = NULL;
    remake_client();
}

static void teardown(void)
{
    http_client_free(client);
    http_cancel_fini(&cancel);
    http_trust_free(trust);
    arena_fini(&arena);
}

static enum err call_url(struct http_call call, const char *scheme, const char *host, unsigned port,
                         const char *path)
{
    call.url = arena_printf(&arena, "%s://%s:%u%s", scheme, host, port, path);
    if (call.timeout_ms == 0)
        call.timeout_ms = PEER_MS;
    if (call.connect_timeout_ms == 0)
        call.connect_timeout_ms = PEER_MS;
    detail.text[0] = '\0';
    answer = (struct http_answer){0};
    return http_client_call(client, &call, &arena, &answer, &detail);
}

static enum err get(const struct peer *p, const char *path)
{
    return call_url((struct http_call){0}, "http", "127.0.0.1", p->port, path);
}

#define must(e, want)                                                                              \
    do {                                                                                           \
        enum err e_ = (e);                                                                         \
        ck_assert_msg(e_ == (want), "%s, not %s: %s", err_text(e_), err_text(want), detail.text);  \
    } while (0)

static void must_say(const char *part)
{
    ck_assert_msg(strstr(detail.text, part) != NULL, "\"%s\" is not in \"%s\"", part, detail.text);
}

/* Answers every request with the text. */
static void part_text(struct side *s, const void *arg)
{
    if (side_request(s))
        side_say(s, arg);
}

/* ---- the ordinary ------------------------------------------------------------------------------ */

#define GOOD "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b c\t\r\nx-a: second\r\n\r\nhello"

START_TEST(gets_an_answer)
{
    struct peer *p = peer_start(part_text, GOOD);
    char want[300];

    must(get(p, "/a/b?c=d"), OK);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_is(answer.body, "hello");
    ck_assert_uint_eq(answer.nheaders, 3);
    ck_assert_str_is(http_answer_header(&answer, STR("X-a")), "b c");
    ck_assert(str_none(http_answer_header(&answer, STR("X-B"))));
    peer_stop(p);
    snprintf(want, sizeof want,
             "GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n"
             "Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: test/1.0\r\n\r\n",
             p->port);
    ck_assert_str_eq(p->got, want);
    peer_free(p);
}
END_TEST

START_TEST(posts)
{
    struct peer *p = peer_start(part_text, GOOD);
    const struct http_header headers[] = {{STR("content-type"), STR("application/json")},
                                          {STR("User-Agent"), STR("me")},
                                          {STR("X-Tab"), STR("a\tb")}};
    struct http_call call = {
        .method = STR("POST"), .headers = headers, .nheaders = 3, .body = STR("{\"a\":\"\n\0\"}")};

    must(call_url(call, "http", "localhost", p->port, ""), OK);
    call.body = STR_NONE;
    must(call_url(call, "http", "localhost", p->port, "?empty"), OK);
    peer_stop(p);
    ck_assert_uint_eq(p->connections, 2);
    ck_assert(str_starts(str_from(p->got), STR("POST / HTTP/1.1\r\nHost: localhost:")));
    ck_assert_ptr_nonnull(strstr(p->got, "\r\ncontent-type: application/json\r\n"));
    ck_assert_ptr_nonnull(strstr(p->got, "\r\nX-Tab: a\tb\r\n"));
    ck_assert_uint_eq(count_of(p->got, "User-Agent"), 1);
    ck_assert_ptr_nonnull(strstr(p->got, "\r\nContent-Length: 10\r\n\r\n{\"a\":\"\n"));
    str got = {p->got, p->got_n};
    ck_assert_uint_ne(str_find_str(got, STR("\n\0\"}POST /?empty HTTP/1.1\r\n")), STR_NPOS);
    ck_assert(str_ends(got, STR("\r\nContent-Length: 0\r\n\r\n")));
    peer_free(p);
}
END_TEST

/* ---- every form of answer -------------------------------------------------------------------- */

#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_LINE "Transfer-Encoding: chunked\r\n\r\n"
#define TEN     "X: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\n"
#define GOING   "HTTP/1.1 100 Continue\r\n\r\n"

static const struct {
    const char *text;
    enum err e;
    int status;
    const char *body;
} answers[] = {
    {GOOD, OK, 200, "hello"},
    {GOOD "and more", OK, 200, "hello"},
    {OK_LINE "\r\nuntil the end", OK, 200, "until the end"},
    {OK_LINE "\r\n", OK, 200, ""},
    {"HTTP/1.0 404 Not Found\r\n\r\nno", OK, 404, "no"},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", OK, 200, ""},
    {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", OK, 200, ""},
    {"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", OK, 200, "hi"},
    {OK_LINE "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", OK, 200, "hi"},
    {OK_LINE "Content-Length: 2, 2\r\n\r\nhi", OK, 200, "hi"},
    {CHUNKED "5\r\nhello\r\n0\r\n\r\n", OK, 200, "hello"},
    {CHUNKED "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-T: y\r\n\r\n", OK, 200, "hello world"},
    {OK_LINE "transfer-encoding: Chunked\r\n\r\n0\r\n\r\n", OK, 200, ""},
    {"HTTP/1.1 204 No\r\n\r\n", OK, 204, ""},
    {"HTTP/1.1 304 No\r\nContent-Length: 100\r\n\r\n", OK, 304, ""},
    {GOING "HTTP/1.1 103 Hints\r\nX: y\r\n\r\n" GOOD, OK, 200, "hello"},
    {"HTTP/1.1 500 Oh\r\nContent-Length: 1\r\n\r\nx", OK, 500, "x"},
    {"HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", OK, 302, ""},
    /* cut off */
    {"", ERR_CLOSED, 0, NULL},
    {"HTTP/1.1 2", ERR_CLOSED, 0, NULL},
    {OK_LINE "Content-Length: 5\r\n", ERR_CLOSED, 0, NULL},
    {OK_LINE "Content-Length: 5\r\n\r\nhell", ERR_CLOSED, 0, NULL},
    {CHUNKED "5\r\nhel", ERR_CLOSED, 0, NULL},
    {CHUNKED "5\r\nhello\r\n", ERR_CLOSED, 0, NULL},
    {CHUNKED "5\r\nhello\r\n0\r\n", ERR_CLOSED, 0, NULL},
    {GOING, ERR_CLOSED, 0, NULL},
    /* not HTTP, or in two ways */
    {"SSH-2.0-OpenSSH_9.2\r\n", ERR_CORRUPT, 0, NULL},
    {"\r\n" GOOD, ERR_CORRUPT, 0, NULL},
    {"HTTP/2.0 200 OK\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {"HTTP/1.1 2000 OK\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {"HTTP/1.1 099 OK\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {"HTTP/1.1 600 OK\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {"HTTP/1.1 -20 OK\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {OK_LINE "no colon\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {OK_LINE ": no name\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Name : x\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {OK_LINE "X: a\r\n folded\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {OK_LINE "X: a\rb\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {OK_LINE "X: \x01\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Content-Length: 2, 3\r\n\r\nhi!", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Content-Length: -1\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Content-Length: 0x2\r\n\r\nhi", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Content-Length:\r\n\r\nhi", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Content-Length: 99999999999999999999\r\n\r\nhi", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERR_CORRUPT, 0,
     NULL},
    {OK_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     ERR_CORRUPT, 0, NULL},
    {CHUNKED "x\r\n", ERR_CORRUPT, 0, NULL},
    {CHUNKED "-5\r\nhello\r\n0\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {CHUNKED "4\r\nhello\r\n0\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {CHUNKED "6\r\nhello\r\n0\r\n\r\n", ERR_CORRUPT, 0, NULL},
    {CHUNKED "FFFFFFFFFFFFFFFFF\r\nhello", ERR_CORRUPT, 0, NULL},
    {OK_LINE "Transfer-Encoding: gzip\r\n\r\n", ERR_UNSUPPORTED, 0, NULL},
    {OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n", ERR_UNSUPPORTED, 0, NULL},
    /* too much; the limit here is 1000 bytes of body and 2000 of head */
    {OK_LINE "Content-Length: 1001\r\n\r\n", ERR_LIMIT, 0, NULL},
    {OK_LINE "Content-Length: 9223372036854775807\r\n\r\n", ERR_LIMIT, 0, NULL},
    {OK_LINE TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "X: y\r\n\r\n", ERR_LIMIT, 0, NULL},
    {GOING GOING GOING GOING GOING GOING GOING GOING GOING GOING GOING GOING GOING GOING GOING GOING
         GOING GOOD,
     ERR_LIMIT, 0, NULL},
};

static enum err get_limited(const struct peer *p)
{
    struct http_call call = {.max_body_bytes = 1000, .max_head_bytes = 2000};

    return call_url(call, "http", "127.0.0.1", p->port, "/");
}

START_TEST(reads)
{
    struct peer *p = peer_start(part_text, answers[_i].text);

    must(get_limited(p), answers[_i].e);
    if (answers[_i].e == OK) {
        ck_assert_int_eq(answer.status, answers[_i].status);
        ck_assert_str_is(answer.body, answers[_i].body);
    } else {
        ck_assert_int_eq(answer.status, 0); /* untouched */
        must_say("127.0.0.1:");
    }
    peer_free(p);
}
END_TEST

/* One byte a segment: the client must not depend on what comes together. */
static void part_drip(struct side *s, const void *arg)
{
    const char *p = arg;

    if (!side_request(s))
        return;
    for (; *p != '\0'; p++)
        if (!side_write(s, p, 1))
            return;
}

START_TEST(reads_byte_by_byte)
{
    struct peer *p = peer_start(part_drip, answers[_i].text);

    must(get_limited(p), answers[_i].e);
    if (answers[_i].e == OK)
        ck_assert_str_is(answer.body, answers[_i].body);
    peer_free(p);
}
END_TEST

/* arg: how it begins, and then what follows without an end. */
static void part_endless(struct side *s, const void *arg)
{
    const char *const *texts = arg;

    if (!side_request(s) || !side_say(s, texts[0]))
        return;
    while (side_say(s, texts[1]))
        continue;
}

static const char *const endless[][2] = {
    {"", "HTTP/1.1 "},
    {OK_LINE, "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"},
    {OK_LINE "X: ", "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"},
    {"", GOING},
    {OK_LINE "\r\n", "body body body body body body body body"},
    {CHUNKED, "5\r\nhello\r\n"},
    {CHUNKED "10000000\r\n", "body body body body body body body body"},
};

START_TEST(ends_what_has_no_end)
{
    struct peer *p = peer_start(part_endless, endless[_i]);

    must(get(p, "/"), ERR_LIMIT);
    must_say("127.0.0.1:");
    peer_free(p);
}
END_TEST

START_TEST(trailers_have_an_end)
{
    static const char *const texts[] = {CHUNKED "0\r\n", "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"};
    struct peer *p = peer_start(part_endless, texts);

    must(get(p, "/"), ERR_CORRUPT);
    peer_free(p);
}
END_TEST

/* ---- time ------------------------------------------------------------------------------------ */

static void part_silent(struct side *s, const void *arg)
{
    (void)arg;
    side_wait_end(s);
}

/* Says a byte every 20 ms, for as long as somebody listens. */
static void part_slow(struct side *s, const void *arg)
{
    const char *const *texts = arg;

    if (!side_request(s) || !side_say(s, texts[0]))
        return;
    for (;;) {
        struct pollfd f = {.fd = s->fd, .events = POLLIN};
        if (poll(&f, 1, 20) != 0 || !side_say(s, texts[1]))
            return;
    }
}

static const char *const slow[][2] = {
    {"", "H"}, {OK_LINE, "X"}, {OK_LINE "\r\n", "x"}, {CHUNKED, "1\r\nx\r\n"}, {CHUNKED, "0"}};

START_TEST(slow_bytes_do_not_move_the_deadline)
{
    struct peer *p = peer_start(part_slow, slow[_i]);
    struct http_call call = {.timeout_ms = 300};
    uint64_t start = clock_mono_ms();

    must(call_url(call, "http", "127.0.0.1", p->port, "/"), ERR_TIMEOUT);
    ck_assert_uint_ge(clock_mono_ms() - start, call.timeout_ms);
    ck_assert_uint_lt(clock_mono_ms() - start, 5000);
    must_say("receiving took too long");
    peer_free(p);
}
END_TEST

START_TEST(silence_ends)
{
    struct peer *p = peer_start(part_silent, NULL);
    struct http_call call = {.timeout_ms = 200};
    uint64_t start = clock_mono_ms();

    must(call_url(call, "http", "127.0.0.1", p->port, "/"), ERR_TIMEOUT);
    call = (struct http_call){.connect_timeout_ms = 200};
    must(call_url(call, "https", "localhost", p->port, "/"), ERR_TIMEOUT);
    must_say("the TLS handshake took too long");
    ck_assert_uint_lt(clock_mono_ms() - start, 5000);
    peer_free(p);
}
END_TEST

/* Takes nothing: what the client sends fills all buffers on the way. */
static void part_deaf(struct side *s, const void *arg)
{
    struct pollfd f = {.fd = s->peer->stop_fd, .events = POLLIN};

    (void)arg;
    (void)!poll(&f, 1, PEER_MS);
}

START_TEST(nobody_reads)
{
    struct peer *p = peer_start(part_deaf, NULL);
    size_t n = 64 * MIB;
    char *big = calloc(1, n);
    struct http_call call = {.method = STR("POST"), .body = {big, n}, .timeout_ms = 300};

    ck_assert_ptr_nonnull(big);
    must(call_url(call, "http", "127.0.0.1", p->port, "/"), ERR_TIMEOUT);
    must_say("sending took too long");
    free(big);
    peer_free(p);
}
END_TEST

START_TEST(nobody_listens)
{
    must(call_url((struct http_call){0}, "http", "127.0.0.1", free_port(), "/"), ERR_IO);
    ck_assert_int_eq(detail.sys_errno, ECONNREFUSED);
    must_say("127.0.0.1:");
    must(call_url((struct http_call){0}, "http", "localhost", free_port(), "/"), ERR_IO);
    must_say("localhost:");
    must_say("cannot connect to 127.0.0.1");
    resolve_test_servers("127.0.0.1:1");
    /* Whether a port without a DNS server says so depends on the network. */
    enum err e =
        call_url((struct http_call){.timeout_ms = 500}, "http", "no.such.host.example.", 80, "/");
    ck_assert_msg(e == ERR_IO || e == ERR_TIMEOUT, "%s", err_text(e));
    must_say("cannot resolve no.such.host.example.");
}
END_TEST

/* A listener whose queue is full: whoever connects from now on gets no answer. */
struct full {
    int fd, fds[32];
};

/* False: the port is somebody else's at that address. */
static bool full_open(struct full *f, const char *ip, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t n = sizeof a;

    ck_assert_int_eq(inet_pton(AF_INET, ip, &a.sin_addr), 1);
    f->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(f->fd, (struct sockaddr *)&a, n) != 0) {
        ck_assert_int_eq(errno, EADDRINUSE);
        close(f->fd);
        return false;
    }
    ck_assert_int_eq(getsockname(f->fd, (struct sockaddr *)&a, &n), 0);
    ck_assert_int_eq(listen(f->fd, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(f->fds); i++) {
        f->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(f->fds[i], (struct sockaddr *)&a, sizeof a);
    }
    return true;
}

static void full_close(struct full *f)
{
    for (size_t i = 0; i < ARRAY_LEN(f->fds); i++)
        close(f->fds[i]);
    close(f->fd);
}

START_TEST(connecting_has_a_deadline)
{
    struct http_call call = {.connect_timeout_ms = 300};
    uint64_t start;
    uint16_t port;
    struct full f;

    do
        port = free_port();
    while (!full_open(&f, "127.0.0.1", port));
    start = clock_mono_ms();
    must(call_url(call, "http", "127.0.0.1", port, "/"), ERR_TIMEOUT);
    must_say("cannot connect to 127.0.0.1");
    ck_assert_uint_lt(clock_mono_ms() - start, 5000);
    full_close(&f);
}
END_TEST

/* One address never answers, another refuses: the third still has its turn. */
START_TEST(every_address_has_its_turn)
{
    static const char hosts[] = "127.0.0.3 kinto.example\n127.0.0.2 kinto.example\n"
                                "127.0.0.1 kinto.example\n";
    struct http_call call = {.connect_timeout_ms = 900};
    struct peer *p;
    struct full f;
    char path[150];

    snprintf(path, sizeof path, "%s/hosts", certs_dir);
    cert_save(path, hosts);
    setenv("CARES_HOSTS", path, 1);
    while (p = peer_start(part_text, GOOD), !full_open(&f, "127.0.0.2", p->port))
        peer_free(p);
    must(call_url(call, "http", "kinto.example", p->port, "/"), OK);
    ck_assert_str_is(answer.body, "hello");
    unlink(path);
    full_close(&f);
    peer_free(p);
}
END_TEST

/* ---- what is never sent ---------------------------------------------------------------------- */

static const struct {
    const char *name, *value, *method, *path, *body;
    enum err e;
} bad_calls[] = {
    {"X", "a\r\nY: b", NULL, "/", NULL, ERR_SYNTAX},
    {"X", "a\nY: b", NULL, "/", NULL, ERR_SYNTAX},
    {"X", "a\rY: b", NULL, "/", NULL, ERR_SYNTAX},
    {"X", "\x7f", NULL, "/", NULL, ERR_SYNTAX},
    {"X\r\nY", "a", NULL, "/", NULL, ERR_SYNTAX},
    {"X:", "a", NULL, "/", NULL, ERR_SYNTAX},
    {"X Y", "a", NULL, "/", NULL, ERR_SYNTAX},
    {"", "a", NULL, "/", NULL, ERR_SYNTAX},
    {"host", "a", NULL, "/", NULL, ERR_SYNTAX},
    {"Content-Length", "0", NULL, "/", NULL, ERR_SYNTAX},
    {"Transfer-Encoding", "chunked", NULL, "/", NULL, ERR_SYNTAX},
    {"Connection", "keep-alive", NULL, "/", NULL, ERR_SYNTAX},
    {"X", "a", NULL, "/\r\nX: y", NULL, ERR_SYNTAX},
    {"X", "a", NULL, "/ HTTP/1.1", NULL, ERR_SYNTAX},
    {"X", "a", "CONNECT", "/", NULL, ERR_UNSUPPORTED},
    {"X", "a", "TRACE", "/", NULL, ERR_UNSUPPORTED},
    {"X", "a", "get", "/", NULL, ERR_UNSUPPORTED},
    {"X", "a", "GET / HTTP/1.1\r\n", "/", NULL, ERR_UNSUPPORTED},
    {"X", "a", "GET", "/", "body", ERR_SYNTAX},
};

START_TEST(is_not_sent)
{
    struct peer *p = peer_start(part_text, GOOD);
    struct http_header h = {str_from(bad_calls[_i].name), str_from(bad_calls[_i].value)};
    struct http_call call = {.method = str_from(bad_calls[_i].method),
                             .headers = &h,
                             .nheaders = 1,
                             .body = str_from(bad_calls[_i].body)};

    must(call_url(call, "http", "127.0.0.1", p->port, bad_calls[_i].path), bad_calls[_i].e);
    peer_stop(p);
    ck_assert_uint_eq(p->connections, 0);
    peer_free(p);
}
END_TEST

START_TEST(no_password_in_a_url)
{
    struct http_call call = {.url = STR("http://user:secret@127.0.0.1:1/")};

    must(http_client_call(client, &call, &arena, &answer, &detail), ERR_SYNTAX);
    ck_assert_ptr_null(strstr(detail.text, "secret"));
}
END_TEST

/* ---- other methods --------------------------------------------------------------------------- */

START_TEST(head_has_no_body)
{
    struct peer *p = peer_start(part_text, OK_LINE "Content-Length: 100\r\n\r\n");

    must(call_url((struct http_call){.method = STR("HEAD")}, "http", "127.0.0.1", p->port, "/"),
         OK);
    ck_assert_str_is(answer.body, "");
    peer_free(p);
}
END_TEST

/* Refuses after the head, and closes with the body unread: a reset. */
static void part_refuse_early(struct side *s, const void *arg)
{
    const char *line;
    struct linger now = {1, 0};

    (void)arg;
    while ((line = side_line(s)) != NULL && *line != '\0')
        continue;
    side_say(s, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    shutdown(s->fd, SHUT_RDWR);
    (void)!setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* Whether the answer still gets_an_answer through is up to the kernel; what must not happen is that it hangs,
 * or that something else comes of it. */
START_TEST(refused_before_the_body_was_read)
{
    struct peer *p = peer_start(part_refuse_early, NULL);
    size_t n = 16 * MIB;
    char *big = calloc(1, n);
    struct http_call call = {.method = STR("POST"), .body = {big, n}};
    enum err e = call_url(call, "http", "127.0.0.1", p->port, "/");

    if (e == OK) {
        ck_assert_int_eq(answer.status, 413);
        ck_assert_str_is(answer.body, "no");
    } else {
        must(e, ERR_CLOSED);
        must_say("sending");
    }
    free(big);
    peer_free(p);
}
END_TEST

/* ---- redirects ------------------------------------------------------------------------------- */

/* /N leads to /N-1, and /0 is there; /else leads to the port in arg. */
static void part_redirect(struct side *s, const void *arg)
{
    const char *line = side_line(s);
    char text[200];
    int n = 0;

    if (line == NULL)
        return;
    if (strstr(line, "/else") != NULL)
        snprintf(text, sizeof text, "HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:%u/0\r\n\r\n",
                 *(const uint16_t *)arg);
    else if (strstr(line, "/bad") != NULL)
        snprintf(text, sizeof text, "HTTP/1.1 302 x\r\nLocation: gopher://x/\r\n\r\n");
    else if (strstr(line, "/downgrade") != NULL)
        snprintf(text, sizeof text, "HTTP/1.1 302 x\r\nLocation: http://localhost/\r\n\r\n");
    else if (strstr(line, "/nowhere") != NULL)
        snprintf(text, sizeof text, "HTTP/1.1 302 x\r\nContent-Length: 0\r\n\r\n");
    else if (sscanf(line, "%*s /%d", &n) == 1 && n > 0)
        snprintf(text, sizeof text, "HTTP/1.1 %d x\r\nLocation: %d\r\n\r\nignored", 301 + n % 2 * 6,
                 n - 1);
    else
        snprintf(text, sizeof text, OK_LINE "\r\nthere");
    while ((line = side_line(s)) != NULL && *line != '\0')
        continue;
    side_say(s, text);
}

START_TEST(redirects)
{
    struct peer *p = peer_start(part_redirect, NULL);
    struct http_call call = {.max_redirects = 3};

    must(call_url(call, "http", "127.0.0.1", p->port, "/3"), OK);
    ck_assert_str_is(answer.body, "there");
    must(call_url(call, "http", "127.0.0.1", p->port, "/4"), ERR_LIMIT);
    must_say("more than 3 redirects");
    must(call_url(call, "http", "127.0.0.1", p->port, "/bad"), ERR_CORRUPT);
    must(call_url(call, "http", "127.0.0.1", p->port, "/nowhere"), OK);
    ck_assert_int_eq(answer.status, 302);
    call.method = STR("POST");
    must(call_url(call, "http", "127.0.0.1", p->port, "/2"), OK);
    ck_assert_int_eq(answer.status, 301);
    must(get(p, "/1"), OK);
    ck_assert_int_eq(answer.status, 307);
    peer_free(p);
}
END_TEST

START_TEST(secrets_stay_at_home)
{
    static uint16_t other_port;
    struct peer *p, *other = peer_start(part_redirect, NULL);
    struct http_header headers[] = {{STR("authorization"), STR("Bearer s3cret")},
                                    {STR("Cookie"), STR("s3cret")},
                                    {STR("X-Other"), STR("open")}};
    struct http_call call = {.max_redirects = 3, .headers = headers, .nheaders = 3};

    other_port = other->port;
    p = peer_start(part_redirect, &other_port);
    must(call_url(call, "http", "127.0.0.1", p->port, "/1"), OK);
    must(call_url(call, "http", "127.0.0.1", p->port, "/else"), OK);
    ck_assert_str_is(answer.body, "there");
    peer_stop(p);
    peer_stop(other);
    ck_assert_uint_eq(count_of(p->got, "s3cret"), 6);
    ck_assert_uint_eq(count_of(other->got, "s3cret"), 0);
    ck_assert_uint_eq(count_of(other->got, "X-Other: open"), 1);
    peer_free(p);
    peer_free(other);
}
END_TEST

/* ---- proxies --------------------------------------------------------------------------------- */

static void set_proxy(const char *name, const char *userinfo, const struct peer *p)
{
    char url[200];

    snprintf(url, sizeof url, "http://%s127.0.0.1:%u", userinfo, p->port);
    setenv(name, url, 1);
}

START_TEST(http_by_proxy)
{
    struct peer *p = peer_start(part_text, GOOD);

    set_proxy("http_proxy", "me:p%40ss%3A@", p);
    remake_client();
    must(call_url((struct http_call){0}, "http", "far.example", 8080, "/x?y"), OK);
    ck_assert_str_is(answer.body, "hello");
    peer_stop(p);
    ck_assert(str_starts(str_from(p->got), STR("GET http://far.example:8080/x?y HTTP/1.1\r\n"
                                               "Host: far.example:8080\r\n")));
    /* me:p@ss: */
    ck_assert_ptr_nonnull(strstr(p->got, "\r\nProxy-Authorization: Basic bWU6cEBzczo=\r\n"));
    peer_free(p);
}
END_TEST

START_TEST(around_the_proxy)
{
    struct peer *p = peer_start(part_text, GOOD);

    set_proxy("http_proxy", "", p);
    setenv("NO_PROXY", "example.com, 127.0.0.0/8", 1);
    remake_client();
    must(get(p, "/direct"), OK);
    peer_stop(p);
    ck_assert(str_starts(str_from(p->got), STR("GET /direct HTTP/1.1\r\n")));
    peer_free(p);
}
END_TEST

/* What CGI makes of a request's Proxy header names no proxy. */
START_TEST(upper_case_http_proxy_counts_nothing)
{
    struct peer *p = peer_start(part_text, GOOD);

    setenv("HTTP_PROXY", "http://127.0.0.1:1", 1);
    remake_client();
    must(get(p, "/direct"), OK);
    peer_free(p);
}
END_TEST

START_TEST(bad_proxies)
{
    static const char *const bad[] = {"https://127.0.0.1:1", "socks5://127.0.0.1:1",
                                      "http://user:s3cret@:1", "http://a b", "s3cret@x y"};

    setenv("http_proxy", bad[_i], 1);
    remake_client();
    must(call_url((struct http_call){0}, "http", "127.0.0.1", 1, "/"), ERR_UNSUPPORTED);
    must_say("the proxy that the environment names for http");
    ck_assert_ptr_null(strstr(detail.text, "s3cret"));
}
END_TEST

struct tunnel {
    const char *reply;
    enum cert cert;
};

/* A proxy and, in the same place, what is behind it. */
static void part_tunnel(struct side *s, const void *arg)
{
    const struct tunnel *t = arg;

    if (!side_request(s) || !side_say(s, t->reply) || strstr(t->reply, " 200 ") == NULL)
        return;
    if (side_start_tls(s, t->cert))
        part_text(s, GOOD);
}

#define ESTABLISHED "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"

START_TEST(https_by_proxy)
{
    static const struct tunnel t = {ESTABLISHED, CERT_GOOD};
    struct peer *p = peer_start(part_tunnel, &t);

    set_proxy("HTTPS_PROXY", "u:p@", p);
    remake_client();
    must(call_url((struct http_call){0}, "https", "localhost", 4443, "/secret"), OK);
    ck_assert_str_is(answer.body, "hello");
    ck_assert(str_none(http_answer_header(&answer, STR("Via"))));
    peer_stop(p);
    ck_assert(str_starts(str_from(p->got), STR("CONNECT localhost:4443 HTTP/1.1\r\n"
                                               "Host: localhost:4443\r\n"
                                               "Proxy-Authorization: Basic dTpw\r\n\r\n")));
    ck_assert_uint_eq(count_of(p->got, "Proxy-Authorization"), 1); /* not inside the tunnel */
    peer_free(p);
}
END_TEST

static const struct {
    struct tunnel t;
    enum err e;
    const char *text;
} tunnels[] = {
    {{"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n", CERT_GOOD},
     ERR_REFUSED,
     "answers 407 to CONNECT"},
    {{"HTTP/1.0 502 Bad\r\n\r\n", CERT_GOOD}, ERR_REFUSED, "answers 502 to CONNECT"},
    {{"", CERT_GOOD}, ERR_CLOSED, "closed the connection"},
    {{"HTTP/1.1 200 OK\r\n\r\nearly", CERT_GOOD}, ERR_CORRUPT, "before TLS had begun"},
    {{ESTABLISHED, CERT_OTHER},
     ERR_UNTRUSTED,
     "localhost:4443: the certificate is for another host"},
};

START_TEST(tunnels_that_fail)
{
    struct peer *p = peer_start(part_tunnel, &tunnels[_i].t);

    set_proxy("https_proxy", "", p);
    remake_client();
    must(call_url((struct http_call){0}, "https", "localhost", 4443, "/"), tunnels[_i].e);
    must_say(tunnels[_i].text);
    peer_free(p);
}
END_TEST

/* ---- TLS ------------------------------------------------------------------------------------- */

struct tls_part {
    enum cert cert;
    bool no_goodbye;
    const char *text;
};

static void part_tls(struct side *s, const void *arg)
{
    const struct tls_part *t = arg;

    if (!side_start_tls(s, t->cert))
        return;
    part_text(s, t->text);
    s->goodbye = !t->no_goodbye;
}

static const struct {
    struct tls_part part;
    const char *host;
    enum err e;
    const char *text; /* the body, or in the detail */
} tls_cases[] = {
    {{CERT_GOOD, false, GOOD}, "localhost", OK, "hello"},
    {{CERT_GOOD, false, GOOD}, "localhost.", OK, "hello"},
    {{CERT_GOOD, false, GOOD}, "127.0.0.1", OK, "hello"},
    {{CERT_NAME_ONLY, false, GOOD}, "localhost", OK, "hello"},
    {{CERT_NAME_ONLY, false, GOOD}, "127.0.0.1", ERR_UNTRUSTED, "certificate is for another host"},
    {{CERT_OTHER, false, GOOD}, "localhost", ERR_UNTRUSTED, "certificate is for another host"},
    {{CERT_EXPIRED, false, GOOD}, "localhost", ERR_UNTRUSTED, "certificate has expired"},
    {{CERT_EXPIRED, false, GOOD}, "127.0.0.1", ERR_UNTRUSTED, "certificate has expired"},
    {{CERT_FUTURE, false, GOOD}, "localhost", ERR_UNTRUSTED, "certificate is not valid yet"},
    {{CERT_STRANGER, false, GOOD}, "localhost", ERR_UNTRUSTED, "not signed by a trusted authority"},
    {{CERT_SHA1, false, GOOD}, "localhost", ERR_UNTRUSTED, "certificate has too weak a signature"},
    /* Without TLS's goodbye only what has a length of its own is known to be whole. */
    {{CERT_GOOD, true, GOOD}, "localhost", OK, "hello"},
    {{CERT_GOOD, false, OK_LINE "\r\nto the end"}, "localhost", OK, "to the end"},
    {{CERT_GOOD, true, OK_LINE "\r\nto the end"}, "localhost", ERR_CLOSED, "cut off"},
};

START_TEST(tls)
{
    struct peer *p = peer_start(part_tls, &tls_cases[_i].part);

    must(call_url((struct http_call){0}, "https", tls_cases[_i].host, p->port, "/"),
         tls_cases[_i].e);
    if (tls_cases[_i].e == OK)
        ck_assert_str_is(answer.body, tls_cases[_i].text);
    else
        must_say(tls_cases[_i].text);
    if (tls_cases[_i].e == ERR_UNTRUSTED) {
        must_say(tls_cases[_i].host);
        peer_stop(p);
        ck_assert_uint_eq(p->got_n, 0); /* not a byte of the request went there */
    }
    peer_free(p);
}
END_TEST

/* Peers that speak nothing better. */

static void only_1_2(mbedtls_ssl_config *c)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_max_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    (void)c;
#endif
}

static void only_cbc(mbedtls_ssl_config *c)
{
    static const int suites[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
                                 MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
                                 MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, 0};
    only_1_2(c);
    mbedtls_ssl_conf_ciphersuites(c, suites);
}

static void only_old_keys(mbedtls_ssl_config *c) /* no forward secrecy */
{
    static const int suites[] = {MBEDTLS_TLS_ECDH_ECDSA_WITH_AES_128_GCM_SHA256,
                                 MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, 0};
    only_1_2(c);
    mbedtls_ssl_conf_ciphersuites(c, suites);
}

#if MBEDTLS_VERSION_MAJOR < 3 /* 3 knows none of these */
static void only_1_0(mbedtls_ssl_config *c)
{
    mbedtls_ssl_conf_max_version(c, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_1);
}

static void only_1_1(mbedtls_ssl_config *c)
{
    mbedtls_ssl_conf_max_version(c, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_2);
}

static void only_sha1(mbedtls_ssl_config *c) /* under the exchange of keys */
{
    static const int hashes[] = {MBEDTLS_MD_SHA1, MBEDTLS_MD_NONE};
    mbedtls_ssl_conf_sig_hashes(c, hashes);
}
#endif

static void (*const weak_peers[])(mbedtls_ssl_config *c) = {
    only_cbc, only_old_keys,
#if MBEDTLS_VERSION_MAJOR < 3
    only_1_0, only_1_1,      only_sha1,
#endif
};

static void part_weak(struct side *s, const void *arg)
{
    if (side_start_weak_tls(s, CERT_GOOD, *(void (*const *)(mbedtls_ssl_config *))arg))
        part_text(s, GOOD);
}

START_TEST(weak_tls)
{
    struct peer *p = peer_start(part_weak, &weak_peers[_i]);

    must(call_url((struct http_call){0}, "https", "localhost", p->port, "/"), ERR_IO);
    must_say("the TLS handshake");
    peer_stop(p);
    ck_assert_uint_eq(p->connections, 1);
    ck_assert_uint_eq(p->got_n, 0);
    peer_free(p);
}
END_TEST

static void part_no_tls(struct side *s, const void *arg)
{
    (void)arg;
    side_say(s, "HTTP/1.1 400 This is not TLS\r\n\r\n");
    side_wait_end(s);
}

START_TEST(tls_with_who_does_not_speak_it)
{
    struct peer *p = peer_start(part_no_tls, NULL);

    must(call_url((struct http_call){0}, "https", "localhost", p->port, "/"), ERR_IO);
    must_say("the TLS handshake");
    peer_free(p);
}
END_TEST

START_TEST(leaves_no_https)
{
    static const struct tls_part part = {CERT_GOOD, false,
                                         "HTTP/1.1 302 x\r\nLocation: http://localhost:1/\r\n\r\n"};
    struct peer *p = peer_start(part_tls, &part);

    must(call_url((struct http_call){.max_redirects = 1}, "https", "localhost", p->port, "/"),
         ERR_REFUSED);
    must_say("redirects from https to http");
    peer_free(p);
}
END_TEST

static void retrust(const char *file)
{
    http_trust_free(trust);
    trust = http_trust_new(file);
    ck_assert_ptr_nonnull(trust);
    remake_client();
}

START_TEST(whom_to_trust)
{
    static const struct tls_part part = {CERT_GOOD, false, GOOD};
    struct peer *p = peer_start(part_tls, &part);
    char path[150];

    snprintf(path, sizeof path, "%s/later.pem", certs_dir);
    setenv("SSL_CERT_FILE", path, 1);
    retrust(NULL);
    must(call_url((struct http_call){0}, "https", "localhost", p->port, "/"), ERR_NOTFOUND);
    must_say(path);
    cert_save(path, "nothing of use");
    must(call_url((struct http_call){0}, "https", "localhost", p->port, "/"), ERR_SYNTAX);
    must_say(path);
    /* Looked for again after a failure. */
    unlink(path);
    ck_assert_int_eq(link(certs.ca, path), 0);
    must(call_url((struct http_call){0}, "https", "localhost", p->port, "/"), OK);
    /* And kept after a success. */
    unlink(path);
    must(call_url((struct http_call){0}, "https", "localhost", p->port, "/"), OK);
    /* The system's authorities did not sign it, if it has any. */
    unsetenv("SSL_CERT_FILE");
    retrust(NULL);
    enum err e = call_url((struct http_call){0}, "https", "localhost", p->port, "/");
    ck_assert_msg(e == ERR_UNTRUSTED || e == ERR_NOTFOUND, "%s: %s", err_text(e), detail.text);
    peer_free(p);
}
END_TEST

/* ---- TLS that says nothing ------------------------------------------------------------------- */

#define ALERTS_MS    3000        /* then a peer ends by itself, so that nothing hangs */
#define ALERTS_BYTES (256 * KIB) /* more than any limit */
#define ALERT_BYTES  7           /* at least */

/* A warning that nobody heeds. Before there are keys, anybody on the way can send it. */
static bool say_nothing(struct side *s)
{
    static const unsigned char alert[ALERT_BYTES] = {0x15, 3, 3, 0, 2, 1, 0x5a};

    return s->tls ? mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_WARNING,
                                                   MBEDTLS_SSL_ALERT_MSG_USER_CANCELED) == 0
                  : side_write(s, alert, sizeof alert);
}

/* Alerts instead of the ServerHello, or (arg) behind the handshake instead of an answer. */
static void part_alerts(struct side *s, const void *arg)
{
    const bool *in_session = arg;
    uint64_t start = clock_mono_ms();

    if (*in_session ? !side_start_tls(s, CERT_GOOD) || !side_request(s)
                    : side_read(s, s->in, sizeof s->in) <= 0)
        return;
    while (clock_mono_ms() - start < ALERTS_MS && say_nothing(s))
        continue;
}

static const bool in_session[] = {false, true};

START_TEST(alerts_without_end)
{
    struct peer *p = peer_start(part_alerts, &in_session[_i]);
    uint64_t start = clock_mono_ms();

    must(call_url((struct http_call){0}, "https", "localhost", p->port, "/"), ERR_LIMIT);
    must_say(in_session[_i] ? "receiving: more than " : "the TLS handshake: more than ");
    ck_assert_uint_lt(clock_mono_ms() - start, ALERTS_MS);
    peer_free(p);
}
END_TEST

struct heap_of_alerts {
    bool in_session;
    int lies_there; /* an eventfd: all was sent */
};

/* Sends more alerts than anybody should read, and the end behind them. */
static void part_heap_of_alerts(struct side *s, const void *arg)
{
    const struct heap_of_alerts *h = arg;
    struct pollfd room = {.fd = s->fd, .events = POLLOUT};

    if (h->in_session && !side_start_tls(s, CERT_GOOD))
        return;
    for (size_t n = 0; n < ALERTS_BYTES && poll(&room, 1, 0) == 1; n += ALERT_BYTES)
        if (!say_nothing(s))
            return;
    shutdown(s->fd, SHUT_WR);
    ck_assert_int_eq(eventfd_write(h->lies_there, 1), 0);
    side_wait_end(s);
}

enum hurry { HURRY_NONE, HURRY_TIME, HURRY_CANCEL };

static const struct {
    bool in_session;
    enum hurry hurry;
    enum err e;
} heaps[] = {
    {false, HURRY_NONE, ERR_LIMIT},   {true, HURRY_NONE, ERR_LIMIT},
    {false, HURRY_TIME, ERR_TIMEOUT}, {true, HURRY_TIME, ERR_TIMEOUT},
    {false, HURRY_CANCEL, ERR_AGAIN}, {true, HURRY_CANCEL, ERR_AGAIN},
};

static enum err read_heap(struct dial *c, bool is_in_session)
{
    size_t got;

    return is_in_session ? dial_tls_read(c, c->in, sizeof c->in, &got, &detail)
                         : dial_start_tls(c, trust, STR("localhost"), &detail);
}

/* The socket always has something to read: the clock and who cancels are looked at all the same, long
 * before the heap's end. */
START_TEST(alerts_do_not_hold_a_call)
{
    struct heap_of_alerts h = {heaps[_i].in_session, eventfd(0, EFD_CLOEXEC)};
    struct peer *p = peer_start(part_heap_of_alerts, &h);
    struct pollfd heap = {.fd = h.lies_there, .events = POLLIN};
    struct dial c;

    dial_init(&c, clock_mono_ms() + PEER_MS, &cancel);
    must(dial_open(&c, STR("localhost"), p->port, &detail), OK);
    if (h.in_session)
        must(dial_start_tls(&c, trust, STR("localhost"), &detail), OK);
    ck_assert_int_eq(poll(&heap, 1, PEER_MS), 1);
    if (heaps[_i].hurry == HURRY_TIME)
        c.deadline_ms = clock_mono_ms();
    if (heaps[_i].hurry == HURRY_CANCEL)
        http_cancel_now(&cancel);
    must(read_heap(&c, h.in_session), heaps[_i].e);
    must_say(h.in_session ? "receiving" : "the TLS handshake");
    dial_close(&c);
    peer_free(p);
    close(h.lies_there);
}
END_TEST

/* ---- threads --------------------------------------------------------------------------------- */

#define THREADS 8
#define CALLS   6

static void *caller(void *arg)
{
    const struct peer *p = arg;
    struct arena own;

    arena_init(&own, NULL, 0, NULL, MIB);
    for (int i = 0; i < CALLS; i++) {
        struct http_answer got = {0};
        struct err_detail d = {0};
        struct http_call call = {.url = arena_printf(&own, "https://localhost:%u/", p->port),
                                 .timeout_ms = 60000,
                                 .connect_timeout_ms = 60000};
        enum err e = http_client_call(client, &call, &own, &got, &d);
        ck_assert_msg(e == OK, "%s: %s", err_text(e), d.text);
        ck_assert_str_is(got.body, "hello");
        arena_reset(&own);
    }
    arena_fini(&own);
    return NULL;
}

START_TEST(many_threads_one_client)
{
    static const struct tls_part part = {CERT_GOOD, false, GOOD};
    struct peer *p = peer_start(part_tls, &part);
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, caller, p), 0);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    peer_stop(p);
    ck_assert_uint_eq(p->connections, THREADS * CALLS);
    peer_free(p);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

/* ---- cancelling ------------------------------------------------------------------------------ */

struct caller {
    pthread_t thread;
    uint16_t port;
    const char *scheme;
    struct arena arena;
    enum err e;
};

static void *call_silent(void *arg)
{
    struct caller *c = arg;
    struct http_answer a;
    struct http_call ask = {.timeout_ms = 6 * PEER_MS, .connect_timeout_ms = 6 * PEER_MS};

    ask.url = arena_printf(&c->arena, "%s://127.0.0.1:%u/", c->scheme, c->port);
    c->e = http_client_call(client, &ask, &c->arena, &a, NULL);
    return NULL;
}

/* Whatever they wait for (an answer, TLS, their turn), and what comes later, too. */
START_TEST(cancelled)
{
    struct caller callers[6];
    struct peer *p = peer_start(part_silent, NULL);
    uint64_t start;

    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        callers[i] = (struct caller){.port = p->port, .scheme = i % 2 ? "https" : "http"};
        arena_init(&callers[i].arena, NULL, 0, NULL, MIB);
        ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, call_silent, &callers[i]), 0);
    }
    start = clock_mono_ms();
    while (connections(p) == 0 && clock_mono_ms() - start < PEER_MS)
        wait_tick();
    start = clock_mono_ms();
    http_cancel_now(&cancel);
    http_cancel_now(&cancel);
    for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
        ck_assert_int_eq(pthread_join(callers[i].thread, NULL), 0);
        ck_assert_msg(callers[i].e == ERR_AGAIN, "%s", err_text(callers[i].e));
        arena_fini(&callers[i].arena);
    }
    must(get(p, "/"), ERR_AGAIN);
    ck_assert_uint_lt(clock_mono_ms() - start, PEER_MS / 2);
    peer_free(p);
}
END_TEST

START_TEST(out_of_memory)
{
    static char text[40000];
    struct peer *p;
    unsigned n;
    int at = snprintf(text, sizeof text, CHUNKED "7530\r\n");

    memset(text + at, 'x', 30000);
    snprintf(text + at + 30000, sizeof text - (size_t)at - 30000, "\r\n0\r\n\r\n");
    p = peer_start(part_text, text);
    for (n = 1; n < 100; n++) {
        struct arena own;
        struct http_answer got = {.status = -1};
        struct http_call call = {.timeout_ms = PEER_MS};
        enum err e;

        call.url = arena_printf(&arena, "http://127.0.0.1:%u", p->port);
        arena_init(&own, NULL, 0, NULL, MIB);
        arena_test_fail_chunk(n);
        e = http_client_call(client, &call, &own, &got, &detail);
        arena_test_fail_chunk(0);
        ck_assert_msg(e == ERR_NOMEM || e == OK, "%u: %s: %s", n, err_text(e), detail.text);
        ck_assert_int_eq(got.status, e == OK ? 200 : -1);
        arena_fini(&own);
        if (e == OK)
            break;
    }
    ck_assert_uint_gt(n, 2);
    ck_assert_uint_lt(n, 100);
    peer_free(p);
}
END_TEST

static void note_place(void *arg, const char *path, bool named)
{
    char *list = arg;
    size_t n = strlen(list);
    snprintf(list + n, 2048 - n, "%s%s\n", named ? "!" : "", path);
}

/* Whoever locks the process in asks what calls read: the files of the environment are named as such. */
START_TEST(says_what_it_reads)
{
    char list[2048] = "";

    http_client_places(note_place, list);
    ck_assert_ptr_null(strchr(list, '!'));
    ck_assert_ptr_nonnull(strstr(list, "/etc/resolv.conf\n"));
    ck_assert_ptr_nonnull(strstr(list, "/etc/ssl/certs\n"));
    list[0] = '\0';
    setenv("SSL_CERT_FILE", "/x/bundle.pem", 1);
    setenv("CARES_HOSTS", "/x/hosts", 1);
    http_client_places(note_place, list);
    ck_assert_ptr_nonnull(strstr(list, "!/x/bundle.pem\n"));
    ck_assert_ptr_nonnull(strstr(list, "!/x/hosts\n"));
    setenv("SSL_CERT_FILE", "", 1);
    setenv("CARES_HOSTS", "", 1);
    list[0] = '\0';
    http_client_places(note_place, list);
    ck_assert_ptr_null(strchr(list, '!'));
}
END_TEST

static Suite *client_suite(void)
{
    Suite *s = suite_create("http/client");
    TCase *c = tcase_create("all");

    tcase_set_timeout(c, 60);
    tcase_add_unchecked_fixture(c, certs_make, certs_remove);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, gets_an_answer);
    tcase_add_test(c, says_what_it_reads);
    tcase_add_test(c, posts);
    tcase_add_loop_test(c, reads, 0, ARRAY_LEN(answers));
    tcase_add_loop_test(c, reads_byte_by_byte, 0, ARRAY_LEN(answers));
    tcase_add_loop_test(c, ends_what_has_no_end, 0, ARRAY_LEN(endless));
    tcase_add_test(c, trailers_have_an_end);
    tcase_add_loop_test(c, slow_bytes_do_not_move_the_deadline, 0, ARRAY_LEN(slow));
    tcase_add_test(c, silence_ends);
    tcase_add_test(c, nobody_reads);
    tcase_add_test(c, nobody_listens);
    tcase_add_test(c, connecting_has_a_deadline);
    tcase_add_test(c, every_address_has_its_turn);
    tcase_add_loop_test(c, is_not_sent, 0, ARRAY_LEN(bad_calls));
    tcase_add_test(c, no_password_in_a_url);
    tcase_add_test(c, head_has_no_body);
    tcase_add_test(c, refused_before_the_body_was_read);
    tcase_add_test(c, redirects);
    tcase_add_test(c, secrets_stay_at_home);
    tcase_add_test(c, http_by_proxy);
    tcase_add_test(c, around_the_proxy);
    tcase_add_test(c, upper_case_http_proxy_counts_nothing);
    tcase_add_loop_test(c, bad_proxies, 0, 5);
    tcase_add_test(c, https_by_proxy);
    tcase_add_loop_test(c, tunnels_that_fail, 0, ARRAY_LEN(tunnels));
    tcase_add_loop_test(c, tls, 0, ARRAY_LEN(tls_cases));
    tcase_add_loop_test(c, weak_tls, 0, ARRAY_LEN(weak_peers));
    tcase_add_test(c, tls_with_who_does_not_speak_it);
    tcase_add_test(c, leaves_no_https);
    tcase_add_test(c, whom_to_trust);
    tcase_add_loop_test(c, alerts_without_end, 0, ARRAY_LEN(in_session));
    tcase_add_loop_test(c, alerts_do_not_hold_a_call, 0, ARRAY_LEN(heaps));
    tcase_add_test(c, many_threads_one_client);
    tcase_add_test(c, cancelled);
    tcase_add_test(c, out_of_memory);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(client_suite)
