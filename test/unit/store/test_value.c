/* The value of an object: what goes in comes out, and damage is noticed, never followed. */
#include "test/unit/store/store_test.h"

static str encode(const char *id, const char *data, int64_t ms, const char *acl, bool tied)
{
    struct value_parts p = {.id = str_from(id),
                            .acl = str_from(acl),
                            .last_modified = ms,
                            .tied = tied,
                            .data = data != NULL ? parse(data) : NULL};
    struct buf b;

    buf_init_arena(&b, &arena, SIZE_MAX);
    ck_assert_ok(store_value_encode(&b, &p));
    return buf_str(&b);
}

static const struct {
    const char *id, *data;
    int64_t ms;
    const char *acl, *text;
} cases[] = {
    {"x", "{}", 5, "", "{\"id\":\"x\",\"last_modified\":5}"},
    {"x", "{\"a\":1,\"b\":[{}]}", 0, "\1\2",
     "{\"a\":1,\"b\":[{}],\"id\":\"x\",\"last_modified\":0}"},
    {"x", "{\"id\":\"other\",\"a\":\"\\u0000\\\"\",\"last_modified\":9}", -5, "",
     "{\"a\":\"\\u0000\\\"\",\"id\":\"x\",\"last_modified\":-5}"},
    {"x", NULL, 1700000000000, "",
     "{\"id\":\"x\",\"last_modified\":1700000000000,\"deleted\":true}"},
    {"", "{}", INT64_MAX, "", "{\"id\":\"\",\"last_modified\":9223372036854775807}"},
    {"", "{}", INT64_MIN, "", "{\"id\":\"\",\"last_modified\":-9223372036854775808}"},
    {"caf\xc3\xa9", "{\"\":{\"id\":\"y\"}}", 1, "",
     "{\"\":{\"id\":\"y\"},\"id\":\"caf\xc3\xa9\",\"last_modified\":1}"},
};

START_TEST(comes_back)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int tied = 0; tied < 2; tied++) {
            struct object o;
            str value = encode(cases[i].id, cases[i].data, cases[i].ms, cases[i].acl, tied);
            struct buf b;
            char ms[32];
            ck_assert_ok(store_value_decode(value, &o));
            ck_assert_str_is(o.o.id, cases[i].id);
            ck_assert_str_is(o.o.data, cases[i].text);
            ck_assert_str_is(o.o.acl, cases[i].acl);
            ck_assert_int_eq(o.o.last_modified, cases[i].ms);
            ck_assert_int_eq(o.o.deleted, cases[i].data == NULL);
            ck_assert_int_eq(o.tied, tied);
            snprintf(ms, sizeof ms, "%lld", (long long)cases[i].ms);
            ck_assert_str_is(o.time.text, ms);
            buf_init_arena(&b, &arena, SIZE_MAX);
            json_write_string(&b, str_from(cases[i].id));
            ck_assert(str_eq(o.id.text, buf_str(&b)));
            ck_assert_ptr_eq(o.value.p, value.p);
        }
}
END_TEST

/* Whatever else stands where the time is: a character more, less or other than it should be. */
START_TEST(another_time_in_the_text_is_damage)
{
    static const int64_t times[] = {7,
                                    -7,
                                    999999999999,
                                    1000000000000,
                                    1234567890123,
                                    1700000000000,
                                    9999999999999,
                                    10000000000000,
                                    INT64_MAX,
                                    INT64_MIN};

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        str value = encode("x", "{\"a\":12}", times[i], "", false);
        struct object o;
        ck_assert_ok(store_value_decode(value, &o));
        size_t at = (size_t)(o.time.text.p - value.p), n = o.time.text.n;
        char *broken = arena_alloc(&arena, value.n + 1);
        for (size_t k = at; k < at + n; k++)
            for (int c = 0; c < 256; c++) {
                memcpy(broken, value.p, value.n);
                broken[k] = (char)c;
                enum err e = store_value_decode((str){broken, value.n}, &o);
                ck_assert_int_eq(e, broken[k] == value.p[k] ? OK : ERR_CORRUPT);
            }
        for (size_t k = at; k <= at + n; k++) {
            memcpy(broken, value.p, k);
            broken[k] = '0';
            memcpy(broken + k + 1, value.p + k, value.n - k);
            ck_assert_err(store_value_decode((str){broken, value.n + 1}, &o), ERR_CORRUPT);
            if (k == at + n)
                break;
            memcpy(broken + k, value.p + k + 1, value.n - k - 1);
            ck_assert_err(store_value_decode((str){broken, value.n - 1}, &o), ERR_CORRUPT);
        }
    }
}
END_TEST

