/* Eight bytes at a time: every byte at every place, among others that are marked or not. */
#include "test/support/unit.h"

#include "base/bytes.h"

static uint8_t bytes[8];

static uint64_t word(void)
{
    return bytes_load(bytes);
}

/* Puts `byte` at one place among seven others, then calls `check` with all that are to be marked. */
static void each_word(bool (*is_marked)(uint8_t byte), void (*check)(uint64_t want))
{
    static const uint8_t others[] = {0, 'a', '"', '!', '#', 0x1f, 0x20, 0x7f, 0x80, 0xff};

    for (size_t other = 0; other < ARRAY_LEN(others); other++)
        for (unsigned at = 0; at < 8; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                uint64_t want = 0;
                uint8_t marks[8];
                memset(bytes, others[other], sizeof bytes);
                bytes[at] = (uint8_t)byte;
                for (unsigned i = 0; i < 8; i++)
                    marks[i] = is_marked(bytes[i]) ? 0x80 : 0;
                memcpy(&want, marks, sizeof want);
                check(want);
            }
}

/* The lowest mark is right, and there is one if there is to be any. */
static void check_lowest(uint64_t want, uint64_t got)
{
    ck_assert_int_eq(want == 0, got == 0);
    if (want != 0)
        ck_assert_uint_eq(bytes_first(got), bytes_first(want));
}

static bool is_quote(uint8_t c)
{
    return c == '"';
}

static void check_quotes(uint64_t want)
{
    check_lowest(want, bytes_equal(word(), '"'));
}

static bool is_last(uint8_t c)
{
    return c == 0xff;
}

static void check_lasts(uint64_t want)
{
    check_lowest(want, bytes_equal(word(), 0xff));
}

static bool is_control(uint8_t c)
{
    return c < 0x20;
}

static void check_controls(uint64_t want)
{
    check_lowest(want, bytes_below(word(), 0x20));
}

static bool is_ascii(uint8_t c)
{
    return c < 0x80;
}

static void check_ascii(uint64_t want)
{
    check_lowest(want, bytes_below(word(), 0x80));
}

static bool is_small(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static void check_small(uint64_t want)
{
    ck_assert_uint_eq(bytes_between(word(), 'a', 'z'), want);
}

static void check_any_ascii(uint64_t want)
{
    ck_assert_uint_eq(bytes_between(word(), 0, 0x7f), want);
}

START_TEST(marks)
{
    each_word(is_quote, check_quotes);
    each_word(is_last, check_lasts);
    each_word(is_control, check_controls);
    each_word(is_ascii, check_ascii);
    each_word(is_small, check_small);
    each_word(is_ascii, check_any_ascii);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/bytes");
    TCase *c = tcase_create("bytes");

    tcase_add_test(c, marks);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
