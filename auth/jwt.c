/*
 * auth/jwt.c - a token in the compact serialisation: its parts, its header, its claims.
 *
 * The order of the steps is that of RFC 7519, section 7.2: nothing of the claims is looked at before
 * the signature is right, and of the header only what the signature needs.
 */
#include "auth/private.h"
#include "base/hash.h"

#include <inttypes.h>

#define LAST_SECOND  STR("253402300799") /* 9999-12-31T23:59:59Z */
#define QUOTED_BYTES 80                  /* of the token, in a detail */

const char *jwt_verdict_text(enum jwt_verdict v)
{
    static const char *const texts[] = {
#define X(name, text) [JWT_##name] = text,
        JWT_TABLE(X)
#undef X
    };
    CHECK((size_t)v < ARRAY_LEN(texts));
    return texts[v];
}

/* ---- what is said of a refused one ----------------------------------------------------------- */

static enum jwt_verdict refuse(struct err_detail *d, enum jwt_verdict v, const char *what)
{
    (void)err_set(d, ERR_FAILED, 0, "%s", what);
    return v;
}

static enum jwt_verdict refuse_name(struct err_detail *d, enum jwt_verdict v, const char *name,
                                    const char *what)
{
    (void)err_set(d, ERR_FAILED, 0, "%s %s", name, what);
    return v;
}

/* What begins the string, so that it may be shown to anybody. */
static void make_harmless(str found, char shown[QUOTED_BYTES + 1])
{
    size_t n = 0;

    for (; n < found.n && n < QUOTED_BYTES; n++)
        shown[n] = found.p[n] >= ' ' && found.p[n] <= '~' ? found.p[n] : '?';
    shown[n] = '\0';
}

/* `what`: a sentence about the string that was found. */
static enum jwt_verdict refuse_string(struct err_detail *d, enum jwt_verdict v, const char *what,
                                      str found)
{
    char shown[QUOTED_BYTES + 1];

    make_harmless(found, shown);
    (void)err_set(d, ERR_FAILED, 0, "%s: \"%s\"", what, shown);
    return v;
}

/* ---- parts ----------------------------------------------------------------------------------- */

struct parts {
    str header, payload, signature; /* as they are in the token */
    str signed_text;                /* header and payload and the full stop between them */
};

static bool split(str token, struct parts *out)
{
    size_t first = str_find(token, '.');
    if (token.n > JWT_MAX_BYTES || first == STR_NPOS)
        return false;
    str behind = str_drop(token, first + 1);
    size_t second = str_find(behind, '.');
    if (second == STR_NPOS)
        return false;
    out->header = str_sub(token, 0, first);
    out->payload = str_sub(behind, 0, second);
    out->signature = str_drop(behind, second + 1);
    out->signed_text = str_sub(token, 0, first + 1 + second);
    return str_find(out->signature, '.') == STR_NPOS;
}

/* A part that is a JSON object. SYNTAX: it is not; NOMEM. */
static enum err read_object(struct arena *a, str part, struct json **out)
{
    str text;
    struct json *v;

    enum err e = hash_base64url_decode(a, part, &text);
    if (e == OK)
        e = json_parse(a, text, &v, NULL);
    if (e != OK)
        return e == ERR_NOMEM ? e : ERR_SYNTAX;
    if (!json_is(v, JSON_OBJECT))
        return ERR_SYNTAX;
    *out = v;
    return OK;
}

static enum jwt_verdict unread(struct err_detail *d, enum err e, const char *part, const char *what)
{
    return e == ERR_NOMEM ? refuse(d, JWT_NO_MEMORY, "out of memory")
                          : refuse_name(d, JWT_MALFORMED, part, what);
}

/* ---- header ---------------------------------------------------------------------------------- */

struct header {
    enum jwt_alg alg;
    str kid; /* or none */
};

static bool find_alg(str name, enum jwt_alg *out)
{
    static const struct {
        str name;
        enum jwt_alg alg;
    } algs[] = {{STR_INIT("RS256"), JWT_RS256}, {STR_INIT("ES256"), JWT_ES256}};

    for (size_t i = 0; i < ARRAY_LEN(algs); i++)
        if (str_eq(name, algs[i].name)) {
            *out = algs[i].alg;
            return true;
        }
    return false;
}

/*
 * A provider signs other things with the same key for the same audience (what tells of a log-out,
 * say), and names them by `typ` (RFC 8725, section 3.11). Identity tokens are JWT or bear no type,
 * access tokens may be at+jwt (RFC 9068); media types may lack their "application/" (RFC 7515,
 * section 4.1.9).
 */
