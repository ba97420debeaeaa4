/*
 * base/settings.c - rows become values.
 *
 * Each row without `*` has one struct value, made at load whether it is set or not; each key that
 * matches a row with `*` gets one when it turns up. Sources are applied from the weakest to the
 * strongest: default, INI, environment, command line. Each overwrites the value and its origin.
 *
 * A key may be written with or without the `kinto.` in front, in the INI and on the command line,
 * as the reference allows. Both spellings with different values are an error.
 *
 * Text from every source goes through the reference's habit of reading what is JSON as JSON
 * (base/native.h).
 */
#include "base/settings.h"

#include "base/log.h"
#include "base/native.h"
#include <stdarg.h>

#define ARENA_BUDGET (32 * MIB)
#define PREFIX       STR("kinto.")
#define SECTION      STR("app:main")
#define SERVER       STR("server:main")
#define MAX_STARS    4 /* in a key of our own */

struct value {
    const struct setting_row *row;
    struct value *next; /* keys of rows with `*`: in the order they turned up */
    str key, star, origin;
    bool set; /* by something else than the default */
    str text; /* STR_NONE: no value */
    bool yes;
    int64_t i;
    double f;
    const str *words;
    size_t nwords;
};

struct settings {
    struct arena arena;
    struct map values;           /* key -> struct value; keys of rows with `*` as well */
    struct map patterns;         /* key of a row with `*` -> row */
    struct value *first, **tail; /* values of rows with `*` */
};

/* Where a text comes from and how it is to be called in messages. */
struct source {
    struct settings *s;
    str origin;
    struct err_detail *detail;
};

static enum err no_memory(struct err_detail *d)
{
    return err_set(d, ERR_NOMEM, 0, "settings: %s", err_text(ERR_NOMEM));
}

/* --- one text into one value ------------------------------------------------------------------ */

static bool in_range(const struct setting_row *row, double v)
{
    return v >= (double)row->min && v <= (double)row->max;
}

static enum err read_typed(struct settings *s, str text, struct value *v)
{
    const struct setting_row *row = v->row;
    str word = str_trim(native_text(&s->arena, text));
    enum err e = OK;

    switch (row->type) {
    case SETTING_BOOL:
        return word.n == 0 || native_bool(word, &v->yes) ? OK : ERR_SYNTAX;
    case SETTING_INT:
    case SETTING_INT_OR_0:
        e = native_int(word, &v->i);
        if (e == OK && v->i == 0 && row->type == SETTING_INT_OR_0)
            return OK;
        return e == OK && (v->i < row->min || v->i > row->max) ? ERR_RANGE : e;
    case SETTING_FLOAT:
        e = native_float(word, &v->f);
        return e == OK && !in_range(row, v->f) ? ERR_RANGE : e;
    case SETTING_ENUM:
        return str_has_word(str_from(row->allowed), word) ? OK : ERR_SYNTAX;
    case SETTING_LIST:
        return native_list(&s->arena, text, &v->words, &v->nwords);
    case SETTING_PATHS:
        return native_paths(&s->arena, text, &v->words, &v->nwords);
    case SETTING_STRING:
    case SETTING_PATH:
    case SETTING_IGNORED:
    case SETTING_WARNED:
        return OK;
    }
    return OK;
}

static void describe_allowed(char *out, size_t size, const struct setting_row *row)
{
    const char *unit = row->unit != NULL ? row->unit : "";

    switch (row->type) {
    case SETTING_BOOL:
        snprintf(out, size, "true or false");
        return;
    case SETTING_INT:
    case SETTING_INT_OR_0:
    case SETTING_FLOAT:
        snprintf(out, size, "%sa %snumber from %lld to %lld%s%s",
                 row->type == SETTING_INT_OR_0 ? "0, or " : "",
                 row->type != SETTING_FLOAT ? "whole " : "", (long long)row->min,
                 (long long)row->max, *unit != '\0' ? " " : "", unit);
        return;
    case SETTING_ENUM:
        snprintf(out, size, "one of: %s", row->allowed);
        return;
    case SETTING_LIST:
        snprintf(out, size, "words, or a JSON list of strings");
        return;
    case SETTING_PATHS:
        snprintf(out, size, "paths separated by commas, or a JSON list of strings");
        return;
    case SETTING_STRING:
    case SETTING_PATH:
    case SETTING_IGNORED:
    case SETTING_WARNED:
        snprintf(out, size, "any text");
        return;
    }
}

