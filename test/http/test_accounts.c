/*
 * test/http/test_accounts.c - kinto.plugins.accounts: signing up, logging in, administrators, and
 * what strangers cannot find out or do.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#include "base/arena.h"
#include "base/hash.h"

#define ACCOUNTS                                                                                   \
    "kinto.includes = kinto.plugins.accounts kinto.plugins.flush kinto.plugins.default_bucket\n"   \
    "multiauth.policies = account basicauth\n"                                                     \
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"                       \
    "kinto.account_create_principals = system.Everyone\n"                                          \
    "kinto.account_write_principals = account:admin\n"
#define FAST ACCOUNTS "kinto.account_password_cost = 4\n"

static const char *basic(const char *name, const char *password)
{
    static struct arena a;
    arena_fini(&a);
    arena_init(&a, NULL, 0, NULL, MIB);
    str encoded = hash_base64_encode(&a, str_from(f("%s:%s", name, password)));
    return f("Basic " STR_FMT, STR_ARG(encoded));
}

/* The next request comes with that password (as(): "secret"); those behind it are anonymous. */
static void with_password(const char *name, const char *password)
{
    as(NULL);
    with("Authorization", basic(name, password));
}

static void sign_up(const char *name)
{
    as(NULL);
    call("PUT", f("/accounts/%s", name), "{'data':{'password':'secret'}}");
    want(201);
}

static void want_user(const char *id)
{
    call("GET", "/", NULL);
    want(200);
    want_at("/user/id", f("'%s'", id));
}

/* ---- signing up ------------------------------------------------------------------------------ */

START_TEST(everybody_signs_up)
{
    as(NULL);
    call("POST", "/accounts", "{'data':{'id':'alice','password':'secret','age':3}}");
    want(201);
    want_at("/data/id", "'alice'");
    want_at("/data/age", "3");
    want_at("/permissions", "{'write':['account:alice']}");
    ck_assert_ptr_nonnull(strstr(at("/data/password"), "$2b$04$"));
    ck_assert_uint_eq(strlen(at("/data/password")), 60);
    as("alice");
    want_user("account:alice");
    call("GET", "/accounts/alice", NULL);
    want(200);
    want_at("/permissions", "{'write':['account:alice']}");
    call("GET", "/accounts", NULL);
    want_ids("alice");
    make("/buckets/b");
    want_at("/permissions/write", "['account:alice']");
}
END_TEST

static const struct {
    const char *body, *name, *description;
} bad_bodies[] = {
    {NULL, "data.id", "data.id in body: Required"},
    {"{'data':{'password':'x'}}", "data.id", "data.id in body: Required"},
    {"{'data':[1]}", "data.id", "data.id in body: Required"},
    {"[1]", "data.id", "data.id in body: Required"},
    {"{'data':{'id':'a'}}", "data.password", "Required"},
    {"{'data':{'id':'a','password':''}}", "data.password", "Required"},
    {"{'data':{'id':'a','password':5}}", "data.password", "5 is not a string: {'password': ''}"},
    {"{'data':{'id':'a','password':'a\\u0000b'}}", "data.password", NULL},
};

START_TEST(bad_sign_ups)
{
    as(NULL);
    call("POST", "/accounts", bad_bodies[_i].body);
    want_invalid("body", bad_bodies[_i].name, bad_bodies[_i].description);
}
END_TEST

START_TEST(names)
{
    static const char *const good[] = {"a", "A.b+c@d-e_f", "0", "carol@example.org"};
    static const char *const bad[] = {".a", "a%20b", "@a", "a%2Fb", "a:b", "%C3%A4"};
    as(NULL);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        sign_up(good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        as(NULL);
        call("PUT", f("/accounts/%s", bad[i]), "{'data':{'password':'secret'}}");
        ck_assert_msg(re.status == 400 || re.status == 404, "%s: %d", bad[i], re.status);
    }
    as("carol@example.org");
    want_user("account:carol@example.org");
}
END_TEST

