/*
 * plugins/openid_token.c - what a provider is asked: whose token is that, and which one is for this code?
 *
 * Whose token it is:
 *
 *   a JSON Web Token  signed by one of the provider's keys, for the audience of the settings (without
 *                     one: for the client itself, which makes it an identity token), not expired:
 *                     its claims are the profile, when they have the field of the user id.
 *   any other token   with an audience in the settings, nobody's: for whom it was issued cannot be told.
 *                     Else the provider is asked for the profile (the userinfo endpoint).
 *
 * A JSON Web Token for somebody else is handled as any other token; one that is forged or expired is
 * nobody's, without asking. A provider that did not answer is left alone for two seconds, and a token
 * that was refused stays so for half a minute: a flood of tokens does not become one of calls.
 */
#include "auth/jwt.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "plugins/openid.h"

#define NEW_KEYS_MS 30000u /* between two looks for a key that is not in the set */
#define DOWN_MS     2000u  /* behind a call that nobody answered */
#define REFUSED_MS  30000u
#define LEEWAY_S    10 /* between the clocks of two machines */
#define MAX_BODY    (64 * KIB)
#define MAX_ANSWER  (16 * KIB) /* of the token endpoint: goes into a header */
#define MAX_PROFILE (32 * KIB)

/* ---- calls ----------------------------------------------------------------------------------- */

/* What the provider is asked besides its documents; while it does not answer, nobody waits for it. */
static enum err call_unless_down(struct openid_provider *p, const struct http_call *call,
                                 struct arena *a, struct http_answer *out, struct err_detail *d)
{
    pthread_mutex_lock(&p->lock);
    bool down = clock_mono_ms() < p->down_until_ms;
    pthread_mutex_unlock(&p->lock);
    if (down)
        return err_set(d, ERR_TIMEOUT, 0, "did not answer a moment ago");
    enum err e = http_client_call(p->client, call, a, out, d);
    if (e == ERR_TIMEOUT || e == ERR_IO || e == ERR_NOTFOUND) {
        pthread_mutex_lock(&p->lock);
        p->down_until_ms = clock_mono_ms() + DOWN_MS;
        pthread_mutex_unlock(&p->lock);
    }
    return e;
}

static bool is_temporary(int status)
{
    return status == 408 || status == 429 || status >= 500;
}

/* Asks the provider for `what`: an answer of any status but those that pass. TIMEOUT: there is none, which
 * the log says; NOMEM. */
static enum err ask(struct openid_provider *p, const char *what, const struct http_call *call,
                    struct arena *a, struct http_answer *out)
{
    struct err_detail d = {0};
    struct http_call timed = *call;

    timed.timeout_ms = OPENID_CALL_MS;
    timed.connect_timeout_ms = OPENID_CONNECT_MS;
    enum err e = call_unless_down(p, &timed, a, out, &d);
    if (e == OK && is_temporary(out->status))
        e = err_set(&d, ERR_TIMEOUT, 0, "the answer is a %d", out->status);
    if (e == OK)
        return OK;
    openid_warn(p, what, d.text[0] ? d.text : err_text(e));
    return e == ERR_NOMEM ? e : ERR_TIMEOUT;
}

/* ---- profiles -------------------------------------------------------------------------------- */

str openid_user_of(const struct openid_provider *p, struct arena *a, str profile)
{
    struct json_raw raw;
    str user = STR_NONE;

    if (!json_scan_member(profile, p->userid_field, &raw))
        return user;
    if (raw.type == JSON_STRING)
        user = json_raw_string(a, &raw);
    else if (raw.type == JSON_NUMBER)
        user = raw.text;
    return auth_user_valid(user) ? user : STR_NONE;
}

/* The profile as text, if it names a user. */
static enum err take_profile(const struct openid_provider *p, struct arena *a,
                             const struct json *profile, struct openid_answer *out)
{
    str text = json_text(a, profile);

    if (str_none(text))
        return ERR_NOMEM;
    if (text.n <= MAX_PROFILE && !str_none(openid_user_of(p, a, text)))
        out->profile = text;
    return OK;
}

