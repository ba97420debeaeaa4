/*
 * test/http/test_user_data.c - DELETE /__user_data__/{principal}: what was one principal's alone is
 * gone, what was others' is there, and nothing tells of it any more.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define ERASERS "/buckets/staff/groups/erasers"
#define SETTINGS                                                                                   \
    "kinto.includes = kinto.plugins.quotas kinto.plugins.default_bucket kinto.plugins.flush\n"     \
    "  kinto.plugins.history kinto.plugins.revisions\n"                                            \
    "kinto.quotas.bucket_max_bytes = 100000\n"                                                     \
    "kinto.experimental_permissions_endpoint = true\n"                                             \
    "kinto.bucket_create_principals = system.Everyone\n"                                           \
    "kinto.user-data_delete_principals = " ERASERS "\n"                                            \
    "kinto.bucket_read_principals = " ERASERS "\n"                                                 \
    "kinto.group_read_principals = " ERASERS "\n"                                                  \
    "kinto.collection_read_principals = " ERASERS "\n"                                             \
    "kinto.record_read_principals = " ERASERS "\n"

/* The session's user becomes one of those who may. */
static void may_erase(void)
{
    make("/buckets/staff");
    put("/buckets/staff/groups/erasers", f("{'members':['%s']}", principal("alice")));
    as("alice");
}

static void erase(const char *who)
{
    call("DELETE", f("/__user_data__/%s", url_encode(who)), NULL);
    want(200);
    want_body(f("{'data':{'principal':'%s'}}", who));
    want_no_header("ETag");
    want_no_header("Last-Modified");
    want_no_header("Quota-Remaining");
}

/* ---- who may, and how ------------------------------------------------------------------------ */

START_TEST(only_who_is_named)
{
    may_erase();
    erase("nobody:ever");
    as("bob");
    call("DELETE", "/__user_data__/x:y", NULL);
    want_error(403, 121, NULL);
    call("DELETE", f("/__user_data__/%s", principal("bob")), NULL); /* not even oneself */
    want_error(403, 121, NULL);
    as(NULL);
    call("DELETE", "/__user_data__/x:y", NULL);
    want_error(401, 104, NULL);
}
END_TEST

START_TEST(only_delete)
{
    static const char *const others[] = {"GET", "HEAD", "POST", "PUT", "PATCH"};
    may_erase();
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        call(others[i], "/__user_data__/x:y", NULL);
        want(405);
        want_header("Allow", "DELETE, OPTIONS");
    }
    call("DELETE", "/__user_data__", NULL);
    want(405);
    want_header("Allow", "OPTIONS");
    call("DELETE", "/__user_data__/", NULL);
    want(307);
    call("DELETE", "/__user_data__/%2Fbuckets%2Fb%2Fgroups%2Fg", NULL);
    want(404);
    call("DELETE", "/__user_data__/x:y/", NULL);
    want(307);
    with("Accept", "text/plain");
    call("DELETE", "/__user_data__/x:y", NULL);
    want(406);
    with("If-Match", "abc");
    call("DELETE", "/__user_data__/x:y", NULL);
    want(400);
    with("If-Match", "\"5\""); /* it has no time that could be another */
    call("DELETE", "/__user_data__/x:y", NULL);
    want(200);
    call("DELETE", "/__user_data__/x:y", "{");
    want(400);
}
END_TEST

/* Any text is a principal. */
static const struct {
    const char *encoded, *json;
} odd[] = {
    {"a%20b", "'a b'"},
    {"%C3%A9", "'é'"},
    {"%22%5C", "'\\\"\\\\'"},
    {"%00", "'\\u0000'"},
    {"%3F%23", "'?#'"},
    {"x?y=1&_since=z", "'x'"},
    {"system.Everyone", "'system.Everyone'"},
    {"sso:team%2Falice", "'sso:team/alice'"},
    {"sso:https://me.example//x", "'sso:https://me.example//x'"},
};

