/*
 * kinto.c - main(): the subcommands, the settings, start and stop. It knows every room and contains
 * no logic of theirs; only this file prints and exits.
 *
 * Where a setting comes from (the strongest first): command line, environment, INI file, default.
 * Without an INI file a built-in one stands in (see BUILT_IN), so that a first try needs none.
 *
 * start goes through one struct run, whose parts are made in this order and released in reverse:
 *
 *     INI -> settings -> checks -> store -> secret -> API, plugins -> server -> (wait) -> stop
 *
 * The settings are loaded twice when some of them follow from others: the secret of the user ids is
 * kept in the data directory, and where that is the settings say. Nothing listens before everything
 * stands, so that whoever can connect is served.
 *
 * Exit status: 0, 1 failure, 2 usage.
 */
#include "api/api.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/ini.h"
#include "base/log.h"
#include "base/os.h"
#include "base/rand.h"
#include "base/settings.h"
#include "http/http.h"
#include "plugins/plugins.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE };

#define MAX_INI_BYTES   MIB
#define SECRET_HEX      64 /* 32 random bytes */
#define MAX_SECRET_FILE 4096

/* ---- the command line ------------------------------------------------------------------------ */

struct args {
    const char *ini, *port, *host, *data, *backend, *cache_backend;
    bool memory, dry_run, quiet, verbose, help;
};

enum { INIT = 1, START = 2, MIGRATE = 4, VERSION = 8, ALL = 15 };

static int run_init(const struct args *a);
static int run_start(const struct args *a);
static int run_migrate(const struct args *a);
static int run_version(const struct args *a);

static const struct command {
    const char *name;
    unsigned bit;
    const char *usage, *help;
    int (*run)(const struct args *a);
} commands[] = {
    {"init", INIT, "[--ini FILE] [--backend engine|memory] [--host HOST]",
     "write a commented INI file with secrets of its own", run_init},
    {"start", START, "[--ini FILE] [--host HOST] [--port N] [--data DIR] [--memory] [-q|-v]",
     "serve until SIGTERM or SIGINT", run_start},
    {"migrate", MIGRATE, "[--ini FILE] [--data DIR] [--dry-run]",
     "bring the data directory to the format of this version", run_migrate},
    {"version", VERSION, "", "print the version", run_version},
};

static const struct option {
    const char *name, *other, *argument; /* argument NULL: a switch */
    size_t offset;                       /* in struct args: const char * or bool */
    unsigned commands;
    const char *help;
} options[] = {
    {"--ini", NULL, "FILE", offsetof(struct args, ini), ALL,
     "settings [$KINTO_INI, config/kinto.ini, kinto.ini, none]"},
    {"--host", NULL, "HOST", offsetof(struct args, host), INIT | START,
     "address to listen on [127.0.0.1]"},
    {"--port", NULL, "N", offsetof(struct args, port), START,
     "port to listen on; 0: any free one [8888]"},
    {"--data", NULL, "DIR", offsetof(struct args, data), START | MIGRATE,
     "data directory [./kinto-data]"},
    {"--memory", NULL, NULL, offsetof(struct args, memory), START,
     "keep nothing: for tests (--ini or $KINTO_INI, or built-in settings)"},
    {"--backend", NULL, "NAME", offsetof(struct args, backend), INIT, "engine or memory [engine]"},
    {"--cache-backend", NULL, "NAME", offsetof(struct args, cache_backend), INIT,
     "memory, the only one [memory]"},
    {"--dry-run", NULL, NULL, offsetof(struct args, dry_run), MIGRATE,
     "say what would be done, and do not make a directory"},
    {"--quiet", "-q", NULL, offsetof(struct args, quiet), ALL, "log warnings and errors only"},
    {"--debug", "-v", NULL, offsetof(struct args, verbose), ALL, "log everything"},
    {"--help", "-h", NULL, offsetof(struct args, help), ALL, "this page"},
};

static void print_help(FILE *to)
{
    fprintf(to, "kinto " KINTO_VERSION ": JSON storage over HTTP, with sync and sharing\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(to, "kinto %s %s\n        %s\n", commands[i].name, commands[i].usage,
                commands[i].help);
    fprintf(to, "\nOptions, and [what counts without them]:\n");
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        char left[64];
        const struct option *o = &options[i];
        snprintf(left, sizeof left, "%s%s%s%s%s", o->other ? o->other : "", o->other ? ", " : "",
                 o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        fprintf(to, "  %-22s %s\n", left, o->help);
    }
    fprintf(to, "\nSettings from the environment win over the INI: KINTO_PAGINATE_BY=100.\n");
}

