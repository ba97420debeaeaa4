/*
 * Memory that runs out at every place: the arena of a session is made a few bytes longer from run
 * to run, so that each allocation is once the one that fails. Each run must say NOMEM, leave
 * everything as it was, and leave a store that works.
 */
#include "test/unit/store/store_test.h"

static struct arena tight; /* the session's and the calls' */
static struct json *data, *after;
static struct store_filter filters[7];

static const struct store_list_id fresh = {STR_INIT("record"),
                                           STR_INIT("/buckets/b/collections/new")};
static const struct store_list_id other = {STR_INIT("record"),
                                           STR_INIT("/buckets/other/collections/c")};

static enum err put_tight(struct store_list_id list, const char *id, const int64_t *ms, bool shared)
{
    struct store_ace acl[] = {{STR("me"), STORE_PERM_READ}, {STR("you"), STORE_PERM_WRITE}};
    struct store_put p = {str_from(id), data, ms, shared ? acl : NULL, 2};
    struct store_object o;

    return store_put(session, &tight, list, &p, &o);
}

static enum err writes(void)
{
    struct store_ace ace = {STR("someone new"), STORE_PERM_READ};
    str members[] = {STR("me"), STR("her")};
    struct store_object o;
    int64_t same = 500, t;
    enum err e = put_tight(records, "new", NULL, true);

    if (e == OK)
        e = put_tight(records, "a", NULL, false);
    if (e == OK)
        e = put_tight(records, "tied", &same, true); /* moves "old", which is alone there */
    if (e == OK)
        e = put_tight(fresh, "x", NULL, true);
    if (e == OK)
        e = store_delete(session, &tight, records, STR("b"), NULL, &o);
    if (e == OK)
        e = store_set_acl(session, &tight, records, STR("a"), &ace, 1);
    if (e == OK)
        e = store_timestamp(session, (struct store_list_id){STR("x"), STR("")}, &t);
    if (e == OK)
        e = store_group_set(session, STR("/buckets/b/groups/g"), members, 2);
    return e == OK ? store_delete_below(session, STR("/buckets/other")) : e;
}

static enum err queries(void)
{
    struct store_sort keys[] = {{STR("v"), true}, {STR("s.x"), false}};
    str names[] = {STR("me"), STR("you")};
    struct store_principals p;
    struct store_query q = {.want_total = true, .tombstones = true};
    struct store_result r;
    enum err e = store_query(session, &tight, records, &q, &r);

    q.sort = keys;
    q.nsort = 2;
    q.after = after;
    if (e == OK)
        e = store_query(session, &tight, records, &q, &r);
    q.limit = 2;
    for (size_t i = 0; i < ARRAY_LEN(filters) && e == OK; i++) {
        q.filters = &filters[i];
        q.nfilters = 1;
        e = store_query(session, &tight, records, &q, &r);
    }
    if (e == OK)
        e = store_principals_resolve(session, &tight, names, 2, &p);
    q.shared_with = &p;
    q.shared_perms = STORE_PERM_READ;
    return e == OK ? store_query(session, &tight, records, &q, &r) : e;
}

static enum err reads(void)
{
    str name = STR("me");
    const struct store_list_id *lists;
    struct store_principals p;
    const struct store_ace *acl;
    struct store_object o;
    const str *uris;
    size_t n;
    enum err e = store_get(session, &tight, records, STR("c"), &o);

    if (e == OK)
        e = store_acl_list(session, &tight, &o, &acl, &n);
    if (e == OK)
        e = store_get_tombstone(session, &tight, records, STR("t"), &o);
    if (e == OK)
        e = store_groups_of(session, &tight, name, &uris, &n);
    if (e == OK)
        e = store_principals_resolve(session, &tight, &name, 1, &p);
    return e == OK ? store_shared_lists(session, &tight, &p, &lists, &n) : e;
}

