/*
 * What the API needs of the HTTP server, without sockets: requests that a test makes, and answers
 * that it can look at. For the one .c file of a test program.
 *
 * It defines http_respond, http_resume, http_header_get and http_header_add, which is all of
 * http/request.c that an application calls; so that member of the library is not linked, nor what
 * it needs. A request runs on the calling thread as on a loop: handle(), then, when it was parked,
 * resume() as soon as somebody has called http_resume (the store's committer does).
 *
 * fake_ask() insists that every answer can be sent: one response, a status, headers and a body that
 * are there, and no promise that is broken (see must_be_sendable).
 */
#ifndef TEST_SUPPORT_FAKE_HTTP_H
#define TEST_SUPPORT_FAKE_HTTP_H

#include "test/support/unit.h"

#include "http/http.h"
#include "json/json.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define FAKE_DEADLINE_S 60

struct fake_exchange {
    struct http_req req; /* first: http_respond() and http_resume() get its address */
    bool responded, resumed;
};

/* Where the memory of the requests comes from; a test may change it. */
static struct {
    size_t first_bytes; /* of the first chunk, which is part of the exchange */
    size_t budget;
    unsigned fail_chunk; /* the n-th chunk of a request fails; 0: none */
} fake_memory = {.budget = 256 * MIB};

static pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fake_changed = PTHREAD_COND_INITIALIZER;

struct fake_answer {
    int status;
    struct http_header *headers;
    unsigned nheaders;
    bool close;
    str body;
    struct json *json; /* the body, when it is JSON */
    bool out_of_memory;
    size_t used; /* chunks of the arena, in bytes */
};

/* ---- what http/request.c defines ------------------------------------------------------------- */

str http_header_get(struct http_req *req, str name)
{
    str found = STR_NONE;

    for (unsigned i = 0; i < req->nheaders; i++) {
        const struct http_header *h = &req->headers[i];
        if (!str_eq_nocase(h->name, name))
            continue;
        found = str_none(found) ? h->value
                                : arena_concat(req->arena, (str[]){found, STR(", "), h->value}, 3);
        if (str_none(found))
            return found;
    }
    return found;
}

void http_header_add(struct http_response *res, str name, str value)
{
    if (res->nheaders == HTTP_MAX_RES_HEADERS)
        res->overflow = true;
    else
        res->headers[res->nheaders++] = (struct http_header){name, value};
}

void http_respond(struct http_req *req)
{
    struct fake_exchange *ex = CONTAINER_OF(req, struct fake_exchange, req);

    ck_assert_msg(!ex->responded, "answered twice");
    ex->responded = true;
}

void http_resume(struct http_req *req)
{
    struct fake_exchange *ex = CONTAINER_OF(req, struct fake_exchange, req);

    pthread_mutex_lock(&fake_lock);
    ck_assert_msg(!ex->resumed, "resumed twice");
    ex->resumed = true;
    pthread_cond_broadcast(&fake_changed);
    pthread_mutex_unlock(&fake_lock);
}

bool http_is_gone(const struct http_req *req)
{
    (void)req;
    return false;
}

static atomic_uint fake_ways_made; /* times that a loop could have gone first */

void http_make_way(struct http_req *req, bool awake)
{
    (void)awake;
    ck_assert_ptr_nonnull(req);
    atomic_fetch_add(&fake_ways_made, 1);
}

static inline void fake_wait_resumed(struct fake_exchange *ex)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += FAKE_DEADLINE_S;
    pthread_mutex_lock(&fake_lock);
    while (!ex->resumed)
        ck_assert_msg(pthread_cond_timedwait(&fake_changed, &fake_lock, &deadline) != ETIMEDOUT,
                      "a parked request was never resumed");
    ex->resumed = false;
    pthread_mutex_unlock(&fake_lock);
}

/* ---- a request ------------------------------------------------------------------------------- */

/* "Name: value\n..." */
static inline void fake_headers(struct http_req *req, struct arena *a, str text)
{
    req->headers = ARENA_NEW_ARRAY(a, struct http_header, HTTP_MAX_HEADERS);
    ck_assert_ptr_nonnull(req->headers);
    while (!str_none(text)) {
        str value = str_cut(&text, '\n'), name = str_cut(&value, ':');
        if (name.n == 0)
            continue;
        ck_assert_uint_lt(req->nheaders, HTTP_MAX_HEADERS);
        req->headers[req->nheaders++] = (struct http_header){name, str_trim(value)};
    }
}

static inline bool fake_has_line_break(str s)
{
    return str_find(s, '\r') != STR_NPOS || str_find(s, '\n') != STR_NPOS ||
           str_find(s, '\0') != STR_NPOS;
}

static inline str fake_header(const struct fake_answer *a, const char *name)
{
    for (unsigned i = 0; i < a->nheaders; i++)
        if (str_eq_nocase(a->headers[i].name, str_from(name)))
            return a->headers[i].value;
    return STR_NONE;
}

