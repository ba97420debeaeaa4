/* auth/private.h - what the files of auth/ share. */
#ifndef AUTH_PRIVATE_H
#define AUTH_PRIVATE_H

#include "auth/auth.h"
#include "auth/jwt.h"
#include "base/native.h"
#include "base/siphash.h"

#define AUTH_MAX_POLICIES 16

struct auth {
    struct auth_active active[AUTH_MAX_POLICIES];
    size_t count;
    str challenge; /* of all of them, for WWW-Authenticate; or none */
    struct arena arena;
};

extern const struct auth_policy basic_policy, proxy_policy;

/* memory.c: a policy's own answers, by the header that they were given for. */
#define AUTH_ANSWER_BYTES ((size_t)64)
/* An answer of AUTH_ANSWER_BYTES, or NULL. Whoever asks makes the tag under a key of its own. */
const char *auth_recall(const struct auth_memory *m, const struct siphash_tag *tag);
void auth_remember(struct auth_memory *m, const struct siphash_tag *tag,
                   const char answer[AUTH_ANSWER_BYTES]);

/* jwks.c: did one of the keys sign that? */
enum jwt_alg { JWT_RS256, JWT_ES256 };
/*
 * Tries the keys with that `kid`, or, if it is none, all that fit `alg`. VALID, UNKNOWN_KEY,
 * UNSUITABLE_KEY, BAD_SIGNATURE or NO_MEMORY; does not fill in a detail.
 */
enum jwt_verdict jwks_verify(const struct jwks *keys, enum jwt_alg alg, str kid, str signed_text,
                             str signature);

#endif
