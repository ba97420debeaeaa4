/* Values: numbers by their exact value, building, the members of objects against a model, depth,
 * the total order. */
#include "test/unit/json/json_test.h"

#include "json/private.h"
#include <math.h>

/* ---- numbers
 * ------------------------------------------------------------------------------------- */

#define Z50 "00000000000000000000000000000000000000000000000000"

/* Strictly ascending. */
static const char *const ascending[] = {
    "-1e308",
    "-1000000000000000000000000000000000001",
    "-1e36",
    "-12.5",
    "-1.00000000000000000000000000000000001",
    "-1",
    "-0.5",
    "-0.1e-5",
    "-1e-99999999999999999999",
    "-1e-100000000000000000000",
    "0",
    "1e-123456789012345678901234567891",
    "1e-123456789012345678901234567890",
    "2e-123456789012345678901234567890",
    "1e-99999999999999999999",
    "1e-400",
    "0.00000000000000000001",
    "0.1",
    "0.10000000000000000000000000000000000000001",
    "0.11",
    "0.9999999999999999999999999999999999",
    "1",
    "1.5",
    "2",
    "10",
    "11",
    "99.99e1",
    "1e3",
    "9007199254740992",
    "9007199254740993",
    "9007199254740993.5",
    "18446744073709551615",
    "18446744073709551616",
    "1e36",
    "1e100",
    "1.1e100",
    "1e101",
    "1e308",
};

START_TEST(number_order)
{
    str x = str_from(ascending[_i]);

    for (int k = 0; k < (int)ARRAY_LEN(ascending); k++) {
        int c = json_number_compare(x, str_from(ascending[k]));
        ck_assert_msg((c > 0) - (c < 0) == (_i > k) - (_i < k), "%s %s: %d", ascending[_i],
                      ascending[k], c);
    }
}
END_TEST

START_TEST(number_equality)
{
    static const char *const same[][2] = {
        {"1", "1.0"},
        {"0", "-0"},
        {"0", "-0.00e-99999999999999999999999"},
        {"0e5", "0.0e99999999999999999999"},
        {"100", "1e2"},
        {"100", "1E+02"},
        {"0.001", "1e-3"},
        {"123.456", "123456e-3"},
        {"123.456", "0.000123456e6"},
        {"1" Z50, "1e50"},
        {"1." Z50, "1"},
        {"0." Z50 "1", "1e-51"},
        {"10e-100000000000000000000000000000001", "1e-100000000000000000000000000000000"},
        {"1" Z50 "e-50", "1"},
        {"0.1e-99999999999999999999", "1e-100000000000000000000"},
        {"-1.50", "-15e-1"},
        {"1e0000000000000000000000000000000002", "100"},
    };

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        ck_assert_msg(json_number_compare(str_from(same[i][0]), str_from(same[i][1])) == 0, "%s %s",
                      same[i][0], same[i][1]);
        ck_assert_int_eq(json_number_compare(str_from(same[i][1]), str_from(same[i][0])), 0);
    }
}
END_TEST

/* mantissa * 10^exponent, in a random spelling. */
static str spell(struct random *r, long mantissa, int exponent)
{
    unsigned zeros = random_below(r, 3), form = random_below(r, 3);
    long whole = mantissa / 1000, part = labs(mantissa % 1000);

    if (form == 0)
        return arena_printf(&arena, "%ld%.*se%d", mantissa, (int)zeros, "00",
                            exponent - (int)zeros);
    if (form == 1)
        return arena_printf(&arena, "%ld.%.*sE%+d", mantissa, (int)zeros + 1, "000", exponent);
    return arena_printf(&arena, "%s%ld.%03lde%d", mantissa < 0 && whole == 0 ? "-" : "", whole,
                        part, exponent + 3);
}

