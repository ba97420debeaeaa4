/*
 * http/private.h - what the files of this room share. The public contract is http/http.h.
 *
 *     settings.c what the rows of settings.def mean for the options
 *     server.c   options, listening sockets, start and stop
 *     loop.c     one thread: epoll, time-outs, accepting, the queue of resumed requests
 *     conn.c     a connection's states, from its first byte to its close
 *     parse.c    the request head                    (pure: bytes in, answer out)
 *     chunked.c  the chunked body                    (pure)
 *     request.c  request and response objects, their memory, http_respond and http_resume
 *     send.c     response heads, gathering, partial writes
 *     sock.c     the plain transport
 *     tls.c      the TLS transport                   (with dial_tls.c the only user of mbedtls)
 *     url.c      percent-encoding and queries        (pure)
 *
 * The files that call other servers share http/outbound.h.
 *
 * All of a connection's state is touched by its loop's thread alone. What crosses threads: the
 * resume queue (loop.lock), the stop flag and the counters (atomics).
 */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include "base/list.h"
#include "http/http.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <sys/uio.h>

/* ---- parse.c: request heads -------------------------------------------------------------- */

enum parse_status { PARSE_DONE, PARSE_MORE, PARSE_BAD };

struct parse_limits {
    size_t max_head_bytes, max_target_bytes;
};

struct head {
    str method, target, path, query; /* into the buffer; as far as known when PARSE_BAD */
    unsigned minor;
    unsigned nheaders;
    size_t bytes;            /* of the head, its empty line included */
    uint64_t content_length; /* 0 when there is none */
    bool chunked, keep_alive, expect_continue;
    int status;         /* PARSE_BAD: what to answer */
    const char *reason; /* PARSE_BAD: a static sentence */
};

/*
 * Looks at the n bytes at p, of which the first `seen` were there at the last call (0 at first; it
 * only saves work). DONE: *h is filled, `headers` (room for HTTP_MAX_HEADERS) holds h->nheaders;
 * all point into p. MORE: call again with more bytes. BAD: answer h->status and close.
 */
enum parse_status parse_head(const char *p, size_t n, size_t seen,
                             const struct parse_limits *limits, struct http_header *headers,
                             struct head *h);

/* ---- chunked.c: chunked bodies ----------------------------------------------------------- */

enum chunked_status { CHUNKED_MORE, CHUNKED_DONE, CHUNKED_BAD };

struct chunked { /* zero-initialise */
    int state;
    uint64_t left;          /* bytes of the current chunk still to come */
    unsigned size_digits;   /* of the current size line */
    size_t extension_bytes; /* of the whole body so far */
    size_t trailer_bytes;
};

/*
 * Decodes the n bytes at p in place: the data found moves to p[0, *data_n). *used is what was eaten
 * of the n bytes: all of them unless DONE, when the rest belongs to the next request.
 */
enum chunked_status chunked_decode(struct chunked *d, char *p, size_t n, size_t *data_n,
                                   size_t *used);

/* ---- request.c: requests and their memory ------------------------------------------------ */

#define FIRST_CHUNK_BYTES (8 * KIB)  /* an arena's first chunk */
#define IN_SMALL_BYTES    (4 * KIB)  /* the input buffer of an ordinary request */
#define BODY_FIRST_BYTES  (15 * KIB) /* held for an announced body before its bytes have come */
#define BODY_TRUST        16         /* and then this many times what has come */
#define MAX_SPARES        64         /* of each kind that a loop keeps */

struct loop;
struct conn;

/* A request in work. Taken from the loop's spares when a head is complete (a slow head costs only
 * its input buffer), given back when the response is out. */
struct exchange {
    struct http_req req;
    struct conn *conn;
    struct exchange *next; /* among spares, or in the resume queue */
    bool responded;
    bool keep_alive, expect_continue;
    bool chunked;
    uint64_t content_length;
    size_t head_at; /* where the head begins in the input buffer */
    struct chunked decoder;
    struct buf body; /* in the arena; unused when the whole body came with its head */
    struct arena arena;
    struct http_header headers[HTTP_MAX_HEADERS];
    _Alignas(16) char first_chunk[FIRST_CHUNK_BYTES];
};

struct exchange *exchange_take(struct loop *l, struct conn *c); /* NULL: out of memory */
void exchange_give_back(struct loop *l, struct exchange *ex);
void exchange_free_spares(struct loop *l);

/* ---- transports -------------------------------------------------------------------------- */

