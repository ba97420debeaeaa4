/*
 * api/limit.c - how many requests a client address and a user may make, and how many wrong credentials may
 * come from an address: 429 with Retry-After for what goes over (kinto.rate_limit.*, off by default).
 *
 *   address    looked at when the head of a request is there: before its body is read, and before any work
 *   failures   counted when it is known that credentials are nobody's; who is over it gets no answer to those
 *              that he brings, right or wrong. So whatever keeps them from being looked at is no failure, and
 *              those that are being looked at stand in nobody's way. Many guesses at once may all begin, but
 *              their outcome is told to no more than the limit has room for, and of those that wait for a hash
 *              none is begun any more when there is none (work.c)
 *   user       counted when it is known who asks, from wherever, exempt addresses too
 *
 * A batch is one request of its address; of its user it is one, and one for each of its parts. It is
 * refused when there is no room for its first one; the others are counted and let through, and what comes
 * behind it waits for them. So it is never half done, and never too large to ever pass. Parts with other
 * credentials than the batch's own are judged like requests of their own, and one of them that is over the
 * limit stops the whole batch before anything of it is done.
 *
 * The steps run again when work was waited for (work.c): what was counted in an earlier run is not looked at
 * again. Requests that are identified come in the same order each time, so their number tells.
 */
#include "api/private.h"
#include "base/map.h"

#define NS_PER_SECOND UINT64_C(1000000000)

/* ---- settings -------------------------------------------------------------------------------- */

static enum err load_rate(const struct settings *s, const char *key, struct rate_table **out,
                          struct err_detail *d)
{
    struct rate rate;
    if (!settings_is_set(s, key))
        return OK;
    enum err e = rate_parse(settings_str(s, key), &rate);
    if (e != OK)
        return settings_refuse(s, key, e, d,
                               "found \"%s\", allowed is a number of requests in a second, "
                               "minute, hour or day: 100/second, or 3000/minute burst 200",
                               settings_quote(settings_str(s, key)).text);
    return rate_table_new(out, &rate);
}

static enum err load_exempt(struct api *a, struct err_detail *d)
{
    size_t n;
    const str *words = settings_list(a->settings, "kinto.rate_limit.exempt", &n);
    struct net_list *l = &a->limits.exempt;
    l->blocks = ARENA_NEW_ARRAY(&a->arena, struct net_block, n);
    if (l->blocks == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (!net_list_add(l, words[i]))
            return settings_refuse(
                a->settings, "kinto.rate_limit.exempt", ERR_SYNTAX, d,
                "found \"%s\", allowed are addresses, networks like 192.0.2.0/24, or unix",
                settings_quote(words[i]).text);
    return OK;
}

enum err api_limits_load(struct api *a, struct err_detail *d)
{
    struct api_limits *l = &a->limits;
    enum err e = load_rate(a->settings, "kinto.rate_limit.address", &l->address, d);
    if (e == OK)
        e = load_rate(a->settings, "kinto.rate_limit.user", &l->user, d);
    if (e == OK)
        e = load_rate(a->settings, "kinto.rate_limit.failures", &l->failures, d);
    return e == OK ? load_exempt(a, d) : e;
}

void api_limits_free(struct api *a)
{
    rate_table_free(a->limits.address);
    rate_table_free(a->limits.user);
    rate_table_free(a->limits.failures);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static enum api_step too_many(struct api_req *r, uint64_t retry_seconds)
{
    api_outermost(r)->retry_seconds = retry_seconds;
    enum api_step s = api_fail(r, API_ERR_TOO_MANY_REQUESTS);
    http_header_add(r->out, STR("Retry-After"),
                    arena_printf(r->arena, "%llu", (unsigned long long)retry_seconds));
    return s;
}

enum api_step api_limit_stop_batch(struct api_req *r)
{
    return too_many(r, r->retry_seconds);
}

static uint64_t seconds_of(uint64_t wait_ns)
{
    return wait_ns / NS_PER_SECOND + 1;
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool is_exempt(const struct api *a, const struct http_req *http)
{
    return net_list_has(&a->limits.exempt, http->peer);
}

bool api_limit_admit(void *loop_ctx, struct http_req *http)
{
    struct api_loop *loop = loop_ctx;
    if (is_exempt(loop->api, http))
        return true;
    uint64_t wait = rate_take(loop->api->limits.address, http->network, clock_mono_ns());
    if (wait == 0)
        return true;
    struct api_req *r = api_req_new(loop, http);
    if (r == NULL) {
        api_refuse_without_memory(http);
        return false;
    }
    api_observe_begin(r);
    too_many(r, seconds_of(wait));
    api_finish(r);
    return false;
}

/* ---- credentials and users ------------------------------------------------------------------- */

bool api_limit_is_try(struct api_req *r)
{
    if (r->api->limits.failures == NULL)
        return false;
    str credentials = api_req_header(r, "Authorization");
    return !str_none(credentials) && !api_is_identified(r, credentials) &&
           !is_exempt(r->api, api_outermost(r)->http);
}

static uint64_t tries_wait_ns(const struct api *a, const struct http_req *http)
{
    return rate_wait_ns(a->limits.failures, http->network, clock_mono_ns());
}

enum api_step api_limit_before_identify(struct api_req *r)
{
    struct api_req *outer = api_outermost(r);
    if (r->parent == NULL)
        r->identified = 0;
    if (outer->identified < outer->counted || !api_limit_is_try(r))
        return STEP_NEXT;
    uint64_t wait = tries_wait_ns(r->api, outer->http);
    return wait == 0 ? STEP_NEXT : too_many(r, seconds_of(wait));
}

bool api_limit_allows_try(const struct api_req *outer)
{
    return tries_wait_ns(outer->api, outer->http) == 0;
}

static enum api_step count_failure(struct api_req *r)
{
    if (!api_limit_is_try(r))
        return STEP_NEXT;
    uint64_t network = api_outermost(r)->http->network;
    uint64_t wait = rate_take(r->api->limits.failures, network, clock_mono_ns());
    return wait == 0 ? STEP_NEXT : too_many(r, seconds_of(wait)); /* others were faster */
}

static enum api_step count_user(struct api_req *r)
{
    struct rate_table *t = r->api->limits.user;
    if (t == NULL)
        return STEP_NEXT;
    uint64_t key = map_hash(r->user.id), now = clock_mono_ns();
    if (r->parent && str_eq(r->user.id, api_outermost(r)->user.id)) {
        rate_charge(t, key, now);
        return STEP_NEXT;
    }
    uint64_t wait = rate_take(t, key, now);
    return wait == 0 ? STEP_NEXT : too_many(r, seconds_of(wait));
}

enum api_step api_limit_after_identify(struct api_req *r)
{
    struct api_req *outer = api_outermost(r);
    if (outer->identified++ < outer->counted)
        return STEP_NEXT;
    outer->counted = outer->identified;
    return str_none(r->user.id) ? count_failure(r) : count_user(r);
}
