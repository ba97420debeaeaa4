/*
 * cli/certificate.c - kinto init --tls-self-signed: a key and a certificate beside the INI.
 *
 * The certificate is for what this machine is called by those who try kinto out: localhost, its own
 * name (and that with .local, by which mDNS finds it), its addresses, and what the user names.
 */
#include "cli/private.h"

#include "base/clock.h"
#include "base/net.h"
#include "base/os.h"
#include "http/http.h"
#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#define MAX_NAMES 48
#define DAYS      825

struct names {
    str at[MAX_NAMES];
    size_t n;
    char host[256], local[264];
    char addresses[MAX_NAMES][INET6_ADDRSTRLEN];
    size_t naddresses;
};

static void add(struct names *all, str name)
{
    for (size_t i = 0; i < all->n; i++)
        if (str_eq_nocase(all->at[i], name))
            return;
    if (all->n < MAX_NAMES)
        all->at[all->n++] = name;
}

/* What the machine is called is no choice of the user's: a name that cannot be in a certificate is left
 * out. */
static void add_own(struct names *all, str name)
{
    if (http_self_signed_takes(name))
        add(all, name);
}

static void add_host(struct names *all)
{
    if (gethostname(all->host, sizeof all->host - 1) != 0 || all->host[0] == '\0')
        return;
    add_own(all, str_from(all->host));
    if (strchr(all->host, '.') == NULL) {
        snprintf(all->local, sizeof all->local, "%s.local", all->host);
        add_own(all, str_from(all->local));
    }
}

/* The address of an interface. Link-local ones of IPv6 are of no use in a URL. */
static void add_address(struct names *all, const struct sockaddr *any)
{
    struct net_address a;
    char *text;

    if (all->naddresses == MAX_NAMES || !net_address_copy(any, &a) ||
        (any->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a.sa.v6.sin6_addr)))
        return;
    text = all->addresses[all->naddresses++];
    net_address_text(&a, text);
    add(all, str_from(text));
}

static void add_addresses(struct names *all)
{
    struct ifaddrs *list;

    if (getifaddrs(&list) != 0)
        return; /* the machine's name is left, and what the user names */
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
        if (i->ifa_addr != NULL && (i->ifa_flags & IFF_UP) != 0)
            add_address(all, i->ifa_addr);
    freeifaddrs(list);
}

static void collect(struct names *all, const struct cli_operands *wanted)
{
    *all = (struct names){0};
    for (size_t i = 0; i < wanted->n; i++)
        add(all, str_from(wanted->at[i]));
    add(all, STR("localhost"));
    add(all, STR("127.0.0.1"));
    add(all, STR("::1"));
    add_host(all);
    add_addresses(all);
}

/* `name` in the folder of the INI. */
static enum err beside(const char *ini, const char *name, char out[PATH_MAX], struct err_detail *d)
{
    str folder = str_folder_prefix(str_from(ini));
    int n = snprintf(out, PATH_MAX, STR_FMT "%s", STR_ARG(folder), name);

    return n > 0 && n < PATH_MAX ? OK : err_set(d, ERR_LIMIT, 0, "%s: path too long", ini);
}

static enum err write_pair(const struct cli_certificate *c, const struct http_self_signed *s,
                           struct err_detail *d)
{
    enum err e = cli_write_new_file(c->key, buf_str(&s->key), d);

    if (e != OK)
        return e;
    e = cli_write_new_file(c->certificate, buf_str(&s->certificate), d);
    if (e != OK)
        (void)os()->unlink(c->key);
    return e;
}

enum err cli_certificate_write(struct cli_certificate *c, const char *ini,
                               const struct cli_operands *wanted, struct err_detail *d)
{
    struct http_self_signed s;
    struct names all;
    enum err e = beside(ini, CLI_CERTIFICATE, c->certificate, d);

    if (e == OK)
        e = beside(ini, CLI_KEY, c->key, d);
    if (e != OK)
        return e;
    collect(&all, wanted);
    e = http_self_signed_make(&s, all.at, all.n, clock_wall_ms() / 1000, DAYS, d);
    if (e != OK)
        return e;
    memcpy(c->fingerprint, s.fingerprint, sizeof c->fingerprint);
    e = write_pair(c, &s, d);
    http_self_signed_free(&s);
    return e;
}

void cli_certificate_remove(const struct cli_certificate *c)
{
    (void)os()->unlink(c->key);
    (void)os()->unlink(c->certificate);
}
