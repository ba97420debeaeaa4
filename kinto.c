/*
 * kinto.c - main(): the program's life. It knows every room and contains no logic; only this file
 * prints on its own and exits.
 *
 *     main()            the word behind "kinto" is a row of commands[], the rest is read by options[]
 *     run_command()     INI -> settings -> checks -> what the command does (cli/commands.c)
 *     run_start()       INI -> settings -> checks -> store -> secret -> API, plugins -> server
 *                       -> (wait for a signal) -> stop
 *
 * What start makes in that order is released in reverse. Nothing listens before everything stands, so
 * that whoever can connect is served.
 *
 * Exit status: 0, 1 failure, 2 usage.
 */
#include "api/api.h"
#include "base/fault.h"
#include "cli/cli.h"
#include "http/http.h"
#include "plugins/plugins.h"
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>

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

static int report(const struct cli_run *r, enum err e)
{
    if (e != OK)
        return failed(e, &r->detail);
    return r->unsound ? STATUS_FAILED : STATUS_OK;
}

/* ---- the process ----------------------------------------------------------------------------- */

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

/* ---- commands, but start --------------------------------------------------------------------- */

static int run_init(const struct cli_args *a)
{
    struct err_detail d = {0};
    enum err e = cli_command_init(a, stdin, stdout, &d);
    if (e == ERR_SYNTAX)
        return usage_error(d.text, "");
    return e == OK ? STATUS_OK : failed(e, &d);
}

static struct cli_run new_run(const struct cli_args *a)
{
    return (struct cli_run){.args = a, .in = stdin, .out = stdout, .err = stderr};
}

static int run_command(const struct cli_args *a, enum err (*command)(struct cli_run *r))
{
    struct cli_run r = new_run(a);
    enum err e = cli_run_open(&r);
    if (e == OK)
        e = command(&r);
    int status = report(&r, e);
    cli_run_close(&r);
    return status;
}

static int run_migrate(const struct cli_args *a)
{
    return run_command(a, cli_command_migrate);
}

static int run_create_user(const struct cli_args *a)
{
    return run_command(a, cli_command_create_user);
}

static int run_compact(const struct cli_args *a)
{
    return run_command(a, cli_command_compact);
}

static int run_purge(const struct cli_args *a)
{
    struct err_detail d = {0};
    struct cli_purge p;
    if (cli_purge_read(&a->operands, &p, &d) != OK)
        return usage_error(d.text, "");
    return run_command(a, cli_command_purge);
}

static int run_check(const struct cli_args *a)
{
    if (a->yes && !a->repair)
        return usage_error("--yes is of use with --repair only", "");
    return run_command(a, cli_command_check);
}

static int run_copy(const struct cli_args *a, const char *operand,
                    enum err (*command)(struct cli_run *r))
{
    sigset_t stop;
    if (a->operands.n != 1)
        return usage_error("exactly one directory is needed", operand);
    block_signals(&stop); /* cli_copy_run looks for them */
    raise_file_limit();
    return run_command(a, command);
}

static int run_backup(const struct cli_args *a)
{
    return run_copy(a, "DEST", cli_command_backup);
}

static int run_restore(const struct cli_args *a)
{
    return run_copy(a, "SRC", cli_command_restore);
}

/* ---- start ----------------------------------------------------------------------------------- */

struct server {
    struct cli_run run;
    struct api *api;
    struct http_server *server;
    struct http_listen listen[HTTP_MAX_LISTEN];
    unsigned nlisten;
};

static enum err open_api(struct server *s)
{
    size_t npolicies;
    const struct auth_policy *const *policies = plugins_policies(&npolicies);
    const struct api_options o = {
        .store = s->run.store,
        .settings = s->run.settings,
        .config_path = str_from(s->run.ini.path),
        .config_sha256 = s->run.ini.path ? str_from(s->run.ini.sha256) : STR_NONE,
        .config_modified_us = s->run.ini.modified_us,
        .version = STR(KINTO_VERSION),
        .policies = policies,
        .npolicies = npolicies,
    };
    enum err e = api_new(&s->api, &o, &s->run.detail);
    if (e == OK)
        e = plugins_load(s->api, s->run.settings, &s->run.detail);
    if (e == OK)
        e = api_describe(s->api);
    return e == OK ? api_start(s->api, &s->run.detail) : e;
}

static enum err open_server(struct server *s)
{
    struct http_options o = {.listen = s->listen, .app = api_http_app(s->api)};
    http_options_load(&o, s->run.settings);
    enum err e =
        http_listen_load(s->run.settings, &s->run.arena, s->listen, &s->nlisten, &s->run.detail);
    if (e != OK)
        return e;
    o.nlisten = s->nlisten;
    return http_server_start(&s->server, &o, &s->run.detail);
}

static void print_address(const struct server *s, unsigned i)
{
    const struct http_listen *l = &s->listen[i];
    const char *scheme = l->tls ? "https" : "http";
    if (str_starts(l->host, STR("unix:"))) {
        printf(STR_FMT, STR_ARG(l->host));
        return;
    }
    bool v6 = str_find(l->host, ':') != STR_NPOS;
    printf("%s://%s" STR_FMT "%s:%u/v1/", scheme, v6 ? "[" : "", STR_ARG(l->host), v6 ? "]" : "",
           (unsigned)http_server_port(s->server, i));
}

/* One line, once connections are accepted: scripts read the URL from it. */
static void print_started(const struct server *s)
{
    printf("kinto " KINTO_VERSION " at ");
    for (unsigned i = 0; i < s->nlisten; i++) {
        if (i > 0)
            printf(" and ");
        print_address(s, i);
    }
    printf(" data=%s recovered %" PRIu64 " transactions in %" PRIu64 " ms (torn: %" PRIu64
           " bytes)\n",
           s->run.data_dir ? s->run.data_dir : "memory", s->run.opened.txns, s->run.opened.ms,
           s->run.opened.torn_bytes);
    fflush(stdout);
}

static void wait_for_stop(const sigset_t *stop)
{
    int got = 0;
    CHECK(sigwait(stop, &got) == 0);
    log_event(LOG_INFO, "stopping", "signal=%s", sigabbrev_np(got));
}

static enum err start(struct server *s)
{
    enum err e = cli_run_open(&s->run);
    if (e == OK)
        e = cli_run_open_store(&s->run);
    if (e == OK)
        e = cli_run_derive(&s->run);
    if (e == OK)
        e = open_api(s);
    return e == OK ? open_server(s) : e;
}

static void stop_server(struct server *s)
{
    if (s->api)
        api_stop(s->api);
    if (s->server)
        http_server_stop(s->server);
    if (s->api)
        api_free(s->api);
    cli_run_close(&s->run);
}

static int run_start(const struct cli_args *a)
{
    struct server s = {.run = new_run(a)};
    sigset_t stop;

    block_signals(&stop);
    raise_file_limit();
    enum err e = start(&s);
    if (e == OK) {
        print_started(&s);
        wait_for_stop(&stop);
    }
    int status = report(&s.run, e);
    stop_server(&s);
    return status;
}
