/*
 * Which rules a sandbox gets for the files that a server reads: those that are replaced by renaming need
 * their folder, but no file opens the whole file system.
 */
#include "process/process.c" /* for add_used() */
#include "test/unit/cli/cli_test.h"

static struct paths paths;

static void open_all(void)
{
    setup();
    paths = (struct paths){.n = 0};
    arena_init(&paths.arena, NULL, 0, NULL, MIB);
}

static void close_all(void)
{
    arena_fini(&paths.arena);
    teardown();
}

static void use(const char *path, enum process_use use)
{
    const struct process_path p = {path, use};
    add_used(&paths, &p);
    ck_assert(!paths.failed);
}

static void want(size_t i, const char *path, enum sandbox_access access)
{
    ck_assert_uint_lt(i, paths.n);
    ck_assert_str_eq(paths.at[i].path, path);
    ck_assert_int_eq(paths.at[i].access, access);
}

START_TEST(a_replaced_file_has_its_folder)
{
    use("keys/key.pem", PROCESS_REPLACED);
    use("key.pem", PROCESS_REPLACED);
    use("run/socket", PROCESS_REMOVED);
    use("version.json", PROCESS_READ);
    ck_assert_uint_eq(paths.n, 4);
    want(0, "keys", SANDBOX_READ);
    want(1, ".", SANDBOX_READ);
    want(2, "run", SANDBOX_REMOVE);
    want(3, "version.json", SANDBOX_READ);
}
END_TEST

/* As certbot keeps them. */
START_TEST(a_link_has_both_folders)
{
    char archive[PATH_MAX];
    ck_assert(mkdir("live", 0700) == 0 && mkdir("archive", 0700) == 0);
    write_text("archive/key1.pem", "x");
    ck_assert_int_eq(symlink("../archive/key1.pem", "live/key.pem"), 0);
    ck_assert_ptr_nonnull(realpath("archive", archive));
    for (int linked = 0; linked < 2; linked++) {
        paths.n = 0;
        use("live/key.pem", linked ? PROCESS_LINKED : PROCESS_REPLACED);
        ck_assert_uint_eq(paths.n, 2);
        want(0, archive, SANDBOX_READ);
        want(1, linked ? "live/key.pem" : "live", SANDBOX_READ);
    }
}
END_TEST

/* Where "/" stands in every way that it can be written. */
static const char *const tops[] = {"/key.pem", "//key.pem", "/tmp/../key.pem", "top/key.pem"};

START_TEST(no_file_opens_all)
{
    ck_assert_int_eq(symlink("/", "top"), 0);
    use(tops[_i], PROCESS_REPLACED);
    use(tops[_i], PROCESS_REMOVED);
    ck_assert_uint_eq(paths.n, 2);
    want(0, tops[_i], SANDBOX_READ);
    want(1, tops[_i], SANDBOX_REMOVE);
}
END_TEST

START_TEST(no_relative_name_opens_all)
{
    ck_assert_int_eq(chdir("/"), 0);
    use("key.pem", PROCESS_REPLACED);
    ck_assert_uint_eq(paths.n, 1);
    want(0, "key.pem", SANDBOX_READ);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("process/paths");
    TCase *t = tcase_create("paths");

    tcase_add_checked_fixture(t, open_all, close_all);
    tcase_add_test(t, a_replaced_file_has_its_folder);
    tcase_add_test(t, a_link_has_both_folders);
    tcase_add_loop_test(t, no_file_opens_all, 0, (int)ARRAY_LEN(tops));
    tcase_add_test(t, no_relative_name_opens_all);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
