/*
 * test/support/api.c - see api.h.
 *
 * The session is a handful of statics: a test program is one session, and in fork mode each test
 * works on its own copy. The connection is opened by the first request of a test and opened again
 * when the server has closed it (HTTP/1.1 allows that between requests).
 */
#include <ctype.h>
#include <poll.h>
#include <stdarg.h>
#include <strings.h>
#include <unistd.h>

#include "test/support/api.h"
#include "json/json.h"

enum { REPLY_MS = 20000, CASE_SECONDS = 60 };

const char *api_url;
struct http_reply re;

static struct {
    char own_url[256];
    char current[256];
    struct http_conn *conn;
    char user[64];
    char headers[16384];
    bool content_type; /* `headers` names one */
    char request[512]; /* what the last request was, for messages */
    struct arena arena;
    struct json *json; /* the last reply's body; NULL: not JSON */
    bool arena_ready;
} self;

/* ---- small things ---------------------------------------------------------------------------- */

static char *ring(size_t need)
{
    static char *slot[32];
    static unsigned next;
    char **s = &slot[next++ % ARRAY_LEN(slot)];
    *s = realloc(*s, need);
    CHECK(*s);
    return *s;
}

const char *f(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *out = ring((size_t)n + 1);
    vsnprintf(out, (size_t)n + 1, fmt, again);
    va_end(again);
    return out;
}

const char *repeat(char c, size_t n)
{
    char *out = ring(n + 1);
    memset(out, c, n);
    out[n] = '\0';
    return out;
}

const char *url_encode(const char *s)
{
    char *out = ring(strlen(s) * 3 + 1), *to = out;
    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~", *s))
            *to++ = *s;
        else
            to += snprintf(to, 4, "%%%02X", (unsigned char)*s);
    }
    *to = '\0';
    return out;
}

