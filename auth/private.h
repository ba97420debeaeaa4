/* auth/private.h - what the files of auth/ share. */
#ifndef AUTH_PRIVATE_H
#define AUTH_PRIVATE_H

#include "auth/auth.h"

/* Sets *user_id (without prefix, in the request's arena) when it recognises the credentials, leaves
 * it alone when not. NOMEM. */
typedef enum err (*auth_function)(const struct auth *a, struct auth_request *req, str *user_id);

struct auth_policy {
    const char *name; /* as rows of policies.def call it */
    auth_function authenticate;
    const char *scheme; /* of its challenge, or NULL: has none */
    const char *path;
    const char *security; /* text of an OpenAPI Security Scheme Object, or NULL */
};

struct auth_active {
    str name;   /* as multiauth.policies calls it */
    str prefix; /* of user ids: the name in lower case */
    const struct auth_policy *policy;
};

#define AUTH_MAX_POLICIES 16

struct auth {
    struct auth_active active[AUTH_MAX_POLICIES];
    size_t count;
    str challenge;   /* of all of them, for WWW-Authenticate; or none */
    str hmac_secret; /* of the settings */
    struct arena arena;
};

enum err basic_authenticate(const struct auth *a, struct auth_request *req, str *user_id);

#endif
