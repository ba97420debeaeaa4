/*
 * What kinto check says: a line for each finding, what would be lost, how far it is; and that it asks
 * before anything is lost, and only then.
 */
#include "test/unit/cli/cli_test.h"

#include "store/store.h"
#include <fcntl.h>

static struct err_detail detail;

#define want_text(text, part)                                                                      \
    ck_assert_msg(strstr((text), (part)) != NULL, "no \"%s\" in: %s", (part), (text))
#define want_not(text, part)                                                                       \
    ck_assert_msg(strstr((text), (part)) == NULL, "\"%s\" in: %s", (part), (text))

/* ---- stores ---------------------------------------------------------------------------------- */

/* One transaction. */
static void put(const char *key)
{
    struct engine_options o = {.dir = "data"};
    struct engine_txn *t;
    struct engine *e;

    ck_assert_int_eq(engine_open(&e, &o, NULL, &detail), OK);
    ck_assert_int_eq(engine_txn_begin(e, &t), OK);
    ck_assert_int_eq(engine_put(t, str_from(key), STR("value")), OK);
    engine_txn_commit(t, NULL, NULL);
    engine_close(e);
}

static void run(const char *command)
{
    ck_assert_int_eq(system(command), 0);
}

/* Turns a byte around. */
static void damage(const char *path, long off)
{
    int fd = open(path, O_RDWR);
    char c;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, &c, 1, off), 1);
    c = (char)~c;
    ck_assert_int_eq(pwrite(fd, &c, 1, off), 1);
    close(fd);
}

static void damage_index(void)
{
    struct stat st;

    ck_assert_int_eq(stat("data/index", &st), 0);
    for (long at = 2 * 4096; at < st.st_size; at += 4096)
        damage("data/index", at + 100);
}

/* The log has another key than the index, and both are whole. */
static void mix_histories(void)
{
    put("of both");
    run("cp -r data other");
    put("of the index");
    run("mv data/index of_the_index && rm -r data && mv other data");
    put("of the log..");
    run("mv of_the_index data/index");
}

/* ---- a run ----------------------------------------------------------------------------------- */

static struct cli_check options(void)
{
    return (struct cli_check){.dir = "data"};
}

/* What was said; static memory. `answer` NULL: there is no terminal. */
static const char *check(struct cli_check c, const char *answer, enum err want, bool want_sound)
{
    bool sound = !want_sound;

    detail.text[0] = 0;
    c.out = fopen("said", "w");
    ck_assert_ptr_nonnull(c.out);
    if (answer != NULL) {
        write_text("answer", answer);
        c.in = fopen("answer", "r");
    }
    enum err e = cli_check_run(&c, &sound, &detail);
    ck_assert_msg(e == want, "%s (%s)", err_text(e), detail.text);
    if (e == OK)
        ck_assert_int_eq(sound, want_sound);
    fclose(c.out);
    if (c.in != NULL)
        fclose(c.in);
    return read_text("said");
}

START_TEST(a_sound_store)
{
    struct cli_check c = options();
    const char *text;

    put("key");
    text = check(c, NULL, OK, true);
    want_text(text, "data: 1 segments, 1 frames");
    want_text(text, " 1 keys, ");
    want_text(text, " ms: no problems\n");
    c.quiet = true;
    ck_assert_str_eq(check(c, NULL, OK, true), "");
    c.repair = true;
    ck_assert_str_eq(check(c, NULL, OK, true), "");
}
END_TEST

START_TEST(what_is_no_problem_is_a_note)
{
    struct cli_check c = options();

    put("key");
    ck_assert_int_eq(unlink("data/index"), 0);
    want_text(check(c, NULL, OK, true), "note: index: is not there, the next start makes it\n");
    c.quiet = true;
    ck_assert_str_eq(check(c, NULL, OK, true), "");
}
END_TEST

START_TEST(a_directory_without_a_store)
{
    ck_assert_int_eq(mkdir("data", 0700), 0);
    check(options(), NULL, ERR_NOTFOUND, false);
    ck_assert_str_eq(detail.text, "data: there is no store in it");
}
END_TEST

/* ---- only the index -------------------------------------------------------------------------- */

/* Where no key of it can be read, nobody knows what it had. */
START_TEST(an_index_that_cannot_be_read)
{
    struct cli_check c = options();
    const char *text;

    put("key");
    damage_index();
    text = check(c, NULL, OK, false);
    want_text(text, "index: ");
    want_text(text, "Only the index is damaged");
    want_text(text, "No key of it can be read");
    want_not(text, "nothing is lost");
    want_text(text, "kinto check --repair keeps the files");
    c.repair = true;
    text = check(c, NULL, OK, true);
    want_text(text, "made anew from the log; the old one is index.damaged\n");
    ck_assert_int_eq(access("data/index.damaged", F_OK), 0);
}
END_TEST

