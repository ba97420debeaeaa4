/*
 * test/http/test_process.c - what the process may do once it serves: another user, no capabilities, locked
 * in, no core dumps; what becomes of data that changes hands, and of the commands that root runs on it; and
 * what systemd passes and is told. Ours alone.
 *
 * Who is not root cannot become somebody else: what needs that says SKIPPED then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "test/support/api.h"
#include "test/support/unit.h"
#include "test/support/wait.h"

#define ENV(...)  ((const char *const[]){__VA_ARGS__, NULL})
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

enum { WAIT_MS = 10000, UID = 4711, OTHER = 4999 };

static struct server server;
static char base[160]; /* a folder that everybody may pass through */
static char data[200];

static void setup(void)
{
    server = (struct server){.out = -1};
    new_dir(base, sizeof base);
    ck_assert_int_eq(chmod(base, 0711), 0);
    snprintf(data, sizeof data, "%s/data", base);
}

static void teardown(void)
{
    struct server folder = {.pid = 0};
    snprintf(folder.dir, sizeof folder.dir, "%s", base);
    server_remove(&folder);
}

static struct stat stat_of(const char *path)
{
    struct stat st;
    ck_assert_msg(stat(path, &st) == 0, "%s is not there", path);
    return st;
}

/* Every file of the data directory, and itself, is this user's, and nobody else's business. */
static void want_owner(const char *dir, uid_t uid)
{
    DIR *d = opendir(dir);
    ck_assert_msg(d != NULL, "%s", dir);
    ck_assert_uint_eq(stat_of(dir).st_mode & 0777, 0700);
    for (const struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, "..") == 0)
            continue;
        ck_assert_int_eq(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
        ck_assert_msg(st.st_uid == uid, "%s: user %u", e->d_name, (unsigned)st.st_uid);
        ck_assert_msg((st.st_mode & 077) == 0, "%s: mode %o", e->d_name, (unsigned)st.st_mode);
    }
    closedir(d);
}

static const char *log_text(void)
{
    return read_text(f("%s/stderr", server.dir));
}

/* ---- one server, looked at from outside ------------------------------------------------------ */

static void start(const struct server_options *o)
{
    server_start(&server, o);
    api_use(server.url);
}

static void stop(void)
{
    api_use(NULL);
    server_stop(&server);
}

/* A line "Name:\tvalue" in each thread of the server. */
static void want_status(const char *name, const char *value)
{
    DIR *tasks = opendir(f("/proc/%d/task", (int)server.pid));
    unsigned n = 0;
    ck_assert_ptr_nonnull(tasks);
    for (const struct dirent *e; (e = readdir(tasks));) {
        if (e->d_name[0] == '.')
            continue;
        const char *text = read_text(f("/proc/%d/task/%s/status", (int)server.pid, e->d_name));
        const char *line = strstr(text, f("\n%s:", name));
        ck_assert_msg(line != NULL, "no %s", name);
        line += strlen(name) + 2;
        ck_assert_msg(strncmp(line, value, strlen(value)) == 0 &&
                          strchr(" \n", line[strlen(value)]),
                      "thread %s: %s:%.*s", e->d_name, name, (int)strcspn(line, "\n"), line);
        n++;
    }
    closedir(tasks);
    ck_assert_uint_gt(n, 1); /* the loops, at least */
}

#define NO_CAPABILITIES "\t0000000000000000"

static void want_no_rights(void)
{
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapAmb"};
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        want_status(sets[i], NO_CAPABILITIES);
    want_status("NoNewPrivs", "\t1");
    if (!SANITIZED)
        want_status("Seccomp", "\t2");
}

static void want_user(unsigned uid, unsigned gid)
{
    want_status("Uid", f("\t%u\t%u\t%u\t%u", uid, uid, uid, uid));
    want_status("Gid", f("\t%u\t%u\t%u\t%u", gid, gid, gid, gid));
    want_status("Groups", "\t");
    want_status("CapBnd", NO_CAPABILITIES);
    want_no_rights();
}

/* A port that only root may bind, and that nobody has. */
static int free_low_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int port = 600 + (int)getpid() % 300; port < 1024; port++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        a.sin_port = htons((uint16_t)port);
        bool ok = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        if (ok)
            return port;
    }
    ck_abort_msg("no port below 1024 is free");
    return 0;
}

