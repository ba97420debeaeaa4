/*
 * json/json.h - JSON values: strict reading, building, comparing, writing, and the three ways to
 * change a document (pointer, merge patch, patch). Also fields straight out of JSON text.
 *
 * Values live in an arena and are never freed singly. A value borrows: strings without escapes and
 * all numbers point into the text that was parsed, which must live as long as the value. Values
 * form trees (a value is in one place only; json_copy makes another). One thread at a time.
 *
 * Numbers are kept as they were written, digit by digit, and never pass through a double: 1.0 stays
 * 1.0, forty digits stay forty digits. They are compared by their exact value.
 *
 * Objects keep the order of first insertion. Of duplicate names the last value wins (RFC 8259,
 * section 4 leaves it open; the reference does so). Look-ups in large objects are hashed, so that
 * no document costs quadratic time.
 *
 * Depth: no function here recurses deeper than the depth of the values that json_parse let in
 * (JSON_MAX_DEPTH); builders keep that limit, too.
 */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include "base/buf.h"

#define JSON_MAX_DEPTH 136

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json; /* opaque: read by the functions below */

/* ---- reading ------------------------------------------------------------------------------- */

struct json_error {
    size_t offset;         /* byte where the text stops being JSON; text.n at an unexpected end */
    unsigned line, column; /* both from 1; the column counts code points */
    const char *what;      /* static, in the words of the reference's parser: "Invalid value." */
};

/*
 * One JSON text (RFC 8259), white space around it allowed, nothing else. Refused, as in the reference: NaN,
 * Infinity, numbers that overflow a double (1e400), invalid UTF-8, lone surrogates, control characters in
 * strings, a BOM, trailing commas, comments; and nesting over JSON_MAX_DEPTH. \u0000 is allowed. `error`
 * may be NULL. SYNTAX: not JSON (error is filled). LIMIT: too deep (error is filled). NOMEM: the arena is
 * full. json_parse_flat() takes no more than `depth` levels (at most JSON_MAX_DEPTH), so that something can
 * be built around what it let in.
 */
MUST_CHECK enum err json_parse(struct arena *a, str text, struct json **out,
                               struct json_error *error);
MUST_CHECK enum err json_parse_flat(struct arena *a, str text, unsigned depth, struct json **out,
                                    struct json_error *error);

enum json_type json_type(const struct json *v);
bool json_is(const struct json *v, enum json_type t); /* false for NULL */
bool json_bool(const struct json *v);                 /* of a BOOL (else BUG) */
str json_string(const struct json *v);                /* of a STRING, decoded (may hold NUL) */
str json_number(const struct json *v);                /* of a NUMBER, as written */
bool json_number_is_integer(const struct json *v);    /* written without fraction and exponent */
/* Of an integer NUMBER: RANGE when it does not fit, SYNTAX when it is not an integer as written. */
MUST_CHECK enum err json_to_i64(const struct json *v, int64_t *out);
double json_to_double(const struct json *v);

size_t json_count(const struct json *v);               /* items or members */
struct json *json_at(const struct json *v, size_t i);  /* array item; NULL: out of range */
struct json *json_get(const struct json *v, str name); /* member; NULL: absent or no object */
/* Member i in insertion order; false at the end. */
bool json_member(const struct json *v, size_t i, str *name, struct json **value);
/* json_get with a type: NULL unless it is there and of that type. */
struct json *json_get_typed(const struct json *v, str name, enum json_type t);
/* A member's string, or integer that fits; `otherwise` when there is none. */
str json_get_str(const struct json *v, str name, str otherwise);
int64_t json_get_i64(const struct json *v, str name, int64_t otherwise);

/* ---- building (NULL or NOMEM when the arena fails; NULL arguments are passed on as NULL) ----- */

struct json *json_new_null(struct arena *a);
struct json *json_new_bool(struct arena *a, bool b);
struct json *json_new_i64(struct arena *a, int64_t n);
struct json *json_new_string(struct arena *a, str s); /* borrows s; must be valid UTF-8 */
struct json *json_new_array(struct arena *a);
struct json *json_new_object(struct arena *a);
struct json *json_copy(struct arena *a, const struct json *v); /* deep; strings stay borrowed */

/* The container takes `value`. json_set replaces in place (keeping its position) or appends;
 * `name` is borrowed. json_insert: i <= count, else RANGE. NULL values (a failed builder) give
 * NOMEM. LIMIT: it would be nested deeper than JSON_MAX_DEPTH. After an error nothing has changed.
 */
MUST_CHECK enum err json_set(struct arena *a, struct json *object, str name, struct json *value);
MUST_CHECK enum err json_push(struct arena *a, struct json *array, struct json *value);
MUST_CHECK enum err json_insert(struct arena *a, struct json *array, size_t i, struct json *value);
bool json_remove(struct json *object, str name);           /* true: it was there */
struct json *json_remove_at(struct json *array, size_t i); /* the item, or NULL */
MUST_CHECK enum err json_replace_at(struct json *array, size_t i, struct json *value);

/* ---- comparing ------------------------------------------------------------------------------ */

/* Deep equality as Python's ==, but for true/1: numbers by value (1 == 1.0), objects without
 * regard to order, arrays in order; values of different types are different. */
