/*
 * test/http/test_secrets.c - secrets stay where they are: whatever is asked of a server, and however it is
 * started, what it says at its most talkative (log, standard output) and what it answers holds none of
 * them.
 *
 * Every secret of these tests has "sekret" in it, in clear or as base64 of Basic credentials.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/os.h"
#include "test/support/api.h"
#include "test/support/unit.h"

#define SETTINGS                                                                                   \
    "kinto.includes = kinto.plugins.default_bucket kinto.plugins.flush kinto.plugins.history "     \
    "kinto.plugins.quotas kinto.plugins.revisions kinto.plugins.accounts kinto.plugins.openid "    \
    "kinto.plugins.prometheus kinto.plugins.statsd kinto.plugins.counters\n"                       \
    "kinto.statsd_url = udp://127.0.0.1:9\n"                                                       \
    "multiauth.policies = account basicauth auth0\n"                                               \
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"                       \
    "multiauth.policy.auth0.use = kinto.plugins.openid.OpenIDConnectPolicy\n"                      \
    "multiauth.policy.auth0.issuer = http://127.0.0.1:9/\n"                                        \
    "multiauth.policy.auth0.client_id = id\n"                                                      \
    "multiauth.policy.auth0.client_secret = sekret-of-the-client\n"                                \
    "multiauth.policy.auth0.header_type = Bearer\n"                                                \
    "kinto.userid_hmac_secret = sekret-of-user-ids\n"                                              \
    "kinto.default_bucket_hmac_secret = sekret-of-buckets\n"                                       \
    "kinto.account_create_principals = system.Everyone\n"                                          \
    "kinto.account_password_cost = 4\n"                                                            \
    "kinto.account_validation = true\n"                                                            \
    "kinto.experimental_permissions_endpoint = true\n"                                             \
    "mail.host = 127.0.0.1\n"                                                                      \
    "mail.port = 9\n"                                                                              \
    "mail.username = kinto\n"                                                                      \
    "mail.password = sekret-of-mails\n"

#define USER "sam@example.org"

/* ---- looking --------------------------------------------------------------------------------- */

static const char *const traces[] = {
    "sekret", "c2Vrcm", /* base64 of it, at each of three places */
};

/* The first trace in the bytes; NULL: there is none. */
static const char *trace_in(const char *bytes, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(traces); i++)
        if (memmem(bytes, n, traces[i], strlen(traces[i])) != NULL)
            return traces[i];
    return NULL;
}

static void want_no_trace(const char *what, const char *bytes, size_t n)
{
    const char *trace = trace_in(bytes, n);
    if (trace == NULL)
        return;
    const char *at_it = memmem(bytes, n, trace, strlen(trace));
    size_t before = MIN_OF((size_t)(at_it - bytes), (size_t)300);
    ck_abort_msg("%s: \"%s\" is told: ...%.*s", what, trace, (int)before + 100, at_it - before);
}

static void want_silent_file(const char *dir, const char *name)
{
    char *text;
    size_t n;
    ck_assert_int_eq(os_read_file(f("%s/%s", dir, name), 64 * MIB, &text, &n, NULL), OK);
    want_no_trace(name, text, n);
    ck_assert_ptr_nonnull(strstr(text, " DEBUG request method=")); /* it does tell of requests */
    free(text);
}

/* ---- a session that touches everything ------------------------------------------------------- */

static char credentials[256]; /* of the requests that follow; "": none */

/* One request with the user's credentials, and an answer that tells none of its secrets. */
static void try(const char *method, const char *path, const char *body)
{
    if (*credentials)
        with("Authorization", credentials);
    as(NULL);
    call(method, path, body);
    want_no_trace(f("%s %s, headers", method, path), re.head, strlen(re.head));
    want_no_trace(f("%s %s", method, path), re.body ? re.body : "", re.body_n);
}

