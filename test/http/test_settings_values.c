/*
 * test/http/test_settings_values.c - settings one by one: values at the edge, other spellings,
 * endpoints that are switched off, and what is accepted without effect.
 */
#include "base/base.h"
#include "test/support/api.h"
#include "test/support/unit.h"

static struct server server;

static void start(const char *settings)
{
    server_start(&server, &(struct server_options){.settings = settings});
    api_use(server.url);
}

static void start_with(const char *settings, const char *const *env)
{
    server_start(&server, &(struct server_options){.settings = settings, .env = env});
    api_use(server.url);
}

static void stop(void)
{
    server_stop(&server);
}

/* ---- limits ---------------------------------------------------------------------------------- */

#define ONE "{'path':'/v1/'}"

START_TEST(batches_up_to_their_limit)
{
    start("kinto.batch_max_requests = 2");
    call("GET", "/", NULL);
    want_at("/settings/batch_max_requests", "2");
    call("POST", "/batch", "{'requests':[" ONE "," ONE "]}");
    want(200);
    call("POST", "/batch", "{'requests':[" ONE "," ONE "," ONE "]}");
    want_invalid("body", "requests", "Number of requests is limited to 2");
    stop();
}
END_TEST

START_TEST(batches_without_limit)
{
    start("kinto.batch_max_requests = 0");
    call("GET", "/", NULL);
    want_at("/settings/batch_max_requests", "0");
    char body[40 * sizeof ONE] = "{'requests':[" ONE;
    size_t n = strlen(body);
    for (int i = 1; i < 30; i++)
        n += (size_t)snprintf(body + n, sizeof body - n, "," ONE);
    snprintf(body + n, sizeof body - n, "]}");
    call("POST", "/batch", body);
    want(200);
    want_count("/responses", 30);
    stop();
}
END_TEST

static void make_records(int n)
{
    make_collection();
    for (int i = 0; i < n; i++)
        put(f(R "/r%d", i), "{}");
}

START_TEST(pages_of_the_setting_and_smaller)
{
    start("kinto.paginate_by = 2");
    make_records(3);
    call("GET", R, NULL);
    want_count("/data", 2);
    want_header_has("Next-Page", "_limit=2&_token=");
    call("GET", R "?_limit=1", NULL);
    want_count("/data", 1);
    call("GET", R "?_limit=3", NULL);
    want_count("/data", 2);
    stop();
}
END_TEST

START_TEST(no_pages_where_nobody_asks)
{
    start("kinto.paginate_by = 0");
    make_records(3);
    call("GET", R, NULL);
    want_count("/data", 3);
    want_no_header("Next-Page");
    stop();
}
END_TEST

START_TEST(the_fetch_size_bounds_deletes_too)
{
    start("kinto.storage_max_fetch_size = 2\nkinto.paginate_by = 9");
    make_records(3);
    call("GET", R, NULL);
    want_count("/data", 2);
    call("DELETE", R, NULL);
    want(200);
    want_count("/data", 2);
    stop();
}
END_TEST

/* ---- the time that clients may keep things --------------------------------------------------- */

#define OPEN  "{'permissions':{'read':['system.Everyone']}}"
#define NEVER "no-cache, no-store"

static void want_cached(const char *path, const char *value)
{
    as(NULL);
    call("GET", path, NULL);
    want(200);
    want_header("Cache-Control", value);
    as("alice");
    call("GET", path, NULL);
    want_header("Cache-Control", NEVER);
}

