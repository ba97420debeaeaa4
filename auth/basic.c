/*
 * auth/basic.c - Basic authentication (RFC 7617) without accounts: whoever comes with a name and a
 * password *is* the user HMAC-SHA256(secret, "name:password"), in hex. Nobody signs up, and two
 * servers with the same secret know the same users. An empty password is fine; an empty name, no
 * colon or undecodable base64 are no credentials.
 */
#include "auth/private.h"
#include "base/hash.h"

/* The part behind "Basic ", or none. The scheme's case does not matter. */
static str basic_credentials(str header)
{
    str rest = header, scheme = str_cut(&rest, ' ');
    if (str_none(rest) || !str_eq_nocase(scheme, STR("Basic")))
        return STR_NONE;
    return str_trim(rest);
}

enum err basic_authenticate(const struct auth *a, struct auth_request *req, str *user_id)
{
    str encoded = basic_credentials(req->authorization), credentials;
    if (str_none(encoded))
        return OK;
    enum err e = hash_base64_decode(req->arena, encoded, &credentials);
    if (e == ERR_NOMEM)
        return e;
    size_t colon = e == OK ? str_find(credentials, ':') : STR_NPOS;
    if (colon == STR_NPOS || colon == 0)
        return OK;
    uint8_t mac[HASH_SHA256_LEN];
    char hex[2 * HASH_SHA256_LEN + 1];
    hash_hmac_sha256(a->hmac_secret, credentials, mac);
    hash_hex(mac, sizeof mac, hex);
    *user_id = arena_str(req->arena, str_from(hex));
    return str_none(*user_id) ? ERR_NOMEM : OK;
}
