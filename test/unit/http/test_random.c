/*
 * Random conversations: several connections at once, each a pipeline of random requests (methods,
 * framings, sizes, parked ones) sent in random pieces. Each answer must be the one that its request
 * asks for, in order. A failure names its seed; that seed gives the same bytes again.
 */
#include "test/support/wait.h"
#include "test/unit/http/server_test.h"

#include <stdatomic.h>

#define TALKERS  4
#define REQUESTS 120

enum kind { GET, HEAD, PUT_LENGTH, PUT_CHUNKED, BIG, PARK, STATUS_204, KINDS };

struct request {
    enum kind kind;
    size_t size; /* of the body that is sent (PUT) or asked for (BIG) */
};

struct talker {
    unsigned seed;
    uint64_t random;
    struct client c;
    struct request requests[REQUESTS];
    struct buf bytes;
    pthread_t writer, reader;
};

static struct fixture f;
static atomic_bool enough;

static size_t pick(uint64_t *state, size_t below) /* xorshift64 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (size_t)(*state % below);
}

/* Small ones mostly, and now and then one around the size of a buffer. */
static size_t pick_size(uint64_t *state)
{
    static const size_t limits[] = {10, 300, 5000, 20000, 70000};
    return pick(state, limits[pick(state, ARRAY_LEN(limits))]);
}

static void put_pattern(struct buf *b, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++)
        buf_add_char(b, test_pattern(i));
}

static void put_chunks(struct talker *t, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t most = 1 + pick_size(&t->random), n = MIN_OF(most, size - at);
        buf_printf(&t->bytes, "%zx%s\r\n", n, pick(&t->random, 4) == 0 ? " ;ext" : "");
        put_pattern(&t->bytes, at, n);
        buf_add_lit(&t->bytes, "\r\n");
        at += n;
    }
    buf_printf(&t->bytes, "0\r\n%s\r\n", pick(&t->random, 4) == 0 ? "T: x\r\n" : "");
}

static void put_request(struct talker *t, const struct request *q, int i)
{
    struct buf *b = &t->bytes;
    const char *expect = pick(&t->random, 8) == 0 ? "Expect: 100-continue\r\n" : "";

    switch (q->kind) {
    case GET:
    case HEAD:
        buf_printf(b, "%s /n%d HTTP/1.1\r\nHost: h\r\n\r\n", q->kind == GET ? "GET" : "HEAD", i);
        return;
    case BIG:
        buf_printf(b, "GET /big?%zu HTTP/1.1\r\nHost: h\r\n\r\n", q->size);
        return;
    case PARK:
        buf_printf(b, "GET /park?%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
        return;
    case STATUS_204:
        buf_add_lit(b, "GET /status?204 HTTP/1.1\r\nHost: h\r\n\r\n");
        return;
    case PUT_LENGTH:
        buf_printf(b, "PUT /n%d HTTP/1.1\r\nHost: h\r\n%sContent-Length: %zu\r\n\r\n", i, expect,
                   q->size);
        put_pattern(b, 0, q->size);
        return;
    case PUT_CHUNKED:
        buf_printf(b, "PUT /n%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n%s\r\n", i,
                   expect);
        put_chunks(t, q->size);
        return;
    case KINDS:
        break;
    }
    ck_abort();
}

static void *write_all(void *arg)
{
    struct talker *t = arg;
    uint64_t random = t->random;

    for (size_t at = 0; at < t->bytes.n;) {
        size_t most = 1 + pick_size(&random), n = MIN_OF(most, t->bytes.n - at);
        client_send(&t->c, (str){t->bytes.p + at, n});
        at += n;
    }
    return NULL;
}

static void check_body(const struct talker *t, str body, const char *prefix, size_t size)
{
    size_t n = strlen(prefix);

    ck_assert_msg(body.n == n + size && memcmp(body.p, prefix, n) == 0,
                  "seed %u: \"%.40s\" (%zu bytes), want \"%s\" and %zu", t->seed, body.p, body.n,
                  prefix, size);
    for (size_t i = 0; i < size; i++)
        if (body.p[n + i] != test_pattern(i))
            ck_abort_msg("seed %u: byte %zu of %s differs", t->seed, i, prefix);
}

static void check_reply(const struct talker *t, const struct reply *r, int i)
{
    const struct request *q = &t->requests[i];
    char prefix[64] = "";

    ck_assert_msg(r->status == (q->kind == STATUS_204 ? 204 : 200),
                  "seed %u: request %d: %d \"%.60s\"", t->seed, i, r->status, r->body.p);
    if (q->kind == GET || q->kind == HEAD)
        snprintf(prefix, sizeof prefix, "GET /n%d|", i);
    else if (q->kind == PARK)
        snprintf(prefix, sizeof prefix, "GET /park?%d|", i);
    else if (q->kind == PUT_LENGTH || q->kind == PUT_CHUNKED)
        snprintf(prefix, sizeof prefix, "PUT /n%d|", i);
    if (q->kind == HEAD)
        ck_assert_uint_eq(reply_length(r), strlen(prefix) + 1); /* "HEAD" is longer than "GET" */
    else if (q->kind != STATUS_204)
        check_body(t, r->body, prefix, q->size);
}

static void *read_all(void *arg)
{
    struct talker *t = arg;
    struct reply r = {.status = 0};

    for (int i = 0; i < REQUESTS; i++) {
        do
            reply_read(&t->c, &r, t->requests[i].kind != HEAD);
        while (r.status == 100);
        check_reply(t, &r, i);
    }
    reply_free(&r);
    return NULL;
}

static void *release_all(void *arg)
{
    (void)arg;
    while (!atomic_load(&enough))
        if (test_release(&f.app) == 0)
            wait_tick();
    return NULL;
}

static void talker_init(struct talker *t, unsigned seed)
{
    t->seed = seed;
    t->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    buf_init(&t->bytes, 64 * MIB);
    for (int i = 0; i < REQUESTS; i++) {
        struct request *q = &t->requests[i];
        q->kind = (enum kind)pick(&t->random, KINDS);
        q->size = q->kind == PUT_LENGTH || q->kind == PUT_CHUNKED || q->kind == BIG
                      ? pick_size(&t->random)
                      : 0;
        put_request(t, q, i);
    }
    ck_assert(!buf_failed(&t->bytes));
    client_open(&t->c, &f);
}

START_TEST(conversations)
{
    static struct talker talkers[TALKERS];
    pthread_t releaser;

    test_prepare(&f);
    f.o.loops = 1 + (unsigned)_i % 2;
    test_start(&f);
    atomic_store(&enough, false);
    ck_assert_int_eq(pthread_create(&releaser, NULL, release_all, NULL), 0);
    for (unsigned k = 0; k < TALKERS; k++) {
        struct talker *t = &talkers[k];
        talker_init(t, (unsigned)_i * TALKERS + k);
        ck_assert_int_eq(pthread_create(&t->writer, NULL, write_all, t), 0);
        ck_assert_int_eq(pthread_create(&t->reader, NULL, read_all, t), 0);
    }
    for (unsigned k = 0; k < TALKERS; k++) {
        struct talker *t = &talkers[k];
        pthread_join(t->writer, NULL);
        pthread_join(t->reader, NULL);
        client_close(&t->c);
        buf_fini(&t->bytes);
    }
    test_wait_open(&f, 0);
    atomic_store(&enough, true);
    pthread_join(releaser, NULL);
    test_stop(&f);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/random");
    TCase *t = tcase_create("random");

    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, conversations, 0, 25);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
