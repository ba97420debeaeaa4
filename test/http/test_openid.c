/*
 * test/http/test_openid.c - kinto.plugins.openid from outside, with a provider that the test plays on
 * loopback: what users and pages see, and that the server comes and goes whatever the provider does.
 * (What the provider may do to it: test/unit/plugins/test_openid.c; a real one: test/clients/.)
 */
#include "test/unit/http/peer_test.h"

#include "test/support/api.h"

static struct peer *provider;
static atomic_bool silent;

static void say(struct side *s, const char *body)
{
    char head[100];

    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    (void)!side_say(s, head);
    (void)!side_say(s, body);
}

/* The user is called as the token; one like "bad" is nobody's. */
static void play(struct side *s, const void *arg)
{
    char path[64] = "", token[64] = "", body[600];
    const char *line = side_line(s);
    unsigned port = s->peer->port;
    (void)arg;

    if (line == NULL || sscanf(line, "%*s %63s", path) != 1)
        return;
    while ((line = side_line(s)) != NULL && *line != '\0')
        (void)!sscanf(line, "Authorization: Bearer %63s", token);
    if (atomic_load(&silent)) {
        side_wait_end(s);
    } else if (strcmp(path, "/me") == 0) {
        snprintf(body, sizeof body, "{\"%s\":\"%s\",\"name\":\"A B\"}",
                 strncmp(token, "bad", 3) == 0 ? "not" : "sub", token);
        say(s, body);
    } else if (strcmp(path, "/token") == 0) {
        say(s, "{\"access_token\":\"alice\"}");
    } else {
        snprintf(
            body, sizeof body,
            "{\"issuer\":\"http://127.0.0.1:%u\",\"authorization_endpoint\":"
            "\"http://127.0.0.1:%u/auth?x=1\",\"token_endpoint\":\"http://127.0.0.1:%u/token\","
            "\"userinfo_endpoint\":\"http://127.0.0.1:%u/me\"}",
            port, port, port, port);
        say(s, body);
    }
}

static struct server s;

static void start(unsigned port, const char *more)
{
    server_start(
        &s, &(struct server_options){
                .settings = f("kinto.includes = kinto.plugins.openid kinto.plugins.default_bucket\n"
                              "kinto.bucket_create_principals = system.Authenticated\n"
                              "multiauth.policies = id basicauth\n"
                              "multiauth.policy.id.use = kinto.plugins.openid.OpenIDConnectPolicy\n"
                              "multiauth.policy.id.issuer = http://127.0.0.1:%u\n"
                              "multiauth.policy.id.client_id = kinto\n"
                              "multiauth.policy.id.client_secret = s3cret\n%s",
                              port, more)});
    api_use(s.url);
    as(NULL);
}

static void setup(void)
{
    atomic_store(&silent, false);
    provider = peer_start(play, NULL);
    start(provider->port, "");
}

static void teardown(void)
{
    server_stop(&s);
    peer_free(provider);
}

static void bearer(const char *token)
{
    with("Authorization", f("Bearer %s", token));
}

/* ---- users ----------------------------------------------------------------------------------- */

START_TEST(a_user_of_the_provider)
{
    bearer("alice");
    call("GET", "/", NULL);
    want(200);
    want_at("/user/id", "'id:alice'");
    want_at("/user/profile", "{'sub':'alice','name':'A B'}");
    want_at("/user/principals", "['id:alice','system.Everyone','system.Authenticated']");
    bearer("alice");
    call("PUT", "/buckets/b", NULL);
    want(201);
    want_at("/permissions/write", "['id:alice']");
    bearer("bob");
    call("GET", "/buckets/b", NULL);
    want(403);
    bearer("alice");
    call("PUT", "/buckets/default/collections/c/records/r", "{'data':{'a':1}}");
    want(201);
    call("GET", "/buckets/b", NULL);
    want(401);
    want_header("WWW-Authenticate", "Bearer realm=\"Realm\", Basic realm=\"Realm\"");
}
END_TEST

