/* JSON Merge Patch: RFC 7396, section 3 and appendix A, and what happens to the arguments. */
#include "test/unit/json/json_test.h"

static const char *const cases[][3] = {
    /* appendix A, all of it: original, patch, result */
    {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
    {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
    {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
    {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
    {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
    {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
    {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
    {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
    {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
    {"{\"a\":\"foo\"}", "null", "null"},
    {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
    {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
    {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
    {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    /* section 3 */
    {"{\"title\":\"Goodbye!\",\"author\":{\"givenName\":\"John\",\"familyName\":\"Doe\"},"
     "\"tags\":[\"example\",\"sample\"],\"content\":\"This will be unchanged\"}",
     "{\"title\":\"Hello!\",\"phoneNumber\":\"+01-123-456-7890\",\"author\":{\"familyName\":null},"
     "\"tags\":[\"example\"]}",
     "{\"title\":\"Hello!\",\"author\":{\"givenName\":\"John\"},\"tags\":[\"example\"],"
     "\"content\":\"This will be unchanged\",\"phoneNumber\":\"+01-123-456-7890\"}"},
    /* nulls inside arrays stay; objects over scalars; what is absent is removed without fuss */
    {"{}", "{\"a\":[null,{\"b\":null}]}", "{\"a\":[null,{\"b\":null}]}"},
    {"{\"a\":1}", "{\"a\":{\"b\":{\"c\":2,\"d\":null}}}", "{\"a\":{\"b\":{\"c\":2}}}"},
    {"{\"a\":1}", "{}", "{\"a\":1}"},
    {"1", "{}", "{}"},
    {"{\"x\":1.0}", "{\"x\":1.00}", "{\"x\":1.00}"},
};

START_TEST(appendix)
{
    struct json *target = parse(cases[_i][0]), *patch = parse(cases[_i][1]);
    struct json *result = json_merge_patch(&arena, target, patch);

    ck_assert_json(result, cases[_i][2]);
    ck_assert_json(patch, cases[_i][1]); /* is not changed */
}
END_TEST

START_TEST(absent_target)
{
    ck_assert_json(json_merge_patch(&arena, NULL, parse("{\"a\":{\"b\":null,\"c\":1}}")),
                   "{\"a\":{\"c\":1}}");
    ck_assert_json(json_merge_patch(&arena, NULL, parse("[null]")), "[null]");
}
END_TEST

/* Objects are changed where they are; nothing of the patch becomes part of the result. */
START_TEST(in_place_and_copied)
{
    struct json *target = parse("{\"a\":{\"b\":1}}"), *inner = json_get(target, STR("a"));
    struct json *patch = parse("{\"a\":{\"c\":[1]}}");

    ck_assert_ptr_eq(json_merge_patch(&arena, target, patch), target);
    ck_assert_ptr_eq(json_get(target, STR("a")), inner);
    ck_assert_int_eq(json_push(&arena, json_get(inner, STR("c")), json_new_i64(&arena, 2)), OK);
    ck_assert_json(patch, "{\"a\":{\"c\":[1]}}");
    ck_assert_json(target, "{\"a\":{\"b\":1,\"c\":[1,2]}}");
}
END_TEST

static enum err merge(struct arena *a)
{
    static const str one = STR_INIT("{\"a\":{\"b\":1},\"c\":[1]}");
    static const str two =
        STR_INIT("{\"a\":{\"d\":{\"e\":[2,\"x\"],\"f\":null}},\"c\":null,\"g\":3}");
    struct json *target, *patch, *result;

    if (json_parse(a, one, &target, NULL) != OK || json_parse(a, two, &patch, NULL) != OK)
        return ERR_NOMEM;
    result = json_merge_patch(a, target, patch);
    return result != NULL ? OK : ERR_NOMEM;
}

START_TEST(out_of_memory)
{
    torture(merge);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json merge");
    TCase *t = tcase_create("merge");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, appendix, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(t, absent_target);
    tcase_add_test(t, in_place_and_copied);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