START_TEST(random_numbers)
{
    struct random r = random_start();

    for (int i = 0; i < 20000; i++) {
        long m = (long)random_below(&r, 4001) - 2000, n = (long)random_below(&r, 4001) - 2000;
        int e = (int)random_below(&r, 4), f = (int)random_below(&r, 4);
        long x = m, y = n;
        str s = spell(&r, m, e), t = spell(&r, n, f);
        int c;
        for (int k = 0; k < e; k++)
            x *= 10;
        for (int k = 0; k < f; k++)
            y *= 10;
        c = json_number_compare(s, t);
        ck_assert_msg((c > 0) - (c < 0) == (x > y) - (x < y), STR_FMT " " STR_FMT, STR_ARG(s),
                      STR_ARG(t));
        ck_assert_double_eq(json_number_value(s), (double)x);
        arena_reset(&arena);
    }
}
END_TEST

/* A number of a thousand digits around the middle between two doubles. */
static str middle(const char *tail)
{
    return arena_printf(&arena, "9007199254740993.%0900d%s", 0, tail);
}

START_TEST(doubles)
{
    static const struct {
        const char *text;
        double want;
    } table[] = {
        {"0", 0.0},
        {"1.5", 1.5},
        {"-2e3", -2000.0},
        {"1e-400", 0.0},
        {"5e-324", 5e-324},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"0.1000000000000000055511151231257827021181583404541015625000000000000000000000", 0.1},
        {"1" Z50 Z50 "e-100", 1.0},
        {"0." Z50 Z50 "1e101", 1.0},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890e-79",
         1.2345678901234567890},
        {"-0.00000000000000000000000000000000000000000000000000000000000000000000e-5000", -0.0},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        double d = json_to_double(parse(table[i].text));
        ck_assert_double_eq(d, table[i].want);
        ck_assert_int_eq(signbit(d) != 0, signbit(table[i].want) != 0);
    }
    /* Half way rounds to even; the least digit more, however far behind, rounds up. */
    ck_assert_double_eq(json_number_value(middle("")), 9007199254740992.0);
    ck_assert_double_eq(json_number_value(middle("1")), 9007199254740994.0);
}
END_TEST

START_TEST(overflow_to_the_digit)
{
    /* 2^1024 - 2^970 becomes infinite; one less does not. */
    static const char first[] =
        "17976931348623158079372897140530341507993413271003782693617377898044496829276475"
        "09466490179775872070963302864166928879109465555478519404026306574886715058206819"
        "08902000708383676273854845817711531764475730270069855571366959622842914819860834"
        "936475292719074168444365510704342711559699508093042880177904174497792";
    char text[sizeof first];
    struct json *v;
    struct json_error error;

    ck_assert_int_eq(json_parse(&arena, str_from(first), &v, &error), ERR_SYNTAX);
    ck_assert(isinf(strtod(first, NULL)));
    memcpy(text, first, sizeof first);
    memcpy(text + sizeof first - 3, "79", 2);
    ck_assert_double_eq(json_to_double(parse(text)), 1.7976931348623157e308);
    ck_assert(json_number_overflows(STR("-1e309")));
    ck_assert(!json_number_overflows(STR("-1e308")));
    ck_assert(!json_number_overflows(STR("0e309")));
}
END_TEST

START_TEST(integers)
{
    int64_t n = 77;

    ck_assert_int_eq(json_to_i64(parse("-9223372036854775808"), &n), OK);
    ck_assert(n == INT64_MIN);
    ck_assert_int_eq(json_to_i64(parse("9223372036854775807"), &n), OK);
    ck_assert(n == INT64_MAX);
    ck_assert_int_eq(json_to_i64(parse("-0"), &n), OK);
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(json_to_i64(parse("9223372036854775808"), &n), ERR_RANGE);
    ck_assert_int_eq(json_to_i64(parse("1.0"), &n), ERR_SYNTAX);
    ck_assert_int_eq(json_to_i64(parse("1e3"), &n), ERR_SYNTAX);
    ck_assert_int_eq(n, 0);
    ck_assert_json(json_new_i64(&arena, INT64_MIN), "-9223372036854775808");
    ck_assert(json_number_is_integer(parse("12")) && !json_number_is_integer(parse("1E2")));
}
END_TEST

