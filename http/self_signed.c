/*
 * http/self_signed.c - a certificate that vouches for itself, over mbedtls (2.28 and 3.x).
 *
 * Made so that the usual clients take it once they are told to trust it: version 3, subjectAltName
 * (names and addresses), use as a server's, key identifiers (Python 3.13 insists), and not longer than
 * the 825 days that Apple's systems allow.
 */
#include "base/hash.h"
#include "base/net.h"
#include "base/settings.h"
#include "http/http.h"
#include "http/tls.h"

#include <mbedtls/asn1write.h>
#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/x509_crt.h>
#include <time.h>

#define MAX_NAMES_BYTES 2048
#define PEM_BYTES       8192
#define BACKDATED_S     3600 /* clocks differ */

/* ---- names ----------------------------------------------------------------------------------- */

/* A name without the root, or any one label in front of it: "*.example.org" (RFC 9525, 6.3). */
static bool is_certificate_name(str s)
{
    if (str_starts(s, STR("*.")))
        s = str_drop(s, 2);
    return net_host_is_name(s) && !str_ends(s, STR("."));
}

/* The bytes of a name in a certificate, in *space if it is an address; *tag says which it is. STR_NONE:
 * neither. */
static str name_bytes(str name, struct net_address *space, unsigned char *tag)
{
    *tag = TLS_NAME_ADDRESS;
    if (net_address_parse(name, 0, space))
        return net_address_bytes(space);
    *tag = TLS_NAME_DNS;
    return is_certificate_name(name) ? name : STR_NONE;
}

bool http_self_signed_takes(str name)
{
    struct net_address space;
    unsigned char tag;

    return !str_none(name_bytes(name, &space, &tag));
}

static int set_names(mbedtls_x509write_cert *w, const str *names, size_t n)
{
    unsigned char der[MAX_NAMES_BYTES], tag;
    struct net_address space;
    unsigned char *end = der + sizeof der, *p = end;
    int r = 0;

    for (size_t i = n; i-- > 0 && r >= 0;) {
        str bytes = name_bytes(names[i], &space, &tag);
        r = mbedtls_asn1_write_tagged_string(&p, der, tag, bytes.p, bytes.n);
    }
    if (r >= 0)
        r = mbedtls_asn1_write_len(&p, der, (size_t)(end - p));
    if (r >= 0)
        r = mbedtls_asn1_write_tag(&p, der, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
    if (r < 0)
        return r;
    return mbedtls_x509write_crt_set_extension(w, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                               MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0, p,
                                               (size_t)(end - p));
}

static enum err check_names(const str *names, size_t n, struct err_detail *d)
{
    struct net_address space;
    unsigned char tag;

    if (n == 0)
        return err_set(d, ERR_SYNTAX, 0, "a certificate needs a name");
    for (size_t i = 0; i < n; i++)
        if (str_none(name_bytes(names[i], &space, &tag)))
            return err_set(d, ERR_SYNTAX, 0, "\"%s\" is not the name of a host",
                           settings_quote(names[i]).text);
    return OK;
}

/* ---- the certificate ------------------------------------------------------------------------- */

static int set_serial(mbedtls_x509write_cert *w)
{
    unsigned char serial[16];
    int r;

    tls_random(NULL, serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and no leading zero */
#if MBEDTLS_VERSION_MAJOR >= 3
    r = mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof serial);
#else
    mbedtls_mpi number;
    mbedtls_mpi_init(&number);
    r = mbedtls_mpi_read_binary(&number, serial, sizeof serial);
    if (r == 0)
        r = mbedtls_x509write_crt_set_serial(w, &number);
    mbedtls_mpi_free(&number);
#endif
    return r;
}

static int set_validity(mbedtls_x509write_cert *w, int64_t now_s, unsigned days)
{
    char from[16], to[16];
    time_t begin = (time_t)(now_s - BACKDATED_S), end = (time_t)(now_s + (int64_t)days * 86400);
    struct tm tm;

    if (gmtime_r(&begin, &tm) == NULL || strftime(from, sizeof from, "%Y%m%d%H%M%S", &tm) == 0 ||
        gmtime_r(&end, &tm) == NULL || strftime(to, sizeof to, "%Y%m%d%H%M%S", &tm) == 0)
        return MBEDTLS_ERR_X509_BAD_INPUT_DATA;
    return mbedtls_x509write_crt_set_validity(w, from, to);
}

/* As its subject it has nobody in particular: clients look at the names (RFC 9525, 2). */
static int set_subject(mbedtls_x509write_cert *w)
{
    int r = mbedtls_x509write_crt_set_subject_name(w, "CN=kinto");

    return r == 0 ? mbedtls_x509write_crt_set_issuer_name(w, "CN=kinto") : r;
}

static int set_uses(mbedtls_x509write_cert *w)
{
    /* SEQUENCE { id-kp-serverAuth }: RFC 5280, 4.2.1.12 */
    static const unsigned char server[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06,
                                           0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    int r = mbedtls_x509write_crt_set_basic_constraints(w, 0, -1);

    if (r == 0)
        r = mbedtls_x509write_crt_set_key_usage(w, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    if (r == 0)
        r = mbedtls_x509write_crt_set_extension(w, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                                MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0,
                                                server, sizeof server);
    if (r == 0)
        r = mbedtls_x509write_crt_set_subject_key_identifier(w);
    return r == 0 ? mbedtls_x509write_crt_set_authority_key_identifier(w) : r;
}

static int describe(mbedtls_x509write_cert *w, mbedtls_pk_context *key, const str *names, size_t n,
                    int64_t now_s, unsigned days)
{
    int r = set_serial(w);

    mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(w, key);
    mbedtls_x509write_crt_set_issuer_key(w, key);
    if (r == 0)
        r = set_subject(w);
    if (r == 0)
        r = set_validity(w, now_s, days);
    if (r == 0)
        r = set_names(w, names, n);
    return r == 0 ? set_uses(w) : r;
}

static int make_key(mbedtls_pk_context *key)
{
    int r = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));

    return r == 0 ? mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), tls_random,
                                        NULL)
                  : r;
}