START_TEST(passwords_that_bcrypt_would_cut)
{
    as(NULL);
    call("PUT", "/accounts/a", f("{'data':{'password':'%s'}}", repeat('x', 73)));
    want_invalid("body", "data.password", NULL);
    call("PUT", "/accounts/a", f("{'data':{'password':'%s'}}", repeat('x', 72)));
    want(201);
    with_password("a", repeat('x', 72));
    want_user("account:a");
    with_password("a", repeat('x', 71));
    call("GET", "/accounts/a", NULL);
    want(403);
    with_password("a", repeat('x', 5000));
    call("GET", "/", NULL);
    want(200);
}
END_TEST

START_TEST(a_name_is_taken_once)
{
    sign_up("alice");
    call("PUT", "/accounts/alice", "{'data':{'password':'other'}}");
    want_error(401, 104, NULL);
    call("POST", "/accounts", "{'data':{'id':'alice','password':'other'}}");
    want_error(401, 104, NULL);
    as("alice");
    want_user("account:alice");
}
END_TEST

START_TEST(many_sign_up_in_one_batch)
{
    as(NULL);
    call("POST", "/batch",
         "{'requests':["
         "{'method':'PUT','path':'/accounts/a','body':{'data':{'password':'secret'}}},"
         "{'method':'PUT','path':'/accounts/b','body':{'data':{'password':'secret'}}},"
         "{'method':'PUT','path':'/accounts/c','body':{'data':{'password':'other'}}},"
         "{'method':'PUT','path':'/accounts/a','body':{'data':{'password':'again'}}}]}");
    want(200);
    want_at("/responses/0/status", "201");
    want_at("/responses/2/status", "201");
    want_at("/responses/3/status", "401");
    as("a");
    want_user("account:a");
    with_password("c", "other");
    want_user("account:c");
}
END_TEST

/* Who may read hashes cannot tell who chose the same password. */
START_TEST(equal_passwords_of_a_batch_have_hashes_of_their_own)
{
    as(NULL);
    call("POST", "/batch",
         "{'requests':["
         "{'method':'PUT','path':'/accounts/a','body':{'data':{'password':'secret'}}},"
         "{'method':'PUT','path':'/accounts/b','body':{'data':{'password':'secret'}}}]}");
    want(200);
    want_at("/responses/1/status", "201");
    char *first = strdup(at("/responses/0/body/data/password"));
    ck_assert_str_ne(first, at("/responses/1/body/data/password"));
    free(first);
    as("b");
    want_user("account:b");
}
END_TEST

/* Each part with credentials of its own. */
START_TEST(users_of_a_batch)
{
    sign_up("alice");
    sign_up("bob");
    as("alice");
    call("POST", "/batch",
         f("{'requests':[{'path':'/'},{'path':'/','headers':{'Authorization':'%s'}},"
           "{'path':'/','headers':{'Authorization':'%s'}},{'path':'/buckets/default'}]}",
           basic("bob", "secret"), basic("bob", "wrong")));
    want(200);
    want_at("/responses/0/body/user/id", "'account:alice'");
    want_at("/responses/1/body/user/id", "'account:bob'");
    ck_assert(strncmp(at("/responses/2/body/user/id"), "basicauth:", 10) == 0);
    want_at("/responses/3/status", "200");
}
END_TEST

/* ---- one's own account ----------------------------------------------------------------------- */

START_TEST(a_new_password)
{
    sign_up("alice");
    as("alice");
    want_user("account:alice"); /* remembered */
    call("PATCH", "/accounts/alice", "{'data':{'password':'better'}}");
    want(200);
    call("GET", "/accounts/alice", NULL);
    want(403); /* the old one is known no more: a user of basicauth */
    with_password("alice", "better");
    want_user("account:alice");
    with_password("alice", "better");
    call("PUT", "/accounts/alice", "{'data':{'password':'secret','x':1}}");
    want(200);
    as("alice");
    want_user("account:alice");
    call("PATCH", "/accounts/alice", "{'data':{'x':2}}");
    want(200);
    want_user("account:alice"); /* the hash stayed as it was */
    with("Content-Type", "application/merge-patch+json");
    call("PATCH", "/accounts/alice", "{'data':{'x':{'y':1}}}");
    want(200);
    want_user("account:alice");
}
END_TEST

