/*
 * A simulated disk, and power that fails.
 *
 * The engine runs on a disk in memory that remembers every write, cut, creation, removal and sync in
 * order (struct history). Then, for every point of that history, disks are built as a loss of power
 * might have left them: what was synced is there; of what was not, each operation is there, or not, or in
 * part (writes by sectors of 512 or 4096 bytes, sizes with or without their data, names with or without
 * their files), whatever came before or after it. On each such disk the store is opened. It must open,
 * and show the state after some transaction that was at least the last acknowledged one and at most the
 * last submitted one: nothing acknowledged lost, nothing in part. Then it goes on: one more transaction,
 * and the power fails again, also in the middle of the recovery.
 *
 * Checkpoints and compaction go on all the while, so that the power fails between and inside them as
 * well.
 *
 * The process may also die without the machine (die_at): the next one then reads what the dead one
 * wrote, synced or not, and shows it to readers; from there on it must never be lost.
 *
 * SEED=n repeats a run; CRASH_ROUNDS=n makes it longer.
 */
#include <errno.h>
#include <sys/mman.h>

#include "test/unit/engine/audit.h"

#define DIR_NAME   "disk"
#define FILE_CAP   MIB
#define MAX_FILES  128
#define MAX_EVENTS 4000
#define MAX_STATES 1000

/* ---- disks ----------------------------------------------------------------------------------- */

struct file {
    char name[24];
    bool exists;
    uint8_t *data; /* FILE_CAP bytes, so that a view never moves */
    size_t size;
};

struct disk {
    struct file file[MAX_FILES];
    int n;
};

enum what { WRITE, CUT, CREATE, REMOVE, SYNC, SYNC_DIR, SUBMIT, ACK, SEEN };

struct event {
    enum what what;
    int file;     /* of WRITE .. SYNC */
    int state;    /* of SUBMIT, ACK, SEEN */
    uint64_t off; /* WRITE: where; CUT: the new size */
    size_t n;
    uint8_t *data; /* of WRITE: a copy */
};

struct history {
    struct event event[MAX_EVENTS];
    size_t n;
};

static uint8_t *region_new(void)
{
    void *p = mmap(NULL, FILE_CAP, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    return p;
}

static int disk_find(const struct disk *d, const char *name)
{
    for (int i = 0; i < d->n; i++)
        if (d->file[i].exists && strcmp(d->file[i].name, name) == 0)
            return i;
    return -1;
}

static int disk_add(struct disk *d, const char *name)
{
    struct file *f = &d->file[d->n];

    ck_assert_int_lt(d->n, MAX_FILES);
    *f = (struct file){.exists = true, .data = region_new()};
    snprintf(f->name, sizeof f->name, "%s", name);
    return d->n++;
}

static void disk_fini(struct disk *d)
{
    for (int i = 0; i < d->n; i++)
        munmap(d->file[i].data, FILE_CAP);
    d->n = 0;
}

static void disk_copy(struct disk *to, const struct disk *from)
{
    to->n = 0;
    for (int i = 0; i < from->n; i++) {
        disk_add(to, from->file[i].name);
        to->file[i].exists = from->file[i].exists;
        to->file[i].size = from->file[i].size;
        memcpy(to->file[i].data, from->file[i].data, from->file[i].size);
    }
}

static void history_fini(struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->event[i].data);
    h->n = 0;
}

/* ---- the engine's side ----------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct disk *disk;
static struct history *history;
static bool hold, reached; /* fdatasync waits while hold is set, and says that it does */
static bool dead;          /* the process is dead: its calls do nothing, and nobody hears from it */
static size_t die_at;      /* the event at which it dies; 0: it does not */
static int roots, removals; /* written, of segments: what the test means to cut into */

static void record(struct event ev)
{
    ck_assert_uint_lt(history->n, MAX_EVENTS);
    history->event[history->n++] = ev;
    if (history->n == die_at)
        dead = true;
}

/* Of the test's own thread and the committer: what the clients know. */
static void record_state(enum what what, int state)
{
    pthread_mutex_lock(&mutex);
    if (!dead)
        record((struct event){.what = what, .state = state});
    pthread_mutex_unlock(&mutex);
}

static void apply_write(struct file *f, uint64_t off, const void *p, size_t n)
{
    ck_assert_uint_le(off + n, FILE_CAP);
    memcpy(f->data + off, p, n);
    f->size = MAX_OF(f->size, (size_t)off + n);
}

static void apply_cut(struct file *f, uint64_t size)
{
    if (size < f->size)
        memset(f->data + size, 0, f->size - (size_t)size);
    f->size = (size_t)size;
}

