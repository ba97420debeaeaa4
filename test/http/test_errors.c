/*
 * test/http/test_errors.c - what is refused, and in which words: bodies, permissions, members, ids,
 * content types, methods, credentials, and which of two errors is found first.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define NO_MAPPING  "is not a mapping type: Does not implement dict-like functionality."
#define NO_OBJECT   "Should be a JSON object or an array"
#define BAD_ID      "Invalid object id"
#define OTHER_ID    "Object id does not match existing object"
#define MERGE_PATCH "application/merge-patch+json"
#define JSON_PATCH  "application/json-patch+json"

static const struct {
    const char *method, *path, *type, *body;
    const char *location, *name, *description; /* of the first detail; NULL: not looked at */
    size_t details;
} REFUSED[] = {
    /* not JSON, not an object */
    {"PUT", R "/r", NULL, "{", "body", "", NULL, 2},
    {"POST", R, NULL, "{", "body", "", NULL, 2},
    {"PATCH", R "/r", NULL, "{", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "1", "body", "", NO_OBJECT, 2},
    {"PUT", R "/r", NULL, "null", "body", "", NO_OBJECT, 2},
    {"PUT", R "/r", NULL, "'s'", "body", "", NO_OBJECT, 2},
    {"PUT", R "/r", NULL, "[]", "body", "", "\"[]\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "[1]", "body", "", "\"[1]\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "{'a':NaN}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':Infinity}}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':1e400}}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':1},}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':01}}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':1}} x", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{/* no */}}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "\xEF\xBB\xBF{}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':'\\ud800'}}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':'\xff'}}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':'\xc0\xaf'}}", "body", "", NULL, 2},
    {"PUT", R "/r", NULL, "{'data':{'a':'\xed\xa0\x80'}}", "body", "", NULL, 2},
    /* also where a body means nothing */
    {"GET", R, NULL, "{", "body", "", NULL, 1},
    {"GET", R, NULL, "null", "body", "", NO_OBJECT, 1},
    {"GET", R, NULL, "'s'", "body", "", NO_OBJECT, 1},
    {"GET", R "?_since=x", NULL, "null", "body", "", NO_OBJECT, 1},
    {"GET", R "/r", NULL, "1", "body", "", NO_OBJECT, 1},
    {"DELETE", R "/r", NULL, "{'a':1}x", "body", "", NULL, 1},
    {"DELETE", R "/r", JSON_PATCH, "{", "body", "", NULL, 1},
    {"DELETE", R, NULL, "1", "body", "", NO_OBJECT, 1},
    {"DELETE", R, MERGE_PATCH, "{", "body", "", NULL, 1},
    /* the envelope */
    {"PUT", R "/r", NULL, "{'data':1}", "body", "data", "\"1\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "{'data':null}", "body", "data", "\"None\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "{'data':[]}", "body", "data", "\"[]\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "{'data':'x'}", "body", "data", "\"x\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "{'foo':1}", "body", "", "Unrecognized keys in mapping: \"{'foo': 1}\"",
     1},
    {"PUT", R "/r", NULL, "{'data':{},'foo':1,'bar':2}", "body", "",
     "Unrecognized keys in mapping: \"{'foo': 1, 'bar': 2}\"", 1},
    {"POST", "/buckets", NULL, "{'foo':1}", "body", "", NULL, 1},
    {"PUT", "/buckets/b", NULL, "{'foo':1}", "body", "", NULL, 1},
    {"PUT", "/buckets/b/collections/c", NULL, "{'foo':1}", "body", "", NULL, 1},
    {"PUT", "/buckets/b/groups/g", NULL, "{'foo':1}", "body", "", NULL, 1},
    /* ids */
    {"PUT", R "/r", NULL, "{'data':{'id':'other'}}", "body", "id", OTHER_ID, 1},
    {"PUT", R "/r", NULL, "{'data':{'id':1}}", "body", "id", OTHER_ID, 1},
    {"PATCH", R "/r", NULL, "{'data':{'id':'zz'}}", "body", "id", OTHER_ID, 1},
    {"POST", R, NULL, "{'data':{'id':1}}", "path", NULL, BAD_ID, 1},
    {"POST", R, NULL, "{'data':{'id':'a b'}}", "path", NULL, BAD_ID, 1},
    {"POST", R, NULL, "{'data':{'id':''}}", "path", NULL, BAD_ID, 1},
    {"POST", R, NULL, "{'data':{'id':null}}", "path", NULL, BAD_ID, 1},
    {"POST", R, NULL, "{'data':{'id':'-a'}}", "path", NULL, BAD_ID, 1},
    {"PUT", R "/a%20b", NULL, "{}", "path", NULL, BAD_ID, 1},
    {"PUT", R "/_x", NULL, "{}", "path", NULL, BAD_ID, 1},
    {"PUT", R "/%C3%A9", NULL, "{}", "path", NULL, BAD_ID, 1},
    {"GET", R "/a%20b", NULL, NULL, "path", NULL, BAD_ID, 1},
    {"PUT", "/buckets/a%20b", NULL, "{}", "path", NULL, BAD_ID, 1},
    {"PUT", "/buckets/_x", NULL, "{}", "path", NULL, BAD_ID, 1},
    {"PUT", "/buckets/b/collections/a.b", NULL, "{}", "path", NULL, BAD_ID, 1},
    {"PUT", "/buckets/b/groups/a@b", NULL, "{}", "path", NULL, BAD_ID, 1},
    /* permissions */
    {"PUT", R "/r", NULL, "{'permissions':1}", "body", "permissions", "\"1\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "{'permissions':[]}", "body", "permissions", "\"[]\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "{'permissions':null}", "body", "permissions", "\"None\" " NO_MAPPING, 1},
    {"PUT", R "/r", NULL, "{'permissions':{'foo':[]}}", "body", "permissions",
     "\"foo\" is not one of read, write", 1},
    {"PUT", R "/r", NULL, "{'permissions':{'record:create':['x']}}", "body", "permissions",
     "\"record:create\" is not one of read, write", 1},
    {"PUT", R "/r", NULL, "{'permissions':{'read':1}}", "body", "permissions.read",
     "\"1\" is not iterable", 1},
    {"PUT", R "/r", NULL, "{'permissions':{'read':'x'}}", "body", "permissions.read",
     "\"x\" is not iterable", 1},
    {"PUT", R "/r", NULL, "{'permissions':{'write':{}}}", "body", "permissions.write",
     "\"{}\" is not iterable", 1},
    {"PUT", R "/r", NULL, "{'permissions':{'read':[1]}}", "body", "permissions.read.0",
     "1 is not a string: {'': ''}", 1},
    {"PUT", R "/r", NULL, "{'permissions':{'read':['']}}", "body", "permissions.read.0", "Required",
     1},
    {"PUT", R "/r", NULL, "{'permissions':{'read':[null]}}", "body", "permissions.read.0",
     "Required", 1},
    {"PUT", "/buckets/b", NULL, "{'permissions':{'record:create':[]}}", "body", "permissions",
     "\"record:create\" is not one of read, write, collection:create, group:create", 1},
    {"PUT", "/buckets/b/collections/c", NULL, "{'permissions':{'group:create':[]}}", "body",
     "permissions", "\"group:create\" is not one of read, write, record:create", 1},
    {"PATCH", R "/r", NULL, "{'permissions':{'foo':['x']}}", "body", "permissions",
     "\"foo\" is not one of read, write", 1},
    /* members */
    {"PUT", "/buckets/b/groups/g", NULL, "{'data':{'members':1}}", "body", "data.members",
     "\"1\" is not iterable", 1},
    {"PUT", "/buckets/b/groups/g", NULL, "{'data':{'members':'a'}}", "body", "data.members",
     "\"a\" is not iterable", 1},
    {"PUT", "/buckets/b/groups/g", NULL, "{'data':{'members':null}}", "body", "data.members",
     "\"None\" is not iterable", 1},
    {"PUT", "/buckets/b/groups/g", NULL, "{'data':{'members':[1]}}", "body", "data.members.0",
     "1 is not a string: {'': ''}", 1},
    {"PUT", "/buckets/b/groups/g", NULL, "{'data':{'members':['']}}", "body", "data.members.0",
     "Required", 1},
    {"PUT", "/buckets/b/groups/g", NULL, "{'data':{'members':['a',null]}}", "body",
     "data.members.1", "Required", 1},
    {"PUT", "/buckets/b/groups/g", NULL, "{'data':{'members':[1,'a',2]}}", "body", "data.members.0",
     "1 is not a string: {'': ''}", 2},
    {"PUT", "/buckets/b/groups/g", NULL, "{'data':{'members':['system.Everyone']}}", "body",
     "data.members.0", "'system.Everyone' is not a valid user ID.", 1},
    {"POST", "/buckets/b/groups", NULL, "{'data':{'members':['/buckets/b/groups/x']}}", "body",
     "data.members.0", "'/buckets/b/groups/x' is not a valid user ID.", 1},
    {"PATCH", "/buckets/b/groups/g", NULL, "{'data':{'members':5}}", "body", "members",
     "\"5\" is not iterable", 1},
    /* patches */
    {"PATCH", R "/r", NULL, "{}", "body", "data", "Provide at least one of data or permissions", 1},
    {"PATCH", R "/r", MERGE_PATCH, "{}", "body", "data",
     "Provide at least one of data or permissions", 1},
    {"PATCH", R "/r", MERGE_PATCH, "{'data':null}", "body", "data", "\"None\" " NO_MAPPING, 1},
    {"PATCH", R "/r", MERGE_PATCH, "[]", "body", "", "\"[]\" " NO_MAPPING, 1},
    {"PATCH", R "/r", JSON_PATCH, "{}", "body", "", "\"{}\" is not iterable", 1},
    {"PATCH", R "/r", JSON_PATCH, "[1]", "body", "0", "\"1\" " NO_MAPPING, 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'add'}]", "body", "0.path", "Required", 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'path':'/data/a'}]", "body", "0.op", "Required", 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'foo','path':'/data/a'}]", "body", "0.op",
     "\"foo\" is not one of test, add, remove, replace, move, copy", 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'add','path':1}]", "body", "0.path",
     "1 is not a string: {'path': ''}", 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'add','path':'data/a','value':1}]", "body", "0.path",
     "String does not match expected pattern", 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'add','path':'/data/z'}]", "body", NULL,
     "JSON Patch operation failed: The operation does not contain a 'value' member", 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'remove','path':'/data/nope'}]", "body", NULL,
     "JSON Patch operation failed: can't remove a non-existent object 'nope'", 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'replace','path':'/data/nope','value':1}]", "body", NULL,
     "JSON Patch operation failed: can't replace a non-existent object 'nope'", 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'test','path':'/data/a','value':99}]", "body", NULL, NULL,
     1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'move','from':'/data/no','path':'/data/z'}]", "body",
     NULL, NULL, 1},
    {"PATCH", R "/r", JSON_PATCH, "[{'op':'copy','path':'/data/z'}]", "body", NULL, NULL, 1},
};

