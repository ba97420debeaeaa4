/*
 * kinto.plugins.openid against a provider that the test plays on loopback: a good one, one that is not
 * there, and those that would hurt. Who a token makes one, how often the provider is asked, where a
 * browser is sent, and what stays secret.
 */
#include "test/support/wait.h"
#include "test/unit/api/api_test.h"
#include "test/unit/http/peer_test.h"

#include "plugins/openid.h"

#include <sys/resource.h>

#define SIGN_ARENA (&keep)
#include "test/unit/auth/jwt_sign.h"

#define NOW      1700000000 /* wall_still() */
#define AUDIENCE "https://api.example"
#define KEY_RSA  "{\"kid\":\"rsa\",\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"
#define KEY_EC                                                                                     \
    "{\"kid\":\"ec\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"
#define RS256 "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"
#define ES256 "{\"alg\":\"ES256\",\"kid\":\"ec\"}"

/* ---- the provider ---------------------------------------------------------------------------- */

enum place { DISCOVERY, KEYS, USERINFO, TOKEN, PLACES };
static const char *const paths[PLACES] = {"/.well-known/openid-configuration", "/keys", "/me",
                                          "/token"};

static struct {
    const char *_Atomic answer[PLACES]; /* whole; NULL: none, until the other side has gone */
    atomic_uint asked[PLACES];
    atomic_bool hold; /* no answer as long as it is set */
    atomic_bool tls;
} world;

static struct peer *peer;
static str issuer;

static bool wait_until(bool (*is)(void))
{
    uint64_t deadline = clock_mono_ms() + PEER_MS;

    while (!is() && clock_mono_ms() < deadline)
        wait_tick();
    return is();
}

static bool is_let_go(void)
{
    return !atomic_load(&world.hold);
}

static void play(struct side *s, const void *arg)
{
    const char *line;
    char path[64] = "";
    (void)arg;

    if (atomic_load(&world.tls) && !side_start_tls(s, CERT_GOOD))
        return;
    line = side_line(s);
    if (line == NULL || sscanf(line, "%*s %63s", path) != 1)
        return;
    (void)!side_request(s);
    for (unsigned i = 0; i < PLACES; i++) {
        if (strcmp(path, paths[i]) != 0)
            continue;
        atomic_fetch_add(&world.asked[i], 1);
        (void)!wait_until(is_let_go);
        const char *answer = world.answer[i];
        if (answer == NULL)
            side_wait_end(s);
        else
            (void)!side_say(s, answer);
        return;
    }
    (void)!side_say(s, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static const char *http(int status, const char *body)
{
    return arena_printf(&keep, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status,
                        strlen(body), body)
        .p;
}

static const char *with_key(const char *key)
{
    return http(200, arena_printf(&keep, "{\"keys\":[%s]}", key).p);
}

static const char *discovery(const char *more)
{
    return http(200, arena_printf(&keep,
                                  "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/auth\","
                                  "\"token_endpoint\":\"%s/token\",\"userinfo_endpoint\":\"%s/me\","
                                  "\"jwks_uri\":\"%s/keys\"%s}",
                                  issuer.p, issuer.p, issuer.p, issuer.p, issuer.p, more)
                         .p);
}

static void make_world(void)
{
    peer = peer_start(play, NULL);
    issuer = arena_printf(&keep, "http://127.0.0.1:%u", (unsigned)peer->port);
    world.answer[DISCOVERY] = discovery("");
    world.answer[KEYS] = with_key(KEY_RSA "," KEY_EC);
    world.answer[USERINFO] = http(200, "{\"sub\":\"u1\",\"email\":\"u1@x.example\"}");
    world.answer[TOKEN] = http(200, "{\"access_token\":\"secret-access\"}");
    atomic_store(&world.hold, false);
    for (unsigned i = 0; i < PLACES; i++)
        atomic_store(&world.asked[i], 0);
}

/* ---- what is logged -------------------------------------------------------------------------- */

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char logged[256 * 1024];

static void sink(const char *line, void *arg)
{
    (void)arg;
    pthread_mutex_lock(&log_lock);
    size_t n = strlen(logged);
    snprintf(logged + n, sizeof logged - n, "%s\n", line);
    pthread_mutex_unlock(&log_lock);
}

static void must_not_log(const char *secret)
{
    ck_assert_msg(strstr(logged, secret) == NULL, "\"%s\" is in the log:\n%s", secret, logged);
}

/* ---- the server ------------------------------------------------------------------------------ */

#define POLICY_OF(name)                                                                            \
    "multiauth.policy." name ".use = kinto.plugins.openid.OpenIDConnectPolicy\n"                   \
    "multiauth.policy." name ".client_id = kinto\n"                                                \
    "multiauth.policy." name ".client_secret = s3cret\n"

/* `more`: lines; the policy is called id. */
static const char *ini_of(const char *more)
{
    return arena_printf(&keep,
                        "[app:main]\nkinto.includes = kinto.plugins.openid\n"
                        "kinto.userid_hmac_secret = secret\nmultiauth.policies = id basicauth\n"
                        "multiauth.policy.basicauth.use = "
                        "kinto.core.authentication.BasicAuthAuthenticationPolicy\n" POLICY_OF(
                            "id") "multiauth.policy.id.issuer = %s\n%s",
                        issuer.p, more)
        .p;
}

static void begin(void)
{
    setup_bare();
    unsetenv("http_proxy");
    log_set_level(LOG_DEBUG);
    logged[0] = '\0';
    log_test_sink(sink, NULL);
    make_world();
}

static void end(void)
{
    atomic_store(&world.hold, false);
    if (server.api)
        server_stop(&server);
    peer_free(peer);
    log_test_sink(NULL, NULL);
    must_not_log("s3cret");
    must_not_log("secret-");
    teardown_bare();
}

static struct openid_provider *provider(void)
{
    return openid_provider_at(server.api, 0);
}

static bool is_idle(void)
{
    struct openid_provider *p = provider();

    pthread_mutex_lock(&p->lock);
    bool idle = !p->job_runs;
    pthread_mutex_unlock(&p->lock);
    return idle;
}

/* What looks the provider up aside. */
static void start_services(void)
{
    struct err_detail d = {.text = ""};
    enum err e = api_start(server.api, &d);

    ck_assert_msg(e == OK, "%s", d.text);
}

/* Starts, and lets it look the provider up. */
static void run(const char *more)
{
    server_start(ini_of(more));
    start_services();
    ck_assert(wait_until(is_idle));
}

static struct fake_answer *bearer(const char *token)
{
    return ask("GET", "/v1/", arena_printf(&keep, "Authorization: Bearer %s\n", token).p, NULL);
}

static void must_be(const char *token, const char *who)
{
    struct fake_answer *a = bearer(token);

    ck_assert_msg(a->status == 200, "%d: " STR_FMT "\n%s", a->status, STR_ARG(a->body), logged);
    str id = at(a, "/user/id");
    str wanted = who ? arena_printf(&keep, "\"id:%s\"", who) : STR("");
    ck_assert_msg(str_eq(id, wanted), STR_FMT ", want " STR_FMT "\n%s", STR_ARG(id),
                  STR_ARG(wanted), logged);
}

static void must_be_unsure(const char *token)
{
    struct fake_answer *a = bearer(token);

    ck_assert_msg(a->status == 503, "%d: " STR_FMT, a->status, STR_ARG(a->body));
    ck_assert_str_is(fake_header(a, "Retry-After"), "3");
}

static unsigned asked(enum place place)
{
    return atomic_load(&world.asked[place]);
}

/* As if so much time had gone by since anything was asked. */
static void grow_old(uint64_t ms)
{
    struct openid_provider *p = provider();
    struct openid_age *ages[] = {&p->config_age, &p->keys_age};

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < ARRAY_LEN(ages); i++) {
        ages[i]->got_ms -= ms;
        if (ages[i]->failed_ms)
            ages[i]->failed_ms -= MIN_OF(ms, ages[i]->failed_ms - 1);
    }
    p->down_until_ms -= MIN_OF(ms, p->down_until_ms);
    for (size_t i = 0; i < OPENID_REFUSALS; i++)
        p->refused[i].until_ms -= MIN_OF(ms, p->refused[i].until_ms);
    pthread_mutex_unlock(&p->lock);
}

#define HOUR 3600000u
#define DAY  86400000u

/* ---- settings -------------------------------------------------------------------------------- */

#define ALONE "[app:main]\nmultiauth.policies = id\n" POLICY_OF("id")
#define I_URL "multiauth.policy.id.issuer = https://id.example\n"

START_TEST(settings_are_checked)
{
    server_refuses(ALONE, ERR_SYNTAX,
                   (const char *const[3]){"multiauth.policy.id.issuer: is missing"});
    server_refuses(ALONE "multiauth.policy.id.issuer = id.example\n", ERR_SYNTAX,
                   (const char *const[3]){"test.ini:6: multiauth.policy.id.issuer", "URL"});
    server_refuses("[app:main]\nmultiauth.policies = id\nmultiauth.policy.id.use = "
                   "kinto.plugins.openid.OpenIDConnectPolicy\n" I_URL,
                   ERR_SYNTAX, (const char *const[3]){"multiauth.policy.id.client_id: is missing"});
    server_refuses(ALONE I_URL "multiauth.policy.id.header_type = a b\n", ERR_SYNTAX,
                   (const char *const[3]){"test.ini:7: multiauth.policy.id.header_type"});
    server_refuses(ALONE I_URL "multiauth.policy.id.state_length = 15\n", ERR_RANGE,
                   (const char *const[3]){"from 16 to 256 bytes"});
    server_refuses(ALONE I_URL "multiauth.policy.id.verification_ttl_seconds = x\n", ERR_SYNTAX,
                   (const char *const[3]){"verification_ttl_seconds"});
    server_refuses(ALONE I_URL "multiauth.policy.id.state_ttl_seconds = 0\n", ERR_RANGE,
                   (const char *const[3]){"state_ttl_seconds"});
}
END_TEST

/* Not taken for a lack of memory. */
START_TEST(no_file_descriptor)
{
    struct openid_provider *p;
    struct err_detail d = {.text = ""};
    struct rlimit before, none;

    run("");
    int next = dup(0);
    ck_assert_int_ge(next, 0);
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)next;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum err e = openid_provider_new(&p, STR("id"), server.settings, &d);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_msg(e == ERR_NOFILES && d.sys_errno == EMFILE, "%s: %s", err_text(e), d.text);
    ck_assert_int_eq(openid_provider_new(&p, STR("id"), server.settings, &d), OK);
    openid_provider_free(p);
}
END_TEST

