/*
 * test/http/test_timestamps.c - the clocks of lists, _since and its like, tombstones, timestamps
 * given by the client, plural deletes.
 */
#include <time.h>

#include "test/support/api.h"
#include "test/support/unit.h"

typedef unsigned long long ull;

static uint64_t list_stamp(const char *path)
{
    call("HEAD", path, NULL);
    want(200);
    return strtoull(etag() + 1, NULL, 10);
}

/* ---- clocks ---------------------------------------------------------------------------------- */

START_TEST(each_write_has_its_own_stamp)
{
    make_collection();
    uint64_t last = list_stamp(R);
    for (int i = 0; i < 50; i++) {
        put(f(R "/r%d", i % 5), f("{'n':%d}", i));
        ck_assert_uint_gt(stamp(), last);
        last = stamp();
        ck_assert_uint_eq(list_stamp(R), last);
    }
    call("DELETE", R "/r1", NULL);
    ck_assert_uint_gt(stamp(), last);
    last = stamp();
    ck_assert_uint_eq(list_stamp(R), last);
}
END_TEST

START_TEST(stamps_are_near_the_wall_clock)
{
    make_collection();
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    put(R "/r", "{}");
    int64_t ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    ck_assert_int_lt(llabs((int64_t)stamp() - ms), 5000);
}
END_TEST

START_TEST(empty_list_has_a_stamp_that_stays)
{
    make_collection();
    uint64_t first = list_stamp(R);
    ck_assert_uint_gt(first, 1600000000000);
    call("GET", R "?_since=0", NULL);
    want_header("ETag", f("\"%llu\"", (ull)first));
    call("PATCH", "/buckets/b", "{'data':{'x':1}}");
    ck_assert_uint_eq(list_stamp(R), first);
    put("/buckets/b/collections/d", "{}");
    ck_assert_uint_eq(list_stamp(R), first);
}
END_TEST

START_TEST(reading_moves_no_clock)
{
    make_collection();
    put(R "/r", "{'a':1}");
    uint64_t now = stamp();
    call("GET", R "/r", NULL);
    ck_assert_uint_eq(stamp(), now);
    call("GET", R "?a=2", NULL);
    want_header("ETag", f("\"%llu\"", (ull)now));
    call("POST", R, "{'data':{'id':'r','a':5}}");
    want(200);
    want_at("/data/a", "1");
    ck_assert_uint_eq(list_stamp(R), now);
    call("PUT", R "/r", "{");
    ck_assert_uint_eq(list_stamp(R), now);
    call("DELETE", R "?a=77", NULL);
    want_ids("");
    ck_assert_uint_eq(list_stamp(R), now);
}
END_TEST

START_TEST(last_modified_header_has_seconds)
{
    make_collection();
    put(R "/r", "{'last_modified':1234567890987}");
    want(201);
    want_header("ETag", "\"1234567890987\"");
    want_header("Last-Modified", "Fri, 13 Feb 2009 23:31:30 GMT");
    call("GET", R "/r", NULL);
    want_header("ETag", "\"1234567890987\"");
    want_header("Last-Modified", "Fri, 13 Feb 2009 23:31:30 GMT");
}
END_TEST

START_TEST(lists_have_separate_clocks)
{
    make_collection();
    put("/buckets/b/collections/d", "{}");
    put(R "/r", "{'last_modified':99999999999999}");
    ck_assert_uint_eq(list_stamp(R), 99999999999999);
    put("/buckets/b/collections/d/records/r", "{}");
    ck_assert_uint_lt(stamp(), 99999999999999);
    ck_assert_uint_lt(list_stamp("/buckets/b/collections"), 99999999999999);
}
END_TEST

/* ---- a stamp from the client ----------------------------------------------------------------- */

static const struct {
    const char *value;
    int64_t stored; /* 0: the server's own stamp */
} CREATED[] = {
    {"1234", 1234}, {"0", 0},    {"99999999999999", 99999999999999},
    {"'abc'", 0},   {"null", 0}, {"1.5", 0},
    {"'1234'", 0},  {"-5", -5},
};

