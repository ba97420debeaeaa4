/*
 * process/systemd.c - what systemd passes to a service, and is told by it: sd_listen_fds(3), sd_notify(3).
 *
 * Both are an agreement on a few environment variables and a datagram, which the manuals promise to keep.
 * libsystemd has no static build, so it would cost the one file that kinto is, for these lines.
 */
#include "process/process.h"

#include "base/clock.h"
#include "base/net.h"
#include "base/settings.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

static bool read_number(const char *name, uint64_t *out)
{
    const char *text = getenv(name);
    return text && str_to_u64(str_from(text), out) == OK;
}

/* ---- sockets that were passed ---------------------------------------------------------------- */

/* "127.0.0.1", "::1", "unix:/path", for messages; a socket without a name is "unix:". */
static str name_of(struct arena *a, int fd)
{
    struct net_address at = {.n = sizeof at.sa};
    char text[INET6_ADDRSTRLEN];

    if (getsockname(fd, &at.sa.any, &at.n) != 0)
        return arena_printf(a, "passed socket %d", fd);
    if (at.sa.any.sa_family == AF_UNIX) {
        const char *path = at.sa.un.sun_path;
        bool has_path = at.n > offsetof(struct sockaddr_un, sun_path) && path[0] == '/';
        return arena_printf(a, "unix:%.*s", has_path ? (int)sizeof at.sa.un.sun_path : 0, path);
    }
    net_address_text(&at, text);
    return arena_printf(a, "%s", text);
}

static void forget(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

static enum err read_listen(struct arena *a, struct systemd_socket *out, unsigned max,
                            unsigned *count, struct err_detail *d)
{
    uint64_t pid, n;
    const char *given = getenv("LISTEN_FDNAMES");
    str names = given ? arena_str(a, str_from(given)) : STR_NONE;

    *count = 0;
    if (!read_number("LISTEN_PID", &pid) || pid != (uint64_t)getpid() || !getenv("LISTEN_FDS"))
        return OK; /* another process is meant */
    if (!read_number("LISTEN_FDS", &n))
        return err_set(d, ERR_SYNTAX, 0, "LISTEN_FDS is no number");
    if (n > max)
        return err_set(d, ERR_LIMIT, 0, "%" PRIu64 " sockets were passed, at most %u", n, max);
    for (unsigned i = 0; i < n; i++) {
        int fd = FIRST_FD + (int)i;
        str name = str_none(names) ? STR_NONE : str_cut(&names, ':');
        out[i] = (struct systemd_socket){.fd = fd, .name = name, .address = name_of(a, fd)};
    }
    *count = (unsigned)n;
    return arena_failed(a) ? ERR_NOMEM : OK;
}

enum err systemd_listen(struct arena *a, struct systemd_socket *out, unsigned max, unsigned *count,
                        struct err_detail *d)
{
    enum err e = read_listen(a, out, max, count, d);
    forget();
    return e;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* "/path", or "@name" for an abstract one. */
static bool make_address(const char *text, struct net_address *a)
{
    size_t len = strlen(text);
    struct sockaddr_un *un = &a->sa.un;
    *a = (struct net_address){.sa.un = {.sun_family = AF_UNIX}};
    if (len < 2 || len >= sizeof un->sun_path || (text[0] != '/' && text[0] != '@'))
        return false;
    memcpy(un->sun_path, text, len);
    if (text[0] == '@')
        un->sun_path[0] = '\0';
    a->n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

static enum err connect_to(struct systemd *s, const char *text, struct err_detail *d)
{
    struct net_address a;
    if (!make_address(text, &a))
        return err_set(d, ERR_IO, 0, "NOTIFY_SOCKET: \"%s\" is no address of a Unix socket",
                       settings_quote(str_from(text)).text);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, &a.sa.any, a.n) != 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return err_set(d, ERR_IO, e, "NOTIFY_SOCKET: %s", text);
    }
    s->fd = fd;
    return OK;
}

static uint64_t watchdog_ms(void)
{
    uint64_t us, pid;
    if (!read_number("WATCHDOG_USEC", &us) || us == 0)
        return 0;
    if (getenv("WATCHDOG_PID") && (!read_number("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
        return 0;
    return MAX_OF(us / 1000, (uint64_t)1);
}

enum err systemd_open(struct systemd *s, struct err_detail *d)
{
    const char *to = getenv("NOTIFY_SOCKET");
    *s = (struct systemd){.fd = -1};
    enum err e = to && *to ? connect_to(s, to, d) : OK;
    s->watchdog_ms = s->fd >= 0 ? watchdog_ms() : 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return e;
}

void systemd_close(struct systemd *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

void systemd_say(const struct systemd *s, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (s->fd < 0)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > 0)
        (void)!send(s->fd, text, MIN_OF((size_t)n, sizeof text - 1), MSG_NOSIGNAL);
}

void systemd_reloading(const struct systemd *s)
{
    systemd_say(s, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_ns() / 1000);
}
