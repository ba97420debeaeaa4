/*
 * http/server.c - options, listening sockets, start and stop.
 *
 * Every loop owns descriptors of its own. For TCP they are different sockets of one port
 * (SO_REUSEPORT), so that the kernel spreads connections without a shared accept queue; a Unix
 * socket has no such option, there they are duplicates of one socket.
 *
 * SO_REUSEPORT would let a second server of the same user take half of the connections in silence.
 * So with several loops a port that is given is first bound without it, which fails when anybody
 * listens there; a port chosen by the kernel (0) is free by nature.
 *
 * start: bindings -> TLS contexts -> loops (epoll) -> threads -> all have reported loop_start.
 * Whatever fails, server_free() releases what is there.
 */
#include "base/clock.h"
#include "base/log.h"
#include "http/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_LOOPS       256
#define MAX_SERVER_NAME 128
#define IN_LARGE_OVER   (16 * KIB) /* of a large input buffer, behind the largest head */
#define BACKLOG         4096       /* the kernel cuts it to net.core.somaxconn */

/* An address to listen on, out of struct http_listen. */
struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u;
    socklen_t n;
    bool is_unix, v6only;
    char text[160]; /* for messages */
};

/* ---- addresses ------------------------------------------------------------------------------- */

static enum err address_unix(struct address *a, str path, struct err_detail *d)
{
    if (path.n == 0 || path.n >= sizeof a->u.un.sun_path || str_find(path, '\0') != STR_NPOS)
        return err_set(d, ERR_SYNTAX, 0, "unix:" STR_FMT ": the path is empty or too long",
                       STR_ARG(path));
    a->u.un.sun_family = AF_UNIX;
    memcpy(a->u.un.sun_path, path.p, path.n);
    a->n = sizeof a->u.un;
    a->is_unix = true;
    snprintf(a->text, sizeof a->text, "unix:%s", a->u.un.sun_path);
    return OK;
}

static enum err address_make(struct address *a, str host, uint16_t port, struct err_detail *d)
{
    char text[64] = "";

    *a = (struct address){0};
    if (str_starts(host, STR("unix:")))
        return address_unix(a, str_drop(host, 5), d);
    if (str_eq_nocase(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (str_eq(host, STR("*")))
        host = STR("0.0.0.0");
    if (host.n < sizeof text)
        memcpy(text, host.p, host.n);
    snprintf(a->text, sizeof a->text, strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, port);
    if (inet_pton(AF_INET, text, &a->u.in4.sin_addr) == 1) {
        a->u.in4.sin_family = AF_INET;
        a->u.in4.sin_port = htons(port);
        a->n = sizeof a->u.in4;
        return OK;
    }
    if (inet_pton(AF_INET6, text, &a->u.in6.sin6_addr) == 1) {
        a->u.in6.sin6_family = AF_INET6;
        a->u.in6.sin6_port = htons(port);
        a->n = sizeof a->u.in6;
        return OK;
    }
    return err_set(d, ERR_SYNTAX, 0, STR_FMT ": not an address (IPv4, IPv6, localhost, unix:/path)",
                   STR_ARG(host));
}

static void address_set_port(struct address *a, uint16_t port)
{
    if (a->u.any.sa_family == AF_INET)
        a->u.in4.sin_port = htons(port);
    else
        a->u.in6.sin6_port = htons(port);
}

/* "::" serves IPv4 too, unless an IPv4 address of the same port is listened on separately. */
static bool wants_v6only(const struct http_options *o, unsigned i)
{
    for (unsigned k = 0; k < o->nlisten; k++)
        if (o->listen[k].port == o->listen[i].port && o->listen[k].port != 0 &&
            str_find(o->listen[k].host, ':') == STR_NPOS)
            return true;
    return false;
}

/* ---- sockets --------------------------------------------------------------------------------- */

static enum err socket_error(const struct address *a, const char *what, struct err_detail *d)
{
    int e = errno;
    enum err err = e == EADDRINUSE ? ERR_BUSY : err_from_errno(e);

    return err_set(d, err, e, "%s: %s", a->text, what);
}

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static enum err tcp_listen(const struct address *a, bool reuse_port, int *out, struct err_detail *d)
{
    enum err e = OK;
    int fd = socket(a->u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return socket_error(a, "socket", d);
    if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
        (reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
        !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) || /* accepted sockets inherit it */
        (a->u.any.sa_family == AF_INET6 &&
         !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->v6only ? 1 : 0)))
        e = socket_error(a, "setsockopt", d);
    else if (bind(fd, &a->u.any, a->n) < 0)
        e = socket_error(a, "bind", d);
    else if (listen(fd, BACKLOG) < 0)
        e = socket_error(a, "listen", d);
    if (e != OK) {
        close(fd);
        return e;
    }
    *out = fd;
    return OK;
}

static uint16_t port_of(int fd)
{
    struct address a = {.n = sizeof a.u};

    if (getsockname(fd, &a.u.any, &a.n) < 0)
        return 0;
    return ntohs(a.u.any.sa_family == AF_INET ? a.u.in4.sin_port : a.u.in6.sin6_port);
}

/* A socket file that nobody answers behind is what a killed server left: it is removed. */
static enum err unix_remove_stale(const struct address *a, struct err_detail *d)
{
    struct stat st;
    int fd, r, e;

