/*
 * The small readers and makers of api/: Accept, query values, integers, ids, page tokens' query,
 * the subset of _fields.
 */
#include "test/unit/api/api_test.h"

/* ---- Accept-Encoding (RFC 9110, 12.5.3) ------------------------------------------------------ */

static const struct {
    const char *lines[3]; /* up to NULL */
    bool gzip;
} encodings[] = {
    {{NULL}, false},
    {{""}, false},
    {{"gzip"}, true},
    {{"GZip"}, true},
    {{"x-gzip"}, true},
    {{"*"}, true},
    {{"identity"}, false},
    {{"deflate, br, zstd"}, false},
    {{"gzipped"}, false},
    {{"deflate, gzip"}, true},
    {{"gzip, deflate, br"}, true},
    {{"compress, gzip"}, true}, /* the RFC's own, up to the next comment */
    {{"compress;q=0.5, gzip;q=1.0"}, true},
    {{"gzip;q=1.0, identity; q=0.5, *;q=0"}, true},
    {{"gzip;q=0"}, false}, /* weights */
    {{"gzip;q=0.000"}, false},
    {{"gzip;q=0.001"}, true},
    {{"gzip ; Q=1.000\t,br"}, true},
    {{"*;q=0"}, false},
    {{"gzip, *;q=0"}, true},
    {{"gzip;q=0, *"}, false},
    {{"*;q=0.1, br"}, true},
    {{"identity, gzip;q=0.5"}, false}, /* it would rather have it as it is */
    {{"identity;q=0.5, gzip;q=0.5"}, true},
    {{"identity;q=0, gzip;q=0.1"}, true},
    {{"identity;q=0"}, false},
    {{"gzip, x-gzip;q=0"}, false}, /* one thing said twice: no counts */
    {{"br", "gzip"}, true},        /* several headers are one list */
    {{"gzip;q=0", "gzip"}, false},
    {{"br", "*;q=0.5"}, true},
    {{", gzip ,, br ,"}, true},
    {{"gzip br"}, false}, /* malformed, as all below */
    {{"gzip;"}, false},
    {{"gzip;q"}, false},
    {{"gzip;q="}, false},
    {{"gzip;q=1.1"}, false},
    {{"gzip;q=-1"}, false},
    {{"gzip;q=\"1\""}, false},
    {{"gzip;q=0.1234"}, false},
    {{"gzip;level=9"}, false},
    {{"gzip;q=1;q=0"}, false},
    {{"gzip/1"}, false},
    {{"gzip", "br=1"}, false},
};

START_TEST(accept_encoding)
{
    struct http_header headers[4] = {{STR("Accept"), STR("gzip;q=0")}};
    unsigned n = 1;
    for (; encodings[_i].lines[n - 1]; n++)
        headers[n] =
            (struct http_header){STR("ACCEPT-encoding"), str_from(encodings[_i].lines[n - 1])};
    ck_assert_msg(api_takes_gzip(headers, n) == encodings[_i].gzip, "%s",
                  n > 1 ? encodings[_i].lines[0] : "none");
}
END_TEST

/* ---- Accept (RFC 9110, 12.5.1) --------------------------------------------------------------- */

