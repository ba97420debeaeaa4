/*
 * http/conn.c - a connection from its first byte to its close.
 *
 *     state      what is true in it                            leaves it by
 *     HANDSHAKE  TLS: it is the peer's turn                    step_handshake (bytes came)
 *     CRYPTO     TLS: a thread of the pool has the session     conn_shaken
 *     IDLE       no byte of a request is here; no buffers      receive_head (a byte came)
 *     HEAD       part of a head, or a pipelined one, is here   receive_head (complete, or refused)
 *     BODY       ex holds the head; its body is arriving       receive_body (complete, or refused)
 *     WORK       the application has ex (or it is responded)   step_work (when responded)
 *     SEND       the response of ex (or what is left of        step_send (all is out)
 *                earlier ones, ex NULL) waits for the socket
 *     LINGER     all is sent, our side is shut; the peer's     step_linger (end of file)
 *                bytes are thrown away so that it can read
 *     GONE       WORK whose socket is closed; ex is parked     step_gone (when responded)
 *     CLOSED     on the loop's dead list                       conn_free_dead
 *
 *     HANDSHAKE (-> IDLE: plain HTTP) <-> CRYPTO -> IDLE -> HEAD -> BODY -> WORK -> SEND -> IDLE | HEAD | LINGER | CLOSED
 *     answered():  HEAD, BODY -> WORK (responded)               conn_close(): any -> CLOSED | GONE
 *
 * A step does its piece and answers NEXT (look at the state again) or WAIT (nothing more to do
 * until an event, a time-out or a resumption). conn_run() is the loop over the steps; behind it
 * settle() flushes what was gathered, starts the state's time-out, and gives the buffers of an idle
 * connection back, so that this costs the loop only the struct.
 *
 * A connection reads nothing while a request is in work, so a client that sends
 * faster than it is answered is slowed down by TCP.
 */
#include "base/log.h"
#include "http/private.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEPS_PER_RUN  64 /* then other connections get their turn */
#define CONNS_PER_SLAB 32

static const char *const state_names[] = {
#define X(name) [CONN_##name] = #name,
    CONN_STATES(X)
#undef X
};

static const enum timer_kind state_timers[] = {
    [CONN_HANDSHAKE] = TIMER_HEAD, [CONN_CRYPTO] = TIMER_HEAD,   [CONN_IDLE] = TIMER_IDLE,
    [CONN_HEAD] = TIMER_HEAD,      [CONN_BODY] = TIMER_BODY,     [CONN_WORK] = TIMER_NONE,
    [CONN_SEND] = TIMER_SEND,      [CONN_LINGER] = TIMER_LINGER, [CONN_GONE] = TIMER_NONE,
    [CONN_CLOSED] = TIMER_NONE,
};

const char *conn_state_name(const struct conn *c)
{
    return state_names[c->state];
}

/* ---- memory ------------------------------------------------------------------------------ */

struct conn_slab {
    struct conn_slab *next;
    struct conn conns[CONNS_PER_SLAB];
};

static struct conn *conn_alloc(struct loop *l)
{
    if (list_empty(&l->free_conns)) {
        struct conn_slab *slab = malloc(sizeof *slab);
        if (slab == NULL)
            return NULL;
        slab->next = l->slabs;
        l->slabs = slab;
        for (size_t i = 0; i < CONNS_PER_SLAB; i++)
            list_push(&l->free_conns, &slab->conns[i].all);
    }
    return LIST_ENTRY(list_pop(&l->free_conns), struct conn, all);
}

void conn_free_dead(struct loop *l)
{
    struct list_node *n;

    while ((n = list_pop(&l->dead)) != NULL) {
        n->next = l->free_conns.next; /* in front: the next one finds it warm */
        n->prev = &l->free_conns;
        n->next->prev = n;
        l->free_conns.next = n;
    }
}

