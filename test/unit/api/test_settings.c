/*
 * The settings of api/: values that stop the start, and what the others do to answers: caching,
 * end of service, backing off, principals, endpoints that are switched off. And the permissions
 * that an object has after a request.
 */
#include "test/unit/api/api_test.h"

#define R "/v1/buckets/b/collections/c/records"

static void start(const char *lines)
{
    server_start(arena_printf(&keep, "%s%s", PLAIN_INI, lines).p);
}

/* ---- what stops the start -------------------------------------------------------------------- */

static const struct {
    const char *line;
    enum err err;
    const char *texts[3];
} refused[] = {
    {"kinto.batch_max_requests = -1", ERR_RANGE, {"test.ini:6", "kinto.batch_max_requests"}},
    {"kinto.batch_max_requests = many",
     ERR_SYNTAX,
     {"test.ini:6", "kinto.batch_max_requests", "many"}},
    {"kinto.paginate_by = -1", ERR_RANGE, {"test.ini:6", "kinto.paginate_by"}},
    {"kinto.readonly = maybe", ERR_SYNTAX, {"test.ini:6", "kinto.readonly", "maybe"}},
    {"kinto.backoff_percentage = 101", ERR_RANGE, {"test.ini:6", "kinto.backoff_percentage"}},
    {"kinto.http_scheme = gopher", ERR_SYNTAX, {"test.ini:6", "kinto.http_scheme", "gopher"}},
    {"kinto.record_id_generator = my.Own",
     ERR_SYNTAX,
     {"test.ini:6", "kinto.record_id_generator", "my.Own"}},
    {"kinto.b.record_cache_expires_seconds = soon", ERR_SYNTAX, {"test.ini:6", "soon"}},
    {"kinto.b.c.record_cache_expires_seconds = -1", ERR_RANGE, {"test.ini:6", "-1"}},
    {"kinto.b_record_cache_expires_seconds = -1", ERR_RANGE, {"test.ini:6", "-1"}},
    {"kinto.experimental_collection_schema_validation = perhaps",
     ERR_SYNTAX,
     {"test.ini:6", "kinto.experimental_collection_schema_validation", "perhaps"}},
    {"kinto.http_api_version = 2.0",
     ERR_UNSUPPORTED,
     {"test.ini:6", "kinto.http_api_version", "2.0"}},
    {"kinto.http_api_version = 10", ERR_UNSUPPORTED, {"test.ini:6", "kinto.http_api_version"}},
    {"kinto.http_api_version =", ERR_UNSUPPORTED, {"test.ini:6", "kinto.http_api_version"}},
    {"kinto.http_host = https://a.example",
     ERR_UNSUPPORTED,
     {"test.ini:6", "kinto.http_host", "https://a.example"}},
    {"kinto.http_host = a:b:1", ERR_UNSUPPORTED, {"test.ini:6", "kinto.http_host", "a:b:1"}},
    {"kinto.http_host = [::1", ERR_UNSUPPORTED, {"test.ini:6", "kinto.http_host", "[::1"}},
    {"kinto.http_host = a b", ERR_UNSUPPORTED, {"test.ini:6", "kinto.http_host", "a b"}},
    {"multiauth.policy.basicauth.realm = a\"b",
     ERR_SYNTAX,
     {"test.ini:6", "multiauth.policy.basicauth.realm", "a\"b"}},
    {"kinto.eos = soon", ERR_SYNTAX, {"test.ini:6", "kinto.eos", "soon"}},
    {"kinto.eos = 2031-13-01", ERR_SYNTAX, {"test.ini:6", "kinto.eos", "2031-13-01"}},
    {"kinto.eos = 2031-02-30", ERR_SYNTAX, {"test.ini:6", "kinto.eos", "2031-02-30"}},
    {"kinto.eos = 2031-02-29T10:00", ERR_SYNTAX, {"test.ini:6", "kinto.eos"}},
    {"kinto.eos = 2031-01-01x", ERR_SYNTAX, {"test.ini:6", "kinto.eos", "2031-01-01x"}},
    {"kinto.eos = 2031-01-01T25:00", ERR_SYNTAX, {"test.ini:6", "kinto.eos"}},
    {"kinto.eos = 31.12.2031", ERR_SYNTAX, {"test.ini:6", "kinto.eos"}},
    {"kinto.eos = 01/02/2031", ERR_SYNTAX, {"test.ini:6", "kinto.eos", "01/02/2031"}},
    {"kinto.eos = 2031-01-01T10", ERR_SYNTAX, {"test.ini:6", "kinto.eos"}},
    {"kinto.eos = 2031-01-01T10:00Zulu", ERR_SYNTAX, {"test.ini:6", "kinto.eos"}},
    {"kinto.event_listeners = redis",
     ERR_UNSUPPORTED,
     {"test.ini:6", "kinto.event_listeners", "redis"}},
};

