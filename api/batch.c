/*
 * api/batch.c - POST /batch: several requests in one transaction.
 *
 * Each part is a request of its own that walks the same pipeline: up to the session before the
 * batch's session begins (so that nothing slow happens inside), then, one after the other, inside
 * it. Each part sees what those before it did. A part that fails with 4xx does not stop the others;
 * 409, 413 and 5xx undo everything, and the batch itself answers with that error.
 */
#include "api/private.h"
#include "base/decimal.h"

struct api_batch_part {
    struct api_req *req;
    str path;             /* as it was asked for */
    enum api_step step;   /* DONE: answered before the session */
    struct api_req *then; /* NULL, or where the answer inside the session will redirect it */
    enum api_step then_step;
    struct api_req *answered; /* one of the two, when the batch has run */
};

struct headers {
    struct http_header *at;
    unsigned n;
};

struct api_batch {
    struct api_batch_part *parts;
    size_t count;
    struct headers own; /* of the batch: each part begins with them */
};

/* ---- what the batch must look like ----------------------------------------------------------- */

/* The defaults' members that a request does not have, nested ones, too. */
static enum err merge_defaults(struct arena *a, struct json *request, const struct json *defaults)
{
    str name;
    struct json *value;
    for (size_t i = 0; json_member(defaults, i, &name, &value); i++) {
        struct json *own = json_get(request, name);
        enum err e = OK;
        if (own == NULL)
            e = json_set(a, request, name, json_copy(a, value));
        else if (json_is(own, JSON_OBJECT) && json_is(value, JSON_OBJECT))
            e = merge_defaults(a, own, value);
        if (e != OK)
            return e;
    }
    return OK;
}

/* A method, or a default, that is given and empty is as if it were not there. */
static bool is_given(const struct json *v)
{
    return v != NULL && !api_is_falsy(v);
}

static void check_method(struct api_req *r, const struct json *v, str name)
{
    static const str methods[] = {STR_INIT("GET"),   STR_INIT("HEAD"), STR_INIT("DELETE"),
                                  STR_INIT("TRACE"), STR_INIT("POST"), STR_INIT("PUT"),
                                  STR_INIT("PATCH")};
    if (is_given(v))
        api_is_choice(r, v, name, "method", methods, ARRAY_LEN(methods));
}

/* As long as the server lets the target of a request be, by default. */
#define MAX_PATH_BYTES (8 * KIB)

static void check_path(struct api_req *r, const struct json *v, str name)
{
    if (api_is_path(r, v, name, "path") && json_string(v).n > MAX_PATH_BYTES)
        api_invalid_add(r, "body", name, STR("The path is too long"));
}

static void check_headers(struct api_req *r, const struct json *v, str name)
{
    if (v == NULL || !api_is_mapping(r, v, name))
        return;
    if (json_count(v) > HTTP_MAX_HEADERS) {
        api_invalid_add(r, "body", name, STR("Too many headers"));
        return;
    }
    str header;
    struct json *value;
    for (size_t i = 0; json_member(v, i, &header, &value); i++) {
        if (json_is(value, JSON_STRING))
            continue;
        api_invalid_add(
            r, "body", name,
            ARENA_JOIN(r->arena, api_python_str(r->arena, v), STR(" contains non string value")));
        return;
    }
}

static void check_request(struct api_req *r, const struct json *v, str name, bool is_default)
{
    static const str members[] = {STR_INIT("method"), STR_INIT("path"), STR_INIT("headers"),
                                  STR_INIT("body")};
    if (!api_is_mapping(r, v, name) || !api_only_members(r, v, members, ARRAY_LEN(members), name))
        return;
    struct arena *a = r->arena;
    const struct json *path = json_get(v, STR("path")), *body = json_get(v, STR("body"));
    check_method(r, json_get(v, STR("method")), ARENA_JOIN(a, name, STR(".method")));
    if (!is_default || is_given(path))
        check_path(r, path, ARENA_JOIN(a, name, STR(".path")));
    check_headers(r, json_get(v, STR("headers")), ARENA_JOIN(a, name, STR(".headers")));
    if (body)
        api_is_mapping(r, body, ARENA_JOIN(a, name, STR(".body")));
}

/* As errors name a request. */
static str numbered(struct arena *a, size_t i)
{
    char digits[DECIMAL_MAX_BYTES], *end = decimal_put_u64(digits, i);
    return ARENA_JOIN(a, STR("requests."), (str){digits, (size_t)(end - digits)});
}