START_TEST(a_password_by_json_patch)
{
    sign_up("alice");
    as("alice");
    with("Content-Type", "application/json-patch+json");
    call("PATCH", "/accounts/alice", "[{'op':'add','path':'/data/x','value':1}]");
    want(200);
    want_user("account:alice");
    with("Content-Type", "application/json-patch+json");
    call("PATCH", "/accounts/alice", "[{'op':'replace','path':'/data/password','value':'better'}]");
    want(200);
    ck_assert(strncmp(at("/data/password"), "$2b$", 4) == 0);
    with_password("alice", "better");
    want_user("account:alice");
}
END_TEST

START_TEST(without_data_nothing_changes)
{
    sign_up("alice");
    as("alice");
    call("PUT", "/accounts/alice", "{'permissions':{'read':['account:bob']}}");
    want_invalid("body", "data", "Required");
    call("PUT", "/accounts/alice", NULL);
    want_invalid("body", "data", "Required");
    call("PUT", "/accounts/alice", "{'data':{'x':1}}");
    want_invalid("body", "data.password", "Required");
    call("PATCH", "/accounts/alice", "{'data':{'password':null}}");
    want_invalid("body", "password", "Required");
    call("PATCH", "/accounts/alice", "{'data':{'id':'bob'}}");
    want_invalid("body", "id", NULL);
    want_user("account:alice");
}
END_TEST

START_TEST(an_account_is_deleted)
{
    sign_up("alice");
    as("alice");
    call("DELETE", "/accounts/alice", NULL);
    want(200);
    want_at("/data/deleted", "true");
    call("GET", "/", NULL);
    ck_assert(strncmp(at("/user/id"), "basicauth:", 10) == 0);
    sign_up("alice"); /* the name is free again */
    as("alice");
    want_user("account:alice");
    call("DELETE", "/accounts", NULL);
    want_ids("-alice");
}
END_TEST

/* ---- those of others ------------------------------------------------------------------------- */

START_TEST(others_are_not_there)
{
    sign_up("alice");
    sign_up("bob");
    as("alice");
    call("PATCH", "/accounts/alice",
         "{'permissions':{'read':['account:bob'],'write':['account:bob']}}");
    want(200);
    as("bob");
    call("GET", "/accounts/alice", NULL);
    want(404); /* although he may */
    call("PATCH", "/accounts/alice", "{'data':{'password':'mine'}}");
    want(403);
    call("DELETE", "/accounts/alice", NULL);
    want(403);
    call("PUT", "/accounts/alice", "{'data':{'password':'mine'}}");
    want_invalid("body", "data.id", "Username and account ID do not match.");
    call("PUT", "/accounts/zed", "{'data':{'password':'mine'}}");
    want_invalid("body", "data.id", "Username and account ID do not match.");
    call("POST", "/accounts", "{'data':{'id':'alice','password':'mine'}}");
    want_invalid("body", "data.id", "Username and account ID do not match.");
    call("POST", "/accounts", "{'data':{'password':'mine'}}");
    want_invalid("body", "data.id", "Accounts must have an ID.");
    call("GET", "/accounts", NULL);
    want_ids("bob");
    call("GET", "/accounts?id=alice", NULL);
    want_ids("");
    call("DELETE", "/accounts?id=alice", NULL);
    want_ids("");
    call("DELETE", "/accounts", NULL);
    want_ids("-bob");
    as("alice");
    want_user("account:alice");
}
END_TEST

/* All accounts share a clock: nobody may move it for the others. */
START_TEST(times_ahead_are_not_taken)
{
    as(NULL);
    call("PUT", "/accounts/a", "{'data':{'password':'secret','last_modified':99999999999999}}");
    want(201);
    as("a");
    call("PATCH", "/accounts/a", "{'data':{'last_modified':99999999999999}}");
    want(200);
    call("DELETE", "/accounts/a?last_modified=99999999999999", NULL);
    want(200);
    as(NULL);
    call("PUT", "/accounts/b", "{'data':{'password':'secret'}}");
    want(201);
    ck_assert_uint_eq(strlen(at("/data/last_modified")), 13);
    call("PUT", "/accounts/c", "{'data':{'password':'secret','last_modified':1234}}");
    want(201);
    want_at("/data/last_modified", "1234");
}
END_TEST

