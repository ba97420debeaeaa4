/*
 * Where a request over plain HTTP is sent to.
 */
#include "http/private.h"
#include "test/support/unit.h"

static const struct {
    const char *fixed, *host; /* NULL: none */
    unsigned port;
    const char *target, *location; /* NULL: refused */
} rows[] = {
    {NULL, "example.org", 443, "/v1/?a=b", "https://example.org/v1/?a=b"},
    {NULL, "example.org:80", 443, "/", "https://example.org/"},
    {NULL, "example.org:8080", 8443, "/", "https://example.org:8443/"},
    {NULL, "192.0.2.1:80", 443, "/", "https://192.0.2.1/"},
    {NULL, "[::1]:80", 443, "/", "https://[::1]/"},
    {NULL, "[::1]", 8443, "/", "https://[::1]:8443/"},
    {NULL, "a-b_c.example", 443, "*", "https://a-b_c.example/"},
    {NULL, "example.org:80", 0, "/", "https://example.org/"}, /* TLS on a Unix socket */
    {"kinto.example.org", "evil.example", 8443, "/x", "https://kinto.example.org/x"},
    {"kinto.example.org:444", NULL, 8443, "/x", "https://kinto.example.org:444/x"},
    {NULL, NULL, 443, "/", NULL},
    {NULL, "", 443, "/", NULL},
    {NULL, ":80", 443, "/", NULL},
    {NULL, "[::1", 443, "/", NULL},
    {NULL, "a@evil.example", 443, "/", NULL},
    {NULL, "evil.example/", 443, "/", NULL},
    {NULL, "evil.example\\", 443, "/", NULL},
    {NULL, "a b", 443, "/", NULL},
    {NULL, "[a@b]", 443, "/", NULL},
    {NULL, "[abc]", 443, "/", NULL},
    {NULL, "[::1]x", 443, "/", NULL},
    {NULL, "a..b", 443, "/", NULL},
    {NULL, "a, b", 443, "/", NULL}, /* two Host headers */
};

START_TEST(locations)
{
    struct arena a;
    str fixed = rows[_i].fixed != NULL ? str_from(rows[_i].fixed) : STR_NONE;
    str host = rows[_i].host != NULL ? str_from(rows[_i].host) : STR_NONE;

    arena_init(&a, NULL, 0, NULL, MIB);
    str got;
    enum err e = redirect_location(&a, fixed, host, (uint16_t)rows[_i].port,
                                   str_from(rows[_i].target), &got);
    ck_assert_int_eq(e, rows[_i].location == NULL ? ERR_SYNTAX : OK);
    if (e == OK)
        ck_assert_str_is(got, rows[_i].location);
    arena_fini(&a);
}
END_TEST

/* Whoever asks is not told that the fault is theirs. */
START_TEST(without_memory)
{
    static const char *const hosts[] = {"example.org", "example.org:80", "[::1]"};
    str got;

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        for (unsigned port = 443; port <= 444; port++) {
            struct arena a;
            arena_init(&a, NULL, 0, NULL, 0);
            ck_assert_int_eq(
                redirect_location(&a, STR_NONE, str_from(hosts[i]), (uint16_t)port, STR("/"), &got),
                ERR_NOMEM);
            ck_assert_int_eq(
                redirect_location(&a, STR("example.org"), STR_NONE, (uint16_t)port, STR("/"), &got),
                ERR_NOMEM);
            arena_fini(&a);
        }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/redirect");
    TCase *t = tcase_create("redirect");

    tcase_add_loop_test(t, locations, 0, (int)ARRAY_LEN(rows));
    tcase_add_test(t, without_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
