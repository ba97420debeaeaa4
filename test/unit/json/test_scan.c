/* Fields out of text: the same answers as the tree gives, on random documents; damaged text. */
#include "test/unit/json/json_test.h"

static bool raw_is(const struct json_raw *raw, enum json_type type, const char *text)
{
    return raw->type == type && str_eq(raw->text, str_from(text));
}

START_TEST(members)
{
    static const str text = STR_INIT(
        "{\"id\":\"x\",\"n\":-1.5e3,\"t\":true,\"f\":false,\"z\":null,\"a\":[1,{\"id\":2},\"]}\"],"
        "\"o\":{\"deep\":{\"id\":[[]]},\"q\":\"\\\"}\"},\"\":0,\"id2\":\"\\\\\",\"last\":\"end\"}");
    struct json_raw r;

    ck_assert(json_scan_member(text, STR("id"), &r) && raw_is(&r, JSON_STRING, "\"x\""));
    ck_assert(json_scan_member(text, STR("n"), &r) && raw_is(&r, JSON_NUMBER, "-1.5e3"));
    ck_assert(json_scan_member(text, STR("t"), &r) && raw_is(&r, JSON_BOOL, "true"));
    ck_assert(json_scan_member(text, STR("f"), &r) && raw_is(&r, JSON_BOOL, "false"));
    ck_assert(json_scan_member(text, STR("z"), &r) && raw_is(&r, JSON_NULL, "null"));
    ck_assert(json_scan_member(text, STR("a"), &r) &&
              raw_is(&r, JSON_ARRAY, "[1,{\"id\":2},\"]}\"]"));
    ck_assert(json_scan_member(text, STR("o"), &r) &&
              raw_is(&r, JSON_OBJECT, "{\"deep\":{\"id\":[[]]},\"q\":\"\\\"}\"}"));
    ck_assert(json_scan_member(text, STR(""), &r) && raw_is(&r, JSON_NUMBER, "0"));
    ck_assert(json_scan_member(text, STR("id2"), &r) && raw_is(&r, JSON_STRING, "\"\\\\\""));
    ck_assert(json_scan_member(text, STR("last"), &r) && raw_is(&r, JSON_STRING, "\"end\""));
    ck_assert(!json_scan_member(text, STR("deep"), &r));
    ck_assert(!json_scan_member(text, STR("i"), &r));
    ck_assert(!json_scan_member(text, STR("id3"), &r));
    ck_assert(!json_scan_member(STR("{}"), STR(""), &r));
    ck_assert(!json_scan_member(STR("[\"a\",1]"), STR("a"), &r));
    ck_assert(!json_scan_member(STR("\"a\""), STR("a"), &r));
    ck_assert(!json_scan_member(STR_NONE, STR("a"), &r));
}
END_TEST

START_TEST(names_with_escapes)
{
    static const str text =
        STR_INIT("{\"a\\\"b\":1,\"\\u0001\":2,\"\\n\":3,\"\\ud83d\\ude00\":4,\"\\\\\":5,\"n\":6}");
    static const struct {
        str name;
        const char *want;
    } table[] = {{STR_INIT("a\"b"), "1"}, {STR_INIT("\x01"), "2"},
                 {STR_INIT("\n"), "3"},   {STR_INIT("\xf0\x9f\x98\x80"), "4"},
                 {STR_INIT("\\"), "5"},   {STR_INIT("n"), "6"}};
    struct json_raw r;

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        ck_assert(json_scan_member(text, table[i].name, &r) &&
                  raw_is(&r, JSON_NUMBER, table[i].want));
    ck_assert(!json_scan_member(text, STR("a\\\"b"), &r));
    ck_assert(!json_scan_member(text, STR("a"), &r));
    ck_assert(!json_scan_member(text, STR("\xf0\x9f\x98"), &r));
}
END_TEST

/* A string whose closing quote, escapes and brackets fall on each place of the eight bytes at a
 * time. */
START_TEST(every_alignment)
{
    for (int pad = 0; pad < 24; pad++)
        for (int n = 0; n < 24; n++) {
            str text = arena_printf(&arena, "{\"p%.*s\":[\"%.*s\\\"]\",{}],\"k\":%d}", pad,
                                    "xxxxxxxxxxxxxxxxxxxxxxxx", n, "}}}}{{{{[[[[]]]]::::,,,,", n);
            struct guard g = guard_open(128);
            struct json_raw r;
            int64_t got;
            ck_assert(json_scan_member(guard_put(&g, text), STR("k"), &r));
            ck_assert_int_eq(str_to_i64(r.text, &got), OK);
            ck_assert_int_eq(got, n);
            guard_close(&g);
        }
}
END_TEST

