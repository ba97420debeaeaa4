/*
 * The access matrix leaves nothing out: every route of the program, with all plugins on, has a row in
 * test/access/targets.def, and what that says of routes is so.
 */
#include "test/unit/api/api_test.h"

#define ALL                                                                                        \
    "[app:main]\nmultiauth.policies = account basicauth auth0\n"                                   \
    "kinto.userid_hmac_secret = secret\n"                                                          \
    "kinto.experimental_permissions_endpoint = true\n"                                             \
    "kinto.account_validation = true\n"                                                            \
    "kinto.statsd_url = udp://127.0.0.1:9\n"                                                       \
    "multiauth.policy.auth0.use = kinto.plugins.openid.OpenIDConnectPolicy\n"                      \
    "multiauth.policy.auth0.issuer = http://127.0.0.1:9/\n"                                        \
    "multiauth.policy.auth0.client_id = id\n"                                                      \
    "multiauth.policy.auth0.client_secret = client-secret\n"                                       \
    "kinto.includes = "

/* The names of plugins, from their table. */
#define X(name, load) name "\n "
#define POLICY(name)
static const char plugins[] =
#include "plugins/plugins.def"
    ;

#define OBJECTS
#define REST
#define ACCOUNTS
#define OWN
#define MAIL
#define T(route, target, id) {route, target},
static const struct {
    const char *route, *target;
} targets[] = {
#include "test/access/targets.def"
};

START_TEST(every_route_is_in_the_access_matrix)
{
    server_start(arena_printf(&keep, ALL "%s\n", plugins).p);
    const struct api_route *routes = server.api->routes;
    size_t n = server.api->nroutes;
    for (size_t k = 0; k < n; k++) {
        size_t i = 0;
        while (i < ARRAY_LEN(targets) && strcmp(targets[i].route, routes[k].path) != 0)
            i++;
        ck_assert_msg(i < ARRAY_LEN(targets), "no row of test/access/targets.def is about %s",
                      routes[k].path);
    }
    ck_assert_uint_gt(n, 25);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        size_t k = 0;
        while (k < n && strcmp(targets[i].route, routes[k].path) != 0)
            k++;
        ck_assert_msg(k < n || !*targets[i].route, "there is no route %s", targets[i].route);
    }
    server_stop(&server);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("routes");
    TCase *t = tcase_create("routes");
    tcase_add_checked_fixture(t, setup_bare, teardown_bare);
    tcase_add_test(t, every_route_is_in_the_access_matrix);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