START_TEST(drops_root)
{
    if (!is_root())
        return;
    int port = free_low_port();
    start(&(struct server_options){.data = data,
                                   .no_port = true,
                                   .args = ARGS("--port", f("%d", port)),
                                   .env = ENV("KINTO_SERVER_USER=4711:4712")});
    want_text(server.url, f(":%d", port));
    want_user(UID, UID + 1);
    make_collection();
    put(R "/r", "{'a':1}");
    want_owner(data, UID);
    stop();
    want_owner(data, UID); /* what is written at the end, too */
}
END_TEST

/* The next start of root, that nobody told anything, is the owner's. */
START_TEST(becomes_the_owner_of_the_data)
{
    if (!is_root())
        return;
    start(&(struct server_options){.data = data, .env = ENV("KINTO_SERVER_USER=4711:4712")});
    make_collection();
    put(R "/r", "{'a':1}");
    stop();
    start(&(struct server_options){.data = data, .env = ENV("KINTO_SERVER_USER=")});
    want_user(UID, UID);
    call("GET", R "/r", NULL);
    want(200);
    stop();
    want_owner(data, UID);
}
END_TEST

START_TEST(hands_over_data_of_root)
{
    if (!is_root())
        return;
    start(&(struct server_options){.data = data, .env = ENV("KINTO_SERVER_USER=root")});
    want_status("Uid", "\t0\t0\t0\t0");
    want_no_rights();
    want_text(log_text(), "WARN process_user user=0");
    make_collection();
    put(R "/r", "{'a':1}");
    stop();
    want_owner(data, 0);
    start(&(struct server_options){.data = data, .env = ENV("KINTO_SERVER_USER=4711")});
    want_text(log_text(), "data_handed_over");
    call("GET", R "/r", NULL);
    want(200);
    stop();
    want_owner(data, UID);
}
END_TEST

START_TEST(memory_is_nobodys)
{
    if (!is_root())
        return;
    start(&(struct server_options){.env = ENV("KINTO_SERVER_USER=")});
    want_user(65534, 65534);
    make_collection();
    stop();
}
END_TEST

static const struct {
    const char *user; /* as in the environment */
    int owner;        /* of the data directory, which is there; -1: it is not */
    unsigned mode;
    const char *said;
} refusals[] = {
    {"KINTO_SERVER_USER=", -1, 0, "started by root"},
    {"KINTO_SERVER_USER=", 0, 0700, "started by root"},
    {"KINTO_SERVER_USER=4711", OTHER, 0700, "belongs to user 4999"},
    {"KINTO_SERVER_USER=root", OTHER, 0700, "belongs to user 4999"},
    {"KINTO_SERVER_USER=no-such-user", -1, 0, "no-such-user"},
    {"KINTO_SERVER_USER=4711:no-such-group", -1, 0, "no-such-group"},
    {"KINTO_SERVER_USER=4711:0", -1, 0, "group 0"},
    {"KINTO_SERVER_USER=4711", 0, 0777, "others may write"},
};

START_TEST(refuses)
{
    const char *out;
    if (!is_root())
        return;
    if (refusals[_i].owner >= 0) {
        ck_assert_int_eq(mkdir(data, 0700), 0);
        ck_assert_int_eq(chmod(data, refusals[_i].mode), 0);
        ck_assert_int_eq(chown(data, (uid_t)refusals[_i].owner, (gid_t)refusals[_i].owner), 0);
    }
    ck_assert_int_eq(
        server_refuse(&(struct server_options){.data = data, .env = ENV(refusals[_i].user)}, &out),
        1);
    want_text(out, refusals[_i].said);
    if (refusals[_i].owner >= 0)
        ck_assert_uint_eq(stat_of(data).st_uid, (uid_t)refusals[_i].owner);
}
END_TEST

START_TEST(a_folder_above_is_closed)
{
    const char *out;
    if (!is_root())
        return;
    ck_assert_int_eq(chmod(base, 0700), 0);
    ck_assert_int_eq(
        server_refuse(&(struct server_options){.data = data, .env = ENV("KINTO_SERVER_USER=4711")},
                      &out),
        1);
    want_text(out, "user 4711 cannot use it");
}
END_TEST

