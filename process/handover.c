/*
 * process/handover.c - a data directory that root has made, or filled, becomes its user's.
 *
 * root changing owners by names that others can bend is how root is lost. So the directory is
 * opened once, must be root's alone (then nobody else can make, rename or link anything in it), and all
 * below it goes by descriptors and names in them, without following links. Only what is root's is given.
 */
#include "process/process.h"

#include "base/os.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH  8
#define STORE_FILE "LOCK" /* every store has it (doc/format.md) */

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

static enum err give_all(const struct handover *h, int fd, int depth);

static enum err give_dir(const struct handover *h, int parent, const char *name, int depth)
{
    if (depth > MAX_DEPTH)
        return err_set(h->detail, ERR_REFUSED, 0, "%s: %s: is more than %d folders deep", h->dir,
                       name, MAX_DEPTH);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(h, name, "cannot be opened");
    return give_all(h, fd, depth);
}

static enum err give_entry(const struct handover *h, int parent, const char *name, int depth)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(h, name, "cannot be looked at");
    if (S_ISDIR(st.st_mode)) {
        enum err e = give_dir(h, parent, name, depth + 1);
        if (e != OK)
            return e;
    }
    if (st.st_uid != 0)
        return OK;
    if (fchownat(parent, name, h->uid, h->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(h, name, "cannot be given to another user");
    return OK;
}

/* What is in an open directory, which is taken; not the directory itself. */
static enum err give_all(const struct handover *h, int fd, int depth)
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
        e = give_entry(h, dirfd(dir), entry->d_name, depth);
    if (e == OK && errno != 0)
        e = failed(h, "", "cannot be read");
    closedir(dir);
    return e;
}

/* The same directory opened once more, with a place of its own to read from. */
static int open_again(int fd)
{
    return openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static enum err give_content(const struct handover *h, int fd)
{
    int again = open_again(fd);
    return again < 0 ? failed(h, "", "cannot be read") : give_all(h, again, 0);
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
    if (st.st_mode & 022)
        return err_set(h->detail, ERR_REFUSED, 0,
                       "%s: others may write to it: chmod 700, when you know what is in it",
                       h->dir);
    if (!is_empty_or_store(fd))
        return err_set(h->detail, ERR_REFUSED, 0, "%s: is not empty and holds no store of kinto",
                       h->dir);
    return OK;
}

static int open_dir(const char *dir)
{
    return os()->open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

enum err process_hand_over(const char *dir, uid_t uid, gid_t gid, struct err_detail *d)
{
    const struct handover h = {dir, uid, gid, d};
    int fd = open_dir(dir);
    if (fd < 0)
        return failed(&h, "", "cannot be opened as a directory");
    enum err e = check_dir(&h, fd);
    if (e == OK)
        e = give_content(&h, fd);
    if (e == OK && fchown(fd, uid, gid) != 0)
        e = failed(&h, "", "cannot be given to another user");
    os()->close(fd);
    return e;
}

/* ---- a directory that root fills for somebody else ------------------------------------------- */

/* First root's, then closed: its owner could open it again in between the other way round. */
static enum err take(const struct process_loan *l, const struct handover *h)
{
    if (fchown(l->fd, 0, 0) != 0)
        return failed(h, "", "cannot be taken over");
    if (fchmod(l->fd, 0700) == 0)
        return OK;
    enum err e = failed(h, "", "cannot be taken over");
    (void)!fchown(l->fd, l->uid, l->gid);
    return e;
}

enum err process_take_over(const char *dir, struct process_loan *out, struct err_detail *d)
{
    const struct handover h = {dir, 0, 0, d};
    struct stat st;
    enum err e = OK;
    *out = (struct process_loan){.dir = dir, .fd = open_dir(dir)};
    if (out->fd < 0)
        return failed(&h, "", "cannot be opened as a directory");
    if (fstat(out->fd, &st) != 0)
        e = failed(&h, "", "cannot be looked at");
    if (e == OK) {
        out->uid = st.st_uid;
        out->gid = st.st_gid;
        out->mode = st.st_mode & 07777;
        e = take(out, &h);
    }
    if (e != OK)
        os()->close(out->fd);
    return e;
}

enum err process_give_back(struct process_loan *l, bool filled, struct err_detail *d)
{
    const struct handover h = {l->dir, l->uid, l->gid, d};
    enum err e = filled ? give_content(&h, l->fd) : OK;
    if (fchmod(l->fd, e == OK && filled ? 0700 : l->mode) != 0 && e == OK)
        e = failed(&h, "", "cannot have its old mode");
    if (fchown(l->fd, l->uid, l->gid) != 0 && e == OK)
        e = failed(&h, "", "cannot be given back");
    os()->close(l->fd);
    return e;
}
