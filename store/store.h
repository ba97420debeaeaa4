/*
 * store/store.h - Kinto's object model: objects in lists, their timestamps, tombstones and
 * permissions, the members of groups, and a cache of things that may be forgotten.
 *
 * A *list* is named by a resource and a parent: ("bucket", ""), ("collection", "/buckets/b"),
 * ("record", "/buckets/b/collections/c"). It has a clock of its own: `last_modified` values in
 * milliseconds, strictly increasing in the order of the writes, also across restarts and when the
 * wall clock steps back. An *object* is the JSON text that is sent to clients ("id" and
 * "last_modified" included) with its permissions. Deleting leaves a *tombstone*
 * {"id","last_modified","deleted":true}.
 *
 * Operations are whole ones (a query with its filters, sorts and page; a put with its permissions),
 * so that a backend can answer them its own way.
 *
 * A *session* is what one request sees: a snapshot for reading, or the write transaction, with its
 * own changes. Sessions belong to the thread that began them; strings and objects that come out of
 * one are valid until it ends, unless they are said to lie in the arena. Everything the
 * store allocates for a caller lies in the arena given.
 *
 * Errors common to all: NOMEM (arena or heap), CORRUPT, IO and NOSPACE (the backend), LIMIT (an object or a
 * transaction too large). After a write that failed with any of these nothing more is written in
 * the session: end it by store_abort (store_commit would abort as well, and report the error).
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/settings.h"
#include "json/json.h"

struct store;
struct store_thread; /* a loop's place among the readers */
struct store_session;

/* ---- the store ------------------------------------------------------------------------------- */

/*
 * Fields of the records of a collection that are kept in order, so that a query that asks for a few of many need
 * not look at all of them: "a, b+c" is an index of a, and one of b and, where that is equal, of c. A query is
 * answered by one when it gives the first fields of it (EQ), and perhaps bounds of the next one or the order
 * by it; last_modified stands behind the last. The answer is the same with and without.
 */
struct store_declared {
    str bucket, collection, fields; /* words with commas or white space between them */
};
#define STORE_MAX_DECLARED     64
#define STORE_MAX_INDEXES      8 /* of a collection */
#define STORE_MAX_INDEX_FIELDS 4
#define STORE_MAX_INDEX_TEXT   1000 /* bytes of `fields` */
/* SYNTAX, LIMIT: *why, static text. */
MUST_CHECK enum err store_declared_check(const struct store_declared *d, const char **why);

struct store_options {
    const char *dir;        /* NULL: memory, nothing is kept */
    size_t cache_max_bytes; /* of store_cache_*; 0: 512 KiB (kinto.cache_max_size_bytes) */
    /* engine_options.cache_bytes and .changed_bytes; 0: a part of memory_bytes, and the engine's */
    size_t page_memory_bytes;
    uint64_t memory_bytes;     /* that the process may use (os_memory_limit); 0: nobody knows */
    uint64_t checkpoint_bytes; /* engine_options; 0: the engine's */
    bool new_index;            /* as in engine_options */
    /* Indexes that are missing are made before store_open comes back (a million records: some seconds), others
     * that are there go. as_is: nothing of that, for who only looks. */
    struct store_declared
        declared[STORE_MAX_DECLARED]; /* what they point to is borrowed until then */
    unsigned ndeclared;
    bool as_is;
};

struct store_opened { /* for the line that start prints */
    uint64_t txns, bytes, torn_bytes, ms;
};

MUST_CHECK enum err store_open(struct store **out, const struct store_options *options,
                               struct store_opened *opened, struct err_detail *detail);
void store_close(struct store *s);         /* waits for what was committed */
bool store_healthy(const struct store *s); /* false: writes are refused (heartbeat) */

/* Gives the space of everything that does not live any more back, at once; before and after (bytes
 * of log) may be told. NOSPACE (a copy of what lives needs room), IO, NOMEM, CORRUPT, FAILED. */
