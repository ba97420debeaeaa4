/*
 * test/http/test_settings.c - settings as a client sees them, and the INI files that people have.
 * The command line and what stops a start are in test_cli.c.
 */
#include "base/hash.h"
#include "test/support/api.h"
#include "test/support/unit.h"

static struct server server;

static void start(const char *settings)
{
    server_start(&server, &(struct server_options){.settings = settings});
    api_use(server.url);
}

static void stop(void)
{
    server_stop(&server);
}

START_TEST(host_and_scheme_in_urls)
{
    start("kinto.http_host = api.example.org\nkinto.http_scheme = https");
    call("GET", "/", NULL);
    want_at("/url", "'https://api.example.org/v1/'");
    make_collection();
    put(R "/a", "{}");
    put(R "/b", "{}");
    call("GET", R "?_limit=1", NULL);
    want_header_has("Next-Page", "https://api.example.org/v1" R "?");
    stop();
}
END_TEST

START_TEST(redirects_switched_off)
{
    start("kinto.trailing_slash_redirect_enabled = false\n"
          "kinto.version_prefix_redirect_enabled = false");
    call_raw("GET", "/v1/buckets/", NULL, 0);
    want_error(404, 111, NULL);
    call_raw("GET", "/buckets", NULL, 0);
    want(404);
    call_raw("GET", "/", NULL, 0);
    ck_assert(re.status == 404 || re.status == 307);
    stop();
}
END_TEST

START_TEST(redirects_cached)
{
    start("kinto.trailing_slash_redirect_ttl_seconds = -1\n"
          "kinto.version_prefix_redirect_ttl_seconds = 30");
    call_raw("GET", "/v1/buckets/", NULL, 0);
    want(307);
    want_no_header("Cache-Control");
    call_raw("GET", "/buckets", NULL, 0);
    want(307);
    want_header("Cache-Control", "max-age=30");
    stop();
}
END_TEST

START_TEST(names_of_the_project)
{
    start("kinto.project_name = Archive\nkinto.project_version = 7.1\n"
          "kinto.project_docs = https://docs.example.org/");
    call("GET", "/", NULL);
    want_at("/project_name", "'Archive'");
    want_at("/project_version", "'7.1'");
    want_at("/project_docs", "'https://docs.example.org/'");
    stop();
}
END_TEST

START_TEST(without_basic_auth)
{
    start("multiauth.policies =\nkinto.bucket_create_principals = system.Everyone");
    call("GET", "/", NULL);
    want_missing("/user");
    want_missing("/capabilities/basicauth");
    call("PUT", "/buckets/b", "{}");
    want(201);
    want_at("/permissions/write", "['system.Everyone']");
    stop();
}
END_TEST

START_TEST(without_plugins)
{
    start("kinto.includes =");
    call("GET", "/", NULL);
    want_at("/capabilities/basicauth/url", f("'%s'", at("/capabilities/basicauth/url")));
    want_missing("/capabilities/default_bucket");
    want_missing("/capabilities/flush_endpoint");
    want_missing("/user/bucket");
    call("POST", "/__flush__", NULL);
    want_error(404, 111, NULL);
    call("GET", "/buckets/default", NULL);
    want(403);
    stop();
}
END_TEST

/* The name of a policy is the prefix of its users' ids. */
START_TEST(policy_of_another_name)
{
    start("multiauth.policies = family\n"
          "multiauth.policy.family.use = "
          "kinto.core.authentication.BasicAuthAuthenticationPolicy");
    call("GET", "/", NULL);
    ck_assert_int_eq(strncmp(at("/user/id"), "family:", 7), 0);
    stop();
}
END_TEST

START_TEST(secret_of_the_default_bucket)
{
    start("kinto.default_bucket_hmac_secret = other");
    call("GET", "/", NULL);
    want_at("/user/bucket", "'0e54ac57-c990-aca3-28c6-597d161ad2f8'");
    stop();
}
END_TEST

START_TEST(caching_by_setting)
{
    start("kinto.record_cache_expires_seconds = 60\n"
          "kinto.b.c2.record_cache_expires_seconds = 5\n"
          "kinto.record_read_principals = system.Everyone\n"
          "kinto.group_cache_expires_seconds = 0");
    make_collection();
    put(R "/r", "{}");
    make("/buckets/b/collections/c2");
    put("/buckets/b/collections/c2/records/r", "{}");
    as(NULL);
    call("GET", R "/r", NULL);
    want(200);
    want_header("Cache-Control", "max-age=60");
    call("GET", "/buckets/b/collections/c2/records/r", NULL);
    want_header("Cache-Control", "max-age=5");
    as("alice");
    call("GET", R "/r", NULL);
    want_header("Cache-Control", "no-cache, no-store");
    stop();
}
END_TEST

START_TEST(backoff_on_everything)
{
    start("kinto.backoff = 10");
    static const char *const paths[] = {"/", "/buckets", "/nope", "/buckets/zz", "/buckets/"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        call("GET", paths[i], NULL);
        want_header("Backoff", "10");
    }
    stop();
}
END_TEST

