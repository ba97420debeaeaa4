/*
 * http/peer.c - the networks that have connections here (an IPv4 address, 64 bits of an IPv6 one): how many,
 * and the memory that all of them hold together.
 *
 * A hash table with chains under one lock, which is held for a few instructions when a connection comes or
 * goes. There are at most as many peers as connections. The number behind an address is a keyed hash
 * (net_network): strangers can choose neither chains nor whom they are taken for.
 */
#include "base/net.h"
#include "http/private.h"

/* Of all the memory that clients share: what one network may have (13/16), and of that what only those
 * of its requests get that hold little (1/16). So a request may be as large as max_arena_bytes lets it be
 * by default, while 3/16 are always for others. */
#define PEER_MOST(all) ((all) / 16 * 13)
#define PEER_KEPT(all) ((all) / 16)

void peers_init(struct peers *p, struct purse *all)
{
    *p = (struct peers){.all = all};
    pthread_mutex_init(&p->lock, NULL);
}

void peers_fini(struct peers *p)
{
    for (size_t i = 0; i < PEER_BUCKETS; i++)
        CHECK(p->buckets[i] == NULL); /* every connection has left */
    pthread_mutex_destroy(&p->lock);
}

static struct peer **find(struct peers *p, uint64_t lane)
{
    struct peer **at = &p->buckets[lane % PEER_BUCKETS];

    while (*at != NULL && (*at)->lane != lane)
        at = &(*at)->next;
    return at;
}

static struct peer *peer_new(struct peers *p, uint64_t lane)
{
    struct peer *new = malloc(sizeof *new);

    if (new == NULL)
        return NULL;
    new->next = NULL;
    new->lane = lane;
    atomic_init(&new->connections, 0);
    purse_init(&new->purse, p->all, PEER_MOST(p->all->most), PEER_KEPT(p->all->most));
    return new;
}

struct peer *peer_enter(struct peers *p, str address, unsigned most)
{
    uint64_t lane = net_network(address);
    struct peer **at, *found;

    pthread_mutex_lock(&p->lock);
    at = find(p, lane);
    if (*at == NULL)
        *at = peer_new(p, lane);
    found = *at;
    if (found != NULL && most > 0 && peer_connections(found) >= most)
        found = NULL;
    if (found != NULL)
        atomic_fetch_add_explicit(&found->connections, 1, memory_order_relaxed);
    pthread_mutex_unlock(&p->lock);
    return found;
}

void peer_leave(struct peers *p, struct peer *who)
{
    struct peer **at;

    pthread_mutex_lock(&p->lock);
    if (atomic_fetch_sub_explicit(&who->connections, 1, memory_order_relaxed) == 1) {
        at = find(p, who->lane);
        CHECK(*at == who && purse_taken(&who->purse) == 0);
        *at = who->next;
        free(who);
    }
    pthread_mutex_unlock(&p->lock);
}