static int usage_error(const char *what, const char *found)
{
    fprintf(stderr, "kinto: %s%s%s\nTry: kinto --help\n", what, *found ? ": " : "", found);
    return STATUS_USAGE;
}

/* "--port=1" or "--port". */
static const struct option *find_option(str word, unsigned command)
{
    str name = str_sub(word, 0, str_find(word, '='));
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const struct option *o = &options[i];
        if ((o->commands & command) &&
            (str_eq(name, str_from(o->name)) || (o->other && str_eq(name, str_from(o->other)))))
            return o;
    }
    return NULL;
}

/* Takes the words of one option; *at is moved onto its last one. */
static bool take_option(const struct option *o, struct args *out, char **argv, int *at)
{
    char *place = (char *)out + o->offset;
    char *value = strchr(argv[*at], '=');
    if (!o->argument) {
        bool yes = true;
        memcpy(place, &yes, sizeof yes);
        return !value;
    }
    const char *word = value ? value + 1 : argv[*at + 1];
    if (!word)
        return false;
    *at += value ? 0 : 1;
    memcpy(place, &word, sizeof word);
    return true;
}

static bool valid_port(const char *text)
{
    uint64_t n;
    return !text || (str_to_u64(str_from(text), &n) == OK && n <= 65535);
}

/* STATUS_OK, or the status of a message that was printed. */
static int parse_options(const struct command *c, char **argv, struct args *out)
{
    for (int i = 0; argv[i]; i++) {
        const struct option *o = find_option(str_from(argv[i]), c->bit);
        if (!o)
            return usage_error("no such option", argv[i]);
        if (!take_option(o, out, argv, &i))
            return usage_error(
                o->argument ? "option without its value" : "option that takes no value", o->name);
    }
    if (!valid_port(out->port))
        return usage_error("--port is a number from 0 to 65535, found", out->port);
    if (out->quiet && out->verbose)
        return usage_error("-q and -v exclude each other", "");
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_help(stdout);
        return STATUS_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct args args = {0};
        if (strcmp(name, commands[i].name) != 0)
            continue;
        int status = parse_options(&commands[i], argv + 2, &args);
        if (status != STATUS_OK)
            return status;
        if (args.help) {
            print_help(stdout);
            return STATUS_OK;
        }
        return commands[i].run(&args);
    }
    return usage_error(*name ? "no such command" : "which command?", name);
}

static int run_version(const struct args *a)
{
    (void)a;
    puts(KINTO_VERSION);
    return STATUS_OK;
}

static int failed(enum err e, const struct err_detail *d)
{
    fprintf(stderr, "kinto: %s\n", d->text[0] ? d->text : err_text(e));
    return STATUS_FAILED;
}

/* ---- init: the INI file of the source tree, with secrets ------------------------------------- */

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
    const char *key, *value;
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
    str rest = {kinto_ini_begin, (size_t)(kinto_ini_end - kinto_ini_begin)};
    while (rest.n > 0)
        add_line(b, str_cut(&rest, '\n'), r, n);
}

/* Every directory above the file. */
static enum err make_dirs(const char *path, struct err_detail *d)
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

/* Writes a new file for its owner only; on failure it is taken away again. */
static enum err write_new_file(const char *path, str text, struct err_detail *d)
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

static void new_secret(char out[SECRET_HEX + 1])
{
    uint8_t bytes[SECRET_HEX / 2];
    rand_bytes(bytes, sizeof bytes);
    hash_hex(bytes, sizeof bytes, out);
}

/* Asks until there is an answer; the end of input takes the default. */
static const char *ask_backend(void)
{
    char answer[64];
    for (;;) {
        printf("Where shall the data live? (1 - in memory, default - on disk) ");
        fflush(stdout);
        if (!fgets(answer, sizeof answer, stdin))
            return "engine";
        str word = str_trim(str_from(answer));
        if (word.n == 0)
            return "engine";
        if (str_eq(word, STR("1")))
            return "memory";
    }
}

/* The setting that a --backend means; NULL: there is none of that name. */
static const char *backend_of(const char *name)
{
    if (strcmp(name, "engine") == 0)
        return "kinto.engine";
    return strcmp(name, "memory") == 0 ? "kinto.core.storage.memory" : NULL;
}

