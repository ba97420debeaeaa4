/*
 * base/str.h - bytes by pointer and length; borrowed, never owned, not NUL-terminated.
 *
 * A str points into memory that somebody else keeps (an arena, a snapshot, a literal); copying the
 * struct does not copy the bytes. {NULL, 0} is "no value", {"", 0} an empty one: str_none() tells.
 * All functions: any thread, no allocation unless they take an arena (base/arena.h).
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/bytes.h"

typedef struct str {
    const char *p;
    size_t n;
} str;

#define STR(lit) ((str){("" lit), sizeof(lit) - 1})
#define STR_INIT(lit)                                                                              \
    {                                                                                              \
        ("" lit), sizeof(lit) - 1                                                                  \
    } /* for static initialisers */
#define STR_NONE   ((str){NULL, 0})
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)MIN_OF((s).n, (size_t)INT_MAX), ((s).p ? (s).p : "")

static inline str str_from(const char *z)
{
    return z ? (str){z, strlen(z)} : STR_NONE;
}

static inline bool str_none(str s)
{
    return s.p == NULL;
}

static inline bool str_eq(str a, str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Where in a table that has one place for each; by the end of the text, which is where names differ. Not for a
 * table that grows with what strangers put into it: they could choose names that meet. */
static inline uint64_t str_spread(str s)
{
    uint64_t w[2] = {0, 0};
    size_t n = s.n < sizeof w ? s.n : sizeof w;

    if (n > 0)
        memcpy(w, s.p + s.n - n, n);
    w[0] = (w[0] ^ s.n) * UINT64_C(0x9e3779b97f4a7c15);
    w[1] = (w[1] ^ w[0] >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return w[1] ^ w[1] >> 32;
}

bool str_eq_nocase(str a, str b); /* ASCII only */
int str_cmp(str a, str b);        /* by bytes (= by code point in UTF-8); <0, 0, >0 */
bool str_is_one_of(str s, const str *words, size_t n);
bool str_is_one_of_nocase(str s, const str *words, size_t n);

static inline bool str_starts(str s, str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(str s, str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

/* How many bytes both begin with. */
static inline size_t str_common(str a, str b)
{
    size_t n = 0, most = a.n < b.n ? a.n : b.n;

    while (most - n >= 8 && bytes_load(a.p + n) == bytes_load(b.p + n))
        n += 8;
    while (n < most && a.p[n] == b.p[n])
        n++;
    return n;
}

/* Without the first n bytes (n may exceed s.n). */
static inline str str_drop(str s, size_t n)
{
    if (n > s.n)
        n = s.n;
    return (str){n > 0 ? s.p + n : s.p, s.n - n};
}

static inline str str_sub(str s, size_t from, size_t n) /* clamped */
{
    s = str_drop(s, from);
    if (s.n > n)
        s.n = n;
    return s;
}

str str_trim(str s); /* without leading and trailing SP HT CR LF */
#define STR_NPOS SIZE_MAX
static inline size_t str_find(str s, char c) /* index or STR_NPOS */
{
    const char *hit = s.n > 0 ? (const char *)memchr(s.p, c, s.n) : NULL;

    return hit ? (size_t)(hit - s.p) : STR_NPOS;
}
size_t str_find_str(str s, str needle);

/* Cuts `*rest` at the first `sep`: returns what is before, leaves what is behind (none at the end).
 * Loop: while (!str_none(rest)) { str part = str_cut(&rest, ','); ... } */
static inline str str_cut(str *rest, char sep)
{
    size_t at = str_find(*rest, sep);
    str part = *rest;

    if (at == STR_NPOS) {
        *rest = STR_NONE;
        return part;
    }
    part.n = at;
    *rest = str_drop(*rest, at + 1);
    return part;
}

/* What is before the last part of a path, as one puts it before another name: "a/" of "a/b" and "a/b/", "/"
 * of "/b", "" of "b". */
str str_folder_prefix(str path);
/* The same as one opens it: "a", "/", ".". */
str str_folder(str path);

/* Next word of a list separated by white space (spaces, tabs, newlines) and/or commas; false at
 * end. */
bool str_next_word(str *rest, str *word);
bool str_has_word(str list, str word); /* is it one of them? */

/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, <= U+10FFFF). */
bool str_utf8_valid(str s);
/* Nothing but visible ASCII (0x21 to 0x7e), which the empty string is, too. */
bool str_is_visible(str s);

/* ASCII, whatever the locale. */
static inline bool str_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool str_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool str_is_alnum(char c) /* a letter or digit of ASCII, whatever the locale */
{
    return str_is_letter(c) || str_is_digit(c);
}

/* 0 to 15 by a digit of either case; -1: it is none. */
static inline int str_hex_digit(char c)
{
    if (str_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decimal integers, whole string, optional '-' for int64; RANGE when they do not fit, SYNTAX else.
 */
#include "base/err.h"
MUST_CHECK enum err str_to_u64(str s, uint64_t *out);
MUST_CHECK enum err str_to_i64(str s, int64_t *out);

#endif
