/*
 * test/http/test_openapi.c - GET /__api__: the description is of this instance, as it is routed and
 * set. (Whether the answers are as it says is the business of test/openapi.)
 */
#include "api/api.h"
#include "test/support/api.h"
#include "test/support/unit.h"

/* ---- words ----------------------------------------------------------------------------------- */

static void describe(void)
{
    as(NULL);
    call("GET", "/__api__", NULL);
    want(200);
}

/* A server of the test's own with these lines in its INI, and its description. */
static struct server own;

static void describe_with(const char *lines)
{
    server_start(&own, &(struct server_options){.settings = lines});
    api_use(own.url);
    describe();
}

static void stop(void)
{
    api_use(NULL);
    server_stop(&own);
}

/* The JSON pointer of a path and what is in it: "/paths/~1buckets/get". */
static const char *in_path(const char *path, const char *rest)
{
    char escaped[256];
    size_t n = 0;
    for (const char *p = path; *p; p++) {
        ck_assert_uint_lt(n + 2, sizeof escaped);
        if (*p == '/')
            escaped[n++] = '~';
        escaped[n++] = *p == '/' ? '1' : *p;
    }
    return f("/paths/%.*s%s", (int)n, escaped, rest);
}

/* "/buckets/{bucket_id}/groups" of "/buckets/{}/groups" */
static const char *named(const char *pattern)
{
    static const char *const parents[] = {"bucket_id", "collection_id"};
    const char *path = "", *p = pattern;
    for (int i = 0; *p; i++) {
        const char *brace = strstr(p, "{}");
        if (brace == NULL)
            return f("%s%s", path, p);
        path = f("%s%.*s{%s}", path, (int)(brace - p), p, brace[2] ? parents[i] : "id");
        p = brace + 2;
    }
    return path;
}

/* Calls `seen` with each string that follows `key` in the last reply. */
static void each_after(const char *key, void (*seen)(const char *value))
{
    for (const char *p = re.body; (p = strstr(p, key)) != NULL;) {
        p += strlen(key);
        seen(f("%.*s", (int)strcspn(p, "\""), p));
    }
}

/* ---- the document ---------------------------------------------------------------------------- */

START_TEST(it_is_of_this_server)
{
    describe();
    want_at("/swagger", "'2.0'");
    want_at("/basePath", "'/v1'");
    want_at("/host", f("'%s'", strstr(api_url, "//") + 2));
    want_at("/schemes", "['http']");
    want_at("/info/title", "'kinto'");
    want_at("/info/version", "'1.23'");
    want_header("Content-Type", "application/json");
    want_no_header("ETag");
    want_no_header("Cache-Control");
}
END_TEST

START_TEST(head_has_no_body)
{
    describe();
    size_t n = re.body_n;
    call("HEAD", "/__api__", NULL);
    want(200);
    want_empty_body();
    want_header("Content-Length", f("%zu", n));
}
END_TEST

static const char *const OTHERS[] = {"POST", "PUT", "PATCH", "DELETE"};

START_TEST(it_is_only_read)
{
    call(OTHERS[_i], "/__api__", NULL);
    want_error(405, 115, NULL);
    want_header("Allow", "GET, HEAD, OPTIONS");
}
END_TEST

static const struct {
    const char *path;
    unsigned methods;
} ROUTES[] = {
#define X(path, methods, handler, doc, ...) {path, methods},
#include "api/routes.def"
#undef X
};

START_TEST(every_route_is_described)
{
    static const struct {
        enum api_method method;
        const char *name;
    } methods[] = {{METHOD_HEAD, "head"}, {METHOD_GET, "get"},     {METHOD_POST, "post"},
                   {METHOD_PUT, "put"},   {METHOD_PATCH, "patch"}, {METHOD_DELETE, "delete"}};
    describe();
    const char *path = named(ROUTES[_i].path);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        bool expected = methods[i].method != METHOD_HEAD &&
                        (ROUTES[_i].methods & METHOD_BIT(methods[i].method));
        ck_assert_msg(has(in_path(path, f("/%s/responses/default", methods[i].name))) == expected,
                      "%s %s", methods[i].name, path);
    }
}
END_TEST

static unsigned references;

static void leads_somewhere(const char *pointer)
{
    references++;
    ck_assert_msg(pointer[0] == '#' && has(pointer + 1), "%s leads nowhere", pointer);
}

START_TEST(references_lead_somewhere)
{
    describe();
    references = 0;
    each_after("\"$ref\":\"", leads_somewhere);
    ck_assert_uint_gt(references, 100);
}
END_TEST

static char operations[8192]; /* "[server_info][batch]..." */

static void is_new(const char *id)
{
    const char *mark = f("[%s]", id);
    ck_assert_msg(strstr(operations, mark) == NULL, "two operations are called %s", id);
    size_t n = strlen(operations);
    ck_assert_uint_lt(n + strlen(mark), sizeof operations);
    memcpy(operations + n, mark, strlen(mark) + 1);
}