START_TEST(bad_values_stop_the_start)
{
    server_refuses(arena_printf(&keep, PLAIN_INI "%s\n", refused[_i].line).p, refused[_i].err,
                   refused[_i].texts);
}
END_TEST

/* ---- end of service (the clock stands at 2023-11-14 22:13:20) -------------------------------- */

static const struct {
    const char *eos;
    int status;
} ends[] = {
    {"2023-11-15", 200},
    {"2023-11-14", 410},
    {"2023-11-14T22:13", 410},
    {"2023-11-14T22:13:20", 410},
    {"2023-11-14T22:13:21", 200},
    {"2023-11-14 22:14", 200},
    {"2023-11-14 22:13:20", 410},
    {"2024-02-29", 200},
    {"1970-01-01", 410},
    {"1969-12-31", 410},
    {"15 November 2023", 200},
    {"14 Nov 2023", 410},
    {"November 15, 2023", 200},
    {"Nov 14 2023", 410},
    {"2023/11/15", 200},
    {"2023-11-14T22:13:20Z", 410},
    {"2023-11-14 22:13:21.25Z", 200},
};

START_TEST(end_of_service)
{
    start(arena_printf(&keep, "kinto.eos = %s\nkinto.eos_message = The \"end\"\n", ends[_i].eos).p);
    struct fake_answer *a = ask("GET", "/v1/", NULL, NULL);
    struct json *alert;

    ck_assert_int_eq(a->status, ends[_i].status);
    ck_assert_ok(json_parse(&keep, fake_header(a, "Alert"), &alert, NULL));
    ck_assert_str_is(json_string(json_get(alert, STR("code"))),
                     ends[_i].status == 410 ? "hard-eol" : "soft-eol");
    ck_assert_str_is(json_string(json_get(alert, STR("message"))), "The \"end\"");
    ck_assert_str_is(json_string(json_get(alert, STR("url"))), "https://kinto.readthedocs.io/");
    if (a->status == 410)
        ck_assert_int_eq(fake_number(a->json, "errno"), 202);
    else
        ck_assert_str_is(json_string(json_get(a->json, STR("eos"))), ends[_i].eos);
    server_stop(&server);
}
END_TEST

/* ---- caching --------------------------------------------------------------------------------- */

#define ALL "kinto.record_cache_expires_seconds = 9\n"

static const struct {
    const char *lines, *own; /* cache_expires of the collection */
    const char *want;
} caches[] = {
    {"", NULL, NULL},
    {"", "5", "5"},
    {"", "0", "0"},
    {"", "-5", NULL},
    {ALL, NULL, "9"},
    {ALL, "5", "9"},
    {ALL, "10", "10"},
    {ALL "kinto.b.record_cache_expires_seconds = 3\n", NULL, "3"},
    {"kinto.b.record_cache_expires_seconds = 3.9\n", NULL, "3"},
    {"kinto.b.record_cache_expires_seconds = +3\n", NULL, "3"},
    {"kinto.b.record_cache_expires_seconds = 1e1\n", NULL, "10"},
    {ALL "kinto.b.record_cache_expires_seconds = 3\nkinto.b.c.record_cache_expires_seconds = 2\n",
     NULL, "2"},
    {ALL "kinto.b.c.record_cache_expires_seconds = 0\n", NULL, "0"},
    {"kinto.b.d.record_cache_expires_seconds = 2\nkinto.d.record_cache_expires_seconds = 1\n", NULL,
     NULL},
    {"kinto.b_c_record_cache_expires_seconds = 4\n", NULL, "4"},
    {"kinto.b_record_cache_expires_seconds = 6\n", NULL, "6"},
    {"kinto.b_record_cache_expires_seconds = 6\nkinto.b_c_record_cache_expires_seconds = 4\n", NULL,
     "4"},
    {ALL "kinto.b_c_record_cache_expires_seconds = 4\n", NULL, "9"}, /* the older form is weaker */
    {"kinto.b_c_record_cache_expires_seconds = 4\nkinto.b.record_cache_expires_seconds = 8\n", NULL,
     "8"},
};

