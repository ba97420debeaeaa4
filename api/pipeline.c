/*
 * api/pipeline.c - the life of a request, step by step.
 *
 *   before a session   readonly    a read-only server refuses writes                here
 *                      target      decode the URL, take the version prefix off      routes.c
 *                      route       find the endpoint (404, redirects)               routes.c
 *                      preflight   answer OPTIONS                                   cors.c
 *                      identify    who asks (anonymous is somebody, too)            auth/
 *                      alias       /buckets/default becomes the user's bucket       plugins/
 *                      methods     405; of utilities also 415                       here
 *                      body        is parsed, not yet judged                        validate.c
 *                      prepare     a batch: these steps for each of its parts       batch.c
 *   begin              a snapshot, or the write transaction                         store/
 *   in the session     principals  the user and its groups                          principals.c
 *                      make        what an alias makes on the fly                   plugins/
 *                      resolve     an alias' own 404 and 405 come only now          here
 *                      list        that the request is on                           resource.c
 *                      enter       what a plugin's kind wants, for writes           plugins/
 *                      load        the object; for writes a missing parent          resource.c
 *                      negotiate   406, 415                                         negotiate.c
 *                      authorize   401, 403                                         authorize.c
 *                      parent      a missing parent, for reads                      resource.c
 *                      enter       what it wants, for all else                      plugins/
 *                      origin      pages that may not call                          cors.c
 *                      validate    headers, query, body                             validate.c
 *                      handle      preconditions and the work         read.c, write.c, patch.c
 *   commit             writes: wait until it is durable                             store/
 *   respond            compressed, for who asks                                     gzip.c
 *                      the headers that every answer has                            here
 *                      observers are told                                           observe.c
 *
 * A step answers NEXT, DONE (a response stands), or WRITE: it has to change something (the first
 * look at a list gives it a clock; an alias makes a bucket) but runs on a snapshot. Then the
 * session is given back and its steps run again inside a write transaction. Or WAIT: something has
 * to be worked out first that takes long (work.c); the session is given back, and the steps before
 * or in it run again when that is done. So nothing waits for others inside a session: the write
 * transaction is shared by all.
 *
 * What has to change more than one transaction should hold (user_data.c) answers MORE: what it has
 * written so far is committed, others get their turn, and the steps in the session run again. A stop
 * answers it with a 503.
 *
 * After an error below 500 the transaction is committed all the same: what was done before the
 * error (a clock, a default bucket) stays, as in the reference. At 409, 413 and 5xx it is aborted
 * (api_undoes()).
 *
 * The order of the steps is the reference's order of errors.
 */
#include "api/private.h"

typedef enum api_step (*step)(struct api_req *r);

/* Only if it is there once. */
static str connection_header(void *ctx, str name)
{
    const struct api_req *r = api_outermost(ctx);
    str found = STR_NONE;
    for (unsigned i = 0; i < r->nheaders; i++) {
        if (!str_eq_nocase(r->headers[i].name, name))
            continue;
        if (!str_none(found))
            return STR_NONE;
        found = r->headers[i].value;
    }
    return found;
}

bool api_is_identified(struct api_req *r, str credentials)
{
    return r->parent && str_eq(credentials, api_req_header(api_outermost(r), "Authorization"));
}

static enum api_step identify(struct api_req *r)
{
    struct api_req *outer = api_outermost(r);
    if (api_limit_before_identify(r) == STEP_DONE)
        return STEP_DONE;
    str credentials = api_req_header(r, "Authorization");
    if (api_is_identified(r, credentials)) {
        r->user = outer->user;
        return api_limit_after_identify(r);
    }
    struct auth_request a = {.arena = r->arena,
                             .memory = r->loop->memory,
                             .authorization = credentials,
                             .peer = outer->http->peer,
                             .header = connection_header,
                             .ctx = r};
    enum err e = auth_authenticate(r->api->auth, &a, &r->user);
    if (e == ERR_AGAIN && outer->todo) {
        if (api_limit_is_try(r))
            outer->todo->still_wanted = api_limit_allows_try;
        return STEP_WAIT;
    }
    if (e == ERR_TIMEOUT) /* whom a policy has to ask is not there: that is not our failure */
        return api_fail(r, API_ERR_UNAVAILABLE);
    return e == OK ? api_limit_after_identify(r) : api_fail_err(r, e);
}

