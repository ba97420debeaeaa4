/*
 * test/http/test_https.c - what an operator of https does: makes a certificate, renews it under load, has
 * several, sends plain HTTP to https; and what strangers ask for who speak older protocols. The clients are
 * the openssl command's. More of the protocol in test/unit/http/test_tls.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support/api.h"
#include "test/support/unit.h"
#include "test/support/wait.h"

#define GET_ROOT "GET /v1/ HTTP/1.1\r\nHost: h.example\r\n\r\n"

static struct server server;

/* What a command prints (both streams), in static memory; *status as of pclose(). */
static const char *shell(const char *command, int *status)
{
    static char out[32768];
    FILE *p = popen(f("{ %s ; } 2>&1", command), "r");
    size_t n = 0, got;

    ck_assert_ptr_nonnull(p);
    while ((got = fread(out + n, 1, sizeof out - 1 - n, p)) > 0)
        n += got;
    out[n] = '\0';
    *status = pclose(p);
    return out;
}

static void run(const char *command)
{
    int status;
    const char *out = shell(command, &status);
    ck_assert_msg(status == 0, "%s\n%s", command, out);
}

static const char *host_and_port(void)
{
    return f("%.*s", (int)strcspn(server.url + 8, "/"), server.url + 8);
}

/* openssl s_client with these arguments, which gets nothing to say. */
static const char *s_client(const char *arguments, int *status)
{
    return shell(
        f("timeout 20 openssl s_client -connect %s %s </dev/null", host_and_port(), arguments),
        status);
}

/* NAME.pem and NAME.key in the server's folder. `kind`: of openssl req's -newkey. */
static void make_pair(const char *name, const char *kind, const char *names)
{
    run(f("cd %s && openssl req -x509 -newkey %s -nodes -keyout %s.key -out %s.pem -days 2 "
          "-subj /CN=kinto -addext subjectAltName=%s",
          server.dir, kind, name, name, names));
}

#define EC  "ec -pkeyopt ec_paramgen_curve:prime256v1"
#define RSA "rsa:2048"

/* A server in server.dir, which is there, with these settings. */
static void start_in_dir(const char *settings, const char *sections)
{
    server_write_file(server.dir, "kinto.ini",
                      f("[app:main]\nkinto.userid_hmac_secret = x\n%s\n%s\n", settings, sections));
    server_restart(&server,
                   &(struct server_options){.args = (const char *const[]){"--memory", NULL}});
}

static void begin(void)
{
    server = (struct server){0};
    new_dir(server.dir, sizeof server.dir);
}

static struct http_conn *trusting(const char *pem)
{
    struct http_conn *c = http_open(server.url, f("%s/%s", server.dir, pem), 20000);
    ck_assert_ptr_nonnull(c);
    return c;
}

/* Does a client that trusts this certificate alone get an answer? */
static bool answers(const char *pem)
{
    struct http_conn *c = trusting(pem);
    bool got = http_send(c, GET_ROOT, strlen(GET_ROOT)) && http_read(c, false, &re) == HTTP_GOT;
    http_close(c);
    return got;
}

/* ---- a certificate for a try ----------------------------------------------------------------- */

START_TEST(init_makes_a_certificate)
{
    begin();
    const char *out;
    ck_assert_int_eq(
        server_run(server.dir,
                   (const char *const[]){"init", "--ini", "kinto.ini", "--backend", "memory",
                                         "--tls-self-signed", "kinto.example.org", NULL},
                   &out),
        0);
    ck_assert_ptr_nonnull(strstr(out, "SHA-256 "));
    int status;
    const char *print =
        shell(f("openssl x509 -in %s/kinto-certificate.pem -noout -fingerprint -sha256 | cut -d= "
                "-f2",
                server.dir),
              &status);
    ck_assert_ptr_nonnull(strstr(out, print));
    ck_assert_int_eq(access(f("%s/kinto-key.pem", server.dir), F_OK), 0);
    run(f("test $(stat -c %%a %s/kinto-key.pem) = 600", server.dir));
    server_restart(&server, &(struct server_options){0});
    ck_assert_int_eq(strncmp(server.url, "https://", 8), 0);
    ck_assert(answers("kinto-certificate.pem"));
    const char *said = s_client(f("-CAfile %s/kinto-certificate.pem -verify_return_error "
                                  "-verify_hostname kinto.example.org -x509_strict",
                                  server.dir),
                                &status);
    ck_assert_msg(status == 0 && strstr(said, "Verify return code: 0") != NULL, "%s", said);
    server_stop(&server);
}
END_TEST

