/*
 * test/http/test_sort_page.c - _sort, _limit, _token, Next-Page, Total-Objects.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

/* Follows Next-Page to the end; the ids in order, pages parted by '|'. */
static const char *pages(const char *path)
{
    const char *out = "";
    const char *target = f("/v1%s", path);
    for (int i = 0; i < 100; i++) {
        call_raw("GET", target, NULL, 0);
        want(200);
        out = f("%s%s%s", out, i ? "|" : "", ids());
        const char *next = header("Next-Page");
        if (!next)
            return out;
        ck_assert_msg(strncmp(next, api_url, strlen(api_url)) == 0, "Next-Page: %s", next);
        target = f("%s", next + strlen(api_url));
    }
    ck_abort_msg("no end of pages of %s", path);
    return NULL;
}

#define want_pages(path, expected) ck_assert_str_eq(pages(path), expected)

static void letters(void)
{
    static const char *const data[] = {"{'n':3,'t':'x','o':{'k':2}}", "{'n':1,'t':'y','o':{'k':1}}",
                                       "{'n':2,'t':'x','o':{'k':3}}", "{'n':1,'t':'x','o':{'k':4}}",
                                       "{'n':3,'t':'y'}"};
    make_collection();
    for (size_t i = 0; i < ARRAY_LEN(data); i++)
        put(f(R "/%c", 'a' + (int)i), data[i]);
}

static const struct {
    const char *sort, *ids;
} SORTS[] = {
    {"", "e,d,c,b,a"},
    {"_sort=last_modified", "a,b,c,d,e"},
    {"_sort=-last_modified", "e,d,c,b,a"},
    {"_sort=id", "a,b,c,d,e"},
    {"_sort=-id", "e,d,c,b,a"},
    {"_sort=n", "d,b,c,e,a"},
    {"_sort=-n", "e,a,c,d,b"},
    {"_sort=n,id", "b,d,c,a,e"},
    {"_sort=n,-id", "d,b,c,e,a"},
    {"_sort=t,n", "d,c,a,b,e"},
    {"_sort=-t,-n", "e,b,a,c,d"},
    {"_sort=t,-n,id", "a,c,d,e,b"},
    {"_sort=o.k", "b,a,c,d,e"},
    {"_sort=-o.k", "e,d,c,a,b"},
    {"_sort=nope", "e,d,c,b,a"},
    {"_sort=nope,id", "a,b,c,d,e"},
    {"_sort=*", "e,d,c,b,a"},
    {"_sort=v..x", "e,d,c,b,a"},
    {"_sort=n,,id", "b,d,c,a,e"},
};

START_TEST(sorted_whole)
{
    letters();
    call("GET", f(R "?%s", SORTS[_i].sort), NULL);
    want_ids(SORTS[_i].ids);
}
END_TEST

/* A repeated parameter is a list; the next page is asked with its last value, whatever that is. */
START_TEST(repeated_parameters_have_pages)
{
    static const char *const queries[] = {
        "exclude_n=7&exclude_n=8", "exclude_n=&exclude_n=", "_sort=&_sort=",     "_sort=n&_sort=-t",
        "_fields=&_fields=",       "_fields=n&_fields=t",   "not_n=7&not_n=true"};
    letters();
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        call("GET", f(R "?%s&_limit=1", queries[i]), NULL);
        want(200);
        ck_assert_msg(header("Next-Page") != NULL, "%s: no next page", queries[i]);
    }
}
END_TEST

/* Whatever the sort, pages of any size give the same list as one answer. */
START_TEST(sorted_in_pages)
{
    letters();
    for (int limit = 1; limit <= 6; limit++) {
        const char *got = pages(f(R "?%s&_limit=%d", SORTS[_i].sort, limit));
        char flat[64];
        size_t n = 0;
        for (const char *p = got; *p; p++)
            flat[n++] = *p == '|' ? ',' : *p;
        flat[n] = '\0';
        ck_assert_str_eq(flat, SORTS[_i].ids);
    }
}
END_TEST

