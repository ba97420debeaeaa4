/*
 * http/dial.c - a TCP connection to somebody else's server, every wait of which ends at a deadline.
 *
 * The socket is non-blocking; poll() does the waiting, and whatever the peer does, or does not do, the
 * next look at the clock ends it. SIGPIPE is never raised (MSG_NOSIGNAL).
 *
 * What is received goes through one buffer, so that lines (heads, SMTP replies) and bytes (bodies) can
 * follow each other, and so that it can be seen whether a peer has said more than it should have
 * before TLS begins.
 */
#include "base/clock.h"
#include "http/outbound.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int dial_left_ms(uint64_t deadline_ms)
{
    uint64_t now = clock_mono_ms();

    return now >= deadline_ms ? 0 : (int)MIN_OF(deadline_ms - now, (uint64_t)INT_MAX);
}

/* ---- its life, and giving up ------------------------------------------------------------------ */

enum err http_cancel_init(struct http_cancel *c, struct err_detail *d)
{
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->made = c->fd >= 0;
    return c->made ? OK : err_set(d, err_from_errno(errno), errno, "outbound calls");
}

/* Never read: what waits is woken for good, and the counter's limit only means that it was set. */
void http_cancel_now(struct http_cancel *c)
{
    CHECK(c->made);
    CHECK(eventfd_write(c->fd, 1) == 0 || errno == EAGAIN);
}

void http_cancel_fini(struct http_cancel *c)
{
    if (c->made)
        close(c->fd);
    c->made = false;
}

void dial_init(struct dial *c, uint64_t deadline_ms, const struct http_cancel *cancel)
{
    CHECK(cancel == NULL || cancel->made);
    c->fd = -1;
    c->tls = NULL;
    c->cancel_fd = cancel != NULL ? cancel->fd : -1;
    c->deadline_ms = deadline_ms;
    c->peer[0] = '\0';
    c->at = c->n = 0;
}

void dial_close(struct dial *c)
{
    dial_tls_close(c);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->at = c->n = 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* 1: the socket is ready (or broken, as the next call on it will tell); 0: the deadline; -1: errno,
 * ECANCELED when cancel_fd can be read. */
static int wait_for(int fd, short events, uint64_t deadline_ms, int cancel_fd)
{
    struct pollfd p[] = {{.fd = fd, .events = events}, {.fd = cancel_fd, .events = POLLIN}};
    int r, left;

    do {
        left = dial_left_ms(deadline_ms);
        /* Not even a look then: a peer that never makes us wait must not keep us for ever. */
        r = left > 0 ? poll(p, ARRAY_LEN(p), left) : 0;
    } while ((r < 0 && errno == EINTR) || (r == 0 && left > 0));
    if (r > 0 && p[1].revents != 0) {
        errno = ECANCELED;
        return -1;
    }
    return r;
}

/* What wait_for() came to. */
static enum err waited(const struct dial *c, int r, const char *what, struct err_detail *d)
{
    if (r > 0)
        return OK;
    if (r == 0)
        return err_set(d, ERR_TIMEOUT, 0, "%s: %s took too long", c->peer, what);
    return err_set(d, errno == ECANCELED ? ERR_AGAIN : ERR_IO, errno, "%s: %s", c->peer, what);
}

enum err dial_wait(struct dial *c, short events, const char *what, struct err_detail *d)
{
    return waited(c, wait_for(c->fd, events, c->deadline_ms, c->cancel_fd), what, d);
}

enum err dial_look(const struct dial *c, const char *what, struct err_detail *d)
{
    struct pollfd cancel = {.fd = c->cancel_fd, .events = POLLIN};

    if (dial_left_ms(c->deadline_ms) == 0)
        return waited(c, 0, what, d);
    if (poll(&cancel, 1, 0) <= 0)
        return OK;
    errno = ECANCELED;
    return waited(c, -1, what, d);
}

/* ---- connecting ------------------------------------------------------------------------------ */

void dial_name_peer(struct dial *c, str host, uint16_t port)
{
    host = str_sub(host, 0, 255);
    snprintf(c->peer, sizeof c->peer, NET_HOST_FMT ":%u", NET_HOST_ARG(host), (unsigned)port);
}

/* 0, or the errno of a connection that did not come about (ETIMEDOUT: not before the deadline). */
static int finish_connect(int fd, uint64_t deadline_ms, int cancel_fd)
{
    int r = wait_for(fd, POLLOUT, deadline_ms, cancel_fd), failure = 0;
    socklen_t n = sizeof failure;

    if (r == 0)
        return ETIMEDOUT;
    if (r < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n) != 0)
        return errno;
    return failure;
}

static int connect_one(const struct net_address *a, uint64_t deadline_ms, int cancel_fd, int *out)
{
    int one = 1, failure = 0;
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* only speed is at stake */
    if (connect(fd, &a->sa.any, a->n) != 0)
        failure = errno == EINPROGRESS || errno == EINTR
                      ? finish_connect(fd, deadline_ms, cancel_fd)
                      : errno;
    if (failure != 0)
        close(fd);
    else
        *out = fd;
    return failure;
}

static enum err connect_error(const struct dial *c, const struct net_address *a, int failure,
                              struct err_detail *d)
{
    char text[INET6_ADDRSTRLEN];
    enum err e = failure == ETIMEDOUT   ? ERR_TIMEOUT
                 : failure == ECANCELED ? ERR_AGAIN
                                        : err_from_errno(failure);

