/*
 * test/http/test_statsd.c - what kinto.plugins.statsd sends: the test is the statsd server.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "test/support/api.h"
#include "test/support/unit.h"

#define MAX_PACKET 1400

static struct server own;
static int sock = -1;
static char packet[64 * 1024]; /* the last one, with a line feed in front and behind */

/* A socket on a port of its own; the port. 0: there is no such family here. */
static unsigned open_socket(int family)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t n = family == AF_INET ? sizeof v4 : sizeof v6;
    struct timeval deadline = {.tv_sec = 20};
    sock = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || bind(sock, address, n) != 0)
        return 0;
    ck_assert_int_eq(getsockname(sock, address, &n), 0);
    ck_assert_int_eq(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline), 0);
    return ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
}

/* The next packet; the test fails when none comes. */
static void receive(void)
{
    ssize_t n = recv(sock, packet + 1, sizeof packet - 3, 0);
    ck_assert_msg(n > 0, "no packet: %s", strerror(errno));
    ck_assert_int_le(n, MAX_PACKET);
    packet[0] = packet[n + 1] = '\n';
    packet[n + 2] = '\0';
}

/* Is there a line that begins so? */
static bool has_line(const char *text)
{
    return strstr(packet, f("\n%s", text)) != NULL;
}

/* Drops what came so far. After an answer its packet has been sent: there is nothing to wait for. */
static void forget(void)
{
    while (recv(sock, packet, sizeof packet, MSG_DONTWAIT) > 0)
        ;
}

/* The packets up to the one that tells of a request to that endpoint. */
static void receive_until(const char *endpoint)
{
    do
        receive();
    while (!strstr(packet, f("endpoint.%s.", endpoint)));
}

#define want_line(text)                                                                            \
    ck_assert_msg(strstr(packet, f("\n%s\n", text)) != NULL, "\"%s\" is not in:%s", text, packet)

#define NO_IDS "kinto.metrics_matchdict_fields =\n"

/* With one loop, which has answered: from then on all of a request is in its packets. */
static void start_with(const char *other_plugin, const char *lines)
{
    unsigned port = open_socket(AF_INET);
    server_start(
        &own, &(struct server_options){.settings = f("kinto.includes = kinto.plugins.statsd %s\n"
                                                     "kinto.server.loops = 1\n"
                                                     "kinto.statsd_url = udp://127.0.0.1:%u\n%s%s",
                                                     other_plugin, port, lines,
                                                     strstr(lines, "matchdict") ? "" : NO_IDS)});
    api_use(own.url);
    call("GET", "/", NULL);
}

static void start(const char *lines)
{
    start_with("kinto.plugins.default_bucket", lines);
}

static void stop(void)
{
    server_stop(&own);
    api_use(NULL);
    close(sock);
}

/* ---- what is sent ---------------------------------------------------------------------------- */

/* "name:1.234567|ms" with a value that can be. */
static void want_timing(const char *name)
{
    const char *at_ = strstr(packet, f("\n%s:", name));
    ck_assert_msg(at_ != NULL, "%s is not in:%s", name, packet);
    char *end;
    double ms = strtod(at_ + strlen(name) + 2, &end);
    ck_assert_msg(ms > 0 && ms < 20000 && strncmp(end, "|ms\n", 4) == 0, "%.80s", at_ + 1);
}

START_TEST(a_request)
{
    start("kinto.metrics_matchdict_fields = bucket_id id\n");
    const char *user = principal("alice") + strlen("basicauth:");
    forget();
    make("/buckets/b");
    receive();
    want_line(
        "kinto.request_summary:method.put.endpoint.bucket-object.bucket_id.b.id.b.status.201|s");
    want_timing(
        "kinto.request_duration_seconds.method.put.endpoint.bucket-object.bucket_id.b.id.b");
    want_line(f("kinto.request_size:%zu|g", re.body_n));
    want_line(f("kinto.users:auth.basicauth.userid.%s|s", user));
    want_line("kinto.authentication:type.basicauth|s");
    want_timing("kinto.backend.storage.seconds.method.create");
    want_timing("kinto.backend.permission.seconds.method.get_user_principals");
    as(NULL);
    call("GET", "/made/up", NULL);
    receive();
    want_line("kinto.request_summary:method.get.endpoint.unknown.bucket_id..id..status.404|s");
    ck_assert(!has_line("kinto.users"));
    ck_assert(!has_line("kinto.authentication"));
    ck_assert(!has_line("kinto.backend"));
    ck_assert_ptr_null(strstr(packet, "made"));
    stop();
}
END_TEST

