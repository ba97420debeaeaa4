/*
 * plugins/outbox.c - the outbox: objects of the list ("mail", ""), which no endpoint shows.
 *     {"from","to","subject","body", "expires": ms, "tries": n, "next": ms, not before that}
 *
 * An attempt begins with putting the mail off, each time twice as long: who cannot write that down does
 * not send. A mail that was sent, or that the server refuses, is forgotten without a tombstone; what
 * else goes wrong with it leaves it put off. When it is the server (it cannot be reached, does not let us
 * in, does not like the sender) nothing else is tried for a while.
 */
#include "plugins/outbox.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/thread.h"
#include "http/smtp.h"
#include "plugins/private.h"

#define ROUND          20 /* mails that are looked at together */
#define MAX_WAITING    10000
#define FIRST_PAUSE_MS INT64_C(1000)
#define LAST_PAUSE_MS  (INT64_C(15) * 60 * 1000)
#define ARENA_BYTES    (16 * MIB)

struct outbox {
    struct store_thread *reader;
    struct http_trust *trust;
    struct smtp_settings smtp;
    pthread_t thread;
    bool running, readonly;
    struct http_cancel cancel;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, added, asleep; /* under the lock; asleep: the thread has nothing to do */
    /* The thread's: how long the server is left alone, which could not be reached, or 0; and whether
     * there are mails at all. */
    int64_t pause_ms;
    bool any;
};

static const struct store_list_id mails = {STR_INIT("mail"), STR_INIT("")};

/* ---- adding ---------------------------------------------------------------------------------- */

static void wake(void *ctx)
{
    struct outbox *o = ctx;
    pthread_mutex_lock(&o->lock);
    o->added = true;
    pthread_cond_signal(&o->wake);
    pthread_mutex_unlock(&o->lock);
}

static enum err set_text(struct arena *a, struct json *mail, const char *name, str value)
{
    return json_set(a, mail, str_from(name), json_new_string(a, value));
}

static enum err set_number(struct arena *a, struct json *mail, const char *name, int64_t value)
{
    return json_set(a, mail, str_from(name), json_new_i64(a, value));
}

static str subject_of(str text)
{
    size_t n = 0;
    while (n < text.n && (unsigned char)text.p[n] >= ' ')
        n++;
    if (n > OUTBOX_MAX_SUBJECT)
        for (n = OUTBOX_MAX_SUBJECT; n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80; n--)
            ; /* not inside a character */
    return str_sub(text, 0, n);
}

static enum err fill(struct arena *a, struct json *json, const struct outbox_mail *mail)
{
    int64_t now = clock_wall_ms();
    enum err e = set_text(a, json, "from", mail->from);
    if (e == OK)
        e = set_text(a, json, "to", mail->to);
    if (e == OK)
        e = set_text(a, json, "subject", subject_of(mail->subject));
    if (e == OK)
        e = set_text(a, json, "body", mail->body);
    if (e == OK)
        e = set_number(a, json, "expires", now + mail->ttl_ms);
    if (e == OK)
        e = set_number(a, json, "tries", 0);
    return e == OK ? set_number(a, json, "next", now) : e;
}

static enum err put_mail(struct outbox *o, struct api_req *r, str id,
                         const struct outbox_mail *mail)
{
    struct arena *a = api_arena(r);
    struct store_object ignored;
    struct json *json = json_new_object(a);
    enum err e = json ? fill(a, json, mail) : ERR_NOMEM;
    if (e != OK)
        return e;
    const struct store_put put = {.id = id, .data = json};
    e = store_put(api_session(r), a, mails, &put, &ignored);
    return e == OK ? api_after_commit(r, wake, o) : e;
}

static enum err find_room(struct api_req *r)
{
    const struct store_query all = {.limit = 1, .want_total = true};
    struct store_result waiting;
    enum err e = store_query(api_session(r), api_arena(r), mails, &all, &waiting);
    if (e != OK)
        return e;
    return waiting.total >= MAX_WAITING ? ERR_AGAIN : OK;
}

enum err outbox_add(struct outbox *o, struct api_req *r, const struct outbox_mail *mail)
{
    char id[37];
    enum err e = find_room(r);
    rand_uuid4(id);
    return e == OK ? put_mail(o, r, str_from(id), mail) : e;
}