START_TEST(items)
{
    struct json_raw r;
    size_t at = 0;
    str text = STR("[1,\"a,]\",[2,[3]],{\"x\":[]},null]");

    ck_assert(json_scan_item(text, &at, &r) && raw_is(&r, JSON_NUMBER, "1"));
    ck_assert(json_scan_item(text, &at, &r) && raw_is(&r, JSON_STRING, "\"a,]\""));
    ck_assert(json_scan_item(text, &at, &r) && raw_is(&r, JSON_ARRAY, "[2,[3]]"));
    ck_assert(json_scan_item(text, &at, &r) && raw_is(&r, JSON_OBJECT, "{\"x\":[]}"));
    ck_assert(json_scan_item(text, &at, &r) && raw_is(&r, JSON_NULL, "null"));
    ck_assert(!json_scan_item(text, &at, &r));
    ck_assert(!json_scan_item(text, &at, &r));
    at = 0;
    ck_assert(!json_scan_item(STR("[]"), &at, &r));
    ck_assert(!json_scan_item(STR("{}"), &at, &r));
    ck_assert(!json_scan_item(STR_NONE, &at, &r));
    ck_assert(!json_scan_next(&arena, STR_NONE, &at, &text, &r));
    ck_assert(!json_scan_next(&arena, STR("{}"), &at, &text, &r));
}
END_TEST

/* ---- against the tree
 * --------------------------------------------------------------------------------- */

static void check_value(const struct json_raw *raw, const struct json *v)
{
    struct json *parsed = NULL;

    ck_assert_int_eq(raw->type, json_type(v));
    ck_assert(str_eq(raw->text, json_text(&arena, v)));
    ck_assert_int_eq(json_raw_parse(&arena, raw, &parsed), OK);
    ck_assert(json_equal(parsed, v));
    if (raw->type == JSON_STRING)
        ck_assert(str_eq(json_raw_string(&arena, raw), json_string(v)));
}

static void check_object(str text, const struct json *v, struct random *r)
{
    struct json_raw raw;
    struct json *value;
    size_t at = 0, i;
    str name, want;

    for (i = 0; json_scan_next(&arena, text, &at, &name, &raw); i++) {
        ck_assert(json_member(v, i, &want, &value));
        ck_assert(str_eq(name, want));
        check_value(&raw, value);
        ck_assert(json_scan_member(text, name, &raw));
        check_value(&raw, value);
    }
    ck_assert_uint_eq(i, json_count(v));
    name = random_string(r);
    ck_assert_int_eq(json_scan_member(text, name, &raw), json_get(v, name) != NULL);
}

static void check_array(str text, const struct json *v)
{
    struct json_raw raw;
    size_t at = 0, i;

    for (i = 0; json_scan_item(text, &at, &raw); i++)
        check_value(&raw, json_at(v, i));
    ck_assert_uint_eq(i, json_count(v));
}

START_TEST(random_documents)
{
    struct random r = random_start();
    struct guard g = guard_open(4 * MIB);

    for (int i = 0; i < 600; i++) {
        struct json *v = random_value(&r, 4);
        str text = guard_put(&g, json_text(&arena, v));
        if (json_is(v, JSON_OBJECT))
            check_object(text, v, &r);
        else if (json_is(v, JSON_ARRAY))
            check_array(text, v);
        else
            ck_assert(!json_scan_member(text, STR("a"), &(struct json_raw){0}));
        arena_reset(&arena);
    }
    guard_close(&g);
}
END_TEST

static struct json_raw raw_of(const struct json *v)
{
    return (struct json_raw){json_type(v), json_text(&arena, v)};
}

START_TEST(random_comparisons)
{
    struct random r = random_start();

    for (int i = 0; i < 5000; i++) {
        struct json *v = random_value(&r, 2);
        struct json *w = random_below(&r, 5) == 0 ? json_copy(&arena, v) : random_value(&r, 2);
        struct json_raw x = raw_of(v), y = raw_of(w);
        int got = json_raw_compare(&arena, &x, &y), want = json_compare(v, w);
        ck_assert_msg((got > 0) - (got < 0) == (want > 0) - (want < 0), STR_FMT " " STR_FMT,
                      STR_ARG(x.text), STR_ARG(y.text));
        arena_reset(&arena);
    }
}
END_TEST

