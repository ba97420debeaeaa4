/*
 * test/http/test_prometheus.c - GET /__metrics__ (kinto.plugins.prometheus). That a Prometheus can read
 * it is tested in test/clients; here is what it says.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "test/support/api.h"
#include "test/support/unit.h"

static void scrape(void)
{
    call_raw("GET", "/v1/__metrics__", NULL, 0);
    want(200);
}

/* The value of a sample in the last answer; -1: it is not there. `quoted`: labels with ' for ". */
static double sample(const char *quoted)
{
    char name[512];
    size_t n = strlen(quoted);
    ck_assert_uint_lt(n, sizeof name);
    for (size_t i = 0; i <= n; i++)
        name[i] = (char)(quoted[i] == '\'' ? '"' : quoted[i]);
    for (const char *p = re.body; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, name, n) == 0 && p[n] == ' ')
            return strtod(p + n, NULL);
    return -1;
}

/* The same as a count that may not have begun. */
static double counted(const char *quoted)
{
    double v = sample(quoted);
    return v < 0 ? 0 : v;
}

/* What a request adds to a sample. */
#define want_added(quoted, n, ...)                                                                 \
    do {                                                                                           \
        scrape();                                                                                  \
        double before_ = counted(quoted);                                                          \
        __VA_ARGS__;                                                                               \
        scrape();                                                                                  \
        ck_assert_msg(counted(quoted) - before_ == (n), "%s: %g and then %g, want %d more",        \
                      quoted, before_, counted(quoted), (int)(n));                                 \
    } while (0)

#define SUMMARY(endpoint, method, bucket, status)                                                  \
    "kinto_request_summary_total{bucket_id='" bucket "',endpoint='" endpoint "',method='" method   \
    "',status='" status "'}"

/* ---- its form -------------------------------------------------------------------------------- */

START_TEST(form)
{
    make("/buckets/b");
    scrape();
    want_header("Content-Type", "text/plain; version=1.0.0; charset=utf-8");
    ck_assert_ptr_nonnull(strstr(re.body, "# HELP kinto_request_summary_total Counter of "
                                          "kinto_request_summary\n"
                                          "# TYPE kinto_request_summary_total counter\n"));
    ck_assert_ptr_nonnull(strstr(re.body, "# HELP kinto_request_summary_created Counter of "
                                          "kinto_request_summary\n"
                                          "# TYPE kinto_request_summary_created gauge\n"));
    ck_assert_ptr_nonnull(strstr(re.body, "# HELP kinto_request_duration_seconds Histogram of "
                                          "kinto_request_duration_seconds\n"
                                          "# TYPE kinto_request_duration_seconds histogram\n"));
    ck_assert_ptr_nonnull(strstr(re.body, "# HELP kinto_request_size Summary of "
                                          "kinto_request_size\n# TYPE kinto_request_size "
                                          "summary\n"));
    ck_assert_int_eq(re.body[re.body_n - 1], '\n');
    call("HEAD", "/__metrics__", NULL);
    want(200);
    want_empty_body();
    call("POST", "/__metrics__", NULL);
    want_error(405, 115, NULL);
    as(NULL);
    scrape();
    call("GET", "/", NULL);
    want_at("/capabilities/prometheus",
            "{'description':'Prometheus metrics.','url':'https://github.com/Kinto/kinto/',"
            "'prefix':'kinto_','disabled_metrics':[]}");
}
END_TEST

START_TEST(histograms_add_up)
{
    static const char *const bounds[] = {"0.01", "0.05", "0.1", "0.5", "1.0", "3.0", "6.0", "+Inf"};
    /* le is behind them */
    static const char *const labels = "bucket_id='',endpoint='lbheartbeat',method='get'";
    for (int i = 0; i < 5; i++)
        call("GET", "/__lbheartbeat__", NULL);
    scrape();
    double last = 0, count = sample(f("kinto_request_duration_seconds_count{%s}", labels));
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        double v =
            sample(f("kinto_request_duration_seconds_bucket{%s,le='%s'}", labels, bounds[i]));
        ck_assert(v >= last);
        last = v;
    }
    ck_assert(count >= 5);
    ck_assert(last == count);
    double sum = sample(f("kinto_request_duration_seconds_sum{%s}", labels));
    ck_assert(sum > 0 && sum < 6 * count);
    ck_assert(sample(f("kinto_request_size_count{%s}", labels)) == count);
    ck_assert(sample(f("kinto_request_size_sum{%s}", labels)) == 2 * count);
    double made = sample(f("kinto_request_size_created{%s}", labels));
    ck_assert(made > 1.6e9 && made <= (double)time(NULL) + 1);
}
END_TEST

