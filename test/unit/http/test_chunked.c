/*
 * Chunked bodies against an unreadable page: whole, in two parts split at every byte, byte by byte,
 * and cut off at every byte.
 */
#include "http/private.h"
#include "test/unit/http/guard.h"

struct good {
    str in;
    const char *data;
};

static const struct good good[] = {
    {STR_INIT("0\r\n\r\n"), ""},
    {STR_INIT("5\r\nhello\r\n0\r\n\r\n"), "hello"},
    {STR_INIT("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), "abcdef"},
    {STR_INIT("a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n"), "01234567890123456789"},
    {STR_INIT("0000000005\r\nhello\r\n0000\r\n\r\n"), "hello"},
    {STR_INIT("2\r\n\r\n\r\n0\r\n\r\n"), "\r\n"}, /* data that looks like line ends */
    {STR_INIT("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), "0\r\n\r\n"},
    {STR_INIT("5;a\r\nhello\r\n0;b=c;d=\"e f\"\r\n\r\n"), "hello"},
    {STR_INIT("5 \t;a\r\nhello\r\n0\r\n\r\n"), "hello"},
    {STR_INIT("5;\r\nhello\r\n0\r\n\r\n"), "hello"},
    {STR_INIT("5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n"), "hello"},
    {STR_INIT("0\r\nContent-Length: 5\r\nHost: x\r\n\r\n"), ""},
};

static const str bad[] = {
    STR_INIT("\r\n"),
    STR_INIT("\r\n5\r\nhello\r\n0\r\n\r\n"),
    STR_INIT(" 5\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("5 \r\nhello\r\n0\r\n\r\n"),
    STR_INIT("5 a\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("+5\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("-5\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("0x5\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("5h\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("g\r\n"),
    STR_INIT(";a\r\n"),
    STR_INIT("5\nhello\r\n0\r\n\r\n"),
    STR_INIT("5\r\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("5\rhello\r\n0\r\n\r\n"),
    STR_INIT("5;a\nb\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("5;a\0\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("5;a\rb\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("5;a\x7f\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("5\r\nhello0\r\n\r\n"),
    STR_INIT("5\r\nhello\n0\r\n\r\n"),
    STR_INIT("5\r\nhello\r0\r\n\r\n"),
    STR_INIT("5\r\nhello!\r\n0\r\n\r\n"),
    STR_INIT("5\r\nhell\r\n0\r\n\r\n"),
    STR_INIT("5\r\nhello\r\n\r\n"),
    STR_INIT("0\r\n\n"),
    STR_INIT("0\r\n\r\r"),
    STR_INIT("0\n\n"),
    STR_INIT("0\r\nA: b\n\r\n"),
    STR_INIT("0\r\nA: b\rc\r\n\r\n"),
    STR_INIT("0\r\nA: b\0\r\n\r\n"),
    STR_INIT("0\r\n A: b\r\n\r\n"),
    STR_INIT("0\r\n\tA: b\r\n\r\n"),
    STR_INIT("0\r\n: b\r\n\r\n"),
    STR_INIT("0\r\nA: b\r\n folded\r\n\r\n"),
    /* 2^63, 2^64, 2^64 + 5, and a size line without end */
    STR_INIT("8000000000000000\r\n"),
    STR_INIT("10000000000000000\r\n"),
    STR_INIT("10000000000000005\r\nhello\r\n0\r\n\r\n"),
    STR_INIT("ffffffffffffffff\r\n"),
    STR_INIT("00000000000000000000000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n"),
};

/* Feeds `in` in pieces that end at the given places; the data is added up in `data`. */
struct run {
    struct chunked d;
    char data[256];
    size_t n, used;
};

static enum chunked_status feed(struct run *r, str part)
{
    char *p = guarded(part);
    size_t data_n, used;
    enum chunked_status s = chunked_decode(&r->d, p, part.n, &data_n, &used);

    ck_assert_uint_le(data_n, used);
    ck_assert_uint_le(used, part.n);
    if (s == CHUNKED_MORE)
        ck_assert_uint_eq(used, part.n);
    ck_assert_uint_le(r->n + data_n, sizeof r->data);
    memcpy(r->data + r->n, p, data_n);
    r->n += data_n;
    r->used += used;
    return s;
}

static void check_good(const struct good *g, const struct run *r)
{
    ck_assert_str_is(((str){r->data, r->n}), g->data);
    ck_assert_uint_eq(r->used, g->in.n);
}

START_TEST(decodes)
{
    const struct good *g = &good[_i];

    for (size_t k = 0; k < g->in.n; k++) {
        struct run two = {.n = 0}, cut = {.n = 0};
        ck_assert_int_eq(feed(&cut, str_sub(g->in, 0, k)), CHUNKED_MORE);
        ck_assert_int_eq(feed(&two, str_sub(g->in, 0, k)), CHUNKED_MORE);
        ck_assert_int_eq(feed(&two, str_drop(g->in, k)), CHUNKED_DONE);
        check_good(g, &two);
    }
}
END_TEST

START_TEST(decodes_a_drip)
{
    const struct good *g = &good[_i];
    struct run r = {.n = 0};

    for (size_t k = 0; k < g->in.n; k++)
        ck_assert_int_eq(feed(&r, str_sub(g->in, k, 1)),
                         k + 1 == g->in.n ? CHUNKED_DONE : CHUNKED_MORE);
    check_good(g, &r);
}
END_TEST

START_TEST(leaves_what_follows)
{
    const struct good *g = &good[_i];
    struct run r = {.n = 0};
    char space[256];
    int n = snprintf(space, sizeof space, STR_FMT "GET / HTTP/1.1\r\n", STR_ARG(g->in));

    ck_assert_int_eq(feed(&r, (str){space, (size_t)n}), CHUNKED_DONE);
    check_good(g, &r);
}
END_TEST

START_TEST(refuses)
{
    for (size_t k = 0; k <= bad[_i].n; k++) {
        struct run r = {.n = 0};
        enum chunked_status s = feed(&r, str_sub(bad[_i], 0, k));
        ck_assert_int_ne(s, CHUNKED_DONE);
        if (s == CHUNKED_MORE)
            s = feed(&r, str_drop(bad[_i], k));
        ck_assert_int_eq(s, CHUNKED_BAD);
        ck_assert_int_eq(feed(&r, STR("0\r\n\r\n")), CHUNKED_BAD); /* and stays so */
    }
}
END_TEST

/* The largest size that is understood: its data may come. */
START_TEST(largest_size)
{
    struct run r = {.n = 0};

    ck_assert_int_eq(feed(&r, STR("7fffffffffffffff\r\nabc")), CHUNKED_MORE);
    ck_assert_uint_eq(r.d.left, (uint64_t)INT64_MAX - 3);
    ck_assert_uint_eq(r.n, 3);
}
END_TEST

/* Gives the decoder `unit` again and again; how many bytes did it take before it refused? */
static size_t refused_after(const char *first, const char *unit, size_t most)
{
    struct run r = {.n = 0};
    size_t n = 0;

    ck_assert_int_eq(feed(&r, str_from(first)), CHUNKED_MORE);
    while (n < most) {
        r.n = 0;
        n += strlen(unit);
        if (feed(&r, str_from(unit)) == CHUNKED_BAD)
            break;
    }
    return n;
}

START_TEST(bounded_overhead)
{
    ck_assert_uint_lt(refused_after("1;", "extension", 100000), 5000);
    ck_assert_uint_lt(refused_after("1 ", "        ", 100000), 5000);
    ck_assert_uint_lt(refused_after("0\r\n", "A: trailer\r\n", 100000), 5000);
    ck_assert_uint_lt(refused_after("0\r\nA: ", "trailer", 100000), 5000);
    ck_assert_uint_lt(refused_after("0", "0", 100000), 100);
    /* small extensions of many chunks add up, plain chunks do not */
    ck_assert_uint_lt(refused_after("", "1;ext\r\na\r\n", 100000), 12000);
    ck_assert_uint_ge(refused_after("", "1\r\na\r\n", 100000), 100000);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/chunked");
    TCase *t = tcase_create("bodies");

    tcase_add_loop_test(t, decodes, 0, (int)ARRAY_LEN(good));
    tcase_add_loop_test(t, decodes_a_drip, 0, (int)ARRAY_LEN(good));
    tcase_add_loop_test(t, leaves_what_follows, 0, (int)ARRAY_LEN(good));
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(t, largest_size);
    tcase_add_test(t, bounded_overhead);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
