/*
 * Pages: whoever follows Next-Page sees each object once, in the order of the whole list, whatever
 * it is sorted by; and what strangers write into a token is refused or harmless.
 */
#include "test/unit/api/api_test.h"

#define R "/v1/buckets/b/collections/c/records"

static const char *const objects[] = {
    "{}",
    "{\"n\":null,\"s\":\"\"}",
    "{\"n\":1,\"s\":\"a\"}",
    "{\"n\":1.0,\"s\":\"a\"}",
    "{\"n\":1,\"s\":\"\\u00e9\\n\\\"\"}",
    "{\"n\":\"1\",\"o\":{\"p\":1}}",
    "{\"n\":true,\"o\":{\"p\":2}}",
    "{\"n\":[1,2],\"o.p\":3}",
    "{\"n\":{\"a\":1},\"o\":5}",
    "{\"n\":123456789012345678901234567890}",
    "{\"n\":-1e10,\"last_modified\":-5}",
    "{\"n\":2,\"last_modified\":0}",
    "{\"n\":2,\"last_modified\":1234}",
    "{\"n\":2,\"last_modified\":4000000000000}",
    "{\"n\":2,\"last_modified\":4611686018427387903}", /* STORE_MAX_TIMESTAMP */
    "{\"n\":0}",                                       /* behind it */
};

static void fill(void)
{
    user = "me:x";
    want(201, "PUT", "/v1/buckets/b", NULL);
    want(201, "PUT", "/v1/buckets/b/collections/c", NULL);
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        str path = arena_printf(&keep, R "/r%02zu", i * 5 % ARRAY_LEN(objects));
        str body = arena_printf(&keep, "{\"data\":%s}", objects[i]);
        want(201, "PUT", path.p, body.p);
    }
}

static void setup_filled(void)
{
    setup();
    fill();
}

/* ---- following ------------------------------------------------------------------------------- */

/* The ids of an answer, behind those that there are. */
static void add_ids(struct buf *b, const struct fake_answer *a)
{
    const struct json *data = json_get(a->json, STR("data"));

    for (size_t i = 0; i < json_count(data); i++) {
        buf_add_str(b, json_string(json_get(json_at(data, i), STR("id"))));
        buf_add_char(b, ' ');
    }
}

/* Path and query of Next-Page, or none. */
static str next_of(const struct fake_answer *a)
{
    str url = fake_header(a, "Next-Page");

    if (str_none(url))
        return url;
    ck_assert(str_starts(url, STR("http://example.org/v1/")));
    return str_drop(url, strlen("http://example.org"));
}

static str follow(const char *method, str target)
{
    struct buf b;

    buf_init_arena(&b, &keep, MIB);
    for (int pages = 0; !str_none(target); pages++) {
        ck_assert_int_lt(pages, 100);
        struct fake_answer *a = ask_raw(method, target, NULL, STR(""));
        ck_assert_msg(a->status == 200, STR_FMT ": " STR_FMT, STR_ARG(target), STR_ARG(a->body));
        add_ids(&b, a);
        target = next_of(a);
    }
    return buf_str(&b);
}

static const char *const sorts[] = {
    "",
    "_sort=last_modified",
    "_sort=-last_modified",
    "_sort=n",
    "_sort=-n",
    "_sort=s,-n",
    "_sort=-s,n",
    "_sort=o.p",
    "_sort=-o.p,s",
    "_sort=id",
    "_sort=-id",
    "_sort=none",
    "_sort=n,n,-n",
    "_sort=last_modified,n",
    "_sort=n,last_modified,s",
    "_sort=v..x,%20-n",
    "_since=0",
    "gt_n=0&_sort=n",
    "in_n=2,1&_sort=-n",
    "in_n=2&in_n=2&_sort=n",
    "exclude_n=&exclude_n=",
    "_fields=n&_fields=s",
    "_fields=&_fields=",
    "_sort=&_sort=",
    "_fields=s&_sort=n",
};

START_TEST(every_page_once)
{
    str whole = follow("GET", arena_printf(&keep, R "?%s", sorts[_i]));

    ck_assert_uint_gt(whole.n, 0);
    for (int limit = 1; limit <= 5; limit++) {
        str paged = follow("GET", arena_printf(&keep, R "?%s&_limit=%d", sorts[_i], limit));
        ck_assert_msg(str_eq(paged, whole), "%s by %d: " STR_FMT "\nwant " STR_FMT, sorts[_i],
                      limit, STR_ARG(paged), STR_ARG(whole));
    }
}
END_TEST

