/*
 * The outbox against a mail server that the test plays: what becomes of a mail when the server, the
 * mail, or the store goes wrong at each of the places where it can.
 *
 * Rounds are made by hand, on the thread of the test, and the wall clock is the test's: nothing waits
 * for time to pass. The cases of the outbox's own thread are at the end.
 */
#include "test/support/wait.h"
#include "test/unit/api/api_test.h"
#include "test/unit/engine/faults.h"
#include "test/unit/http/peer_test.h"

#include "plugins/outbox.c"

#define A "a@example.com"
#define B "b@example.com"

/* ---- the mail server -------------------------------------------------------------------------- */

/* Where it may say something else; in the order of a conversation. */
enum place { GREETING, EHLO, AUTH, MAIL, RCPT, DATA, TEXT, PLACES };
#define MAX_TAKEN 64

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. What is said at a place instead of yes: "" hangs up, "..." says nothing until the
     * other side has gone. From RCPT on only to mails for A. */
    const char *instead[PLACES];
    void (*at_text)(void); /* called before the answer to a text */
    unsigned met;          /* connections */
    unsigned texts;        /* that came to their end */
    unsigned held;         /* times that it said nothing */
    char taken[MAX_TAKEN][64];
    unsigned ntaken;
} post;

static struct peer *peer;

static const char *const usual[PLACES] = {
    "220 mail", "250-mail\r\n250 AUTH PLAIN", "235 in", "250 fine", "250 fine", "354 go on",
    "250 taken"};

static const char *instead_of(enum place place, const char *to)
{
    pthread_mutex_lock(&post.lock);
    const char *text = place < RCPT || strcmp(to, A) == 0 ? post.instead[place] : NULL;
    pthread_mutex_unlock(&post.lock);
    return text;
}

static void count(unsigned *counter)
{
    pthread_mutex_lock(&post.lock);
    ++*counter;
    pthread_cond_broadcast(&post.changed);
    pthread_mutex_unlock(&post.lock);
}

/* False: the conversation is over. */
static bool say(struct side *s, enum place place, const char *to)
{
    const char *instead = instead_of(place, to), *text = instead ? instead : usual[place];
    char line[200];
    if (strcmp(text, "...") == 0) {
        count(&post.held);
        side_wait_end(s);
        return false;
    }
    snprintf(line, sizeof line, "%s\r\n", text);
    return *text && side_say(s, line);
}

static void keep_taken(const char *to)
{
    pthread_mutex_lock(&post.lock);
    ck_assert_uint_lt(post.ntaken, MAX_TAKEN);
    snprintf(post.taken[post.ntaken++], sizeof post.taken[0], "%s", to);
    pthread_cond_broadcast(&post.changed);
    pthread_mutex_unlock(&post.lock);
}

static bool take_text(struct side *s, const char *to)
{
    const char *line;
    while ((line = side_line(s)) != NULL && strcmp(line, ".") != 0)
        continue;
    if (line == NULL)
        return false;
    count(&post.texts);
    if (post.at_text)
        post.at_text();
    const char *instead = instead_of(TEXT, to);
    if (instead == NULL)
        keep_taken(to);
    return say(s, TEXT, to);
}

static enum place place_of(const char *line)
{
    static const char *const verbs[PLACES] = {
        [EHLO] = "EHLO", [AUTH] = "AUTH", [MAIL] = "MAIL", [RCPT] = "RCPT", [DATA] = "DATA"};
    for (unsigned i = 0; i < PLACES; i++)
        if (verbs[i] && strncmp(line, verbs[i], 4) == 0)
            return (enum place)i;
    return PLACES;
}

static void play(struct side *s, const void *arg)
{
    char to[64] = "";
    const char *line;
    (void)arg;
    count(&post.met);
    bool on = say(s, GREETING, to);
    while (on && (line = side_line(s)) != NULL) {
        enum place place = place_of(line);
        if (place == PLACES) { /* QUIT */
            (void)!side_say(s, "221 bye\r\n");
            return;
        }
        if (place == RCPT)
            (void)!sscanf(line, "RCPT TO:<%63[^>]", to);
        on = say(s, place, to);
        if (place == DATA && on && instead_of(DATA, to) == NULL)
            on = take_text(s, to);
    }
}

