/*
 * store/private.h - what the files of the store share. The store's own; others include store.h.
 *
 * Who does what:
 *     store.c    the store, its threads and sessions, and the only calls that write to the engine
 *     key.c      the keys (order, bounds), and the codec of the small values
 *     list.c     lists: their numbers, clocks and counts; what goes away with a parent
 *     value.c    the value of an object: header and JSON text
 *     object.c   get, put, delete
 *     purge.c    old tombstones go
 *     check.c    is everything as it must be? And making it so: the walk
 *     rules.c    the rules, one a kind of key
 *     acl.c      principals and permissions, and the index of what is shared with whom
 *     group.c    members of groups
 *     note.c     notes, and whether they are right
 *     field.c    indexes of declared fields
 *     scan.c     ranges of objects in the order of time
 *     query.c    how a query is answered
 *     plan.c     which index answers it, and the walk through that
 *     select.c   the same for rows that are made, and walks through whole lists
 *     match.c    one filter against one object       like.c  the `like` operator
 *     sort.c     order of objects, the best n of many
 *     cache.c    what may be forgotten               settings.c the rows of settings.def
 *     memo.c     what a thread remembers of names    reader.h   the codec of small values, inline
 *
 * Keys (doc/keys.md). Numbers are big-endian. No string makes a key
 * too long: TEXT and PATH end in a hash where one is over its bound (key.c).
 *     01 name                        counters and the version of this layout
 *     02 TEXT(principal)             -> its number
 *     03 principal                   -> its name
 *     04 PATH(parent) 00 resource    -> the list: number, parent, resource
 *     05 principal list              the principal holds permissions on something in the list
 *     06 n TEXT(member)[n] PATH(uri) -> group uri, member
 *     07 PATH(uri) 00 TEXT(member)   -> the same value
 *     08 list                        -> the same value as 04
 *     09 PATH(uri) 00 name           a note
 *     10 list 00                     -> clock and counts
 *     10 list 01 ID                  -> object or tombstone
 *     10 list 02 TIME                -> the same value; objects only
 *     10 list 03 principal TIME      an object that the principal holds permissions on
 *     10 list 04 i F... TIME         an object with these values, in the i-th index (field.c)
 *     10 list 05 TIME                -> the value of 01; tombstones only
 * ID: 00 and the 16 bytes of a canonical UUID, or 01 TEXT(id). TIME: the milliseconds with the sign
 * turned over, and behind them the ID where two objects or tombstones of a list have the same time.
 *
 * Invariants:
 *  1. A TIME without ID stands alone: no other key of the list (under 02 and 05 together) begins
 *     with those milliseconds. A value knows whether its TIME has the ID (`tied`).
 *  2. No object's time is ahead of its list's clock; so a fresh stamp never ties.
 *  3. There is a key 05 for (principal, list) exactly when there is one under (10 list 03
 *     principal), and one of these for each pair of an object and a principal in its ACL.
 *  4. The counts of a list are the keys under 02 and 05. They and the clock lie in the session
 *     (struct list) while it writes, and reach the engine at eviction or commit.
 *  5. Numbers of lists and principals are never given out twice, not even after a flush.
 *
 * Bytes out of the engine are checked whenever they are decoded: what makes no sense is CORRUPT.
 */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include "base/clock.h"
#include "engine/engine.h"
#include "store/reader.h"
#include "store/store.h"

/* ---- key.c ----------------------------------------------------------------------------------- */

enum key_tag {
    KEY_META = 0x01,
    KEY_PRINCIPAL = 0x02,
    KEY_PRINCIPAL_NAME = 0x03,
    KEY_LIST = 0x04,
    KEY_SHARED_LIST = 0x05,
    KEY_MEMBER = 0x06,
    KEY_GROUP = 0x07,
    KEY_LIST_NAME = 0x08,
    KEY_NOTE = 0x09,
    KEY_OBJECT = 0x10
};
enum key_sub { SUB_STATE, SUB_ID, SUB_TIME, SUB_SHARED, SUB_FIELD, SUB_TOMBSTONE };