char *read_text(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s is not there", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* ' becomes ". */
static char *quotes(const char *s)
{
    char *out = strdup(s);
    CHECK(out);
    for (char *p = out; *p; p++)
        if (*p == '\'')
            *p = '"';
    return out;
}

static const char *base64(const char *s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(s);
    char *out = ring(n * 2 + 8), *to = out;
    for (size_t i = 0; i < n; i += 3) {
        unsigned a = (unsigned char)s[i], b = i + 1 < n ? (unsigned char)s[i + 1] : 0,
                 c = i + 2 < n ? (unsigned char)s[i + 2] : 0;
        unsigned v = a << 16 | b << 8 | c;
        *to++ = digits[v >> 18];
        *to++ = digits[v >> 12 & 63];
        *to++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
        *to++ = i + 2 < n ? digits[v & 63] : '=';
    }
    *to = '\0';
    return out;
}

/* ---- failing --------------------------------------------------------------------------------- */

#define FAIL(file, line, ...) fail_at(file, line, f(__VA_ARGS__))

static void fail_at(const char *file, int line, const char *what)
{
    _ck_assert_failed(file, line, "", "%s\n  request: %s\n  reply:   %.300s\n  body:    %.1200s",
                      what, self.request, re.head ? re.head : "(none)", re.body ? re.body : "");
}

/* ---- requests -------------------------------------------------------------------------------- */

void api_use(const char *url)
{
    http_close(self.conn);
    self.conn = NULL;
    snprintf(self.current, sizeof self.current, "%s", url ? url : self.own_url);
    api_url = self.current;
}

void api_restart(struct server *s, const struct server_options *o)
{
    ck_assert(server_end(s));
    server_restart(s, o);
    api_use(s->url);
}

void as(const char *user)
{
    snprintf(self.user, sizeof self.user, "%s", user ? user : "");
}

void with(const char *name, const char *value)
{
    size_t n = strlen(self.headers);
    int put = snprintf(self.headers + n, sizeof self.headers - n, "%s: %s\r\n", name, value);
    CHECK((size_t)put < sizeof self.headers - n);
    self.content_type |= strcasecmp(name, "Content-Type") == 0;
}

const char *raw_auth(void)
{
    if (!self.user[0])
        return "";
    return f("Authorization: Basic %s\r\n", base64(f("%s:secret", self.user)));
}

/* What must be true of every reply (the security headers; JSON that is JSON). */
static void check_always(const char *method)
{
    const char *type = header("Content-Type");
    bool json = type && strncmp(type, "application/json", 16) == 0 && !header("Content-Encoding");
    struct json_error error;
    self.json = NULL;
    if (!self.arena_ready)
        arena_init(&self.arena, NULL, 0, NULL, (size_t)1 << 30);
    else
        arena_reset(&self.arena);
    self.arena_ready = true;
    if (json && re.body_n &&
        json_parse(&self.arena, (str){re.body, re.body_n}, &self.json, &error) != OK)
        FAIL(__FILE__, __LINE__, "the body is not JSON: %s at %zu", error.what, error.offset);
    if ((strcmp(method, "HEAD") == 0 || re.status == 304 || re.status == 204) && re.body_n)
        FAIL(__FILE__, __LINE__, "a body on %s %d", method, re.status);
    if (re.status < 200 || re.status == 410) /* the reference forgets them there */
        return;
    const char *nosniff = header("X-Content-Type-Options"),
               *csp = header("Content-Security-Policy");
    if (!nosniff || strcmp(nosniff, "nosniff") != 0 || !csp ||
        !strstr(csp, "default-src 'none'; frame-ancestors 'none'; base-uri 'none';"))
        FAIL(__FILE__, __LINE__, "the security headers are missing");
}

/* Sends the bytes on the session's connection; once more on a new one when it had been closed. */
static void exchange(const char *method, const char *bytes, size_t n)
{
    enum http_result got = HTTP_REFUSED;
    for (int attempt = 0; attempt < 2; attempt++) {
        bool fresh = !self.conn;
        if (fresh)
            self.conn = http_open(api_url, NULL, REPLY_MS);
        if (!self.conn)
            break;
        bool sent = http_send(self.conn, bytes, n);
        got = http_read(self.conn, strcmp(method, "HEAD") == 0, &re);
        if (got == HTTP_GOT && re.status == 100)
            got = http_read(self.conn, false, &re);
        if (got == HTTP_GOT && !re.close)
            break;
        http_close(self.conn);
        self.conn = NULL;
        if (got == HTTP_GOT || fresh || (sent && got != HTTP_CLOSED))
            break;
    }
    if (got != HTTP_GOT)
        FAIL(__FILE__, __LINE__, "no reply from %s: %s", api_url, http_result_text(got));
}

void call_raw(const char *method, const char *target, const void *body, size_t n)
{
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    CHECK(out);
    snprintf(self.request, sizeof self.request, "%s %s (%s) %.200s", method, target,
             self.user[0] ? self.user : "anonymous", body ? (const char *)body : "");
    http_reply_fini(&re);
    fprintf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s", method, target,
            strstr(api_url, "//") ? strstr(api_url, "//") + 2 : "localhost", raw_auth(),
            self.headers);
    if (body)
        fprintf(out, "Content-Length: %zu\r\n%s", n,
                self.content_type ? "" : "Content-Type: application/json\r\n");
    else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
        fputs("Content-Length: 0\r\n", out);
    fputs("\r\n", out);
    if (body && n)
        CHECK(fwrite(body, n, 1, out) == 1);
    CHECK(fclose(out) == 0);
    self.headers[0] = '\0';
    self.content_type = false;
    exchange(method, bytes, size);
    free(bytes);
    check_always(method);
}

void call(const char *method, const char *path, const char *body)
{
    const char *target = f("/v1%s", path);
    if (!body) {
        call_raw(method, target, NULL, 0);
        return;
    }
    char *text = quotes(body);
    call_raw(method, target, text, strlen(text));
    free(text);
}