START_TEST(parts_and_aliases)
{
    start("");
    forget();
    call("POST", "/batch", "{'requests':[{'path':'/'},{'path':'/nope'}]}");
    receive();
    want_line("kinto.request_summary:method.get.endpoint.hello.status.200|s");
    receive();
    want_line("kinto.request_summary:method.post.endpoint.batch.status.200|s");
    ck_assert(!has_line("kinto.users"));
    call("GET", "/buckets/default", NULL);
    receive_until("bucket-object");
    receive();
    want_line("kinto.request_summary:method.get.endpoint.default_bucket.status.200|s");
    stop();
}
END_TEST

/* More than one packet holds: receive() looks at the size of each. */
START_TEST(much_of_one_request)
{
    size_t timings = 0, creations = 0;
    start("kinto.batch_max_requests = 100\n");
    forget();
    struct buf b;
    buf_init(&b, MIB);
    for (int i = 0; i < 60; i++)
        buf_printf(&b, "%s{'method':'PUT','path':'/buckets/b%d'}", i ? "," : "", i);
    buf_add_char(&b, '\0');
    call("POST", "/batch", f("{'requests':[%s]}", b.p));
    want(200);
    buf_fini(&b);
    bool last = false;
    while (!last) {
        receive();
        for (const char *p = packet; (p = strstr(p, ".method.create:")) != NULL; p++)
            timings++;
        for (const char *p = packet; (p = strstr(p, "bucket-object.status.201|s\n")) != NULL; p++)
            creations++;
        last = strstr(packet, "endpoint.batch.status.200") != NULL;
    }
    ck_assert_uint_eq(timings, 60);
    ck_assert_uint_eq(creations, 60);
    stop();
}
END_TEST

/* The outbox looks for mails when it is started, on its own thread, and then sleeps. */
START_TEST(threads_that_answer_nobody)
{
    start_with("kinto.plugins.accounts",
               "multiauth.policies = account\n"
               "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"
               "kinto.account_validation = true\n"
               "kinto.account_validation.email_sender = kinto@example.com\n");
    do
        receive();
    while (!has_line("kinto.backend.storage.seconds.method.list_all"));
    want_timing("kinto.backend.storage.seconds.method.list_all");
    ck_assert(!has_line("kinto.request_"));
    stop();
}
END_TEST

static void want_prefix(const char *lines, const char *prefix)
{
    start(lines);
    forget();
    call("GET", "/", NULL);
    receive();
    ck_assert_msg(has_line(f("%srequest_summary:", prefix)), "%s: %s", lines, packet);
    ck_assert(has_line(f("%srequest_size:", prefix)));
    stop();
}

START_TEST(names_are_made_of_settings)
{
    want_prefix("kinto.project_name = a.b\nkinto.statsd_prefix = other\n", "a.b.");
    want_prefix("kinto.project_name =\nkinto.statsd_prefix = other\n", "other.");
    want_prefix("kinto.project_name =\nkinto.statsd_prefix =\n", "");
}
END_TEST

/* Whoever chooses a user's name cannot send metrics with it. */
START_TEST(names_of_users_are_made_harmless)
{
    start("multiauth.policies = sso\nmultiauth.policy.sso.use = kinto.auth.ProxyPolicy\n"
          "multiauth.policy.sso.proxies = 127.0.0.1\n");
    forget();
    as(NULL);
    with("X-Forwarded-User", "a:b|cd:");
    call("GET", "/", NULL);
    receive();
    want_line("kinto.users:auth.sso.userid.a.bcd.|s");
    stop();
}
END_TEST

