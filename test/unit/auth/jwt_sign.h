/*
 * test/unit/auth/jwt_sign.h - signs tokens with the keys of RFC 7515 (jwt_keys.h). What it makes lies in
 * SIGN_ARENA, which the test defines first.
 */
#ifndef TEST_UNIT_AUTH_JWT_SIGN_H
#define TEST_UNIT_AUTH_JWT_SIGN_H

#include "base/hash.h"
#include "base/rand.h"
#include "test/support/unit.h"
#include "test/unit/auth/jwt_keys.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/rsa.h>
#include <mbedtls/version.h>

static int random_bytes(void *ctx, unsigned char *out, size_t n)
{
    (void)ctx;
    rand_bytes(out, n);
    return 0;
}

static str bytes_of(const char *base64url)
{
    str out = STR_NONE;
    ck_assert_int_eq(hash_base64url_decode(SIGN_ARENA, str_from(base64url), &out), OK);
    return out;
}

static str encode(str in)
{
    str s = hash_base64_encode(SIGN_ARENA, in);
    char *p = arena_cstr(SIGN_ARENA, s);

    ck_assert_ptr_nonnull(p);
    while (s.n > 0 && p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++)
        p[i] = p[i] == '+' ? '-' : p[i] == '/' ? '_' : p[i];
    return (str){p, s.n};
}

static void load_rsa(mbedtls_rsa_context *rsa)
{
    str part[5] = {bytes_of(RSA_N), bytes_of(RSA_P), bytes_of(RSA_Q), bytes_of(RSA_D),
                   STR("\1\0\1")};
    const uint8_t *p[5];

    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = (const uint8_t *)part[i].p;
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_rsa_init(rsa);
#else
    mbedtls_rsa_init(rsa, MBEDTLS_RSA_PKCS_V15, 0);
#endif
    ck_assert_int_eq(mbedtls_rsa_import_raw(rsa, p[0], part[0].n, p[1], part[1].n, p[2], part[2].n,
                                            p[3], part[3].n, p[4], part[4].n),
                     0);
    ck_assert_int_eq(mbedtls_rsa_complete(rsa), 0);
}

static str sign_rs256(str text)
{
    mbedtls_rsa_context rsa;
    uint8_t hash[HASH_SHA256_LEN];
    uint8_t *out = arena_alloc(SIGN_ARENA, 256);

    hash_sha256(text, hash);
    load_rsa(&rsa);
#if MBEDTLS_VERSION_MAJOR >= 3
    int r =
        mbedtls_rsa_pkcs1_sign(&rsa, random_bytes, NULL, MBEDTLS_MD_SHA256, sizeof hash, hash, out);
#else
    int r = mbedtls_rsa_pkcs1_sign(&rsa, random_bytes, NULL, MBEDTLS_RSA_PRIVATE, MBEDTLS_MD_SHA256,
                                   sizeof hash, hash, out);
#endif
    ck_assert_int_eq(r, 0);
    mbedtls_rsa_free(&rsa);
    return (str){(char *)out, 256};
}

static str sign_es256(str text)
{
    mbedtls_ecp_group group;
    mbedtls_mpi d, r, s;
    uint8_t hash[HASH_SHA256_LEN];
    uint8_t *out = arena_alloc(SIGN_ARENA, 64);
    str secret = bytes_of(EC_D);

    hash_sha256(text, hash);
    mbedtls_ecp_group_init(&group);
    mbedtls_mpi_init(&d);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    ck_assert_int_eq(mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_SECP256R1), 0);
    ck_assert_int_eq(mbedtls_mpi_read_binary(&d, (const uint8_t *)secret.p, secret.n), 0);
    ck_assert_int_eq(mbedtls_ecdsa_sign(&group, &r, &s, &d, hash, sizeof hash, random_bytes, NULL),
                     0);
    ck_assert_int_eq(mbedtls_mpi_write_binary(&r, out, 32), 0);
    ck_assert_int_eq(mbedtls_mpi_write_binary(&s, out + 32, 32), 0);
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&d);
    mbedtls_ecp_group_free(&group);
    return (str){(char *)out, 64};
}

static str unsigned_token(str header, str claims)
{
    return ARENA_JOIN(SIGN_ARENA, encode(header), STR("."), encode(claims));
}

static str with_signature(str text, str signature)
{
    return ARENA_JOIN(SIGN_ARENA, text, STR("."), encode(signature));
}

static str make(const char *header, const char *claims)
{
    str text = unsigned_token(str_from(header), str_from(claims));
    bool ec = strstr(header, "ES256") != NULL;

    return with_signature(text, ec ? sign_es256(text) : sign_rs256(text));
}

#endif