START_TEST(order_of_types)
{
    make_collection();
    static const char *const values[][2] = {{"a", "{}"},
                                            {"b", "{'v':[1]}"},
                                            {"c", "{'v':true}"},
                                            {"d", "{'v':false}"},
                                            {"e", "{'v':10}"},
                                            {"f", "{'v':9.5}"},
                                            {"g", "{'v':-3}"},
                                            {"h", "{'v':'b'}"},
                                            {"i", "{'v':'a'}"},
                                            {"j", "{'v':'B'}"},
                                            {"k", "{'v':null}"},
                                            {"l", "{'v':''}"},
                                            {"m", "{'v':{'x':1}}"},
                                            {"n", "{'v':'\xC3\xA9'}"},
                                            {"o", "{'v':1e2}"}};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        put(f(R "/%s", values[i][0]), values[i][1]);
    call("GET", R "?_sort=v", NULL);
    want_ids("k,l,j,i,h,n,g,f,e,o,d,c,b,m,a");
    call("GET", R "?_sort=-v", NULL);
    want_ids("a,m,b,c,d,o,e,f,g,n,h,i,j,l,k");
    call("DELETE", R "/m", NULL);
    want(200);
    want_pages(R "?_sort=v&_limit=2", "k,l|j,i|h,n|g,f|e,o|d,c|b,a");
    want_pages(R "?_sort=-v&_limit=4", "a,b,c,d|o,e,f,g|n,h,i,j|l,k");
}
END_TEST

START_TEST(objects_are_sorted_too)
{
    make_collection();
    put(R "/a", "{'v':{'x':2}}");
    put(R "/b", "{'v':{'x':1}}");
    put(R "/c", "{'v':[{'y':1}]}");
    put(R "/d", "{'v':[{'y':0}]}");
    call("GET", R "?_sort=v", NULL);
    want_ids("d,c,b,a");
    want_pages(R "?_sort=v&_limit=1", "d|c|b|a");
}
END_TEST

START_TEST(next_page_keeps_the_question)
{
    letters();
    call("GET", R "?_limit=2&_sort=n,id&min_n=2&z=&_fields=n", NULL);
    want(200);
    ck_assert_ptr_null(header("Next-Page"));
    call("GET", R "?_limit=2&_sort=n,id&min_n=2&_fields=n", NULL);
    want_ids("c,a");
    const char *next = header("Next-Page");
    ck_assert_ptr_nonnull(next);
    ck_assert(strstr(next, "_limit=2") && strstr(next, "_token=") && strstr(next, "min_n=2"));
    want_missing("/data/0/t");
    want_pages(R "?_limit=2&_sort=n,id&min_n=2&_fields=n", "c,a|e");
}
END_TEST

START_TEST(no_next_page_at_the_end)
{
    letters();
    call("GET", R "?_limit=5", NULL);
    want_count("/data", 5);
    want_no_header("Next-Page");
    call("GET", R "?_limit=6", NULL);
    want_no_header("Next-Page");
    call("GET", R "?_limit=4", NULL);
    want_count("/data", 4);
    ck_assert_ptr_nonnull(header("Next-Page"));
}
END_TEST

static const struct {
    const char *limit;
    int count;
} LIMITS[] = {
    {"2", 2}, {"%222%22", 2}, {"2.5", 2}, {"1e1", 5}, {"0", 5}, {"100000", 5}, {"3.0", 3},
};

START_TEST(limits_as_they_are_written)
{
    letters();
    call("GET", f(R "?_limit=%s", LIMITS[_i].limit), NULL);
    want(200);
    want_count("/data", (size_t)LIMITS[_i].count);
}
END_TEST

START_TEST(totals_are_for_head_and_ignore_limit)
{
    letters();
    call("HEAD", R "?_limit=2", NULL);
    want(200);
    want_header("Total-Objects", "5");
    want_header("Total-Records", "5");
    ck_assert_ptr_nonnull(header("ETag"));
    call("HEAD", R "?n=3", NULL);
    want_header("Total-Objects", "2");
    call("DELETE", R "/a", NULL);
    call("HEAD", R "?_since=0", NULL);
    want_header("Total-Objects", "4");
    call("GET", R, NULL);
    want_no_header("Total-Objects");
    want_no_header("Total-Records");
}
END_TEST

/* What is written while a client turns pages does not make it miss or see twice the others. */
START_TEST(pages_stand_still_under_writes)
{
    letters();
    call("GET", R "?_limit=2&_sort=id", NULL);
    want_ids("a,b");
    const char *next = f("%s", header("Next-Page") + strlen(api_url));
    put(R "/aa", "{}");
    call("DELETE", R "/b", NULL);
    want(200);
    call_raw("GET", next, NULL, 0);
    want_ids("c,d");
}
END_TEST

START_TEST(tombstones_have_pages)
{
    letters();
    call("DELETE", R "/b", NULL);
    call("DELETE", R "/d", NULL);
    want_pages(R "?_since=0&_sort=last_modified&_limit=2", "a,c|e,-b|-d");
    want_pages(R "?_since=0&_limit=2", "-d,-b|e,c|a");
    want_pages(R "?_since=0&deleted=true&_sort=id&_limit=1", "-b|-d");
}
END_TEST

