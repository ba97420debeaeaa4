/*
 * http/parse.c - the head of a request (RFC 9112, strict).
 *
 * Stateless and without memory of its own: the caller shows all the bytes that it has, and gets one
 * of three answers. The results point into the caller's buffer. No byte at or behind p + n is read.
 *
 * Strictness is what keeps two servers in a row from disagreeing on where a request ends. So lines
 * end in CR LF and nowhere else, names are tokens directly followed by a colon, folded lines are
 * refused, there is one Host, and the body's length is said in exactly one way:
 *
 *     Content-Length   once, digits only, fitting 63 bits; never together with Transfer-Encoding
 *     Transfer-Encoding  once, HTTP/1.1 only, exactly "chunked" (another coding: 501)
 *     neither          no body
 *
 * What is tolerated: empty lines before the request line (RFC 9112, 2.2), bytes from 0x80 up in
 * targets and values, and targets in absolute form, whose host then replaces the Host header's.
 */
#include "base/bytes.h"
#include "http/private.h"

enum { TOKEN = 1, TARGET = 2, HOST = 4 };

#define T TOKEN
#define U TARGET
#define A (TOKEN | TARGET | HOST)
static const uint8_t char_class[256] = {
    ['0' ... '9'] = A,
    ['A' ... 'Z'] = A,
    ['a' ... 'z'] = A,
    /* sub-delims and unreserved that are token characters too */
    ['!'] = A,
    ['$'] = A,
    ['%'] = A,
    ['&'] = A,
    ['\''] = A,
    ['*'] = A,
    ['+'] = A,
    ['-'] = A,
    ['.'] = A,
    ['_'] = A,
    ['~'] = A,
    ['#'] = T,
    ['^'] = T | U,
    ['`'] = T | U,
    ['|'] = T | U,
    ['"'] = U,
    ['('] = U | HOST,
    [')'] = U | HOST,
    [','] = U | HOST,
    ['/'] = U,
    [':'] = U,
    [';'] = U | HOST,
    ['<'] = U,
    ['='] = U | HOST,
    ['>'] = U,
    ['?'] = U,
    ['@'] = U,
    ['['] = U,
    ['\\'] = U,
    [']'] = U,
    ['{'] = U,
    ['}'] = U,
    [0x80 ... 0xff] = U,
};
#undef T
#undef U
#undef A

/* What the header lines have said so far. */
struct noted {
    struct http_header *host;
    bool content_length, transfer_encoding;
    bool close, keep_alive; /* words of Connection */
};

struct cursor {
    const char *p, *end;
    struct head *h;
    struct noted noted;
};

static bool is(char c, int class)
{
    return (char_class[(unsigned char)c] & class) != 0;
}

bool http_is_token_char(char c)
{
    return is(c, TOKEN);
}

bool http_is_token(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is(s.p[i], TOKEN))
            return false;
    return s.n > 0;
}

/* RFC 3986 has more names than can be looked up (net_host_is_name); a request with one of them is
 * well-formed all the same. */
bool http_is_host(str s)
{
    struct net_host h;
    uint16_t port;

    if (!net_host_split(s, &h) || (h.port.n > 0 && !net_port_parse(h.port, &port)))
        return false;
    for (size_t i = 0; i < h.host.n; i++)
        if (!is(h.host.p[i], HOST) && !(h.literal && h.host.p[i] == ':'))
            return false;
    return true;
}

static enum parse_status bad(struct head *h, int status, const char *reason)
{
    h->status = status;
    h->reason = reason;
    return PARSE_BAD;
}

/* CR LF at the cursor: DONE and passed, MORE, or BAD. */
static enum parse_status line_end(struct cursor *c)
{
    if (c->p == c->end)
        return PARSE_MORE;
    if (*c->p != '\r')
        return bad(c->h, 400, "A line does not end in CR LF.");
    if (c->p + 1 == c->end)
        return PARSE_MORE;
    if (c->p[1] != '\n')
        return bad(c->h, 400, "A CR is not followed by LF.");
    c->p += 2;
    return PARSE_DONE;
}

/* ---- the request line -------------------------------------------------------------------- */

static enum parse_status parse_method(struct cursor *c)
{
    const char *start = c->p;

