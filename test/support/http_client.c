/*
 * test/support/http_client.c - see http_client.h.
 *
 * A connection reads into one growing buffer; a reply is cut off its front. TLS is a child process
 * (openssl s_client) between two ends of a socket pair, so that the tests share no TLS code with
 * the server.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/support/http_client.h"

struct http_conn {
    int fd;
    pid_t tls; /* the openssl process, or 0 */
    int timeout_ms;
    char *in;
    size_t n, cap;
    bool ended; /* the peer has closed */
};

const char *http_result_text(enum http_result r)
{
    static const char *const text[] = {
        "a reply",          "closed by the peer", "cut off by the peer",
        "no reply in time", "not HTTP",           "refused"};
    return text[r];
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static int connect_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof a.sun_path)
        return -1;
    memcpy(a.sun_path, path, n + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Cuts "http://host:port/..." into its parts; brackets of IPv6 addresses are taken off. */
static bool split_url(const char *url, char host[128], char port[16])
{
    const char *p = strstr(url, "://");
    if (!p)
        return false;
    p += 3;
    const char *end = p + strcspn(p, "/");
    const char *colon = end;
    while (colon > p && *colon != ':' && *colon != ']')
        colon--;
    const char *host_end = *colon == ':' ? colon : end;
    snprintf(port, 16, "%.*s", (int)(end - host_end - 1), host_end + 1);
    if (*p == '[')
        snprintf(host, 128, "%.*s", (int)(host_end - p - 2), p + 1);
    else
        snprintf(host, 128, "%.*s", (int)(host_end - p), p);
    return host_end < end;
}

static int connect_tcp(const char *url)
{
    char host[128], port[16];
    if (!split_url(url, host, port))
        return -1;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return -1;
    int fd = -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    int one = 1;
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int connect_tls(const char *url, const char *ca, pid_t *pid)
{
    char host[128], port[16], target[160];
    if (!split_url(url, host, port))
        return -1;
    snprintf(target, sizeof target, "%s:%s", host, port);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return -1;
    *pid = fork();
    if (*pid == 0) {
        dup2(pair[1], 0);
        dup2(pair[1], 1);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        close(pair[0]);
        close(pair[1]);
        execlp("openssl", "openssl", "s_client", "-quiet", "-verify_return_error", "-verify_ip",
               host, "-CAfile", ca, "-connect", target, (char *)NULL);
        _exit(127);
    }
    close(pair[1]);
    if (*pid < 0) {
        close(pair[0]);
        return -1;
    }
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    return pair[0];
}

struct http_conn *http_open(const char *url, const char *ca, int timeout_ms)
{
    signal(SIGPIPE, SIG_IGN);
    pid_t tls = 0;
    int fd;
    if (strncmp(url, "unix:", 5) == 0)
        fd = connect_unix(url + 5);
    else if (strncmp(url, "https:", 6) == 0)
        fd = connect_tls(url, ca, &tls);
    else
        fd = connect_tcp(url);
    if (fd < 0)
        return NULL;
    struct http_conn *c = calloc(1, sizeof *c);
    CHECK(c);
    c->fd = fd;
    c->tls = tls;
    c->timeout_ms = timeout_ms;
    return c;
}

void http_close(struct http_conn *c)
{
    if (!c)
        return;
    close(c->fd);
    if (c->tls > 0) {
        kill(c->tls, SIGKILL);
        waitpid(c->tls, NULL, 0);
    }
    free(c->in);
    free(c);
}

void http_abort(struct http_conn *c)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    http_close(c);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static bool wait_for(struct http_conn *c, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - now_ms();
        struct pollfd p = {.fd = c->fd, .events = events};
        int got = poll(&p, 1, left > 0 ? (int)left : 0);
        if (got > 0)
            return true;
        if (got == 0 || errno != EINTR)
            return false;
    }
}

bool http_send(struct http_conn *c, const void *p, size_t n)
{
    int64_t deadline = now_ms() + c->timeout_ms;
    const char *at = p;
    while (n) {
        ssize_t put = send(c->fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put > 0) {
            at += put;
            n -= (size_t)put;
        } else if (put < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        } else if (!wait_for(c, POLLOUT, deadline)) {
            return false;
        }
    }
    return true;
}

void http_send_end(struct http_conn *c)
{
    shutdown(c->fd, SHUT_WR);
}

/* Reads some more: HTTP_GOT, HTTP_CLOSED, HTTP_LATE or HTTP_REFUSED (a reset counts as closed). */
static enum http_result fill(struct http_conn *c, int64_t deadline)
{
    if (c->ended)
        return HTTP_CLOSED;
    if (c->cap - c->n < 4096) {
        c->cap = c->cap ? c->cap * 2 : 16384;
        c->in = realloc(c->in, c->cap);
        CHECK(c->in);
    }
    if (!wait_for(c, POLLIN, deadline))
        return HTTP_LATE;
    ssize_t got = recv(c->fd, c->in + c->n, c->cap - c->n - 1, 0);
    if (got < 0 && errno != ECONNRESET)
        return HTTP_REFUSED;
    if (got <= 0) {
        c->ended = true;
        return HTTP_CLOSED;
    }
    c->n += (size_t)got;
    return HTTP_GOT;
}

/* Takes n bytes off the front. */
static void consume(struct http_conn *c, size_t n)
{
    memmove(c->in, c->in + n, c->n - n);
    c->n -= n;
}

static enum http_result need(struct http_conn *c, size_t n, int64_t deadline)
{
    while (c->n < n) {
        enum http_result r = fill(c, deadline);
        if (r != HTTP_GOT)
            return r == HTTP_CLOSED ? HTTP_CUT : r;
    }
    return HTTP_GOT;
}

/* Bytes up to and with the first `end`; its length goes to *n. */
static enum http_result need_until(struct http_conn *c, const char *end, size_t *n,
                                   int64_t deadline)
{
    for (;;) {
        const char *at = c->n ? memmem(c->in, c->n, end, strlen(end)) : NULL;
        if (at) {
            *n = (size_t)(at - c->in) + strlen(end);
            return HTTP_GOT;
        }
        enum http_result r = fill(c, deadline);
        if (r != HTTP_GOT)
            return r == HTTP_CLOSED && c->n ? HTTP_CUT : r;
    }
}

/* ---- replies --------------------------------------------------------------------------------- */

void http_reply_fini(struct http_reply *r)
{
    free(r->head);
    free(r->body);
    *r = (struct http_reply){0};
}

static const char *find_header(const struct http_reply *r, const char *name, const char *after)
{
    size_t n = strlen(name);
    const char *line = strchr(after ? after : r->head, '\n');
    for (; line; line = strchr(line + 1, '\n'))
        if (strncasecmp(line + 1, name, n) == 0 && line[1 + n] == ':')
            return line + 1 + n + 1;
    return NULL;
}

const char *http_reply_header(const struct http_reply *r, const char *name)
{
    static _Thread_local char ring[8][4096];
    static _Thread_local unsigned next;
    const char *v = r->head ? find_header(r, name, NULL) : NULL;
    if (!v)
        return NULL;
    v += strspn(v, " \t");
    char *out = ring[next++ % ARRAY_LEN(ring)];
    snprintf(out, sizeof ring[0], "%.*s", (int)strcspn(v, "\r\n"), v);
    return out;
}

int http_reply_header_count(const struct http_reply *r, const char *name)
{
    int count = 0;
    for (const char *v = find_header(r, name, NULL); v; v = find_header(r, name, v))
        count++;
    return count;
}

static void append_body(struct http_reply *r, const char *p, size_t n)
{
    r->body = realloc(r->body, r->body_n + n + 1);
    CHECK(r->body);
    if (n)
        memcpy(r->body + r->body_n, p, n);
    r->body_n += n;
    r->body[r->body_n] = '\0';
}

static enum http_result read_chunks(struct http_conn *c, struct http_reply *r, int64_t deadline)
{
    for (;;) {
        size_t line;
        enum http_result res = need_until(c, "\r\n", &line, deadline);
        if (res != HTTP_GOT)
            return res == HTTP_CLOSED ? HTTP_CUT : res;
        if (!isxdigit((unsigned char)c->in[0]))
            return HTTP_GARBLED;
        size_t n = strtoul(c->in, NULL, 16);
        consume(c, line);
        res = need(c, n + 2, deadline);
        if (res != HTTP_GOT)
            return res;
        append_body(r, c->in, n);
        if (memcmp(c->in + n, "\r\n", 2) != 0)
            return HTTP_GARBLED;
        consume(c, n + 2);
        if (n == 0)
            return HTTP_GOT;
    }
}

static enum http_result read_body(struct http_conn *c, struct http_reply *r, int64_t deadline)
{
    const char *length = http_reply_header(r, "Content-Length");
    if (r->chunked)
        return read_chunks(c, r, deadline);
    if (length) {
        size_t n = strtoul(length, NULL, 10);
        enum http_result res = need(c, n, deadline);
        if (res != HTTP_GOT)
            return res;
        append_body(r, c->in, n);
        consume(c, n);
        return HTTP_GOT;
    }
    r->close = true;
    enum http_result res;
    while ((res = fill(c, deadline)) == HTTP_GOT)
        ;
    if (res != HTTP_CLOSED)
        return res;
    append_body(r, c->in, c->n);
    c->n = 0;
    return HTTP_GOT;
}

/* The head into r; false: not HTTP/1.x. */
static bool take_head(struct http_conn *c, size_t n, struct http_reply *r)
{
    r->head = malloc(n + 1);
    CHECK(r->head);
    memcpy(r->head, c->in, n);
    r->head[n] = '\0';
    consume(c, n);
    if (sscanf(r->head, "HTTP/1.%d %d", &r->minor, &r->status) != 2)
        return false;
    const char *conn = http_reply_header(r, "Connection");
    const char *coding = http_reply_header(r, "Transfer-Encoding");
    r->close = conn ? strcasecmp(conn, "close") == 0 : r->minor == 0;
    r->chunked = coding && strcasecmp(coding, "chunked") == 0;
    return true;
}

enum http_result http_read(struct http_conn *c, bool no_body, struct http_reply *r)
{
    int64_t deadline = now_ms() + c->timeout_ms;
    http_reply_fini(r);
    size_t head;
    enum http_result res = need_until(c, "\r\n\r\n", &head, deadline);
    if (res != HTTP_GOT)
        return res;
    if (!take_head(c, head, r))
        return HTTP_GARBLED;
    append_body(r, "", 0);
    if (no_body || r->status < 200 || r->status == 204 || r->status == 304)
        return HTTP_GOT;
    return read_body(c, r, deadline);
}

enum http_result http_wait_close(struct http_conn *c)
{
    if (c->n)
        return HTTP_GOT;
    return fill(c, now_ms() + c->timeout_ms);
}