MUST_CHECK enum err store_compact(struct store *s, uint64_t *before, uint64_t *after);

MUST_CHECK enum err store_thread_new(struct store *s, struct store_thread **out);
void store_thread_free(struct store_thread *t);

/* ---- what takes how long, for who measures --------------------------------------------------- */

/* X(constant, backend, operation). The names are the reference's for what does the same. */
#define STORE_TIMED_TABLE(X)                                                                       \
    X(GET, "storage", "get")                                                                       \
    X(CREATE, "storage", "create")                                                                 \
    X(UPDATE, "storage", "update")                                                                 \
    X(DELETE, "storage", "delete")                                                                 \
    X(DELETE_BELOW, "storage", "delete_all")                                                       \
    X(LIST, "storage", "list_all")                                                                 \
    X(TIMESTAMP, "storage", "resource_timestamp")                                                  \
    X(FLUSH, "storage", "flush")                                                                   \
    X(ACL_LIST, "permission", "get_object_permissions")                                            \
    X(ACL_SET, "permission", "replace_object_permissions")                                         \
    X(SHARED_LISTS, "permission", "get_accessible_objects")                                        \
    X(GROUPS_OF, "permission", "get_user_principals")                                              \
    X(CACHE_GET, "cache", "get")                                                                   \
    X(CACHE_SET, "cache", "set")                                                                   \
    X(CACHE_DELETE, "cache", "delete")                                                             \
    X(CACHE_FLUSH, "cache", "flush")

enum store_timed {
#define X(name, backend, operation) STORE_TIMED_##name,
    STORE_TIMED_TABLE(X)
#undef X
        STORE_TIMED_COUNT
};

struct store_observer {
    void *ctx;
    /* An operation has ended, also with an error; on its thread. Must not call the store. */
    void (*timed)(void *ctx, enum store_timed what, uint64_t ns);
};
/* One, copied, before the first thread of the store; NULL takes it away, behind the last one. Without
 * one nothing is measured. */
void store_observe(struct store *s, const struct store_observer *o);

/* ---- sessions -------------------------------------------------------------------------------- */

/* A snapshot of what is durable. `arena` is borrowed until the end and holds the session itself.
 * NOMEM. */
MUST_CHECK enum err store_read_begin(struct store_thread *t, struct arena *arena,
                                     struct store_session **out);
void store_read_end(struct store_session *s);

/* The write transaction: waits for its turn, microseconds. AGAIN: the disk is behind, tell the client to
 * retry. NOSPACE: the disk is full. FAILED: the engine refuses writes. Nothing that waits for others until
 * it ends.
 */
MUST_CHECK enum err store_write_begin(struct store_thread *t, struct arena *arena,
                                      struct store_session **out);
/* The same for who can wait until the engine has written down what it holds in memory, where that says
 * AGAIN. */
MUST_CHECK enum err store_write_wait(struct store_thread *t, struct arena *arena,
                                     struct store_session **out);
/* Ends it; done(arg, result) is called once all that it wrote or saw is durable (or will not be),
 * on another thread or before this returns. done must not block. The session is gone at return. */
void store_commit(struct store_session *s, void (*done)(void *arg, enum err result), void *arg);
/* The same, but it may wait for others of this thread until store_commits_go(), which must follow soon: then they
 * are made durable together. */
void store_commit_soon(struct store_session *s, void (*done)(void *arg, enum err result),
                       void *arg);
void store_commits_go(struct store_thread *t);
/* As store_commit for who can wait, and has no loop to go on with: returns the result. */
MUST_CHECK enum err store_commit_wait(struct store_session *s);
void store_abort(struct store_session *s);
bool store_is_writing(const struct store_session *s);
/* For who remembers, beyond the session, what groups a principal is in and what number it has: sessions
 * that have the same answer agree on that. STORE_NO_MARK: what this one has found may not be remembered, nor
 * anything that is counts here. */
