/*
 * cli/commands.c - the commands that work on the data of a server, most of them of one that is stopped.
 *
 * Run by root, those that write to a data directory become its owner first: a file of root's in it would
 * stop the server. A backup stays root's, where the server cannot get at it, and a restore reads what is
 * root's: both fill a directory as root, which is held meanwhile, as its name may be somebody's to bend.
 *
 * Each is handed an open struct cli_run (run.c) and does what its row in kinto.c says; what it has done
 * it tells on run->out, unless it shall be quiet. Data that nobody keeps (the memory backend) cannot be
 * worked on: whoever wrote the wrong settings into a script must hear of it.
 */
#include "cli/private.h"
#include "process/process.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

static FILE *if_terminal(FILE *f)
{
    return isatty(fileno(f)) ? f : NULL;
}

/* Where progress is drawn: NULL, nowhere. */
static FILE *progress_of(const struct cli_run *r)
{
    return r->args->quiet ? NULL : if_terminal(r->err);
}

/* The directory of the data. `what`: the verb. */
static enum err want_data(struct cli_run *r, const char *what, const char **dir)
{
    struct store_options o;
    enum err e = store_options_load(&o, r->settings, &r->detail);
    if (e == OK && !o.dir)
        e = err_set(&r->detail, ERR_UNSUPPORTED, 0, "memory: nothing to %s", what);
    if (e == OK)
        *dir = o.dir;
    return e;
}

static enum err open_store_as_owner(struct cli_run *r, const char *dir)
{
    enum err e = process_become_owner(dir, &r->detail);
    return e == OK ? cli_run_open_store(r) : e;
}

/* A directory that is not there is a slip of the pen, and not made. */
static enum err open_what_is_there(struct cli_run *r, const char *what)
{
    const char *dir;
    struct stat st;
    enum err e = want_data(r, what, &dir);
    if (e != OK)
        return e;
    if (stat(dir, &st) != 0)
        return err_set(&r->detail, err_from_errno(errno), errno, "%s", dir);
    return open_store_as_owner(r, dir);
}

/* There is one format so far, and store_open refuses any other. */
enum err cli_command_migrate(struct cli_run *r)
{
    struct store_options o;
    struct stat st;
    enum err e = store_options_load(&o, r->settings, &r->detail);
    if (e != OK)
        return e;
    if (!o.dir) {
        fputs("memory: nothing to migrate\n", r->out);
        return OK;
    }
    if (r->args->dry_run && stat(o.dir, &st) != 0 && errno == ENOENT) {
        fprintf(r->out, "%s: not there yet, kinto start would make it\n", o.dir);
        return OK;
    }
    e = open_store_as_owner(r, o.dir);
    if (e == OK)
        fprintf(r->out, "%s: the format is current, nothing to migrate\n", r->data_dir);
    return e;
}

/* ---- what is there --------------------------------------------------------------------------- */

enum err cli_command_purge(struct cli_run *r)
{
    struct cli_purge p;
    uint64_t count;
    enum err e = cli_purge_read(&r->args->operands, &p, &r->detail);
    if (e == OK)
        e = open_what_is_there(r, "purge");
    if (e == OK)
        e = cli_purge_run(r->store, &p, &count, &r->detail);
    if (e == OK && !r->args->quiet)
        fprintf(r->out, "%s: tombstones deleted: %" PRIu64 "\n", r->data_dir, count);
    return e;
}

enum err cli_command_compact(struct cli_run *r)
{
    uint64_t before = 0, after = 0;
    enum err e = open_what_is_there(r, "compact");
    if (e == OK)
        e = store_compact(r->store, &before, &after);
    if (e == OK)
        e = cli_run_renew_index(r); /* nothing of what was deleted is to be left in it either */
    if (e == OK && !r->args->quiet)
        fprintf(r->out, "%s: the log had %" PRIu64 " bytes and has %" PRIu64 "\n", r->data_dir,
                before, after);
    return e;
}

enum err cli_command_check(struct cli_run *r)
{
    const char *dir;
    enum err e = want_data(r, "check", &dir);
    if (e != OK)
        return e;
    const struct cli_check c = {
        .dir = dir,
        .repair = r->args->repair,
        .yes = r->args->yes,
        .quiet = r->args->quiet,
        .out = r->out,
        .in = if_terminal(r->in),
        .progress = progress_of(r),
    };
    bool sound = true;
    r->as_is = true;
    e = process_become_owner(dir, &r->detail);
    if (e == OK)
        e = cli_check_run(&c, &sound, &r->detail);
    if (e == OK && sound)
        e = cli_run_open_store(r); /* log and index are right: now what the store keeps in them */
    if (e == OK && sound)
        e = cli_check_store(&c, r->store, &sound, &r->detail);
    r->unsound = !sound;
    return e;
}

/* ---- a user ---------------------------------------------------------------------------------- */

