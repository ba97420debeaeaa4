/*
 * test/http/test_listen.c - the same API over TLS, IPv6 and a Unix socket. TLS is spoken by the
 * openssl command, so that nothing is shared with the server. Ours alone.
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/support/api.h"
#include "test/support/unit.h"

#define GET_BEAT "GET /v1/__lbheartbeat__ HTTP/1.1\r\nHost: h\r\n\r\n"

static struct server server;
static char keys[160]; /* a folder with cert.pem, key.pem and other.pem */

static void make_keys(void)
{
    new_dir(keys, sizeof keys);
    const char *command =
        f("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
          "-keyout key.pem -out cert.pem -days 2 -subj /CN=localhost "
          "-addext subjectAltName=IP:127.0.0.1,DNS:localhost >/dev/null 2>&1 && "
          "openssl ecparam -name prime256v1 -genkey -noout -out other.pem >/dev/null 2>&1",
          keys);
    ck_assert_msg(system(command) == 0, "openssl made no certificate");
}

static void remove_keys(void)
{
    struct server folder = {.pid = 0};
    snprintf(folder.dir, sizeof folder.dir, "%s", keys);
    server_remove(&folder);
}

static void start_tls(void)
{
    make_keys();
    server_start(
        &server,
        &(struct server_options){
            .settings =
                f("kinto.tls_certificate = %s/cert.pem\nkinto.tls_key = %s/key.pem", keys, keys)});
    ck_assert_int_eq(strncmp(server.url, "https://", 8), 0);
    api_use(server.url);
}

static void stop_tls(void)
{
    server_stop(&server);
    remove_keys();
}

static struct http_conn *open_tls(void)
{
    struct http_conn *c = http_open(server.url, f("%s/cert.pem", keys), 20000);
    ck_assert_ptr_nonnull(c);
    return c;
}

/* ---- TLS ------------------------------------------------------------------------------------- */

START_TEST(tls_serves)
{
    start_tls();
    struct http_conn *c = open_tls();
    raw_call(c, "GET /v1/ HTTP/1.1\r\nHost: h.example\r\n\r\n");
    want(200);
    want_at("/url", "'https://h.example/v1/'");
    for (int i = 0; i < 20; i++) {
        raw_call(c, f("PUT /v1/buckets/b%d HTTP/1.1\r\nHost: h\r\n%sContent-Length: 0\r\n\r\n", i,
                      raw_auth()));
        want(201);
    }
    raw_call(c,
             f("GET /v1/buckets HTTP/1.1\r\nHost: h\r\n%sConnection: close\r\n\r\n", raw_auth()));
    want_count("/data", 20);
    raw_want_closed(c);
    http_close(c);
    stop_tls();
}
END_TEST

START_TEST(tls_carries_large_bodies)
{
    start_tls();
    struct http_conn *c = open_tls();
    raw_call(c,
             f("PUT /v1/buckets/b HTTP/1.1\r\nHost: h\r\n%sContent-Length: 0\r\n\r\n", raw_auth()));
    raw_call(c, f("PUT /v1/buckets/b/collections/c HTTP/1.1\r\nHost: h\r\n%sContent-Length: 0\r\n"
                  "\r\n",
                  raw_auth()));
    size_t n = 3000000;
    char *request = malloc(n + 512);
    int head = snprintf(request, 512,
                        "PUT /v1" R "/r HTTP/1.1\r\nHost: h\r\n%sContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n{\"data\":{\"t\":\"",
                        raw_auth(), n + 17);
    memset(request + head, 'y', n);
    memcpy(request + head + n, "\"}}", 4);
    raw_call(c, request);
    want(201);
    raw_call(c, f("GET /v1" R "/r HTTP/1.1\r\nHost: h\r\n%s\r\n", raw_auth()));
    want(200);
    ck_assert_uint_eq(strspn(strstr(re.body, "\"t\":\"") + 5, "y"), n);
    free(request);
    http_close(c);
    stop_tls();
}
END_TEST

