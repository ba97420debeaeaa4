/*
 * http/send.c - responses on their way out.
 *
 * What a connection still has to send is, in this order,
 *
 *     out[out_at..]        bytes that the kernel did not take at an earlier try (malloc'd)
 *     loop->out[0, out_n)  heads and small bodies gathered in this run of the connection
 *     body_rest            a large body, borrowed from the request
 *
 * Invariants:
 *  1. loop->out belongs to the connection that is being run, and is empty between two runs:
 *     send_flush() sends it or moves what is left to `out`.
 *  2. While body_rest is not empty nothing more is queued, and its request is kept.
 *
 * So the ordinary response is put together in memory that is always warm and leaves by one send();
 * pipelined responses leave together; only a client that does not read costs memory of its own,
 * and that is bounded (OUT_MAX_BYTES).
 */
#include "base/clock.h"
#include "base/decimal.h"
#include "http/private.h"

#define COPIED_BODY_BYTES (16 * KIB) /* up to here copying is cheaper than a second iovec */
#define MAX_HEAD_BYTES    (32 * KIB) /* of a response */
#define SHARE_BYTES       (64 * KIB) /* of a large body in one turn */

_Static_assert(OUT_BYTES >= MAX_HEAD_BYTES + COPIED_BODY_BYTES, "one response fits");

static const struct {
    int status;
    const char *line;
} status_lines[] = {
#define S(code, text)                                                                              \
    {                                                                                              \
        code, "HTTP/1.1 " #code " " text "\r\n"                                                    \
    }
    S(200, "OK"),
    S(201, "Created"),
    S(202, "Accepted"),
    S(204, "No Content"),
    S(206, "Partial Content"),
    S(301, "Moved Permanently"),
    S(302, "Found"),
    S(303, "See Other"),
    S(304, "Not Modified"),
    S(307, "Temporary Redirect"),
    S(308, "Permanent Redirect"),
    S(400, "Bad Request"),
    S(401, "Unauthorized"),
    S(403, "Forbidden"),
    S(404, "Not Found"),
    S(405, "Method Not Allowed"),
    S(406, "Not Acceptable"),
    S(408, "Request Timeout"),
    S(409, "Conflict"),
    S(410, "Gone"),
    S(411, "Length Required"),
    S(412, "Precondition Failed"),
    S(413, "Content Too Large"),
    S(414, "URI Too Long"),
    S(415, "Unsupported Media Type"),
    S(416, "Range Not Satisfiable"),
    S(417, "Expectation Failed"),
    S(422, "Unprocessable Content"),
    S(428, "Precondition Required"),
    S(429, "Too Many Requests"),
    S(431, "Request Header Fields Too Large"),
    S(500, "Internal Server Error"),
    S(501, "Not Implemented"),
    S(502, "Bad Gateway"),
    S(503, "Service Unavailable"),
    S(504, "Gateway Timeout"),
    S(505, "HTTP Version Not Supported"),
    S(507, "Insufficient Storage"),
#undef S
};

static str status_line(int status, char space[32])
{
    int n;

    for (size_t i = 0; i < ARRAY_LEN(status_lines); i++)
        if (status_lines[i].status == status)
            return str_from(status_lines[i].line);
    n = snprintf(space, 32, "HTTP/1.1 %d Status\r\n", status);
    return (str){space, (size_t)n};
}

void send_clock(struct loop *l)
{
    int64_t second = clock_wall_ms() / 1000;
    const char *name = l->server->server_name;
    char date[30];
    int n;

    if (second == l->date_second && l->date_n > 0)
        return;
    clock_http_date(second, date);
    n = name != NULL ? snprintf(l->date, sizeof l->date, "Date: %s\r\nServer: %s\r\n", date, name)
                     : snprintf(l->date, sizeof l->date, "Date: %s\r\n", date);
    CHECK(n > 0 && (size_t)n < sizeof l->date); /* server.c bounds the name */
    l->date_n = (size_t)n;
    l->date_second = second;
}