void conn_free_spares(struct loop *l)
{
    while (l->slabs != NULL) {
        struct conn_slab *slab = l->slabs;
        l->slabs = slab->next;
        free(slab);
    }
    while (l->spare_inputs != NULL) {
        void *in = l->spare_inputs;
        memcpy(&l->spare_inputs, in, sizeof(void *));
        free(in);
    }
}

/* ---- the end ----------------------------------------------------------------------------- */

static void bury(struct conn *c)
{
    exchange_drop(c);
    receive_release(c);
    network_leave(&c->loop->server->networks, c->network);
    c->network = NULL;
    list_remove(&c->ready);
    c->state = CONN_CLOSED;
    list_remove(&c->all);
    list_push(&c->loop->dead, &c->all);
}

/* Closes the socket. A parked request stays until it is resumed. */
void conn_close(struct conn *c)
{
    struct loop *l = c->loop;
    bool parked = c->state == CONN_WORK && !c->ex->responded;

    if (c->state == CONN_GONE || c->state == CONN_CLOSED)
        return;
    loop_timer_stop(c);
    if (c->state == CONN_CRYPTO && !tls_abandon(c)) { /* in use: conn_shaken() closes it */
        c->close_after = true;
        return;
    }
    send_drop(c);
    c->transport->release(c);
    close(c->fd);
    c->fd = -1;
    atomic_fetch_sub_explicit(&l->server->open_connections, 1, memory_order_relaxed);
    loop_conn_closed(l);
    if (parked) {
        atomic_store(&c->ex->gone, true);
        c->state = CONN_GONE; /* the request points into the input buffer: it stays */
        return;
    }
    bury(c);
}

enum step conn_closed(struct conn *c)
{
    conn_close(c);
    return WAIT;
}

/* The peer says no more, behind a request or inside of one. What its earlier ones were answered, and what
 * waits to be sent together, goes out before the end. */
enum step conn_ended(struct conn *c)
{
    if (c->loop->out_n == 0 && c->out.n == 0)
        return conn_closed(c);
    exchange_drop(c);
    c->in_start = c->in_end = 0;
    c->close_after = true;
    c->state = CONN_SEND;
    return NEXT;
}

static enum step step_gone(struct conn *c)
{
    if (c->ex->responded)
        bury(c);
    return WAIT;
}

/* ---- how fast bytes move --------------------------------------------------------------------- */

/* The connection begins, or a body to come, or a response to go. */
void conn_phase_begin(struct conn *c)
{
    c->phase_ms = c->loop->now_ms;
    c->phase_sent = c->sent;
    c->received = 0;
}

/* How much of all that was sent has reached the peer. False: the kernel does not say. */
static bool look_at_reader(struct conn *c, int64_t *reached)
{
    int queued = 0;

    if (ioctl(c->fd, SIOCOUTQ, &queued) < 0) {
        if (!c->loop->queue_told)
            log_event(LOG_ERROR, "http_no_send_queue", "errno=%d reason=\"%s\"", errno,
                      strerror(errno));
        c->loop->queue_told = true;
        return false;
    }
    *reached = (int64_t)c->sent - queued;
    return true;
}

/*
 * Of a response the kernel takes much at once, and nothing for long. So before a reader is given up, the
 * kernel is asked how much has reached him since the last look (which was when the time-out began).
 */
static bool reader_goes_on(struct conn *c)
{
    int64_t now;

    return look_at_reader(c, &now) && now > c->reached &&
           (uint64_t)(now - c->reached) >= c->loop->timer_bytes[TIMER_SEND];
}

static void timer_start(struct conn *c, enum timer_kind kind)
{
    if (kind == TIMER_SEND && !look_at_reader(c, &c->reached))
        c->reached = (int64_t)c->sent;
    loop_timer_start(c, kind);
}

/* ---- TLS handshakes ---------------------------------------------------------------------------- */

static enum step step_handshake(struct conn *c)
{
    switch (tls_handshake_begin(c)) {
    case TLS_WAIT:
        break;
    case TLS_BEGUN:
        c->state = CONN_CRYPTO;
        break;
    case TLS_NONE:
        c->transport = &transport_plain;
        c->use = USE_WRONG_PORT;
        c->state = CONN_IDLE;
        return NEXT;
    case TLS_FAILED:
        return conn_closed(c);
    }
    return WAIT;
}

