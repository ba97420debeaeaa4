/*
 * plugins/accounts.c - users with a name and a password that they chose: `/accounts`.
 *
 * An account is an object of the kind "account" that lies in nothing; its id is the user's name, its
 * "password" the bcrypt hash of what was sent. Everybody has only their own: for others than the
 * administrators (kinto.account_write_principals) no other account exists. Who makes an account,
 * anonymous or administrator, makes it for the user: "account:NAME" becomes its writer.
 *
 * Hashes are made by a pool of threads (api_work_begin), so a flood of passwords costs others nothing
 * but, at most, a turn in that queue.
 */
#include "plugins/accounts.h"
#include "auth/password.h"
#include "plugins/account.h"
#include "plugins/account_mail.h"
#include "plugins/private.h"

const struct store_list_id account_list = {STR_INIT("account"), STR_INIT("")};

/* The user's name: behind the prefix of whatever policy knew them. */
static str name_of(str user_id)
{
    str_cut(&user_id, ':');
    return user_id;
}

/* ---- the resource ---------------------------------------------------------------------------- */

struct accounts {
    const str *admins; /* of the settings */
    size_t nadmins;
    unsigned cost;             /* of hashes */
    struct account_mail *mail; /* NULL: kinto.account_validation is off */
};

static bool is_admin(const struct accounts *p, struct api_req *r)
{
    return api_is_any_of(r, p->admins, p->nadmins);
}

/* A member of the body's "data"; NULL: there is none. */
static const struct json *sent(struct api_req *r, str name)
{
    const struct json *body = api_body_json(r), *data = body ? json_get(body, STR("data")) : NULL;
    return data ? json_get(data, name) : NULL;
}

/* The id in the body of a POST; NULL: there is none. */
static const struct json *posted_id(struct api_req *r)
{
    return api_method_of(r) == METHOD_POST ? sent(r, STR("id")) : NULL;
}

/* Whom the request is about, when the user does not say so: anonymous, or an administrator. */
static enum api_step find_owner(struct api_req *r, bool admin)
{
    str id = api_url_id(r);
    if (api_is_plural(r)) {
        const struct json *posted = posted_id(r);
        if (api_method_of(r) == METHOD_POST && posted == NULL)
            return api_fail_invalid(r, "body", STR("data.id"), STR("data.id in body: Required"));
        if (posted == NULL && !admin)
            return api_fail_titled(r, 401, "Cannot read accounts.");
        if (posted == NULL || !json_is(posted, JSON_STRING))
            return STEP_NEXT; /* a list; or no id, which is told later */
        id = json_string(posted);
    }
    str owner = ARENA_JOIN(api_arena(r), ACCOUNT_PREFIX, id);
    if (str_none(owner))
        return api_fail_err(r, ERR_NOMEM);
    api_set_author(r, owner);
    return admin ? api_add_principal(r, owner) : STEP_NEXT;
}

static enum api_step enter(void *ctx, struct api_req *r)
{
    bool admin = is_admin(ctx, r);
    if (admin || str_none(api_user_id(r)))
        return find_owner(r, admin);
    api_show_only(r, name_of(api_user_id(r)));
    return STEP_NEXT;
}

static void validate(struct api_req *r, struct json *data, const char *prefix)
{
    str name = ARENA_JOIN(api_arena(r), str_from(prefix), STR("password"));
    const struct json *password = json_get(data, STR("password"));
    if (api_is_text(r, password, name, "password") && !password_is_usable(json_string(password)))
        api_invalid_add(r, "body", name, STR("A password has 1 to 72 bytes, none of them NUL"));
}

struct hashing {
    struct api_work work;
    unsigned cost;
    str password, hash;
};

static enum err run_hash(struct api_work *w)
{
    struct hashing *h = CONTAINER_OF(w, struct hashing, work);
    return password_hash(w->arena, h->password, h->cost, &h->hash);
}

static enum api_step hash_password(const struct accounts *p, struct api_req *r, struct json *data)
{
    struct arena *a = api_arena(r);
    str password = json_string(json_get(data, STR("password")));
    /* With the id: whoever else has that password in a batch gets a salt of their own. */
    str key = ARENA_JOIN(a, api_object_id(r), STR(":"), password);
    if (str_none(key))
        return api_fail_err(r, ERR_NOMEM);
    struct api_work *w = api_work_done(r, run_hash, key);
    if (w && w->result != OK)
        return api_fail_err(r, w->result);
    if (w) {
        str hash = CONTAINER_OF(w, struct hashing, work)->hash;
        enum err e = json_set(a, data, STR("password"), json_new_string(a, hash));
        return e == OK ? STEP_NEXT : api_fail_err(r, e);
    }
    struct hashing *h = ARENA_NEW(a, struct hashing);
    if (h == NULL)
        return api_fail_err(r, ERR_NOMEM);
    h->cost = p->cost;
    h->password = str_sub(key, key.n - password.n, password.n);
    return api_work_begin(r, &h->work, run_hash, key, POOL_COMPUTE);
}