#define STORE_NO_MARK UINT64_MAX
uint64_t store_names_mark(const struct store_session *s);

/* ---- permissions ----------------------------------------------------------------------------- */

/* X(constant, name). Stored by their bit: new ones go to the end. */
#define STORE_PERM_TABLE(X)                                                                        \
    X(READ, "read")                                                                                \
    X(WRITE, "write")                                                                              \
    X(COLLECTION_CREATE, "collection:create")                                                      \
    X(GROUP_CREATE, "group:create")                                                                \
    X(RECORD_CREATE, "record:create")                                                              \
    X(BUCKET_CREATE, "bucket:create")                                                              \
    X(ACCOUNT_CREATE, "account:create")

enum store_perm_bit {
#define X(name, text) STORE_PERM_BIT_##name,
    STORE_PERM_TABLE(X)
#undef X
        STORE_PERM_COUNT
};
enum store_perm { /* a set of these is an `unsigned` */
#define X(name, text) STORE_PERM_##name = 1u << STORE_PERM_BIT_##name,
                  STORE_PERM_TABLE(X)
#undef X
};
str store_perm_name(enum store_perm one);
unsigned store_perm_from_name(str name); /* 0: no such permission */

struct store_ace { /* one principal and all that it may do */
    str principal;
    unsigned perms;
};

/* The caller's principals, looked up once a request. */
struct store_principals {
    const str *names; /* borrowed */
    size_t count;
    const uint32_t *ids; /* the store's numbers for them: rising, each once; */
    size_t nids;         /* none for a name that the store has never seen, */
    bool unseen;         /* and there is such a name */
};
MUST_CHECK enum err store_principals_resolve(struct store_session *s, struct arena *a,
                                             const str *names, size_t n,
                                             struct store_principals *out);

struct store_list_id {
    str resource, parent;
};

/* The list with the least number that is not below *number, which becomes its own; borrowed as objects
 * are. To see all of them begin with 1, and go on with the number and 1. NOTFOUND: there is none. */
MUST_CHECK enum err store_list_next(struct store_session *s, uint32_t *number,
                                    struct store_list_id *out);

struct store_counts {
    uint64_t objects, tombstones;
};
/* What all lists of each of `n` resources hold together. Looks at each list there is, and at no object. */
MUST_CHECK enum err store_count(struct store_session *s, const str *resources, size_t n,
                                struct store_counts *out);

/* The lists in which one of the principals holds a permission on an object, in no order that means
 * something (in the arena; *out may be NULL when *n is 0). */
MUST_CHECK enum err store_shared_lists(struct store_session *s, struct arena *a,
                                       const struct store_principals *p,
                                       const struct store_list_id **out, size_t *n);

/* One of these lists after the other, by their numbers, as store_list_next does it, in the memory of one:
 * for who changes what is shared meanwhile. The name is borrowed while reading, in the arena while
 * writing. */
MUST_CHECK enum err store_shared_list_next(struct store_session *s, struct arena *a,
                                           const struct store_principals *p, uint32_t *number,
                                           struct store_list_id *out);

/* Nothing is kept of a principal that holds no permission any more, not even its name. EXISTS: it
 * holds some. OK also when it was never seen. */
MUST_CHECK enum err store_principal_forget(struct store_session *s, str name);

/* ---- objects --------------------------------------------------------------------------------- */

struct store_object {
    str id;
    int64_t last_modified;
    bool deleted; /* a tombstone */
    str data;     /* compact JSON text of one object */
    str acl;      /* encoded permissions: for the store_acl functions only */
};

/* Its data as a value. NOMEM; CORRUPT: what is stored is no JSON. */
MUST_CHECK enum err store_data(struct arena *a, const struct store_object *o, struct json **out);

/* An object; NOTFOUND: never there, or deleted. */
MUST_CHECK enum err store_get(struct store_session *s, struct arena *a, struct store_list_id list,
                              str id, struct store_object *out);
