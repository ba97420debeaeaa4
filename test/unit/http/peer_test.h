/*
 * test/unit/http/peer_test.h - little servers on loopback for what calls out: a thread accepts one
 * connection after the other and plays the part that the test gives it, over TCP or TLS; and the
 * certificates for that, good and bad.
 *
 * A part reads and writes with deadlines and ends; the connection is then closed. All that a peer
 * received is kept, so that the test can look at it.
 */
#ifndef TEST_UNIT_HTTP_PEER_TEST_H
#define TEST_UNIT_HTTP_PEER_TEST_H

#include "base/clock.h"
#include "http/outbound.h"
#include "test/support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

#define UNUSED    __attribute__((unused))
#define PEER_MS   10000
#define PEER_GOT  (256 * 1024)
#define SIDE_IN   (64 * 1024)
#define TEST_MANY 1000000 /* bytes; more than any limit of these tests */

/* ---- certificates ---------------------------------------------------------------------------- */

enum cert {
    CERT_GOOD,
    CERT_EXPIRED,
    CERT_FUTURE,
    CERT_OTHER,
    CERT_NAME_ONLY,
    CERT_STRANGER,
    CERT_SHA1, /* signed with it */
    CERTS
};

static char certs_dir[64];
static struct {
    char ca[120], cert[CERTS][120], key[CERTS][120];
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random; /* of the thread that makes them */
} certs;

static void cert_save(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void cert_key(mbedtls_pk_context *key, const char *path)
{
    char pem[2000];

    mbedtls_pk_init(key);
    ck_assert_int_eq(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), 0);
    ck_assert_int_eq(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key),
                                         mbedtls_ctr_drbg_random, &certs.random),
                     0);
    ck_assert_int_eq(mbedtls_pk_write_key_pem(key, (unsigned char *)pem, sizeof pem), 0);
    cert_save(path, pem);
}

struct cert_wish {
    const char *name; /* dNSName */
    bool address;     /* and 127.0.0.1 */
    const char *from, *to;
    bool sha1;
};

/* subjectAltName, by hand: mbedtls 2.28 cannot write one. */
static void cert_names(mbedtls_x509write_cert *w, const struct cert_wish *wish)
{
    static const unsigned char loopback[] = {0x87, 4, 127, 0, 0, 1};
    unsigned char der[100];
    size_t n = strlen(wish->name), at = 2;

    ck_assert_uint_lt(n, 80);
    der[at++] = 0x82;
    der[at++] = (unsigned char)n;
    memcpy(der + at, wish->name, n);
    at += n;
    if (wish->address) {
        memcpy(der + at, loopback, sizeof loopback);
        at += sizeof loopback;
    }
    der[0] = 0x30;
    der[1] = (unsigned char)(at - 2);
    ck_assert_int_eq(mbedtls_x509write_crt_set_extension(w, "\x55\x1d\x11", 3, 0, der, at), 0);
}

static void cert_serial(mbedtls_x509write_cert *w)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    unsigned char one = 1;
    ck_assert_int_eq(mbedtls_x509write_crt_set_serial_raw(w, &one, 1), 0);
#else
    mbedtls_mpi one;
    mbedtls_mpi_init(&one);
    ck_assert_int_eq(mbedtls_mpi_lset(&one, 1), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_set_serial(w, &one), 0);
    mbedtls_mpi_free(&one);
#endif
}

static void cert_write(mbedtls_pk_context *subject, const char *subject_name,
                       mbedtls_pk_context *issuer, const char *issuer_name,
                       const struct cert_wish *wish, bool is_ca, const char *path)
{
    mbedtls_x509write_cert w;
    char pem[4000];

    mbedtls_x509write_crt_init(&w);
    mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&w, wish->sha1 ? MBEDTLS_MD_SHA1 : MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&w, subject);
    mbedtls_x509write_crt_set_issuer_key(&w, issuer);
    ck_assert_int_eq(mbedtls_x509write_crt_set_subject_name(&w, subject_name), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_set_issuer_name(&w, issuer_name), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_set_validity(&w, wish->from, wish->to), 0);
    ck_assert_int_eq(mbedtls_x509write_crt_set_basic_constraints(&w, is_ca, is_ca ? 0 : -1), 0);
    cert_serial(&w);
    if (!is_ca)
        cert_names(&w, wish);
    ck_assert_int_eq(mbedtls_x509write_crt_pem(&w, (unsigned char *)pem, sizeof pem,
                                               mbedtls_ctr_drbg_random, &certs.random),
                     0);
    cert_save(path, pem);
    mbedtls_x509write_crt_free(&w);
}

