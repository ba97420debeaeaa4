/*
 * api/gzip.c - answers in the content coding gzip (RFC 9110, 8.4.1.3), for clients that ask for it.
 *
 * A loop packs what takes it some 50 microseconds, about what the way to a thread and back costs. What is larger
 * is packed by the threads of long reads, so that nobody else waits for it; and if the body was made on one of these, there
 * and then. Where too many wait for them, where memory is short, and during a stop the answer goes out as it is: nothing
 * ever fails for want of this.
 *
 * Whether a body is packed depends on its length and type, and on what the client asks for. So answers that could have
 * been packed say that they vary, also those that were not; and so do those to HEAD and 304, which speak of a body
 * that they do not have. A HEAD says nothing that only packing would tell: neither the coding nor the length.
 *
 * The tag of an answer (ETag) names the version of the data, whatever they were sent in: clients take the time out of
 * it, and send it back in preconditions.
 */
#include "http/gzip.h"
#include "api/private.h"

#define AT_ONCE_BYTES (16 * KIB)
/* What it has to get smaller by: the header that says so. */
#define HEADER_BYTES sizeof "Content-Encoding: gzip\r\n"

static const str packing = STR_INIT("gzip"); /* which work it is, of a request's */

/* ---- what is packed -------------------------------------------------------------------------- */

/* Looked at for each large answer, among a dozen of headers: by the length first. */
static bool is_named(const struct http_header *h, str name)
{
    return h->name.n == name.n && str_eq_nocase(h->name, name);
}

/* Pictures, archives and their like are packed already. */
static bool is_text(str type)
{
    return api_is_json_type(type) || str_starts(type, STR("text/"));
}

/* Would a client that asks for it get it packed, if it gets smaller? A part of a body (206) is one of the body
 * as it is. */
static bool could_be_packed(const struct api_req *r)
{
    const struct http_response *out = r->out;
    if (!r->api->conf.gzip || out->body.n < r->api->conf.gzip_min_bytes ||
        !http_has_length(out->status) || out->status == 206)
        return false;
    for (unsigned i = 0; i < out->nheaders; i++) {
        const struct http_header *h = &out->headers[i];
        if (is_named(h, STR("Content-Type")) ? !is_text(h->value)
                                             : is_named(h, STR("Content-Encoding")))
            return false;
    }
    return true;
}

static bool is_head(const struct api_req *r)
{
    return r->method == METHOD_HEAD;
}

static bool is_asked_for(const struct api_req *r)
{
    return api_takes_gzip(r->headers, r->nheaders);
}

/* Was this body looked at before? (Another one may have taken its place since then.) */
static bool is_known(const struct api_req *r)
{
    return r->gzip.plain.p == r->out->body.p && r->gzip.plain.n == r->out->body.n;
}

/* Each body is looked at once. */
static bool is_to_be_packed(struct api_req *r)
{
    if (is_known(r))
        return false;
    r->gzip.plain = r->out->body;
    r->gzip.packed = STR_NONE;
    r->gzip.could_be = could_be_packed(r);
    return r->gzip.could_be && !is_head(r) && is_asked_for(r) && !arena_failed(r->arena) &&
           !r->out->overflow && !http_is_gone(r->http);
}

/* ---- packing --------------------------------------------------------------------------------- */

static bool is_in_vain(void *ctx)
{
    struct api_req *r = ctx;
    api_make_way(r);
    return http_is_gone(r->http) || api_is_stopping(r->api);
}

static enum err pack(struct api_req *r)
{
    str plain = r->gzip.plain;
    if (plain.n <= HEADER_BYTES)
        return ERR_LIMIT;
    struct http_gzip_patience patience = {is_in_vain, r};
    return http_gzip(r->arena, plain, plain.n - HEADER_BYTES, patience, &r->gzip.packed);
}

/* It is no matter why it could not be done. */
static void try_to_pack(struct api_req *r)
{
    if (pack(r) != OK)
        r->gzip.packed = STR_NONE;
}

void api_gzip_here(struct api_req *r)
{
    if (is_to_be_packed(r))
        try_to_pack(r);
}

/* On a thread of the pool. */
static enum err run_packing(struct api_work *w)
{
    api_set_aside(w->req, true);
    try_to_pack(w->req);
    api_set_aside(w->req, false);
    return OK;
}

/* False: as if it had not been begun. */
static bool begin(struct api_req *r)
{
    struct api_work *w = ARENA_NEW(r->arena, struct api_work);
    if (w == NULL) {
        arena_forgive(r->arena);
        return false;
    }
    api_work_begin(r, w, run_packing, packing, POOL_READ);
    return api_work_submit(r) == OK;
}

bool api_gzip(struct api_req *r)
{
    if (!is_to_be_packed(r))
        return false;
    if (r->gzip.plain.n > AT_ONCE_BYTES)
        return begin(r);
    try_to_pack(r);
    return false;
}

/* ---- what the headers say -------------------------------------------------------------------- */

static void add_vary(struct http_response *out)
{
    for (unsigned i = 0; i < out->nheaders; i++) {
        struct http_header *h = &out->headers[i];
        if (is_named(h, STR("Vary")) && str_eq(h->value, STR("Origin"))) {
            h->value = STR("Origin, Accept-Encoding");
            return;
        }
    }
    http_header_add(out, STR("Vary"), STR("Accept-Encoding"));
}

/* Of a HEAD on a list not even the length is known without packing, as it has no body. */
static bool varies(const struct api_req *r, bool could_be)
{
    int status = r->out->status;
    return could_be || status == 304 || (is_head(r) && http_has_length(status));
}

void api_gzip_finish(struct api_req *r)
{
    struct http_response *out = r->out;
    bool could_be = is_known(r) && r->gzip.could_be;
    if (!r->api->conf.gzip || !varies(r, could_be))
        return;
    add_vary(out);
    out->length_unsaid = could_be && is_head(r) && is_asked_for(r);
    if (!could_be || str_none(r->gzip.packed))
        return;
    out->body = r->gzip.packed;
    http_header_add(out, STR("Content-Encoding"), STR("gzip"));
}