static void check_cache(const char *target, const char *want_seconds)
{
    user = NULL;
    str value = fake_header(want(200, "GET", target, NULL), "Cache-Control");
    if (want_seconds == NULL) {
        ck_assert_str_is(value, "no-cache, no-store");
    } else if (strcmp(want_seconds, "0") == 0) {
        ck_assert_str_is(value, "max-age=0, must-revalidate, no-cache, no-store");
    } else {
        str expected = arena_printf(&keep, "max-age=%s", want_seconds);
        ck_assert_str_is(value, expected.p);
    }
    user = "me:x";
    ck_assert_str_is(fake_header(want(200, "GET", target, NULL), "Cache-Control"),
                     "no-cache, no-store");
}

START_TEST(record_cache)
{
    start(caches[_i].lines);
    user = "me:x";
    want(201, "PUT", "/v1/buckets/b", "{\"permissions\":{\"read\":[\"system.Everyone\"]}}");
    str body = STR("");
    if (caches[_i].own)
        body = arena_printf(&keep, "{\"data\":{\"cache_expires\":%s}}", caches[_i].own);
    want(201, "PUT", "/v1/buckets/b/collections/c", body.p);
    want(201, "PUT", R "/r", NULL);
    check_cache(R, caches[_i].want);
    check_cache(R "/r", caches[_i].want);
    check_cache("/v1/buckets/b/collections/c", NULL); /* records' time is not theirs */
    server_stop(&server);
}
END_TEST

START_TEST(caches_of_other_kinds)
{
    start("kinto.bucket_cache_expires_seconds = 1\nkinto.collection_cache_expires_seconds = 2\n"
          "kinto.group_cache_expires_seconds = 0\n");
    user = "me:x";
    want(201, "PUT", "/v1/buckets/b", "{\"permissions\":{\"read\":[\"system.Everyone\"]}}");
    want(201, "PUT", "/v1/buckets/b/collections/c", NULL);
    want(201, "PUT", "/v1/buckets/b/groups/g", NULL);
    check_cache("/v1/buckets/b", "1");
    check_cache("/v1/buckets/b/collections", "2");
    check_cache("/v1/buckets/b/collections/c", "2");
    check_cache("/v1/buckets/b/groups/g", NULL); /* 0 is as unset */
    check_cache(R, NULL);
    server_stop(&server);
}
END_TEST

/* ---- others ---------------------------------------------------------------------------------- */

START_TEST(backing_off)
{
    start("kinto.backoff = 7\n");
    ck_assert_str_is(fake_header(ask("GET", "/v1/", NULL, NULL), "Backoff"), "7");
    ck_assert_str_is(fake_header(ask("GET", "/v1/nothing", NULL, NULL), "Backoff"), "7");
    server_stop(&server);
    start("kinto.backoff = 0\nkinto.backoff_percentage = 100\n");
    ck_assert_str_is(fake_header(ask("GET", "/v1/", NULL, NULL), "Backoff"), "0");
    server_stop(&server);
    start("kinto.backoff = 7\nkinto.backoff_percentage = 0\n");
    ck_assert(str_none(fake_header(ask("GET", "/v1/", NULL, NULL), "Backoff")));
    server_stop(&server);
}
END_TEST

