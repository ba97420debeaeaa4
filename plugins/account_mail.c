/*
 * plugins/account_mail.c - keys by mail: see the header for what they do.
 *
 * Whether there is an account of a name is not told: a reset answers the same either way, and writes a key
 * and a mail either way (of nobody; too old to be sent), so that it takes the same time (make timing). Of one
 * account at most one reset a minute goes out.
 */
#include "plugins/account_mail.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "http/smtp.h"
#include "plugins/account.h"
#include "plugins/outbox.h"
#include "plugins/private.h"
#include "json/regex.h"

#define SECOND_MS      INT64_C(1000)
#define RESET_PAUSE_MS (60 * SECOND_MS)
#define REGEX_STEPS    UINT64_C(100000)
#define MAX_TEXT       (256 * KIB) /* of a mail */

/* The two texts of a mail: keys of settings. */
struct template
{
    const char *subject, *body;
};
static const struct template activation = {"kinto.account_validation.email_subject_template",
                                           "kinto.account_validation.email_body_template"};
static const struct template confirmation = {
    "kinto.account_validation.email_confirmation_subject_template",
    "kinto.account_validation.email_confirmation_body_template"};
static const struct template reset = {
    "kinto.account_validation.email_reset_password_subject_template",
    "kinto.account_validation.email_reset_password_body_template"};

/* What a key is for: its id in the store, and what templates call it. */
struct purpose {
    str id;
    const char *in_template;
    const char *ttl; /* setting, in seconds */
};
static const struct purpose to_validate = {
    STR_INIT("validation"), "activation-key",
    "kinto.account_validation.validation_key_cache_ttl_seconds"};
static const struct purpose to_reset = {
    STR_INIT("reset"), "reset-password",
    "kinto.account_validation.reset_password_cache_ttl_seconds"};

struct account_mail {
    struct api *api;
    const struct settings *settings;
    struct outbox *outbox; /* the API's */
    struct json_regex *regexp;
};

/* ---- keys ------------------------------------------------------------------------------------ */

static struct store_list_id keys_of(struct arena *a, str name)
{
    return (struct store_list_id){STR("account-key"), account_uri(a, name)};
}

static void hash_key(str key, char out[2 * HASH_SHA256_LEN + 1])
{
    uint8_t hash[HASH_SHA256_LEN];
    hash_sha256(key, hash);
    hash_hex(hash, sizeof hash, out);
}

/* A new key, in the arena; the account has one of each purpose. */
static enum err make_key(struct account_mail *m, struct api_req *r, str name,
                         const struct purpose *p, str *key)
{
    char uuid[37], hash[2 * HASH_SHA256_LEN + 1];
    struct arena *a = api_arena(r);
    int64_t now = clock_wall_ms(), ttl = settings_int(m->settings, p->ttl, 7 * 24 * 3600);
    struct json *json = json_new_object(a);
    rand_uuid4(uuid);
    hash_key(str_from(uuid), hash);
    *key = arena_str(a, str_from(uuid));
    enum err e =
        json ? json_set(a, json, STR("hash"), json_new_string(a, arena_str(a, str_from(hash))))
             : ERR_NOMEM;
    if (e == OK)
        e = json_set(a, json, STR("made"), json_new_i64(a, now));
    if (e == OK)
        e = json_set(a, json, STR("expires"), json_new_i64(a, now + ttl * SECOND_MS));
    if (e != OK || str_none(*key))
        return ERR_NOMEM;
    struct store_object ignored;
    const struct store_put put = {.id = p->id, .data = json};
    return store_put(api_session(r), a, keys_of(a, name), &put, &ignored);
}

/* In a session, or before one. NOTFOUND: there is none. */
static enum err read_key(struct api_req *r, str name, const struct purpose *p, struct json **key)
{
    struct arena *a = api_arena(r);
    struct store_object o;
    struct store_session *s = api_session(r);
    enum err e = s ? store_get(s, a, keys_of(a, name), p->id, &o)
                   : api_read_object(r, keys_of(a, name), p->id, &o);
    return e == OK ? store_data(a, &o, key) : e;
}

static enum err key_fits(struct api_req *r, str name, const struct purpose *p, str given,
                         bool *fits)
{
    char hash[2 * HASH_SHA256_LEN + 1];
    struct json *key;
    *fits = false;
    enum err e = read_key(r, name, p, &key);
    if (e != OK)
        return e == ERR_NOTFOUND ? OK : e;
    hash_key(given, hash);
    *fits = hash_equal(json_get_str(key, STR("hash"), STR("")), str_from(hash)) &&
            clock_wall_ms() < json_get_i64(key, STR("expires"), 0);
    return OK;
}

