/*
 * test/http/test_cli.c - the command line and the settings as their users meet them: help, usage
 * errors, init, what stops a start and in which words, where settings come from, what start prints,
 * how it stops, and what is still there after the next start.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "test/support/api.h"
#include "test/support/unit.h"
#include "test/support/wait.h"

#ifdef KINTO_DEBUG
#define STOP_MS 5000 /* leak checks */
#else
#define STOP_MS 500
#endif

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static unsigned mode_of(const char *path)
{
    struct stat st;
    ck_assert_msg(stat(path, &st) == 0, "%s is not there", path);
    return (unsigned)st.st_mode & 0777;
}

/* ---- words ----------------------------------------------------------------------------------- */

START_TEST(help_fits_one_screen)
{
    static const char *const ways[][3] = {{"--help"}, {"-h"}, {"start", "--help"}, {"init", "-h"}};
    const char *out;
    ck_assert_int_eq(server_run(NULL, ways[_i], &out), 0);
    int lines = 0;
    for (const char *c = out; *c; c++)
        lines += *c == '\n';
    ck_assert_int_le(lines, 44);
    static const char *const names[] = {
        "init",  "start",   "migrate", "version",  "purge-deleted", "backup", "restore",
        "check", "compact", "--port",  "--memory", "--data",        "--ini"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        want_text(out, names[i]);
}
END_TEST

START_TEST(version_is_a_number)
{
    const char *out;
    ck_assert_int_eq(server_run(NULL, ARGS("version"), &out), 0);
    ck_assert_str_eq(out, KINTO_VERSION "\n");
}
END_TEST

static const char *const bad_usage[][5] = {
    {NULL},
    {"serve"},
    {"create-user", "name"},
    {"create-user", "--port", "1"},
    {"--ini"},
    {"start", "--reload"},
    {"start", "now"},
    {"start", "--port"},
    {"start", "--port", "http"},
    {"start", "--port", "65536"},
    {"start", "--port=-1"},
    {"start", "--memory=yes"},
    {"start", "-q", "-v"},
    {"start", "--backend", "memory"},
    {"init", "--backend", "postgresql"},
    {"init", "--cache-backend", "redis"},
    {"version", "--port", "1"},
    {"purge-deleted"},
    {"purge-deleted", "record"},
    {"purge-deleted", "1"},
    {"purge-deleted", "record", "many"},
    {"purge-deleted", "--memory", "record", "1"},
    {"backup"},
    {"backup", "a", "b"},
    {"backup", "--since", "a"},
    {"backup", "--port", "1", "a"},
    {"backup", "--memory", "a"},
    {"restore"},
    {"restore", "a", "b"},
    {"restore", "--since", "a", "b"},
};

START_TEST(bad_usage_is_status_2)
{
    const char *out;
    char dir[160];
    new_dir(dir, sizeof dir);
    ck_assert_int_eq(server_run(dir, bad_usage[_i], &out), 2);
    want_text(out, "kinto: ");
    want_text(out, "--help");
    ck_assert_msg(rmdir(dir) == 0, "something was written");
}
END_TEST

/* ---- init ------------------------------------------------------------------------------------ */

/* The value of a key in an INI text, up to the end of its line. */
static const char *value_of(const char *text, const char *key)
{
    const char *at = strstr(text, f("\n%s = ", key));
    ck_assert_msg(at != NULL, "%s is not set", key);
    at += strlen(key) + 4;
    return f("%.*s", (int)strcspn(at, "\n"), at);
}

START_TEST(init_writes_secrets_of_its_own)
{
    const char *secrets[2][2], *out;
    char dir[160];
    new_dir(dir, sizeof dir);
    for (int i = 0; i < 2; i++) {
        const char *path = f("%s/%d/deep/kinto.ini", dir, i);
        ck_assert_int_eq(server_run(NULL, ARGS("init", "--ini", path), &out), 0);
        want_text(out, path);
        ck_assert_uint_eq(mode_of(path), 0600);
        const char *text = read_text(path);
        secrets[i][0] = value_of(text, "kinto.userid_hmac_secret");
        secrets[i][1] = value_of(text, "kinto.default_bucket_hmac_secret");
        ck_assert_uint_eq(strlen(secrets[i][0]), 64);
        ck_assert_str_ne(secrets[i][0], secrets[i][1]);
        ck_assert_str_eq(value_of(text, "kinto.storage_backend"), "kinto.engine");
        ck_assert_str_eq(value_of(text, "host"), "127.0.0.1");
    }
    ck_assert_str_ne(secrets[0][0], secrets[1][0]);
    struct server gone = {0};
    snprintf(gone.dir, sizeof gone.dir, "%s", dir);
    server_remove(&gone);
}
END_TEST

START_TEST(init_does_not_overwrite)
{
    struct server s = {0};
    const char *out;
    new_dir(s.dir, sizeof s.dir);
    server_write_file(s.dir, "kinto.ini", "precious\n");
    const char *path = f("%s/kinto.ini", s.dir);
    ck_assert_int_eq(server_run(NULL, ARGS("init", "--ini", path), &out), 1);
    want_text(out, f("%s already exists", path));
    ck_assert_str_eq(read_text(path), "precious\n");
    server_remove(&s);
}
END_TEST

START_TEST(init_takes_backend_host_and_place)
{
    struct server s = {0};
    new_dir(s.dir, sizeof s.dir);
    ck_assert_int_eq(
        server_run(s.dir, ARGS("init", "--backend", "memory", "--host", "0.0.0.0"), NULL), 0);
    const char *text = read_text(f("%s/config/kinto.ini", s.dir));
    ck_assert_str_eq(value_of(text, "kinto.storage_backend"), "kinto.core.storage.memory");
    ck_assert_str_eq(value_of(text, "host"), "0.0.0.0");
    setenv("KINTO_INI", f("%s/named.ini", s.dir), 1);
    ck_assert_int_eq(server_run(s.dir, ARGS("init"), NULL), 0);
    ck_assert_uint_eq(mode_of(f("%s/named.ini", s.dir)), 0600);
    server_remove(&s);
}
END_TEST

START_TEST(init_asks_on_a_terminal)
{
    struct server s = {0};
    int status = 0;
    new_dir(s.dir, sizeof s.dir);
    const char *path = f("%s/kinto.ini", s.dir);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    static const char answers[] = "what?\n1\n";
    ck_assert_int_eq(write(master, answers, sizeof answers - 1), sizeof answers - 1);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(terminal, 0);
        dup2(terminal, 1);
        execl(server_binary(), "kinto", "init", "--ini", path, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    close(terminal);
    close(master);
    ck_assert_str_eq(value_of(read_text(path), "kinto.storage_backend"),
                     "kinto.core.storage.memory");
    server_remove(&s);
}
END_TEST

static bool is_echoing(int terminal)
{
    struct termios t;
    ck_assert_int_eq(tcgetattr(terminal, &t), 0);
    return (t.c_lflag & ECHO) != 0;
}

/* Stopped at the question for a password, which is not shown: the terminal shows what is typed again. */
START_TEST(create_user_is_interrupted)
{
    struct server s = {0};
    int status = 0;
    new_dir(s.dir, sizeof s.dir);
    ck_assert_int_eq(server_run(s.dir, ARGS("init", "--ini", f("%s/kinto.ini", s.dir)), NULL), 0);
    const char *path = f("%s/kinto.ini", s.dir), *data = f("%s/data", s.dir);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(terminal, 0);
        dup2(terminal, 1);
        setenv("KINTO_INCLUDES", "kinto.plugins.accounts", 1);
        execl(server_binary(), "kinto", "create-user", "--ini", path, "--data", data, "-u", "bob",
              (char *)NULL);
        _exit(127);
    }
    while (is_echoing(terminal) && waitpid(pid, &status, WNOHANG) == 0)
        wait_tick();
    ck_assert_int_eq(kill(pid, SIGINT), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "status %x", status);
    ck_assert(is_echoing(terminal));
    close(terminal);
    close(master);
    server_remove(&s);
}
END_TEST

START_TEST(what_init_writes_starts)
{
    struct server s = {0};
    new_dir(s.dir, sizeof s.dir);
    ck_assert_int_eq(server_run(s.dir, ARGS("init", "--ini", f("%s/kinto.ini", s.dir)), NULL), 0);
    server_restart(&s, &(struct server_options){.durable = true});
    api_use(s.url);
    as("alice");
    make("/buckets/b");
    api_use(NULL);
    ck_assert_msg(access(f("%s/data/secret", s.dir), F_OK) != 0, "the INI has the secret");
    server_stop(&s);
}
END_TEST

/* ---- what stops a start ---------------------------------------------------------------------- */

#define APP "[app:main]\n"
static const struct {
    const char *ini, *says;
} refused[] = {
    {APP "kinto.paginate_by = many\n", "kinto.ini:2: kinto.paginate_by: found \"many\""},
    {APP "\nkinto.batch_max_requests = -1\n",
     "kinto.ini:3: kinto.batch_max_requests: found \"-1\""},
    {APP "kinto.readonly = perhaps\n", "kinto.ini:2: kinto.readonly: found \"perhaps\""},
    {APP "kinto.http_scheme = gopher\n", "kinto.ini:2: kinto.http_scheme: found \"gopher\""},
    {APP "[server:main]\nport = 70000\n", "kinto.ini:3: kinto.server.port: found \"70000\""},
    {APP "kinto.includes = kinto.plugins.flush\n   kinto.plugins.nonesuch\n",
     "kinto.ini:2: kinto.includes: there is no plugin \"kinto.plugins.nonesuch\""},
    {APP "kinto.includes = my.own.plugin\n", "kinto.plugins.default_bucket"},
    {APP "kinto.storage_backend = kinto.core.storage.postgresql\n",
     "only kinto.core.storage.memory"},
    {APP "kinto.storage_backend = kinto.core.storage.postgresql\n",
     "kinto.ini:2: kinto.storage_back"},
    {APP "kinto.permission_backend = my.permission\n", "kinto.ini:2: kinto.permission_backe"},
    {APP "kinto.permission_backend = kinto_redis.permission\n"
         "kinto.storage_backend = kinto.core.storage.memory\n",
     "kinto.ini:2: kinto.permission_backend: permissions live with the objects"},
    {APP "kinto.cache_backend = my.cache\n", "kinto.ini:2: kinto.cache_backend"},
    {APP "kinto.experimental_collection_schema_validation = perhaps\n",
     "kinto.ini:2: kinto.experimental_collection_schema_validation"},
    {APP "kinto.event_listeners = redis\n", "kinto.ini:2: kinto.event_listeners: \"redis\""},
    {APP "kinto.http_api_version = 2.0\n", "kinto.ini:2: kinto.http_api_version: found \"2.0\""},
    {APP "kinto.http_host = http://here\n", "kinto.ini:2: kinto.http_host: found \"http://here\""},
    {APP "kinto.record_id_generator = my.Generator\n", "kinto.ini:2: kinto.record_id_generator"},
    {APP "kinto.tls_key = key.pem\n",
     "kinto.ini:2: kinto.tls_key: 1 of them, and 0 in kinto.tls_certificate"},
    {APP "kinto.tls_certificate = /nowhere/c.pem\nkinto.tls_key = /nowhere/k.pem\n",
     "/nowhere/c.pem"},
    {APP "[server:main]\nlisten = here\n", "kinto.ini:3: kinto.server.listen: \"here\""},
    {APP "[server:main]\nlisten = a:1 []:1\n", "kinto.ini:3: kinto.server.listen: \"[]:1\""},
    {APP "[server:main]\nlisten = ::1:80\n", "kinto.ini:3: kinto.server.listen: \"::1:80\""},
    {APP "[server:main]\nlisten = a:1 a:99999\n", "kinto.ini:3: kinto.server.listen: \"a:99999\""},
    {APP "[server:main]\nmax_total_request_memory = 512\n",
     "kinto.ini:3: kinto.server.max_total_request_memory: found \"512\""},
    {APP "[server:main]\nhost = no.such.host.invalid\n", "no.such.host.invalid"},
    {APP "kinto.index.blog = a\n", "kinto.ini:2: kinto.index.blog: it is kinto.index.BUCKET.COLLE"},
    {APP "kinto.index.a.b.c = a\n", "kinto.ini:2: kinto.index.a.b.c: "},
    {APP "kinto.index.b.c = a++b\n",
     "kinto.ini:2: kinto.index.b.c: \"a++b\": a field without a name"},
    {APP "kinto.index.b.c = a+last_modified\n", "last_modified ends every index by itself"},
    {APP "kinto.index.b.c = a b c d e f g h i\n", "more than 8 indexes"},
    {APP "kinto.index.b.c = a+b+c+d+e\n", "more than 4 fields"},
    {APP "multiauth.policies = mine\nmultiauth.policy.mine.use = my.Policy\n", "my.Policy"},
    {APP "multiauth.policies = mine\n", "kinto.ini:2"},
    {APP "kinto.paginate_by = 1\nkinto.paginate_by = 2\n", "kinto.ini:3"},
    {APP "no setting\n", "kinto.ini:2"},
    {"kinto.paginate_by = 1\n", "kinto.ini:1"},
    {APP "kinto.project_name = %(nothing)s\n", "kinto.ini:2"},
};

START_TEST(a_bad_setting_stops_the_start)
{
    const char *out;
    const struct server_options o = {
        .ini = refused[_i].ini, .no_port = strstr(refused[_i].ini, "[server"), .durable = true};
    ck_assert_int_eq(server_refuse(&o, &out), 1);
    want_text(out, refused[_i].says);
    ck_assert_msg(strncmp(out, "kinto: ", 7) == 0 || strstr(out, "\nkinto: "), "%s", out);
}
END_TEST

START_TEST(a_storage_url_that_is_no_directory_stops_the_start)
{
    static const char *const urls[] = {"postgresql://me@there/db", "file://relative"};
    struct server s = {0};
    const char *out;
    new_dir(s.dir, sizeof s.dir);
    server_write_file(s.dir, "kinto.ini", f(APP "kinto.storage_url = %s\n", urls[_i]));
    ck_assert_int_eq(server_run(s.dir, ARGS("start", "--port", "0"), &out), 1);
    want_text(out, "kinto.ini:2: kinto.storage_url: ");
    want_text(out, urls[_i]);
    server_remove(&s);
}
END_TEST

START_TEST(a_missing_ini_stops_the_start)
{
    const char *out;
    ck_assert_int_eq(server_run(NULL, ARGS("start", "--memory", "--ini", "/nowhere/k.ini"), &out),
                     1);
    want_text(out, "/nowhere/k.ini");
    setenv("KINTO_INI", "/nowhere/else.ini", 1);
    ck_assert_int_eq(server_run(NULL, ARGS("start", "--memory", "--port", "0"), &out), 1);
    want_text(out, "/nowhere/else.ini");
}
END_TEST

START_TEST(a_bad_environment_stops_the_start)
{
    const char *out;
    const struct server_options o = {
        .env = (const char *const[]){"KINTO_BATCH_MAX_REQUESTS=lots", NULL}};
    ck_assert_int_eq(server_refuse(&o, &out), 1);
    want_text(out, "environment: kinto.batch_max_requests: found \"lots\"");
}
END_TEST

START_TEST(a_taken_port_stops_the_start)
{
    struct server s;
    const char *out;
    server_start(&s, &(struct server_options){0});
    const char *port = strrchr(s.url, ':') + 1;
    const struct server_options o = {.no_port = true,
                                     .args = (const char *const[]){"--port", port, NULL}};
    ck_assert_int_eq(server_refuse(&o, &out), 1);
    want_text(out, port);
    server_stop(&s);
}
END_TEST

/* ---- where settings come from ---------------------------------------------------------------- */

/* Of GET /v1/. */
static const char *hello(const struct server *s, const char *pointer)
{
    api_use(s->url);
    as(NULL);
    call("GET", "/", NULL);
    want(200);
    const char *value = f("%s", at(pointer));
    api_use(NULL);
    return value;
}

START_TEST(environment_wins_over_the_ini)
{
    struct server s;
    const struct server_options o = {
        .settings = "kinto.batch_max_requests = 7\nkinto.project_name = ini\nmultiauth.policies =",
        .env = (const char *const[]){"KINTO_BATCH_MAX_REQUESTS=9", "MULTIAUTH_POLICIES=basicauth",
                                     "KINTO_PROJECT_DOCS=\"http://docs\"", NULL}};
    server_start(&s, &o);
    ck_assert_str_eq(hello(&s, "/settings/batch_max_requests"), "9");
    ck_assert_str_eq(hello(&s, "/project_name"), "ini");
    ck_assert_str_eq(hello(&s, "/project_docs"), "http://docs");
    hello(&s, "/capabilities/basicauth");
    server_stop(&s);
}
END_TEST

START_TEST(unknown_settings_are_named)
{
    struct server s;
    server_start(&s, &(struct server_options){.ini = APP "kinto.frobnicate = 1\n"
                                                         "[server:main]\nspeed = 2\n"});
    const char *text = read_text(f("%s/stderr", s.dir));
    want_text(text, "kinto.frobnicate");
    want_text(text, "line=2");
    want_text(text, "speed");
    want_text(text, "line=4");
    ck_assert_ptr_null(strstr(strstr(text, "frobnicate") + 1, "frobnicate"));
    server_stop(&s);
}
END_TEST

/* The reference's backends of what lives with the objects here: the INI starts, and it is told. */
START_TEST(backends_without_effect_are_named_once)
{
    static const char *const keys[] = {"kinto.cache_backend", "kinto.permission_backend",
                                       "kinto.statsd_url"};
    struct server s;
    server_start(&s, &(struct server_options){
                         .ini = APP "kinto.cache_backend = kinto.core.cache.memcached\n"
                                    "kinto.permission_backend = kinto.core.permission.postgresql\n"
                                    "kinto.statsd_url = udp://here\n",
                         .durable = true});
    const char *text = read_text(f("%s/stderr", s.dir));
    want_text(text, "setting_without_effect");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *first = strstr(text, f("key=%s ", keys[i]));
        ck_assert_msg(first != NULL, "%s is not in: %s", keys[i], text);
        ck_assert_ptr_null(strstr(first + 1, f("key=%s ", keys[i])));
    }
    server_stop(&s);
}
END_TEST

