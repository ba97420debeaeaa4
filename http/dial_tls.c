/*
 * http/dial_tls.c - TLS on an outbound connection, over mbedtls (2.28 and 3.x), and whom to trust.
 *
 * Versions and suites are those of the server (tls_context.c). Random bytes come from the kernel, so that
 * threads share nothing but the certificates of the authorities, which nobody changes once they are
 * loaded. (mbedtls caches a little inside an RSA key that it checks with, under a lock of the key.)
 *
 * Names are matched by mbedtls. It does not match addresses in every version, so that a host that is
 * one is looked for in the certificate here (RFC 9110, 4.3.5: among the iPAddress names only), and no
 * name is sent for it (RFC 6066, 3).
 *
 * A call of mbedtls goes on while the socket has something, so that input comes in turns (struct
 * tls_intake), between which we look at the clock and at who cancels.
 */
#include "base/os.h"
#include "http/outbound.h"
#include "http/tls.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/x509_crt.h>
#include <poll.h>

#define MAX_BUNDLE_BYTES (16 * MIB)
/* From the peer: a chain of certificates and a list of authorities, each a message of at most 16 KiB in
 * mbedtls, and what is small beside them. */
#define HANDSHAKE_BYTES (64 * KIB)

/* ---- whom to trust --------------------------------------------------------------------------- */

struct http_trust {
    pthread_mutex_t lock; /* for loading */
    bool loaded;          /* then `roots` is never changed again */
    char *file;           /* NULL: the first of `bundles` that is there */
    mbedtls_x509_crt roots;
};

/* Bundles, and what has to be readable for them while the system renews them. */
static const struct {
    const char *file, *place;
} bundles[] = {
    /* Debian, Ubuntu, Arch, Gentoo */
    {"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs"},
    /* Fedora, Red Hat */
    {"/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/tls/certs"},
    /* openSUSE */
    {"/etc/ssl/ca-bundle.pem", "/etc/ssl/ca-bundle.pem"},
    /* CentOS */
    {"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/ca-trust/extracted"},
    /* Alpine, the BSDs */
    {"/etc/ssl/cert.pem", "/etc/ssl/cert.pem"},
};

/* By the environment; NULL: none. */
static const char *named_bundle(void)
{
    const char *named = getenv("SSL_CERT_FILE");
    return named != NULL && *named != '\0' ? named : NULL;
}

void trust_places(http_place_fn *each, void *arg)
{
    const char *named = named_bundle();
    if (named != NULL)
        each(arg, named, true);
    for (size_t i = 0; i < ARRAY_LEN(bundles); i++)
        each(arg, bundles[i].place, false);
}

struct http_trust *http_trust_new(const char *file)
{
    struct http_trust *t = calloc(1, sizeof *t);
    const char *named = file != NULL ? file : named_bundle();

    if (t == NULL)
        return NULL;
    if (named != NULL && *named != '\0') {
        t->file = strdup(named);
        if (t->file == NULL) {
            free(t);
            return NULL;
        }
    }
    pthread_mutex_init(&t->lock, NULL);
    mbedtls_x509_crt_init(&t->roots);
    return t;
}

void http_trust_free(struct http_trust *t)
{
    if (t == NULL)
        return;
    mbedtls_x509_crt_free(&t->roots);
    pthread_mutex_destroy(&t->lock);
    free(t->file);
    free(t);
}

static enum err read_bundle(const struct http_trust *t, const char **file, char **pem, size_t *n,
                            struct err_detail *d)
{
    enum err e;

    if (t->file != NULL) {
        *file = t->file;
        return os_read_regular(t->file, MAX_BUNDLE_BYTES, pem, n, d);
    }
    for (size_t i = 0; i < ARRAY_LEN(bundles); i++) {
        *file = bundles[i].file;
        e = os_read_regular(bundles[i].file, MAX_BUNDLE_BYTES, pem, n, d);
        if (e != ERR_NOTFOUND)
            return e;
    }
    return err_set(d, ERR_NOTFOUND, 0,
                   "this system has no certificates of authorities (install ca-certificates, or "
                   "name a file in SSL_CERT_FILE)");
}

/* A certificate among many that mbedtls cannot read (an old algorithm) is no reason to trust none. */
static enum err load(struct http_trust *t, struct err_detail *d)
{
    const char *file = NULL;
    char *pem = NULL;
    size_t n = 0;
    enum err e = read_bundle(t, &file, &pem, &n, d);
    int r;

    if (e != OK)
        return e;
    r = mbedtls_x509_crt_parse(&t->roots, (const unsigned char *)pem, n + 1);
    free(pem);
    if (r >= 0 && t->roots.version != 0) {
        t->loaded = true;
        return OK;
    }
    mbedtls_x509_crt_free(&t->roots);
    mbedtls_x509_crt_init(&t->roots);
    return tls_error(d, ERR_SYNTAX, file, r < 0 ? r : MBEDTLS_ERR_X509_INVALID_FORMAT);
}