/* Who is not root stays who it is, gives up what it has, and hears that the setting has no effect. */
START_TEST(started_by_another_user)
{
    if (!is_root())
        return;
    if (access(server_binary(), X_OK) != 0 || strncmp(server_binary(), "/root/", 6) == 0) {
        fprintf(stderr, "SKIPPED: others cannot execute %s\n", server_binary());
        return;
    }
    ck_assert_int_eq(chmod(base, 0777), 0);
    const char *ini = f("%s/kinto.ini", base);
    server_write_file(base, "kinto.ini", "[app:main]\n");
    ck_assert_int_eq(chmod(ini, 0644), 0);
    start(&(struct server_options){.data = data,
                                   .uid = UID,
                                   .args = ARGS("--ini", ini),
                                   .env = ENV("KINTO_SERVER_USER=4999")});
    want_status("Uid", "\t4711\t4711\t4711\t4711");
    want_no_rights();
    want_text(log_text(), "only root can become another one");
    stop();
    want_owner(data, UID);
}
END_TEST

START_TEST(data_that_others_can_read_is_told)
{
    ck_assert_int_eq(mkdir(data, 0700), 0);
    ck_assert_int_eq(chmod(data, 0755), 0);
    start(&(struct server_options){.data = data});
    want_text(log_text(), "WARN data_open_to_others");
    ck_assert_uint_eq(stat_of(data).st_mode & 0777, 0755); /* told, not changed */
    stop();
}
END_TEST

/* Whatever the umask of the one who starts it. */
START_TEST(new_files_are_the_owners_alone)
{
    mode_t before = umask(0);
    start(&(struct server_options){.data = data});
    umask(before);
    make_collection();
    stop();
    want_owner(data, geteuid());
}
END_TEST

/* ---- the sandbox and the memory -------------------------------------------------------------- */

START_TEST(sandbox_is_a_setting)
{
    const char *out;
    if (SANITIZED) {
        ck_assert_int_eq(
            server_refuse(&(struct server_options){.env = ENV("KINTO_SERVER_SANDBOX=on")}, &out),
            1);
        want_text(out, "sanitizers");
        return;
    }
    start(&(struct server_options){.env = ENV("KINTO_SERVER_SANDBOX=off")});
    want_status("Seccomp", "\t0");
    want_status("NoNewPrivs", "\t1"); /* rights are given up all the same */
    want_text(log_text(), "WARN sandbox landlock=off seccomp=off");
    stop();
    start(&(struct server_options){.env = ENV("KINTO_SERVER_SANDBOX=auto")});
    want_text(log_text(), " sandbox landlock=");
    bool complete =
        strstr(log_text(), "landlock=0") == NULL && strstr(log_text(), "seccomp=on") != NULL;
    stop();
    if (!complete) {
        fprintf(stderr, "SKIPPED: this kernel has no Landlock or no seccomp\n");
        ck_assert_int_eq(
            server_refuse(&(struct server_options){.env = ENV("KINTO_SERVER_SANDBOX=on")}, &out),
            1);
        want_text(out, "kinto.server.sandbox is on");
        return;
    }
    start(&(struct server_options){.env = ENV("KINTO_SERVER_SANDBOX=on")});
    want_status("Seccomp", "\t2");
    stop();
}
END_TEST

/* From now on a call of this process, and of the servers that it starts, is one that the kernel does not
 * have. False: that cannot be played here. */
