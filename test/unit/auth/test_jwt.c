/*
 * JSON Web Tokens: which keys of a set are used, which tokens are let in, and what is said of the
 * others. Tokens are signed here with the keys of RFC 7515.
 */
#include "test/support/unit.h"

#include "auth/private.h"
#include "base/hash.h"
#include "test/unit/auth/jwt_keys.h"

#include <pthread.h>

#define NOW     1000000
#define ISSUER  "https://id.example"
#define FOREVER "\"exp\":4000000000"
#define OURS    "\"iss\":\"" ISSUER "\",\"aud\":\"kinto\""
#define GOOD    "{" OURS "," FOREVER ",\"sub\":\"u1\"}"

#define RSA_PUBLIC  "\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\""
#define EC_PUBLIC   "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
#define FOREIGN_RSA "\"kty\":\"RSA\",\"n\":\"" FOREIGN_N "\",\"e\":\"AQAB\""
#define FOREIGN_EC                                                                                 \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" FOREIGN_X "\",\"y\":\"" FOREIGN_Y "\""
#define P384 "\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" P384_X "\",\"y\":\"" P384_Y "\""

static const char key_set[] = "{\"keys\":["
                              "{\"kid\":\"rsa\",\"use\":\"sig\",\"alg\":\"RS256\"," RSA_PUBLIC "},"
                              "{\"kid\":\"ec\",\"use\":\"sig\",\"alg\":\"ES256\"," EC_PUBLIC "},"
                              "{\"kid\":\"py-rsa\"," FOREIGN_RSA "},"
                              "{\"kid\":\"py-ec\"," FOREIGN_EC "},"
                              "{\"kid\":\"p384\"," P384 "},"
                              "{\"kid\":\"enc\",\"use\":\"enc\"," RSA_PUBLIC "},"
                              "{\"kid\":\"oct\",\"kty\":\"oct\",\"k\":\"AAAA\"}]}";

static struct arena arena;
static struct jwks *keys;

static struct jwks *read_keys(const char *text)
{
    struct jwks *set = NULL;
    struct err_detail d = {.text = ""};
    enum err e = jwks_new(&set, str_from(text), &d);

    ck_assert_msg(e == OK, "%s: %s", text, d.text);
    return set;
}

static void setup(void)
{
    arena_init(&arena, NULL, 0, NULL, 64 * MIB);
    keys = read_keys(key_set);
}

static void teardown(void)
{
    jwks_free(keys);
    arena_fini(&arena);
}

#define SIGN_ARENA (&arena)
#include "test/unit/auth/jwt_sign.h"

