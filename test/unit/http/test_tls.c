/*
 * TLS: the same server over the other transport. (Who waits for whom while handshakes are computed:
 * test_handshakes.c.)
 */
#include "test/unit/http/tls_test.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

/* ---- requests --------------------------------------------------------------------------------- */

START_TEST(handshake_and_keep_alive)
{
    struct tls_client t;

    test_start(&f);
    tls_open(&t);
    ck_assert_str_eq(mbedtls_ssl_get_alpn_protocol(&t.ssl), "http/1.1");
    ck_assert_str_eq(mbedtls_ssl_get_version(&t.ssl),
                     MBEDTLS_VERSION_MAJOR >= 3 ? "TLSv1.3" : "TLSv1.2");
    for (int i = 0; i < 20; i++)
        tls_expect_alive(&t);
    tls_close(&t);
    test_wait_open(&f, 0);
}
END_TEST

/* The socket gets its bytes one at a time: handshake, records, and several requests in one record. */
START_TEST(bytewise)
{
    struct tls_client t;

    test_start(&f);
    tls_prepare(&t);
    t.slice = 1;
    say_at_once(t.fd);
    ck_assert_int_eq(tls_shake(&t), 0);
    tls_say(&t, STR("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
                    "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n0\r\n\r\n"));
    tls_expect_tail(&t, "PUT /c|abc");
    tls_close(&t);
}
END_TEST