/* A plural DELETE that is followed deletes all that it matches. */
START_TEST(every_page_is_deleted)
{
    str target = arena_printf(&keep, R "?%s", sorts[_i]), whole = follow("GET", target);
    str gone = follow("DELETE", arena_printf(&keep, R "?%s&_limit=3", sorts[_i]));

    ck_assert_msg(str_eq(gone, whole), "%s: " STR_FMT "\nwant " STR_FMT, sorts[_i], STR_ARG(gone),
                  STR_ARG(whole));
    str rest = follow("GET", arena_printf(&keep, R "?%s&not_deleted=true", sorts[_i]));
    ck_assert_uint_eq(rest.n, 0);
}
END_TEST

/* ---- strangers' tokens ----------------------------------------------------------------------- */

static const struct {
    const char *token;
    int status;
} tokens[] = {
    {"", 400},
    {"{}", 400},
    {"[]", 400},
    {"5", 400},
    {"null", 400},
    {"\"x\"", 400},
    {"{\"last_object\":{\"last_modified\":5},\"offset\":1}", 400},
    {"{\"last_object\":{\"last_modified\":5},\"nonce\":\"a\"}", 400},
    {"{\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":[],\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{},\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":null},\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":\"x\"},\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":true},\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":1e300},\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":9223372036854775807},\"offset\":1,\"nonce\":\"a\"}", 200},
    {"{\"last_object\":{\"last_modified\":9223372036854775808},\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":-9223372036854775808},\"offset\":1,\"nonce\":\"a\"}",
     200},
    {"{\"last_object\":{\"last_modified\":-9223372036854775809},\"offset\":1,\"nonce\":\"a\"}",
     400},
    {"{\"last_object\":{\"last_modified\":{}},\"offset\":1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":5},\"offset\":-1,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":5},\"offset\":1.5,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":5},\"offset\":true,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":5},\"offset\":\"1\",\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":5},\"offset\":9223372036854775808,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":5},\"offset\":9223372036854775807,\"nonce\":\"a\"}", 400},
    {"{\"last_object\":{\"last_modified\":5},\"offset\":1,\"nonce\":\"a\"}x", 400},
    {"{\"last_object\":{\"last_modified\":5,\"n\":\"\\u0000\"},\"offset\":1,\"nonce\":\"a\"}", 200},
    {"{\"last_object\":{\"last_modified\":4000000000001},\"offset\":1,\"nonce\":\"a\"}", 200},
    {"{\"last_object\":{\"last_modified\":1700000000001},\"offset\":1,\"nonce\":null}", 200},
    {"{\"last_object\":{\"last_modified\":1700000000001,\"id\":5},\"offset\":1,\"nonce\":{}}", 200},
    {"{\"last_object\":{\"last_modified\":1700000000001,\"id\":\"\"},\"offset\":1,\"nonce\":1}",
     200},
    {"{\"last_object\":{\"last_modified\":1700000000001,\"id\":\"\\u0000\"},\"offset\":1,"
     "\"nonce\":1}",
     200},
    {"{\"last_object\":{\"last_modified\":1700000000001,\"id\":{}},\"offset\":0,\"nonce\":1}", 200},
};

static struct fake_answer *ask_token(const char *method, str text, const char *more)
{
    str token = hash_base64_encode(&keep, text);
    struct buf b;

    buf_init_arena(&b, &keep, MIB);
    buf_printf(&b, R "?_limit=1%s&_token=", more);
    http_url_encode(&b, token, NULL);
    return ask_raw(method, buf_str(&b), NULL, STR(""));
}

START_TEST(strangers_tokens)
{
    /* An empty token is none. */
    int status = tokens[_i].token[0] ? tokens[_i].status : 200;
    struct fake_answer *a = ask_token("GET", str_from(tokens[_i].token), "");

    ck_assert_msg(a->status == status, "%s: %d " STR_FMT, tokens[_i].token, a->status,
                  STR_ARG(a->body));
    if (status == 400)
        ck_assert_str_is(at(a, "/details/0/description"), "\"_token has invalid content\"");
    str before = dump();
    a = ask_token("DELETE", str_from(tokens[_i].token), "&_sort=n");
    ck_assert_int_eq(a->status, tokens[_i].token[0] ? 400 : 200);
    ck_assert(!tokens[_i].token[0] || str_eq(dump(), before));
}
END_TEST