START_TEST(the_command_line_wins)
{
    struct server s;
    server_start(
        &s, &(struct server_options){
                .sections = "[server:main]\nhost = 192.0.2.1\nport = 1\nlisten = 192.0.2.1:1\n",
                .args = (const char *const[]){"--host", "127.0.0.1", NULL}});
    ck_assert_int_eq(strncmp(s.url, "http://127.0.0.1:", 17), 0);
    server_stop(&s);
}
END_TEST

START_TEST(an_empty_host_is_this_machine_only)
{
    struct server s;
    server_start(&s, &(struct server_options){.sections = "[server:main]\nhost =\n"});
    ck_assert_int_eq(strncmp(s.url, "http://127.0.0.1:", 17), 0);
    server_stop(&s);
    server_start(&s, &(struct server_options){.sections = "[server:main]\nhost = *\n"});
    ck_assert_int_eq(strncmp(s.url, "http://0.0.0.0:", 15), 0);
    server_stop(&s);
}
END_TEST

START_TEST(the_port_reaches_the_ini)
{
    struct server s;
    server_start(&s, &(struct server_options){.ini = APP
                                              "kinto.project_name = %(http_port)s in %(here)s\n"
                                              "[server:main]\nport = %(http_port)s\n",
                                              .no_port = true,
                                              .args = (const char *const[]){"--port", "0", NULL}});
    ck_assert_str_eq(hello(&s, "/project_name"), f("0 in %s", s.dir));
    server_stop(&s);
}
END_TEST

