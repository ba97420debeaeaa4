/* JSON Schema and regular expressions from those who mean no good: every schema and every value is
 * judged, or refused, within a bounded time and within bounded memory. And: running out of memory. */
#include "test/unit/json/json_test.h"

#include "json/schema_private.h"

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Far above what is needed: for sanitizers and slow machines. */
#define BOUND 5.0

static enum err judge(str schema, str value, str *message)
{
    struct json_schema *s;
    struct json_schema_error error = {0};
    struct json *v = parse_str(value);
    double begin = seconds();
    enum err e = json_schema_new(&s, schema, NULL, 0);

    if (e == OK) {
        e = json_schema_validate(s, &arena, v, &(uint64_t){JSON_SCHEMA_STEPS}, &error);
        json_schema_free(s);
    }
    ck_assert_msg(seconds() - begin < BOUND, "%f seconds for %.100s", seconds() - begin, schema.p);
    *message = error.message;
    return e;
}

static str repeat(const char *piece, size_t n)
{
    struct buf b;

    buf_init_arena(&b, &arena, TEST_BUDGET);
    while (n-- > 0)
        buf_add_str(&b, str_from(piece));
    ck_assert(!buf_failed(&b));
    return buf_str(&b);
}

static str quoted(str inside)
{
    return ARENA_JOIN(&arena, STR("\""), inside, STR("\""));
}

/* ---- references ------------------------------------------------------------------------------ */

static const char *const loops[] = {
    "{\"$ref\":\"#\"}",
    "{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
    "{\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}",
    "{\"not\":{\"$ref\":\"#\"}}",
    "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/"
    "a\"}}}",
    "{\"if\":{\"$ref\":\"#\"}}",
    "{\"propertyNames\":{\"$ref\":\"#\"},\"allOf\":[{\"$ref\":\"#\"}]}",
    "{\"$dynamicAnchor\":\"x\",\"$dynamicRef\":\"#x\"}",
    "{\"$schema\":\"https://json-schema.org/draft/2019-09/"
    "schema\",\"$recursiveAnchor\":true,\"$recursiveRef\":\"#\"}",
    "{\"unevaluatedProperties\":false,\"anyOf\":[{\"$ref\":\"#\"}]}",
};

START_TEST(reference_loops)
{
    str message;

    ck_assert_int_eq(judge(str_from(loops[_i]), STR("{\"a\":1}"), &message), ERR_LIMIT);
    ck_assert_uint_gt(message.n, 0);
}
END_TEST

/* Each level tries the next one twice: 2^60 tries, were there no budget. */
START_TEST(exponential_nesting)
{
    static const char *const forms[] = {
        "{\"anyOf\":[{\"allOf\":[%s,false]},{\"allOf\":[%s,false]}]}",
        "{\"oneOf\":[%s,%s]}",
        "{\"if\":%s,\"then\":%s}",
        "{\"unevaluatedProperties\":false,\"anyOf\":[%s,%s]}",
    };
    struct buf b;
    str message;

    buf_init_arena(&b, &arena, TEST_BUDGET);
    buf_add_lit(&b, "{\"$defs\":{\"l0\":{\"type\":\"object\"}");
    for (int i = 1; i <= 60; i++) {
        char ref[64];
        const char *form = forms[_i];
        snprintf(ref, sizeof ref, "{\"$ref\":\"#/$defs/l%d\"}", i - 1);
        buf_printf(&b, ",\"l%d\":", i);
        for (; *form; form++) {
            if (form[0] == '%') {
                buf_add_str(&b, str_from(ref));
                form++;
            } else {
                buf_add_char(&b, *form);
            }
        }
    }
    buf_add_lit(&b, "},\"$ref\":\"#/$defs/l60\"}");
    enum err e = judge(buf_str(&b), STR("{\"a\":1}"), &message);
    ck_assert_msg(e == ERR_LIMIT || (_i == 1 && e == ERR_RANGE), "%s", err_text(e));
}
END_TEST

