/*
 * auth/password.c - bcrypt by libcrypt (libxcrypt), whose static library needs no other.
 */
#include "auth/password.h"
#include "base/rand.h"
#include <crypt.h>

#define HASH_BYTES ((size_t)60) /* "$2b$12$", 22 of the salt, 31 of the hash */

bool password_is_usable(str password)
{
    return password.n > 0 && password.n <= PASSWORD_MAX_BYTES &&
           str_find(password, '\0') == STR_NPOS;
}

/* "$2b$12$..." -> 12; 0: not a bcrypt hash. */
static unsigned cost_of(str hash)
{
    bool form = hash.n == HASH_BYTES && str_starts(hash, STR("$2")) &&
                (hash.p[2] == 'a' || hash.p[2] == 'b' || hash.p[2] == 'y') && hash.p[3] == '$' &&
                str_is_digit(hash.p[4]) && str_is_digit(hash.p[5]) && hash.p[6] == '$';
    return form ? (unsigned)(10 * (hash.p[4] - '0') + (hash.p[5] - '0')) : 0;
}

/* As crypt(3). STR_NONE with OK: it is no setting. */
static enum err crypt_with(struct arena *a, str password, const char *setting, str *out)
{
    struct crypt_data *data = ARENA_NEW(a, struct crypt_data);
    char *phrase = arena_cstr(a, str_sub(password, 0, MIN_OF(password.n, PASSWORD_MAX_BYTES)));
    if (data == NULL || phrase == NULL)
        return ERR_NOMEM;
    const char *text = crypt_rn(phrase, setting, data, (int)sizeof *data);
    *out = text ? arena_str(a, str_from(text)) : STR_NONE;
    memset(phrase, 0, strlen(phrase));
    return text && str_none(*out) ? ERR_NOMEM : OK;
}

enum err password_hash(struct arena *a, str password, unsigned cost, str *hash)
{
    char salt[16], setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!password_is_usable(password) || cost < PASSWORD_MIN_COST || cost > PASSWORD_MAX_COST)
        return ERR_RANGE;
    rand_bytes(salt, sizeof salt);
    CHECK(crypt_gensalt_rn("$2b$", cost, salt, sizeof salt, setting, sizeof setting));
    enum err e = crypt_with(a, password, setting, hash);
    CHECK(e != OK || hash->n == HASH_BYTES);
    return e;
}

/* Takes as long wherever the first difference is. */
static bool equal(str a, str b)
{
    unsigned differ = a.n != b.n;
    for (size_t i = 0; i < MIN_OF(a.n, b.n); i++)
        differ |= (unsigned)(unsigned char)(a.p[i] ^ b.p[i]);
    return differ == 0;
}

enum err password_check(struct arena *a, str password, str hash, bool *same)
{
    unsigned cost = cost_of(hash);
    *same = false;
    if (cost < PASSWORD_MIN_COST || cost > PASSWORD_MAX_COST ||
        str_find(password, '\0') != STR_NPOS)
        return OK;
    str got = STR_NONE;
    const char *setting = arena_cstr(a, hash);
    enum err e = setting ? crypt_with(a, password, setting, &got) : ERR_NOMEM;
    *same = e == OK && !str_none(got) && equal(got, hash);
    return e;
}
