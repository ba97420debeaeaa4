/*
 * http/private.h - what the files of this room share. The public contract is http/http.h.
 *
 *     settings.c what the rows of settings.def mean for the options
 *     server.c   options, start and stop
 *     listen.c   addresses, and the sockets that listen on them
 *     loop.c     one thread: epoll, time-outs, accepting, the queue of resumed requests
 *     look.c     looking for events without sleeping
 *     conn.c     a connection's states, from its first byte to its close
 *     receive.c  bytes become a request: input buffers, head, body, refusals
 *     scarce.c   too little for all: who makes room, and who is ended
 *     parse.c    the request head                    (pure: bytes in, answer out)
 *     chunked.c  the chunked body                    (pure)
 *     request.c  request and response objects, their memory, http_respond and http_resume
 *     network.c  the networks that have connections, and what they hold together
 *     send.c     response heads, gathering, partial writes
 *     sock.c     the plain transport
 *     tls.c      the TLS transport, handshakes       (http/tls.h: who stands on mbedtls)
 *     tls_context.c  certificates and keys
 *     redirect.c http to https                       (pure)
 *     url.c      percent-encoding and queries        (pure)
 *     gzip.c     the content coding                  (http/gzip.h)
 *     mbedtls_certs.c  test certificates, left out of the library
 *
 * The files that call other servers share http/outbound.h.
 *
 * All of a connection's state is touched by its loop's thread alone, but a TLS session in the middle
 * of its handshake (tls.c). What crosses threads: the queue of arrivals (loop.lock), networks (networks.lock, atomics),
 * and atomics: the stop flag, the next TLS context, the counters, what tells whether a loop turns (asked, turned) or is
 * kept from running (asleep, cpu), and who posts to it.
 */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include "base/list.h"
#include "base/net.h"
#include "base/os.h"
#include "base/pool.h"
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
/* Of the chunk whose size is known, bytes still to come; 0 between two. */
uint64_t chunked_left(const struct chunked *d);

/* ---- request.c: requests and their memory ------------------------------------------------ */

#define FIRST_CHUNK_BYTES (8 * KIB)  /* an arena's first chunk */
#define IN_SMALL_BYTES    (4 * KIB)  /* the input buffer of an ordinary request */
#define BODY_FIRST_BYTES  (15 * KIB) /* held for an announced body before its bytes have come */
#define BODY_TRUST        16         /* and then this many times what has come */
#define MAX_SPARES        64         /* of each kind that a loop keeps */

struct loop;
struct conn;

/* Something that another thread hands to a loop (loop_post). Part of what it is about. */
struct arrival {
    struct arrival *next;              /* the loop's */
    void (*arrive)(struct arrival *a); /* on the loop's thread */
};

/* A request in work. Taken from the loop's spares when a head is complete (a slow head costs only
 * its input buffer), given back when the response is out. */