START_TEST(every_kind_has_its_own_time)
{
    start("kinto.bucket_cache_expires_seconds = 1\nkinto.collection_cache_expires_seconds = 2\n"
          "kinto.group_cache_expires_seconds = 3\nkinto.record_cache_expires_seconds = 4\n"
          "kinto.permissions_cache_expires_seconds = 5\n"
          "kinto.experimental_permissions_endpoint = true");
    call("PUT", "/buckets/b", OPEN);
    make("/buckets/b/collections/c");
    call("PUT", "/buckets/b/groups/g", "{'data':{'members':[]}}");
    put(R "/r", "{}");
    want_cached("/buckets/b", "max-age=1");
    want_cached("/buckets/b/collections", "max-age=2");
    want_cached("/buckets/b/collections/c", "max-age=2");
    want_cached("/buckets/b/groups/g", "max-age=3");
    want_cached(R, "max-age=4");
    want_cached(R "/r", "max-age=4");
    want_cached("/permissions", "max-age=5");
    stop();
}
END_TEST

START_TEST(the_nearest_time_counts)
{
    start("kinto.record_cache_expires_seconds = 1\nkinto.b.record_cache_expires_seconds = 2.9\n"
          "kinto.b.c.record_cache_expires_seconds = 3");
    call("PUT", "/buckets/b", OPEN);
    call("PUT", "/buckets/a", OPEN);
    make("/buckets/a/collections/c");
    make("/buckets/b/collections/c");
    make("/buckets/b/collections/d");
    call("PUT", "/buckets/b/collections/own", "{'data':{'cache_expires':9}}");
    want_cached("/buckets/a/collections/c/records", "max-age=1");
    want_cached("/buckets/b/collections/d/records", "max-age=2");
    want_cached(R, "max-age=3");
    want_cached("/buckets/b/collections/own/records", "max-age=9");
    stop();
}
END_TEST

START_TEST(the_root_is_cached_when_nothing_changes)
{
    start("kinto.root_cache_expires_seconds = 60");
    call("GET", "/", NULL);
    want_no_header("Cache-Control");
    stop();
    start("kinto.root_cache_expires_seconds = 60\nkinto.readonly = on");
    call("GET", "/", NULL);
    want_header("Cache-Control", "max-age=60");
    want_at("/settings/readonly", "true");
    call("PUT", "/buckets/b", "{}");
    want_error(405, 115, NULL);
    stop();
}
END_TEST

/* ---- CORS ------------------------------------------------------------------------------------ */

static void preflight(void)
{
    with("Origin", "https://a.example");
    with("Access-Control-Request-Method", "GET");
    call("OPTIONS", "/buckets", NULL);
}

START_TEST(preflights_without_max_age)
{
    start("kinto.cors_max_age_seconds = 0");
    preflight();
    want(200);
    want_no_header("Access-Control-Max-Age");
    stop();
}
END_TEST

START_TEST(no_origins_no_cors)
{
    start("kinto.cors_origins =");
    preflight();
    want_error(405, 115, NULL);
    want_header("Allow", "HEAD, GET, POST, DELETE");
    with("Origin", "https://a.example");
    call("GET", "/buckets", NULL);
    want(200);
    want_no_header("Access-Control-Allow-Origin");
    want_no_header("Access-Control-Expose-Headers");
    stop();
}
END_TEST

/* What preflights of an alias, and its 401, say of the headers depends on whether the service ends. */
START_TEST(preflights_of_the_default_bucket)
{
    static const char *const eos[] = {"", "kinto.eos = 2999-01-01"};
    for (size_t i = 0; i < ARRAY_LEN(eos); i++) {
        start(eos[i]);
        with("Origin", "https://a.example");
        with("Access-Control-Request-Method", "GET");
        call("OPTIONS", "/buckets/default", NULL);
        want(200);
        ck_assert_int_eq(header("Access-Control-Expose-Headers") != NULL, i);
        call("OPTIONS", "/buckets/default", NULL);
        want(400);
        ck_assert_int_eq(header("Access-Control-Expose-Headers") != NULL, i);
        as(NULL);
        call("GET", "/buckets/default", NULL);
        want(401);
        want_header("Access-Control-Expose-Headers",
                    i ? "Content-Length, Alert, Backoff, Retry-After, Content-Type" : NULL);
        stop();
    }
}
END_TEST

