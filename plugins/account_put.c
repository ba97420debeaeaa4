/*
 * plugins/account_put.c - accounts without a server: what a name is, and the account of a user whom the
 * command line makes, in a transaction of its own. The same object as `/accounts` would have made.
 */
#include "auth/password.h"
#include "base/settings.h"
#include "plugins/account.h"
#include "plugins/accounts.h"
#include "json/json.h"

static bool is_name_char(char c, bool first)
{
    return str_is_alnum(c) || (!first && str_find(STR("+.@_-"), c) != STR_NPOS);
}

bool accounts_valid_name(str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!is_name_char(id.p[i], i == 0))
            return false;
    return id.n > 0 && id.n <= STORE_MAX_ID_BYTES;
}

/* The permissions of the account as it is (`old`, or NULL), with its user among the writers. */
static enum err with_owner(struct store_session *s, struct arena *a, const struct store_object *old,
                           str name, struct store_put *put)
{
    const struct store_ace *acl = NULL;
    size_t n = 0, i = 0;
    enum err e = old ? store_acl_list(s, a, old, &acl, &n) : OK;
    if (e != OK)
        return e;
    struct store_ace *aces = ARENA_NEW_ARRAY(a, struct store_ace, n + 1);
    str owner = ARENA_JOIN(a, ACCOUNT_PREFIX, name);
    if (aces == NULL || str_none(owner))
        return ERR_NOMEM;
    for (size_t k = 0; k < n; k++)
        aces[k] = acl[k];
    while (i < n && !str_eq(aces[i].principal, owner))
        i++;
    put->acl = aces;
    put->nacl = MAX_OF(n, i + 1);
    aces[i].principal = owner;
    aces[i].perms |= STORE_PERM_WRITE;
    return OK;
}

str account_uri(struct arena *a, str name)
{
    return ARENA_JOIN(a, STR("/accounts/"), name);
}

static enum err forget_keys(struct store_session *s, struct arena *a, str name)
{
    str uri = account_uri(a, name);
    return str_none(uri) ? ERR_NOMEM : store_delete_below(s, uri);
}

static enum err put_account(struct store_session *s, struct arena *a, str name, str hash)
{
    struct store_object old, ignored;
    struct json *data = json_new_object(a);
    struct store_put put = {.id = name, .data = data};
    enum err e = data ? json_set(a, data, STR("password"), json_new_string(a, hash)) : ERR_NOMEM;
    if (e != OK)
        return e;
    e = store_get(s, a, account_list, name, &old);
    if (e == OK || e == ERR_NOTFOUND)
        e = with_owner(s, a, e == OK ? &old : NULL, name, &put);
    if (e == OK) /* keys that were mailed: whoever has one may not set another password */
        e = forget_keys(s, a, name);
    return e == OK ? store_put(s, a, account_list, &put, &ignored) : e;
}

enum err accounts_put(struct store_thread *t, const struct settings *s, str name, str password,
                      struct err_detail *d)
{
    if (!accounts_valid_name(name))
        return err_set(d, ERR_SYNTAX, 0, "\"%s\" is no user name: these are " ACCOUNTS_NAMES,
                       settings_quote(name).text);
    if (!password_is_usable(password))
        return err_set(d, ERR_SYNTAX, 0, "a password has 1 to %d bytes", PASSWORD_MAX_BYTES);
    struct arena a;
    struct store_session *session;
    str hash;
    arena_init(&a, NULL, 0, NULL, MIB);
    enum err e = password_hash(&a, password,
                               (unsigned)settings_int(s, "kinto.account_password_cost", 12), &hash);
    if (e == OK)
        e = store_write_begin(t, &a, &session);
    if (e == OK) {
        e = put_account(session, &a, name, hash);
        if (e == OK)
            e = store_commit_wait(session);
        else
            store_abort(session);
    }
    arena_fini(&a);
    return e;
}
