/*
 * The progress bar: drawn when there is something new to see, wiped before anything else is printed, and
 * nothing at all where nobody looks.
 */
#include "test/unit/cli/cli_test.h"

#include "cli/private.h"

static FILE *screen;
static struct cli_bar bar;

static void setup_screen(void)
{
    setup();
    screen = fopen("screen", "w+");
    ck_assert_ptr_nonnull(screen);
    cli_bar_init(&bar, screen);
}

static void teardown_screen(void)
{
    fclose(screen);
    teardown();
}

/* What was printed since the last look; static memory. */
static const char *printed(void)
{
    static char text[4096];

    rewind(screen);
    text[fread(text, 1, sizeof text - 1, screen)] = '\0';
    rewind(screen);
    ck_assert_int_eq(ftruncate(fileno(screen), 0), 0);
    return text;
}

static const struct {
    uint64_t done, total;
    const char *want;
} drawn[] = {
    {0, 400 * MIB, "\r[                                        ] 0 % of 400 MiB"},
    {10 * MIB, 400 * MIB, "\r[                                        ] 2 % of 400 MiB"},
    {20 * MIB, 400 * MIB, "\r[##                                      ] 5 % of 400 MiB"},
    {200 * MIB, 400 * MIB, "\r[####################                    ] 50 % of 400 MiB"},
    {399 * MIB, 400 * MIB, "\r[####################################### ] 99 % of 400 MiB"},
    {400 * MIB, 400 * MIB, "\r[########################################] 100 % of 400 MiB"},
    {0, 0, "\r[########################################] 100 % of 0 MiB"},
    {500 * MIB, 400 * MIB,
     "\r[########################################] 100 % of 400 MiB"}, /* it grew */
};

START_TEST(as_much_as_is_done)
{
    cli_bar_draw(&bar, drawn[_i].done, drawn[_i].total);
    ck_assert_str_eq(printed(), drawn[_i].want);
    cli_bar_wipe(&bar);
    ck_assert_str_ne(printed(), "");
}
END_TEST

START_TEST(the_same_is_not_drawn_again)
{
    cli_bar_draw(&bar, 10, 1000);
    ck_assert_str_ne(printed(), "");
    cli_bar_draw(&bar, 19, 1000);
    ck_assert_str_eq(printed(), "");
    cli_bar_draw(&bar, 20, 1000);
    ck_assert_str_ne(printed(), "");
}
END_TEST

START_TEST(what_was_drawn_is_wiped_once)
{
    char want[100];

    cli_bar_wipe(&bar); /* nothing was drawn */
    ck_assert_str_eq(printed(), "");
    cli_bar_draw(&bar, 10, 1000);
    printed();
    snprintf(want, sizeof want, "\r%79s\r", "");
    cli_bar_wipe(&bar);
    ck_assert_str_eq(printed(), want);
    cli_bar_wipe(&bar);
    ck_assert_str_eq(printed(), "");
    cli_bar_draw(&bar, 10, 1000); /* is there again */
    ck_assert_str_ne(printed(), "");
}
END_TEST

START_TEST(nobody_looks)
{
    cli_bar_init(&bar, NULL);
    cli_bar_draw(&bar, 1, 2);
    cli_bar_wipe(&bar);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cli/bar");
    TCase *t = tcase_create("bar");
    tcase_add_checked_fixture(t, setup_screen, teardown_screen);
    tcase_add_loop_test(t, as_much_as_is_done, 0, ARRAY_LEN(drawn));
    tcase_add_test(t, the_same_is_not_drawn_again);
    tcase_add_test(t, what_was_drawn_is_wiped_once);
    tcase_add_test(t, nobody_looks);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