static const struct {
    const char *setting, *method, *target;
    int before, after;
} principals[] = {
    {"kinto.bucket_create_principals = system.Everyone", "PUT", "/v1/buckets/n", 401, 201},
    {"kinto.bucket_create_principals = basicauth:x", "PUT", "/v1/buckets/n", 401, 401},
    {"kinto.bucket_read_principals = system.Everyone", "GET", "/v1/buckets/b", 401, 200},
    {"kinto.bucket_read_principals = system.Everyone", "GET", "/v1/buckets", 401, 200},
    {"kinto.bucket_read_principals = system.Everyone", "PUT", "/v1/buckets/b", 401, 401},
    {"kinto.bucket_write_principals = system.Everyone", "PUT", "/v1/buckets/b", 401, 200},
    {"kinto.bucket_write_principals = system.Everyone", "GET", "/v1/buckets/b", 401, 200},
    {"kinto.bucket_write_principals = system.Everyone", "DELETE", "/v1/buckets", 401, 200},
    /* of one resource only */
    {"kinto.bucket_write_principals = system.Everyone", "GET", "/v1/buckets/b/collections/c", 401,
     401},
    {"kinto.bucket_write_principals = system.Everyone", "PUT", R "/r", 401, 401},
    {"kinto.collection_create_principals = system.Everyone", "POST", "/v1/buckets/b/collections",
     401, 201},
    {"kinto.collection_read_principals = system.Everyone", "GET", "/v1/buckets/b/collections", 401,
     200},
    {"kinto.group_write_principals = system.Everyone", "PUT", "/v1/buckets/b/groups/g", 401, 201},
    {"kinto.group_create_principals = system.Everyone", "PUT", "/v1/buckets/b/groups/g", 401, 201},
    {"kinto.record_read_principals = system.Everyone", "GET", R, 401, 200},
    {"kinto.record_read_principals = system.Everyone", "DELETE", R, 401, 401},
    {"kinto.record_write_principals = system.Everyone", "PATCH", R "/r", 401, 200},
    {"kinto.record_create_principals = system.Everyone", "POST", R, 401, 201},
};

static int ask_principal(int i)
{
    user = "me:x";
    want(201, "PUT", "/v1/buckets/b", NULL);
    want(201, "PUT", "/v1/buckets/b/collections/c", NULL);
    want(201, "PUT", R "/r", NULL);
    user = NULL;
    bool body = principals[i].method[0] == 'P';
    return ask(principals[i].method, principals[i].target, NULL, body ? "{\"data\":{}}" : NULL)
        ->status;
}

START_TEST(principals_of_settings)
{
    start("");
    ck_assert_int_eq(ask_principal(_i), principals[_i].before);
    server_stop(&server);
    /* Who makes the objects must be allowed to, whatever the row says of buckets. */
    str lines = arena_printf(&keep, "%s system.Authenticated\n", principals[_i].setting);
    start(lines.p);
    int status = ask_principal(_i);
    ck_assert_msg(status == principals[_i].after, "%s: %s %s: %d, want %d", principals[_i].setting,
                  principals[_i].method, principals[_i].target, status, principals[_i].after);
    server_stop(&server);
}
END_TEST

START_TEST(endpoints_switched_off)
{
    start("kinto.plural_bucket_get_enabled = false\nkinto.object_record_delete_enabled = false\n");
    user = "me:x";
    struct fake_answer *a = want(405, "GET", "/v1/buckets", NULL);
    ck_assert_str_is(fake_header(a, "Allow"), "HEAD, POST, DELETE, OPTIONS");
    want(405, "DELETE", R "/r", NULL);
    want(201, "PUT", "/v1/buckets/b", NULL);
    server_stop(&server);
}
END_TEST

START_TEST(a_readonly_server)
{
    start("kinto.readonly = true\nkinto.root_cache_expires_seconds = 12\n");
    user = "me:x";
    ck_assert_str_is(fake_header(want(200, "GET", "/v1/", NULL), "Cache-Control"), "max-age=12");
    want(405, "PUT", "/v1/buckets/b", NULL);
    want(405, "POST", "/v1/batch", "{\"requests\":[]}");
    want(405, "POST", "/v1/__flush__", NULL);
    want(405, "GET", "/v1/buckets/default", NULL);
    ck_assert_int_eq(want(200, "GET", "/v1/buckets", NULL)->status, 200); /* its clock may start */
    server_stop(&server);
}
END_TEST