void make(const char *path)
{
    call("PUT", path, NULL);
    want(201);
}

void make_collection(void)
{
    make("/buckets/b");
    make("/buckets/b/collections/c");
}

void put(const char *path, const char *data)
{
    call("PUT", path, f("{'data':%s}", data));
    if (re.status != 200)
        want(201);
}

const char *principal(const char *user)
{
    static struct {
        char user[32], id[96];
    } known[16]; /* an id depends on the secret only, which is the same for all servers */
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(known) && known[i].user[0] && strcmp(known[i].user, user) != 0)
        i++;
    if (strcmp(known[i].user, user) != 0) {
        char before[sizeof self.user];
        memcpy(before, self.user, sizeof before);
        as(user);
        call("GET", "/", NULL);
        want(200);
        snprintf(known[i].user, sizeof known[i].user, "%s", user);
        snprintf(known[i].id, sizeof known[i].id, "%s", at("/user/id"));
        memcpy(self.user, before, sizeof before);
    }
    return known[i].id;
}

/* ---- looking --------------------------------------------------------------------------------- */

const char *header(const char *name)
{
    return http_reply_header(&re, name);
}

static struct json *find(const char *pointer)
{
    struct json *v = NULL;
    if (!self.json)
        return NULL;
    enum err e = json_pointer_get(&self.arena, self.json, str_from(pointer), &v);
    CHECK(e != ERR_SYNTAX);
    return e == OK ? v : NULL;
}

static const char *text_of(const struct json *v)
{
    str t = json_is(v, JSON_STRING) ? json_string(v) : json_text(&self.arena, v);
    return f(STR_FMT, STR_ARG(t));
}

bool has(const char *pointer)
{
    return find(pointer) != NULL;
}

const char *at(const char *pointer)
{
    const struct json *v = find(pointer);
    if (!v)
        FAIL(__FILE__, __LINE__, "nothing at %s", pointer);
    return text_of(v);
}

int64_t num_at(const char *pointer)
{
    const struct json *v = find(pointer);
    int64_t n = 0;
    if (!json_is(v, JSON_NUMBER) || json_to_i64(v, &n) != OK)
        FAIL(__FILE__, __LINE__, "no integer at %s", pointer);
    return n;
}

uint64_t stamp(void)
{
    return (uint64_t)num_at("/data/last_modified");
}

const char *etag(void)
{
    const char *e = header("ETag");
    if (!e)
        FAIL(__FILE__, __LINE__, "no ETag");
    return f("%s", e);
}

const char *ids(void)
{
    const struct json *list = find("/data");
    if (!json_is(list, JSON_ARRAY))
        FAIL(__FILE__, __LINE__, "/data is no list");
    const char *out = "";
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *id = json_get(json_at(list, i), STR("id"));
        bool gone = json_get(json_at(list, i), STR("deleted")) != NULL;
        out = f("%s%s%s%s", out, *out ? "," : "", gone ? "-" : "", id ? text_of(id) : "?");
    }
    return out;
}

/* ---- expectations ---------------------------------------------------------------------------- */

void want_(const char *file, int line, int status)
{
    if (re.status != status)
        FAIL(file, line, "status %d, want %d", re.status, status);
}

/* The JSON that a test wrote down, with ' for ". */
static struct json *own_json(const char *file, int line, const char *json)
{
    str text = arena_str(&self.arena, str_from(json));
    struct json *v = NULL;
    struct json_error error;
    char *bytes = (char *)(uintptr_t)text.p;
    for (size_t i = 0; i < text.n; i++)
        if (bytes[i] == '\'')
            bytes[i] = '"';
    if (json_parse(&self.arena, text, &v, &error) != OK)
        FAIL(file, line, "the test's own JSON is wrong: %s at %zu", error.what, error.offset);
    return v;
}

