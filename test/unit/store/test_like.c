/* The `like` operator. */
#include "store/like.c"
#include "test/unit/store/store_test.h"

static bool like(const char *pattern, const char *text)
{
    struct like *l = store_like_new(&arena, str_from(pattern));

    ck_assert_ptr_nonnull(l);
    return store_like_test(l, str_from(text));
}

static const struct {
    const char *pattern, *text;
    bool matches;
} cases[] = {
    {"", "", true},
    {"", "abc", true},
    {"*", "", true},
    {"*", "abc", true},
    {"***", "abc", true},
    {"b", "abc", true},
    {"B", "abc", true},
    {"b", "ABC", true},
    {"d", "abc", false},
    {"abcd", "abc", false},
    {"ab*", "abc", true},
    {"b*", "abc", false},
    {"*bc", "abc", true},
    {"*b", "abc", false},
    {"a*c", "abc", true},
    {"a*c", "ac", true},
    {"a*c", "acb", false},
    {"a*a", "a", false},
    {"a*a", "aa", true},
    {"ab*ba", "aba", false},
    {"ab*ba", "abba", true},
    {"*a*b*", "xxaxxbxx", true},
    {"*b*a*", "xxaxxbxx", false},
    {"*aab*", "aaaab", true},
    {"*abab*c", "abaababc", true},
    {"*ababc", "abababc", true},
    {"a.c", "abc", false},
    {"[a", "x[ay", true},
    {"(", "()", true},
    {"a*b*c", "a1b2c", true},
    {"a**c", "abc", true},
    {"x*", "abc\nx", false},
    {"a*x", "abc\nx", true},
    {"\xc3\x89t\xc3\xa9", "l'\xc3\xa9t\xc3\x89", true},
    {"\xc3\x9f", "\xc3\x9f", true},
    {"\xc3\x97", "\xc3\xb7", false},
    {"\xd0\x9f\xd0\xa0", "\xd0\xbf\xd1\x80\xd0\xb8", true},
    {"\xce\xa3", "\xcf\x82", true},
    {"\xc6\xa0", "\xc6\xa1", true},  /* o with a horn, of Vietnamese */
    {"\xc9\x99", "\xc6\x8f", true},  /* schwa, of Azerbaijani */
    {"i*", "\xc4\xb0stanbul", true}, /* with and without a dot */
    {"\xc4\xb1", "I", true},
    {"k", "\xe2\x84\xaa", true},                    /* the Kelvin sign */
    {"\xc7\x84", "\xc7\x85", true},                 /* capital, title case */
    {"\xe1\xb2\x90", "\xe1\x83\x90", true},         /* Georgian */
    {"\xe1\xbc\x8d", "\xe1\xbc\x85", true},         /* Greek with accents */
    {"\xf0\x9e\xa4\x80", "\xf0\x9e\xa4\xa2", true}, /* Adlam */
    {"ss", "\xc3\x9f", false},
    {"*\xe2\x82\xac", "5 \xe2\x82\xac", true},
    {"*\xac", "5 \xe2\x82\xac", false},
    {"\xf0\x9f\x98\x80*", "\xf0\x9f\x98\x80!", true},
};

START_TEST(matches)
{
    ck_assert_msg(like(cases[_i].pattern, cases[_i].text) == cases[_i].matches, "\"%s\" on \"%s\"",
                  cases[_i].pattern, cases[_i].text);
}
END_TEST

/* As far as the search by halves needs it; and no letter counts as one that counts as another. */
START_TEST(the_table_is_in_order)
{
    for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
        const struct fold *f = &folds[i];
        ck_assert(f->first >= 0x80 && f->first <= f->last && f->step > 0);
        ck_assert((f->last - f->first) % f->step == 0);
        ck_assert(i == 0 || folds[i - 1].last < f->first);
        for (uint32_t c = f->first; c <= f->last; c += f->step)
            ck_assert_msg(fold(fold(c)) == fold(c), "U+%04X", (unsigned)c);
    }
}
END_TEST

/* The naive way: every place for every star. */
static bool naive(str p, str t)
{
    if (p.n == 0)
        return t.n == 0;
    if (p.p[0] == '*') {
        for (size_t i = 0; i <= t.n; i++)
            if (naive(str_drop(p, 1), str_drop(t, i)))
                return true;
        return false;
    }
    return t.n > 0 && p.p[0] == t.p[0] && naive(str_drop(p, 1), str_drop(t, 1));
}

START_TEST(matches_as_the_naive_way_does)
{
    uint32_t state = 12345;
    unsigned yes = 0;

    for (int round = 0; round < 20000; round++) {
        char p[8], t[12];
        size_t np = 1, nt;
        p[0] = '*'; /* so that it never means "anywhere" */
        state = state * 1664525 + 1013904223;
        for (uint32_t bits = state >> 8; np < 1 + state % 7; bits >>= 2)
            p[np++] = "ab*a"[bits & 3];
        state = state * 1664525 + 1013904223;
        nt = state >> 28 & 7;
        for (size_t i = 0; i < nt; i++)
            t[i] = (state >> (i + 8) & 1) != 0 ? 'a' : 'b';
        struct arena_mark m = arena_mark(&arena);
        struct like *l = store_like_new(&arena, (str){p, np});
        bool got = store_like_test(l, (str){t, nt});
        ck_assert_msg(got == naive((str){p, np}, (str){t, nt}), "%.*s on %.*s", (int)np, p, (int)nt,
                      t);
        yes += got;
        arena_release(&arena, m);
    }
    ck_assert_uint_gt(yes, 1000);
}
END_TEST

/* A pattern made to be slow takes no longer than its text is. */
START_TEST(takes_linear_time)
{
    size_t n = 1 << 20, np = 4000;
    char *text = malloc(n), *pattern = malloc(np);
    uint64_t start = clock_mono_ms();

    memset(text, 'a', n);
    memset(pattern, 'a', np);
    pattern[np - 1] = 'b';
    ck_assert(!store_like_test(store_like_new(&arena, (str){pattern, np}), (str){text, n}));
    ck_assert_uint_lt(clock_mono_ms() - start, 5000); /* n * np steps would take minutes here */
    free(text);
    free(pattern);
}
END_TEST

START_TEST(bytes_that_are_no_text_do_no_harm)
{
    static const char *bad[] = {"\xff",     "\xc3",     "a\xe2\x82",
                                "\xf0\x9f", "\x80\x80", "\xc3\xc3\xc3"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        for (size_t j = 0; j < ARRAY_LEN(bad); j++) {
            char *t = strdup(bad[j]);
            like(bad[i], t);
            like("*a", t);
            ck_assert(like("*", t));
            free(t);
        }
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {the_table_is_in_order, matches_as_the_naive_way_does,
                                  takes_linear_time, bytes_that_are_no_text_do_no_harm};
    Suite *s = suite_of("store/like", setup, teardown, tests, ARRAY_LEN(tests));
    TCase *c = tcase_create("cases");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, matches, 0, ARRAY_LEN(cases));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
