/*
 * test/http/test_filters.c - every operator against every type of value, and the refused ones.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

/* One record of each type in the field v; the ids name the value. */
static const struct {
    const char *id, *data;
} TYPES[] = {
    {"nul", "{'v':null}"}, {"se", "{'v':''}"},   {"sa", "{'v':'apple'}"}, {"sb", "{'v':'Banana'}"},
    {"nm", "{'v':-1}"},    {"n1", "{'v':1}"},    {"n1f", "{'v':1.0}"},    {"n2", "{'v':2}"},
    {"bf", "{'v':false}"}, {"bt", "{'v':true}"}, {"ar", "{'v':[1,'x']}"}, {"ob", "{'v':{'k':1}}"},
    {"mi", "{'w':1}"},
};

static void types(void)
{
    make_collection();
    for (size_t i = 0; i < ARRAY_LEN(TYPES); i++)
        put(f(R "/%s", TYPES[i].id), TYPES[i].data);
}

#define ALL "ar,bf,bt,mi,n1,n1f,n2,nm,nul,ob,sa,sb,se"

static const struct {
    const char *query, *ids;
} OPERATORS[] = {
    {"", ALL},
    {"v=1", "n1,n1f"},
    {"v=1.0", "n1,n1f"},
    {"v=%221%22", ""},
    {"v=apple", "sa"},
    {"v=%22apple%22", "sa"},
    {"v=Apple", ""},
    {"v=", "se"},
    {"v=%22%22", "se"},
    {"v=null", "nul"},
    {"v=true", "bt"},
    {"v=false", "bf"},
    {"v=True", ""},
    {"v=%5B1,%22x%22%5D", "ar"},
    {"v=%7B%22k%22:1%7D", "ob"},
    {"v.k=1", "ob"},
    {"v.k=2", ""},
    {"v.k.z=1", ""},
    {"not_v=1", "ar,bf,bt,mi,n2,nm,nul,ob,sa,sb,se"},
    {"not_v=null", "ar,bf,bt,mi,n1,n1f,n2,nm,ob,sa,sb,se"},
    {"not_v=true", "ar,bf,mi,n1,n1f,n2,nm,nul,ob,sa,sb,se"},
    {"not_v=apple", "ar,bf,bt,mi,n1,n1f,n2,nm,nul,ob,sb,se"},
    {"not_w=1", "ar,bf,bt,n1,n1f,n2,nm,nul,ob,sa,sb,se"},
    {"min_v=1", "ar,bf,bt,mi,n1,n1f,n2,ob"},
    {"max_v=1", "n1,n1f,nm,nul,sa,sb,se"},
    {"gt_v=1", "ar,bf,bt,mi,n2,ob"},
    {"lt_v=1", "nm,nul,sa,sb,se"},
    {"gt_v=1.5", "ar,bf,bt,mi,n2,ob"},
    {"lt_v=1.5", "n1,n1f,nm,nul,sa,sb,se"},
    {"gt_v=apple", "ar,bf,bt,mi,n1,n1f,n2,nm,ob"},
    {"lt_v=apple", "nul,sb,se"},
    {"min_v=apple", "ar,bf,bt,mi,n1,n1f,n2,nm,ob,sa"},
    {"max_v=apple", "nul,sa,sb,se"},
    {"gt_v=false", "ar,bt,mi,ob"},
    {"min_v=true", "ar,bt,mi,ob"},
    {"lt_v=true", "bf,n1,n1f,n2,nm,nul,sa,sb,se"},
    {"gt_v=null", "ar,bf,bt,mi,n1,n1f,n2,nm,ob,sa,sb,se"},
    {"max_v=null", "nul"},
    {"lt_v=null", ""},
    {"gt_v.k=0", "ar,bf,bt,mi,n1,n1f,n2,nm,nul,ob,sa,sb,se"},
    {"in_v=2,apple", "n2,sa"},
    {"in_v=2", "n2"},
    {"in_v=%221%22", ""},
    {"in_v=null,apple", "nul,sa"},
    {"in_v=zzz", ""},
    {"in_v=", ""},
    {"in_v=%5B1,2%5D", ""},
    {"exclude_v=2,apple", "ar,bf,bt,mi,n1,n1f,nm,nul,ob,sb,se"},
    {"exclude_v=zzz", ALL},
    {"exclude_v=null", "ar,bf,bt,mi,n1,n1f,n2,nm,ob,sa,sb,se"},
    {"has_v=true", "ar,bf,bt,n1,n1f,n2,nm,nul,ob,sa,sb,se"},
    {"has_v=1", "ar,bf,bt,n1,n1f,n2,nm,nul,ob,sa,sb,se"},
    {"has_v=yes", "ar,bf,bt,n1,n1f,n2,nm,nul,ob,sa,sb,se"},
    {"has_v=false", "mi"},
    {"has_v=null", "mi"},
    {"has_v=0", "mi"},
    {"has_v.k=true", "ob"},
    {"contains_v=x", "ar"},
    {"contains_v=1", "ar"},
    {"contains_v=a", "sa,sb"},
    {"contains_v=%5B%22x%22,1%5D", "ar"},
    {"contains_v=%5B%22x%22,2%5D", ""},
    {"contains_any_v=%5B%22x%22,2%5D", "ar"},
    {"contains_any_v=%5B%22q%22,%22B%22%5D", "sb"},
    {"contains_any_v=nope", ""},
    {"v=1&w=1", ""},
    {"min_v=1&max_v=2", "n1,n1f,n2"},
    {"gt_v=-1&lt_v=2", "n1,n1f"},
    {"id=sa", "sa"},
    {"id=nope", ""},
    {"not_id=sa&lt_v=1", "nm,nul,sb,se"},
    {"in_id=sa,sb,zz", "sa,sb"},
    {"exclude_id=sa,sb&max_v=1", "n1,n1f,nm,nul,se"},
    {"gt_id=sa", "sb,se"},
    {"like_id=n1", "n1,n1f"},
    {"like_id=n*f", "n1f"},
    {"last_modified=1", ""},
    {"gt_last_modified=1", ALL},
    {"min_last_modified=1&v=1", "n1,n1f"},
    {"lt_last_modified=1", ""},
    {"not_last_modified=1&v=2", "n2"},
    {"_unknown=1", ALL},
    {"nope=1", ""},
    {"v=1&_unknown=x", "n1,n1f"},
};

