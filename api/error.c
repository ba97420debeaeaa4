/*
 * api/error.c - every error response is made here.
 *
 * The only file that knows HTTP statuses, error numbers and wording (errors.def). The form is
 * {"code","errno","error","message"?,"info"?,"details"?}.
 */
#include "api/private.h"

#undef api_fail_err /* the form for the analyser */

struct error_row {
    int status, number;
    const char *title, *message;
};

static const struct error_row rows[] = {
#define X(name, status, number, title, message) [API_ERR_##name] = {status, number, title, message},
#include "api/errors.def"
#undef X
};

void api_fail_bare(struct http_response *out, bool too_large)
{
    out->nheaders = 0;
    out->overflow = false;
    out->status = too_large ? 413 : 503;
    out->body = too_large
                    ? STR("{\"code\":413,\"errno\":113,\"error\":\"Request Entity Too Large\"}")
                    : STR("{\"code\":503,\"errno\":201,\"error\":\"Service Unavailable\"}");
}

enum api_error api_error_of_status(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return (enum api_error)i;
    return API_ERR_BAD_REQUEST;
}

static void add_member(struct buf *b, const char *name, str value)
{
    buf_printf(b, ",\"%s\":", name);
    json_write_string(b, value);
}

/* What belongs to the status rather than to the error. */
static void add_status_headers(struct api_req *r, int status)
{
    if (status == 401 && !str_none(auth_challenge(r->api->auth)))
        http_header_add(r->out, STR("WWW-Authenticate"), auth_challenge(r->api->auth));
    if (status == 503 || status == 409)
        http_header_add(r->out, STR("Retry-After"), r->api->conf.retry_after);
    if (status == 405 && r->route)
        http_header_add(r->out, STR("Allow"), api_method_list(r, ", "));
}

static enum api_step write_error(struct api_req *r, enum api_error e, int status, str message,
                                 str details)
{
    const struct error_row *row = &rows[e];
    struct buf b;
    buf_init_arena(&b, r->arena, 64 * MIB);
    buf_printf(&b, "{\"code\":%d,\"errno\":%d,\"error\":\"%s\"", status, row->number, row->title);
    if (!str_none(message))
        add_member(&b, "message", arena_utf8(r->arena, message)); /* it may quote a query */
    if (e == API_ERR_INTERNAL && !str_none(r->api->conf.error_info))
        add_member(&b, "info", r->api->conf.error_info);
    if (!str_none(details)) {
        buf_add_lit(&b, ",\"details\":");
        buf_add_str(&b, details);
    }
    buf_add_char(&b, '}');
    r->failed = true;
    r->out->nheaders = 0;
    add_status_headers(r, status);
    return api_arena_reply(r, status, &b);
}

enum api_step api_fail(struct api_req *r, enum api_error e)
{
    return write_error(r, e, rows[e].status, str_from(rows[e].message), STR_NONE);
}

enum api_step api_fail_titled(struct api_req *r, int status, const char *title)
{
    struct buf b;
    buf_init_arena(&b, r->arena, KIB);
    buf_printf(&b, "{\"code\":%d,\"errno\":%d,\"error\":", status, rows[API_ERR_INTERNAL].number);
    json_write_string(&b, str_from(title));
    buf_add_char(&b, '}');
    r->failed = true;
    r->out->nheaders = 0;
    return api_arena_reply(r, status, &b);
}

/* No endpoint has been chosen: no Allow. */
enum api_step api_fail_readonly(struct api_req *r)
{
    r->route = NULL;
    return api_fail(r, API_ERR_METHOD_NOT_ALLOWED);
}

enum api_step api_fail_told(struct api_req *r, enum api_error e, str message, str details)
{
    str words = str_none(message) ? str_from(rows[e].message) : message;
    return write_error(r, e, rows[e].status, words, details);
}

enum api_step api_fail_missing(struct api_req *r, enum api_error e, str id, const char *resource)
{
    struct buf b;
    buf_init_arena(&b, r->arena, MIB);
    buf_add_lit(&b, "{\"id\":");
    json_write_string(&b, id);
    buf_printf(&b, ",\"resource_name\":\"%s\"}", resource);
    if (buf_failed(&b))
        return api_fail_err(r, b.err);
    return write_error(r, e, rows[e].status, STR_NONE, buf_str(&b));
}

static void log_failure(struct api_req *r, enum log_level level, const char *event, enum err e)
{
    if (!log_enabled(level))
        return;
    str path = api_logged_path(r);
    log_event(level, event, "error=\"%s\" path=\"" STR_FMT "\"", err_text(e), STR_ARG(path));
}

