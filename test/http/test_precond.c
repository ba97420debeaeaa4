/*
 * test/http/test_precond.c - If-Match and If-None-Match on objects and lists.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define NOT_A_TAG "The value should be integer between double quotes."

enum tag { NONE, SAME, OTHER, LATER, STAR };

/* The header value for a tag, given the current one. */
static const char *tag_value(enum tag t, uint64_t now)
{
    switch (t) {
    case NONE:
        return NULL;
    case SAME:
        return f("\"%llu\"", (unsigned long long)now);
    case OTHER:
        return "\"1\"";
    case LATER:
        return f("\"%llu\"", (unsigned long long)now + 1000);
    case STAR:
        return "*";
    }
    return NULL;
}

static const struct {
    const char *method, *path;
    enum tag match, none_match;
    int status;
    bool existing; /* of a 412 */
} TABLE[] = {
    /* reading an object */
    {"GET", R "/r", NONE, SAME, 304, false},
    {"GET", R "/r", NONE, OTHER, 200, false},
    {"GET", R "/r", NONE, LATER, 200, false},
    {"GET", R "/r", NONE, STAR, 412, true},
    {"GET", R "/r", SAME, NONE, 200, false},
    {"GET", R "/r", OTHER, NONE, 412, true},
    {"GET", R "/r", LATER, NONE, 412, true},
    {"GET", R "/r", STAR, NONE, 200, false},
    {"HEAD", R "/r", NONE, SAME, 304, false},
    {"HEAD", R "/r", OTHER, NONE, 412, false},
    {"GET", R "/zz", OTHER, NONE, 404, false},
    {"GET", R "/zz", NONE, OTHER, 404, false},
    /* a list always exists */
    {"GET", R, NONE, SAME, 304, false},
    {"GET", R, NONE, OTHER, 200, false},
    {"GET", R, NONE, STAR, 412, false},
    {"GET", R, SAME, NONE, 200, false},
    {"GET", R, OTHER, NONE, 412, false},
    {"GET", R, STAR, NONE, 200, false},
    {"GET", R "?a=nothing", NONE, SAME, 304, false},
    {"HEAD", R, NONE, SAME, 304, false},
    {"HEAD", R, OTHER, NONE, 412, false},
    /* replacing */
    {"PUT", R "/r", SAME, NONE, 200, false},
    {"PUT", R "/r", OTHER, NONE, 412, true},
    {"PUT", R "/r", LATER, NONE, 412, true},
    {"PUT", R "/r", STAR, NONE, 200, false},
    {"PUT", R "/r", NONE, STAR, 412, true},
    {"PUT", R "/r", NONE, OTHER, 200, false},
    {"PUT", R "/r", NONE, SAME, 200, false},
    {"PUT", R "/zz", NONE, STAR, 201, false},
    {"PUT", R "/zz", OTHER, NONE, 412, false},
    {"PUT", R "/zz", STAR, NONE, 412, false},
    /* changing */
    {"PATCH", R "/r", SAME, NONE, 200, false},
    {"PATCH", R "/r", OTHER, NONE, 412, true},
    {"PATCH", R "/r", STAR, NONE, 200, false},
    {"PATCH", R "/zz", OTHER, NONE, 404, false},
    {"PATCH", R "/zz", STAR, NONE, 404, false},
    /* deleting */
    {"DELETE", R "/r", SAME, NONE, 200, false},
    {"DELETE", R "/r", OTHER, NONE, 412, true},
    {"DELETE", R "/r", STAR, NONE, 200, false},
    {"DELETE", R "/zz", OTHER, NONE, 404, false},
    {"DELETE", R "/zz", STAR, NONE, 404, false},
    {"DELETE", R, SAME, NONE, 200, false},
    {"DELETE", R, OTHER, NONE, 412, false},
    /* adding to a list */
    {"POST", R, SAME, NONE, 412, false},
    {"POST", R, OTHER, NONE, 412, false},
    {"POST", R, NONE, STAR, 201, false},
};

