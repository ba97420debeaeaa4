/*
 * json/regex_translate.c - from Python's patterns to PCRE2's.
 *
 * The pattern is read once, and each token is written in a form that both understand in the same
 * way. What PCRE2 would let pass and Python does not is refused here (unknown escapes, extensions of
 * Perl, repetition of nothing); the rest (balance, names, look-behind) is left to PCRE2's compiler.
 * White space and comments of verbose patterns are left out on the way.
 */
#include "json/regex_translate.h"

#define MAX_DEPTH  250 /* of groups: PCRE2's own default */
#define MAX_REPEAT 65535

enum item { ITEM_NONE, ITEM_ANCHOR, ITEM_REPEATED, ITEM_PLAIN };

struct group {
    unsigned number; /* 0: it captures nothing */
    str name;        /* or none */
    bool verbose;    /* what counts behind it */
    bool inner;      /* a look-behind, with a group of our own inside */
};

struct reader {
    const char *p, *end;
    struct buf *out;
    bool verbose;
    bool begun; /* something stands before: no global flags any more */
    enum item last;
    struct group open[MAX_DEPTH];
    unsigned depth, groups;
    uint64_t reach;
    bool caseless;   /* somewhere */
    uint64_t *steps; /* that may be spent */
    const char *why; /* unsupported */
};

static enum err spend_steps(uint64_t *steps, uint64_t n)
{
    if (*steps < n)
        return ERR_LIMIT;
    *steps -= n;
    return OK;
}

static enum err unsupported(struct reader *r, const char *why)
{
    r->why = why;
    return ERR_UNSUPPORTED;
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

static char peek(const struct reader *r)
{
    return r->p < r->end ? *r->p : '\0';
}

static bool next_is(const struct reader *r, char c)
{
    return r->p < r->end && *r->p == c;
}

static bool take(struct reader *r, char c)
{
    if (!next_is(r, c))
        return false;
    r->p++;
    return true;
}

static void put_code(struct reader *r, uint32_t c)
{
    buf_printf(r->out, "\\x{%x}", (unsigned)c);
}

/* One character of the pattern (valid UTF-8). */
static uint32_t take_character(struct reader *r)
{
    unsigned char c = (unsigned char)*r->p++;
    unsigned more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    uint32_t code = more == 0 ? c : c & (0x3Fu >> more);

    for (; more > 0 && r->p < r->end; more--)
        code = code << 6 | ((unsigned char)*r->p++ & 0x3F);
    return code;
}

/* Exactly n hex digits. */
static enum err take_hex(struct reader *r, unsigned n, uint32_t *out)
{
    uint32_t code = 0;

    for (unsigned i = 0; i < n; i++) {
        int digit = r->p < r->end ? str_hex_digit(*r->p) : -1;
        if (digit < 0)
            return ERR_SYNTAX;
        code = code << 4 | (uint32_t)digit;
        r->p++;
    }
    if (code > 0x10FFFF)
        return ERR_SYNTAX;
    if (code >= 0xD800 && code <= 0xDFFF)
        return unsupported(r, "lone surrogates");
    *out = code;
    return OK;
}

static enum err take_octal(struct reader *r, unsigned most, uint32_t *out)
{
    uint32_t code = 0;

    for (unsigned i = 0; i < most && is_octal(peek(r)); i++)
        code = code << 3 | (uint32_t)(*r->p++ - '0');
    if (code > 0377)
        return ERR_SYNTAX;
    *out = code;
    return OK;
}

/* The escapes for one character that mean the same inside and outside of a class, behind the
 * backslash. NOTFOUND: it is none of them, and nothing was read. */
static enum err take_common_escape(struct reader *r, uint32_t *out)
{
    static const char names[] = "afnrtv", codes[] = "\a\f\n\r\t\v";
    char c = *r->p;
    const char *known = c ? strchr(names, c) : NULL;

