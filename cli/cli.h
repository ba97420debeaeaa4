/*
 * cli/cli.h - what stands between main() and the rooms: the words of the command line, the settings
 * that are in force, and what each command does.
 *
 * Nothing here prints or exits on its own: errors go into the err_detail, text for the user to the
 * FILE that the caller names. kinto.c owns the tables (commands, options). One thread,
 * which becomes the one that waits for signals when a server runs.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/ini.h"
#include "base/log.h"
#include "base/settings.h"
#include "engine/engine.h"
#include "store/store.h"
#include <signal.h>
#include <stdio.h>

/* ---- the command line: args.c ---------------------------------------------------------------- */

#define CLI_MAX_WORDS 16

/* What was given; texts borrow from argv. NULL and false: not given. */
struct cli_args {
    const char *ini, *port, *host, *data, *backend, *cache_backend, *since, *username, *password;
    bool memory, dry_run, repair, yes, quiet, verbose, help, self_signed;
    struct cli_operands { /* the words that belong to no option, in their order */
        const char *at[CLI_MAX_WORDS];
        size_t n;
    } operands;
};

struct cli_command {
    const char *name;
    unsigned bit;
    const char *usage, *help;
    int (*run)(const struct cli_args *a);
};

/* A row whose name does not begin with "-" stands for operands: commands that it does not name take
 * none. How many there must be the command knows, and its usage says. */
struct cli_option {
    const char *name, *other, *argument; /* argument NULL: a switch */
    size_t offset;                       /* in struct cli_args: const char *, bool, operands */
    unsigned commands;                   /* bits of those that take it */
    const char *help;
};

struct cli_words {
    const struct cli_command *commands;
    size_t ncommands;
    const struct cli_option *options;
    size_t noptions;
};

/* One screen: each command, each option and what counts without it. */
void cli_print_help(const struct cli_words *w, FILE *to);
/* NULL: there is no such command. */
const struct cli_command *cli_find_command(const struct cli_words *w, const char *name);
/* Reads the words behind the command ("--name value", "--name=value", switches, operands; a negative number
 * is one, too) up to a NULL into *out, which begins as zeros. SYNTAX: the detail says which word is
 * wrong. */
MUST_CHECK enum err cli_parse(const struct cli_words *w, const struct cli_command *c, char **argv,
                              struct cli_args *out, struct err_detail *d);

/* ---- the INI file in force: ini.c ------------------------------------------------------------ */

struct cli_ini {
    const char *path; /* NULL: the built-in settings; else borrowed from argv or the environment */
    struct ini ini;
    bool open;                            /* ini is there */
    char sha256[2 * HASH_SHA256_LEN + 1]; /* of the file's bytes, in hex; "" without a file */
    int64_t modified_us;                  /* since 1970; 0 without a file */
};

/* --ini, else $KINTO_INI, else NULL. */
const char *cli_ini_named(const struct cli_args *a);
/*
 * Finds the file (the one named, else config/kinto.ini, else kinto.ini; with --memory the named one
 * only, so that a test suite means the same in every folder) and reads it. Without a file built-in
 * settings stand in, so that a first try needs none. On failure there is nothing to close, but
 * cli_ini_close() does no harm. *in must not be moved.
 */
MUST_CHECK enum err cli_ini_open(struct cli_ini *in, const struct cli_args *a,
                                 struct err_detail *d);
void cli_ini_close(struct cli_ini *in);
/* -q and -v, else the level of [logger_kinto], else of [logger_root], else INFO. */
enum log_level cli_log_level(const struct ini *ini, const struct cli_args *a);

/* ---- settings and store: run.c --------------------------------------------------------------- */

#define CLI_MAX_OVERRIDES 8

/* A command on its way. The caller fills the first part, and the rest with zeros. */
struct cli_run {
    const struct cli_args *args;
    FILE *in, *out, *err; /* the user: answers, results, progress */

    struct err_detail detail; /* of what failed */
    bool unsound;             /* what was checked is not right, and the user was told */
    struct arena arena;       /* what lives as long as the run */
    struct cli_ini ini;
    struct settings *settings;
    uint64_t memory_bytes; /* that the process may use (store_options, http_options) */
    bool as_is;            /* the store is opened to be looked at (store_options) */
    const char *data_dir;  /* of the open store; NULL: memory */
    struct store *store;
    struct store_opened opened;
    struct setting_override over[CLI_MAX_OVERRIDES]; /* what is stronger than the INI */
    size_t nover;
};

/* INI, settings, checks. Any error has its detail; cli_run_close() whatever came of it. *r must not be
 * moved. */
MUST_CHECK enum err cli_run_open(struct cli_run *r);
/* Then the store on the data that the settings name. */
MUST_CHECK enum err cli_run_open_store(struct cli_run *r);
/* The same in a directory that is theirs by another path. */
MUST_CHECK enum err cli_run_open_store_in(struct cli_run *r, const char *dir);
/* Behind a compaction: closes the store and opens it with a new index file (engine_options.new_index). */
MUST_CHECK enum err cli_run_renew_index(struct cli_run *r);
/* Then the settings that follow from others, or from what is in the data directory: loaded anew. */
MUST_CHECK enum err cli_run_derive(struct cli_run *r);
void cli_run_close(struct cli_run *r);

/* ---- the commands: commands.c ---------------------------------------------------------------- */