void want_at_(const char *file, int line, const char *pointer, const char *json)
{
    struct json *v = find(pointer), *w = own_json(file, line, json);
    if (!v)
        FAIL(file, line, "nothing at \"%s\", want %s", pointer, json);
    if (!json_equal(v, w))
        FAIL(file, line, "at \"%s\": %s, want %s", pointer, text_of(v), json);
}

void want_set_(const char *file, int line, const char *pointer, const char *json)
{
    struct json *v = find(pointer), *w = own_json(file, line, json);
    size_t found = 0;
    for (size_t i = 0; v && i < json_count(w); i++)
        for (size_t k = 0; k < json_count(v); k++)
            found += json_equal(json_at(w, i), json_at(v, k));
    if (!v || json_count(v) != json_count(w) || found != json_count(w))
        FAIL(file, line, "at \"%s\": %s, want in any order %s", pointer, v ? text_of(v) : "nothing",
             json);
}

void want_missing_(const char *file, int line, const char *pointer)
{
    const struct json *v = find(pointer);
    if (v)
        FAIL(file, line, "at \"%s\" there is %s", pointer, text_of(v));
}

void want_count_(const char *file, int line, const char *pointer, size_t n)
{
    const struct json *v = find(pointer);
    if (!v || json_count(v) != n)
        FAIL(file, line, "%zu at \"%s\", want %zu", v ? json_count(v) : 0, pointer, n);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "b,a" -> "a,b" */
static const char *sorted(const char *list)
{
    char *copy = strdup(list), *part[512], *rest = copy, *one;
    size_t n = 0;
    while ((one = strsep(&rest, ",")) && n < ARRAY_LEN(part))
        part[n++] = one;
    qsort(part, n, sizeof part[0], by_name);
    const char *out = "";
    for (size_t i = 0; i < n; i++)
        out = f("%s%s%s", out, i ? "," : "", part[i]);
    free(copy);
    return out;
}

void want_ids_(const char *file, int line, const char *list, bool any_order)
{
    want_(file, line, 200);
    const char *got = any_order ? sorted(ids()) : ids();
    const char *expected = any_order ? sorted(list) : list;
    if (strcmp(got, expected) != 0)
        FAIL(file, line, "ids \"%s\", want \"%s\"", got, expected);
}

void want_header_(const char *file, int line, const char *name, const char *value)
{
    const char *got = header(name);
    if (!value && got)
        FAIL(file, line, "header %s: %s, want none", name, got);
    if (value && (!got || strcmp(got, value) != 0))
        FAIL(file, line, "header %s: %s, want %s", name, got ? got : "(none)", value);
}

void want_header_has_(const char *file, int line, const char *name, const char *part)
{
    const char *got = header(name);
    if (!got || !strstr(got, part))
        FAIL(file, line, "header %s: %s, want %s in it", name, got ? got : "(none)", part);
}

void want_empty_body_(const char *file, int line)
{
    if (re.body_n)
        FAIL(file, line, "a body of %zu bytes, want none", re.body_n);
}

void want_error_(const char *file, int line, int status, int no, const char *message)
{
    want_(file, line, status);
    want_at_(file, line, "/code", f("%d", status));
    want_at_(file, line, "/errno", f("%d", no));
    if (message && !*message)
        want_missing_(file, line, "/message");
    else if (message && (!has("/message") || strcmp(at("/message"), message) != 0))
        FAIL(file, line, "message \"%s\", want \"%s\"", has("/message") ? at("/message") : "(none)",
             message);
}

void want_invalid_(const char *file, int line, const char *location, const char *name,
                   const char *description)
{
    want_error_(file, line, 400, 107, NULL);
    want_at_(file, line, "/error", "'Invalid parameters'");
    if (location && (!has("/details/0/location") || strcmp(at("/details/0/location"), location)))
        FAIL(file, line, "want the location %s", location);
    if (name && (!has("/details/0/name") || strcmp(at("/details/0/name"), name) != 0))
        FAIL(file, line, "want the name %s", name);
    if (description &&
        (!has("/details/0/description") || strcmp(at("/details/0/description"), description) != 0))
        FAIL(file, line, "want the description %s", description);
}

/* ---- raw ------------------------------------------------------------------------------------- */

struct http_conn *raw_open(void)
{
    struct http_conn *c = http_open(api_url, NULL, REPLY_MS);
    ck_assert_msg(c != NULL, "no connection to %s", api_url);
    return c;
}

void raw_call(struct http_conn *c, const char *text)
{
    snprintf(self.request, sizeof self.request, "%.500s", text);
    bool sent = http_send(c, text, strlen(text));
    enum http_result got = http_read(c, strncmp(text, "HEAD ", 5) == 0, &re);
    if (got != HTTP_GOT)
        FAIL(__FILE__, __LINE__, "no reply (%s)%s", http_result_text(got),
             sent ? "" : "; not all was sent");
    check_always(strncmp(text, "HEAD ", 5) == 0 ? "HEAD" : "GET");
}

void raw_at_once(int n, void (*write_head)(char *text, int i), int counts[RAW_STATUSES])
{
    struct http_conn **c = calloc((size_t)n, sizeof(struct http_conn *));
    CHECK(c);
    memset(counts, 0, RAW_STATUSES * sizeof *counts);
    for (int i = 0; i < n; i++)
        c[i] = raw_open();
    for (int i = 0; i < n; i++) {
        char text[RAW_HEAD];
        write_head(text, i);
        ck_assert(http_send(c[i], text, strlen(text)));
    }
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(http_read(c[i], false, &re), HTTP_GOT);
        ck_assert_int_lt(re.status, RAW_STATUSES);
        counts[re.status]++;
        http_close(c[i]);
    }
    free(c);
}

