/*
 * test/http/test_concurrency.c - many clients at once on the same things: nothing is lost, nothing
 * happens twice, nobody gets a 5xx. Ours alone: the reference promises less.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "test/support/api.h"
#include "test/support/unit.h"

enum { CLIENTS = 8, TURNS = 40 };

/* A client with a connection of its own: the session of api.h belongs to the main thread. */
struct client {
    pthread_t thread;
    int number;
    struct http_conn *conn;
    struct http_reply re;
    atomic_int *shared;
    int done, lost, failed; /* what it did, what another was faster at, what must not happen */
};

static atomic_int shared_counter;

/* Sends one request as alice; returns the status, or 0 when no answer came. */
static int ask(struct client *c, const char *method, const char *path, const char *headers,
               const char *body)
{
    char request[2048];
    int n = snprintf(request, sizeof request,
                     "%s /v1%s HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\n"
                     "%sContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     method, path, headers, strlen(body), body);
    if (!http_send(c->conn, request, (size_t)n) ||
        http_read(c->conn, strcmp(method, "HEAD") == 0, &c->re) != HTTP_GOT)
        return 0;
    c->failed += c->re.status >= 500;
    return c->re.status;
}

/* The number behind `"name":` in the last body; -1: not there. */
static long number(const struct client *c, const char *name)
{
    const char *at_ = strstr(c->re.body, name);
    return at_ ? strtol(at_ + strlen(name), NULL, 10) : -1;
}

/* Runs all clients on `work` and waits for them; the sums go to *done and *lost. */
static void run_all(void *(*work)(void *), int *done, int *lost)
{
    static struct client all[CLIENTS];
    atomic_store(&shared_counter, 0);
    *done = *lost = 0;
    for (int i = 0; i < CLIENTS; i++) {
        all[i] = (struct client){.number = i, .shared = &shared_counter};
        all[i].conn = http_open(api_url, NULL, 30000);
        ck_assert_ptr_nonnull(all[i].conn);
        ck_assert_int_eq(pthread_create(&all[i].thread, NULL, work, &all[i]), 0);
    }
    int failed = 0;
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(all[i].thread, NULL);
        *done += all[i].done;
        *lost += all[i].lost;
        failed += all[i].failed;
        http_close(all[i].conn);
        http_reply_fini(&all[i].re);
    }
    ck_assert_msg(failed == 0, "%d answers were 5xx or never came", failed);
}

/* ---- one counter ----------------------------------------------------------------------------- */

/* Reads, adds one, and writes with If-Match; begins again when another was faster. */
static void *count_up(void *arg)
{
    struct client *c = arg;
    char header_[64], body[64];
    for (int i = 0; i < TURNS; i++) {
        int status = 412;
        while (status == 412) {
            if (ask(c, "GET", R "/counter", "", "") != 200)
                break;
            snprintf(header_, sizeof header_, "If-Match: \"%ld\"\r\n",
                     number(c, "\"last_modified\":"));
            snprintf(body, sizeof body, "{\"data\":{\"n\":%ld}}", number(c, "\"n\":") + 1);
            status = ask(c, "PUT", R "/counter", header_, body);
            c->lost += status == 412;
        }
        c->done += status == 200;
        c->failed += status != 200;
    }
    return NULL;
}

START_TEST(a_counter_loses_nothing)
{
    int done, lost;
    make_collection();
    put(R "/counter", "{'n':0}");
    run_all(count_up, &done, &lost);
    ck_assert_int_eq(done, CLIENTS * TURNS);
    call("GET", R "/counter", NULL);
    want_at("/data/n", f("%d", CLIENTS * TURNS));
}
END_TEST

/* ---- the same id ----------------------------------------------------------------------------- */

static void *make_the_same(void *arg)
{
    struct client *c = arg;
    char path[96];
    for (int i = 0; i < TURNS; i++) {
        snprintf(path, sizeof path, R "/same-%d", i);
        int status = ask(c, "PUT", path, "If-None-Match: *\r\n", "{\"data\":{}}");
        c->done += status == 201;
        c->lost += status == 412;
        c->failed += status != 201 && status != 412;
    }
    return NULL;
}

START_TEST(an_id_is_made_once)
{
    int done, lost;
    make_collection();
    run_all(make_the_same, &done, &lost);
    ck_assert_int_eq(done, TURNS);
    ck_assert_int_eq(lost, (CLIENTS - 1) * TURNS);
    call("HEAD", R, NULL);
    want_header("Total-Objects", f("%d", TURNS));
}
END_TEST

static void *delete_the_same(void *arg)
{
    struct client *c = arg;
    char path[96];
    for (int i = 0; i < TURNS; i++) {
        snprintf(path, sizeof path, R "/same-%d", i);
        int status = ask(c, "DELETE", path, "", "");
        c->done += status == 200;
        c->failed += status != 200 && status != 404;
    }
    return NULL;
}

