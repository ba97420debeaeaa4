/*
 * Trimming of the history against a model: a list of who changed what, from which the oldest go by the
 * rule of plugins/trim.c. After each of many random requests, deletions of entries, restarts with other
 * settings and states that cannot be read the entries that are there are those of the model.
 *
 * TRIM_SEED=n repeats a run.
 */
#include "test/unit/api/api_test.h"

#define STEP       1000 /* as in plugins/trim.c: deleted by one write, */
#define COUNT_STEP 500  /* and counted */

/* ---- the model --------------------------------------------------------------------------------- */

#define MAX_ENTRIES 4000
struct kept {
    char kind[12]; /* resource_name */
    char user;     /* 'a' to 'c' */
};

static struct {
    struct kept all[MAX_ENTRIES]; /* the oldest first */
    size_t n,
        counted; /* the oldest that were counted: not all at once when trimming is switched on */
    int64_t max_count, threshold;
    const char *users; /* of whom entries are trimmed; NULL: of all, together */
} model;

static bool counts_for(const struct kept *e, const char *kind, char who)
{
    return strcmp(e->kind, kind) == 0 && (model.users == NULL || e->user == who);
}

static int64_t count_of(const char *kind, char who)
{
    int64_t n = 0;
    for (size_t i = 0; i < model.counted; i++)
        n += counts_for(&model.all[i], kind, who);
    return n;
}

/* The oldest `n` of that counter go. */
static void drop(const char *kind, char who, int64_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < model.n; i++)
        if (n > 0 && counts_for(&model.all[i], kind, who))
            n--;
        else
            model.all[kept++] = model.all[i];
    model.counted -= model.n - kept;
    model.n = kept;
}

static void model_add(const char *kind, char who)
{
    ck_assert_uint_lt(model.n, MAX_ENTRIES);
    struct kept *e = &model.all[model.n++];
    snprintf(e->kind, sizeof e->kind, "%s", kind);
    e->user = who;
    model.counted = model.max_count <= 0 ? 0 : MIN_OF(model.counted + COUNT_STEP, model.n);
    if (model.max_count <= 0 || (model.users && !strchr(model.users, who)))
        return;
    int64_t n = count_of(kind, who);
    if (n > model.max_count + model.threshold)
        drop(kind, who, MIN_OF(n - model.max_count, STEP));
}

/* ---- the server --------------------------------------------------------------------------------- */

static const char *names[] = {"a:x", "b:x", "c:x"};
static str ids[ARRAY_LEN(names)]; /* as history has them */

/* With the settings of the model, on the store that is there, or on a new one. */
static void begin(struct store *store)
{
    struct err_detail d = {.text = ""};
    const struct store_options memory = {.dir = NULL};
    str more = STR("");
    for (const char *u = model.users; u && *u; u++)
        more = ARENA_JOIN(&keep, more, STR(" "), ids[*u - 'a']);
    str ini = arena_printf(&keep,
                           "[app:main]\nmultiauth.policies = basicauth\n"
                           "kinto.userid_hmac_secret = secret\n"
                           "kinto.includes = kinto.plugins.history\n"
                           "kinto.history.auto_trim_max_count = %lld\n"
                           "kinto.history.auto_trim_threshold = %lld\n%s" STR_FMT "\n",
                           (long long)model.max_count, (long long)model.threshold,
                           model.users ? "kinto.history.auto_trim_user_ids =" : "", STR_ARG(more));
    ck_assert_ok(server_load(&server, ini.p, &d));
    server.store = store;
    if (store == NULL)
        ck_assert_ok(store_open(&server.store, &memory, NULL, &d));
    const struct api_options o = {
        .store = server.store, .settings = server.settings, .version = STR("1")};
    ck_assert_ok(api_new(&server.api, &o, &d));
    ck_assert_ok(plugins_load(server.api, server.settings, &d));
    server.app = api_http_app(server.api);
    server.loop = server.app.loop_start(server.app.ctx, 0);
    ck_assert_ptr_nonnull(server.loop);
}

static void begin_again(int64_t max_count, int64_t threshold, const char *users)
{
    struct store *store = server.store;
    server.store = NULL;
    server_stop(&server);
    model.max_count = max_count;
    model.threshold = threshold;
    model.users = users;
    begin(store);
}

static void put(char who, const char *path, const char *kind)
{
    struct arena_mark mark = arena_mark(&keep);
    user = names[who - 'a'];
    int status = ask("PUT", path, NULL, NULL)->status;
    ck_assert_msg(status == 200 || status == 201, "%s: %d", path, status);
    arena_release(&keep, mark);
    model_add(kind, who);
}

