/*
 * http/url.c - percent-encoding and queries (RFC 3986). Pure functions; the arena takes what had to
 * be decoded, everything else stays a slice of the input.
 */
#include "http/http.h"

static bool needs_decoding(str in, bool plus)
{
    return str_find(in, '%') != STR_NPOS || (plus && str_find(in, '+') != STR_NPOS);
}

str http_url_decode(struct arena *a, str in, bool plus)
{
    size_t n = 0;
    char *out;

    if (!needs_decoding(in, plus))
        return in.p != NULL ? in : STR("");
    out = arena_alloc(a, in.n);
    if (out == NULL)
        return STR_NONE;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        bool coded = c == '%' && in.n - i > 2;
        int high = coded ? str_hex_digit(in.p[i + 1]) : -1;
        int low = coded ? str_hex_digit(in.p[i + 2]) : -1;
        if (high >= 0 && low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[n++] = c;
    }
    return (str){out, n};
}

static bool is_unreserved(char c)
{
    return str_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static bool is_kept(char c, const char *keep)
{
    return is_unreserved(c) || (c != '\0' && keep != NULL && strchr(keep, c) != NULL);
}

void http_url_encode(struct buf *b, str in, const char *keep)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t plain = 0; /* from here on nothing has to be encoded so far */

    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        if (is_kept((char)c, keep))
            continue;
        char coded[3] = {'%', digits[c >> 4], digits[c & 15]};
        buf_add(b, in.p + plain, i - plain);
        buf_add(b, coded, sizeof coded);
        plain = i + 1;
    }
    buf_add(b, in.p + plain, in.n - plain);
}

static bool is_separator(char c)
{
    return c == '&' || c == ';';
}

size_t http_query_bound(str query)
{
    size_t n = str_none(query) ? 0 : 1;

    for (size_t i = 0; i < query.n; i++)
        n += is_separator(query.p[i]);
    return n;
}

/* The part before the next separator; *rest is what is behind it, none at the end. */
static str cut_part(str *rest)
{
    str all = *rest;

    for (size_t i = 0; i < all.n; i++)
        if (is_separator(all.p[i])) {
            *rest = str_drop(all, i + 1);
            return str_sub(all, 0, i);
        }
    *rest = STR_NONE;
    return all;
}

bool http_query_next(struct arena *a, str *rest, str *name, str *value)
{
    while (!str_none(*rest)) {
        str part = cut_part(rest);
        size_t eq = str_find(part, '=');
        if (part.n == 0)
            continue;
        *name = http_url_decode(a, eq == STR_NPOS ? part : str_sub(part, 0, eq), true);
        *value = eq == STR_NPOS ? STR("") : http_url_decode(a, str_drop(part, eq + 1), true);
        return true;
    }
    return false;
}
