/*
 * Memory that runs out at every place of every kind of request.
 *
 * Each request of the table is first asked of a server that has all the memory it wants: that is
 * the right answer. Then it is asked of a second server that holds the same, with an arena that
 * runs out after n bytes, for n = 0, 16, 32, ... until it is enough; in two ways:
 *
 *     for good     the arena's budget is used up: whatever does not fit fails, what is small may
 *                  still fit behind it
 *     for once     one allocation fails, and all behind it succeed: nobody may forget the failure
 *
 * Every answer is the right one, or a 413 or 503 that is whole, and then nothing has changed in the
 * store. The clock stands still, so that the right answer is the same every time.
 */
#include "test/unit/api/api_test.h"

#include "plugins/accounts.h"

enum {
    RANDOM_BODY = 1, /* holds an id, a token or a hash of the server's making */
    ACCOUNTS = 2,    /* of the server with accounts, for whose passwords a thread is waited for */
    OTHER_BODY = 4   /* tells of the requests before */
};

struct row {
    const char *user, *method, *target, *headers, *body;
    int status;
    unsigned flags;
};

#define ALIGNMENT 16 /* no smaller difference counts */
#ifdef KINTO_DEBUG
#define STEP 112 /* sanitizers are slow, and their blocks larger; each request begins elsewhere */
#else
#define STEP ALIGNMENT
#endif

#define R           "/v1/buckets/b/collections/c/records"
#define JSON_PATCH  "Content-Type: application/json-patch+json\n"
#define MERGE_PATCH "Content-Type: application/merge-patch+json\n"

