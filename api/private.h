/*
 * api/private.h - what the files of api/ share. Plugins see api/api.h only.
 *
 *     api.c        the API as an object                  config.c      the settings, read once (settings.c: their rows)
 *     pipeline.c   the life of a request: begin there    request.c     the making of a struct api_req
 *     routes.c     from a target to an endpoint          resource.c    the objects that a URL names
 *     kinds.c      the kinds of objects                  query.c       the query string
 *     principals.c as whom the caller acts               authorize.c   may he?
 *     negotiate.c  Accept and Content-Type               cors.c        pages of other origins
 *     validate.c   headers, query and body               schema.c      JSON Schemas
 *     precond.c    If-Match and If-None-Match            permissions.c those of an object after a request
 *     read.c, write.c, patch.c  the methods              events.c      what follows from a change
 *     page.c       filters, order, limit, pages          render.c      bodies and headers
 *     batch.c      several requests in one               list_permissions.c, user_data.c, root.c, openapi.c and
 *     error.c      every error response                                openapi_operation.c  other endpoints
 *     limit.c      429                                   work.c        what takes long, on threads of a pool
 *     aside.c      long reads, the same                  soon.c        what a loop does not sleep for
 *     gzip.c       answers, compressed                   observe.c     who measures is told; logged.c: the log
 */
#ifndef API_PRIVATE_H
#define API_PRIVATE_H

#include "api/api.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/net.h"
#include "base/rand.h"
#include "base/rate.h"

#include <pthread.h>
#include <stdatomic.h>

#define API_PREFIX "v1"

struct api_batch;   /* batch.c */
struct api_erasure; /* user_data.c */
struct api_schemas; /* schema.c */

/* ---- resources ------------------------------------------------------------------------------- */

/* Who makes the ids of new objects, and which ids are valid: any, but for UUID4. */
enum api_generator { GENERATOR_NAME, GENERATOR_RELAXED_UUID, GENERATOR_UUID4 };

/* What is asked of an object (what gives it: kinds.c). */
enum api_want {
    WANT_READ,            /* the objects in it */
    WANT_READ_ATTRIBUTES, /* itself */
    WANT_WRITE,
    WANT_CREATE /* objects of the request's kind in it */
};

/* The required permission of a request, as settings name it: `kinto.<resource>_<this>_principals`.
 */
enum api_required { REQUIRED_CREATE, REQUIRED_READ, REQUIRED_WRITE, REQUIRED_COUNT };

#define MAX_KINDS KIND_NONE

struct api_names {
    const str *names;
    size_t count;
};

/* A kind, and what the settings say of it. */
struct api_kind_info {
    struct api_resource is;
    const char *path;      /* of its objects, without prefix: "/buckets/{}" */
    unsigned depth;        /* how many objects one of them lies in */
    unsigned perms;        /* that they may have */
    int64_t cache_seconds; /* < 0: unset */
    enum api_generator generator;
    struct api_names principals[REQUIRED_COUNT];
    unsigned enabled[2]; /* METHOD_BITs; [0] plural, [1] object */
};

/* An object named by the URL, from the bucket down. */
struct api_level {
    enum api_kind kind;
    str id, uri;
    enum { LEVEL_UNKNOWN, LEVEL_ABSENT, LEVEL_PRESENT } state;
    struct store_object object;
};
#define MAX_LEVELS API_MAX_DEPTH

/* ---- routes ---------------------------------------------------------------------------------- */

enum api_type { TYPE_UTILITY, TYPE_PLURAL, TYPE_OBJECT };

/* A path cut at its slashes; of a longer one the first segments, with n larger than their number. */
#define MAX_SEGMENTS 12
struct api_segments {
    unsigned n;
    str at[MAX_SEGMENTS];
};

struct api_route {
    const char *path; /* without prefix; "{}" stands for one segment */
    enum api_type type;
    enum api_kind kind; /* of the objects answered for; KIND_NONE: a utility */
    unsigned methods;   /* set of METHOD_BITs */
    unsigned writes;    /* those of them that need a write transaction */
    unsigned json_body; /* those whose content type is checked */
    bool check_accept;
    api_handler handler; /* of a utility */
    struct api_doc doc;  /* of what is no resource */
    void *ctx;           /* of the plugin that added it */
    bool takes_rest;     /* the last segment of its path may stand for several, slashes included */
    /* Of a utility that has to do with others' work, or NULL: the last of the steps before the session,
     * and whether what it has found there has to be done in a write transaction. */
    api_handler prepare;
    bool (*writes_now)(const struct api_req *r);
    bool asks_who; /* a utility whose answer depends on the user */
    /* Set by api_add_route(): its path in segments, and which of them stand for themselves (bits). */
    struct api_segments segments;
    unsigned plain;
};

