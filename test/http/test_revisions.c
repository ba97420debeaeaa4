/*
 * test/http/test_revisions.c - kinto.plugins.revisions: objects as they were, and back to them.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define C    "/buckets/b/collections/c"
#define LATE "9999999999999"

/* Writes, and says when. */
static long long write_at(const char *method, const char *path, const char *body)
{
    call(method, path, body);
    ck_assert_int_lt(re.status, 300);
    return num_at("/data/last_modified");
}

static void at_time(const char *path, long long time)
{
    call("GET", f("%s/revisions/%lld", path, time), NULL);
}

static void back_to(const char *path, long long time)
{
    call("POST", f("%s/revisions/%lld", path, time), NULL);
}

static void list(const char *path, const char *query)
{
    call("GET", f("%s/revisions%s", path, query), NULL);
    want(200);
}

/* "delete,update,create" */
static void want_actions(const char *path, const char *actions)
{
    static char found[512];
    size_t n = 0;
    found[0] = '\0';
    list(path, "");
    for (size_t i = 0; has(f("/data/%zu", i)); i++)
        n += (size_t)snprintf(found + n, sizeof found - n, "%s%s", i ? "," : "",
                              at(f("/data/%zu/action", i)));
    ck_assert_str_eq(found, actions);
}

/* ---- reading ---------------------------------------------------------------------------------- */

START_TEST(what_was)
{
    const char *alice = principal("alice");
    make_collection();
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    long long second = write_at("PATCH", R "/r", "{'data':{'m':2}}");
    long long third = write_at("PUT", R "/r", "{'data':{},'permissions':{'read':['x:y']}}");
    long long gone = write_at("DELETE", R "/r", NULL);
    at_time(R "/r", first);
    want(200);
    want_at("/data", f("{'n':1,'id':'r','last_modified':%lld}", first));
    want_at("/permissions", f("{'write':['%s']}", alice));
    want_header("ETag", f("\"%lld\"", first));
    with("If-None-Match", f("\"%lld\"", first));
    at_time(R "/r", first);
    want(304);
    at_time(R "/r", second);
    want_at("/data", f("{'n':1,'m':2,'id':'r','last_modified':%lld}", second));
    at_time(R "/r", gone - 1);
    want_at("/data/last_modified", f("%lld", third));
    want_set("/permissions/read", "['x:y']");
    call("GET", f(R "/r/revisions/%lld?_fields=n", first), NULL);
    want_at("/data", f("{'n':1,'id':'r','last_modified':%lld}", first));
    at_time(R "/r", first - 1);
    want_error(404, 110, NULL);
    at_time(R "/r", gone);
    want_error(404, 110, NULL);
    call("GET", R "/r/revisions/x", NULL);
    want_error(400, 107, NULL);
    call("GET", R "/r/revisions/99999999999999999999", NULL);
    want(400);
    call("GET", R "/r/revisions/-5", NULL);
    want(404);
}
END_TEST

START_TEST(the_list)
{
    const char *alice = principal("alice");
    make_collection();
    put(R "/r", "{'n':1}");
    put(R "/r", "{'n':2}");
    call("DELETE", R "/r", NULL);
    want_actions(R "/r", "delete,update,create");
    want_at("/data/1/user_id", f("'%s'", alice));
    want_at("/data/1/data/n", "2");
    want_at("/data/1/permissions", f("{'write':['%s']}", alice));
    want_at("/data/0/data/deleted", "true");
    want_at("/data/0/permissions", "{}");
    list(R "/r", "?data.n=1&_fields=action");
    want_count("/data", 1);
    want_at("/data/0/action", "'create'");
    list(R "/r", "?_limit=2");
    ck_assert_ptr_nonnull(header("Next-Page"));
    call("HEAD", R "/r/revisions", NULL);
    want_header("Total-Objects", "3");
    call("GET", R "/r/revisions?permissions.read=x", NULL);
    want_error(400, 107, NULL);
    call("DELETE", R "/r/revisions", NULL);
    want_error(405, 115, NULL);
    call("PUT", R "/r/revisions/5", "{}");
    want_error(405, 115, NULL);
    call("GET", R "/never/revisions", NULL);
    want_error(404, 111, NULL);
    call("GET", "/buckets/b/collections/d/records/r/revisions", NULL);
    want_error(404, 111, NULL);
}
END_TEST