START_TEST(refused)
{
    make_collection();
    make("/buckets/b/groups/g");
    put(R "/r", "{'a':1}");
    uint64_t before = stamp();
    if (REFUSED[_i].type)
        with("Content-Type", REFUSED[_i].type);
    call(REFUSED[_i].method, REFUSED[_i].path, REFUSED[_i].body);
    want_invalid(REFUSED[_i].location, REFUSED[_i].name, REFUSED[_i].description);
    want_count("/details", REFUSED[_i].details);
    call("GET", R "?_since=0", NULL);
    want_ids("r");
    want_header("ETag", f("\"%llu\"", (unsigned long long)before));
}
END_TEST

START_TEST(bodies_without_meaning)
{
    make_collection();
    put(R "/r", "{}");
    call("GET", R "/r", "[1]");
    want(200);
    with("Content-Type", "text/plain");
    call("GET", R "/r", "{");
    want(200);
    with("Content-Type", "text/plain");
    call("DELETE", R "/r", "{");
    want(200);
}
END_TEST

START_TEST(names_are_null_for_paths)
{
    make_collection();
    call("POST", R, "{'data':{'id':'a b'}}");
    want_at("/details/0/name", "null");
    want_at("/message", "'path: Invalid object id'");
}
END_TEST

static const struct {
    const char *body, *message;
} MESSAGES[] = {
    {"{'data':1}", "data in body: \"1\" " NO_MAPPING},
    {"{'foo':1}", "Unrecognized keys in mapping: \"{'foo': 1}\""},
    {"{'data':{'id':'x'}}", OTHER_ID},
    {"{'permissions':{'read':[1]}}", "permissions.read.0 in body: 1 is not a string: {'': ''}"},
};