START_TEST(strangers_read_nothing)
{
    sign_up("alice");
    as(NULL);
    call("GET", "/accounts", NULL);
    want_error(401, 999, "");
    want_at("/error", "'Cannot read accounts.'");
    call("DELETE", "/accounts", NULL);
    want_error(401, 999, "");
    call("GET", "/accounts/alice", NULL);
    want_error(401, 104, NULL);
    call("GET", "/accounts/nobody", NULL);
    want_error(401, 104, NULL);
    call("DELETE", "/accounts/alice", NULL);
    want_error(401, 104, NULL);
    call("PATCH", "/accounts/alice", "{'data':{'password':'x'}}");
    want_error(401, 104, NULL);
}
END_TEST

START_TEST(administrators_manage_all)
{
    sign_up("admin");
    sign_up("alice");
    as("admin");
    call("GET", "/accounts/alice", NULL);
    want(200);
    want_at("/permissions", "{'write':['account:alice']}");
    call("PUT", "/accounts/bob", "{'data':{'password':'secret'}}");
    want(201);
    want_at("/permissions", "{'write':['account:bob']}");
    call("POST", "/accounts", "{'data':{'id':'carol','password':'secret'}}");
    want(201);
    want_at("/permissions", "{'write':['account:carol']}");
    call("PATCH", "/accounts/alice", "{'data':{'password':'reset'}}");
    want(200);
    want_at("/permissions", "{'write':['account:alice']}");
    call("GET", "/accounts/nobody", NULL);
    want(404);
    with_password("alice", "reset");
    want_user("account:alice");
    as("admin");
    call("DELETE", "/accounts/alice", NULL);
    want(200);
    call("DELETE", "/accounts?in_id=bob,carol", NULL);
    want_ids_any_order("-bob,-carol");
    call("GET", "/accounts", NULL);
    want_ids("admin");
}
END_TEST

START_TEST(permissions_name_accounts)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings = FAST
                                              "kinto.experimental_permissions_endpoint = true\n"});
    api_use(s.url);
    sign_up("alice");
    as("alice");
    call("GET", "/permissions?resource_name=account", NULL);
    want_body("{'data':[{'resource_name':'account','id':'alice','account_id':'alice',"
              "'uri':'/accounts/alice','permissions':['read','write']}]}");
    call("GET", "/permissions?resource_name=root", NULL);
    want_at("/data/0/permissions", "['bucket:create','account:create']");
    server_stop(&s);
}
END_TEST

START_TEST(everybody_owns_their_account)
{
    struct server s;
    server_start(&s,
                 &(struct server_options){.settings = FAST "kinto.explicit_permissions = false\n"});
    api_use(s.url);
    sign_up("alice");
    want_at("/permissions", "{'write':['account:alice']}");
    as("alice");
    call("PATCH", "/accounts/alice", "{'data':{'password':'better'}}");
    want(200);
    with_password("alice", "better");
    call("GET", "/accounts/alice", NULL);
    want_at("/permissions", "{'write':['account:alice']}");
    server_stop(&s);
}
END_TEST

START_TEST(the_policy_may_have_any_name)
{
    struct server s;
    server_start(&s, &(struct server_options){
                         .settings = "kinto.includes = kinto.plugins.accounts\n"
                                     "multiauth.policies = Mine\n"
                                     "multiauth.policy.Mine.use = "
                                     "kinto.plugins.accounts.authentication."
                                     "AccountsAuthenticationPolicy\n"
                                     "kinto.account_create_principals = system.Everyone\n"
                                     "kinto.account_password_cost = 4\n"});
    api_use(s.url);
    sign_up("alice");
    as("alice");
    want_user("account:alice");
    call("GET", "/accounts/alice", NULL);
    want(200);
    server_stop(&s);
}
END_TEST

/* ---- what is told at the start --------------------------------------------------------------- */