START_TEST(tls_pipelines)
{
    start_tls();
    struct http_conn *c = open_tls();
    const char *all = "";
    for (int i = 0; i < 30; i++)
        all = f("%s%s", all, GET_BEAT);
    ck_assert(http_send(c, all, strlen(all)));
    for (int i = 0; i < 30; i++) {
        ck_assert_int_eq(http_read(c, false, &re), HTTP_GOT);
        want(200);
    }
    http_close(c);
    stop_tls();
}
END_TEST

START_TEST(tls_is_not_trusted_by_strangers)
{
    start_tls();
    char other[160];
    memcpy(other, keys, sizeof other);
    make_keys();
    struct http_conn *c = http_open(server.url, f("%s/cert.pem", keys), 20000);
    ck_assert_ptr_nonnull(c);
    (void)http_send(c, GET_BEAT, strlen(GET_BEAT)); /* s_client may have ended already */
    ck_assert_int_ne(http_read(c, false, &re), HTTP_GOT);
    http_close(c);
    remove_keys();
    memcpy(keys, other, sizeof keys);
    stop_tls();
}
END_TEST

/* Plain HTTP, noise, half a handshake, silence: closed or left alone, and others are served. */
START_TEST(tls_survives_what_is_not_tls)
{
    start_tls();
    const char *plain = f("http://%s", server.url + 8);
    struct http_conn *c = http_open(plain, NULL, 20000);
    ck_assert(http_send(c, GET_BEAT, strlen(GET_BEAT)));
    enum http_result got = http_read(c, false, &re);
    ck_assert_msg(got != HTTP_LATE, "plain HTTP on the TLS port hangs");
    ck_assert(got != HTTP_GOT || re.status == 400);
    http_close(c);
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    struct http_conn *half = http_open(plain, NULL, 20000), *silent = http_open(plain, NULL, 20000);
    ck_assert(http_send(half, hello, sizeof hello - 1));
    unsigned seed = 7;
    for (int i = 0; i < 30; i++) {
        char bytes[300];
        for (size_t k = 0; k < sizeof bytes; k++)
            bytes[k] = (char)rand_r(&seed);
        if (i % 2)
            memcpy(bytes, hello, 5);
        c = http_open(plain, NULL, 20000);
        (void)http_send(c, bytes, sizeof bytes); /* may be cut off */
        if (i % 3)
            http_close(c);
        else
            http_abort(c);
    }
    c = open_tls();
    raw_call(c, GET_BEAT);
    want(200);
    http_close(c);
    http_close(half);
    http_close(silent);
    stop_tls();
}
END_TEST

static const struct {
    const char *certificate, *key; /* below the folder of the keys */
    const char *named;             /* what the message must name */
} BAD_FILES[] = {
    {"none.pem", "key.pem", "none.pem"},    {"cert.pem", "none.pem", "none.pem"},
    {"key.pem", "key.pem", "key.pem"},      {"cert.pem", "cert.pem", "cert.pem"},
    {"cert.pem", "other.pem", "other.pem"},
};

START_TEST(tls_refuses_wrong_files)
{
    make_keys();
    const char *output;
    int status = server_refuse(
        &(struct server_options){.settings =
                                     f("kinto.tls_certificate = %s/%s\nkinto.tls_key = %s/%s", keys,
                                       BAD_FILES[_i].certificate, keys, BAD_FILES[_i].key)},
        &output);
    ck_assert_msg(status == 1, "status %d: %s", status, output);
    ck_assert_msg(strstr(output, BAD_FILES[_i].named) != NULL, "%s", output);
    remove_keys();
}
END_TEST