START_TEST(condition)
{
    make_collection();
    put(R "/r", "{'a':1}");
    uint64_t now = stamp();
    const char *match = tag_value(TABLE[_i].match, now);
    const char *none_match = tag_value(TABLE[_i].none_match, now);
    if (match)
        with("If-Match", match);
    if (none_match)
        with("If-None-Match", none_match);
    bool body = strchr("PH", TABLE[_i].method[0]) && strcmp(TABLE[_i].method, "HEAD") != 0;
    call(TABLE[_i].method, TABLE[_i].path, body ? "{'data':{'a':2}}" : NULL);
    want(TABLE[_i].status);
    if (re.status == 304 || re.status == 412) {
        want_header("ETag", f("\"%llu\"", (unsigned long long)now));
        ck_assert_ptr_nonnull(header("Last-Modified"));
        want_no_header("Cache-Control");
    }
    if (re.status == 304)
        want_empty_body();
    if (re.status == 412 && strcmp(TABLE[_i].method, "HEAD") != 0) {
        want_error(412, 114, "Resource was modified meanwhile");
        if (TABLE[_i].existing)
            want_at("/details", f("{'existing':{'a':1,'id':'r','last_modified':%llu}}",
                                  (unsigned long long)now));
        else
            want_missing("/details");
    }
    if (re.status >= 300) {
        call("GET", R "?_since=0", NULL);
        want_count("/data", 1);
        want_at("/data/0/last_modified", f("%llu", (unsigned long long)now));
    }
}
END_TEST

static const char *const MALFORMED[] = {"x",       "1",    "1234567890123", "W/\"1\"",
                                        "\"abc\"", "\"\"", "\"1\", \"2\"",  "\"-1\"",
                                        "'1'",     "\"1",  "\"1.5\""};

START_TEST(malformed_tags)
{
    static const char *const paths[] = {R, R "/r", "/buckets", "/buckets/b"};
    make_collection();
    put(R "/r", "{'a':1}");
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        with("If-Match", MALFORMED[_i]);
        call("GET", paths[i], NULL);
        want_invalid("header", "If-Match", NOT_A_TAG);
        with("If-None-Match", MALFORMED[_i]);
        call("GET", paths[i], NULL);
        want_invalid("header", "If-None-Match", NOT_A_TAG);
    }
    with("If-Match", MALFORMED[_i]);
    call("PUT", R "/r", "{}");
    want_invalid("header", "If-Match", NOT_A_TAG);
    with("If-Match", MALFORMED[_i]);
    call("DELETE", R "/zz", NULL);
    want_invalid("header", "If-Match", NOT_A_TAG);
}
END_TEST

START_TEST(empty_tags_are_ignored)
{
    make_collection();
    put(R "/r", "{'a':1}");
    with("If-None-Match", "");
    call("GET", R "/r", NULL);
    want(200);
    with("If-Match", "");
    call("PUT", R "/r", "{}");
    want(200);
}
END_TEST

START_TEST(tags_mean_nothing_outside_resources)
{
    with("If-Match", "x");
    call("GET", "/", NULL);
    want(200);
}
END_TEST

START_TEST(dates_are_ignored)
{
    make_collection();
    put(R "/r", "{'a':1}");
    with("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT");
    call("GET", R "/r", NULL);
    want(200);
    with("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT");
    call("PUT", R "/r", "{}");
    want(200);
}
END_TEST

START_TEST(post_of_an_existing_id)
{
    make_collection();
    put(R "/r", "{'a':1}");
    with("If-None-Match", "*");
    call("POST", R, "{'data':{'id':'r','a':2}}");
    want_error(412, 114, NULL);
    want_at("/details/existing/a", "1");
    with("If-None-Match", "*");
    call("POST", R, "{'data':{'id':'r2','a':2}}");
    want(201);
}
END_TEST

