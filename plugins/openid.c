/*
 * plugins/openid.c - users that an OpenID Connect provider knows: "Authorization: Bearer TOKEN", where
 * the provider says whose token that is; and what kinto.plugins.openid adds to the API.
 *
 * A token is looked for in the cache, under a hash of it. Only one that is not there costs more: the
 * request is parked, and a thread of the pool finds out (openid_identify). Any number of requests with
 * the same token wait for one answer. A token that was right is remembered for
 * verification_ttl_seconds, or until it expires; one that was not, for half a minute, in a table of
 * fixed size, so that made-up tokens displace nothing but each other.
 *
 * When the provider does not answer, nobody can say who asks. Such a request gets 503, not the answer
 * to a stranger: a client would take that for a log-out.
 */
#include "plugins/openid.h"
#include "base/clock.h"
#include "base/hash.h"

#define SCRATCH_BYTES (8 * MIB)

/* ---- tokens ---------------------------------------------------------------------------------- */

/* The token that a header has for this provider; none. */
static str token_of(const struct openid_provider *p, str authorization)
{
    str token = str_trim(authorization), type = str_cut(&token, ' ');

    token = str_trim(token);
    if (str_none(token) || token.n == 0 || !str_eq_nocase(type, p->header_type))
        return STR_NONE;
    return str_is_visible(token) ? token : STR_NONE; /* it goes into a header */
}

struct asking {
    struct api_work work;
    struct openid_provider *provider;
    struct api *api;
    str token, profile; /* profile: what was found out; none: nobody's token */
};

/* The `iss` that a token names, signed or not; none. */
static str claimed_issuer(struct arena *a, str token)
{
    str rest = token, payload;
    struct json *claims;

    str_cut(&rest, '.');
    str part = str_none(rest) ? STR("") : str_cut(&rest, '.');
    if (str_none(rest) || hash_base64url_decode(a, part, &payload) != OK ||
        json_parse(a, payload, &claims, NULL) != OK)
        return STR_NONE;
    return json_get_str(claims, STR("iss"), STR_NONE);
}

/* Does the token itself say that it is another provider's? Then only that one need be asked. */
static bool is_anothers(const struct asking *c, struct arena *a)
{
    str iss = claimed_issuer(a, c->token);
    struct openid_provider *p;

    if (str_none(iss) || str_eq(iss, c->provider->issuer))
        return false;
    for (size_t i = 0; (p = openid_provider_at(c->api, i)) != NULL; i++)
        if (p != c->provider && str_eq(iss, p->issuer))
            return true;
    return false;
}

/* How long may the answer be remembered? */
static uint64_t ttl_of(const struct openid_provider *p, int64_t expires_s)
{
    int64_t left_s = expires_s - clock_wall_ms() / 1000;

    if (expires_s == 0)
        return p->verification_ttl_ms;
    return left_s <= 0 ? 0 : MIN_OF(p->verification_ttl_ms, 1000 * (uint64_t)left_s);
}

static void remember(const struct asking *c, const struct openid_answer *answer)
{
    uint64_t ttl = ttl_of(c->provider, answer->expires_s);

    if (str_none(answer->profile) && !answer->may_change)
        openid_refuse(c->provider, c->work.key.p);
    if (str_none(answer->profile) || ttl == 0)
        return;
    /* Forgotten is no failure: then the provider is asked again. */
    (void)!store_cache_set(api_store(c->api), c->work.key, answer->profile, ttl);
}

static enum err run_asking(struct api_work *w)
{
    struct asking *c = CONTAINER_OF(w, struct asking, work);
    struct openid_answer answer = {0};
    struct arena scratch;
    enum err e = OK;

    arena_init(&scratch, NULL, 0, NULL, SCRATCH_BYTES);
    if (!is_anothers(c, &scratch))
        e = openid_identify(c->provider, &scratch, c->token, &answer);
    if (e == OK && !str_none(answer.profile)) {
        c->profile = arena_str(w->arena, answer.profile);
        e = str_none(c->profile) ? ERR_NOMEM : OK;
    }
    if (e == OK)
        remember(c, &answer);
    arena_fini(&scratch);
    return e;
}

