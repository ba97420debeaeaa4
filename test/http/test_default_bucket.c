/*
 * test/http/test_default_bucket.c - /buckets/default: a personal bucket made on the fly.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define D "/buckets/default"

/* The id is the beginning of an HMAC over the user id, written as a UUID: the same on each server
 * with the same secret. */
START_TEST(id_comes_from_the_user)
{
    call("GET", D, NULL);
    want(200);
    want_at("/data/id", "'d9342681-0fe1-f048-bff8-3c059d9b6692'");
    want_count("/permissions/write", 1);
    call("GET", "/", NULL);
    want_at("/user/bucket", "'d9342681-0fe1-f048-bff8-3c059d9b6692'");
    call("GET", "/buckets/d9342681-0fe1-f048-bff8-3c059d9b6692", NULL);
    want(200);
    as("bob");
    call("GET", "/buckets/d9342681-0fe1-f048-bff8-3c059d9b6692", NULL);
    want(403);
    call("GET", D, NULL);
    want(200);
    ck_assert_str_ne(at("/data/id"), "d9342681-0fe1-f048-bff8-3c059d9b6692");
}
END_TEST

START_TEST(anonymous_has_none)
{
    as(NULL);
    call("GET", D, NULL);
    want_error(401, 104, NULL);
    call("PUT", D "/collections/c/records/r", "{}");
    want_error(401, 104, NULL);
    call("GET", D "/collections/c/records", NULL);
    want_error(401, 104, NULL);
}
END_TEST

START_TEST(collections_are_made_on_the_fly)
{
    call("GET", D "/collections/t/records", NULL);
    want_ids("");
    call("POST", D "/collections/u/records", "{'data':{'a':1}}");
    want(201);
    call("PUT", D "/collections/v/records/r", "{'data':{'a':1}}");
    want(201);
    call("GET", D "/collections", NULL);
    want_ids_any_order("t,u,v");
    call("GET", D "/collections/v", NULL);
    want(200);
    call("GET", D "/collections/v/records", NULL);
    want_ids("r");
    call("GET", "/buckets/d9342681-0fe1-f048-bff8-3c059d9b6692/collections/v/records/r", NULL);
    want(200);
    want_at("/data/a", "1");
}
END_TEST

START_TEST(bucket_itself_can_be_changed)
{
    call("PUT", D, "{'data':{'id':'default','z':1}}");
    want(201);
    want_at("/data/z", "1");
    want_at("/data/id", "'d9342681-0fe1-f048-bff8-3c059d9b6692'");
    call("PATCH", D, "{'data':{'y':1}}");
    want(200);
    want_at("/data/z", "1");
    call("HEAD", D, NULL);
    want(200);
    call("PUT", D "/groups/g", "{'data':{'members':['a']}}");
    want(201);
    call("GET", D "/groups", NULL);
    want_ids("g");
    call("DELETE", D "/collections/nope", NULL);
    ck_assert(re.status == 200 || re.status == 404);
    call("DELETE", D, NULL);
    want(200);
    want_at("/data/deleted", "true");
    call("GET", D "/groups", NULL);
    want_ids("");
}
END_TEST

START_TEST(invalid_names)
{
    call("GET", D "/collections/a%20b/records", NULL);
    want_invalid("path", NULL, "Invalid collection id");
    call("GET", D "/nope", NULL);
    want_error(404, 111, NULL);
    call("POST", D, "{}");
    want_error(405, 115, NULL);
    call("GET", D "/", NULL);
    want(307);
}
END_TEST

START_TEST(sync_works_on_it)
{
    put(D "/collections/t/records/a", "{'n':1}");
    uint64_t first = stamp();
    put(D "/collections/t/records/b", "{'n':2}");
    call("DELETE", D "/collections/t/records/a", NULL);
    call("GET", f(D "/collections/t/records?_since=%llu", (unsigned long long)first), NULL);
    want_ids("-a,b");
    with("If-None-Match", etag());
    call("GET", D "/collections/t/records", NULL);
    want(304);
}
END_TEST

START_TEST(batches_use_it)
{
    call("POST", "/batch",
         "{'requests':[{'path':'" D "/collections/q/records'},"
         "{'method':'PUT','path':'" D "/collections/q/records/r'},"
         "{'method':'PUT','path':'/v1" D "/collections/q/records/s'},"
         "{'path':'" D "/collections/q/records'}]}");
    want(200);
    want_at("/responses/0/status", "200");
    want_at("/responses/0/path", "'/v1" D "/collections/q/records'");
    want_at("/responses/1/status", "201");
    want_at("/responses/2/status", "201");
    want_count("/responses/3/body/data", 2);
}
END_TEST