static enum err write_ini(const char *path, const char *backend, const char *host,
                          struct err_detail *d)
{
    char secret[SECRET_HEX + 1], bucket_secret[SECRET_HEX + 1];
    struct buf b;
    new_secret(secret);
    new_secret(bucket_secret);
    const struct replacement r[] = {
        {"kinto.userid_hmac_secret", secret},
        {"kinto.default_bucket_hmac_secret", bucket_secret},
        {"kinto.storage_backend", backend},
        {"host", host},
    };
    buf_init(&b, MAX_INI_BYTES);
    add_ini(&b, r, ARRAY_LEN(r));
    enum err e = b.err;
    if (e == OK)
        e = make_dirs(path, d);
    if (e == OK)
        e = write_new_file(path, buf_str(&b), d);
    buf_fini(&b);
    return e;
}

/* NULL unless the variable says something. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int run_init(const struct args *a)
{
    struct err_detail d = {0};
    const char *path = a->ini ? a->ini : environment("KINTO_INI");
    if (!path)
        path = "config/kinto.ini";
    if (access(path, F_OK) == 0)
        return failed(err_set(&d, ERR_EXISTS, 0, "%s already exists", path), &d);
    const char *name = a->backend;
    if (!name)
        name = isatty(STDIN_FILENO) ? ask_backend() : "engine";
    const char *backend = backend_of(name);
    if (!backend)
        return usage_error("--backend is engine or memory, found", name);
    if (a->cache_backend && strcmp(a->cache_backend, "memory") != 0)
        return usage_error("--cache-backend is memory, found", a->cache_backend);
    enum err e = write_ini(path, backend, a->host, &d);
    if (e != OK)
        return failed(e, &d);
    printf("Created config %s\n", path);
    return STATUS_OK;
}

/* ---- settings -------------------------------------------------------------------------------- */

static const struct setting_table *const tables[] = {
    &store_settings, &http_settings, &auth_settings, &api_settings, &plugins_settings,
};

static enum err (*const checks[])(const struct settings *s, struct err_detail *d) = {
    store_settings_check,
    http_settings_check,
    api_settings_check,
    plugins_settings_check,
};

/* What stands in for a missing INI file. Flushing needs no authentication: with --memory only. */
#define BUILT_IN                                                                                   \
    "[app:main]\n"                                                                                 \
    "multiauth.policies = basicauth\n"                                                             \
    "kinto.includes = kinto.plugins.default_bucket\n"
#define BUILT_IN_MEMORY BUILT_IN "    kinto.plugins.flush\n"

#define MAX_OVERRIDES 8

struct run {
    const struct args *args;
    struct err_detail detail;
    struct arena arena;   /* what lives as long as the run */
    const char *ini_path; /* NULL: built in */
    char *ini_text;       /* malloc'd */
    size_t ini_n;
    struct ini ini;
    bool ini_open;
    char sha256[2 * HASH_SHA256_LEN + 1];
    int64_t modified_us;
    struct setting_override over[MAX_OVERRIDES];
    size_t nover;
    struct settings *settings;
    const char *data_dir; /* NULL: memory */
    struct store *store;
    struct store_opened opened;
    struct api *api;
    struct http_server *server;
    struct http_listen listen[HTTP_MAX_LISTEN];
    unsigned nlisten;
};

/* --memory takes no file that just lies about: a test suite means the same in every folder. */
static const char *find_ini(const struct args *a)
{
    static const char *const places[] = {"config/kinto.ini", "kinto.ini"};
    if (a->ini)
        return a->ini;
    const char *named = environment("KINTO_INI");
    if (named || a->memory)
        return named;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], F_OK) == 0)
            return places[i];
    return NULL;
}

/* The path from the root, as %(__file__)s is. STR_NONE: no memory, or no working directory. */
static str absolute_path(struct arena *a, const char *path)
{
    char cwd[PATH_MAX];
    if (path[0] == '/')
        return arena_str(a, str_from(path));
    if (!getcwd(cwd, sizeof cwd))
        return STR_NONE;
    const str parts[] = {str_from(cwd), STR("/"), str_from(path)};
    return arena_concat(a, parts, ARRAY_LEN(parts));
}

