/*
 * base/net.c - addresses, and what they stand for.
 */
#include "base/net.h"
#include "base/map.h"
#include <arpa/inet.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* an IPv4 address inside IPv6 */

/* ---- addresses ------------------------------------------------------------------------------- */

bool net_address_parse(str text, uint16_t port, struct net_address *out)
{
    struct net_address a = {0};
    char z[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof z || str_find(text, '\0') != STR_NPOS)
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(AF_INET, z, &a.sa.v4.sin_addr) == 1) {
        a.sa.v4.sin_family = AF_INET;
        a.n = sizeof a.sa.v4;
    } else if (inet_pton(AF_INET6, z, &a.sa.v6.sin6_addr) == 1) {
        a.sa.v6.sin6_family = AF_INET6;
        a.n = sizeof a.sa.v6;
    } else {
        return false;
    }
    net_address_set_port(&a, port);
    *out = a;
    return true;
}

bool net_address_copy(const struct sockaddr *any, struct net_address *out)
{
    struct net_address a = {0};
    if (any->sa_family != AF_INET && any->sa_family != AF_INET6)
        return false;
    a.n = any->sa_family == AF_INET ? sizeof a.sa.v4 : sizeof a.sa.v6;
    memcpy(&a.sa, any, a.n);
    *out = a;
    return true;
}

void net_address_text(const struct net_address *a, char out[INET6_ADDRSTRLEN])
{
    str bytes = net_address_bytes(a);
    if (bytes.n == sizeof a->sa.v6.sin6_addr && memcmp(bytes.p, mapped, sizeof mapped) == 0)
        bytes = str_drop(bytes, sizeof mapped);
    int family = bytes.n == sizeof a->sa.v4.sin_addr ? AF_INET : AF_INET6;
    if (bytes.n == 0 || inet_ntop(family, bytes.p, out, INET6_ADDRSTRLEN) == NULL)
        memcpy(out, "unix", sizeof "unix");
}

str net_address_bytes(const struct net_address *a)
{
    switch (a->sa.any.sa_family) {
    case AF_INET:
        return (str){(const char *)&a->sa.v4.sin_addr, sizeof a->sa.v4.sin_addr};
    case AF_INET6:
        return (str){(const char *)&a->sa.v6.sin6_addr, sizeof a->sa.v6.sin6_addr};
    default:
        return STR("");
    }
}

uint16_t net_address_port(const struct net_address *a)
{
    switch (a->sa.any.sa_family) {
    case AF_INET:
        return ntohs(a->sa.v4.sin_port);
    case AF_INET6:
        return ntohs(a->sa.v6.sin6_port);
    default:
        return 0;
    }
}

void net_address_set_port(struct net_address *a, uint16_t port)
{
    if (a->sa.any.sa_family == AF_INET)
        a->sa.v4.sin_port = htons(port);
    else if (a->sa.any.sa_family == AF_INET6)
        a->sa.v6.sin6_port = htons(port);
}

/* ---- hosts ----------------------------------------------------------------------------------- */

bool net_host_split(str text, struct net_host *out)
{
    bool literal = str_starts(text, STR("["));
    size_t end = str_find(text, literal ? ']' : ':');
    if (literal && (end == STR_NPOS || end == 1))
        return false;
    str behind = str_drop(text, literal ? end + 1 : end);
    if (behind.n > 0 && behind.p[0] != ':')
        return false;
    *out = (struct net_host){
        .host = literal ? str_sub(text, 1, end - 1) : str_sub(text, 0, end),
        .literal = literal,
        .port = behind.n > 0 ? str_drop(behind, 1) : STR_NONE,
    };
    return true;
}

bool net_host_parse(str text, struct net_host *out)
{
    struct net_host h;
    struct net_address ip;
    if (!net_host_split(text, &h))
        return false;
    bool ok = h.literal ? net_address_parse(h.host, 0, &ip) && ip.sa.any.sa_family == AF_INET6
                        : net_host_is_name(h.host);
    if (ok)
        *out = h;
    return ok;
}

bool net_host_is_name(str host)
{
    str rest = net_host_without_root(host);
    if (rest.n > NET_NAME_MAX)
        return false;
    do {
        str label = str_cut(&rest, '.');
        for (size_t i = 0; i < label.n; i++)
            if (!str_is_letter(label.p[i]) && !str_is_digit(label.p[i]) && label.p[i] != '-' &&
                label.p[i] != '_')
                return false;
        if (label.n == 0)
            return false;
    } while (!str_none(rest));
    return true;
}

str net_host_without_root(str host)
{
    return host.n > 1 && host.p[host.n - 1] == '.' ? str_sub(host, 0, host.n - 1) : host;
}

bool net_port_parse(str text, uint16_t *out)
{
    uint64_t n;
    if (text.n > sizeof "65535" - 1 || str_to_u64(text, &n) != OK || n > UINT16_MAX)
        return false;
    *out = (uint16_t)n;
    return true;
}

/* ---- networks and blocks --------------------------------------------------------------------- */

bool net_block_parse_one(str text, struct net_block *out)
{
    struct net_address a;
    if (!net_address_parse(text, 0, &a))
        return false;
    str bytes = net_address_bytes(&a);
    memcpy(out->address, mapped, sizeof mapped);
    memcpy(out->address + sizeof out->address - bytes.n, bytes.p, bytes.n);
    out->bits = 128;
    return true;
}

uint64_t net_network(str peer)
{
    struct net_block one;
    if (!net_block_parse_one(peer, &one))
        return map_hash(peer);
    if (memcmp(one.address, mapped, sizeof mapped) != 0)
        memset(one.address + 8, 0, 8);
    return map_hash((str){(const char *)one.address, sizeof one.address});
}

bool net_block_parse(str text, struct net_block *out)
{
    str bits = text, address = str_cut(&bits, '/');
    if (!net_block_parse_one(address, out))
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

bool net_block_has(const struct net_block *b, const struct net_block *one)
{
    unsigned whole = b->bits / 8, rest = b->bits % 8;
    if (one->bits < b->bits || memcmp(b->address, one->address, whole) != 0)
        return false;
    return rest == 0 || (b->address[whole] ^ one->address[whole]) >> (8 - rest) == 0;
}

bool net_list_add(struct net_list *l, str word)
{
    if (str_eq(word, STR("unix"))) {
        l->local = true;
        return true;
    }
    if (!net_block_parse(word, &l->blocks[l->count]))
        return false;
    l->count++;
    return true;
}

bool net_list_has(const struct net_list *l, str peer)
{
    struct net_block one;
    if (str_eq(peer, STR("unix")))
        return l->local;
    if (l->count == 0 || !net_block_parse_one(peer, &one))
        return false;
    for (size_t i = 0; i < l->count; i++)
        if (net_block_has(&l->blocks[i], &one))
            return true;
    return false;
}