/* ---- the permissions after a request --------------------------------------------------------- */

#define PLAIN_TYPE NULL
#define MERGE_TYPE "Content-Type: application/merge-patch+json\n"
#define PATCH_TYPE "Content-Type: application/json-patch+json\n"
#define OLD        "\"read\":[\"a\",\"b\"],\"write\":[\"c\"],\"record:create\":[\"a\"]"

/* The collection has OLD, and its maker ("ME") among the writers. */
static const struct {
    const char *method, *headers, *body, *want;
} acls[] = {
    {"PUT", NULL, "{}", OLD "+ME"},
    {"PUT", NULL, "{\"data\":{\"x\":1}}", OLD "+ME"},
    {"PUT", NULL, "{\"permissions\":{}}", OLD "+ME"},
    {"PUT", NULL, "{\"permissions\":{\"read\":null}}", OLD "+ME"},
    {"PUT", NULL, "{\"permissions\":{\"read\":[]}}", "+ME"},
    {"PUT", NULL, "{\"permissions\":{\"read\":[\"x\"]}}", "\"read\":[\"x\"]+ME"},
    {"PUT", NULL, "{\"permissions\":{\"read\":[\"x\",\"x\"],\"write\":null}}",
     "\"read\":[\"x\"]+ME"},
    {"PUT", NULL, "{\"permissions\":{\"write\":[\"x\"]}}", "\"write\":[\"x\"]+ME"},
    {"PATCH", NULL, "{\"permissions\":{}}", OLD "+ME"},
    {"PATCH", NULL, "{\"permissions\":{\"read\":null}}", OLD "+ME"},
    {"PATCH", NULL, "{\"permissions\":{\"read\":[]}}",
     "\"write\":[\"c\"],\"record:create\":[\"a\"]+ME"},
    {"PATCH", NULL, "{\"permissions\":{\"read\":[\"x\"]}}",
     "\"read\":[\"x\"],\"write\":[\"c\"],\"record:create\":[\"a\"]+ME"},
    {"PATCH", NULL, "{\"permissions\":{\"write\":[]}}",
     "\"read\":[\"a\",\"b\"],\"record:create\":[\"a\"]+ME"},
    {"PATCH", MERGE_TYPE, "{\"permissions\":{\"read\":null}}",
     "\"write\":[\"c\"],\"record:create\":[\"a\"]+ME"},
    {"PATCH", PATCH_TYPE, "[]", OLD "+ME"},
    {"PATCH", PATCH_TYPE, "[{\"op\":\"add\",\"path\":\"/permissions/read/z\"}]",
     "\"read\":[\"a\",\"b\",\"z\"],\"write\":[\"c\"],\"record:create\":[\"a\"]+ME"},
    {"PATCH", PATCH_TYPE, "[{\"op\":\"remove\",\"path\":\"/permissions/read/a\"}]",
     "\"read\":[\"b\"],\"write\":[\"c\"],\"record:create\":[\"a\"]+ME"},
};

/* Permissions as sorted text: {"read":["a"],...}, with the maker as ME. */
static str normal(struct json *perms, str me)
{
    static const char *const kinds[] = {"read", "write", "record:create"};
    struct buf b;

    buf_init_arena(&b, &keep, MIB);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        const struct json *list = json_get(perms, str_from(kinds[k]));
        unsigned seen[128] = {0};
        buf_printf(&b, "%s:", kinds[k]);
        for (size_t i = 0; i < json_count(list); i++) {
            str name = json_string(json_at(list, i));
            unsigned char c = str_eq(name, me) ? 'M' : (unsigned char)name.p[0];
            ck_assert_uint_lt(c, 128);
            seen[c]++;
        }
        for (unsigned c = 0; c < 128; c++)
            for (unsigned i = 0; i < seen[c]; i++)
                buf_add_char(&b, (char)c);
        buf_add_char(&b, ' ');
    }
    return buf_str(&b);
}

