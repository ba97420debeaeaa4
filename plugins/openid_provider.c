/*
 * plugins/openid_provider.c - a provider: its settings, what is known of it, and what it is asked.
 *
 * Known are its discovery document (where its endpoints are) and its keys. Both are got when they are
 * needed first, are fresh for an hour, and then got anew; when that fails, what is there still counts
 * for a day, so that a provider may be away for a while. A failure is remembered for ten seconds: in
 * that time nobody waits for a provider that is not there. One thread asks; others that need the same
 * wait for it, or take what is there.
 *
 * Whose token it is:
 *
 *   a JSON Web Token  signed by one of the provider's keys, for the audience of the settings (without
 *                     one: for the client itself, which makes it an identity token), not expired:
 *                     its claims are the profile, when they have the field of the user id.
 *   any other token   with an audience in the settings, nobody's: for whom it was issued cannot be told.
 *                     Else the provider is asked for the profile (the userinfo endpoint).
 *
 * A JSON Web Token for somebody else is handled as any other token; one that is forged or expired is
 * nobody's, without asking.
 */
#include "auth/jwt.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/native.h"
#include "base/rand.h"
#include "plugins/openid.h"

#define CALL_MS         5000
#define CONNECT_MS      3000
#define FRESH_MS        3600000u
#define STALE_MS        86400000u
#define RETRY_MS        10000u /* behind a failure */
#define NEW_KEYS_MS     30000u /* between two looks for a key that is not in the set */
#define DOWN_MS         2000u  /* behind a call that nobody answered */
#define REFUSED_MS      30000u
#define WARN_MS         10000u
#define LEEWAY_S        10 /* between the clocks of two machines */
#define MAX_BODY        (64 * KIB)
#define MAX_ANSWER      (16 * KIB) /* of the token endpoint: goes into a header */
#define MAX_PROFILE     (32 * KIB)
#define MAX_URL         2048
#define MAX_USER        255
#define MAX_REDIRECTS   3
#define CONFIG_BUDGET   (64 * KIB)
#define SETTINGS_BUDGET MIB
#define SCRATCH_BUDGET  (8 * MIB)

struct openid_keys {
    struct jwks *set;
    unsigned users; /* the provider is one; under its lock */
};

/* ---- settings -------------------------------------------------------------------------------- */

static enum err refuse(const struct auth_setting *l, const char *key, const char *what,
                       struct err_detail *d)
{
    return err_set(d, ERR_SYNTAX, 0, STR_FMT ": multiauth.policy." STR_FMT ".%s: %s",
                   STR_ARG(l->origin), STR_ARG(l->name), key, what);
}

#define SETTING(p, s, key) auth_setting((s), "multiauth.policy.*." key, (p)->name)

static str text_or(struct openid_provider *p, struct auth_setting l, str otherwise)
{
    return arena_str(&p->arena, l.value.n > 0 ? l.value : otherwise);
}

/* The rows have checked the numbers. */
static int64_t number_or(struct auth_setting l, int64_t otherwise)
{
    int64_t n;
    return l.value.n > 0 && native_int(str_trim(l.value), &n) == OK ? n : otherwise;
}

static bool has_only_visible(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

static bool is_endpoint(str url, bool secure)
{
    return url.n <= MAX_URL && has_only_visible(url) && str_find(url, '#') == STR_NPOS &&
           (str_starts(url, STR("https://")) || (!secure && str_starts(url, STR("http://"))));
}

static enum err load_texts(struct openid_provider *p, const struct settings *s,
                           struct err_detail *d)
{
    struct auth_setting issuer = SETTING(p, s, "issuer"), client = SETTING(p, s, "client_id"),
                        type = SETTING(p, s, "header_type");

    if (issuer.value.n == 0)
        return refuse(&issuer, "issuer", "is missing: the URL of the provider", d);
    if (!is_endpoint(issuer.value, false))
        return refuse(&issuer, "issuer", "allowed is an http or https URL", d);
    if (client.value.n == 0)
        return refuse(&client, "client_id", "is missing: what the provider calls this server", d);
    if (!str_none(type.value) &&
        (!has_only_visible(type.value) || str_find(type.value, '"') != STR_NPOS ||
         str_find(type.value, ',') != STR_NPOS))
        return refuse(&type, "header_type", "allowed is one word", d);
    p->issuer = text_or(p, issuer, STR(""));
    p->client_id = text_or(p, client, STR(""));
    p->header_type = text_or(p, type, STR("Bearer"));
    p->client_secret = text_or(p, SETTING(p, s, "client_secret"), STR(""));
    p->audience = text_or(p, SETTING(p, s, "audience"), STR(""));
    p->userid_field = text_or(p, SETTING(p, s, "userid_field"), STR("sub"));
    return OK;
}

static enum err load_list(struct openid_provider *p, struct auth_setting l, str otherwise,
                          const str **out, size_t *n)
{
    str text = text_or(p, l, otherwise);
    return str_none(text) ? ERR_NOMEM : native_list(&p->arena, text, out, n);
}

static bool admin_is_on(const struct settings *s)
{
    size_t n;
    const str *names = settings_list(s, "kinto.includes", &n);
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], STR("kinto.plugins.admin")))
            return true;
    return false;
}

