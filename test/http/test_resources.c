/*
 * test/http/test_resources.c - buckets, collections, groups and records: the life of an object on
 * each of the four, generated ids, _fields, cache headers, HEAD.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

static const struct {
    const char *list, *name;
    size_t id_length; /* of a generated id */
} KINDS[] = {
    {"/buckets", "bucket", 8},
    {"/buckets/p/collections", "collection", 8},
    {"/buckets/p/groups", "group", 8},
    {"/buckets/p/collections/q/records", "record", 36},
};

static void parents(void)
{
    make("/buckets/p");
    make("/buckets/p/collections/q");
}

START_TEST(life_of_an_object)
{
    const char *list = KINDS[_i].list;
    parents();
    call("POST", list, "{'data':{'members':['m'],'a':1,'o':{'k':[1,2]}}}");
    want(201);
    ck_assert_uint_eq(strlen(at("/data/id")), KINDS[_i].id_length);
    ck_assert_uint_eq(strspn(at("/data/id"), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789-_"),
                      KINDS[_i].id_length);
    want_count("/permissions/write", 1);
    uint64_t created = stamp();
    want_header("ETag", f("\"%llu\"", (unsigned long long)created));
    ck_assert_ptr_nonnull(header("Last-Modified"));
    const char *path = f("%s/%s", list, at("/data/id"));
    char *own = strdup(path);

    call("GET", own, NULL);
    want(200);
    want_at("/data/a", "1");
    want_at("/data/o", "{'k':[1,2]}");
    want_header("ETag", f("\"%llu\"", (unsigned long long)created));
    want_header("Cache-Control", "no-cache, no-store");
    ck_assert_str_eq(header("Content-Type"), "application/json");
    const char *length = f("%s", header("Content-Length"));
    call("HEAD", own, NULL);
    want(200);
    want_empty_body();
    want_header("Content-Length", length);
    want_header("ETag", f("\"%llu\"", (unsigned long long)created));

    call("PUT", own, "{'data':{'members':['n'],'b':2}}");
    want(200);
    want_missing("/data/a");
    want_at("/data/b", "2");
    ck_assert_uint_gt(stamp(), created);
    call("PATCH", own, "{'data':{'c':3}}");
    want(200);
    want_at("/data/b", "2");
    want_at("/data/c", "3");
    call("GET", f("%s?c=3", list), NULL);
    want(200);
    want_count("/data", 1);
    want_at("/data/0/b", "2");
    want_missing("/data/0/permissions");

    call("DELETE", own, NULL);
    want(200);
    want_at("/data/deleted", "true");
    want_count("/data", 3);
    call("GET", own, NULL);
    ck_assert_int_eq(re.status, _i == 0 ? 403 : 404);
    call("GET", f("%s?c=3", list), NULL);
    want_ids("");
    free(own);
}
END_TEST

START_TEST(put_creates)
{
    const char *list = KINDS[_i].list;
    parents();
    call("PUT", f("%s/x1", list), "{'data':{'members':[],'a':1,'id':'x1'}}");
    want(201);
    want_at("/data/id", "'x1'");
    call("PUT", f("%s/x1", list), "{'data':{'members':[],'a':1}}");
    want(200);
    call("PUT", f("%s/x2", list), NULL);
    want(201);
    call("GET", f("%s?in_id=x1,x2&_sort=id", list), NULL);
    want_ids("x1,x2");
}
END_TEST

START_TEST(post_with_an_id)
{
    const char *list = KINDS[_i].list;
    parents();
    call("POST", list, "{'data':{'id':'own','members':['a'],'n':1}}");
    want(201);
    uint64_t when = stamp();
    call("POST", list, "{'data':{'id':'own','members':['b'],'n':2}}");
    want(200);
    want_at("/data/n", "1");
    ck_assert_uint_eq(stamp(), when);
    call("POST", list, NULL);
    want(201);
    call("POST", list, "{'permissions':{'read':['system.Everyone']}}");
    want(201);
    want_at("/permissions/read", "['system.Everyone']");
}
END_TEST

START_TEST(ids_that_are_names)
{
    static const char *const good[] = {
        "a",
        "A",
        "0",
        "a-b",
        "a_b",
        "Z9-_x",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const bad[] = {"-a", "_a", "a.b", "a%20b", "%C3%A9", "a+b", "a@b", "a~b"};
    const char *list = KINDS[_i].list;
    parents();
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        call("PUT", f("%s/%s", list, good[i]), NULL);
        want(201);
        want_at("/data/id", f("'%s'", good[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        call("PUT", f("%s/%s", list, bad[i]), NULL);
        want_invalid("path", NULL, "Invalid object id");
    }
    call("GET", f("%s/%%61", list), NULL);
    want(200);
    want_at("/data/id", "'a'");
}
END_TEST

START_TEST(generated_ids_differ)
{
    char seen[20][40];
    parents();
    for (int i = 0; i < 20; i++) {
        call("POST", KINDS[_i].list, "{}");
        want(201);
        snprintf(seen[i], sizeof seen[i], "%s", at("/data/id"));
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(seen[i], seen[k]);
    }
}
END_TEST

START_TEST(record_ids_are_uuid4)
{
    make_collection();
    call("POST", R, "{}");
    const char *id = at("/data/id");
    static const char shape[] = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";
    ck_assert_uint_eq(strlen(id), sizeof shape - 1);
    for (size_t i = 0; shape[i]; i++) {
        const char *set = shape[i] == 'x'   ? "0123456789abcdef"
                          : shape[i] == 'y' ? "89ab"
                          : shape[i] == '4' ? "4"
                                            : "-";
        ck_assert_msg(strchr(set, id[i]) != NULL, "%s", id);
    }
}
END_TEST

/* ---- collections and groups ------------------------------------------------------------------ */

START_TEST(collections_keep_what_they_are_given)
{
    make("/buckets/b");
    put("/buckets/b/collections/c",
        "{'schema':{'type':'object'},'uiSchema':{},'cache_expires':10,'any':[1]}");
    want_at("/data/schema", "{'type':'object'}");
    want_at("/data/cache_expires", "10");
    call("GET", "/buckets/b/collections/c", NULL);
    want_at("/data/any", "[1]");
}
END_TEST

/* ---- _fields --------------------------------------------------------------------------------- */

static const struct {
    const char *fields, *data; /* without last_modified */
} FIELDS[] = {
    {"a", "{'a':1,'id':'r'}"},
    {"a,s", "{'a':1,'s':'x','id':'r'}"},
    {"id", "{'id':'r'}"},
    {"zz", "{'id':'r'}"},
    {"o", "{'o':{'k':1,'l':{'m':2,'n':3}},'id':'r'}"},
    {"o.k", "{'o':{'k':1},'id':'r'}"},
    {"o.l.m", "{'o':{'l':{'m':2}},'id':'r'}"},
    {"o.k,o.l.n", "{'o':{'k':1,'l':{'n':3}},'id':'r'}"},
    {"o.zz", "{'o':{},'id':'r'}"},
    {"last_modified", "{'id':'r'}"},
    {"a,a", "{'a':1,'id':'r'}"},
};

START_TEST(fields)
{
    make_collection();
    put(R "/r", "{'a':1,'s':'x','o':{'k':1,'l':{'m':2,'n':3}},'z':null}");
    const char *when = f("%llu", (unsigned long long)stamp());
    const char *data = FIELDS[_i].data;
    const char *whole = f("%.*s,'last_modified':%s}", (int)strlen(data) - 1, data, when);
    call("GET", f(R "/r?_fields=%s", FIELDS[_i].fields), NULL);
    want(200);
    want_at("/data", whole);
    want_missing("/permissions");
    call("GET", f(R "?_fields=%s", FIELDS[_i].fields), NULL);
    want(200);
    want_at("/data/0", whole);
    want_header("ETag", f("\"%s\"", when));
}
END_TEST

START_TEST(no_fields_are_all_fields)
{
    make_collection();
    put(R "/r", "{'a':1,'s':'x'}");
    call("GET", R "?_fields=", NULL);
    want_at("/data/0/s", "'x'");
    call("GET", R "?_fields=a&_fields=s", NULL);
    want_at("/data/0/s", "'x'");
    want_at("/data/0/a", "1");
    call("GET", R "?_fields=a&_sort=-s&s=x", NULL);
    want_ids("r");
    want_missing("/data/0/s");
}
END_TEST

START_TEST(fields_of_tombstones)
{
    make_collection();
    put(R "/r", "{'a':1}");
    call("DELETE", R "/r", NULL);
    call("GET", R "?_since=0&_fields=a", NULL);
    want_count("/data", 1);
    want_count("/data/0", 2);
    want_at("/data/0/id", "'r'");
}
END_TEST

/* ---- lists ----------------------------------------------------------------------------------- */

START_TEST(parameters_of_lists_mean_nothing_to_objects)
{
    make_collection();
    put(R "/r", "{'a':1}");
    call("GET", R "/r?a=2&_limit=abc&_since=xyz&_sort=*", NULL);
    want(200);
    want_at("/data/a", "1");
}
END_TEST

START_TEST(post_answers_are_whole)
{
    make_collection();
    call("POST", R, "{'data':{'t':'\xC3\xA9\\u00e8\\n\\u0001\\u0022\\\\/'}}");
    want(201);
    call("GET", R, NULL);
    want_at("/data/0/t", "'\xC3\xA9\xC3\xA8\\n\\u0001\\u0022\\\\/'");
}
END_TEST

START_TEST(order_of_members_is_kept)
{
    make_collection();
    put(R "/r", "{'z':1,'a':2,'m':{'y':1,'b':2}}");
    call("GET", R "/r", NULL);
    const char *z = strstr(re.body, "\"z\":1"), *a = strstr(re.body, "\"a\":2"),
               *m = strstr(re.body, "\"m\":{\"y\":1,\"b\":2}");
    ck_assert(z && a && m && z < a && a < m);
}
END_TEST

START_TEST(large_records_and_many)
{
    make_collection();
    size_t n = 300000;
    char *body = malloc(n + 64);
    memcpy(body, "{\"data\":{\"t\":\"", 14);
    memset(body + 14, 'x', n);
    memcpy(body + 14 + n, "\"}}", 4);
    call_raw("PUT", "/v1" R "/big", body, 14 + n + 3);
    want(201);
    call("GET", R "/big", NULL);
    want(200);
    ck_assert_uint_eq(strlen(at("/data/t")), n);
    free(body);
    for (int i = 0; i < 8; i++) {
        const char *list = "";
        for (int k = 0; k < 25; k++)
            list = f("%s%s{'path':'" R "/r%d'}", list, k ? "," : "", i * 25 + k);
        call("POST", "/batch", f("{'defaults':{'method':'PUT'},'requests':[%s]}", list));
        want(200);
    }
    call("HEAD", R, NULL);
    want_header("Total-Objects", "201");
    call("GET", R "?_fields=id", NULL);
    want_count("/data", 201);
}
END_TEST

/* ---- cache and other settings ---------------------------------------------------------------- */

START_TEST(cache_expires_of_a_collection)
{
    make("/buckets/b");
    call("PUT", "/buckets/b/collections/c",
         "{'data':{'cache_expires':77},'permissions':{'read':['system.Everyone']}}");
    put(R "/r", "{}");
    as(NULL);
    call("GET", R "/r", NULL);
    want(200);
    want_header("Cache-Control", "max-age=77");
    ck_assert_ptr_nonnull(header("Expires"));
    call("GET", R, NULL);
    want_header("Cache-Control", "max-age=77");
    as("alice");
    call("GET", R "/r", NULL);
    want_header("Cache-Control", "no-cache, no-store");
}
END_TEST

START_TEST(cache_expires_beyond_all_time)
{
    make("/buckets/b");
    call("PUT", "/buckets/b/collections/c",
         "{'data':{'cache_expires':9223372036854775807},'permissions':{'read':['system.Everyone']}"
         "}");
    want(201);
    as(NULL);
    call("GET", R, NULL);
    want(200);
    want_header("Cache-Control", "max-age=315360000");
}
END_TEST

START_TEST(settings_of_headers)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings =
                                                  "kinto.backoff = 13\n"
                                                  "kinto.bucket_read_principals = system.Everyone\n"
                                                  "kinto.bucket_cache_expires_seconds = 42"});
    api_use(s.url);
    make("/buckets/b");
    want_header("Backoff", "13");
    as(NULL);
    call("GET", "/buckets/b", NULL);
    want(200);
    want_header("Cache-Control", "max-age=42");
    want_header("Backoff", "13");
    call("GET", "/nope", NULL);
    want_header("Backoff", "13");
    server_stop(&s);
}
END_TEST

START_TEST(endpoints_switched_off)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings =
                                                  "kinto.plural_bucket_get_enabled = false\n"
                                                  "kinto.object_record_delete_enabled = false"});
    api_use(s.url);
    make_collection();
    put(R "/r", "{}");
    call("GET", "/buckets", NULL);
    want_error(405, 115, NULL);
    call("DELETE", R "/r", NULL);
    want_error(405, 115, NULL);
    call("GET", R "/r", NULL);
    want(200);
    server_stop(&s);
}
END_TEST

