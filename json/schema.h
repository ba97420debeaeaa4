/*
 * json/schema.h - JSON Schema: compile a schema once, judge many values by it.
 *
 *     json_schema_new(&schema, STR("{\"type\":\"object\"}"), NULL, 0);
 *     json_schema_validate(schema, arena, value, &steps, &error);
 *
 * Drafts 4, 6, 7, 2019-09 and 2020-12, chosen by `$schema`, also in sub-schemas. Without one, or
 * with an unknown one, it is 2020-12, as in the reference; but a document whose `items` are an
 * array, which 2020-12 does not have, is taken for draft 7. Formats are not checked, `$ref` reaches
 * what is in the document itself and the metaschemas of drafts 4, 6 and 7; nothing is ever fetched.
 * A keyword whose value its draft does not allow has no effect.
 *
 * The first error wins, keywords being tried in the order of the schema's members, and its wording
 * is that of the reference's validator (Python's jsonschema), values as Python writes them.
 *
 * No schema and no value can hang or exhaust the process: the text of a schema has a maximum, its
 * compilation and each validation have a budget of steps, of which patterns take their share
 * (json/regex.h), and there are limits of nesting and of memory. Beyond, the answer is LIMIT.
 *
 * Patterns are Python's, as in the reference; a few forms of them are unsupported (json/regex.h).
 *
 * Threads: a compiled schema never changes, and any number of threads may use it at once.
 */
#ifndef JSON_SCHEMA_H
#define JSON_SCHEMA_H

#include "json/json.h"

#define JSON_SCHEMA_MAX_BYTES MIB /* of its text */
/* What a compilation may take, and what is meant for the judging of one object: a keyword, a
 * comparison, an item of a pattern, the length of a text, ... The worst that was found takes 60
 * milliseconds for them. */
#define JSON_SCHEMA_STEPS 2000000

struct json_schema; /* opaque */

/* What was wrong. All of it lies in the arena of the call, in the value or in the schema. */
struct json_schema_error {
    str message; /* whenever the result is neither OK nor NOMEM */
    /* The rest is of RANGE only. Last step of the way from the value to the part that does not fit: */
    enum { JSON_SCHEMA_AT_ROOT, JSON_SCHEMA_AT_MEMBER, JSON_SCHEMA_AT_ITEM } at;
    str member;
    size_t item;
    /* The keyword that refused, and its value; NULL when it was the schema `false`, and then the
     * keyword is that which led to it (none if it was only `$ref` and `if`). */
    str keyword;
    const struct json *keyword_value;
};

/*
 * Compiles the text of a schema, an object. Names in `ignored_required` (n of them) are taken out of
 * the root's `required`: members that the judged values never have. The text is copied.
 * SYNTAX: no JSON object. LIMIT: too long, or it takes too many steps (its patterns, above all) or
 * too much memory; NOMEM.
 */
MUST_CHECK enum err json_schema_new(struct json_schema **out, str text, const str *ignored_required,
                                    size_t n);
/*
 * The metaschema of draft 7: judges schemas, and checks their patterns (`format: regex`), too.
 */
MUST_CHECK enum err json_schema_new_draft7(struct json_schema **out);
void json_schema_free(struct json_schema *s);          /* NULL is fine */
size_t json_schema_bytes(const struct json_schema *s); /* memory that it holds, about */

/*
 * Judges a value. OK: it fits. RANGE: it does not. NOTFOUND: a `$ref` that was needed leads
 * nowhere. LIMIT: it would take too long or nest too deeply. `error` is filled in the last three
 * cases. NOMEM: the arena is full. The arena is used for the message and for scratch. *steps is
 * what may be spent, and becomes what is left: whoever judges by several schemas has one budget.
 */
MUST_CHECK enum err json_schema_validate(const struct json_schema *s, struct arena *a,
                                         const struct json *value, uint64_t *steps,
                                         struct json_schema_error *error);

#endif
