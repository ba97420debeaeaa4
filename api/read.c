/*
 * api/read.c - GET and HEAD of lists and objects.
 */
#include "api/private.h"

enum api_step api_list_timestamp(struct api_req *r, int64_t *timestamp)
{
    enum err e = store_timestamp(r->session, r->list, timestamp);
    if (e == ERR_AGAIN)
        return STEP_WRITE; /* the first look gives the list its clock */
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

void api_total_headers(struct api_req *r, uint64_t total)
{
    str text = arena_printf(r->arena, "%llu", (unsigned long long)total);
    http_header_add(r->out, STR("Total-Objects"), text);
    http_header_add(r->out, STR("Total-Records"), text);
}

static enum api_step count(struct api_req *r, struct api_page *page)
{
    struct store_result result;
    page->query.want_total = true;
    page->query.limit = 1;
    enum err e = store_query(r->session, r->arena, r->list, &page->query, &result);
    if (e != OK)
        return api_fail_err(r, e);
    api_total_headers(r, result.total);
    return api_reply_list(r, NULL, 0);
}

enum api_step api_get_plural(struct api_req *r)
{
    int64_t timestamp;
    enum api_step s = api_list_timestamp(r, &timestamp);
    if (s == STEP_NEXT)
        s = api_not_modified(r, timestamp);
    if (s == STEP_NEXT)
        s = api_precondition(r, NULL, true, timestamp);
    if (s != STEP_NEXT)
        return s;
    api_timestamp_headers(r, timestamp);
    api_cache_header(r);
    r->list_clock = timestamp;

    struct api_page page;
    s = api_page_build(r, &page);
    if (s != STEP_NEXT)
        return s;
    if (r->method == METHOD_HEAD)
        return count(r, &page);
    struct store_result result;
    enum err e = store_query(r->session, r->arena, r->list, &page.query, &result);
    if (e != OK)
        return api_fail_err(r, e);
    s = api_page_next(r, &page, &result);
    return s == STEP_NEXT ? api_reply_list(r, result.objects, result.count) : s;
}

enum api_step api_require_object(struct api_req *r)
{
    if (!api_valid_id_of(r, r->route->kind, r->id))
        return api_fail_invalid(r, "path", STR_NONE, STR("Invalid object id"));
    if (!r->exists)
        return api_fail_missing(r, API_ERR_MISSING_OBJECT, r->id, api_kind_of(r)->is.name);
    return STEP_NEXT;
}

enum api_step api_get_object(struct api_req *r)
{
    enum api_step s = api_require_object(r);
    if (s == STEP_NEXT)
        s = api_not_modified(r, r->object.last_modified);
    if (s == STEP_NEXT)
        s = api_precondition(r, &r->object, true, r->object.last_modified);
    if (s != STEP_NEXT)
        return s;
    api_timestamp_headers(r, r->object.last_modified);
    api_cache_header(r);
    return api_reply_object(r, 200, &r->object);
}