START_TEST(tls_needs_both_files)
{
    make_keys();
    const char *output;
    int status = server_refuse(
        &(struct server_options){.settings = f("kinto.tls_certificate = %s/cert.pem", keys)},
        &output);
    ck_assert_msg(status == 1, "status %d: %s", status, output);
    ck_assert_msg(strstr(output, "tls_key") != NULL, "%s", output);
    remove_keys();
}
END_TEST

/* A setting that is there and says nothing asks for nothing. */
START_TEST(empty_lists)
{
    struct server s;
    server_start(&s, &(struct server_options){
                         .no_port = true,
                         .settings = "kinto.tls_certificate =\nkinto.tls_key =\n",
                         .sections = "[server:main]\nport = 0\nlisten =\nredirect_listen =\n"});
    ck_assert_msg(strncmp(s.url, "http://127.0.0.1:", 17) == 0, "%s", s.url);
    server_stop(&s);
}
END_TEST

/* ---- other sockets --------------------------------------------------------------------------- */

static bool have_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

START_TEST(ipv6)
{
    if (!have_ipv6()) {
        fprintf(stderr, "no IPv6 here: not tested\n");
        return;
    }
    server_start(&server,
                 &(struct server_options){.args = (const char *const[]){"--host", "::1", NULL}});
    ck_assert_int_eq(strncmp(server.url, "http://[::1]:", 13), 0);
    api_use(server.url);
    call("GET", "/", NULL);
    want(200);
    want_at("/url", f("'%s/v1/'", server.url));
    make_collection();
    call_raw("GET", "/v1/buckets/", NULL, 0);
    want_header("Location", f("%s/v1/buckets", server.url));
    server_stop(&server);
}
END_TEST

START_TEST(unix_socket)
{
    char dir[160];
    new_dir(dir, sizeof dir);
    const char *path = f("%s/socket", dir);
    server_start(&server, &(struct server_options){.no_port = true,
                                                   .sections = f("[server:main]\n"
                                                                 "unix_socket = %s\n",
                                                                 path)});
    api_use(f("unix:%s", path));
    call("GET", "/__lbheartbeat__", NULL);
    want(200);
    make_collection();
    put(R "/r", "{'n':1}");
    call("GET", R, NULL);
    want_ids("r");
    server_stop(&server);
    ck_assert_int_ne(access(path, F_OK), 0);
    struct server folder = {.pid = 0};
    memcpy(folder.dir, dir, sizeof dir);
    server_remove(&folder);
}
END_TEST

/* A socket that a killed server left behind does not stop the next start. */
START_TEST(unix_socket_left_behind)
{
    char dir[160];
    new_dir(dir, sizeof dir);
    const char *path = f("%s/socket", dir);
    struct server_options o = {.no_port = true,
                               .sections = f("[server:main]\nunix_socket = %s\n", path)};
    server_start(&server, &o);
    server_kill(&server);
    ck_assert_int_eq(access(path, F_OK), 0);
    server_restart(&server, &o);
    api_use(f("unix:%s", path));
    call("GET", "/__lbheartbeat__", NULL);
    want(200);
    server_stop(&server);
    struct server folder = {.pid = 0};
    memcpy(folder.dir, dir, sizeof dir);
    server_remove(&folder);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/listen");
    TCase *t = api_case_own(s, "tls");
    tcase_add_test(t, tls_serves);
    tcase_add_test(t, tls_carries_large_bodies);
    tcase_add_test(t, tls_pipelines);
    tcase_add_test(t, tls_is_not_trusted_by_strangers);
    tcase_add_test(t, tls_survives_what_is_not_tls);
    tcase_add_loop_test(t, tls_refuses_wrong_files, 0, ARRAY_LEN(BAD_FILES));
    tcase_add_test(t, tls_needs_both_files);
    tcase_add_test(t, empty_lists);
    t = api_case_own(s, "sockets");
    tcase_add_test(t, ipv6);
    tcase_add_test(t, unix_socket);
    tcase_add_test(t, unix_socket_left_behind);
    return s;
}

API_MAIN(suite, NULL)