/* All of its keys are in the log: what is wrong is a byte that belongs to nothing. */
START_TEST(an_index_whose_keys_are_all_in_the_log)
{
    struct cli_check c = options();
    const char *text;

    put("key");
    damage("data/index", 4000); /* behind the first root */
    text = check(c, NULL, OK, false);
    want_text(text, "index: page 0: something lies behind the root\n");
    want_text(text, "All keys of it that can be read, 1, are in the log.\n");
    c.repair = true;
    want_not(check(c, NULL, OK, true), "[y/N]");
}
END_TEST

START_TEST(an_index_with_keys_that_the_log_has_not)
{
    struct cli_check c = options();
    const char *text;

    mix_histories();
    text = check(c, NULL, OK, false);
    want_text(text, "key \"of the index\" is not there by the log\n");
    want_text(text, "of 2 keys of the index that were looked for, 1 are not in the log, 0 have");
    want_not(text, "nothing is lost");
    c.repair = true;
    text = check(c, NULL, ERR_AGAIN, false);
    want_text(text, "1 are not in the log");
    want_not(text, "[y/N]");
    ck_assert_str_eq(detail.text,
                     "data: nothing was changed; without a terminal --repair wants --yes");
    text = check(c, "n\n", ERR_AGAIN, false);
    want_text(text, "Make the index anew from the log (the old files are kept)? [y/N] ");
    ck_assert_str_eq(detail.text, "data: nothing was changed");
    ck_assert_int_ne(access("data/index.damaged", F_OK), 0);
    text = check(c, "yes\n", OK, true);
    ck_assert_ptr_null(strstr(strstr(text, " segments, ") + 1, " segments, ")); /* said once */
    want_text(text, "made anew");
    c.repair = false;
    want_text(check(c, NULL, OK, true), "no problems\n");
}
END_TEST

/* ---- the log --------------------------------------------------------------------------------- */

START_TEST(a_damaged_log)
{
    struct cli_check c = options();
    const char *text;

    put("first");
    put("second");
    damage("data/00000001.log", 64 + 8);
    text = check(c, NULL, OK, false);
    want_text(text, "00000001.log: offset 64: bad frame");
    want_text(text, "transactions are missing; 1 are whole.\n");
    want_text(text, "Of the keys of the index, 1 have their newest value there; 0 that were");
    want_not(text, "Only the index");
    c.repair = true;
    want_text(check(c, "n\n", ERR_AGAIN, false),
              "Write a new log of the transactions that are whole (the old files are kept)? [y/N]");
    check(c, "", ERR_AGAIN, false); /* the end of the input is no yes */
    c.yes = true;
    text = check(c, NULL, OK, true);
    want_not(text, "[y/N]");
    want_text(text, "data: a new log has been written; the old files are in data/damaged-");
}
END_TEST

/* ---- the store ------------------------------------------------------------------------------- */

static const char *check_store(struct cli_check c, bool want_sound)
{
    const struct store_options o = {.dir = "data"};
    struct store *store;
    bool sound = !want_sound;

    c.out = fopen("said", "w");
    ck_assert_ptr_nonnull(c.out);
    ck_assert_int_eq(store_open(&store, &o, NULL, &detail), OK);
    ck_assert_int_eq(cli_check_store(&c, store, &sound, &detail), OK);
    store_close(store);
    fclose(c.out);
    ck_assert_int_eq(sound, want_sound);
    return read_text("said");
}

START_TEST(what_the_store_keeps)
{
    struct cli_check c = options(), mend = options();
    const char *text;

    mend.repair = c.quiet = true;
    ck_assert_str_eq(check_store(options(), true),
                     "data: 0 lists, 0 objects, 0 tombstones are sound, 0 problems\n");
    ck_assert_str_eq(check_store(c, true), "");
    put("what no store writes");
    text = check_store(c, false);
    want_text(text, "store: ");
    want_text(text, " 1 problems; kinto check --repair mends them\n");
    text = check_store(mend, true);
    want_text(text, " 1 problems, which were mended\n");
    ck_assert_str_eq(check_store(c, true), "");
}
END_TEST

/* ---- how far --------------------------------------------------------------------------------- */

START_TEST(a_terminal_sees_how_far_it_is)
{
    struct cli_check c = options();

    put("key");
    ck_assert_int_eq(unlink("data/index"), 0);
    c.progress = fopen("screen", "w");
    ck_assert_ptr_nonnull(c.progress);
    check(c, NULL, OK, true);
    fclose(c.progress);
    const char *text = read_text("screen");
    want_text(text, "\r[########################################] 100 % of 0 MiB");
    ck_assert_int_eq(text[strlen(text) - 1], '\r');
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("cli/check");
    TCase *t = tcase_create("check");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_sound_store);
    tcase_add_test(t, what_is_no_problem_is_a_note);
    tcase_add_test(t, a_directory_without_a_store);
    tcase_add_test(t, an_index_that_cannot_be_read);
    tcase_add_test(t, an_index_whose_keys_are_all_in_the_log);
    tcase_add_test(t, an_index_with_keys_that_the_log_has_not);
    tcase_add_test(t, a_damaged_log);
    tcase_add_test(t, what_the_store_keeps);
    tcase_add_test(t, a_terminal_sees_how_far_it_is);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
