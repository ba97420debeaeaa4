/*
 * process/process.c - the order in which the process gives up its rights, and what it keeps.
 *
 * Who shall it be? Started by somebody else than root, it stays who it is. Started by root:
 *
 *     kinto.server.user says so          that user; `root`: root without any capability, with a warning
 *     the data directory is not root's   its owner, who alone can be sure to read it tomorrow
 *     nothing is kept (--memory)         nobody: there is nothing to own
 *     else                               nobody can know; it does not start, and says what to set
 *
 * A data directory of a third user is refused, not taken away.
 *
 * The files that it can reach are those of `fixed` and of the plan. What a user of the machine may read
 * below /etc it may read, too, since resolv.conf and certificates are replaced there by renaming; but not
 * as root, who may read what is secret there.
 */
#include "process/process.h"

#include "base/log.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_USER "kinto.server.user"
#define KEY_BOX  "kinto.server.sandbox"

static const struct setting_row rows[] = {
#define X(key, type, min, max, def, unit, allowed, help)                                           \
    {key, SETTING_##type, min, max, def, unit, allowed, help},
#include "process/settings.def"
#undef X
};

const struct setting_table process_settings = {rows, ARRAY_LEN(rows)};

/* O_PATH: to read and to write is EBADF, as before. */
static void keep_streams(void)
{
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = os()->open("/", O_PATH, 0);
    if (fd >= 0)
        os()->close(fd);
}

void process_begin(void)
{
    (void)umask(077);
    keep_streams();
}

void process_keep_memory(const struct settings *s)
{
    const struct rlimit none = {0, 0};
    bool dumps = SANITIZED || settings_bool(s, "kinto.server.core_dumps");
    if (!dumps)
        (void)setrlimit(RLIMIT_CORE, &none);      /* cannot fail: a limit may always be lowered */
    (void)prctl(PR_SET_DUMPABLE, dumps, 0, 0, 0); /* off by itself behind a change of the user */
}

/* ---- who? ------------------------------------------------------------------------------------ */

struct plan {
    const struct process_plan *given;
    const struct settings *settings;
    const char *data; /* NULL: nothing is kept */
    bool data_there;
    struct stat data_st;
    bool by_root;             /* has started it */
    struct process_user user; /* who we are in the end */
    struct err_detail *detail;
};

/* Does it become somebody else? */
static bool changes(const struct plan *p)
{
    return p->by_root && p->user.uid != 0;
}

static void look_at_data(struct plan *p)
{
    p->data_there = p->data && stat(p->data, &p->data_st) == 0;
}

static enum err refuse_root(struct plan *p)
{
    return err_set(
        p->detail, ERR_REFUSED, 0,
        "started by root, whom a server on the network must not be: set " KEY_USER
        " (or KINTO_SERVER_USER) to the user who shall own the data, or to root to stay it "
        "(doc/operations.md)");
}

static enum err choose_for_root(struct plan *p)
{
    enum err e = OK;
    p->by_root = true;
    if (settings_is_set(p->settings, KEY_USER)) {
        str origin = settings_origin(p->settings, KEY_USER);
        struct err_detail why = {.text = ""};
        e = process_user_find(settings_str(p->settings, KEY_USER), &p->user, &why);
        if (e == OK && p->user.uid != 0 && p->user.gid == 0)
            e = err_set(&why, ERR_UNSUPPORTED, 0, "group 0 is root's");
        return e == OK ? OK
                       : err_set(p->detail, e, 0, STR_FMT ": " KEY_USER ": %s", STR_ARG(origin),
                                 why.text);
    }
    if (p->data_there && p->data_st.st_uid != 0)
        return process_user_of(p->data_st.st_uid, &p->user, p->detail);
    if (p->data)
        return refuse_root(p);
    p->user = (struct process_user){.uid = PROCESS_NOBODY, .gid = PROCESS_NOBODY};
    return OK;
}

/* Not root: there is nobody else to become. Who counts on it hears that it did not happen. */
static void stay(struct plan *p)
{
    struct process_user named;
    struct err_detail d;
    p->user = (struct process_user){.uid = geteuid(), .gid = getegid()};
    if (!settings_is_set(p->settings, KEY_USER))
        return;
    if (process_user_find(settings_str(p->settings, KEY_USER), &named, &d) != OK ||
        named.uid != p->user.uid)
        log_event(LOG_WARN, "process_user", "user=%u reason=\"only root can become another one\"",
                  (unsigned)p->user.uid);
}

static enum err choose(struct plan *p)
{
    if (geteuid() == 0)
        return choose_for_root(p);
    stay(p);
    return OK;
}

/* ---- the data directory ---------------------------------------------------------------------- */

static enum err foreign_data(struct plan *p)
{
    return err_set(p->detail, ERR_REFUSED, 0,
                   "%s: belongs to user %u, and kinto would be user %u: set " KEY_USER
                   " to its owner, or chown it",
                   p->data, (unsigned)p->data_st.st_uid, (unsigned)p->user.uid);
}

static enum err make_data(struct plan *p)
{
    if (os()->mkdir(p->data, 0700) != 0 && errno != EEXIST)
        return err_set(p->detail, err_from_errno(errno), errno, "%s: cannot be created", p->data);
    return OK;
}

static enum err own_data(struct plan *p)
{
    if (!p->data)
        return OK;
    enum err e = p->data_there ? OK : make_data(p);
    if (e != OK || !p->by_root)
        return e;
    if (p->data_there && p->data_st.st_uid == p->user.uid)
        return OK;
    if (p->data_there && p->data_st.st_uid != 0)
        return foreign_data(p);
    if (p->user.uid == 0)
        return OK;
    e = process_hand_over(p->data, p->user.uid, p->user.gid, p->detail);
    if (e == OK && p->data_there)
        log_event(LOG_INFO, "data_handed_over", "dir=\"%s\" user=%u", p->data,
                  (unsigned)p->user.uid);
    return e;
}

/* As the one that we are now: a folder above it may be closed. And is it for us alone? */
static enum err reach_data(struct plan *p)
{
    struct stat st;
    if (!p->data)
        return OK;
    if (access(p->data, R_OK | W_OK | X_OK) != 0 || stat(p->data, &st) != 0)
        return err_set(
            p->detail, err_from_errno(errno), errno,
            "%s: user %u cannot use it (nor what lies in a folder that is closed to them)", p->data,
            (unsigned)p->user.uid);
    if (st.st_mode & 077)
        log_event(LOG_WARN, "data_open_to_others", "dir=\"%s\" mode=%o advice=\"chmod 700 %s\"",
                  p->data, (unsigned)st.st_mode & 0777, p->data);
    return OK;
}

/* ---- what it can reach ----------------------------------------------------------------------- */

struct paths {
    struct arena arena;
    struct sandbox_path *at;
    size_t n, max;
    bool failed; /* out of memory */
};

/* Of the C library and the kernel; what rooms read is in the plan. */
static const char *const fixed[] = {
    "/etc/localtime",
    "/dev/urandom",
    "/dev/null",
    "/sys/devices/system/cpu",
    "/proc/self",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
};

static bool make_room(struct paths *p)
{
    size_t bytes = p->max * sizeof *p->at, more = bytes > 0 ? 2 * bytes : KIB;
    struct sandbox_path *at = arena_extend(&p->arena, p->at, bytes, more);
    if (!at)
        return false;
    p->at = at;
    p->max = more / sizeof *at;
    return true;
}

/* path NULL: there was no memory for it. */
static void add(struct paths *p, const char *path, enum sandbox_access access)
{
    if (!path || (p->n == p->max && !make_room(p)))
        p->failed = true;
    else
        p->at[p->n++] = (struct sandbox_path){path, access};
}

static bool is_top(const char *folder)
{
    struct stat st, top;
    return stat(folder, &st) == 0 && stat("/", &top) == 0 && st.st_dev == top.st_dev &&
           st.st_ino == top.st_ino;
}

/* The folder of a file, so that what is put there in its place is reached. But with "/" all would be: of
 * that, it is the file alone, as it is now. */
static void add_folder(struct paths *p, const char *path, enum sandbox_access access)
{
    const char *folder = path ? arena_cstr(&p->arena, str_folder(str_from(path))) : NULL;
    if (!folder || !is_top(folder)) {
        add(p, folder, access);
        return;
    }
    log_event(LOG_WARN, "sandbox_file_in_top",
              "path=\"%s\" reason=\"it cannot be replaced or removed while kinto runs\" "
              "advice=\"put it into a folder of its own\"",
              path);
    add(p, path, access);
}

/* The folder of what a path leads to in the end. */
static void add_target(struct paths *p, const char *path)
{
    char target[PATH_MAX];
    if (realpath(path, target))
        add_folder(p, arena_cstr(&p->arena, str_from(target)), SANDBOX_READ);
}

static bool is_link_to_file(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) == 0 &&
           S_ISREG(st.st_mode);
}

