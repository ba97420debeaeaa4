/*
 * What the tests of api/, auth/ and plugins/ share: the API on a store in memory, with the settings
 * of an INI text, and short ways to ask it. One server at a time; answers lie in `keep`.
 */
#ifndef API_TEST_H
#define API_TEST_H

#include "test/support/fake_http.h"

#include "api/private.h"
#include "plugins/plugins.h"
#include "store/private.h"

struct server {
    struct ini ini;
    struct settings *settings;
    struct store *store;
    struct api *api;
    struct http_app app;
    struct api_loop *loop;
};

static struct server server;
static struct arena keep;                  /* everything that a test makes */
static const char *user;                   /* "name:password" of the requests; NULL: anonymous */
static struct setting_table more_settings; /* of a plugin that a test brings */

#define PLAIN_INI                                                                                  \
    "[app:main]\n"                                                                                 \
    "multiauth.policies = basicauth\n"                                                             \
    "kinto.userid_hmac_secret = secret\n"                                                          \
    "kinto.default_bucket_hmac_secret = other\n"                                                   \
    "kinto.includes = kinto.plugins.default_bucket kinto.plugins.flush\n"

#define ck_assert_ok(e)                                                                            \
    do {                                                                                           \
        enum err e_ = (e);                                                                         \
        ck_assert_msg(e_ == OK, "%s", err_text(e_));                                               \
    } while (0)
#define ck_assert_err(e, want)                                                                     \
    do {                                                                                           \
        enum err e_ = (e);                                                                         \
        ck_assert_msg(e_ == (want), "%s, want %s", err_text(e_), err_text(want));                  \
    } while (0)

/* ---- the wall clock of the tests: stands still ---- */

static inline int64_t wall_still(void)
{
    return INT64_C(1700000000000);
}

/* ---- the server ---- */

static inline enum err server_load(struct server *s, const char *ini, struct err_detail *d)
{
    const struct setting_table tables[] = {api_settings,     auth_settings,  http_settings,
                                           plugins_settings, store_settings, more_settings};

    *s = (struct server){0};
    ck_assert_ok(ini_parse(&s->ini, str_from(ini), "test.ini", NULL, 0, d));
    return settings_load(&s->settings, tables, ARRAY_LEN(tables), &s->ini, NULL, 0, d);
}

static inline void server_stop(struct server *s)
{
    if (s->loop)
        s->app.loop_stop(s->loop);
    api_free(s->api);
    if (s->store)
        store_close(s->store);
    settings_free(s->settings);
    ini_free(&s->ini);
    *s = (struct server){0};
}

/* As kinto.c does it. On an error nothing is left. */
static inline enum err server_try(struct server *s, const char *ini, struct err_detail *d)
{
    const struct store_options memory = {.dir = NULL};
    enum err e = server_load(s, ini, d);

    if (e == OK)
        e = plugins_settings_check(s->settings, d);
    if (e == OK)
        e = store_open(&s->store, &memory, NULL, d);
    struct api_options o = {.store = s->store, .settings = s->settings, .version = STR("1.2.3")};
    o.policies = plugins_policies(&o.npolicies);
    if (e == OK)
        e = api_new(&s->api, &o, d);
    if (e == OK)
        e = plugins_load(s->api, s->settings, d);
    if (e != OK) {
        server_stop(s);
        return e;
    }
    s->app = api_http_app(s->api);
    s->loop = s->app.loop_start(s->app.ctx, 0);
    ck_assert_ptr_nonnull(s->loop);
    return OK;
}

static inline void server_start(const char *ini)
{
    struct err_detail d = {.text = ""};
    enum err e = server_try(&server, ini, &d);

    ck_assert_msg(e == OK, "%s: %s", err_text(e), d.text);
}

/* The start is refused: with that error, and a message that holds each of the (up to three) texts.
 */
static inline void server_refuses(const char *ini, enum err want, const char *const texts[3])
{
    struct err_detail d = {.text = ""};
    struct server s;
    enum err e = server_try(&s, ini, &d);

    ck_assert_msg(e == want, "%s: %s, want %s", ini, err_text(e), err_text(want));
    for (unsigned i = 0; i < 3 && texts[i] != NULL; i++)
        ck_assert_msg(strstr(d.text, texts[i]) != NULL, "\"%s\" lacks \"%s\"", d.text, texts[i]);
}

