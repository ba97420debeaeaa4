/*
 * kinto.c - main(): the words of the command line, and which function is behind each of them. It knows the
 * commands (cli/) and contains no logic; only this file exits.
 *
 *     main()            the word behind "kinto" is a row of commands[], the rest is read by options[]
 *     run_command()     INI -> settings -> checks -> what the command does (cli/commands.c; start: cli/serve.c)
 *
 * Exit status: 0, 1 failure, 2 usage.
 */
#include "base/fault.h"
#include "cli/cli.h"
#include "process/process.h"
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
    {"init", INIT,
     "[--ini FILE] [--backend engine|memory] [--host HOST] [--tls-self-signed [NAME...]]",
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
    {"--tls-self-signed", NULL, NULL, offsetof(struct cli_args, self_signed), INIT,
     "make a certificate, too: for this machine, and NAME... of hosts"},
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
    {"NAME...", NULL, NULL, offsetof(struct cli_args, operands), INIT, NULL},
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
    process_begin();
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

/* Blocked before any thread is made, so that all inherit it; commands look for them (cli_signals). */
static void block_signals(void)
{
    sigset_t awaited = cli_signals();
    CHECK(pthread_sigmask(SIG_BLOCK, &awaited, NULL) == 0);
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

/* ---- commands --------------------------------------------------------------------------------- */

static int run_init(const struct cli_args *a)
{
    struct err_detail d = {0};
    enum err e = cli_command_init(a, stdin, stdout, &d);
    if (e == ERR_SYNTAX)
        return usage_error(d.text, "");
    return e == OK ? STATUS_OK : failed(e, &d);
}

static int run_command(const struct cli_args *a, enum err (*command)(struct cli_run *r))
{
    struct cli_run r = {.args = a, .in = stdin, .out = stdout, .err = stderr};
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
    if (a->operands.n != 1)
        return usage_error("exactly one directory is needed", operand);
    block_signals();
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

static int run_start(const struct cli_args *a)
{
    block_signals();
    raise_file_limit();
    return run_command(a, cli_command_start);
}
