/*
 * auth/jwks.c - key sets, and signatures by their keys, over mbedtls (2.28 and 3.x). The only file of
 * this room that includes its headers.
 *
 * A set holds the numbers of its keys as bytes. mbedtls' contexts are made of them for each signature
 * and are gone behind it: verifying writes into a context (what speeds up the next use), and a lock
 * around it would make the threads wait for each other. Making one costs little beside its use.
 *
 * Keys that cannot be used stay in the set by their `kid`, so that a token that names one is known
 * to be hopeless: fetching the keys anew would not help.
 */
#include "auth/private.h"
#include "base/hash.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/rsa.h>
#include <mbedtls/version.h>

#define MIN_RSA_BITS 2048 /* RFC 7518, section 3.3 */
#define MAX_RSA_BITS 4096 /* bounds the work for a signature */
#define MAX_E_BYTES  4
#define P256_BYTES   32

/* JSON takes up to about 50 times its text as values ("[[],[],[..."). */
#define SCRATCH_BYTES (8 * MIB)
#define SET_BYTES     (1 * MIB) /* more than all of JWKS_MAX_BYTES */

enum jwk_type { JWK_UNUSABLE, JWK_RSA, JWK_P256 };

struct jwk {
    enum jwk_type type;
    str kid;   /* or none */
    str n, e;  /* of JWK_RSA: big-endian, without leading zeros */
    str point; /* of JWK_P256: 4, x, y (SEC 1, section 2.3.3) */
};

struct jwks {
    struct arena arena;
    size_t count;
    struct jwk keys[JWKS_MAX_KEYS];
};

/* ---- mbedtls --------------------------------------------------------------------------------- */

/*
 * Its codes are sums of a high-level and a low-level one; either may say it. Whether a signature is
 * right is then not known: "wrong" would be a lie. (2.28 seeds a random generator for ECDSA, of which
 * the message digest may be what lacks memory.)
 */
static bool is_out_of_memory(int r)
{
    int high = -(-r & ~0x7f), low = -(-r & 0x7f);
    return low == MBEDTLS_ERR_MPI_ALLOC_FAILED || high == MBEDTLS_ERR_ECP_ALLOC_FAILED ||
           high == MBEDTLS_ERR_MD_ALLOC_FAILED;
}

static const uint8_t *bytes(str s)
{
    return (const uint8_t *)s.p;
}

static void rsa_init(mbedtls_rsa_context *rsa)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_rsa_init(rsa);
#else
    mbedtls_rsa_init(rsa, MBEDTLS_RSA_PKCS_V15, 0);
#endif
}

static int rsa_load(mbedtls_rsa_context *rsa, const struct jwk *key)
{
    int r = mbedtls_rsa_import_raw(rsa, bytes(key->n), key->n.n, NULL, 0, NULL, 0, NULL, 0,
                                   bytes(key->e), key->e.n);
    return r == 0 ? mbedtls_rsa_complete(rsa) : r;
}

static int rsa_check(const struct jwk *key)
{
    mbedtls_rsa_context rsa;

    rsa_init(&rsa);
    int r = rsa_load(&rsa, key);
    if (r == 0)
        r = mbedtls_rsa_check_pubkey(&rsa);
    mbedtls_rsa_free(&rsa);
    return r;
}

/* RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2.2). */
static int rsa_verify(const struct jwk *key, const uint8_t hash[HASH_SHA256_LEN], str signature)
{
    mbedtls_rsa_context rsa;

    if (signature.n != key->n.n)
        return MBEDTLS_ERR_RSA_VERIFY_FAILED;
    rsa_init(&rsa);
    int r = rsa_load(&rsa, key);
    if (r == 0)
#if MBEDTLS_VERSION_MAJOR >= 3
        r = mbedtls_rsa_rsassa_pkcs1_v15_verify(&rsa, MBEDTLS_MD_SHA256, HASH_SHA256_LEN, hash,
                                                bytes(signature));
#else
        r = mbedtls_rsa_rsassa_pkcs1_v15_verify(&rsa, NULL, NULL, MBEDTLS_RSA_PUBLIC,
                                                MBEDTLS_MD_SHA256, HASH_SHA256_LEN, hash,
                                                bytes(signature));
#endif
    mbedtls_rsa_free(&rsa);
    return r;
}

struct p256 {
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_mpi r, s;
};

static void p256_init(struct p256 *c)
{
    mbedtls_ecp_group_init(&c->group);
    mbedtls_ecp_point_init(&c->point);
    mbedtls_mpi_init(&c->r);
    mbedtls_mpi_init(&c->s);
}

static void p256_free(struct p256 *c)
{
    mbedtls_mpi_free(&c->s);
    mbedtls_mpi_free(&c->r);
    mbedtls_ecp_point_free(&c->point);
    mbedtls_ecp_group_free(&c->group);
}

static int p256_load(struct p256 *c, const struct jwk *key)
{
    int r = mbedtls_ecp_group_load(&c->group, MBEDTLS_ECP_DP_SECP256R1);
    return r == 0 ? mbedtls_ecp_point_read_binary(&c->group, &c->point, bytes(key->point),
                                                  key->point.n)
                  : r;
}