/* Basic credentials of "name:password"; or a header as it stands, behind "=". */
static void use(const char *user)
{
    char bytes[512];
    struct arena a;
    if (*user == '=') {
        snprintf(credentials, sizeof credentials, "%s", user + 1);
        return;
    }
    arena_init(&a, bytes, sizeof bytes, NULL, sizeof bytes);
    str code = hash_base64_encode(&a, str_from(user));
    snprintf(credentials, sizeof credentials, "Basic " STR_FMT, STR_ARG(code));
    arena_fini(&a);
}

static const char *const every_path[] = {
    "/",
    "/__heartbeat__",
    "/__lbheartbeat__",
    "/__version__",
    "/__api__",
    "/__metrics__",
    "/__counters__",
    "/contribute.json",
    "/permissions",
    "/buckets",
    "/buckets/default",
    "/buckets/b",
    "/buckets/b/history",
    "/buckets/b/revisions",
    "/buckets/b/collections/c/records/r",
    "/accounts",
    "/accounts/" USER,
    "/accounts/nobody@example.org",
    "/accounts/" USER "/reset-password",
    "/nothing-there",
    "/openid/auth0/login",
    "/openid/other/login?callback=http://localhost/&scope=openid",
    "//buckets/",
};

/* Paths with secrets in them are not looked for in answers that repeat the path. */
static void ask_with_secrets_in_urls(void)
{
    static const char *const urls[] = {
        "/accounts/" USER "/validate/sekret-activation-key",
        "/accounts/nobody@example.org/validate/sekret-activation-key",
        "/openid/auth0/token?code=sekret-code&state=sekret-state",
        "/openid/auth0/token?code=sekret-code&error=sekret",
        "/openid/auth0/login?callback=http://localhost/%23sekret&scope=openid",
        "/buckets?access_token=sekret-token",
        "/permissions?access_token=sekret-token",
        "/nothing-there?access_token=sekret-token",
        /* What is redirected, or nowhere, has a key in it all the same. */
        "/accounts/" USER "/validate/sekret-activation-key/",
        "/accounts/" USER "/validate/sekret-activation-key/more",
        "/accounts%2F" USER "%2Fvalidate%2Fsekret-activation-key%2F",
        "//accounts//" USER "/validate/sekret-activation-key",
        "/accounts/" USER "/validate/sekret-\xff",
        "/accounts/" USER "/validate/sekret-%ff",
    };
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        as(NULL);
        call("GET", urls[i], NULL);
        as(NULL);
        call("POST", urls[i], "{'data':{}}");
        call_raw("POST", urls[i], "{}", 2); /* without the version */
        call_raw("POST", f("/v2%s", urls[i]), "{}", 2);
        as(NULL);
        call("POST", "/batch",
             f("{'requests':[{'path':'%s'},{'path':'%s','method':'POST'}]}", urls[i], urls[i]));
    }
}

static void ask_everything(void)
{
    static const char *const methods[] = {"GET",   "HEAD",   "PUT",    "POST",
                                          "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_LEN(every_path); i++)
        for (size_t m = 0; m < ARRAY_LEN(methods); m++)
            try(methods[m], every_path[i], methods[m][0] == 'P' ? "{'data':{'a':1}}" : NULL);
}

static void use_passwords(void)
{
    static const char *const bodies[] = {
        "{'data':{'password':'sekret-of-sam'}}",
        "{'data':{'password':'sekret'}",
        "{'data':{'password':'sekret','password':'sekret'}}",
        "{'data':{'id':'other','password':'sekret'}}",
        "{'data':{'password':'sekret'},'permissions':{'read':[1]}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        use("=");
        try("PUT", "/accounts/" USER, bodies[i]);
        try("POST", "/accounts", bodies[i]);
        try("PATCH", "/accounts/" USER, bodies[i]);
        use(USER ":sekret-of-sam");
        try("PUT", "/accounts/" USER, bodies[i]);
        try("PATCH", "/accounts/" USER, bodies[i]);
    }
    try("PUT", "/accounts/" USER, f("{'data':{'password':'sekret%s'}}", repeat('x', 100)));
    with("Content-Type", "application/json-patch+json");
    try("PATCH", "/accounts/" USER, "[{'op':'add','path':'/data/password','value':'sekret-new'}]");
    with("Content-Type", "application/json-patch+json");
    try("PATCH", "/accounts/" USER, "[{'op':'test','path':'/data/password','value':'sekret-new'}]");
    with("Content-Type", "text/plain");
    try("PATCH", "/accounts/" USER, "{'data':{'password':'sekret'}}");
}

static void ask_with_credentials(void)
{
    static const char *const kinds[] = {
        "alice:sekret-of-alice",
        USER ":sekret-of-sam",
        USER ":sekret-that-is-wrong",
        "sekret-without-a-colon",
        "=Bearer sekret-token",
        "=Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzZWtyZXQifQ.c2Vrcm",
        "=sekret",
        "=Basic sekret%%%",
        "=Other sekret",
    };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        use(kinds[i]);
        ask_everything();
        try("POST", "/batch",
            f("{'defaults':{'headers':{'Authorization':'%s'}},'requests':[{'path':'/'},"
              "{'path':'/buckets'},{'path':'/accounts/" USER "'}]}",
              credentials));
    }
    use("=");
}

