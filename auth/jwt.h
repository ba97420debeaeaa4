/*
 * auth/jwt.h - JSON Web Tokens (RFC 7519) that somebody else signed, and the keys to check them by.
 *
 * In words: jwks_new() turns the text of a provider's key set into keys, once; jwt_verify() says of
 * each token whether one of these keys signed it, whether it is meant for us, and whether it is
 * valid now. Nothing here opens a connection or looks at a clock: fetching the keys anew, and when,
 * is the caller's business.
 *
 * Accepted are tokens in the compact serialisation (RFC 7515, section 7.1), signed with RS256 or
 * ES256 (RFC 7518, sections 3.3 and 3.4). Everything else is refused: `none` and the algorithms
 * with a shared secret, extensions that must be understood (`crit`), encrypted tokens. Keys come
 * out of the key set only; what a token says of keys (`jwk`, `jku`, `x5c`) is not looked at. Of
 * duplicate members the last one counts (RFC 7519, section 4).
 *
 * Cost: the claims are not parsed before the signature is right, so strangers can spend the time of
 * a header and of at most JWT_MAX_TRIED signatures: some 0.05 ms each with RS256 and a key of 2048
 * bits, 1.5 ms with ES256. Callers who see the same token often remember that it was valid.
 */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "json/json.h"

#define JWT_MAX_BYTES  (16 * KIB) /* of a token */
#define JWT_MAX_TRIED  8          /* keys, for one token */
#define JWKS_MAX_BYTES (128 * KIB)
#define JWKS_MAX_KEYS  64 /* usable or not */

/* ---- keys ------------------------------------------------------------------------------------ */

/* A set of public keys. Read-only: any number of threads may use it at once. */
struct jwks;

/*
 * Reads a JWK Set (RFC 7517, section 5); the set owns all it needs of the text. Usable are RSA keys
 * of 2048 to 4096 bits with an odd exponent from 3 to 2^32 - 1, and points of P-256, unless `use`,
 * `key_ops` or `alg` keep them for something else. The others are no error: other providers' next
 * algorithms are in there, too. It may be that no key is usable (jwks_count).
 * SYNTAX: no JWK Set; LIMIT: over JWKS_MAX_BYTES or JWKS_MAX_KEYS, or nested too deeply; with a
 * detail (d may be NULL). NOMEM.
 */
MUST_CHECK enum err jwks_new(struct jwks **out, str text, struct err_detail *d);
void jwks_free(struct jwks *keys);          /* may be NULL */
size_t jwks_count(const struct jwks *keys); /* of usable keys */

/* ---- tokens ---------------------------------------------------------------------------------- */

/* What became of a token. X(name, text) */
#define JWT_TABLE(X)                                                                               \
    X(VALID, "valid")                                                                              \
    /* Nothing is known of the token. */                                                           \
    X(NO_MEMORY, "out of memory")                                                                  \
    /* Not three parts in base64url, header or claims no JSON object, too long. */                 \
    X(MALFORMED, "not a signed JSON Web Token")                                                    \
    /* Another algorithm, `crit`, or a token for another purpose by its `typ`. */                  \
    X(UNSUPPORTED, "a kind of JSON Web Token that is not accepted")                                \
    /* The set has no key of that `kid`, or no fitting key at all: it may be outdated. */          \
    X(UNKNOWN_KEY, "signed with an unknown key")                                                   \
    /* The set has that key, but it is not for this algorithm, or not usable. */                   \
    X(UNSUITABLE_KEY, "signed with a key that is not for that")                                    \
    /* Also of a token without `kid` that none of the fitting keys signed. */                      \
    X(BAD_SIGNATURE, "the signature is wrong")                                                     \
    /* Signed, but `exp` is missing, or a claim is not of its type or out of range. */             \
    X(BAD_CLAIMS, "missing or malformed claims")                                                   \
    X(WRONG_ISSUER, "from another issuer")                                                         \
    X(WRONG_AUDIENCE, "for another audience")                                                      \
    X(EXPIRED, "expired")                                                                          \
    X(NOT_YET, "not valid yet")

enum jwt_verdict {
#define X(name, text) JWT_##name,
    JWT_TABLE(X)
#undef X
};

const char *jwt_verdict_text(enum jwt_verdict v); /* static storage */

/* What is expected of a token. */
struct jwt_rules {
    str issuer;       /* `iss`, byte by byte */
    str audience;     /* that `aud` is or has in it */
    int64_t now_s;    /* seconds since 1970-01-01 UTC, not negative, up to the year 9999 */
    int64_t leeway_s; /* by how much clocks may differ: 0 to JWT_MAX_LEEWAY_S */
};
#define JWT_MAX_LEEWAY_S 86400

struct jwt {
    struct json *claims; /* an object */
    int64_t expires_s;   /* `exp`, rounded to a second, without leeway */
};

/*
 * JWT_VALID: `out` is filled; claims live in the arena. Else `out` is untouched, and the detail (may
 * be NULL) says more than the verdict; what it quotes of the token is printable ASCII, and cut.
 *   exp  is required; the token is valid before exp + leeway (RFC 7519, section 4.1.4)
 *   nbf, iat  if there: not later than now + leeway. All three: 0 to the end of the year 9999,
 *        fractions allowed (NumericDate, section 2)
 *   iss  is required and the very string: "https://a" is not "https://a/"
 *   aud  is required: a string, or an array of strings. With several of them, `azp` has to be the
 *        expected audience, too (OpenID Connect Core 1.0, section 3.1.3.7): a token for others and
 *        us, which others asked for, is not ours. With one, azp is not looked at.
 * The arena should have room for 1 MiB; JWT_NO_MEMORY when it is full.
 */
MUST_CHECK enum jwt_verdict jwt_verify(struct arena *a, str token, const struct jwks *keys,
                                       const struct jwt_rules *rules, struct jwt *out,
                                       struct err_detail *d);

/*
 * Is it worth an attempt? True of three parts in base64url, the first of which is a JSON object with
 * a string `alg`; the signature may be empty, so that unsigned tokens come to be refused. Opaque
 * tokens, and encrypted ones, are not. False also when there is no memory to tell.
 */
bool jwt_looks_like(str token);

#endif