/* What stands in kinto.c's table, on an open run. Errors have a detail, or text enough in err_text(). */
MUST_CHECK enum err cli_command_migrate(struct cli_run *r);
MUST_CHECK enum err cli_command_create_user(struct cli_run *r);
MUST_CHECK enum err cli_command_purge(struct cli_run *r);
MUST_CHECK enum err cli_command_compact(struct cli_run *r);
MUST_CHECK enum err cli_command_check(struct cli_run *r); /* sets unsound */
/* One operand, which the caller has checked; signals as cli_copy_run has them. */
MUST_CHECK enum err cli_command_backup(struct cli_run *r);
MUST_CHECK enum err cli_command_restore(struct cli_run *r);
/*
 * Serves until SIGTERM or SIGINT; the caller has blocked cli_signals(). It tells on r->out where, in one
 * line, once connections are accepted: scripts read the URL from it.
 */
MUST_CHECK enum err cli_command_start(struct cli_run *r);
/* SIGTERM, SIGINT, SIGHUP: what start, backup and restore wait, or look, for. */
sigset_t cli_signals(void);
/* kinto init has no run: there need not be any settings yet. EXISTS: the file; SYNTAX: a backend. */
MUST_CHECK enum err cli_command_init(const struct cli_args *a, FILE *in, FILE *out,
                                     struct err_detail *d);

/* ---- kinto init: init.c ---------------------------------------------------------------------- */

/* Asks where the data shall live until there is an answer; the end of input takes the default.
 * "engine" or "memory". */
const char *cli_ask_backend(FILE *in, FILE *out);
/* What kinto.storage_backend is called that --backend means; NULL: there is none of that name. */
const char *cli_backend_setting(const char *name);
/* Writes the commented kinto.ini of the source tree, with secrets of its own, to a new file for its
 * owner only, and makes the directories above it. host NULL: as it stands there. certificate: it names
 * the files of cli_certificate_write(). EXISTS: there is such a file; it is not touched. */
MUST_CHECK enum err cli_init_write(const char *path, const char *backend_setting, const char *host,
                                   bool certificate, struct err_detail *d);

/* ---- kinto purge-deleted: purge.c ------------------------------------------------------------ */

struct cli_purge {
    str resources[CLI_MAX_WORDS];
    size_t n;
    uint64_t keep; /* tombstones of each list */
};
/* Of the operands RESOURCE... MAX_RETAINED. SYNTAX: the detail says what is missing or wrong. */
MUST_CHECK enum err cli_purge_read(const struct cli_operands *words, struct cli_purge *out,
                                   struct err_detail *d);
/* Purges; *count is what was deleted, also when it failed in the middle. */
MUST_CHECK enum err cli_purge_run(struct store *s, const struct cli_purge *p, uint64_t *count,
                                  struct err_detail *d);
/* ---- kinto create-user: user.c --------------------------------------------------------------- */

#define CLI_MAX_WORD_BYTES 256
struct cli_user {
    char name[CLI_MAX_WORD_BYTES], password[CLI_MAX_WORD_BYTES];
};
/* Of the options; what is missing is asked for, the name until it is valid, the password (not shown
 * when `in` is a terminal) until it was typed twice. SYNTAX; CLOSED: the input ended. */
MUST_CHECK enum err cli_user_read(const struct cli_args *a, FILE *in, FILE *out,
                                  struct cli_user *user, struct err_detail *d);
/* UNSUPPORTED: a server with these settings has no new users. */
MUST_CHECK enum err cli_user_allowed(const struct settings *s, struct err_detail *d);
/* Makes the account, or gives the one that is there the password: accounts_put(). */
MUST_CHECK enum err cli_user_create(struct store *s, const struct settings *settings,
                                    const struct cli_user *user, struct err_detail *d);

/* ---- kinto backup, kinto restore: backup.c ---------------------------------------------------- */

struct cli_copy {
    const char *from, *to; /* data directories; `to` new or empty */
    const char *to_name;   /* what messages call `to`; NULL: by itself */
    const char *since;     /* an earlier backup; NULL */
    FILE *progress;        /* a terminal; NULL: none */
};
/* Copies the store and the secret, as engine_backup, whose errors these are. SIGINT, SIGTERM and
 * SIGHUP, which the caller has blocked, end it: CLOSED. */
MUST_CHECK enum err cli_copy_run(const struct cli_copy *c, struct engine_backup_result *out,
                                 struct err_detail *d);

/* ---- kinto check: check.c -------------------------------------------------------------------- */

struct cli_check {
    const char *dir;
    bool repair, yes; /* yes: without asking */
    bool quiet;       /* problems only */
    FILE *out;
    FILE *in;       /* a terminal to ask on; NULL: there is none */
    FILE *progress; /* a terminal; NULL: none */
};
/* Checks, or repairs; *sound: the log and the index are right now. Errors: as engine_check and
 * engine_repair; AGAIN: a repair was not agreed to. */
MUST_CHECK enum err cli_check_run(const struct cli_check *c, bool *sound, struct err_detail *d);
/* Then what the store keeps in them, by store_check and, with c->repair, store_repair. */
MUST_CHECK enum err cli_check_store(const struct cli_check *c, struct store *s, bool *sound,
                                    struct err_detail *d);

/* ---- the secret of user ids: secret.c -------------------------------------------------------- */

/*
 * The secret that the data directory keeps in its file "secret", made at the first call; with dir
 * NULL (memory) a new one each time. The caller holds the lock of the directory (an open store), so
 * that nobody else makes one at the same time. The text is the arena's, and NUL-terminated.
 * CORRUPT: the file is empty; a new secret would change every user's id unasked.
 */
MUST_CHECK enum err cli_secret_keep(struct arena *a, const char *dir, str *out,
                                    struct err_detail *d);

#endif
