/*
 * json/regex_translate.h - from Python's patterns to PCRE2's; for json/regex.c, which tells what
 * differs.
 */
#ifndef JSON_REGEX_TRANSLATE_H
#define JSON_REGEX_TRANSLATE_H

#include "json/regex.h"

/*
 * Writes the pattern (valid UTF-8) to `out`, as PCRE2 has it. *reach is how far one item of it may
 * look without trying another: the largest lower bound of a repetition; UINT64_MAX, as far as the
 * text goes, where there are back-references.
 *
 * Errors, *why and *steps are json_regex_new's. *why is set in any case, to NULL but for UNSUPPORTED.
 */
MUST_CHECK enum err json_regex_translate(str pattern, uint64_t *steps, struct buf *out,
                                         uint64_t *reach, const char **why);

#endif
