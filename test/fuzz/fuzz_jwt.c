/*
 * The claims of a token. Strangers have no signature that is right, but some have an account at the
 * provider, and say what is in its claims: here every signature is right. Input: a byte that picks the
 * clock, and the token; or, when the byte is odd, the text of its claims.
 */
#include "test/fuzz/fuzz.h"

#define jwks_verify is_signed
#include "auth/jwt.c"
#undef jwks_verify

#include "base/hash.h"

enum jwt_verdict is_signed(const struct jwks *keys, enum jwt_alg alg, str kid, str signed_text,
                           str signature)
{
    CHECK(keys == NULL && (alg == JWT_RS256 || alg == JWT_ES256));
    CHECK(str_find(signed_text, '.') != STR_NPOS && signature.n < signed_text.n + JWT_MAX_BYTES);
    (void)kid;
    return JWT_VALID;
}

/* base64url out of base64. */
static str coded(struct arena *a, str in)
{
    str s = hash_base64_encode(a, in);
    char *p = (char *)(uintptr_t)s.p;

    CHECK(!str_none(s));
    while (s.n > 0 && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++)
        p[i] = p[i] == '+' ? '-' : p[i] == '/' ? '_' : p[i];
    return s;
}

static void check_valid(const struct jwt *jwt, const struct jwt_rules *rules)
{
    const struct json *aud = json_get(jwt->claims, STR("aud"));

    CHECK(str_eq(json_get_str(jwt->claims, STR("iss"), STR("")), rules->issuer));
    CHECK(json_is(aud, JSON_ARRAY) || str_eq(json_string(aud), rules->audience));
    CHECK(jwt->expires_s + rules->leeway_s >= rules->now_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    uint8_t pick = fuzz_byte(&in);
    const struct jwt_rules rules = {STR("joe"), STR("kinto"), 1000 * (pick >> 2),
                                    pick & 2 ? 60 : 0};
    struct err_detail d = {.text = ""};
    struct jwt jwt = {NULL, 0};
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 4 * MIB);
    if (pick & 1) {
        in = ARENA_JOIN(&a, coded(&a, STR("{\"alg\":\"RS256\"}")), STR("."), coded(&a, in),
                        STR(".AA"));
    }
    char *exact = fuzz_copy(in);
    enum jwt_verdict v = jwt_verify(&a, (str){exact, in.n}, NULL, &rules, &jwt, &d);
    CHECK(v != JWT_NO_MEMORY && (v == JWT_VALID) == (jwt.claims != NULL));
    for (const char *p = d.text; *p != '\0'; p++)
        CHECK(*p >= 0x20 && *p < 0x7f);
    if (v == JWT_VALID)
        check_valid(&jwt, &rules);
    free(exact);
    arena_fini(&a);
    return 0;
}