/* Each part may be somebody else's. */
START_TEST(in_a_batch)
{
    bearer("alice");
    call("POST", "/batch",
         "{'requests':[{'path':'/','method':'GET'},"
         "{'path':'/','method':'GET','headers':{'Authorization':'Bearer bob'}},"
         "{'path':'/','method':'GET','headers':{'Authorization':'Bearer alice'}},"
         "{'path':'/','method':'GET','headers':{'Authorization':''}},"
         "{'path':'/openid/id/login?scope=openid&callback=http://localhost/','method':'GET'}]}");
    want(200);
    want_at("/responses/0/body/user/id", "'id:alice'");
    want_at("/responses/1/body/user/id", "'id:bob'");
    want_at("/responses/2/body/user/id", "'id:alice'");
    want_missing("/responses/3/body/user");
    want_at("/responses/4/status", "307");
}
END_TEST

static void with_good_token(char *text, int i)
{
    snprintf(text, RAW_HEAD,
             "GET /v1/buckets HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer user%d\r\n\r\n", i / 2);
}

static void with_bad_token(char *text, int i)
{
    snprintf(text, RAW_HEAD,
             "GET /v1/buckets HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer bad%d\r\n\r\n", i / 2);
}

/* The provider is asked once for two that come with the same one. */
START_TEST(many_tokens_at_once)
{
    int counts[RAW_STATUSES];
    server_stop(&s);
    start(provider->port, "kinto.rate_limit.failures = 1/day burst 3\n");
    raw_at_once(40, with_good_token, counts);
    ck_assert_int_eq(counts[200], 40);
    raw_at_once(40, with_bad_token, counts);
    ck_assert_int_eq(counts[401], 3);
    ck_assert_int_eq(counts[429], 37);
}
END_TEST

START_TEST(what_the_server_says_of_it)
{
    do /* it is looked up aside */
        call("GET", "/", NULL);
    while (!has("/capabilities/openid/providers/0/userinfo_endpoint"));
    want_at("/capabilities/openid/providers",
            f("[{'name':'id','issuer':'http://127.0.0.1:%u','auth_path':'/openid/id/login',"
              "'client_id':'kinto','audience':'','header_type':'Bearer',"
              "'userinfo_endpoint':'http://127.0.0.1:%u/me'}]",
              provider->port, provider->port));
    call("GET", "/__api__", NULL);
    want_at("/securityDefinitions/id/in", "'header'");
    want_at("/paths/~1openid~1{provider}~1login/get/operationId", "'get_openid_login'");
    want_at("/paths/~1openid~1{provider}~1token/get/responses/307/headers",
            "{'Location':{'type':'string'}}");
}
END_TEST

/* ---- logging in ------------------------------------------------------------------------------ */

#define TO "callback=http://localhost:1/%23t="

START_TEST(there_and_back)
{
    with("Origin", "http://page.example");
    call("GET", "/openid/id/login?scope=openid&" TO, NULL);
    want(307);
    want_header("Access-Control-Allow-Origin", "*");
    want_header_has("Location", f("http://127.0.0.1:%u/auth?x=1&client_id=kinto&response_type=code&"
                                  "scope=openid&redirect_uri=%s&state=",
                                  provider->port, url_encode(f("%s/v1/openid/id/token", api_url))));
    const char *state = f("%s", strstr(header("Location"), "&state=") + 7);
    call("GET", f("/openid/id/token?code=c&state=%s", state), NULL);
    want(307);
    want_header("Location", "http://localhost:1/#t=eyJhY2Nlc3NfdG9rZW4iOiJhbGljZSJ9");
    call("GET", f("/openid/id/token?code=c&state=%s", state), NULL);
    want_invalid("body", "state", "Invalid state");
    want_at("/details/0/errno", "105");
}
END_TEST

static const struct {
    const char *query, *location, *name, *description;
} bad_logins[] = {
    {"scope=openid", "querystring", "callback", "Required"},
    {"scope=openid&callback=", "querystring", "callback", "Required"},
    {"scope=openid&callback=xx", "querystring", "callback", "Must be a URL"},
    {TO, "querystring", "scope", "Required"},
    {"scope=openid&prompt=login&" TO, "querystring", "prompt",
     "String does not match expected pattern"},
    {"scope=openid+b+a+b&" TO, "body", "scope", "Scopes not allowed: a, b"},
    {"scope=openid&callback=https://evil.example/", "body", "callback", "Untrusted callback URL"},
    {"scope=openid&scope=email&" TO, "querystring", "scope",
     "['openid', 'email'] is not a string: {'scope': ''}"},
};