static str good(void)
{
    return make("{\"alg\":\"RS256\",\"kid\":\"rsa\"}", GOOD);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct err_detail detail;

/* The token lies where one byte too far is outside of what was allocated. */
static enum jwt_verdict ask(const struct jwks *set, str token, int64_t now_s, struct jwt *out)
{
    struct jwt_rules rules = {STR(ISSUER), STR("kinto"), now_s, 0};
    char *exact = malloc(MAX_OF(token.n, (size_t)1));

    ck_assert_ptr_nonnull(exact);
    if (token.n > 0)
        memcpy(exact, token.p, token.n);
    detail.text[0] = '\0';
    enum jwt_verdict v = jwt_verify(&arena, (str){exact, token.n}, set, &rules, out, &detail);
    free(exact);
    return v;
}

static enum jwt_verdict verdict(str token)
{
    struct jwt jwt;
    return ask(keys, token, NOW, &jwt);
}

#define ck_assert_verdict(got, want)                                                               \
    do {                                                                                           \
        enum jwt_verdict g_ = (got), w_ = (want);                                                  \
        ck_assert_msg(g_ == w_, "got \"%s\" (%s), want \"%s\"", jwt_verdict_text(g_), detail.text, \
                      jwt_verdict_text(w_));                                                       \
    } while (0)

/* ---- vectors --------------------------------------------------------------------------------- */

static str payload_of(const char *token)
{
    str rest = str_from(token), header = str_cut(&rest, '.');

    (void)header;
    return str_cut(&rest, '.');
}

static void rfc_vector(const char *token, enum jwt_alg alg, const char *kid)
{
    size_t end = (size_t)(strrchr(token, '.') - token);
    str text = {token, end}, signature = bytes_of(token + end + 1);
    struct jwt_rules rules = {STR("joe"), STR("kinto"), 1300819379, 0};
    struct jwt jwt;

    ck_assert_verdict(jwks_verify(keys, alg, str_from(kid), text, signature), JWT_VALID);
    ck_assert_verdict(jwks_verify(keys, alg, STR_NONE, text, signature), JWT_VALID);
    text.n--;
    ck_assert_verdict(jwks_verify(keys, alg, STR_NONE, text, signature), JWT_BAD_SIGNATURE);
    /* Its claims have no audience. */
    ck_assert_verdict(jwt_verify(&arena, str_from(token), keys, &rules, &jwt, &detail),
                      JWT_WRONG_AUDIENCE);
}

START_TEST(vectors_of_rfc_7515)
{
    rfc_vector(RFC_RS256, JWT_RS256, "rsa");
    rfc_vector(RFC_ES256, JWT_ES256, "ec");
    ck_assert(str_starts(bytes_of(arena_cstr(&arena, payload_of(RFC_RS256))),
                         STR("{\"iss\":\"joe\",\r\n \"exp\":1300819380,")));
}
END_TEST

static const char *const foreign[] = {FOREIGN_RS256, FOREIGN_ES256};

START_TEST(tokens_of_another_implementation)
{
    struct jwt jwt = {NULL, 0};

    ck_assert_verdict(ask(keys, str_from(foreign[_i]), NOW, &jwt), JWT_VALID);
    ck_assert_str_is(json_text(&arena, jwt.claims),
                     "{\"iss\":\"" ISSUER "\",\"aud\":\"kinto\",\"sub\":\"u1\",\"exp\":4000000000,"
                     "\"iat\":1000,\"name\":\"Zo\xc3\xab\"}");
    ck_assert_int_eq(jwt.expires_s, 4000000000);
}
END_TEST

/* ---- headers and claims ---------------------------------------------------------------------- */

#define RS "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"
#define ES "{\"alg\":\"ES256\",\"kid\":\"ec\"}"

static const struct {
    const char *header,
        *claims; /* signed with EC_D if the header has ES256 in it, else with RSA_D */
    enum jwt_verdict verdict;
    const char *text; /* in the detail */
} made[] = {
    {RS, GOOD, JWT_VALID, ""},
    {ES, GOOD, JWT_VALID, ""},
    {"{\"alg\":\"RS256\"}", GOOD, JWT_VALID, ""},
    {"{\"alg\":\"ES256\"}", GOOD, JWT_VALID, ""},
    {" {\"kid\":\"rsa\", \"alg\":\"RS256\",\"typ\":\"JWT\"} ", GOOD, JWT_VALID, ""},
    {"{\"kid\":\"ec\",\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", GOOD, JWT_VALID, ""},
    {"{\"kid\":\"ec\",\"alg\":\"ES256\",\"typ\":\"application/at+JWT\"}", GOOD, JWT_VALID, ""},
    /* algorithms */
    {"{\"alg\":\"none\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUPPORTED, "\"none\""},
    {"{\"alg\":\"None\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUPPORTED, "\"None\""},
    {"{\"alg\":\"HS256\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUPPORTED, "\"HS256\""},
    {"{\"alg\":\"RS512\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUPPORTED, "\"RS512\""},
    {"{\"alg\":\"PS256\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUPPORTED, "\"PS256\""},
    {"{\"alg\":\"rs256\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUPPORTED, "\"rs256\""},
    {"{\"alg\":\"RS256\\u0000\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUPPORTED, "\"RS256?\""},
    {"{\"alg\":\"\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUPPORTED, "\"\""},
    {"{\"alg\":[\"RS256\"],\"kid\":\"rsa\"}", GOOD, JWT_MALFORMED, "no algorithm"},
    {"{\"kid\":\"rsa\"}", GOOD, JWT_MALFORMED, "no algorithm"},
    /* of duplicates the last one counts */
    {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"alg\":\"none\"}", GOOD, JWT_UNSUPPORTED, "\"none\""},
    {"{\"alg\":\"none\",\"kid\":\"rsa\",\"alg\":\"RS256\"}", GOOD, JWT_VALID, ""},
    {RS, "{" OURS "," FOREVER ",\"aud\":\"other\"}", JWT_WRONG_AUDIENCE, "\"other\""},
    {RS, "{" OURS "," FOREVER ",\"exp\":1}", JWT_EXPIRED, "\"1\""},
    /* the rest of the header */
    {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[\"b64\"],\"b64\":false}", GOOD, JWT_UNSUPPORTED,
     "extensions"},
    {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":null}", GOOD, JWT_UNSUPPORTED, "extensions"},
    {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"logout+jwt\"}", GOOD, JWT_UNSUPPORTED,
     "logout+jwt"},
    {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"application/\"}", GOOD, JWT_UNSUPPORTED, "type"},
    {"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":1}", GOOD, JWT_MALFORMED, "no string"},
    {"{\"alg\":\"RS256\",\"kid\":1}", GOOD, JWT_MALFORMED, "no string"},
    {"{\"alg\":\"RS256\",\"kid\":null}", GOOD, JWT_MALFORMED, "no string"},
    {"[\"alg\",\"RS256\"]", GOOD, JWT_MALFORMED, "the header"},
    {"{\"alg\":\"RS256\",}", GOOD, JWT_MALFORMED, "the header"},
    {"{\"alg\":\"RS256\"}x", GOOD, JWT_MALFORMED, "the header"},
    {"{\"alg\":\"RS256\",\"x\":1e999}", GOOD, JWT_MALFORMED, "the header"},
    {"{\"alg\":\"RS256\",\"x\":\"\xff\"}", GOOD, JWT_MALFORMED, "the header"},
    {"\xef\xbb\xbf{\"alg\":\"RS256\"}", GOOD, JWT_MALFORMED, "the header"},
    {"", GOOD, JWT_MALFORMED, "the header"},
    /* keys */
    {"{\"alg\":\"RS256\",\"kid\":\"old\"}", GOOD, JWT_UNKNOWN_KEY, "\"old\""},
    {"{\"alg\":\"RS256\",\"kid\":\"RSA\"}", GOOD, JWT_UNKNOWN_KEY, "\"RSA\""},
    {"{\"alg\":\"RS256\",\"kid\":\"\"}", GOOD, JWT_UNKNOWN_KEY, "\"\""},
    {"{\"alg\":\"RS256\",\"kid\":\"a\\n\\u00e9\"}", GOOD, JWT_UNKNOWN_KEY, "\"a???\""},
    {"{\"alg\":\"RS256\",\"kid\":\"py-rsa\"}", GOOD, JWT_BAD_SIGNATURE, "\"py-rsa\""},
    {"{\"alg\":\"ES256\",\"kid\":\"py-ec\"}", GOOD, JWT_BAD_SIGNATURE, "\"py-ec\""},
    {"{\"alg\":\"RS256\",\"kid\":\"ec\"}", GOOD, JWT_UNSUITABLE_KEY, "\"ec\""},
    {"{\"alg\":\"ES256\",\"kid\":\"rsa\"}", GOOD, JWT_UNSUITABLE_KEY, "\"rsa\""},
    {"{\"alg\":\"ES256\",\"kid\":\"p384\"}", GOOD, JWT_UNSUITABLE_KEY, "\"p384\""},
    {"{\"alg\":\"RS256\",\"kid\":\"enc\"}", GOOD, JWT_UNSUITABLE_KEY, "\"enc\""},
    {"{\"alg\":\"RS256\",\"kid\":\"oct\"}", GOOD, JWT_UNSUITABLE_KEY, "\"oct\""},
    {"{\"alg\":\"RS256\",\"kid\":\"new\",\"jwk\":{" RSA_PUBLIC "}}", GOOD, JWT_UNKNOWN_KEY, "new"},
    /* issuer */
    {RS, "{\"iss\":\"" ISSUER "/\",\"aud\":\"kinto\"," FOREVER "}", JWT_WRONG_ISSUER,
     "\"" ISSUER "/\""},
    {RS, "{\"iss\":\"HTTPS://id.example\",\"aud\":\"kinto\"," FOREVER "}", JWT_WRONG_ISSUER,
     "HTTPS"},
    {RS, "{\"iss\":\"" ISSUER "\\u0000\",\"aud\":\"kinto\"," FOREVER "}", JWT_WRONG_ISSUER, "?"},
    {RS, "{\"iss\":\"\",\"aud\":\"kinto\"," FOREVER "}", JWT_WRONG_ISSUER, "\"\""},
    {RS, "{\"iss\":[\"" ISSUER "\"],\"aud\":\"kinto\"," FOREVER "}", JWT_BAD_CLAIMS, "iss"},
    {RS, "{\"aud\":\"kinto\"," FOREVER "}", JWT_WRONG_ISSUER, "iss is missing"},
    /* audience */
    {RS, "{\"iss\":\"" ISSUER "\"," FOREVER "}", JWT_WRONG_AUDIENCE, "aud is missing"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":\"kinto2\"," FOREVER "}", JWT_WRONG_AUDIENCE, "kinto2"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":\"\"," FOREVER "}", JWT_WRONG_AUDIENCE, "\"\""},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":null," FOREVER "}", JWT_BAD_CLAIMS, "aud"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":{\"kinto\":1}," FOREVER "}", JWT_BAD_CLAIMS, "aud"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[]," FOREVER "}", JWT_WRONG_AUDIENCE, "does not have"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[\"kinto\"]," FOREVER "}", JWT_VALID, ""},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[\"other\"]," FOREVER "}", JWT_WRONG_AUDIENCE, "aud"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[[\"kinto\"]]," FOREVER "}", JWT_BAD_CLAIMS, "aud"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[\"kinto\",1],\"azp\":\"kinto\"," FOREVER "}",
     JWT_BAD_CLAIMS, "aud"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[\"a\",\"kinto\"]," FOREVER "}", JWT_WRONG_AUDIENCE,
     "azp is missing"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[\"a\",\"kinto\"],\"azp\":\"a\"," FOREVER "}",
     JWT_WRONG_AUDIENCE, "\"a\""},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[\"a\",\"kinto\"],\"azp\":\"kinto\"," FOREVER "}",
     JWT_VALID, ""},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[\"a\",\"b\"],\"azp\":\"kinto\"," FOREVER "}",
     JWT_WRONG_AUDIENCE, "aud"},
    {RS, "{\"iss\":\"" ISSUER "\",\"aud\":[\"a\",\"kinto\"],\"azp\":[\"kinto\"]," FOREVER "}",
     JWT_BAD_CLAIMS, "azp"},
    {RS, "{" OURS ",\"azp\":\"app\"," FOREVER "}", JWT_VALID, ""},
    /* times */
    {RS, "{" OURS "}", JWT_BAD_CLAIMS, "exp is missing"},
    {RS, "{" OURS ",\"exp\":null}", JWT_BAD_CLAIMS, "exp"},
    {RS, "{" OURS ",\"exp\":\"4000000000\"}", JWT_BAD_CLAIMS, "exp"},
    {RS, "{" OURS ",\"exp\":true}", JWT_BAD_CLAIMS, "exp"},
    {RS, "{" OURS ",\"exp\":-1}", JWT_BAD_CLAIMS, "exp"},
    {RS, "{" OURS ",\"exp\":1000001000000}", JWT_BAD_CLAIMS, "exp"}, /* milliseconds */
    {RS, "{" OURS ",\"exp\":1e300}", JWT_BAD_CLAIMS, "exp"},
    {RS, "{" OURS ",\"exp\":1e400}", JWT_MALFORMED, "the payload"},
    {RS, "{" OURS ",\"exp\":18446744073709551616}", JWT_BAD_CLAIMS, "exp"},
    {RS, "{" OURS ",\"exp\":99999999999999999999999999999999999999}", JWT_BAD_CLAIMS, "exp"},
    {RS, "{" OURS ",\"exp\":253402300799}", JWT_VALID, ""},
    {RS, "{" OURS ",\"exp\":253402300799.5}", JWT_BAD_CLAIMS, "exp"},
    {RS, "{" OURS ",\"exp\":0}", JWT_EXPIRED, "\"0\""},
    {RS, "{" OURS ",\"exp\":999999}", JWT_EXPIRED, "\"999999\""},
    {RS, "{" OURS ",\"exp\":1000000}", JWT_EXPIRED, "\"1000000\""},
    {RS, "{" OURS ",\"exp\":1e6}", JWT_EXPIRED, "\"1e6\""},
    {RS, "{" OURS ",\"exp\":1000000.000000000000000000001}", JWT_VALID, ""},
    {RS, "{" OURS ",\"exp\":1000001}", JWT_VALID, ""},
    {RS, "{" OURS "," FOREVER ",\"nbf\":1000000,\"iat\":1000000}", JWT_VALID, ""},
    {RS, "{" OURS "," FOREVER ",\"nbf\":1000001}", JWT_NOT_YET, "nbf"},
    {RS, "{" OURS "," FOREVER ",\"nbf\":1000000.5}", JWT_NOT_YET, "nbf"},
    {RS, "{" OURS "," FOREVER ",\"iat\":1000001}", JWT_NOT_YET, "iat"},
    {RS, "{" OURS "," FOREVER ",\"nbf\":\"0\"}", JWT_BAD_CLAIMS, "nbf"},
    {RS, "{" OURS "," FOREVER ",\"nbf\":-1e-5}", JWT_BAD_CLAIMS, "nbf"},
    {RS, "{" OURS "," FOREVER ",\"iat\":1e300}", JWT_BAD_CLAIMS, "iat"},
    {RS, "{" OURS "," FOREVER ",\"iat\":[]}", JWT_BAD_CLAIMS, "iat"},
    /* the payload */
    {RS, "", JWT_MALFORMED, "the payload"},
    {RS, "null", JWT_MALFORMED, "the payload"},
    {RS, "[" GOOD "]", JWT_MALFORMED, "the payload"},
    {RS, GOOD ",", JWT_MALFORMED, "the payload"},
};

START_TEST(header_and_claims)
{
    struct jwt jwt = {NULL, -1};
    enum jwt_verdict v = ask(keys, make(made[_i].header, made[_i].claims), NOW, &jwt);

    ck_assert_verdict(v, made[_i].verdict);
    ck_assert_msg(strstr(detail.text, made[_i].text) != NULL, "%s", detail.text);
    ck_assert((jwt.claims != NULL) == (v == JWT_VALID));
    ck_assert((jwt.expires_s != -1) == (v == JWT_VALID));
    ck_assert((detail.text[0] == '\0') == (v == JWT_VALID));
}
END_TEST

START_TEST(leeway_goes_both_ways)
{
    static const struct {
        const char *claims;
        int64_t now_s;
        enum jwt_verdict verdict;
    } rows[] = {
        {"{" OURS ",\"exp\":5000}", 5059, JWT_VALID},
        {"{" OURS ",\"exp\":5000}", 5060, JWT_EXPIRED},
        {"{" OURS ",\"exp\":30}", 0, JWT_VALID},
        {"{" OURS ",\"exp\":0}", 59, JWT_VALID},
        {"{" OURS ",\"exp\":9000,\"nbf\":5000}", 4940, JWT_VALID},
        {"{" OURS ",\"exp\":9000,\"nbf\":5000}", 4939, JWT_NOT_YET},
        {"{" OURS ",\"exp\":9000,\"iat\":5000}", 4940, JWT_VALID},
        {"{" OURS ",\"exp\":9000,\"iat\":5000}", 4939, JWT_NOT_YET},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jwt_rules rules = {STR(ISSUER), STR("kinto"), rows[i].now_s, 60};
        struct jwt jwt;
        ck_assert_verdict(jwt_verify(&arena, make(ES, rows[i].claims), keys, &rules, &jwt, &detail),
                          rows[i].verdict);
    }
}
END_TEST

/* Without a detail, too. */
START_TEST(claims_live_in_the_arena)
{
    struct jwt_rules rules = {STR(ISSUER), STR("kinto"), NOW, 0};
    struct jwt jwt;
    str token = make(ES, "{" OURS ",\"exp\":1000001.5,\"sub\":\"u\\u00e9\"}");
    char *copy = malloc(token.n);

    memcpy(copy, token.p, token.n);
    ck_assert_verdict(jwt_verify(&arena, (str){copy, token.n}, keys, &rules, &jwt, NULL),
                      JWT_VALID);
    memset(copy, '?', token.n);
    free(copy);
    ck_assert_str_is(json_string(json_get(jwt.claims, STR("sub"))), "u\xc3\xa9");
    ck_assert_int_eq(jwt.expires_s, 1000002);
    ck_assert_verdict(jwt_verify(&arena, STR("x"), keys, &rules, &jwt, NULL), JWT_MALFORMED);
}
END_TEST

/* ---- signatures ------------------------------------------------------------------------------ */

START_TEST(an_unsigned_token_is_refused)
{
    static const char *const headers[] = {RS, ES, "{\"alg\":\"none\"}"};
    static const enum jwt_verdict want[] = {JWT_BAD_SIGNATURE, JWT_BAD_SIGNATURE, JWT_UNSUPPORTED};

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        str text = unsigned_token(str_from(headers[i]), STR(GOOD));
        ck_assert_verdict(verdict(with_signature(text, STR(""))), want[i]);
    }
}
END_TEST

/* The public key as a shared secret: its text, its modulus. */
START_TEST(a_public_key_is_no_secret)
{
    str secrets[] = {str_from(key_set), bytes_of(RSA_N), STR(RSA_N), STR(""),
                     STR("{" RSA_PUBLIC "}")};
    static const char *const headers[] = {"{\"alg\":\"HS256\",\"kid\":\"rsa\"}", RS, ES};
    static const enum jwt_verdict want[] = {JWT_UNSUPPORTED, JWT_BAD_SIGNATURE, JWT_BAD_SIGNATURE};

    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        for (size_t k = 0; k < ARRAY_LEN(headers); k++) {
            str text = unsigned_token(str_from(headers[k]), STR(GOOD));
            uint8_t mac[HASH_SHA256_LEN];
            hash_hmac_sha256(secrets[i], text, mac);
            ck_assert_verdict(verdict(with_signature(text, (str){(char *)mac, sizeof mac})),
                              want[k]);
        }
}
END_TEST

/* The order of P-256 (FIPS 186-4, D.1.2.3). */
#define ORDER                                                                                      \
    "\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"                             \
    "\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51"

START_TEST(r_and_s_out_of_range)
{
    str text = unsigned_token(STR(ES), STR(GOOD)), sig = sign_es256(text);
    str r = str_sub(sig, 0, 32), s = str_drop(sig, 32);
    char zero[32] = {0}, one[32] = {[31] = 1}, full[32];
    str odd[] = {{zero, 32}, {one, 32}, {full, 32}, STR(ORDER)};

    memset(full, 0xff, sizeof full);
    ck_assert_verdict(verdict(with_signature(text, ARENA_JOIN(&arena, r, s))), JWT_VALID);
    ck_assert_verdict(verdict(with_signature(text, ARENA_JOIN(&arena, s, r))), JWT_BAD_SIGNATURE);
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        str bad[] = {ARENA_JOIN(&arena, odd[i], s), ARENA_JOIN(&arena, r, odd[i]),
                     ARENA_JOIN(&arena, odd[i], odd[i]), ARENA_JOIN(&arena, odd[i], odd[0])};
        for (size_t k = 0; k < ARRAY_LEN(bad); k++)
            ck_assert_verdict(verdict(with_signature(text, bad[k])), JWT_BAD_SIGNATURE);
    }
}
END_TEST

/* r + n is r again modulo the order, when it fits 32 bytes. */
START_TEST(a_signature_has_one_length)
{
    const char *headers[] = {RS, ES};

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        str text = unsigned_token(str_from(headers[i]), STR(GOOD));
        str sig = i == 0 ? sign_rs256(text) : sign_es256(text);
        str half = str_sub(sig, 0, sig.n / 2), rest = str_drop(sig, sig.n / 2);
        str bad[] = {str_sub(sig, 0, sig.n - 1), ARENA_JOIN(&arena, sig, STR("\0")),
                     ARENA_JOIN(&arena, STR("\0"), sig), ARENA_JOIN(&arena, sig, sig),
                     ARENA_JOIN(&arena, STR("\0"), half, STR("\0"), rest), half,
                     /* as ASN.1 has it */
                     ARENA_JOIN(&arena, STR("\x30\x44\x02\x20"), half, STR("\x02\x20"), rest)};
        ck_assert_verdict(verdict(with_signature(text, sig)), JWT_VALID);
        for (size_t k = 0; k < ARRAY_LEN(bad); k++)
            ck_assert_verdict(verdict(with_signature(text, bad[k])), JWT_BAD_SIGNATURE);
    }
}
END_TEST

START_TEST(an_rsa_signature_beyond_the_modulus)
{
    str text = unsigned_token(STR(RS), STR(GOOD));
    char sig[256];

    memset(sig, 0xff, sizeof sig);
    ck_assert_verdict(verdict(with_signature(text, (str){sig, sizeof sig})), JWT_BAD_SIGNATURE);
    memset(sig, 0, sizeof sig);
    ck_assert_verdict(verdict(with_signature(text, (str){sig, sizeof sig})), JWT_BAD_SIGNATURE);
    ck_assert_verdict(verdict(with_signature(text, bytes_of(RSA_N))), JWT_BAD_SIGNATURE);
}
END_TEST

/* ---- the form of a token --------------------------------------------------------------------- */

START_TEST(dots_and_padding)
{
    str t = good();
    str bad[] = {
        STR(""),
        STR("."),
        STR(".."),
        STR("..."),
        ARENA_JOIN(&arena, t, STR(".")),
        ARENA_JOIN(&arena, STR("."), t),
        ARENA_JOIN(&arena, t, STR(".AAAA.AAAA")), /* encrypted tokens have five parts */
        ARENA_JOIN(&arena, t, STR("==")),
        ARENA_JOIN(&arena, t, STR("=")),
        ARENA_JOIN(&arena, t, STR("\n")),
        ARENA_JOIN(&arena, t, STR(" ")),
        ARENA_JOIN(&arena, STR(" "), t),
        ARENA_JOIN(&arena, STR("Bearer "), t),
        ARENA_JOIN(&arena, t, STR("\0")),
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_verdict(verdict(bad[i]), JWT_MALFORMED);
        ck_assert(!jwt_looks_like(bad[i]));
    }
}
END_TEST

/* 256 bytes leave four bits over in the last character: 16 ways to write them, one of them right. */
START_TEST(a_signature_has_one_spelling)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    str t = good();
    char *p = arena_cstr(&arena, t), last = p[t.n - 1];
    size_t at = (size_t)(strchr(alphabet, last) - alphabet);

    ck_assert_uint_eq(at % 16, 0);
    for (size_t i = 1; i < 16; i++) {
        p[t.n - 1] = alphabet[at + i];
        ck_assert_verdict(verdict((str){p, t.n}), JWT_MALFORMED);
    }
    p[t.n - 1] = last;
    ck_assert_verdict(verdict((str){p, t.n}), JWT_VALID);
}
END_TEST

START_TEST(cut_at_every_byte)
{
    str t = good();

    ck_assert_verdict(verdict(t), JWT_VALID);
    for (size_t n = 0; n < t.n; n++)
        ck_assert(verdict(str_sub(t, 0, n)) != JWT_VALID);
}
END_TEST

START_TEST(every_byte_counts)
{
    str t = good();
    char *p = arena_cstr(&arena, t);

    for (size_t i = 0; i < t.n; i++) {
        char c = p[i];
        p[i] = c == 'A' ? 'B' : 'A';
        ck_assert(verdict((str){p, t.n}) != JWT_VALID);
        p[i] = c;
    }
    ck_assert_verdict(verdict((str){p, t.n}), JWT_VALID);
}
END_TEST

/* A header of `n` bytes. */
static const char *long_header(size_t n)
{
    char *p = arena_alloc(&arena, n + 1);
    int head = snprintf(p, n, "%s", "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x\":\"");

    memset(p + head, 'x', n - (size_t)head);
    memcpy(p + n - 2, "\"}", 3);
    return p;
}

START_TEST(a_token_of_16_kib)
{
    /* What is left for the header, whose three bytes are four characters. */
    size_t rest = encode(STR(GOOD)).n + 342 + 2, n = (JWT_MAX_BYTES - rest) / 4 * 3;
    str fits = make(long_header(n), GOOD), over = make(long_header(n + 3), GOOD);

    ck_assert_uint_le(fits.n, JWT_MAX_BYTES);
    ck_assert_uint_gt(over.n, JWT_MAX_BYTES);
    ck_assert_verdict(verdict(fits), JWT_VALID);
    ck_assert_verdict(verdict(over), JWT_MALFORMED);
    ck_assert_ptr_nonnull(strstr(detail.text, "too long"));
    ck_assert(jwt_looks_like(fits));
    ck_assert(!jwt_looks_like(over));

    /* To the byte. */
    char *p = arena_alloc(&arena, JWT_MAX_BYTES + 1);
    memset(p, 'A', JWT_MAX_BYTES + 1);
    ck_assert_verdict(verdict((str){p, JWT_MAX_BYTES}), JWT_MALFORMED);
    ck_assert_ptr_nonnull(strstr(detail.text, "three parts"));
    ck_assert_verdict(verdict((str){p, JWT_MAX_BYTES + 1}), JWT_MALFORMED);
    ck_assert_ptr_nonnull(strstr(detail.text, "too long"));
}
END_TEST

static const char *nested(const char *head, const char *unit, size_t times, const char *tail)
{
    struct buf b;

    buf_init_arena(&b, &arena, MIB);
    buf_add_str(&b, str_from(head));
    for (size_t i = 0; i < times; i++)
        buf_add_str(&b, str_from(unit));
    buf_add_str(&b, str_from(tail));
    buf_add_char(&b, '\0');
    ck_assert(!buf_failed(&b));
    return b.p;
}

static enum jwt_verdict within_a_mebibyte(str token)
{
    struct jwt_rules rules = {STR(ISSUER), STR("kinto"), NOW, 0};
    struct jwt jwt;
    struct arena a;

    ck_assert_uint_le(token.n, JWT_MAX_BYTES);
    arena_init(&a, NULL, 0, NULL, MIB);
    enum jwt_verdict v = jwt_verify(&a, token, keys, &rules, &jwt, &detail);
    arena_fini(&a);
    return v;
}

START_TEST(deep_json)
{
    const char *headers[] = {
        nested("{\"alg\":\"RS256\",\"x\":", "[", 11000, ""),
        nested("{\"alg\":\"RS256\",\"x\":", "{\"a\":", 2000, ""),
        nested("", "[", 11000, ""),
    };

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        str token =
            with_signature(unsigned_token(str_from(headers[i]), STR(GOOD)), STR("signature"));
        ck_assert_verdict(within_a_mebibyte(token), JWT_MALFORMED);
        ck_assert_ptr_nonnull(strstr(detail.text, "the header"));
        ck_assert(!jwt_looks_like(token));
    }
    ck_assert_verdict(within_a_mebibyte(make(RS, nested("{\"x\":", "[", 5000, ""))), JWT_MALFORMED);
}
END_TEST

