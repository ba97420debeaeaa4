/*
 * http/tls.c - TLS over mbedtls (2.28 and 3.x), as one more transport, and its handshakes.
 *
 * The expensive part of TLS is the handshake: milliseconds of computing, where a request takes
 * microseconds. So the loops do none. Each loop has a pool of one thread (of lower priority) that
 * does it for its connections; they wait there in lanes by their networks (base/pool.h), so that who
 * sends a thousand of them waits behind himself, and who comes for the first time before all of those.
 *
 *     loop    tls_handshake_begin(): the peer has sent something -> job        conn: CRYPTO
 *     pool    mbedtls_ssl_handshake() until it wants more from the peer, is done, or fails; reads and
 *             writes the socket itself
 *     loop    handshake_over(): conn_shaken(): waits for the peer's next bytes, or serves, or closes
 *
 * While the job is there, the session and the socket are the pool's: the loop does not touch them. It can
 * have them back as long as the job only waits; once it runs, the loop closes only behind it (tls_abandon).
 * Contexts: tls_context.c.
 *
 * A connection that has sent nothing yet has no session: until then it costs what a plain one does.
 *
 * mbedtls asks for a record in two pieces (its header, then the rest). A small read-ahead buffer
 * makes that one system call; what lies in it is why a transport has pending().
 *
 * A record need not hold data (alerts that mean nothing, refused wishes), and mbedtls reads on until one
 * does. So each read has a share of the loop's turn, and who sends nothing but such records is gone soon
 * (struct tls_intake). A handshake has the thread for itself, and no turns: its bytes are its end.
 *
 * Writing: a record that was not taken whole stays inside mbedtls, which wants the same bytes shown
 * again until it is through; `retry_n` remembers how many. The queue of send.c brings the same
 * bytes first anyway.
 */
#include "http/tls.h"
#include "base/log.h"
#include "base/pool.h"
#include "http/private.h"

#include <errno.h>
#include <mbedtls/error.h>
#include <sys/socket.h>

#define AHEAD_BYTES      (4 * KIB)
#define RECORD_BYTES     (16 * KIB) /* the most that one record holds */
#define RECORD_HANDSHAKE 0x16       /* the first byte of whoever speaks TLS (RFC 8446, 5.1) */
#define HANDSHAKE_BYTES  (32 * KIB) /* from the peer; a ClientHello and what follows need a few */
#define NICENESS         5          /* of handshakes: a third of a busy core, beside a loop */

#ifndef MBEDTLS_PRIVATE /* around fields for which 3 has no function; 2 knows no such thing */
#define MBEDTLS_PRIVATE(field) field
#endif

struct tls_conn {
    mbedtls_ssl_context ssl;
    struct tls_context *context; /* held */
    struct conn *conn;
    int fd;
    atomic_bool begun;     /* with the job: it does not only wait any more */
    atomic_bool abandoned; /* by the loop, while the job is there */
    bool ready;            /* the handshake is done */
    bool waits_write;      /* in the handshake: for room in the socket, not for the peer's bytes */
    int result;            /* of the last job: 1 done, IO_AGAIN, IO_ERROR */
    bool went_on;          /* its one turn before all others has been asked for */
    struct tls_intake intake; /* of which a turn is one read; the handshake has none */
    struct pool_job job;
    struct arrival arrival;
    size_t retry_n; /* of an unfinished mbedtls_ssl_write; 0: none */
    size_t ahead_at, ahead_n;
    unsigned char ahead[AHEAD_BYTES];
};

/* ---- the socket as mbedtls sees it ----------------------------------------------------------- */

/* On the loop: by way of the connection, whose marks say what the socket has. */

