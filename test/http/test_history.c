/*
 * test/http/test_history.c - kinto.plugins.history: entries, who reads them, what is left out and
 * what goes, and snapshots of a collection.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define BODY_DEPTH 128 /* API_BODY_DEPTH */
#define H          "/buckets/b/history"
#define C          "/buckets/b/collections/c"

/* "create /buckets/b/groups/g" of each entry, newest first, up to a NULL. */
static void want_changes(const char *const *changes)
{
    size_t n = 0;
    for (; changes[n]; n++)
        ck_assert_str_eq(f("%s %s", at(f("/data/%zu/action", n)), at(f("/data/%zu/uri", n))),
                         changes[n]);
    ck_assert(!has(f("/data/%zu", n)));
}
#define WANT_CHANGES(...) want_changes((const char *const[]){__VA_ARGS__, NULL})

static void list(const char *query)
{
    call("GET", f(H "%s", query), NULL);
    want(200);
}

/* ---- entries ---------------------------------------------------------------------------------- */

START_TEST(every_change_has_an_entry)
{
    make_collection();
    call("PATCH", "/buckets/b", "{'permissions':{'read':['x:y']}}");
    call("PUT", "/buckets/b/groups/g", "{'data':{'members':['x:y']}}");
    put(R "/r", "{'b':1,'a':[1.50,null]}");
    put(R "/s", "{}");
    call("PATCH", R "/r", "{'data':{'c':2}}");
    call("POST", R, "{'data':{'id':'s'}}"); /* only reads */
    call("DELETE", R, NULL);
    call("DELETE", "/buckets/b/groups/g", NULL);
    call("DELETE", C, NULL);
    list("");
    WANT_CHANGES("delete " C, "delete /buckets/b/groups/g", "delete " R "/s", "delete " R "/r",
                 "update " R "/r", "create " R "/s", "create " R "/r", "create /buckets/b/groups/g",
                 "update /buckets/b", "create " C, "create /buckets/b");
}
END_TEST

START_TEST(what_an_entry_says)
{
    const char *alice = principal("alice");
    make_collection();
    call("PUT", R "/r", "{'data':{'b':1,'a':[1.50,null]},'permissions':{'read':['x:y']}}");
    const char *time = f("%s", at("/data/last_modified"));
    list("?resource_name=record");
    want_at("/data/0/action", "'create'");
    want_at("/data/0/uri", "'" R "/r'");
    want_at("/data/0/user_id", f("'%s'", alice));
    want_at("/data/0/resource_name", "'record'");
    want_at("/data/0/collection_id", "'c'");
    want_at("/data/0/record_id", "'r'");
    want_missing("/data/0/bucket_id");
    want_at("/data/0/target/data", f("{'b':1,'a':[1.50,null],'id':'r','last_modified':%s}", time));
    want_at("/data/0/target/permissions", f("{'read':['x:y'],'write':['%s']}", alice));
    ck_assert_uint_eq(strlen(at("/data/0/id")), 36);
    ck_assert_uint_eq(strlen(at("/data/0/date")), strlen("2026-11-21T18:35:29.397562+00:00"));
    ck_assert_str_eq(at("/data/0/date") + 26, "+00:00");
    list("?resource_name=collection");
    want_at("/data/0/collection_id", "'c'");
    want_missing("/data/0/record_id");
    list("?resource_name=bucket");
    want_at("/data/0/bucket_id", "'b'");
    call("DELETE", R "/r", NULL);
    time = f("%s", at("/data/last_modified"));
    list("?action=delete");
    want_at("/data/0/target",
            f("{'data':{'id':'r','last_modified':%s,'deleted':true},'permissions':{}}", time));
}
END_TEST

START_TEST(nobody_is_null)
{
    make("/buckets/b");
    call("PUT", C, "{'permissions':{'record:create':['system.Everyone']}}");
    as(NULL);
    put(R "/r", "{}");
    as("alice");
    list("?resource_name=record");
    want_at("/data/0/user_id", "null");
    list("?user_id=null");
    want_count("/data", 1);
}
END_TEST

