/*
 * http/tls.h - what the files of this room that stand on mbedtls (2.28 and 3.x) share:
 *
 *     tls_context.c  certificates, keys, policy: whom a server can be, and how it speaks; what others need, too
 *     tls.c          the transport of connections that came to us, and their handshakes
 *     dial_tls.c     connections to other servers
 *     self_signed.c  a certificate for those who have none
 *
 * Only these include mbedtls' headers. What the rest of the room calls is in private.h.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/err.h"
#include "base/str.h"

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

#ifndef MBEDTLS_THREADING_C /* loops share the keys of tickets, threads those of others */
#error "mbedtls must be built with MBEDTLS_THREADING_C"
#endif

struct tls_context;

/* Versions and suites that are good enough, for connections of both directions: TLS 1.2 at least, (1.3
 * where mbedtls has it), ephemeral keys and authenticated encryption only, no SHA-1. Points to static
 * memory. */
void tls_set_policy(mbedtls_ssl_config *config);

/* Random bytes from the kernel, as mbedtls asks for them: no state that threads would share. */
int tls_random(void *unused, unsigned char *p, size_t n);

/* Whatever mbedtls wants done once in a process before anything else. False: no memory. */
bool tls_library_init(void);

/* Does mbedtls' error say that there was no memory? */
bool tls_no_memory(int r);

/* "what: mbedtls' sentence on r". Returns e, or NOMEM if that is what r says. */
enum err tls_error(struct err_detail *d, enum err e, const char *what, int r);

/* The names of a certificate (subjectAltName; RFC 5280, 4.2.1.6): their kinds, which are the tags of
 * ASN.1. */
#define TLS_NAME_DNS     (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2) /* dNSName */
#define TLS_NAME_ADDRESS (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7) /* iPAddress: 4 or 16 bytes */
/* The next one of that kind, a slice of the certificate; false at the end. *at begins as
 * &crt->subject_alt_names:
 *     while (tls_next_name(&at, TLS_NAME_DNS, &name)) ... */
bool tls_next_name(const mbedtls_x509_sequence **at, int kind, str *name);

/* A socket that does not block, as mbedtls wants it: bytes (receiving, 0: the end),
 * MBEDTLS_ERR_SSL_WANT_READ or _WRITE, or MBEDTLS_ERR_SSL_INTERNAL_ERROR, with the reason in errno. */
int tls_socket_send(int fd, const unsigned char *p, size_t n);
int tls_socket_recv(int fd, unsigned char *p, size_t n);
/* Was that what a call of mbedtls answered because the socket was not ready? */
bool tls_wants_more(int r);

/*
 * What a connection receives, as whoever feeds mbedtls counts it. A record need not hold anything for its
 * reader (alerts that mean nothing, refused wishes, tickets; before there are keys, anybody on the way can
 * send some), and one call of mbedtls reads on until one does, while it looks at no clock. So each turn has
 * so many calls for input, and there is an end to bytes that lead to nothing.
 */
struct tls_intake {
    size_t vain_n;       /* bytes since the handshake began; behind it, since the last data */
    size_t most;         /* of them */
    unsigned calls_left; /* in this turn */
};

/* A handshake begins, which may take so many bytes; and its first turn. */
void tls_intake_begin(struct tls_intake *in, size_t handshake_bytes);
void tls_intake_new_turn(struct tls_intake *in);
/* mbedtls calls for input. False: the turn is over, the answer is MBEDTLS_ERR_SSL_WANT_READ. */
bool tls_intake_call(struct tls_intake *in);
/* Bytes came (or r <= 0: none). */
void tls_intake_add(struct tls_intake *in, ssize_t r);
/* They led to something: data, or the end of the handshake. */
void tls_intake_useful(struct tls_intake *in);
/* More than `most` came: nothing more is to be received. */
bool tls_intake_full(const struct tls_intake *in);

/* Begins a session of that context's. 0, or mbedtls' error. */
int tls_context_setup(const struct tls_context *t, mbedtls_ssl_context *ssl);

#endif
