/*
 * process/handover.c - a data directory that root has made, or filled, becomes its user's.
 *
 * root changing owners by names that others can bend is how root is lost. So the directory is opened once,
 * must be root's alone (then nobody else can make, rename or link anything in it), and all below it goes by
 * descriptors and names in them, without following links. Only what is root's is given, and only out of
 * folders that are root's alone, too: in those of somebody else, a file of root's is one that they have
 * linked there. A folder goes behind all that is in it, so one that is not root's any more is done.
 */
#include "process/process.h"

#include "base/os.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH         8
#define MAX_REMOVED_DEPTH 64     /* as many descriptors are open then */
#define STORE_FILE        "LOCK" /* every store has it (doc/format.md) */

struct handover {
    const char *dir; /* for messages */
    uid_t uid;
    gid_t gid;
    struct err_detail *detail;
};

static enum err failed(const struct handover *h, const char *name, const char *what)
{
    return err_set(h->detail, err_from_errno(errno), errno, "%s: %s%s%s", h->dir, name,
                   *name ? ": " : "", what);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The next one but "." and ".."; NULL: no more (errno 0), or it failed. */
static const struct dirent *next_entry(DIR *dir)
{
    const struct dirent *entry;
    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry && is_dots(entry->d_name));
    return entry;
}

/* May nobody but its owner write to it? */
static enum err check_alone(const struct handover *h, const char *name, const struct stat *st)
{
    if (!(st->st_mode & 022))
        return OK;
    return err_set(h->detail, ERR_REFUSED, 0,
                   "%s: %s%sothers may write to it: chmod 700, when you know what is in it", h->dir,
                   name, *name ? ": " : "");
}

/* The same directory opened once more, with a place of its own to read from. */
static int open_again(int fd)
{
    return openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

typedef enum err entry_fn(const struct handover *h, int parent, const char *name, int depth);

/* Each entry of an open directory, which is taken. */
static enum err walk(const struct handover *h, int fd, int depth, entry_fn *fn)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry;
    enum err e = OK;
    if (!dir) {
        e = failed(h, "", "cannot be read");
        close(fd);
        return e;
    }
    while (e == OK && (entry = next_entry(dir)) != NULL)
        e = fn(h, dirfd(dir), entry->d_name, depth);
    if (e == OK && errno != 0)
        e = failed(h, "", "cannot be read");
    closedir(dir);
    return e;
}

/* What is in a folder, which no link leads to. */
static enum err walk_folder(const struct handover *h, int parent, const char *name, int depth,
                            entry_fn *fn)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? failed(h, name, "cannot be opened") : walk(h, fd, depth, fn);
}

/* What is in an open directory; not the directory itself, which stays open. */
static enum err walk_content(const struct handover *h, int fd, entry_fn *fn)
{
    int again = open_again(fd);
    return again < 0 ? failed(h, "", "cannot be read") : walk(h, again, 0, fn);
}

static enum err look_at(const struct handover *h, int parent, const char *name, struct stat *st)
{
    return fstatat(parent, name, st, AT_SYMLINK_NOFOLLOW) == 0
               ? OK
               : failed(h, name, "cannot be looked at");
}

/* ---- giving ---------------------------------------------------------------------------------- */

static enum err check_folder(const struct handover *h, const char *name, const struct stat *st,
                             int depth)
{
    enum err e = check_alone(h, name, st);
    if (e == OK && depth > MAX_DEPTH)
        e = err_set(h->detail, ERR_REFUSED, 0, "%s: %s: is more than %d folders deep", h->dir, name,
                    MAX_DEPTH);
    return e;
}

static enum err check_file(const struct handover *h, const char *name, const struct stat *st)
{
    if (st->st_nlink == 1)
        return OK;
    return err_set(h->detail, ERR_REFUSED, 0,
                   "%s: %s: is another file, too, as in backups that share what is the same: "
                   "restore it instead",
                   h->dir, name);
}

/* May all of it be given? */
static enum err check_entry(const struct handover *h, int parent, const char *name, int depth)
{
    struct stat st;
    enum err e = look_at(h, parent, name, &st);
    if (e != OK || st.st_uid != 0)
        return e;
    if (!S_ISDIR(st.st_mode))
        return check_file(h, name, &st);
    e = check_folder(h, name, &st, depth + 1);
    return e == OK ? walk_folder(h, parent, name, depth + 1, check_entry) : e;
}

