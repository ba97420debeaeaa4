/*
 * Many clients together: the memory that they share, the connections that they share, and who has to go
 * when there is not enough of either. (What one of them alone may do: test_limits.c.) Clients come from
 * several addresses: 127.0.0.1, 127.0.0.2, ...
 */
#include "base/os.h"
#include "http/private.h"
#include "test/unit/http/server_test.h"

#define SHORT_MS       100 /* of the time-out that a test is about */
#define SLOW_READER_MS 300
#define HEAVY          ((size_t)900 * 1000)
#define TOTAL          (8 * MIB)

static struct fixture f;
static struct client cs[64];
static struct reply got;

static void setup(void)
{
    test_prepare(&f);
    f.o.max_total_bytes = TOTAL;
    f.o.max_body_bytes = 4 * MIB;
}

static void teardown(void)
{
    for (size_t i = 0; i < ARRAY_LEN(cs); i++)
        if (cs[i].buf != NULL)
            client_close(&cs[i]);
    reply_free(&got);
    test_stop(&f);
}

static void open_from(struct client *c, unsigned from)
{
    client_adopt(c, test_connect_from(f.port, from));
}

/* Announces n bytes, and sends `part` of them. False when the server has closed. */
static bool send_part(struct client *c, size_t n, size_t part)
{
    static char p[4 * MIB];
    char head[200];

    snprintf(head, sizeof head, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
    return client_try_send(c, str_from(head)) && client_try_send(c, (str){p, part});
}

static bool send_bytes(struct client *c, size_t n)
{
    static const char p[KIB];

    return client_try_send(c, (str){p, n});
}

/* Has the server something to say? */
static bool is_told(struct client *c)
{
    struct pollfd p = {c->fd, POLLIN, 0};

    return poll(&p, 1, 0) == 1;
}

static void wait_told(struct client *c)
{
    struct pollfd p = {c->fd, POLLIN, 0};

    ck_assert_int_eq(poll(&p, 1, TEST_MS), 1);
}

static size_t memory(void)
{
    struct http_stats s;

    http_server_stats(f.server, &s);
    ck_assert_uint_le(s.memory_bytes, f.o.max_total_bytes);
    return s.memory_bytes;
}

/* Until the bytes are held, or the server says something. */
static bool wait_held(struct client *c, size_t before, size_t n)
{
    uint64_t until = clock_mono_ms() + TEST_MS;

    while (memory() < before + n && !is_told(c)) {
        ck_assert_uint_lt(clock_mono_ms(), until);
        wait_tick();
    }
    return !is_told(c);
}

/* Unfinished bodies from one address until one is refused. Returns how many are in. */
static size_t crowd(unsigned from)
{
    for (size_t i = 0; i < 30; i++) {
        size_t before = memory();
        open_from(&cs[i], from);
        if (!send_part(&cs[i], HEAVY, HEAVY - 1) || !wait_held(&cs[i], before, HEAVY))
            return i;
    }
    ck_abort_msg("nobody was refused");
    return 0;
}

/* ---- memory ---------------------------------------------------------------------------------- */

START_TEST(unfinished_bodies_are_bounded_together)
{
    size_t n;

    test_start(&f);
    n = crowd(2);
    ck_assert_uint_ge(n, 3);
    ck_assert_uint_le(n * HEAVY, TOTAL);
    expect_reply(&cs[n], 503, NULL);
    open_from(&cs[30], 3); /* another address: the first one could not take everything */
    ck_assert(send_part(&cs[30], HEAVY / 3, HEAVY / 3));
    expect_reply(&cs[30], 200, NULL);
    /* Small requests are served all the same, also those that take memory. */
    open_from(&cs[40], 2);
    client_say(&cs[40], "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        static char kilo[1000];
        client_send(&cs[40], (str){kilo, sizeof kilo});
    }
    expect_reply(&cs[40], 200, NULL);
    /* Who was in finishes; then there is room again. */
    for (size_t i = 0; i < n; i++) {
        client_say(&cs[i], "x");
        reply_read(&cs[i], &got, true);
        ck_assert_msg(got.status == 200 || got.status == 503, "%d", got.status);
    }
    open_from(&cs[50], 4);
    ck_assert(send_part(&cs[50], HEAVY, HEAVY));
    expect_reply(&cs[50], 200, NULL);
}
END_TEST

/* Responses that nobody reads are counted, too. */
START_TEST(unread_responses_are_bounded_together)
{
    size_t n;

    f.o.max_total_bytes = 32 * MIB;
    test_start(&f);
    for (n = 0; n < 30; n++) { /* each more than sockets hold */
        open_from(&cs[n], 2);
        int few = 4096;
        setsockopt(cs[n].fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
        client_say(&cs[n], "GET /large?8000000 HTTP/1.1\r\nHost: h\r\n\r\n");
        reply_read(&cs[n], &got, false);
        if (got.status == 503)
            break;
        ck_assert_int_eq(got.status, 200);
    }
    ck_assert_uint_ge(n, 1);
    ck_assert_uint_le(n, 4);
    for (size_t i = 0; i <= n; i++)
        client_close(&cs[i]);
    test_wait_open(&f, 0);
    open_from(&cs[0], 2);
    client_say(&cs[0], "GET /large?8000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    reply_read(&cs[0], &got, false);
    ck_assert_int_eq(got.status, 200);
}
END_TEST

/* When memory is short, whoever holds much of it and sends little is ended first. */
START_TEST(the_slowest_go_first)
{
    f.o.max_total_bytes = 10 * MIB;
    test_start(&f);
    for (unsigned i = 0; i < 2; i++) {
        open_from(&cs[i], 2 + i);
        size_t before = memory();
        /* All is held for it then; the second one sends more. */
        ck_assert(send_part(&cs[i], 4 * MIB, i == 0 ? 300 * KIB : 3 * MIB));
        ck_assert(wait_held(&cs[i], before, 4 * MIB));
    }
    wait_told(&cs[0]);
    expect_reply(&cs[0], 503, "refused 503: There is no memory for the request.");
    ck_assert(!is_told(&cs[1])); /* one was enough */
}
END_TEST

/* ---- one network's share --------------------------------------------------------------------- */

#define SHARE(total) ((total) / 16 * 13)
#define LIGHT        ((size_t)90 * 1000) /* a body that makes its request hold 128 KiB at most */

/* Unfinished small bodies from one address, into cs[*n] and on, until one is refused: the most that was
 * held. */
static size_t fill_lightly(unsigned from, size_t *n)
{
    size_t most = memory();

    for (; *n < ARRAY_LEN(cs); ++*n) {
        size_t before = memory();
        open_from(&cs[*n], from);
        if (!send_part(&cs[*n], LIGHT, LIGHT - 1) || !wait_held(&cs[*n], before, LIGHT)) {
            expect_reply(&cs[*n], 503, NULL);
            return most;
        }
        most = MAX_OF(most, memory());
    }
    ck_abort_msg("nobody was refused");
    return 0;
}

/* An address gets 13/16 of all and not more, however many connections it has; the rest is there for others.
 * (Small requests: nobody is ended for being slow while they hold so little.) */
START_TEST(an_address_has_a_share_of_the_memory)
{
    size_t n = 0, most;

    f.o.max_total_bytes = 4 * MIB;
    test_start(&f);
    most = fill_lightly(2, &n);
    ck_assert_uint_le(most, SHARE(4 * MIB));
    ck_assert_uint_gt(most, SHARE(4 * MIB) - PURSE_LIGHT_BYTES);
    n++;
    size_t others = n;
    most = fill_lightly(3, &n);
    ck_assert_uint_gt(n, others);
    ck_assert_uint_gt(most, 4 * MIB - PURSE_LIGHT_BYTES);
    for (size_t i = 0; i < others - 1; i++)
        ck_assert(!is_told(&cs[i])); /* nobody was ended for it */
}
END_TEST

/* Who counts as one: an IPv4 address, 64 bits of an IPv6 one. (There is one IPv6 address on loopback
 * only.) */
START_TEST(who_is_a_network)
{
    static const struct {
        const char *one, *other;
        bool same;
    } rows[] = {
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"::ffff:192.0.2.1", "192.0.2.1", true},
    };

    test_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct networks *networks = &f.server->networks;
        struct network *one = network_enter(networks, str_from(rows[i].one), 0);
        struct network *other = network_enter(networks, str_from(rows[i].other), 0);
        ck_assert_msg((one == other) == rows[i].same, "%s %s", rows[i].one, rows[i].other);
        ck_assert_uint_eq(one->purse.most, SHARE(TOTAL));
        network_leave(networks, one);
        network_leave(networks, other);
    }
}
END_TEST

START_TEST(all_the_memory_by_default)
{
    uint64_t half = os_memory_limit("") / 2; /* test/unit/base/test_os.c knows what that is */

    f.o.max_total_bytes = 0;
    test_start(&f);
    ck_assert_uint_le(f.server->purse.most, MAX_OF(half, (uint64_t)(16 * MIB)));
    ck_assert_uint_le(f.server->purse.most, 512 * MIB);
    ck_assert_uint_ge(f.server->purse.most, MIN_OF(half / 100 * 99, (uint64_t)(512 * MIB)));
}
END_TEST

/* ---- connections ----------------------------------------------------------------------------- */

START_TEST(an_address_has_a_limit)
{
    f.o.max_network_connections = 3;
    test_start(&f);
    for (size_t i = 0; i < 3; i++) {
        open_from(&cs[i], 2);
        expect_alive(&cs[i]);
    }
    open_from(&cs[3], 2);
    expect_end(&cs[3], true);
    open_from(&cs[4], 3);
    expect_alive(&cs[4]);
    client_close(&cs[0]);
    test_wait_open(&f, 3);
    open_from(&cs[5], 2);
    expect_alive(&cs[5]);
}
END_TEST

static void say_something(struct client *c, int how)
{
    static const char *const said[] = {"", "GET / HTTP/1.1\r\nHo",
                                       "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab"};

    client_say(c, "GET /alive HTTP/1.1\r\nHost: h\r\n\r\n");
    client_send(c, str_from(said[how]));
    expect_reply(c, 200, "GET /alive|"); /* the rest has been read with it, or soon will be */
}

/* One address has all the connections: idle, in a head, in a body. Others get in nevertheless, at its
 * expense; it does not at theirs. (With several loops, each has some of its connections.) */
START_TEST(nobody_is_locked_out)
{
    f.o.max_connections = 40;
    f.o.loops = 1 + 2 * (_i / 3);
    test_start(&f);
    for (size_t i = 0; i < 40; i++) {
        open_from(&cs[i], 2);
        say_something(&cs[i], _i % 3);
    }
    for (size_t i = 40; i < 43; i++) {
        open_from(&cs[i], 3);
        expect_alive(&cs[i]);
    }
    for (size_t i = 43; i < 58; i++) {
        open_from(&cs[i], 2); /* in the place of another one of its own, if one can be spared */
        (void)client_try_send(&cs[i], STR("GET /alive HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    for (size_t i = 40; i < 43; i++)
        expect_alive(&cs[i]);
    test_wait_open(&f, 40);
}
END_TEST

/* Does somebody new get an answer, or is the connection closed? */
static bool is_served(unsigned from)
{
    struct client *c = &cs[ARRAY_LEN(cs) - 1];
    char some[200];
    bool answered;

    open_from(c, from);
    answered = client_try_send(c, STR("GET /here HTTP/1.1\r\nHost: h\r\n\r\n")) &&
               recv(c->fd, some, sizeof some, 0) > 0;
    client_close(c);
    return answered;
}

/* As many networks as there are connections, each with a body that comes as slowly as it may: when they
 * have had some of their time, one of them makes room. */
START_TEST(slow_bodies_lock_nobody_out)
{
    enum { ALL = 8, EACH_MS = 100 };
    uint64_t until = clock_mono_ms() + TEST_MS, next = 0;

    f.o.max_connections = ALL;
    f.o.body_timeout_ms = 4000;
    f.o.min_rate = 500;
    test_start(&f);
    for (unsigned i = 0; i < ALL; i++) {
        open_from(&cs[i], i + 2);
        ck_assert(send_part(&cs[i], MIB, 100));
    }
    test_wait_open(&f, ALL);
    while (!is_served(100)) {
        ck_assert_uint_lt(clock_mono_ms(), until);
        for (unsigned i = 0; i < ALL && clock_mono_ms() >= next; i++)
            ck_assert(send_bytes(&cs[i], 2 * 500 / (1000 / EACH_MS)));
        if (clock_mono_ms() >= next)
            next = clock_mono_ms() + EACH_MS;
        wait_tick();
    }
    test_wait_open(&f, ALL - 1); /* nobody else has gone */
}
END_TEST

/* Two idle ones, on two of eight loops at most; whoever comes is mostly accepted by another one. */
START_TEST(room_is_on_another_loop)
{
    f.o.max_connections = 2;
    f.o.loops = 8;
    test_start(&f);
    for (size_t i = 0; i < 40; i++) {
        open_from(&cs[i], 2 + (unsigned)i);
        expect_alive(&cs[i]);
    }
    test_wait_open(&f, 2);
}
END_TEST

/* ---- slow ------------------------------------------------------------------------------------ */

/* A byte now and then is too little, although each comes in time. */
START_TEST(a_dripping_body)
{
    bool chunked = _i == 1;

    f.o.body_timeout_ms = SHORT_MS;
    f.o.min_rate = 1000;
    test_start(&f);
    open_from(&cs[0], 1);
    if (chunked)
        client_say(&cs[0], "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "fffff\r\n");
    else
        client_say(&cs[0], "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    uint64_t until = clock_mono_ms() + TEST_MS;
    for (struct pollfd p = {cs[0].fd, POLLIN, 0}; poll(&p, 1, SHORT_MS / 10) == 0;) {
        ck_assert(client_try_send(&cs[0], STR("x")));
        ck_assert_uint_lt(clock_mono_ms(), until);
    }
    expect_reply(&cs[0], 408, NULL);
}
END_TEST

/* Slow, but not too slow: for longer than the time-out. */
START_TEST(a_body_that_goes_on)
{
    static char kilo[1000];

    f.o.body_timeout_ms = 4000;
    f.o.min_rate = 1000;
    test_start(&f);
    open_from(&cs[0], 1);
    client_say(&cs[0], "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        let_pass(150, "it takes longer than the time-out in all");
        client_send(&cs[0], (str){kilo, sizeof kilo});
    }
    expect_reply(&cs[0], 200, NULL);
}
END_TEST

/* A reader that takes a little now and then does not get another time-out for it. (But the first one: whoever
 * reads so, and is asked for no more, stays: a_reader_that_goes_on.) */
START_TEST(a_dripping_reader)
{
    char few[100];

    f.o.max_total_bytes = 0;
    f.o.send_timeout_ms = 2 * SHORT_MS;
    f.o.min_rate = 100000000;
    test_start(&f);
    open_from(&cs[0], 1);
    client_say(&cs[0], "GET /big?50000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    test_wait_open(&f, 1);
    uint64_t began = clock_mono_ms(), until = began + TEST_MS;
    for (struct http_stats s = {.open_connections = 1}; s.open_connections > 0;) {
        ck_assert_msg(recv(cs[0].fd, few, sizeof few, 0) >= 0 || errno == ECONNRESET, "recv: %s",
                      strerror(errno));
        let_pass(1, "between two drops");
        ck_assert_uint_lt(clock_mono_ms(), until);
        http_server_stats(f.server, &s);
    }
    ck_assert_uint_ge(clock_mono_ms() - began, SHORT_MS); /* not at once, and for no other reason */
}
END_TEST

/* Reads 64 KB now and then, for `ms`: more than the least rate, and far less than makes the kernel take
 * more. */
static void read_slowly(uint64_t ms)
{
    static char some[64 * KIB];
    uint64_t until = clock_mono_ms() + ms;

    while (clock_mono_ms() < until) {
        ck_assert_int_gt(recv(cs[0].fd, some, sizeof some, 0), 0);
        let_pass(50, "a reader who takes his time");
    }
}

static unsigned count_open(void)
{
    struct http_stats s;

    http_server_stats(f.server, &s);
    return s.open_connections;
}

/* The kernel takes nothing more for many time-outs, but what it has goes on to the reader: of one response,
 * or of several that he asked for at once. */
START_TEST(a_reader_that_goes_on)
{
    f.o.max_total_bytes = 0;
    f.o.send_timeout_ms = SLOW_READER_MS;
    f.o.min_rate = 1000;
    test_start(&f);
    open_from(&cs[0], 1);
    read_narrowly(cs[0].fd);
    if (_i == 0)
        client_say(&cs[0], "GET /large?40000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    for (int i = 0; i < 5 * _i; i++)
        client_say(&cs[0], "GET /large?8000000 HTTP/1.1\r\nHost: h\r\n\r\n");
    read_slowly(8 * SLOW_READER_MS);
    ck_assert_uint_eq(count_open(), 1);
    uint64_t stops = clock_mono_ms();
    test_wait_open(&f, 0); /* what he read before does not count any more: */
    ck_assert_uint_lt(clock_mono_ms() - stops, 3 * SLOW_READER_MS);
}
END_TEST

/* Requests, each together with the beginning of the next one, until the kernel takes no more of the answers:
 * what is left of them is the server's then. */
static void ask_without_reading(struct client *asker, struct client *other)
{
    uint64_t until = clock_mono_ms() + TEST_MS;

    client_say(asker, "GET /");
    do {
        while (memory() == 0) {
            ck_assert_uint_lt(clock_mono_ms(), until);
            client_say(asker, "large?15000 HTTP/1.1\r\nHost: h\r\n\r\nGET /");
            expect_alive(other); /* so that has been answered */
        }
        let_pass(SHORT_MS, "what is on its way may still leave room for more");
    } while (memory() == 0);
}

/* For a client who does not read what he was answered nothing new begins, and the time that he has is that of a
 * reader, not of one who has not said yet what he wants. */
START_TEST(nothing_begins_for_who_does_not_read)
{
    f.o.send_timeout_ms = 10 * SHORT_MS;
    f.o.head_timeout_ms = f.o.idle_timeout_ms = 10 * TEST_MS;
    test_start(&f);
    open_from(&cs[0], 2);
    open_from(&cs[1], 3);
    read_narrowly(cs[0].fd);
    say_at_once(cs[0].fd); /* else two pieces may come together */
    ask_without_reading(&cs[0], &cs[1]);
    client_say(&cs[0], "smuggled HTTP/1.1\r\nHost: h\r\n\r\nGET /");
    expect_alive(&cs[1]);
    pthread_mutex_lock(&f.app.lock);
    ck_assert_uint_eq(f.app.nsmuggled, 0);
    pthread_mutex_unlock(&f.app.lock);
    test_wait_open(&f, 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/crowds");
    TCase *t = test_case(s, "memory", setup, teardown, 20);
    tcase_add_test(t, unfinished_bodies_are_bounded_together);
    tcase_add_test(t, unread_responses_are_bounded_together);
    tcase_add_test(t, the_slowest_go_first);
    t = test_case(s, "share", setup, teardown, 20);
    tcase_add_test(t, an_address_has_a_share_of_the_memory);
    tcase_add_test(t, who_is_a_network);
    tcase_add_test(t, all_the_memory_by_default);
    t = test_case(s, "connections", setup, teardown, 4);
    tcase_add_test(t, an_address_has_a_limit);
    tcase_add_loop_test(t, nobody_is_locked_out, 0, 6);
    tcase_add_test(t, slow_bodies_lock_nobody_out);
    tcase_add_test(t, room_is_on_another_loop);
    t = test_case(s, "slow", setup, teardown, 20);
    tcase_add_loop_test(t, a_dripping_body, 0, 2);
    tcase_add_test(t, a_body_that_goes_on);
    tcase_add_test(t, a_dripping_reader);
    tcase_add_loop_test(t, a_reader_that_goes_on, 0, 2);
    tcase_add_test(t, nothing_begins_for_who_does_not_read);
    return s;
}

UNIT_MAIN(suite)