static void instead(enum place place, const char *text)
{
    pthread_mutex_lock(&post.lock);
    post.instead[place] = text;
    pthread_mutex_unlock(&post.lock);
}

static unsigned value_of(const unsigned *counter)
{
    pthread_mutex_lock(&post.lock);
    unsigned n = *counter;
    pthread_mutex_unlock(&post.lock);
    return n;
}

static void wait_until(const unsigned *counter, unsigned n)
{
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += FAKE_DEADLINE_S;
    pthread_mutex_lock(&post.lock);
    while (*counter < n)
        ck_assert_int_eq(pthread_cond_timedwait(&post.changed, &post.lock, &deadline), 0);
    pthread_mutex_unlock(&post.lock);
}

/* How often it has said yes to a mail for that address. */
static unsigned taken_for(const char *to)
{
    unsigned n = 0;
    pthread_mutex_lock(&post.lock);
    for (unsigned i = 0; i < post.ntaken; i++)
        n += strcmp(post.taken[i], to) == 0;
    pthread_mutex_unlock(&post.lock);
    return n;
}

/* ---- the server, with an endpoint that writes mails -------------------------------------------- */

static struct outbox *box;
static struct kit_dir dir;
static _Atomic int64_t now_ms;

static int64_t wall(void)
{
    return atomic_load(&now_ms);
}

static void pass(int64_t ms)
{
    atomic_fetch_add(&now_ms, ms);
}

enum act { ADD, ADD_AND_FAIL, ADD_NONE, ADD_TEXT, FORGET, FILL_UP };
static struct {
    enum act act;
    const char *to, *text;
    int64_t ttl_ms;
} next;

static enum err add(struct api_req *r)
{
    const struct outbox_mail mail = {.from = STR("kinto@example.org"),
                                     .to = str_from(next.to),
                                     .subject = STR("Subject\r\nBcc: c@example.com"),
                                     .body = STR("Body\r\n.\r\n"),
                                     .ttl_ms = next.ttl_ms};
    return outbox_add(box, r, &mail);
}

static enum err fill_up(struct api_req *r)
{
    struct store_object ignored;
    enum err e = OK;
    for (int i = 1; e == OK && i < MAX_WAITING; i++) {
        struct arena_mark mark = arena_mark(api_arena(r));
        const struct store_put put = {.id = arena_printf(api_arena(r), "%d", i),
                                      .data = json_new_object(api_arena(r))};
        e = store_put(api_session(r), api_arena(r), mails, &put, &ignored);
        arena_release(api_arena(r), mark);
    }
    return e;
}

/* As it is. */
static enum err add_text(struct api_req *r)
{
    struct store_object ignored;
    const struct store_put put = {.id = STR("odd"), .data = parse(next.text)};
    return store_put(api_session(r), api_arena(r), mails, &put, &ignored);
}

static enum api_step act(struct api_req *r)
{
    enum err e = next.act == ADD_NONE   ? outbox_add_none(box, r)
                 : next.act == ADD_TEXT ? add_text(r)
                 : next.act == FORGET   ? outbox_forget(r, str_from(next.to))
                 : next.act == FILL_UP  ? fill_up(r)
                                        : add(r);
    if (e == ERR_AGAIN || next.act == ADD_AND_FAIL)
        return api_fail(r, API_ERR_UNAVAILABLE);
    ck_assert_ok(e);
    return api_reply_json(r, 200, STR("{}"));
}

static int do_it(enum act a, const char *to)
{
    next.act = a;
    next.to = to;
    return ask("POST", "/v1/act", NULL, NULL)->status;
}

#define INI                                                                                        \
    "[app:main]\nmultiauth.policies = basicauth\nkinto.userid_hmac_secret = secret\n"              \
    "mail.host = 127.0.0.1\nmail.username = me\nmail.password = s3cret\n"

