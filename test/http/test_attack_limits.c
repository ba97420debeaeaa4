/*
 * test/http/test_attack_limits.c - at the ends of what is possible: the file size that the system
 * allows a process (its writes are refused, and nothing that was acknowledged is lost), the
 * last timestamp that a client may ask for (pages go on behind it), and requests that end before their
 * end. Ours alone.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "test/support/api.h"
#include "test/support/unit.h"
#include "test/support/wait.h"

static const struct server_options DURABLE = {.durable = true};

/* The log may grow to so many bytes (the child inherits the limit). */
static void limit_files(rlim_t bytes)
{
    struct rlimit l;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &l), 0);
    l.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l), 0);
}

START_TEST(a_file_size_limit_refuses_writes_and_kills_nobody)
{
    struct server s;
    int written = 0;

    limit_files(150000); /* less than the first part of a log takes */
    server_start(&s, &DURABLE);
    limit_files(RLIM_INFINITY);
    api_use(s.url);
    make_collection();
    for (; written < 200; written++) {
        call("PUT", f(R "/r%d", written), f("{'data':{'t':'%s'}}", repeat('x', 3000)));
        if (re.status != 201)
            break;
    }
    ck_assert_int_lt(written, 200);
    want(503);
    call("GET", R "/r0", NULL);
    want(200);
    ck_assert(server_end(&s));

    server_restart(&s, &DURABLE);
    api_use(s.url);
    call("HEAD", R, NULL);
    want(200);
    want_header("Total-Records", f("%d", written));
    put(R "/more", "{}");
    server_stop(&s);
}
END_TEST

START_TEST(pages_go_on_behind_the_last_timestamp_to_ask_for)
{
    make_collection();
    put(R "/a", "{'last_modified':4611686018427387903}");
    put(R "/b", "{}");
    put(R "/c", "{}");
    call("GET", R "?_limit=1&_sort=-last_modified", NULL);
    want_ids("c");
    for (int i = 0; i < 2; i++) {
        call("GET", strstr(header("Next-Page"), "/v1/") + 3, NULL);
        want(200);
        want_ids(i == 0 ? "b" : "a");
    }
    want_no_header("Next-Page");
}
END_TEST

/* Filters that look through large objects again and again, multiplied by the parts of a batch. */
START_TEST(a_batch_of_many_filters_is_refused)
{
    struct buf query, parts;

    buf_init(&query, MIB);
    buf_init(&parts, MIB);
    for (int i = 0; i < 90; i++)
        buf_printf(&query, "&has_x%d=false", i);
    buf_add_char(&query, '\0');
    for (int i = 0; i < 24; i++)
        buf_printf(&parts, ",{'method':'HEAD','path':'%s?has_x=false'}", R);
    buf_add_char(&parts, '\0');
    make_collection();
    put(R "/large", f("{'a':'%s'}", repeat('x', 6000000)));

    call("GET", f(R "?_fields=id%s", query.p), NULL);
    want(413);
    call("POST", "/batch", f("{'requests':[{'path':'/'}%s]}", parts.p));
    want(200);
    call("POST", "/batch",
         f("{'requests':[{'method':'PUT','path':'%s/new'},"
           "{'method':'HEAD','path':'%s?_limit=1%s'},{'path':'/'}]}",
           R, R, query.p));
    want(413);
    call("GET", R "/new", NULL);
    want(404);
    buf_fini(&query);
    buf_fini(&parts);
}
END_TEST

/* Whole objects are compared for the order: the reference answers 500 there. */
START_TEST(the_order_of_large_objects_is_refused)
{
    struct buf b;

    buf_init(&b, 8 * MIB);
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, "'k%d':%d,", i, i);
    buf_add_char(&b, '\0');
    make_collection();
    for (int i = 0; i < 40; i++)
        put(f(R "/r%d", i), f("{'o':{%s'z':%d}}", b.p, i));
    buf_fini(&b);
    call("GET", R "?_fields=id&_sort=o", NULL);
    want(413);
    call("GET", R "?_fields=id&_sort=o.z&_limit=2", NULL);
    want(200);
    want_ids("r0,r1");
}
END_TEST

