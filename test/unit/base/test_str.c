/* Borrowed strings, numbers and UTF-8; error texts and details. */
#include "test/support/unit.h"

#include "base/str.h"
#include <errno.h>

START_TEST(comparing)
{
    ck_assert(str_eq(STR(""), STR_NONE));
    ck_assert(str_eq(STR("ab"), (str){"abc", 2}));
    ck_assert(!str_eq(STR("ab"), STR("ac")));
    ck_assert(!str_eq(STR("ab"), STR("a")));
    ck_assert(str_eq_nocase(STR("Content-LENGTH"), STR("content-length")));
    ck_assert(!str_eq_nocase(STR("a["), STR("a{"))); /* 0x20 apart, but no letters */
    ck_assert(!str_eq_nocase(STR("a"), STR("ab")));
    ck_assert_int_lt(str_cmp(STR("a"), STR("b")), 0);
    ck_assert_int_lt(str_cmp(STR("a"), STR("aa")), 0);
    ck_assert_int_gt(str_cmp(STR("\xc3\xa9"), STR("z")), 0); /* bytes are unsigned */
    ck_assert_int_eq(str_cmp(STR_NONE, STR("")), 0);
    ck_assert(str_none(str_from(NULL)));
    ck_assert(!str_none(str_from("")));
}
END_TEST

static bool are_same_letters(unsigned x, unsigned y)
{
    bool letter = (x >= 'A' && x <= 'Z') || (x >= 'a' && x <= 'z');

    return x == y || (letter && (x ^ y) == 0x20);
}

/* Any two bytes, at each place of texts that are compared eight bytes at a time, and shorter ones. */
START_TEST(small_and_capital_letters)
{
    char a[20], b[20];

    memset(a, 'q', sizeof a);
    memset(b, 'Q', sizeof b);
    for (size_t n = 1; n <= sizeof a; n++)
        for (unsigned x = 0; x < 256; x++)
            for (unsigned y = 0; y < 256; y++) {
                size_t at = (x * 7 + y) % n;
                a[at] = (char)x;
                b[at] = (char)y;
                ck_assert_msg(str_eq_nocase((str){a, n}, (str){b, n}) == are_same_letters(x, y),
                              "%02x %02x at %zu of %zu", x, y, at, n);
                a[at] = 'q';
                b[at] = 'Q';
            }
}
END_TEST

START_TEST(one_of_many)
{
    static const str words[] = {STR_INIT("a"), STR_INIT(""), STR_INIT("Bc")};

    ck_assert(str_is_one_of(STR("a"), words, 3) && str_is_one_of(STR("Bc"), words, 3));
    ck_assert(str_is_one_of(STR(""), words, 3) && !str_is_one_of(STR(""), words, 1));
    ck_assert(!str_is_one_of(STR("bc"), words, 3) && !str_is_one_of(STR("B"), words, 3));
    ck_assert(str_is_one_of_nocase(STR("bC"), words, 3));
    ck_assert(!str_is_one_of_nocase(STR("b"), words, 3));
    ck_assert(!str_is_one_of(STR("a"), NULL, 0) && !str_is_one_of_nocase(STR("a"), NULL, 0));
}
END_TEST

static const struct {
    const char *path, *prefix, *folder;
} FOLDERS[] = {
    {"b", "", "."},       {"", "", "."},      {"a/b", "a/", "a"}, {"/a/b", "/a/", "/a"},
    {"/b", "/", "/"},     {"/", "/", "/"},    {"//", "/", "/"},   {"a/b//", "a/", "a"},
    {"a//b", "a//", "a"}, {"./b", "./", "."}, {"//b", "//", "/"},
};

START_TEST(folders)
{
    ck_assert_str_is(str_folder_prefix(str_from(FOLDERS[_i].path)), FOLDERS[_i].prefix);
    ck_assert_str_is(str_folder(str_from(FOLDERS[_i].path)), FOLDERS[_i].folder);
}
END_TEST

/* Ends wherever the first difference is: in a word, between two, behind the shorter one. */
START_TEST(what_two_begin_with)
{
    const str text = STR("a row of more than sixteen bytes");
    char other[64];

    for (size_t n = 0; n <= text.n; n++) {
        memcpy(other, text.p, text.n);
        ck_assert_uint_eq(str_common(text, (str){other, n}), n);
        ck_assert_uint_eq(str_common((str){other, n}, text), n);
        if (n < text.n)
            other[n] ^= 1;
        ck_assert_uint_eq(str_common(text, (str){other, text.n}), n);
    }
    ck_assert_uint_eq(str_common(STR_NONE, text), 0);
}
END_TEST