/* A JSON patch has no "data": there a password counts as sent when it is another than before. */
static bool password_is_sent(struct api_req *r, const struct json *data)
{
    const struct store_object *before = api_object(r);
    struct json_raw old;
    if (json_is(api_body_json(r), JSON_OBJECT))
        return sent(r, STR("password")) != NULL;
    str now = json_text(api_arena(r), json_get(data, STR("password")));
    return before == NULL || !json_scan_member(before->data, STR("password"), &old) ||
           !str_eq(old.text, now);
}

static enum api_step refuse_id(struct api_req *r, const char *why)
{
    return api_fail_invalid(r, "body", STR("data.id"), str_from(why));
}

/* A new account whose user still has to show that the address is theirs. */
static enum api_step unproven(struct account_mail *m, struct api_req *r, struct json *data)
{
    struct arena *a = api_arena(r);
    bool address;
    enum err e = account_mail_is_address(m, api_object_id(r), &address);
    if (e == OK && !address)
        return api_fail_invalid(
            r, "body", STR("data.id"),
            ARENA_JOIN(a, STR("Account validation is enabled, and user id should match "),
                       str_from(account_mail_regexp(m))));
    if (e == OK)
        e = json_set(a, data, STR("validated"), json_new_bool(a, false));
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

/* Somebody may write the account who cannot log in by it (of another policy, with that name), but the
 * address is shown to be theirs by the key alone. Administrators are believed. */
static enum api_step still_unproven(struct api_req *r, struct json *data)
{
    struct arena *a = api_arena(r);
    struct json *before;
    enum err e = store_data(a, api_object(r), &before);
    if (e == OK && !account_is_valid(before))
        e = json_set(a, data, STR("validated"), json_new_bool(a, false));
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

static enum api_step judge_address(const struct accounts *p, struct api_req *r, struct json *data)
{
    if (p->mail == NULL)
        return STEP_NEXT;
    if (api_object(r) == NULL)
        return unproven(p->mail, r, data);
    return is_admin(p, r) ? STEP_NEXT : still_unproven(r, data);
}

static enum api_step process(void *ctx, struct api_req *r, struct json *data)
{
    const struct accounts *p = ctx;
    str user = api_user_id(r);
    if (api_is_plural(r) && posted_id(r) == NULL)
        return refuse_id(r, "Accounts must have an ID.");
    if (!is_admin(p, r) && !str_none(user) && !str_eq(api_object_id(r), name_of(user)))
        return refuse_id(r, "Username and account ID do not match.");
    enum api_step s = judge_address(p, r, data);
    return s == STEP_NEXT && password_is_sent(r, data) ? hash_password(p, r, data) : s;
}

static enum api_step changed(void *ctx, struct api_req *r, const struct api_change *c)
{
    const struct accounts *p = ctx;
    bool account = str_eq(str_from(c->resource), account_list.resource);
    return account ? account_mail_changed(p->mail, r, c) : STEP_NEXT;
}

/* The name of an account may be the address of somebody. Its tombstone would keep that. */
static enum err erased(void *ctx, struct api_req *r, str principal, void **at)
{
    struct arena *a = api_arena(r);
    struct store_session *s = api_session(r);
    struct store_object o;
    (void)ctx;
    (void)at;
    if (!str_starts(principal, ACCOUNT_PREFIX))
        return OK;
    str name = str_drop(principal, ACCOUNT_PREFIX.n);
    enum err e = store_get_tombstone(s, a, account_list, name, &o);
    if (e != OK)
        return e == ERR_NOTFOUND ? OK : e;
    struct json *nothing = json_new_object(a);
    const struct store_put put = {.id = name, .data = nothing};
    e = nothing ? store_put(s, a, account_list, &put, &o) : ERR_NOMEM; /* in its place ... */
    return e == OK ? store_forget(s, a, account_list, name) : e;       /* ... and away with it */
}

/* ---- loading --------------------------------------------------------------------------------- */

static void take_policy(void *arg, str key, str star, str use, str origin)
{
    (void)key;
    (void)star;
    (void)origin;
    bool *named = arg;
    for (str paths = str_from(accounts_policy.paths); !str_none(paths);)
        if (str_eq(str_cut(&paths, ' '), use))
            *named = true;
}

/* The policy must be there, and asked before one like basicauth, which takes any credentials. (That it is
 * named and not in force is allowed, as in the reference.) */
static enum err check_policies(struct api *a, const struct settings *s, struct err_detail *d)
{
    const struct auth_active *p, *taker = NULL;
    for (size_t i = 0; (p = auth_active_at(api_auth(a), i)) != NULL; i++) {
        if (taker == NULL && p->policy->takes_any)
            taker = p;
        if (p->policy != &accounts_policy)
            continue;
        if (taker == NULL)
            return OK;
        return settings_refuse(s, "multiauth.policies", ERR_SYNTAX, d,
                               "what takes any credentials has to stand behind accounts: " STR_FMT,
                               STR_ARG(taker->name));
    }
    bool named = false;
    settings_each(s, "multiauth.policy.*.use", take_policy, &named);
    if (named)
        return OK;
    return settings_refuse(s, "kinto.includes", ERR_SYNTAX, d,
                           "kinto.plugins.accounts needs a policy that knows accounts: "
                           "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy");
}

/* Who may create accounts for others is an administrator, and has to be named as one. */
static enum err check_creators(const struct settings *s, struct err_detail *d)
{
    size_t n, nadmins;
    const str *creators = settings_list(s, "kinto.account_create_principals", &n);
    const str *admins = settings_list(s, "kinto.account_write_principals", &nadmins);
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(creators[i], STR("system.Everyone")) &&
            !str_is_one_of(creators[i], admins, nadmins))
            return settings_refuse(s, "kinto.account_create_principals", ERR_SYNTAX, d,
                                   "these could create their own accounts only, unless they are in "
                                   "kinto.account_write_principals, too: %s",
                                   settings_quote(creators[i]).text);
    }
    return OK;
}