/* Blanks belong to a path. */
START_TEST(init_in_a_folder_with_blanks)
{
    begin();
    run(f("mkdir '%s/a b'", server.dir));
    run(f("cd '%s/a b' && %s init --ini kinto.ini --backend memory --tls-self-signed", server.dir,
          server_binary()));
    run(f("sed 's#%%(here)s#%%(here)s/a b#' '%s/a b/kinto.ini' >%s/kinto.ini", server.dir,
          server.dir));
    server_restart(&server, &(struct server_options){0});
    ck_assert_int_eq(strncmp(server.url, "https://", 8), 0);
    server_stop(&server);
}
END_TEST

START_TEST(init_overwrites_no_certificate)
{
    static const char *const words[] = {"init", "--ini", "kinto.ini", "--tls-self-signed", NULL};
    begin();
    const char *out;
    server_write_file(server.dir, "kinto-certificate.pem", "mine");
    ck_assert_int_eq(server_run(server.dir, words, &out), 1);
    ck_assert_ptr_nonnull(strstr(out, "kinto-certificate.pem already exists"));
    ck_assert_int_ne(access(f("%s/kinto.ini", server.dir), F_OK), 0);
    ck_assert_int_ne(access(f("%s/kinto-key.pem", server.dir), F_OK), 0);
    run(f("test $(cat %s/kinto-certificate.pem) = mine", server.dir));
    server_remove(&server);
}
END_TEST

/* ---- renewal --------------------------------------------------------------------------------- */

/* With live.pem, of which first.pem is a copy. */
static void start_live(void)
{
    begin();
    make_pair("live", EC, "IP:127.0.0.1");
    run(f("cp %s/live.pem %s/first.pem", server.dir, server.dir));
    start_in_dir("kinto.tls_certificate = %(here)s/live.pem\nkinto.tls_key = %(here)s/live.key",
                 "");
}

/* The case's time-out is the deadline. */
static void await_log(const char *word)
{
    while (strstr(read_text(f("%s/stderr", server.dir)), word) == NULL)
        wait_tick();
}

START_TEST(sighup_takes_new_files)
{
    start_live();
    struct http_conn *open = trusting("first.pem");
    raw_call(open, GET_ROOT);
    want(200);

    make_pair("live", RSA, "IP:127.0.0.1");
    run(f("cp %s/live.pem %s/second.pem", server.dir, server.dir));
    ck_assert(answers("first.pem")); /* before anybody said so */
    ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
    while (!answers("second.pem"))
        wait_tick(); /* the case's time-out is the deadline */
    ck_assert(!answers("first.pem"));
    raw_call(open, GET_ROOT);
    want(200);

    server_write_file(server.dir, "live.pem", "broken");
    ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
    await_log("not_reloaded");
    int status;
    ck_assert_ptr_nonnull(
        strstr(shell(f("grep not_reloaded %s/stderr", server.dir), &status), "live.pem"));
    ck_assert(answers("second.pem"));
    raw_call(open, GET_ROOT);
    want(200);
    http_close(open);
    server_stop(&server);
}
END_TEST

/* The thread that would wait for somebody to write into it is the one that awaits signals. */
START_TEST(sighup_waits_for_no_pipe)
{
    start_live();
    run(f("cd %s && mv live.key kept && mkfifo live.key", server.dir));
    ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
    await_log("not_reloaded");
    int status;
    ck_assert_ptr_nonnull(
        strstr(shell(f("grep not_reloaded %s/stderr", server.dir), &status), "no regular file"));
    ck_assert(answers("first.pem"));
    run(f("cd %s && mv kept live.key", server.dir));
    ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
    await_log(" reloaded ");
    server_stop(&server);
}
END_TEST

