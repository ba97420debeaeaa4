/*
 * test/http/test_account_mail.c - accounts that are made valid by mail, and passwords that are forgotten
 * (kinto.account_validation), with a mail server that the test plays.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#include "base/arena.h"
#include "base/hash.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- a mail server ---------------------------------------------------------------------------- */

#define MAX_MAILS 16
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int listening;
    unsigned port;
    const char *refusals[4];  /* answers to the first mails, instead of 250; "": none */
    unsigned asked;           /* mails that were offered */
    const char *greetings[2]; /* to the first who come, instead of 220 */
    unsigned met;             /* those who came */
    const char *breaks_at;    /* a command with that in it ends the connection */
    char mails[MAX_MAILS][4096];
    unsigned n;
} post;

static bool say(FILE *f, const char *line)
{
    return fprintf(f, "%s\r\n", line) > 0 && fflush(f) == 0;
}

/* Lines up to ".", without the dots that were doubled. */
static void read_mail(FILE *f, char out[4096])
{
    char line[1024];
    size_t n = 0;
    out[0] = '\0';
    while (fgets(line, sizeof line, f) && strcmp(line, ".\r\n") != 0) {
        const char *text = line[0] == '.' ? line + 1 : line;
        size_t more = strlen(text);
        if (n + more < 4096)
            memcpy(out + n, text, more + 1);
        n += n + more < 4096 ? more : 0;
    }
}

/* False: hangs up. */
static bool take_mail(FILE *f)
{
    char mail[4096];
    say(f, "354 go on");
    read_mail(f, mail);
    pthread_mutex_lock(&post.lock);
    const char *refusal = post.asked < ARRAY_LEN(post.refusals) ? post.refusals[post.asked] : NULL;
    post.asked++;
    if (refusal == NULL && post.n < MAX_MAILS)
        memcpy(post.mails[post.n++], mail, sizeof mail);
    pthread_cond_broadcast(&post.changed);
    pthread_mutex_unlock(&post.lock);
    if (refusal == NULL || refusal[0] != '\0')
        say(f, refusal ? refusal : "250 taken");
    return refusal == NULL || refusal[0] != '\0';
}

static void greet(FILE *f)
{
    pthread_mutex_lock(&post.lock);
    const char *other = post.met < ARRAY_LEN(post.greetings) ? post.greetings[post.met] : NULL;
    post.met++;
    pthread_mutex_unlock(&post.lock);
    say(f, other ? other : "220 mail");
}

static bool breaks_off(const char *line)
{
    pthread_mutex_lock(&post.lock);
    bool yes = post.breaks_at && strstr(line, post.breaks_at);
    pthread_mutex_unlock(&post.lock);
    return yes;
}

static void serve(int fd)
{
    char line[1024];
    FILE *f = fdopen(fd, "r+");
    setvbuf(f, NULL, _IONBF, 0);
    greet(f);
    while (fgets(line, sizeof line, f)) {
        if (breaks_off(line))
            break;
        if (strncmp(line, "DATA", 4) == 0 && !take_mail(f))
            break;
        else if (strncmp(line, "DATA", 4) == 0)
            continue;
        else if (strncmp(line, "QUIT", 4) == 0)
            break;
        else
            say(f, "250 fine");
    }
    fclose(f);
}

static void *serve_all(void *arg)
{
    (void)arg;
    int fd;
    while ((fd = accept(post.listening, NULL, NULL)) >= 0)
        serve(fd);
    return NULL;
}

/* On a port of its own; closed: nobody listens there yet. */
static void post_begin(bool open)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    memset(&post, 0, sizeof post);
    pthread_mutex_init(&post.lock, NULL);
    pthread_cond_init(&post.changed, NULL);
    post.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(post.listening, (struct sockaddr *)&a, sizeof a), 0);
    ck_assert_int_eq(getsockname(post.listening, (struct sockaddr *)&a, &n), 0);
    post.port = ntohs(a.sin_port);
    if (open) {
        ck_assert_int_eq(listen(post.listening, 16), 0);
        ck_assert_int_eq(pthread_create(&post.thread, NULL, serve_all, NULL), 0);
    }
}

