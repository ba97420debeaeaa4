/*
 * http/target.c - URLs as a client needs them (RFC 3986), and which hosts no proxy is asked for.
 *
 * What is let through here is written into a request line and a Host header as it is, so that
 * everything but visible ASCII is refused first of all.
 */
#include "base/settings.h"
#include "http/outbound.h"

#define MAX_URL (8 * KIB)

static enum err bad(struct err_detail *d, const char *what)
{
    return err_set(d, ERR_SYNTAX, 0, "bad URL: %s", what);
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Up to the first of the characters; *rest begins with it, or is empty. */
static str cut_before(str *rest, const char *any)
{
    size_t n = 0;
    str head;

    while (n < rest->n && strchr(any, rest->p[n]) == NULL)
        n++;
    head = str_sub(*rest, 0, n);
    *rest = str_drop(*rest, n);
    return head;
}

static enum err parse_scheme(str *rest, bool *tls, struct err_detail *d)
{
    size_t at = str_find_str(*rest, STR("://"));
    str scheme = at == STR_NPOS ? STR_NONE : str_sub(*rest, 0, at);

    if (at == STR_NPOS)
        return bad(d, "it does not begin with http:// or https://");
    if (!str_eq_nocase(scheme, STR("http")) && !str_eq_nocase(scheme, STR("https")))
        return err_set(d, ERR_UNSUPPORTED, 0, "\"%s\" URLs are not supported",
                       settings_quote(str_sub(scheme, 0, 32)).text);
    *tls = scheme.n == 5;
    *rest = str_drop(*rest, at + 3);
    return OK;
}

enum err target_parse_authority(str authority, struct target *t, struct err_detail *d)
{
    struct net_host h;
    size_t at;

    for (at = authority.n; at > 0 && authority.p[at - 1] != '@'; at--)
        continue;
    if (at > 0) {
        t->userinfo = str_sub(authority, 0, at - 1);
        authority = str_drop(authority, at);
    }
    if (!net_host_parse(authority, &h))
        return bad(d, "its host is none");
    t->host = h.host;
    if (h.port.n == 0)
        return OK; /* "http://host:/" is allowed (3.2.3) */
    if (!net_port_parse(h.port, &t->port) || t->port == 0)
        return bad(d, "its port is none");
    return OK;
}

enum err target_parse(struct arena *a, str url, struct target *out, struct err_detail *d)
{
    struct target t = {.userinfo = STR_NONE};
    str rest = url;
    enum err e;