    if (lstat(a->u.un.sun_path, &st) < 0)
        return OK;
    if (!S_ISSOCK(st.st_mode))
        return err_set(d, ERR_EXISTS, 0, "%s: is there and not a socket", a->text);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_error(a, "socket", d);
    r = connect(fd, &a->u.any, a->n);
    e = errno;
    close(fd);
    if (r == 0 || e != ECONNREFUSED)
        return err_set(d, ERR_BUSY, 0, "%s: another process listens there", a->text);
    if (unlink(a->u.un.sun_path) < 0 && errno != ENOENT)
        return socket_error(a, "unlink", d);
    return OK;
}

static enum err unix_listen(const struct address *a, struct binding *b, int *out,
                            struct err_detail *d)
{
    struct stat st = {0};
    enum err e = unix_remove_stale(a, d);
    int fd;

    if (e != OK)
        return e;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_error(a, "socket", d);
    b->unix_path = strdup(a->u.un.sun_path);
    if (b->unix_path == NULL)
        e = err_set(d, ERR_NOMEM, 0, "%s", a->text);
    else if (bind(fd, &a->u.any, a->n) < 0)
        e = socket_error(a, "bind", d);
    else if (lstat(b->unix_path, &st) < 0 || listen(fd, BACKLOG) < 0)
        e = socket_error(a, "listen", d);
    if (e != OK) {
        close(fd);
        return e;
    }
    b->dev = st.st_dev;
    b->ino = st.st_ino;
    *out = fd;
    return OK;
}

static void unix_remove(const struct binding *b)
{
    struct stat st;

    if (b->unix_path != NULL && lstat(b->unix_path, &st) == 0 && st.st_dev == b->dev &&
        st.st_ino == b->ino && b->ino != 0)
        unlink(b->unix_path);
}

/* ---- listening ------------------------------------------------------------------------------- */

static void loop_add_listener(struct loop *l, int fd, bool is_tls, bool is_unix)
{
    l->listeners[l->nlisteners++] = (struct listener){
        .source = SOURCE_LISTENER, .fd = fd, .is_tls = is_tls, .is_unix = is_unix};
}

static enum err listen_unix(struct http_server *s, struct address *a, struct binding *b, bool tls,
                            struct err_detail *d)
{
    int fd = -1;
    enum err e = unix_listen(a, b, &fd, d);

    if (e != OK)
        return e;
    for (unsigned i = 1; i < s->nloops; i++) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            e = socket_error(a, "dup", d);
            break;
        }
        loop_add_listener(&s->loops[i], copy, tls, true);
    }
    loop_add_listener(&s->loops[0], fd, tls, true);
    return e;
}

/* Is the port free of other listeners? (See the top of the file.) */
static enum err probe(const struct address *a, struct err_detail *d)
{
    int fd;
    enum err e = tcp_listen(a, false, &fd, d);

    if (e == OK)
        close(fd);
    return e;
}

static enum err listen_tcp(struct http_server *s, struct address *a, uint16_t *port, bool tls,
                           struct err_detail *d)
{
    enum err e = *port != 0 && s->nloops > 1 ? probe(a, d) : OK;

    for (unsigned i = 0; i < s->nloops && e == OK; i++) {
        int fd;
        e = tcp_listen(a, s->nloops > 1, &fd, d);
        if (e != OK)
            break;
        loop_add_listener(&s->loops[i], fd, tls, false);
        if (*port == 0) {
            *port = port_of(fd);
            address_set_port(a, *port);
        }
    }
    return e;
}