#define KEY_TIME_LEN 8

struct key { /* a key, or a small value; none comes near the size: going over it is a BUG */
    size_t n;
    char b[ENGINE_MAX_KEY_BYTES];
};

static inline str key_str(const struct key *k)
{
    return (str){k->b, k->n};
}

void store_key_init(struct key *k, unsigned tag);
void store_key_init_list(struct key *k, uint32_t list, enum key_sub sub);
void store_key_add(struct key *k, str bytes);
void store_key_add_u8(struct key *k, unsigned v);
void store_key_add_u32(struct key *k, uint32_t v);
void store_key_add_ms(struct key *k, int64_t ms); /* keeps the order of the numbers */
void store_key_add_text(struct key *k, str text);
/* LIMIT: too many parts (a URI of a bucket's grandchild has room), or a NUL in it. */
MUST_CHECK enum err store_key_add_path(struct key *k, str path);
void store_key_add_id(struct key *k, str id);
void store_key_add_varint(struct key *k, uint64_t v);
void store_key_add_signed(struct key *k, int64_t v); /* zigzag varint */

/* The order of ids where all else is equal: that of their keys. <0, 0, >0. */
int store_id_compare(str x, str y);
int64_t store_time_ms(str time); /* of a TIME of at least KEY_TIME_LEN bytes */

/* ---- store.c --------------------------------------------------------------------------------- */

/* The engine's cache_bytes, for these options. */
size_t store_page_memory(const struct store_options *o);

struct fields;
struct list { /* a list's state within a session */
    uint32_t number;
    bool dirty;
    bool fields_known;           /* found by its name, so that it was looked for them */
    const struct fields *fields; /* the indexes that it has; NULL: none */
    int64_t clock;
    uint64_t live, tombstones;
};
#define SESSION_LISTS 8

#define MAX_CLAIMS 8
struct store_cache;
struct store {
    struct engine *engine;
    struct store_cache *cache;
    struct store_observer observer; /* timed NULL: there is none */
    const char *claims[MAX_CLAIMS]; /* names of notes that this process keeps up */
    unsigned nclaims;
    bool unclaimed;        /* there are marks of others */
    struct fields *fields; /* what is declared */
    unsigned nfields;
    bool fields_stale; /* there may be indexes that are something else */
};

