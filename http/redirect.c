/*
 * http/redirect.c - where a request that came over plain HTTP is to go.
 */
#include "http/private.h"

/* "[::1]:8443" for the host of a Host header and another port (0: none). STR_NONE: it is no host that can be reached,
 * perhaps one that would make a different URL of it; or no memory. */
static str with_port(struct arena *a, str header, uint16_t port)
{
    struct net_host h;

    if (!net_host_parse(header, &h))
        return STR_NONE;
    if (port == 443 || port == 0)
        return arena_printf(a, NET_HOST_FMT, NET_HOST_ARG(h.host));
    return arena_printf(a, NET_HOST_FMT ":%u", NET_HOST_ARG(h.host), port);
}

str redirect_location(struct arena *a, str fixed, str host_header, uint16_t port, str target)
{
    str host = !str_none(fixed) ? fixed : with_port(a, host_header, port);

    if (str_none(host))
        return STR_NONE;
    if (str_eq(target, STR("*"))) /* OPTIONS of the whole server has no path */
        target = STR("/");
    return ARENA_JOIN(a, STR("https://"), host, target);
}