static void post_open(void)
{
    ck_assert_int_eq(listen(post.listening, 16), 0);
    ck_assert_int_eq(pthread_create(&post.thread, NULL, serve_all, NULL), 0);
}

static void post_end(void)
{
    shutdown(post.listening, SHUT_RDWR);
    pthread_join(post.thread, NULL);
    close(post.listening);
}

static void wait_until(unsigned *counter, unsigned n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&post.lock);
    while (*counter < n)
        ck_assert_int_eq(pthread_cond_timedwait(&post.changed, &post.lock, &until), 0);
    pthread_mutex_unlock(&post.lock);
}

static unsigned count_of(const unsigned *counter)
{
    pthread_mutex_lock(&post.lock);
    unsigned n = *counter;
    pthread_mutex_unlock(&post.lock);
    return n;
}

/* What it says from now on instead of yes. */
static void play(const char **instead, const char *text)
{
    pthread_mutex_lock(&post.lock);
    *instead = text;
    pthread_mutex_unlock(&post.lock);
}

/* The i-th mail, when it has come. */
static const char *mail(unsigned i)
{
    wait_until(&post.n, i + 1);
    return post.mails[i];
}

static void want_line(const char *text, const char *line)
{
    ck_assert_msg(strstr(text, line) != NULL, "no \"%s\" in:\n%s", line, text);
}

/* What stands behind "key=" in a mail: 36 characters. */
static const char *key_in(const char *text)
{
    const char *at = strstr(text, "key=3D"); /* quoted-printable */
    ck_assert_msg(at != NULL, "%s", text);
    return f("%.36s", at + strlen("key=3D"));
}

/* The key of the first mail with another one: who was stopped may send a mail twice. */
static const char *key_after(const char *old)
{
    for (unsigned i = 1;; i++) {
        const char *key = key_in(mail(i));
        if (strcmp(key, old) != 0)
            return key;
    }
}

/* ---- the server ------------------------------------------------------------------------------- */

#define SETTINGS              SETTINGS_OF("account")
#define SETTINGS_OF(policies) SETTINGS_WITH("", policies)
#define SETTINGS_WITH(plugins, policies)                                                           \
    "kinto.includes = kinto.plugins.accounts " plugins "\n"                                        \
    "multiauth.policies = " policies "\n"                                                          \
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"                       \
    "kinto.account_create_principals = system.Everyone\n"                                          \
    "kinto.account_write_principals = account:admin@example.org sso:eraser\n"                      \
    "kinto.account_password_cost = 4\n"                                                            \
    "kinto.account_validation = true\n"                                                            \
    "kinto.account_validation.email_sender = kinto@example.org\n"                                  \
    "kinto.account_validation.email_subject_template = For {name}, {id}\n"                         \
    "kinto.account_validation.email_body_template = key={activation-key}&{nobody}&{{x}}\n"         \
    "kinto.account_validation.email_confirmation_body_template = Welcome, {name}!\n"               \
    "kinto.account_validation.email_reset_password_body_template = key={reset-password}\n"         \
    "mail.host = 127.0.0.1\n"

static struct server server;

#define SSO                                                                                        \
    "multiauth.policy.sso.use = kinto.auth.ProxyPolicy\n"                                          \
    "multiauth.policy.sso.proxies = 127.0.0.1\n"
#define TOO_SMALL                                                                                  \
    "kinto.bucket_create_principals = system.Everyone\n"                                           \
    "kinto.quotas.bucket_max_bytes = 10\n"
#define ERASER                                                                                     \
    "kinto.account_read_principals = sso:eraser\n"                                                 \
    "kinto.user-data_delete_principals = sso:eraser\n"

static void start(bool post_is_open)
{
    post_begin(post_is_open);
    server_start(&server,
                 &(struct server_options){.settings = f(SETTINGS "mail.port = %u\n", post.port),
                                          .durable = true});
    api_use(server.url);
    as(NULL);
}