START_TEST(deep_values)
{
    str schema = STR("{\"items\":{\"$ref\":\"#\"},\"properties\":{\"a\":{\"$ref\":\"#\"}},"
                     "\"additionalProperties\":false}");
    str message;
    str value = ARENA_JOIN(&arena, repeat("[", JSON_MAX_DEPTH), repeat("]", JSON_MAX_DEPTH));

    ck_assert_int_eq(judge(schema, value, &message), OK);
    value = ARENA_JOIN(&arena, repeat("{\"a\":", JSON_MAX_DEPTH - 1), STR("{\"b\":1}"),
                       repeat("}", JSON_MAX_DEPTH - 1));
    ck_assert_int_eq(judge(schema, value, &message), ERR_RANGE);
    /* and a schema as deep as JSON lets it be */
    schema = ARENA_JOIN(&arena, repeat("{\"not\":", JSON_MAX_DEPTH - 1), STR("{}"),
                        repeat("}", JSON_MAX_DEPTH - 1));
    ck_assert_int_eq(judge(schema, STR("1"), &message), ERR_RANGE);
}
END_TEST

/* ---- large ----------------------------------------------------------------------------------- */

static str many_members(size_t n, const char *value)
{
    struct buf b;

    buf_init_arena(&b, &arena, TEST_BUDGET);
    buf_add_char(&b, '{');
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s\"name%zu\":%s", i ? "," : "", i, value);
    buf_add_char(&b, '}');
    ck_assert(!buf_failed(&b));
    return buf_str(&b);
}

START_TEST(ten_thousand_properties)
{
    str values = many_members(10000, "1"), message;
    str schema = ARENA_JOIN(&arena, STR("{\"additionalProperties\":false,\"properties\":"),
                            many_members(10000, "{\"type\":\"integer\"}"), STR("}"));

    ck_assert_int_eq(judge(schema, values, &message), OK);
    ck_assert_int_eq(judge(STR("{\"additionalProperties\":false}"), values, &message), ERR_RANGE);
    ck_assert_int_eq(judge(STR("{\"patternProperties\":{\"^name[0-9]+$\":{\"type\":\"integer\"}}}"),
                           values, &message),
                     OK);
    ck_assert_int_eq(judge(STR("{\"uniqueItems\":true,\"items\":{}}"),
                           ARENA_JOIN(&arena, STR("["), repeat("{\"a\":[1,2]},", 10000), STR("1]")),
                           &message),
                     ERR_RANGE);
}
END_TEST

/* A thousand times the same work on a large value. */
START_TEST(repeated_work)
{
    static const char *const works[] = {
        "{\"uniqueItems\":true},",
        "{\"const\":[1]},",
        "{\"enum\":[[1],[2]]},",
        "{\"minItems\":1,\"items\":{\"minLength\":1}},",
        "{\"contains\":{\"type\":\"null\"},\"minContains\":0},",
        "{\"not\":{\"unevaluatedItems\":false}},",
    };
    struct buf b;
    str message;

    buf_init_arena(&b, &arena, TEST_BUDGET);
    buf_add_char(&b, '[');
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, "\"%d\",", i);
    buf_add_lit(&b, "0]");
    enum err e =
        judge(ARENA_JOIN(&arena, STR("{\"allOf\":["), repeat(works[_i], 1000), STR("true]}")),
              buf_str(&b), &message);
    ck_assert_msg(e == ERR_LIMIT || e == ERR_RANGE, "%s", err_text(e));
}
END_TEST

/* What is long costs more: names that are looked up, numbers that are converted, messages. */
static str long_names(size_t n)
{
    struct buf b;

    buf_init_arena(&b, &arena, TEST_BUDGET);
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&b, i > 0 ? STR(",\"") : STR("\""));
        buf_add_str(&b, repeat("k", 10000));
        buf_printf(&b, "%zu\"", i);
    }
    return buf_str(&b);
}

/* A schema that applies this 5,000 times. */
static enum err judge_often(const char *begin, str names, const char *end, str value)
{
    str message;

    return judge(ARENA_JOIN(&arena, STR("{\"$defs\":{\"a\":"), str_from(begin), names,
                            str_from(end), STR("},\"allOf\":["),
                            repeat("{\"$ref\":\"#/$defs/a\"},", 5000), STR("{}]}")),
                 value, &message);
}

static str array_of(str piece, size_t n)
{
    return ARENA_JOIN(&arena, STR("["), repeat(piece.p, n), STR("null]"));
}

