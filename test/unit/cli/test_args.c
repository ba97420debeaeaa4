/*
 * test/unit/cli/test_args.c - the words of the command line by tables that the test brings.
 */
#include "cli/cli.h"
#include "test/support/unit.h"

enum { GO = 1, STAY = 2 };

static const struct cli_command commands[] = {
    {"go", GO, "[--ini FILE]", "leave", NULL},
    {"stay", STAY, "", "do not", NULL},
};

static const struct cli_option options[] = {
    {"--ini", NULL, "FILE", offsetof(struct cli_args, ini), GO | STAY, "a file"},
    {"--port", "-p", "N", offsetof(struct cli_args, port), GO, "a port"},
    {"--quiet", "-q", NULL, offsetof(struct cli_args, quiet), GO | STAY, "say little"},
    {"--debug", "-v", NULL, offsetof(struct cli_args, verbose), GO, "say much"},
    {"PLACE... DAY", NULL, NULL, offsetof(struct cli_args, operands), STAY, NULL},
};

static const struct cli_words words = {commands, ARRAY_LEN(commands), options, ARRAY_LEN(options)};

static struct cli_args args;
static struct err_detail detail;

static enum err parse(const char *command, const char *const *argv)
{
    args = (struct cli_args){0};
    const struct cli_command *c = cli_find_command(&words, command);
    ck_assert_ptr_nonnull(c);
    return cli_parse(&words, c, (char **)(uintptr_t)argv, &args, &detail);
}

static const struct {
    const char *argv[5], *ini, *port;
    bool quiet;
} good[] = {
    {{NULL}, NULL, NULL, false},
    {{"--ini", "a"}, "a", NULL, false},
    {{"--ini=a", "-q"}, "a", NULL, true},
    {{"--ini="}, "", NULL, false},
    {{"--ini=a=b"}, "a=b", NULL, false},
    {{"--ini", "-q"}, "-q", NULL, false}, /* a value, whatever it looks like */
    {{"--ini", "a", "--ini", "b"}, "b", NULL, false},
    {{"-p", "0"}, NULL, "0", false},
    {{"-p=65535", "--quiet"}, NULL, "65535", true},
};

START_TEST(words_that_are_understood)
{
    ck_assert_msg(parse("go", good[_i].argv) == OK, "%s", detail.text);
    ck_assert_pstr_eq(args.ini, good[_i].ini);
    ck_assert_pstr_eq(args.port, good[_i].port);
    ck_assert_int_eq(args.quiet, good[_i].quiet);
    ck_assert(!args.verbose && !args.memory && !args.host);
}
END_TEST

static const struct {
    const char *command, *argv[4], *said;
} bad[] = {
    {"go", {"now"}, "no such option: now"},
    {"go", {"--in", "a"}, "no such option: --in"},
    {"go", {"--inis=a"}, "no such option: --inis=a"},
    {"go", {""}, "no such option: "},
    {"go", {"-1"}, "no such option: -1"},
    {"stay", {"a", "--port", "1"}, "no such option: --port"},
    {"stay", {"PLACE... DAY", "-"}, "no such option: -"},
    {"go", {"--port"}, "option without its value: --port"},
    {"go", {"-q", "--ini"}, "option without its value: --ini"},
    {"go", {"--quiet=yes"}, "option that takes no value: --quiet"},
    {"go", {"--port", "65536"}, "--port is a number from 0 to 65535, found: 65536"},
    {"go", {"--port="}, "--port is a number from 0 to 65535, found: "},
    {"go", {"-p", "-1"}, "--port is a number from 0 to 65535, found: -1"},
    {"go", {"-v", "-q"}, "-q and -v exclude each other"},
};

START_TEST(operands_keep_their_order)
{
    const char *many[CLI_MAX_WORDS + 2] = {NULL};
    ck_assert_int_eq(parse("stay", (const char *const[]){"b", "--ini", "x", "a", "-1", NULL}), OK);
    ck_assert_str_eq(args.ini, "x");
    ck_assert_uint_eq(args.operands.n, 3);
    ck_assert_str_eq(args.operands.at[0], "b");
    ck_assert_str_eq(args.operands.at[1], "a");
    ck_assert_str_eq(args.operands.at[2], "-1");
    for (size_t i = 0; i < CLI_MAX_WORDS; i++)
        many[i] = "w";
    ck_assert_int_eq(parse("stay", many), OK);
    ck_assert_uint_eq(args.operands.n, CLI_MAX_WORDS);
    many[CLI_MAX_WORDS] = "w";
    ck_assert_int_eq(parse("stay", many), ERR_SYNTAX);
    ck_assert_str_eq(detail.text, "more than 16 words");
}
END_TEST

START_TEST(words_that_are_wrong_are_named)
{
    ck_assert_int_eq(parse(bad[_i].command, bad[_i].argv), ERR_SYNTAX);
    ck_assert_str_eq(detail.text, bad[_i].said);
}
END_TEST

START_TEST(commands_by_their_whole_name)
{
    ck_assert_ptr_eq(cli_find_command(&words, "stay"), &commands[1]);
    ck_assert_ptr_null(cli_find_command(&words, "sta"));
    ck_assert_ptr_null(cli_find_command(&words, "stays"));
    ck_assert_ptr_null(cli_find_command(&words, ""));
}
END_TEST

START_TEST(help_names_every_row)
{
    static char text[4096];
    FILE *to = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(to);
    cli_print_help(&words, to);
    fclose(to);
    ck_assert_ptr_nonnull(strstr(text, "kinto go [--ini FILE]\n        leave\n"));
    ck_assert_ptr_nonnull(strstr(text, "kinto stay"));
    ck_assert_ptr_nonnull(strstr(text, "  --ini FILE             a file\n"));
    ck_assert_ptr_nonnull(strstr(text, "  -p, --port N           a port\n"));
    ck_assert_ptr_nonnull(strstr(text, "  -q, --quiet            say little\n"));
    ck_assert_ptr_null(strstr(text, "PLACE"));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cli/args");
    TCase *t = tcase_create("args");
    tcase_add_loop_test(t, words_that_are_understood, 0, ARRAY_LEN(good));
    tcase_add_test(t, operands_keep_their_order);
    tcase_add_loop_test(t, words_that_are_wrong_are_named, 0, ARRAY_LEN(bad));
    tcase_add_test(t, commands_by_their_whole_name);
    tcase_add_test(t, help_names_every_row);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
