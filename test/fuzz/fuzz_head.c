/* The head of a request: whole, and as it may arrive in pieces. */
#include "test/fuzz/fuzz.h"

#include "http/private.h"

static const struct parse_limits limits = {.max_head_bytes = 2048, .max_target_bytes = 512};

static bool plain(str s, char low)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < low && (signed char)s.p[i] >= 0 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static void check_done(const struct head *h, const struct http_header *headers, str whole)
{
    CHECK(h->bytes > 0 && h->bytes <= whole.n && h->bytes <= limits.max_head_bytes);
    CHECK(h->nheaders <= HTTP_MAX_HEADERS);
    CHECK(http_is_token(h->method) && fuzz_within(h->method, whole));
    CHECK(h->target.n > 0 && h->target.n <= limits.max_target_bytes && plain(h->target, 0x21));
    CHECK(h->path.n > 0 && (h->path.p[0] == '/' || str_eq(h->path, STR("*"))));
    CHECK(str_find(h->path, '?') == STR_NPOS);
    CHECK(!h->chunked || (h->content_length == 0 && h->minor == 1));
    CHECK(h->content_length <= INT64_MAX);
    unsigned hosts = 0;
    for (unsigned i = 0; i < h->nheaders; i++) {
        CHECK(http_is_token(headers[i].name) && fuzz_within(headers[i].name, whole));
        CHECK(plain(headers[i].value, 0x20) && fuzz_within(headers[i].value, whole));
        hosts += str_eq_nocase(headers[i].name, STR("host"));
    }
    CHECK(hosts == 1 || (hosts == 0 && h->minor == 0));
}

static enum parse_status parse(str bytes, size_t seen, size_t *used)
{
    struct http_header *headers = calloc(HTTP_MAX_HEADERS, sizeof *headers);
    char *p = fuzz_copy(bytes);
    struct head h;

    CHECK(headers != NULL);
    enum parse_status s = parse_head(p, bytes.n, seen, &limits, headers, &h);
    if (s == PARSE_DONE)
        check_done(&h, headers, (str){p, bytes.n});
    if (s == PARSE_BAD)
        CHECK(h.status >= 400 && h.status < 600 && h.reason != NULL);
    if (s == PARSE_MORE)
        CHECK(bytes.n < limits.max_head_bytes);
    *used = h.bytes;
    free(p);
    free(headers);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    uint32_t random = fuzz_byte(&in);
    size_t used, used_now = 0, seen = 0;
    enum parse_status whole = parse(in, 0, &used), now = PARSE_MORE;

    while (now == PARSE_MORE && seen < in.n) {
        size_t more = 1 + fuzz_next(&random) % 40, n = MIN_OF(in.n, seen + more);
        now = parse(str_sub(in, 0, n), seen, &used_now);
        seen = n;
    }
    if (whole == PARSE_DONE)
        CHECK(now == PARSE_DONE && used_now == used);
    else
        CHECK(now != PARSE_DONE);
    if (whole == PARSE_DONE) /* what follows does not count */
        CHECK(parse(str_sub(in, 0, used), 0, &used_now) == PARSE_DONE && used_now == used);
    return 0;
}