START_TEST(long_names_and_numbers)
{
    str number = ARENA_JOIN(&arena, STR("1."), repeat("9", 5000), STR(",")), message;
    str numbers = array_of(number, 150), members = many_members(20, "1"), names = long_names(40);

    ck_assert_int_eq(judge_often("{\"required\":[", names, "]}", members), ERR_RANGE);
    ck_assert_int_eq(judge_often("{\"not\":{\"required\":[", names, "]}}", members), ERR_LIMIT);
    ck_assert_int_eq(judge_often("{\"items\":{\"type\":[\"null\",\"number\"],\"maximum\":2.0}}",
                                 STR(""), "", numbers),
                     ERR_LIMIT);
    ck_assert_int_eq(judge_often("{\"items\":{\"not\":{\"type\":\"number\",\"multipleOf\":7}}}",
                                 STR(""), "", numbers),
                     ERR_LIMIT);
    /* and the message */
    ck_assert_int_eq(judge(STR("{\"type\":\"null\"}"),
                           array_of(STR("1.2345678901234567e-299,"), 30000), &message),
                     ERR_LIMIT);
    ck_assert_int_eq(judge(STR("{\"type\":\"null\"}"), array_of(STR("1.25,"), 30000), &message),
                     ERR_RANGE);
}
END_TEST

/* A dynamic reference looks at every resource on the way to it. */
START_TEST(many_scopes)
{
    struct buf b;
    str message;

    buf_init_arena(&b, &arena, TEST_BUDGET);
    buf_add_lit(&b, "{\"$id\":\"http://x/\",\"$ref\":\"l0\",\"$defs\":{");
    for (int i = 0; i < 300; i++)
        buf_printf(&b, "\"l%d\":{\"$id\":\"l%d\",\"$dynamicAnchor\":\"n\",\"$ref\":\"l%d\"},", i, i,
                   i + 1);
    buf_add_lit(&b, "\"e\":{\"$id\":\"l300\",\"$dynamicAnchor\":\"n\",\"$defs\":{\"q\":{"
                    "\"$dynamicAnchor\":\"q\"}},\"allOf\":[");
    buf_add_str(&b, repeat("{\"$dynamicRef\":\"#q\"},", 5000));
    buf_add_lit(&b, "{}]}}}");
    ck_assert_int_eq(judge(buf_str(&b), STR("1"), &message), ERR_LIMIT);
}
END_TEST

/* Equal and different in ways that a hash has to see, or not to. */
static const struct {
    const char *value;
    enum err want;
} uniques[] = {
    {"[0,-0]", ERR_RANGE},
    {"[10,1e1]", ERR_RANGE},
    {"[1.50,15e-1]", ERR_RANGE},
    {"[1e-99999999999999999999,10e-100000000000000000000]", ERR_RANGE},
    {"[1e-99999999999999999999,1e-99999999999999999998]", OK},
    {"[9007199254740993,9007199254740992]", OK},
    {"[1,-1,true,\"1\",[1],{\"1\":1},null,false,0,\"\",[],{}]", OK},
    {"[{\"a\":1,\"b\":[2]},{\"b\":[2.0],\"a\":1.0}]", ERR_RANGE},
    {"[{\"a\":1,\"b\":2},{\"a\":2,\"b\":1}]", OK},
    {"[[1,2],[2,1]]", OK},
    {"[[[]],[[[]]],[[],[]]]", OK},
    {"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,1]", ERR_RANGE},
};

START_TEST(unique_items)
{
    str message;

    ck_assert_int_eq(judge(STR("{\"uniqueItems\":true}"), str_from(uniques[_i].value), &message),
                     uniques[_i].want);
}
END_TEST

/* Two schemas, one budget: what the first has spent is gone. */
START_TEST(one_budget_for_several)
{
    uint64_t steps = 2500;
    struct json_schema_error error;
    struct json_schema *s;
    struct json *v = parse_str(array_of(STR("1,"), 1000));

    ck_assert_int_eq(
        json_schema_new(&s, STR("{\"items\":{\"type\":[\"integer\",\"null\"]}}"), NULL, 0), OK);
    ck_assert_int_eq(json_schema_validate(s, &arena, v, &steps, &error), OK);
    ck_assert_uint_lt(steps, 1000);
    ck_assert_int_eq(json_schema_validate(s, &arena, v, &steps, &error), ERR_LIMIT);
    json_schema_free(s);
}
END_TEST