START_TEST(all_kinds)
{
    static const char *const paths[] = {"/buckets/b", "/buckets/b/groups/g", C, R "/r"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        long long first = write_at("PUT", paths[i], "{'data':{'n':1}}");
        write_at("PATCH", paths[i], "{'data':{'n':2}}");
        want_actions(paths[i], "update,create");
        at_time(paths[i], first);
        want_at("/data/n", "1");
        back_to(paths[i], first);
        want(200);
        want_at("/data/n", "1");
    }
    call("DELETE", "/buckets/b/groups/g", NULL);
    want_actions("/buckets/b/groups/g", "delete,update,update,create");
    call("DELETE", C, NULL); /* and all about it goes */
    call("GET", C "/revisions", NULL);
    want(404);
    call("GET", R "/r/revisions", NULL);
    want(404);
    make(C);
    want_actions(C, "create");
    call("DELETE", "/buckets/b", NULL);
    call("GET", "/buckets/b/revisions", NULL);
    want(403);
    make("/buckets/b");
    want_actions("/buckets/b", "create");
}
END_TEST

/* The client's own times, also backwards: what was last is what was last written. */
START_TEST(times_of_clients)
{
    make_collection();
    write_at("PUT", R "/r", "{'data':{'n':1,'last_modified':1000}}");
    at_time(R "/r", 1000);
    want_at("/data/n", "1");
    at_time(R "/r", 999);
    want(404);
    long long gone = write_at("DELETE", R "/r", NULL);
    write_at("PUT", R "/r", "{'data':{'n':2,'last_modified':500}}");
    at_time(R "/r", gone);
    want(404);
    call("GET", R "/r/revisions/" LATE, NULL);
    want_at("/data/n", "2");
    at_time(R "/r", 500);
    want(404);
    write_at("PUT", R "/s", "{'data':{'last_modified':-5}}");
    at_time(R "/s", -5);
    want(200);
}
END_TEST

/* As late as a time can be, and then on. */
START_TEST(the_last_times)
{
    make_collection();
    long long last = 4611686018427387903;
    write_at("PUT", R "/r", f("{'data':{'n':1,'last_modified':%lld}}", last));
    write_at("PUT", R "/r", "{'data':{'n':2}}");
    long long later = write_at("PUT", R "/r", "{'data':{'n':3}}");
    ck_assert_int_eq(later, last + 2);
    at_time(R "/r", last);
    want_at("/data/n", "1");
    at_time(R "/r", last + 1);
    want_at("/data/n", "2");
    back_to(R "/r", last);
    want(200);
    want_actions(R "/r", "update,update,update,create");
    call("GET", "/buckets/b/snapshot/collections/c@9223372036854775807", NULL);
    want_at("/data/0/n", "1");
}
END_TEST

START_TEST(a_batch)
{
    make_collection();
    call("POST", "/batch",
         "{'requests':[{'method':'PUT','path':'" R "/r','body':{'data':{'n':1}}},"
         "{'method':'PUT','path':'" R "/r','body':{'data':{'n':2}}},"
         "{'path':'" R "/r/revisions'},"
         "{'method':'DELETE','path':'" R "/r'},"
         "{'path':'" R "/r/revisions/" LATE "'}]}");
    want_count("/responses/2/body/data", 2);
    want_at("/responses/4/status", "404");
    long long first = num_at("/responses/0/body/data/last_modified");
    call("POST", "/batch",
         f("{'requests':[{'method':'POST','path':'" R "/r/revisions/%lld'},{'path':'" R "/r'}]}",
           first));
    want_at("/responses/0/status", "201");
    want_at("/responses/1/body/data/n", "1");
    call("POST", "/batch",
         f("{'requests':[{'method':'POST','path':'" R "/r/revisions/%lld'},{'method':'PUT','path':"
           "'" R "/r','body':{'data':{'n':7}}},{'method':'POST','path':'" R "/r/revisions/%lld'}]}",
           first, first));
    want_at("/responses/2/body/data/n", "1");
    want_actions(R "/r", "update,update,update,create,delete,update,create");
}
END_TEST

/* ---- who -------------------------------------------------------------------------------------- */

