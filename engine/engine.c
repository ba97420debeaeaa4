/*
 * engine/engine.c - opening, closing, and what the engine says of itself.
 *
 * The states of an engine:
 *
 *     (closed) --engine_open: recover()--> OK --failed sync, failed cut (commit.c)--> FAILED
 *                                           |                                           |
 *                                           +---engine_close--> (closed) <--engine_close-+
 *
 * OK: reads and writes. FAILED: reads of what is durable; every begin is refused. There is no way
 * back but closing and opening, which reads from disk what is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "engine/private.h"

#define SEGMENT_BYTES_MIN    (4 * KIB)
#define SEGMENT_BYTES_MEMORY MIB /* without files; with them: log_target */
#define TXN_BYTES_DEFAULT    (256 * MIB)
#define QUEUE_BYTES_DEFAULT  (64 * MIB)
#define CACHE_BYTES_DEFAULT  (32 * MIB)
#define CHECKPOINT_DEFAULT   (4 * MIB)
#define COMPACT_DEFAULT      MIB
#define BYTES_MAX            (1024 * MIB) /* of a segment, of a frame: offsets have 32 bits */

/* ---- memory ---------------------------------------------------------------------------------- */

static _Atomic unsigned fail_nth;

void engine_test_fail_alloc(unsigned nth)
{
    atomic_store(&fail_nth, nth);
}

static bool alloc_fails(void)
{
    unsigned n = atomic_load_explicit(&fail_nth, memory_order_relaxed);

    while (UNLIKELY(n > 0))
        if (atomic_compare_exchange_weak(&fail_nth, &n, n - 1))
            return n == 1;
    return false;
}

void *mem_alloc(size_t n)
{
    return alloc_fails() ? NULL : malloc(n);
}

void *mem_zalloc(size_t n)
{
    return alloc_fails() ? NULL : calloc(1, n);
}

void *mem_aligned(size_t align, size_t n)
{
    return alloc_fails() ? NULL : aligned_alloc(align, (n + align - 1) / align * align);
}

/* ---- the directory --------------------------------------------------------------------------- */

enum err dir_make(const char *dir, const char *name, bool *made, struct err_detail *d)
{
    char parent[LOG_PATH_MAX];

    if (os()->mkdir(dir, 0700) != 0) {
        if (errno == EEXIST)
            return OK;
        return err_set(d, err_from_errno(errno), errno, "%s: cannot be created", name);
    }
    *made = true;
    snprintf(parent, sizeof parent, STR_FMT, STR_ARG(str_folder(str_from(dir))));
    if (os()->sync_dir(parent) != 0)
        return err_set(d, ERR_IO, errno, "%s: cannot be synced", parent);
    return OK;
}

static enum err busy(int fd, const char *name, struct err_detail *d)
{
    char pid[24] = "";
    ssize_t n = os()->pread(fd, pid, sizeof pid - 1, 0);

    pid[n > 0 ? strspn(pid, "0123456789") : 0] = 0;
    return err_set(d, ERR_BUSY, 0, "%s: in use by process %s", name, pid[0] ? pid : "(unknown)");
}

/*
 * The lock is the kernel's, on the file LOCK; it goes when the process does. Our number in the file
 * is for messages only: if it cannot be written (a full disk), that is no reason not to open.
 */
enum err dir_lock(const char *dir, const char *name, int flags, int *fd, struct err_detail *d)
{
    char path[LOG_PATH_MAX], pid[24];

