/*
 * test/support/http_client.h - a small blocking HTTP/1.1 client that hides nothing.
 *
 * A connection is a byte stream with a deadline: tests send whole requests, halves, or nonsense,
 * and read replies one at a time (so that keep-alive and pipelining can be seen). Nothing here
 * asserts: every call says what happened, the test decides.
 *
 * Memory: a reply owns its bytes until http_reply_fini, or until it is read into again.
 */
#ifndef TEST_SUPPORT_HTTP_CLIENT_H
#define TEST_SUPPORT_HTTP_CLIENT_H

#include "base/base.h"

enum http_result {
    HTTP_GOT,     /* a whole reply */
    HTTP_CLOSED,  /* the peer closed before the first byte of a reply */
    HTTP_CUT,     /* the peer closed inside a reply */
    HTTP_LATE,    /* the deadline passed */
    HTTP_GARBLED, /* what came is not HTTP/1.x */
    HTTP_REFUSED  /* no connection, or the system refused a read or write */
};

const char *http_result_text(enum http_result r);

struct http_conn; /* opaque */

/*
 * Connects to "http://127.0.0.1:8888[/...]", "http://[::1]:8888", "unix:/path" or
 * "https://127.0.0.1:8888" (TLS by the openssl command, trusting the PEM file `ca`; NULL
 * otherwise). Every later wait on this connection ends after `timeout_ms`. NULL: refused.
 */
struct http_conn *http_open(const char *url, const char *ca, int timeout_ms);
void http_close(struct http_conn *c); /* NULL is fine */

/* All bytes, or false (closed by the peer, or the deadline). */
bool http_send(struct http_conn *c, const void *p, size_t n);
/* Says that no more will be sent; replies can still be read. Not for https. */
void http_send_end(struct http_conn *c);
/* Closes with a reset (SO_LINGER 0), as a crashed client does. */
void http_abort(struct http_conn *c);

struct http_reply {
    int status, minor;
    char *head; /* status line and headers, NUL-terminated */
    char *body; /* decoded when chunked, NUL-terminated (and may hold NULs) */
    size_t body_n;
    bool close; /* the connection ends with this reply (header, or HTTP/1.0) */
    bool chunked;
};

/* Reads one reply; 1xx are replies of their own. `no_body`: the request was HEAD. */
enum http_result http_read(struct http_conn *c, bool no_body, struct http_reply *r);
/* Waits until the peer closes: HTTP_CLOSED; HTTP_GOT when it sends a byte instead. */
enum http_result http_wait_close(struct http_conn *c);
void http_reply_fini(struct http_reply *r);

/* The value of a header (first of that name, any case) in a static ring of buffers; NULL: absent.
 */
const char *http_reply_header(const struct http_reply *r, const char *name);
/* How often a header occurs. */
int http_reply_header_count(const struct http_reply *r, const char *name);

#endif