/* "localhost" is 127.0.0.1, and ::1 where there is one. */
static void listen_localhost_v6(struct http_server *s, uint16_t port, bool tls)
{
    struct address a;
    struct err_detail d = {{0}, 0};

    if (address_make(&a, STR("::1"), port, &d) != OK)
        return;
    a.v6only = true;
    if (listen_tcp(s, &a, &port, tls, &d) != OK)
        log_event(LOG_INFO, "http_no_ipv6_localhost", "reason=\"%s\"", d.text);
}

static enum err listen_one(struct http_server *s, const struct http_options *o, unsigned i,
                           struct err_detail *d)
{
    const struct http_listen *l = &o->listen[i];
    struct binding *b = &s->bindings[i];
    struct address a;
    enum err e = address_make(&a, l->host, l->port, d);

    if (e != OK)
        return e;
    if (l->tls && o->tls.certificate == NULL)
        return err_set(d, ERR_SYNTAX, 0, "%s: TLS needs a certificate and a key", a.text);
    if (a.is_unix)
        return listen_unix(s, &a, b, l->tls, d);
    a.v6only = wants_v6only(o, i);
    b->port = l->port;
    e = listen_tcp(s, &a, &b->port, l->tls, d);
    if (e == OK && str_eq_nocase(l->host, STR("localhost")))
        listen_localhost_v6(s, b->port, l->tls);
    return e;
}

static enum err listen_all(struct http_server *s, const struct http_options *o,
                           struct err_detail *d)
{
    enum err e = OK;

    for (unsigned i = 0; i < s->nloops; i++) {
        /* twice: localhost has two addresses */
        s->loops[i].listeners = calloc((size_t)o->nlisten * 2 + 1, sizeof(struct listener));
        if (s->loops[i].listeners == NULL)
            return err_set(d, ERR_NOMEM, 0, "listeners");
    }
    for (unsigned i = 0; i < o->nlisten && e == OK; i++)
        e = listen_one(s, o, i, d);
    return e;
}

/* ---- options --------------------------------------------------------------------------------- */

static unsigned cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return n > 0 ? (unsigned)n : 1;
}

#define DEFAULT(field, value)                                                                      \
    do {                                                                                           \
        if ((field) == 0)                                                                          \
            (field) = (value);                                                                     \
    } while (0)

static void fill_in(struct http_options *o)
{
    DEFAULT(o->loops, cpu_count());
    o->loops = MIN_OF(o->loops, (unsigned)MAX_LOOPS);
    DEFAULT(o->max_head_bytes, 16 * KIB);
    DEFAULT(o->max_target_bytes, 8 * KIB);
    DEFAULT(o->max_body_bytes, 16 * MIB);
    DEFAULT(o->max_arena_bytes, 256 * MIB);
    DEFAULT(o->max_connections, 4096);
    DEFAULT(o->head_timeout_ms, 10000);
    DEFAULT(o->body_timeout_ms, 10000);
    DEFAULT(o->idle_timeout_ms, 75000);
    DEFAULT(o->send_timeout_ms, 30000);
    DEFAULT(o->stop_timeout_ms, 400);
}

/* The name goes into every response's head. */
static enum err check_server_name(const char *name, struct err_detail *d)
{
    if (name == NULL)
        return OK;
    for (const char *p = name; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return err_set(d, ERR_SYNTAX, 0, "the server's name has a control character");
    if (strlen(name) > MAX_SERVER_NAME)
        return err_set(d, ERR_RANGE, 0, "the server's name is longer than %d bytes",
                       MAX_SERVER_NAME);
    return OK;
}

/* ---- start and stop -------------------------------------------------------------------------- */

static struct http_server *server_new(const struct http_options *options)
{
    struct http_server *s = calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->opt = *options;
    s->opt.listen = NULL;
    s->opt.tls = (struct http_tls_options){0};
    fill_in(&s->opt);
    s->limits = (struct parse_limits){s->opt.max_head_bytes, s->opt.max_target_bytes};
    s->in_large_bytes = MAX_OF(s->opt.max_head_bytes, IN_SMALL_BYTES) + IN_LARGE_OVER;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->started, NULL);
    s->server_name = options->server_name != NULL ? strdup(options->server_name) : NULL;
    s->nbindings = options->nlisten;
    s->bindings = calloc((size_t)s->nbindings + 1, sizeof *s->bindings);
    s->loops = calloc(s->opt.loops, sizeof *s->loops);
    for (; s->loops != NULL && s->nloops < s->opt.loops; s->nloops++)
        loop_prepare(&s->loops[s->nloops], s, s->nloops);
    return s;
}