START_TEST(the_process)
{
    scrape();
    ck_assert(sample("process_resident_memory_bytes") > 100000);
    ck_assert(sample("process_virtual_memory_bytes") > sample("process_resident_memory_bytes"));
    ck_assert(sample("process_open_fds") > 3);
    ck_assert(sample("process_open_fds") < sample("process_max_fds"));
    ck_assert(sample("process_cpu_seconds_total") > 0);
    double began = sample("process_start_time_seconds"), now = (double)time(NULL);
    ck_assert_msg(began > now - 600 && began < now + 2, "%f, now %f", began, now);
}
END_TEST

/* ---- requests -------------------------------------------------------------------------------- */

START_TEST(by_endpoint_and_status)
{
    want_added(SUMMARY("bucket-object", "put", "b", "201"), 1, make("/buckets/b"));
    want_added(SUMMARY("bucket-object", "get", "b", "200"), 1, call("GET", "/buckets/b", NULL));
    want_added(SUMMARY("bucket-object", "head", "b", "200"), 1, call("HEAD", "/buckets/b", NULL));
    want_added(SUMMARY("bucket-plural", "get", "", "200"), 1, call("GET", "/buckets", NULL));
    want_added(SUMMARY("collection-plural", "get", "b", "200"), 1,
               call("GET", "/buckets/b/collections", NULL));
    want_added(SUMMARY("collection-plural", "post", "b", "201"), 1,
               call("POST", "/buckets/b/collections", "{}"));
    want_added(SUMMARY("group-plural", "options", "b", "200"), 1, {
        with("Origin", "https://a.example");
        with("Access-Control-Request-Method", "GET");
        call("OPTIONS", "/buckets/b/groups", NULL);
    });
    want_added(SUMMARY("hello", "get", "", "200"), 1, call("GET", "/", NULL));
    want_added(SUMMARY("heartbeat", "get", "", "200"), 1, call("GET", "/__heartbeat__", NULL));
    want_added(SUMMARY("contribute.json", "get", "", "200"), 1,
               call("GET", "/contribute.json", NULL));
    want_added(SUMMARY("flush", "post", "", "202"), 1, call("POST", "/__flush__", NULL));
    want_added(SUMMARY("prometheus_metrics", "get", "", "200"), 1, (void)0); /* the first of two */
}
END_TEST

/* What is in the path of a request that failed was made up by who asked. */
START_TEST(errors_name_no_ids)
{
    make("/buckets/b");
    want_added(SUMMARY("bucket-object", "get", "", "403"), 1, call("GET", "/buckets/other", NULL));
    want_added(SUMMARY("record-object", "get", "", "404"), 1,
               call("GET", "/buckets/b/collections/c/records/r", NULL));
    want_added(SUMMARY("bucket-object", "put", "", "400"), 1, call("PUT", "/buckets/b", "{"));
    want_added(SUMMARY("unknown", "get", "", "404"), 1, call("GET", "/made/up", NULL));
    want_added(SUMMARY("unnamed", "get", "", "307"), 1, call("GET", "/buckets/", NULL));
    want_added(SUMMARY("redirect_to_version", "get", "", "307"), 1,
               call_raw("GET", "/made/up", NULL, 0));
    want_added(SUMMARY("bucket-object", "other", "", "405"), 1, call("MADEUP", "/buckets/b", NULL));
    ck_assert_ptr_null(strstr(re.body, "made"));
    ck_assert_ptr_null(strstr(re.body, "MADEUP"));
}
END_TEST