/* On the directory, or in memory. */
static void begin(const char *more, bool durable)
{
    static const struct api_endpoint endpoint = {
        .path = "/act",
        .methods = METHOD_BIT(METHOD_POST),
        .writes = true,
        .handler = act,
        .doc = {.operation = "act", .tag = "Act", .summary = "Act."}};
    struct err_detail d = {.text = ""};
    const struct store_options store = {.dir = durable ? dir.path : NULL};
    str ini = arena_printf(&keep, INI "mail.port = %u\n%s", (unsigned)peer->port, more);
    ck_assert_ok(server_load(&server, ini.p, &d));
    ck_assert_ok(store_open(&server.store, &store, NULL, &d));
    const struct api_options o = {
        .store = server.store, .settings = server.settings, .version = STR("1")};
    ck_assert_ok(api_new(&server.api, &o, &d));
    ck_assert_ok(outbox_new(&box, server.api, server.settings, &d));
    ck_assert_ok(api_add_endpoint(server.api, &endpoint));
    server.app = api_http_app(server.api);
    server.loop = server.app.loop_start(server.app.ctx, 0);
    ck_assert_ptr_nonnull(server.loop);
}

static void setup_post(void)
{
    setup_bare();
    memset(&post, 0, sizeof post);
    pthread_mutex_init(&post.lock, NULL);
    pthread_cond_init(&post.changed, NULL);
    atomic_store(&now_ms, wall_still());
    clock_test_wall(wall);
    next.ttl_ms = INT64_C(1000) * 60 * 60;
    peer = peer_start(play, NULL);
    kit_dir_make(&dir);
    faults_end();
    faults_install();
}

static void setup_memory(void)
{
    setup_post();
    begin("", false);
}

static void setup_durable(void)
{
    setup_post();
    begin("", true);
}

static void teardown_post(void)
{
    faults_end();
    server_stop(&server);
    os_test_replace(NULL);
    peer_free(peer);
    kit_dir_remove(&dir);
    teardown_bare();
}

static enum err a_round(void)
{
    bool more;
    return one_round(box, &more);
}

/* How many mails wait. */
static uint64_t waiting(void)
{
    struct store_session *s;
    struct store_result found;
    const struct store_query all = {.limit = 1, .want_total = true};
    ck_assert_ok(store_read_begin(server.loop->thread, &keep, &s));
    ck_assert_ok(store_query(s, &keep, mails, &all, &found));
    uint64_t n = found.total;
    store_read_end(s);
    return n;
}

/* A member of the only mail. */
static int64_t number_in_mail(const char *name)
{
    struct store_session *s;
    struct store_result found;
    struct json *json;
    const struct store_query all = {.limit = 1};
    ck_assert_ok(store_read_begin(server.loop->thread, &keep, &s));
    ck_assert_ok(store_query(s, &keep, mails, &all, &found));
    ck_assert_uint_eq(found.count, 1);
    ck_assert_ok(json_parse(&keep, arena_str(&keep, found.objects[0].data), &json, NULL));
    store_read_end(s);
    return fake_number(json, name);
}

/* ---- going well ------------------------------------------------------------------------------- */

START_TEST(a_mail_goes_once)
{
    ck_assert_int_eq(do_it(ADD, A), 200);
    ck_assert_uint_eq(waiting(), 1);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(waiting(), 0);
    pass(INT64_C(1000) * 60 * 60);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(taken_for(A), 1);
    peer_stop(peer);
    ck_assert_uint_eq(count_of(peer->got, "Subject: Subject\r\n"), 1);
    ck_assert_uint_eq(count_of(peer->got, "c@example.com"), 0); /* no header can be added */
    ck_assert_uint_eq(count_of(peer->got, "AUTH PLAIN AG1lAHMzY3JldA==\r\n"), 1);
}
END_TEST

