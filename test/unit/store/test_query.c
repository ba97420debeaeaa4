/* Queries: every way to get at candidates, bounds, pages, totals. */
#include "test/unit/store/store_test.h"

static struct store_filter filter(const char *field, enum store_op op, const char *value)
{
    return (struct store_filter){str_from(field), op, parse(value)};
}

/* a to f at 1000000 ..., and two tombstones: t at 1000007, u at 1000008. */
static void fill(void)
{
    begin_write();
    put("a", "{\"v\":3}");
    put("b", "{\"v\":1}");
    put("c", "{\"v\":\"x\"}");
    put("d", "{}");
    put("e", "{\"v\":2,\"w\":{\"x\":1}}");
    put("t", "{\"v\":9}");
    put("u", "{}");
    delete_at("t", NULL);
    delete_at("u", NULL);
    put("f", "{\"v\":null}");
    commit();
    begin_read();
}

static const struct {
    const char *field;
    enum store_op op;
    const char *value, *want, *total;
} bounds[] = {
    {"last_modified", STORE_GT, "1000003", "f u! t! e", "2"},
    {"last_modified", STORE_MIN, "1000003", "f u! t! e d", "3"},
    {"last_modified", STORE_LT, "1000002", "b a", "2"},
    {"last_modified", STORE_MAX, "1000002", "c b a", "3"},
    {"last_modified", STORE_EQ, "1000004", "e", "1"},
    {"last_modified", STORE_EQ, "1000004.0", "e", "1"},
    {"last_modified", STORE_EQ, "1000007", "t!", "0"},
    {"last_modified", STORE_NOT, "1000007", "f u! e d c b a", "6"},
    {"last_modified", STORE_GT, "-9223372036854775808", "f u! t! e d c b a", "6"},
    {"last_modified", STORE_GT, "9223372036854775807", "", "0"},
    {"last_modified", STORE_LT, "-9223372036854775808", "", "0"},
    {"last_modified", STORE_LT, "1000001.5", "b a", "2"},
    {"last_modified", STORE_GT, "10000000000000000000000", "", "0"},
    {"last_modified", STORE_GT, "null", "f u! t! e d c b a", "6"},
    {"last_modified", STORE_IN, "[1000001,1000008]", "u! b", "1"},
    {"deleted", STORE_EQ, "true", "u! t!", "0"},
    {"v", STORE_GT, "1", "u! t! e d a", "3"},
    {"id", STORE_EQ, "\"b\"", "b", "1"},
    {"id", STORE_EQ, "\"t\"", "t!", "0"},
    {"id", STORE_EQ, "\"nobody\"", "", "0"},
    {"id", STORE_IN, "[\"t\",\"a\",\"zz\",\"f\",\"a\"]", "f t! a", "2"},
    {"id", STORE_IN, "[]", "", "0"},
    {"id", STORE_EXCLUDE, "[\"t\",\"a\"]", "f u! e d c b", "5"},
    {"id", STORE_MAX, "\"b\"", "b a", "2"},
    {"w.x", STORE_EQ, "1", "e", "1"},
};

START_TEST(filters_and_their_totals)
{
    struct store_filter f = filter(bounds[_i].field, bounds[_i].op, bounds[_i].value);
    struct store_query q = {.filters = &f, .nfilters = 1, .tombstones = true, .want_total = true};
    struct store_sort up = {STR("last_modified"), false}, v = {STR("v"), false};
    struct store_result r, sorted;
    char total[8];

    fill();
    r = query(&q);
    ck_assert_msg(str_eq(ids_of(&r), str_from(bounds[_i].want)), "%s %d %s: %.*s", bounds[_i].field,
                  bounds[_i].op, bounds[_i].value, (int)ids_of(&r).n, ids_of(&r).p);
    snprintf(total, sizeof total, "%u", (unsigned)r.total);
    ck_assert_str_eq(total, bounds[_i].total);
    /* The same ones whatever the order, and one by one. */
    q.sort = &v;
    q.nsort = 1;
    sorted = query(&q);
    ck_assert_uint_eq(sorted.count, r.count);
    q.sort = &up;
    q.limit = 1;
    sorted = query(&q);
    ck_assert_uint_eq(sorted.count, MIN_OF(r.count, (size_t)1));
    ck_assert_int_eq(sorted.more, r.count > 1);
    if (r.count > 0)
        ck_assert(str_eq(sorted.objects[0].id, r.objects[r.count - 1].id));
    ck_assert_uint_eq(sorted.total, r.total);
    end_read();
}
END_TEST