#define ADMIN "admin@x.org"
#define AL    "al@x.org"
#define ME    "basicauth:3fcfef121c84e3b2f7f8096524cf20a808ef062cacaf9952728caff34c0fa7aa"
static const struct row rows[] = {
    {"me:x", "GET", "/v1/", NULL, NULL, 200, 0},
    {NULL, "GET", "/v1/", NULL, NULL, 200, 0},
    {NULL, "GET", "/v1/__heartbeat__", NULL, NULL, 200, 0},
    {NULL, "GET", "/v1/__version__", NULL, NULL, 200, 0},
    /* creating */
    {"me:x", "PUT", "/v1/buckets/new", NULL, "{\"data\":{\"a\":\"\\n\"}}", 201, 0},
    {"me:x", "POST", "/v1/buckets", NULL, NULL, 201, RANDOM_BODY},
    {"me:x", "PUT", "/v1/buckets/b/collections/new", NULL,
     "{\"data\":{\"cache_expires\":\"10\"},\"permissions\":{\"read\":[\"system.Everyone\"]}}", 201,
     0},
    {"me:x", "PUT", "/v1/buckets/b/groups/new", NULL, "{\"data\":{\"members\":[\"a\",\"b\"]}}", 201,
     0},
    {"me:x", "POST", R, NULL, "{\"data\":{\"id\":\"r9\",\"x\":[1,{\"y\":null}]}}", 201, 0},
    {"me:x", "POST", R, NULL, "{\"data\":{\"x\":1,\"__permissions__\":{\"read\":[\"you\"]}}}", 201,
     RANDOM_BODY},
    {"me:x", "POST", R, NULL, "{\"data\":{\"id\":\"r1\"}}", 200, 0},
    /* changing */
    {"me:x", "PUT", R "/r1", NULL,
     "{\"data\":{\"n\":9,\"last_modified\":1800000000000},\"permissions\":{\"write\":[\"you\"]}}",
     200, 0},
    {"me:x", "PUT", R "/r1", NULL, "{\"permissions\":{\"read\":[\"you\",\"her\"]}}", 200, 0},
    {"me:x", "PATCH", R "/r1", NULL, "{\"data\":{\"n\":5,\"z\":[1]}}", 200, 0},
    {"me:x", "PATCH", R "/r1", "Response-Behavior: light\n", "{\"data\":{\"n\":5}}", 200, 0},
    {"me:x", "PATCH", R "/r1", MERGE_PATCH, "{\"data\":{\"n\":null,\"o\":{\"p\":1}}}", 200, 0},
    {"me:x", "PATCH", R "/r1", JSON_PATCH,
     "[{\"op\":\"add\",\"path\":\"/data/new\",\"value\":[1]},{\"op\":\"add\",\"path\":"
     "\"/permissions/read/you\"},{\"op\":\"move\",\"from\":\"/data/n\",\"path\":\"/data/m\"}]",
     200, 0},
    {"me:x", "PATCH", "/v1/buckets/b/groups/g", NULL, "{\"data\":{\"members\":[\"c\"]}}", 200, 0},
    {"me:x", "PATCH", "/v1/buckets/b", NULL, "{\"permissions\":{\"read\":[\"you\"]}}", 200, 0},
    /* reading */
    {"me:x", "GET", R "/r1", NULL, NULL, 200, 0},
    {"me:x", "GET", R "/r1?_fields=n,o.p", NULL, NULL, 200, 0},
    {NULL, "GET", "/v1/buckets/b/collections/open/records/r1", NULL, NULL, 200, 0},
    {"me:x", "GET", R "/r1", "If-None-Match: \"1700000000000\"\n", NULL, 304, 0},
    {"me:x", "HEAD", R, NULL, NULL, 200, 0},
    {"me:x", "GET", "/v1/buckets", NULL, NULL, 200, 0},
    {"me:x", "GET", "/v1/buckets/b/collections/never/records", NULL, NULL, 404, 0},
    {"you:x", "GET", R, NULL, NULL, 200, 0},
    {"me:x", "GET", R "?_sort=-n,o.p&_limit=2&_fields=n&in_n=1,2,3&has_o=true", NULL, NULL, 200, 0},
    {"me:x", "GET", R "?_limit=1&_limit=1", NULL, NULL, 400, 0},
    {"me:x", "GET", R "?like_s=a*b&contains_a=[1]&gt_n=0&exclude_id=r4,r5", NULL, NULL, 200, 0},
    {"me:x", "GET", R "?_since=5&_before=1800000000000", NULL, NULL, 400, 0},
    {"me:x", "GET", R "?_since=5&_to=1700000000002", NULL, NULL, 200, 0},
    {"me:x", "GET", "/v1/buckets/b/groups", NULL, NULL, 200, 0},
    /* deleting */
    {"me:x", "DELETE", R "/r1", NULL, NULL, 200, 0},
    {"me:x", "DELETE", R "/r1?last_modified=1800000000000", NULL, NULL, 200, 0},
    {"me:x", "DELETE", R "?_sort=n&_limit=2", NULL, NULL, 200, 0},
    {"me:x", "DELETE", R "?min_n=2", NULL, NULL, 200, 0},
    {"me:x", "DELETE", "/v1/buckets/b/groups/g", NULL, NULL, 200, 0},
    {"me:x", "DELETE", "/v1/buckets/b/collections/c", NULL, NULL, 200, 0},
    {"me:x", "DELETE", "/v1/buckets/b", NULL, NULL, 200, 0},
    /* batches */
    {"me:x", "POST", "/v1/batch", NULL,
     "{\"defaults\":{\"method\":\"PUT\",\"headers\":{\"X\":\"y\"}},\"requests\":["
     "{\"path\":\"" R "/q1\",\"body\":{\"data\":{\"n\":1}}},"
     "{\"path\":\"" R "/q2\",\"headers\":{\"If-None-Match\":\"*\"}},"
     "{\"method\":\"GET\",\"path\":\"/buckets/b/collections/c/records/?_limit=1\"},"
     "{\"method\":\"DELETE\",\"path\":\"" R "/r2\"},"
     "{\"method\":\"GET\",\"path\":\"/nothing\"}]}",
     200, RANDOM_BODY},
    {"me:x", "POST", "/v1/batch", NULL,
     "{\"requests\":[{\"path\":\"/\"},{\"path\":\"/buckets/b\"},{\"path\":\"/buckets/default\"}]}",
     200, 0},
    {"me:x", "POST", "/v1/batch", NULL,
     "{\"requests\":[{\"path\":5},{\"method\":\"X\",\"path\":\"a\"},{\"headers\":{\"a\":1}},7]}",
     400, 0},
    {"me:x", "POST", "/v1/batch", NULL, "{\"requests\":[{\"path\":\"/batch\"}]}", 400, 0},
    {"me:x", "POST", "/v1/batch", NULL, "{\"requests\":5}", 400, 0},
    /* the default bucket */
    {"me:x", "GET", "/v1/buckets/default", NULL, NULL, 200, 0},
    {"me:x", "PUT", "/v1/buckets/default/collections/n/records/r", NULL,
     "{\"data\":{\"id\":\"r\",\"of\":\"default\"}}", 201, 0},
    {"me:x", "GET", "/v1/buckets/default/nothing", NULL, NULL, 404, 0},
    {NULL, "GET", "/v1/buckets/default", NULL, NULL, 401, 0},
    {NULL, "POST", "/v1/__flush__", NULL, NULL, 202, 0},
    /* the history and revisions: every change adds to them, and takes something out */
    {"me:x", "GET", "/v1/buckets/b/history?resource_name=record&_fields=uri", NULL, NULL, 200,
     RANDOM_BODY},
    {"you:x", "GET", "/v1/buckets/b/history?_limit=1", NULL, NULL, 200, RANDOM_BODY},
    {"me:x", "DELETE", "/v1/buckets/b/history?action=create&_limit=2", NULL, NULL, 200,
     RANDOM_BODY},
    {"me:x", "GET", "/v1/buckets/b/snapshot/collections/c@1700000000003", NULL, NULL, 200, 0},
    {"me:x", "GET", "/v1/buckets/b/snapshot/collections/c@x", NULL, NULL, 400, 0},
    {"me:x", "GET", "/v1/permissions", NULL, NULL, 200, 0},
    {NULL, "GET", "/v1/__counters__", NULL, NULL, 200, 0},
    {NULL, "GET", "/v1/__metrics__", NULL, NULL, 200, OTHER_BODY},
    {"me:x", "GET", "/v1/permissions?_sort=uri&_limit=3", NULL, NULL, 200, 0},
    {"me:x", "GET", R "/r1/revisions", NULL, NULL, 200, 0},
    {"you:x", "GET", R "/r1/revisions", NULL, NULL, 200, 0},
    {"you:x", "GET", R "/r1/revisions/1800000000000", NULL, NULL, 200, 0},
    {"me:x", "GET", R "/r6/revisions", NULL, NULL, 404, 0},
    {"me:x", "POST", R "/r1/revisions/1800000000000", NULL, NULL, 200, 0},
    {"me:x", "POST", R "/r5/revisions/1700000000004", NULL, NULL, 201, 0},
    /* other pages' calls, redirects */
    {NULL, "OPTIONS", R,
     "Origin: http://a.b\nAccess-Control-Request-Method: POST\nAccess-Control-Request-Headers: x, "
     "y\n",
     NULL, 200, 0},
    {NULL, "OPTIONS", R, NULL, NULL, 400, 0},
    {"me:x", "GET", R "/r1", "Origin: http://a.b\nAccept: application/json\nAccept: */*\n", NULL,
     200, 0},
    {NULL, "GET", "/buckets?x=<1>", "Accept: text/html\n", NULL, 307, 0},
    {NULL, "GET", "/v1/buckets/", "Accept: application/json\n", NULL, 307, 0},
    {NULL, "GET", "/v1", NULL, NULL, 307, 0},
    /* every kind of error */
    {"me:x", "GET", "/v1/%ff", NULL, NULL, 400, 0},
    {"me:x", "GET", "/v1/buckets?%ff=%ff", NULL, NULL, 400, 0},
    {"me:x", "POST", R, NULL, "{\"data\":", 400, 0},
    {"me:x", "POST", R, NULL, "{\"data\":1,\"permissions\":{\"read\":[1,2]}}", 400, 0},
    {"me:x", "PUT", R "/r1", NULL, "{\"data\":{},\"x\":1}", 400, 0},
    {"me:x", "PUT", R "/r1", NULL, "{\"data\":{\"id\":\"other\"}}", 400, 0},
    {"me:x", "PUT", R "/r1", NULL, "{\"data\":{\"__permissions__\":{\"read\":[{}]}}}", 400, 0},
    {"me:x", "PATCH", R "/r1", NULL, "{\"data\":{\"__permissions__\":{\"read\":[{}]}}}", 400, 0},
    {"me:x", "PATCH", R "/r1", JSON_PATCH, "[{\"op\":\"x\",\"path\":5},{\"op\":\"test\"},3]", 400,
     0},
    {"me:x", "PATCH", R "/r1", JSON_PATCH, "[{\"op\":\"remove\",\"path\":\"/data/q\"}]", 400, 0},
    {"me:x", "PATCH", R "/r1", JSON_PATCH,
     "[{\"op\":\"add\",\"path\":\"/permissions/read\",\"value\":[{}]}]", 400, 0},
    {"me:x", "PATCH", "/v1/buckets/b/groups/g", NULL, "{\"data\":{\"members\":[1,{}]}}", 400, 0},
    {"me:x", "PUT", "/v1/buckets/b/groups/g", NULL, "{\"data\":{\"members\":{}}}", 400, 0},
    {"me:x", "GET", R "?_since=x&_limit=-1&id=1&_token=1", NULL, NULL, 400, 0},
    {"me:x", "GET", R "?like_n=1", NULL, NULL, 400, 0},
    {"me:x", "GET", R "?_token=bm90aGluZw==", NULL, NULL, 400, 0},
    {"me:x", "GET", R "/r1", "If-Match: x\n", NULL, 400, 0},
    {NULL, "GET", "/v1/buckets/b", NULL, NULL, 401, 0},
    {"her:x", "GET", "/v1/buckets/b", NULL, NULL, 403, 0},
    {"me:x", "GET", R "/missing", NULL, NULL, 404, 0},
    {"me:x", "PUT", "/v1/buckets/b/collections/none/records/r", NULL, NULL, 404, 0},
    {"me:x", "GET", "/v1/nothing", NULL, NULL, 404, 0},
    {"me:x", "GET", "/v2/", NULL, NULL, 404, 0},
    {"me:x", "PUT", "/v1/buckets", NULL, NULL, 405, 0},
    {"me:x", "GET", "/v1/buckets/b", "Accept: text/plain\n", NULL, 406, 0},
    {"me:x", "PUT", R "/r1", "If-Match: \"5\"\n", NULL, 412, 0},
    {"me:x", "PUT", R "/r1", "If-None-Match: *\n", NULL, 412, 0},
    {"me:x", "PUT", R "/r1", "Content-Type: text/plain\n", "x", 415, 0},
    {"me:x", "DELETE", "/v1/__user_data__/" ME, NULL, NULL, 200, 0},
    {"me:x", "DELETE", "/v1/__user_data__/a", NULL, NULL, 200, 0},
    {"me:x", "DELETE", "/v1/__user_data__/system.Authenticated", NULL, NULL, 200, 0},
    /* accounts, which are made valid by mail */
    {NULL, "PUT", "/v1/accounts/new@x.org", NULL,
     "{\"data\":{\"password\":\"p\",\"email-context\":{\"name\":\"N\"}}}", 201,
     ACCOUNTS | RANDOM_BODY},
    {NULL, "POST", "/v1/accounts", NULL, "{\"data\":{\"id\":\"new@x.org\",\"password\":\"p\"}}",
     201, ACCOUNTS | RANDOM_BODY},
    {NULL, "PUT", "/v1/accounts/new", NULL, "{\"data\":{\"password\":\"p\"}}", 400, ACCOUNTS},
    {NULL, "PUT", "/v1/accounts/" AL, NULL, "{\"data\":{\"password\":\"p\"}}", 401, ACCOUNTS},
    {NULL, "POST", "/v1/batch", NULL,
     "{\"defaults\":{\"method\":\"PUT\",\"body\":{\"data\":{\"password\":\"p\"}}},\"requests\":["
     "{\"path\":\"/accounts/b@x.org\"},{\"path\":\"/accounts/c@x.org\"},"
     "{\"path\":\"/accounts/" AL "\"}]}",
     200, ACCOUNTS | RANDOM_BODY},
    {NULL, "POST", "/v1/accounts/" AL "/reset-password", NULL, NULL, 200, ACCOUNTS},
    {NULL, "POST", "/v1/accounts/nobody@x.org/reset-password", NULL, NULL, 200, ACCOUNTS},
    {NULL, "POST", "/v1/accounts/" AL "/validate/wrong", NULL, NULL, 403, ACCOUNTS},
    {AL ":x", "GET", "/v1/accounts/" AL, NULL, NULL, 200, ACCOUNTS | RANDOM_BODY},
    {AL ":wrong", "GET", "/v1/accounts/" AL, NULL, NULL, 401, ACCOUNTS},
    {AL ":x", "PATCH", "/v1/accounts/" AL, NULL, "{\"data\":{\"password\":\"p\"}}", 200,
     ACCOUNTS | RANDOM_BODY},
    {AL ":x", "DELETE", "/v1/accounts/" AL, NULL, NULL, 200, ACCOUNTS},
    {AL ":x", "PUT", "/v1/buckets/default/collections/c/records/r", NULL, NULL, 201, ACCOUNTS},
    {ADMIN ":x", "GET", "/v1/accounts", NULL, NULL, 200, ACCOUNTS | RANDOM_BODY},
    {ADMIN ":x", "DELETE", "/v1/__user_data__/account:" AL, NULL, NULL, 200, ACCOUNTS},
};

