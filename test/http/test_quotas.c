/*
 * test/http/test_quotas.c - kinto.plugins.quotas: limits are kept, and what they are held against
 * is the truth: after every kind of change, restarts, a SIGKILL, and changes that the plugin did
 * not see. Messages are those of Kinto 14.8, the last version with the plugin, unless
 * doc/differences.md says otherwise.
 */
#include <pthread.h>

#include "test/support/api.h"
#include "test/support/unit.h"

#define LIMIT 100000 /* bytes of any bucket */
#define NAMED                                                                                      \
    "kinto.quotas.bucket_max_bytes = 100000\n"                                                     \
    "kinto.quotas.collection_max_items = 3\n"                                                      \
    "kinto.quotas.collection_many_max_items = 1000\n"                                              \
    "kinto.quotas.collection_b_one_max_items = 1\n"                                                \
    "kinto.quotas.collection_small_max_bytes = 300\n"                                              \
    "kinto.quotas.bucket_tiny_max_bytes = 400\n"                                                   \
    "kinto.quotas.bucket_few_max_items = 2\n"                                                      \
    "kinto.quotas.bucket_light_max_bytes_per_item = 100\n"                                         \
    "kinto.quotas.collection_light_c_max_bytes_per_item = 150\n"
#define SETTINGS                                                                                   \
    "kinto.includes = kinto.plugins.quotas kinto.plugins.default_bucket "                          \
    "kinto.plugins.flush\n" NAMED

/* ---- the truth ------------------------------------------------------------------------------- */

/* Bytes of JSON text when it is written in ASCII (tests use no 0x7f here). */
static long size_of(const char *json)
{
    long n = 0;
    for (const unsigned char *p = (const unsigned char *)json; *p; p++)
        n += *p < 0x80 ? 1 : *p >= 0xf0 ? 12 : *p >= 0xc0 ? 6 : 0;
    return n;
}

/* All data in a list; of collections, their records, too. */
static long size_of_list(const char *list)
{
    char path[256];
    long n = 0;
    char *items[64], *names[64];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s", list);
    call("GET", path, NULL);
    want(200);
    for (; has(f("/data/%u", count)); count++) {
        ck_assert_uint_lt(count, ARRAY_LEN(items));
        items[count] = strdup(at(f("/data/%u", count)));
        names[count] = strdup(at(f("/data/%u/id", count)));
    }
    for (unsigned i = 0; i < count; i++) {
        n += size_of(items[i]);
        if (strstr(path, "/collections") && !strstr(path, "/records"))
            n += size_of_list(f("%s/%s/records", path, names[i]));
        free(items[i]);
        free(names[i]);
    }
    return n;
}

static long size_of_bucket(const char *id)
{
    call("GET", f("/buckets/%s", id), NULL);
    want(200);
    long n = size_of(at("/data"));
    n += size_of_list(f("/buckets/%s/groups", id));
    return n + size_of_list(f("/buckets/%s/collections", id));
}

/* What the last answer says is left. */
static long left(const char *name)
{
    const char *value = header("Quota-Remaining");
    ck_assert_ptr_nonnull(value);
    const char *found = strstr(value, name);
    ck_assert_msg(found && found[strlen(name)] == '=', "%s: %s", value, name);
    return strtol(found + strlen(name) + 1, NULL, 10);
}

/* Is what is counted what is there? */
static void check_bucket(const char *id)
{
    call("PATCH", f("/buckets/%s", id), "{'data':{}}");
    want(200);
    long counted = LIMIT - left("bytes");
    ck_assert_int_eq(counted, size_of_bucket(id));
}

#define want_over(message) want_error(507, 121, message)

/* ---- sums ------------------------------------------------------------------------------------ */

