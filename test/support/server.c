/*
 * test/support/server.c - see server.h.
 *
 * A server is a child of the test program's main process. It dies with it (PR_SET_PDEATHSIG), so
 * that a test program that is killed leaves nothing behind.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/support/http_client.h"
#include "test/support/server.h"
#include "test/support/unit.h"
#include "test/support/wait.h"

enum { START_MS = 20000, STOP_MS = 10000 };

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Check's own assertions work only inside a test, and servers are also started by main(). */
#define must(cond, ...)                                                                            \
    do {                                                                                           \
        if (!(cond))                                                                               \
            give_up(__VA_ARGS__);                                                                  \
    } while (0)

static void give_up(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void give_up(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s\n", text);
    ck_abort_msg("%s", text);
}

const char *server_binary(void)
{
    const char *bin = getenv("KINTO_BIN");
    must(bin && *bin, "KINTO_BIN names no binary (make test sets it)");
    return bin;
}

/* ---- folders --------------------------------------------------------------------------------- */

void server_write_file(const char *dir, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    must(f, "cannot open %s", path);
    fputs(text, f);
    must(fclose(f) == 0, "cannot write %s", path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void server_remove(struct server *s)
{
    if (s->dir[0])
        nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    s->dir[0] = '\0';
}

/* ---- settings -------------------------------------------------------------------------------- */

static const char *const STANDARD[][2] = {
    {"kinto.includes", "kinto.plugins.default_bucket\n                 kinto.plugins.flush"},
    {"kinto.userid_hmac_secret", "test-secret"},
    {"kinto.bucket_create_principals", "system.Authenticated"},
    {"multiauth.policies", "basicauth"},
    {"multiauth.policy.basicauth.use", "kinto.core.authentication.BasicAuthAuthenticationPolicy"},
};

/* Does the text hold a line that sets this key? */
static bool sets(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *at = text; at && (at = strstr(at, key)); at++)
        if ((at == text || at[-1] == '\n') && strchr(" =", at[n]))
            return true;
    return false;
}

static void write_ini(const struct server *s, const struct server_options *o)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    must(f, "out of memory");
    const char *own = o->settings ? o->settings : "";
    fputs("[app:main]\nuse = egg:kinto\n", f);
    for (size_t i = 0; i < ARRAY_LEN(STANDARD); i++)
        if (!sets(own, STANDARD[i][0]))
            fprintf(f, "%s = %s\n", STANDARD[i][0], STANDARD[i][1]);
    fprintf(f, "%s\n%s\n", own, o->sections ? o->sections : "");
    must(fclose(f) == 0, "out of memory");
    server_write_file(s->dir, "kinto.ini", o->ini ? o->ini : text);
    free(text);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Fills argv: start --ini DIR/kinto.ini [--memory | --data DIR/data] [--port 0] ... */
static void build_args(const struct server *s, const struct server_options *o, const char **argv,
                       size_t max)
{
    static char ini[256], data[256];
    snprintf(ini, sizeof ini, "%s/kinto.ini", s->dir);
    snprintf(data, sizeof data, "%s/data", s->dir);
    size_t n = 0;
    argv[n++] = server_binary();
    argv[n++] = "start";
    argv[n++] = "--ini";
    argv[n++] = ini;
    if (o->durable || o->data) {
        argv[n++] = "--data";
        argv[n++] = o->data ? o->data : data;
    } else {
        argv[n++] = "--memory";
    }
    if (!o->no_port) {
        argv[n++] = "--port";
        argv[n++] = "0";
    }
    for (size_t i = 0; o->args && o->args[i] && n + 1 < max; i++)
        argv[n++] = o->args[i];
    argv[n] = NULL;
}

/* As sd_listen_fds(3) has it. */
static void pass_sockets(const struct server_options *o)
{
    char text[16];
    int n = 0, high[16];
    for (; o->pass[n] >= 0 && n < 16; n++)
        high[n] = fcntl(o->pass[n], F_DUPFD, 64);
    for (int i = 0; i < n; i++)
        dup2(high[i], 3 + i);
    for (int i = 0; i < n; i++)
        close(high[i]);
    snprintf(text, sizeof text, "%d", n);
    setenv("LISTEN_FDS", text, 1);
    snprintf(text, sizeof text, "%d", (int)getpid());
    setenv("LISTEN_PID", text, 1);
    if (o->pass_names)
        setenv("LISTEN_FDNAMES", o->pass_names, 1);
}

/* The child's side: environment, streams, exec. */
static void exec_child(const char *dir, const char *const *argv, const char *const *env, int out,
                       int err)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; env && env[i]; i++)
        putenv((char *)(uintptr_t)env[i]);
    unsetenv("TEST_SERVER");
    if (geteuid() ==
        0) /* the folders of tests are root's then; test/http/test_process.c has others */
        setenv("KINTO_SERVER_USER", "root", 0);
    if (dir && chdir(dir) != 0)
        _exit(126);
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(out, 1);
    dup2(err, 2);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void start_child(const struct server_options *o, const char *const *argv, int out, int err)
{
    if (o->uid != 0 &&
        (setresgid(o->uid, o->uid, o->uid) != 0 || setresuid(o->uid, o->uid, o->uid) != 0))
        _exit(125);
    if (o->pass) {
        out = fcntl(out, F_DUPFD, 80); /* out of the way */
        err = fcntl(err, F_DUPFD, 80);
        pass_sockets(o);
    }
    exec_child(NULL, argv, o->env, out, err);
}

static void print_stderr(const struct server *s)
{
    char path[256], text[4096];
    snprintf(path, sizeof path, "%s/stderr", s->dir);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    fprintf(stderr, "the server's standard error:\n%s\n", text);
}

/* The first line, within the deadline. */
static bool read_line(struct server *s)
{
    int64_t deadline = now_ms() + START_MS;
    size_t n = 0;
    while (n + 1 < sizeof s->line && now_ms() < deadline) {
        struct pollfd p = {.fd = s->out, .events = POLLIN};
        if (poll(&p, 1, (int)(deadline - now_ms())) <= 0 || read(s->out, s->line + n, 1) != 1)
            break;
        if (s->line[n] == '\n') {
            s->line[n] = '\0';
            return true;
        }
        n++;
    }
    s->line[n] = '\0';
    return false;
}

/* "http://127.0.0.1:8888/v1/" in the line (the first one), without its path; "unix:/path" is taken as it
 * is. */
static bool find_url(struct server *s)
{
    const char *at = strstr(s->line, "http"), *path = at ? strstr(at, "://") : NULL;
    if (path)
        snprintf(s->url, sizeof s->url, "%.*s", (int)(path + 3 + strcspn(path + 3, "/ \t") - at),
                 at);
    else if ((at = strstr(s->line, "unix:")))
        snprintf(s->url, sizeof s->url, "%.*s", (int)strcspn(at, " \t"), at);
    return at != NULL;
}

static void launch(struct server *s, const struct server_options *o)
{
    const char *argv[32];
    char path[256];
    int out[2];
    build_args(s, o, argv, ARRAY_LEN(argv));
    snprintf(path, sizeof path, "%s/stderr", s->dir);
    int err = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    must(err >= 0 && pipe2(out, O_CLOEXEC) == 0, "no file %s: %s", path, strerror(errno));
    fflush(NULL);
    s->pid = fork();
    if (s->pid == 0)
        start_child(o, argv, out[1], err);
    must(s->pid > 0, "no process: %s", strerror(errno));
    close(out[1]);
    close(err);
    s->out = out[0];
    bool line = read_line(s);
    if (!line || !find_url(s)) {
        print_stderr(s);
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        give_up("the server's first line names no URL: \"%s\"", s->line);
    }
}

void server_start(struct server *s, const struct server_options *o)
{
    *s = (struct server){.out = -1};
    new_dir(s->dir, sizeof s->dir);
    write_ini(s, o);
    launch(s, o);
}

void server_restart(struct server *s, const struct server_options *o)
{
    launch(s, o);
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Waits for the end of a process by a deadline; false: it still runs. */
static bool wait_end(pid_t pid, int ms, int *status)
{
    int64_t deadline = now_ms() + ms;
    for (;;) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if (got < 0 || now_ms() >= deadline)
            return false;
        wait_tick();
    }
}

bool server_end(struct server *s)
{
    int status = 0;
    kill(s->pid, SIGTERM);
    bool ended = wait_end(s->pid, STOP_MS, &status);
    close(s->out);
    if (!ended) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        fprintf(stderr, "the server did not stop on SIGTERM within %d ms\n", STOP_MS);
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "the server ended with %s %d\n", WIFEXITED(status) ? "status" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        ended = false;
    }
    if (!ended)
        print_stderr(s);
    return ended;
}