START_TEST(origins_as_a_list_of_json)
{
    start("kinto.cors_origins = [\"https://a.example\", \"https://*.b.example\"]");
    preflight();
    want(200);
    want_header("Access-Control-Allow-Origin", "https://a.example");
    with("Origin", "https://c.example");
    call("GET", "/buckets", NULL);
    want_invalid("header", "Origin", "https://c.example not allowed");
    stop();
}
END_TEST

/* ---- names and dates ------------------------------------------------------------------------- */

START_TEST(the_scheme_takes_its_port_away)
{
    start("kinto.http_host = here.example:443\nkinto.http_scheme = https");
    call("GET", "/", NULL);
    want_at("/url", "'https://here.example/v1/'");
    stop();
    start("kinto.http_host = here.example:443");
    call("GET", "/", NULL);
    want_at("/url", "'http://here.example:443/v1/'");
    stop();
}
END_TEST

START_TEST(emptied_names)
{
    start("kinto.project_name =\nkinto.project_docs =\nkinto.eos = 31 December 2999\n"
          "kinto.eos_message =\nkinto.http_api_version = 1.5");
    call("GET", "/", NULL);
    want_at("/project_name", "''");
    want_at("/project_docs", "''");
    want_at("/http_api_version", "'1.5'");
    want_at("/eos", "'31 December 2999'");
    want_header("Alert", "{\"code\":\"soft-eol\",\"message\":\"\",\"url\":\"\"}");
    stop();
}
END_TEST

START_TEST(the_end_of_service)
{
    start("kinto.eos = 2020-01-01\nkinto.eos_message = It is over\nkinto.eos_url = https://e");
    static const char *const paths[] = {"/", "/buckets", "/nothing", "/__heartbeat__"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        call("GET", paths[i], NULL);
        want_error(410, 202,
                   "The service you are trying to connect no longer exists at this location.");
        want_header("Alert",
                    "{\"code\":\"hard-eol\",\"message\":\"It is over\",\"url\":\"https://e\"}");
    }
    stop();
}
END_TEST

START_TEST(a_version_file_of_ones_own)
{
    new_dir(server.dir, sizeof server.dir);
    server_write_file(server.dir, "v.json", "{\"name\":\"mine\",\"version\":\"7\"}");
    char dir[sizeof server.dir];
    snprintf(dir, sizeof dir, "%s", server.dir);
    start(f("kinto.version_json_path = %s/v.json", dir));
    call("GET", "/__version__", NULL);
    want_body("{'name':'mine','version':'7'}");
    stop();
    struct server made = {0};
    snprintf(made.dir, sizeof made.dir, "%s", dir);
    server_remove(&made);
}
END_TEST

START_TEST(backoff_on_a_share_of_answers)
{
    start("kinto.backoff = 5\nkinto.backoff_percentage = 0");
    call("GET", "/", NULL);
    want_no_header("Backoff");
    stop();
    start("kinto.backoff = 5\nkinto.backoff_percentage = 100");
    call("GET", "/", NULL);
    want_header("Backoff", "5");
    stop();
}
END_TEST

/* ---- who, and what ids ----------------------------------------------------------------------- */

START_TEST(policies_in_capitals_have_small_prefixes)
{
    start("multiauth.policies = Family\nmultiauth.policy.Family.realm = Our house\n"
          "multiauth.policy.Family.use = kinto.core.authentication.BasicAuthAuthenticationPolicy");
    call("GET", "/", NULL);
    ck_assert_int_eq(strncmp(at("/user/id"), "family:", 7), 0);
    as(NULL);
    call("GET", "/buckets", NULL);
    want_error(401, 104, NULL);
    want_header("WWW-Authenticate", "Basic realm=\"Our house\"");
    stop();
}
END_TEST