static const struct {
    const char *settings, *says;
} refused[] = {
    {"kinto.includes = kinto.plugins.accounts\n", "multiauth.policy.account.use"},
    {"kinto.includes = kinto.plugins.accounts\nmultiauth.policies = any account\n"
     "multiauth.policy.any.use = kinto.core.authentication.BasicAuthAuthenticationPolicy\n"
     "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n",
     "has to stand behind accounts: any"},
    {"kinto.includes = kinto.plugins.accounts\nmultiauth.policies = basicauth account\n"
     "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n",
     "has to stand behind accounts: basicauth"},
    {"kinto.includes = kinto.plugins.accounts\nmultiauth.policies = account\n"
     "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"
     "kinto.account_create_principals = system.Everyone account:clerk\n",
     "account:clerk"},
    {ACCOUNTS "kinto.account_password_cost = 3\n", "kinto.account_password_cost"},
};

START_TEST(bad_settings)
{
    const char *output;
    int status = server_refuse(&(struct server_options){.settings = refused[_i].settings}, &output);
    ck_assert_int_eq(status, 1);
    ck_assert_msg(strstr(output, refused[_i].says) != NULL, "%s", output);
}
END_TEST

/* ---- floods ---------------------------------------------------------------------------------- */

#define FLOOD 90 /* more than wait in the lane of one address */

/* All at once: wrong passwords of "alice", each on a connection of its own. */
static void flood(struct http_conn *c[FLOOD])
{
    for (unsigned i = 0; i < FLOOD; i++) {
        const char *request = f("GET /v1/accounts/alice HTTP/1.1\r\nHost: x\r\n"
                                "Authorization: %s\r\n\r\n",
                                basic("alice", f("wrong%u", i)));
        c[i] = raw_open();
        ck_assert(http_send(c[i], request, strlen(request)));
    }
}

/* How many answers of the flood have that status. */
static unsigned flood_answers(struct http_conn *c[FLOOD], int status)
{
    unsigned n = 0;
    for (unsigned i = 0; i < FLOOD; i++) {
        struct http_reply reply = {0};
        ck_assert_int_eq(http_read(c[i], false, &reply), HTTP_GOT);
        ck_assert_int_eq(reply.status == 503, http_reply_header(&reply, "Retry-After") != NULL);
        ck_assert(reply.status == 403 || reply.status == 503);
        n += reply.status == status;
        http_reply_fini(&reply);
        http_close(c[i]);
    }
    return n;
}

/* Wrong passwords from many connections at once: each is answered, some are told to come back; whoever
 * needs no password to be checked is served meanwhile. */
START_TEST(wrong_passwords_hold_up_nobody)
{
    struct http_conn *c[FLOOD];
    sign_up("alice");
    as("alice");
    want_user("account:alice"); /* remembered */
    flood(c);
    want_user("account:alice");
    as(NULL);
    call("GET", "/", NULL);
    want(200);
    ck_assert_uint_ge(flood_answers(c, 403), 64);
}
END_TEST

static size_t count_lines(const char *path, const char *with)
{
    char line[4096];
    size_t n = 0;
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        n += strstr(line, with) != NULL;
    fclose(file);
    return n;
}

/* Of the many that are refused while the queue is full, the log has one line. */
START_TEST(a_flood_does_not_flood_the_log)
{
    struct server s;
    struct http_conn *c[FLOOD];
    server_start(
        &s, &(struct server_options){.settings = ACCOUNTS "kinto.account_password_cost = 9\n"});
    api_use(s.url);
    flood(c);
    ck_assert_uint_ge(flood_answers(c, 503), 2);
    ck_assert(server_end(&s));
    const char *log = f("%s/stderr", s.dir);
    ck_assert_uint_eq(count_lines(log, "work_refused"), 1);
    ck_assert_uint_eq(count_lines(log, "ERROR"), 0);
    server_remove(&s);
}
END_TEST

/* A password that is being checked when the server stops is answered, or the connection closed. */
START_TEST(a_stop_does_not_wait_for_passwords)
{
    struct server s;
    server_start(
        &s, &(struct server_options){.settings = ACCOUNTS "kinto.account_password_cost = 13\n"});
    api_use(s.url);
    struct http_conn *c[32];
    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        const char *request = f("GET /v1/ HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n",
                                basic("alice", f("wrong%u", i)));
        c[i] = raw_open();
        ck_assert(http_send(c[i], request, strlen(request)));
    }
    ck_assert(server_end(&s));
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        http_close(c[i]);
    ck_assert_uint_eq(count_lines(f("%s/stderr", s.dir), "ERROR"), 0);
    server_remove(&s);
}
END_TEST

