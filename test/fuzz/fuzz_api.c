/*
 * Requests to the API, on a store in memory with the plugins that need nobody else: routes, queries, filters,
 * sorts, page tokens, headers, bodies, batches, schemas. Input: requests, one after the other:
 *
 *     METHOD target LF headers, a line each LF LF body 0xff
 *
 * A line "as NAME" among the headers is Basic authentication as NAME; none is as alice, who owns a bucket
 * with a collection of three records. Each answer can be sent (test/support/fake_http.h), none is a 500,
 * and one to a stranger (as nobody) has no record of hers in it.
 */
#include <check.h>
#include <stdarg.h>

#include "test/fuzz/fuzz.h"

/* Outside of a Check program its assertions have nobody to tell. */
static void broken(const char *condition, const char *why, ...)
{
    va_list args;

    va_start(args, why);
    if (why != NULL)
        vfprintf(stderr, why, args);
    va_end(args);
    base_bug("an answer", 0, condition);
}
#undef ck_assert_msg
#define ck_assert_msg(condition, ...) ((condition) ? (void)0 : broken(#condition, __VA_ARGS__))

#include "test/unit/api/api_test.h"

#define MAX_REQUESTS 12
#define SECRET       "hers-alone"

static const char ini[] =
    "[app:main]\n"
    "multiauth.policies = basicauth\n"
    "kinto.userid_hmac_secret = secret\n"
    "kinto.default_bucket_hmac_secret = other\n"
    "kinto.experimental_collection_schema_validation = true\n"
    "kinto.experimental_permissions_endpoint = true\n"
    "kinto.batch_max_requests = 5\n"
    "kinto.paginate_by = 4\n"
    "kinto.includes = kinto.plugins.default_bucket kinto.plugins.flush kinto.plugins.history\n"
    "    kinto.plugins.quotas\n"
    "kinto.quotas.bucket_max_items = 50\n"
    "kinto.bucket_create_principals = system.Authenticated\n";

static struct fake_answer *say(const char *method, const char *target, const char *body)
{
    struct fake_answer *a = ask(method, target, NULL, body);

    CHECK(a->status < 300);
    return a;
}

#define C "/v1/buckets/b/collections/c"
static void begin(void)
{
    arena_init(&keep, NULL, 0, NULL, 512 * MIB);
    if (server.api == NULL) {
        struct err_detail d = {.text = ""};
        log_set_level(LOG_NONE);
        clock_test_wall(wall_still);
        CHECK(server_try(&server, ini, &d) == OK && api_describe(server.api) == OK);
    }
    user = "alice:secret";
    say("POST", "/v1/__flush__", "");
    say("PUT", "/v1/buckets/b", "{\"data\":{\"name\":\"x\"}}");
    say("PUT", C, "");
    say("PUT", C "/records/one", "{\"data\":{\"n\":1,\"s\":\"" SECRET "\",\"l\":[1,2]}}");
    say("PUT", C "/records/two", "{\"data\":{\"n\":2.5,\"s\":null,\"o\":{\"p\":true}}}");
    say("PUT", C "/records/three", "{\"data\":{\"n\":\"x\",\"s\":\"\"}}");
}

/* Takes the "as NAME" out. */
static str take_user(str *headers, char as[64])
{
    struct buf b;
    str rest = *headers, name = STR("alice");

    buf_init_arena(&b, &keep, rest.n + 64);
    while (!str_none(rest)) {
        str line = str_cut(&rest, '\n');
        if (str_starts(line, STR("as ")))
            name = str_sub(line, 3, 40);
        else
            buf_add_str(&b, line), buf_add_char(&b, '\n');
    }
    *headers = arena_str(&keep, buf_str(&b));
    snprintf(as, 64, STR_FMT ":secret", STR_ARG(name));
    return name;
}

static size_t count(str s, char c)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == c;
    return n;
}

/* The server lets nothing else through (http/parse.c). */
static bool is_request(str method, str target, str headers)
{
    if (!http_is_token(method) || method.n > 20 || !str_starts(target, STR("/")))
        return false;
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.p[i] <= 0x20 || target.p[i] == 0x7f || target.p[i] == '#')
            return false;
    for (size_t i = 0; i < headers.n; i++)
        if (headers.p[i] != '\n' && headers.p[i] != '\t' &&
            ((unsigned char)headers.p[i] < 0x20 || headers.p[i] == 0x7f))
            return false;
    return count(headers, '\n') < HTTP_MAX_HEADERS - 4;
}

static void request_of(str in)
{
    size_t at = str_find_str(in, STR("\n\n"));
    str head = str_sub(in, 0, at), body = at == STR_NPOS ? STR("") : str_drop(in, at + 2);
    str headers = head, target = str_cut(&headers, '\n'), method = str_cut(&target, ' ');
    char as[64];

    if (str_none(target) || !is_request(method, target, headers))
        return;
    str name = take_user(&headers, as);
    bool stranger = str_eq(name, STR("nobody"));
    user = stranger ? NULL : as;
    char *exact = fuzz_copy(body);
    struct fake_answer *a = ask_raw(arena_cstr(&keep, method), target, arena_cstr(&keep, headers),
                                    (str){exact, body.n});
    CHECK(a->status != 500);
    if (stranger)
        CHECK(str_find_str(a->body, STR(SECRET)) == STR_NPOS ||
              str_find_str(in, STR(SECRET)) != STR_NPOS);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);

    if (str_find_str(in, STR("system.Everyone")) != STR_NPOS)
        in = STR(""); /* then strangers may */
    begin();
    for (int i = 0; i < MAX_REQUESTS && in.n > 0; i++)
        request_of(fuzz_part(&in));
    arena_fini(&keep);
    return 0;
}
