/*
 * base/ini.c - the INI parser.
 *
 * Two passes: lines become entries with raw values; then each value is interpolated, which may need
 * any other raw value. Entries lie in the arena, in a list in file order and in a map a section.
 *
 * Why not libinih: it cuts lines at 200 bytes (as Debian builds it), takes " ;" inside a value for
 * a comment, hands out each continuation line as a value of its own, without the empty ones, and
 * knows no interpolation. Secrets and lists in files written for the reference would change in
 * silence.
 *
 * White space is what Python's str.isspace says, which includes a few characters beyond ASCII.
 * Indentation is counted in characters, not in bytes.
 */
#include "base/ini.h"

#include "base/buf.h"

#define MAX_FILE          MIB
#define MAX_VALUE         MIB
#define ARENA_BUDGET      (64 * MIB)
#define MAX_DEPTH         10    /* of names within names, as in the reference */
#define MAX_SUBSTITUTIONS 10000 /* a value: ten levels of many empty names would take for ever */

struct section {
    str name;
    struct map items;
};

struct item {
    struct ini_entry entry; /* handed out; its value stands once it has been interpolated */
    struct section *section;
    str raw;
};

struct parser {
    struct ini *ini;
    struct section *section; /* the open one, or NULL */
    struct item *item;       /* whose value may go on, or NULL */
    struct ini_entry **tail;
    struct buf value; /* of `item`, as far as it has been read */
    size_t indent;    /* of the last line that was not a continuation */
    unsigned line;
    struct err_detail *detail;
};

/* The length in bytes of the white space character at the start of s, or 0. */
static size_t space_at(str s)
{
    uint8_t a = s.n > 0 ? (uint8_t)s.p[0] : 'x';
    uint8_t b = s.n > 1 ? (uint8_t)s.p[1] : 0, c = s.n > 2 ? (uint8_t)s.p[2] : 0;

    if (a < 0x80)
        return a == ' ' || (a >= '\t' && a <= '\r') || (a >= 0x1c && a <= 0x1f);
    if (a == 0xc2)
        return b == 0x85 || b == 0xa0 ? 2 : 0; /* U+0085, U+00A0 */
    if (a == 0xe1)
        return b == 0x9a && c == 0x80 ? 3 : 0; /* U+1680 */
    if (a == 0xe2 && b == 0x80)                /* U+2000..200A, 2028, 2029, 202F */
        return (c >= 0x80 && c <= 0x8a) || c == 0xa8 || c == 0xa9 || c == 0xaf ? 3 : 0;
    if (a == 0xe2)
        return b == 0x81 && c == 0x9f ? 3 : 0;          /* U+205F */
    return a == 0xe3 && b == 0x80 && c == 0x80 ? 3 : 0; /* U+3000 */
}

static str trim_left(str s, size_t *characters)
{
    size_t n, count = 0;

    for (; (n = space_at(s)) > 0; count++)
        s = str_drop(s, n);
    *characters = count;
    return s;
}

/* Any white space character ends with a byte of its own or is found two or three bytes back. */
static str trim_right(str s)
{
    for (;;) {
        size_t n = 0;
        for (size_t back = 1; back <= 3 && back <= s.n && n == 0; back++)
            if (space_at(str_drop(s, s.n - back)) == back)
                n = back;
        if (n == 0)
            return s;
        s.n -= n;
    }
}

static str trim(str s)
{
    size_t unused;
    return trim_right(trim_left(s, &unused));
}

#define HIDDEN STR("(not shown)")

/* `found` is a name; a line of unknown sense is not shown: it may be half of a secret. */
static enum err syntax(const struct parser *p, const char *what, str found)
{
    return err_set(p->detail, ERR_SYNTAX, 0, STR_FMT ":%u: %s: " STR_FMT, STR_ARG(p->ini->file),
                   p->line, what, STR_ARG(str_sub(found, 0, 120)));
}

static enum err no_memory(const struct parser *p)
{
    return err_set(p->detail, ERR_NOMEM, 0, STR_FMT ": %s", STR_ARG(p->ini->file),
                   err_text(ERR_NOMEM));
}

/* The value in p->value is complete. */
static enum err end_value(struct parser *p)
{
    if (p->item == NULL)
        return OK;
    if (buf_failed(&p->value))
        return no_memory(p); /* no longer than the file, which has been limited */
    p->item->raw = arena_str(&p->ini->arena, trim_right(buf_str(&p->value)));
    p->item = NULL;
    return OK;
}

static enum err section_add(struct parser *p, str name)
{
    struct section *s = ARENA_NEW(&p->ini->arena, struct section);

    if (s == NULL)
        return no_memory(p);
    s->name = arena_str(&p->ini->arena, name);
    map_init(&s->items, &p->ini->arena);
    if (str_none(s->name) || map_put(&p->ini->sections, s->name, s) != OK)
        return no_memory(p);
    p->section = s;
    return OK;
}