/* ---- the queue --------------------------------------------------------------------------- */

/* Takes what `out` has grown by out of the purse. */
static bool pay(struct conn *c)
{
    size_t more = c->out.cap - c->out_taken;

    if (more > 0 && !purse_holder_take(&c->held, more))
        return false;
    c->out_taken += more;
    return true;
}

static void out_release(struct conn *c)
{
    buf_fini(&c->out);
    c->out_at = 0;
    purse_holder_give_back(&c->held, c->out_taken);
    c->out_taken = 0;
}

/* Moves what is left of the gathered bytes (from `from` on) out of the loop's buffer. */
static bool spill(struct conn *c, size_t from)
{
    struct loop *l = c->loop;
    size_t n = l->out_n - from;

    l->out_n = 0;
    if (n == 0)
        return true;
    if (c->out.n == 0)
        buf_init(&c->out, OUT_MAX_BYTES);
    buf_add(&c->out, l->out + from, n);
    return !buf_failed(&c->out) && pay(c);
}

/* The parts of the queue in order, of the body no more than `share`; returns how many there are. */
static int collect(const struct conn *c, size_t gathered_at, size_t share, struct iovec v[3])
{
    const struct loop *l = c->loop;
    int n = 0;

    if (c->out.n > c->out_at)
        v[n++] = (struct iovec){c->out.p + c->out_at, c->out.n - c->out_at};
    if (l->out_n > gathered_at)
        v[n++] = (struct iovec){l->out + gathered_at, l->out_n - gathered_at};
    if (c->body_rest.n > 0)
        v[n++] = (struct iovec){(void *)(uintptr_t)c->body_rest.p,
                                MIN_OF(c->body_rest.n, MAX_OF(share, (size_t)1))};
    return n;
}

/* The first `n` bytes of the queue are sent. */
static void consume(struct conn *c, size_t *gathered_at, size_t n)
{
    size_t part = MIN_OF(n, c->out.n - c->out_at);

    if (c->timer_kind == TIMER_SEND) /* not while a body comes, whose bytes are due then */
        c->due -= MIN_OF(n, c->due);
    c->out_at += part;
    n -= part;
    if (c->out.n > 0 && c->out_at == c->out.n)
        out_release(c);
    part = MIN_OF(n, c->loop->out_n - *gathered_at);
    *gathered_at += part;
    c->body_rest = str_drop(c->body_rest, n - part);
}

/* The kernel takes megabytes at once, which is a millisecond: then others get their turn. */
static ssize_t write_share(struct conn *c, const struct iovec *v, int n, size_t *share)
{
    ssize_t r;

    if (*share == 0 && n == 1 && c->body_rest.n > 0) { /* only the body is left */
        loop_make_ready(c);
        return IO_AGAIN;
    }
    r = c->transport->write(c, v, n);
    *share -= MIN_OF(*share, (size_t)MAX_OF(r, (ssize_t)0));
    return r;
}

int send_flush(struct conn *c)
{
    size_t gathered_at = 0, share = SHARE_BYTES;
    struct iovec v[3];
    int n;

    while ((n = collect(c, gathered_at, share, v)) > 0) {
        ssize_t r = write_share(c, v, n, &share);
        if (r == IO_AGAIN) {
            if (c->due == 0 && c->timer_kind == TIMER_SEND)
                loop_timer_stop(c); /* enough went: the time-out begins anew */
            return spill(c, gathered_at) ? IO_AGAIN : IO_ERROR;
        }
        if (r < 0) {
            send_drop(c);
            return IO_ERROR;
        }
        consume(c, &gathered_at, (size_t)r);
    }
    c->loop->out_n = 0;
    return 1;
}

void send_drop(struct conn *c)
{
    c->loop->out_n = 0; /* invariant 1: it is this connection's, or empty */
    out_release(c);
    c->body_rest = STR_NONE;
}