START_TEST(url_scheme_of_the_server_section_counts)
{
    struct server s;
    server_start(&s, &(struct server_options){.sections = "[server:main]\nurl_scheme = https\n"});
    ck_assert_int_eq(strncmp(hello(&s, "/url"), "https://127.0.0.1:", 18), 0);
    server_stop(&s);
}
END_TEST

START_TEST(several_addresses)
{
    struct server s;
    server_start(
        &s, &(struct server_options){.sections = "[server:main]\nlisten = 127.0.0.1:0 [::1]:0\n",
                                     .no_port = true});
    want_text(s.line, "/v1/ and http://[::1]:");
    hello(&s, "/url");
    snprintf(s.url, sizeof s.url, "%s", strstr(s.line, "http://["));
    s.url[strcspn(s.url, " ") - 4] = '\0';
    ck_assert_str_eq(hello(&s, "/url"), f("%s/v1/", s.url));
    server_stop(&s);
}
END_TEST

START_TEST(an_ipv6_address_alone)
{
    struct server s;
    server_start(&s, &(struct server_options){.sections = "[server:main]\nlisten = [::1]:0\n",
                                              .no_port = true});
    want_text(s.line, "http://[::1]:");
    server_stop(&s);
}
END_TEST

START_TEST(a_unix_socket)
{
    struct server s = {0};
    new_dir(s.dir, sizeof s.dir);
    server_write_file(s.dir, "kinto.ini", APP "[server:main]\nunix_socket = %(here)s/kinto.sock\n");
    server_restart(&s, &(struct server_options){.no_port = true});
    ck_assert_str_eq(s.url, f("unix:%s/kinto.sock", s.dir));
    hello(&s, "/project_name");
    ck_assert(server_end(&s));
    server_restart(&s, &(struct server_options){.no_port = true});
    hello(&s, "/project_name");
    server_stop(&s);
}
END_TEST