START_TEST(an_unknown_list_is_empty)
{
    struct store_query q = {.want_total = true, .tombstones = true};
    struct store_result r;

    begin_read();
    r = query(&q);
    ck_assert(r.count == 0 && r.total == 0 && !r.more);
    end_read();
}
END_TEST

START_TEST(filters_are_joined_by_and)
{
    struct store_filter f[] = {filter("v", STORE_MIN, "1"),
                               filter("last_modified", STORE_LT, "1000004"),
                               filter("last_modified", STORE_GT, "1000000"),
                               filter("id", STORE_IN, "[\"a\",\"b\",\"d\",\"e\"]")};
    struct store_query q = {.filters = f, .nfilters = 4, .want_total = true};
    struct store_result r;

    fill();
    r = query(&q);
    ck_assert_str_is(ids_of(&r), "d b");
    ck_assert_uint_eq(r.total, 2);
    q.nfilters = 3;
    ck_assert_ids(&q, "d b");
    q.nfilters = 0;
    r = query(&q);
    ck_assert_str_is(ids_of(&r), "f e d c b a");
    ck_assert_uint_eq(r.total, 6);
    end_read();
}
END_TEST

START_TEST(orders)
{
    struct store_sort keys[] = {{STR("v"), false}, {STR("last_modified"), true}};
    struct store_query q = {.sort = keys, .nsort = 2};

    fill();
    ck_assert_ids(&q, "f c b e a d");
    keys[0].descending = true;
    ck_assert_ids(&q, "d a e b c f");
    keys[0] = (struct store_sort){STR("last_modified"), false}; /* twice: the first one counts */
    ck_assert_ids(&q, "a b c d e f");
    keys[0] = (struct store_sort){STR("nothing"), false};
    ck_assert_ids(&q, "f e d c b a");
    keys[0] = (struct store_sort){STR("id"), true};
    ck_assert_ids(&q, "f e d c b a");
    keys[0] = (struct store_sort){STR("w.x"), false};
    q.limit = 2;
    ck_assert_ids(&q, "e f");
    end_read();
}
END_TEST

/* ---- pages ---- */

static const char *const mixed[] = {"{}",
                                    "{\"v\":null}",
                                    "{\"v\":false}",
                                    "{\"v\":true}",
                                    "{\"v\":1}",
                                    "{\"v\":1.0}",
                                    "{\"v\":-3e2}",
                                    "{\"v\":\"a\",\"w\":{\"x\":1}}",
                                    "{\"v\":\"b\\n\",\"w\":{\"x\":\"q\"}}",
                                    "{\"v\":[1,2],\"w\":{}}",
                                    "{\"v\":[],\"w.x\":0}",
                                    "{\"v\":{\"a\":1}}",
                                    "{\"v\":{}}"};

static const struct {
    const char *sort; /* "-v w.x" */
    bool tombstones, filtered, with_id;
} walks[] = {
    {"", false, false, true},
    {"", true, false, true},
    {"last_modified", false, false, true},
    {"last_modified", true, true, true},
    {"-last_modified", true, false, true},
    {"v", false, false, true},
    {"-v", false, false, true},
    {"v -last_modified", true, false, true},
    {"-v last_modified", true, true, true},
    {"w.x -v", false, false, true},
    {"-w.x v id", false, false, true},
    {"id", true, false, true},
    {"-id", false, true, true},
    {"nothing", false, false, true},
    {"last_modified v", false, false, true},
    {"v id", true, false, false},
    {"-id", false, false, false},
};

static size_t parse_sort(const char *text, struct store_sort *out)
{
    str rest = str_from(text), word;
    size_t n = 0;

    for (; str_next_word(&rest, &word); n++) {
        bool down = word.p[0] == '-';
        out[n] = (struct store_sort){str_drop(word, down), down};
    }
    return n;
}

/* What a page token would hold. */
static struct json *end_of_page(const struct store_object *o, const struct store_query *q,
                                bool with_id)
{
    struct json *after = json_new_object(&arena);
    struct store_sort time = {STR("last_modified"), true};
    const struct store_sort *keys = q->nsort > 0 ? q->sort : &time;

    for (size_t i = 0; i < MAX_OF(q->nsort, (size_t)1); i++) {
        struct json_raw raw;
        struct json *v;
        if (!store_field(&arena, o->data, keys[i].field, &raw))
            continue;
        ck_assert_ok(json_raw_parse(&arena, &raw, &v));
        ck_assert_ok(json_set(&arena, after, keys[i].field, v));
    }
    if (with_id)
        ck_assert_ok(json_set(&arena, after, STR("id"), json_new_string(&arena, o->id)));
    return after;
}

