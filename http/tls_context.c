/*
 * http/tls_context.c - certificates and keys over mbedtls (2.28 and 3.x), and the policy of all TLS
 * here.
 *
 * Each loop has a context of its own, and one thread that shakes hands with it (tls.c). So two
 * threads never compute with the same key: mbedtls keeps tables inside the keys, which it makes at
 * their first use, without a lock. What connections share beyond their handshake is read only.
 * Session tickets are the exception: a client comes back to another loop, so that there is one set
 * of ticket keys, under mbedtls' own lock.
 *
 * Files are read once for all loops and parsed for each: all have the same certificates, also when
 * the files are being replaced meanwhile.
 *
 * Which certificate (RFC 6066, 3): all that have the name the client asks for, among which mbedtls
 * chooses by what the client can check (RSA, ECDSA). If none has it, or the client names no host:
 * the first one of the settings, and those that have all its names (another kind of key). Names are
 * those of subjectAltName; the common name has not counted for long (RFC 9525, 2).
 */
#include "base/log.h"
#include "base/os.h"
#include "base/rand.h"
#include "http/private.h"
#include "http/tls.h"

#include <errno.h>
#include <mbedtls/asn1.h>
#include <mbedtls/bignum.h>
#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <mbedtls/md.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

#define MAX_PEM_BYTES  (1 * MIB)
#define TICKET_SECONDS (6 * 3600) /* then a key is replaced; it is understood as long again */

/* ---- policy ---------------------------------------------------------------------------------- */

#if MBEDTLS_VERSION_MAJOR >= 3
#define AES_1_3    MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#define CHACHA_1_3 MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#else
#define AES_1_3
#define CHACHA_1_3
#endif
#define AES                                                                                        \
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,                                               \
        MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,                                             \
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,                                           \
        MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
#define CHACHA                                                                                     \
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,                                         \
        MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256

static const int aes_first[] = {AES_1_3 CHACHA_1_3 AES, CHACHA, 0};
static const int chacha_first[] = {CHACHA_1_3 AES_1_3 CHACHA, AES, 0};

/* Without instructions for it (that mbedtls uses), AES is slow and its time tells of the key. */
static bool has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes");
#elif defined(__aarch64__) && MBEDTLS_VERSION_NUMBER >= 0x03050000
    return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
    return false;
#endif
}

static const char *alpn[] = {"http/1.1", NULL}; /* mbedtls wants it without const */

/* Under the exchange of keys: whatever the library was built with, no SHA-1. (3 has no weak ones.) */
static void set_hashes(mbedtls_ssl_config *config)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    (void)config;
#else
    static const int hashes[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512,
                                 MBEDTLS_MD_NONE};

    mbedtls_ssl_conf_sig_hashes(config, hashes);
#endif
}

void tls_set_policy(mbedtls_ssl_config *config)
{
    mbedtls_ssl_conf_ciphersuites(config, has_aes() ? aes_first : chacha_first);
#if MBEDTLS_VERSION_MAJOR >= 3
    mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#else
    mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
    set_hashes(config);
}

/* Of a server only, whose choice it is: the curves for the exchange of keys. (mbedtls 2.28 would offer some
 * that nobody needs. For a client they would bound what certificates may be made of, too.) */
static void set_server_curves(mbedtls_ssl_config *config)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    static const uint16_t groups[] = {
        MBEDTLS_SSL_IANA_TLS_GROUP_X25519, MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
        MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_NONE};

    mbedtls_ssl_conf_groups(config, groups);
#else
    static const mbedtls_ecp_group_id curves[] = {MBEDTLS_ECP_DP_CURVE25519,
                                                  MBEDTLS_ECP_DP_SECP256R1,
                                                  MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_NONE};

    mbedtls_ssl_conf_curves(config, curves);
#endif
}

int tls_random(void *unused, unsigned char *p, size_t n)
{
    (void)unused;
    rand_bytes(p, n);
    return 0;
}

bool tls_library_init(void)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    return psa_crypto_init() == PSA_SUCCESS;
#else
    return true;
#endif
}

/* An error is the sum of two: of the module that was called, and of one below it. */
bool tls_no_memory(int r)
{
    static const int errors[] = {
        MBEDTLS_ERR_X509_ALLOC_FAILED, MBEDTLS_ERR_PEM_ALLOC_FAILED,  MBEDTLS_ERR_PK_ALLOC_FAILED,
        MBEDTLS_ERR_ECP_ALLOC_FAILED,  MBEDTLS_ERR_SSL_ALLOC_FAILED,  MBEDTLS_ERR_MD_ALLOC_FAILED,
        MBEDTLS_ERR_MPI_ALLOC_FAILED,  MBEDTLS_ERR_ASN1_ALLOC_FAILED,
    };
    int low = -(-r & 0x7f), high = -(-r & 0x7f80);

    for (size_t i = 0; i < ARRAY_LEN(errors) && r < 0; i++)
        if (errors[i] == low || errors[i] == high)
            return true;
    return false;
}