/* ---- configuration (read once) --------------------------------------------------------------- */

struct api_config {
    bool readonly, explicit_permissions, schema_validation;
    bool slash_redirect, version_redirect;
    int64_t slash_redirect_ttl, version_redirect_ttl; /* seconds; < 0: no cache headers */
    int64_t batch_max, paginate_by;                   /* 0: no limit */
    int64_t max_fetch, token_ttl_ms, root_cache;
    int64_t cors_max_age;          /* 0: not said */
    str retry_after, backoff;      /* as text: sent when there is no memory, too. none: unset */
    double backoff_percentage;     /* < 0: on every response */
    struct api_names cors_origins; /* none: no CORS at all */
    str http_host, http_scheme, error_info, project_name, project_version, project_docs, http_api;
    str version_path, eos;
    str soft_eol, hard_eol;                    /* the Alert before and after the end */
    int64_t eos_ms;                            /* INT64_MAX: the service does not end */
    struct map record_cache, record_cache_old; /* bucket, or bucket and collection -> seconds */
    struct api_names permissions_readers;      /* of /permissions */
    int64_t permissions_cache;                 /* seconds; < 0: unset */
    unsigned permissions_methods;              /* METHOD_BITs */
    struct api_names erasers;                  /* of user data */
    unsigned erase_methods;                    /* METHOD_BITs */
    bool gzip;
    size_t gzip_min_bytes;
    uint64_t stay_awake_ns; /* soon.c; 0: never */
};

/* The headers that pages of other origins may read. */
enum api_exposed { EXPOSED_BASE, EXPOSED_OBJECT, EXPOSED_LIST, EXPOSED_COUNTS, EXPOSED_COUNT };

/* How many requests there may be (limit.c). NULL: any number. */
struct api_limits {
    struct rate_table *address, *user, *failures;
    struct net_list exempt;
};

struct api {
    struct store *store;
    const struct settings *settings;
    struct auth *auth;
    struct api_schemas *schemas;
    struct arena arena; /* the process' own: configuration, capabilities */
    struct api_config conf;
    struct api_kind_info kinds[MAX_KINDS];
    unsigned nkinds;
    struct json *capabilities;
    struct api_filler {
        const char *capability; /* NULL: the user */
        void *ctx;
        api_fill_fn fill;
    } * fillers;
    size_t nfillers;
    struct json *hello_config;
    struct api_route *routes; /* in the order in which they are looked for */
    size_t nroutes;
    struct api_alias *aliases;
    size_t naliases;
    struct api_listener *listeners;
    size_t nlisteners;
    struct api_service *services;
    size_t nservices;
    struct api_kept {
        void *what;
        void (*release)(void *what);
    } * kept;
    size_t nkept;
    struct pool *pools[POOL_COUNT];
    _Atomic bool stopping;
    struct api_observer *observers;
    size_t nobservers;
    pthread_mutex_t sharing; /* of the list of work that others may wait for */
    struct api_work *shared;
    struct api_reader *readers;    /* that nobody uses now; under `sharing` */
    str exposed[EXPOSED_COUNT];    /* none: those of the core (cors.c) */
    _Atomic uint64_t told_full_ms; /* when the log was told that they are full; 0: never */
    uint64_t patient_ms;           /* API_PATIENT_MS; a test has more */
    struct api_limits limits;
    str version;
    str description; /* what /__api__ answers, from behind the host on (openapi.c) */
};

/* What a loop expects next (soon.c). */
enum api_sooner { SOON_NOTHING, SOON_DISK, SOON_REQUEST };

struct api_soon {
    enum api_sooner what;
    uint64_t since_ns;
    uint64_t took_ns[SOON_REQUEST + 1]; /* the last time; 0: it never happened */
};

struct api_loop {
    struct api *api;
    struct store_thread *thread;
    struct auth_memory *memory;
    struct api_callers *callers;
    unsigned at_disk,
        waiting; /* requests whose commit is not durable; those of them not let go yet, */
    uint64_t waiting_since_ns; /* the first of which was made then */
    struct api_soon soon;
};

/* A list of what is made for the answer: its objects have these fields and no time. */
struct api_shape {
    const char *const *fields; /* that may be filtered by, sorted by and chosen; up to NULL */
    const char *key;           /* the field that differs in any two; every order ends in it */
};

