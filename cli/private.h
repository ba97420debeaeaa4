/*
 * cli/private.h - what the files of this room share.
 */
#ifndef CLI_PRIVATE_H
#define CLI_PRIVATE_H

#include "cli/cli.h"
#include "http/http.h"
#include "process/process.h"
#include <limits.h>

#define MAX_INI_BYTES MIB
#define SECRET_NAME   "secret" /* in the data directory */
#define SECRET_HEX    64       /* 32 random bytes */

/* SECRET_HEX digits and a NUL. */
void cli_secret_make(char out[SECRET_HEX + 1]);
/* Writes and syncs a new file for its owner only; on failure it is taken away again. EXISTS: there
 * is one, which is left alone. */
MUST_CHECK enum err cli_write_new_file(const char *path, str text, struct err_detail *d);

/* Every directory above the file. */
MUST_CHECK enum err cli_make_dirs(const char *path, struct err_detail *d);

/* ---- a certificate for kinto init: certificate.c --------------------------------------------- */

#define CLI_CERTIFICATE "kinto-certificate.pem" /* beside the INI */
#define CLI_KEY         "kinto-key.pem"

struct cli_certificate {
    char certificate[PATH_MAX], key[PATH_MAX];
    char fingerprint[HTTP_FINGERPRINT];
};
/* Writes both files beside the INI, whose folder is there, for this machine and `wanted` hosts. On failure
 * there is none of them. EXISTS: one was there; SYNTAX: a host is none. */
MUST_CHECK enum err cli_certificate_write(struct cli_certificate *c, const char *ini,
                                          const struct cli_operands *wanted, struct err_detail *d);
void cli_certificate_remove(const struct cli_certificate *c);

/* ---- kinto start: serve.c --------------------------------------------------------------------- */

/* What a socket that was passed is for, by its name: `https` speaks TLS, `http` does not, `redirect` sends to
 * https, others speak TLS when there is a certificate (tls). */
struct http_listen cli_listen_passed(const struct systemd_socket *s, bool tls);

/* ---- a progress bar: bar.c ------------------------------------------------------------------- */

struct cli_bar {
    FILE *to; /* NULL: nobody looks, and all of this does nothing */
    unsigned percent;
};
void cli_bar_init(struct cli_bar *bar, FILE *to);
void cli_bar_draw(struct cli_bar *bar, uint64_t done, uint64_t total); /* bytes */
void cli_bar_wipe(struct cli_bar *bar); /* before something else is printed */

#endif
