/*
 * test/http/test_cors.c - preflights, and what each answer exposes to a page of another origin.
 */
#include "base/buf.h"
#include "test/support/api.h"
#include "test/support/unit.h"

#define BASE   "Alert,Backoff,Content-Length,Content-Type,Retry-After"
#define OBJECT BASE ",Cache-Control,ETag,Expires,Last-Modified,Pragma"
#define LIST   OBJECT ",Next-Page"
#define COUNT  LIST ",Total-Objects,Total-Records"

/* Is `got` ("A, B,C") the set `set` ("C,A,B")? Case counts. */
static bool same_set(const char *got, const char *set)
{
    size_t found = 0, listed = 0;
    char *copy = strdup(set), *rest = copy, *one;
    while ((one = strsep(&rest, ",")))
        listed++;
    free(copy);
    copy = strdup(got ? got : "");
    rest = copy;
    const char *padded = f(",%s,", set);
    size_t parts = 0;
    while ((one = strsep(&rest, ","))) {
        one += strspn(one, " ");
        parts++;
        found += strstr(padded, f(",%s,", one)) != NULL;
    }
    free(copy);
    return parts == listed && found == listed;
}

#define want_set_header(name, set)                                                                 \
    ck_assert_msg(same_set(header(name), set), "%s: %s, want %s", name, header(name), set)

static const struct {
    const char *path, *method, *methods, *headers;
} PREFLIGHTS[] = {
    {R, "GET", "HEAD,GET,POST,DELETE,OPTIONS", COUNT},
    {R, "POST", "HEAD,GET,POST,DELETE,OPTIONS", COUNT},
    {R "/x", "PUT", "GET,HEAD,PUT,PATCH,DELETE,OPTIONS", OBJECT},
    {R "/x", "DELETE", "GET,HEAD,PUT,PATCH,DELETE,OPTIONS", OBJECT},
    {"/buckets", "POST", "HEAD,GET,POST,DELETE,OPTIONS", COUNT},
    {"/buckets/b", "PATCH", "GET,HEAD,PUT,PATCH,DELETE,OPTIONS", OBJECT},
    {"/buckets/b/groups/g", "GET", "GET,HEAD,PUT,PATCH,DELETE,OPTIONS", OBJECT},
    {"/", "GET", "GET,HEAD,OPTIONS", BASE},
    {"/batch", "POST", "POST,OPTIONS", BASE},
    {"/__heartbeat__", "GET", "GET,HEAD,OPTIONS", BASE},
    {"/__flush__", "POST", "POST,OPTIONS", BASE},
};

START_TEST(preflight)
{
    as(NULL);
    with("Origin", "http://o.org");
    with("Access-Control-Request-Method", PREFLIGHTS[_i].method);
    call("OPTIONS", PREFLIGHTS[_i].path, NULL);
    want(200);
    want_body("null");
    want_header("Access-Control-Allow-Origin", "*");
    want_header("Access-Control-Max-Age", "3600");
    want_set_header("Access-Control-Allow-Methods", PREFLIGHTS[_i].methods);
    want_set_header("Access-Control-Allow-Headers", PREFLIGHTS[_i].headers);
}
END_TEST

START_TEST(requested_headers_are_allowed)
{
    as(NULL);
    with("Origin", "http://o.org");
    with("Access-Control-Request-Method", "PUT");
    with("Access-Control-Request-Headers", "authorization, If-Match,x-own");
    call("OPTIONS", R "/x", NULL);
    want(200);
    want_set_header("Access-Control-Allow-Headers", OBJECT ",authorization,If-Match,x-own");
}
END_TEST