static enum err share(struct api_work *w, const struct api_work *done)
{
    struct asking *c = CONTAINER_OF(w, struct asking, work);
    str profile = CONTAINER_OF(done, const struct asking, work)->profile;

    if (!str_none(profile))
        c->profile = arena_str(w->arena, profile);
    return str_none(profile) || !str_none(c->profile) ? OK : ERR_NOMEM;
}

static enum err begin_asking(struct openid_provider *p, struct api_req *r, str token, str key)
{
    struct asking *c = ARENA_NEW(api_arena(r), struct asking);

    key = arena_str(api_arena(r), key);
    if (c == NULL || str_none(key))
        return ERR_NOMEM;
    c->provider = p;
    c->api = api_of(r);
    c->token = token;
    enum api_step s = api_work_begin_shared(r, &c->work, run_asking, share, key, POOL_WAIT);
    return s == STEP_WAIT ? ERR_AGAIN : ERR_FAILED;
}

/* The profile of whose token it is, without asking; none: nobody's. False: it is not known. */
static bool known_profile(struct openid_provider *p, struct api_req *r, str key, enum err *e,
                          str *profile)
{
    *e = OK;
    *profile = STR_NONE;
    struct api_work *w = api_work_done(r, run_asking, key);
    if (w) {
        *e = w->result;
        *profile = CONTAINER_OF(w, struct asking, work)->profile;
        return true;
    }
    return store_cache_get(api_store(api_of(r)), api_arena(r), key, profile) ||
           openid_is_refused(p, key.p);
}

/* ---- the policy ------------------------------------------------------------------------------ */

static enum err authenticate(const struct auth_active *policy, struct auth_request *req,
                             str *user_id)
{
    struct openid_provider *p = policy->data;
    struct api_req *r = req->ctx;
    char key[OPENID_KEY_BYTES + 1];
    str token = token_of(p, req->authorization), profile;
    enum err e;

    if (str_none(token))
        return OK;
    openid_key(p, "token", token, key);
    if (!known_profile(p, r, str_from(key), &e, &profile))
        return begin_asking(p, r, token, str_from(key));
    if (e == OK && !str_none(profile))
        *user_id = openid_user_of(p, req->arena, profile);
    return e;
}

static enum err load_policy(struct arena *arena, struct auth_active *policy,
                            const struct settings *s, struct err_detail *d)
{
    struct openid_provider *p;
    (void)arena;
    enum err e = openid_provider_new(&p, policy->name, s, d);

    if (e != OK)
        return e;
    policy->data = p;
    policy->scheme = p->header_type;
    return OK;
}

static void stop_policy(void *data)
{
    openid_provider_stop(data);
}

static void free_policy(void *data)
{
    openid_provider_free(data);
}

const struct auth_policy openid_policy = {
    .name = "openid",
    .paths = "kinto.plugins.openid.OpenIDConnectPolicy",
    .load = load_policy,
    .authenticate = authenticate,
    .stop = stop_policy,
    .free = free_policy,
    .scheme = "Bearer",
    .security = "{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"Authorization\",\"description\":"
                "\"A token of this OpenID Connect provider, behind the word of header_type "
                "(Bearer).\"}",
};

struct openid_provider *openid_provider_at(struct api *a, size_t i)
{
    const struct auth_active *policy;

    for (size_t at = 0; (policy = auth_active_at(api_auth(a), at)) != NULL; at++)
        if (policy->policy == &openid_policy && i-- == 0)
            return policy->data;
    return NULL;
}

/* ---- the root URL ---------------------------------------------------------------------------- */

/* The policy that knew the user; NULL: not one of these. */
static const struct auth_active *policy_of_user(struct api_req *r)
{
    str rest = api_user_id(r), prefix = str_cut(&rest, ':');
    const struct auth_active *policy;

    for (size_t i = 0; (policy = auth_active_at(api_auth(api_of(r)), i)) != NULL; i++)
        if (policy->policy == &openid_policy && str_eq(policy->prefix, prefix))
            return policy;
    return NULL;
}