/* ---- a request ------------------------------------------------------------------------------- */

/* Query parameters, validated: see query.c. */
struct api_param {
    str name;
    str text;           /* none when the parameter is repeated: value is the list of its texts */
    str last;           /* the text, of a repeated one the last */
    struct json *value; /* JSON when the text parses, else a string */
};

struct api_query {
    struct api_param *params;
    size_t count;
    const str *fields; /* _fields, or NULL */
    size_t nfields;
};

struct api_tag { /* If-Match, If-None-Match */
    enum { TAG_NONE, TAG_ANY, TAG_VALUE } kind;
    int64_t value; /* INT64_MIN: larger than any timestamp */
};

enum api_patch { PATCH_PLAIN, PATCH_MERGE, PATCH_JSON };
enum api_behavior { BEHAVIOR_FULL, BEHAVIOR_LIGHT, BEHAVIOR_DIFF };

/* Errors of validation, gathered before one answer is made of them. */
struct api_invalid {
    const char *location;
    str name;      /* none: null */
    str name_json; /* in its place, when the name is no string; else none */
    str description;
    size_t order; /* as they came, from 0 */
    struct api_invalid *next;
};

#define MAX_AFTERS 8
struct api_after {
    void (*fn)(void *ctx);
    void *ctx;
};

struct api_req {
    struct api *api;
    struct api_loop *loop;
    struct arena *arena;
    struct http_req *http;  /* NULL: a part of a batch */
    struct api_req *parent; /* the batch */

    enum api_method method;
    str method_name;
    str raw_path, query; /* percent-encoded */
    str path;            /* decoded; without prefix from the target step on */
    struct http_header *headers;
    unsigned nheaders;
    str body;
    const struct json
        *body_json; /* of a part of a batch, which has it there already; NULL: body is all */

    const struct api_route *route;
    const struct api_alias *alias;
    bool is_resolved;           /* the path that it stands for is there, and the method */
    const char *alias_endpoint; /* what observers are told of the path that it claimed, or NULL */
    struct api_level levels[MAX_LEVELS];
    unsigned nlevels;

    struct auth_user user;
    str principal; /* the user, or system.Everyone: becomes a writer of what the request writes */
    struct store_principals who;

    struct store_session *session;
    enum err commit_result;
    enum {
        AT_WORK,
        AT_DISK,
        AT_DISK_WITH_MORE,
        AT_GZIP
    } parked;                            /* what it waits for, if it does */
    bool is_prepared;                    /* the steps before the session are done */
    bool written;                        /* the steps in it ran in a write transaction before */
    struct api_after afters[MAX_AFTERS]; /* of the outermost: to be done behind the commit */
    unsigned nafters;
    /* Of the outermost: what was done for it, and what is to be done next. */
    struct api_work *works, *todo;
    struct arena_spares *spares; /* its arena's, while that is with another thread */
    uint64_t aside_since_ms; /* it is with a thread for what takes long (aside.c); 0: it is not */
    uint64_t aside_since_cpu_ns; /* what that had computed by then */

    struct store_list_id list;
    str id;          /* of the object asked for: URL, or body of a POST; none */
    bool id_invalid; /* given in the body and of a wrong form */
    struct store_object object;
    bool exists;
    int64_t list_clock;            /* of a list that is read or deleted from */
    const struct api_shape *shape; /* of a list that is not one of stored objects, or NULL */
    str only_id; /* the one object of the list that is there for the caller, or none */
    const int64_t *only_since; /* or NULL */
    void *remembered;          /* by the functions of the kind, or NULL */
    bool shared_only;          /* a list: only what is shared with the caller */
    unsigned shared_perms;

    struct json *root; /* parsed body: set by whoever looks first */
    enum { BODY_UNREAD, BODY_EMPTY, BODY_JSON, BODY_BAD } body_state;
    struct json_error body_error;
    struct json *data, *permissions; /* validated members of the body, or NULL */
    bool inline_permissions;         /* permissions were found inside data */
    enum api_patch patch;
    enum api_behavior behavior;
    struct api_tag if_match, if_none_match;
    struct api_query q;
    struct api_invalid *invalid, *invalid_last; /* in the order they came; last: only if any */
    struct api_invalid invalid_spare;           /* of the first one, when there is no memory */

    /* Of the outermost: how many of it and its parts have been identified in this run of the steps, how many
     * were counted in any run, and whether one was stopped by a limit. */
    unsigned identified, counted;
    uint64_t retry_seconds; /* 0: no limit has stopped it; else in how many it may come again */