/* As many values as go in, and the memory that the header asks for is enough. */
START_TEST(crowded_json)
{
    static const struct {
        const char *first, *next;
        size_t times;
    } rows[] = {{"[]", ",[]", 3600}, {"{\"a\":{}}", ",{\"a\":{}}", 1200}, {"0", ",0", 5500}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str head = ARENA_JOIN(&arena, STR("{\"alg\":\"RS256\",\"x\":["), str_from(rows[i].first));
        const char *header = nested(head.p, rows[i].next, rows[i].times, "]}");
        str token = with_signature(unsigned_token(str_from(header), STR(GOOD)), STR("signature"));
        ck_assert_verdict(within_a_mebibyte(token), JWT_BAD_SIGNATURE);
        ck_assert(jwt_looks_like(token));
        head = ARENA_JOIN(&arena, STR("{" OURS "," FOREVER ",\"x\":["), str_from(rows[i].first));
        token = make(RS, nested(head.p, rows[i].next, rows[i].times, "]}"));
        ck_assert_verdict(within_a_mebibyte(token), JWT_VALID);
    }
}
END_TEST

START_TEST(what_looks_like_a_token)
{
    static const struct {
        const char *token;
        bool yes;
    } rows[] = {
        {RFC_RS256, true},
        {RFC_ES256, true},
        {"eyJhbGciOiJub25lIn0.e30.", true}, /* {"alg":"none"} */
        {"eyJhbGciOiJIUzI1NiJ9.x.x", true}, /* {"alg":"HS256"} */
        {"eyJhbGciOiJub25lIn0.e30", false},
        {"eyJhbGciOjF9.e30.AAAA", false}, /* {"alg":1} */
        {"e30.e30.AAAA", false},          /* {} */
        {"W10.e30.AAAA", false},          /* [] */
        {"eyJhbGciOiJub25lIn0.e3+.AA", false},
        {"eyJhbGciOiJub25lIn0.e30.A=", false},
        {"eyJhbGciOiJub25lIn0=.e30.AAAA", false},
        {"eyJhbGciOiJub25lIn0.e30.AAAA.AAAA.AAAA", false},
        {"opaque", false},
        {"ya29.a0AfH6SMBx.x", false},
        {"", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(jwt_looks_like(str_from(rows[i].token)) == rows[i].yes, "%s", rows[i].token);
    ck_assert(!jwt_looks_like(STR_NONE));
}
END_TEST

/* ---- key sets -------------------------------------------------------------------------------- */

/* One key: is it used? */
static const struct {
    const char *key;
    bool used;
} single[] = {
    {"{" RSA_PUBLIC "}", true},
    {"{" EC_PUBLIC "}", true},
    {"{\"use\":\"sig\"," RSA_PUBLIC "}", true},
    {"{\"use\":\"enc\"," RSA_PUBLIC "}", false},
    {"{\"use\":\"\"," EC_PUBLIC "}", false},
    {"{\"use\":null," EC_PUBLIC "}", false},
    {"{\"alg\":\"RS256\"," RSA_PUBLIC "}", true},
    {"{\"alg\":\"RS512\"," RSA_PUBLIC "}", false},
    {"{\"alg\":\"ES256\"," RSA_PUBLIC "}", false},
    {"{\"alg\":\"RS256\"," EC_PUBLIC "}", false},
    {"{\"alg\":1," EC_PUBLIC "}", false},
    {"{\"key_ops\":[\"sign\",\"verify\"]," EC_PUBLIC "}", true},
    {"{\"key_ops\":[\"encrypt\"]," RSA_PUBLIC "}", false},
    {"{\"key_ops\":[]," RSA_PUBLIC "}", false},
    {"{\"key_ops\":{\"a\":\"verify\"}," RSA_PUBLIC "}", false},
    {"{\"kid\":1," RSA_PUBLIC "}", false},
    {"{\"x5c\":[\"AAAA\"],\"new\":{}," RSA_PUBLIC "}", true},
    {"{\"kty\":\"RSA\",\"n\":\"AA" RSA_N "\",\"e\":\"AQAB\"}",
     false}, /* shifted by four bits: even */
    {"{\"kty\":\"RSA\",\"n\":\"AAAA" RSA_N "\",\"e\":\"AAAAAQAB\"}", true}, /* zeros in front */
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Aw\"}", true},
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}", false}, /* 1 */
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AA\"}", false}, /* 0 */
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"\"}", false},
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"BA\"}", false},      /* 4 */
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"_____w\"}", true},   /* 2^32 - 1 */
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAAAAE\"}", false}, /* 2^32 + 1 */
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":65537}", false},
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}", false},
    {"{\"kty\":\"RSA\",\"e\":\"AQAB\"}", false},
    {"{\"kty\":\"RSA\",\"n\":\"" RSA_N "==\",\"e\":\"AQAB\"}", false},
    {"{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", false},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}", false},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_Y "\",\"y\":\"" EC_X "\"}",
     false}, /* no point */
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" FOREIGN_Y "\"}", false},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA" EC_X "\",\"y\":\"" EC_Y "\"}", false},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}", false},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\",\"y\":\"\"}", false}, /* not even infinity */
    {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", false},
    {"{\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", false},
    {"{" P384 "}", false},
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P384_X "\",\"y\":\"" P384_Y "\"}", false},
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" EC_X "\"}", false},
    {"{\"kty\":\"oct\",\"k\":\"AAAA\"}", false},
    {"{}", false},
    {"1", false},
    {"null", false},
    {"[\"RSA\"]", false},
};

