/*
 * http/settings.c - the rows of http/settings.def, and what they mean for http_server_bind.
 *
 * Where to listen: kinto.server.listen, or kinto.server.unix_socket, or host and port; a host or
 * port from the command line wins over the first two.
 */
#include "base/net.h"
#include "http/http.h"

static const struct setting_row rows[] = {
#define X(key, type, min, max, def, unit, allowed, help)                                           \
    {key, SETTING_##type, min, max, def, unit, allowed, help},
#include "http/settings.def"
#undef X
};

const struct setting_table http_settings = {rows, ARRAY_LEN(rows)};

static unsigned ms_of(const struct settings *s, const char *seconds_key)
{
    return (unsigned)settings_int(s, seconds_key, 0) * 1000;
}

void http_tls_load(struct http_tls_options *o, const struct settings *s)
{
    size_t nkeys;

    o->certificates = settings_list(s, "kinto.tls_certificate", &o->count);
    o->keys = settings_list(s, "kinto.tls_key", &nkeys);
    o->count = MIN_OF(o->count, nkeys); /* http_settings_check() knows that they are as many */
}

/* Set, and not to nothing. */
static bool has_words(const struct settings *s, const char *key)
{
    size_t n;
    (void)settings_list(s, key, &n);
    return n > 0;
}

bool http_tls_is_wanted(const struct settings *s)
{
    return has_words(s, "kinto.tls_certificate");
}

/* Octal digits, "0660" and "0o660", too. */
static bool read_mode(str text, unsigned *out)
{
    unsigned mode = 0;
    if (str_starts(text, STR("0o")))
        text = str_drop(text, 2);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '7' || i == 4)
            return false;
        mode = mode * 8 + (unsigned)(text.p[i] - '0');
    }
    *out = mode;
    return mode > 0 && mode <= 0777;
}

void http_options_load(struct http_options *o, const struct settings *s)
{
    o->loops = (unsigned)settings_int(s, "kinto.server.loops", 0);
    http_tls_load(&o->tls, s);
    o->hsts_seconds = (unsigned)settings_int(s, "kinto.tls_hsts_seconds", 0);
    o->hsts_subdomains = settings_bool(s, "kinto.tls_hsts_subdomains");
    str ident = settings_str(s, "kinto.server.ident");
    o->server_name = ident.n != 0 ? ident.p : NULL;
    o->max_head_bytes = settings_size(s, "kinto.server.max_request_header_size");
    o->max_target_bytes = settings_size(s, "kinto.server.max_request_target_size");
    o->max_body_bytes = settings_size(s, "kinto.server.max_request_body_size");
    o->max_arena_bytes = settings_size(s, "kinto.server.max_request_memory");
    o->max_total_bytes = settings_size(s, "kinto.server.max_total_request_memory");
    o->max_connections = (unsigned)settings_int(s, "kinto.server.connection_limit", 0);
    o->max_network_connections =
        (unsigned)settings_int(s, "kinto.server.connection_limit_per_address", 0);
    o->min_rate = (unsigned)settings_int(s, "kinto.server.min_transfer_rate", 0);
    o->head_timeout_ms = ms_of(s, "kinto.server.head_timeout_seconds");
    o->body_timeout_ms = ms_of(s, "kinto.server.body_timeout_seconds");
    o->idle_timeout_ms = ms_of(s, "kinto.server.channel_timeout");
    o->send_timeout_ms = ms_of(s, "kinto.server.send_timeout_seconds");
    o->stop_timeout_ms = (unsigned)settings_int(s, "kinto.server.stop_timeout_milliseconds", 0);
    if (!read_mode(str_trim(settings_str(s, "kinto.server.unix_socket_perms")), &o->unix_mode))
        o->unix_mode = 0;
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
    struct net_host h;
    if (!net_host_split(word, &h) || !net_port_parse(h.port, &out->port))
        return false;
    out->host = plain_host(h.host); /* what it is, listen.c says */
    return true;
}

/* Adds the list's addresses behind the *count that are there. */
static enum err load_pairs(const struct settings *s, const char *key, struct http_listen *out,
                           unsigned *count, struct err_detail *d)
{
    size_t n;
    const str *words = settings_list(s, key, &n);
    if (n > HTTP_MAX_LISTEN - *count)
        return settings_refuse(s, key, ERR_RANGE, d, "%zu addresses, at most %d in all", n,
                               HTTP_MAX_LISTEN);
    for (size_t i = 0; i < n; i++)
        if (!split_pair(words[i], &out[(*count)++]))
            return settings_refuse(s, key, ERR_SYNTAX, d, "\"%s\" is not host:port",
                                   settings_quote(words[i]).text);
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
    if (!asked && has_words(s, "kinto.server.listen"))
        return load_pairs(s, "kinto.server.listen", out, count, d);
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
    unsigned n = 0, served;
    enum err e = load_addresses(s, a, got, &n, d);
    served = n;
    if (e == OK)
        e = load_pairs(s, "kinto.server.redirect_listen", got, &n, d);
    if (e != OK)
        return e;
    for (unsigned i = 0; i < n; i++) {
        got[i].redirect = i >= served;
        got[i].tls = !got[i].redirect && http_tls_is_wanted(s);
        got[i].host = arena_str(a, got[i].host);
        if (str_none(got[i].host))
            return ERR_NOMEM;
        out[i] = got[i];
    }
    *count = n;
    return OK;
}

static enum err check_mode(const struct settings *s, struct err_detail *d)
{
    unsigned mode;
    str text = str_trim(settings_str(s, "kinto.server.unix_socket_perms"));
    if (text.n == 0 || read_mode(text, &mode))
        return OK;
    return settings_refuse(s, "kinto.server.unix_socket_perms", ERR_SYNTAX, d,
                           "found \"%s\", allowed are octal digits from 1 to 777",
                           settings_quote(text).text);
}

static enum err refuse_pairs(const struct settings *s, const char *more, size_t n,
                             const char *fewer, size_t m, struct err_detail *d)
{
    return settings_refuse(s, more, ERR_UNSUPPORTED, d,
                           "%zu of them, and %zu in %s: each certificate needs its key", n, m,
                           fewer);
}

/* What makes sense with TLS only; written out as it is by default, it asks for nothing. */
static enum err check_without_tls(const struct settings *s, struct err_detail *d)
{
    static const char redirect[] = "kinto.server.redirect_listen",
                      hsts[] = "kinto.tls_hsts_seconds";
    const char *odd = has_words(s, redirect)         ? redirect
                      : settings_int(s, hsts, 0) > 0 ? hsts
                                                     : NULL;
    if (odd == NULL)
        return OK;
    return settings_refuse(s, odd, ERR_UNSUPPORTED, d, "there is no kinto.tls_certificate");
}

enum err http_settings_check(const struct settings *s, struct err_detail *d)
{
    static const char certificate[] = "kinto.tls_certificate", key[] = "kinto.tls_key";
    size_t certificates, keys;
    enum err e = check_mode(s, d);
    if (e != OK)
        return e;
    (void)settings_list(s, certificate, &certificates);
    (void)settings_list(s, key, &keys);
    if (certificates > keys)
        return refuse_pairs(s, certificate, certificates, key, keys, d);
    if (keys > certificates)
        return refuse_pairs(s, key, keys, certificate, certificates, d);
    return certificates == 0 ? check_without_tls(s, d) : OK;
}