START_TEST(bad_login)
{
    call("GET", f("/openid/id/login?%s", bad_logins[_i].query), NULL);
    want_invalid(bad_logins[_i].location, bad_logins[_i].name, bad_logins[_i].description);
}
END_TEST

START_TEST(other_urls)
{
    call("GET", "/openid/it's/login?scope=openid&" TO, NULL);
    want_invalid("path", "provider", "Unknown provider \"it's\"");
    call("GET", "/openid/id/token?state=x", NULL);
    want_invalid("querystring", "",
                 "Provide either 'state' and 'code', or 'error' and 'error_description', but not "
                 "both.");
    call("GET", "/openid/id", NULL);
    want(404);
    call("POST", "/openid/id/login", NULL);
    want(405);
    want_header("Allow", "GET, HEAD, OPTIONS");
}
END_TEST

/* ---- coming and going ------------------------------------------------------------------------ */

static bool was_asked_for(const char *path)
{
    pthread_mutex_lock(&provider->lock);
    bool yes = strstr(provider->got, path) != NULL;
    pthread_mutex_unlock(&provider->lock);
    return yes;
}

/* The port is free at once, and the process ends, while a provider keeps requests waiting. */
START_TEST(a_stop_does_not_wait_for_it)
{
    struct server again;
    unsigned port = 0;

    bearer("alice");
    call("GET", "/", NULL);
    want_at("/user/id", "'id:alice'");
    atomic_store(&silent, true);
    struct http_conn *c = raw_open();
    const char *request = "GET /v1/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer other\r\n\r\n";
    ck_assert(http_send(c, request, strlen(request)));
    uint64_t start_ms = clock_mono_ms();
    while (!was_asked_for("Bearer other") && clock_mono_ms() - start_ms < PEER_MS)
        sched_yield();
    ck_assert(was_asked_for("Bearer other"));
    start_ms = clock_mono_ms();
    ck_assert_int_eq(sscanf(s.url, "http://127.0.0.1:%u", &port), 1);
    ck_assert(server_end(&s));
    ck_assert_uint_lt(clock_mono_ms() - start_ms, 2000);
    http_close(c);
    server_remove(&s);
    const char *const args[] = {"--port", f("%u", port), NULL};
    server_start(&again, &(struct server_options){.no_port = true, .args = args});
    server_stop(&again);
    start(provider->port, ""); /* for the teardown */
}
END_TEST

/* It starts, and is there for others; whoever comes with a token is told to come again. */
START_TEST(nobody_at_the_other_end)
{
    uint64_t start_ms = clock_mono_ms();

    start(free_port(), "");
    ck_assert_uint_lt(clock_mono_ms() - start_ms, 3000);
    call("GET", "/", NULL);
    want(200);
    want_missing("/capabilities/openid/providers/0/userinfo_endpoint");
    as("alice");
    make("/buckets/b");
    as(NULL);
    bearer("alice");
    call("GET", "/buckets/b", NULL);
    want_error(503, 201, NULL);
    want_header("Retry-After", "3");
    call("GET", "/openid/id/login?scope=openid&" TO, NULL);
    want(503);
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("http/openid");
    TCase *t = api_case_own(suite, "openid");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_user_of_the_provider);
    tcase_add_test(t, in_a_batch);
    tcase_add_test(t, many_tokens_at_once);
    tcase_add_test(t, what_the_server_says_of_it);
    tcase_add_test(t, there_and_back);
    tcase_add_loop_test(t, bad_login, 0, (int)ARRAY_LEN(bad_logins));
    tcase_add_test(t, other_urls);
    tcase_add_test(t, a_stop_does_not_wait_for_it);
    t = api_case_own(suite, "alone");
    tcase_add_test(t, nobody_at_the_other_end);
    return suite;
}

API_MAIN(suite, NULL)
