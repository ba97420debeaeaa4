/*
 * http/resolve.c - the addresses of a host, by c-ares: glibc's resolver loads shared libraries at run
 * time, which a static binary cannot do. The only file that includes its headers.
 *
 * A lookup has a channel of its own, which reads /etc/resolv.conf and /etc/hosts anew: they may
 * change while the server runs, no thread shares anything, and beside the connection that follows
 * it costs little. c-ares tells which sockets it waits for; poll() does the waiting, as long as the
 * deadline allows. (Its own select() would not do: a server may hold more than 1024 descriptors.)
 */
#include "base/clock.h"
#include "base/settings.h"
#include "http/outbound.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#define MAX_SOCKETS 32 /* of one lookup: two for each server */
#define TRY_MS      1500
#define TRIES       3

struct lookup {
    ares_channel channel;
    int cancel_fd; /* readable: give up; or -1 */
    struct pollfd fds[MAX_SOCKETS];
    nfds_t nfds;
    bool done, cancelled;
    int status;
    struct ares_addrinfo *found; /* ours; NULL unless ARES_SUCCESS */
};

/*
 * c-ares also knows services by name, and asks libc for them, which would load shared libraries. Here
 * ports are numbers: these stand in for libc's, so that none of that gets into a static binary. (Which
 * of them c-ares calls depends on its version.)
 */
struct servent *getservbyname(const char *name, const char *proto)
{
    (void)name;
    (void)proto;
    return NULL;
}

int getservbyname_r(const char *name, const char *proto, struct servent *space, char *buf, size_t n,
                    struct servent **out)
{
    (void)name;
    (void)proto;
    (void)space;
    (void)buf;
    (void)n;
    *out = NULL;
    return ENOENT;
}

int getservbyport_r(int port, const char *proto, struct servent *space, char *buf, size_t n,
                    struct servent **out)
{
    (void)port;
    return getservbyname_r(NULL, proto, space, buf, n, out);
}

static _Atomic(const char *) test_servers;

/* c-ares asks for no others on Linux. */
static const char *const files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf",
                                    "/etc/host.conf"};

void resolve_places(http_place_fn *each, void *arg)
{
    const char *hosts = getenv("CARES_HOSTS"); /* ARES_AI_ENVHOSTS */
    if (hosts != NULL && *hosts != '\0')
        each(arg, hosts, true);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        each(arg, files[i], false);
}

void resolve_test_servers(const char *csv)
{
    atomic_store(&test_servers, csv);
}

/* ---- what needs no asking -------------------------------------------------------------------- */

static bool is_localhost(str host)
{
    static const str suffix = STR_INIT(".localhost");

    host = net_host_without_root(host);
    return str_eq_nocase(host, STR("localhost")) ||
           (host.n > suffix.n && str_eq_nocase(str_drop(host, host.n - suffix.n), suffix));
}

static void give_localhost(uint16_t port, struct addresses *out)
{
    CHECK(net_address_parse(STR("::1"), port, &out->at[0]));
    CHECK(net_address_parse(STR("127.0.0.1"), port, &out->at[1]));
    out->n = 2;
}

bool resolve_at_once(str host, uint16_t port, struct addresses *out)
{
    if (net_address_parse(host, port, &out->at[0]))
        out->n = 1;
    else if (is_localhost(host))
        give_localhost(port, out);
    else
        return false;
    return true;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* c-ares wants to know of this socket from now on, or no more. One too many is left alone: what is
 * asked through it counts as not answered. */
static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct lookup *l = arg;
    nfds_t i = 0;

    while (i < l->nfds && l->fds[i].fd != fd)
        i++;
    if (!readable && !writable) {
        if (i < l->nfds)
            l->fds[i] = l->fds[--l->nfds];
        return;
    }
    if (i == MAX_SOCKETS)
        return;
    if (i == l->nfds)
        l->nfds++;
    l->fds[i] = (struct pollfd){
        .fd = fd,
        .events = (short)((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)),
    };
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct lookup *l = arg;

    (void)timeouts;
    l->done = true;
    l->status = status;
    l->found = found;
}

static void init_library(void)
{
    (void)ares_library_init(ARES_LIB_INIT_ALL); /* outside Windows it cannot fail */
}

static int open_channel(struct lookup *l)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct ares_options o = {
        .timeout = TRY_MS,
        .tries = TRIES,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = l,
    };
    const char *servers = atomic_load(&test_servers);
    int status;

    pthread_once(&once, init_library);
    status = ares_init_options(&l->channel, &o,
                               ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status == ARES_SUCCESS && servers != NULL) {
        status = ares_set_servers_ports_csv(l->channel, servers);
        if (status != ARES_SUCCESS)
            ares_destroy(l->channel);
    }
    return status;
}

