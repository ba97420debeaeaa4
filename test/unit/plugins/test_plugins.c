/*
 * What kinto.includes switches on: the names, the default bucket's id and its URLs, and the flush.
 * Ids were computed with Python: the first 16 bytes of HMAC-SHA256(secret, user id) as a UUID.
 */
#include "test/unit/api/api_test.h"

#define ID       "c9c97fc5-931a-ae1c-a3d1-f366a56ea625" /* of alice:secret, with PLAIN_INI's secrets */
#define ID_EMPTY "9478a89b-ec73-e0fc-3564-0230e6aba1dd" /* with no secret for it */

#define NO_INCLUDES                                                                                \
    "[app:main]\nmultiauth.policies = basicauth\nkinto.userid_hmac_secret = secret\n"

/* ---- loading --------------------------------------------------------------------------------- */

START_TEST(unknown_names_are_refused)
{
    server_refuses(NO_INCLUDES "kinto.includes = kinto.plugins.flush\n  kinto.plugins.hystory\n",
                   ERR_UNSUPPORTED,
                   (const char *const[3]){"test.ini:4: kinto.includes", "\"kinto.plugins.hystory\"",
                                          "kinto.plugins.default_bucket, kinto.plugins.flush"});
    server_refuses(NO_INCLUDES "kinto.includes = flush\n", ERR_UNSUPPORTED,
                   (const char *const[3]){"\"flush\""});
}
END_TEST

START_TEST(a_long_name_is_refused)
{
    static char name[3000];

    memset(name, 'x', sizeof name - 1);
    server_refuses(arena_printf(&keep, NO_INCLUDES "kinto.includes = %s\n", name).p,
                   ERR_UNSUPPORTED, (const char *const[3]){"kinto.includes"});
}
END_TEST

START_TEST(nothing_is_on_by_itself)
{
    server_start(NO_INCLUDES);
    user = "alice:secret";
    struct fake_answer *a = want(200, "GET", "/v1/", NULL);
    ck_assert_str_is(at(a, "/capabilities/default_bucket"), "");
    ck_assert_str_is(at(a, "/capabilities/flush_endpoint"), "");
    ck_assert_str_is(at(a, "/user/bucket"), "");
    want(404, "POST", "/v1/__flush__", NULL);
    want(403, "GET", "/v1/buckets/default", NULL); /* a bucket like any other */
    want(201, "PUT", "/v1/buckets/default", NULL);
    server_stop(&server);
}
END_TEST

START_TEST(named_twice_is_loaded_once)
{
    server_start(NO_INCLUDES "kinto.includes = kinto.plugins.flush kinto.plugins.default_bucket\n"
                             "  kinto.plugins.flush, kinto.plugins.default_bucket\n");
    ck_assert_uint_eq(server.api->naliases, 1);
    size_t flushes = 0;
    for (size_t i = 0; i < server.api->nroutes; i++)
        flushes += strcmp(server.api->routes[i].path, "/__flush__") == 0;
    ck_assert_uint_eq(flushes, 1);
    user = "alice:secret";
    struct fake_answer *a = want(200, "GET", "/v1/", NULL);
    ck_assert_uint_gt(at(a, "/capabilities/default_bucket/url").n, 10);
    ck_assert_uint_gt(at(a, "/capabilities/flush_endpoint/description").n, 10);
    ck_assert_str_is(at(a, "/user/bucket"), "\"" ID_EMPTY "\"");
    server_stop(&server);
}
END_TEST