START_TEST(which_keys_are_used)
{
    char text[4000];

    snprintf(text, sizeof text, "{\"keys\":[%s],\"more\":1}", single[_i].key);
    struct jwks *set = read_keys(text);
    ck_assert_uint_eq(jwks_count(set), single[_i].used);
    jwks_free(set);
}
END_TEST

/* A modulus of `bits` bits, all ones. */
static size_t usable_of_bits(unsigned bits)
{
    size_t n = (bits + 7) / 8;
    char *p = arena_alloc(&arena, n);

    memset(p, 0xff, n);
    if (bits % 8 != 0)
        p[0] = (char)((1 << bits % 8) - 1);
    str text = ARENA_JOIN(&arena, STR("{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\""),
                          encode((str){p, n}), STR("\"}]}"));
    struct jwks *set = read_keys(text.p);
    size_t count = jwks_count(set);
    jwks_free(set);
    return count;
}

START_TEST(sizes_of_rsa_keys)
{
    static const struct {
        unsigned bits;
        size_t count;
    } rows[] = {{512, 0},  {1024, 0}, {2040, 0}, {2047, 0}, {2048, 1},
                {3072, 1}, {4095, 1}, {4096, 1}, {4097, 0}, {8192, 0}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(usable_of_bits(rows[i].bits) == rows[i].count, "%u bits", rows[i].bits);
}
END_TEST

static const struct {
    const char *text;
    enum err err;
} sets[] = {
    {"{\"keys\":[]}", OK},
    {"{\"keys\":[]}x", ERR_SYNTAX},
    {"{\"keys\":{}}", ERR_SYNTAX},
    {"{\"keys\":null}", ERR_SYNTAX},
    {"{}", ERR_SYNTAX},
    {"[]", ERR_SYNTAX},
    {"[{" RSA_PUBLIC "}]", ERR_SYNTAX},
    {"", ERR_SYNTAX},
    {"<html>", ERR_SYNTAX},
};

START_TEST(texts_of_key_sets)
{
    struct jwks *set = NULL;
    struct err_detail d = {.text = ""};

    ck_assert_int_eq(jwks_new(&set, str_from(sets[_i].text), &d), sets[_i].err);
    ck_assert((set != NULL) == (sets[_i].err == OK));
    ck_assert((d.text[0] == '\0') == (sets[_i].err == OK));
    jwks_free(set);
    set = NULL;
    ck_assert_int_eq(jwks_new(&set, str_from(sets[_i].text), NULL), sets[_i].err);
    jwks_free(set);
}
END_TEST

static enum err read_set(str text)
{
    struct jwks *set = NULL;
    enum err e = jwks_new(&set, text, NULL);

    jwks_free(set);
    return e;
}

static str filled(const char *head, const char *unit, size_t times)
{
    return str_from(nested(head, unit, times, "]}"));
}

START_TEST(limits_of_key_sets)
{
    char *long_text = arena_alloc(&arena, JWKS_MAX_BYTES + 1);

    ck_assert_int_eq(read_set(filled("{\"keys\":[{}", ",{}", JWKS_MAX_KEYS - 1)), OK);
    ck_assert_int_eq(read_set(filled("{\"keys\":[{}", ",{}", JWKS_MAX_KEYS)), ERR_LIMIT);
    ck_assert_int_eq(read_set(str_from(nested("{\"keys\":", "[", 1000, ""))), ERR_LIMIT);
    memset(long_text, ' ', JWKS_MAX_BYTES + 1);
    memcpy(long_text, "{\"keys\":[]}", 11);
    ck_assert_int_eq(read_set((str){long_text, JWKS_MAX_BYTES}), OK);
    ck_assert_int_eq(read_set((str){long_text, JWKS_MAX_BYTES + 1}), ERR_LIMIT);
    /* The values that fit into the text are let in, or refused as too many. */
    ck_assert_int_eq(read_set(filled("{\"x\":[0", ",0", JWKS_MAX_BYTES / 2 - 10)), ERR_SYNTAX);
    enum err e = read_set(filled("{\"keys\":[],\"x\":[[]", ",[]", JWKS_MAX_BYTES / 3 - 10));
    ck_assert(e == OK || e == ERR_LIMIT);
    jwks_free(NULL);
}
END_TEST

START_TEST(a_set_owns_its_keys)
{
    char *text = malloc(sizeof key_set);
    struct jwt jwt;

    memcpy(text, key_set, sizeof key_set);
    struct jwks *set = read_keys(text);
    memset(text, '?', sizeof key_set);
    free(text);
    ck_assert_uint_eq(jwks_count(set), 4);
    ck_assert_verdict(ask(set, good(), NOW, &jwt), JWT_VALID);
    jwks_free(set);
}
END_TEST

/* Tokens without kid: the right one is among many, and not beyond the bound. */
static enum jwt_verdict after_others(const char *other, unsigned n, const char *last,
                                     const char *header)
{
    struct buf b;
    struct jwt jwt;

    buf_init_arena(&b, &arena, MIB);
    buf_add_lit(&b, "{\"keys\":[");
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "{%s},", other);
    buf_printf(&b, "{%s}]}", last);
    buf_add_char(&b, '\0');
    struct jwks *set = read_keys(b.p);
    enum jwt_verdict v = ask(set, make(header, GOOD), NOW, &jwt);
    jwks_free(set);
    return v;
}