START_TEST(the_oldest_goes_first)
{
    for (int i = 0; i < ROUND + 2; i++)
        ck_assert_int_eq(do_it(ADD, arena_printf(&keep, "n%d@example.com", i).p), 200);
    bool more = false;
    ck_assert_ok(one_round(box, &more));
    ck_assert(more);
    ck_assert_ok(one_round(box, &more));
    ck_assert(!more);
    ck_assert_uint_eq(waiting(), 0);
    ck_assert_uint_eq(post.ntaken, ROUND + 2);
    for (unsigned i = 0; i < post.ntaken; i++)
        ck_assert_str_eq(post.taken[i], arena_printf(&keep, "n%u@example.com", i).p);
}
END_TEST

/* What is undone sends nothing, and wakes nobody. */
START_TEST(what_is_undone_sends_nothing)
{
    ck_assert_int_eq(do_it(ADD_AND_FAIL, A), 503);
    ck_assert_uint_eq(waiting(), 0);
    ck_assert(!box->added);
    ck_assert_int_eq(do_it(ADD, B), 200);
    ck_assert(box->added);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(taken_for(B), 1);
    ck_assert_uint_eq(post.ntaken, 1);
}
END_TEST

START_TEST(what_is_forgotten_is_not_sent)
{
    for (int i = 0; i < FORGOTTEN_AT_ONCE + 1; i++)
        ck_assert_int_eq(do_it(ADD, A), 200);
    ck_assert_int_eq(do_it(ADD, B), 200);
    ck_assert_int_eq(do_it(FORGET, A), 200);
    ck_assert_uint_eq(waiting(), 1);
    ck_assert(str_find_str(dump(), STR(A)) == STR_NPOS); /* without a tombstone */
    ck_assert_ok(a_round());
    ck_assert_uint_eq(taken_for(A), 0);
    ck_assert_uint_eq(taken_for(B), 1);
}
END_TEST

START_TEST(a_mail_for_nobody)
{
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(do_it(ADD_NONE, ""), 200);
    ck_assert_uint_eq(waiting(), 1); /* they do not heap up */
    ck_assert_ok(a_round());
    ck_assert_uint_eq(waiting(), 0);
    ck_assert_uint_eq(post.met, 0);
}
END_TEST

START_TEST(no_more_than_so_many_wait)
{
    ck_assert_int_eq(do_it(FILL_UP, ""), 200);
    ck_assert_int_eq(do_it(ADD, A), 200);
    ck_assert_uint_eq(waiting(), MAX_WAITING);
    ck_assert_int_eq(do_it(ADD, A), 503);
    ck_assert_int_eq(do_it(ADD_NONE, ""), 503); /* it tells no more than the other */
    ck_assert_uint_eq(waiting(), MAX_WAITING);
}
END_TEST

/* ---- what the mail server says ----------------------------------------------------------------- */

enum fate {
    WAITS, /* it is the server: nothing else is tried, nothing is given up */
    LATER, /* it is the mail: the others go on, and it is tried again */
    GIVEN_UP
};
static const struct {
    enum place place;
    const char *text;
    enum fate fate;
} answers[] = {
    {GREETING, "554 not you", WAITS},
    {GREETING, "421 busy", WAITS},
    {GREETING, "", WAITS},
    {GREETING, "HTTP/1.1 400 Bad Request", WAITS},
    {EHLO, "451 later", WAITS},
    {EHLO, "250 no way to log in", WAITS},
    {EHLO, "", WAITS},
    {AUTH, "535 wrong", WAITS},
    {AUTH, "454 later", WAITS},
    {AUTH, "", WAITS},
    {MAIL, "550 not from there", WAITS},
    {MAIL, "451 later", WAITS},
    {MAIL, "", WAITS},
    {RCPT, "550 nobody here", GIVEN_UP},
    {RCPT, "450 mailbox busy", LATER},
    {RCPT, "", LATER},
    {DATA, "554 never", GIVEN_UP},
    {DATA, "451 later", LATER},
    {DATA, "250 what?", LATER},
    {DATA, "", LATER},
    {TEXT, "552 too much", GIVEN_UP},
    {TEXT, "451 later", LATER},
    {TEXT, "nonsense", LATER},
    {TEXT, "", LATER},
};

