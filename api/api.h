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
 *     api_start(api);
 *     app = api_http_app(api), http_server_run(server, &app, &detail);
 *     ...
 *     api_stop(api), http_server_stop(server), api_free(api);
 *
 * Threads. api_new to api_start, the api_add_* functions, api_keep, api_stop and api_free belong to the main
 * thread; only api_stop() comes while requests are served. api_run_aside() and api_is_stopping() are
 * anybody's. Steps, handlers and hooks run on loop threads, those of reads that take long on threads
 * of a pool (aside.c): of one request one at a time, of several at once, unless they write (there is one write
 * transaction). So what a plugin keeps is constant
 * from its load on, atomic, or behind a lock that nobody holds for long. Works (struct api_work) run on
 * threads of a pool; store_timed() on whatever thread it was; services have threads of their own.
 *
 * Memory: a struct api_req and everything made for it lie in the request's arena.
 */
#ifndef API_API_H
#define API_API_H

#include "base/pool.h"
#include "base/settings.h"
#include "http/http.h"
#include "store/store.h"

struct api;
struct api_req;
struct auth;
struct auth_policy;

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
    str version;                               /* of this program */
    const struct auth_policy *const *policies; /* those of plugins; static */
    size_t npolicies;
};

/* SYNTAX, UNSUPPORTED: a setting that cannot be used; the detail says which and where. */
MUST_CHECK enum err api_new(struct api **out, const struct api_options *o, struct err_detail *d);
/* Writes what GET /__api__ answers: once, behind the last api_add_*. NOMEM. */
MUST_CHECK enum err api_describe(struct api *a);
struct http_app api_http_app(struct api *a);
/* Starts what plugins have running beside requests: once everything else is set up, before the first
 * request. The errors of their start(). */
MUST_CHECK enum err api_start(struct api *a, struct err_detail *d);
/* Before the server stops: work that waits for a thread is dropped (its requests get 503), so that
 * the stop need not wait for it. */
void api_stop(struct api *a);
void api_free(struct api *a);

/* ---- for plugins: setting up ----------------------------------------------------------------- */

/*
 * What a plugin keeps for as long as the API is there, handed over as soon as it is made: release(what)
 * is called when neither requests nor services run any more, what came last first. Without memory for
 * that (NOMEM) it is called at once. So whoever loads a plugin has nothing to release, whatever fails
 * behind this; and nothing else that is added owns anything.
 */
MUST_CHECK enum err api_keep(struct api *a, void *what, void (*release)(void *what));

