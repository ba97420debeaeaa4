/*
 * http/conn.c - a connection from its first byte to its close.
 *
 *     state      what is true in it                            leaves it by
 *     HANDSHAKE  TLS keys are being agreed on                  step_handshake
 *     IDLE       no byte of a request is here; no buffers      step_head (a byte came)
 *     HEAD       part of a head, or a pipelined one, is here   step_head (complete, or refused)
 *     BODY       ex holds the head; its body is arriving       step_body (complete, or refused)
 *     WORK       the application has ex (or it is responded)   step_work (when responded)
 *     SEND       the response of ex (or what is left of        step_send (all is out)
 *                earlier ones, ex NULL) waits for the socket
 *     LINGER     all is sent, our side is shut; the peer's     step_linger (end of file)
 *                bytes are thrown away so that it can read
 *     GONE       WORK whose socket is closed; ex is parked     step_gone (when responded)
 *     CLOSED     on the loop's dead list                       conn_free_dead
 *
 *     HANDSHAKE -> IDLE -> HEAD -> BODY -> WORK -> SEND -> IDLE | HEAD | LINGER | CLOSED
 *     refuse():    HEAD, BODY -> WORK (responded, closing)      conn_close(): any -> CLOSED | GONE
 *
 * A step does its piece and answers NEXT (look at the state again) or WAIT (nothing more to do
 * until an event, a time-out or a resumption). conn_run() is the loop over the steps; behind it
 * settle() flushes what was gathered, starts the state's time-out, and gives the buffers of an idle
 * connection back, so that this costs the loop only the struct.
 *
 * While ex is there, the input buffer is neither moved nor read into before in_start: the request
 * points into it. A connection reads nothing while a request is in work, so a client that sends
 * faster than it is answered is slowed down by TCP.
 */
#include "base/log.h"
#include "http/private.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STEPS_PER_RUN  64         /* then other connections get their turn */
#define READ_BYTES     (64 * KIB) /* of a body at once */
#define CHUNKED_ROOM   (4 * KIB)  /* least room behind the head while chunks are read */
#define CONNS_PER_SLAB 32

enum step { NEXT, WAIT };

static const char *const state_names[] = {
#define X(name) [CONN_##name] = #name,
    CONN_STATES(X)
#undef X
};

static const enum timer_kind state_timers[] = {
    [CONN_HANDSHAKE] = TIMER_HEAD, [CONN_IDLE] = TIMER_IDLE, [CONN_HEAD] = TIMER_HEAD,
    [CONN_BODY] = TIMER_BODY,      [CONN_WORK] = TIMER_NONE, [CONN_SEND] = TIMER_SEND,
    [CONN_LINGER] = TIMER_LINGER,  [CONN_GONE] = TIMER_NONE, [CONN_CLOSED] = TIMER_NONE,
};

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

static char *input_alloc(struct loop *l, size_t n)
{
    void *in = l->spare_inputs;

    if (n != IN_SMALL_BYTES || in == NULL)
        return malloc(n);
    memcpy(&l->spare_inputs, in, sizeof(void *));
    l->nspare_inputs--;
    return in;
}

static void input_release(struct conn *c)
{
    struct loop *l = c->loop;

    if (c->in_cap != IN_SMALL_BYTES || l->nspare_inputs >= MAX_SPARES) {
        free(c->in);
    } else {
        memcpy(c->in, &l->spare_inputs, sizeof(void *));
        l->spare_inputs = c->in;
        l->nspare_inputs++;
    }
    c->in = NULL;
    c->in_start = c->in_end = c->in_cap = c->in_seen = 0;
}

/* A larger input buffer; what lies from `keep_from` on moves to its beginning. */
static bool input_grow(struct conn *c, size_t keep_from)
{
    size_t n = c->loop->server->in_large_bytes;
    char *in = input_alloc(c->loop, n);
    size_t start = c->in_start - keep_from, end = c->in_end - keep_from, seen = c->in_seen;

    if (in == NULL)
        return false;
    memcpy(in, c->in + keep_from, end);
    input_release(c);
    c->in = in;
    c->in_cap = n;
    c->in_start = start;
    c->in_end = end;
    c->in_seen = seen;
    return true;
}

/* Room behind in_end for more of a head. No request may point into the buffer. */
static bool input_room(struct conn *c)
{
    if (c->in == NULL) {
        c->in = input_alloc(c->loop, IN_SMALL_BYTES);
        c->in_cap = c->in != NULL ? IN_SMALL_BYTES : 0;
        return c->in != NULL;
    }
    if (c->in_start > 0) {
        memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
        c->in_end -= c->in_start;
        c->in_start = 0;
    }
    return c->in_end < c->in_cap || input_grow(c, 0);
}

/* ---- the end ----------------------------------------------------------------------------- */