START_TEST(operations_have_names_of_their_own)
{
    static const char *const some[] = {"server_info",   "get_openapi_spec", "batch",
                                       "create_bucket", "update_group",     "delete_records"};
    describe();
    each_after("\"operationId\":\"", is_new);
    for (size_t i = 0; i < ARRAY_LEN(some); i++)
        ck_assert_msg(strstr(operations, f("[%s]", some[i])) != NULL, "there is no %s", some[i]);
}
END_TEST

START_TEST(an_operation_on_an_object)
{
    describe();
    const char *path = named("/buckets/{}/collections/{}");
    want_at(in_path(path, "/parameters/0/name"), "'bucket_id'");
    want_at(in_path(path, "/parameters/1/name"), "'id'");
    want_at(in_path(path, "/parameters/1/in"), "'path'");
    want_at(in_path(path, "/put/operationId"), "'update_collection'");
    want_at(in_path(path, "/put/tags"), "['Collections']");
    want_at(in_path(path, "/put/consumes"), "['application/json']");
    want_at(in_path(path, "/patch/consumes"),
            "['application/json','application/merge-patch+json']");
    want_at(in_path(path, "/put/security"), "[{'basicauth':[]}]");
    want_at(in_path(path, "/put/parameters/0/name"), "'ObjectSchema'");
    ck_assert(has(in_path(path, "/put/responses/201")));
    ck_assert(has(in_path(path, "/get/responses/304")));
    want_missing(in_path(path, "/get/responses/415"));
    want_missing(in_path(path, "/patch/responses/201"));
}
END_TEST

START_TEST(utilities_ask_for_nobody)
{
    describe();
    want_at(in_path("/", "/get/security"), "[]");
    want_at(in_path("/batch", "/post/security"), "[]");
    want_at(in_path("/batch", "/post/parameters/0/name"), "'BatchPayloadSchema'");
    want_at(in_path("/__heartbeat__", "/get/tags"), "['Utilities']");
    ck_assert(has(in_path("/__heartbeat__", "/get/responses/503")));
    want_at("/securityDefinitions", "{'basicauth':{'type':'basic'}}");
}
END_TEST

START_TEST(a_kind_has_its_permissions)
{
    describe();
    const char *all = "/definitions/BucketPermissions/properties";
    ck_assert(has(f("%s/collection:create", all)) && has(f("%s/group:create", all)));
    ck_assert(has("/definitions/CollectionPermissions/properties/record:create"));
    want_missing("/definitions/RecordPermissions/properties/record:create");
    ck_assert(has("/definitions/RecordPermissions/properties/write"));
}
END_TEST

START_TEST(in_a_batch_it_is_the_same)
{
    describe();
    const char *whole = f("%s", at("/paths"));
    call("POST", "/batch", "{'requests':[{'path':'/__api__'}]}");
    want(200);
    want_at("/responses/0/body/host", f("'%s'", strstr(api_url, "//") + 2));
    ck_assert_str_eq(at("/responses/0/body/paths"), whole);
}
END_TEST

START_TEST(the_host_is_the_one_that_was_asked_for)
{
    struct http_conn *c = raw_open();
    raw_call(c, "GET /v1/__api__ HTTP/1.1\r\nHost: one.example\r\n\r\n");
    want_at("/host", "'one.example'");
    raw_call(c, "GET /v1/__api__ HTTP/1.1\r\nHost: two.example:81\r\n\r\n");
    want_at("/host", "'two.example:81'");
    http_close(c);
}
END_TEST

/* ---- plugins and settings -------------------------------------------------------------------- */

START_TEST(plugins_are_described)
{
    describe();
    want_at(in_path("/__flush__", "/post/operationId"), "'create_flush'");
    want_at(in_path("/__flush__", "/post/tags"), "['Flush']");
    want_at(in_path("/__flush__", "/post/security"), "[]");
    ck_assert_ptr_nonnull(strstr(re.body, "{\"name\":\"Flush\"}"));
    describe_with("kinto.includes =");
    want_missing(in_path("/__flush__", ""));
    ck_assert_ptr_null(strstr(re.body, "Flush"));
    stop();
}
END_TEST

START_TEST(the_list_of_permissions)
{
    describe();
    want_missing(in_path("/permissions", ""));
    describe_with("kinto.experimental_permissions_endpoint = true");
    const char *get = in_path("/permissions", "/get");
    want_at(f("%s/operationId", get), "'get_permissionss'");
    want_at(f("%s/tags", get), "['Permissionss']");
    want_at(f("%s/security", get), "[{'basicauth':[]}]");
    want_missing(f("%s/responses/304", get));
    want_missing(in_path("/permissions", "/parameters"));
    stop();
}
END_TEST

START_TEST(what_is_switched_off_is_not_there)
{
    describe_with("kinto.plural_bucket_delete_enabled = false\n"
                  "kinto.object_record_get_enabled = false\n"
                  "kinto.object_record_put_enabled = false\n"
                  "kinto.object_record_patch_enabled = false\n"
                  "kinto.object_record_delete_enabled = false\n"
                  "kinto.plural_group_get_enabled = false\n"
                  "kinto.plural_group_post_enabled = false\n"
                  "kinto.plural_group_delete_enabled = false");
    want_missing(in_path("/buckets", "/delete"));
    ck_assert(has(in_path("/buckets", "/get")));
    want_missing(in_path(named("/buckets/{}/collections/{}/records/{}"), ""));
    want_missing(in_path(named("/buckets/{}/groups"), ""));
    ck_assert_ptr_nonnull(strstr(re.body, "{\"name\":\"Groups\"}")); /* objects have it, too */
    stop();
}
END_TEST

