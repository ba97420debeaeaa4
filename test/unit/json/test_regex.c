/* json/regex.h: patterns mean what they mean to Python, and cost what they may. (How long the worst
 * take inside of schemas: test_schema_limits.c.) */
#include "test/unit/json/json_test.h"

#include "json/regex.h"

#define PLENTY 2000000 /* steps */

static const struct {
    const char *pattern, *subject;
    int found; /* 1, 0; -1: a syntax error, -2: unsupported */
} patterns[] = {
    {"^a$", "a\n", 1},
    {"^a\\Z", "a\n", 0},
    {"^a\\Z", "a", 1},
    {"\\d", "\xd9\xa1", 1}, /* ARABIC-INDIC DIGIT ONE */
    {"^\\w+$", "\xc3\xa9\xe6\x97\xa5_9", 1},
    {"^\\w$", "\xe2\x82\xac", 0}, /* EURO SIGN */
    {"^\\W$", "\xe2\x82\xac", 1},
    {"^[\\w]$", "\xc2\xb2", 1}, /* SUPERSCRIPT TWO */
    {"^\\s$", "\x1c", 1},
    {"^\\S$", "\x1c", 0},
    {"^[\\s]$", "\xe2\x80\xa8", 1},
    {"^[\\S]$", "\x1c", 0},
    {"^[\\S]$", "\xf4\x8f\xbf\xbf", 1},
    {"^\\s$", "\xe1\xa0\x8e", 0}, /* MONGOLIAN VOWEL SEPARATOR */
    {"^\\S$", "\xe1\xa0\x8e", 1},
    {"^[^\\S]$", "\xc2\xa0", 1},
    {"(?P=n)(?P<n>a)", "", -1},
    {"(?P<n>a(?P=n))", "", -1},
    {"(?P<nn>a)(?P=n)", "", -1},
    {"(?(n)a|b)(?P<n>c)", "", -1},
    {"(?P<n>c)?(?(n)a|b)", "ca", 1},
    {"\\(?P<n>c)", "", -1},
    {"(?<=a|bc)d", "", -1},
    {"(?<!a|)d", "", -1},
    {"(?<=a|b)d", "bd", 1},
    {"^.$", "\xf0\x9f\x98\x80", 1},
    {".", "\n", 0},
    {"^.$", "\r", 1},
    {"(?s).", "\n", 1},
    {"(?i)^STRASSE$", "strasse", 1},
    {"(?i)\xc3\xa9", "\xc3\x89", 1},
    {"\\u00e9", "\xc3\xa9", 1},
    {"\\U0001F600", "\xf0\x9f\x98\x80", 1},
    {"\\x41", "A", 1},
    {"\\101", "A", 1},
    {"^\\v$", "\v", 1},
    {"^\\v$", "\n", 0},
    {"^a{,2}$", "aa", 1},
    {"^a{,2}$", "a{,2}", 0},
    {"^a{,}$", "aaaa", 1},
    {"^a{$", "a{", 1},
    {"^a{}$", "a{}", 1},
    {"^[[:alpha:]]$", ":]", 1},
    {"^[]-]$", "]", 1},
    {"^[a-]$", "-", 1},
    {"^[\\]]$", "]", 1},
    {"^[&#~]$", "#", 1},
    {"(?P<n>a)(?P=n)", "aa", 1},
    {"(a)\\1", "ab", 0},
    {"(?x) ^ a  b # a comment )\n c $", "abc", 1},
    {"(?x: a b )c d", "abc d", 1},
    {"(?x) a\\ b [ ] ]", "a b ]", 1},
    {"^(?>a*)a", "aaa", 0},
    {"(?<=b)a", "ba", 1},
    {"(?:^|x)(?(1)a)", "", -1},
    {"(a)?(?(1)b|c)", "c", 1},
    {"a\\Kb", "ab", -1},
    {"\\Aab", "ab", 1},
    {"(?i", "", -1},
    {"x(?i)a", "", -1},
    {"\\N{DIGIT ONE}", "", -2},
    {"(?a)x", "", -2},
    {"\\ud800", "", -2},
    {"a{70000}", "", -2},
};

