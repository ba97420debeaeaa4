/*
 * http/client.c - HTTP/1.1 calls: the request out, the answer in, one connection each.
 *
 * The steps of a call, each a function; redirects run them again with what is left of the time:
 *
 *     check_call      is what the caller asks for fit to be sent?
 *     choose_route    the target, and the proxy on the way to it
 *     open_route      connection, CONNECT through a proxy, TLS
 *     send_request    head and body
 *     read_head       interim answers, then the head that counts
 *     read_body       by the length that the head tells (RFC 9112, 6.3)
 *
 * An answer is read as strictly as a request, with one freedom that clients need: a line may end in
 * LF alone (RFC 9112, 2.2). What could be read in two ways is no answer.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "http/outbound.h"
#include "http/private.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TIMEOUT_MS         10000
#define CONNECT_TIMEOUT_MS 5000
#define HEAD_BYTES         (32 * KIB)
#define BODY_BYTES         MIB
#define MAX_INTERIM        16 /* answers before the answer */
#define MAX_USERINFO       KIB

struct http_client {
    struct http_trust *trust;
    /* Of the environment; NULL: there is none. */
    char *http_proxy, *https_proxy, *no_proxy;
    char *user_agent;
    int cancel_fd; /* an eventfd: can be read once the client was cancelled */
};

/* A call at work. */
struct call {
    const struct http_client *client;
    const struct http_call *ask; /* with its defaults filled in */
    struct arena *arena;
    struct err_detail *detail;
    uint64_t deadline_ms;
    struct target target;
    bool has_proxy, foreign; /* foreign: redirected to another origin */
    struct target proxy;
    struct dial dial;
};

/* The head of an answer. */
struct reply {
    int status;
    struct http_header *headers;
    unsigned nheaders;
    bool chunked, has_length;
    uint64_t length;
};

static enum err no_memory(struct err_detail *d)
{
    return err_set(d, ERR_NOMEM, 0, "an HTTP call");
}

/* ---- clients --------------------------------------------------------------------------------- */

/* A copy of the first of the variables that is set and not empty. False: out of memory. */
static bool copy_env(char **out, const char *name, const char *other)
{
    const char *value = getenv(name);

    if ((value == NULL || *value == '\0') && other != NULL)
        value = getenv(other);
    if (value == NULL || *value == '\0')
        return true;
    *out = strdup(value);
    return *out != NULL;
}

struct http_client *http_client_new(struct http_trust *trust, const char *user_agent)
{
    struct http_client *c;

    CHECK(trust != NULL); /* to dial_start_tls none means that anybody will do */
    c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->trust = trust;
    c->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (user_agent != NULL)
        c->user_agent = strdup(user_agent);
    if (c->cancel_fd < 0 || (user_agent != NULL && c->user_agent == NULL) ||
        !copy_env(&c->http_proxy, "http_proxy", NULL) ||
        !copy_env(&c->https_proxy, "https_proxy", "HTTPS_PROXY") ||
        !copy_env(&c->no_proxy, "no_proxy", "NO_PROXY")) {
        http_client_free(c);
        return NULL;
    }
    return c;
}

void http_client_free(struct http_client *c)
{
    if (c == NULL)
        return;
    free(c->http_proxy);
    free(c->https_proxy);
    free(c->no_proxy);
    free(c->user_agent);
    if (c->cancel_fd >= 0)
        close(c->cancel_fd);
    free(c);
}

void http_client_cancel(struct http_client *c)
{
    const uint64_t one = 1;
    ssize_t n;

    do
        n = write(c->cancel_fd, &one, sizeof one);
    while (n < 0 && errno == EINTR);
}

/* ---- what may be sent ------------------------------------------------------------------------ */

static bool is_method(str m)
{
    static const char *const known[] = {"GET", "HEAD", "OPTIONS", "POST", "DELETE", "PATCH", "PUT"};

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(m, str_from(known[i])))
            return true;
    return false;
}

static bool takes_body(str m)
{
    return str_eq(m, STR("POST")) || str_eq(m, STR("PUT")) || str_eq(m, STR("PATCH"));
}

static bool is_safe(str m) /* may be asked again elsewhere */
{
    return str_eq(m, STR("GET")) || str_eq(m, STR("HEAD"));
}

