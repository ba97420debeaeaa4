/*
 * api/events.c - what follows from a change, in the same transaction: the members of a group gain
 * or lose it as a principal, what lies below a bucket or collection goes away with it, and the
 * plugins that listen are told.
 */
#include "api/private.h"

static enum err set_members(struct api_req *r, str uri, const struct json *members)
{
    size_t n = members ? json_count(members) : 0;
    str *names = ARENA_NEW_ARRAY(r->arena, str, n + 1);
    if (names == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        names[i] = json_string(json_at(members, i));
    return store_group_set(r->session, uri, names, n);
}

/* What the core itself does. */
static enum err follow(struct api_req *r, const struct api_change *c, const struct json *data)
{
    bool gone = c->action == ACTION_DELETE;
    if (c->kind == KIND_GROUP)
        return set_members(r, c->uri,
                           gone ? NULL : json_get_typed(data, STR("members"), JSON_ARRAY));
    bool holds = c->kind == KIND_BUCKET || c->kind == KIND_COLLECTION;
    return gone && holds ? store_delete_below(r->session, c->uri) : OK;
}

bool api_is_listened_to(const struct api_req *r)
{
    return r->api->nlisteners > 0;
}

/* Its text lies in the session, where the change may move it. */
static enum err keep_old(struct api_req *r, const struct store_object *old, struct api_change *c)
{
    struct store_object *copy = ARENA_NEW(r->arena, struct store_object);
    if (copy == NULL)
        return ERR_NOMEM;
    *copy = *old;
    copy->data = arena_str(r->arena, old->data);
    copy->acl = arena_str(r->arena, old->acl);
    c->old = copy;
    return arena_failed(r->arena) ? ERR_NOMEM : OK;
}

static enum err find_deleted(struct api_req *r, struct api_change *c)
{
    struct store_object tombstone;
    enum err e = store_get_tombstone(r->session, r->arena, c->list, c->id, &tombstone);
    if (e == OK)
        c->deleted_at = tombstone.last_modified;
    return e == ERR_NOTFOUND ? OK : e;
}

enum err api_change_begin(struct api_req *r, enum api_kind kind, struct store_list_id list, str id,
                          const struct store_object *old, struct api_change *c)
{
    const struct api_resource *resource = &r->api->kinds[kind].is;
    *c = (struct api_change){.action = old ? ACTION_UPDATE : ACTION_CREATE,
                             .kind = kind,
                             .resource = resource->name,
                             .list = list,
                             .id = id,
                             .deleted_at = INT64_MIN};
    if (kind == KIND_RECORD && !api_is_listened_to(r))
        return OK; /* nobody wants to know more */
    c->uri = ARENA_JOIN(r->arena, list.parent, STR("/"), str_from(resource->plural), STR("/"), id);
    if (str_none(c->uri) || !api_is_listened_to(r))
        return str_none(c->uri) ? ERR_NOMEM : OK;
    return old ? keep_old(r, old, c) : find_deleted(r, c);
}

enum api_step api_change_end(struct api_req *r, struct api_change *c,
                             const struct store_object *now, const struct json *data)
{
    c->now = now;
    if (now->deleted)
        c->action = ACTION_DELETE;
    enum err e = follow(r, c, data);
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = STEP_NEXT;
    for (size_t i = 0; s == STEP_NEXT && i < r->api->nlisteners; i++)
        s = r->api->listeners[i].changed(r->api->listeners[i].ctx, r, c);
    if (s != STEP_DONE || api_undoes(r->out->status))
        return s;
    log_event(LOG_ERROR, "listener", "status=%d kind=%s", r->out->status, c->resource);
    return api_fail(r, API_ERR_INTERNAL); /* an answer that would keep half of the change */
}
