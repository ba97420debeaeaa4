/*
 * test/bench/engine/measure.c - the records, and the work whose time is taken.
 *
 * A round, in a new store: bulk puts; close; bytes on disk; open again to the first answer; gets;
 * scans; commits of 1, 16 and 64 writers. The keys asked for are the same for every store.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "test/bench/engine/bench.h"

#define SYNCS 201

volatile sig_atomic_t bench_stopped;

/* ---- records --------------------------------------------------------------------------------- */

uint64_t mix(uint64_t i)
{
    i += 0x9e3779b97f4a7c15u;
    i = (i ^ (i >> 30)) * 0xbf58476d1ce4e5b9u;
    i = (i ^ (i >> 27)) * 0x94d049bb133111ebu;
    return i ^ (i >> 31);
}

/* Record i lies in collection i % COLLECTIONS; its id is scattered like a UUID. */
str record_key(struct record *r, uint64_t i)
{
    uint64_t a = mix(i), b = mix(~i);

    memcpy(r->key, "\x10\0\0\0\0\x01\0", KEY_HEAD_BYTES);
    r->key[4] = (char)(1 + i % COLLECTIONS);
    memcpy(r->key + KEY_HEAD_BYTES, &a, 8);
    memcpy(r->key + KEY_HEAD_BYTES + 8, &b, 8);
    return (str){r->key, KEY_BYTES};
}

str record_value(struct record *r)
{
    memcpy(r->value, r->key + KEY_HEAD_BYTES, ID_BYTES);
    memset(r->value + ID_BYTES, r->key[KEY_BYTES - 1], VALUE_BYTES - ID_BYTES);
    return (str){r->value, VALUE_BYTES};
}

void record_check(str key, str value)
{
    if (key.n != KEY_BYTES || value.n != VALUE_BYTES ||
        memcmp(key.p + KEY_HEAD_BYTES, value.p, ID_BYTES) != 0 ||
        value.p[VALUE_BYTES - 1] != key.p[KEY_BYTES - 1])
        bench_fail("read", "a record", "not what was put");
}

/* ---- reading --------------------------------------------------------------------------------- */

/* What the readers of one store share. */
struct reading {
    const struct store_ops *ops;
    struct session *session;
    uint64_t records, seed;
};

static void get_some(const struct reading *w, uint64_t i)
{
    struct record r;

    w->ops->get(w->session, record_key(&r, mix(w->seed + i) % w->records));
}

/* Starts in any collection but the last, so that there always are SCAN_VALUES to come. */
static void scan_some(const struct reading *w, uint64_t i)
{
    uint64_t n = mix(w->seed + i) % w->records;
    struct record r;

    n -= n % COLLECTIONS == COLLECTIONS - 1;
    if (w->ops->scan(w->session, record_key(&r, n), SCAN_VALUES) != SCAN_VALUES)
        bench_fail(w->ops->name, "scan", "too few values");
}

/* Times a second; the clock is read once in `stride`. */
static double rate_of(void (*fn)(const struct reading *w, uint64_t i), const struct reading *w,
                      uint64_t seconds, unsigned stride)
{
    uint64_t start = clock_mono_ns(), n = 0, passed;

    do {
        for (unsigned k = 0; k < stride; k++)
            fn(w, n++);
        passed = clock_mono_ns() - start;
    } while (passed < seconds * 1000000000u && !bench_stopped);
    return (double)n * 1e9 / (double)passed;
}

static void measure_reads(struct figures *f, unsigned round, struct store *s,
                          const struct options *o)
{
    struct reading w = {.ops = f->ops, .records = o->records, .seed = (uint64_t)round << 40};

    w.session = f->ops->session_new(s, 0);
    f->round[GETS][round] = rate_of(get_some, &w, o->seconds, 64);
    f->round[SCANS][round] = rate_of(scan_some, &w, o->seconds, 8);
    f->ops->session_free(w.session);
}

/* ---- writers --------------------------------------------------------------------------------- */

struct crowd {
    const struct store_ops *ops;
    struct store *store;
    unsigned way, writers;
    uint64_t ns; /* how long they write */
    pthread_barrier_t begin;
    _Atomic uint64_t next; /* record; all are new to the store */
};

static void *write_one_by_one(void *arg)
{
    struct crowd *c = arg;
    struct session *t = c->ops->session_new(c->store, c->way);
    struct record r;
    uint64_t start;

    pthread_barrier_wait(&c->begin);
    start = clock_mono_ns();
    while (clock_mono_ns() - start < c->ns && !bench_stopped) {
        str key = record_key(&r, atomic_fetch_add(&c->next, 1));
        c->ops->put(t, key, record_value(&r));
    }
    c->ops->session_free(t);
    return NULL;
}

