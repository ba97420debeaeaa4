/*
 * The INI parser. Every expected value was asked of the reference's parser (Python's configparser
 * as PasteDeploy sets it up).
 */
#include "test/support/unit.h"

#include "base/ini.h"

static const struct ini_var vars[] = {
    {STR_INIT("here"), STR_INIT("/etc")},
    {STR_INIT("http_port"), STR_INIT("8888")},
};

static enum err parse(struct ini *ini, const char *text, struct err_detail *d)
{
    return ini_parse(ini, str_from(text), "test.ini", vars, ARRAY_LEN(vars), d);
}

/* What is `key` of [app:main]? */
static const struct {
    const char *text;
    const char *key;
    const char *value; /* NULL: not there */
} values[] = {
    /* signs, white space, case */
    {"[app:main]\nk = v\n", "k", "v"},
    {"[app:main]\nk=v", "k", "v"},
    {"[app:main]\nk : v", "k", "v"},
    {"[app:main]\nk = v = w : x", "k", "v = w : x"},
    {"[app:main]\nk:v=w", "k", "v=w"},
    {"[app:main]\nKey = v", "key", NULL},
    {"[app:main]\nKey = v", "Key", "v"},
    {"[app:main]\na key = v", "a key", "v"},
    {"[app:main]\nk =", "k", ""},
    {"[app:main]\nk =   \n", "k", ""},
    {"[app:main]\r\nk = v\r\nl = w\r\n", "k", "v"},
    {"[app:main]\rk = v\rl = w\r", "l", "w"},
    {"[app:main]\n  k = v", "k", "v"},
    {"[app:main]\nk\xc2\xa0=\xe2\x80\x83v\xe3\x80\x80", "k", "v"}, /* NBSP, em space, U+3000 */
    {"[app:main]\nk = \xc3\xa9", "k", "\xc3\xa9"},
    /* comments: whole lines only */
    {"[app:main]\n# k = a\n; k = b\n  # k = c\nk = v", "k", "v"},
    {"[app:main]\nk = v # no comment", "k", "v # no comment"},
    {"[app:main]\nk = v ;no comment", "k", "v ;no comment"},
    {"[app:main]\nk = #v", "k", "#v"},
    /* continuation lines */
    {"[app:main]\nk = a\n  b\n\tc", "k", "a\nb\nc"},
    {"[app:main]\nk =\n  a\n  b", "k", "\na\nb"},
    {"[app:main]\nk = a\n\n  b", "k", "a\n\nb"},
    {"[app:main]\nk = a\n\n\n", "k", "a"},
    {"[app:main]\nk = a\n  # comment\n  b", "k", "a\nb"},
    {"[app:main]\nk = a\n# comment\n\n  b", "k", "a\n\nb"},
    {"[app:main]\nk = a\n  l = b", "k", "a\nl = b"},
    {"[app:main]\nk = a\n  [section]", "k", "a\n[section]"},
    {"[app:main]\n  k = a\n  l = b", "l", "b"}, /* no deeper than its key */
    {"[app:main]\n  k = a\n    b\n  l = c", "k", "a\nb"},
    {"[app:main]\nk = a\n   \xc2\xa0 b", "k", "a\nb"},
    /* sections */
    {"[a]\nk = 1\n[app:main]\nk = 2\n[b]\nk = 3", "k", "2"},
    {"[app:main] behind\nk = v", "k", "v"},
    {"[app: main ]\nk = v", "k", "v"},
    {"[APP:MAIN]\nk = v\n[app:main]", "k", NULL},
    {"[DEFAULT]\nk = d\n[app:main]", "k", "d"},
    {"[DEFAULT]\nk = d\n[app:main]\nk = v", "k", "v"},
    {"[app:main]\n[DEFAULT]\nk = d\n[x]\n[DEFAULT]\nl = e", "l", "e"},
    /* interpolation */
    {"[app:main]\nk = %(here)s/x", "k", "/etc/x"},
    {"[app:main]\nk = %(a)s-%(b)s\na = 1\nb = %(a)s2", "k", "1-12"},
    {"[DEFAULT]\na = d\n[app:main]\nk = %(a)s", "k", "d"},
    {"[DEFAULT]\na = d\n[app:main]\nk = %(a)s\na = own", "k", "own"},
    {"[DEFAULT]\na = %(b)s\nb = d\n[app:main]\nk = %(a)s\nb = own", "k", "own"},
    {"[app:main]\nk = %(http_port)s", "k", "8888"},
    {"[DEFAULT]\nhttp_port = 99\n[app:main]\nk = %(http_port)s", "k", "99"},
    {"[app:main]\nk = 100%%", "k", "100%"},
    {"[app:main]\nk = %%(a)s", "k", "%(a)s"},
    {"[app:main]\nk = %(a)s\na = %%", "k", "%"},
    {"[app:main]\nk = %(a)s\n  %(a)s\na = x", "k", "x\nx"},
    {"[app:main]\nk = v\n[other]\nf = %(asctime)s 50%", "k", "v"},
};

