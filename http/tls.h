/*
 * http/tls.h - what the files of this room that stand on mbedtls (2.28 and 3.x) share:
 *
 *     tls_context.c  certificates, keys, policy: whom a server can be, and how it speaks
 *     tls.c          the transport of connections that came to us, and their handshakes
 *     dial_tls.c     connections to other servers
 *     self_signed.c  a certificate for those who have none
 *
 * Only these include mbedtls' headers. What the rest of the room calls is in private.h.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "http/private.h"

#include <mbedtls/ssl.h>
#include <mbedtls/version.h>

/* Versions and suites that are good enough, for connections of both directions: TLS 1.2 at least, (1.3
 * where mbedtls has it), ephemeral keys and authenticated encryption only. Points to static memory. */
void tls_set_policy(mbedtls_ssl_config *config);

/* Random bytes from the kernel, as mbedtls asks for them: no state that threads would share. */
int tls_random(void *unused, unsigned char *p, size_t n);

/* Whatever mbedtls wants done once in a process before anything else. False: no memory. */
bool tls_library_init(void);

/* "what: mbedtls' sentence on r". Returns e. */
enum err tls_error(struct err_detail *d, enum err e, const char *what, int r);

/* Begins a session of that context's. 0, or mbedtls' error. */
int tls_context_setup(const struct tls_context *t, mbedtls_ssl_context *ssl);

#endif