START_TEST(readers)
{
    const char *bob = principal("bob");
    make_collection();
    long long first =
        write_at("PUT", R "/r", f("{'data':{'n':1},'permissions':{'read':['%s']}}", bob));
    as("carol");
    at_time(R "/r", first);
    want_error(403, 121, NULL);
    back_to(R "/r", first);
    want_error(403, 121, NULL);
    as(NULL);
    call("GET", R "/r/revisions", NULL);
    want_error(401, 104, NULL);
    as("bob");
    at_time(R "/r", first);
    want_at("/data/n", "1");
    want_at("/permissions", "{}");
    want_actions(R "/r", "create");
    want_missing("/data/0/permissions");
    want_at("/data/0/data/n", "1");
    back_to(R "/r", first);
    want_error(403, 121, NULL);
    as("alice");
    call("DELETE", R "/r", NULL);
    as("bob"); /* it is not his to read any more */
    call("GET", R "/r/revisions", NULL);
    want(403);
    at_time(R "/r", first);
    want(403);
}
END_TEST

/* Who may make objects, but not read those of others, does not get to see what had the name before. */
START_TEST(somebody_elses_past)
{
    make("/buckets/b");
    call("PUT", C, "{'permissions':{'record:create':['system.Authenticated']}}");
    long long first = write_at("PUT", R "/r", "{'data':{'secret':1}}");
    call("DELETE", R "/r", NULL);
    as("bob");
    back_to(R "/r", first);
    want(403);
    long long second = write_at("PUT", R "/r", "{'data':{'n':2}}");
    want_actions(R "/r", "create");
    call("HEAD", R "/r/revisions", NULL);
    want_header("Total-Objects", "1");
    list(R "/r", "?data.secret=1");
    want_count("/data", 0);
    list(R "/r", "?_since=0&_sort=last_modified");
    want_count("/data", 1);
    at_time(R "/r", first);
    want(404);
    at_time(R "/r", second - 1);
    want(404);
    back_to(R "/r", first);
    want(404);
    at_time(R "/r", second);
    want(200);
    as("alice");
    want_actions(R "/r", "create,delete,create");
    at_time(R "/r", first);
    want_at("/data/secret", "1");
}
END_TEST

/* ---- coming back ------------------------------------------------------------------------------ */

START_TEST(it_comes_back)
{
    const char *bob = principal("bob");
    make_collection();
    long long first =
        write_at("PUT", R "/r", f("{'data':{'n':1,'x':'y'},'permissions':{'write':['%s']}}", bob));
    long long second = write_at("PUT", R "/r", "{'data':{'n':2},'permissions':{'write':[]}}");
    back_to(R "/r", first);
    want(200);
    want_at("/data/n", "1");
    want_at("/data/x", "'y'");
    ck_assert_int_gt(num_at("/data/last_modified"), second);
    want_count("/permissions/write", 1); /* what was taken away stays away */
    call("GET", R "/r", NULL);
    want_at("/data/n", "1");
    want_actions(R "/r", "update,update,create");
    call("DELETE", R "/r", NULL);
    long long gone = num_at("/data/last_modified");
    back_to(R "/r", first);
    want(201);
    want_at("/data/n", "1");
    ck_assert_int_gt(num_at("/data/last_modified"), gone);
    want_count("/permissions/write", 2); /* all of it is back */
    call("GET", f(R "?_since=%lld", gone), NULL);
    want_ids("r");
    back_to(R "/r", gone);
    want_error(404, 110, NULL);
    call("POST", R "/r/revisions/x", NULL);
    want_error(400, 107, NULL);
}
END_TEST

/* As with any other update. */
START_TEST(it_may_be_refused)
{
    make_collection();
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    long long second = write_at("PUT", R "/r", "{'data':{'n':'text'}}");
    with("If-Match", f("\"%lld\"", first));
    back_to(R "/r", first);
    want_error(412, 114, NULL);
    want_at("/details/existing/n", "'text'");
    with("If-Match", f("\"%lld\"", second));
    back_to(R "/r", first);
    want(200);
    with("If-None-Match", "*");
    back_to(R "/r", first);
    want_error(412, 114, NULL);
    call("PUT", C, "{'data':{'schema':{'properties':{'n':{'type':'number'}}}}}");
    want(200);
    back_to(R "/r", second);
    want_error(400, 107, NULL);
    back_to(R "/r", first);
    want(200);
    ck_assert(has("/data/schema"));
    with("Content-Type", "text/plain");
    call("POST", f(R "/r/revisions/%lld", first), "x");
    want(415);
}
END_TEST

