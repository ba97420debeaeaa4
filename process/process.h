/*
 * process/process.h - what the process may do to the machine: whose it is, what it can reach, and who is told
 * how it is.
 *
 * A server on the open Internet is to have nothing that a stranger who got into it could use. So
 * `kinto start` does what needs rights first, and gives them up for good before the first byte of a
 * stranger, or of the data, is read:
 *
 *     process_begin()              files are for their owner only (umask)
 *     process_keep_memory()        behind INI and environment: no core dumps
 *     (ports, the private key)
 *     process_confine()            the data directory is made or handed over
 *                                  -> another user, no capabilities, no way back
 *                                  -> Landlock: which files can be opened at all
 *                                  -> seccomp: which system calls can be made at all
 *     (store, plugins, the server)
 *
 * All of it before there is a second thread: capabilities, no_new_privs and Landlock belong to
 * threads, which inherit them. Errors have their detail. System calls are made as they are: libcap,
 * libseccomp and libsystemd would bring more code than they save, and NSS has no place in a static binary.
 */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include "base/arena.h"
#include "base/settings.h"

#include <sys/types.h>

extern const struct setting_table process_settings;

/* At the begin of main(): umask 077, and standard streams that are closed stay so, but nothing else gets
 * their numbers: what is meant for them must not end up in the data, or on somebody's connection. */
void process_begin(void);
/* No core dumps, and no debugger but root's, unless kinto.server.core_dumps says otherwise. (Not in builds
 * with sanitizers, which look at the process like a debugger.) */
void process_keep_memory(const struct settings *s);

/* ---- another user: user of the process, become.c ----------------------------------------------- */

#define PROCESS_MAX_GROUPS 64
#define PROCESS_NOBODY     65534

struct process_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[PROCESS_MAX_GROUPS]; /* beside gid */
    size_t ngroups;
};

/*
 * NAME, NAME:GROUP, UID or UID:GID out of the texts of /etc/passwd and /etc/group, which are all that is
 * asked. Without a group: that of the user's line, else (a number without a line) the same number. With a
 * name only, the groups that list it, too, but never group 0 (which a line may have as its user's own).
 * NOTFOUND: nobody of that name; SYNTAX; LIMIT: in too many groups; UNSUPPORTED: root with another group.
 */
MUST_CHECK enum err process_user_parse(str text, str passwd, str group, struct process_user *out,
                                       struct err_detail *d);
/* By the files themselves; one that is missing is empty. The same errors, and IO, LIMIT, NOMEM. */
MUST_CHECK enum err process_user_find(str text, struct process_user *out, struct err_detail *d);
MUST_CHECK enum err process_user_of(uid_t uid, struct process_user *out, struct err_detail *d);
/*
 * Gives up what the process may do: becomes u (NULL: stays who it is), with no capability left, in the
 * bounding set neither, and no_new_privs. Then tries to take it back; that it cannot is the promise.
 * FAILED: the kernel refuses, or the way back is open; the process must end.
 */
MUST_CHECK enum err process_become(const struct process_user *u, struct err_detail *d);
/* Becomes that user, by the system's files. The errors of both. */
MUST_CHECK enum err process_become_uid(uid_t uid, struct err_detail *d);
/* For a command of root on the data of somebody else: becomes the owner of the directory, so that it leaves
 * no files that the server could not read. Nothing happens when we are not root, there is no such
 * directory, or it is root's. REFUSED: it is root's, and others can write to it, or put the link there that
 * leads to it. */
MUST_CHECK enum err process_become_owner(const char *dir, struct err_detail *d);

/* ---- directories that change hands: handover.c ------------------------------------------------- */

/*
 * Gives a data directory of root, and what of root's is in it, to a user. It must be nobody's but root's
 * (nobody else may write to it, and it is no symbolic link) and be empty or hold a store, so that a wrong
 * path, or one that somebody has bent, gives nothing away. The directory itself goes last: until then
 * nobody can put something in the way, and what was cut off begins anew. REFUSED: it is none of these, or
 * in it are folders that are too deep or that others may write to, or files with several names (with one of
 * them, all would be given), and then nothing was given; IO, NOTFOUND and what else the system says.
 */
MUST_CHECK enum err process_hand_over(const char *dir, uid_t uid, gid_t gid, struct err_detail *d);
/*
 * A directory that root is to fill, in whosoever's folder it lies: who has that may put another one under
 * its name at any time. So it is held open from the begin to the end, and filled by `path`, which is the
 * same one whatever becomes of its name. Whatever becomes of the filling, who holds it gives it back.
 */
struct process_loan {
    const char *dir; /* its name, borrowed */
    char path[32];   /* this directory and no other, while it is held */
    int fd;
    uid_t uid; /* whose it was, and how open */
    gid_t gid;
    mode_t mode;
    bool made;  /* by process_hold */
    bool taken; /* is to be given back */
};

/* Made (0700) if it is not there. REFUSED: the name is a symbolic link; UNSUPPORTED: there is no /proc; IO
 * and what else the system says. Then nothing is held, and *out is as it was. */
