/*
 * What kinto backup and kinto restore add to the engine's copy: the secret, how far it is, and that
 * Ctrl-C leaves nothing.
 */
#include "test/unit/cli/cli_test.h"

#include <fcntl.h>
#include <signal.h>

static struct err_detail detail;
static struct engine_backup_result result;

static void make_store(const char *path)
{
    struct engine_options o = {.dir = path};
    struct engine_txn *t;
    struct engine *e;

    ck_assert_int_eq(engine_open(&e, &o, NULL, &detail), OK);
    ck_assert_int_eq(engine_txn_begin(e, &t), OK);
    ck_assert_int_eq(engine_put(t, STR("key"), STR("value")), OK);
    engine_txn_commit(t, NULL, NULL);
    engine_close(e);
}

START_TEST(the_secret_goes_with_the_data)
{
    const struct cli_copy there = {.from = "data", .to = "copy"};
    const struct cli_copy back = {.from = "copy", .to = "again"};
    struct arena a;
    str secret;

    arena_init(&a, NULL, 0, NULL, MIB);
    make_store("data");
    ck_assert_int_eq(cli_secret_keep(&a, "data", &secret, &detail), OK);
    ck_assert_int_eq(cli_copy_run(&there, &result, &detail), OK);
    ck_assert_int_eq(cli_copy_run(&back, &result, &detail), OK);
    ck_assert_uint_eq(result.version, 1);
    const char *text = read_text("again/secret");
    ck_assert_ptr_nonnull(text);
    ck_assert(str_eq(str_trim(str_from(text)), secret));
    ck_assert_int_eq(cli_copy_run(&back, &result, &detail), ERR_EXISTS);
    arena_fini(&a);
}
END_TEST

START_TEST(a_terminal_sees_how_far_it_is)
{
    FILE *file = fopen("screen", "w");
    const struct cli_copy c = {.from = "data", .to = "copy", .progress = file};

    ck_assert_ptr_nonnull(file);
    make_store("data");
    ck_assert_int_eq(cli_copy_run(&c, &result, &detail), OK);
    fclose(file);
    const char *text = read_text("screen");
    ck_assert_ptr_nonnull(
        strstr(text, "\r[########################################] 100 % of 0 MiB"));
    ck_assert_int_eq(text[strlen(text) - 1], '\r'); /* the line is for the next one again */
}
END_TEST

static const int stops[] = {SIGINT, SIGTERM, SIGHUP};

START_TEST(a_signal_ends_it)
{
    const struct cli_copy c = {.from = "data", .to = "copy"};
    sigset_t set;
    int got;

    make_store("data");
    sigemptyset(&set);
    sigaddset(&set, stops[_i]);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    ck_assert_int_eq(raise(stops[_i]), 0);
    ck_assert_int_eq(cli_copy_run(&c, &result, &detail), ERR_CLOSED);
    ck_assert_str_eq(detail.text, "stopped; nothing was kept");
    ck_assert_int_ne(access("copy", F_OK), 0);
    ck_assert_int_eq(sigwait(&set, &got), 0);
    ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
}
END_TEST

/* What the owner of the data can put in the way of root, who makes the backup: it would be theirs to read,
 * once it is restored, or keep root waiting. */
static void link_secret(void)
{
    write_text("precious", "root's");
    ck_assert_int_eq(symlink("../precious", "data/secret"), 0);
}

static void fifo_secret(void)
{
    ck_assert_int_eq(mkfifo("data/secret", 0600), 0);
}

static void huge_secret(void)
{
    write_text("data/secret", "x");
    ck_assert_int_eq(truncate("data/secret", 1LL << 40), 0);
}

static void link_segment(void)
{
    ck_assert_int_eq(rename("data/00000001.log", "data/one"), 0);
    ck_assert_int_eq(symlink("one", "data/00000001.log"), 0);
}

static void fifo_segment(void)
{
    ck_assert_int_eq(unlink("data/00000001.log"), 0);
    ck_assert_int_eq(mkfifo("data/00000001.log", 0600), 0);
}

static const struct {
    void (*plant)(void);
    enum err err;
} planted[] = {
    {link_secret, ERR_REFUSED},  {fifo_secret, ERR_REFUSED},  {huge_secret, ERR_LIMIT},
    {link_segment, ERR_REFUSED}, {fifo_segment, ERR_REFUSED},
};

START_TEST(nothing_is_copied_that_was_planted)
{
    const struct cli_copy c = {.from = "data", .to = "copy"};

    make_store("data");
    planted[_i].plant();
    ck_assert_int_eq(cli_copy_run(&c, &result, &detail), planted[_i].err);
    ck_assert_ptr_nonnull(strstr(detail.text, "data/"));
    ck_assert_int_ne(access("copy", F_OK), 0);
}
END_TEST

