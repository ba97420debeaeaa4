/*
 * http/server.c - options, start and stop.
 *
 * bind: sockets (listen.c), what reads files.
 * run: probes -> listen -> loops (epoll) -> threads -> all have reported loop_start.
 * Whatever fails, server_free() releases what is there.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/os.h"
#include "base/thread.h"
#include "http/private.h"

#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_LOOPS       256
#define MAX_SERVER_NAME 128
#define IN_LARGE_OVER   (16 * KIB) /* of a large input buffer, behind the largest head */
#define MAX_PASSED_ON   256
/* Descriptors that no connection gets: for the files of the store, calls to other servers, what is opened
 * for a moment. Some 20 are in use at once, but for calls. */
#define KEPT_FOR_OTHERS   64
#define LEAST_CONNECTIONS 16 /* when not even they would be left */

/* ---- options --------------------------------------------------------------------------------- */

/* Half of the memory that there is for this process, within what is sane. */
static size_t half_of(uint64_t memory)
{
    return (size_t)MAX_OF(MIN_OF(memory / 2, (uint64_t)(512 * MIB)), (uint64_t)(16 * MIB));
}

#define DEFAULT(field, value)                                                                      \
    do {                                                                                           \
        if ((field) == 0)                                                                          \
            (field) = (value);                                                                     \
    } while (0)

static void fill_in(struct http_options *o)
{
    DEFAULT(o->loops, os_cpu_count());
    o->loops = MIN_OF(o->loops, (unsigned)MAX_LOOPS);
    DEFAULT(o->max_head_bytes, 16 * KIB);
    DEFAULT(o->max_target_bytes, 8 * KIB);
    DEFAULT(o->max_body_bytes, 16 * MIB);
    DEFAULT(o->max_arena_bytes, 256 * MIB);
    DEFAULT(o->memory_bytes, os_memory_limit(""));
    DEFAULT(o->max_total_bytes, half_of(o->memory_bytes));
    DEFAULT(o->max_connections, 4096);
    DEFAULT(o->head_timeout_ms, 10000);
    DEFAULT(o->body_timeout_ms, 10000);
    DEFAULT(o->idle_timeout_ms, 75000);
    DEFAULT(o->send_timeout_ms, 30000);
    DEFAULT(o->stop_timeout_ms, 400);
    DEFAULT(o->unix_mode, 0600);
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

/* ---- descriptors ----------------------------------------------------------------------------- */

/* What the server takes itself: each loop has one that waits and one that wakes it, its listeners, and one
 * that it has just accepted. */
static rlim_t own_descriptors(const struct http_server *s)
{
    rlim_t n = 0;

    for (unsigned i = 0; i < s->nloops; i++)
        n += 3 + s->loops[i].nlisteners;
    return n;
}

/* Connections never take the last descriptor: at as many as the system's limit leaves to them one makes
 * room for the next, as at the limit of the settings. */
static void leave_descriptors(struct http_server *s)
{
    unsigned wanted = s->opt.max_connections;
    struct rlimit files;

    s->max_passed_on = MAX_PASSED_ON;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    rlim_t kept = own_descriptors(s) + KEPT_FOR_OTHERS;
    rlim_t left = files.rlim_cur - MIN_OF(kept, files.rlim_cur);
    s->max_passed_on = (unsigned)MIN_OF(left / 8, (rlim_t)MAX_PASSED_ON);
    left = MAX_OF(left - s->max_passed_on, (rlim_t)LEAST_CONNECTIONS);
    if (left >= wanted)
        return;
    s->opt.max_connections = (unsigned)left;
    log_event(left > LEAST_CONNECTIONS ? LOG_WARN : LOG_ERROR, "http_few_descriptors",
              "limit=%ju kept=%ju connections=%u connection_limit=%u", (uintmax_t)files.rlim_cur,
              (uintmax_t)kept, s->opt.max_connections, wanted);
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
    s->opt.server_name = s->opt.redirect_host = NULL;
    fill_in(&s->opt);
    purse_init(&s->purse, NULL, s->opt.max_total_bytes, s->opt.max_total_bytes / 8);
    networks_init(&s->networks, &s->purse);
    if (options->hsts_seconds > 0)
        snprintf(s->hsts, sizeof s->hsts, "Strict-Transport-Security: max-age=%u%s\r\n",
                 options->hsts_seconds, options->hsts_subdomains ? "; includeSubDomains" : "");
    s->limits = (struct parse_limits){s->opt.max_head_bytes, s->opt.max_target_bytes};
    s->in_large_bytes = MAX_OF(s->opt.max_head_bytes, IN_SMALL_BYTES) + IN_LARGE_OVER;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->started, NULL);
    s->server_name = options->server_name != NULL ? strdup(options->server_name) : NULL;
    s->redirect_host = options->redirect_host != NULL ? strdup(options->redirect_host) : NULL;
    s->nbindings = options->nlisten;
    s->bindings = calloc((size_t)s->nbindings + 1, sizeof *s->bindings);
    s->probes = calloc((size_t)s->nbindings * 2 + 1, sizeof *s->probes);
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
        listen_remove(&s->bindings[i]);
        free(s->bindings[i].unix_path);
    }
    scarce_close(s);
    networks_fini(&s->networks);
    listen_close_probes(s);
    free(s->loops);
    free(s->bindings);
    free(s->probes);
    free(s->server_name);
    free(s->redirect_host);
    tls_tickets_free(s->tickets);
    pthread_cond_destroy(&s->started);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* A context for each loop, into `out`; none is left behind by an error. */