    if (c == 'x' || c == 'u' || c == 'U') {
        r->p++;
        return take_hex(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
    }
    if (c == 'N')
        return unsupported(r, "characters by name");
    if (known != NULL)
        *out = (unsigned char)codes[known - names];
    if (known == NULL && str_is_alnum(c))
        return ERR_NOTFOUND;
    if (known == NULL)
        *out = take_character(r);
    else
        r->p++;
    return OK;
}

/* ---- classes --------------------------------------------------------------------------------- */

/* White space, all else, and letters as Python sees them, to stand inside of brackets. */
#define SPACES "\\t-\\r\\x1c-\\x1f\\x85\\p{Z}"
#define NO_SPACES                                                                                  \
    "\\x00-\\x08\\x0e-\\x1b!-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-" \
    "\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
#define LETTERS "\\p{L}\\p{N}_"

static const char no_spaces[] = NO_SPACES;

static const char *class_category(char c)
{
    switch (c) {
    case 'd':
        return "\\d";
    case 'D':
        return "\\D";
    case 's':
        return SPACES;
    case 'S':
        return no_spaces;
    case 'w':
        return LETTERS;
    case 'W':
        return "\\W";
    default:
        return NULL;
    }
}

/* PCRE2 looks for the other cases of each character. */
static enum err spend_range(struct reader *r, uint32_t width)
{
    return r->caseless ? spend_steps(r->steps, width / 16) : OK;
}

/* One member of a class: a character, or a category (*category set). */
static enum err take_member(struct reader *r, uint32_t *code, const char **category)
{
    enum err e;

    *category = NULL;
    if (r->p == r->end)
        return ERR_SYNTAX;
    if (!take(r, '\\')) {
        *code = take_character(r);
        return OK;
    }
    if (r->p == r->end)
        return ERR_SYNTAX;
    *category = class_category(*r->p);
    if (*category != NULL) {
        r->p++;
        return OK;
    }
    if (take(r, 'b')) {
        *code = '\b';
        return OK;
    }
    e = take_common_escape(r, code);
    if (e != ERR_NOTFOUND)
        return e;
    return is_octal(*r->p) ? take_octal(r, 3, code) : ERR_SYNTAX;
}

/* A member, or a range of them. */
static enum err take_range(struct reader *r)
{
    uint32_t low = 0, high = 0;
    const char *low_category, *high_category;
    enum err e = take_member(r, &low, &low_category);

    if (e != OK)
        return e;
    if (!next_is(r, '-') || (r->p + 1 < r->end && r->p[1] == ']')) {
        if (low_category == NULL)
            put_code(r, low);
        else
            buf_add_str(r->out, str_from(low_category));
        return spend_range(r, low_category == no_spaces ? 0x110000 : 0);
    }
    r->p++;
    e = take_member(r, &high, &high_category);
    if (e != OK)
        return e;
    if (low_category != NULL || high_category != NULL || low > high)
        return ERR_SYNTAX;
    put_code(r, low);
    buf_add_char(r->out, '-');
    put_code(r, high);
    return spend_range(r, high - low);
}

static enum err take_class(struct reader *r)
{
    bool first = true;

    buf_add_char(r->out, '[');
    if (take(r, '^'))
        buf_add_char(r->out, '^');
    for (; first || !next_is(r, ']'); first = false) {
        enum err e = take_range(r);
        if (e != OK)
            return e;
    }
    r->p++;
    buf_add_char(r->out, ']');
    r->last = ITEM_PLAIN;
    return OK;
}

/* ---- escapes --------------------------------------------------------------------------------- */

static bool is_open(const struct reader *r, unsigned group)
{
    for (unsigned i = 0; i < r->depth; i++)
        if (r->open[i].number == group)
            return true;
    return false;
}

/* \1 to \99: a group that is complete; three octal digits: a character. */
static enum err take_number_escape(struct reader *r)
{
    unsigned group;
    uint32_t code;
    bool octal = r->end - r->p >= 3 && is_octal(r->p[0]) && is_octal(r->p[1]) && is_octal(r->p[2]);