#define ALL_PLUGINS                                                                                \
    "   kinto.plugins.quotas kinto.plugins.history\n   kinto.plugins.revisions\n   "               \
    "kinto.plugins.counters kinto.plugins.prometheus\n"

static const char ini[] =
    PLAIN_INI ALL_PLUGINS "kinto.quotas.bucket_max_bytes = 100000\n"
                          "kinto.user-data_delete_principals = system.Authenticated\n"
                          "kinto.history.auto_trim_max_count = 3\n"
                          "kinto.history.auto_trim_threshold = 1\n"
                          "kinto.revisions.max_count = 2\n"
                          "kinto.experimental_permissions_endpoint = true\n"
                          "kinto.backoff = 10\n"
                          "kinto.eos = 2031-01-01\n"
                          "kinto.eos_message = end\n"
                          "kinto.cors_origins = http://a.b http://c.*\n";

static const char ini_accounts[] =
    "[app:main]\n"
    "multiauth.policies = account\n"
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"
    "kinto.userid_hmac_secret = secret\n"
    "kinto.default_bucket_hmac_secret = other\n"
    "kinto.includes = kinto.plugins.accounts kinto.plugins.default_bucket\n" ALL_PLUGINS
    "kinto.account_create_principals = system.Everyone\n"
    "kinto.account_write_principals = account:" ADMIN "\n"
    "kinto.account_read_principals = account:" ADMIN "\n"
    "kinto.account_password_cost = 4\n"
    "kinto.account_validation = true\n"
    "kinto.account_validation.email_sender = kinto@x.org\n"
    "kinto.account_validation.email_body_template = {name} {activation-key}\n"
    "kinto.user-data_delete_principals = account:" ADMIN "\n";

