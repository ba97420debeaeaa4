/*
 * api/observe.c - tells observers of requests that have their answer.
 *
 * What is told says nothing that a stranger can choose, but for the ids that the path of a request
 * names (and only where it succeeded) and the user: whoever keeps these must bound them.
 */
#include "api/private.h"

void api_observe_begin(struct api_req *r)
{
    if (r->api->nobservers)
        r->began_ns = clock_mono_ns();
}

void api_observe_end(struct api_req *r)
{
    if (r->api->nobservers)
        r->took_ns = clock_mono_ns() - r->began_ns;
}

/* Of a request that found no endpoint. */
static str endpoint_of_none(const struct api_req *r)
{
    if (r->out->status == 404)
        return STR("unknown");
    return r->out->status < 400 && !api_says_version(r->raw_path) ? STR("redirect_to_version")
                                                                  : STR("unnamed");
}

#define MAX_ENDPOINT_BYTES 64

/* In `space` where it has to be made. */
static str endpoint_of(const struct api_req *r, char space[MAX_ENDPOINT_BYTES])
{
    const struct api_route *route = r->route;
    if (route == NULL)
        return endpoint_of_none(r);
    if (route->kind == KIND_NONE)
        return str_from(route->doc.endpoint ? route->doc.endpoint : route->doc.operation);
    str kind = str_from(r->api->kinds[route->kind].is.name);
    str type = route->type == TYPE_PLURAL ? STR("-plural") : STR("-object");
    CHECK(kind.n > 0 && kind.n + type.n <= MAX_ENDPOINT_BYTES);
    memcpy(space, kind.p, kind.n);
    memcpy(space + kind.n, type.p, type.n);
    return (str){space, kind.n + type.n};
}

/* Does the endpoint look who asks? (And did the request get there?) */
static bool asks_who(const struct api_req *r)
{
    int status = r->out->status;
    if (r->route == NULL || status == 405 || status == 406)
        return false;
    return r->route->type != TYPE_UTILITY || r->route->asks_who;
}

static void set_user(const struct api_req *r, struct api_finished *f)
{
    if (str_none(r->user.id))
        return;
    f->policy = r->user.policy;
    f->user = str_drop(r->user.id, r->user.policy.n + 1);
}

static void tell(const struct api_req *r, const struct api_finished *f)
{
    for (size_t i = 0; i < r->api->nobservers; i++)
        r->api->observers[i].finished(r->api->observers[i].ctx, f);
}

/* ... of the path that an alias claimed. */
static void tell_alias(const struct api_req *r, const struct api_finished *common)
{
    struct api_finished f = *common;
    f.endpoint = str_from(r->alias_endpoint);
    set_user(r, &f);
    tell(r, &f);
}

static void tell_endpoint(const struct api_req *r, const struct api_finished *common)
{
    struct api_named named[MAX_LEVELS];
    char space[MAX_ENDPOINT_BYTES];
    struct api_finished f = *common;
    f.endpoint = endpoint_of(r, space);
    f.named = named;
    if (r->route && r->route->kind != KIND_NONE && f.status < 400) {
        for (unsigned i = 0; i < r->nlevels; i++)
            named[i] =
                (struct api_named){r->api->kinds[r->levels[i].kind].is.name, r->levels[i].id};
        f.nnamed = r->nlevels;
        f.own_id = r->route->type == TYPE_OBJECT;
    }
    if (asks_who(r))
        set_user(r, &f);
    tell(r, &f);
}

static void tell_one(const struct api_req *r)
{
    const struct api_finished common = {.method = r->method,
                                        .status = r->out->status,
                                        .ns = r->took_ns,
                                        .answer_bytes = r->out->body.n};
    bool by_alias = r->alias && r->alias_endpoint;
    if (!by_alias || (r->route && !r->failed && r->out->status != 304))
        tell_endpoint(r, &common);
    if (by_alias)
        tell_alias(r, &common);
}

static void tell_parts(const struct api_req *r)
{
    for (size_t i = 0; i < api_batch_parts(r); i++) {
        const struct api_req *part = api_batch_answered(r, i);
        if (!api_was_stopped(part))
            tell_one(part);
    }
}

void api_observe_tell(struct api_req *r)
{
    if (r->api->nobservers == 0)
        return;
    api_observe_end(r);
    if (r->batch && r->out->status == 200)
        tell_parts(r);
    tell_one(r);
}

void api_observe_store(void *api, enum store_timed what, uint64_t ns)
{
    const struct api *a = api;
    for (size_t i = 0; i < a->nobservers; i++)
        if (a->observers[i].store_timed)
            a->observers[i].store_timed(a->observers[i].ctx, what, ns);
}