START_TEST(each_policy_challenges)
{
    const char *use = "use = kinto.core.authentication.BasicAuthAuthenticationPolicy";
    start(f("multiauth.policies = one two\nmultiauth.policy.one.realm = A\n"
            "multiauth.policy.one.%s\nmultiauth.policy.two.%s",
            use, use));
    as(NULL);
    call("GET", "/buckets", NULL);
    want_error(401, 104, NULL);
    want_header("WWW-Authenticate", "Basic realm=\"A\", Basic realm=\"Realm\"");
    stop();
}
END_TEST

START_TEST(without_explicit_permissions)
{
    start("kinto.explicit_permissions = false\nkinto.bucket_write_principals = system.Everyone");
    call("PUT", "/buckets/b", "{}");
    want(201);
    want_at("/permissions", "{}");
    call("GET", "/", NULL);
    want_at("/settings/explicit_permissions", "false");
    stop();
}
END_TEST

START_TEST(buckets_named_by_uuids_and_the_default_one)
{
    start("kinto.bucket_id_generator = kinto.core.storage.generators.UUID4\n"
          "kinto.collection_id_generator = kinto.core.storage.generators.UUID4");
    call("PUT", "/buckets/name", "{}");
    want_error(400, 107, "path: Invalid object id");
    call("GET", "/buckets/default", NULL);
    want(200);
    call("POST", "/buckets/default/collections/name/records", "{}");
    want_error(400, 107, "path: Invalid collection id");
    stop();
}
END_TEST

/* ---- endpoints ------------------------------------------------------------------------------- */

START_TEST(permissions_without_get)
{
    start("kinto.experimental_permissions_endpoint = true\n"
          "kinto.plural_permissions_get_enabled = false");
    call("GET", "/permissions", NULL);
    want_error(405, 115, NULL);
    want_header("Allow", "HEAD, OPTIONS");
    call("HEAD", "/permissions", NULL);
    want(200);
    stop();
}
END_TEST

static const struct {
    const char *key, *method, *path;
} switches[] = {
    {"plural_bucket_get", "GET", "/buckets"},
    {"plural_bucket_head", "HEAD", "/buckets"},
    {"plural_bucket_post", "POST", "/buckets"},
    {"plural_bucket_delete", "DELETE", "/buckets"},
    {"object_bucket_get", "GET", "/buckets/b"},
    {"object_bucket_put", "PUT", "/buckets/b"},
    {"object_bucket_patch", "PATCH", "/buckets/b"},
    {"object_bucket_delete", "DELETE", "/buckets/b"},
    {"plural_collection_post", "POST", "/buckets/b/collections"},
    {"object_collection_delete", "DELETE", "/buckets/b/collections/c"},
    {"plural_group_get", "GET", "/buckets/b/groups"},
    {"object_group_put", "PUT", "/buckets/b/groups/g"},
    {"plural_record_post", "POST", R},
    {"object_record_patch", "PATCH", R "/r"},
};

START_TEST(endpoints_switched_off)
{
    static const char *const words[] = {"false", "no", "0", "off", "F", ""};
    char lines[2000];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(switches); i++)
        n += (size_t)snprintf(lines + n, sizeof lines - n, "kinto.%s_enabled = %s\n",
                              switches[i].key, words[i % ARRAY_LEN(words)]);
    start(lines);
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        call(switches[i].method, switches[i].path, NULL);
        want(405);
    }
    stop();
}
END_TEST

/* What a preflight allows is what the methods that are left expose. */
START_TEST(preflights_of_endpoints_without_get)
{
    start("kinto.object_bucket_get_enabled = false\nkinto.plural_bucket_head_enabled = false");
    with("Origin", "https://a.example");
    with("Access-Control-Request-Method", "PUT");
    call("OPTIONS", "/buckets/b", NULL);
    want(200);
    want_header("Access-Control-Allow-Headers",
                "Content-Length, Alert, Backoff, Retry-After, Content-Type");
    preflight();
    want_header_has("Access-Control-Allow-Headers", "Next-Page");
    ck_assert_ptr_null(strstr(header("Access-Control-Allow-Headers"), "Total-"));
    stop();
}
END_TEST