START_TEST(comparisons)
{
    struct json_raw null = {JSON_NULL, STR("null")}, object = {JSON_OBJECT, STR("{}")};
    struct json_raw escaped = {JSON_STRING, STR("\"\\u00e9\\ud83d\\ude00\"")};
    struct json_raw plain = {JSON_STRING, STR("\"\xc3\xa9\xf0\x9f\x98\x80\"")};
    struct json_raw one = {JSON_NUMBER, STR("1")}, one_too = {JSON_NUMBER, STR("10e-1")};

    ck_assert_int_lt(json_raw_compare(&arena, &object, NULL), 0);
    ck_assert_int_gt(json_raw_compare(&arena, NULL, &null), 0);
    ck_assert_int_eq(json_raw_compare(&arena, NULL, NULL), 0);
    ck_assert_int_eq(json_raw_compare(&arena, &escaped, &plain), 0);
    ck_assert_int_eq(json_raw_compare(&arena, &one, &one_too), 0);
    ck_assert_int_lt(json_raw_compare(&arena, &null, &escaped), 0);
    ck_assert_str_is(json_raw_string(&arena, &escaped), "\xc3\xa9\xf0\x9f\x98\x80");
    ck_assert_ptr_eq(json_raw_string(&arena, &plain).p, plain.text.p + 1);
}
END_TEST

/* ---- damage
 * ------------------------------------------------------------------------------------------ */

/* Any answer will do, but for one that reads past the end (the guard page, ASan) or never comes. */
static void scan_all(str text)
{
    struct json_raw r, s = {JSON_STRING, STR("\"\\n\"")};
    size_t at = 0;
    str name;

    json_scan_member(text, STR("last"), &r);
    json_scan_member(text, STR("\n"), &r);
    while (json_scan_next(&arena, text, &at, &name, &r)) {
        ck_assert(r.text.p >= text.p && r.text.p + r.text.n <= text.p + text.n && r.text.n > 0);
        if (r.type == JSON_STRING)
            json_raw_string(&arena, &r);
        json_raw_compare(&arena, &r, &s);
    }
    at = 0;
    while (json_scan_item(text, &at, &r))
        ck_assert(r.text.p >= text.p && r.text.p + r.text.n <= text.p + text.n && r.text.n > 0);
}

START_TEST(damaged_text)
{
    static const str whole =
        STR_INIT("{\"a\":\"x\\ud83d\\ude00\\\\\",\"b\\n\":[1,{\"c\":[]},\"\\u00e9\"],"
                 "\"n\":-1.5,\"t\":true,\"last\":\"\\ud83d\\ude00\"}");
    struct random r = random_start();
    struct guard g = guard_open(256);
    char text[256];

    for (size_t n = 0; n <= whole.n; n++)
        scan_all(guard_put(&g, str_sub(whole, 0, n)));
    for (int i = 0; i < 20000; i++) {
        size_t n = 1 + random_below(&r, (unsigned)whole.n);
        memcpy(text, whole.p, n);
        for (unsigned k = random_below(&r, 4); k > 0; k--)
            text[random_below(&r, (unsigned)n)] = "{}[]\",:\\u0dD8 \xff"[random_below(&r, 15)];
        scan_all(guard_put(&g, (str){text, n}));
        arena_reset(&arena);
    }
    guard_close(&g);
}
END_TEST

static enum err scan_with_escapes(struct arena *a)
{
    static const str text = STR_INIT("{\"\\n\":\"\\t\",\"a\":[1],\"b\":[2]}");
    struct json_raw raw, other;
    size_t at = 0;
    str name;

    if (!json_scan_next(a, text, &at, &name, &raw) || str_none(name) ||
        str_none(json_raw_string(a, &raw)))
        return ERR_NOMEM;
    ck_assert_str_is(name, "\n");
    ck_assert(json_scan_member(text, STR("a"), &raw) && json_scan_member(text, STR("b"), &other));
    if (json_raw_compare(a, &raw, &other) == 0)
        return ERR_NOMEM; /* they differ: it failed, and the arena says so */
    return arena_failed(a) ? ERR_NOMEM : OK;
}

START_TEST(out_of_memory)
{
    torture(scan_with_escapes);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json scan");
    TCase *t = tcase_create("scan");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    tcase_add_test(t, members);
    tcase_add_test(t, names_with_escapes);
    tcase_add_test(t, every_alignment);
    tcase_add_test(t, items);
    tcase_add_test(t, random_documents);
    tcase_add_test(t, random_comparisons);
    tcase_add_test(t, comparisons);
    tcase_add_test(t, damaged_text);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