static bool is_token(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!http_is_token_char(s.p[i]))
            return false;
    return s.n > 0;
}

static bool is_value(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool is_one_of(str name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(name, str_from(names[i])))
            return true;
    return false;
}

static bool is_ours(str name)
{
    static const char *const ours[] = {
        "Host",    "Connection", "Content-Length", "Transfer-Encoding", "TE",
        "Trailer", "Upgrade",    "Expect",         "Keep-Alive",        "Proxy-Connection"};

    return is_one_of(name, ours, ARRAY_LEN(ours));
}

/* What another origin must not see. */
static bool is_secret(str name)
{
    static const char *const secret[] = {"Authorization", "Cookie", "Proxy-Authorization"};

    return is_one_of(name, secret, ARRAY_LEN(secret));
}

static bool has_header(const struct http_call *ask, str name)
{
    for (unsigned i = 0; i < ask->nheaders; i++)
        if (str_eq_nocase(ask->headers[i].name, name))
            return true;
    return false;
}

static enum err check_call(const struct http_call *ask, struct err_detail *d)
{
    if (!is_method(ask->method))
        return err_set(d, ERR_UNSUPPORTED, 0, "no HTTP method of this client: \"" STR_FMT "\"",
                       STR_ARG(str_sub(ask->method, 0, 32)));
    if (ask->body.n > 0 && !takes_body(ask->method))
        return err_set(d, ERR_SYNTAX, 0, "a " STR_FMT " has no body", STR_ARG(ask->method));
    for (unsigned i = 0; i < ask->nheaders; i++) {
        const struct http_header *h = &ask->headers[i];
        if (!is_token(h->name) || !is_value(h->value))
            return err_set(d, ERR_SYNTAX, 0,
                           "header %u of the call has a character that is not allowed", i + 1);
        if (is_ours(h->name))
            return err_set(d, ERR_SYNTAX, 0, "the header " STR_FMT " is not the caller's",
                           STR_ARG(h->name));
    }
    return OK;
}

static void fill_defaults(struct http_call *ask)
{
    if (str_none(ask->method))
        ask->method = STR("GET");
    if (ask->timeout_ms == 0)
        ask->timeout_ms = TIMEOUT_MS;
    if (ask->connect_timeout_ms == 0)
        ask->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (ask->max_head_bytes == 0)
        ask->max_head_bytes = HEAD_BYTES;
    if (ask->max_body_bytes == 0)
        ask->max_body_bytes = BODY_BYTES;
}

/* ---- the way there --------------------------------------------------------------------------- */

/* The proxy's URL as the environment has it; "host:port" is taken for http://host:port. */
static enum err parse_proxy(struct call *c, const char *text)
{
    str url = str_from(text);
    enum err e;

    if (str_find_str(url, STR("://")) == STR_NPOS)
        url = ARENA_JOIN(c->arena, STR("http://"), url);
    if (str_none(url))
        return no_memory(c->detail);
    e = target_parse(c->arena, url, &c->proxy, c->detail);
    if (e == ERR_NOMEM)
        return e;
    if (e != OK || c->proxy.tls) /* the text may hold a password */
        return err_set(c->detail, ERR_UNSUPPORTED, 0,
                       "the proxy that the environment names for %s is not "
                       "http://[user:password@]host[:port]",
                       c->target.tls ? "https" : "http");
    c->has_proxy = true;
    return OK;
}

static enum err choose_route(struct call *c)
{
    const char *proxy = c->target.tls ? c->client->https_proxy : c->client->http_proxy;

    c->has_proxy = false;
    if (!str_none(c->target.userinfo))
        return err_set(c->detail, ERR_SYNTAX, 0,
                       "bad URL: user and password do not belong there (send an Authorization "
                       "header)");
    if (proxy == NULL || proxy_excluded(str_from(c->client->no_proxy), &c->target))
        return OK;
    return parse_proxy(c, proxy);
}

/* Proxy-Authorization (RFC 9110, 11.7.2), if the proxy's URL has somebody to name. */
static enum err add_proxy_authorization(struct call *c, struct buf *b)
{
    str user, coded;

