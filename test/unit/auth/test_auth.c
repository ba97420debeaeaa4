/*
 * Authentication policies: their settings, their order, and what Basic takes for credentials. The
 * vectors of HMAC-SHA256 were computed with Python's hmac module.
 */
#include "test/unit/auth/auth_test.h"

#define CHALLENGE "Basic realm=\"Realm\""
#define POLICY    "kinto.core.authentication.BasicAuthAuthenticationPolicy"

static struct auth_user who_is(str header)
{
    struct auth_request req = {.arena = &keep, .authorization = header};
    struct auth_user u;

    ck_assert_ok(auth_authenticate(auth, &req, &u));
    return u;
}

/* ---- settings -------------------------------------------------------------------------------- */

static const struct {
    const char *lines;
    enum err err;
    const char *texts[3];
} refused[] = {
    {"multiauth.policies = basicauth\n", ERR_SYNTAX, {"kinto.userid_hmac_secret"}},
    {"multiauth.policies = basicauth\nkinto.userid_hmac_secret =\n",
     ERR_SYNTAX,
     {"kinto.userid_hmac_secret"}},
    {"\nmultiauth.policies = other\nkinto.userid_hmac_secret = s\n",
     ERR_UNSUPPORTED,
     {"test.ini:3", "\"other\"", POLICY}},
    {"multiauth.policies = basicauth\nmultiauth.policy.basicauth.use = my.Policy\n"
     "kinto.userid_hmac_secret = s\n",
     ERR_UNSUPPORTED,
     {"test.ini:3", "multiauth.policy.basicauth.use", "my.Policy"}},
    {"multiauth.policies = basicauth ldap\nkinto.userid_hmac_secret = s\n",
     ERR_UNSUPPORTED,
     {"test.ini:2", "multiauth.policy.ldap.use", "\"ldap\""}},
    {"multiauth.policies = basicauth\nmultiauth.policy.basicauth.use = basicauth\n"
     "kinto.userid_hmac_secret = s\n",
     ERR_UNSUPPORTED,
     {"test.ini:3", "\"basicauth\""}},
};

START_TEST(bad_settings_are_refused)
{
    struct err_detail d = {.text = ""};

    ck_assert_err(load(refused[_i].lines, &d), refused[_i].err);
    for (int i = 0; i < 3 && refused[_i].texts[i]; i++)
        ck_assert_msg(strstr(d.text, refused[_i].texts[i]) != NULL, "\"%s\" lacks \"%s\"", d.text,
                      refused[_i].texts[i]);
    ck_assert_ptr_null(auth);
    stop();
}
END_TEST

/* The message has its limits, whatever the name. */
START_TEST(a_long_name_is_refused)
{
    struct err_detail d = {.text = ""};
    static char name[3000];

    memset(name, 'x', sizeof name - 1);
    str lines = arena_printf(&keep, "multiauth.policies = %s\n", name);
    ck_assert_err(load(lines.p, &d), ERR_UNSUPPORTED);
    stop();
}
END_TEST

START_TEST(as_many_policies_as_fit)
{
    struct err_detail d = {.text = ""};
    struct buf b, uses;

    buf_init_arena(&b, &keep, MIB);
    buf_init_arena(&uses, &keep, MIB);
    buf_add_lit(&uses, "kinto.userid_hmac_secret = s\nmultiauth.policies =");
    for (int i = 0; i < AUTH_MAX_POLICIES; i++) {
        buf_printf(&uses, " p%d", i);
        buf_printf(&b, "multiauth.policy.p%d.use = " POLICY "\n", i);
    }
    str fits = ARENA_JOIN(&keep, buf_str(&uses), STR("\n"), buf_str(&b), STR(""));
    start(arena_cstr(&keep, fits));
    ck_assert(auth_has_policy(auth, STR("p15")));
    stop();
    buf_printf(&b, "multiauth.policy.more.use = " POLICY "\n");
    str over = ARENA_JOIN(&keep, buf_str(&uses), STR(" more\n"), buf_str(&b), STR(""));
    ck_assert_err(load(arena_cstr(&keep, over), &d), ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(d.text, "multiauth.policies"));
    stop();
}
END_TEST

