/*
 * base/hash.c - SHA-256 by mbedtls; HMAC, hex and base64 on top of it.
 *
 * HMAC is put together here from two runs of the hash: mbedtls' own allocates, and a function that
 * cannot run out of memory needs no error path in the many places that sign something.
 */
#include "base/hash.h"

#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

/* Before version 3 the variants that tell of errors bore a suffix. */
#if MBEDTLS_VERSION_MAJOR < 3
#define mbedtls_sha256_starts mbedtls_sha256_starts_ret
#define mbedtls_sha256_update mbedtls_sha256_update_ret
#define mbedtls_sha256_finish mbedtls_sha256_finish_ret
#endif

#define BLOCK 64 /* bytes, of SHA-256 */

/* The software implementation cannot fail; an accelerator that does leaves nothing to trust. */
static void sha256_of(str a, str b, uint8_t out[HASH_SHA256_LEN])
{
    mbedtls_sha256_context c;

    mbedtls_sha256_init(&c);
    CHECK(mbedtls_sha256_starts(&c, 0) == 0);
    if (a.n > 0)
        CHECK(mbedtls_sha256_update(&c, (const uint8_t *)a.p, a.n) == 0);
    if (b.n > 0)
        CHECK(mbedtls_sha256_update(&c, (const uint8_t *)b.p, b.n) == 0);
    CHECK(mbedtls_sha256_finish(&c, out) == 0);
    mbedtls_sha256_free(&c);
}

void hash_sha256(str data, uint8_t out[HASH_SHA256_LEN])
{
    sha256_of(data, STR_NONE, out);
}

void hash_hmac_sha256(str key, str data, uint8_t out[HASH_SHA256_LEN])
{
    uint8_t pad[BLOCK] = {0}, inner[HASH_SHA256_LEN];

    if (key.n > BLOCK)
        hash_sha256(key, pad);
    else if (key.n > 0)
        memcpy(pad, key.p, key.n);

    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    sha256_of((str){(const char *)pad, BLOCK}, data, inner);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    sha256_of((str){(const char *)pad, BLOCK}, (str){(const char *)inner, sizeof inner}, out);
    mbedtls_platform_zeroize(pad, sizeof pad);
    mbedtls_platform_zeroize(inner, sizeof inner);
}

void hash_hex(const uint8_t *in, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}

void hash_hmac_sha256_hex(str key, str data, char out[2 * HASH_SHA256_LEN + 1])
{
    uint8_t mac[HASH_SHA256_LEN];

    hash_hmac_sha256(key, data, mac);
    hash_hex(mac, sizeof mac, out);
}

bool hash_equal(str a, str b)
{
    volatile unsigned differ = a.n != b.n; /* volatile: no compiler may stop early */
    for (size_t i = 0; i < MIN_OF(a.n, b.n); i++)
        differ |= (unsigned)(unsigned char)(a.p[i] ^ b.p[i]);
    return differ == 0;
}

/* Up to three bytes to four characters. */
static char *encode_group(char *at, const uint8_t *in, size_t have)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t v = (uint32_t)in[0] << 16;

    v |= have > 1 ? (uint32_t)in[1] << 8 : 0u;
    v |= have > 2 ? in[2] : 0u;
    at[0] = alphabet[v >> 18];
    at[1] = alphabet[v >> 12 & 63];
    at[2] = have > 1 ? alphabet[v >> 6 & 63] : '=';
    at[3] = have > 2 ? alphabet[v & 63] : '=';
    return at + 4;
}

str hash_base64_encode(struct arena *a, str in)
{
    const uint8_t *from = (const uint8_t *)in.p;
    size_t n, bytes, i = 0;
    char *p, *at;

    /* An overflow asks for what no arena can give, so that its failure is remembered there. */
    if (!size_mul(in.n / 3 + 1, 4, &n) || !size_add(n, 1, &bytes))
        bytes = SIZE_MAX;
    p = at = arena_alloc(a, bytes);
    if (p == NULL)
        return STR_NONE;
    for (; in.n - i >= 3; i += 3)
        at = encode_group(at, from + i, 3);
    if (i < in.n)
        at = encode_group(at, from + i, in.n - i);
    *at = '\0';
    return (str){p, (size_t)(at - p)};
}

/* The six bits of a character of the alphabet, or -1. */
static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/*
 * A "=" counts only from the third character of a group on, and only while nothing of the alphabet
 * follows; the one that completes a group ends the text, whatever comes behind it.
 */
enum err hash_base64_decode(struct arena *a, str in, str *out)
{
    char *p = arena_alloc(a, in.n / 4 * 3 + 4);
    unsigned group = 0, pads = 0; /* characters of the present group; "=" in a row */
    uint32_t bits = 0;
    size_t n = 0;

    if (p == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < in.n; i++) {
        int v = sextet(in.p[i]);

        if (in.p[i] == '=' && group >= 2 && group + ++pads >= 4) {
            group = 0;
            break;
        }
        if (v < 0)
            continue;
        pads = 0;
        bits = bits << 6 | (uint32_t)v;
        if (group > 0)
            p[n++] = (char)(bits >> (6 - 2 * group));
        group = (group + 1) % 4;
    }
    if (group != 0)
        return ERR_SYNTAX;
    p[n] = '\0';
    *out = (str){p, n};
    return OK;
}

static int url_sextet(char c)
{
    if (c == '+' || c == '/')
        return -1;
    return sextet(c == '-' ? '+' : c == '_' ? '/' : c);
}

enum err hash_base64url_decode(struct arena *a, str in, str *out)
{
    char *p = arena_alloc(a, in.n / 4 * 3 + 4);
    uint32_t bits = 0;
    unsigned held = 0; /* bits that are not written yet: 0, 2, 4 or 6 */
    size_t n = 0;

    if (p == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < in.n; i++) {
        int v = url_sextet(in.p[i]);

        if (v < 0)
            return ERR_SYNTAX;
        bits = bits << 6 | (uint32_t)v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            p[n++] = (char)(bits >> held);
        }
    }
    if (held == 6 || (bits & ((1u << held) - 1)) != 0)
        return ERR_SYNTAX;
    p[n] = '\0';
    *out = (str){p, n};
    return OK;
}
