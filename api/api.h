/*
 * api/api.h - Kinto's HTTP API: what answers a request, and the hooks that plugins fill.
 *
 * A request walks the steps of api/pipeline.c (the list there is the code): route, authenticate,
 * begin a session, authorize, validate, handle, commit, respond. Reads run on a snapshot; writes
 * run inside one write transaction, and their response leaves when that transaction is durable.
 *
 *     api_new(&api, &options, &detail);
 *     plugins_load(api, settings, &detail);
 *     api_describe(api);
 *     http_options.app = api_http_app(api);
 *
 * Threads: api_new, the api_add_* functions and api_free belong to the main thread, before and
 * after the server runs. Handlers and hooks run on loop threads, one request at a time each.
 *
 * Memory: a struct api_req and everything made for it lie in the request's arena.
 */
#ifndef API_API_H
#define API_API_H

#include "base/settings.h"
#include "http/http.h"
#include "store/store.h"

struct api;
struct api_req;

extern const struct setting_table api_settings;
/* What this build cannot do yet: UNSUPPORTED, with file and line in the detail; warnings go to the
 * log. */
MUST_CHECK enum err api_settings_check(const struct settings *s, struct err_detail *d);

struct api_options {
    struct store *store;             /* borrowed */
    const struct settings *settings; /* borrowed */
    str config_path;                 /* of the INI, or none */
    str config_sha256;               /* of its bytes, in hex */
    int64_t config_modified_us;
    str version; /* of this program */
};

/* SYNTAX, UNSUPPORTED: a setting that cannot be used; the detail says which and where. */
MUST_CHECK enum err api_new(struct api **out, const struct api_options *o, struct err_detail *d);
/* Writes what GET /__api__ answers: once, behind the last api_add_*. NOMEM. */
MUST_CHECK enum err api_describe(struct api *a);
struct http_app api_http_app(struct api *a);
void api_free(struct api *a);

/* ---- for plugins: setting up ----------------------------------------------------------------- */

/* What a step or a handler answers. */
enum api_step {
    STEP_NEXT, /* go on with the next step */
    STEP_DONE, /* the response stands (also an error) */
    STEP_WRITE /* cannot be done on a snapshot: start again inside a write transaction */
};

enum api_method {
    METHOD_HEAD,
    METHOD_GET,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_OTHER
};
#define METHOD_BIT(m) (1u << (m))

typedef enum api_step (*api_handler)(struct api_req *r);

/* What GET /__api__ says of a utility endpoint. Strings are static, go out as they are between
 * quotes, and name definitions of openapi.def. */
struct api_doc {
    const char *operation; /* unique; the name of a method in generated clients: "create_flush" */
    const char *endpoint;  /* what observers are told; NULL: the operation */
    const char *tag;       /* the group that it is listed in */
    const char *summary;   /* one sentence */
    const char *body;      /* definition of what is sent; NULL: nothing is */
    const char *answer;    /* definition of what is answered; NULL: any object */
    const char *media;     /* media type of that; NULL: JSON */
    int status;            /* of that answer; 0: 200 */
    bool answers_503;      /* with a body of that form, too */
};

/* A utility endpoint without parameters. `methods` is a set of METHOD_BITs (HEAD comes with GET),
 * of which one beside HEAD; a writing one runs in a write transaction. `path` is static, without
 * the version prefix. */
struct api_endpoint {
    const char *path;
    unsigned methods;
    bool writes;
    api_handler handler;
    struct api_doc doc;
    void *ctx; /* the plugin's: api_endpoint_ctx */
};

/* One entry of "capabilities" in the root URL; `json` is the text of an object. Static strings. */
MUST_CHECK enum err api_add_capability(struct api *a, const char *name, const char *json);
MUST_CHECK enum err api_add_endpoint(struct api *a, const struct api_endpoint *e);

/*
 * An alias answers for URLs that stand for others ("/buckets/default"). Each function may be NULL.
 */
