/*
 * A connection of the real server, from its first byte to its end: the input is what the client sends, at
 * once and then in pieces. The same requests are served, and what comes back are whole answers. The
 * application answers with what it understood of each request, so that two ways of reading one would show.
 *
 * Input: a byte that says how the pieces are cut, and the bytes. Pieces that the kernel joins again do no
 * harm.
 */
#include "test/fuzz/fuzz.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "http/http.h"

#define REPLIES     (256 * KIB)
#define DEADLINE_MS 4000

static char path[64];

static void *loop_start(void *ctx, unsigned index)
{
    (void)index;
    return ctx;
}

static void loop_stop(void *loop)
{
    (void)loop;
}

static void answer(struct http_req *req)
{
    char hex[2 * HASH_SHA256_LEN + 1];

    hash_hmac_sha256_hex(STR("k"), req->body, hex);
    req->res.status = 200;
    req->res.body =
        arena_printf(req->arena, STR_FMT "|" STR_FMT "|" STR_FMT "|%u|%zu|%s", STR_ARG(req->method),
                     STR_ARG(req->path), STR_ARG(req->query), req->nheaders, req->body.n, hex);
    http_header_add(&req->res, STR("X-Host"), http_header_get(req, STR("Host")));
    http_respond(req);
}

static void handle(void *loop, struct http_req *req)
{
    (void)loop;
    if (str_eq(req->path, STR("/park")))
        http_resume(req);
    else
        answer(req);
}

static void resume(void *loop, struct http_req *req)
{
    (void)loop;
    answer(req);
}

static void stop(void)
{
    unlink(path);
}

static void start(void)
{
    static char host[sizeof path + 5];
    struct http_server *server;
    struct err_detail d = {.text = ""};
    static int ctx;

    log_set_level(LOG_NONE);
    snprintf(path, sizeof path, "/tmp/kinto-fuzz-%d", (int)getpid());
    snprintf(host, sizeof host, "unix:%s", path);
    const struct http_listen listen = {.host = str_from(host)};
    const struct http_options o = {
        .listen = &listen,
        .nlisten = 1,
        .loops = 1,
        .app = {.ctx = &ctx,
                .loop_start = loop_start,
                .loop_stop = loop_stop,
                .handle = handle,
                .resume = resume},
        .max_head_bytes = 2 * KIB,
        .max_target_bytes = 512,
        .max_body_bytes = 3 * KIB,
    };
    CHECK(http_server_start(&server, &o, &d) == OK);
    CHECK(atexit(stop) == 0);
}

static int dial(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    memcpy(a.sun_path, path, sizeof path);
    CHECK(connect(fd, (const void *)&a, sizeof a) == 0);
    return fd;
}

/* All that comes until the server has closed. */
static size_t read_all(int fd, char *out)
{
    size_t n = 0;
    ssize_t got;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    do {
        int ready;
        while ((ready = poll(&p, 1, DEADLINE_MS)) < 0 && errno == EINTR)
            continue;      /* the fuzzer's own clock */
        CHECK(ready == 1); /* or it hangs */
        got = recv(fd, out + n, REPLIES - n, 0);
        if (got > 0)
            n += (size_t)got;
    } while (got > 0 && n < REPLIES);
    return n;
}

static size_t talk(str in, uint32_t random, bool pieces, char *out)
{
    int fd = dial();

    for (int i = 0; in.n > 0; i++) {
        str piece = pieces && i < 20 ? str_sub(in, 0, 1 + fuzz_next(&random) % 200) : in;
        ssize_t sent = send(fd, piece.p, piece.n, MSG_NOSIGNAL);
        if (sent <= 0)
            break; /* it has refused and closed */
        in = str_drop(in, (size_t)sent);
    }
    (void)!shutdown(fd, SHUT_WR);
    size_t n = read_all(fd, out);
    close(fd);
    return n;
}

/* The next answer's end; it must be whole. */
static str next_answer(str *rest)
{
    size_t head = str_find_str(*rest, STR("\r\n\r\n")), body = 0;
    size_t at = str_find_str(*rest, STR("Content-Length: "));
    uint64_t n = 0;

    CHECK(head != STR_NPOS && str_starts(*rest, STR("HTTP/1.1 ")));
    if (at < head) {
        str digits = str_drop(*rest, at + 16);
        while (body < digits.n && str_is_digit(digits.p[body]))
            body++;
        CHECK(str_to_u64(str_sub(digits, 0, body), &n) == OK);
    }
    CHECK(rest->n - head - 4 >= n);
    str whole = str_sub(*rest, 0, head + 4 + (size_t)n);
    *rest = str_drop(*rest, whole.n);
    return whole;
}

/* Without the Date, which may be another second's. */
static str without_date(struct arena *a, str s)
{
    size_t at = str_find_str(s, STR("Date: "));

    return at == STR_NPOS ? s : ARENA_JOIN(a, str_sub(s, 0, at), str_drop(s, at + 35));
}

/* Is the next no refusal? Interim answers, which the client gets if it has been too slow, are passed over. */
static bool is_served(str *s)
{
    str interim = STR("HTTP/1.1 100 Continue\r\n\r\n");

    while (str_starts(*s, interim))
        *s = str_drop(*s, interim.n);
    return str_starts(*s, STR("HTTP/1.1 200 "));
}

/* The last may be a refusal, and its reason another: what is wrong with a head that is not whole is seen
 * when it comes at once, and not looked for when it comes bit by bit. */
static void end_of(str rest)
{
    if (rest.n > 0)
        (void)next_answer(&rest);
    CHECK(rest.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[2][REPLIES];
    str in = fuzz_input(data, size);
    uint32_t random = fuzz_byte(&in);
    struct arena a;

    if (path[0] == '\0')
        start();
    if (str_find_str(in, STR("HEAD ")) != STR_NPOS)
        return -1; /* its answers are not told from what follows them */
    str whole = {out[0], talk(in, 0, false, out[0])};
    str parts = {out[1], talk(in, random, true, out[1])};
    arena_init(&a, NULL, 0, NULL, 4 * MIB);
    for (;;) {
        bool served = is_served(&whole);
        CHECK(is_served(&parts) == served);
        if (!served)
            break;
        CHECK(str_eq(without_date(&a, next_answer(&whole)), without_date(&a, next_answer(&parts))));
    }
    end_of(whole);
    end_of(parts);
    arena_fini(&a);
    return 0;
}