/* The value of such a key is never told, nor that of such a parameter of a URL. */
static bool is_secret(str name)
{
    static const str ends[] = {STR_INIT("secret"), STR_INIT("password"), STR_INIT("passwd"),
                               STR_INIT("pwd"), STR_INIT("token")};

    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (name.n >= ends[i].n && str_eq_nocase(str_drop(name, name.n - ends[i].n), ends[i]))
            return true;
    return false;
}

/* Of what follows a "://": to the path, or what else ends the name of a host and its port. */
static str host_of(str rest)
{
    size_t n = 0;
    while (n < rest.n && memchr("/?# ", rest.p[n], 4) == NULL)
        n++;
    return str_sub(rest, 0, n);
}

static bool is_number(str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!str_is_digit(text.p[i]))
            return false;
    return true;
}

/* Somebody forgot the '@': a colon that no port follows has a password behind it, which has no end. */
static str password_without_end(str rest)
{
    if (str_starts(rest, STR("["))) /* the address has colons of its own */
        rest = str_drop(rest, MIN_OF(str_find(rest, ']'), rest.n));
    str host = host_of(rest);
    size_t colon = str_find(host, ':');
    if (colon == STR_NPOS || is_number(str_drop(host, colon + 1)))
        return STR_NONE;
    return str_drop(rest, colon + 1);
}

/* The password in a URL, of which `rest` is what follows the "://". It may have any character in it, so it
 * is taken to go on to the last '@' that there is: rather too much is hidden than too little. */
static str password_in(str rest)
{
    size_t n = rest.n;
    while (n > 0 && rest.p[n - 1] != '@')
        n--;
    if (n == 0)
        return password_without_end(rest);
    str login = str_sub(rest, 0, n - 1);
    size_t colon = str_find(login, ':');
    return colon == STR_NPOS ? STR_NONE : str_drop(login, colon + 1);
}

/* `secret` is a part of `value`, whose beginning is shown. */
static void hide(struct settings_quote *q, str value, str secret)
{
    size_t shown = MIN_OF(value.n, sizeof q->text - 1);
    size_t from = str_none(secret) ? shown : (size_t)(secret.p - value.p);

    for (size_t i = from; i < MIN_OF(from + secret.n, shown); i++)
        q->text[i] = '*';
}

struct settings_quote settings_quote(str value)
{
    struct settings_quote q = {.text = ""};
    str shown = str_sub(value, 0, sizeof q.text - 1);

    if (shown.n > 0)
        memcpy(q.text, shown.p, shown.n);
    for (size_t at = 0, next; (next = str_find_str(str_drop(shown, at), STR("://"))) != STR_NPOS;) {
        at += next + 3;
        hide(&q, value, password_in(str_drop(value, at)));
    }
    for (size_t at = 0, next; (next = str_find(str_drop(shown, at), '=')) != STR_NPOS;) {
        at += next + 1;
        str rest = str_drop(value, at);
        if (is_secret(str_sub(value, 0, at - 1)))
            hide(&q, value, str_sub(rest, 0, str_find(rest, '&')));
    }
    return q;
}

static enum err refuse(const struct source *from, enum err e, const struct value *v, str text)
{
    char allowed[256];

    if (e == ERR_NOMEM)
        return no_memory(from->detail);
    describe_allowed(allowed, sizeof allowed, v->row);
    if (is_secret(v->key))
        text = STR("(not shown)");
    return err_set(from->detail, e, 0, STR_FMT ": " STR_FMT ": found \"%s\", allowed is %s",
                   STR_ARG(from->origin), STR_ARG(v->key), settings_quote(text).text, allowed);
}

/* An empty text, or null. It takes away the default of texts, lists and booleans, where the
 * reference knows an empty value, and leaves numbers and choices as they were. */
static void apply_empty(const struct source *from, struct value *v, bool null)
{
    switch (v->row->type) {
    case SETTING_INT:
    case SETTING_INT_OR_0:
    case SETTING_FLOAT:
    case SETTING_ENUM:
        return;
    case SETTING_BOOL:
    case SETTING_LIST:
    case SETTING_PATHS:
        v->set = true;
        break;
    case SETTING_STRING:
    case SETTING_PATH:
    case SETTING_IGNORED:
    case SETTING_WARNED:
        v->set = false;
        break;
    }
    bool is_text = v->row->type == SETTING_STRING || v->row->type == SETTING_PATH;
    v->text = is_text && !null ? STR("") : STR_NONE;
    v->yes = false;
    v->words = NULL;
    v->nwords = 0;
    v->origin = from->origin;
}