START_TEST(odd_principals)
{
    may_erase();
    call("DELETE", f("/__user_data__/%s", odd[_i].encoded), NULL);
    want(200);
    want_at("/data/principal", odd[_i].json);
}
END_TEST

/* ---- what goes ------------------------------------------------------------------------------- */

/* Is it there? As alice, who may see everything of these tests. */
static void want_there(const char *path, bool there)
{
    call("GET", path, NULL);
    ck_assert_msg(re.status == (there ? 200 : 404), "%s: %d", path, re.status);
}

/* Bucket b is alice's; everybody may write into it. */
static void open_bucket(void)
{
    make("/buckets/b");
    call("PUT", "/buckets/b/collections/c",
         "{'permissions':{'record:create':['system.Everyone'],'read':['system.Everyone']}}");
    want(201);
    call("PATCH", "/buckets/b",
         "{'permissions':{'collection:create':['system.Everyone'],"
         "'group:create':['system.Everyone'],'read':['system.Everyone']}}");
    want(200);
}

START_TEST(what_is_ones_own)
{
    may_erase();
    open_bucket();
    as("bob");
    make("/buckets/bobs");
    make("/buckets/bobs/collections/c");
    put("/buckets/bobs/collections/c/records/r", "{}");
    call("PUT", "/buckets/b/groups/bobs", f("{'data':{'members':['%s']}}", principal("carol")));
    want(201);
    make("/buckets/b/collections/bobs");
    as("carol");
    call("GET", "/buckets/bobs", NULL);
    want(403);
    as("bob");
    call("PATCH", "/buckets/b/collections/bobs",
         "{'permissions':{'record:create':['system.Everyone']}}");
    want(200);
    as("carol");
    put("/buckets/b/collections/bobs/records/carols", "{}"); /* in what is bob's */
    as("bob");
    put(R "/own", "{}");
    call(
        "PUT", R "/shared",
        f("{'permissions':{'read':['%s'],'write':['%s']}}", principal("dave"), principal("carol")));
    want(201);
    call("PUT", R "/readable", f("{'permissions':{'read':['%s']}}", principal("carol")));
    want(201);
    as("alice");
    put(R "/alices", "{}");
    uint64_t time = stamp();
    call("PATCH", R "/alices",
         f("{'permissions':{'read':['%s','x:y'],'write':['x:y']}}", principal("bob")));
    want(200);
    time = stamp();
    erase(principal("bob"));

    static const struct {
        const char *path;
        bool there;
    } after[] = {
        {"/buckets/b", true},
        {"/buckets/b/collections/c", true},
        {"/buckets/b/groups/bobs", false},
        {"/buckets/b/collections/bobs", false},
        {"/buckets/b/collections/bobs/records/carols", false},
        {R "/own", false},
        {R "/readable", false},
        {R "/shared", true},
        {R "/alices", true},
        {"/buckets/bobs", false},
        {"/buckets/bobs/collections/c/records/r", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(after); i++)
        want_there(after[i].path, after[i].there);
    call("GET", R "/alices", NULL);
    ck_assert_uint_eq(stamp(), time); /* permissions have no time */
    want_set("/permissions/read", "['x:y']");
    want_set("/permissions/write", f("['%s','x:y']", principal("alice")));
    call("GET", R "?_since=0&_sort=id", NULL);
    want_ids_any_order("-own,-readable,alices,shared");
    as("carol");
    call("GET", R "/shared", NULL);
    want_set("/permissions/write", f("['%s']", principal("carol")));
    want_set("/permissions/read", f("['%s']", principal("dave")));
    call("GET", "/", NULL);
    want_count("/user/principals", 3); /* the group that was bob's is gone */
    as("bob");
    call("GET", "/permissions?exclude_resource_name=root", NULL);
    ck_assert_ptr_null(strstr(re.body, "write"));
    make("/buckets/bobs"); /* as if there had never been one */
    call("GET", "/buckets/bobs/collections?_since=0", NULL);
    want_ids("");
}
END_TEST

/* A group of which it is a member says so no more; those who synchronise learn of it. */
START_TEST(groups)
{
    may_erase();
    make("/buckets/b");
    put("/buckets/b/groups/g", f("{'members':['%s','x:y'],'a':1}", principal("bob")));
    put("/buckets/b/groups/alone", f("{'members':['%s']}", principal("bob")));
    put("/buckets/b/groups/other", "{'members':['x:y']}");
    uint64_t before = stamp();
    call("PATCH", "/buckets/b", "{'permissions':{'read':['/buckets/b/groups/g']}}");
    as("bob");
    call("GET", "/buckets/b", NULL);
    want(200);
    as("alice");
    erase(principal("bob"));
    call("GET", "/buckets/b/groups/g", NULL);
    want_at("/data/members", "['x:y']");
    want_at("/data/a", "1");
    want_set("/permissions/write", f("['%s']", principal("alice")));
    call("GET", f("/buckets/b/groups?_since=%llu&_sort=id", (unsigned long long)before), NULL);
    want_ids("alone,g");
    want_at("/data/0/members", "[]");
    as("bob");
    call("GET", "/buckets/b", NULL);
    want(403);
    call("GET", "/", NULL);
    want_count("/user/principals", 3);
    as("alice");
    call("PATCH", "/buckets/b/groups/g", "{'data':{'a':2}}");
    as("bob");
    call("GET", "/buckets/b", NULL);
    want(403);
}
END_TEST

/* Listeners are told: the sums of quotas stay right. */
START_TEST(sums)
{
    may_erase();
    open_bucket();
    as("alice");
    call("PATCH", "/buckets/b", "{'data':{}}");
    char before[64];
    snprintf(before, sizeof before, "%s", header("Quota-Remaining"));
    as("bob");
    make("/buckets/b/collections/bobs");
    for (int i = 0; i < 5; i++) {
        put(f("/buckets/b/collections/bobs/records/%d", i), "{'a':'bcd'}");
        put(f(R "/%d", i), "{}");
    }
    make("/buckets/b/groups/bobs");
    as("alice");
    call("PATCH", "/buckets/b", "{'data':{}}");
    ck_assert_str_ne(header("Quota-Remaining"), before);
    erase(principal("bob"));
    call("PATCH", "/buckets/b", "{'data':{}}");
    want_header("Quota-Remaining", before);
}
END_TEST

/* ---- history and revisions ------------------------------------------------------------------- */

static void must_not_tell(const char *uri, const char *who)
{
    call("GET", uri, NULL);
    want(200);
    ck_assert_msg(strstr(re.body, who) == NULL, "%s tells of %s: %s", uri, who, re.body);
}

/* Who made a change, who could see it, who was a member: the changes stay, the name goes. */
START_TEST(changes_forget_the_name)
{
    may_erase();
    open_bucket();
    const char *bob = principal("bob"), *alice = principal("alice");
    as("bob");
    for (int i = 0; i < 40; i++) /* more than are looked at together */
        put(R "/shared", f("{'n':%d}", i));
    call("PATCH", R "/shared", f("{'permissions':{'write':['%s','%s']}}", bob, alice));
    want(200);
    as("alice");
    put("/buckets/b/groups/g", f("{'members':['%s','x:y']}", bob));
    call("GET", "/buckets/b/history", NULL);
    ck_assert_ptr_nonnull(strstr(re.body, bob));
    erase(bob);
    must_not_tell("/buckets/b/history", bob);
    must_not_tell(R "/shared/revisions", bob);
    must_not_tell("/buckets/b/groups/g/revisions", bob);
    call("HEAD", "/buckets/b/history?uri=" R "/shared", NULL);
    want_header("Total-Objects", "41");
    call("GET", "/buckets/b/history?uri=" R "/shared&_limit=1&_sort=last_modified", NULL);
    want_at("/data/0/user_id", "null");
    want_at("/data/0/target/data/n", "0");
    call("GET", R "/shared/revisions?data.n=7", NULL);
    want_at("/data/0/user_id", "null");
    call("GET", "/buckets/b/history?uri=/buckets/b/groups/g&action=create", NULL);
    want_at("/data/0/target/data/members", "['x:y']");
}
END_TEST

/* What was bob's alone is not only deleted: nobody gets it back, or reads what it was. */
START_TEST(what_was_deleted_does_not_come_back)
{
    may_erase();
    open_bucket();
    as("bob");
    put(R "/own", "{'text':'my diary'}");
    put(R "/own", "{'text':'my diary, too'}");
    put("/buckets/b/groups/own", "{'members':[],'text':'my diary'}");
    as("alice");
    erase(principal("bob"));
    call("GET", R "/own", NULL);
    want(404);
    must_not_tell("/buckets/b/history", "diary");
    must_not_tell(R "/own/revisions", "diary");
    must_not_tell("/buckets/b/groups/own/revisions", "diary");
    call("GET", "/buckets/b/history?uri=" R "/own", NULL);
    want_at("/data/0/action", "'delete'");
    ck_assert(!has("/data/1"));
}
END_TEST

/* What was made by nobody in particular is system.Everyone's. */
START_TEST(everyone)
{
    may_erase();
    as(NULL);
    make("/buckets/anonymous");
    as("alice");
    make("/buckets/b");
    call("PATCH", "/buckets/b", "{'permissions':{'read':['system.Everyone']}}");
    erase("system.Everyone");
    as(NULL);
    call("GET", "/buckets/b", NULL);
    want(401);
    make("/buckets/anonymous");
}
END_TEST

START_TEST(the_default_bucket)
{
    may_erase();
    as("bob");
    put("/buckets/default/collections/tasks/records/r", "{'secret':1}");
    call("GET", "/", NULL);
    char *id = strdup(at("/user/bucket"));
    as("alice");
    erase(principal("bob"));
    as("bob");
    call("GET", "/buckets/default/collections/tasks/records", NULL); /* made anew */
    want_ids("");
    call("GET", "/", NULL);
    ck_assert_str_eq(at("/user/bucket"), id);
    free(id);
}
END_TEST

/* Who erases may be who is erased. */
START_TEST(oneself)
{
    may_erase();
    make("/buckets/b");
    erase(principal("alice"));
    call("GET", "/buckets", NULL);
    want_ids("");
    call("DELETE", f("/__user_data__/%s", principal("alice")), NULL);
    want(403); /* the group went with its bucket */
}
END_TEST

START_TEST(many)
{
    may_erase();
    open_bucket();
    as("bob");
    for (int batch = 0; batch < 20; batch++) {
        char body[8192];
        size_t n = (size_t)snprintf(body, sizeof body, "{'defaults':{'method':'PUT'},'requests':[");
        for (int i = 0; i < 25; i++)
            n += (size_t)snprintf(body + n, sizeof body - n, "%s{'path':'" R "/%d-%d'%s}",
                                  i ? "," : "", batch, i,
                                  i % 2 ? "" : ",'body':{'permissions':{'write':['x:y']}}");
        snprintf(body + n, sizeof body - n, "]}");
        call("POST", "/batch", body);
        want(200);
    }
    as("alice");
    call("HEAD", R, NULL);
    want_header("Total-Objects", "500");
    erase(principal("bob"));
    call("HEAD", R, NULL);
    want_header("Total-Objects", "260");
    erase("x:y");
    call("HEAD", R, NULL);
    want_header("Total-Objects", "0");
}
END_TEST

/* In a batch, what is behind it sees what it did; what fails undoes it. */
START_TEST(in_a_batch)
{
    may_erase();
    as("bob");
    make("/buckets/bobs");
    as("alice");
    const char *path = f("/__user_data__/%s", principal("bob"));
    call("POST", "/batch",
         f("{'requests':[{'method':'DELETE','path':'%s'},{'path':'/buckets/bobs'},"
           "{'path':'%s'}]}",
           path, path));
    want(200);
    want_at("/responses/0/status", "200");
    want_at("/responses/1/status", "404");
    want_at("/responses/2/status", "405");
    as("bob");
    make("/buckets/bobs");
    as("alice");
    make("/buckets/b");
    call("POST", "/batch",
         f("{'requests':[{'method':'DELETE','path':'%s'},{'method':'PATCH','path':'/buckets/b',"
           "'body':{'data':{'a':'%s'}}}]}",
           path, repeat('x', 100000)));
    want(507);
    as("bob");
    call("GET", "/buckets/bobs", NULL);
    want(200);
}
END_TEST

START_TEST(in_the_description)
{
    call("GET", "/__api__", NULL);
    want_at("/paths/~1__user_data__~1{principal}/delete/operationId", "'delete_user-data'");
    want_at("/paths/~1__user_data__~1{principal}/delete/tags", "['User-datas']");
    want_at("/paths/~1__user_data__~1{principal}/parameters/0/name", "'principal'");
}
END_TEST

/* Nobody may, unless a setting says who; it can be switched off, and a server that only reads has it
 * off. */
static const struct {
    const char *settings;
    int status;
} servers[] = {
    {"", 403},
    {"kinto.user-data_delete_principals = system.Authenticated", 200},
    {"kinto.user-data_delete_principals = system.Authenticated\n"
     "kinto.object_user-data_delete_enabled = false",
     405},
    {"kinto.user-data_delete_principals = system.Authenticated\nkinto.readonly = true", 405},
    {"kinto.bucket_write_principals = system.Authenticated", 403},
};

START_TEST(who_is_named)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings = servers[_i].settings});
    api_use(s.url);
    as("alice");
    call("DELETE", "/__user_data__/x:y", NULL);
    want(servers[_i].status);
    server_stop(&s);
}
END_TEST