static bool is_our_type(str typ)
{
    static const str application = STR_INIT("application/");

    if (str_eq_nocase(str_sub(typ, 0, application.n), application))
        typ = str_drop(typ, application.n);
    return str_eq_nocase(typ, STR("JWT")) || str_eq_nocase(typ, STR("at+jwt"));
}

/* A member that, if it is there, must be a string; none if it is not there. */
static bool optional_string(const struct json *v, const char *name, str *out)
{
    const struct json *m = json_get(v, str_from(name));

    *out = json_is(m, JSON_STRING) ? json_string(m) : STR_NONE;
    return m == NULL || !str_none(*out);
}

static enum jwt_verdict read_header(struct arena *a, str part, struct header *out,
                                    struct err_detail *d)
{
    struct json *v;
    str alg, typ;

    enum err e = read_object(a, part, &v);
    if (e != OK)
        return unread(d, e, "the header", "is no JSON object in base64url");
    if (!optional_string(v, "alg", &alg) || str_none(alg))
        return refuse(d, JWT_MALFORMED, "the header names no algorithm");
    if (!optional_string(v, "kid", &out->kid) || !optional_string(v, "typ", &typ))
        return refuse(d, JWT_MALFORMED, "kid or typ in the header is no string");
    if (!find_alg(alg, &out->alg))
        return refuse_string(d, JWT_UNSUPPORTED, "an algorithm other than RS256 and ES256", alg);
    if (json_get(v, STR("crit")) != NULL)
        return refuse(d, JWT_UNSUPPORTED, "the header has extensions that must be understood");
    if (!str_none(typ) && !is_our_type(typ))
        return refuse_string(d, JWT_UNSUPPORTED, "another type of token", typ);
    return JWT_VALID;
}

/* ---- claims ---------------------------------------------------------------------------------- */

static enum jwt_verdict check_issuer(const struct json *claims, str expected, struct err_detail *d)
{
    str iss;

    if (!optional_string(claims, "iss", &iss))
        return refuse(d, JWT_BAD_CLAIMS, "iss is no string");
    if (str_none(iss))
        return refuse(d, JWT_WRONG_ISSUER, "iss is missing");
    if (!str_eq(iss, expected))
        return refuse_string(d, JWT_WRONG_ISSUER, "iss is another", iss);
    return JWT_VALID;
}

static enum jwt_verdict check_audiences(const struct json *aud, str expected, struct err_detail *d)
{
    bool found = false;

    for (size_t i = 0; i < json_count(aud); i++) {
        const struct json *one = json_at(aud, i);
        if (!json_is(one, JSON_STRING))
            return refuse(d, JWT_BAD_CLAIMS, "aud has something in it that is no string");
        found = found || str_eq(json_string(one), expected);
    }
    return found ? JWT_VALID
                 : refuse(d, JWT_WRONG_AUDIENCE, "aud does not have the expected audience");
}

/* Several audiences: who asked for the token? */
static enum jwt_verdict check_party(const struct json *claims, str expected, struct err_detail *d)
{
    str azp;

    if (!optional_string(claims, "azp", &azp))
        return refuse(d, JWT_BAD_CLAIMS, "azp is no string");
    if (str_none(azp))
        return refuse(d, JWT_WRONG_AUDIENCE, "aud has several audiences, and azp is missing");
    if (!str_eq(azp, expected))
        return refuse_string(d, JWT_WRONG_AUDIENCE, "aud has several audiences, and azp is another",
                             azp);
    return JWT_VALID;
}

static enum jwt_verdict check_audience(const struct json *claims, str expected,
                                       struct err_detail *d)
{
    const struct json *aud = json_get(claims, STR("aud"));

    if (aud == NULL)
        return refuse(d, JWT_WRONG_AUDIENCE, "aud is missing");
    if (json_is(aud, JSON_STRING))
        return str_eq(json_string(aud), expected)
                   ? JWT_VALID
                   : refuse_string(d, JWT_WRONG_AUDIENCE, "aud is another", json_string(aud));
    if (!json_is(aud, JSON_ARRAY))
        return refuse(d, JWT_BAD_CLAIMS, "aud is neither a string nor an array");
    enum jwt_verdict v = check_audiences(aud, expected, d);
    return v == JWT_VALID && json_count(aud) > 1 ? check_party(claims, expected, d) : v;
}

/* A NumericDate (RFC 7519, section 2) as it was written, or none if it is not there. */
static enum jwt_verdict read_date(const struct json *claims, const char *name, str *out,
                                  struct err_detail *d)
{
    const struct json *v = json_get(claims, str_from(name));

    *out = STR_NONE;
    if (v == NULL)
        return JWT_VALID;
    if (!json_is(v, JSON_NUMBER))
        return refuse_name(d, JWT_BAD_CLAIMS, name, "is no number");
    str date = json_number(v);
    if (json_number_compare(date, STR("0")) < 0 || json_number_compare(date, LAST_SECOND) > 0)
        return refuse_name(d, JWT_BAD_CLAIMS, name, "is no time in seconds since 1970");
    *out = date;
    return JWT_VALID;
}

