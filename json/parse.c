/*
 * json/parse.c - JSON text into a tree of values. The only file that knows jsmn.
 *
 * jsmn splits valid JSON into tokens but takes much that is not JSON, and stops at a NUL byte. So
 * reading has four steps, each linear in the text:
 *
 *   1. check:  one pass of our own decides whether the text is JSON (RFC 8259), with the exact byte
 *              where it stops being so, and counts what the tree will need.
 *   2. tokens: jsmn, with parent links, into scratch of exactly the counted size. What it is lax
 *              about cannot occur any more. Its way back to the open bracket is as long as the
 *      depth at most, which step 1 has bounded.
 *   3. build:  tokens become nodes. All nodes, all slots and all decoded strings lie in one slab
 *              each, allocated before the scratch, so that the scratch can be given back.
 *   4. finish: duplicate names are merged, large objects get their index.
 *
 * The words of the errors are those of the reference's parser, since clients get to see them.
 */
#define JSMN_STATIC
#define JSMN_PARENT_LINKS
#include <jsmn.h>

#include "base/bytes.h"
#include "json/private.h"

/* What the tree will need. */
struct needs {
    size_t values, items, members, containers, objects, decoded;
};

struct checker {
    const unsigned char *p;
    size_t n, at;
    unsigned depth, max_depth;
    uint8_t kinds[JSON_MAX_DEPTH]; /* '{' or '[' of each open container */
    struct needs needs;
    const char *what; /* of the error; its place is `at` */
};

/* What is expected next. */
enum state {
    AT_VALUE,
    AT_ITEM_OR_END,
    AT_NAME,
    AT_NAME_OR_END,
    AFTER_VALUE,
    REFUSED,
    TOO_DEEP,
    DONE
};

static enum state refuse(struct checker *c, size_t at, const char *what)
{
    c->at = at;
    c->what = what;
    return REFUSED;
}

static void skip_space(struct checker *c)
{
    while (c->at < c->n) {
        unsigned char ch = c->p[c->at];
        if (ch != ' ' && ch != '\n' && ch != '\r' && ch != '\t')
            return;
        c->at++;
    }
}

