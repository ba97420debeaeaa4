/*
 * test/http/test_permissions_list.c - GET /permissions: which objects are listed for whom, with
 * what; filters, order, pages; what settings give.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define ENDPOINT "kinto.experimental_permissions_endpoint = true\n"

static const char *bob;

/* Alice's: bucket b with group g (of all users), collection c with record r; b2, which bob may read
 * and g may create collections in. */
static void fill(void)
{
    bob = principal("bob");
    make_collection();
    put(R "/r", "{}");
    call("PUT", "/buckets/b/groups/g", "{'data':{'members':['system.Authenticated']}}");
    want(201);
    call("PUT", "/buckets/b2",
         f("{'permissions':{'read':['%s'],'collection:create':['/buckets/b/groups/g']}}", bob));
    want(201);
}

/* The uris of the last reply, in its order, separated by blanks. */
static const char *uris(void)
{
    const char *all = "";
    for (int i = 0; has(f("/data/%d", i)); i++)
        all = f("%s%s%s", all, i ? " " : "", at(f("/data/%d/uri", i)));
    return all;
}

static void list(const char *query, const char *expected)
{
    call("GET", f("/permissions%s", query), NULL);
    want(200);
    ck_assert_msg(strcmp(uris(), expected) == 0, "%s: %s, want %s", query, uris(), expected);
}

/* ---- entries --------------------------------------------------------------------------------- */

START_TEST(everything_of_ones_own_is_listed)
{
    fill();
    list("", "/buckets/b2 /buckets/b/groups/g /buckets/b/collections/c/records/r "
             "/buckets/b/collections/c /buckets/b /");
    want_set("/data/0/permissions",
             "['read','write','read:attributes','collection:create','group:create']");
    want_set("/data/1/permissions", "['read','write']");
    want_set("/data/2/permissions", "['read','write']");
    want_set("/data/3/permissions", "['read','write','read:attributes','record:create']");
    want_at("/data/5/permissions", "['bucket:create']");
    want_header("Cache-Control", "no-cache, no-store");
    ck_assert(header("ETag") != NULL && header("Last-Modified") != NULL);
}
END_TEST

START_TEST(entries_name_what_they_are)
{
    fill();
    call("GET", "/permissions?resource_name=record", NULL);
    want_count("/data", 1);
    want_at("/data/0/id", "'r'");
    want_at("/data/0/record_id", "'r'");
    want_at("/data/0/bucket_id", "'b'");
    want_at("/data/0/collection_id", "'c'");
    want_missing("/data/0/group_id");
    call("GET", "/permissions?resource_name=group", NULL);
    want_at("/data/0/group_id", "'g'");
    want_missing("/data/0/collection_id");
    call("GET", "/permissions?uri=/", NULL);
    want_at("/data/0", "{'uri':'/','resource_name':'root','permissions':['bucket:create']}");
}
END_TEST

START_TEST(what_is_held_through_groups_and_by_name_is_one)
{
    fill();
    as("bob");
    list("", "/buckets/b2 /");
    want_set("/data/0/permissions", "['read','read:attributes','collection:create']");
    as("carol");
    list("", "/buckets/b2 /");
    want_set("/data/0/permissions", "['read:attributes','collection:create']");
}
END_TEST

START_TEST(nobody_has_what_everyone_has)
{
    fill();
    as(NULL);
    list("", "");
    as("alice");
    call("PATCH", R "/r", "{'permissions':{'read':['system.Everyone']}}");
    as(NULL);
    list("", R "/r");
    want_at("/data/0/permissions", "['read']");
}
END_TEST

START_TEST(the_deleted_are_gone)
{
    fill();
    call("DELETE", R "/r", NULL);
    call("DELETE", "/buckets/b2", NULL);
    list("", "/buckets/b/groups/g /buckets/b/collections/c /buckets/b /");
    call("DELETE", "/buckets/b", NULL);
    list("", "/");
}
END_TEST

START_TEST(the_default_bucket_is_itself)
{
    call("PUT", "/buckets/default/collections/x", NULL);
    want(201);
    call("GET", "/", NULL);
    const char *id = at("/user/bucket");
    list("", f("/buckets/%s/collections/x /buckets/%s /", id, id));
}
END_TEST