static str directory_of(str path)
{
    size_t slash = 0;
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '/')
            slash = i;
    return str_sub(path, 0, slash ? slash : 1);
}

/* For GET /v1/, which tells administrators which file is in force. */
static void note_file(struct run *r)
{
    uint8_t digest[HASH_SHA256_LEN];
    struct stat st;
    hash_sha256((str){r->ini_text, r->ini_n}, digest);
    hash_hex(digest, sizeof digest, r->sha256);
    if (stat(r->ini_path, &st) == 0)
        r->modified_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
}

static enum err parse_ini(struct run *r, str text, const char *name, str path)
{
    const struct ini_var vars[] = {
        {STR("here"), directory_of(path)},
        {STR("__file__"), path},
        {STR("http_port"), str_from(r->args->port ? r->args->port : "8888")},
    };
    enum err e = ini_parse(&r->ini, text, name, vars, ARRAY_LEN(vars), &r->detail);
    r->ini_open = e == OK;
    return e;
}

static enum err read_ini(struct run *r)
{
    r->ini_path = find_ini(r->args);
    if (!r->ini_path) {
        const char *text = r->args->memory ? BUILT_IN_MEMORY : BUILT_IN;
        return parse_ini(r, str_from(text), "built-in settings", STR("/"));
    }
    enum err e = os_read_file(r->ini_path, MAX_INI_BYTES, &r->ini_text, &r->ini_n, &r->detail);
    if (e != OK)
        return e;
    str path = absolute_path(&r->arena, r->ini_path);
    if (str_none(path))
        return err_set(&r->detail, ERR_IO, 0, "%s: no path from the root", r->ini_path);
    note_file(r);
    return parse_ini(r, (str){r->ini_text, r->ini_n}, r->ini_path, path);
}

static void override(struct run *r, const char *key, const char *value)
{
    CHECK(r->nover < MAX_OVERRIDES);
    r->over[r->nover++] = (struct setting_override){key, value};
}

static void override_by_args(struct run *r)
{
    const struct args *a = r->args;
    if (a->port)
        override(r, "kinto.server.port", a->port);
    if (a->host)
        override(r, "kinto.server.host", a->host);
    if (a->data)
        override(r, "kinto.storage_url", a->data);
    if (a->memory) {
        override(r, "kinto.storage_backend", "kinto.core.storage.memory");
        override(r, "kinto.permission_backend", "kinto.core.permission.memory");
    }
}

static enum err load(struct run *r)
{
    struct setting_table all[ARRAY_LEN(tables)];
    struct settings *fresh;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        all[i] = *tables[i];
    enum err e = settings_load(&fresh, all, ARRAY_LEN(all), &r->ini, r->over, r->nover, &r->detail);
    if (e != OK)
        return e;
    settings_free(r->settings);
    r->settings = fresh;
    return OK;
}

static enum err check(struct run *r)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        enum err e = checks[i](r->settings, &r->detail);
        if (e != OK)
            return e;
    }
    return OK;
}

/* ---- log level ------------------------------------------------------------------------------- */

/* The level that a logging section of the INI asks for. False: none (or NOTSET). */
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

static void set_log_level(const struct run *r)
{
    enum log_level level = LOG_INFO;
    if (r->args->quiet)
        level = LOG_WARN;
    else if (r->args->verbose)
        level = LOG_DEBUG;
    else if (!level_of(&r->ini, STR("logger_kinto"), &level))
        (void)level_of(&r->ini, STR("logger_root"), &level);
    log_set_level(level);
}

static void log_ignored(const struct run *r)
{
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct setting_row *row = &tables[t]->rows[i];
            if (row->type == SETTING_IGNORED && !strchr(row->key, '*') &&
                settings_is_set(r->settings, row->key))
                log_event(LOG_DEBUG, "setting_ignored", "key=%s why=\"%s\"", row->key, row->help);
        }
}

/* INI, settings, checks: what every command that works on data begins with. */
static enum err run_open(struct run *r, const struct args *a)
{
    *r = (struct run){.args = a};
    arena_init(&r->arena, NULL, 0, NULL, MIB);
    enum err e = read_ini(r);
    if (e != OK)
        return e;
    set_log_level(r);
    override_by_args(r);
    e = load(r);
    if (e != OK)
        return e;
    log_ignored(r);
    return check(r);
}

