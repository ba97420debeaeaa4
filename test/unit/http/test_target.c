/* URLs to call, where redirects lead, and whom no proxy is asked for. */
#include "http/outbound.h"
#include "test/unit/http/guard.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 0, NULL, MIB);
}

static void teardown(void)
{
    arena_fini(&arena);
}

static const struct {
    const char *url;
    enum err e;
    bool tls;
    const char *host;
    unsigned port;
    const char *path, *userinfo;
} urls[] = {
    {"http://example.com", OK, false, "example.com", 80, "/", NULL},
    {"https://example.com/", OK, true, "example.com", 443, "/", NULL},
    {"HTTPS://Example.com:8443/a/b?c=d&e#f", OK, true, "Example.com", 8443, "/a/b?c=d&e", NULL},
    {"http://example.com?q", OK, false, "example.com", 80, "/?q", NULL},
    {"http://example.com#f", OK, false, "example.com", 80, "/", NULL},
    {"http://example.com:/x", OK, false, "example.com", 80, "/x", NULL},
    {"http://[::1]:8080/x", OK, false, "::1", 8080, "/x", NULL},
    {"http://[::1]", OK, false, "::1", 80, "/", NULL},
    {"http://127.0.0.1:1", OK, false, "127.0.0.1", 1, "/", NULL},
    {"http://user:pass@host:3128", OK, false, "host", 3128, "/", "user:pass"},
    {"http://a@b@host", OK, false, "host", 80, "/", "a@b"},
    {"http://host/@x:y", OK, false, "host", 80, "/@x:y", NULL},
    {"ftp://example.com/", ERR_UNSUPPORTED, false, NULL, 0, NULL, NULL},
    {"file:///etc/passwd", ERR_UNSUPPORTED, false, NULL, 0, NULL, NULL},
    {"", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"example.com", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http:/example.com", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http:///path", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://:80/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h:0/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h:65536/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h:-1/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h:8a/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h:1:2/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://[::1/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://[::1]x/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://[127.0.0.1]/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://[fe80::1%25eth0]/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://::1/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://a%62c/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://a;b/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h/a b", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h/\r\nX: y", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h\r\nX: y/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h/\t", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h/\xc3\xa9", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h\xc3\xa9/", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
    {"http://h/\x7f", ERR_SYNTAX, false, NULL, 0, NULL, NULL},
};

START_TEST(parses)
{
    struct target t;
    str url = str_from(urls[_i].url);
    enum err e = target_parse(&arena, (str){guarded(url), url.n}, &t, NULL);

    ck_assert_msg(e == urls[_i].e, "%s: %s", urls[_i].url, err_text(e));
    if (e != OK)
        return;
    ck_assert_int_eq(t.tls, urls[_i].tls);
    ck_assert_str_is(t.host, urls[_i].host);
    ck_assert_uint_eq(t.port, urls[_i].port);
    ck_assert_str_is(t.path, urls[_i].path);
    if (urls[_i].userinfo == NULL)
        ck_assert(str_none(t.userinfo));
    else
        ck_assert_str_is(t.userinfo, urls[_i].userinfo);
}
END_TEST

START_TEST(refuses_nul_and_what_is_too_long)
{
    static char url[9000];
    struct target t;

    ck_assert_int_eq(target_parse(&arena, STR("http://h/\0x"), &t, NULL), ERR_SYNTAX);
    ck_assert_int_eq(target_parse(&arena, STR("http://h\0.example/"), &t, NULL), ERR_SYNTAX);
    memset(url, 'a', sizeof url);
    memcpy(url, "http://h/", 9);
    ck_assert_int_eq(target_parse(&arena, (str){url, 8000}, &t, NULL), OK);
    ck_assert_int_eq(target_parse(&arena, (str){url, sizeof url}, &t, NULL), ERR_SYNTAX);
    memset(url + 7, 'a', 300);
    ck_assert_int_eq(target_parse(&arena, (str){url, 300}, &t, NULL), ERR_SYNTAX); /* host */
}
END_TEST

/* RFC 3986, 5.4, from "http://a/b/c/d;p?q"; and some more. */
static const struct {
    const char *from, *ref, *to; /* NULL: an error */
} refs[] = {
#define BASE "http://a/b/c/d;p?q"
    {BASE, "g", "/b/c/g"},
    {BASE, "./g", "/b/c/g"},
    {BASE, "g/", "/b/c/g/"},
    {BASE, "/g", "/g"},
    {BASE, "?y", "/b/c/d;p?y"},
    {BASE, "g?y", "/b/c/g?y"},
    {BASE, "#s", "/b/c/d;p?q"},
    {BASE, "g#s", "/b/c/g"},
    {BASE, ";x", "/b/c/;x"},
    {BASE, "", "/b/c/d;p?q"},
    {BASE, ".", "/b/c/"},
    {BASE, "./", "/b/c/"},
    {BASE, "..", "/b/"},
    {BASE, "../", "/b/"},
    {BASE, "../g", "/b/g"},
    {BASE, "../..", "/"},
    {BASE, "../../g", "/g"},
    {BASE, "../../../g", "/g"},
    {BASE, "/./g", "/g"},
    {BASE, "/../g", "/g"},
    {BASE, "g.", "/b/c/g."},
    {BASE, "..g", "/b/c/..g"},
    {BASE, "./g/.", "/b/c/g/"},
    {BASE, "g/./h", "/b/c/g/h"},
    {BASE, "g/../h", "/b/c/h"},
    {BASE, "g;x=1/../y", "/b/c/y"},
    {BASE, "g?y/../x", "/b/c/g?y/../x"},
    {"http://a", "g", "/g"},
    {"http://a/x//y", "/p//../q", "/p/q"},
    {BASE, "http://a/z", "/z"},
    {BASE, "//a/z", "/z"},
    {BASE, "g:h", NULL},
    {BASE, "javascript:alert(1)", NULL},
    {BASE, "/a b", NULL},
    {BASE, "/\r\nX: y", NULL},
};

START_TEST(follows)
{
    struct target from, to;
    enum err e;

    ck_assert_int_eq(target_parse(&arena, str_from(refs[_i].from), &from, NULL), OK);
    str ref = str_from(refs[_i].ref);
    e = target_follow(&arena, &from, (str){guarded(ref), ref.n}, &to, NULL);
    ck_assert_msg((e == OK) == (refs[_i].to != NULL), "%s: %s", refs[_i].ref, err_text(e));
    if (e != OK)
        return;
    ck_assert_str_is(to.path, refs[_i].to);
    ck_assert(target_same_origin(&from, &to));
}
END_TEST

START_TEST(keeps_or_changes_the_origin)
{
    struct target from, to;

    ck_assert_int_eq(target_parse(&arena, STR("https://[::1]:8443/x"), &from, NULL), OK);
    ck_assert_int_eq(target_follow(&arena, &from, STR("y"), &to, NULL), OK);
    ck_assert(target_same_origin(&from, &to));
    ck_assert_str_is(target_authority(&arena, &to, false), "[::1]:8443");
    ck_assert_int_eq(target_follow(&arena, &from, STR("//[::1]/y"), &to, NULL), OK);
    ck_assert(to.tls && !target_same_origin(&from, &to));
    ck_assert_str_is(target_authority(&arena, &to, false), "[::1]");
    ck_assert_str_is(target_authority(&arena, &to, true), "[::1]:443");
    ck_assert_int_eq(target_follow(&arena, &from, STR("http://[::1]:8443/y"), &to, NULL), OK);
    ck_assert(!target_same_origin(&from, &to));
}
END_TEST

static const struct {
    const char *list, *url;
    bool excluded;
} lists[] = {
    {"example.com", "http://example.com", true},
    {"example.com", "http://EXAMPLE.com", true},
    {"example.com", "http://www.example.com", true},
    {"example.com", "http://example.com.", true},
    {"example.com", "http://badexample.com", false},
    {"example.com", "http://example.com.evil", false},
    {".example.com", "http://www.example.com", true},
    {".example.com", "http://example.com", true},
    {"a, b c", "http://c", true},
    {"a,b", "http://c", false},
    {"*", "http://anything", true},
    {"", "http://a", false},
    {",., ", "http://a", false},
    {"a:8080", "http://a:8080", true},
    {"a:8080", "http://a", false},
    {"a:443", "https://a", true},
    {"127.0.0.1", "http://127.0.0.1", true},
    {"127.0.0.1:81", "http://127.0.0.1:80", false},
    {"10.0.0.0/8", "http://10.255.0.1", true},
    {"10.0.0.0/8", "http://11.0.0.1", false},
    {"10.0.0.0/33", "http://10.0.0.0", false},
    {"10.0.0.0/x", "http://10.0.0.0", false},
    {"192.168.4.0/22", "http://192.168.7.9", true},
    {"192.168.4.0/22", "http://192.168.8.9", false},
    {"0.0.0.0/0", "http://1.2.3.4", true},
    {"0.0.1", "http://10.0.0.1", false},
    {"::1", "http://[::1]", true},
    {"[::1]", "http://[::1]", true},
    {"[::1]:80", "http://[::1]", true},
    {"[::1]:81", "http://[::1]", false},
    {"::1:80", "http://[::1]", false},
    {"[::1]x", "http://[::1]", false},
    {"fe80::/10", "http://[fe80::5]", true},
    {"fe80::/10", "http://[fec0::5]", false},
    {"0.0.0.0/0", "http://[::1]", false},
    {"10.0.0.0/8", "http://a", false},
};

START_TEST(excludes)
{
    struct target t;

    ck_assert_int_eq(target_parse(&arena, str_from(lists[_i].url), &t, NULL), OK);
    str list = str_from(lists[_i].list);
    ck_assert_msg(proxy_excluded((str){guarded(list), list.n}, &t) == lists[_i].excluded,
                  "%s in %s", lists[_i].url, lists[_i].list);
}
END_TEST

static Suite *target_suite(void)
{
    Suite *s = suite_create("http/target");
    TCase *c = tcase_create("all");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, parses, 0, ARRAY_LEN(urls));
    tcase_add_test(c, refuses_nul_and_what_is_too_long);
    tcase_add_loop_test(c, follows, 0, ARRAY_LEN(refs));
    tcase_add_test(c, keeps_or_changes_the_origin);
    tcase_add_loop_test(c, excludes, 0, ARRAY_LEN(lists));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(target_suite)