START_TEST(a_bucket_called_default)
{
    call("POST", "/buckets", "{'data':{'id':'default'}}");
    want(201);
    list("?resource_name=bucket", "/buckets/default");
}
END_TEST

/* ---- filters, order, pages ------------------------------------------------------------------- */

static const struct {
    const char *query, *uris;
} QUERIES[] = {
    {"?bucket_id=b2", "/buckets/b2"},
    {"?in_id=c,r", R "/r /buckets/b/collections/c"},
    {"?exclude_resource_name=record,root,bucket", "/buckets/b/groups/g /buckets/b/collections/c"},
    {"?has_collection_id=true", R "/r /buckets/b/collections/c"},
    {"?has_bucket_id=false", "/"},
    {"?group_id=g", "/buckets/b/groups/g"},
    {"?collection_id=c&resource_name=record", R "/r"},
    {"?like_uri=records", R "/r"},
    {"?min_uri=/buckets/b/g", "/buckets/b2 /buckets/b/groups/g"},
    {"?deleted=true", ""},
    {"?bucket_id.x=b", ""},
    {"?_since=5&_before=6&last_modified=1&resource_name=root", "/"},
    {"?_nothing=1&resource_name=root", "/"},
    {"?_sort=uri&_limit=2", "/ /buckets/b"},
    {"?_sort=-id&_limit=3", "/ " R "/r /buckets/b/groups/g"},
    {"?_sort=last_modified,bucket_id&_limit=1", "/buckets/b/groups/g"},
};

START_TEST(filters_and_order)
{
    fill();
    list(QUERIES[_i].query, QUERIES[_i].uris);
}
END_TEST

START_TEST(some_fields)
{
    fill();
    call("GET", "/permissions?_fields=bucket_id&_sort=uri", NULL);
    want_at("/data/0", "{}");
    want_at("/data/1", "{'bucket_id':'b','id':'b'}");
}
END_TEST

START_TEST(unknown_fields)
{
    call("GET", "/permissions?min_foo=1", NULL);
    want_invalid("querystring", "min_foo", "Unknown filter field 'min_foo'");
    call("GET", "/permissions?permissions=1", NULL);
    want_invalid("querystring", "permissions", "Unknown filter field 'permissions'");
    call("GET", "/permissions?_sort=uri,-foo.x", NULL);
    want_invalid("querystring", NULL, "Unknown sort field 'foo.x'");
    call("GET", "/permissions?_fields=uri,foo.x", NULL);
    want_invalid("body", "Invalid _fields parameter", "Fields foo do not exist");
    call("GET", "/permissions?_fields=foo.x,foo.y", NULL);
    want_invalid("body", "Invalid _fields parameter", "Fields foo do not exist");
    call("GET", "/permissions?min_foo=1", "null");
    want_invalid("body", "", "Should be a JSON object or an array");
}
END_TEST

START_TEST(pages_meet)
{
    fill();
    for (int i = 0; i < 40; i++)
        put(f(R "/n%d", i), "{}");
    const char *next = f("/permissions?_limit=7&_sort=%s", _i ? "resource_name,uri" : "-uri");
    char seen[64][128];
    size_t n = 0;
    while (next) {
        call("GET", next, NULL);
        want(200);
        for (int i = 0; has(f("/data/%d", i)); i++, n++) {
            ck_assert_uint_lt(n, ARRAY_LEN(seen));
            snprintf(seen[n], sizeof seen[n], "%s", at(f("/data/%d/uri", i)));
            for (size_t k = 0; k < n; k++)
                ck_assert_str_ne(seen[k], seen[n]);
        }
        const char *url = header("Next-Page");
        next = url ? f("%s", strstr(url, "/v1") + 3) : NULL;
    }
    ck_assert_uint_eq(n, 46);
    call("HEAD", "/permissions?_limit=2", NULL);
    want_header("Total-Objects", "46");
    want_header("Total-Records", "46");
    call("HEAD", "/permissions?resource_name=record", NULL);
    want_header("Total-Objects", "41");
}
END_TEST

START_TEST(other_methods)
{
    call("POST", "/permissions", "{}");
    want(405);
    call("DELETE", "/permissions", NULL);
    want(405);
    with("Accept", "text/html");
    call("GET", "/permissions", NULL);
    want(406);
    call("GET", "/", NULL);
    ck_assert(has("/capabilities/permissions_endpoint/url"));
}
END_TEST