static enum err apply(const struct source *from, struct value *v, str text)
{
    struct settings *s = from->s;
    struct value fresh = *v;
    enum err e;

    fresh.text = arena_str(&s->arena, native_text(&s->arena, text));
    if (arena_failed(&s->arena))
        return no_memory(from->detail);
    if (str_trim(fresh.text).n == 0 || native_is_null(text)) {
        apply_empty(from, v, native_is_null(text));
        return OK;
    }
    e = read_typed(s, text, &fresh);
    if (e == OK && arena_failed(&s->arena))
        e = ERR_NOMEM;
    if (e != OK)
        return refuse(from, e, v, text);
    if (fresh.row->type == SETTING_ENUM)
        fresh.text = arena_str(&s->arena, str_trim(fresh.text));
    fresh.set = true;
    fresh.origin = from->origin;
    *v = fresh;
    return OK;
}

/* --- keys and patterns ------------------------------------------------------------------------ */

/* Does the key match? Each `*` stands for one or more characters, the first one for as few as can
 * be. Recursion goes as deep as our own rows have stars. */
static bool matches(str pattern, str key, str *star, unsigned depth)
{
    size_t at = str_find(pattern, '*');
    str unused, rest;

    CHECK(depth <= MAX_STARS);
    if (at == STR_NPOS)
        return str_eq(pattern, key);
    if (!str_starts(key, str_sub(pattern, 0, at)))
        return false;
    rest = str_drop(key, at);
    for (size_t n = 1; n <= rest.n; n++)
        if (matches(str_drop(pattern, at + 1), str_drop(rest, n), &unused, depth + 1)) {
            *star = str_sub(rest, 0, n);
            return true;
        }
    return false;
}

/* The row with `*` that fits the key best: the one with the longest text of its own. */
static const struct setting_row *find_pattern(const struct settings *s, str key, str *star)
{
    const struct setting_row *best = NULL;
    size_t it = 0, best_n = 0;
    str pattern, found = STR_NONE;
    void *row;

    while (map_next(&s->patterns, &it, &pattern, &row))
        if (pattern.n > best_n && matches(pattern, key, &found, 0)) {
            best = row;
            best_n = pattern.n;
            *star = found;
        }
    return best;
}

/* The key with `kinto.` put in front, or taken away. */
static str other_spelling(struct arena *a, str key)
{
    if (str_starts(key, PREFIX))
        return str_drop(key, PREFIX.n);
    return arena_concat(a, (str[]){PREFIX, key}, 2);
}

static struct value *value_new(struct settings *s, const struct setting_row *row, str key)
{
    struct value *v = ARENA_NEW(&s->arena, struct value);

    if (v == NULL)
        return NULL;
    v->row = row;
    v->key = arena_str(&s->arena, key);
    v->origin = STR("default");
    if (str_none(v->key) || map_put(&s->values, v->key, v) != OK)
        return NULL;
    return v;
}

static struct value *pattern_value_new(struct settings *s, str key)
{
    str star = STR_NONE;
    const struct setting_row *row = find_pattern(s, key, &star);
    struct value *v = row != NULL ? value_new(s, row, key) : NULL;

    if (v == NULL)
        return NULL;
    v->star = arena_str(&s->arena, star);
    *s->tail = v;
    s->tail = &v->next;
    return v;
}

/* The value of a key in either spelling, made if a row with `*` fits. NULL: unknown, or no memory.
 */
static struct value *value_of(struct settings *s, str key)
{
    str other = other_spelling(&s->arena, key);
    struct value *v = map_get(&s->values, key);

    if (v == NULL)
        v = map_get(&s->values, other);
    if (v == NULL)
        v = pattern_value_new(s, key);
    if (v == NULL)
        v = pattern_value_new(s, other);
    return v;
}

/* --- the sources ------------------------------------------------------------------------------ */

static enum err add_row(struct settings *s, const struct setting_row *row)
{
    struct source from = {s, STR("default"), NULL};
    struct value *v;