START_TEST(too_large)
{
    str message;
    str schema =
        ARENA_JOIN(&arena, STR("{\"title\":\""), repeat("x", JSON_SCHEMA_MAX_BYTES), STR("\"}"));

    ck_assert_int_eq(judge(schema, STR("1"), &message), ERR_LIMIT);
    /* each pattern is large when its repetitions are written out */
    struct buf b;
    buf_init_arena(&b, &arena, TEST_BUDGET);
    buf_add_lit(&b, "{\"patternProperties\":{");
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, "\"((a{10}b){30}%d){30}\":{},", i);
    buf_add_lit(&b, "\"x\":{}}}");
    ck_assert_int_eq(judge(buf_str(&b), STR("{}"), &message), ERR_LIMIT);
    /* and so many ids that each join is long */
    buf_clear(&b);
    buf_add_lit(&b, "{\"$id\":\"http://x/");
    buf_add_str(&b, repeat("y", 100000));
    buf_add_lit(&b, "/\",\"$defs\":{");
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, "\"%d\":{\"$id\":\"%d\"},", i, i);
    buf_add_lit(&b, "\"x\":{}}}");
    ck_assert_int_eq(judge(buf_str(&b), STR("{}"), &message), ERR_LIMIT);
}
END_TEST

/* ---- patterns -------------------------------------------------------------------------------- */

static const struct {
    const char *pattern, *piece;
    size_t times;
    const char *end;
} catastrophes[] = {
    {"(a+)+$", "a", 50, "!"},
    {"(a+)+$", "a", 100000, "!"},
    {"(a|aa)+$", "a", 1000, "!"},
    {"(.*)*=", "x", 5000, ""},
    {"(?:a?){60}a{60}", "a", 59, ""},
    {"x*[yz]", "x", 1000000, ""},
    {"[xy]{30000}", "x", 1000000, ""},
    {"^(.*)\\\\1$", "ab", 200000, "c"},
    {"(?:(?:[xy]*)*)*z", "xy", 20000, ""},
    {"(?=(x+))+z", "x", 100000, ""},
    {"^(([a-z])+.)+[A-Z]([a-z])+$", "a", 5000, ""},
};

START_TEST(catastrophic_patterns)
{
    str schema =
        ARENA_JOIN(&arena, STR("{\"pattern\":\""), str_from(catastrophes[_i].pattern), STR("\"}"));
    str text = ARENA_JOIN(&arena, repeat(catastrophes[_i].piece, catastrophes[_i].times),
                          str_from(catastrophes[_i].end));
    str message;
    enum err e = judge(schema, quoted(text), &message);

    ck_assert_msg(e == ERR_LIMIT || e == ERR_RANGE || e == OK, "%s", err_text(e));
}
END_TEST

/* PCRE2 looks for the other cases of each character of a range. */
START_TEST(patterns_that_are_slow_to_compile)
{
    str range = STR("[\\u0000-\xf4\x8f\xbf\xbf]"), message, schema;

    schema = ARENA_JOIN(&arena, STR("{\"pattern\":\"(?i)"), repeat(range.p, 20), STR("\"}"));
    ck_assert_int_eq(judge(schema, STR("\"a\""), &message), ERR_RANGE);
    schema = ARENA_JOIN(&arena, STR("{\"pattern\":\"(?i)"), repeat(range.p, 100), STR("\"}"));
    ck_assert_int_eq(judge(schema, STR("\"a\""), &message), ERR_LIMIT);
    schema = ARENA_JOIN(&arena, STR("{\"pattern\":\""), repeat(range.p, 100), STR("\"}"));
    ck_assert_int_eq(judge(schema, STR("\"a\""), &message), ERR_RANGE);
    schema = ARENA_JOIN(&arena, STR("{\"pattern\":\"(?i)"), repeat("[\\\\S]", 100), STR("\"}"));
    ck_assert_int_eq(judge(schema, STR("\"a\""), &message), ERR_LIMIT);
}
END_TEST

