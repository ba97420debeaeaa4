/*
 * Users out of the text of passwd and group, and becoming them: in a process of its own each, since there is
 * no way back. Becoming needs root; without it those tests say that they were skipped.
 */
#include "test/unit/cli/cli_test.h"
#include "test/unit/process/child.h"

#include "process/process.h"
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>

#define PASSWD                                                                                     \
    "root:x:0:0:root:/root:/bin/bash\n"                                                            \
    "# a comment\n"                                                                                \
    "broken\n"                                                                                     \
    "alsobroken:x:12\n"                                                                            \
    "negative:x:-1:5::/:\n"                                                                        \
    "huge:x:4294967295:5::/:\n"                                                                    \
    ":x:7:7::/:\n"                                                                                 \
    "kinto:x:990:991:Kinto:/var/lib/kinto:/usr/sbin/nologin\n"                                     \
    "kint:x:5:5::/:\n"                                                                             \
    "last:x:77:78::/:"
#define GROUP                                                                                      \
    "root:x:0:kinto\n"                                                                             \
    "kinto:x:991:\n"                                                                               \
    "ssl-cert:x:110:postgres,kinto\n"                                                              \
    "other:x:111:kinto2,akinto\n"                                                                  \
    "own:x:991:kinto\n"                                                                            \
    "www-data:x:33:kinto"

static const struct {
    const char *text;
    enum err want;
    uid_t uid;
    gid_t gid;
    size_t ngroups;
} users[] = {
    {"kinto", OK, 990, 991, 2}, /* ssl-cert and www-data; never root */
    {" kinto ", OK, 990, 991, 2},
    {"990", OK, 990, 991, 0},
    {"kinto:33", OK, 990, 33, 0},
    {"kinto:ssl-cert", OK, 990, 110, 0},
    {"1234", OK, 1234, 1234, 0},
    {"1234:5678", OK, 1234, 5678, 0},
    {"last", OK, 77, 78, 0},
    {"root", OK, 0, 0, 0},
    {"0", OK, 0, 0, 0},
    {"root:root", OK, 0, 0, 0},
    {"0:0", OK, 0, 0, 0},
    {"0:33", ERR_UNSUPPORTED, 0, 0, 0}, /* the group would be left aside */
    {"root:ssl-cert", ERR_UNSUPPORTED, 0, 0, 0},
    {"4294967294", OK, 4294967294, 4294967294, 0},
    {"kin", ERR_NOTFOUND, 0, 0, 0},
    {"kintoo", ERR_NOTFOUND, 0, 0, 0},
    {"broken", ERR_NOTFOUND, 0, 0, 0},
    {"alsobroken", ERR_NOTFOUND, 0, 0, 0},
    {"negative", ERR_NOTFOUND, 0, 0, 0},
    {"huge", ERR_NOTFOUND, 0, 0, 0},
    {"4294967295", ERR_NOTFOUND, 0, 0, 0}, /* (uid_t)-1: as it is */
    {"-1", ERR_NOTFOUND, 0, 0, 0},
    {"kinto:nobody", ERR_NOTFOUND, 0, 0, 0},
    {"kinto:4294967295", ERR_NOTFOUND, 0, 0, 0},
    {"kinto:", ERR_SYNTAX, 0, 0, 0},
    {":33", ERR_SYNTAX, 0, 0, 0},
    {"", ERR_SYNTAX, 0, 0, 0},
    {"http://kinto:sekret@h", ERR_NOTFOUND, 0, 0, 0},
    {"kinto://kinto:sekret@h", ERR_NOTFOUND, 0, 0, 0},
    {"://kinto:sekret@h", ERR_SYNTAX, 0, 0, 0},
};

START_TEST(parses)
{
    struct process_user u = {.uid = 424242};
    struct err_detail d = {.text = ""};

    ck_assert_msg(process_user_parse(str_from(users[_i].text), STR(PASSWD), STR(GROUP), &u, &d) ==
                      users[_i].want,
                  "%s: %s", users[_i].text, d.text);
    if (users[_i].want != OK) {
        ck_assert_uint_eq(u.uid, 424242);
        ck_assert_str_ne(d.text, "");
        ck_assert_ptr_null(strstr(d.text, "sekret"));
        return;
    }
    ck_assert_uint_eq(u.uid, users[_i].uid);
    ck_assert_uint_eq(u.gid, users[_i].gid);
    ck_assert_uint_eq(u.ngroups, users[_i].ngroups);
    for (size_t i = 0; i < u.ngroups; i++)
        ck_assert(u.groups[i] == 110 || u.groups[i] == 33);
}
END_TEST

START_TEST(too_many_groups)
{
    char group[8192];
    size_t n = 0;
    struct process_user u;

    for (int i = 1; i <= PROCESS_MAX_GROUPS + 1; i++)
        n += (size_t)snprintf(group + n, sizeof group - n, "g%d:x:%d:kinto\n", i, i + 5000);
    ck_assert_int_eq(process_user_parse(STR("kinto"), STR(PASSWD), (str){group, n}, &u, NULL),
                     ERR_LIMIT);
}
END_TEST

START_TEST(without_files)
{
    struct process_user u;

    ck_assert_int_eq(process_user_parse(STR("root"), STR(""), STR(""), &u, NULL), OK);
    ck_assert_uint_eq(u.uid, 0);
    ck_assert_int_eq(process_user_parse(STR("7"), STR(""), STR(""), &u, NULL), OK);
    ck_assert_int_eq(process_user_parse(STR("kinto"), STR(""), STR(""), &u, NULL), ERR_NOTFOUND);
}
END_TEST