static enum err check_requests(struct api_req *r, struct json *requests,
                               const struct json *defaults)
{
    if (requests == NULL) {
        api_invalid_add(r, "body", STR("requests"), STR("Required"));
        return OK;
    }
    if (!api_is_sequence(r, requests, STR("requests")))
        return OK;
    for (size_t i = 0; i < json_count(requests); i++) {
        struct json *v = json_at(requests, i);
        enum err e = OK;
        if (json_is(v, JSON_OBJECT) && json_is(defaults, JSON_OBJECT))
            e = merge_defaults(r->arena, v, defaults);
        if (e != OK)
            return e;
        check_request(r, v, numbered(r->arena, i), false);
    }
    return OK;
}

/* Before anything is looked at or copied: what is too long costs nothing. */
static bool too_many(struct api_req *r, const struct json *requests)
{
    int64_t most = r->api->conf.batch_max;
    if (most == 0 || !json_is(requests, JSON_ARRAY) || json_count(requests) <= (size_t)most)
        return false;
    api_invalid_add(
        r, "body", STR("requests"),
        arena_printf(r->arena, "Number of requests is limited to %lld", (long long)most));
    return true;
}

static const str recursive = STR_INIT("Recursive call on /batch endpoint is forbidden.");

/* As the reference sees it: by the text of a path, which is not all that leads here (check_batch). */
static void check_recursion(struct api_req *r, const struct json *requests)
{
    for (size_t i = 0; i < json_count(requests); i++) {
        str path = json_string(json_get(json_at(requests, i), STR("path")));
        if (str_find_str(path, STR("/batch")) == STR_NPOS)
            continue;
        api_invalid_add(r, "body", STR("requests"), recursive);
        return;
    }
}

static enum api_step check_batch(struct api_req *r, struct json **requests)
{
    static const str members[] = {STR_INIT("defaults"), STR_INIT("requests")};
    if (r->parent != NULL)
        return api_fail_invalid(r, "body", STR("requests"), recursive);
    r->invalid = NULL;
    if (api_body_usable(r) && api_is_mapping(r, r->root, STR("")) &&
        api_only_members(r, r->root, members, ARRAY_LEN(members), STR(""))) {
        struct json *defaults = json_get(r->root, STR("defaults"));
        *requests = json_get(r->root, STR("requests"));
        if (too_many(r, *requests))
            return api_invalid_fail(r, 400);
        if (defaults)
            check_request(r, defaults, STR("defaults"), true);
        enum err e = check_requests(r, *requests, defaults);
        if (e != OK)
            return api_fail_err(r, e);
        if (r->invalid == NULL)
            check_recursion(r, *requests);
    }
    if (arena_failed(r->arena))
        return api_fail_err(r, ERR_NOMEM);
    return r->invalid ? api_invalid_fail(r, 400) : STEP_NEXT;
}

/* ---- the parts ------------------------------------------------------------------------------- */

static void set_header(struct headers *h, str name, str value)
{
    for (unsigned i = 0; i < h->n; i++)
        if (str_eq_nocase(h->at[i].name, name)) {
            h->at[i].value = value;
            return;
        }
    h->at[h->n++] = (struct http_header){name, value};
}

/* Each name once, with all that was said under it. */
static enum err own_headers(struct api_req *r, struct headers *own)
{
    own->at = ARENA_NEW_ARRAY(r->arena, struct http_header, r->nheaders);
    if (own->at == NULL)
        return ERR_NOMEM;
    for (unsigned i = 0; i < r->nheaders; i++)
        if (!str_eq_nocase(r->headers[i].name, STR("Content-Length")))
            set_header(own, r->headers[i].name, http_header_get(r->http, r->headers[i].name));
    return OK;
}

/* The batch's own headers, with the part's over them. */
static enum err part_headers(struct api_req *r, struct api_req *part, const struct json *headers)
{
    const struct headers *own = &r->batch->own;
    size_t most = own->n + (headers ? json_count(headers) : 0) + 1;
    struct headers h = {ARENA_NEW_ARRAY(r->arena, struct http_header, most), own->n};
    if (h.at == NULL)
        return ERR_NOMEM;
    memcpy(h.at, own->at, own->n * sizeof *own->at);
    str name;
    struct json *value;
    for (size_t i = 0; headers && json_member(headers, i, &name, &value); i++)
        set_header(&h, name, json_string(value));
    if (part->body_json)
        set_header(&h, STR("Content-Type"), STR("application/json; charset=utf-8"));
    part->headers = h.at;
    part->nheaders = h.n;
    return OK;
}