/* The byte at `at`, or 0 at the end (a NUL byte is nowhere allowed where this is asked). */
static unsigned char peek(const struct checker *c)
{
    return c->at < c->n ? c->p[c->at] : 0;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* Length of the well-formed UTF-8 sequence of more than one byte at p, 0: ill-formed (RFC 3629). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    unsigned char a = p[0], low = 0x80, high = 0xBF;
    size_t len = a >= 0xF0 ? 4 : a >= 0xE0 ? 3 : 2;

    if (a < 0xC2 || a > 0xF4 || n < len)
        return 0;
    if (a == 0xE0)
        low = 0xA0; /* overlong */
    else if (a == 0xED)
        high = 0x9F; /* surrogates */
    else if (a == 0xF0)
        low = 0x90; /* overlong */
    else if (a == 0xF4)
        high = 0x8F; /* above U+10FFFF */
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

/* Four hex digits of a string that has been checked. */
static unsigned read_hex4(const unsigned char *p)
{
    unsigned v = 0;

    for (int i = 0; i < 4; i++)
        v = v * 16 + ((unsigned)str_hex_digit((char)p[i]) & 15);
    return v;
}

static const char bad_hex[] = "Incorrect hex digit after \\u escape in string.";
static const char bad_pair[] = "The surrogate pair in string is invalid.";
static const char bad_escape[] = "Invalid escape character in string.";
static const char bad_end[] = "Missing a closing quotation mark in string.";
static const char bad_encoding[] = "Invalid encoding in string.";

/* c->at is on "\u"; behind the four digits afterwards. */
static bool check_hex4(struct checker *c, unsigned *out)
{
    for (size_t i = c->at + 2; i < c->at + 6; i++) {
        if (i >= c->n) {
            refuse(c, c->n, bad_end);
            return false;
        }
        if (str_hex_digit((char)c->p[i]) < 0) {
            refuse(c, c->at, bad_hex);
            return false;
        }
    }
    *out = read_hex4(c->p + c->at + 2);
    c->at += 6;
    return true;
}

/* A high surrogate needs the low one behind it, also as an escape. */
static bool check_unicode_escape(struct checker *c)
{
    static const char next[] = {'\\', 'u'};
    size_t start = c->at;
    unsigned v, low;

    if (!check_hex4(c, &v))
        return false;
    if (v < 0xD800 || v > 0xDFFF)
        return true;
    for (size_t i = 0; v <= 0xDBFF && i < sizeof next; i++) {
        if (c->at + i >= c->n) {
            refuse(c, c->n, bad_end);
            return false;
        }
        if (c->p[c->at + i] != (unsigned char)next[i])
            v = 0xDFFF; /* alone */
    }
    if (v <= 0xDBFF) {
        if (!check_hex4(c, &low)) {
            if (c->what == bad_hex)
                c->at = start; /* the pair counts as one */
            return false;
        }
        if (low >= 0xDC00 && low <= 0xDFFF)
            return true;
    }
    refuse(c, start, bad_pair);
    return false;
}

static bool check_escape(struct checker *c)
{
    if (c->at + 1 >= c->n) {
        refuse(c, c->n, bad_end);
        return false;
    }
    switch (c->p[c->at + 1]) {
    case 'u':
        return check_unicode_escape(c);
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        c->at += 2;
        return true;
    }
    refuse(c, c->at, bad_escape);
    return false;
}

/* Skips bytes that are neither control, quote, backslash nor beyond ASCII, eight at a time. */
static size_t skip_plain(const unsigned char *p, size_t at, size_t n)
{
    for (; n - at >= 8; at += 8) {
        uint64_t w = bytes_load(p + at);
        uint64_t marks =
            (w & BYTES_TOPS) | bytes_below(w, 0x20) | bytes_equal(w, '"') | bytes_equal(w, '\\');
        if (marks != 0)
            return at + bytes_first(marks);
    }
    return at;
}

/* c->at is on the opening quote; behind the closing one afterwards. */
static bool check_string(struct checker *c)
{
    size_t start = ++c->at;
    bool escapes = false;

    for (;;) {
        unsigned char ch;
        c->at = skip_plain(c->p, c->at, c->n);
        if (c->at >= c->n) {
            refuse(c, c->n, bad_end);
            return false;
        }
        ch = c->p[c->at];
        if (ch == '"')
            break;
        if (ch == '\\') {
            escapes = true;
            if (!check_escape(c))
                return false;
        } else if (ch >= 0x80 || ch < 0x20) {
            size_t len = ch < 0x20 ? 0 : utf8_length(c->p + c->at, c->n - c->at);
            if (len == 0) {
                refuse(c, c->at, bad_encoding);
                return false;
            }
            c->at += len;
        } else {
            c->at++;
        }
    }
    if (escapes)
        c->needs.decoded += c->at - start;
    c->at++;
    return true;
}

/* ---- numbers and words ----------------------------------------------------------------------- */

static bool skip_digits(struct checker *c)
{
    size_t start = c->at;

    while (c->at < c->n && c->p[c->at] >= '0' && c->p[c->at] <= '9')
        c->at++;
    return c->at > start;
}

static enum state check_number(struct checker *c)
{
    size_t start = c->at;
    bool exponent = false;

    if (peek(c) == '-')
        c->at++;
    if (peek(c) == '0')
        c->at++; /* a digit behind it is refused as what follows the value */
    else if (!skip_digits(c))
        return refuse(c, c->at, "Invalid value.");
    if (peek(c) == '.') {
        c->at++;
        if (!skip_digits(c))
            return refuse(c, c->at, "Miss fraction part in number.");
    }
    if ((peek(c) | 0x20) == 'e') {
        exponent = true;
        c->at++;
        if (peek(c) == '+' || peek(c) == '-')
            c->at++;
        if (!skip_digits(c))
            return refuse(c, c->at, "Miss exponent in number.");
    }
    /* Without an exponent, 10^308 takes 309 digits. */
    if ((exponent || c->at - start >= 309) &&
        json_number_overflows((str){(const char *)c->p + start, c->at - start}))
        return refuse(c, start, "Number too big to be stored in double.");
    return AFTER_VALUE;
}

static enum state check_word(struct checker *c, const char *word)
{
    for (; *word != '\0'; word++, c->at++)
        if (peek(c) != (unsigned char)*word)
            return refuse(c, c->at, "Invalid value.");
    return AFTER_VALUE;
}

/* ---- structure ------------------------------------------------------------------------------- */

static enum state open_container(struct checker *c, unsigned char kind)
{
    if (c->depth == c->max_depth) {
        c->what = "Nested too deeply.";
        return TOO_DEEP;
    }
    c->kinds[c->depth++] = kind;
    c->needs.containers++;
    c->needs.objects += kind == '{';
    c->at++;
    return kind == '{' ? AT_NAME_OR_END : AT_ITEM_OR_END;
}

static enum state close_container(struct checker *c)
{
    c->depth--;
    c->at++;
    return AFTER_VALUE;
}

static enum state check_value(struct checker *c)
{
    unsigned char ch = peek(c);

    if (c->depth > 0 && c->kinds[c->depth - 1] == '[')
        c->needs.items++;
    c->needs.values++;
    switch (ch) {
    case '{':
    case '[':
        return open_container(c, ch);
    case '"':
        return check_string(c) ? AFTER_VALUE : REFUSED;
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    case '-':
    case '0' ... '9':
        return check_number(c);
    }
    return refuse(c, c->at, "Invalid value.");
}

static enum state check_name(struct checker *c)
{
    if (peek(c) != '"')
        return refuse(c, c->at, "Missing a name for object member.");
    if (!check_string(c))
        return REFUSED;
    c->needs.members++;
    skip_space(c);
    if (peek(c) != ':')
        return refuse(c, c->at, "Missing a colon after a name of object member.");
    c->at++;
    return AT_VALUE;
}

/* White space has been skipped. */
static enum state check_after_value(struct checker *c)
{
    unsigned char ch = peek(c), kind;

    if (c->depth == 0)
        return c->at == c->n
                   ? DONE
                   : refuse(c, c->at, "The document root must not be followed by other values.");
    kind = c->kinds[c->depth - 1];
    if (ch == ',') {
        c->at++;
        return kind == '{' ? AT_NAME : AT_VALUE;
    }
    if (ch == kind + 2) /* in ASCII, the closing bracket is two behind the opening one */
        return close_container(c);
    return refuse(c, c->at,
                  kind == '{' ? "Missing a comma or '}' after an object member."
                              : "Missing a comma or ']' after an array element.");
}

static enum state check_step(struct checker *c, enum state s)
{
    skip_space(c);
    switch (s) {
    case AT_ITEM_OR_END:
        return peek(c) == ']' ? close_container(c) : check_value(c);
    case AT_VALUE:
        return check_value(c);
    case AT_NAME_OR_END:
        return peek(c) == '}' ? close_container(c) : check_name(c);
    case AT_NAME:
        return check_name(c);
    case AFTER_VALUE:
        return check_after_value(c);
    case REFUSED:
    case TOO_DEEP:
    case DONE:
        break;
    }
    return s;
}

static enum err check_text(struct checker *c)
{
    enum state s = AT_VALUE;

    skip_space(c);
    if (c->at == c->n) {
        c->what = "The document is empty.";
        return ERR_SYNTAX;
    }
    while (s != REFUSED && s != TOO_DEEP && s != DONE)
        s = check_step(c, s);
    return s == DONE ? OK : s == TOO_DEEP ? ERR_LIMIT : ERR_SYNTAX;
}

static void fill_error(struct json_error *error, str text, size_t at, const char *what)
{
    unsigned line = 1, column = 1;

    if (error == NULL)
        return;
    for (size_t i = 0; i < at; i++) {
        if (text.p[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.p[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    *error = (struct json_error){.offset = at, .line = line, .column = column, .what = what};
}

/* ---- decoding -------------------------------------------------------------------------------- */

static size_t put_utf8(char *out, unsigned v)
{
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (char)(0xC0 | v >> 6);
        out[1] = (char)(0x80 | (v & 0x3F));
        return 2;
    }
    if (v < 0x10000) {
        out[0] = (char)(0xE0 | v >> 12);
        out[1] = (char)(0x80 | (v >> 6 & 0x3F));
        out[2] = (char)(0x80 | (v & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | v >> 18);
    out[1] = (char)(0x80 | (v >> 12 & 0x3F));
    out[2] = (char)(0x80 | (v >> 6 & 0x3F));
    out[3] = (char)(0x80 | (v & 0x3F));
    return 4;
}

/* p is on "\uXXXX"; advances it. */
static unsigned decode_unicode(const unsigned char **p, const unsigned char *end)
{
    unsigned v = read_hex4(*p + 2);

    *p += 6;
    if (v >= 0xD800 && v <= 0xDBFF && end - *p >= 6) {
        v = 0x10000 + ((v & 0x3FF) << 10) + (read_hex4(*p + 2) & 0x3FF);
        *p += 6;
    }
    return v;
}

static char decode_short(unsigned char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    }
    return (char)c;
}

size_t json_unescape(str raw, char *out)
{
    const unsigned char *p = (const unsigned char *)raw.p, *end = p + raw.n;
    size_t n = 0;

    while (p < end) {
        const unsigned char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash != NULL ? slash : end) - p);
        memcpy(out + n, p, plain);
        n += plain;
        p += plain;
        if (p == end)
            break;
        if (end - p < 2)
            break;
        if (p[1] == 'u' && end - p >= 6) {
            n += put_utf8(out + n, decode_unicode(&p, end));
        } else {
            out[n++] = decode_short(p[1]);
            p += 2;
        }
    }
    return n;
}

/* ---- building -------------------------------------------------------------------------------- */

struct builder {
    const char *text;
    bool escapes; /* there are any in the text */
    struct json *nodes;
    struct json_box *boxes;
    struct json **items;
    struct json_member *members;
    char *decoded;
    struct json *open[JSON_MAX_DEPTH];
    unsigned depth;
};

/* Allocates the slabs; `nodes` keeps its start for the caller. */
static bool take_slabs(struct builder *b, struct arena *a, const struct needs *n)
{
    b->escapes = n->decoded > 0;
    b->nodes = ARENA_NEW_ARRAY(a, struct json, n->values);
    b->boxes = ARENA_NEW_ARRAY(a, struct json_box, n->containers);
    b->items = ARENA_NEW_ARRAY(a, struct json *, n->items);
    b->members = ARENA_NEW_ARRAY(a, struct json_member, n->members);
    b->decoded = arena_alloc(a, n->decoded);
    return b->nodes && b->boxes && b->items && b->members && b->decoded;
}

static str token_string(struct builder *b, const jsmntok_t *t)
{
    str s = {b->text + t->start, (size_t)(t->end - t->start)};

    if (b->escapes && memchr(s.p, '\\', s.n) != NULL) {
        size_t n = json_unescape(s, b->decoded);
        s = (str){b->decoded, n};
        b->decoded += n;
    }
    return s;
}

/* A container takes as many slots from the slab as the token says it has children. */
static void open_node(struct builder *b, struct json *v, const jsmntok_t *t)
{
    struct json_box *box = b->boxes++;
    uint32_t n = (uint32_t)t->size;

    v->type = t->type == JSMN_OBJECT ? JSON_OBJECT : JSON_ARRAY;
    v->height = 1;
    v->box = box;
    box->parent = b->depth > 0 ? b->open[b->depth - 1] : NULL;
    box->cap = n;
    if (v->type == JSON_OBJECT) {
        box->members = b->members;
        b->members += n;
    } else {
        box->items = b->items;
        b->items += n;
    }
    b->open[b->depth++] = v;
}

static void fill_node(struct builder *b, struct json *v, const jsmntok_t *t)
{
    const char *p = b->text + t->start;

    if (t->type == JSMN_OBJECT || t->type == JSMN_ARRAY) {
        open_node(b, v, t);
    } else if (t->type == JSMN_STRING) {
        v->type = JSON_STRING;
        v->text = token_string(b, t);
    } else if (*p == 't' || *p == 'f') {
        v->type = JSON_BOOL;
        v->boolean = *p == 't';
    } else if (*p == 'n') {
        v->type = JSON_NULL;
    } else {
        v->type = JSON_NUMBER;
        v->text = (str){p, (size_t)(t->end - t->start)};
    }
}

/* Leaves the containers that have all their children, handing their heights upwards. */
static void close_full(struct builder *b)
{
    while (b->depth > 0) {
        struct json *v = b->open[b->depth - 1];
        if (v->box->used < v->box->cap)
            return;
        v->count = v->box->used;
        b->depth--;
        if (b->depth > 0) {
            struct json *up = b->open[b->depth - 1];
            if (up->height <= v->height)
                up->height = (uint16_t)(v->height + 1);
        }
    }
}

/* Tokens come in the order of the text: a container before its children, a name before its value.
 */
static void build(struct builder *b, const jsmntok_t *t, const jsmntok_t *end)
{
    while (t < end) {
        struct json *v = b->nodes++;
        if (b->depth > 0) {
            struct json *up = b->open[b->depth - 1];
            uint32_t slot = up->box->used++;
            if (up->type == JSON_OBJECT) {
                up->box->members[slot].name = token_string(b, t++);
                up->box->members[slot].value = v;
            } else {
                up->box->items[slot] = v;
            }
        }
        fill_node(b, v, t++);
        close_full(b);
    }
}

/* Steps 2 and 3. The scratch for the tokens is given back before returning. */
static enum err tokens_to_tree(struct arena *a, str text, struct builder *b, size_t n_tokens)
{
    struct arena_mark mark = arena_mark(a);
    jsmntok_t *tokens = arena_alloc(a, n_tokens * sizeof *tokens);
    jsmn_parser parser;
    int n;

    if (tokens == NULL)
        return ERR_NOMEM;
    jsmn_init(&parser);
    n = jsmn_parse(&parser, text.p, text.n, tokens, (unsigned)n_tokens);
    CHECK(n >= 0 && (size_t)n == n_tokens); /* what step 1 lets through, jsmn understands */
    build(b, tokens, tokens + n_tokens);
    arena_release(a, mark);
    return OK;
}

static enum err finish(struct arena *a, struct json *nodes, const struct needs *needs)
{
    size_t left = needs->objects;

    for (size_t i = 0; left > 0; i++) {
        if (nodes[i].type != JSON_OBJECT)
            continue;
        left--;
        if (json_object_finish(a, &nodes[i]) != OK)
            return ERR_NOMEM;
    }
    return OK;
}

/* jsmn counts in int. A token needs a byte of text at least, so no size below can overflow. */
#define MAX_TEXT MIN_OF((size_t)INT_MAX, SIZE_MAX / 64)

enum err json_parse(struct arena *a, str text, struct json **out, struct json_error *error)
{
    return json_parse_flat(a, text, JSON_MAX_DEPTH, out, error);
}

enum err json_parse_flat(struct arena *a, str text, unsigned depth, struct json **out,
                         struct json_error *error)
{
    struct checker c = {.p = (const unsigned char *)text.p,
                        .n = text.n,
                        .max_depth = MIN_OF(depth, (unsigned)JSON_MAX_DEPTH)};
    struct builder b = {.text = text.p};
    struct json *root;
    enum err e;

    if (text.n > MAX_TEXT) {
        fill_error(error, text, 0, "The document is too long.");
        return ERR_LIMIT;
    }
    e = check_text(&c);
    if (e != OK) {
        fill_error(error, text, c.at, c.what);
        return e;
    }
    if (!take_slabs(&b, a, &c.needs))
        return ERR_NOMEM;
    root = b.nodes;
    e = tokens_to_tree(a, text, &b, c.needs.values + c.needs.members);
    if (e == OK)
        e = finish(a, root, &c.needs);
    if (e == OK)
        *out = root;
    return e;
}