/* The threads have ended, or never began. */
static void server_free(struct http_server *s)
{
    for (unsigned i = 0; i < s->nloops; i++)
        loop_fini(&s->loops[i]);
    for (unsigned i = 0; s->bindings != NULL && i < s->nbindings; i++) {
        unix_remove(&s->bindings[i]);
        free(s->bindings[i].unix_path);
    }
    free(s->loops);
    free(s->bindings);
    free(s->server_name);
    pthread_cond_destroy(&s->started);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static enum err open_loops(struct http_server *s, const struct http_options *o,
                           struct err_detail *d)
{
    enum err e = OK;

    for (unsigned i = 0; i < s->nloops && e == OK; i++) {
        if (o->tls.certificate != NULL)
            e = tls_context_new(&s->loops[i].tls, &o->tls, d);
        if (e == OK)
            e = loop_open(&s->loops[i], d);
    }
    return e;
}

void server_loop_started(struct http_server *s, bool ok)
{
    pthread_mutex_lock(&s->lock);
    s->nstarted++;
    s->nfailed += !ok;
    pthread_cond_signal(&s->started);
    pthread_mutex_unlock(&s->lock);
}

/* Signals are the other threads' business, but those that a thread's own fault brings: the kernel would
 * end the process without asking whoever handles them (base/fault.h, the sanitizers). */
static void signals_of_others(sigset_t *set)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP};

    sigfillset(set);
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        sigdelset(set, own[i]);
}

/* Starts the threads and waits until each has reported. */
static enum err start_threads(struct http_server *s, struct err_detail *d)
{
    sigset_t others, before;
    unsigned n = 0;
    int r = 0;

    signals_of_others(&others);
    pthread_sigmask(SIG_SETMASK, &others, &before);
    for (; n < s->nloops && r == 0; n += r == 0) {
        r = pthread_create(&s->loops[n].thread, NULL, loop_main, &s->loops[n]);
        s->loops[n].running = r == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&s->lock);
    while (s->nstarted < n)
        pthread_cond_wait(&s->started, &s->lock);
    unsigned failed = s->nfailed;
    pthread_mutex_unlock(&s->lock);
    if (r != 0)
        return err_set(d, ERR_NOMEM, r, "thread");
    return failed == 0 ? OK : err_set(d, ERR_FAILED, 0, "a loop of the application did not start");
}

static void stop_threads(struct http_server *s)
{
    atomic_store(&s->stopping, true);
    for (unsigned i = 0; i < s->nloops; i++)
        if (s->loops[i].running)
            loop_wake(&s->loops[i]);
    for (unsigned i = 0; i < s->nloops; i++)
        if (s->loops[i].running)
            pthread_join(s->loops[i].thread, NULL);
}

enum err http_server_start(struct http_server **out, const struct http_options *options,
                           struct err_detail *detail)
{
    struct http_server *s;
    enum err e = check_server_name(options->server_name, detail);

    if (e != OK)
        return e;
    s = server_new(options);
    if (s == NULL)
        return err_set(detail, ERR_NOMEM, 0, "server");
    if (s->bindings == NULL || s->loops == NULL ||
        (options->server_name != NULL && s->server_name == NULL))
        e = err_set(detail, ERR_NOMEM, 0, "server");
    if (e == OK)
        e = listen_all(s, options, detail);
    if (e == OK)
        e = open_loops(s, options, detail);
    if (e == OK)
        e = start_threads(s, detail);
    if (e != OK) {
        stop_threads(s);
        server_free(s);
        return e;
    }
    *out = s;
    return OK;
}

uint16_t http_server_port(const struct http_server *s, unsigned i)
{
    return i < s->nbindings ? s->bindings[i].port : 0;
}

void http_server_stop(struct http_server *s)
{
    if (s == NULL)
        return;
    for (unsigned i = 0; i < s->nbindings; i++) { /* whoever comes now finds nobody */
        unix_remove(&s->bindings[i]);
        s->bindings[i].ino = 0;
    }
    stop_threads(s);
    server_free(s);
}

void http_server_stats(const struct http_server *s, struct http_stats *out)
{
    *out = (struct http_stats){0};
    for (unsigned i = 0; i < s->nloops; i++) {
        const struct loop *l = &s->loops[i];
        out->connections += atomic_load_explicit(&l->n_connections, memory_order_relaxed);
        out->requests += atomic_load_explicit(&l->n_requests, memory_order_relaxed);
        out->refused += atomic_load_explicit(&l->n_refused, memory_order_relaxed);
    }
    out->open_connections = atomic_load_explicit(&s->open_connections, memory_order_relaxed);
}