START_TEST(what_becomes_of_a_mail)
{
    enum fate fate = answers[_i].fate;
    instead(answers[_i].place, answers[_i].text);
    ck_assert_int_eq(do_it(ADD, A), 200);
    ck_assert_int_eq(do_it(ADD, B), 200);
    enum err e = a_round();
    ck_assert_msg((e == OK) == (fate != WAITS), "%s", err_text(e));
    ck_assert_uint_eq(taken_for(A), 0);
    ck_assert_uint_eq(taken_for(B), fate != WAITS);
    ck_assert_uint_eq(waiting(), fate == WAITS ? 2 : fate == LATER ? 1 : 0);
    ck_assert_uint_eq(value_of(&post.met), fate == WAITS ? 1 : 2);
    instead(answers[_i].place, NULL);
    pass(FIRST_PAUSE_MS);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(waiting(), 0);
    ck_assert_uint_eq(taken_for(A), fate != GIVEN_UP);
    ck_assert_uint_eq(taken_for(B), 1);
}
END_TEST

START_TEST(nobody_listens)
{
    ck_assert_int_eq(do_it(ADD, A), 200);
    box->smtp.port = free_port();
    ck_assert_err(a_round(), ERR_IO);
    ck_assert_uint_eq(waiting(), 1);
    box->smtp.port = peer->port;
    pass(FIRST_PAUSE_MS);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(taken_for(A), 1);
}
END_TEST

/* An address that cannot be one is the mail's fault, and noticed without asking anybody. */
START_TEST(a_mail_that_cannot_be)
{
    ck_assert_int_eq(do_it(ADD, "a@b>\r\nRCPT TO:<c@example.com"), 200);
    ck_assert_int_eq(do_it(ADD, B), 200);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(waiting(), 0);
    ck_assert_uint_eq(taken_for(B), 1);
    ck_assert_uint_eq(post.met, 1);
}
END_TEST

/* Each pause is twice as long, up to a quarter of an hour; before it is over nothing is tried. */
START_TEST(pauses_grow)
{
    int64_t pause = FIRST_PAUSE_MS;
    next.ttl_ms = INT64_C(1000) * 60 * 60 * 24;
    instead(TEXT, "451 later");
    ck_assert_int_eq(do_it(ADD, A), 200);
    for (unsigned tries = 1; tries < 15; tries++) {
        ck_assert_ok(a_round());
        ck_assert_uint_eq(value_of(&post.texts), tries);
        ck_assert_int_eq(number_in_mail("tries"), tries);
        ck_assert_int_eq(number_in_mail("next"), wall() + pause);
        pass(pause - 1);
        ck_assert_ok(a_round());
        ck_assert_uint_eq(value_of(&post.texts), tries);
        pass(1);
        pause = MIN_OF(2 * pause, LAST_PAUSE_MS);
    }
    ck_assert_int_eq(pause, LAST_PAUSE_MS);
}
END_TEST

START_TEST(nothing_is_sent_too_late)
{
    next.ttl_ms = 10000;
    instead(TEXT, "451 later");
    ck_assert_int_eq(do_it(ADD, A), 200);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(value_of(&post.texts), 1);
    instead(TEXT, NULL);
    pass(10000);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(value_of(&post.texts), 1);
    ck_assert_uint_eq(waiting(), 0);
    ck_assert_int_eq(do_it(ADD, A), 200);
    pass(9999);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(taken_for(A), 1);
}
END_TEST

/* ---- when the store goes wrong ----------------------------------------------------------------- */

#define DISK_FULL (FAULT_BIT(PWRITE) | FAULT_BIT(PWRITEV) | FAULT_BIT(FALLOCATE))

static void fill_disk(void)
{
    faults_plan(DISK_FULL, 1, true, ENOSPC);
}

/* The engine may have kept writers out meanwhile, and looks now and then whether there is room again. */
static void a_round_with_room(void)
{
    enum err e;
    faults_end();
    for (int ms = 0; (e = a_round()) == ERR_NOSPACE && ms < 20000; ms++)
        wait_tick();
    ck_assert_ok(e);
}