static void stop(void)
{
    server_stop(&server);
    post_end();
}

static void with_password(const char *name, const char *password)
{
    static struct arena a;
    arena_fini(&a);
    arena_init(&a, NULL, 0, NULL, MIB);
    str encoded = hash_base64_encode(&a, str_from(f("%s:%s", name, password)));
    with("Authorization", f("Basic " STR_FMT, STR_ARG(encoded)));
}

#define ALICE "alice@example.org"

static void sign_up(void)
{
    call("PUT", "/accounts/" ALICE,
         "{'data':{'password':'secret','validated':true,'email-context':{'name':'Alice'}}}");
    want(201);
    want_at("/data/validated", "false");
}

/* So many have been sent, and no other is on its way: mails go in turn, so one behind them tells. */
static void want_mails(unsigned n)
{
    call("PUT", "/accounts/last@example.org", "{'data':{'password':'secret'}}");
    want(201);
    want_line(mail(n), "To: last@example.org\r\n");
}

static bool logs_in(const char *password)
{
    with_password(ALICE, password);
    call("GET", "/", NULL);
    return has("/user/id");
}

/* ---- tests ------------------------------------------------------------------------------------ */

START_TEST(an_account_is_made_valid_by_mail)
{
    start(true);
    sign_up();
    ck_assert(!logs_in("secret"));
    want_line(mail(0), "To: " ALICE "\r\n");
    want_line(mail(0), "From: kinto@example.org\r\n");
    want_line(mail(0), "Subject: For Alice, " ALICE "\r\n");
    want_line(mail(0), "&{nobody}&{x}");
    const char *key = key_in(mail(0));
    call("POST", f("/accounts/" ALICE "/validate/%sx", key), NULL);
    want_error(403, 121, "Account ID and activation key do not match");
    call("POST", f("/accounts/bob@example.org/validate/%s", key), NULL);
    want_error(403, 121, "Account ID and activation key do not match");
    call("POST", f("/accounts/" ALICE "/validate/%s", key), NULL);
    want(200);
    want_at("/validated", "true");
    want_missing("/password");
    want_line(mail(1), "Welcome, Alice!");
    ck_assert(logs_in("secret"));
    call("POST", f("/accounts/" ALICE "/validate/%s", key), NULL); /* it has been used */
    want(403);
    stop();
}
END_TEST

/* Somebody whom another policy knows under that name may make the account, but no address valid. */
START_TEST(only_the_key_makes_valid)
{
    static const char *const bodies[][2] = {
        {"PUT", "{'data':{'password':'secret','validated':true}}"},
        {"PUT", "{'data':{'password':'secret'}}"},
        {"PATCH", "{'data':{'validated':true}}"}};
    post_begin(true);
    server_start(&server,
                 &(struct server_options){
                     .settings = f(SETTINGS_OF("account sso") SSO "mail.port = %u\n", post.port)});
    api_use(server.url);
    as(NULL);
    with("X-Forwarded-User", ALICE);
    sign_up();
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        with("X-Forwarded-User", ALICE);
        call(bodies[i][0], "/accounts/" ALICE, bodies[i][1]);
        want(200);
        want_at("/data/validated", "false");
        ck_assert(!logs_in("secret"));
    }
    call("POST", f("/accounts/" ALICE "/validate/%s", key_in(mail(0))), NULL);
    want(200);
    ck_assert(logs_in("secret"));
    stop();
}
END_TEST

START_TEST(names_are_addresses)
{
    start(true);
    call("PUT", "/accounts/alice", "{'data':{'password':'secret'}}");
    want_invalid("body", "data.id", NULL);
    call("POST", "/accounts/alice/reset-password", NULL);
    want_invalid("body", "data.id", NULL);
    call("GET", "/", NULL);
    want_at("/capabilities/accounts/validation_enabled", "true");
    stop();
}
END_TEST

