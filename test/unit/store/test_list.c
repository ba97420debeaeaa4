/* Clocks, counts, and what goes away with a parent. */
#include "test/unit/store/store_test.h"

/* ---- the clock ---- */

START_TEST(stamps_rise_within_a_millisecond)
{
    begin_write();
    ck_assert_int_eq(put("a", "{}").last_modified, 1000000);
    ck_assert_int_eq(put("b", "{}").last_modified, 1000001);
    wall_now = 1000500;
    ck_assert_int_eq(put("a", "{}").last_modified, 1000500);
    ck_assert_int_eq(delete_at("a", NULL).last_modified, 1000501);
    ck_assert_int_eq(timestamp(), 1000501);
    commit();
}
END_TEST

START_TEST(stamps_rise_when_the_wall_clock_steps_back)
{
    begin_write();
    put("a", "{}");
    commit();
    wall_now = 500;
    begin_write();
    ck_assert_int_eq(put("b", "{}").last_modified, 1000001);
    commit();
    reopen();
    wall_now = 20;
    begin_write();
    ck_assert_int_eq(timestamp(), 1000001);
    ck_assert_int_eq(put("b", "{}").last_modified, 1000002);
    commit();
}
END_TEST

START_TEST(lists_have_clocks_of_their_own)
{
    static const struct store_list_id other = {STR_INIT("record"), STR_INIT("/buckets/b/c/d")};
    static const struct store_list_id group = {STR_INIT("group"),
                                               STR_INIT("/buckets/b/collections/c")};

    begin_write();
    put("a", "{}");
    put("b", "{}");
    ck_assert_int_eq(put_in(other, "a", "{}", NULL).last_modified, 1000000);
    ck_assert_int_eq(put_in(group, "a", "{}", NULL).last_modified, 1000000);
    ck_assert_int_eq(timestamp(), 1000001);
    commit();
}
END_TEST

START_TEST(an_unknown_list_gets_its_clock_from_a_write_session)
{
    int64_t t = 7;

    begin_read();
    ck_assert_err(store_timestamp(session, records, &t), ERR_AGAIN);
    ck_assert_int_eq(t, 7);
    end_read();
    begin_write();
    ck_assert_int_eq(timestamp(), 1000000);
    wall_now = 1000100;
    ck_assert_int_eq(timestamp(), 1000000);
    commit();
    begin_read();
    ck_assert_int_eq(timestamp(), 1000000);
    end_read();
    begin_write();
    ck_assert_int_eq(put("a", "{}").last_modified, 1000100);
    commit();
}
END_TEST

START_TEST(an_aborted_clock_was_never_there)
{
    int64_t t;

    begin_write();
    put("a", "{}");
    store_abort(session);
    begin_read();
    ck_assert_err(store_timestamp(session, records, &t), ERR_AGAIN);
    end_read();
}
END_TEST

/* asked for, clock before -> time, clock after: as the reference answers. */
static const struct {
    int64_t clock, asked, time, after;
} creations[] = {
    {0, 0, 1, 1},
    {0, -5, -5, 0},
    {0, 1234, 1234, 1234},
    {1000000, 1234, 1234, 1000000},
    {1000000, 0, 0, 1000000},
    {1000000, -5, -5, 1000000},
    {1000000, 999999, 999999, 1000000},
    {1000000, 1000000, 1000001, 1000001},
    {1000000, 1000001, 1000001, 1000001},
    {1000000, 99999999999999, 99999999999999, 99999999999999},
    {1000000, STORE_MAX_TIMESTAMP, STORE_MAX_TIMESTAMP, STORE_MAX_TIMESTAMP},
    {1000000, -STORE_MAX_TIMESTAMP, -STORE_MAX_TIMESTAMP, 1000000},
};

START_TEST(creation_takes_the_time_asked_for)
{
    begin_write();
    if (creations[_i].clock != 0)
        ck_assert_int_eq(put("first", "{}").last_modified, creations[_i].clock);
    ck_assert_int_eq(put_at("x", creations[_i].asked).last_modified, creations[_i].time);
    ck_assert_int_eq(timestamp(), creations[_i].after);
    ck_assert_int_eq(get_object("x").last_modified, creations[_i].time);
    ck_assert_int_gt(put("y", "{}").last_modified, creations[_i].after);
    commit();
}
END_TEST