/* What a deletion left; NOTFOUND: it is there, or never was. */
MUST_CHECK enum err store_get_tombstone(struct store_session *s, struct arena *a,
                                        struct store_list_id list, str id,
                                        struct store_object *out);

/* True if one of the principals holds one of the permissions (a set) on the object. */
bool store_acl_allows(const struct store_object *o, const struct store_principals *p,
                      unsigned perms);
/* All (a set) that the principals hold on it. */
unsigned store_acl_held(const struct store_object *o, const struct store_principals *p);
/* All of an object's permissions, one entry a principal. */
MUST_CHECK enum err store_acl_list(struct store_session *s, struct arena *a,
                                   const struct store_object *o, const struct store_ace **out,
                                   size_t *n);

struct store_put {
    str id;                       /* valid for its resource; at most STORE_MAX_ID_BYTES */
    const struct json *data;      /* an object; its "id" and "last_modified" are ignored */
    const int64_t *last_modified; /* asked for by the client, or NULL */
    const struct store_ace *acl;  /* replaces all permissions; NULL: keep what there are */
    size_t nacl;
};
#define STORE_MAX_ID_BYTES  4096
#define STORE_MAX_TIMESTAMP (INT64_MAX / 2) /* either side of 0: a clock never reaches its end */

/*
 * Creates or replaces (a tombstone of that id goes away). The time given by `last_modified`: on
 * creation any value is taken as it is, and the list's clock moves when the value is ahead; equal
 * to the clock it becomes clock + 1 (a list that was never asked for its clock has clock 0). On an
 * update a value not greater than the object's is ignored; a greater one is taken by the same
 * rules. When ignored, and when NULL, the time is max(now, clock + 1). `out` (in the arena) shows
 * the object as stored: the fields of `data`, then "id" and "last_modified".
 * SYNTAX: an id that is no UTF-8, or would need an escape in JSON; LIMIT: an id or parent that is
 * too long; RANGE: a time over STORE_MAX_TIMESTAMP: nothing was changed, the session goes on.
 */
MUST_CHECK enum err store_put(struct store_session *s, struct arena *a, struct store_list_id list,
                              const struct store_put *put, struct store_object *out);

/* Changes permissions only: no new timestamp. NOTFOUND. */
MUST_CHECK enum err store_set_acl(struct store_session *s, struct arena *a,
                                  struct store_list_id list, str id, const struct store_ace *acl,
                                  size_t nacl);

/* Changes the data only: no new timestamp, so nobody who synchronises learns of it. NOTFOUND. */
MUST_CHECK enum err store_set_data(struct store_session *s, struct arena *a,
                                   struct store_list_id list, str id, const struct json *data);

/* Deletes one object and its permissions, leaving a tombstone (`out`, in the arena). last_modified:
 * as for an update. NOTFOUND. */
MUST_CHECK enum err store_delete(struct store_session *s, struct arena *a,
                                 struct store_list_id list, str id, const int64_t *last_modified,
                                 struct store_object *out);

/* Deletes one object and its permissions without a tombstone: as if it had never been there, but that
 * the list's clock stays. For what nobody synchronises. NOTFOUND. */
MUST_CHECK enum err store_forget(struct store_session *s, struct arena *a,
                                 struct store_list_id list, str id);

/* Everything below an object that goes away: all lists whose parent is `uri` or begins with `uri` +
 * "/", with their objects, tombstones, permissions and clocks, and the memberships of `uri` itself
 * (when it is a group) and of groups below it. */
MUST_CHECK enum err store_delete_below(struct store_session *s, str uri);

/*
 * Deletes old tombstones: of each list of one of the resources all but the `keep` newest. Begins
 * sessions of its own, one after the other, and waits for each to be durable, so it may take long
 * but needs little memory, and what is deleted stays deleted if it fails in the middle: called again
 * it does the rest. The lists' clocks stay. *count grows by the tombstones deleted, also when it
 * fails. CORRUPT: a list's count is wrong.
 */