/* What the server itself refuses, with secrets in the head. */
static void ask_badly(void)
{
    static const char *const heads[] = {
        "GET /v1/?t=sekret HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: sekret\r\n\r\n",
        "GET /v1/ HTTP/1.1\r\nAuthorization sekret\r\n\r\n",
        "GET /v1/ HTTP/1.1\r\nHost: a\r\nAuthorization: \1sekret\r\n\r\n",
        "GET /v1/?sekret HTTP/9.1\r\nHost: a\r\n\r\n",
        "POST /v1/?sekret HTTP/1.1\r\nHost: a\r\nContent-Length: sekret\r\n\r\n",
        "sekret\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct http_conn *c = raw_open();
        raw_call(c, heads[i]);
        ck_assert_int_ge(re.status, 400);
        want_no_trace(heads[i], re.head, strlen(re.head));
        want_no_trace(heads[i], re.body, re.body_n);
        http_close(c);
    }
}

START_TEST(nothing_that_is_said_holds_a_secret)
{
    static const char *const verbose[] = {"-v", NULL};
    struct server s;
    server_start(&s, &(struct server_options){.settings = SETTINGS, .args = verbose});
    api_use(s.url);
    use_passwords();
    ask_with_credentials();
    ask_with_secrets_in_urls();
    ask_badly();
    ck_assert(server_end(&s));
    want_no_trace("standard output", s.line, strlen(s.line));
    want_silent_file(s.dir, "stderr");
    server_remove(&s);
}
END_TEST

/* Requests that are refused before it is known what they are for. */
START_TEST(servers_that_refuse_everything_tell_no_key)
{
    static const char *const verbose[] = {"-v", NULL};
    static const char *const refusing[] = {"kinto.readonly = true\n", "kinto.eos = 2020-01-01\n"};
    struct server s;
    server_start(&s, &(struct server_options){.settings = f("%s%s", SETTINGS, refusing[_i]),
                                              .args = verbose});
    api_use(s.url);
    ask_with_secrets_in_urls();
    ck_assert(server_end(&s));
    want_silent_file(s.dir, "stderr");
    server_remove(&s);
}
END_TEST

/* ---- starts that fail ------------------------------------------------------------------------ */

