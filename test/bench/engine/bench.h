/*
 * test/bench/engine/bench.h - the same work for our engine and for two others.
 *
 * A store is a struct of function pointers; measure.c does the work through it and takes the time,
 * report.c prints and judges. The records are made here, so that every store gets the same ones and
 * none can answer without having kept them: a value repeats the id of its key.
 *
 * Failures of the stores end the program (must); nothing here is part of the server.
 */
#ifndef TEST_BENCH_BENCH_H
#define TEST_BENCH_BENCH_H

#include <signal.h>

#include "base/str.h"

#define COLLECTIONS    8u
#define KEY_BYTES      23 /* doc/keys.md: 10, list, 01, 00, UUID */
#define KEY_HEAD_BYTES 7
#define ID_BYTES       16
#define VALUE_BYTES    300
#define BULK_BATCH     1000u /* records a transaction */
#define SCAN_VALUES    100u
#define MAX_WRITERS    64
#define MAX_ROUNDS     9
#define MAX_WAYS       2

struct store;   /* one open store; each file has its own */
struct session; /* what one thread needs to use it; belongs to that thread */

struct store_ops {
    const char *name;
    const char *note; /* how it was set up, for the reader of the table */
    /* How sessions may share the store when they write, each to be measured; NULL: the end. */
    const char *ways[MAX_WAYS + 1];

    struct store *(*open)(const char *dir); /* makes it when dir is empty */
    void (*close)(struct store *s);
    struct session *(*session_new)(struct store *s, unsigned way);
    void (*session_free)(struct session *t);
    /* Puts the records [0, n) in transactions of BULK_BATCH; all durable when it returns. */
    void (*load)(struct session *t, uint64_t n);
    /* One record in a transaction of its own, durable when it returns. */
    void (*put)(struct session *t, str key, str value);
    /* Each in a snapshot of its own. They hand what they read to record_check. */
    void (*get)(struct session *t, str key);
    unsigned (*scan)(struct session *t, str from, unsigned n); /* how many there were */
};

extern const struct store_ops store_kinto, store_lmdb, store_sqlite, store_sqlite_rowid;

/* ---- records (measure.c) --------------------------------------------------------------------- */

struct record {
    char key[KEY_BYTES], value[VALUE_BYTES];
};

uint64_t mix(uint64_t i); /* scatters; one to one */
str record_key(struct record *r, uint64_t i);
str record_value(struct record *r); /* to the key made before */
/* Ends the program when it is not the value that was put under the key. */
void record_check(str key, str value);

/* ---- measuring ------------------------------------------------------------------------------- */

enum metric { BULK, GETS, SCANS, COMMITS_1, COMMITS_16, COMMITS_64, OPENING, SPACE, METRICS };

struct options {
    uint64_t records, seconds, rounds;
    const char *dir, *only, *json;
    double sync_us; /* of the disk, measured first: what a durable commit cannot do without */
};

struct figures { /* of one store */
    const struct store_ops *ops;
    double round[METRICS][MAX_ROUNDS]; /* ops a second; OPENING: ms; SPACE: bytes a record */
    double median[METRICS];
    const char *way[METRICS]; /* of the last round: the better one, where there are several */
};

extern volatile sig_atomic_t bench_stopped; /* asked to end: measurements are cut short */

/* One round of everything in a new store, in the empty directory `dir`. */
void measure(struct figures *f, unsigned round, const char *dir, const struct options *o);
double measure_sync(const char *dir); /* median us of 4 KiB appended and synced */
void figures_settle(struct figures *f, unsigned rounds); /* the medians */

/* The table and the goals; figures[0] are ours. */
void report_print(const struct figures *f, size_t n, const struct options *o);
void report_json(const struct figures *f, size_t n, const struct options *o);

void bench_fail(const char *who, const char *what, const char *why) NORETURN;
void *bench_alloc(size_t n); /* zeroed */

#endif