static enum err load_once(struct http_trust *t, struct err_detail *d)
{
    enum err e = OK;

    pthread_mutex_lock(&t->lock);
    if (!t->loaded)
        e = load(t, d);
    pthread_mutex_unlock(&t->lock);
    return e;
}

/* ---- one connection -------------------------------------------------------------------------- */

struct dial_tls {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    struct net_address ip; /* n = 0: the host is a name */
    struct tls_intake intake;
    int fd;
    int sys_errno; /* of the socket's last failure */
    bool ready;    /* the handshake is done */
};

static int noted(struct dial_tls *t, int r)
{
    if (r == MBEDTLS_ERR_SSL_INTERNAL_ERROR)
        t->sys_errno = errno;
    return r;
}

static int send_bytes(void *arg, const unsigned char *p, size_t n)
{
    struct dial_tls *t = arg;

    return noted(t, tls_socket_send(t->fd, p, n));
}

static int recv_bytes(void *arg, unsigned char *p, size_t n)
{
    struct dial_tls *t = arg;
    int r;

    if (!tls_intake_call(&t->intake))
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (tls_intake_full(&t->intake))
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    r = noted(t, tls_socket_recv(t->fd, p, n));
    tls_intake_add(&t->intake, r);
    return r;
}

/* Is the address one of the names of the certificate? */
static bool names_address(const mbedtls_x509_crt *crt, const struct net_address *a)
{
    const mbedtls_x509_sequence *at = &crt->subject_alt_names;
    str name;

    while (tls_next_name(&at, TLS_NAME_ADDRESS, &name))
        if (str_eq(name, net_address_bytes(a)))
            return true;
    return false;
}

static int check_address(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    const struct dial_tls *t = arg;

    if (depth == 0 && !names_address(crt, &t->ip))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    return 0;
}

static int set_host(struct dial_tls *t, str host)
{
    char name[NET_NAME_MAX + 1];

    if (net_address_parse(host, 0, &t->ip)) {
        mbedtls_ssl_conf_verify(&t->config, check_address, t);
        return mbedtls_ssl_set_hostname(&t->ssl, NULL);
    }
    host = net_host_without_root(host); /* as a certificate */
    if (host.n == 0 || host.n > NET_NAME_MAX)
        return MBEDTLS_ERR_SSL_BAD_INPUT_DATA;
    memcpy(name, host.p, host.n);
    name[host.n] = '\0';
    return mbedtls_ssl_set_hostname(&t->ssl, name);
}