/* Who cannot write down that it tries does not try. */
START_TEST(a_store_that_cannot_be_written_sends_nothing)
{
    ck_assert_int_eq(do_it(ADD, A), 200);
    fill_disk();
    for (int i = 0; i < 5; i++, pass(LAST_PAUSE_MS / 4))
        ck_assert_int_ne(a_round(), OK);
    ck_assert_uint_eq(post.met, 0);
    ck_assert_int_gt(atomic_load(&faults.failed), 0);
    a_round_with_room();
    ck_assert_uint_eq(taken_for(A), 1);
    ck_assert_uint_eq(waiting(), 0);
}
END_TEST

/* The server has said yes and nobody can write that down: at least once, but not again and again. */
START_TEST(a_yes_that_cannot_be_written_down)
{
    post.at_text = fill_disk;
    ck_assert_int_eq(do_it(ADD, A), 200);
    ck_assert_int_ne(a_round(), OK);
    ck_assert_uint_eq(taken_for(A), 1);
    for (int i = 0; i < 5; i++)
        (void)!a_round(); /* put off */
    pass(LAST_PAUSE_MS);
    for (int i = 0; i < 5; i++)
        ck_assert_int_ne(a_round(), OK);
    ck_assert_uint_eq(taken_for(A), 1);
    post.at_text = NULL;
    a_round_with_room();
    ck_assert_uint_eq(taken_for(A), 2);
    ck_assert_uint_eq(waiting(), 0);
}
END_TEST

/* A disk that fails for good: the engine refuses from then on, and so does the outbox. */
START_TEST(a_disk_that_failed)
{
    ck_assert_int_eq(do_it(ADD, A), 200);
    faults_plan(FAULT_BIT(FDATASYNC) | FAULT_BIT(FSYNC), 1, true, EIO);
    ck_assert_int_ne(a_round(), OK);
    faults_end();
    pass(LAST_PAUSE_MS);
    ck_assert_int_ne(a_round(), OK);
    ck_assert_uint_eq(post.met, 0);
    server_stop(&server);
    begin("", true); /* it has been put off, or not */
    ck_assert_ok(a_round());
    ck_assert_uint_eq(taken_for(A), 1);
    ck_assert_uint_eq(waiting(), 0);
}
END_TEST

/* A round's memory is its own, and bounded: none at any place loses a mail, or sends it twice at once. */
START_TEST(no_memory)
{
    enum err e = ERR_NOMEM;
    unsigned n, sent = 0;
    for (n = 1; e != OK; n++) {
        ck_assert_uint_lt(n, 100);
        ck_assert_int_eq(do_it(ADD, A), 200);
        arena_test_fail_chunk(n);
        e = a_round();
        arena_test_fail_chunk(0);
        unsigned now = taken_for(A);
        ck_assert_uint_le(now - sent, 1);
        ck_assert_msg(waiting() > 0 || now > sent, "%u: a mail was lost", n);
        while (waiting() > 0) {
            pass(FIRST_PAUSE_MS);
            ck_assert_ok(a_round());
        }
        sent = taken_for(A);
        ck_assert_uint_ge(sent, n);
    }
    ck_assert_uint_gt(n, 3);
}
END_TEST

/* Whether anything waits is not known then: so it is looked again, and soon. */
START_TEST(no_memory_to_look)
{
    ck_assert_int_eq(do_it(ADD, A), 200);
    box->any = false;
    arena_test_fail_chunk(1);
    ck_assert_int_eq(a_round(), ERR_NOMEM);
    arena_test_fail_chunk(0);
    ck_assert(box->any);
    for (int any = 0; any < 2; any++) { /* each ends by itself */
        box->any = any;
        box->pause_ms = 1;
        ck_assert(wait_for_work(box));
    }
}
END_TEST

/* What an older version, or somebody's hand, left in the list: it goes, and keeps no other back. */
static const char *const odd[] = {
    "{\"next\":0}",
    "{\"next\":0,\"expires\":9000000000000}",
    "{\"next\":0,\"expires\":9000000000000,\"to\":5,\"from\":{},\"subject\":[],\"body\":null}",
    "{\"next\":0,\"expires\":\"never\",\"to\":\"" A "\"}",
    "{\"next\":0,\"expires\":1e300,\"to\":\"" A "\"}",
};

