/*
 * test/bench/engine/engine.c - our engine beside LMDB and SQLite (two layouts), doing the same work in one run.
 *
 *     engine [--records N] [--seconds S] [--rounds R] [--dir DIR] [--only STORE] [--json FILE]
 *
 *     --records N    in the store while it is read (default 100000, at least 1000)
 *     --seconds S    a figure, but for bulk puts and opening (default 2)
 *     --rounds R     whose median counts (default 3); in each, every store has its turn, so that
 *                    what disturbs the machine disturbs them all
 *     --dir DIR      on the disk to be measured (default: $TMPDIR, or else the current directory);
 *                    a new directory is made there, and removed at the end
 *     --only STORE   those whose names begin so: kinto, lmdb, sqlite, sqlite-rowid
 *     --json FILE    writes the figures there, too
 *
 * Ends with 0 whether or not the goals are met: a busy machine is not a failure.
 */
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/bench/engine/bench.h"

#define PATH_BYTES 4096

static const struct store_ops *const stores[] = {&store_kinto, &store_lmdb, &store_sqlite,
                                                 &store_sqlite_rowid};
static char own_dir[PATH_BYTES]; /* what was made and has to go; "": nothing */

/* ---- failures and what is left behind -------------------------------------------------------- */

void bench_fail(const char *who, const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", who, what, why);
    exit(1);
}

void *bench_alloc(size_t n)
{
    void *p = calloc(1, n);

    if (p == NULL)
        bench_fail("bench", "memory", "none left");
    return p;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void remove_tree(const char *dir)
{
    if (nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "%s could not be removed: %s\n", dir, strerror(errno));
}

static void at_exit(void)
{
    if (own_dir[0] != '\0')
        remove_tree(own_dir);
}

static void stop(int signal_number)
{
    (void)signal_number;
    bench_stopped = 1;
}

static void path_of(char out[PATH_BYTES], const char *dir, const char *name)
{
    int n = snprintf(out, PATH_BYTES, "%s/%s", dir, name);

    if (n < 0 || n >= PATH_BYTES)
        bench_fail("bench", dir, "name too long");
}

static void make_own_dir(const char *below)
{
    char path[PATH_BYTES];

    path_of(path, below, "kinto-bench-XXXXXX");
    if (mkdtemp(path) == NULL)
        bench_fail("bench", path, strerror(errno));
    memcpy(own_dir, path, sizeof own_dir);
}

static void prepare(const struct options *o)
{
    const char *tmp = getenv("TMPDIR");

    if (atexit(at_exit) != 0)
        bench_fail("bench", "atexit", "failed");
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    make_own_dir(o->dir != NULL ? o->dir : tmp != NULL && tmp[0] != '\0' ? tmp : ".");
}

/* ---- the command line ------------------------------------------------------------------------ */

static void usage(const char *why, const char *what)
{
    fprintf(stderr,
            "%s: %s\nusage: engine [--records N] [--seconds S] [--rounds R] [--dir DIR]\n"
            "              [--only kinto|lmdb|sqlite] [--json FILE]\n",
            what, why);
    exit(2);
}

static uint64_t number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    uint64_t n;

    if (str_to_u64(str_from(text), &n) != OK || n < min || n > max)
        usage("not a number within its bounds", name);
    return n;
}

static void option(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--records") == 0)
        o->records = number(name, value, 1000, 100000000);
    else if (strcmp(name, "--seconds") == 0)
        o->seconds = number(name, value, 1, 3600);
    else if (strcmp(name, "--rounds") == 0)
        o->rounds = number(name, value, 1, MAX_ROUNDS);
    else if (strcmp(name, "--dir") == 0)
        o->dir = value;
    else if (strcmp(name, "--only") == 0)
        o->only = value;
    else if (strcmp(name, "--json") == 0)
        o->json = value;
    else
        usage("unknown option", name);
}

static struct options parse(int argc, char **argv)
{
    struct options o = {.records = 100000, .seconds = 2, .rounds = 3};

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            usage("needs a value", argv[i]);
        option(&o, argv[i], argv[i + 1]);
    }
    return o;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static size_t choose(struct figures *f, const char *only)
{
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(stores); i++)
        if (only == NULL || strncmp(only, stores[i]->name, strlen(only)) == 0)
            f[n++].ops = stores[i];
    if (n == 0)
        usage("no such store", only);
    return n;
}

static void run_one(struct figures *f, unsigned round, const struct options *o)
{
    char dir[PATH_BYTES];

    fprintf(stderr, "round %u: %s\n", round + 1, f->ops->name);
    path_of(dir, own_dir, f->ops->name);
    if (mkdir(dir, 0700) != 0)
        bench_fail("bench", dir, strerror(errno));
    measure(f, round, dir, o);
    if (bench_stopped)
        exit(1);
    remove_tree(dir);
}

int main(int argc, char **argv)
{
    static struct figures f[ARRAY_LEN(stores)];
    struct options o = parse(argc, argv);
    size_t n = choose(f, o.only);

    prepare(&o);
    o.sync_us = measure_sync(own_dir);
    for (unsigned round = 0; round < o.rounds; round++)
        for (size_t i = 0; i < n; i++)
            run_one(&f[i], round, &o);
    for (size_t i = 0; i < n; i++)
        figures_settle(&f[i], (unsigned)o.rounds);
    report_print(f, n, &o);
    if (o.json != NULL)
        report_json(f, n, &o);
    return 0;
}