    if (str_none(c->proxy.userinfo) || c->proxy.userinfo.n > MAX_USERINFO)
        return str_none(c->proxy.userinfo)
                   ? OK
                   : err_set(c->detail, ERR_LIMIT, 0, "the proxy's user and password are too long");
    /* Decoded at once: a password may hold %3A, and the first colon divides all the same. */
    user = http_url_decode(c->arena, c->proxy.userinfo, false);
    if (str_none(user))
        return no_memory(c->detail);
    if (str_find(user, ':') == STR_NPOS)
        user = ARENA_JOIN(c->arena, user, STR(":"));
    coded = hash_base64_encode(c->arena, user);
    if (str_none(user) || str_none(coded))
        return no_memory(c->detail);
    buf_add_lit(b, "Proxy-Authorization: Basic ");
    buf_add_str(b, coded);
    buf_add_lit(b, "\r\n");
    return OK;
}

static enum err read_reply(struct call *c, size_t max_head_bytes, struct reply *out);

/* A tunnel through the proxy (RFC 9110, 9.3.6). */
static enum err connect_tunnel(struct call *c)
{
    str to = target_authority(c->arena, &c->target, true);
    struct reply reply;
    struct buf b;
    enum err e;

    if (str_none(to))
        return no_memory(c->detail);
    buf_init_arena(&b, c->arena, 8 * KIB);
    buf_add_lit(&b, "CONNECT ");
    buf_add_str(&b, to);
    buf_add_lit(&b, " HTTP/1.1\r\nHost: ");
    buf_add_str(&b, to);
    buf_add_lit(&b, "\r\n");
    e = add_proxy_authorization(c, &b);
    if (e != OK)
        return e;
    buf_add_lit(&b, "\r\n");
    if (buf_failed(&b))
        return no_memory(c->detail);
    e = dial_write(&c->dial, buf_str(&b), c->detail);
    if (e == OK)
        e = read_reply(c, c->ask->max_head_bytes, &reply);
    if (e == OK && (reply.status < 200 || reply.status > 299))
        e = err_set(c->detail, ERR_REFUSED, 0, "%s: the proxy answers %d to CONNECT " STR_FMT,
                    c->dial.peer, reply.status, STR_ARG(to));
    return e;
}

static enum err open_route(struct call *c)
{
    const struct target *next = c->has_proxy ? &c->proxy : &c->target;
    uint64_t connected = clock_mono_ms() + c->ask->connect_timeout_ms;
    enum err e;

    dial_init(&c->dial, MIN_OF(connected, c->deadline_ms));
    c->dial.cancel_fd = c->client->cancel_fd;
    e = dial_open(&c->dial, next->host, next->port, c->detail);
    if (e == OK && c->has_proxy && c->target.tls)
        e = connect_tunnel(c);
    if (e == OK && c->target.tls) {
        /* Through a tunnel it is the other end that speaks from now on. */
        dial_name_peer(&c->dial, c->target.host, c->target.port);
        e = dial_start_tls(&c->dial, c->client->trust, c->target.host, c->detail);
    }
    c->dial.deadline_ms = c->deadline_ms;
    return e;
}

/* ---- the request ----------------------------------------------------------------------------- */

static void add_header(struct buf *b, str name, str value)
{
    buf_add_str(b, name);
    buf_add_lit(b, ": ");
    buf_add_str(b, value);
    buf_add_lit(b, "\r\n");
}

static void add_call_headers(const struct call *c, struct buf *b)
{
    const struct http_call *ask = c->ask;

    for (unsigned i = 0; i < ask->nheaders; i++)
        if (!c->foreign || !is_secret(ask->headers[i].name))
            add_header(b, ask->headers[i].name, ask->headers[i].value);
    if (!has_header(ask, STR("Accept")))
        add_header(b, STR("Accept"), STR("*/*"));
    if (!has_header(ask, STR("Accept-Encoding")))
        add_header(b, STR("Accept-Encoding"), STR("identity"));
    if (c->client->user_agent != NULL && !has_header(ask, STR("User-Agent")))
        add_header(b, STR("User-Agent"), str_from(c->client->user_agent));
}

static enum err build_head(struct call *c, str *out)
{
    bool absolute = c->has_proxy && !c->target.tls; /* RFC 9112, 3.2.2 */
    str host = target_authority(c->arena, &c->target, false);
    struct buf b;
    enum err e = OK;