/* ---- order ----------------------------------------------------------------------------------- */

#define ALICE "Basic YWxpY2U6c2VjcmV0"
#define HASH  "e5d6cdcf0c0dcba7375f249cf28729a2df9008d699af91f1d51ed64807b065e1"

START_TEST(without_policies_everybody_is_anonymous)
{
    start("kinto.x = 1\n");
    struct auth_user u = who_is(STR(ALICE));

    ck_assert(str_none(u.id));
    ck_assert(str_none(u.policy));
    ck_assert(str_none(auth_challenge(auth)));
    ck_assert(!auth_has_policy(auth, STR("basicauth")));
    stop();
}
END_TEST

/* The policy's own name is the prefix; the first that recognises the credentials decides; each has a
 * challenge. */
START_TEST(the_first_policy_decides)
{
    static const struct {
        const char *policies, *id, *challenge;
    } rows[] = {{"one two", "one:" HASH, CHALLENGE ", " CHALLENGE},
                {"two one", "two:" HASH, CHALLENGE ", " CHALLENGE},
                {"two", "two:" HASH, CHALLENGE}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start(arena_printf(&keep,
                           "multiauth.policies = %s\nkinto.userid_hmac_secret = secret\n"
                           "multiauth.policy.one.use = " POLICY "\n"
                           "multiauth.policy.two.use = " POLICY "\n",
                           rows[i].policies)
                  .p);
        struct auth_user u = who_is(STR(ALICE));
        ck_assert_str_is(u.id, rows[i].id);
        ck_assert(str_starts(u.id, u.policy));
        ck_assert_str_is(auth_challenge(auth), rows[i].challenge);
        ck_assert(auth_has_policy(auth, STR("two")));
        ck_assert(!auth_has_policy(auth, STR("basicauth")));
        stop();
    }
}
END_TEST

START_TEST(policies_are_listed_as_they_are_asked)
{
    start("multiauth.policies = one two\nkinto.userid_hmac_secret = secret\n"
          "multiauth.policy.one.use = " POLICY "\nmultiauth.policy.two.use = " POLICY "\n");
    str name;
    const char *scheme;
    ck_assert(auth_policy_at(auth, 0, &name, &scheme));
    ck_assert_str_is(name, "one");
    ck_assert_str_eq(scheme, "{\"type\":\"basic\"}");
    ck_assert(auth_policy_at(auth, 1, &name, &scheme));
    ck_assert_str_is(name, "two");
    ck_assert(!auth_policy_at(auth, 2, &name, &scheme));
    stop();
}
END_TEST

START_TEST(an_empty_use_is_none)
{
    start("multiauth.policies = basicauth\nmultiauth.policy.basicauth.use =\n"
          "kinto.userid_hmac_secret = secret\n");
    ck_assert_str_is(who_is(STR(ALICE)).id, "basicauth:" HASH);
    stop();
}
END_TEST

/* ---- Basic ----------------------------------------------------------------------------------- */