/* Of what was checked: a folder of root's is root's alone, so nobody has put another one in its place. */
static enum err give_entry(const struct handover *h, int parent, const char *name, int depth)
{
    struct stat st;
    enum err e = look_at(h, parent, name, &st);
    if (e != OK || st.st_uid != 0)
        return e;
    if (S_ISDIR(st.st_mode))
        e = walk_folder(h, parent, name, depth + 1, give_entry);
    if (e == OK && fchownat(parent, name, h->uid, h->gid, AT_SYMLINK_NOFOLLOW) != 0)
        e = failed(h, name, "cannot be given to another user");
    return e;
}

/* Looks at all of it first, so that what is refused is left as it was. */
static enum err give_content(const struct handover *h, int fd)
{
    enum err e = walk_content(h, fd, check_entry);
    return e == OK ? walk_content(h, fd, give_entry) : e;
}

/* ---- taking away ----------------------------------------------------------------------------- */

static enum err remove_entry(const struct handover *h, int parent, const char *name, int depth)
{
    struct stat st;
    enum err e = look_at(h, parent, name, &st);
    bool is_dir = e == OK && S_ISDIR(st.st_mode);
    if (is_dir && depth < MAX_REMOVED_DEPTH)
        e = walk_folder(h, parent, name, depth + 1, remove_entry);
    if (e == OK && unlinkat(parent, name, is_dir ? AT_REMOVEDIR : 0) != 0)
        e = failed(h, name, "cannot be removed");
    return e;
}

static enum err remove_content(const struct handover *h, int fd)
{
    return walk_content(h, fd, remove_entry);
}

/* ---- which directories? ---------------------------------------------------------------------- */

static bool is_empty(int fd)
{
    int again = open_again(fd);
    DIR *dir = again < 0 ? NULL : fdopendir(again);
    if (!dir) {
        if (again >= 0)
            close(again);
        return false;
    }
    bool empty = next_entry(dir) == NULL && errno == 0;
    closedir(dir);
    return empty;
}