/* Everything that a plugin may look at is switched on. */
#define ALL_ON                                                                                     \
    "multiauth.policies = basicauth provider\n"                                                    \
    "multiauth.policy.provider.use = kinto.plugins.openid.OpenIDConnectPolicy\n"                   \
    "multiauth.policy.provider.issuer = https://id.example.org\n"                                  \
    "multiauth.policy.provider.client_id = kinto\n"                                                \
    "multiauth.policy.provider.client_secret = s3cret\n"                                           \
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"                       \
    "kinto.userid_hmac_secret = secret\n"                                                          \
    "kinto.account_validation = true\n"                                                            \
    "kinto.history.auto_trim_max_count = 5\n"                                                      \
    "kinto.history.auto_trim_user_ids = a:b c:d\n"                                                 \
    "kinto.quotas.bucket_max_bytes = 5\n"                                                          \
    "kinto.quotas.collection_b_c_max_items = 5\n"                                                  \
    "kinto.metrics_matchdict_fields = bucket_id\n"                                                 \
    "kinto.statsd_url = udp://127.0.0.1:9\n"

static size_t arena_left(const struct arena *a)
{
    return (size_t)(a->end - a->at);
}

/* As long as no chunk is added: down to `left` bytes, or as near as its step allows. */
static void fill(struct arena *a, size_t left)
{
    if (arena_left(a) < left + 64)
        ck_assert_ptr_nonnull(arena_alloc(a, arena_left(a) + left + 1)); /* a new chunk */
    size_t before = arena_left(a);
    ck_assert_ptr_nonnull(arena_alloc(a, 1));
    size_t step = before - arena_left(a);
    while (arena_left(a) >= left + step)
        ck_assert_ptr_nonnull(arena_alloc(a, 1));
}

/* Loads the plugin where `left` bytes are left, and the n-th chunk behind them fails; n 0: none does. The
 * bytes that it took may be told. */
static enum err load_with(const char *plugin, size_t left, unsigned n, size_t *took)
{
    struct err_detail d = {.text = ""};
    struct server s;
    const struct store_options memory = {.dir = NULL};
    str ini = arena_printf(&keep, "[app:main]\n" ALL_ON "kinto.includes = %s\n", plugin);
    ck_assert_ok(server_load(&s, ini.p, &d));
    ck_assert_ok(store_open(&s.store, &memory, NULL, &d));
    struct api_options o = {.store = s.store, .settings = s.settings, .version = STR("1")};
    o.policies = plugins_policies(&o.npolicies);
    ck_assert_ok(api_new(&s.api, &o, &d));
    struct arena *a = &s.api->arena;
    fill(a, left);
    size_t before = a->used - arena_left(a);
    arena_test_fail_chunk(n);
    enum err e = plugins_load(s.api, s.settings, &d);
    arena_test_fail_chunk(0);
    ck_assert_msg(e == OK || e == ERR_NOMEM, "%s, %zu bytes, chunk %u: %s: %s", plugin, left, n,
                  err_text(e), d.text);
    if (took)
        *took = a->used - arena_left(a) - before;
    server_stop(&s);
    return e;
}

#define MOST_LEFT 8192 /* as much as a new chunk has for sure */

/* At each place of the load of each plugin there is no memory: the start says so, and nothing is left,
 * nor released twice (a leak checker looks). */
static const char *const all_plugins[] = {
#define X(name, load) name,
#include "plugins/plugins.def"
};

START_TEST(no_memory_to_load_with)
{
    const char *plugin = all_plugins[_i];
    size_t took = 0;
    unsigned failed = 0;
    ck_assert_ok(load_with(plugin, MOST_LEFT, 0, &took));
    ck_assert_uint_gt(took, 0);
    for (size_t left = 0; left <= MIN_OF(took, (size_t)MOST_LEFT); left += 16)
        failed += load_with(plugin, left, 1, NULL) == ERR_NOMEM;
    for (unsigned n = 2; load_with(plugin, 0, n, NULL) == ERR_NOMEM; n++)
        failed++;
    ck_assert_msg(failed > 1, "%s: nothing failed", plugin);
}
END_TEST

/* ---- the default bucket ---------------------------------------------------------------------- */