START_TEST(parts_of_a_batch)
{
    static const char *const batch =
        "{'requests':[{'method':'PUT','path':'/buckets/b'},{'path':'/buckets/b'},"
        "{'path':'/buckets/'},{'path':'/nope'},{'path':'/buckets/z'},{'path':'/"
        "buckets?_limit=x'}]}";
    want_added(SUMMARY("batch", "post", "", "200"), 1, call("POST", "/batch", batch));
    want_added(SUMMARY("bucket-object", "get", "b", "200"), 1, call("POST", "/batch", batch));
    want_added(SUMMARY("bucket-object", "put", "b", "200"), 1, call("POST", "/batch", batch));
    want_added(SUMMARY("bucket-plural", "get", "", "200"), 1, call("POST", "/batch", batch));
    want_added(SUMMARY("bucket-plural", "get", "", "400"), 1, call("POST", "/batch", batch));
    /* As in the reference, not those that an error stopped. */
    want_added(SUMMARY("bucket-object", "get", "", "403"), 0, call("POST", "/batch", batch));
    want_added(SUMMARY("unknown", "get", "", "404"), 0, call("POST", "/batch", batch));
    /* A batch is asked for once, whatever had to be run twice. */
    want_added(SUMMARY("collection-plural", "get", "b", "200"), 1, {
        call("POST", "/batch", "{'requests':[{'path':'/buckets/b/collections'}]}");
        want(200);
    });
    /* One that failed as a whole has no parts. */
    want_added(SUMMARY("bucket-object", "get", "b", "200"), 0, {
        call("POST", "/batch", "{'requests':[{'path':'/buckets/b'},{'path':'/batch'}]}");
        want(400);
    });
}
END_TEST

START_TEST(the_default_bucket)
{
    call("GET", "/", NULL);
    char real[256];
    snprintf(real, sizeof real,
             "kinto_request_summary_total{bucket_id='%s',endpoint='bucket-object',method='get',"
             "status='200'}",
             at("/user/bucket"));
    want_added(real, 1, call("GET", "/buckets/default", NULL));
    want_added(SUMMARY("default_bucket", "get", "", "200"), 1,
               call("GET", "/buckets/default", NULL));
    want_added(SUMMARY("default_bucket_collection", "put", "", "201"), 1,
               call("PUT", "/buckets/default/collections/c", NULL));
    want_added(SUMMARY("default_bucket_collection", "get", "", "404"), 1,
               call("GET", "/buckets/default/collections/c/records/r", NULL));
    want_added(SUMMARY("record-object", "get", "", "404"), 0,
               call("GET", "/buckets/default/collections/c/records/r", NULL));
    as(NULL);
    want_added(SUMMARY("default_bucket", "get", "", "401"), 1,
               call("GET", "/buckets/default", NULL));
}
END_TEST

/* ---- who, and how long ----------------------------------------------------------------------- */

START_TEST(users)
{
    char user[256];
    snprintf(user, sizeof user, "kinto_users_total{auth='basicauth',userid='%s'}",
             principal("alice") + strlen("basicauth:"));
    static const char *const policy = "kinto_authentication_total{type='basicauth'}";
    want_added(user, 1, call("GET", "/", NULL));
    want_added(policy, 1, call("GET", "/", NULL));
    want_added(user, 1, call("GET", "/buckets/nope", NULL));
    want_added(user, 0, call("GET", "/__heartbeat__", NULL)); /* does not ask who */
    want_added(user, 0, call("GET", "/nope", NULL));
    want_added(user, 2, call("POST", "/batch", "{'requests':[{'path':'/'},{'path':'/buckets'}]}"));
    as(NULL);
    want_added(policy, 0, call("GET", "/buckets/b", NULL));
}
END_TEST

#define TIMED(backend, operation) "kinto_backend_" backend "_seconds_count{method='" operation "'}"

START_TEST(operations_of_the_store)
{
    make_collection();
    want_added(TIMED("storage", "create"), 1, put(R "/r", "{}"));
    want_added(TIMED("storage", "update"), 1, put(R "/r", "{'a':1}"));
    want_added(TIMED("storage", "list_all"), 1, call("GET", R, NULL));
    want_added(TIMED("storage", "get"), 1, call("GET", "/buckets/b", NULL));
    /* Of the user, and of all that have authenticated; and as often for the second scrape. */
    want_added(TIMED("permission", "get_user_principals"), 4, call("GET", R "/r", NULL));
    want_added(TIMED("storage", "delete"), 1, call("DELETE", R "/r", NULL));
    want_added(TIMED("storage", "delete_all"), 1, call("DELETE", "/buckets/b", NULL));
    want_added(TIMED("storage", "flush"), 1, call("POST", "/__flush__", NULL));
    want_added(TIMED("cache", "flush"), 1, call("POST", "/__flush__", NULL));
    ck_assert(sample("kinto_backend_cache_seconds_count{method='get'}") == 0); /* there, at 0 */
}
END_TEST

/* ---- many at once ---------------------------------------------------------------------------- */

static struct server own;

enum { CLIENTS = 6, TURNS = 100 };