static str part_target(struct api_req *r, str path)
{
    if (str_starts(path, STR("/" API_PREFIX)))
        return path;
    return ARENA_JOIN(r->arena, STR("/" API_PREFIX), path);
}

static enum err make_part(struct api_req *r, const struct json *spec, struct api_req **out)
{
    const struct json *method = json_get(spec, STR("method"));
    str target = part_target(r, json_string(json_get(spec, STR("path"))));
    struct api_req *part =
        api_req_part(r, is_given(method) ? json_string(method) : STR("GET"), target);
    if (part == NULL || str_none(target))
        return ERR_NOMEM;
    const struct json *body = json_get(spec, STR("body"));
    if (body && json_count(body) > 0)
        part->body_json = body;
    *out = part;
    return part_headers(r, part, json_get(spec, STR("headers")));
}

/* The same request once more, where the answer `redirect` sends it. NULL: no memory. */
static struct api_req *redirected(struct api_req *r, const struct api_req *part,
                                  const struct http_response *redirect)
{
    str location = api_answer_header(redirect, "Location");
    struct api_req *next = api_req_part(r, part->method_name, str_drop(location, api_origin(r).n));
    if (next == NULL)
        return NULL;
    next->headers = part->headers;
    next->nheaders = part->nheaders;
    next->body = part->body;
    next->body_json = part->body_json;
    return next;
}

/* A redirected part is asked once more. */
static enum err follow_redirect(struct api_req *r, struct api_batch_part *p)
{
    struct api_req *next = redirected(r, p->req, p->req->out);
    if (next == NULL)
        return ERR_NOMEM;
    p->req = next;
    p->step = api_run_before_session(next);
    return OK;
}

/* Below an alias a redirect is answered inside the session, when the alias has made what it makes. It
 * is known by now, so that what comes before a session comes before it for the next request, too. */
static enum err foresee_redirect(struct api_req *r, struct api_batch_part *p)
{
    struct api_req *probe = api_req_part(r, p->req->method_name, p->req->raw_path);
    if (probe == NULL)
        return ERR_NOMEM;
    probe->query = p->req->query;
    api_route_not_found(probe);
    if (probe->out->status != 307)
        return OK;
    p->then = redirected(r, p->req, probe->out);
    if (p->then == NULL)
        return ERR_NOMEM;
    p->then_step = api_run_before_session(p->then);
    return OK;
}

static enum err prepare_part(struct api_req *r, const struct json *spec, struct api_batch_part *p)
{
    enum err e = make_part(r, spec, &p->req);
    if (e != OK)
        return e;
    p->path = p->req->raw_path;
    p->step = api_run_before_session(p->req);
    if (p->step == STEP_DONE && p->req->out->status == 307)
        return follow_redirect(r, p);
    if (p->step == STEP_NEXT && p->req->route == NULL)
        return foresee_redirect(r, p);
    return OK;
}

