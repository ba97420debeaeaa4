/*
 * test/http/test_together.c - all that keeps data about users at once: accounts (with mails that wait),
 * the default bucket, quotas, history and revisions. One of the users is erased; then no answer of any
 * endpoint, and no byte of the compacted data and of a backup of it, tells the name.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#include "base/arena.h"
#include "base/hash.h"
#include "json/json.h"
#include <dirent.h>
#include <sys/stat.h>

#define ADMIN  "admin@example.org"
#define FORD   "ford@example.org"
#define WHO    "zaphod@example.org"
#define TRACE  "zaphod" /* what may not be found */
#define SECRET "towel"  /* nor what was theirs alone */

#define SETTINGS                                                                                   \
    "kinto.includes = kinto.plugins.accounts kinto.plugins.default_bucket kinto.plugins.quotas\n"  \
    "  kinto.plugins.history kinto.plugins.revisions kinto.plugins.counters\n"                     \
    "multiauth.policies = account\n"                                                               \
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"                       \
    "kinto.account_create_principals = system.Everyone\n"                                          \
    "kinto.account_write_principals = account:" ADMIN "\n"                                         \
    "kinto.account_read_principals = account:" ADMIN "\n"                                          \
    "kinto.account_password_cost = 4\n"                                                            \
    "kinto.account_validation = true\n"                                                            \
    "kinto.account_validation.email_sender = kinto@example.org\n"                                  \
    "kinto.account_validation.email_body_template = {name} {activation-key}\n"                     \
    "kinto.bucket_write_principals = account:" ADMIN "\n"                                          \
    "kinto.user-data_delete_principals = account:" ADMIN "\n"                                      \
    "kinto.experimental_permissions_endpoint = true\n"                                             \
    "kinto.quotas.bucket_max_bytes = 3000\n"                                                       \
    "kinto.history.auto_trim_max_count = 100\n"                                                    \
    "mail.host = 127.0.0.1\n"                                                                      \
    "mail.port = 1\n" /* nobody listens there: mails wait */

static const struct server_options durable = {.settings = SETTINGS, .durable = true};
static struct server server;

/* ---- users ------------------------------------------------------------------------------------- */

/* One request of a user of the accounts (password "secret"), or of nobody. */
static void call_as(const char *name, const char *method, const char *path, const char *body)
{
    static struct arena a;
    arena_fini(&a);
    arena_init(&a, NULL, 0, NULL, MIB);
    if (name) {
        str encoded = hash_base64_encode(&a, str_from(f("%s:secret", name)));
        with("Authorization", f("Basic " STR_FMT, STR_ARG(encoded)));
    }
    call(method, path, body);
}

static void must(int status, const char *name, const char *method, const char *path,
                 const char *body)
{
    call_as(name, method, path, body);
    ck_assert_msg(re.status == status, "%s %s: %d, not %d: %s", method, path, re.status, status,
                  re.body);
}

static void run(const char *command, const char *last, const char *const *more)
{
    const char *output;
    const char *args[16] = {command, "--ini", f("%s/kinto.ini", server.dir), "--data",
                            f("%s/data", server.dir)};
    size_t n = 5;
    for (; more && *more; more++)
        args[n++] = *more;
    args[n] = last;
    int status = server_run(NULL, args, &output);
    ck_assert_msg(status == 0, "%s: %s", command, output);
}

static void start_with_admin(void)
{
    server_start(&server, &durable);
    ck_assert(server_end(&server));
    run("create-user", NULL, (const char *const[]){"-u", ADMIN, "-p", "secret", NULL});
    server_restart(&server, &durable);
    api_use(server.url);
    as(NULL);
}

static long quota_left(void)
{
    const char *value = header("Quota-Remaining"), *bytes = value ? strstr(value, "bytes=") : NULL;
    ck_assert_ptr_nonnull(bytes);
    return strtol(bytes + strlen("bytes="), NULL, 10);
}

