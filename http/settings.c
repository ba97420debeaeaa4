/*
 * http/settings.c - the rows of http/settings.def, and what they mean for http_server_start.
 *
 * Where to listen: kinto.server.listen, or kinto.server.unix_socket, or host and port; a host or
 * port from the command line wins over the first two.
 */
#include "http/http.h"

static const struct setting_row rows[] = {
#define X(key, type, min, max, def, unit, allowed, help)                                           \
    {key, SETTING_##type, min, max, def, unit, allowed, help},
#include "http/settings.def"
#undef X
};

const struct setting_table http_settings = {rows, ARRAY_LEN(rows)};

static size_t size_of(const struct settings *s, const char *key)
{
    return (size_t)settings_int(s, key, 0);
}

static unsigned ms_of(const struct settings *s, const char *seconds_key)
{
    return (unsigned)settings_int(s, seconds_key, 0) * 1000;
}

/* NULL: unset or empty. */
static const char *text_of(const struct settings *s, const char *key)
{
    return settings_is_set(s, key) ? settings_str(s, key).p : NULL;
}

void http_options_load(struct http_options *o, const struct settings *s)
{
    o->loops = (unsigned)settings_int(s, "kinto.server.loops", 0);
    o->tls.certificate = text_of(s, "kinto.tls_certificate");
    o->tls.key = text_of(s, "kinto.tls_key");
    str ident = settings_str(s, "kinto.server.ident");
    o->server_name = ident.n != 0 ? ident.p : NULL;
    o->max_head_bytes = size_of(s, "kinto.server.max_request_header_size");
    o->max_target_bytes = size_of(s, "kinto.server.max_request_target_size");
    o->max_body_bytes = size_of(s, "kinto.server.max_request_body_size");
    o->max_arena_bytes = size_of(s, "kinto.server.max_request_memory");
    o->max_connections = (unsigned)settings_int(s, "kinto.server.connection_limit", 0);
    o->head_timeout_ms = ms_of(s, "kinto.server.head_timeout_seconds");
    o->body_timeout_ms = ms_of(s, "kinto.server.body_timeout_seconds");
    o->idle_timeout_ms = ms_of(s, "kinto.server.channel_timeout");
    o->send_timeout_ms = ms_of(s, "kinto.server.send_timeout_seconds");
    o->stop_timeout_ms = (unsigned)settings_int(s, "kinto.server.stop_timeout_milliseconds", 0);
}

/* ---- where to listen --------------------------------------------------------------------- */

static bool on_command_line(const struct settings *s, const char *key)
{
    return str_eq(settings_origin(s, key), STR("command line"));
}

/* waitress' way to say "every address". */
static str plain_host(str host)
{
    return host.n == 0 || str_eq(host, STR("*")) ? STR("0.0.0.0") : host;
}

/* "host:port" or "[::1]:port". */
static bool split_pair(str word, struct http_listen *out)
{
    size_t colon = STR_NPOS;
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] == ':')
            colon = i;
    uint64_t port;
    if (colon == STR_NPOS || str_to_u64(str_drop(word, colon + 1), &port) != OK || port > 65535)
        return false;
    str host = str_sub(word, 0, colon);
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_sub(host, 1, host.n - 2);
    else if (str_find(host, ':') != STR_NPOS)
        return false;
    out->host = plain_host(host);
    out->port = (uint16_t)port;
    return true;
}

static enum err load_pairs(const struct settings *s, struct http_listen *out, unsigned *count,
                           struct err_detail *d)
{
    size_t n;
    const str *words = settings_list(s, "kinto.server.listen", &n);
    if (n > HTTP_MAX_LISTEN)
        return settings_refuse(s, "kinto.server.listen", ERR_RANGE, d, "%zu addresses, at most %d",
                               n, HTTP_MAX_LISTEN);
    for (size_t i = 0; i < n; i++)
        if (!split_pair(words[i], &out[i]))
            return settings_refuse(s, "kinto.server.listen", ERR_SYNTAX, d,
                                   "\"" STR_FMT "\" is not host:port", STR_ARG(words[i]));
    *count = (unsigned)n;
    return OK;
}

static enum err load_unix(const struct settings *s, struct arena *a, struct http_listen *out)
{
    const str parts[] = {STR("unix:"), settings_str(s, "kinto.server.unix_socket")};
    out->host = arena_concat(a, parts, ARRAY_LEN(parts));
    return str_none(out->host) ? ERR_NOMEM : OK;
}

static enum err load_addresses(const struct settings *s, struct arena *a, struct http_listen *out,
                               unsigned *count, struct err_detail *d)
{
    bool asked = on_command_line(s, "kinto.server.host") || on_command_line(s, "kinto.server.port");
    if (!asked && settings_is_set(s, "kinto.server.listen"))
        return load_pairs(s, out, count, d);
    *count = 1;
    if (!asked && settings_is_set(s, "kinto.server.unix_socket"))
        return load_unix(s, a, out);
    str host = settings_str(s, "kinto.server.host");
    out->host = host.n == 0 ? STR("127.0.0.1") : plain_host(host);
    out->port = (uint16_t)settings_int(s, "kinto.server.port", 0);
    return OK;
}

enum err http_listen_load(const struct settings *s, struct arena *a, struct http_listen *out,
                          unsigned *count, struct err_detail *d)
{
    struct http_listen got[HTTP_MAX_LISTEN] = {0};
    unsigned n = 0;
    enum err e = load_addresses(s, a, got, &n, d);
    if (e != OK)
        return e;
    for (unsigned i = 0; i < n; i++) {
        got[i].tls = settings_is_set(s, "kinto.tls_certificate");
        out[i] = got[i];
    }
    *count = n;
    return OK;
}

enum err http_settings_check(const struct settings *s, struct err_detail *d)
{
    bool certificate = settings_is_set(s, "kinto.tls_certificate");
    if (certificate == settings_is_set(s, "kinto.tls_key"))
        return OK;
    const char *there = certificate ? "kinto.tls_certificate" : "kinto.tls_key";
    str origin = settings_origin(s, there);
    return err_set(d, ERR_UNSUPPORTED, 0, STR_FMT ": %s is set, but %s is not: TLS needs both",
                   STR_ARG(origin), there, certificate ? "kinto.tls_key" : "kinto.tls_certificate");
}