START_TEST(an_object_is_deleted_once)
{
    int done, lost;
    make_collection();
    for (int i = 0; i < TURNS; i++)
        put(f(R "/same-%d", i), "{}");
    run_all(delete_the_same, &done, &lost);
    ck_assert_int_eq(done, TURNS);
    call("GET", R "?_since=0", NULL);
    want_count("/data", TURNS);
    want_at("/data/0/deleted", "true");
}
END_TEST

/* ---- parents that come and go ---------------------------------------------------------------- */

/* One client deletes and makes the collection, the others write into it. */
static void *come_and_go(void *arg)
{
    struct client *c = arg;
    char path[96];
    for (int i = 0; i < TURNS; i++) {
        if (c->number == 0) {
            int status = ask(c, "DELETE", "/buckets/b/collections/c", "", "");
            c->failed += status != 200;
            status = ask(c, "PUT", "/buckets/b/collections/c", "", "{}");
            c->failed += status != 201;
            continue;
        }
        snprintf(path, sizeof path, R "/r%d-%d", c->number, i);
        int status = ask(c, "PUT", path, "", "{\"data\":{\"n\":1}}");
        c->done += status == 201;
        c->lost += status == 404 || status == 403;
        c->failed += status != 201 && status != 404 && status != 403;
    }
    return NULL;
}

/* Whatever was deleted with its collection does not come back with it. */
START_TEST(children_go_with_their_parent)
{
    int done, lost;
    make_collection();
    run_all(come_and_go, &done, &lost);
    ck_assert_int_eq(done + lost, (CLIENTS - 1) * TURNS);
    call("DELETE", "/buckets/b/collections/c", NULL);
    want(200);
    make("/buckets/b/collections/c");
    call("GET", R "?_since=0", NULL);
    want_ids("");
    call("HEAD", R, NULL);
    want_header("Total-Objects", "0");
}
END_TEST

/* ---- readers see whole batches --------------------------------------------------------------- */

/* Even clients move two records to the same number in one batch; odd ones read the list. */
static void *in_step(void *arg)
{
    struct client *c = arg;
    char body[512];
    for (int i = 0; i < TURNS; i++) {
        if (c->number % 2 == 0) {
            int n = atomic_fetch_add(c->shared, 1);
            snprintf(body, sizeof body,
                     "{\"defaults\":{\"method\":\"PUT\",\"body\":{\"data\":{\"n\":%d}}},"
                     "\"requests\":[{\"path\":\"" R "/left\"},{\"path\":\"" R "/right\"}]}",
                     n);
            c->failed += ask(c, "POST", "/batch", "", body) != 200;
            continue;
        }
        if (ask(c, "GET", R "?_sort=id", "", "") != 200) {
            c->failed++;
            continue;
        }
        const char *left = strstr(c->re.body, "\"n\":");
        const char *right = left ? strstr(left + 4, "\"n\":") : NULL;
        c->failed += !right || strtol(left + 4, NULL, 10) != strtol(right + 4, NULL, 10);
        c->done++;
    }
    return NULL;
}

START_TEST(a_batch_is_seen_whole)
{
    int done, lost;
    make_collection();
    put(R "/left", "{'n':-1}");
    put(R "/right", "{'n':-1}");
    run_all(in_step, &done, &lost);
    ck_assert_int_eq(done, CLIENTS / 2 * TURNS);
}
END_TEST

/* ---- pages under writers --------------------------------------------------------------------- */

/* Client 0 turns pages; the others write records whose ids lie behind those it looks for. */
static void *turn_pages(void *arg)
{
    struct client *c = arg;
    char path[512];
    for (int i = 0; i < TURNS / 4; i++) {
        if (c->number) {
            snprintf(path, sizeof path, R "/z%d-%d", c->number, i);
            c->failed += ask(c, "PUT", path, "", "{}") != 201;
            continue;
        }
        int seen = 0;
        snprintf(path, sizeof path, "%s", R "?_sort=id&_limit=7&lt_id=m");
        while (*path) {
            if (ask(c, "GET", path, "", "") != 200) {
                c->failed++;
                break;
            }
            for (const char *p = c->re.body; (p = strstr(p, "\"id\":")); p++)
                seen++;
            const char *next = http_reply_header(&c->re, "Next-Page");
            const char *rest = next ? strstr(next, "/v1/") : NULL;
            snprintf(path, sizeof path, "%s", rest ? rest + 3 : "");
        }
        c->failed += seen != 50;
        c->done++;
    }
    return NULL;
}

START_TEST(pages_are_complete_under_writers)
{
    int done, lost;
    make_collection();
    for (int i = 0; i < 50; i++)
        put(f(R "/a%02d", i), "{}");
    run_all(turn_pages, &done, &lost);
    ck_assert_int_eq(done, TURNS / 4);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/concurrency");
    TCase *t = api_case(s, "at once", "ours");
    tcase_add_test(t, a_counter_loses_nothing);
    tcase_add_test(t, an_id_is_made_once);
    tcase_add_test(t, an_object_is_deleted_once);
    tcase_add_test(t, children_go_with_their_parent);
    tcase_add_test(t, a_batch_is_seen_whole);
    tcase_add_test(t, pages_are_complete_under_writers);
    return s;
}

API_MAIN(suite, NULL)