void server_stop(struct server *s)
{
    bool ended = server_end(s);
    server_remove(s);
    must(ended, "the server did not end well on SIGTERM");
}

void server_kill(struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    close(s->out);
}

/* ---- commands -------------------------------------------------------------------------------- */

/* Reads both streams until they end or the deadline passes. */
static void read_all(int fd, char *out, size_t max)
{
    int64_t deadline = now_ms() + START_MS;
    size_t n = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            break;
        char drop[512];
        bool full = n + 1 >= max;
        ssize_t got = read(fd, full ? drop : out + n, full ? sizeof drop : max - n - 1);
        if (got <= 0)
            break;
        n += full ? 0 : (size_t)got;
    }
    out[n] = '\0';
}

static int run(const char *dir, const char *const *argv, const char *const *env,
               const char **output)
{
    static char text[65536];
    int out[2], status = 0;
    must(pipe2(out, O_CLOEXEC) == 0, "no pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        exec_child(dir, argv, env, out[1], out[1]);
    must(pid > 0, "no process: %s", strerror(errno));
    close(out[1]);
    read_all(out[0], text, sizeof text);
    close(out[0]);
    if (output)
        *output = text;
    if (!wait_end(pid, 1000, &status)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        give_up("the command is still running; it printed: %s", text);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int server_run(const char *dir, const char *const *args, const char **output)
{
    const char *argv[32] = {server_binary()};
    for (size_t i = 0; args[i] && i + 2 < ARRAY_LEN(argv); i++)
        argv[i + 1] = args[i];
    return run(dir, argv, NULL, output);
}

int server_refuse(const struct server_options *o, const char **output)
{
    struct server s = {.out = -1};
    const char *argv[32];
    new_dir(s.dir, sizeof s.dir);
    write_ini(&s, o);
    build_args(&s, o, argv, ARRAY_LEN(argv));
    int status = run(NULL, argv, o->env, output);
    server_remove(&s);
    return status;
}