/* One of our own with one byte changed, or cut: a page or an error, and the server goes on. */
START_TEST(damaged_tokens)
{
    static const char other[] = {'\0', '"', '9', '{', '\xff'};
    str url = next_of(want(200, "GET", R "?_limit=2&_sort=n,-s,o.p", NULL));
    str encoded = str_drop(url, str_find_str(url, STR("_token=")) + strlen("_token="));
    str token = http_url_decode(&keep, encoded, true), text;

    ck_assert_ok(hash_base64_decode(&keep, token, &text));
    for (size_t i = 0; i < text.n; i++)
        for (size_t k = 0; k <= ARRAY_LEN(other); k++) {
            char *bytes = arena_cstr(&keep, text);
            ck_assert_ptr_nonnull(bytes);
            if (k < ARRAY_LEN(other))
                bytes[i] = other[k];
            str damaged = {bytes, k < ARRAY_LEN(other) ? text.n : i};
            struct fake_answer *a = ask_token("GET", damaged, "&_sort=n,-s,o.p");
            ck_assert(a->status == 200 || a->status == 400);
        }
    for (size_t i = 1; i < token.n; i++) {
        str target = arena_printf(&keep, R "?_token=%.*s", (int)i, token.p);
        struct fake_answer *a = ask_raw("GET", target, NULL, STR(""));
        ck_assert(a->status == 200 || a->status == 400);
    }
}
END_TEST

START_TEST(a_deletions_token_works_once)
{
    struct fake_answer *first = want(200, "DELETE", R "?_limit=2&_sort=id", NULL);
    str next = next_of(first), read = next_of(want(200, "GET", R "?_limit=2&_sort=id", NULL));
    struct fake_answer *a = ask_raw("DELETE", read, NULL, STR(""));

    ck_assert_int_eq(a->status, 400); /* a list's token is none */
    ck_assert_str_is(at(a, "/details/0/description"),
                     "\"_token was already used or has expired.\"");
    ck_assert_int_eq(ask_raw("DELETE", next, NULL, STR(""))->status, 200);
    str before = dump();
    ck_assert_int_eq(ask_raw("DELETE", next, NULL, STR(""))->status, 400);
    ck_assert(str_eq(dump(), before));
}
END_TEST

/* The limit is lowered, and Next-Page says so. */
START_TEST(limits)
{
    teardown();
    setup_bare();
    server_start(PLAIN_INI "kinto.paginate_by = 4\nkinto.storage_max_fetch_size = 3\n");
    fill();
    static const struct {
        const char *query;
        unsigned n;
    } rows[] = {{"", 3},           {"_limit=2", 2},       {"_limit=100", 3},
                {"_limit=0", 3},   {"_limit=%222%22", 2}, {"_limit=2.9", 2},
                {"_limit=1e0", 1}, {"_limit=", 3},        {"_limit=9223372036854775808", 3}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str target = arena_printf(&keep, R "?%s", rows[i].query);
        struct fake_answer *a = want(200, "GET", target.p, NULL);
        str limit = arena_printf(&keep, "_limit=%u&", rows[i].n);
        ck_assert_msg(json_count(json_get(a->json, STR("data"))) == rows[i].n, "%s", rows[i].query);
        ck_assert_msg(str_find_str(ARENA_JOIN(&keep, next_of(a), STR("&")), limit) != STR_NPOS,
                      "%s: " STR_FMT, rows[i].query, STR_ARG(next_of(a)));
    }
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {damaged_tokens, a_deletions_token_works_once, limits};
    Suite *s = suite_create("api/page");
    TCase *c = tests_of(s, "page", setup_filled, teardown, tests, ARRAY_LEN(tests));

    tcase_add_loop_test(c, every_page_once, 0, ARRAY_LEN(sorts));
    tcase_add_loop_test(c, every_page_is_deleted, 0, ARRAY_LEN(sorts));
    tcase_add_loop_test(c, strangers_tokens, 0, ARRAY_LEN(tokens));
    return s;
}

UNIT_MAIN(make_suite)
