/*
 * test/http/test_check.c - kinto check and its --repair on the built binary: a data directory is
 * damaged, the start refuses, the check names the place, the repair asks, and the rest is there again.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/support/api.h"
#include "test/support/http_client.h"
#include "test/support/unit.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define RECORDS   12

static const struct server_options DURABLE = {.durable = true};

static int check(const struct server *s, const char *option, const char *other, const char **out)
{
    const char *ini = f("%s/kinto.ini", s->dir), *data = f("%s/data", s->dir);
    return server_run(s->dir, ARGS("check", "--ini", ini, "--data", data, option, other), out);
}

static const char *log_file(const struct server *s)
{
    return f("%s/data/00000001.log", s->dir);
}

/* A server that has written, and was stopped. */
static void fill(struct server *s)
{
    server_start(s, &DURABLE);
    api_use(s->url);
    as("alice");
    make_collection();
    for (int i = 0; i < RECORDS; i++)
        put(f(R "/r%02d", i), f("{'marker':'here-%02d-%s'}", i, repeat('x', 300)));
    api_use(NULL);
    ck_assert(server_end(s));
}

/* Turns a byte of record n around; returns the offset. */
static size_t damage(const struct server *s, int n)
{
    static char text[1 << 20];
    FILE *file = fopen(log_file(s), "r+");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(text, 1, sizeof text, file);
    const char *marker = f("here-%02d-", n);
    char *at = memmem(text, size, marker, strlen(marker));
    ck_assert_ptr_nonnull(at);
    size_t off = (size_t)(at - text);
    fseek(file, (long)off, SEEK_SET);
    fputc('X', file);
    fclose(file);
    return off;
}

static void remove_index(const struct server *s)
{
    ck_assert_int_eq(unlink(f("%s/data/index", s->dir)), 0);
}

/* All records but one. */
static void want_rest(struct server *s, int missing)
{
    server_restart(s, &DURABLE);
    api_use(s->url);
    as("alice");
    for (int i = 0; i < RECORDS; i++) {
        call("GET", f(R "/r%02d", i), NULL);
        want(i == missing ? 404 : 200);
    }
    put(R "/more", "{}");
    api_use(NULL);
}

/* server_stop and server_remove do not know folders below the data. */
static void stop_and_remove(struct server *s)
{
    ck_assert(server_end(s));
    ck_assert_int_eq(system(f("rm -rf '%s'", s->dir)), 0);
}

START_TEST(a_sound_store_is_status_0)
{
    struct server s;
    const char *out;
    fill(&s);
    ck_assert_int_eq(check(&s, NULL, NULL, &out), 0);
    want_text(out, "1 segments, ");
    want_text(out, "no problems");
    ck_assert_int_eq(check(&s, "-q", NULL, &out), 0);
    ck_assert_str_eq(out, "");
    ck_assert_int_eq(check(&s, "--repair", NULL, &out), 0);
    want_rest(&s, -1);
    ck_assert_int_eq(check(&s, NULL, NULL, &out), 1);
    want_text(out, f("in use by process %d", (int)s.pid));
    stop_and_remove(&s);
}
END_TEST

START_TEST(a_damaged_log_is_named_and_repaired)
{
    struct server s;
    const char *out;
    fill(&s);
    size_t off = damage(&s, 5);
    remove_index(&s);
    const char *ini = f("%s/kinto.ini", s.dir), *data = f("%s/data", s.dir);
    ck_assert_int_eq(
        server_run(s.dir, ARGS("start", "--ini", ini, "--data", data, "--port", "0"), &out), 1);
    want_text(out, "00000001.log: bad frame");
    ck_assert_int_eq(check(&s, NULL, NULL, &out), 1);
    want_text(out, "00000001.log: offset ");
    size_t begins = strtoull(strstr(out, "offset ") + 7, NULL, 10);
    ck_assert(begins < off && off - begins < 400);
    want_text(out, "is missing");
    want_text(out, "The log is damaged: ");
    want_text(out, "--repair");

    ck_assert_int_eq(check(&s, "--repair", NULL, &out), 1);
    want_text(out, "--yes");
    want_text(out, "nothing was changed");
    ck_assert_int_eq(check(&s, NULL, NULL, NULL), 1);
    ck_assert_int_eq(check(&s, "--repair", "--yes", &out), 0);
    want_text(out, "damaged-20");
    ck_assert_int_eq(check(&s, NULL, NULL, &out), 0);
    want_rest(&s, 5);
    stop_and_remove(&s);
}
END_TEST

/* Damage in what the index knows is not met by a start, but by who asks for the value, or checks. */
START_TEST(what_the_index_knows_is_counted)
{
    struct server s;
    const char *out;
    fill(&s);
    damage(&s, 7);
    ck_assert_int_eq(check(&s, NULL, NULL, &out), 1);
    want_text(out, "have their newest value there");
    ck_assert_int_eq(check(&s, "--repair", "--yes", &out), 0);
    want_rest(&s, 7);
    stop_and_remove(&s);
}
END_TEST