/* Nothing at the other end keeps the server from starting. */
START_TEST(the_start_does_not_wait)
{
    atomic_store(&world.hold, true);
    server_start(ini_of(""));
    start_services();
    struct fake_answer *a = want(200, "GET", "/v1/", NULL);
    ck_assert_str_is(
        at(a, "/capabilities/openid/providers/0"),
        arena_printf(&keep,
                     "{\"name\":\"id\",\"issuer\":\"%s\",\"auth_path\":\"/openid/id/login\","
                     "\"client_id\":\"kinto\",\"audience\":\"\",\"header_type\":\"Bearer\"}",
                     issuer.p)
            .p);
    atomic_store(&world.hold, false);
    ck_assert(wait_until(is_idle));
    a = want(200, "GET", "/v1/", NULL);
    ck_assert_str_is(at(a, "/capabilities/openid/providers/0/userinfo_endpoint"),
                     arena_printf(&keep, "\"%s/me\"", issuer.p).p);
    ck_assert_uint_eq(asked(DISCOVERY), 1);
}
END_TEST

/* Until everything is set up no thread runs, and nobody is called. */
START_TEST(loading_asks_nobody)
{
    server_start(ini_of(""));
    ck_assert(is_idle());
    ck_assert_uint_eq(asked(DISCOVERY), 0);
    start_services();
    ck_assert(wait_until(is_idle));
    ck_assert_uint_eq(asked(DISCOVERY), 1);
}
END_TEST

/* The policy alone is asked of nothing, until somebody comes with a token. */
START_TEST(a_policy_without_the_plugin)
{
    server_start(arena_printf(&keep, ALONE "multiauth.policy.id.issuer = %s\n", issuer.p).p);
    struct fake_answer *a = want(200, "GET", "/v1/", NULL);
    ck_assert_str_is(at(a, "/capabilities/openid"), "");
    want(404, "GET", "/v1/openid/id/login", NULL);
    ck_assert_uint_eq(asked(DISCOVERY), 0);
    must_be("t", "u1");
    ck_assert_uint_eq(asked(DISCOVERY), 1);
}
END_TEST

/* ---- opaque tokens --------------------------------------------------------------------------- */

