/*
 * test/unit/engine/kit.h - what the engine's tests share: a directory of their own, commits that
 * wait, a naive model (a sorted array) and the comparison of both. Header only: a test is one
 * program.
 */
#ifndef TEST_ENGINE_KIT_H
#define TEST_ENGINE_KIT_H

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/os.h"
#include "engine/engine.h"
#include "test/support/unit.h"

#define KIT __attribute__((unused)) static

/* ---- directories ----------------------------------------------------------------------------- */

struct kit_dir {
    char path[256];
};

KIT void kit_dir_make(struct kit_dir *d)
{
    new_dir(d->path, sizeof d->path);
}

KIT void kit_dir_empty(const struct kit_dir *d)
{
    DIR *dir = opendir(d->path);
    struct dirent *entry;
    char path[600];

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", d->path, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    closedir(dir);
}

KIT void kit_dir_remove(const struct kit_dir *d)
{
    kit_dir_empty(d);
    ck_assert_int_eq(rmdir(d->path), 0);
}

/* What the log alone says: the next opening replays all of it. */
KIT void kit_drop_index(const struct kit_dir *d)
{
    char path[600];

    snprintf(path, sizeof path, "%s/index", d->path);
    unlink(path);
}

/* The whole file, malloc'd. */
KIT char *kit_read(const struct kit_dir *d, const char *name, size_t *n)
{
    char path[600], *p = NULL;
    struct err_detail detail;

    snprintf(path, sizeof path, "%s/%s", d->path, name);
    ck_assert_int_eq(os_read_file(path, SIZE_MAX / 2, &p, n, &detail), OK);
    return p;
}