    CHECK(map_get(&s->values, str_from(row->key)) == NULL);
    CHECK(map_get(&s->patterns, str_from(row->key)) == NULL);
    if (strchr(row->key, '*') != NULL) {
        CHECK(row->def == NULL);
        return map_put(&s->patterns, str_from(row->key), (void *)(uintptr_t)row);
    }
    v = value_new(s, row, str_from(row->key));
    if (v == NULL)
        return ERR_NOMEM;
    if (row->def != NULL) {
        enum err e = apply(&from, v, str_from(row->def));
        CHECK(e == OK || e == ERR_NOMEM); /* a row's own default must be one that it allows */
        if (e != OK)
            return e;
    }
    v->set = false;
    return OK;
}

static enum err add_tables(struct settings *s, const struct setting_table *tables, size_t n)
{
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            enum err e = add_row(s, &tables[t].rows[i]);
            if (e != OK)
                return e;
        }
    return OK;
}

/*
 * What PasteDeploy keeps for itself: `use` names the program, `set x` changes its globals, which
 * Kinto does not look at. True: the entry is no setting; *e tells whether we can go on.
 */
static bool is_loader_key(const struct source *from, const struct ini_entry *it, enum err *e)
{
    *e = OK;
    if (str_eq(it->key, STR("use"))) {
        if (!str_eq(it->value, STR("egg:kinto")) && !str_starts(it->value, STR("egg:kinto#")))
            *e = err_set(from->detail, ERR_SYNTAX, 0,
                         STR_FMT ": use: found \"%s\", allowed is egg:kinto", STR_ARG(from->origin),
                         settings_quote(it->value).text);
        return true;
    }
    return str_starts(it->key, STR("set "));
}

static void warn_unknown(const struct ini *ini, const struct ini_entry *it, const char *event)
{
    log_event(LOG_WARN, event, "key=\"" STR_FMT "\" file=\"" STR_FMT "\" line=%u", STR_ARG(it->key),
              STR_ARG(ini->file), it->line);
}

/* `get x = y` sets x to what y is in [DEFAULT]. */
static enum err loader_get(const struct source *from, const struct ini *ini,
                           const struct ini_entry *it, str *key, str *value)
{
    const struct ini_entry *global;

    *key = it->key;
    *value = it->value;
    if (!str_starts(it->key, STR("get ")))
        return OK;
    global = ini_get(ini, STR("DEFAULT"), it->value);
    if (global == NULL)
        return err_set(from->detail, ERR_SYNTAX, 0,
                       STR_FMT ": " STR_FMT ": there is no \"%s\" in [DEFAULT]",
                       STR_ARG(from->origin), STR_ARG(it->key), settings_quote(it->value).text);
    *key = str_trim(str_drop(it->key, 4));
    *value = global->value;
    return OK;
}

/* Both spellings of a key with different values: which one was meant? */
static enum err check_spellings(const struct source *from, const struct ini *ini,
                                const struct ini_entry *it)
{
    str other = other_spelling(&from->s->arena, it->key);
    const struct ini_entry *twin = ini_get(ini, SECTION, other);

    if (twin == NULL || !str_eq(twin->section, SECTION) || str_eq(twin->value, it->value))
        return OK;
    return err_set(from->detail, ERR_SYNTAX, 0,
                   STR_FMT ": " STR_FMT ": line %u sets the same as " STR_FMT " to another value",
                   STR_ARG(from->origin), STR_ARG(it->key), twin->line, STR_ARG(twin->key));
}

static enum err apply_entry(const struct source *from, const struct ini *ini,
                            const struct ini_entry *it)
{
    struct settings *s = from->s;
    struct value *v;
    str key, value;
    enum err e;

    if (is_loader_key(from, it, &e))
        return e;
    e = check_spellings(from, ini, it);
    if (e != OK)
        return e;
    /* The reference's loader drops keys that are in [DEFAULT] too. So do we, but not in silence. */
    if (ini_get(ini, STR("DEFAULT"), it->key) != NULL) {
        warn_unknown(ini, it, "setting_hidden_by_default_section");
        return OK;
    }
    e = loader_get(from, ini, it, &key, &value);
    if (e != OK)
        return e;
    v = value_of(s, key);
    if (arena_failed(&s->arena))
        return no_memory(from->detail);
    if (v == NULL) {
        warn_unknown(ini, it, "unknown_setting");
        return OK;
    }
    return apply(from, v, value);
}

/* A key of [server:main]: `port` is kinto.server.port. `use` names a Python server; there is one.
 */
