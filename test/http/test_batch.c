/*
 * test/http/test_batch.c - POST /batch: what is refused, what each part answers, what holds
 * together.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define NO_MAPPING "is not a mapping type: Does not implement dict-like functionality."
#define METHODS    "is not one of GET, HEAD, DELETE, TRACE, POST, PUT, PATCH"

static const struct {
    const char *body, *name, *description;
} REFUSED[] = {
    {"{}", "requests", "Required"},
    {"1", "", "Should be a JSON object or an array"},
    {"null", "", "Should be a JSON object or an array"},
    {"{", "", NULL},
    {"{'requests':null}", "requests", "\"None\" is not iterable"},
    {"{'requests':1}", "requests", "\"1\" is not iterable"},
    {"{'requests':[1]}", "requests.0", "\"1\" " NO_MAPPING},
    {"{'requests':[{}]}", "requests.0.path", "Required"},
    {"{'requests':[{'path':1}]}", "requests.0.path", "1 is not a string: {'path': ''}"},
    {"{'requests':[{'path':''}]}", "requests.0.path", "Required"},
    {"{'requests':[{'path':'v1/'}]}", "requests.0.path", "String does not match expected pattern"},
    {"{'requests':[{'path':'/v1/batch'}]}", "requests",
     "Recursive call on /batch endpoint is forbidden."},
    {"{'requests':[{'path':'/batch?x'}]}", "requests",
     "Recursive call on /batch endpoint is forbidden."},
    {"{'requests':[{'method':'get','path':'/'}]}", "requests.0.method", "\"get\" " METHODS},
    {"{'requests':[{'method':'OPTIONS','path':'/'}]}", "requests.0.method", "\"OPTIONS\" " METHODS},
    {"{'requests':[{'path':'/','foo':1}]}", "requests.0",
     "Unrecognized keys in mapping: \"{'foo': 1}\""},
    {"{'requests':[{'path':'/','headers':1}]}", "requests.0.headers", "\"1\" " NO_MAPPING},
    {"{'requests':[{'path':'/','headers':{'a':1}}]}", "requests.0.headers",
     "{'a': 1} contains non string value"},
    {"{'requests':[{'path':'/','body':1}]}", "requests.0.body", "\"1\" " NO_MAPPING},
    {"{'requests':[{'path':'/','body':'x'}]}", "requests.0.body", "\"x\" " NO_MAPPING},
    {"{'requests':[],'foo':1}", "", "Unrecognized keys in mapping: \"{'foo': 1}\""},
    {"{'requests':[],'defaults':1}", "defaults", "\"1\" " NO_MAPPING},
    {"{'requests':[],'defaults':{'foo':1}}", "defaults",
     "Unrecognized keys in mapping: \"{'foo': 1}\""},
    {"{'requests':[{}],'defaults':{'path':1}}", "defaults.path", "1 is not a string: {'path': ''}"},
    {"{'requests':[{}],'defaults':{'method':'FOO','path':'/'}}", "defaults.method",
     "\"FOO\" " METHODS},
    {"{'requests':[{},{'path':1}]}", "requests.0.path", "Required"},
};

START_TEST(refused_batch)
{
    call("POST", "/batch", REFUSED[_i].body);
    want_invalid("body", REFUSED[_i].name, REFUSED[_i].description);
}
END_TEST

/* n requests for the hello page */
static const char *requests(int n)
{
    const char *out = "";
    for (int i = 0; i < n; i++)
        out = f("%s%s{'path':'/__lbheartbeat__'}", out, i ? "," : "");
    return f("{'requests':[%s]}", out);
}

START_TEST(as_many_as_allowed)
{
    call("POST", "/batch", requests(25));
    want(200);
    want_count("/responses", 25);
    call("POST", "/batch", requests(26));
    want_invalid("body", "requests", "Number of requests is limited to 25");
    call("POST", "/batch", "{'requests':[]}");
    want(200);
    want_body("{'responses':[]}");
}
END_TEST