/* Tells the observer what the rest of the block takes. */
struct timing {
    const struct store *store;
    enum store_timed what;
    uint64_t began_ns;
};
static inline struct timing store_timing_begin(const struct store *s, enum store_timed what)
{
    return (struct timing){s, what, s->observer.timed != NULL ? clock_mono_ns() : 0};
}
static inline void store_timing_end(const struct timing *t)
{
    const struct store_observer *o = &t->store->observer;

    if (o->timed != NULL)
        o->timed(o->ctx, t->what, clock_mono_ns() - t->began_ns);
}
#define STORE_TIME(store, name)                                                                    \
    __attribute__((cleanup(store_timing_end))) struct timing timing =                              \
        store_timing_begin((store), STORE_TIMED_##name);                                           \
    (void)timing

struct memo;
struct store_thread {
    struct store *store;
    struct engine_reader *reader;
    struct memo *memo;
};

/*
 * What the queries of a session have cost so far, in bytes that were looked at: a query may go through
 * what it lists as often as it likes up to STORE_WORK_MAX, and beyond that ten times. (Strangers
 * choose how many filters look through each object, and whether whole objects are compared.)
 */
struct work {
    uint64_t done, limit;     /* limit: of the query that is being answered */
    uint64_t most;            /* of the session: then it gives up; 0: none */
    const _Atomic bool *stop; /* then, too; or NULL */
    void (*rest)(void *ctx);  /* see store_work_rests; or NULL */
    void *rest_ctx;
    uint64_t rest_every, rest_next; /* next: when `done` is that */
};
/* Between two pieces of work, of which there may be many. */
static inline void work_rest(struct work *w)
{
    if (w->rest == NULL || w->done < w->rest_next)
        return;
    w->rest_next = w->done + w->rest_every;
    w->rest(w->rest_ctx);
}
/* The same of work that does not count. */
static inline void work_rest_now(const struct work *w)
{
    if (w != NULL && w->rest != NULL)
        w->rest(w->rest_ctx);
}
static inline bool work_over(const struct work *w)
{
    return w != NULL && w->done > w->limit;
}

struct store_session {
    struct store_thread *thread;
    struct engine_txn *txn; /* NULL: reading */
    const struct engine_view *view;
    struct arena *arena;
    enum err err; /* of the first write that failed: nothing is written any more */
    struct list lists[SESSION_LISTS];
    unsigned nlists, evict;
    struct work work;
    bool notes_seen;  /* the marks of others are gone */
    bool fields_seen; /* so are indexes that nobody keeps up here */
};

MUST_CHECK enum err store_db_get(struct store_session *s, const struct key *k, str *value);
/* NOTFOUND becomes *found = false. */
MUST_CHECK enum err store_db_has(struct store_session *s, const struct key *k, bool *found);
/* *found: a key begins with k. CORRUPT. */
MUST_CHECK enum err store_db_any(struct store_session *s, const struct key *k, bool *found);

/* Values taken from the view are gone after each of these. */
MUST_CHECK enum err store_db_put(struct store_session *s, const struct key *k, str value);
MUST_CHECK enum err store_db_link(struct store_session *s, const struct key *k);
MUST_CHECK enum err store_db_del(struct store_session *s, const struct key *k);
MUST_CHECK enum err store_db_del_prefix(struct store_session *s, const struct key *k);
/* Makes e stick to the session when it is an error, so that a half-done write is never committed.
 */
enum err store_fail(struct store_session *s, enum err e);
#define META_LAYOUT       "layout"
#define META_NOTES        "notes:"
#define META_INDEX        "index:"
#define COUNTER_LIST      "list"
#define COUNTER_PRINCIPAL "principal"
#define LAYOUT_VERSION    1
/* The next number of a counter, from 1. LIMIT: used up. */
MUST_CHECK enum err store_db_count(struct store_session *s, const char *counter, uint32_t *out);

/* What has come out of the view, for the caller: as it is while reading, a copy while writing (the
 * next write would take it away). NOMEM. */
MUST_CHECK enum err store_keep(struct store_session *s, struct arena *a, str *bytes);

/* ---- memo.c ---------------------------------------------------------------------------------- */

struct memo *store_memo_new(void); /* NULL: no memory */
void store_memo_free(struct memo *m);
uint32_t store_memo_number(struct store_session *s, struct store_list_id id); /* 0: not known */
void store_memo_add(struct store_session *s, struct store_list_id id, uint32_t number);
uint32_t store_memo_principal(struct store_session *s, str name); /* 0: not known */
/* Until the next is added, to be copied. STR_NONE: not known. */
str store_memo_principal_name(struct store_session *s, uint32_t number);
void store_memo_add_principal(struct store_session *s, str name, uint32_t number);

/* ---- list.c ---------------------------------------------------------------------------------- */

/* LIMIT: such a list cannot be. */
MUST_CHECK enum err store_list_check(struct store_session *s, struct store_list_id id);
/* NOTFOUND: never written, nor asked for its clock. */
MUST_CHECK enum err store_list_number(struct store_session *s, struct store_list_id id,
                                      uint32_t *out);
/* The list's state, until the next call of either. NOTFOUND as above. */
MUST_CHECK enum err store_list_find(struct store_session *s, struct store_list_id id,
                                    struct list **out);
MUST_CHECK enum err store_list_make(struct store_session *s, struct store_list_id id,
                                    struct list **out);
/* The name behind a number, in the arena or the view. CORRUPT: there is no such list. */
MUST_CHECK enum err store_list_name(struct store_session *s, struct arena *a, uint32_t number,
                                    struct store_list_id *out);
/* The key 04. LIMIT. */
MUST_CHECK enum err store_list_key(struct key *k, struct store_list_id id);
/* The clock and counts under 10 list 00. */
MUST_CHECK enum err store_list_state_decode(str value, struct list *l);
void store_list_state_encode(const struct list *l, struct key *key, struct key *value);
/* The state of the list of that number. CORRUPT: there is none. */
MUST_CHECK enum err store_list_state(struct store_session *s, uint32_t number, struct list **out);
/* The value of a list's name (keys 04 and 08); borrowed from it. */
MUST_CHECK enum err store_list_name_decode(str value, uint32_t *number, struct store_list_id *id);
MUST_CHECK enum err store_lists_write(struct store_session *s); /* what is dirty */

/* The time for a write: `asked` as store_put describes it, or NULL. Moves the clock. */
int64_t store_list_stamp(struct list *l, const int64_t *asked);

/* Every key `tag PATH(name) 00 ...` of a name that is `uri` or lies below it. */
struct below {
    struct engine_cursor cursor;
    struct key prefix;
    bool started, children;
};
MUST_CHECK enum err store_below_init(struct below *b, struct store_session *s, enum key_tag tag,
                                     str uri);
/* OK and a value, borrowed; NOTFOUND at the end; CORRUPT. */
MUST_CHECK enum err store_below_next(struct below *b, str *value);

/* Before objects are changed: what follows from them, and this process does not keep up, goes. */
MUST_CHECK enum err store_changes(struct store_session *s);

/* ---- note.c ---------------------------------------------------------------------------------- */

/* Has a name a mark? */
MUST_CHECK enum err store_notes_marked(const struct engine_view *view, bool *marked);
/* Before objects are changed. */
MUST_CHECK enum err store_notes_changed(struct store_session *s);
/* No note is known to be right any more (a repair). */
MUST_CHECK enum err store_notes_doubt(struct store_session *s);
MUST_CHECK enum err store_notes_delete_below(struct store_session *s, str uri);
bool store_note_key_sound(str key);

/* ---- value.c --------------------------------------------------------------------------------- */

struct object { /* a decoded value */
    struct store_object o;
    str value;
    bool tied; /* its TIME has the ID */
    struct json_raw id, time;
};

MUST_CHECK enum err store_value_decode(str value, struct object *out);
/* What lies under a key with that TIME. CORRUPT also when it has another. */
MUST_CHECK static inline enum err store_value_decode_at(str value, str time, struct object *out)
{
    enum err e = store_value_decode(value, out);

    return e == OK && out->o.last_modified != store_time_ms(time) ? ERR_CORRUPT : e;
}
struct value_parts {
    str id, acl;
    int64_t last_modified;
    bool tied;
    const struct json *data; /* its fields are written; or */
    str text;                /* the text that is there already; with neither it is a tombstone */
};
/* Appends the value. NOMEM, LIMIT. */
MUST_CHECK enum err store_value_encode(struct buf *b, const struct value_parts *parts);
void store_value_set_tied(char *value);
void store_key_add_time(struct key *k, const struct object *o);

/* ---- object.c -------------------------------------------------------------------------------- */

void store_id_key(struct key *k, uint32_t list, str id);                    /* 01 */
void store_time_key(struct key *k, uint32_t list, const struct object *ob); /* 02 or 05 */
/* The object with that TIME, borrowed from the view, for a key that leads there. CORRUPT: there is none. */
MUST_CHECK enum err store_object_at(struct store_session *s, uint32_t list, str time,
                                    struct object *out);
/* The object or tombstone, borrowed from the view. NOTFOUND. */
MUST_CHECK enum err store_object_get(struct store_session *s, uint32_t list, str id,
                                     struct object *out);

/* ---- field.c --------------------------------------------------------------------------------- */

struct field_index { /* fields of an object, in the order in which they sort */
    str names[STORE_MAX_INDEX_FIELDS];
    unsigned n;
};
struct fields { /* of a list */
    struct store_list_id list;
    str text; /* as it is kept */
    struct field_index index[STORE_MAX_INDEXES];
    unsigned n;
    struct buf memory; /* of these strings */
};

/* index and n, borrowed from the text; nothing else. SYNTAX, LIMIT: *why. */
MUST_CHECK enum err store_fields_parse(str text, struct fields *out, const char **why);
/* Copied. SYNTAX, LIMIT, NOMEM. */
MUST_CHECK enum err store_fields_declare(struct store *s, const struct store_declared *d,
                                         unsigned n);
void store_fields_free(struct store *s);
/* Before others have sessions: makes what is missing, and takes away what is not declared. OK also when the disk
 * is full: then queries do without; and, with `again`, when an object of the list is damaged. CORRUPT, IO, NOMEM. */
MUST_CHECK enum err store_fields_open(struct store *s, bool again);

/* l->fields, for a list of that name. CORRUPT. */
MUST_CHECK enum err store_fields_find(struct store_session *s, struct store_list_id id,
                                      struct list *l);
/* The same for a list that is new. */
MUST_CHECK enum err store_fields_begin(struct store_session *s, struct store_list_id id,
                                       struct list *l);
/* The list goes away, and its keys with it. */
MUST_CHECK enum err store_fields_forget(struct store_session *s, struct store_list_id id,
                                        uint32_t list);
/* Before objects are changed: indexes that are not kept up here are gone. */
MUST_CHECK enum err store_fields_changed(struct store_session *s);
/* The keys of an object that goes away, or changes. Not borrowed from the view, as below. */
MUST_CHECK enum err store_fields_remove(struct store_session *s, const struct list *l,
                                        const struct object *o);
/* The keys of an object whose value was the last that was put. */
MUST_CHECK enum err store_fields_link(struct store_session *s, const struct list *l,
                                      const struct object *o);

/* The key of an object in the i-th index. NOMEM. */
MUST_CHECK enum err store_fields_key(struct arena *a, struct key *k, uint32_t list,
                                     const struct fields *f, unsigned i, const struct object *o);
void store_fields_prefix(struct key *k, uint32_t list, unsigned i); /* of all keys of an index */
/* Adds F of a value (NULL: absent). NOMEM. */
MUST_CHECK enum err store_fields_add(struct arena *a, struct key *k, const struct field_index *ix,
                                     const struct json_raw *v);
/* Have no other values the F that was added last, of v? */
bool store_fields_exact(const struct key *f, const struct json_raw *v);
/* Where n values end that begin at `at`; 0: they do not. */
size_t store_fields_skip(str key, size_t at, unsigned n);
/* What is kept under 01 "index:" list. NOTFOUND; CORRUPT. */
MUST_CHECK enum err store_fields_marked(struct store_session *s, uint32_t list, str *value);
MUST_CHECK enum err store_fields_mark_decode(str value, bool *ready, str *text);

/* ---- acl.c ----------------------------------------------------------------------------------- */

struct ace {
    uint32_t who;
    unsigned perms;
};
/* The next of an encoded ACL: false at the end, or where it makes no sense (r->bad). */
bool store_acl_next(struct reader *r, struct ace *out);
/* Where in p->ids, at `at` or behind it, the first one is that is not below `who`; p->nids: nowhere. */
size_t store_principals_from(const struct store_principals *p, size_t at, uint32_t who);
/* Interns the principals. Into the arena; an empty one is {"", 0}. */
MUST_CHECK enum err store_acl_encode(struct store_session *s, struct arena *a,
                                     const struct store_ace *acl, size_t n, str *out);
/*
 * Keeps invariant 3 when an object changes: `before` and `after` may be NULL (it was not, it is
 * no more). Neither may be borrowed from the view.
 */
MUST_CHECK enum err store_share(struct store_session *s, uint32_t list, const struct object *before,
                                const struct object *after);
void store_shared_list_key(struct key *k, uint32_t who, uint32_t list); /* 05 */
/* 10 list 03; o NULL: what all keys of the principal begin with. */
void store_shared_key(struct key *k, uint32_t list, uint32_t who, const struct object *o);
/* Removes the keys 05 of a list that goes away, before its own keys are removed. */
MUST_CHECK enum err store_share_forget(struct store_session *s, uint32_t list);

/* ---- group.c --------------------------------------------------------------------------------- */

struct membership { /* borrowed from the value of a key 06 or 07 */
    str uri, member;
};
MUST_CHECK enum err store_membership_decode(str value, struct membership *out);
/* 06 and 07. LIMIT. */
MUST_CHECK enum err store_member_key(struct key *k, const struct membership *m);
MUST_CHECK enum err store_group_key(struct key *k, const struct membership *m);
MUST_CHECK enum err store_groups_delete_below(struct store_session *s, str uri);

/* ---- scan.c ---------------------------------------------------------------------------------- */

/* Objects of a list in the order of (time, id), out of one or more ranges of keys, each once. */
struct scan_range {
    struct engine_cursor cursor;
    struct key prefix;
    str time; /* TIME of the key that it stands at */
};
struct scan {
    struct store_session *s;
    uint32_t list;
    bool descending;
    bool shared;      /* the ranges are of SUB_SHARED: values are found through SUB_TIME */
    int64_t lo, hi;   /* bounds, inclusive */
    struct key start; /* where to begin, a TIME with ID; n = 0: at the bound */
    struct arena *arena;
    struct scan_range **ranges; /* `n` that go on, as a heap; then those to be used again */
    size_t n, made, cap;
};

/* Adds the range of a prefix (made of the list and a sub), unless nothing is in it within the
 * bounds. The struct is set by the caller, first. CORRUPT, NOMEM. */
MUST_CHECK enum err store_scan_add(struct scan *sc, const struct key *prefix);
/* Adds those of SUB_SHARED in which one of the principals has something. CORRUPT, NOMEM. */
MUST_CHECK enum err store_scan_add_shared(struct scan *sc, const struct store_principals *p);
/* OK; NOTFOUND at the end; CORRUPT, IO. `out` NULL: only steps over it. */
MUST_CHECK enum err store_scan_next(struct scan *sc, struct object *out);

/* ---- match.c, like.c ------------------------------------------------------------------------- */

/* The field as filters and sorts see it; false: absent. */
bool store_object_field(struct arena *a, const struct object *o, str name, struct json_raw *out);
/* As json_raw_compare, and what it takes goes to *w (or NULL); beyond the limit anything is equal. */
int store_compare(struct arena *a, struct work *w, const struct json_raw *x,
                  const struct json_raw *y);
/* What it took to look for a field: found (or NULL) is what came out. */
void store_work_field(struct work *w, const struct object *o, const struct json_raw *found);

struct like;                                               /* a pattern made ready */
struct like *store_like_new(struct arena *a, str pattern); /* NULL: NOMEM */
bool store_like_test(const struct like *l, str text);      /* takes time linear in the text */

struct match { /* a filter made ready */
    const struct store_filter *filter;
    struct json_raw value; /* the operand as text */
    struct json_raw *set;  /* IN, EXCLUDE, CONTAINS*: its items in order, each once */
    size_t nset;
    bool *seen;   /* of CONTAINS, as long as set */
    bool decided; /* by where candidates come from: it is not tested */
    const struct like *like;
    struct work *work; /* or NULL: nobody counts */
};
/* NOMEM. */
MUST_CHECK enum err store_match_init(struct arena *a, const struct store_filter *f,
                                     struct match *out);
/* Scratch in the arena is given back. Where the arena fails the answer is worth nothing: look at
 * arena_failed in the end. */
bool store_match_test(struct arena *a, const struct match *m, const struct object *o);
/* A value as text. NOMEM. */
MUST_CHECK enum err store_raw_from(struct arena *a, const struct json *v, struct json_raw *out);

/* ---- sort.c ---------------------------------------------------------------------------------- */

struct order {           /* by the keys, then by id in the direction of the last key */
    struct arena *arena; /* for scratch */
    struct store_sort *keys;
    size_t n;
    struct work *work; /* or NULL: nobody counts */
};

struct entry { /* an object and its sort fields, order.n of them */
    struct object object;
    struct json_raw *fields;
    bool *present;
};
MUST_CHECK enum err store_entry_init(struct arena *a, const struct order *order, struct entry *e);
void store_entry_set(const struct order *order, struct entry *e, const struct object *o);
/* <0, 0, >0. Without an id on one side (the end of a page) equal fields are 0. */
int store_order_compare(const struct order *order, const struct entry *x, const struct entry *y);

struct best { /* the first `limit` of what was added (0: all) */
    const struct order *order;
    struct arena *arena;
    struct entry *heap; /* the last in the order on top */
    size_t n, cap, limit;
    bool more;          /* there were more than that */
    struct entry spare; /* its fields are used for the next one */
};
MUST_CHECK enum err store_best_init(struct best *b, struct arena *a, const struct order *order,
                                    size_t limit);
MUST_CHECK enum err store_best_add(struct best *b, const struct object *o);
void store_best_sort(struct best *b); /* heap[0..n) is in order; nothing can be added any more */

/* ---- plan.c ---------------------------------------------------------------------------------- */

/*
 * How an index answers a query. Candidates are its keys with certain values in the first `given` fields, within
 * bounds of what is behind these. Where the order is that of the index, they come in groups of equal F: what is in a
 * later group comes later.
 */
struct query_run;
struct plan {
    const struct fields *fields;
    unsigned index, given;
    bool sorted;                                   /* by the field behind these */
    bool descending;                               /* then: and in that direction */
    struct match *decided[STORE_MAX_INDEX_FIELDS]; /* filters that hold for all of them */
    unsigned ndecided;
    struct key prefix; /* of the keys */
    struct key lo, hi; /* empty, or what they are not before, or behind */
    uint64_t most;     /* keys, beyond which looking at everything is cheaper */
};
/* r->plan, once the query is prepared: in the arena, or NULL, where no index is of use. NOMEM. */
MUST_CHECK enum err store_plan_make(struct query_run *r, const struct list *l);
/* There is none any more: everything is looked at. */
void store_plan_leave(struct query_run *r);
/* Nothing comes any more that lies before the end of the page before, where the order is that of the index. NOMEM. */
MUST_CHECK enum err store_plan_behind(struct query_run *r);

struct plan_walk {
    struct query_run *r;
    const struct plan *plan;
    struct engine_cursor cursor;
    bool started;
    uint64_t seen, groups; /* keys; groups that were begun */
    struct key group;
};
/* By r->plan; in the arena. NOMEM. */
MUST_CHECK enum err store_plan_begin(struct query_run *r, struct plan_walk **out);
/* OK; NOTFOUND at the end; AGAIN: there were too many, or one leads nowhere; CORRUPT, IO. */
MUST_CHECK enum err store_plan_next(struct plan_walk *w, struct object *out);

/* ---- query.c --------------------------------------------------------------------------------- */

struct query_run { /* a query that is being answered */
    struct store_session *s;
    struct arena *a;
    const struct store_query *q;
    uint32_t list;
    uint64_t live;
    struct match *matches; /* all filters but those that became bounds */
    size_t nmatches;
    int64_t lo, hi;
    const struct match *ids; /* one of them, to take candidates from; or NULL */
    struct order order;
    bool has_after;
    struct entry after, probe; /* probe: the fields of the candidate that is compared with it */
    struct plan *plan;         /* or NULL */
    uint64_t before, seen; /* work done before this query; bytes of the objects it went through */
};

/* With s, a and q set: makes the rest ready. NOMEM. */
MUST_CHECK enum err store_run_prepare(struct query_run *r);
bool store_run_visible(struct query_run *r, const struct object *o); /* matches the query */
/* Of the scratch memory, and of the work. NOMEM, LIMIT. */
MUST_CHECK enum err store_run_bounds(const struct query_run *r);
bool store_run_behind(struct query_run *r, const struct object *o); /* comes after q->after */

/* ---- check.c, rules.c ------------------------------------------------------------------------ */

/*
 * A check, or a repair: the same walk by the same rules. A rule gets a key and its value (STR_NONE:
 * damaged), says what is wrong, and then writes what is right; the writes of a check do nothing.
 * In a repair both are copies, so that a rule may write and go on reading them; what it gets
 * from the store is borrowed until its next write.
 */
struct audit {
    struct store_session *s;
    bool repairing;
    bool moved;      /* written: cursors are worth nothing any more */
    unsigned writes; /* in this transaction, and their bytes */
    size_t bytes;
    const struct store_audit_options *options;
    struct store_audit_result result;
    uint64_t done, total;
    uint32_t highest_list, highest_principal; /* seen so far */
    struct list list; /* the one that is walked through (number 0: none): what its objects say */
    struct fields fields; /* n = 0: it has no indexes, or they are not made yet */
    bool fields_marked;   /* it has, or will have */
    char fields_text[STORE_MAX_INDEX_TEXT];
};

/* Tells of a problem, with the name of the list before it. */
void store_audit_problem(struct audit *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* STR_NONE when there is none, or it is damaged. CORRUPT, in a repair: a page of the index is, and
 * what is missing may well be there. */
MUST_CHECK enum err store_audit_get(struct audit *a, const struct key *k, str *value);
MUST_CHECK enum err store_audit_put(struct audit *a, const struct key *k, str value);
/* Does a key begin with k? CORRUPT as above. */
MUST_CHECK enum err store_audit_any(struct audit *a, const struct key *k, bool *yes);
/* When a cursor has come to an end: was that the end? A check tells of a damaged page, a repair cannot
 * go on: CORRUPT. */
MUST_CHECK enum err store_audit_end(struct audit *a, const struct engine_cursor *c);
/* One value under two keys, not borrowed from the view. */
MUST_CHECK enum err store_audit_put_both(struct audit *a, const struct key *k1,
                                         const struct key *k2, str value);
MUST_CHECK enum err store_audit_del(struct audit *a, str key);
MUST_CHECK enum err store_audit_del_prefix(struct audit *a, const struct key *k);
/* Says that it cannot stay, and why; and deletes it. */
MUST_CHECK enum err store_audit_drop(struct audit *a, str key, const char *why);

typedef enum err (*store_rule)(struct audit *a, str key, str value);
struct store_rule_row { /* of the keys that begin with the tag, in the order of the walk */
    enum key_tag tag;
    store_rule rule; /* NULL: the keys of lists, by the other table */
};
extern const struct store_rule_row store_rules[];
extern const size_t store_rules_count;
struct store_list_rule_row { /* of the keys 10 list sub */
    enum key_sub sub;
    store_rule rule;
};
extern const struct store_list_rule_row store_list_rules[];
extern const size_t store_list_rules_count;
/* A key that no rule knows. */
MUST_CHECK enum err store_rule_stranger(struct audit *a, str key, str value);
/* Before and behind the keys of a list. *reachable: it has a name. */
MUST_CHECK enum err store_rule_list_begin(struct audit *a, uint32_t number, bool *reachable);
MUST_CHECK enum err store_rule_list_end(struct audit *a);
/* Behind everything: the counters and the version of the layout. */
MUST_CHECK enum err store_rule_counters(struct audit *a);

/* ---- cache.c --------------------------------------------------------------------------------- */

MUST_CHECK enum err store_cache_new(size_t max_bytes, struct store_cache **out);
void store_cache_free(struct store_cache *c);

#endif