/* ---- becoming -------------------------------------------------------------------------------- */

/* The value of a line of /proc/self/status, "\t" between its words. */
static const char *status_line(const char *name)
{
    static char line[256];
    size_t n = strlen(name);
    FILE *file = fopen("/proc/self/status", "r");

    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            line[strcspn(line, "\n")] = '\0';
            fclose(file);
            return line + n + 1;
        }
    if (file)
        fclose(file);
    return "";
}

static int becomes(void)
{
    struct process_user u = {.uid = 4711, .gid = 4712, .groups = {4713}, .ngroups = 1};
    struct err_detail d = {.text = ""};

    if (process_become(&u, &d) != OK)
        return fprintf(stderr, "%s\n", d.text), 1;
    if (strcmp(status_line("Uid"), "\t4711\t4711\t4711\t4711") != 0)
        return 2;
    if (strcmp(status_line("Gid"), "\t4712\t4712\t4712\t4712") != 0)
        return 3;
    if (strncmp(status_line("Groups"), "\t4713 ", 6) != 0)
        return 4;
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        if (strcmp(status_line(sets[i]), "\t0000000000000000") != 0)
            return 5 + (int)i;
    if (strcmp(status_line("NoNewPrivs"), "\t1") != 0)
        return 10;
    if (setuid(0) == 0 || setresuid(0, 0, 0) == 0 || setgid(0) == 0 || setgroups(0, NULL) == 0)
        return 11;
    return access("/proc/1/environ", R_OK) == 0 ? 12 : 0;
}

/* root in name alone: what is not root's file cannot be read. */
static int keeps_root(void)
{
    struct process_user other = {.uid = 4711, .gid = 4711};
    struct err_detail d = {.text = ""};
    int fd = open("theirs", O_WRONLY | O_CREAT, 0600);

    if (fd < 0 || fchown(fd, other.uid, other.gid) != 0 || process_become(NULL, &d) != OK)
        return 1;
    if (strcmp(status_line("CapEff"), "\t0000000000000000") != 0)
        return 2;
    if (strcmp(status_line("Uid"), "\t0\t0\t0\t0") != 0)
        return 3;
    if (open("theirs", O_RDONLY) >= 0 || errno != EACCES)
        return 4;
    return process_become(&other, &d) == ERR_FAILED ? 0 : 5; /* and it can become nobody else */
}

static int becomes_owner(void)
{
    struct err_detail d = {.text = ""};
    struct stat st;

    if (mkdir("data", 0700) != 0 || chown("data", 4711, 4712) != 0 || chmod(dir, 0755) != 0)
        return 1;
    if (process_become_owner("nothing", &d) != OK || geteuid() != 0)
        return 2;
    if (process_become_owner(".", &d) != OK || geteuid() != 0) /* root's own */
        return 3;
    if (mkdir("open", 0700) != 0 || chmod("open", 0770) != 0 || symlink(".", "link") != 0 ||
        lchown("link", 4711, 4712) != 0 || symlink(".", "own") != 0)
        return 6;
    if (process_become_owner("open", &d) != ERR_REFUSED || !strstr(d.text, "others may write"))
        return 7; /* what lies there may be others' links */
    if (process_become_owner("link", &d) != ERR_REFUSED || !strstr(d.text, "is a link"))
        return 8;
    if (process_become_owner("own", &d) != OK || geteuid() != 0)
        return 9;
    if (process_become_owner("data", &d) != OK || geteuid() != 4711)
        return 4;
    int fd = open("data/new", O_WRONLY | O_CREAT, 0600);
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == 4711 ? 0 : 5;
}

static int (*const changes[])(void) = {becomes, keeps_root, becomes_owner};

START_TEST(changes_for_good)
{
    if (!is_root())
        return;
    want_success(in_child(changes[_i]));
}
END_TEST

/* Whoever is not root gives up what it has, too, and stays who it is. */
static int stays(void)
{
    struct err_detail d = {.text = ""};
    uid_t before = geteuid();

    if (geteuid() == 0 && (setresgid(4711, 4711, 4711) != 0 || setresuid(4711, 4711, 4711) != 0))
        return 1;
    before = geteuid();
    if (process_become(NULL, &d) != OK || geteuid() != before)
        return 2;
    if (process_become_owner("/", &d) != OK || geteuid() != before)
        return 3;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 4;
}

START_TEST(not_root)
{
    want_success(in_child(stays));
}
END_TEST

static int takes_no_stream(void)
{
    close(STDIN_FILENO);
    close(STDERR_FILENO);
    process_begin();
    int fd = open("new", O_WRONLY | O_CREAT, 0666);
    if (fd <= STDERR_FILENO)
        return 1;
    if (write(STDERR_FILENO, "x", 1) == 1 || errno != EBADF || fcntl(STDOUT_FILENO, F_GETFL) < 0)
        return 2;
    struct stat st;
    return fstat(fd, &st) == 0 && (st.st_mode & 077) == 0 ? 0 : 3;
}

START_TEST(begins)
{
    want_success(in_child(takes_no_stream));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("process/become");
    TCase *t = tcase_create("become");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, parses, 0, (int)ARRAY_LEN(users));
    tcase_add_test(t, too_many_groups);
    tcase_add_test(t, without_files);
    tcase_add_loop_test(t, changes_for_good, 0, (int)ARRAY_LEN(changes));
    tcase_add_test(t, not_root);
    tcase_add_test(t, begins);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
