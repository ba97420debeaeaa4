/*
 * auth/auth.h - who is asking: authentication policies.
 *
 * `multiauth.policies` names policies in order; the first one that recognises the credentials of a
 * request decides. A policy is a row in policies.def: the Python paths under which INI files know
 * it, and its function. Credentials that no policy recognises make the request anonymous, not
 * refused: whether that is enough is authorisation's business (api/authorize.c).
 *
 * Loop threads only after auth_new; the struct is read-only then.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/settings.h"

struct auth;

extern const struct setting_table auth_settings;

/* Reads multiauth.* and kinto.userid_hmac_secret. SYNTAX/UNSUPPORTED: a policy that is not there,
 * with file, line and key in the detail. */
MUST_CHECK enum err auth_new(struct auth **out, const struct settings *s, struct err_detail *d);
void auth_free(struct auth *a);

/* What a policy looks at. */
struct auth_request {
    struct arena *arena;
    str authorization; /* the header, or none */
    /* The connection: who is at its other end ("192.0.2.1", "::1", "unix"), and its headers, not those
     * of a part of a batch. header() gives the value, none if it is absent or there twice. */
    str peer;
    str (*header)(void *ctx, str name);
    void *ctx;
};

struct auth_user {
    str id;     /* prefixed user id, "basicauth:1234..."; STR_NONE: anonymous */
    str policy; /* the prefix */
};

/* Fills `user` (strings in the arena). NOMEM. */
MUST_CHECK enum err auth_authenticate(const struct auth *a, struct auth_request *req,
                                      struct auth_user *user);

/* Value of WWW-Authenticate on a 401, a challenge for each policy that has one; STR_NONE: none has. */
str auth_challenge(const struct auth *a);
/* True if a policy of that name is in force (capabilities). */
bool auth_has_policy(const struct auth *a, str name);
/* The i-th policy in force: its name, and how clients authenticate by it (text of an OpenAPI 2.0
 * Security Scheme Object, or NULL). false: there are not that many. */
bool auth_policy_at(const struct auth *a, size_t i, str *name, const char **security);

#endif
