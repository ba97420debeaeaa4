/*
 * http/http.h - the HTTP/1.1 server (RFC 9110, RFC 9112): sockets, TLS, parsing, time-outs,
 * sending.
 *
 * It knows nothing of what is served. A worker thread a core runs an epoll loop with listening
 * sockets of its own (SO_REUSEPORT); a connection stays on the loop that accepted it. The loop
 * reads a whole request (head and body, within the limits), hands it to app->handle, and sends the
 * response that the handler built. One request of a connection is in work at a time; pipelined ones
 * wait in the buffer.
 *
 *     handle(loop_ctx, req):  fill req->res, then http_respond(req)             - at once, or
 *                             return without; later http_resume(req) from any thread makes the
 *                             loop call app->resume(loop_ctx, req), which responds - parked
 *
 * Memory: everything in `req` (strings, headers, body) is borrowed from the connection and valid
 * until the response is out; what the handler makes it makes in req->arena, which is reset then.
 * If the client goes away while a request is parked, the request stays valid until it is resumed
 * and its response is dropped.
 *
 * What a request may look like is strict (http/parse.c): whatever two servers in a row might read
 * in two ways is refused. After a refusal the connection is closed, in such a way that the client
 * can still read why.
 *
 * Cost: a keep-alive request is one read and one write, without malloc; responses to pipelined
 * requests leave together. An idle connection holds some 400 bytes (TLS: mbedtls' buffers too), a
 * head on its way 4 KiB more, a request in work about 14 KiB and its body.
 *
 * Threads: app functions run on loop threads; only http_resume, http_server_stats and
 * http_server_stop may be called from elsewhere. The loops' threads block all signals. SIGPIPE is
 * never raised by this room, so the process need not ignore it for its sake.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "base/settings.h"

struct http_server;

/* ---- request and response ---------------------------------------------------------------- */

struct http_header {
    str name, value; /* value without surrounding white space */
};

#define HTTP_MAX_HEADERS     100 /* of a request; more are refused with 431 */
#define HTTP_MAX_RES_HEADERS 48

struct http_response {
    int status;
    struct http_header headers[HTTP_MAX_RES_HEADERS]; /* borrowed; must not hold CR LF NUL */
    unsigned nheaders;
    bool overflow; /* a header too many, or one with a line break: 500 is sent instead */
    str body;      /* borrowed until sent: the request's arena, or static */
    bool close;    /* close the connection behind this response */
};

struct http_req {
    struct arena *arena;
    str method; /* as sent: upper case is not forced */
    /* As sent: "/v1/buckets?x=1", or "*" (OPTIONS only), or an absolute URL cut to its path, whose
     * host is then the value of the Host header (RFC 9112, 3.2.2). */
    str target;
    str path, query; /* target split at '?'; still percent-encoded; query may be none */
    unsigned minor;  /* HTTP/1.minor: 0 or 1 */
    struct http_header *headers;
    unsigned nheaders;
    str body; /* chunked bodies joined; "" when there is none */
    str peer; /* "192.0.2.1", "::1", "unix" */
    bool tls;
    struct http_response res;
    void *app_data; /* the application's, NULL at first */
};

/* The value of a header (name in any case); several of one name are joined with ", " in the arena.
 * STR_NONE: absent (or the arena is full). */
str http_header_get(struct http_req *req, str name);

/* Borrows both. Content-Length, Connection, Date and Server are the server's own business. A head
 * of more than 32 KiB is replaced by a 500. */
void http_header_add(struct http_response *res, str name, str value);

/*
 * Sends req->res (the request's loop thread only; exactly once for each request). On HEAD, 204 and
 * 304 the body is left out; Content-Length is sent as for a GET on HEAD, never on 204 and 304.
 * A handler may call it for other parked requests of its loop, too. Nothing is sent before the
 * calling handler has returned: until then the request is valid.
 */
void http_respond(struct http_req *req);

/* A parked request is ready: app->resume will be called on its loop. Any thread, exactly once for
 * each time that it was parked (resume may park it again, by not responding). */
void http_resume(struct http_req *req);

/* ---- the application ------------------------------------------------------------------------- */

struct http_app {
    void *ctx;
    /* Once for each loop, on its thread, before the first request: returns the loop's context
     * (NULL: failure, the server does not start). `index` counts from 0. */
    void *(*loop_start)(void *ctx, unsigned index);
    void (*loop_stop)(void *loop_ctx);
    void (*handle)(void *loop_ctx, struct http_req *req);
    void (*resume)(void *loop_ctx, struct http_req *req);
    /*
     * The server itself refuses a request: 400 malformed, 408 too slow, 413 body too large, 414
     * target too long, 417, 431 head too large, 501 unknown transfer coding, 503 no memory for the
     * body, 505. The application may fill res (status is set) with its own form of error; it must
     * not park and need not call http_respond. method and path may be empty; headers are those that
     * had been read. `reason` is a static sentence. NULL: the reason is sent as text.
     */
    void (*refuse)(void *loop_ctx, struct http_req *req, const char *reason);
};