static bool is_empty_or_store(int fd)
{
    struct stat st;
    if (fstatat(fd, STORE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
        return true;
    return is_empty(fd);
}

static enum err check_dir(const struct handover *h, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return failed(h, "", "cannot be looked at");
    if (st.st_uid != 0)
        return err_set(h->detail, ERR_REFUSED, 0, "%s: belongs to user %u, not to root", h->dir,
                       (unsigned)st.st_uid);
    enum err e = check_alone(h, "", &st);
    if (e == OK && !is_empty_or_store(fd))
        e = err_set(h->detail, ERR_REFUSED, 0, "%s: is not empty and holds no store of kinto",
                    h->dir);
    return e;
}

static int open_dir(const char *dir)
{
    return os()->open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

static enum err not_opened(const struct handover *h)
{
    int saved = errno;
    struct stat st;
    if (lstat(h->dir, &st) == 0 && S_ISLNK(st.st_mode))
        return err_set(h->detail, ERR_REFUSED, 0, "%s: is a symbolic link: name what it leads to",
                       h->dir);
    errno = saved;
    return failed(h, "", "cannot be opened as a directory");
}

enum err process_hand_over(const char *dir, uid_t uid, gid_t gid, struct err_detail *d)
{
    const struct handover h = {.dir = dir, .uid = uid, .gid = gid, .detail = d};
    int fd = open_dir(dir);
    if (fd < 0)
        return not_opened(&h);
    enum err e = check_dir(&h, fd);
    if (e == OK)
        e = give_content(&h, fd);
    if (e == OK && fchown(fd, uid, gid) != 0)
        e = failed(&h, "", "cannot be given to another user");
    os()->close(fd);
    return e;
}

/* ---- a directory that root fills ------------------------------------------------------------- */

/* Its name is on the disk, too. By descriptor, as all of it. */
static enum err sync_folder(const struct process_loan *l, const struct handover *h)
{
    int fd = openat(l->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = fd >= 0 && os()->fsync(fd) == 0 ? OK : failed(h, "", "cannot be synced");
    if (fd >= 0)
        os()->close(fd);
    return e;
}

/* Is it the directory that a path leads to? */
static bool is_at(const struct process_loan *l, const char *path)
{
    struct stat at, own;
    return fstat(l->fd, &own) == 0 && stat(path, &at) == 0 && at.st_dev == own.st_dev &&
           at.st_ino == own.st_ino;
}

static enum err check_name(const struct process_loan *l, const struct handover *h)
{
    if (is_at(l, l->dir))
        return OK;
    return err_set(h->detail, ERR_CONFLICT, 0,
                   "%s: leads to another directory than before: it was exchanged meanwhile",
                   l->dir);
}

static enum err look(struct process_loan *l, const struct handover *h)
{
    struct stat st;
    if (fstat(l->fd, &st) != 0)
        return failed(h, "", "cannot be looked at");
    l->uid = st.st_uid;
    l->gid = st.st_gid;
    l->mode = st.st_mode & 07777;
    snprintf(l->path, sizeof l->path, "/proc/self/fd/%d", l->fd);
    if (!is_at(l, l->path))
        return err_set(h->detail, ERR_UNSUPPORTED, 0,
                       "%s: root can fill a directory only where /proc is mounted", l->dir);
    return l->made ? sync_folder(l, h) : OK;
}

/* Only if it was made, and still is what was made. */
static void unmake(const struct process_loan *l)
{
    if (l->made && is_at(l, l->dir))
        (void)os()->rmdir(l->dir);
}

enum err process_hold(const char *dir, struct process_loan *out, struct err_detail *d)
{
    const struct handover h = {.dir = dir, .detail = d};
    struct process_loan l = {.dir = dir, .made = os()->mkdir(dir, 0700) == 0};
    if (!l.made && errno != EEXIST)
        return failed(&h, "", "cannot be created");
    l.fd = open_dir(dir);
    if (l.fd < 0) {
        enum err e = not_opened(&h);
        if (l.made)
            (void)os()->rmdir(dir); /* goes if it is empty */
        return e;
    }
    enum err e = look(&l, &h);
    if (e == OK) {
        *out = l;
        return OK;
    }
    unmake(&l);
    os()->close(l.fd);
    return e;
}

static bool is_alone(const struct process_loan *l)
{
    return l->uid == 0 && l->gid == 0 && l->mode == 0700;
}

static enum err return_it(struct process_loan *l, mode_t mode, const struct handover *h)
{
    if (l->taken && fchmod(l->fd, mode) != 0)
        return failed(h, "", "cannot have its mode");
    if (l->taken && fchown(l->fd, l->uid, l->gid) != 0)
        return failed(h, "", "cannot be given back");
    l->taken = false;
    return OK;
}

/* First root's, then closed: its owner could open it again in between the other way round. */
enum err process_take_over(struct process_loan *l, struct err_detail *d)
{
    const struct handover h = {.dir = l->dir, .detail = d};
    if (is_alone(l))
        return OK;
    if (l->made && l->uid != 0)
        return err_set(
            d, ERR_CONFLICT, 0,
            "%s: was made by root, and belongs to user %u: it was exchanged, or the file "
            "system knows no root",
            l->dir, (unsigned)l->uid);
    if (fchown(l->fd, 0, 0) != 0)
        return failed(&h, "", "cannot be taken over");
    l->taken = true;
    if (fchmod(l->fd, 0700) == 0)
        return OK;
    enum err e = failed(&h, "", "cannot be taken over");
    (void)!fchown(l->fd, l->uid, l->gid);
    l->taken = false;
    return e;
}

/* What was filled, for its owner; the directory last, so that nobody else is in it before. */
static enum err give_filled(struct process_loan *l, const struct handover *h)
{
    enum err e = check_name(l, h);
    if (e == OK && l->taken && l->uid != 0)
        e = give_content(h, l->fd);
    return e == OK ? return_it(l, 0700, h) : e;
}

static struct err_detail detail_of(const struct handover *h)
{
    return h->detail ? *h->detail : (struct err_detail){.text = ""};
}

/* After the failure `e`, which the detail tells: nothing of it stays. What else fails is told, too. */
static enum err take_back(struct process_loan *l, enum err e, const struct handover *h)
{
    struct err_detail first = detail_of(h), why = {.text = ""};
    const struct handover quiet = {.dir = l->dir, .detail = &why};
    bool left = remove_content(&quiet, l->fd) != OK;
    bool kept = return_it(l, l->mode, &quiet) != OK;
    unmake(l);
    return err_set(h->detail, e, 0, "%s%s%s", first.text,
                   left ? "; and what was put into it is still there: remove it" : "",
                   kept ? "; and the directory is root's: chown it" : "");
}

enum err process_give_back(struct process_loan *l, bool filled, struct err_detail *d)
{
    const struct handover h = {.dir = l->dir, .uid = l->uid, .gid = l->gid, .detail = d};
    enum err e;
    if (filled) {
        e = give_filled(l, &h);
        if (e != OK)
            e = take_back(l, e, &h);
    } else {
        e = return_it(l, l->mode, &h);
        unmake(l);
    }
    os()->close(l->fd);
    return e;
}