/* Listeners are told: the history has it. */
START_TEST(others_are_told)
{
    make_collection();
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    call("PUT", "/buckets/b/groups/g", f("{'data':{'members':['%s']}}", principal("bob")));
    long long with_bob = num_at("/data/last_modified");
    call("DELETE", R "/r", NULL);
    back_to(R "/r", first);
    call("GET", "/buckets/b/history?_limit=1", NULL);
    want_at("/data/0/action", "'create'");
    want_at("/data/0/uri", "'" R "/r'");
    call("PUT", "/buckets/b/groups/g", "{'data':{'members':[]}}");
    call("PATCH", C, "{'permissions':{'read':['/buckets/b/groups/g']}}");
    as("bob");
    call("GET", C, NULL);
    want(403);
    as("alice");
    back_to("/buckets/b/groups/g", with_bob);
    want(200);
    as("bob");
    call("GET", C, NULL);
    want(200);
}
END_TEST

START_TEST(the_default_bucket)
{
    call("PUT", "/buckets/default/collections/c/records/r", "{'data':{'n':1}}");
    long long first = num_at("/data/last_modified");
    put("/buckets/default/collections/c/records/r", "{'n':2}");
    at_time("/buckets/default/collections/c/records/r", first);
    want_at("/data/n", "1");
    back_to("/buckets/default/collections/c/records/r", first);
    want(200);
    call("GET", "/buckets/default/collections/c/records/r", NULL);
    want_at("/data/n", "1");
}
END_TEST

/* ---- settings --------------------------------------------------------------------------------- */

static struct server server;

static void start(const char *settings)
{
    server_start(&server, &(struct server_options){.settings = settings});
    api_use(server.url);
    as("alice");
}

START_TEST(only_the_newest_stay)
{
    start("kinto.includes = kinto.plugins.revisions\nkinto.revisions.max_count = 3\n");
    call("GET", "/", NULL);
    ck_assert(has("/capabilities/revisions/description"));
    make_collection();
    for (int i = 0; i < 5; i++)
        put(R "/r", f("{'n':%d}", i));
    list(R "/r", "");
    want_count("/data", 3);
    want_at("/data/2/data/n", "2");
    list(R "/r", "?_since=0");
    want_count("/data", 3);
    server_stop(&server);
}
END_TEST

/* Objects that are older than the plugin. */
START_TEST(switched_on_later)
{
    struct server_options o = {.settings = "kinto.includes =\n", .durable = true};
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    make_collection();
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    long long other = write_at("PUT", R "/s", "{'data':{'n':5}}");
    long long far = write_at("PUT", R "/t", "{'data':{'n':8,'last_modified':4611686018427387903}}");
    ck_assert(server_end(&server));
    static const char *const env[] = {"KINTO_INCLUDES=kinto.plugins.revisions", NULL};
    o.env = env;
    server_restart(&server, &o);
    api_use(server.url);
    want_actions(R "/r", "");
    at_time(R "/r", first);
    want_at("/data/n", "1");
    at_time(R "/r", first - 1);
    want(404);
    put(R "/r", "{'n':2}");
    want_actions(R "/r", "update,found");
    want_at("/data/1/user_id", "null");
    at_time(R "/r", first);
    want_at("/data/n", "1");
    back_to(R "/r", first);
    want(200);
    put(R "/t", "{'n':9}");
    want_actions(R "/t", "update,found");
    want_at("/data/1/date", "'9999-12-31T23:59:59.999000+00:00'");
    at_time(R "/t", far);
    want_at("/data/n", "8");
    call("DELETE", R "/s", NULL);
    want_actions(R "/s", "delete,found");
    back_to(R "/s", other);
    want(201);
    want_at("/data/n", "5");
    server_stop(&server);
}
END_TEST