/* A new data directory is made: the first user of a server may well come before its first start. */
enum err cli_command_create_user(struct cli_run *r)
{
    struct cli_user user;
    const char *dir;
    enum err e = cli_user_allowed(r->settings, &r->detail);
    if (e == OK)
        e = want_data(r, "add a user to", &dir);
    if (e == OK)
        e = cli_user_read(r->args, r->in, r->out, &user, &r->detail);
    if (e == OK)
        e = open_store_as_owner(r, dir);
    if (e == OK)
        e = cli_user_create(r->store, r->settings, &user, &r->detail);
    if (e == OK && !r->args->quiet)
        fprintf(r->out, "%s: account of %s\n", r->data_dir, user.name);
    return e;
}

/* ---- backup and restore ---------------------------------------------------------------------- */

/* By the directory itself, which is held, and is called by its name. */
static enum err copy_held(struct cli_run *r, const struct cli_copy *c, const struct process_loan *l,
                          struct engine_backup_result *done)
{
    struct cli_copy held = *c;
    held.to = l->path;
    held.to_name = l->dir;
    return cli_copy_run(&held, done, &r->detail);
}

/* `e`: how it went so far. */
static enum err give_back(struct cli_run *r, struct process_loan *l, bool filled, enum err e)
{
    struct err_detail first = r->detail, why = {.text = ""};
    enum err back = process_give_back(l, filled, &why);
    if (back == OK)
        return e;
    if (e == OK)
        return err_set(&r->detail, back, 0, "%s", why.text);
    return err_set(&r->detail, e, 0, "%s; %s", first.text, why.text);
}

/* Root's backup stays root's, in whosoever's directory. */
static enum err backup_of_root(struct cli_run *r, const struct cli_copy *c,
                               struct engine_backup_result *done)
{
    struct process_loan loan;
    enum err e = process_hold(c->to, &loan, &r->detail);
    if (e != OK)
        return e;
    e = copy_held(r, c, &loan, done);
    return give_back(r, &loan, e == OK, e);
}

enum err cli_command_backup(struct cli_run *r)
{
    struct cli_copy c = {.since = r->args->since, .progress = progress_of(r)};
    struct engine_backup_result done = {0};
    enum err e = want_data(r, "back up", &c.from);
    c.to = r->args->operands.at[0];
    if (e == OK)
        e = geteuid() == 0 ? backup_of_root(r, &c, &done) : cli_copy_run(&c, &done, &r->detail);
    if (e == OK && !r->args->quiet)
        fprintf(r->out,
                "%s: backup of %s: %" PRIu64 " segments, %" PRIu64 " bytes copied, %" PRIu64
                " linked, up to transaction %" PRIu64 "\n",
                c.to, c.from, done.segments, done.bytes_copied, done.bytes_linked, done.version);
    return e;
}

/* Where root stays root, nothing is opened by a name that somebody else may bend. */
static enum err open_held(struct cli_run *r, const struct process_loan *l)
{
    enum err e = cli_run_open_store_in(r, l->path);
    if (e == OK) {
        store_close(r->store);
        r->store = NULL;
        return OK;
    }
    struct err_detail why = r->detail;
    return err_set(&r->detail, e, 0, "%s: was restored, and cannot be opened: %s", l->dir,
                   why.text);
}

/* The copy is opened once, so that the index is there when a server starts: in the directory of somebody
 * else as they, who may do with its name what they like. */
static enum err restore_of_root(struct cli_run *r, const struct cli_copy *c,
                                struct engine_backup_result *done)
{
    struct process_loan loan;
    enum err e = process_hold(c->to, &loan, &r->detail);
    if (e != OK)
        return e;
    e = process_take_over(&loan, &r->detail);
    if (e == OK)
        e = copy_held(r, c, &loan, done);
    bool filled = e == OK;
    if (filled && loan.uid == 0)
        e = open_held(r, &loan);
    e = give_back(r, &loan, filled, e);
    if (e != OK || loan.uid == 0)
        return e;
    e = process_become_uid(loan.uid, &r->detail);
    return e == OK ? cli_run_open_store(r) : e;
}

static enum err restore(struct cli_run *r, const struct cli_copy *c,
                        struct engine_backup_result *done)
{
    enum err e = cli_copy_run(c, done, &r->detail);
    return e == OK ? cli_run_open_store(r) : e;
}

enum err cli_command_restore(struct cli_run *r)
{
    struct cli_copy c = {.from = r->args->operands.at[0], .progress = progress_of(r)};
    struct engine_backup_result done = {0};
    enum err e = want_data(r, "restore to", &c.to);
    if (e == OK)
        e = geteuid() == 0 ? restore_of_root(r, &c, &done) : restore(r, &c, &done);
    if (e == OK && !r->args->quiet)
        fprintf(r->out,
                "%s: restored from %s: %" PRIu64 " segments, %" PRIu64
                " bytes, up to transaction %" PRIu64 "\n",
                c.to, c.from, done.segments, done.bytes_copied, done.version);
    return e;
}
