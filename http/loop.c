/*
 * http/loop.c - one thread: its epoll set, its time-outs, its listening sockets, and the queue
 * through which other threads hand over what they have done.
 *
 * One turn: wait; look at the clock; events; arrivals; connections that had more to do than
 * one run allows; time-outs; free what was closed. Connections are freed only at the end of a turn,
 * because an event fetched earlier in it may still name them.
 *
 * Time-outs: one list a kind, each with one duration, so that the first of a list is always the
 * next to expire; starting and stopping cost a few pointers, and no heap or wheel is needed.
 *
 * Waking: an eventfd, edge-triggered and never read (its counter cannot overflow in practice), so a
 * wake-up costs the waker one write and the loop nothing but its return from epoll_wait. The queue
 * is a list under a mutex rather than lock-free: whoever pushes also wakes inside the lock, so that
 * when the loop has seen the last request no other thread is still about to touch the loop.
 *
 * Out of descriptors, and none that can be spared: the listening sockets leave the epoll set until a
 * connection closes, or for ACCEPT_RETRY_MS; level-triggered as they are, they would wake the loop for
 * nothing otherwise. The other loops are asked to spare one each.
 */
#include "base/clock.h"
#include "base/log.h"
#include "http/private.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_PER_TURN   256
#define ACCEPTS_PER_EVENT 64
#define ACCEPTS_AT_STOP   8192 /* more than a backlog holds; not without end */
#define ACCEPT_RETRY_MS   100
#define LINGER_MS         5000
#define SPARE_CHUNKS      32
#define NEVER             UINT64_MAX

/* ---- listening ------------------------------------------------------------------------------- */

static bool listener_watch(struct loop *l, struct listener *s)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};

    if (s->is_shared) /* every loop waits for the same socket; wake one of them */
        e.events |= EPOLLEXCLUSIVE;
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, s->fd, &e) == 0;
}

static void accept_pause(struct loop *l, int why)
{
    if (!l->accept_warned)
        log_event(LOG_WARN, "http_accept_paused", "errno=%d reason=\"%s\"", why, strerror(why));
    for (unsigned i = 0; i < l->nlisteners; i++)
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, l->listeners[i].fd, NULL);
    l->accept_paused = l->accept_warned = true;
    l->accept_retry_ms = l->now_ms + ACCEPT_RETRY_MS;
}

static void accept_again(struct loop *l)
{
    l->accept_paused = false;
    for (unsigned i = 0; i < l->nlisteners; i++)
        if (!listener_watch(l, &l->listeners[i])) {
            accept_pause(l, errno);
            return;
        }
}

void loop_conn_closed(struct loop *l)
{
    if (l->accept_paused)
        l->accept_retry_ms = l->now_ms;
}

/* Somebody who has connected, and for whom no place was found on the loop that accepted him. He goes from
 * loop to loop, to the first that can spare somebody. */
struct newcomer {
    struct arrival arrival;
    struct loop *loop; /* that is asked now */
    unsigned asked;    /* so many were */
    int fd;
    enum use use;
    struct network *network;
    char peer[INET6_ADDRSTRLEN];
};

static bool find_place(struct loop *l, const struct network *network)
{
    struct http_server *s = l->server;
    unsigned open = atomic_fetch_add_explicit(&s->open_connections, 1, memory_order_relaxed);

    if (open < s->opt.max_connections || scarce_make_room(l, network, SCARCE_CONNECTIONS))
        return true;
    atomic_fetch_sub_explicit(&s->open_connections, 1, memory_order_relaxed);
    return false;
}

static void turn_away(struct http_server *s, int fd, struct network *network)
{
    network_leave(&s->networks, network);
    close(fd);
}

/* False: all have been asked, or the server stops: then nobody may wait for a loop that has ended. */
static bool pass_on(struct newcomer *n)
{
    struct http_server *s = n->loop->server;

    if (++n->asked >= s->nloops || atomic_load(&s->stopping))
        return false;
    n->loop = &s->loops[(n->loop->index + 1) % s->nloops];
    loop_post(n->loop, &n->arrival);
    return true;
}