/* Lines of an INI that does not start; the second is of the environment. */
static const struct {
    const char *lines, *env;
} starts[] = {
    {"kinto.userid_hmac_secret sekret\n", NULL},
    {"sekret\n", NULL},
    {"= sekret\n", NULL},
    {"kinto.userid_hmac_secret = sekret\nkinto.paginate_by = many\n", NULL},
    {"kinto.userid_hmac_secret = sekret-%(nothing)s\n", NULL},
    {"kinto.userid_hmac_secret = sekret-%\n", NULL},
    {"kinto.userid_hmac_secret = sekret\nuserid_hmac_secret = another sekret\n", NULL},
    {"kinto.userid_hmac_secret = sekret\nkinto.userid_hmac_secret = another sekret\n", NULL},
    {"kinto.userid_hmac_secret = sekret\xff\n", NULL},
    {"mail.password = sekret\nmail.port = none\n", NULL},
    {"mail.passwort = sekret\nmail.port = none\n", NULL},
    {"kinto.secret = sekret\nmail.port = none\n", NULL},
    {"multiauth.policies = auth0\n"
     "multiauth.policy.auth0.use = kinto.plugins.openid.OpenIDConnectPolicy\n"
     "multiauth.policy.auth0.client_secret = sekret\n",
     NULL},
    {"multiauth.policies = auth0\n"
     "multiauth.policy.auth0.use = kinto.plugins.openid.OpenIDConnectPolicy\n"
     "multiauth.policy.auth0.issuer = ftp://kinto:sekret@id.example.org/\n"
     "multiauth.policy.auth0.client_id = id\n"
     "multiauth.policy.auth0.client_secret = sekret\n",
     NULL},
    {"kinto.includes = kinto.plugins.statsd\nkinto.statsd_url = udp://kinto:sekret@127.0.0.1\n",
     NULL},
    {"kinto.http_host = https://kinto:a/sekret@example.org\n", NULL},
    {"kinto.http_host = "
     "https://kinto-of-a-very-long-name-0123456789-0123456789-0123456789:sekret@h\n",
     NULL},
    {"kinto.eos = http://kinto:a/sekret@example.org/\n", NULL},
    {"kinto.rate_limit.user = http://kinto:a/sekret@example.org/\n", NULL},
    {"kinto.rate_limit.exempt = http://kinto:a/sekret@example.org/\n", NULL},
    {"kinto.includes = http://kinto:a/sekret@example.org/\n", NULL},
    {"multiauth.policies = http://kinto:a/sekret@example.org/\n", NULL},
    {"kinto.event_listeners = http://kinto:a/sekret@example.org/\n", NULL},
    {"kinto.includes = kinto.plugins.statsd\nkinto.statsd_url = udp://kinto:a/sekret@127.0.0.1\n",
     NULL},
    {"mail.port = none\n", "KINTO_PAGINATE_BY=http://kinto:a/sekret@example.org/"},
    {"mail.port = none\n", "KINTO_USERID_HMAC_SECRET={\"a\":\"sekret\"}"},
    {"mail.port = none\n", "KINTO_USERID_HMAC_SECRET=[\"sekret\"]"},
    {"mail.port = none\n", "MAIL_PASSWORD=[\"sekret\"]"},
    {"mail.port = none\n", "MAIL_PASSWORD=sekret\xff"},
    {"kinto.storage_url = host=db.example.org password=sekret\nmail.port = none\n", NULL},
    {"", "KINTO_SERVER_HOST=http://kinto:sekret@h"},
    {"get kinto.eos = http://kinto:sekret@h\n", NULL},
};

START_TEST(no_start_that_fails_tells_a_secret)
{
    const char *env[] = {starts[_i].env, NULL}, *output;
    static const char *const verbose[] = {"-v", NULL};
    int status = server_refuse(&(struct server_options){.settings = starts[_i].lines,
                                                        .env = starts[_i].env ? env : NULL,
                                                        .args = verbose},
                               &output);
    ck_assert_int_ne(status, 0);
    ck_assert_uint_gt(strlen(output), 10);
    want_no_trace(starts[_i].lines, output, strlen(output));
}
END_TEST

/* The URL of a database, where only a directory is of use; by each command that opens the store. */
START_TEST(no_command_tells_the_password_of_a_database)
{
    static const char *const urls[] = {"postgresql://kinto:sekret@db.example.org/kinto",
                                       "redis://:sekret@db.example.org/1",
                                       "http://kinto:sekret@x:sekret@db.example.org/1",
                                       "postgresql://kinto:a/sekret@db.example.org/kinto",
                                       "postgresql://kinto:a?sekret#@db.example.org/kinto",
                                       "postgresql://kinto:a'sekret \"sekret@db.example.org/kinto",
                                       "postgresql://kinto:sekret/db.example.org",
                                       "postgresql://db.example.org/kinto?user=k&password=sekret"};
    static const char *const commands[] = {"start", "check", "migrate", "compact", "stats"};
    char dir[160];
    new_dir(dir, sizeof dir);
    for (size_t u = 0; u < ARRAY_LEN(urls); u++) {
        server_write_file(dir, "kinto.ini", f("[app:main]\nkinto.storage_url = %s\n", urls[u]));
        for (size_t c = 0; c < ARRAY_LEN(commands); c++) {
            const char *const args[] = {commands[c], "--ini", "kinto.ini", NULL}, *output;
            ck_assert_int_ne(server_run(dir, args, &output), 0);
            want_no_trace(f("%s with %s", commands[c], urls[u]), output, strlen(output));
        }
    }
    struct server s = {0};
    snprintf(s.dir, sizeof s.dir, "%s", dir);
    server_remove(&s);
}
END_TEST