/* ---- what they do -------------------------------------------------------------------------------- */

static void sign_up(void)
{
    must(201, NULL, "PUT", "/accounts/" FORD, "{'data':{'password':'secret'}}");
    must(200, ADMIN, "PATCH", "/accounts/" FORD, "{'data':{'validated':true}}");
    must(201, NULL, "PUT", "/accounts/" WHO,
         "{'data':{'password':'secret','email-context':{'name':'Zaphod'}}}");
    must(200, ADMIN, "PATCH", "/accounts/" WHO, "{'data':{'validated':true}}");
    must(200, NULL, "POST", "/accounts/" WHO "/reset-password", NULL);
    must(200, WHO, "GET", "/", NULL);
    want_at("/user/id", "'account:" WHO "'");
}

#define TASKS "/buckets/default/collections/tasks/records"

/* The id of the default bucket; the caller frees it. */
static char *use_the_default_bucket(void)
{
    must(201, WHO, "PUT", TASKS "/r", "{'data':{'what':'" SECRET "'}}");
    long left = quota_left();
    ck_assert_int_lt(left, 3000);
    must(200, WHO, "PATCH", TASKS "/r", "{'data':{'more':'" SECRET "'}}");
    ck_assert_int_lt(quota_left(), left);
    must(507, WHO, "PUT", TASKS "/big", f("{'data':{'x':'%s'}}", repeat('x', 3000)));
    must(404, WHO, "GET", TASKS "/big", NULL);
    must(200, WHO, "GET", TASKS "/r/revisions", NULL);
    want_count("/data", 2);
    must(200, WHO, "GET", "/buckets/default/history?uri=/buckets/default", NULL);
    must(200, WHO, "GET", "/buckets/default/history?resource_name=record", NULL);
    want_count("/data", 2);
    want_at("/data/0/action", "'update'");
    want_at("/data/0/user_id", "'account:" WHO "'");
    must(200, WHO, "GET", "/", NULL);
    return strdup(at("/user/bucket"));
}

static void share(void)
{
    must(201, FORD, "PUT", "/buckets/shared", "{'permissions':{'write':['account:" WHO "']}}");
    must(201, FORD, "PUT", "/buckets/shared/groups/g",
         "{'data':{'members':['account:" WHO "','account:" ADMIN "']}}");
    must(201, FORD, "PUT", "/buckets/shared/collections/c",
         "{'permissions':{'record:create':['account:" WHO "']}}");
    must(201, FORD, "PUT", "/buckets/shared/collections/c/records/r",
         "{'data':{'n':1},'permissions':{'read':['account:" WHO "']}}");
    must(201, WHO, "PUT", "/buckets/shared/collections/c/records/theirs",
         "{'data':{'x':'" SECRET "'}}");
    must(200, WHO, "PATCH", "/buckets/shared/collections/c/records/r", "{'data':{'n':2}}");
}

static void have_a_bucket(void)
{
    must(201, WHO, "PUT", "/buckets/own", "{'permissions':{'read':['account:" FORD "']}}");
    must(201, WHO, "PUT", "/buckets/own/collections/c", NULL);
    must(201, WHO, "PUT", "/buckets/own/groups/g", "{'data':{'members':['account:" WHO "']}}");
    must(201, WHO, "PUT", "/buckets/own/collections/c/records/r", "{'data':{'x':'" SECRET "'}}");
    must(200, WHO, "DELETE", "/buckets/own/collections/c/records/r", NULL);
}

/* ---- every endpoint ------------------------------------------------------------------------------ */

/* What a path of GET /__api__ asks for, by the end of the path before it; of an id "{id}" by what it is
 * an id of. A parameter that is not here fails the test: write down what to ask for. */
