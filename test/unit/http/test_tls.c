/*
 * TLS: the same server over the other transport. The client is mbedtls' too, over blocking sockets;
 * it verifies the certificate, which the test makes itself.
 */
#include "test/unit/http/server_test.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

static char dir[64], cert_file[100], key_file[100], other_key_file[100];
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context drbg;
static struct fixture f;

/* ---- certificates ------------------------------------------------------------------------- */

static void save(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void make_key(mbedtls_pk_context *key, const char *path)
{
    char pem[2000];

    mbedtls_pk_init(key);
    ck_assert_int_eq(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), 0);
    ck_assert_int_eq(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key),
                                         mbedtls_ctr_drbg_random, &drbg),
                     0);
    ck_assert_int_eq(mbedtls_pk_write_key_pem(key, (unsigned char *)pem, sizeof pem), 0);
    save(path, pem);
}

static void make_certificate(mbedtls_pk_context *key, const char *path)
{
    mbedtls_x509write_cert w;
    mbedtls_mpi serial;
    char pem[4000];

    mbedtls_x509write_crt_init(&w);
    mbedtls_mpi_init(&serial);
    ck_assert_int_eq(mbedtls_mpi_lset(&serial, 1), 0);
    mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&w, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&w, key);
    mbedtls_x509write_crt_set_issuer_key(&w, key);
    ck_assert_int_eq(mbedtls_x509write_crt_set_subject_name(&w, "CN=localhost"), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_set_issuer_name(&w, "CN=localhost"), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_set_validity(&w, "20200101000000", "20991231235959"), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_set_basic_constraints(&w, 1, 0), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_set_serial(&w, &serial), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_pem(&w, (unsigned char *)pem, sizeof pem,
                                               mbedtls_ctr_drbg_random, &drbg),
                     0);
    save(path, pem);
    mbedtls_mpi_free(&serial);
    mbedtls_x509write_crt_free(&w);
}

static void setup(void)
{
    mbedtls_pk_context key;

    snprintf(dir, sizeof dir, "/tmp/kinto-tls-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", dir);
    snprintf(key_file, sizeof key_file, "%s/key.pem", dir);
    snprintf(other_key_file, sizeof other_key_file, "%s/other.pem", dir);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
#if MBEDTLS_VERSION_MAJOR >= 3
    ck_assert_int_eq(psa_crypto_init(), PSA_SUCCESS);
#endif
    ck_assert_int_eq(mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0), 0);
    make_key(&key, other_key_file);
    mbedtls_pk_free(&key);
    make_key(&key, key_file);
    make_certificate(&key, cert_file);
    mbedtls_pk_free(&key);
    test_prepare(&f);
    f.listen[0].tls = true;
    f.listen[1] = (struct http_listen){.host = STR("127.0.0.1")};
    f.o.nlisten = 2;
    f.o.loops = 2;
    f.o.tls = (struct http_tls_options){cert_file, key_file};
}

static void teardown(void)
{
    unlink(cert_file);
    unlink(key_file);
    unlink(other_key_file);
    rmdir(dir);
    mbedtls_ctr_drbg_free(&drbg);
    mbedtls_entropy_free(&entropy);
    if (f.server != NULL)
        test_stop(&f);
}

/* ---- the client ---------------------------------------------------------------------------- */

struct tls_client {
    int fd;
    size_t slice; /* the most bytes that go to the socket at once */
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt ca;
    char *buf; /* what was received: CLIENT_BYTES, and how much of it */
    size_t n;
};

static const char *alpn[] = {"h2", "http/1.1", NULL};

