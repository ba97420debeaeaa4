/*
 * plugins/revisions.h - what the files of kinto.plugins.revisions share:
 *     revisions.c       what is kept, and how long: the listener
 *     revisions_read.c  what is answered: the functions of the kind
 */
#ifndef PLUGINS_REVISIONS_H
#define PLUGINS_REVISIONS_H

#include "plugins/history.h"

/* ---- revisions.c ------------------------------------------------------------------------------ */

struct revision_state { /* of an object */
    const struct store_object *object;
    const char *action;
    struct json *date, *user;
};
/* The entry of a state, without id and time. NOMEM, CORRUPT. */
MUST_CHECK enum err revision_entry(struct api_req *r, const struct revision_state *s,
                                   struct json **out);
str revision_id(struct arena *a,
                int64_t time); /* of the entry of a state of that time; none: NOMEM */
/* The newest entry, if there is one (newest->count), and the number of all. */
MUST_CHECK enum err revisions_newest(struct api_req *r, struct store_list_id list,
                                     struct store_result *newest);
/* Is that state the one that the newest entry tells of? */
bool revision_is_known(const struct store_result *newest, const struct store_object *state);
bool revision_is(const struct store_object *entry, const char *action);
/* Does the newest entry know of no deletion? */
bool revisions_end_alive(const struct store_result *newest);

/* ---- revisions_read.c: see struct api_resource ------------------------------------------------- */

enum err revisions_find(void *ctx, struct api_req *r, struct store_list_id list, str id,
                        struct store_object *out);
enum api_step revisions_enter(void *ctx, struct api_req *r);
enum err revisions_show(void *ctx, struct api_req *r, const struct store_object *o, bool listed,
                        struct api_shown *out);
enum api_step revisions_restore(void *ctx, struct api_req *r);

#endif