/* What a step or a handler answers. */
enum api_step {
    STEP_NEXT,  /* go on with the next step */
    STEP_DONE,  /* the response stands (also an error) */
    STEP_WRITE, /* cannot be done on a snapshot: start again inside a write transaction */
    STEP_WAIT,  /* work has to be done first, see api_work_begin(): start again then */
    STEP_MORE   /* in a write transaction of a request that is no part of a batch: commit it, then
                   start again in another one */
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
 * quotes, and name definitions of openapi.def. Of a plugin's the operation, the tag and the summary are
 * there, and either a body or parameters. */
struct api_doc {
    const char *operation; /* unique; the name of a method in generated clients: "create_flush" */
    const char *endpoint;  /* what observers are told; NULL: the operation */
    const char *tag;       /* the group that it is listed in */
    const char *summary;   /* one sentence */
    const char *body;      /* definition of what is sent; NULL: nothing is */
    const char *answer;    /* definition of what is answered; NULL: any object */
    const char *media;     /* media type of that; NULL: JSON */
    int status;            /* of that answer; 0: 200. 307: a redirect, without a body */
    bool answers_503;      /* with a body of that form, too */
    bool asks_who;         /* not everybody may: 401, 403; and 404 */
    /* Of the query: OpenAPI 2.0 Parameter Objects with commas between them; NULL: none. */
    const char *parameters;
};

/* A utility endpoint. `methods` is a set of METHOD_BITs (HEAD comes with GET), of which one beside
 * HEAD; a writing one runs in a write transaction. `path` is static, without the version prefix; in
 * it "{name}" stands for text without a slash, as much as there is: api_path_value(). "bucket_id"
 * and its like are ids of that kind. */
struct api_endpoint {
    const char *path;
    unsigned methods;
    bool writes;
    api_handler handler;
    struct api_doc doc;
    void *ctx; /* the plugin's: api_endpoint_ctx */
};

/* One entry of "capabilities" in the root URL; `json` is the text of an object. Both strings are borrowed
 * for as long as the API is there. NOMEM. */
MUST_CHECK enum err api_add_capability(struct api *a, const char *name, const char *json);
/* What the root URL can say only when it is asked: fill() completes what goes out, in the session; it must
 * not wait. `capability`: that one's object; NULL: "user", if there is one. NOTFOUND: no such capability;
 * NOMEM. */
typedef enum err (*api_fill_fn)(void *ctx, struct api_req *r, struct json *object);
MUST_CHECK enum err api_fill_hello(struct api *a, const char *capability, void *ctx,
                                   api_fill_fn fill);
MUST_CHECK enum err api_add_endpoint(struct api *a, const struct api_endpoint *e);

/* ---- for plugins: kinds of objects ----------------------------------------------------------- */

/*
 * The kinds of objects that the API serves; those of plugins are numbered behind the core's. A kind
 * that lies in another comes behind it.
 */
enum api_kind { KIND_BUCKET, KIND_GROUP, KIND_COLLECTION, KIND_RECORD, KIND_NONE = 16 };
static inline bool api_is_core(enum api_kind kind) /* no plugin's */
{
    return kind <= KIND_RECORD;
}

struct api_shown {
    str data;
    str permissions; /* text of an object; none: what the caller may see of the object's own. Has no
                        meaning in lists */
};

/*
 * A kind of objects with endpoints of their own: `<parent>/<plural>` and `<parent>/<plural>/{id}`.
 * Filters, sorts, pages, preconditions, permissions (the settings `kinto.<name>_read_principals`
 * and their like included), patches and validation come with it. Each method may be switched off by
 * the setting `kinto.plural_<name>_<method>_enabled` or `kinto.object_...`. The settings that it
 * needs are rows of the plugin's; strings are static.
 */
struct api_resource {
    const char *name;     /* "record": in settings, in answers, and the store's resource */
    const char *plural;   /* "records": in URLs */
    enum api_kind parent; /* what its objects lie in; KIND_NONE: in nothing */
    unsigned create_perm; /* the permission on the parent that lets one create them, or 0 */
    unsigned plural_methods, object_methods; /* METHOD_BITs (HEAD comes with GET); 0: no such URL */
    /* A parent that is not there is told by a 404. (Else nobody has a permission in it: 403.) */
    bool parent_is_told;
    /* Its ids, when no setting `kinto.<name>_id_generator` says what they look like: the same as a
     * regular expression and as a function. Or NULL. */
    const char *id_pattern;
    bool (*valid_id)(str id);
    bool data_required; /* a POST or PUT has to bring "data" */
    /* Whom one is made for becomes its writer, whatever kinto.explicit_permissions says. */
    bool owned;
    /* One list of users who need not trust each other: a last_modified in the future, which would
     * move the clock of all, is as if there were none. */
    bool time_is_ours;
    /* The settings that say who may read or write all that its objects lie in count for them, too. */
    bool follows_parent;
    /* The fields that lists may be filtered by, sorted by and cut to, up to NULL; or NULL: any. */
    const char *const *fields;
    /* Those of them that hold text which may look like a number, up to NULL; or NULL: a filter that
     * gives an integer there means its digits. */
    const char *const *text_fields;
    struct {                /* what GET /__api__ says of it */
        const char *data;   /* OpenAPI 2.0 schema of its "data" */
        const char *prefix; /* before its names, where several kinds have the same; or NULL */
        const char *post;   /* what a POST on one of its objects does: a sentence */
    } doc;