/* One wait, and what came of it. The list is copied: c-ares changes it while it works. */
static void turn(struct lookup *l, int left_ms)
{
    struct pollfd fds[MAX_SOCKETS + 1];
    nfds_t n = l->nfds;
    struct timeval most = {left_ms / 1000, left_ms % 1000 * 1000}, space;
    const struct timeval *wait = ares_timeout(l->channel, &most, &space);
    int ready;

    memcpy(fds, l->fds, n * sizeof *fds);
    fds[n] = (struct pollfd){.fd = l->cancel_fd, .events = POLLIN}; /* -1 is passed over */
    ready = poll(fds, n + 1, (int)(wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000));
    l->cancelled = ready > 0 && fds[n].revents != 0;
    for (nfds_t i = 0; ready > 0 && i < n; i++) {
        short r = fds[i].revents;
        if (r != 0)
            ares_process_fd(l->channel, r & ~POLLOUT ? fds[i].fd : ARES_SOCKET_BAD,
                            r & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(l->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what took too long */
}

static enum err lookup_error(int status, str host, struct err_detail *d)
{
    switch (status) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
        return err_set(d, ERR_NOTFOUND, 0, "cannot resolve " STR_FMT ": no such host",
                       STR_ARG(host));
    case ARES_ENOMEM:
        return err_set(d, ERR_NOMEM, 0, "cannot resolve " STR_FMT ": out of memory", STR_ARG(host));
    case ARES_EBADNAME:
        return err_set(d, ERR_SYNTAX, 0, "cannot resolve " STR_FMT ": not the name of a host",
                       STR_ARG(host));
    case ARES_ETIMEOUT:
    case ARES_ECANCELLED: /* our own deadline */
    case ARES_EDESTRUCTION:
        return err_set(d, ERR_TIMEOUT, 0, "cannot resolve " STR_FMT ": no answer in time",
                       STR_ARG(host));
    default:
        return err_set(d, ERR_IO, 0, "cannot resolve " STR_FMT ": %s", STR_ARG(host),
                       ares_strerror(status));
    }
}

/* The next node of a family from `node` on. */
static const struct ares_addrinfo_node *next_of(const struct ares_addrinfo_node *node, int family)
{
    while (node != NULL && node->ai_family != family)
        node = node->ai_next;
    return node;
}

static void take(const struct ares_addrinfo_node *node, uint16_t port, struct addresses *out)
{
    struct net_address *a = &out->at[out->n];

    if (!net_address_copy(node->ai_addr, a))
        return;
    net_address_set_port(a, port);
    out->n++;
}

/* c-ares has put them in the order of RFC 6724; here the two families take turns (RFC 8305, 4). */
static void take_in_turn(const struct ares_addrinfo *found, uint16_t port, struct addresses *out)
{
    int first = found->nodes != NULL && found->nodes->ai_family == AF_INET ? AF_INET : AF_INET6;
    const struct ares_addrinfo_node *a = next_of(found->nodes, first);
    int other = first == AF_INET ? AF_INET6 : AF_INET;
    const struct ares_addrinfo_node *b = next_of(found->nodes, other);

    out->n = 0;
    while ((a != NULL || b != NULL) && out->n < RESOLVE_MAX) {
        if (a != NULL) {
            take(a, port, out);
            a = next_of(a->ai_next, first);
        }
        if (b != NULL && out->n < RESOLVE_MAX) {
            take(b, port, out);
            b = next_of(b->ai_next, other);
        }
    }
}

static enum err ask(const char *name, str host, uint16_t port, uint64_t deadline_ms, int cancel_fd,
                    struct addresses *out, struct err_detail *d)
{
    /* ENVHOSTS: a file that CARES_HOSTS names in the environment stands in for /etc/hosts. */
    struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_ENVHOSTS,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct lookup l = {.status = ARES_SUCCESS, .cancel_fd = cancel_fd};
    int left, status = open_channel(&l);

    if (status != ARES_SUCCESS)
        return lookup_error(status, host, d);
    ares_getaddrinfo(l.channel, name, NULL, &hints, on_answer, &l);
    while (!l.done && !l.cancelled && (left = dial_left_ms(deadline_ms)) > 0)
        turn(&l, left);
    ares_destroy(l.channel); /* calls on_answer if nobody has yet */
    if (l.status == ARES_SUCCESS && l.found != NULL)
        take_in_turn(l.found, port, out);
    if (l.found != NULL)
        ares_freeaddrinfo(l.found);
    if (l.cancelled)
        return err_set(d, ERR_AGAIN, 0, "cannot resolve " STR_FMT ": cancelled", STR_ARG(host));
    if (l.status == ARES_SUCCESS && out->n == 0)
        l.status = ARES_ENODATA;
    return l.status == ARES_SUCCESS ? OK : lookup_error(l.status, host, d);
}

enum err resolve(str host, uint16_t port, uint64_t deadline_ms, struct addresses *out,
                 struct err_detail *d)
{
    return resolve_unless(host, port, deadline_ms, -1, out, d);
}

enum err resolve_unless(str host, uint16_t port, uint64_t deadline_ms, int cancel_fd,
                        struct addresses *out, struct err_detail *d)
{
    struct addresses found = {0};
    char name[NET_NAME_MAX + 2];
    enum err e = OK;

    if (resolve_at_once(host, port, &found)) {
        *out = found;
        return OK;
    }
    if (!net_host_is_name(host)) {
        e = err_set(d, ERR_SYNTAX, 0, "\"%s\" is not the name of a host",
                    settings_quote(host).text);
    } else {
        memcpy(name, host.p, host.n);
        name[host.n] = '\0';
        e = ask(name, host, port, deadline_ms, cancel_fd, &found, d);
    }
    if (e == OK)
        *out = found;
    return e;
}