static enum err make_contexts(struct http_server *s, const struct tls_files *f,
                              struct tls_context **out, struct err_detail *d)
{
    CHECK(s->nloops > 0);
    for (unsigned i = 0; i < s->nloops; i++) {
        enum err e = tls_context_new(&out[i], f, s->tickets, d);
        if (e == OK)
            continue;
        while (i-- > 0)
            tls_context_release(out[i]);
        return e;
    }
    tls_context_log(out[0], f);
    return OK;
}

/* Reads the files and hands each loop its context. The loops run, or they have none yet. */
static enum err load_tls(struct http_server *s, const struct http_tls_options *o, os_read_fn *read,
                         struct err_detail *d)
{
    struct tls_context *made[MAX_LOOPS];
    struct tls_files *f = NULL;
    enum err e = tls_files_read(&f, o, read, d);

    if (e == OK)
        e = make_contexts(s, f, made, d);
    tls_files_free(f);
    for (unsigned i = 0; i < s->nloops && e == OK; i++)
        tls_context_release(atomic_exchange(&s->loops[i].next_tls, made[i]));
    return e;
}

/* What reads files. */
static enum err open_tls(struct http_server *s, const struct http_tls_options *o,
                         struct err_detail *d)
{
    enum err e;

    if (o->count == 0)
        return OK;
    e = tls_tickets_new(&s->tickets, d);
    return e == OK ? load_tls(s, o, os_read_file, d) : e;
}

/* What makes threads. */
static enum err open_loops(struct http_server *s, struct err_detail *d)
{
    enum err e = scarce_open(s) == OK ? OK : err_set(d, ERR_NOMEM, 0, "server");

    for (unsigned i = 0; i < s->nloops && e == OK; i++) {
        if (s->tickets != NULL)
            e = tls_pool_new(&s->loops[i].handshakes, d);
        if (e == OK)
            e = loop_open(&s->loops[i], d);
    }
    return e;
}

enum err http_server_reload_tls(struct http_server *s, const struct http_tls_options *o,
                                struct err_detail *detail)
{
    enum err e;

    if (s->tickets == NULL || o->count == 0)
        return err_set(detail, ERR_UNSUPPORTED, 0, "the server was started without TLS");
    e = load_tls(s, o, os_read_regular, detail);
    for (unsigned i = 0; i < s->nloops && e == OK; i++)
        loop_wake(&s->loops[i]);
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

/* Starts the threads and waits until each has reported. */
static enum err start_threads(struct http_server *s, struct err_detail *d)
{
    unsigned n = 0;
    enum err e = OK;