    struct api_batch *batch;     /* of POST /batch */
    struct api_erasure *erasure; /* how far that of a user has come; NULL: not begun */
    struct api_erased {
        unsigned objects;
        size_t bytes;      /* of their data */
    } erased;              /* of the outermost: by erasures in this transaction */
    uint64_t schema_steps; /* that its schemas have taken, those of its parts included */
    struct http_response *out;
    bool failed; /* the response is an error or a redirect */

    /* Of the outermost: its body as it was when that was looked at, and packed (none: it stays as it is). */
    struct {
        str plain, packed;
        bool could_be;
    } gzip;

    uint64_t began_ns, took_ns; /* for observers */
};

/* ---- config.c -------------------------------------------------------------------------------- */

MUST_CHECK enum err api_config_load(struct api *a,
                                    struct err_detail *d); /* SYNTAX: a date; NOMEM */

/* Around one of many objects that a request changes: what it has made on the way, in the arena and for the
 * head of the answer. */
struct api_mark {
    struct arena_mark arena;
    unsigned nheaders;
};
static inline struct api_mark api_mark(const struct api_req *r)
{
    return (struct api_mark){arena_mark(r->arena), r->out->nheaders};
}
static inline void api_release(struct api_req *r, struct api_mark mark) /* goes */
{
    arena_release(r->arena, mark.arena);
    r->out->nheaders = mark.nheaders;
}

/* An answer of that status leaves nothing of what its request has changed, and makes an end of a batch. */
static inline bool api_undoes(int status)
{
    return status == 409 || status == 413 || status >= 500;
}

/* ---- request.c ------------------------------------------------------------------------------- */

struct api_req *api_req_new(struct api_loop *loop, struct http_req *http); /* NULL: no memory */
/* A part of a batch; `target` is "/v1/path?query". NULL: no memory. */
struct api_req *api_req_part(struct api_req *parent, str method, str target);
struct api_req *api_outermost(struct api_req *r); /* that came over the wire: the batch of a part */
str api_host(struct api_req *r);                  /* "example.org:8888" */
str api_scheme(struct api_req *r);                /* "https" */
str api_answer_header(const struct http_response *out, const char *name); /* STR_NONE: absent */
bool api_eos_refused(struct api_req *r);                                  /* true: a 410 stands */
void api_eos_alert(struct api_req *r);
str api_alert_text(struct arena *a, const char *code, str message, str url); /* none: no memory */
void api_alert_deprecated(struct api_req *r, str message, str url);

/* ---- pipeline.c ------------------------------------------------------------------------------ */

void api_request_handle(struct api_loop *loop, struct http_req *http);
void api_request_resume(struct http_req *http);
void api_turn_end(struct api_loop *loop);
/* The steps before a session exists; a batch runs them for each of its parts first. */
enum api_step api_run_before_session(struct api_req *r);
enum api_step api_run_in_session(struct api_req *r);
/* In a snapshot, which gives up when it has looked at more than that (store_work_at_most). */
enum api_step api_run_reading(struct api_req *r, uint64_t at_once);
bool api_needs_write(const struct api_req *r);
/* Does it take so little that a commit may wait for another one behind it? It is prepared. */
bool api_is_short(const struct api_req *r);
/* Does a part of a batch bring the credentials of the batch, so that it is known who asks? */
bool api_is_identified(struct api_req *r, str credentials);
/* True for a part of a batch that an error stopped: it goes out barer than others, and is told by the
 * path that was asked for, as in the reference. */
bool api_was_stopped(const struct api_req *r);
/* The answer of a request is ready: its headers, the log, the observers. If not all of it could be built, it
 * becomes one that says so. */
void api_finish(struct api_req *r);
void api_refuse_without_memory(struct http_req *http); /* not even for its struct api_req */
/* The headers that every answer has, also the parts of a batch. */
void api_finish_headers(struct api_req *r);

/* ---- soon.c ---------------------------------------------------------------------------------- */

/* A write was handed to the committer; an answer that waited for the disk is about to be sent; a request has come. */
void api_soon_disk(struct api_loop *loop);
void api_soon_answer(struct api_loop *loop);
void api_soon_request(struct api_loop *loop);
/* For so long from now on the loop should look for events without sleeping. */
uint64_t api_soon_ns(const struct api_loop *loop);

/* ---- work.c ---------------------------------------------------------------------------------- */