/* "profile" of the user; as in the reference, others have an empty one. */
static enum err add_profile(void *ctx, struct api_req *r, struct json *user)
{
    const struct auth_active *policy = policy_of_user(r);
    struct arena *a = api_arena(r);
    struct json *profile = NULL;
    char key[OPENID_KEY_BYTES + 1];
    str token = STR_NONE, text;
    enum err e;
    (void)ctx;

    if (policy)
        token = token_of(policy->data, api_req_header(r, "Authorization"));
    if (!str_none(token)) {
        openid_key(policy->data, "token", token, key);
        if (known_profile(policy->data, r, str_from(key), &e, &text) && !str_none(text) &&
            json_parse(a, text, &profile, NULL) != OK)
            return ERR_NOMEM;
    }
    if (profile == NULL)
        profile = json_new_object(a);
    return json_set(a, user, STR("profile"), profile);
}

/* What a provider says of itself is not known at the start, which does not wait for it. */
static enum err fill_capability(void *ctx, struct api_req *r, struct json *capability)
{
    (void)ctx;
    const struct json *providers = json_get(capability, STR("providers"));
    struct openid_provider *p;
    struct arena *a = api_arena(r);
    struct openid_config c;
    enum err e = OK;

    for (size_t i = 0; e == OK && (p = openid_provider_at(api_of(r), i)) != NULL; i++) {
        struct json *shown = json_at(providers, i);
        openid_ask_aside(p, api_of(r));
        if (!openid_config_known(p, a, &c))
            continue;
        e = json_set(a, shown, STR("issuer"), json_new_string(a, c.issuer));
        if (e == OK && !str_none(c.userinfo))
            e = json_set(a, shown, STR("userinfo_endpoint"), json_new_string(a, c.userinfo));
    }
    return arena_failed(a) ? ERR_NOMEM : e;
}

static void add_member(struct buf *b, const char *name, str value)
{
    buf_printf(b, ",\"%s\":", name);
    json_write_string(b, value);
}

static void describe(struct buf *b, const struct openid_provider *p)
{
    buf_add_lit(b, "{\"name\":");
    json_write_string(b, p->name);
    add_member(b, "issuer", p->issuer);
    buf_add_lit(b, ",\"auth_path\":\"/openid/");
    http_url_encode(b, p->name, NULL);
    buf_add_lit(b, "/login\"");
    add_member(b, "client_id", p->client_id);
    add_member(b, "audience", p->audience);
    add_member(b, "header_type", p->header_type);
    buf_add_char(b, '}');
}

static enum err add_capability(struct api *a)
{
    struct openid_provider *p, *first = openid_provider_at(a, 0);
    struct buf b;

    buf_init_arena(&b, &first->arena, 64 * KIB);
    buf_add_lit(&b, "{\"description\":\"OpenID connect support.\",\"url\":"
                    "\"http://kinto.readthedocs.io/en/stable/api/1.x/authentication.html\","
                    "\"providers\":[");
    for (size_t i = 0; (p = openid_provider_at(a, i)) != NULL; i++) {
        buf_add_str(&b, i ? STR(",") : STR(""));
        describe(&b, p);
    }
    buf_add_lit(&b, "]}");
    buf_add_char(&b, '\0');
    enum err e = buf_failed(&b) ? b.err : api_add_capability(a, "openid", b.p);
    return e == OK ? api_fill_hello(a, "openid", NULL, fill_capability) : e;
}

/* ---- loading --------------------------------------------------------------------------------- */

/* The first who comes need not wait for what a provider says of itself. (The calls are ended by the
 * policies' stop, and the threads are the API's.) */
static enum err start(void *ctx, struct err_detail *d)
{
    struct api *a = ctx;
    struct openid_provider *p;
    (void)d;

    for (size_t i = 0; (p = openid_provider_at(a, i)) != NULL; i++)
        openid_ask_aside(p, a);
    return OK;
}

enum err openid_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    (void)s;
    (void)d;

    enum err e = openid_add_endpoints(a);
    if (e != OK || openid_provider_at(a, 0) == NULL)
        return e;
    e = add_capability(a);
    if (e == OK)
        e = api_fill_hello(a, NULL, NULL, add_profile);
    return e == OK ? api_add_service(a, &(struct api_service){.ctx = a, .start = start}) : e;
}