enum api_step api_batch_prepare(struct api_req *r)
{
    struct json *requests = NULL;
    enum api_step s = api_check_origin(r);
    if (s == STEP_NEXT)
        s = check_batch(r, &requests);
    if (s != STEP_NEXT)
        return s;
    struct api_batch *b = ARENA_NEW(r->arena, struct api_batch);
    if (b)
        b->parts = ARENA_NEW_ARRAY(r->arena, struct api_batch_part, json_count(requests));
    if (b == NULL || b->parts == NULL)
        return api_fail_err(r, ERR_NOMEM);
    b->count = json_count(requests);
    r->batch = b;
    enum err e = own_headers(r, &b->own);
    for (size_t i = 0; e == OK && i < b->count; i++) {
        struct api_batch_part *p = &b->parts[i];
        e = prepare_part(r, json_at(requests, i), p);
        if (e == OK && r->retry_seconds > 0) /* all or nothing */
            return api_limit_stop_batch(r);
        if (e == OK && (p->step == STEP_WAIT || p->then_step == STEP_WAIT))
            return STEP_WAIT; /* all of them are prepared anew */
    }
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

void api_batch_set_loop(struct api_batch *b, struct api_loop *loop)
{
    for (size_t i = 0; i < b->count; i++) {
        CHECK(b->parts[i].req); /* all are prepared before a session */
        b->parts[i].req->loop = loop;
        if (b->parts[i].then)
            b->parts[i].then->loop = loop;
    }
}

/* Of single objects, so many take a fifth of a millisecond. */
#define FEW_PARTS 25

bool api_batch_is_short(const struct api_req *r)
{
    bool is_short = r->batch->count <= FEW_PARTS;
    for (size_t i = 0; is_short && i < r->batch->count; i++) {
        const struct api_batch_part *p = &r->batch->parts[i];
        is_short = api_is_short(p->req) && (p->then == NULL || api_is_short(p->then));
    }
    return is_short;
}

bool api_batch_writes(const struct api_req *r)
{
    for (size_t i = 0; i < r->batch->count; i++) {
        const struct api_batch_part *p = &r->batch->parts[i];
        if ((p->step == STEP_NEXT && api_needs_write(p->req)) ||
            (p->then && p->then_step == STEP_NEXT && api_needs_write(p->then)))
            return true;
    }
    return false;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* Decoded, without the query; of a part that was redirected, where it was sent, unless an error stopped
 * it there. */
static str answered_path(const struct api_batch_part *p)
{
    str raw = api_was_stopped(p->answered) ? p->path : p->answered->raw_path;
    str path = http_url_decode(p->answered->arena, raw, false);
    return str_utf8_valid(path) ? path : raw;
}

static void write_part(const struct api_batch_part *p, struct buf *b)
{
    struct api_req *part = p->answered;
    struct http_response *out = part->out;
    bool has_body = part->method != METHOD_HEAD && out->status != 304;
    api_finish_headers(part);
    buf_add_lit(b, "{\"status\":");
    buf_add_u64(b, (uint64_t)out->status);
    buf_add_lit(b, ",\"path\":");
    json_write_string(b, answered_path(p));
    buf_add_lit(b, ",\"headers\":{");
    for (unsigned i = 0; i < out->nheaders; i++) {
        json_write_string(b, out->headers[i].name);
        buf_add_char(b, ':');
        json_write_string(b, out->headers[i].value);
        buf_add_char(b, ',');
    }
    buf_add_lit(b, "\"Content-Length\":\"");
    buf_add_u64(b, out->body.n);
    buf_add_lit(b, "\"},\"body\":");
    if (has_body && str_eq(api_answer_header(out, "Content-Type"), STR("application/json")))
        buf_add_str(b, out->body);
    else
        json_write_string(b, has_body ? out->body : STR(""));
    buf_add_char(b, '}');
}

/* WRITE or WAIT, or else the request has its answer. */
static enum api_step run_in_batch(struct api_req *r, struct api_req *part, enum api_step step)
{
    if (step != STEP_NEXT)
        return step;
    part->session = r->session;
    api_observe_begin(part);
    enum api_step s = api_run_in_session(part);
    api_observe_end(part);
    return s;
}

/* One answer for all parts; nothing of the batch stays. */
static enum api_step fail_batch(struct api_req *r, enum api_error e)
{
    r->out->nheaders = 0;
    return api_fail(r, e);
}

/* What a part could not do becomes the answer of the batch. */
static enum api_step fail_as(struct api_req *r, const struct api_req *part)
{
    int status = part->out->status;
    if (status == 409 || status == 500 || status == 503)
        return fail_batch(r, api_error_of_status(status));
    r->out->nheaders = 0;
    r->failed = true;
    return api_reply_json(r, status, part->out->body);
}

/* NEXT: the part has its answer. */
static enum api_step run_part(struct api_req *r, struct api_batch_part *p)
{
    enum api_step s = run_in_batch(r, p->req, p->step);
    p->answered = p->req;
    if (s == STEP_DONE && p->then && p->req->out->status == 307) {
        s = run_in_batch(r, p->then, p->then_step);
        p->answered = p->then;
    }
    if (s != STEP_DONE)
        return s;
    return api_undoes(p->answered->out->status) ? fail_as(r, p->answered) : STEP_NEXT;
}

struct api_req *api_batch_answered(const struct api_req *r, size_t i)
{
    return r->batch->parts[i].answered;
}

size_t api_batch_parts(const struct api_req *r)
{
    return r->batch->count;
}

enum api_step api_batch(struct api_req *r)
{
    for (size_t i = 0; i < r->batch->count; i++) {
        enum api_step s = store_work(r->session) > STORE_WORK_MAX
                              ? fail_batch(r, API_ERR_TOO_LARGE)
                              : run_part(r, &r->batch->parts[i]);
        if (s != STEP_NEXT)
            return s;
    }
    struct buf b;
    buf_init_arena(&b, r->arena, SIZE_MAX / 2);
    buf_add_lit(&b, "{\"responses\":[");
    for (size_t i = 0; i < r->batch->count; i++) {
        if (i)
            buf_add_char(&b, ',');
        write_part(&r->batch->parts[i], &b);
    }
    buf_add_lit(&b, "]}");
    return api_arena_reply(r, 200, &b);
}