START_TEST(broken_tokens)
{
    static const char *const tokens[] = {"x", "e30=", "bnVsbA==", "WzFd",
                                         "eyJsYXN0X29iamVjdCI6MX0="};
    letters();
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        call("GET", f(R "?_limit=2&_token=%s", tokens[i]), NULL);
        want_invalid("querystring", NULL, "_token has invalid content");
    }
}
END_TEST

START_TEST(deleting_by_pages)
{
    letters();
    call("DELETE", R "?_limit=2&_sort=id", NULL);
    want_ids("-a,-b");
    const char *next = header("Next-Page");
    ck_assert_ptr_nonnull(next);
    next = f("%s", next + strlen(api_url));
    call_raw("DELETE", next, NULL, 0);
    want_ids("-c,-d");
    call_raw("DELETE", next, NULL, 0);
    want_invalid("querystring", NULL, "_token was already used or has expired.");
    call("GET", R, NULL);
    want_ids("e");
}
END_TEST

/* The order goes on behind what was deleted, not behind its tombstone, which has no fields. */
START_TEST(deleting_by_pages_in_the_order_of_a_field)
{
    letters();
    call("DELETE", R "?_limit=2&_sort=n,id", NULL);
    want_ids("-b,-d");
    for (int page = 0; page < 2; page++) {
        const char *next = header("Next-Page");
        ck_assert_ptr_nonnull(next);
        call_raw("DELETE", f("%s", next + strlen(api_url)), NULL, 0);
        want_ids(page == 0 ? "-c,-a" : "-e");
    }
    ck_assert_ptr_null(header("Next-Page"));
}
END_TEST

/* A token must fit into a URL; sorting by such a field in one page is fine. */
START_TEST(values_too_long_for_pages)
{
    char value[9000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    make_collection();
    put(R "/a", f("{'t':'%s'}", value));
    put(R "/b", f("{'t':'%s'}", value));
    call("GET", R "?_sort=t", NULL);
    want(200);
    call("GET", R "?_sort=t&_limit=1", NULL);
    want_invalid("querystring", "_sort", "The values to sort by are too long for pages");
    call("DELETE", R "?_sort=t&_limit=1", NULL);
    want_invalid("querystring", "_sort", "The values to sort by are too long for pages");
    call("GET", R, NULL);
    want_ids("b,a");
}
END_TEST

START_TEST(other_lists_have_pages)
{
    static const char *const lists[] = {"/buckets", "/buckets/k1/collections",
                                        "/buckets/k1/groups"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (int n = 1; n <= 5; n++)
            put(f("%s/k%d", lists[i], n), "{'members':[]}");
        want_pages(f("%s?_limit=2&_sort=-id", lists[i]), "k5,k4|k3,k2|k1");
        call("HEAD", f("%s?_limit=1", lists[i]), NULL);
        want_header("Total-Objects", "5");
    }
}
END_TEST

START_TEST(paginate_by_bounds_every_list)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings = "kinto.paginate_by = 2"});
    api_use(s.url);
    letters();
    want_pages(R "?_sort=id", "a,b|c,d|e");
    want_pages(R "?_sort=id&_limit=100", "a,b|c,d|e");
    want_pages(R "?_sort=id&_limit=1", "a|b|c|d|e");
    call("GET", R "?_sort=id&_limit=100", NULL);
    ck_assert_ptr_nonnull(strstr(header("Next-Page"), "_limit=2"));
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/sort_page");
    TCase *t = api_case(s, "sort", NULL);
    tcase_add_loop_test(t, sorted_whole, 0, ARRAY_LEN(SORTS));
    tcase_add_loop_test(t, sorted_in_pages, 0, ARRAY_LEN(SORTS));
    tcase_add_test(t, order_of_types);
    t = api_case(s, "page", NULL);
    tcase_add_test(t, repeated_parameters_have_pages);
    tcase_add_test(t, next_page_keeps_the_question);
    tcase_add_test(t, no_next_page_at_the_end);
    tcase_add_loop_test(t, limits_as_they_are_written, 0, ARRAY_LEN(LIMITS));
    tcase_add_test(t, totals_are_for_head_and_ignore_limit);
    tcase_add_test(t, pages_stand_still_under_writes);
    tcase_add_test(t, tombstones_have_pages);
    tcase_add_test(t, broken_tokens);
    tcase_add_test(t, deleting_by_pages);
    tcase_add_test(t, other_lists_have_pages);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, objects_are_sorted_too);
    tcase_add_test(t, deleting_by_pages_in_the_order_of_a_field);
    tcase_add_test(t, values_too_long_for_pages);
    t = api_case_own(s, "settings");
    tcase_add_test(t, paginate_by_bounds_every_list);
    return s;
}

API_MAIN(suite, NULL)