/* As they came, and all or nothing. */
START_TEST(a_batch)
{
    make_collection();
    call("POST", "/batch",
         "{'requests':[{'method':'PUT','path':'" R "/a'},{'method':'PATCH','path':'" R
         "/a','body':{'data':{'x':1}}},{'method':'PUT','path':'" R
         "/b'},{'method':'DELETE','path':'" R "/a'},{'path':'" H "?_limit=1'}]}");
    want_at("/responses/4/body/data/0/action", "'delete'");
    list("?resource_name=record");
    WANT_CHANGES("delete " R "/a", "create " R "/b", "update " R "/a", "create " R "/a");
}
END_TEST

START_TEST(a_refused_change_has_none)
{
    make_collection();
    with("If-Match", "\"1\"");
    call("PUT", R "/r", "{}");
    as("bob");
    call("PUT", R "/r", "{}");
    want(403);
    as("alice");
    call("PATCH", R "/r", "{'data':{}}");
    want(404);
    list("");
    want_count("/data", 2);
}
END_TEST

START_TEST(it_goes_with_the_bucket)
{
    make_collection();
    call("DELETE", "/buckets/b", NULL);
    want(200);
    call("GET", H, NULL);
    want(403);
    make("/buckets/b");
    list("?_since=0");
    WANT_CHANGES("create /buckets/b");
    call("DELETE", "/buckets", NULL);
    want(200);
    make("/buckets/b");
    list("");
    WANT_CHANGES("create /buckets/b");
}
END_TEST

START_TEST(the_default_bucket)
{
    call("GET", "/buckets/default/collections/c", NULL);
    want(200);
    call("GET", "/buckets/default/history", NULL);
    want_count("/data", 2);
    want_at("/data/0/resource_name", "'collection'");
    want_at("/data/1/resource_name", "'bucket'");
}
END_TEST

/* ---- the list --------------------------------------------------------------------------------- */

START_TEST(fields_are_known)
{
    make_collection();
    put(R "/12", "{'n':1}");
    put(R "/r", "{'n':2}");
    list("?record_id=12");
    want_count("/data", 1);
    list("?min_record_id=12"); /* what has none comes last */
    want_count("/data", 4);
    list("?target.data.n=2&_fields=target.data.n,uri");
    want_count("/data", 1);
    want_at("/data/0/target", "{'data':{'n':2}}");
    want_missing("/data/0/action");
    call("GET", H "?n=1", NULL);
    want_invalid("querystring", "n", "Unknown filter field 'n'");
    call("GET", H "?_sort=n", NULL);
    want_error(400, 107, "querystring: Unknown sort field 'n'");
    call("GET", H "?_fields=n", NULL);
    want_invalid("body", "Invalid _fields parameter", "Fields n do not exist");
    list("?_limit=1&_sort=date");
    want_at("/data/0/uri", "'/buckets/b'");
    ck_assert_ptr_nonnull(header("Next-Page"));
    list("");
    with("If-None-Match", etag());
    call("GET", H, NULL);
    want(304);
}
END_TEST

/* As of other lists. */
/* Data as deep as a body can be has an entry around it that is deeper. */
START_TEST(the_deepest_record)
{
    enum { N = BODY_DEPTH - 2 }; /* beside data and the body */
    char deep[2 * N + 1] = "";
    make("/buckets/b");
    make(C);
    memset(deep, '[', N);
    memset(deep + N, ']', N);
    call("PUT", C "/records/r", f("{'data':{'a':%s}}", deep));
    want(201);
    call("GET", H "?uri=" C "/records/r", NULL);
    want(200);
    want_text(re.body, deep);
    call("PUT", C "/records/r", f("{'data':{'a':[%s]}}", deep));
    want(400);
}
END_TEST

START_TEST(it_is_counted)
{
    make("/buckets/b");
    call("PUT", C, "{'permissions':{'record:create':['system.Authenticated']}}");
    put(R "/r", "{}");
    list("?has_record_id=false");
    want_count("/data", 2);
    call("HEAD", H "?resource_name=record", NULL);
    want_header("Total-Objects", "1");
    as("bob");
    put(R "/bobs", "{}");
    call("HEAD", H, NULL);
    want_header("Total-Objects", "1");
}
END_TEST

