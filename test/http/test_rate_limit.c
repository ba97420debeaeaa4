/*
 * How many requests an address and a user may make, and how many wrong passwords may come from an address
 * (kinto.rate_limit.*). "1/day burst 5" is five in the time of a test. Ours alone: the reference leaves this
 * to a proxy.
 */
#include <time.h>
#include <unistd.h>

#include "test/support/api.h"
#include "test/support/unit.h"

static struct server s;

static void start(const char *settings)
{
    server_start(&s, &(struct server_options){.settings = settings});
    api_use(s.url);
    as("alice");
}

static void teardown(void)
{
    api_use(NULL);
    server_stop(&s);
}

static void want_too_many(void)
{
    want_error(429, 117, "There were too many requests.");
    ck_assert_ptr_nonnull(header("Retry-After"));
    ck_assert_int_gt((int)strtol(header("Retry-After"), NULL, 10), 0);
}

/* server_start() and api_use() may have asked something already: as many as are answered, at most n. */
static void use_up(int n)
{
    for (int i = 0; i <= n; i++) {
        call("GET", "/__lbheartbeat__", NULL);
        if (re.status == 429)
            return;
        want(200);
    }
    ck_abort_msg("%d requests were answered", n + 1);
}

START_TEST(off_by_default)
{
    start("");
    for (int i = 0; i < 2000; i++) {
        call("GET", "/__lbheartbeat__", NULL);
        want(200);
    }
}
END_TEST

START_TEST(an_address_over_its_limit)
{
    start("kinto.rate_limit.address = 1/day burst 10\n");
    use_up(10);
    want_too_many();
    with("Origin", "http://example.com");
    call("GET", "/", NULL);
    want_too_many();
    want_header("Access-Control-Allow-Origin", "*");
    want_header_has("Access-Control-Expose-Headers", "Retry-After");
    call("HEAD", "/", NULL);
    want(429);
    want_empty_body();
    as("bob"); /* the same address */
    call("GET", "/", NULL);
    want_too_many();
}
END_TEST

/* The connection stays, but for a request with a body: that is not read, and nothing behind it is taken for
 * a request. */