START_TEST(a_kind_without_endpoints_has_no_tag)
{
    describe_with("kinto.object_group_get_enabled = false\n"
                  "kinto.object_group_put_enabled = false\n"
                  "kinto.object_group_patch_enabled = false\n"
                  "kinto.object_group_delete_enabled = false\n"
                  "kinto.plural_group_get_enabled = false\n"
                  "kinto.plural_group_post_enabled = false\n"
                  "kinto.plural_group_delete_enabled = false");
    ck_assert_ptr_null(strstr(re.body, "{\"name\":\"Groups\"}"));
    stop();
}
END_TEST

START_TEST(a_read_only_server_is_only_read)
{
    describe_with("kinto.readonly = true");
    ck_assert(has(in_path("/buckets", "/get")));
    want_missing(in_path("/batch", ""));
    want_missing(in_path("/__flush__", ""));
    static const char *const keys[] = {"\"post\":", "\"put\":", "\"patch\":", "\"delete\":"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        ck_assert_ptr_null(strstr(re.body, keys[i]));
    stop();
}
END_TEST

START_TEST(without_authentication)
{
    describe_with("multiauth.policies =");
    want_at("/securityDefinitions", "{}");
    want_at(in_path("/buckets", "/get/security"), "[]");
    stop();
}
END_TEST

START_TEST(a_policy_of_another_name)
{
    describe_with("multiauth.policies = family\n"
                  "multiauth.policy.family.use = "
                  "kinto.core.authentication.BasicAuthAuthenticationPolicy");
    want_at("/securityDefinitions", "{'family':{'type':'basic'}}");
    want_at(in_path("/buckets", "/get/security"), "[{'family':[]}]");
    stop();
}
END_TEST

START_TEST(names_that_settings_give)
{
    describe_with("kinto.project_name = \"A\" \\ B\n"
                  "kinto.http_host = data.example.org:8443\n"
                  "kinto.http_scheme = https\n"
                  "kinto.http_api_version = 1.22");
    want_at("/info/title", "'\\'A\\' \\\\ B'");
    want_at("/info/version", "'1.22'");
    want_at("/host", "'data.example.org:8443'");
    want_at("/schemes", "['https']");
    stop();
}
END_TEST

#define MOST_PARTS    "/definitions/BatchRequests/maxItems"
#define PATTERN(path) in_path(named(path), "/parameters/0/pattern")

START_TEST(limits_that_settings_give)
{
    describe();
    want_at(MOST_PARTS, "25");
    want_missing("/parameters/_limit/default");
    want_at(PATTERN("/buckets/{}"), "'^[a-zA-Z0-9][a-zA-Z0-9_-]*$'");
    describe_with("kinto.batch_max_requests = 7\nkinto.paginate_by = 50\n"
                  "kinto.bucket_id_generator = kinto.core.storage.generators.UUID4");
    want_at(MOST_PARTS, "7");
    want_at("/parameters/_limit/default", "50");
    want_at(PATTERN("/buckets/{}"),
            "'^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'");
    stop();
    describe_with("kinto.batch_max_requests = 0"); /* no limit, not none */
    want_at("/definitions/BatchRequests/type", "'array'");
    want_missing(MOST_PARTS);
    stop();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/openapi");
    TCase *t = api_case(s, "document", NULL);
    tcase_add_test(t, it_is_of_this_server);
    tcase_add_test(t, head_has_no_body);
    tcase_add_loop_test(t, it_is_only_read, 0, ARRAY_LEN(OTHERS));
    tcase_add_test(t, operations_have_names_of_their_own);
    tcase_add_test(t, an_operation_on_an_object);
    t = api_case(s, "unlike", "ours");
    tcase_add_loop_test(t, every_route_is_described, 0, ARRAY_LEN(ROUTES));
    tcase_add_test(t, references_lead_somewhere);
    tcase_add_test(t, utilities_ask_for_nobody);
    tcase_add_test(t, a_kind_has_its_permissions);
    tcase_add_test(t, in_a_batch_it_is_the_same);
    tcase_add_test(t, the_host_is_the_one_that_was_asked_for);
    t = api_case_own(s, "settings");
    tcase_add_test(t, plugins_are_described);
    tcase_add_test(t, the_list_of_permissions);
    tcase_add_test(t, what_is_switched_off_is_not_there);
    tcase_add_test(t, a_kind_without_endpoints_has_no_tag);
    tcase_add_test(t, a_read_only_server_is_only_read);
    tcase_add_test(t, without_authentication);
    tcase_add_test(t, a_policy_of_another_name);
    tcase_add_test(t, names_that_settings_give);
    tcase_add_test(t, limits_that_settings_give);
    return s;
}

API_MAIN(suite, NULL)
