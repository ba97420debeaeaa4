/*
 * http/listen.c - addresses, and the sockets that listen on them.
 *
 * Every loop owns descriptors of its own. For TCP they are different sockets of one port
 * (SO_REUSEPORT), so that the kernel spreads connections without a shared accept queue; a Unix
 * socket has no such option, there they are duplicates of one socket.
 *
 * SO_REUSEPORT would let a second server of the same user take half of the connections in silence.
 * So with several loops a port that is given is first bound without it, which fails when anybody
 * listens there; a port chosen by the kernel (0) is free by nature.
 *
 * bind: TCP sockets are bound but do not listen yet, so that nobody connects who would have to wait for a
 * recovery; Unix sockets listen at once, as a file that nobody answers behind would look stale to others.
 * The kernel lets two processes bind one port (SO_REUSEADDR) as long as neither listens: so the socket
 * that tried the port is kept (s->probes), and when the time has come it is the first to listen, which
 * fails when another process was faster.
 */
#include "base/log.h"
#include "base/net.h"
#include "base/os.h"
#include "base/settings.h"
#include "http/private.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* Where to listen, out of struct http_listen. */
struct place {
    struct net_address at;
    bool v6only;
    char text[160]; /* for messages */
};

/* ---- addresses ------------------------------------------------------------------------------- */

static enum err place_unix(struct place *p, str path, struct err_detail *d)
{
    struct sockaddr_un *un = &p->at.sa.un;

    if (path.n == 0 || path.n >= sizeof un->sun_path || str_find(path, '\0') != STR_NPOS ||
        str_find_str(path, STR("://")) != STR_NPOS) /* messages show paths as they are */
        return err_set(d, ERR_SYNTAX, 0, "unix:\"%s\": the path is empty, too long or a URL",
                       settings_quote(path).text);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.p, path.n);
    p->at.n = sizeof *un;
    snprintf(p->text, sizeof p->text, "unix:%s", un->sun_path);
    return OK;
}

static void place_name(struct place *p)
{
    char text[INET6_ADDRSTRLEN];

    net_address_text(&p->at, text);
    snprintf(p->text, sizeof p->text, NET_HOST_FMT ":%u", NET_HOST_ARG(str_from(text)),
             net_address_port(&p->at));
}

/* An address of this machine: no name (base/net.h), as the names of others are none of ours to listen at. */
static enum err place_make(struct place *p, str host, uint16_t port, struct err_detail *d)
{
    *p = (struct place){0};
    if (str_starts(host, STR("unix:")))
        return place_unix(p, str_drop(host, 5), d);
    if (str_eq_nocase(host, STR("localhost")))
        host = STR("127.0.0.1");
    if (str_eq(host, STR("*")))
        host = STR("0.0.0.0");
    if (!net_address_parse(host, port, &p->at))
        return err_set(d, ERR_SYNTAX, 0,
                       "\"%s\": not an address (IPv4, IPv6, localhost, unix:/path)",
                       settings_quote(host).text);
    place_name(p);
    return OK;
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

static enum err socket_error(const struct place *p, const char *what, struct err_detail *d)
{
    int e = errno;
    enum err err = e == EADDRINUSE ? ERR_BUSY : err_from_errno(e);

    return err_set(d, err, e, "%s: %s", p->text, what);
}

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static enum err tcp_bind(const struct place *p, bool reuse_port, int *out, struct err_detail *d)
{
    enum err e = OK;
    int fd = socket(p->at.sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return socket_error(p, "socket", d);
    if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
        (reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
        !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) || /* accepted sockets inherit it */
        (p->at.sa.any.sa_family == AF_INET6 &&
         !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, p->v6only ? 1 : 0)))
        e = socket_error(p, "setsockopt", d);
    else if (bind(fd, &p->at.sa.any, p->at.n) < 0)
        e = socket_error(p, "bind", d);
    if (e != OK) {
        close(fd);
        return e;
    }
    *out = fd;
    return OK;
}

static uint16_t port_of(int fd)
{
    struct net_address a = {.n = sizeof a.sa};

    return getsockname(fd, &a.sa.any, &a.n) == 0 ? net_address_port(&a) : 0;
}

/* A socket file that nobody answers behind is what a killed server left: it is removed. */
static enum err unix_remove_stale(const struct place *p, struct err_detail *d)
{
    struct stat st;
    int fd, r, e;

    if (lstat(p->at.sa.un.sun_path, &st) < 0)
        return OK;
    if (!S_ISSOCK(st.st_mode))
        return err_set(d, ERR_EXISTS, 0, "%s: is there and not a socket", p->text);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_error(p, "socket", d);
    r = connect(fd, &p->at.sa.any, p->at.n);
    e = errno;
    close(fd);
    if (r == 0 || e != ECONNREFUSED)
        return err_set(d, ERR_BUSY, 0, "%s: another process listens there", p->text);
    if (unlink(p->at.sa.un.sun_path) < 0 && errno != ENOENT)
        return socket_error(p, "unlink", d);
    return OK;
}