/* The same in all processes that share a secret, and for each provider another. */
static enum err make_secret(struct openid_provider *p, const struct settings *s)
{
    str secret = settings_str(s, "kinto.userid_hmac_secret");
    str text = ARENA_JOIN(&p->arena, STR("openid:"), p->name, STR(":"), p->issuer, STR(":"),
                          p->client_id, STR(":"), p->audience);
    if (str_none(text))
        return ERR_NOMEM;
    if (secret.n > 0)
        hash_hmac_sha256(secret, text, p->secret);
    else
        rand_bytes(p->secret, sizeof p->secret);
    return OK;
}

static enum err load(struct openid_provider *p, const struct settings *s, struct err_detail *d)
{
    enum err e = load_texts(p, s, d);

    if (e != OK)
        return e;
    p->verification_ttl_ms =
        1000 * (uint64_t)number_or(SETTING(p, s, "verification_ttl_seconds"), 86400);
    p->state_ttl_ms = 1000 * (uint64_t)number_or(SETTING(p, s, "state_ttl_seconds"), 3600);
    p->state_bytes = (size_t)number_or(SETTING(p, s, "state_length"), 32);
    p->trusts_admin = admin_is_on(s);
    e = load_list(p, SETTING(p, s, "allowed_scopes"), STR("openid email profile"), &p->scopes,
                  &p->nscopes);
    if (e == OK)
        e = load_list(p, SETTING(p, s, "trusted_callback_urls"), STR(""), &p->callbacks,
                      &p->ncallbacks);
    return e == OK ? make_secret(p, s) : e;
}

enum err openid_provider_new(struct openid_provider **out, str name, const struct settings *s,
                             struct err_detail *d)
{
    struct openid_provider *p = calloc(1, sizeof *p);

    if (p == NULL)
        return ERR_NOMEM;
    arena_init(&p->arena, NULL, 0, NULL, SETTINGS_BUDGET);
    arena_init(&p->config_arena, NULL, 0, NULL, CONFIG_BUDGET);
    CHECK(pthread_mutex_init(&p->fetching, NULL) == 0);
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
    p->name = arena_str(&p->arena, name);
    p->trust = http_trust_new(NULL);
    p->client = p->trust ? http_client_new(p->trust, "kinto") : NULL;
    enum err e = p->client && !str_none(p->name) ? load(p, s, d) : ERR_NOMEM;
    if (e == OK && arena_failed(&p->arena))
        e = ERR_NOMEM;
    if (e == OK)
        *out = p;
    else
        openid_provider_free(p);
    return e;
}

static void give_back(struct openid_provider *p, struct openid_keys *keys)
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

void openid_provider_free(struct openid_provider *p)
{
    if (p == NULL)
        return;
    give_back(p, p->keys);
    http_client_free(p->client);
    http_trust_free(p->trust);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->fetching);
    arena_fini(&p->config_arena);
    arena_fini(&p->arena);
    free(p);
}

void openid_provider_stop(struct openid_provider *p)
{
    http_client_cancel(p->client);
}

