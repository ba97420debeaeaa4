/*
 * json/schema_private.h - what a compiled schema is made of.
 *
 *   schema.c           the functions of json/schema.h, and the table of keywords
 *   schema_crawl.c     drafts, and what references can name: resources and anchors
 *   schema_compile.c   nodes and keywords
 *   schema_ref.c       URIs, and where a reference leads
 *   schema_judge.c     how a value goes through the nodes, and how a refusal reads
 *   schema_assert.c    what each keyword judges: those that look at the value itself,
 *   schema_apply.c     those that put other schemas to it,
 *   schema_evaluated.c and unevaluatedItems and unevaluatedProperties, which look at what is left
 *
 * A *node* is one schema object as one draft reads it: its keywords in the order of its members,
 * each with its value in the form that judging needs. A *resource* is a part of the document with a
 * URI of its own (the document itself, and each sub-schema with an `$id`): what relative references
 * and anchors are looked up in.
 *
 * Invariants: 1. All of it lies in the schema's arena, but for the regular expressions. 2. After
 * json_schema_new nothing changes. 3. Whatever a check may reach by reference has been compiled, so
 * judging allocates scratch only. 4. Lexical recursion is bounded by JSON_MAX_DEPTH, recursion
 * through references by SCHEMA_MAX_NESTING.
 */
#ifndef JSON_SCHEMA_PRIVATE_H
#define JSON_SCHEMA_PRIVATE_H

#include "base/map.h"
#include "json/private.h"
#include "json/regex.h"
#include "json/schema.h"

/* Schemas inside of one another while judging. The reference ends at some 450 (its language's
 * limit); 128 levels of data take up to four each in a schema that refers to itself. */
#define SCHEMA_MAX_NESTING     1000
#define SCHEMA_MAX_REGEX_BYTES (4 * MIB) /* of all patterns of a schema, compiled */
#define SCHEMA_MAX_ARENA_BYTES (32 * MIB)

enum schema_draft {
    DRAFT_4 = 1,
    DRAFT_6 = 2,
    DRAFT_7 = 4,
    DRAFT_2019 = 8,
    DRAFT_2020 = 16,
    SINCE_2019 = DRAFT_2019 | DRAFT_2020,
    SINCE_7 = DRAFT_7 | SINCE_2019,
    SINCE_6 = DRAFT_6 | SINCE_7,
    ALL = DRAFT_4 | SINCE_6,
    UNTIL_7 = DRAFT_4 | DRAFT_6 | DRAFT_7,
    UNTIL_2019 = UNTIL_7 | DRAFT_2019,
};

/* What a keyword's value must be to count, and which member of struct schema_keyword it fills. */
enum schema_shape {
    SHAPE_ANY,
    SHAPE_BOOL,
    SHAPE_NUMBER,       /* number */
    SHAPE_FORMAT,       /* a string; counts in metaschemas only */
    SHAPE_ARRAY,        /* of anything */
    SHAPE_STRINGS,      /* array of strings */
    SHAPE_TYPES,        /* types */
    SHAPE_PATTERN,      /* entries: one, with a regex */
    SHAPE_REF,          /* ref */
    SHAPE_SCHEMA,       /* entries: one */
    SHAPE_SCHEMAS,      /* entries: in order */
    SHAPE_ITEMS,        /* as SCHEMA or SCHEMAS */
    SHAPE_SCHEMA_MAP,   /* entries: with names */
    SHAPE_PATTERN_MAP,  /* entries: with names and regexes */
    SHAPE_STRINGS_MAP,  /* entries: with names and strings */
    SHAPE_DEPENDENCIES, /* entries: as SCHEMA_MAP or STRINGS_MAP, each */
};

enum schema_keyword_id {
#define X(id, name, drafts, shape, judges, check) KEYWORD_##id,
#define HOLDS(id, name, drafts, shape)            KEYWORD_##id,
#include "json/schema_keywords.def"
#undef HOLDS
#undef X
    KEYWORD_COUNT
};

/* Types as bits; an integer is a number, too. */
enum { TYPE_INTEGER = 1 << (JSON_OBJECT + 1) };
#define TYPE_BIT(json_type) (1u << (json_type))

/* The types of value that a keyword judges; any other fits it. */
enum {
    NUMBERS = TYPE_BIT(JSON_NUMBER),
    STRINGS = TYPE_BIT(JSON_STRING),
    ARRAYS = TYPE_BIT(JSON_ARRAY),
    OBJECTS = TYPE_BIT(JSON_OBJECT),
    ANYTHING = TYPE_BIT(JSON_NULL) | TYPE_BIT(JSON_BOOL) | NUMBERS | STRINGS | ARRAYS | OBJECTS,
};

struct schema_resource {
    str uri;
    const struct json *root;
    struct map anchors; /* name -> struct schema_anchor */
};

struct schema_anchor {
    const struct json *value;
    bool dynamic;
};

enum schema_node_kind { NODE_TRUE, NODE_FALSE, NODE_KEYWORDS, NODE_BAD /* no schema at all */ };