/* Is the point on the curve? */
static int p256_check(const struct jwk *key)
{
    struct p256 c;

    p256_init(&c);
    int r = p256_load(&c, key);
    if (r == 0)
        r = mbedtls_ecp_check_pubkey(&c.group, &c.point);
    p256_free(&c);
    return r;
}

/* ECDSA (SEC 1, section 4.1.4, whose first step refuses r and s outside of 1 to n - 1); the signature
 * is r, s as RFC 7518, section 3.4 has it. */
static int p256_verify(const struct jwk *key, const uint8_t hash[HASH_SHA256_LEN], str signature)
{
    struct p256 c;

    if (signature.n != (size_t)2 * P256_BYTES)
        return MBEDTLS_ERR_ECP_VERIFY_FAILED;
    p256_init(&c);
    int r = p256_load(&c, key);
    if (r == 0)
        r = mbedtls_mpi_read_binary(&c.r, bytes(signature), P256_BYTES);
    if (r == 0)
        r = mbedtls_mpi_read_binary(&c.s, bytes(signature) + P256_BYTES, P256_BYTES);
    if (r == 0)
        r = mbedtls_ecdsa_verify(&c.group, hash, HASH_SHA256_LEN, &c.point, &c.r, &c.s);
    p256_free(&c);
    return r;
}

/* ---- reading a key --------------------------------------------------------------------------- */

/* A member that is absent, or that very string. */
static bool may_be(const struct json *v, str name, str value)
{
    return json_get(v, name) == NULL || str_eq(json_get_str(v, name, STR_NONE), value);
}

/* `key_ops` (RFC 7517, section 4.3): absent, or with "verify" in it. */
static bool may_verify(const struct json *v)
{
    const struct json *ops = json_get(v, STR("key_ops"));

    for (size_t i = 0; i < json_count(ops); i++) {
        const struct json *op = json_at(ops, i);
        if (json_is(op, JSON_STRING) && str_eq(json_string(op), STR("verify")))
            return true;
    }
    return ops == NULL;
}

/* A number or a coordinate; none (and OK) when it is not there or no base64url. */
static enum err read_bytes(struct arena *a, const struct json *v, str name, str *out)
{
    str text = json_get_str(v, name, STR_NONE);

    *out = STR_NONE;
    if (str_none(text))
        return OK;
    enum err e = hash_base64url_decode(a, text, out);
    return e == ERR_SYNTAX ? OK : e;
}

static str without_zeros(str n)
{
    while (n.n > 0 && n.p[0] == '\0')
        n = str_drop(n, 1);
    return n;
}

static size_t bits_of(str n)
{
    return n.n == 0 ? 0 : n.n * 8 - (size_t)(__builtin_clz(bytes(n)[0]) - 24);
}

static bool is_odd(str n)
{
    return n.n > 0 && (bytes(n)[n.n - 1] & 1) != 0;
}

/* The kind of key that mbedtls agrees it is; NOMEM. */
static enum err settle(struct jwk *key, enum jwk_type type, int r)
{
    if (is_out_of_memory(r))
        return ERR_NOMEM;
    key->type = r == 0 ? type : JWK_UNUSABLE;
    return OK;
}

/* RFC 7518, section 6.3.1. */
static enum err read_rsa(struct arena *a, const struct json *v, struct jwk *key)
{
    enum err e = read_bytes(a, v, STR("n"), &key->n);
    if (e == OK)
        e = read_bytes(a, v, STR("e"), &key->e);
    if (e != OK)
        return e;
    key->n = without_zeros(key->n);
    key->e = without_zeros(key->e);
    if (bits_of(key->n) < MIN_RSA_BITS || bits_of(key->n) > MAX_RSA_BITS || !is_odd(key->n))
        return OK;
    if (key->e.n > MAX_E_BYTES || bits_of(key->e) < 2 || !is_odd(key->e))
        return OK;
    return settle(key, JWK_RSA, rsa_check(key));
}

/* RFC 7518, section 6.2.1. */
static enum err read_p256(struct arena *a, const struct json *v, struct jwk *key)
{
    str x, y;

    if (!str_eq(json_get_str(v, STR("crv"), STR_NONE), STR("P-256")))
        return OK;
    enum err e = read_bytes(a, v, STR("x"), &x);
    if (e == OK)
        e = read_bytes(a, v, STR("y"), &y);
    if (e != OK || x.n != P256_BYTES || y.n != P256_BYTES)
        return e;
    key->point = ARENA_JOIN(a, STR("\4"), x, y);
    return str_none(key->point) ? ERR_NOMEM : settle(key, JWK_P256, p256_check(key));
}

static const struct {
    str kty, alg;
    enum err (*read)(struct arena *a, const struct json *v, struct jwk *key);
} kinds[] = {
    {STR_INIT("RSA"), STR_INIT("RS256"), read_rsa},
    {STR_INIT("EC"), STR_INIT("ES256"), read_p256},
};