/* Changed, and made anew by somebody else, while nobody wrote it down. */
START_TEST(switched_off_meanwhile)
{
    static const char *const on[] = {"KINTO_INCLUDES=kinto.plugins.revisions", NULL};
    static const char *const off[] = {"KINTO_INCLUDES=kinto.plugins.flush", NULL};
    struct server_options o = {.durable = true, .env = on};
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    call("PUT", "/buckets/b", "{'permissions':{'collection:create':['system.Authenticated']}}");
    want(201);
    call("PUT", "/buckets/b/collections/c",
         "{'permissions':{'record:create':['system.Authenticated']}}");
    want(201);
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    long long hers = write_at("PUT", R "/s", "{'data':{'secret':1}}");
    o.env = off;
    api_restart(&server, &o);
    long long second = write_at("PUT", R "/r", "{'data':{'n':2}}");
    call("DELETE", R "/s", NULL);
    want(200);
    as("bob");
    long long his = write_at("PUT", R "/s", "{'data':{'mine':1}}");
    o.env = on;
    api_restart(&server, &o);
    as("bob");
    at_time(R "/s", his);
    want_at("/data/mine", "1");
    at_time(R "/s", hers);
    want(404);
    put(R "/s", "{'mine':2}");
    at_time(R "/s", hers);
    want(404);
    at_time(R "/s", his);
    want_at("/data/mine", "1");
    as("alice");
    at_time(R "/r", second);
    want_at("/data/n", "2");
    at_time(R "/r", first);
    want_at("/data/n", "1");
    put(R "/r", "{'n':3}");
    want_actions(R "/r", "update,found,create");
    at_time(R "/r", second);
    want_at("/data/n", "2");
    server_stop(&server);
}
END_TEST

/* The same with the time of what was there before: it is not that. */
START_TEST(made_anew_at_the_same_time)
{
    static const char *const on[] = {"KINTO_INCLUDES=kinto.plugins.revisions", NULL};
    static const char *const off[] = {"KINTO_INCLUDES=kinto.plugins.flush", NULL};
    struct server_options o = {.durable = true, .env = on};
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    call("PUT", "/buckets/b", NULL);
    call("PUT", "/buckets/b/collections/c",
         "{'permissions':{'record:create':['system.Authenticated']}}");
    write_at("PUT", R "/r", "{'data':{'secret':1}}");
    long long time = write_at("PUT", R "/r", "{'data':{'secret':2}}");
    o.env = off;
    api_restart(&server, &o);
    as("alice");
    call("DELETE", R "/r", NULL);
    as("bob");
    ck_assert_int_eq(write_at("PUT", R "/r", f("{'data':{'mine':1,'last_modified':%lld}}", time)),
                     time);
    o.env = on;
    api_restart(&server, &o);
    as("bob");
    for (int written = 0; written < 2; written++) {
        call("GET", R "/r/revisions", NULL);
        want(200);
        ck_assert_ptr_null(strstr(re.body, "secret"));
        at_time(R "/r", time - 1);
        want(404);
        at_time(R "/r", time);
        if (written) {
            want(404); /* that time is the old one's; the new one's is that of its next change */
        } else {
            want_at("/data", f("{'mine':1,'id':'r','last_modified':%lld}", time));
            back_to(R "/r", time);
            want_at("/data/mine", "1");
        }
    }
    want_actions(R "/r", "update,found");
    server_stop(&server);
}
END_TEST

START_TEST(settings_of_the_kind)
{
    start("kinto.includes = kinto.plugins.revisions\n"
          "kinto.revision_read_principals = system.Everyone\n"
          "kinto.revision_cache_expires_seconds = 60\n"
          "kinto.object_revision_post_enabled = false\n"
          "kinto.plural_revision_head_enabled = false\n");
    make_collection();
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    back_to(R "/r", first);
    want(405);
    call("HEAD", R "/r/revisions", NULL);
    want(405);
    as(NULL);
    at_time(R "/r", first);
    want(200);
    want_header("Cache-Control", "max-age=60");
    want_at("/permissions", "{}");
    server_stop(&server);
}
END_TEST

/* Who may do it to all objects of the kind, by the settings, may do it to what they were. */
START_TEST(settings_of_what_it_is_of)
{
    start("kinto.includes = kinto.plugins.revisions\n"
          "kinto.record_read_principals = system.Authenticated\n"
          "kinto.collection_write_principals = system.Authenticated\n"
          "kinto.bucket_write_principals = system.Everyone\n");
    const char *alice = principal("alice");
    make_collection();
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    call("DELETE", R "/r", NULL);
    put(R "/r", "{'n':2}");
    long long made = write_at("PUT", C, "{'data':{'n':1}}");
    long long before = write_at("PUT", "/buckets/b/groups/g", "{'data':{'members':[]}}");
    as("bob");
    at_time(R "/r", first); /* he could have read that, too */
    want_at("/data/n", "1");
    want_at("/permissions", "{}");
    want_actions(R "/r", "create,delete,create");
    back_to(R "/r", first);
    want(403);
    at_time(C, made);
    want_set("/permissions/write", f("['%s']", alice));
    put(C, "{'n':2}");
    back_to(C, made);
    want(200);
    want_at("/data/n", "1");
    at_time("/buckets/b/groups/g", before); /* of no group it says so */
    want(403);
    as("alice");
    call("DELETE", R "/r", NULL);
    as("bob");
    at_time(R "/r", first);
    want_at("/data/n", "1");
    as(NULL);
    at_time(R "/r", first);
    want(401);
    call("GET", "/buckets/b/revisions", NULL);
    want(200);
    server_stop(&server);
}
END_TEST