/* cert.pem and key.pem for 127.0.0.1 in the server's folder. */
static void make_certificate(const struct server *s)
{
    const char *command = f("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                            "-days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1 "
                            "-keyout %s/key.pem -out %s/cert.pem 2>/dev/null",
                            s->dir, s->dir);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(tls_by_two_files)
{
    struct server s = {0};
    new_dir(s.dir, sizeof s.dir);
    make_certificate(&s);
    server_write_file(s.dir, "kinto.ini",
                      APP "kinto.tls_certificate = %(here)s/cert.pem\n"
                          "kinto.tls_key = %(here)s/key.pem\n");
    server_restart(&s, &(struct server_options){0});
    ck_assert_int_eq(strncmp(s.url, "https://127.0.0.1:", 18), 0);
    struct http_conn *c = http_open(s.url, f("%s/cert.pem", s.dir), 5000);
    ck_assert_ptr_nonnull(c);
    static const char ask[] = "GET /v1/ HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
    ck_assert(http_send(c, ask, sizeof ask - 1));
    ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
    ck_assert_int_eq(re.status, 200);
    want_text(re.body, "\"url\":\"https://here/v1/\"");
    http_close(c);
    server_stop(&s);
}
END_TEST

START_TEST(limits_of_the_server_section)
{
    struct server s;
    server_start(&s, &(struct server_options){.sections = "[server:main]\nident = me\n"
                                                          "max_request_body_size = 2000\n"
                                                          "max_request_header_size = 1500\n"});
    api_use(s.url);
    as("alice");
    make("/buckets/b");
    want_header("Server", "me");
    call("PATCH", "/buckets/b", f("{'data':{'a':'%01900d'}}", 0));
    want(200);
    call("PATCH", "/buckets/b", f("{'data':{'a':'%02000d'}}", 0));
    want(413);
    with("X-Filler", f("%01500d", 0));
    call("GET", "/buckets/b", NULL);
    want(431);
    api_use(NULL);
    server_stop(&s);
}
END_TEST

/* ---- without --ini --------------------------------------------------------------------------- */

/* Starts `kinto start ...` in the server's folder and reads its first line. */
static void start_in(struct server *s, const char *const *args)
{
    int out[2];
    size_t n = 0;
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    s->pid = fork();
    if (s->pid == 0) {
        const char *argv[16] = {server_binary(), "start"};
        for (size_t i = 0; args[i]; i++)
            argv[i + 2] = args[i];
        dup2(out[1], 1);
        if (chdir(s->dir) == 0)
            execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(out[1]);
    s->out = out[0];
    while (n + 1 < sizeof s->line && read(s->out, s->line + n, 1) == 1 && s->line[n] != '\n')
        n++;
    s->line[n] = '\0';
    const char *url = strstr(s->line, "http://");
    ck_assert_msg(url != NULL, "no URL in \"%s\"", s->line);
    snprintf(s->url, sizeof s->url, "%.*s", (int)(7 + strcspn(url + 7, "/")), url);
}

START_TEST(nothing_given_is_durable_in_the_folder)
{
    struct server s = {0};
    new_dir(s.dir, sizeof s.dir);
    start_in(&s, ARGS("--port", "0"));
    want_text(s.line, "data=./kinto-data recovered ");
    ck_assert_uint_eq(mode_of(f("%s/kinto-data/secret", s.dir)), 0600);
    ck_assert_uint_eq(mode_of(f("%s/kinto-data", s.dir)), 0700);
    api_use(s.url);
    as("alice");
    call("GET", "/buckets/default", NULL);
    want(200);
    call("POST", "/__flush__", NULL);
    want(404);
    api_use(NULL);
    server_stop(&s);
}
END_TEST

START_TEST(as_many_files_as_are_allowed)
{
    struct server s = {0};
    char name[64];
    struct rlimit files;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    ck_assert_uint_gt(files.rlim_max, 200);
    files.rlim_cur = 200;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    server_start(&s, &(struct server_options){0});
    snprintf(name, sizeof name, "/proc/%d/limits", (int)s.pid);
    const char *line = strstr(read_text(name), "Max open files");
    ck_assert(line != NULL);
    char *end;
    unsigned long soft = strtoul(line + strlen("Max open files"), &end, 10);
    unsigned long hard = strtoul(end, NULL, 10);
    ck_assert_uint_eq(soft, files.rlim_max);
    ck_assert_uint_eq(hard, files.rlim_max);
    server_stop(&s);
}
END_TEST

START_TEST(a_kinto_ini_in_the_folder_is_taken)
{
    struct server s = {0};
    new_dir(s.dir, sizeof s.dir);
    server_write_file(s.dir, "kinto.ini", APP "kinto.project_name = folder\n");
    start_in(&s, ARGS("--port", "0"));
    ck_assert_str_eq(hello(&s, "/project_name"), "folder");
    ck_assert(server_end(&s));
    ck_assert_int_eq(mkdir(f("%s/config", s.dir), 0700), 0);
    server_write_file(s.dir, "config/kinto.ini", APP "kinto.project_name = config\n");
    start_in(&s, ARGS("--port=0"));
    ck_assert_str_eq(hello(&s, "/project_name"), "config");
    ck_assert(server_end(&s));
    server_write_file(s.dir, "env.ini", APP "kinto.project_name = env\n");
    setenv("KINTO_INI", "env.ini", 1);
    start_in(&s, ARGS("--port", "0"));
    ck_assert_str_eq(hello(&s, "/project_name"), "env");
    server_stop(&s);
}
END_TEST

START_TEST(memory_means_the_same_in_every_folder)
{
    struct server s = {0};
    new_dir(s.dir, sizeof s.dir);
    server_write_file(s.dir, "kinto.ini", APP "kinto.project_name = folder\n");
    start_in(&s, ARGS("--memory", "--port", "0", "--data", "nowhere"));
    want_text(s.line, "kinto " KINTO_VERSION " at http://127.0.0.1:");
    want_text(s.line, "/v1/ data=memory");
    ck_assert_str_eq(hello(&s, "/project_name"), "kinto");
    hello(&s, "/capabilities/default_bucket");
    api_use(s.url);
    as(NULL);
    call("POST", "/__flush__", NULL);
    want(202);
    api_use(NULL);
    ck_assert_int_eq(access(f("%s/nowhere", s.dir), F_OK), -1);
    server_stop(&s);
}
END_TEST

/* ---- stopping, and starting again ------------------------------------------------------------ */

START_TEST(a_signal_stops_at_once)
{
    static const int signals[] = {SIGTERM, SIGINT};
    struct server s;
    int status = 0;
    server_start(&s, &(struct server_options){.durable = true});
    hello(&s, "/url"); /* leaves a connection open */
    uint64_t begin = clock_mono_ms();
    ck_assert_int_eq(kill(s.pid, signals[_i]), 0);
    ck_assert_int_eq(waitpid(s.pid, &status, 0), s.pid);
    uint64_t took = clock_mono_ms() - begin;
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    ck_assert_uint_lt(took, STOP_MS);
    struct http_conn *c = http_open(s.url, NULL, 1000);
    ck_assert_msg(c == NULL, "something still listens on %s", s.url);
    close(s.out);
    server_remove(&s);
}
END_TEST

START_TEST(data_and_users_survive_a_restart)
{
    struct server s;
    const struct server_options o = {.durable = true, .settings = "kinto.userid_hmac_secret ="};
    server_start(&s, &o);
    api_use(s.url);
    const char *alice = principal("alice");
    as("alice");
    make("/buckets/b");
    put("/buckets/b/collections/c", "{}");
    put("/buckets/b/collections/c/records/r", "{'a':1}");
    uint64_t written = stamp();
    const char *port = f("%s", strrchr(s.url, ':') + 1);
    api_use(NULL);
    ck_assert(server_end(&s));
    ck_assert_uint_eq(mode_of(f("%s/data/secret", s.dir)), 0600);

    const struct server_options same_port = {
        .durable = true, .no_port = true, .args = (const char *const[]){"--port", port, NULL}};
    server_restart(&s, &same_port);
    want_text(s.line, "(torn: 0 bytes)");
    want_text(s.line, "recovered 0 "); /* it ended cleanly: nothing to replay */
    api_use(s.url);
    ck_assert_str_eq(principal("alice"), alice);
    as("alice");
    call("GET", "/buckets/b/collections/c/records/r", NULL);
    want(200);
    want_at("/data/a", "1");
    ck_assert_uint_eq(stamp(), written);
    api_use(NULL);
    server_stop(&s);
}
END_TEST

START_TEST(a_second_process_is_refused)
{
    struct server s;
    const char *out;
    server_start(&s, &(struct server_options){.durable = true});
    const char *data = f("%s/data", s.dir);
    ck_assert_int_eq(server_run(NULL, ARGS("start", "--data", data, "--port", "0"), &out), 1);
    want_text(out, f("%d", (int)s.pid));
    ck_assert_int_eq(server_run(NULL, ARGS("migrate", "--data", data), &out), 1);
    want_text(out, f("%d", (int)s.pid));
    hello(&s, "/url");
    server_stop(&s);
}
END_TEST

START_TEST(an_emptied_secret_is_not_replaced)
{
    struct server s;
    const char *out;
    const struct server_options o = {.durable = true, .settings = "kinto.userid_hmac_secret ="};
    server_start(&s, &o);
    ck_assert(server_end(&s));
    server_write_file(s.dir, "data/secret", "\n");
    ck_assert_int_eq(server_run(NULL,
                                ARGS("start", "--ini", f("%s/kinto.ini", s.dir), "--data",
                                     f("%s/data", s.dir), "--port", "0"),
                                &out),
                     1);
    want_text(out, "data/secret is empty");
    server_remove(&s);
}
END_TEST

START_TEST(migrate_says_what_there_is_to_do)
{
    struct server s = {0};
    const char *out;
    new_dir(s.dir, sizeof s.dir);
    ck_assert_int_eq(server_run(s.dir, ARGS("migrate", "--data", "d", "--dry-run"), &out), 0);
    want_text(out, "d: not there yet");
    ck_assert_int_eq(access(f("%s/d", s.dir), F_OK), -1);
    ck_assert_int_eq(server_run(s.dir, ARGS("migrate", "--data", "d"), &out), 0);
    want_text(out, "d: the format is current");
    setenv("KINTO_STORAGE_BACKEND", "kinto.core.storage.memory", 1);
    ck_assert_int_eq(server_run(s.dir, ARGS("migrate"), &out), 0);
    want_text(out, "memory: nothing to migrate");
    server_remove(&s);
}
END_TEST

/* ---- purge-deleted --------------------------------------------------------------------------- */

static void make_tombstones(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        put(f(R "/r%u", i), "{}");
        call("DELETE", f(R "/r%u", i), NULL);
        want(200);
    }
}

static int purge(const struct server *s, const char *const *words, const char **out)
{
    const char *args[12] = {"purge-deleted", "--ini", f("%s/kinto.ini", s->dir), "--data",
                            f("%s/data", s->dir)};
    for (size_t i = 0; words[i]; i++)
        args[i + 5] = words[i];
    return server_run(NULL, args, out);
}

START_TEST(purge_deleted_keeps_the_newest_of_each_list)
{
    const struct server_options o = {.durable = true};
    struct server s;
    const char *out;
    server_start(&s, &o);
    api_use(s.url);
    as("alice");
    make("/buckets/b");
    put("/buckets/b/collections/c", "{}");
    put("/buckets/b/collections/d", "{}");
    put(R "/lives", "{}");
    make_tombstones(0, 2);
    uint64_t since = stamp();
    make_tombstones(2, 6);
    call("DELETE", "/buckets/b/collections/d", NULL);
    want(200);
    call("GET", R, NULL);
    char was[64];
    snprintf(was, sizeof was, "%s", etag());
    api_use(NULL);
    ck_assert_int_eq(purge(&s, ARGS("record", "1"), &out), 1);
    want_text(out, f("%d", (int)s.pid));
    ck_assert(server_end(&s));

    ck_assert_int_eq(purge(&s, ARGS("record", "group", "nothing", "2"), &out), 0);
    ck_assert_str_eq(out, f("%s/data: tombstones deleted: 4\n", s.dir));
    ck_assert_int_eq(purge(&s, ARGS("record", "-q", "2"), &out), 0);
    ck_assert_str_eq(out, "");

    server_restart(&s, &o);
    api_use(s.url);
    as("alice");
    /* No error: what was purged is just not told. */
    call("GET", f(R "?_sort=last_modified&_since=%llu", (unsigned long long)since), NULL);
    want(200);
    want_ids("-r4,-r5");
    want_header("ETag", was);
    call("GET", "/buckets/b/collections?_since=0", NULL);
    want_ids("-d,c");
    call("GET", R "/lives", NULL);
    want(200);
    api_use(NULL);
    server_stop(&s);
}
END_TEST

/* ---- compact --------------------------------------------------------------------------------- */

START_TEST(compact_gives_space_back)
{
    const struct server_options o = {.durable = true};
    struct server s;
    const char *out;
    unsigned long long before, after;
    server_start(&s, &o);
    api_use(s.url);
    as("alice");
    make("/buckets/b");
    put("/buckets/b/collections/c", "{}");
    for (unsigned i = 0; i < 200; i++)
        put(R "/one", f("{'a':'%01000u'}", i));
    const char *args[] = {"compact",           "--ini", f("%s/kinto.ini", s.dir), "--data",
                          f("%s/data", s.dir), NULL};
    ck_assert_int_eq(server_run(NULL, args, &out), 1);
    want_text(out, f("%d", (int)s.pid));
    api_use(NULL);
    ck_assert(server_end(&s));

    ck_assert_int_eq(server_run(NULL, args, &out), 0);
    const char *numbers = strstr(out, "the log had ");
    ck_assert_ptr_nonnull(numbers);
    ck_assert_int_eq(sscanf(numbers, "the log had %llu bytes and has %llu", &before, &after), 2);
    ck_assert_msg(before > 200000 && after < 10000, "%s", out);

    server_restart(&s, &o);
    api_use(s.url);
    as("alice");
    call("GET", R "/one", NULL);
    want(200);
    want_at("/data/a", f("\"%01000u\"", 199));
    api_use(NULL);
    server_stop(&s);
    ck_assert_int_eq(server_run(NULL, ARGS("compact", "--data", "/nowhere/at/all"), &out), 1);
    want_text(out, "/nowhere/at/all");
}
END_TEST

START_TEST(purge_deleted_makes_no_directory)
{
    struct server s = {0};
    const char *out;
    new_dir(s.dir, sizeof s.dir);
    ck_assert_int_eq(server_run(s.dir, ARGS("purge-deleted", "--data", "d", "record", "1"), &out),
                     1);
    want_text(out, "kinto: d: ");
    ck_assert_int_eq(access(f("%s/d", s.dir), F_OK), -1);
    server_remove(&s);
}
END_TEST

/* What is asked for cannot be done to data that nobody keeps, and a script must hear of it: also with
 * -q. A migration is no such command: there is nothing that would need one. */
START_TEST(commands_on_data_that_nobody_keeps)
{
    static const struct {
        const char *args[4], *says;
    } cases[] = {
        {{"purge-deleted", "record", "1"}, "kinto: memory: nothing to purge\n"},
        {{"compact"}, "kinto: memory: nothing to compact\n"},
        {{"check"}, "kinto: memory: nothing to check\n"},
        {{"check", "--repair"}, "kinto: memory: nothing to check\n"},
        {{"backup", "dest"}, "kinto: memory: nothing to back up\n"},
        {{"restore", "src"}, "kinto: memory: nothing to restore to\n"},
    };
    struct server s = {0};
    const char *out;
    new_dir(s.dir, sizeof s.dir);
    setenv("KINTO_STORAGE_BACKEND", "kinto.core.storage.memory", 1);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const *a = cases[i].args;
        ck_assert_int_eq(server_run(s.dir, a, &out), 1);
        ck_assert_str_eq(out, cases[i].says);
        ck_assert_int_eq(server_run(s.dir, ARGS(a[0], "-q", a[1], a[1] ? a[2] : NULL), &out), 1);
        ck_assert_str_eq(out, cases[i].says);
    }
    ck_assert_int_eq(access(f("%s/kinto-data", s.dir), F_OK), -1);
    server_remove(&s);
}
END_TEST