/* Too much for all requests together: the answer says so, and what is small is served. */
START_TEST(memory_has_an_end)
{
    struct server s;
    server_start(&s, &(struct server_options){
                         .settings = "kinto.server.max_total_request_memory = 1048576"});
    api_use(s.url);
    as("alice");
    make_collection();
    call("PUT", R "/r", f("{'data':{'t':'%s'}}", repeat('x', 2000000)));
    want(503);
    ck_assert_int_gt(strtol(header("Retry-After"), NULL, 10), 0);
    put(R "/r", "{'data':{'t':'x'}}");
    server_stop(&s);
}
END_TEST

START_TEST(json_has_a_depth)
{
    make_collection();
    for (int levels = 126; levels <= 127; levels++) { /* of lists, within two objects */
        call("PUT", R "/r",
             f("{'data':{'l':%s%s}}", repeat('[', (size_t)levels), repeat(']', (size_t)levels)));
        want(levels == 126 ? 201 : 400);
    }
}
END_TEST

/* ---- requests that end before their end -------------------------------------------------------- */

/* Asked for again and again: f() would let go of what the test has said with it. */
static unsigned descriptors_of(pid_t pid)
{
    char path[40];
    unsigned n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *d = opendir(path);
    ck_assert_ptr_nonnull(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Ticks of the processor that it has used. */
static unsigned long cpu_of(pid_t pid)
{
    char line[1000] = "";
    FILE *file = fopen(f("/proc/%d/stat", (int)pid), "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    fclose(file);
    char *p = strrchr(line, ')');
    ck_assert_ptr_nonnull(p);
    for (int i = 0; i < 12; i++) /* from the state on; utime is the 14th of all */
        p = strchr(p + 1, ' ');
    char *rest;
    unsigned long user = strtoul(p, &rest, 10);
    return user + strtoul(rest, NULL, 10);
}

/* Nothing half written stays, no descriptor, and nothing to do. */
START_TEST(writes_cut_at_each_byte)
{
    static const char body[] = "{\"data\":{\"id\":\"half\"}}";
    struct server s;
    server_start(&s, &DURABLE);
    api_use(s.url);
    as("alice");
    make_collection();
    const char *cut[] = {f("POST /v1" R " HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n%s",
                           raw_auth(), sizeof body - 1, body),
                         f("POST /v1" R
                           " HTTP/1.1\r\nHost: h\r\n%sTransfer-Encoding: chunked\r\n\r\n"
                           "5\r\n%.5s\r\n%zx\r\n%s\r\n0\r\n\r\n",
                           raw_auth(), body, sizeof body - 6, body + 5)};
    unsigned before = descriptors_of(s.pid);
    for (size_t i = 0; i < ARRAY_LEN(cut); i++)
        for (size_t n = 0; n < strlen(cut[i]); n++) {
            struct http_conn *c = raw_open();
            ck_assert(http_send(c, cut[i], n));
            http_close(c);
        }
    uint64_t until = clock_mono_ms() + 10000;
    while (descriptors_of(s.pid) != before && clock_mono_ms() < until)
        wait_tick();
    ck_assert_uint_eq(descriptors_of(s.pid), before);
    unsigned long cpu = cpu_of(s.pid);
    let_pass(500, "the server must not turn in circles");
    ck_assert_uint_le(cpu_of(s.pid) - cpu, 5);
    call("GET", R, NULL);
    want_ids("");
    struct http_conn *c = raw_open();
    raw_call(c, cut[0]);
    want(201);
    raw_call(c, cut[1]);
    want(200);
    http_close(c);
    call("GET", R, NULL);
    want_ids("half");
    server_stop(&s);
}
END_TEST

/* ---- readers who take their time ----------------------------------------------------------------- */

/* With a small receive buffer, of which what is read is soon seen on the other side. */
static int connect_narrowly(const char *url)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct timeval wait = {10, 0};
    const char *port = strrchr(url, ':');
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), bytes = 64 * 1024;

    ck_assert(fd >= 0 && port != NULL);
    a.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* The kernel has taken megabytes, of which somebody reads a little, always: he may. With the sandbox of every
 * start, as it is what must let the server ask the kernel for that. */
START_TEST(a_slow_steady_reader_is_not_cut)
{
    static char some[100 * 1000];
    struct server s;
    server_start(&s,
                 &(struct server_options){.settings = "kinto.server.send_timeout_seconds = 1\n"});
    api_use(s.url);
    as("alice");
    make_collection();
    put(R "/large", f("{'a':'%s'}", repeat('x', 6000000)));
    unsigned before = descriptors_of(s.pid);
    int fd = connect_narrowly(s.url);
    for (int i = 0; i < 6; i++) {
        const char *ask = f("GET /v1" R "/large HTTP/1.1\r\nHost: h\r\n%s\r\n", raw_auth());
        ck_assert_int_eq(send(fd, ask, strlen(ask), MSG_NOSIGNAL), (ssize_t)strlen(ask));
    }
    for (uint64_t until = clock_mono_ms() + 4500; clock_mono_ms() < until;) {
        ck_assert_int_gt(recv(fd, some, sizeof some, 0), 0);
        let_pass(200, "a reader who takes his time");
    }
    ck_assert_uint_eq(descriptors_of(s.pid), before + 1); /* not cut behind what the kernel has */
    close(fd);
    server_stop(&s);
}
END_TEST

enum { FILES = 256, SPARED = 6 }; /* of this process, and of the server */

static int connect_from(unsigned n, const char *url)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    a.sin_addr.s_addr = htonl(0x7f050001 + n); /* 127.5.0.1 and on: each its own */
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    a.sin_port = htons((uint16_t)strtoul(strrchr(url, ':') + 1, NULL, 10));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

/* Strangers hold all the connections that there may be, and more of them wait: the log goes from segment to
 * segment nevertheless. */
START_TEST(strangers_do_not_take_the_files_of_the_store)
{
    static const char half[] = "GET /v1/ HTTP/1.1\r\nHost: h\r\n";
    struct rlimit few = {FILES, FILES};
    struct server s;
    int fds[FILES], n = 0;

    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    server_start(&s, &DURABLE);
    api_use(s.url);
    as("alice");
    make_collection();
    while (n < FILES && (fds[n] = connect_from((unsigned)n, s.url)) >= 0) {
        ck_assert_int_gt(send(fds[n], half, strlen(half), MSG_NOSIGNAL), 0);
        n++;
    }
    ck_assert_int_gt(n, FILES - 64);
    for (int i = 0; i < SPARED; i++)
        close(fds[--n]);
    for (int i = 0; i < 150; i++) {
        call("PUT", f(R "/r%d", i % 30), f("{'data':{'t':'%s'}}", repeat('x', 20000)));
        want(i < 30 ? 201 : 200);
        close(fds[i % n]); /* and another one comes */
        fds[i % n] = connect_from((unsigned)(n + i), s.url);
        ck_assert_int_ge(fds[i % n], 0);
    }
    while (n > 0)
        close(fds[--n]);
    call("GET", "/__heartbeat__", NULL);
    want(200);
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/attack_limits");
    TCase *t = api_case_own(s, "limits");
    tcase_add_test(t, a_file_size_limit_refuses_writes_and_kills_nobody);
    tcase_add_test(t, memory_has_an_end);
    tcase_add_test(t, writes_cut_at_each_byte);
    tcase_add_test(t, a_slow_steady_reader_is_not_cut);
    tcase_add_test(t, strangers_do_not_take_the_files_of_the_store);
    t = api_case(s, "time", "ours");
    tcase_add_test(t, pages_go_on_behind_the_last_timestamp_to_ask_for);
    t = api_case(s, "work", "ours");
    tcase_add_test(t, a_batch_of_many_filters_is_refused);
    tcase_add_test(t, the_order_of_large_objects_is_refused);
    tcase_add_test(t, json_has_a_depth);
    return s;
}

API_MAIN(suite, NULL)