static void newcomer_free(struct newcomer *n)
{
    atomic_fetch_sub_explicit(&n->loop->server->passed_on, 1, memory_order_relaxed);
    free(n);
}

static void newcomer_arrived(struct arrival *a)
{
    struct newcomer *n = CONTAINER_OF(a, struct newcomer, arrival);
    struct http_server *s = n->loop->server;

    if (!atomic_load(&s->stopping) && find_place(n->loop, n->network))
        conn_open(n->loop, n->fd, n->peer, n->network, n->use);
    else if (pass_on(n))
        return;
    else
        turn_away(s, n->fd, n->network);
    newcomer_free(n);
}

/* False: he cannot be passed on, and is still the caller's. */
static bool try_others(struct loop *l, int fd, const char *peer, struct network *network,
                       enum use use)
{
    struct http_server *s = l->server;
    struct newcomer *n;

    if (atomic_fetch_add_explicit(&s->passed_on, 1, memory_order_relaxed) < s->max_passed_on &&
        s->nloops > 1 && (n = malloc(sizeof *n)) != NULL) {
        *n = (struct newcomer){{NULL, newcomer_arrived}, l, 0, fd, use, network, ""};
        snprintf(n->peer, sizeof n->peer, "%s", peer);
        if (pass_on(n))
            return true;
        free(n);
    }
    atomic_fetch_sub_explicit(&s->passed_on, 1, memory_order_relaxed);
    return false;
}

static void accepted(struct loop *l, const struct listener *s, int fd, const struct net_address *a)
{
    struct http_server *server = l->server;
    struct network *network;
    char peer[INET6_ADDRSTRLEN];

    net_address_text(a, peer);
    network = network_enter(&server->networks, str_from(peer), server->opt.max_network_connections);
    if (network == NULL)
        close(fd);
    else if (find_place(l, network))
        conn_open(l, fd, peer, network, s->use);
    else if (!try_others(l, fd, peer, network, s->use))
        turn_away(server, fd, network);
}

/* Errors of one connection, gone before it was accepted, say nothing about the next one. */
static bool is_passing(int e)
{
    return e == EINTR || e == ECONNABORTED || e == EPROTO || e == EPERM || e == ENETDOWN ||
           e == ENOPROTOOPT || e == EHOSTDOWN || e == ENONET || e == EHOSTUNREACH ||
           e == ENETUNREACH;
}

/* Out of descriptors, although some are kept (server.c): the whole system is, or somebody set another limit
 * since. It is the same as when there are too many connections. (The system says so before it looks whether
 * anybody waits.) */
static bool is_full(int e)
{
    return e == EMFILE || e == ENFILE;
}