START_TEST(the_log_level_is_a_choice)
{
    struct server s;
    const struct {
        const char *sections, *args[2];
        bool warns, tells;
    } runs[] = {
        {"", {NULL}, true, true},
        {"[logger_root]\nlevel = WARN\n", {NULL}, true, false},
        {"[logger_root]\nlevel = DEBUG\n[logger_kinto]\nlevel = ERROR\n", {NULL}, false, false},
        {"[logger_kinto]\nlevel = ERROR\n", {"-q"}, true, false},
        {"[logger_kinto]\nlevel = ERROR\n", {"-v"}, true, true},
    };
    server_start(&s, &(struct server_options){.settings = "kinto.unheard = 1",
                                              .sections = runs[_i].sections,
                                              .args = runs[_i].args});
    ck_assert(server_end(&s));
    const char *text = read_text(f("%s/stderr", s.dir));
    ck_assert_int_eq(strstr(text, "unheard") != NULL, runs[_i].warns);
    ck_assert_int_eq(strstr(text, "stopping") != NULL, runs[_i].tells);
    server_remove(&s);
}
END_TEST

/* ---- suite ----------------------------------------------------------------------------------- */

static TCase *own(Suite *s, const char *name)
{
    TCase *t = api_case_own(s, name);
    tcase_set_timeout(t, 60);
    return t;
}