MUST_CHECK enum err store_purge_deleted(struct store_thread *t, const str *resources, size_t n,
                                        uint64_t keep, uint64_t *count);

/* Everything (flush), but for the cache. */
MUST_CHECK enum err store_delete_everything(struct store_session *s);

/* ---- lists ----------------------------------------------------------------------------------- */

/*
 * The list's clock. A list that was never written nor read has none: it gets one (now) in a write
 * session, and is kept from then on; in a read session that is AGAIN: begin a write session and ask
 * again.
 */
MUST_CHECK enum err store_timestamp(struct store_session *s, struct store_list_id list,
                                    int64_t *out);

/* What is compared with what, "x" being the operator's value. Times are compared as the numbers
 * that they are; x as an integer on the field "id" means its digits. */
enum store_op {
    STORE_EQ,      /* equal to x (json_equal); absent never matches */
    STORE_NOT,     /* not equal; absent matches */
    STORE_LT,      /* these four by json_compare; absent is the greatest */
    STORE_GT,      /* > */
    STORE_MIN,     /* >= */
    STORE_MAX,     /* <= */
    STORE_IN,      /* equal to an item of x, an array; absent never matches */
    STORE_EXCLUDE, /* to none of them; absent matches */
    STORE_LIKE,    /* x: a string, in which '*' is anything; without one it may be anywhere. Ignores
                      case (fold.def). Matches strings only */
    STORE_HAS,     /* x: true (present, null counts) or false (absent) */
    STORE_CONTAINS,    /* holds all items of x, an array. What a field holds: the items of an array,
                          the characters of a string, the names in an object; others nothing */
    STORE_CONTAINS_ANY /* holds one of them */
};

struct store_filter {
    str field; /* "a.b.c": the longest literal name wins at each level; arrays are not entered */
    enum store_op op;
    const struct json *value;
};

struct store_sort {
    str field;
    bool descending;
};

struct store_query {
    const struct store_filter *filters; /* all must match */
    size_t nfilters;
    /* The order by json_compare of the fields, absent last (first when descending); nothing given:
     * last_modified, descending. Objects that are equal in all of them are ordered by id, in the
     * direction of the last one. */
    const struct store_sort *sort;
    size_t nsort;
    /* NULL, or an object with the sort fields of the last object of the page before (absent ones
     * left out; a name with dots is one literal name): only what is behind it in the order. With
     * its "id", too, nothing is left out and nothing given twice, whatever is equal; without it,
     * objects that equal it in all the fields are not behind it. */
    const struct json *after;
    size_t limit; /* most objects returned; 0: all */
    /* Or when they have so many bytes together, but one at least, if they are ordered by last_modified alone:
     * for who goes through a list in a write transaction, where each is a copy. 0: however many. */
    size_t enough_bytes;
    bool tombstones; /* tombstones, too (never counted, never with shared_with) */
    const struct store_principals *shared_with; /* NULL: everything; else only objects on which one
                                                   of them holds one of shared_perms */
    unsigned shared_perms;
    bool bare;       /* ids and times alone, which lie in the arena: no data, no permissions */
    bool want_total; /* fill total: objects (no tombstones) that match, regardless of after and
                        limit */
};

struct store_result {
    struct store_object *objects; /* in the arena; their text may lie in the session */
    size_t count;
    bool more; /* there are matching ones behind these */
    uint64_t total;
};

/* What looking for fields, comparing and matching may take in one query: so many bytes, or ten times those
 * of the objects that it goes through, whatever is more. */
#define STORE_WORK_MAX (512 * MIB)
uint64_t store_work(const struct store_session *s); /* of all queries of the session so far */
/* When that has become more, queries of this session answer TIMEOUT (store_gave_up): for who would rather have
 * them done elsewhere. 0: whatever it takes. */
