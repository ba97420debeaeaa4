/*
 * api/logged.c - what the log says of a request.
 */
#include "api/private.h"

/* A stranger's text between the quotes of a log line: without quotes of its own. */
static str unquoted(struct api_req *r, str s)
{
    if (str_find(s, '"') == STR_NPOS)
        return s;
    char *copy = arena_alloc(r->arena, s.n);
    if (copy == NULL)
        return STR("(no memory)");
    for (size_t i = 0; i < s.n; i++)
        copy[i] = s.p[i] == '"' ? '\'' : s.p[i];
    return (str){copy, s.n};
}

static bool is_word_char(char c)
{
    return str_is_alnum(c) || c == '_' || c == '-';
}

static size_t word_end(str path, size_t at)
{
    while (at < path.n && is_word_char(path.p[at]))
        at++;
    return at;
}

/* The version and the first word behind it: no key is one, but what follows may be, however it is encoded. */
static str first_word(struct api_req *r)
{
    str path = api_one_slash(r->raw_path); /* as it came: its target may not have been read */
    size_t end = word_end(path, str_starts(path, STR("/")));
    if (api_says_version(path) && str_starts(str_drop(path, end), STR("/")))
        end = word_end(path, end + 1);
    if (end == path.n)
        return path;
    str shown = ARENA_JOIN(r->arena, str_sub(path, 0, end), STR("*"));
    return str_none(shown) ? STR("(no memory)") : shown;
}

str api_logged_path(struct api_req *r)
{
    if (r->route == NULL)
        return first_word(r);
    return r->route->kind == KIND_NONE ? str_from(r->route->path) : unquoted(r, r->raw_path);
}

void api_log_request(struct api_req *r)
{
    if (!log_enabled(LOG_DEBUG))
        return;
    str path = api_logged_path(r), uid = unquoted(r, r->user.id);
    str rid = unquoted(r, api_req_header(r, "X-Request-Id"));
    str agent = unquoted(r, api_req_header(r, "User-Agent"));
    log_event(LOG_DEBUG, "request",
              "method=" STR_FMT " path=\"" STR_FMT "\" code=%d uid=\"" STR_FMT "\" rid=\"" STR_FMT
              "\" agent=\"" STR_FMT "\"",
              STR_ARG(r->method_name), STR_ARG(path), r->out->status, STR_ARG(uid), STR_ARG(rid),
              STR_ARG(agent));
}
