/*
 * http/redirect.c - where a request that came over plain HTTP is to go.
 */
#include "http/private.h"

/* "[::1]:8443" for the host of a Host header and another port (0: none). */
static enum err with_port(struct arena *a, str header, uint16_t port, str *out)
{
    struct net_host h;

    if (!net_host_parse(header, &h))
        return ERR_SYNTAX;
    *out = port == 443 || port == 0
               ? arena_printf(a, NET_HOST_FMT, NET_HOST_ARG(h.host))
               : arena_printf(a, NET_HOST_FMT ":%u", NET_HOST_ARG(h.host), port);
    return str_none(*out) ? ERR_NOMEM : OK;
}

enum err redirect_location(struct arena *a, str fixed, str host_header, uint16_t port, str target,
                           str *out)
{
    str host = fixed;
    enum err e = str_none(fixed) ? with_port(a, host_header, port, &host) : OK;

    if (e != OK)
        return e;
    if (str_eq(target, STR("*"))) /* OPTIONS of the whole server has no path */
        target = STR("/");
    *out = ARENA_JOIN(a, STR("https://"), host, target);
    return str_none(*out) ? ERR_NOMEM : OK;
}
