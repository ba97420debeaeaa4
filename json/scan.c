/*
 * json/scan.c - fields out of JSON text, without a tree.
 *
 * For text that json_write has written: no white space, valid, no duplicate names. Everything that
 * is not asked for is skipped eight bytes at a time, strings by sixteen where the processor can. This
 * is what filters and sorts run for each record.
 *
 * Each function is sure to stay inside the text whatever it holds: positions only grow, and each
 * byte is read after a comparison with the end. Damaged text gives a wrong answer, nothing worse.
 */
#include "base/bytes.h"
#include "json/private.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first quote or backslash, or `end`; sixteen bytes at a time where the processor can. */
static inline const char *special_in_string(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i is = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));
        unsigned marks = (unsigned)_mm_movemask_epi8(is);
        if (marks != 0)
            return p + __builtin_ctz(marks);
    }
#endif
    while (end - p >= 8) {
        uint64_t w = bytes_load(p), marks = bytes_equal(w, '"') | bytes_equal(w, '\\');
        if (marks != 0) {
            p += bytes_first(marks);
            break;
        }
        p += 8;
    }
    while (p < end && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* p is behind the opening quote; returns the closing one, or `end`. */
static const char *string_end(const char *p, const char *end)
{
    for (;;) {
        p = special_in_string(p, end);
        if (p == end || *p == '"')
            return p;
        if (end - p < 2)
            return end;
        p += 2;
    }
}

/* p is behind the opening bracket; returns what follows the closing one, or `end`. */
static const char *container_end(const char *p, const char *end)
{
    size_t depth = 1;

    while (p < end) {
        char c;
        if (end - p >= 8) {
            /* '[' and '{', ']' and '}' differ in bit 5 only. */
            uint64_t w = bytes_load(p), folded = w | EACH_BYTE(0x20);
            uint64_t marks =
                bytes_equal(w, '"') | bytes_equal(folded, '{') | bytes_equal(folded, '}');
            if (marks == 0) {
                p += 8;
                continue;
            }
            p += bytes_first(marks);
        }
        c = *p++;
        if (c == '"') {
            p = string_end(p, end);
            p += p < end;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return p;
        }
    }
    return end;
}

static const char *scalar_end(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t w = bytes_load(p),
                 marks = bytes_equal(w, ',') | bytes_equal(w, '}') | bytes_equal(w, ']');
        if (marks != 0) {
            p += bytes_first(marks);
            break;
        }
        p += 8;
    }
    while (p < end && *p != ',' && *p != '}' && *p != ']')
        p++;
    return p;
}

/* What follows the value at p; `end` for an empty or damaged one. */
static const char *value_end(const char *p, const char *end)
{
    if (p == end)
        return end;
    if (*p == '"') {
        p = string_end(p + 1, end);
        return p + (p < end);
    }
    if (*p == '{' || *p == '[')
        return container_end(p + 1, end);
    return scalar_end(p, end);
}

static enum json_type type_of(char first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    }
    return JSON_NUMBER;
}

/* False: there is no value at p. */
static bool read_value(const char *p, const char *end, struct json_raw *out)
{
    const char *q = value_end(p, end);

    if (q == p)
        return false;
    *out = (struct json_raw){.type = type_of(*p), .text = {p, (size_t)(q - p)}};
    return true;
}

/* ---- strings with escapes -------------------------------------------------------------------- */

static bool has_escapes(str inside)
{
    return inside.n > 0 && memchr(inside.p, '\\', inside.n) != NULL;
}

/* Decodes a string byte by byte, so that comparing takes no memory. */
struct decoder {
    str rest;
    char bytes[4]; /* of the last escape */
    size_t at, n;
};

/* How long the escape at the start of s is. */
static size_t escape_length(str s)
{
    size_t n = 2;

    if (s.n >= 6 && s.p[1] == 'u') {
        bool high = (s.p[2] | 0x20) == 'd' && (s.p[3] == '8' || s.p[3] == '9' ||
                                               (s.p[3] | 0x20) == 'a' || (s.p[3] | 0x20) == 'b');
        n = high && s.n >= 12 ? 12 : 6;
    }
    return MIN_OF(n, s.n);
}

/* The next byte, or -1. */
static int decoder_next(struct decoder *d)
{
    int c;

    if (d->at < d->n)
        return (unsigned char)d->bytes[d->at++];
    if (d->rest.n == 0)
        return -1;
    c = (unsigned char)d->rest.p[0];
    if (c == '\\' && d->rest.n > 1) {
        size_t n = escape_length(d->rest);
        d->n = json_unescape(str_sub(d->rest, 0, n), d->bytes);
        d->at = 1;
        d->rest = str_drop(d->rest, n);
        return (unsigned char)d->bytes[0];
    }
    d->rest = str_drop(d->rest, 1);
    return c;
}

/* Where both end, or differ, is byte n: is there an escape before it, or there? */
static bool has_escapes_to(str x, str y, size_t n)
{
    if ((n < x.n && x.p[n] == '\\') || (n < y.n && y.p[n] == '\\'))
        return true;
    if (n >= 8)
        return has_escapes((str){x.p, n});
    for (size_t i = 0; i < n; i++)
        if (x.p[i] == '\\')
            return true;
    return false;
}

