/*
 * plugins/history.h - what the files of kinto.plugins.history and kinto.plugins.revisions share.
 *
 *     change.c      a change in JSON: who, when, what; both plugins write that down
 *     forget.c      ... and take out of it who is erased
 *     history.c     kinto.plugins.history: one list of changes a bucket
 *     trim.c        ... of which only the newest stay
 *     snapshot.c    ... out of which a collection is read as it was
 *     revisions.c   kinto.plugins.revisions: one list a changed object, and what was can come back
 */
#ifndef PLUGINS_HISTORY_H
#define PLUGINS_HISTORY_H

#include "plugins/private.h"

/* ---- change.c: values in the request's arena --------------------------------------------------- */

struct json *change_date(struct api_req *r); /* now; NULL: no memory */
struct json *change_user(struct api_req *r); /* null: nobody; NULL: no memory */
const char *change_action(enum api_action action);
/* Sets "data" of the object, and "permissions": {"write": [principal, ...]}, of a tombstone {}. NOMEM;
 * CORRUPT; what the store answers. */
MUST_CHECK enum err change_set_state(struct api_req *r, struct json *into,
                                     const struct store_object *o);

/* ---- forget.c --------------------------------------------------------------------------------- */

/* In all lists of the resource ("history", "revision") nothing tells of the principal any more. Calls
 * touched() (may be NULL) for the parent of each list in which something was changed. AGAIN: not in all of
 * them yet; *at is how far it has come (struct api_listener). */
MUST_CHECK enum err change_forget(struct api_req *r, str resource, str name, void **at,
                                  enum err (*touched)(struct api_req *r, str parent));

/* ---- history.c -------------------------------------------------------------------------------- */

struct history { /* the settings */
    struct arena arena;
    const str *excluded, *excluded_users;
    size_t nexcluded, nexcluded_users;
    int64_t max_count, threshold; /* max_count <= 0: everything stays */
    const str *trimmed_users;     /* none: those of everybody are trimmed */
    size_t ntrimmed_users;
};
/* The list of a bucket's entries. */
struct store_list_id history_list(str bucket_uri);

/* ---- trim.c ----------------------------------------------------------------------------------- */

struct trim_counter { /* entries of one kind of object, by one user (none: by anybody) */
    str resource, user;
    int64_t n, from;
};
struct trim { /* while entries are added, or deleted */
    bool on;
    str bucket_uri, digest;
    struct trim_counter *counters;
    size_t n;
    bool counted; /* all entries are; else those up to a time: */
    int64_t upto;
};
/* Before an entry is put into the list of the bucket, and behind it. */
MUST_CHECK enum err trim_begin(const struct history *h, struct api_req *r, str bucket_uri,
                               struct trim *t);
MUST_CHECK enum err trim_end(const struct history *h, struct api_req *r, struct trim *t,
                             const char *resource);
/* Behind the deletion of an entry; before the first of them was a trim_begin(). `last`: no other
 * follows in this transaction before a trim_begin(). */
MUST_CHECK enum err trim_deleted(const struct history *h, struct api_req *r, struct trim *t,
                                 const struct store_object *entry, bool last);
/* Entries were taken out of the list by somebody else: they are counted anew. */
MUST_CHECK enum err trim_forget(struct api_req *r, str bucket_uri);

/* ---- snapshot.c ------------------------------------------------------------------------------- */

MUST_CHECK enum err snapshot_load(struct api *a, struct history *h); /* adds the endpoint */

#endif