static inline void setup_bare(void)
{
    log_set_level(LOG_NONE);
    arena_init(&keep, NULL, 0, NULL, 1024 * MIB);
    clock_test_wall(wall_still);
    user = NULL;
}

static inline void setup(void)
{
    setup_bare();
    server_start(PLAIN_INI);
}

static inline void teardown_bare(void)
{
    arena_fini(&keep);
    clock_test_wall(NULL);
}

static inline void teardown(void)
{
    server_stop(&server);
    teardown_bare();
}

/* ---- asking ---- */

static inline str basic_of(const char *credentials)
{
    str encoded = hash_base64_encode(&keep, str_from(credentials));

    return arena_printf(&keep, "Authorization: Basic " STR_FMT "\n", STR_ARG(encoded));
}

static inline struct fake_answer *ask_raw(const char *method, str target, const char *headers,
                                          str body)
{
    str mine = user != NULL ? basic_of(user) : STR("");
    str all = ARENA_JOIN(&keep, STR("Host: example.org\n"), mine, str_from(headers ? headers : ""));

    return fake_ask(&server.app, server.loop, &keep, method, target, all, body);
}

static inline struct fake_answer *ask(const char *method, const char *target, const char *headers,
                                      const char *body)
{
    return ask_raw(method, str_from(target), headers, str_from(body ? body : ""));
}

/* The same, with the status that is wanted. */
static inline struct fake_answer *want(int status, const char *method, const char *target,
                                       const char *body)
{
    struct fake_answer *a = ask(method, target, NULL, body);

    ck_assert_msg(a->status == status, "%s %s: %d, want %d: " STR_FMT, method, target, a->status,
                  status, STR_ARG(a->body));
    return a;
}

/* The text of a value in the answer: JSON pointer -> text; "" when it is not there. */
static inline str at(const struct fake_answer *a, const char *pointer)
{
    struct json *v;

    return json_pointer_get(&keep, a->json, str_from(pointer), &v) == OK ? json_text(&keep, v)
                                                                         : STR("");
}

static inline struct json *parse(const char *text)
{
    struct json *v = NULL;
    enum err e = json_parse(&keep, str_from(text), &v, NULL);

    ck_assert_msg(e == OK, "%s", text);
    return v;
}

/* A request as the handlers see it, for functions that take one: not routed, nothing read yet. */
static inline struct api_req *request(const char *method, const char *target)
{
    struct http_req *http = ARENA_NEW(&keep, struct http_req);

    ck_assert_ptr_nonnull(http);
    http->arena = &keep;
    http->method = str_from(method);
    http->target = http->query = str_from(target);
    http->path = str_cut(&http->query, '?');
    http->body = STR("");
    struct api_req *r = api_req_new(server.loop, http);
    ck_assert_ptr_nonnull(r);
    return r;
}

/* ---- what the store holds: every key and value ---- */

static inline str dump(void)
{
    struct store_session *session;
    struct engine_cursor c;
    struct buf b;

    buf_init_arena(&b, &keep, SIZE_MAX / 2);
    ck_assert_ok(store_read_begin(server.loop->thread, &keep, &session));
    engine_cursor_init(&c, session->view, STR(""));
    for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c)) {
        str value;
        ck_assert_ok(engine_cursor_value(&c, &value));
        buf_add_str(&b, engine_cursor_key(&c));
        buf_add_char(&b, '=');
        buf_add_str(&b, value);
        buf_add_char(&b, '\n');
    }
    store_read_end(session);
    ck_assert(!buf_failed(&b));
    return buf_str(&b);
}

/* ---- suites ---- */

static inline TCase *tests_of(Suite *s, const char *name, void (*before)(void), void (*after)(void),
                              const TTest *const *tests, size_t n)
{
    TCase *c = tcase_create(name);

    tcase_add_checked_fixture(c, before, after);
    tcase_set_timeout(c, 120);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(c, tests[i]);
    suite_add_tcase(s, c);
    return c;
}

static inline Suite *suite_of(const char *name, const TTest *const *tests, size_t n)
{
    Suite *s = suite_create(name);

    tests_of(s, name, setup, teardown, tests, n);
    return s;
}

#endif
