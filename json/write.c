/*
 * json/write.c - values as compact JSON text.
 *
 * Runs of characters that need no escape are copied whole. Recursion is as deep as the value.
 * The buffer keeps the first failure; nothing here needs to look at it.
 */
#include "base/bytes.h"
#include "json/private.h"

/* What a byte becomes in a string: 0: itself, 'u': \u00XX, else a backslash and this. */
static const char escapes[256] = {
    ['\0' ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0B] = 'u',
    ['\f'] = 'f',          ['\r'] = 'r', [0x0E ... 0x1F] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

static void write_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    char out[6] = {'\\', escapes[c], '0', '0', hex[c >> 4], hex[c & 15]};

    buf_add(b, out, out[1] == 'u' ? 6 : 2);
}

/* Does none of eight bytes need an escape? (Those with the top bit never do.) */
static bool are_plain(const char *p)
{
    uint64_t w = bytes_load(p);

    return (bytes_below(w, 0x20) | bytes_equal(w, '"') | bytes_equal(w, '\\')) == 0;
}

/* How many bytes at p need no escape; eight at a time while none does, the last ones with some before them. */
static size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;

    while (n - i >= 8 && are_plain(p + i))
        i += 8;
    if (i > 0 && n - i < 8 && are_plain(p + n - 8))
        return n;
    while (i < n && escapes[(unsigned char)p[i]] == 0)
        i++;
    return i;
}

/* The rest of a string from its first byte on that needs an escape, at `i`. */
static void write_escaped(struct buf *b, str s, size_t i)
{
    while (i < s.n) {
        size_t n;
        write_escape(b, (unsigned char)s.p[i++]);
        n = plain_run(s.p + i, s.n - i);
        buf_add(b, s.p + i, n);
        i += n;
    }
}

bool json_is_plain(str s)
{
    return plain_run(s.p, s.n) == s.n;
}

void json_write_string(struct buf *b, str s)
{
    size_t n = plain_run(s.p, s.n);
    char *at;

    if (buf_reserve(b, n + 2) != OK)
        return;
    at = b->p + b->n;
    *at++ = '"';
    if (n > 0)
        memcpy(at, s.p, n);
    at[n] = '"';
    b->n += n + 1;
    if (UNLIKELY(n < s.n)) {
        write_escaped(b, s, n);
        buf_add_char(b, '"');
    } else {
        b->n++;
    }
}

static void write_array(struct buf *b, const struct json *v)
{
    buf_add_char(b, '[');
    for (uint32_t i = 0; i < v->count; i++) {
        if (i > 0)
            buf_add_char(b, ',');
        json_write(b, v->box->items[i]);
    }
    buf_add_char(b, ']');
}

static void write_object(struct buf *b, const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    char before = '{';

    while ((m = json_next_member(v, &at)) != NULL) {
        buf_add_char(b, before);
        before = ',';
        json_write_string(b, m->name);
        buf_add_char(b, ':');
        json_write(b, m->value);
    }
    if (before == '{')
        buf_add_char(b, '{');
    buf_add_char(b, '}');
}

void json_write(struct buf *b, const struct json *v)
{
    switch (json_type(v)) {
    case JSON_NULL:
        buf_add_lit(b, "null");
        return;
    case JSON_BOOL:
        if (v->boolean)
            buf_add_lit(b, "true");
        else
            buf_add_lit(b, "false");
        return;
    case JSON_NUMBER:
        buf_add_str(b, v->text);
        return;
    case JSON_STRING:
        json_write_string(b, v->text);
        return;
    case JSON_ARRAY:
        write_array(b, v);
        return;
    case JSON_OBJECT:
        write_object(b, v);
        return;
    }
}

str json_text(struct arena *a, const struct json *v)
{
    struct buf b;

    buf_init_arena(&b, a, SIZE_MAX);
    json_write(&b, v);
    return buf_failed(&b) ? STR_NONE : buf_str(&b);
}