START_TEST(how_many_keys_are_tried)
{
    static const char none[] = "{\"alg\":\"RS256\"}", b[] = "{\"alg\":\"RS256\",\"kid\":\"b\"}";

    ck_assert_verdict(after_others(FOREIGN_RSA, JWT_MAX_TRIED - 1, RSA_PUBLIC, none), JWT_VALID);
    ck_assert_verdict(after_others(FOREIGN_RSA, JWT_MAX_TRIED, RSA_PUBLIC, none),
                      JWT_BAD_SIGNATURE);
    /* Others are not tried, so they do not count. */
    ck_assert_verdict(after_others(FOREIGN_EC, 20, RSA_PUBLIC, none), JWT_VALID);
    ck_assert_verdict(
        after_others("\"kid\":\"a\"," FOREIGN_RSA, 20, "\"kid\":\"b\"," RSA_PUBLIC, b), JWT_VALID);
    /* No key fits at all; or only one that does not say its name. */
    ck_assert_verdict(after_others(FOREIGN_EC, 1, EC_PUBLIC, none), JWT_UNKNOWN_KEY);
    ck_assert_verdict(after_others(FOREIGN_EC, 1, RSA_PUBLIC, b), JWT_UNKNOWN_KEY);
    /* Several of one name: RFC 7517, section 4.5. */
    ck_assert_verdict(after_others("\"kid\":\"b\"," EC_PUBLIC, 1, "\"kid\":\"b\"," RSA_PUBLIC, b),
                      JWT_VALID);
    ck_assert_verdict(after_others("\"kid\":\"b\"," RSA_PUBLIC, 1, "\"kid\":\"b\"," EC_PUBLIC, b),
                      JWT_VALID);
    ck_assert_verdict(after_others("\"kid\":\"b\"," FOREIGN_RSA, 1, "\"kid\":\"b\"," EC_PUBLIC, b),
                      JWT_BAD_SIGNATURE);
}
END_TEST

