/*
 * base/net.c - addresses of clients.
 */
#include "base/net.h"
#include "base/map.h"
#include <arpa/inet.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* an IPv4 address inside IPv6 */

bool net_parse_address(str text, struct net *out)
{
    char z[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof z || str_find(text, '\0') != STR_NPOS)
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    out->bits = 128;
    if (inet_pton(AF_INET6, z, out->address) == 1)
        return true;
    memcpy(out->address, mapped, sizeof mapped);
    return inet_pton(AF_INET, z, out->address + sizeof mapped) == 1;
}

uint64_t net_lane(str peer)
{
    struct net net;
    if (!net_parse_address(peer, &net))
        return map_hash(peer);
    if (memcmp(net.address, mapped, sizeof mapped) != 0)
        memset(net.address + 8, 0, 8);
    return map_hash((str){(const char *)net.address, sizeof net.address});
}

bool net_parse(str text, struct net *out)
{
    str bits = text, address = str_cut(&bits, '/');
    if (!net_parse_address(address, out))
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

bool net_has(const struct net *net, const struct net *one)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (one->bits < net->bits || memcmp(net->address, one->address, whole) != 0)
        return false;
    return rest == 0 || (net->address[whole] ^ one->address[whole]) >> (8 - rest) == 0;
}

bool net_list_add(struct net_list *l, str word)
{
    if (str_eq(word, STR("unix"))) {
        l->local = true;
        return true;
    }
    if (!net_parse(word, &l->nets[l->count]))
        return false;
    l->count++;
    return true;
}

bool net_list_has(const struct net_list *l, str peer)
{
    struct net one;
    if (str_eq(peer, STR("unix")))
        return l->local;
    if (l->count == 0 || !net_parse_address(peer, &one))
        return false;
    for (size_t i = 0; i < l->count; i++)
        if (net_has(&l->nets[i], &one))
            return true;
    return false;
}