START_TEST(always_in_full)
{
    call("GET", "/permissions", NULL);
    const char *tag = f("%s", header("ETag"));
    make("/buckets/b");
    with("If-None-Match", tag);
    list("", "/buckets/b /");
    with("If-Match", "\"12\"");
    list("", "/buckets/b /");
    with("If-None-Match", "12");
    call("GET", "/permissions", NULL);
    want(400);
}
END_TEST

/* ---- settings -------------------------------------------------------------------------------- */

static struct server server;

static void start(const char *settings)
{
    server_start(&server, &(struct server_options){.settings = settings});
    api_use(server.url);
    as("alice");
}

START_TEST(switched_off)
{
    start("");
    call("GET", "/permissions", NULL);
    want(404);
    call("GET", "/", NULL);
    want_missing("/capabilities/permissions_endpoint");
    server_stop(&server);
}
END_TEST

START_TEST(for_some_only)
{
    start(ENDPOINT "kinto.permissions_read_principals = system.Authenticated\n"
                   "kinto.bucket_create_principals = system.Nobody");
    list("", "");
    as(NULL);
    call("GET", "/permissions", NULL);
    want(401);
    server_stop(&server);
}
END_TEST

/* Settings give rights on every object of a kind, also where nothing is shared. */
START_TEST(settings_give_rights)
{
    start(ENDPOINT "kinto.bucket_read_principals = system.Everyone\n"
                   "kinto.collection_create_principals = system.Authenticated\n"
                   "kinto.group_write_principals = system.Everyone\n"
                   "kinto.record_create_principals = system.Authenticated\n"
                   "kinto.record_read_principals = system.Everyone");
    fill();
    as(NULL);
    list("", "/buckets/b2 /buckets/b/groups/g /buckets/b");
    want_set("/data/0/permissions", "['read','read:attributes']");
    want_set("/data/1/permissions", "['read','write']");
    as("carol");
    list("", "/buckets/b2 /buckets/b/groups/g /buckets/b/collections/c /buckets/b /");
    want_set("/data/2/permissions", "['record:create','read:attributes']");
    want_set("/data/3/permissions", "['read','read:attributes','collection:create']");
    as("alice");
    list("?exclude_resource_name=root,group",
         "/buckets/b2 " R "/r /buckets/b/collections/c /buckets/b");
    server_stop(&server);
}
END_TEST

/* Whoever may write collections by a setting can make one where there is no bucket: that is listed
 * for whom it is shared with, and for all when the bucket is there. */
START_TEST(objects_of_no_bucket)
{
    start(ENDPOINT "kinto.collection_write_principals = system.Authenticated");
    call("POST", "/buckets/nowhere/collections", "{'data':{'id':'c'}}");
    want(201);
    list("?resource_name=collection", "/buckets/nowhere/collections/c");
    as("bob");
    list("?resource_name=collection", "");
    as("alice");
    call("PUT", "/buckets/nowhere", NULL);
    want(201);
    as("bob");
    list("?resource_name=collection", "/buckets/nowhere/collections/c");
    server_stop(&server);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/permissions_list");
    TCase *t = api_case(s, "entries", NULL);
    tcase_add_test(t, everything_of_ones_own_is_listed);
    tcase_add_test(t, entries_name_what_they_are);
    tcase_add_test(t, what_is_held_through_groups_and_by_name_is_one);
    tcase_add_test(t, nobody_has_what_everyone_has);
    tcase_add_test(t, the_deleted_are_gone);
    tcase_add_test(t, the_default_bucket_is_itself);
    t = api_case(s, "queries", NULL);
    tcase_add_loop_test(t, filters_and_order, 0, ARRAY_LEN(QUERIES));
    tcase_add_test(t, some_fields);
    tcase_add_test(t, unknown_fields);
    tcase_add_loop_test(t, pages_meet, 0, 2);
    tcase_add_test(t, other_methods);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, always_in_full);
    tcase_add_test(t, a_bucket_called_default);
    t = api_case_own(s, "settings");
    tcase_add_test(t, switched_off);
    tcase_add_test(t, for_some_only);
    tcase_add_test(t, settings_give_rights);
    tcase_add_test(t, objects_of_no_bucket);
    return s;
}

API_MAIN(suite, ENDPOINT)