/* What a transport answers beside a count of bytes (> 0). */
enum { IO_EOF = 0, IO_AGAIN = -1, IO_ERROR = -2 };

/* The way of a connection's bytes. All calls: non-blocking, loop only. */
struct transport {
    int (*handshake)(struct conn *c); /* 1: done, IO_AGAIN, IO_ERROR */
    ssize_t (*read)(struct conn *c, void *p, size_t n);
    /* Takes some of the bytes in order. After IO_AGAIN the next call brings the same bytes first.
     */
    ssize_t (*write)(struct conn *c, const struct iovec *v, int n);
    bool (*pending)(const struct conn *c); /* bytes are here although the socket may have none */
    void (*finish)(struct conn *c);  /* says goodbye (close_notify), as far as possible at once */
    void (*release)(struct conn *c); /* frees what the transport holds */
};
extern const struct transport transport_plain; /* sock.c */
extern const struct transport transport_tls;   /* tls.c */

/* The socket itself, with the connection's readable and writable marks kept up. */
ssize_t sock_read(struct conn *c, void *p, size_t n);
ssize_t sock_write(struct conn *c, const struct iovec *v, int n);

/* tls.c. The versions and suites that are good enough, for the connections of both directions. The
 * configuration keeps pointing to static memory. */
struct mbedtls_ssl_config;
void tls_set_policy(struct mbedtls_ssl_config *config);

/* One context a loop, so that no two threads share a key or a random generator. */
struct tls_context;
MUST_CHECK enum err tls_context_new(struct tls_context **out, const struct http_tls_options *o,
                                    struct err_detail *d);
void tls_context_free(struct tls_context *t);
MUST_CHECK enum err tls_conn_open(struct conn *c, struct tls_context *t); /* sets c->tls */

/* ---- connections ------------------------------------------------------------------------- */

/* What an epoll event points to. */
enum source { SOURCE_WAKE, SOURCE_LISTENER, SOURCE_CONN };

/* The states of a connection; conn.c opens with the table that says who moves them. */
#define CONN_STATES(X)                                                                             \
    X(HANDSHAKE)                                                                                   \
    X(IDLE)                                                                                        \
    X(HEAD)                                                                                        \
    X(BODY)                                                                                        \
    X(WORK)                                                                                        \
    X(SEND)                                                                                        \
    X(LINGER)                                                                                      \
    X(GONE)                                                                                        \
    X(CLOSED)

enum conn_state {
#define X(name) CONN_##name,
    CONN_STATES(X)
#undef X
};

/* One list a kind: all its members wait equally long, so that pushing at the end keeps it ordered.
 */
enum timer_kind {
    TIMER_NONE,
    TIMER_IDLE,
    TIMER_HEAD,
    TIMER_BODY,
    TIMER_SEND,
    TIMER_LINGER,
    TIMERS
};

struct conn {
    enum source source; /* first: see enum source */
    enum conn_state state;
    int fd; /* -1 once closed */
    enum timer_kind timer_kind;
    struct loop *loop;
    const struct transport *transport;
    struct tls_conn *tls;   /* tls.c's, or NULL */
    struct list_node all;   /* in loop->conns, or among the dead or free ones */
    struct list_node timer; /* in loop->timers[timer_kind] */
    struct list_node ready; /* in loop->ready, when work is left without an event to come */
    uint64_t deadline_ms;
    struct exchange *ex;

    /* Input: [in_start, in_end) of `in` is not yet consumed. No buffer while idle. */
    char *in;
    size_t in_start, in_end, in_cap;
    size_t in_seen; /* the parser has looked at that many bytes behind in_start */

    /* Output still to be sent, in this order: out[out_at..], the loop's gathered bytes, body_rest.
     */
    struct buf out;
    size_t out_at;
    str body_rest;

    bool is_tls;
    bool readable, writable; /* not known to be empty/full: edge-triggered epoll reports changes */
    bool read_hup;           /* the peer has ended its side: read on until end of file */
    bool close_after;        /* close behind the response in work */
    bool unread;             /* bytes of the peer may be on their way: linger before closing */
    char peer[46];
};

void conn_open(struct loop *l, int fd, const char *peer, bool tls); /* takes fd */
void conn_event(struct conn *c, unsigned epoll_events);
void conn_run(struct conn *c); /* goes on as far as possible */
void conn_resumed(struct exchange *ex);
void conn_timed_out(struct conn *c);
void conn_stop(struct conn *c);      /* the loop is stopping: close what is idle */
void conn_cut(struct conn *c);       /* the stop time-out is over */
void conn_free_dead(struct loop *l); /* recycles the closed ones, when no event can name them */
void conn_free_spares(struct loop *l);