/* ---- building
 * -------------------------------------------------------------------------------------- */

START_TEST(building)
{
    struct json *o = json_new_object(&arena), *a = json_new_array(&arena);

    ck_assert_int_eq(json_set(&arena, o, STR("x"), json_new_i64(&arena, 1)), OK);
    ck_assert_int_eq(json_set(&arena, o, STR("list"), a), OK);
    ck_assert_int_eq(json_set(&arena, o, STR_NONE, json_new_null(&arena)), OK);
    ck_assert_int_eq(json_push(&arena, a, json_new_bool(&arena, true)), OK);
    ck_assert_int_eq(json_insert(&arena, a, 0, json_new_string(&arena, STR("s"))), OK);
    ck_assert_int_eq(json_insert(&arena, a, 2, json_new_string(&arena, STR_NONE)), OK);
    ck_assert_int_eq(json_insert(&arena, a, 4, json_new_null(&arena)), ERR_RANGE);
    ck_assert_json(o, "{\"x\":1,\"list\":[\"s\",true,\"\"],\"\":null}");
    ck_assert_int_eq(json_set(&arena, o, STR("x"), json_new_bool(&arena, false)), OK);
    ck_assert_json(json_remove_at(a, 1), "true");
    ck_assert_ptr_null(json_remove_at(a, 2));
    ck_assert_int_eq(json_replace_at(a, 1, json_new_object(&arena)), OK);
    ck_assert_int_eq(json_replace_at(a, 2, json_new_null(&arena)), ERR_RANGE);
    ck_assert_json(o, "{\"x\":false,\"list\":[\"s\",{}],\"\":null}");
    ck_assert(json_remove(o, STR("")) && !json_remove(o, STR("")) && !json_remove(a, STR("x")));
    ck_assert_json(o, "{\"x\":false,\"list\":[\"s\",{}]}");
}
END_TEST

/* A failed builder's NULL goes through the next ones. */
START_TEST(null_arguments)
{
    struct json *o = json_new_object(&arena);
    str name;
    struct json *v;

    ck_assert_int_eq(json_set(&arena, o, STR("a"), NULL), ERR_NOMEM);
    ck_assert_int_eq(json_set(&arena, NULL, STR("a"), o), ERR_NOMEM);
    ck_assert_int_eq(json_push(&arena, NULL, o), ERR_NOMEM);
    ck_assert_int_eq(json_push(&arena, json_new_array(&arena), NULL), ERR_NOMEM);
    ck_assert_int_eq(json_replace_at(NULL, 0, o), ERR_NOMEM);
    ck_assert_ptr_null(json_copy(&arena, NULL));
    ck_assert(!json_is(NULL, JSON_NULL));
    ck_assert_uint_eq(json_count(NULL), 0);
    ck_assert_uint_eq(json_count(o), 0);
    ck_assert_ptr_null(json_get(NULL, STR("a")));
    ck_assert_ptr_null(json_get(parse("[1]"), STR("a")));
    ck_assert_ptr_null(json_at(o, 0));
    ck_assert_ptr_null(json_get_typed(parse("{\"a\":1}"), STR("a"), JSON_STRING));
    ck_assert_ptr_nonnull(json_get_typed(parse("{\"a\":1}"), STR("a"), JSON_NUMBER));
    ck_assert(!json_member(o, 0, &name, &v) && !json_member(NULL, 0, &name, &v));
}
END_TEST

START_TEST(copies_are_independent)
{
    struct json *v = parse("{\"a\":[1,{\"b\":2}],\"c\":{}}"), *w = json_copy(&arena, v);

    ck_assert_int_eq(json_set(&arena, json_get(w, STR("c")), STR("x"), json_new_null(&arena)), OK);
    ck_assert(json_remove(json_at(json_get(w, STR("a")), 1), STR("b")));
    ck_assert_json(v, "{\"a\":[1,{\"b\":2}],\"c\":{}}");
    ck_assert_json(w, "{\"a\":[1,{}],\"c\":{\"x\":null}}");
}
END_TEST