/* ---- what is kept ---------------------------------------------------------------------------- */

START_TEST(accounts_survive)
{
    struct server s;
    const struct server_options o = {.settings = FAST, .durable = true};
    server_start(&s, &o);
    api_use(s.url);
    sign_up("alice");
    server_kill(&s);
    server_restart(&s, &o);
    api_use(s.url);
    as("alice");
    want_user("account:alice");
    server_stop(&s);
}
END_TEST

/* kinto create-user: before the first start, and for who forgot the password. */
START_TEST(the_command_line_makes_users)
{
    struct server s;
    const struct server_options o = {.settings = FAST, .durable = true};
    const char *output;
    server_start(&s, &o);
    api_use(s.url);
    sign_up("alice");
    call("GET", "/", NULL);
    const char *ini = f("%s/kinto.ini", s.dir), *data = f("%s/data", s.dir);
    const char *const make_admin[] = {"create-user", "--ini", ini,  "--data", data,
                                      "-u",          "admin", "-p", "secret", NULL};
    ck_assert_int_eq(server_run(NULL, make_admin, &output), 1);
    ck_assert_msg(strstr(output, "in use by process"), "%s", output);
    ck_assert(server_end(&s));
    ck_assert_int_eq(server_run(NULL, make_admin, &output), 0);
    const char *const new_password[] = {"create-user", "--ini", ini,          "--data", data,
                                        "--username",  "alice", "--password", "better", NULL};
    ck_assert_int_eq(server_run(NULL, new_password, &output), 0);
    const char *const no_name[] = {"create-user", "--ini", ini,  "--data", data,
                                   "-u",          "a b",   "-p", "secret", NULL};
    ck_assert_int_eq(server_run(NULL, no_name, &output), 1);
    ck_assert_msg(strstr(output, "a b"), "%s", output);
    server_restart(&s, &o);
    api_use(s.url);
    as("admin");
    want_user("account:admin");
    call("GET", "/accounts/admin", NULL);
    want_at("/permissions", "{'write':['account:admin']}");
    with_password("alice", "better");
    want_user("account:alice");
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/accounts");
    TCase *t = api_case(s, "accounts", "ours");
    tcase_add_test(t, everybody_signs_up);
    tcase_add_loop_test(t, bad_sign_ups, 0, (int)ARRAY_LEN(bad_bodies));
    tcase_add_test(t, names);
    tcase_add_test(t, passwords_that_bcrypt_would_cut);
    tcase_add_test(t, a_name_is_taken_once);
    tcase_add_test(t, many_sign_up_in_one_batch);
    tcase_add_test(t, equal_passwords_of_a_batch_have_hashes_of_their_own);
    tcase_add_test(t, users_of_a_batch);
    tcase_add_test(t, a_new_password);
    tcase_add_test(t, a_password_by_json_patch);
    tcase_add_test(t, without_data_nothing_changes);
    tcase_add_test(t, an_account_is_deleted);
    tcase_add_test(t, others_are_not_there);
    tcase_add_test(t, times_ahead_are_not_taken);
    tcase_add_test(t, strangers_read_nothing);
    tcase_add_test(t, administrators_manage_all);
    tcase_add_test(t, wrong_passwords_hold_up_nobody);
    t = api_case_own(s, "own");
    tcase_add_test(t, permissions_name_accounts);
    tcase_add_test(t, the_policy_may_have_any_name);
    tcase_add_test(t, everybody_owns_their_account);
    tcase_add_loop_test(t, bad_settings, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(t, a_flood_does_not_flood_the_log);
    tcase_add_test(t, a_stop_does_not_wait_for_passwords);
    tcase_add_test(t, accounts_survive);
    tcase_add_test(t, the_command_line_makes_users);
    return s;
}

API_MAIN(suite, FAST)
