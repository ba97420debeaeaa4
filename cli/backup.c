/*
 * cli/backup.c - kinto backup and kinto restore: the engine's copy of a data directory, with the
 * secret, how far it is, and Ctrl-C.
 *
 * The two are the same, with the directories exchanged: a backup is a data directory, and what is
 * restored is checked as closely as what is backed up.
 */
#include "cli/private.h"

#include <signal.h>

static bool is_stopped(void)
{
    sigset_t waiting, awaited = cli_signals(), both;
    return sigpending(&waiting) == 0 && sigandset(&both, &waiting, &awaited) == 0 &&
           !sigisemptyset(&both);
}

static bool on_progress(void *arg, uint64_t done, uint64_t total)
{
    cli_bar_draw(arg, done, total);
    return !is_stopped();
}

enum err cli_copy_run(const struct cli_copy *c, struct engine_backup_result *out,
                      struct err_detail *d)
{
    static const char *const extra[] = {SECRET_NAME, NULL};
    struct cli_bar bar;
    cli_bar_init(&bar, c->progress);
    const struct engine_backup b = {.dir = c->from,
                                    .dest = c->to,
                                    .dest_name = c->to_name,
                                    .since = c->since,
                                    .extra = extra,
                                    .progress = on_progress,
                                    .arg = &bar};
    enum err e = engine_backup(&b, out, d);
    cli_bar_wipe(&bar);
    return e;
}
