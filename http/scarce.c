/*
 * http/scarce.c - when there is too little for all: who makes room for the next one, who is ended when
 * memory is short, and that memory goes back to the system when it is short no more.
 *
 * Each loop looks at its own connections only. Who finds nobody there goes on to the next loop (loop.c).
 */
#include "base/log.h"
#include "http/private.h"

#include <malloc.h>

#define SPARE_LOOKS    32         /* so many of a kind are looked at for one that can be spared */
#define MANY_LOOKS     4096       /* and so many to find them, and for the slowest */
#define SLOW_MS        1000       /* nobody is slow before */
#define SLOW_RATE      (16 * KIB) /* bytes/second: a body or an answer that is in the way of others */
#define TELL_AGAIN_MS  10000      /* of memory that is short */
#define SHORT_CHECK_MS 100
#define SLACK_BYTES    (8 * MIB) /* less is not worth it */
#define SLACK_PART     4         /* nor if more than this part is in use */
#define SLACK_WAIT_MS  2000      /* perhaps it is needed again */

/* ---- room for the next one --------------------------------------------------------------- */

/* Who asks for room, and what may go for him. */
struct need {
    enum scarce what;
    const struct network *only; /* of this network alone; NULL: of any */
};

static bool is_spare(const struct conn *c, const struct need *need)
{
    if ((c->state == CONN_CRYPTO && !tls_waits(c)) ||
        (need->only != NULL && c->network != need->only))
        return false;
    return need->what != SCARCE_MEMORY || purse_holds(&c->held) > 0;
}

/* Of those that have waited longest with one kind of time-out, the first of the network that has most
 * connections, `least` of them or more; NULL: none has. */
static struct conn *spare_of(struct loop *l, enum timer_kind kind, unsigned least,
                             const struct need *need)
{
    struct conn *found = NULL;
    unsigned looks = 0, spares = 0;

    LIST_EACH(&l->timers[kind], n)
    {
        struct conn *c = LIST_ENTRY(n, struct conn, timer);
        unsigned has = network_connections(c->network);
        if (spares == SPARE_LOOKS || looks++ == MANY_LOOKS)
            break;
        if (!is_spare(c, need))
            continue;
        spares++;
        if (has < least || (found != NULL && has <= network_connections(found->network)))
            continue;
        found = c;
    }
    return found;
}

/* Bytes of the body that comes, or of the response that goes. */
static uint64_t moved(const struct conn *c)
{
    return c->state == CONN_BODY ? c->received : c->sent - c->phase_sent;
}

/* Of those with this time-out who have been served for half of it, and slowly, the slowest one of a network
 * with `least` connections or more. */
static struct conn *slowest_of(struct loop *l, enum timer_kind kind, unsigned least)
{
    struct conn *found = NULL;
    uint64_t rate = SLOW_RATE;
    unsigned looks = 0;

    LIST_EACH(&l->timers[kind], n)
    {
        struct conn *c = LIST_ENTRY(n, struct conn, timer);
        uint64_t age = l->now_ms - c->phase_ms, its = moved(c) * 1000 / MAX_OF(age, (uint64_t)1);
        if (looks++ == MANY_LOOKS)
            break;
        if (age < l->timer_ms[kind] / 2 || its >= rate || network_connections(c->network) < least)
            continue;
        found = c;
        rate = its;
    }
    return found;
}

/*
 * Whoever is in already and does nothing, or has not said what he wants, makes room for the next one: so
 * many strangers who only hold connections do not lock everybody else out. In this order, but rather one
 * whose network has more than twice as many connections. Nobody makes room for a network that has more than
 * his own, and who is being served only for one that has at most half as many, or if that has gone on
 * slowly for long: else as many networks as there are connections could keep them all for little. A
 * handshake that is being computed is not spared any more: what it costs has been spent; one that waits for
 * that is. For memory only who holds some; and if it is the network's own share that is used up, only who
 * is of it, too.
 */
static struct conn *find_spare(struct loop *l, const struct network *network, enum scarce what)
{
    static const struct {
        enum timer_kind kind;
        unsigned times;
    } order[] = {
        {TIMER_LINGER, 1}, {TIMER_IDLE, 1}, {TIMER_HEAD, 1}, {TIMER_BODY, 2}, {TIMER_SEND, 2}};
    unsigned has = network != NULL ? network_connections(network) : 1; /* the new one, too */
    bool own =
        what == SCARCE_MEMORY && network != NULL && !purse_has(&network->purse, TLS_SESSION_BYTES);
    const struct need need = {what, own ? network : NULL};
    struct conn *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        unsigned least = order[i].times == 1 ? has - 1 : 2 * has;
        struct conn *c =
            network == NULL && order[i].times > 1 ? NULL : spare_of(l, order[i].kind, least, &need);
        if (c != NULL && (found == NULL || network_connections(c->network) / 2 >
                                               network_connections(found->network)))
            found = c;
    }
    for (enum timer_kind kind = TIMER_BODY;
         found == NULL && network != NULL && !own && kind <= TIMER_SEND; kind++)
        found = slowest_of(l, kind, has - 1);
    return found;
}

bool scarce_make_room(struct loop *l, const struct network *network, enum scarce what)
{
    struct conn *found;

    while ((found = find_spare(l, network, what)) != NULL) {
        log_event(LOG_DEBUG, "http_made_room", "peer=%s state=%s", found->peer,
                  conn_state_name(found));
        conn_close(found);
        if (found->fd < 0)
            return true; /* else its handshake has just been begun with: it closes behind that */
    }
    return false;
}