/* Deleted, and not made anew, while nobody wrote it down. */
START_TEST(deleted_meanwhile)
{
    static const char *const on[] = {"KINTO_INCLUDES=kinto.plugins.revisions", NULL};
    static const char *const off[] = {"KINTO_INCLUDES=kinto.plugins.flush", NULL};
    struct server_options o = {.durable = true, .env = on};
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    make_collection();
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    long long second = write_at("PUT", R "/r", "{'data':{'n':2}}");
    put(R "/s", "{'n':1}");
    o.env = off;
    api_restart(&server, &o);
    long long gone = write_at("DELETE", R "/r", NULL);
    long long other = write_at("DELETE", R "/s", NULL);
    o.env = on;
    api_restart(&server, &o);
    for (int anew = 0; anew <= 1; anew++) {
        long long now = anew ? write_at("PUT", R "/r", "{'data':{'n':3}}") : 0;
        at_time(R "/r", gone);
        want(404);
        at_time(R "/r", anew ? now - 1 : gone + 1000);
        want(404);
        at_time(R "/r", gone - 1);
        want_at("/data/n", "2");
        at_time(R "/r", second);
        want_at("/data/n", "2");
        at_time(R "/r", first);
        want_at("/data/n", "1");
        want_actions(R "/r", anew ? "create,delete,update,create" : "update,create");
    }
    want_at("/data/1/user_id", "null");
    want_at("/data/1/data", f("{'id':'r','last_modified':%lld,'deleted':true}", gone));
    back_to(R "/s", other);
    want(404);
    back_to(R "/s", other - 1);
    want(201);
    server_stop(&server);
}
END_TEST

/* What a purge has taken away says nothing any more: it is known as long as it was known to be there. */
START_TEST(deleted_without_a_trace)
{
    static const char *const on[] = {"KINTO_INCLUDES=kinto.plugins.revisions", NULL};
    static const char *const off[] = {"KINTO_INCLUDES=kinto.plugins.flush", NULL};
    struct server_options o = {.durable = true, .env = on};
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    make_collection();
    long long first = write_at("PUT", R "/r", "{'data':{'n':1}}");
    o.env = off;
    api_restart(&server, &o);
    call("DELETE", R "/r", NULL);
    ck_assert(server_end(&server));
    const char *output;
    const char *const purge[] = {"purge-deleted", "--ini",  "kinto.ini", "--data",
                                 "data",          "record", "0",         NULL};
    ck_assert_int_eq(server_run(server.dir, purge, &output), 0);
    o.env = on;
    server_restart(&server, &o);
    api_use(server.url);
    for (int anew = 0; anew <= 1; anew++) {
        at_time(R "/r", first);
        want_at("/data/n", "1");
        at_time(R "/r", first + 1);
        want(404);
        put(R "/r", "{'n':2}");
    }
    server_stop(&server);
}
END_TEST

static Suite *suite(void)
{
    const TTest *const own[] = {only_the_newest_stay,       switched_on_later,
                                made_anew_at_the_same_time, switched_off_meanwhile,
                                deleted_meanwhile,          deleted_without_a_trace,
                                settings_of_the_kind,       settings_of_what_it_is_of};
    const TTest *const tests[] = {
        what_was,       the_list,          all_kinds,       times_of_clients,
        the_last_times, a_batch,           readers,         somebody_elses_past,
        it_comes_back,  it_may_be_refused, others_are_told, the_default_bucket};
    Suite *s = suite_create("http/revisions");
    TCase *t = api_case(s, "revisions", "ours");
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        tcase_add_test(t, tests[i]);
    t = api_case_own(s, "settings");
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        tcase_add_test(t, own[i]);
    return s;
}

API_MAIN(suite, "kinto.includes = kinto.plugins.revisions kinto.plugins.history "
                "kinto.plugins.flush kinto.plugins.default_bucket\n"
                "kinto.experimental_collection_schema_validation = true\n")