static enum err apply_server_entry(const struct source *from, const struct ini *ini,
                                   const struct ini_entry *it)
{
    struct settings *s = from->s;
    struct value *v;
    str key;

    if (str_eq(it->key, STR("use")))
        return OK;
    key = arena_concat(&s->arena, (str[]){PREFIX, STR("server."), it->key}, 3);
    v = str_none(key) ? NULL : value_of(s, key);
    if (arena_failed(&s->arena))
        return no_memory(from->detail);
    if (v == NULL) {
        warn_unknown(ini, it, "unknown_server_setting");
        return OK;
    }
    return apply(from, v, it->value);
}

typedef enum err apply_fn(const struct source *from, const struct ini *ini,
                          const struct ini_entry *it);

static enum err apply_section(struct settings *s, const struct ini *ini, str section,
                              apply_fn *apply_one, struct err_detail *d)
{
    for (const struct ini_entry *it = ini->first; it != NULL; it = it->next) {
        struct source from = {s, STR_NONE, d};
        enum err e;

        if (!str_eq(it->section, section))
            continue;
        from.origin = arena_printf(&s->arena, STR_FMT ":%u", STR_ARG(ini->file), it->line);
        if (str_none(from.origin))
            return no_memory(d);
        e = apply_one(&from, ini, it);
        if (e != OK)
            return e;
    }
    return OK;
}

static enum err apply_ini(struct settings *s, const struct ini *ini, struct err_detail *d)
{
    enum err e = apply_section(s, ini, SERVER, apply_server_entry, d);
    return e != OK ? e : apply_section(s, ini, SECTION, apply_entry, d);
}

/* "kinto.storage-url" -> "KINTO_STORAGE_URL". NULL: no memory. */
static char *env_name(struct arena *a, str key)
{
    char *z = arena_cstr(a, key);

    for (char *p = z; p != NULL && *p != '\0'; p++) {
        if (*p == '.' || *p == '-')
            *p = '_';
        else if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - ('a' - 'A'));
    }
    return z;
}

static enum err apply_env_of(const struct source *from, struct value *v)
{
    struct arena *a = &from->s->arena;
    char *name = env_name(a, v->key), *prefixed = name;
    const char *text;

    /* multiauth.policies may be MULTIAUTH_POLICIES and, stronger, KINTO_MULTIAUTH_POLICIES. */
    if (!str_starts(v->key, PREFIX))
        prefixed = env_name(a, other_spelling(a, v->key));
    if (name == NULL || prefixed == NULL)
        return no_memory(from->detail);
    text = getenv(prefixed);
    if (text == NULL)
        text = getenv(name);
    return text != NULL ? apply(from, v, str_from(text)) : OK;
}

/* Every key that there is: those of rows with `*` are there when the INI has named them, as in the
 * reference (a name in capitals does not tell which of its underscores were dots). */
static enum err apply_env(struct settings *s, struct err_detail *d)
{
    struct source from = {s, STR("environment"), d};
    size_t it = 0;
    str key;
    void *v;

    while (map_next(&s->values, &it, &key, &v)) {
        enum err e = apply_env_of(&from, v);
        if (e != OK)
            return e;
    }
    return OK;
}

static enum err apply_overrides(struct settings *s, const struct setting_override *over, size_t n,
                                struct err_detail *d)
{
    struct source from = {s, STR("command line"), d};

    for (size_t i = 0; i < n; i++) {
        struct value *v = value_of(s, str_from(over[i].key));
        enum err e;

        if (arena_failed(&s->arena))
            return no_memory(d);
        if (v == NULL)
            return err_set(d, ERR_SYNTAX, 0, "command line: %s: there is no such setting",
                           over[i].key);
        e = apply(&from, v, str_from(over[i].value));
        if (e != OK)
            return e;
    }
    return OK;
}

enum err settings_load(struct settings **out, const struct setting_table *tables, size_t ntables,
                       const struct ini *ini, const struct setting_override *over, size_t nover,
                       struct err_detail *d)
{
    struct settings *s = calloc(1, sizeof *s);
    enum err e;

    if (s == NULL)
        return no_memory(d);
    arena_init(&s->arena, NULL, 0, NULL, ARENA_BUDGET);
    map_init(&s->values, &s->arena);
    map_init(&s->patterns, &s->arena);
    s->tail = &s->first;

    e = add_tables(s, tables, ntables);
    if (e != OK)
        no_memory(d);
    if (e == OK && ini != NULL)
        e = apply_ini(s, ini, d);
    if (e == OK)
        e = apply_env(s, d);
    if (e == OK)
        e = apply_overrides(s, over, nover, d);
    if (e != OK) {
        settings_free(s);
        return e;
    }
    *out = s;
    return OK;
}