MUST_CHECK enum err api_pools_new(struct api *a); /* NOMEM */
void api_pools_free(struct api *a);
/* Hands over what the request waits for; it will be resumed. AGAIN: there is too much to do; CLOSED: the
 * server stops. */
MUST_CHECK enum err api_work_submit(struct api_req *r);
bool api_work_dropped(struct api_req *r);         /* its last work was not done: the server stops */
enum api_step api_work_refuse(struct api_req *r); /* 503 when it was not taken */
/* First when it is resumed: its arena is the loop's again. */
void api_work_end(struct api_req *r);
void api_work_forget(struct api_req *r, const struct api_work *w); /* as if it had not been done */

/* ---- limit.c --------------------------------------------------------------------------------- */

MUST_CHECK enum err api_limits_load(struct api *a, struct err_detail *d); /* SYNTAX, RANGE, NOMEM */
void api_limits_free(struct api *a);
/* Of struct http_app; false: a 429 stands. */
bool api_limit_admit(void *loop_ctx, struct http_req *req);
/* Around the look at a request's credentials, which has come to its end: DONE, a 429 stands. */
enum api_step api_limit_before_identify(struct api_req *r);
enum api_step api_limit_after_identify(struct api_req *r);
/* Does it bring credentials that count as a try of their own? */
bool api_limit_is_try(struct api_req *r);
/* May tries of its network be looked at now? Of struct api_work (still_wanted). */
bool api_limit_allows_try(const struct api_req *outer);
/* A limit has stopped a part: so it does the batch. */
enum api_step api_limit_stop_batch(struct api_req *r);

/* ---- observe.c ------------------------------------------------------------------------------- */

/* Around the work for a request, or for a part of a batch; without observers these do nothing. */
void api_observe_begin(struct api_req *r);
void api_observe_end(struct api_req *r);
void api_observe_tell(struct api_req *r); /* the answer of a request is ready */
void api_observe_store(void *api, enum store_timed what, uint64_t ns); /* of store_observer */

/* ---- logged.c -------------------------------------------------------------------------------- */

/* What may be logged of the URL. There are keys in some (never in those of objects), so it is as it came
 * for an object, the pattern for other endpoints, and where there is none (yet), as redirects have it, its
 * first word. Never the query. */
str api_logged_path(struct api_req *r);
void api_log_request(struct api_req *r); /* DEBUG: its answer is ready */

/* ---- error.c --------------------------------------------------------------------------------- */

/* 503, made of nothing: when there is no memory for anything else. */
void api_fail_bare(struct http_response *out, bool too_large);
enum api_error api_error_of_status(int status); /* the first row with it; else BAD_REQUEST */
/* 400 with one detail, whose name may be any value. */
enum api_step api_fail_invalid_value(struct api_req *r, const char *location,
                                     const struct json *name, str description);

/* ---- cors.c ---------------------------------------------------------------------------------- */

enum api_step api_preflight(struct api_req *r);
enum api_step api_check_origin(struct api_req *r); /* 400 for an origin that may not call */
void api_cors_headers(struct api_req *r);
str api_method_list(struct api_req *r, const char *separator); /* of the route, for Allow */

/* ---- negotiate.c ----------------------------------------------------------------------------- */

/* How much an Accept header likes a media type, in thousandths; 0 or less: not at all. */
int api_accept_quality(str accept, const char *type, const char *subtype);
enum api_step api_negotiate(struct api_req *r); /* 406, 415; sets r->patch */
/* Is a body of that Content-Type JSON? Also without one. */
bool api_is_json_type(str content_type);
/* Do the headers of a request ask for the content coding gzip, and like it as much as none? Who sends no
 * Accept-Encoding, or a malformed one, does not ask. */
bool api_takes_gzip(const struct http_header *headers, unsigned n);

/* ---- gzip.c ---------------------------------------------------------------------------------- */

/*
 * The answer stands: packs its body, if the client asks for that and it pays. True: that is done by a thread, and the
 * request will be resumed, as with other work. False: it is done, or not to be done.
 */
bool api_gzip(struct api_req *r);
void api_gzip_here(struct api_req *r); /* the same, at once: not on a loop */
/* Last of all: what was packed takes the body's place, and the headers say so. */
void api_gzip_finish(struct api_req *r);

/* ---- routes.c -------------------------------------------------------------------------------- */

