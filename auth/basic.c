/*
 * auth/basic.c - Basic authentication (RFC 7617) without accounts: whoever comes with a name and a
 * password *is* the user HMAC-SHA256(secret, "name:password"), in hex. Nobody signs up, and two
 * servers with the same secret know the same users. An empty password is fine; an empty name, no
 * colon or undecodable base64 are no credentials.
 */
#include "auth/private.h"
#include "base/buf.h"
#include "base/hash.h"

/* The part behind "Basic ", or none. The scheme's case does not matter. */
static str basic_credentials(str header)
{
    str rest = header, scheme = str_cut(&rest, ' ');
    if (str_none(rest) || !str_eq_nocase(scheme, STR("Basic")))
        return STR_NONE;
    return str_trim(rest);
}

/* Credentials that are not UTF-8 are taken as Latin-1, and hashed as the UTF-8 of that. */
static str as_utf8(struct arena *a, str s)
{
    if (str_utf8_valid(s))
        return s;
    struct buf b;
    buf_init_arena(&b, a, SIZE_MAX / 2); /* the arena's budget is the limit */
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80)
            buf_add_char(&b, (char)(0xc0 | c >> 6));
        buf_add_char(&b, c >= 0x80 ? (char)(0x80 | (c & 0x3f)) : (char)c);
    }
    return buf_failed(&b) ? STR_NONE : buf_str(&b);
}

enum err basic_load(struct auth *a, struct auth_active *policy, const struct settings *s,
                    struct err_detail *d)
{
    (void)policy;
    (void)s;
    if (a->hmac_secret.n != 0)
        return OK;
    return err_set(d, ERR_SYNTAX, 0,
                   "kinto.userid_hmac_secret is not set, and Basic authentication needs it");
}

enum err basic_authenticate(const struct auth *a, const struct auth_active *policy,
                            struct auth_request *req, str *user_id)
{
    (void)policy;
    str encoded = basic_credentials(req->authorization), credentials;
    if (str_none(encoded))
        return OK;
    enum err e = hash_base64_decode(req->arena, encoded, &credentials);
    if (e == ERR_NOMEM)
        return e;
    size_t colon = e == OK ? str_find(credentials, ':') : STR_NPOS;
    if (colon == STR_NPOS || colon == 0)
        return OK;
    credentials = as_utf8(req->arena, credentials);
    if (str_none(credentials))
        return ERR_NOMEM;
    uint8_t mac[HASH_SHA256_LEN];
    char hex[2 * HASH_SHA256_LEN + 1];
    hash_hmac_sha256(a->hmac_secret, credentials, mac);
    hash_hex(mac, sizeof mac, hex);
    *user_id = arena_str(req->arena, str_from(hex));
    return str_none(*user_id) ? ERR_NOMEM : OK;
}
