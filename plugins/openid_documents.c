/*
 * plugins/openid_documents.c - what is known of a provider: its discovery document (where its endpoints
 * are) and its keys.
 *
 * Both are got when they are needed first, are fresh for an hour, and then got anew; when that fails,
 * what is there still counts for a day, so that a provider may be away for a while. A failure is
 * remembered for ten seconds: in that time nobody waits for a provider that is not there. One thread
 * asks; others that need the same wait for it, or take what is there. A key set that is replaced lives
 * until the last one that looks at it has given it back.
 */
#include "auth/jwt.h"
#include "base/clock.h"
#include "base/log.h"
#include "plugins/openid.h"

#define STALE_MS       86400000u
#define RETRY_MS       10000u /* behind a failure */
#define SCRATCH_BUDGET (8 * MIB)

/* ---- when to ask ----------------------------------------------------------------------------- */

static bool is_usable(const struct openid_age *age, uint64_t now)
{
    return age->there && now - age->got_ms < STALE_MS;
}

/* Worth a call: it is older than that, and the last call did not fail just now. */
static bool is_due(const struct openid_age *age, uint64_t now, uint64_t fresh_ms)
{
    bool old = !age->there || now - age->got_ms >= fresh_ms;
    return old && (age->failed_ms == 0 || now - age->failed_ms >= RETRY_MS);
}

static bool due(struct openid_provider *p, const struct openid_age *age, uint64_t fresh_ms,
                bool *usable)
{
    uint64_t now = clock_mono_ms();

    pthread_mutex_lock(&p->lock);
    bool yes = is_due(age, now, fresh_ms);
    *usable = is_usable(age, now);
    pthread_mutex_unlock(&p->lock);
    return yes;
}

static void failed(struct openid_provider *p, struct openid_age *age)
{
    pthread_mutex_lock(&p->lock);
    age->failed_ms = clock_mono_ms();
    pthread_mutex_unlock(&p->lock);
}

/*
 * Gets what `age` is of when it is due. Who comes second waits for the first, and finds it done; or
 * goes on at once when there is something to go on with.
 */
static enum err refresh(struct openid_provider *p, struct openid_age *age, uint64_t fresh_ms,
                        enum err (*fetch)(struct openid_provider *p, struct arena *a))
{
    bool usable;
    struct arena scratch;
    enum err e = OK;

    if (!due(p, age, fresh_ms, &usable))
        return usable ? OK : ERR_TIMEOUT;
    if (usable && pthread_mutex_trylock(&p->fetching) != 0)
        return OK;
    if (!usable)
        pthread_mutex_lock(&p->fetching);
    if (due(p, age, fresh_ms, &usable)) {
        arena_init(&scratch, NULL, 0, NULL, SCRATCH_BUDGET);
        e = fetch(p, &scratch);
        arena_fini(&scratch);
        if (e != OK)
            failed(p, age);
        usable = e == OK || usable;
    }
    pthread_mutex_unlock(&p->fetching);
    return usable ? OK : ERR_TIMEOUT;
}

/* A JSON document of the provider's, as it came. */
static enum err get_document(struct openid_provider *p, struct arena *a, str url, str *body,
                             struct err_detail *d)
{
    struct http_answer answer;
    const struct http_header accept = {STR("Accept"), STR("application/json")};
    const struct http_call call = {
        .url = url,
        .headers = &accept,
        .nheaders = 1,
        .timeout_ms = OPENID_CALL_MS,
        .connect_timeout_ms = OPENID_CONNECT_MS,
        .max_body_bytes = JWKS_MAX_BYTES,
        .max_redirects = OPENID_MAX_REDIRECTS,
    };
    enum err e = http_client_call(p->client, &call, a, &answer, d);
    if (e == OK && answer.status != 200)
        e = err_set(d, ERR_REFUSED, 0, "the answer is a %d", answer.status);
    if (e == OK)
        *body = answer.body;
    return e;
}

/* ---- the discovery document ------------------------------------------------------------------ */

/* An endpoint; none if it is not there. A provider that is asked over TLS does not send us anywhere
 * without: the secret, codes and tokens go there. */
static enum err read_endpoint(const struct openid_provider *p, const struct json *doc,
                              const char *name, str *out, struct err_detail *d)
{
    const struct json *v = json_get(doc, str_from(name));

    *out = STR_NONE;
    if (v == NULL || json_is(v, JSON_NULL))
        return OK;
    if (!json_is(v, JSON_STRING) ||
        !openid_is_endpoint(json_string(v), str_starts(p->issuer, STR("https://"))))
        return err_set(d, ERR_CORRUPT, 0, "%s is no URL to go to", name);
    *out = json_string(v);
    return OK;
}

static enum err read_config(const struct openid_provider *p, struct arena *a, str text,
                            struct openid_config *out, struct err_detail *d)
{
    struct json *doc;
    enum err e = json_parse(a, text, &doc, NULL);

    if (e != OK || !json_is(doc, JSON_OBJECT))
        return err_set(d, ERR_CORRUPT, 0, "the answer is no JSON object");
    out->issuer = json_get_str(doc, STR("issuer"), p->issuer);
    if (out->issuer.n == 0 || out->issuer.n > OPENID_MAX_URL || !str_is_visible(out->issuer))
        return err_set(d, ERR_CORRUPT, 0, "issuer is no URL");
    e = read_endpoint(p, doc, "authorization_endpoint", &out->authorization, d);
    if (e == OK)
        e = read_endpoint(p, doc, "token_endpoint", &out->token, d);
    if (e == OK)
        e = read_endpoint(p, doc, "userinfo_endpoint", &out->userinfo, d);
    if (e == OK)
        e = read_endpoint(p, doc, "jwks_uri", &out->jwks, d);
    return e;
}

