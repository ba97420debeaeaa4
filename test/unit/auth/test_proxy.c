/*
 * The policy that believes a reverse proxy: its settings, whose word counts, and which names are users.
 */
#include "test/unit/auth/auth_test.h"

#define USE "multiauth.policies = sso\nmultiauth.policy.sso.use = kinto.auth.ProxyPolicy\n"

/* ---- settings -------------------------------------------------------------------------------- */

static const struct {
    const char *lines, *text;
} refused[] = {
    {USE, "multiauth.policy.sso.proxies"},
    {USE "multiauth.policy.sso.proxies =\n", "multiauth.policy.sso.proxies"},
    {USE "multiauth.policy.sso.proxies = ::1 proxy.example\n", "test.ini:4"},
    {USE "multiauth.policy.sso.proxies = ::1 proxy.example\n", "\"proxy.example\""},
    {USE "multiauth.policy.sso.proxies = 10.0.0.0/33\n", "\"10.0.0.0/33\""},
    {USE "multiauth.policy.sso.proxies = 10.0.0.0/\n", "\"10.0.0.0/\""},
    {USE "multiauth.policy.sso.proxies = 10.0.0.0/-1\n", "\"10.0.0.0/-1\""},
    {USE "multiauth.policy.sso.proxies = 10.0.0.0/99999999999999999999\n", "proxies"},
    {USE "multiauth.policy.sso.proxies = 10.0.0\n", "\"10.0.0\""},
    {USE "multiauth.policy.sso.proxies = 2001:db8::/129\n", "\"2001:db8::/129\""},
    {USE "multiauth.policy.sso.proxies = /8\n", "\"/8\""},
    {USE "multiauth.policy.sso.proxies = ::1\nmultiauth.policy.sso.user_header = X User\n",
     "user_header"},
};

START_TEST(bad_settings_are_refused)
{
    struct err_detail d = {.text = ""};

    ck_assert_err(load(refused[_i].lines, &d), ERR_SYNTAX);
    ck_assert_msg(strstr(d.text, refused[_i].text) != NULL, "%s", d.text);
    stop();
}
END_TEST

/* ---- who is it ------------------------------------------------------------------------------- */

struct sent {
    const char *name, *value;
};

static str header(void *ctx, str name)
{
    const struct sent *sent = ctx;
    return str_eq_nocase(name, str_from(sent->name)) ? str_from(sent->value) : STR_NONE;
}

static str who_is(const char *peer, const char *name, const char *value)
{
    struct sent sent = {name, value};
    struct auth_request req = {
        .arena = &keep, .peer = str_from(peer), .header = header, .ctx = &sent};
    struct auth_user u;

    ck_assert_ok(auth_authenticate(auth, &req, &u));
    return u.id;
}

static const struct {
    const char *proxies, *peer;
    bool trusted;
} peers[] = {
    {"127.0.0.1", "127.0.0.1", true},
    {"127.0.0.1", "127.0.0.2", false},
    {"127.0.0.1", "::1", false},
    {"127.0.0.1", "unix", false},
    {"::1, 127.0.0.1", "::1", true},
    {"::1, 127.0.0.1", "127.0.0.1", true},
    {"unix", "unix", true},
    {"unix", "127.0.0.1", false},
    {"10.1.0.0/16", "10.1.255.255", true},
    {"10.1.0.0/16", "10.2.0.0", false},
    {"10.1.2.128/25", "10.1.2.127", false},
    {"10.1.2.128/25", "10.1.2.128", true},
    {"10.1.2.129/32", "10.1.2.129", true},
    {"10.1.2.129/31", "10.1.2.128", true}, /* the rest of the address does not count */
    {"0.0.0.0/0", "203.0.113.9", true},
    {"0.0.0.0/0", "2001:db8::1", false},
    {"::/0", "2001:db8::1", true},
    {"2001:db8::/33", "2001:db8:7fff::1", true},
    {"2001:db8::/33", "2001:db8:8000::1", false},
    {"::ffff:10.0.0.1", "10.0.0.1", true},
    {"127.0.0.1", "", false},
    {"::/0", "somebody", false},
};

START_TEST(whose_word_counts)
{
    start(arena_printf(&keep, USE "multiauth.policy.sso.proxies = %s\n", peers[_i].proxies).p);
    str id = who_is(peers[_i].peer, "X-Forwarded-User", "alice");
    if (peers[_i].trusted)
        ck_assert_str_is(id, "sso:alice");
    else
        ck_assert_msg(str_none(id), "%s of %s", peers[_i].peer, peers[_i].proxies);
    stop();
}
END_TEST

START_TEST(which_names_are_users)
{
    static const struct {
        const char *value, *id;
    } rows[] = {
        {"alice", "sso:alice"},
        {" alice\t", "sso:alice"},
        {"Alice B", "sso:Alice B"},
        {"a@b.org", "sso:a@b.org"},
        {"\xc3\xa9", "sso:\xc3\xa9"},
        {"", NULL},
        {"  ", NULL},
        {"a\tb", NULL},
        {"\xe9", NULL},
        {"a\x7f", NULL},
    };
    char longest[257] = "";

    start(USE "multiauth.policy.sso.proxies = ::1\n"
              "multiauth.policy.sso.user_header = X-Remote-User\n");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str id = who_is("::1", "x-remote-user", rows[i].value);
        ck_assert_msg(rows[i].id ? str_eq(id, str_from(rows[i].id)) : str_none(id),
                      "\"%s\": " STR_FMT, rows[i].value, STR_ARG(id));
    }
    memset(longest, 'x', 256);
    ck_assert(str_none(who_is("::1", "X-Remote-User", longest)));
    longest[255] = '\0';
    ck_assert(!str_none(who_is("::1", "X-Remote-User", longest)));
    ck_assert(str_none(who_is("::1", "X-Forwarded-User", "alice")));
    ck_assert(str_none(auth_challenge(auth)));
    stop();
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {which_names_are_users};
    Suite *s = suite_create("auth/proxy");
    TCase *c = tests_of(s, "proxy", setup_bare, teardown_bare, tests, ARRAY_LEN(tests));

    tcase_add_loop_test(c, bad_settings_are_refused, 0, ARRAY_LEN(refused));
    tcase_add_loop_test(c, whose_word_counts, 0, ARRAY_LEN(peers));
    return s;
}

UNIT_MAIN(make_suite)