enum api_step api_route_find(struct api_req *r);
void api_route_lookup(struct api_req *r);             /* sets route, or NULL, and the levels */
enum api_step api_route_not_found(struct api_req *r); /* a redirect or 404 */
unsigned api_route_methods(const struct api_req *r);  /* without those that settings switch off */
unsigned api_enabled_methods(const struct api *a, const struct api_route *route); /* the same */
MUST_CHECK enum err api_add_core_routes(struct api *a); /* routes.def; NOMEM */
MUST_CHECK enum err api_add_route(struct api *a, const struct api_route *route); /* copied; NOMEM */
/* The kinds of the objects whose ids the path holds, from the bucket down, and how many. */
unsigned api_route_ids(const struct api *a, const struct api_route *route,
                       enum api_kind kinds[MAX_LEVELS]);
enum api_step api_route_parse_target(struct api_req *r);
/* A target as it came with one slash in front instead of several, as "http://host/" and "/v1" make them
 * together. Slashes that are encoded belong to the path. */
str api_one_slash(str target);
bool api_says_version(str path); /* "/v1/..." and its like */
/* The name in a path's "{name}", which *at is behind or stands before; false: there is none any more. */
bool api_route_next_name(const char *path, size_t *at, str *name);
enum api_step api_redirect(struct api_req *r, str location, int64_t cache_seconds);
void api_cache_seconds(struct api_req *r, int64_t seconds);

/* ---- kinds.c --------------------------------------------------------------------------------- */

MUST_CHECK enum err api_add_core_resources(struct api *a);        /* NOMEM */
const struct api_kind_info *api_kind_of(const struct api_req *r); /* of the request's route */
/* Has an id the form that a resource takes if its generator asks for no other? */
bool api_valid_id(str id);
/* Which ids are valid, as a regular expression that JSON can hold as it is. */
const char *api_id_pattern(const struct api *a, enum api_kind k);
str api_new_id(struct api_req *r);

/* ---- api.c ----------------------------------------------------------------------------------- */

/* What a thread needs to handle requests; all 0 before. NOMEM. */
MUST_CHECK enum err api_loop_init(struct api_loop *loop, struct api *a);
void api_loop_fini(struct api_loop *loop);
/* A list in the API's arena, with room for one more than the n that it has; NULL: no memory. */
void *api_with_room(struct api *a, void *list, size_t n, size_t size);

/* ---- aside.c --------------------------------------------------------------------------------- */

struct api_reader;
/* So long whoever does it gives way to a loop of its processor that is busy, and does as good as nothing meanwhile. Then, since it
 * holds a version of the data, only to one that has just been woken, and while it has had half of the time all the same: on a
 * crowded machine each time that it gives way costs it a turn. */
#define API_PATIENT_MS 100
void api_readers_free(struct api *a);
/* The steps in a snapshot, on the loop or aside: to an answer, or to WRITE or WAIT. */
enum api_step api_read(struct api_req *r);
/* The request is with such a thread from now on, or not any more. */
void api_set_aside(struct api_req *r, bool aside);
/* Between two pieces of what takes long: on a thread of its own, loops that have something to do go first. */
void api_make_way(struct api_req *r);
/* The same in what its session does from here on. */
void api_make_way_in_session(struct api_req *r);
/* Is that what happens when the session takes too long? Then the steps answer WAIT. */
bool api_goes_aside(struct api_req *r, enum err e);
/* The work that could not be submitted was that: the steps are to be run again. */
bool api_aside_was_refused(struct api_req *r);

/* ---- principals.c ---------------------------------------------------------------------------- */

enum api_step api_find_principals(struct api_req *r); /* sets r->who and r->principal */
struct api_callers *api_callers_new(void); /* what a loop remembers of them; NULL: no memory */
void api_callers_free(struct api_callers *c);

/* ---- resource.c, authorize.c ----------------------------------------------------------------- */

str api_list_uri(struct api_req *r); /* of r->list: "/buckets/b/groups" */
struct store_list_id api_list_of(const struct api_req *r, enum api_kind kind, unsigned nparents);
/* Loads a level's object once. */
MUST_CHECK enum err api_level_load(struct api_req *r, unsigned i);
enum api_step api_find_list(struct api_req *r);
enum api_step api_load_target(struct api_req *r);
enum api_step api_authorize(struct api_req *r);
enum api_step api_check_parent(struct api_req *r);
MUST_CHECK enum err api_may_read(struct api_req *r, bool *allowed); /* the object of the URL */
bool api_is_one_of(const struct api_req *r, const struct api_names *names); /* api_is_any_of() */
/* Does this request look at the object before it asks for permission? */
bool api_loads_first(const struct api_req *r);
/* The permissions on an object that give what is wanted of it, or of an object below it. */
unsigned api_given_by(const struct api_kind_info *k, enum api_want want, unsigned create_perm,
                      bool itself);