/* Accepts up to `most` connections. */
static void accept_some(struct loop *l, const struct listener *s, unsigned most)
{
    for (unsigned i = 0; i < most; i++) {
        struct net_address a = {.n = sizeof a.sa};
        int fd = accept4(s->fd, &a.sa.any, &a.n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int e = fd < 0 ? errno : 0;
        if (fd >= 0) {
            l->accept_warned = false;
            accepted(l, s, fd, &a);
        } else if (e == EAGAIN || e == EWOULDBLOCK || (is_full(e) && i > 0)) {
            return; /* full: nobody may be waiting, else there will be another event */
        } else if (is_full(e) && scarce_make_room(l, NULL, SCARCE_CONNECTIONS)) {
            most = 2; /* in its place the one who waits, and nobody else */
        } else if (!is_passing(e)) {
            if (is_full(e))
                loop_ask_others(l, SCARCE_CONNECTIONS);
            accept_pause(l, e);
            return;
        }
    }
}

/* ---- time-outs ------------------------------------------------------------------------------- */

void loop_timer_start(struct conn *c, enum timer_kind kind)
{
    struct loop *l = c->loop;

    c->timer_kind = kind;
    c->deadline_ms = l->now_ms + l->timer_ms[kind];
    c->due = l->timer_bytes[kind];
    list_push(&l->timers[kind], &c->timer);
}

void loop_timer_stop(struct conn *c)
{
    list_remove(&c->timer);
    c->timer_kind = TIMER_NONE;
}

static struct conn *timer_first(struct loop *l, int kind)
{
    return list_empty(&l->timers[kind]) ? NULL
                                        : LIST_ENTRY(l->timers[kind].next, struct conn, timer);
}

static void run_timers(struct loop *l)
{
    struct conn *c;

    for (int kind = TIMER_NONE + 1; kind < TIMERS; kind++)
        while ((c = timer_first(l, kind)) != NULL && c->deadline_ms <= l->now_ms)
            conn_timed_out(c); /* it leaves the list first of all */
}

/* Milliseconds until something must be done without an event; -1: nothing. */
static int next_turn_ms(struct loop *l)
{
    uint64_t at = l->accept_paused ? l->accept_retry_ms : NEVER;

    at = MIN_OF(at, scarce_next_ms(l));
    if (!list_empty(&l->ready))
        return 0;
    if (l->stopping && !l->cut)
        at = MIN_OF(at, l->stop_deadline_ms);
    for (int kind = TIMER_NONE + 1; kind < TIMERS; kind++) {
        const struct conn *c = timer_first(l, kind);
        if (c != NULL)
            at = MIN_OF(at, c->deadline_ms);
    }
    if (at == NEVER)
        return -1;
    return at <= l->now_ms ? 0 : (int)MIN_OF(at - l->now_ms, (uint64_t)INT_MAX);
}

/* ---- the queues ------------------------------------------------------------------------------ */

void loop_wake(struct loop *l)
{
    uint64_t one = 1;
    ssize_t r;

    do
        r = write(l->wake_fd, &one, sizeof one);
    while (r < 0 && errno == EINTR);
}

/* The loop is woken with the lock free: on one processor it would run at once, only to wait for that. What was posted
 * may be done with, and the loop at its end, before it is woken: it stays as long as anybody is in here. */
void loop_post(struct loop *l, struct arrival *a)
{
    atomic_fetch_add(&l->posting, 1);
    pthread_mutex_lock(&l->lock);
    bool first = l->arrived_head == NULL;
    a->next = NULL;
    *l->arrived_tail = a;
    l->arrived_tail = &a->next;
    pthread_mutex_unlock(&l->lock);
    if (first) /* else the loop has been woken and not yet been here */
        loop_wake(l);
    atomic_fetch_sub(&l->posting, 1);
}

static void spare_asked(struct arrival *a)
{
    struct loop *l = CONTAINER_OF(a, struct loop, spare);
    unsigned what = atomic_exchange(&l->spare_for, 0);

    if (what & 1u << SCARCE_CONNECTIONS)
        (void)scarce_make_room(l, NULL, SCARCE_CONNECTIONS);
    if (what & 1u << SCARCE_MEMORY)
        (void)scarce_make_room(l, NULL, SCARCE_MEMORY);
}

void loop_ask_others(struct loop *l, enum scarce what)
{
    for (unsigned i = 0; i < l->server->nloops; i++) {
        struct loop *other = &l->server->loops[i];
        if (other != l && atomic_fetch_or(&other->spare_for, 1u << what) == 0)
            loop_post(other, &other->spare); /* else it is in the queue already */
    }
}

static void run_arrivals(struct loop *l)
{
    struct arrival *a, *next;

    pthread_mutex_lock(&l->lock);
    a = l->arrived_head;
    l->arrived_head = NULL;
    l->arrived_tail = &l->arrived_head;
    pthread_mutex_unlock(&l->lock);
    for (; a != NULL; a = next) {
        next = a->next; /* what it is part of may be something else's behind the call */
        a->arrive(a);
    }
}

void loop_make_ready(struct conn *c)
{
    list_remove(&c->ready); /* it may be there already */
    list_push(&c->loop->ready, &c->ready);
}

/* Those that are ready now; who becomes ready again waits for the next turn. */
static void run_ready(struct loop *l)
{
    struct list_node now, *n;

    list_init(&now);
    while ((n = list_pop(&l->ready)) != NULL)
        list_push(&now, n);
    while ((n = list_pop(&now)) != NULL) /* one that runs may close another one */
        conn_run(LIST_ENTRY(n, struct conn, ready));
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void each_conn(struct loop *l, void (*fn)(struct conn *c))
{
    struct list_node *next;

    for (struct list_node *n = l->conns.next; n != &l->conns; n = next) {
        next = n->next; /* fn may close this one, and no other */
        fn(LIST_ENTRY(n, struct conn, all));
    }
}

static void close_listeners(struct loop *l)
{
    for (unsigned i = 0; i < l->nlisteners; i++)
        close(l->listeners[i].fd);
    l->nlisteners = 0;
    l->accept_paused = false;
}

/* Who has connected already is still served; then the port is free. */
static void begin_stop(struct loop *l)
{
    for (unsigned i = 0; i < l->nlisteners; i++)
        accept_some(l, &l->listeners[i], ACCEPTS_AT_STOP);
    close_listeners(l);
    l->stopping = true;
    l->stop_deadline_ms = l->now_ms + l->server->opt.stop_timeout_ms;
    each_conn(l, conn_stop);
}

static void check_stop(struct loop *l)
{
    if (!l->stopping && atomic_load(&l->server->stopping))
        begin_stop(l);
    if (l->stopping && !l->cut && l->now_ms >= l->stop_deadline_ms) {
        l->cut = true;
        if (l->handshakes != NULL)
            pool_stop(l->handshakes); /* those that wait are for nobody now */
        each_conn(l, conn_close);
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void run_events(struct loop *l, const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        void *p = events[i].data.ptr;
        switch (*(enum source *)p) {
        case SOURCE_WAKE:
            run_arrivals(l);
            break;
        case SOURCE_LISTENER:
            accept_some(l, p, ACCEPTS_PER_EVENT);
            break;
        case SOURCE_CONN:
            conn_event(p, events[i].events);
            break;
        }
    }
}

/* Connections that are open stay with the context that they began with. Nobody else takes the next one away;
 * it may have become a later one. */
static void adopt_tls(struct loop *l)
{
    if (atomic_load_explicit(&l->next_tls, memory_order_relaxed) == NULL)
        return;
    tls_context_release(l->tls);
    l->tls = atomic_exchange(&l->next_tls, NULL);
}

static int wait_for_events(struct loop *l, struct epoll_event *events)
{
    int ms = next_turn_ms(l), n = 0;

    atomic_store_explicit(&l->asleep, true, memory_order_relaxed);
    if (l->look.ns > 0 && ms != 0)
        n = look_for_events(&l->look, l->epoll_fd, events, EVENTS_PER_TURN);
    if (n == 0)
        n = epoll_wait(l->epoll_fd, events, EVENTS_PER_TURN, ms);
    CHECK(n >= 0 || errno == EINTR);
    atomic_store_explicit(&l->asleep, false, memory_order_relaxed);
    return n;
}

static void one_turn(struct loop *l)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = wait_for_events(l, events);

    atomic_store_explicit(&l->cpu, sched_getcpu(), memory_order_relaxed);

    l->now_ms = clock_mono_ms();
    send_clock(l);
    adopt_tls(l);
    run_events(l, events, n);
    run_ready(l);
    run_timers(l);
    scarce_check(l);
    check_stop(l);
    if (l->server->opt.app.turn_end != NULL) /* behind all that may have handled a request */
        l->look.ns = l->server->opt.app.turn_end(l->ctx);
    if (l->accept_paused && l->now_ms >= l->accept_retry_ms)
        accept_again(l);
    conn_free_dead(l);
    atomic_store_explicit(&l->turned, atomic_load(&l->server->asked), memory_order_relaxed);
}

void *loop_main(void *arg)
{
    struct loop *l = arg;
    const struct http_app *app = &l->server->opt.app;
    bool ok = true;

    if (app->loop_start != NULL) {
        l->ctx = app->loop_start(app->ctx, l->index);
        ok = l->ctx != NULL;
    }
    server_loop_started(l->server, ok);
    if (!ok) {
        close_listeners(l);
        return NULL;
    }
    l->now_ms = clock_mono_ms();
    adopt_tls(l);
    while (!l->stopping || !list_empty(&l->conns))
        one_turn(l);
    if (app->loop_stop != NULL)
        app->loop_stop(l->ctx);
    return NULL;
}

/* ---- making and releasing -------------------------------------------------------------------- */

static size_t bytes_due(unsigned rate, unsigned ms)
{
    return MAX_OF((size_t)1, (size_t)((uint64_t)rate * ms / 1000));
}

static void init_lists(struct loop *l)
{
    const struct http_options *o = &l->server->opt;

    list_init(&l->conns);
    list_init(&l->ready);
    list_init(&l->dead);
    list_init(&l->free_conns);
    for (int kind = 0; kind < TIMERS; kind++)
        list_init(&l->timers[kind]);
    l->timer_ms[TIMER_IDLE] = o->idle_timeout_ms;
    l->timer_ms[TIMER_HEAD] = o->head_timeout_ms;
    l->timer_ms[TIMER_BODY] = o->body_timeout_ms;
    l->timer_ms[TIMER_SEND] = o->send_timeout_ms;
    l->timer_ms[TIMER_LINGER] = LINGER_MS;
    l->timer_bytes[TIMER_BODY] = bytes_due(o->min_rate, o->body_timeout_ms);
    l->timer_bytes[TIMER_SEND] = bytes_due(o->min_rate, o->send_timeout_ms);
    l->arena_spares.max_chunks = SPARE_CHUNKS;
}

static bool watch_all(struct loop *l)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = &l->wake_source};

    l->wake_source = SOURCE_WAKE;
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &e) < 0)
        return false;
    for (unsigned i = 0; i < l->nlisteners; i++)
        if (!listener_watch(l, &l->listeners[i]))
            return false;
    return true;
}

