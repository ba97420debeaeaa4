/*
 * test/http/test_root.c - the URLs that are no resources: hello, heartbeats, version, redirects,
 * unknown URLs.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "test/support/api.h"
#include "test/support/unit.h"

START_TEST(hello_names_the_project)
{
    as(NULL);
    call("GET", "/", NULL);
    want(200);
    want_at("/project_name", "'kinto'");
    want_at("/http_api_version", "'1.23'");
    want_at("/url", f("'%s/v1/'", api_url));
    want_at("/settings/batch_max_requests", "25");
    want_at("/settings/readonly", "false");
    want_at("/settings/explicit_permissions", "true");
    ck_assert(has("/project_version") && has("/project_docs") && has("/config"));
    want_missing("/user");
    want_missing("/eos");
    want_no_header("ETag");
    want_no_header("Cache-Control");
}
END_TEST

START_TEST(hello_names_the_capabilities)
{
    call("GET", "/", NULL);
    static const char *const names[] = {"basicauth", "default_bucket", "flush_endpoint"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert(has(f("/capabilities/%s/description", names[i])));
        ck_assert(has(f("/capabilities/%s/url", names[i])));
    }
    want_missing("/capabilities/accounts");
    want_missing("/capabilities/history");
}
END_TEST

START_TEST(hello_names_the_user)
{
    call("GET", "/", NULL);
    const char *id = f("%s", at("/user/id"));
    ck_assert_uint_eq(strlen(id), strlen("basicauth:") + 64);
    ck_assert_int_eq(strncmp(id, "basicauth:", 10), 0);
    want_set("/user/principals", f("['%s','system.Everyone','system.Authenticated']", id));
    ck_assert_uint_eq(strlen(at("/user/bucket")), 36);
    as("bob");
    call("GET", "/", NULL);
    ck_assert_str_ne(at("/user/id"), id);
}
END_TEST

START_TEST(hello_lists_the_groups_of_the_user)
{
    const char *bob = principal("bob");
    make("/buckets/b");
    put("/buckets/b/groups/g", f("{'members':['%s']}", bob));
    as("bob");
    call("GET", "/", NULL);
    want_set("/user/principals",
             f("['%s','system.Everyone','system.Authenticated','/buckets/b/groups/g']", bob));
}
END_TEST

START_TEST(head_of_hello_has_no_body)
{
    call("HEAD", "/", NULL);
    want(200);
    want_empty_body();
    ck_assert(atof(header("Content-Length")) > 300);
}
END_TEST

START_TEST(heartbeats)
{
    as(NULL);
    call("GET", "/__heartbeat__", NULL);
    want(200);
    want_at("/storage", "true");
    want_at("/permission", "true");
    want_at("/cache", "true");
    call("GET", "/__lbheartbeat__", NULL);
    want(200);
    want_body("{}");
    call("HEAD", "/__lbheartbeat__", NULL);
    want(200);
}
END_TEST

START_TEST(contribute_names_the_project)
{
    as(NULL);
    call("GET", "/contribute.json", NULL);
    want(200);
    want_at("/keywords/0", "'JSON'");
    ck_assert(has("/name") && has("/description") && has("/participate/docs"));
}
END_TEST

START_TEST(version_without_a_file_is_a_clear_answer)
{
    call("GET", "/__version__", NULL);
    if (re.status != 200)
        want_error(404, 111, NULL);
}
END_TEST

/* The loop that answers waits for nobody to write into a pipe. */
START_TEST(version_of_a_pipe_is_our_own)
{
    struct server s = {.out = -1};
    char pipe[200], folder[160];
    new_dir(folder, sizeof folder);
    snprintf(pipe, sizeof pipe, "%s/version.json", folder);
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    server_start(&s, &(struct server_options){.settings = f("kinto.version_json_path = %s", pipe)});
    api_use(s.url);
    call("GET", "/__version__", NULL);
    want(200);
    want_at("/name", "'kinto'");
    api_use(NULL);
    server_stop(&s);
    ck_assert(unlink(pipe) == 0 && rmdir(folder) == 0);
}
END_TEST

static const struct {
    const char *method, *target, *location;
} REDIRECTS[] = {
    {"GET", "/", "/v1/"},
    {"GET", "/buckets?_a=1", "/v1/buckets?_a=1"},
    {"POST", "/buckets", "/v1/buckets"},
    {"DELETE", "/buckets/x/collections", "/v1/buckets/x/collections"},
    {"GET", "/favicon.ico", "/v1/favicon.ico"},
    {"GET", "/v1", "/v1/"},
    {"GET", "/v1/buckets/", "/v1/buckets"},
    {"POST", "/v1/buckets/", "/v1/buckets"},
    {"GET", "/v1/nope/", "/v1/nope"},
    {"GET", "/v1//", "/v1"},
    {"GET", "/v1/buckets/?_limit=2&a=%22b%22", "/v1/buckets?_limit=2&a=%22b%22"},
    {"OPTIONS", "/v1/buckets/", "/v1/buckets"},
    {"HEAD", "/v1/buckets/", "/v1/buckets"},
    /* The path is looked at, and written, as it is when decoded. */
    {"GET", "/v1/buckets/a%2F", "/v1/buckets/a"},
    {"GET", "/v1%2F%2F", "/v1"},
    {"GET", "/%76%31", "/v1/"},
    {"GET", "/%76%31/nope/?a=%62", "/v1/nope?a=%62"},
    {"GET", "/a%2Bb%3Fc%25%C3%A9%0A", "/v1/a+b%3Fc%25%C3%A9%0A"},
    {"GET", "/v1/%40%24%21%2a%2C%28%29%27%3B%3A%3D%26~/", "/v1/@$!*,()';:=&~"},
    {"GET", "/v1/a'b\"c<d>|\\/", "/v1/a'b%22c%3Cd%3E%7C%5C"},
    /* No question mark without a question. */
    {"GET", "/v1?", "/v1/"},
    {"GET", "/buckets?", "/v1/buckets"},
    {"GET", "/v1/buckets/?", "/v1/buckets"},
    {"GET", "//evil.example/", "/v1/evil.example/"},
    /* Only slashes that are written as such are too many: "/v1" has to begin behind one. */
    {"GET", "/%2Fv1/", "/v1//v1/"},
    {"GET", "/%2fv1/buckets", "/v1//v1/buckets"},
    {"GET", "/%2F/v1/buckets", "/v1///v1/buckets"},
    {"GET", "/%2Fv2/", "/v1//v2/"},
};

