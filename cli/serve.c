/*
 * cli/serve.c - kinto start: from the settings to a server that accepts, and back.
 *
 *     sockets, keys                 what needs rights
 *     -> rights given up            process/process.h
 *     -> store -> secret -> API, plugins -> server
 *     -> a signal, a turn of the watchdog, SIGHUP: certificates anew ...
 *     -> stop
 *
 * What is made in that order is released in reverse. Nothing accepts before everything stands, so that
 * whoever can connect is served.
 */
#include "cli/private.h"
#include "process/process.h"

#include "api/api.h"
#include "base/clock.h"
#include "base/net.h"
#include "http/client.h"
#include "plugins/plugins.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>

struct server {
    struct cli_run *run;
    struct api *api;
    struct http_server *server;
    struct http_listen listen[HTTP_MAX_LISTEN];
    unsigned nlisten;
    struct systemd systemd;
    uint64_t sign_ms; /* when the next sign of life is due (clock_mono_ms) */
};

sigset_t cli_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

/* ---- where to listen ------------------------------------------------------------------------- */

struct http_listen cli_listen_passed(const struct systemd_socket *s, bool tls)
{
    struct http_listen l = {.host = s->address, .fd = s->fd};
    l.redirect = str_eq(s->name, STR("redirect"));
    l.tls = !l.redirect && !str_eq(s->name, STR("http")) && (tls || str_eq(s->name, STR("https")));
    return l;
}

/* Sockets that were passed stand in for all that the settings name. */
static enum err choose_sockets(struct server *s)
{
    struct cli_run *r = s->run;
    struct systemd_socket passed[HTTP_MAX_LISTEN];
    bool tls = http_tls_is_wanted(r->settings);
    enum err e = systemd_listen(&r->arena, passed, HTTP_MAX_LISTEN, &s->nlisten, &r->detail);
    if (e != OK)
        return e;
    for (unsigned i = 0; i < s->nlisten; i++)
        s->listen[i] = cli_listen_passed(&passed[i], tls);
    if (s->nlisten > 0)
        return OK;
    return http_listen_load(r->settings, &r->arena, s->listen, &s->nlisten, &r->detail);
}

static enum err bind_server(struct server *s)
{
    struct http_options o = {.listen = s->listen, .memory_bytes = s->run->memory_bytes};
    enum err e = choose_sockets(s);
    if (e != OK)
        return e;
    http_options_load(&o, s->run->settings);
    str host = settings_str(s->run->settings, "kinto.http_host");
    o.redirect_host = host.n == 0 ? NULL : host.p;
    o.nlisten = s->nlisten;
    return http_server_bind(&s->server, &o, &s->run->detail);
}

/* ---- rights ---------------------------------------------------------------------------------- */

struct reach {
    struct process_path *at; /* NULL while they are counted */
    size_t n;
};

static void reach(struct reach *r, const char *path, enum process_use use)
{
    if (r->at)
        r->at[r->n] = (struct process_path){path, use};
    r->n++;
}

static void reach_place(void *arg, const char *path, bool named)
{
    reach(arg, path, named ? PROCESS_REPLACED : PROCESS_LINKED);
}

/* The words of the settings' rows. */
static enum process_use use_of(const char *word)
{
    static const struct {
        const char *word;
        enum process_use use;
    } uses[] = {
        {"read", PROCESS_READ},
        {"replaced", PROCESS_REPLACED},
        {"removed", PROCESS_REMOVED},
    };
    size_t i = 0;

    while (i < ARRAY_LEN(uses) && strcmp(uses[i].word, word) != 0)
        i++;
    CHECK(i < ARRAY_LEN(uses));
    return uses[i].use;
}

static void reach_path(void *arg, const char *path, const char *use)
{
    reach(arg, path, use_of(use));
}

/* Each file that the rooms read while they serve, by their settings and the environment. */
static void reach_all(struct cli_run *run, struct reach *r)
{
    r->n = 0;
    http_client_places(reach_place, r);
    settings_paths(run->settings, reach_path, r);
}

static enum err collect(struct cli_run *run, struct reach *r)
{
    reach_all(run, r);
    r->at = ARENA_NEW_ARRAY(&run->arena, struct process_path, r->n);
    if (!r->at)
        return ERR_NOMEM;
    reach_all(run, r);
    return OK;
}

static enum err give_sockets(void *arg, uid_t uid, gid_t gid, struct err_detail *d)
{
    return http_server_give(arg, uid, gid, d);
}

static enum err confine(struct server *s)
{
    struct cli_run *r = s->run;
    struct store_options store;
    struct reach reached = {.n = 0};
    enum err e = store_options_load(&store, r->settings, &r->detail);
    if (e == OK)
        e = collect(r, &reached);
    if (e != OK)
        return e;
    const struct process_plan plan = {.settings = r->settings,
                                      .data = store.dir,
                                      .paths = reached.at,
                                      .npaths = reached.n,
                                      .give = give_sockets,
                                      .arg = s->server};
    return process_confine(&plan, &r->detail);
}

/* ---- serving --------------------------------------------------------------------------------- */

