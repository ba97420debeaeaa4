/*
 * test/unit/http/server_test.h - a server inside the test process, with an application that echoes,
 * parks and misbehaves on demand, and a client that sends exactly the bytes it is told to.
 *
 * The application, by path:
 *     /echo      "METHOD target|body" with the request's arena as the body's owner
 *     /big?N     N bytes of a pattern                /status?N   status N with a body "x"
 *     /large?N   N bytes, or 503 without memory
 *     /park      is kept until test_release()        /twice      parks two times
 *     /free      responds, and responds to all that is parked on the same loop
 *     /headers?N N headers                           /breaks     a header with a line break
 *     /long      a header of 40,000 bytes            /close      asks for the end of the connection
 *     /join      the joined values of header X       /peer       who asks
 *     /hold      keeps the loop from all else until test_let_go()
 *     /order     "order N.": it is the N-th request that the application was given
 *     /host      the value of header Host            /app-data   "some" or "none": is app_data set?
 *
 * Waiting is always for a condition, with TEST_MS as the deadline.
 */
#ifndef TEST_UNIT_HTTP_SERVER_TEST_H
#define TEST_UNIT_HTTP_SERVER_TEST_H

#include "base/clock.h"
#include "base/log.h"
#include "http/http.h"
#include "test/support/unit.h"
#include "test/support/wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TEST_MS      10000
#define MAX_PARKED   2048
#define UNUSED       __attribute__((unused))
#define CLIENT_BYTES (512 * 1024)

/* ---- the application --------------------------------------------------------------------- */

struct test_app {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_req *parked[MAX_PARKED];
    unsigned nparked, nresumed, nrefused, nstarted, nstopped;
    unsigned nhandled;
    unsigned nheld; /* /hold: the loop stands still */
    bool let_go;
    unsigned nsmuggled; /* of these with a path that begins with /smuggled */
    bool fail_start;
    bool own_refusals; /* the app fills them in */
};

static void app_text(struct http_req *req, int status, str body)
{
    req->res.status = status;
    req->res.body = body;
    http_respond(req);
}

static char test_pattern(size_t i)
{
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static void app_big(struct http_req *req, size_t n)
{
    char *p = arena_alloc(req->arena, n);

    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < n; i++)
        p[i] = test_pattern(i);
    app_text(req, 200, (str){p, n});
}

static void app_park(struct test_app *app, struct http_req *req)
{
    pthread_mutex_lock(&app->lock);
    ck_assert_uint_lt(app->nparked, MAX_PARKED);
    app->parked[app->nparked++] = req;
    pthread_cond_broadcast(&app->changed);
    pthread_mutex_unlock(&app->lock);
}

static void app_free_parked(struct test_app *app)
{
    pthread_mutex_lock(&app->lock);
    for (unsigned i = 0; i < app->nparked; i++)
        app_text(app->parked[i], 200, STR("freed"));
    app->nparked = 0;
    pthread_mutex_unlock(&app->lock);
}

/* The loop does nothing else until test_let_go(). */
static void app_hold(struct test_app *app, struct http_req *req)
{
    pthread_mutex_lock(&app->lock);
    app->nheld++;
    pthread_cond_broadcast(&app->changed);
    while (!app->let_go)
        pthread_cond_wait(&app->changed, &app->lock);
    pthread_mutex_unlock(&app->lock);
    app_text(req, 200, STR("held"));
}

/* The how-manieth request it is of all. */
static void app_order(struct test_app *app, struct http_req *req)
{
    pthread_mutex_lock(&app->lock);
    unsigned n = app->nhandled;
    pthread_mutex_unlock(&app->lock);
    app_text(req, 200, arena_printf(req->arena, "order %u.", n));
}

static void app_headers(struct http_req *req, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        http_header_add(&req->res, STR("X-Filler"), STR("y"));
    app_text(req, 200, STR("headers"));
}