/* Both are exact: numbers with a fraction are compared with whole seconds as they were written. */
static int compare_with(str date, int64_t seconds)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, seconds);
    return json_number_compare(date, (str){text, (size_t)n});
}

static enum jwt_verdict check_end(const struct json *claims, const struct jwt_rules *rules,
                                  struct err_detail *d)
{
    str date;
    enum jwt_verdict v = read_date(claims, "exp", &date, d);

    if (v != JWT_VALID)
        return v;
    if (str_none(date))
        return refuse(d, JWT_BAD_CLAIMS, "exp is missing");
    if (compare_with(date, rules->now_s - rules->leeway_s) <= 0)
        return refuse_string(d, JWT_EXPIRED, "exp is over", date);
    return JWT_VALID;
}

static enum jwt_verdict check_begin(const struct json *claims, const char *name,
                                    const struct jwt_rules *rules, struct err_detail *d)
{
    str date;
    enum jwt_verdict v = read_date(claims, name, &date, d);

    if (v != JWT_VALID || str_none(date))
        return v;
    if (compare_with(date, rules->now_s + rules->leeway_s) > 0) {
        (void)err_set(d, ERR_FAILED, 0, "%s is yet to come", name);
        return JWT_NOT_YET;
    }
    return JWT_VALID;
}

static enum jwt_verdict check_claims(const struct json *claims, const struct jwt_rules *rules,
                                     struct err_detail *d)
{
    enum jwt_verdict v = check_issuer(claims, rules->issuer, d);
    if (v == JWT_VALID)
        v = check_audience(claims, rules->audience, d);
    if (v == JWT_VALID)
        v = check_end(claims, rules, d);
    if (v == JWT_VALID)
        v = check_begin(claims, "nbf", rules, d);
    if (v == JWT_VALID)
        v = check_begin(claims, "iat", rules, d);
    return v;
}

/* ---- a token --------------------------------------------------------------------------------- */

static enum jwt_verdict check_signature(struct arena *a, const struct parts *parts,
                                        const struct jwks *keys, struct err_detail *d)
{
    struct header header;
    str signature;

    enum jwt_verdict v = read_header(a, parts->header, &header, d);
    if (v != JWT_VALID)
        return v;
    enum err e = hash_base64url_decode(a, parts->signature, &signature);
    if (e != OK)
        return unread(d, e, "the signature", "is no base64url");
    v = jwks_verify(keys, header.alg, header.kid, parts->signed_text, signature);
    if (v == JWT_VALID)
        return v;
    return str_none(header.kid) ? refuse_name(d, v, jwt_verdict_text(v), "(without kid)")
                                : refuse_string(d, v, jwt_verdict_text(v), header.kid);
}

enum jwt_verdict jwt_verify(struct arena *a, str token, const struct jwks *keys,
                            const struct jwt_rules *rules, struct jwt *out, struct err_detail *d)
{
    struct parts parts;
    struct json *claims;

    CHECK(!str_none(rules->issuer) && !str_none(rules->audience));
    CHECK(rules->now_s >= 0 && rules->leeway_s >= 0 && rules->leeway_s <= JWT_MAX_LEEWAY_S);
    if (token.n > JWT_MAX_BYTES)
        return refuse(d, JWT_MALFORMED, "the token is too long");
    if (!split(token, &parts))
        return refuse(d, JWT_MALFORMED, "the token has not three parts");
    enum jwt_verdict v = check_signature(a, &parts, keys, d);
    if (v != JWT_VALID)
        return v;
    enum err e = read_object(a, parts.payload, &claims);
    if (e != OK)
        return unread(d, e, "the payload", "is no JSON object in base64url");
    v = check_claims(claims, rules, d);
    if (v != JWT_VALID)
        return v;
    out->claims = claims;
    out->expires_s = (int64_t)(json_to_double(json_get(claims, STR("exp"))) + 0.5);
    return JWT_VALID;
}

static bool is_base64url(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!str_is_letter(s.p[i]) && !str_is_digit(s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
            return false;
    return true;
}

bool jwt_looks_like(str token)
{
    struct parts parts;
    struct arena a;
    struct json *header;

    if (!split(token, &parts) || !is_base64url(parts.payload) || !is_base64url(parts.signature))
        return false;
    arena_init(&a, NULL, 0, NULL, MIB);
    bool yes = read_object(&a, parts.header, &header) == OK &&
               json_get_typed(header, STR("alg"), JSON_STRING) != NULL;
    arena_fini(&a);
    return yes;
}
