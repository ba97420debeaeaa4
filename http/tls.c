/*
 * http/tls.c - TLS over mbedtls (2.28 and 3.x), as one more transport. Of this room only this file
 * and dial_tls.c, for connections the other way, include its headers.
 *
 * Each loop has a context of its own (configuration, chain, key, random generator): nothing is
 * shared between threads, so nothing is locked, whatever mbedtls was built with.
 *
 * TLS 1.2 at least (1.3 where mbedtls has it), only suites with ephemeral keys and authenticated
 * encryption, no renegotiation, ALPN http/1.1.
 *
 * mbedtls asks for a record in two pieces (its header, then the rest). A small read-ahead buffer
 * makes that one system call; what lies in it is why a transport has pending().
 *
 * Writing: a record that was not taken whole stays inside mbedtls, which wants the same bytes shown
 * again until it is through; `retry_n` remembers how many. The queue of send.c brings the same
 * bytes first anyway.
 */
#include "base/log.h"
#include "http/private.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

#define AHEAD_BYTES  (4 * KIB)
#define RECORD_BYTES (16 * KIB) /* the most that one record holds */

struct tls_context {
    mbedtls_ssl_config config;
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
};

struct tls_conn {
    mbedtls_ssl_context ssl;
    bool ready;     /* the handshake is done */
    size_t retry_n; /* of an unfinished mbedtls_ssl_write; 0: none */
    size_t ahead_at, ahead_n;
    unsigned char ahead[AHEAD_BYTES];
};

static const int suites[] = {
#if MBEDTLS_VERSION_MAJOR >= 3
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#endif
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};

static const char *alpn[] = {"http/1.1", NULL}; /* mbedtls wants it without const */

/* ---- contexts -------------------------------------------------------------------------------- */

static enum err tls_error(struct err_detail *d, enum err e, const char *what, int r)
{
    char text[128];

    mbedtls_strerror(r, text, sizeof text);
    return err_set(d, e, 0, "%s: %s", what, text);
}

static int parse_key(struct tls_context *t, const char *file)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_parse_keyfile(&t->key, file, NULL, mbedtls_ctr_drbg_random, &t->random);
#else
    return mbedtls_pk_parse_keyfile(&t->key, file, NULL);
#endif
}

static int check_pair(struct tls_context *t)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_check_pair(&t->chain.pk, &t->key, mbedtls_ctr_drbg_random, &t->random);
#else
    return mbedtls_pk_check_pair(&t->chain.pk, &t->key);
#endif
}

static enum err load_files(struct tls_context *t, const struct http_tls_options *o,
                           struct err_detail *d)
{
    int r = mbedtls_x509_crt_parse_file(&t->chain, o->certificate);

    if (r != 0) /* > 0: so many certificates of the file could not be read */
        return tls_error(d, ERR_SYNTAX, o->certificate,
                         r < 0 ? r : MBEDTLS_ERR_X509_INVALID_FORMAT);
    r = parse_key(t, o->key);
    if (r != 0)
        return tls_error(d, ERR_SYNTAX, o->key, r);
    r = check_pair(t);
    if (r != 0)
        return err_set(d, ERR_CONFLICT, 0,
                       "%s and %s: the key and the certificate do not belong together", o->key,
                       o->certificate);
    return OK;
}

void tls_set_policy(struct mbedtls_ssl_config *config)
{
    mbedtls_ssl_conf_ciphersuites(config, suites);
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

static enum err configure(struct tls_context *t, struct err_detail *d)
{
    int r = mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_SERVER,
                                        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

    if (r == 0)
        r = mbedtls_ssl_conf_own_cert(&t->config, &t->chain, &t->key);
    if (r == 0)
        r = mbedtls_ssl_conf_alpn_protocols(&t->config, alpn);
    if (r != 0)
        return tls_error(d, ERR_NOMEM, "TLS configuration", r);
    mbedtls_ssl_conf_rng(&t->config, mbedtls_ctr_drbg_random, &t->random);
    tls_set_policy(&t->config);
    return OK;
}

static enum err seed(struct tls_context *t, struct err_detail *d)
{
    int r = mbedtls_ctr_drbg_seed(&t->random, mbedtls_entropy_func, &t->entropy, NULL, 0);

    if (r != 0)
        return tls_error(d, ERR_FAILED, "TLS random generator", r);
#if MBEDTLS_VERSION_MAJOR >= 3
    if (psa_crypto_init() != PSA_SUCCESS)
        return err_set(d, ERR_FAILED, 0, "TLS: PSA could not be initialised");
#endif
    return OK;
}

enum err tls_context_new(struct tls_context **out, const struct http_tls_options *o,
                         struct err_detail *d)
{
    struct tls_context *t;
    enum err e;

    if (o->key == NULL)
        return err_set(d, ERR_SYNTAX, 0, "a TLS certificate needs its key");
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_set(d, ERR_NOMEM, 0, "TLS context");
    mbedtls_ssl_config_init(&t->config);
    mbedtls_x509_crt_init(&t->chain);
    mbedtls_pk_init(&t->key);
    mbedtls_entropy_init(&t->entropy);
    mbedtls_ctr_drbg_init(&t->random);
    e = seed(t, d);
    if (e == OK)
        e = load_files(t, o, d);
    if (e == OK)
        e = configure(t, d);
    if (e != OK) {
        tls_context_free(t);
        return e;
    }
    *out = t;
    return OK;
}

void tls_context_free(struct tls_context *t)
{
    if (t == NULL)
        return;
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->chain);
    mbedtls_pk_free(&t->key);
    mbedtls_ctr_drbg_free(&t->random);
    mbedtls_entropy_free(&t->entropy);
    free(t);
}

