/*
 * test/unit/store/test_purge.c - which tombstones go, what stays as it was, and what is left when
 * it fails in the middle.
 */
#include "test/unit/store/store_test.h"

static const struct store_list_id other = {STR_INIT("record"),
                                           STR_INIT("/buckets/b/collections/other")};
static const struct store_list_id groups = {STR_INIT("group"), STR_INIT("/buckets/b")};

static const str record[] = {STR_INIT("record")};

/* n tombstones "t0", "t1" ..., the oldest first, and an object "live". */
static void fill(struct store_list_id list, unsigned n)
{
    char id[16];

    begin_write();
    put_in(list, "live", "{}", NULL);
    for (unsigned i = 0; i < n; i++) {
        struct store_object o;
        snprintf(id, sizeof id, "t%u", i);
        put_in(list, id, "{}", NULL);
        ck_assert_ok(store_delete(session, &arena, list, str_from(id), NULL, &o));
    }
    commit();
}

static uint64_t purge(const str *resources, size_t n, uint64_t keep)
{
    uint64_t count = 0;

    ck_assert_ok(store_purge_deleted(thread, resources, n, keep, &count));
    return count;
}

/* Everything in the list in the order of time, and that its counts are right. */
static str all_of(struct store_list_id list)
{
    struct store_sort by_time = {STR("last_modified"), false};
    struct store_query q = {.sort = &by_time, .nsort = 1, .tombstones = true};
    struct store_result r;
    struct list *l;
    size_t dead = 0;

    begin_read();
    r = query_in(list, &q);
    for (size_t i = 0; i < r.count; i++)
        dead += r.objects[i].deleted;
    ck_assert_ok(store_list_find(session, list, &l));
    ck_assert_uint_eq(l->tombstones, dead);
    ck_assert_uint_eq(l->live, r.count - dead);
    str ids = ids_of(&r);
    end_read();
    return ids;
}

static int64_t clock_of(struct store_list_id list)
{
    int64_t t;

    begin_read();
    ck_assert_ok(store_timestamp(session, list, &t));
    end_read();
    return t;
}

START_TEST(the_newest_of_each_parent_stay)
{
    fill(records, 5);
    fill(other, 2);
    fill(groups, 4);
    int64_t clock = clock_of(records);
    ck_assert_uint_eq(purge(record, 1, 3), 2);
    ck_assert_str_is(all_of(records), "live t2! t3! t4!");
    ck_assert_str_is(all_of(other), "live t0! t1!");
    ck_assert_str_is(all_of(groups), "live t0! t1! t2! t3!");
    ck_assert_int_eq(clock_of(records), clock);
    ck_assert_uint_eq(purge(record, 1, 3), 0);
}
END_TEST

START_TEST(none_stay)
{
    fill(records, 3);
    ck_assert_uint_eq(purge(record, 1, 0), 3);
    ck_assert_str_is(all_of(records), "live");
    begin_read();
    struct store_object o;
    ck_assert_err(store_get_tombstone(session, &arena, records, STR("t1"), &o), ERR_NOTFOUND);
    end_read();
}
END_TEST

START_TEST(several_resources)
{
    const str both[] = {STR("group"), STR("record"), STR("nothing"), STR("record")};
    fill(records, 3);
    fill(groups, 3);
    ck_assert_uint_eq(purge(both, ARRAY_LEN(both), 1), 4);
    ck_assert_uint_eq(purge(both, 0, 0), 0);
    ck_assert_uint_eq(purge(&both[2], 1, 0), 0);
    ck_assert_str_is(all_of(groups), "live t2!");
}
END_TEST

START_TEST(by_time_and_not_by_the_order_of_deletion)
{
    int64_t early = 5, same = 7;
    begin_write();
    put_at("a", 1);
    put_at("b", 2);
    put_at("c", 3);
    put_at("d", 4);
    delete_at("a", NULL);
    delete_at("b", &early);
    delete_at("c", &same); /* two at one time: the greater id counts as the newer */
    delete_at("d", &same);
    put_at("lives", 7);
    commit();
    ck_assert_uint_eq(purge(record, 1, 2), 2);
    ck_assert_str_is(all_of(records), "d! lives a!");
    begin_write();
    put("c", "{}"); /* what was purged can come back */
    commit();
    ck_assert_str_is(all_of(records), "d! lives a! c");
}
END_TEST

/* More tombstones, and more lists, than one transaction takes. */
START_TEST(in_many_steps)
{
    char parent[64];
    fill(records, 2500);
    begin_write();
    for (int i = 0; i < 1200; i++) {
        snprintf(parent, sizeof parent, "/buckets/b/collections/c%d", i);
        struct store_list_id list = {STR("record"), str_from(parent)};
        struct store_object o;
        put_in(list, "x", "{}", NULL);
        ck_assert_ok(store_delete(session, &arena, list, STR("x"), NULL, &o));
    }
    commit();
    ck_assert_uint_eq(purge(record, 1, 2), 2498);
    ck_assert_str_is(all_of(records), "live t2498! t2499!");
    ck_assert_uint_eq(purge(record, 1, 0), 1202);
    reopen();
    ck_assert_str_is(all_of(records), "live");
}
END_TEST

START_TEST(an_empty_store)
{
    ck_assert_uint_eq(purge(record, 1, 0), 0);
}
END_TEST

START_TEST(a_wrong_count_is_damage)
{
    struct list *l;
    uint64_t count = 0;
    fill(records, 1500);
    fill(other, 2);
    begin_write();
    ck_assert_ok(store_list_find(session, other, &l));
    l->tombstones++;
    l->dirty = true;
    commit();
    ck_assert_err(store_purge_deleted(thread, record, 1, 0, &count), ERR_CORRUPT);
    ck_assert_uint_eq(count, 1000); /* the first step; the second one failed */
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const memory[] = {
        the_newest_of_each_parent_stay,           none_stay,      several_resources,
        by_time_and_not_by_the_order_of_deletion, an_empty_store, a_wrong_count_is_damage};
    Suite *s = suite_of("store/purge", setup, teardown, memory, ARRAY_LEN(memory));
    TCase *files = tcase_create("files");

    tcase_add_checked_fixture(files, setup_files, teardown);
    tcase_add_test(files, in_many_steps);
    tcase_set_timeout(files, 60);
    suite_add_tcase(s, files);
    return s;
}

UNIT_MAIN(make_suite)
