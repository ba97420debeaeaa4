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

/* PUT with If-None-Match: * asks for the permission to create only: is the caller one who may see
 * the object that stands in the way? Every other request's own permission includes reading. */
static bool may_see(struct api_req *r)
{
    bool allowed = true;
    if (r->method == METHOD_PUT && api_may_read(r, &allowed) != OK)
        return false;
    return allowed;
}

enum api_step api_precondition(struct api_req *r, const struct store_object *object, bool exists,
                               int64_t timestamp)
{
    if (matches(r, exists, timestamp))
        return STEP_NEXT;
    str details = STR_NONE;
    if (object && may_see(r))
        details = ARENA_JOIN(r->arena, STR("{\"existing\":"), object->data, STR("}"));
    enum api_step s = api_fail_told(r, API_ERR_MODIFIED_MEANWHILE, STR_NONE, details);
    api_timestamp_headers(r, timestamp);
    return s;
}