static void bury(struct conn *c)
{
    if (c->ex != NULL)
        exchange_give_back(c->loop, c->ex);
    c->ex = NULL;
    list_remove(&c->ready);
    c->state = CONN_CLOSED;
    list_remove(&c->all);
    list_push(&c->loop->dead, &c->all);
}

/* Closes the socket. A parked request stays until it is resumed. */
static void conn_close(struct conn *c)
{
    struct loop *l = c->loop;
    bool parked = c->state == CONN_WORK && !c->ex->responded;

    if (c->state == CONN_GONE || c->state == CONN_CLOSED)
        return;
    loop_timer_stop(c);
    send_drop(c);
    c->transport->release(c);
    close(c->fd);
    c->fd = -1;
    atomic_fetch_sub_explicit(&l->server->open_connections, 1, memory_order_relaxed);
    loop_conn_closed(l);
    if (parked) {
        c->state = CONN_GONE; /* the request points into the input buffer: it stays */
        return;
    }
    if (c->in != NULL)
        input_release(c);
    bury(c);
}

static enum step closed(struct conn *c)
{
    conn_close(c);
    return WAIT;
}

static enum step step_gone(struct conn *c)
{
    if (!c->ex->responded)
        return WAIT;
    if (c->in != NULL)
        input_release(c);
    bury(c);
    return WAIT;
}

/* ---- handing over ------------------------------------------------------------------------ */

static void dispatch(struct conn *c)
{
    struct loop *l = c->loop;

    c->state = CONN_WORK;
    l->current = c;
    l->server->opt.app.handle(l->ctx, &c->ex->req);
    l->current = NULL;
}

/* The server itself answers, and closes behind the answer. */
static enum step refuse(struct conn *c, int status, const char *reason)
{
    struct loop *l = c->loop;
    struct http_response *res;

    if (c->ex == NULL)
        c->ex = exchange_take(l, c);
    if (c->ex == NULL)
        return closed(c);
    loop_count(&l->n_refused);
    log_event(LOG_DEBUG, "http_refused", "peer=%s status=%d reason=\"%s\"", c->peer, status,
              reason);
    res = &c->ex->req.res;
    res->status = status;
    c->close_after = c->unread = true;
    c->state = CONN_WORK;
    l->current = c;
    if (l->server->opt.app.refuse != NULL) {
        l->server->opt.app.refuse(l->ctx, &c->ex->req, reason);
    } else {
        http_header_add(res, STR("Content-Type"), STR("text/plain"));
        res->body = str_from(reason);
    }
    l->current = NULL;
    c->ex->responded = true;
    return NEXT;
}

/* ---- the head ---------------------------------------------------------------------------- */

static enum step step_handshake(struct conn *c)
{
    int r = c->transport->handshake(c);

    if (r == IO_AGAIN)
        return WAIT;
    if (r != 1)
        return closed(c);
    c->state = CONN_IDLE;
    return NEXT;
}

static void adopt_head(struct exchange *ex, const struct head *h)
{
    ex->req.method = h->method;
    ex->req.target = h->target;
    ex->req.path = h->path;
    ex->req.query = h->query;
    ex->req.minor = h->minor;
    ex->req.nheaders = h->nheaders;
    ex->keep_alive = h->keep_alive;
    ex->expect_continue = h->expect_continue;
    ex->chunked = h->chunked;
    ex->content_length = h->content_length;
}

/* What is known of a refused request, so that the answer fits (HEAD has no body). */
static void adopt_refused_head(struct exchange *ex, const struct head *h)
{
    ex->req.method = str_none(h->method) ? STR("") : h->method;
    ex->req.target = str_none(h->target) ? STR("") : h->target;
    ex->req.path = str_none(h->path) ? STR("") : h->path;
    ex->req.query = h->query;
    ex->req.nheaders = h->nheaders;
}

static enum step begin_request(struct conn *c, const struct head *h)
{
    struct exchange *ex = c->ex;

    adopt_head(ex, h);
    ex->head_at = c->in_start;
    c->in_start += h->bytes;
    c->in_seen = 0;
    loop_count(&c->loop->n_requests);
    if (h->content_length > c->loop->server->opt.max_body_bytes)
        return refuse(c, 413, "The request's body is too large.");
    if (h->content_length == 0 && !h->chunked)
        dispatch(c);
    else
        c->state = CONN_BODY;
    return NEXT;
}

/* There are bytes that the parser has not seen. */
static enum step parse_input(struct conn *c)
{
    struct loop *l = c->loop;
    size_t n = c->in_end - c->in_start;
    struct head h;

