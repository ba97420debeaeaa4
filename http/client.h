/*
 * http/client.h - calls other servers: an HTTP/1.1 client (RFC 9110, RFC 9112) over TCP and TLS.
 *
 *     struct http_trust *trust = http_trust_new(NULL);
 *     struct http_client *client = http_client_new(trust, NULL, "kinto");
 *     struct http_call call = {.url = STR("https://example.com/keys")};
 *     struct http_answer answer;
 *     e = http_client_call(client, &call, arena, &answer, &detail);
 *
 * A call blocks its thread until the answer is there, or until its time is over: never call from an
 * event loop. Every wait has a deadline and everything received a limit, so that a call ends in
 * time and memory that are known before, whatever the peer does. A call is a connection, which is
 * closed behind it.
 *
 * Any status is an answer (OK), also 404 and 500. Redirects are answers too, unless the call asks
 * for them to be followed. Content codings are not undone, and none is asked for.
 *
 * Proxies come from the environment, as it is when the client is made: http_proxy (lower case only:
 * the upper-case form is what CGI makes of a request's Proxy header), https_proxy or HTTPS_PROXY (by
 * CONNECT), no_proxy or NO_PROXY: names, which stand for what is below them too, addresses,
 * networks (10.0.0.0/8), each with or without a port, or "*". A proxy is "http://[user:password@]
 * host[:port]"; it is spoken to without TLS.
 *
 * Errors name the host in the detail, never the path, the query, or a password:
 *     SYNTAX       the call itself: its URL, a header with a line break, ...
 *     UNSUPPORTED  a scheme, method, proxy or transfer coding that this client does not do
 *     NOTFOUND     the host has no address (or SSL_CERT_FILE, or the system, no certificates)
 *     IO           no connection (refused, no route, ...), or it broke; see sys_errno
 *     TIMEOUT      the time of the call, or that for connecting, was over
 *     UNTRUSTED    the certificate: the detail has the reason
 *     CLOSED       the peer ended before its answer did
 *     CORRUPT      the answer is not HTTP
 *     LIMIT        head or body larger than the call allows; too many redirects; TLS records
 *                  that lead to nothing, without end
 *     REFUSED      the proxy refuses to go on; a redirect leaves https
 *     AGAIN        http_cancel_now()
 *     NOFILES      no file descriptor is left
 *     NOMEM        memory, or the arena's budget
 *
 * Threads: any number of calls at once on one client; an arena is one call's.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "http/http.h"

/* ---- whom to trust --------------------------------------------------------------------------- */

/*
 * The certificates of the authorities that TLS peers are checked against: a PEM file, read at the
 * first use (again after a failure) and kept. `file` is copied; NULL: the file that SSL_CERT_FILE
 * names in the environment as it is now, or else the system's bundle, wherever the usual
 * distributions keep it. One object serves any number of clients and mail settings, in any thread;
 * it must outlive them. NULL: out of memory.
 */
struct http_trust;
struct http_trust *http_trust_new(const char *file);
void http_trust_free(struct http_trust *t); /* NULL is fine */

/* ---- what it reads -------------------------------------------------------------------------- */

/*
 * For whoever locks the process in: each file or directory that calls, mails and datagrams may have to
 * read, once they are made. That is what the resolver reads, and where certificates of authorities lie, by
 * the environment as it is now. `named`: a file that the environment names, which may lie anywhere and be
 * replaced.
 */
typedef void http_place_fn(void *arg, const char *path, bool named);
void http_client_places(http_place_fn *each, void *arg);

/* ---- giving up ------------------------------------------------------------------------------- */

/*
 * Ends the calls and mails that were given it, for a stop, which should not take as long as a deadline:
 * whatever they wait for, they answer AGAIN, at once and for good, also those that are still to come.
 * In the caller's memory; zeroed, it is none yet, and http_cancel_fini is fine with that. It must
 * outlive what was given it, and costs a file descriptor: NOFILES, when there are no more; NOMEM.
 */
struct http_cancel {
    bool made; /* both are private */
    int fd;
};
MUST_CHECK enum err http_cancel_init(struct http_cancel *c, struct err_detail *d);
void http_cancel_now(struct http_cancel *c); /* any thread, any number of times */
void http_cancel_fini(struct http_cancel *c);

/* ---- calls ----------------------------------------------------------------------------------- */

struct http_client;
/* `trust`, which must not be NULL, and `cancel` (NULL: its calls end by themselves) are borrowed.
 * `user_agent` (NULL: none is sent) is copied. NULL: out of memory. */
struct http_client *http_client_new(struct http_trust *trust, const struct http_cancel *cancel,
                                    const char *user_agent);
void http_client_free(struct http_client *c); /* no call may be running; NULL is fine */

/* What to ask. Zero or none takes the default in brackets; everything is borrowed for the call. */
struct http_call {
    str method; /* ["GET"], or "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS" */
    str url;    /* absolute; http or https; no user and password in it */
    /* Not Host, Connection, Content-Length and the like, which are the client's own business. */
    const struct http_header *headers;
    unsigned nheaders;
    str body;                    /* sent with POST, PUT and PATCH also when it is empty */
    unsigned timeout_ms;         /* for all of it, redirects included [10,000] */
    unsigned connect_timeout_ms; /* for name, connection and TLS of each host [5,000] */
    size_t max_head_bytes;       /* status line and headers, interim answers included [32 KiB] */
    size_t max_body_bytes;       /* [1 MiB] */
    /* So many redirects of a GET or HEAD are followed [0]; never from https to http. Authorization,
     * Cookie and Proxy-Authorization do not go along to another host, port or scheme. */
    unsigned max_redirects;
};

struct http_answer {
    int status;                  /* 200 to 599 */
    struct http_header *headers; /* without those of a proxy's CONNECT, and without trailers */
    unsigned nheaders;
    str body; /* "" when there is none */
};

/* The answer lies in the arena, as does what the call needs on its way. */
MUST_CHECK enum err http_client_call(struct http_client *c, const struct http_call *call,
                                     struct arena *a, struct http_answer *out,
                                     struct err_detail *d);

/* The value of the first header of that name, in any case. STR_NONE: there is none. */
str http_answer_header(const struct http_answer *answer, str name);

/* ---- datagrams ------------------------------------------------------------------------------- */

/*
 * A non-blocking UDP socket, the caller's, connected to the address in "udp://host:port" or
 * "udp://[::1]:port"; the port may be missing, a path behind it means nothing. Asks nobody, so it does
 * not wait: NOTFOUND, the host is a name, and not localhost. SYNTAX: no such URL; IO.
 */
MUST_CHECK enum err http_udp_open(str url, uint16_t default_port, int *out, struct err_detail *d);

#endif