#define DIR_FD 999 /* the directory's; files have those from 1000 on */

static int s_open(const char *path, int flags, unsigned mode)
{
    const char *name = strrchr(path, '/') + 1;
    int i;

    (void)mode;
    if (flags & O_DIRECTORY)
        return DIR_FD;
    pthread_mutex_lock(&mutex);
    i = disk_find(disk, name);
    if (i < 0 && (flags & O_CREAT)) {
        i = disk_add(disk, name);
        if (!dead)
            record((struct event){.what = CREATE, .file = i});
        else
            disk->file[i].exists = false;
    } else if (i >= 0 && (flags & O_TRUNC) && !dead) {
        apply_cut(&disk->file[i], 0);
        record((struct event){.what = CUT, .file = i});
    }
    pthread_mutex_unlock(&mutex);
    if (i < 0)
        errno = ENOENT;
    return i < 0 ? -1 : 1000 + i;
}

static int s_close(int fd)
{
    (void)fd;
    return 0;
}

static ssize_t s_pread(int fd, void *p, size_t n, uint64_t off)
{
    struct file *f = &disk->file[fd - 1000];

    n = off >= f->size ? 0 : MIN_OF(n, f->size - (size_t)off);
    memcpy(p, f->data + off, n);
    return (ssize_t)n;
}

static ssize_t s_pwritev(int fd, const struct iovec *v, int count, uint64_t off)
{
    struct event ev = {.what = WRITE, .file = fd - 1000, .off = off};

    for (int i = 0; i < count; i++)
        ev.n += v[i].iov_len;
    pthread_mutex_lock(&mutex);
    if (!dead) {
        ev.data = malloc(ev.n);
        ck_assert_ptr_nonnull(ev.data);
        for (int i = 0, at = 0; i < count; at += (int)v[i].iov_len, i++)
            memcpy(ev.data + at, v[i].iov_base, v[i].iov_len);
        apply_write(&disk->file[ev.file], off, ev.data, ev.n);
        roots += strcmp(disk->file[ev.file].name, "index") == 0 && off < PAGE_FIRST * PAGE_BYTES;
        record(ev);
    }
    pthread_mutex_unlock(&mutex);
    return (ssize_t)ev.n;
}

static ssize_t s_pwrite(int fd, const void *p, size_t n, uint64_t off)
{
    struct iovec v = {(void *)p, n};

    return s_pwritev(fd, &v, 1, off);
}

static int s_fdatasync(int fd)
{
    pthread_mutex_lock(&mutex);
    reached = true;
    pthread_cond_broadcast(&cond);
    while (hold)
        pthread_cond_wait(&cond, &mutex);
    if (!dead)
        record((struct event){.what = SYNC, .file = fd - 1000});
    pthread_mutex_unlock(&mutex);
    return 0;
}

/* The file gets another size; `longer`: only if that is more. */
static int resize(int fd, uint64_t size, bool longer)
{
    struct file *f = &disk->file[fd - 1000];

    pthread_mutex_lock(&mutex);
    if (!dead && (!longer || size > f->size)) {
        apply_cut(f, size);
        record((struct event){.what = CUT, .file = fd - 1000, .off = size});
    }
    pthread_mutex_unlock(&mutex);
    return 0;
}

static int s_ftruncate(int fd, uint64_t size)
{
    return resize(fd, size, false);
}

static int s_fallocate(int fd, uint64_t off, uint64_t n)
{
    return resize(fd, off + n, true);
}

static int s_size(int fd, uint64_t *out)
{
    *out = disk->file[fd - 1000].size;
    return 0;
}

static int s_linked(int fd)
{
    (void)fd;
    return 1;
}

static int s_unlink(const char *path)
{
    pthread_mutex_lock(&mutex);
    int i = disk_find(disk, strrchr(path, '/') + 1);
    if (i >= 0 && !dead) {
        disk->file[i].exists = false;
        removals++;
        record((struct event){.what = REMOVE, .file = i});
    }
    pthread_mutex_unlock(&mutex);
    return i < 0 ? -1 : 0;
}

static int s_mkdir(const char *path, unsigned mode)
{
    (void)path, (void)mode;
    errno = EEXIST;
    return -1;
}

/* Of the directory; files are synced without what only they themselves tell (fdatasync). */
static int s_fsync(int fd)
{
    ck_assert_int_eq(fd, DIR_FD);
    pthread_mutex_lock(&mutex);
    if (!dead)
        record((struct event){.what = SYNC_DIR});
    pthread_mutex_unlock(&mutex);
    return 0;
}

