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
 * requests leave together. An idle connection holds some 500 bytes (TLS: mbedtls' buffers too, 48 KiB,
 * from its first byte on), a head on its way 4 KiB more, a request in work about 14 KiB and its body.
 * TLS handshakes are computed on threads of their own, one a loop, so that they hold no loop up.
 *
 * Threads: app functions run on loop threads, and what they call belongs there, but where it says
 * "any thread". Bind, run, give, reload and stop are for the thread that started the server, or another
 * one at a time. The loops take no signals (base/thread.h). SIGPIPE is never raised by this room, so the
 * process need not ignore it for its sake.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "base/settings.h"
#include <sys/types.h>

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
    /* On HEAD: how long the body of a GET would be is not known (RFC 9110, 8.6). No Content-Length. */
    bool length_unsaid;
    bool close; /* close the connection behind this response */
};

/* Nothing is said yet. Places of headers that are not used stay as they are. */
static inline void http_response_init(struct http_response *res)
{
    res->status = 0;
    res->nheaders = 0;
    res->overflow = res->length_unsaid = res->close = false;
    res->body = STR("");
}

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
    str body;         /* chunked bodies joined; "" when there is none */
    str peer;         /* "192.0.2.1", "::1", "unix": see base/net.h */
    uint64_t network; /* net_network(peer) */
    bool tls;
    struct http_response res;
    /* The application's; NULL at first: in admit(), and again in handle() or refuse(). */
    void *app_data;
};

/* The value of a header (name in any case); several of one name are joined with ", " in the arena.
 * STR_NONE: absent (or the arena is full). */
str http_header_get(struct http_req *req, str name);

/* Borrows both. Content-Length, Connection, Date and Server are the server's own business. A head
 * of more than 32 KiB is replaced by a 500. */
void http_header_add(struct http_response *res, str name, str value);

