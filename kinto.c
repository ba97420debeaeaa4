/*
 * kinto.c - main(): the tables of subcommands and options, the settings, start and stop. It knows
 * every room and contains no logic (cli/ has what the command line needs); only this file prints
 * and exits.
 *
 * Where a setting comes from (the strongest first): command line, environment, INI file (or the
 * built-in one, see cli/ini.c), default.
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
#include "base/fault.h"
#include "base/settings.h"
#include "cli/cli.h"
#include "http/http.h"
#include "plugins/plugins.h"
#include "store/store.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STATUS_OK, STATUS_FAILED, STATUS_USAGE };

/* ---- the command line ------------------------------------------------------------------------ */

enum {
    INIT = 1,
    START = 2,
    MIGRATE = 4,
    VERSION = 8,
    PURGE = 16,
    BACKUP = 32,
    RESTORE = 64,
    CHECK = 128,
    COMPACT = 256,
    USER = 512,
    ALL = 1023
};

static int run_init(const struct cli_args *a);
static int run_start(const struct cli_args *a);
static int run_migrate(const struct cli_args *a);
static int run_purge(const struct cli_args *a);
static int run_backup(const struct cli_args *a);
static int run_restore(const struct cli_args *a);
static int run_check(const struct cli_args *a);
static int run_compact(const struct cli_args *a);
static int run_create_user(const struct cli_args *a);
static int run_version(const struct cli_args *a);

static const struct cli_command commands[] = {
    {"init", INIT, "[--ini FILE] [--backend engine|memory] [--host HOST]",
     "write a commented INI file with secrets of its own", run_init},
    {"start", START, "[--ini FILE] [--host HOST] [--port N] [--data DIR] [--memory] [-q|-v]",
     "serve until SIGTERM or SIGINT", run_start},
    {"migrate", MIGRATE, "[--ini FILE] [--data DIR] [--dry-run]",
     "bring the data directory to the format of this version", run_migrate},
    {"create-user", USER, "[--ini FILE] [--data DIR] [-u NAME] [-p WORD]",
     "make an account (kinto.plugins.accounts), or give it a new password", run_create_user},
    {"purge-deleted", PURGE, "[--ini FILE] [--data DIR] RESOURCE... MAX_RETAINED",
     "of each list of these resources (record, group ...) keep the newest tombstones", run_purge},
    {"backup", BACKUP, "[--ini FILE] [--data DIR] [--since PREV] DEST",
     "copy the data to a new directory, also while a server runs on it", run_backup},
    {"restore", RESTORE, "[--ini FILE] [--data DIR] SRC",
     "check a backup and copy it to the data directory, which must be new or empty", run_restore},
    {"check", CHECK, "[--ini FILE] [--data DIR] [--repair [--yes]]",
     "read all data of a server that is stopped, and say what is damaged", run_check},
    {"compact", COMPACT, "[--ini FILE] [--data DIR]",
     "give disk space back at once (a running server does it by and by)", run_compact},
    {"version", VERSION, "", "print the version", run_version},
};

static const struct cli_option options[] = {
    {"--ini", NULL, "FILE", offsetof(struct cli_args, ini), ALL,
     "settings [$KINTO_INI, config/kinto.ini, kinto.ini, none]"},
    {"--host", NULL, "HOST", offsetof(struct cli_args, host), INIT | START,
     "address to listen on [127.0.0.1]"},
    {"--port", NULL, "N", offsetof(struct cli_args, port), START,
     "port to listen on; 0: any free one [8888]"},
    {"--data", NULL, "DIR", offsetof(struct cli_args, data),
     START | MIGRATE | USER | PURGE | BACKUP | RESTORE | CHECK | COMPACT,
     "data directory [./kinto-data]"},
    {"--memory", NULL, NULL, offsetof(struct cli_args, memory), START,
     "keep nothing: for tests (--ini or $KINTO_INI, or built-in settings)"},
    {"--backend", NULL, "NAME", offsetof(struct cli_args, backend), INIT,
     "engine or memory [engine]"},
    {"--cache-backend", NULL, "NAME", offsetof(struct cli_args, cache_backend), INIT,
     "memory, the only one [memory]"},
    {"--dry-run", NULL, NULL, offsetof(struct cli_args, dry_run), MIGRATE,
     "say what would be done, and do not make a directory"},
    {"--username", "-u", "NAME", offsetof(struct cli_args, username), USER,
     "of the account [is asked for]"},
    {"--password", "-p", "WORD", offsetof(struct cli_args, password), USER,
     "of the account, for all to see who see the command [is asked for]"},
    {"--since", NULL, "PREV", offsetof(struct cli_args, since), BACKUP,
     "an earlier backup: what it has is linked [copy all]"},
    {"--repair", NULL, NULL, offsetof(struct cli_args, repair), CHECK,
     "put what is left in the place of what is damaged, which is kept"},
    {"--yes", NULL, NULL, offsetof(struct cli_args, yes), CHECK, "do not ask"},
    {"--quiet", "-q", NULL, offsetof(struct cli_args, quiet), ALL, "log warnings and errors only"},
    {"--debug", "-v", NULL, offsetof(struct cli_args, verbose), ALL, "log everything"},
    {"RESOURCE... MAX_RETAINED", NULL, NULL, offsetof(struct cli_args, operands), PURGE, NULL},
    {"DIR", NULL, NULL, offsetof(struct cli_args, operands), BACKUP | RESTORE, NULL},
    {"--help", "-h", NULL, offsetof(struct cli_args, help), ALL, "this page"},
};