/* The object is at 1000000, the clock at 1000010. */
static const struct {
    int64_t asked, time;
} updates[] = {
    {1, 1000011},       {0, 1000011},       {-1, 1000011},
    {1000000, 1000011}, {1000001, 1000001}, {1000009, 1000009},
    {1000010, 1000011}, {1000011, 1000011}, {1000020, 1000020},
};

static void put_object_and_clock(void)
{
    begin_write();
    put("x", "{}");
    put_at("y", 1000010);
    ck_assert_int_eq(timestamp(), 1000010);
}

START_TEST(updates_take_a_later_time_only)
{
    put_object_and_clock();
    ck_assert_int_eq(put_at("x", updates[_i].asked).last_modified, updates[_i].time);
    ck_assert_int_eq(timestamp(), MAX_OF(updates[_i].time, 1000010));
    commit();
}
END_TEST

START_TEST(deletions_take_a_later_time_only)
{
    put_object_and_clock();
    ck_assert_int_eq(delete_at("x", &updates[_i].asked).last_modified, updates[_i].time);
    ck_assert_int_eq(timestamp(), MAX_OF(updates[_i].time, 1000010));
    commit();
}
END_TEST

START_TEST(times_out_of_range_change_nothing)
{
    static const int64_t bad[] = {INT64_MAX, INT64_MIN, STORE_MAX_TIMESTAMP + 1};
    struct store_object o;

    begin_write();
    put("a", "{}");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct store_put p = {STR("x"), parse("{}"), &bad[i], NULL, 0};
        ck_assert_err(store_put(session, &arena, records, &p, &o), ERR_RANGE);
        ck_assert_err(store_delete(session, &arena, records, STR("a"), &bad[i], &o), ERR_RANGE);
    }
    ck_assert_int_eq(timestamp(), 1000000);
    commit();
}
END_TEST

/* ---- what goes away with a parent ---- */

static const struct {
    const char *resource, *parent;
    bool below; /* /buckets/b */
} lists[] = {
    {"bucket", "", false},
    {"collection", "/buckets/b", true},
    {"group", "/buckets/b", true},
    {"record", "/buckets/b/collections/c", true},
    {"record", "/buckets/b/collections/c1", true},
    {"thing", "/buckets/b/collections/c/records/r", true},
    {"collection", "/buckets/b1", false},
    {"record", "/buckets/b1/collections/c", false},
    {"collection", "/buckets/b-", false},
    {"collection", "/buckets/b.", false},
    {"collection", "/buckets/", false},
    {"collection", "/buckets/a", false},
    {"x", "/buckets", false},
};

static struct store_list_id list_of(size_t i)
{
    return (struct store_list_id){str_from(lists[i].resource), str_from(lists[i].parent)};
}

static void fill_lists(void)
{
    begin_write();
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        put_in(list_of(i), "r", "{}", NULL);
        put_in(list_of(i), "t", "{}", NULL);
        ck_assert_ok(store_delete(session, &arena, list_of(i), STR("t"), NULL,
                                  &(struct store_object){.id = STR_NONE}));
    }
    commit();
}

START_TEST(a_cascade_takes_what_lies_below_and_nothing_else)
{
    struct store_query all = {.tombstones = true, .want_total = true};

    fill_lists();
    begin_write();
    ck_assert_ok(store_delete_below(session, STR("/buckets/b")));
    commit();
    begin_read();
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct store_result r = query_in(list_of(i), &all);
        int64_t t;
        ck_assert_msg(r.count == (lists[i].below ? 0 : 2), "%s", lists[i].parent);
        ck_assert_uint_eq(r.total, lists[i].below ? 0 : 1);
        ck_assert_err(store_timestamp(session, list_of(i), &t), lists[i].below ? ERR_AGAIN : OK);
    }
    end_read();
}
END_TEST

START_TEST(a_list_that_comes_back_is_a_new_one)
{
    int64_t past = 5;

    begin_write();
    put_at("a", 99999999999999);
    delete_at("a", NULL);
    ck_assert_ok(store_delete_below(session, STR("/buckets/b")));
    ck_assert_int_eq(put("b", "{}").last_modified, 1000000);
    ck_assert_int_eq(put_in(records, "a", "{}", &past).last_modified, 5);
    commit();
    begin_read();
    ck_assert_ids((&(struct store_query){.tombstones = true}), "b a");
    end_read();
}
END_TEST

