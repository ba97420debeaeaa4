/*
 * base/rate.c - GCRA over a table of fixed size.
 *
 * The table is divided into sets of 8 places (two cache lines); the key says which set is somebody's. A place
 * is free when its time has passed: it says the same as no place at all. A lock is held for a look at
 * one set.
 */
#include "base/rate.h"

#include <pthread.h>

#define WAYS  8
#define SETS  (RATE_SLOTS / WAYS)
#define LOCKS 64
#define NS    UINT64_C(1000000000)
#define MOST  UINT64_C(1000000000)

#define MOST_DEBT_BURSTS 4

struct slot {
    uint64_t key;
    uint64_t until_ns; /* when all that he has done is paid off */
};

struct rate_table {
    struct rate rate;
    uint64_t ahead_ns; /* so far ahead of the clock he may be and do one more */
    uint64_t most_ns;  /* and so far at all, by what was counted without being asked */
    pthread_mutex_t locks[LOCKS];
    _Alignas(64) struct slot slots[SETS][WAYS];
};

/* ---- what settings say ----------------------------------------------------------------------- */

static uint64_t period_of(str word)
{
    static const struct {
        const char *word;
        uint64_t ns;
    } rows[] = {{"s", NS},
                {"sec", NS},
                {"second", NS},
                {"m", 60 * NS},
                {"min", 60 * NS},
                {"minute", 60 * NS},
                {"h", 3600 * NS},
                {"hour", 3600 * NS},
                {"d", 24 * 3600 * NS},
                {"day", 24 * 3600 * NS}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eq_nocase(word, str_from(rows[i].word)))
            return rows[i].ns;
    return 0;
}

static enum err read_number(str word, uint64_t *out)
{
    uint64_t n;
    if (str_to_u64(word, &n) != OK)
        return ERR_SYNTAX;
    if (n == 0 || n > MOST)
        return ERR_RANGE;
    *out = n;
    return OK;
}

enum err rate_parse(str text, struct rate *out)
{
    str word, rest = STR_NONE;
    uint64_t n = 0, period, burst = 0;
    if (!str_next_word(&text, &word))
        return ERR_SYNTAX;
    rest = word;
    word = str_cut(&rest, '/');
    enum err e = read_number(word, &n);
    period = str_none(rest) ? 0 : period_of(rest);
    if (e != OK || period == 0)
        return e != OK ? e : ERR_SYNTAX;
    burst = n;
    if (str_next_word(&text, &word)) {
        if (!str_eq_nocase(word, STR("burst")) || !str_next_word(&text, &word))
            return ERR_SYNTAX;
        e = read_number(word, &burst);
        if (e != OK || str_next_word(&text, &word))
            return e != OK ? e : ERR_SYNTAX;
    }
    if (burst > UINT64_MAX / 4 / (MOST_DEBT_BURSTS + 1) / (period / n + 1))
        return ERR_RANGE;
    *out = (struct rate){.interval_ns = MAX_OF(period / n, UINT64_C(1)), .burst = burst};
    return OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

enum err rate_table_new(struct rate_table **out, const struct rate *rate)
{
    struct rate_table *t = aligned_alloc(64, sizeof *t);
    if (t == NULL)
        return ERR_NOMEM;
    memset(t, 0, sizeof *t);
    t->rate = *rate;
    t->ahead_ns = (rate->burst - 1) * rate->interval_ns;
    t->most_ns = t->ahead_ns + MOST_DEBT_BURSTS * rate->burst * rate->interval_ns;
    for (size_t i = 0; i < LOCKS; i++)
        CHECK(pthread_mutex_init(&t->locks[i], NULL) == 0);
    *out = t;
    return OK;
}

void rate_table_free(struct rate_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&t->locks[i]);
    free(t);
}

/* The places that are his to have; nobody else's until unlock_set(). */
static struct slot *lock_set(struct rate_table *t, uint64_t key)
{
    size_t at = (size_t)(key % SETS);
    pthread_mutex_lock(&t->locks[at % LOCKS]);
    return t->slots[at];
}

static void unlock_set(struct rate_table *t, uint64_t key)
{
    pthread_mutex_unlock(&t->locks[key % SETS % LOCKS]);
}

/* His place, or NULL. */
static struct slot *find(struct slot *set, uint64_t key)
{
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

/* A place for him: a free one, or that of the one who owes least. */
static struct slot *make_place(struct slot *set, uint64_t key)
{
    struct slot *least = set;
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].until_ns < least->until_ns)
            least = &set[i];
    *least = (struct slot){.key = key};
    return least;
}

/* 0, or how long he has to wait. */
static uint64_t wait_ns(const struct rate_table *t, struct slot *set, uint64_t key, uint64_t now_ns)
{
    const struct slot *s = find(set, key);
    uint64_t ahead = s && s->until_ns > now_ns ? s->until_ns - now_ns : 0;
    return ahead > t->ahead_ns ? ahead - t->ahead_ns : 0;
}

static void count(const struct rate_table *t, struct slot *set, uint64_t key, uint64_t now_ns)
{
    struct slot *s = find(set, key);
    if (s == NULL)
        s = make_place(set, key);
    s->until_ns = MIN_OF(MAX_OF(s->until_ns, now_ns) + t->rate.interval_ns, now_ns + t->most_ns);
}

uint64_t rate_take(struct rate_table *t, uint64_t key, uint64_t now_ns)
{
    struct slot *set = lock_set(t, key);
    uint64_t wait = wait_ns(t, set, key, now_ns);
    if (wait == 0)
        count(t, set, key, now_ns);
    unlock_set(t, key);
    return wait;
}

uint64_t rate_wait_ns(struct rate_table *t, uint64_t key, uint64_t now_ns)
{
    uint64_t wait = wait_ns(t, lock_set(t, key), key, now_ns);
    unlock_set(t, key);
    return wait;
}

void rate_charge(struct rate_table *t, uint64_t key, uint64_t now_ns)
{
    count(t, lock_set(t, key), key, now_ns);
    unlock_set(t, key);
}
