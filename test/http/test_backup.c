/*
 * test/http/test_backup.c - kinto backup and kinto restore, as one types them: of a server that is
 * written to, of one that is stopped, and what is refused.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/support/api.h"
#include "test/support/unit.h"
#include "test/support/wait.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct server_options DURABLE = {.durable = true};
static const char *out;

/* $KINTO_BIN command --ini ... --data FOLDER/data, and more words. */
static int run(const struct server *s, const char *command, const char *const *more)
{
    const char *args[12] = {command, "--ini", f("%s/kinto.ini", s->dir), "--data",
                            f("%s/data", s->dir)};
    for (size_t i = 0; more[i]; i++)
        args[5 + i] = more[i];
    return server_run(NULL, args, &out);
}

static void want_run(const struct server *s, const char *command, const char *const *more)
{
    int status = run(s, command, more);
    ck_assert_msg(status == 0, "status %d: %s", status, out);
}

static const char *in(const struct server *s, const char *name)
{
    return f("%s/%s", s->dir, name);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* A number behind a word of the last output. */
static uint64_t told(const char *before)
{
    const char *found = strstr(out, before);
    ck_assert_msg(found != NULL, "no \"%s\" in: %s", before, out);
    return strtoull(found + strlen(before), NULL, 10);
}

static void move(const char *from, const char *to)
{
    ck_assert_msg(rename(from, to) == 0, "%s to %s", from, to);
}

/* ---- while it is written to ------------------------------------------------------------------ */

enum { BODY = 20000 };

struct writer {
    pthread_t thread;
    const char *url;
    atomic_int acked; /* records w0, w1 ... that were answered 201 */
    atomic_bool stop;
};

static void *write_records(void *arg)
{
    struct writer *w = arg;
    struct http_conn *c = http_open(w->url, NULL, 10000);
    struct http_reply r = {0};
    static char request[BODY + 1000], text[BODY + 1];
    memset(text, 'x', BODY);
    for (int n = 0; c && !atomic_load(&w->stop); n++) {
        int total = snprintf(request, sizeof request,
                             "PUT /v1" R "/w%d HTTP/1.1\r\nHost: h\r\n"
                             "Authorization: Basic YWxpY2U6c2VjcmV0\r\n"
                             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                             "{\"data\":{\"t\":\"%s\"}}",
                             n, BODY + 17, text);
        if (!http_send(c, request, (size_t)total) || http_read(c, false, &r) != HTTP_GOT ||
            r.status != 201)
            break;
        atomic_store(&w->acked, n + 1);
    }
    http_reply_fini(&r);
    http_close(c);
    return NULL;
}

static int wait_for_acks(struct writer *w, int n)
{
    for (int tries = 0; tries < 20000 && atomic_load(&w->acked) < n; tries++)
        wait_tick();
    ck_assert_int_ge(atomic_load(&w->acked), n);
    return atomic_load(&w->acked);
}

static void want_records(int n)
{
    for (int i = 0; i < n; i++) {
        call("GET", f(R "/w%d", i), NULL);
        want(200);
    }
}

START_TEST(a_server_under_writes_is_saved_and_comes_back)
{
    static struct writer w;
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make_collection();
    w = (struct writer){.url = s.url};
    ck_assert_int_eq(pthread_create(&w.thread, NULL, write_records, &w), 0);

    wait_for_acks(&w, 120); /* some segments, of 1 MiB each */
    want_run(&s, "backup", ARGS(in(&s, "first")));
    want_text(out, f("%s/first: backup of %s/data: ", s.dir, s.dir));
    uint64_t copied = told("segments, ");
    ck_assert_uint_gt(copied, 120 * BODY);
    int acked = wait_for_acks(&w, atomic_load(&w.acked) + 20);
    want_run(&s, "backup", ARGS("--since", in(&s, "first"), in(&s, "second")));
    ck_assert_uint_gt(told("copied, "), 0);
    ck_assert_uint_gt(told("copied, ") + told("segments, "), copied);

    server_kill(&s);
    atomic_store(&w.stop, true);
    pthread_join(w.thread, NULL);
    move(in(&s, "data"), in(&s, "lost"));
    want_run(&s, "restore", ARGS(in(&s, "second")));
    want_text(out, f("%s/data: restored from %s/second: ", s.dir, s.dir));
    ck_assert(is_there(in(&s, "data/index")));
    server_restart(&s, &DURABLE);
    want_text(s.line, "recovered 0 transactions");
    api_use(s.url);
    want_records(acked);
    put(R "/more", "{}");
    ck_assert(server_end(&s));

    move(in(&s, "data"), in(&s, "used"));
    move(in(&s, "first"), in(&s, "data")); /* a backup is a data directory */
    server_restart(&s, &DURABLE);
    api_use(s.url);
    want_records(120);
    call("GET", R "/more", NULL);
    want(404);
    server_stop(&s);
}
END_TEST

/* ---- a server that is stopped ---------------------------------------------------------------- */

static void stopped_server(struct server *s)
{
    server_start(s, &DURABLE);
    api_use(s->url);
    make_collection();
    put(R "/r", "{'n':1}");
    api_use(NULL);
    ck_assert(server_end(s));
}

START_TEST(a_stopped_server_is_saved)
{
    struct server s;
    struct stat st;
    stopped_server(&s);
    want_run(&s, "backup", ARGS(in(&s, "copy/")));
    ck_assert_int_eq(stat(in(&s, "copy"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    want_run(&s, "backup", ARGS("-q", "--since", in(&s, "copy"), in(&s, "other")));
    ck_assert_str_eq(out, "");
    want_run(&s, "restore", ARGS("--data", in(&s, "elsewhere"), in(&s, "copy")));
    ck_assert(is_there(in(&s, "elsewhere/index")));
    server_remove(&s);
}
END_TEST

START_TEST(what_is_there_is_left_alone)
{
    struct server s;
    stopped_server(&s);
    want_run(&s, "backup", ARGS(in(&s, "copy")));
    ck_assert_int_eq(run(&s, "backup", ARGS(in(&s, "copy"))), 1);
    want_text(out, "copy: is not empty: name another directory");
    ck_assert_int_eq(run(&s, "restore", ARGS(in(&s, "copy"))), 1);
    want_text(out, "data: is not empty: name another directory, or move away what is there");
    server_restart(&s, &DURABLE);
    ck_assert_int_eq(run(&s, "restore", ARGS(in(&s, "copy"))), 1);
    want_text(out, "data: is not empty");
    api_use(s.url);
    call("GET", R "/r", NULL);
    want(200);
    api_use(NULL);
    server_stop(&s);
}
END_TEST

START_TEST(what_is_no_backup_is_refused)
{
    struct server s;
    stopped_server(&s);
    want_run(&s, "backup", ARGS(in(&s, "copy")));
    ck_assert_int_eq(run(&s, "backup", ARGS("--since", in(&s, "none"), in(&s, "b"))), 1);
    want_text(out, "none: cannot be listed: No such file");
    move(in(&s, "data"), in(&s, "was"));
    ck_assert_int_eq(run(&s, "backup", ARGS(in(&s, "b"))), 1);
    want_text(out, "data: cannot be listed: No such file");
    ck_assert_int_eq(truncate(in(&s, "copy/00000001.log"), 40), 0);
    ck_assert_int_eq(run(&s, "restore", ARGS(in(&s, "copy"))), 1);
    want_text(out, "copy: no store is there");
    ck_assert(!is_there(in(&s, "data")) && !is_there(in(&s, "b")));
    server_remove(&s);
}
END_TEST

START_TEST(memory_has_nothing_to_save)
{
    char dir[160];
    new_dir(dir, sizeof dir);
    setenv("KINTO_STORAGE_BACKEND", "kinto.core.storage.memory", 1);
    ck_assert_int_eq(server_run(dir, ARGS("backup", "b"), &out), 1);
    want_text(out, "kinto: memory: nothing to back up\n");
    ck_assert_int_eq(server_run(dir, ARGS("restore", "b"), &out), 1);
    want_text(out, "kinto: memory: nothing to restore to\n");
    unsetenv("KINTO_STORAGE_BACKEND");
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http/backup");
    TCase *t = api_case_own(s, "backup");
    tcase_add_test(t, a_server_under_writes_is_saved_and_comes_back);
    tcase_add_test(t, a_stopped_server_is_saved);
    tcase_add_test(t, what_is_there_is_left_alone);
    tcase_add_test(t, what_is_no_backup_is_refused);
    tcase_add_test(t, memory_has_nothing_to_save);
    return s;
}

API_MAIN(make_suite, "")
