/*
 * base/native.h - texts of settings as values, read as the reference reads them.
 *
 * The reference takes a setting that is JSON as JSON: of a string the contents count, a list of
 * strings is a list, null is no value, and a number may be written as 1e3. Everything else is text.
 * Any thread.
 */
#ifndef BASE_NATIVE_H
#define BASE_NATIVE_H

#include "base/arena.h"

/* The contents of a text that is one JSON string; any other text as it is. STR_NONE: no memory. */
str native_text(struct arena *a, str text);
bool native_is_null(str text);

/* true/false, yes/no, on/off, 1/0, t/f, y/n in any case. False: none of these. */
MUST_CHECK bool native_bool(str text, bool *out);
/* A whole number, also "+5"; 1e3, and 10.5, which is cut to 10. SYNTAX, or RANGE of int64. */
MUST_CHECK enum err native_int(str text, int64_t *out);
/* A decimal number; no hexadecimal, no infinity. SYNTAX, or RANGE of a double. */
MUST_CHECK enum err native_float(str text, double *out);
/* Words separated by white space or commas, or a JSON list of such texts, which a '[' begins that is not
 * that of "[::1]:80". SYNTAX: a list that is not well formed. NOMEM. */
MUST_CHECK enum err native_list(struct arena *a, str text, const str **out, size_t *out_n);
/* The same for paths, which may hold blanks: separated by commas or line ends; a JSON list may hold any. */
MUST_CHECK enum err native_paths(struct arena *a, str text, const str **out, size_t *out_n);

#endif
