/*
 * Handshakes of TLS while many are under way: who waits for whom, and what goes on meanwhile; and what is
 * made of first messages that offer something weak.
 *
 * What a pool thread does next is told here by gates: jobs of its pool that wait until the test opens them.
 * Between two gates of one lane each other lane has one turn, so nothing depends on how fast anything is.
 */
#include "base/net.h"
#include "base/os.h"
#include "http/private.h"
#include "test/unit/http/tls_test.h"

#include <semaphore.h>

/* ---- a first message, by hand ---------------------------------------------------------------- */

struct offer {
    uint16_t version, suite, signature, group;
    uint8_t compressions[2];
    uint8_t ncompressions;
    uint16_t extension; /* one more, empty; 0: none */
};

#define TLS_1_2        0x0303
#define ECDHE_AES_GCM  0xc02b /* TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 */
#define ECDSA_SHA256   0x0403
#define ECDSA_SHA1     0x0203
#define P_256          0x0017
#define EARLY_DATA     0x002a
#define NOT_COMPRESSED {0}, 1

static const struct offer good = {TLS_1_2, ECDHE_AES_GCM, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0};

static void add_u16(struct buf *b, unsigned n)
{
    buf_add_char(b, (char)(n >> 8));
    buf_add_char(b, (char)n);
}

/* A list of one number of 16 bits. */
static void add_extension(struct buf *b, unsigned type, unsigned number)
{
    add_u16(b, type);
    add_u16(b, 4);
    add_u16(b, 2);
    add_u16(b, number);
}

static void put_u16(struct buf *b, size_t at, size_t n)
{
    b->p[at] = (char)(n >> 8);
    b->p[at + 1] = (char)n;
}

/* A ClientHello (RFC 5246, 7.4.1.2) in one record. */
static str hello_of(struct buf *b, const struct offer *o)
{
    size_t extensions;

    buf_init(b, KIB);
    buf_add_str(b, (str){"\x16\x03\x01\0\0\x01\0\0\0", 9});
    add_u16(b, o->version);
    for (int i = 0; i < 32; i++)
        buf_add_char(b, 'r');
    buf_add_char(b, 0); /* no session */
    add_u16(b, 2);
    add_u16(b, o->suite);
    buf_add_char(b, (char)o->ncompressions);
    buf_add_str(b, (str){(const char *)o->compressions, o->ncompressions});
    extensions = b->n;
    add_u16(b, 0);
    add_extension(b, 0x000d, o->signature);
    add_extension(b, 0x000a, o->group);
    if (o->extension != 0) {
        add_u16(b, o->extension);
        add_u16(b, 0);
    }
    ck_assert(!buf_failed(b));
    put_u16(b, extensions, b->n - extensions - 2);
    put_u16(b, 7, b->n - 9);
    put_u16(b, 3, b->n - 5);
    return buf_str(b);
}

/* ---- what is not good enough ----------------------------------------------------------------- */