/* Fills in a key of type JWK_UNUSABLE, which it stays if anything is not as it must be. NOMEM. */
static enum err read_key(struct arena *a, const struct json *v, struct jwk *key)
{
    str kty = json_get_str(v, STR("kty"), STR_NONE), kid = json_get_str(v, STR("kid"), STR_NONE);

    if (!str_none(kid)) {
        key->kid = arena_str(a, kid);
        if (str_none(key->kid))
            return ERR_NOMEM;
    } else if (json_get(v, STR("kid")) != NULL) {
        return OK;
    }
    if (!may_be(v, STR("use"), STR("sig")) || !may_verify(v))
        return OK;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kty, kinds[i].kty) && may_be(v, STR("alg"), kinds[i].alg))
            return kinds[i].read(a, v, key);
    return OK;
}

/* ---- a set ----------------------------------------------------------------------------------- */

static enum err parse(struct arena *a, str text, const struct json **keys, struct err_detail *d)
{
    struct json *v;
    struct json_error error;

    if (text.n > JWKS_MAX_BYTES)
        return err_set(d, ERR_LIMIT, 0, "the key set is longer than %zu bytes", JWKS_MAX_BYTES);
    enum err e = json_parse(a, text, &v, &error);
    if (e == ERR_NOMEM)
        return a->over_budget ? err_set(d, ERR_LIMIT, 0, "the key set has too many values") : e;
    if (e != OK)
        return err_set(d, e, 0, "the key set, line %u, column %u: %s", error.line, error.column,
                       error.what);
    *keys = json_get_typed(v, STR("keys"), JSON_ARRAY);
    if (*keys == NULL)
        return err_set(d, ERR_SYNTAX, 0, "the key set is no object with an array \"keys\"");
    if (json_count(*keys) > JWKS_MAX_KEYS)
        return err_set(d, ERR_LIMIT, 0, "the key set has more than %d keys", JWKS_MAX_KEYS);
    return OK;
}

static enum err fill(struct jwks *set, struct arena *scratch, str text, struct err_detail *d)
{
    const struct json *keys = NULL;
    enum err e = parse(scratch, text, &keys, d);

    for (size_t i = 0; e == OK && i < json_count(keys); i++)
        e = read_key(&set->arena, json_at(keys, i), &set->keys[set->count++]);
    return e;
}

enum err jwks_new(struct jwks **out, str text, struct err_detail *d)
{
    struct arena scratch;
    struct jwks *set = calloc(1, sizeof *set);

    if (set == NULL)
        return ERR_NOMEM;
    arena_init(&set->arena, NULL, 0, NULL, SET_BYTES);
    arena_init(&scratch, NULL, 0, NULL, SCRATCH_BYTES);
    enum err e = fill(set, &scratch, text, d);
    arena_fini(&scratch);
    if (e == OK)
        *out = set;
    else
        jwks_free(set);
    return e;
}

void jwks_free(struct jwks *keys)
{
    if (keys == NULL)
        return;
    arena_fini(&keys->arena);
    free(keys);
}

size_t jwks_count(const struct jwks *keys)
{
    size_t n = 0;

    for (size_t i = 0; i < keys->count; i++)
        n += keys->keys[i].type != JWK_UNUSABLE;
    return n;
}

/* ---- signatures ------------------------------------------------------------------------------ */

static bool fits(const struct jwk *key, enum jwt_alg alg)
{
    switch (alg) {
    case JWT_RS256:
        return key->type == JWK_RSA;
    case JWT_ES256:
        return key->type == JWK_P256;
    }
    return false;
}

static enum jwt_verdict try(const struct jwk *key, enum jwt_alg alg,
                            const uint8_t hash[HASH_SHA256_LEN], str signature)
{
    int r = alg == JWT_RS256 ? rsa_verify(key, hash, signature) : p256_verify(key, hash, signature);

    if (r == 0)
        return JWT_VALID;
    return is_out_of_memory(r) ? JWT_NO_MEMORY : JWT_BAD_SIGNATURE;
}

enum jwt_verdict jwks_verify(const struct jwks *keys, enum jwt_alg alg, str kid, str signed_text,
                             str signature)
{
    uint8_t hash[HASH_SHA256_LEN];
    enum jwt_verdict v = JWT_UNKNOWN_KEY;
    unsigned tried = 0;

    hash_sha256(signed_text, hash);
    for (size_t i = 0; i < keys->count && tried < JWT_MAX_TRIED; i++) {
        const struct jwk *key = &keys->keys[i];
        if (!str_none(kid) && (str_none(key->kid) || !str_eq(key->kid, kid)))
            continue;
        if (!fits(key, alg)) {
            if (!str_none(kid) && tried == 0)
                v = JWT_UNSUITABLE_KEY;
            continue;
        }
        tried++;
        v = try(key, alg, hash, signature);
        if (v != JWT_BAD_SIGNATURE)
            break;
    }
    return v;
}