/* ---- two servers that hold the same ---- */

static struct server right, tortured;

static void fill(struct server *s)
{
    server = *s;
    user = "me:x";
    want(201, "PUT", "/v1/buckets/b", "{\"data\":{\"a\":1}}");
    want(201, "PUT", "/v1/buckets/b/groups/g", "{\"data\":{\"members\":[\"a\"]}}");
    want(201, "PUT", "/v1/buckets/b/collections/c", NULL);
    want(201, "PUT", "/v1/buckets/b/collections/open",
         "{\"permissions\":{\"read\":[\"system.Everyone\"]}}");
    want(201, "PUT", "/v1/buckets/b/collections/open/records/r1", NULL);
    for (int i = 1; i <= 4; i++) {
        str path = arena_printf(&keep, R "/r%d", i);
        str body = arena_printf(&keep,
                                "{\"data\":{\"n\":%d,\"s\":\"a\\nb\",\"a\":[1],\"o\":{\"p\":%d}},"
                                "\"permissions\":{\"read\":[\"system.Authenticated\"]}}",
                                i, i);
        want(201, "PUT", path.p, body.p);
    }
    want(201, "PUT", R "/r5", NULL);
    want(200, "DELETE", R "/r5", NULL);
    want(200, "GET", "/v1/buckets", NULL);
}