/* Its work would be 25 times as much with each level. */
START_TEST(no_batch_inside_of_a_batch)
{
    static const char *const paths[] = {"/b%61tch", "/v1/%62atch", "/b%61tch/", "/v1/b%61tch?/"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        call("POST", "/batch",
             f("{'requests':[{'method':'POST','path':'%s','body':{'requests':[{'path':'/'}]}}]}",
               paths[i]));
        want(200);
        want_at("/responses/0/status", "400");
        want_at("/responses/0/body/details/0/name", "'requests'");
        want_at("/responses/0/body/details/0/description",
                "'Recursive call on /batch endpoint is forbidden.'");
    }
}
END_TEST

START_TEST(each_part_is_answered)
{
    make_collection();
    call("POST", "/batch",
         "{'defaults':{'method':'PUT','body':{'data':{'d':1}}},'requests':["
         "{'path':'" R "/a','body':{'data':{'n':1}}},"
         "{'path':'/v1" R "/b?x=1'},"
         "{'method':'GET','path':'" R "/a'},"
         "{'method':'DELETE','path':'" R "/b'},"
         "{'method':'GET','path':'" R "/b'},"
         "{'method':'POST','path':'" R "','body':{'data':{'id':'a'}}},"
         "{'method':'HEAD','path':'" R "'},"
         "{'method':'GET','path':'/nope'},"
         "{'method':'PATCH','path':'" R "','body':{}}]}");
    want(200);
    want_count("/responses", 9);
    static const struct {
        int status;
        const char *path;
    } want_each[] = {{201, "/v1" R "/a"}, {201, "/v1" R "/b"}, {200, "/v1" R "/a"},
                     {200, "/v1" R "/b"}, {404, "/v1" R "/b"}, {200, "/v1" R},
                     {200, "/v1" R},      {404, "/v1/nope"},   {405, "/v1" R}};
    for (size_t i = 0; i < ARRAY_LEN(want_each); i++) {
        want_at(f("/responses/%zu/status", i), f("%d", want_each[i].status));
        want_at(f("/responses/%zu/path", i), f("'%s'", want_each[i].path));
        ck_assert(has(f("/responses/%zu/headers", i)));
    }
    want_at("/responses/0/body/data/n", "1");
    want_at("/responses/1/body/data/d", "1");
    want_at("/responses/2/body/data/n", "1");
    want_at("/responses/3/body/data/deleted", "true");
    want_at("/responses/4/body/errno", "110");
    want_at("/responses/5/body/data/n", "1");
    want_at("/responses/6/headers/Total-Objects", "'1'");
    want_at("/responses/7/body/errno", "111");
    want_at("/responses/0/headers/ETag",
            f("'\\u0022%s\\u0022'", at("/responses/0/body/data/last_modified")));
    call("GET", R, NULL);
    want_ids("a");
}
END_TEST

START_TEST(get_is_the_default)
{
    call("POST", "/batch", "{'requests':[{'path':'/__lbheartbeat__'}]}");
    want(200);
    want_at("/responses/0/status", "200");
    want_at("/responses/0/body", "{}");
    want_at("/responses/0/path", "'/v1/__lbheartbeat__'");
    want_at("/responses/0/headers/Content-Type", "'application/json'");
}
END_TEST

START_TEST(defaults_are_merged)
{
    make_collection();
    call("POST", "/batch",
         "{'defaults':{'method':'POST','path':'" R "','headers':{'If-None-Match':'*'},"
         "'body':{'data':{'x':1}}},'requests':["
         "{},{'body':{'data':{'id':'a'}}},{'body':{'data':{'id':'a'}}},"
         "{'headers':{'If-None-Match':''},'body':{'data':{'id':'a'}}}]}");
    want(200);
    want_at("/responses/0/status", "201");
    want_at("/responses/1/status", "201");
    want_at("/responses/2/status", "412");
    want_at("/responses/3/status", "200");
    want_at("/responses/0/body/data/x", "1");
}
END_TEST

START_TEST(parts_may_be_of_other_users)
{
    make_collection();
    /* bob:secret */
    call("POST", "/batch",
         "{'requests':[{'path':'" R "'},"
         "{'path':'" R "','headers':{'Authorization':'Basic Ym9iOnNlY3JldA=='}},"
         "{'path':'" R "','headers':{'Authorization':''}}]}");
    want(200);
    want_at("/responses/0/status", "200");
    want_at("/responses/1/status", "403");
    want_at("/responses/2/status", "401");
    as(NULL);
    call("POST", "/batch", "{'requests':[{'path':'/buckets'}]}");
    want(200);
    want_at("/responses/0/status", "401");
}
END_TEST