    if (str_none(host))
        return no_memory(c->detail);
    buf_init_arena(&b, c->arena, MIB);
    buf_add_str(&b, c->ask->method);
    buf_add_char(&b, ' ');
    if (absolute) {
        buf_add_lit(&b, "http://");
        buf_add_str(&b, host);
    }
    buf_add_str(&b, c->target.path);
    buf_add_lit(&b, " HTTP/1.1\r\n");
    add_header(&b, STR("Host"), host);
    add_header(&b, STR("Connection"), STR("close"));
    if (absolute)
        e = add_proxy_authorization(c, &b);
    if (e != OK)
        return e;
    add_call_headers(c, &b);
    if (takes_body(c->ask->method)) {
        buf_add_lit(&b, "Content-Length: ");
        buf_add_u64(&b, c->ask->body.n);
        buf_add_lit(&b, "\r\n");
    }
    buf_add_lit(&b, "\r\n");
    if (buf_failed(&b))
        return err_set(c->detail, b.err, 0, "the head of an HTTP call");
    *out = buf_str(&b);
    return OK;
}

/* A server that refuses a body may answer and close without reading it: then *cut is set, and the
 * answer tells more than the broken connection does. */
static enum err send_request(struct call *c, bool *cut)
{
    str head;
    enum err e = build_head(c, &head);

    *cut = false;
    if (e == OK)
        e = dial_write(&c->dial, head, c->detail);
    if (e == OK)
        e = dial_write(&c->dial, c->ask->body, c->detail);
    if (e == ERR_CLOSED && c->ask->body.n > 0)
        *cut = true;
    return e;
}

/* ---- the answer's head ----------------------------------------------------------------------- */

static enum err corrupt(const struct call *c, const char *what)
{
    return err_set(c->detail, ERR_CORRUPT, 0, "%s: no HTTP answer: %s", c->dial.peer, what);
}

/* A line of a head, copied, and counted against *left. */
static enum err head_line(struct call *c, size_t *left, str *line)
{
    str got;
    enum err e = dial_line(&c->dial, &got, c->detail);

    if (e != OK)
        return e;
    if (got.n + 2 > *left)
        return err_set(c->detail, ERR_LIMIT, 0, "%s: the answer's head is too large", c->dial.peer);
    *left -= got.n + 2;
    *line = arena_str(c->arena, got);
    return str_none(*line) ? no_memory(c->detail) : OK;
}

/* "HTTP/1.1 200 OK", of which the reason may be missing, and the space before it, too. */
static enum err parse_status(const struct call *c, str line, struct reply *r)
{
    static const char form[] = "HTTP/1.0 000"; /* 0 stands for a digit */

    if (line.n < sizeof form - 1)
        return corrupt(c, "no status line");
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == '0' ? !str_is_digit(line.p[i]) : line.p[i] != form[i])
            return corrupt(c, "no status line");
    if (line.n > sizeof form - 1 && line.p[sizeof form - 1] != ' ')
        return corrupt(c, "no status line");
    r->status = (line.p[9] - '0') * 100 + (line.p[10] - '0') * 10 + (line.p[11] - '0');
    return r->status < 100 || r->status > 599 ? corrupt(c, "a status that is none") : OK;
}

static enum err parse_field(const struct call *c, str line, struct http_header *f)
{
    str value = line, name = str_cut(&value, ':');

    if (str_none(value) || !is_token(name))
        return corrupt(c, "a header line without a name and a colon");
    if (!is_value(value))
        return corrupt(c, "a header's value with a character that is not allowed");
    *f = (struct http_header){name, str_trim(value)};
    return OK;
}

/* Several equal lengths count as one (RFC 9110, 8.6). */
static enum err note_length(const struct call *c, str value, struct reply *r)
{
    while (!str_none(value)) {
        str one = str_trim(str_cut(&value, ','));
        uint64_t v;

        if (str_to_u64(one, &v) != OK || v > INT64_MAX || (r->has_length && v != r->length))
            return corrupt(c, "Content-Length is not one number of bytes");
        r->has_length = true;
        r->length = v;
    }
    return OK;
}