void store_work_at_most(struct store_session *s, uint64_t most);
/* And when that becomes true. */
void store_work_until(struct store_session *s, const _Atomic bool *stop);
bool store_gave_up(const struct store_session *s);
/* And each time that so much was done, `rest` is called: for who lets others go first. */
void store_work_rests(struct store_session *s, uint64_t every, void (*rest)(void *ctx), void *ctx);
/* A list that does not exist is empty. LIMIT: too much work. */
MUST_CHECK enum err store_query(struct store_session *s, struct arena *a, struct store_list_id list,
                                const struct store_query *q, struct store_result *out);

/*
 * One object after the other, of any length of list, in the memory of one (and of a place for each principal
 * that holds something in the list, taken from the arena in store_walk_list and used again for the
 * next): for who looks at all of them. Nothing may be written while it lasts.
 *
 *     store_walk_new(s, a, &who, &w);
 *     store_walk_list(w, list);
 *     while ((e = store_walk_next(w, &object)) == OK) ...        NOTFOUND: that was the last one
 */
struct store_walk;
/* shared_with: NULL, or the walk gives only objects on which one of them holds something, found
 * without a look at the others. NOMEM. */
MUST_CHECK enum err store_walk_new(struct store_session *s, struct arena *a,
                                   const struct store_principals *shared_with,
                                   struct store_walk **out);
/* Goes to the beginning of a list; one that does not exist is empty. */
MUST_CHECK enum err store_walk_list(struct store_walk *w, struct store_list_id list);
/* The next object, borrowed from the session until the next call. */
MUST_CHECK enum err store_walk_next(struct store_walk *w, struct store_object *out);

/*
 * A query over rows that the caller makes, for lists that are stored nowhere. A row is the compact
 * text of a JSON object without "last_modified" (no filter may ask for it); the sort fields must
 * tell any two rows apart. Memory for the rows of one page, whatever the number of those that are
 * added. Of the query `tombstones` and `shared_with` have no meaning; the query lives as long as
 * the selection.
 */
struct store_selection;
MUST_CHECK enum err store_select_new(struct store_session *s, struct arena *a,
                                     const struct store_query *q, struct store_selection **out);
/* Can a row match that has these values in the fields `known`? False: none of them need be added. */
bool store_select_may(struct store_selection *sel, str row, const str *known, size_t n);
MUST_CHECK enum err store_select_add(struct store_selection *sel, str row); /* is copied */
/* The page: of each object only `data` is set. Nothing can be added any more. */
MUST_CHECK enum err store_select_end(struct store_selection *sel, struct store_result *out);

/* The field of an object as the filters see it (for sort keys in page tokens), a slice of `data`;
 * false: absent. The arena is for scratch. */
bool store_field(struct arena *a, str data, str field, struct json_raw *out);

/* ---- groups ---------------------------------------------------------------------------------- */

/* The members of a group, replacing those it had (n = 0: it has none, or goes away). A member is a
 * principal; `uri` becomes one of its principals. LIMIT: no such URI can be. */
MUST_CHECK enum err store_group_set(struct store_session *s, str uri, const str *members, size_t n);
/* The groups that a principal is a member of (in the arena; *uris may be NULL when *n is 0). */
MUST_CHECK enum err store_groups_of(struct store_session *s, struct arena *a, str principal,
                                    const str **uris, size_t *n);
/* Of a look-up that its caller remembers the answer of (store_names_mark): the observer is told all the same. */
void store_groups_recalled(struct store_session *s);

/* ---- notes ----------------------------------------------------------------------------------- */