    while (c->p < c->end && is(*c->p, TOKEN))
        c->p++;
    if (c->p == c->end)
        return PARSE_MORE;
    if (*c->p != ' ' || c->p == start)
        return bad(c->h, 400, "The request line does not begin with a method.");
    c->h->method = (str){start, (size_t)(c->p - start)};
    c->p++;
    return PARSE_DONE;
}

static enum parse_status parse_target(struct cursor *c, size_t max)
{
    const char *start = c->p;

    while (c->p < c->end && is(*c->p, TARGET))
        c->p++;
    if ((size_t)(c->p - start) > max)
        return bad(c->h, 414, "The request target is too long.");
    if (c->p == c->end)
        return PARSE_MORE;
    if (*c->p == '\r' || *c->p == '\n')
        return bad(c->h, 400, "The request line has no HTTP version.");
    if (*c->p != ' ' || c->p == start)
        return bad(c->h, 400, "The request target has a character that is not allowed.");
    c->h->target = (str){start, (size_t)(c->p - start)};
    c->p++;
    return PARSE_DONE;
}

static enum parse_status parse_version(struct cursor *c)
{
    static const char form[] = "HTTP/0.0"; /* 0 stands for a digit */

    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (c->p + i == c->end)
            return PARSE_MORE;
        if (form[i] == '0' ? c->p[i] < '0' || c->p[i] > '9' : c->p[i] != form[i])
            return bad(c->h, 400, "The request line does not end in an HTTP version.");
    }
    if (c->p[5] != '1' || c->p[7] > '1')
        return bad(c->h, 505, "The HTTP version is neither 1.0 nor 1.1.");
    c->h->minor = (unsigned)(c->p[7] - '0');
    c->p += sizeof form - 1;
    return line_end(c);
}

/* "http://host/path?query": the authority goes to *host, and `target` loses all before the path. */
static enum parse_status cut_absolute(struct head *h, str *host)
{
    str t = h->target;
    size_t scheme = str_find_str(t, STR("://"));
    size_t n;

    if (scheme == STR_NPOS || (!str_eq_nocase(str_sub(t, 0, scheme), STR("http")) &&
                               !str_eq_nocase(str_sub(t, 0, scheme), STR("https"))))
        return bad(h, 400, "The request target is neither a path nor an HTTP URL.");
    t = str_drop(t, scheme + 3);
    for (n = 0; n < t.n && t.p[n] != '/' && t.p[n] != '?'; n++)
        continue;
    *host = str_sub(t, 0, n);
    if (n == 0 || !http_is_host(*host))
        return bad(h, 400, "The request target has no valid host.");
    h->target = n < t.n ? str_drop(t, n) : STR("/");
    return PARSE_DONE;
}

static enum parse_status split_target(struct head *h, str *host)
{
    size_t q;

    if (str_eq(h->target, STR("*")) && str_eq(h->method, STR("OPTIONS"))) {
        h->path = h->target;
        return PARSE_DONE;
    }
    if (h->target.p[0] != '/' && cut_absolute(h, host) != PARSE_DONE)
        return PARSE_BAD;
    q = str_find(h->target, '?');
    h->path = q == STR_NPOS ? h->target : str_sub(h->target, 0, q);
    h->query = q == STR_NPOS ? STR_NONE : str_drop(h->target, q + 1);
    if (h->path.n == 0)
        h->path = STR("/");
    return PARSE_DONE;
}

static enum parse_status parse_request_line(struct cursor *c, size_t max_target, str *host)
{
    enum parse_status s;

    while (c->p < c->end && *c->p == '\r') {
        s = line_end(c);
        if (s != PARSE_DONE)
            return s;
    }
    if ((s = parse_method(c)) != PARSE_DONE || (s = parse_target(c, max_target)) != PARSE_DONE)
        return s;
    s = split_target(c->h, host);
    return s == PARSE_DONE ? parse_version(c) : s;
}

/* ---- header lines ------------------------------------------------------------------------ */

/* Is one of the eight bytes below 0x20, or 0x7f? */
static bool suspicious(uint64_t w)
{
    return (bytes_below(w, 0x20) | bytes_equal(w, 0x7f)) != 0;
}

