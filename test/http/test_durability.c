/*
 * test/http/test_durability.c - what was acknowledged is there again: after a stop, after SIGKILL,
 * after SIGKILL under concurrent writers. Ours alone: own servers on data directories.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/support/api.h"
#include "test/support/unit.h"
#include "test/support/wait.h"
#include "json/json.h"

typedef unsigned long long ull;

/* The lists are read whole, however fast the machine writes. */
static const struct server_options DURABLE = {
    .durable = true, .settings = "kinto.storage_max_fetch_size = 100000000"};

static uint64_t list_stamp(const char *path)
{
    call("HEAD", path, NULL);
    want(200);
    return strtoull(etag() + 1, NULL, 10);
}

/* ---- the same after a restart ---------------------------------------------------------------- */

/* What must be the same: paths, and who asks. */
static const struct {
    const char *user, *path;
} VIEWS[] = {
    {"alice", "/buckets"},
    {"alice", "/buckets?_since=0"},
    {"alice", "/buckets/b"},
    {"alice", "/buckets/b/collections?_since=0"},
    {"alice", "/buckets/b/collections/c"},
    {"alice", "/buckets/b/collections/empty/records"},
    {"alice", "/buckets/b/groups?_since=0"},
    {"alice", R "?_sort=id"},
    {"alice", R "?_since=0"},
    {"alice", R "/kept"},
    {"alice", R "/gone"},
    {"alice", R "/old"},
    {"bob", R},
    {"bob", R "/kept"},
    {"bob", "/"},
    {"carol", R},
    {NULL, R "/open"},
};

static void fill(void)
{
    const char *bob = principal("bob");
    make_collection();
    make("/buckets/b/collections/empty");
    call("GET", "/buckets/b/collections/empty/records", NULL);
    put("/buckets/b/groups/g", f("{'members':['%s']}", bob));
    make("/buckets/b/groups/away");
    call("DELETE", "/buckets/b/groups/away", NULL);
    put(R "/kept", "{'n':1,'t':'\xC3\xA9\\u0000','d':1.0,'big':12345678901234567890123}");
    call("PATCH", R "/kept", "{'permissions':{'read':['/buckets/b/groups/g']}}");
    want(200);
    put(R "/gone", "{}");
    call("DELETE", R "/gone", NULL);
    put(R "/old", "{'last_modified':1234}");
    call("PUT", R "/open", "{'permissions':{'read':['system.Everyone']}}");
    want(201);
    put(R "/large", f("{'t':'%s'}", repeat('x', 200000)));
    put("/buckets/default/collections/d/records/r", "{'n':1}");
    call("PUT", "/buckets/x", "{'data':{'n':1}}");
    call("DELETE", "/buckets/x", NULL);
    want(200);
}

struct view {
    int status;
    char *etag, *body;
};

static void look(struct view *v)
{
    for (size_t i = 0; i < ARRAY_LEN(VIEWS); i++) {
        as(VIEWS[i].user);
        call("GET", VIEWS[i].path, NULL);
        v[i].status = re.status;
        v[i].etag = strdup(header("ETag") ? header("ETag") : "");
        /* the hello page names the server's own port */
        v[i].body = strdup(strcmp(VIEWS[i].path, "/") == 0 ? at("/user") : re.body);
    }
    as("alice");
}

static void compare(struct view *before, struct view *after)
{
    for (size_t i = 0; i < ARRAY_LEN(VIEWS); i++) {
        ck_assert_msg(before[i].status == after[i].status, "%s: %d, then %d", VIEWS[i].path,
                      before[i].status, after[i].status);
        ck_assert_msg(strcmp(before[i].etag, after[i].etag) == 0, "%s: ETag %s, then %s",
                      VIEWS[i].path, before[i].etag, after[i].etag);
        ck_assert_msg(strcmp(before[i].body, after[i].body) == 0, "%s: %.300s, then %.300s",
                      VIEWS[i].path, before[i].body, after[i].body);
    }
    for (size_t i = 0; i < ARRAY_LEN(VIEWS); i++) {
        free(before[i].etag);
        free(before[i].body);
        free(after[i].etag);
        free(after[i].body);
    }
}

