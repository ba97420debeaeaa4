/* Percent-encoding and queries. */
#include "http/http.h"
#include "test/unit/http/guard.h"

static struct arena arena;
static char first[4096] __attribute__((aligned(16)));

static void setup(void)
{
    arena_init(&arena, first, sizeof first, NULL, 1 * MIB);
}

static void teardown(void)
{
    arena_fini(&arena);
}

static const struct {
    const char *in, *out, *plus_out;
} decoded[] = {
    {"", "", ""},
    {"abc", "abc", "abc"},
    {"a%20b", "a b", "a b"},
    {"a+b", "a+b", "a b"},
    {"%2B%2b", "++", "++"},
    {"%41%4a%4A", "AJJ", "AJJ"},
    {"%C3%A9", "\xc3\xa9", "\xc3\xa9"},
    {"%", "%", "%"},
    {"%4", "%4", "%4"},
    {"%4g", "%4g", "%4g"},
    {"%g4", "%g4", "%g4"},
    {"%%41", "%A", "%A"},
    {"%2541", "%41", "%41"}, /* once, not twice */
    {"a%2Fb/c", "a/b/c", "a/b/c"},
    {"+%+", "+%+", " % "},
    {"%0a%0D", "\n\r", "\n\r"},
};

START_TEST(decodes)
{
    str in = str_from(decoded[_i].in);
    str guarded_in = {guarded(in), in.n};

    ck_assert_str_is(http_url_decode(&arena, guarded_in, false), decoded[_i].out);
    ck_assert_str_is(http_url_decode(&arena, guarded_in, true), decoded[_i].plus_out);
}
END_TEST

START_TEST(decodes_nul)
{
    str out = http_url_decode(&arena, STR("a%00b"), false);

    ck_assert_uint_eq(out.n, 3);
    ck_assert_int_eq(memcmp(out.p, "a\0b", 3), 0);
}
END_TEST

START_TEST(borrows_what_is_plain)
{
    str in = STR("plain/text");

    ck_assert_ptr_eq(http_url_decode(&arena, in, true).p, in.p);
    ck_assert(!str_none(http_url_decode(&arena, STR_NONE, true)));
}
END_TEST

START_TEST(full_arena)
{
    struct arena tiny;
    str name, value, rest = STR("a=%41");

    arena_init(&tiny, NULL, 0, NULL, 0);
    ck_assert(str_none(http_url_decode(&tiny, STR("%41"), false)));
    ck_assert(http_query_next(&tiny, &rest, &name, &value));
    ck_assert_str_is(name, "a");
    ck_assert(str_none(value));
    ck_assert(arena_failed(&tiny));
    arena_fini(&tiny);
}
END_TEST

START_TEST(encodes)
{
    struct buf b;

    buf_init(&b, 1000);
    http_url_encode(&b, STR("aZ09-._~ /?&=+%\"\xc3\xa9\n"), NULL);
    ck_assert_str_is(buf_str(&b), "aZ09-._~%20%2F%3F%26%3D%2B%25%22%C3%A9%0A");
    buf_clear(&b);
    http_url_encode(&b, STR("/a b/\xff?"), "/?");
    ck_assert_str_is(buf_str(&b), "/a%20b/%FF?");
    buf_clear(&b);
    http_url_encode(&b, (str){"\0", 1}, "/");
    ck_assert_str_is(buf_str(&b), "%00");
    buf_fini(&b);
}
END_TEST

/* Whatever the bytes, decoding gives back what was encoded. */
START_TEST(round_trip)
{
    char all[256];
    struct buf b;

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    buf_init(&b, 1000);
    http_url_encode(&b, (str){all, sizeof all}, "");
    ck_assert(str_eq(http_url_decode(&arena, buf_str(&b), true), (str){all, sizeof all}));
    buf_fini(&b);
}
END_TEST

static const struct {
    const char *in, *out; /* out: name:value; for each pair */
} queries[] = {
    {"", ""},
    {"a=b", "a:b;"},
    {"a=b&c=d", "a:b;c:d;"},
    {"a", "a:;"},
    {"a=", "a:;"},
    {"=b", ":b;"},
    {"&&a=b&&c&", "a:b;c:;"},
    {"a=b=c", "a:b=c;"},
    {"a%3Db=c%26d", "a=b:c&d;"},
    {"a+b=c+d", "a b:c d;"},
    {"a=1&a=2", "a:1;a:2;"},
    {"a;b=c", "a:;b:c;"},
    {"a=1;b=2&c=3", "a:1;b:2;c:3;"},
    {"a=%3B%26;;&b", "a:;&;b:;"},
    {";", ""},
};

START_TEST(splits_queries)
{
    str rest = str_from(queries[_i].in), name, value;
    struct buf b;

    buf_init(&b, 1000);
    while (http_query_next(&arena, &rest, &name, &value))
        buf_printf(&b, STR_FMT ":" STR_FMT ";", STR_ARG(name), STR_ARG(value));
    ck_assert_str_is(buf_str(&b), queries[_i].out);
    buf_fini(&b);
}
END_TEST

START_TEST(no_query)
{
    str rest = STR_NONE, name, value;

    ck_assert(!http_query_next(&arena, &rest, &name, &value));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/url");
    TCase *t = tcase_create("urls");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, decodes, 0, (int)ARRAY_LEN(decoded));
    tcase_add_test(t, decodes_nul);
    tcase_add_test(t, borrows_what_is_plain);
    tcase_add_test(t, full_arena);
    tcase_add_test(t, encodes);
    tcase_add_test(t, round_trip);
    tcase_add_loop_test(t, splits_queries, 0, (int)ARRAY_LEN(queries));
    tcase_add_test(t, no_query);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
