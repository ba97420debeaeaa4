/*
 * base/str.c - comparing, cutting and reading borrowed bytes.
 *
 * Nothing here looks at a locale: white space, letters and digits are ASCII's.
 */
#include "base/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* The same for eight bytes: a mark, moved by two, is what makes a letter small. */
static uint64_t lower_eight(const char *p)
{
    uint64_t w = bytes_load(p);

    return w | bytes_between(w, 'A', 'Z') >> 2;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool str_eq_nocase(str a, str b)
{
    size_t i = 0;

    if (a.n != b.n)
        return false;
    for (; a.n - i >= 8; i += 8)
        if (lower_eight(a.p + i) != lower_eight(b.p + i))
            return false;
    if (i > 0) { /* the rest by the last eight, some of them once more */
        i = a.n - 8;
        return lower_eight(a.p + i) == lower_eight(b.p + i);
    }
    for (; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(str a, str b)
{
    size_t n = MIN_OF(a.n, b.n);
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;

    if (c != 0)
        return c;
    return (a.n > b.n) - (a.n < b.n);
}

bool str_is_one_of(str s, const str *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, words[i]))
            return true;
    return false;
}

bool str_is_one_of_nocase(str s, const str *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(s, words[i]))
            return true;
    return false;
}

str str_trim(str s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s = str_drop(s, 1);
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

size_t str_find_str(str s, str needle)
{
    const char *hit;

    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return STR_NPOS;
    hit = memmem(s.p, s.n, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : STR_NPOS;
}

static str without_slashes_behind(str path)
{
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    return path;
}

str str_folder_prefix(str path)
{
    path = without_slashes_behind(path);
    while (path.n > 0 && path.p[path.n - 1] != '/')
        path.n--;
    return path;
}

str str_folder(str path)
{
    str prefix = str_folder_prefix(path);

    return prefix.n > 0 ? without_slashes_behind(prefix) : STR(".");
}

bool str_next_word(str *rest, str *word)
{
    str s = *rest;
    size_t n = 0;

    while (s.n > 0 && (is_space(s.p[0]) || s.p[0] == ','))
        s = str_drop(s, 1);
    while (n < s.n && !is_space(s.p[n]) && s.p[n] != ',')
        n++;
    *rest = str_drop(s, n);
    if (n == 0)
        return false;
    *word = str_sub(s, 0, n);
    return true;
}

bool str_has_word(str list, str word)
{
    str w;

    while (str_next_word(&list, &w))
        if (str_eq(w, word))
            return true;
    return false;
}

/*
 * The length of the well-formed sequence at p (0: none), by the table of RFC 3629, section 4. The
 * second byte's range is what keeps out overlong forms, surrogates and code points that are too
 * large; the bytes behind it are free within 80..BF.
 */
static size_t utf8_sequence(const uint8_t *p, size_t n)
{
    uint8_t low = 0x80, high = 0xBF;
    size_t len;

    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        len = 2;
    } else if ((p[0] & 0xF0) == 0xE0) {
        len = 3;
        low = p[0] == 0xE0 ? 0xA0 : 0x80;
        high = p[0] == 0xED ? 0x9F : 0xBF;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        len = 4;
        low = p[0] == 0xF0 ? 0x90 : 0x80;
        high = p[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (n < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool str_is_visible(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~') /* char may be signed: the first takes what is beyond */
            return false;
    return true;
}

bool str_utf8_valid(str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    size_t i = 0;

    while (i < s.n) {
        size_t len;

        /* Plain ASCII, which nearly everything is, eight bytes at a time. */
        if (s.n - i >= 8 && (bytes_load(p + i) & BYTES_TOPS) == 0) {
            i += 8;
            continue;
        }
        len = utf8_sequence(p + i, s.n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

enum err str_to_u64(str s, uint64_t *out)
{
    uint64_t v = 0;
    bool over = false;

    if (s.n == 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return ERR_SYNTAX;
        over |= __builtin_mul_overflow(v, UINT64_C(10), &v);
        over |= __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v);
    }
    if (over)
        return ERR_RANGE;
    *out = v;
    return OK;
}

enum err str_to_i64(str s, int64_t *out)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + minus;
    uint64_t v;
    enum err e = str_to_u64(str_drop(s, minus), &v);

    if (e != OK)
        return e;
    if (v > limit)
        return ERR_RANGE;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return OK;
}
