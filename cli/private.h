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

#endif