static int loop_send(struct tls_conn *t, const unsigned char *p, size_t n)
{
    struct iovec v = {(void *)(uintptr_t)p, n};
    ssize_t r = sock_write(t->conn, &v, 1);

    if (r == IO_AGAIN)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

static int loop_recv(struct tls_conn *t, unsigned char *p, size_t n)
{
    ssize_t r;

    if (tls_intake_full(&t->intake)) {
        log_event(LOG_DEBUG, "tls_no_data", "peer=%s bytes=%zu", t->conn->peer, t->intake.vain_n);
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    }
    r = sock_read(t->conn, p, n);
    tls_intake_add(&t->intake, r);
    if (r == IO_AGAIN)
        return MBEDTLS_ERR_SSL_WANT_READ;
    return r < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : (int)r;
}

/* On the pool: the socket itself, since the connection's marks are the loop's. */
static int pool_recv(struct tls_conn *t, unsigned char *p, size_t n)
{
    int r;

    if (tls_intake_full(&t->intake))
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    r = tls_socket_recv(t->fd, p, n);
    tls_intake_add(&t->intake, r);
    return r;
}

static int recv_ahead(void *arg, unsigned char *p, size_t n)
{
    struct tls_conn *t = arg;
    int (*receive)(struct tls_conn *, unsigned char *, size_t) = t->ready ? loop_recv : pool_recv;
    size_t take;

    n = MIN_OF(n, (size_t)INT_MAX);
    if (t->ready && !tls_intake_call(&t->intake))
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (t->ahead_at == t->ahead_n) {
        int r;
        if (n >= AHEAD_BYTES)
            return receive(t, p, n);
        r = receive(t, t->ahead, AHEAD_BYTES);
        if (r <= 0)
            return r;
        t->ahead_at = 0;
        t->ahead_n = (size_t)r;
    }
    take = MIN_OF(n, t->ahead_n - t->ahead_at);
    memcpy(p, t->ahead + t->ahead_at, take);
    t->ahead_at += take;
    return (int)take;
}

static int send_bytes(void *arg, const unsigned char *p, size_t n)
{
    struct tls_conn *t = arg;

    return t->ready ? loop_send(t, p, n) : tls_socket_send(t->fd, p, n);
}

/* ---- handshakes ------------------------------------------------------------------------------ */

static void log_failure(const struct tls_conn *t, int r)
{
    char text[128];

    if (!log_enabled(LOG_DEBUG))
        return;
    mbedtls_strerror(r, text, sizeof text);
    log_event(LOG_DEBUG, "tls_handshake_failed", "peer=%s reason=\"%s\"", t->conn->peer, text);
}

/* On the pool. */
static void shake(struct pool_job *job, bool dropped)
{
    struct tls_conn *t = CONTAINER_OF(job, struct tls_conn, job);
    atomic_store_explicit(&t->begun, true, memory_order_relaxed);
    bool vain = dropped || atomic_load(&t->abandoned);
    int r = vain ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : mbedtls_ssl_handshake(&t->ssl);

    t->waits_write = r == MBEDTLS_ERR_SSL_WANT_WRITE;
    t->result = r == 0 ? 1 : tls_wants_more(r) ? IO_AGAIN : IO_ERROR;
    if (t->result == IO_ERROR)
        log_failure(t, r);
    loop_post(t->conn->loop, &t->arrival);
}

/* On the loop. */
static void handshake_over(struct arrival *a)
{
    struct tls_conn *t = CONTAINER_OF(a, struct tls_conn, arrival);

    t->ready = t->result == 1;
    if (t->ready)
        tls_intake_useful(&t->intake);
    conn_shaken(t->conn, t->result);
}

/* Sessions that lie idle make room for new ones. */
static bool pay_session(struct conn *c)
{
    if (purse_holder_take(&c->held, TLS_SESSION_BYTES))
        return true;
    if (scarce_make_room(c->loop, c->network, SCARCE_MEMORY))
        return purse_holder_take(&c->held, TLS_SESSION_BYTES);
    loop_ask_others(c->loop, SCARCE_MEMORY); /* too late for this one */
    return false;
}

static bool open_session(struct conn *c)
{
    struct tls_conn *t;

    if (!pay_session(c)) {
        loop_count(&c->loop->n_refused);
        scarce_tell(c);
        return false;
    }
    t = calloc(1, sizeof *t);
    if (t == NULL) {
        purse_holder_give_back(&c->held, TLS_SESSION_BYTES);
        return false;
    }
    t->conn = c;
    t->fd = c->fd;
    t->job.run = shake;
    t->arrival.arrive = handshake_over;
    t->context = tls_context_hold(c->loop->tls);
    tls_intake_begin(&t->intake, HANDSHAKE_BYTES);
    c->tls = t;
    mbedtls_ssl_init(&t->ssl);
    if (tls_context_setup(t->context, &t->ssl) != 0)
        return false; /* tls_release() frees it */
    mbedtls_ssl_set_bio(&t->ssl, t, send_bytes, recv_ahead, NULL);
    return true;
}

/* The first byte that waits in the socket, which stays there: 1, or as a transport reads. */
static ssize_t peek(struct conn *c, unsigned char *first)
{
    ssize_t r;

    do
        r = recv(c->fd, first, 1, MSG_PEEK);
    while (r < 0 && errno == EINTR);
    if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        c->readable = false;
        return IO_AGAIN;
    }
    return r < 0 ? IO_ERROR : r;
}

/* What does the peer begin with? */
static enum tls_turn first_byte(struct conn *c)
{
    unsigned char first;
    ssize_t r = peek(c, &first);

    if (r <= 0)
        return r == IO_AGAIN ? TLS_WAIT : TLS_FAILED;
    if (first == RECORD_HANDSHAKE)
        return TLS_BEGUN;
    return first >= 'A' && first <= 'Z' ? TLS_NONE : TLS_FAILED;
}

/* Is there something for the next turn? What came while the last one waited for the thread that one has read,
 * and an event told of it all the same. */
static bool has_news(struct conn *c)
{
    unsigned char first;

    if (c->tls->waits_write)
        return c->writable;
    return c->readable && peek(c, &first) != IO_AGAIN;
}

