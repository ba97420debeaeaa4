/*
 * http/client_reply.c - the answer to a call: interim answers, the head that counts, and the body by
 * the length that the head tells (RFC 9112, 6.3).
 *
 * It is read as strictly as a request, with one freedom that clients need: a line may end in LF alone
 * (RFC 9112, 2.2). What could be read in two ways is no answer. Whoever answers is not trusted: head,
 * body and the number of interim answers are limited, and nothing is taken that is not all there.
 */
#include "http/outbound.h"
#include "http/private.h"

#define MAX_INTERIM 16 /* answers before the answer */

static enum err no_memory(struct err_detail *d)
{
    return err_set(d, ERR_NOMEM, 0, "an HTTP call");
}

bool client_value_valid(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

/* ---- the answer's head ----------------------------------------------------------------------- */

static enum err corrupt(const struct client_source *from, const char *what)
{
    return err_set(from->detail, ERR_CORRUPT, 0, "%s: no HTTP answer: %s", from->dial->peer, what);
}

/* A line of a head, copied, and counted against *left. */
static enum err head_line(const struct client_source *from, size_t *left, str *line)
{
    str got;
    enum err e = dial_line(from->dial, &got, from->detail);

    if (e != OK)
        return e;
    if (got.n + 2 > *left)
        return err_set(from->detail, ERR_LIMIT, 0, "%s: the answer's head is too large",
                       from->dial->peer);
    *left -= got.n + 2;
    *line = arena_str(from->arena, got);
    return str_none(*line) ? no_memory(from->detail) : OK;
}

/* "HTTP/1.1 200 OK", of which the reason may be missing, and the space before it, too. */
static enum err parse_status(const struct client_source *from, str line, struct client_reply *r)
{
    static const char form[] = "HTTP/1.0 000"; /* 0 stands for a digit */

    if (line.n < sizeof form - 1)
        return corrupt(from, "no status line");
    for (size_t i = 0; i < sizeof form - 1; i++)
        if (form[i] == '0' ? !str_is_digit(line.p[i]) : line.p[i] != form[i])
            return corrupt(from, "no status line");
    if (line.n > sizeof form - 1 && line.p[sizeof form - 1] != ' ')
        return corrupt(from, "no status line");
    r->status = (line.p[9] - '0') * 100 + (line.p[10] - '0') * 10 + (line.p[11] - '0');
    return r->status < 100 || r->status > 599 ? corrupt(from, "a status that is none") : OK;
}

static enum err parse_field(const struct client_source *from, str line, struct http_header *f)
{
    str value = line, name = str_cut(&value, ':');

    if (str_none(value) || !http_is_token(name))
        return corrupt(from, "a header line without a name and a colon");
    if (!client_value_valid(value))
        return corrupt(from, "a header's value with a character that is not allowed");
    *f = (struct http_header){name, str_trim(value)};
    return OK;
}

/* Several equal lengths count as one (RFC 9110, 8.6). */
static enum err note_length(const struct client_source *from, str value, struct client_reply *r)
{
    while (!str_none(value)) {
        str one = str_trim(str_cut(&value, ','));
        uint64_t v;

        if (str_to_u64(one, &v) != OK || v > INT64_MAX || (r->has_length && v != r->length))
            return corrupt(from, "Content-Length is not one number of bytes");
        r->has_length = true;
        r->length = v;
    }
    return OK;
}

static enum err note_coding(const struct client_source *from, str value, struct client_reply *r)
{
    if (r->chunked)
        return corrupt(from, "more than one transfer coding");
    if (!str_eq_nocase(value, STR("chunked")))
        return err_set(from->detail, ERR_UNSUPPORTED, 0,
                       "%s: answers with a transfer coding that is not chunked", from->dial->peer);
    r->chunked = true;
    return OK;
}

static enum err note_field(const struct client_source *from, const struct http_header *f,
                           struct client_reply *r)
{
    if (str_eq_nocase(f->name, STR("Content-Length")))
        return note_length(from, f->value, r);
    if (str_eq_nocase(f->name, STR("Transfer-Encoding")))
        return note_coding(from, f->value, r);
    return OK;
}

static enum err read_fields(const struct client_source *from, size_t *left, struct client_reply *r)
{
    for (;;) {
        struct http_header f;
        str line;
        enum err e = head_line(from, left, &line);

        if (e != OK || line.n == 0)
            return e;
        if (r->nheaders == HTTP_MAX_HEADERS)
            return err_set(from->detail, ERR_LIMIT, 0, "%s: the answer has too many headers",
                           from->dial->peer);
        e = parse_field(from, line, &f);
        if (e == OK)
            e = note_field(from, &f, r);
        if (e != OK)
            return e;
        r->headers[r->nheaders++] = f;
    }
}

enum err client_read_head(const struct client_source *from, struct client_reply *out)
{
    size_t left = from->max_head_bytes;
    struct client_reply r = {0};
    unsigned interim = 0;

    r.headers = ARENA_NEW_ARRAY(from->arena, struct http_header, HTTP_MAX_HEADERS);
    if (r.headers == NULL)
        return no_memory(from->detail);
    do {
        str line;
        enum err e = head_line(from, &left, &line);

        r = (struct client_reply){.headers = r.headers};
        if (e == OK)
            e = parse_status(from, line, &r);
        if (e == OK)
            e = read_fields(from, &left, &r);
        if (e != OK)
            return e;
        if (r.status == 101)
            return corrupt(from, "another protocol, for which nobody asked");
        if (++interim > MAX_INTERIM)
            return err_set(from->detail, ERR_LIMIT, 0, "%s: too many interim answers",
                           from->dial->peer);
    } while (r.status < 200);
    if (r.chunked && r.has_length)
        return corrupt(from, "both Content-Length and Transfer-Encoding");
    *out = r;
    return OK;
}

/* ---- the answer's body ----------------------------------------------------------------------- */

static enum err too_large(const struct client_source *from)
{
    return err_set(from->detail, ERR_LIMIT, 0, "%s: the answer has more than %zu bytes",
                   from->dial->peer, from->max_body_bytes);
}

static enum err cut_off(const struct client_source *from)
{
    return err_set(from->detail, ERR_CLOSED, 0, "%s: closed the connection inside its answer",
                   from->dial->peer);
}

/* Content-Length bytes. What follows them is nobody's. */
static enum err read_counted(const struct client_source *from, uint64_t left, struct buf *b)
{
    while (left > 0) {
        char *p;
        size_t n, take;
        enum err e = dial_read(from->dial, &p, &n, from->detail);

        if (e != OK)
            return e;
        if (n == 0)
            return cut_off(from);
        take = (size_t)MIN_OF(left, (uint64_t)n);
        buf_add(b, p, take);
        left -= take;
        if (buf_failed(b))
            return OK; /* client_read_body tells */
    }
    return OK;
}

static enum err read_chunked(const struct client_source *from, struct buf *b)
{
    struct chunked decoder = {0};
    enum chunked_status s;

    do {
        char *p;
        size_t n, data, used;
        enum err e = dial_read(from->dial, &p, &n, from->detail);

        if (e != OK)
            return e;
        if (n == 0)
            return cut_off(from);
        s = chunked_decode(&decoder, p, n, &data, &used);
        if (s == CHUNKED_BAD)
            return corrupt(from, "a chunk that is none");
        buf_add(b, p, data);
    } while (s == CHUNKED_MORE && !buf_failed(b));
    return OK;
}

static enum err read_to_end(const struct client_source *from, struct buf *b)
{
    size_t n;

    do {
        char *p;
        enum err e = dial_read(from->dial, &p, &n, from->detail);

        if (e != OK)
            return e;
        buf_add(b, p, n);
    } while (n > 0 && !buf_failed(b));
    return OK;
}

enum err client_read_body(const struct client_source *from, const struct client_reply *r, bool head,
                          str *out)
{
    bool none = head || r->status == 204 || r->status == 304;
    struct buf b;
    enum err e;

    *out = STR("");
    if (none)
        return OK;
    if (r->has_length && r->length > from->max_body_bytes)
        return too_large(from);
    buf_init_arena(&b, from->arena, from->max_body_bytes);
    if (r->chunked)
        e = read_chunked(from, &b);
    else if (r->has_length)
        e = read_counted(from, r->length, &b);
    else
        e = read_to_end(from, &b);
    if (e == OK && buf_failed(&b))
        e = b.err == ERR_LIMIT ? too_large(from) : no_memory(from->detail);
    if (e == OK)
        *out = buf_str(&b);
    return e;
}