UNUSED static void certs_make(void)
{
    static const struct cert_wish wishes[CERTS] = {
        [CERT_GOOD] = {"localhost", true, "20200101000000", "20991231235959", false},
        [CERT_EXPIRED] = {"localhost", true, "20200101000000", "20210101000000", false},
        [CERT_FUTURE] = {"localhost", true, "20980101000000", "20991231235959", false},
        [CERT_OTHER] = {"other.example", false, "20200101000000", "20991231235959", false},
        [CERT_NAME_ONLY] = {"localhost", false, "20200101000000", "20991231235959", false},
        [CERT_STRANGER] = {"localhost", true, "20200101000000", "20991231235959", false},
        [CERT_SHA1] = {"localhost", true, "20200101000000", "20991231235959", true},
    };
    mbedtls_pk_context ca, key;
    char unused[120];

    new_dir(certs_dir, sizeof certs_dir);
    mbedtls_entropy_init(&certs.entropy);
    mbedtls_ctr_drbg_init(&certs.random);
#if MBEDTLS_VERSION_MAJOR >= 3
    ck_assert_int_eq(psa_crypto_init(), PSA_SUCCESS);
#endif
    ck_assert_int_eq(
        mbedtls_ctr_drbg_seed(&certs.random, mbedtls_entropy_func, &certs.entropy, NULL, 0), 0);
    snprintf(certs.ca, sizeof certs.ca, "%s/ca.pem", certs_dir);
    snprintf(unused, sizeof unused, "%s/ca.key", certs_dir);
    cert_key(&ca, unused);
    unlink(unused);
    cert_write(&ca, "CN=Test CA", &ca, "CN=Test CA", &wishes[CERT_GOOD], true, certs.ca);
    for (int i = 0; i < CERTS; i++) {
        bool stranger = i == CERT_STRANGER;
        snprintf(certs.cert[i], sizeof certs.cert[i], "%s/%d.pem", certs_dir, i);
        snprintf(certs.key[i], sizeof certs.key[i], "%s/%d.key", certs_dir, i);
        cert_key(&key, certs.key[i]);
        cert_write(&key, "CN=Test", stranger ? &key : &ca, stranger ? "CN=Test" : "CN=Test CA",
                   &wishes[i], false, certs.cert[i]);
        mbedtls_pk_free(&key);
    }
    mbedtls_pk_free(&ca);
}

UNUSED static void certs_remove(void)
{
    for (int i = 0; i < CERTS; i++) {
        unlink(certs.cert[i]);
        unlink(certs.key[i]);
    }
    unlink(certs.ca);
    rmdir(certs_dir);
    mbedtls_ctr_drbg_free(&certs.random);
    mbedtls_entropy_free(&certs.entropy);
}

/* ---- one side of a connection ---------------------------------------------------------------- */

struct peer;

struct side {
    struct peer *peer;
    int fd;
    bool tls, goodbye; /* goodbye: close_notify at the end */
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    size_t at, n; /* in[at, n) is unread */
    char in[SIDE_IN];
};

struct peer {
    int fd, stop_fd;
    uint16_t port;
    pthread_t thread;
    void (*part)(struct side *s, const void *arg);
    const void *arg;
    pthread_mutex_t lock; /* guards what follows */
    unsigned connections;
    size_t got_n;
    char got[PEER_GOT]; /* NUL-terminated */
};

static inline unsigned connections(struct peer *p) /* so far */
{
    pthread_mutex_lock(&p->lock);
    unsigned n = p->connections;
    pthread_mutex_unlock(&p->lock);
    return n;
}

static void peer_keep(struct peer *p, const char *bytes, size_t n)
{
    pthread_mutex_lock(&p->lock);
    n = MIN_OF(n, sizeof p->got - 1 - p->got_n);
    memcpy(p->got + p->got_n, bytes, n);
    p->got_n += n;
    p->got[p->got_n] = '\0';
    pthread_mutex_unlock(&p->lock);
}

