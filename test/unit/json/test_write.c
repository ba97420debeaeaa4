/* Writing: escapes, round trips of random documents, full buffers; and the spelling of Python. */
#include "test/unit/json/json_test.h"

static str written(str s)
{
    return json_text(&arena, json_new_string(&arena, s));
}

/* Each character alone, and at each place among eight plain ones (they are looked at together). */
START_TEST(escapes)
{
    char text[16], want[32];

    for (int c = 0; c < 256; c++) {
        static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
        const char *s = NULL;
        for (size_t i = 0; i + 1 < sizeof shorts; i += 2)
            if (shorts[i] == (char)c)
                s = shorts + i + 1;
        if (s != NULL)
            snprintf(want, sizeof want, "\\%c", *s);
        else if (c < 0x20)
            snprintf(want, sizeof want, "\\u%04X", (unsigned)c);
        else
            snprintf(want, sizeof want, "%c", c);
        for (size_t at = 0; at < 12; at++) {
            str all;
            memset(text, 'x', 12);
            text[at] = (char)c;
            ck_assert(json_is_plain((str){text, 12}) == (want[1] == '\0'));
            ck_assert(json_is_plain((str){text, at}));
            all = written((str){text, 12});
            ck_assert_uint_eq(all.n, 11 + strlen(want) + 2);
            ck_assert_int_eq(memcmp(all.p + 1 + at, want, strlen(want)), 0);
            ck_assert(all.p[0] == '"' && all.p[all.n - 1] == '"');
            ck_assert(at == 0 || all.p[at] == 'x');
            ck_assert(at == 11 || all.p[all.n - 2] == 'x');
        }
    }
    ck_assert_str_is(written(STR("")), "\"\"");
    ck_assert_str_is(written(STR("/\x7f\xc3\xa9\xf0\x9f\x98\x80")),
                     "\"/\x7f\xc3\xa9\xf0\x9f\x98\x80\"");
    ck_assert_str_is(written((str){"a\0b", 3}), "\"a\\u0000b\"");
}
END_TEST

START_TEST(shapes)
{
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "-1.50e+3",
        "\"x\"",
        "[]",
        "{}",
        "[[],{}]",
        "[1,[2,[3]],{\"a\":[]}]",
        "{\"b\":1,\"a\":{\"\":null}}",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_json(parse(texts[i]), texts[i]);
}
END_TEST

START_TEST(random_round_trips)
{
    struct random r = random_start();
    struct guard g = guard_open(4 * MIB);

    for (int i = 0; i < 1500; i++) {
        struct json *v = random_value(&r, 5), *again = NULL;
        str text = json_text(&arena, v);
        ck_assert(!str_none(text));
        text = guard_put(&g, text);
        ck_assert_int_eq(json_parse(&arena, text, &again, NULL), OK);
        ck_assert(json_equal(v, again));
        ck_assert_int_eq(json_compare(v, again), 0);
        ck_assert(str_eq(json_text(&arena, again), text)); /* order and spelling, too */
        arena_reset(&arena);
    }
    guard_close(&g);
}
END_TEST

/* Over its maximum the buffer fails and stays failed; nothing is written beyond. */
START_TEST(buffer_limit)
{
    struct json *v = parse("{\"a\":[1,true,null,\"x\\ny\",{}],\"b\":-2.5}");
    size_t n = json_text(&arena, v).n;

    for (size_t max = 0; max <= n; max++) {
        struct buf b;
        buf_init(&b, max);
        json_write(&b, v);
        ck_assert_int_eq(b.err, max < n ? ERR_LIMIT : OK);
        ck_assert_uint_le(b.n, max);
        buf_fini(&b);
    }
}
END_TEST

static enum err write_text(struct arena *a)
{
    struct json *v = json_new_object(a);
    str text;

    if (json_set(a, v, STR("a"), json_new_string(a, STR("\x01\n"))) != OK)
        return ERR_NOMEM;
    text = json_text(a, v);
    if (str_none(text))
        return ERR_NOMEM;
    ck_assert_str_is(text, "{\"a\":\"\\u0001\\n\"}");
    return OK;
}