struct exchange {
    struct http_req req;
    struct conn *conn;
    struct exchange *next; /* among spares */
    struct arrival resumed;
    bool responded;
    atomic_bool gone; /* the connection is GONE */
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

struct exchange *exchange_take(struct conn *c); /* NULL: out of memory */
void exchange_drop(struct conn *c);             /* the one that it has, if any */
void exchange_free_spares(struct loop *l);

/* ---- network.c: who is connected --------------------------------------------------------- */

#define NETWORK_BUCKETS 4096

struct network { /* exists as long as it has connections */
    struct network *next;
    uint64_t number;         /* net_network() of its peers */
    atomic_uint connections; /* and those closed whose request is still in work */
    struct purse purse;      /* what these hold beyond their fixed parts; inside the server's */
};

struct networks {
    struct purse *all;
    pthread_mutex_t lock;
    struct network *buckets[NETWORK_BUCKETS];
};

void networks_init(struct networks *n, struct purse *all);
void networks_fini(struct networks *n); /* all have left */
/* The network of a peer (base/net.h) has one connection more; any thread. NULL: it has `most` already (0: any
 * number), or there is no memory. */
struct network *network_enter(struct networks *n, str peer, unsigned most);
void network_leave(struct networks *n, struct network *one); /* what it held is given back */
static inline unsigned network_connections(const struct network *one)
{
    return atomic_load_explicit(&one->connections, memory_order_relaxed);
}

/* ---- transports -------------------------------------------------------------------------- */

/* What a transport answers beside a count of bytes (> 0). */
enum { IO_EOF = 0, IO_AGAIN = -1, IO_ERROR = -2 };

/* The way of a connection's bytes. All calls: non-blocking, loop only. */
struct transport {
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

/* ---- tls_context.c: certificates and keys ------------------------------------------------ */

/* The PEM files of the settings, read once and parsed for each loop; only while that is done. */
struct tls_files;
/* `read`: at the start a key may come through a pipe (os_read_file); later nobody waits for one
 * (os_read_regular). */
MUST_CHECK enum err tls_files_read(struct tls_files **out, const struct http_tls_options *o,
                                   os_read_fn *read, struct err_detail *d);
void tls_files_free(struct tls_files *f); /* NULL is fine */

/* What lets clients come back without a full handshake: one for all loops, with locks of its own. */
struct tls_tickets;
MUST_CHECK enum err tls_tickets_new(struct tls_tickets **out, struct err_detail *d);
void tls_tickets_free(struct tls_tickets *t); /* NULL is fine */

/* One context a loop, so that no two threads compute with one key. It is counted who uses it: its loop's
 * thread alone holds and releases, but the maker, who releases what no loop has got. */
struct tls_context;
MUST_CHECK enum err tls_context_new(struct tls_context **out, const struct tls_files *f,
                                    struct tls_tickets *tickets, struct err_detail *d);
struct tls_context *tls_context_hold(struct tls_context *t);
void tls_context_release(struct tls_context *t); /* NULL is fine */
/* A line for each certificate, with its end; a warning if it is not valid now. */
void tls_context_log(const struct tls_context *t, const struct tls_files *f);

/* ---- tls.c: handshakes ------------------------------------------------------------------- */

#define TLS_SESSION_BYTES                                                                          \
    (48 * KIB) /* what one holds at most: buffers for two records, keys, a handshake */

/* The thread that computes the handshakes of a loop; its owner frees it with pool_free. */
MUST_CHECK enum err tls_pool_new(struct pool **out, struct err_detail *d);

enum tls_turn {
    TLS_WAIT,  /* for the peer */
    TLS_BEGUN, /* a thread is at it; conn_shaken() will be called */
    TLS_NONE,  /* the peer does not speak TLS, but perhaps HTTP; nothing was read */
    TLS_FAILED
};
/* The next piece of the connection's handshake, if it is our turn. */
enum tls_turn tls_handshake_begin(struct conn *c);
/* It has begun (TLS_BEGUN), but only waits for the thread so far: nothing has been spent on it. (By the
 * time that one knows, it may be otherwise.) */
bool tls_waits(const struct conn *c);
/* It has begun and is for nobody any more. True: the thread had not come to it, and will not; the session
 * is the loop's. False: conn_shaken() will be called soon, with IO_ERROR. */
bool tls_abandon(struct conn *c);

/* ---- redirect.c -------------------------------------------------------------------------- */

/* Where the same thing is on https, in the arena: the host is `fixed` ("example.org" or "example.org:8443",
 * used as it is), or if that is none the one of the Host header with `port` (0: it is not known, and left
 * out). SYNTAX: the Host header names no host that can be reached, perhaps one that would make a different
 * URL of it; NOMEM. */
MUST_CHECK enum err redirect_location(struct arena *a, str fixed, str host_header, uint16_t port,
                                      str target, str *out);

/* ---- connections ------------------------------------------------------------------------- */

/* What an epoll event points to. */
enum source { SOURCE_WAKE, SOURCE_LISTENER, SOURCE_CONN };

/* The states of a connection; conn.c opens with the table that says who moves them. */
#define CONN_STATES(X)                                                                             \
    X(HANDSHAKE)                                                                                   \
    X(CRYPTO)                                                                                      \
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

/* What a connection is for; a listener's, which its connections inherit. */
enum use {
    USE_SERVE,
    USE_SERVE_TLS,
    USE_REDIRECT,  /* plain: each request is sent to https */
    USE_WRONG_PORT /* began as USE_SERVE_TLS, but speaks plain HTTP: is told so */
};

struct conn {
    enum source source; /* first: see enum source */
    enum use use;
    enum conn_state state;
    int fd; /* -1 once closed */
    enum timer_kind timer_kind;
    struct loop *loop;
    const struct transport *transport;
    struct tls_conn *tls;    /* tls.c's, or NULL */
    struct list_node all;    /* in loop->conns, or among the dead or free ones */
    struct list_node timer;  /* in loop->timers[timer_kind] */
    struct list_node ready;  /* in loop->ready, when work is left without an event to come */
    struct network *network; /* of `peer` */
    /* In the purse of the network: arena, large input, `out`, TLS session. */
    struct purse_holder held;
    uint64_t deadline_ms;
    /* Bytes given to the socket, ever (of TLS: records; but those of the handshake). */
    uint64_t sent;
    /* Of these, at the last look: not in the kernel's queue, which counts generously. */
    int64_t reached;
    /* A body on its way, or a response; before the first of them the connection: */
    uint64_t phase_ms;   /* since when */
    uint64_t phase_sent; /* `sent` then */
    uint64_t received;   /* of the body */
    size_t due;          /* so many bytes more, and the time-out begins anew */
    struct exchange *ex;