/* More records than the server reads ahead at once, in a single write to the socket. */
START_TEST(pipelined)
{
    struct tls_client t;
    char say[64];

    test_start(&f);
    tls_open(&t);
    for (int i = 0; i < 300; i++) {
        int n = snprintf(say, sizeof say, "GET /n%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
        tls_say(&t, (str){say, (size_t)n});
    }
    tls_expect_tail(&t, "GET /n299|");
    tls_expect_alive(&t);
    tls_close(&t);
}
END_TEST

START_TEST(large_body_and_response)
{
    enum { N = 400000 };
    struct tls_client t;
    char *p = malloc(N + 1), head[100];
    size_t total = 0;

    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < N; i++)
        p[i] = test_pattern(i);
    test_start(&f);
    tls_open(&t);
    snprintf(head, sizeof head, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", N);
    tls_say(&t, str_from(head));
    tls_say(&t, (str){p, N});
    while (t.n < N + 7 || memcmp(t.buf + t.n - N, p, N) != 0)
        ck_assert_uint_gt(tls_fill(&t), 0);
    t.n = 0;
    tls_say(&t, STR("GET /big?20000000 HTTP/1.1\r\nHost: h\r\n\r\n")); /* more than sockets hold */
    while (total < 20000000) {
        total += tls_fill(&t);
        t.n = 0;
    }
    tls_expect_alive(&t);
    tls_close(&t);
    free(p);
}
END_TEST

/* The reader stops for a while: a record that did not go out whole is taken up again. */
START_TEST(slow_reader)
{
    struct tls_client t, other;
    int n = 0;

    test_start(&f);
    tls_open(&t);
    for (int i = 0; i < 60; i++)
        tls_say(
            &t,
            STR("GET /big?200000 HTTP/1.1\r\nHost: h\r\n\r\nGET /s HTTP/1.1\r\nHost: h\r\n\r\n"));
    tls_open(&other);
    for (int i = 0; i < 20; i++)
        tls_expect_alive(&other);
    tls_close(&other);
    while (n < 60) {
        t.n = 0;
        for (size_t from = 0; n < 60;) {
            const char *hit;
            if (tls_fill(&t) == 0)
                ck_abort_msg("closed after %d", n);
            while ((hit = memmem(t.buf + from, t.n - from, "GET /s|", 7)) != NULL) {
                from = (size_t)(hit - t.buf) + 7;
                n++;
            }
            if (t.n > CLIENT_BYTES / 2) { /* keep what a match may begin in */
                memmove(t.buf, t.buf + t.n - 6, 6);
                t.n = 6;
                from = 0;
            }
        }
    }
    tls_close(&t);
}
END_TEST

/* What the kernel has not brought to the peer is counted in bytes of records, as what it was given. */
START_TEST(a_reader_that_goes_on)
{
    struct tls_client t;
    struct http_stats s;
    uint64_t until;

    f.o.send_timeout_ms = 300;
    f.o.min_rate = 1000;
    test_start(&f);
    tls_open(&t);
    read_narrowly(t.fd);
    for (int i = 0; i < 40; i++)
        tls_say(&t, STR("GET /large?1000000 HTTP/1.1\r\nHost: h\r\n\r\n"));
    until = clock_mono_ms() + 2500;
    while (clock_mono_ms() < until) {
        for (int i = 0; i < 4; i++) {
            t.n = 0;
            ck_assert_uint_gt(tls_fill(&t), 0);
        }
        let_pass(50, "a reader who takes his time");
    }
    http_server_stats(f.server, &s);
    ck_assert_uint_eq(s.open_connections, 1);
    tls_close(&t);
}
END_TEST

START_TEST(parked)
{
    struct tls_client t;

    test_start(&f);
    tls_open(&t);
    tls_say(&t, STR("GET /park HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n"));
    test_wait(&f.app, &f.app.nparked, 1);
    test_release(&f.app);
    tls_expect_tail(&t, "GET /a|");
    tls_close(&t);
}
END_TEST

START_TEST(expect_continue)
{
    struct tls_client t;

    test_start(&f);
    tls_open(&t);
    tls_say(&t,
            STR("PUT /e HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
    tls_expect_tail(&t, "HTTP/1.1 100 Continue\r\n\r\n");
    tls_say(&t, STR("hello"));
    tls_expect_tail(&t, "PUT /e|hello");
    tls_close(&t);
}
END_TEST

/* The end is said inside TLS too, so that a cut connection can be told from a finished one. */
START_TEST(close_is_said)
{
    static const char *const last[] = {"GET /close HTTP/1.1\r\nHost: h\r\n\r\n", "bad\r\n\r\n"};
    struct tls_client t;

    test_start(&f);
    tls_open(&t);
    tls_say(&t, str_from(last[_i]));
    while (tls_fill(&t) > 0)
        ;
    ck_assert_uint_gt(t.n, 0);
    ck_assert_ptr_nonnull(memmem(t.buf, t.n, "Connection: close\r\n", 19));
    tls_close(&t);
    test_wait_open(&f, 0);
}
END_TEST

START_TEST(both_ports)
{
    struct client plain;
    struct tls_client t;

    test_start(&f);
    client_adopt(&plain, test_connect(http_server_port(f.server, 1)));
    tls_open(&t);
    expect_alive(&plain);
    tls_expect_alive(&t);
    client_close(&plain);
    tls_close(&t);
}
END_TEST

static void *shaker(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        struct tls_client t;
        tls_open(&t);
        tls_expect_alive(&t);
        tls_close(&t);
    }
    return NULL;
}

/* Sessions that lie idle have all the memory that one network may have, or (from two of them) all there is:
 * who comes next gets in all the same. */
START_TEST(idle_sessions_make_room)
{
    static struct tls_client ts[60];

    f.o.loops = 1;
    f.o.max_total_bytes = 2 * MIB;
    test_start(&f);
    for (unsigned i = 0; i < ARRAY_LEN(ts); i++) {
        comes_from = _i == 0 ? 2 : 2 + i % 2;
        tls_open(&ts[i]);
        tls_expect_alive(&ts[i]);
    }
    struct tls_client t;
    for (comes_from = 2; comes_from < 5; comes_from++) {
        tls_open(&t);
        tls_expect_alive(&t);
        tls_close(&t);
    }
    for (unsigned i = 0; i < ARRAY_LEN(ts); i++)
        tls_close(&ts[i]);
}
END_TEST

/* Who has all the memory that one network may have makes room for himself: nobody else's session ends for it,
 * though they have more connections, and lie idle as well. */
START_TEST(own_sessions_make_room)
{
    static struct tls_client own[40], others[4];
    static int plain[60];
    struct http_stats s;

    f.o.loops = 1;
    f.o.max_total_bytes = 2 * MIB;
    test_start(&f);
    for (unsigned i = 0; i < ARRAY_LEN(plain); i++)
        plain[i] = test_connect_from(http_server_port(f.server, 1), 3);
    comes_from = 3;
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        tls_open(&others[i]);
    comes_from = 2;
    for (unsigned i = 0; i < ARRAY_LEN(own); i++) {
        tls_open(&own[i]);
        tls_expect_alive(&own[i]);
    }
    http_server_stats(f.server, &s); /* some of his have gone */
    ck_assert_uint_lt(s.open_connections, ARRAY_LEN(own) + ARRAY_LEN(others) + ARRAY_LEN(plain));
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        tls_expect_alive(&others[i]);
        tls_close(&others[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(own); i++)
        tls_close(&own[i]);
    for (unsigned i = 0; i < ARRAY_LEN(plain); i++)
        close(plain[i]);
}
END_TEST

START_TEST(many_at_once)
{
    pthread_t threads[4];

    test_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, shaker, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    test_wait_open(&f, 0);
}
END_TEST

START_TEST(stop_says_goodbye)
{
    struct tls_client t;

    f.o.stop_timeout_ms = TEST_MS;
    test_start(&f);
    tls_open(&t);
    tls_expect_alive(&t);
    test_stop(&f);
    ck_assert_uint_eq(tls_fill(&t), 0);
    tls_close(&t);
}
END_TEST

/* Clients that wait for their handshake when the time for stopping is over: all are closed, nothing is
 * lost. */
START_TEST(stop_among_handshakes)
{
    struct tls_client t[100];

    f.o.stop_timeout_ms = 1;
    test_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        tls_prepare(&t[i]);
        tls_begin(&t[i]); /* and no look at the answer */
    }
    test_stop(&f);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        mbedtls_ssl_set_bio(&t[i].ssl, &t[i], out_fd, in_fd, NULL);
        while (mbedtls_ssl_handshake_step(&t[i].ssl) == 0)
            ; /* an answer, perhaps, but then the end */
        tls_close(&t[i]);
    }
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------ */

static const struct {
    const char *bytes, *answer;
} wrong_port[] = {
    {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 "},
    {"PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 400 "},
    {"GET / HTTP/3.1\r\n\r\n", "HTTP/1.1 505 "},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 4"},
    {"get / HTTP/1.1\r\n\r\n", ""},
    {"\x80\x2e\x01\x03\x01", ""}, /* a ClientHello of SSL 2 */
    {"\x15\x03\x03\x00\x02\x02\x28", ""},
};

static bool admits_nobody(void *loop_ctx, struct http_req *req)
{
    (void)loop_ctx;
    req->res.status = 429;
    req->res.body = STR("later");
    return false;
}

/* The application is asked about every request, also about those that the server answers by itself. */
START_TEST(all_are_admitted_first)
{
    struct client c;

    f.o.app.admit = admits_nobody;
    f.listen[1].redirect = true;
    test_start(&f);
    for (unsigned i = 0; i < 2; i++) { /* plain HTTP on the TLS port; the port that redirects */
        client_adopt(&c, test_connect(http_server_port(f.server, i)));
        client_say(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        expect_reply(&c, 429, "later");
        client_close(&c);
    }
}
END_TEST

START_TEST(plain_bytes_on_the_tls_port)
{
    struct client c;

    test_start(&f);
    client_open(&c, &f);
    client_send(&c, str_from(wrong_port[_i].bytes));
    if (wrong_port[_i].answer[0] == '\0') {
        expect_end(&c, true);
    } else {
        while (client_fill(&c) > 0)
            ;
        ck_assert_uint_gt(c.n, strlen(wrong_port[_i].answer));
        ck_assert_int_eq(memcmp(c.buf, wrong_port[_i].answer, strlen(wrong_port[_i].answer)), 0);
    }
    client_close(&c);
    test_wait_open(&f, 0);
}
END_TEST

START_TEST(handshake_timeout)
{
    struct client c;

    f.o.head_timeout_ms = 50;
    test_start(&f);
    client_open(&c, &f);
    if (_i == 1)
        client_say(&c, "\x16\x03\x01\x02\x00\x01");
    expect_end(&c, true);
    client_close(&c);
}
END_TEST

/* Takes tickets, also those of TLS 1.3, which come behind the handshake. */
static void prepare_for_tickets(struct tls_client *t)
{
    tls_prepare(t);
#ifdef MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &t->config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#endif
}

/* A session to come back to. */
static void take_ticket(mbedtls_ssl_session *session)
{
    struct tls_client t;

    mbedtls_ssl_session_init(session);
    prepare_for_tickets(&t);
    ck_assert_int_eq(tls_shake(&t), 0);
    tls_expect_alive(&t);
    ck_assert_int_eq(mbedtls_ssl_get_session(&t.ssl, session), 0);
    tls_close(&t);
}

/* As tls_begin(), of a client who comes back. */
static void begin_again(struct tls_client *t, const mbedtls_ssl_session *session)
{
    tls_set_up(t);
    ck_assert_int_eq(mbedtls_ssl_set_session(&t->ssl, session), 0);
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_nothing, NULL);
    ck_assert_int_eq(mbedtls_ssl_handshake(&t->ssl), MBEDTLS_ERR_SSL_WANT_READ);
}

/* Sends the last message of a handshake and these bytes at once. */
static void finish_with(struct tls_client *t, str bytes)
{
    struct pollfd p = {t->fd, POLLIN, 0};
    int on = 1, off = 0;

    ck_assert_int_eq(poll(&p, 1, TEST_MS), 1); /* the server's answer */
    setsockopt(t->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_fd, NULL);
    ck_assert_int_eq(mbedtls_ssl_handshake(&t->ssl), 0);
    tls_say(t, bytes);
    setsockopt(t->fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
}

/* A head has all its time, though it begins with the last bytes of a handshake that has used some up: those of
 * a client who comes back (or of TLS 1.3) are his. */
START_TEST(a_head_behind_a_slow_handshake)
{
    enum { HEAD_MS = 1000 };
    mbedtls_ssl_session session;
    struct tls_client t;
    uint64_t begun;

    f.o.head_timeout_ms = HEAD_MS;
    test_start(&f);
    take_ticket(&session);
    prepare_for_tickets(&t);
    let_pass(HEAD_MS / 2, "the connection is open, and waits for its handshake");
    begin_again(&t, &session);
    begun = clock_mono_ms();
    finish_with(&t, STR("GET / HTTP/1.1\r\nHost"));
    tls_expect_tail(&t, "The request's head did not come in time.");
    ck_assert_uint_ge(clock_mono_ms() - begun, HEAD_MS / 10 * 9);
    tls_close(&t);
    mbedtls_ssl_session_free(&session);
}
END_TEST

START_TEST(old_versions)
{
#if MBEDTLS_VERSION_MAJOR < 3
    struct tls_client t;

    test_start(&f);
    tls_prepare(&t);
    mbedtls_ssl_conf_min_version(&t.config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 MBEDTLS_SSL_MINOR_VERSION_1);
    mbedtls_ssl_conf_max_version(&t.config, MBEDTLS_SSL_MAJOR_VERSION_3,
                                 _i == 0 ? MBEDTLS_SSL_MINOR_VERSION_1
                                         : MBEDTLS_SSL_MINOR_VERSION_2);
    ck_assert_int_ne(tls_shake(&t), 0);
    tls_close(&t);
    test_wait_open(&f, 0);
#endif
}
END_TEST

static const int weak[] = {
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
    MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256,
};

START_TEST(weak_suites)
{
    struct tls_client t;
    int only[] = {weak[_i], 0};

    test_start(&f);
    tls_prepare(&t);
    mbedtls_ssl_conf_ciphersuites(&t.config, only);
    ck_assert_int_ne(tls_shake(&t), 0);
    tls_close(&t);
    test_wait_open(&f, 0);
}
END_TEST

START_TEST(other_protocols)
{
    static const char *only[] = {"h2", NULL};
    struct tls_client t;

    test_start(&f);
    tls_prepare(&t);
    ck_assert_int_eq(mbedtls_ssl_conf_alpn_protocols(&t.config, only), 0);
    ck_assert_int_ne(tls_shake(&t), 0);
    tls_close(&t);
}
END_TEST

/* TLS 1.2 lets a client ask for new keys in the middle, as often as he likes: nothing comes of it here. */
START_TEST(no_renegotiation)
{
    struct tls_client t;

    test_start(&f);
    tls_prepare(&t);
    mbedtls_ssl_conf_renegotiation(&t.config, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_max_tls_version(&t.config, MBEDTLS_SSL_VERSION_TLS1_2);
#endif
    ck_assert_int_eq(tls_shake(&t), 0);
    tls_expect_alive(&t);
    ck_assert_int_ne(mbedtls_ssl_renegotiate(&t.ssl), 0);
    tls_close(&t);
    test_wait_open(&f, 0);
}
END_TEST

/* Alerts that mean nothing, without end: the thread of the handshakes is not theirs for long. */
START_TEST(endless_alerts)
{
    static const unsigned char alert[] = {0x15, 3, 3, 0, 2, 1, 0x5a};
    struct tls_client t;
    size_t sent = 0;

    test_start(&f);
    tls_prepare(&t);
    ck_assert_int_eq(mbedtls_ssl_setup(&t.ssl, &t.config), 0);
    mbedtls_ssl_set_bio(&t.ssl, &t, out_fd, in_fd, NULL);
    for (int i = 0; i < 3; i++) /* up to the server's first answer */
        ck_assert_int_eq(mbedtls_ssl_handshake_step(&t.ssl), 0);
    while (send(t.fd, alert, sizeof alert, MSG_NOSIGNAL) == (ssize_t)sizeof alert) {
        sent += sizeof alert;
        ck_assert_uint_lt(sent, 64 * MIB);
    }
    tls_close(&t);
    test_wait_open(&f, 0);
}
END_TEST

static int say_nothing(struct tls_client *t)
{
    return mbedtls_ssl_send_alert_message(&t->ssl, MBEDTLS_SSL_ALERT_LEVEL_WARNING,
                                          MBEDTLS_SSL_ALERT_MSG_USER_CANCELED);
}

/* The same inside a session: whoever has a loop's ear says something, or is gone. */
START_TEST(endless_alerts_in_a_session)
{
    struct tls_client t;
    size_t sent = 0;

    test_start(&f);
    tls_open(&t);
    while (say_nothing(&t) == 0)
        ck_assert_uint_lt(++sent, 10 * MIB);
    tls_close(&t);
    test_wait_open(&f, 0);
}
END_TEST

/* Fewer of them are nobody's end. The server reads them in several turns, and no event tells of the second:
 * all is there already. */
START_TEST(alerts_before_a_request)
{
    struct tls_client t;
    int on = 1, off = 0;

    test_start(&f);
    tls_open(&t);
    for (int i = 0; i < 5; i++) {
        setsockopt(t.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
        for (int alerts = 0; alerts < 500; alerts++)
            ck_assert_int_eq(say_nothing(&t), 0);
        tls_say(&t, STR("GET /alive HTTP/1.1\r\nHost: h\r\n\r\n"));
        setsockopt(t.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
        tls_expect_tail(&t, "\r\n\r\nGET /alive|");
    }
    tls_close(&t);
}
END_TEST

/* What a read has taken in is told by no event: not when it lies where an earlier record lay, either. */
START_TEST(alerts_of_the_same_length)
{
    struct tls_client t, other;
    int on = 1, off = 0;

    test_start(&f);
    tls_open(&t);
    tls_open(&other);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(say_nothing(&t), 0);
        tls_expect_alive(&other); /* so the alert has been read */
        setsockopt(t.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
        ck_assert_int_eq(say_nothing(&t), 0);
        tls_say(&t, STR("GET /alive HTTP/1.1\r\nHost: h\r\n\r\n"));
        setsockopt(t.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
        tls_expect_tail(&t, "\r\n\r\nGET /alive|");
    }
    tls_close(&other);
    tls_close(&t);
}
END_TEST

static void wait_taken(int fd)
{
    int left = 1;

    for (uint64_t until = clock_mono_ms() + TEST_MS; clock_mono_ms() < until; wait_tick()) {
        ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &left), 0);
        if (left == 0)
            return;
    }
    ck_abort_msg("%d bytes are on their way", left);
}

static unsigned order_of(const char *bytes, size_t n)
{
    const char *at = memmem(bytes, n, "order ", 6);

    ck_assert_ptr_nonnull(at);
    return (unsigned)strtoul(at + 6, NULL, 10);
}

/* While the loop stands still, a client sends hundreds of alerts and a request, and behind him another one a
 * request: which comes first, since a read ends long before the alerts do. */
START_TEST(alerts_leave_the_turn_to_others)
{
    struct client holder, other;
    struct tls_client t;
    int on = 1, off = 0;

    f.o.loops = 1;
    test_start(&f);
    uint16_t tls_port = f.port;
    tls_open(&t);
    f.port = http_server_port(f.server, 1);
    client_open(&holder, &f);
    client_open(&other, &f);
    client_say(&holder, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait(&f.app, &f.app.nheld, 1);
    setsockopt(t.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    for (int alerts = 0; alerts < 500; alerts++)
        ck_assert_int_eq(say_nothing(&t), 0);
    tls_say(&t, STR("GET /order HTTP/1.1\r\nHost: h\r\n\r\n"));
    setsockopt(t.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    wait_taken(t.fd);
    client_say(&other, "GET /order HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_taken(other.fd);
    test_let_go(&f.app);
    while (memmem(other.buf, other.n, "order ", 6) == NULL || other.buf[other.n - 1] != '.')
        ck_assert_uint_gt(client_fill(&other), 0);
    while (memmem(t.buf, t.n, "order ", 6) == NULL || t.buf[t.n - 1] != '.')
        ck_assert_uint_gt(tls_fill(&t), 0);
    ck_assert_uint_lt(order_of(other.buf, other.n), order_of(t.buf, t.n));
    tls_close(&t);
    client_close(&other);
    client_close(&holder);
    f.port = tls_port;
}
END_TEST

/* As much wrapping as there can be around data: each byte in a record of its own. */
START_TEST(a_byte_a_record)
{
    enum { N = 3000 };
    struct tls_client t;
    char body[N];

    for (size_t i = 0; i < N; i++)
        body[i] = test_pattern(i);
    test_start(&f);
    tls_open(&t);
    tls_say(&t, STR("PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 3000\r\n\r\n"));
    for (size_t i = 0; i < N; i++)
        tls_say(&t, (str){body + i, 1});
    while (t.n < N || memcmp(t.buf + t.n - N, body, N) != 0)
        ck_assert_uint_gt(tls_fill(&t), 0);
    t.n = 0;
    tls_expect_alive(&t);
    tls_close(&t);
}
END_TEST

/* A client that vanishes at each step of the handshake and of a request. */
START_TEST(cut_at_each_byte)
{
    struct linger now = {1, 0};

    test_start(&f);
    for (size_t limit = 1; limit < 700; limit += 7) {
        struct tls_client t;
        tls_prepare(&t);
        ck_assert_int_eq(mbedtls_ssl_setup(&t.ssl, &t.config), 0);
        mbedtls_ssl_set_bio(&t.ssl, &t, out_fd, in_fd, NULL);
        t.slice = limit;
        for (size_t step = 0; step <= limit % 12; step++)
            if (mbedtls_ssl_handshake_step(&t.ssl) != 0)
                break;
        setsockopt(t.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        tls_close(&t);
    }
    test_wait_open(&f, 0);
}
END_TEST

/* ---- several certificates, and new ones ------------------------------------------------------ */

struct pair {
    char certificate[100], key[100];
};

/* DIR/NAME.pem for these names, with a key of its own. */
static void make_pair(struct pair *p, const char *name, const char *names)
{
    snprintf(p->certificate, sizeof p->certificate, "%s/%s.pem", dir, name);
    snprintf(p->key, sizeof p->key, "%s/%s.key", dir, name);
    make_files(names, p->certificate, p->key);
}

static void remove_pair(const struct pair *p)
{
    unlink(p->certificate);
    unlink(p->key);
}

/* Who says he is `host` (NULL: no name is sent)? True: it is the certificate in this file. */
static bool answers_with(const char *host, const char *file)
{
    struct tls_client t;
    bool same;

    tls_prepare(&t);
    mbedtls_ssl_conf_authmode(&t.config, MBEDTLS_SSL_VERIFY_NONE);
    ck_assert_int_eq(mbedtls_ssl_setup(&t.ssl, &t.config), 0);
    ck_assert_int_eq(mbedtls_ssl_set_hostname(&t.ssl, host), 0);
    mbedtls_ssl_set_bio(&t.ssl, &t, out_fd, in_fd, NULL);
    ck_assert_int_eq(mbedtls_ssl_handshake(&t.ssl), 0);
    const mbedtls_x509_crt *got = mbedtls_ssl_get_peer_cert(&t.ssl);
    mbedtls_x509_crt want;
    mbedtls_x509_crt_init(&want);
    ck_assert_int_eq(mbedtls_x509_crt_parse_file(&want, file), 0);
    same = got->raw.len == want.raw.len && memcmp(got->raw.p, want.raw.p, want.raw.len) == 0;
    mbedtls_x509_crt_free(&want);
    tls_expect_alive(&t);
    tls_close(&t);
    return same;
}

START_TEST(names_choose_certificates)
{
    static const struct {
        const char *host;
        unsigned pair;
    } rows[] = {
        {NULL, 0},
        {"a.example.org", 0},
        {"A.EXAMPLE.ORG", 0},
        {"b.example.org", 1},
        {"other.example.org", 2},
        {"x.y.example.org", 0}, /* `*` is one label */
        {"example.org", 0},     /* and not none */
        {"nobody.example.com", 0},
        {"x.example.net", 1},
        {".example.org", 0},
        {"localhost", 0},
    };
    struct pair pairs[3];
    str certificates[3], keys[3];

    make_pair(&pairs[0], "one", "a.example.org");
    make_pair(&pairs[1], "two", "b.example.org *.example.net");
    make_pair(&pairs[2], "three", "*.example.org");
    for (size_t i = 0; i < 3; i++) {
        certificates[i] = str_from(pairs[i].certificate);
        keys[i] = str_from(pairs[i].key);
    }
    f.o.tls = (struct http_tls_options){certificates, keys, 3};
    test_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(answers_with(rows[i].host, pairs[rows[i].pair].certificate), "row %zu, %s", i,
                      rows[i].host != NULL ? rows[i].host : "no host");
    for (size_t i = 0; i < 3; i++)
        remove_pair(&pairs[i]);
}
END_TEST

static enum err reload(struct err_detail *d)
{
    return http_server_reload_tls(f.server, &f.o.tls, d);
}

/* A connection that is open lives through reloads, good ones and bad ones; new ones get what is new. */
START_TEST(reloading)
{
    struct pair old, next;
    struct tls_client t;
    struct err_detail d = {.text = ""};

    make_pair(&old, "old", "localhost");
    make_pair(&next, "next", "localhost");
    use_files(cert_file, key_file);
    test_start(&f);
    tls_open(&t);
    tls_expect_alive(&t);
    use_files(next.certificate, next.key);
    ck_assert_int_eq(reload(&d), OK);
    while (!answers_with("localhost", next.certificate))
        ; /* a loop takes it over when it is woken; the test's time-out is the deadline */
    tls_expect_alive(&t);

    use_files(old.certificate, next.key);
    ck_assert_int_eq(reload(&d), ERR_CONFLICT);
    ck_assert_ptr_nonnull(strstr(d.text, "old.pem"));
    remove_pair(&old);
    use_files(old.certificate, old.key);
    ck_assert_int_eq(reload(&d), ERR_NOTFOUND);
    ck_assert_ptr_nonnull(strstr(d.text, "old.pem"));
    for (int i = 0; i < 8; i++)
        ck_assert(answers_with("localhost", next.certificate));
    tls_expect_alive(&t);

    use_files(cert_file, key_file);
    for (int i = 0; i < 20; i++) /* faster than the loops take them over */
        ck_assert_int_eq(reload(&d), OK);
    tls_expect_alive(&t);
    tls_close(&t);
    remove_pair(&next);
}
END_TEST

START_TEST(nothing_to_reload)
{
    struct err_detail d = {.text = ""};
    struct http_tls_options with = f.o.tls;

    f.listen[0].tls = false;
    f.o.tls = (struct http_tls_options){0};
    test_start(&f);
    ck_assert_int_eq(http_server_reload_tls(f.server, &with, &d), ERR_UNSUPPORTED);
}
END_TEST

/* The second handshake needs no certificate; the ticket of one loop is good for the other one. */
START_TEST(tickets)
{
    mbedtls_ssl_session session;
    unsigned again = 0;

    mbedtls_ssl_session_init(&session);
    test_start(&f);
    for (int i = 0; i < 20; i++) {
        struct tls_client t;
        bool resumed;
        prepare_for_tickets(&t);
        tls_set_up(&t);
        if (i > 0)
            ck_assert_int_eq(mbedtls_ssl_set_session(&t.ssl, &session), 0);
        mbedtls_ssl_set_bio(&t.ssl, &t, out_fd, in_fd, NULL);
        t.received = 0;
        ck_assert_int_eq(mbedtls_ssl_handshake(&t.ssl), 0);
        resumed = t.received < 400; /* a certificate alone is longer */
        again += resumed;
        ck_assert_msg(resumed == (i > 0), "%d: %zu bytes", i, t.received);
        tls_expect_alive(&t); /* with 1.3 the ticket comes behind the handshake */
        mbedtls_ssl_session_free(&session);
        mbedtls_ssl_session_init(&session);
        ck_assert_int_eq(mbedtls_ssl_get_session(&t.ssl, &session), 0);
        tls_close(&t);
    }
    ck_assert_uint_eq(again, 19);
    mbedtls_ssl_session_free(&session);
}
END_TEST

static void expect_no_start(const char *cert, const char *key, enum err want, const char *named)
{
    struct err_detail d = {.text = ""};
    enum err e;

    use_files(cert, key);
    e = http_server_start(&f.server, &f.o, &d);
    ck_assert_int_eq(e, want);
    ck_assert_msg(strstr(d.text, named) != NULL, "\"%s\" does not name %s", d.text, named);
    ck_assert_ptr_null(f.server);
}

START_TEST(bad_files)
{
    char missing[100], broken[100];

    snprintf(missing, sizeof missing, "%s/missing.pem", dir);
    snprintf(broken, sizeof broken, "%s/broken.pem", dir);
    save(broken, STR("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n"));
    expect_no_start(missing, key_file, ERR_NOTFOUND, "missing.pem");
    expect_no_start(cert_file, missing, ERR_NOTFOUND, "missing.pem");
    expect_no_start(broken, key_file, ERR_SYNTAX, "broken.pem");
    expect_no_start(cert_file, broken, ERR_SYNTAX, "broken.pem");
    expect_no_start(key_file, key_file, ERR_SYNTAX, "key.pem");
    expect_no_start(cert_file, other_key_file, ERR_CONFLICT, "belong together");
    unlink(broken);
}
END_TEST

/* What a certificate can be made for. */
static const struct {
    const char *name;
    enum err e;
} certificate_names[] = {
    {"example.org", OK},
    {"a_b", OK},
    {"*.example.org", OK},
    {"192.0.2.1", OK},
    {"::1", OK},
    {"", ERR_SYNTAX},
    {"a b", ERR_SYNTAX},
    {"a..b", ERR_SYNTAX},
    {".a", ERR_SYNTAX},
    {"a.", ERR_SYNTAX},
    {"[::1]", ERR_SYNTAX},
    {"a:443", ERR_SYNTAX},
    {"*", ERR_SYNTAX}, /* clients take a star for a whole label only, and never for all of it */
    {"*.", ERR_SYNTAX},
    {"*a.example.org", ERR_SYNTAX},
    {"a.*.example.org", ERR_SYNTAX},
    {"*.*.example.org", ERR_SYNTAX},
};

START_TEST(names_of_certificates)
{
    struct http_self_signed made;
    str name = str_from(certificate_names[_i].name);
    enum err e = http_self_signed_make(&made, &name, 1, clock_wall_ms() / 1000, 2, NULL);

    ck_assert_msg(e == certificate_names[_i].e, "\"%s\": %s", name.p, err_text(e));
    if (e == OK)
        http_self_signed_free(&made);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/tls");
    TCase *t = test_case(s, "tls", tls_setup, tls_teardown, 30);
    tcase_add_test(t, handshake_and_keep_alive);
    tcase_add_test(t, bytewise);
    tcase_add_test(t, pipelined);
    tcase_add_test(t, large_body_and_response);
    tcase_add_test(t, slow_reader);
    tcase_add_test(t, a_reader_that_goes_on);
    tcase_add_test(t, parked);
    tcase_add_test(t, expect_continue);
    tcase_add_loop_test(t, close_is_said, 0, 2);
    tcase_add_test(t, both_ports);
    tcase_add_test(t, many_at_once);
    tcase_add_loop_test(t, idle_sessions_make_room, 0, 2);
    tcase_add_test(t, own_sessions_make_room);
    tcase_add_test(t, stop_says_goodbye);
    tcase_add_test(t, all_are_admitted_first);
    tcase_add_test(t, stop_among_handshakes);
    tcase_add_loop_test(t, plain_bytes_on_the_tls_port, 0, (int)ARRAY_LEN(wrong_port));
    tcase_add_loop_test(t, handshake_timeout, 0, 2);
    tcase_add_test(t, a_head_behind_a_slow_handshake);
    tcase_add_loop_test(t, old_versions, 0, 2);
    tcase_add_loop_test(t, weak_suites, 0, (int)ARRAY_LEN(weak));
    tcase_add_test(t, other_protocols);
    tcase_add_test(t, no_renegotiation);
    tcase_add_test(t, endless_alerts);
    tcase_add_test(t, endless_alerts_in_a_session);
    tcase_add_test(t, alerts_before_a_request);
    tcase_add_test(t, alerts_of_the_same_length);
    tcase_add_test(t, alerts_leave_the_turn_to_others);
    tcase_add_test(t, a_byte_a_record);
    tcase_add_test(t, cut_at_each_byte);
    tcase_add_test(t, bad_files);
    tcase_add_test(t, names_choose_certificates);
    tcase_add_test(t, reloading);
    tcase_add_test(t, nothing_to_reload);
    tcase_add_test(t, tickets);
    t = tcase_create("names");
    tcase_add_loop_test(t, names_of_certificates, 0, (int)ARRAY_LEN(certificate_names));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
