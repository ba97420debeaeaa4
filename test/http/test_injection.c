/*
 * test/http/test_injection.c - what strangers write into a request and get back in another place: redirects
 * stay on this server, no header comes out of a path, a query or an id, URLs in answers are those of the
 * host that was asked for, errors are nothing that a browser would run, and no id is a path in the file
 * system.
 */
#include <dirent.h>
#include <unistd.h>

#include "base/os.h"
#include "test/support/api.h"
#include "test/support/unit.h"

/* ---- redirects ------------------------------------------------------------------------------- */

static const char *const elsewhere[] = {
    "//evil.example/",
    "///evil.example/",
    "//evil.example/%2e%2e",
    "/\\evil.example/",
    "/%5cevil.example/",
    "/%5c%5cevil.example/",
    "/%2f%2fevil.example/",
    "/%09/evil.example/",
    "/%0a/evil.example/",
    "/@evil.example/",
    "/.evil.example/",
    "/:80@evil.example/",
    "/v1//evil.example/",
    "/v1///evil.example//",
    "/v1/%2f%2fevil.example/",
    "/v1/buckets/?x=//evil.example/",
    "/v1/http://evil.example/",
    "/http://evil.example/",
    "http:////evil.example/",
    "/v1/x%0d%0aSet-Cookie:%20a=b/",
    "/x%0d%0aSet-Cookie:%20a=b",
    "/v1/buckets/?x=%0d%0aSet-Cookie:%20a=b",
    "/v1/x%E5%98%8D%E5%98%8ASet-Cookie:%20a=b/", /* CR and LF, when they are cut to bytes */
    "/v1/%00/",
};

/* Where a browser would go, if anywhere: to this server, and below its API. */
static void want_here(const char *target)
{
    const char *to = header("Location"), *here = f("%s/v1/", api_url);
    want_no_header("Set-Cookie");
    if (re.status / 100 != 3)
        return;
    ck_assert_msg(to && strncmp(to, here, strlen(here)) == 0, "%s leads to %s", target, to);
    for (const char *c = to; *c && *c != '?'; c++)
        ck_assert_msg(*c > ' ' && *c < 0x7f && *c != '\\' && *c != '"' && *c != '<',
                      "%s leads to %s", target, to);
}

START_TEST(redirects_stay_here)
{
    size_t redirects = 0;
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++) {
        static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE"};
        for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
            call_raw(methods[m], elsewhere[i], NULL, 0);
            want_here(elsewhere[i]);
            redirects += re.status == 307;
        }
    }
    ck_assert_uint_gt(redirects, 40);
}
END_TEST

/* ---- hosts ----------------------------------------------------------------------------------- */

