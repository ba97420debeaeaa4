/*
 * json/private.h - what the files of this room share: the shape of a value.
 *
 * A scalar is one small node. A container has a box behind it, which holds what scalars do not
 * need. Nodes do not move, so pointers to values stay good while containers grow.
 *
 * Invariants:
 *   1. A value is in at most one container; a container's box.parent is that container, or NULL.
 *   2. height is at least the number of containers on the longest way down (0: a scalar). It is
 *      exact after parsing, and an upper bound once something was removed.
 *   3. Depth of the root + height <= JSON_MAX_DEPTH, so every recursion over a value is bounded.
 *   4. In an array, slots [0, used) are the items and used == count.
 *   5. In an object, slots [0, used) are the members in order of insertion, or holes (name.p NULL)
 *      that a removal left; count is the number of members. Holes exist only beside an index.
 *   6. An object of more than JSON_LINEAR_MEMBERS members has an index that leads to each of them.
 *   7. Names in an object are distinct; str.p of a name is never NULL.
 */
#ifndef JSON_PRIVATE_H
#define JSON_PRIVATE_H

#include "json/json.h"

/* Up to this many members a search through the slots beats hashing the name. */
#define JSON_LINEAR_MEMBERS 16

struct json_member {
    str name;
    struct json *value;
};

struct json_index; /* value.c */

struct json_box {
    struct json *parent;
    union {
        struct json **items;
        struct json_member *members;
    };
    struct json_index *index;
    uint32_t used, cap;
};

struct json {
    uint8_t type;    /* enum json_type */
    bool boolean;    /* of a BOOL */
    uint16_t height; /* of a container */
    uint32_t count;  /* of a container */
    union {
        str text; /* STRING: decoded; NUMBER: as written */
        struct json_box *box;
    };
};

static inline bool json_is_container(const struct json *v)
{
    return v->type == JSON_ARRAY || v->type == JSON_OBJECT;
}

/* Goes over the members of an object in order; `at` is the loop's own counter, from 0. */
static inline const struct json_member *json_next_member(const struct json *v, uint32_t *at)
{
    const struct json_box *box = v->box;
    while (*at < box->used) {
        const struct json_member *m = &box->members[(*at)++];
        if (m->name.p != NULL)
            return m;
    }
    return NULL;
}

/*
 * For the parser, which fills the slots itself: makes the names distinct (the last value wins, at
 * the place of the first), builds the index of a large object, and sets count. NOMEM.
 */
MUST_CHECK enum err json_object_finish(struct arena *a, struct json *object);

/* number.c: would the JSON number `s` become infinite as a double (round to nearest)? */
bool json_number_overflows(str s);
uint64_t json_number_hash(str s); /* the same for equal numbers */
#define JSON_EXACT_DIGITS 15      /* that many survive in a double */
/*
 * The significant digits of a number, as a string, and the exponent of the first (d.ddd * 10^e).
 * False: there are more than `max`, or the number is near the ends of the range of doubles, or zero.
 */
bool json_number_digits(str s, char *digits, size_t max, int *exponent);

/* repr.c: an int to the reference? An integer as written that fits 64 bits, with or without sign. */
bool json_is_pyint(const struct json *v);

/*
 * pointer.c: splits the first token off *rest, which begins with a slash; decoded into the arena
 * when it holds escapes (a bad one stays as it is). NOMEM.
 */
MUST_CHECK enum err json_pointer_token(struct arena *a, str *rest, str *token);
/* Is `token` an array index (no leading zeros)? One that does not fit becomes SIZE_MAX. */
bool json_pointer_index(str token, size_t *out);
/* The first bad escape in a pointer ("~" and the character behind it), or STR_NONE. */
str json_pointer_bad_escape(str pointer);

/*
 * parse.c: decodes the inside of a JSON string into `out` (raw.n bytes are enough); the length.
 * Damaged text gives wrong bytes, but none is read or written beyond the limits.
 */
size_t json_unescape(str raw, char *out);

#endif
