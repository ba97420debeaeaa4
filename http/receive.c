/*
 * http/receive.c - how bytes become a request: input buffers, its head, its body, and what is refused of
 * either. Behind a whole request the application has it (or its answer stands already: CONN_WORK).
 *
 * While ex is there, the input buffer is neither moved nor read into before in_start: the request points
 * into it. (But behind a head whose chunks need more room; then the head is parsed again.)
 */
#include "base/log.h"
#include "http/private.h"

#define READ_BYTES   (64 * KIB) /* of a body at once */
#define CHUNKED_ROOM (4 * KIB)  /* least room behind the head while chunks are read */

/* ---- input buffers ----------------------------------------------------------------------- */

static char *input_alloc_small(struct loop *l)
{
    void *in = l->spare_inputs;

    if (in == NULL)
        return malloc(IN_SMALL_BYTES);
    memcpy(&l->spare_inputs, in, sizeof(void *));
    l->nspare_inputs--;
    return in;
}

/* Large ones are taken out of the purse. */
static char *input_alloc_large(struct conn *c)
{
    size_t n = c->loop->server->in_large_bytes;
    char *in;

    if (!purse_holder_take(&c->held, n))
        return NULL;
    in = malloc(n);
    if (in == NULL)
        purse_holder_give_back(&c->held, n);
    return in;
}