START_TEST(parts_of_it_are_deleted)
{
    make_collection();
    put(R "/r", "{}");
    put(R "/r", "{}");
    call("DELETE", H "?action=update", NULL);
    want(200);
    want_count("/data", 1);
    want_at("/data/0/deleted", "true");
    list("");
    WANT_CHANGES("create " R "/r", "create " C, "create /buckets/b");
    list("?_since=0");
    want_count("/data", 4);
    call("DELETE", H, NULL);
    want_count("/data", 3);
    list("");
    want_count("/data", 0);
}
END_TEST

START_TEST(nobody_writes_it)
{
    make("/buckets/b");
    list("");
    const char *id = at("/data/0/id");
    static const char *const methods[] = {"POST", "PUT", "PATCH"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        call(methods[i], H, "{'data':{}}");
        want_error(405, 115, NULL);
    }
    call("GET", f(H "/%s", id), NULL);
    want(404);
    call("PUT", f(H "/%s", id), "{'data':{}}");
    want(404);
}
END_TEST

/* ---- who reads -------------------------------------------------------------------------------- */

/* Whoever could read an object when it was changed, and whoever may read the bucket. */
START_TEST(readers)
{
    make("/buckets/b");
    call("PUT", C, f("{'permissions':{'record:create':['system.Authenticated']}}"));
    put(R "/r", "{}");
    as("bob");
    call("GET", H, NULL);
    want_error(403, 121, NULL);
    put(R "/bobs", "{}");
    list("");
    WANT_CHANGES("create " R "/bobs");
    call("DELETE", H, NULL);
    want(403);
    as(NULL);
    call("GET", H, NULL);
    want_error(401, 104, NULL);
    as("alice");
    call("PATCH", C, f("{'permissions':{'read':['%s']}}", principal("bob")));
    put(R "/r", "{'n':2}");
    call("PATCH", C, "{'permissions':{'read':[]}}");
    as("bob");
    list(""); /* not what was changed before and behind */
    WANT_CHANGES("update " R "/r", "update " C, "create " R "/bobs");
    call("GET", "/permissions?resource_name=history", NULL);
    want_count("/data", 0); /* no object has a URL of its own */
    as("alice");
    call("PATCH", "/buckets/b", f("{'permissions':{'read':['%s']}}", principal("bob")));
    as("bob");
    list("");
    want_count("/data", 8);
    call("DELETE", H, NULL);
    want(403);
}
END_TEST

/* ---- settings --------------------------------------------------------------------------------- */

static struct server server;

static void start(const char *settings)
{
    server_start(&server,
                 &(struct server_options){
                     .settings = f("kinto.includes = kinto.plugins.history\n%s", settings)});
    api_use(server.url);
    as("alice");
}

START_TEST(only_the_newest_stay)
{
    start("kinto.history.auto_trim_max_count = 3\nkinto.history.auto_trim_threshold = 2\n");
    call("GET", "/", NULL);
    want_at("/capabilities/history/auto_trim_max_count", "3");
    make_collection();
    for (int i = 1; i <= 5; i++)
        put(f(R "/r%d", i), "{}");
    list("?resource_name=record");
    want_count("/data", 5);
    put(R "/r6", "{}"); /* one over both together */
    list("");
    WANT_CHANGES("create " R "/r6", "create " R "/r5", "create " R "/r4", "create " C,
                 "create /buckets/b"); /* others are counted for themselves */
    list("?_since=0");
    want_count("/data", 5);                  /* no trace */
    call("DELETE", H "?record_id=r5", NULL); /* and is taken off the count */
    for (int i = 1; i <= 3; i++)
        put(f(R "/s%d", i), "{}");
    list("?resource_name=record");
    want_count("/data", 5);
    call("POST", "/batch",
         "{'defaults':{'method':'PUT'},'requests':[{'path':'" R "/t1'},{'path':'" R "/t2'}]}");
    list("?resource_name=record");
    WANT_CHANGES("create " R "/t2", "create " R "/t1", "create " R "/s3", "create " R "/s2");
    server_stop(&server);
}
END_TEST