/* The file has its access rights from its first moment on: a chmod behind it could meet another file. */
static int bind_unix(int fd, const struct place *p, unsigned mode)
{
    mode_t before = umask((mode_t)(~mode & 0777));
    int r = bind(fd, &p->at.sa.any, p->at.n);

    umask(before);
    return r;
}

static enum err unix_listen(const struct place *p, struct binding *b, unsigned mode, int *out,
                            struct err_detail *d)
{
    struct stat st = {0};
    enum err e = unix_remove_stale(p, d);
    int fd;

    if (e != OK)
        return e;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return socket_error(p, "socket", d);
    b->unix_path = strdup(p->at.sa.un.sun_path);
    if (b->unix_path == NULL)
        e = err_set(d, ERR_NOMEM, 0, "%s", p->text);
    else if (bind_unix(fd, p, mode) < 0)
        e = socket_error(p, "bind", d);
    else if (lstat(b->unix_path, &st) < 0 || listen(fd, BACKLOG) < 0)
        e = socket_error(p, "listen", d);
    if (e != OK) {
        close(fd);
        return e;
    }
    b->dev = st.st_dev;
    b->ino = st.st_ino;
    *out = fd;
    return OK;
}

void listen_remove(const struct binding *b)
{
    struct stat st;

    if (b->unix_path != NULL && lstat(b->unix_path, &st) == 0 && st.st_dev == b->dev &&
        st.st_ino == b->ino && b->ino != 0)
        unlink(b->unix_path);
}

/* The very file that was bound, whatever may have its name by now. */
enum err listen_give(const struct binding *b, uid_t uid, gid_t gid, struct err_detail *d)
{
    struct stat st;
    int fd = os()->open(b->unix_path, O_PATH | O_NOFOLLOW, 0);
    int r = fd < 0 ? -1 : fstat(fd, &st);

    if (r == 0 && (st.st_dev != b->dev || st.st_ino != b->ino)) {
        r = -1;
        errno = ENOENT;
    }
    if (r == 0)
        r = fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
    int e = errno;
    if (fd >= 0)
        os()->close(fd);
    return r == 0 ? OK
                  : err_set(d, err_from_errno(e), e, "%s: cannot be given to user %u", b->unix_path,
                            (unsigned)uid);
}

/* ---- listening ------------------------------------------------------------------------------- */

static enum use use_of(const struct http_listen *l)
{
    return l->redirect ? USE_REDIRECT : l->tls ? USE_SERVE_TLS : USE_SERVE;
}

static void loop_add_listener(struct loop *l, struct listener listener)
{
    listener.source = SOURCE_LISTENER;
    l->listeners[l->nlisteners++] = listener;
}

/* One socket, which listens already, for all loops. Takes fd. */
static enum err share_listener(struct http_server *s, int fd, const char *text, enum use use,
                               struct err_detail *d)
{
    struct listener l = {.fd = fd, .use = use, .is_shared = true};

    loop_add_listener(&s->loops[0], l);
    for (unsigned i = 1; i < s->nloops; i++) {
        l.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (l.fd < 0)
            return err_set(d, err_from_errno(errno), errno, "%s: dup", text);
        loop_add_listener(&s->loops[i], l);
    }
    return OK;
}

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t n = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &n) == 0 ? value : -1;
}

/* A socket that was passed to the process. */
static enum err listen_passed(struct http_server *s, const struct http_listen *l, struct binding *b,
                              struct err_detail *d)
{
    int domain = option_of(l->fd, SO_DOMAIN), flags = fcntl(l->fd, F_GETFL);
    char text[64];

    snprintf(text, sizeof text, "passed socket %d", l->fd);
    if (flags < 0 || option_of(l->fd, SO_TYPE) != SOCK_STREAM ||
        option_of(l->fd, SO_ACCEPTCONN) != 1 ||
        (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX))
        return err_set(d, ERR_SYNTAX, 0,
                       "%s: is no stream socket of IPv4, IPv6 or Unix that listens", text);
    if (fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(l->fd, F_SETFD, FD_CLOEXEC) < 0 ||
        (domain != AF_UNIX && !set_option(l->fd, IPPROTO_TCP, TCP_NODELAY, 1)))
        return err_set(d, err_from_errno(errno), errno, "%s", text);
    b->port = port_of(l->fd);
    return share_listener(s, l->fd, text, use_of(l), d);
}

/* Is the port free of other listeners? (See the top of the file.) */
static enum err probe(struct http_server *s, const struct place *p, struct err_detail *d)
{
    enum err e = tcp_bind(p, false, &s->probes[s->nprobes], d);