static void own_all(uid_t uid)
{
    static const char *const all[] = {"data", "data/00000001.log", "data/LOCK"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ck_assert_int_eq(chown(all[i], uid, uid), 0);
}

/* A second name for a file of somebody else is no symbolic link. */
START_TEST(root_copies_what_is_the_owners)
{
    enum { USER = 4711 };
    const struct cli_copy c = {.from = "data", .to = "copy"}, again = {.from = "data", .to = "two"};

    if (!is_root())
        return;
    make_store("data");
    own_all(USER);
    write_text("precious", "root's");
    ck_assert_int_eq(link("precious", "data/secret"), 0);
    ck_assert_int_eq(cli_copy_run(&c, &result, &detail), ERR_REFUSED);
    ck_assert_ptr_nonnull(strstr(detail.text, "data/secret"));
    ck_assert_int_eq(chown("precious", USER, USER), 0);
    ck_assert_int_eq(cli_copy_run(&again, &result, &detail), OK);
    own_all(0); /* whoever could write to it could have linked there what is root's */
    ck_assert_int_eq(chmod("data", 01777), 0);
    ck_assert_int_eq(cli_copy_run(&c, &result, &detail), ERR_REFUSED);
    ck_assert_ptr_nonnull(strstr(detail.text, "others may write"));
    ck_assert_int_eq(chmod("data", 0755), 0); /* whoever else has files in it was let in by root */
    ck_assert_int_eq(cli_copy_run(&c, &result, &detail), OK);
}
END_TEST

/* ---- root, in the folder of somebody who exchanges names ---------------------------------------- */

static const char *target; /* what root fills */
static bool exchanged;

/* At the first file that root makes. */
static int exchanging_open(const char *path, int flags, unsigned mode)
{
    if ((flags & O_CREAT) && !exchanged) {
        exchanged = true;
        ck_assert_int_eq(rename(target, "moved"), 0);
        ck_assert_int_eq(symlink("trap", target), 0);
    }
    return os_kernel.open(path, flags, mode);
}

static void begin_run(struct cli_run *r, struct cli_args *args)
{
    *r = (struct cli_run){.args = args, .out = stdout, .err = stderr, .in = stdin};
    args->quiet = true;
    ck_assert_msg(cli_run_open(r) == OK, "%s", r->detail.text);
}

static const struct {
    enum err (*command)(struct cli_run *r);
    const char *data, *operand, *target;
    bool there;
} exchanges[] = {
    {cli_command_restore, "new", "data", "new", false},
    {cli_command_restore, "new", "data", "new", true},
    {cli_command_backup, "data", "new", "new", false},
    {cli_command_backup, "data", "new", "new", true},
};

START_TEST(root_fills_nothing_by_its_name)
{
    struct cli_args args = {.data = exchanges[_i].data,
                            .operands = {.at = {exchanges[_i].operand}, .n = 1}};
    struct os_ops ops = os_kernel;
    struct cli_run r;

    if (!is_root())
        return;
    make_store("data");
    target = exchanges[_i].target;
    ck_assert_int_eq(mkdir("trap", 0700), 0);
    if (exchanges[_i].there)
        ck_assert(mkdir(target, 0700) == 0 && chown(target, 4711, 4711) == 0);
    begin_run(&r, &args);
    ops.open = exchanging_open;
    os_test_replace(&ops);
    ck_assert_int_eq(exchanges[_i].command(&r), ERR_CONFLICT);
    os_test_replace(NULL);
    ck_assert(exchanged && strstr(r.detail.text, "exchanged"));
    ck_assert_uint_eq(entries_of("trap"), 0);
    ck_assert_uint_eq(entries_of("moved"), 0);
    cli_run_close(&r);
}
END_TEST

START_TEST(root_keeps_what_it_makes)
{
    struct cli_args to = {.data = "data", .operands = {.at = {"copy"}, .n = 1}};
    struct cli_args back = {.data = "again", .operands = {.at = {"copy"}, .n = 1}};
    struct cli_run r;
    struct stat st;

    if (!is_root())
        return;
    make_store("data");
    begin_run(&r, &to);
    ck_assert_msg(cli_command_backup(&r) == OK, "%s", r.detail.text);
    ck_assert_int_eq(cli_command_backup(&r), ERR_EXISTS);
    ck_assert_ptr_nonnull(strstr(r.detail.text, "copy: is not empty"));
    cli_run_close(&r);
    begin_run(&r, &back);
    ck_assert_msg(cli_command_restore(&r) == OK, "%s", r.detail.text);
    cli_run_close(&r);
    ck_assert(stat("again", &st) == 0 && st.st_uid == 0 && (st.st_mode & 07777) == 0700);
    ck_assert_int_eq(access("again/index", F_OK), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cli/backup");
    TCase *t = tcase_create("backup");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_secret_goes_with_the_data);
    tcase_add_test(t, a_terminal_sees_how_far_it_is);
    tcase_add_loop_test(t, a_signal_ends_it, 0, ARRAY_LEN(stops));
    tcase_add_loop_test(t, nothing_is_copied_that_was_planted, 0, ARRAY_LEN(planted));
    tcase_add_test(t, root_copies_what_is_the_owners);
    tcase_add_loop_test(t, root_fills_nothing_by_its_name, 0, ARRAY_LEN(exchanges));
    tcase_add_test(t, root_keeps_what_it_makes);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