START_TEST(redirects_to_the_place)
{
    as(NULL);
    call_raw(REDIRECTS[_i].method, REDIRECTS[_i].target, NULL, 0);
    want(307);
    want_header("Location", f("%s%s", api_url, REDIRECTS[_i].location));
}
END_TEST

/* As clients ask whose server is http://host/ and whose path is /v1. */
START_TEST(slashes_before_the_version)
{
    call_raw("GET", "//v1/buckets", NULL, 0);
    want(200);
    call_raw("GET", "///v1/", NULL, 0);
    want(200);
}
END_TEST

START_TEST(redirect_of_a_slash_may_be_cached)
{
    call_raw("GET", "/v1/buckets/", NULL, 0);
    want_header("Cache-Control", "max-age=3600");
    ck_assert_ptr_nonnull(header("Expires"));
    call_raw("GET", "/buckets", NULL, 0);
    want_no_header("Cache-Control");
    want_no_header("Expires");
}
END_TEST

START_TEST(options_outside_the_version_is_empty)
{
    call_raw("OPTIONS", "/buckets", NULL, 0);
    want(200);
    want_empty_body();
}
END_TEST

static const struct {
    const char *method, *target;
    int status, no;
} UNKNOWN[] = {
    {"GET", "/v1/nope", 404, 111},
    {"POST", "/v1/nope", 404, 111},
    {"DELETE", "/v1/nope", 404, 111},
    {"OPTIONS", "/v1/nope", 404, 111},
    {"GET", "/v1/buckets//b", 404, 111},
    {"GET", "/v1/buckets/b/c", 404, 111},
    {"GET", "/v1/buckets/b/collections/c/nope", 404, 111},
    {"GET", "/v1/buckets/b/collections/c/records/r/nope", 404, 111},
    {"GET", "/v2/", 404, 116},
    {"GET", "/v2/buckets", 404, 116},
    {"GET", "/v0/buckets", 404, 116},
    {"POST", "/v1/", 405, 115},
    {"PUT", "/v1/__heartbeat__", 405, 115},
    {"GET", "/v1/__flush__", 405, 115},
    {"GET", "/v1/batch", 405, 115},
};

START_TEST(unknown_urls_and_methods)
{
    call_raw(UNKNOWN[_i].method, UNKNOWN[_i].target, NULL, 0);
    want_error(UNKNOWN[_i].status, UNKNOWN[_i].no, NULL);
    ck_assert_msg(has("/message") && !has("/details"), "a message and no details");
}
END_TEST

START_TEST(head_of_unknown_url_has_no_body)
{
    call("HEAD", "/nope", NULL);
    want(404);
    want_empty_body();
}
END_TEST

START_TEST(urls_are_utf8)
{
    call("GET", "/buckets/%ff", NULL);
    want_error(400, 107, NULL);
    want_at("/error", "'Bad Request'");
    const char *queries[] = {"/buckets?a=%ff", "/buckets?a=\xff"};
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) { /* the answer is JSON, whatever it tells of */
        call("GET", queries[i], NULL);
        want_error(400, 107, NULL);
        want_at("/error", "'Bad Request'");
        want_missing("/details");
    }
    make_collection();
    with("Response-Behavior", "light\xf8");
    call("PATCH", R "/r", "{'data':{}}");
    want_error(400, 107, NULL);
}
END_TEST

START_TEST(flush_forgets_all)
{
    make_collection();
    put(R "/r", "{'a':1}");
    as(NULL);
    call("POST", "/__flush__", NULL);
    want(202);
    want_body("{}");
    as("alice");
    call("GET", "/buckets", NULL);
    want_ids("");
    make_collection();
    call("GET", R "?_since=0", NULL);
    want_ids("");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/root");
    TCase *t = api_case(s, "hello", NULL);
    tcase_add_test(t, hello_names_the_project);
    tcase_add_test(t, hello_names_the_capabilities);
    tcase_add_test(t, hello_names_the_user);
    tcase_add_test(t, hello_lists_the_groups_of_the_user);
    tcase_add_test(t, head_of_hello_has_no_body);
    tcase_add_test(t, heartbeats);
    tcase_add_test(t, contribute_names_the_project);
    tcase_add_test(t, flush_forgets_all);
    t = api_case(s, "urls", NULL);
    tcase_add_loop_test(t, redirects_to_the_place, 0, ARRAY_LEN(REDIRECTS));
    tcase_add_loop_test(t, unknown_urls_and_methods, 0, ARRAY_LEN(UNKNOWN));
    tcase_add_test(t, slashes_before_the_version);
    tcase_add_test(t, redirect_of_a_slash_may_be_cached);
    tcase_add_test(t, options_outside_the_version_is_empty);
    tcase_add_test(t, head_of_unknown_url_has_no_body);
    tcase_add_test(t, urls_are_utf8);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, version_without_a_file_is_a_clear_answer);
    t = api_case_own(s, "pipe");
    tcase_add_test(t, version_of_a_pipe_is_our_own);
    return s;
}

API_MAIN(suite, NULL)