START_TEST(a_host_is_a_host)
{
    static const char *const hosts[] = {
        "evil\"<script>",
        "a@evil.example",
        "evil.example/x",
        "evil.example x",
        "evil.example?x",
        "evil.example#x",
        "evil.example\\x",
        "a:b:c",
        "a:99999999",

        "<b>",
        "[::1",
        "[::1]x",

        "a]",
    };
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct http_conn *c = raw_open();
        raw_call(c, f("GET /v1/ HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]));
        ck_assert_msg(re.status == 400, "Host: %s: %d", hosts[i], re.status);
        ck_assert_ptr_null(strstr(re.body, hosts[i]));
        http_close(c);
    }
}
END_TEST

/* Headers that a proxy would set are anybody's, when there is none. */
START_TEST(nobody_says_from_outside_where_this_is)
{
    make_collection();
    put(R "/a", "{}");
    put(R "/b", "{}");
    static const char *const headers[][2] = {
        {"X-Forwarded-Host", "evil.example"}, {"X-Forwarded-Proto", "gopher"},
        {"X-Forwarded-Port", "666"},          {"X-Forwarded-Prefix", "/evil"},
        {"Forwarded", "host=evil.example"},   {"X-Original-URL", "/evil"},
        {"X-Rewrite-URL", "/evil"},           {"X-HTTP-Method-Override", "DELETE"},
        {"X-Script-Name", "/evil"},           {"Via", "1.1 evil.example"},
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        with(headers[i][0], headers[i][1]);
        call("GET", "/", NULL);
        want(200);
        want_at("/url", f("'%s/v1/'", api_url));
        with(headers[i][0], headers[i][1]);
        call("GET", R "?_limit=1", NULL);
        want(200);
        ck_assert_msg(strncmp(header("Next-Page"), api_url, strlen(api_url)) == 0, "%s: %s",
                      headers[i][0], header("Next-Page"));
        with(headers[i][0], headers[i][1]);
        call("GET", "/buckets/", NULL);
        want(307);
        want_here(headers[i][0]);
    }
}
END_TEST

/* ---- ids ------------------------------------------------------------------------------------- */

/* None of them is an object's id: each is refused, or is a path of more segments. */
static const char *const no_ids[] = {
    "..",
    ".",
    "%2e%2e",
    "%2e",
    "..%2f..%2fetc",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cetc",
    "%c0%ae%c0%ae", /* "..", overlong */
    "%c0%af",       /* "/", overlong */
    "%e0%80%af",    /* longer still */
    "%ed%a0%80",    /* half of a pair */
    "%f5%80%80%80", /* beyond Unicode */
    "%ff",
    "a%00b",
    "a%00",
    "a%0d%0aSet-Cookie:%20a=b",
    "a%0a",
    "a%20b",
    "a%7fb",
    "a%2fb",
    "%2fetc%2fpasswd",
    "~root",
    "a%3ab",
    "a%25b",
    "%252e%252e",
    "C%3a",
    "%ef%bc%8e%ef%bc%8e", /* full stops, full width */
    "$(id)",
    "%7bid%7d",
};

START_TEST(no_id_is_a_path)
{
    static const char *const lists[] = {"/buckets", "/buckets/b/collections", "/buckets/b/groups",
                                        R};
    static const char *const methods[] = {"GET", "PUT", "PATCH", "DELETE"};
    make_collection();
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t i = 0; i < ARRAY_LEN(no_ids); i++)
            for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
                bool body = methods[m][0] == 'P';
                call(methods[m], f("%s/%s", lists[l], no_ids[i]),
                     body ? "{'data':{'members':[]}}" : NULL);
                ck_assert_msg(re.status == 400 || re.status == 403 || re.status == 404, "%s %s: %d",
                              methods[m], f("%s/%s", lists[l], no_ids[i]), re.status);
                want_no_header("Set-Cookie");
            }
    for (size_t l = 0; l < ARRAY_LEN(lists); l++) { /* too long for a target is 414 */
        call("PUT", f("%s/%s", lists[l], repeat('a', 4097)), "{'data':{'members':[]}}");
        want(400);
        call("PUT", f("%s/%s", lists[l], repeat('a', 20000)), NULL);
        want(414);
    }
}
END_TEST

/* By the id in a body, too. */
START_TEST(no_id_of_a_body_is_a_path)
{
    static const char *const ids_in_json[] = {"..",  ".",      "../x",      "/etc",
                                              "a/b", "a\\\\b", "a\\u0000b", "a\\r\\nb",
                                              "",    " ",      "a\\u202eb", "~"};
    make_collection();
    for (size_t i = 0; i < ARRAY_LEN(ids_in_json); i++) {
        call("POST", R, f("{'data':{'id':'%s'}}", ids_in_json[i]));
        ck_assert_msg(re.status == 400, "%s: %d", ids_in_json[i], re.status);
        call("POST", "/buckets", f("{'data':{'id':'%s'}}", ids_in_json[i]));
        ck_assert_msg(re.status == 400, "%s: %d", ids_in_json[i], re.status);
    }
}
END_TEST

static bool is_the_stores_own(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return name[0] == '.' || (digits > 0 && strcmp(name + digits, ".log") == 0) ||
           strncmp(name, "index", 5) == 0 || strcmp(name, "secret") == 0 ||
           strcmp(name, "LOCK") == 0 || strncmp(name, "reserve", 7) == 0;
}

/* Whatever things are called, the files are not called so. */
START_TEST(names_make_no_files)
{
    struct server s;
    server_start(&s, &(struct server_options){.durable = true,
                                              .settings = "kinto.includes = kinto.plugins.history "
                                                          "kinto.plugins.default_bucket "
                                                          "kinto.plugins.revisions"});
    api_use(s.url);
    make_collection();
    for (size_t i = 0; i < ARRAY_LEN(no_ids); i++)
        call("PUT", f("/buckets/%s", no_ids[i]), NULL);
    put("/buckets/evil", "{'name':'../../evil'}");
    put(R "/evil-secret-log", "{'../evil':'/etc/evil'}");
    call("GET", "/buckets/evil/snapshot/collections/..%2f..%2fevil@1", NULL);
    ck_assert_int_ge(re.status, 400);
    ck_assert(server_end(&s));
    DIR *d = opendir(f("%s/data", s.dir));
    ck_assert_ptr_nonnull(d);
    size_t n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL; n++)
        ck_assert_msg(is_the_stores_own(e->d_name), "%s/data/%s", s.dir, e->d_name);
    closedir(d);
    ck_assert_uint_gt(n, 3);
    server_remove(&s);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------------------- */

