/* Random bytes: forms, fairness of the alphabet, and that a child does not repeat its parent. */
#include "test/support/unit.h"

#include "base/rand.h"
#include <sys/wait.h>
#include <unistd.h>

START_TEST(bytes_of_any_number)
{
    uint8_t p[1000] = {0};
    int seen[256] = {0}, values = 0;

    for (int i = 0; i < 100; i++) {
        rand_bytes(p, (size_t)i * 10);
        for (int k = 0; k < i * 10; k++)
            seen[p[k]]++;
    }
    for (int i = 0; i < 256; i++)
        values += seen[i] > 0;
    ck_assert_int_eq(values, 256);
    ck_assert(rand_u64() != rand_u64());
}
END_TEST

START_TEST(uuids_are_of_version_4)
{
    char a[37], b[37];

    for (int i = 0; i < 200; i++) {
        rand_uuid4(a);
        rand_uuid4(b);
        ck_assert_str_ne(a, b);
        ck_assert_uint_eq(strlen(a), 36);
        ck_assert_uint_eq(strspn(a, "0123456789abcdef-"), 36);
        ck_assert(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
        ck_assert_int_eq(a[14], '4');
        ck_assert_ptr_nonnull(strchr("89ab", a[19]));
    }
}
END_TEST

START_TEST(names_use_the_whole_alphabet_evenly)
{
    static char name[30001];
    int seen[3] = {0};

    rand_name(name, 30000, "abc");
    ck_assert_uint_eq(strlen(name), 30000);
    for (int i = 0; i < 30000; i++)
        seen[name[i] - 'a']++;
    for (int i = 0; i < 3; i++) /* 10,000 each; ten standard deviations are about 820 */
        ck_assert(seen[i] > 9180 && seen[i] < 10820);
    rand_name(name, 5, "x");
    ck_assert_str_eq(name, "xxxxx");
    rand_name(name, 0, "x");
    ck_assert_str_eq(name, "");
}
END_TEST

START_TEST(a_child_has_bytes_of_its_own)
{
    uint64_t mine, childs;
    int fd[2], status;
    pid_t child;

    rand_u64(); /* the buffer is full now */
    ck_assert_int_eq(pipe(fd), 0);
    child = fork();
    if (child == 0) {
        childs = rand_u64();
        _exit(write(fd[1], &childs, sizeof childs) == sizeof childs ? 0 : 1);
    }
    mine = rand_u64();
    ck_assert_int_eq(read(fd[0], &childs, sizeof childs), sizeof childs);
    ck_assert_uint_ne(mine, childs);
    waitpid(child, &status, 0);
    close(fd[0]);
    close(fd[1]);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/rand");
    TCase *tc = tcase_create("rand");

    tcase_add_test(tc, bytes_of_any_number);
    tcase_add_test(tc, uuids_are_of_version_4);
    tcase_add_test(tc, names_use_the_whole_alphabet_evenly);
    tcase_add_test(tc, a_child_has_bytes_of_its_own);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