/* ---- threads --------------------------------------------------------------------------------- */

#define THREADS 4

static void *verify_many(void *arg)
{
    struct jwt_rules rules = {STR(ISSUER), STR("kinto"), NOW, 0};
    size_t *valid = arg;

    for (size_t i = 0; i < 20; i++) {
        struct arena a;
        struct jwt jwt;
        arena_init(&a, NULL, 0, NULL, MIB);
        *valid += jwt_verify(&a, str_from(foreign[i % 2]), keys, &rules, &jwt, NULL) == JWT_VALID;
        arena_fini(&a);
    }
    return NULL;
}

START_TEST(one_set_for_many_threads)
{
    pthread_t t[THREADS];
    size_t valid[THREADS] = {0};

    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, verify_many, &valid[i]), 0);
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(t[i], NULL), 0);
        ck_assert_uint_eq(valid[i], 20);
    }
}
END_TEST

/* ---- no memory ------------------------------------------------------------------------------- */

START_TEST(no_memory_for_an_arena)
{
    struct jwt_rules rules = {STR(ISSUER), STR("kinto"), NOW, 0};
    str token = good();
    unsigned failed = 0;

    for (unsigned n = 1;; n++) {
        struct jwks *set = NULL;
        arena_test_fail_chunk(n);
        enum err e = jwks_new(&set, str_from(key_set), NULL);
        arena_test_fail_chunk(0);
        jwks_free(set);
        if (e == OK)
            break;
        ck_assert_int_eq(e, ERR_NOMEM);
        ck_assert_ptr_null(set);
        failed++;
    }
    ck_assert_uint_ge(failed, 2);
    failed = 0;
    for (size_t budget = 0;; budget += 64) {
        struct jwt jwt = {NULL, -1};
        struct arena a;
        arena_init(&a, NULL, 0, NULL, budget);
        enum jwt_verdict v = jwt_verify(&a, token, keys, &rules, &jwt, &detail);
        arena_fini(&a);
        if (v == JWT_VALID)
            break;
        ck_assert_verdict(v, JWT_NO_MEMORY);
        ck_assert_ptr_null(jwt.claims);
        failed++;
    }
    ck_assert_uint_ge(failed, 2);
    arena_test_fail_chunk(1);
    ck_assert(!jwt_looks_like(token));
    arena_test_fail_chunk(0);
    ck_assert(jwt_looks_like(token));
}
END_TEST

