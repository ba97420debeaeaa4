/*
 * test/support/server.h - starts and stops the server that a test drives.
 *
 * The binary is $KINTO_BIN. Each server gets a folder of its own under $TMPDIR with an INI (the
 * standard one of the tests, and what the test adds) and listens on a port that the kernel chose;
 * the URL is read from the first line that the server prints. Everything here aborts the test with
 * a message when the server does not do its part.
 */
#ifndef TEST_SUPPORT_SERVER_H
#define TEST_SUPPORT_SERVER_H

#include <sys/types.h>

#include "base/base.h"

struct server_options {
    /* Lines behind the standard ones of [app:main]; a key given here replaces the standard row. */
    const char *settings;
    const char *sections;    /* whole sections behind it, e.g. "[server:main]\nport = 0\n" */
    const char *ini;         /* a whole INI instead of all that */
    const char *const *env;  /* "NAME=value" ..., NULL; or NULL */
    const char *const *args; /* more arguments, NULL; or NULL */
    bool durable;            /* on a data directory (server.dir/data), else --memory */
    const char *data;        /* durable, on this directory */
    const int *pass;        /* listening sockets, -1 behind them, passed as systemd does; or NULL */
    const char *pass_names; /* their names, "http:https"; or NULL */
    uid_t uid;              /* start it as this user, not as root; 0: as who we are */
    bool no_port;           /* without --port 0 */
};

struct server {
    pid_t pid;
    char dir[160];  /* its folder: kinto.ini, data, stderr */
    char url[256];  /* "http://127.0.0.1:12345" or what its first line names */
    char line[512]; /* the first line it printed */
    int out;        /* its standard output */
};

/* Starts, and waits (by a deadline) for the first line and for an answer on that URL. */
void server_start(struct server *s, const struct server_options *o);
/* Starts in the folder of a server that was stopped or killed before: same INI, same data. */
void server_restart(struct server *s, const struct server_options *o);
/* SIGTERM; the process must end with status 0 within the deadline. False: it did not, and its
 * standard error was printed. The folder stays. */
bool server_end(struct server *s);
/* The same, for tests: fails the test; and removes the folder. */
void server_stop(struct server *s);
void server_kill(struct server *s);   /* SIGKILL and wait; the folder stays */
void server_remove(struct server *s); /* removes the folder */

/*
 * Runs `$KINTO_BIN start` with an INI that must not start: waits for the end, returns the exit
 * status and what it printed (both streams; static memory).
 */
int server_refuse(const struct server_options *o, const char **output);
/* Runs $KINTO_BIN with `args` (NULL-terminated) in `dir` (NULL: here), waits, returns the status.
 */
int server_run(const char *dir, const char *const *args, const char **output);

/* $KINTO_BIN, or the test fails. */
const char *server_binary(void);
void server_write_file(const char *dir, const char *name, const char *text);

#endif