static enum err forget_key(struct api_req *r, str name, const struct purpose *p)
{
    struct arena *a = api_arena(r);
    enum err e = store_forget(api_session(r), a, keys_of(a, name), p->id);
    return e == ERR_NOTFOUND ? OK : e;
}

/* ---- templates -------------------------------------------------------------------------------- */

/* What "{name}" stands for: what is given here, fields of the account, of its email-context. */
struct context {
    const char *own_name;
    str own_value;
    const struct json *account, *more;
};

static void add_value(struct buf *b, const struct context *c, str name)
{
    const struct json *v = NULL;
    if (c->own_name && str_eq(name, str_from(c->own_name))) {
        buf_add_str(b, c->own_value);
        return;
    }
    if (!str_eq(name, STR("password")))
        v = json_get(c->account, name);
    if (v == NULL && c->more)
        v = json_get(c->more, name);
    if (v == NULL) { /* as it stands there */
        buf_add_char(b, '{');
        buf_add_str(b, name);
        buf_add_char(b, '}');
    } else if (json_is(v, JSON_STRING)) {
        buf_add_str(b, json_string(v));
    } else {
        json_write(b, v);
    }
}

/* "{name}" is replaced; "{{" and "}}" are braces. */
static str fill(struct arena *a, str text, const struct context *c)
{
    struct buf b;
    buf_init_arena(&b, a, MAX_TEXT);
    for (size_t i = 0; i < text.n; i++) {
        size_t end = str_find(str_drop(text, i), '}');
        bool twice = i + 1 < text.n && text.p[i + 1] == text.p[i];
        if ((text.p[i] == '{' || text.p[i] == '}') && twice) {
            buf_add_char(&b, text.p[i++]);
        } else if (text.p[i] == '{' && end != STR_NPOS) {
            add_value(&b, c, str_sub(text, i + 1, end - 1));
            i += end;
        } else {
            buf_add_char(&b, text.p[i]);
        }
    }
    return buf_failed(&b) ? STR_NONE : buf_str(&b);
}

/* email-context: of the request, or of the account. */
static const struct json *email_context(struct api_req *r, const struct json *account)
{
    const struct json *body = api_body_json(r), *data = body ? json_get(body, STR("data")) : NULL;
    const struct json *sent = data ? json_get_typed(data, STR("email-context"), JSON_OBJECT) : NULL;
    return sent ? sent : json_get_typed(account, STR("email-context"), JSON_OBJECT);
}

static enum err send(struct account_mail *m, struct api_req *r, str name, const struct template *t,
                     const struct context *c, int64_t ttl_ms)
{
    struct arena *a = api_arena(r);
    const struct outbox_mail mail = {
        .from = settings_str(m->settings, "kinto.account_validation.email_sender"),
        .to = name,
        .subject = fill(a, settings_str(m->settings, t->subject), c),
        .body = fill(a, settings_str(m->settings, t->body), c),
        .ttl_ms = ttl_ms,
    };
    if (str_none(mail.subject) || str_none(mail.body))
        return arena_failed(a) ? ERR_NOMEM : ERR_LIMIT;
    return outbox_add(m->outbox, r, &mail);
}

static enum err send_key(struct account_mail *m, struct api_req *r, str name,
                         const struct json *account, const struct purpose *p,
                         const struct template *t)
{
    str key;
    enum err e = make_key(m, r, name, p, &key);
    const struct context c = {p->in_template, key, account, email_context(r, account)};
    return e == OK ? send(m, r, name, t, &c, settings_int(m->settings, p->ttl, 0) * SECOND_MS) : e;
}

/* All the work of send_key(), for nobody: no account has that name. */
static enum err pretend_to_send_key(struct account_mail *m, struct api_req *r,
                                    const struct purpose *p, const struct template *t)
{
    struct arena *a = api_arena(r);
    struct json *nobody = json_new_object(a);
    str key;
    enum err e = nobody ? make_key(m, r, STR("-"), p, &key) : ERR_NOMEM;
    if (e != OK)
        return e;
    const struct context c = {p->in_template, key, nobody, email_context(r, nobody)};
    str subject = fill(a, settings_str(m->settings, t->subject), &c);
    str body = fill(a, settings_str(m->settings, t->body), &c);
    if (str_none(subject) || str_none(body))
        return arena_failed(a) ? ERR_NOMEM : ERR_LIMIT;
    return outbox_add_none(m->outbox, r);
}

/* ---- changes of accounts ---------------------------------------------------------------------- */

bool account_is_valid(const struct json *account)
{
    const struct json *v = json_get(account, STR("validated"));
    return v == NULL || (json_is(v, JSON_BOOL) && json_bool(v));
}

