/*
 * auth/basic.c - Basic authentication (RFC 7617) without accounts: whoever comes with a name and a
 * password *is* the user HMAC-SHA256(secret, "name:password"), in hex. Nobody signs up, and two
 * servers with the same secret know the same users. An empty password is fine; an empty name, no
 * colon or undecodable base64 are no credentials.
 */
#include "auth/private.h"
#include "base/hash.h"
#include "base/rand.h"

/* The part behind "Basic ", or none. The scheme's case does not matter. */
static str basic_credentials(str header)
{
    str rest = header, scheme = str_cut(&rest, ' ');
    if (str_none(rest) || !str_eq_nocase(scheme, STR("Basic")))
        return STR_NONE;
    return str_trim(rest);
}

bool auth_basic_credentials(struct auth_request *req, str *name, str *password, enum err *e)
{
    str encoded = basic_credentials(req->authorization), credentials;
    *name = *password = STR_NONE;
    *e = OK;
    if (str_none(encoded))
        return false;
    enum err decoded = hash_base64_decode(req->arena, encoded, &credentials);
    if (decoded == OK) /* what is hashed is the UTF-8 of both ways to write a name */
        credentials = arena_utf8(req->arena, credentials);
    if (decoded == ERR_NOMEM || (decoded == OK && str_none(credentials)))
        *e = ERR_NOMEM;
    if (decoded != OK || *e != OK)
        return false;
    size_t colon = str_find(credentials, ':');
    if (colon == STR_NPOS || colon == 0)
        return false;
    *name = str_sub(credentials, 0, colon);
    *password = str_drop(credentials, colon + 1);
    return true;
}

struct basic {
    str secret;
    struct siphash_key tags; /* of what is remembered (memory.c): drawn anew at each start */
};

_Static_assert(AUTH_ANSWER_BYTES == 2 * (size_t)HASH_SHA256_LEN, "a user is an answer");

static enum err load(struct arena *arena, struct auth_active *policy, const struct settings *s,
                     struct err_detail *d)
{
    struct basic *b = ARENA_NEW(arena, struct basic);
    if (b == NULL)
        return ERR_NOMEM;
    b->secret = settings_str(s, "kinto.userid_hmac_secret");
    rand_bytes(&b->tags, sizeof b->tags);
    policy->data = b;
    if (b->secret.n != 0)
        return OK;
    return err_set(d, ERR_SYNTAX, 0,
                   "kinto.userid_hmac_secret is not set, and Basic authentication needs it");
}

static enum err answer(struct auth_request *req, const char hex[AUTH_ANSWER_BYTES], str *user_id)
{
    *user_id = arena_str(req->arena, (str){hex, AUTH_ANSWER_BYTES});
    return str_none(*user_id) ? ERR_NOMEM : OK;
}

static enum err authenticate(const struct auth_active *policy, struct auth_request *req,
                             str *user_id)
{
    const struct basic *b = policy->data;
    struct siphash_tag tag;
    str name, password;
    enum err e;
    if (str_none(req->authorization))
        return OK;
    tag = siphash128(&b->tags, req->authorization);
    const char *known = req->memory ? auth_recall(req->memory, &tag) : NULL;
    if (known)
        return answer(req, known, user_id);
    if (!auth_basic_credentials(req, &name, &password, &e))
        return e;
    str credentials = {name.p, name.n + 1 + password.n}; /* as they came, with the colon */
    char hex[2 * HASH_SHA256_LEN + 1];
    hash_hmac_sha256_hex(b->secret, credentials, hex);
    if (req->memory)
        auth_remember(req->memory, &tag, hex);
    return answer(req, hex, user_id);
}

const struct auth_policy basic_policy = {
    .name = "basicauth",
    .paths = "kinto.core.authentication.BasicAuthAuthenticationPolicy",
    .takes_any = true,
    .load = load,
    .authenticate = authenticate,
    .scheme = "Basic",
    .security = "{\"type\":\"basic\"}",
};