/* _i = 0: SIGTERM; 1: SIGKILL. Twice, so that what was recovered is recovered again. */
START_TEST(all_is_there_again)
{
    struct server s;
    struct view before[ARRAY_LEN(VIEWS)], after[ARRAY_LEN(VIEWS)];
    server_start(&s, &DURABLE);
    api_use(s.url);
    fill();
    for (int round = 0; round < 2; round++) {
        look(before);
        uint64_t last = list_stamp(R);
        if (_i)
            server_kill(&s);
        else
            ck_assert(server_end(&s));
        server_restart(&s, &DURABLE);
        api_use(s.url);
        look(after);
        compare(before, after);
        put(R "/next", "{}");
        ck_assert_uint_gt(stamp(), last);
    }
    server_stop(&s);
}
END_TEST

/* A clock that was put ahead by a client does not fall back. */
START_TEST(clocks_go_on)
{
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make_collection();
    put(R "/r", "{'last_modified':99999999999999}");
    call("DELETE", R "/r?last_modified=199999999999999", NULL);
    want(200);
    server_kill(&s);
    server_restart(&s, &DURABLE);
    api_use(s.url);
    ck_assert_uint_eq(list_stamp(R), 199999999999999);
    put(R "/s", "{}");
    ck_assert_uint_eq(stamp(), 200000000000000);
    server_stop(&s);
}
END_TEST

START_TEST(flush_is_durable)
{
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make_collection();
    put(R "/r", "{}");
    call("POST", "/__flush__", NULL);
    want(202);
    make("/buckets/after");
    server_kill(&s);
    server_restart(&s, &DURABLE);
    api_use(s.url);
    call("GET", "/buckets", NULL);
    want_ids("after");
    make("/buckets/b");
    make("/buckets/b/collections/c");
    call("GET", R "?_since=0", NULL);
    want_ids("");
    server_stop(&s);
}
END_TEST

START_TEST(memory_keeps_nothing)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings = ""});
    api_use(s.url);
    make("/buckets/b");
    server_kill(&s);
    server_restart(&s, &(struct server_options){.settings = ""});
    api_use(s.url);
    call("GET", "/buckets", NULL);
    want_ids("");
    char data[200];
    snprintf(data, sizeof data, "%s/data", s.dir);
    ck_assert_int_ne(access(data, F_OK), 0);
    server_stop(&s);
}
END_TEST

START_TEST(one_server_a_directory)
{
    struct server s;
    const char *output;
    server_start(&s, &DURABLE);
    const char *ini = f("%s/kinto.ini", s.dir), *data = f("%s/data", s.dir);
    const char *args[] = {"start", "--ini", ini, "--data", data, "--port", "0", NULL};
    int status = server_run(NULL, args, &output);
    ck_assert_msg(status == 1, "status %d: %s", status, output);
    ck_assert_msg(strstr(output, data) != NULL, "%s", output);
    api_use(s.url);
    call("GET", "/__lbheartbeat__", NULL);
    want(200);
    server_stop(&s);
}
END_TEST

/* ---- killed under writers -------------------------------------------------------------------- */

enum { WRITERS = 8, BATCH = 4, MAX_ACKS = 20000 };

/* What a writer was told; batches have BATCH records each, named w<writer>-<n>-<i>. */
struct writer {
    pthread_t thread;
    int number;
    const char *url;
    struct ack {
        int n;
        uint64_t stamp[BATCH];
    } * acks;
    int from;         /* the first n of this round */
    atomic_int acked; /* of this round */
    int tried;        /* n of the last request sent */
};

static bool read_stamps(const char *body, uint64_t *stamps)
{
    const char *p = body;
    for (int i = 0; i < BATCH; i++) {
        p = strstr(p, "\"last_modified\":");
        if (!p)
            return false;
        stamps[i] = strtoull(p + 16, NULL, 10);
        p += 16;
    }
    return true;
}

