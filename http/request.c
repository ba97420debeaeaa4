/*
 * http/request.c - request and response objects: their memory, and what an application calls.
 *
 * An exchange is one request with its response and its arena. A loop keeps some of them as spares,
 * so that the ordinary request takes no memory from malloc, and the same few kilobytes (warm in the
 * cache) serve one request after the other.
 *
 * http_respond() only marks: the bytes go out when the handler has returned, so a handler is never
 * entered again from below itself, and what it borrowed stays valid until it is done.
 */
#include "base/bytes.h"
#include "http/private.h"

#include <sched.h>

static struct exchange *exchange_new(struct loop *l)
{
    const struct http_options *o = &l->server->opt;
    struct exchange *ex = malloc(sizeof *ex);
    size_t budget;

    if (ex == NULL)
        return NULL;
    /* A growing body is copied to a block twice as large: beside the last one lie those before. */
    if (!size_mul(o->max_body_bytes, 4, &budget) ||
        !size_add(budget, BODY_FIRST_BYTES + o->max_arena_bytes, &budget))
        budget = SIZE_MAX;
    arena_init(&ex->arena, ex->first_chunk, sizeof ex->first_chunk, &l->arena_spares, budget);
    return ex;
}

/* Not the whole struct: most of it are tables of which nheaders says what is in them. */
static void exchange_clear(struct exchange *ex, struct conn *c)
{
    ex->conn = c;
    ex->next = NULL;
    ex->resumed.arrive = conn_resumed;
    ex->responded = ex->keep_alive = ex->expect_continue = ex->chunked = false;
    ex->content_length = 0;
    ex->head_at = 0;
    ex->decoder = (struct chunked){0};
    buf_init_arena(&ex->body, &ex->arena, c->loop->server->opt.max_body_bytes);
    atomic_store_explicit(&ex->gone, false, memory_order_relaxed);
    arena_set_holder(&ex->arena, &c->held);
    ex->req.arena = &ex->arena;
    ex->req.method = ex->req.target = ex->req.path = STR("");
    ex->req.query = STR_NONE;
    ex->req.minor = 1;
    ex->req.headers = ex->headers;
    ex->req.nheaders = 0;
    ex->req.body = STR("");
    ex->req.peer = str_from(c->peer);
    ex->req.network = c->network->number;
    ex->req.tls = c->use == USE_SERVE_TLS;
    ex->req.app_data = NULL;
    http_response_init(&ex->req.res);
}

struct exchange *exchange_take(struct conn *c)
{
    struct loop *l = c->loop;
    struct exchange *ex = l->spare_exchanges;

    if (ex != NULL) {
        l->spare_exchanges = ex->next;
        l->nspare_exchanges--;
    } else {
        ex = exchange_new(l);
    }
    if (ex != NULL)
        exchange_clear(ex, c);
    return ex;
}

void exchange_drop(struct conn *c)
{
    struct loop *l = c->loop;
    struct exchange *ex = c->ex;

    c->ex = NULL;
    if (ex == NULL)
        return;
    arena_reset(&ex->arena);
    arena_set_holder(&ex->arena, NULL); /* he may go */
    ex->conn = NULL;
    if (l->nspare_exchanges >= MAX_SPARES) {
        arena_fini(&ex->arena);
        free(ex);
        return;
    }
    ex->next = l->spare_exchanges;
    l->spare_exchanges = ex;
    l->nspare_exchanges++;
}

void exchange_free_spares(struct loop *l)
{
    while (l->spare_exchanges != NULL) {
        struct exchange *ex = l->spare_exchanges;
        l->spare_exchanges = ex->next;
        arena_fini(&ex->arena);
        free(ex);
    }
    l->nspare_exchanges = 0;
}

str http_header_get(struct http_req *req, str name)
{
    str found = STR_NONE;

    for (unsigned i = 0; i < req->nheaders; i++) {
        const struct http_header *f = &req->headers[i];
        if (f->name.n != name.n || !str_eq_nocase(f->name, name))
            continue;
        if (str_none(found)) {
            found = f->value;
            continue;
        }
        found = arena_concat(req->arena, (str[]){found, STR(", "), f->value}, 3);
        if (str_none(found))
            return STR_NONE;
    }
    return found;
}

/* Is one of eight bytes below 0x10, as line ends and NUL are? */
static bool has_low_byte(const char *p)
{
    return bytes_below(bytes_load(p), 0x10) != 0;
}

/* A line end inside a header would let whoever chose the value write headers of his own. */
static bool has_line_break(str s)
{
    size_t i = 0;

    while (s.n - i >= sizeof(uint64_t) && !has_low_byte(s.p + i))
        i += sizeof(uint64_t);
    if (i > 0 && s.n - i < sizeof(uint64_t) && !has_low_byte(s.p + s.n - sizeof(uint64_t)))
        return false; /* the rest, with some of what was before it */
    for (; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return true;
    return false;
}

void http_header_add(struct http_response *res, str name, str value)
{
    if (res->nheaders == HTTP_MAX_RES_HEADERS || has_line_break(name) || has_line_break(value)) {
        res->overflow = true;
        return;
    }
    res->headers[res->nheaders++] = (struct http_header){name, value};
}

void http_respond(struct http_req *req)
{
    struct exchange *ex = CONTAINER_OF(req, struct exchange, req);
    struct conn *c = ex->conn;

    CHECK(!ex->responded);
    ex->responded = true;
    if (c->loop->current != c) /* from the work on another request of this loop */
        loop_make_ready(c);
}

void http_resume(struct http_req *req)
{
    struct exchange *ex = CONTAINER_OF(req, struct exchange, req);

    loop_post(ex->conn->loop, &ex->resumed);
}

void http_make_way(struct http_req *req, bool awake)
{
    if (server_has_loop_due(CONTAINER_OF(req, struct exchange, req)->conn->loop->server, awake))
        sched_yield();
}

bool http_is_gone(const struct http_req *req)
{
    return atomic_load(&CONTAINER_OF(req, const struct exchange, req)->gone);
}
