/* auth/private.h - what the files of auth/ share. */
#ifndef AUTH_PRIVATE_H
#define AUTH_PRIVATE_H

#include "auth/auth.h"
#include "auth/jwt.h"
#include "base/native.h"

struct auth_active;

/* Reads the settings of a policy in force; may set its data (in the arena of auth). SYNTAX, NOMEM. */
typedef enum err (*auth_loader)(struct auth *a, struct auth_active *policy,
                                const struct settings *s, struct err_detail *d);
/* Sets *user_id (without prefix, in the request's arena) when it recognises the credentials, leaves
 * it alone when not. NOMEM. */
typedef enum err (*auth_function)(const struct auth *a, const struct auth_active *policy,
                                  struct auth_request *req, str *user_id);

struct auth_policy {
    const char *name; /* as rows of policies.def call it */
    auth_loader load;
    auth_function authenticate;
    const char *scheme; /* of its challenge, or NULL: has none */
    const char *path;
    const char *security; /* text of an OpenAPI Security Scheme Object, or NULL */
};

struct auth_active {
    str name;   /* as multiauth.policies calls it */
    str prefix; /* of user ids: the name in lower case */
    const struct auth_policy *policy;
    const void *data; /* the policy's own */
};

#define AUTH_MAX_POLICIES 16

struct auth {
    struct auth_active active[AUTH_MAX_POLICIES];
    size_t count;
    str challenge;   /* of all of them, for WWW-Authenticate; or none */
    str hmac_secret; /* of the settings */
    struct arena arena;
};

/* A setting of one policy, multiauth.policy.NAME.something; value: none when unset. */
struct auth_setting {
    str name, value, origin;
};
struct auth_setting auth_setting(const struct settings *s, const char *pattern, str name);

enum err basic_load(struct auth *a, struct auth_active *policy, const struct settings *s,
                    struct err_detail *d);
enum err basic_authenticate(const struct auth *a, const struct auth_active *policy,
                            struct auth_request *req, str *user_id);
enum err proxy_load(struct auth *a, struct auth_active *policy, const struct settings *s,
                    struct err_detail *d);
enum err proxy_authenticate(const struct auth *a, const struct auth_active *policy,
                            struct auth_request *req, str *user_id);

/* jwks.c: did one of the keys sign that? */
enum jwt_alg { JWT_RS256, JWT_ES256 };
/*
 * Tries the keys with that `kid`, or, if it is none, all that fit `alg`. VALID, UNKNOWN_KEY,
 * UNSUITABLE_KEY, BAD_SIGNATURE or NO_MEMORY; does not fill in a detail.
 */
enum jwt_verdict jwks_verify(const struct jwks *keys, enum jwt_alg alg, str kid, str signed_text,
                             str signature);

#endif