static bool bytes_ok(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* No control characters but tabs (RFC 9110, 5.5). */
static bool value_ok(const char *p, size_t n)
{
    uint64_t w;

    for (; n >= sizeof w; p += sizeof w, n -= sizeof w) {
        memcpy(&w, p, sizeof w);
        if (UNLIKELY(suspicious(w)) && !bytes_ok(p, sizeof w))
            return false;
    }
    return bytes_ok(p, n);
}

static str trim_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    while (p < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (str){p, (size_t)(end - p)};
}

static enum parse_status note_host(struct cursor *c, struct http_header *f)
{
    if (c->noted.host != NULL)
        return bad(c->h, 400, "There is more than one Host header.");
    if (!http_is_host(f->value))
        return bad(c->h, 400, "The Host header is not a host.");
    c->noted.host = f;
    return PARSE_DONE;
}

static enum parse_status note_content_length(struct cursor *c, struct http_header *f)
{
    uint64_t v = 0;

    if (c->noted.content_length)
        return bad(c->h, 400, "There is more than one Content-Length header.");
    for (size_t i = 0; i < f->value.n; i++) {
        unsigned digit = (unsigned)(unsigned char)f->value.p[i] - '0';
        if (digit > 9 || v > ((uint64_t)INT64_MAX - digit) / 10)
            return bad(c->h, 400, "The Content-Length header is not a number of bytes.");
        v = v * 10 + digit;
    }
    if (f->value.n == 0)
        return bad(c->h, 400, "The Content-Length header is empty.");
    c->noted.content_length = true;
    c->h->content_length = v;
    return PARSE_DONE;
}

static enum parse_status note_transfer_encoding(struct cursor *c, struct http_header *f)
{
    str rest = f->value;
    unsigned codings = 0, chunked = 0;

    if (c->noted.transfer_encoding)
        return bad(c->h, 400, "There is more than one Transfer-Encoding header.");
    while (!str_none(rest)) {
        str coding = str_trim(str_cut(&rest, ','));
        codings++;
        chunked += str_eq_nocase(coding, STR("chunked"));
        if (coding.n == 0)
            return bad(c->h, 400, "The Transfer-Encoding header has an empty member.");
    }
    if (chunked > 1)
        return bad(c->h, 400, "The body is chunked more than once.");
    if (codings != 1 || chunked != 1)
        return bad(c->h, 501, "The only transfer coding that is understood is chunked.");
    c->noted.transfer_encoding = true;
    c->h->chunked = true;
    return PARSE_DONE;
}

static enum parse_status note_connection(struct cursor *c, const struct http_header *f)
{
    str rest = f->value;

    while (!str_none(rest)) {
        str word = str_trim(str_cut(&rest, ','));
        c->noted.close |= str_eq_nocase(word, STR("close"));
        c->noted.keep_alive |= str_eq_nocase(word, STR("keep-alive"));
    }
    return PARSE_DONE;
}

static enum parse_status note_expect(struct cursor *c, const struct http_header *f)
{
    if (!str_eq_nocase(f->value, STR("100-continue")))
        return bad(c->h, 417, "The only expectation that is understood is 100-continue.");
    c->h->expect_continue = c->h->minor == 1; /* RFC 9110, 10.1.1: not from 1.0 */
    return PARSE_DONE;
}

/* The few headers that the server itself looks at. The length tells most others apart. */
static enum parse_status note_header(struct cursor *c, struct http_header *f)
{
    switch (f->name.n) {
    case 4:
        return str_eq_nocase(f->name, STR("host")) ? note_host(c, f) : PARSE_DONE;
    case 6:
        return str_eq_nocase(f->name, STR("expect")) ? note_expect(c, f) : PARSE_DONE;
    case 10:
        return str_eq_nocase(f->name, STR("connection")) ? note_connection(c, f) : PARSE_DONE;
    case 14:
        return str_eq_nocase(f->name, STR("content-length")) ? note_content_length(c, f)
                                                             : PARSE_DONE;
    case 17:
        return str_eq_nocase(f->name, STR("transfer-encoding")) ? note_transfer_encoding(c, f)
                                                                : PARSE_DONE;
    default:
        return PARSE_DONE;
    }
}

/* One header line at the cursor. */
static enum parse_status parse_header(struct cursor *c, struct http_header *f)
{
    const char *start = c->p;
    const char *cr;

    while (c->p < c->end && is(*c->p, TOKEN))
        c->p++;
    if (c->p == c->end)
        return PARSE_MORE;
    if (*c->p != ':' || c->p == start)
        return bad(c->h, 400, "A header line does not begin with a name and a colon.");
    f->name = (str){start, (size_t)(c->p - start)};
    c->p++;
    cr = memchr(c->p, '\r', (size_t)(c->end - c->p));
    if (!value_ok(c->p, (size_t)((cr != NULL ? cr : c->end) - c->p)))
        return bad(c->h, 400, "A header's value has a character that is not allowed.");
    if (cr == NULL)
        return PARSE_MORE;
    f->value = trim_blanks(c->p, cr);
    c->p = cr;
    return line_end(c);
}

static enum parse_status parse_headers(struct cursor *c, struct http_header *headers)
{
    enum parse_status s;

    for (;;) {
        struct http_header *f = &headers[c->h->nheaders];
        if (c->p == c->end)
            return PARSE_MORE;
        if (*c->p == '\r')
            return line_end(c);
        if (c->h->nheaders == HTTP_MAX_HEADERS)
            return bad(c->h, 431, "There are too many headers.");
        if ((s = parse_header(c, f)) != PARSE_DONE || (s = note_header(c, f)) != PARSE_DONE)
            return s;
        c->h->nheaders++;
    }
}

/* ---- the whole --------------------------------------------------------------------------- */

/* What can only be judged when all the headers are known. */
static enum parse_status conclude(struct cursor *c, str absolute_host)
{
    struct head *h = c->h;

    if (c->noted.content_length && c->noted.transfer_encoding)
        return bad(h, 400, "There are both Content-Length and Transfer-Encoding.");
    if (c->noted.transfer_encoding && h->minor == 0)
        return bad(h, 400, "HTTP/1.0 has no Transfer-Encoding.");
    if (c->noted.host == NULL && h->minor == 1)
        return bad(h, 400, "There is no Host header.");
    if (c->noted.host != NULL && !str_none(absolute_host))
        c->noted.host->value = absolute_host; /* RFC 9112, 3.2.2 */
    h->keep_alive = !c->noted.close && (h->minor == 1 || c->noted.keep_alive);
    return PARSE_DONE;
}

/*
 * Is there an end of a head among the bytes from `seen` on? Spares a slow client's head from being
 * parsed again for each byte of it; a bare LF is refused here already.
 */
static enum parse_status look_for_end(const char *p, size_t n, size_t seen, struct head *h)
{
    const char *lf = p + seen;

    while ((lf = memchr(lf, '\n', n - (size_t)(lf - p))) != NULL) {
        size_t at = (size_t)(lf - p);
        if (at == 0 || lf[-1] != '\r')
            return bad(h, 400, "A line does not end in CR LF.");
        if (at == 1 || (at >= 3 && lf[-2] == '\n'))
            return PARSE_DONE;
        lf++;
    }
    return PARSE_MORE;
}

static enum parse_status parse_all(const char *p, size_t n, size_t max_target,
                                   struct http_header *headers, struct head *h)
{
    struct cursor c = {.p = p, .end = p + n, .h = h};
    str absolute_host = STR_NONE;
    enum parse_status s = parse_request_line(&c, max_target, &absolute_host);

    if (s == PARSE_DONE)
        s = parse_headers(&c, headers);
    if (s != PARSE_DONE)
        return s;
    h->bytes = (size_t)(c.p - p);
    return conclude(&c, absolute_host);
}

enum parse_status parse_head(const char *p, size_t n, size_t seen,
                             const struct parse_limits *limits, struct http_header *headers,
                             struct head *h)
{
    enum parse_status s = PARSE_DONE;

    *h = (struct head){0};
    if (seen > 0)
        s = look_for_end(p, n, seen, h);
    if (s == PARSE_DONE)
        s = parse_all(p, n, limits->max_target_bytes, headers, h);
    if (s == PARSE_MORE ? n >= limits->max_head_bytes
                        : s == PARSE_DONE && h->bytes > limits->max_head_bytes)
        return bad(h, 431, "The request's head is too large.");
    return s;
}