static const struct {
    const char *origin, *method, *path;
    const char *name, *description;
    size_t details;
} REFUSED[] = {
    {NULL, NULL, R, "Access-Control-Request-Method", "this header is mandatory", 2},
    {"http://o.org", NULL, R, "Access-Control-Request-Method", "this header is mandatory", 1},
    {NULL, "GET", R, "Origin", "this header is mandatory", 1},
    {"http://o.org", "PUT", R, "Access-Control-Request-Method", "Method not allowed", 1},
    {"http://o.org", "POST", R "/x", "Access-Control-Request-Method", "Method not allowed", 1},
    {"http://o.org", "FOO", R, "Access-Control-Request-Method", "Method not allowed", 1},
    {"http://o.org", "DELETE", "/", "Access-Control-Request-Method", "Method not allowed", 1},
};

START_TEST(refused_preflight)
{
    as(NULL);
    if (REFUSED[_i].origin)
        with("Origin", REFUSED[_i].origin);
    if (REFUSED[_i].method)
        with("Access-Control-Request-Method", REFUSED[_i].method);
    call("OPTIONS", REFUSED[_i].path, NULL);
    want_invalid("header", REFUSED[_i].name, REFUSED[_i].description);
    want_count("/details", REFUSED[_i].details);
    want_header("Access-Control-Allow-Origin", REFUSED[_i].origin ? "*" : NULL);
}
END_TEST

static const struct {
    const char *user, *method, *path;
    int status;
    const char *exposed;
} EXPOSED[] = {
    {"alice", "GET", R, 200, LIST},
    {"alice", "HEAD", R, 200, COUNT},
    {"alice", "POST", R, 201, BASE},
    {"alice", "DELETE", R, 200, BASE},
    {"alice", "GET", R "/r", 200, OBJECT},
    {"alice", "HEAD", R "/r", 200, OBJECT},
    {"alice", "PUT", R "/r", 200, BASE},
    {"alice", "DELETE", R "/r", 200, BASE},
    {"alice", "GET", R "/zz", 404, OBJECT},
    {"alice", "DELETE", R "/zz", 404, BASE},
    {"bob", "GET", R, 403, LIST},
    {"bob", "GET", R "/r", 403, OBJECT},
    {"bob", "PUT", R "/r", 403, BASE},
    {NULL, "GET", R, 401, LIST},
    {NULL, "GET", "/buckets/b", 401, OBJECT},
    {"alice", "GET", "/buckets", 200, LIST},
    {"alice", "GET", "/buckets/b/collections/c", 200, OBJECT},
    {"alice", "GET", "/", 200, BASE},
    {"alice", "GET", "/nope", 404, BASE},
    {"alice", "GET", "/buckets/", 307, BASE},
    {"alice", "GET", R "?_since=x", 400, LIST},
};

/* The headers are exposed with an Origin and without. */
START_TEST(exposed_headers)
{
    for (int origin = 0; origin < 2; origin++) {
        as("alice");
        call("POST", "/__flush__", NULL);
        make_collection();
        put(R "/r", "{}");
        as(EXPOSED[_i].user);
        if (origin)
            with("Origin", "http://o.org");
        call(EXPOSED[_i].method, EXPOSED[_i].path, NULL);
        want(EXPOSED[_i].status);
        want_set_header("Access-Control-Expose-Headers", EXPOSED[_i].exposed);
        want_header("Access-Control-Allow-Origin", origin ? "*" : NULL);
        want_no_header("Access-Control-Allow-Credentials");
    }
}
END_TEST

START_TEST(errors_are_readable)
{
    make_collection();
    with("Origin", "http://o.org");
    call("PUT", R, "{}");
    want(405);
    want_header("Access-Control-Allow-Origin", "*");
    put(R "/r", "{}");
    with("Origin", "http://o.org");
    with("If-None-Match", "*");
    call("PUT", R "/r", "{}");
    want(412);
    want_header("Access-Control-Allow-Origin", "*");
    want_set_header("Access-Control-Expose-Headers", BASE);
    with("Origin", "http://o.org");
    with("Content-Type", "text/plain");
    call("PUT", R "/r", "{}");
    want(415);
    want_header("Access-Control-Allow-Origin", "*");
    call("GET", R "/r", NULL);
    with("Origin", "http://o.org");
    with("If-None-Match", etag());
    call("GET", R "/r", NULL);
    want(304);
    want_header("Access-Control-Allow-Origin", "*");
    want_set_header("Access-Control-Expose-Headers", OBJECT);
}
END_TEST