enum err tls_error(struct err_detail *d, enum err e, const char *what, int r)
{
    char text[128];

    mbedtls_strerror(r, text, sizeof text);
    return err_set(d, tls_no_memory(r) ? ERR_NOMEM : e, 0, "%s: %s", what, text);
}

/* ---- what both directions use ---------------------------------------------------------------- */

static int socket_result(ssize_t r, int if_not_ready)
{
    if (r >= 0)
        return (int)r;
    return errno == EAGAIN || errno == EWOULDBLOCK ? if_not_ready : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

int tls_socket_send(int fd, const unsigned char *p, size_t n)
{
    ssize_t r;

    do
        r = send(fd, p, MIN_OF(n, (size_t)INT_MAX), MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    return socket_result(r, MBEDTLS_ERR_SSL_WANT_WRITE);
}

int tls_socket_recv(int fd, unsigned char *p, size_t n)
{
    ssize_t r;

    do
        r = recv(fd, p, MIN_OF(n, (size_t)INT_MAX), 0);
    while (r < 0 && errno == EINTR);
    return socket_result(r, MBEDTLS_ERR_SSL_WANT_READ);
}

bool tls_wants_more(int r)
{
    return r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE;
}

#define CALLS_A_TURN 64         /* of mbedtls for input: two or three a record */
#define VAIN_BYTES   (49 * KIB) /* without data: 32 KiB, and a full record that has not come whole */

void tls_intake_begin(struct tls_intake *in, size_t handshake_bytes)
{
    *in = (struct tls_intake){.most = handshake_bytes};
    tls_intake_new_turn(in);
}

void tls_intake_new_turn(struct tls_intake *in)
{
    in->calls_left = CALLS_A_TURN;
}

bool tls_intake_call(struct tls_intake *in)
{
    if (in->calls_left == 0)
        return false;
    in->calls_left--;
    return true;
}

void tls_intake_add(struct tls_intake *in, ssize_t r)
{
    in->vain_n += r > 0 ? (size_t)r : 0;
}

void tls_intake_useful(struct tls_intake *in)
{
    in->vain_n = 0;
    in->most = VAIN_BYTES;
}

bool tls_intake_full(const struct tls_intake *in)
{
    return in->vain_n > in->most;
}

bool tls_next_name(const mbedtls_x509_sequence **at, int kind, str *name)
{
    for (; *at != NULL; *at = (*at)->next)
        if ((*at)->buf.tag == kind) {
            *name = (str){(const char *)(*at)->buf.p, (*at)->buf.len};
            *at = (*at)->next;
            return true;
        }
    return false;
}

/* ---- files ----------------------------------------------------------------------------------- */

struct pem {
    const char *path; /* the caller's */
    char *text;
    size_t n;
};

struct tls_files {
    size_t count;
    struct pem *certificates, *keys;
};

static void pem_free(struct pem *p)
{
    if (p->text != NULL)
        mbedtls_platform_zeroize(p->text, p->n);
    free(p->text);
}

static void warn_of_readers(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)) != 0)
        log_event(LOG_WARN, "tls_key_readable",
                  "file=%s reason=\"every user can read it: chmod 600\"", path);
}

static enum err read_pem(struct pem *p, os_read_fn *read, struct err_detail *d)
{
    return read(p->path, MAX_PEM_BYTES, &p->text, &p->n, d);
}

static enum err read_pems(struct tls_files *f, const struct http_tls_options *o, os_read_fn *read,
                          struct err_detail *d)
{
    enum err e = OK;

    for (size_t i = 0; i < o->count && e == OK; i++) {
        struct pem *c = &f->certificates[i], *k = &f->keys[i];
        c->path = o->certificates[i].p;
        k->path = o->keys[i].p;
        e = read_pem(c, read, d);
        if (e == OK)
            e = read_pem(k, read, d);
        if (e == OK)
            warn_of_readers(k->path);
    }
    return e;
}

enum err tls_files_read(struct tls_files **out, const struct http_tls_options *o, os_read_fn *read,
                        struct err_detail *d)
{
    struct tls_files *f = calloc(1, sizeof *f);
    enum err e = ERR_NOMEM;

    if (f != NULL) {
        f->count = o->count;
        f->certificates = calloc(o->count + 1, sizeof *f->certificates);
        f->keys = calloc(o->count + 1, sizeof *f->keys);
    }
    if (f == NULL || f->certificates == NULL || f->keys == NULL)
        e = err_set(d, ERR_NOMEM, 0, "TLS certificates");
    else
        e = read_pems(f, o, read, d);
    if (e != OK) {
        tls_files_free(f);
        return e;
    }
    *out = f;
    return OK;
}