static double commits_of(struct crowd *c, uint64_t *next)
{
    pthread_t thread[MAX_WRITERS];
    uint64_t start;

    if (pthread_barrier_init(&c->begin, NULL, c->writers + 1) != 0)
        bench_fail(c->ops->name, "barrier", "failed");
    atomic_init(&c->next, *next);
    for (unsigned i = 0; i < c->writers; i++)
        if (pthread_create(&thread[i], NULL, write_one_by_one, c) != 0)
            bench_fail(c->ops->name, "thread", "failed");
    pthread_barrier_wait(&c->begin);
    start = clock_mono_ns();
    for (unsigned i = 0; i < c->writers; i++)
        pthread_join(thread[i], NULL);
    start = clock_mono_ns() - start;
    pthread_barrier_destroy(&c->begin);
    uint64_t n = atomic_load(&c->next) - *next;
    *next += n;
    return (double)n * 1e9 / (double)start;
}

/* Every way that the store has of sharing it; the best counts. */
static void measure_commits(struct figures *f, unsigned round, struct store *s,
                            const struct options *o)
{
    static const unsigned writers[] = {1, 16, MAX_WRITERS};
    uint64_t next = o->records;

    for (unsigned i = 0; i < ARRAY_LEN(writers); i++)
        for (unsigned way = 0; f->ops->ways[way] != NULL; way++) {
            struct crowd c = {.ops = f->ops,
                              .store = s,
                              .way = way,
                              .writers = writers[i],
                              .ns = o->seconds * 1000000000u};
            double rate = commits_of(&c, &next);
            if (rate <= f->round[COMMITS_1 + i][round])
                continue;
            f->round[COMMITS_1 + i][round] = rate;
            f->way[COMMITS_1 + i] = f->ops->ways[way];
        }
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

static double sync_once(int fd)
{
    static const char block[4096];
    uint64_t start = clock_mono_ns();

    if (write(fd, block, sizeof block) != (ssize_t)sizeof block || fdatasync(fd) != 0)
        bench_fail("bench", "the disk", strerror(errno));
    return (double)(clock_mono_ns() - start) / 1e3;
}

double measure_sync(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_WRONLY, 0600);
    double us[SYNCS];

    if (fd < 0)
        bench_fail("bench", dir, strerror(errno));
    for (unsigned i = 0; i < SYNCS; i++)
        us[i] = sync_once(fd);
    close(fd);
    return median_of(us, SYNCS);
}

static uint64_t disk_bytes; /* nftw has no argument for its function */

static int add_blocks(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)path;
    (void)ftw;
    if (flag == FTW_F)
        disk_bytes += (uint64_t)st->st_blocks * 512;
    return 0;
}

static double bytes_below(const char *dir)
{
    disk_bytes = 0;
    if (nftw(dir, add_blocks, 8, FTW_PHYS) != 0)
        bench_fail("space", dir, strerror(errno));
    return (double)disk_bytes;
}

static void measure_load(struct figures *f, unsigned round, const char *dir,
                         const struct options *o)
{
    struct store *s = f->ops->open(dir);
    struct session *t = f->ops->session_new(s, 0);
    uint64_t start = clock_mono_ns();

    f->ops->load(t, o->records);
    f->round[BULK][round] = (double)o->records * 1e9 / (double)(clock_mono_ns() - start);
    f->ops->session_free(t);
    f->ops->close(s);
    f->round[SPACE][round] = bytes_below(dir) / (double)o->records;
}

static struct store *measure_open(struct figures *f, unsigned round, const char *dir,
                                  const struct options *o)
{
    uint64_t start = clock_mono_ns();
    struct store *s = f->ops->open(dir);
    struct session *t = f->ops->session_new(s, 0);
    struct record r;

    f->ops->get(t, record_key(&r, o->records / 2));
    f->round[OPENING][round] = (double)(clock_mono_ns() - start) / 1e6;
    f->ops->session_free(t);
    return s;
}

void measure(struct figures *f, unsigned round, const char *dir, const struct options *o)
{
    struct store *s;

    sync(); /* what the store before left for the disk to do is not this one's */
    measure_load(f, round, dir, o);
    s = measure_open(f, round, dir, o);
    measure_reads(f, round, s, o);
    measure_commits(f, round, s, o);
    f->ops->close(s);
}

void figures_settle(struct figures *f, unsigned rounds)
{
    double copy[MAX_ROUNDS];

    for (unsigned m = 0; m < METRICS; m++) {
        memcpy(copy, f->round[m], rounds * sizeof *copy);
        f->median[m] = median_of(copy, rounds);
    }
}