START_TEST(the_provider_is_asked_once)
{
    run("");
    must_be("secret-1", "u1");
    must_be("secret-1", "u1");
    struct fake_answer *a = bearer("secret-1");
    ck_assert_str_is(at(a, "/user/profile/email"), "\"u1@x.example\"");
    ck_assert_str_is(at(a, "/user/principals"),
                     "[\"id:u1\",\"system.Everyone\",\"system.Authenticated\"]");
    ck_assert_uint_eq(asked(USERINFO), 1);
    ck_assert_ptr_nonnull(strstr(peer->got, "\r\nAuthorization: Bearer secret-1\r\n"));
    must_be("secret-2", "u1");
    ck_assert_uint_eq(asked(USERINFO), 2);
    user = "alice:secret";
    ck_assert_str_is(at(want(200, "GET", "/v1/", NULL), "/user/profile"), "{}");
    ck_assert_uint_eq(asked(DISCOVERY), 1);
}
END_TEST

START_TEST(a_refusal_is_remembered_for_a_while)
{
    run("");
    world.answer[USERINFO] = http(401, "{\"sub\":\"u1\"}");
    must_be("secret-1", NULL);
    must_be("secret-1", NULL);
    ck_assert_uint_eq(asked(USERINFO), 1);
    world.answer[USERINFO] = http(200, "{\"sub\":\"u1\"}");
    must_be("secret-1", NULL);
    grow_old(30000);
    must_be("secret-1", "u1");
}
END_TEST

START_TEST(a_time_to_live_of_nothing)
{
    run("multiauth.policy.id.verification_ttl_seconds = 0\n");
    must_be("secret-1", "u1");
    must_be("secret-1", "u1");
    ck_assert_uint_eq(asked(USERINFO), 2);
}
END_TEST

START_TEST(other_headers_are_for_others)
{
    static const char *const headers[] = {"Authorization: Bearer\n",
                                          "Authorization: Bearer   \n",
                                          "Authorization: Bear secret-1\n",
                                          "Authorization: secret-1\n",
                                          "Authorization: Bearer a b\n",
                                          "Authorization: Bearer a\tb\n",
                                          "Authorization: Bearer \xc3\xa9\n",
                                          "Authorization: Basic c2VjcmV0LTE6\n",
                                          ""};

    run("");
    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        ck_assert_int_eq(ask("GET", "/v1/", headers[i], NULL)->status, 200);
    ck_assert_uint_eq(asked(USERINFO), 0);
    ck_assert_str_is(at(ask("GET", "/v1/", "Authorization: bEARER  secret-1\n", NULL), "/user/id"),
                     "\"id:u1\"");
    struct fake_answer *a = ask("GET", "/v1/buckets", NULL, NULL);
    ck_assert_int_eq(a->status, 401);
    ck_assert_str_is(fake_header(a, "WWW-Authenticate"),
                     "Bearer realm=\"Realm\", Basic realm=\"Realm\"");
}
END_TEST

static const struct {
    int status;
    const char *profile;
    const char *who; /* NULL: nobody; "": 503 */
} profiles[] = {
    {200, "{\"sub\":\"x\"}", "x"},
    {200, "{\"sub\":\"\\u00e9 \\ud83d\\ude00\"}", "\u00e9 \U0001f600"},
    {200, "{\"sub\":42}", "42"},
    {200, " {\"a\":[{\"sub\":\"y\"}], \"sub\" : \"x\"} ", "x"},
    {200, "{\"sub\":\"x\",\"sub\":\"z\"}", "z"},
    {200, "{\"sub\":\"a:b/c\"}", "a:b/c"},
    {200, "", NULL},
    {200, "x", NULL},
    {200, "[]", NULL},
    {200, "\"x\"", NULL},
    {200, "{\"sub\":\"x\"", NULL},
    {200, "{\"email\":\"x\"}", NULL},
    {200, "{\"sub\":null}", NULL},
    {200, "{\"sub\":\"\"}", NULL},
    {200, "{\"sub\":true}", NULL},
    {200, "{\"sub\":[\"x\"]}", NULL},
    {200, "{\"sub\":\"a\\nb\"}", NULL},
    {200, "{\"sub\":\"a\\u0000b\"}", NULL},
    {200, "{\"sub\":\"\\ud800\"}", NULL},
    {200, "{\"sub\":\"\xff\"}", NULL},
    {201, "{\"sub\":\"x\"}", NULL},
    {302, "{\"sub\":\"x\"}", NULL},
    {400, "{\"sub\":\"x\"}", NULL},
    {401, "{\"sub\":\"x\"}", NULL},
    {403, "{\"sub\":\"x\"}", NULL},
    {404, "{\"sub\":\"x\"}", NULL},
    {408, "{\"sub\":\"x\"}", ""},
    {429, "{\"sub\":\"x\"}", ""},
    {500, "{\"sub\":\"x\"}", ""},
    {503, "", ""},
};

START_TEST(profiles_good_and_bad)
{
    run("");
    world.answer[USERINFO] = http(profiles[_i].status, profiles[_i].profile);
    if (profiles[_i].who && profiles[_i].who[0] == '\0')
        must_be_unsure("secret-1");
    else
        must_be("secret-1", profiles[_i].who);
}
END_TEST

static const char *repeated(char c, size_t n)
{
    char *s = arena_zalloc(&keep, n + 1);

    ck_assert_ptr_nonnull(s);
    memset(s, c, n);
    return s;
}

START_TEST(profiles_too_large)
{
    run("");
    world.answer[USERINFO] =
        http(200, arena_printf(&keep, "{\"sub\":\"%s\"}", repeated('x', 255)).p);
    must_be("secret-1", repeated('x', 255));
    world.answer[USERINFO] =
        http(200, arena_printf(&keep, "{\"sub\":\"%s\"}", repeated('x', 256)).p);
    must_be("secret-2", NULL);
    world.answer[USERINFO] =
        http(200, arena_printf(&keep, "{\"sub\":\"x\",\"y\":\"%s\"}", repeated('y', 32 * KIB)).p);
    must_be("secret-3", NULL);
    world.answer[USERINFO] =
        http(200, arena_printf(&keep, "{\"sub\":\"x\",\"y\":%s", repeated('[', 60000)).p);
    must_be("secret-4", NULL);
    world.answer[USERINFO] =
        http(200, arena_printf(&keep, "{\"sub\":\"x\",\"y\":\"%s\"}", repeated('y', MIB)).p);
    must_be_unsure("secret-5");
}
END_TEST