static void app_long(struct http_req *req)
{
    char *p = arena_alloc(req->arena, 40000);

    ck_assert_ptr_nonnull(p);
    memset(p, 'h', 40000);
    http_header_add(&req->res, STR("X-Long"), (str){p, 40000});
    app_text(req, 200, STR("long"));
}

static void app_echo(struct http_req *req)
{
    str parts[] = {req->method, STR(" "), req->target, STR("|"), req->body};
    str all = arena_concat(req->arena, parts, ARRAY_LEN(parts));

    if (str_none(all)) {
        app_text(req, 503, STR("no memory"));
        return;
    }
    http_header_add(&req->res, STR("Content-Type"), STR("text/plain"));
    app_text(req, 200, all);
}

static void app_handle(void *loop_ctx, struct http_req *req)
{
    struct test_app *app = loop_ctx;
    uint64_t n = 0;

    pthread_mutex_lock(&app->lock);
    app->nhandled++;
    app->nsmuggled += str_starts(req->path, STR("/smuggled"));
    pthread_mutex_unlock(&app->lock);

    if (arena_failed(req->arena)) {
        app_text(req, 503, STR("no memory"));
        return;
    }
    if (!str_none(req->query) && str_to_u64(req->query, &n) != OK)
        n = 0;
    if (str_eq(req->path, STR("/park")) || str_eq(req->path, STR("/twice"))) {
        app_park(app, req);
    } else if (str_eq(req->path, STR("/free"))) {
        app_free_parked(app);
        app_text(req, 200, STR("free"));
    } else if (str_eq(req->path, STR("/hold"))) {
        app_hold(app, req);
    } else if (str_eq(req->path, STR("/order"))) {
        app_order(app, req);
    } else if (str_eq(req->path, STR("/big"))) {
        app_big(req, (size_t)n);
    } else if (str_eq(req->path, STR("/large"))) {
        char *p = arena_zalloc(req->arena, (size_t)n);
        app_text(req, p != NULL ? 200 : 503, p != NULL ? (str){p, (size_t)n} : STR("no memory"));
    } else if (str_eq(req->path, STR("/status"))) {
        app_text(req, (int)n, STR("x"));
    } else if (str_eq(req->path, STR("/headers"))) {
        app_headers(req, n);
    } else if (str_eq(req->path, STR("/breaks"))) {
        http_header_add(&req->res, STR("X"), STR("a\r\nSet-Cookie: b"));
        app_text(req, 200, STR("breaks"));
    } else if (str_eq(req->path, STR("/long"))) {
        app_long(req);
    } else if (str_eq(req->path, STR("/close"))) {
        req->res.close = true;
        app_text(req, 200, STR("closing"));
    } else if (str_eq(req->path, STR("/join"))) {
        http_header_add(&req->res, STR("X-Empty"), STR_NONE);
        app_text(req, 200, http_header_get(req, STR("x")));
    } else if (str_eq(req->path, STR("/host"))) {
        app_text(req, 200, http_header_get(req, STR("HOST")));
    } else if (str_eq(req->path, STR("/app-data"))) {
        app_text(req, 200, req->app_data == NULL ? STR("none") : STR("some"));
    } else if (str_eq(req->path, STR("/peer"))) {
        app_text(req, 200, req->peer);
    } else {
        app_echo(req);
    }
}

static void app_resume(void *loop_ctx, struct http_req *req)
{
    struct test_app *app = loop_ctx;

    pthread_mutex_lock(&app->lock);
    app->nresumed++;
    pthread_cond_broadcast(&app->changed);
    pthread_mutex_unlock(&app->lock);
    if (str_eq(req->path, STR("/twice")) && req->app_data == NULL) {
        req->app_data = app;
        app_park(app, req);
        return;
    }
    app_echo(req);
}