static void run_close(struct run *r)
{
    if (r->server)
        http_server_stop(r->server);
    if (r->api)
        api_free(r->api);
    if (r->store)
        store_close(r->store);
    settings_free(r->settings);
    if (r->ini_open)
        ini_free(&r->ini);
    free(r->ini_text);
    arena_fini(&r->arena);
}

/* ---- the secret of user ids ------------------------------------------------------------------ */

/* Reads the secret that an earlier start made. NOTFOUND: there is none. */
static enum err read_secret(struct run *r, const char *path, str *out)
{
    char *text = NULL;
    size_t n = 0;
    enum err e = os_read_file(path, MAX_SECRET_FILE, &text, &n, &r->detail);
    if (e != OK)
        return e;
    *out = arena_str(&r->arena, str_trim((str){text, n}));
    free(text);
    if (str_none(*out))
        return ERR_NOMEM;
    if (out->n == 0)
        return err_set(
            &r->detail, ERR_CORRUPT, 0,
            "%s is empty: put the secret back, or remove the file and get a new one (all "
            "user ids change)",
            path);
    return OK;
}

/* The file appears under its name once it is whole and on disk. */
static enum err write_secret(struct run *r, const char *path, str secret)
{
    str tmp = arena_printf(&r->arena, "%s.tmp", path);
    if (str_none(tmp))
        return ERR_NOMEM;
    (void)os()->unlink(tmp.p); /* of a start that was cut off */
    enum err e = write_new_file(tmp.p, secret, &r->detail);
    if (e != OK)
        return e;
    if (os()->rename(tmp.p, path) != 0 || os()->sync_dir(r->data_dir) != 0)
        return err_set(&r->detail, err_from_errno(errno), errno, "%s", path);
    return OK;
}

/* The store is open and locked, so nobody else makes one at the same time. */
static enum err keep_secret(struct run *r, str *out)
{
    char hex[SECRET_HEX + 2];
    new_secret(hex);
    str fresh = arena_str(&r->arena, (str){hex, SECRET_HEX});
    if (!r->data_dir) {
        *out = fresh;
        return str_none(fresh) ? ERR_NOMEM : OK;
    }
    str path = arena_printf(&r->arena, "%s/secret", r->data_dir);
    if (str_none(fresh) || str_none(path))
        return ERR_NOMEM;
    enum err e = read_secret(r, path.p, out);
    if (e != ERR_NOTFOUND)
        return e;
    hex[SECRET_HEX] = '\n';
    e = write_secret(r, path.p, (str){hex, SECRET_HEX + 1});
    if (e == OK)
        *out = fresh;
    return e;
}

/* Settings that follow from others, or from what is in the data directory. */
static enum err derive(struct run *r)
{
    size_t before = r->nover;
    str secret;
    if (!settings_is_set(r->settings, "kinto.userid_hmac_secret")) {
        enum err e = keep_secret(r, &secret);
        if (e != OK)
            return e;
        override(r, "kinto.userid_hmac_secret", secret.p);
        if (!settings_is_set(r->settings, "kinto.default_bucket_hmac_secret"))
            override(r, "kinto.default_bucket_hmac_secret", secret.p);
    }
    str scheme = settings_str(r->settings, "kinto.server.url_scheme");
    scheme = str_none(scheme) ? scheme : arena_str(&r->arena, scheme);
    if (!settings_is_set(r->settings, "kinto.http_scheme") && !str_none(scheme))
        override(r, "kinto.http_scheme", scheme.p);
    if (r->nover == before)
        return OK;
    log_set_level(LOG_ERROR); /* the first load has warned */
    enum err e = load(r);
    set_log_level(r);
    return e;
}

/* ---- start ----------------------------------------------------------------------------------- */

static enum err open_store(struct run *r)
{
    struct store_options o;
    enum err e = store_options_load(&o, r->settings, &r->detail);
    if (e != OK)
        return e;
    if (o.dir) { /* a copy: the settings may be loaded anew */
        r->data_dir = o.dir = arena_cstr(&r->arena, str_from(o.dir));
        if (!o.dir)
            return ERR_NOMEM;
    }
    return store_open(&r->store, &o, &r->opened, &r->detail);
}

static enum err open_api(struct run *r)
{
    const struct api_options o = {
        .store = r->store,
        .settings = r->settings,
        .config_path = str_from(r->ini_path),
        .config_sha256 = r->ini_path ? str_from(r->sha256) : STR_NONE,
        .config_modified_us = r->modified_us,
        .version = STR(KINTO_VERSION),
    };
    enum err e = api_new(&r->api, &o, &r->detail);
    return e == OK ? plugins_load(r->api, r->settings, &r->detail) : e;
}