/* Whom the command line has made need no key. Their passwords are known from then on. */
static void fill_accounts(struct server *s)
{
    static const char *const names[] = {ADMIN, AL};
    struct err_detail d = {.text = ""};

    server = *s;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_ok(accounts_put(s->loop->thread, s->settings, str_from(names[i]), STR("x"), &d));
        user = arena_printf(&keep, "%s:x", names[i]).p;
        want(200, "GET", "/v1/", NULL);
    }
    want(201, "PUT", "/v1/buckets/b", NULL);
    want(201, "PUT", "/v1/buckets/b/collections/c", NULL);
    want(201, "PUT", "/v1/buckets/b/collections/c/records/r",
         "{\"permissions\":{\"read\":[\"account:" ADMIN "\"]}}");
}

static bool with_accounts; /* the servers of the row */

static void start(struct server *s)
{
    server_start(with_accounts ? ini_accounts : ini);
    *s = server;
    if (with_accounts)
        fill_accounts(s);
    else
        fill(s);
}

static struct fake_answer *ask_row(struct server *s, const struct row *row)
{
    server = *s;
    user = row->user;
    return ask(row->method, row->target, row->headers, row->body);
}

/* ---- the comparison ---- */

static bool same_headers(const struct fake_answer *a, const struct fake_answer *b)
{
    if (a->nheaders != b->nheaders)
        return false;
    for (unsigned i = 0; i < a->nheaders; i++) {
        bool random = str_eq(a->headers[i].name, STR("Next-Page"));
        if (!str_eq(a->headers[i].name, b->headers[i].name) ||
            (!random && !str_eq(a->headers[i].value, b->headers[i].value)))
            return false;
    }
    return true;
}