MUST_CHECK enum err process_hold(const char *dir, struct process_loan *out, struct err_detail *d);
/* From now on it is root's alone, so that nobody else puts something into it. CONFLICT: root made it, and
 * it is somebody else's; IO and what else the system says. Then it is as it was, and still held. */
MUST_CHECK enum err process_take_over(struct process_loan *l, struct err_detail *d);
/*
 * The end of it. filled: it was empty, and if it was taken over it goes to whoever had it with all that is
 * in it, and for them only. When that fails (CONFLICT: its name leads to another one by now; REFUSED, IO)
 * all that is in it is removed; what of that could not be done either the detail says. Not filled, or
 * failed: it is as it was, or is not there any more, if it was made.
 */
MUST_CHECK enum err process_give_back(struct process_loan *l, bool filled, struct err_detail *d);

/* ---- the sandbox: landlock.c, seccomp.c --------------------------------------------------------- */

enum sandbox_access {
    SANDBOX_READ,  /* a file, or a directory and all below it */
    SANDBOX_WRITE, /* the same, and to write, make, rename and remove in it */
    SANDBOX_REMOVE /* to remove files in a directory */
};

struct sandbox_path {
    const char *path; /* what is not there is passed over */
    enum sandbox_access access;
};

/* From now on this thread, and those that it makes, open nothing but these, and run no program; TCP ports
 * can no longer be bound, nor processes outside be sent signals, where the kernel knows of that. *abi is
 * its version of Landlock, 0: it has none (or one before 2, which refuses every rename between
 * directories). no_new_privs must be set. */
MUST_CHECK enum err sandbox_files(const struct sandbox_path *paths, size_t n, int *abi,
                                  struct err_detail *d);
/*
 * From now on all threads can make the system calls of a table only. What no part of a server does
 * and an intruder would (to run programs, trace, mount, become somebody, load code into the kernel ...)
 * ends the process with SIGSYS, which the kernel's log tells; all others get ENOSYS, as on an older
 * kernel, which is what a C library that is newer than the table is made for. UNSUPPORTED: the kernel
 * has no seccomp filters. no_new_privs must be set.
 */
MUST_CHECK enum err sandbox_calls(struct err_detail *d);

/* ---- all of it ----------------------------------------------------------------------------------- */

enum process_use {
    PROCESS_READ,   /* a file as it is now, or a directory and all below it */
    PROCESS_LINKED, /* the same, and if it is a link to a file, what is in that one's folder */
    /* Of the next two, a file that lies in "/" stays as it is, with a warning: all lies below that folder. */
    PROCESS_REPLACED, /* a file that is replaced now and then: its folder, and that of what it is a link to */
    PROCESS_REMOVED /* a file that is removed at the end */
};

struct process_path {
    const char *path; /* what is not there is passed over */
    enum process_use use;
};

/* What the process that is to be confined needs; all borrowed. */
struct process_plan {
    const struct settings *settings;
    const char *data; /* the data directory, to be written; NULL: nothing is kept */
    /* What else it reads, and the system does not need by itself. */
    const struct process_path *paths;
    size_t npaths;
    /* When it becomes another user: what was made before, and must be theirs. NULL: nothing. */
    enum err (*give)(void *arg, uid_t uid, gid_t gid, struct err_detail *d);
    void *arg;
};

/* What is above, in its order, by the settings. Beside the data and the paths of the plan it can then read
 * what the C library and the kernel need, and (but for root, to whom secrets are open there) all of /etc,
 * where files are replaced by renaming. */
MUST_CHECK enum err process_confine(const struct process_plan *plan, struct err_detail *d);

/* ---- systemd: systemd.c ---------------------------------------------------------------------------- */

struct systemd_socket {
    int fd;
    str name;    /* of LISTEN_FDNAMES; STR_NONE: it has none */
    str address; /* "127.0.0.1", "::1", "unix:/path", for messages */
};

/*
 * The sockets that were passed to the process (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES),
 * in their order; *count 0: none were. The variables are taken out of the environment. SYNTAX, NOMEM;
 * LIMIT: more than max.
 */
MUST_CHECK enum err systemd_listen(struct arena *a, struct systemd_socket *out, unsigned max,
                                   unsigned *count, struct err_detail *d);

struct systemd {          /* who is told */
    int fd;               /* -1: nobody */
    uint64_t watchdog_ms; /* a sign of life is awaited so often; 0: not */
};

/* Opens the way to $NOTIFY_SOCKET (sd_notify(3)), before a sandbox closes it, and reads $WATCHDOG_USEC;
 * takes both out of the environment. IO: there is one that cannot be used; *s may be closed then, too. */
MUST_CHECK enum err systemd_open(struct systemd *s, struct err_detail *d);
void systemd_close(struct systemd *s);
/* Assignments, one a line: "READY=1\nSTATUS=...". What cannot be sent at once is dropped: nobody's
 * requests wait for the one who watches. Any thread. */
void systemd_say(const struct systemd *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The settings or certificates are being read anew; "READY=1" tells the end of it. */
void systemd_reloading(const struct systemd *s);

#endif