START_TEST(cutting)
{
    str rest = STR("a,,b"), s = STR("abcdef");

    ck_assert(str_starts(s, STR("abc")) && !str_starts(s, STR("b")) && str_starts(s, STR_NONE));
    ck_assert(str_ends(s, STR("def")) && !str_ends(s, STR("abcdefg")) && str_ends(s, STR("")));
    ck_assert_str_is(str_drop(s, 2), "cdef");
    ck_assert_str_is(str_drop(s, 99), "");
    ck_assert_str_is(str_sub(s, 1, 2), "bc");
    ck_assert_str_is(str_sub(s, 4, 99), "ef");
    ck_assert_str_is(str_sub(s, 99, 1), "");
    ck_assert_str_is(str_trim(STR(" \t\r\na b\n ")), "a b");
    ck_assert_str_is(str_trim(STR(" \t ")), "");
    ck_assert_str_is(str_trim(STR_NONE), "");
    ck_assert_uint_eq(str_find(s, 'c'), 2);
    ck_assert_uint_eq(str_find(s, 'x'), STR_NPOS);
    ck_assert_uint_eq(str_find(STR_NONE, 'x'), STR_NPOS);
    ck_assert_uint_eq(str_find_str(s, STR("de")), 3);
    ck_assert_uint_eq(str_find_str(s, STR("dx")), STR_NPOS);
    ck_assert_uint_eq(str_find_str(s, STR("")), 0);
    ck_assert_uint_eq(str_find_str(STR("a"), STR("ab")), STR_NPOS);

    ck_assert_str_is(str_cut(&rest, ','), "a");
    ck_assert_str_is(str_cut(&rest, ','), "");
    ck_assert(!str_none(rest));
    ck_assert_str_is(str_cut(&rest, ','), "b");
    ck_assert(str_none(rest));
    rest = STR("a,");
    str_cut(&rest, ',');
    ck_assert(!str_none(rest) && rest.n == 0); /* the empty part behind the last comma */
}
END_TEST

START_TEST(words)
{
    str rest = STR("\n  one, two\tthree ,,\r\n four"), word;
    const char *want[] = {"one", "two", "three", "four"};

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        ck_assert(str_next_word(&rest, &word));
        ck_assert_str_is(word, want[i]);
    }
    ck_assert(!str_next_word(&rest, &word));
    rest = STR_NONE;
    ck_assert(!str_next_word(&rest, &word));
}
END_TEST

static const struct {
    const char *text;
    bool valid;
} utf8[] = {
    {"", true},
    {"plain ascii, long enough for words", true},
    {"\x7f", true},
    {"\xc2\x80", true},         /* U+0080 */
    {"\xdf\xbf", true},         /* U+07FF */
    {"\xe0\xa0\x80", true},     /* U+0800 */
    {"\xed\x9f\xbf", true},     /* U+D7FF */
    {"\xee\x80\x80", true},     /* U+E000 */
    {"\xef\xbf\xbf", true},     /* U+FFFF */
    {"\xf0\x90\x80\x80", true}, /* U+10000 */
    {"\xf4\x8f\xbf\xbf", true}, /* U+10FFFF */
    {"12345678\xc3\xa9"
     "12345678",
     true},
    {"\x80", false},     /* continuation alone */
    {"\xc0\xaf", false}, /* overlong */
    {"\xc1\xbf", false},
    {"\xe0\x9f\xbf", false},
    {"\xf0\x8f\xbf\xbf", false},
    {"\xed\xa0\x80", false}, /* surrogate */
    {"\xed\xbf\xbf", false},
    {"\xf4\x90\x80\x80", false}, /* too large */
    {"\xf5\x80\x80\x80", false},
    {"\xff", false},
    {"\xc3", false}, /* cut off */
    {"\xe2\x82", false},
    {"\xf0\x90\x80", false},
    {"\xc3(", false},
    {"\xe2\x82(", false},
    {"1234567\xff"
     "90123456",
     false},
    {"12345678\xc3", false},
};

START_TEST(utf8_is_checked)
{
    ck_assert_msg(str_utf8_valid(str_from(utf8[_i].text)) == utf8[_i].valid, "row %d", _i);
}
END_TEST

START_TEST(utf8_of_every_code_point)
{
    for (uint32_t c = 0x80; c < 0x110000; c++) {
        char b[4];
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        bool surrogate = c >= 0xd800 && c < 0xe000;
        uint32_t rest = c;

        for (size_t i = n; i-- > 1; rest >>= 6)
            b[i] = (char)(0x80 | (rest & 63));
        b[0] = (char)((n == 2 ? 0xc0u : n == 3 ? 0xe0u : 0xf0u) | rest);
        ck_assert_msg(str_utf8_valid((str){b, n}) == !surrogate, "U+%04X", c);
        ck_assert(!str_utf8_valid((str){b, n - 1}));
    }
}
END_TEST