static void add_linked(struct paths *p, const char *path)
{
    if (is_link_to_file(path))
        add_target(p, path);
}

static void add_used(struct paths *p, const struct process_path *w)
{
    switch (w->use) {
    case PROCESS_LINKED:
        add_linked(p, w->path);
        add(p, w->path, SANDBOX_READ);
        break;
    case PROCESS_READ:
        add(p, w->path, SANDBOX_READ);
        break;
    case PROCESS_REPLACED:
        add_linked(p, w->path);
        add_folder(p, w->path, SANDBOX_READ);
        break;
    case PROCESS_REMOVED:
        add_folder(p, w->path, SANDBOX_REMOVE);
        break;
    }
}

static void collect(struct paths *p, const struct plan *plan)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        add(p, fixed[i], SANDBOX_READ);
    if (plan->user.uid != 0)
        add(p, "/etc", SANDBOX_READ);
    if (plan->data)
        add(p, plan->data, SANDBOX_WRITE);
    for (size_t i = 0; i < plan->given->npaths; i++)
        add_used(p, &plan->given->paths[i]);
}

/* The kernel keeps a rule with the inode, and forgets those of /proc that nobody holds: this descriptor is
 * kept for the life of the process. */
static void hold_proc(void)
{
    static int proc = -1;
    if (proc < 0)
        proc = os()->open("/proc/self", O_PATH | O_DIRECTORY, 0);
}