START_TEST(values_are_the_references)
{
    struct ini ini;
    struct err_detail d = {{0}, 0};
    const struct ini_entry *it;

    ck_assert_msg(parse(&ini, values[_i].text, &d) == OK, "%s", d.text);
    it = ini_get(&ini, STR("app:main"), str_from(values[_i].key));
    if (values[_i].value == NULL) {
        ck_assert_ptr_null(it);
    } else {
        ck_assert_ptr_nonnull(it);
        ck_assert_str_is(it->value, values[_i].value);
        ck_assert_int_eq(it->value.p[it->value.n], 0);
    }
    ini_free(&ini);
}
END_TEST

/* What is refused, and in which line. */
static const struct {
    const char *text;
    const char *start; /* of the message */
} refused[] = {
    {"k = v", "test.ini:1: a [section] must come first"},
    {"\xef\xbb\xbf[app:main]\nk = v", "test.ini:1: a [section] must come first"},
    {"[]\n", "test.ini:1: a [section] must come first"},
    {"[app:main]\nplain\n", "test.ini:2: neither"},
    {"[app:main]\n[open\n", "test.ini:2: neither"},
    {"[app:main]\n = v\n", "test.ini:2: there is no key"},
    {"[app:main]\n: v\n", "test.ini:2: there is no key"},
    {"[app:main]\n  continued\n", "test.ini:2: neither"},
    {"[app:main]\nk = 1\n\nk = 2", "test.ini:4: this key is already in the section: k"},
    {"[DEFAULT]\nk = 1\n[DEFAULT]\nk = 2", "test.ini:4: this key is already in the section: k"},
    {"[app:main]\n[b]\n[app:main]", "test.ini:3: this section is already there: app:main"},
    {"[app:main]\n[app: main]", "test.ini:2: this section is already there: app:main"},
    {"[app:main]\nk = \xff", "test.ini:2: this is not text in UTF-8"},
    {"[app:main]\n# \xc3(\nk = v", "test.ini:2: this is not text in UTF-8"},
    {"[app:main]\nj = 1\nk = 50%\n", "test.ini:3: k: a percent sign must be written %%"},
    {"[app:main]\nk = %x", "test.ini:2: k: a percent sign"},
    {"[app:main]\nk = %(a", "test.ini:2: k: a name must be written"},
    {"[app:main]\nk = %(a)d", "test.ini:2: k: a name must be written"},
    {"[app:main]\nk = %()s", "test.ini:2: k: a name must be written"},
    {"[app:main]\nk = %(nope)s", "test.ini:2: k: %(...)s names a key that is not there"},
    {"[app:main]\nk = %(HERE)s", "test.ini:2: k: %(...)s names a key that is not there"},
    {"[app:main]\nk = %(k)s", "test.ini:2: k: %(names)s within names go too deep"},
    {"[app:main]\nk = %(l)s\nl = %(k)s", "test.ini:2: k: %(names)s within names go too deep"},
    {"[DEFAULT]\nk = 50%\n[app:main]", "test.ini:2: k: a percent sign"},
    {"[server:main]\nk = 50%", "test.ini:2: k: a percent sign"},
};

START_TEST(bad_files_are_refused_with_their_line)
{
    struct ini ini;
    struct err_detail d = {{0}, 0};

    ck_assert_int_eq(parse(&ini, refused[_i].text, &d), ERR_SYNTAX);
    ck_assert_msg(str_starts(str_from(d.text), str_from(refused[_i].start)), "got: %s", d.text);
}
END_TEST

START_TEST(a_nul_byte_is_no_text)
{
    struct ini ini;
    struct err_detail d;

    ck_assert_int_eq(ini_parse(&ini, STR("[a]\nk = \0x"), "t", NULL, 0, &d), ERR_SYNTAX);
}
END_TEST

START_TEST(other_sections_keep_their_percent_signs)
{
    struct ini ini;
    struct err_detail d;
    const char *text = "[formatter_generic]\nformat = %(asctime)s %(here)s\nlevel = %(here)s\n";

    ck_assert_int_eq(parse(&ini, text, &d), OK);
    ck_assert_str_is(ini_get(&ini, STR("formatter_generic"), STR("format"))->value,
                     "%(asctime)s %(here)s");
    ck_assert_str_is(ini_get(&ini, STR("formatter_generic"), STR("level"))->value, "/etc");
    ini_free(&ini);
}
END_TEST