START_TEST(the_id_of_a_user)
{
    user = "alice:secret";
    ck_assert_str_is(at(want(200, "GET", "/v1/", NULL), "/user/bucket"), "\"" ID "\"");
    ck_assert_str_is(at(want(200, "GET", "/v1/buckets/default", NULL), "/data/id"), "\"" ID "\"");
    want(200, "GET", "/v1/buckets/" ID, NULL);
    user = "bob:secret";
    want(403, "GET", "/v1/buckets/" ID, NULL);
    ck_assert(
        !str_eq(at(want(200, "GET", "/v1/buckets/default", NULL), "/data/id"), STR("\"" ID "\"")));
    user = NULL;
    ck_assert_str_is(at(want(200, "GET", "/v1/", NULL), "/user"), "");
}
END_TEST

static const struct {
    const char *path;
    bool claimed;
} claims[] = {
    {"/buckets/default", true},
    {"/buckets/default/", true},
    {"/buckets/default/collections/c", true},
    {"/buckets/default/nothing/at/all", true},
    {"/buckets/default//", true},
    {"/buckets/default-not", false},
    {"/buckets/defaults", false},
    {"/buckets/Default", false},
    {"/buckets/defaul", false},
    {"/buckets", false},
    {"/buckets/b/default", false},
    {"//buckets/default", false},
    {"/v1/buckets/default", false},
    {"", false},
};

START_TEST(what_the_alias_claims)
{
    ck_assert_uint_eq(server.api->naliases, 1);
    const struct api_alias *alias = &server.api->aliases[0];

    ck_assert_msg(alias->claims(alias->ctx, str_from(claims[_i].path)) == claims[_i].claimed, "%s",
                  claims[_i].path);
}
END_TEST

static const struct {
    const char *method, *path, *body;
    int status;
    const char *made; /* the URIs that are there afterwards, of those that one can make */
} accesses[] = {
    {"GET", "/v1/buckets/default", NULL, 200, "b"},
    {"HEAD", "/v1/buckets/default", NULL, 200, "b"},
    {"PUT", "/v1/buckets/default", "{\"data\":{\"x\":1}}", 201, "b"},
    {"GET", "/v1/buckets/default/collections", NULL, 200, "b"},
    {"GET", "/v1/buckets/default/collections/c", NULL, 200, "bc"},
    {"GET", "/v1/buckets/default%2Fcollections/c", NULL, 200, "bc"},
    {"GET", "/v1/buckets/default/collections/c/records", NULL, 200, "bc"},
    {"PUT", "/v1/buckets/default/collections/c", NULL, 201, "bc"},
    {"PUT", "/v1/buckets/default/collections/c/records/r", NULL, 201, "bcr"},
    {"POST", "/v1/buckets/default/collections/c/records", "{\"data\":{\"id\":\"r\"}}", 201, "bcr"},
    {"GET", "/v1/buckets/default/collections/c/records/r", NULL, 404, "bc"},
    {"GET", "/v1/buckets/default/groups", NULL, 200, "b"},
    {"GET", "/v1/buckets/default/collections/-/records", NULL, 400, "b"},
    {"PUT", "/v1/buckets/default/collections/c", "{", 400, "b"},
    {"PUT", "/v1/buckets/default", "{\"data\":{\"id\":\"default\"}}", 201, "b"},
    {"PUT", "/v1/buckets/default", "{\"data\":{\"id\":\"" ID "\"}}", 201, "b"},
    {"PUT", "/v1/buckets/default", "{\"data\":{\"id\":\"other\"}}", 400, ""},
    {"PUT", "/v1/buckets/default", "{\"data\":{\"id\":\"default-x\"}}", 400, ""},
    {"DELETE", "/v1/buckets/default", NULL, 200, ""},
};