/* URLs where the server is to listen, which tests choose on the command line otherwise. */
START_TEST(no_address_tells_a_password)
{
    static const char *const lines[] = {"host = http://kinto:sekret@h",
                                        "listen = http://kinto:sekret@h:80",
                                        "unix_socket = http://kinto:sekret@h/x"};
    static const char *const args[] = {"start", "--ini", "kinto.ini", NULL};
    const char *output;
    char dir[160];
    new_dir(dir, sizeof dir);
    server_write_file(dir, "kinto.ini",
                      f("[app:main]\nkinto.storage_backend = kinto.core.storage.memory\n"
                        "kinto.userid_hmac_secret = x\n[server:main]\n%s\n",
                        lines[_i]));
    ck_assert_int_ne(server_run(dir, args, &output), 0);
    ck_assert_ptr_nonnull(strstr(output, "\"http://kinto:******@h"));
    want_no_trace(lines[_i], output, strlen(output));
    struct server s = {0};
    snprintf(s.dir, sizeof s.dir, "%s", dir);
    server_remove(&s);
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------- */

static void want_mode(const char *path, unsigned mode)
{
    struct stat st;
    ck_assert_msg(stat(path, &st) == 0, "there is no %s", path);
    ck_assert_msg((st.st_mode & 07777) == mode, "%s: mode %o, want %o", path, st.st_mode & 07777u,
                  mode);
}

/* The owner's alone, however open the umask is; and no secret is shown on the way. */
START_TEST(what_is_written_is_the_owners)
{
    char dir[160];
    const char *output;
    new_dir(dir, sizeof dir);
    mode_t before = umask(0);
    const char *const init[] = {"init", "--ini", "config/kinto.ini", "--backend", "engine", NULL};
    ck_assert_int_eq(server_run(dir, init, &output), 0);
    want_mode(f("%s/config/kinto.ini", dir), 0600);
    char *text, *line;
    size_t n;
    ck_assert_int_eq(os_read_file(f("%s/config/kinto.ini", dir), MIB, &text, &n, NULL), OK);
    line = strstr(text, "\nkinto.userid_hmac_secret = ");
    ck_assert_ptr_nonnull(line);
    line[28 + 16] = '\0'; /* its beginning is enough */
    ck_assert_ptr_null(strstr(output, line + 28));
    free(text);
    struct server s;
    server_start(
        &s, &(struct server_options){.durable = true, .settings = "kinto.userid_hmac_secret =\n"});
    umask(before);
    want_mode(f("%s/data", s.dir), 0700);
    want_mode(f("%s/data/secret", s.dir), 0600);
    server_stop(&s);
    s = (struct server){0};
    snprintf(s.dir, sizeof s.dir, "%s", dir);
    server_remove(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("secrets");
    TCase *t = api_case_own(s, "secrets");
    tcase_add_test(t, nothing_that_is_said_holds_a_secret);
    tcase_add_loop_test(t, servers_that_refuse_everything_tell_no_key, 0, 2);
    tcase_add_loop_test(t, no_start_that_fails_tells_a_secret, 0, ARRAY_LEN(starts));
    tcase_add_test(t, no_command_tells_the_password_of_a_database);
    tcase_add_loop_test(t, no_address_tells_a_password, 0, 3);
    tcase_add_test(t, what_is_written_is_the_owners);
    return s;
}

API_MAIN(suite, NULL)
