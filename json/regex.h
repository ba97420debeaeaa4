/*
 * json/regex.h - regular expressions of Python's `re`, searched by PCRE2 within a budget.
 *
 * A pattern is translated: what Python writes differently (`\Z`, `\uXXXX`, `{,3}`, `[` in a class)
 * becomes PCRE2's form, and what Python refuses (`\h`, `(?R)`, `(*COMMIT)`) is refused. Text and
 * classes are Unicode. Differences that stay: `\N{...}`, the flag `a`, lone surrogates, repetitions
 * over 65535, patterns over JSON_REGEX_MAX_BYTES or of some 8,000 characters (PCRE2 makes 64 KiB of
 * them), and what else PCRE2 cannot compile (a look-behind without a fixed length is refused by
 * Python, too) are not supported; `\W` inside a class and `\b` have PCRE2's idea of a letter.
 *
 * Cost: each item of the pattern that is tried costs a step, and the characters that it runs over
 * cost some more, so that a catastrophic pattern runs out of steps after milliseconds.
 */
#ifndef JSON_REGEX_H
#define JSON_REGEX_H

#include "base/buf.h"

#define JSON_REGEX_MAX_BYTES  (16 * KIB)
#define JSON_REGEX_BYTE_STEPS 32

struct json_regex; /* opaque; never changes: any thread */

/* Memory of a search, kept from one search to the next; zero-init, one thread at a time. */
struct json_regex_scratch {
    void *data, *context;
    uint64_t *steps; /* during a search */
    uint64_t weight, reach;
    size_t at;
};
void json_regex_scratch_fini(struct json_regex_scratch *s);

/*
 * SYNTAX: not a regular expression in Python either. UNSUPPORTED: one that this translation lacks;
 * `why` (may be NULL, static text) says what. LIMIT, NOMEM. *steps is what may be spent, and becomes
 * what is left: JSON_REGEX_BYTE_STEPS for each byte, and more for large ranges without regard to
 * case, which PCRE2 goes over one character at a time.
 */
MUST_CHECK enum err json_regex_new(struct json_regex **out, str pattern, uint64_t *steps,
                                   const char **why);
void json_regex_free(struct json_regex *r);
size_t json_regex_bytes(const struct json_regex *r);

/*
 * Is the pattern found anywhere in `subject` (valid UTF-8)? *steps is what may be spent, and becomes
 * what is left. LIMIT: not enough; NOMEM.
 */
MUST_CHECK enum err json_regex_search(const struct json_regex *r, struct json_regex_scratch *s,
                                      str subject, uint64_t *steps, bool *found);

#endif