START_TEST(sums_are_exact)
{
    make_collection();
    check_bucket("b");
    call("PUT", R "/r", "{'data':{'last_modified':1700000000000,'a':'é€😀\\u007f\\\\\\n'}}");
    want(201);
    ck_assert_int_eq(left("items"), 2);
    long room = left("bytes"); /* 81: as Python's json.dumps(..., separators=(",", ":")) has it */
    call("DELETE", R "/r", NULL);
    ck_assert_int_eq(left("bytes") - room, 81);
    put(R "/r", "{}");
    call("DELETE", R "/r", NULL);
    want(200);
    ck_assert_int_eq(left("items"), 3);
    check_bucket("b");
    put(R "/r", "{'long':[1,2,3,{'x':1.5}]}");
    put(R "/r", "{'b':'ü'}");
    check_bucket("b");
    call("PATCH", R "/r", "{'data':{'c':[true,null],'d':1e30}}");
    want(200);
    check_bucket("b");
    call("POST", R,
         "{'data':{'id':'s','permissions':1},'permissions':{'read':['system.Everyone']}}");
    want(201);
    call("POST", R, "{'data':{'id':'s','x':'is there already'}}");
    want(200);
    want_no_header("Quota-Remaining");
    check_bucket("b");
    call("PATCH", R "/s", "{'permissions':{'read':['basicauth:somebody']}}");
    want(200);
    make("/buckets/b/groups/g");
    put("/buckets/b/groups/g", "{'members':['x:z','x:y']}");
    make("/buckets/b/collections/d");
    put("/buckets/b/collections/d", "{'schema':{'type':'object'}}");
    put("/buckets/b/collections/d/records/t", "{}");
    put("/buckets/b", "{'of':'its own'}");
    check_bucket("b");
    call("DELETE", R "?_limit=1", NULL);
    want(200);
    check_bucket("b");
    call("DELETE", "/buckets/b/groups", NULL);
    want(200);
    check_bucket("b");
}
END_TEST

/* What lies in something that is deleted goes without a word. */
START_TEST(below_what_is_deleted)
{
    make_collection();
    put(R "/r", "{'a':1}");
    put(R "/s", "{'a':2}");
    make("/buckets/b/collections/d");
    put("/buckets/b/collections/d/records/t", "{}");
    call("DELETE", "/buckets/b/collections/c", NULL);
    want(200);
    check_bucket("b");
    make("/buckets/b/collections/c"); /* again, with nothing in it */
    for (int i = 0; i < 3; i++)
        put(f(R "/%d", i), "{}");
    call("PUT", R "/3", NULL);
    want_over("Collection maximum number of objects exceeded (4 > 3 objects).");
    check_bucket("b");
    call("DELETE", "/buckets/b/collections", NULL);
    want(200);
    check_bucket("b");
    call("DELETE", "/buckets/b", NULL);
    want(200);
    want_no_header("Quota-Remaining");
    make_collection();
    put(R "/r", "{}");
    check_bucket("b");
    make("/buckets/b2");
    call("DELETE", "/buckets", NULL);
    want(200);
    make("/buckets/b2");
    check_bucket("b2");
    call("POST", "/__flush__", NULL);
    make_collection();
    put(R "/r", "{}");
    check_bucket("b");
}
END_TEST

/* ---- limits ---------------------------------------------------------------------------------- */

START_TEST(items)
{
    make_collection();
    for (int i = 0; i < 3; i++)
        put(f(R "/%d", i), "{}");
    ck_assert_int_eq(left("items"), 0);
    call("POST", R, "{'data':{}}");
    want_over("Collection maximum number of objects exceeded (4 > 3 objects).");
    want_no_header("Quota-Remaining");
    put(R "/0", "{'what is there':'may grow'}");
    call("DELETE", R "/1", NULL);
    want(200);
    put(R "/4", "{}");
    make("/buckets/b/collections/one");
    put("/buckets/b/collections/one/records/r", "{}");
    call("PUT", "/buckets/b/collections/one/records/s", NULL);
    want_over("Collection maximum number of objects exceeded (2 > 1 objects).");
    call("GET", "/buckets/b/collections/one/records", NULL);
    want_ids("r");
    make("/buckets/few");
    for (int i = 0; i < 2; i++) {
        make(f("/buckets/few/collections/%d", i));
        make(f("/buckets/few/collections/%d/records/r", i));
    }
    call("PUT", "/buckets/few/collections/0/records/s", NULL);
    want_over("Bucket maximum number of objects exceeded (3 > 2 objects).");
    call("DELETE", "/buckets/few/collections/1", NULL);
    want(200);
    ck_assert_int_eq(left("items"), 1);
    make("/buckets/few/collections/0/records/s");
}
END_TEST