/* What is no HTTP, is cut off, or never comes (the client's own tests have more of these). */
START_TEST(no_answer_is_no_refusal)
{
    static const char *const raw[] = {"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{", "hello",
                                      "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"};
    run("");
    for (size_t i = 0; i < ARRAY_LEN(raw); i++) {
        world.answer[USERINFO] = raw[i];
        must_be_unsure("secret-1");
        grow_old(10000);
    }
    world.answer[USERINFO] = http(200, "{\"sub\":\"u1\"}");
    must_be("secret-1", "u1");
}
END_TEST

START_TEST(another_field_is_the_user)
{
    run("multiauth.policy.id.userid_field = email\n");
    must_be("secret-1", "u1@x.example");
    world.answer[USERINFO] = http(200, "{\"sub\":\"u1\"}");
    must_be("secret-2", NULL);
}
END_TEST

/* ---- many at once ---------------------------------------------------------------------------- */

#define CROWD 12

struct one {
    pthread_t thread;
    struct arena keep;
    const char *token;
    struct fake_answer *answer;
};

static void *ask_alone(void *arg)
{
    struct one *o = arg;
    void *loop = server.app.loop_start(server.app.ctx, 1);
    str header = arena_printf(&o->keep, "Host: x\nAuthorization: Bearer %s\n", o->token);

    o->answer = fake_ask(&server.app, loop, &o->keep, "GET", STR("/v1/"), header, STR(""));
    server.app.loop_stop(loop);
    return NULL;
}

static void crowd_begin(struct one *crowd, size_t n, const char *const *tokens)
{
    for (size_t i = 0; i < n; i++) {
        arena_init(&crowd[i].keep, NULL, 0, NULL, 16 * MIB);
        crowd[i].token = tokens[i];
        ck_assert_int_eq(pthread_create(&crowd[i].thread, NULL, ask_alone, &crowd[i]), 0);
    }
}

static void crowd_end(struct one *crowd, size_t n, int status)
{
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(pthread_join(crowd[i].thread, NULL), 0);
        ck_assert_int_eq(crowd[i].answer->status, status);
        if (status == 200)
            ck_assert_str_is(at(crowd[i].answer, "/user/id"), "\"id:u1\"");
    }
    for (size_t i = 0; i < n; i++)
        arena_fini(&crowd[i].keep);
}

static size_t waiting(void)
{
    size_t n = 0;

    pthread_mutex_lock(&server.api->sharing);
    for (struct api_work *s = server.api->shared; s; s = s->next_shared)
        for (struct api_work *w = s; w; w = w->waiting)
            n++;
    pthread_mutex_unlock(&server.api->sharing);
    return n;
}

static bool all_wait(void)
{
    return waiting() == CROWD;
}

START_TEST(one_token_is_one_question)
{
    static struct one crowd[CROWD];
    const char *tokens[CROWD];

    run("");
    for (size_t i = 0; i < CROWD; i++)
        tokens[i] = "secret-1";
    for (int known = 1; known >= 0; known--) {
        world.answer[USERINFO] = known ? http(200, "{\"sub\":\"u1\"}") : http(500, "");
        for (size_t i = 0; !known && i < CROWD; i++)
            tokens[i] = "secret-2";
        unsigned before = asked(USERINFO);
        atomic_store(&world.hold, true);
        crowd_begin(crowd, CROWD, tokens);
        ck_assert(wait_until(all_wait));
        atomic_store(&world.hold, false);
        crowd_end(crowd, CROWD, known ? 200 : 503);
        ck_assert_uint_eq(asked(USERINFO) - before, 1);
        ck_assert_ptr_null(server.api->shared);
    }
}
END_TEST

/* Many tokens before anything is known: the provider is looked up once. */
START_TEST(one_configuration_for_all)
{
    static struct one crowd[CROWD];
    const char *tokens[CROWD];

    for (size_t i = 0; i < CROWD; i++)
        tokens[i] = arena_printf(&keep, "secret-%zu", i).p;
    server_start(arena_printf(&keep, ALONE "multiauth.policy.id.issuer = %s\n", issuer.p).p);
    atomic_store(&world.hold, true);
    crowd_begin(crowd, CROWD, tokens);
    ck_assert(wait_until(all_wait));
    atomic_store(&world.hold, false);
    crowd_end(crowd, CROWD, 200);
    ck_assert_uint_eq(asked(DISCOVERY), 1);
    ck_assert_uint_eq(asked(USERINFO), CROWD);
}
END_TEST

static bool somebody_is_asked(void)
{
    return asked(USERINFO) > 0;
}

/* A provider that never answers does not delay the stop. */
START_TEST(a_stop_ends_what_waits)
{
    static struct one crowd[CROWD];
    const char *tokens[CROWD];

    run("");
    world.answer[USERINFO] = NULL;
    for (size_t i = 0; i < CROWD; i++)
        tokens[i] = arena_printf(&keep, "secret-%zu", i / 2).p;
    crowd_begin(crowd, CROWD, tokens);
    ck_assert(wait_until(all_wait));
    ck_assert(wait_until(somebody_is_asked));
    uint64_t start = clock_mono_ms();
    api_stop(server.api);
    crowd_end(crowd, CROWD, 503);
    ck_assert_uint_lt(clock_mono_ms() - start, 2000);
}
END_TEST

/* ---- a provider that is not there ------------------------------------------------------------ */

START_TEST(nobody_there)
{
    uint64_t start;

    issuer = arena_printf(&keep, "http://127.0.0.1:%u", (unsigned)free_port());
    run("");
    must_be_unsure("secret-1");
    must_be_unsure("secret-1");
    want(200, "GET", "/v1/", NULL);
    ck_assert_int_eq(
        ask("GET", "/v1/openid/id/login?scope=openid&callback=http://localhost/", NULL, NULL)
            ->status,
        503);
    ck_assert_uint_eq(count_of(logged, "asked_for=\"its configuration\""), 1);
    /* It is asked again after a while, and then found. */
    struct openid_provider *p = provider();
    p->issuer = arena_printf(&keep, "http://127.0.0.1:%u", (unsigned)peer->port);
    start = clock_mono_ms();
    must_be_unsure("secret-1");
    ck_assert_uint_lt(clock_mono_ms() - start, 2000);
    ck_assert_uint_eq(asked(DISCOVERY), 0);
    grow_old(10000);
    must_be("secret-1", "u1");
}
END_TEST

