/*
 * http/outbound.h - what the files of the outbound half of this room share. Its public contracts are
 * http/client.h and http/smtp.h; the server's half (http/private.h) knows nothing of it, and the two
 * have only the parsers in common, and what stands on mbedtls (http/tls.h).
 *
 *     resolve.c       a host's addresses                  (the only user of c-ares)
 *     dial.c          a TCP connection whose every wait ends at a deadline
 *     dial_tls.c      TLS on it, and whom to trust        (uses mbedtls)
 *     target.c        URLs to call, and which proxy is on the way (pure)
 *     udp.c           a socket for datagrams
 *     client.c        HTTP calls
 *     client_reply.c  ... and the answers to them
 *     smtp.c          handing a mail to a server
 *     mail.c          what a mail looks like              (pure)
 *
 * Everything blocks, for the threads of a pool; nothing here may run on an event loop. No state is
 * shared but struct http_trust, which locks itself.
 */
#ifndef HTTP_OUTBOUND_H
#define HTTP_OUTBOUND_H

#include "base/net.h"
#include "http/client.h"

/* ---- resolve.c ------------------------------------------------------------------------------- */

/* What a lookup reads: http_client_places(). */
void resolve_places(http_place_fn *each, void *arg);

/* Addresses of a host that are tried; what a DNS answer holds beyond is not. */
#define RESOLVE_MAX 16

struct addresses {
    unsigned n; /* at least one */
    struct net_address at[RESOLVE_MAX];
};

/*
 * The addresses of a host, in the order to try them (IPv6 and IPv4 in turn, so that one of the two
 * being cut off costs one attempt). "192.0.2.1" and "::1" stand for themselves; "localhost" and what
 * ends in ".localhost" is this machine, without asking anybody (RFC 6761, 6.3); everything else is
 * looked for in /etc/hosts and by DNS, as /etc/resolv.conf says. NOTFOUND: there is no such host.
 * SYNTAX: that cannot be the name of a host. TIMEOUT, NOMEM, IO.
 */
MUST_CHECK enum err resolve(str host, uint16_t port, uint64_t deadline_ms, struct addresses *out,
                            struct err_detail *d);
/* The same; as soon as cancel_fd (-1: none) can be read: AGAIN. */
MUST_CHECK enum err resolve_unless(str host, uint16_t port, uint64_t deadline_ms, int cancel_fd,
                                   struct addresses *out, struct err_detail *d);

/* The addresses of what needs no asking: an address that is written out, or this machine. False: it has
 * to be looked for. */
bool resolve_at_once(str host, uint16_t port, struct addresses *out);

/* Tests: ask these servers instead ("127.0.0.1:5353"); NULL restores. Not while a lookup runs. */
void resolve_test_servers(const char *csv);

/* ---- dial.c ---------------------------------------------------------------------------------- */

#define DIAL_IN_BYTES (16 * KIB) /* and the longest line that can be read */

struct dial_tls;

/* A connection in the caller's memory (some 17 KiB). dial_init, then whatever, then dial_close. */
struct dial {
    int fd;               /* -1: none */
    struct dial_tls *tls; /* dial_tls.c's; NULL: plain */
    int cancel_fd;        /* once it can be read, every wait ends with AGAIN; -1: none */
    uint64_t deadline_ms; /* of the monotonic clock, for every call; may be moved between two */
    char peer[280];       /* "example.com:443", with which every message begins */
    size_t at, n;         /* in[at, n) was received and is not yet taken */
    char in[DIAL_IN_BYTES];
};

/* `cancel` (NULL: none) is borrowed until dial_close. */
void dial_init(struct dial *c, uint64_t deadline_ms, const struct http_cancel *cancel);
/* May be called twice; says goodbye to a TLS peer without waiting. */
void dial_close(struct dial *c);

/*
 * Looks `host` up and tries its addresses one after the other; each gets its share of the time that
 * is left, so that one that never answers does not keep the next from being tried. The error is that
 * of the last attempt: what resolve() says, TIMEOUT, IO (sys_errno: ECONNREFUSED, ...), LIMIT (no
 * file descriptor).
 */
MUST_CHECK enum err dial_open(struct dial *c, str host, uint16_t port, struct err_detail *d);

/* What messages call the peer from now on; dial_open does it, too. */
void dial_name_peer(struct dial *c, str host, uint16_t port);

/* All of it. CLOSED: the peer has gone; TIMEOUT, IO. */
MUST_CHECK enum err dial_write(struct dial *c, str bytes, struct err_detail *d);

/* What has come, at least one byte; waits for it if need be. It counts as taken, and is the caller's
 * to change until the next call. *n = 0: the peer has ended. CLOSED: it went without ending properly
 * (a reset; under TLS: no close_notify, so that what came may have been cut). LIMIT: TLS without
 * data. TIMEOUT, IO. */
MUST_CHECK enum err dial_read(struct dial *c, char **p, size_t *n, struct err_detail *d);