START_TEST(bytes)
{
    make("/buckets/small");
    make("/buckets/small/collections/c");
    call("PUT", "/buckets/small/collections/c/records/r",
         f("{'data':{'a':'%s'}}", repeat('x', 300)));
    want(507);
    ck_assert_ptr_nonnull(strstr(at("/message"), "Collection maximum size exceeded ("));
    ck_assert_ptr_nonnull(strstr(at("/message"), " > 300 Bytes)."));
    put("/buckets/small/collections/c/records/r", "{'a':'x'}");
    long room = left("bytes");
    put("/buckets/small/collections/c/records/r", f("{'a':'x%s'}", repeat('x', (size_t)room)));
    ck_assert_int_eq(left("bytes"), 0);
    call("PUT", "/buckets/small/collections/c/records/r",
         f("{'data':{'a':'xx%s'}}", repeat('x', (size_t)room)));
    want_over("Collection maximum size exceeded (301 > 300 Bytes).");
    call("PATCH", "/buckets/small/collections/c", "{'data':{'y':1}}");
    want_over("Collection maximum size exceeded (306 > 300 Bytes).");
    put("/buckets/small", "{'a':'of the bucket: not of the collection'}");
    make("/buckets/tiny");
    long bucket = size_of_bucket("tiny");
    call("PUT", "/buckets/tiny/groups/g", f("{'data':{'members':['%s']}}", repeat('x', 400)));
    want(507);
    ck_assert_ptr_nonnull(strstr(at("/message"), " > 400 Bytes). "));
    put("/buckets/tiny", f("{'a':'%s'}", repeat('x', 400 - (size_t)bucket - 7)));
    ck_assert_int_eq(left("bytes"), 0);
    call("POST", "/buckets/tiny/collections", NULL);
    want(507);
    put("/buckets/tiny", "{}");
    make("/buckets/tiny/collections/c");
}
END_TEST

START_TEST(bytes_of_one_item)
{
    make("/buckets/light");
    call("PUT", "/buckets/light", f("{'data':{'a':'%s'}}", repeat('x', 100)));
    want_over("Maximum bytes per object exceeded (151 > 100 Bytes).");
    call("PUT", "/buckets/light/groups/g", f("{'data':{'members':['%s']}}", repeat('x', 60)));
    want(507);
    make("/buckets/light/collections/c");
    put("/buckets/light/collections/c/records/r", f("{'a':'%s'}", repeat('x', 100)));
    ck_assert_int_eq(size_of(at("/data")), 147);
    call("PUT", "/buckets/light/collections/c/records/r",
         f("{'data':{'a':'%s'}}", repeat('x', 104)));
    want_over("Maximum bytes per object exceeded (151 > 150 Bytes).");
    make("/buckets/light/collections/d");
    call("PUT", "/buckets/light/collections/d/records/r",
         f("{'data':{'a':'%s'}}", repeat('x', 100)));
    want_over("Maximum bytes per object exceeded (147 > 100 Bytes).");
    call("DELETE", "/buckets/light/collections/c/records/r", NULL);
    want(200);
}
END_TEST

/* One part over the limit undoes the batch, and its error is the batch's answer. */
START_TEST(a_batch_is_all_or_nothing)
{
    make("/buckets/b");
    call("POST", "/batch",
         "{'defaults':{'method':'PUT'},'requests':[{'path':'/buckets/b/collections/c'},"
         "{'path':'" R "/1'},{'path':'" R "/2'},{'path':'" R "/3'},{'path':'" R "/4'},"
         "{'path':'/buckets/c'}]}");
    want_over("Collection maximum number of objects exceeded (4 > 3 objects).");
    call("GET", "/buckets/b/collections", NULL);
    want_ids("");
    check_bucket("b");
    call("POST", "/batch",
         "{'defaults':{'method':'PUT'},'requests':[{'path':'/buckets/b/collections/c'},"
         "{'path':'" R "/1'},{'path':'" R "/2'},{'path':'" R "/3'},"
         "{'method':'DELETE','path':'" R "/1'},{'path':'" R "/4'},"
         "{'method':'PATCH','path':'/buckets/b','body':{'data':{}}}]}");
    want(200);
    want_at("/responses/5/status", "201");
    ck_assert_str_eq(at("/responses/3/headers/Quota-Remaining"),
                     f("bytes=%s", at("/responses/3/headers/Quota-Remaining") + strlen("bytes=")));
    ck_assert_ptr_nonnull(strstr(at("/responses/3/headers/Quota-Remaining"), ", items=0"));
    ck_assert_ptr_nonnull(strstr(at("/responses/4/headers/Quota-Remaining"), ", items=1"));
    check_bucket("b");
}
END_TEST