static enum api_step preflight(struct api_req *r)
{
    if (r->method != METHOD_OPTIONS)
        return STEP_NEXT;
    return r->route ? api_preflight(r) : api_route_not_found(r);
}

/* The real URL may be unknown, too: that is told when the alias has made what it makes. */
static enum api_step follow_alias(struct api_req *r)
{
    const struct api_alias *alias = r->alias;
    if (alias == NULL)
        return STEP_NEXT;
    enum api_step s = alias->rewrite ? alias->rewrite(alias->ctx, r) : STEP_NEXT;
    if (s != STEP_NEXT)
        return s;
    api_route_lookup(r);
    return STEP_NEXT;
}

/* A read-only server refuses whatever might write before it looks where that would go. */
static enum api_step refuse_writes(struct api_req *r)
{
    bool reads = r->method == METHOD_GET || r->method == METHOD_HEAD || r->method == METHOD_OPTIONS;
    return r->api->conf.readonly && !reads ? api_fail_readonly(r) : STEP_NEXT;
}

static enum api_step check_method(struct api_req *r)
{
    if (!(api_route_methods(r) & METHOD_BIT(r->method)))
        return api_fail(r, API_ERR_METHOD_NOT_ALLOWED);
    return STEP_NEXT;
}

static bool on_resource(const struct api_req *r)
{
    return r->route->kind != KIND_NONE;
}

static enum api_step check_methods(struct api_req *r)
{
    if (r->alias)
        return STEP_NEXT;
    enum api_step s = check_method(r);
    return s != STEP_NEXT || on_resource(r) ? s : api_negotiate(r);
}

static enum api_step resolve_alias(struct api_req *r)
{
    if (r->alias == NULL)
        return STEP_NEXT;
    enum api_step s = r->route ? check_method(r) : api_route_not_found(r);
    r->is_resolved = s == STEP_NEXT;
    return s;
}

static enum api_step prepare(struct api_req *r)
{
    return r->route && r->route->prepare ? r->route->prepare(r) : STEP_NEXT;
}

/* Reading a body takes as long as the client makes it: not inside the write transaction. What is wrong
 * with it is told later (validate), where the reference tells it. */
static enum api_step parse_body(struct api_req *r)
{
    if (api_reads_body(r) && r->route && r->route->type != TYPE_UTILITY)
        api_body_parse(r);
    return STEP_NEXT;
}

static enum api_step make_by_alias(struct api_req *r)
{
    return r->alias && r->alias->prepare ? r->alias->prepare(r->alias->ctx, r) : STEP_NEXT;
}

static enum api_step enter(struct api_req *r)
{
    const struct api_resource *resource = &api_kind_of(r)->is;
    return resource->enter ? resource->enter(resource->ctx, r) : STEP_NEXT;
}

/* Where the object is looked at before it is known whether the caller may. */
static enum api_step enter_first(struct api_req *r)
{
    return api_loads_first(r) ? enter(r) : STEP_NEXT;
}

static enum api_step enter_later(struct api_req *r)
{
    return api_loads_first(r) ? STEP_NEXT : enter(r);
}

static enum api_step post_on_object(struct api_req *r)
{
    const struct api_resource *resource = &api_kind_of(r)->is;
    CHECK(resource->post);
    return resource->post(resource->ctx, r);
}

static enum api_step handle(struct api_req *r)
{
    bool plural = r->route->type == TYPE_PLURAL;
    switch (r->method) {
    case METHOD_GET:
    case METHOD_HEAD:
        return plural ? api_get_plural(r) : api_get_object(r);
    case METHOD_POST:
        return plural ? api_post(r) : post_on_object(r);
    case METHOD_PUT:
        return api_put(r);
    case METHOD_PATCH:
        return api_patch_object(r);
    case METHOD_DELETE:
        return plural ? api_delete_plural(r) : api_delete_object(r);
    case METHOD_OPTIONS:
    case METHOD_OTHER:
        break;
    }
    return api_fail(r, API_ERR_METHOD_NOT_ALLOWED);
}