START_TEST(bodies_are_not_read)
{
    start("kinto.rate_limit.address = 1/day burst 10\n");
    use_up(10);
    struct http_conn *c = raw_open();
    for (int i = 0; i < 3; i++) {
        raw_call(c, "GET /v1/ HTTP/1.1\r\nHost: h\r\n\r\n");
        want_too_many();
        want_no_header("Connection");
    }
    raw_call(c, "PUT /v1/buckets/b HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\n"
                "GET /v1/ HTTP/1.1\r\nHost: h\r\n\r\n");
    want_too_many();
    want_header("Connection", "close");
    raw_want_closed(c);
    http_close(c);
    c = raw_open();
    raw_call(c, "PUT /v1/buckets/b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    want_too_many();
    raw_want_closed(c);
    http_close(c);
}
END_TEST

START_TEST(exempt_addresses)
{
    start("kinto.rate_limit.address = 1/day burst 1\n"
          "kinto.rate_limit.exempt = 192.0.2.1 127.0.0.0/8\n");
    for (int i = 0; i < 20; i++) {
        call("GET", "/__lbheartbeat__", NULL);
        want(200);
    }
}
END_TEST

/* A reverse proxy is exempt, and users come through it. */
START_TEST(users_of_exempt_addresses)
{
    start("kinto.rate_limit.user = 1/day burst 2\nkinto.rate_limit.exempt = 127.0.0.0/8\n");
    as("carol");
    for (int i = 0; i < 2; i++) {
        call("GET", "/", NULL);
        want(200);
    }
    call("GET", "/", NULL);
    want_too_many();
}
END_TEST

START_TEST(a_user_over_its_limit)
{
    start("kinto.rate_limit.user = 1/day burst 5\n");
    as("carol");
    make("/buckets/carols");
    for (int i = 0; i < 4; i++) {
        call("GET", "/buckets/carols", NULL);
        want(200);
    }
    call("GET", "/buckets/carols", NULL);
    want_too_many();
    call("DELETE", "/buckets/carols", NULL);
    want_too_many();
    as("dave");
    make("/buckets/daves");
    as(NULL); /* nobody in particular: the address' limit is for them */
    for (int i = 0; i < 20; i++) {
        call("GET", "/", NULL);
        want(200);
    }
}
END_TEST

static const char batch_of_three[] =
    "{'defaults':{'method':'PUT'},'requests':[{'path':'/buckets/b1'},{'path':'/buckets/b2'},"
    "{'path':'/buckets/b3'}]}";

/* Itself and its parts; it is done or it is not, but never in part. */
START_TEST(a_batch_counts_its_requests)
{
    start("kinto.rate_limit.user = 1/day burst 6\n");
    as("carol");
    call("POST", "/batch", batch_of_three); /* 4 */
    want(200);
    want_at("/responses/2/status", "201");
    call("GET", "/buckets/b1", NULL); /* 5 */
    want(200);
    call("POST", "/batch", batch_of_three); /* 9: there is room for its first one */
    want(200);
    want_at("/responses/2/status", "200");
    call("POST", "/batch", batch_of_three);
    want_too_many();
    call("GET", "/buckets/b1", NULL);
    want_too_many();
}
END_TEST

/* Parts with credentials of their own do not get around the limit of their users. */
START_TEST(parts_of_others)
{
    start("kinto.rate_limit.user = 1/day burst 3\n");
    as("carol");
    char credentials[200];
    snprintf(credentials, sizeof credentials, "%s", strstr(raw_auth(), "Basic"));
    credentials[strcspn(credentials, "\r")] = '\0';
    for (int i = 0; i < 3; i++) {
        call("GET", "/", NULL);
        want(200);
    }
    as("dave");
    call("POST", "/batch",
         f("{'requests':[{'method':'PUT','path':'/buckets/daves'},"
           "{'path':'/','headers':{'Authorization':'%s'}}]}",
           credentials));
    want_too_many();
    as("erin");
    call("GET", "/buckets/daves", NULL);
    want(403); /* nothing of it was done */
    as("dave");
    call("GET", "/buckets/daves", NULL);
    want(403);
}
END_TEST

#define ACCOUNTS                                                                                   \
    "kinto.includes = kinto.plugins.accounts\nmultiauth.policies = account\n"                      \
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"                       \
    "kinto.account_create_principals = system.Everyone\n"

/* By nobody: who asks has no credentials. */
static void alice_signs_up(const char *password)
{
    as(NULL);
    call("PUT", "/accounts/alice", f("{'data':{'password':'%s'}}", password));
    want(201);
}

START_TEST(wrong_passwords)
{
    start(ACCOUNTS "kinto.rate_limit.failures = 1/day burst 5\n");
    alice_signs_up("secret");
    as("alice");
    for (int i = 0; i < 20; i++) { /* whoever is right is not counted */
        call("GET", "/accounts/alice", NULL);
        want(200);
    }
    as("mallory");
    for (int i = 0; i < 5; i++) {
        call("GET", "/buckets", NULL);
        want(401);
    }
    call("GET", "/buckets", NULL);
    want_too_many();
    as("alice"); /* from the same address: nobody looks at passwords any more */
    call("GET", "/accounts/alice", NULL);
    want_too_many();
    as(NULL);
    call("GET", "/", NULL);
    want(200);
}
END_TEST

/* A proxy is, and whoever comes through it has to know the right one. */
START_TEST(wrong_passwords_from_an_exempt_address)
{
    start(ACCOUNTS "kinto.rate_limit.failures = 1/day burst 1\n"
                   "kinto.rate_limit.exempt = 127.0.0.0/8\n");
    alice_signs_up("secret");
    as("mallory");
    for (int i = 0; i < 3; i++) {
        call("GET", "/buckets", NULL);
        want(401);
    }
    as("alice");
    call("GET", "/accounts/alice", NULL);
    want(200);
}
END_TEST

/* Whom one has to ask is not there: that says nothing of the credentials. */
START_TEST(credentials_that_nobody_could_look_at)
{
    start("kinto.includes = kinto.plugins.accounts kinto.plugins.openid\n"
          "multiauth.policies = account id\n"
          "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"
          "multiauth.policy.id.use = kinto.plugins.openid.OpenIDConnectPolicy\n"
          "multiauth.policy.id.issuer = http://127.0.0.1:9\n"
          "multiauth.policy.id.client_id = kinto\n"
          "multiauth.policy.id.client_secret = s3cret\n"
          "kinto.account_create_principals = system.Everyone\n"
          "kinto.rate_limit.failures = 1/day burst 3\n");
    alice_signs_up("secret");
    for (int i = 0; i < 10; i++) {
        with("Authorization", f("Bearer token-%d", i));
        call("GET", "/", NULL);
        want(503);
    }
    as("alice");
    call("GET", "/accounts/alice", NULL);
    want(200);
}
END_TEST

#define MANY 60 /* fewer than may wait for one address */

static void as_alice(char *text, int i)
{
    (void)i;
    as("alice");
    snprintf(text, RAW_HEAD, "GET /v1/buckets HTTP/1.1\r\nHost: h\r\n%s\r\n", raw_auth());
}

static void as_nobody(char *text, int i)
{
    char name[32];
    snprintf(name, sizeof name, "mallory-%d", i);
    as(name);
    snprintf(text, RAW_HEAD, "GET /v1/buckets HTTP/1.1\r\nHost: h\r\n%s\r\n", raw_auth());
}

#define SLOW ACCOUNTS "kinto.account_password_cost = 9\nkinto.rate_limit.failures = 1/day burst 3\n"

/* What is being looked at is no failure yet, and what is refused for want of room never was one. */
START_TEST(right_passwords_at_once)
{
    int counts[RAW_STATUSES];
    start(SLOW);
    alice_signs_up("secret");
    raw_at_once(2 * MANY, as_alice, counts);
    ck_assert_int_eq(counts[429], 0);
    ck_assert_int_eq(counts[200] + counts[503], 2 * MANY);
    ck_assert_int_ge(counts[200], MANY);
    raw_at_once(MANY, as_nobody, counts);
    ck_assert_int_eq(counts[401], 3);
}
END_TEST

/* Who has hung up is told nothing, so nobody looks at what it brought. */
START_TEST(guesses_of_who_hung_up)
{
    struct http_conn *c[MANY];
    char text[RAW_HEAD];
    start(ACCOUNTS "kinto.account_password_cost = 11\nkinto.rate_limit.failures = 1/day burst 6\n");
    for (int i = 0; i < MANY; i++) {
        as_nobody(text, i);
        c[i] = raw_open();
        ck_assert(http_send(c[i], text, strlen(text)));
    }
    for (int i = 0; i < MANY; i++)
        http_abort(c[i]);
    as("mallory"); /* behind them all */
    call("GET", "/buckets", NULL);
    want(401);
}
END_TEST

static double cpu_seconds(void)
{
    clockid_t clock;
    struct timespec t;
    ck_assert_int_eq(clock_getcpuclockid(s.pid, &clock), 0);
    ck_assert_int_eq(clock_gettime(clock, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Many at once are told no more than one after the other, and those that had to wait cost nothing. */
START_TEST(guesses_at_once)
{
    int counts[RAW_STATUSES];
    start(SLOW);
    double before = cpu_seconds();
    as("mallory");
    call("GET", "/buckets", NULL);
    want(401);
    double one = cpu_seconds() - before;
    before = cpu_seconds();
    raw_at_once(MANY, as_nobody, counts);
    double all = cpu_seconds() - before;
    ck_assert_int_eq(counts[401], 2);
    ck_assert_int_eq(counts[429], MANY - 2);
    if (sysconf(_SC_NPROCESSORS_ONLN) <= 16) /* else there may be a thread for each of them */
        ck_assert_msg(all < one * MANY / 2, "%g seconds for one, %g for %d", one, all, MANY);
}
END_TEST

/* A batch is no way to try many, and one wrong password in it is one. */
START_TEST(wrong_passwords_in_a_batch)
{
    start(ACCOUNTS "kinto.rate_limit.failures = 1/day burst 5\n");
    as("mallory");
    for (int i = 0; i < 4; i++) {
        call("POST", "/batch", batch_of_three);
        want(200);
        want_at("/responses/0/status", "401");
    }
    as(NULL);
    call("POST", "/batch",
         "{'requests':[{'path':'/buckets','headers':{'Authorization':'Basic bWU6MQ=='}},"
         "{'path':'/buckets','headers':{'Authorization':'Basic bWU6Mg=='}},"
         "{'path':'/buckets','headers':{'Authorization':'Basic bWU6Mw=='}}]}");
    want_too_many(); /* before the second one: none of its parts is answered */
    as("mallory");
    call("GET", "/buckets", NULL);
    want_too_many();
}
END_TEST

/* One batch is no way to try many passwords, the right one at its end. */
START_TEST(guesses_in_a_batch)
{
    start(ACCOUNTS "kinto.rate_limit.failures = 2/day\n");
    alice_signs_up("right");
    const char *parts = "";
    for (int i = 0; i < 9; i++)
        parts = f("%s{'path':'/buckets','headers':{'Authorization':'Basic YWxpY2U6d3Jvbmc%d'}},",
                  parts, i);
    call("POST", "/batch",
         f("{'requests':[%s{'path':'/','headers':{'Authorization':'Basic YWxpY2U6cmlnaHQ='}}]}",
           parts));
    want_too_many();
    ck_assert_ptr_null(strstr(re.body, "account:alice"));
}
END_TEST

START_TEST(what_is_no_limit)
{
    static const struct {
        const char *settings, *says;
    } rows[] = {
        {"kinto.rate_limit.address = 100\n", "kinto.rate_limit.address: found \"100\""},
        {"kinto.rate_limit.user = many/second\n", "kinto.rate_limit.user: found \"many/second\""},
        {"kinto.rate_limit.failures = 0/s\n", "kinto.rate_limit.failures: found \"0/s\""},
        {"kinto.rate_limit.exempt = localhost\n", "kinto.rate_limit.exempt: found \"localhost\""},
    };
    const char *said;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_assert_int_eq(
            server_refuse(&(struct server_options){.settings = rows[i].settings}, &said), 1);
        ck_assert_msg(strstr(said, rows[i].says) != NULL, "%s", said);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("rate_limit");
    TCase *t = api_case_own(all, "limits");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_test(t, off_by_default);
    tcase_add_test(t, an_address_over_its_limit);
    tcase_add_test(t, bodies_are_not_read);
    tcase_add_test(t, exempt_addresses);
    tcase_add_test(t, users_of_exempt_addresses);
    tcase_add_test(t, a_user_over_its_limit);
    tcase_add_test(t, a_batch_counts_its_requests);
    tcase_add_test(t, parts_of_others);
    tcase_add_test(t, wrong_passwords);
    tcase_add_test(t, wrong_passwords_from_an_exempt_address);
    tcase_add_test(t, credentials_that_nobody_could_look_at);
    tcase_add_test(t, right_passwords_at_once);
    tcase_add_test(t, guesses_of_who_hung_up);
    tcase_add_test(t, guesses_at_once);
    tcase_add_test(t, wrong_passwords_in_a_batch);
    tcase_add_test(t, guesses_in_a_batch);
    t = api_case_own(all, "settings");
    tcase_add_test(t, what_is_no_limit);
    return all;
}

API_MAIN(suite, "")