static int out_fd(void *arg, const unsigned char *p, size_t n)
{
    const struct tls_client *t = arg;
    ssize_t r = send(t->fd, p, MIN_OF(n, t->slice), MSG_NOSIGNAL);

    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

static int in_fd(void *arg, unsigned char *p, size_t n)
{
    const struct tls_client *t = arg;
    ssize_t r = recv(t->fd, p, n, 0);

    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

static void tls_prepare(struct tls_client *t)
{
    *t = (struct tls_client){.slice = SIZE_MAX};
    t->fd = test_connect(f.port);
    t->buf = malloc(CLIENT_BYTES);
    ck_assert_ptr_nonnull(t->buf);
    mbedtls_ssl_init(&t->ssl);
    mbedtls_ssl_config_init(&t->config);
    mbedtls_x509_crt_init(&t->ca);
    ck_assert_int_eq(mbedtls_x509_crt_parse_file(&t->ca, cert_file), 0);
    ck_assert_int_eq(mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_CLIENT,
                                                 MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_ca_chain(&t->config, &t->ca, NULL);
    mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_rng(&t->config, mbedtls_ctr_drbg_random, &drbg);
    ck_assert_int_eq(mbedtls_ssl_conf_alpn_protocols(&t->config, alpn), 0);
}

/* 0, or mbedtls' error. */
static int tls_shake(struct tls_client *t)
{
    ck_assert_int_eq(mbedtls_ssl_setup(&t->ssl, &t->config), 0);
    ck_assert_int_eq(mbedtls_ssl_set_hostname(&t->ssl, "localhost"), 0);
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_fd, NULL);
    return mbedtls_ssl_handshake(&t->ssl);
}

static void tls_open(struct tls_client *t)
{
    char text[200];
    int r;

    tls_prepare(t);
    r = tls_shake(t);
    mbedtls_strerror(r, text, sizeof text);
    ck_assert_msg(r == 0, "handshake: %s", text);
}

static void tls_close(struct tls_client *t)
{
    mbedtls_ssl_free(&t->ssl);
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->ca);
    close(t->fd);
    free(t->buf);
}

static void tls_say(struct tls_client *t, str bytes)
{
    while (bytes.n > 0) {
        int r = mbedtls_ssl_write(&t->ssl, (const unsigned char *)bytes.p, bytes.n);
        ck_assert_int_gt(r, 0);
        bytes = str_drop(bytes, (size_t)r);
    }
}

/* More bytes; 0: the end, said by close_notify. */
static size_t tls_fill(struct tls_client *t)
{
    int r;

    ck_assert_uint_lt(t->n, CLIENT_BYTES);
    do
        r = mbedtls_ssl_read(&t->ssl, (unsigned char *)t->buf + t->n, CLIENT_BYTES - t->n);
    while (r == MBEDTLS_ERR_SSL_WANT_READ
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
           || r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
#endif
    );
    if (r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return 0;
    ck_assert_msg(r > 0, "read: -0x%x", (unsigned)-r);
    t->n += (size_t)r;
    return (size_t)r;
}

/* Receives until what is there ends in `tail`, and empties the buffer. */
static void tls_expect_tail(struct tls_client *t, const char *tail)
{
    size_t n = strlen(tail);

    while (t->n < n || memcmp(t->buf + t->n - n, tail, n) != 0)
        ck_assert_msg(tls_fill(t) > 0, "closed before \"%s\"", tail);
    t->n = 0;
}

static void tls_expect_alive(struct tls_client *t)
{
    tls_say(t, STR("GET /alive HTTP/1.1\r\nHost: h\r\n\r\n"));
    tls_expect_tail(t, "\r\n\r\nGET /alive|");
}

/* ---- requests --------------------------------------------------------------------------------- */

START_TEST(handshake_and_keep_alive)
{
    struct tls_client t;

    test_start(&f);
    tls_open(&t);
    ck_assert_str_eq(mbedtls_ssl_get_alpn_protocol(&t.ssl), "http/1.1");
    ck_assert_ptr_nonnull(strstr(mbedtls_ssl_get_ciphersuite(&t.ssl), "TLS"));
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
    int one = 1;

    test_start(&f);
    tls_prepare(&t);
    t.slice = 1;
    setsockopt(t.fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
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

/* ---- what is refused ------------------------------------------------------------------------ */

START_TEST(plain_bytes_on_the_tls_port)
{
    struct client c;

    test_start(&f);
    client_open(&c, &f);
    client_say(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    while (client_fill(&c) > 0) /* an alert, perhaps */
        ;
    ck_assert_ptr_null(memmem(c.buf, c.n, "HTTP", 4));
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

static void expect_no_start(const char *cert, const char *key, enum err want, const char *named)
{
    struct err_detail d = {.text = ""};
    enum err e;

    f.o.tls = (struct http_tls_options){cert, key};
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
    save(broken, "-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n");
    expect_no_start(missing, key_file, ERR_SYNTAX, "missing.pem");
    expect_no_start(cert_file, missing, ERR_SYNTAX, "missing.pem");
    expect_no_start(broken, key_file, ERR_SYNTAX, "broken.pem");
    expect_no_start(cert_file, broken, ERR_SYNTAX, "broken.pem");
    expect_no_start(key_file, key_file, ERR_SYNTAX, "key.pem");
    expect_no_start(cert_file, NULL, ERR_SYNTAX, "key");
    expect_no_start(cert_file, other_key_file, ERR_CONFLICT, "belong together");
    unlink(broken);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/tls");
    TCase *t = tcase_create("tls");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, handshake_and_keep_alive);
    tcase_add_test(t, bytewise);
    tcase_add_test(t, pipelined);
    tcase_add_test(t, large_body_and_response);
    tcase_add_test(t, slow_reader);
    tcase_add_test(t, parked);
    tcase_add_test(t, expect_continue);
    tcase_add_loop_test(t, close_is_said, 0, 2);
    tcase_add_test(t, both_ports);
    tcase_add_test(t, many_at_once);
    tcase_add_test(t, stop_says_goodbye);
    tcase_add_test(t, plain_bytes_on_the_tls_port);
    tcase_add_loop_test(t, handshake_timeout, 0, 2);
    tcase_add_loop_test(t, old_versions, 0, 2);
    tcase_add_loop_test(t, weak_suites, 0, (int)ARRAY_LEN(weak));
    tcase_add_test(t, other_protocols);
    tcase_add_test(t, cut_at_each_byte);
    tcase_add_test(t, bad_files);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