    c->ex = exchange_take(l, c);
    if (c->ex == NULL)
        return closed(c);
    switch (
        parse_head(c->in + c->in_start, n, c->in_seen, &l->server->limits, c->ex->headers, &h)) {
    case PARSE_DONE:
        return begin_request(c, &h);
    case PARSE_BAD:
        adopt_refused_head(c->ex, &h);
        return refuse(c, h.status, h.reason);
    case PARSE_MORE:
        break;
    }
    exchange_give_back(l, c->ex);
    c->ex = NULL;
    c->in_seen = n;
    return NEXT;
}

static bool may_read(const struct conn *c)
{
    return c->readable || c->transport->pending(c);
}

static enum step step_head(struct conn *c)
{
    ssize_t r;

    if (c->in_end - c->in_start > c->in_seen)
        return parse_input(c);
    if (!may_read(c))
        return WAIT;
    if (!input_room(c))
        return closed(c);
    r = c->transport->read(c, c->in + c->in_end, c->in_cap - c->in_end);
    if (r == IO_AGAIN)
        return WAIT;
    if (r <= 0)
        return closed(c);
    c->in_end += (size_t)r;
    c->state = CONN_HEAD; /* at once: the share of this turn may end here */
    return NEXT;
}

/* ---- the body ---------------------------------------------------------------------------- */

static enum step body_complete(struct conn *c, str body)
{
    c->ex->req.body = body;
    dispatch(c);
    return NEXT;
}

static enum step body_failed(struct conn *c)
{
    if (c->ex->body.err == ERR_LIMIT)
        return refuse(c, 413, "The request's body is too large.");
    return refuse(c, 503, "There is no memory for the request's body.");
}

/* The client waits for a sign before it sends the body (RFC 9110, 10.1.1). */
static enum step ask_for_body(struct conn *c)
{
    c->ex->expect_continue = false;
    return send_interim(c, STR("HTTP/1.1 100 Continue\r\n\r\n")) ? NEXT : closed(c);
}

/* Reads more of a body to p: NEXT with *got > 0, or WAIT. */
static enum step body_read(struct conn *c, char *p, size_t room, size_t *got)
{
    ssize_t r;

    if (!may_read(c))
        return WAIT;
    r = c->transport->read(c, p, MIN_OF(room, READ_BYTES));
    if (r == IO_AGAIN)
        return WAIT;
    if (r <= 0)
        return closed(c);
    loop_timer_stop(c); /* progress: the time-out begins again */
    *got = (size_t)r;
    return NEXT;
}

/*
 * A body of known length that did not come whole with its head is read straight to where it stays.
 * Its memory is taken in steps: whoever announces much gets no more than BODY_TRUST times what he has
 * sent.
 */
static enum step step_body_length(struct conn *c)
{
    struct exchange *ex = c->ex;
    struct buf *b = &ex->body;
    size_t left = (size_t)ex->content_length - b->n; /* max_body_bytes bounds it */
    size_t here = MIN_OF(c->in_end - c->in_start, left), got;

    if (b->n == 0 && here == left) {
        c->in_start += here;
        return body_complete(c, (str){c->in + c->in_start - here, here});
    }
    if (ex->expect_continue && here == 0)
        return ask_for_body(c);
    ex->expect_continue = false; /* it has begun without */
    if (b->n == b->cap &&
        buf_reserve(b, MIN_OF(left, MAX_OF(BODY_FIRST_BYTES, b->n * BODY_TRUST))) != OK)
        return body_failed(c);
    if (here > 0) { /* only at first, when less than all came with the head */
        got = MIN_OF(here, b->cap - b->n);
        memcpy(b->p + b->n, c->in + c->in_start, got);
        c->in_start += got;
    } else if (body_read(c, b->p + b->n, MIN_OF(left, b->cap - b->n), &got) == WAIT) {
        return WAIT;
    }
    b->n += got;
    return b->n == ex->content_length ? body_complete(c, buf_str(b)) : NEXT;
}

/*
 * More room behind the head for chunks on their way. The head moves, so it is parsed again where it
 * is then (it gave no trouble before).
 */
static bool widen_for_chunks(struct conn *c)
{
    struct exchange *ex = c->ex;
    struct head h;

    if (!input_grow(c, ex->head_at))
        return false;
    ex->head_at = 0;
    CHECK(parse_head(c->in, c->in_start, 0, &c->loop->server->limits, ex->headers, &h) ==
          PARSE_DONE);
    adopt_head(ex, &h);
    return true;
}

/* Decodes what is behind the head; *done: the whole body is there. */
static enum step decode_chunks(struct conn *c, bool *done)
{
    struct exchange *ex = c->ex;
    char *p = c->in + c->in_start;
    size_t data_n, used;