static enum api_step run(struct api_req *r, const step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        enum api_step s = steps[i](r);
        if (s != STEP_NEXT)
            return s;
    }
    return STEP_NEXT;
}

enum api_step api_run_before_session(struct api_req *r)
{
    static const step steps[] = {refuse_writes, api_route_parse_target, api_route_find, preflight,
                                 identify,      follow_alias,           check_methods,  parse_body,
                                 prepare};
    return run(r, steps, ARRAY_LEN(steps));
}

static enum api_step run_on_resource(struct api_req *r)
{
    static const step steps[] = {
        api_find_list,    enter_first, api_load_target,  api_negotiate, api_authorize,
        api_check_parent, enter_later, api_check_origin, api_validate,  handle};
    return run(r, steps, ARRAY_LEN(steps));
}

/* What an earlier run left behind must not be believed in the next session; and a run in a write
 * transaction may have changed the body's values on their way to the store. */
static void forget(struct api_req *r)
{
    if (r->written)
        r->body_state = BODY_UNREAD;
    r->written = store_is_writing(r->session);
    if (r->route && r->route->type == TYPE_PLURAL)
        r->id = STR_NONE;
    for (unsigned i = 0; i < MAX_LEVELS; i++)
        r->levels[i].state = LEVEL_UNKNOWN;
    if (r->parked != AT_DISK_WITH_MORE)
        r->erasure = NULL;
    r->exists = r->shared_only = r->failed = r->inline_permissions = r->is_resolved = false;
    r->only_id = STR_NONE;
    r->only_since = NULL;
    r->remembered = NULL;
    r->schema_steps = 0;
    r->erased = (struct api_erased){0};
    r->invalid = NULL;
    r->out->nheaders = 0;
    r->out->status = 0;
}

enum api_step api_run_in_session(struct api_req *r)
{
    static const step first[] = {api_find_principals, make_by_alias, resolve_alias};
    forget(r);
    enum api_step s = run(r, first, ARRAY_LEN(first));
    if (s != STEP_NEXT)
        return s;
    if (on_resource(r))
        return run_on_resource(r);
    if (r->route->type == TYPE_UTILITY) /* others do it when they know that they may answer */
        s = api_check_origin(r);
    return s == STEP_NEXT ? r->route->handler(r) : s;
}

/* What the session has learned of the request's own target means nothing for the other one; and if
 * the steps are run again they begin with the request as it was. */
enum api_step api_handle_as(struct api_req *r, enum api_method method, str path, str body)
{
    const struct api_req was = *r;
    CHECK(store_is_writing(r->session));
    r->method = method;
    r->patch = PATCH_PLAIN;
    r->only_since = NULL;
    r->remembered = NULL;
    api_rewrite(r, path);
    api_set_body(r, body);
    api_route_lookup(r);
    CHECK(r->route && r->route->type == TYPE_OBJECT);
    enum api_step s = check_method(r);
    if (s == STEP_NEXT)
        s = run_on_resource(r);
    r->method = was.method;
    r->route = was.route;
    r->nlevels = was.nlevels;
    memcpy(r->levels, was.levels, sizeof r->levels);
    api_rewrite(r, was.path);
    api_set_body(r, was.body);
    r->body_json = was.body_json;
    return s;
}

bool api_needs_write(const struct api_req *r)
{
    if (r->route == NULL) /* an alias of nothing: it says WRITE if it has something to make */
        return false;
    if (r->route->writes_now)
        return r->route->writes_now(r);
    return (r->route->writes & METHOD_BIT(r->method)) != 0;
}

/* ---- the headers of every answer ------------------------------------------------------------- */

static void add_backoff(struct api_req *r)
{
    const struct api_config *c = &r->api->conf;
    if (str_none(c->backoff))
        return;
    if (c->backoff_percentage >= 0 &&
        (double)(rand_u64() >> 11) * 0x1p-53 >= c->backoff_percentage / 100.0)
        return;
    http_header_add(r->out, STR("Backoff"), c->backoff);
}