static int side_out(void *arg, const unsigned char *p, size_t n)
{
    ssize_t r = send(((struct side *)arg)->fd, p, n, MSG_NOSIGNAL);

    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

static int side_in(void *arg, unsigned char *p, size_t n)
{
    ssize_t r = recv(((struct side *)arg)->fd, p, n, 0);

    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

/* False: the other side has gone, or the deadline passed. */
static bool side_write(struct side *s, const void *p, size_t n)
{
    const unsigned char *at = p;

    while (n > 0) {
        int r = s->tls ? mbedtls_ssl_write(&s->ssl, at, n) : side_out(s, at, n);
        if (r <= 0)
            return false;
        at += r;
        n -= (size_t)r;
    }
    return true;
}

UNUSED static bool side_say(struct side *s, const char *text)
{
    return side_write(s, text, strlen(text));
}

/* 0 or less: nothing more. */
static int side_read(struct side *s, void *p, size_t n)
{
    int r = s->tls ? mbedtls_ssl_read(&s->ssl, p, n) : side_in(s, p, n);

    if (r > 0)
        peer_keep(s->peer, p, (size_t)r);
    return r;
}

/* Waits until the other side has ended. */
UNUSED static void side_wait_end(struct side *s)
{
    char scratch[4096];

    while (side_read(s, scratch, sizeof scratch) > 0)
        continue;
}

/* The next line without its end; NULL: there is none. Valid until the next call. */
UNUSED static const char *side_line(struct side *s)
{
    for (;;) {
        char *start = s->in + s->at, *lf = memchr(start, '\n', s->n - s->at);
        int r;

        if (lf != NULL) {
            s->at = (size_t)(lf + 1 - s->in);
            *lf = '\0';
            if (lf > start && lf[-1] == '\r')
                lf[-1] = '\0';
            return start;
        }
        memmove(s->in, start, s->n - s->at);
        s->n -= s->at;
        s->at = 0;
        if (s->n == sizeof s->in || (r = side_read(s, s->in + s->n, sizeof s->in - s->n)) <= 0)
            return NULL;
        s->n += (size_t)r;
    }
}

/* Reads a request: its head, and a body by Content-Length. False: there is none. */
UNUSED static bool side_request(struct side *s)
{
    size_t body = 0;
    const char *line;

    while ((line = side_line(s)) != NULL && *line != '\0')
        if (strncasecmp(line, "Content-Length: ", 16) == 0)
            body = (size_t)strtoul(line + 16, NULL, 10);
    if (line == NULL)
        return false;
    while (s->n - s->at < body) {
        int r;
        body -= s->n - s->at;
        s->at = s->n = 0;
        r = side_read(s, s->in, MIN_OF(body, sizeof s->in));
        if (r <= 0)
            return false;
        s->n = (size_t)r;
    }
    s->at += body;
    return true;
}

/* From now on TLS, as the server that `weaken` (NULL: nothing) makes of mbedtls' own defaults. False: the
 * handshake failed. */
UNUSED static bool side_start_weak_tls(struct side *s, enum cert which,
                                       void (*weaken)(mbedtls_ssl_config *config))
{
    mbedtls_ssl_init(&s->ssl);
    mbedtls_ssl_config_init(&s->config);
    mbedtls_x509_crt_init(&s->cert);
    mbedtls_pk_init(&s->key);
    mbedtls_entropy_init(&s->entropy);
    mbedtls_ctr_drbg_init(&s->random);
    ck_assert_int_eq(mbedtls_ctr_drbg_seed(&s->random, mbedtls_entropy_func, &s->entropy, NULL, 0),
                     0);
    ck_assert_int_eq(mbedtls_x509_crt_parse_file(&s->cert, certs.cert[which]), 0);
#if MBEDTLS_VERSION_MAJOR >= 3
    ck_assert_int_eq(mbedtls_pk_parse_keyfile(&s->key, certs.key[which], NULL,
                                              mbedtls_ctr_drbg_random, &s->random),
                     0);
#else
    ck_assert_int_eq(mbedtls_pk_parse_keyfile(&s->key, certs.key[which], NULL), 0);
#endif
    ck_assert_int_eq(mbedtls_ssl_config_defaults(&s->config, MBEDTLS_SSL_IS_SERVER,
                                                 MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&s->config, mbedtls_ctr_drbg_random, &s->random);
    ck_assert_int_eq(mbedtls_ssl_conf_own_cert(&s->config, &s->cert, &s->key), 0);
    if (weaken != NULL)
        weaken(&s->config);
    ck_assert_int_eq(mbedtls_ssl_setup(&s->ssl, &s->config), 0);
    mbedtls_ssl_set_bio(&s->ssl, s, side_out, side_in, NULL);
    s->tls = s->goodbye = true;
    s->at = s->n = 0;
    return mbedtls_ssl_handshake(&s->ssl) == 0;
}

UNUSED static bool side_start_tls(struct side *s, enum cert which)
{
    return side_start_weak_tls(s, which, NULL);
}

static void side_end(struct side *s)
{
    if (s->tls) {
        if (s->goodbye)
            (void)!mbedtls_ssl_close_notify(&s->ssl);
        mbedtls_ssl_free(&s->ssl);
        mbedtls_ssl_config_free(&s->config);
        mbedtls_x509_crt_free(&s->cert);
        mbedtls_pk_free(&s->key);
        mbedtls_ctr_drbg_free(&s->random);
        mbedtls_entropy_free(&s->entropy);
    }
    /* A reset would throw away what the other side has not read yet. */
    shutdown(s->fd, SHUT_WR);
    while (side_in(s, (unsigned char *)s->in, sizeof s->in) > 0)
        continue;
    close(s->fd);
}

/* ---- peers ----------------------------------------------------------------------------------- */

static void peer_serve(struct peer *p, int fd)
{
    struct timeval most = {PEER_MS / 1000, 0};
    struct side *s = calloc(1, sizeof *s);

    ck_assert_ptr_nonnull(s);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most), 0);
    pthread_mutex_lock(&p->lock);
    p->connections++;
    pthread_mutex_unlock(&p->lock);
    s->peer = p;
    s->fd = fd;
    p->part(s, p->arg);
    side_end(s);
    free(s);
}

static void *peer_main(void *arg)
{
    struct peer *p = arg;

    for (;;) {
        struct pollfd fds[] = {{.fd = p->fd, .events = POLLIN},
                               {.fd = p->stop_fd, .events = POLLIN}};
        int fd;

        if (poll(fds, 2, -1) < 0 || fds[1].revents != 0)
            return NULL;
        fd = accept(p->fd, NULL, NULL);
        if (fd >= 0)
            peer_serve(p, fd);
    }
}

/* A socket bound to a free port of 127.0.0.1. */
static int peer_bind(int type, uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

UNUSED static struct peer *peer_start(void (*part)(struct side *s, const void *arg),
                                      const void *arg)
{
    struct peer *p = calloc(1, sizeof *p);

    ck_assert_ptr_nonnull(p);
    p->part = part;
    p->arg = arg;
    pthread_mutex_init(&p->lock, NULL);
    p->fd = peer_bind(SOCK_STREAM, &p->port);
    ck_assert_int_eq(listen(p->fd, 128), 0);
    p->stop_fd = eventfd(0, EFD_CLOEXEC);
    ck_assert_int_ge(p->stop_fd, 0);
    ck_assert_int_eq(pthread_create(&p->thread, NULL, peer_main, p), 0);
    return p;
}

/* Ends the thread; what it got can be looked at until peer_free. */
UNUSED static void peer_stop(struct peer *p)
{
    ck_assert_int_eq(eventfd_write(p->stop_fd, 1), 0);
    ck_assert_int_eq(pthread_join(p->thread, NULL), 0);
    close(p->fd);
    close(p->stop_fd);
    p->fd = -1;
}

UNUSED static void peer_free(struct peer *p)
{
    if (p->fd >= 0)
        peer_stop(p);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* A port on which nobody listens. */
UNUSED static uint16_t free_port(void)
{
    uint16_t port;

    close(peer_bind(SOCK_STREAM, &port));
    return port;
}

UNUSED static unsigned count_of(const char *text, const char *part)
{
    unsigned n = 0;

    while ((text = strstr(text, part)) != NULL) {
        n++;
        text += strlen(part);
    }
    return n;
}

#endif