static bool same_answer(const struct row *row, const struct fake_answer *a,
                        const struct fake_answer *b)
{
    bool body = row->flags & OTHER_BODY    ? true
                : row->flags & RANDOM_BODY ? a->body.n == b->body.n
                                           : str_eq(a->body, b->body);
    return a->status == b->status && body && same_headers(a, b);
}

/* ---- one request ---- */

struct run {
    const struct row *row;
    const struct fake_answer *right;
    str before;
    bool once;
    size_t n;
};

/* What an answer is to the request; a failed one leaves no trace. */
static void check_answer(const struct run *t, const struct fake_answer *a)
{
    const struct row *row = t->row;
    const char *how = t->once ? "once" : "for good";

    if (!a->out_of_memory) {
        ck_assert_msg(same_answer(row, a, t->right), "%s %s, %zu bytes: %d " STR_FMT, row->method,
                      row->target, t->n, a->status, STR_ARG(a->body));
        return;
    }
    bool refused = a->status == 503 || a->status == 413;
    ck_assert_msg(refused || same_answer(row, a, t->right),
                  "%s %s, %zu bytes %s: %d " STR_FMT ", want %d " STR_FMT, row->method, row->target,
                  t->n, how, a->status, STR_ARG(a->body), t->right->status,
                  STR_ARG(t->right->body));
    str now = dump();
    ck_assert_msg(!refused || str_eq(now, t->before), "%s %s, %zu bytes %s: %d and a change",
                  row->method, row->target, t->n, how, a->status);
}