/* mbedtls asks for memory by calloc, which the program's own definition here replaces; the
 * sanitizers have theirs. */
#if !defined(KINTO_DEBUG)
/* The n-th from now; 0: none. Compilers know that calloc writes to nothing they can see. */
static volatile unsigned calloc_fails;

void *__libc_calloc(size_t n, size_t size);
void *calloc(size_t n, size_t size)
{
    unsigned left = calloc_fails;

    if (left > 0)
        calloc_fails = left - 1;
    if (left == 1)
        return NULL;
    return __libc_calloc(n, size);
}

/* Each of the first ones, then some of the thousands that a point of P-256 costs. */
static unsigned step(unsigned n)
{
    return 1 + n / 32;
}

/* The verdict when the n-th allocation fails; *hit: there were that many. */
static enum jwt_verdict verify_without(unsigned n, str token, bool *hit)
{
    struct jwt_rules rules = {STR(ISSUER), STR("kinto"), NOW, 0};
    struct jwt jwt;

    calloc_fails = n;
    enum jwt_verdict v = jwt_verify(&arena, token, keys, &rules, &jwt, &detail);
    *hit = calloc_fails == 0;
    calloc_fails = 0;
    return v;
}

/*
 * 2.28 does not look at the result of one allocation, which it makes up for; so the right verdict
 * may be found all the same, but never another.
 */
static void verify_without_each(str token, enum jwt_verdict right)
{
    unsigned missed = 0;
    bool hit = true;

    for (unsigned n = 1; hit; n += step(n)) {
        enum jwt_verdict v = verify_without(n, token, &hit);
        if (v != right)
            ck_assert_verdict(v, JWT_NO_MEMORY);
        ck_assert(hit || v == right);
        missed += v == JWT_NO_MEMORY;
    }
    ck_assert_uint_ge(missed, 5);
}

