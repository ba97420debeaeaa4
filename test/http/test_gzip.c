/*
 * test/http/test_gzip.c - answers in the content coding gzip: who gets them, what is in them, what the headers say,
 * and what others notice of it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "test/support/api.h"
#include "test/support/gunzip.h"
#include "test/support/unit.h"

#define ASKS "gzip, deflate, br" /* as browsers and Python's requests do */

enum { MIN_BYTES = 1400, PER_BATCH = 25 };

static struct server server;

/* ---- what there is to be asked for ----------------------------------------------------------- */

/* A record of so many bytes of text, and some. */
static void put_text(const char *id, size_t n)
{
    struct buf b;
    buf_init(&b, 64 * MIB);
    buf_add_lit(&b, "{\"data\":{\"text\":\"");
    for (size_t i = 0; b.n < n + 17; i++)
        buf_printf(&b, "%zx.", i * 7919);
    b.n = n + 17;
    buf_add_lit(&b, "\"}}");
    call_raw("PUT", f("/v1" R "/%s", id), b.p, b.n);
    want(201);
    buf_fini(&b);
}

/* So many records of some 300 bytes in the collection. */
static void put_records(int n)
{
    struct buf b;
    buf_init(&b, MIB);
    for (int i = 0; i < n; i += PER_BATCH) {
        b.n = 0;
        buf_add_lit(&b, "{\"defaults\":{\"method\":\"PUT\"},\"requests\":[");
        for (int k = i; k < i + PER_BATCH; k++)
            buf_printf(&b,
                       "%s{\"path\":\"" R
                       "/r%d\",\"body\":{\"data\":{\"title\":\"The %dth of all\","
                       "\"notes\":\"%0200d\",\"done\":false}}}",
                       k > i ? "," : "", k, k, k * 104729 % 1000003);
        buf_add_lit(&b, "]}");
        call_raw("POST", "/v1/batch", b.p, b.n);
        want(200);
    }
    buf_fini(&b);
}

static void make_some(void)
{
    make_collection();
    put_text("small", 3000);
    put_text("large", 60000);
    put_records(100);
}

/* The last answer's body; the caller frees it. */
static str body_copy(void)
{
    char *p = malloc(re.body_n + 1);
    ck_assert_ptr_nonnull(p);
    memcpy(p, re.body, re.body_n);
    return (str){p, re.body_n};
}

static str body(void)
{
    return (str){re.body, re.body_n};
}

static bool is_packed(void)
{
    const char *coding = header("Content-Encoding");
    ck_assert(!coding || strcmp(coding, "gzip") == 0);
    return coding != NULL;
}

/* ---- negotiation ----------------------------------------------------------------------------- */

/* All of the grammar: test/unit/api/test_values.c. */
static const struct {
    const char *line, *another;
    bool packed;
} ASKED[] = {
    {NULL, NULL, false},           {"", NULL, false},
    {"gzip", NULL, true},          {ASKS, NULL, true},
    {"x-gzip", NULL, true},        {"*", NULL, true},
    {"identity", NULL, false},     {"deflate, br", NULL, false},
    {"gzip;q=0", NULL, false},     {"gzip;q=0, *", NULL, false},
    {"gzip;q=0.2", NULL, true},    {"identity, gzip;q=0.2", NULL, false},
    {"br", "gzip", true},          {"gzip", "gzip;q=0", false},
    {"gzip;level=1", NULL, false},
};

START_TEST(who_asks_gets_it)
{
    static const char *const paths[] = {R "/small", R "/large", R};
    make_some();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (ASKED[_i].line)
            with("Accept-Encoding", ASKED[_i].line);
        if (ASKED[_i].another)
            with("accept-encoding", ASKED[_i].another);
        call("GET", paths[i], NULL);
        want(200);
        ck_assert(is_packed() == ASKED[_i].packed);
        want_header("Vary", "Accept-Encoding");
    }
}
END_TEST

/* ---- what comes ------------------------------------------------------------------------------ */