/* Writes batches until the server is gone. Uses the raw client only: the session is one thread's. */
static void *write_batches(void *arg)
{
    struct writer *w = arg;
    struct http_conn *c = http_open(w->url, NULL, 10000);
    struct http_reply r = {0};
    char body[1024], request[2048];
    for (int n = w->from; c && n < w->from + MAX_ACKS; n++) {
        int len = snprintf(body, sizeof body, "{\"defaults\":{\"method\":\"PUT\"},\"requests\":[");
        for (int i = 0; i < BATCH; i++)
            len += snprintf(body + len, sizeof body - (size_t)len,
                            "%s{\"path\":\"" R "/w%d-%d-%d\"}", i ? "," : "", w->number, n, i);
        len += snprintf(body + len, sizeof body - (size_t)len, "]}");
        int total = snprintf(request, sizeof request,
                             "POST /v1/batch HTTP/1.1\r\nHost: h\r\n"
                             "Authorization: Basic YWxpY2U6c2VjcmV0\r\n"
                             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                             len, body);
        w->tried = n;
        if (!http_send(c, request, (size_t)total) || http_read(c, false, &r) != HTTP_GOT ||
            r.status != 200)
            break;
        int k = atomic_load(&w->acked);
        w->acks[k].n = n;
        if (!read_stamps(r.body, w->acks[k].stamp))
            break;
        atomic_store(&w->acked, k + 1);
    }
    http_reply_fini(&r);
    http_close(c);
    return NULL;
}

/* Polls the list's clock, as a syncing client does: what it saw must still be true after the kill. */
struct poller {
    pthread_t thread;
    const char *url;
    uint64_t seen;
};

static void *poll_stamp(void *arg)
{
    struct poller *p = arg;
    struct http_conn *c = http_open(p->url, NULL, 10000);
    struct http_reply r = {0};
    const char *get = "HEAD /v1" R " HTTP/1.1\r\nHost: h\r\n"
                      "Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n";
    while (c && http_send(c, get, strlen(get)) && http_read(c, true, &r) == HTTP_GOT) {
        const char *at_ = strstr(r.head, "ETag: \"");
        if (at_)
            p->seen = strtoull(at_ + 7, NULL, 10);
    }
    http_reply_fini(&r);
    http_close(c);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Reads the collection and checks it against what the writers were told. */
static void check_collection(struct writer *w, uint64_t seen)
{
    call("GET", R "?_fields=id", NULL);
    want(200);
    struct arena a;
    struct json *root;
    arena_init(&a, NULL, 0, NULL, (size_t)1 << 30);
    ck_assert_int_eq(json_parse(&a, (str){re.body, re.body_n}, &root, NULL), OK);
    const struct json *data = json_get(root, STR("data"));
    size_t count = json_count(data);
    uint64_t *stamps = calloc(count + 1, sizeof *stamps);
    struct json *by_id = json_new_object(&a);
    uint64_t highest = 0;
    for (size_t i = 0; i < count; i++) {
        struct json *id = json_get(json_at(data, i), STR("id"));
        struct json *when = json_get(json_at(data, i), STR("last_modified"));
        int64_t ms;
        ck_assert_int_eq(json_to_i64(when, &ms), OK);
        stamps[i] = (uint64_t)ms;
        highest = MAX_OF(highest, stamps[i]);
        ck_assert_int_eq(json_set(&a, by_id, json_string(id), json_copy(&a, when)), OK);
    }
    qsort(stamps, count, sizeof *stamps, by_value);
    for (size_t i = 1; i < count; i++)
        ck_assert_msg(stamps[i] != stamps[i - 1], "stamp %llu twice", (ull)stamps[i]);
    free(stamps);
    ck_assert_msg(seen <= highest, "a reader saw %llu, now the highest is %llu", (ull)seen,
                  (ull)highest);
    for (int i = 0; i < WRITERS; i++) {
        int acked = atomic_load(&w[i].acked);
        for (int k = 0; k < acked; k++) {
            for (int part = 0; part < BATCH; part++) {
                char id[64];
                snprintf(id, sizeof id, "w%d-%d-%d", w[i].number, w[i].acks[k].n, part);
                struct json *when = json_get(by_id, str_from(id));
                int64_t ms = 0;
                ck_assert_msg(when && json_to_i64(when, &ms) == OK, "%s was lost", id);
                ck_assert_msg((uint64_t)ms == w[i].acks[k].stamp[part], "%s: stamp %llu, was %llu",
                              id, (ull)ms, (ull)w[i].acks[k].stamp[part]);
            }
        }
        int there = 0; /* the one in flight: whole or not at all */
        for (int part = 0; part < BATCH; part++) {
            char id[64];
            snprintf(id, sizeof id, "w%d-%d-%d", w[i].number, w[i].tried, part);
            there += json_get(by_id, str_from(id)) != NULL;
        }
        ck_assert_msg(there == 0 || there == BATCH, "half a batch: %d of %d", there, BATCH);
    }
    arena_fini(&a);
}

/* Waits until every writer has so many acknowledged batches; false: the deadline passed. */
static bool wait_for_acks(struct writer *w, int n)
{
    for (int tries = 0; tries < 20000; tries++) {
        int least = INT_MAX;
        for (int i = 0; i < WRITERS; i++)
            least = MIN_OF(least, atomic_load(&w[i].acked));
        if (least >= n)
            return true;
        wait_tick();
    }
    return false;
}

START_TEST(killed_under_writers)
{
    static struct writer w[WRITERS];
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make_collection();
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){.number = i};
        w[i].acks = calloc(MAX_ACKS, sizeof *w[i].acks);
    }
    for (int round = 0; round < 5; round++) {
        struct poller p = {.url = s.url};
        for (int i = 0; i < WRITERS; i++) {
            w[i].url = s.url;
            w[i].from = w[i].tried + 1;
            atomic_store(&w[i].acked, 0);
            ck_assert_int_eq(pthread_create(&w[i].thread, NULL, write_batches, &w[i]), 0);
        }
        ck_assert_int_eq(pthread_create(&p.thread, NULL, poll_stamp, &p), 0);
        bool ready = wait_for_acks(w, 20);
        server_kill(&s);
        for (int i = 0; i < WRITERS; i++)
            pthread_join(w[i].thread, NULL);
        pthread_join(p.thread, NULL);
        ck_assert_msg(ready, "the writers came to a stop");
        server_restart(&s, &DURABLE);
        api_use(s.url);
        check_collection(w, p.seen);
        uint64_t before = list_stamp(R);
        put(R "/mark", "{}");
        ck_assert_uint_gt(stamp(), before);
        ck_assert_uint_gt(stamp(), p.seen);
    }
    for (int i = 0; i < WRITERS; i++)
        free(w[i].acks);
    server_stop(&s);
}
END_TEST