/* Returns its argument if all went well. */
static void *client(void *arg)
{
    static const char request[] = "GET /v1/__version__ HTTP/1.1\r\nHost: h\r\n\r\n";
    struct http_reply reply = {0};
    struct http_conn *c = http_open(api_url, NULL, 30000);
    size_t good = 0;
    for (int i = 0; c && i < TURNS; i++)
        good += http_send(c, request, sizeof request - 1) &&
                http_read(c, false, &reply) == HTTP_GOT && reply.status == 200;
    http_reply_fini(&reply);
    http_close(c);
    return good == TURNS ? arg : NULL;
}

static void run_clients(void)
{
    pthread_t threads[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, client, &own), 0);
    for (int i = 0; i < CLIENTS; i++) {
        void *result;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_nonnull(result);
    }
}

START_TEST(nothing_is_lost)
{
    want_added(SUMMARY("version", "get", "", "200"), CLIENTS * TURNS, run_clients());
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------------- */

static void start(const char *lines)
{
    server_start(&own, &(struct server_options){.settings = lines});
    api_use(own.url);
}

static void stop(void)
{
    server_stop(&own);
    api_use(NULL);
}

START_TEST(strangers_make_no_more_series)
{
    start("kinto.includes = kinto.plugins.prometheus\nkinto.prometheus_max_series = 3\n"
          "kinto.metrics_matchdict_fields = bucket_id\n");
    for (int i = 0; i < 10; i++) {
        as(f("user%d", i));
        make(f("/buckets/b%d", i));
    }
    scrape();
    ck_assert(sample("kinto_users_total{auth='basicauth',userid='_other'}") == 7);
    ck_assert(sample(SUMMARY("bucket-object", "put", "b1", "201")) == 1);
    ck_assert(sample(SUMMARY("bucket-object", "put", "b9", "201")) < 0);
    ck_assert(sample(SUMMARY("bucket-object", "put", "_other", "201")) == 7);
    size_t before = re.body_n;
    for (int i = 0; i < 50; i++) {
        as(f("more%d", i));
        make(f("/buckets/c%d", i));
    }
    as("alice");
    scrape();
    ck_assert(sample(SUMMARY("bucket-object", "put", "_other", "201")) == 57);
    ck_assert(sample("kinto_users_total{auth='basicauth',userid='_other'}") == 57);
    ck_assert_uint_lt(re.body_n, before + 3000); /* the first scrape became a series */
    stop();
}
END_TEST

START_TEST(long_labels_are_others)
{
    start("kinto.includes = kinto.plugins.prometheus\n"
          "kinto.metrics_matchdict_fields = record_id\n");
    make_collection();
    put(f(R "/%s", repeat('r', 2000)), "{}");
    put(f(R "/%s", repeat('s', 200)), "{}");
    scrape();
    static const char *const put_of = "kinto_request_summary_total{endpoint='record-object',"
                                      "method='put',record_id='%s',status='201'}";
    ck_assert(sample(f(put_of, "_other")) == 1);
    ck_assert(sample(f(put_of, repeat('s', 200))) == 1);
    stop();
}
END_TEST

/* ---- settings -------------------------------------------------------------------------------- */

START_TEST(names_and_bounds_by_settings)
{
    start("kinto.includes = kinto.plugins.prometheus\nkinto.project_name = A Project.1\n"
          "kinto.prometheus_disabled_metrics = aproject1_users request_size\n"
          "  backend_storage_seconds\n"
          "kinto.prometheus_histogram_buckets = 0.0001 2.5 1e3 2.5e6\n"
          "kinto.prometheus_created_metrics_enabled = false\n"
          "kinto.metrics_matchdict_fields = id, collection_id made_up\n");
    make_collection();
    call("GET", "/", NULL);
    want_at("/capabilities/prometheus/prefix", "'aproject1_'");
    want_at("/capabilities/prometheus/disabled_metrics",
            "['aproject1_users','request_size','backend_storage_seconds']");
    scrape();
    static const char *const labels =
        "collection_id='c',endpoint='collection-object',id='c',made_up='',method='put'";
    ck_assert(sample(f("aproject1_request_summary_total{%s,status='201'}", labels)) == 1);
    ck_assert(sample(f("aproject1_request_duration_seconds_bucket{%s,le='+Inf'}", labels)) == 1);
    ck_assert(sample(f("aproject1_request_duration_seconds_bucket{%s,le='2.5'}", labels)) == 1);
    ck_assert(sample(f("aproject1_request_duration_seconds_bucket{%s,le='0.0001'}", labels)) >= 0);
    ck_assert(sample(f("aproject1_request_duration_seconds_bucket{%s,le='1000.0'}", labels)) == 1);
    ck_assert(sample(f("aproject1_request_duration_seconds_bucket{%s,le='2.5e+06'}", labels)) == 1);
    ck_assert(sample("aproject1_authentication_total{type='basicauth'}") > 0);
    ck_assert_ptr_null(strstr(re.body, "_users"));
    ck_assert_ptr_null(strstr(re.body, "request_size"));
    ck_assert_ptr_null(strstr(re.body, "backend_storage"));
    ck_assert_ptr_nonnull(strstr(re.body, "backend_permission"));
    ck_assert_ptr_null(strstr(re.body, "_created"));
    stop();
    start("kinto.includes = kinto.plugins.prometheus\nkinto.prometheus_prefix = a_b\n");
    scrape();
    ck_assert_ptr_nonnull(strstr(re.body, "\nab_backend_storage_seconds_count"));
    stop();
    start("kinto.includes = kinto.plugins.prometheus\nkinto.project_name =\n");
    scrape();
    ck_assert_ptr_nonnull(strstr(re.body, "\nbackend_storage_seconds_count"));
    stop();
}
END_TEST

/* What a proxy calls a user may hold anything but line breaks. */
START_TEST(labels_are_escaped)
{
    start("kinto.includes = kinto.plugins.prometheus\nmultiauth.policies = sso\n"
          "multiauth.policy.sso.use = kinto.auth.ProxyPolicy\n"
          "multiauth.policy.sso.proxies = 127.0.0.1\n");
    as(NULL);
    with("X-Forwarded-User", "a\"b\\c:d");
    call("GET", "/", NULL);
    scrape();
    ck_assert_ptr_nonnull(
        strstr(re.body, "kinto_users_total{auth=\"sso\",userid=\"a\\\"b\\\\c.d\"} 1.0\n"));
    stop();
}
END_TEST

START_TEST(settings_that_cannot_be)
{
    static const struct {
        const char *lines, *word;
    } bad[] = {
        {"kinto.prometheus_histogram_buckets = 1 x", "\"x\""},
        {"kinto.prometheus_histogram_buckets = 1 1", "is not above"},
        {"kinto.prometheus_histogram_buckets = 2 1", "is not above"},
        {"kinto.prometheus_histogram_buckets = -1 1", "\"-1\""},
        {"kinto.prometheus_histogram_buckets = 1 inf 2", "\"inf\""},
        {"kinto.prometheus_histogram_buckets = Inf", "there has to be"},
        {"kinto.prometheus_histogram_buckets = nan", "\"nan\""},
        {"kinto.prometheus_max_series = 0", "kinto.prometheus_max_series"},
        {"kinto.prometheus_prefix = 1a", "\"1a\""},
        {"kinto.project_name = caf\xc3\xa9", "kinto.project_name"},
        {"kinto.metrics_matchdict_fields = a-b", "\"a-b\""},
        {"kinto.metrics_matchdict_fields = status", "is a label already"},
        {"kinto.metrics_matchdict_fields = id id", "is a label already"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *out;
        const char *lines = f("kinto.includes = kinto.plugins.prometheus\n%s\n", bad[i].lines);
        int status = server_refuse(&(struct server_options){.settings = lines}, &out);
        ck_assert_msg(status == 1 && strstr(out, bad[i].word), "%s: %d %s", bad[i].lines, status,
                      out);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/prometheus");
    TCase *t = api_case(s, "metrics", "ours");
    tcase_add_test(t, form);
    tcase_add_test(t, histograms_add_up);
    tcase_add_test(t, the_process);
    tcase_add_test(t, by_endpoint_and_status);
    tcase_add_test(t, errors_name_no_ids);
    tcase_add_test(t, parts_of_a_batch);
    tcase_add_test(t, the_default_bucket);
    tcase_add_test(t, users);
    tcase_add_test(t, operations_of_the_store);
    tcase_add_test(t, nothing_is_lost);
    t = api_case_own(s, "settings");
    tcase_add_test(t, strangers_make_no_more_series);
    tcase_add_test(t, long_labels_are_others);
    tcase_add_test(t, names_and_bounds_by_settings);
    tcase_add_test(t, labels_are_escaped);
    tcase_add_test(t, settings_that_cannot_be);
    return s;
}

API_MAIN(suite, "kinto.includes = kinto.plugins.prometheus kinto.plugins.default_bucket\n"
                "  kinto.plugins.flush\n"
                "kinto.metrics_matchdict_fields = bucket_id\n")
