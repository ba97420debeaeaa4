/*
 * test/http/test_hidden.c - who holds nothing sees nothing.
 *
 * The same questions are put to one server three times, while it holds different things, none of which the
 * asker may see. Whatever comes back, to the byte (but for Date), must be the same: status, headers (ETag,
 * Total-Objects, Last-Modified, ...), the words of errors, what a batch or /permissions lists.
 *
 * What may be told, as in the reference: whether a collection is there, by the 404 of a write on its records
 * (so collections c are in each world); and what the operator opened to all, /__counters__ and /__metrics__.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#include "base/hash.h"

#define PLUGINS                                                                                    \
    "kinto.plugins.default_bucket kinto.plugins.flush kinto.plugins.history kinto.plugins.quotas " \
    "kinto.plugins.revisions"

/* Only boss makes buckets, and accounts. */
static const char *settings(bool accounts)
{
    static char all[2048];
    char hex[2 * HASH_SHA256_LEN + 1];
    hash_hmac_sha256_hex(STR("hidden"), STR("boss:secret"), hex);
    int n = snprintf(all, sizeof all,
                     "kinto.includes = " PLUGINS "%s\n"
                     "multiauth.policies = %sbasicauth\n"
                     "kinto.userid_hmac_secret = hidden\n"
                     "kinto.bucket_create_principals = basicauth:%s\n"
                     "kinto.experimental_permissions_endpoint = true\n"
                     "kinto.record_cache_expires_seconds = 60\n"
                     "kinto.quotas.bucket_max_bytes = 1000000\n"
                     "kinto.quotas.collection_max_items = 100\n",
                     accounts ? " kinto.plugins.accounts" : "", accounts ? "account " : "", hex);
    if (accounts)
        snprintf(all + n, sizeof all - (size_t)n,
                 "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"
                 "kinto.account_create_principals = basicauth:%s\n"
                 "kinto.account_write_principals = basicauth:%s\n"
                 "kinto.account_password_cost = 4\n",
                 hex, hex);
    return all;
}

/* ---- what is hidden -------------------------------------------------------------------------- */

static char record_etag[64]; /* of the record r, for preconditions */

static void bucket_and_collection(void)
{
    make("/buckets/b");
    make("/buckets/b/collections/c");
}

static void nearly_nothing(void)
{
    bucket_and_collection();
}

static void one_of_each(void)
{
    bucket_and_collection();
    put("/buckets/b/groups/g", "{'members':['basicauth:1','account:ann']}");
    put(R "/r", "{'name':'something'}");
    snprintf(record_etag, sizeof record_etag, "%s", etag());
    put("/buckets/default/collections/c/records/r", "{}");
}

static void other_things(void)
{
    call("PUT", "/buckets/b",
         "{'data':{'secret':1},'permissions':{'read':['account:ann'],'group:create':['account:ann']"
         "}}");
    want(201);
    call("PUT", "/buckets/b/collections/c",
         "{'data':{'schema':{'type':'object'}},'permissions':{'record:create':['account:ann']}}");
    want(201);
    call("PUT", R "/r", "{'data':{'name':'s'},'permissions':{'write':['account:ann']}}");
    want(201);
    call("DELETE", R "/r", NULL);
    want(200);
    for (int i = 0; i < 3; i++)
        put(f(R "/s%d", i), "{'name':'another'}");
    put(R "/t", "{'last_modified':4000000000000}");
    put("/buckets/b/groups/h", "{'members':[]}");
    make("/buckets/b2");
    put("/buckets/b2/collections/d", "{}");
}

/* ---- questions ------------------------------------------------------------------------------- */

static const char *const methods[] = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "BREW"};

static const char *const paths[] = {
    "/",
    "/buckets",
    "/buckets?_since=1",
    "/buckets?id=b",
    "/buckets?_sort=secret",
    "/buckets?_limit=1&_fields=secret",
    "/buckets/b",
    "/buckets/b?_expected=1",
    "/buckets/none",
    "/buckets/b/groups",
    "/buckets/b/groups?members=account:ann",
    "/buckets/b/groups/g",
    "/buckets/b/groups/h",
    "/buckets/b/collections",
    "/buckets/b/collections/c",
    "/buckets/b/collections/d",
    "/buckets/b/collections?_before=9999999999999",
    R,
    R "?name=something",
    R "?_since=1",
    R "?_sort=name&_limit=1",
    R "?_fields=name",
    R "?_fields=name.nothing",
    R "?_token=eyJsYXN0X29iamVjdCI6eyJpZCI6InIifX0",
    R "/r",
    R "/r?_fields=name",
    R "/s1",
    R "/none",
    "/buckets/b/history",
    "/buckets/b/history?uri=/buckets/b/collections/c/records/r",
    "/buckets/none/history",
    "/buckets/b/snapshot/collections/c@9999999999999",
    "/buckets/b/snapshot/collections/c@1",
    "/buckets/b/revisions",
    "/buckets/b/collections/c/revisions",
    R "/r/revisions",
    R "/s1/revisions",
    R "/none/revisions",
    R "/r/revisions/1",
    "/permissions",
    "/permissions?uri=/buckets/b",
    "/permissions?_since=1&_sort=uri",
};