START_TEST(operator_against_each_type)
{
    types();
    call("GET", f(R "?%s", OPERATORS[_i].query), NULL);
    want_ids_any_order(OPERATORS[_i].ids);
}
END_TEST

/* What the operator finds is also what HEAD counts and what a plural DELETE takes. */
START_TEST(filters_count_and_delete)
{
    types();
    call("HEAD", R "?min_v=1&max_v=2", NULL);
    want(200);
    want_header("Total-Objects", "3");
    want_header("Total-Records", "3");
    call("DELETE", R "?min_v=1&max_v=2", NULL);
    want_ids_any_order("-n1,-n1f,-n2");
    call("GET", R, NULL);
    want_ids_any_order("ar,bf,bt,mi,nm,nul,ob,sa,sb,se");
}
END_TEST

static const struct {
    const char *id, *data;
} WORDS[] = {
    {"a", "{'v':'Hello World'}"}, {"b", "{'v':'hello'}"},
    {"c", "{'v':'say HELLO'}"},   {"d", "{'v':''}"},
    {"e", "{'v':'w0rld'}"},       {"g", "{'v':'\xC3\x89t\xC3\xA9'}"},
};

static const struct {
    const char *query, *ids;
} LIKE[] = {
    {"like_v=hello", "a,b,c"},     {"like_v=HELLO", "a,b,c"},  {"like_v=%22hello%22", "a,b,c"},
    {"like_v=hello*", "a,b"},      {"like_v=*hello", "b,c"},   {"like_v=*hello*", "a,b,c"},
    {"like_v=h*o", "b"},           {"like_v=h*d", "a"},        {"like_v=h*l*", "a,b"},
    {"like_v=*", "a,b,c,d,e,g"},   {"like_v=", "a,b,c,d,e,g"}, {"like_v=zz", ""},
    {"like_v=%C3%A9T%C3%89", "g"},
};