    /* Input: [in_start, in_end) of `in` is not yet consumed. No buffer while idle. */
    char *in;
    size_t in_start, in_end, in_cap;
    size_t in_seen; /* the parser has looked at that many bytes behind in_start */

    /* Output still to be sent, in this order: out[out_at..], the loop's gathered bytes, body_rest.
     */
    struct buf out;
    size_t out_at;
    size_t out_taken; /* of the purse, for `out` */
    str body_rest;

    bool readable, writable; /* not known to be empty/full: edge-triggered epoll reports changes */
    bool read_hup;           /* the peer has ended its side: read on until end of file */
    bool hung_up;            /* and ours has an end, too: no one is left to be answered */
    bool close_after;        /* close behind the response in work */
    bool unread;             /* bytes of the peer may be on their way: linger before closing */
    char peer[INET6_ADDRSTRLEN];
};

/* What a step of a connection answers. */
enum step {
    NEXT, /* look at the state again */
    WAIT  /* for an event, a time-out or a resumption */
};

/* Takes fd, and the network's connection. */
void conn_open(struct loop *l, int fd, const char *peer, struct network *network, enum use use);
void conn_event(struct conn *c, unsigned epoll_events);
void conn_run(struct conn *c);               /* goes on as far as possible */
void conn_resumed(struct arrival *exchange); /* see http_resume */
/* The thread is through with this turn of the handshake: 1 all of it is done, IO_AGAIN it is the peer's
 * turn, IO_ERROR. */
void conn_shaken(struct conn *c, int result);
void conn_timed_out(struct conn *c);
void conn_stop(struct conn *c);      /* the loop is stopping: close what is idle */
void conn_free_dead(struct loop *l); /* recycles the closed ones, when no event can name them */
void conn_free_spares(struct loop *l);
/* Its socket; a parked request stays until it is resumed. While a thread is at its handshake, behind that. */
void conn_close(struct conn *c);
enum step conn_closed(struct conn *c); /* the same, as the end of a step */
/* The peer says no more: what waits goes out, then the end; c->ex may be gone. */
enum step conn_ended(struct conn *c);
void conn_phase_begin(struct conn *c); /* it begins; a body to come, or a response to go */
const char *conn_state_name(const struct conn *c);

/* ---- receive.c: bytes become a request ------------------------------------------------------- */

enum step receive_head(struct conn *c); /* IDLE, HEAD */
enum step receive_body(struct conn *c); /* BODY */
/* The server itself answers, and closes behind the answer. `reason` is a static sentence. */
enum step receive_refuse(struct conn *c, int status, const char *reason);
/* For the body, or what is made of the head: 503. What came of a body goes first. */
enum step receive_no_memory(struct conn *c);
void receive_release(struct conn *c); /* the input buffer, with what is in it; none is fine */

/* ---- scarce.c: too little for all ------------------------------------------------------------ */

/* What there can be too little of. */
enum scarce { SCARCE_CONNECTIONS, SCARCE_MEMORY };

/* Closes one connection of this loop that can be spared for one of `network` (NULL: it is not known of
 * whom), never that one itself: it is in none of the lists, or (MEMORY) holds nothing. False: there is
 * none. */
bool scarce_make_room(struct loop *l, const struct network *network, enum scarce what);
/* Memory is short, and this one is ended for it, or gets none: so the log says, now and then. */
void scarce_tell(const struct conn *c);
/* In each turn: ends the request that holds most memory for the least, if there is too little left; gives
 * memory back to the system when much of it has not been needed for a while. */
void scarce_check(struct loop *l);
/* When that is to be done again; UINT64_MAX: by no time. */
uint64_t scarce_next_ms(const struct loop *l);
MUST_CHECK enum err scarce_open(struct http_server *s); /* before the loops run. NOMEM */
void scarce_close(struct http_server *s);               /* when none does any more */

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
    enum use use;
    bool is_shared; /* every loop has a duplicate of one socket, which listens already */
};

/* ---- look.c ---------------------------------------------------------------------------------- */

struct look {
    uint64_t ns; /* so long there is a reason to; 0: there is none */
    uint64_t paused_until_ns, pause_ns;
};

/* As epoll_wait(), for look->ns at most. 0: there were none, or it is no time to look. */
struct epoll_event;
int look_for_events(struct look *look, int epoll_fd, struct epoll_event *events, int most);

/* ---- loop.c, its state ----------------------------------------------------------------------- */

struct conn_slab;

struct loop {
    struct http_server *server;
    unsigned index;
    int epoll_fd, wake_fd;
    enum source wake_source;
    bool running; /* the thread exists */
    pthread_t thread;
    void *ctx;                              /* the application's */
    struct tls_context *tls;                /* of new connections; NULL: no TLS */
    _Atomic(struct tls_context *) next_tls; /* was loaded anew: to be taken over */
    struct pool *handshakes;                /* NULL: no TLS */
    struct listener *listeners;
    unsigned nlisteners;
    bool accept_paused; /* out of descriptors: retried when one is closed, or after a while */
    bool accept_warned; /* said so in the log, and none was accepted since */
    uint64_t accept_retry_ms;
    bool stopping, cut; /* cut: the time for stopping is over */
    uint64_t stop_deadline_ms;
    atomic_uint turned; /* server->asked, as of the last turn */
    atomic_bool asleep; /* it waits for events, or looks for them */
    struct look look;
    atomic_int cpu;  /* that it ran on when it began its turn */
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
    size_t timer_bytes[TIMERS]; /* that have to move in that time; 0: no matter */
    uint64_t short_checked_ms;  /* when it was last looked whether memory is short */
    uint64_t short_told_ms;     /* when the log was told; 0: never */
    uint64_t slack_ms;          /* since when there is memory to give back; 0: there is none */
    bool queue_told;            /* the log was told that nobody knows what readers take */
    struct arena_spares arena_spares;

