/*
 * base/ini.h - INI files as the reference's tools read them (Python's configparser, as PasteDeploy
 * sets it up). Where the two differ, this file is wrong.
 *
 * - Sections, `key = value` and `key: value`; keys keep their case. White space around each is cut.
 * - Comments are whole lines whose first character is # or ; at any indentation. Behind a value
 *   there are none: `secret = a ;b` is "a ;b".
 * - A line indented deeper than its key's goes on with the value, joined with a newline; so do
 *   empty lines in between. Comment lines inside a value are dropped.
 * - A key or section that comes twice is an error ([DEFAULT] itself may be opened again), and so is
 *   a line that is nothing of the above, a line before the first section, bytes that are not UTF-8.
 * - `%(name)s` is replaced by the key of that name in the section, in [DEFAULT], or by the caller's
 *   variable (here, __file__, http_port ...), in this order; `%%` is a percent sign; any other % is
 *   an error. In sections other than DEFAULT, app:* and server:* (loggers' formats, say) a value
 *   that cannot be interpolated stays as it is written.
 * - White space behind the first colon of a section's name does not count: `[app: main]`.
 *
 * Every value remembers its line. Errors name file and line. One thread while loading; any thread
 * may read then. A struct ini must not be copied or moved.
 */
#ifndef BASE_INI_H
#define BASE_INI_H

#include "base/map.h"

struct ini_entry {
    str section, key, value; /* value interpolated */
    unsigned line;           /* of the key */
    struct ini_entry *next;  /* in file order */
};

struct ini {
    struct arena arena;
    str file;                /* as given */
    struct ini_entry *first; /* all entries in file order; DEFAULT's are under "DEFAULT" */
    struct map sections;     /* private */
};

struct ini_var {
    str name, value;
};

/*
 * Reads and interpolates; `name` stands for the file in messages. Errors: SYNTAX (the text), LIMIT (over
 * 1 MiB, or values that interpolation blows up), NOMEM. On failure nothing is left to release, and *ini is not to be used.
 */
MUST_CHECK enum err ini_parse(struct ini *ini, str text, const char *name,
                              const struct ini_var *vars, size_t nvars, struct err_detail *d);
void ini_free(struct ini *ini);

/* The entry of a key in a section (falls back to DEFAULT), or NULL. */
const struct ini_entry *ini_get(const struct ini *ini, str section, str key);

#endif