/* ---- members against a model
 * ------------------------------------------------------------------------ */

enum { NAMES = 300 };

struct model {
    int names[NAMES], values[NAMES];
    size_t n;
};

static size_t model_find(const struct model *m, int name)
{
    size_t i = 0;
    while (i < m->n && m->names[i] != name)
        i++;
    return i;
}

static void model_set(struct model *m, int name, int value)
{
    size_t i = model_find(m, name);
    m->names[i] = name;
    m->values[i] = value;
    m->n += i == m->n;
}

static bool model_remove(struct model *m, int name)
{
    size_t i = model_find(m, name);
    if (i == m->n)
        return false;
    m->n--;
    memmove(m->names + i, m->names + i + 1, (m->n - i) * sizeof *m->names);
    memmove(m->values + i, m->values + i + 1, (m->n - i) * sizeof *m->values);
    return true;
}

static str name_of(int name)
{
    return arena_printf(&arena, "n%d", name);
}

static void check_member(const struct json *v, const struct model *m, int name)
{
    const struct json *found = json_get(v, name_of(name));
    size_t i = model_find(m, name);
    int64_t n;

    ck_assert_int_eq(found != NULL, i < m->n);
    if (found != NULL) {
        ck_assert_int_eq(json_to_i64(found, &n), OK);
        ck_assert_int_eq(n, m->values[i]);
    }
}

static void check_order(const struct json *v, const struct model *m)
{
    struct json *value;
    str name;
    int64_t n;

    ck_assert_uint_eq(json_count(v), m->n);
    for (size_t i = 0; i < m->n; i++) {
        ck_assert(json_member(v, i, &name, &value));
        ck_assert(str_eq(name, name_of(m->names[i])));
        ck_assert_int_eq(json_to_i64(value, &n), OK);
        ck_assert_int_eq(n, m->values[i]);
    }
    ck_assert(!json_member(v, m->n, &name, &value));
}

START_TEST(members_against_model)
{
    struct random r = random_start();
    struct model m = {.n = 0};
    struct json *v = json_new_object(&arena);

    for (int i = 0; i < 30000; i++) {
        unsigned names = i / 3000 % 2 == 0 ? NAMES : 12; /* large and small in turn */
        int name = (int)random_below(&r, names);
        if (random_below(&r, 5) < 3) {
            model_set(&m, name, i);
            ck_assert_int_eq(json_set(&arena, v, name_of(name), json_new_i64(&arena, i)), OK);
        } else {
            ck_assert_int_eq(model_remove(&m, name), json_remove(v, name_of(name)));
        }
        check_member(v, &m, (int)random_below(&r, names));
        if (random_below(&r, 200) == 0)
            check_order(v, &m);
        if (random_below(&r, 1000) == 0)
            v = json_copy(&arena, v);
        if (random_below(&r, 3000) == 0) {
            v = json_new_object(&arena);
            m.n = 0;
        }
        if (random_below(&r, 1000) == 0)
            ck_assert(json_equal(v, parse_str(json_text(&arena, v))));
    }
    check_order(v, &m);
}
END_TEST

/* Removing all of many members, in any order, is not quadratic; the time-out is the test. */
START_TEST(remove_many)
{
    enum { N = 200000 };
    struct json *v = json_new_object(&arena), *one = json_new_i64(&arena, 1);

    for (int i = 0; i < N; i++)
        ck_assert_int_eq(json_set(&arena, v, name_of(i), one), OK);
    for (int i = 0; i < N - 1; i++)
        ck_assert(json_remove(v, name_of(i)));
    ck_assert_uint_eq(json_count(v), 1);
    ck_assert_str_is(json_text(&arena, v), "{\"n199999\":1}");
    for (int i = 0; i < N; i++) { /* a queue: the slots do not grow for ever */
        ck_assert_int_eq(json_set(&arena, v, name_of(i), one), OK);
        ck_assert(json_remove(v, name_of(i == 0 ? N - 1 : i - 1)));
    }
    ck_assert_uint_eq(json_count(v), 1);
    ck_assert_uint_lt(v->box->cap, 2 * 262144 + 1);
}
END_TEST