void openid_key(const struct openid_provider *p, const char *what, str text,
                char out[OPENID_KEY_BYTES + 1])
{
    uint8_t key[HASH_SHA256_LEN], mac[HASH_SHA256_LEN];

    hash_hmac_sha256((str){(const char *)p->secret, sizeof p->secret}, str_from(what), key);
    hash_hmac_sha256((str){(const char *)key, sizeof key}, text, mac);
    _Static_assert(OPENID_KEY_BYTES == 2 * HASH_SHA256_LEN, "a key is an HMAC in hex");
    hash_hex(mac, sizeof mac, out);
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* A flood of failures is told once every while. */
static void warn(struct openid_provider *p, const char *what, const char *why)
{
    uint64_t now = clock_mono_ms();

    pthread_mutex_lock(&p->lock);
    bool tell = p->warned_ms == 0 || now - p->warned_ms >= WARN_MS;
    if (tell)
        p->warned_ms = now;
    pthread_mutex_unlock(&p->lock);
    if (tell)
        log_event(LOG_WARN, "openid", "provider=\"" STR_FMT "\" asked_for=\"%s\" error=\"%s\"",
                  STR_ARG(p->name), what, why);
}

/* What the provider is asked besides its documents; while it does not answer, nobody waits for it. */
static enum err call_unless_down(struct openid_provider *p, const struct http_call *call,
                                 struct arena *a, struct http_answer *out, struct err_detail *d)
{
    pthread_mutex_lock(&p->lock);
    bool down = clock_mono_ms() < p->down_until_ms;
    pthread_mutex_unlock(&p->lock);
    if (down)
        return err_set(d, ERR_TIMEOUT, 0, "did not answer a moment ago");
    enum err e = http_client_call(p->client, call, a, out, d);
    if (e == ERR_TIMEOUT || e == ERR_IO || e == ERR_NOTFOUND) {
        pthread_mutex_lock(&p->lock);
        p->down_until_ms = clock_mono_ms() + DOWN_MS;
        pthread_mutex_unlock(&p->lock);
    }
    return e;
}

static enum err get_document(struct openid_provider *p, struct arena *a, str url, str *body,
                             struct err_detail *d)
{
    struct http_answer answer;
    const struct http_header accept = {STR("Accept"), STR("application/json")};
    const struct http_call call = {
        .url = url,
        .headers = &accept,
        .nheaders = 1,
        .timeout_ms = CALL_MS,
        .connect_timeout_ms = CONNECT_MS,
        .max_body_bytes = JWKS_MAX_BYTES,
        .max_redirects = MAX_REDIRECTS,
    };
    enum err e = http_client_call(p->client, &call, a, &answer, d);
    if (e == OK && answer.status != 200)
        e = err_set(d, ERR_REFUSED, 0, "the answer is a %d", answer.status);
    if (e == OK)
        *body = answer.body;
    return e;
}

/* ---- what is known --------------------------------------------------------------------------- */

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
        !is_endpoint(json_string(v), str_starts(p->issuer, STR("https://"))))
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
    if (out->issuer.n > MAX_URL || !has_only_visible(out->issuer))
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
        warn(p, "its configuration", d.text[0] ? d.text : err_text(e));
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
    enum err e = refresh(p, &p->config_age, FRESH_MS, fetch_config);
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
        (void)!refresh(p, &p->config_age, FRESH_MS, fetch_config);
    pthread_mutex_lock(&p->lock);
    p->job_runs = false;
    pthread_mutex_unlock(&p->lock);
}

void openid_ask_aside(struct openid_provider *p, struct api *api)
{
    pthread_mutex_lock(&p->lock);
    bool ask = !p->job_runs && is_due(&p->config_age, clock_mono_ms(), FRESH_MS);
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
    give_back(p, old);
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
        warn(p, "its keys", d.text[0] ? d.text : err_text(e));
    return e;
}

/* The keys, not older than that if it can be helped; give_back() them. NULL: TIMEOUT. */
static struct openid_keys *borrow_keys(struct openid_provider *p, uint64_t fresh_ms)
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

/* ---- profiles -------------------------------------------------------------------------------- */

/* Text that may be part of a user id: it goes into principals, headers of the log, and pages. */
static bool is_user(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n <= MAX_USER;
}

str openid_user_of(const struct openid_provider *p, struct arena *a, str profile)
{
    struct json_raw raw;
    str user = STR_NONE;

    if (!json_scan_member(profile, p->userid_field, &raw))
        return user;
    if (raw.type == JSON_STRING)
        user = json_raw_string(a, &raw);
    else if (raw.type == JSON_NUMBER)
        user = raw.text;
    return !str_none(user) && is_user(user) ? user : STR_NONE;
}

/* The profile as text, if it names a user. */
static enum err take_profile(const struct openid_provider *p, struct arena *a,
                             const struct json *profile, struct openid_answer *out)
{
    str text = json_text(a, profile);

    if (str_none(text))
        return ERR_NOMEM;
    if (text.n <= MAX_PROFILE && !str_none(openid_user_of(p, a, text)))
        out->profile = text;
    return OK;
}