static const struct {
    const char *behind, *name, *value;
} parameters[] = {
    {"/buckets/", "{id}", NULL}, /* NULL: the bucket */
    {"/buckets/", "{bucket_id}", NULL},
    {"/groups/", "{id}", "g"},
    {"/groups/", "{group_id}", "g"},
    {"/collections/", "{id}", "c"},
    {"/collections/", "{collection_id}", "c"},
    {"@", "{timestamp}", "1"},
    {"/records/", "{id}", "r"},
    {"/records/", "{record_id}", "r"},
    {"/revisions/", "{id}", "9000000000000"},
    {"/accounts/", "{id}", FORD},
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static const char *value_for(const char *before, const char *at_, const char *bucket)
{
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        if (ends_with(before, parameters[i].behind) &&
            strncmp(at_, parameters[i].name, strlen(parameters[i].name)) == 0)
            return parameters[i].value ? parameters[i].value : bucket;
    ck_abort_msg("this test does not know what to ask for in %s%s", before, at_);
}

/* The path with values for its parameters. */
static void expand(str path, const char *bucket, char out[400])
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '{') {
            out[n++] = path.p[i];
            out[n] = '\0';
            continue;
        }
        str rest = str_drop(path, i);
        const char *value = value_for(out, f(STR_FMT, STR_ARG(rest)), bucket);
        n += (size_t)snprintf(out + n, 400 - n, "%s", value);
        ck_assert_uint_lt(n, 300);
        i += str_find(rest, '}');
    }
}

/* 1 if the answer names who is erased, or what was theirs. */
static unsigned tells(const char *path, const char *who, bool may)
{
    bool found = strstr(re.body, TRACE) || strstr(re.head, TRACE) || strstr(re.body, SECRET) ||
                 strstr(re.body, "Zaphod");
    ck_assert_msg(may || !found, "GET %s as %s:\n%s\n%s", path, who ? who : "nobody", re.head,
                  re.body);
    return found;
}

static unsigned ask_all(const char *path, bool may)
{
    static const char *const askers[] = {ADMIN, FORD, NULL};
    static const char *const queries[] = {"", "?_since=0", "?_sort=last_modified&_limit=2"};
    unsigned found = 0;
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        for (size_t q = 0; q < ARRAY_LEN(queries); q++) {
            const char *target = f("%s%s", path, queries[q]);
            call_as(askers[i], "GET", target, NULL);
            found += tells(target, askers[i], may);
        }
    return found;
}

/* Asks all that can be read of all that there is; how many answers tell. */
static unsigned ask_every_endpoint(const char *default_bucket, bool may)
{
    const char *const buckets[] = {"shared", "own", default_bucket};
    struct arena a;
    struct json *api;
    unsigned found = 0, asked = 0;
    arena_init(&a, NULL, 0, NULL, 16 * MIB);
    must(200, NULL, "GET", "/__api__", NULL);
    ck_assert_int_eq(json_parse(&a, arena_str(&a, (str){re.body, re.body_n}), &api, NULL), OK);
    const struct json *paths = json_get(api, STR("paths"));
    for (size_t i = 0; i < json_count(paths); i++) {
        str path_of;
        struct json *methods;
        ck_assert(json_member(paths, i, &path_of, &methods));
        if (!json_get(methods, STR("get")))
            continue;
        for (size_t b = 0; b < ARRAY_LEN(buckets); b++) {
            char path[400];
            expand(path_of, buckets[b], path);
            found += ask_all(path, may);
            asked++;
        }
    }
    ck_assert_uint_gt(asked, 60);
    arena_fini(&a);
    return found;
}

/* ---- bytes ---------------------------------------------------------------------------------------- */

static bool holds(const char *path, const char *what)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    ck_assert_int_eq(fstat(fileno(file), &st), 0);
    char *bytes = malloc((size_t)st.st_size + 1);
    ck_assert_ptr_nonnull(bytes);
    size_t n = fread(bytes, 1, (size_t)st.st_size, file);
    fclose(file);
    bool found = memmem(bytes, n, what, strlen(what)) != NULL;
    free(bytes);
    return found;
}