    switch (chunked_decode(&ex->decoder, p, c->in_end - c->in_start, &data_n, &used)) {
    case CHUNKED_BAD:
        return refuse(c, 400, "The chunked body is malformed.");
    case CHUNKED_MORE:
        c->in_end = c->in_start;
        break;
    case CHUNKED_DONE:
        c->in_start += used;
        *done = true;
        if (ex->body.n == 0 && data_n <= ex->body.max)
            return body_complete(c, (str){p, data_n});
        break;
    }
    buf_add(&ex->body, p, data_n);
    if (buf_failed(&ex->body))
        return body_failed(c);
    return *done ? body_complete(c, buf_str(&ex->body)) : NEXT;
}

static enum step step_body_chunked(struct conn *c)
{
    bool done = false;
    size_t got;

    if (c->in_end > c->in_start) {
        c->ex->expect_continue = false;
        return decode_chunks(c, &done);
    }
    if (c->ex->expect_continue)
        return ask_for_body(c);
    if (!may_read(c))
        return WAIT;
    if (c->in_cap - c->in_end < CHUNKED_ROOM && !widen_for_chunks(c))
        return body_failed(c);
    if (body_read(c, c->in + c->in_end, c->in_cap - c->in_end, &got) == WAIT)
        return WAIT;
    c->in_end += got;
    return NEXT;
}

/* ---- the response ------------------------------------------------------------------------ */

static enum step step_work(struct conn *c)
{
    struct exchange *ex = c->ex;

    if (!ex->responded)
        return WAIT;
    if (ex->req.res.close || !ex->keep_alive || c->loop->stopping)
        c->close_after = true;
    if (!send_response(c))
        return closed(c);
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
        return closed(c);
    if (shutdown(c->fd, SHUT_WR) < 0)
        return closed(c);
    if (c->in != NULL)
        input_release(c);
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
            return closed(c);
    }
    if (c->ex != NULL)
        exchange_give_back(c->loop, c->ex);
    c->ex = NULL;
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
    return r <= 0 ? closed(c) : NEXT;
}

/* ---- running ----------------------------------------------------------------------------- */

static enum step step(struct conn *c)
{
    switch (c->state) {
    case CONN_HANDSHAKE:
        return step_handshake(c);
    case CONN_IDLE:
    case CONN_HEAD:
        return step_head(c);
    case CONN_BODY:
        return c->ex->chunked ? step_body_chunked(c) : step_body_length(c);
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

/* Before the loop turns to others. */
static void settle(struct conn *c)
{
    enum timer_kind want;

    if (c->fd < 0)
        return;
    if (!flush_rest(c)) {
        conn_close(c);
        return;
    }
    if (c->state == CONN_IDLE && c->in != NULL)
        input_release(c);
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
        loop_timer_start(c->loop, c, want);
}

void conn_run(struct conn *c)
{
    CHECK(c->loop->out_n == 0); /* else one client would get another one's bytes */
    for (unsigned n = 0; step(c) == NEXT; n++) {
        if (n < STEPS_PER_RUN)
            continue;
        loop_make_ready(c->loop, c);
        break;
    }
    settle(c);
}

static bool is_parked(const struct conn *c)
{
    return c->state == CONN_WORK && !c->ex->responded;
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
    if ((events & (EPOLLERR | EPOLLHUP)) && is_parked(c)) { /* no one is left to be answered */
        conn_close(c);
        return;
    }
    conn_run(c);
}

void conn_resumed(struct exchange *ex)
{
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
    log_event(LOG_DEBUG, "http_timeout", "peer=%s state=%s", c->peer, state_names[c->state]);
    loop_timer_stop(c);
    if (c->state == CONN_BODY) {
        refuse(c, 408, "The request's body did not come in time.");
    } else if (c->state == CONN_HEAD && !only_line_ends(c)) {
        c->in_start = c->in_end;
        refuse(c, 408, "The request's head did not come in time.");
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

void conn_cut(struct conn *c)
{
    conn_close(c);
}

/* ---- the beginning ----------------------------------------------------------------------- */

static bool conn_register(struct conn *c)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};

    return epoll_ctl(c->loop->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) == 0;
}

void conn_open(struct loop *l, int fd, const char *peer, bool tls)
{
    struct conn *c = conn_alloc(l);

    if (c == NULL) {
        close(fd);
        atomic_fetch_sub_explicit(&l->server->open_connections, 1, memory_order_relaxed);
        return;
    }
    *c = (struct conn){.source = SOURCE_CONN, .state = tls ? CONN_HANDSHAKE : CONN_IDLE, .fd = fd};
    c->loop = l;
    c->transport = tls ? &transport_tls : &transport_plain;
    c->is_tls = tls;
    c->writable = true;
    snprintf(c->peer, sizeof c->peer, "%s", peer);
    list_init(&c->timer);
    list_init(&c->ready);
    list_push(&l->conns, &c->all);
    loop_count(&l->n_connections);
    if ((tls && tls_conn_open(c, l->tls) != OK) || !conn_register(c)) {
        conn_close(c);
        return;
    }
    settle(c);
}