/* send.c */
bool send_response(struct conn *c);           /* queues ex->req.res; false: close */
bool send_interim(struct conn *c, str bytes); /* queues an interim response; false: close */
int send_flush(struct conn *c);               /* 1: all is out, IO_AGAIN, IO_ERROR */
bool send_may_gather(const struct conn *c);   /* what is queued may wait for more */
void send_drop(struct conn *c);               /* forgets what is queued */
void send_clock(struct loop *l);              /* renews the Date line when the second changed */

/* ---- loops ----------------------------------------------------------------------------------- */

#define OUT_BYTES     (64 * KIB)  /* gathered output of the connection that is being run */
#define OUT_MAX_BYTES (256 * KIB) /* unsent heads and small bodies of a connection */

struct listener {
    enum source source; /* first */
    int fd;
    bool is_tls, is_unix;
};

struct conn_slab;

struct loop {
    struct http_server *server;
    unsigned index;
    int epoll_fd, wake_fd;
    enum source wake_source;
    bool running; /* the thread exists */
    pthread_t thread;
    void *ctx; /* the application's */
    struct tls_context *tls;
    struct listener *listeners;
    unsigned nlisteners;
    bool accept_paused; /* out of descriptors: retried when one is closed, or after a while */
    bool accept_warned; /* said so in the log, and none was accepted since */
    uint64_t accept_retry_ms;
    bool stopping, cut; /* cut: the time for stopping is over */
    uint64_t stop_deadline_ms;
    uint64_t now_ms; /* monotonic, as of the last return of epoll_wait */

    struct list_node conns, ready, dead;
    struct list_node timers[TIMERS];
    struct conn *current; /* whose handler is being run */
    struct list_node free_conns;
    struct conn_slab *slabs;
    struct exchange *spare_exchanges;
    unsigned nspare_exchanges;
    void *spare_inputs; /* of IN_SMALL_BYTES, linked through their first word */
    unsigned nspare_inputs;
    uint64_t timer_ms[TIMERS];
    struct arena_spares arena_spares;

    int64_t date_second;
    size_t date_n;
    char date[256]; /* "Date: ...\r\nServer: ...\r\n" */
    size_t out_n;
    char *out; /* OUT_BYTES */

    pthread_mutex_t lock; /* guards the queue below */
    struct exchange *resumed_head, **resumed_tail;

    atomic_uint_fast64_t n_connections, n_requests, n_refused;
};

void loop_prepare(struct loop *l, struct http_server *s, unsigned index); /* cannot fail */
MUST_CHECK enum err loop_open(struct loop *l, struct err_detail *d);      /* listeners are there */
void loop_fini(struct loop *l); /* prepared, and the thread joined or never started */
void *loop_main(void *loop);    /* the thread */
void loop_wake(struct loop *l); /* any thread */
void loop_resume(struct loop *l, struct exchange *ex); /* any thread */
void loop_timer_start(struct loop *l, struct conn *c, enum timer_kind kind);
void loop_timer_stop(struct conn *c);
void loop_make_ready(struct loop *l, struct conn *c);
void loop_conn_closed(struct loop *l); /* a descriptor is free again */

static inline void loop_count(atomic_uint_fast64_t *counter) /* one writer: the loop */
{
    uint_fast64_t v = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, v + 1, memory_order_relaxed);
}

/* ---- server ---------------------------------------------------------------------------------- */

struct binding { /* what listen[i] became */
    uint16_t port;
    char *unix_path; /* owned; NULL for TCP */
    dev_t dev;       /* of the socket file, so that only our own is removed */
    ino_t ino;
};

struct http_server {
    struct http_options opt; /* with the defaults filled in; listen and tls are not kept */
    struct parse_limits limits;
    size_t in_large_bytes; /* of an input buffer that holds the largest head and more */
    char *server_name;
    struct binding *bindings;
    unsigned nbindings;
    struct loop *loops;
    unsigned nloops;
    atomic_bool stopping;
    atomic_uint open_connections;
    pthread_mutex_t lock; /* guards what follows: the loops report their start */
    pthread_cond_t started;
    unsigned nstarted, nfailed;
};

void server_loop_started(struct http_server *s, bool ok);

#endif