static const struct {
    const char *name;
    struct offer offer;
    bool served;
} offers[] = {
    {"good", {TLS_1_2, ECDHE_AES_GCM, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, true},
    {"SSL 3", {0x0300, ECDHE_AES_GCM, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, false},
    {"TLS 1.0", {0x0301, 0xc009, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, false},
    {"TLS 1.1", {0x0302, 0xc009, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, false},
    {"CBC", {TLS_1_2, 0xc023, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, false},
    {"CCM with a short tag", {TLS_1_2, 0xc0ae, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, false},
    {"RC4", {TLS_1_2, 0xc007, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, false},
    {"no encryption", {TLS_1_2, 0xc006, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, false},
    {"a key that stays", {TLS_1_2, 0x009c, ECDSA_SHA256, P_256, NOT_COMPRESSED, 0}, false},
    {"SHA-1", {TLS_1_2, ECDHE_AES_GCM, ECDSA_SHA1, P_256, NOT_COMPRESSED, 0}, false},
    {"a small curve", {TLS_1_2, ECDHE_AES_GCM, ECDSA_SHA256, 0x0013, NOT_COMPRESSED, 0}, false},
    /* What is asked for and not granted. */
    {"DEFLATE", {TLS_1_2, ECDHE_AES_GCM, ECDSA_SHA256, P_256, {1, 0}, 2, 0}, true},
    {"early data", {TLS_1_2, ECDHE_AES_GCM, ECDSA_SHA256, P_256, NOT_COMPRESSED, EARLY_DATA}, true},
};

/* A ServerHello up to what it says of compression; an alert, or the end, if there is none. */
static bool is_answered(struct client *c, uint8_t *compression)
{
    size_t at = 44; /* behind the length of the session's id, which is the last of these */

    while (c->n < at + 3) {
        if (client_fill(c) == 0)
            return false;
        if (c->buf[c->at] != 0x16)
            return false;
        if (c->n >= 44)
            at = 44 + (uint8_t)c->buf[c->at + 43];
    }
    ck_assert_int_eq(c->buf[c->at + 5], 2);
    *compression = (uint8_t)c->buf[c->at + at + 2];
    return true;
}

START_TEST(weak_offers)
{
    struct client c;
    struct buf b;
    uint8_t compression = 0xff;

    test_start(&f);
    client_open(&c, &f);
    client_send(&c, hello_of(&b, &offers[_i].offer));
    ck_assert_msg(is_answered(&c, &compression) == offers[_i].served, "%s", offers[_i].name);
    if (offers[_i].served)
        ck_assert_uint_eq(compression, 0);
    client_close(&c);
    buf_fini(&b);
    test_wait_open(&f, 0);
}
END_TEST

/* ---- gates ----------------------------------------------------------------------------------- */

struct gate {
    struct pool_job job;
    sem_t reached, open;
};

static struct gate gates[40];
static unsigned ngates; /* submitted; the thread waits at the last one */
static uint64_t gate_lane;

static void wait_at_gate(struct pool_job *job, bool dropped)
{
    struct gate *g = CONTAINER_OF(job, struct gate, job);

    sem_post(&g->reached);
    if (!dropped)
        sem_wait(&g->open);
}

/* Until the next gate: one job of each lane that has any. */
static void one_round(void)
{
    struct gate *g = &gates[ngates];

    ck_assert_uint_lt(ngates, ARRAY_LEN(gates));
    g->job.run = wait_at_gate;
    sem_init(&g->reached, 0, 0);
    sem_init(&g->open, 0, 0);
    ck_assert_int_eq(pool_submit(f.server->loops[0].handshakes, &g->job, gate_lane), OK);
    if (ngates > 0)
        sem_post(&gates[ngates - 1].open);
    ngates++;
    sem_wait(&g->reached);
}

/* ---- a flood --------------------------------------------------------------------------------- */

#define FLOOD      100
#define FLOOD_FROM 2 /* 127.0.0.x */

static struct client flood[FLOOD];
static struct client other; /* a client without TLS on the same loop */

static uint64_t lane_from(unsigned from)
{
    char address[32];
    int n = snprintf(address, sizeof address, "127.0.0.%u", from);

    return net_network((str){address, (size_t)n}) % POOL_LANES;
}

/* An address whose lane is neither of these two. */
static unsigned address_beside(uint64_t one, uint64_t two)
{
    unsigned from = FLOOD_FROM + 1;

    while (lane_from(from) == one || lane_from(from) == two)
        from++;
    return from;
}

/* n sessions are there, and what has come for the loop so far has been looked at. */
static void wait_sessions(size_t n)
{
    uint64_t until = clock_mono_ms() + TEST_MS;
    struct http_stats s;

    do {
        http_server_stats(f.server, &s);
        ck_assert_uint_lt(clock_mono_ms(), until);
        wait_tick();
    } while (s.memory_bytes < n * TLS_SESSION_BYTES);
    expect_alive(&other);
}

static unsigned flood_answered(void)
{
    struct pollfd p[FLOOD];

    for (size_t i = 0; i < FLOOD; i++)
        p[i] = (struct pollfd){flood[i].fd, POLLIN, 0};
    return (unsigned)poll(p, FLOOD, 0);
}

static void begin_flood(void)
{
    struct buf b;
    str hello = hello_of(&b, &good);

    for (size_t i = 0; i < FLOOD; i++) {
        client_adopt(&flood[i], test_connect_from(f.port, FLOOD_FROM));
        client_send(&flood[i], hello);
    }
    buf_fini(&b);
}

/* The rest of a handshake whose first message has been sent: how many rounds it takes, when a round is one
 * job of each lane. */
static unsigned rounds_to_go(struct tls_client *t, size_t sessions)
{
    unsigned rounds = 0;
    int r;

    while ((r = mbedtls_ssl_handshake(&t->ssl)) == MBEDTLS_ERR_SSL_WANT_READ) {
        wait_sessions(sessions);
        one_round();
        rounds++;
        ck_assert_uint_lt(rounds, 10);
    }
    ck_assert_int_eq(r, 0);
    wait_sessions(sessions);
    one_round(); /* with TLS 1.3 the last word is the client's */
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_fd, NULL);
    return rounds + 1;
}

static unsigned rounds_of(struct tls_client *t, size_t sessions)
{
    tls_begin(t);
    return rounds_to_go(t, sessions);
}

static void flood_begin(unsigned most_connections)
{
    tls_setup();
    f.o.loops = 1;
    f.o.max_connections = most_connections;
    f.o.head_timeout_ms = 60000; /* nobody is late here */
    test_start(&f);
    ngates = 0;
    client_adopt(&other, test_connect(http_server_port(f.server, 1)));
}

static void flood_setup(void)
{
    flood_begin(0);
}

/* There is room for the flood, and for nobody else. */
static void full_setup(void)
{
    flood_begin(FLOOD + 1);
}

static void flood_teardown(void)
{
    if (ngates > 0)
        sem_post(&gates[ngates - 1].open);
    for (size_t i = 0; i < FLOOD; i++)
        if (flood[i].buf != NULL)
            client_close(&flood[i]);
    client_close(&other);
    tls_teardown();
}

/* A hundred clients of one network want a handshake; while they wait, a client of another network gets his,
 * a turn for each of theirs. */
START_TEST(floods_wait_behind_themselves)
{
    struct tls_client t;
    unsigned from, rounds;

    gate_lane = lane_from(FLOOD_FROM) + 1;
    from = address_beside(lane_from(FLOOD_FROM), gate_lane % POOL_LANES);
    one_round();
    begin_flood();
    wait_sessions(FLOOD);
    ck_assert_uint_eq(flood_answered(), 0); /* the gate is closed */
    comes_from = from;
    tls_prepare(&t);
    say_at_once(t.fd);
    rounds = rounds_of(&t, FLOOD + 1);
    ck_assert_uint_le(rounds, 4);
    ck_assert_uint_eq(flood_answered(), rounds);
    tls_expect_alive(&t);
    tls_close(&t);
}
END_TEST

/* As out_fd(), but there is room for `slice` bytes in all. */
static int out_part(void *arg, const unsigned char *p, size_t n)
{
    struct tls_client *t = arg;
    int r;

    if (t->slice == 0)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    r = out_fd(t, p, n);
    t->slice -= (size_t)MAX_OF(r, 0);
    return r;
}

/* As tls_begin(), but only the first bytes of the message go out; mbedtls_ssl_handshake() sends the rest. */
static void begin_with(struct tls_client *t, size_t bytes)
{
    tls_set_up(t);
    mbedtls_ssl_set_bio(&t->ssl, t, out_part, in_nothing, NULL);
    t->slice = bytes;
    ck_assert_int_eq(mbedtls_ssl_handshake(&t->ssl), MBEDTLS_ERR_SSL_WANT_WRITE);
    t->slice = SIZE_MAX;
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_nothing, NULL);
}

static void go_on(struct tls_client *t)
{
    ck_assert_int_eq(mbedtls_ssl_handshake(&t->ssl), MBEDTLS_ERR_SSL_WANT_READ);
    mbedtls_ssl_set_bio(&t->ssl, t, out_fd, in_now, NULL);
}

/* How the first message comes. */
enum coming { WHOLE, IN_TWO_TURNS, IN_TWO_PIECES_BEFORE_ITS_TURN, COMINGS };

static void say_hello(struct tls_client *t, enum coming how)
{
    if (how == WHOLE) {
        tls_begin(t);
        return;
    }
    begin_with(t, 100);
    wait_sessions(1);
    if (how == IN_TWO_TURNS)
        one_round();
    go_on(t);
}

/* A round in which nobody says anything more; what came of it is known to the loop. */
static void idle_round(void)
{
    expect_alive(&other);
    one_round();
    expect_alive(&other); /* perhaps in the middle of the turn in which it hears of it */
    expect_alive(&other);
}

/* What has been computed for an answer is not in vain: who was answered gets the rest before a hundred others of
 * his own network, of whom each waits for the first turn. Be it that his first message came in pieces, or that he
 * takes his time. */
START_TEST(who_was_answered_goes_on)
{
    struct tls_client t;

    gate_lane = lane_from(FLOOD_FROM) + 1;
    one_round();
    comes_from = FLOOD_FROM;
    tls_prepare(&t);
    say_at_once(t.fd);
    say_hello(&t, (enum coming)_i);
    wait_sessions(1);
    begin_flood();
    wait_sessions(FLOOD + 1);
    idle_round();
    idle_round();
    ck_assert_uint_le(rounds_to_go(&t, FLOOD + 1), 4);
    ck_assert_uint_lt(flood_answered(), FLOOD / 2);
    tls_expect_alive(&t);
    tls_close(&t);
}
END_TEST

/* Who was not answered yet waits with all the others of his network, be it his second turn: one byte of a
 * first message is for nothing. */
START_TEST(a_byte_buys_no_precedence)
{
    struct client sly;
    struct buf b;
    str hello = hello_of(&b, &good);

    gate_lane = lane_from(FLOOD_FROM) + 1;
    one_round();
    client_adopt(&sly, test_connect_from(f.port, FLOOD_FROM));
    client_send(&sly, str_sub(hello, 0, 1));
    wait_sessions(1);
    one_round();
    begin_flood();
    wait_sessions(FLOOD + 1);
    client_send(&sly, str_drop(hello, 1));
    expect_alive(&other);
    one_round();
    ck_assert_uint_gt(flood_answered(), 0);
    ck_assert_int_eq(poll(&(struct pollfd){sly.fd, POLLIN, 0}, 1, 0), 0);
    client_close(&sly);
    buf_fini(&b);
}
END_TEST

/* No handshake gets on at all, and those who are through with theirs, or want none, are served as ever. */
START_TEST(requests_wait_for_no_handshake)
{
    struct tls_client t;

    comes_from = 1;
    tls_open(&t);
    tls_expect_alive(&t);
    gate_lane = lane_from(FLOOD_FROM) + 1;
    one_round();
    begin_flood();
    wait_sessions(FLOOD + 1);
    for (int i = 0; i < 100; i++) {
        tls_expect_alive(&t);
        expect_alive(&other);
    }
    ck_assert_uint_eq(flood_answered(), 0);
    tls_close(&t);
}
END_TEST

/* How many of the flood the server has closed. */
static unsigned flood_ended(void)
{
    unsigned ended = 0;
    char byte;

    for (size_t i = 0; i < FLOOD; i++)
        ended += recv(flood[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    return ended;
}

/* All places are taken by handshakes for which nothing was computed yet: one of them goes for who comes
 * next, and he is the first one to be served. */
START_TEST(handshakes_that_wait_make_room)
{
    uint64_t until = clock_mono_ms() + TEST_MS;
    struct tls_client t;

    gate_lane = lane_from(FLOOD_FROM) + 1;
    one_round();
    begin_flood();
    wait_sessions(FLOOD);
    comes_from = address_beside(lane_from(FLOOD_FROM), gate_lane % POOL_LANES);
    tls_prepare(&t);
    while (flood_ended() == 0) {
        ck_assert_uint_lt(clock_mono_ms(), until);
        wait_tick();
    }
    sem_post(&gates[--ngates].open);
    ck_assert_int_eq(tls_shake(&t), 0);
    tls_expect_alive(&t);
    ck_assert_uint_eq(flood_ended(), 1);
    tls_close(&t);
}
END_TEST

/* Without a word, and without waiting for one. */
static void reset_at_close(int fd)
{
    struct linger reset = {1, 0};

    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
}

/* Nothing is computed for those who are gone, and their places are free at once. */
START_TEST(a_handshake_for_nobody)
{
    gate_lane = lane_from(FLOOD_FROM) + 1;
    one_round();
    begin_flood();
    wait_sessions(FLOOD);
    for (size_t i = 0; i < FLOOD; i++) {
        reset_at_close(flood[i].fd);
        client_close(&flood[i]);
    }
    test_wait_open(&f, 1);
}
END_TEST

#if !SANITIZED /* whose malloc is another one */

/* Bytes of this process that are in memory. */
static size_t resident(void)
{
    char *text = NULL, *second;
    size_t n, there;

    ck_assert_int_eq(os_read_file("/proc/self/statm", 4096, &text, &n, NULL), OK);
    second = strchr(text, ' ');
    ck_assert_ptr_nonnull(second);
    there = strtoul(second, NULL, 10);
    free(text);
    return there * (size_t)sysconf(_SC_PAGESIZE);
}

/* Connections of which each has a session, and then none of them. */
static void come_and_go(size_t n)
{
    int fds[450];

    ck_assert_uint_le(n, ARRAY_LEN(fds));
    for (size_t i = 0; i < n; i++) {
        fds[i] = test_connect_from(f.port, FLOOD_FROM);
        ck_assert_int_eq(send(fds[i], "\x16", 1, 0), 1);
    }
    wait_sessions(n);
    for (size_t i = 0; i < n; i++) {
        reset_at_close(fds[i]);
        close(fds[i]);
    }
    test_wait_open(&f, 1);
}

/* What hundreds of sessions needed does not stay with the process when they are gone. */
START_TEST(memory_goes_back)
{
    struct tls_client t;
    uint64_t until;
    size_t before;

    tls_open(&t); /* all that is made once is there */
    tls_expect_alive(&t);
    tls_close(&t);
    expect_alive(&other);
    before = resident();
    gate_lane = lane_from(FLOOD_FROM) + 1;
    one_round();
    come_and_go(450);
    come_and_go(450); /* memory that was used before is cleared, and so is in use */
    ck_assert_uint_gt(resident(), before + 10 * MIB);
    until = clock_mono_ms() + TEST_MS;
    while (resident() > before + 4 * MIB) {
        ck_assert_msg(clock_mono_ms() < until, "%zu KiB, not %zu", resident() / KIB, before / KIB);
        wait_tick();
    }
}
END_TEST

#endif

static Suite *suite(void)
{
    Suite *s = suite_create("http/handshakes");
    TCase *t = test_case(s, "offers", tls_setup, tls_teardown, 20);

    tcase_add_loop_test(t, weak_offers, 0, (int)ARRAY_LEN(offers));
    t = test_case(s, "floods", flood_setup, flood_teardown, 30);
    tcase_add_test(t, floods_wait_behind_themselves);
    tcase_add_loop_test(t, who_was_answered_goes_on, 0, COMINGS);
    tcase_add_test(t, a_byte_buys_no_precedence);
    tcase_add_test(t, requests_wait_for_no_handshake);
    tcase_add_test(t, a_handshake_for_nobody);
#if !SANITIZED
    tcase_add_test(t, memory_goes_back);
#endif
    t = test_case(s, "full", full_setup, flood_teardown, 30);
    tcase_add_test(t, handshakes_that_wait_make_room);
    return s;
}

UNIT_MAIN(suite)