/* It is as durable as any write, and what is kept is sound. */
START_TEST(after_a_kill)
{
    static const struct server_options options = {
        .settings = "kinto.user-data_delete_principals = system.Authenticated", .durable = true};
    struct server s;
    const char *output;
    server_start(&s, &options);
    api_use(s.url);
    as("bob");
    make("/buckets/bobs");
    make("/buckets/both");
    call("PATCH", "/buckets/both", f("{'permissions':{'write':['%s']}}", principal("alice")));
    as("alice");
    make("/buckets/b");
    put("/buckets/b/groups/g", f("{'members':['%s']}", principal("bob")));
    erase(principal("bob"));
    server_kill(&s);
    const char *args[] = {"check", "--data", f("%s/data", s.dir), NULL};
    int status = server_run(NULL, args, &output);
    ck_assert_msg(status == 0, "%s", output);
    server_restart(&s, &options);
    api_use(s.url);
    call("GET", "/buckets", NULL);
    want_ids_any_order("b,both");
    call("GET", "/buckets/both", NULL);
    want_set("/permissions/write", f("['%s']", principal("alice")));
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/user_data");
    TCase *t = api_case(s, "user_data", "ours");
    tcase_add_test(t, only_who_is_named);
    tcase_add_test(t, only_delete);
    tcase_add_loop_test(t, odd_principals, 0, (int)ARRAY_LEN(odd));
    tcase_add_test(t, what_is_ones_own);
    tcase_add_test(t, groups);
    tcase_add_test(t, sums);
    tcase_add_test(t, changes_forget_the_name);
    tcase_add_test(t, what_was_deleted_does_not_come_back);
    tcase_add_test(t, everyone);
    tcase_add_test(t, the_default_bucket);
    tcase_add_test(t, oneself);
    tcase_add_test(t, many);
    tcase_add_test(t, in_a_batch);
    tcase_add_test(t, in_the_description);
    t = api_case_own(s, "own servers");
    tcase_add_loop_test(t, who_is_named, 0, (int)ARRAY_LEN(servers));
    tcase_add_test(t, after_a_kill);
    return s;
}

API_MAIN(suite, SETTINGS)