static const struct {
    const char *accept, *type, *subtype;
    int quality;
} accepts[] = {
    /* the RFC's own */
    {"audio/*; q=0.2, audio/basic", "audio", "basic", 1000},
    {"audio/*; q=0.2, audio/basic", "audio", "mpeg", 200},
    {"audio/*; q=0.2, audio/basic", "text", "plain", -1},
    {"text/plain; q=0.5, text/html, text/x-dvi; q=0.8, text/x-c", "text", "plain", 500},
    {"text/plain; q=0.5, text/html, text/x-dvi; q=0.8, text/x-c", "text", "html", 1000},
    {"text/plain; q=0.5, text/html, text/x-dvi; q=0.8, text/x-c", "text", "x-dvi", 800},
    /* its table of precedence */
    {"text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, "
     "*/*;q=0.5",
     "text", "plain", 700},
    {"text/plain;format=flowed, text/*;q=0.3, text/plain;q=0.7, */*;q=0.5", "text", "plain", 700},
    {"text/plain;format=flowed, text/*;q=0.3", "text", "plain", 300},
    {"text/*;q=0.3, text/plain;q=0.7, */*;q=0.5", "text", "html", 300},
    {"text/*;q=0.3, text/plain;q=0.7, */*;q=0.5", "image", "jpeg", 500},
    /* the more specific one counts wherever it stands, also when it refuses */
    {"*/*, application/json;q=0", "application", "json", 0},
    {"application/json;q=0, */*", "application", "json", 0},
    {"application/*;q=0, */*", "application", "json", 0},
    {"APPLICATION/JSON;Q=0.25", "application", "json", 250},
    {"application/json;q=1.000", "application", "json", 1000},
    {"application/json;q=1.", "application", "json", 1000},
    {"application/json;q=0.", "application", "json", 0},
    {"application/json;q=0.001", "application", "json", 1},
    {"application/json;q=0.1234", "application", "json", 1000}, /* malformed, as all below */
    {"application/json;q=1.5", "application", "json", 1000},
    {"text/html, application/json;q=0x5", "application", "json", 1000},
    {"text/html;q=105", "application", "json", 1000},
    {"text/html;q=", "application", "json", 1000},
    {"text/html;q=2", "application", "json", 1000},
    {"text/html;q=-1", "application", "json", 1000},
    {"text", "application", "json", 1000},
    {"application / json", "application", "json", 1000},
    {"application/json;q", "application", "json", 1000},
    {"application/json;a=\"b", "application", "json", 1000},
    {"text/html;", "application", "json", 1000},
    {", text/html", "application", "json", 1000}, /* an empty element has a comma on both sides */
    {",, text/html", "application", "json", -1},
    {"application/json;version=1", "application", "json", -1},
    {"application/json;a=\"b,c\\\"\"", "application", "json", -1},
    {"text/html;a=\"b, application/json\"", "application", "json", -1},
    {"*/*;a=b", "application", "json", 1000},
    {"application/json;q=0.5;ext;x=\"y\"", "application", "json", 500},
    {"application/json;q=0.5;ext=1", "application", "json", 500},
    {"text/html", "application", "json", -1},
    {",, application/json ,", "application", "json", 1000},
    {"", "application", "json", -1},
};

START_TEST(accept_quality)
{
    int q = api_accept_quality(str_from(accepts[_i].accept), accepts[_i].type, accepts[_i].subtype);

    ck_assert_msg(q == accepts[_i].quality, "\"%s\" for %s/%s: %d, want %d", accepts[_i].accept,
                  accepts[_i].type, accepts[_i].subtype, q, accepts[_i].quality);
}
END_TEST

/* ---- values of the query --------------------------------------------------------------------- */

static const struct {
    const char *text, *json;
} natives[] = {
    {"1", "1"},         {"1.0", "1.0"},         {"\"1\"", "\"1\""},
    {"true", "true"},   {"null", "null"},       {"[1,\"a\"]", "[1,\"a\"]"},
    {" 1 ", "1"},       {"", "\"\""},           {"a", "\"a\""},
    {"01", "\"01\""},   {"1e400", "\"1e400\""}, {"NaN", "\"NaN\""},
    {"[1,", "\"[1,\""}, {"'a'", "\"'a'\""},     {"True", "\"True\""},
};

START_TEST(native_values)
{
    struct json *v = api_native_value(&keep, str_from(natives[_i].text));

    ck_assert_str_is(json_text(&keep, v), natives[_i].json);
}
END_TEST

static const struct {
    const char *json;
    bool number;
    int64_t value;
} integers[] = {
    {"0", true, 0},
    {"-5", true, -5},
    {"2.5", true, 2},
    {"-2.5", true, -2},
    {"1e1", true, 10},
    {"9223372036854775807", true, INT64_MAX},
    {"9223372036854775808", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"1e300", true, INT64_MAX},
    {"-1e300", true, INT64_MIN},
    {"\"12\"", true, 12},
    {"\" -12 \"", true, -12},
    {"\"+12\"", true, 12},
    {"\"99999999999999999999\"", true, INT64_MAX},
    {"\"-99999999999999999999\"", true, INT64_MIN},
    {"\"+99999999999999999999\"", true, INT64_MAX},
    {"\"\"", false, 0},
    {"\"+\"", false, 0},
    {"\"-\"", false, 0},
    {"\"+-5\"", false, 0},
    {"\"++5\"", false, 0},
    {"\"+ 5\"", false, 0},
    {"\"1.5\"", false, 0},
    {"\"1e1\"", false, 0},
    {"\"0x1\"", false, 0},
    {"\"1\\u00002\"", false, 0},
    {"true", false, 0},
    {"null", false, 0},
    {"[1]", false, 0},
    {"{}", false, 0},
};

