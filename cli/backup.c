/*
 * cli/backup.c - kinto backup and kinto restore: the engine's copy of a data directory, with the
 * secret, how far it is, and Ctrl-C.
 *
 * The two are the same, with the directories exchanged: a backup is a data directory, and what is
 * restored is checked as closely as what is backed up.
 */
#include "cli/private.h"

#include <inttypes.h>
#include <signal.h>

struct bar {
    FILE *to; /* NULL: nobody looks */
    unsigned percent;
};

static bool is_stopped(void)
{
    sigset_t waiting;
    return sigpending(&waiting) == 0 &&
           (sigismember(&waiting, SIGINT) == 1 || sigismember(&waiting, SIGTERM) == 1 ||
            sigismember(&waiting, SIGHUP) == 1);
}

static void draw(struct bar *bar, uint64_t done, uint64_t total)
{
    static const char full[] = "########################################";
    const unsigned width = sizeof full - 1;
    unsigned percent = total > 0 ? (unsigned)(done * 100 / total) : 100;
    if (percent == bar->percent)
        return;
    bar->percent = percent;
    fprintf(bar->to, "\r[%-*.*s] %u %% of %" PRIu64 " MiB", (int)width,
            (int)(percent * width / 100), full, percent, total / MIB);
    fflush(bar->to);
}

static void wipe(const struct bar *bar)
{
    if (bar->to && bar->percent <= 100) {
        fprintf(bar->to, "\r%*s\r", 79, "");
        fflush(bar->to);
    }
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct bar *bar = arg;
    if (bar->to)
        draw(bar, done, total);
    return !is_stopped();
}

enum err cli_copy_run(const struct cli_copy *c, struct engine_backup_result *out,
                      struct err_detail *d)
{
    static const char *const extra[] = {SECRET_NAME, NULL};
    struct bar bar = {.to = c->progress, .percent = 101};
    const struct engine_backup b = {.dir = c->from,
                                    .dest = c->to,
                                    .since = c->since,
                                    .extra = extra,
                                    .progress = on_progress,
                                    .arg = &bar};
    enum err e = engine_backup(&b, out, d);
    wipe(&bar);
    return e;
}
