/*
 * plugins/account_policy.c - the policy that knows the users of accounts again, by name and password
 * (HTTP Basic).
 *
 * Passwords are checked by a pool of threads (api_work_begin), so a flood of them costs others nothing
 * but, at most, a turn in that queue. A name that nobody has is checked like any other, against a hash
 * that fits nothing: how long it takes does not tell whether there is an account.
 * A password that was right is remembered for kinto.account_cache_ttl_seconds from its last use, as a
 * hash under a key made of the account's own hash: with a new password, or without the account, it is
 * forgotten at once.
 */
#include "auth/auth.h"
#include "auth/password.h"
#include "base/hash.h"
#include "base/rand.h"
#include "plugins/account.h"
#include "plugins/account_mail.h"
#include "plugins/accounts.h"
#include "plugins/private.h"

struct passwords {
    bool by_mail; /* kinto.account_validation */
    uint64_t ttl_ms;
    uint8_t secret[32]; /* of the cache's keys: for this run only */
    str fits_nothing;   /* a hash that takes as long as those of accounts */
};

static enum err load_policy(struct arena *arena, struct auth_active *policy,
                            const struct settings *s, struct err_detail *d)
{
    (void)d;
    struct passwords *p = ARENA_NEW(arena, struct passwords);
    if (p == NULL)
        return ERR_NOMEM;
    p->by_mail = settings_bool(s, "kinto.account_validation");
    p->ttl_ms = 1000 * (uint64_t)settings_int(s, "kinto.account_cache_ttl_seconds", 30);
    rand_bytes(p->secret, sizeof p->secret);
    p->fits_nothing =
        arena_printf(arena, "$2b$%02d$abcdefghijklmnopqrstuu0000000000000000000000000000000",
                     (int)settings_int(s, "kinto.account_password_cost", 12));
    policy->data = p;
    return str_none(p->fits_nothing) ? ERR_NOMEM : OK;
}

struct check {
    struct api_work work;
    str password, hash;
    bool same;
};

static enum err run_check(struct api_work *w)
{
    struct check *c = CONTAINER_OF(w, struct check, work);
    return password_check(w->arena, c->password, c->hash, &c->same);
}

/* What was right is remembered under these; both are text. */
struct memory {
    char key[2 * HASH_SHA256_LEN + 1], value[2 * HASH_SHA256_LEN + 1];
};

static enum err memory_of(const struct passwords *p, struct arena *a, str name, str hash,
                          str password, struct memory *m)
{
    str account = ARENA_JOIN(a, name, STR(":"), hash);
    if (str_none(account))
        return ERR_NOMEM;
    hash_hmac_sha256_hex((str){(const char *)p->secret, sizeof p->secret}, account, m->key);
    hash_hmac_sha256_hex(str_from(m->key), password, m->value);
    return OK;
}

/* Forgotten is no failure: then it is checked again. */
static void remember(struct api_req *r, const struct passwords *p, const struct memory *m)
{
    enum err e =
        store_cache_set(api_store(api_of(r)), str_from(m->key), str_from(m->value), p->ttl_ms);
    (void)e;
}

static bool is_remembered(struct api_req *r, const struct memory *m)
{
    str value;
    return store_cache_get(api_store(api_of(r)), api_arena(r), str_from(m->key), &value) &&
           hash_equal(value, str_from(m->value));
}

/* Sets *same; AGAIN: it is being checked. */
static enum err check(struct api_req *r, str password, str hash, const struct memory *m, bool *same)
{
    str key = arena_str(api_arena(r), str_from(m->value));
    if (str_none(key))
        return ERR_NOMEM;
    struct api_work *w = api_work_done(r, run_check, key);
    if (w) {
        *same = CONTAINER_OF(w, struct check, work)->same;
        return w->result;
    }
    struct check *c = ARENA_NEW(api_arena(r), struct check);
    if (c == NULL)
        return ERR_NOMEM;
    c->password = password;
    c->hash = hash;
    enum api_step s = api_work_begin(r, &c->work, run_check, key, POOL_COMPUTE);
    return s == STEP_WAIT ? ERR_AGAIN : ERR_FAILED;
}

/* The hash of an account; one that fits nothing when there is no account, or none with a password. */
static enum err find_hash(struct api_req *r, const struct passwords *p, str name, str *hash)
{
    struct store_object account;
    struct json *data;
    *hash = p->fits_nothing;
    enum err e = api_read_object(r, account_list, name, &account);
    if (e != OK)
        return e == ERR_NOTFOUND ? OK : e;
    e = store_data(api_arena(r), &account, &data);
    if (e != OK)
        return e;
    if (!p->by_mail || account_is_valid(data))
        *hash = json_get_str(data, STR("password"), *hash);
    return OK;
}

/* A password that was sent by mail does one thing only. */
static enum err fits_reset(struct api_req *r, const struct passwords *p, str name, str hash,
                           str password, bool *fits)
{
    *fits = false;
    bool valid = !str_eq(hash, p->fits_nothing);
    return p->by_mail && valid ? account_reset_fits(r, name, password, fits) : OK;
}

static enum err authenticate(const struct auth_active *policy, struct auth_request *req,
                             str *user_id)
{
    const struct passwords *p = policy->data;
    struct api_req *r = req->ctx;
    str name, password, hash;
    struct memory m;
    enum err e;
    if (!auth_basic_credentials(req, &name, &password, &e) || !accounts_valid_name(name))
        return e;
    e = find_hash(r, p, name, &hash);
    if (e == OK)
        e = memory_of(p, req->arena, name, hash, password, &m);
    bool same = e == OK && is_remembered(r, &m);
    if (e == OK && !same)
        e = check(r, password, hash, &m, &same);
    if (e == OK && same)
        remember(r, p, &m); /* from now on */
    else if (e == OK)
        e = fits_reset(r, p, name, hash, password, &same);
    if (e != OK || !same)
        return e;
    *user_id = arena_str(req->arena, name);
    return str_none(*user_id) ? ERR_NOMEM : OK;
}

const struct auth_policy accounts_policy = {
    .name = "account",
    .prefix = "account",
    .paths = "kinto.plugins.accounts.AccountsPolicy "
             "kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy "
             "kinto.plugins.accounts.AccountsAuthenticationPolicy",
    .load = load_policy,
    .authenticate = authenticate,
    .scheme = "Basic",
    .security = "{\"type\":\"basic\"}",
};
