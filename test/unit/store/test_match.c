/* Filters: every operator against every type, fields by path, and sets of operands. */
#include "test/unit/store/store_test.h"

static struct object object_of(const char *id, const char *data, int64_t ms)
{
    struct value_parts p = {.id = str_from(id),
                            .acl = STR(""),
                            .last_modified = ms,
                            .data = data != NULL ? parse(data) : NULL};
    struct object o;
    struct buf b;

    buf_init_arena(&b, &arena, SIZE_MAX);
    ck_assert_ok(store_value_encode(&b, &p));
    ck_assert_ok(store_value_decode(buf_str(&b), &o));
    return o;
}

static bool matches(const struct object *o, const char *field, enum store_op op, const char *value)
{
    struct store_filter f = {str_from(field), op, parse(value)};
    struct match m;
    bool yes;

    ck_assert_ok(store_match_init(&arena, &f, &m));
    yes = store_match_test(&arena, &m, o);
    ck_assert(!arena_failed(&arena));
    return yes;
}

/* The objects a to p, and their field v; p has none. */
static const char *const values[] = {
    "null",      "\"a\"",          "\"abc\"",   "1",       "1.0", "2",
    "true",      "false",          "[1,\"a\"]", "[\"a\"]", "[]",  "{\"a\":1}",
    "{\"b\":2}", "\"\\u00e9\\n\"", "-1e3",      NULL};

static const struct {
    enum store_op op;
    const char *value, *want; /* the letters of those that match */
} cases[] = {
    {STORE_EQ, "1", "de"},
    {STORE_EQ, "1.0", "de"},
    {STORE_EQ, "10e-1", "de"},
    {STORE_EQ, "-1000", "o"},
    {STORE_EQ, "true", "g"},
    {STORE_EQ, "null", "a"},
    {STORE_EQ, "\"a\"", "b"},
    {STORE_EQ, "\"1\"", ""},
    {STORE_EQ, "\"\"", ""},
    {STORE_EQ, "\"\xc3\xa9\\n\"", "n"},
    {STORE_EQ, "[1,\"a\"]", "i"},
    {STORE_EQ, "[1.0,\"a\"]", "i"},
    {STORE_EQ, "{\"a\":1.0}", "l"},
    {STORE_EQ, "{}", ""},
    {STORE_NOT, "1", "abcfghijklmnop"},
    {STORE_NOT, "null", "bcdefghijklmnop"},
    {STORE_NOT, "[]", "abcdefghijlmnop"},
    {STORE_LT, "1", "abcno"},
    {STORE_MAX, "1", "abcdeno"},
    {STORE_GT, "1", "fghijklmp"},
    {STORE_MIN, "1", "defghijklmp"},
    {STORE_LT, "true", "abcdefhno"},
    {STORE_MAX, "true", "abcdefghno"},
    {STORE_GT, "true", "ijklmp"},
    {STORE_MIN, "true", "gijklmp"},
    {STORE_LT, "null", ""},
    {STORE_MAX, "null", "a"},
    {STORE_GT, "null", "bcdefghijklmnop"},
    {STORE_MIN, "null", "abcdefghijklmnop"},
    {STORE_LT, "\"abc\"", "ab"},
    {STORE_GT, "\"a\"", "cdefghijklmnop"},
    {STORE_LT, "[1,\"a\"]", "abcdefghjkno"},
    {STORE_MIN, "{\"b\":2}", "mp"},
    {STORE_IN, "[1,\"abc\"]", "cde"},
    {STORE_IN, "[true]", "g"},
    {STORE_IN, "[]", ""},
    {STORE_IN, "[null,[\"a\"],{\"b\":2.0},\"z\",3,[]]", "ajkm"},
    {STORE_EXCLUDE, "[1,\"abc\"]", "abfghijklmnop"},
    {STORE_EXCLUDE, "[]", "abcdefghijklmnop"},
    {STORE_EXCLUDE, "[null,true,false,1,2,-1e3]", "bcijklmnp"},
    {STORE_HAS, "true", "abcdefghijklmno"},
    {STORE_HAS, "false", "p"},
    {STORE_LIKE, "\"a\"", "bc"},
    {STORE_LIKE, "\"A*\"", "bc"},
    {STORE_LIKE, "\"*C\"", "c"},
    {STORE_LIKE, "\"\"", "bcn"},
    {STORE_LIKE, "\"\xc3\x89\"", "n"},
    {STORE_LIKE, "\"*\\n\"", "n"},
    {STORE_LIKE, "1", ""},
    {STORE_CONTAINS, "[]", "bcijklmn"},
    {STORE_CONTAINS, "[\"a\"]", "bcijl"},
    {STORE_CONTAINS, "[\"a\",1]", "i"},
    {STORE_CONTAINS, "[1,1,\"a\",1]", "i"},
    {STORE_CONTAINS, "[\"b\",\"a\"]", "c"},
    {STORE_CONTAINS, "[\"ab\"]", ""},
    {STORE_CONTAINS, "[true]", ""},
    {STORE_CONTAINS, "[\"\\n\",\"\xc3\xa9\"]", "n"},
    {STORE_CONTAINS_ANY, "[]", ""},
    {STORE_CONTAINS_ANY, "[\"a\",1]", "bcijl"},
    {STORE_CONTAINS_ANY, "[\"z\",\"c\",\"b\"]", "cm"},
    {STORE_CONTAINS_ANY, "[2]", ""},
};