START_TEST(stamp_on_creation)
{
    make_collection();
    put(R "/a", "{}");
    uint64_t before = stamp();
    call("PUT", R "/r", f("{'data':{'last_modified':%s}}", CREATED[_i].value));
    want(201);
    int64_t got = num_at("/data/last_modified");
    if (CREATED[_i].stored || CREATED[_i].value[0] == '0')
        ck_assert_int_eq(got, CREATED[_i].stored);
    else
        ck_assert_int_gt(got, (int64_t)before);
    int64_t list = (int64_t)list_stamp(R);
    ck_assert_int_eq(list, got > (int64_t)before ? got : (int64_t)before);
    put(R "/b", "{}");
    ck_assert_int_gt((int64_t)stamp(), list);
}
END_TEST

START_TEST(old_stamp_sorts_last)
{
    make_collection();
    put(R "/a", "{}");
    put(R "/old", "{'last_modified':1234}");
    call("GET", R, NULL);
    want_ids("a,old");
    call("GET", R "?_since=1234", NULL);
    want_ids("a");
    call("GET", R "?_before=1235", NULL);
    want_ids("old");
}
END_TEST

START_TEST(stamp_on_update)
{
    make_collection();
    put(R "/r", "{'n':1}");
    uint64_t own = stamp();
    put(R "/r", f("{'n':2,'last_modified':%llu}", (ull)own));
    want_at("/data/n", "2");
    ck_assert_uint_gt(stamp(), own);
    own = stamp();
    put(R "/r", "{'n':3,'last_modified':5}");
    ck_assert_uint_gt(stamp(), own);
    own = stamp();
    put(R "/r", f("{'n':4,'last_modified':%llu}", (ull)own + 100000));
    ck_assert_uint_eq(stamp(), own + 100000);
    ck_assert_uint_eq(list_stamp(R), own + 100000);
    call("PATCH", R "/r", "{'data':{'n':5}}");
    ck_assert_uint_eq(stamp(), own + 100001);
    call("PATCH", R "/r", f("{'data':{'last_modified':%llu}}", (ull)own + 200000));
    ck_assert_uint_eq(stamp(), own + 200000);
}
END_TEST

/* Between the object's own stamp and the list's: taken as it is. */
START_TEST(stamp_between_object_and_list)
{
    make_collection();
    put(R "/r", "{'last_modified':1000}");
    put(R "/s", "{}");
    uint64_t list = stamp();
    put(R "/r", "{'last_modified':2000}");
    ck_assert_uint_eq(stamp(), 2000);
    ck_assert_uint_eq(list_stamp(R), list);
    put(R "/r", "{'last_modified':1}");
    ck_assert_uint_gt(stamp(), list);
}
END_TEST

START_TEST(stamp_on_delete)
{
    make_collection();
    put(R "/r", "{}");
    uint64_t own = stamp();
    call("DELETE", f(R "/r?last_modified=%llu", (ull)own + 50000), NULL);
    want(200);
    want_at("/data", f("{'id':'r','last_modified':%llu,'deleted':true}", (ull)own + 50000));
    put(R "/s", "{}");
    uint64_t other = stamp();
    call("DELETE", R "/s?last_modified=5", NULL);
    want(200);
    ck_assert_uint_gt(stamp(), other);
    put(R "/t", "{}");
    call("DELETE", R "/t?last_modified=1&last_modified=2", NULL);
    want_invalid("querystring", "last_modified", NULL);
}
END_TEST

/* ---- _since, _before, _to -------------------------------------------------------------------- */

