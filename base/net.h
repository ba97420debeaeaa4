/*
 * base/net.h - who a client is, as far as its address tells.
 */
#ifndef BASE_NET_H
#define BASE_NET_H

#include "base/str.h"

/*
 * The network that an address stands for, as a number to share things out by: an IPv4 address alone
 * (also inside IPv6), of IPv6 the 64 bits that a stranger cannot change at will. `peer` is the text of
 * an address; what is none ("unix") stands for itself. Two networks may have the same number.
 */
uint64_t net_lane(str peer);

/* An address, or all that begin with the same bits. IPv4 lies in ::ffff:0:0/96, as in RFC 4291, 2.5.5.2. */
struct net {
    uint8_t address[16];
    unsigned bits; /* 0 to 128 */
};

/* "192.0.2.1", "::1". */
MUST_CHECK bool net_parse_address(str text, struct net *out);
/* The same, or "192.0.2.0/24", "2001:db8::/32" (RFC 4632; RFC 4291, 2.3). Bits behind the length do not count. */
MUST_CHECK bool net_parse(str text, struct net *out);
/* Is all of `one` in it? */
bool net_has(const struct net *net, const struct net *one);

/* Networks out of settings, and connections of a Unix socket. */
struct net_list {
    struct net *nets; /* room for as many as will be added */
    size_t count;
    bool local; /* "unix" */
};
/* "unix", or what net_parse() takes. False: it is neither. */
MUST_CHECK bool net_list_add(struct net_list *l, str word);
bool net_list_has(const struct net_list *l, str peer); /* as http_req.peer */

#endif