/* ---- memory that is short ---------------------------------------------------------------- */

/* Bytes held, times milliseconds, for each byte that moved: what a request costs the others. 0: it is
 * not to be ended for that. */
static double cost_of(const struct conn *c)
{
    uint64_t age = c->loop->now_ms - c->phase_ms;

    if (c->ex == NULL || age < SLOW_MS || purse_holds(&c->held) <= PURSE_LIGHT_BYTES)
        return 0;
    return (double)purse_holds(&c->held) * (double)age / (double)(moved(c) + 1);
}

static struct conn *costliest(struct loop *l, enum timer_kind kind)
{
    struct conn *found = NULL;
    double most = 0;
    unsigned looks = 0;

    LIST_EACH(&l->timers[kind], n)
    {
        struct conn *c = LIST_ENTRY(n, struct conn, timer);
        double cost = cost_of(c);
        if (cost > most) {
            most = cost;
            found = c;
        }
        if (++looks == MANY_LOOKS)
            break;
    }
    return found;
}

/* In the log not of each one: who makes memory short would fill the log, too. */
void scarce_tell(const struct conn *c)
{
    struct loop *l = c->loop;
    bool again = l->short_told_ms != 0 && l->now_ms - l->short_told_ms < TELL_AGAIN_MS;

    log_event(again ? LOG_DEBUG : LOG_WARN, "http_memory_short",
              "peer=%s state=%s holds=%zu moved=%llu ms=%llu", c->peer, conn_state_name(c),
              purse_holds(&c->held), (unsigned long long)moved(c),
              (unsigned long long)(l->now_ms - c->phase_ms));
    if (!again)
        l->short_told_ms = l->now_ms;
}

static void cut_slowest(struct loop *l)
{
    struct conn *body = costliest(l, TIMER_BODY), *reader = costliest(l, TIMER_SEND);
    bool is_reader = reader != NULL && (body == NULL || cost_of(reader) > cost_of(body));
    struct conn *c = is_reader ? reader : body;

    if (c == NULL)
        return;
    scarce_tell(c);
    if (is_reader) {
        conn_close(c);
        return;
    }
    loop_timer_stop(c);
    receive_no_memory(c);
    conn_run(c);
}

/* More than three quarters of the memory that requests share are taken: one that is slow is ended, while
 * there is still some for those that are not. */
static bool is_short(const struct loop *l)
{
    const struct purse *p = &l->server->purse;

    return purse_taken(p) > p->most / 4 * 3;
}

/* ---- memory that is not needed any more ------------------------------------------------------ */

/*
 * Thousands of connections at once leave a heap with some small things in it that live on (places for
 * connections, say) between free space of hundreds of megabytes. malloc keeps that for the process, for ever.
 * To give it back takes a third of a millisecond for a megabyte, so a thread does it, and only when the
 * crowd has been gone for a while.
 */

static void give_back(struct pool_job *job, bool dropped)
{
    struct slack *s = CONTAINER_OF(job, struct slack, job);

    if (!dropped)
        (void)malloc_trim(0);
    atomic_store(&s->at_work, false);
}

enum err scarce_open(struct http_server *s)
{
    const struct pool_options o = {.threads = 1, .max_jobs = 1, .max_a_lane = 1, .niceness = 19};

    s->slack.job.run = give_back;
    return pool_new(&s->slack.pool, &o);
}

void scarce_close(struct http_server *s)
{
    pool_free(s->slack.pool);
    s->slack.pool = NULL;
}

/* How much has been released since the heap was seen to. */
static bool has_slack(struct slack *s, size_t taken)
{
    size_t most = atomic_load_explicit(&s->most, memory_order_relaxed);

    if (taken > most) /* what another loop saw meanwhile is no matter: it will see it again */
        atomic_store_explicit(&s->most, taken, memory_order_relaxed);
    return most >= SLACK_BYTES && taken < most / SLACK_PART;
}

/* One loop is enough. */
static void see_to_heap(struct slack *s, size_t taken)
{
    size_t most;

    if (atomic_exchange(&s->at_work, true))
        return; /* what has been released since it began is for the next time */
    most = atomic_exchange(&s->most, taken);
    if (most >= SLACK_BYTES && pool_submit(s->pool, &s->job, 0) == OK)
        return;
    atomic_store(&s->most, most);
    atomic_store(&s->at_work, false);
}

static void check_slack(struct loop *l)
{
    struct slack *s = &l->server->slack;
    size_t taken = purse_taken(&l->server->purse);

    if (!has_slack(s, taken)) {
        l->slack_ms = 0;
    } else if (l->slack_ms == 0) {
        l->slack_ms = l->now_ms;
    } else if (l->now_ms - l->slack_ms >= SLACK_WAIT_MS) {
        l->slack_ms = 0;
        see_to_heap(s, taken);
    }
}

/* ---- now and then ---------------------------------------------------------------------------- */

uint64_t scarce_next_ms(const struct loop *l)
{
    uint64_t at = l->slack_ms != 0 ? l->slack_ms + SLACK_WAIT_MS : UINT64_MAX;

    return is_short(l) && !list_empty(&l->conns) ? MIN_OF(at, l->short_checked_ms + SHORT_CHECK_MS)
                                                 : at;
}

/* Who makes room looks at many connections: not in each turn. */
void scarce_check(struct loop *l)
{
    check_slack(l);
    if (UNLIKELY(is_short(l)) && l->now_ms - l->short_checked_ms >= SHORT_CHECK_MS) {
        l->short_checked_ms = l->now_ms;
        cut_slowest(l);
    }
}