/* However far ahead a list's clock is: its own ETag can be asked from. */
START_TEST(since_an_etag_that_is_far_ahead)
{
    make_collection();
    put(R "/a", "{'last_modified':9999999999999}");
    put(R "/b", "{}");
    call("GET", R "?_since=9999999999999", NULL);
    want(200);
    want_ids("b");
    call("GET", R "?_since=10000000000000", NULL);
    want(200);
    want_ids("");
    call("GET", R "?_since=99999999999999", NULL);
    want(400);
}
END_TEST

START_TEST(since_shows_changes_and_tombstones)
{
    make_collection();
    put(R "/a", "{}");
    put(R "/b", "{}");
    put(R "/c", "{}");
    uint64_t mark = list_stamp(R);
    call("GET", f(R "?_since=%llu", (ull)mark), NULL);
    want_ids("");
    put(R "/a", "{'n':1}");
    call("DELETE", R "/b", NULL);
    put(R "/d", "{}");
    call("GET", f(R "?_since=%llu", (ull)mark), NULL);
    want_ids("d,-b,a");
    call("GET", f(R "?_since=%%22%llu%%22", (ull)mark), NULL);
    want_ids("d,-b,a");
    call("GET", f(R "?_since=%llu", (ull)mark - 1), NULL);
    want_ids("d,-b,a,c");
    call("GET", f(R "?gt_last_modified=%llu", (ull)mark), NULL);
    want_ids("d,-b,a");
    call("GET", R "?_since=null", NULL);
    want(200);
    call("GET", R, NULL);
    want_ids("d,a,c");
}
END_TEST

START_TEST(since_and_before_bound)
{
    uint64_t at_[5];
    make_collection();
    for (int i = 0; i < 5; i++) {
        put(f(R "/%c", 'a' + i), "{}");
        at_[i] = stamp();
    }
    call("GET", f(R "?_since=%llu&_before=%llu", (ull)at_[0], (ull)at_[3]), NULL);
    want_ids("c,b");
    call("GET", f(R "?_before=%llu", (ull)at_[1]), NULL);
    want_ids("a");
    want_no_header("Alert");
    call("GET", f(R "?_to=%llu", (ull)at_[1]), NULL);
    want_ids("a");
    want_header_has("Alert", "\"code\":\"soft-eol\"");
    call("GET", f(R "?min_last_modified=%llu&max_last_modified=%llu", (ull)at_[1], (ull)at_[2]),
         NULL);
    want_ids("c,b");
    call("GET", f(R "?last_modified=%llu", (ull)at_[2]), NULL);
    want_ids("c");
    call("GET", f(R "?not_last_modified=%llu", (ull)at_[2]), NULL);
    want_ids("e,d,b,a");
}
END_TEST

START_TEST(deleted_true_shows_tombstones_only)
{
    make_collection();
    put(R "/a", "{}");
    put(R "/b", "{}");
    call("DELETE", R "/b", NULL);
    call("GET", R "?_since=0&deleted=true", NULL);
    want_ids("-b");
    call("GET", R "?deleted=true", NULL);
    want_ids("");
    call("GET", R "?_since=0&not_deleted=true", NULL);
    want_ids("a");
    call("GET", R "?_since=0&has_deleted=false", NULL);
    want_ids("a");
}
END_TEST

START_TEST(tombstones_have_three_fields)
{
    make_collection();
    put(R "/a", "{'x':1,'y':2}");
    call("DELETE", R "/a", NULL);
    want(200);
    uint64_t when = stamp();
    want_body(f("{'data':{'id':'a','last_modified':%llu,'deleted':true}}", (ull)when));
    want_header("ETag", f("\"%llu\"", (ull)when));
    call("GET", R "?_since=0", NULL);
    want_at("/data", f("[{'id':'a','last_modified':%llu,'deleted':true}]", (ull)when));
    call("GET", R "/a", NULL);
    want_error(404, 110, "");
    call("DELETE", R "/a", NULL);
    want_error(404, 110, "");
}
END_TEST