/* Patterns that just fit a budget of their own must not add up. */
START_TEST(many_slow_patterns)
{
    str name = repeat("a", 18), message;
    struct buf b;

    buf_init_arena(&b, &arena, TEST_BUDGET);
    buf_add_char(&b, '{');
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "\"" STR_FMT "%d\":1,", STR_ARG(name), i);
    buf_add_lit(&b, "\"x\":1}");
    ck_assert_int_eq(judge(STR("{\"patternProperties\":{\"^(a+)+$\":{}}}"), buf_str(&b), &message),
                     ERR_LIMIT);
}
END_TEST

START_TEST(patterns_that_are_cheap)
{
    str text = repeat("0123456789abcdef", 20000), message;

    ck_assert_int_eq(judge(STR("{\"pattern\":\"^[0-9a-f]*$\"}"), quoted(text), &message), OK);
    ck_assert_int_eq(judge(STR("{\"pattern\":\"^[0-9a-f]+$\"}"),
                           quoted(ARENA_JOIN(&arena, text, STR("x"))), &message),
                     ERR_RANGE);
    ck_assert_int_eq(judge(STR("{\"pattern\":\"0123\"}"), quoted(text), &message), OK);
}
END_TEST

/* ---- out of memory --------------------------------------------------------------------------- */

static const str rich = STR_INIT(
    "{\"$id\":\"http://x/"
    "y\",\"$defs\":{\"a\":{\"$id\":\"a\",\"$anchor\":\"b\",\"type\":\"string\"}},"
    "\"properties\":{\"a\":{\"$ref\":\"a#b\"},\"b\":{\"pattern\":\"^x\"},\"c\":{\"uniqueItems\":"
    "true}},"
    "\"patternProperties\":{\"^z\":{}},\"additionalProperties\":false,\"unevaluatedProperties\":"
    "false,"
    "\"anyOf\":[{\"required\":[\"a\"]},{\"$ref\":\"http://json-schema.org/draft-07/schema#\"}]}");

START_TEST(compiling_without_memory)
{
    struct json_schema *s = NULL;
    enum err e = ERR_NOMEM;

    for (unsigned n = 1; e != OK && n < 1000; n++) {
        arena_test_fail_chunk(n);
        e = json_schema_new(&s, rich, NULL, 0);
        arena_test_fail_chunk(0);
        ck_assert(e == OK || e == ERR_NOMEM);
    }
    ck_assert_int_eq(e, OK);
    json_schema_free(s);
}
END_TEST

static struct json_schema *tortured;

static enum err validate_it(struct arena *a)
{
    struct json *v;
    struct json_schema_error error;
    enum err e = json_parse(
        a, STR("{\"a\":\"x\",\"b\":\"xy\",\"c\":[1,2,3],\"z\":1,\"q\":1,\"r\":2}"), &v, NULL);

    if (e == OK)
        e = json_schema_validate(tortured, a, v, &(uint64_t){JSON_SCHEMA_STEPS}, &error);
    if (e == ERR_NOMEM)
        return e;
    ck_assert_int_eq(e, ERR_RANGE);
    ck_assert_str_is(error.message, "'q', 'r' do not match any of the regexes: '^z'");
    return OK;
}

START_TEST(judging_without_memory)
{
    ck_assert_int_eq(json_schema_new(&tortured, rich, NULL, 0), OK);
    torture(validate_it);
    json_schema_free(tortured);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json schema limits");
    TCase *t = tcase_create("limits");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, reference_loops, 0, (int)ARRAY_LEN(loops));
    tcase_add_loop_test(t, exponential_nesting, 0, 4);
    tcase_add_test(t, deep_values);
    tcase_add_test(t, ten_thousand_properties);
    tcase_add_loop_test(t, repeated_work, 0, 6);
    tcase_add_test(t, long_names_and_numbers);
    tcase_add_test(t, many_scopes);
    tcase_add_loop_test(t, unique_items, 0, (int)ARRAY_LEN(uniques));
    tcase_add_test(t, one_budget_for_several);
    tcase_add_test(t, too_large);
    tcase_add_loop_test(t, catastrophic_patterns, 0, (int)ARRAY_LEN(catastrophes));
    tcase_add_test(t, patterns_that_are_slow_to_compile);
    tcase_add_test(t, many_slow_patterns);
    tcase_add_test(t, patterns_that_are_cheap);
    tcase_add_test(t, compiling_without_memory);
    tcase_add_test(t, judging_without_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
