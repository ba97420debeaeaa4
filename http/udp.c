/*
 * http/udp.c - a socket that sends datagrams to an address, of a URL.
 *
 * Names are not looked up, but for localhost. Datagrams go to one address for as long as the server
 * runs, unlike a connection, whose end would show that the address of a name has changed. And opening is
 * part of a start, which must neither wait for a name server nor fail for want of one.
 */
#include "http/outbound.h"

#include <errno.h>
#include <unistd.h>

/* localhost is 127.0.0.1: nothing would tell that nobody listens at ::1, so there is no second try. */
static const struct net_address *choose(const struct addresses *found)
{
    for (unsigned i = 0; i < found->n; i++)
        if (found->at[i].sa.any.sa_family == AF_INET)
            return &found->at[i];
    return &found->at[0];
}

enum err http_udp_open(str url, uint16_t default_port, int *out, struct err_detail *d)
{
    static const str scheme = STR_INIT("udp://");
    struct target t = {.userinfo = STR_NONE, .port = default_port};
    struct addresses found;
    str rest = str_drop(url, scheme.n);

    if (!str_starts(url, scheme))
        return err_set(d, ERR_SYNTAX, 0, "bad URL: it does not begin with udp://");
    enum err e = target_parse_authority(str_cut(&rest, '/'), &t, d);
    if (e != OK)
        return e;
    if (!str_none(t.userinfo))
        return err_set(d, ERR_SYNTAX, 0, "bad URL: nobody logs in by UDP");
    if (!resolve_at_once(t.host, t.port, &found))
        return err_set(d, ERR_NOTFOUND, 0, "names are not looked up, but for localhost");
    const struct net_address *to = choose(&found);
    int fd = socket(to->sa.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(d, ERR_IO, errno, "a socket for " STR_FMT, STR_ARG(t.host));
    if (connect(fd, &to->sa.any, to->n) != 0) {
        int failure = errno;
        close(fd);
        return err_set(d, ERR_IO, failure, STR_FMT, STR_ARG(t.host));
    }
    *out = fd;
    return OK;
}
