/*
 * cli/init.c - the INI file that kinto init writes: the kinto.ini of the source tree, line by line,
 * in which a few keys get values of their own, also where they stand commented out.
 */
#include "cli/private.h"

#include "base/buf.h"
#include "base/os.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* kinto.ini becomes part of the program, so that there is one text to maintain. */
__asm__(".section .rodata\n"
        ".global kinto_ini_begin\n"
        ".global kinto_ini_end\n"
        "kinto_ini_begin:\n"
        ".incbin \"kinto.ini\"\n"
        "kinto_ini_end:\n"
        ".previous\n");
extern const char kinto_ini_begin[], kinto_ini_end[];

struct replacement {
    const char *key, *value; /* value NULL: the line stays */
};

/* Is the line `key = ...`, also when it is commented out? */
static bool sets_key(str line, const char *key)
{
    str rest = str_starts(line, STR("# ")) ? str_drop(line, 2) : line;
    return str_starts(rest, str_from(key)) && str_starts(str_drop(rest, strlen(key)), STR(" ="));
}

static void add_line(struct buf *b, str line, const struct replacement *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (r[i].value && sets_key(line, r[i].key)) {
            buf_printf(b, "%s = %s\n", r[i].key, r[i].value);
            return;
        }
    buf_add_str(b, line);
    buf_add_char(b, '\n');
}

static void add_ini(struct buf *b, const struct replacement *r, size_t n)
{
    /* cppcheck-suppress comparePointers ; the linker makes them the ends of one array */
    str rest = {kinto_ini_begin, (size_t)(kinto_ini_end - kinto_ini_begin)};
    while (rest.n > 0)
        add_line(b, str_cut(&rest, '\n'), r, n);
}

enum err cli_make_dirs(const char *path, struct err_detail *d)
{
    char dir[PATH_MAX];
    for (size_t i = 1; path[i]; i++) {
        if (path[i] != '/')
            continue;
        if (i >= sizeof dir)
            return err_set(d, ERR_LIMIT, 0, "%s: path too long", path);
        memcpy(dir, path, i);
        dir[i] = '\0';
        if (os()->mkdir(dir, 0777) != 0 && errno != EEXIST)
            return err_set(d, err_from_errno(errno), errno, "%s", dir);
    }
    return OK;
}

enum err cli_write_new_file(const char *path, str text, struct err_detail *d)
{
    int fd = os()->open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return err_set(d, ERR_EXISTS, 0, "%s already exists", path);
    if (fd < 0)
        return err_set(d, err_from_errno(errno), errno, "%s", path);
    bool ok = os()->pwrite(fd, text.p, text.n, 0) >= 0 && os()->fsync(fd) == 0;
    int why = errno;
    if (os()->close(fd) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok)
        return OK;
    (void)os()->unlink(path);
    return err_set(d, err_from_errno(why), why, "%s", path);
}

const char *cli_ask_backend(FILE *in, FILE *out)
{
    char answer[64];
    for (;;) {
        fprintf(out, "Where shall the data live? (1 - in memory, default - on disk) ");
        fflush(out);
        if (!fgets(answer, sizeof answer, in))
            return "engine";
        str word = str_trim(str_from(answer));
        if (word.n == 0)
            return "engine";
        if (str_eq(word, STR("1")))
            return "memory";
    }
}

const char *cli_backend_setting(const char *name)
{
    if (strcmp(name, "engine") == 0)
        return "kinto.engine";
    return strcmp(name, "memory") == 0 ? "kinto.core.storage.memory" : NULL;
}

enum err cli_init_write(const char *path, const char *backend_setting, const char *host,
                        bool certificate, struct err_detail *d)
{
    char secret[SECRET_HEX + 1], bucket_secret[SECRET_HEX + 1];
    struct buf b;
    cli_secret_make(secret);
    cli_secret_make(bucket_secret);
    const struct replacement r[] = {
        {"kinto.userid_hmac_secret", secret},
        {"kinto.default_bucket_hmac_secret", bucket_secret},
        {"kinto.storage_backend", backend_setting},
        {"host", host},
        {"kinto.tls_certificate", certificate ? "%(here)s/" CLI_CERTIFICATE : NULL},
        {"kinto.tls_key", certificate ? "%(here)s/" CLI_KEY : NULL},
    };
    buf_init(&b, MAX_INI_BYTES);
    add_ini(&b, r, ARRAY_LEN(r));
    enum err e = b.err;
    if (e == OK)
        e = cli_make_dirs(path, d);
    if (e == OK)
        e = cli_write_new_file(path, buf_str(&b), d);
    buf_fini(&b);
    return e;
}

static enum err write_plain(const struct cli_args *a, const char *path, const char *backend,
                            FILE *out, struct err_detail *d)
{
    enum err e = cli_init_write(path, backend, a->host, a->self_signed, d);
    if (e == OK)
        fprintf(out, "Created config %s\n", path);
    return e;
}

/* The settings of certificates are lists, whose paths are separated by commas and line ends. */
static enum err check_folder(const char *ini, struct err_detail *d)
{
    char folder[PATH_MAX], whole[PATH_MAX];
    int n = snprintf(folder, sizeof folder, STR_FMT, STR_ARG(str_folder(str_from(ini))));
    if (n < 0 || (size_t)n >= sizeof folder)
        return err_set(d, ERR_LIMIT, 0, "%s: path too long", ini);
    if (!realpath(folder, whole))
        return err_set(d, err_from_errno(errno), errno, "%s", folder);
    if (strpbrk(whole, ",\n"))
        return err_set(
            d, ERR_UNSUPPORTED, 0,
            "%s: certificates are named in a list, so no folder on the way to them can have "
            "a comma in its name",
            whole);
    return OK;
}

static enum err write_with_certificate(const struct cli_args *a, const char *path,
                                       const char *backend, FILE *out, struct err_detail *d)
{
    struct cli_certificate c;
    enum err e = cli_make_dirs(path, d);
    if (e == OK)
        e = check_folder(path, d);
    if (e == OK)
        e = cli_certificate_write(&c, path, &a->operands, d);
    if (e != OK)
        return e;
    e = write_plain(a, path, backend, out, d);
    if (e != OK) {
        cli_certificate_remove(&c);
        return e;
    }
    fprintf(out, "Created certificate %s\nand its key %s\nSHA-256 %s\n", c.certificate, c.key,
            c.fingerprint);
    return OK;
}

enum err cli_command_init(const struct cli_args *a, FILE *in, FILE *out, struct err_detail *d)
{
    const char *path = cli_ini_named(a), *name = a->backend;
    if (!path)
        path = "config/kinto.ini";
    if (a->operands.n > 0 && !a->self_signed)
        return err_set(d, ERR_SYNTAX, 0,
                       "names of hosts are of use with --tls-self-signed only: %s",
                       a->operands.at[0]);
    if (access(path, F_OK) == 0)
        return err_set(d, ERR_EXISTS, 0, "%s already exists", path);
    if (!name)
        name = isatty(fileno(in)) ? cli_ask_backend(in, out) : "engine";
    const char *backend = cli_backend_setting(name);
    if (!backend)
        return err_set(d, ERR_SYNTAX, 0, "--backend is engine or memory, found: %s", name);
    if (a->cache_backend && strcmp(a->cache_backend, "memory") != 0)
        return err_set(d, ERR_SYNTAX, 0, "--cache-backend is memory, found: %s", a->cache_backend);
    return a->self_signed ? write_with_certificate(a, path, backend, out, d)
                          : write_plain(a, path, backend, out, d);
}