START_TEST(what_is_no_mail)
{
    next.text = odd[_i];
    ck_assert_int_eq(do_it(ADD_TEXT, ""), 200);
    ck_assert_int_eq(do_it(ADD, B), 200);
    ck_assert_ok(a_round());
    ck_assert_uint_eq(waiting(), 0);
    ck_assert_uint_eq(taken_for(B), 1);
    ck_assert_uint_eq(post.ntaken, 1);
}
END_TEST

/* ---- the thread -------------------------------------------------------------------------------- */

static void start_thread(void)
{
    struct err_detail d = {.text = ""};
    enum err e = api_start(server.api, &d);
    ck_assert_msg(e == OK, "%s", d.text);
}

static void end_server(void)
{
    api_stop(server.api);
    server_stop(&server);
}

static bool is_asleep(void)
{
    pthread_mutex_lock(&box->lock);
    bool asleep = box->asleep && !box->added; /* with the second it wakes up */
    pthread_mutex_unlock(&box->lock);
    return asleep;
}

START_TEST(a_new_mail_wakes_the_thread)
{
    start_thread();
    for (unsigned i = 1; i <= 3; i++) {
        ck_assert_int_eq(do_it(ADD, A), 200);
        wait_until(&post.ntaken, i);
    }
    while (waiting() > 0 || !is_asleep())
        wait_tick();
    end_server();
}
END_TEST

/* It is sent by the next start. */
START_TEST(a_stop_does_not_wait)
{
    static const enum place places[] = {GREETING, MAIL, TEXT};
    enum place place = places[_i];
    instead(place, "...");
    start_thread();
    ck_assert_int_eq(do_it(ADD, A), 200);
    wait_until(&post.held, 1);
    uint64_t before = clock_mono_ms();
    end_server();
    ck_assert_uint_lt(clock_mono_ms() - before, 5000); /* the mail server would have had 30 s */
    instead(place, NULL);
    begin("", true);
    pass(FIRST_PAUSE_MS);
    unsigned taken = value_of(&post.ntaken); /* before anybody can take more */
    start_thread();
    wait_until(&post.ntaken, taken + 1);
    end_server();
}
END_TEST

START_TEST(who_only_reads_sends_nothing)
{
    ck_assert_int_eq(do_it(ADD, A), 200);
    server_stop(&server);
    begin("kinto.readonly = true\n", true);
    start_thread();
    ck_assert(!box->running);
    ck_assert_uint_eq(waiting(), 1);
    end_server();
    ck_assert_uint_eq(post.met, 0);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const memory[] = {a_mail_goes_once,
                                   the_oldest_goes_first,
                                   what_is_undone_sends_nothing,
                                   a_mail_for_nobody,
                                   nobody_listens,
                                   what_is_forgotten_is_not_sent,
                                   no_more_than_so_many_wait,
                                   pauses_grow,
                                   a_mail_that_cannot_be,
                                   nothing_is_sent_too_late,
                                   no_memory,
                                   no_memory_to_look};
    const TTest *const durable[] = {a_store_that_cannot_be_written_sends_nothing,
                                    a_yes_that_cannot_be_written_down, a_disk_that_failed,
                                    a_new_mail_wakes_the_thread, who_only_reads_sends_nothing};
    Suite *s = suite_create("plugins/outbox");

    TCase *c = tests_of(s, "memory", setup_memory, teardown_post, memory, ARRAY_LEN(memory));
    tcase_add_loop_test(c, what_becomes_of_a_mail, 0, ARRAY_LEN(answers));
    tcase_add_loop_test(c, what_is_no_mail, 0, ARRAY_LEN(odd));
    c = tests_of(s, "durable", setup_durable, teardown_post, durable, ARRAY_LEN(durable));
    tcase_add_loop_test(c, a_stop_does_not_wait, 0, 3);
    return s;
}

UNIT_MAIN(make_suite)