START_TEST(a_forgotten_password)
{
    start(true);
    sign_up();
    call("POST", f("/accounts/" ALICE "/validate/%s", key_in(mail(0))), NULL);
    want(200);
    call("POST", "/accounts/" ALICE "/reset-password", NULL);
    want_body("{'message':'A temporary reset password has been sent by mail'}");
    call("POST", "/accounts/nobody@example.org/reset-password", NULL);
    want_body("{'message':'A temporary reset password has been sent by mail'}");
    call("POST", "/accounts/" ALICE "/reset-password", NULL); /* not twice within a minute */
    want_body("{'message':'A temporary reset password has been sent by mail'}");
    const char *key = key_in(mail(2));
    ck_assert(logs_in("secret")); /* still the password */
    ck_assert(!logs_in(key));     /* which it is not */
    with_password(ALICE, key);
    call("PATCH", "/accounts/" ALICE, "{'data':{'password':'better','more':1}}");
    want(401);
    with_password(ALICE, key);
    call("PATCH", "/accounts/" ALICE,
         "{'data':{'password':'better'},'permissions':{'write':['system.Everyone']}}");
    want(401);
    with_password(ALICE, key);
    call("DELETE", "/accounts/" ALICE, NULL);
    want(401);
    with_password(ALICE, key);
    call("PUT", "/buckets/b", "{'data':{'password':'better'}}");
    want(401);
    with_password(ALICE, key);
    call("PATCH", "/accounts/" ALICE, "{'data':{'password':'better'}}");
    want(200);
    ck_assert(logs_in("better"));
    ck_assert(!logs_in("secret"));
    with_password(ALICE, key); /* it has been used */
    call("PATCH", "/accounts/" ALICE, "{'data':{'password':'again'}}");
    want(401);
    want_mails(3);
    stop();
}
END_TEST

START_TEST(a_reset_of_an_account_that_is_not_valid_helps_nobody)
{
    start(true);
    sign_up();
    call("POST", "/accounts/" ALICE "/reset-password", NULL);
    want(200);
    with_password(ALICE, key_in(mail(1)));
    call("PATCH", "/accounts/" ALICE, "{'data':{'password':'better'}}");
    want(401);
    stop();
}
END_TEST

/* A part of a batch that fails with a 5xx undoes the sign-up before it, and its mail. */
START_TEST(what_is_undone_sends_nothing)
{
    post_begin(true);
    server_start(&server, &(struct server_options){
                              .settings = f(SETTINGS_WITH("kinto.plugins.quotas", "account")
                                                TOO_SMALL "mail.port = %u\n",
                                            post.port)});
    api_use(server.url);
    as(NULL);
    call("POST", "/batch",
         "{'requests':[{'method':'PUT','path':'/accounts/" ALICE "',"
         "'body':{'data':{'password':'secret'}}},"
         "{'method':'PUT','path':'/buckets/b','body':{'data':{'more':'than may be'}}}]}");
    want(507);
    want_mails(0);
    sign_up(); /* 201: it was not there */
    want_line(mail(1), "To: " ALICE "\r\n");
    stop();
}
END_TEST

/* The mail server is not there, and kinto goes away too: what was promised is sent all the same. */
START_TEST(mails_survive)
{
    start(false);
    sign_up();
    server_kill(&server);
    post_open();
    server_restart(&server, &(struct server_options){.durable = true});
    api_use(server.url);
    const char *key = key_in(mail(0));
    call("POST", f("/accounts/" ALICE "/validate/%s", key), NULL);
    want(200);
    wait_until(&post.n, 2);
    stop();
}
END_TEST

/* A mail server that takes connections and says nothing. */
START_TEST(a_stop_does_not_wait_for_the_mail_server)
{
    post_begin(false);
    ck_assert_int_eq(listen(post.listening, 16), 0);
    server_start(&server,
                 &(struct server_options){.settings = f(SETTINGS "mail.port = %u\n", post.port)});
    api_use(server.url);
    as(NULL);
    sign_up();
    int peer = accept(post.listening, NULL, NULL);
    ck_assert_int_ge(peer, 0);
    server_stop(&server); /* within its deadline */
    close(peer);
    close(post.listening);
}
END_TEST

