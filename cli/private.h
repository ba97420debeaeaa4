/*
 * cli/private.h - what the files of this room share.
 */
#ifndef CLI_PRIVATE_H
#define CLI_PRIVATE_H

#include "cli/cli.h"

#define MAX_INI_BYTES MIB
#define SECRET_NAME   "secret" /* in the data directory */
#define SECRET_HEX    64       /* 32 random bytes */

/* SECRET_HEX digits and a NUL. */
void cli_secret_make(char out[SECRET_HEX + 1]);
/* Writes and syncs a new file for its owner only; on failure it is taken away again. EXISTS: there
 * is one, which is left alone. */
MUST_CHECK enum err cli_write_new_file(const char *path, str text, struct err_detail *d);

/* ---- a progress bar: bar.c ------------------------------------------------------------------- */

struct cli_bar {
    FILE *to; /* NULL: nobody looks, and all of this does nothing */
    unsigned percent;
};
void cli_bar_init(struct cli_bar *bar, FILE *to);
void cli_bar_draw(struct cli_bar *bar, uint64_t done, uint64_t total); /* bytes */
void cli_bar_wipe(struct cli_bar *bar); /* before something else is printed */

#endif