/* ---- the server ------------------------------------------------------------------------------ */

struct http_listen {
    /* "127.0.0.1", "::1", "0.0.0.0" or "*"; "::" (IPv4 too, unless an IPv4 address with the same
     * port is in the list); "localhost" (127.0.0.1, and ::1 where there is one); "unix:/path" (a
     * stale file is replaced, ours is removed at the stop). Other names are not looked up. */
    str host;
    uint16_t port; /* 0: any free one, see http_server_port */
    bool tls;
};

struct http_tls_options { /* PEM files; both NULL: no TLS */
    const char *certificate, *key;
};

struct http_options {
    const struct http_listen *listen;
    unsigned nlisten;
    unsigned loops; /* worker threads; 0: as many as there are CPUs */
    struct http_tls_options tls;
    struct http_app app;
    const char *server_name; /* value of the Server header, or NULL for none */
    /* Limits; 0 takes the default in brackets. */
    size_t max_head_bytes;    /* request line and headers [16 KiB] */
    size_t max_target_bytes;  /* [8 KiB] */
    size_t max_body_bytes;    /* [16 MiB] */
    size_t max_arena_bytes;   /* a request's arena, beside body and head [256 MiB] */
    unsigned max_connections; /* over all loops; more are closed at once [4096] */
    unsigned head_timeout_ms; /* from the first byte of a head to its end [10,000] */
    unsigned body_timeout_ms; /* between two reads of a body [10,000] */
    unsigned idle_timeout_ms; /* keep-alive without a request [75,000] */
    unsigned send_timeout_ms; /* without progress in sending [30,000] */
    unsigned stop_timeout_ms; /* http_server_stop cuts off what is unfinished then [400] */
};

/*
 * Binds, loads the certificate, and starts the loops; `options` and what it points to are needed
 * during the call only. detail names what failed (address, file): BUSY the address is in use,
 * SYNTAX it is none, or a file is not what it should be, CONFLICT key and certificate differ,
 * EXISTS the Unix socket's path is another file, FAILED a loop_start returned NULL, RANGE the
 * server's name is too long; NOMEM, IO.
 */
MUST_CHECK enum err http_server_start(struct http_server **out, const struct http_options *options,
                                      struct err_detail *detail);
/* The port of listen[i] (the one chosen by the kernel for 0); 0 for Unix sockets. */
uint16_t http_server_port(const struct http_server *s, unsigned i);
/*
 * Closes the listening sockets at once, lets requests in work finish (up to stop_timeout_ms),
 * closes idle connections, ends and joins the loops, and releases everything. Requests that are
 * still parked then are waited for: whoever parked them must resume them.
 */
void http_server_stop(struct http_server *s);

struct http_stats {
    uint64_t connections, requests, refused;
    unsigned open_connections;
};
void http_server_stats(const struct http_server *s, struct http_stats *out);

/* One of the characters that tokens are made of (RFC 9110, 5.6.2)? */
bool http_is_token_char(char c);
bool http_is_token(str s); /* one of them at least, and nothing else */

/* ---- URLs (RFC 3986) ------------------------------------------------------------------------- */

/* Percent-decoding into the arena (a slice of `in` when there is nothing to decode). `plus`: '+' is
 * a space (queries). A '%' without two hex digits stays as it is. STR_NONE: the arena is full. */
str http_url_decode(struct arena *a, str in, bool plus);
/* Percent-encodes everything but unreserved characters and those in `keep` (NULL: none). */
void http_url_encode(struct buf *b, str in, const char *keep);
/* The next name=value of a query, decoded: loop while it returns true. A part without '=' has an
 * empty value; empty parts are skipped. STR_NONE for either: the arena is full. */
bool http_query_next(struct arena *a, str *rest, str *name, str *value);

/* ---- settings ---------------------------------------------------------------------------- */

extern const struct setting_table http_settings;

/* A combination that cannot work: UNSUPPORTED, with file and line in the detail. */
MUST_CHECK enum err http_settings_check(const struct settings *s, struct err_detail *d);

/* Everything but `listen` and `app`; strings are borrowed from s. Limits that are unset stay 0. */
void http_options_load(struct http_options *o, const struct settings *s);

/* Where to listen, at most HTTP_MAX_LISTEN places; strings lie in s or the arena. SYNTAX, RANGE,
 * NOMEM. */
#define HTTP_MAX_LISTEN 16
MUST_CHECK enum err http_listen_load(const struct settings *s, struct arena *a,
                                     struct http_listen *out, unsigned *count,
                                     struct err_detail *d);

#endif