/* n records, each new. */
static void make_records(const char *prefix, int n)
{
    for (int i = 0; i < n; i += 25) {
        char body[2048];
        size_t len =
            (size_t)snprintf(body, sizeof body, "{'defaults':{'method':'PUT'},'requests':[");
        for (int k = i; k < i + 25 && k < n; k++)
            len += (size_t)snprintf(body + len, sizeof body - len, "%s{'path':'" R "/%s%d'}",
                                    k > i ? "," : "", prefix, k);
        snprintf(body + len, sizeof body - len, "]}");
        call("POST", "/batch", body);
        want(200);
    }
}

static long entries_of_records(void)
{
    call("HEAD", H "?resource_name=record", NULL);
    return strtol(header("Total-Objects"), NULL, 10);
}

/* What is trimmed, taken out or gone through is more than the memory of a request: as much at a time as there
 * is room for. */
START_TEST(entries_larger_than_memory)
{
    struct server_options o = {
        .settings = "kinto.includes = kinto.plugins.history kinto.plugins.revisions\n"
                    "kinto.user-data_delete_principals = system.Authenticated\n"
                    "kinto.server.max_request_body_size = 524288\n"
                    "kinto.server.max_request_memory = 8388608",
        .durable = true};
    static const char *const trimmed[] = {"KINTO_HISTORY_AUTO_TRIM_MAX_COUNT=2",
                                          "KINTO_HISTORY_AUTO_TRIM_THRESHOLD=0",
                                          "KINTO_REVISIONS_MAX_COUNT=2", NULL};
    char *large = malloc(400001);
    ck_assert_ptr_nonnull(large);
    memset(large, 'x', 400000);
    large[400000] = '\0';
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    make_collection();
    for (int i = 0; i < 40; i++)
        put(R "/r", f("{'n':%d,'text':'%s'}", i, large));
    for (int i = 0; i < 40; i++) {
        put("/buckets/b/groups/g", f("{'text':'%s','members':['%s']}", large, principal("bob")));
        call("PATCH", R "/r",
             f("{'data':{'n':%d},'permissions':{'read':['%s'],'write':['%s']}}", i,
               principal("bob"), principal("alice")));
        want(200);
    }
    call("DELETE", f("/__user_data__/%s", principal("bob")), NULL);
    want(200);
    call("GET", "/buckets/b/groups/g?_fields=members", NULL);
    want_at("/data/members", "[]");
    make("/buckets/b/collections/d");
    for (int i = 0; i < 40; i++)
        put(f("/buckets/b/collections/d/records/%d", i), f("{'text':'%s'}", large));
    free(large);
    call("DELETE", "/buckets/b/collections/d/records", NULL);
    want(200);
    ck_assert(has("/data/39") && !has("/data/40"));
    o.env = trimmed;
    api_restart(&server, &o);
    as("alice");
    for (int i = 0; i < 30; i++)
        put(R "/r", "{}");
    ck_assert_int_eq(entries_of_records(), 2);
    call("HEAD", R "/r/revisions", NULL);
    want_header("Total-Objects", "2");
    server_stop(&server);
}
END_TEST

/* Of a history that was not trimmed before, each write counts 500 entries, the oldest first. */
START_TEST(counted_in_parts)
{
    struct server_options o = {.settings = "kinto.includes = kinto.plugins.history",
                               .durable = true};
    static const char *const trimmed[] = {"KINTO_HISTORY_AUTO_TRIM_MAX_COUNT=100",
                                          "KINTO_HISTORY_AUTO_TRIM_THRESHOLD=0", NULL};
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    make_collection();
    make_records("r", 1200);
    o.env = trimmed;
    api_restart(&server, &o);
    put(R "/s", "{}");
    long left = entries_of_records();
    ck_assert_int_lt(left, 1201 - 300); /* what was counted is trimmed at once */
    ck_assert_int_gt(left, 600);        /* and that was not all */
    /* Of what is counted, and of what is not yet: neither may be counted wrongly later. */
    call("DELETE", H "?_sort=last_modified&resource_name=record&_limit=5", NULL);
    call("DELETE", H "?resource_name=record&_limit=5", NULL);
    ck_assert_int_eq(entries_of_records(), left - 10);
    for (int i = 0; i < 3; i++)
        put(R "/s", f("{'n':%d}", i));
    ck_assert_int_eq(entries_of_records(), 100);
    put(R "/s", "{}");
    ck_assert_int_eq(entries_of_records(), 100);
    call("DELETE", H "?_sort=last_modified&resource_name=record&_limit=7", NULL);
    call("POST", "/batch",
         "{'requests':[{'method':'DELETE','path':'" H "?resource_name=record&_limit=3'},"
         "{'method':'PUT','path':'" R "/u'},"
         "{'method':'DELETE','path':'" H "?record_id=u'}]}");
    want(200);
    ck_assert_int_eq(entries_of_records(), 90);
    make_records("v", 10);
    ck_assert_int_eq(entries_of_records(), 100);
    make_records("w", 3);
    ck_assert_int_eq(entries_of_records(), 100);
    server_stop(&server);
}
END_TEST