/* How many files of the directory hold it. */
static unsigned files_with(const char *dir, const char *what)
{
    unsigned n = 0;
    const struct dirent *e;
    DIR *d = opendir(dir);
    ck_assert_msg(d != NULL, "%s", dir);
    while ((e = readdir(d)) != NULL)
        if (e->d_name[0] != '.')
            n += holds(f("%s/%s", dir, e->d_name), what);
    closedir(d);
    return n;
}

static void check_bytes(void)
{
    static const char *const whats[] = {TRACE, "Zaphod", SECRET};
    char data[300], copy[300];
    snprintf(data, sizeof data, "%s/data", server.dir);
    snprintf(copy, sizeof copy, "%s/copy", server.dir);
    run("compact", NULL, NULL);
    run("backup", copy, NULL);
    ck_assert_uint_gt(files_with(data, FORD), 0); /* so it can be found */
    ck_assert_uint_gt(files_with(copy, FORD), 0);
    for (size_t i = 0; i < ARRAY_LEN(whats); i++) {
        ck_assert_msg(files_with(data, whats[i]) == 0, "%s is in the data", whats[i]);
        ck_assert_msg(files_with(copy, whats[i]) == 0, "%s is in the backup", whats[i]);
    }
}

/* ---- the test -------------------------------------------------------------------------------------- */

static void check_what_is_left(void)
{
    must(200, WHO, "GET", "/", NULL);
    want_missing("/user");
    must(200, FORD, "GET", "/buckets/shared/groups/g", NULL);
    want_body(f("{'permissions':{'write':['account:" FORD "']},'data':{'id':'g','last_modified':%s,"
                "'members':['account:" ADMIN "']}}",
                at("/data/last_modified")));
    must(200, FORD, "GET", "/buckets/shared/collections/c/records/r", NULL);
    want_at("/data/n", "2");
    want_missing("/permissions/read");
    must(404, ADMIN, "GET", "/buckets/own", NULL);
    must(404, ADMIN, "GET", "/accounts/" FORD "x", NULL);
    must(200, ADMIN, "GET", "/accounts", NULL);
    want_ids_any_order(ADMIN "," FORD);
}

/* Somebody else comes by that name, and finds nothing. */
static void sign_up_anew(const char *default_bucket)
{
    must(201, NULL, "PUT", "/accounts/" WHO, "{'data':{'password':'secret'}}");
    must(200, ADMIN, "PATCH", "/accounts/" WHO, "{'data':{'validated':true}}");
    must(200, WHO, "GET", "/", NULL);
    want_at("/user/bucket", f("'%s'", default_bucket));
    must(200, WHO, "GET", TASKS "?_since=0", NULL);
    want_ids("");
    must(201, WHO, "PUT", TASKS "/r", f("{'data':{'x':'%s'}}", repeat('x', 2500)));
    must(200, WHO, "GET", TASKS "/r/revisions", NULL);
    want_count("/data", 1);
    must(200, WHO, "GET", "/buckets/default/history", NULL);
    want_count("/data", 3); /* the bucket, the collection, the record */
    must(403, WHO, "GET", "/buckets/shared", NULL);
}

START_TEST(nothing_tells_of_who_is_erased)
{
    start_with_admin();
    sign_up();
    char *default_bucket = use_the_default_bucket();
    share();
    have_a_bucket();
    ck_assert_uint_gt(ask_every_endpoint(default_bucket, true), 30);
    must(200, ADMIN, "DELETE", "/__user_data__/account:" WHO, NULL);
    check_what_is_left();
    ask_every_endpoint(default_bucket, false);
    ck_assert(server_end(&server));
    check_bytes();
    server_restart(&server, &durable);
    api_use(server.url);
    ask_every_endpoint(default_bucket, false);
    sign_up_anew(default_bucket);
    free(default_bucket);
    server_stop(&server);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/together");
    TCase *t = api_case_own(s, "together");
    tcase_add_test(t, nothing_tells_of_who_is_erased);
    return s;
}

API_MAIN(suite, NULL)
