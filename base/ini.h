/*
 * base/ini.h - INI files as the reference's tools read them.
 *
 * Sections, `key = value` and `key: value`, comment lines (# ;), continuation lines (indented;
 * joined with a newline), `[DEFAULT]` seen from every section, `%(name)s` interpolation from the
 * section, DEFAULT and the variables given by the caller (here, __file__, http_port ...), `%%`.
 * Keys keep their case as in the reference. Every value remembers file and line. Errors name file
 * and line.
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
};

struct ini_var {
    str name, value;
};

/* Reads and interpolates. On failure nothing is left to release. At most 1 MiB. */
MUST_CHECK enum err ini_load(struct ini *ini, const char *path, const struct ini_var *vars,
                             size_t nvars, struct err_detail *d);
/* The same from memory; `name` stands for the file in messages. */
MUST_CHECK enum err ini_parse(struct ini *ini, str text, const char *name,
                              const struct ini_var *vars, size_t nvars, struct err_detail *d);
void ini_free(struct ini *ini);

/* The entry of a key in a section (falls back to DEFAULT), or NULL. The last one wins. */
const struct ini_entry *ini_get(const struct ini *ini, str section, str key);

#endif
