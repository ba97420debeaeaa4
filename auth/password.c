/*
 * auth/password.c - bcrypt by libcrypt (libxcrypt), whose static library needs no other.
 */
#include "auth/password.h"
#include "base/hash.h"
#include "base/rand.h"
#include <crypt.h>

#define HASH_BYTES 60 /* "$2b$12$", 22 of the salt, 31 of the hash */

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

struct hashed {
    char text[CRYPT_OUTPUT_SIZE]; /* empty: it was no setting */
};

/* As crypt(3). What it works with is large, and wiped and released at once. NOMEM. */
static enum err crypt_with(struct arena *a, str password, const char *setting, struct hashed *out)
{
    struct arena_mark before = arena_mark(a);
    struct crypt_data *data = ARENA_NEW(a, struct crypt_data);
    char *phrase =
        arena_cstr(a, str_sub(password, 0, MIN_OF(password.n, (size_t)PASSWORD_MAX_BYTES)));
    bool room = data != NULL && phrase != NULL;
    *out = (struct hashed){0};
    if (room) {
        const char *text = crypt_rn(phrase, setting, data, (int)sizeof *data);
        if (text != NULL)
            memcpy(out->text, text, strnlen(text, sizeof out->text - 1));
        explicit_bzero(data, sizeof *data);
        explicit_bzero(phrase, strlen(phrase));
    }
    arena_release(a, before);
    return room ? OK : ERR_NOMEM;
}

enum err password_hash(struct arena *a, str password, unsigned cost, str *hash)
{
    char salt[16], setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (!password_is_usable(password) || cost < PASSWORD_MIN_COST || cost > PASSWORD_MAX_COST)
        return ERR_RANGE;
    rand_bytes(salt, sizeof salt);
    CHECK(crypt_gensalt_rn("$2b$", cost, salt, sizeof salt, setting, sizeof setting));
    struct hashed made;
    enum err e = crypt_with(a, password, setting, &made);
    if (e != OK)
        return e;
    CHECK(strlen(made.text) == HASH_BYTES);
    *hash = arena_str(a, str_from(made.text));
    return str_none(*hash) ? ERR_NOMEM : OK;
}

enum err password_check(struct arena *a, str password, str hash, bool *same)
{
    unsigned cost = cost_of(hash);
    *same = false;
    if (cost < PASSWORD_MIN_COST || cost > PASSWORD_MAX_COST ||
        str_find(password, '\0') != STR_NPOS)
        return OK;
    char setting[HASH_BYTES + 1] = {0};
    memcpy(setting, hash.p, HASH_BYTES);
    struct hashed made;
    enum err e = crypt_with(a, password, setting, &made);
    *same = e == OK && hash_equal(str_from(made.text), hash);
    return e;
}