static int s_sync_dir(const char *path)
{
    (void)path;
    return s_fsync(DIR_FD);
}

static int s_list_dir(const char *path, void (*each)(void *arg, const char *name), void *arg)
{
    (void)path;
    for (int i = 0; i < disk->n; i++)
        if (disk->file[i].exists)
            each(arg, disk->file[i].name);
    return 0;
}

static void *s_map(int fd, uint64_t off, size_t n)
{
    (void)n;
    ck_assert_uint_eq(off, 0);
    return disk->file[fd - 1000].data;
}

static int s_unmap(void *p, size_t n)
{
    (void)p, (void)n;
    return 0;
}

static int s_lock(int fd)
{
    (void)fd;
    return 0;
}

static int s_rename(const char *from, const char *to)
{
    (void)from, (void)to;
    if (dead) /* it does not find what it has not written */
        return 0;
    ck_abort_msg("the index was found damaged: a crash must never do that");
}

static const struct os_ops simulated = {
    .open = s_open,
    .close = s_close,
    .pread = s_pread,
    .pwrite = s_pwrite,
    .pwritev = s_pwritev,
    .fsync = s_fsync,
    .fdatasync = s_fdatasync,
    .ftruncate = s_ftruncate,
    .fallocate = s_fallocate,
    .size = s_size,
    .linked = s_linked,
    .rename = s_rename,
    .unlink = s_unlink,
    .mkdir = s_mkdir,
    .sync_dir = s_sync_dir,
    .list_dir = s_list_dir,
    .map = s_map,
    .unmap = s_unmap,
    .lock = s_lock,
};

/* ---- states ---------------------------------------------------------------------------------- */

/* What a transaction leaves behind; a state's parent is the one before it. */
static struct {
    struct kit_model model;
    int parent;
} states[MAX_STATES];
static int states_n;

static int state_new(int parent)
{
    ck_assert_int_lt(states_n, MAX_STATES);
    states[states_n].parent = parent;
    states[states_n].model = parent < 0 ? (struct kit_model){0} : model_copy(&states[parent].model);
    return states_n++;
}

static void states_cut(int n)
{
    while (states_n > n)
        free(states[--states_n].model.p);
}

/* The state that the engine shows, among those between `acked` and `tip`; -1: none. */
static int state_shown(struct engine *e, int acked, int tip)
{
    for (int s = tip; s >= 0; s = states[s].parent) {
        struct engine_stats st;
        engine_stats(e, &st);
        if (st.keys == states[s].model.n && model_same_now(&states[s].model, e))
            return s;
        if (s == acked)
            break;
    }
    return -1;
}

/* What the clients knew after the first n events. */
static void known(const struct history *h, size_t n, int *acked, int *tip)
{
    for (size_t i = 0; i < n; i++) {
        const struct event *ev = &h->event[i];
        if (ev->what == SUBMIT || ev->what == SEEN)
            *tip = ev->state;
        if (ev->what == ACK || ev->what == SEEN)
            *acked = ev->state;
    }
}

/* ---- power fails ----------------------------------------------------------------------------- */

struct loss { /* how much of what was not synced is there, in percent; sectors */
    uint64_t *rand;
    unsigned percent;
    size_t sector;
};

static bool chance(struct loss *l)
{
    return kit_rand(l->rand) % 100 < l->percent;
}

/* Some sectors of the write; the size grows to what is there, or to the whole, which then is zeros. */
static void tear_write(struct loss *l, struct file *f, const struct event *ev)
{
    for (size_t at = 0; at < ev->n;) {
        size_t end = (size_t)((ev->off + at) / l->sector + 1) * l->sector - (size_t)ev->off;
        end = MIN_OF(end, ev->n);
        if (chance(l))
            apply_write(f, ev->off + at, ev->data + at, end - at);
        at = end;
    }
    if (chance(l))
        f->size = MAX_OF(f->size, (size_t)ev->off + ev->n);
}

/* The last event before n that makes event i durable, if any. */
static bool is_synced(const struct history *h, size_t i, size_t n)
{
    const struct event *ev = &h->event[i];
    bool name = ev->what == CREATE || ev->what == REMOVE;

    for (size_t k = i + 1; k < n; k++) {
        const struct event *sync = &h->event[k];
        if (name ? sync->what == SYNC_DIR : sync->what == SYNC && sync->file == ev->file)
            return true;
    }
    return false;
}

