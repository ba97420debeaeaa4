/*
 * base/native.c - texts of settings as values.
 *
 * Of JSON only what settings use of it is read here: strings, and lists of strings. (The JSON room
 * lies above this one, and its values are made for documents.)
 */
#include "base/native.h"

#include "base/buf.h"
#include "base/net.h"
#include <math.h>

static bool four_hex(str s, uint32_t *out)
{
    uint32_t v = 0;

    if (s.n < 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        int digit = str_hex_digit(s.p[i]);
        if (digit < 0)
            return false;
        v = v << 4 | (uint32_t)digit;
    }
    *out = v;
    return true;
}

static void add_utf8(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_add_char(b, (char)c);
        return;
    }
    if (c < 0x800) {
        buf_add_char(b, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            buf_add_char(b, (char)(0xe0 | c >> 12));
        } else {
            buf_add_char(b, (char)(0xf0 | c >> 18));
            buf_add_char(b, (char)(0x80 | (c >> 12 & 63)));
        }
        buf_add_char(b, (char)(0x80 | (c >> 6 & 63)));
    }
    buf_add_char(b, (char)(0x80 | (c & 63)));
}

/* `rest` is behind "\u" and is moved behind the digits, of both halves if it is a pair. */
static bool json_unicode(str *rest, struct buf *out)
{
    uint32_t c, low;

    if (!four_hex(*rest, &c) || c == 0 || (c >= 0xdc00 && c <= 0xdfff))
        return false;
    *rest = str_drop(*rest, 4);
    if (c >= 0xd800 && c <= 0xdbff) {
        if (!str_starts(*rest, STR("\\u")) || !four_hex(str_drop(*rest, 2), &low) || low < 0xdc00 ||
            low > 0xdfff)
            return false;
        *rest = str_drop(*rest, 6);
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    add_utf8(out, c);
    return true;
}

static bool json_escape(str *rest, struct buf *out)
{
    static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const char *at;
    char c;

    if (rest->n == 0)
        return false;
    c = rest->p[0];
    *rest = str_drop(*rest, 1);
    if (c == 'u')
        return json_unicode(rest, out);
    at = memchr(names, c, sizeof names - 1);
    if (at == NULL)
        return false;
    buf_add_char(out, means[at - names]);
    return true;
}

/* Reads a string at the start of `rest` and moves behind it. False: there is none. */
static bool json_string(struct arena *a, str *rest, str *out)
{
    struct buf b;
    str s = *rest;

    if (!str_starts(s, STR("\"")))
        return false;
    s = str_drop(s, 1);
    buf_init_arena(&b, a, s.n);
    while (s.n > 0 && s.p[0] != '"') {
        char c = s.p[0];
        s = str_drop(s, 1);
        if (c == '\\') {
            if (!json_escape(&s, &b))
                return false;
        } else if ((uint8_t)c < 0x20) {
            return false;
        } else {
            buf_add_char(&b, c);
        }
    }
    if (s.n == 0)
        return false;
    *rest = str_drop(s, 1);
    *out = arena_str(a, buf_str(&b));
    return true;
}

str native_text(struct arena *a, str text)
{
    str rest = str_trim(text), contents;

    if (json_string(a, &rest, &contents) && str_trim(rest).n == 0)
        return contents;
    return text;
}

bool native_is_null(str text)
{
    return str_eq(str_trim(text), STR("null"));
}

bool native_bool(str text, bool *out)
{
    static const struct {
        const char *word;
        bool means;
    } words[] = {{"true", true}, {"false", false}, {"yes", true}, {"no", false},
                 {"on", true},   {"off", false},   {"1", true},   {"0", false},
                 {"t", true},    {"f", false},     {"y", true},   {"n", false}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq_nocase(text, str_from(words[i].word))) {
            *out = words[i].means;
            return true;
        }
    return false;
}

/* A decimal number; nothing that strtod takes beyond that (hex, inf, nan, a local comma). */
enum err native_float(str text, double *out)
{
    char z[64];
    char *end;
    double v;

    if (text.n == 0 || text.n >= sizeof z)
        return ERR_SYNTAX;
    for (size_t i = 0; i < text.n; i++)
        if (memchr("0123456789+-.eE", text.p[i], 15) == NULL)
            return ERR_SYNTAX;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    v = strtod(z, &end);
    if (*end != '\0')
        return ERR_SYNTAX;
    if (!isfinite(v))
        return ERR_RANGE;
    *out = v;
    return OK;
}

/* Whole numbers; like the reference also "+5", and 1e3 or 10.5, which is cut to 10. */
enum err native_int(str text, int64_t *out)
{
    enum err e = str_to_i64(str_drop(text, str_starts(text, STR("+"))), out);
    double f;

    if (e != ERR_SYNTAX)
        return e;
    e = native_float(text, &f);
    if (e != OK)
        return e;
    if (f <= -9e18 || f >= 9e18)
        return ERR_RANGE;
    *out = (int64_t)f;
    return OK;
}

struct words {
    struct arena *arena;
    bool paths; /* blanks do not separate */
    str *at;    /* NULL while counting */
    size_t n;
};

static void add_word(struct words *w, str word)
{
    if (w->at != NULL)
        w->at[w->n] = arena_str(w->arena, word);
    w->n++;
}

static void add_words(struct words *w, str text)
{
    str word;

    while (str_next_word(&text, &word))
        add_word(w, word);
}

static void add_paths(struct words *w, str text)
{
    while (!str_none(text)) {
        str line = str_cut(&text, '\n');
        while (!str_none(line)) {
            str path = str_trim(str_cut(&line, ','));
            if (path.n > 0)
                add_word(w, path);
        }
    }
}

static void add_plain(struct words *w, str text)
{
    if (w->paths)
        add_paths(w, text);
    else
        add_words(w, text);
}

/* What is quoted is one path, whatever it holds; words are words there, too, as in the reference. */
static void add_quoted(struct words *w, str text)
{
    if (w->paths)
        add_word(w, text);
    else
        add_words(w, text);
}

/* The bracket of an IPv6 address ("[::1]:8888") begins no list. */
static bool is_list(str text)
{
    struct net_host h;
    str first;

    return str_starts(text, STR("[")) &&
           !(str_next_word(&text, &first) && net_host_parse(first, &h));
}

/* A text of words, or a JSON list of such texts. False: a list that is not well formed. */
static bool split(struct words *w, str text)
{
    str rest = str_trim(text), item;

    w->n = 0;
    if (!is_list(rest)) {
        add_plain(w, native_text(w->arena, text));
        return true;
    }
    rest = str_trim(str_drop(rest, 1));
    if (str_eq(rest, STR("]")))
        return true;
    for (;;) {
        if (!json_string(w->arena, &rest, &item))
            return false;
        add_quoted(w, item);
        rest = str_trim(rest);
        if (str_eq(rest, STR("]")))
            return true;
        if (!str_starts(rest, STR(",")))
            return false;
        rest = str_trim(str_drop(rest, 1));
    }
}

static enum err split_all(struct words *w, str text, const str **out, size_t *out_n)
{
    if (!split(w, text))
        return ERR_SYNTAX;
    w->at = ARENA_NEW_ARRAY(w->arena, str, w->n);
    if (w->at == NULL || !split(w, text) || arena_failed(w->arena))
        return ERR_NOMEM; /* the list is well formed: only memory can fail the second time */
    *out = w->at;
    *out_n = w->n;
    return OK;
}

enum err native_list(struct arena *a, str text, const str **out, size_t *out_n)
{
    struct words w = {.arena = a};

    return split_all(&w, text, out, out_n);
}

enum err native_paths(struct arena *a, str text, const str **out, size_t *out_n)
{
    struct words w = {.arena = a, .paths = true};

    return split_all(&w, text, out, out_n);
}