START_TEST(every_operator_and_type)
{
    struct buf b;

    buf_init_arena(&b, &arena, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char data[64];
        struct object o;
        snprintf(data, sizeof data, values[i] ? "{\"u\":{\"v\":0},\"v\":%s}" : "{\"w\":0}",
                 values[i]);
        o = object_of("x", data, 1);
        if (matches(&o, "v", cases[_i].op, cases[_i].value))
            buf_add_char(&b, (char)('a' + i));
    }
    ck_assert_msg(str_eq(buf_str(&b), str_from(cases[_i].want)), "op %d, %s: %.*s, want %s",
                  cases[_i].op, cases[_i].value, (int)b.n, b.p, cases[_i].want);
}
END_TEST

static const struct {
    const char *data, *field, *want; /* NULL: absent */
} paths[] = {
    {"{\"a\":{\"b\":1}}", "a.b", "1"},
    {"{\"a\":{\"b\":1},\"a.b\":2}", "a.b", "2"},
    {"{\"a.b\":2,\"a\":{\"b\":1}}", "a.b", "2"},
    {"{\"a\":{\"b.c\":1}}", "a.b.c", "1"},
    {"{\"a\":{\"b\":{\"c\":1}}}", "a.b.c", "1"},
    {"{\"a.b\":{\"c\":1},\"a\":{\"b\":{\"c\":2}}}", "a.b.c", "1"},
    {"{\"a.b\":3,\"a\":{\"b\":{\"c\":2}}}", "a.b.c", NULL},
    {"{\"a\":[{\"b\":1}]}", "a.b", NULL},
    {"{\"a\":[1]}", "a.0", NULL},
    {"{\"a\":1}", "a.b", NULL},
    {"{\"a\":{\"b\":null}}", "a.b", "null"},
    {"{\"a\":{}}", "a.b", NULL},
    {"{\"\":{\"a\":1}}", ".a", "1"},
    {"{\"a\":{\"\":1}}", "a.", "1"},
    {"{\".\":1}", ".", "1"},
    {"{}", "", NULL},
    {"{\"\":1}", "", "1"},
    {"{\"ab\":{\"c\":1}}", "a.c", NULL},
    {"{\"a\\nb\":{\"c\":1}}", "a\nb.c", "1"},
    {"{\"x\":{\"a.b\":9},\"a\":{\"b\":\"s\"}}", "a.b", "\"s\""},
    {"{\"id\":5}", "id", "\"x\""},
    {"{\"a\":{\"id\":5}}", "a.id", "5"},
    {"{}", "last_modified", "77"},
    {"{}", "id.x", NULL},
    {"{}", "deleted", NULL},
};

START_TEST(fields_by_path)
{
    struct object o = object_of("x", paths[_i].data, 77);
    struct json_raw raw = {.text = STR_NONE}, same = raw;
    bool found = store_object_field(&arena, &o, str_from(paths[_i].field), &raw);

    ck_assert_msg(found == (paths[_i].want != NULL), "%s in %s", paths[_i].field, paths[_i].data);
    if (found)
        ck_assert_str_is(raw.text, paths[_i].want);
    ck_assert_int_eq(store_field(&arena, o.o.data, str_from(paths[_i].field), &same), found);
    ck_assert(str_eq(raw.text, same.text));
}
END_TEST

START_TEST(tombstones_have_their_fields)
{
    struct object o = object_of("x", NULL, 77);

    ck_assert(matches(&o, "deleted", STORE_EQ, "true"));
    ck_assert(matches(&o, "id", STORE_EQ, "\"x\""));
    ck_assert(!matches(&o, "v", STORE_EQ, "1"));
    ck_assert(matches(&o, "v", STORE_NOT, "1"));
}
END_TEST