START_TEST(no_memory_for_mbedtls)
{
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        verify_without_each(str_from(foreign[i]), JWT_VALID);
    verify_without_each(
        with_signature(unsigned_token(STR(RS), STR(GOOD)), sign_rs256(STR("other"))),
        JWT_BAD_SIGNATURE);
    verify_without_each(
        with_signature(unsigned_token(STR(ES), STR(GOOD)), sign_es256(STR("other"))),
        JWT_BAD_SIGNATURE);
    for (unsigned n = 1;; n += step(n)) {
        struct jwks *set = NULL;
        calloc_fails = n;
        enum err e = jwks_new(&set, str_from(key_set), NULL);
        bool hit = calloc_fails == 0;
        calloc_fails = 0;
        ck_assert_int_eq(e, hit ? ERR_NOMEM : OK);
        jwks_free(set);
        if (!hit)
            break;
        ck_assert_ptr_null(set);
    }
}
END_TEST
#endif

/* ---- anything -------------------------------------------------------------------------------- */

static uint64_t state;

static size_t pick(size_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % n;
}

/* One to four changes: a byte, a cut, a piece doubled or moved. The length, at most `max`. */
static size_t disturb(char *p, size_t n, size_t max)
{
    static const char odd[] = "\"{}[]:,.0-+=_AQ\\\xff\n1eE";

    for (size_t times = 1 + pick(4); times > 0 && n > 0; times--) {
        size_t at = pick(n), len = 1 + pick(MIN_OF(n - at, (size_t)16));
        switch (pick(4)) {
        case 0:
            p[at] = pick(2) != 0 ? odd[pick(sizeof odd - 1)] : (char)pick(256);
            break;
        case 1:
            memmove(p + at, p + at + len, n - at - len);
            n -= len;
            break;
        case 2:
            if (n + len <= max) {
                memmove(p + at + len, p + at, n - at);
                n += len;
            }
            break;
        case 3:
            memmove(p + pick(n - len + 1), p + at, len);
            break;
        }
    }
    return n;
}

/* A token that is not the very one that was signed is never let in. */
START_TEST(disturbed_tokens)
{
    str t[] = {good(), str_from(FOREIGN_ES256)};
    char p[4096];

    state = 20260101;
    for (unsigned i = 0; i < 6000; i++) {
        str was = t[i % 16 == 0];
        struct arena_mark m = arena_mark(&arena);
        memcpy(p, was.p, was.n);
        size_t n = disturb(p, was.n, sizeof p);
        if (verdict((str){p, n}) == JWT_VALID)
            ck_assert(str_eq((str){p, n}, was));
        (void)jwt_looks_like((str){p, n});
        arena_release(&arena, m);
    }
}
END_TEST

/* Signed, so that the claims are looked at. */
START_TEST(disturbed_claims)
{
    static const char claims[] =
        "{\"iss\":\"" ISSUER "\",\"aud\":[\"kinto\",\"a\"],\"azp\":\"kinto\",\"exp\":1000001.5,"
        "\"nbf\":1e2,\"iat\":0}";
    unsigned valid = 0, seen[JWT_NOT_YET + 1] = {0};
    char p[1024];

    state = 20260102;
    for (unsigned i = 0; i < 1500; i++) {
        struct arena_mark m = arena_mark(&arena);
        memcpy(p, claims, sizeof claims - 1);
        size_t n = disturb(p, sizeof claims - 1, sizeof p);
        str text = unsigned_token(STR(ES), (str){p, n});
        enum jwt_verdict v = verdict(with_signature(text, sign_es256(text)));
        seen[v]++;
        valid += v == JWT_VALID;
        arena_release(&arena, m);
    }
    ck_assert_uint_gt(valid, 0);
    ck_assert_uint_gt(seen[JWT_MALFORMED], 0);
    ck_assert_uint_gt(seen[JWT_BAD_CLAIMS], 0);
    ck_assert_uint_gt(seen[JWT_WRONG_ISSUER], 0);
    ck_assert_uint_gt(seen[JWT_WRONG_AUDIENCE], 0);
    ck_assert_uint_eq(seen[JWT_BAD_SIGNATURE] + seen[JWT_UNKNOWN_KEY] + seen[JWT_NO_MEMORY], 0);
}
END_TEST

START_TEST(disturbed_key_sets)
{
    char *p = malloc(2 * sizeof key_set);

    state = 20260103;
    for (unsigned i = 0; i < 3000; i++) {
        memcpy(p, key_set, sizeof key_set - 1);
        size_t n = disturb(p, sizeof key_set - 1, 2 * sizeof key_set);
        char *exact = malloc(MAX_OF(n, (size_t)1));
        memcpy(exact, p, n);
        struct jwks *set = NULL;
        enum err e = jwks_new(&set, (str){exact, n}, NULL);
        free(exact);
        ck_assert(e == OK || e == ERR_SYNTAX || e == ERR_LIMIT);
        if (e == OK)
            ck_assert_uint_le(jwks_count(set), 7);
        jwks_free(set);
    }
    free(p);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("auth/jwt");
    TCase *tc = tcase_create("tokens");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, vectors_of_rfc_7515);
    tcase_add_loop_test(tc, tokens_of_another_implementation, 0, ARRAY_LEN(foreign));
    tcase_add_loop_test(tc, header_and_claims, 0, ARRAY_LEN(made));
    tcase_add_test(tc, leeway_goes_both_ways);
    tcase_add_test(tc, claims_live_in_the_arena);
    tcase_add_test(tc, an_unsigned_token_is_refused);
    tcase_add_test(tc, a_public_key_is_no_secret);
    tcase_add_test(tc, r_and_s_out_of_range);
    tcase_add_test(tc, a_signature_has_one_length);
    tcase_add_test(tc, an_rsa_signature_beyond_the_modulus);
    tcase_add_test(tc, dots_and_padding);
    tcase_add_test(tc, a_signature_has_one_spelling);
    tcase_add_test(tc, cut_at_every_byte);
    tcase_add_test(tc, every_byte_counts);
    tcase_add_test(tc, a_token_of_16_kib);
    tcase_add_test(tc, deep_json);
    tcase_add_test(tc, crowded_json);
    tcase_add_test(tc, what_looks_like_a_token);
    tcase_add_test(tc, one_set_for_many_threads);
    tcase_add_test(tc, no_memory_for_an_arena);
#if !defined(KINTO_DEBUG)
    tcase_add_test(tc, no_memory_for_mbedtls);
#endif
    suite_add_tcase(s, tc);

    tc = tcase_create("key sets");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, which_keys_are_used, 0, ARRAY_LEN(single));
    tcase_add_test(tc, sizes_of_rsa_keys);
    tcase_add_loop_test(tc, texts_of_key_sets, 0, ARRAY_LEN(sets));
    tcase_add_test(tc, limits_of_key_sets);
    tcase_add_test(tc, a_set_owns_its_keys);
    tcase_add_test(tc, how_many_keys_are_tried);
    suite_add_tcase(s, tc);

    tc = tcase_create("anything");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, disturbed_tokens);
    tcase_add_test(tc, disturbed_claims);
    tcase_add_test(tc, disturbed_key_sets);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
