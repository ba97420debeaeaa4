/*
 * http/sock.c - the socket under a connection, and the plain transport, which is nothing more.
 *
 * epoll is used edge-triggered, registered once for both directions: it tells of changes, so each
 * connection remembers what it knows. `readable` is dropped when a read finds nothing, or less than
 * was asked for (then the socket was emptied; whatever comes later is a new edge), and so a
 * keep-alive request costs one read. After the peer's FIN no edge will come any more, so from then
 * on reading goes on to the end of file. `writable` is dropped only when a write is refused: that
 * is what makes the kernel report the next change.
 *
 * SIGPIPE is never raised (MSG_NOSIGNAL).
 */
#include "http/private.h"

#include <errno.h>
#include <sys/socket.h>

ssize_t sock_read(struct conn *c, void *p, size_t n)
{
    ssize_t r;

    if (!c->readable)
        return IO_AGAIN;
    do
        r = recv(c->fd, p, n, 0);
    while (r < 0 && errno == EINTR);
    if (r < 0) {
        c->readable = false;
        return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_ERROR;
    }
    if ((size_t)r < n && !c->read_hup)
        c->readable = false;
    return r;
}

ssize_t sock_write(struct conn *c, const struct iovec *v, int n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)n};
    ssize_t r;

    if (!c->writable)
        return IO_AGAIN;
    do
        r = n == 1 ? send(c->fd, v->iov_base, v->iov_len, MSG_NOSIGNAL)
                   : sendmsg(c->fd, &m, MSG_NOSIGNAL);
    while (r < 0 && errno == EINTR);
    if (r >= 0) {
        c->sent += (uint64_t)r;
        return r;
    }
    c->writable = false;
    return errno == EAGAIN || errno == EWOULDBLOCK ? IO_AGAIN : IO_ERROR;
}

static bool plain_pending(const struct conn *c)
{
    (void)c;
    return false;
}

static void plain_nothing(struct conn *c)
{
    (void)c;
}

const struct transport transport_plain = {
    .read = sock_read,
    .write = sock_write,
    .pending = plain_pending,
    .finish = plain_nothing,
    .release = plain_nothing,
};