START_TEST(batch_parts_carry_it)
{
    make_collection();
    with("Origin", "http://o.org");
    call("POST", "/batch", "{'requests':[{'path':'" R "'}]}");
    want(200);
    want_header("Access-Control-Allow-Origin", "*");
    want_at("/responses/0/headers/Access-Control-Allow-Origin", "'*'");
}
END_TEST

START_TEST(origins_by_setting)
{
    struct server s;
    server_start(&s, &(struct server_options){.settings =
                                                  "kinto.cors_origins = http://a.org http://b.org\n"
                                                  "kinto.cors_max_age_seconds = 7"});
    api_use(s.url);
    with("Origin", "http://b.org");
    with("Access-Control-Request-Method", "GET");
    call("OPTIONS", "/buckets", NULL);
    want(200);
    want_header("Access-Control-Allow-Origin", "http://b.org");
    want_header("Access-Control-Max-Age", "7");
    with("Origin", "http://c.org");
    call("GET", "/buckets", NULL);
    want_invalid("header", "Origin", "http://c.org not allowed");
    want_no_header("Access-Control-Allow-Origin");
    with("Origin", "http://c.org"); /* told before what is wrong with the body */
    call("POST", "/batch", NULL);
    want_invalid("header", "Origin", "http://c.org not allowed");
    server_stop(&s);
}
END_TEST

/* Whoever asks: a cache that keeps an answer without the header must not give it to a page that may read it,
 * nor the other way round. */
START_TEST(an_answer_that_depends_on_the_origin_says_so)
{
    static const char *const origins[] = {NULL, "http://a.org", "http://c.org", "null"};
    static const char *const paths[] = {"/",        "/buckets",  "/buckets/b",
                                        "/nothing", "/buckets/", "/__lbheartbeat__"};
    struct server s;
    server_start(&s, &(struct server_options){
                         .settings = "kinto.cors_origins = http://a.org http://*.b.org"});
    api_use(s.url);
    for (size_t i = 0; i < ARRAY_LEN(origins); i++)
        for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
            if (origins[i])
                with("Origin", origins[i]);
            call("GET", paths[p], NULL);
            want_header("Vary", "Origin");
            want_no_header("Access-Control-Allow-Credentials");
        }
    server_stop(&s);
    server_start(&s, &(struct server_options){.settings = "kinto.cors_origins = http://a.org *"});
    api_use(s.url);
    with("Origin", "null");
    call("GET", "/", NULL);
    want_header("Access-Control-Allow-Origin", "*");
    want_no_header("Vary");
    want_no_header("Access-Control-Allow-Credentials");
    server_stop(&s);
}
END_TEST

/* What no browser sends: a star stands for a part of a host or a port only. */
START_TEST(a_star_does_not_leave_the_host)
{
    static const char *const origins[] = {
        "https://evil.org/.a.org",
        "https://evil.org?.a.org",
        "https://evil.org#.a.org",
        "https://evil.org\\.a.org",
        "https://evil.org/@x.a.org",
        "https://x@y.a.org",
        "https://x.a.org.evil.org",
        "https://x.a.org, https://y.a.org",
        "https://evil.org,.a.org",
        "https://evil.org .a.org",
        "https://xa.org",
        "http://x.a.org",
        "HTTPS://x.a.org",
        "https://x.A.org",
        "https://localhost:1/x:80",
        "null",
        "*",
        "https://*.a.org.",
    };
    struct server s;
    server_start(&s, &(struct server_options){
                         .settings = "kinto.cors_origins = https://*.a.org https://localhost:*"});
    api_use(s.url);
    for (size_t i = 0; i < ARRAY_LEN(origins); i++) {
        with("Origin", origins[i]);
        call("GET", "/", NULL);
        want(400);
        want_no_header("Access-Control-Allow-Origin");
    }
    with("Origin", "https://localhost:8443");
    call("GET", "/", NULL);
    want_header("Access-Control-Allow-Origin", "https://localhost:8443");
    server_stop(&s);
}
END_TEST