START_TEST(out_of_memory)
{
    torture(write_text);
}
END_TEST

/* ---- Python's spelling
 * ----------------------------------------------------------------------------- */

/* Each asked of Python 3.11. */
static const char *const reprs[][2] = {
    {"null", "None"},
    {"true", "True"},
    {"false", "False"},
    {"1", "1"},
    {"-0", "0"},
    {"-0.0", "-0.0"},
    {"1.0", "1.0"},
    {"1.50", "1.5"},
    {"1e2", "100.0"},
    {"1e15", "1000000000000000.0"},
    {"123456789012345.6", "123456789012345.6"},
    {"1e16", "1e+16"},
    {"1.5e16", "1.5e+16"},
    {"0.0001", "0.0001"},
    {"0.00012", "0.00012"},
    {"0.00001", "1e-05"},
    {"-1.25e-7", "-1.25e-07"},
    {"1e100", "1e+100"},
    {"5e-324", "5e-324"},
    {"0.1", "0.1"},
    {"0.30000000000000004", "0.30000000000000004"},
    {"1.7976931348623157e308", "1.7976931348623157e+308"},
    {"18446744073709551615", "18446744073709551615"},
    {"18446744073709551616", "1.8446744073709552e+19"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"-9223372036854775809", "-9.223372036854776e+18"},
    {"\"\"", "''"},
    {"\"a\"", "'a'"},
    {"\"it's\"", "\"it's\""},
    {"\"q\\\"\"", "'q\"'"},
    {"\"both ' and \\\"\"", "'both \\' and \"'"},
    {"\"\\\\ \\n\\r\\t\\b\\u0000\\u007f\"", "'\\\\ \\n\\r\\t\\x08\\x00\\x7f'"},
    {"\"\\u00a0\\u00ad\\u00e9\"", "'\\xa0\\xad\xc3\xa9'"},
    {"\"\\u200b\\u2028\\ufeff\\ue000\"", "'\\u200b\\u2028\\ufeff\\ue000'"},
    {"\"\\ud83d\\ude00\\udb40\\udc01\"", "'\xf0\x9f\x98\x80\\U000e0001'"},
    {"[]", "[]"},
    {"{}", "{}"},
    {"[1,\"a\",null,[true]]", "[1, 'a', None, [True]]"},
    {"{\"a\":{\"b\":[1.5]},\"c'\":false}", "{'a': {'b': [1.5]}, \"c'\": False}"},
};

START_TEST(repr)
{
    struct buf b;

    buf_init(&b, MIB);
    json_write_repr(&b, parse(reprs[_i][0]));
    ck_assert_str_is(buf_str(&b), reprs[_i][1]);
    buf_fini(&b);
}
END_TEST

START_TEST(pystr_and_types)
{
    static const char *const table[][3] = {
        {"null", "None", "<class 'NoneType'>"},
        {"true", "True", "<class 'bool'>"},
        {"12", "12", "<class 'int'>"},
        {"1e1", "10.0", "<class 'float'>"},
        {"99999999999999999999", "1e+20", "<class 'float'>"},
        {"\"it's\\n\"", "it's\n", "<class 'str'>"},
        {"[\"a\"]", "['a']", "<class 'list'>"},
        {"{\"a\":\"b\"}", "{'a': 'b'}", "<class 'dict'>"},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct json *v = parse(table[i][0]);
        struct buf b;
        buf_init(&b, MIB);
        json_write_pystr(&b, v);
        ck_assert_str_is(buf_str(&b), table[i][1]);
        ck_assert_str_eq(json_pytype(v), table[i][2]);
        buf_fini(&b);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json write");
    TCase *t = tcase_create("write");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    tcase_add_test(t, escapes);
    tcase_add_test(t, shapes);
    tcase_add_test(t, random_round_trips);
    tcase_add_test(t, buffer_limit);
    tcase_add_test(t, out_of_memory);
    tcase_add_loop_test(t, repr, 0, (int)ARRAY_LEN(reprs));
    tcase_add_test(t, pystr_and_types);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