/* Of the errors of the real path an alias makes an answer. */
bool api_was_stopped(const struct api_req *r)
{
    return r->parent && r->failed && !(r->alias && r->is_resolved);
}

void api_finish_headers(struct api_req *r)
{
    struct http_response *out = r->out;
    if (out->status != 304 && str_none(api_answer_header(out, "Content-Type")))
        http_header_add(out, STR("Content-Type"), STR("application/json"));
    if (!api_was_stopped(r)) {
        http_header_add(out, STR("X-Content-Type-Options"), STR("nosniff"));
        http_header_add(out, STR("Content-Security-Policy"),
                        STR("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "));
        add_backoff(r);
    }
    api_cors_headers(r);
    if (r->parent == NULL)
        api_eos_alert(r);
}

/* Something could not be built. */
static bool incomplete(const struct api_req *r)
{
    return arena_failed(r->arena) || r->out->overflow;
}

void api_finish(struct api_req *r)
{
    if (incomplete(r)) { /* say so rather than send half of an answer */
        api_fail_bare(r->out, r->arena->over_budget);
        if (r->out->status == 503)
            http_header_add(r->out, STR("Retry-After"), r->api->conf.retry_after);
    }
    api_finish_headers(r);
    api_log_request(r);
    api_observe_tell(r);
}

static void respond(struct api_req *r)
{
    if (api_gzip(r)) {
        r->parked = AT_GZIP;
        return;
    }
    api_finish(r);
    api_gzip_finish(r);
    http_respond(r->http);
}

void api_refuse_without_memory(struct http_req *http)
{
    api_fail_bare(&http->res, false);
    http_header_add(&http->res, STR("Content-Type"), STR("application/json"));
    http->res.close = true;
}

/* ---- sessions -------------------------------------------------------------------------------- */

/* How far the steps came: to an answer that can leave, to work that has to be done first, to an answer
 * that waits for the disk. */
enum outcome { ANSWERED, NEEDS_WORK, NEEDS_DISK };

/* Called by the committer, or inside store_commit_soon: the answer may leave, or has to be taken back.
 */
static void committed(void *arg, enum err result)
{
    struct api_req *r = arg;
    r->commit_result = result;
    http_resume(r->http);
}

enum err api_after_commit(struct api_req *r, void (*fn)(void *ctx), void *ctx)
{
    struct api_req *outer = api_outermost(r);
    for (unsigned i = 0; i < outer->nafters; i++)
        if (outer->afters[i].fn == fn && outer->afters[i].ctx == ctx)
            return OK;
    if (outer->nafters == MAX_AFTERS)
        return ERR_LIMIT;
    outer->afters[outer->nafters++] = (struct api_after){fn, ctx};
    return OK;
}

static enum outcome finish_write(struct api_req *r, enum api_step s)
{
    if (s == STEP_WAIT || api_undoes(r->out->status) || incomplete(r)) {
        store_abort(r->session);
        r->session = NULL;
        return s == STEP_WAIT ? NEEDS_WORK : ANSWERED;
    }
    r->parked = s == STEP_MORE ? AT_DISK_WITH_MORE : AT_DISK;
    if (r->loop->waiting++ == 0)
        r->loop->waiting_since_ns = clock_mono_ns();
    r->loop->at_disk++;
    struct store_session *session = r->session;
    r->session = NULL;
    store_commit_soon(session, committed, r); /* which may have been told before this returns */
    return NEEDS_DISK;
}

/*
 * What was written in one turn of a loop is synced together, and what comes while a group is being synced waits
 * until it is as much, or the group is done: a sync costs as much as several requests. It waits no longer than
 * WAIT_NS once another request comes, and not for what may take long.
 *
 * Nothing waits for ever: with no group at the disk at_disk is what waits, or less (somebody else's commit may
 * have taken it along), and the turn in which that became so lets it go.
 */
#define WAIT_NS ((uint64_t)1000 * 1000)