void loop_prepare(struct loop *l, struct http_server *s, unsigned index)
{
    l->server = s;
    l->index = index;
    l->epoll_fd = l->wake_fd = -1;
    l->arrived_tail = &l->arrived_head;
    l->spare.arrive = spare_asked;
    pthread_mutex_init(&l->lock, NULL);
    init_lists(l);
}

enum err loop_open(struct loop *l, struct err_detail *d)
{
    l->out = malloc(OUT_BYTES);
    if (l->out == NULL)
        return err_set(d, ERR_NOMEM, 0, "event loop");
    l->cpu = -1; /* none yet */
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll_fd < 0 || l->wake_fd < 0 || !watch_all(l))
        return err_set(d, err_from_errno(errno), errno, "event loop");
    return OK;
}

void loop_fini(struct loop *l)
{
    close_listeners(l);
    free(l->listeners);
    while (atomic_load(&l->posting) > 0)
        sched_yield();
    run_arrivals(l); /* newcomers that came too late */
    conn_free_spares(l);
    exchange_free_spares(l);
    arena_spares_fini(&l->arena_spares);
    tls_context_release(atomic_load(&l->next_tls));
    tls_context_release(l->tls);
    pool_free(l->handshakes);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    pthread_mutex_destroy(&l->lock);
    free(l->out);
}