/* ---- exact synchronisation ------------------------------------------------------------------- */

/* A client that only ever asks _since the ETag it saw last misses nothing, under writers. */
START_TEST(since_is_exact_under_writers)
{
    static struct writer w[WRITERS];
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    make_collection();
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){.number = i, .url = s.url, .from = 1};
        w[i].acks = calloc(MAX_ACKS, sizeof *w[i].acks);
        ck_assert_int_eq(pthread_create(&w[i].thread, NULL, write_batches, &w[i]), 0);
    }
    uint64_t mark = 0;
    size_t seen = 0;
    bool ready = false;
    for (int i = 0; i < 3000 && !ready; i++) {
        call("GET", f(R "?_since=%llu", (ull)mark), NULL);
        want(200);
        const char *all = ids();
        for (const char *p = all; *p; p++)
            seen += *p == ',';
        seen += *all != '\0';
        mark = strtoull(etag() + 1, NULL, 10);
        ready = true;
        for (int k = 0; k < WRITERS; k++)
            ready &= atomic_load(&w[k].acked) >= 30;
    }
    /* The writers stop when their connections break; a restart keeps what they wrote. */
    server_kill(&s);
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(w[i].thread, NULL);
        free(w[i].acks);
    }
    server_restart(&s, &DURABLE);
    api_use(s.url);
    call("GET", f(R "?_since=%llu&_fields=id", (ull)mark), NULL);
    const char *rest = ids();
    for (const char *p = rest; *p; p++)
        seen += *p == ',';
    seen += *rest != '\0';
    call("HEAD", R, NULL);
    want_header("Total-Objects", f("%zu", seen));
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/durability");
    TCase *t = api_case_own(s, "restart");
    tcase_add_loop_test(t, all_is_there_again, 0, 2);
    tcase_add_test(t, clocks_go_on);
    tcase_add_test(t, flush_is_durable);
    tcase_add_test(t, memory_keeps_nothing);
    tcase_add_test(t, one_server_a_directory);
    t = api_case_own(s, "writers");
    tcase_add_test(t, killed_under_writers);
    tcase_add_test(t, since_is_exact_under_writers);
    return s;
}

API_MAIN(suite, NULL)