/* While it is off nobody counts. */
START_TEST(trimmed_on_and_off)
{
    struct server_options o = {.settings = "kinto.includes = kinto.plugins.history",
                               .durable = true};
    static const char *const trimmed[] = {"KINTO_HISTORY_AUTO_TRIM_MAX_COUNT=10",
                                          "KINTO_HISTORY_AUTO_TRIM_THRESHOLD=0", NULL};
    o.env = trimmed;
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    make_collection();
    make_records("r", 10);
    o.env = NULL;
    api_restart(&server, &o);
    make_records("s", 5);
    call("DELETE", H "?resource_name=record&_limit=5", NULL); /* as many as before */
    ck_assert_int_eq(entries_of_records(), 10);
    make_records("t", 2);
    o.env = trimmed;
    api_restart(&server, &o);
    call("DELETE", H "?record_id=t0", NULL);
    ck_assert_int_eq(entries_of_records(), 11);
    make_records("u", 1);
    ck_assert_int_eq(entries_of_records(), 10);
    server_stop(&server);
}
END_TEST

START_TEST(only_of_some_users)
{
    start("");
    const char *bob = principal("bob");
    server_stop(&server);
    start(f("kinto.history.auto_trim_max_count = 2\nkinto.history.auto_trim_threshold = 0\n"
            "kinto.history.auto_trim_user_ids = nobody %s\n",
            bob));
    call("GET", "/", NULL);
    want_at("/capabilities/history/auto_trim_user_ids", f("['nobody','%s']", bob));
    make("/buckets/b");
    call("PUT", C, "{'permissions':{'write':['system.Authenticated']}}");
    for (int i = 1; i <= 4; i++) {
        as("alice");
        put(f(R "/a%d", i), "{}");
        as("bob");
        put(f(R "/b%d", i), "{}");
    }
    as("alice");
    list("?resource_name=record");
    WANT_CHANGES("create " R "/b4", "create " R "/a4", "create " R "/b3", "create " R "/a3",
                 "create " R "/a2", "create " R "/a1");
    server_stop(&server);
}
END_TEST

START_TEST(what_is_left_out)
{
    start("");
    const char *bob = principal("bob");
    server_stop(&server);
    start(f("kinto.history.exclude_resources = /buckets/x /buckets/b/groups/no\n"
            "  /buckets/b/collections/no /buckets/b/collections/c/records/no\n"
            "kinto.history.exclude_user_ids = %s\n",
            bob));
    call("GET", "/", NULL);
    want_at("/capabilities/history/excluded_resources",
            "[{'bucket':'x'},{'bucket':'b','group':'no'},{'bucket':'b','collection':'no'},"
            "{'bucket':'b','collection':'c','record':'no'}]");
    make("/buckets/x");
    make("/buckets/x/groups/g");
    call("GET", "/buckets/x/history", NULL);
    want_count("/data", 0);
    call("PUT", "/buckets/b", "{'permissions':{'write':['system.Authenticated']}}");
    make(C);
    make("/buckets/b/groups/no");
    make("/buckets/b/collections/no");
    make("/buckets/b/collections/no/records/r");
    put(R "/no", "{}");
    put(R "/yes", "{}");
    as("bob");
    put(R "/bobs", "{}");
    list("");
    WANT_CHANGES("create " R "/yes", "create " C, "create /buckets/b");
    server_stop(&server);
}
END_TEST