START_TEST(like_finds_words)
{
    make_collection();
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        put(f(R "/%s", WORDS[i].id), WORDS[i].data);
    call("GET", f(R "?%s", LIKE[_i].query), NULL);
    want_ids_any_order(LIKE[_i].ids);
}
END_TEST

START_TEST(like_takes_signs_as_they_are)
{
    static const struct {
        const char *query, *ids;
    } t[] = {{"like_v=50%25", "p"}, {"like_v=a.b", "q"},   {"like_v=(x", "r"},
             {"like_v=%5Bz", "s"},  {"like_v=a%5Cb", "u"}, {"like_v=x_y", "w"}};
    make_collection();
    put(R "/p", "{'v':'50% off'}");
    put(R "/q", "{'v':'a.b'}");
    put(R "/q2", "{'v':'axb'}");
    put(R "/r", "{'v':'f(x)'}");
    put(R "/s", "{'v':'[z]'}");
    put(R "/u", "{'v':'a\\\\b'}");
    put(R "/w", "{'v':'x_y'}");
    put(R "/w2", "{'v':'xqy'}");
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        call("GET", f(R "?%s", t[i].query), NULL);
        want_ids_any_order(t[i].ids);
    }
}
END_TEST

/* Text in numbers, missing fields: no match, not a broken server. */
START_TEST(like_ignores_what_is_no_text)
{
    types();
    call("GET", R "?like_v=an", NULL);
    want_ids("sb");
}
END_TEST

START_TEST(objects_have_an_order)
{
    types();
    put(R "/ob2", "{'v':{'k':2}}");
    call("GET", R "?gt_v=%7B%22k%22:1%7D", NULL);
    want_ids_any_order("mi,ob2");
    call("GET", R "?max_v=%7B%22k%22:1%7D&min_v=%5B%5D", NULL);
    want_ids_any_order("ar,ob");
}
END_TEST

/* true is not 1, in lists of values neither. */
START_TEST(in_tells_numbers_from_booleans)
{
    types();
    call("GET", R "?in_v=1", NULL);
    want_ids_any_order("n1,n1f");
    call("GET", R "?in_v=true,null", NULL);
    want_ids_any_order("bt,nul");
    call("GET", R "?exclude_v=0,1&max_v=true", NULL);
    want_ids_any_order("bf,bt,n2,nm,nul,sa,sb,se");
}
END_TEST

START_TEST(has_keeps_the_other_filters)
{
    types();
    call("GET", R "?v=1&has_v=true", NULL);
    want_ids_any_order("n1,n1f");
    call("GET", R "?has_v=true&v=1", NULL);
    want_ids_any_order("n1,n1f");
}
END_TEST

/* A record shared with bob alone does not bring the others with it. */
START_TEST(has_keeps_private_what_is_private)
{
    const char *bob = principal("bob");
    types();
    call("PATCH", R "/sa", f("{'permissions':{'read':['%s']}}", bob));
    want(200);
    as("bob");
    call("GET", R "?has_v=true", NULL);
    want_ids("sa");
}
END_TEST

START_TEST(dots_reach_inside)
{
    make_collection();
    put(R "/a", "{'p':{'q':{'r':5}}}");
    put(R "/b", "{'p':{'q':{'r':6}}}");
    put(R "/c", "{'p.q':1}");
    put(R "/d", "{'p':[{'q':1}]}");
    call("GET", R "?p.q.r=5", NULL);
    want_ids("a");
    call("GET", R "?min_p.q.r=5&has_p.q.r=1", NULL);
    want_ids_any_order("a,b");
    call("GET", R "?p.q=1", NULL);
    want_ids("c");
    call("GET", R "?p=%7B%22q%22:%7B%22r%22:6%7D%7D", NULL);
    want_ids("b");
}
END_TEST