static const struct cli_words words = {
    .commands = commands,
    .ncommands = ARRAY_LEN(commands),
    .options = options,
    .noptions = ARRAY_LEN(options),
};

static int usage_error(const char *what, const char *found)
{
    fprintf(stderr, "kinto: %s%s%s\nTry: kinto --help\n", what, *found ? ": " : "", found);
    return STATUS_USAGE;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct cli_command *c = cli_find_command(&words, name);
    struct cli_args args = {0};
    struct err_detail d = {0};
    bool help = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;

    fault_watch();
    if (!c && !help)
        return usage_error(*name ? "no such command" : "which command?", name);
    if (c && cli_parse(&words, c, argv + 2, &args, &d) != OK)
        return usage_error(d.text, "");
    if (help || args.help) {
        cli_print_help(&words, stdout);
        return STATUS_OK;
    }
    return c->run(&args);
}

static int run_version(const struct cli_args *a)
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

/* ---- init ------------------------------------------------------------------------------------ */

static int run_init(const struct cli_args *a)
{
    struct err_detail d = {0};
    const char *path = cli_ini_named(a);
    if (!path)
        path = "config/kinto.ini";
    if (access(path, F_OK) == 0)
        return failed(err_set(&d, ERR_EXISTS, 0, "%s already exists", path), &d);
    const char *name = a->backend;
    if (!name)
        name = isatty(STDIN_FILENO) ? cli_ask_backend(stdin, stdout) : "engine";
    const char *backend = cli_backend_setting(name);
    if (!backend)
        return usage_error("--backend is engine or memory, found", name);
    if (a->cache_backend && strcmp(a->cache_backend, "memory") != 0)
        return usage_error("--cache-backend is memory, found", a->cache_backend);
    enum err e = cli_init_write(path, backend, a->host, &d);
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

#define MAX_OVERRIDES 8

struct run {
    const struct cli_args *args;
    struct err_detail detail;
    struct arena arena; /* what lives as long as the run */
    struct cli_ini ini;
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

static void override(struct run *r, const char *key, const char *value)
{
    CHECK(r->nover < MAX_OVERRIDES);
    r->over[r->nover++] = (struct setting_override){key, value};
}

static void override_by_args(struct run *r)
{
    const struct cli_args *a = r->args;
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
    const struct ini *ini = &r->ini.ini;
    enum err e = settings_load(&fresh, all, ARRAY_LEN(all), ini, r->over, r->nover, &r->detail);
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

/* INI, settings, checks: what every command that works on data begins with. */
static enum err run_open(struct run *r, const struct cli_args *a)
{
    *r = (struct run){.args = a};
    arena_init(&r->arena, NULL, 0, NULL, MIB);
    enum err e = cli_ini_open(&r->ini, a, &r->detail);
    if (e != OK)
        return e;
    log_set_level(cli_log_level(&r->ini.ini, a));
    override_by_args(r);
    e = load(r);
    if (e != OK)
        return e;
    settings_log_without_effect(r->settings);
    return check(r);
}

static void run_close(struct run *r)
{
    if (r->api)
        api_stop(r->api);
    if (r->server)
        http_server_stop(r->server);
    if (r->api)
        api_free(r->api);
    if (r->store)
        store_close(r->store);
    settings_free(r->settings);
    cli_ini_close(&r->ini);
    arena_fini(&r->arena);
}

/* Settings that follow from others, or from what is in the data directory. */
static enum err derive(struct run *r)
{
    size_t before = r->nover;
    str secret;
    if (!settings_is_set(r->settings, "kinto.userid_hmac_secret")) {
        enum err e = cli_secret_keep(&r->arena, r->data_dir, &secret, &r->detail);
        if (e != OK)
            return e;
        override(r, "kinto.userid_hmac_secret", secret.p);
        if (!settings_is_set(r->settings, "kinto.default_bucket_hmac_secret"))
            override(r, "kinto.default_bucket_hmac_secret", secret.p);
    }
    str scheme = settings_str(r->settings, "kinto.server.url_scheme");
    if (scheme.n != 0 && !settings_is_set(r->settings, "kinto.http_scheme")) {
        scheme = arena_str(&r->arena, scheme);
        if (str_none(scheme))
            return ERR_NOMEM;
        override(r, "kinto.http_scheme", scheme.p);
    }
    if (r->nover == before)
        return OK;
    log_set_level(LOG_ERROR); /* the first load has warned */
    enum err e = load(r);
    log_set_level(cli_log_level(&r->ini.ini, r->args));
    return e;
}

/* ---- start ----------------------------------------------------------------------------------- */

static enum err open_store_as(struct run *r, bool new_index)
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
    o.new_index = new_index;
    return store_open(&r->store, &o, &r->opened, &r->detail);
}

static enum err open_store(struct run *r)
{
    return open_store_as(r, false);
}

static enum err open_api(struct run *r)
{
    size_t npolicies;
    const struct auth_policy *const *policies = plugins_policies(&npolicies);
    const struct api_options o = {
        .store = r->store,
        .settings = r->settings,
        .config_path = str_from(r->ini.path),
        .config_sha256 = r->ini.path ? str_from(r->ini.sha256) : STR_NONE,
        .config_modified_us = r->ini.modified_us,
        .version = STR(KINTO_VERSION),
        .policies = policies,
        .npolicies = npolicies,
    };
    enum err e = api_new(&r->api, &o, &r->detail);
    if (e == OK)
        e = plugins_load(r->api, r->settings, &r->detail);
    if (e == OK)
        e = api_describe(r->api);
    return e == OK ? api_start(r->api, &r->detail) : e;
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

static int run_start(const struct cli_args *a)
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
static enum err migrate(struct run *r, const struct cli_args *a)
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

static int run_migrate(const struct cli_args *a)
{
    struct run r;
    enum err e = run_open(&r, a);
    if (e == OK)
        e = migrate(&r, a);
    int status = e == OK ? STATUS_OK : failed(e, &r.detail);
    run_close(&r);
    return status;
}

/* ---- commands on the data of a server that is stopped ---------------------------------------- */

/* What is asked for cannot be done to data that nobody keeps: whoever wrote the wrong settings into a
 * script must hear of it. `what`: the verb. */
static enum err want_data(struct run *r, struct store_options *o, const char *what)
{
    enum err e = store_options_load(o, r->settings, &r->detail);
    if (e != OK || o->dir)
        return e;
    return err_set(&r->detail, ERR_UNSUPPORTED, 0, "memory: nothing to %s", what);
}

/* A directory that is not there is a slip of the pen, and not made. */
static enum err open_what_is_there(struct run *r, const char *what)
{
    struct store_options o;
    struct stat st;
    enum err e = want_data(r, &o, what);
    if (e != OK)
        return e;
    if (stat(o.dir, &st) != 0)
        return err_set(&r->detail, err_from_errno(errno), errno, "%s", o.dir);
    return open_store(r);
}

static enum err purge(struct run *r, const struct cli_purge *p)
{
    uint64_t count;
    enum err e = cli_purge_run(r->store, p, &count, &r->detail);
    if (e == OK && !r->args->quiet)
        printf("%s: tombstones deleted: %" PRIu64 "\n", r->data_dir, count);
    return e;
}

static int run_purge(const struct cli_args *a)
{
    struct run r;
    struct err_detail d = {0};
    struct cli_purge p;
    if (cli_purge_read(&a->operands, &p, &d) != OK)
        return usage_error(d.text, "");
    enum err e = run_open(&r, a);
    if (e == OK)
        e = open_what_is_there(&r, "purge");
    if (e == OK)
        e = purge(&r, &p);
    int status = e == OK ? STATUS_OK : failed(e, &r.detail);
    run_close(&r);
    return status;
}

/* A new data directory is made: the first user of a server may well come before its first start. */
static int run_create_user(const struct cli_args *a)
{
    struct run r;
    struct cli_user user;
    struct store_options o;
    enum err e = run_open(&r, a);
    if (e == OK)
        e = cli_user_allowed(r.settings, &r.detail);
    if (e == OK)
        e = want_data(&r, &o, "add a user to");
    if (e == OK)
        e = cli_user_read(a, stdin, stdout, &user, &r.detail);
    if (e == OK)
        e = open_store(&r);
    if (e == OK)
        e = cli_user_create(r.store, r.settings, &user, &r.detail);
    if (e == OK && !a->quiet)
        printf("%s: account of %s\n", r.data_dir, user.name);
    int status = e == OK ? STATUS_OK : failed(e, &r.detail);
    run_close(&r);
    return status;
}

/* ---- backup and restore ---------------------------------------------------------------------- */

static enum err copy_files(const struct run *r, struct cli_copy c, struct engine_backup_result *out,
                           struct err_detail *d)
{
    c.progress = isatty(STDERR_FILENO) && !r->args->quiet ? stderr : NULL;
    return cli_copy_run(&c, out, d);
}

static enum err backup(struct run *r, const char *data)
{
    const char *dest = r->args->operands.at[0];
    const struct cli_copy c = {.from = data, .to = dest, .since = r->args->since};
    struct engine_backup_result done;
    enum err e = copy_files(r, c, &done, &r->detail);
    if (e == OK && !r->args->quiet)
        printf("%s: backup of %s: %" PRIu64 " segments, %" PRIu64 " bytes copied, %" PRIu64
               " linked, up to transaction %" PRIu64 "\n",
               dest, data, done.segments, done.bytes_copied, done.bytes_linked, done.version);
    return e;
}

/* It is opened once, so that the index is there when a server starts. */
static enum err restore(struct run *r, const char *data)
{
    const char *from = r->args->operands.at[0];
    struct engine_backup_result done;
    enum err e = copy_files(r, (struct cli_copy){.from = from, .to = data}, &done, &r->detail);
    if (e == OK)
        e = open_store(r);
    if (e == OK && !r->args->quiet)
        printf("%s: restored from %s: %" PRIu64 " segments, %" PRIu64
               " bytes, up to transaction %" PRIu64 "\n",
               data, from, done.segments, done.bytes_copied, done.version);
    return e;
}

static int run_copy(const struct cli_args *a, const char *operand, const char *what,
                    enum err (*copy)(struct run *r, const char *data))
{
    struct run r;
    sigset_t stop;
    struct store_options o = {.dir = NULL};
    if (a->operands.n != 1)
        return usage_error("exactly one directory is needed", operand);
    block_signals(&stop); /* cli_copy_run looks for them */
    raise_file_limit();
    enum err e = run_open(&r, a);
    if (e == OK)
        e = want_data(&r, &o, what);
    if (e == OK)
        e = copy(&r, o.dir);
    int status = e == OK ? STATUS_OK : failed(e, &r.detail);
    run_close(&r);
    return status;
}

static int run_backup(const struct cli_args *a)
{
    return run_copy(a, "DEST", "back up", backup);
}

static int run_restore(const struct cli_args *a)
{
    return run_copy(a, "SRC", "restore to", restore);
}

/* ---- check ----------------------------------------------------------------------------------- */

static enum err check_data(struct run *r, const char *dir, bool *sound)
{
    const struct cli_args *a = r->args;
    const struct cli_check c = {
        .dir = dir,
        .repair = a->repair,
        .yes = a->yes,
        .quiet = a->quiet,
        .out = stdout,
        .in = isatty(STDIN_FILENO) ? stdin : NULL,
        .progress = isatty(STDERR_FILENO) && !a->quiet ? stderr : NULL,
    };
    enum err e = cli_check_run(&c, sound, &r->detail);
    if (e != OK || !*sound)
        return e;
    e = open_store(r); /* log and index are right: now what the store keeps in them */
    return e == OK ? cli_check_store(&c, r->store, sound, &r->detail) : e;
}

static int run_check(const struct cli_args *a)
{
    struct run r;
    struct store_options o = {.dir = NULL};
    bool sound = true;
    if (a->yes && !a->repair)
        return usage_error("--yes is of use with --repair only", "");
    enum err e = run_open(&r, a);
    if (e == OK)
        e = want_data(&r, &o, "check");
    if (e == OK)
        e = check_data(&r, o.dir, &sound);
    int status = e != OK ? failed(e, &r.detail) : sound ? STATUS_OK : STATUS_FAILED;
    run_close(&r);
    return status;
}

/* ---- compact --------------------------------------------------------------------------------- */

static enum err compact(struct run *r)
{
    uint64_t before = 0, after = 0;
    enum err e = store_compact(r->store, &before, &after);
    if (e == OK) { /* nothing of what was deleted is to be left in the index either */
        store_close(r->store);
        r->store = NULL;
        e = open_store_as(r, true);
    }
    if (e == OK && !r->args->quiet)
        printf("%s: the log had %" PRIu64 " bytes and has %" PRIu64 "\n", r->data_dir, before,
               after);
    return e;
}

static int run_compact(const struct cli_args *a)
{
    struct run r;
    enum err e = run_open(&r, a);
    if (e == OK)
        e = open_what_is_there(&r, "compact");
    if (e == OK)
        e = compact(&r);
    int status = e == OK ? STATUS_OK : failed(e, &r.detail);
    run_close(&r);
    return status;
}