    int64_t date_second;
    size_t date_n;
    char date[256]; /* "Date: ...\r\nServer: ...\r\n" */
    size_t out_n;
    char *out; /* OUT_BYTES */

    pthread_mutex_t lock; /* guards the queue below */
    struct arrival *arrived_head, **arrived_tail;
    atomic_uint posting; /* so many threads are in loop_post */

    struct arrival spare; /* others ask it to spare a connection: for which enum scarce, as bits */
    atomic_uint spare_for;

    atomic_uint_fast64_t n_connections, n_requests, n_refused;
};

void loop_prepare(struct loop *l, struct http_server *s, unsigned index); /* cannot fail */
MUST_CHECK enum err loop_open(struct loop *l, struct err_detail *d);      /* listeners are there */
void loop_fini(struct loop *l); /* prepared, and the thread joined or never started */
void *loop_main(void *loop);    /* the thread */
void loop_wake(struct loop *l); /* any thread */
void loop_post(struct loop *l, struct arrival *a); /* any thread; a->arrive will be called */
void loop_timer_start(struct conn *c, enum timer_kind kind);
void loop_timer_stop(struct conn *c);
void loop_make_ready(struct conn *c);
void loop_conn_closed(struct loop *l); /* a descriptor is free again */
/* Each of the other loops closes one connection that it can spare, soon. */
void loop_ask_others(struct loop *l, enum scarce what);

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

struct slack {         /* memory that was released, and which the heap may still hold (scarce.c) */
    struct pool *pool; /* of the thread that gives it back */
    struct pool_job job;
    atomic_bool at_work; /* the job is the pool's */
    atomic_size_t most;  /* that was taken of the purse since the last time */
};

struct http_server {
    struct http_options opt; /* with the defaults filled in; listen, tls and texts are not kept */
    struct parse_limits limits;
    size_t in_large_bytes;             /* of an input buffer that holds the largest head and more */
    char *server_name, *redirect_host; /* NULL: none */
    uint16_t tls_port;                 /* where redirections go to */
    struct tls_tickets *tickets;       /* NULL: no TLS */
    char hsts[80];                     /* a line of each head over TLS, or "" */
    struct binding *bindings;
    unsigned nbindings;
    int *probes; /* sockets that keep others from the ports until the loops listen there */
    unsigned nprobes;
    struct loop *loops;
    unsigned nloops;
    atomic_bool stopping;
    atomic_uint open_connections;
    atomic_uint passed_on;  /* newcomers on their way from loop to loop */
    unsigned max_passed_on; /* of these; they are in no other count */
    struct purse purse;     /* what all requests hold beyond their fixed parts */
    struct slack slack;
    struct networks networks;
    atomic_uint asked;    /* for a turn of the loops: so many times */
    pthread_mutex_t lock; /* guards what follows: the loops report their start */
    pthread_cond_t started;
    unsigned nstarted, nfailed;
};

void server_loop_started(struct http_server *s, bool ok);
/* A loop of the caller's processor has been woken and has not begun to run; or, with `awake`, has not come to its end. */
bool server_has_loop_due(const struct http_server *s, bool awake);

/* ---- listen.c: addresses and sockets --------------------------------------------------------- */

/* Binds all of o->listen, for each loop; what TCP is does not listen yet. What is made stays the server's,
 * whatever comes out. */
MUST_CHECK enum err listen_all(struct http_server *s, const struct http_options *o,
                               struct err_detail *d);
MUST_CHECK enum err listen_start(struct http_server *s, struct err_detail *d); /* now all listen */
void listen_close_probes(struct http_server *s);
/* A Unix socket's file: to another user, and away (if it is still the one that was bound). */
MUST_CHECK enum err listen_give(const struct binding *b, uid_t uid, gid_t gid,
                                struct err_detail *d);
void listen_remove(const struct binding *b);

#endif