/* A star stands for any characters of a host; many of them cost no more than the length of the origin. */
START_TEST(origins_by_pattern)
{
    static const struct {
        const char *origin, *part; /* the origin ends with 1,000 times the part */
        bool allowed;
    } rows[] = {
        {"https://x.a.org", NULL, true},
        {"https://.a.org", NULL, true},
        {"https://a.org", NULL, false},
        {"https://x.a.org:80", NULL, false},
        {"http://1.a.2.a.3.b4", NULL, true},
        {"http://1.a.2.a.3.c4", NULL, false},
        {"http://.a..a..b", NULL, true},
        {"http://.a.a.b", NULL, false},
        {"http://x", ".a", false},
        {"ftp://ab", NULL, true},
        {"ftp://a", NULL, false},
        {"ftp://aab", NULL, true},
        {"http://x.a.y.a.z.b", ".b", true},
    };
    struct server s;

    server_start(&s, &(struct server_options){.settings =
                                                  "kinto.cors_origins = https://*.a.org ftp://a*b"
                                                  " http://*.a.*.a.*.b* http://*a*a*a*a*a*a*a*c"});
    api_use(s.url);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf origin;
        buf_init(&origin, MIB);
        buf_add_str(&origin, str_from(rows[i].origin));
        for (size_t n = 0; rows[i].part && n < 1000; n++)
            buf_add_str(&origin, str_from(rows[i].part));
        buf_add_char(&origin, '\0');
        with("Origin", origin.p);
        call("GET", "/", NULL);
        want(rows[i].allowed ? 200 : 400);
        want_header("Access-Control-Allow-Origin", rows[i].allowed ? origin.p : NULL);
        buf_fini(&origin);
    }
    server_stop(&s);
}
END_TEST

/* What cannot be asked for by GET exposes no more than what all answers have. */
START_TEST(preflight_where_get_is_switched_off)
{
    struct server s;
    server_start(&s,
                 &(struct server_options){.settings = "kinto.object_record_get_enabled = false\n"
                                                      "kinto.plural_record_get_enabled = false\n"
                                                      "kinto.plural_record_head_enabled = false"});
    api_use(s.url);
    for (int i = 0; i < 2; i++) {
        with("Origin", "http://b.org");
        with("Access-Control-Request-Method", "DELETE");
        call("OPTIONS", i ? R : R "/r", NULL);
        want(200);
        want_header("Access-Control-Allow-Headers",
                    "Content-Length, Alert, Backoff, Retry-After, Content-Type");
    }
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/cors");
    TCase *t = api_case(s, "preflight", NULL);
    tcase_add_loop_test(t, preflight, 0, ARRAY_LEN(PREFLIGHTS));
    tcase_add_test(t, requested_headers_are_allowed);
    tcase_add_loop_test(t, refused_preflight, 0, ARRAY_LEN(REFUSED));
    t = api_case(s, "answers", NULL);
    tcase_add_loop_test(t, exposed_headers, 0, ARRAY_LEN(EXPOSED));
    tcase_add_test(t, errors_are_readable);
    tcase_add_test(t, batch_parts_carry_it);
    t = api_case_own(s, "settings");
    tcase_add_test(t, origins_by_setting);
    tcase_add_test(t, origins_by_pattern);
    tcase_add_test(t, an_answer_that_depends_on_the_origin_says_so);
    tcase_add_test(t, a_star_does_not_leave_the_host);
    tcase_add_test(t, preflight_where_get_is_switched_off);
    return s;
}

API_MAIN(suite, NULL)