/* What was known stays known for a day. */
START_TEST(away_for_a_while)
{
    str token = make(
        RS256, arena_printf(&keep, "{\"iss\":\"%s\",\"aud\":\"kinto\",\"exp\":%d,\"sub\":\"j\"}",
                            issuer.p, NOW + 999999)
                   .p);
    str other = make(
        ES256, arena_printf(&keep, "{\"iss\":\"%s\",\"aud\":\"kinto\",\"exp\":%d,\"sub\":\"k\"}",
                            issuer.p, NOW + 999999)
                   .p);
    run("");
    must_be(token.p, "j");
    world.answer[DISCOVERY] = world.answer[KEYS] = http(500, "");
    grow_old(HOUR);
    must_be(other.p, "k");
    ck_assert_uint_eq(asked(DISCOVERY), 2);
    ck_assert_uint_eq(asked(KEYS), 2);
    world.answer[USERINFO] = http(502, "");
    must_be_unsure("secret-1");
    grow_old(DAY);
    store_cache_flush(server.store);
    must_be_unsure(token.p);
    world.answer[DISCOVERY] = discovery("");
    world.answer[KEYS] = with_key(KEY_RSA);
    grow_old(10000);
    must_be(token.p, "j");
}
END_TEST

static const char *const bad_documents[] = {
    "",
    "x",
    "[]",
    "null",
    "{\"issuer\":\"a b\"}",
    "{\"issuer\":\"\"}",
    "{\"userinfo_endpoint\":7}",
    "{\"userinfo_endpoint\":\"\"}",
    "{\"userinfo_endpoint\":\"/me\"}",
    "{\"userinfo_endpoint\":\"file:///etc/passwd\"}",
    "{\"userinfo_endpoint\":\"http://127.0.0.1/\\r\\nX: y\"}",
    "{\"authorization_endpoint\":\"javascript:alert(1)\"}",
    "{\"authorization_endpoint\":\"https://x/#y\"}",
    "{\"token_endpoint\":[\"https://x/\"]}",
    "{\"jwks_uri\":\"https://x/\\u00e9\"}"};

START_TEST(bad_documents_are_refused)
{
    world.answer[DISCOVERY] = http(200, bad_documents[_i]);
    run("");
    must_be_unsure("secret-1");
    ck_assert_uint_eq(asked(USERINFO), 0);
    ck_assert_uint_eq(count_of(logged, "asked_for=\"its configuration\""), 1);
}
END_TEST

START_TEST(documents_too_large)
{
    world.answer[DISCOVERY] = discovery(arena_printf(&keep, ",\"x\":\"%s\"", repeated('x', MIB)).p);
    run("");
    must_be_unsure("secret-1");
    grow_old(10000);
    world.answer[DISCOVERY] =
        discovery(arena_printf(&keep, ",\"x\":\"%s\"", repeated('x', 60000)).p);
    must_be("secret-1", "u1");
}
END_TEST

/* Over TLS, and then never without: neither tokens nor secrets go where anybody may listen. */
START_TEST(once_https_always_https)
{
    static const char *const names[] = {"authorization_endpoint", "token_endpoint",
                                        "userinfo_endpoint", "jwks_uri"};
    certs_make();
    setenv("SSL_CERT_FILE", certs.ca, 1);
    atomic_store(&world.tls, true);
    issuer = arena_printf(&keep, "https://127.0.0.1:%u", (unsigned)peer->port);
    world.answer[DISCOVERY] = discovery("");
    run("");
    must_be("secret-1", "u1");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        str token = arena_printf(&keep, "secret-1%zu", i);
        world.answer[DISCOVERY] =
            discovery(arena_printf(&keep, ",\"%s\":\"http://127.0.0.1:%u/me\"", names[i],
                                   (unsigned)peer->port)
                          .p);
        grow_old(DAY);
        must_be_unsure(token.p);
        world.answer[DISCOVERY] = discovery("");
        grow_old(10000);
        must_be(token.p, "u1");
    }
    server_stop(&server);
    unsetenv("SSL_CERT_FILE"); /* it is nobody's certificate then */
    run("");
    must_be_unsure("secret-2");
    ck_assert_ptr_nonnull(strstr(logged, "certificate"));
    certs_remove();
}
END_TEST

START_TEST(no_userinfo_endpoint)
{
    world.answer[DISCOVERY] = http(
        200,
        arena_printf(&keep, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"}", issuer.p, issuer.p).p);
    run("");
    must_be("secret-1", NULL);
    ck_assert_int_eq(
        ask("GET", "/v1/openid/id/login?scope=openid&callback=http://localhost/", NULL, NULL)
            ->status,
        503);
}
END_TEST

/* ---- JSON Web Tokens ------------------------------------------------------------------------- */

static const char *jwt(const char *header, const char *aud, const char *more)
{
    return make(header,
                arena_printf(&keep, "{\"iss\":\"%s\",\"aud\":\"%s\",\"sub\":\"j1\",\"exp\":%d%s}",
                             issuer.p, aud, NOW + 600, more)
                    .p)
        .p;
}

#define BOUND "multiauth.policy.id.audience = " AUDIENCE "\n"

START_TEST(bound_to_an_audience)
{
    run(BOUND);
    must_be(jwt(RS256, AUDIENCE, ""), "j1");
    must_be(jwt(ES256, AUDIENCE, ",\"sub\":\"j2\""), "j2");
    must_be(jwt(RS256, AUDIENCE, ",\"aud\":[\"" AUDIENCE "\"]"), "j1");
    must_be(jwt(RS256, "kinto", ""), NULL);
    must_be(jwt(RS256, AUDIENCE, ",\"aud\":[\"" AUDIENCE "\",\"kinto\"]"), NULL);
    must_be(jwt(RS256, AUDIENCE, ",\"iss\":\"http://x\""), NULL);
    must_be(jwt(RS256, AUDIENCE, arena_printf(&keep, ",\"exp\":%d", NOW - 10).p), NULL);
    must_be(jwt(RS256, AUDIENCE, arena_printf(&keep, ",\"exp\":%d", NOW - 9).p), "j1");
    must_be(jwt(RS256, AUDIENCE, arena_printf(&keep, ",\"nbf\":%d", NOW + 11).p), NULL);
    must_be(jwt("{\"alg\":\"RS256\",\"kid\":\"ec\"}", AUDIENCE, ""), NULL);
    must_be(jwt("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"logout+jwt\"}", AUDIENCE, ""), NULL);
    must_be("secret-opaque", NULL);
    must_be("a.b.c", NULL);
    ck_assert_uint_eq(asked(USERINFO), 0);
    ck_assert_uint_eq(asked(KEYS), 1);
}
END_TEST