static const struct {
    const char *header, *hash; /* NULL: anonymous */
} credentials[] = {
    {ALICE, HASH},
    {"basic YWxpY2U6c2VjcmV0", HASH},
    {"BASIC YWxpY2U6c2VjcmV0", HASH},
    {"Basic   YWxpY2U6c2VjcmV0 ", HASH},
    {"Basic YWxpY2U6", "38af51632c688e1fba568d7e66bd1fee36dfc74bd957cd12326156048588fb91"},
    {"Basic YTpiOmM=", "ac07d992bc01b05dfc8c7834d76c11aab3c79c67ce88c1b43535174faaaacdd0"},
    {"Basic eDogeSA=", "4c22ee0ada03247a26049b036df9ca6063dff2a443cf3293937b7545271b3392"},
    /* UTF-8, the same in Latin-1, and what is only Latin-1 */
    {"Basic w6k6w6g=", "42dd6578f4a4bdef35ccfa569057b58a084f69530f3e7fb85b2c509c8a0ed8c8"},
    {"Basic 6Tro", "42dd6578f4a4bdef35ccfa569057b58a084f69530f3e7fb85b2c509c8a0ed8c8"},
    {"Basic /4A6eA==", "510254eb63a32ddf180d34c7f99bdfb74bfa6191d6679fffc6b7d5dbdef85ad0"},
    {"Basic YQBiOmM=", "64c7c97e0f98cce554d3bb2bc36fd1fa4de2074bc16c3697fed5821dc22d9648"},
    {"Basic", NULL},
    {"Basic ", NULL},
    {"", NULL},
    {"BasicYWxpY2U6c2VjcmV0", NULL},
    {"Basical YWxpY2U6c2VjcmV0", NULL},
    {"Bearer YWxpY2U6c2VjcmV0", NULL},
    {"YWxpY2U6c2VjcmV0", NULL},
    {"Basic YWxpY2U6c2VjcmV", NULL}, /* no base64: cut */
    {"Basic =", NULL},
    {"Basic YQ==", NULL},         /* a: no colon */
    {"Basic OnNlY3JldA==", NULL}, /* :secret */
    {"Basic Og==", NULL},
};

START_TEST(basic_credentials)
{
    start("multiauth.policies = basicauth\nkinto.userid_hmac_secret = secret\n");
    struct auth_user u = who_is(str_from(credentials[_i].header));

    if (credentials[_i].hash) {
        str id = arena_printf(&keep, "basicauth:%s", credentials[_i].hash);
        ck_assert_str_is(u.id, id.p);
        ck_assert_str_is(u.policy, "basicauth");
    } else {
        ck_assert_msg(str_none(u.id), "%s: " STR_FMT, credentials[_i].header, STR_ARG(u.id));
    }
    ck_assert(str_none(who_is(STR_NONE).id));
    stop();
}
END_TEST

/* A part of a batch may bring a header of any length. */
START_TEST(long_credentials_are_credentials)
{
    static char text[200 * 1024];

    start("multiauth.policies = basicauth\nkinto.userid_hmac_secret = secret\n");
    memset(text, '\xe9', sizeof text);
    text[1] = ':';
    str header =
        ARENA_JOIN(&keep, STR("Basic "), hash_base64_encode(&keep, (str){text, sizeof text}));
    struct auth_user u = who_is(header);
    ck_assert_uint_eq(u.id.n, strlen("basicauth:") + 64);
    stop();
}
END_TEST

/* Without memory it is an error, never somebody else. */
START_TEST(no_memory)
{
    static _Alignas(16) char space[8192];
    static const char *const headers[] = {ALICE, "Basic /4A6eA=="};

    start("multiauth.policies = basicauth\nkinto.userid_hmac_secret = secret\n");
    for (size_t h = 0; h < ARRAY_LEN(headers); h++) {
        str right = who_is(str_from(headers[h])).id;
        enum err e = ERR_NOMEM;
        for (size_t n = 0; e != OK; n += 16) {
            struct arena small;
            struct auth_user u;
            ck_assert_uint_le(n, sizeof space);
            arena_init(&small, space, n, NULL, 0);
            struct auth_request req = {.arena = &small, .authorization = str_from(headers[h])};
            e = auth_authenticate(auth, &req, &u);
            ck_assert(e == ERR_NOMEM || (e == OK && str_eq(u.id, right)));
            ck_assert(n > 64 || e == ERR_NOMEM);
            arena_fini(&small);
        }
    }
    stop();
}
END_TEST

/* ---- what is remembered ---------------------------------------------------------------------- */