KIT void kit_write(const struct kit_dir *d, const char *name, const void *p, size_t n)
{
    char path[600];
    int fd;

    snprintf(path, sizeof path, "%s/%s", d->path, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
    close(fd);
}

/* ---- random numbers with a printed seed ------------------------------------------------------ */

KIT uint64_t kit_seed(void)
{
    const char *s = getenv("SEED");
    uint64_t seed =
        s != NULL ? strtoull(s, NULL, 10) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    printf("SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

KIT uint32_t kit_rand(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) ^ (uint32_t)(*state >> 41);
}

/* ---- engine ---------------------------------------------------------------------------------- */

KIT struct engine *kit_open_as(const struct engine_options *o, struct engine_recovery *r_or_null)
{
    struct err_detail d = {.text = ""};
    struct engine *e = NULL;
    enum err err = engine_open(&e, o, r_or_null, &d);

    ck_assert_msg(err == OK, "open: %s (%s)", err_text(err), d.text);
    return e;
}

KIT struct engine *kit_open(const char *dir, uint64_t segment_bytes)
{
    struct engine_options o = {.dir = dir, .segment_bytes = segment_bytes};

    return kit_open_as(&o, NULL);
}

struct kit_wait {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done;
    enum err result;
};
#define KIT_WAIT                                                                                   \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, OK                             \
    }

KIT void kit_done(void *arg, enum err result)
{
    struct kit_wait *w = arg;

    pthread_mutex_lock(&w->mutex);
    w->done = true;
    w->result = result;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

KIT enum err kit_wait(struct kit_wait *w)
{
    pthread_mutex_lock(&w->mutex);
    while (!w->done)
        pthread_cond_wait(&w->cond, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    return w->result;
}

KIT enum err kit_commit(struct engine_txn *t)
{
    struct kit_wait w = KIT_WAIT;

    engine_txn_commit(t, kit_done, &w);
    return kit_wait(&w);
}

KIT struct engine_txn *kit_begin(struct engine *e)
{
    struct engine_txn *t = NULL;
    enum err err = engine_txn_begin(e, &t);

    ck_assert_msg(err == OK, "begin: %s", err_text(err));
    return t;
}

KIT enum err kit_put(struct engine *e, str key, str value)
{
    struct engine_txn *t;
    enum err err = engine_txn_begin(e, &t);

    if (err != OK)
        return err;
    err = engine_put(t, key, value);
    if (err != OK) {
        engine_txn_abort(t);
        return err;
    }
    return kit_commit(t);
}

/* ---- the model ------------------------------------------------------------------------------- */

struct kit_pair {
    char *key, *value;
    size_t key_n, value_n;
};

struct kit_model { /* sorted by key; bytes are shared between copies and live until the program ends
                    */
    struct kit_pair *p;
    size_t n, cap;
};

KIT size_t model_find(const struct kit_model *m, str key, bool *exact)
{
    size_t lo = 0, hi = m->n;

    *exact = false;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = str_cmp(key, (str){m->p[mid].key, m->p[mid].key_n});
        if (c == 0) {
            *exact = true;
            return mid;
        }
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* Bytes of all models of the program, freed together by model_free_bytes. */
static struct kit_block {
    struct kit_block *next;
    size_t n;
    char p[1 << 20];
} * kit_blocks;

KIT void model_free_bytes(void)
{
    while (kit_blocks != NULL) {
        struct kit_block *next = kit_blocks->next;
        free(kit_blocks);
        kit_blocks = next;
    }
}

KIT char *model_bytes(str s)
{
    char *p;

    ck_assert_uint_lt(s.n, sizeof kit_blocks->p);
    if (kit_blocks == NULL || sizeof kit_blocks->p - kit_blocks->n < s.n + 1) {
        struct kit_block *b = malloc(sizeof *b);
        ck_assert_ptr_nonnull(b);
        b->next = kit_blocks;
        b->n = 0;
        kit_blocks = b;
    }
    p = kit_blocks->p + kit_blocks->n;
    kit_blocks->n += s.n + 1;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

KIT void model_put(struct kit_model *m, str key, str value)
{
    bool exact;
    size_t i = model_find(m, key, &exact);

    if (!exact) {
        if (m->n == m->cap) {
            m->cap = m->cap == 0 ? 64 : 2 * m->cap;
            m->p = realloc(m->p, m->cap * sizeof *m->p);
            ck_assert_ptr_nonnull(m->p);
        }
        memmove(m->p + i + 1, m->p + i, (m->n - i) * sizeof *m->p);
        m->n++;
        m->p[i].key = model_bytes(key);
        m->p[i].key_n = key.n;
    }
    m->p[i].value = model_bytes(value);
    m->p[i].value_n = value.n;
}

KIT void model_del(struct kit_model *m, str key)
{
    bool exact;
    size_t i = model_find(m, key, &exact);

    if (exact) {
        memmove(m->p + i, m->p + i + 1, (m->n - i - 1) * sizeof *m->p);
        m->n--;
    }
}

KIT uint64_t model_del_prefix(struct kit_model *m, str prefix)
{
    size_t kept = 0, before = m->n;

    for (size_t i = 0; i < m->n; i++)
        if (!str_starts((str){m->p[i].key, m->p[i].key_n}, prefix))
            m->p[kept++] = m->p[i];
    m->n = kept;
    return before - kept;
}

KIT struct kit_model model_copy(const struct kit_model *m)
{
    struct kit_model c = {.n = m->n, .cap = m->n};

    c.p = malloc((m->n + 1) * sizeof *c.p);
    ck_assert_ptr_nonnull(c.p);
    if (m->n > 0)
        memcpy(c.p, m->p, m->n * sizeof *c.p);
    return c;
}

KIT str model_key(const struct kit_model *m, size_t i)
{
    return (str){m->p[i].key, m->p[i].key_n};
}

KIT str model_value(const struct kit_model *m, size_t i)
{
    return (str){m->p[i].value, m->p[i].value_n};
}

/* Does a view show exactly the model? False, with the reason printed (unless kit_quiet), when not. */
static bool kit_quiet;

KIT bool model_same(const struct kit_model *m, const struct engine_view *v)
{
    struct engine_cursor c;
    size_t i = 0;
    str value;

    engine_cursor_init(&c, v, (str){"", 0});
    for (bool ok = engine_cursor_first(&c); ok; ok = engine_cursor_next(&c), i++) {
        enum err err = engine_cursor_value(&c, &value);
        str key = engine_cursor_key(&c);
        if (err != OK || i >= m->n || !str_eq(key, model_key(m, i)) ||
            !str_eq(value, model_value(m, i))) {
            if (!kit_quiet)
                printf("differs at %zu: " STR_FMT " %s\n", i, STR_ARG(key), err_text(err));
            return false;
        }
    }
    if (i != m->n && !kit_quiet)
        printf("has %zu keys, not %zu\n", i, m->n);
    return i == m->n;
}

KIT bool model_same_now(const struct kit_model *m, struct engine *e)
{
    struct engine_reader *r;
    bool same;

    ck_assert_int_eq(engine_reader_new(e, &r), OK);
    same = model_same(m, engine_snap_begin(r));
    engine_snap_end(r);
    engine_reader_free(r);
    return same;
}

#endif