START_TEST(messages_name_the_field)
{
    make_collection();
    call("PUT", R "/r", MESSAGES[_i].body);
    want_error(400, 107, MESSAGES[_i].message);
}
END_TEST

/* Python's way to write values in "Unrecognized keys". */
START_TEST(unknown_keys_are_written_out)
{
    make_collection();
    call("PUT", R "/r", "{'x':{'a':[true,null,1.5,'q']}}");
    want_error(400, 107, "Unrecognized keys in mapping: \"{'x': {'a': [True, None, 1.5, 'q']}}\"");
}
END_TEST

static const struct {
    const char *body, *stored; /* data of a record, and what comes back without id and stamp */
} ACCEPTED[] = {
    {"{'a':1,'a':2}", "2"},
    {"{'a':'\\u0000'}", "'\\u0000'"},
    {"{'':1,'a':3}", "3"},
    {"{'a':18446744073709551615}", "18446744073709551615"},
    {"{'a':-9223372036854775808}", "-9223372036854775808"},
    {"{'a':1.0}", "1.0"},
    {"{'a':0.1}", "0.1"},
    {"{'a':-0.0}", "-0.0"},
    {"{'a':1e2}", "100.0"},
    {"{'a':'\\ud83d\\ude00'}", "'\xF0\x9F\x98\x80'"},
    {"{'a':{'b':[{'c':[[]]},{}]}}", "{'b':[{'c':[[]]},{}]}"},
};

