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
#include "http/http.h"
#include <arpa/inet.h>

#define DEFAULT_HEADER STR("X-Forwarded-User")

struct network { /* IPv4 as ::ffff:a.b.c.d */
    uint8_t address[16];
    unsigned bits;
};

struct proxies {
    str header;
    bool local; /* of a Unix domain socket */
    size_t count;
    struct network networks[];
};

/* ---- addresses ------------------------------------------------------------------------------- */

static bool read_address(str text, struct network *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char z[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof z)
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    out->bits = 128;
    if (inet_pton(AF_INET6, z, out->address) == 1)
        return true;
    memcpy(out->address, mapped, sizeof mapped);
    return inet_pton(AF_INET, z, out->address + sizeof mapped) == 1;
}

/* "192.0.2.1", "192.0.2.0/24", "::1", "2001:db8::/32" (RFC 4632, RFC 4291 section 2.3). */
static bool read_network(str text, struct network *out)
{
    str bits = text, address = str_cut(&bits, '/');
    if (!read_address(address, out))
        return false;
    if (str_none(bits))
        return true;
    unsigned width = str_find(address, ':') == STR_NPOS ? 32 : 128;
    uint64_t n;
    if (str_to_u64(bits, &n) != OK || n > width)
        return false;
    out->bits = 128 - width + (unsigned)n;
    return true;
}

static bool is_in(const struct network *net, const struct network *one)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->address, one->address, whole) != 0)
        return false;
    return rest == 0 || (net->address[whole] ^ one->address[whole]) >> (8 - rest) == 0;
}

static bool is_trusted(const struct proxies *p, str peer)
{
    struct network one;
    if (str_eq(peer, STR("unix")))
        return p->local;
    if (!read_address(peer, &one))
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (is_in(&p->networks[i], &one))
            return true;
    return false;
}

/* ---- settings -------------------------------------------------------------------------------- */

static enum err bad_setting(const struct auth_active *policy, const struct auth_setting *s,
                            const char *key, str found, const char *allowed, struct err_detail *d)
{
    return err_set(
        d, ERR_SYNTAX, 0,
        STR_FMT ": multiauth.policy." STR_FMT ".%s: found \"" STR_FMT "\", allowed is %s",
        STR_ARG(s->origin), STR_ARG(policy->name), key, STR_ARG(str_sub(found, 0, 80)), allowed);
}

static enum err add_proxy(struct proxies *p, const struct auth_active *policy,
                          const struct auth_setting *s, str word, struct err_detail *d)
{
    if (str_eq(word, STR("unix")))
        p->local = true;
    else if (read_network(word, &p->networks[p->count]))
        p->count++;
    else
        return bad_setting(policy, s, "proxies", word,
                           "addresses, networks like 192.0.2.0/24, or unix", d);
    return OK;
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
    struct proxies *p = arena_zalloc(arena, sizeof *p + n * sizeof p->networks[0]);
    if (p == NULL)
        return ERR_NOMEM;
    p->header = str_none(header.value) ? DEFAULT_HEADER : header.value;
    if (!http_is_token(p->header))
        return bad_setting(policy, &header, "user_header", header.value, "the name of a header", d);
    for (size_t i = 0; e == OK && i < n; i++)
        e = add_proxy(p, policy, &listed, words[i], d);
    policy->data = p;
    return e;
}

/* ---- a request ------------------------------------------------------------------------------- */

static enum err authenticate(const struct auth_active *policy, struct auth_request *req,
                             str *user_id)
{
    const struct proxies *p = policy->data;
    if (req->header == NULL || !is_trusted(p, req->peer))
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