START_TEST(settings_that_mean_nothing)
{
    static const char *const wrong[] = {"/buckets", "/buckets/b/records/r", "b",
                                        "/buckets/b/groups/g/records/r", "/buckets/b/"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const char *out;
        int status = server_refuse(
            &(struct server_options){.settings = f("kinto.includes = kinto.plugins.history\n"
                                                   "kinto.history.exclude_resources = %s\n",
                                                   wrong[i])},
            &out);
        ck_assert_int_eq(status, 1);
        ck_assert_ptr_nonnull(strstr(out, "kinto.history.exclude_resources"));
    }
}
END_TEST

START_TEST(settings_of_the_kind)
{
    start("kinto.history_read_principals = system.Everyone\n"
          "kinto.history_cache_expires_seconds = 60\n"
          "kinto.plural_history_delete_enabled = false\n");
    make("/buckets/b");
    as(NULL);
    list("");
    want_header("Cache-Control", "max-age=60");
    as("alice");
    call("DELETE", H, NULL);
    want(405);
    server_stop(&server);
    start("kinto.history_write_principals = system.Authenticated\nkinto.explicit_permissions = "
          "false\nkinto.bucket_write_principals = system.Authenticated\n"
          "kinto.collection_write_principals = system.Authenticated\n"
          "kinto.collection_create_principals = system.Authenticated\n"
          "kinto.record_create_principals = system.Authenticated\n"
          "kinto.record_write_principals = system.Authenticated\n");
    make_collection();
    put(R "/r", "{}");
    put(R "/s", "{}");
    call("DELETE", R, NULL);
    want(200);
    list("?action=delete");
    want_count("/data", 2);
    as("bob");
    call("DELETE", H, NULL);
    want(200);
    server_stop(&server);
    start("kinto.readonly = true\n");
    call("DELETE", H, NULL);
    want(405);
    server_stop(&server);
}
END_TEST

/* ---- snapshots -------------------------------------------------------------------------------- */

#define AT "/buckets/b/snapshot/collections/c@"

static long long put_at(const char *id, const char *data)
{
    put(f(R "/%s", id), data);
    return num_at("/data/last_modified");
}

START_TEST(as_it_was)
{
    make_collection();
    put_at("gone", "{'n':1}");
    call("DELETE", R "/gone", NULL);
    put_at("same", "{'n':1}");
    put_at("changed", "{'n':1}");
    long long then = put_at("deleted", "{'n':1}");
    put_at("changed", "{'n':2}");
    put_at("changed", "{'n':3}");
    call("DELETE", R "/deleted", NULL);
    put_at("gone", "{'n':2}");
    long long later = put_at("new", "{}");
    call("GET", f(AT "%lld", then), NULL);
    want(200);
    want_ids("deleted,changed,same");
    want_at("/data/1/n", "1");
    want_no_header("ETag");
    call("GET", f(AT "%lld", later), NULL);
    want_ids("new,gone,changed,same");
    want_at("/data/2/n", "3");
    call("GET", AT "99999999999999999999", NULL);
    want_ids("new,gone,changed,same");
    call("GET", AT "0", NULL);
    want_body("{'data':[]}");
    call("DELETE", H, NULL);
    call("GET", f(AT "%lld", then), NULL);
    want_ids("same"); /* what nobody remembers */
}
END_TEST

/* The time of a record may be the client's. */
START_TEST(as_it_was_by_its_own_time)
{
    make_collection();
    put(R "/old", "{'last_modified':1000,'n':1}");
    put(R "/old", "{'n':2}");
    put(R "/other", "{}");
    call("GET", AT "999", NULL);
    want_ids("");
    call("GET", AT "1000", NULL);
    want_ids("old");
    want_at("/data/0/n", "1");
}
END_TEST