    void *ctx; /* for the functions, each of which may be NULL */
    /* Inside the session. For a request that may write an object: before that is looked up; for others:
     * when they are known to be allowed. May refuse, or change what there is for the caller and in whose
     * name it is written (api_show_only() and its like). */
    enum api_step (*enter)(void *ctx, struct api_req *r);
    /* Checks the data of a body, and may convert it in place; api_invalid_add() adds what is wrong.
     * `prefix` is put before the names of wrong fields ("data." or ""). */
    void (*validate)(struct api_req *r, struct json *data, const char *prefix);
    /* The data that will be stored, last: may change them, or refuse. */
    enum api_step (*process)(void *ctx, struct api_req *r, struct json *data);
    /* Finds what the URL of an object means by its id; NULL: the object of that id. NOTFOUND. */
    enum err (*find)(void *ctx, struct api_req *r, struct store_list_id list, str id,
                     struct store_object *out);
    /* What the caller gets to see of an object, whose text is in *out: may put another in its place. */
    enum err (*show)(void *ctx, struct api_req *r, const struct store_object *o, bool listed,
                     struct api_shown *out);
    /* Answers a POST on an object, in a write transaction; who may read the object may ask. */
    enum api_step (*post)(void *ctx, struct api_req *r);
};
/* LIMIT: too many kinds; NOMEM. */
MUST_CHECK enum err api_add_resource(struct api *a, const struct api_resource *resource);
/* The first of that name (those of a plugin may share one); KIND_NONE: there is none. */
enum api_kind api_kind_named(const struct api *a, str name);

#define API_MAX_DEPTH 4
struct api_place { /* of an object: the objects that its URI names, from the top to itself */
    unsigned n;    /* 1 to API_MAX_DEPTH */
    struct api_placed {
        enum api_kind kind;
        struct store_list_id list; /* the resource is a C string, too */
        str uri, id;
    } at[API_MAX_DEPTH];
};
/* Takes "/buckets/b/collections/c" to its place in the tree of kinds: slices of the URI. Whether there
 * is such an object, and whether such ids can be, is not asked. False: no kind has such URIs. */
bool api_place(const struct api *a, str uri, struct api_place *out);
static inline const struct api_placed *
api_place_end(const struct api_place *p) /* the object itself */
{
    return &p->at[p->n - 1];
}

/* ---- for plugins: changes -------------------------------------------------------------------- */

enum api_action { ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE };

/* What was changed. Objects below one that was deleted went away without changes of their own. */
struct api_change {
    enum api_action action;
    enum api_kind kind;
    const char *resource; /* name of the kind */
    struct store_list_id list;
    str id, uri;
    const struct store_object *old; /* NULL: it was created */
    /* When what had the id before was deleted; INT64_MIN: nothing had, or its tombstone is gone, too. */
    int64_t deleted_at;
    const struct store_object *now; /* its tombstone when it was deleted */
    size_t left; /* deletions in the same list that follow at once, of this request */
};

/* Is told of each change by a request, in its transaction and right behind the change. DONE: its answer,
 * which has a status of 409, 413, or 500 and more (any other becomes 500), is that of the request, and of
 * the batch that it is a part of, and all that these have changed is undone. Of a request that changes many
 * objects (the deletion of a list, the erasure of a user) what was made in the arena for one of them, and
 * headers that were set then, may be gone when the next is told; and what is undone of an erasure may be no
 * more than the last some hundred changes. */
struct api_listener {
    void *ctx;
    enum api_step (*changed)(void *ctx, struct api_req *r, const struct api_change *c);
    /* Or NULL. A principal is erased: behind the changes that this makes. What the plugin keeps must not
     * tell of it any more. AGAIN: there is more than one transaction should hold; it is called once more,
     * in the next one. *at is NULL at first, and then what it was set to: memory of the request. */
    enum err (*erased)(void *ctx, struct api_req *r, str principal, void **at);
};
MUST_CHECK enum err api_add_listener(struct api *a, const struct api_listener *listener);

/*
 * What a plugin has running beside requests, a thread for instance. start() comes when everything is
 * loaded; stop() before the server stops: be quick, requests are still answered; join() when there are
 * none any more, and returns when nothing runs. The last two come although start() was not called, or
 * failed. Each may be NULL.
 */
struct api_service {
    void *ctx;
    enum err (*start)(void *ctx, struct err_detail *d);
    void (*stop)(void *ctx);
    void (*join)(void *ctx);
};
MUST_CHECK enum err api_add_service(struct api *a, const struct api_service *service);

/*
 * An alias answers for URLs that stand for others ("/buckets/default"). Each function but claims() may
 * be NULL.
 */
struct api_alias {
    void *ctx;
    /* Does the (decoded, unprefixed) path belong to it? */
    bool (*claims)(void *ctx, str path);
    /* Once the user is known: api_rewrite() to the real path, or an error. */
    enum api_step (*rewrite)(void *ctx, struct api_req *r);
    /* Inside the session, before anything is looked up. */
    enum api_step (*prepare)(void *ctx, struct api_req *r);
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
    size_t answer_bytes; /* of the body, as it would be to a GET, and before it is compressed */
    str policy, user;    /* who asked, without the prefix; none: nobody, or it did not matter */
};

struct api_observer {
    void *ctx;
    void (*finished)(void *ctx, const struct api_finished *f);
    /* An operation of the store has ended, inside a request or not. NULL: need not know. */
    void (*store_timed)(void *ctx, enum store_timed what, uint64_t ns);
};
MUST_CHECK enum err api_add_observer(struct api *a, const struct api_observer *o);

/* A header that plugins add to answers, and that pages of other origins may read. Static. NOMEM. */
MUST_CHECK enum err api_expose_header(struct api *a, const char *name);

struct store *api_store(struct api *a);
const struct auth *api_auth(struct api *a);
bool api_is_stopping(const struct api *a); /* any thread: what takes long is given up */

/* ---- for plugins: a request, at any time ----------------------------------------------------- */

struct api *api_of(struct api_req *r);
struct arena *api_arena(struct api_req *r);
bool api_is_part(const struct api_req *r); /* of a batch */
enum api_method api_method_of(struct api_req *r);
str api_path(struct api_req *r);                         /* decoded, without the version prefix */
str api_query(struct api_req *r);                        /* percent-encoded; or none */
str api_req_header(struct api_req *r, const char *name); /* STR_NONE: absent */
str api_origin(struct api_req *r); /* "https://host", of which absolute URLs are made */
str api_body(struct api_req *r);
/* Of an endpoint: the plugin's, and what stands for "{name}" in its path. */
void *api_endpoint_ctx(struct api_req *r);
str api_path_value(struct api_req *r, const char *name);

/* What settings say. */
bool api_readonly(struct api_req *r);
bool api_explicit_permissions(struct api_req *r); /* permissions lie with an object alone */
/* Has an id the form that those of the kind must have? */
bool api_valid_id_of(const struct api_req *r, enum api_kind kind, str id);
bool api_valid_collection_id(const struct api_req *r, str id);

/* ---- for plugins: a request before its session: policies and aliases ------------------------- */

/* A look at one object; `out` lies in the arena. NOTFOUND. */
MUST_CHECK enum err api_read_object(struct api_req *r, struct store_list_id list, str id,
                                    struct store_object *out);
void api_rewrite(struct api_req *r, str path);  /* decoded, without prefix; borrowed */
void api_set_body(struct api_req *r, str body); /* borrowed */

/* ---- for plugins: a request once the user is known ------------------------------------------- */

str api_user_id(struct api_req *r); /* prefixed user id, or none */

/* ---- for plugins: a request in its session: handlers, listeners, all of a resource ----------- */

struct store_session *api_session(struct api_req *r);
const struct store_principals *api_principals(struct api_req *r); /* the user's, groups included */
bool api_is_any_of(const struct api_req *r, const str *names, size_t n); /* is one of these? */

/* What one may do with an object, asked by who answers for other objects. */
enum api_right {
    RIGHT_LIST, /* read all objects that are in a list with it; it need not be there itself */
    RIGHT_WRITE
};
/* May the caller do so, as it would be answered at the URLs of that kind: by the permissions that are
 * stored with the object and what it lies in, or by the settings of the kind? */
MUST_CHECK enum err api_may(struct api_req *r, const struct api_place *what, enum api_right right,
                            bool *allowed);

/* Does it erase a user? What that changes no limit may refuse. */
bool api_is_erasing(const struct api_req *r);

/* In a write transaction: */

/*
 * Answers as if the request had been that method, PUT or PATCH, on the object of that path, with that
 * body: permissions, preconditions, validation, listeners and all else come with it. Path and body lie in
 * the arena.
 */
enum api_step api_handle_as(struct api_req *r, enum api_method method, str path, str body);
/* A change of a plugin's own, beside the request: stores the object as it is, with the permissions that
 * it has (a new one has none), and tells the listeners. `out` lies in the arena. */
enum api_step api_put_object(struct api_req *r, enum api_kind kind, str parent, str id,
                             const struct json *data, struct store_object *out);
/* Makes the bucket or collection of that id unless it is there; the user becomes its writer. */
enum api_step api_create_if_absent(struct api_req *r, str bucket_id, str collection_id_or_none);
/* Calls fn(ctx) on the request's loop when what it has written is durable (never, if it is undone); once,
 * however often it is asked for. LIMIT: too many functions. */
MUST_CHECK enum err api_after_commit(struct api_req *r, void (*fn)(void *ctx), void *ctx);

/* ---- for plugins: a request on objects of their kind: the functions of struct api_resource --- */

bool api_is_plural(const struct api_req *r);      /* on a list */
struct store_list_id api_list(struct api_req *r); /* that it is on, or that the object is in */
str api_url_id(const struct api_req *r);          /* of the object in the URL; none: a list */
/* The object that the URL names: NULL, there is none; and then api_require_object() is its answer (400,
 * 404), else NEXT. */
const struct store_object *api_object(struct api_req *r);
enum api_step api_require_object(struct api_req *r);
str api_object_id(const struct api_req *r);          /* of the object that is written */
const struct json *api_body_json(struct api_req *r); /* NULL: the body is none */

/* Do the settings of its kind let the caller read (whatever it is)? */
bool api_reads_by_settings(const struct api_req *r);
/* The strings of these are borrowed until the answer. */
/* Of the list only the object with that id is there for the caller, */
void api_show_only(struct api_req *r, str id);
/* or what was changed at that time or later. */
void api_only_since(struct api_req *r, int64_t timestamp);
/* Who becomes a writer of what the request writes, instead of the user. */
void api_set_author(struct api_req *r, str principal);
/* The caller is that one, too. */
enum api_step api_add_principal(struct api_req *r, str principal);
/* What these functions keep for each other, in the request's arena; NULL: nothing yet. */
void api_remember(struct api_req *r, void *what);
void *api_remembered(struct api_req *r);

/* Something is wrong in the body: gathered, and told at once when all has been looked at. The strings are
 * borrowed until then. */
void api_invalid_add(struct api_req *r, const char *location, str name, str description);
/* The reference's check of text that must not be empty: false when an error was added under `name`;
 * `key` is what it calls the value in its message. */
bool api_is_text(struct api_req *r, const struct json *v, str name, const char *key);

/* ---- for plugins: work ----------------------------------------------------------------------- */

/*
 * Work that takes long or waits for others: it runs on a thread of a pool, never on a loop and never
 * while a session is open; meanwhile the request is parked. The steps of the request are run again
 * behind it, so what they do outside of the session must be possible twice.
 *
 *     struct api_work *w = api_work_done(r, run_check, key);
 *     if (w == NULL) {
 *         struct check *c = ARENA_NEW(api_arena(r), struct check);
 *         ... what run_check needs, in the arena ...
 *         return api_work_begin(r, &c->work, run_check, key, POOL_COMPUTE);
 *     }
 *     if (w->result != OK) ...                            AGAIN: too much to do, or a stop
 *     struct check *c = CONTAINER_OF(w, struct check, work);
 */
#define API_READS_WAITING      1024 /* of POOL_READ; behind them the loops read */
#define API_READS_OF_A_NETWORK 256
enum api_pool {
    POOL_COMPUTE, /* takes the processor */
    POOL_WAIT,    /* waits for the network, with a deadline */
    POOL_READ,    /* reads much (aside.c) */
    POOL_COUNT
};
struct api_work;
typedef enum err (*api_share_fn)(struct api_work *w, const struct api_work *done);
/* On a thread of the pool: may use w->arena, which is the request's, and what is anybody's. */
typedef enum err (*api_work_fn)(struct api_work *w);
struct api_work {
    enum err result; /* of run() */
    struct arena *arena;
    /* The rest is private. */
    api_work_fn run;
    api_share_fn share; /* NULL: it is nobody else's */
    str key;
    enum api_pool pool;
    struct pool_job job;
    /* Asked on the thread, of the outermost request, before it is done; NULL: as long as somebody is
     * there. */
    bool (*still_wanted)(const struct api_req *outer);
    enum {
        WORK_DONE,    /* or refused: result tells */
        WORK_DROPPED, /* the server stops */
        WORK_UNWANTED /* so it was said, or nobody is there any more to be answered */
    } outcome;
    struct api_req *req;
    struct api_work *next;
    struct api_work *waiting; /* for its result: the first one, then each one's own next */
    struct api_work *next_shared;
};
/* What this request has had done by that function under that key; NULL: not yet. */
struct api_work *api_work_done(struct api_req *r, api_work_fn run, str key);
/* Has it done: return the WAIT that this answers. The work and the key lie in the request's arena. */
enum api_step api_work_begin(struct api_req *r, struct api_work *w, api_work_fn run, str key,
                             enum api_pool pool);
/*
 * The same for work that several requests may want at once: while it is done for one, the others that
 * come with that function and key wait for the same result, without a thread. share() gives it to
 * them: it copies what run() left in `done` into `w` and its arena, on the thread of the pool, when the
 * result is OK.
 */
enum api_step api_work_begin_shared(struct api_req *r, struct api_work *w, api_work_fn run,
                                    api_share_fn share, str key, enum api_pool pool);
/* Work that no request waits for: pool_submit(), and its errors. */
MUST_CHECK enum err api_run_aside(struct api *a, enum api_pool pool, struct pool_job *job);

/* ---- for plugins: answers -------------------------------------------------------------------- */

/* A header of the answer (an error that comes later goes out without it), in the place of the one
 * of that name, if there is one. Both are borrowed. */
void api_set_header(struct api_req *r, str name, str value);
enum api_step api_reply_json(struct api_req *r, int status, str body); /* body is borrowed */
enum api_step api_reply(struct api_req *r, int status, str content_type, str body); /* both are */
/* X(constant): see errors.def */
enum api_error {
#define X(name, status, errno_, title, message) API_ERR_##name,
#include "api/errors.def"
#undef X
};

/* Levels of the JSON in a body. What is built around it (an entry of the history, an event) may have more:
 * JSON_MAX_DEPTH. */
#define API_BODY_DEPTH 128

enum api_step api_fail(struct api_req *r, enum api_error e);
/* The same in words of its own (none: those of the error); details: text of a JSON value, or none. Both are
 * copied into the answer. */
enum api_step api_fail_told(struct api_req *r, enum api_error e, str message, str details);
/* An error without a number of its own (999), without a message, and with that title. */
enum api_step api_fail_titled(struct api_req *r, int status, const char *title);
enum api_step api_fail_readonly(struct api_req *r); /* 405 of a read-only server */
/* With "details" that name the kind of object and its id. */
enum api_step api_fail_missing(struct api_req *r, enum api_error e, str id, const char *resource);
/* A failure below: LIMIT -> 413, CONFLICT and EXISTS 409, NOTFOUND 404, else 503 or 500. Or WAIT: it is a TIMEOUT, as the
 * session has looked at more than a loop may, and the steps run again aside (aside.c). What it answers is to be returned. */
enum api_step api_fail_err(struct api_req *r, enum err e);
#ifdef __clang_analyzer__ /* as in base/err.h: it should know that nothing goes on behind it */
#define api_fail_err(r, e) ((api_fail_err)((r), (e)) == STEP_WAIT ? STEP_WAIT : STEP_DONE)
#endif
bool api_is_invalid(const struct api_req *r); /* has api_invalid_add() added any? */
/* One answer of all that api_invalid_add() added; status 400, 406 or 415. */
enum api_step api_invalid_fail(struct api_req *r, int status);
/* 307 to an absolute URL: no character in it but visible ASCII. */
enum api_step api_redirect_to(struct api_req *r, str url);
/* 400 with one detail; name may be none (null). */
enum api_step api_fail_invalid(struct api_req *r, const char *location, str name, str description);

#endif