enum err outbox_add_none(struct outbox *o, struct api_req *r)
{
    static const struct outbox_mail nothing = {STR_INIT(""), STR_INIT(""), STR_INIT(""),
                                               STR_INIT(""), -1};
    enum err e = find_room(r);
    return e == OK ? put_mail(o, r, STR("none"), &nothing) : e; /* in the place of the one before */
}

/* ---- forgetting ------------------------------------------------------------------------------ */

#define FORGOTTEN_AT_ONCE 16

static enum err forget_some(struct api_req *r, str to, bool *more)
{
    struct arena *a = api_arena(r);
    struct store_result found;
    const struct store_filter of = {STR("to"), STORE_EQ, json_new_string(a, to)};
    const struct store_query q = {.filters = &of, .nfilters = 1, .limit = FORGOTTEN_AT_ONCE};
    enum err e = of.value ? store_query(api_session(r), a, mails, &q, &found) : ERR_NOMEM;
    if (e != OK)
        return e;
    for (size_t i = 0; i < found.count && e == OK; i++)
        e = store_forget(api_session(r), a, mails, found.objects[i].id);
    *more = found.more;
    return e;
}

enum err outbox_forget(struct api_req *r, str to)
{
    enum err e = OK;
    for (bool more = true; more && e == OK;) {
        struct arena_mark mark = arena_mark(api_arena(r));
        e = forget_some(r, to, &more);
        arena_release(api_arena(r), mark);
    }
    return e;
}