START_TEST(to_integer)
{
    int64_t n = 77;
    bool number = api_to_integer(parse(integers[_i].json), &n);

    ck_assert_msg(number == integers[_i].number, "%s", integers[_i].json);
    if (number)
        ck_assert_int_eq(n, integers[_i].value);
}
END_TEST

/* ---- ids ------------------------------------------------------------------------------------- */

static const struct {
    const char *id;
    bool valid, uuid4;
} ids[] = {
    {"a", true, false},
    {"Z9_-", true, false},
    {"0", true, false},
    {"", false, false},
    {"-a", false, false},
    {"_a", false, false},
    {"a b", false, false},
    {"a.b", false, false},
    {"a/b", false, false},
    {"a\n", false, false},
    {"\xc3\xa9", false, false},
    {"a\xc3\xa9", false, false},
    {"8f2b1c3d-0a1b-4c2d-8e3f-0123456789ab", true, true},
    {"8f2b1c3d-0a1b-4c2d-9e3f-0123456789ab", true, true},
    {"8f2b1c3d-0a1b-4c2d-ae3f-0123456789ab", true, true},
    {"8f2b1c3d-0a1b-4c2d-be3f-0123456789ab", true, true},
    {"8f2b1c3d-0a1b-4c2d-ce3f-0123456789ab", true, true}, /* another variant */
    {"8f2b1c3d-0a1b-4c2d-7e3f-0123456789ab", true, true},
    {"8f2b1c3d-0a1b-1c2d-8e3f-0123456789ab", true, true}, /* another version: the hash of a user */
    {"8f2b1c3d-0a1b-4c2d-8e3f_0123456789ab", true, false},
    {"8F2B1C3D-0A1B-4C2D-8E3F-0123456789AB", true, false},
    {"8f2b1c3d0a1b-4c2d-8e3f-0123456789abc0", true, false},
    {"8f2b1c3d-0a1b-4c2d-8e3f-0123456789a", true, false},
    {"8f2b1c3d-0a1b-4c2d-8e3f-0123456789abc", true, false},
    {"8f2b1c3d-0a1b-4c2d-8e3f-0123456789ag", true, false},
};

START_TEST(valid_ids)
{
    struct api_req *r = request("GET", "/v1/");
    str id = str_from(ids[_i].id);

    ck_assert_msg(api_valid_id(id) == ids[_i].valid, "\"%s\"", ids[_i].id);
    for (int g = GENERATOR_NAME; g <= GENERATOR_UUID4; g++) {
        bool want_valid = g == GENERATOR_UUID4 ? ids[_i].uuid4 : ids[_i].valid;
        r->api->kinds[KIND_RECORD].generator = (enum api_generator)g;
        ck_assert_msg(api_valid_id_of(r, KIND_RECORD, id) == want_valid, "\"%s\" %d", ids[_i].id,
                      g);
    }
}
END_TEST

START_TEST(the_longest_id)
{
    static char long_id[STORE_MAX_ID_BYTES + 1];

    memset(long_id, 'a', sizeof long_id);
    ck_assert(api_valid_id((str){long_id, STORE_MAX_ID_BYTES}));
    ck_assert(!api_valid_id((str){long_id, STORE_MAX_ID_BYTES + 1}));
    ck_assert(!api_valid_id((str){"a\0b", 3}));
}
END_TEST

/* What the generators make is valid, of its form, and new. */
START_TEST(new_ids)
{
    static const enum api_generator generators[] = {GENERATOR_NAME, GENERATOR_RELAXED_UUID,
                                                    GENERATOR_UUID4};
    struct api_req *r = request("POST", "/v1/buckets");

    api_route_parse_target(r);
    api_route_find(r);
    for (size_t g = 0; g < ARRAY_LEN(generators); g++) {
        str before = STR("");
        r->api->kinds[KIND_BUCKET].generator = generators[g];
        for (int i = 0; i < 200; i++) {
            str id = api_new_id(r);
            ck_assert(api_valid_id_of(r, KIND_BUCKET, id));
            ck_assert_uint_eq(id.n, generators[g] == GENERATOR_NAME ? 8 : 36);
            ck_assert(!str_eq(id, before));
            before = id;
        }
    }
}
END_TEST

/* ---- _fields --------------------------------------------------------------------------------- */