struct schema_node_key { /* hashed as bytes: no padding */
    uint64_t value, draft;
};

struct schema_node {
    enum schema_node_kind kind;
    enum schema_draft draft;
    struct schema_node_key key; /* of the map of nodes */
    const struct json *value;
    const struct schema_resource *resource; /* of references in it */
    struct schema_keyword *keywords;
    size_t count;
};

/* A sub-schema, a pattern, or a list of names below a keyword. */
struct schema_entry {
    str name;
    const struct schema_node *node; /* or NULL */
    const struct json_regex *regex; /* NULL: none, or it cannot be used */
    const struct json *strings;     /* or NULL */
};

struct schema_ref {
    str text;
    enum { REF_FOUND, REF_NO_RESOURCE, REF_NO_POINTER, REF_NO_ANCHOR, REF_BAD_ANCHOR } result;
    str fragment;                           /* as written, without the # */
    const struct schema_resource *resource; /* that was looked into; NULL: NO_RESOURCE */
    const struct schema_node *node;         /* FOUND */
    bool dynamic;   /* the outermost resource on the way that has the anchor is meant */
    bool recursive; /* a $recursiveRef */
    struct schema_ref *next;
    enum schema_draft draft; /* of the referrer */
};

struct schema_keyword {
    enum schema_keyword_id id;
    const struct schema_keyword_row *row;
    const struct json *value;
    union {
        double number;
        unsigned types;
        struct schema_ref *ref;
        struct schema_entry *entries;
    };
    size_t count;  /* of entries */
    uint64_t cost; /* steps that it takes whenever it judges: for its own names and numbers */
};

struct schema_regex {
    struct json_regex *regex;
    struct schema_regex *next;
};

struct json_schema {
    struct arena arena;
    bool formats; /* are checked: a metaschema */
    struct json *document;
    const struct schema_node *root;
    struct map resources; /* uri -> struct schema_resource */
    struct map nodes;     /* struct schema_node_key -> struct schema_node */
    struct schema_regex *regexes;
    size_t regex_bytes;
    struct schema_ref *pending; /* while compiling: references to be followed */
    uint64_t steps;             /* while compiling: that may still be spent */
    unsigned dynamic_drafts;    /* that what is meant dynamically has been compiled for */
};

/* How much there is of a value: it and all in it, and the length of its texts. */
#define SCHEMA_TEXT_STEPS(n) ((n) / 32)
uint64_t schema_weigh(const struct json *v);

/* schema_compile.c */
MUST_CHECK enum err schema_compile(struct json_schema *s, struct json *document);
/* The node of a value as a draft reads it, if it was compiled. */
const struct schema_node *schema_find_node(const struct json_schema *s, const struct json *value,
                                           enum schema_draft draft);

/* schema_crawl.c */
/* The keyword of that name in a draft, or KEYWORD_COUNT. */
enum schema_keyword_id schema_find_row(str name, enum schema_draft draft);
/* The members of a resource are looked through: ids, anchors. */
MUST_CHECK enum err schema_crawl(struct json_schema *s, const struct json *value,
                                 enum schema_draft draft, struct schema_resource *resource);
MUST_CHECK enum err schema_add_resource(struct json_schema *s, str uri, const struct json *root,
                                        struct schema_resource **out);
/* The `$id` (draft 4: `id`) of a schema, without an empty fragment; none: no id. */
str schema_id(const struct json *value, enum schema_draft draft);
/* That of its `$schema`, or the one given when it has none that is known. */
enum schema_draft schema_own_draft(const struct json *value, enum schema_draft otherwise);

/* schema_ref.c */
/* RFC 3986, section 5.2, as Python's urljoin does it; STR_NONE: no memory. */
str schema_join_uri(struct arena *a, str base, str uri);
/* The same while compiling. LIMIT: too many steps; NOMEM. */
MUST_CHECK enum err schema_join(struct json_schema *s, str base, str uri, str *out);
/* The resource that a value in *resource is in: its own if it has an `$id`. LIMIT, NOMEM. */
MUST_CHECK enum err schema_own_resource(struct json_schema *s, const struct json *value,
                                        enum schema_draft draft,
                                        const struct schema_resource **resource);
/* Finds what a reference in `resource` means: fills the rest of *ref, and *value when FOUND. NOMEM. */
MUST_CHECK enum err schema_resolve(struct json_schema *s, struct schema_ref *ref,
                                   const struct schema_resource *resource,
                                   const struct json **value);
/* Why it leads nowhere, with or without "PointerToNowhere: " and its like. */
void schema_write_ref_error(struct buf *b, const struct schema_ref *ref, bool with_kind);

/* schema_meta.c: the texts of the metaschemas, by their URIs without a fragment; none: not ours. */
str schema_metaschema(str uri);
#define SCHEMA_DRAFT7_URI "http://json-schema.org/draft-07/schema"

/* ---- judging ---------------------------------------------------------------------------------- */

enum verdict { VALID, INVALID, STOP /* run->stop says why */ };