static str copy(struct arena *a, str s)
{
    return str_none(s) ? s : arena_str(a, s);
}

static struct openid_config copy_config(struct arena *a, const struct openid_config *c)
{
    return (struct openid_config){copy(a, c->issuer), copy(a, c->authorization), copy(a, c->token),
                                  copy(a, c->userinfo), copy(a, c->jwks)};
}

static str without_slash(str url)
{
    while (str_ends(url, STR("/")))
        url.n--;
    return url;
}

static void keep_config(struct openid_provider *p, const struct openid_config *c)
{
    pthread_mutex_lock(&p->lock);
    bool first = !p->config_age.there;
    arena_reset(&p->config_arena);
    p->config = copy_config(&p->config_arena, c);
    p->config_age = (struct openid_age){!arena_failed(&p->config_arena), clock_mono_ms(), 0};
    pthread_mutex_unlock(&p->lock);
    if (first && !str_eq(without_slash(c->issuer), without_slash(p->issuer)))
        log_event(LOG_WARN, "openid",
                  "provider=\"" STR_FMT "\" the issuer of the settings calls itself \"" STR_FMT
                  "\", which its tokens have to bear",
                  STR_ARG(p->name), STR_ARG(c->issuer));
}

static enum err fetch_config(struct openid_provider *p, struct arena *a)
{
    struct err_detail d = {0};
    struct openid_config c;
    str url = ARENA_JOIN(a, without_slash(p->issuer), STR("/.well-known/openid-configuration"));
    str body = STR_NONE;
    enum err e = str_none(url) ? ERR_NOMEM : get_document(p, a, url, &body, &d);
    if (e == OK)
        e = read_config(p, a, body, &c, &d);
    if (e == OK)
        keep_config(p, &c);
    else
        openid_warn(p, "its configuration", d.text[0] ? d.text : err_text(e));
    return e;
}

bool openid_config_known(struct openid_provider *p, struct arena *a, struct openid_config *out)
{
    pthread_mutex_lock(&p->lock);
    bool known = is_usable(&p->config_age, clock_mono_ms());
    if (known)
        *out = copy_config(a, &p->config);
    pthread_mutex_unlock(&p->lock);
    return known && !arena_failed(a);
}

enum err openid_config_get(struct openid_provider *p, struct arena *a, struct openid_config *out)
{
    enum err e = refresh(p, &p->config_age, OPENID_FRESH_MS, fetch_config);
    if (e != OK)
        return e;
    if (openid_config_known(p, a, out))
        return OK;
    return arena_failed(a) ? ERR_NOMEM : ERR_TIMEOUT;
}

static void run_aside(struct pool_job *job, bool dropped)
{
    struct openid_provider *p = CONTAINER_OF(job, struct openid_provider, job);

    if (!dropped)
        (void)!refresh(p, &p->config_age, OPENID_FRESH_MS, fetch_config);
    pthread_mutex_lock(&p->lock);
    p->job_runs = false;
    pthread_mutex_unlock(&p->lock);
}

void openid_ask_aside(struct openid_provider *p, struct api *api)
{
    pthread_mutex_lock(&p->lock);
    bool ask = !p->job_runs && is_due(&p->config_age, clock_mono_ms(), OPENID_FRESH_MS);
    p->job_runs |= ask;
    pthread_mutex_unlock(&p->lock);
    if (!ask)
        return;
    p->job.run = run_aside;
    if (api_run_aside(api, POOL_WAIT, &p->job) == OK)
        return;
    pthread_mutex_lock(&p->lock);
    p->job_runs = false;
    pthread_mutex_unlock(&p->lock);
}

/* ---- its keys -------------------------------------------------------------------------------- */

void openid_keys_give_back(struct openid_provider *p, struct openid_keys *keys)
{
    if (keys == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    bool last = --keys->users == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    jwks_free(keys->set);
    free(keys);
}

static enum err keep_keys(struct openid_provider *p, struct jwks *set)
{
    struct openid_keys *fresh = calloc(1, sizeof *fresh), *old;

    if (fresh == NULL) {
        jwks_free(set);
        return ERR_NOMEM;
    }
    *fresh = (struct openid_keys){set, 1};
    pthread_mutex_lock(&p->lock);
    old = p->keys;
    p->keys = fresh;
    p->keys_age = (struct openid_age){true, clock_mono_ms(), 0};
    pthread_mutex_unlock(&p->lock);
    openid_keys_give_back(p, old);
    return OK;
}

static enum err fetch_keys(struct openid_provider *p, struct arena *a)
{
    struct err_detail d = {0};
    struct openid_config c = {0};
    struct jwks *set;
    str body = STR_NONE;
    enum err e = openid_config_known(p, a, &c) && !str_none(c.jwks)
                     ? get_document(p, a, c.jwks, &body, &d)
                     : err_set(&d, ERR_REFUSED, 0, "it names no jwks_uri");
    if (e == OK)
        e = jwks_new(&set, body, &d);
    if (e == OK)
        e = keep_keys(p, set);
    if (e != OK)
        openid_warn(p, "its keys", d.text[0] ? d.text : err_text(e));
    return e;
}

struct openid_keys *openid_keys_borrow(struct openid_provider *p, uint64_t fresh_ms)
{
    struct openid_keys *keys = NULL;

    if (refresh(p, &p->keys_age, fresh_ms, fetch_keys) != OK)
        return NULL;
    pthread_mutex_lock(&p->lock);
    if (is_usable(&p->keys_age, clock_mono_ms())) {
        keys = p->keys;
        keys->users++;
    }
    pthread_mutex_unlock(&p->lock);
    return keys;
}