START_TEST(a_mail_is_tried_again)
{
    start(true);
    play(&post.refusals[0], "451 later");
    sign_up();
    key_in(mail(0));
    ck_assert_uint_eq(count_of(&post.asked), 2);
    stop();
}
END_TEST

/* What goes wrong with one mail is no reason to keep the others waiting. */
START_TEST(a_mail_that_breaks_the_server_is_put_off)
{
    start(true);
    play(&post.refusals[0], "");
    sign_up();
    wait_until(&post.asked, 1);
    call("PUT", "/accounts/bob@example.org", "{'data':{'password':'secret'}}");
    want(201);
    want_line(mail(0), "To: bob@example.org");
    want_line(mail(1), "To: " ALICE);
    stop();
}
END_TEST

START_TEST(a_long_subject_is_cut)
{
    start(true);
    call("PUT", "/accounts/" ALICE,
         f("{'data':{'password':'secret','email-context':{'name':'%s'}}}", repeat('x', 3000)));
    want(201);
    want_line(mail(0), "Subject: =?utf-8?B?Rm9yIHh4eHh4eHh4");
    stop();
}
END_TEST

START_TEST(a_mail_that_is_refused_is_given_up)
{
    start(true);
    play(&post.refusals[0], "550 never");
    sign_up();
    wait_until(&post.asked, 1);
    call("PUT", "/accounts/bob@example.org", "{'data':{'password':'secret'}}");
    want(201);
    want_line(mail(0), "To: bob@example.org");
    ck_assert_uint_eq(count_of(&post.asked), 2);
    stop();
}
END_TEST

/* Whatever a server says before it has heard of the mail is not about the mail: none is given up. */
START_TEST(a_server_that_turns_us_away_gets_the_mail_later)
{
    start(true);
    play(&post.greetings[0], _i == 0   ? "554 not you"
                             : _i == 1 ? "421 busy"
                                       : "HTTP/1.1 400 Bad Request");
    sign_up();
    key_in(mail(0));
    ck_assert_uint_eq(count_of(&post.met), 2);
    stop();
}
END_TEST

/* Not even if it is the mail that makes the server break off, each time. */
START_TEST(a_mail_that_the_server_breaks_off_at_keeps_no_other_back)
{
    start(true);
    play(&post.breaks_at, "<" ALICE ">");
    sign_up();
    call("PUT", "/accounts/bob@example.org", "{'data':{'password':'secret'}}");
    want(201);
    want_line(mail(0), "To: bob@example.org");
    stop();
}
END_TEST

/* By the command line, while the server is stopped. */
static void create_user(const char *name, const char *password)
{
    const char *output, *const words[] = {"create-user",
                                          "--ini",
                                          f("%s/kinto.ini", server.dir),
                                          "--data",
                                          f("%s/data", server.dir),
                                          "-u",
                                          name,
                                          "-p",
                                          password,
                                          NULL};
    ck_assert(server_end(&server));
    ck_assert_int_eq(server_run(NULL, words, &output), 0);
    server_restart(&server, &(struct server_options){.durable = true});
    api_use(server.url);
}

/* Whoever reads the user's mail does not outlast the new password. */
START_TEST(a_password_from_the_command_line_ends_the_mailed_one)
{
    start(true);
    sign_up();
    call("POST", f("/accounts/" ALICE "/validate/%s", key_in(mail(0))), NULL);
    want(200);
    call("POST", "/accounts/" ALICE "/reset-password", NULL);
    want(200);
    const char *key = key_in(mail(2));
    create_user(ALICE, "better");
    with_password(ALICE, key);
    call("PATCH", "/accounts/" ALICE, "{'data':{'password':'mine'}}");
    want(401);
    ck_assert(logs_in("better"));
    stop();
}
END_TEST