static void app_refuse(void *loop_ctx, struct http_req *req, const char *reason)
{
    struct test_app *app = loop_ctx;

    pthread_mutex_lock(&app->lock);
    app->nrefused++;
    pthread_mutex_unlock(&app->lock);
    req->res.body = arena_printf(req->arena, "refused %d: %s", req->res.status, reason);
}

static void *app_start(void *ctx, unsigned index)
{
    struct test_app *app = ctx;
    bool fail = app->fail_start && index == 1;

    pthread_mutex_lock(&app->lock);
    app->nstarted++;
    pthread_mutex_unlock(&app->lock);
    return fail ? NULL : app;
}

static void app_stop(void *loop_ctx)
{
    struct test_app *app = loop_ctx;

    pthread_mutex_lock(&app->lock);
    app->nstopped++;
    pthread_mutex_unlock(&app->lock);
}

static void test_app_init(struct test_app *app)
{
    *app = (struct test_app){.own_refusals = true};
    pthread_mutex_init(&app->lock, NULL);
    pthread_cond_init(&app->changed, NULL);
}

/* Waits until *counter (guarded by the app's lock) is at least n. */
static UNUSED void test_wait(struct test_app *app, const unsigned *counter, unsigned n)
{
    struct timespec until;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += TEST_MS / 1000;
    pthread_mutex_lock(&app->lock);
    while (*counter < n && r == 0)
        r = pthread_cond_timedwait(&app->changed, &app->lock, &until);
    pthread_mutex_unlock(&app->lock);
    ck_assert_msg(r == 0, "waited in vain for %u", n);
}

static UNUSED void test_let_go(struct test_app *app)
{
    pthread_mutex_lock(&app->lock);
    app->let_go = true;
    pthread_cond_broadcast(&app->changed);
    pthread_mutex_unlock(&app->lock);
}

/* Resumes everything that is parked, from this thread; returns how many. */
static UNUSED unsigned test_release(struct test_app *app)
{
    struct http_req *reqs[MAX_PARKED];
    unsigned n;

    pthread_mutex_lock(&app->lock);
    n = app->nparked;
    memcpy(reqs, app->parked, n * sizeof reqs[0]);
    app->nparked = 0;
    pthread_mutex_unlock(&app->lock);
    for (unsigned i = 0; i < n; i++) {
        http_make_way(reqs[i], i % 2); /* of no consequence, but for when who runs */
        http_resume(reqs[i]);
    }
    return n;
}

/* ---- the server -------------------------------------------------------------------------- */

struct fixture {
    struct test_app app;
    struct http_options o;
    struct http_listen listen[2];
    struct http_server *server;
    uint16_t port;
};

/* Options for one loop on a free port of 127.0.0.1; the test may change them before test_start().
 */
static void test_prepare(struct fixture *f)
{
    *f = (struct fixture){.server = NULL};
    test_app_init(&f->app);
    f->listen[0] = (struct http_listen){.host = STR("127.0.0.1")};
    f->o = (struct http_options){
        .listen = f->listen,
        .nlisten = 1,
        .loops = 1,
        .server_name = "test",
        .app = {.ctx = &f->app,
                .loop_start = app_start,
                .loop_stop = app_stop,
                .handle = app_handle,
                .resume = app_resume,
                .refuse = app_refuse},
    };
}

static void test_start(struct fixture *f)
{
    struct err_detail d = {.text = ""};

    ck_assert_msg(http_server_start(&f->server, &f->o, &d) == OK, "%s", d.text);
    f->port = http_server_port(f->server, 0);
}

static UNUSED void test_stop(struct fixture *f)
{
    http_server_stop(f->server);
    f->server = NULL;
}

/* What the process, the server in it, has used of the processors so far. */
static UNUSED uint64_t test_cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Waits until exactly n connections are open. */
static UNUSED void test_wait_open(const struct fixture *f, unsigned n)
{
    uint64_t until = clock_mono_ms() + TEST_MS;
    struct http_stats s;

    do {
        http_server_stats(f->server, &s);
        if (s.open_connections == n)
            return;
        wait_tick();
    } while (clock_mono_ms() < until);
    ck_abort_msg("%u connections are open, not %u", s.open_connections, n);
}