    snprintf(path, sizeof path, "%s/" LOCK_NAME, dir);
    *fd = os()->open(path, O_RDWR | O_CREAT | O_NOFOLLOW | flags, 0600);
    if (*fd < 0)
        return err_set(d, err_from_errno(errno), errno, "%s/" LOCK_NAME ": cannot be opened", name);
    if (os()->lock(*fd) != 0) {
        if (errno == EWOULDBLOCK)
            return busy(*fd, name, d);
        return err_set(d, err_from_errno(errno), errno, "%s/" LOCK_NAME ": cannot be locked", name);
    }
    snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (os()->ftruncate(*fd, 0) == 0)
        (void)!os()->pwrite(*fd, pid, strlen(pid), 0);
    return OK;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static uint64_t option(uint64_t value, uint64_t otherwise, uint64_t min, uint64_t max)
{
    value = value == 0 ? otherwise : value;
    return value < min ? min : MIN_OF(value, max);
}

static enum err set_options(struct engine *e, const struct engine_options *o, struct err_detail *d)
{
    if (o->dir != NULL && (o->dir[0] == 0 || strlen(o->dir) > LOG_PATH_MAX - 32))
        return err_set(d, ERR_LIMIT, 0, "the name of the data directory is empty or too long");
    e->options = *o;
    e->fixed_segments = o->segment_bytes != 0 || o->dir == NULL;
    e->options.segment_bytes =
        option(o->segment_bytes, o->dir == NULL ? SEGMENT_BYTES_MEMORY : LOG_TARGET_MIN,
               SEGMENT_BYTES_MIN, BYTES_MAX);
    e->options.max_txn_bytes =
        (size_t)option(o->max_txn_bytes, TXN_BYTES_DEFAULT, 4 * KIB, BYTES_MAX);
    e->options.max_queue_bytes =
        (size_t)option(o->max_queue_bytes, QUEUE_BYTES_DEFAULT, 1, SIZE_MAX / 2);
    e->options.cache_bytes =
        (size_t)option(o->cache_bytes, CACHE_BYTES_DEFAULT, 64 * KIB, BYTES_MAX);
    e->options.checkpoint_bytes =
        option(o->checkpoint_bytes, CHECKPOINT_DEFAULT, KIB, UINT64_MAX / 2);
    e->options.compact_bytes = option(o->compact_bytes, COMPACT_DEFAULT, KIB, UINT64_MAX / 2);
    e->options.dir = NULL;
    if (o->dir == NULL)
        return OK;
    e->dir = mem_alloc(strlen(o->dir) + 1);
    if (e->dir == NULL)
        return ERR_NOMEM;
    memcpy(e->dir, o->dir, strlen(o->dir) + 1);
    e->options.dir = e->log.dir = e->dir;
    return OK;
}

static void init_locks(struct engine *e)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&e->writer.mutex, NULL);
    pthread_mutex_init(&e->queue.mutex, NULL);
    pthread_mutex_init(&e->readers_mutex, NULL);
    pthread_cond_init(&e->queue.wake, NULL);
    pthread_mutex_init(&e->keeper.work, NULL);
    pthread_mutex_init(&e->keeper.mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->keeper.wake, &monotonic);
    pthread_cond_init(&e->keeper.written, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void fini_locks(struct engine *e)
{
    pthread_mutex_destroy(&e->writer.mutex);
    pthread_mutex_destroy(&e->queue.mutex);
    pthread_mutex_destroy(&e->readers_mutex);
    pthread_cond_destroy(&e->queue.wake);
    pthread_mutex_destroy(&e->keeper.work);
    pthread_mutex_destroy(&e->keeper.mutex);
    pthread_cond_destroy(&e->keeper.wake);
    pthread_cond_destroy(&e->keeper.written);
}

static enum err init_parts(struct engine *e)
{
    struct writer *w = &e->writer;
    enum err err;

    e->log.segment_bytes = e->options.segment_bytes;
    e->log.fixed_segments = e->fixed_segments;
    e->log.max_frame = e->options.max_txn_bytes;
    w->tree.pages = &e->pages;
    w->tree.scratch = mem_alloc(sizeof *w->tree.scratch);
    err = w->tree.scratch == NULL ? ERR_NOMEM : pages_init(&e->pages);
    return err != OK ? err : log_init(&e->log);
}

static void free_commits(struct list_node *list)
{
    struct list_node *node;

    while ((node = list_pop(list)) != NULL)
        free(LIST_ENTRY(node, struct commit, node));
}

/* An engine in which nothing needs a clean-up yet. */
static struct engine *engine_blank(void)
{
    struct engine *e = mem_aligned(64, sizeof *e);

    if (e == NULL)
        return NULL;
    memset(e, 0, sizeof *e);
    e->lock_fd = -1;
    e->log.fd = e->log.dir_fd = -1;
    e->index.fd = -1;
    e->reserve.fd = -1;
    ring_init(&e->writer.deltas, sizeof(struct delta));
    pending_init(&e->writer.pending);
    list_init(&e->writer.dead);
    list_init(&e->queue.commits);
    list_init(&e->queue.spare);
    list_init(&e->readers);
    init_locks(e);
    reader_init(&e->keeper.reader, e);
    return e;
}

void engine_release(struct engine *e)
{
    if (e == NULL)
        return;
    reader_fini(&e->keeper.reader);
    pages_fini(&e->pages);
    index_close(e);
    reserve_close(e);
    release_dead(e, UINT64_MAX); /* there are no readers any more */
    log_fini(&e->log);
    pending_fini(&e->writer.pending);
    ring_fini(&e->writer.deltas);
    free_commits(&e->queue.spare);
    free(e->writer.tree.scratch);
    if (e->lock_fd >= 0)
        os()->close(e->lock_fd);
    fini_locks(e);
    free(e->dir);
    free(e);
}

enum err engine_bare(struct engine **out, const struct engine_options *o, struct err_detail *d)
{
    struct engine *e = engine_blank();
    enum err err = e == NULL ? ERR_NOMEM : set_options(e, o, d);

    if (err == OK)
        err = init_parts(e);
    if (err != OK)
        engine_release(e);
    else
        *out = e;
    return err;
}

/* ---- threads --------------------------------------------------------------------------------- */

static void stop_committer(struct engine *e)
{
    pthread_mutex_lock(&e->queue.mutex);
    e->queue.closing = true;
    pthread_mutex_unlock(&e->queue.mutex);
    pthread_cond_signal(&e->queue.wake);
    if (e->committer_runs)
        pthread_join(e->committer, NULL);
    e->committer_runs = false;
}

static void stop_keeper(struct engine *e)
{
    pthread_mutex_lock(&e->keeper.mutex);
    e->keeper.stop = true;
    pthread_cond_signal(&e->keeper.wake);
    pthread_mutex_unlock(&e->keeper.mutex);
    if (e->keeper.runs)
        pthread_join(e->keeper.thread, NULL);
    e->keeper.runs = false;
}

static enum err start_threads(struct engine *e, struct err_detail *d)
{
    enum err err = OK;

    if (e->dir != NULL)
        err = thread_start(&e->committer, commit_thread, e);
    e->committer_runs = e->dir != NULL && err == OK;
    if (err == OK) {
        err = thread_start(&e->keeper.thread, keeper_thread, e);
        e->keeper.runs = err == OK;
    }
    if (err == OK)
        return OK;
    stop_committer(e);
    return err_set(d, err, 0, "a thread cannot be started");
}

void engine_fail(struct engine *e, const char *why)
{
    log_event(LOG_ERROR, "engine_failed", "why=\"%s\"", why);
    pthread_mutex_lock(&e->queue.mutex);
    e->queue.failed = true;
    pthread_mutex_unlock(&e->queue.mutex);
    atomic_store(&e->failed, true);
}

/* ---- open and close -------------------------------------------------------------------------- */

/* All but the threads. *out is to be released, also when this fails. */
static enum err open_files(struct engine **out, const struct engine_options *options,
                           struct engine_recovery *found, struct err_detail *detail)
{
    enum err err = engine_bare(out, options, detail);
    struct engine *e = *out;
    bool made;

    if (err == OK && e->dir != NULL)
        err = dir_make(e->dir, e->dir, &made, detail);
    if (err == OK && e->dir != NULL)
        err = dir_lock(e->dir, e->dir, 0, &e->lock_fd, detail);
    if (err == OK && e->dir != NULL)
        err = repair_finish(e->dir, detail);
    if (err == OK && e->dir != NULL)
        err = log_open_dir(&e->log, detail);
    return err == OK ? recover(e, found, detail) : err;
}

/* The replay met a page of the index that is damaged, and is in pieces: it begins anew, without it. */
static enum err open_without_index(struct engine **e, const struct engine_options *options,
                                   struct engine_recovery *found, struct err_detail *detail)
{
    enum err err = index_give_up(*e, detail);

    if (err == OK)
        log_event(LOG_WARN, "engine_index_rebuilt", "why=\"page %u is damaged\"",
                  (unsigned)atomic_load(&(*e)->pages.damaged));
    engine_release(*e);
    *e = NULL;
    *found = (struct engine_recovery){.rebuilt = true};
    return err == OK ? open_files(e, options, found, detail) : err;
}

enum err engine_open(struct engine **out, const struct engine_options *options,
                     struct engine_recovery *recovery, struct err_detail *detail)
{
    struct engine_recovery found = {0};
    struct engine *e = NULL;
    enum err err;

    if (detail != NULL)
        detail->text[0] = 0;
    err = open_files(&e, options, &found, detail);
    if (err == ERR_CORRUPT && atomic_load(&e->pages.damaged) != 0)
        err = open_without_index(&e, options, &found, detail);
    if (err == OK)
        reserve_open(e);
    if (err == OK)
        err = start_threads(e, detail);
    if (err != OK) {
        engine_release(e);
        if (detail != NULL && detail->text[0] != 0)
            return err;
        return err_set(detail, err, 0, "the store cannot be opened: %s", err_text(err));
    }
    if (recovery != NULL)
        *recovery = found;
    *out = e;
    return OK;
}

void engine_close(struct engine *e)
{
    if (e == NULL)
        return;
    stop_keeper(e);
    if (e->dir != NULL && engine_state(e) == ENGINE_OK && atomic_load(&e->pages.damaged) == 0 &&
        shrink_pays(e))
        (void)!shrink_index(e, SHRINK_AT_CLOSE);
    if (atomic_load(&e->pages.damaged) != 0 && engine_state(e) == ENGINE_OK)
        keeper_give_index_up(e);
    stop_committer(e);
    /* The next opening has nothing to replay; if this fails, it has. */
    if (e->dir != NULL && engine_state(e) == ENGINE_OK && checkpoint_run(e) == OK) {
        (void)!compact_unlink(e);
        index_cut(e);
    }
    CHECK(e->readers.next == &e->keeper.reader.node && e->readers.prev == e->readers.next);
    engine_release(e);
}

/* ---- at once --------------------------------------------------------------------------------- */

enum err engine_checkpoint(struct engine *e)
{
    enum err err;

    if (e->dir == NULL)
        return OK;
    pthread_mutex_lock(&e->keeper.work);
    err = atomic_load(&e->failed) ? ERR_FAILED : checkpoint_run(e);
    if (err == OK)
        err = compact_unlink(e);
    pthread_mutex_unlock(&e->keeper.work);
    return err;
}

/* ---- what it says of itself ------------------------------------------------------------------ */

enum engine_state engine_state(const struct engine *e)
{
    return atomic_load(&e->failed) ? ENGINE_FAILED : ENGINE_OK;
}

void engine_stats(const struct engine *e, struct engine_stats *out)
{
    struct version v;

    version_read(&e->published, &v);
    *out = (struct engine_stats){
        .version = v.txn,
        .keys = v.keys,
        .log_bytes = v.log_bytes - atomic_load(&e->log.gone_bytes),
        .live_log_bytes = v.live_log_bytes,
        .live_value_bytes = v.live_value_bytes,
        .segments = v.segments - atomic_load(&e->log.gone_segments),
        .pages = v.pages,
        .free_pages = v.free_pages,
        .commits = atomic_load(&e->commits),
        .syncs = atomic_load(&e->log.syncs),
        .checkpoints = atomic_load(&e->index.checkpoints),
    };
}