static enum err open_server(struct run *r)
{
    struct http_options o = {.listen = r->listen, .app = api_http_app(r->api)};
    http_options_load(&o, r->settings);
    enum err e = http_listen_load(r->settings, &r->arena, r->listen, &r->nlisten, &r->detail);
    if (e != OK)
        return e;
    o.nlisten = r->nlisten;
    return http_server_start(&r->server, &o, &r->detail);
}

static void print_address(const struct run *r, unsigned i)
{
    const struct http_listen *l = &r->listen[i];
    const char *scheme = l->tls ? "https" : "http";
    if (str_starts(l->host, STR("unix:"))) {
        printf(STR_FMT, STR_ARG(l->host));
        return;
    }
    bool v6 = str_find(l->host, ':') != STR_NPOS;
    printf("%s://%s" STR_FMT "%s:%u/v1/", scheme, v6 ? "[" : "", STR_ARG(l->host), v6 ? "]" : "",
           (unsigned)http_server_port(r->server, i));
}

/* One line, once connections are accepted: scripts read the URL from it. */
static void print_started(const struct run *r)
{
    printf("kinto " KINTO_VERSION " at ");
    for (unsigned i = 0; i < r->nlisten; i++) {
        if (i > 0)
            printf(" and ");
        print_address(r, i);
    }
    printf(
        " data=%s recovered %" PRIu64 " transactions in %" PRIu64 " ms (torn: %" PRIu64 " bytes)\n",
        r->data_dir ? r->data_dir : "memory", r->opened.txns, r->opened.ms, r->opened.torn_bytes);
    fflush(stdout);
}

/* Blocked before any thread is made, so that all inherit it and only wait_for_stop() takes them. */
static void block_signals(sigset_t *stop)
{
    sigemptyset(stop);
    sigaddset(stop, SIGTERM);
    sigaddset(stop, SIGINT);
    sigaddset(stop, SIGHUP);
    CHECK(pthread_sigmask(SIG_BLOCK, stop, NULL) == 0);
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR); /* over `ulimit -f`: EFBIG, as on a full disk */
}

static void wait_for_stop(const sigset_t *stop)
{
    int got = 0;
    CHECK(sigwait(stop, &got) == 0);
    log_event(LOG_INFO, "stopping", "signal=%s", sigabbrev_np(got));
}

/* Each connection takes a descriptor; the usual soft limit (1,024) is far below what one process
 * serves, and the hard one is what the administrator allows. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections, then: accept() waits */
    }
}

static int run_start(const struct args *a)
{
    struct run r;
    sigset_t stop;
    int status = STATUS_OK;

    block_signals(&stop);
    raise_file_limit();
    enum err e = run_open(&r, a);
    if (e == OK)
        e = open_store(&r);
    if (e == OK)
        e = derive(&r);
    if (e == OK)
        e = open_api(&r);
    if (e == OK)
        e = open_server(&r);
    if (e == OK) {
        print_started(&r);
        wait_for_stop(&stop);
    } else {
        status = failed(e, &r.detail);
    }
    run_close(&r);
    return status;
}

/* ---- migrate --------------------------------------------------------------------------------- */

/* There is one format so far, and store_open refuses any other. */
static enum err migrate(struct run *r, const struct args *a)
{
    struct store_options o;
    struct stat st;
    enum err e = store_options_load(&o, r->settings, &r->detail);
    if (e != OK)
        return e;
    if (!o.dir) {
        puts("memory: nothing to migrate");
        return OK;
    }
    if (a->dry_run && stat(o.dir, &st) != 0 && errno == ENOENT) {
        printf("%s: not there yet, kinto start would make it\n", o.dir);
        return OK;
    }
    e = store_open(&r->store, &o, &r->opened, &r->detail);
    if (e == OK)
        printf("%s: the format is current, nothing to migrate\n", o.dir);
    return e;
}

static int run_migrate(const struct args *a)
{
    struct run r;
    enum err e = run_open(&r, a);
    if (e == OK)
        e = migrate(&r, a);
    int status = e == OK ? STATUS_OK : failed(e, &r.detail);
    run_close(&r);
    return status;
}