/* A step down: in the value, or in the schema. */
struct where {
    enum { WHERE_NONE, WHERE_NAME, WHERE_INDEX } kind;
    union {
        str name;
        size_t index;
    };
};

#define NOWHERE   ((struct where){.kind = WHERE_NONE})
#define MEMBER(s) ((struct where){.kind = WHERE_NAME, .name = (s)})
#define ITEM(i)   ((struct where){.kind = WHERE_INDEX, .index = (i)})

struct scope { /* the resources that were left by references, newest first */
    const struct schema_resource *resource;
    const struct scope *behind;
    unsigned depth;
};

/* A schema that is being tried, inside of others. */
struct frame {
    const struct frame *up; /* NULL: the root */
    const struct schema_keyword *via;
    const struct schema_node *node;
    struct where path; /* from the value of `up` to this one's */
    struct where at;   /* from `via` to this schema, for the reference's schema path */
};

struct run {
    const struct json_schema *schema;
    struct arena *arena;
    bool quiet; /* nobody will see why a value does not fit */
    struct json_schema_error *error;
    enum err stop;
    uint64_t steps;
    unsigned nesting;
    const struct scope *scope;
    struct json_regex_scratch scratch;
};

/* What a keyword judges: `v` is of a type that its row names. */
typedef enum verdict schema_check(struct run *run, const struct frame *f,
                                  const struct schema_keyword *k, const struct json *v);

#define X(id, name, drafts, shape, judges, check) schema_check schema_check_##check;
#define HOLDS(id, name, drafts, shape)
#include "json/schema_keywords.def"
#undef HOLDS
#undef X

struct schema_keyword_row {
    str name;
    unsigned drafts;
    enum schema_shape shape;
    unsigned judges; /* 0: it only holds schemas */
    schema_check *check;
};

extern const struct schema_keyword_row schema_rows[KEYWORD_COUNT]; /* schema.c */

/* schema_judge.c */
enum verdict schema_run(struct run *run, const struct frame *f, const struct json *v);
/* Tries a schema on the value, or on the part of it that `path` leads to. */
enum verdict schema_descend(struct run *run, const struct frame *f,
                            const struct schema_keyword *via, const struct schema_node *node,
                            const struct json *v, struct where path, struct where at);
/* Does the value fit? Nothing is told. */
enum verdict schema_is_valid(struct run *run, const struct frame *f, const struct schema_keyword *k,
                             const struct schema_node *node, const struct json *v);
const struct schema_keyword *schema_find_keyword(const struct schema_node *node,
                                                 enum schema_keyword_id id);

/* The step over a reference, to what it means now. */
struct schema_crossing {
    const struct schema_node *node;
    struct scope own;
    const struct scope *outer;
};
/* False: stopped, since the reference leads nowhere (`with_kind`: how it is told) or the budget is
 * spent. Otherwise what is done by the node is done inside, then schema_leave. */
bool schema_enter(struct run *run, const struct schema_node *from, const struct schema_ref *ref,
                  bool with_kind, struct schema_crossing *c);
void schema_leave(struct run *run, const struct schema_crossing *c);

enum verdict schema_stop(struct run *run, enum err e);
enum verdict schema_stop_message(struct run *run, enum err e, const struct buf *message);
enum verdict schema_stop_limit(struct run *run);
/* Takes steps from the budget; false: there are not enough, and `stop` is set. */
static inline bool schema_spend(struct run *run, uint64_t steps)
{
    if (run->steps < steps) {
        schema_stop_limit(run);
        return false;
    }
    run->steps -= steps;
    return true;
}
#define SPEND(run, n)                                                                              \
    do {                                                                                           \
        if (!schema_spend((run), (n)))                                                             \
            return STOP;                                                                           \
    } while (0)

/* A message is begun, written, and told, unless the run is quiet. When the budget is spent on the
 * way, schema_refuse stops. */
void schema_begin_message(struct run *run, struct buf *b);
void schema_write_value(struct run *run, struct buf *b, const struct json *v);
enum verdict schema_refuse(struct run *run, const struct frame *f, const struct schema_keyword *k,
                           const struct buf *message);
/* "<value> text" */
enum verdict schema_refuse_value(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v,
                                 const char *text);
/* "<value> text <other>" */
enum verdict schema_refuse_pair(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v,
                                const char *text, const struct json *other);
/* "'name' text 'other'", or without the other (none) */
enum verdict schema_refuse_missing(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, str name, const char *text,
                                   str other);
/* "'a', 'b'" */
void schema_write_names(struct buf *b, str *names, size_t n, bool sorted);

/* schema_apply.c: "<what> items are not allowed ('a', 'b' were unexpected)": those from `first` on that
 * are not marked. */
enum verdict schema_refuse_items(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v,
                                 const char *what, const bool *marks, size_t first);

/* schema_assert.c: the first of the names (strings) that the object lacks; none: it has them all. */
str schema_missing(const struct json *v, const struct json *names);
/* Is the pattern found? */
enum verdict schema_matches(struct run *run, const struct schema_entry *pattern, str subject);

#endif