START_TEST(entries_come_in_file_order_with_their_lines)
{
    static const struct {
        const char *section, *key;
        unsigned line;
    } want[] = {{"b", "x", 3}, {"b", "y", 6}, {"DEFAULT", "z", 8}, {"a", "w", 10}};
    struct ini ini;
    struct err_detail d;
    const struct ini_entry *it;
    size_t i = 0;

    ck_assert_int_eq(parse(&ini, "\n[b]\nx = 1\n  2\n\ny = 2\n[DEFAULT]\nz = 3\n[a]\nw = 4\n", &d),
                     OK);
    ck_assert_str_is(ini.file, "test.ini");
    for (it = ini.first; it != NULL; it = it->next, i++) {
        ck_assert_uint_lt(i, ARRAY_LEN(want));
        ck_assert_str_is(it->section, want[i].section);
        ck_assert_str_is(it->key, want[i].key);
        ck_assert_uint_eq(it->line, want[i].line);
    }
    ck_assert_uint_eq(i, ARRAY_LEN(want));
    ck_assert_ptr_null(ini_get(&ini, STR("c"), STR("x")));
    ck_assert_ptr_nonnull(ini_get(&ini, STR("c"), STR("z")));
    ini_free(&ini);
}
END_TEST

START_TEST(an_empty_file_has_no_entries)
{
    struct ini ini;
    struct err_detail d;

    ck_assert_int_eq(ini_parse(&ini, STR_NONE, "t", NULL, 0, &d), OK);
    ck_assert_ptr_null(ini.first);
    ini_free(&ini);
}
END_TEST

/* Ten levels of `fanout` names each. */
static enum err parse_bomb(const char *innermost, int fanout, struct err_detail *d)
{
    static char text[64 * KIB];
    struct ini ini;
    size_t n = (size_t)snprintf(text, sizeof text, "[app:main]\nk0 = %s\n", innermost);
    enum err e;

    for (int level = 1; level < 10; level++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "k%d = ", level);
        for (int i = 0; i < fanout; i++)
            n += (size_t)snprintf(text + n, sizeof text - n, "%%(k%d)s", level - 1);
        n += (size_t)snprintf(text + n, sizeof text - n, "\n");
    }
    e = ini_parse(&ini, (str){text, n}, "bomb.ini", NULL, 0, d);
    if (e == OK)
        ini_free(&ini);
    return e;
}

START_TEST(interpolation_cannot_be_made_to_explode)
{
    struct err_detail d;
    char hundred[101];

    memset(hundred, 'x', 100);
    hundred[100] = 0;
    ck_assert_int_eq(parse_bomb("", 2, &d), OK); /* 2^9 names: a lot, but honest */
    ck_assert_int_eq(parse_bomb("", 10, &d), ERR_SYNTAX);
    ck_assert_ptr_nonnull(strstr(d.text, "too many %(names)s"));
    ck_assert_int_ne(parse_bomb(hundred, 10, &d), OK);
}
END_TEST

START_TEST(long_lines_are_whole)
{
    static char text[5000];
    struct ini ini;
    struct err_detail d;
    size_t n = (size_t)snprintf(text, sizeof text, "[app:main]\nk = ");

    memset(text + n, 'x', sizeof text - n);
    ck_assert_int_eq(ini_parse(&ini, (str){text, sizeof text}, "t", NULL, 0, &d), OK);
    ck_assert_uint_eq(ini_get(&ini, STR("app:main"), STR("k"))->value.n, sizeof text - n);
    ini_free(&ini);
}
END_TEST

START_TEST(without_memory_nothing_is_left)
{
    const char *text = "[DEFAULT]\na = 1\n[app:main]\nk = %(a)s\nl = b\n  c\n";
    struct ini ini;
    struct err_detail d;
    unsigned nth = 1;

    for (;; nth++) {
        enum err e;
        arena_test_fail_chunk(nth);
        e = parse(&ini, text, &d);
        if (e == OK)
            break;
        ck_assert_int_eq(e, ERR_NOMEM);
    }
    arena_test_fail_chunk(0);
    ck_assert_uint_gt(nth, 1);
    ini_free(&ini);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/ini");
    TCase *tc = tcase_create("ini");

    tcase_add_loop_test(tc, values_are_the_references, 0, ARRAY_LEN(values));
    tcase_add_loop_test(tc, bad_files_are_refused_with_their_line, 0, ARRAY_LEN(refused));
    tcase_add_test(tc, a_nul_byte_is_no_text);
    tcase_add_test(tc, other_sections_keep_their_percent_signs);
    tcase_add_test(tc, entries_come_in_file_order_with_their_lines);
    tcase_add_test(tc, an_empty_file_has_no_entries);
    tcase_add_test(tc, interpolation_cannot_be_made_to_explode);
    tcase_add_test(tc, long_lines_are_whole);
    tcase_add_test(tc, without_memory_nothing_is_left);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
