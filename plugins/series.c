/*
 * plugins/series.c - an open-addressing table that only grows in what it holds.
 *
 * Invariants:
 *  1. A slot of the index changes once, from NULL to a series that is complete (release, acquire).
 *  2. Series are made under the lock only, and never go before the table does.
 *  3. The index has twice as many slots as there may be series: a search always ends.
 *  4. From `first`, each `next` changes once, from NULL to the series made after it.
 */
#include "plugins/series.h"
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/os.h"

#define LINE_BYTES  64 /* what processors hand to each other as one */
#define MAX_STRIPES ((size_t)16)

struct series {
    _Atomic(struct series *) next;
    uint64_t hash;
    int64_t made_ms;
    str key; /* behind the cells */
    _Alignas(LINE_BYTES) atomic_uint_fast64_t cells[];
};

struct series_table {
    size_t stripes, stride; /* stride: cells from one stripe to the next */
    size_t mask;            /* slots - 1 */
    size_t max[2];          /* of each kind */
    pthread_mutex_t lock;
    atomic_size_t count[2]; /* changes under the lock */
    _Atomic(struct series *) first;
    struct series *last; /* under the lock */
    _Atomic(struct series *) *slots;
};

/* Threads take stripes in turn. */
static size_t stripe_of_thread(void)
{
    static atomic_size_t threads;
    static _Thread_local size_t mine; /* and 1; 0: none yet */
    if (UNLIKELY(mine == 0))
        mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
    return mine - 1;
}

static size_t stripes_wanted(void)
{
    return MIN_OF((size_t)os_cpu_count(), MAX_STRIPES);
}

enum err series_table_new(struct series_table **out, size_t max_known, size_t max_chosen,
                          size_t cells)
{
    static const size_t in_line = LINE_BYTES / sizeof(atomic_uint_fast64_t);
    size_t slots = 16, wanted;
    if (!size_add(max_known, max_chosen, &wanted) || !size_mul(wanted, 2, &wanted) ||
        wanted > SIZE_MAX / sizeof(void *) / 4)
        return ERR_NOMEM;
    while (slots < wanted)
        slots *= 2;
    struct series_table *t = calloc(1, sizeof *t);
    if (t)
        t->slots = calloc(slots, sizeof *t->slots);
    if (t == NULL || t->slots == NULL || pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t ? t->slots : NULL);
        free(t);
        return ERR_NOMEM;
    }
    t->max[SERIES_KNOWN] = max_known;
    t->max[SERIES_CHOSEN] = max_chosen;
    t->mask = slots - 1;
    t->stripes = stripes_wanted();
    t->stride = (cells + in_line - 1) / in_line * in_line;
    *out = t;
    return OK;
}

void series_table_free(struct series_table *t)
{
    if (t == NULL)
        return;
    struct series *next, *s = atomic_load(&t->first);
    for (; s; s = next) {
        next = atomic_load(&s->next);
        free(s);
    }
    pthread_mutex_destroy(&t->lock);
    free(t->slots);
    free(t);
}

/* The series of the key, or the free slot where it belongs (*slot). */
static struct series *find(const struct series_table *t, str key, uint64_t hash, size_t *slot)
{
    for (size_t i = (size_t)hash & t->mask;; i = (i + 1) & t->mask) {
        struct series *s = atomic_load_explicit(&t->slots[i], memory_order_acquire);
        if (s == NULL || (s->hash == hash && str_eq(s->key, key))) {
            *slot = i;
            return s;
        }
    }
}

static struct series *make(const struct series_table *t, str key, uint64_t hash)
{
    size_t cells = t->stripes * t->stride * sizeof(atomic_uint_fast64_t), n;
    if (!size_add(sizeof(struct series) + cells, key.n + LINE_BYTES, &n))
        return NULL;
    struct series *s = aligned_alloc(LINE_BYTES, n / LINE_BYTES * LINE_BYTES);
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof *s + cells);
    char *behind = (char *)s + sizeof *s + cells;
    if (key.n)
        memcpy(behind, key.p, key.n);
    s->key = (str){behind, key.n};
    s->hash = hash;
    s->made_ms = clock_wall_ms();
    return s;
}

static void append(struct series_table *t, struct series *s, size_t slot, enum series_kind kind)
{
    atomic_store_explicit(t->last ? &t->last->next : &t->first, s, memory_order_release);
    t->last = s;
    atomic_store_explicit(&t->slots[slot], s, memory_order_release);
    atomic_fetch_add_explicit(&t->count[kind], 1, memory_order_relaxed);
}

static bool is_full(const struct series_table *t, enum series_kind kind)
{
    return atomic_load_explicit(&t->count[kind], memory_order_relaxed) >= t->max[kind];
}

struct series *series_get(struct series_table *t, str key, enum series_kind kind)
{
    uint64_t hash = map_hash(key);
    size_t slot;
    struct series *s = find(t, key, hash, &slot);
    if (LIKELY(s != NULL) || is_full(t, kind))
        return s;
    pthread_mutex_lock(&t->lock);
    s = find(t, key, hash, &slot);
    if (s == NULL && !is_full(t, kind)) {
        s = make(t, key, hash);
        if (s)
            append(t, s, slot, kind);
    }
    pthread_mutex_unlock(&t->lock);
    return s;
}

void series_add(const struct series_table *t, struct series *s, size_t cell, uint64_t n)
{
    size_t stripe = stripe_of_thread() % t->stripes;
    atomic_fetch_add_explicit(&s->cells[stripe * t->stride + cell], n, memory_order_relaxed);
}

const struct series *series_next(const struct series_table *t, const struct series *s)
{
    return atomic_load_explicit(s ? &s->next : &t->first, memory_order_acquire);
}

str series_key(const struct series *s)
{
    return s->key;
}

int64_t series_made_ms(const struct series *s)
{
    return s->made_ms;
}

uint64_t series_sum(const struct series_table *t, const struct series *s, size_t cell)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < t->stripes; i++)
        sum += atomic_load_explicit(&s->cells[i * t->stride + cell], memory_order_relaxed);
    return sum;
}