static enum err created(struct account_mail *m, struct api_req *r, str name,
                        const struct json *account)
{
    return account_is_valid(account) ? OK
                                     : send_key(m, r, name, account, &to_validate, &activation);
}

static enum err updated(struct account_mail *m, struct api_req *r, str name,
                        const struct store_object *before, const struct json *account)
{
    struct json *old;
    enum err e = store_data(api_arena(r), before, &old);
    if (e != OK)
        return e;
    const struct json *was = json_get(old, STR("password"));
    const struct json *is = json_get(account, STR("password"));
    if (was && is && !json_equal(was, is))
        e = forget_key(r, name, &to_reset); /* it has done what it was for */
    if (e != OK || account_is_valid(old) || !account_is_valid(account))
        return e;
    const struct context c = {NULL, STR_NONE, account, email_context(r, account)};
    e = forget_key(r, name, &to_validate);
    return e == OK ? send(m, r, name, &confirmation, &c, 7 * 24 * 3600 * SECOND_MS) : e;
}

enum api_step account_mail_changed(struct account_mail *m, struct api_req *r,
                                   const struct api_change *c)
{
    struct json *account = NULL;
    enum err e = OK;
    if (c->action == ACTION_DELETE) {
        e = store_delete_below(api_session(r), c->uri);
        if (e == OK && m != NULL)
            e = outbox_forget(r, c->id);
    } else if (m != NULL)
        e = store_data(api_arena(r), c->now, &account);
    if (e == OK && account)
        e = c->old ? updated(m, r, c->id, c->old, account) : created(m, r, c->id, account);
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

/* ---- temporary passwords ---------------------------------------------------------------------- */

/* A write of the account, whose data is a password and nothing else. */
static bool sets_password(struct api_req *r, str name)
{
    enum api_method method = api_method_of(r);
    str uri = account_uri(api_arena(r), name);
    bool object = str_eq(api_path(r), uri) && (method == METHOD_PUT || method == METHOD_PATCH);
    bool list = str_eq(api_path(r), STR("/accounts")) && method == METHOD_POST;
    if (!object && !list)
        return false;
    const struct json *body = api_body_json(r);
    const struct json *data = body ? json_get_typed(body, STR("data"), JSON_OBJECT) : NULL;
    return data && json_count(body) == 1 && json_count(data) == 1 &&
           json_get(data, STR("password")) != NULL;
}

enum err account_reset_fits(struct api_req *r, str name, str password, bool *fits)
{
    *fits = false;
    return sets_password(r, name) ? key_fits(r, name, &to_reset, password, fits) : OK;
}

/* ---- endpoints -------------------------------------------------------------------------------- */

enum err account_mail_is_address(struct account_mail *m, str name, bool *is)
{
    struct json_regex_scratch scratch = {0};
    uint64_t steps = REGEX_STEPS;
    enum err e = json_regex_search(m->regexp, &scratch, name, &steps, is);
    json_regex_scratch_fini(&scratch);
    return e;
}

const char *account_mail_regexp(const struct account_mail *m)
{
    return settings_str(m->settings, "kinto.account_validation.email_regexp").p;
}

/* The account of that name; NULL: there is none. */
static enum err find_account(struct api_req *r, str name, struct json **account)
{
    struct store_object o;
    *account = NULL;
    enum err e = store_get(api_session(r), api_arena(r), account_list, name, &o);
    if (e != OK)
        return e == ERR_NOTFOUND ? OK : e;
    return store_data(api_arena(r), &o, account);
}

static enum api_step reply_account(struct api_req *r, const struct store_object *o)
{
    struct json *account;
    enum err e = store_data(api_arena(r), o, &account);
    if (e != OK)
        return api_fail_err(r, e);
    json_remove(account, STR("password")); /* who has the key need not have the hash */
    str text = json_text(api_arena(r), account);
    return str_none(text) ? api_fail_err(r, ERR_NOMEM) : api_reply_json(r, 200, text);
}

static enum api_step validate(struct api_req *r)
{
    struct account_mail *m = api_endpoint_ctx(r);
    str name = api_path_value(r, "user_id"), key = api_path_value(r, "activation_key");
    struct json *account;
    struct store_object stored;
    bool fits = false;
    enum err e = find_account(r, name, &account);
    if (e == OK && account)
        e = key_fits(r, name, &to_validate, key, &fits);
    if (e == OK && !fits)
        return api_fail_told(r, API_ERR_FORBIDDEN,
                             STR("Account ID and activation key do not match"), STR_NONE);
    if (e == OK)
        e = json_set(api_arena(r), account, STR("validated"), json_new_bool(api_arena(r), true));
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = api_put_object(r, api_kind_named(m->api, account_list.resource),
                                     account_list.parent, name, account, &stored);
    return s == STEP_NEXT ? reply_account(r, &stored) : s;
}

/* One was sent just now. */
static enum err was_sent(struct api_req *r, str name, bool *sent)
{
    struct json *key;
    *sent = false;
    enum err e = read_key(r, name, &to_reset, &key);
    if (e == OK)
        *sent = clock_wall_ms() - json_get_i64(key, STR("made"), 0) < RESET_PAUSE_MS;
    return e == ERR_NOTFOUND ? OK : e;
}

static enum api_step reset_password(struct api_req *r)
{
    struct account_mail *m = api_endpoint_ctx(r);
    str name = api_path_value(r, "user_id");
    struct json *account = NULL;
    bool address, sent = false;
    enum err e = account_mail_is_address(m, name, &address);
    if (e == OK && !address)
        return api_fail_invalid(r, "body", STR("data.id"),
                                ARENA_JOIN(api_arena(r), STR("The user id should match "),
                                           str_from(account_mail_regexp(m)), STR(".")));
    if (e == OK)
        e = find_account(r, name, &account);
    if (e == OK && account)
        e = was_sent(r, name, &sent);
    if (e == OK)
        e = account && !sent ? send_key(m, r, name, account, &to_reset, &reset)
                             : pretend_to_send_key(m, r, &to_reset, &reset);
    if (e != OK)
        return api_fail_err(r, e);
    return api_reply_json(
        r, 200, STR("{\"message\":\"A temporary reset password has been sent by mail\"}"));
}

/* ---- loading --------------------------------------------------------------------------------- */

static enum err compile(struct account_mail *m, const struct settings *s, struct err_detail *d)
{
    static const char key[] = "kinto.account_validation.email_regexp";
    str pattern = settings_str(s, key);
    uint64_t steps = REGEX_STEPS;
    const char *why = NULL;
    char anchored[1024]; /* it has to match from the beginning */
    int n = snprintf(anchored, sizeof anchored, "^(?:" STR_FMT ")", STR_ARG(pattern));
    enum err e = n > 0 && (size_t)n < sizeof anchored
                     ? json_regex_new(&m->regexp, str_from(anchored), &steps, &why)
                     : ERR_LIMIT;
    if (e == OK || e == ERR_NOMEM)
        return e;
    return settings_refuse(s, key, ERR_SYNTAX, d, "%s",
                           why              ? why
                           : e == ERR_LIMIT ? "too long"
                                            : "it is no regular expression");
}

/* No server would take a mail of such a one. */
static enum err check_sender(const struct settings *s, struct err_detail *d)
{
    static const char key[] = "kinto.account_validation.email_sender";
    str sender = settings_str(s, key);
    if (smtp_address_valid(sender))
        return OK;
    return settings_refuse(s, key, ERR_SYNTAX, d, "\"%s\" is no mail address",
                           settings_quote(sender).text);
}

static enum err add_endpoints(struct api *a, struct account_mail *m)
{
    const struct api_endpoint endpoints[] = {
        {.path = "/accounts/{user_id}/validate/{activation_key}",
         .methods = METHOD_BIT(METHOD_POST),
         .writes = true,
         .handler = validate,
         .ctx = m,
         .doc = {.operation = "account-validation",
                 .tag = "Accounts",
                 .summary = "Make an account valid, by the key that was sent to it."}},
        {.path = "/accounts/{user_id}/reset-password",
         .methods = METHOD_BIT(METHOD_POST),
         .writes = true,
         .handler = reset_password,
         .ctx = m,
         .doc = {.operation = "reset-password",
                 .tag = "Accounts",
                 .summary = "Send a password that can only set another one."}}};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < ARRAY_LEN(endpoints); i++)
        e = api_add_endpoint(a, &endpoints[i]);
    return e;
}

static void release(void *what)
{
    struct account_mail *m = what;
    json_regex_free(m->regexp);
    free(m);
}

enum err account_mail_new(struct account_mail **out, struct api *a, const struct settings *s,
                          struct err_detail *d)
{
    *out = NULL;
    if (!settings_bool(s, "kinto.account_validation"))
        return OK;
    struct account_mail *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ERR_NOMEM;
    m->api = a;
    m->settings = s;
    enum err e = api_keep(a, m, release);
    if (e == OK)
        e = check_sender(s, d);
    if (e == OK)
        e = compile(m, s, d);
    if (e == OK)
        e = outbox_new(&m->outbox, a, s, d);
    if (e == OK)
        e = add_endpoints(a, m);
    if (e == OK)
        *out = m;
    return e;
}