/* The parent's parts are longer than a key. */
START_TEST(long_names_have_cascades_too)
{
    char parent[3][6000];
    struct store_list_id l[3];
    struct store_object o;

    for (int i = 0; i < 3; i++) {
        size_t n = (size_t)snprintf(parent[i], sizeof parent[i], "/buckets/%02000d%d", 0, i);
        l[i] = (struct store_list_id){STR("collection"), {parent[i], n}};
    }
    begin_write();
    for (int i = 0; i < 3; i++)
        put_in(l[i], "x", "{}", NULL);
    memcpy(parent[2] + l[2].parent.n, "/collections/c", 15);
    l[2] = (struct store_list_id){STR("record"), str_from(parent[2])};
    put_in(l[2], "x", "{}", NULL);
    l[2].parent.n -= 14;
    ck_assert_ok(store_delete_below(session, l[2].parent));
    commit();
    begin_read();
    l[2].parent.n += 14;
    ck_assert_ok(store_get(session, &arena, l[0], STR("x"), &o));
    ck_assert_ok(store_get(session, &arena, l[1], STR("x"), &o));
    ck_assert_err(store_get(session, &arena, l[2], STR("x"), &o), ERR_NOTFOUND);
    end_read();
}
END_TEST

START_TEST(lists_that_cannot_be_are_refused)
{
    struct store_list_id bad[] = {
        {STR(""), STR("/a")},
        {STR("x"), STR("/a\0b")},
        {STR("0123456789012345678901234567890123456789012345678901234567890"
             "12345"),
         STR("")}};
    struct store_put p = {STR("x"), parse("{}"), NULL, NULL, 0};
    struct store_object o;

    begin_write();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_err(store_put(session, &arena, bad[i], &p, &o), ERR_LIMIT);
    put("a", "{}"); /* nothing was harmed */
    commit();
}
END_TEST

START_TEST(flush_takes_everything)
{
    static const str member = STR_INIT("me");
    const str *groups;
    size_t n;

    fill_lists();
    begin_write();
    ck_assert_ok(store_group_set(session, STR("/buckets/b/groups/g"), &member, 1));
    ck_assert_ok(store_delete_everything(session));
    put_in(list_of(0), "new", "{}", NULL);
    commit();
    begin_read();
    for (size_t i = 1; i < ARRAY_LEN(lists); i++)
        ck_assert_err(get_result(list_of(i), "r"), ERR_NOTFOUND);
    ck_assert_err(get_result(list_of(0), "r"), ERR_NOTFOUND);
    ck_assert_ok(get_result(list_of(0), "new"));
    ck_assert_ok(store_groups_of(session, &arena, member, &groups, &n));
    ck_assert_uint_eq(n, 0);
    end_read();
}
END_TEST

/* More lists in one session than it has places for: their states are written in between. */
START_TEST(many_lists_in_one_session)
{
    struct store_query q = {.want_total = true};
    char parents[40][16];

    begin_write();
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 40; i++) {
            char id[16];
            struct store_list_id l = {STR("record"), STR("")};
            snprintf(parents[i], sizeof parents[i], "/p%d", i);
            snprintf(id, sizeof id, "r%d", round);
            l.parent = str_from(parents[i]);
            ck_assert_int_eq(put_in(l, id, "{}", NULL).last_modified, 1000000 + round);
        }
    commit();
    begin_read();
    for (int i = 0; i < 40; i++) {
        struct store_list_id l = {STR("record"), str_from(parents[i])};
        ck_assert_uint_eq(query_in(l, &q).total, 3);
    }
    end_read();
}
END_TEST

/* ---- what a thread remembers of lists ---- */

static uint32_t number_of(struct store_thread *t, struct store_list_id l)
{
    struct store_session *s;
    uint32_t number = 0;

    ck_assert_ok(store_read_begin(t, &arena, &s));
    enum err e = store_list_number(s, l, &number);
    ck_assert(e == OK || (e == ERR_NOTFOUND && number == 0));
    store_read_end(s);
    return number;
}

static uint32_t number_in_session(struct store_list_id l)
{
    uint32_t number = 0;
    enum err e = store_list_number(session, l, &number);

    ck_assert(e == OK || (e == ERR_NOTFOUND && number == 0));
    return number;
}