    r->last = ITEM_PLAIN;
    if (octal || *r->p == '0') {
        enum err e = take_octal(r, 3, &code);
        if (e == OK)
            put_code(r, code);
        return e;
    }
    group = (unsigned)(*r->p++ - '0');
    if (str_is_digit(peek(r)))
        group = group * 10 + (unsigned)(*r->p++ - '0');
    if (group > r->groups || is_open(r, group))
        return ERR_SYNTAX;
    buf_printf(r->out, "\\g{%u}", group);
    r->reach = UINT64_MAX;
    return OK;
}

/* What stands for more or less than one character; NULL: c is none of these. */
static const char *category(char c, enum item *kind)
{
    *kind = strchr("AbBZ", c) ? ITEM_ANCHOR : ITEM_PLAIN;
    switch (c) {
    case 'A':
        return "\\A";
    case 'b':
        return "\\b";
    case 'B':
        return "\\B";
    case 'Z':
        return "\\z";
    case 'd':
        return "\\d";
    case 'D':
        return "\\D";
    case 's':
        return "[" SPACES "]";
    case 'S':
        return "[^" SPACES "]";
    case 'w':
        return "[" LETTERS "]";
    case 'W':
        return "[^" LETTERS "]";
    default:
        return NULL;
    }
}

static enum err take_escape(struct reader *r)
{
    const char *found;
    enum item kind;
    uint32_t code;
    enum err e;

    if (r->p == r->end)
        return ERR_SYNTAX;
    if (str_is_digit(*r->p))
        return take_number_escape(r);
    found = *r->p ? category(*r->p, &kind) : NULL;
    if (found != NULL) {
        r->p++;
        r->last = kind;
        buf_add_str(r->out, str_from(found));
        return OK;
    }
    e = take_common_escape(r, &code);
    if (e == OK)
        put_code(r, code);
    r->last = ITEM_PLAIN;
    return e == ERR_NOTFOUND ? ERR_SYNTAX : e;
}

/* ---- repetitions ----------------------------------------------------------------------------- */

/* Digits, if there are any; a number beyond any limit stays there. */
static bool take_count(struct reader *r, uint64_t *out)
{
    bool any = false;

    for (; str_is_digit(peek(r)); any = true) {
        uint64_t more = (any ? *out : 0) * 10 + (uint64_t)(*r->p++ - '0');
        *out = MIN_OF(more, (uint64_t)UINT32_MAX);
    }
    return any;
}

/* The inside of {m,n}, behind the brace; false, and nothing read, when it is no repetition. */
static bool take_bounds(struct reader *r, uint64_t *min, uint64_t *max, bool *bounded)
{
    const char *begin = r->p;
    bool low;

    *min = 0;
    *bounded = true;
    if (next_is(r, '}'))
        return false;
    low = take_count(r, min);
    *max = *min;
    if (take(r, ','))
        *bounded = take_count(r, max);
    else if (!low)
        *bounded = false;
    if (take(r, '}'))
        return true;
    r->p = begin;
    return false;
}

static enum err put_suffix(struct reader *r)
{
    if (r->last == ITEM_NONE || r->last == ITEM_ANCHOR || r->last == ITEM_REPEATED)
        return ERR_SYNTAX;
    if (take(r, '?'))
        buf_add_char(r->out, '?');
    else if (take(r, '+'))
        buf_add_char(r->out, '+');
    r->last = ITEM_REPEATED;
    return OK;
}

static enum err take_braces(struct reader *r)
{
    uint64_t min, max = 0;
    bool bounded;

    if (!take_bounds(r, &min, &max, &bounded)) {
        buf_add_lit(r->out, "\\{");
        r->last = ITEM_PLAIN;
        return OK;
    }
    if (bounded && max < min)
        return ERR_SYNTAX;
    if (min > MAX_REPEAT || (bounded && max > MAX_REPEAT))
        return unsupported(r, "repetitions over 65535");
    r->reach = MAX_OF(r->reach, min);
    if (bounded)
        buf_printf(r->out, "{%u,%u}", (unsigned)min, (unsigned)max);
    else
        buf_printf(r->out, "{%u,}", (unsigned)min);
    return put_suffix(r);
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* The caller has written its beginning, and goes on with what is in it. */
static enum err open_group(struct reader *r, struct group group, bool captures)
{
    if (r->depth == MAX_DEPTH)
        return unsupported(r, "groups nested over 250 deep");
    if (captures)
        group.number = ++r->groups;
    r->open[r->depth++] = group;
    r->last = ITEM_NONE;
    return OK;
}

/* Letters of (?...) up to its end; PCRE2's among them are written to `out`. */
static enum err take_flags(struct reader *r, bool on)
{
    for (; str_is_letter(peek(r)); r->p++) {
        char c = *r->p;
        if (c == 'a')
            return unsupported(r, "the flag a");
        if (strchr("imsux", c) == NULL || (c == 'u' && !on))
            return ERR_SYNTAX;
        r->caseless = r->caseless || c == 'i';
        if (c == 'x')
            r->verbose = on;
        else if (c != 'u')
            buf_add_char(r->out, c);
    }
    return OK;
}

/* (?i) at the beginning of all, or (?i-s:...). */
static enum err take_flag_group(struct reader *r)
{
    bool verbose_behind = r->verbose;
    enum err e;