struct api_alias {
    void *ctx;
    /* Does the (decoded, unprefixed) path belong to it? */
    bool (*claims)(void *ctx, str path);
    /* Once the user is known: api_rewrite() to the real path, or an error. */
    enum api_step (*rewrite)(void *ctx, struct api_req *r);
    /* Inside the session, before anything is looked up. */
    enum api_step (*prepare)(void *ctx, struct api_req *r);
    /* More members for "user" in the root URL. */
    enum err (*user_info)(void *ctx, struct api_req *r, struct json *user);
    void (*free)(void *ctx);
    /* What observers are told of a path that it claims: static. NULL: nothing but the real path. */
    const char *(*endpoint)(void *ctx, str path);
};
MUST_CHECK enum err api_add_alias(struct api *a, const struct api_alias *alias);

/*
 * An observer is told of each request whose answer is ready: the request's own thread, before the
 * answer leaves, also after it was parked. It must not block, and costs the request what it takes.
 * Without an observer nothing is measured.
 *
 * Told are: the request; for a batch that was answered as one its parts, before it, but for those that
 * an error stopped; for a request by way of an alias both the alias and the real path, the latter
 * unless it ended in an error. (So does the reference.) Not told: what the server refuses before it
 * is a request.
 */
struct api_named { /* an object that the path names */
    const char *kind;
    str id;
};

struct api_finished { /* valid during the call */
    enum api_method method;
    /* "record-object", "bucket-plural", "hello", ...: out of a small set, whatever is asked for.
     * "unknown": a 404 without endpoint; "redirect_to_version": a path without version; "unnamed":
     * others without endpoint. */
    str endpoint;
    const struct api_named *named; /* from the bucket down; none if status is 400 or above */
    size_t nnamed;
    bool own_id; /* the last of them is the object asked for */
    int status;
    uint64_t ns;         /* from the request being read to the answer, commit included */
    size_t answer_bytes; /* of the body, as it would be to a GET */
    str policy, user;    /* who asked, without the prefix; none: nobody, or it did not matter */
};

struct api_observer {
    void *ctx;
    void (*finished)(void *ctx, const struct api_finished *f);
    /* An operation of the store has ended, inside a request or not. NULL: need not know. */
    void (*store_timed)(void *ctx, enum store_timed what, uint64_t ns);
    void (*free)(void *ctx);
};
MUST_CHECK enum err api_add_observer(struct api *a, const struct api_observer *o);

struct store *api_store(struct api *a);

/* ---- for plugins: a request ------------------------------------------------------------------ */

struct api *api_of(struct api_req *r);
void *api_endpoint_ctx(struct api_req *r); /* of the endpoint that answers */
struct arena *api_arena(struct api_req *r);
enum api_method api_method_of(struct api_req *r);
str api_user_id(struct api_req *r); /* prefixed user id, or none */
struct store_session *api_session(struct api_req *r);
str api_path(struct api_req *r); /* decoded, without the version prefix */
str api_body(struct api_req *r);
bool api_readonly(struct api_req *r);

void api_set_body(struct api_req *r, str body); /* borrowed */
void api_rewrite(struct api_req *r, str path);  /* decoded path, borrowed */

/* Makes the bucket or collection of that URI unless it is there; the user becomes its writer. */
enum api_step api_create_if_absent(struct api_req *r, str bucket_id, str collection_id_or_none);
bool api_valid_collection_id(const struct api_req *r, str id);

enum api_step api_reply_json(struct api_req *r, int status, str body); /* body is borrowed */
enum api_step api_reply(struct api_req *r, int status, str content_type, str body); /* both are */
/* X(constant): see errors.def */
enum api_error {
#define X(name, status, errno_, title, message) API_ERR_##name,
#include "api/errors.def"
#undef X
};
enum api_step api_fail(struct api_req *r, enum api_error e);
enum api_step api_fail_readonly(struct api_req *r); /* 405 of a read-only server */
/* A failure below: NOMEM, LIMIT, IO, ... -> 413, 503 or 500. */
enum api_step api_fail_err(struct api_req *r, enum err e);
/* 400 with one detail; name may be none (null). */
enum api_step api_fail_invalid(struct api_req *r, const char *location, str name, str description);

#endif
