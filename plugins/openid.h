/*
 * plugins/openid.h - what the files of kinto.plugins.openid share.
 *
 *     openid.c            the policy (whose token is this?), and what the plugin adds to the API
 *     openid_provider.c   a provider: its settings, its life
 *     openid_documents.c  ... what is known of it: where its endpoints are, and its keys
 *     openid_token.c      ... what it is asked: whose token is that, which one is for this code?
 *     openid_login.c      /openid/{provider}/login and /openid/{provider}/token
 *     openid_callback.c   may a browser be sent to that URL? (pure)
 *
 * A provider is asked on threads of a pool (POOL_WAIT), never on a loop; every call has a deadline, and
 * ends at once when the server stops. What it says is only believed as far as it has to be: sizes are
 * limited, URLs are checked, of a user the one field counts that the settings name.
 */
#ifndef PLUGINS_OPENID_H
#define PLUGINS_OPENID_H

#include "base/pool.h"
#include "http/client.h"
#include "plugins/private.h"
#include "json/json.h"

#include <pthread.h>

/* ---- a provider ------------------------------------------------------------------------------ */

#define OPENID_CALL_MS       5000
#define OPENID_CONNECT_MS    3000
#define OPENID_MAX_REDIRECTS 3
#define OPENID_MAX_URL       2048
#define OPENID_FRESH_MS      3600000u /* so long nobody asks for its documents again */

#define OPENID_KEY_BYTES 64 /* of the hex digits that stand for a token, or for a state */

/* Of its discovery document (OpenID Connect Discovery 1.0, section 3). */
struct openid_config {
    str issuer;
    str authorization, token, userinfo, jwks; /* absolute URLs; none: it has no such endpoint */
};

/* When something was got from a provider. Milliseconds of the monotonic clock. */
struct openid_age {
    bool there;
    uint64_t got_ms, failed_ms; /* failed_ms: of the last attempt; 0: that went well */
};

struct openid_keys {
    struct jwks *set;
    unsigned users; /* who looks at it, and the provider itself; under its lock */
};

struct openid_refusal { /* of a token, for a while */
    uint8_t key[16];
    uint64_t until_ms;
};
#define OPENID_REFUSALS 1024

/* One policy of multiauth.policies. */
struct openid_provider {
    /* Read-only once it is made: */
    struct arena arena; /* of the texts below, and of the capability's */
    str name, issuer, client_id, client_secret;
    str audience;     /* "": any token that the provider knows */
    str header_type;  /* the scheme of Authorization that is for this provider */
    str userid_field; /* of a profile */
    uint64_t verification_ttl_ms, state_ttl_ms;
    size_t state_bytes;
    const str *scopes, *callbacks; /* that may be asked for; patterns of URLs */
    size_t nscopes, ncallbacks;
    uint8_t secret[32]; /* of the keys of tokens and states */
    struct http_trust *trust;
    struct http_cancel cancel;
    struct http_client *client;

    /* Held during a call for what follows: one asks, others wait for it. */
    pthread_mutex_t fetching;

    /* Of all that follows; held for moments. */
    pthread_mutex_t lock;
    struct openid_age config_age, keys_age;
    struct arena config_arena;
    struct openid_config config;
    struct openid_keys *keys;
    /* It did not answer: until then it is not asked for profiles and tokens. */
    uint64_t down_until_ms;
    uint64_t warned_ms;
    struct openid_refusal refused[OPENID_REFUSALS];
    struct pool_job job; /* asking without a request */
    bool job_runs;
};

/* Reads multiauth.policy.NAME.*. SYNTAX: one that is missing or unusable, with file and line. NOMEM;
 * NOFILES: no file descriptor, of which it keeps one. */
MUST_CHECK enum err openid_provider_new(struct openid_provider **out, str name,
                                        const struct settings *s, struct err_detail *d);
void openid_provider_free(struct openid_provider *p);
/* Its calls end at once, from now on. Any thread. */
void openid_provider_stop(struct openid_provider *p);

/* The key under which a text (a token, a state) is remembered: one cannot be made into the other. */
void openid_key(const struct openid_provider *p, const char *what, str text,
                char out[OPENID_KEY_BYTES + 1]);

/* Goes to the log; of a flood one line every while. Any thread. */
void openid_warn(struct openid_provider *p, const char *what, const char *why);
/* A URL without fragment that may be called: http or https; `secure`: https only. */
bool openid_is_endpoint(str url, bool secure);

/* ---- what is known of it --------------------------------------------------------------------- */

/* What is known of it, copied into the arena, without asking anybody: false, nothing yet. Any thread. */
bool openid_config_known(struct openid_provider *p, struct arena *a, struct openid_config *out);
/* Has it asked on a thread of the pool, unless what is known is fresh. Any thread; returns at once. */
void openid_ask_aside(struct openid_provider *p, struct api *api);

/* The rest asks the provider if need be: for threads that may wait. TIMEOUT: it does not answer, or
 * nothing that can be used (the log says what). NOMEM. */
MUST_CHECK enum err openid_config_get(struct openid_provider *p, struct arena *a,
                                      struct openid_config *out);

/* The keys, not older than that if it can be helped. NULL: there are none, and the provider does not
 * answer. Give them back (NULL: nothing to do). */
struct openid_keys *openid_keys_borrow(struct openid_provider *p, uint64_t fresh_ms);
void openid_keys_give_back(struct openid_provider *p, struct openid_keys *keys);

/* ---- what it is asked ------------------------------------------------------------------------ */

struct openid_answer {
    str profile;       /* JSON text of an object, with a usable user id; none: nobody's token */
    int64_t expires_s; /* the token is not valid any more then (Unix time); 0: it does not say */
    bool may_change;   /* nobody's, but that may be another answer soon */
};
/* Whose token is that? The arena is scratch and answer, 8 MiB at most. */
MUST_CHECK enum err openid_identify(struct openid_provider *p, struct arena *a, str token,
                                    struct openid_answer *out);
/* The user id in a profile, JSON text that json_write wrote; none: there is no usable one. */
str openid_user_of(const struct openid_provider *p, struct arena *a, str profile);

/* Exchanges a code (OpenID Connect Core 1.0, section 3.1.3): the provider's answer as it came. */
MUST_CHECK enum err openid_exchange(struct openid_provider *p, struct arena *a, str code,
                                    str redirect_uri, str *answer);

/* Tokens that were refused lately. Any thread. */
bool openid_is_refused(struct openid_provider *p, const char *key);
void openid_refuse(struct openid_provider *p, const char *key);

/* ---- in the API ------------------------------------------------------------------------------ */

/* The i-th provider in force, or NULL. */
struct openid_provider *openid_provider_at(struct api *a, size_t i);
MUST_CHECK enum err openid_add_endpoints(struct api *a);

/* ---- callbacks ------------------------------------------------------------------------------- */

/* Colander's idea of a URL, about: "Must be a URL". */
bool openid_is_url(str s);
/* May a browser be sent there, with tokens behind the URL? `patterns` are URLs in which * stands for
 * any text within host, port, or the rest. */
bool openid_is_trusted(str url, const str *patterns, size_t n);

#endif
