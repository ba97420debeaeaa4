/*
 * api/events.c - what follows from a change, in the same transaction: the members of a group gain
 * or lose it as a principal, and what lies below a bucket or collection goes away with it.
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

static str object_uri(struct api_req *r, str id)
{
    return ARENA_JOIN(r->arena, api_list_uri(r), STR("/"), id);
}

enum err api_after_write(struct api_req *r, str id, const struct json *data)
{
    if (r->route->kind != KIND_GROUP)
        return OK;
    str uri = object_uri(r, id);
    if (arena_failed(r->arena))
        return ERR_NOMEM;
    return set_members(r, uri, json_get_typed(data, STR("members"), JSON_ARRAY));
}

enum err api_after_delete(struct api_req *r, str id)
{
    if (r->route->kind == KIND_RECORD) /* nothing depends on it */
        return OK;
    str uri = object_uri(r, id);
    if (arena_failed(r->arena))
        return ERR_NOMEM;
    return r->route->kind == KIND_GROUP ? set_members(r, uri, NULL)
                                        : store_delete_below(r->session, uri);
}