static Suite *make_suite(void)
{
    Suite *s = suite_create("http/cli");
    unsetenv("KINTO_INI");

    TCase *t = own(s, "words");
    tcase_add_loop_test(t, help_fits_one_screen, 0, 4);
    tcase_add_test(t, version_is_a_number);
    tcase_add_loop_test(t, bad_usage_is_status_2, 0, ARRAY_LEN(bad_usage));

    t = own(s, "init");
    tcase_add_test(t, init_writes_secrets_of_its_own);
    tcase_add_test(t, init_does_not_overwrite);
    tcase_add_test(t, init_takes_backend_host_and_place);
    tcase_add_test(t, init_asks_on_a_terminal);
    tcase_add_test(t, what_init_writes_starts);
    tcase_add_test(t, create_user_is_interrupted);

    t = own(s, "refused");
    tcase_add_loop_test(t, a_bad_setting_stops_the_start, 0, ARRAY_LEN(refused));
    tcase_add_loop_test(t, a_storage_url_that_is_no_directory_stops_the_start, 0, 2);
    tcase_add_test(t, a_missing_ini_stops_the_start);
    tcase_add_test(t, a_bad_environment_stops_the_start);
    tcase_add_test(t, a_taken_port_stops_the_start);

    t = own(s, "sources");
    tcase_add_test(t, environment_wins_over_the_ini);
    tcase_add_test(t, unknown_settings_are_named);
    tcase_add_test(t, backends_without_effect_are_named_once);
    tcase_add_test(t, the_command_line_wins);
    tcase_add_test(t, an_empty_host_is_this_machine_only);
    tcase_add_test(t, the_port_reaches_the_ini);
    tcase_add_test(t, url_scheme_of_the_server_section_counts);
    tcase_add_test(t, several_addresses);
    tcase_add_test(t, an_ipv6_address_alone);
    tcase_add_test(t, a_unix_socket);
    tcase_add_test(t, tls_by_two_files);
    tcase_add_test(t, limits_of_the_server_section);
    tcase_add_test(t, nothing_given_is_durable_in_the_folder);
    tcase_add_test(t, a_kinto_ini_in_the_folder_is_taken);
    tcase_add_test(t, memory_means_the_same_in_every_folder);
    tcase_add_loop_test(t, the_log_level_is_a_choice, 0, 5);
    tcase_add_test(t, as_many_files_as_are_allowed);

    t = own(s, "again");
    tcase_add_loop_test(t, a_signal_stops_at_once, 0, 2);
    tcase_add_test(t, data_and_users_survive_a_restart);
    tcase_add_test(t, a_second_process_is_refused);
    tcase_add_test(t, an_emptied_secret_is_not_replaced);
    tcase_add_test(t, migrate_says_what_there_is_to_do);
    tcase_add_test(t, purge_deleted_keeps_the_newest_of_each_list);
    tcase_add_test(t, purge_deleted_makes_no_directory);
    tcase_add_test(t, commands_on_data_that_nobody_keeps);
    tcase_add_test(t, compact_gives_space_back);
    return s;
}

UNIT_MAIN(make_suite)