/* "app: main " is "app:main" (for the reference's loader they are one). */
static enum err section_name(struct parser *p, str header, str *name)
{
    size_t colon = str_find(header, ':');
    str kind, rest;

    if (colon == STR_NPOS) {
        *name = header;
        return OK;
    }
    kind = str_sub(header, 0, colon + 1);
    rest = trim(str_drop(header, colon + 1));
    *name = arena_concat(&p->ini->arena, (str[]){kind, rest}, 2);
    return str_none(*name) ? no_memory(p) : OK;
}

static enum err open_section(struct parser *p, str header)
{
    str name;
    struct section *s;
    enum err e = section_name(p, header, &name);

    if (e != OK)
        return e;
    s = map_get(&p->ini->sections, name);
    if (s == NULL)
        return section_add(p, name);
    if (!str_eq(name, STR("DEFAULT")))
        return syntax(p, "this section is already there", name);
    p->section = s;
    return OK;
}

static enum err open_item(struct parser *p, str key, str value)
{
    struct arena *a = &p->ini->arena;
    struct item *item;

    if (map_get(&p->section->items, key) != NULL)
        return syntax(p, "this key is already in the section", key);
    item = ARENA_NEW(a, struct item);
    if (item == NULL)
        return no_memory(p);
    item->section = p->section;
    item->entry.section = p->section->name;
    item->entry.key = arena_str(a, key);
    item->entry.line = p->line;
    if (arena_failed(a) || map_put(&p->section->items, item->entry.key, item) != OK)
        return no_memory(p);

    *p->tail = &item->entry;
    p->tail = &item->entry.next;
    p->item = item;
    buf_clear(&p->value);
    buf_add_str(&p->value, value);
    return OK;
}

static enum err read_item(struct parser *p, str text)
{
    size_t at = 0;
    str key;

    while (at < text.n && text.p[at] != '=' && text.p[at] != ':')
        at++;
    if (at == text.n)
        return syntax(p, "neither a [section] nor a line with = or :", HIDDEN);
    key = trim_right(str_sub(text, 0, at));
    if (key.n == 0)
        return syntax(p, "there is no key before the sign", HIDDEN);
    return open_item(p, key, trim(str_drop(text, at + 1)));
}

/* The last "]" ends a header, and what is behind it does not count. */
static bool is_header(str text, str *header)
{
    size_t end = text.n;

    if (!str_starts(text, STR("[")))
        return false;
    while (end > 0 && text.p[end - 1] != ']')
        end--;
    if (end < 3)
        return false;
    *header = str_sub(text, 1, end - 2);
    return true;
}

static enum err read_line(struct parser *p, str line)
{
    size_t indent;
    str text = trim_right(trim_left(line, &indent)), header;
    enum err e;

    if (!str_utf8_valid(line) || str_find(line, '\0') != STR_NPOS)
        return syntax(p, "this is not text in UTF-8", HIDDEN);
    if (text.n == 0) {
        if (p->item != NULL)
            buf_add_char(&p->value, '\n');
        return OK;
    }
    if (text.p[0] == '#' || text.p[0] == ';')
        return OK;
    if (p->item != NULL && indent > p->indent) {
        buf_add_char(&p->value, '\n');
        buf_add_str(&p->value, text);
        return OK;
    }
    e = end_value(p);
    if (e != OK)
        return e;
    p->indent = indent;
    if (is_header(text, &header))
        return open_section(p, header);
    if (p->section == NULL)
        return syntax(p, "a [section] must come first", HIDDEN);
    return read_item(p, text);
}

/* Lines end with LF, CR or CR LF. */
static str cut_line(str *rest)
{
    size_t n = 0;
    str line;

    while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r')
        n++;
    line = str_sub(*rest, 0, n);
    if (n + 1 < rest->n && rest->p[n] == '\r' && rest->p[n + 1] == '\n')
        n++;
    *rest = str_drop(*rest, n + 1);
    return line;
}

static enum err read_lines(struct parser *p, str text)
{
    enum err e = OK;

    while (text.n > 0 && e == OK) {
        p->line++;
        e = read_line(p, cut_line(&text));
    }
    return e != OK ? e : end_value(p);
}

struct interpolation {
    struct ini *ini;
    const struct item *item;
    const struct ini_var *vars;
    size_t nvars;
    struct buf out;
    unsigned substitutions;
    const char *wrong; /* what was wrong, when it failed with SYNTAX */
};

static const struct item *find_item(const struct ini *ini, str section, str key)
{
    const struct section *s = map_get(&ini->sections, section);
    return s != NULL ? map_get(&s->items, key) : NULL;
}

/* What a name stands for. `plain`: it is a variable, in which no more names are looked for. */
static bool name_value(const struct interpolation *x, str name, str *value, bool *plain)
{
    const struct item *item = map_get(&x->item->section->items, name);

    if (item == NULL)
        item = find_item(x->ini, STR("DEFAULT"), name);
    *plain = item == NULL;
    if (item != NULL) {
        *value = item->raw;
        return true;
    }
    for (size_t i = 0; i < x->nvars; i++)
        if (str_eq(x->vars[i].name, name)) {
            *value = x->vars[i].value;
            return true;
        }
    return false;
}

