/*
 * kinto.plugins.quotas against a count: after each of many random requests, refused ones and batches
 * that were undone among them, the sums that are kept are those of the objects that are there.
 *
 * QUOTAS_SEED=n repeats a run.
 */
#include "test/unit/api/api_test.h"

#define INI                                                                                        \
    "[app:main]\n"                                                                                 \
    "multiauth.policies = basicauth\n"                                                             \
    "kinto.userid_hmac_secret = secret\n"                                                          \
    "kinto.includes = kinto.plugins.quotas kinto.plugins.default_bucket kinto.plugins.flush\n"     \
    "kinto.user-data_delete_principals = system.Authenticated\n"
#define LIMITS                                                                                     \
    "kinto.quotas.bucket_max_bytes = 900\n"                                                        \
    "kinto.quotas.bucket_max_items = 4\n"                                                          \
    "kinto.quotas.collection_max_bytes = 400\n"                                                    \
    "kinto.quotas.collection_max_items = 3\n"                                                      \
    "kinto.quotas.collection_max_bytes_per_item = 150\n"

#define ME "basicauth:3fcfef121c84e3b2f7f8096524cf20a808ef062cacaf9952728caff34c0fa7aa"

/* ---- the count ------------------------------------------------------------------------------- */

struct sums {
    uint64_t items, bytes;
};

static struct arena scratch;
static struct store_thread *thread;
static struct store_session *session;

/* Bytes of the text in ASCII, by another way than the plugin's: through its characters. */
static uint64_t size_of(str text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c & 0xc0) == 0x80)
            continue; /* inside of a character */
        n += c < 0x7f ? 1 : c == 0x7f ? 6 : (c & 0xf8) == 0xf0 ? 12 : 6;
    }
    return n;
}

static struct sums count_list(const char *resource, str parent)
{
    struct store_walk *w;
    struct store_object o;
    struct sums sums = {0};
    enum err e;

    ck_assert_ok(store_walk_new(session, &scratch, NULL, &w));
    ck_assert_ok(store_walk_list(w, (struct store_list_id){str_from(resource), parent}));
    while ((e = store_walk_next(w, &o)) == OK) {
        sums.items++;
        sums.bytes += size_of(o.data);
    }
    ck_assert_err(e, ERR_NOTFOUND);
    return sums;
}

static void want_note(str uri, struct sums want_, const char *what)
{
    str value = STR_NONE;
    enum err e = store_note_get(session, &scratch, uri, "quotas", &value);
    struct reader r = store_reader(value);

    ck_assert_msg(e == OK, "%s: " STR_FMT ": %s", what, STR_ARG(uri), err_text(e));
    uint64_t items = store_dec_varint(&r), bytes = store_dec_varint(&r);
    ck_assert_ok(store_dec_end(&r, true));
    ck_assert_msg(items == want_.items && bytes == want_.bytes,
                  "%s: " STR_FMT ": %llu items and %llu bytes, there are %llu and %llu", what,
                  STR_ARG(uri), (unsigned long long)items, (unsigned long long)bytes,
                  (unsigned long long)want_.items, (unsigned long long)want_.bytes);
}

static struct sums check_collection(str bucket, const struct store_object *o, const char *what)
{
    str uri = ARENA_JOIN(&scratch, bucket, STR("/collections/"), o->id);
    struct sums sums = count_list("record", uri);

    sums.bytes += size_of(o->data);
    want_note(uri, sums, what);
    return sums;
}

static void check_bucket(const struct store_object *o, const char *what, uint64_t *notes)
{
    str uri = ARENA_JOIN(&scratch, STR("/buckets/"), o->id);
    struct sums sums = count_list("group", uri);
    struct store_walk *w;
    struct store_object c;

    sums.items = 0;
    sums.bytes += size_of(o->data);
    ck_assert_ok(store_walk_new(session, &scratch, NULL, &w));
    ck_assert_ok(store_walk_list(w, (struct store_list_id){STR("collection"), uri}));
    for (; store_walk_next(w, &c) == OK; ++*notes) {
        struct sums s = check_collection(uri, &c, what);
        sums.items += s.items;
        sums.bytes += s.bytes;
    }
    want_note(uri, sums, what);
}

