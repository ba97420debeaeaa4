/*
 * test/unit/http/tls_test.h - a server of server_test.h that speaks TLS, with certificates that the test
 * makes itself, and a client for it: mbedtls' too, over blocking sockets; it verifies the certificate.
 *
 * tls_setup() and tls_teardown() are the fixture: listen[0] speaks TLS, listen[1] plain HTTP.
 */
#ifndef TEST_UNIT_HTTP_TLS_TEST_H
#define TEST_UNIT_HTTP_TLS_TEST_H

#include "test/unit/http/server_test.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
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

static void save(const char *path, str text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text.p, 1, text.n, file), text.n);
    ck_assert_int_eq(fclose(file), 0);
}

/* A new key and a certificate of it for these names (separated by a space). */
static UNUSED void make_files(const char *names, const char *certificate, const char *key)
{
    struct http_self_signed made;
    struct err_detail d = {.text = ""};
    str list[4], rest = str_from(names);
    size_t n = 0;

    while (rest.n > 0)
        list[n++] = str_cut(&rest, ' ');
    ck_assert_msg(http_self_signed_make(&made, list, n, clock_wall_ms() / 1000, 2, &d) == OK, "%s",
                  d.text);
    save(certificate, buf_str(&made.certificate));
    save(key, buf_str(&made.key));
    http_self_signed_free(&made);
}

/* The pair that the server is started with. */
static UNUSED void use_files(const char *cert, const char *key)
{
    static str certificates[1], keys[1];

    certificates[0] = str_from(cert);
    keys[0] = str_from(key);
    f.o.tls = (struct http_tls_options){certificates, keys, 1};
}

static UNUSED void tls_setup(void)
{
    new_dir(dir, sizeof dir);
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", dir);
    snprintf(key_file, sizeof key_file, "%s/key.pem", dir);
    snprintf(other_key_file, sizeof other_key_file, "%s/other.pem", dir);
    mbedtls_entropy_init(&entropy);
    mbedtls_ctr_drbg_init(&drbg);
#if MBEDTLS_VERSION_MAJOR >= 3
    ck_assert_int_eq(psa_crypto_init(), PSA_SUCCESS);
#endif
    ck_assert_int_eq(mbedtls_ctr_drbg_seed(&drbg, mbedtls_entropy_func, &entropy, NULL, 0), 0);
    make_files("localhost", cert_file, other_key_file); /* of which the key alone stays */
    make_files("localhost", cert_file, key_file);
    test_prepare(&f);
    f.listen[0].tls = true;
    f.listen[1] = (struct http_listen){.host = STR("127.0.0.1")};
    f.o.nlisten = 2;
    f.o.loops = 2;
    use_files(cert_file, key_file);
}

static UNUSED void tls_teardown(void)
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
    size_t received; /* from the socket */
    char *buf;       /* what was received: CLIENT_BYTES, and how much of it */
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
    struct tls_client *t = arg;
    ssize_t r = recv(t->fd, p, n, 0);

    t->received += r > 0 ? (size_t)r : 0;
    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

static unsigned comes_from = 1; /* 127.0.0.x */

static UNUSED void tls_prepare(struct tls_client *t)
{
    *t = (struct tls_client){.slice = SIZE_MAX};
    t->fd = test_connect_from(f.port, comes_from);
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

/* A session whose transport is still to be set (mbedtls_ssl_set_bio). */
static UNUSED void tls_set_up(struct tls_client *t)
{
    ck_assert_int_eq(mbedtls_ssl_setup(&t->ssl, &t->config), 0);
    ck_assert_int_eq(mbedtls_ssl_set_hostname(&t->ssl, "localhost"), 0);
}

/* 0, or mbedtls' error. */
static UNUSED int tls_shake(struct tls_client *t)
{
    tls_set_up(t);
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_fd, NULL);
    return mbedtls_ssl_handshake(&t->ssl);
}

/* As in_fd(), but what is not here yet is not waited for. */
static int in_now(void *arg, unsigned char *p, size_t n)
{
    struct tls_client *t = arg;
    ssize_t r = recv(t->fd, p, n, MSG_DONTWAIT);

    if (r < 0)
        return errno == EAGAIN ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    return (int)r;
}

static int in_nothing(void *arg, unsigned char *p, size_t n)
{
    (void)arg, (void)p, (void)n;
    return MBEDTLS_ERR_SSL_WANT_READ;
}

/* Sends the first message of a client that is prepared: mbedtls_ssl_handshake() goes on, as often as
 * something is here. */
static UNUSED void tls_begin(struct tls_client *t)
{
    tls_set_up(t);
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_nothing, NULL);
    ck_assert_int_eq(mbedtls_ssl_handshake(&t->ssl), MBEDTLS_ERR_SSL_WANT_READ);
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_now, NULL);
}

static UNUSED void tls_open(struct tls_client *t)
{
    char text[200];
    int r;

    tls_prepare(t);
    r = tls_shake(t);
    mbedtls_strerror(r, text, sizeof text);
    ck_assert_msg(r == 0, "handshake: %s", text);
}

static UNUSED void tls_close(struct tls_client *t)
{
    mbedtls_ssl_free(&t->ssl);
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->ca);
    close(t->fd);
    free(t->buf);
}

static UNUSED void tls_say(struct tls_client *t, str bytes)
{
    while (bytes.n > 0) {
        int r = mbedtls_ssl_write(&t->ssl, (const unsigned char *)bytes.p, bytes.n);
        ck_assert_int_gt(r, 0);
        bytes = str_drop(bytes, (size_t)r);
    }
}

/* Nothing for us: read on. (TLS 1.3 hands out tickets at any time.) */
static bool is_ticket(int r)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
    if (r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
        return true;
#endif
    return r == MBEDTLS_ERR_SSL_WANT_READ;
}

/* More bytes; 0: the end, said by close_notify. */
static size_t tls_fill(struct tls_client *t)
{
    int r;

    ck_assert_uint_lt(t->n, CLIENT_BYTES);
    do
        r = mbedtls_ssl_read(&t->ssl, (unsigned char *)t->buf + t->n, CLIENT_BYTES - t->n);
    while (is_ticket(r));
    if (r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return 0;
    ck_assert_msg(r > 0, "read: -0x%x", (unsigned)-r);
    t->n += (size_t)r;
    return (size_t)r;
}

/* Receives until what is there ends in `tail`, and empties the buffer. */
static UNUSED void tls_expect_tail(struct tls_client *t, const char *tail)
{
    size_t n = strlen(tail);

    while (t->n < n || memcmp(t->buf + t->n - n, tail, n) != 0)
        ck_assert_msg(tls_fill(t) > 0, "closed before \"%s\"", tail);
    t->n = 0;
}

static UNUSED void tls_expect_alive(struct tls_client *t)
{
    tls_say(t, STR("GET /alive HTTP/1.1\r\nHost: h\r\n\r\n"));
    tls_expect_tail(t, "\r\n\r\nGET /alive|");
}

#endif