static const char *const account_paths[] = {
    "/",
    "/buckets",
    "/accounts",
    "/accounts?id=ann",
    "/accounts?_sort=password&has_password=true",
    "/accounts/ann",
    "/accounts/bob",
    "/accounts/none",
    "/permissions",
    "/__user_data__/account:ann",
    "/__user_data__/account:bob",
};

/* What the header of a request may try to find out; the ETag is that of the hidden record. */
static const char *const tries[][2] = {
    {NULL, NULL},
    {"If-None-Match", "*"},
    {"If-Match", "\"1\""},
    {"If-Match", "*"},
    {"If-None-Match", record_etag},
    {"If-Match", record_etag},
    {"If-Modified-Since", "Sat, 01 Jan 2050 00:00:00 GMT"},
    {"Response-Behavior", "light"},
    {"Origin", "https://evil.example"},
};

static const char *const bodies[] = {
    "{'data':{'id':'r'}}",
    "{'data':{'id':'g','members':[],'name':1,'last_modified':1}}",
    "[{'op':'test','path':'/data/name','value':'something'}]",
    "{'permissions':{'write':['system.Everyone']}}",
    "{nothing",
};

/* ---- answers --------------------------------------------------------------------------------- */

struct transcript {
    char *text;
    size_t n;
};

static const char *without_date(void)
{
    char *head = (char *)(uintptr_t)f("%s", re.head), *date = strstr(head, "\nDate: "), *end;
    if (date && (end = strchr(date + 1, '\n')) != NULL)
        memmove(date, end, strlen(end) + 1);
    return head;
}

static void note(FILE *out, const char *who, const char *method, const char *path, const char *try,
                 const char *body)
{
    bool changes = strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
    ck_assert_msg(!changes || re.status >= 400, "%s %s by %s: %d", method, path, who, re.status);
    fprintf(out, "%c%s %s (by %s, %s) %s\n%s%.*s", '\1', method, path, *who ? who : "nobody",
            try ? try : "", body ? body : "", without_date(), (int)re.body_n, re.body);
}

static void ask(FILE *out, const char *who, const char *method, const char *path, size_t try,
                const char *body)
{
    as(*who ? who : NULL);
    if (tries[try][0])
        with(tries[try][0], tries[try][1]);
    if (body && *body == '[')
        with("Content-Type", "application/json-patch+json");
    call(method, path, body);
    note(out, who, method, path, tries[try][0], body);
}

static void ask_in_batch(FILE *out, const char *who, const char *path)
{
    as(*who ? who : NULL);
    call("POST", "/batch",
         f("{'defaults':{'path':'%s'},'requests':[{'method':'GET'},{'method':'HEAD'},"
           "{'method':'PUT','body':{'data':{'members':[]}}},{'method':'DELETE'},"
           "{'method':'PATCH','body':{'data':{}}},{'method':'PUT','headers':{'If-None-Match':'*'}}]"
           "}",
           path));
    want(200);
    fprintf(out, "%cbatch on %s (by %s)\n%s%.*s", '\1', path, who, without_date(), (int)re.body_n,
            re.body);
}

/* By each method, with each header, with each body. */
static void ask_for(FILE *out, const char *who, const char *path)
{
    for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
        bool body = methods[m][0] == 'P';
        for (size_t i = 0; i < ARRAY_LEN(tries); i++)
            ask(out, who, methods[m], path, i, body ? bodies[0] : NULL);
        for (size_t b = 1; body && b < ARRAY_LEN(bodies); b++)
            ask(out, who, methods[m], path, 0, bodies[b]);
    }
    ask_in_batch(out, who, path);
}

static void ask_all(struct transcript *t, const char *const *path, size_t n,
                    const char *const *askers, size_t naskers)
{
    FILE *out = open_memstream(&t->text, &t->n);
    CHECK(out);
    for (size_t w = 0; w < naskers; w++)
        for (size_t p = 0; p < n; p++)
            ask_for(out, askers[w], path[p]);
    CHECK(fclose(out) == 0);
}

/* The first question whose answers differ fails the test. */
static void want_same(const struct transcript *a, const struct transcript *b)
{
    if (a->n == b->n && memcmp(a->text, b->text, a->n) == 0)
        return;
    size_t i = 0, start = 0;
    for (; i < a->n && i < b->n && a->text[i] == b->text[i]; i++)
        if (a->text[i] == '\1')
            start = i + 1;
    ck_abort_msg("what is hidden is told:\n%.*s\n-- or --\n%.*s",
                 (int)strcspn(a->text + start, "\1"), a->text + start,
                 (int)strcspn(b->text + start, "\1"), b->text + start);
}

#define MAX_WORLDS 3