/* More entries than are read in one go. */
START_TEST(far_back)
{
    make_collection();
    long long then = put_at("first", "{'n':1}");
    for (int i = 0; i < 40; i++)
        call("POST", "/batch",
             "{'defaults':{'method':'PUT'},'requests':[{'path':'" R "/a'},{'path':'" R
             "/b'},{'path':'" R "/c'},{'path':'" R "/d'},{'path':'" R "/e'},{'path':'" R
             "/f'},{'path':'" R "/g'},{'path':'" R "/first','body':{'data':{'n':2}}}]}");
    call("GET", f(AT "%lld", then), NULL);
    want_ids("first");
    want_at("/data/0/n", "1");
    call("POST", "/batch",
         f("{'requests':[{'path':'" AT "%lld'},{'method':'PUT','path':'" R "/z'},{'path':'" AT
           "%lld'}]}",
           then, then));
    want_at("/responses/0/body/data/0/n", "1");
    want_at("/responses/2/body/data/0/n", "1");
}
END_TEST

/* Too much for a loop: by a thread of its own, which must come to the same. */
START_TEST(much_of_it)
{
    make_collection();
    long long then = put_at("first", "{'n':1}");
    make_records("r", 2100);
    put_at("first", "{'n':2}");
    long long now = put_at("r7", "{'n':7}");
    call("GET", f(AT "%lld", then), NULL);
    want(200);
    want_ids("first");
    want_at("/data/0/n", "1");
    call("GET", f(AT "%lld", now - 1), NULL);
    want(200);
    want_count("/data", 2101);
    want_at("/data/0/id", "'first'");
    want_at("/data/0/n", "2");
    const char *alone = strdup(re.body);
    for (int writes = 0; writes <= 1; writes++) {
        call("POST", "/batch",
             f("{'requests':[{'path':'" AT "%lld'},{'method':'%s','path':'" R "/r8'},{'path':'" AT
               "%lld'}]}",
               now - 1, writes ? "PUT" : "GET", now - 1));
        want(200);
        for (int i = 0; i <= 2; i += 2) {
            want_count(f("/responses/%d/body/data", i), 2101);
            want_at(f("/responses/%d/body/data/0/n", i), "2");
        }
        ck_assert_ptr_nonnull(strstr(re.body, str_drop(str_from(alone), 1).p));
    }
    as("bob");
    call("GET", f(AT "%lld", now - 1), NULL);
    want(403);
    free((char *)alone);
}
END_TEST

START_TEST(who_may_look_back)
{
    make_collection();
    put(R "/r", "{}");
    as("bob");
    call("GET", AT "9999999999999", NULL);
    want_error(403, 121, NULL);
    as(NULL);
    call("GET", AT "9999999999999", NULL);
    want_error(401, 104, NULL);
    as("alice");
    call("PATCH", C, f("{'permissions':{'read':['%s']}}", principal("bob")));
    as("bob");
    call("GET", AT "9999999999999", NULL);
    want_ids("r");
    call("GET", "/buckets/b/snapshot/collections/d@1", NULL);
    want(403);
    as("alice");
    call("GET", "/buckets/b/snapshot/collections/d@1", NULL);
    want_body("{'data':[]}");
}
END_TEST

START_TEST(wrong_snapshots)
{
    static const char *const times[] = {"x", "-1", "1.5", "1_0"};
    make_collection();
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        call("GET", f(AT "%s", times[i]), NULL);
        want_invalid("path", "timestamp", f("Invalid timestamp '%s'", times[i]));
    }
    call("GET", AT "%20+5%20", NULL);
    want(200);
    call("GET", AT, NULL);
    want_error(404, 111, NULL);
    call("GET", "/buckets/b/snapshot/collections/c", NULL);
    want_error(404, 111, NULL);
    call("GET", "/buckets/b/snapshot/collections/@5", NULL);
    want_error(404, 111, NULL);
    call("GET", "/buckets/b/snapshot/collections/a@b@5", NULL);
    want(404);
    want_at("/details", "{'id':'a@b','resource_name':'collection'}");
    call("GET", "/buckets/_x/snapshot/collections/c@5", NULL);
    want_at("/details", "{'id':'_x','resource_name':'bucket'}");
    call("PUT", AT "5", "{}");
    want_error(405, 115, NULL);
    want_header("Allow", "GET, HEAD, OPTIONS");
}
END_TEST