static void fill_mixed(void)
{
    int64_t same = 500;
    char id[16];

    begin_write();
    put("clock", "{}");
    for (int i = 0; i < 39; i++) {
        snprintf(id, sizeof id, "%s%02d", i % 3 ? "x" : "y", i);
        put_in(records, id, mixed[i % ARRAY_LEN(mixed)], i % 4 == 0 ? &same : NULL);
        if (i % 5 == 0)
            delete_at(id, i % 10 == 0 ? &same : NULL);
    }
    commit();
}

START_TEST(pages_give_each_object_once)
{
    struct store_sort keys[4];
    struct store_filter f = filter("v", STORE_NOT, "true");
    struct store_query q = {.sort = keys,
                            .nsort = parse_sort(walks[_i].sort, keys),
                            .tombstones = walks[_i].tombstones,
                            .filters = &f,
                            .nfilters = walks[_i].filtered};
    struct store_result whole;

    fill_mixed();
    begin_read();
    whole = query(&q);
    ck_assert_uint_gt(whole.count, 25);
    for (size_t limit = 1; limit <= whole.count + 1; limit += limit < 6 ? 1 : 9) {
        size_t seen = 0;
        bool more = true;
        q.limit = limit;
        q.after = NULL;
        while (more) {
            struct store_result page = query(&q);
            for (size_t i = 0; i < page.count; i++)
                ck_assert(str_eq(page.objects[i].data, whole.objects[seen++].data));
            more = page.more;
            ck_assert_uint_eq(page.count, more ? limit : page.count);
            ck_assert_int_eq(more, seen < whole.count);
            if (more)
                q.after = end_of_page(&page.objects[page.count - 1], &q, walks[_i].with_id);
        }
        ck_assert_uint_eq(seen, whole.count);
    }
    end_read();
}
END_TEST

/* The object a page ended with goes away before the next page is asked for. */
START_TEST(pages_go_on_behind_what_is_gone)
{
    struct store_sort up = {STR("last_modified"), false};
    struct store_query q = {.sort = &up, .nsort = 1};

    begin_write();
    put("clock", "{}");
    put_at("a", 50);
    put_at("b", 50);
    put_at("c", 50);
    put_at("d", 60);
    q.after = parse("{\"last_modified\":50,\"id\":\"b\"}");
    ck_assert_ids(&q, "c d clock");
    up.descending = true;
    ck_assert_ids(&q, "a");
    up.descending = false;
    put("b", "{}");
    put("a", "{}");
    ck_assert_ids(&q, "c d clock b a");
    q.after = parse("{\"last_modified\":60,\"id\":\"c\"}"); /* d is alone at its time */
    ck_assert_ids(&q, "d clock b a");
    q.after = parse("{\"last_modified\":60,\"id\":\"e\"}");
    ck_assert_ids(&q, "clock b a");
    q.after = parse("{\"last_modified\":50}");
    ck_assert_ids(&q, "d clock b a");
    q.after = parse("{\"last_modified\":55.5}");
    ck_assert_ids(&q, "d clock b a");
    q.after = parse("{\"last_modified\":\"x\"}"); /* a string is before all numbers */
    ck_assert_ids(&q, "c d clock b a");
    q.after = parse("{}"); /* absent is behind all */
    ck_assert_ids(&q, "");
    up.descending = true;
    ck_assert_ids(&q, "a b clock d c");
    commit();
}
END_TEST

START_TEST(after_and_bounds_together)
{
    struct store_filter f[] = {filter("last_modified", STORE_GT, "1000000"),
                               filter("last_modified", STORE_MAX, "1000008")};
    struct store_query q = {.filters = f, .nfilters = 2, .tombstones = true, .want_total = true};
    struct store_result r;

    fill();
    q.after = parse("{\"last_modified\":1000007,\"id\":\"t\"}");
    r = query(&q);
    ck_assert_str_is(ids_of(&r), "e d c b");
    ck_assert_uint_eq(r.total, 4);
    q.after = parse("{\"last_modified\":2000000,\"id\":\"t\"}");
    ck_assert_ids(&q, "u! t! e d c b");
    q.after = parse("{\"last_modified\":5,\"id\":\"t\"}");
    ck_assert_ids(&q, "");
    end_read();
}
END_TEST

