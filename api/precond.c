/*
 * api/precond.c - If-Match and If-None-Match (RFC 9110, 13.1), as the reference reads them: a tag
 * is compared for equality, a list always exists, and GET honours If-Match, too.
 */
#include "api/private.h"

enum api_step api_not_modified(struct api_req *r, int64_t timestamp)
{
    if (r->if_none_match.kind != TAG_VALUE || r->if_none_match.value != timestamp)
        return STEP_NEXT;
    r->out->nheaders = 0;
    r->out->status = 304;
    r->out->body = STR("");
    api_timestamp_headers(r, timestamp);
    return STEP_DONE;
}

/* True if the request's tags let it go on. */
static bool matches(const struct api_req *r, bool exists, int64_t timestamp)
{
    if (r->if_none_match.kind == TAG_ANY && exists)
        return false;
    if (r->if_match.kind != TAG_NONE && !exists)
        return false;
    return r->if_match.kind != TAG_VALUE || r->if_match.value == timestamp;
}

/* Is the caller somebody who may see the object that stands in the way? */
static bool may_see(struct api_req *r, const struct store_object *o)
{
    if (r->route->type == TYPE_PLURAL || r->method != METHOD_PUT)
        return true; /* the permission for the request itself included reading it */
    if (store_acl_allows(o, &r->who, STORE_PERM_READ | STORE_PERM_WRITE))
        return true;
    for (unsigned i = 0; i + 1 < r->nlevels; i++)
        if (api_level_load(r, i) == OK && r->levels[i].state == LEVEL_PRESENT &&
            store_acl_allows(&r->levels[i].object, &r->who, STORE_PERM_READ | STORE_PERM_WRITE))
            return true;
    return false;
}

enum api_step api_precondition(struct api_req *r, const struct store_object *object, bool exists,
                               int64_t timestamp)
{
    if (matches(r, exists, timestamp))
        return STEP_NEXT;
    str details = STR_NONE;
    if (object && may_see(r, object))
        details = arena_printf(r->arena, "{\"existing\":" STR_FMT "}", STR_ARG(object->data));
    enum api_step s = api_fail_details(r, API_ERR_MODIFIED_MEANWHILE, details);
    api_timestamp_headers(r, timestamp);
    return s;
}