/* Does an answer with that status have a Content-Length, and, but to a HEAD, a body? RFC 9110, 8.6 and 6.4.1. */
static inline bool http_has_length(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/*
 * Sends req->res (the request's loop thread only; exactly once for each request). On HEAD, 204 and
 * 304 the body is left out; Content-Length is sent as for a GET on HEAD (unless res says that it is not
 * known), never on 204 and 304.
 * A handler may call it for other parked requests of its loop, too. Nothing is sent before the
 * calling handler has returned: until then the request is valid.
 */
void http_respond(struct http_req *req);

/* A parked request is ready: app->resume will be called on its loop. Any thread, exactly once for
 * each time that it was parked (resume may park it again, by not responding). */
void http_resume(struct http_req *req);
/* The client of a request that is, or was, parked has gone: nobody is there to be answered. Any thread. */
bool http_is_gone(const struct http_req *req);

/* For a thread that computes for long, every now and then: a loop that was woken and would run on this thread's processor goes
 * first. `awake`: so does one that had begun to run there, and was interrupted. (Schedulers let a thread go on for
 * some milliseconds whoever is woken meanwhile, though it be of low priority: sched(7). But who lets others go first whenever
 * they want has hardly anything where they always do.) A microsecond; any thread that is no loop's. */
void http_make_way(struct http_req *req, bool awake);

/* ---- the application ------------------------------------------------------------------------- */

struct http_app {
    void *ctx;
    /* Once for each loop, on its thread, before the first request: returns the loop's context
     * (NULL: failure, the server does not start). `index` counts from 0. */
    void *(*loop_start)(void *ctx, unsigned index);
    void (*loop_stop)(void *loop_ctx);
    /*
     * The head is here, and the body, if there is one, has not been looked at yet: is it wanted? False: the
     * application has filled res, as in refuse(); the connection ends behind it if a body is to come. Asked
     * about every well-formed head, also of those that the server itself answers then (a redirection, 413,
     * https only). What it makes in the request's arena is gone when it answers true, and app_data with it.
     * NULL: always.
     */
    bool (*admit)(void *loop_ctx, struct http_req *req);
    void (*handle)(void *loop_ctx, struct http_req *req);
    void (*resume)(void *loop_ctx, struct http_req *req);
    /* All that had come for the loop has been handled or resumed: it is about to wait for more. Returns for how many
     * nanoseconds something is so near that it should rather look for it again and again than sleep; 0: it may
     * sleep. NULL: the same. */
    uint64_t (*turn_end)(void *loop_ctx);
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
    bool redirect; /* plain HTTP; each request is sent to the same on https (301, 308) */
    /* > 0: a socket that listens already (whoever started the process made it), taken over; host is for
     * messages, port is not looked at, and a Unix socket's file stays at the stop. */
    int fd;
};

/*
 * PEM files in pairs: a chain, the server's own certificate first, and its key. The paths are
 * NUL-terminated. A client that names a host (SNI) gets the certificate that has it, any other one
 * the first; RSA and ECDSA for one name may stand beside each other. 0: no TLS.
 */
struct http_tls_options {
    const str *certificates, *keys;
    size_t count;
};

struct http_options {
    const struct http_listen *listen;
    unsigned nlisten;
    unsigned loops; /* worker threads; 0: as many as there are CPUs */
    struct http_tls_options tls;
    struct http_app app;
    const char *server_name; /* value of the Server header, or NULL for none */
    unsigned unix_mode;      /* who may connect to Unix sockets: bits of chmod(2) [0600] */
    /* host[:port] that redirections go to; NULL: the Host header's, and the port of the first
     * address with TLS. */
    const char *redirect_host;
    unsigned hsts_seconds; /* Strict-Transport-Security (RFC 6797) over TLS; 0: none */
    bool hsts_subdomains;
    uint64_t memory_bytes; /* that the process may use [os_memory_limit] */
    /* Limits; 0 takes the default in brackets. */
    size_t max_head_bytes;   /* request line and headers [16 KiB] */
    size_t max_target_bytes; /* [8 KiB] */
    size_t max_body_bytes;   /* [16 MiB] */
    size_t max_arena_bytes;  /* a request's arena, beside body and head [256 MiB] */
    /* What all requests together hold beyond their fixed parts (see above) [half of memory_bytes, 16 to
     * 512 MiB]. An eighth is kept for requests that hold up to
     * 128 KiB (with the TLS session); one network (base/net.h) gets 13/16 at most. Over it: 503. */
    size_t max_total_bytes;
    /* Over all loops [4096], and no more than RLIMIT_NOFILE leaves beside some 64 descriptors when run is
     * called. When they are all there, a new one takes the place of one that can be spared; without such a
     * one it is closed at once. */
    unsigned max_connections;
    unsigned max_network_connections; /* of one network; more are closed at once [0: any number] */
    unsigned head_timeout_ms;         /* from the first byte of a head to its end [10,000] */
    unsigned body_timeout_ms; /* in which more of a body has to come, see min_rate [10,000] */
    unsigned idle_timeout_ms; /* keep-alive without a request [75,000] */
    unsigned send_timeout_ms; /* in which more of a response has to go, see min_rate [30,000] */
    /* Bytes a second, on average over the time-out of bodies and of responses, that a client has to
     * move; the last bytes may be fewer [0: any byte will do]. */
    unsigned min_rate;
    unsigned stop_timeout_ms; /* http_server_stop cuts off what is unfinished then [400] */
};

/*
 * Binds, loads the certificate, and starts the loops; `options` and what it points to are needed
 * during the call only. detail names what failed (address, file): BUSY the address is in use,
 * SYNTAX it is none, or a file is not what it should be, CONFLICT key and certificate differ,
 * EXISTS the Unix socket's path is another file, FAILED a loop_start returned NULL, RANGE the
 * server's name is too long; NOTFOUND, LIMIT a file of TLS; NOMEM, IO.
 */
MUST_CHECK enum err http_server_start(struct http_server **out, const struct http_options *options,
                                      struct err_detail *detail);
/*
 * The same in two steps, for a process that gives up its rights in between: what needs them (ports below
 * 1024, the file of the private key) is done by bind, and nobody is served before run. What connects to a
 * Unix socket or one that was taken over waits until then; TCP refuses it. options->app is not looked at.
 * When run fails, *s is to be given to http_server_stop. One thread, before others are made (the umask is
 * changed for a moment).
 */
MUST_CHECK enum err http_server_bind(struct http_server **out, const struct http_options *options,
                                     struct err_detail *detail);
MUST_CHECK enum err http_server_run(struct http_server *s, const struct http_app *app,
                                    struct err_detail *detail);
/* Gives the files of the Unix sockets that bind has made to this user. NOTFOUND: one is there no more;
 * REFUSED, IO and what else the system says (err_from_errno()). */
MUST_CHECK enum err http_server_give(struct http_server *s, uid_t uid, gid_t gid,
                                     struct err_detail *detail);
/*
 * Have all loops taken a turn since the last call? The first call says true. It wakes each for one, so ask
 * at intervals that are long for a loop (seconds): false means that one hangs. One thread.
 */
bool http_server_turns(struct http_server *s);
/* The port of listen[i] (the one chosen by the kernel for 0); 0 for Unix sockets. */
uint16_t http_server_port(const struct http_server *s, unsigned i);
/*
 * Reads the files of TLS anew (they may be others), for connections to come; those that are open go on as
 * they are. Errors as above, and REFUSED, a file is no regular one: then everything stays as it is.
 * UNSUPPORTED: it was started without TLS. Any thread, one at a time.
 */
MUST_CHECK enum err http_server_reload_tls(struct http_server *s, const struct http_tls_options *o,
                                           struct err_detail *detail);
/*
 * Closes the listening sockets at once, lets requests in work finish (up to stop_timeout_ms),
 * closes idle connections, ends and joins the loops, and releases everything. Requests that are
 * still parked then are waited for: whoever parked them must resume them.
 */
void http_server_stop(struct http_server *s);

struct http_stats {
    uint64_t connections, requests, refused;
    unsigned open_connections;
    size_t memory_bytes; /* of max_total_bytes */
};
void http_server_stats(const struct http_server *s, struct http_stats *out);

/* ---- a certificate for a try ----------------------------------------------------------------- */

#define HTTP_FINGERPRINT 96 /* 32 times "A1:", the last colon a NUL */

struct http_self_signed {
    struct buf certificate, key; /* PEM */
    char fingerprint[HTTP_FINGERPRINT];
};
/*
 * A new key (ECDSA, P-256) and a certificate that it signs itself (RFC 5280), for hosts and addresses
 * ("example.org", "*.local", "192.0.2.1", "::1"), from an hour before now_s (seconds since 1970) to
 * `days` behind it. SYNTAX: a name is none; LIMIT: too many; FAILED, NOMEM. On success the caller frees it.
 */
MUST_CHECK enum err http_self_signed_make(struct http_self_signed *out, const str *names, size_t n,
                                          int64_t now_s, unsigned days, struct err_detail *d);
bool http_self_signed_takes(str name);                  /* as a host or an address */
void http_self_signed_free(struct http_self_signed *s); /* the key is wiped */

/* One of the characters that tokens are made of (RFC 9110, 5.6.2)? */
bool http_is_token_char(char c);
bool http_is_token(str s); /* one of them at least, and nothing else */

/* What a Host header may be (RFC 9110, 7.2): "example.org", "example.org:80", "[::1]:80", or nothing. */
bool http_is_host(str s);

/* ---- URLs (RFC 3986) ------------------------------------------------------------------------- */

/* Percent-decoding into the arena (a slice of `in` when there is nothing to decode). `plus`: '+' is
 * a space (queries). A '%' without two hex digits stays as it is. STR_NONE: the arena is full. */
str http_url_decode(struct arena *a, str in, bool plus);
/* Percent-encodes everything but unreserved characters and those in `keep` (NULL: none). */
void http_url_encode(struct buf *b, str in, const char *keep);
/* The next name=value of a query, decoded: loop while it returns true. Parts are separated by '&' or,
 * as HTML 4 (B.2.2) asked of servers and the reference does, by ';'. A part without '=' has an empty
 * value; empty parts are skipped. STR_NONE for either: the arena is full. */
bool http_query_next(struct arena *a, str *rest, str *name, str *value);
size_t http_query_bound(str query); /* it has no more parts than that */

/* ---- settings ---------------------------------------------------------------------------- */

extern const struct setting_table http_settings;

/* What cannot work, with file and line in the detail: a combination (UNSUPPORTED), a value that its row
 * cannot refuse (SYNTAX, RANGE). */
MUST_CHECK enum err http_settings_check(const struct settings *s, struct err_detail *d);

/* Everything but `listen`, `app` and `redirect_host`; strings are borrowed from s. What is unset has
 * the default of its row. */
void http_options_load(struct http_options *o, const struct settings *s);

/* Is there a certificate? */
bool http_tls_is_wanted(const struct settings *s);
/* The part of it that http_server_reload_tls wants. */
void http_tls_load(struct http_tls_options *o, const struct settings *s);

/* Where to listen, at most HTTP_MAX_LISTEN places; strings lie in the arena. SYNTAX, RANGE,
 * NOMEM. */
#define HTTP_MAX_LISTEN 16
MUST_CHECK enum err http_listen_load(const struct settings *s, struct arena *a,
                                     struct http_listen *out, unsigned *count,
                                     struct err_detail *d);

#endif