START_TEST(sighup_without_tls_changes_nothing)
{
    server_start(&server, &(struct server_options){0});
    api_use(server.url);
    ck_assert_int_eq(kill(server.pid, SIGHUP), 0);
    await_log("not_reloaded");
    call("GET", "/", NULL);
    want(200);
    api_use(NULL);
    server_stop(&server);
}
END_TEST

/* Whose terminal goes away is stopped, as by Ctrl-C. */
START_TEST(a_closed_terminal_stops_it)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), status = 0;
    ck_assert_int_ge(terminal, 0);
    ck_assert_int_eq(grantpt(terminal) | unlockpt(terminal), 0);
    const char *name = ptsname(terminal);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(terminal);
        setsid();
        int fd = open(name, O_RDWR); /* becomes the terminal of the new session */
        dup2(fd, 0);
        dup2(fd, 1);
        dup2(fd, 2);
        execl(server_binary(), "kinto", "start", "--memory", "--port", "0", (char *)NULL);
        _exit(9);
    }
    char line[512] = "";
    size_t n = 0;
    while (strstr(line, " at http://") == NULL) {
        ssize_t got = read(terminal, line + n, sizeof line - 1 - n);
        ck_assert_int_gt(got, 0);
        n += (size_t)got;
    }
    close(terminal);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
END_TEST

/* ---- several --------------------------------------------------------------------------------- */

static bool named(const char *host, const char *more, const char *pem)
{
    int status;
    const char *said = s_client(
        f("-servername %s %s -CAfile %s/%s -verify_return_error", host, more, server.dir, pem),
        &status);
    return status == 0 && strstr(said, "Verify return code: 0") != NULL;
}

START_TEST(each_name_has_its_certificate)
{
    begin();
    make_pair("a", EC, "DNS:a.example");
    make_pair("b", EC, "DNS:b.example");
    make_pair("b2", RSA, "DNS:b.example");
    start_in_dir("kinto.tls_certificate = %(here)s/a.pem, %(here)s/b.pem, %(here)s/b2.pem\n"
                 "kinto.tls_key = %(here)s/a.key, %(here)s/b.key, %(here)s/b2.key",
                 "");
    ck_assert(named("a.example", "", "a.pem"));
    ck_assert(named("b.example", "", "b.pem"));
    ck_assert(named("c.example", "", "a.pem"));
    ck_assert(!named("b.example", "", "a.pem"));
    /* who can check RSA alone gets that */
    ck_assert(named("b.example", "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", "b2.pem"));
    ck_assert(named("b.example", "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", "b.pem"));
    server_stop(&server);
}
END_TEST

/* ---- the protocol ---------------------------------------------------------------------------- */

static void start_with(const char *kind)
{
    begin();
    make_pair("c", kind, "IP:127.0.0.1");
    start_in_dir("kinto.tls_certificate = %(here)s/c.pem\nkinto.tls_key = %(here)s/c.key\n"
                 "kinto.tls_hsts_seconds = 600\nkinto.tls_hsts_subdomains = true",
                 "[server:main]\nredirect_listen = 127.0.0.1:0");
}

static const struct {
    const char *arguments;
    bool served;
    const char *says; /* NULL: anything */
} protocols[] = {
    {"-tls1_2", true, "Protocol  : TLSv1.2"},
    {"-alpn http/1.1", true, "ALPN protocol: http/1.1"},
    {"-alpn h2,http/1.1", true, "ALPN protocol: http/1.1"},
    {"-alpn h2", false, NULL},
    {"-tls1 -cipher ALL:@SECLEVEL=0", false, NULL},
    {"-tls1_1 -cipher ALL:@SECLEVEL=0", false, NULL},
    {"-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384", true, "ECDHE-RSA-AES256-GCM-SHA384"},
    {"-tls1_2 -cipher ECDHE-RSA-CHACHA20-POLY1305", true, "ECDHE-RSA-CHACHA20-POLY1305"},
    {"-tls1_2 -curves X25519", true, "X25519"},
    {"-tls1_2 -curves P-256", true, "ECDH, prime256v1"},
    {"-tls1_2 -curves P-384", true, "ECDH, secp384r1"},
    {"-tls1_2 -cipher ECDHE-RSA-AES128-SHA256", false, NULL}, /* CBC */
    {"-tls1_2 -cipher ECDHE-RSA-AES256-SHA:@SECLEVEL=0", false, NULL},
    {"-tls1_2 -cipher AES128-GCM-SHA256", false, NULL}, /* no forward secrecy */
    {"-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256", false, NULL},
    {"-tls1_2 -cipher ALL:!ECDHE:!kECDHE:@SECLEVEL=0", false, NULL},
    {"-tls1_2 -cipher NULL:@SECLEVEL=0", false, NULL},
    {"-tls1_2 -cipher aNULL:@SECLEVEL=0", false, NULL},
    {"-tls1_2 -cipher 3DES:RC4:@SECLEVEL=0", false, NULL},
    {"-tls1_2 -sigalgs RSA+SHA1 -cipher ALL:@SECLEVEL=0", false, NULL},
    {"-tls1_2 -sigalgs RSA+SHA256", true, NULL},
    {"-tls1_2 -sigalgs RSA+SHA512", true, NULL},
};