    if (url.n > MAX_URL)
        return bad(d, "it is too long");
    if (!str_is_visible(url))
        return bad(d, "it holds spaces, control characters or letters beyond ASCII");
    e = parse_scheme(&rest, &t.tls, d);
    if (e != OK)
        return e;
    t.port = t.tls ? 443 : 80;
    e = target_parse_authority(cut_before(&rest, "/?#"), &t, d);
    if (e != OK)
        return e;
    t.path = cut_before(&rest, "#");
    if (!str_starts(t.path, STR("/")))
        t.path = ARENA_JOIN(a, STR("/"), t.path);
    if (str_none(t.path))
        return err_set(d, ERR_NOMEM, 0, "URL");
    *out = t;
    return OK;
}

str target_authority(struct arena *a, const struct target *t, bool always_port)
{
    struct buf b;

    buf_init_arena(&b, a, KIB);
    buf_printf(&b, NET_HOST_FMT, NET_HOST_ARG(t->host));
    if (always_port || t->port != (t->tls ? 443 : 80)) {
        buf_add_char(&b, ':');
        buf_add_u64(&b, t->port);
    }
    return buf_failed(&b) ? STR_NONE : buf_str(&b);
}

bool target_same_origin(const struct target *a, const struct target *b)
{
    return a->tls == b->tls && a->port == b->port && str_eq_nocase(a->host, b->host);
}

/* ---- references ------------------------------------------------------------------------------ */

/* "Name:" at the beginning, before any "/", "?" or "#"? */
static bool has_scheme(str s)
{
    size_t n = 0;

    while (n < s.n && (str_is_letter(s.p[n]) || (n > 0 && (str_is_digit(s.p[n]) || s.p[n] == '+' ||
                                                           s.p[n] == '-' || s.p[n] == '.'))))
        n++;
    return n > 0 && n < s.n && s.p[n] == ':';
}

/* Appends an absolute path without its "." and ".." segments (5.2.4). */
static void add_without_dots(struct buf *b, str path)
{
    size_t start = b->n;
    str rest = str_drop(path, 1);

    while (!str_none(rest)) {
        str segment = str_cut(&rest, '/');
        bool last = str_none(rest), dots = false;

        if (str_eq(segment, STR(".."))) {
            while (b->n > start && b->p[--b->n] != '/')
                continue;
            dots = true;
        } else if (str_eq(segment, STR("."))) {
            dots = true;
        }
        if (!dots || last)
            buf_add_char(b, '/');
        if (!dots)
            buf_add_str(b, segment);
        if (buf_failed(b))
            return;
    }
}

/* What stands behind the authority when `ref` is followed from `base`, a path with its query. */
static void add_reference(struct buf *b, str base, str ref)
{
    str base_path = cut_before(&base, "?"); /* base is its query now */
    str path = cut_before(&ref, "?");       /* and ref that of the reference */
    size_t dir = base_path.n;

    if (path.n == 0) {
        buf_add_str(b, base_path);
        buf_add_str(b, ref.n > 0 ? ref : base);
        return;
    }
    if (path.p[0] == '/') {
        add_without_dots(b, path);
    } else {
        struct buf merged;
        while (dir > 0 && base_path.p[dir - 1] != '/')
            dir--;
        buf_init_arena(&merged, b->arena, 2 * MAX_URL);
        buf_add_str(&merged, str_sub(base_path, 0, dir));
        buf_add_str(&merged, path);
        if (buf_failed(&merged))
            b->err = merged.err;
        else
            add_without_dots(b, buf_str(&merged));
    }
    buf_add_str(b, ref);
}

enum err target_follow(struct arena *a, const struct target *from, str location, struct target *out,
                       struct err_detail *d)
{
    str scheme = from->tls ? STR("https:") : STR("http:");
    str ref = cut_before(&location, "#"), url;
    struct buf b;

    if (ref.n > MAX_URL)
        return bad(d, "it is too long");
    if (has_scheme(ref))
        return target_parse(a, ref, out, d);
    if (str_starts(ref, STR("//"))) {
        url = ARENA_JOIN(a, scheme, ref);
        return str_none(url) ? err_set(d, ERR_NOMEM, 0, "URL") : target_parse(a, url, out, d);
    }
    url = target_authority(a, from, true);
    if (str_none(url))
        return err_set(d, ERR_NOMEM, 0, "URL");
    buf_init_arena(&b, a, 4 * MAX_URL);
    buf_add_str(&b, scheme);
    buf_add_lit(&b, "//");
    buf_add_str(&b, url);
    add_reference(&b, from->path, ref);
    if (buf_failed(&b))
        return err_set(d, b.err, 0, "URL");
    return target_parse(a, buf_str(&b), out, d);
}

/* ---- no_proxy -------------------------------------------------------------------------------- */

/* "example.com" and ".example.com" stand for themselves and for what is below. */
static bool in_domain(str host, str entry)
{
    if (str_starts(entry, STR(".")))
        entry = str_drop(entry, 1);
    host = net_host_without_root(host);
    if (entry.n == 0 || host.n < entry.n || !str_eq_nocase(str_drop(host, host.n - entry.n), entry))
        return false;
    return host.n == entry.n || host.p[host.n - entry.n - 1] == '.';
}

/* Takes the port off "host:port" and "[v6]:port"; 0 when there is none, as behind a network or an IPv6
 * address without brackets. */
static uint16_t cut_port(str *entry)
{
    struct net_host h;
    uint16_t port = 0;

    if (net_host_split(*entry, &h) && (str_none(h.port) || net_port_parse(h.port, &port)))
        *entry = h.host;
    return port;
}

bool proxy_excluded(str no_proxy, const struct target *t)
{
    struct net_block ip, block;
    bool is_ip = net_block_parse_one(t->host, &ip);
    str entry;

    while (str_next_word(&no_proxy, &entry)) {
        uint16_t port;
        if (str_eq(entry, STR("*")))
            return true;
        port = cut_port(&entry);
        if (port != 0 && port != t->port)
            continue;
        if (is_ip ? net_block_parse(entry, &block) && net_block_has(&block, &ip)
                  : in_domain(t->host, entry))
            return true;
    }
    return false;
}
