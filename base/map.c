/*
 * base/map.c - open addressing with linear probing.
 *
 * Invariants: cap is 0 or a power of two; at least a quarter of the slots is empty, so that every
 * probe ends; between a key's home slot (hash & (cap - 1)) and its slot none is empty. Deleting
 * keeps the last one by moving later keys back instead of leaving tombstones, which would make a
 * table that lives long slower and slower.
 */
#include "base/map.h"

#include "base/rand.h"
#include "base/siphash.h"
#include <pthread.h>

#define FIRST_CAP ((size_t)8)

static struct {
    pthread_once_t once;
    struct siphash_key key;
} process_key = {.once = PTHREAD_ONCE_INIT};

static void draw_key(void)
{
    rand_bytes(&process_key.key, sizeof process_key.key);
}

/* "No value" and the empty key are one key; only the latter can lie in a slot. */
static str as_key(str key)
{
    return str_none(key) ? STR("") : key;
}

uint64_t map_hash(str key)
{
    pthread_once(&process_key.once, draw_key);
    return siphash64(&process_key.key, as_key(key));
}

void map_init(struct map *m, struct arena *a_or_null)
{
    *m = (struct map){.arena = a_or_null};
}

void map_fini(struct map *m)
{
    if (m->arena == NULL)
        free(m->slots);
    *m = (struct map){0};
}

/* The slot of the key, or the empty one where it belongs. cap > 0. */
static struct map_slot *find_slot(const struct map *m, str key, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *slot = &m->slots[i];
        if (str_none(slot->key) || (slot->hash == hash && str_eq(slot->key, key)))
            return slot;
    }
}

void *map_get(const struct map *m, str key)
{
    if (m->count == 0)
        return NULL;
    return find_slot(m, as_key(key), map_hash(key))->value;
}

static enum err grow(struct map *m)
{
    struct map old = *m;
    size_t cap, bytes;
    struct map_slot *slots;

    if (!size_mul(MAX_OF(old.cap, FIRST_CAP / 2), 2, &cap) || !size_mul(cap, sizeof *slots, &bytes))
        return ERR_NOMEM;
    slots = m->arena != NULL ? arena_zalloc(m->arena, bytes) : calloc(1, bytes);
    if (slots == NULL)
        return ERR_NOMEM;
    m->slots = slots;
    m->cap = cap;
    for (size_t i = 0; i < old.cap; i++)
        if (!str_none(old.slots[i].key))
            *find_slot(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    if (old.arena == NULL)
        free(old.slots);
    return OK;
}

enum err map_put(struct map *m, str key, void *value)
{
    uint64_t hash = map_hash(key);
    struct map_slot *slot;

    CHECK(value != NULL);
    key = as_key(key);
    if (m->cap > 0) {
        slot = find_slot(m, key, hash);
        if (!str_none(slot->key)) {
            slot->key = key; /* the new key's bytes live as long as the new value */
            slot->value = value;
            return OK;
        }
    }
    if (m->count >= m->cap - m->cap / 4) {
        enum err e = grow(m);
        if (e != OK)
            return e;
    }
    *find_slot(m, key, hash) = (struct map_slot){key, value, hash};
    m->count++;
    return OK;
}

/* Empties slot `hole` and moves back every later key of the run whose home lies at or before it. */
static void close_hole(struct map *m, size_t hole)
{
    size_t mask = m->cap - 1;

    for (size_t i = (hole + 1) & mask; !str_none(m->slots[i].key); i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole] = (struct map_slot){.key = STR_NONE};
}

bool map_del(struct map *m, str key)
{
    struct map_slot *slot;

    if (m->count == 0)
        return false;
    slot = find_slot(m, as_key(key), map_hash(key));
    if (str_none(slot->key))
        return false;
    close_hole(m, (size_t)(slot - m->slots));
    m->count--;
    return true;
}

bool map_next(const struct map *m, size_t *it, str *key, void **value)
{
    for (; *it < m->cap; (*it)++) {
        const struct map_slot *slot = &m->slots[*it];
        if (str_none(slot->key))
            continue;
        *key = slot->key;
        *value = slot->value;
        (*it)++;
        return true;
    }
    return false;
}