/* Whatever is there can be read, however full the bucket is. What would have to be made cannot. */
START_TEST(the_default_bucket)
{
    as("carol");
    call("GET", "/buckets/default/collections/c/records", NULL);
    want(200);
    call("GET", "/", NULL);
    char *id = strdup(at("/user/bucket"));
    check_bucket(id);
    put("/buckets/default/collections/c/records/r", "{'a':1}");
    check_bucket(id);
    call("PATCH", "/buckets/default", "{'data':{}}");
    long room = left("bytes");
    put("/buckets/default", f("{'a':'%s'}", repeat('x', (size_t)room - 7)));
    ck_assert_int_eq(left("bytes"), 0);
    static const char *const reads[] = {"",
                                        "/collections",
                                        "/collections/c",
                                        "/collections/c/records",
                                        "/collections/c/records/r",
                                        "/groups"};
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        call("GET", f("/buckets/default%s", reads[i]), NULL);
        want(200);
        want_no_header("Quota-Remaining");
    }
    call("GET", "/buckets/default/collections/new/records", NULL);
    want(507);
    call("PUT", "/buckets/default/collections/new/records/r", NULL);
    want(507);
    call("GET", "/buckets/default/collections", NULL);
    want_ids("c");
    put("/buckets/default", "{}");
    call("GET", "/buckets/default/collections/new/records", NULL);
    want(200);
    check_bucket(id);
    free(id);
}
END_TEST

START_TEST(what_it_says_of_itself)
{
    call("GET", "/", NULL);
    want_at("/capabilities/quotas/description", "'Quotas Management on buckets and collections.'");
    want_at("/capabilities/quotas/url", "'https://kinto.readthedocs.io'");
    make_collection();
    call("PUT", R "/r", "{'data':{}}");
    want_header_has("Access-Control-Expose-Headers", "Quota-Remaining");
    want_header_has("Quota-Remaining", ", items=2");
    call("GET", R "/r", NULL);
    want_no_header("Quota-Remaining");
    call("PATCH", R "/r", "{'data':{},'permissions':3}");
    want(400);
    want_no_header("Quota-Remaining");
    call("PUT", "/buckets/other", NULL);
    ck_assert_ptr_null(strstr(header("Quota-Remaining"), "items"));
}
END_TEST

/* ---- two at once ----------------------------------------------------------------------------- */

enum { WRITERS = 4, TRIES = 30, ROOM = 50 };

struct writer {
    pthread_t thread;
    int number, made, refused, odd;
    const char *url, *collection;
};

static void *write_all(void *arg)
{
    struct writer *w = arg;
    struct http_conn *c = http_open(w->url, NULL, 30000);
    struct http_reply r = {0};
    for (int i = 0; c && i < TRIES; i++) {
        char request[512];
        int n = snprintf(request, sizeof request,
                         "PUT /v1%s/records/%d-%d HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n"
                         "Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n",
                         w->collection, w->number, i);
        if (!http_send(c, request, (size_t)n) || http_read(c, false, &r) != HTTP_GOT)
            break;
        w->made += r.status == 201;
        w->refused += r.status == 507;
        w->odd += r.status != 201 && r.status != 507;
    }
    http_close(c);
    http_reply_fini(&r);
    return NULL;
}

START_TEST(writers_at_once_get_no_more)
{
    static struct writer w[WRITERS];
    struct server s;
    server_start(&s,
                 &(struct server_options){.settings = "kinto.includes = kinto.plugins.quotas\n"
                                                      "kinto.quotas.bucket_max_bytes = 100000\n"
                                                      "kinto.quotas.collection_max_items = 50\n"});
    api_use(s.url);
    make_collection();
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){.number = i, .url = s.url, .collection = "/buckets/b/collections/c"};
        ck_assert_int_eq(pthread_create(&w[i].thread, NULL, write_all, &w[i]), 0);
    }
    int made = 0, refused = 0;
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(w[i].thread, NULL);
        made += w[i].made;
        refused += w[i].refused;
        ck_assert_int_eq(w[i].odd, 0);
    }
    ck_assert_int_eq(made, ROOM);
    ck_assert_int_eq(refused, WRITERS * TRIES - ROOM);
    check_bucket("b");
    server_stop(&s);
}
END_TEST

/* ---- restarts -------------------------------------------------------------------------------- */

#define DURABLE                                                                                    \
    (struct server_options)                                                                        \
    {                                                                                              \
        .settings = SETTINGS, .durable = true                                                      \
    }