static void fill(void)
{
    static const char *const values[] = {"{\"v\":[1,\"a\\n\"],\"s\":{\"x\":1}}",
                                         "{\"v\":\"a\\nb\"}", "{\"v\":{\"k\\n\":1}}", "{}"};
    struct store_ace ace = {STR("me"), STORE_PERM_READ};
    str me = STR("me");
    int64_t same = 500;
    struct store_object o;

    data = parse("{\"v\":[{\"x\":1},\"text\"],\"s\":\"\\n\"}");
    after = parse("{\"v\":{\"k\":[]},\"s.x\":\"\\n\",\"id\":\"b\"}");
    filters[0] = (struct store_filter){STR("v"), STORE_CONTAINS, parse("[\"a\\n\"]")};
    filters[1] = (struct store_filter){STR("v"), STORE_LIKE, parse("\"A*\\nb\"")};
    filters[2] = (struct store_filter){STR("v"), STORE_GT, parse("[0,{}]")};
    filters[3] = (struct store_filter){STR("id"), STORE_IN, parse("[\"a\",\"b\",\"zz\"]")};
    filters[4] = (struct store_filter){STR("id"), STORE_NOT, parse("12")};
    filters[5] = (struct store_filter){STR("last_modified"), STORE_GT, parse("5")};
    filters[6] = (struct store_filter){STR("v.k\n"), STORE_EQ, parse("1")};
    begin_write();
    put("a", values[0]);
    put("b", values[1]);
    put("t", "{}");
    delete_at("t", NULL);
    put_for(records, "c", &ace, 1);
    put("d", values[2]);
    put_in(records, "old", values[3], &same);
    put_in(other, "x", "{}", NULL);
    ck_assert_ok(store_group_set(session, STR("/buckets/b/groups/g"), &me, 1));
    ck_assert_ok(store_group_set(session, STR("/buckets/other/groups/g"), &me, 1));
    o = get_object("old");
    ck_assert_int_eq(o.last_modified, 500);
    commit();
}

/* Everything that can be seen, as one text. */
static str everything(void)
{
    struct engine_cursor c;
    struct buf b;

    buf_init_arena(&b, &arena, SIZE_MAX);
    begin_read();
    engine_cursor_init(&c, session->view, STR(""));
    for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c)) {
        str value;
        ck_assert_ok(engine_cursor_value(&c, &value));
        buf_add_str(&b, engine_cursor_key(&c));
        buf_add_str(&b, value);
    }
    end_read();
    return buf_str(&b);
}

/* Runs `steps` in sessions with ever more memory until they pass; returns how often they failed. */
static unsigned torture(enum err (*steps)(void), bool writing)
{
    static _Alignas(16) char space[256 * KIB];
    str before = everything();
    unsigned failed = 0;
    enum err e = ERR_NOMEM;

    for (size_t n = 16; e != OK; n += 16) {
        ck_assert_uint_le(n, sizeof space);
        arena_init(&tight, space, n, NULL, 0);
        e = writing ? store_write_begin(thread, &tight, &session)
                    : store_read_begin(thread, &tight, &session);
        if (e == OK) {
            e = steps();
            if (!writing)
                end_read();
            else if (session->err != OK)
                ck_assert_err(commit_result(), ERR_NOMEM);
            else
                store_abort(session);
        }
        if (e != OK) {
            ck_assert_err(e, ERR_NOMEM);
            failed++;
        }
        arena_fini(&tight);
        if (n % 256 == 0) {
            ck_assert(str_eq(everything(), before));
        }
    }
    ck_assert(str_eq(everything(), before));
    return failed;
}

START_TEST(writes_without_memory_change_nothing)
{
    fill();
    ck_assert_uint_gt(torture(writes, true), 30);
}
END_TEST

START_TEST(queries_without_memory_say_so)
{
    fill();
    ck_assert_uint_gt(torture(queries, false), 30);
    ck_assert_uint_gt(torture(queries, true), 30);
}
END_TEST

START_TEST(reads_without_memory_say_so)
{
    fill();
    ck_assert_uint_gt(torture(reads, false), 5);
    ck_assert_uint_gt(torture(reads, true), 5);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {writes_without_memory_change_nothing,
                                  queries_without_memory_say_so, reads_without_memory_say_so};
    return suite_of("store/torture", setup, teardown, tests, ARRAY_LEN(tests));
}

UNIT_MAIN(make_suite)