START_TEST(meaning_of_patterns)
{
    struct json_regex *r = NULL;
    struct json_regex_scratch scratch = {0};
    uint64_t steps = 1000, enough = PLENTY;
    bool found = false;
    int want = patterns[_i].found;
    enum err e = json_regex_new(&r, str_from(patterns[_i].pattern), &enough, NULL);

    ck_assert_msg(e == (want >= 0    ? OK
                        : want == -1 ? ERR_SYNTAX
                                     : ERR_UNSUPPORTED),
                  "%s: %s", patterns[_i].pattern, err_text(e));
    if (e != OK)
        return;
    ck_assert_int_eq(json_regex_search(r, &scratch, str_from(patterns[_i].subject), &steps, &found),
                     OK);
    ck_assert_msg(found == want, "%s on %s", patterns[_i].pattern, patterns[_i].subject);
    ck_assert_uint_le(steps, 1000);
    json_regex_scratch_fini(&scratch);
    json_regex_free(r);
}
END_TEST

/* No pattern, however odd, is read beyond its end. */
START_TEST(patterns_at_a_guard_page)
{
    static const char *const odd[] = {"(?P<n>a)(?P=n)", "[^]a-\\]x]\\u00e9{1,2}(?(1)a|b)",
                                      "(?x) a # b\n(?i-s:c)", "\\101\\x41[\\d\\101-z]{,3}+",
                                      "\xf0\x9f\x98\x80[\xc3\xa9-\xe6\x97\xa5]"};
    struct guard g = guard_open(256);

    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        for (size_t n = 0; n <= strlen(odd[i]); n++) {
            str cut = {odd[i], n};
            struct json_regex *r = NULL;
            if (!str_utf8_valid(cut))
                continue;
            uint64_t steps = PLENTY;
            enum err e = json_regex_new(&r, guard_put(&g, cut), &steps, NULL);
            ck_assert(e == OK || e == ERR_SYNTAX || e == ERR_UNSUPPORTED);
            json_regex_free(r);
        }
    guard_close(&g);
}
END_TEST

static const struct {
    const char *pattern, *why; /* NULL: a syntax error */
} refused[] = {
    {"(", NULL},
    {"\\N{DIGIT ONE}", "characters by name"},
    {"(?a)x", "the flag a"},
    {"\\ud800", "lone surrogates"},
    {"a{70000}", "repetitions over 65535"},
    {"((((a{1000}){1000}){1000}){1000})", "too large when it is compiled"},
};

START_TEST(why_a_pattern_is_refused)
{
    struct json_regex *r = NULL;
    uint64_t steps = PLENTY;
    const char *why = "unset";
    enum err e = json_regex_new(&r, str_from(refused[_i].pattern), &steps, &why);

    ck_assert_int_eq(e, refused[_i].why ? ERR_UNSUPPORTED : ERR_SYNTAX);
    ck_assert_ptr_null(r);
    if (refused[_i].why == NULL)
        ck_assert_ptr_null(why);
    else
        ck_assert_str_eq(why, refused[_i].why);
}
END_TEST

START_TEST(as_long_as_allowed)
{
    static char text[JSON_REGEX_MAX_BYTES + 1];
    struct json_regex *r = NULL;
    uint64_t steps = PLENTY;
    const char *why;

    memset(text, 'a', sizeof text);
    ck_assert_int_eq(json_regex_new(&r, (str){text, sizeof text}, &steps, &why), ERR_UNSUPPORTED);
    ck_assert_str_eq(why, "longer than 16 KiB");
    ck_assert_int_eq(json_regex_new(&r, (str){text, 8000}, &steps, NULL), OK);
    json_regex_free(r);
}
END_TEST

/* Each byte of a pattern costs, and each item that is tried; what is left is told. */
START_TEST(steps_are_spent)
{
    struct json_regex *r = NULL;
    struct json_regex_scratch scratch = {0};
    uint64_t none = 0, few = 100, steps = 1000;
    bool found = false;

    ck_assert_int_eq(json_regex_new(&r, STR("a+b"), &none, NULL), ERR_LIMIT);
    ck_assert_int_eq(json_regex_new(&r, STR("a+b"), &steps, NULL), OK);
    ck_assert_uint_le(steps, 1000 - 3 * JSON_REGEX_BYTE_STEPS);
    ck_assert_int_eq(json_regex_search(r, &scratch, STR("aab"), &few, &found), OK);
    ck_assert(found);
    ck_assert_uint_lt(few, 100);
    ck_assert_int_eq(json_regex_search(r, &scratch, STR("aab"), &none, &found), ERR_LIMIT);
    json_regex_scratch_fini(&scratch);
    json_regex_free(r);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json regex");
    TCase *t = tcase_create("regex");

    tcase_add_loop_test(t, meaning_of_patterns, 0, (int)ARRAY_LEN(patterns));
    tcase_add_test(t, patterns_at_a_guard_page);
    tcase_add_loop_test(t, why_a_pattern_is_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(t, as_long_as_allowed);
    tcase_add_test(t, steps_are_spent);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