static bool is_stopping(struct outbox *o)
{
    pthread_mutex_lock(&o->lock);
    bool stop = o->stop;
    pthread_mutex_unlock(&o->lock);
    return stop;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Those that may be tried now, the oldest first: copies. *any: there are some at all. */
static enum err find_due(struct outbox *o, struct arena *a, struct store_result *due)
{
    struct store_session *s;
    struct store_result found;
    due->count = 0;
    o->any = true; /* for all that is known */
    enum err e = store_read_begin(o->reader, a, &s);
    if (e != OK)
        return e;
    const struct store_filter filter = {STR("next"), STORE_MAX, json_new_i64(a, clock_wall_ms())};
    const struct store_sort order = {STR("last_modified"), false};
    const struct store_query one = {.limit = 1}, q = {.filters = &filter,
                                                      .nfilters = 1,
                                                      .sort = &order,
                                                      .nsort = 1,
                                                      .limit = ROUND};
    e = filter.value ? store_query(s, a, mails, &one, &found) : ERR_NOMEM;
    o->any = e != OK || found.count > 0;
    if (e == OK)
        e = store_query(s, a, mails, &q, due);
    for (size_t i = 0; e == OK && i < due->count; i++) { /* it lies in the session */
        due->objects[i].id = arena_str(a, due->objects[i].id);
        due->objects[i].data = arena_str(a, due->objects[i].data);
    }
    store_read_end(s);
    return e == OK && arena_failed(a) ? ERR_NOMEM : e;
}

/* ---- one mail -------------------------------------------------------------------------------- */

struct letter {
    struct arena *arena;
    str id;
    struct json *json;
};

/* Forgets it. */
static enum err forget(struct outbox *o, const struct letter *l)
{
    struct store_session *s;
    enum err e = store_write_wait(o->reader, l->arena, &s);
    if (e != OK)
        return e;
    e = store_forget(s, l->arena, mails, l->id);
    if (e == OK)
        return store_commit_wait(s);
    store_abort(s);
    return e == ERR_NOTFOUND ? OK : e; /* deleted meanwhile: everything was flushed */
}

static int64_t later(int64_t tries)
{
    int64_t pause = FIRST_PAUSE_MS;
    for (int64_t i = 0; i < tries && pause < LAST_PAUSE_MS; i++)
        pause *= 2;
    return MIN_OF(pause, LAST_PAUSE_MS);
}

/* NOTFOUND: it has been deleted. */
static enum err put_off_in(struct store_session *s, const struct letter *l)
{
    struct store_object ignored;
    int64_t tries = json_get_i64(l->json, STR("tries"), 0);
    const struct store_put put = {.id = l->id, .data = l->json};
    enum err e = store_get(s, l->arena, mails, l->id, &ignored);
    if (e == OK)
        e = set_number(l->arena, l->json, "next", clock_wall_ms() + later(tries));
    if (e == OK)
        e = set_number(l->arena, l->json, "tries", tries + 1);
    return e == OK ? store_put(s, l->arena, mails, &put, &ignored) : e;
}

/* As if the attempt that now begins had failed. */
static enum err put_off(struct outbox *o, const struct letter *l)
{
    struct store_session *s;
    enum err e = store_write_wait(o->reader, l->arena, &s);
    if (e != OK)
        return e;
    e = put_off_in(s, l);
    if (e == OK)
        return store_commit_wait(s);
    store_abort(s);
    return e;
}

/* Not what it said; but the server's words may name whom it was for. */
static void tell(enum log_level level, const char *event, const struct letter *l,
                 const struct err_detail *d)
{
    log_event(level, event, "id=" STR_FMT " tries=%lld what=\"%s\"", STR_ARG(l->id),
              (long long)json_get_i64(l->json, STR("tries"), 0), d->text);
}

/* The attempt has ended in `e`. OK: on to the next mail. */
static enum err judge(struct outbox *o, struct letter *l, enum err e, enum smtp_stage stage,
                      const struct err_detail *d)
{
    if (e == OK)
        return forget(o, l);
    if (is_stopping(o))
        return e;
    if (stage == SMTP_AT_SERVER) {
        tell(LOG_WARN, "mail_server", l, d);
        return e;
    }
    if (e == ERR_SYNTAX || e == ERR_REFUSED || e == ERR_LIMIT) {
        tell(LOG_ERROR, "mail_refused", l, d);
        return forget(o, l);
    }
    tell(LOG_WARN, "mail_later", l, d);
    return OK;
}

static enum err attempt(struct outbox *o, struct letter *l)
{
    struct err_detail d = {.text = ""};
    enum smtp_stage stage = SMTP_AT_SERVER;
    const str to = json_get_str(l->json, STR("to"), STR(""));
    const struct smtp_mail mail = {.from = json_get_str(l->json, STR("from"), STR("")),
                                   .to = &to,
                                   .nto = 1,
                                   .subject = json_get_str(l->json, STR("subject"), STR("")),
                                   .body = json_get_str(l->json, STR("body"), STR(""))};
    if (json_get_i64(l->json, STR("expires"), 0) <= clock_wall_ms()) {
        if (to.n > 0)
            tell(LOG_ERROR, "mail_expired", l, &d);
        return forget(o, l);
    }
    enum err e = put_off(o, l);
    if (e != OK)
        return e == ERR_NOTFOUND ? OK : e;
    e = smtp_send(&o->smtp, &mail, l->arena, &stage, &d);
    return judge(o, l, e, stage, &d);
}

/* OK: on to the next one. Anything else: not now. */
static enum err deliver(struct outbox *o, const struct store_object *object)
{
    struct arena a;
    struct letter l = {.arena = &a, .id = object->id};
    const struct err_detail unreadable = {.text = "it cannot be read"};
    arena_init(&a, NULL, 0, NULL, ARENA_BYTES);
    enum err e = store_data(&a, object, &l.json);
    if (e == OK) {
        e = attempt(o, &l);
    } else if (e != ERR_NOMEM) {
        l.json = json_new_object(&a);
        tell(LOG_ERROR, "mail_refused", &l, &unreadable);
        e = forget(o, &l);
    }
    arena_fini(&a);
    return e;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* *more: there may be others that are due. */
static enum err one_round(struct outbox *o, bool *more)
{
    struct arena a;
    struct store_result due;
    arena_init(&a, NULL, 0, NULL, ARENA_BYTES);
    enum err e = find_due(o, &a, &due);
    for (size_t i = 0; e == OK && i < due.count && !is_stopping(o); i++)
        e = deliver(o, &due.objects[i]);
    *more = e == OK && due.count == ROUND;
    arena_fini(&a);
    return e;
}

/* Until something was added, or it is time to try again what was put off, or what went wrong. False: the
 * end. */
static bool wait_for_work(struct outbox *o)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (o->pause_ms ? o->pause_ms : FIRST_PAUSE_MS) / 1000;
    pthread_mutex_lock(&o->lock);
    int timed = 0;
    o->asleep = true;
    while (!o->stop && !(o->added && o->pause_ms == 0) && timed == 0)
        timed = o->any || o->pause_ms ? pthread_cond_timedwait(&o->wake, &o->lock, &until)
                                      : pthread_cond_wait(&o->wake, &o->lock);
    o->asleep = false;
    o->added = false;
    bool stop = o->stop;
    pthread_mutex_unlock(&o->lock);
    return !stop;
}

static void *run(void *arg)
{
    struct outbox *o = arg;
    do {
        enum err e;
        bool more;
        do
            e = one_round(o, &more);
        while (more && !is_stopping(o));
        o->pause_ms = e == OK ? 0 : MIN_OF(MAX_OF(2 * o->pause_ms, FIRST_PAUSE_MS), LAST_PAUSE_MS);
    } while (wait_for_work(o));
    return NULL;
}

/* ---- settings and life ------------------------------------------------------------------------ */

/* A text that was emptied is none. */
static str text_or_none(const struct settings *s, const char *key)
{
    str text = settings_str(s, key);
    return text.n > 0 ? text : STR_NONE;
}

/* What would have every mail refused stops the start. */
static enum err check(const struct outbox *o, const struct settings *s, struct err_detail *d)
{
    struct err_detail why = {.text = ""};
    str origin = settings_origin(s, str_none(o->smtp.user) ? "mail.password" : "mail.username");
    enum err e = smtp_check(&o->smtp, &why);
    return e == OK ? OK : err_set(d, e, 0, STR_FMT ": %s", STR_ARG(origin), why.text);
}

static enum err load(struct outbox *o, const struct settings *s, struct err_detail *d)
{
    bool tls = settings_bool(s, "mail.tls"), ssl = settings_bool(s, "mail.ssl");
    if (tls && ssl)
        return settings_refuse(s, "mail.ssl", ERR_SYNTAX, d,
                               "this is TLS from the first byte on, mail.tls on a plain connection "
                               "(STARTTLS): only one of them can be");
    o->trust = http_trust_new(NULL);
    o->smtp = (struct smtp_settings){
        .host = settings_str(s, "mail.host"),
        .port = (uint16_t)settings_int(s, "mail.port", 0),
        .tls = tls   ? SMTP_STARTTLS
               : ssl ? SMTP_TLS
                     : SMTP_PLAIN,
        .trust = o->trust,
        .user = text_or_none(s, "mail.username"),
        .password = text_or_none(s, "mail.password"),
        .sender = text_or_none(s, "mail.default_sender"),
        .cancel = &o->cancel,
    };
    enum err e = http_cancel_init(&o->cancel, d);
    if (e != OK)
        return e;
    return o->trust ? check(o, s, d) : ERR_NOMEM;
}

static void release(void *ctx)
{
    struct outbox *o = ctx;
    if (o->reader)
        store_thread_free(o->reader);
    http_trust_free(o->trust);
    http_cancel_fini(&o->cancel);
    pthread_cond_destroy(&o->wake);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static enum err start(void *ctx, struct err_detail *d)
{
    struct outbox *o = ctx;
    if (o->readonly)
        return OK;
    o->running = thread_start(&o->thread, run, o) == OK;
    return o->running ? OK : err_set(d, ERR_AGAIN, 0, "no thread for the outbox could be started");
}

static void stop(void *ctx)
{
    struct outbox *o = ctx;
    pthread_mutex_lock(&o->lock);
    o->stop = true;
    pthread_cond_signal(&o->wake);
    pthread_mutex_unlock(&o->lock);
    http_cancel_now(&o->cancel);
}

static void join(void *ctx)
{
    struct outbox *o = ctx;
    if (o->running)
        CHECK(pthread_join(o->thread, NULL) == 0);
    o->running = false;
}

static void make_locks(struct outbox *o)
{
    pthread_condattr_t monotonic;
    CHECK(pthread_mutex_init(&o->lock, NULL) == 0);
    CHECK(pthread_condattr_init(&monotonic) == 0);
    CHECK(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&o->wake, &monotonic) == 0);
    CHECK(pthread_condattr_destroy(&monotonic) == 0);
}

enum err outbox_new(struct outbox **out, struct api *a, const struct settings *s,
                    struct err_detail *d)
{
    struct outbox *o = calloc(1, sizeof *o);
    if (o == NULL)
        return ERR_NOMEM;
    o->readonly = settings_bool(s, "kinto.readonly");
    make_locks(o);
    enum err e = api_keep(a, o, release);
    if (e == OK)
        e = load(o, s, d);
    if (e == OK)
        e = store_thread_new(api_store(a), &o->reader);
    if (e == OK)
        e = api_add_service(a, &(struct api_service){o, start, stop, join});
    if (e == OK)
        *out = o;
    return e;
}