static const struct {
    const char *query, *name;
} REFUSED[] = {
    {"id=1", NULL},
    {"in_id=1", NULL},
    {"like_v=1", "like_v"},
    {"like_v=true", "like_v"},
    {"like_v=%5B%5D", "like_v"},
    {"contains_id=a", NULL},
    {"contains_any_id=a", NULL},
    {"contains_last_modified=1", NULL},
    {"has_last_modified=true", "has_last_modified"},
    {"like_last_modified=a", NULL},
    {"in_last_modified=1", "in_last_modified"},
    {"exclude_last_modified=1", "exclude_last_modified"},
    {"last_modified=abc", "last_modified"},
    {"gt_last_modified=abc", "gt_last_modified"},
    {"_since=abc", "_since"},
    {"_since=-1", "_since"},
    {"_since=true", "_since"},
    {"_since=99999999999999999", "_since"},
    {"_before=abc", "_before"},
    {"_to=abc", "_to"},
    {"%20_since=abc", "_since"}, /* blanks around a name do not count */
    {"_before%20=abc", "_before"},
    {"_limit=abc", "_limit"},
    {"_limit=-1", "_limit"},
    {"_limit=1&_limit=2", "_limit"},
    {"_since=1&_since=2", "_since"},
    {"v=%00", NULL},
};

START_TEST(refused_filter)
{
    make_collection();
    call("GET", f(R "?%s", REFUSED[_i].query), NULL);
    want_invalid("querystring", REFUSED[_i].name, NULL);
}
END_TEST

START_TEST(blanks_around_a_name)
{
    make_collection();
    put(R "/a", "{'last_modified':1000}");
    put(R "/b", "{'last_modified':2000}");
    call("GET", R "?%20_since=1000", NULL);
    want_ids("b");
    call("GET", R "?_to%20=2000", NULL);
    want_ids("a");
    want_header_has("Alert", "_to is now deprecated");
}
END_TEST

/* Lists of buckets, collections and groups are filtered in the same way. */
START_TEST(other_lists_have_filters)
{
    static const char *const lists[] = {"/buckets", "/buckets/b1/collections",
                                        "/buckets/b1/groups"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (int n = 1; n <= 3; n++)
            put(f("%s/b%d", lists[i], n), f("{'n':%d,'members':[]}", n));
        call("GET", f("%s?min_n=2", lists[i]), NULL);
        want_ids_any_order("b2,b3");
        call("GET", f("%s?n=3", lists[i]), NULL);
        want_ids("b3");
        call("GET", f("%s?in_id=b1,b3&_sort=n", lists[i]), NULL);
        want_ids("b1,b3");
    }
}
END_TEST

/* The reference finds nothing, and answers 500. */
START_TEST(blanks_before_operators_of_lists)
{
    make_collection();
    put(R "/a", "{'v':['1',1]}");
    put(R "/b", "{'v':'x'}");
    call("GET", R "?%20contains_v=1", NULL);
    want_ids("a");
    call("GET", R "?%20in_v=x", NULL);
    want_ids("b");
}
END_TEST

START_TEST(contains_on_members)
{
    make("/buckets/b");
    put("/buckets/b/groups/g1", "{'members':['x','y']}");
    put("/buckets/b/groups/g2", "{'members':['y']}");
    call("GET", "/buckets/b/groups?contains_members=x", NULL);
    want_ids("g1");
    call("GET", "/buckets/b/groups?contains_any_members=%5B%22x%22,%22y%22%5D&_sort=id", NULL);
    want_ids("g1,g2");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/filters");
    TCase *t = api_case(s, "operators", NULL);
    tcase_add_loop_test(t, operator_against_each_type, 0, ARRAY_LEN(OPERATORS));
    tcase_add_test(t, filters_count_and_delete);
    tcase_add_loop_test(t, like_finds_words, 0, ARRAY_LEN(LIKE));
    tcase_add_test(t, dots_reach_inside);
    tcase_add_test(t, blanks_around_a_name);
    tcase_add_test(t, other_lists_have_filters);
    tcase_add_test(t, contains_on_members);
    t = api_case(s, "refused", NULL);
    tcase_add_loop_test(t, refused_filter, 0, ARRAY_LEN(REFUSED));
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, like_ignores_what_is_no_text);
    tcase_add_test(t, like_takes_signs_as_they_are);
    tcase_add_test(t, objects_have_an_order);
    tcase_add_test(t, in_tells_numbers_from_booleans);
    tcase_add_test(t, blanks_before_operators_of_lists);
    tcase_add_test(t, has_keeps_the_other_filters);
    tcase_add_test(t, has_keeps_private_what_is_private);
    return s;
}

API_MAIN(suite, NULL)