START_TEST(a_deleted_account_leaves_no_key)
{
    start(true);
    sign_up();
    const char *key = key_in(mail(0));
    create_user("admin@example.org", "secret");
    with_password("admin@example.org", "secret");
    call("DELETE", "/accounts/" ALICE, NULL);
    want(200);
    sign_up();
    call("POST", f("/accounts/" ALICE "/validate/%s", key), NULL);
    want(403);
    call("POST", f("/accounts/" ALICE "/validate/%s", key_after(key)), NULL);
    want(200);
    stop();
}
END_TEST

/* Who is erased gets no mail any more, and no list tells the address. */
START_TEST(an_erased_user_is_not_written_to)
{
    post_begin(false);
    server_start(&server, &(struct server_options){.settings = f(SETTINGS_OF("sso account")
                                                                     ERASER SSO "mail.port = %u\n",
                                                                 post.port)});
    api_use(server.url);
    as(NULL);
    sign_up(); /* nobody listens there yet */
    with("X-Forwarded-User", "eraser");
    call("DELETE", "/__user_data__/account:" ALICE, NULL);
    want(200);
    with("X-Forwarded-User", "eraser");
    call("GET", "/accounts?_since=0", NULL);
    want(200);
    ck_assert_msg(strstr(re.body, ALICE) == NULL, "%s", re.body);
    post_open();
    call("PUT", "/accounts/bob@example.org", "{'data':{'password':'secret'}}");
    want(201);
    want_line(mail(0), "To: bob@example.org");
    ck_assert_uint_eq(count_of(&post.asked), 1);
    stop();
}
END_TEST

static const char *const bad_settings[][2] = {
    {SETTINGS "mail.tls = true\nmail.ssl = true\n", "mail.ssl"},
    {SETTINGS "mail.port = 70000\n", "mail.port"},
    {SETTINGS "kinto.account_validation.email_regexp = (\n", "email_regexp"},
    {SETTINGS "kinto.account_validation.email_sender = nobody\n", "email_sender"},
    {SETTINGS "mail.username = kinto\n", "needs a password"},
    {SETTINGS "mail.password = secret\n", "needs a password"},
};

START_TEST(settings_that_cannot_be)
{
    const char *output;
    int status = server_refuse(&(struct server_options){.settings = bad_settings[_i][0]}, &output);
    ck_assert_int_eq(status, 1);
    ck_assert_msg(strstr(output, bad_settings[_i][1]) != NULL, "%s", output);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/account_mail");
    TCase *t = api_case_own(s, "mail");
    tcase_add_test(t, an_account_is_made_valid_by_mail);
    tcase_add_test(t, only_the_key_makes_valid);
    tcase_add_test(t, names_are_addresses);
    tcase_add_test(t, a_forgotten_password);
    tcase_add_test(t, a_reset_of_an_account_that_is_not_valid_helps_nobody);
    tcase_add_test(t, what_is_undone_sends_nothing);
    tcase_add_test(t, mails_survive);
    tcase_add_test(t, a_stop_does_not_wait_for_the_mail_server);
    tcase_add_test(t, a_mail_is_tried_again);
    tcase_add_test(t, a_mail_that_breaks_the_server_is_put_off);
    tcase_add_test(t, a_long_subject_is_cut);
    tcase_add_test(t, a_mail_that_is_refused_is_given_up);
    tcase_add_loop_test(t, a_server_that_turns_us_away_gets_the_mail_later, 0, 3);
    tcase_add_test(t, a_mail_that_the_server_breaks_off_at_keeps_no_other_back);
    tcase_add_test(t, a_deleted_account_leaves_no_key);
    tcase_add_test(t, a_password_from_the_command_line_ends_the_mailed_one);
    tcase_add_test(t, an_erased_user_is_not_written_to);
    tcase_add_loop_test(t, settings_that_cannot_be, 0, (int)ARRAY_LEN(bad_settings));
    return s;
}

API_MAIN(suite, NULL)