static bool take_away(int call)
{
    struct sock_filter code[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)call},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const struct sock_fprog filter = {ARRAY_LEN(code), code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static const struct {
    int call;
    const char *log, *reason;
} lacks[] = {
    {444 /* landlock_create_ruleset */, "landlock=0 ", "this kernel has no Landlock"},
    {SYS_seccomp, "seccomp=none", "this kernel has no "},
};

/* `auto` goes on with what there is, and warns; `on` does not start. */
START_TEST(kernels_that_lack_something)
{
    const char *out;
    if (SANITIZED || !take_away(lacks[_i].call)) {
        fprintf(stderr, SANITIZED ? "SKIPPED: a build with sanitizers\n"
                                  : "SKIPPED: this kernel has no seccomp filters\n");
        return;
    }
    start(&(struct server_options){.env = ENV("KINTO_SERVER_SANDBOX=auto")});
    want_text(log_text(), "WARN sandbox landlock=");
    want_text(log_text(), lacks[_i].log);
    call("GET", "/", NULL);
    want(200);
    want_status("NoNewPrivs", "\t1");
    stop();
    ck_assert_int_eq(
        server_refuse(&(struct server_options){.env = ENV("KINTO_SERVER_SANDBOX=on")}, &out), 1);
    want_text(out, "kinto.server.sandbox is on");
    want_text(out, lacks[_i].reason);
}
END_TEST

/* Files of /proc of a process that may not be looked at are root's. */
START_TEST(memory_is_not_dumped)
{
    if (SANITIZED) {
        fprintf(stderr, "SKIPPED: a build with sanitizers\n");
        return;
    }
    start(&(struct server_options){.data = data});
    want_text(read_text(f("/proc/%d/limits", (int)server.pid)),
              "Max core file size        0                    0 ");
    stop();
    if (!is_root())
        return;
    for (int dumps = 0; dumps <= 1; dumps++) {
        start(&(struct server_options){
            .env = ENV("KINTO_SERVER_USER=",
                       f("KINTO_SERVER_CORE_DUMPS=%s", dumps ? "true" : "false"))});
        ck_assert_uint_eq(stat_of(f("/proc/%d/maps", (int)server.pid)).st_uid, dumps ? 65534 : 0);
        stop();
    }
}
END_TEST

/* ---- Unix sockets ---------------------------------------------------------------------------- */

START_TEST(unix_socket_belongs_to_the_user)
{
    if (!is_root())
        return;
    const char *run = f("%s/run", base), *path = f("%s/run/s", base);
    ck_assert_int_eq(mkdir(run, 0700), 0);
    ck_assert_int_eq(chown(run, UID, UID), 0);
    start(&(struct server_options){
        .no_port = true,
        .sections = f("[server:main]\nunix_socket = %s\nunix_socket_perms = 660\n", path),
        .env = ENV("KINTO_SERVER_USER=4711:4712")});
    struct stat st = stat_of(path);
    ck_assert_uint_eq(st.st_mode & 0777, 0660);
    ck_assert(st.st_uid == UID && st.st_gid == UID + 1);
    call("GET", "/", NULL);
    want(200);
    stop();
    ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(unix_socket_perms_that_mean_nothing)
{
    const char *out;
    ck_assert_int_eq(
        server_refuse(&(struct server_options){.env = ENV("KINTO_SERVER_UNIX_SOCKET_PERMS=rw")},
                      &out),
        1);
    want_text(out, "kinto.server.unix_socket_perms");
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------ */

static void want_log_soon(const char *part)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (!strstr(log_text(), part)) {
        ck_assert_msg(clock_mono_ms() < until, "no \"%s\" in: %s", part, log_text());
        wait_tick();
    }
}

static void want_https(const char *certificate)
{
    struct http_conn *c = http_open(server.url, certificate, WAIT_MS);
    ck_assert_ptr_nonnull(c);
    raw_call(c, "GET /v1/__lbheartbeat__ HTTP/1.1\r\nHost: h\r\n\r\n");
    ck_assert_int_eq(re.status, 200);
    http_close(c);
}

/* The key is root's alone, and serves all the same; read again it can be only once it is the user's. */
START_TEST(key_of_root)
{
    const char *out;
    char certificate[200], key[200];
    if (!is_root())
        return;
    ck_assert_int_eq(server_run(base,
                                ARGS("init", "--ini", f("%s/init.ini", base), "--backend", "memory",
                                     "--tls-self-signed"),
                                &out),
                     0);
    snprintf(certificate, sizeof certificate, "%s/kinto-certificate.pem", base);
    snprintf(key, sizeof key, "%s/kinto-key.pem", base);
    ck_assert_int_eq(stat_of(key).st_mode & 0777, 0600);
    start(&(struct server_options){
        .settings = f("kinto.tls_certificate = %s\nkinto.tls_key = %s", certificate, key),
        .env = ENV("KINTO_SERVER_USER=4711")});
    want_user(UID, UID); /* the threads of handshakes, too */
    want_https(certificate);
    kill(server.pid, SIGHUP);
    want_log_soon("not_reloaded");
    want_https(certificate);
    ck_assert(chown(key, UID, UID) == 0 && chown(certificate, UID, UID) == 0);
    kill(server.pid, SIGHUP);
    want_log_soon(" reloaded ");
    want_https(certificate);
    stop();
}
END_TEST

/* ---- commands -------------------------------------------------------------------------------- */

static void make_data_of_user(void)
{
    start(&(struct server_options){.data = data, .env = ENV("KINTO_SERVER_USER=4711")});
    make_collection();
    put(R "/r", "{'a':1}");
    stop();
}

static void want_run(const char *const *args)
{
    const char *out;
    ck_assert_msg(server_run(base, args, &out) == 0, "%s %s: %s", args[0], args[1], out);
}

/* What root runs leaves nothing that the server could not read. */
START_TEST(commands_of_root_leave_nothing_of_roots)
{
    if (!is_root())
        return;
    make_data_of_user();
    server_write_file(base, "users.ini",
                      "[app:main]\nmultiauth.policies = account\n"
                      "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"
                      "kinto.includes = kinto.plugins.accounts\n");
    want_run(ARGS("check", "--data", data));
    want_run(ARGS("compact", "--data", data));
    want_run(ARGS("migrate", "--data", data));
    want_run(ARGS("purge-deleted", "--data", data, "record", "0"));
    want_run(ARGS("create-user", "--ini", f("%s/users.ini", base), "--data", data, "-u", "ann",
                  "-p", "secret"));
    want_run(ARGS("check", "--repair", "--data", data));
    want_owner(data, UID);
}
END_TEST

/* A backup of root's is out of the server's reach, and comes back to whoever has the directory. */
START_TEST(backup_and_restore_of_root)
{
    if (!is_root())
        return;
    make_data_of_user();
    const char *backup = f("%s/backup", base), *back = f("%s/back", base), *out;
    want_run(ARGS("backup", "--data", data, backup));
    want_owner(backup, 0);
    want_owner(data, UID);
    ck_assert_int_eq(mkdir(back, 0700), 0);
    ck_assert_int_eq(chown(back, OTHER, OTHER), 0);
    want_run(ARGS("restore", "--data", back, backup));
    want_owner(back, OTHER);
    ck_assert_int_eq(server_run(base, ARGS("restore", "--data", data, backup), &out), 1);
    want_text(out, f("%s: is not empty", data));
    want_owner(data, UID); /* it was not empty, and is theirs as before */
    start(&(struct server_options){.data = back, .env = ENV("KINTO_SERVER_USER=")});
    want_status("Uid", "\t4999\t4999\t4999\t4999");
    call("GET", R "/r", NULL);
    want(200);
    stop();
}
END_TEST

/* ---- systemd --------------------------------------------------------------------------------- */

static int tcp_socket(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 64) == 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

/* The socket stays with whoever passed it: nobody is refused between two servers. */
START_TEST(serves_passed_sockets)
{
    int port, fd = tcp_socket(&port), pass[] = {fd, -1};
    const char *url = f("http://127.0.0.1:%d", port);
    const struct server_options o = {.data = data, .pass = pass, .no_port = true};

    start(&o);
    ck_assert_str_eq(server.url, url);
    make_collection();
    put(R "/r", "{'a':1}");
    api_use(NULL);
    ck_assert(server_end(&server));
    struct http_conn *c = http_open(url, NULL, WAIT_MS); /* waits in the queue of the socket */
    ck_assert_ptr_nonnull(c);
    server_restart(&server, &o);
    raw_call(c, f("GET /v1" R "/r HTTP/1.1\r\nHost: h\r\n%s\r\n", raw_auth()));
    ck_assert_int_eq(re.status, 200);
    http_close(c);
    stop();
    close(fd);
}
END_TEST

START_TEST(passed_unix_socket_stays)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *path = f("%s/s", base);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), pass[] = {fd, -1};

    memcpy(a.sun_path, path, strlen(path));
    ck_assert(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 64) == 0);
    start(&(struct server_options){.pass = pass, .no_port = true});
    ck_assert_str_eq(server.url, f("unix:%s", path));
    call("GET", "/", NULL);
    want(200);
    stop();
    ck_assert_int_eq(access(path, F_OK), 0);
    close(fd);
}
END_TEST

