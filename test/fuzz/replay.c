/*
 * test/fuzz/replay.c - main() of a fuzz target without a fuzzer: gives it every seed in
 * test/fuzz/seeds/NAME, one a case that is called as the file is, so that a failure names its input. NAME
 * is the program's own, behind "fuzz_". No seeds is a failure, too.
 *
 *     fuzz_json FILE...    gives it these files instead, in this process
 */
#include "test/fuzz/fuzz.h"

#include <check.h>
#include <dirent.h>

#include "base/os.h"

#define SEED_MAX_BYTES MIB
#define SEED_SECONDS   10

static struct {
    char folder[256];
    struct dirent **names;
    int n;
} seeds;

static void play(const char *path)
{
    struct err_detail d = {.text = ""};
    char *bytes;
    size_t n;
    enum err e = os_read_file(path, SEED_MAX_BYTES, &bytes, &n, &d);

    if (e != OK)
        fprintf(stderr, "%s: %s\n", path, d.text);
    CHECK(e == OK);
    char *exact = fuzz_copy((str){bytes, n});
    free(bytes);
    LLVMFuzzerTestOneInput((const uint8_t *)exact, n);
    free(exact);
}

START_TEST(seed)
{
    char path[sizeof seeds.folder + sizeof seeds.names[0]->d_name];

    snprintf(path, sizeof path, "%s/%s", seeds.folder, seeds.names[_i]->d_name);
    play(path);
}
END_TEST

START_TEST(there_are_seeds)
{
    ck_assert_msg(seeds.n > 0, "%s: no seeds", seeds.folder);
}
END_TEST

static int is_seed(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static Suite *make_suite(const char *name)
{
    Suite *s = suite_create(name);
    TCase *c = tcase_create("seeds");

    tcase_add_test(c, there_are_seeds);
    suite_add_tcase(s, c);
    for (int i = 0; i < seeds.n; i++) {
        c = tcase_create(seeds.names[i]->d_name);
        tcase_set_timeout(c, SEED_SECONDS);
        tcase_add_loop_test(c, seed, i, i + 1);
        suite_add_tcase(s, c);
    }
    return s;
}

int main(int argc, char **argv)
{
    str name = str_from(argv[0]);
    size_t at = str_find_str(name, STR("/fuzz_"));
    SRunner *r;
    int failed;

    for (int i = 1; i < argc; i++)
        play(argv[i]);
    if (argc > 1)
        return 0;
    CHECK(at != STR_NPOS);
    snprintf(seeds.folder, sizeof seeds.folder, "test/fuzz/seeds/%s", name.p + at + 6);
    seeds.n = scandir(seeds.folder, &seeds.names, is_seed, alphasort);
    r = srunner_create(make_suite(name.p + at + 1));
    srunner_run_all(r, CK_ENV);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    for (int i = 0; i < seeds.n; i++)
        free(seeds.names[i]);
    free(seeds.names);
    return failed ? 1 : 0;
}