void settings_free(struct settings *s)
{
    if (s == NULL)
        return;
    arena_fini(&s->arena);
    free(s);
}

/* --- readers ---------------------------------------------------------------------------------- */

static const struct value *value_get(const struct settings *s, const char *key)
{
    const struct value *v = map_get(&s->values, str_from(key));
    CHECK(v != NULL);
    return v;
}

#define TYPE(name) (1u << SETTING_##name)

/* One of these types, a sum of TYPE(). */
static const struct value *value_typed(const struct settings *s, const char *key, unsigned types)
{
    const struct value *v = value_get(s, key);
    CHECK((1u << v->row->type & types) != 0);
    return v;
}

bool settings_is_set(const struct settings *s, const char *key)
{
    return value_get(s, key)->set;
}

bool settings_bool(const struct settings *s, const char *key)
{
    return value_typed(s, key, TYPE(BOOL))->yes;
}

int64_t settings_int(const struct settings *s, const char *key, int64_t if_unset)
{
    const struct value *v = value_typed(s, key, TYPE(INT) | TYPE(INT_OR_0));
    return str_none(v->text) ? if_unset : v->i;
}

size_t settings_size(const struct settings *s, const char *key)
{
    return (size_t)MIN_OF((uint64_t)settings_int(s, key, 0), (uint64_t)SIZE_MAX / 2);
}

double settings_float(const struct settings *s, const char *key, double if_unset)
{
    const struct value *v = value_typed(s, key, TYPE(FLOAT));
    return str_none(v->text) ? if_unset : v->f;
}

str settings_str(const struct settings *s, const char *key)
{
    return value_get(s, key)->text;
}

const str *settings_list(const struct settings *s, const char *key, size_t *n)
{
    const struct value *v = value_typed(s, key, TYPE(LIST) | TYPE(PATHS));
    *n = v->nwords;
    return v->words;
}

static void tell_paths(const struct value *v, settings_path_fn *fn, void *arg)
{
    if (v->row->type == SETTING_PATH && v->text.n > 0)
        fn(arg, v->text.p, v->row->allowed);
    for (size_t i = 0; v->row->type == SETTING_PATHS && i < v->nwords; i++)
        fn(arg, v->words[i].p, v->row->allowed);
}

void settings_paths(const struct settings *s, settings_path_fn *fn, void *arg)
{
    size_t it = 0;
    str key;
    void *v;

    while (map_next(&s->values, &it, &key, &v))
        tell_paths(v, fn, arg);
}

static void log_without_effect(const struct value *v)
{
    bool on;

    if (v->row->type == SETTING_IGNORED)
        log_event(LOG_DEBUG, "setting_ignored", "key=" STR_FMT " why=\"%s\"", STR_ARG(v->key),
                  v->row->help);
    if (v->row->type == SETTING_WARNED && (!native_bool(str_trim(v->text), &on) || on))
        log_event(LOG_WARN, "setting_without_effect",
                  "key=" STR_FMT " from=\"" STR_FMT "\" why=\"%s\"", STR_ARG(v->key),
                  STR_ARG(v->origin), v->row->help);
}

void settings_log_without_effect(const struct settings *s)
{
    size_t it = 0;
    str key;
    void *v;

    while (map_next(&s->values, &it, &key, &v))
        if (((struct value *)v)->set)
            log_without_effect(v);
}

str settings_origin(const struct settings *s, const char *key)
{
    return value_get(s, key)->origin;
}

enum err settings_refuse(const struct settings *s, const char *key, enum err e,
                         struct err_detail *d, const char *reason, ...)
{
    struct err_detail why;
    va_list args;
    va_start(args, reason);
    vsnprintf(why.text, sizeof why.text, reason, args);
    va_end(args);
    return err_set(d, e, 0, STR_FMT ": %s: %s", STR_ARG(settings_origin(s, key)), key, why.text);
}

void settings_each(const struct settings *s, const char *pattern,
                   void (*fn)(void *arg, str key, str star, str value, str origin), void *arg)
{
    const struct setting_row *row = map_get(&s->patterns, str_from(pattern));

    CHECK(row != NULL);
    for (const struct value *v = s->first; v != NULL; v = v->next)
        if (v->row == row && v->text.n != 0)
            fn(arg, v->key, v->star, v->text, v->origin);
}