static inline int64_t fake_number(const struct json *object, const char *name)
{
    int64_t n = -1;
    const struct json *v = json_get_typed(object, str_from(name), JSON_NUMBER);

    ck_assert_msg(v != NULL && json_to_i64(v, &n) == OK, "no number \"%s\"", name);
    return n;
}

/* What holds for every answer, whatever was asked and whatever went wrong. */
static inline void must_be_sendable(struct fake_answer *a, struct arena *keep, const char *what)
{
    ck_assert_msg(a->status >= 200 && a->status < 600, "%s: status %d", what, a->status);
    ck_assert_msg(a->body.n == 0 || !str_none(a->body), "%s: no body", what);
    for (unsigned i = 0; i < a->nheaders; i++) {
        struct http_header h = a->headers[i];
        ck_assert_msg(!str_none(h.name) && !str_none(h.value) && h.name.n > 0,
                      "%s: %d with half a header \"" STR_FMT "\"", what, a->status,
                      STR_ARG(h.name));
        ck_assert_msg(!fake_has_line_break(h.name) && !fake_has_line_break(h.value),
                      "%s: a header of two lines", what);
    }
    bool is_json = str_eq(fake_header(a, "Content-Type"), STR("application/json"));
    if (is_json && str_none(fake_header(a, "Content-Encoding")))
        ck_assert_msg(json_parse(keep, a->body, &a->json, NULL) == OK, "%s: %d: no JSON: " STR_FMT,
                      what, a->status, STR_ARG(a->body));
    if (a->status < 400)
        return;
    ck_assert_msg(json_is(a->json, JSON_OBJECT), "%s: %d without an error object", what, a->status);
    ck_assert_int_eq(fake_number(a->json, "code"), a->status);
    ck_assert_int_gt(fake_number(a->json, "errno"), 99);
    ck_assert_ptr_nonnull(json_get_typed(a->json, STR("error"), JSON_STRING));
}

static inline struct fake_answer *fake_keep(struct fake_exchange *ex, struct arena *keep,
                                            const char *what)
{
    struct http_response *res = &ex->req.res;
    struct fake_answer *a = ARENA_NEW(keep, struct fake_answer);

    ck_assert_ptr_nonnull(a);
    ck_assert_msg(!res->overflow, "%s: too many headers", what);
    a->status = res->status;
    a->close = res->close;
    a->body = str_none(res->body) ? STR_NONE : arena_str(keep, res->body);
    a->nheaders = res->nheaders;
    a->headers = ARENA_NEW_ARRAY(keep, struct http_header, res->nheaders + 1);
    ck_assert_ptr_nonnull(a->headers);
    for (unsigned i = 0; i < res->nheaders; i++) {
        struct http_header h = res->headers[i];
        a->headers[i].name = str_none(h.name) ? h.name : arena_str(keep, h.name);
        a->headers[i].value = str_none(h.value) ? h.value : arena_str(keep, h.value);
    }
    a->out_of_memory = arena_failed(ex->req.arena);
    a->used = ex->req.arena->used;
    return a;
}

/* Asks, and returns the answer, which lies in `keep`; headers may be none. */
static inline struct fake_answer *fake_ask(const struct http_app *app, void *loop,
                                           struct arena *keep, const char *method, str target,
                                           str headers, str body)
{
    struct fake_exchange *ex = ARENA_NEW(keep, struct fake_exchange);
    struct arena arena;
    struct arena_spares spares = {.max_chunks = 4}; /* as a loop has them */
    void *first = NULL;

    ck_assert_ptr_nonnull(ex);
    if (fake_memory.first_bytes > 0)
        first = arena_alloc(keep, fake_memory.first_bytes);
    arena_init(&arena, first, first != NULL ? fake_memory.first_bytes : 0, &spares,
               fake_memory.budget);
    ex->req = (struct http_req){
        .arena = &arena,
        .method = str_from(method),
        .target = target,
        .query = target,
        .minor = 1,
        .body = body,
        .peer = STR("127.0.0.1"),
        .res.body = STR(""),
    };
    ex->req.path = str_cut(&ex->req.query, '?');
    fake_headers(&ex->req, keep, headers);
    arena_test_fail_chunk(fake_memory.fail_chunk);
    app->handle(loop, &ex->req);
    while (!ex->responded) {
        app->turn_end(loop);
        fake_wait_resumed(ex);
        app->resume(loop, &ex->req);
    }
    app->turn_end(loop);
    arena_test_fail_chunk(0);
    str what = arena_printf(keep, "%s " STR_FMT, method, STR_ARG(target));
    struct fake_answer *a = fake_keep(ex, keep, what.p);
    arena_fini(&arena);
    arena_spares_fini(&spares);
    must_be_sendable(a, keep, what.p);
    return a;
}

#endif