START_TEST(the_same_comes_packed)
{
    static const char *const paths[] = {R "/small",
                                        R "/large",
                                        R,
                                        R "?_sort=title&_limit=20",
                                        R "?min_last_modified=1&_fields=notes",
                                        "/__api__"};
    static const char *const same[] = {"ETag",         "Last-Modified",           "Cache-Control",
                                       "Content-Type", "Content-Security-Policy", "Server"};
    make_some();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char *was[ARRAY_LEN(same)];
        call("GET", paths[i], NULL);
        want(200);
        str plain = body_copy();
        for (size_t k = 0; k < ARRAY_LEN(same); k++)
            was[k] = strdup(header(same[k]) ? header(same[k]) : "");
        with("Accept-Encoding", ASKS);
        call("GET", paths[i], NULL);
        want(200);
        ck_assert(is_packed());
        want_header("Content-Length", f("%zu", re.body_n));
        ck_assert_uint_lt(re.body_n, plain.n * 3 / 4);
        want_gzip_of(body(), plain);
        for (size_t k = 0; k < ARRAY_LEN(same); k++) {
            ck_assert_str_eq(header(same[k]) ? header(same[k]) : "", was[k]);
            free(was[k]);
        }
        gunzip_free(plain);
    }
}
END_TEST

/* What clients do with a tag: it goes back, and names what it named before. */
START_TEST(a_tag_goes_back)
{
    make_some();
    static const char *const paths[] = {R "/large", R};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        with("Accept-Encoding", ASKS);
        call("GET", paths[i], NULL);
        const char *tag = etag();
        ck_assert(tag[0] == '"' && strlen(tag) == 15); /* strong, a timestamp, and nothing more */
        for (int asks = 0; asks < 2; asks++) {
            if (asks)
                with("Accept-Encoding", ASKS);
            with("If-None-Match", tag);
            call("GET", paths[i], NULL);
            want(304);
            want_header("Vary", "Accept-Encoding");
            want_header("ETag", tag);
            want_no_header("Content-Encoding");
            want_no_header("Content-Length");
        }
    }
    with("Accept-Encoding", ASKS);
    call("GET", R "/large", NULL);
    with("If-Match", etag());
    call("PATCH", R "/large", "{'data':{'a':1}}");
    want(200);
}
END_TEST

START_TEST(head_says_what_it_knows)
{
    make_some();
    call("HEAD", R "/large", NULL);
    want(200);
    want_header("Vary", "Accept-Encoding");
    ck_assert_uint_eq(strlen(header("Content-Length")), 5);
    with("Accept-Encoding", ASKS);
    call("HEAD", R "/large", NULL);
    want(200);
    want_header("Vary", "Accept-Encoding");
    want_no_header("Content-Encoding");
    want_no_header("Content-Length");
    ck_assert_ptr_nonnull(etag());
    with("Accept-Encoding", ASKS);
    call("HEAD", R, NULL);
    want(200);
    want_header("Vary", "Accept-Encoding");
    want_header("Total-Records", "102");
    want_no_header("Content-Encoding");
    put(R "/tiny", "{'a':1}");
    with("Accept-Encoding", ASKS);
    call("HEAD", R "/tiny", NULL);
    ck_assert_ptr_nonnull(header("Content-Length"));
}
END_TEST

START_TEST(writes_are_answered_so_too)
{
    make_some();
    static const char *const methods[] = {"PUT", "PATCH"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        with("Accept-Encoding", ASKS);
        call(methods[i], R "/large", f("{'data':{'more':'%s'}}", repeat('x', 20000)));
        want(200);
        ck_assert(is_packed());
        str plain = gunzip(body());
        ck_assert(str_find_str(plain, str_from(repeat('x', 20000))) != STR_NPOS);
        gunzip_free(plain);
    }
    with("Accept-Encoding", ASKS);
    call("DELETE", R, NULL);
    want(200);
    ck_assert(is_packed());
    call("GET", R, NULL);
    want_ids("");
}
END_TEST

START_TEST(errors_are_answered_so_too)
{
    make_some();
    const char *path = f(R "/%s", repeat('x', 3000));
    call("GET", path, NULL);
    want(404);
    str plain = body_copy();
    ck_assert_uint_gt(plain.n, MIN_BYTES);
    with("Accept-Encoding", ASKS);
    call("GET", path, NULL);
    want(404);
    ck_assert(is_packed());
    want_gzip_of(body(), plain);
    gunzip_free(plain);
    with("Accept-Encoding", ASKS);
    call("GET", R "/none", NULL);
    want_error(404, 110, NULL);
    ck_assert(!is_packed());
    with("Accept-Encoding", ASKS);
    call("GET", "/nothing", NULL);
    want_error(404, 111, NULL);
    want_no_header("Vary");
}
END_TEST