bool send_may_gather(const struct conn *c)
{
    return c->body_rest.n == 0 && c->out.n == 0 &&
           OUT_BYTES - c->loop->out_n >= MAX_HEAD_BYTES + COPIED_BODY_BYTES;
}

/* Room for n bytes behind what is queued. Bytes that do not fit are flushed or moved before. */
static char *room(struct conn *c, size_t n)
{
    struct loop *l = c->loop;

    if (OUT_BYTES - l->out_n < n && send_flush(c) == IO_ERROR)
        return NULL;
    return l->out + l->out_n;
}

bool send_interim(struct conn *c, str bytes)
{
    char *p = room(c, bytes.n);

    if (p == NULL)
        return false;
    memcpy(p, bytes.p, bytes.n);
    c->loop->out_n += bytes.n;
    return true;
}

/* ---- response heads ---------------------------------------------------------------------- */

static char *put(char *p, str s)
{
    if (s.n > 0) /* an empty value may have no pointer */
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static char *put_header(char *p, const struct http_header *f)
{
    p = put(p, f->name);
    p = put(p, STR(": "));
    p = put(p, f->value);
    return put(p, STR("\r\n"));
}

/* At least the bytes that put_head() writes; more than MAX_HEAD_BYTES means too many. */
static size_t head_bound(const struct http_response *res)
{
    size_t n = 512; /* status line, Content-Length, Connection, Date, Server and HSTS */

    for (unsigned i = 0; i < res->nheaders && n <= MAX_HEAD_BYTES; i++)
        n += MIN_OF(res->headers[i].name.n, MAX_HEAD_BYTES) +
             MIN_OF(res->headers[i].value.n, MAX_HEAD_BYTES) + 4;
    return n;
}

static bool is_unsaid(const struct http_req *req)
{
    return req->res.length_unsaid && str_eq(req->method, STR("HEAD"));
}

static char *put_head(struct conn *c, char *p)
{
    const struct exchange *ex = c->ex;
    const struct http_response *res = &ex->req.res;
    char space[32];

    p = put(p, status_line(res->status, space));
    for (unsigned i = 0; i < res->nheaders; i++)
        p = put_header(p, &res->headers[i]);
    if (http_has_length(res->status) && !is_unsaid(&ex->req)) {
        p = put(p, STR("Content-Length: "));
        p = decimal_put_u64(p, res->body.n);
        p = put(p, STR("\r\n"));
    }
    if (c->close_after)
        p = put(p, STR("Connection: close\r\n"));
    else if (ex->req.minor == 0)
        p = put(p, STR("Connection: keep-alive\r\n"));
    p = put(p, (str){c->loop->date, c->loop->date_n});
    if (c->use == USE_SERVE_TLS) /* who came without TLS is not told (RFC 6797, 7.2) */
        p = put(p, str_from(c->loop->server->hsts));
    return put(p, STR("\r\n"));
}

/* A response that cannot be sent as it is becomes a 500. */
static void mend(struct conn *c)
{
    struct http_response *res = &c->ex->req.res;

    if (!res->overflow && res->status >= 200 && res->status <= 999 &&
        head_bound(res) <= MAX_HEAD_BYTES)
        return;
    res->status = 500;
    res->nheaders = 0;
    res->body = STR("");
    c->close_after = true;
}

bool send_response(struct conn *c)
{
    struct exchange *ex = c->ex;
    struct http_response *res = &ex->req.res;
    bool bodyless = str_eq(ex->req.method, STR("HEAD")) || !http_has_length(res->status);
    size_t n;
    char *p;

    mend(c);
    n = head_bound(res);
    if (!bodyless && res->body.n > 0 && res->body.n <= COPIED_BODY_BYTES)
        n += res->body.n;
    p = room(c, n);
    if (p == NULL)
        return false;
    p = put_head(c, p);
    if (!bodyless && res->body.n > 0) {
        if (res->body.n <= COPIED_BODY_BYTES)
            p = put(p, res->body);
        else
            c->body_rest = res->body;
    }
    c->loop->out_n = (size_t)(p - c->loop->out);
    return true;
}