START_TEST(ids_and_times)
{
    struct object o = object_of("12", "{\"id\":1}", -5);

    ck_assert(matches(&o, "id", STORE_EQ, "\"12\""));
    ck_assert(matches(&o, "id", STORE_EQ, "12")); /* its digits, as in the reference */
    ck_assert(matches(&o, "id", STORE_NOT, "1"));
    ck_assert(matches(&o, "id", STORE_GT, "1"));
    ck_assert(!matches(&o, "id", STORE_LT, "1"));
    ck_assert(!matches(&o, "id", STORE_EQ, "12.0"));
    ck_assert(matches(&o, "id", STORE_LIKE, "\"2\""));
    ck_assert(matches(&o, "id", STORE_IN, "[\"1\",\"12\"]"));
    ck_assert(matches(&o, "last_modified", STORE_EQ, "-5.0"));
    ck_assert(matches(&o, "last_modified", STORE_LT, "-4.5"));
    ck_assert(matches(&o, "last_modified", STORE_GT, "-1000000000000000000000000"));
    ck_assert(matches(&o, "last_modified", STORE_GT, "null"));
    ck_assert(matches(&o, "last_modified", STORE_IN, "[1,-5]"));
    ck_assert(!matches(&o, "last_modified", STORE_EQ, "\"-5\""));
    ck_assert(!matches(&o, "last_modified", STORE_LIKE, "\"5\""));
}
END_TEST

/* Thousands of operands against thousands of items: not items times operands. */
START_TEST(large_sets)
{
    enum { N = 4000 };
    struct store_filter f = {STR("v"), STORE_CONTAINS, json_new_array(&arena)};
    struct json *data = json_new_object(&arena), *items = json_new_array(&arena);
    struct object o;
    struct match m;
    uint64_t start = clock_mono_ms();

    for (int i = 0; i < N; i++) {
        ck_assert_ok(json_push(&arena, (struct json *)(uintptr_t)f.value,
                               json_new_i64(&arena, (i * 7919) % N)));
        ck_assert_ok(json_push(&arena, items, json_new_i64(&arena, i)));
    }
    ck_assert_ok(json_set(&arena, data, STR("v"), items));
    o = object_of("x", arena_cstr(&arena, json_text(&arena, data)), 1);
    ck_assert_ok(store_match_init(&arena, &f, &m));
    for (int i = 0; i < 20; i++)
        ck_assert(store_match_test(&arena, &m, &o));
    ck_assert_ok(json_push(&arena, (struct json *)(uintptr_t)f.value, json_new_i64(&arena, N)));
    ck_assert_ok(store_match_init(&arena, &f, &m));
    ck_assert(!store_match_test(&arena, &m, &o));
    ck_assert_uint_lt(clock_mono_ms() - start, 20000);
}
END_TEST

/* Testing gives its memory back, however many objects there are. */
START_TEST(testing_takes_no_memory)
{
    struct object o = object_of(
        "x", "{\"v\":[\"a\\n\",{\"x\":[1]}],\"s\":\"a\\nb\",\"o\":{\"k\\n\":{\"z\":1}}}", 1);
    struct store_filter filters[] = {
        {STR("v"), STORE_CONTAINS, parse("[\"a\\n\",{\"x\":[1]}]")},
        {STR("s"), STORE_LIKE, parse("\"A*B\"")},
        {STR("o.k\n.z"), STORE_EQ, parse("1")},
        {STR("v"), STORE_EQ, parse("[\"a\\n\",{\"x\":[1]}]")},
        {STR("o"), STORE_CONTAINS, parse("[\"k\\n\"]")},
    };
    struct match m[ARRAY_LEN(filters)];
    size_t used;
    char *at;

    for (size_t i = 0; i < ARRAY_LEN(filters); i++)
        ck_assert_ok(store_match_init(&arena, &filters[i], &m[i]));
    used = arena.used;
    at = arena.at;
    for (int round = 0; round < 1000; round++)
        for (size_t i = 0; i < ARRAY_LEN(filters); i++)
            ck_assert(store_match_test(&arena, &m[i], &o));
    ck_assert_uint_eq(arena.used, used);
    ck_assert_ptr_eq(arena.at, at);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {tombstones_have_their_fields, ids_and_times, large_sets,
                                  testing_takes_no_memory};
    Suite *s = suite_of("store/match", setup, teardown, tests, ARRAY_LEN(tests));
    TCase *c = tcase_create("tables");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, every_operator_and_type, 0, ARRAY_LEN(cases));
    tcase_add_loop_test(c, fields_by_path, 0, ARRAY_LEN(paths));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
