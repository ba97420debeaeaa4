/*
 * base/hash.h - SHA-256, HMAC-SHA-256, hex and base64. The hashes are mbedtls', whose headers only
 * hash.c includes. Any thread.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/arena.h"

#define HASH_SHA256_LEN 32

void hash_sha256(str data, uint8_t out[HASH_SHA256_LEN]);
void hash_hmac_sha256(str key, str data, uint8_t out[HASH_SHA256_LEN]); /* RFC 2104 */
void hash_hex(const uint8_t *in, size_t n, char *out); /* 2n lower-case digits and a NUL */
void hash_hmac_sha256_hex(str key, str data, char out[2 * HASH_SHA256_LEN + 1]);

/* The same bytes? Takes as long wherever the first difference is (not, whatever their lengths are): for all
 * that somebody may guess at: hashes of passwords, keys, tokens. */
bool hash_equal(str a, str b);

/* RFC 4648 section 4, padded. STR_NONE when the arena fails. */
str hash_base64_encode(struct arena *a, str in);
/*
 * Decodes as Python's base64.b64decode does: characters outside the alphabet are skipped, missing
 * or misplaced padding is SYNTAX. The clients of the reference depend on what it accepts. The
 * result is NUL-terminated behind its length.
 */
MUST_CHECK enum err hash_base64_decode(struct arena *a, str in, str *out);
/*
 * RFC 4648 section 5 without padding, as JOSE writes it (RFC 7515, section 2). Strict: any other
 * character, a length that no bytes have, and bits left over that are not zero are SYNTAX, so that
 * bytes have one spelling only. The result is NUL-terminated behind its length.
 */
MUST_CHECK enum err hash_base64url_decode(struct arena *a, str in, str *out);

#endif