static const char *next_datagram(int fd)
{
    static char text[1024];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ck_assert_msg(poll(&p, 1, WAIT_MS) == 1, "nothing was told");
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

/* An abstract socket cannot be reached from the sandbox, but for having been opened before. */
START_TEST(tells_systemd)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *name = _i == 0 ? f("%s/notify", base) : f("@kinto-test-%d", (int)getpid());
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(a.sun_path, name, strlen(name));
    if (_i == 1)
        a.sun_path[0] = '\0';
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
    start(&(struct server_options){
        .env = ENV(f("NOTIFY_SOCKET=%s", name), "WATCHDOG_USEC=400000", "KINTO_SERVER_USER=")});
    ck_assert_int_eq(strncmp(next_datagram(fd), "READY=1\nSTATUS=", 15), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_str_eq(next_datagram(fd), "WATCHDOG=1");
    api_use(NULL);
    ck_assert(server_end(&server));
    const char *last = next_datagram(fd);
    while (strcmp(last, "WATCHDOG=1") == 0)
        last = next_datagram(fd);
    ck_assert_str_eq(last, "STOPPING=1");
    server_remove(&server);
    close(fd);
}
END_TEST

/* A reload more often than signs of life are due is no silence. */
START_TEST(reloads_do_not_silence_it)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *name = f("%s/notify", base);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), signs = 0;

    memcpy(a.sun_path, name, strlen(name));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    start(&(struct server_options){
        .env = ENV(f("NOTIFY_SOCKET=%s", name), "WATCHDOG_USEC=400000", "KINTO_SERVER_USER=")});
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (signs < 3) {
        const char *said = next_datagram(fd);
        ck_assert_msg(clock_mono_ms() < until, "%d signs of life", signs);
        signs += strcmp(said, "WATCHDOG=1") == 0;
        if (strncmp(said, "READY=1", 7) == 0)
            kill(server.pid, SIGHUP);
    }
    stop();
    close(fd);
}
END_TEST

