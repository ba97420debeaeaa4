/* Reading: what is JSON (RFC 8259) and what is not, to the byte; limits; hostile texts; no memory.
 */
#include "test/unit/json/json_test.h"

/* ---- accepted -------------------------------------------------------------------------------- */

/* text, and what json_write makes of it; NULL: the same */
static const struct {
    str text;
    const char *want;
} accepted[] = {
#define A(text, want)                                                                              \
    {                                                                                              \
        STR_INIT(text), want                                                                       \
    }
    /* RFC 8259, section 13 */
    A("{\n\"Image\": {\n\"Width\":  800,\n\"Height\": 600,\n\"Title\":  \"View from 15th Floor\",\n"
      "\"Thumbnail\": {\"Url\":\"http://www.example.com/image/481989943\",\"Height\": "
      "125,\n\"Width\":"
      "  100},\n\"Animated\" : false,\n\"IDs\": [116, 943, 234, 38793]\n}\n}",
      "{\"Image\":{\"Width\":800,\"Height\":600,\"Title\":\"View from 15th Floor\",\"Thumbnail\":"
      "{\"Url\":\"http://www.example.com/image/"
      "481989943\",\"Height\":125,\"Width\":100},\"Animated\""
      ":false,\"IDs\":[116,943,234,38793]}}"),
    A("[{\"precision\": \"zip\", \"Latitude\":  37.7668, \"Longitude\": -122.3959},{}]",
      "[{\"precision\":\"zip\",\"Latitude\":37.7668,\"Longitude\":-122.3959},{}]"),
    A("\"Hello world!\"", NULL),
    A("42", NULL),
    A("true", NULL),
    /* structure */
    A("[]", NULL),
    A("{}", NULL),
    A("[[]]", NULL),
    A("[[],[]]", NULL),
    A("[{}]", NULL),
    A("{\"\":{}}", NULL),
    A("[[[[[[[[[[1]]]]]]]]]]", NULL),
    A("{\"a\":[{\"b\":[{}]}],\"c\":[]}", NULL),
    A("[1,null,true,false,\"\",{},[]]", NULL),
    A("{\"\":0}", NULL),
    A("{\"a\":1,\"b\":2,\"c\":3}", NULL),
    A("{\"a\":1,\"a\":2}", "{\"a\":2}"),
    A("{\"a\":1,\"b\":2,\"a\":{\"x\":[]}}", "{\"a\":{\"x\":[]},\"b\":2}"),
    A("{\"\\u0061\":1,\"a\":2}", "{\"a\":2}"),
    A("{\"a\\u0000b\":1,\"a\":2}", "{\"a\\u0000b\":1,\"a\":2}"),
    /* white space */
    A(" \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n", "[1,2]"),
    A(" { \"a\" : 1 , \"b\" : [ ] } ", "{\"a\":1,\"b\":[]}"),
    A("\n null", "null"),
    A("false ", "false"),
    A("[\n]", "[]"),
    A("{ }", "{}"),
    /* numbers stay as written */
    A("0", NULL),
    A("-0", NULL),
    A("-0.0", NULL),
    A("1.0", NULL),
    A("-1", NULL),
    A("1234567890", NULL),
    A("0.5", NULL),
    A("0e1", NULL),
    A("0E-1", NULL),
    A("1e0", NULL),
    A("1e+2", NULL),
    A("1E-2", NULL),
    A("1.5e10", NULL),
    A("-123.456E+78", NULL),
    A("1e308", NULL),
    A("1.7976931348623157e308", NULL),
    A("-1.7976931348623158e308", NULL),
    A("179769313486231570000000000000000000000e270", NULL),
    A("1e-400", NULL),
    A("1e-99999999999999999999999999", NULL),
    A("0e400", NULL),
    A("0.0000e99999999999999999999", NULL),
    A("1e0000000000000000000000001", NULL),
    A("123456789012345678901234567890.123456789012345678901234567890", NULL),
    A("18446744073709551616", NULL),
    A("[-0,1.10,1e5]", NULL),
    A("0.0000000000000000000000000000000000000000000000000000000000000000000000000000000000001e390",
      NULL),
    /* strings */
    A("\"\"", NULL),
    A("\"a\"", NULL),
    A("\"\x7f\"", NULL),
    A("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""),
    A("\"\\u0000\\u001f\\u0020\\u007F\"", "\"\\u0000\\u001F \x7f\""),
    A("\"\\u00e9\\u00E9\\u20ac\"", "\"\xc3\xa9\xc3\xa9\xe2\x82\xac\""),
    A("\"\\uD83D\\uDE00\"", "\"\xf0\x9f\x98\x80\""),
    A("\"\\udbff\\udfff\"", "\"\xf4\x8f\xbf\xbf\""),
    A("\"\\ud800\\udc00\"", "\"\xf0\x90\x80\x80\""),
    A("\"\\uFFFF\\uFFFE\\uE000\\ud7ff\"", "\"\xef\xbf\xbf\xef\xbf\xbe\xee\x80\x80\xed\x9f\xbf\""),
    A("\"\\u0022\\u005c\"", "\"\\\"\\\\\""),
    A("\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"", NULL),
    A("\"\xed\x9f\xbf\xee\x80\x80\"", NULL),
    A("\"\xe2\x80\xa8\xe2\x80\xa9\"", NULL),
    A("\"\xef\xbb\xbf\"", NULL),
    A("\"[{,:}]// /* */ null\"", NULL),
    A("\"12345678\\n1234567890123456\\t12345678901\"", NULL),
    A("\"1234567\xc3\xa9"
      "12345678\xc3\xa9\"",
      NULL),
    A("[\"\",\"a\",\"ab\",\"abc\",\"abcd\",\"abcde\",\"abcdef\",\"abcdefg\",\"abcdefgh\"]", NULL),
    A("{\"\\n\":\"\\u0001\"}", NULL),
};

START_TEST(accepts)
{
    struct guard g = guard_open(4096);
    str text = guard_put(&g, accepted[_i].text);
    const char *want = accepted[_i].want;
    struct json *v = NULL, *again = NULL;
    struct json_error error = {0};
    enum err e = json_parse(&arena, text, &v, &error);

    ck_assert_msg(e == OK, STR_FMT ": %s at %zu", STR_ARG(text), error.what, error.offset);
    ck_assert_str_is(json_text(&arena, v), want != NULL ? want : accepted[_i].text.p);
    ck_assert_int_eq(json_parse(&arena, json_text(&arena, v), &again, NULL), OK);
    ck_assert(json_equal(v, again));
    guard_close(&g);
}
END_TEST

/* Whatever is cut off or continued, nothing beyond the end is looked at. */
START_TEST(cut_at_every_byte)
{
    struct guard g = guard_open(4096);
    str whole = accepted[_i].text;

    for (size_t n = 0; n < whole.n; n++) {
        struct json_error error = {.offset = 12345};
        struct json *v = NULL;
        enum err e = json_parse(&arena, guard_put(&g, str_sub(whole, 0, n)), &v, &error);
        ck_assert(e == OK ? v != NULL : e == ERR_SYNTAX && v == NULL && error.offset <= n);
        arena_reset(&arena);
    }
    guard_close(&g);
}
END_TEST

/* Every proper beginning of a closed text is unfinished, and the end is where that shows. */
START_TEST(unfinished_text)
{
    static const str whole = STR_INIT("{\"a\":[1,-2.5e+3,\"x\\n\\u00e9\\ud83d\\ude00\"],"
                                      "\"b\":{\"c\":true,\"d\":false,\"e\":null}}");
    struct guard g = guard_open(4096);

    for (size_t n = 0; n < whole.n; n++) {
        struct json_error error = {0};
        struct json *v;
        ck_assert_int_eq(json_parse(&arena, guard_put(&g, str_sub(whole, 0, n)), &v, &error),
                         ERR_SYNTAX);
        ck_assert_uint_eq(error.offset, n);
        ck_assert_uint_eq(error.column, n + 1);
    }
    guard_close(&g);
}
END_TEST

/* ---- refused --------------------------------------------------------------------------------- */

#define EMPTY    "The document is empty."
#define VALUE    "Invalid value."
#define NAME     "Missing a name for object member."
#define COLON    "Missing a colon after a name of object member."
#define COMMA_O  "Missing a comma or '}' after an object member."
#define COMMA_A  "Missing a comma or ']' after an array element."
#define TRAILING "The document root must not be followed by other values."
#define FRACTION "Miss fraction part in number."
#define EXPONENT "Miss exponent in number."
#define TOO_BIG  "Number too big to be stored in double."
#define QUOTE    "Missing a closing quotation mark in string."
#define ESCAPE   "Invalid escape character in string."
#define HEX      "Incorrect hex digit after \\u escape in string."
#define PAIR     "The surrogate pair in string is invalid."
#define ENCODING "Invalid encoding in string."

static const struct {
    str text;
    size_t offset;
    const char *what;
} refused[] = {
#define R(text, offset, what)                                                                      \
    {                                                                                              \
        STR_INIT(text), offset, what                                                               \
    }
    /* nothing, and no value */
    R("", 0, EMPTY),
    R(" ", 1, EMPTY),
    R(" \n\t\r", 4, EMPTY),
    R("\0", 0, VALUE),
    R("\xef\xbb\xbf", 0, VALUE),
    R("\xef\xbb\xbf[]", 0, VALUE),
    R("\xff\xfe[\0]\0", 0, VALUE),
    R("\xa0[]", 0, VALUE),
    R("\xc2\xa0[]", 0, VALUE),
    R("\x0b[]", 0, VALUE),
    R("\x0c[]", 0, VALUE),
    R("abc", 0, VALUE),
    R("'a'", 0, VALUE),
    R(",", 0, VALUE),
    R(":", 0, VALUE),
    R("]", 0, VALUE),
    R("}", 0, VALUE),
    R("*", 0, VALUE),
    R("\\u000A\"\"", 0, VALUE),
    R("<null>", 0, VALUE),
    R("\xe2\x81\xa0[]", 0, VALUE),
    /* words */
    R("nul", 3, VALUE),
    R("nulL", 3, VALUE),
    R("tru", 3, VALUE),
    R("fals", 4, VALUE),
    R("falsE", 4, VALUE),
    R("True", 0, VALUE),
    R("NULL", 0, VALUE),
    R("nulll", 4, TRAILING),
    R("[truefalse]", 5, COMMA_A),
    R("[nul]", 4, VALUE),
    R("NaN", 0, VALUE),
    R("[NaN]", 1, VALUE),
    R("Infinity", 0, VALUE),
    R("-Infinity", 1, VALUE),
    R("-NaN", 1, VALUE),
    R("undefined", 0, VALUE),
    R("n\0ll", 1, VALUE),
    /* after the end */
    R("1 2", 2, TRAILING),
    R("[]]", 2, TRAILING),
    R("{}}", 2, TRAILING),
    R("[][]", 2, TRAILING),
    R("{}x", 2, TRAILING),
    R("\"a\"\"b\"", 3, TRAILING),
    R("[1],", 3, TRAILING),
    R("[]\0", 2, TRAILING),
    R("[] \0", 3, TRAILING),
    R("null\0", 4, TRAILING),
    R("{\"a\":1}//", 7, TRAILING),
    R("[]#", 2, TRAILING),
    /* arrays */
    R("[", 1, VALUE),
    R("[ ", 2, VALUE),
    R("[1", 2, COMMA_A),
    R("[1 ", 3, COMMA_A),
    R("[1,", 3, VALUE),
    R("[1,]", 3, VALUE),
    R("[1,,2]", 3, VALUE),
    R("[,1]", 1, VALUE),
    R("[,]", 1, VALUE),
    R("[1 2]", 3, COMMA_A),
    R("[1:2]", 2, COMMA_A),
    R("[1;2]", 2, COMMA_A),
    R("[1}", 2, COMMA_A),
    R("[\"a\"", 4, COMMA_A),
    R("[\"\",", 4, VALUE),
    R("[[]", 3, COMMA_A),
    R("[\"a\" \"b\"]", 5, COMMA_A),
    R("[3[4]]", 2, COMMA_A),
    R("[*]", 1, VALUE),
    R("[\x0c]", 1, VALUE),
    R("[1\0]", 2, COMMA_A),
    R("[\0]", 1, VALUE),
    R("[\xff]", 1, VALUE),
    R("[\xc3\xa9]", 1, VALUE),
    R("[1/**/]", 2, COMMA_A),
    R("[/**/1]", 1, VALUE),
    R("[}", 1, VALUE),
    R("[{]", 2, NAME),
    R("[\"x\"]]", 5, TRAILING),
    /* objects */
    R("{", 1, NAME),
    R("{ ", 2, NAME),
    R("{]", 1, NAME),
    R("{,}", 1, NAME),
    R("{1:2}", 1, NAME),
    R("{a:1}", 1, NAME),
    R("{'a':1}", 1, NAME),
    R("{null:1}", 1, NAME),
    R("{[]:1}", 1, NAME),
    R("{{}}", 1, NAME),
    R("{\"a\"", 4, COLON),
    R("{\"a\"}", 4, COLON),
    R("{\"a\" 1}", 5, COLON),
    R("{\"a\",1}", 4, COLON),
    R("{\"a\"::1}", 5, VALUE),
    R("{\"a\":", 5, VALUE),
    R("{\"a\":}", 5, VALUE),
    R("{\"a\":,}", 5, VALUE),
    R("{\"a\":1", 6, COMMA_O),
    R("{\"a\":1]", 6, COMMA_O),
    R("{\"a\":1 \"b\":2}", 7, COMMA_O),
    R("{\"a\":1;}", 6, COMMA_O),
    R("{\"a\":1,", 7, NAME),
    R("{\"a\":1,}", 7, NAME),
    R("{\"a\":1,,}", 7, NAME),
    R("{\"a\":1,2}", 7, NAME),
    R("{\"a\":1,null", 7, NAME),
    R("{\"a\":1:2}", 6, COMMA_O),
    R("{\"a\":/**/1}", 5, VALUE),
    R("{\"a", 3, QUOTE),
    R("{\"\\x\":1}", 2, ESCAPE),
    R("{\"\xff\":1}", 2, ENCODING),
    R("{\"a\":\"a", 7, QUOTE),
    R("{\"a\0\":1}", 3, ENCODING),
    /* numbers */
    R("-", 1, VALUE),
    R("[-]", 2, VALUE),
    R("--1", 1, VALUE),
    R("+1", 0, VALUE),
    R("[+1]", 1, VALUE),
    R("-a", 1, VALUE),
    R("- 1", 1, VALUE),
    R("-+1", 1, VALUE),
    R(".5", 0, VALUE),
    R("-.5", 1, VALUE),
    R("01", 1, TRAILING),
    R("[01]", 2, COMMA_A),
    R("-01", 2, TRAILING),
    R("00", 1, TRAILING),
    R("-012", 2, TRAILING),
    R("1.", 2, FRACTION),
    R("[1.]", 3, FRACTION),
    R("1.e1", 2, FRACTION),
    R("0.e1", 2, FRACTION),
    R("1.-1", 2, FRACTION),
    R("1.2.3", 3, TRAILING),
    R("1e", 2, EXPONENT),
    R("1e+", 3, EXPONENT),
    R("1E-", 3, EXPONENT),
    R("1eE2", 2, EXPONENT),
    R("1e+-2", 3, EXPONENT),
    R("1e.5", 2, EXPONENT),
    R("1e1.5", 3, TRAILING),
    R("0x1F", 1, TRAILING),
    R("1_000", 1, TRAILING),
    R("1a", 1, TRAILING),
    R("1\xe5", 1, TRAILING),
    R("\xef\xbc\x91", 0, VALUE),
    R("1 000", 2, TRAILING),
    R("2..", 2, FRACTION),
    R("1e400", 0, TOO_BIG),
    R("-1e400", 0, TOO_BIG),
    R("[1,1e309]", 3, TOO_BIG),
    R("1e99999999999999999999999999", 0, TOO_BIG),
    R("0.00000001e99999999999", 0, TOO_BIG),
    R("1.7976931348623159e308", 0, TOO_BIG),
    R("17976931348623159e292", 0, TOO_BIG),
    /* strings */
    R("\"", 1, QUOTE),
    R("\"a", 2, QUOTE),
    R("[\"a]", 4, QUOTE),
    R("\"a\n\"", 2, ENCODING),
    R("\"\t\"", 1, ENCODING),
    R("\"\x1f\"", 1, ENCODING),
    R("\"a\0\"", 2, ENCODING),
    R("\"1234567890\x01\"", 11, ENCODING),
    R("\"\\", 2, QUOTE),
    R("\"\\\"", 3, QUOTE),
    R("\"\\a\"", 1, ESCAPE),
    R("\"\\x00\"", 1, ESCAPE),
    R("\"\\'\"", 1, ESCAPE),
    R("\"\\U0041\"", 1, ESCAPE),
    R("\"\\\0\"", 1, ESCAPE),
    R("\"\\\n\"", 1, ESCAPE),
    R("\"\\0\"", 1, ESCAPE),
    R("\"\\\xc3\xa9\"", 1, ESCAPE),
    R("\"\\ \"", 1, ESCAPE),
    R("\"\\u", 3, QUOTE),
    R("\"\\u0", 4, QUOTE),
    R("\"\\u00A", 6, QUOTE),
    R("\"\\u00A\"", 1, HEX),
    R("\"\\u\"", 1, HEX),
    R("\"\\u00g0\"", 1, HEX),
    R("\"\\u 123\"", 1, HEX),
    R("\"\\u-123\"", 1, HEX),
    R("\"\\u+123\"", 1, HEX),
    R("\"ab\\uZZZZ\"", 3, HEX),
    R("\"\\ud800\"", 1, PAIR),
    R("\"\\ud800", 7, QUOTE),
    R("\"\\ud800\\", 8, QUOTE),
    R("\"\\ud800\\u", 9, QUOTE),
    R("\"\\ud800\\n\"", 1, PAIR),
    R("\"\\ud800abc\"", 1, PAIR),
    R("\"\\ud800\\ud800\"", 1, PAIR),
    R("\"\\ud800\\u0041\"", 1, PAIR),
    R("\"\\ud83d\\ue000\"", 1, PAIR),
    R("\"\\ud800\\udcxx\"", 1, HEX),
    R("\"\\udc00\"", 1, PAIR),
    R("\"\\udfff\\ud800\"", 1, PAIR),
    R("\"a\\udead\"", 2, PAIR),
    /* UTF-8 */
    R("\"\x80\"", 1, ENCODING),
    R("\"\xbf\"", 1, ENCODING),
    R("\"\xc0\x80\"", 1, ENCODING),
    R("\"\xc1\xbf\"", 1, ENCODING),
    R("\"\xc3\"", 1, ENCODING),
    R("\"\xc3", 1, ENCODING),
    R("\"a\xc3(\"", 2, ENCODING),
    R("\"\xe0\x80\x80\"", 1, ENCODING),
    R("\"\xe0\x9f\xbf\"", 1, ENCODING),
    R("\"\xe2\x82\"", 1, ENCODING),
    R("\"\xe2(\xa1\"", 1, ENCODING),
    R("\"\xed\xa0\x80\"", 1, ENCODING),
    R("\"\xed\xbf\xbf\"", 1, ENCODING),
    R("\"\xf0\x80\x80\x80\"", 1, ENCODING),
    R("\"\xf0\x8f\xbf\xbf\"", 1, ENCODING),
    R("\"\xf0\x9f\x98\"", 1, ENCODING),
    R("\"\xf4\x90\x80\x80\"", 1, ENCODING),
    R("\"\xf5\x80\x80\x80\"", 1, ENCODING),
    R("\"\xf8\x88\x80\x80\x80\"", 1, ENCODING),
    R("\"\xfe\"", 1, ENCODING),
    R("\"\xff\"", 1, ENCODING),
    R("\"12345678\xc3\xa9\xff\"", 11, ENCODING),
};

START_TEST(refuses)
{
    struct guard g = guard_open(4096);
    str text = guard_put(&g, refused[_i].text);
    struct json *v = (struct json *)&arena, *before = v;
    struct json_error error = {0};
    enum err e = json_parse(&arena, text, &v, &error);

    ck_assert_msg(e == ERR_SYNTAX, "%d: " STR_FMT " was accepted", _i, STR_ARG(text));
    ck_assert_ptr_eq(v, before);
    ck_assert_msg(error.offset == refused[_i].offset && strcmp(error.what, refused[_i].what) == 0,
                  "%d: " STR_FMT ": %s at %zu", _i, STR_ARG(text), error.what, error.offset);
    ck_assert_int_eq(json_parse(&arena, text, &v, NULL), ERR_SYNTAX);
    for (size_t n = 0; n < text.n; n++) {
        e = json_parse(&arena, guard_put(&g, str_sub(refused[_i].text, 0, n)), &v, &error);
        ck_assert(e == OK || (e == ERR_SYNTAX && error.offset <= n));
    }
    guard_close(&g);
}
END_TEST

START_TEST(line_and_column)
{
    struct json_error error;
    struct json *v;

    ck_assert_int_eq(json_parse(&arena, STR("{\n  \"\xc3\xa9\xe2\x82\xac\": x\n}"), &v, &error),
                     ERR_SYNTAX);
    ck_assert_uint_eq(error.offset, 13);
    ck_assert_uint_eq(error.line, 2);
    ck_assert_uint_eq(error.column, 9); /* two characters in five bytes */
    ck_assert_int_eq(json_parse(&arena, STR("\n\n\n"), &v, &error), ERR_SYNTAX);
    ck_assert_uint_eq(error.line, 4);
    ck_assert_uint_eq(error.column, 1);
    ck_assert_int_eq(json_parse(&arena, STR_NONE, &v, &error), ERR_SYNTAX);
    ck_assert_str_eq(error.what, EMPTY);
}
END_TEST

/* ---- limits ---------------------------------------------------------------------------------- */

/* `n` levels, arrays and objects in turn. */
static str nested(size_t n)
{
    struct buf b;

    buf_init_arena(&b, &arena, TEST_BUDGET);
    for (size_t i = 0; i < n; i++)
        buf_add_str(&b, i % 2 == 0 ? STR("[") : STR("{\"a\":"));
    buf_add_char(&b, '1');
    for (size_t i = n; i > 0; i--)
        buf_add_char(&b, i % 2 == 1 ? ']' : '}');
    return buf_str(&b);
}

START_TEST(depth_limit)
{
    struct json *v;
    struct json_error error;
    str text = nested(JSON_MAX_DEPTH);

    ck_assert_int_eq(json_parse(&arena, text, &v, &error), OK);
    ck_assert(str_eq(json_text(&arena, v), text));
    ck_assert(json_equal(v, json_copy(&arena, v)));
    ck_assert_int_eq(json_compare(v, json_copy(&arena, v)), 0);
    ck_assert_int_eq(json_parse(&arena, nested(JSON_MAX_DEPTH + 1), &v, &error), ERR_LIMIT);
    ck_assert_str_eq(error.what, "Nested too deeply.");
    ck_assert_uint_eq(error.offset, JSON_MAX_DEPTH / 2 * (1 + 5)); /* of the bracket too many */
    /* Side by side is not deep. */
    v = parse("[[[]],[[]],[[]],{\"a\":[]},[[]]]");
    ck_assert_uint_eq(json_count(v), 5);
}
END_TEST

static void repeat(char *out, size_t n, const char *piece)
{
    size_t len = strlen(piece);
    for (size_t i = 0; i < n; i++)
        out[i] = piece[i % len];
}

/* A megabyte each of what would cost quadratic time in a careless parser. The time-out is the test.
 */
START_TEST(hostile_texts)
{
    static const struct {
        const char *open, *piece, *close;
        enum err want;
    } texts[] = {
        {"", "[", "", ERR_LIMIT},
        {"", "{\"\":", "", ERR_LIMIT},
        {"[1", ",1", "]", OK},
        {"[[]", ",[]", "]", OK},
        {"[{}", ",{}", "]", OK},
        {"{\"\":1", ",\"\":1", "}", OK},
        {"\"", "\\u00e9", "\"", OK},
        {"\"", "\\\\", "\"", OK},
        {"[1", ",1", "", ERR_SYNTAX},
        {"[", "[],", "", ERR_SYNTAX},
        {"\"", "\\", "", ERR_SYNTAX},
        {"", " ", "", ERR_SYNTAX},
        {"", "9", "", ERR_SYNTAX},
        {"0.", "9", "", OK},
        {"1e-", "9", "", OK},
        {"0.", "0", "1", OK},
        {"[1", ",{\"a\":{\"b\":1}}", "", ERR_SYNTAX},
    };
    size_t n = MIB;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t open = strlen(texts[i].open), close = strlen(texts[i].close);
        size_t body = n / strlen(texts[i].piece) * strlen(texts[i].piece);
        char *text = malloc(open + body + close);
        struct json *v;
        memcpy(text, texts[i].open, open);
        repeat(text + open, body, texts[i].piece);
        memcpy(text + open + body, texts[i].close, close);
        ck_assert_int_eq(json_parse(&arena, (str){text, open + body + close}, &v, NULL),
                         texts[i].want);
        arena_reset(&arena);
        free(text);
    }
}
END_TEST

START_TEST(very_long_text)
{
    struct json *v;
    struct json_error error;
    char byte = '1';

    /* Refused by its length, before anything of it is read. */
    ck_assert_int_eq(json_parse(&arena, (str){&byte, (size_t)INT_MAX + 1}, &v, &error), ERR_LIMIT);
    ck_assert_str_eq(error.what, "The document is too long.");
}
END_TEST

/* ---- what the tree says
 * --------------------------------------------------------------------------- */

START_TEST(values)
{
    struct json *v = parse("{\"n\":null,\"t\":true,\"f\":false,\"i\":-12,\"d\":1.50,"
                           "\"s\":\"a\\u0000b\",\"a\":[1,2],\"o\":{\"x\":3}}");
    str s;

    ck_assert_uint_eq(json_count(v), 8);
    ck_assert(json_is(json_get(v, STR("n")), JSON_NULL));
    ck_assert(json_bool(json_get(v, STR("t"))) && !json_bool(json_get(v, STR("f"))));
    ck_assert_str_is(json_number(json_get(v, STR("d"))), "1.50");
    s = json_string(json_get(v, STR("s")));
    ck_assert(s.n == 3 && memcmp(s.p, "a\0b", 3) == 0);
    ck_assert_str_is(json_number(json_at(json_get(v, STR("a")), 1)), "2");
    ck_assert_str_is(json_number(json_get(json_get(v, STR("o")), STR("x"))), "3");
    ck_assert_ptr_null(json_get(v, STR("x")));
}
END_TEST

START_TEST(strings_are_borrowed)
{
    static const char text[] = "[\"plain\",12,\"\\n\"]";
    struct json *v;
    str s;

    ck_assert_int_eq(json_parse(&arena, str_from(text), &v, NULL), OK);
    ck_assert_ptr_eq(json_string(json_at(v, 0)).p, text + 2);
    ck_assert_ptr_eq(json_number(json_at(v, 1)).p, text + 9);
    s = json_string(json_at(v, 2));
    ck_assert(s.p < text || s.p >= text + sizeof text);
}
END_TEST

/* 50,000 members, each twice: order of the first, value of the last. */
START_TEST(many_members_with_duplicates)
{
    enum { N = 50000 };
    struct json *v, *m;
    struct buf b;
    int64_t n;

    buf_init(&b, 16 * MIB);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++)
            buf_printf(&b, "%c\"key %d\":%d", round + i == 0 ? '{' : ',', i, round * N + i);
    buf_add_char(&b, '}');
    ck_assert_int_eq(json_parse(&arena, buf_str(&b), &v, NULL), OK);
    ck_assert_uint_eq(json_count(v), N);
    for (size_t i = 0; i < N; i++) {
        str name;
        ck_assert(json_member(v, i, &name, &m));
        ck_assert_int_eq(json_to_i64(m, &n), OK);
        ck_assert_int_eq(n, (int64_t)(N + i));
        ck_assert_ptr_eq(json_get(v, name), m);
    }
    buf_fini(&b);
}
END_TEST