START_TEST(parts_follow_redirects)
{
    make_collection();
    call("POST", "/batch", "{'requests':[{'path':'" R "/'},{'path':'/v1" R "/'}]}");
    want(200);
    want_at("/responses/0/status", "200");
    want_at("/responses/1/status", "200");
    want_at("/responses/0/body/data", "[]");
}
END_TEST

/* A part without a method is a GET; a default without a path is none. */
START_TEST(what_is_empty_is_not_given)
{
    static const char *const empty[] = {"''", "null", "false", "0", "[]", "{}"};
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        call("POST", "/batch",
             f("{'defaults':{'method':'POST','path':%s},"
               "'requests':[{'method':%s,'path':'/buckets'}]}",
               empty[i], empty[i]));
        want(200);
        want_at("/responses/0/body/data", "[]");
    }
    call("POST", "/batch", "{'defaults':{'path':''},'requests':[{}]}");
    want_invalid("body", "requests.0.path", "Required");
}
END_TEST

/* A path with a NUL is another path, not the one before the NUL. */
START_TEST(nul_in_a_path)
{
    make("/buckets/b");
    call("POST", "/batch",
         "{'requests':[{'method':'DELETE','path':'/buckets/b\\u0000zz'},{'path':'/buckets/b'}]}");
    want(200);
    want_at("/responses/1/status", "200");
    call("GET", "/buckets/b", NULL);
    want(200);
}
END_TEST

START_TEST(a_part_that_fails_undoes_nothing)
{
    make_collection();
    call("POST", "/batch",
         "{'defaults':{'method':'PUT'},'requests':["
         "{'path':'" R "/a'},{'path':'" R "/a%20b'},{'path':'/buckets/zz/collections/x'},"
         "{'path':'" R "/c','body':{'data':1}},{'path':'" R "/d'}]}");
    want(200);
    want_at("/responses/1/status", "400");
    want_at("/responses/2/status", "403");
    want_at("/responses/3/status", "400");
    want_at("/responses/3/body/details/0/name", "'data'");
    call("GET", R, NULL);
    want_ids("d,a");
}
END_TEST

START_TEST(stamps_rise_within_a_batch)
{
    make_collection();
    const char *list = "";
    for (int i = 0; i < 25; i++)
        list = f("%s%s{'path':'" R "/r%d'}", list, i ? "," : "", i);
    call("POST", "/batch", f("{'defaults':{'method':'PUT'},'requests':[%s]}", list));
    want(200);
    int64_t last = 0;
    for (int i = 0; i < 25; i++) {
        int64_t now = num_at(f("/responses/%d/body/data/last_modified", i));
        ck_assert_int_gt(now, last);
        last = now;
    }
    call("GET", R, NULL);
    want_count("/data", 25);
    want_header("ETag", f("\"%lld\"", (long long)last));
}
END_TEST

START_TEST(conditions_in_parts)
{
    make_collection();
    put(R "/a", "{'n':1}");
    call("POST", "/batch",
         "{'requests':["
         "{'method':'PUT','path':'" R "/a','headers':{'If-Match':'\\u00221\\u0022'},"
         "'body':{'data':{'n':2}}},"
         "{'method':'PUT','path':'" R "/b','headers':{'If-None-Match':'*'}},"
         "{'method':'PUT','path':'" R "/b','headers':{'If-None-Match':'*'}},"
         "{'method':'PATCH','path':'" R "/a','headers':{'Content-Type':"
         "'application/merge-patch+json'},'body':{'data':{'n':null,'m':1}}}]}");
    want(200);
    want_at("/responses/0/status", "412");
    want_at("/responses/0/body/details/existing/n", "1");
    want_at("/responses/1/status", "201");
    want_at("/responses/2/status", "412");
    want_at("/responses/3/status", "200");
    want_at("/responses/3/body/data/n", "null"); /* a part's body is always plain JSON */
    want_at("/responses/3/body/data/m", "1");
}
END_TEST