static enum err open_api(struct server *s)
{
    size_t npolicies;
    const struct auth_policy *const *policies = plugins_policies(&npolicies);
    const struct api_options o = {
        .store = s->run->store,
        .settings = s->run->settings,
        .config_path = str_from(s->run->ini.path),
        .config_sha256 = s->run->ini.path ? str_from(s->run->ini.sha256) : STR_NONE,
        .config_modified_us = s->run->ini.modified_us,
        .version = STR(KINTO_VERSION),
        .policies = policies,
        .npolicies = npolicies,
    };
    enum err e = api_new(&s->api, &o, &s->run->detail);
    if (e == OK)
        e = plugins_load(s->api, s->run->settings, &s->run->detail);
    if (e == OK)
        e = api_describe(s->api);
    return e == OK ? api_start(s->api, &s->run->detail) : e;
}

static enum err run_server(struct server *s)
{
    const struct http_app app = api_http_app(s->api);
    return http_server_run(s->server, &app, &s->run->detail);
}

static void print_address(const struct server *s, unsigned i)
{
    const struct http_listen *l = &s->listen[i];
    const char *scheme = l->tls ? "https" : "http";
    if (str_starts(l->host, STR("unix:"))) {
        fprintf(s->run->out, STR_FMT, STR_ARG(l->host));
        return;
    }
    fprintf(s->run->out, "%s://" NET_HOST_FMT ":%u/%s", scheme, NET_HOST_ARG(l->host),
            (unsigned)http_server_port(s->server, i), l->redirect ? " (to https)" : "v1/");
}

/* One line, once connections are accepted: scripts read the URL from it. */
static void print_started(const struct server *s)
{
    fprintf(s->run->out, "kinto " KINTO_VERSION " at ");
    for (unsigned i = 0; i < s->nlisten; i++) {
        if (i > 0)
            fprintf(s->run->out, " and ");
        print_address(s, i);
    }
    fprintf(s->run->out,
            " data=%s recovered %" PRIu64 " transactions in %" PRIu64 " ms (torn: %" PRIu64
            " bytes)\n",
            s->run->data_dir ? s->run->data_dir : "memory", s->run->opened.txns, s->run->opened.ms,
            s->run->opened.torn_bytes);
    fflush(s->run->out);
}

/* SIGHUP: certificates may have been renewed. Whatever is wrong with them, those in use stay. */
static void reload(struct server *s)
{
    struct http_tls_options o;
    struct err_detail d = {0};
    systemd_reloading(&s->systemd);
    http_tls_load(&o, s->run->settings);
    enum err e = http_server_reload_tls(s->server, &o, &d);
    if (e == OK)
        log_event(LOG_INFO, "reloaded", "certificates=%zu", o.count);
    else
        log_event(e == ERR_UNSUPPORTED ? LOG_INFO : LOG_ERROR, "not_reloaded", "reason=\"%s\"",
                  d.text[0] ? d.text : err_text(e));
    systemd_say(&s->systemd, "READY=1");
}

/* A terminal that goes away sends SIGHUP, too: that is no wish for a reload. */
static bool is_reload(const siginfo_t *i)
{
    return i->si_signo == SIGHUP && i->si_code != SI_KERNEL;
}

/* The watchdog hears that every loop still turns, four times as often as it asks for. */
static void give_sign(struct server *s)
{
    uint64_t now = clock_mono_ms();
    if (s->systemd.watchdog_ms == 0 || now < s->sign_ms)
        return;
    s->sign_ms = now + MAX_OF(s->systemd.watchdog_ms / 4, 1u);
    if (http_server_turns(s->server))
        systemd_say(&s->systemd, "WATCHDOG=1");
}

/* The next signal. However often they come, signs of life are given when they are due. */
static void next_signal(struct server *s, const sigset_t *awaited, siginfo_t *got)
{
    for (bool caught = false; !caught;) {
        uint64_t now = clock_mono_ms(), ms = s->sign_ms > now ? s->sign_ms - now : 0;
        const struct timespec turn = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
        caught = sigtimedwait(awaited, got, s->systemd.watchdog_ms > 0 ? &turn : NULL) >= 0;
        CHECK(caught || errno == EINTR || errno == EAGAIN);
        give_sign(s);
    }
}

static void wait_for_stop(struct server *s)
{
    const sigset_t awaited = cli_signals();
    siginfo_t got;
    next_signal(s, &awaited, &got);
    while (is_reload(&got)) {
        reload(s);
        next_signal(s, &awaited, &got);
    }
    systemd_say(&s->systemd, "STOPPING=1");
    log_event(LOG_INFO, "stopping", "signal=%s", sigabbrev_np(got.si_signo));
}

static enum err start(struct server *s)
{
    enum err e = systemd_open(&s->systemd, &s->run->detail);
    if (e == OK)
        e = bind_server(s);
    if (e == OK)
        e = confine(s);
    if (e == OK)
        e = cli_run_open_store(s->run);
    if (e == OK)
        e = cli_run_derive(s->run);
    if (e == OK)
        e = open_api(s);
    return e == OK ? run_server(s) : e;
}

static void stop(struct server *s)
{
    if (s->api)
        api_stop(s->api);
    if (s->server)
        http_server_stop(s->server);
    if (s->api)
        api_free(s->api);
    systemd_close(&s->systemd);
}

enum err cli_command_start(struct cli_run *r)
{
    struct server s = {.run = r, .systemd = {.fd = -1}};
    enum err e = start(&s);
    if (e == OK) {
        print_started(&s);
        systemd_say(&s.systemd, "READY=1\nSTATUS=serves " KINTO_VERSION);
        wait_for_stop(&s);
    }
    stop(&s);
    return e;
}