START_TEST(not_bound_to_one)
{
    run("");
    must_be(jwt(RS256, "kinto", ""), "j1"); /* an identity token */
    ck_assert_uint_eq(asked(USERINFO), 0);
    must_be(jwt(RS256, "others", ""), "u1"); /* the provider knows it */
    must_be(jwt(RS256, "kinto", ",\"iss\":\"http://x\""), "u1");
    ck_assert_uint_eq(asked(USERINFO), 2);
    must_be(jwt(RS256, "kinto", ",\"exp\":1"), NULL);
    char *forged = arena_cstr(&keep, str_from(jwt(RS256, "kinto", "")));
    char *c = forged + strlen(forged) - 9;
    *c = *c == 'A' ? 'B' : 'A';
    must_be(forged, NULL);
    ck_assert_uint_eq(asked(USERINFO), 2); /* nobody needs to be asked about these */
}
END_TEST

START_TEST(claims_without_the_field)
{
    run(BOUND "multiauth.policy.id.userid_field = email\n");
    must_be(jwt(RS256, AUDIENCE, ",\"email\":\"e@x.example\""), "e@x.example");
    ck_assert_uint_eq(asked(USERINFO), 0);
    /* The provider's profile is asked for; it must be of the same user. */
    must_be(jwt(RS256, AUDIENCE, ",\"sub\":\"u1\""), "u1@x.example");
    must_be(jwt(RS256, AUDIENCE, ",\"sub\":\"u2\""), NULL);
    ck_assert_uint_eq(asked(USERINFO), 2);
}
END_TEST

START_TEST(new_keys)
{
    world.answer[KEYS] = with_key(KEY_EC);
    run(BOUND);
    must_be(jwt(ES256, AUDIENCE, ""), "j1");
    const char *token = jwt(RS256, AUDIENCE, "");
    must_be(token, NULL);
    ck_assert_uint_eq(asked(KEYS), 1);
    grow_old(30000);
    must_be(token, NULL); /* still not there */
    ck_assert_uint_eq(asked(KEYS), 2);
    world.answer[KEYS] = with_key(KEY_RSA);
    for (int i = 0; i < 20; i++) { /* made-up keys do not make it ask more often */
        const char *header = arena_printf(&keep, "{\"alg\":\"RS256\",\"kid\":\"k%d\"}", i).p;
        must_be(jwt(header, AUDIENCE, ""), NULL);
    }
    ck_assert_uint_eq(asked(KEYS), 2);
    grow_old(30000);
    must_be(token, "j1");
    ck_assert_uint_eq(asked(KEYS), 3);
    must_be(jwt(ES256, AUDIENCE, ",\"x\":1"), NULL); /* its key was withdrawn */
}
END_TEST

START_TEST(bad_key_sets)
{
    static const char *const sets[] = {"", "{}", "[]", "{\"keys\":7}"};

    run(BOUND);
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        world.answer[KEYS] = http(200, sets[i]);
        must_be_unsure(jwt(RS256, AUDIENCE, ""));
        grow_old(10000);
    }
    world.answer[KEYS] =
        http(200, arena_printf(&keep, "{\"keys\":[],\"x\":\"%s\"}", repeated('x', MIB)).p);
    must_be_unsure(jwt(RS256, AUDIENCE, ""));
    grow_old(10000);
    world.answer[KEYS] = with_key(KEY_RSA);
    must_be(jwt(RS256, AUDIENCE, ""), "j1");
}
END_TEST

/* Remembered no longer than the token lasts. */
static int64_t moved_s;

static int64_t wall_moved(void)
{
    return wall_still() + 1000 * moved_s;
}

START_TEST(an_end_is_an_end)
{
    moved_s = 0;
    clock_test_wall(wall_moved);
    run(BOUND);
    const char *token = jwt(RS256, AUDIENCE, arena_printf(&keep, ",\"exp\":%d", NOW - 9).p);
    must_be(token, "j1"); /* within the ten seconds between clocks: for one more */
    moved_s = 2;
    let_pass(1100, "the cache goes by the monotonic clock");
    must_be(token, NULL);
}
END_TEST

/* Too early is not refused for half a minute. */
START_TEST(a_beginning_is_a_beginning)
{
    moved_s = 0;
    clock_test_wall(wall_moved);
    run(BOUND);
    const char *token = jwt(RS256, AUDIENCE, arena_printf(&keep, ",\"nbf\":%d", NOW + 11).p);
    must_be(token, NULL);
    moved_s = 1;
    must_be(token, "j1");
}
END_TEST

/* Two providers: a token that names one of them is not shown to the other. */
START_TEST(a_token_of_the_other_one)
{
    server_start(arena_printf(&keep,
                              "[app:main]\nkinto.includes = kinto.plugins.openid\n"
                              "multiauth.policies = off id\n" POLICY_OF("id") POLICY_OF(
                                  "off") "multiauth.policy.id.issuer = %s\n"
                                         "multiauth.policy.off.issuer = http://127.0.0.1:%u\n",
                              issuer.p, (unsigned)free_port())
                     .p);
    must_be(jwt(RS256, "kinto", ""), "j1");
    must_be(jwt(RS256, "kinto", ",\"exp\":1"), NULL); /* so the first one need not be there */
    must_be("secret-1", "u1"); /* the first one cannot tell, the second one can */
    world.answer[USERINFO] = http(401, "");
    must_be_unsure("secret-2"); /* it may be the first one's */
}
END_TEST

/* ---- callbacks ------------------------------------------------------------------------------- */

static const char *const trusted[] = {"http://localhost:*/*", "https://*.app.example/cb*",
                                      "https://exact.example/a?b=[c]", "http://[::1]:80/*",
                                      "https://star.example:*"};

