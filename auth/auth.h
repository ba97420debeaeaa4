/*
 * auth/auth.h - who is asking: authentication policies.
 *
 * `multiauth.policies` names policies in order; the first one that recognises the credentials of a
 * request decides. A policy is a struct auth_policy: the Python paths under which INI files know it,
 * and its functions. This room has some of its own (basic.c, proxy.c); plugins bring others. Credentials
 * that no policy recognises make the request anonymous, not refused: whether that is enough is
 * authorisation's business (api/authorize.c).
 *
 * Loop threads only after auth_new; the struct is read-only then.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/settings.h"

struct auth;
struct auth_policy;

extern const struct setting_table auth_settings;

/* Reads multiauth.* and kinto.userid_hmac_secret; `more` are policies beside those of this room.
 * SYNTAX/UNSUPPORTED: a policy that is not there, with file, line and key in the detail; LIMIT: more than
 * 16; NOMEM. */
MUST_CHECK enum err auth_new(struct auth **out, const struct settings *s,
                             const struct auth_policy *const *more, size_t nmore,
                             struct err_detail *d);
void auth_free(struct auth *a);

/*
 * What one thread remembers of credentials that it has seen, so that the same ones are not hashed for each
 * request. They themselves are not kept, but tags that only this process can make. Of a fixed size.
 */
struct auth_memory;
struct auth_memory *auth_memory_new(void); /* NULL: no memory */
void auth_memory_free(struct auth_memory *m);

/* What a policy looks at. */
struct auth_request {
    struct arena *arena;
    struct auth_memory *memory; /* of this thread; NULL: nothing is remembered */
    str authorization;          /* the header, or none */
    /* The connection: who is at its other end ("192.0.2.1", "::1", "unix"), and its headers, not those
     * of a part of a batch. header() gives the value, none if it is absent or there twice. */
    str peer;
    str (*header)(void *ctx, str name);
    void *ctx; /* of whoever asks; policies that plugins bring know it: the struct api_req */
};

struct auth_user {
    str id;     /* prefixed user id, "basicauth:1234..."; STR_NONE: anonymous */
    str policy; /* the prefix */
};

/* Fills `user`: the id lies in the arena, the policy lives as long as the settings. AGAIN: a policy has begun
 * work whose result it needs (ask once more when that is done), or was refused it; the caller's request
 * knows which. TIMEOUT: nobody recognised the credentials, but a policy cannot tell now.
 * NOMEM, and what the store answers. */
MUST_CHECK enum err auth_authenticate(const struct auth *a, struct auth_request *req,
                                      struct auth_user *user);

/* Value of WWW-Authenticate on a 401, a challenge for each policy that has one; STR_NONE: none has. */
str auth_challenge(const struct auth *a);
/* True if a policy of that name is in force (capabilities). */
bool auth_has_policy(const struct auth *a, str name);
/* The i-th policy in force: its name, and how clients authenticate by it (text of an OpenAPI 2.0
 * Security Scheme Object, or NULL). false: there are not that many. */
bool auth_policy_at(const struct auth *a, size_t i, str *name, const char **security);
/* The i-th policy in force itself; NULL: there are not that many. */
const struct auth_active *auth_active_at(const struct auth *a, size_t i);
/* Before a stop: policies that wait for others give up. Any thread; they recognise nobody new then. */
void auth_stop(const struct auth *a);

/* ---- policies -------------------------------------------------------------------------------- */

struct auth_active { /* a policy in force */
    str name;        /* as multiauth.policies calls it */
    str prefix;      /* of user ids: the name in lower case */
    str scheme;      /* of its challenge in WWW-Authenticate: its own, unless load() sets another */
    const struct auth_policy *policy;
    void *data; /* the policy's own */
};

struct auth_policy {
    const char *name;   /* that means it without a `use` */
    const char *paths;  /* that mean it in `use`: separated by blanks */
    const char *prefix; /* of its user ids; NULL: its name in multiauth.policies, in lower case */
    bool takes_any;     /* it recognises whatever credentials of its scheme there are */
    /* Reads the settings of a policy in force; may set its data, which lies in the arena, or is released
     * by free(), also when load() fails (NULL, if it came to none). SYNTAX, NOMEM. */
    enum err (*load)(struct arena *arena, struct auth_active *policy, const struct settings *s,
                     struct err_detail *d);
    /* Sets *user_id (without prefix, in the request's arena) when it recognises the credentials, leaves it
     * alone when not. NOMEM; AGAIN: it has begun work, or could not. TIMEOUT: it cannot tell, whom it would
     * have to ask does not answer; the policies behind it are asked all the same. */
    enum err (*authenticate)(const struct auth_active *policy, struct auth_request *req,
                             str *user_id);
    void (*stop)(void *data); /* see auth_stop; or NULL */
    void (*free)(void *data); /* or NULL */
    const char *scheme;       /* of its challenge in WWW-Authenticate; NULL: has none */
    const char *security;     /* an OpenAPI 2.0 Security Scheme Object, or NULL */
};

/* A setting of one policy, multiauth.policy.NAME.something; value: none when unset. */
struct auth_setting {
    str name, value, origin;
};
struct auth_setting auth_setting(const struct settings *s, const char *pattern, str name);

/* May a policy that takes a name from elsewhere make it a user id? 1 to 255 bytes of UTF-8 without
 * control characters (up to 0x1f, and 0x7f): it goes into principals, logs and pages. */
bool auth_user_valid(str name);

/* The name and the password of Basic credentials (RFC 7617), in UTF-8. False: there are none (*e is OK), or
 * there is no memory to read them (*e is NOMEM). */
bool auth_basic_credentials(struct auth_request *req, str *name, str *password, enum err *e);

#endif