/* The batch is packed, and nothing in it. */
START_TEST(a_batch_is_packed_as_a_whole)
{
    make_some();
    const char *batch =
        "{'requests':[{'path':'" R "/large','headers':{'Accept-Encoding':'gzip'}},"
        "{'path':'" R "','headers':{'Accept-Encoding':'gzip'}},{'method':'HEAD','path':'" R
        "/large','headers':{'Accept-Encoding':'gzip'}}]}";
    call("POST", "/batch", batch);
    want(200);
    ck_assert(!is_packed());
    want_header("Vary", "Accept-Encoding");
    want_count("/responses", 3);
    want_count("/responses/1/body/data", 102);
    for (int i = 0; i < 3; i++) {
        want_at(f("/responses/%d/status", i), "200");
        want_missing(f("/responses/%d/headers/Content-Encoding", i));
        want_missing(f("/responses/%d/headers/Vary", i));
        ck_assert(has(f("/responses/%d/headers/Content-Length", i)));
    }
    str plain = body_copy();
    with("Accept-Encoding", ASKS);
    call("POST", "/batch", batch);
    want(200);
    ck_assert(is_packed());
    want_gzip_of(body(), plain);
    gunzip_free(plain);
}
END_TEST

/* ---- many at once ---------------------------------------------------------------------------- */

/* Packed and not, by a thread and at once, in one connection: in the order in which they were asked for. */
START_TEST(pipelined_answers_keep_their_order)
{
    static const struct {
        const char *path, *header;
        bool packed;
    } asked[] = {
        {"large", "Accept-Encoding: gzip\r\n", true}, {"small", "", false},
        {"small", "Accept-Encoding: gzip\r\n", true}, {"large", "", false},
        {"large", "Accept-Encoding: gzip\r\n", true}, {"none", "Accept-Encoding: gzip\r\n", false}};
    struct buf b;
    make_some();
    buf_init(&b, MIB);
    for (int n = 0; n < 10; n++)
        for (size_t i = 0; i < ARRAY_LEN(asked); i++)
            buf_printf(&b, "GET /v1" R "/%s HTTP/1.1\r\nHost: h\r\n%s%s\r\n", asked[i].path,
                       raw_auth(), asked[i].header);
    struct http_conn *c = raw_open();
    ck_assert(http_send(c, b.p, b.n));
    for (size_t i = 0; i < 10 * ARRAY_LEN(asked); i++) {
        size_t k = i % ARRAY_LEN(asked);
        ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
        ck_assert(is_packed() == asked[k].packed);
        str plain = asked[k].packed ? gunzip(body()) : body_copy();
        ck_assert(str_find_str(plain, str_from(f("\"%s\"", asked[k].path))) != STR_NPOS);
        gunzip_free(plain);
    }
    http_close(c);
    buf_fini(&b);
}
END_TEST

enum { MANY = 10000 };

static const char *list_request(void)
{
    return f("GET /v1" R " HTTP/1.1\r\nHost: h\r\n%sAccept-Encoding: gzip\r\n\r\n", raw_auth());
}

/* Reads megabytes of list, packed, in a thread of its own. */
struct reader {
    pthread_t thread;
    struct http_conn *conn;
    struct http_reply re;
    enum http_result got;
    _Atomic bool done;
};

static void *read_list(void *arg)
{
    struct reader *r = arg;
    r->got = http_read(r->conn, false, &r->re);
    r->done = true;
    return NULL;
}