START_TEST(fetch_size_bounds_lists)
{
    start("kinto.storage_max_fetch_size = 3");
    make_collection();
    for (int i = 0; i < 5; i++)
        put(f(R "/r%d", i), "{}");
    call("GET", R "?_sort=id&_limit=5", NULL);
    want(200);
    want_count("/data", 3);
    stop();
}
END_TEST

/* ---- INI files that people have -------------------------------------------------------------- */

static const char WHOLE_INI[] =
    "# made by kinto init\n"
    "[server:main]\n"
    "use = egg:waitress#main\n"
    "host = 127.0.0.1\n"
    "port = %(http_port)s\n"
    "threads = 4\n"
    "\n"
    "[app:main]\n"
    "use = egg:kinto\n"
    "\n"
    "# Feature settings\n"
    "# https://kinto.readthedocs.io/en/latest/configuration/settings.html#features\n"
    "kinto.readonly = false\n"
    "kinto.batch_max_requests = 25\n"
    "kinto.paginate_by =\n"
    "\n"
    "kinto.includes = kinto.plugins.default_bucket\n"
    "                 # a comment between\n"
    "                 kinto.plugins.flush\n"
    "kinto.storage_backend = kinto.core.storage.memory\n"
    "kinto.storage_url =\n"
    "kinto.cache_backend = kinto.core.cache.memory\n"
    "kinto.cache_url =\n"
    "kinto.permission_backend = kinto.core.permission.memory\n"
    "kinto.permission_url =\n"
    "multiauth.policies = basicauth\n"
    "multiauth.policy.basicauth.use = "
    "kinto.core.authentication.BasicAuthAuthenticationPolicy\n"
    "kinto.userid_hmac_secret = 0123456789abcdef\n"
    "kinto.bucket_create_principals = system.Authenticated\n"
    "kinto.project_docs = file://%(here)s/docs\n"
    "pyramid.debug_notfound = false\n"
    "\n"
    "[loggers]\n"
    "keys = root, kinto\n"
    "[handlers]\n"
    "keys = console\n"
    "[formatters]\n"
    "keys = color\n"
    "[logger_root]\n"
    "level = INFO\n"
    "handlers = console\n"
    "[logger_kinto]\n"
    "level = DEBUG\n"
    "handlers = console\n"
    "qualname = kinto\n"
    "[handler_console]\n"
    "class = StreamHandler\n"
    "args = (sys.stderr,)\n"
    "level = NOTSET\n"
    "formatter = color\n"
    "[formatter_color]\n"
    "class = logging_color_formatter.ColorFormatter\n"
    "format = %(asctime)s %(levelname)-5.5s %(message)s\n"
    "[uwsgi]\n"
    "wsgi-file = app.wsgi\n";

START_TEST(an_ini_made_for_the_reference)
{
    server_start(&server, &(struct server_options){.ini = WHOLE_INI});
    api_use(server.url);
    call("GET", "/", NULL);
    want(200);
    want_at("/project_docs", f("'file://%s/docs'", server.dir));
    want_count("/capabilities", 3);
    make_collection();
    call("POST", "/__flush__", NULL);
    want(202);
    stop();
}
END_TEST

/* The page tells which INI it is when the environment names it: path, hash, time. */
START_TEST(config_says_which_ini)
{
    start("");
    ck_assert(server_end(&server));
    const char *path = f("%s/kinto.ini", server.dir);
    const char *env[] = {f("KINTO_INI=%s", path), NULL};
    server_restart(&server, &(struct server_options){.env = env});
    api_use(server.url);
    call("GET", "/", NULL);
    want_at("/config/path", f("'%s'", path));
    char text[4096], hex[2 * HASH_SHA256_LEN + 1];
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(text, 1, sizeof text, file);
    fclose(file);
    uint8_t sum[HASH_SHA256_LEN];
    hash_sha256((str){text, n}, sum);
    hash_hex(sum, sizeof sum, hex);
    want_at("/config/hash", f("'%s'", hex));
    ck_assert_uint_ge(strlen(at("/config/modified")), strlen("2026-01-01T00:00:00"));
    stop();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/settings");
    TCase *t = api_case_own(s, "settings");
    tcase_add_test(t, host_and_scheme_in_urls);
    tcase_add_test(t, redirects_switched_off);
    tcase_add_test(t, redirects_cached);
    tcase_add_test(t, names_of_the_project);
    tcase_add_test(t, without_basic_auth);
    tcase_add_test(t, without_plugins);
    tcase_add_test(t, policy_of_another_name);
    tcase_add_test(t, secret_of_the_default_bucket);
    tcase_add_test(t, caching_by_setting);
    tcase_add_test(t, backoff_on_everything);
    tcase_add_test(t, fetch_size_bounds_lists);
    tcase_add_test(t, an_ini_made_for_the_reference);
    tcase_add_test(t, config_says_which_ini);
    return s;
}

API_MAIN(suite, NULL)