static void setup_trim(void)
{
    setup_bare();
    memset(&model, 0, sizeof model);
    begin(NULL);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        user = names[i];
        str id = at(want(200, "GET", "/v1/", NULL), "/user/id");
        ids[i] = str_sub(id, 1, id.n - 2);
    }
    user = names[0];
    want(201, "PUT", "/v1/buckets/b", "{\"permissions\":{\"write\":[\"system.Authenticated\"]}}");
    model_add("bucket", 'a');
    put('a', "/v1/buckets/b/collections/c", "collection");
}

static char who_is(str id)
{
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (str_eq(id, ids[i]))
            return (char)('a' + i);
    ck_abort_msg("a stranger: " STR_FMT, STR_ARG(id));
}

/* The entries, oldest first, are those of the model. */
static void check(const char *what)
{
    struct store_session *s;
    struct store_result found;
    struct arena_mark mark = arena_mark(&keep);
    const struct store_sort by_time = {STR("last_modified"), false};
    const struct store_query all = {.sort = &by_time, .nsort = 1, .limit = SIZE_MAX};
    ck_assert_ok(store_read_begin(server.loop->thread, &keep, &s));
    ck_assert_ok(store_query(s, &keep, (struct store_list_id){STR("history"), STR("/buckets/b")},
                             &all, &found));
    ck_assert_msg(found.count == model.n, "%s: %zu entries, should be %zu", what, found.count,
                  model.n);
    for (size_t i = 0; i < model.n; i++) {
        struct json *entry = parse(arena_str(&keep, found.objects[i].data).p);
        str kind = json_string(json_get(entry, STR("resource_name")));
        char who = who_is(json_string(json_get(entry, STR("user_id"))));
        ck_assert_msg(str_eq(kind, str_from(model.all[i].kind)) && who == model.all[i].user,
                      "%s: entry %zu is of " STR_FMT " by %c, should be of %s by %c", what, i,
                      STR_ARG(kind), who, model.all[i].kind, model.all[i].user);
    }
    store_read_end(s);
    arena_release(&keep, mark);
}

/* ---- what else may happen to the entries -------------------------------------------------------- */

/* DELETE of the history's entries by that user. */
static void delete_of(char who)
{
    user = names[0];
    str target =
        arena_printf(&keep, "/v1/buckets/b/history?user_id=" STR_FMT, STR_ARG(ids[who - 'a']));
    want(200, "DELETE", target.p, NULL);
    size_t kept = 0;
    for (size_t i = 0; i < model.n; i++)
        if (model.all[i].user != who)
            model.all[kept++] = model.all[i];
    model.n = model.counted = kept;
}

/* Somebody else, a program of the command line say, writes the state of trimming as it likes. */
static void spoil_state(const char *text)
{
    struct store_session *s;
    struct store_object ignored;
    const struct store_put put_state = {.id = STR("state"), .data = parse(text)};
    ck_assert_ok(store_write_wait(server.loop->thread, &keep, &s));
    ck_assert_ok(store_put(s, &keep, (struct store_list_id){STR("history-trim"), STR("/buckets/b")},
                           &put_state, &ignored));
    ck_assert_ok(store_commit_wait(s));
}

static const char *const spoilt[] = {
    "{}",
    "{\"of\":5,\"clock\":\"x\",\"counts\":{}}",
    "{\"of\":\"e3b0c44298fc1c14\",\"clock\":1,\"counts\":[[\"record\",\"\",0,0]]}",
    "{\"of\":\"e3b0c44298fc1c14\",\"clock\":1700000000000,\"counts\":[[\"record\"]]}",
    "{\"of\":\"e3b0c44298fc1c14\",\"clock\":1700000000000,\"counts\":[5]}",
    "{\"counts\":[[]]}",
};