void conn_shaken(struct conn *c, int result)
{
    c->state = CONN_HANDSHAKE;
    if (c->close_after || result == IO_ERROR) {
        conn_close(c);
        return;
    }
    if (result == 1) {
        c->state = CONN_IDLE;
        loop_timer_stop(c); /* a head may begin in this very run, and has its time from then on */
        c->readable = c->writable = true; /* not known to be otherwise */
    }
    conn_run(c);
}

/* ---- the response ------------------------------------------------------------------------ */

static enum step step_work(struct conn *c)
{
    struct exchange *ex = c->ex;

    DCHECK(ex != NULL);
    if (!ex->responded)
        return WAIT;
    if (ex->req.res.close || !ex->keep_alive || c->loop->stopping)
        c->close_after = true;
    conn_phase_begin(c);
    if (!send_response(c))
        return conn_closed(c);
    c->state = CONN_SEND;
    return NEXT;
}

/*
 * Our side is done. If bytes of the peer may still be on their way, closing now would make the
 * kernel answer them with a reset, which can destroy the response before the peer has read it.
 */
static enum step end_connection(struct conn *c)
{
    bool unread = c->unread || c->in_end > c->in_start;

    c->transport->finish(c);
    if (!unread && c->readable &&
        !c->read_hup) /* nothing is gathered: the buffer serves as a sink */
        unread = sock_read(c, c->loop->out, OUT_BYTES) > 0;
    if (!unread)
        return conn_closed(c);
    if (shutdown(c->fd, SHUT_WR) < 0)
        return conn_closed(c);
    receive_release(c);
    c->state = CONN_LINGER;
    return NEXT;
}

static enum step step_send(struct conn *c)
{
    bool more = c->in_end > c->in_start;

    if (c->close_after || !more || !send_may_gather(c)) {
        int r = send_flush(c);
        if (r == IO_AGAIN)
            return WAIT;
        if (r < 0)
            return conn_closed(c);
    }
    exchange_drop(c);
    loop_timer_stop(c);
    if (c->close_after)
        return end_connection(c);
    c->state = more ? CONN_HEAD : CONN_IDLE;
    if (!more)
        c->in_start = c->in_end = 0;
    return NEXT;
}

static enum step step_linger(struct conn *c)
{
    struct loop *l = c->loop;
    ssize_t r = sock_read(c, l->out, OUT_BYTES);

    if (r == IO_AGAIN)
        return WAIT;
    return r <= 0 ? conn_closed(c) : NEXT;
}

/* ---- running ----------------------------------------------------------------------------- */

static enum step step(struct conn *c)
{
    switch (c->state) {
    case CONN_HANDSHAKE:
        return step_handshake(c);
    case CONN_CRYPTO:
        break;
    case CONN_IDLE:
    case CONN_HEAD:
        return receive_head(c);
    case CONN_BODY:
        DCHECK(c->ex != NULL);
        return receive_body(c);
    case CONN_WORK:
        return step_work(c);
    case CONN_SEND:
        return step_send(c);
    case CONN_LINGER:
        return step_linger(c);
    case CONN_GONE:
        return step_gone(c);
    case CONN_CLOSED:
        break;
    }
    return WAIT;
}

/* Leaves nothing of this connection in the loop's buffer, which the next one will use. */
static bool flush_rest(struct conn *c)
{
    if (c->loop->out_n == 0 && c->out.n == 0)
        return true;
    switch (send_flush(c)) {
    case 1:
        return true;
    case IO_AGAIN: /* with a request in work it waits for its response; else nothing new begins */
        if (c->ex == NULL)
            c->state = CONN_SEND;
        return true;
    default:
        return false;
    }
}

/* Others are at work for it, and nothing of it is looked at meanwhile. */
static bool is_elsewhere(const struct conn *c)
{
    return c->state == CONN_CRYPTO || (c->state == CONN_WORK && !c->ex->responded);
}

