/* The answer of an HTTP server that was called: the same in one piece and in many. */
#include "test/fuzz/peer.h"

#define MAX_HEAD 1000
#define MAX_BODY 1000

struct answer {
    enum err head, body;
    struct client_reply reply;
    str text;
};

static void read_answer(struct arena *a, str in, uint32_t random, bool is_head, struct answer *out)
{
    struct err_detail d = {.text = ""};
    struct dial *dial = malloc(sizeof *dial);

    CHECK(dial != NULL);
    int other = peer_open(dial, in, random);
    const struct client_source from = {dial, a, MAX_HEAD, MAX_BODY, &d};
    *out = (struct answer){.body = ERR_CLOSED};
    out->head = client_read_head(&from, &out->reply);
    if (out->head == OK)
        out->body = client_read_body(&from, &out->reply, is_head, &out->text);
    CHECK(out->head != ERR_TIMEOUT && out->body != ERR_TIMEOUT && !arena_failed(a));
    CHECK((out->head == OK && out->body == OK) || d.text[0] != '\0');
    dial_close(dial);
    close(other);
    free(dial);
}

static void check_reply(const struct client_reply *r)
{
    size_t bytes = 0;

    CHECK(r->status >= 200 && r->status < 600 && !(r->chunked && r->has_length));
    CHECK(r->nheaders <= HTTP_MAX_HEADERS);
    for (unsigned i = 0; i < r->nheaders; i++) {
        CHECK(http_is_token(r->headers[i].name) && client_value_valid(r->headers[i].value));
        bytes += r->headers[i].name.n + r->headers[i].value.n;
    }
    CHECK(bytes <= MAX_HEAD);
}

/* Of a body that is too large and malformed as well, the pieces decide which is seen first. */
static bool same_end(enum err a, enum err b)
{
    return a == b || (a == ERR_LIMIT && b == ERR_CORRUPT) || (a == ERR_CORRUPT && b == ERR_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    uint8_t mode = fuzz_byte(&in);
    struct answer whole, pieces;
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 4 * MIB);
    read_answer(&a, in, 0, mode & 1, &whole);
    read_answer(&a, in, 1u + mode, mode & 1, &pieces);
    CHECK(whole.head == pieces.head && same_end(whole.body, pieces.body));
    if (whole.head == OK) {
        check_reply(&whole.reply);
        CHECK(whole.reply.status == pieces.reply.status);
        CHECK(whole.reply.nheaders == pieces.reply.nheaders);
    }
    if (whole.body == OK)
        CHECK(whole.text.n <= MIN_OF((size_t)MAX_BODY, in.n) && str_eq(whole.text, pieces.text));
    arena_fini(&a);
    return 0;
}