START_TEST(protocols_and_ciphers)
{
    start_with(RSA);
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        int status;
        const char *said = s_client(protocols[i].arguments, &status);
        bool served = status == 0 && strstr(said, "Cipher is (NONE)") == NULL &&
                      strstr(said, "Verify return code: ") != NULL;
        ck_assert_msg(served == protocols[i].served, "%s: %s", protocols[i].arguments, said);
        if (protocols[i].says != NULL)
            ck_assert_msg(strstr(said, protocols[i].says) != NULL, "%s: %s", protocols[i].arguments,
                          said);
    }
    server_stop(&server);
}
END_TEST

START_TEST(sessions_come_back)
{
    int status;
    start_with(EC);
    const char *version = strstr(s_client("", &status), "TLSv1.3") != NULL ? "-tls1_3" : "-tls1_2";
    char file[200];
    snprintf(file, sizeof file, "%s/session", server.dir);
    /* With 1.3 the ticket comes behind the handshake: something has to be read. */
    const char *ask =
        f("printf 'GET /v1/ HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n' | "
          "timeout 20 openssl s_client -ign_eof -connect %s",
          host_and_port());
    run(f("%s %s -sess_out %s", ask, version, file));
    for (int i = 0; i < 8; i++) { /* loops share their tickets */
        const char *said = s_client(f("%s -sess_in %s", version, file), &status);
        ck_assert_msg(strstr(said, "Reused, TLS") != NULL, "%s", said);
    }
    server_stop(&server);
}
END_TEST

/* Early data could be sent again by whoever has seen it: a client that comes back may send none. (TLS 1.2
 * knows none.) */
START_TEST(no_early_data)
{
    int status;
    start_with(EC);
    if (strstr(s_client("", &status), "TLSv1.3") == NULL) { /* mbedtls 2.28 */
        server_stop(&server);
        return;
    }
    run(f("printf 'GET /v1/ HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n' >%s/ask",
          server.dir));
    const char *said =
        shell(f("timeout 20 openssl s_client -ign_eof -connect %s -sess_out %s/session <%s/ask",
                host_and_port(), server.dir, server.dir),
              &status);
    ck_assert_msg(strstr(said, "Max Early Data: 0") != NULL, "%s", said);
    said = s_client(f("-sess_in %s/session -early_data %s/ask", server.dir, server.dir), &status);
    ck_assert_msg(strstr(said, "Early data was not sent") != NULL ||
                      strstr(said, "Early data was rejected") != NULL,
                  "%s", said);
    server_stop(&server);
}
END_TEST

/* ---- plain HTTP ------------------------------------------------------------------------------ */

/* The second address of the first line: that which redirects. */
static const char *plain_url(void)
{
    const char *at = strstr(server.line, " and http://");
    ck_assert_msg(at != NULL, "%s", server.line);
    return f("%.*s", (int)strcspn(at + 5, " "), at + 5);
}