#define EVIL "<script>alert(1)</script>"

/* JSON, said to be JSON, and not to be guessed at (check_always in api.c looks at the headers of each). */
START_TEST(errors_are_no_pages)
{
    static const char *const targets[] = {
        "/v1/buckets/" EVIL,
        "/v1/" EVIL,
        "/" EVIL,
        "/x?" EVIL,
        "/v1/" EVIL "/",
        "/v1/x/?\"'" EVIL,
        "/v1/buckets?" EVIL "=1",
        "/v1/buckets?_sort=" EVIL,
        "/v1/buckets?_since=" EVIL,
        "/v1/buckets?_limit=" EVIL,
        "/v1/buckets?_token=" EVIL,
        "/v1/__user_data__/" EVIL,
    };
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        with("Accept", "text/html");
        call_raw("GET", targets[i], NULL, 0);
        ck_assert_int_ge(re.status, 300);
        const char *type = header("Content-Type");
        ck_assert_msg(strncmp(type, "application/json", 16) == 0 ||
                          (re.status == 307 && strncmp(type, "text/html", 9) == 0),
                      "%s: %s", targets[i], type);
        if (re.status ==
            307) /* a page, for who wants one: nothing of the URL is in it as it came */
            ck_assert_ptr_null(strstr(re.body, "<script"));
        want_header("X-Content-Type-Options", "nosniff");
    }
    call("PUT", "/buckets/b", "{'data':'" EVIL "'}");
    want(400);
    want_header("Content-Type", "application/json");
    with("Content-Type", EVIL);
    call("PUT", "/buckets/b", "{}");
    want(415);
    want_header("Content-Type", "application/json");
}
END_TEST

/* The last one counts, as everywhere; and names that mean something to JavaScript are names. */
START_TEST(names_in_json)
{
    make_collection();
    call("PUT", R "/a", "{'data':{'__proto__':{'admin':true},'constructor':1,'a':1,'a':2}}");
    want(201);
    want_at("/data/a", "2");
    want_at("/data/__proto__", "{'admin':true}");
    want_at("/data/constructor", "1");
    want_missing("/data/admin");
    call("PUT", R "/b",
         "{'permissions':{'read':['system.Everyone']},'permissions':{'read':['basicauth:x']},"
         "'data':{}}");
    want(201);
    want_set("/permissions/read", "['basicauth:x']");
}
END_TEST

/* ---- the log --------------------------------------------------------------------------------- */

/* What a stranger says of himself stays between its quotes. */
START_TEST(nobody_forges_a_line_of_the_log)
{
    static const char *const verbose[] = {"-v", NULL};
    struct server s;
    char *text;
    size_t n;
    server_start(&s, &(struct server_options){.args = verbose});
    api_use(s.url);
    with("User-Agent", "mine\" uid=\"account:admin");
    with("X-Request-Id", "1\" uid=\"account:admin");
    call("GET", "/buckets?\"", NULL);
    as(NULL);
    call("GET", "/buckets/a\"uid=\"account:admin", NULL);
    ck_assert_int_ge(re.status, 400);
    ck_assert(server_end(&s));
    ck_assert_int_eq(os_read_file(f("%s/stderr", s.dir), MIB, &text, &n, NULL), OK);
    ck_assert_ptr_nonnull(strstr(text, "agent=\"mine"));
    ck_assert_ptr_null(strstr(text, "uid=\"account:admin"));
    free(text);
    server_remove(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("injection");
    TCase *t = api_case(s, "injection", "ours");
    tcase_add_test(t, redirects_stay_here);
    tcase_add_test(t, a_host_is_a_host);
    tcase_add_test(t, nobody_says_from_outside_where_this_is);
    tcase_add_test(t, no_id_is_a_path);
    tcase_add_test(t, no_id_of_a_body_is_a_path);
    tcase_add_test(t, errors_are_no_pages);
    tcase_add_test(t, names_in_json);
    t = api_case_own(s, "files");
    tcase_add_test(t, names_make_no_files);
    tcase_add_test(t, nobody_forges_a_line_of_the_log);
    return s;
}

API_MAIN(suite, NULL)