static enum err parse_all_kinds(struct arena *a)
{
    static const str text = STR_INIT("{\"a\":[1,[2,{\"b\":\"\\n\"}],null],\"\\u0001\":true,\"1\":1,"
                                     "\"2\":1,\"3\":1,\"4\":1,\"5\":1,"
                                     "\"6\":1,\"7\":1,\"8\":1,\"9\":1,\"10\":1,\"11\":1,\"12\":1,"
                                     "\"13\":1,\"14\":1,\"15\":1,\"16\":1}");
    struct json *v = NULL;
    enum err e = json_parse(a, text, &v, NULL);

    ck_assert((e == OK) == (v != NULL));
    if (e == OK)
        ck_assert_uint_eq(json_count(v), 18);
    return e;
}

START_TEST(out_of_memory)
{
    torture(parse_all_kinds);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json parse");
    TCase *t = tcase_create("parse");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, accepts, 0, (int)ARRAY_LEN(accepted));
    tcase_add_loop_test(t, cut_at_every_byte, 0, (int)ARRAY_LEN(accepted));
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(t, unfinished_text);
    tcase_add_test(t, line_and_column);
    tcase_add_test(t, depth_limit);
    tcase_add_test(t, hostile_texts);
    tcase_add_test(t, very_long_text);
    tcase_add_test(t, values);
    tcase_add_test(t, strings_are_borrowed);
    tcase_add_test(t, many_members_with_duplicates);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