START_TEST(unsigned_numbers)
{
    static const struct {
        const char *text;
        enum err err;
        uint64_t value;
    } rows[] = {
        {"0", OK, 0},
        {"00012", OK, 12},
        {"18446744073709551615", OK, UINT64_MAX},
        {"18446744073709551616", ERR_RANGE, 0},
        {"99999999999999999999999", ERR_RANGE, 0},
        {"99999999999999999999999x", ERR_SYNTAX, 0},
        {"", ERR_SYNTAX, 0},
        {"-1", ERR_SYNTAX, 0},
        {"+1", ERR_SYNTAX, 0},
        {" 1", ERR_SYNTAX, 0},
        {"1 ", ERR_SYNTAX, 0},
        {"0x10", ERR_SYNTAX, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v = 77;
        ck_assert_msg(str_to_u64(str_from(rows[i].text), &v) == rows[i].err, "%s", rows[i].text);
        ck_assert_uint_eq(v, rows[i].err == OK ? rows[i].value : 77);
    }
}
END_TEST

START_TEST(signed_numbers)
{
    static const struct {
        const char *text;
        enum err err;
        int64_t value;
    } rows[] = {
        {"0", OK, 0},
        {"-0", OK, 0},
        {"-5", OK, -5},
        {"9223372036854775807", OK, INT64_MAX},
        {"9223372036854775808", ERR_RANGE, 0},
        {"-9223372036854775808", OK, INT64_MIN},
        {"-9223372036854775809", ERR_RANGE, 0},
        {"-", ERR_SYNTAX, 0},
        {"--1", ERR_SYNTAX, 0},
        {"", ERR_SYNTAX, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t v = 77;
        ck_assert_msg(str_to_i64(str_from(rows[i].text), &v) == rows[i].err, "%s", rows[i].text);
        ck_assert_int_eq(v, rows[i].err == OK ? rows[i].value : 77);
    }
}
END_TEST

START_TEST(error_details)
{
    struct err_detail d;
    char longer[1000];

    ck_assert_str_eq(err_text(ERR_NOMEM), "out of memory");
    ck_assert_str_eq(err_text(OK), "success");
    ck_assert_int_eq(err_set(&d, ERR_CORRUPT, 0, "%s at %d", "bad", 7), ERR_CORRUPT);
    ck_assert_str_eq(d.text, "bad at 7");
    ck_assert_int_eq(d.sys_errno, 0);
    ck_assert_int_eq(err_set(&d, ERR_IO, EIO, "open %s", "x"), ERR_IO);
    ck_assert_str_eq(d.text, "open x: Input/output error");
    ck_assert_int_eq(d.sys_errno, EIO);
    ck_assert_int_eq(err_set(NULL, ERR_IO, EIO, "nobody %s", "asks"), ERR_IO);

    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    err_set(&d, ERR_IO, EIO, "%s", longer);
    ck_assert_uint_eq(strlen(d.text), sizeof d.text - 1);
}
END_TEST

START_TEST(system_errors)
{
    ck_assert_int_eq(err_from_errno(0), OK);
    ck_assert_int_eq(err_from_errno(ENOMEM), ERR_NOMEM);
    ck_assert_int_eq(err_from_errno(ENOSPC), ERR_NOSPACE);
    ck_assert_int_eq(err_from_errno(EDQUOT), ERR_NOSPACE);
    ck_assert_int_eq(err_from_errno(EMFILE), ERR_NOFILES);
    ck_assert_int_eq(err_from_errno(ENFILE), ERR_NOFILES);
    ck_assert_int_eq(err_from_errno(EEXIST), ERR_EXISTS);
    ck_assert_int_eq(err_from_errno(ENOENT), ERR_NOTFOUND);
    ck_assert_int_eq(err_from_errno(EAGAIN), ERR_AGAIN);
    ck_assert_int_eq(err_from_errno(EACCES), ERR_IO);
}
END_TEST

START_TEST(visible_characters)
{
    for (int c = CHAR_MIN; c <= CHAR_MAX; c++) {
        char text[] = {'a', (char)c, 'b'};
        ck_assert_msg(str_is_visible((str){text, 3}) == (c > 0x20 && c < 0x7f), "%d", c);
        ck_assert(str_is_visible((str){text, 1}));
    }
    ck_assert(str_is_visible(STR("")));
}
END_TEST

START_TEST(hex_digits)
{
    static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";

    for (int c = CHAR_MIN; c <= CHAR_MAX; c++) {
        const char *in_lower = c ? strchr(lower, c) : NULL, *in_upper = c ? strchr(upper, c) : NULL;
        long want = in_lower ? in_lower - lower : in_upper ? in_upper - upper : -1;
        ck_assert_msg(str_hex_digit((char)c) == want, "%d", c);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/str");
    TCase *tc = tcase_create("str");

    tcase_add_test(tc, what_two_begin_with);
    tcase_add_test(tc, comparing);
    tcase_add_test(tc, small_and_capital_letters);
    tcase_add_test(tc, one_of_many);
    tcase_add_test(tc, cutting);
    tcase_add_loop_test(tc, folders, 0, ARRAY_LEN(FOLDERS));
    tcase_add_test(tc, words);
    tcase_add_loop_test(tc, utf8_is_checked, 0, ARRAY_LEN(utf8));
    tcase_add_test(tc, utf8_of_every_code_point);
    tcase_add_test(tc, unsigned_numbers);
    tcase_add_test(tc, signed_numbers);
    tcase_add_test(tc, visible_characters);
    tcase_add_test(tc, hex_digits);
    tcase_add_test(tc, error_details);
    tcase_add_test(tc, system_errors);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