START_TEST(read_only)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings = "kinto.readonly = true"});
    api_use(s.url);
    call("GET", "/", NULL);
    want_at("/settings/readonly", "true");
    call("GET", "/buckets", NULL);
    want(200);
    call("PUT", "/buckets/b", "{}");
    want_error(405, 115, NULL);
    call("POST", "/buckets", "{}");
    want_error(405, 115, NULL);
    call("DELETE", "/buckets", NULL);
    want_error(405, 115, NULL);
    server_stop(&s);
}
END_TEST

START_TEST(end_of_service)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings = "kinto.eos = 2020-01-01\n"
                                                          "kinto.eos_message = gone\n"
                                                          "kinto.eos_url = http://x.org/"});
    api_use(s.url);
    call("GET", "/buckets", NULL);
    want_error(410, 202, NULL);
    want_header_has("Alert", "hard-eol");
    call("GET", "/", NULL);
    want(410);
    server_stop(&s);
    server_start(&s, &(struct server_options){.settings = "kinto.eos = 2090-01-01"});
    api_use(s.url);
    call("GET", "/", NULL);
    want(200);
    want_at("/eos", "'2090-01-01'");
    want_header_has("Alert", "soft-eol");
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/resources");
    TCase *t = api_case(s, "objects", NULL);
    int n = ARRAY_LEN(KINDS);
    tcase_add_loop_test(t, life_of_an_object, 0, n);
    tcase_add_loop_test(t, put_creates, 0, n);
    tcase_add_loop_test(t, post_with_an_id, 0, n);
    tcase_add_loop_test(t, ids_that_are_names, 0, n);
    tcase_add_loop_test(t, generated_ids_differ, 0, n);
    tcase_add_test(t, record_ids_are_uuid4);
    tcase_add_test(t, collections_keep_what_they_are_given);
    tcase_add_test(t, parameters_of_lists_mean_nothing_to_objects);
    tcase_add_test(t, post_answers_are_whole);
    tcase_add_test(t, order_of_members_is_kept);
    tcase_add_test(t, large_records_and_many);
    tcase_add_test(t, cache_expires_of_a_collection);
    tcase_add_test(t, cache_expires_beyond_all_time);
    t = api_case(s, "fields", NULL);
    tcase_add_loop_test(t, fields, 0, ARRAY_LEN(FIELDS));
    tcase_add_test(t, no_fields_are_all_fields);
    tcase_add_test(t, fields_of_tombstones);
    t = api_case_own(s, "settings");
    tcase_add_test(t, settings_of_headers);
    tcase_add_test(t, endpoints_switched_off);
    tcase_add_test(t, read_only);
    tcase_add_test(t, end_of_service);
    return s;
}

API_MAIN(suite, NULL)
