/*
 * A data directory that changes hands: what is given, and what is not. Needs root; without it the tests
 * say that they were skipped.
 */
#include "test/unit/cli/cli_test.h"

#include "process/process.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>

enum { USER = 4711, GROUP = 4712, OTHER = 4999 };

static struct err_detail detail;

static void make_store(void)
{
    ck_assert_int_eq(mkdir("data", 0700), 0);
    write_text("data/LOCK", "1");
    write_text("data/00000001.log", "log");
    ck_assert_int_eq(mkdir("data/damaged-1", 0700), 0);
    write_text("data/damaged-1/index", "x");
}

static uid_t owner_of(const char *path)
{
    struct stat st;
    ck_assert_msg(lstat(path, &st) == 0, "%s", path);
    ck_assert(st.st_uid != USER || st.st_gid == GROUP);
    return st.st_uid;
}

static enum err hand_over(const char *path)
{
    detail = (struct err_detail){.text = ""};
    return process_hand_over(path, USER, GROUP, &detail);
}

START_TEST(gives_all_of_a_store)
{
    if (!is_root())
        return;
    make_store();
    ck_assert_msg(hand_over("data") == OK, "%s", detail.text);
    static const char *const all[] = {"data", "data/LOCK", "data/00000001.log", "data/damaged-1",
                                      "data/damaged-1/index"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ck_assert_uint_eq(owner_of(all[i]), USER);
}
END_TEST

START_TEST(gives_an_empty_directory)
{
    if (!is_root())
        return;
    ck_assert_int_eq(mkdir("data", 0700), 0);
    ck_assert_int_eq(hand_over("data"), OK);
    ck_assert_uint_eq(owner_of("data"), USER);
}
END_TEST

/* Links are not followed, and what is somebody else's stays theirs. */
START_TEST(follows_no_links)
{
    if (!is_root())
        return;
    make_store();
    write_text("precious", "root's");
    ck_assert_int_eq(mkdir("folder", 0700), 0);
    write_text("folder/precious", "root's");
    write_text("data/theirs", "x");
    ck_assert_int_eq(chown("data/theirs", OTHER, OTHER), 0);
    ck_assert_int_eq(symlink("../precious", "data/link"), 0);
    ck_assert_int_eq(symlink("../folder", "data/tree"), 0);
    ck_assert_int_eq(hand_over("data"), OK);
    ck_assert_uint_eq(owner_of("precious"), 0);
    ck_assert_uint_eq(owner_of("folder"), 0);
    ck_assert_uint_eq(owner_of("folder/precious"), 0);
    ck_assert_uint_eq(owner_of("data/theirs"), OTHER);
    ck_assert_uint_eq(owner_of("data/LOCK"), USER);
}
END_TEST

/* A folder that is theirs already, as when a hand-over was cut off: what of root's is in it they have
 * linked there. */
START_TEST(gives_nothing_out_of_folders_of_others)
{
    if (!is_root())
        return;
    make_store();
    write_text("precious", "root's");
    ck_assert_int_eq(link("precious", "data/damaged-1/linked"), 0);
    ck_assert_int_eq(chown("data/damaged-1", USER, GROUP), 0);
    ck_assert_msg(hand_over("data") == OK, "%s", detail.text);
    ck_assert_uint_eq(owner_of("precious"), 0);
    ck_assert_uint_eq(owner_of("data"), USER);
}
END_TEST

static void make_shared(void)
{
    make_store();
    ck_assert_int_eq(chmod("data/damaged-1", 0777), 0);
}

/* As in a backup of root's: the one before it would be given, too. */
static void make_second_name(void)
{
    make_store();
    ck_assert_int_eq(mkdir("backup", 0700), 0);
    ck_assert_int_eq(link("data/00000001.log", "backup/00000001.log"), 0);
}

static void make_open(void)
{
    make_store();
    ck_assert_int_eq(chmod("data", 0720), 0);
}

static void make_theirs(void)
{
    make_store();
    ck_assert_int_eq(chown("data", OTHER, OTHER), 0);
}

static void make_link(void)
{
    make_store();
    ck_assert_int_eq(rename("data", "real"), 0);
    ck_assert_int_eq(symlink("real", "data"), 0);
}

/* As if /etc had been named. */
static void make_no_store(void)
{
    ck_assert_int_eq(mkdir("data", 0700), 0);
    write_text("data/shadow", "x");
}

static void make_file(void)
{
    write_text("data", "x");
}

static void (*const wrong[])(void) = {make_open, make_theirs, make_link,       make_no_store,
                                      make_file, make_shared, make_second_name};

START_TEST(refuses)
{
    if (!is_root())
        return;
    wrong[_i]();
    ck_assert_int_ne(hand_over("data"), OK);
    ck_assert_ptr_nonnull(strstr(detail.text, "data"));
    ck_assert_uint_ne(owner_of("data"), USER);
    if (access("data/shadow", F_OK) == 0)
        ck_assert_uint_eq(owner_of("data/shadow"), 0);
    if (access("backup", F_OK) == 0)
        ck_assert_uint_eq(owner_of("backup/00000001.log"), 0);
    if (access("data/LOCK", F_OK) == 0)
        ck_assert_uint_eq(owner_of("data/LOCK"), 0);
}
END_TEST

static void make_deep(int folders)
{
    char path[256] = "data";
    for (int i = 0; i < folders; i++) {
        memcpy(path + 4 + 2 * i, "/d", 3);
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    write_text("data/LOCK", "1");
}

/* What lies so deep that it would be left behind is no store; and nothing is passed over in silence. */
START_TEST(refuses_what_is_too_deep)
{
    if (!is_root())
        return;
    ck_assert_int_eq(mkdir("data", 0700), 0);
    make_deep(_i);
    ck_assert_int_eq(hand_over("data"), _i <= 8 ? OK : ERR_REFUSED);
    ck_assert_uint_eq(owner_of("data"), _i <= 8 ? USER : 0);
    ck_assert_uint_eq(owner_of("data/d/d/d/d/d/d/d/d"), _i <= 8 ? USER : 0);
    if (_i > 8)
        ck_assert_ptr_nonnull(strstr(detail.text, "deep"));
}
END_TEST

static void take_over(struct process_loan *loan)
{
    ck_assert_int_eq(mkdir("data", 0700), 0);
    ck_assert_int_eq(chmod("data", 02755), 0);
    ck_assert_int_eq(chown("data", USER, GROUP), 0);
    ck_assert_int_eq(process_hold("data", loan, &detail), OK);
    ck_assert_int_eq(process_take_over(loan, &detail), OK);
    struct stat st;
    ck_assert(!loan->made && stat("data", &st) == 0 && st.st_uid == 0 && (st.st_mode & 077) == 0);
}

static void want_dir(mode_t mode)
{
    struct stat st;
    ck_assert(stat("data", &st) == 0 && st.st_uid == USER && st.st_gid == GROUP);
    ck_assert_uint_eq(st.st_mode & 07777, mode);
}

START_TEST(gives_back_as_it_was)
{
    struct process_loan loan;
    if (!is_root())
        return;
    take_over(&loan);
    ck_assert_int_eq(process_give_back(&loan, false, &detail), OK);
    want_dir(02755);
    loan = (struct process_loan){.fd = 4242};
    ck_assert_int_eq(process_hold("nothing/data", &loan, &detail), ERR_NOTFOUND);
    ck_assert_int_eq(symlink("data", "link"), 0);
    ck_assert_int_eq(process_hold("link", &loan, &detail), ERR_REFUSED);
    ck_assert_ptr_nonnull(strstr(detail.text, "link: is a symbolic link"));
    ck_assert(loan.fd == 4242 && loan.dir == NULL);
}
END_TEST

START_TEST(gives_back_what_it_filled)
{
    struct process_loan loan;
    if (!is_root())
        return;
    take_over(&loan);
    write_text("data/LOCK", "1");
    ck_assert_int_eq(process_give_back(&loan, true, &detail), OK);
    want_dir(0700);
    ck_assert_uint_eq(owner_of("data/LOCK"), USER);
}
END_TEST

/* Half way it cannot go on: the directory is not root's for ever, and nothing is in the way of a second
 * try. */
START_TEST(gives_back_in_any_case)
{
    struct process_loan loan;
    if (!is_root())
        return;
    take_over(&loan);
    make_deep(9);
    write_text("precious", "root's");
    ck_assert_int_eq(symlink("../precious", "data/d/link"), 0);
    write_text("data/d/file", "x");
    ck_assert_int_eq(process_give_back(&loan, true, &detail), ERR_REFUSED);
    ck_assert_ptr_nonnull(strstr(detail.text, "deep"));
    want_dir(02755);
    ck_assert_uint_eq(entries_of("data"), 0);
    ck_assert_uint_eq(owner_of("precious"), 0);
}
END_TEST

/* Deeper than it goes to remove: whoever reads the error knows that something is left. */
START_TEST(tells_what_it_cannot_take_away)
{
    struct process_loan loan;
    if (!is_root())
        return;
    take_over(&loan);
    make_deep(70);
    ck_assert_int_eq(process_give_back(&loan, true, &detail), ERR_REFUSED);
    ck_assert_ptr_nonnull(strstr(detail.text, "deep"));
    ck_assert_ptr_nonnull(strstr(detail.text, "still there"));
    want_dir(02755);
}
END_TEST

/* Whose folder it lies in can put another directory there, while root fills it. */
START_TEST(fills_the_one_that_it_took)
{
    struct process_loan loan;
    char path[64];
    if (!is_root())
        return;
    take_over(&loan);
    ck_assert_int_eq(rename("data", "taken"), 0);
    ck_assert_int_eq(mkdir("empty", 0700), 0);
    ck_assert_int_eq(symlink("empty", "data"), 0);
    snprintf(path, sizeof path, "%s/LOCK", loan.path);
    write_text(path, "1");
    ck_assert_uint_eq(entries_of("taken"), 1);
    ck_assert_int_eq(process_give_back(&loan, true, &detail), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(detail.text, "data"));
    ck_assert_uint_eq(owner_of("taken"), USER);
    ck_assert_uint_eq(entries_of("taken"), 0);
    ck_assert_uint_eq(owner_of("empty"), 0);
    ck_assert_uint_eq(entries_of("empty"), 0);
}
END_TEST

/* Root's rights without that to give files away. */
static void lose_chown(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    ck_assert_int_eq(syscall(SYS_capget, &header, sets), 0);
    sets[0].effective &= ~(1u << CAP_CHOWN);
    sets[0].permitted &= ~(1u << CAP_CHOWN);
    ck_assert_int_eq(syscall(SYS_capset, &header, sets), 0);
}

/* The very last step fails, behind which there is no other. */
START_TEST(nothing_stays_where_the_last_step_fails)
{
    struct process_loan loan;
    struct stat st;
    if (!is_root())
        return;
    take_over(&loan);
    write_text("data/LOCK", "1");
    ck_assert_int_eq(chown("data/LOCK", USER, GROUP), 0);
    lose_chown();
    ck_assert_int_ne(process_give_back(&loan, true, &detail), OK);
    ck_assert_ptr_nonnull(strstr(detail.text, "cannot be given back"));
    ck_assert_ptr_nonnull(strstr(detail.text, "the directory is root's: chown it"));
    ck_assert_uint_eq(entries_of("data"), 0);
    ck_assert_int_eq(stat("data", &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 02755);
}
END_TEST

/* Root's own, in whosoever's folder: held in the same way, and not there any more when nothing came of it. */
START_TEST(holds_what_it_makes)
{
    struct process_loan loan;
    struct stat st;
    char path[64];
    if (!is_root())
        return;
    ck_assert_int_eq(process_hold("data", &loan, &detail), OK);
    ck_assert(loan.made && loan.uid == 0 && process_take_over(&loan, &detail) == OK);
    ck_assert_int_eq(process_give_back(&loan, false, &detail), OK);
    ck_assert_int_ne(access("data", F_OK), 0);
    for (int exchanged = 0; exchanged < 2; exchanged++) {
        ck_assert_int_eq(process_hold("data", &loan, &detail), OK);
        snprintf(path, sizeof path, "%s/LOCK", loan.path);
        write_text(path, "1");
        if (exchanged) {
            ck_assert_int_eq(rename("data", "moved"), 0);
            ck_assert_int_eq(symlink("elsewhere", "data"), 0);
        }
        ck_assert_int_eq(process_give_back(&loan, true, &detail), exchanged ? ERR_CONFLICT : OK);
        ck_assert(stat(exchanged ? "moved" : "data", &st) == 0 && st.st_uid == 0);
        ck_assert_uint_eq(entries_of(exchanged ? "moved" : "data"), exchanged ? 0 : 1);
        if (!exchanged)
            ck_assert_int_eq(rename("data", "elsewhere"), 0);
    }
}
END_TEST

/* What others may write to is closed to them from the begin: it was empty then. */
START_TEST(closes_what_others_may_write_to)
{
    struct process_loan loan;
    struct stat st;
    if (!is_root())
        return;
    for (int filled = 0; filled < 2; filled++) {
        ck_assert(mkdir("data", 0700) == 0 && chmod("data", 0777) == 0);
        ck_assert_int_eq(process_hold("data", &loan, &detail), OK);
        ck_assert_int_eq(process_take_over(&loan, &detail), OK);
        ck_assert(stat("data", &st) == 0 && (st.st_mode & 07777) == 0700);
        ck_assert_int_eq(process_give_back(&loan, filled, &detail), OK);
        ck_assert(stat("data", &st) == 0 && (st.st_mode & 07777) == (filled ? 0700 : 0777));
        ck_assert_int_eq(rmdir("data"), 0);
    }
}
END_TEST

/* Under another name it is the same one. */
START_TEST(gives_back_the_one_that_it_took)
{
    struct process_loan loan;
    if (!is_root())
        return;
    take_over(&loan);
    ck_assert_int_eq(rename("data", "taken"), 0);
    ck_assert_int_eq(mkdir("data", 0700), 0);
    ck_assert_int_eq(process_give_back(&loan, false, &detail), OK);
    ck_assert_uint_eq(owner_of("data"), 0);
    ck_assert_uint_eq(owner_of("taken"), USER);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("process/handover");
    TCase *t = tcase_create("handover");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, gives_all_of_a_store);
    tcase_add_test(t, gives_an_empty_directory);
    tcase_add_test(t, follows_no_links);
    tcase_add_test(t, gives_nothing_out_of_folders_of_others);
    tcase_add_loop_test(t, refuses, 0, (int)ARRAY_LEN(wrong));
    tcase_add_loop_test(t, refuses_what_is_too_deep, 8, 10);
    tcase_add_test(t, gives_back_as_it_was);
    tcase_add_test(t, gives_back_what_it_filled);
    tcase_add_test(t, gives_back_in_any_case);
    tcase_add_test(t, tells_what_it_cannot_take_away);
    tcase_add_test(t, fills_the_one_that_it_took);
    tcase_add_test(t, gives_back_the_one_that_it_took);
    tcase_add_test(t, nothing_stays_where_the_last_step_fails);
    tcase_add_test(t, holds_what_it_makes);
    tcase_add_test(t, closes_what_others_may_write_to);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