static const char *const off[] = {"KINTO_INCLUDES=kinto.plugins.default_bucket", NULL};
static const char *const lower[] = {"KINTO_QUOTAS_BUCKET_MAX_BYTES=150",
                                    "KINTO_QUOTAS_COLLECTION_MAX_ITEMS=1", NULL};

static void again(struct server *s, const char *const *env)
{
    struct server_options o = DURABLE;
    o.env = env;
    api_restart(s, &o);
}

START_TEST(sums_outlive_the_server)
{
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make_collection();
    put(R "/r", "{'a':1}");
    again(&s, NULL);
    check_bucket("b");
    put(R "/s", "{'a':'ü'}");
    server_kill(&s);
    server_restart(&s, &DURABLE);
    api_use(s.url);
    check_bucket("b");
    call("DELETE", R "/r", NULL);
    want(200);
    ck_assert_int_eq(left("items"), 2);
    server_stop(&s);
}
END_TEST

/* _i: what was done while the plugin was off. Each leaves a trace in the sums, none in a clock that
 * could tell of all of them. */
static const struct {
    const char *method, *path, *body;
} unseen[] = {
    {"PUT", R "/new", "{'data':{'last_modified':1}}"},
    {"PUT", R "/r", "{'data':{'a':'longer than it was'}}"},
    {"PUT", R "/old", "{'data':{'a':'longer than it was','last_modified':6}}"},
    {"DELETE", R "/r", NULL},
    {"DELETE", R, NULL},
    {"DELETE", "/buckets/b/collections/c", NULL},
    {"DELETE", "/buckets/b", NULL},
    {"DELETE", "/buckets", NULL},
    {"PUT", "/buckets/b/groups/h", NULL},
    {"PUT", "/buckets/b/collections/d", NULL},
    {"PUT", "/buckets/b", "{'data':{'a':1}}"},
    {"PUT", "/buckets/n", NULL},
};

START_TEST(what_it_did_not_see)
{
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make_collection();
    put(R "/r", "{'a':1}");
    put(R "/old", "{'last_modified':5}");
    make("/buckets/b/groups/g");
    again(&s, off);
    call(unseen[_i].method, unseen[_i].path, unseen[_i].body);
    ck_assert_int_lt(re.status, 300);
    call("PATCH", "/buckets/b", "{'data':{}}");
    want_no_header("Quota-Remaining");
    again(&s, NULL);
    call("PUT", "/buckets/b", "{'data':{}}");
    call("PUT", "/buckets/b/collections/c", "{'data':{}}");
    check_bucket("b");
    call("DELETE", R "/new", NULL);
    put(R "/last", "{}");
    long room = left("items");
    call("GET", R, NULL);
    want_count("/data", (size_t)(3 - room));
    server_stop(&s);
}
END_TEST

/* Data from before the plugin was switched on. */
START_TEST(what_was_there_before)
{
    struct server s;
    struct server_options o = DURABLE;
    o.env = off;
    server_start(&s, &o);
    api_use(s.url);
    for (int b = 0; b < 3; b++) {
        make(f("/buckets/%d", b));
        make(f("/buckets/%d/groups/g", b));
        for (int c = 0; c < 3; c++) {
            make(f("/buckets/%d/collections/%d", b, c));
            for (int r = 0; r < b + c; r++)
                put(f("/buckets/%d/collections/%d/records/%d", b, c, r), "{'a':'ü'}");
        }
    }
    again(&s, NULL);
    for (int b = 0; b < 3; b++)
        check_bucket(f("%d", b));
    call("POST", "/buckets/2/collections/2/records", NULL);
    want_over("Collection maximum number of objects exceeded (5 > 3 objects).");
    put("/buckets/1/collections/1/records/0", "{'a':'over, but no more than before'}");
    call("DELETE", "/buckets/2/collections/2/records/0", NULL);
    want(200);
    ck_assert_int_eq(left("items"), 0);
    server_stop(&s);
}
END_TEST

/* Over a limit that was lowered: less is allowed, more is not. */
START_TEST(down_is_always_allowed)
{
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make_collection();
    for (int i = 0; i < 3; i++)
        put(f(R "/%d", i), f("{'a':'%s'}", repeat('x', 100)));
    again(&s, lower);
    call("PUT", R "/0", f("{'data':{'a':'%s'}}", repeat('x', 101)));
    want(507);
    put(R "/0", f("{'a':'%s'}", repeat('y', 100)));
    put(R "/0", f("{'a':'%s'}", repeat('x', 99)));
    ck_assert_int_eq(left("bytes"), 0);
    call("PATCH", R "/0", "{'data':{'a':''}}");
    want(200);
    call("DELETE", R "/1", NULL);
    want(200);
    ck_assert_int_eq(left("items"), 0);
    call("PUT", R "/3", NULL);
    want(507);
    call("DELETE", R, NULL);
    want(200);
    ck_assert_int_eq(left("items"), 1);
    server_stop(&s);
}
END_TEST

