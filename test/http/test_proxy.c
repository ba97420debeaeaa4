/*
 * test/http/test_proxy.c - users that a reverse proxy names (kinto.auth.ProxyPolicy).
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define SSO                                                                                        \
    "multiauth.policies = sso basicauth\n"                                                         \
    "multiauth.policy.sso.use = kinto.auth.ProxyPolicy\n"                                          \
    "multiauth.policy.sso.proxies = "

static void want_user(const char *id)
{
    call("GET", "/", NULL);
    want(200);
    if (id)
        want_at("/user/id", f("'%s'", id));
    else
        want_missing("/user");
}

START_TEST(the_proxy_names_the_user)
{
    as(NULL);
    want_user(NULL);
    with("X-Forwarded-User", "alice");
    want_user("sso:alice");
    with("x-forwarded-user", "bob");
    call("PUT", "/buckets/b", NULL);
    want(201);
    want_at("/permissions/write", "['sso:bob']");
    with("X-Forwarded-User", "alice");
    call("GET", "/buckets/b", NULL);
    want(403);
}
END_TEST

/* The client's own, which the proxy forgot to remove, beside the proxy's. */
START_TEST(twice_is_nobody)
{
    as(NULL);
    with("X-Forwarded-User", "alice");
    with("X-Forwarded-User", "bob");
    want_user(NULL);
}
END_TEST

/* The parts of a batch are written by the client: whom they name does not matter. */
START_TEST(a_part_of_a_batch_is_whoever_sent_it)
{
    static const char *const batch =
        "{'defaults':{'headers':{'X-Forwarded-User':'root'}},"
        "'requests':[{'path':'/'},{'path':'/','headers':{'X-Forwarded-User':'root'}}]}";
    as(NULL);
    with("X-Forwarded-User", "alice");
    call("POST", "/batch", batch);
    want(200);
    want_at("/responses/0/body/user/id", "'sso:alice'");
    want_at("/responses/1/body/user/id", "'sso:alice'");
    as(NULL);
    call("POST", "/batch", batch);
    want(200);
    want_missing("/responses/0/body/user");
    want_missing("/responses/1/body/user");
}
END_TEST

START_TEST(the_next_policy_is_asked)
{
    as("alice");
    const char *id = f("%s", principal("alice"));
    want_user(id);
    with("X-Forwarded-User", "bob");
    want_user("sso:bob");
}
END_TEST

START_TEST(others_name_nobody)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings = SSO "192.0.2.1 unix"});
    api_use(s.url);
    as(NULL);
    with("X-Forwarded-User", "alice");
    want_user(NULL);
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/proxy");
    TCase *t = api_case(s, "proxy", "ours");
    tcase_add_test(t, the_proxy_names_the_user);
    tcase_add_test(t, twice_is_nobody);
    tcase_add_test(t, a_part_of_a_batch_is_whoever_sent_it);
    tcase_add_test(t, the_next_policy_is_asked);
    t = api_case_own(s, "elsewhere");
    tcase_add_test(t, others_name_nobody);
    return s;
}

API_MAIN(suite, SSO "127.0.0.0/8 ::1")