static enum err wrong(struct interpolation *x, const char *what)
{
    x->wrong = what;
    return ERR_SYNTAX;
}

static enum err expand(struct interpolation *x, str text, int depth);

/* `rest` starts with "%("; it is left behind the name. */
static enum err expand_name(struct interpolation *x, str *rest, int depth)
{
    size_t close = str_find(*rest, ')');
    str name, value;
    bool plain;

    if (close == STR_NPOS || close == 2 || close + 1 == rest->n || rest->p[close + 1] != 's')
        return wrong(x, "a name must be written %(name)s");
    name = str_sub(*rest, 2, close - 2);
    *rest = str_drop(*rest, close + 2);
    if (!name_value(x, name, &value, &plain))
        return wrong(x, "%(...)s names a key that is not there");
    if (++x->substitutions > MAX_SUBSTITUTIONS)
        return wrong(x, "too many %(names)s");
    if (!plain)
        return expand(x, value, depth + 1);
    buf_add_str(&x->out, value);
    return OK;
}

static enum err expand(struct interpolation *x, str text, int depth)
{
    if (depth > MAX_DEPTH)
        return wrong(x, "%(names)s within names go too deep");
    while (text.n > 0) {
        size_t at = MIN_OF(str_find(text, '%'), text.n);
        enum err e = OK;

        buf_add_str(&x->out, str_sub(text, 0, at));
        text = str_drop(text, at);
        if (str_starts(text, STR("%%"))) {
            buf_add_char(&x->out, '%');
            text = str_drop(text, 2);
        } else if (str_starts(text, STR("%("))) {
            e = expand_name(x, &text, depth);
        } else if (text.n > 0) {
            e = wrong(x, "a percent sign must be written %%");
        }
        if (e != OK)
            return e;
    }
    return x->out.err;
}

/* Sections that only other tools read may mean something else by a percent sign. */
static bool is_strict(str section)
{
    return str_eq(section, STR("DEFAULT")) || str_starts(section, STR("app:")) ||
           str_starts(section, STR("server:"));
}

static enum err interpolate(struct interpolation *x, struct item *item, struct err_detail *d)
{
    enum err e;

    x->item = item;
    x->substitutions = 0;
    buf_clear(&x->out);
    e = expand(x, item->raw, 1);
    if (e == ERR_SYNTAX && !is_strict(item->entry.section)) {
        item->entry.value = item->raw;
        return OK;
    }
    if (e == OK) {
        item->entry.value = arena_str(&x->ini->arena, buf_str(&x->out));
        e = str_none(item->entry.value) ? ERR_NOMEM : OK;
    }
    if (e == OK)
        return OK;
    return err_set(d, e, 0, STR_FMT ":%u: " STR_FMT ": %s", STR_ARG(x->ini->file), item->entry.line,
                   STR_ARG(str_sub(item->entry.key, 0, 120)),
                   e == ERR_SYNTAX ? x->wrong : err_text(e));
}

static enum err interpolate_all(struct ini *ini, const struct ini_var *vars, size_t nvars,
                                struct err_detail *d)
{
    struct interpolation x = {.ini = ini, .vars = vars, .nvars = nvars};
    enum err e = OK;

    buf_init(&x.out, MAX_VALUE);
    for (struct ini_entry *it = ini->first; it != NULL && e == OK; it = it->next)
        e = interpolate(&x, CONTAINER_OF(it, struct item, entry), d);
    buf_fini(&x.out);
    return e;
}

enum err ini_parse(struct ini *ini, str text, const char *name, const struct ini_var *vars,
                   size_t nvars, struct err_detail *d)
{
    struct parser p = {.ini = ini, .tail = &ini->first, .detail = d};
    enum err e;

    *ini = (struct ini){0};
    if (text.n > MAX_FILE)
        return err_set(d, ERR_LIMIT, 0, "%s: larger than %zu bytes", name, MAX_FILE);
    arena_init(&ini->arena, NULL, 0, NULL, ARENA_BUDGET);
    map_init(&ini->sections, &ini->arena);
    buf_init(&p.value, 2 * MAX_FILE);
    ini->file = arena_str(&ini->arena, str_from(name));

    e = str_none(ini->file) ? ERR_NOMEM : read_lines(&p, text);
    if (e == OK && arena_failed(&ini->arena))
        e = no_memory(&p);
    if (e == OK)
        e = interpolate_all(ini, vars, nvars, d);
    buf_fini(&p.value);
    if (e != OK)
        ini_free(ini);
    return e;
}

void ini_free(struct ini *ini)
{
    arena_fini(&ini->arena);
    *ini = (struct ini){0};
}

const struct ini_entry *ini_get(const struct ini *ini, str section, str key)
{
    const struct item *item = find_item(ini, section, key);

    if (item == NULL)
        item = find_item(ini, STR("DEFAULT"), key);
    return item != NULL ? &item->entry : NULL;
}
