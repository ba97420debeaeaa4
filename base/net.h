/*
 * base/net.h - addresses: as text, as the system has them, and what they stand for; and hosts, as URLs have
 * them.
 *
 *     address   where one end of a connection is: struct net_address
 *     peer      the other end of a connection, in text: of a client its address ("192.0.2.1", "::1", "unix")
 *     network   what a peer counts as when things are shared out (connections, memory, threads, rates), a number:
 *               net_network()
 *     block     addresses that begin with the same bits ("192.0.2.0/24"): what settings call a network
 *     host      what stands before a port in a URL: a name or an address (struct net_host)
 *
 * All functions: any thread, no allocation.
 */
#ifndef BASE_NET_H
#define BASE_NET_H

#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* ---- addresses ------------------------------------------------------------------------------- */

/* Of IPv4 or IPv6 with a port, or of a Unix socket: `sa.any` and `n` are what system calls take. One that
 * they are to fill begins as {.n = sizeof a.sa}. */
struct net_address {
    socklen_t n;
    union {
        struct sockaddr_un un; /* first, as the largest: so {0} clears all of them */
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } sa;
};

/* "192.0.2.1", "::1" (RFC 4291, 2.2): the one place where text becomes an address. No brackets, no zone, no
 * name. */
MUST_CHECK bool net_address_parse(str text, uint16_t port, struct net_address *out);
/* What the system tells by a pointer. False: it is neither IPv4 nor IPv6. */
MUST_CHECK bool net_address_copy(const struct sockaddr *any, struct net_address *out);
/* As text; "unix" for what is neither IPv4 nor IPv6. An IPv4 address inside IPv6, as a socket of both
 * has it, is written as what it is. */
void net_address_text(const struct net_address *a, char out[INET6_ADDRSTRLEN]);
/* Its 4 or 16 bytes, in the order of the network; part of *a. Empty: it is neither IPv4 nor IPv6. */
str net_address_bytes(const struct net_address *a);
uint16_t net_address_port(const struct net_address *a); /* 0: neither IPv4 nor IPv6, too */
void net_address_set_port(struct net_address *a, uint16_t port);

/* ---- hosts ----------------------------------------------------------------------------------- */

/*
 * "example.org", "192.0.2.1", "[::1]", each perhaps with ":443" behind (RFC 3986, 3.2.2 and 3.2.3): where
 * one ends and the other begins is the same wherever this stands, and for that there is net_host_split().
 * What a host may consist of depends on what it is for: something to reach is judged by net_host_parse() or
 * net_host_is_name(); who allows more, or less, has a check of his own, which says why: Host headers
 * (http/parse.c), certificates (http/self_signed.c), mails (http/mail.c), patterns of URLs
 * (plugins/openid_callback.c). Names in the Unicode of their users are none here: they have to be written
 * as "xn--...".
 */
struct net_host { /* slices of the text */
    str host;     /* without its brackets */
    bool literal; /* it was in brackets, as IPv6 addresses are */
    str port;     /* what is behind the colon, perhaps nothing; none: there is no colon */
};
/* What host and port consist of is not looked at. False: brackets that do not end, hold nothing, or are
 * followed by something else than a colon. (An IPv6 address without brackets ends at its first colon.) */
MUST_CHECK bool net_host_split(str text, struct net_host *out);
/* The same, of a host that can be reached: an IPv6 address if it is in brackets, else a name. The port is
 * not looked at. */
MUST_CHECK bool net_host_parse(str text, struct net_host *out);

#define NET_NAME_MAX 253 /* characters of a name, without a last full stop (RFC 1035, 2.3.4) */

/* Could it be looked up? Letters, digits, '-' (RFC 1123, 2.1) and '_', which DNS has as well, in labels
 * between full stops; one more may stand at the end. "192.0.2.1" is one, too. (How long a label is, is the
 * resolver's to say.) */
bool net_host_is_name(str host);
/* Without the last full stop, which stands for the root. */
str net_host_without_root(str host);
/* 0 to 65535, in one to five digits and nothing else. */
MUST_CHECK bool net_port_parse(str text, uint16_t *out);

/* printf: a host without brackets as it stands in a URL, where IPv6 has some. */
#define NET_HOST_FMT "%s" STR_FMT "%s"
#define NET_HOST_ARG(host)                                                                         \
    (net_host_is_v6(host) ? "[" : ""), STR_ARG(host), (net_host_is_v6(host) ? "]" : "")
static inline bool net_host_is_v6(str host)
{
    return str_find(host, ':') != STR_NPOS;
}

/* ---- networks -------------------------------------------------------------------------------- */

/*
 * The network of a peer: of an IPv4 address it alone (also inside IPv6), of IPv6 the 64 bits that a
 * stranger cannot change at will; what is no address ("unix") stands for itself. The number is a keyed hash
 * (base/map.h), so that strangers cannot choose it. Two networks may have the same.
 */
uint64_t net_network(str peer);

/* ---- blocks ---------------------------------------------------------------------------------- */

/* An address, or all that begin with the same bits. IPv4 lies in ::ffff:0:0/96, as in RFC 4291, 2.5.5.2. */
struct net_block {
    uint8_t address[16];
    unsigned bits; /* 0 to 128 */
};

/* One address: "192.0.2.1", "::1". */
MUST_CHECK bool net_block_parse_one(str text, struct net_block *out);
/* The same, or "192.0.2.0/24", "2001:db8::/32" (RFC 4632; RFC 4291, 2.3). Bits behind the length do not
 * count. */
MUST_CHECK bool net_block_parse(str text, struct net_block *out);
/* Is all of `one` in it? */
bool net_block_has(const struct net_block *b, const struct net_block *one);

/* Blocks out of settings, and connections of a Unix socket. */
struct net_list {
    struct net_block *blocks; /* room for as many as will be added */
    size_t count;
    bool local; /* "unix" */
};
/* "unix", or what net_block_parse() takes. False: it is neither. */
MUST_CHECK bool net_list_add(struct net_list *l, str word);
bool net_list_has(const struct net_list *l, str peer);

#endif