static const struct {
    const char *url;
    bool good;
} callbacks[] = {
    {"http://localhost/", true},
    {"http://localhost", true},
    {"HTTP://LOCALHOST:3000/x?y#z=", true},
    {"http://localhost:1/a/.../b/..c", true},
    {"https://x.app.example/cb", true},
    {"https://x.y.APP.example:443/cb#tokens=", true},
    {"https://exact.example/a?b=[c]", true},
    {"http://[::1]/x", true},
    {"https://star.example:8443", true},
    {"https://star.example:8443/", true},
    {"", false},
    {"localhost", false},
    {"//localhost/", false},
    {"http:/localhost/", false},
    {"http:///x", false},
    {"https://localhost/", false},
    {"ftp://localhost/", false},
    {"javascript://localhost/%0aalert(1)", false},
    {"http://localhost.evil.example/", false},
    {"http://localhost@evil.example/", false},
    {"http://user@localhost/", false},
    {"http://localhost\\@evil.example/", false},
    {"http://evil.example\\.localhost/", false},
    {"http://evil.example/http://localhost/", false},
    {"http://evil.example#http://localhost/", false},
    {"http://localhost:80@evil.example/", false},
    {"http://localhost:80:80/", false},
    {"http://localhost:8o/", false},
    {"http://localhost/ x", false},
    {"http://localhost/\n", false},
    {"http://localhost/\x01", false},
    {"http://localhost/\xc3\xa9", false},
    {"http://localh\xc3\xb6st/", false},
    {"http://localhost/a/../b", false},
    {"http://localhost/.", false},
    {"http://localhost/a/..", false},
    {"http://localhost/%2E%2e/b", false},
    {"http://localhost/a\\..\\b", false},
    {"http://localhost/.%2e?x", false},
    {"https://evilapp.example/cb", false},
    {"https://evil.example/.app.example/cb", false},
    {"https://x.app.example/other", false},
    {"https://x.app.example:8443/cb", false},
    {"https://exact.example/a?b=c", false},
    {"https://exact.example/aXb=[c]", false},
    {"http://[::1]evil.example/x", false},
    {"http://[::1]x80/x", false},
    {"http://[::1]:81/x", false},
    {"http://[::1/x", false},
    {"http://[localhost]/x", false},
    {"https://star.example/x", false},
};

START_TEST(where_tokens_may_go)
{
    str patterns[ARRAY_LEN(trusted)];

    for (size_t i = 0; i < ARRAY_LEN(trusted); i++)
        patterns[i] = str_from(trusted[i]);
    ck_assert_msg(openid_is_trusted(str_from(callbacks[_i].url), patterns, ARRAY_LEN(patterns)) ==
                      callbacks[_i].good,
                  "%s", callbacks[_i].url);
}
END_TEST

START_TEST(a_pattern_costs_little)
{
    str pattern = arena_printf(&keep, "http://localhost/%s", repeated('*', 2000));
    str url = arena_printf(&keep, "http://localhost/%sb", repeated('a', 8000));
    str many = arena_printf(&keep, "http://localhost/*a*a*a*a*a*a*a*a*a*a*a*a*a*a*c");
    uint64_t start = clock_mono_ms();

    ck_assert(openid_is_trusted(url, &pattern, 1));
    ck_assert(!openid_is_trusted(url, &many, 1));
    ck_assert_uint_lt(clock_mono_ms() - start, 2000);
}
END_TEST

/* ---- logging in ------------------------------------------------------------------------------ */