/* "...+ME" as the value of "permissions". */
static str wanted(const char *text)
{
    str list = str_from(text);
    list.n -= strlen("+ME");
    struct json *perms = parse(ARENA_JOIN(&keep, STR("{"), list, STR("}")).p);
    struct json *writers = json_get(perms, STR("write"));
    if (writers == NULL) {
        writers = json_new_array(&keep);
        ck_assert_ok(json_set(&keep, perms, STR("write"), writers));
    }
    ck_assert_ok(json_push(&keep, writers, json_new_string(&keep, STR("MYSELF"))));
    return normal(perms, STR("MYSELF"));
}

START_TEST(permissions_after)
{
    start("");
    user = "me:x";
    str me = json_string(
        json_get(json_get(want(200, "GET", "/v1/", NULL)->json, STR("user")), STR("id")));
    want(201, "PUT", "/v1/buckets/b", NULL);
    want(201, "PUT", "/v1/buckets/b/collections/c", "{\"permissions\":{" OLD "}}");
    struct fake_answer *a =
        ask(acls[_i].method, "/v1/buckets/b/collections/c", acls[_i].headers, acls[_i].body);
    ck_assert_msg(a->status == 200, "%s: %d " STR_FMT, acls[_i].body, a->status, STR_ARG(a->body));
    str got = normal(json_get(a->json, STR("permissions")), me), expected = wanted(acls[_i].want);
    ck_assert_msg(str_eq(got, expected), "%s %s: " STR_FMT ", want " STR_FMT, acls[_i].method,
                  acls[_i].body, STR_ARG(got), STR_ARG(expected));
    a = want(200, "GET", "/v1/buckets/b/collections/c", NULL);
    ck_assert(str_eq(normal(json_get(a->json, STR("permissions")), me), expected));
    server_stop(&server);
}
END_TEST

START_TEST(nobody_is_added_when_permissions_are_inherited)
{
    start("kinto.explicit_permissions = false\nkinto.bucket_write_principals = "
          "system.Authenticated\n");
    user = "me:x";
    ck_assert_str_is(at(want(201, "PUT", "/v1/buckets/b", NULL), "/permissions"), "{}");
    want(200, "PUT", "/v1/buckets/b", "{\"permissions\":{\"read\":[\"a\"]}}");
    want(200, "PATCH", "/v1/buckets/b", "{\"permissions\":{\"read\":[]}}"); /* to nobody at all */
    server_stop(&server);
}
END_TEST

/* Long lists of principals cost time in proportion. */
START_TEST(many_principals)
{
    struct buf b;

    start("");
    user = "me:x";
    buf_init_arena(&b, &keep, 16 * MIB);
    buf_add_lit(&b, "{\"permissions\":{\"read\":[");
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, "%s\"p%d\",\"p%d\"", i ? "," : "", i, i / 2);
    buf_add_lit(&b, "]}}");
    struct fake_answer *a = ask_raw("PUT", STR("/v1/buckets/b"), NULL, buf_str(&b));
    ck_assert_int_eq(a->status, 201);
    ck_assert_uint_eq(json_count(json_get(json_get(a->json, STR("permissions")), STR("read"))),
                      20000);
    server_stop(&server);
}
END_TEST

#define loop_of(c, test, table) tcase_add_loop_test(c, test, 0, ARRAY_LEN(table))

static Suite *make_suite(void)
{
    const TTest *const tests[] = {caches_of_other_kinds,
                                  backing_off,
                                  endpoints_switched_off,
                                  a_readonly_server,
                                  nobody_is_added_when_permissions_are_inherited,
                                  many_principals};
    Suite *s = suite_create("api/settings");
    TCase *c = tests_of(s, "settings", setup_bare, teardown_bare, tests, ARRAY_LEN(tests));

    loop_of(c, bad_values_stop_the_start, refused);
    loop_of(c, end_of_service, ends);
    loop_of(c, record_cache, caches);
    loop_of(c, principals_of_settings, principals);
    loop_of(c, permissions_after, acls);
    return s;
}

UNIT_MAIN(make_suite)
