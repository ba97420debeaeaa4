/*
 * test/fuzz/store.h - for targets about the engine's files: a directory of its own for each input, in memory
 * where the system has that, and what can be said of a store whatever its files hold.
 */
#ifndef TEST_FUZZ_STORE_H
#define TEST_FUZZ_STORE_H

#include "test/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/private.h"

struct fuzz_dir {
    char path[64];
};

static inline void fuzz_dir_make(struct fuzz_dir *d)
{
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(d->path, sizeof d->path, "%s/kinto-fuzz-XXXXXX", root);
    CHECK(mkdtemp(d->path) != NULL);
}

static inline void fuzz_file(const struct fuzz_dir *d, const char *name, char out[400])
{
    CHECK(snprintf(out, 400, "%s/%s", d->path, name) < 400);
}

/* With all that is in it, two folders deep at most. */
static inline void fuzz_dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char name[400];

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        CHECK(snprintf(name, sizeof name, "%s/%s", path, entry->d_name) < (int)sizeof name);
        if (unlink(name) != 0)
            fuzz_dir_remove(name);
    }
    closedir(dir);
    CHECK(rmdir(path) == 0);
}

static inline void fuzz_write(const struct fuzz_dir *d, const char *name, const void *p, size_t n)
{
    char path[400];

    fuzz_file(d, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, p, n) == (ssize_t)n && close(fd) == 0);
}

/* All that the newest state shows, as one number; false: some of it is damaged. */
static inline bool fuzz_digest(struct engine *e, uint64_t *out)
{
    struct engine_reader *r = NULL;
    struct engine_cursor c;
    struct engine_stats stats;
    uint64_t sum = 14695981039346656037u, keys = 0;
    bool whole = true;
    str value;

    CHECK(engine_reader_new(e, &r) == OK);
    engine_cursor_init(&c, engine_snap_begin(r), STR(""));
    for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c), keys++) {
        str part[2] = {engine_cursor_key(&c), STR_NONE};
        CHECK(part[0].n > 0 && part[0].n <= ENGINE_MAX_KEY_BYTES);
        if (engine_cursor_value(&c, &value) == OK)
            part[1] = value;
        else
            whole = false;
        for (int k = 0; k < 2; k++, sum *= 1099511628211u)
            for (size_t i = 0; i < part[k].n; i++)
                sum = (sum ^ (uint8_t)part[k].p[i]) * 1099511628211u;
    }
    whole = whole && engine_cursor_err(&c) == OK;
    engine_stats(e, &stats);
    CHECK(!whole || stats.keys == keys);
    engine_snap_end(r);
    engine_reader_free(r);
    *out = sum;
    return whole;
}

#endif