/* ---- the sandbox ----------------------------------------------------------------------------- */

static enum err lock_files(const struct plan *plan, int *abi)
{
    struct paths p = {.n = 0};
    arena_init(&p.arena, NULL, 0, NULL, MIB);
    collect(&p, plan);
    enum err e = p.failed ? err_set(plan->detail, ERR_NOMEM, 0, "sandbox: %s", err_text(ERR_NOMEM))
                          : sandbox_files(p.at, p.n, abi, plan->detail);
    arena_fini(&p.arena);
    if (e == OK)
        hold_proc();
    return e;
}

static enum err lacking(const struct plan *p, const char *what)
{
    return err_set(p->detail, ERR_UNSUPPORTED, 0,
                   KEY_BOX " is on, and this kernel has no %s: update it, or say auto", what);
}

static enum err lock_in(const struct plan *p)
{
    str mode = settings_str(p->settings, KEY_BOX);
    bool must = str_eq(mode, STR("on")), off = str_eq(mode, STR("off"));
    struct err_detail *d = p->detail;
    struct err_detail why = {.text = ""};
    int abi = 0;

    if (SANITIZED && must)
        return err_set(d, ERR_UNSUPPORTED, 0, KEY_BOX " is on, and sanitizers cannot be locked in");
    if (SANITIZED || off) {
        log_event(off ? LOG_WARN : LOG_INFO, "sandbox", "landlock=off seccomp=off");
        return OK;
    }
    enum err e = lock_files(p, &abi);
    if (e == OK && abi == 0 && must)
        e = lacking(p, "Landlock (Linux 5.19 with CONFIG_SECURITY_LANDLOCK)");
    if (e != OK)
        return e;
    e = sandbox_calls(&why);
    bool calls = e == OK;
    if (e == ERR_UNSUPPORTED)
        e = must ? lacking(p, "seccomp filters") : OK;
    else if (e != OK)
        *d = why;
    if (e == OK)
        log_event(abi == 0 || !calls ? LOG_WARN : LOG_INFO, "sandbox", "landlock=%d seccomp=%s",
                  abi, calls ? "on" : "none");
    return e;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum err become(struct plan *p)
{
    enum err e = process_become(changes(p) ? &p->user : NULL, p->detail);
    if (e == OK && p->user.uid == 0)
        log_event(LOG_WARN, "process_user",
                  "user=0 reason=\"" KEY_USER " keeps root; its rights are "
                  "given up, its files are still its own\"");
    else if (e == OK && changes(p))
        log_event(LOG_INFO, "process_user", "user=%u group=%u", (unsigned)p->user.uid,
                  (unsigned)p->user.gid);
    return e;
}

static enum err give(const struct plan *p)
{
    if (!changes(p) || !p->given->give)
        return OK;
    return p->given->give(p->given->arg, p->user.uid, p->user.gid, p->detail);
}

enum err process_confine(const struct process_plan *plan, struct err_detail *d)
{
    struct plan p = {.given = plan, .settings = plan->settings, .data = plan->data, .detail = d};
    look_at_data(&p);
    enum err e = choose(&p);
    if (e == OK)
        e = own_data(&p);
    if (e == OK)
        e = give(&p);
    if (e == OK)
        e = become(&p);
    if (e == OK)
        e = reach_data(&p);
    if (e != OK)
        return e;
    process_keep_memory(p.settings); /* becoming somebody else has its own idea of it */
    return lock_in(&p);
}
