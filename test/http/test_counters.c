/*
 * test/http/test_counters.c - GET /__counters__ (kinto.plugins.counters).
 */
#include "test/support/api.h"
#include "test/support/unit.h"

static void want_counts(const char *objects, const char *tombstones)
{
    call("GET", "/__counters__", NULL);
    want(200);
    want_body(f("{'objects':%s,'tombstones':%s}", objects, tombstones));
}

START_TEST(objects_and_tombstones)
{
    want_counts("{}", "{}");
    make_collection();
    make("/buckets/b/groups/g");
    put(R "/r", "{}");
    put(R "/s", "{}");
    call("PUT", "/buckets/b/collections/d/records/r", NULL); /* refused: counts for nothing */
    want(404);
    make("/buckets/b/collections/d");
    put("/buckets/b/collections/d/records/r", "{}");
    want_counts("{'bucket':1,'group':1,'collection':2,'record':3}", "{}");
    call("DELETE", R "/r", NULL);
    want(200);
    want_counts("{'bucket':1,'group':1,'collection':2,'record':2}", "{'record':1}");
    put(R "/r", "{}");
    want_counts("{'bucket':1,'group':1,'collection':2,'record':3}", "{}");
}
END_TEST

/* What lay in something that was deleted is gone, its tombstones, too. */
START_TEST(below_what_was_deleted)
{
    make_collection();
    put(R "/r", "{}");
    call("DELETE", R "/r", NULL);
    put(R "/s", "{}");
    call("DELETE", "/buckets/b/collections/c", NULL);
    want_counts("{'bucket':1}", "{'collection':1}");
    call("DELETE", "/buckets/b", NULL);
    want_counts("{}", "{'bucket':1}");
    call("POST", "/__flush__", NULL);
    want_counts("{}", "{}");
}
END_TEST

/* In a batch, what its parts before did counts. */
START_TEST(in_a_batch)
{
    call("POST", "/batch",
         "{'requests':[{'method':'PUT','path':'/buckets/b'},{'path':'/__counters__'},"
         "{'method':'DELETE','path':'/buckets/b'},{'path':'/__counters__'}]}");
    want(200);
    want_at("/responses/1/body", "{'objects':{'bucket':1},'tombstones':{}}");
    want_at("/responses/3/body", "{'objects':{},'tombstones':{'bucket':1}}");
}
END_TEST

START_TEST(for_everybody)
{
    as(NULL);
    want_counts("{}", "{}");
    call("HEAD", "/__counters__", NULL);
    want(200);
    call("POST", "/__counters__", NULL);
    want_error(405, 115, NULL);
    want_header("Allow", "GET, HEAD, OPTIONS");
    call("GET", "/", NULL);
    ck_assert(has("/capabilities/counters_endpoint/description"));
    ck_assert(has("/capabilities/counters_endpoint/url"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/counters");
    TCase *t = api_case(s, "counters", "ours");
    tcase_add_test(t, objects_and_tombstones);
    tcase_add_test(t, below_what_was_deleted);
    tcase_add_test(t, in_a_batch);
    tcase_add_test(t, for_everybody);
    return s;
}

API_MAIN(suite, "kinto.includes = kinto.plugins.counters kinto.plugins.flush\n")