static void give_memory(void)
{
    fake_memory.first_bytes = 0;
    fake_memory.budget = 256 * MIB;
    fake_memory.fail_chunk = 0;
}

/* The server goes on. (That the write transaction is free shows at the next try.) */
static void check_alive(void)
{
    give_memory();
    user = with_accounts ? ADMIN ":x" : "me:x";
    want(200, "GET", with_accounts ? "/v1/accounts" : "/v1/buckets/b/collections/open/records/r1",
         NULL);
}

/* Was there not enough? The n-th chunk behind t->n bytes fails; 0: all do. */
static bool ask_short_of_memory(struct run *t, unsigned nth)
{
    struct arena_mark m = arena_mark(&keep);
    fake_memory.first_bytes = t->n;
    fake_memory.budget = t->once ? 256 * MIB : 0;
    fake_memory.fail_chunk = nth;
    const struct fake_answer *a = ask_row(&tortured, t->row);
    check_answer(t, a);
    bool failed = a->out_of_memory;
    bool changed = failed && !str_eq(dump(), t->before);
    if (failed)
        check_alive();
    arena_release(&keep, m);
    if (changed) { /* the right answer, although something failed on the way */
        server_stop(&tortured);
        start(&tortured);
        server = tortured;
    }
    return failed;
}

static size_t torture(const struct row *row, bool once)
{
    struct run t = {.row = row, .once = once};
    size_t failed = 0;
    t.n = (size_t)(row - rows) * ALIGNMENT % STEP;

    with_accounts = row->flags & ACCOUNTS;
    start(&right);
    t.right = ask_row(&right, row);
    ck_assert_msg(t.right->status == row->status, "%s %s: %d " STR_FMT, row->method, row->target,
                  t.right->status, STR_ARG(t.right->body));
    server_stop(&right);
    start(&tortured);
    server = tortured;
    t.before = dump();
    for (; ask_short_of_memory(&t, once) && !(once && t.n > t.right->used); t.n += STEP)
        failed++;
    /* It has enough; now what it has beside (arena_init_beside()), chunk by chunk. */
    for (unsigned nth = 2; once && t.n > t.right->used && ask_short_of_memory(&t, nth); nth++)
        failed++;
    give_memory();
    user = with_accounts ? ADMIN ":x" : "me:x";
    want(201, "PUT", "/v1/buckets/after", NULL);
    server_stop(&tortured);
    return failed;
}

START_TEST(memory_runs_out_for_good)
{
    ck_assert_uint_gt(torture(&rows[_i], false), 20 * ALIGNMENT / STEP);
}
END_TEST

START_TEST(one_allocation_fails)
{
    ck_assert_uint_gt(torture(&rows[_i], true), 20 * ALIGNMENT / STEP);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("api/torture");
    TCase *c = tcase_create("torture");

    tcase_add_checked_fixture(c, setup_bare, teardown_bare);
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, memory_runs_out_for_good, 0, ARRAY_LEN(rows));
    tcase_add_loop_test(c, one_allocation_fails, 0, ARRAY_LEN(rows));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