enum api_step api_fail_err(struct api_req *r, enum err e)
{
    if (api_goes_aside(r, e))
        return STEP_WAIT;
    switch (e) {
    case ERR_LIMIT:
        return api_fail(r, API_ERR_TOO_LARGE);
    case ERR_CONFLICT:
    case ERR_EXISTS:
        return api_fail(r, API_ERR_CONFLICT);
    case ERR_NOTFOUND:
        return api_fail(r, API_ERR_MISSING_OBJECT);
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_NOSPACE:
    case ERR_CORRUPT:
    case ERR_AGAIN:
    case ERR_CLOSED:
    case ERR_FAILED:
    case ERR_BUSY:
    case ERR_TIMEOUT:
    case ERR_UNTRUSTED:
    case ERR_REFUSED:
    case ERR_NOFILES:
        if (e == ERR_NOMEM && r->arena->over_budget) /* the request's own is used up */
            return api_fail(r, API_ERR_TOO_LARGE);
        if ((e == ERR_AGAIN || e == ERR_TIMEOUT) &&
            (api_work_dropped(r) || api_is_stopping(r->api))) /* as it should be */
            return api_fail(r, API_ERR_UNAVAILABLE);
        /* Of those who are to come again there may be thousands: who refused them has told of it once. */
        log_failure(r, e == ERR_AGAIN ? LOG_DEBUG : LOG_ERROR, "backend", e);
        return api_fail(r, API_ERR_UNAVAILABLE);
    case ERR_OK:
    case ERR_SYNTAX:
    case ERR_RANGE:
    case ERR_UNSUPPORTED:
        break;
    }
    log_failure(r, LOG_ERROR, "internal", e);
    return api_fail(r, API_ERR_INTERNAL);
}

/* More do not help, and an answer must not outgrow its request by far. */
#define MAX_DETAILS 100

void api_invalid_add(struct api_req *r, const char *location, str name, str description)
{
    if (r->invalid && r->invalid_last->order + 1 == MAX_DETAILS)
        return;
    struct api_invalid *v = ARENA_NEW(r->arena, struct api_invalid);
    if (v == NULL) { /* what is wrong stays wrong, although the answer becomes a 503 */
        if (r->invalid)
            return;
        v = &r->invalid_spare;
    }
    size_t order = r->invalid ? r->invalid_last->order + 1 : 0;
    description = arena_utf8(r->arena, description); /* it may quote a header */
    *v = (struct api_invalid){location, name, STR_NONE, description, order, NULL};
    if (r->invalid)
        r->invalid_last->next = v;
    else
        r->invalid = v;
    r->invalid_last = v;
}

bool api_is_invalid(const struct api_req *r)
{
    return r->invalid != NULL;
}

/* By name, a null one as "None"; equal names in the order they came. */
static int by_name(const void *x, const void *y)
{
    const struct api_invalid *a = *(struct api_invalid *const *)x;
    const struct api_invalid *b = *(struct api_invalid *const *)y;
    int order = str_cmp(str_none(a->name) ? STR("None") : a->name,
                        str_none(b->name) ? STR("None") : b->name);
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

/* The errors in the order of the answer; NULL: no memory. */
static struct api_invalid **sorted(struct api_req *r, size_t *n)
{
    *n = 0;
    for (const struct api_invalid *v = r->invalid; v; v = v->next)
        ++*n;
    struct api_invalid **all = ARENA_NEW_ARRAY(r->arena, struct api_invalid *, *n);
    size_t i = 0;
    for (struct api_invalid *v = r->invalid; all && v; v = v->next)
        all[i++] = v;
    if (all)
        qsort(all, *n, sizeof *all, by_name);
    return all;
}

/* Joined, not printed: names and values of clients may hold NUL. */
static str invalid_message(struct api_req *r, const struct api_invalid *v)
{
    str location = str_from(v->location);
    if (str_none(v->name))
        return ARENA_JOIN(r->arena, location, STR(": "), v->description);
    if (str_find_str(v->description, v->name) != STR_NPOS)
        return v->description;
    return ARENA_JOIN(r->arena, v->name, STR(" in "), location, STR(": "), v->description);
}

enum api_step api_invalid_fail(struct api_req *r, int status)
{
    size_t n;
    struct api_invalid **all = sorted(r, &n);
    struct buf b;
    buf_init_arena(&b, r->arena, 64 * MIB);
    for (size_t i = 0; all && i < n; i++) {
        buf_add_char(&b, i ? ',' : '[');
        buf_add_lit(&b, "{\"location\":");
        json_write_string(&b, str_from(all[i]->location));
        buf_add_lit(&b, ",\"name\":");
        if (!str_none(all[i]->name_json))
            buf_add_str(&b, all[i]->name_json);
        else if (str_none(all[i]->name))
            buf_add_lit(&b, "null");
        else
            json_write_string(&b, all[i]->name);
        add_member(&b, "description", all[i]->description);
        buf_add_char(&b, '}');
    }
    buf_add_char(&b, ']');
    if (buf_failed(&b) || all == NULL || n == 0)
        return api_fail_err(r, ERR_NOMEM);
    r->invalid = NULL;
    return write_error(r, API_ERR_INVALID_PARAMETERS, status, invalid_message(r, all[0]),
                       buf_str(&b));
}

enum api_step api_fail_invalid(struct api_req *r, const char *location, str name, str description)
{
    r->invalid = NULL;
    api_invalid_add(r, location, name, description);
    return api_invalid_fail(r, 400);
}

enum api_step api_fail_invalid_value(struct api_req *r, const char *location,
                                     const struct json *name, str description)
{
    if (name == NULL)
        return api_fail_err(r, ERR_NOMEM);
    str text = json_is(name, JSON_NULL) ? STR_NONE : api_python_str(r->arena, name);
    r->invalid = NULL;
    api_invalid_add(r, location, text, description);
    if (!json_is(name, JSON_STRING))
        r->invalid->name_json = json_text(r->arena, name);
    return api_invalid_fail(r, 400);
}
