/*
 * base/settings.h - the type of a setting, and the values that are in force.
 *
 * Each room that has settings keeps them as rows (key, type, range, default, unit, sentence) in its
 * own settings.def; cli/run.c collects the tables and loads the values from, in this order of
 * precedence: command line, environment (kinto.storage_url -> KINTO_STORAGE_URL: upper case, '.'
 * and '-' become '_'; a value that is JSON is taken as JSON, as in the reference), the INI's
 * [app:main], the default. The start-up warnings and the check that doc/settings.md and
 * kinto.ini name each setting come out of the same rows.
 *
 * A key in a row may hold `*`, which stands for one or more characters (`kinto.*.record_cache_...`,
 * `multiauth.policy.*.use`). Such rows have no default and are read with settings_each(). Of
 * several that match a key, the longest row counts. The environment can change such a key, but not
 * bring it up (a name in capitals does not tell which underscores were dots).
 *
 * As in the reference: `kinto.x` may be written `x`, and the other way round (both with different
 * values: SYNTAX); a key without the prefix has two names in the environment, MULTIAUTH_POLICIES
 * and, stronger, KINTO_MULTIAUTH_POLICIES; a key that is in [DEFAULT] too is dropped (with a
 * warning); PasteDeploy's `set x`, `get x` and `use` (egg:kinto only) are understood. A key of
 * [server:main] is the setting kinto.server.key, weaker than the same key in [app:main].
 *
 * An empty value, or null, stands in place of the default where that makes sense: an empty text
 * (null: none), an empty list (`kinto.bucket_create_principals =` lets nobody create buckets),
 * false. For numbers and choices it is as if the line was not there.
 *
 * Values live as long as the struct settings; strings are NUL-terminated. Read-only after load:
 * any thread.
 */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "base/ini.h"

enum setting_type {
    SETTING_BOOL,     /* true/false, yes/no, on/off, 1/0, t/f, y/n in any case */
    SETTING_INT,      /* decimal within [min, max] */
    SETTING_INT_OR_0, /* the same, or 0, which stands for something else than a number */
    SETTING_FLOAT,    /* decimal within [min, max] */
    SETTING_STRING,   /* any text; empty: STR(""), and counts as unset */
    SETTING_LIST,     /* words separated by white space or commas; or a JSON list of strings */
    SETTING_PATH,     /* of one file; text like STRING */
    SETTING_PATHS,    /* paths separated by commas or line ends; or a JSON list of strings */
    SETTING_ENUM,     /* one of the words in `allowed`, separated by spaces */
    SETTING_IGNORED,  /* known and without effect here; `help` says why. Accepted in silence */
    SETTING_WARNED    /* the same, but somebody may count on it: accepted with a warning */
};

struct setting_row {
    const char *key;
    enum setting_type type;
    int64_t min, max; /* INT, INT_OR_0 and FLOAT */
    const char *def;  /* NULL: unset */
    const char *unit; /* "seconds", "bytes", ... or "" */
    /* ENUM: "a b c"; PATH and PATHS: what a server does with the file (settings_paths); else NULL */
    const char *allowed;
    const char *help; /* one sentence */
};

struct setting_table {
    const struct setting_row *rows;
    size_t count;
};

struct settings; /* opaque */

struct setting_override { /* from the command line */
    const char *key;
    const char *value;
};

/*
 * `ini` may be NULL. Unknown keys of [app:main] are warned of in the log, with file and line; a bad
 * value is SYNTAX or RANGE with file (or "environment"/"command line"), line, key, what was found
 * and what is allowed in `d`. Takes nothing over: ini is copied from.
 */
MUST_CHECK enum err settings_load(struct settings **out, const struct setting_table *tables,
                                  size_t ntables, const struct ini *ini,
                                  const struct setting_override *over, size_t nover,
                                  struct err_detail *d);
void settings_free(struct settings *s);

/* The key must be in a table and of the type (else a BUG); settings_str gives the text of any type.
 * Unset and without default: false, if_unset, STR_NONE, empty. A text that was emptied is STR("").
 */
bool settings_is_set(const struct settings *s, const char *key); /* other than by its default */
bool settings_bool(const struct settings *s, const char *key);
int64_t settings_int(const struct settings *s, const char *key, int64_t if_unset);
/* The same as bytes of memory: at most what can be addressed, of which a row may allow more. Unset: 0. */
size_t settings_size(const struct settings *s, const char *key);
double settings_float(const struct settings *s, const char *key, double if_unset);
str settings_str(const struct settings *s, const char *key);
/* The words of a LIST, or the PATHS; *n = 0 when unset. The array lives as long as s. */
const str *settings_list(const struct settings *s, const char *key, size_t *n);

/* Every path of a PATH or PATHS that has a value, in no order, and its row's word for what a server does
 * with it while it runs: "read" as it is at the start, or "replaced" by others and read again, or "removed"
 * at the end. */
typedef void settings_path_fn(void *arg, const char *path, const char *use);
void settings_paths(const struct settings *s, settings_path_fn *fn, void *arg);

/* Tells the log of each setting that is given and does nothing: WARN for rows of type WARNED (but
 * not for what is switched off), DEBUG for those of type IGNORED. */
void settings_log_without_effect(const struct settings *s);

/* Where a value came from, for messages: "kinto.ini:12", "environment", "command line", "default".
 */
str settings_origin(const struct settings *s, const char *key);
/* What messages show of a value, in quotes (as lint sees to): its beginning, and stars for what may be a
 * password in a URL, before its '@' or behind a "password=": messages are read by more people than
 * settings. settings_quote(value).text is there until the end of the statement. */
struct settings_quote {
    char text[81];
};
struct settings_quote settings_quote(str value);
/* The value of `key` cannot be: writes "ORIGIN: KEY: " and the reason into the detail (may be NULL), and
 * returns `e`: SYNTAX, it means nothing; UNSUPPORTED, what it means there is not, or not with the others.
 * Values in the reason are quoted by settings_quote(). */
enum err settings_refuse(const struct settings *s, const char *key, enum err e,
                         struct err_detail *d, const char *reason, ...) PRINTF_LIKE(5, 6);

/* Every set and not empty value whose key matches the row `pattern` (the row's own text, with its `*`), in
 * file order: fn(arg, key, what the `*` stood for (the first one), value, origin). */
void settings_each(const struct settings *s, const char *pattern,
                   void (*fn)(void *arg, str key, str star, str value, str origin), void *arg);

#endif
