/*
 * json/repr.c - values as Python writes them, for messages that must read as the reference's.
 *
 * Strings stand in single quotes, in double quotes when they hold single ones and no double ones.
 * Python escapes what Unicode does not call printable; the table has all of that but for code
 * points that are not assigned, which would make it twenty times as long for characters that nobody
 * sends.
 */
#include "json/private.h"
#include <float.h>
#include <math.h>

/* General categories Cc, Cf, Cs, Co, Zl, Zp and Zs (without the space), sorted. */
static const struct {
    uint32_t first, last;
} unprintable[] = {
    {0x0, 0x1F},        {0x7F, 0xA0},       {0xAD, 0xAD},       {0x600, 0x605},
    {0x61C, 0x61C},     {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},
    {0x8E2, 0x8E2},     {0x1680, 0x1680},   {0x180E, 0x180E},   {0x2000, 0x200F},
    {0x2028, 0x202F},   {0x205F, 0x2064},   {0x2066, 0x206F},   {0x3000, 0x3000},
    {0xD800, 0xF8FF},   {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD},
    {0x110CD, 0x110CD}, {0x13430, 0x13438}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A},
    {0xE0001, 0xE0001}, {0xE0020, 0xE007F}, {0xF0000, 0xFFFFD}, {0x100000, 0x10FFFD},
};

static bool is_printable(uint32_t c)
{
    for (size_t i = 0; i < ARRAY_LEN(unprintable) && c >= unprintable[i].first; i++)
        if (c <= unprintable[i].last)
            return false;
    return true;
}

/* The code point at p (of valid UTF-8) and its length. */
static uint32_t read_character(const unsigned char *p, size_t n, size_t *len)
{
    static const unsigned char masks[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t k = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    uint32_t c;

    k = MIN_OF(k, n);
    c = p[0] & masks[k];
    for (size_t i = 1; i < k; i++)
        c = c << 6 | (p[i] & 0x3F);
    *len = k;
    return c;
}

static void write_character(struct buf *b, uint32_t c, const char *bytes, size_t len, char quote)
{
    if (c == '\\' || c == (unsigned char)quote)
        buf_printf(b, "\\%c", (int)c);
    else if (c == '\n')
        buf_add_lit(b, "\\n");
    else if (c == '\r')
        buf_add_lit(b, "\\r");
    else if (c == '\t')
        buf_add_lit(b, "\\t");
    else if (is_printable(c))
        buf_add(b, bytes, len);
    else if (c < 0x100)
        buf_printf(b, "\\x%02x", (unsigned)c);
    else if (c < 0x10000)
        buf_printf(b, "\\u%04x", (unsigned)c);
    else
        buf_printf(b, "\\U%08x", (unsigned)c);
}

void json_write_repr_string(struct buf *b, str s)
{
    char quote = str_find(s, '\'') != STR_NPOS && str_find(s, '"') == STR_NPOS ? '"' : '\'';
    size_t len;

    buf_add_char(b, quote);
    for (size_t i = 0; i < s.n; i += len) {
        uint32_t c = read_character((const unsigned char *)s.p + i, s.n - i, &len);
        write_character(b, c, s.p + i, len, quote);
    }
    buf_add_char(b, quote);
}

bool json_is_pyint(const struct json *v)
{
    int64_t i;
    uint64_t u;

    return json_number_is_integer(v) &&
           (str_to_i64(v->text, &i) == OK || str_to_u64(v->text, &u) == OK);
}

/* The fewest digits that read back as the same double; digits and decimal exponent apart. Any 15
 * digits survive, but for the smallest numbers: there the search begins with one. */
static int shortest_digits(double d, char *digits, size_t size)
{
    char text[40], *p = text;
    int precision = fabs(d) < DBL_MIN ? 0 : JSON_EXACT_DIGITS - 1;
    size_t n = 0;

    do {
        snprintf(text, sizeof text, "%.*e", precision, d);
    } while (strtod(text, NULL) != d && ++precision < 17);
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && n + 1 < size)
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    digits[n] = '\0';
    return (int)strtol(p + 1, NULL, 10);
}

/* 1e-05, 0.0001, 1.0, 1234567890123456.0, 1e+16: the forms and where they change are Python's. */
static void write_float(struct buf *b, const struct json *v)
{
    char digits[24];
    int e, n;

    if (!json_number_digits(v->text, digits, JSON_EXACT_DIGITS, &e))
        e = shortest_digits(json_to_double(v), digits, sizeof digits);
    n = (int)strlen(digits);
    if (v->text.p[0] == '-')
        buf_add_char(b, '-');
    if (e < -4 || e >= 16) {
        buf_printf(b, "%c%s%se%c%02d", digits[0], n > 1 ? "." : "", digits + 1, e < 0 ? '-' : '+',
                   e < 0 ? -e : e);
    } else if (e < 0) {
        buf_printf(b, "0.%.*s%s", -e - 1, "0000", digits);
    } else if (n <= e + 1) {
        buf_printf(b, "%s%.*s.0", digits, e + 1 - n, "0000000000000000");
    } else {
        buf_printf(b, "%.*s.%s", e + 1, digits, digits + e + 1);
    }
}

static void write_number(struct buf *b, const struct json *v)
{
    if (!json_is_pyint(v))
        write_float(b, v);
    else if (str_eq(v->text, STR("-0")))
        buf_add_char(b, '0');
    else
        buf_add_str(b, v->text);
}

static void write_list(struct buf *b, const struct json *v)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < json_count(v); i++) {
        if (i > 0)
            buf_add_lit(b, ", ");
        json_write_repr(b, json_at(v, i));
    }
    buf_add_char(b, ']');
}

static void write_dict(struct buf *b, const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;
    bool first = true;

    buf_add_char(b, '{');
    while ((m = json_next_member(v, &at)) != NULL) {
        if (!first)
            buf_add_lit(b, ", ");
        first = false;
        json_write_repr_string(b, m->name);
        buf_add_lit(b, ": ");
        json_write_repr(b, m->value);
    }
    buf_add_char(b, '}');
}

void json_write_repr(struct buf *b, const struct json *v)
{
    switch (json_type(v)) {
    case JSON_NULL:
        buf_add_lit(b, "None");
        return;
    case JSON_BOOL:
        buf_add_str(b, v->boolean ? STR("True") : STR("False"));
        return;
    case JSON_NUMBER:
        write_number(b, v);
        return;
    case JSON_STRING:
        json_write_repr_string(b, v->text);
        return;
    case JSON_ARRAY:
        write_list(b, v);
        return;
    case JSON_OBJECT:
        write_dict(b, v);
        return;
    }
}

void json_write_pystr(struct buf *b, const struct json *v)
{
    if (v->type == JSON_STRING)
        buf_add_str(b, v->text);
    else
        json_write_repr(b, v);
}

const char *json_pytype(const struct json *v)
{
    switch (json_type(v)) {
    case JSON_NULL:
        return "<class 'NoneType'>";
    case JSON_BOOL:
        return "<class 'bool'>";
    case JSON_NUMBER:
        return json_is_pyint(v) ? "<class 'int'>" : "<class 'float'>";
    case JSON_STRING:
        return "<class 'str'>";
    case JSON_ARRAY:
        return "<class 'list'>";
    case JSON_OBJECT:
        break;
    }
    return "<class 'dict'>";
}