/* Who made the collection anew does not see what was in somebody else's of that name. */
START_TEST(the_snapshot_of_a_collection_made_anew)
{
    make_collection();
    call("PATCH", "/buckets/b", "{'permissions':{'collection:create':['system.Authenticated']}}");
    put(R "/r", "{'text':'my diary','last_modified':1000}");
    call("DELETE", C, NULL);
    as("bob");
    call("PUT", C, "{}");
    want(201);
    long long now = put_at("r", "{'n':1}");
    put_at("r", "{'n':2}");
    call("GET", AT "1000", NULL);
    want_body("{'data':[]}");
    call("GET", f(AT "%lld", now), NULL);
    want_at("/data/0/n", "1");
    as("alice"); /* whose bucket it is */
    call("GET", AT "1000", NULL);
    want_at("/data/0/text", "'my diary'");
}
END_TEST

/* Not even when the entry that tells so was trimmed away. */
START_TEST(a_beginning_that_nobody_remembers)
{
    start("kinto.history.auto_trim_max_count = 3\nkinto.history.auto_trim_threshold = 0\n");
    make_collection();
    call("PATCH", "/buckets/b", "{'permissions':{'collection:create':['system.Authenticated']}}");
    put(R "/r", "{'text':'my diary','last_modified':1000}");
    call("DELETE", C, NULL);
    as("bob");
    put(C, "{}");
    put(R "/r", "{'n':1,'last_modified':2000}");
    for (int i = 0; i < 4; i++)
        put(C, f("{'n':%d}", i));
    long long then = put_at("s", "{'n':1}");
    put_at("s", "{'n':2}");
    call("GET", AT "1500", NULL);
    want_body("{'data':[]}");
    call("GET", f(AT "%lld", then), NULL);
    want_ids("s,r");
    want_at("/data/0/n", "1");
    server_stop(&server);
}
END_TEST

/* Settings let nobody look back, as in the reference; but who may read every collection by them is not
 * kept from what had the name before. */
START_TEST(settings_and_snapshots)
{
    start("kinto.bucket_read_principals = system.Everyone\n"
          "kinto.collection_write_principals = system.Everyone\n"
          "kinto.record_read_principals = system.Everyone\n"
          "kinto.history_write_principals = system.Everyone\n");
    make_collection();
    put(R "/r", "{'n':1,'last_modified':1000}");
    as("bob");
    call("GET", AT "9999999999999", NULL);
    want_error(403, 121, NULL);
    call("DELETE", C, NULL);
    want(200);
    as("alice");
    call("PUT", C, f("{'permissions':{'read':['%s']}}", principal("bob")));
    put(R "/r", "{'n':2}");
    as("bob");
    call("GET", AT "1000", NULL);
    want_at("/data/0/n", "1");
    server_stop(&server);
}
END_TEST

static Suite *suite(void)
{
    const TTest *const own[] = {
        only_the_newest_stay,  entries_larger_than_memory,        counted_in_parts,
        trimmed_on_and_off,    a_beginning_that_nobody_remembers, only_of_some_users,
        what_is_left_out,      settings_that_mean_nothing,        settings_of_the_kind,
        settings_and_snapshots};
    const TTest *const tests[] = {every_change_has_an_entry,
                                  what_an_entry_says,
                                  nobody_is_null,
                                  a_refused_change_has_none,
                                  it_goes_with_the_bucket,
                                  fields_are_known,
                                  parts_of_it_are_deleted,
                                  nobody_writes_it,
                                  readers,
                                  as_it_was_by_its_own_time,
                                  far_back,
                                  much_of_it,
                                  who_may_look_back};
    const TTest *const ours[] = {it_is_counted,  the_deepest_record,
                                 a_batch,        the_default_bucket,
                                 as_it_was,      the_snapshot_of_a_collection_made_anew,
                                 wrong_snapshots};
    Suite *s = suite_create("http/history");
    TCase *t = api_case(s, "history", NULL);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(t, tests[i]);
    t = api_case(s, "ours", "ours");
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        tcase_add_test(t, ours[i]);
    t = api_case_own(s, "settings");
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        tcase_add_test(t, own[i]);
    return s;
}

API_MAIN(suite, "kinto.includes = kinto.plugins.history kinto.plugins.flush "
                "kinto.plugins.default_bucket\n"
                "kinto.experimental_permissions_endpoint = true\n")