/* Each bucket and collection has its note, and there is no other. */
static void check_notes(const char *what)
{
    struct store_walk *w;
    struct store_object o;
    struct engine_cursor c;
    struct key prefix;
    uint64_t notes = 0, found = 0;

    ck_assert_ok(store_read_begin(thread, &scratch, &session));
    ck_assert_ok(store_walk_new(session, &scratch, NULL, &w));
    ck_assert_ok(store_walk_list(w, (struct store_list_id){STR("bucket"), STR("")}));
    for (; store_walk_next(w, &o) == OK; notes++)
        check_bucket(&o, what, &notes);
    store_key_init(&prefix, KEY_NOTE);
    engine_cursor_init(&c, session->view, key_str(&prefix));
    for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c))
        found++;
    ck_assert_msg(found == notes, "%s: %llu notes, not %llu", what, (unsigned long long)found,
                  (unsigned long long)notes);
    store_read_end(session);
    arena_reset(&scratch);
}

/* ---- requests -------------------------------------------------------------------------------- */

static uint64_t state;

static unsigned below(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % n;
}

static const char *one_of(const char *const *all, size_t n)
{
    return all[below((unsigned)n)];
}
#define ONE_OF(...)                                                                                \
    one_of((const char *const[]){__VA_ARGS__},                                                     \
           sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static const char *random_path(void)
{
    const char *bucket = ONE_OF("b", "b1", "default"), *c = ONE_OF("c", "d", "c-d");

    switch (below(10)) {
    case 0:
        return arena_printf(&keep, "/buckets/%s", bucket).p;
    case 1:
        return arena_printf(&keep, "/buckets/%s/groups/%s", bucket, c).p;
    case 2:
    case 3:
        return arena_printf(&keep, "/buckets/%s/collections/%s", bucket, c).p;
    case 4:
        return arena_printf(&keep, "/buckets/%s/%s", bucket, ONE_OF("collections", "groups")).p;
    case 5:
        return arena_printf(&keep, "/buckets/%s/collections/%s/records", bucket, c).p;
    default:
        return arena_printf(&keep, "/buckets/%s/collections/%s/records/%s", bucket, c,
                            ONE_OF("r", "s", "t", "u", "v", "w"))
            .p;
    }
}

static const char *random_data(void)
{
    static const char long_text[] =
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    return arena_printf(&keep, "{\"a\":\"%.*s%s\",\"%s\":%s%s}",
                        (int)below(2) * (int)below(sizeof long_text), long_text,
                        ONE_OF("", "é", "€", "😀", "\\u007f", "\\\"\\n"), ONE_OF("b", "id2"),
                        ONE_OF("1", "1.50", "[]", "null", "{\"x\":[1,2]}"),
                        ONE_OF("", "", ",\"members\":[\"x:y\"]", ",\"last_modified\":5"))
        .p;
}

static const char *random_part(void)
{
    const char *method = ONE_OF("PUT", "PUT", "PUT", "PATCH", "POST", "DELETE", "GET");
    const char *path = random_path();
    bool body = strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0 ||
                (strcmp(method, "POST") == 0 && below(2) == 0);

    return arena_printf(&keep, "{\"method\":\"%s\",\"path\":\"%s\"%s%s%s}", method, path,
                        body ? ",\"body\":{\"data\":" : "", body ? random_data() : "",
                        body ? "}" : "")
        .p;
}

/* One request as a batch of its own, or some together. */
static struct fake_answer *ask_random(const char **what)
{
    struct buf b;
    unsigned parts = below(4) ? 1 : 2 + below(6);

    user = below(4) ? "me:x" : "you:x";
    if (below(60) == 0) {
        *what = ONE_OF("/v1/__flush__", "erase");
        if (strcmp(*what, "erase") != 0)
            return ask("POST", *what, NULL, NULL);
        return ask("DELETE", "/v1/__user_data__/" ME, NULL, NULL);
    }
    buf_init_arena(&b, &keep, MIB);
    buf_add_lit(&b, "{\"requests\":[");
    for (unsigned i = 0; i < parts; i++)
        buf_printf(&b, "%s%s", i ? "," : "", random_part());
    buf_add_lit(&b, "]}");
    buf_add_char(&b, '\0');
    ck_assert(!buf_failed(&b));
    *what = buf_str(&b).p;
    return ask("POST", "/v1/batch", NULL, *what);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void setup_quotas(void)
{
    setup_bare();
    arena_init(&scratch, NULL, 0, NULL, 64 * MIB);
}

static void start(const char *ini)
{
    server_start(ini);
    ck_assert_ok(store_thread_new(server.store, &thread));
}

static void stop(void)
{
    store_thread_free(thread);
    server_stop(&server);
}

static void teardown_quotas(void)
{
    arena_fini(&scratch);
    teardown_bare();
}

#define ROUNDS 1500

START_TEST(sums_are_those_of_a_count)
{
    const char *given = getenv("QUOTAS_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : rand_u64() % 1000000;
    unsigned done = 0, refused = 0;

    state = seed;
    fprintf(stderr, "QUOTAS_SEED=%llu\n", (unsigned long long)seed);
    start(_i ? INI LIMITS : INI);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct arena_mark m = arena_mark(&keep);
        const char *what;
        struct fake_answer *a = ask_random(&what);
        ck_assert_msg(a->status == 200 || a->status == 202 || a->status == 507, "%s: %d " STR_FMT,
                      what, a->status, STR_ARG(a->body));
        done += a->status == 200;
        refused += a->status == 507;
        check_notes(what);
        arena_release(&keep, m);
    }
    ck_assert_uint_gt(done, ROUNDS / 4);
    ck_assert(_i ? refused > ROUNDS / 50 : refused == 0);
    stop();
}
END_TEST

/* Limits of one are found by its name: the more is said, the stronger. */
START_TEST(whose_limit)
{
    static const struct {
        const char *bucket, *collection;
        unsigned max;
    } rows[] = {
        {"a", "c", 1}, {"a", "d", 2}, {"z", "c", 3}, {"a_c", "x", 1}, {"A", "c", 3},
    };
    start(INI "kinto.quotas.collection_max_items = 3\n"
              "kinto.quotas.collection_a_max_items = 2\n"
              "quotas.collection_a_c_max_items = 1\n");
    user = "me:x";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str bucket = arena_printf(&keep, "/v1/buckets/%s", rows[i].bucket);
        str c = arena_printf(&keep, STR_FMT "/collections/%s", STR_ARG(bucket), rows[i].collection);
        ask("PUT", bucket.p, NULL, NULL);
        want(201, "PUT", c.p, NULL);
        for (unsigned k = 0; k <= rows[i].max; k++)
            want(k < rows[i].max ? 201 : 507, "PUT",
                 arena_printf(&keep, STR_FMT "/records/%u", STR_ARG(c), k).p, NULL);
    }
    stop();
}
END_TEST

/* A server that only reads counts nothing, and marks nothing as counted. */
START_TEST(a_server_that_only_reads)
{
    start(INI "kinto.readonly = true\n");
    ck_assert_uint_eq(server.api->nlisteners, 0);
    ck_assert_uint_eq(server.store->nclaims, 0);
    ck_assert_uint_gt(at(want(200, "GET", "/v1/", NULL), "/capabilities/quotas").n, 10);
    stop();
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("plugins/quotas");
    TCase *c = tcase_create("quotas");

    tcase_add_checked_fixture(c, setup_quotas, teardown_quotas);
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, sums_are_those_of_a_count, 0, 2);
    tcase_add_test(c, whose_limit);
    tcase_add_test(c, a_server_that_only_reads);
    suite_add_tcase(s, c);
    return s;
}
UNIT_MAIN(make_suite)