START_TEST(created_again_the_tombstone_goes)
{
    make_collection();
    put(R "/a", "{'x':1}");
    call("DELETE", R "/a", NULL);
    uint64_t gone = stamp();
    call("PUT", R "/a", "{'data':{'y':1}}");
    want(201);
    ck_assert_uint_gt(stamp(), gone);
    want_missing("/data/x");
    call("GET", R "?_since=0", NULL);
    want_ids("a");
}
END_TEST

START_TEST(other_lists_have_tombstones)
{
    make("/buckets/b");
    static const char *const lists[] = {"/buckets", "/buckets/b/collections", "/buckets/b/groups"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        make(f("%s/x", lists[i]));
        uint64_t before = list_stamp(lists[i]);
        call("DELETE", f("%s/x", lists[i]), NULL);
        want(200);
        uint64_t when = stamp();
        ck_assert_uint_gt(when, before);
        call("GET", f("%s?_since=%llu", lists[i], (ull)before), NULL);
        want(200);
        if (i == 0)
            continue; /* a bucket's tombstone is seen by nobody: its permissions went with it */
        want_ids("-x");
    }
}
END_TEST

/* ---- deleting -------------------------------------------------------------------------------- */

START_TEST(deleting_a_collection_deletes_all_below)
{
    make_collection();
    put(R "/a", "{}");
    put(R "/b", "{}");
    call("DELETE", R "/b", NULL);
    call("DELETE", "/buckets/b/collections/c", NULL);
    want(200);
    want_at("/data/id", "'c'");
    call("GET", R "/a", NULL);
    want_error(404, 111, "");
    make("/buckets/b/collections/c");
    call("GET", R "?_since=0", NULL);
    want_ids("");
    call("GET", R "/a", NULL);
    want_error(404, 110, "");
}
END_TEST

START_TEST(deleting_a_bucket_deletes_all_below)
{
    make_collection();
    make("/buckets/b/groups/g");
    put(R "/a", "{}");
    call("DELETE", "/buckets/b", NULL);
    want(200);
    call("GET", "/buckets/b", NULL);
    want_error(403, 121, NULL);
    call("GET", R "/a", NULL);
    ck_assert(re.status == 403 || re.status == 404);
    make("/buckets/b");
    call("GET", "/buckets/b/collections?_since=0", NULL);
    want_ids("");
    call("GET", "/buckets/b/groups?_since=0", NULL);
    want_ids("");
    make("/buckets/b/collections/c");
    call("GET", R "?_since=0", NULL);
    want_ids("");
}
END_TEST

/* Bucket b goes; b1, whose name begins with it, keeps its tombstones and its clock. */
START_TEST(deleting_a_bucket_leaves_its_namesakes)
{
    make("/buckets/b");
    make("/buckets/b1");
    make("/buckets/b1/collections/c");
    put("/buckets/b1/collections/c/records/r", "{}");
    call("DELETE", "/buckets/b1/collections/c/records/r", NULL);
    uint64_t before = list_stamp("/buckets/b1/collections/c/records");
    call("DELETE", "/buckets/b", NULL);
    want(200);
    ck_assert_uint_eq(list_stamp("/buckets/b1/collections/c/records"), before);
    call("GET", "/buckets/b1/collections/c/records?_since=0", NULL);
    want_ids("-r");
}
END_TEST

START_TEST(deleting_a_list)
{
    make_collection();
    for (int i = 0; i < 5; i++)
        put(f(R "/%c", 'a' + i), f("{'n':%d}", i));
    uint64_t before = list_stamp(R);
    call("DELETE", R "?min_n=1&_sort=n", NULL);
    want_ids("-b,-c,-d,-e");
    uint64_t last = before;
    for (int i = 0; i < 4; i++) {
        uint64_t when = (uint64_t)num_at(f("/data/%d/last_modified", i));
        ck_assert_uint_gt(when, last);
        last = when;
    }
    want_header("ETag", f("\"%llu\"", (ull)last));
    call("GET", f(R "?_since=%llu", (ull)before), NULL);
    want_ids("-e,-d,-c,-b");
    call("DELETE", R, NULL);
    want_ids("-a");
    call("DELETE", R, NULL);
    want_ids("");
}
END_TEST

