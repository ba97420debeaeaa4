/*
 * http/client.c - HTTP/1.1 calls: the way there and the request, one connection each.
 *
 * The steps of a call, each a function; redirects run them again with what is left of the time:
 *
 *     check_call      is what the caller asks for fit to be sent?
 *     choose_route    the target, and the proxy on the way to it
 *     open_route      connection, CONNECT through a proxy, TLS
 *     send_request    head and body
 *     client_read_*   the answer (client_reply.c)
 *     follow          where a redirect leads
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/settings.h"
#include "http/outbound.h"
#include "http/private.h"

#define TIMEOUT_MS         10000
#define CONNECT_TIMEOUT_MS 5000
#define HEAD_BYTES         (32 * KIB)
#define BODY_BYTES         MIB
#define MAX_USERINFO       KIB

struct http_client {
    struct http_trust *trust;
    /* Of the environment; NULL: there is none. */
    char *http_proxy, *https_proxy, *no_proxy;
    char *user_agent;
    const struct http_cancel *cancel; /* or NULL */
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

struct http_client *http_client_new(struct http_trust *trust, const struct http_cancel *cancel,
                                    const char *user_agent)
{
    struct http_client *c;

    CHECK(trust != NULL);
    c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->trust = trust;
    c->cancel = cancel;
    if (user_agent != NULL)
        c->user_agent = strdup(user_agent);
    if ((user_agent != NULL && c->user_agent == NULL) ||
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
    free(c);
}

/* ---- what may be sent ------------------------------------------------------------------------ */

static bool is_method(str m)
{
    static const str known[] = {STR_INIT("GET"),  STR_INIT("HEAD"),   STR_INIT("OPTIONS"),
                                STR_INIT("POST"), STR_INIT("DELETE"), STR_INIT("PATCH"),
                                STR_INIT("PUT")};

    return str_is_one_of(m, known, ARRAY_LEN(known));
}

static bool takes_body(str m)
{
    return str_eq(m, STR("POST")) || str_eq(m, STR("PUT")) || str_eq(m, STR("PATCH"));
}

static bool is_safe(str m) /* may be asked again elsewhere */
{
    return str_eq(m, STR("GET")) || str_eq(m, STR("HEAD"));
}

static bool is_ours(str name)
{
    static const str ours[] = {STR_INIT("Host"),
                               STR_INIT("Connection"),
                               STR_INIT("Content-Length"),
                               STR_INIT("Transfer-Encoding"),
                               STR_INIT("TE"),
                               STR_INIT("Trailer"),
                               STR_INIT("Upgrade"),
                               STR_INIT("Expect"),
                               STR_INIT("Keep-Alive"),
                               STR_INIT("Proxy-Connection")};

    return str_is_one_of_nocase(name, ours, ARRAY_LEN(ours));
}

/* What another origin must not see. */
static bool is_secret(str name)
{
    static const str secret[] = {STR_INIT("Authorization"), STR_INIT("Cookie"),
                                 STR_INIT("Proxy-Authorization")};

    return str_is_one_of_nocase(name, secret, ARRAY_LEN(secret));
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
        return err_set(d, ERR_UNSUPPORTED, 0, "no HTTP method of this client: \"%s\"",
                       settings_quote(str_sub(ask->method, 0, 32)).text);
    if (ask->body.n > 0 && !takes_body(ask->method))
        return err_set(d, ERR_SYNTAX, 0, "a " STR_FMT " has no body", STR_ARG(ask->method));
    for (unsigned i = 0; i < ask->nheaders; i++) {
        const struct http_header *h = &ask->headers[i];
        if (!http_is_token(h->name) || !client_value_valid(h->value))
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

static struct client_source source_of(struct call *c)
{
    return (struct client_source){
        .dial = &c->dial,
        .arena = c->arena,
        .max_head_bytes = c->ask->max_head_bytes,
        .max_body_bytes = c->ask->max_body_bytes,
        .detail = c->detail,
    };
}

/* A tunnel through the proxy (RFC 9110, 9.3.6). */
static enum err connect_tunnel(struct call *c)
{
    str to = target_authority(c->arena, &c->target, true);
    struct client_source source = source_of(c);
    struct client_reply reply;
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
        e = client_read_head(&source, &reply);
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

    dial_init(&c->dial, MIN_OF(connected, c->deadline_ms), c->client->cancel);
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

/* ---- the call -------------------------------------------------------------------------------- */

static enum err exchange_once(struct call *c, struct http_answer *out)
{
    struct client_source source = source_of(c);
    bool head = str_eq(c->ask->method, STR("HEAD"));
    struct err_detail cause;
    struct client_reply r;
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
    e = client_read_head(&source, &r);
    if (e == OK)
        e = client_read_body(&source, &r, head, &body);
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

void http_client_places(http_place_fn *each, void *arg)
{
    resolve_places(each, arg);
    trust_places(each, arg);
}