/* Each thread sees at once what the other one has changed, and a transaction what it has itself. */
START_TEST(what_is_remembered_of_lists_is_true)
{
    static const struct store_list_id other = {STR_INIT("record"),
                                               STR_INIT("/buckets/b/collections/d")};
    struct store_thread *second;
    uint32_t numbers[3];

    ck_assert_ok(store_thread_new(store, &second));
    for (int round = 0; round < 3; round++) {
        ck_assert_uint_eq(number_of(thread, records), 0);
        begin_write();
        put("a", "{}");
        numbers[round] = number_in_session(records);
        ck_assert_uint_ne(numbers[round], 0);
        ck_assert_uint_eq(number_of(second, records), 0); /* not yet */
        commit();
        ck_assert(round == 0 || numbers[round] != numbers[round - 1]);
        for (int again = 0; again < 2; again++) {
            ck_assert_uint_eq(number_of(second, records), numbers[round]);
            ck_assert_uint_eq(number_of(thread, records), numbers[round]);
            ck_assert_uint_eq(number_of(thread, other), 0);
        }
        begin_write();
        ck_assert_uint_eq(number_in_session(records), numbers[round]);
        ck_assert_ok(store_delete_below(session, STR("/buckets/b")));
        ck_assert_uint_eq(number_in_session(records), 0);
        store_abort(session);
        ck_assert_uint_eq(number_of(thread, records), numbers[round]);
        begin_write();
        put("b", "{}"); /* changes no name */
        ck_assert_uint_eq(number_in_session(records), numbers[round]);
        ck_assert_ok(store_delete_below(session, STR("/buckets/b")));
        commit();
        ck_assert_uint_eq(number_of(second, records), 0);
    }
    store_thread_free(second);
}
END_TEST

/* Far more lists than there are places, and names that are too long for one. */
START_TEST(many_lists_are_told_apart)
{
    enum { LISTS = 500 };
    static struct store_list_id all[LISTS];
    uint32_t numbers[LISTS];

    for (int i = 0; i < LISTS; i++) {
        str parent = arena_printf(&arena, "/buckets/b/collections/%0*d", i % 7 == 0 ? 120 : 1, i);
        all[i] = (struct store_list_id){i % 2 ? STR("record") : STR("note"), parent};
        begin_write();
        put_in(all[i], "a", "{}", NULL);
        numbers[i] = number_in_session(all[i]);
        commit();
    }
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < LISTS; i++) {
            struct store_list_id no = {i % 2 ? STR("note") : STR("record"), all[i].parent};
            ck_assert_uint_eq(number_of(thread, all[i]), numbers[i]);
            ck_assert_uint_eq(number_of(thread, all[i]), numbers[i]);
            ck_assert_uint_eq(number_of(thread, no), 0);
        }
}
END_TEST

START_TEST(everything_is_there_after_a_restart)
{
    struct store_query q = {.tombstones = true, .want_total = true};

    begin_write();
    put("a", "{\"v\":1}");
    put("b", "{}");
    delete_at("a", NULL);
    commit();
    reopen();
    begin_read();
    ck_assert_int_eq(timestamp(), 1000002);
    struct store_result r = query(&q);
    ck_assert_str_is(ids_of(&r), "a! b");
    ck_assert_uint_eq(r.total, 1);
    end_read();
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const memory[] = {stamps_rise_within_a_millisecond,
                                   lists_have_clocks_of_their_own,
                                   an_unknown_list_gets_its_clock_from_a_write_session,
                                   an_aborted_clock_was_never_there,
                                   times_out_of_range_change_nothing,
                                   a_cascade_takes_what_lies_below_and_nothing_else,
                                   a_list_that_comes_back_is_a_new_one,
                                   long_names_have_cascades_too,
                                   lists_that_cannot_be_are_refused,
                                   flush_takes_everything,
                                   many_lists_in_one_session,
                                   what_is_remembered_of_lists_is_true,
                                   many_lists_are_told_apart};
    Suite *s = suite_of("store/list", setup, teardown, memory, ARRAY_LEN(memory));
    TCase *loops = tcase_create("times"), *files = tcase_create("files");

    tcase_add_checked_fixture(loops, setup, teardown);
    tcase_add_loop_test(loops, creation_takes_the_time_asked_for, 0, ARRAY_LEN(creations));
    tcase_add_loop_test(loops, updates_take_a_later_time_only, 0, ARRAY_LEN(updates));
    tcase_add_loop_test(loops, deletions_take_a_later_time_only, 0, ARRAY_LEN(updates));
    suite_add_tcase(s, loops);
    tcase_add_checked_fixture(files, setup_files, teardown);
    tcase_add_test(files, stamps_rise_when_the_wall_clock_steps_back);
    tcase_add_test(files, everything_is_there_after_a_restart);
    suite_add_tcase(s, files);
    return s;
}

UNIT_MAIN(make_suite)