/* ---- the socket as mbedtls sees it ----------------------------------------------------------- */

static int socket_send(void *arg, const unsigned char *p, size_t n)
{
    struct iovec v = {(void *)(uintptr_t)p, n};
    ssize_t r = sock_write(arg, &v, 1);

    if (r == IO_AGAIN)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

static int read_result(ssize_t r)
{
    if (r == IO_AGAIN)
        return MBEDTLS_ERR_SSL_WANT_READ;
    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

static int socket_recv(void *arg, unsigned char *p, size_t n)
{
    struct conn *c = arg;
    struct tls_conn *t = c->tls;
    size_t take;

    if (t->ahead_at == t->ahead_n) {
        ssize_t r;
        n = MIN_OF(n, (size_t)INT_MAX);
        if (n >= AHEAD_BYTES)
            return read_result(sock_read(c, p, n));
        r = sock_read(c, t->ahead, AHEAD_BYTES);
        if (r <= 0)
            return read_result(r);
        t->ahead_at = 0;
        t->ahead_n = (size_t)r;
    }
    take = MIN_OF(n, t->ahead_n - t->ahead_at);
    memcpy(p, t->ahead + t->ahead_at, take);
    t->ahead_at += take;
    return (int)take;
}

enum err tls_conn_open(struct conn *c, struct tls_context *context)
{
    struct tls_conn *t = malloc(sizeof *t);

    if (t == NULL)
        return ERR_NOMEM;
    t->ready = false;
    t->retry_n = t->ahead_at = t->ahead_n = 0;
    mbedtls_ssl_init(&t->ssl);
    if (mbedtls_ssl_setup(&t->ssl, &context->config) != 0) {
        mbedtls_ssl_free(&t->ssl);
        free(t);
        return ERR_NOMEM;
    }
    mbedtls_ssl_set_bio(&t->ssl, c, socket_send, socket_recv, NULL);
    c->tls = t;
    return OK;
}

/* ---- the transport --------------------------------------------------------------------------- */

static bool wants_more(int r)
{
    return r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int tls_handshake(struct conn *c)
{
    char text[128];
    int r = mbedtls_ssl_handshake(&c->tls->ssl);

    if (r == 0) {
        c->tls->ready = true;
        return 1;
    }
    if (wants_more(r))
        return IO_AGAIN;
    if (log_enabled(LOG_DEBUG)) {
        mbedtls_strerror(r, text, sizeof text);
        log_event(LOG_DEBUG, "tls_handshake_failed", "peer=%s reason=\"%s\"", c->peer, text);
    }
    return IO_ERROR;
}

static ssize_t tls_read(struct conn *c, void *p, size_t n)
{
    struct tls_conn *t = c->tls;
    size_t ahead_at;
    int r;

    /* A record without data for us ends the call; no event tells of what was read ahead behind it.
     */
    do {
        ahead_at = t->ahead_at;
        r = mbedtls_ssl_read(&t->ssl, p, MIN_OF(n, (size_t)INT_MAX));
    } while (r == MBEDTLS_ERR_SSL_WANT_READ && t->ahead_at != ahead_at && t->ahead_at < t->ahead_n);
    if (r > 0)
        return r;
    if (wants_more(r))
        return IO_AGAIN;
    return r == 0 || r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? IO_EOF : IO_ERROR;
}

/* One record of the first part at a time: the queue's head and its body are rarely both large. */
static ssize_t tls_write(struct conn *c, const struct iovec *v, int parts)
{
    struct tls_conn *t = c->tls;
    size_t n = MIN_OF(v->iov_len, RECORD_BYTES);
    int r;

    (void)parts;
    if (t->retry_n > 0)
        n = MIN_OF(n, t->retry_n);
    r = mbedtls_ssl_write(&t->ssl, v->iov_base, n);
    if (r > 0) {
        t->retry_n = 0;
        return r;
    }
    if (!wants_more(r))
        return IO_ERROR;
    t->retry_n = n;
    return IO_AGAIN;
}

static bool tls_pending(const struct conn *c)
{
    return c->tls->ahead_at < c->tls->ahead_n || mbedtls_ssl_get_bytes_avail(&c->tls->ssl) > 0;
}

static void tls_finish(struct conn *c)
{
    if (c->tls->ready)
        (void)!mbedtls_ssl_close_notify(&c->tls->ssl); /* if it does not fit now, so be it */
}

static void tls_release(struct conn *c)
{
    if (c->tls == NULL)
        return;
    mbedtls_ssl_free(&c->tls->ssl);
    free(c->tls);
    c->tls = NULL;
}

const struct transport transport_tls = {
    .handshake = tls_handshake,
    .read = tls_read,
    .write = tls_write,
    .pending = tls_pending,
    .finish = tls_finish,
    .release = tls_release,
};