static enum err note_coding(const struct call *c, str value, struct reply *r)
{
    if (r->chunked)
        return corrupt(c, "more than one transfer coding");
    if (!str_eq_nocase(value, STR("chunked")))
        return err_set(c->detail, ERR_UNSUPPORTED, 0,
                       "%s: answers with a transfer coding that is not chunked", c->dial.peer);
    r->chunked = true;
    return OK;
}

static enum err note_field(const struct call *c, const struct http_header *f, struct reply *r)
{
    if (str_eq_nocase(f->name, STR("Content-Length")))
        return note_length(c, f->value, r);
    if (str_eq_nocase(f->name, STR("Transfer-Encoding")))
        return note_coding(c, f->value, r);
    return OK;
}

static enum err read_fields(struct call *c, size_t *left, struct reply *r)
{
    for (;;) {
        struct http_header f;
        str line;
        enum err e = head_line(c, left, &line);

        if (e != OK || line.n == 0)
            return e;
        if (r->nheaders == HTTP_MAX_HEADERS)
            return err_set(c->detail, ERR_LIMIT, 0, "%s: the answer has too many headers",
                           c->dial.peer);
        e = parse_field(c, line, &f);
        if (e == OK)
            e = note_field(c, &f, r);
        if (e != OK)
            return e;
        r->headers[r->nheaders++] = f;
    }
}

/* The next final answer's head. `out` is set only when all of it is there. */
static enum err read_reply(struct call *c, size_t max_head_bytes, struct reply *out)
{
    struct reply r = {0};
    unsigned interim = 0;

    r.headers = ARENA_NEW_ARRAY(c->arena, struct http_header, HTTP_MAX_HEADERS);
    if (r.headers == NULL)
        return no_memory(c->detail);
    do {
        str line;
        enum err e = head_line(c, &max_head_bytes, &line);

        r = (struct reply){.headers = r.headers};
        if (e == OK)
            e = parse_status(c, line, &r);
        if (e == OK)
            e = read_fields(c, &max_head_bytes, &r);
        if (e != OK)
            return e;
        if (r.status == 101)
            return corrupt(c, "another protocol, for which nobody asked");
        if (++interim > MAX_INTERIM)
            return err_set(c->detail, ERR_LIMIT, 0, "%s: too many interim answers", c->dial.peer);
    } while (r.status < 200);
    if (r.chunked && r.has_length)
        return corrupt(c, "both Content-Length and Transfer-Encoding");
    *out = r;
    return OK;
}

/* ---- the answer's body ----------------------------------------------------------------------- */

static enum err too_large(const struct call *c)
{
    return err_set(c->detail, ERR_LIMIT, 0, "%s: the answer has more than %zu bytes", c->dial.peer,
                   c->ask->max_body_bytes);
}

static enum err cut_off(const struct call *c)
{
    return err_set(c->detail, ERR_CLOSED, 0, "%s: closed the connection inside its answer",
                   c->dial.peer);
}

/* Content-Length bytes. What follows them is nobody's. */
static enum err read_counted(struct call *c, uint64_t left, struct buf *b)
{
    while (left > 0) {
        char *p;
        size_t n, take;
        enum err e = dial_read(&c->dial, &p, &n, c->detail);

        if (e != OK)
            return e;
        if (n == 0)
            return cut_off(c);
        take = (size_t)MIN_OF(left, (uint64_t)n);
        buf_add(b, p, take);
        left -= take;
        if (buf_failed(b))
            return OK; /* read_body tells */
    }
    return OK;
}

static enum err read_chunked(struct call *c, struct buf *b)
{
    struct chunked decoder = {0};
    enum chunked_status s;

    do {
        char *p;
        size_t n, data, used;
        enum err e = dial_read(&c->dial, &p, &n, c->detail);

        if (e != OK)
            return e;
        if (n == 0)
            return cut_off(c);
        s = chunked_decode(&decoder, p, n, &data, &used);
        if (s == CHUNKED_BAD)
            return corrupt(c, "a chunk that is none");
        buf_add(b, p, data);
    } while (s == CHUNKED_MORE && !buf_failed(b));
    return OK;
}

static enum err read_to_end(struct call *c, struct buf *b)
{
    size_t n;

    do {
        char *p;
        enum err e = dial_read(&c->dial, &p, &n, c->detail);

        if (e != OK)
            return e;
        buf_add(b, p, n);
    } while (n > 0 && !buf_failed(b));
    return OK;
}