/* ---- depth
 * ------------------------------------------------------------------------------------------- */

static struct json *tower(unsigned height)
{
    struct json *v = json_new_array(&arena);
    while (--height > 0) {
        struct json *up = json_new_array(&arena);
        ck_assert_int_eq(json_push(&arena, up, v), OK);
        v = up;
    }
    return v;
}

START_TEST(builders_keep_the_depth)
{
    struct json *v = tower(JSON_MAX_DEPTH), *o = json_new_object(&arena), *low = v;

    ck_assert_int_eq(json_set(&arena, o, STR("a"), v), ERR_LIMIT);
    ck_assert_int_eq(json_push(&arena, json_new_array(&arena), v), ERR_LIMIT);
    ck_assert_uint_eq(json_count(o), 0);
    while (json_count(low) > 0)
        low = json_at(low, 0);
    ck_assert_int_eq(json_push(&arena, low, json_new_object(&arena)), ERR_LIMIT);
    ck_assert_int_eq(json_push(&arena, low, json_new_null(&arena)), OK);
    ck_assert_int_eq(json_replace_at(low, 0, json_new_object(&arena)), ERR_LIMIT);
    ck_assert_int_eq(json_set(&arena, o, STR("a"), json_at(v, 0)), OK);
}
END_TEST

/* What was removed does not count any more. */
START_TEST(depth_after_removal)
{
    struct json *v = tower(100), *o = json_new_object(&arena), *part;

    ck_assert_int_eq(json_set(&arena, o, STR("a"), v), OK);
    part = json_remove_at(v, 0);
    ck_assert_int_eq(json_push(&arena, part, json_new_i64(&arena, 1)), OK);
    v = tower(100);
    while (json_count(v) > 0)
        v = json_at(v, 0);
    ck_assert_int_eq(json_push(&arena, v, o), OK); /* 100 + { and [ of which 99 are gone */
    ck_assert_int_eq(json_set(&arena, o, STR("b"), part), ERR_LIMIT);
    ck_assert_int_eq(json_set(&arena, o, STR("b"), tower(JSON_MAX_DEPTH - 101)), OK);
    ck_assert_int_eq(json_set(&arena, o, STR("c"), tower(JSON_MAX_DEPTH - 100)), ERR_LIMIT);
}
END_TEST

/* ---- comparing
 * ----------------------------------------------------------------------------------------- */

START_TEST(total_order)
{
    static const char *const sorted[] = {
        "null",
        "\"\"",
        "\"A\"",
        "\"a\"",
        "\"a\\u0000\"",
        "\"aa\"",
        "\"\xc3\xa9\"",
        "\"\xef\xbf\xbf\"",
        "\"\xf0\x90\x80\x80\"",
        "-1.5",
        "0",
        "1",
        "1e2",
        "false",
        "true",
        "[]",
        "[null]",
        "[1]",
        "[1,0]",
        "[2]",
        "[true]",
        "{}",
        "{\"a\":1}",
        "{\"a\":1,\"b\":0}",
        "{\"b\":0,\"a\":2}",
        "{\"b\":0}",
    };
    enum { N = ARRAY_LEN(sorted) };

    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++) {
            const struct json *x = parse(sorted[i]), *y = parse(sorted[k]);
            int c = json_compare(x, y);
            ck_assert_msg((c > 0) - (c < 0) == (i > k) - (i < k), "%s %s", sorted[i], sorted[k]);
            ck_assert_int_eq(json_equal(x, y), i == k);
            ck_assert_int_eq(json_hash(x) == json_hash(y), i == k);
        }
    ck_assert_int_lt(json_compare(parse("{}"), NULL), 0);
    ck_assert_int_gt(json_compare(NULL, parse("null")), 0);
    ck_assert_int_eq(json_compare(NULL, NULL), 0);
    ck_assert(json_equal(NULL, NULL) && !json_equal(NULL, parse("null")));
}
END_TEST