/*
 * The keys of an answer have been computed, and are in vain without the peer's next message: its turn comes before
 * others. But once: who means it needs no more of them. And not before, whatever he has sent: a message that
 * comes in pieces, or (TLS 1.3) one that is asked for again, has cost next to nothing.
 */
static bool goes_on(struct tls_conn *t)
{
    if (t->went_on || t->ssl.MBEDTLS_PRIVATE(state) <= MBEDTLS_SSL_CLIENT_HELLO)
        return false;
    t->went_on = true;
    return true;
}

enum tls_turn tls_handshake_begin(struct conn *c)
{
    enum err (*submit)(struct pool *, struct pool_job *, uint64_t);

    if (c->tls == NULL) {
        enum tls_turn turn = c->readable ? first_byte(c) : TLS_WAIT;
        if (turn != TLS_BEGUN)
            return turn;
        if (!open_session(c))
            return TLS_FAILED;
    } else if (!has_news(c)) {
        return TLS_WAIT;
    }
    /* Whatever the socket reports from here on may be news to the job. */
    c->readable = c->writable = false;
    atomic_store_explicit(&c->tls->begun, false, memory_order_relaxed);
    submit = goes_on(c->tls) ? pool_go_on : pool_submit;
    if (submit(c->loop->handshakes, &c->tls->job, c->network->number) != OK)
        return TLS_FAILED;
    return TLS_BEGUN;
}

bool tls_waits(const struct conn *c)
{
    return !atomic_load_explicit(&c->tls->begun, memory_order_relaxed);
}

bool tls_abandon(struct conn *c)
{
    if (pool_take_back(c->loop->handshakes, &c->tls->job))
        return true;
    atomic_store(&c->tls->abandoned, true);
    (void)shutdown(c->fd, SHUT_RDWR); /* the next look at the socket is the last */
    return false;
}

enum err tls_pool_new(struct pool **out, struct err_detail *d)
{
    /* Connections are what bounds the jobs. */
    const struct pool_options o = {
        .threads = 1, .max_jobs = SIZE_MAX, .max_a_lane = SIZE_MAX, .niceness = NICENESS};

    return pool_new(out, &o) == OK ? OK : err_set(d, ERR_NOMEM, 0, "TLS handshakes");
}

/* ---- the transport --------------------------------------------------------------------------- */

static ssize_t tls_read(struct conn *c, void *p, size_t n)
{
    struct tls_conn *t = c->tls;
    unsigned calls;
    int r;

    tls_intake_new_turn(&t->intake);
    /* A record without data for us ends the call; no event tells of what was read ahead behind it. */
    do {
        calls = t->intake.calls_left;
        r = mbedtls_ssl_read(&t->ssl, p, MIN_OF(n, (size_t)INT_MAX));
    } while (r == MBEDTLS_ERR_SSL_WANT_READ && t->intake.calls_left != calls &&
             t->ahead_at < t->ahead_n);
    if (r > 0) {
        tls_intake_useful(&t->intake);
        return r;
    }
    if (tls_wants_more(r)) {
        if (t->intake.calls_left == 0)
            loop_make_ready(c); /* no event tells of what is there */
        return IO_AGAIN;
    }
    return r == 0 || r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY ? IO_EOF : IO_ERROR;
}

/* One record of the first part at a time: the queue's head and its body are rarely both large. */
static ssize_t tls_write(struct conn *c, const struct iovec *v, int parts)
{
    struct tls_conn *t = c->tls;
    size_t n = MIN_OF(v->iov_len, RECORD_BYTES);
    int r;

    (void)parts;
    if (t->retry_n > 0)
        n = MIN_OF(n, t->retry_n);
    r = mbedtls_ssl_write(&t->ssl, v->iov_base, n);
    if (r > 0) {
        t->retry_n = 0;
        return r;
    }
    if (!tls_wants_more(r))
        return IO_ERROR;
    t->retry_n = n;
    return IO_AGAIN;
}

static bool tls_pending(const struct conn *c)
{
    return c->tls->ahead_at < c->tls->ahead_n || mbedtls_ssl_get_bytes_avail(&c->tls->ssl) > 0;
}

static void tls_finish(struct conn *c)
{
    if (c->tls != NULL && c->tls->ready)
        (void)!mbedtls_ssl_close_notify(&c->tls->ssl); /* if it does not fit now, so be it */
}

static void tls_release(struct conn *c)
{
    if (c->tls == NULL)
        return;
    mbedtls_ssl_free(&c->tls->ssl);
    tls_context_release(c->tls->context);
    free(c->tls);
    c->tls = NULL;
    purse_holder_give_back(&c->held, TLS_SESSION_BYTES);
}

const struct transport transport_tls = {
    .read = tls_read,
    .write = tls_write,
    .pending = tls_pending,
    .finish = tls_finish,
    .release = tls_release,
};