void receive_release(struct conn *c)
{
    struct loop *l = c->loop;

    if (c->in_cap > IN_SMALL_BYTES)
        purse_holder_give_back(&c->held, c->in_cap);
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
    char *in = input_alloc_large(c);
    size_t start = c->in_start - keep_from, end = c->in_end - keep_from, seen = c->in_seen;

    if (in == NULL)
        return false;
    memcpy(in, c->in + keep_from, end);
    receive_release(c);
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
        c->in = input_alloc_small(c->loop);
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

/* ---- handing over ------------------------------------------------------------------------ */

static void dispatch(struct conn *c)
{
    struct loop *l = c->loop;

    c->state = CONN_WORK;
    l->current = c;
    l->server->opt.app.handle(l->ctx, &c->ex->req);
    l->current = NULL;
}

/* An answer stands that is not the handler's. `close`: bytes that nobody wants may follow the request. */
static enum step answered(struct conn *c, bool close)
{
    if (close)
        c->close_after = c->unread = true;
    c->ex->responded = true;
    c->state = CONN_WORK;
    return NEXT;
}

/* The server itself answers, and closes behind the answer. */
enum step receive_refuse(struct conn *c, int status, const char *reason)
{
    struct loop *l = c->loop;
    struct http_response *res;

    if (c->ex == NULL)
        c->ex = exchange_take(c);
    if (c->ex == NULL)
        return conn_closed(c);
    loop_count(&l->n_refused);
    log_event(LOG_DEBUG, "http_refused", "peer=%s status=%d reason=\"%s\"", c->peer, status,
              reason);
    res = &c->ex->req.res;
    res->status = status;
    l->current = c;
    if (l->server->opt.app.refuse != NULL) {
        l->server->opt.app.refuse(l->ctx, &c->ex->req, reason);
    } else {
        http_header_add(res, STR("Content-Type"), STR("text/plain"));
        res->body = str_from(reason);
    }
    l->current = NULL;
    return answered(c, true);
}

/* ---- the head ---------------------------------------------------------------------------- */

/* The request's texts, and its headers, are where the head is in the input buffer. */
static void point_into(struct exchange *ex, const struct head *h)
{
    ex->req.method = h->method;
    ex->req.target = h->target;
    ex->req.path = h->path;
    ex->req.query = h->query;
    ex->req.nheaders = h->nheaders;
}

/* What the head says of what follows. It changes with what comes: so once for each request. */
static void begin_exchange(struct exchange *ex, const struct head *h)
{
    ex->req.minor = h->minor;
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

/* False: the application has answered already. */
static bool is_admitted(struct conn *c)
{
    struct loop *l = c->loop;
    bool ok;

    l->current = c;
    ok = l->server->opt.app.admit(l->ctx, &c->ex->req);
    l->current = NULL;
    if (ok) { /* by its contract; receive_no_memory() counts on it */
        arena_reset(&c->ex->arena);
        c->ex->req.app_data = NULL;
    }
    return ok;
}

/* The same on https. GET and HEAD by the status that every client knows; the others by the one that
 * forbids to make a GET of it (RFC 9110, 15.4.9). */
static enum step redirect(struct conn *c)
{
    struct http_req *req = &c->ex->req;
    const struct http_server *s = c->loop->server;
    bool get = str_eq(req->method, STR("GET")) || str_eq(req->method, STR("HEAD"));
    str fixed = s->redirect_host != NULL ? str_from(s->redirect_host) : STR_NONE;
    str location;
    enum err e = redirect_location(req->arena, fixed, http_header_get(req, STR("Host")),
                                   s->tls_port, req->target, &location);

    if (e == ERR_NOMEM)
        return receive_no_memory(c);
    if (e != OK)
        return receive_refuse(c, 400, "The Host header names no host.");
    req->res.status = get ? 301 : 308;
    http_header_add(&req->res, STR("Location"), location);
    return answered(c, true); /* a body is not waited for */
}

static enum step refuse_body(struct conn *c)
{
    return receive_refuse(c, 413, "The request's body is too large.");
}

static enum step begin_request(struct conn *c, const struct head *h)
{
    struct exchange *ex = c->ex;

    point_into(ex, h);
    begin_exchange(ex, h);
    ex->head_at = c->in_start;
    c->in_start += h->bytes;
    c->in_seen = 0;
    conn_phase_begin(c);
    loop_count(&c->loop->n_requests);
    if (c->loop->server->opt.app.admit != NULL && !is_admitted(c))
        return answered(c, h->content_length > 0 || h->chunked);
    if (c->use == USE_WRONG_PORT)
        return receive_refuse(c, 400, "This port speaks https only.");
    if (c->use == USE_REDIRECT)
        return redirect(c);
    if (h->content_length > c->loop->server->opt.max_body_bytes)
        return refuse_body(c);
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

    c->ex = exchange_take(c);
    if (c->ex == NULL)
        return conn_closed(c);
    switch (
        parse_head(c->in + c->in_start, n, c->in_seen, &l->server->limits, c->ex->headers, &h)) {
    case PARSE_DONE:
        return begin_request(c, &h);
    case PARSE_BAD:
        adopt_refused_head(c->ex, &h);
        return receive_refuse(c, h.status, h.reason);
    case PARSE_MORE:
        break;
    }
    exchange_drop(c);
    c->in_seen = n;
    return NEXT;
}

static bool may_read(const struct conn *c)
{
    return c->readable || c->transport->pending(c);
}

enum step receive_head(struct conn *c)
{
    ssize_t r;

    if (c->in_end - c->in_start > c->in_seen)
        return parse_input(c);
    if (!may_read(c))
        return WAIT;
    if (!input_room(c))
        return conn_closed(c);
    r = c->transport->read(c, c->in + c->in_end, c->in_cap - c->in_end);
    if (r == IO_AGAIN)
        return WAIT;
    if (r <= 0)
        return r == IO_EOF ? conn_ended(c) : conn_closed(c);
    c->in_end += (size_t)r;
    c->state = CONN_HEAD; /* at once: the share of this turn may end here */
    return NEXT;
}

/* ---- the body ---------------------------------------------------------------------------- */

/* n bytes of a body came. When enough have, the time-out begins anew. */
static void body_moved(struct conn *c, size_t n)
{
    c->received += n;
    c->due -= MIN_OF(n, c->due);
    if (c->due == 0)
        loop_timer_stop(c); /* settle() starts it */
}

static enum step body_complete(struct conn *c, str body)
{
    c->ex->req.body = body;
    dispatch(c);
    return NEXT;
}

/* Nothing but the body lies in the arena by now. What came of it goes first: there is too little memory. */
enum step receive_no_memory(struct conn *c)
{
    buf_fini(&c->ex->body);
    arena_reset(&c->ex->arena);
    return receive_refuse(c, 503, "There is no memory for the request.");
}

static enum step body_failed(struct conn *c)
{
    if (c->ex->body.err == ERR_LIMIT)
        return refuse_body(c);
    return receive_no_memory(c);
}

/* The client waits for a sign before it sends the body (RFC 9110, 10.1.1). */
static enum step ask_for_body(struct conn *c)
{
    c->ex->expect_continue = false;
    return send_interim(c, STR("HTTP/1.1 100 Continue\r\n\r\n")) ? NEXT : conn_closed(c);
}

/* Reads more of a body to p, and says how much; 0: nothing, and the step ends as *end says. */
static size_t body_read(struct conn *c, char *p, size_t room, enum step *end)
{
    ssize_t r;

    *end = WAIT;
    if (!may_read(c))
        return 0;
    r = c->transport->read(c, p, MIN_OF(room, READ_BYTES));
    if (r > 0) {
        body_moved(c, (size_t)r);
        return (size_t)r;
    }
    if (r != IO_AGAIN)
        *end = r == IO_EOF ? conn_ended(c) : conn_closed(c);
    return 0;
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
    enum step end;

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
    } else {
        got = body_read(c, b->p + b->n, MIN_OF(left, b->cap - b->n), &end);
        if (got == 0)
            return end;
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
    point_into(ex, &h);
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
        return receive_refuse(c, 400, "The chunked body is malformed.");
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
    if (chunked_left(&ex->decoder) > ex->body.max - ex->body.n)
        return refuse_body(c);
    return *done ? body_complete(c, buf_str(&ex->body)) : NEXT;
}

static enum step step_body_chunked(struct conn *c)
{
    bool done = false;
    size_t got;
    enum step end;

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
    got = body_read(c, c->in + c->in_end, c->in_cap - c->in_end, &end);
    if (got == 0)
        return end;
    c->in_end += got;
    return NEXT;
}

enum step receive_body(struct conn *c)
{
    return c->ex->chunked ? step_body_chunked(c) : step_body_length(c);
}
