/*
 * process/become.c - to be somebody else, for good.
 *
 * getpwnam() would load NSS modules at run time, which a static binary cannot: so /etc/passwd and
 * /etc/group are read here. Users of LDAP and the like are named by their numbers.
 *
 * The order in process_become() is the one that works: groups and capabilities of the bounding set need
 * rights that setresuid() takes away. What a process cannot do any more is tried, not assumed.
 */
#include "process/process.h"

#include "base/os.h"
#include "base/settings.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_ACCOUNTS_FILE MIB
#define MAX_CAPABILITIES  64

/* ---- who? ------------------------------------------------------------------------------------ */

/* A user id or group id: (id_t)-1 means "leave as it is" to the kernel. */
static bool read_id(str text, uint32_t *out)
{
    uint64_t n;
    if (text.n == 0 || text.n > 10 || !str_is_digit(text.p[0]) || str_to_u64(text, &n) != OK ||
        n >= UINT32_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

/* A line of either file: name:password:id:... False: none that we understand. */
static bool cut_line(str line, str *name, uint32_t *id, str *rest)
{
    *name = str_cut(&line, ':');
    (void)str_cut(&line, ':');
    if (name->n == 0 || str_none(line) || !read_id(str_cut(&line, ':'), id))
        return false;
    *rest = line;
    return true;
}

/* By name, or with name none by id. */
static bool find_user(str passwd, str name, struct process_user *out)
{
    while (!str_none(passwd)) {
        uint32_t uid, gid;
        str found, rest;
        if (!cut_line(str_cut(&passwd, '\n'), &found, &uid, &rest) || str_none(rest) ||
            !read_id(str_cut(&rest, ':'), &gid))
            continue;
        if (str_none(name) ? uid == out->uid : str_eq(found, name)) {
            out->uid = uid;
            out->gid = gid;
            return true;
        }
    }
    return false;
}

static bool find_group(str group, str name, gid_t *out)
{
    while (!str_none(group)) {
        uint32_t gid;
        str found, rest;
        if (cut_line(str_cut(&group, '\n'), &found, &gid, &rest) && str_eq(found, name)) {
            *out = gid;
            return true;
        }
    }
    return false;
}

static enum err add_groups(str group, str name, struct process_user *out, struct err_detail *d)
{
    while (!str_none(group)) {
        uint32_t gid;
        str found, members;
        if (!cut_line(str_cut(&group, '\n'), &found, &gid, &members) || gid == 0 ||
            gid == out->gid || !str_has_word(members, name))
            continue;
        if (out->ngroups == PROCESS_MAX_GROUPS)
            return err_set(d, ERR_LIMIT, 0, "user " STR_FMT " is in more than %d groups",
                           STR_ARG(name), PROCESS_MAX_GROUPS);
        out->groups[out->ngroups++] = gid;
    }
    return OK;
}

/* The whole text is shown: a part of a URL would not be known as one, with its password. */
static enum err no_such(const char *what, str text, const char *file, struct err_detail *d)
{
    return err_set(d, ERR_NOTFOUND, 0,
                   "\"%s\": there is no such %s in %s (a number needs no line there)",
                   settings_quote(text).text, what, file);
}

enum err process_user_parse(str text, str passwd, str group, struct process_user *out,
                            struct err_detail *d)
{
    struct process_user u = {.uid = 0};
    str rest = str_trim(text), name = str_cut(&rest, ':');
    bool number = read_id(name, &u.uid);

    if (name.n == 0 || (!str_none(rest) && rest.n == 0))
        return err_set(d, ERR_SYNTAX, 0, "\"%s\" is no NAME, NAME:GROUP, UID or UID:GID",
                       settings_quote(text).text);
    if (number)
        u.gid = u.uid;
    if (!find_user(passwd, number ? STR_NONE : name, &u) && !number && !str_eq(name, STR("root")))
        return no_such("user", text, "/etc/passwd", d);
    if (!str_none(rest)) {
        if (!read_id(rest, &u.gid) && !find_group(group, rest, &u.gid))
            return no_such("group", text, "/etc/group", d);
    } else if (!number) {
        enum err e = add_groups(group, name, &u, d);
        if (e != OK)
            return e;
    }
    if (u.uid == 0 && u.gid != 0 && !str_none(rest))
        return err_set(d, ERR_UNSUPPORTED, 0, "root stays what it is, its group, too");
    *out = u;
    return OK;
}

/* ---- becoming -------------------------------------------------------------------------------- */

static enum err refused(const char *what, struct err_detail *d)
{
    return err_set(d, ERR_FAILED, errno, "rights cannot be given up: %s", what);
}

/* Without CAP_SETPCAP the bounding set stays; no_new_privs makes that of no use. */
static void empty_bounding_set(void)
{
    for (unsigned long i = 0; i < MAX_CAPABILITIES; i++)
        (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
}

static enum err switch_ids(const struct process_user *u, struct err_detail *d)
{
    if (setgroups(u->ngroups, u->groups) != 0)
        return refused("setgroups", d);
    if (setresgid(u->gid, u->gid, u->gid) != 0)
        return refused("setgid", d);
    if (setresuid(u->uid, u->uid, u->uid) != 0)
        return refused("setuid", d);
    return OK;
}

static long capabilities(long call, struct __user_cap_data_struct sets[2])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(call, &header, sets);
}

static enum err drop_capabilities(struct err_detail *d)
{
    struct __user_cap_data_struct none[2] = {{0}};
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return capabilities(SYS_capset, none) == 0 ? OK : refused("capset", d);
}

static enum err verify_rights(struct err_detail *d)
{
    struct __user_cap_data_struct now[2] = {{0}};

    errno = 0;
    if (capabilities(SYS_capget, now) != 0)
        return refused("capget", d);
    if (now[0].permitted || now[1].permitted || now[0].effective || now[1].effective)
        return refused("capabilities are left", d);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return refused("no_new_privs", d);
    return OK;
}

static bool has_ids_of(const struct process_user *u)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;
    return getresuid(&r, &e, &s) == 0 && r == u->uid && e == u->uid && s == u->uid &&
           getresgid(&gr, &ge, &gs) == 0 && gr == u->gid && ge == u->gid && gs == u->gid;
}

/* Are we what we meant to be, and is there no way back? */
static enum err verify_ids(const struct process_user *u, struct err_detail *d)
{
    errno = 0;
    if (!has_ids_of(u))
        return refused("the user is another one", d);
    if (u->uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
        return refused("root can be taken back", d);
    if (u->uid != 0 && u->gid != 0 && (setgid(0) == 0 || setegid(0) == 0))
        return refused("the group of root can be taken back", d);
    return OK;
}

enum err process_become(const struct process_user *u, struct err_detail *d)
{
    empty_bounding_set();
    enum err e = u ? switch_ids(u, d) : OK;
    if (e == OK)
        e = drop_capabilities(d);
    if (e == OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        e = refused("no_new_privs", d);
    if (e == OK)
        e = verify_rights(d);
    return e == OK && u ? verify_ids(u, d) : e;
}

/* ---- by the system's files ------------------------------------------------------------------- */

/* "" when there is no such file, as in a container with nothing but kinto. */
static enum err read_accounts(const char *path, char **out, size_t *n, struct err_detail *d)
{
    struct err_detail why = {.text = ""}; /* what is no error leaves no text behind */
    enum err e = os_read_file(path, MAX_ACCOUNTS_FILE, out, n, &why);
    if (e == ERR_NOTFOUND) {
        *n = 0;
        *out = calloc(1, 1);
        return *out ? OK : err_set(d, ERR_NOMEM, 0, "%s: %s", path, err_text(ERR_NOMEM));
    }
    if (e != OK)
        *d = why;
    return e;
}

enum err process_user_find(str text, struct process_user *out, struct err_detail *d)
{
    char *passwd = NULL, *group = NULL;
    size_t npasswd = 0, ngroup = 0;
    enum err e = read_accounts("/etc/passwd", &passwd, &npasswd, d);
    if (e == OK)
        e = read_accounts("/etc/group", &group, &ngroup, d);
    if (e == OK)
        e = process_user_parse(text, (str){passwd, npasswd}, (str){group, ngroup}, out, d);
    free(passwd);
    free(group);
    return e;
}

enum err process_user_of(uid_t uid, struct process_user *out, struct err_detail *d)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%u", (unsigned)uid);
    return process_user_find(str_from(digits), out, d);
}

/* Root goes on as root in a directory of its own only if nobody else has a say in what lies there, or in
 * where the name leads. */
static enum err stay_root(const char *dir, const struct stat *there, struct err_detail *d)
{
    struct stat name;
    if (there->st_mode & 022)
        return err_set(d, ERR_REFUSED, 0,
                       "%s: is root's, and others may write to it: chown it to the one who has the "
                       "data, or run this as that user",
                       dir);
    if (lstat(dir, &name) != 0)
        return err_set(d, err_from_errno(errno), errno, "%s", dir);
    if (S_ISLNK(name.st_mode) && name.st_uid != 0)
        return err_set(d, ERR_REFUSED, 0, "%s: is a link of user %u to a directory of root's", dir,
                       (unsigned)name.st_uid);
    return OK;
}

enum err process_become_uid(uid_t uid, struct err_detail *d)
{
    struct process_user u;
    enum err e = process_user_of(uid, &u, d);
    return e == OK ? process_become(&u, d) : e;
}

enum err process_become_owner(const char *dir, struct err_detail *d)
{
    struct stat st;

    if (geteuid() != 0 || stat(dir, &st) != 0)
        return OK;
    if (st.st_uid == 0)
        return stay_root(dir, &st, d);
    return process_become_uid(st.st_uid, d);
}