static enum err read_body(struct call *c, const struct reply *r, str *out)
{
    bool none = str_eq(c->ask->method, STR("HEAD")) || r->status == 204 || r->status == 304;
    struct buf b;
    enum err e;

    *out = STR("");
    if (none)
        return OK;
    if (r->has_length && r->length > c->ask->max_body_bytes)
        return too_large(c);
    buf_init_arena(&b, c->arena, c->ask->max_body_bytes);
    if (r->chunked)
        e = read_chunked(c, &b);
    else if (r->has_length)
        e = read_counted(c, r->length, &b);
    else
        e = read_to_end(c, &b);
    if (e == OK && buf_failed(&b))
        e = b.err == ERR_LIMIT ? too_large(c) : no_memory(c->detail);
    if (e == OK)
        *out = buf_str(&b);
    return e;
}

/* ---- the call -------------------------------------------------------------------------------- */

static enum err exchange_once(struct call *c, struct http_answer *out)
{
    struct err_detail cause;
    struct reply r;
    str body = STR("");
    bool cut = false;
    enum err e, sent;

    e = open_route(c);
    if (e != OK)
        return e;
    sent = send_request(c, &cut);
    if (sent != OK && !cut)
        return sent;
    if (cut && c->detail != NULL)
        cause = *c->detail;
    e = read_reply(c, c->ask->max_head_bytes, &r);
    if (e == OK)
        e = read_body(c, &r, &body);
    if (e != OK && cut) { /* what broke first */
        if (c->detail != NULL)
            *c->detail = cause;
        return sent;
    }
    if (e == OK)
        *out = (struct http_answer){r.status, r.headers, r.nheaders, body};
    return e;
}

static bool is_redirect(const struct http_answer *answer)
{
    return answer->status == 301 || answer->status == 302 || answer->status == 303 ||
           answer->status == 307 || answer->status == 308;
}

static enum err follow(struct call *c, str location)
{
    struct target from = c->target;
    char peer[sizeof c->dial.peer];
    enum err e;

    memcpy(peer, c->dial.peer, sizeof peer);
    e = target_follow(c->arena, &from, location, &c->target, NULL);
    if (e == ERR_NOMEM)
        return no_memory(c->detail);
    if (e != OK || !str_none(c->target.userinfo))
        return err_set(c->detail, ERR_CORRUPT, 0, "%s: redirects to what is no HTTP URL", peer);
    if (from.tls && !c->target.tls)
        return err_set(c->detail, ERR_REFUSED, 0, "%s: redirects from https to http", peer);
    c->foreign |= !target_same_origin(&from, &c->target);
    return OK;
}

static enum err run(struct call *c, struct http_answer *out)
{
    unsigned redirects = is_safe(c->ask->method) ? c->ask->max_redirects : 0;

    for (unsigned n = 0;; n++) {
        struct http_answer answer;
        enum err e = choose_route(c);
        str location;

        if (e == OK) {
            e = exchange_once(c, &answer);
            dial_close(&c->dial);
        }
        if (e != OK)
            return e;
        location = http_answer_header(&answer, STR("Location"));
        if (redirects == 0 || !is_redirect(&answer) || str_none(location)) {
            *out = answer;
            return OK;
        }
        if (n == redirects)
            return err_set(c->detail, ERR_LIMIT, 0, "%s: more than %u redirects", c->dial.peer,
                           redirects);
        e = follow(c, location);
        if (e != OK)
            return e;
    }
}

enum err http_client_call(struct http_client *client, const struct http_call *ask, struct arena *a,
                          struct http_answer *out, struct err_detail *d)
{
    struct http_call filled = *ask;
    struct call c = {.client = client, .ask = &filled, .arena = a, .detail = d};
    enum err e;

    fill_defaults(&filled);
    c.deadline_ms = clock_mono_ms() + filled.timeout_ms;
    e = check_call(&filled, d);
    if (e == OK)
        e = target_parse(a, filled.url, &c.target, d);
    return e == OK ? run(&c, out) : e;
}

str http_answer_header(const struct http_answer *answer, str name)
{
    for (unsigned i = 0; i < answer->nheaders; i++)
        if (str_eq_nocase(answer->headers[i].name, name))
            return answer->headers[i].value;
    return STR_NONE;
}