/* ... and who asks for little meanwhile is answered. */
START_TEST(light_requests_go_on_beside_it)
{
    enum { LISTS = 4 };
    static struct reader readers[LISTS];
    make_collection();
    put_records(MANY);
    call("GET", R, NULL);
    want(200);
    str plain = body_copy();
    ck_assert_uint_gt(plain.n, 2 * MIB);
    const char *ask = list_request();
    for (int i = 0; i < LISTS; i++) {
        readers[i].conn = raw_open();
        ck_assert(http_send(readers[i].conn, ask, strlen(ask)));
        ck_assert_int_eq(pthread_create(&readers[i].thread, NULL, read_list, &readers[i]), 0);
    }
    int meanwhile = 0;
    for (int i = 0; i < LISTS; i++)
        for (; !readers[i].done; meanwhile++) {
            with("Accept-Encoding", ASKS);
            call("GET", R "/r17", NULL);
            want(200);
            ck_assert(!is_packed());
        }
    ck_assert_int_gt(meanwhile, 20);
    for (int i = 0; i < LISTS; i++) {
        ck_assert_int_eq(pthread_join(readers[i].thread, NULL), 0);
        ck_assert_int_eq(readers[i].got, HTTP_GOT);
        ck_assert_str_eq(http_reply_header(&readers[i].re, "Content-Encoding"), "gzip");
        want_gzip_of((str){readers[i].re.body, readers[i].re.body_n}, plain);
        http_close(readers[i].conn);
        http_reply_fini(&readers[i].re);
    }
    gunzip_free(plain);
}
END_TEST

/* ---- servers of their own -------------------------------------------------------------------- */

static void start(const char *settings)
{
    server_start(&server, &(struct server_options){.settings = settings});
    api_use(server.url);
    as("alice");
}

/* Who asks, and goes before the answer is there, disturbs nobody: not the next one, nor the stop. */
START_TEST(clients_that_go_leave_nothing)
{
    start("");
    make_collection();
    put_records(2000);
    const char *ask = list_request();
    for (int i = 0; i < 40; i++) {
        struct http_conn *c = raw_open();
        ck_assert(http_send(c, ask, strlen(ask)));
        if (i % 4 == 0)
            http_close(c);
        else
            http_abort(c);
        if (i % 8 == 0) {
            call("GET", R "/r1", NULL);
            want(200);
        }
    }
    with("Accept-Encoding", ASKS);
    call("GET", R, NULL);
    want(200);
    ck_assert(is_packed());
    struct http_conn *c = raw_open();
    ck_assert(http_send(c, ask, strlen(ask)));
    server_stop(&server); /* with a list under way */
    http_close(c);
}
END_TEST

START_TEST(small_bodies_are_sent_as_they_are)
{
    start("");
    make_collection();
    put_text("r", MIN_BYTES);
    call("GET", R "/r", NULL);
    size_t more = re.body_n - MIN_BYTES; /* than its text */
    for (size_t n = MIN_BYTES - 1; n <= MIN_BYTES; n++) {
        put_text(f("r%zu", n), n - more - 4); /* so much longer is the id */
        with("Accept-Encoding", ASKS);
        call("GET", f(R "/r%zu", n), NULL);
        want(200);
        if (n < MIN_BYTES) {
            want_no_header("Content-Encoding");
            want_no_header("Vary");
            ck_assert_uint_eq(re.body_n, n);
        } else {
            ck_assert(is_packed());
            str plain = gunzip(body());
            ck_assert_uint_eq(plain.n, n);
            gunzip_free(plain);
        }
    }
    server_stop(&server);
}
END_TEST

START_TEST(the_least_is_a_setting)
{
    start("kinto.gzip_min_bytes = 200");
    make_collection();
    put_text("r", 300);
    with("Accept-Encoding", ASKS);
    call("GET", R "/r", NULL);
    want(200);
    ck_assert(is_packed());
    server_stop(&server);
    start("kinto.gzip_min_bytes = 1");
    call("GET", "/__lbheartbeat__", NULL); /* {}: it does not get smaller */
    want_header("Vary", "Accept-Encoding");
    with("Accept-Encoding", ASKS);
    call("GET", "/__lbheartbeat__", NULL);
    want_header("Vary", "Accept-Encoding");
    want_body("{}");
    server_stop(&server);
}
END_TEST

START_TEST(it_can_be_switched_off)
{
    start("kinto.gzip = false");
    make_some();
    with("Accept-Encoding", ASKS);
    call("GET", R, NULL);
    want(200);
    want_count("/data", 102);
    want_no_header("Content-Encoding");
    want_no_header("Vary");
    with("Accept-Encoding", ASKS);
    with("If-None-Match", etag());
    call("GET", R, NULL);
    want(304);
    want_no_header("Vary");
    with("Accept-Encoding", ASKS);
    call("HEAD", R "/large", NULL);
    want_no_header("Vary");
    ck_assert_ptr_nonnull(header("Content-Length"));
    server_stop(&server);
}
END_TEST