static bool same_subject(const struct json *claims, const struct json *profile)
{
    const struct json *x = json_get(claims, STR("sub")), *y = json_get(profile, STR("sub"));
    return x == NULL || y == NULL || json_equal(x, y);
}

/* `claims`: of the token, which the profile must fit (OpenID Connect Core 1.0, section 5.3.2); or NULL. */
static enum err ask_profile(struct openid_provider *p, struct arena *a, str token,
                            const struct json *claims, struct openid_answer *out)
{
    struct openid_config c;
    struct http_answer answer;
    struct json *profile;
    enum err e = openid_config_get(p, a, &c);

    if (e != OK || str_none(c.userinfo))
        return e;
    const struct http_header headers[] = {
        {STR("Authorization"), ARENA_JOIN(a, STR("Bearer "), token)},
        {STR("Accept"), STR("application/json")},
    };
    const struct http_call call = {
        .url = c.userinfo,
        .headers = headers,
        .nheaders = ARRAY_LEN(headers),
        .max_body_bytes = MAX_BODY,
        .max_redirects = OPENID_MAX_REDIRECTS,
    };
    if (str_none(headers[0].value))
        return ERR_NOMEM;
    e = ask(p, "a profile", &call, a, &answer);
    if (e != OK || answer.status != 200)
        return e;
    e = json_parse(a, answer.body, &profile, NULL);
    if (e == ERR_NOMEM)
        return e;
    if (e != OK || !json_is(profile, JSON_OBJECT) || (claims && !same_subject(claims, profile))) {
        openid_warn(p, "a profile", "it is no JSON object, or another user's");
        return OK;
    }
    return take_profile(p, a, profile, out);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

/* The settings' audience; without one, tokens for the client itself. */
static str audience_of(const struct openid_provider *p)
{
    return p->audience.n > 0 ? p->audience : p->client_id;
}

static enum jwt_verdict check(struct openid_provider *p, struct arena *a, str issuer, str token,
                              uint64_t fresh_ms, struct jwt *out, bool *asked)
{
    const struct jwt_rules rules = {
        .issuer = issuer,
        .audience = audience_of(p),
        .now_s = MAX_OF(clock_wall_ms() / 1000, 0),
        .leeway_s = LEEWAY_S,
    };
    struct err_detail d = {0};
    struct openid_keys *keys = openid_keys_borrow(p, fresh_ms);

    *asked = keys != NULL;
    if (keys == NULL)
        return JWT_UNKNOWN_KEY;
    enum jwt_verdict v = jwt_verify(a, token, keys->set, &rules, out, &d);
    openid_keys_give_back(p, keys);
    if (v != JWT_VALID)
        log_event(LOG_DEBUG, "openid", "provider=\"" STR_FMT "\" token=\"%s: %s\"",
                  STR_ARG(p->name), jwt_verdict_text(v), d.text);
    return v;
}

/* A token for others, or of a kind that cannot be judged here: the provider may know it. */
static enum err ask_unless_bound(struct openid_provider *p, struct arena *a, str token,
                                 struct openid_answer *out)
{
    return p->audience.n > 0 ? OK : ask_profile(p, a, token, NULL, out);
}

static enum err identify_jwt(struct openid_provider *p, struct arena *a, str token,
                             struct openid_answer *out)
{
    struct openid_config c;
    struct jwt jwt;
    bool asked;
    enum err e = openid_config_get(p, a, &c);

    if (e != OK)
        return e;
    if (str_none(c.jwks))
        return ask_unless_bound(p, a, token, out);
    enum jwt_verdict v = check(p, a, c.issuer, token, OPENID_FRESH_MS, &jwt, &asked);
    if (v == JWT_UNKNOWN_KEY && asked) /* perhaps there are new ones */
        v = check(p, a, c.issuer, token, NEW_KEYS_MS, &jwt, &asked);
    switch (v) {
    case JWT_VALID:
        out->expires_s = jwt.expires_s + LEEWAY_S;
        e = take_profile(p, a, jwt.claims, out);
        return e == OK && str_none(out->profile) ? ask_profile(p, a, token, jwt.claims, out) : e;
    case JWT_NO_MEMORY:
        return ERR_NOMEM;
    case JWT_UNKNOWN_KEY:
        out->may_change = true;
        if (!asked)
            return p->audience.n > 0 ? ERR_TIMEOUT : ask_profile(p, a, token, NULL, out);
        return ask_unless_bound(p, a, token, out);
    case JWT_NOT_YET:
        out->may_change = true;
        return OK;
    case JWT_BAD_SIGNATURE:
    case JWT_EXPIRED:
        return OK;
    case JWT_MALFORMED:
    case JWT_UNSUPPORTED:
    case JWT_UNSUITABLE_KEY:
    case JWT_BAD_CLAIMS:
    case JWT_WRONG_ISSUER:
    case JWT_WRONG_AUDIENCE:
        break;
    }
    return ask_unless_bound(p, a, token, out);
}

enum err openid_identify(struct openid_provider *p, struct arena *a, str token,
                         struct openid_answer *out)
{
    *out = (struct openid_answer){STR_NONE, 0, false};
    return jwt_looks_like(token) ? identify_jwt(p, a, token, out)
                                 : ask_unless_bound(p, a, token, out);
}

/* ---- tokens that were refused ---------------------------------------------------------------- */

static struct openid_refusal *slot_of(struct openid_provider *p, const char *key)
{
    uint64_t n = 0;
    for (size_t i = 0; i < 8; i++)
        n = n << 4 | (uint64_t)str_hex_digit(key[OPENID_KEY_BYTES - 1 - i]);
    return &p->refused[n % OPENID_REFUSALS];
}

bool openid_is_refused(struct openid_provider *p, const char *key)
{
    struct openid_refusal *r = slot_of(p, key);

    pthread_mutex_lock(&p->lock);
    bool yes = clock_mono_ms() < r->until_ms &&
               hash_equal((str){(const char *)r->key, sizeof r->key}, (str){key, sizeof r->key});
    pthread_mutex_unlock(&p->lock);
    return yes;
}

void openid_refuse(struct openid_provider *p, const char *key)
{
    struct openid_refusal *r = slot_of(p, key);

    pthread_mutex_lock(&p->lock);
    memcpy(r->key, key, sizeof r->key);
    r->until_ms = clock_mono_ms() + REFUSED_MS;
    pthread_mutex_unlock(&p->lock);
}

/* ---- codes ----------------------------------------------------------------------------------- */

static void add_field(struct buf *b, const char *name, str value)
{
    if (b->n > 0)
        buf_add_char(b, '&');
    buf_add_str(b, str_from(name));
    buf_add_char(b, '=');
    http_url_encode(b, value, NULL);
}

static str code_form(const struct openid_provider *p, struct arena *a, str code, str redirect_uri)
{
    struct buf form;

    buf_init_arena(&form, a, MAX_BODY);
    add_field(&form, "code", code);
    add_field(&form, "client_id", p->client_id);
    if (p->client_secret.n > 0)
        add_field(&form, "client_secret", p->client_secret);
    add_field(&form, "redirect_uri", redirect_uri);
    add_field(&form, "grant_type", STR("authorization_code"));
    return buf_failed(&form) ? STR_NONE : buf_str(&form);
}

enum err openid_exchange(struct openid_provider *p, struct arena *a, str code, str redirect_uri,
                         str *answer)
{
    static const struct http_header headers[] = {
        {STR_INIT("Content-Type"), STR_INIT("application/x-www-form-urlencoded")},
        {STR_INIT("Accept"), STR_INIT("application/json")},
    };
    struct openid_config c;
    struct http_answer got;
    enum err e = openid_config_get(p, a, &c);

    if (e != OK)
        return e;
    if (str_none(c.token)) {
        openid_warn(p, "a token", "it names no token_endpoint");
        return ERR_TIMEOUT;
    }
    const struct http_call call = {
        .method = STR("POST"),
        .url = c.token,
        .headers = headers,
        .nheaders = ARRAY_LEN(headers),
        .body = code_form(p, a, code, redirect_uri),
        .max_body_bytes = MAX_ANSWER,
    };
    e = str_none(call.body) ? ERR_NOMEM : ask(p, "a token", &call, a, &got);
    if (e == OK)
        *answer = got.body;
    return e;
}