START_TEST(a_small_record_costs_few_bytes_more)
{
    str value =
        encode("472be9ec-26fe-461b-8282-9c4e4b207ab3", "{\"a\":1}", 1700000000000, "\1\2", false);
    struct object o;

    ck_assert_ok(store_value_decode(value, &o));
    ck_assert_uint_le(value.n - o.o.data.n, 12);
}
END_TEST

START_TEST(the_text_can_be_kept)
{
    str first = encode("x", "{\"a\":1}", 7, "", false);
    struct value_parts p = {.id = STR("x"), .acl = STR("\3\4"), .last_modified = 7};
    struct object o;
    struct buf b;

    ck_assert_ok(store_value_decode(first, &o));
    p.text = o.o.data;
    buf_init_arena(&b, &arena, SIZE_MAX);
    ck_assert_ok(store_value_encode(&b, &p));
    ck_assert_ok(store_value_decode(buf_str(&b), &o));
    ck_assert_str_is(o.o.data, "{\"a\":1,\"id\":\"x\",\"last_modified\":7}");
    ck_assert_str_is(o.o.acl, "\3\4");
}
END_TEST

/* Every cut is damage: the text would not end as the header says. */
START_TEST(cut_values_are_corrupt)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        str value = encode(cases[i].id, cases[i].data, cases[i].ms, cases[i].acl, false);
        for (size_t n = 0; n < value.n; n++) {
            struct object o;
            char *copy = malloc(n + 1); /* of that size, so that one byte too far is seen */
            memcpy(copy, value.p, n);
            ck_assert_err(store_value_decode((str){copy, n}, &o), ERR_CORRUPT);
            free(copy);
        }
    }
}
END_TEST

/* A damaged byte is noticed, or what comes out still lies inside the value. */
START_TEST(damaged_values_do_no_harm)
{
    str value = encode("abc", "{\"a\":[1,2]}", 123456, "\1\2\3\4", false);
    unsigned noticed = 0, all = 0;

    for (size_t i = 0; i < value.n; i++)
        for (unsigned v = 0; v < 256; v++) {
            struct object o;
            char *copy = malloc(value.n);
            memcpy(copy, value.p, value.n);
            copy[i] = (char)v;
            if ((uint8_t)value.p[i] != v) {
                all++;
                if (store_value_decode((str){copy, value.n}, &o) != OK) {
                    noticed++;
                } else {
                    ck_assert(o.o.id.p >= copy && o.o.id.p + o.o.id.n <= copy + value.n);
                    ck_assert(o.o.data.p >= copy && o.o.data.p + o.o.data.n <= copy + value.n);
                    ck_assert(o.o.acl.p >= copy && o.o.acl.p + o.o.acl.n <= copy + value.n);
                }
            }
            free(copy);
        }
    ck_assert_uint_gt(noticed, all / 2);
}
END_TEST

START_TEST(wrong_tails_are_corrupt)
{
    static const str bad[] = {
        STR_INIT("\x10\x0a\x00\x01{\"id\":\"x\",\"last_modified\":6}"),
        STR_INIT("\x10\x0a\x00\x02{\"id\":\"x\",\"last_modified\":5}"),
        STR_INIT("\x10\x0a\x00\x00{\"id\":\"x\",\"last_modified\":5}"),
        STR_INIT("\x10\x0a\x00\x01[\"id\":\"x\",\"last_modified\":5}"),
        STR_INIT("\x11\x0a\x00\x01{\"id\":\"x\",\"last_modified\":5}"),
        STR_INIT("\x20\x0a\x00\x01{\"id\":\"x\",\"last_modified\":5}"),
        STR_INIT("\x14\x0a\x00\x01{\"id\":\"x\",\"last_modified\":5}"),
        STR_INIT("\x10\x0a\x00\xff\xff\x03{\"id\":\"x\",\"last_modified\":5}"),
        STR_INIT("\x10\x0a\x7f\x01{\"id\":\"x\",\"last_modified\":5}"),
        STR_INIT("\x10\x0a\x00\x01,\"last_modified\":5}"),
    };
    struct object o;

    ck_assert_ok(store_value_decode(STR("\x10\x0a\x00\x01{\"id\":\"x\",\"last_modified\":5}"), &o));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_err(store_value_decode(bad[i], &o), ERR_CORRUPT);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {comes_back,
                                  another_time_in_the_text_is_damage,
                                  a_small_record_costs_few_bytes_more,
                                  the_text_can_be_kept,
                                  cut_values_are_corrupt,
                                  damaged_values_do_no_harm,
                                  wrong_tails_are_corrupt};
    return suite_of("store/value", setup, teardown, tests, ARRAY_LEN(tests));
}

UNIT_MAIN(make_suite)