START_TEST(what_a_url_is)
{
    static const char *const good[] = {"http://a.example", "https://a.example:65535/x",
                                       "localhost:80", "http://[::1]:1/"};
    static const char *const bad[] = {"http://a.example:",       "http://a.example:65536",
                                      "http://a.example:000080", "http://a.example:8x",
                                      "http://nowhere",          "http://a.example/ "};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(openid_is_url(str_from(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!openid_is_url(str_from(bad[i])), "%s", bad[i]);
}
END_TEST

#define LOGIN "/v1/openid/id/login?scope=openid+email&callback=http://localhost:3000/%23tokens="

static struct fake_answer *get(const char *target)
{
    return ask("GET", target, NULL, NULL);
}

static const char *location(const char *target)
{
    struct fake_answer *a = get(target);

    ck_assert_msg(a->status == 307, "%s: %d " STR_FMT, target, a->status, STR_ARG(a->body));
    return arena_cstr(&keep, fake_header(a, "Location"));
}

static const char *login(void)
{
    const char *to = location(LOGIN), *state = strstr(to, "&state=");

    ck_assert_msg(strncmp(to, issuer.p, issuer.n) == 0, "%s", to);
    ck_assert_ptr_nonnull(state);
    ck_assert_uint_eq(strlen(state + 7), 64);
    return state + 7;
}

static const char *token_url(const char *state)
{
    return arena_printf(&keep, "/v1/openid/id/token?code=secret-code%%26&state=%s", state).p;
}

START_TEST(there_and_back)
{
    run("");
    const char *state = login();
    ck_assert_str_ne(state, login());
    ck_assert_str_eq(location(token_url(state)), "http://localhost:3000/#tokens="
                                                 "eyJhY2Nlc3NfdG9rZW4iOiJzZWNyZXQtYWNjZXNzIn0%3D");
    ck_assert_ptr_nonnull(strstr(peer->got,
                                 "\r\n\r\ncode=secret-code%26&client_id=kinto&client_secret="
                                 "s3cret&redirect_uri=http%3A%2F%2Fexample.org%2Fv1%2F"
                                 "openid%2Fid%2Ftoken&grant_type=authorization_code"));
    struct fake_answer *a = get(token_url(state));
    ck_assert_int_eq(a->status, 400);
    ck_assert_str_is(at(a, "/details/0"),
                     "{\"location\":\"body\",\"name\":\"state\",\"description\":"
                     "\"Invalid state\",\"errno\":105}");
    ck_assert_uint_eq(asked(TOKEN), 1);
}
END_TEST

START_TEST(the_provider_refuses_to)
{
    run("");
    const char *state = login();
    const char *url = arena_printf(&keep,
                                   "/v1/openid/id/token?error=access_denied&state=%s&"
                                   "error_description=no%%0d%%0aX:+y%%26z",
                                   state)
                          .p;
    ck_assert_str_eq(location(url), "http://localhost:3000/#tokens=error=access_denied&"
                                    "error_description=no%0D%0AX%3A+y%26z");
    ck_assert_int_eq(get(url)->status, 400);
    ck_assert_uint_eq(asked(TOKEN), 0);
}
END_TEST

START_TEST(codes_that_are_not_exchanged)
{
    run("");
    world.answer[TOKEN] = http(400, "{\"error\":\"invalid_grant\"}");
    ck_assert_str_eq(location(token_url(login())),
                     "http://localhost:3000/#tokens=eyJlcnJvciI6ImludmFsaWRfZ3JhbnQifQ%3D%3D");
    const char *const unusable[] = {http(500, "{}"), "", http(200, repeated('x', 20000)),
                                    "nonsense"};
    for (size_t i = 0; i < ARRAY_LEN(unusable); i++) {
        world.answer[TOKEN] = unusable[i];
        ck_assert_int_eq(get(token_url(login()))->status, 503);
        grow_old(10000);
    }
    /* What would not fit into a header. */
    world.answer[TOKEN] = http(200, repeated('\xfb', 15000));
    ck_assert_int_eq(get(token_url(login()))->status, 503);
}
END_TEST

START_TEST(a_state_is_of_one_provider)
{
    server_start(arena_printf(&keep,
                              "[app:main]\nkinto.includes = kinto.plugins.openid\n"
                              "kinto.userid_hmac_secret = secret\n"
                              "multiauth.policies = id other\n" POLICY_OF("id")
                                  POLICY_OF("other") "multiauth.policy.id.issuer = %s\n"
                                                     "multiauth.policy.other.issuer = %s\n",
                              issuer.p, issuer.p)
                     .p);
    const char *state = login();
    ck_assert_int_eq(
        get(arena_printf(&keep, "/v1/openid/other/token?code=1&state=%s", state).p)->status, 400);
    location(token_url(state));
}
END_TEST

START_TEST(settings_of_the_login)
{
    run("multiauth.policy.id.state_length = 16\nmultiauth.policy.id.allowed_scopes = a b\n"
        "multiauth.policy.id.trusted_callback_urls = https://*.example/*\n"
        "multiauth.policy.id.audience = the audience\n");
    const char *to =
        location("/v1/openid/id/login?scope=b++a&callback=https://x.example&prompt=none");
    const char *end = strstr(to, "&prompt=none&audience=the+audience");
    ck_assert_msg(end && end[34] == '\0', "%s", to);
    ck_assert_ptr_eq(strstr(to, "&state=") + 7 + 32, end);
    ck_assert_ptr_nonnull(strstr(to,
                                 "/auth?client_id=kinto&response_type=code&scope=b++a&redirect_uri="
                                 "http%3A%2F%2Fexample.org%2Fv1%2Fopenid%2Fid%2Ftoken&state="));
    struct fake_answer *a =
        get("/v1/openid/id/login?scope=c+a+%C3%A9+c&callback=https://x.example/");
    ck_assert_str_is(at(a, "/details/0/description"), "\"Scopes not allowed: c, \u00e9\"");
    a = get("/v1/openid/id/login?scope=a&callback=http://localhost/");
    ck_assert_str_is(at(a, "/details/0/description"), "\"Untrusted callback URL\"");
}
END_TEST

START_TEST(callbacks_are_local_unless_set)
{
    static const char *const local[] = {"http://localhost:3000/%23t=", "http://127.0.0.1/"};
    static const char *const others[] = {"http://example.org/v1/admin/", "https://localhost/",
                                         "http://127.0.0.2/"};
    const char *url = "/v1/openid/id/login?scope=email&callback=%s";

    run("");
    for (size_t i = 0; i < ARRAY_LEN(local); i++)
        location(arena_printf(&keep, url, local[i]).p);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_int_eq(get(arena_printf(&keep, url, others[i]).p)->status, 400);
}
END_TEST

/* Memory fails at the n-th chunk: an answer all the same. */
START_TEST(out_of_memory)
{
    run("");
    fake_memory.first_bytes = 4096;
    for (int k = 0; k < 3; k++)
        for (unsigned n = 1; n < 12; n++) {
            const char *state = NULL, *fresh = arena_printf(&keep, "secret-%d-%u", k, n).p;
            if (k == 2)
                state = login();
            fake_memory.fail_chunk = n;
            struct fake_answer *a = k == 0 ? bearer(fresh) : get(k == 1 ? LOGIN : token_url(state));
            fake_memory.fail_chunk = 0;
            ck_assert_msg(a->status == 503 || a->status == (k == 0 ? 200 : 307), "%d", a->status);
        }
    fake_memory.first_bytes = 0;
    must_be("secret-1", "u1");
}
END_TEST

/* ---- suite ----------------------------------------------------------------------------------- */

static Suite *openid_suite(void)
{
    Suite *s = suite_create("openid");
    TCase *t = tcase_create("provider");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, settings_are_checked);
    tcase_add_test(t, no_file_descriptor);
    tcase_add_test(t, the_start_does_not_wait);
    tcase_add_test(t, loading_asks_nobody);
    tcase_add_test(t, a_policy_without_the_plugin);
    tcase_add_test(t, the_provider_is_asked_once);
    tcase_add_test(t, a_refusal_is_remembered_for_a_while);
    tcase_add_test(t, a_time_to_live_of_nothing);
    tcase_add_test(t, other_headers_are_for_others);
    tcase_add_loop_test(t, profiles_good_and_bad, 0, (int)ARRAY_LEN(profiles));
    tcase_add_test(t, profiles_too_large);
    tcase_add_test(t, no_answer_is_no_refusal);
    tcase_add_test(t, another_field_is_the_user);
    tcase_add_test(t, one_token_is_one_question);
    tcase_add_test(t, one_configuration_for_all);
    tcase_add_test(t, a_stop_ends_what_waits);
    tcase_add_test(t, nobody_there);
    tcase_add_test(t, away_for_a_while);
    tcase_add_loop_test(t, bad_documents_are_refused, 0, (int)ARRAY_LEN(bad_documents));
    tcase_add_test(t, documents_too_large);
    tcase_add_test(t, once_https_always_https);
    tcase_add_test(t, no_userinfo_endpoint);
    tcase_add_test(t, bound_to_an_audience);
    tcase_add_test(t, not_bound_to_one);
    tcase_add_test(t, claims_without_the_field);
    tcase_add_test(t, new_keys);
    tcase_add_test(t, bad_key_sets);
    tcase_add_test(t, an_end_is_an_end);
    tcase_add_test(t, a_beginning_is_a_beginning);
    tcase_add_test(t, a_token_of_the_other_one);
    tcase_add_test(t, there_and_back);
    tcase_add_test(t, the_provider_refuses_to);
    tcase_add_test(t, codes_that_are_not_exchanged);
    tcase_add_test(t, a_state_is_of_one_provider);
    tcase_add_test(t, settings_of_the_login);
    tcase_add_test(t, callbacks_are_local_unless_set);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(s, t);

    t = tcase_create("callbacks");
    tcase_add_checked_fixture(t, setup_bare, teardown_bare);
    tcase_add_loop_test(t, where_tokens_may_go, 0, (int)ARRAY_LEN(callbacks));
    tcase_add_test(t, what_a_url_is);
    tcase_add_test(t, a_pattern_costs_little);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(openid_suite)
