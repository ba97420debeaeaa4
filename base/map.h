/*
 * base/map.h - hash table from byte strings to pointers.
 *
 * Open addressing; SipHash-2-4 under a key drawn at process start, so that strangers who choose the
 * keys cannot choose the collisions. Keys and values are borrowed: they must outlive the map. With
 * an arena, the table's memory lies there and map_fini is not needed. One thread at a time.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/arena.h"

struct map_slot {
    str key; /* .p == NULL: empty */
    void *value;
    uint64_t hash;
};

struct map {
    struct map_slot *slots;
    size_t cap, count; /* cap is 0 or a power of two */
    struct arena *arena;
};

void map_init(struct map *m, struct arena *a_or_null);
void map_fini(struct map *m);
void *map_get(const struct map *m, str key); /* NULL: not there */
/* Puts or replaces; value must not be NULL. NOMEM leaves the map as it was. */
MUST_CHECK enum err map_put(struct map *m, str key, void *value);
bool map_del(struct map *m, str key); /* true: it was there */
/* Iteration in no order: size_t it = 0; while (map_next(&m, &it, &key, &value)) ... */
bool map_next(const struct map *m, size_t *it, str *key, void **value);

uint64_t map_hash(str key); /* SipHash-2-4 with the process key */

#endif
