/*
 * test/http/test_attack_limits.c - at the ends of what is possible: the file size that the system
 * allows a process (its writes are refused, and nothing that was acknowledged is lost), and the
 * last timestamp that a client may ask for (pages go on behind it). Ours alone.
 */
#include <sys/resource.h>

#include "base/buf.h"
#include "test/support/api.h"
#include "test/support/unit.h"

static const struct server_options DURABLE = {.durable = true};

/* The log may grow to so many bytes (the child inherits the limit). */
static void limit_files(rlim_t bytes)
{
    struct rlimit l;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
}

START_TEST(a_file_size_limit_refuses_writes_and_kills_nobody)
{
    struct server s;
    int written = 0;

    limit_files(300000);
    server_start(&s, &DURABLE);
    limit_files(RLIM_INFINITY);
    api_use(s.url);
    make_collection();
    for (; written < 200; written++) {
        call("PUT", f(R "/r%d", written), f("{'data':{'t':'%s'}}", repeat('x', 3000)));
        if (re.status != 201)
            break;
    }
    ck_assert_int_lt(written, 200);
    want(503);
    call("GET", R "/r0", NULL);
    want(200);
    ck_assert(server_end(&s));

    server_restart(&s, &DURABLE);
    api_use(s.url);
    call("HEAD", R, NULL);
    want(200);
    want_header("Total-Records", f("%d", written));
    put(R "/more", "{}");
    server_stop(&s);
}
END_TEST

START_TEST(pages_go_on_behind_the_last_timestamp_to_ask_for)
{
    make_collection();
    put(R "/a", "{'last_modified':4611686018427387903}");
    put(R "/b", "{}");
    put(R "/c", "{}");
    call("GET", R "?_limit=1&_sort=-last_modified", NULL);
    want_ids("c");
    for (int i = 0; i < 2; i++) {
        call("GET", strstr(header("Next-Page"), "/v1/") + 3, NULL);
        want(200);
        want_ids(i == 0 ? "b" : "a");
    }
    want_no_header("Next-Page");
}
END_TEST

/* Filters that look through large objects again and again, multiplied by the parts of a batch. */
START_TEST(a_batch_of_many_filters_is_refused)
{
    struct buf query, parts;

    buf_init(&query, MIB);
    buf_init(&parts, MIB);
    for (int i = 0; i < 90; i++)
        buf_printf(&query, "&has_x%d=false", i);
    buf_add_char(&query, '\0');
    for (int i = 0; i < 24; i++)
        buf_printf(&parts, ",{'method':'HEAD','path':'%s?has_x=false'}", R);
    buf_add_char(&parts, '\0');
    make_collection();
    put(R "/large", f("{'a':'%s'}", repeat('x', 6000000)));

    call("GET", f(R "?_fields=id%s", query.p), NULL);
    want(413);
    call("POST", "/batch", f("{'requests':[{'path':'/'}%s]}", parts.p));
    want(200);
    call("POST", "/batch",
         f("{'requests':[{'method':'PUT','path':'%s/new'},"
           "{'method':'HEAD','path':'%s?_limit=1%s'},{'path':'/'}]}",
           R, R, query.p));
    want(413);
    call("GET", R "/new", NULL);
    want(404);
    buf_fini(&query);
    buf_fini(&parts);
}
END_TEST

/* Whole objects are compared for the order: the reference answers 500 there. */
START_TEST(the_order_of_large_objects_is_refused)
{
    struct buf b;

    buf_init(&b, 8 * MIB);
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, "'k%d':%d,", i, i);
    buf_add_char(&b, '\0');
    make_collection();
    for (int i = 0; i < 40; i++)
        put(f(R "/r%d", i), f("{'o':{%s'z':%d}}", b.p, i));
    buf_fini(&b);
    call("GET", R "?_fields=id&_sort=o", NULL);
    want(413);
    call("GET", R "?_fields=id&_sort=o.z&_limit=2", NULL);
    want(200);
    want_ids("r0,r1");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/attack_limits");
    TCase *t = api_case_own(s, "limits");
    tcase_add_test(t, a_file_size_limit_refuses_writes_and_kills_nobody);
    t = api_case(s, "time", "ours");
    tcase_add_test(t, pages_go_on_behind_the_last_timestamp_to_ask_for);
    t = api_case(s, "work", "ours");
    tcase_add_test(t, a_batch_of_many_filters_is_refused);
    tcase_add_test(t, the_order_of_large_objects_is_refused);
    return s;
}

API_MAIN(suite, NULL)