static void let_go(struct api_loop *loop)
{
    loop->waiting = 0;
    api_soon_disk(loop);
    store_commits_go(loop->thread);
}

void api_turn_end(struct api_loop *loop)
{
    if (loop->waiting > 0 && 2 * loop->waiting >= loop->at_disk)
        let_go(loop);
}

bool api_is_short(const struct api_req *r)
{
    if (r->batch)
        return api_batch_is_short(r);
    return r->route && (r->route->type == TYPE_OBJECT || r->method == METHOD_POST);
}

static void let_go_in_time(struct api_req *r)
{
    struct api_loop *loop = r->loop;
    if (loop->waiting > 0 &&
        (!api_is_short(r) || clock_mono_ns() - loop->waiting_since_ns >= WAIT_NS))
        let_go(loop);
}

enum api_step api_run_reading(struct api_req *r, uint64_t at_once)
{
    enum err e = store_read_begin(r->loop->thread, r->arena, &r->session);
    if (e != OK)
        return api_fail_err(r, e);
    store_work_at_most(r->session, at_once);
    if (at_once == 0) /* nobody waits for it when the server stops */
        store_work_until(r->session, &r->api->stopping);
    api_make_way_in_session(r);
    enum api_step s = api_run_in_session(r);
    store_read_end(r->session);
    r->session = NULL;
    return s;
}

static enum outcome run_writing(struct api_req *r)
{
    r->nafters = 0; /* those of a run that was given up */
    enum err e = store_write_begin(r->loop->thread, r->arena, &r->session);
    if (e != OK) {
        api_fail_err(r, e);
        return ANSWERED;
    }
    enum api_step s = api_run_in_session(r);
    CHECK(s != STEP_WRITE);
    return finish_write(r, s);
}

/* Runs the steps, from the session on if those before it are done. */
static enum outcome run_steps(struct api_req *r)
{
    enum api_step s = r->is_prepared ? STEP_NEXT : api_run_before_session(r);
    r->is_prepared = s == STEP_NEXT;
    let_go_in_time(r);
    if (s == STEP_NEXT)
        s = api_needs_write(r) ? STEP_WRITE : api_read(r);
    if (s == STEP_WRITE)
        return run_writing(r);
    return s == STEP_WAIT ? NEEDS_WORK : ANSWERED;
}

/* As far as it goes: to the answer, or until it is resumed. */
static void proceed(struct api_req *r)
{
    enum outcome o;
    while ((o = run_steps(r)) == NEEDS_WORK) {
        r->parked = AT_WORK;
        if (http_is_gone(r->http)) {
            api_fail(r, API_ERR_UNAVAILABLE); /* nobody is there to read it */
            break;
        }
        if (api_work_submit(r) == OK)
            return;
        if (api_aside_was_refused(r))
            continue;
        api_work_refuse(r);
        break;
    }
    if (o != NEEDS_DISK)
        respond(r);
}

void api_request_resume(struct http_req *http)
{
    struct api_req *r = http->app_data;
    if (r->parked == AT_WORK) {
        api_work_end(r);
        proceed(r);
        return;
    }
    if (r->parked == AT_GZIP) {
        api_work_end(r);
        respond(r);
        return;
    }
    r->loop->at_disk--;
    api_soon_answer(r->loop);
    if (r->commit_result != OK)
        api_fail_err(r, r->commit_result);
    for (unsigned i = 0; r->commit_result == OK && i < r->nafters; i++)
        r->afters[i].fn(r->afters[i].ctx);
    if (r->commit_result == OK && r->parked == AT_DISK_WITH_MORE) {
        if (!api_is_stopping(r->api)) {
            proceed(r);
            return;
        }
        api_fail(r, API_ERR_UNAVAILABLE);
    }
    respond(r);
}

void api_request_handle(struct api_loop *loop, struct http_req *http)
{
    struct api_req *r = api_req_new(loop, http);
    api_soon_request(loop);
    if (r == NULL) {
        api_refuse_without_memory(http);
        http_respond(http);
        return;
    }
    api_observe_begin(r);
    if (api_eos_refused(r))
        respond(r);
    else
        proceed(r);
}