static void compare(const char *ini, void (*const *worlds)(void), size_t n, const char *const *path,
                    size_t npaths, const char *const *askers, size_t naskers)
{
    struct transcript said[MAX_WORLDS];
    struct server s;
    server_start(&s, &(struct server_options){.settings = ini});
    api_use(s.url);
    for (size_t i = 0; i < n; i++) {
        as("boss");
        call("DELETE", "/buckets", NULL); /* a flush would be told, by the ETag of /permissions */
        worlds[i]();
        ask_all(&said[i], path, npaths, askers, naskers);
        ck_assert_uint_gt(said[i].n, 10000);
    }
    for (size_t i = 1; i < n; i++)
        want_same(&said[0], &said[i]);
    for (size_t i = 0; i < n; i++)
        free(said[i].text);
    server_stop(&s);
}

START_TEST(who_holds_nothing_sees_nothing)
{
    static void (*const worlds[])(void) = {one_of_each, nearly_nothing, other_things};
    static const char *const askers[] = {"", "stranger"};
    compare(settings(false), worlds, ARRAY_LEN(worlds), paths, ARRAY_LEN(paths), askers,
            ARRAY_LEN(askers));
}
END_TEST

/* ---- who holds one record --------------------------------------------------------------------- */

/* Nothing but the times of lists, which tell that something changed, as synchronising needs it. */
static const char *without_times(void)
{
    static const char *const names[] = {"\nETag: ", "\nLast-Modified: "};
    char *head = (char *)(uintptr_t)without_date(), *at_it, *end;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((at_it = strstr(head, names[i])) != NULL && (end = strchr(at_it + 1, '\n')) != NULL)
            memmove(at_it, end, strlen(end) + 1);
    return head;
}

static void ask_as_holder(struct transcript *t)
{
    static const char *const more[] = {R "/mine",
                                       R "/mine/revisions",
                                       R "?_limit=1",
                                       R "?_sort=-last_modified",
                                       R "?id=r",
                                       "/buckets/b/history?_limit=1",
                                       "/permissions?_sort=uri"};
    FILE *out = open_memstream(&t->text, &t->n);
    CHECK(out);
    for (size_t m = 0; m < 2; m++)
        for (size_t p = 0; p < ARRAY_LEN(paths) + ARRAY_LEN(more); p++) {
            const char *path = p < ARRAY_LEN(paths) ? paths[p] : more[p - ARRAY_LEN(paths)];
            as("holder");
            call(methods[m], path, NULL);
            fprintf(out, "%c%s %s\n%s%.*s", '\1', methods[m], path, without_times(), (int)re.body_n,
                    re.body);
        }
    CHECK(fclose(out) == 0);
}

/* All that goes on around one record, which stays as it is. */
static void let_things_happen(void)
{
    as("boss");
    put(R "/r", "{'name':'something'}");
    put(R "/s1", "{'name':'another'}");
    call("DELETE", R "/s1", NULL);
    want(200);
    call("PATCH", "/buckets/b", "{'data':{'secret':2},'permissions':{'read':['account:ann']}}");
    want(200);
    call("PATCH", "/buckets/b/collections/c", "{'permissions':{'record:create':['account:ann']}}");
    want(200);
    put("/buckets/b/groups/g", "{'members':['account:ann']}");
    put("/buckets/b/collections/d", "{}");
    make("/buckets/b2");
}

START_TEST(who_holds_a_record_sees_it_alone)
{
    struct server s;
    struct transcript before, after;
    server_start(&s, &(struct server_options){.settings = settings(false)});
    api_use(s.url);
    const char *holder = principal("holder");
    as("boss");
    bucket_and_collection();
    call("PUT", R "/mine", f("{'data':{'name':'x'},'permissions':{'write':['%s']}}", holder));
    want(201);
    ask_as_holder(&before);
    ck_assert_ptr_nonnull(strstr(before.text, "\"id\":\"mine\"")); /* there is something to see */
    let_things_happen();
    ask_as_holder(&after);
    want_same(&before, &after);
    free(before.text);
    free(after.text);
    server_stop(&s);
}
END_TEST

/* ---- accounts -------------------------------------------------------------------------------- */

static void no_account(void)
{
}

static void account_of_ann(void)
{
    put("/accounts/ann", "{'password':'hers'}");
}

static void account_of_bob(void)
{
    call("DELETE", "/accounts/ann", NULL);
    want(200);
    put("/accounts/bob", "{'password':'his','name':'Robert'}");
}

/* Who asks as ann has the wrong password, or there is no ann: then basicauth knows somebody. */
START_TEST(nobody_learns_which_accounts_there_are)
{
    static void (*const worlds[])(void) = {no_account, account_of_ann, account_of_bob};
    static const char *const askers[] = {"", "ann"};
    compare(settings(true), worlds, ARRAY_LEN(worlds), account_paths, ARRAY_LEN(account_paths),
            askers, ARRAY_LEN(askers));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hidden");
    TCase *t = api_case_own(s, "hidden");
    tcase_add_test(t, who_holds_nothing_sees_nothing);
    tcase_add_test(t, who_holds_a_record_sees_it_alone);
    tcase_add_test(t, nobody_learns_which_accounts_there_are);
    return s;
}

API_MAIN(suite, NULL)
