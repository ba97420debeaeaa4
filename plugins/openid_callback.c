/*
 * plugins/openid_callback.c - which URLs a browser may be sent to with tokens.
 *
 * What is compared must be what a browser makes of the URL, or a trusted pattern is no protection:
 * "https://evil.example\.trusted.example" goes to evil.example. So whatever a browser might read in
 * another way is not trusted at all: blanks and control characters, anything beyond ASCII, user names,
 * odd hosts and ports, and paths with "." and ".." in them, in whatever spelling. Then scheme, host,
 * port and the rest are compared one by one, so that a * never reaches over from one into the next.
 */
#include "base/net.h"
#include "plugins/openid.h"

/* Host and port may hold * (patterns). */
struct url {
    str scheme, host, port, rest;
};

/* Fewer than in names that can be looked up (net_host_is_name), as browsers do not agree on the rest; and
 * the * of patterns. */
static bool is_host_char(char c, bool v6)
{
    if (v6)
        return str_hex_digit(c) >= 0 || c == ':' || c == '.';
    return str_is_alnum(c) || c == '.' || c == '-' || c == '*';
}

/* The host without its brackets, and the port, which may be none. */
static bool split_authority(str authority, struct url *out)
{
    struct net_host h;

    if (!net_host_split(authority, &h))
        return false;
    out->host = h.host;
    out->port = h.port;
    for (size_t i = 0; i < out->host.n; i++)
        if (!is_host_char(out->host.p[i], h.literal))
            return false;
    for (size_t i = 0; i < out->port.n; i++)
        if (!str_is_digit(out->port.p[i]) && out->port.p[i] != '*')
            return false;
    return out->host.n > 0;
}

/* The next character of a path as browsers see it: "%2e" is a full stop, '\' a slash. */
static char path_char(str path, size_t *at)
{
    str s = str_drop(path, *at);
    if (str_eq_nocase(str_sub(s, 0, 3), STR("%2e"))) {
        *at += 3;
        return '.';
    }
    *at += 1;
    return s.p[0] == '\\' ? '/' : s.p[0];
}

static bool has_dot_segment(str path)
{
    unsigned dots = 0, others = 0;

    for (size_t at = 0; at < path.n;) {
        char c = path_char(path, &at);
        if (c == '/') {
            if (others == 0 && (dots == 1 || dots == 2))
                return true;
            dots = others = 0;
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
    return others == 0 && (dots == 1 || dots == 2);
}

static size_t first_of(str s, const char *chars)
{
    size_t n = 0;
    while (n < s.n && strchr(chars, s.p[n]) == NULL)
        n++;
    return n;
}

static bool parse(str text, struct url *out)
{
    size_t colon = str_find_str(text, STR("://"));

    if (!str_is_visible(text) || colon == STR_NPOS)
        return false;
    out->scheme = str_sub(text, 0, colon);
    bool https = str_eq_nocase(out->scheme, STR("https"));
    if (!https && !str_eq_nocase(out->scheme, STR("http")))
        return false;
    str behind = str_drop(text, colon + 3);
    size_t n = first_of(behind, "/?#");
    if (!split_authority(str_sub(behind, 0, n), out))
        return false;
    if (out->port.n == 0)
        out->port = https ? STR("443") : STR("80");
    out->rest = str_drop(behind, n);
    if (has_dot_segment(str_sub(out->rest, 0, first_of(out->rest, "?#"))))
        return false;
    if (out->rest.n == 0)
        out->rest = STR("/");
    return true;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Each * for as little as can be; if that fails, only the last one has to give way. */
static bool matches(str text, str pattern, bool any_case)
{
    size_t t = 0, p = 0, star = STR_NPOS, from = 0;

    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            from = t;
        } else if (p < pattern.n && (any_case ? lower(pattern.p[p]) == lower(text.p[t])
                                              : pattern.p[p] == text.p[t])) {
            p++;
            t++;
        } else if (star != STR_NPOS) {
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

bool openid_is_trusted(str url, const str *patterns, size_t n)
{
    struct url u, p;

    if (!parse(url, &u))
        return false;
    for (size_t i = 0; i < n; i++)
        if (parse(patterns[i], &p) && str_eq_nocase(u.scheme, p.scheme) &&
            matches(u.host, p.host, true) && matches(u.port, p.port, false) &&
            matches(u.rest, p.rest, false))
            return true;
    return false;
}

/* ---- is it a URL? ---------------------------------------------------------------------------- */

static str without_scheme(str s)
{
    static const char *const schemes[] = {"http://", "https://", "ftp://", "ftps://"};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        str scheme = str_from(schemes[i]);
        if (str_eq_nocase(str_sub(s, 0, scheme.n), scheme))
            return str_drop(s, scheme.n);
    }
    return s;
}

static bool is_name(str host)
{
    for (size_t i = 0; i < host.n; i++)
        if (!is_host_char(host.p[i], false) && (unsigned char)host.p[i] < 0x80)
            return false;
    return str_eq_nocase(host, STR("localhost")) || str_find(host, '.') != STR_NPOS;
}

bool openid_is_url(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ')
            return false;
    str authority = without_scheme(s);
    authority.n = first_of(authority, "/?#");
    size_t user = str_find(authority, '@');
    if (user != STR_NPOS)
        authority = str_drop(authority, user + 1);
    struct net_host h;
    uint16_t port;
    if (!net_host_split(authority, &h) || (!str_none(h.port) && !net_port_parse(h.port, &port)))
        return false;
    return h.literal || is_name(h.host);
}