/*
 * Small values that somebody above keeps at the URIs of objects, and that follow from them: sums,
 * say. Each belongs to a name (of whoever keeps it; static text). They are written in the
 * transactions that change the objects, so they are as durable and as exact as these. What lies
 * below something that goes away (store_delete_below) loses its notes, too; that of the thing itself
 * is its keeper's to delete, who may want to read it first.
 *
 * Before the first change of objects a process claims the names that it keeps up (before others
 * have sessions; the store remembers the pointer). *current: the notes are right. False: there never
 * were any, or objects have been changed since by a process that did not keep them up (or by a
 * repair). Then all notes of the name have been deleted: they are made anew, and with the last of
 * them goes a store_notes_settle(). Until it is durable nothing counts as made.
 *
 * Claiming begins sessions of its own where notes are deleted, and waits for each. LIMIT: too many
 * names.
 */
#define STORE_MAX_NOTE_NAME 32
MUST_CHECK enum err store_notes_claim(struct store_thread *t, const char *name, bool *current);
MUST_CHECK enum err store_notes_settle(struct store_session *s, const char *name);
/* `value` as it was put: borrowed while reading, in the arena while writing. NOTFOUND; LIMIT: no such
 * URI can be. */
MUST_CHECK enum err store_note_get(struct store_session *s, struct arena *a, str uri,
                                   const char *name, str *value);
MUST_CHECK enum err store_note_put(struct store_session *s, str uri, const char *name, str value);
MUST_CHECK enum err store_note_delete(struct store_session *s, str uri, const char *name);

/* ---- cache: forgets when full, when the time is over, and at a restart. Any thread. ---------- */

/* OK also when it is too large to be kept. NOMEM. */
MUST_CHECK enum err store_cache_set(struct store *s, str key, str value, uint64_t ttl_ms);
bool store_cache_get(struct store *s, struct arena *a, str key, str *value); /* a copy */
bool store_cache_delete(struct store *s, str key); /* true: it was there */
void store_cache_flush(struct store *s);

/* ---- check and repair ------------------------------------------------------------------------ */

struct store_audit_options { /* each may be NULL */
    /* What is wrong, on one line of printable text; valid during the call. Neither may use the
     * session or its arena. */
    void (*problem)(void *arg, const char *text);
    /* Every now and then: keys that were looked at, and how many there are (about). */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};

struct store_audit_result {
    uint64_t lists, objects, tombstones; /* that are sound */
    uint64_t problems;
};

/*
 * Holds everything that is kept against "What must hold" in doc/keys.md. Reads every key once and
 * what belongs to it, with the memory of a few objects. OK also when there are problems: *out
 * counts them. IO, NOMEM: it could not go on.
 */
MUST_CHECK enum err store_check(struct store_session *s, const struct store_audit_options *o,
                                struct store_audit_result *out);

/*
 * Makes it hold again after damage, by the same walk: each problem is told, and then mended. The truth are
 * the objects themselves, the names of lists and principals, and the memberships; what follows from them
 * (the order of time, sharing, counts, clocks) is written anew where it differs. What cannot be read is
 * deleted: an object that is damaged, a permission of a principal that nobody can name any more; the older
 * of two lists of one name, too. A list that has objects, but no name, becomes one of the resource
 * STORE_LOST, below a parent of its own. Begins sessions of its own, none of them large, and waits for
 * each. Nobody else may write meanwhile. When it fails in the middle, begin again. CORRUPT: the index of
 * the engine is damaged, so that what is not found may well be there; it is made anew from the log first.
 * *out counts what was found; store_check finds nothing afterwards.
 */
#define STORE_LOST "lost"
MUST_CHECK enum err store_repair(struct store_thread *t, const struct store_audit_options *o,
                                 struct store_audit_result *out);

/* ---- settings -------------------------------------------------------------------------------- */

extern const struct setting_table store_settings;

/* A backend that is not there: UNSUPPORTED, with file and line in the detail. */
MUST_CHECK enum err store_settings_check(const struct settings *s, struct err_detail *d);
/* The options for store_open, but for what is no setting; the directory is borrowed from s. UNSUPPORTED: no usable
 * path. */
MUST_CHECK enum err store_options_load(struct store_options *o, const struct settings *s,
                                       struct err_detail *d);

#endif
