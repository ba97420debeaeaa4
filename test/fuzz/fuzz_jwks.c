/* A provider's key set, and a token for it. Input: key set 0xff token. */
#include "test/fuzz/fuzz.h"

#include "auth/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct jwt_rules rules = {STR_INIT("joe"), STR_INIT("kinto"), 1300819379, 60};
    str in = fuzz_input(data, size), set = fuzz_part(&in), token = fuzz_part(&in);
    struct err_detail d = {.text = ""};
    struct jwks *keys = NULL;
    struct jwt jwt = {NULL, 0};
    struct arena a;
    enum err e = jwks_new(&keys, set, &d);

    CHECK(e == OK || ((e == ERR_SYNTAX || e == ERR_LIMIT) && d.text[0] != '\0'));
    if (e != OK)
        return 0;
    CHECK(jwks_count(keys) <= JWKS_MAX_KEYS);
    arena_init(&a, NULL, 0, NULL, MIB);
    d.text[0] = '\0';
    char *exact = fuzz_copy(token);
    enum jwt_verdict v = jwt_verify(&a, (str){exact, token.n}, keys, &rules, &jwt, &d);
    CHECK(v != JWT_NO_MEMORY);
    CHECK((v == JWT_VALID) == (jwt.claims != NULL));
    if (v == JWT_VALID || v >= JWT_BAD_CLAIMS) /* it was signed */
        CHECK(jwt_looks_like((str){exact, token.n}));
    free(exact);
    arena_fini(&a);
    jwks_free(keys);
    return 0;
}