START_TEST(a_damaged_index_is_made_anew)
{
    struct server s;
    const char *out;
    fill(&s);
    const char *index = f("%s/data/index", s.dir);
    FILE *file = fopen(index, "r+");
    ck_assert_ptr_nonnull(file);
    struct stat st;
    ck_assert_int_eq(fstat(fileno(file), &st), 0);
    for (long page = 2; page * 4096 < st.st_size; page++) {
        fseek(file, page * 4096 + 10, SEEK_SET);
        fputc('X', file);
    }
    fclose(file);
    ck_assert_int_eq(check(&s, NULL, NULL, &out), 1);
    want_text(out, "index: ");
    want_text(out, "Only the index is damaged");
    ck_assert_int_eq(check(&s, "--repair", NULL, &out), 0);
    want_text(out, "made anew");
    ck_assert_int_eq(access(f("%s/data/index.damaged", s.dir), F_OK), 0);
    ck_assert_int_eq(check(&s, NULL, NULL, NULL), 0);
    want_rest(&s, -1);
    stop_and_remove(&s);
}
END_TEST

/* The answer comes from a terminal: no, and then yes. */
START_TEST(a_repair_asks_on_a_terminal)
{
    struct server s;
    fill(&s);
    damage(&s, 3);
    for (int turn = 0; turn < 2; turn++) {
        int status = 0, master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
        int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
        ck_assert_int_ge(terminal, 0);
        ck_assert_int_eq(write(master, turn == 0 ? "n\n" : "y\n", 2), 2);
        const char *ini = f("%s/kinto.ini", s.dir), *data = f("%s/data", s.dir);
        pid_t pid = fork();
        if (pid == 0) {
            dup2(terminal, 0);
            dup2(terminal, 1);
            dup2(terminal, 2);
            execl(server_binary(), "kinto", "check", "--repair", "--ini", ini, "--data", data,
                  (char *)NULL);
            _exit(127);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(WEXITSTATUS(status), turn == 0 ? 1 : 0);
        close(terminal);
        close(master);
    }
    want_rest(&s, 3);
    stop_and_remove(&s);
}
END_TEST

/* GET of record n on a connection of its own, which may break. */
static enum http_result get_record(const struct server *s, int n, struct http_reply *r)
{
    struct http_conn *c = http_open(s->url, NULL, 10000);
    const char *head = f("GET /v1" R "/r%02d HTTP/1.1\r\nHost: x\r\n"
                         "Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n", /* alice:secret */
                         n);
    ck_assert(c != NULL && http_send(c, head, strlen(head)));
    enum http_result got = http_read(c, false, r);
    http_close(c);
    return got;
}

/* A file cannot be read any more while a server runs on it: the process ends, and says which one. */
START_TEST(a_segment_that_is_cut_short_is_named)
{
    struct server s;
    struct http_reply r = {0};
    static char text[4096];
    int status;
    fill(&s);
    server_restart(&s, &DURABLE);
    ck_assert_int_eq(get_record(&s, 5, &r), HTTP_GOT);
    ck_assert_int_eq(r.status, 200);
    ck_assert_int_eq(truncate(log_file(&s), 0), 0);
    ck_assert_int_ne(get_record(&s, 5, &r), HTTP_GOT);
    http_reply_fini(&r);
    ck_assert_int_eq(waitpid(s.pid, &status, 0), s.pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    close(s.out);
    FILE *file = fopen(f("%s/stderr", s.dir), "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    want_text(text, f("FAULT: %s: offset ", log_file(&s)));
    ck_assert_int_eq(system(f("rm -rf '%s'", s.dir)), 0);
}
END_TEST

START_TEST(yes_is_of_no_use_alone)
{
    const char *out;
    ck_assert_int_eq(server_run(NULL, ARGS("check", "--yes"), &out), 2);
    want_text(out, "--repair");
}
END_TEST

START_TEST(a_directory_that_is_not_there)
{
    const char *out;
    ck_assert_int_eq(server_run(NULL, ARGS("check", "--data", "/nowhere/data"), &out), 1);
    want_text(out, "/nowhere/data");
    char dir[160];
    new_dir(dir, sizeof dir);
    ck_assert_int_eq(server_run(NULL, ARGS("check", "--data", dir), &out), 1);
    want_text(out, "no store");
    ck_assert_msg(access(f("%s/00000001.log", dir), F_OK) != 0, "a store was made");
    unlink(f("%s/LOCK", dir));
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/check");
    TCase *t = api_case_own(s, "check");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_sound_store_is_status_0);
    tcase_add_test(t, a_damaged_log_is_named_and_repaired);
    tcase_add_test(t, what_the_index_knows_is_counted);
    tcase_add_test(t, a_damaged_index_is_made_anew);
    tcase_add_test(t, a_repair_asks_on_a_terminal);
    tcase_add_test(t, a_segment_that_is_cut_short_is_named);
    tcase_add_test(t, yes_is_of_no_use_alone);
    tcase_add_test(t, a_directory_that_is_not_there);
    return s;
}

UNIT_MAIN(suite)