/* One Vary, whatever it depends on. */
START_TEST(vary_names_all)
{
    start("kinto.cors_origins = http://a.org");
    make_some();
    for (int asks = 0; asks < 2; asks++) {
        if (asks)
            with("Accept-Encoding", ASKS);
        call("GET", R, NULL);
        want_header("Vary", "Origin, Accept-Encoding");
        ck_assert_int_eq(http_reply_header_count(&re, "Vary"), 1);
    }
    call("GET", "/nothing", NULL);
    want_header("Vary", "Origin");
    server_stop(&server);
}
END_TEST

/* There is room for the answer, but not for what is made of it, in what one request may hold, and in what all may:
 * it goes out as it is. */
static const struct {
    size_t bytes;
    const char *env[3];
} SHORT[] = {
    {950000,
     {"KINTO_SERVER_MAX_REQUEST_MEMORY=1048576", "KINTO_SERVER_MAX_REQUEST_BODY_SIZE=1024"}},
    {700000, {"KINTO_SERVER_MAX_TOTAL_REQUEST_MEMORY=1048576"}},
};

START_TEST(memory_for_the_answer_is_enough)
{
    struct server_options o = {.durable = true};
    server_start(&server, &o);
    api_use(server.url);
    as("alice");
    make_collection();
    put_text("r", SHORT[_i].bytes);
    for (int enough = 0; enough < 2; enough++) {
        o.env = enough ? NULL : SHORT[_i].env;
        api_restart(&server, &o);
        with("Accept-Encoding", ASKS);
        call("GET", R "/r", NULL);
        want(200);
        ck_assert(is_packed() == enough);
        want_header("Vary", "Accept-Encoding");
        ck_assert(enough || re.body_n > SHORT[_i].bytes);
    }
    server_stop(&server);
}
END_TEST

START_TEST(over_tls)
{
    new_dir(server.dir, sizeof server.dir);
    const char *out;
    ck_assert_int_eq(server_run(server.dir,
                                (const char *const[]){"init", "--ini", "kinto.ini", "--backend",
                                                      "memory", "--tls-self-signed", NULL},
                                &out),
                     0);
    server_restart(&server, &(struct server_options){0});
    api_use(server.url);
    struct http_conn *c = http_open(server.url, f("%s/kinto-certificate.pem", server.dir), 20000);
    ck_assert_ptr_nonnull(c);
    for (int i = 0; i < 4; i++) {
        const char *ask = f("GET /v1/__api__ HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
                            i % 2 ? "Accept-Encoding: gzip\r\n" : "");
        str plain = i ? body_copy() : STR_NONE;
        ck_assert(http_send(c, ask, strlen(ask)));
        ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
        want(200);
        ck_assert(is_packed() == (i % 2 == 1));
        if (i % 2)
            want_gzip_of(body(), plain);
        gunzip_free(plain);
    }
    http_close(c);
    server_stop(&server);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/gzip");
    TCase *t = api_case(s, "answers", "ours");
    tcase_add_loop_test(t, who_asks_gets_it, 0, ARRAY_LEN(ASKED));
    tcase_add_test(t, the_same_comes_packed);
    tcase_add_test(t, a_tag_goes_back);
    tcase_add_test(t, head_says_what_it_knows);
    tcase_add_test(t, writes_are_answered_so_too);
    tcase_add_test(t, errors_are_answered_so_too);
    tcase_add_test(t, a_batch_is_packed_as_a_whole);
    tcase_add_test(t, pipelined_answers_keep_their_order);
    t = api_case(s, "much", "ours");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, light_requests_go_on_beside_it);
    t = api_case_own(s, "servers");
    tcase_add_test(t, clients_that_go_leave_nothing);
    tcase_add_test(t, small_bodies_are_sent_as_they_are);
    tcase_add_test(t, the_least_is_a_setting);
    tcase_add_test(t, it_can_be_switched_off);
    tcase_add_test(t, vary_names_all);
    tcase_add_loop_test(t, memory_for_the_answer_is_enough, 0, ARRAY_LEN(SHORT));
    tcase_add_test(t, over_tls);
    return s;
}

API_MAIN(suite, NULL)