static struct auth_user remembered(struct auth_memory *m, str header)
{
    struct auth_request req = {.arena = &keep, .memory = m, .authorization = header};
    struct auth_user u;

    ck_assert_ok(auth_authenticate(auth, &req, &u));
    return u;
}

/* Many more than there are places, three times over. */
START_TEST(memory_changes_no_answer)
{
    struct auth_memory *m = auth_memory_new();
    enum { USERS = 600 };
    str headers[USERS], ids[USERS];

    ck_assert_ptr_nonnull(m);
    start("multiauth.policies = basicauth\nkinto.userid_hmac_secret = secret\n");
    for (int i = 0; i < USERS; i++) {
        str encoded = hash_base64_encode(&keep, arena_printf(&keep, "user%d:secret", i));
        headers[i] = ARENA_JOIN(&keep, STR("Basic "), encoded);
        ids[i] = who_is(headers[i]).id;
        ck_assert(i == 0 || !str_eq(ids[i], ids[i - 1]));
    }
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < USERS; i++) {
            ck_assert(str_eq(remembered(m, headers[i]).id, ids[i]));
            ck_assert(str_eq(remembered(m, headers[i / 2]).id, ids[i / 2]));
            ck_assert(str_eq(remembered(m, headers[i / 2]).id, ids[i / 2]));
        }
    ck_assert(str_none(remembered(m, STR_NONE).id));
    ck_assert(str_none(remembered(m, STR("Basic YWxpY2U=")).id));
    ck_assert(str_none(remembered(m, STR("Basic YWxpY2U=")).id));
    stop();
    auth_memory_free(m);
}
END_TEST

/* What one policy has found out is nothing that another one, with another secret, would believe. */
START_TEST(memory_belongs_to_a_policy)
{
    struct auth_memory *m = auth_memory_new();

    ck_assert_ptr_nonnull(m);
    start("multiauth.policies = basicauth\nkinto.userid_hmac_secret = one\n");
    str id = remembered(m, STR(ALICE)).id;
    stop();
    start("multiauth.policies = basicauth\nkinto.userid_hmac_secret = other\n");
    ck_assert(!str_eq(remembered(m, STR(ALICE)).id, id));
    ck_assert(str_eq(remembered(m, STR(ALICE)).id, who_is(STR(ALICE)).id));
    stop();
    auth_memory_free(m);
}
END_TEST

START_TEST(names_that_may_be_users)
{
    char name[256];

    memset(name, 'x', sizeof name);
    ck_assert(!auth_user_valid(STR("")));
    ck_assert(auth_user_valid((str){name, 1}));
    ck_assert(auth_user_valid((str){name, 255}));
    ck_assert(!auth_user_valid((str){name, 256}));
    for (int c = 0; c < 0x100; c++) {
        name[1] = (char)c;
        ck_assert_msg(auth_user_valid((str){name, 3}) == (c >= 0x20 && c < 0x7f), "%d", c);
    }
    ck_assert(auth_user_valid(STR("\xc3\xa9:@ \"<")));
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {a_long_name_is_refused,
                                  as_many_policies_as_fit,
                                  without_policies_everybody_is_anonymous,
                                  the_first_policy_decides,
                                  policies_are_listed_as_they_are_asked,
                                  an_empty_use_is_none,
                                  long_credentials_are_credentials,
                                  names_that_may_be_users,
                                  memory_changes_no_answer,
                                  memory_belongs_to_a_policy,
                                  no_memory};
    Suite *s = suite_create("auth/auth");
    TCase *c = tests_of(s, "auth", setup_bare, teardown_bare, tests, ARRAY_LEN(tests));

    tcase_add_loop_test(c, bad_settings_are_refused, 0, ARRAY_LEN(refused));
    tcase_add_loop_test(c, basic_credentials, 0, ARRAY_LEN(credentials));
    return s;
}

UNIT_MAIN(make_suite)