START_TEST(equality)
{
    ck_assert(json_equal(parse("[1.0,{\"a\":1e2,\"b\":[]}]"), parse("[1,{\"b\":[],\"a\":100}]")));
    ck_assert(!json_equal(parse("1"), parse("true")));
    ck_assert(!json_equal(parse("0"), parse("false")));
    ck_assert(!json_equal(parse("{\"a\":1}"), parse("{\"b\":1}")));
    ck_assert(!json_equal(parse("{\"a\":1}"), parse("{\"a\":1,\"b\":2}")));
    ck_assert(!json_equal(parse("[1,2]"), parse("[2,1]")));
    ck_assert(!json_equal(parse("{\"a\":null}"), parse("{\"b\":null}")));
    ck_assert(!json_equal(parse("9007199254740993"), parse("9007199254740992")));
}
END_TEST

static int sign(int c)
{
    return (c > 0) - (c < 0);
}

/* Antisymmetric, transitive, zero exactly for equal values. */
START_TEST(order_of_random_values)
{
    struct random r = random_start();

    for (int i = 0; i < 300; i++) {
        const struct json *v[3];
        for (int k = 0; k < 3; k++)
            v[k] = k > 0 && random_below(&r, 4) == 0 ? json_copy(&arena, v[k - 1])
                                                     : random_value(&r, 3);
        for (int k = 0; k < 3; k++)
            for (int l = 0; l < 3; l++) {
                ck_assert_int_eq(sign(json_compare(v[k], v[l])), -sign(json_compare(v[l], v[k])));
                ck_assert_int_eq(json_compare(v[k], v[l]) == 0, json_equal(v[k], v[l]));
            }
        if (json_compare(v[0], v[1]) <= 0 && json_compare(v[1], v[2]) <= 0)
            ck_assert_int_le(json_compare(v[0], v[2]), 0);
        arena_reset(&arena);
    }
}
END_TEST

/* ---- out of memory
 * --------------------------------------------------------------------------------------- */

/* Each failure leaves the object as it was. */
static enum err build_object(struct arena *a)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l",
                                        "m", "n", "o", "p", "q", "r", "s", "t", "u", "v", "w", "x"};
    struct json *o = json_new_object(a), *list = json_new_array(a), *copy;
    size_t i;

    for (i = 0; i < ARRAY_LEN(names); i++) {
        enum err e = json_set(a, o, str_from(names[i]), json_new_i64(a, (int64_t)i));
        ck_assert_uint_eq(json_count(o), o == NULL ? 0 : i + (e == OK));
        if (e != OK)
            return e;
        ck_assert_ptr_nonnull(json_get(o, str_from(names[i])));
    }
    for (i = 0; i < 9; i++)
        if (json_push(a, list, json_new_string(a, STR("x"))) != OK)
            return ERR_NOMEM;
    if (json_set(a, o, STR("list"), list) != OK)
        return ERR_NOMEM;
    copy = json_copy(a, o);
    if (copy == NULL || str_none(json_text(a, copy)))
        return ERR_NOMEM;
    ck_assert(json_equal(o, copy));
    return OK;
}

START_TEST(out_of_memory)
{
    torture(build_object);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json value");
    TCase *t = tcase_create("value");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, number_order, 0, (int)ARRAY_LEN(ascending));
    tcase_add_test(t, number_equality);
    tcase_add_test(t, random_numbers);
    tcase_add_test(t, doubles);
    tcase_add_test(t, overflow_to_the_digit);
    tcase_add_test(t, integers);
    tcase_add_test(t, building);
    tcase_add_test(t, null_arguments);
    tcase_add_test(t, copies_are_independent);
    tcase_add_test(t, members_against_model);
    tcase_add_test(t, remove_many);
    tcase_add_test(t, builders_keep_the_depth);
    tcase_add_test(t, depth_after_removal);
    tcase_add_test(t, total_order);
    tcase_add_test(t, equality);
    tcase_add_test(t, order_of_random_values);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