/* Below 4 ms there is no whole quarter of it. */
START_TEST(a_watchdog_of_few_milliseconds)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *name = f("%s/notify", base);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(a.sun_path, name, strlen(name));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    start(&(struct server_options){
        .env = ENV(f("NOTIFY_SOCKET=%s", name), "WATCHDOG_USEC=2000", "KINTO_SERVER_USER=")});
    ck_assert_int_eq(strncmp(next_datagram(fd), "READY=1\nSTATUS=", 15), 0);
    ck_assert_str_eq(next_datagram(fd), "WATCHDOG=1");
    stop();
    close(fd);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/process");
    TCase *t = api_case_own(s, "process");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, drops_root);
    tcase_add_test(t, becomes_the_owner_of_the_data);
    tcase_add_test(t, hands_over_data_of_root);
    tcase_add_test(t, memory_is_nobodys);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_LEN(refusals));
    tcase_add_test(t, a_folder_above_is_closed);
    tcase_add_test(t, started_by_another_user);
    tcase_add_test(t, data_that_others_can_read_is_told);
    tcase_add_test(t, new_files_are_the_owners_alone);
    tcase_add_test(t, sandbox_is_a_setting);
    tcase_add_loop_test(t, kernels_that_lack_something, 0, (int)ARRAY_LEN(lacks));
    tcase_add_test(t, memory_is_not_dumped);
    tcase_add_test(t, unix_socket_belongs_to_the_user);
    tcase_add_test(t, unix_socket_perms_that_mean_nothing);
    tcase_add_test(t, key_of_root);
    tcase_add_test(t, commands_of_root_leave_nothing_of_roots);
    tcase_add_test(t, backup_and_restore_of_root);
    tcase_add_test(t, serves_passed_sockets);
    tcase_add_test(t, passed_unix_socket_stays);
    tcase_add_loop_test(t, tells_systemd, 0, 2);
    tcase_add_test(t, reloads_do_not_silence_it);
    tcase_add_test(t, a_watchdog_of_few_milliseconds);
    return s;
}

API_MAIN(suite, NULL)
