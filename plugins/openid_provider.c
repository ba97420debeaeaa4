/*
 * plugins/openid_provider.c - a provider: its settings, its life, and the secret under which tokens and
 * states are remembered. What is known of it is the business of openid_documents.c, what it is asked that
 * of openid_token.c.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/native.h"
#include "base/rand.h"
#include "plugins/openid.h"

#define WARN_MS         10000u
#define CONFIG_BUDGET   (64 * KIB)
#define SETTINGS_BUDGET MIB
#define LOCAL_CALLBACKS "http://localhost:*/* http://127.0.0.1:*/*"

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

bool openid_is_endpoint(str url, bool secure)
{
    return url.n <= OPENID_MAX_URL && str_is_visible(url) && str_find(url, '#') == STR_NPOS &&
           (str_starts(url, STR("https://")) || (!secure && str_starts(url, STR("http://"))));
}

static enum err load_texts(struct openid_provider *p, const struct settings *s,
                           struct err_detail *d)
{
    struct auth_setting issuer = SETTING(p, s, "issuer"), client = SETTING(p, s, "client_id"),
                        type = SETTING(p, s, "header_type");

    if (issuer.value.n == 0)
        return refuse(&issuer, "issuer", "is missing: the URL of the provider", d);
    if (!openid_is_endpoint(issuer.value, false))
        return refuse(&issuer, "issuer", "allowed is an http or https URL", d);
    if (client.value.n == 0)
        return refuse(&client, "client_id", "is missing: what the provider calls this server", d);
    if (!str_none(type.value) &&
        (type.value.n == 0 || !str_is_visible(type.value) ||
         str_find(type.value, '"') != STR_NPOS || str_find(type.value, ',') != STR_NPOS))
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
    e = load_list(p, SETTING(p, s, "allowed_scopes"), STR("openid email profile"), &p->scopes,
                  &p->nscopes);
    if (e == OK)
        e = load_list(p, SETTING(p, s, "trusted_callback_urls"), STR(LOCAL_CALLBACKS),
                      &p->callbacks, &p->ncallbacks);
    return e == OK ? make_secret(p, s) : e;
}

/* ---- its life -------------------------------------------------------------------------------- */

static enum err make_client(struct openid_provider *p, struct err_detail *d)
{
    enum err e = http_cancel_init(&p->cancel, d);

    if (e != OK)
        return e;
    p->trust = http_trust_new(NULL);
    p->client = p->trust ? http_client_new(p->trust, &p->cancel, "kinto") : NULL;
    return p->client ? OK : ERR_NOMEM;
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
    enum err e = str_none(p->name) ? ERR_NOMEM : make_client(p, d);
    if (e == OK)
        e = load(p, s, d);
    if (e == OK && arena_failed(&p->arena))
        e = ERR_NOMEM;
    if (e == OK)
        *out = p;
    else
        openid_provider_free(p);
    return e;
}

void openid_provider_free(struct openid_provider *p)
{
    if (p == NULL)
        return;
    openid_keys_give_back(p, p->keys);
    http_client_free(p->client);
    http_cancel_fini(&p->cancel);
    http_trust_free(p->trust);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->fetching);
    arena_fini(&p->config_arena);
    arena_fini(&p->arena);
    free(p);
}

void openid_provider_stop(struct openid_provider *p)
{
    http_cancel_now(&p->cancel);
}

void openid_key(const struct openid_provider *p, const char *what, str text,
                char out[OPENID_KEY_BYTES + 1])
{
    uint8_t key[HASH_SHA256_LEN];

    hash_hmac_sha256((str){(const char *)p->secret, sizeof p->secret}, str_from(what), key);
    _Static_assert(OPENID_KEY_BYTES == 2 * HASH_SHA256_LEN, "a key is an HMAC in hex");
    hash_hmac_sha256_hex((str){(const char *)key, sizeof key}, text, out);
}

/* ---- failures -------------------------------------------------------------------------------- */

void openid_warn(struct openid_provider *p, const char *what, const char *why)
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