static const struct {
    const char *data, *fields, *want;
} subsets[] = {
    {"{\"a\":1,\"b\":2}", "a", "{\"a\":1}"},
    {"{\"a\":1,\"b\":2}", "b,a", "{\"b\":2,\"a\":1}"},
    {"{\"a\":1,\"b\":2}", "c", "{}"},
    {"{\"a\":null}", "a", "{\"a\":null}"},
    {"{\"a\":{\"b\":1,\"c\":2}}", "a.b", "{\"a\":{\"b\":1}}"},
    {"{\"a\":{\"b\":1,\"c\":2,\"d\":3}}", "a.b,a.c", "{\"a\":{\"b\":1,\"c\":2}}"},
    {"{\"a\":{\"b\":1,\"c\":null}}", "a.b,a.c", "{\"a\":{\"b\":1,\"c\":null}}"},
    {"{\"a\":{\"b\":null,\"c\":2}}", "a,a.b", "{\"a\":{\"b\":null,\"c\":2}}"},
    {"{\"a\":{\"b\":1,\"c\":2}}", "a.b,a", "{\"a\":{\"b\":1,\"c\":2}}"},
    {"{\"a\":{\"b\":{\"c\":1,\"d\":null,\"e\":3}}}", "a.b.c,a.b.d",
     "{\"a\":{\"b\":{\"c\":1,\"d\":null}}}"},
    {"{\"a\":{\"b\":1}}", "a.c", "{\"a\":{}}"},
    {"{\"a\":{\"b\":1}}", "a.c.d,a.b", "{\"a\":{\"b\":1}}"},
    {"{\"a\":5}", "a.b", "{\"a\":5}"}, /* what has no members is taken whole */
    {"{\"a\":[{\"b\":1}]}", "a.b", "{\"a\":[{\"b\":1}]}"},
    {"{\"a.b\":1,\"a\":{\"b\":2}}", "a.b", "{\"a\":{\"b\":2}}"}, /* no literal name */
    {"{\"a.b\":1}", "a.b", "{}"},
    {"{\"\":1}", ".", "{\"\":1}"},
    {"{\"a\":1}", "", "{}"},
};

START_TEST(subset)
{
    str fields[8], rest = str_from(subsets[_i].fields);
    size_t n = 0;

    while (!str_none(rest))
        fields[n++] = str_cut(&rest, ',');
    str got;
    ck_assert_int_eq(api_subset(&keep, str_from(subsets[_i].data), fields, n, &got), OK);
    ck_assert_msg(str_eq(got, str_from(subsets[_i].want)), "%s of %s: " STR_FMT, subsets[_i].fields,
                  subsets[_i].data, STR_ARG(got));
}
END_TEST

/* As deep as values can be. */
START_TEST(subset_of_the_deepest)
{
    struct buf data, field;

    buf_init_arena(&data, &keep, MIB);
    buf_init_arena(&field, &keep, MIB);
    for (int i = 0; i < JSON_MAX_DEPTH - 1; i++) {
        buf_add_lit(&data, "{\"a\":");
        buf_add_str(&field, i ? STR(".a") : STR("a"));
    }
    buf_add_lit(&data, "{}");
    for (int i = 0; i < JSON_MAX_DEPTH - 1; i++)
        buf_add_char(&data, '}');
    for (int i = 0; i < 5000; i++)
        buf_add_lit(&field, ".a");
    str f = buf_str(&field);
    str got;
    ck_assert_int_eq(api_subset(&keep, buf_str(&data), &f, 1, &got), OK);
    ck_assert(str_eq(got, buf_str(&data)));
    ck_assert_int_eq(api_subset(&keep, STR("{"), &f, 1, &got), ERR_CORRUPT);
}
END_TEST

#define loop_of(c, test, table) tcase_add_loop_test(c, test, 0, ARRAY_LEN(table))

static Suite *make_suite(void)
{
    const TTest *const tests[] = {the_longest_id, new_ids, subset_of_the_deepest};
    Suite *s = suite_create("api/values");
    TCase *c = tests_of(s, "values", setup, teardown, tests, ARRAY_LEN(tests));

    loop_of(c, accept_encoding, encodings);
    loop_of(c, accept_quality, accepts);
    loop_of(c, native_values, natives);
    loop_of(c, to_integer, integers);
    loop_of(c, valid_ids, ids);
    loop_of(c, subset, subsets);
    return s;
}

UNIT_MAIN(make_suite)