/* An error of the alias itself stops a part of a batch, and its answer is barer than others. */
START_TEST(errors_in_batches)
{
    static const struct {
        const char *method, *path;
        int status;
        bool stopped;
    } parts[] = {
        {"POST", D, 405, true},
        {"PUT", D "/collections", 405, true},
        {"GET", D "/nope", 404, true},
        {"GET", D "/collections/a!/records", 400, true},
        {"GET", D "/collections/c/records/nope", 404, false},
        {"PUT", D "/collections/c/records/a!", 400, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        call("POST", "/batch",
             f("{'requests':[{'method':'%s','path':'%s'}]}", parts[i].method, parts[i].path));
        want_at("/responses/0/status", f("%d", parts[i].status));
        ck_assert_msg(has("/responses/0/headers/X-Content-Type-Options") == !parts[i].stopped,
                      "%s %s", parts[i].method, parts[i].path);
    }
}
END_TEST

START_TEST(next_page_of_it)
{
    for (int i = 0; i < 3; i++)
        put(f(D "/collections/t/records/r%d", i), "{}");
    call("GET", D "/collections/t/records?_limit=2&_sort=id", NULL);
    want_ids("r0,r1");
    const char *next = header("Next-Page");
    ck_assert_ptr_nonnull(next);
    call_raw("GET", next + strlen(api_url), NULL, 0);
    want_ids("r2");
}
END_TEST

START_TEST(preflight_needs_no_user)
{
    as(NULL);
    with("Origin", "http://o.org");
    with("Access-Control-Request-Method", "PUT");
    call("OPTIONS", D "/collections/c/records/r", NULL);
    want(200);
    want_header("Access-Control-Allow-Origin", "*");
}
END_TEST

START_TEST(shared_by_its_id)
{
    const char *bob = principal("bob");
    call("PUT", D "/collections/t", f("{'permissions':{'read':['%s']}}", bob));
    ck_assert(re.status == 200 || re.status == 201);
    put(D "/collections/t/records/r", "{}");
    as("bob");
    call("GET", "/buckets/d9342681-0fe1-f048-bff8-3c059d9b6692/collections/t/records", NULL);
    want_ids("r");
    call("PUT", "/buckets/d9342681-0fe1-f048-bff8-3c059d9b6692/collections/t/records/x", "{}");
    want(403);
}
END_TEST

/* Where a part is sent is only known when the bucket is there: it is followed all the same. */
START_TEST(parts_follow_redirects)
{
    call("POST", "/batch",
         "{'requests':[{'path':'" D "/collections/'},"
         "{'path':'" D "/collections/c/','method':'PUT'},"
         "{'path':'" D
         "/collections/c/records/?_limit=1','method':'POST','body':{'data':{'id':'r'}}},"
         "{'path':'" D "/collections/c/records/r/','headers':{'If-None-Match':'x'}},"
         "{'path':'" D
         "/collections/c/records/r/','method':'PATCH','headers':{'If-Match':'\\'1\\''},"
         "'body':{'data':{}}},"
         "{'path':'" D "/nope/'}]}");
    want(200);
    want_at("/responses/0/status", "200");
    want_at("/responses/0/path", "'/v1" D "/collections'");
    want_at("/responses/0/body/data", "[]");
    want_at("/responses/1/status", "200"); /* made by the first look at it */
    want_at("/responses/2/status", "201");
    want_at("/responses/2/path", "'/v1" D "/collections/c/records'");
    want_at("/responses/3/status", "400");
    want_at("/responses/3/path", "'/v1" D "/collections/c/records/r'");
    want_at("/responses/4/status", "412");
    want_at("/responses/4/path", "'/v1" D "/collections/c/records/r'");
    want_at("/responses/5/status", "404");
    want_at("/responses/5/path", "'/v1" D "/nope/'");
}
END_TEST

/* Everything is there: a batch that only seems to read finds out late that it writes. */
START_TEST(redirected_parts_write)
{
    put(D "/collections/c/records/r", "{}");
    call("POST", "/batch",
         "{'requests':[{'path':'" D "/collections/c/records/r/','method':'DELETE'}]}");
    want_at("/responses/0/status", "200");
    want_at("/responses/0/body/data/deleted", "true");
    call("GET", D "/collections/c/records/r", NULL);
    want(404);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/default_bucket");
    TCase *t = api_case(s, "default", NULL);
    tcase_add_test(t, id_comes_from_the_user);
    tcase_add_test(t, anonymous_has_none);
    tcase_add_test(t, collections_are_made_on_the_fly);
    tcase_add_test(t, bucket_itself_can_be_changed);
    tcase_add_test(t, invalid_names);
    tcase_add_test(t, sync_works_on_it);
    tcase_add_test(t, batches_use_it);
    tcase_add_test(t, errors_in_batches);
    tcase_add_test(t, next_page_of_it);
    tcase_add_test(t, preflight_needs_no_user);
    tcase_add_test(t, shared_by_its_id);
    tcase_add_test(t, parts_follow_redirects);
    tcase_add_test(t, redirected_parts_write);
    return s;
}

API_MAIN(suite, NULL)