START_TEST(accepted)
{
    make_collection();
    put(R "/r", ACCEPTED[_i].body);
    call("GET", R "/r", NULL);
    want_at("/data/a", ACCEPTED[_i].stored);
    call("GET", R, NULL);
    want_at("/data/0/a", ACCEPTED[_i].stored);
}
END_TEST

START_TEST(numbers_are_kept_as_written)
{
    static const char *const numbers[] = {"1.0", "18446744073709551615", "0.1", "-0.0", "100"};
    make_collection();
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        put(R "/r", f("{'a':%s}", numbers[i]));
        call("GET", R "/r", NULL);
        ck_assert_msg(strstr(re.body, f("\"a\":%s,", numbers[i])), "%s in %s", numbers[i], re.body);
    }
}
END_TEST

START_TEST(forty_digits_are_kept)
{
    make_collection();
    put(R "/r", "{'a':1234567890123456789012345678901234567890}");
    call("GET", R "/r", NULL);
    ck_assert_ptr_nonnull(strstr(re.body, "1234567890123456789012345678901234567890"));
}
END_TEST

/* ---- methods, types, credentials ------------------------------------------------------------- */

static const struct {
    const char *method, *path, *allow;
} NOT_ALLOWED[] = {
    {"PUT", "/buckets", "HEAD, GET, POST, DELETE, OPTIONS"},
    {"PATCH", "/buckets", "HEAD, GET, POST, DELETE, OPTIONS"},
    {"PATCH", "/buckets/b/collections", "HEAD, GET, POST, DELETE, OPTIONS"},
    {"PUT", "/buckets/b/groups", "HEAD, GET, POST, DELETE, OPTIONS"},
    {"PUT", R, "HEAD, GET, POST, DELETE, OPTIONS"},
    {"POST", "/buckets/b", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
    {"POST", "/buckets/b/collections/c", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
    {"POST", "/buckets/b/groups/g", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
    {"POST", R "/r", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
    {"TRACE", R "/r", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"},
};

START_TEST(method_not_allowed)
{
    make_collection();
    call(NOT_ALLOWED[_i].method, NOT_ALLOWED[_i].path, NULL);
    want_error(405, 115, "Method not allowed on this endpoint.");
    const char *got = header("Allow");
    ck_assert_ptr_nonnull(got);
    char allow[64], *rest = allow, *one;
    snprintf(allow, sizeof allow, "%s", NOT_ALLOWED[_i].allow);
    while ((one = strsep(&rest, ", ")))
        ck_assert_msg(strstr(got, one) != NULL, "Allow: %s", got);
    ck_assert_uint_eq(strlen(got), strlen(NOT_ALLOWED[_i].allow));
}
END_TEST

static const struct {
    const char *method, *path, *type;
    int status;
} TYPES[] = {
    {"PUT", R "/r", "application/json", 201},
    {"PUT", R "/r", "application/json; charset=utf-8", 201},
    {"PUT", R "/r", "text/plain", 415},
    {"PUT", R "/r", "application/x-www-form-urlencoded", 415},
    {"PUT", R "/r", "application/json-patch+json", 415},
    {"PUT", R "/r", "application/merge-patch+json", 415},
    {"POST", R, "text/plain", 415},
    {"POST", R, "application/xml", 415},
    {"PATCH", R "/p", "text/plain", 415},
    {"PATCH", R "/p", "application/json", 200},
    {"PATCH", R "/p", "application/merge-patch+json", 200},
    {"PATCH", R "/p", "application/merge-patch+json; charset=utf-8", 200},
    {"POST", "/batch", "text/plain", 415},
};

START_TEST(content_types)
{
    make_collection();
    put(R "/p", "{}");
    with("Content-Type", TYPES[_i].type);
    call(TYPES[_i].method, TYPES[_i].path, "{'data':{'a':1}}");
    want(TYPES[_i].status);
    if (re.status == 415) {
        want_error(415, 107, NULL);
        want_at("/details/0/location", "'header'");
        want_at("/details/0/name", "'Content-Type'");
    }
}
END_TEST

static const struct {
    const char *type, *body;
    int status;
} STRAY[] = {
    {"application/json", "[]", 200}, {"application/json", "{'foo':1}", 200},
    {"application/json", "x", 400},  {"application/hal+json; a=b", "x", 400},
    {"text/plain", "x", 200},        {"application/xml", "x", 200},
};

START_TEST(bodies_that_nobody_asked_for)
{
    make_collection();
    put(R "/p", "{}");
    with("Content-Type", STRAY[_i].type);
    call("DELETE", R "/p", STRAY[_i].body);
    want(STRAY[_i].status);
}
END_TEST

static const struct {
    const char *accept;
    int status;
} ACCEPT[] = {
    {"application/json", 200},     {"*/*", 200},       {"application/*", 200},
    {"text/html, */*;q=0.1", 200}, {"text/html", 406}, {"application/xml", 406},
};

START_TEST(accept)
{
    make_collection();
    with("Accept", ACCEPT[_i].accept);
    call("GET", R, NULL);
    want(ACCEPT[_i].status);
    if (re.status == 406) {
        want_error(406, 107, NULL);
        want_at("/details/0/name", "'Accept'");
    }
}
END_TEST

static const struct {
    const char *value;
    bool known; /* names a user */
} CREDENTIALS[] = {
    {"Basic YWxpY2U6c2VjcmV0", true},
    {"basic YWxpY2U6c2VjcmV0", true},
    {"BASIC YWxpY2U6c2VjcmV0", true},
    {"Basic YWxpY2U6", true},      /* alice: */
    {"Basic YTpiOmM=", true},      /* a:b:c */
    {"Basic /////zpwdw==", true},  /* bytes that are not UTF-8 */
    {"Basic YWxpY2U=", false},     /* alice */
    {"Basic OnNlY3JldA==", false}, /* :secret */
    {"Basic !!!", false},
    {"Basic", false},
    {"Basic ", false},
    {"Bearer abc", false},
    {"Digest x=1", false},
    {"", false},
};

START_TEST(credentials)
{
    as(NULL);
    with("Authorization", CREDENTIALS[_i].value);
    call("GET", "/", NULL);
    want(200);
    ck_assert_int_eq(has("/user/id"), CREDENTIALS[_i].known);
    with("Authorization", CREDENTIALS[_i].value);
    call("GET", "/buckets", NULL);
    if (CREDENTIALS[_i].known) {
        want(200);
    } else {
        want_error(401, 104, "Please authenticate yourself to use this endpoint.");
        want_header("WWW-Authenticate", "Basic realm=\"Realm\"");
    }
}
END_TEST

/* The user id is HMAC-SHA256 of "user:password" with the secret: the same on each server. */
START_TEST(user_ids_come_from_the_secret)
{
    call("GET", "/", NULL);
    want_at("/user/id",
            "'basicauth:a0a9c24e30ece5d9da750b01cf0156458300d8aaa9d84182662edbdd6044ce76'");
}
END_TEST

/* A method is what the request line says. */
START_TEST(methods_are_not_overridden)
{
    make_collection();
    put(R "/r", "{'a':1}");
    with("X-HTTP-Method-Override", "DELETE");
    call("GET", R "/r", NULL);
    want(200);
    want_at("/data/a", "1");
    call("GET", R "/r", NULL);
    want(200);
}
END_TEST

/* ---- missing things -------------------------------------------------------------------------- */

static const struct {
    const char *user, *method, *path;
    int status, no;
    const char *id, *resource;
} MISSING[] = {
    {"alice", "GET", R "/zz", 404, 110, "zz", "record"},
    {"alice", "DELETE", R "/zz", 404, 110, "zz", "record"},
    {"alice", "GET", "/buckets/b/collections/zz", 404, 110, "zz", "collection"},
    {"alice", "DELETE", "/buckets/b/collections/zz", 404, 110, "zz", "collection"},
    {"alice", "GET", "/buckets/b/groups/zz", 404, 110, "zz", "group"},
    {"alice", "GET", "/buckets/b/collections/zz/records", 404, 111, "zz", "collection"},
    {"alice", "GET", "/buckets/b/collections/zz/records/r", 404, 111, "zz", "collection"},
    {"alice", "PUT", "/buckets/b/collections/zz/records/r", 404, 111, "zz", "collection"},
    {"bob", "PUT", "/buckets/b/collections/zz/records/r", 404, 111, "zz", "collection"},
    {NULL, "PUT", "/buckets/b/collections/zz/records/r", 404, 111, "zz", "collection"},
    {"bob", "POST", "/buckets/b/collections/zz/records", 404, 111, "zz", "collection"},
    {"alice", "GET", "/buckets/zz", 403, 121, NULL, NULL},
    {"alice", "DELETE", "/buckets/zz", 403, 121, NULL, NULL},
    {"alice", "GET", "/buckets/zz/collections", 403, 121, NULL, NULL},
    {"alice", "POST", "/buckets/zz/collections", 403, 121, NULL, NULL},
    {"alice", "PUT", "/buckets/zz/groups/g", 403, 121, NULL, NULL},
    {"bob", "GET", "/buckets/b", 403, 121, NULL, NULL},
    {"bob", "GET", R "/zz", 403, 121, NULL, NULL},
    {"alice", "GET", "/buckets/a%20b", 403, 121, NULL, NULL},
    {NULL, "GET", "/buckets/b", 401, 104, NULL, NULL},
    {NULL, "GET", "/buckets", 401, 104, NULL, NULL},
    {NULL, "GET", R, 401, 104, NULL, NULL},
    {NULL, "DELETE", R, 401, 104, NULL, NULL},
    {NULL, "GET", "/buckets/zz", 401, 104, NULL, NULL},
};

START_TEST(missing_things)
{
    make_collection();
    as(MISSING[_i].user);
    bool write = strcmp(MISSING[_i].method, "PUT") == 0 || strcmp(MISSING[_i].method, "POST") == 0;
    call(MISSING[_i].method, MISSING[_i].path, write ? "{}" : NULL);
    want_error(MISSING[_i].status, MISSING[_i].no, MISSING[_i].id ? "" : NULL);
    if (MISSING[_i].id) {
        want_at("/details",
                f("{'id':'%s','resource_name':'%s'}", MISSING[_i].id, MISSING[_i].resource));
    }
    if (MISSING[_i].status == 403)
        want_at("/message", "'This user cannot access this resource.'");
}
END_TEST

/* ---- two things are wrong -------------------------------------------------------------------- */

START_TEST(which_error_comes_first)
{
    make_collection();
    put(R "/r", "{'a':1}");
    as(NULL);
    call("PUT", R "/r", "{");
    want_error(401, 104, NULL);
    with("Content-Type", "text/plain");
    call("PUT", R "/r", "{");
    want(415);
    as("bob");
    call("PUT", R "/r", "{");
    want_error(403, 121, NULL);
    as("alice");
    with("If-Match", "\"1\"");
    call("PUT", R "/r", "{");
    want_error(400, 107, NULL);
    with("If-Match", "\"1\"");
    call("PUT", R "/r", "{'data':{'id':'x'}}");
    want_error(412, 114, NULL);
    call("GET", R, NULL);
    with("If-None-Match", etag());
    call("GET", R "?nope=%00", NULL);
    want(304);
    with("If-None-Match", "x");
    call("GET", R, NULL);
    want_invalid("header", "If-None-Match", "The value should be integer between double quotes.");
}
END_TEST

START_TEST(two_bad_headers_are_both_named)
{
    make_collection();
    with("If-Match", "x");
    with("If-None-Match", "y");
    call("GET", R, NULL);
    want_invalid("header", "If-Match", NULL);
    want_at("/details/1/name", "'If-None-Match'");
}
END_TEST

/* ---- ours alone ------------------------------------------------------------------------------ */

START_TEST(deep_nesting_is_refused)
{
    make_collection();
    char body[4096] = "{'data':{'a':";
    size_t n = strlen(body), depth = 1000;
    memset(body + n, '[', depth);
    memset(body + n + depth, ']', depth);
    memcpy(body + n + 2 * depth, "}}", 3);
    call("PUT", R "/r", body);
    want_error(400, 107, NULL);
    call("GET", R "?in_id=[[[[[[", NULL);
    ck_assert_int_lt(re.status, 500);
    call("GET", f(R "?v=%.*s", 2000, body + n), NULL);
    ck_assert_int_lt(re.status, 500);
}
END_TEST

START_TEST(trailing_nul_is_refused)
{
    make_collection();
    call_raw("PUT", "/v1" R "/r", "{}\0", 3);
    want_error(400, 107, NULL);
}
END_TEST

START_TEST(newline_in_an_id_is_refused)
{
    make("/buckets/b");
    call("PUT", "/buckets/b%0A", "{}");
    want_error(400, 107, NULL);
}
END_TEST

START_TEST(what_breaks_the_reference)
{
    make_collection();
    put(R "/r", "{'a':1}");
    with("Content-Type", MERGE_PATCH);
    call("PATCH", R "/r", "{'data':{'a':{'b':1}}}");
    want(200);
    want_at("/data/a", "{'b':1}");
    call("DELETE", f(R "/r?last_modified=%%22%llu%%22", (unsigned long long)stamp() + 5), NULL);
    ck_assert_int_lt(re.status, 500);
    call("POST", "/batch", "[]");
    want_error(400, 107, NULL);
    with("If-Match", "**");
    call("GET", R, NULL);
    want_invalid("header", "If-Match", NULL);
    with("Content-Type", "application/json; charset=xyz");
    call("PUT", R "/x", "{}");
    ck_assert_int_lt(re.status, 500);
    call("PUT", R "/y", "{'data':{'last_modified':9223372036854775808}}");
    ck_assert_int_lt(re.status, 500);
    call("PUT", R "/z", "{'data':{'last_modified':true}}");
    ck_assert_int_lt(re.status, 500);
    ck_assert(re.status >= 400 || stamp() > 1600000000000);
}
END_TEST

START_TEST(long_password)
{
    char value[8192] = "Basic YTph"; /* a:a, then more of a */
    size_t n = strlen(value);
    for (int i = 0; i < 1700; i++, n += 4)
        memcpy(value + n, "YWFh", 5);
    as(NULL);
    with("Authorization", value);
    call("GET", "/", NULL);
    want(200);
    ck_assert(has("/user/id"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/errors");
    TCase *t = api_case(s, "bodies", NULL);
    tcase_add_loop_test(t, refused, 0, ARRAY_LEN(REFUSED));
    tcase_add_test(t, bodies_without_meaning);
    tcase_add_test(t, names_are_null_for_paths);
    tcase_add_loop_test(t, messages_name_the_field, 0, ARRAY_LEN(MESSAGES));
    tcase_add_test(t, unknown_keys_are_written_out);
    tcase_add_loop_test(t, accepted, 0, ARRAY_LEN(ACCEPTED));
    tcase_add_test(t, numbers_are_kept_as_written);
    t = api_case(s, "requests", NULL);
    tcase_add_loop_test(t, method_not_allowed, 0, ARRAY_LEN(NOT_ALLOWED));
    tcase_add_loop_test(t, bodies_that_nobody_asked_for, 0, ARRAY_LEN(STRAY));
    tcase_add_loop_test(t, content_types, 0, ARRAY_LEN(TYPES));
    tcase_add_loop_test(t, accept, 0, ARRAY_LEN(ACCEPT));
    tcase_add_loop_test(t, credentials, 0, ARRAY_LEN(CREDENTIALS));
    tcase_add_test(t, user_ids_come_from_the_secret);
    tcase_add_test(t, methods_are_not_overridden);
    tcase_add_loop_test(t, missing_things, 0, ARRAY_LEN(MISSING));
    tcase_add_test(t, which_error_comes_first);
    tcase_add_test(t, two_bad_headers_are_both_named);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, deep_nesting_is_refused);
    tcase_add_test(t, trailing_nul_is_refused);
    tcase_add_test(t, newline_in_an_id_is_refused);
    tcase_add_test(t, what_breaks_the_reference);
    tcase_add_test(t, forty_digits_are_kept);
    tcase_add_test(t, long_password);
    return s;
}

API_MAIN(suite, NULL)