    s->nprobes += e == OK;
    return e;
}

/* One socket for each loop. */
static enum err bind_loops(struct http_server *s, struct place *p, uint16_t *port, enum use use,
                           struct err_detail *d)
{
    enum err e = OK;
    unsigned i = 0;

    for (; i < s->nloops; i++) {
        int fd;
        e = tcp_bind(p, s->nloops > 1, &fd, d);
        if (e != OK)
            break;
        loop_add_listener(&s->loops[i], (struct listener){.fd = fd, .use = use});
        if (*port == 0) {
            *port = port_of(fd);
            net_address_set_port(&p->at, *port);
        }
    }
    while (e != OK && i-- > 0) {
        struct loop *l = &s->loops[i];
        close(l->listeners[--l->nlisteners].fd);
    }
    return e;
}

/* On failure nobody listens there, so that one can go on without. */
static enum err listen_tcp(struct http_server *s, struct place *p, uint16_t *port, enum use use,
                           struct err_detail *d)
{
    unsigned before = s->nprobes;
    enum err e = *port != 0 && s->nloops > 1 ? probe(s, p, d) : OK;

    if (e == OK)
        e = bind_loops(s, p, port, use, d);
    if (e != OK && s->nprobes > before)
        close(s->probes[--s->nprobes]);
    return e;
}

/* "localhost" is 127.0.0.1, and ::1 where there is one. */
static void listen_localhost_v6(struct http_server *s, uint16_t port, enum use use)
{
    struct place p;
    struct err_detail d = {{0}, 0};

    if (place_make(&p, STR("::1"), port, &d) != OK)
        return;
    p.v6only = true;
    if (listen_tcp(s, &p, &port, use, &d) != OK)
        log_event(LOG_INFO, "http_no_ipv6_localhost", "reason=\"%s\"", d.text);
}

static enum err listen_one(struct http_server *s, const struct http_options *o, unsigned i,
                           struct err_detail *d)
{
    const struct http_listen *l = &o->listen[i];
    struct binding *b = &s->bindings[i];
    struct place p;
    enum err e;
    int fd = -1;

    if ((l->tls || l->redirect) && o->tls.count == 0)
        return err_set(d, ERR_SYNTAX, 0, "\"%s\": TLS needs a certificate and a key",
                       settings_quote(l->host).text);
    if (l->fd > 0)
        return listen_passed(s, l, b, d);
    e = place_make(&p, l->host, l->port, d);
    if (e != OK)
        return e;
    if (p.at.sa.any.sa_family == AF_UNIX) {
        e = unix_listen(&p, b, s->opt.unix_mode, &fd, d);
        return e == OK ? share_listener(s, fd, p.text, use_of(l), d) : e;
    }
    p.v6only = wants_v6only(o, i);
    b->port = l->port;
    e = listen_tcp(s, &p, &b->port, use_of(l), d);
    if (e == OK && str_eq_nocase(l->host, STR("localhost")))
        listen_localhost_v6(s, b->port, use_of(l));
    return e;
}

enum err listen_all(struct http_server *s, const struct http_options *o, struct err_detail *d)
{
    enum err e = OK;

    for (unsigned i = 0; i < s->nloops; i++) {
        /* twice: localhost has two addresses */
        s->loops[i].listeners = calloc((size_t)o->nlisten * 2 + 1, sizeof(struct listener));
        if (s->loops[i].listeners == NULL)
            return err_set(d, ERR_NOMEM, 0, "listeners");
    }
    for (unsigned i = 0; i < o->nlisten && e == OK; i++) {
        e = listen_one(s, o, i, d);
        if (s->tls_port == 0 && o->listen[i].tls)
            s->tls_port = s->bindings[i].port;
    }
    return e;
}

static enum err listen_now(int fd, struct err_detail *d)
{
    struct place p = {.at = {.n = sizeof p.at.sa}};

    if (listen(fd, BACKLOG) == 0)
        return OK;
    int e = errno;
    if (getsockname(fd, &p.at.sa.any, &p.at.n) == 0)
        place_name(&p);
    errno = e;
    return socket_error(&p, "listen", d);
}

void listen_close_probes(struct http_server *s)
{
    while (s->nprobes > 0)
        close(s->probes[--s->nprobes]);
}

enum err listen_start(struct http_server *s, struct err_detail *d)
{
    enum err e = OK;

    for (unsigned i = 0; i < s->nprobes && e == OK; i++)
        e = listen_now(s->probes[i], d);
    listen_close_probes(s);
    for (unsigned i = 0; i < s->nloops && e == OK; i++)
        for (unsigned k = 0; k < s->loops[i].nlisteners && e == OK; k++)
            if (!s->loops[i].listeners[k].is_shared)
                e = listen_now(s->loops[i].listeners[k].fd, d);
    return e;
}