void raw_want_closed(struct http_conn *c)
{
    enum http_result got = http_wait_close(c);
    if (got != HTTP_CLOSED)
        FAIL(__FILE__, __LINE__, "the connection is not closed: %s", http_result_text(got));
}

/* ---- programs -------------------------------------------------------------------------------- */

static void set_up(void)
{
    api_use(NULL);
    as("alice");
    call("POST", "/__flush__", NULL);
    want(202);
}

static void tear_down(void)
{
    http_close(self.conn);
    self.conn = NULL;
    http_reply_fini(&re);
    if (self.arena_ready)
        arena_fini(&self.arena);
    self.arena_ready = false;
    self.json = NULL;
}

TCase *api_case(Suite *s, const char *name, const char *tags)
{
    TCase *t = tcase_create(name);
    if (tags)
        tcase_set_tags(t, tags);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_set_timeout(t, CASE_SECONDS);
    suite_add_tcase(s, t);
    return t;
}

static void set_up_own(void)
{
    as("alice");
}

TCase *api_case_own(Suite *s, const char *name)
{
    TCase *t = tcase_create(name);
    tcase_set_tags(t, "own");
    tcase_add_checked_fixture(t, set_up_own, tear_down);
    tcase_set_timeout(t, CASE_SECONDS);
    suite_add_tcase(s, t);
    return t;
}

int api_main(Suite *(*make_suite)(void), const struct server_options *options)
{
    const char *foreign = getenv("TEST_SERVER");
    const char *left_out = getenv("CK_EXCLUDE_TAGS");
    struct server server = {.pid = 0};
    if (foreign && *foreign)
        left_out = "own ours";
    else
        server_start(&server, options);
    snprintf(self.own_url, sizeof self.own_url, "%s", server.pid ? server.url : foreign);
    api_use(NULL);
    SRunner *r = srunner_create(make_suite());
    srunner_run_tagged(r, getenv("CK_RUN_SUITE"), getenv("CK_RUN_CASE"), getenv("CK_INCLUDE_TAGS"),
                       left_out, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    if (server.pid && !server_end(&server))
        failed++;
    server_remove(&server);
    return failed ? 1 : 0;
}