/* The next line, without its LF or CR LF; valid until the next call. CLOSED: the peer ended before
 * the line did. LIMIT: longer than DIAL_IN_BYTES. TIMEOUT, IO. */
MUST_CHECK enum err dial_line(struct dial *c, str *line, struct err_detail *d);

/* For dial_tls.c: until the socket can be read (or written), or the deadline: TIMEOUT. */
MUST_CHECK enum err dial_wait(struct dial *c, short events, const char *what, struct err_detail *d);

/* Whether such a wait would end at once, without one: AGAIN, TIMEOUT. */
MUST_CHECK enum err dial_look(const struct dial *c, const char *what, struct err_detail *d);

/* Milliseconds to the deadline for poll(): 0 when it has passed. */
int dial_left_ms(uint64_t deadline_ms);

/* ---- dial_tls.c ------------------------------------------------------------------------------ */

/* Where certificates of authorities lie: http_client_places(). */
void trust_places(http_place_fn *each, void *arg);

/*
 * TLS 1.2 at least on an open connection; all that was received must have been taken. The
 * certificate must lead to one of `trust`, which must not be NULL, and be good for `host`, a name or
 * an address. UNTRUSTED: it does not, and why; LIMIT: the handshake has no end; CLOSED, TIMEOUT, IO;
 * NOTFOUND, SYNTAX: the trusted certificates could not be loaded.
 */
MUST_CHECK enum err dial_start_tls(struct dial *c, struct http_trust *trust, str host,
                                   struct err_detail *d);

/* As recv and send on a TLS connection, blocking until the deadline: *got = 0 at the end. LIMIT: the peer
 * goes on sending what holds no data. */
MUST_CHECK enum err dial_tls_read(struct dial *c, char *p, size_t n, size_t *got,
                                  struct err_detail *d);
MUST_CHECK enum err dial_tls_write(struct dial *c, const char *p, size_t n, size_t *sent,
                                   struct err_detail *d);
void dial_tls_close(struct dial *c);

/* ---- target.c -------------------------------------------------------------------------------- */

struct target {
    bool tls;
    str host; /* without the brackets of an IPv6 address */
    uint16_t port;
    str path;     /* with its query; begins with '/' */
    str userinfo; /* "user:password", percent-encoded; or none */
};

/* An absolute http or https URL (RFC 3986; its fragment is dropped), or SYNTAX, UNSUPPORTED (another
 * scheme), NOMEM. Whatever is not visible ASCII is refused. Strings: the text's or the arena's. */
MUST_CHECK enum err target_parse(struct arena *a, str url, struct target *out,
                                 struct err_detail *d);
/* "user:password@host:port", all but the host optional: sets what is there. SYNTAX. */
MUST_CHECK enum err target_parse_authority(str authority, struct target *t, struct err_detail *d);
/* The URL that a Location of `from` means (RFC 3986, 5.2). Errors as above. */
MUST_CHECK enum err target_follow(struct arena *a, const struct target *from, str location,
                                  struct target *out, struct err_detail *d);
/* "example.com", "example.com:8080", "[::1]:8080": a Host header's value. STR_NONE: no memory. */
str target_authority(struct arena *a, const struct target *t, bool always_port);
/* Is it the same scheme, host and port? */
bool target_same_origin(const struct target *a, const struct target *b);

/* Is the host one of those in a no_proxy list? */
bool proxy_excluded(str no_proxy, const struct target *t);

/* ---- client_reply.c -------------------------------------------------------------------------- */

struct client_source { /* where an answer comes from, and what it may cost */
    struct dial *dial;
    struct arena *arena;
    size_t max_head_bytes, max_body_bytes;
    struct err_detail *detail;
};

/* The head of an answer. */
struct client_reply {
    int status;
    struct http_header *headers; /* the arena's */
    unsigned nheaders;
    bool chunked, has_length;
    uint64_t length; /* with has_length */
};

/* The next final answer's head, behind the interim ones; *out is set only
 * when all of it is there. CORRUPT: no HTTP answer; LIMIT: too large, too many headers or interim
 * answers; UNSUPPORTED: a transfer coding; NOMEM; those of dial_line. */
MUST_CHECK enum err client_read_head(const struct client_source *from, struct client_reply *out);
/* The body behind it, in the arena; "" where there is none (`head`: the method was HEAD). CORRUPT,
 * LIMIT, NOMEM; CLOSED: the peer ended inside of it; those of dial_read. */
MUST_CHECK enum err client_read_body(const struct client_source *from, const struct client_reply *r,
                                     bool head, str *out);
/* Visible characters, spaces, tabs, and what is not ASCII: what a header's value may hold. */
bool client_value_valid(str value);

/* ---- mail.c: see also http/smtp.h ------------------------------------------------------------ */

/* The name (or none) and the bare address in "Name <user@example.com>" or "user@example.com", both
 * slices of it; SYNTAX. */
MUST_CHECK enum err mail_address(str mailbox, str *name, str *address, struct err_detail *d);
bool mail_domain_valid(str domain);

#endif