/* A name leads to one file: the new one takes it, even if the removal of the old one was lost. */
static void forget_name(struct disk *d, int owner)
{
    for (int i = 0; i < d->n; i++)
        if (i != owner && strcmp(d->file[i].name, d->file[owner].name) == 0)
            d->file[i].exists = false;
}

static void leave(struct loss *l, struct disk *d, const struct event *ev, bool synced)
{
    struct file *f = &d->file[ev->file];

    switch (ev->what) {
    case WRITE:
        if (synced)
            apply_write(f, ev->off, ev->data, ev->n);
        else
            tear_write(l, f, ev);
        break;
    case CUT:
        if (synced || chance(l))
            apply_cut(f, ev->off);
        break;
    case CREATE:
        f->exists = synced || chance(l);
        if (f->exists)
            forget_name(d, ev->file);
        break;
    case REMOVE:
        if (synced || chance(l))
            f->exists = false;
        break;
    case SYNC:
    case SYNC_DIR:
    case SUBMIT:
    case ACK:
    case SEEN:
        break;
    }
}

/* A disk as it may be when the power fails behind event n: `base` and then what is left of the events.
 * `after` gives the names of files. */
static void power_fails(struct loss *l, const struct disk *base, const struct disk *after,
                        const struct history *h, size_t n, struct disk *out)
{
    disk_copy(out, base);
    for (int i = base->n; i < after->n; i++)
        out->file[disk_add(out, after->file[i].name)].exists = false;
    for (size_t i = 0; i < n; i++)
        leave(l, out, &h->event[i], is_synced(h, i, n));
}

/* ---- the work -------------------------------------------------------------------------------- */

static uint64_t seed;

/* `put`: it must be one that changes something. */
static enum err change(struct engine_txn *t, struct kit_model *m, bool put)
{
    char key[16], link[16], value[1500];
    uint32_t r = kit_rand(&seed), kind = r % (put ? 9 : 10);
    str k = {key, (size_t)snprintf(key, sizeof key, "k%u", r / 16 % 30)};
    str l = {link, (size_t)snprintf(link, sizeof link, "l%u", r / 512 % 30)};
    str v = {value, kit_rand(&seed) % (kind < 2 ? 30 : kind < 8 ? 400 : 1500)};
    enum err err;

    if (kind == 9) {
        model_del_prefix(m, k);
        return engine_del_prefix(t, k, NULL);
    }
    memset(value, (int)(r >> 8), sizeof value);
    err = engine_put(t, k, v);
    model_put(m, k, v);
    if (err == OK && kind % 2 == 0) {
        err = engine_link(t, l);
        model_put(m, l, v);
    }
    if (err == OK && kind == 3) {
        err = engine_del(t, l);
        model_del(m, l);
    }
    return err;
}

/* A dead process does not find what it has not written. */
static void must(enum err err)
{
    ck_assert_msg(err == OK || dead, "%s", err_text(err));
}

static void acked(void *arg, enum err result)
{
    must(result);
    record_state(ACK, (int)(intptr_t)arg);
}

/* One transaction on top of state `tip`; returns the new state. */
static int submit(struct engine *e, int tip)
{
    struct engine_txn *t = kit_begin(e);
    int state = state_new(tip);

    for (uint32_t i = 0, n = 1 + kit_rand(&seed) % 3; i < n; i++)
        must(change(t, &states[state].model, i == 0));
    record_state(SUBMIT, state);
    engine_txn_commit(t, acked, (void *)(intptr_t)state);
    return state;
}

static void set_hold(bool on)
{
    pthread_mutex_lock(&mutex);
    hold = on;
    reached = false;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
}

static void wait_reached(void)
{
    pthread_mutex_lock(&mutex);
    while (!reached)
        pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
}

/* One transaction, and up to five more that become one group behind it. */
static int burst(struct engine *e, int tip)
{
    struct kit_wait w = KIT_WAIT;
    struct engine_txn *t;

    set_hold(true);
    tip = submit(e, tip);
    wait_reached();
    for (uint32_t n = kit_rand(&seed) % 6; n > 0; n--)
        tip = submit(e, tip);
    t = kit_begin(e); /* nothing of its own: waits for the ones before */
    engine_txn_commit(t, kit_done, &w);
    set_hold(false);
    must(kit_wait(&w));
    if (kit_rand(&seed) % 4 == 0)
        must(engine_checkpoint(e));
    if (kit_rand(&seed) % 6 == 0)
        must(engine_compact(e));
    return tip;
}