/* As str_cmp of the decoded strings. Most differ early: what is behind that is not looked at. */
static int compare_inside(str x, str y)
{
    struct decoder p = {.rest = x}, q = {.rest = y};
    size_t n = str_common(x, y);

    if (!has_escapes_to(x, y, n)) {
        if (n == x.n || n == y.n)
            return (x.n > y.n) - (x.n < y.n);
        return (unsigned char)x.p[n] < (unsigned char)y.p[n] ? -1 : 1;
    }
    for (;;) {
        int c = decoder_next(&p), d = decoder_next(&q);
        if (c != d)
            return c < d ? -1 : 1;
        if (c < 0)
            return 0;
    }
}

static str decode(struct arena *a, str inside)
{
    char *out;

    if (!has_escapes(inside))
        return inside;
    out = arena_alloc(a, inside.n);
    return out != NULL ? (str){out, json_unescape(inside, out)} : STR_NONE;
}

/* Without the quotes. */
static str inside_of(const struct json_raw *raw)
{
    return raw->text.n >= 2 ? str_sub(raw->text, 1, raw->text.n - 2) : STR("");
}

str json_raw_string(struct arena *a, const struct json_raw *raw)
{
    CHECK(raw->type == JSON_STRING);
    return decode(a, inside_of(raw));
}

/* ---- members and items ----------------------------------------------------------------------- */

static bool name_is(str inside, bool escapes, str name)
{
    if (!escapes)
        return str_eq(inside, name);
    struct decoder d = {.rest = inside};
    for (size_t i = 0; i < name.n; i++)
        if (decoder_next(&d) != (unsigned char)name.p[i])
            return false;
    return decoder_next(&d) < 0;
}

/* p is on a name's opening quote: gives its inside, whether there are escapes in it, and where its value
 * starts. NULL: it is not. */
static const char *read_name(const char *p, const char *end, str *inside, bool *escapes)
{
    const char *q;

    if (p == end || *p != '"')
        return NULL;
    q = special_in_string(p + 1, end);
    *escapes = q < end && *q == '\\';
    if (*escapes)
        q = string_end(q, end);
    if (end - q < 2 || q[1] != ':')
        return NULL;
    *inside = (str){p + 1, (size_t)(q - p - 1)};
    return q + 2;
}

bool json_scan_member(str text, str name, struct json_raw *out)
{
    const char *p = text.p, *end;
    bool escapes;
    str inside;

    if (text.n == 0 || *p != '{')
        return false;
    end = text.p + text.n;
    do {
        p = read_name(p + 1, end, &inside, &escapes);
        if (p == NULL)
            return false;
        if (name_is(inside, escapes, name))
            return read_value(p, end, out);
        p = value_end(p, end);
    } while (p < end && *p == ',');
    return false;
}

/* The start of the next element of a container that opens with `open`; NULL: there is none. */
static const char *next_element(str text, size_t at, char open)
{
    if (at >= text.n || text.p[at] != (at == 0 ? open : ','))
        return NULL;
    at++;
    return at < text.n && text.p[at] != open + 2 ? text.p + at : NULL;
}

bool json_scan_item(str array_text, size_t *at, struct json_raw *out)
{
    const char *p = next_element(array_text, *at, '[');

    if (p == NULL || !read_value(p, array_text.p + array_text.n, out))
        return false;
    *at = (size_t)(out->text.p + out->text.n - array_text.p);
    return true;
}

bool json_scan_next(struct arena *a, str object_text, size_t *at, str *name, struct json_raw *out)
{
    const char *p = next_element(object_text, *at, '{'), *end;
    bool escapes;
    str inside;

    if (p == NULL)
        return false;
    end = object_text.p + object_text.n;
    p = read_name(p, end, &inside, &escapes);
    if (p == NULL || !read_value(p, end, out))
        return false;
    *name = escapes ? decode(a, inside) : inside;
    *at = (size_t)(out->text.p + out->text.n - object_text.p);
    return true;
}

/* ---- comparing ------------------------------------------------------------------------------- */

enum err json_raw_parse(struct arena *a, const struct json_raw *raw, struct json **out)
{
    return json_parse(a, raw->text, out, NULL);
}

static int compare_trees(struct arena *a, const struct json_raw *x, const struct json_raw *y)
{
    struct arena_mark mark = arena_mark(a);
    struct json *v, *w;
    int c = 0;

    if (json_raw_parse(a, x, &v) == OK && json_raw_parse(a, y, &w) == OK)
        c = json_compare(v, w);
    arena_release(a, mark);
    return c;
}

int json_raw_compare(struct arena *a, const struct json_raw *x, const struct json_raw *y)
{
    if (x == NULL || y == NULL)
        return (x == NULL) - (y == NULL);
    if (x->type != y->type)
        return json_type_rank(x->type) - json_type_rank(y->type);
    switch (x->type) {
    case JSON_NULL:
        return 0;
    case JSON_BOOL:
        return (x->text.p[0] == 't') - (y->text.p[0] == 't');
    case JSON_NUMBER:
        return json_number_compare(x->text, y->text);
    case JSON_STRING:
        return compare_inside(inside_of(x), inside_of(y));
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return compare_trees(a, x, y);
}