/* Before the loop turns to others. */
static void settle(struct conn *c)
{
    enum timer_kind want;

    if (c->fd < 0)
        return;
    if (!flush_rest(c) || (c->hung_up && is_elsewhere(c))) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_IDLE && c->in != NULL)
        receive_release(c);
    if (c->state == CONN_IDLE && c->loop->stopping) {
        c->transport->finish(c);
        conn_close(c);
        return;
    }
    want = state_timers[c->state];
    if (c->timer_kind == want)
        return;
    loop_timer_stop(c);
    if (want != TIMER_NONE)
        timer_start(c, want);
}

void conn_run(struct conn *c)
{
    CHECK(c->loop->out_n == 0); /* else one client would get another one's bytes */
    for (unsigned n = 0; step(c) == NEXT; n++) {
        if (n < STEPS_PER_RUN)
            continue;
        loop_make_ready(c);
        break;
    }
    settle(c);
}

void conn_event(struct conn *c, unsigned events)
{
    if (c->fd < 0)
        return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        c->readable = true;
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        c->writable = true;
    if (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        c->read_hup = true;
    if (events & (EPOLLERR | EPOLLHUP))
        c->hung_up = true;
    conn_run(c);
}

void conn_resumed(struct arrival *a)
{
    struct exchange *ex = CONTAINER_OF(a, struct exchange, resumed);
    struct conn *c = ex->conn;
    struct loop *l = c->loop;

    l->current = c;
    l->server->opt.app.resume(l->ctx, &ex->req);
    l->current = NULL;
    conn_run(c);
}

/* Only line ends came, such as some clients send behind a body: no request has begun. */
static bool only_line_ends(const struct conn *c)
{
    for (size_t i = c->in_start; i < c->in_end; i++)
        if (c->in[i] != '\r' && c->in[i] != '\n')
            return false;
    return true;
}

void conn_timed_out(struct conn *c)
{
    log_event(LOG_DEBUG, "http_timeout", "peer=%s state=%s", c->peer, conn_state_name(c));
    loop_timer_stop(c);
    if (c->state == CONN_SEND && reader_goes_on(c)) {
        timer_start(c, TIMER_SEND);
        return;
    }
    if (c->state == CONN_BODY) {
        receive_refuse(c, 408, "The request's body did not come in time.");
    } else if (c->state == CONN_HEAD && !only_line_ends(c)) {
        c->in_start = c->in_end;
        receive_refuse(c, 408, "The request's head did not come in time.");
    } else {
        conn_close(c);
        return;
    }
    conn_run(c);
}

void conn_stop(struct conn *c)
{
    if (c->state == CONN_LINGER) {
        conn_close(c);
    } else if (c->state == CONN_IDLE) {
        c->readable = true; /* a request may be there whose event has not been seen */
        conn_run(c);
    }
}

/* ---- the beginning ----------------------------------------------------------------------- */

static bool conn_register(struct conn *c)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};

    return epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) == 0;
}

void conn_open(struct loop *l, int fd, const char *peer, struct network *network, enum use use)
{
    bool tls = use == USE_SERVE_TLS;
    struct conn *c = conn_alloc(l);

    if (c == NULL) {
        close(fd);
        atomic_fetch_sub_explicit(&l->server->open_connections, 1, memory_order_relaxed);
        network_leave(&l->server->networks, network);
        return;
    }
    *c = (struct conn){.source = SOURCE_CONN, .state = tls ? CONN_HANDSHAKE : CONN_IDLE, .fd = fd};
    c->loop = l;
    c->network = network;
    c->held.purse = &network->purse;
    c->transport = tls ? &transport_tls : &transport_plain;
    c->use = use;
    c->writable = true;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    list_init(&c->timer);
    list_init(&c->ready);
    conn_phase_begin(c);
    list_push(&l->conns, &c->all);
    loop_count(&l->n_connections);
    if (!conn_register(c)) {
        conn_close(c);
        return;
    }
    settle(c);
}