/* What a client that was offline depends on. */
START_TEST(existing_is_absent_for_a_deleted_record)
{
    make_collection();
    put(R "/r", "{'a':1}");
    const char *tag = f("%s", etag());
    call("DELETE", R "/r", NULL);
    with("If-Match", tag);
    call("PUT", R "/r", "{'data':{'a':2}}");
    want_error(412, 114, NULL);
    want_missing("/details");
    with("If-None-Match", "*");
    call("PUT", R "/r", "{'data':{'a':2}}");
    want(201);
}
END_TEST

START_TEST(conditions_on_buckets)
{
    make("/buckets/b");
    uint64_t now = stamp();
    with("If-None-Match", f("\"%llu\"", (unsigned long long)now));
    call("GET", "/buckets/b", NULL);
    want(304);
    with("If-Match", "\"1\"");
    call("DELETE", "/buckets/b", NULL);
    want_error(412, 114, NULL);
    want_at("/details/existing/id", "'b'");
    with("If-None-Match", "*");
    call("PUT", "/buckets/b", "{}");
    want_error(412, 114, NULL);
    call("GET", "/buckets", NULL);
    with("If-None-Match", etag());
    call("GET", "/buckets", NULL);
    want(304);
    put("/buckets/b2", "{}");
    with("If-None-Match", f("\"%llu\"", (unsigned long long)now));
    call("GET", "/buckets", NULL);
    want(200);
}
END_TEST

START_TEST(permissions_come_before_conditions)
{
    make_collection();
    put(R "/r", "{'a':1}");
    as("bob");
    with("If-None-Match", "*");
    call("PUT", R "/r", "{'data':{'a':2}}");
    want_error(403, 121, NULL);
    with("If-Match", "\"1\"");
    call("GET", R "/r", NULL);
    want_error(403, 121, NULL);
}
END_TEST

/* The answer to a failed precondition tells nothing to those who may not read. */
START_TEST(existing_is_for_readers_only)
{
    put("/buckets/b", "{'private':1}");
    as("bob");
    with("If-None-Match", "*");
    call("PUT", "/buckets/b", "{}");
    ck_assert_int_ge(re.status, 400);
    ck_assert_ptr_null(strstr(re.body, "private"));
    want_missing("/details");
}
END_TEST

START_TEST(two_stars)
{
    make_collection();
    with("If-None-Match", "**");
    call("GET", R, NULL);
    want_invalid("header", "If-None-Match", NOT_A_TAG);
}
END_TEST

/* No version of anything but an object of the year 1970: a condition like others. */
START_TEST(tag_zero)
{
    make_collection();
    put(R "/r", "{'a':1}");
    with("If-Match", "\"0\"");
    call("PUT", R "/r", "{'data':{'a':2}}");
    want(412);
    want_at("/details/existing/a", "1");
    with("If-Match", "\"0\"");
    call("DELETE", R, NULL);
    want(412);
    with("If-None-Match", "\"0\"");
    call("GET", R "/r", NULL);
    want(200);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/precond");
    TCase *t = api_case(s, "conditions", NULL);
    tcase_add_loop_test(t, condition, 0, ARRAY_LEN(TABLE));
    tcase_add_loop_test(t, malformed_tags, 0, ARRAY_LEN(MALFORMED));
    tcase_add_test(t, empty_tags_are_ignored);
    tcase_add_test(t, tags_mean_nothing_outside_resources);
    tcase_add_test(t, dates_are_ignored);
    tcase_add_test(t, post_of_an_existing_id);
    tcase_add_test(t, existing_is_absent_for_a_deleted_record);
    tcase_add_test(t, conditions_on_buckets);
    tcase_add_test(t, permissions_come_before_conditions);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, existing_is_for_readers_only);
    tcase_add_test(t, two_stars);
    tcase_add_test(t, tag_zero);
    return s;
}

API_MAIN(suite, NULL)