    if (e != ERR_TIMEOUT && e != ERR_NOFILES && e != ERR_NOMEM && failure != ECANCELED)
        e = ERR_IO;
    net_address_text(a, text);
    return err_set(d, e, failure, "%s: cannot connect to %s", c->peer, text);
}

enum err dial_open(struct dial *c, str host, uint16_t port, struct err_detail *d)
{
    struct addresses found;
    enum err e;

    dial_name_peer(c, host, port);
    e = resolve_unless(host, port, c->deadline_ms, c->cancel_fd, &found, d);
    for (unsigned i = 0; e == OK && i < found.n; i++) {
        uint64_t share = (uint64_t)dial_left_ms(c->deadline_ms) / (found.n - i);
        int failure = connect_one(&found.at[i], clock_mono_ms() + share, c->cancel_fd, &c->fd);

        if (failure == 0)
            return OK;
        if (i + 1 == found.n || failure == ECANCELED)
            return connect_error(c, &found.at[i], failure, d);
    }
    return e;
}

/* ---- sending --------------------------------------------------------------------------------- */

static enum err broken(const struct dial *c, int failure, const char *what, struct err_detail *d)
{
    enum err e = failure == EPIPE || failure == ECONNRESET ? ERR_CLOSED : ERR_IO;

    return err_set(d, e, failure, "%s: %s", c->peer, what);
}

static enum err plain_write(struct dial *c, const char *p, size_t n, size_t *sent,
                            struct err_detail *d)
{
    for (;;) {
        ssize_t r = send(c->fd, p, n, MSG_NOSIGNAL);
        enum err e;

        if (r >= 0) {
            *sent = (size_t)r;
            return OK;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return broken(c, errno, "sending", d);
        e = dial_wait(c, POLLOUT, "sending", d);
        if (e != OK)
            return e;
    }
}

enum err dial_write(struct dial *c, str bytes, struct err_detail *d)
{
    while (bytes.n > 0) {
        size_t sent = 0;
        enum err e = OK;

        /* A peer that takes a little at a time never makes us wait, but the time is over all the
         * same. */
        if (dial_left_ms(c->deadline_ms) == 0)
            return err_set(d, ERR_TIMEOUT, 0, "%s: sending took too long", c->peer);
        e = c->tls != NULL ? dial_tls_write(c, bytes.p, bytes.n, &sent, d)
                           : plain_write(c, bytes.p, bytes.n, &sent, d);
        if (e != OK)
            return e;
        bytes = str_drop(bytes, sent);
    }
    return OK;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static enum err plain_read(struct dial *c, char *p, size_t n, size_t *got, struct err_detail *d)
{
    for (;;) {
        ssize_t r = recv(c->fd, p, n, 0);
        enum err e;

        if (r >= 0) {
            *got = (size_t)r;
            return OK;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return broken(c, errno, "receiving", d);
        e = dial_wait(c, POLLIN, "receiving", d);
        if (e != OK)
            return e;
    }
}

/* Receives behind what is there already; *got = 0: the end. There must be room. */
static enum err receive(struct dial *c, size_t *got, struct err_detail *d)
{
    char *p = c->in + c->n;
    size_t room = sizeof c->in - c->n;
    enum err e;

    if (dial_left_ms(c->deadline_ms) == 0) /* as in dial_write */
        return err_set(d, ERR_TIMEOUT, 0, "%s: receiving took too long", c->peer);
    e = c->tls != NULL ? dial_tls_read(c, p, room, got, d) : plain_read(c, p, room, got, d);
    if (e == OK)
        c->n += *got;
    return e;
}

enum err dial_read(struct dial *c, char **p, size_t *n, struct err_detail *d)
{
    size_t got;

    if (c->at == c->n) {
        enum err e;
        c->at = c->n = 0;
        e = receive(c, &got, d);
        if (e != OK)
            return e;
    }
    *p = c->in + c->at;
    *n = c->n - c->at;
    c->at = c->n;
    return OK;
}

/* Moves what is not yet taken to the front, and receives more. */
static enum err receive_more(struct dial *c, struct err_detail *d)
{
    size_t got = 0;
    enum err e;

    if (c->at > 0) {
        memmove(c->in, c->in + c->at, c->n - c->at);
        c->n -= c->at;
        c->at = 0;
    }
    if (c->n == sizeof c->in)
        return err_set(d, ERR_LIMIT, 0, "%s: a line of more than %zu bytes", c->peer, sizeof c->in);
    e = receive(c, &got, d);
    if (e == OK && got == 0)
        e = err_set(d, ERR_CLOSED, 0, "%s: closed the connection inside its answer", c->peer);
    return e;
}

enum err dial_line(struct dial *c, str *line, struct err_detail *d)
{
    size_t seen = 0; /* bytes behind c->at that hold no line end */

    for (;;) {
        const char *start = c->in + c->at;
        const char *lf = memchr(start + seen, '\n', c->n - c->at - seen);
        enum err e;

        if (lf != NULL) {
            size_t n = (size_t)(lf - start);
            c->at += n + 1;
            *line = (str){start, n > 0 && start[n - 1] == '\r' ? n - 1 : n};
            return OK;
        }
        seen = c->n - c->at;
        e = receive_more(c, d);
        if (e != OK)
            return e;
    }
}