/* A missing field sorts behind every value, so min_n finds it. */
START_TEST(deleting_by_a_field_that_is_missing)
{
    make_collection();
    put(R "/a", "{'n':1}");
    put(R "/b", "{}");
    call("DELETE", R "?min_n=4000", NULL);
    want_ids("-b");
}
END_TEST

START_TEST(deleting_other_lists)
{
    make_collection();
    make("/buckets/b/groups/g");
    put(R "/r", "{}");
    call("DELETE", "/buckets/b/groups", NULL);
    want_ids("-g");
    call("DELETE", "/buckets/b/collections", NULL);
    want_ids("-c");
    call("GET", "/buckets/b/collections/c", NULL);
    want_error(404, 110, "");
    make("/buckets/b/collections/c");
    call("GET", R "?_since=0", NULL);
    want_ids("");
    make("/buckets/d");
    as("bob");
    make("/buckets/bobs");
    as("alice");
    call("DELETE", "/buckets", NULL);
    want_ids_any_order("-b,-d");
    as("bob");
    call("GET", "/buckets/bobs", NULL);
    want(200);
}
END_TEST

START_TEST(stamps_of_every_kind_give_no_500)
{
    static const char *const values[] = {"true",  "9223372036854775807",  "9223372036854775808",
                                         "1e400", "18446744073709551616", "[]",
                                         "{}"};
    make_collection();
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        call("PUT", R "/r", f("{'data':{'last_modified':%s}}", values[i]));
        ck_assert_int_lt(re.status, 500);
        call("DELETE", f(R "?last_modified=%s", url_encode(values[i])), NULL);
        ck_assert_int_lt(re.status, 500);
        call("DELETE", f(R "/r?last_modified=%s", url_encode(values[i])), NULL);
        ck_assert_int_lt(re.status, 500);
    }
    call("GET", R "?_since=0", NULL);
    want(200);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/timestamps");
    TCase *t = api_case(s, "clocks", NULL);
    tcase_add_test(t, each_write_has_its_own_stamp);
    tcase_add_test(t, stamps_are_near_the_wall_clock);
    tcase_add_test(t, empty_list_has_a_stamp_that_stays);
    tcase_add_test(t, reading_moves_no_clock);
    tcase_add_test(t, last_modified_header_has_seconds);
    tcase_add_test(t, lists_have_separate_clocks);
    t = api_case(s, "given", NULL);
    tcase_add_loop_test(t, stamp_on_creation, 0, ARRAY_LEN(CREATED));
    tcase_add_test(t, old_stamp_sorts_last);
    tcase_add_test(t, stamp_on_update);
    tcase_add_test(t, stamp_between_object_and_list);
    tcase_add_test(t, stamp_on_delete);
    t = api_case(s, "since", NULL);
    tcase_add_test(t, since_shows_changes_and_tombstones);
    tcase_add_test(t, since_and_before_bound);
    tcase_add_test(t, deleted_true_shows_tombstones_only);
    tcase_add_test(t, tombstones_have_three_fields);
    tcase_add_test(t, created_again_the_tombstone_goes);
    tcase_add_test(t, other_lists_have_tombstones);
    t = api_case(s, "delete", NULL);
    tcase_add_test(t, deleting_a_collection_deletes_all_below);
    tcase_add_test(t, deleting_a_bucket_deletes_all_below);
    tcase_add_test(t, deleting_a_list);
    tcase_add_test(t, deleting_by_a_field_that_is_missing);
    tcase_add_test(t, deleting_other_lists);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, since_an_etag_that_is_far_ahead);
    tcase_add_test(t, deleting_a_bucket_leaves_its_namesakes);
    tcase_add_test(t, stamps_of_every_kind_give_no_500);
    return s;
}

API_MAIN(suite, NULL)