    for (; n < s->nloops && e == OK; n += e == OK) {
        e = thread_start(&s->loops[n].thread, loop_main, &s->loops[n]);
        s->loops[n].running = e == OK;
    }
    pthread_mutex_lock(&s->lock);
    while (s->nstarted < n)
        pthread_cond_wait(&s->started, &s->lock);
    unsigned failed = s->nfailed;
    pthread_mutex_unlock(&s->lock);
    if (e != OK)
        return err_set(d, e, 0, "a thread cannot be started");
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

enum err http_server_bind(struct http_server **out, const struct http_options *options,
                          struct err_detail *detail)
{
    struct http_server *s;
    enum err e = check_server_name(options->server_name, detail);

    if (e != OK)
        return e;
    s = server_new(options);
    if (s == NULL)
        return err_set(detail, ERR_NOMEM, 0, "server");
    if (s->bindings == NULL || s->probes == NULL || s->loops == NULL ||
        (options->server_name != NULL && s->server_name == NULL) ||
        (options->redirect_host != NULL && s->redirect_host == NULL))
        e = err_set(detail, ERR_NOMEM, 0, "server");
    if (e == OK)
        e = listen_all(s, options, detail);
    if (e == OK)
        e = open_tls(s, &options->tls, detail);
    if (e != OK) {
        server_free(s);
        return e;
    }
    *out = s;
    return OK;
}

enum err http_server_run(struct http_server *s, const struct http_app *app,
                         struct err_detail *detail)
{
    s->opt.app = *app;
    leave_descriptors(s);
    enum err e = listen_start(s, detail);
    if (e == OK)
        e = open_loops(s, detail);
    return e == OK ? start_threads(s, detail) : e;
}

enum err http_server_give(struct http_server *s, uid_t uid, gid_t gid, struct err_detail *detail)
{
    enum err e = OK;

    for (unsigned i = 0; i < s->nbindings && e == OK; i++)
        if (s->bindings[i].unix_path != NULL)
            e = listen_give(&s->bindings[i], uid, gid, detail);
    return e;
}

enum err http_server_start(struct http_server **out, const struct http_options *options,
                           struct err_detail *detail)
{
    struct http_server *s;
    enum err e = http_server_bind(&s, options, detail);

    if (e != OK)
        return e;
    e = http_server_run(s, &options->app, detail);
    if (e != OK) {
        http_server_stop(s);
        return e;
    }
    *out = s;
    return OK;
}

static bool loop_is_due(const struct loop *l, bool awake)
{
    struct pollfd events = {.fd = l->epoll_fd, .events = POLLIN};
    const struct timespec now = {0};

    if (!atomic_load_explicit(&l->asleep, memory_order_relaxed))
        return awake;
    return ppoll(&events, 1, &now, NULL) > 0; /* looks only: the loop gets them all the same */
}

bool server_has_loop_due(const struct http_server *s, bool awake)
{
    int cpu = sched_getcpu(); /* < 0: nobody knows; then whoever has run may be meant */
    bool due = false;

    for (unsigned i = 0; i < s->nloops && !due; i++)
        if (atomic_load_explicit(&s->loops[i].cpu, memory_order_relaxed) == cpu)
            due = loop_is_due(&s->loops[i], awake);
    return due;
}

bool http_server_turns(struct http_server *s)
{
    unsigned asked = atomic_load(&s->asked);
    bool all = true;

    for (unsigned i = 0; i < s->nloops && asked != 0; i++)
        all &= atomic_load(&s->loops[i].turned) == asked;
    if (!all) /* the same question stands */
        return false;
    atomic_store(&s->asked, asked + 1 != 0 ? asked + 1 : 1);
    for (unsigned i = 0; i < s->nloops; i++)
        loop_wake(&s->loops[i]);
    return true;
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
        listen_remove(&s->bindings[i]);
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
    out->memory_bytes = purse_taken(&s->purse);
    out->open_connections = atomic_load_explicit(&s->open_connections, memory_order_relaxed);
}