bool json_equal(const struct json *a, const struct json *b);

/* Equal values have the same hash, which is the process's own (base/map.h). */
uint64_t json_hash(const struct json *v);

/*
 * A total order over all values: null < string < number < boolean < array < object < absent (NULL),
 * strings by code point, numbers by exact value, false < true; arrays item by item, then by length;
 * objects by their members sorted by name. <0, 0, >0. The order of the reference's filters and
 * sorts.
 */
int json_compare(const struct json *a, const struct json *b);
int json_number_compare(str a, str b); /* two JSON numbers as text, by exact value */
double json_number_value(str s);       /* the double that is nearest to a JSON number */
int json_type_rank(enum json_type t);  /* where a type has its place in that order, from 0 */

/* ---- writing -------------------------------------------------------------------------------- */

/* Compact text: no white space, `"` `\` and controls escaped (shortest form), all else as UTF-8. */
void json_write(struct buf *b, const struct json *v);
void json_write_string(struct buf *b, str s);         /* with the quotes */
bool json_is_plain(str s);                            /* would it be written as it is? */
str json_text(struct arena *a, const struct json *v); /* STR_NONE when the arena fails */

/*
 * As Python writes values, for the reference's messages. repr(v): {'a': [1, None, 1.5]}; str(v),
 * which differs for a STRING only (no quotes, no escapes); str(type(v)): <class 'dict'>. Integers
 * that do not fit 64 bits are floats there.
 */
void json_write_repr(struct buf *b, const struct json *v);
void json_write_repr_string(struct buf *b, str s);
void json_write_pystr(struct buf *b, const struct json *v);
const char *json_pytype(const struct json *v);

/* ---- pointer, merge patch, patch ------------------------------------------------------------- */

/* RFC 6901. SYNTAX: no pointer (not "" and no leading '/', or a bad '~'); NOTFOUND. */
MUST_CHECK enum err json_pointer_get(struct arena *a, const struct json *root, str pointer,
                                     struct json **out);

/* RFC 7396. Returns the result: `target` changed in place, or a new value where the patch is not an
 * object. target may be NULL (absent). The patch is not changed; its values are copied, but for the
 * bytes of its strings, which stay borrowed. NULL: out of memory, or nested too deeply. */
struct json *json_merge_patch(struct arena *a, struct json *target, const struct json *patch);

/* So many values may the "copy" operations of a patch make: a copy of what holds copies doubles it, and a few
 * operations would fill any memory. */
#define JSON_PATCH_MAX_COPIES 250000

struct json_patch_error {
    size_t op; /* index of the operation */
    str what;  /* sentence in the wording of the reference's clients; in the arena */
};

/*
 * RFC 6902: applies an array of operations to *doc, in place (on an error *doc may be half changed: work on
 * a json_copy). The caller has checked that each operation is an object with the members that its `op`
 * needs (one that lacks them is SYNTAX all the same). SYNTAX: bad pointer or operation; NOTFOUND: no such
 * location; CONFLICT: a failed "test", a move into itself; LIMIT: nested too deeply, or more values copied
 * than JSON_PATCH_MAX_COPIES; `error` is filled in each case. NOMEM. All pointers in `path` are checked
 * before anything is changed. The operations are not changed; values are copied, the bytes of strings stay
 * borrowed. Cost: linear in document and patch, but that each insertion into or removal from an array moves
 * the items behind it.
 */
MUST_CHECK enum err json_patch_apply(struct arena *a, struct json **doc, const struct json *ops,
                                     struct json_patch_error *error);

/* ---- fields out of text, without a tree ------------------------------------------------------ */

/* A value in text written by json_write, as a slice of that text. */
struct json_raw {
    enum json_type type;
    str text; /* strings with their quotes and escapes */
};

/*
 * Looks up a member of the object `text` (compact, well-formed, as json_write writes it: this is
 * not for strangers' bytes; damaged text gives a wrong answer but is never read beyond its end).
 * `name` is the decoded name. False: absent, or text is no object.
 */
bool json_scan_member(str text, str name, struct json_raw *out);
/* The next item of an array: start with *at = 0; false at the end. */
bool json_scan_item(str array_text, size_t *at, struct json_raw *out);
/* The next member of an object, name decoded into the arena only when it holds escapes
 * (STR_NONE if that fails). */
bool json_scan_next(struct arena *a, str object_text, size_t *at, str *name, struct json_raw *out);
/* The decoded string of a raw STRING: a slice of the text when it holds no escapes, else in `a`
 * (STR_NONE if that fails). */
str json_raw_string(struct arena *a, const struct json_raw *raw);
/* json_compare between raw values (NULL: absent), without trees for scalars; containers are parsed
 * into `a` for the moment. When the arena fails (it remembers) the answer is 0. */
int json_raw_compare(struct arena *a, const struct json_raw *x, const struct json_raw *y);
/* The raw value as a tree, borrowing its text. NOMEM; SYNTAX when the text was damaged. */
MUST_CHECK enum err json_raw_parse(struct arena *a, const struct json_raw *raw, struct json **out);

/* ---- JSON Schema ----------------------------------------------------------------------------- */

#include "json/schema.h"

#endif