void tls_files_free(struct tls_files *f)
{
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->count; i++) {
        if (f->certificates != NULL)
            pem_free(&f->certificates[i]);
        if (f->keys != NULL)
            pem_free(&f->keys[i]);
    }
    free(f->certificates);
    free(f->keys);
    free(f);
}

/* ---- tickets --------------------------------------------------------------------------------- */

struct tls_tickets {
    mbedtls_ssl_ticket_context keys;
};

enum err tls_tickets_new(struct tls_tickets **out, struct err_detail *d)
{
    struct tls_tickets *t = malloc(sizeof *t);
    int r;

    if (t == NULL)
        return err_set(d, ERR_NOMEM, 0, "TLS tickets");
    mbedtls_ssl_ticket_init(&t->keys);
    r = tls_library_init() ? mbedtls_ssl_ticket_setup(&t->keys, tls_random, NULL,
                                                      MBEDTLS_CIPHER_AES_256_GCM, TICKET_SECONDS)
                           : MBEDTLS_ERR_SSL_ALLOC_FAILED;
    if (r != 0) {
        tls_tickets_free(t);
        return tls_error(d, ERR_NOMEM, "TLS tickets", r);
    }
    *out = t;
    return OK;
}

void tls_tickets_free(struct tls_tickets *t)
{
    if (t == NULL)
        return;
    mbedtls_ssl_ticket_free(&t->keys);
    free(t);
}

/* ---- contexts -------------------------------------------------------------------------------- */

/* Who the server can be. */
struct identity {
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
};

struct tls_context {
    mbedtls_ssl_config config;
    struct identity *identities;
    size_t count;
    unsigned users; /* connections, and the loop while it is the one for new connections */
};

/* Has the certificate (the first of the chain) that name? `*.example.org` is any one label in front
 * (RFC 9525, 6.3). What the client asks for is compared only, so that it need not be a name at all. */
static bool has_name(const struct identity *id, str host)
{
    const mbedtls_x509_sequence *at = &id->chain.subject_alt_names;
    size_t dot = str_find(host, '.');
    str name, parent = dot != STR_NPOS && dot > 0 ? str_drop(host, dot) : STR("");

    while (tls_next_name(&at, TLS_NAME_DNS, &name)) {
        if (str_eq_nocase(name, host))
            return true;
        if (parent.n > 0 && str_starts(name, STR("*.")) && str_eq_nocase(str_drop(name, 1), parent))
            return true;
    }
    return false;
}

/* Has `id` each name of `first`, so that it may stand for it? */
static bool has_names_of(const struct identity *id, const struct identity *first)
{
    const mbedtls_x509_sequence *at = &first->chain.subject_alt_names;
    bool any = false;
    str name;

    while (tls_next_name(&at, TLS_NAME_DNS, &name)) {
        any = true;
        if (!has_name(id, name))
            return false;
    }
    return any;
}

/* mbedtls has read in the ClientHello which host it is for. 0: go on. */
static int choose_identity(void *context, mbedtls_ssl_context *ssl, const unsigned char *name,
                           size_t n)
{
    struct tls_context *t = context;
    str host = {(const char *)name, n};

    for (size_t i = 0; i < t->count; i++) {
        struct identity *id = &t->identities[i];
        int r = has_name(id, host) ? mbedtls_ssl_set_hs_own_cert(ssl, &id->chain, &id->key) : 0;
        if (r != 0)
            return r;
    }
    return 0;
}

static int parse_key(struct identity *id, const struct pem *p)
{
    const unsigned char *text = (const unsigned char *)p->text;
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_parse_key(&id->key, text, p->n + 1, NULL, 0, tls_random, NULL);
#else
    return mbedtls_pk_parse_key(&id->key, text, p->n + 1, NULL, 0);
#endif
}

static int check_pair(struct identity *id)
{
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_pk_check_pair(&id->chain.pk, &id->key, tls_random, NULL);
#else
    return mbedtls_pk_check_pair(&id->chain.pk, &id->key);
#endif
}

static enum err load_identity(struct identity *id, const struct pem *certificate,
                              const struct pem *key, struct err_detail *d)
{
    int r = mbedtls_x509_crt_parse(&id->chain, (const unsigned char *)certificate->text,
                                   certificate->n + 1);

    if (r != 0) /* > 0: so many certificates of the file could not be read */
        return tls_error(d, ERR_SYNTAX, certificate->path,
                         r < 0 ? r : MBEDTLS_ERR_X509_INVALID_FORMAT);
    r = parse_key(id, key);
    if (r != 0)
        return tls_error(d, ERR_SYNTAX, key->path, r);
    r = check_pair(id);
    if (tls_no_memory(r))
        return tls_error(d, ERR_NOMEM, key->path, r);
    if (r != 0)
        return err_set(d, ERR_CONFLICT, 0,
                       "%s and %s: the key and the certificate do not belong together", key->path,
                       certificate->path);
    return OK;
}