START_TEST(unicode_in_parts)
{
    make_collection();
    call("POST", "/batch",
         "{'requests':[{'method':'PUT','path':'" R
         "/a','body':{'data':{'\xC3\xA9':'\xE2\x82\xAC'}}},"
         "{'path':'" R "?\xC3\xA9=\xE2\x82\xAC'},{'path':'" R "?%C3%A9=%E2%82%AC'}]}");
    want(200);
    want_at("/responses/0/body/data/\xC3\xA9", "'\xE2\x82\xAC'");
    want_at("/responses/2/body/data/0/id", "'a'");
}
END_TEST

/* Each part sees what those before it did: groups, cascades, and buckets made on the way. */
START_TEST(parts_see_those_before_them)
{
    make_collection();
    put(R "/old", "{}");
    const char *bob = principal("bob");
    call("POST", "/batch",
         f("{'requests':["
           "{'method':'DELETE','path':'/buckets/b'},"
           "{'method':'PUT','path':'/buckets/b'},"
           "{'method':'PUT','path':'/buckets/b/collections/c'},"
           "{'method':'PUT','path':'" R "/new'},"
           "{'method':'PUT','path':'/buckets/b/groups/g','body':{'data':{'members':['%s']}}},"
           "{'method':'PATCH','path':'" R "/new','body':{'permissions':{'read':["
           "'/buckets/b/groups/g']}}},"
           "{'path':'" R "/new','headers':{'Authorization':'Basic Ym9iOnNlY3JldA=='}},"
           "{'path':'" R "'}]}",
           bob));
    want(200);
    for (int i = 0; i < 8; i++)
        ck_assert_int_lt((int)num_at(f("/responses/%d/status", i)), 300);
    want_count("/responses/7/body/data", 1);
    call("GET", R, NULL);
    want_ids("new");
    as("bob");
    call("GET", R "/new", NULL);
    want(200);
}
END_TEST

START_TEST(not_modified_in_a_part)
{
    make_collection();
    put(R "/a", "{'n':1}");
    call("POST", "/batch",
         f("{'requests':[{'path':'" R "/a','headers':{'If-None-Match':'\\u0022%llu\\u0022'}}]}",
           (unsigned long long)stamp()));
    want(200);
    want_at("/responses/0/status", "304");
}
END_TEST

START_TEST(bad_utf8_in_a_part)
{
    call("POST", "/batch", "{'requests':[{'path':'/%ff'},{'path':'/__lbheartbeat__'}]}");
    ck_assert_int_lt(re.status, 500);
    call("POST", "/batch", "[1]");
    want_error(400, 107, NULL);
}
END_TEST

START_TEST(fewer_by_setting)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings = "kinto.batch_max_requests = 2"});
    api_use(s.url);
    call("GET", "/", NULL);
    want_at("/settings/batch_max_requests", "2");
    call("POST", "/batch", requests(2));
    want(200);
    call("POST", "/batch", requests(3));
    want_invalid("body", "requests", "Number of requests is limited to 2");
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/batch");
    TCase *t = api_case(s, "refused", NULL);
    tcase_add_loop_test(t, refused_batch, 0, ARRAY_LEN(REFUSED));
    tcase_add_test(t, as_many_as_allowed);
    tcase_add_test(t, no_batch_inside_of_a_batch);
    t = api_case(s, "parts", NULL);
    tcase_add_test(t, each_part_is_answered);
    tcase_add_test(t, get_is_the_default);
    tcase_add_test(t, defaults_are_merged);
    tcase_add_test(t, parts_may_be_of_other_users);
    tcase_add_test(t, parts_follow_redirects);
    tcase_add_test(t, what_is_empty_is_not_given);
    tcase_add_test(t, nul_in_a_path);
    tcase_add_test(t, a_part_that_fails_undoes_nothing);
    tcase_add_test(t, stamps_rise_within_a_batch);
    tcase_add_test(t, conditions_in_parts);
    tcase_add_test(t, unicode_in_parts);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, parts_see_those_before_them);
    tcase_add_test(t, not_modified_in_a_part);
    tcase_add_test(t, bad_utf8_in_a_part);
    t = api_case_own(s, "settings");
    tcase_add_test(t, fewer_by_setting);
    return s;
}

API_MAIN(suite, NULL)