static bool same_subject(const struct json *claims, const struct json *profile)
{
    const struct json *x = json_get(claims, STR("sub")), *y = json_get(profile, STR("sub"));
    return x == NULL || y == NULL || json_equal(x, y);
}

static bool is_temporary(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

/* `claims`: of the token, which the profile must fit (OpenID Connect Core 1.0, section 5.3.2); or NULL. */
static enum err ask_profile(struct openid_provider *p, struct arena *a, str token,
                            const struct json *claims, struct openid_answer *out)
{
    struct err_detail d = {0};
    struct openid_config c;
    struct http_answer answer;
    struct json *profile;
    enum err e = openid_config_get(p, a, &c);

    if (e != OK || str_none(c.userinfo))
        return e;
    const struct http_header headers[] = {
        {STR("Authorization"), ARENA_JOIN(a, STR("Bearer "), token)},
        {STR("Accept"), STR("application/json")},
    };
    const struct http_call call = {
        .url = c.userinfo,
        .headers = headers,
        .nheaders = ARRAY_LEN(headers),
        .timeout_ms = CALL_MS,
        .connect_timeout_ms = CONNECT_MS,
        .max_body_bytes = MAX_BODY,
        .max_redirects = MAX_REDIRECTS,
    };
    if (str_none(headers[0].value))
        return ERR_NOMEM;
    e = call_unless_down(p, &call, a, &answer, &d);
    if (e == OK && is_temporary(answer.status))
        e = err_set(&d, ERR_TIMEOUT, 0, "the answer is a %d", answer.status);
    if (e != OK) {
        warn(p, "a profile", d.text[0] ? d.text : err_text(e));
        return e == ERR_NOMEM ? e : ERR_TIMEOUT;
    }
    if (answer.status != 200)
        return OK;
    e = json_parse(a, answer.body, &profile, NULL);
    if (e == ERR_NOMEM)
        return e;
    if (e != OK || !json_is(profile, JSON_OBJECT) || (claims && !same_subject(claims, profile))) {
        warn(p, "a profile", "it is no JSON object, or another user's");
        return OK;
    }
    return take_profile(p, a, profile, out);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* The settings' audience; without one, tokens for the client itself. */
static str audience_of(const struct openid_provider *p)
{
    return p->audience.n > 0 ? p->audience : p->client_id;
}

static enum jwt_verdict check(struct openid_provider *p, struct arena *a, str issuer, str token,
                              uint64_t fresh_ms, struct jwt *out, bool *asked)
{
    const struct jwt_rules rules = {
        .issuer = issuer,
        .audience = audience_of(p),
        .now_s = MAX_OF(clock_wall_ms() / 1000, 0),
        .leeway_s = LEEWAY_S,
    };
    struct err_detail d = {0};
    struct openid_keys *keys = borrow_keys(p, fresh_ms);

    *asked = keys != NULL;
    if (keys == NULL)
        return JWT_UNKNOWN_KEY;
    enum jwt_verdict v = jwt_verify(a, token, keys->set, &rules, out, &d);
    give_back(p, keys);
    if (v != JWT_VALID)
        log_event(LOG_DEBUG, "openid", "provider=\"" STR_FMT "\" token=\"%s: %s\"",
                  STR_ARG(p->name), jwt_verdict_text(v), d.text);
    return v;
}

/* A token for others, or of a kind that cannot be judged here: the provider may know it. */
static enum err ask_unless_bound(struct openid_provider *p, struct arena *a, str token,
                                 struct openid_answer *out)
{
    return p->audience.n > 0 ? OK : ask_profile(p, a, token, NULL, out);
}

static enum err identify_jwt(struct openid_provider *p, struct arena *a, str token,
                             struct openid_answer *out)
{
    struct openid_config c;
    struct jwt jwt;
    bool asked;
    enum err e = openid_config_get(p, a, &c);

    if (e != OK)
        return e;
    if (str_none(c.jwks))
        return ask_unless_bound(p, a, token, out);
    enum jwt_verdict v = check(p, a, c.issuer, token, FRESH_MS, &jwt, &asked);
    if (v == JWT_UNKNOWN_KEY && asked) /* perhaps there are new ones */
        v = check(p, a, c.issuer, token, NEW_KEYS_MS, &jwt, &asked);
    switch (v) {
    case JWT_VALID:
        out->expires_s = jwt.expires_s + LEEWAY_S;
        e = take_profile(p, a, jwt.claims, out);
        return e == OK && str_none(out->profile) ? ask_profile(p, a, token, jwt.claims, out) : e;
    case JWT_NO_MEMORY:
        return ERR_NOMEM;
    case JWT_UNKNOWN_KEY:
        out->may_change = true;
        if (!asked)
            return p->audience.n > 0 ? ERR_TIMEOUT : ask_profile(p, a, token, NULL, out);
        return ask_unless_bound(p, a, token, out);
    case JWT_NOT_YET:
        out->may_change = true;
        return OK;
    case JWT_BAD_SIGNATURE:
    case JWT_EXPIRED:
        return OK;
    case JWT_MALFORMED:
    case JWT_UNSUPPORTED:
    case JWT_UNSUITABLE_KEY:
    case JWT_BAD_CLAIMS:
    case JWT_WRONG_ISSUER:
    case JWT_WRONG_AUDIENCE:
        break;
    }
    return ask_unless_bound(p, a, token, out);
}

enum err openid_identify(struct openid_provider *p, struct arena *a, str token,
                         struct openid_answer *out)
{
    *out = (struct openid_answer){STR_NONE, 0, false};
    return jwt_looks_like(token) ? identify_jwt(p, a, token, out)
                                 : ask_unless_bound(p, a, token, out);
}

static struct openid_refusal *slot_of(struct openid_provider *p, const char *key)
{
    uint64_t n = 0;
    for (size_t i = 0; i < 8; i++)
        n = n << 4 | (uint64_t)str_hex_digit(key[OPENID_KEY_BYTES - 1 - i]);
    return &p->refused[n % OPENID_REFUSALS];
}

bool openid_is_refused(struct openid_provider *p, const char *key)
{
    struct openid_refusal *r = slot_of(p, key);

    pthread_mutex_lock(&p->lock);
    bool yes = clock_mono_ms() < r->until_ms && memcmp(r->key, key, sizeof r->key) == 0;
    pthread_mutex_unlock(&p->lock);
    return yes;
}

void openid_refuse(struct openid_provider *p, const char *key)
{
    struct openid_refusal *r = slot_of(p, key);

    pthread_mutex_lock(&p->lock);
    memcpy(r->key, key, sizeof r->key);
    r->until_ms = clock_mono_ms() + REFUSED_MS;
    pthread_mutex_unlock(&p->lock);
}

/* ---- codes ----------------------------------------------------------------------------------- */

static void add_field(struct buf *b, const char *name, str value)
{
    if (b->n > 0)
        buf_add_char(b, '&');
    buf_add_str(b, str_from(name));
    buf_add_char(b, '=');
    http_url_encode(b, value, NULL);
}

enum err openid_exchange(struct openid_provider *p, struct arena *a, str code, str redirect_uri,
                         str *answer)
{
    static const struct http_header headers[] = {
        {STR_INIT("Content-Type"), STR_INIT("application/x-www-form-urlencoded")},
        {STR_INIT("Accept"), STR_INIT("application/json")},
    };
    struct err_detail d = {0};
    struct openid_config c;
    struct http_answer got;
    struct buf form;
    enum err e = openid_config_get(p, a, &c);

    if (e != OK)
        return e;
    buf_init_arena(&form, a, MAX_BODY);
    add_field(&form, "code", code);
    add_field(&form, "client_id", p->client_id);
    if (p->client_secret.n > 0)
        add_field(&form, "client_secret", p->client_secret);
    add_field(&form, "redirect_uri", redirect_uri);
    add_field(&form, "grant_type", STR("authorization_code"));
    if (buf_failed(&form))
        return ERR_NOMEM;
    const struct http_call call = {
        .method = STR("POST"),
        .url = c.token,
        .headers = headers,
        .nheaders = ARRAY_LEN(headers),
        .body = buf_str(&form),
        .timeout_ms = CALL_MS,
        .connect_timeout_ms = CONNECT_MS,
        .max_body_bytes = MAX_ANSWER,
    };
    e = str_none(c.token) ? err_set(&d, ERR_REFUSED, 0, "it names no token_endpoint")
                          : call_unless_down(p, &call, a, &got, &d);
    if (e == OK && is_temporary(got.status))
        e = err_set(&d, ERR_TIMEOUT, 0, "the answer is a %d", got.status);
    if (e == OK)
        *answer = got.body;
    else
        warn(p, "a token", d.text[0] ? d.text : err_text(e));
    return e == OK || e == ERR_NOMEM ? e : ERR_TIMEOUT;
}