/* The limit of one object does not keep the name of who is erased in one that was there before. */
START_TEST(no_limit_for_an_erasure)
{
    struct server s;
    struct server_options o = DURABLE;
    static const char *const erasers[] = {"KINTO_USER_DATA_DELETE_PRINCIPALS=system.Authenticated",
                                          NULL};
    static const char *const erasers_off[] = {
        "KINTO_INCLUDES=kinto.plugins.default_bucket",
        "KINTO_USER_DATA_DELETE_PRINCIPALS=system.Authenticated", NULL};
    o.env = erasers_off;
    server_start(&s, &o);
    api_use(s.url);
    make("/buckets/light");
    put("/buckets/light/groups/g", f("{'a':'%s','members':['x:y','x:z']}", repeat('a', 200)));
    again(&s, erasers);
    call("PUT", "/buckets/light/groups/g",
         f("{'data':{'a':'%s','members':['x:y']}}", repeat('a', 150)));
    want(507);
    call("DELETE", "/__user_data__/x:y", NULL);
    want(200);
    call("GET", "/buckets/light/groups/g", NULL);
    want_at("/data/members", "['x:z']");
    check_bucket("light");
    server_stop(&s);
}
END_TEST

/* Killed in the middle of writing: the sums are those of what is there. */
START_TEST(killed_under_writers)
{
    static struct writer w[WRITERS];
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make("/buckets/many");
    make("/buckets/many/collections/c");
    for (int i = 0; i < WRITERS; i++) {
        w[i] =
            (struct writer){.number = i, .url = s.url, .collection = "/buckets/many/collections/c"};
        ck_assert_int_eq(pthread_create(&w[i].thread, NULL, write_all, &w[i]), 0);
    }
    for (int i = 0; i < 1000; i++) { /* until they are at it */
        call("HEAD", "/buckets/many/collections/c/records", NULL);
        if (strtol(header("Total-Objects"), NULL, 10) > 5)
            break;
    }
    server_kill(&s);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(w[i].thread, NULL);
    server_restart(&s, &DURABLE);
    api_use(s.url);
    call("HEAD", "/buckets/many/collections/c/records", NULL);
    long there = strtol(header("Total-Objects"), NULL, 10);
    call("PATCH", "/buckets/many/collections/c", "{'data':{}}");
    ck_assert_int_eq(left("items"), 1000 - there);
    server_stop(&s);
}
END_TEST

START_TEST(settings_that_cannot_be)
{
    static const char *const rows[] = {"kinto.quotas.bucket_max_bytes = many\n",
                                       "kinto.quotas.collection_b_c_max_items = -1\n"};
    const char *output;
    ck_assert_int_eq(server_refuse(&(struct server_options){.settings = rows[_i]}, &output), 1);
    ck_assert_msg(strstr(output, "kinto.quotas.") != NULL, "%s", output);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/quotas");
    TCase *t = api_case(s, "quotas", "ours");
    tcase_add_test(t, sums_are_exact);
    tcase_add_test(t, below_what_is_deleted);
    tcase_add_test(t, items);
    tcase_add_test(t, bytes);
    tcase_add_test(t, bytes_of_one_item);
    tcase_add_test(t, a_batch_is_all_or_nothing);
    tcase_add_test(t, the_default_bucket);
    tcase_add_test(t, what_it_says_of_itself);
    t = api_case_own(s, "own servers");
    tcase_add_test(t, writers_at_once_get_no_more);
    tcase_add_test(t, sums_outlive_the_server);
    tcase_add_loop_test(t, what_it_did_not_see, 0, (int)ARRAY_LEN(unseen));
    tcase_add_test(t, what_was_there_before);
    tcase_add_test(t, no_limit_for_an_erasure);
    tcase_add_test(t, down_is_always_allowed);
    tcase_add_test(t, killed_under_writers);
    tcase_add_loop_test(t, settings_that_cannot_be, 0, 2);
    return s;
}

API_MAIN(suite, SETTINGS)
