/* JSON Pointer: the examples of RFC 6901, section 5, and what is no pointer. */
#include "test/unit/json/json_test.h"

/* RFC 6901, section 5 */
static const char document[] =
    "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
    "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}";

static const struct {
    const char *pointer;
    enum err want;
    const char *value; /* NULL: the whole document */
} cases[] = {
    {"", OK, NULL},
    {"/foo", OK, "[\"bar\",\"baz\"]"},
    {"/foo/0", OK, "\"bar\""},
    {"/", OK, "0"},
    {"/a~1b", OK, "1"},
    {"/c%d", OK, "2"},
    {"/e^f", OK, "3"},
    {"/g|h", OK, "4"},
    {"/i\\j", OK, "5"},
    {"/k\"l", OK, "6"},
    {"/ ", OK, "7"},
    {"/m~0n", OK, "8"},
    /* beyond the RFC's list */
    {"/foo/1", OK, "\"baz\""},
    {"/foo/2", ERR_NOTFOUND, NULL},
    {"/foo/-", ERR_NOTFOUND, NULL},
    {"/foo/01", ERR_NOTFOUND, NULL},
    {"/foo/+1", ERR_NOTFOUND, NULL},
    {"/foo/-1", ERR_NOTFOUND, NULL},
    {"/foo/", ERR_NOTFOUND, NULL},
    {"/foo/x", ERR_NOTFOUND, NULL},
    {"/foo/18446744073709551616", ERR_NOTFOUND, NULL},
    {"/foo/99999999999999999999999999999999999999", ERR_NOTFOUND, NULL},
    {"/foo/0/x", ERR_NOTFOUND, NULL},
    {"//x", ERR_NOTFOUND, NULL},
    {"/nothing", ERR_NOTFOUND, NULL},
    {"/nothing/x", ERR_NOTFOUND, NULL},
    {"/m~01n", ERR_NOTFOUND, NULL}, /* m~1n, not m/n */
    {"foo", ERR_SYNTAX, NULL},
    {"#/foo", ERR_SYNTAX, NULL},
    {" /foo", ERR_SYNTAX, NULL},
    {"/m~n", ERR_SYNTAX, NULL},
    {"/m~2n", ERR_SYNTAX, NULL},
    {"/m~", ERR_SYNTAX, NULL},
    {"/~", ERR_SYNTAX, NULL},
    {"~0", ERR_SYNTAX, NULL},
    {"/nothing/~", ERR_SYNTAX, NULL},
};

START_TEST(resolves)
{
    struct json *root = parse(document), *found = root;
    struct guard g = guard_open(64);
    enum err e = json_pointer_get(&arena, root, guard_put(&g, str_from(cases[_i].pointer)), &found);

    ck_assert_msg(e == cases[_i].want, "%s: %d", cases[_i].pointer, e);
    if (cases[_i].value != NULL)
        ck_assert_json(found, cases[_i].value);
    else
        ck_assert_ptr_eq(found, root);
    guard_close(&g);
}
END_TEST

/* What an escape stands for is not looked at again. */
START_TEST(escapes)
{
    struct json *root = parse("{\"~1\":1,\"/\":{\"~0\":2},\"~\":{\"~/\":3}}"), *v;

    ck_assert_int_eq(json_pointer_get(&arena, root, STR("/~01"), &v), OK);
    ck_assert_json(v, "1");
    ck_assert_int_eq(json_pointer_get(&arena, root, STR("/~1/~00"), &v), OK);
    ck_assert_json(v, "2");
    ck_assert_int_eq(json_pointer_get(&arena, root, STR("/~0/~0~1"), &v), OK);
    ck_assert_json(v, "3");
}
END_TEST

static enum err get_escaped(struct arena *a)
{
    static const str text = STR_INIT("{\"a/b\":{\"~\":5}}");
    struct json *root, *v = NULL;
    enum err e = json_parse(a, text, &root, NULL);

    if (e == OK)
        e = json_pointer_get(a, root, STR("/a~1b/~0"), &v);
    ck_assert((e == OK) == (v != NULL));
    return e;
}

START_TEST(out_of_memory)
{
    torture(get_escaped);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json pointer");
    TCase *t = tcase_create("pointer");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, resolves, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(t, escapes);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