static enum err load_identities(struct tls_context *t, const struct tls_files *f,
                                struct err_detail *d)
{
    enum err e = OK;

    t->identities = calloc(f->count, sizeof *t->identities);
    if (t->identities == NULL)
        return err_set(d, ERR_NOMEM, 0, "TLS context");
    for (; t->count < f->count && e == OK; t->count++) {
        struct identity *id = &t->identities[t->count];
        mbedtls_x509_crt_init(&id->chain);
        mbedtls_pk_init(&id->key);
        e = load_identity(id, &f->certificates[t->count], &f->keys[t->count], d);
    }
    return e;
}

static int set_default_identities(struct tls_context *t)
{
    int r = 0;

    for (size_t i = 0; i < t->count && r == 0; i++) {
        struct identity *id = &t->identities[i];
        if (i == 0 || has_names_of(id, &t->identities[0]))
            r = mbedtls_ssl_conf_own_cert(&t->config, &id->chain, &id->key);
    }
    return r;
}

static enum err configure(struct tls_context *t, struct tls_tickets *tickets, struct err_detail *d)
{
    int r = mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_SERVER,
                                        MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

    if (r == 0)
        r = set_default_identities(t);
    if (r == 0)
        r = mbedtls_ssl_conf_alpn_protocols(&t->config, alpn);
    if (r != 0)
        return tls_error(d, ERR_NOMEM, "TLS configuration", r);
    mbedtls_ssl_conf_rng(&t->config, tls_random, NULL);
    mbedtls_ssl_conf_sni(&t->config, choose_identity, t);
    mbedtls_ssl_conf_session_tickets_cb(&t->config, mbedtls_ssl_ticket_write,
                                        mbedtls_ssl_ticket_parse, &tickets->keys);
    tls_set_policy(&t->config);
    set_server_curves(&t->config);
    return OK;
}

enum err tls_context_new(struct tls_context **out, const struct tls_files *f,
                         struct tls_tickets *tickets, struct err_detail *d)
{
    struct tls_context *t = calloc(1, sizeof *t);
    enum err e;

    if (t == NULL)
        return err_set(d, ERR_NOMEM, 0, "TLS context");
    t->users = 1;
    mbedtls_ssl_config_init(&t->config);
    e = load_identities(t, f, d);
    if (e == OK)
        e = configure(t, tickets, d);
    if (e != OK) {
        tls_context_release(t);
        return e;
    }
    *out = t;
    return OK;
}

struct tls_context *tls_context_hold(struct tls_context *t)
{
    t->users++;
    return t;
}

void tls_context_release(struct tls_context *t)
{
    if (t == NULL || --t->users > 0)
        return;
    mbedtls_ssl_config_free(&t->config);
    for (size_t i = 0; i < t->count; i++) {
        mbedtls_x509_crt_free(&t->identities[i].chain);
        mbedtls_pk_free(&t->identities[i].key);
    }
    free(t->identities);
    free(t);
}

int tls_context_setup(const struct tls_context *t, mbedtls_ssl_context *ssl)
{
    return mbedtls_ssl_setup(ssl, &t->config);
}

/* The names of a certificate, as far as there is room; for the log. */
static void names_of(const struct identity *id, char *out, size_t n)
{
    const mbedtls_x509_sequence *at = &id->chain.subject_alt_names;
    size_t used = 0;
    str name;

    out[0] = '\0';
    while (tls_next_name(&at, TLS_NAME_DNS, &name))
        if (used + name.n + 2 <= n)
            used += (size_t)snprintf(out + used, n - used, "%s" STR_FMT, used > 0 ? " " : "",
                                     STR_ARG(name));
}

void tls_context_log(const struct tls_context *t, const struct tls_files *f)
{
    char names[200];

    for (size_t i = 0; i < t->count; i++) {
        const mbedtls_x509_crt *c = &t->identities[i].chain;
        bool past = mbedtls_x509_time_is_past(&c->valid_to) != 0;
        bool future = mbedtls_x509_time_is_future(&c->valid_from) != 0;
        names_of(&t->identities[i], names, sizeof names);
        log_event(past || future ? LOG_WARN : LOG_INFO, "tls_certificate",
                  "file=%s names=\"%s\" until=%04d-%02d-%02d%s", f->certificates[i].path, names,
                  c->valid_to.year, c->valid_to.mon, c->valid_to.day,
                  past     ? " reason=\"it has expired\""
                  : future ? " reason=\"it is not valid yet\""
                           : "");
    }
}