static struct engine *open_store(struct disk *d, struct history *h)
{
    struct engine_options o = {
        .dir = DIR_NAME, .segment_bytes = 4096, .checkpoint_bytes = 2 * KIB, .compact_bytes = KIB};
    struct err_detail detail = {.text = ""};
    struct engine *e = NULL;

    disk = d;
    history = h;
    ck_assert_msg(engine_open(&e, &o, NULL, &detail) == OK, "%s", detail.text);
    return e;
}

/* ---- the test -------------------------------------------------------------------------------- */

/* Opens a disk after a loss; which state does it show? */
static int open_after_loss(struct disk *d, struct history *h, int acked_state, int tip,
                           struct engine **out)
{
    struct engine *e = open_store(d, h);
    int shown = state_shown(e, acked_state, tip);

    ck_assert_msg(shown >= 0, "acknowledged state %d, submitted %d, and neither is shown",
                  acked_state, tip);
    audit_engine(e);
    *out = e;
    return shown;
}

/* The power fails behind event n; the store is opened, goes on, and the power fails again. */
static void try_loss(struct loss *l, const struct disk *base, const struct disk *after,
                     const struct history *h, size_t n)
{
    static struct disk first, before, second;
    static struct history h1, h2;
    int low = 0, tip = 0, shown, states_before = states_n;
    struct engine *e;

    known(h, n, &low, &tip);
    power_fails(l, base, after, h, n, &first);
    disk_copy(&before, &first);
    shown = open_after_loss(&first, &h1, low, tip, &e);
    record_state(SEEN, shown);
    burst(e, shown);
    engine_close(e);

    size_t again = kit_rand(l->rand) % (h1.n + 1);
    low = tip = shown; /* whoever was first shown this state must find it again */
    known(&h1, again, &low, &tip);
    power_fails(l, &before, &first, &h1, again, &second);
    open_after_loss(&second, &h2, low, tip, &e);
    engine_close(e);
    disk_fini(&first);
    disk_fini(&before);
    disk_fini(&second);
    history_fini(&h1);
    history_fini(&h2);
    states_cut(states_before);
}

/* Some work on an empty disk. The process may die on the way, and another goes on. */
static void do_work(struct disk *d, struct history *h, int bursts, size_t dies)
{
    struct engine *e;
    int tip = state_new(-1);

    die_at = dies;
    e = open_store(d, h);
    for (int i = 0; i < bursts && !dead; i++)
        tip = burst(e, tip);
    engine_close(e);
    if (!dead)
        return;
    dead = false;
    die_at = 0;
    int low = 0, last = 0;
    known(h, h->n, &low, &last);
    tip = open_after_loss(d, h, low, last, &e);
    record_state(SEEN, tip);
    for (int i = 0; i < bursts / 2; i++)
        tip = burst(e, tip);
    engine_close(e);
}

static void one_history(int bursts, size_t dies, int losses_each)
{
    static const unsigned percents[] = {0, 100, 50, 90, 10};
    static struct disk empty, d;
    static struct history h;

    do_work(&d, &h, bursts, dies);
    for (size_t n = 0; n <= h.n; n++)
        for (int i = 0; i < losses_each; i++) {
            struct loss l = {.rand = &seed,
                             .percent = percents[i % (int)ARRAY_LEN(percents)],
                             .sector = kit_rand(&seed) % 2 ? 512 : 4096};
            try_loss(&l, &empty, &d, &h, n);
        }
    disk_fini(&d);
    history_fini(&h);
    states_cut(0);
    model_free_bytes();
}

static int rounds(void)
{
    const char *s = getenv("CRASH_ROUNDS");

    return s != NULL ? (int)strtol(s, NULL, 10) : 1;
}

START_TEST(power_failures)
{
    seed = kit_seed();
    log_set_level(LOG_NONE);
    kit_quiet = true;
    os_test_replace(&simulated);
    for (int i = 0; i < rounds(); i++)
        one_history(14, 0, 5);
    ck_assert_int_gt(roots, 0);
    ck_assert_int_gt(removals, 0);
    os_test_replace(NULL);
}
END_TEST

START_TEST(dead_processes)
{
    seed = kit_seed();
    log_set_level(LOG_NONE);
    kit_quiet = true;
    os_test_replace(&simulated);
    for (int i = 0; i < rounds(); i++)
        for (size_t dies = 1; dies < 25; dies++)
            one_history(3, dies, 2);
    os_test_replace(NULL);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("crash");
    TCase *c = tcase_create("crash");

    tcase_set_timeout(c, 120 * rounds());
    tcase_add_test(c, power_failures);
    tcase_add_test(c, dead_processes);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