/* A line that fits no packet is left out, and nothing but that. */
START_TEST(long_ids)
{
    start("kinto.metrics_matchdict_fields = record_id\n");
    make_collection();
    forget();
    put(f(R "/%s", repeat('r', 2000)), "{}");
    receive();
    ck_assert(!has_line("kinto.request_summary"));
    ck_assert(has_line("kinto.request_size:"));
    want_line("kinto.authentication:type.basicauth|s");
    stop();
}
END_TEST

/* ---- where to -------------------------------------------------------------------------------- */

static void want_sent_to(const char *url)
{
    const char *lines = f("kinto.includes = kinto.plugins.statsd\nkinto.statsd_url = %s\n", url);
    server_start(&own, &(struct server_options){.settings = lines});
    api_use(own.url);
    forget();
    call("GET", "/", NULL);
    receive_until("hello");
    stop();
}

START_TEST(localhost_and_ipv6)
{
    unsigned port = open_socket(AF_INET);
    want_sent_to(f("udp://localhost:%u/x", port));
    port = open_socket(AF_INET6);
    if (port) /* else there is no IPv6 on this machine */
        want_sent_to(f("udp://[::1]:%u", port));
}
END_TEST

/* The kernel says so (ECONNREFUSED) at the next packet: nobody minds. */
START_TEST(nobody_listens)
{
    start("");
    receive_until("hello"); /* it does send */
    close(sock);
    for (int i = 0; i < 20; i++) {
        call("GET", "/", NULL);
        want(200);
    }
    server_stop(&own);
    api_use(NULL);
}
END_TEST

START_TEST(both_plugins)
{
    start_with("kinto.plugins.prometheus", "");
    forget();
    call("GET", "/", NULL);
    receive();
    ck_assert(has_line("kinto.request_summary:method.get.endpoint.hello.status.200|s"));
    call("GET", "/__metrics__", NULL);
    ck_assert_ptr_nonnull(strstr(re.body, "endpoint=\"hello\",method=\"get\",status=\"200\""));
    stop();
}
END_TEST

START_TEST(settings_that_cannot_be)
{
    static const struct {
        const char *url, *word;
    } bad[] = {
        {"", "needs kinto.statsd_url"},
        {"kinto.statsd_url = 127.0.0.1:8125", "udp://HOST:PORT"},
        {"kinto.statsd_url = tcp://127.0.0.1:8125", "udp://HOST:PORT"},
        {"kinto.statsd_url = udp://", "udp://HOST:PORT"},
        {"kinto.statsd_url = udp://:8125", "udp://HOST:PORT"},
        {"kinto.statsd_url = udp://127.0.0.1:0", "udp://HOST:PORT"},
        {"kinto.statsd_url = udp://127.0.0.1:65536", "udp://HOST:PORT"},
        {"kinto.statsd_url = udp://127.0.0.1:x", "udp://HOST:PORT"},
        {"kinto.statsd_url = udp://[::1", "udp://HOST:PORT"},
        {"kinto.statsd_url = udp://[::1]8125", "udp://HOST:PORT"},
        {"kinto.statsd_url = udp://statsd.example:8125", "names are not looked up"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *out;
        const char *lines = f("kinto.includes = kinto.plugins.statsd\n%s\n", bad[i].url);
        int status = server_refuse(&(struct server_options){.settings = lines}, &out);
        ck_assert_msg(status == 1 && strstr(out, bad[i].word), "%s: %d %s", bad[i].url, status,
                      out);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/statsd");
    TCase *t = api_case_own(s, "statsd");
    tcase_add_test(t, a_request);
    tcase_add_test(t, parts_and_aliases);
    tcase_add_test(t, much_of_one_request);
    tcase_add_test(t, names_are_made_of_settings);
    tcase_add_test(t, names_of_users_are_made_harmless);
    tcase_add_test(t, long_ids);
    tcase_add_test(t, localhost_and_ipv6);
    tcase_add_test(t, threads_that_answer_nobody);
    tcase_add_test(t, nobody_listens);
    tcase_add_test(t, both_plugins);
    tcase_add_test(t, settings_that_cannot_be);
    return s;
}

API_MAIN(suite, NULL)