START_TEST(a_page_of_ids_and_times)
{
    const struct store_sort by_v = {STR_INIT("v"), false};
    fill();
    for (int sorted = 0; sorted < 2; sorted++) {
        struct store_query q = {.bare = true, .tombstones = true, .sort = &by_v, .nsort = 0};
        q.nsort = sorted ? 1u : 0;
        struct store_result bare = query(&q);
        q.bare = false;
        struct store_result whole = query(&q);
        ck_assert_uint_eq(bare.count, whole.count);
        for (size_t i = 0; i < bare.count; i++) {
            const struct store_object *b = &bare.objects[i], *w = &whole.objects[i];
            ck_assert(str_eq(b->id, w->id) && b->last_modified == w->last_modified);
            ck_assert(b->deleted == w->deleted && str_none(b->data) && str_none(b->acl));
        }
    }
    end_read();
}
END_TEST

/* As many as have so many bytes, but one, in the order of time. */
START_TEST(a_page_of_so_many_bytes)
{
    static const struct store_sort oldest = {STR_INIT("last_modified"), false};
    fill();
    for (size_t enough = 1; enough < 4000; enough *= 2)
        for (int up = 0; up < 2; up++) {
            struct store_query q = {.enough_bytes = enough, .sort = &oldest, .nsort = up ? 1u : 0};
            struct store_result page;
            size_t all = 0, before;
            do {
                page = query(&q);
                before = 0;
                for (size_t i = 0; i + 1 < page.count; i++)
                    before += page.objects[i].data.n;
                ck_assert_uint_gt(page.count, 0);
                ck_assert_uint_lt(before, enough);
                all += page.count;
                q.after = page.objects[page.count - 1].data.p
                              ? parse(arena_cstr(&arena, page.objects[page.count - 1].data))
                              : NULL;
            } while (page.more);
            ck_assert_uint_eq(all, 6);
        }
    end_read();
}
END_TEST

START_TEST(queries_see_the_sessions_own_writes)
{
    struct store_query q = {.tombstones = true, .want_total = true};
    struct store_result r;

    begin_write();
    put("a", "{}");
    put("b", "{}");
    delete_at("a", NULL);
    r = query(&q);
    ck_assert_str_is(ids_of(&r), "a! b");
    ck_assert_uint_eq(r.total, 1);
    store_abort(session);
    begin_read();
    ck_assert_uint_eq(query(&q).count, 0);
    end_read();
}
END_TEST

/* Reading takes no memory for what it passes by. */
START_TEST(a_page_costs_its_own_length)
{
    struct store_sort v = {STR("v"), false};
    struct store_query q = {.limit = 3};
    struct arena small;
    char data[64], id[16];

    begin_write();
    for (int i = 0; i < 3000; i++) {
        snprintf(id, sizeof id, "r%d", i);
        snprintf(data, sizeof data, "{\"v\":[%d],\"s\":\"a\\n%d\"}", (i * 7919) % 3000, i);
        put(id, data);
    }
    commit();
    struct store_filter f[] = {filter("s", STORE_LIKE, "\"9\""), filter("v", STORE_MIN, "[5]")};
    arena_init(&small, NULL, 0, NULL, 32 * KIB);
    begin_read();
    q.filters = f;
    q.nfilters = 2;
    for (int sorted = 0; sorted < 2; sorted++) {
        struct store_result r;
        q.sort = &v;
        q.nsort = (size_t)sorted;
        q.want_total = true;
        ck_assert_ok(store_query(session, &small, records, &q, &r));
        ck_assert_uint_eq(r.count, 3);
        ck_assert_uint_gt(r.total, 500);
        arena_reset(&small);
    }
    end_read();
    arena_fini(&small);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {an_unknown_list_is_empty,
                                  filters_are_joined_by_and,
                                  orders,
                                  pages_go_on_behind_what_is_gone,
                                  after_and_bounds_together,
                                  queries_see_the_sessions_own_writes,
                                  a_page_costs_its_own_length};
    Suite *s = suite_of("store/query", setup, teardown, tests, ARRAY_LEN(tests));
    TCase *c = tcase_create("tables");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, filters_and_their_totals, 0, ARRAY_LEN(bounds));
    tcase_add_test(c, a_page_of_ids_and_times);
    tcase_add_test(c, a_page_of_so_many_bytes);
    tcase_add_loop_test(c, pages_give_each_object_once, 0, ARRAY_LEN(walks));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