static enum err add_resource(struct api *a, struct accounts *p)
{
    const unsigned reads = METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD);
    return api_add_resource(
        a, &(struct api_resource){
               .name = "account",
               .plural = "accounts",
               .parent = KIND_NONE,
               .create_perm = STORE_PERM_ACCOUNT_CREATE,
               .plural_methods = reads | METHOD_BIT(METHOD_POST) | METHOD_BIT(METHOD_DELETE),
               .object_methods = reads | METHOD_BIT(METHOD_PUT) | METHOD_BIT(METHOD_PATCH) |
                                 METHOD_BIT(METHOD_DELETE),
               .id_pattern = "^[a-zA-Z0-9][+.@a-zA-Z0-9_-]*$",
               .valid_id = accounts_valid_name,
               .data_required = true,
               .owned = true,
               .time_is_ours = true,
               /* Of answers, too: what is cut to some fields may have no password. */
               .doc.data = "{\"type\":\"object\",\"additionalProperties\":{},\"properties\":{"
                           "\"id\":{\"type\":\"string\"},"
                           "\"last_modified\":{\"type\":\"integer\"},"
                           "\"password\":{\"type\":\"string\",\"minLength\":1,"
                           "\"maxLength\":72}}}",
               .ctx = p,
               .enter = enter,
               .validate = validate,
               .process = process,
           });
}

#define CAPABILITY(validation)                                                                     \
    "{\"description\":\"Manage user accounts.\",\"url\":"                                          \
    "\"https://kinto.readthedocs.io/en/latest/api/1.x/accounts.html\","                            \
    "\"validation_enabled\":" validation "}"

enum err accounts_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    enum err e = check_policies(a, s, d);
    if (e == OK)
        e = check_creators(s, d);
    if (e != OK)
        return e;
    struct accounts *p = calloc(1, sizeof *p);
    e = p ? api_keep(a, p, free) : ERR_NOMEM;
    if (e != OK)
        return e;
    p->admins = settings_list(s, "kinto.account_write_principals", &p->nadmins);
    p->cost = (unsigned)settings_int(s, "kinto.account_password_cost", 12);
    e = account_mail_new(&p->mail, a, s, d);
    if (e == OK)
        e = add_resource(a, p);
    if (e == OK)
        e = api_add_listener(
            a, &(struct api_listener){.ctx = p, .changed = changed, .erased = erased});
    return e == OK ? api_add_capability(a, "accounts",
                                        p->mail ? CAPABILITY("true") : CAPABILITY("false"))
                   : e;
}
