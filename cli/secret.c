/*
 * cli/secret.c - the secret of user ids, when the settings have none: a file of the data directory,
 * so that the users of a store stay who they are.
 *
 * The file appears under its name once it is whole and on disk. A crash before that leaves
 * "secret.tmp", which the next start removes; after it, every start reads the same secret.
 */
#include "cli/private.h"

#include "base/os.h"
#include "base/rand.h"
#include <errno.h>

#define MAX_SECRET_FILE 4096

void cli_secret_make(char out[SECRET_HEX + 1])
{
    uint8_t bytes[SECRET_HEX / 2];
    rand_bytes(bytes, sizeof bytes);
    hash_hex(bytes, sizeof bytes, out);
}

/* Reads the secret that an earlier start made. NOTFOUND: there is none. */
static enum err read_secret(struct arena *a, const char *path, str *out, struct err_detail *d)
{
    char *text = NULL;
    size_t n = 0;
    enum err e = os_read_file(path, MAX_SECRET_FILE, &text, &n, d);
    if (e != OK)
        return e;
    str found = arena_str(a, str_trim((str){text, n}));
    free(text);
    if (str_none(found))
        return ERR_NOMEM;
    if (found.n == 0)
        return err_set(
            d, ERR_CORRUPT, 0,
            "%s is empty: put the secret back, or remove the file and get a new one (all "
            "user ids change)",
            path);
    *out = found;
    return OK;
}

static enum err write_secret(struct arena *a, const char *dir, const char *path, str line,
                             struct err_detail *d)
{
    str tmp = arena_printf(a, "%s.tmp", path);
    if (str_none(tmp))
        return ERR_NOMEM;
    (void)os()->unlink(tmp.p); /* of a start that was cut off */
    enum err e = cli_write_new_file(tmp.p, line, d);
    if (e != OK)
        return e;
    if (os()->rename(tmp.p, path) != 0 || os()->sync_dir(dir) != 0)
        return err_set(d, err_from_errno(errno), errno, "%s", path);
    return OK;
}

enum err cli_secret_keep(struct arena *a, const char *dir, str *out, struct err_detail *d)
{
    char hex[SECRET_HEX + 2];
    cli_secret_make(hex);
    str fresh = arena_str(a, (str){hex, SECRET_HEX});
    if (str_none(fresh))
        return ERR_NOMEM;
    if (!dir) {
        *out = fresh;
        return OK;
    }
    str path = arena_printf(a, "%s/" SECRET_NAME, dir);
    if (str_none(path))
        return ERR_NOMEM;
    enum err e = read_secret(a, path.p, out, d);
    if (e != ERR_NOTFOUND)
        return e;
    hex[SECRET_HEX] = '\n';
    e = write_secret(a, dir, path.p, (str){hex, SECRET_HEX + 1}, d);
    if (e == OK)
        *out = fresh;
    return e;
}