/* ---- the client -------------------------------------------------------------------------- */

struct client {
    int fd;
    char *buf; /* CLIENT_BYTES; [at, at + n) is received and not yet taken */
    size_t at, n;
};

struct reply {
    int status;
    char head[64 * 1024]; /* NUL-terminated */
    str body;             /* malloc'd by reply_read; freed by the next one, or reply_free */
    char *body_mem;
};

/* From 127.0.0.`from`. */
static int test_connect_from(uint16_t port, unsigned from)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct timeval t = {TEST_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    own.sin_addr.s_addr = htonl((INADDR_LOOPBACK & 0xffffff00u) | from);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static int test_connect(uint16_t port)
{
    return test_connect_from(port, 1);
}

/* A connection to the socket address `a` of n bytes; -1: nobody is there. */
static int test_try_connect(const void *a, socklen_t n)
{
    int fd = socket(((const struct sockaddr *)a)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    if (connect(fd, a, n) == 0)
        return fd;
    close(fd);
    return -1;
}

static UNUSED int test_try_connect_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    ck_assert_uint_lt(strlen(path), sizeof a.sun_path);
    memcpy(a.sun_path, path, strlen(path));
    return test_try_connect(&a, sizeof a);
}

static void client_adopt(struct client *c, int fd)
{
    c->fd = fd;
    c->at = c->n = 0;
    c->buf = malloc(CLIENT_BYTES);
    ck_assert_ptr_nonnull(c->buf);
}

static UNUSED void client_open(struct client *c, const struct fixture *f)
{
    client_adopt(c, test_connect(f->port));
}

/* What is written in pieces does not wait for the peer's word on the first of them. */
static UNUSED void say_at_once(int fd)
{
    int one = 1;

    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
}

/* A small receive buffer: what the reader takes out of it is soon seen on the other side (a large one tells
 * in steps of a sixteenth). */
static UNUSED void read_narrowly(int fd)
{
    int bytes = 64 * 1024;

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
}

static UNUSED void client_close(struct client *c)
{
    close(c->fd);
    free(c->buf);
    c->buf = NULL;
}

/* False when the peer has closed. */
static bool client_try_send(struct client *c, str bytes)
{
    while (bytes.n > 0) {
        ssize_t r = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (r < 0)
            return false;
        bytes = str_drop(bytes, (size_t)r);
    }
    return true;
}

static UNUSED void client_send(struct client *c, str bytes)
{
    ck_assert_msg(client_try_send(c, bytes), "send: %s", strerror(errno));
}

#define client_say(c, text) client_send((c), STR(text))

static UNUSED void client_send_bytewise(struct client *c, str bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        client_send(c, str_sub(bytes, i, 1));
}

/* Receives something more; 0 at the end of file. */
static size_t client_fill(struct client *c)
{
    ssize_t r;

    ck_assert_uint_lt(c->n, CLIENT_BYTES);
    if (c->at > CLIENT_BYTES / 2 || c->n == 0) {
        memmove(c->buf, c->buf + c->at, c->n);
        c->at = 0;
    }
    r = recv(c->fd, c->buf + c->at + c->n, CLIENT_BYTES - c->at - c->n, 0);
    ck_assert_msg(r >= 0, "recv: %s", strerror(errno));
    c->n += (size_t)r;
    return (size_t)r;
}

static void client_take(struct client *c, size_t n)
{
    c->at += n;
    c->n -= n;
}

static UNUSED bool reply_has(const struct reply *r, const char *text)
{
    return strstr(r->head, text) != NULL;
}

static UNUSED void reply_free(struct reply *r)
{
    free(r->body_mem);
    r->body_mem = NULL;
}

static size_t reply_length(const struct reply *r)
{
    const char *p = strstr(r->head, "\r\nContent-Length: ");

    return p != NULL ? strtoul(p + 18, NULL, 10) : 0;
}

/* The empty line; looked for nearby first, since sanitizers look at all the bytes named. */
static const char *head_end(const struct client *c)
{
    const char *end = memmem(c->buf + c->at, MIN_OF(c->n, (size_t)500), "\r\n\r\n", 4);

    return end != NULL ? end : memmem(c->buf + c->at, c->n, "\r\n\r\n", 4);
}

/* Reads one response, `body`: with the body that its Content-Length announces. */
static UNUSED void reply_read(struct client *c, struct reply *r, bool body)
{
    const char *end;
    size_t n, want, got = 0;

    while ((end = head_end(c)) == NULL)
        ck_assert_msg(client_fill(c) > 0, "closed before a whole response (%zu bytes)", c->n);
    n = (size_t)(end - c->buf - c->at) + 4;
    ck_assert_uint_lt(n, sizeof r->head);
    memcpy(r->head, c->buf + c->at, n);
    r->head[n] = '\0';
    client_take(c, n);
    ck_assert_int_eq(strncmp(r->head, "HTTP/1.1 ", 9), 0);
    r->status = (int)strtol(r->head + 9, NULL, 10);
    want = body ? reply_length(r) : 0;
    reply_free(r);
    r->body_mem = malloc(want + 1);
    ck_assert_ptr_nonnull(r->body_mem);
    while (got < want) {
        size_t part = MIN_OF(want - got, c->n);
        memcpy(r->body_mem + got, c->buf + c->at, part);
        client_take(c, part);
        got += part;
        if (got < want)
            ck_assert_msg(client_fill(c) > 0, "closed inside a body");
    }
    r->body = (str){r->body_mem, want};
}

/* Reads one response and compares. */
static UNUSED void expect_reply(struct client *c, int status, const char *body)
{
    static struct reply r;

    reply_read(c, &r, true);
    ck_assert_int_eq(r.status, status);
    if (body != NULL)
        ck_assert_str_is(r.body, body);
}

/* The server has closed and sent nothing before. A reset counts as well when `or_reset`. */
static UNUSED void expect_end(struct client *c, bool or_reset)
{
    char more[16];
    ssize_t r;

    ck_assert_uint_eq(c->n, 0);
    r = recv(c->fd, more, sizeof more, 0);
    ck_assert_msg(r == 0 || (or_reset && r < 0 && errno == ECONNRESET), "not closed: %zd %s", r,
                  r < 0 ? strerror(errno) : "");
}

/* The connection serves another request. */
static UNUSED void expect_alive(struct client *c)
{
    client_say(c, "GET /alive HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(c, 200, "GET /alive|");
}

/* Who asks? `peer`. Closes fd. */
static UNUSED void expect_peer(int fd, const char *peer)
{
    struct client who;

    ck_assert_int_ge(fd, 0);
    client_adopt(&who, fd);
    client_say(&who, "GET /peer HTTP/1.1\r\nHost: h\r\n\r\n");
    expect_reply(&who, 200, peer);
    client_close(&who);
}

/* ---- the frame of a suite ------------------------------------------------------------------------ */

/* The server that was prepared, and one client of it; and the end of both. */
static UNUSED void test_begin(struct fixture *f, struct client *c)
{
    test_start(f);
    client_open(c, f);
}

static UNUSED void test_end(struct fixture *f, struct client *c, struct reply *got)
{
    client_close(c);
    reply_free(got);
    test_stop(f);
}

/* A case of the suite, with a fixture and a time-out for each of its tests. */
static UNUSED TCase *test_case(Suite *s, const char *name, SFun setup, SFun teardown,
                               double seconds)
{
    TCase *t = tcase_create(name);

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, seconds);
    suite_add_tcase(s, t);
    return t;
}

#endif