/* Names the clock of the list: a state that is believed, but for its rows. */
static void spoil_rows(const char *rows)
{
    int64_t clock;
    struct store_session *s;
    ck_assert_ok(store_read_begin(server.loop->thread, &keep, &s));
    ck_assert_ok(
        store_timestamp(s, (struct store_list_id){STR("history"), STR("/buckets/b")}, &clock));
    store_read_end(s);
    spoil_state(arena_printf(&keep, "{\"of\":\"e3b0c44298fc1c14\",\"clock\":%lld,\"counts\":%s}",
                             (long long)clock, rows)
                    .p);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static uint64_t state;

static unsigned below(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % n;
}

static void random_step(unsigned i)
{
    static const char *const users[] = {NULL, "a", "bc", "abc", ""};
    char who = (char)('a' + below(3));
    str record = arena_printf(&keep, "/v1/buckets/b/collections/c/records/r%u", below(20));
    str group = arena_printf(&keep, "/v1/buckets/b/groups/g%u", below(3));
    switch (below(40)) {
    case 0:
        begin_again(below(6), below(4), users[below(4)]);
        break;
    case 1:
        delete_of(who);
        break;
    case 2:
        spoil_state(spoilt[below(ARRAY_LEN(spoilt))]);
        break;
    default:
        if (i % 5 == 0)
            put(who, group.p, "group");
        else
            put(who, record.p, "record");
    }
}

START_TEST(as_the_model_has_it)
{
    const char *seed = getenv("TRIM_SEED");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)_i + 1;
    state = first;
    begin_again(3, 1, NULL);
    for (unsigned i = 0; i < 400; i++) {
        random_step(i);
        check(arena_printf(&keep, "TRIM_SEED=%llu, step %u", (unsigned long long)first, i).p);
    }
}
END_TEST

/* Switched on where there are many: each write counts so many, and takes out what of these is too many. */
START_TEST(a_long_history_is_trimmed_in_steps)
{
    for (int i = 0; i < 2 * STEP + 300; i++)
        put('a', arena_printf(&keep, "/v1/buckets/b/collections/c/records/%d", i % 50).p, "record");
    check("off");
    begin_again(10, 5, NULL);
    size_t before = model.n;
    put('b', "/v1/buckets/b/collections/c/records/1", "record");
    /* Two of them are of the bucket and the collection, ten stay. */
    ck_assert_uint_eq(model.n, before + 1 - (COUNT_STEP - 2 - 10));
    check("the first step");
    begin_again(10, 5, NULL); /* the second knows where the first has ended */
    for (size_t i = 0; i < before / COUNT_STEP; i++) {
        put('b', "/v1/buckets/b/collections/c/records/1", "record");
        check("another step");
    }
    ck_assert_int_eq(count_of("record", 'a'), 10);
    put('b', "/v1/buckets/b/collections/c/records/1", "record");
    ck_assert_int_eq(count_of("record", 'a'), 11);
    check("within the threshold");
}
END_TEST

/* Rows that are no counters are counted anew. */
static const char *const bad_rows[] = {"[5]",
                                       "[[]]",
                                       "[[\"record\",\"\"]]",
                                       "[[\"record\",\"\",\"3\",0]]",
                                       "[[\"record\",\"\",3,1e300]]",
                                       "[[null,\"\",3,0]]"};

START_TEST(rows_that_are_no_counters)
{
    begin_again(2, 0, NULL);
    for (int i = 0; i < 2; i++)
        put('a', "/v1/buckets/b/collections/c/records/r", "record");
    spoil_rows(bad_rows[_i]);
    put('a', "/v1/buckets/b/collections/c/records/r", "record");
    ck_assert_int_eq(count_of("record", 'a'), 2);
    check(bad_rows[_i]);
}
END_TEST

static uint64_t records_left(void)
{
    user = names[0];
    struct fake_answer *a = ask("GET", "/v1/buckets/b/history?resource_name=record", NULL, NULL);
    ck_assert_int_eq(a->status, 200);
    return json_count(json_get(a->json, STR("data")));
}

/* A counter that tells of more than there is costs entries, but ends, and is right from then on. */
START_TEST(a_counter_that_exaggerates)
{
    begin_again(2, 0, NULL);
    put('a', "/v1/buckets/b/collections/c/records/r", "record");
    ck_assert_uint_eq(records_left(), 1);
    spoil_rows("[[\"record\",\"\",9000000000000000,-9000000000000000]]");
    put('a', "/v1/buckets/b/collections/c/records/r", "record");
    ck_assert_uint_lt(records_left(), 2); /* it was believed */
    for (int i = 0; i < 4; i++)
        put('a', "/v1/buckets/b/collections/c/records/r", "record");
    ck_assert_uint_le(records_left(), 2);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {a_long_history_is_trimmed_in_steps, a_counter_that_exaggerates};
    Suite *s = suite_create("plugins/trim");
    TCase *c = tests_of(s, "trim", setup_trim, teardown, tests, ARRAY_LEN(tests));
    tcase_add_loop_test(c, as_the_model_has_it, 0, 4);
    tcase_add_loop_test(c, rows_that_are_no_counters, 0, ARRAY_LEN(bad_rows));
    return s;
}

UNIT_MAIN(make_suite)