    buf_add_lit(r->out, "(?");
    e = take_flags(r, true);
    if (e != OK)
        return e;
    if (take(r, ')')) {
        buf_add_char(r->out, ')');
        return r->begun || r->depth > 0 ? ERR_SYNTAX : OK;
    }
    if (take(r, '-')) {
        if (!str_is_letter(peek(r)))
            return ERR_SYNTAX;
        buf_add_char(r->out, '-');
        e = take_flags(r, false);
        if (e != OK)
            return e;
    }
    if (!take(r, ':'))
        return ERR_SYNTAX;
    buf_add_char(r->out, ':');
    return open_group(r, (struct group){.verbose = verbose_behind}, false);
}

/* A name up to `end`, which is taken, too. */
static enum err take_name(struct reader *r, char end, str *name)
{
    const char *begin = r->p, *at = memchr(r->p, end, (size_t)(r->end - r->p));

    if (at == NULL || at == begin || str_is_digit(*begin))
        return ERR_SYNTAX;
    for (const char *p = begin; p < at; p++)
        if (!str_is_letter(*p) && !str_is_digit(*p) && *p != '_' && (unsigned char)*p < 0x80)
            return ERR_SYNTAX;
    *name = (str){begin, (size_t)(at - begin)};
    r->p = at + 1;
    return OK;
}

/* Was a group of that name opened before? Nothing else looks like it in what was written. */
static bool is_named(const struct reader *r, str name)
{
    str rest = buf_str(r->out);
    size_t at;

    while ((at = str_find_str(rest, STR("(?P<"))) != STR_NPOS) {
        rest = str_drop(rest, at + 4);
        if (str_starts(rest, name) && rest.n > name.n && rest.p[name.n] == '>')
            return true;
    }
    return false;
}

static bool is_open_name(const struct reader *r, str name)
{
    for (unsigned i = 0; i < r->depth; i++)
        if (str_eq(r->open[i].name, name) && !str_none(r->open[i].name))
            return true;
    return false;
}

/* (?P<name>...) and (?P=name) */
static enum err take_named(struct reader *r)
{
    str name;
    bool refers = next_is(r, '=');
    enum err e;

    if (!refers && !next_is(r, '<'))
        return ERR_SYNTAX;
    r->p++;
    e = take_name(r, refers ? ')' : '>', &name);
    if (e != OK)
        return e;
    if (refers && (!is_named(r, name) || is_open_name(r, name)))
        return ERR_SYNTAX;
    buf_add_str(r->out, refers ? STR("(?P=") : STR("(?P<"));
    buf_add_str(r->out, name);
    buf_add_char(r->out, refers ? ')' : '>');
    if (!refers)
        return open_group(r, (struct group){.name = name, .verbose = r->verbose}, true);
    r->reach = UINT64_MAX;
    r->last = ITEM_PLAIN;
    return OK;
}

/* (?(1)yes|no), (?(name)yes|no) */
static enum err take_condition(struct reader *r)
{
    uint64_t number = 0;
    str name;
    enum err e;

    if (take_count(r, &number)) {
        if (number == 0 || !take(r, ')'))
            return ERR_SYNTAX;
        buf_printf(r->out, "(?(%u)", (unsigned)MIN_OF(number, (uint64_t)MAX_REPEAT));
    } else {
        e = take_name(r, ')', &name);
        if (e != OK)
            return e;
        if (!is_named(r, name))
            return ERR_SYNTAX;
        buf_add_lit(r->out, "(?(<");
        buf_add_str(r->out, name);
        buf_add_lit(r->out, ">)");
    }
    return open_group(r, (struct group){.verbose = r->verbose}, false);
}

static enum err skip_comment(struct reader *r)
{
    const char *end = memchr(r->p, ')', (size_t)(r->end - r->p));

    if (end == NULL)
        return ERR_SYNTAX;
    r->p = end + 1;
    return OK;
}

/* Behind "(?". */
static enum err take_extension(struct reader *r)
{
    static const char *const plain[] = {":", "=", "!", ">", "<=", "<!"};