/* ---- validate.c ------------------------------------------------------------------------------ */

bool api_reads_body(struct api_req *r); /* must the body be JSON, if there is one? */
void api_body_parse(struct api_req *r); /* fills root and body_state, once */
/* True if root is an object or an array; else the errors have been added. */
bool api_body_usable(struct api_req *r);
enum api_step api_validate(struct api_req *r);
/* Checks (and converts in place) the data of an object of the request's kind; `prefix` is put before
 * the names of wrong fields ("data." or ""). */
void api_validate_data(struct api_req *r, struct json *data, const char *prefix);
/* The same for the core's kinds: struct api_resource. */
void api_validate_bucket(struct api_req *r, struct json *data, const char *prefix);
void api_validate_group(struct api_req *r, struct json *data, const char *prefix);
void api_validate_collection(struct api_req *r, struct json *data, const char *prefix);
void api_check_permissions(struct api_req *r, const struct json *permissions);
bool api_is_falsy(const struct json *v); /* as Python sees it: null, false, 0, "", [], {} */
/* The reference's checks of a value of the body, as api_is_text(): text that is one of n, text that
 * begins with a slash; NULL where there is none. */
bool api_is_mapping(struct api_req *r, const struct json *v, str name);
bool api_is_sequence(struct api_req *r, const struct json *v, str name);
bool api_is_choice(struct api_req *r, const struct json *v, str name, const char *key,
                   const str *choices, size_t n);
bool api_is_path(struct api_req *r, const struct json *v, str name, const char *key);
/* Of a mapping: has it no members but the n known? */
bool api_only_members(struct api_req *r, const struct json *v, const str *known, size_t n,
                      str name);
str api_python_str(struct arena *a, const struct json *v); /* a value as messages show it */

/* ---- schema.c -------------------------------------------------------------------------------- */

MUST_CHECK enum err api_schemas_new(struct api_schemas **out); /* compiled schemas; any thread */
void api_schemas_free(struct api_schemas *s);
/* Adds an error under `name` unless the object is a schema of draft 7. */
void api_check_schema(struct api_req *r, const struct json *schema, str name);
/* Judges the data of an object by the schemas of its collection and bucket, when the settings ask
 * for it; a record gets the `schema` that it was judged by. */
enum api_step api_validate_by_schemas(struct api_req *r, struct json *data);

/* ---- query.c --------------------------------------------------------------------------------- */

void api_query_parse(struct api_req *r); /* fills r->q; adds errors */
struct json *api_native_value(struct arena *a, str text);
bool api_to_integer(const struct json *v, int64_t *out); /* clamped; false: no number */
const struct api_param *api_query_get(const struct api_query *q, const char *name);

/* ---- page.c, precond.c ----------------------------------------------------------------------- */

/* A list request's filters, sorts, page and limit, ready for the store. */
struct api_page {
    struct store_query query;
    size_t limit;
    int64_t offset;
};
enum api_step api_page_build(struct api_req *r, struct api_page *page);
/* Next-Page behind what was found, if there is more. */
enum api_step api_page_next(struct api_req *r, struct api_page *page,
                            const struct store_result *found);

/* NEXT, or 304/412. object NULL with exists: a list, whose timestamp counts. */
enum api_step api_not_modified(struct api_req *r, int64_t timestamp);
enum api_step api_precondition(struct api_req *r, const struct store_object *object, bool exists,
                               int64_t timestamp);

/* ---- handlers: read.c, write.c, patch.c, batch.c, root.c ------------------------------------- */

enum api_step api_get_plural(struct api_req *r);
enum api_step api_get_object(struct api_req *r);
/* The clock of r->list; WRITE: it has none yet. */
enum api_step api_list_timestamp(struct api_req *r, int64_t *timestamp);
void api_total_headers(struct api_req *r, uint64_t total);
/* Handler of /permissions (list_permissions.c). */
enum api_step api_list_permissions(struct api_req *r);
enum api_step api_post(struct api_req *r);
enum api_step api_put(struct api_req *r);
enum api_step api_patch_object(struct api_req *r);
enum api_step api_delete_object(struct api_req *r);
enum api_step api_delete_plural(struct api_req *r);
/* 400 when the data name another id than the URL. */
enum api_step api_check_same_id(struct api_req *r, const struct json *data);
/* Preconditions against the list's timestamp. */
enum api_step api_list_precondition(struct api_req *r, bool exists);
/* Moves "__permissions__" out of data, into *permissions when that names nothing. */
enum api_step api_take_inline_permissions(struct api_req *r, struct json *data,
                                          struct json **permissions);
