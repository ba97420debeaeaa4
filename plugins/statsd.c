/*
 * plugins/statsd.c - sends what happens to a statsd server, by UDP.
 *
 * The names and values are the reference's (by the Python library statsd): labels become parts of a
 * name, or the value of a set. What a thread that answers requests has to tell gathers in its packet, one
 * metric a line, and leaves when a request is finished, or before the packet gets too large for an
 * Ethernet frame. Other threads (of a pool, of a plugin) use the store, too, now and then: what they have
 * to tell leaves at once, for nobody knows when they have something again. Sending never blocks: what the
 * socket does not take is lost, as UDP may lose it anywhere.
 */
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/client.h"
#include "plugins/metrics.h"
#include "plugins/private.h"

#define MAX_PACKET_BYTES 1400
#define MAX_LINE_BYTES   1000 /* longer ones are not sent */
#define DEFAULT_PORT     8125

struct statsd {
    int fd;     /* connected; -1: none */
    str prefix; /* or "" */
    const str *fields;
    size_t nfields;
};

/* ---- packets --------------------------------------------------------------------------------- */

struct packet {
    bool gathers; /* the thread has finished a request; until then lines leave one by one */
    size_t n;
    char p[MAX_PACKET_BYTES];
};
static _Thread_local struct packet packet;

static void send_packet(const struct statsd *s)
{
    if (packet.n)
        (void)!send(s->fd, packet.p, packet.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    packet.n = 0;
}

struct line {
    size_t n;
    char p[MAX_LINE_BYTES];
    bool over;
};

static void line_add(struct line *l, str s)
{
    if (s.n > sizeof l->p - l->n) {
        l->over = true;
    } else if (s.n) {
        memcpy(l->p + l->n, s.p, s.n);
        l->n += s.n;
    }
}

static void line_begin(struct line *l, const struct statsd *s, const char *name)
{
    l->n = 0;
    l->over = false;
    line_add(l, s->prefix);
    line_add(l, s->prefix.n ? STR(".") : STR(""));
    line_add(l, str_from(name));
}

static void line_printf(struct line *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void line_printf(struct line *l, const char *fmt, ...)
{
    char text[64];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    CHECK(n >= 0 && (size_t)n < sizeof text);
    line_add(l, (str){text, (size_t)n});
}

/* "name.value", behind a dot if there is something before it. What would end a value early is left
 * out: colons, bars and control characters. */
static void line_add_label(struct line *l, str name, str value)
{
    if (l->n && l->p[l->n - 1] != ':')
        line_add(l, STR("."));
    line_add(l, name);
    line_add(l, STR("."));
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] >= ' ' && !memchr(":|\x7f", value.p[i], 3))
            line_add(l, str_sub(value, i, 1));
}

/* Puts the line into the packet. */
static void line_end(const struct line *l, const struct statsd *s)
{
    if (l->over)
        return;
    if (packet.n + 1 + l->n > sizeof packet.p)
        send_packet(s);
    if (packet.n)
        packet.p[packet.n++] = '\n';
    memcpy(packet.p + packet.n, l->p, l->n);
    packet.n += l->n;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void add_request_labels(struct line *l, const struct statsd *s, const struct api_finished *f)
{
    line_add_label(l, STR("method"), metrics_method(f->method));
    line_add_label(l, STR("endpoint"), f->endpoint);
    for (size_t i = 0; i < s->nfields; i++)
        line_add_label(l, s->fields[i], metrics_field(f, s->fields[i]));
}

static void tell_user(const struct statsd *s, const struct api_finished *f)
{
    struct line l;
    line_begin(&l, s, "users:");
    line_add_label(&l, STR("auth"), f->policy);
    line_add(&l, STR(".userid."));
    for (str rest = f->user; !str_none(rest);) { /* "a:b" is told as "a.b" */
        struct line part = {.n = 0};
        line_add_label(&part, STR(""), str_cut(&rest, ':'));
        line_add(&l, str_drop((str){part.p, part.n}, 1));
        line_add(&l, str_none(rest) ? STR("") : STR("."));
    }
    line_add(&l, STR("|s"));
    line_end(&l, s);
}

static void tell_request(const struct statsd *s, const struct api_finished *f)
{
    struct line l;
    line_begin(&l, s, "request_summary:");
    add_request_labels(&l, s, f);
    line_printf(&l, ".status.%d|s", f->status);
    line_end(&l, s);
    line_begin(&l, s, "request_duration_seconds");
    add_request_labels(&l, s, f);
    line_printf(&l, ":%.6f|ms", (double)f->ns / 1e6);
    line_end(&l, s);
    line_begin(&l, s, "request_size");
    line_printf(&l, ":%zu|g", f->answer_bytes);
    line_end(&l, s);
}

static void finished(void *ctx, const struct api_finished *f)
{
    const struct statsd *s = ctx;
    bool known = !str_none(f->user);
    struct line l;
    packet.gathers = true;
    if (known)
        tell_user(s, f);
    tell_request(s, f);
    if (known) {
        line_begin(&l, s, "authentication:");
        line_add_label(&l, STR("type"), f->policy);
        line_add(&l, STR("|s"));
        line_end(&l, s);
    }
    send_packet(s);
}

static void store_timed(void *ctx, enum store_timed what, uint64_t ns)
{
    static const char *const names[] = {
#define X(name, backend, operation) "backend." backend ".seconds.method." operation,
        STORE_TIMED_TABLE(X)
#undef X
    };
    const struct statsd *s = ctx;
    struct line l;
    line_begin(&l, s, names[what]);
    line_printf(&l, ":%.6f|ms", (double)ns / 1e6);
    line_end(&l, s);
    if (!packet.gathers)
        send_packet(s);
}

/* ---- setting up ------------------------------------------------------------------------------ */

static enum err refuse(const struct settings *s, const char *what, struct err_detail *d)
{
    static const char key[] = "kinto.statsd_url";
    return settings_refuse(s, key, ERR_UNSUPPORTED, d, "\"%s\": %s",
                           settings_quote(settings_str(s, key)).text, what);
}

static enum err open_socket(struct statsd *p, const struct settings *s, struct err_detail *d)
{
    str url = settings_str(s, "kinto.statsd_url");
    if (url.n == 0)
        return err_set(d, ERR_UNSUPPORTED, 0,
                       "kinto.includes: kinto.plugins.statsd needs kinto.statsd_url, as "
                       "udp://127.0.0.1:8125");
    struct err_detail why = {0};
    enum err e = http_udp_open(url, DEFAULT_PORT, &p->fd, &why);
    if (e == ERR_SYNTAX)
        return refuse(s, "has to be udp://HOST:PORT", d);
    if (e == ERR_NOTFOUND)
        return refuse(s, "names are not looked up, but for localhost; give an address", d);
    return e == OK ? OK
                   : err_set(d, e, why.sys_errno, "kinto.statsd_url: %s", settings_quote(url).text);
}

static void statsd_release(void *ctx)
{
    struct statsd *p = ctx;
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

enum err statsd_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    struct statsd *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    p->fd = -1;
    enum err e = api_keep(a, p, statsd_release);
    if (e != OK)
        return e;
    p->fields = settings_list(s, "kinto.metrics_matchdict_fields", &p->nfields);
    p->prefix = settings_str(s, "kinto.project_name");
    if (p->prefix.n == 0)
        p->prefix = settings_str(s, "kinto.statsd_prefix");
    e = open_socket(p, s, d);
    return e == OK ? api_add_observer(a, &(struct api_observer){p, finished, store_timed}) : e;
}