/* ---- without effect -------------------------------------------------------------------------- */

START_TEST(settings_of_what_is_not_there_yet)
{
    start(
        "kinto.account_create_principals = system.Everyone\nkinto.history.auto_trim_max_count = 5\n"
        "kinto.statsd_url = udp://localhost:8125\nkinto.quotas.bucket_max_bytes = 100\n"
        "kinto.profiler_enabled = false\nmultiauth.policy.google.issuer = https://g\n"
        "kinto.cache_backend = kinto.core.cache.memcached\nkinto.cache_hosts = 127.0.0.1:11211\n"
        "kinto.storage_url = postgresql://localhost/kinto\nkinto.anything.else = 1");
    call("GET", "/", NULL);
    want(200);
    stop();
}
END_TEST

/* ---- the environment ------------------------------------------------------------------------- */

START_TEST(the_environment_wins)
{
    static const char *const env[] = {"KINTO_PAGINATE_BY=1",
                                      "KINTO_EOS=\"2999-12-31\"",
                                      "KINTO_CORS_ORIGINS=[\"https://a.example\"]",
                                      "KINTO_PROJECT_NAME=\"quoted\"",
                                      "KINTO_BUCKET_CACHE_EXPIRES_SECONDS=7",
                                      "READONLY=true",
                                      NULL};
    start_with("kinto.paginate_by = 5\nproject_name = bare", env);
    call("GET", "/", NULL);
    want_at("/eos", "'2999-12-31'");
    want_at("/project_name", "'quoted'");
    want_at("/settings/readonly", "false");
    call("PUT", "/buckets/b", OPEN);
    want(201);
    want_cached("/buckets/b", "max-age=7");
    preflight();
    want_header("Access-Control-Allow-Origin", "https://a.example");
    stop();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/settings_values");
    TCase *t = api_case_own(s, "limits");
    tcase_add_test(t, batches_up_to_their_limit);
    tcase_add_test(t, batches_without_limit);
    tcase_add_test(t, pages_of_the_setting_and_smaller);
    tcase_add_test(t, no_pages_where_nobody_asks);
    tcase_add_test(t, the_fetch_size_bounds_deletes_too);
    t = api_case_own(s, "clients");
    tcase_add_test(t, every_kind_has_its_own_time);
    tcase_add_test(t, the_nearest_time_counts);
    tcase_add_test(t, the_root_is_cached_when_nothing_changes);
    tcase_add_test(t, preflights_without_max_age);
    tcase_add_test(t, no_origins_no_cors);
    tcase_add_test(t, preflights_of_the_default_bucket);
    tcase_add_test(t, origins_as_a_list_of_json);
    tcase_add_test(t, backoff_on_a_share_of_answers);
    t = api_case_own(s, "names");
    tcase_add_test(t, the_scheme_takes_its_port_away);
    tcase_add_test(t, emptied_names);
    tcase_add_test(t, the_end_of_service);
    tcase_add_test(t, a_version_file_of_ones_own);
    t = api_case_own(s, "rights");
    tcase_add_test(t, policies_in_capitals_have_small_prefixes);
    tcase_add_test(t, each_policy_challenges);
    tcase_add_test(t, without_explicit_permissions);
    tcase_add_test(t, buckets_named_by_uuids_and_the_default_one);
    t = api_case_own(s, "switches");
    tcase_add_test(t, permissions_without_get);
    tcase_add_test(t, endpoints_switched_off);
    tcase_add_test(t, preflights_of_endpoints_without_get);
    tcase_add_test(t, settings_of_what_is_not_there_yet);
    tcase_add_test(t, the_environment_wins);
    return s;
}

API_MAIN(suite, NULL)