    if (take(r, 'P'))
        return take_named(r);
    if (take(r, '#'))
        return skip_comment(r);
    if (take(r, '('))
        return take_condition(r);
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        size_t n = strlen(plain[i]);
        if ((size_t)(r->end - r->p) < n || memcmp(r->p, plain[i], n) != 0)
            continue;
        r->p += n;
        buf_add_lit(r->out, "(?");
        buf_add(r->out, plain[i], n);
        bool inner = n == 2;
        if (inner) /* PCRE2 lets the alternatives of a look-behind itself differ in length */
            buf_add_lit(r->out, "(?:");
        return open_group(r, (struct group){.verbose = r->verbose, .inner = inner}, false);
    }
    if (str_is_letter(peek(r)) || next_is(r, '-'))
        return take_flag_group(r);
    return ERR_SYNTAX;
}

static enum err take_group(struct reader *r)
{
    if (take(r, '?'))
        return take_extension(r);
    buf_add_char(r->out, '(');
    return open_group(r, (struct group){.verbose = r->verbose}, true);
}

static enum err close_group(struct reader *r)
{
    if (r->depth == 0)
        return ERR_SYNTAX;
    r->verbose = r->open[--r->depth].verbose;
    buf_add_str(r->out, r->open[r->depth].inner ? STR("))") : STR(")"));
    r->last = ITEM_PLAIN;
    return OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* White space or a comment of a verbose pattern. */
static bool skip_verbose(struct reader *r)
{
    if (!r->verbose || strchr(" \t\n\r\v\f#", *r->p) == NULL || *r->p == '\0')
        return false;
    if (*r->p++ == '#')
        while (r->p < r->end && *r->p++ != '\n')
            ;
    return true;
}

static void put_literal(struct reader *r)
{
    uint32_t c = take_character(r);

    if (c < 0x80 && (str_is_alnum((char)c) || c == ' ' || c == '_'))
        buf_add_char(r->out, (char)c);
    else
        put_code(r, c);
    r->last = ITEM_PLAIN;
}

static enum err put_anchor(struct reader *r, char c)
{
    r->p++;
    buf_add_char(r->out, c);
    r->last = c == '.' ? ITEM_PLAIN : c == '|' ? ITEM_NONE : ITEM_ANCHOR;
    return OK;
}

static enum err take_token(struct reader *r)
{
    char c = *r->p;

    switch (c) {
    case '\\':
        r->p++;
        return take_escape(r);
    case '[':
        r->p++;
        return take_class(r);
    case '(':
        r->p++;
        return take_group(r);
    case ')':
        r->p++;
        return close_group(r);
    case '*':
    case '+':
    case '?':
        r->p++;
        buf_add_char(r->out, c);
        return put_suffix(r);
    case '{':
        r->p++;
        return take_braces(r);
    case '.':
    case '^':
    case '$':
    case '|':
        return put_anchor(r, c);
    default:
        put_literal(r);
        return OK;
    }
}

static enum err read_all(struct reader *r)
{
    while (r->p < r->end) {
        size_t before = r->out->n;
        bool flags = r->end - r->p > 2 && r->p[0] == '(' && r->p[1] == '?' &&
                     (str_is_letter(r->p[2]) && r->p[2] != 'P');
        enum err e;
        if (skip_verbose(r))
            continue;
        e = take_token(r);
        if (e != OK)
            return e;
        if (r->out->n != before && !(flags && r->depth == 0 && r->last == ITEM_NONE))
            r->begun = true;
    }
    if (r->depth > 0)
        return ERR_SYNTAX;
    return r->out->err == ERR_LIMIT ? unsupported(r, "too large when its classes are written out")
                                    : r->out->err;
}

enum err json_regex_translate(str pattern, uint64_t *steps, struct buf *out, uint64_t *reach,
                              const char **why)
{
    struct reader r = {.p = pattern.p, .end = pattern.p + pattern.n, .out = out, .steps = steps};
    enum err e = spend_steps(steps, 64 + pattern.n * JSON_REGEX_BYTE_STEPS);

    if (e == OK)
        e = read_all(&r);
    if (e == OK)
        *reach = r.reach;
    *why = r.why;
    return e;
}