/* Writes r->id with its permissions and what follows from it; adds the timestamp headers. */
enum api_step api_store_object(struct api_req *r, struct json *data, const struct json *permissions,
                               unsigned replaced, struct store_object *out);

/* Stores an object of any list, with what follows from it. `old`: as it is, borrowed from the session, or
 * NULL; `out` lies in the arena. */
enum api_step api_write(struct api_req *r, enum api_kind kind, struct store_list_id list,
                        const struct store_object *old, const struct store_put *put,
                        struct store_object *out);

/* Deletes an object of any list, with what follows from it. `o` is borrowed from the session, but for
 * its id; `left`: so many others of that list follow at once. */
enum api_step api_delete_stored(struct api_req *r, enum api_kind kind, struct store_list_id list,
                                const struct store_object *o, const int64_t *time, size_t left,
                                struct store_object *tombstone);

MUST_CHECK enum err api_add_user_data(struct api *a); /* user_data.c: NOMEM */
enum api_step api_hello(struct api_req *r);
enum api_step api_heartbeat(struct api_req *r);
enum api_step api_lbheartbeat(struct api_req *r);
enum api_step api_version(struct api_req *r);
enum api_step api_contribute(struct api_req *r);
enum api_step api_openapi(struct api_req *r); /* openapi.c */
enum api_step api_batch(struct api_req *r);
size_t api_batch_parts(const struct api_req *r); /* of a batch that has begun */
/* Checks it, and runs its parts up to the session. */
enum api_step api_batch_prepare(struct api_req *r);
void api_batch_set_loop(struct api_batch *b, struct api_loop *loop); /* of all its parts */
bool api_batch_writes(const struct api_req *r);
bool api_batch_is_short(const struct api_req *r); /* as api_is_short() */
/* The request that gave the answer of the i-th part; NULL: it has none. */
struct api_req *api_batch_answered(const struct api_req *r, size_t i);

/* ---- render.c -------------------------------------------------------------------------------- */

void api_timestamp_headers(struct api_req *r, int64_t timestamp);
void api_cache_header(struct api_req *r);
enum api_step api_reply_object(struct api_req *r, int status, const struct store_object *o);
enum api_step api_reply_data(struct api_req *r, const struct json *data); /* {"data": ...} */
enum api_step api_reply_list(struct api_req *r, const struct store_object *objects, size_t n);
/* Only some fields of an object's text (*out may be `data`). NOMEM; CORRUPT: that is no JSON. */
MUST_CHECK enum err api_subset(struct arena *a, str data, const str *fields, size_t n, str *out);
enum api_step api_arena_reply(struct api_req *r, int status, struct buf *b);

/* ---- permissions.c --------------------------------------------------------------------------- */

/*
 * The permissions of an object after a request: those of `old` (NULL: a new object) without the
 * kinds in `replaced`, and those in `changes` ({kind: list or object of principals} or NULL), and
 * the caller's own. *acl NULL: as they were.
 */
MUST_CHECK enum err api_new_acl(struct api_req *r, const struct store_object *old,
                                const struct json *changes, unsigned replaced,
                                const struct store_ace **acl, size_t *n);
/* Does whoever makes or writes an object become its writer? */
bool api_author_writes(const struct api_req *r);
/* The kinds of permission that a body's "permissions" (or NULL) replaces. */
unsigned api_replaced_perms(struct api_req *r, const struct json *permissions);

/* ---- events.c -------------------------------------------------------------------------------- */

/* Does a plugin want to know of changes? Then what they change must be known, too. */
bool api_is_listened_to(const struct api_req *r);
/* Before a change: `old` is the object as it is, NULL when there is none. Fills `c` but for `now`.
 * NOMEM. */
MUST_CHECK enum err api_change_begin(struct api_req *r, enum api_kind kind,
                                     struct store_list_id list, str id,
                                     const struct store_object *old, struct api_change *c);
/* Behind it: does what follows, and tells the listeners. `now` is the object or its tombstone; `data`
 * its data, or NULL for a tombstone. DONE: the request has its answer, an error. */
enum api_step api_change_end(struct api_req *r, struct api_change *c,
                             const struct store_object *now, const struct json *data);

#endif