/* SHA-256 of the certificate as it is on the wire, which clients show, out of its text. */
static int fingerprint(const char *pem, char out[HTTP_FINGERPRINT])
{
    uint8_t hash[HASH_SHA256_LEN];
    mbedtls_x509_crt crt;
    int r;

    mbedtls_x509_crt_init(&crt);
    r = mbedtls_x509_crt_parse(&crt, (const unsigned char *)pem, strlen(pem) + 1);
    if (r == 0) {
        hash_sha256((str){(const char *)crt.raw.p, crt.raw.len}, hash);
        for (size_t i = 0; i < sizeof hash; i++)
            snprintf(out + 3 * i, 4, i + 1 < sizeof hash ? "%02X:" : "%02X", hash[i]);
    }
    mbedtls_x509_crt_free(&crt);
    return r;
}

static int write_texts(mbedtls_x509write_cert *w, mbedtls_pk_context *key,
                       struct http_self_signed *out)
{
    unsigned char text[PEM_BYTES];
    int r = mbedtls_x509write_crt_pem(w, text, sizeof text, tls_random, NULL);

    if (r == 0)
        buf_add_str(&out->certificate, str_from((const char *)text));
    if (r == 0)
        r = fingerprint((const char *)text, out->fingerprint);
    if (r == 0)
        r = mbedtls_pk_write_key_pem(key, text, sizeof text);
    if (r == 0)
        buf_add_str(&out->key, str_from((const char *)text));
    mbedtls_platform_zeroize(text, sizeof text);
    return r;
}

static enum err make(struct http_self_signed *out, const str *names, size_t n, int64_t now_s,
                     unsigned days, struct err_detail *d)
{
    mbedtls_x509write_cert w;
    mbedtls_pk_context key;
    int r;

    mbedtls_x509write_crt_init(&w);
    mbedtls_pk_init(&key);
    r = make_key(&key);
    if (r == 0)
        r = describe(&w, &key, names, n, now_s, days);
    if (r == 0)
        r = write_texts(&w, &key, out);
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&key);
    if (r != 0)
        return tls_error(d, r == MBEDTLS_ERR_ASN1_BUF_TOO_SMALL ? ERR_LIMIT : ERR_FAILED,
                         "the certificate could not be made", r);
    return buf_failed(&out->certificate) || buf_failed(&out->key)
               ? err_set(d, ERR_NOMEM, 0, "a certificate")
               : OK;
}

enum err http_self_signed_make(struct http_self_signed *out, const str *names, size_t n,
                               int64_t now_s, unsigned days, struct err_detail *d)
{
    enum err e;

    *out = (struct http_self_signed){0};
    buf_init(&out->certificate, PEM_BYTES);
    buf_init(&out->key, PEM_BYTES);
    e = check_names(names, n, d);
    if (e == OK && !tls_library_init())
        e = err_set(d, ERR_NOMEM, 0, "a certificate");
    if (e == OK)
        e = make(out, names, n, now_s, days, d);
    if (e != OK)
        http_self_signed_free(out);
    return e;
}

void http_self_signed_free(struct http_self_signed *s)
{
    if (s->key.p != NULL)
        mbedtls_platform_zeroize(s->key.p, s->key.n);
    buf_fini(&s->certificate);
    buf_fini(&s->key);
}
