/*
 * cli/ini.c - which INI file is in force, and what it says of the log.
 */
#include "cli/private.h"

#include "base/os.h"
#include <sys/stat.h>
#include <unistd.h>

/* What stands in for a missing file. Flushing needs no authentication: with --memory only. */
#define BUILT_IN                                                                                   \
    "[app:main]\n"                                                                                 \
    "multiauth.policies = basicauth\n"                                                             \
    "kinto.includes = kinto.plugins.default_bucket\n"
#define BUILT_IN_MEMORY BUILT_IN "    kinto.plugins.flush\n"

const char *cli_ini_named(const struct cli_args *a)
{
    const char *named = getenv("KINTO_INI");
    if (a->ini)
        return a->ini;
    return named && *named ? named : NULL;
}

static const char *find_ini(const struct cli_args *a)
{
    static const char *const places[] = {"config/kinto.ini", "kinto.ini"};
    const char *named = cli_ini_named(a);
    if (named || a->memory)
        return named;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], F_OK) == 0)
            return places[i];
    return NULL;
}

/* The path from the root, as %(__file__)s is. False: no working directory, or too long. */
static bool absolute_path(const char *path, char *out, size_t size)
{
    size_t n = 0;
    if (path[0] != '/') {
        if (!getcwd(out, size))
            return false;
        n = strlen(out);
        if (n + 1 >= size)
            return false;
        out[n++] = '/';
    }
    size_t len = strlen(path);
    if (len >= size - n)
        return false;
    memcpy(out + n, path, len + 1);
    return true;
}

/* For GET /v1/, which tells administrators which file is in force. */
static void note_file(struct cli_ini *in, str text)
{
    uint8_t digest[HASH_SHA256_LEN];
    struct stat st;
    hash_sha256(text, digest);
    hash_hex(digest, sizeof digest, in->sha256);
    if (stat(in->path, &st) == 0)
        in->modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
}

static enum err parse(struct cli_ini *in, const struct cli_args *a, str text, const char *name,
                      str path, struct err_detail *d)
{
    const struct ini_var vars[] = {
        {STR("here"), str_folder(path)},
        {STR("__file__"), path},
        {STR("http_port"), str_from(a->port ? a->port : "8888")},
    };
    enum err e = ini_parse(&in->ini, text, name, vars, ARRAY_LEN(vars), d);
    in->open = e == OK;
    return e;
}

enum err cli_ini_open(struct cli_ini *in, const struct cli_args *a, struct err_detail *d)
{
    char path[PATH_MAX];
    char *text = NULL;
    size_t n = 0;

    *in = (struct cli_ini){.path = find_ini(a)};
    if (!in->path) {
        const char *built_in = a->memory ? BUILT_IN_MEMORY : BUILT_IN;
        return parse(in, a, str_from(built_in), "built-in settings", STR("/"), d);
    }
    enum err e = os_read_file(in->path, MAX_INI_BYTES, &text, &n, d);
    if (e != OK)
        return e;
    if (absolute_path(in->path, path, sizeof path)) {
        note_file(in, (str){text, n});
        e = parse(in, a, (str){text, n}, in->path, str_from(path), d);
    } else {
        e = err_set(d, ERR_IO, 0, "%s: no path from the root", in->path);
    }
    free(text);
    return e;
}

void cli_ini_close(struct cli_ini *in)
{
    if (in->open)
        ini_free(&in->ini);
    in->open = false;
}

/* The level that a logging section asks for. False: none (or NOTSET). */
static bool level_of(const struct ini *ini, str section, enum log_level *out)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {
        {"DEBUG", LOG_DEBUG}, {"INFO", LOG_INFO},   {"WARNING", LOG_WARN},   {"WARN", LOG_WARN},
        {"ERROR", LOG_ERROR}, {"FATAL", LOG_ERROR}, {"CRITICAL", LOG_ERROR},
    };
    const struct ini_entry *it = ini_get(ini, section, STR("level"));
    for (size_t i = 0; it && i < ARRAY_LEN(levels); i++)
        if (str_eq_nocase(it->value, str_from(levels[i].name))) {
            *out = levels[i].level;
            return true;
        }
    return false;
}

enum log_level cli_log_level(const struct ini *ini, const struct cli_args *a)
{
    enum log_level level = LOG_INFO;
    if (a->quiet)
        return LOG_WARN;
    if (a->verbose)
        return LOG_DEBUG;
    if (!level_of(ini, STR("logger_kinto"), &level))
        (void)level_of(ini, STR("logger_root"), &level);
    return level;
}