START_TEST(what_an_access_makes)
{
    static const char *const uris[] = {"/v1/buckets/" ID, "/v1/buckets/" ID "/collections/c",
                                       "/v1/buckets/" ID "/collections/c/records/r"};
    static const char names[] = "bcr";
    char made[4] = "";

    user = "alice:secret";
    struct fake_answer *a = ask(accesses[_i].method, accesses[_i].path, NULL, accesses[_i].body);
    ck_assert_msg(a->status == accesses[_i].status, "%s %s: %d " STR_FMT, accesses[_i].method,
                  accesses[_i].path, a->status, STR_ARG(a->body));
    for (size_t i = 0, n = 0; i < ARRAY_LEN(uris); i++)
        if (ask("GET", uris[i], NULL, NULL)->status == 200)
            made[n++] = names[i];
    ck_assert_str_eq(made, accesses[_i].made);
}
END_TEST

START_TEST(nobody_has_no_default_bucket)
{
    str before = dump();

    want(401, "GET", "/v1/buckets/default", NULL);
    want(401, "PUT", "/v1/buckets/default/collections/c", NULL);
    want(401, "GET", "/v1/buckets/default/nothing", NULL);
    ck_assert(str_eq(dump(), before));
}
END_TEST

/* A stranger's id that is long, or blows up when "default" is replaced in it, is no id. */
START_TEST(long_ids_in_a_body)
{
    struct buf b;

    user = "alice:secret";
    buf_init_arena(&b, &keep, MIB);
    buf_add_lit(&b, "{\"data\":{\"id\":\"");
    for (int i = 0; i < 20000; i++)
        buf_add_lit(&b, "default");
    buf_add_lit(&b, "\"}}");
    struct fake_answer *a =
        ask_raw("POST", STR("/v1/buckets/default/collections/c/records"), NULL, buf_str(&b));
    ck_assert_int_eq(a->status, 400);
    ck_assert_str_is(at(a, "/details/0/description"), "\"Invalid object id\"");
}
END_TEST

/* ---- the flush ------------------------------------------------------------------------------- */

START_TEST(a_flush_leaves_nothing)
{
    str value;

    user = "alice:secret";
    want(200, "GET", "/v1/buckets/default/collections/c", NULL);
    want(201, "PUT", "/v1/buckets/b", "{\"permissions\":{\"read\":[\"system.Everyone\"]}}");
    want(200, "DELETE", "/v1/buckets/b", NULL);
    ck_assert(str_find_str(dump(), STR("basicauth")) != STR_NPOS);
    ck_assert_ok(store_cache_set(server.store, STR("key"), STR("value"), 1000000));
    user = NULL;
    ck_assert_str_is(want(202, "POST", "/v1/__flush__", NULL)->body, "{}");
    ck_assert(str_find_str(dump(), STR("basicauth")) == STR_NPOS);
    ck_assert(!store_cache_get(server.store, &keep, STR("key"), &value));
    want(405, "GET", "/v1/__flush__", NULL);
    want(405, "PUT", "/v1/__flush__", NULL);
    user = "alice:secret";
    ck_assert_str_is(want(200, "GET", "/v1/buckets?_since=0", NULL)->body, "{\"data\":[]}");
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const bare[] = {unknown_names_are_refused, a_long_name_is_refused,
                                 nothing_is_on_by_itself, named_twice_is_loaded_once};
    const TTest *const tests[] = {the_id_of_a_user, nobody_has_no_default_bucket,
                                  long_ids_in_a_body, a_flush_leaves_nothing};
    Suite *s = suite_create("plugins/plugins");

    TCase *c = tests_of(s, "loading", setup_bare, teardown_bare, bare, ARRAY_LEN(bare));
    tcase_add_loop_test(c, no_memory_to_load_with, 0, ARRAY_LEN(all_plugins));
    c = tests_of(s, "plugins", setup, teardown, tests, ARRAY_LEN(tests));
    tcase_add_loop_test(c, what_the_alias_claims, 0, ARRAY_LEN(claims));
    tcase_add_loop_test(c, what_an_access_makes, 0, ARRAY_LEN(accesses));
    return s;
}

UNIT_MAIN(make_suite)