START_TEST(http_is_sent_to_https)
{
    static const struct {
        const char *request;
        int status;
        const char *path; /* NULL: no Location */
    } rows[] = {
        {"GET /v1/buckets?_limit=2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 301,
         "/v1/buckets?_limit=2"},
        {"HEAD /v1/ HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n", 301, "/v1/"},
        {"PUT /v1/buckets/b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{", 308,
         "/v1/buckets/b"},
        {"POST /v1/buckets HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", 308,
         "/v1/buckets"},
        {"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 308, "/"},
        {"GET / HTTP/1.1\r\nHost: a@evil.example\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.0\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n\r\n", 400, NULL},
        {"nonsense\r\n\r\n", 400, NULL},
    };
    start_with(EC);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_conn *c = http_open(plain_url(), NULL, 20000);
        ck_assert(http_send(c, rows[i].request, strlen(rows[i].request)));
        ck_assert_int_eq(http_read(c, rows[i].request[0] == 'H', &re), HTTP_GOT);
        ck_assert_msg(re.status == rows[i].status, "%s: %d", rows[i].request, re.status);
        const char *location = http_reply_header(&re, "Location");
        ck_assert_ptr_null(http_reply_header(&re, "Strict-Transport-Security"));
        if (rows[i].path != NULL)
            ck_assert_str_eq(location, f("https://%s%s", host_and_port(), rows[i].path));
        else
            ck_assert_ptr_null(location);
        ck_assert_int_eq(http_wait_close(c), HTTP_CLOSED);
        http_close(c);
    }
    server_stop(&server);
}
END_TEST

/* On every answer over TLS, also those of the server itself. */
START_TEST(strict_transport_security)
{
    static const char *const requests[] = {
        GET_ROOT, "GET /v1/buckets HTTP/1.1\r\nHost: h\r\n\r\n", "nonsense\r\n\r\n",
        "GET /v1/none HTTP/1.1\r\nHost: h\r\n\r\n", "GET /other HTTP/1.1\r\nHost: h\r\n\r\n"};
    start_with(EC);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct http_conn *c = trusting("c.pem");
        raw_call(c, requests[i]);
        ck_assert_int_eq(http_reply_header_count(&re, "Strict-Transport-Security"), 1);
        ck_assert_str_eq(http_reply_header(&re, "Strict-Transport-Security"),
                         "max-age=600; includeSubDomains");
        http_close(c);
    }
    server_stop(&server);
}
END_TEST

START_TEST(defaults_of_tls_need_none)
{
    server_start(&server, &(struct server_options){.settings = "kinto.tls_hsts_seconds = 0\n"
                                                               "kinto.tls_hsts_subdomains = true"});
    server_stop(&server);
}
END_TEST

START_TEST(tls_settings_need_tls)
{
    static const struct {
        const char *settings, *sections, *text;
    } rows[] = {
        {"kinto.tls_hsts_seconds = 1", "", "kinto.tls_hsts_seconds: there is no"},
        {"", "[server:main]\nredirect_listen = 127.0.0.1:0",
         "kinto.server.redirect_listen: there is no"},
        {"kinto.tls_certificate = a, b\nkinto.tls_key = a", "",
         "2 of them, and 1 in kinto.tls_key"},
        {"kinto.tls_certificate = a\nkinto.tls_key =\n  a\n  b c", "",
         "kinto.tls_key: 2 of them, and 1 in kinto.tls_certificate"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *out;
        int status = server_refuse(
            &(struct server_options){.settings = rows[i].settings, .sections = rows[i].sections},
            &out);
        ck_assert_msg(status == 1 && strstr(out, rows[i].text) != NULL, "%d: %s", status, out);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/https");
    TCase *t = tcase_create("tls");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, init_makes_a_certificate);
    tcase_add_test(t, init_in_a_folder_with_blanks);
    tcase_add_test(t, init_overwrites_no_certificate);
    tcase_add_test(t, sighup_takes_new_files);
    tcase_add_test(t, sighup_waits_for_no_pipe);
    tcase_add_test(t, sighup_without_tls_changes_nothing);
    tcase_add_test(t, a_closed_terminal_stops_it);
    tcase_add_test(t, each_name_has_its_certificate);
    tcase_add_test(t, protocols_and_ciphers);
    tcase_add_test(t, sessions_come_back);
    tcase_add_test(t, no_early_data);
    tcase_add_test(t, http_is_sent_to_https);
    tcase_add_test(t, strict_transport_security);
    tcase_add_test(t, defaults_of_tls_need_none);
    tcase_add_test(t, tls_settings_need_tls);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
