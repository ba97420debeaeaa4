/*
 * cli/bar.c - how far a long command is, on a terminal.
 */
#include "cli/private.h"

#include <inttypes.h>

#define NOTHING_DRAWN 101 /* more than any percentage */

void cli_bar_init(struct cli_bar *bar, FILE *to)
{
    *bar = (struct cli_bar){.to = to, .percent = NOTHING_DRAWN};
}

void cli_bar_draw(struct cli_bar *bar, uint64_t done, uint64_t total)
{
    static const char full[] = "########################################";
    const unsigned width = sizeof full - 1;
    unsigned percent = done < total ? (unsigned)(done * 100 / total) : 100;
    if (!bar->to || percent == bar->percent)
        return;
    bar->percent = percent;
    fprintf(bar->to, "\r[%-*.*s] %u %% of %" PRIu64 " MiB", (int)width,
            (int)(percent * width / 100), full, percent, total / MIB);
    fflush(bar->to);
}

void cli_bar_wipe(struct cli_bar *bar)
{
    if (!bar->to || bar->percent >= NOTHING_DRAWN)
        return;
    bar->percent = NOTHING_DRAWN;
    fprintf(bar->to, "\r%*s\r", 79, "");
    fflush(bar->to);
}
