/*
 * store/cache.c - what may be forgotten: nonces of page tokens, checked passwords and tokens, logins
 * that have begun.
 *
 * A hash table over entries that also hang in a list by use: the one that was asked for longest ago
 * goes first when the bytes are used up. An entry's bytes are those of its key and value and its
 * own. Time is the monotonic clock: a step of the wall clock forgets nothing early. One mutex, held
 * for a look-up and a copy.
 */
#include "store/private.h"

#include "base/list.h"
#include "base/map.h"

#include <pthread.h>

struct entry_of_cache {
    struct list_node by_use; /* the newest is the last */
    uint64_t expires_ms;
    size_t key_n, value_n;
    char bytes[]; /* key, value */
};

struct store_cache {
    pthread_mutex_t lock;
    struct map map;
    struct list_node by_use;
    size_t bytes, max_bytes;
};

enum err store_cache_new(size_t max_bytes, struct store_cache **out)
{
    struct store_cache *c = calloc(1, sizeof *c);

    if (c == NULL)
        return ERR_NOMEM;
    CHECK(pthread_mutex_init(&c->lock, NULL) == 0);
    map_init(&c->map, NULL);
    list_init(&c->by_use);
    c->max_bytes = max_bytes;
    *out = c;
    return OK;
}

static str key_of(const struct entry_of_cache *e)
{
    return (str){e->bytes, e->key_n};
}

static size_t cost_of(const struct entry_of_cache *e)
{
    return sizeof *e + sizeof(struct map_slot) + e->key_n + e->value_n;
}

static void drop(struct store_cache *c, struct entry_of_cache *e)
{
    map_del(&c->map, key_of(e));
    list_remove(&e->by_use);
    c->bytes -= cost_of(e);
    free(e);
}

static void drop_all(struct store_cache *c)
{
    while (!list_empty(&c->by_use))
        drop(c, LIST_ENTRY(c->by_use.next, struct entry_of_cache, by_use));
}

void store_cache_free(struct store_cache *c)
{
    if (c == NULL)
        return;
    drop_all(c);
    map_fini(&c->map);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* The entry, unless its time is over. */
static struct entry_of_cache *find(struct store_cache *c, str key)
{
    struct entry_of_cache *e = map_get(&c->map, key);

    if (e == NULL || clock_mono_ms() < e->expires_ms)
        return e;
    drop(c, e);
    return NULL;
}

static enum err entry_new(str key, str value, uint64_t ttl_ms, struct entry_of_cache **out)
{
    struct entry_of_cache *e;
    uint64_t now = clock_mono_ms();
    size_t n;

    if (!size_add(key.n, value.n, &n) || !size_add(n, sizeof *e, &n))
        return ERR_LIMIT;
    e = malloc(n);
    if (e == NULL)
        return ERR_NOMEM;
    e->expires_ms = ttl_ms > UINT64_MAX - now ? UINT64_MAX : now + ttl_ms;
    e->key_n = key.n;
    e->value_n = value.n;
    if (key.n > 0)
        memcpy(e->bytes, key.p, key.n);
    if (value.n > 0)
        memcpy(e->bytes + key.n, value.p, value.n);
    *out = e;
    return OK;
}

enum err store_cache_set(struct store *s, str key, str value, uint64_t ttl_ms)
{
    STORE_TIME(s, CACHE_SET);
    struct store_cache *c = s->cache;
    struct entry_of_cache *fresh, *old;
    enum err err = entry_new(key, value, ttl_ms, &fresh);

    if (err != OK)
        return err;
    pthread_mutex_lock(&c->lock);
    old = map_get(&c->map, key);
    if (old != NULL)
        drop(c, old);
    while (!list_empty(&c->by_use) && c->bytes + cost_of(fresh) > c->max_bytes)
        drop(c, LIST_ENTRY(c->by_use.next, struct entry_of_cache, by_use));
    /* What is larger than the whole cache is forgotten at once. */
    err = c->bytes + cost_of(fresh) > c->max_bytes ? ERR_LIMIT
                                                   : map_put(&c->map, key_of(fresh), fresh);
    if (err == OK) {
        list_push(&c->by_use, &fresh->by_use);
        c->bytes += cost_of(fresh);
    } else {
        free(fresh);
    }
    pthread_mutex_unlock(&c->lock);
    return err == ERR_LIMIT ? OK : err;
}

bool store_cache_get(struct store *s, struct arena *a, str key, str *value)
{
    STORE_TIME(s, CACHE_GET);
    struct store_cache *c = s->cache;
    struct entry_of_cache *e;
    str copy = STR_NONE;

    pthread_mutex_lock(&c->lock);
    e = find(c, key);
    if (e != NULL) {
        list_remove(&e->by_use);
        list_push(&c->by_use, &e->by_use);
        copy = arena_str(a, (str){e->bytes + e->key_n, e->value_n});
    }
    pthread_mutex_unlock(&c->lock);
    if (str_none(copy))
        return false;
    *value = copy;
    return true;
}

bool store_cache_delete(struct store *s, str key)
{
    STORE_TIME(s, CACHE_DELETE);
    struct store_cache *c = s->cache;
    struct entry_of_cache *e;

    pthread_mutex_lock(&c->lock);
    e = find(c, key);
    if (e != NULL)
        drop(c, e);
    pthread_mutex_unlock(&c->lock);
    return e != NULL;
}

void store_cache_flush(struct store *s)
{
    STORE_TIME(s, CACHE_FLUSH);
    pthread_mutex_lock(&s->cache->lock);
    drop_all(s->cache);
    pthread_mutex_unlock(&s->cache->lock);
}
