/*
 * auth/proxy.c - the user is whom a reverse proxy names in a header, because that has looked at the
 * credentials itself.
 *
 * Anybody can send a header, so it counts only on connections from the addresses that the settings
 * list, and only as it came in on the connection: never out of the part of a batch, which the client
 * wrote. A header that is there twice (the client's own, and the proxy's) says nothing. The proxy has
 * to remove what clients send under that name.
 */
#include "auth/private.h"
#include "base/net.h"
#include "http/http.h"

#define DEFAULT_HEADER STR("X-Forwarded-User")

struct proxies {
    str header;
    struct net_list trusted;
};

/* ---- settings -------------------------------------------------------------------------------- */

static enum err bad_setting(const struct auth_active *policy, const struct auth_setting *s,
                            const char *key, str found, const char *allowed, struct err_detail *d)
{
    return err_set(
        d, ERR_SYNTAX, 0, STR_FMT ": multiauth.policy." STR_FMT ".%s: found \"%s\", allowed is %s",
        STR_ARG(s->origin), STR_ARG(policy->name), key, settings_quote(found).text, allowed);
}

static enum err load(struct arena *arena, struct auth_active *policy, const struct settings *s,
                     struct err_detail *d)
{
    struct auth_setting listed = auth_setting(s, "multiauth.policy.*.proxies", policy->name);
    struct auth_setting header = auth_setting(s, "multiauth.policy.*.user_header", policy->name);
    const str *words = NULL;
    size_t n = 0;
    enum err e = str_none(listed.value) ? OK : native_list(arena, listed.value, &words, &n);
    if (e != OK)
        return e;
    if (n == 0)
        return bad_setting(policy, &listed, "proxies", STR(""),
                           "the addresses of the proxies that may name users", d);
    struct proxies *p = ARENA_NEW(arena, struct proxies);
    if (p)
        p->trusted.blocks = ARENA_NEW_ARRAY(arena, struct net_block, n);
    if (p == NULL || p->trusted.blocks == NULL)
        return ERR_NOMEM;
    p->header = str_none(header.value) ? DEFAULT_HEADER : header.value;
    if (!http_is_token(p->header))
        return bad_setting(policy, &header, "user_header", header.value, "the name of a header", d);
    for (size_t i = 0; e == OK && i < n; i++)
        if (!net_list_add(&p->trusted, words[i]))
            e = bad_setting(policy, &listed, "proxies", words[i],
                            "addresses, networks like 192.0.2.0/24, or unix", d);
    policy->data = p;
    return e;
}

/* ---- a request ------------------------------------------------------------------------------- */

static enum err authenticate(const struct auth_active *policy, struct auth_request *req,
                             str *user_id)
{
    const struct proxies *p = policy->data;
    if (req->header == NULL || !net_list_has(&p->trusted, req->peer))
        return OK;
    str name = req->header(req->ctx, p->header);
    if (!auth_user_valid(str_trim(name)))
        return OK;
    *user_id = arena_str(req->arena, str_trim(name));
    return str_none(*user_id) ? ERR_NOMEM : OK;
}

const struct auth_policy proxy_policy = {
    .name = "proxy",
    .paths = "kinto.auth.ProxyPolicy",
    .load = load,
    .authenticate = authenticate,
};