static int configure(struct dial_tls *t, struct http_trust *trust, str host)
{
    int r = mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_CLIENT,
                                        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

    if (r != 0)
        return r;
    tls_set_policy(&t->config);
    mbedtls_ssl_conf_rng(&t->config, tls_random, NULL);
    mbedtls_ssl_conf_authmode(&t->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(&t->config, &trust->roots, NULL);
    r = mbedtls_ssl_setup(&t->ssl, &t->config);
    if (r == 0)
        r = set_host(t, host);
    if (r == 0)
        mbedtls_ssl_set_bio(&t->ssl, t, send_bytes, recv_bytes, NULL);
    return r;
}

/* Between two turns. What mbedtls holds already makes no socket readable. */
static enum err wait_more(struct dial *c, int r, const char *what, struct err_detail *d)
{
    bool pending = r == MBEDTLS_ERR_SSL_WANT_READ && mbedtls_ssl_check_pending(&c->tls->ssl) != 0;

    tls_intake_new_turn(&c->tls->intake);
    if (pending)
        return dial_look(c, what, d);
    return dial_wait(c, r == MBEDTLS_ERR_SSL_WANT_WRITE ? POLLOUT : POLLIN, what, d);
}

/* ---- what went wrong ------------------------------------------------------------------------- */

/* The most telling of mbedtls' flags, which come in bunches. */
static const char *why_untrusted(uint32_t flags)
{
    static const struct {
        uint32_t flag;
        const char *text;
    } reasons[] = {
        {MBEDTLS_X509_BADCERT_EXPIRED, "has expired"},
        {MBEDTLS_X509_BADCERT_FUTURE, "is not valid yet"},
        {MBEDTLS_X509_BADCERT_REVOKED, "was revoked"},
        {MBEDTLS_X509_BADCERT_CN_MISMATCH, "is for another host"},
        {MBEDTLS_X509_BADCERT_BAD_KEY, "has too weak a key"},
        {MBEDTLS_X509_BADCERT_BAD_MD, "has too weak a signature"},
        {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "is not signed by a trusted authority"},
        {MBEDTLS_X509_BADCERT_MISSING, "is missing"},
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (flags & reasons[i].flag)
            return reasons[i].text;
    return "is not fit for a server";
}

static enum err tls_failed(struct dial *c, int r, const char *what, struct err_detail *d)
{
    struct dial_tls *t = c->tls;
    char text[128];

    if (r == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
        return err_set(d, ERR_UNTRUSTED, 0, "%s: the certificate %s", c->peer,
                       why_untrusted(mbedtls_ssl_get_verify_result(&t->ssl)));
    if (r == MBEDTLS_ERR_SSL_INTERNAL_ERROR && t->sys_errno != 0)
        return err_set(d, t->sys_errno == EPIPE || t->sys_errno == ECONNRESET ? ERR_CLOSED : ERR_IO,
                       t->sys_errno, "%s: %s", c->peer, what);
    if (r == MBEDTLS_ERR_SSL_INTERNAL_ERROR && tls_intake_full(&t->intake))
        return err_set(d, ERR_LIMIT, 0, "%s: %s: more than %zu bytes of TLS records without %s",
                       c->peer, what, t->intake.most, t->ready ? "data" : "an end");
    if (r == MBEDTLS_ERR_SSL_CONN_EOF || r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || r == 0)
        return err_set(d, ERR_CLOSED, 0, "%s: %s: the connection was cut off", c->peer, what);
    mbedtls_strerror(r, text, sizeof text);
    return err_set(d, tls_no_memory(r) ? ERR_NOMEM : ERR_IO, 0, "%s: %s: %s", c->peer, what, text);
}

/* ---- the connection -------------------------------------------------------------------------- */

static enum err handshake(struct dial *c, struct err_detail *d)
{
    int r;

    for (;;) {
        enum err e;
        r = mbedtls_ssl_handshake(&c->tls->ssl);
        if (!tls_wants_more(r))
            break;
        e = wait_more(c, r, "the TLS handshake", d);
        if (e != OK)
            return e;
    }
    if (r != 0)
        return tls_failed(c, r, "the TLS handshake", d);
    c->tls->ready = true;
    tls_intake_useful(&c->tls->intake);
    return OK;
}

enum err dial_start_tls(struct dial *c, struct http_trust *trust, str host, struct err_detail *d)
{
    struct dial_tls *t;
    enum err e;
    int r;

    CHECK(trust != NULL);
    e = load_once(trust, d);
    if (e != OK)
        return e;
    /* What was sent in the clear must not count as if it had come through TLS. */
    if (c->at != c->n)
        return err_set(d, ERR_CORRUPT, 0, "%s: spoke before TLS had begun", c->peer);
    if (!tls_library_init())
        return err_set(d, ERR_NOMEM, 0, "%s: TLS", c->peer);
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return err_set(d, ERR_NOMEM, 0, "%s: TLS", c->peer);
    t->fd = c->fd;
    tls_intake_begin(&t->intake, HANDSHAKE_BYTES);
    mbedtls_ssl_init(&t->ssl);
    mbedtls_ssl_config_init(&t->config);
    c->tls = t;
    r = configure(t, trust, host);
    return r == 0 ? handshake(c, d) : tls_failed(c, r, "TLS", d);
}

/* TLS 1.3 hands out tickets at any time; they are not for us. */
static bool is_ticket(int r)
{
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
    return r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
#else
    (void)r;
    return false;
#endif
}

enum err dial_tls_read(struct dial *c, char *p, size_t n, size_t *got, struct err_detail *d)
{
    for (;;) {
        int r = mbedtls_ssl_read(&c->tls->ssl, (unsigned char *)p, MIN_OF(n, (size_t)INT_MAX));
        enum err e;

        if (r > 0 || r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
            tls_intake_useful(&c->tls->intake);
            *got = r > 0 ? (size_t)r : 0;
            return OK;
        }
        if (is_ticket(r))
            continue;
        if (!tls_wants_more(r))
            return tls_failed(c, r, "receiving", d);
        e = wait_more(c, r, "receiving", d);
        if (e != OK)
            return e;
    }
}

/* After a wait mbedtls wants the same bytes shown again, which the loop does. */
enum err dial_tls_write(struct dial *c, const char *p, size_t n, size_t *sent, struct err_detail *d)
{
    for (;;) {
        int r =
            mbedtls_ssl_write(&c->tls->ssl, (const unsigned char *)p, MIN_OF(n, (size_t)INT_MAX));
        enum err e;

        if (r > 0) {
            *sent = (size_t)r;
            return OK;
        }
        if (!tls_wants_more(r))
            return tls_failed(c, r, "sending", d);
        e = wait_more(c, r, "sending", d);
        if (e != OK)
            return e;
    }
}

void dial_tls_close(struct dial *c)
{
    struct dial_tls *t = c->tls;

    if (t == NULL)
        return;
    if (t->ready)
        (void)!mbedtls_ssl_close_notify(&t->ssl); /* if it does not fit now, so be it */
    mbedtls_ssl_free(&t->ssl);
    mbedtls_ssl_config_free(&t->config);
    free(t);
    c->tls = NULL;
}
