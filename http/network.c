/*
 * http/network.c - the networks (base/net.h) that have connections here: how many, and the memory that all
 * of them hold together.
 *
 * A hash table with chains under one lock, which is held for a few instructions when a connection comes or
 * goes. There are at most as many networks as connections. The number of one is a keyed hash: strangers can
 * choose neither chains nor whom they are taken for.
 */
#include "http/private.h"

/* Of all the memory that clients share: what one network may have (13/16), and of that what only those
 * of its requests get that hold little (1/16). So a request may be as large as max_arena_bytes lets it be
 * by default, while 3/16 are always for others. */
#define NETWORK_MOST(all) ((all) / 16 * 13)
#define NETWORK_KEPT(all) ((all) / 16)

void networks_init(struct networks *n, struct purse *all)
{
    *n = (struct networks){.all = all};
    pthread_mutex_init(&n->lock, NULL);
}

void networks_fini(struct networks *n)
{
    for (size_t i = 0; i < NETWORK_BUCKETS; i++)
        CHECK(n->buckets[i] == NULL); /* every connection has left */
    pthread_mutex_destroy(&n->lock);
}

static struct network **find(struct networks *n, uint64_t number)
{
    struct network **at = &n->buckets[number % NETWORK_BUCKETS];

    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static struct network *network_new(struct networks *n, uint64_t number)
{
    struct network *new = malloc(sizeof *new);

    if (new == NULL)
        return NULL;
    new->next = NULL;
    new->number = number;
    atomic_init(&new->connections, 0);
    purse_init(&new->purse, n->all, NETWORK_MOST(n->all->most), NETWORK_KEPT(n->all->most));
    return new;
}

struct network *network_enter(struct networks *n, str peer, unsigned most)
{
    uint64_t number = net_network(peer);
    struct network **at, *found;

    pthread_mutex_lock(&n->lock);
    at = find(n, number);
    if (*at == NULL)
        *at = network_new(n, number);
    found = *at;
    if (found != NULL && most > 0 && network_connections(found) >= most)
        found = NULL;
    if (found != NULL)
        atomic_fetch_add_explicit(&found->connections, 1, memory_order_relaxed);
    pthread_mutex_unlock(&n->lock);
    return found;
}

void network_leave(struct networks *n, struct network *one)
{
    struct network **at;

    pthread_mutex_lock(&n->lock);
    if (atomic_fetch_sub_explicit(&one->connections, 1, memory_order_relaxed) == 1) {
        at = find(n, one->number);
        CHECK(*at == one && purse_taken(&one->purse) == 0);
        *at = one->next;
        free(one);
    }
    pthread_mutex_unlock(&n->lock);
}
