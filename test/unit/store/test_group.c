/* Members of groups. */
#include "test/unit/store/store_test.h"

static void set(const char *uri, const char *members)
{
    str list[16], rest = str_from(members);
    size_t n = 0;

    while (rest.n > 0)
        list[n++] = str_cut(&rest, ' ');
    ck_assert_ok(store_group_set(session, str_from(uri), list, n));
}

static str groups_of(str who)
{
    const str *uris;
    struct buf b;
    size_t n;

    ck_assert_ok(store_groups_of(session, &arena, who, &uris, &n));
    buf_init_arena(&b, &arena, SIZE_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s" STR_FMT, i > 0 ? " " : "", STR_ARG(uris[i]));
    return buf_str(&b);
}

START_TEST(set_replaces_the_members)
{
    begin_write();
    set("/buckets/b/groups/g", "me you me");
    set("/buckets/b/groups/h", "me");
    ck_assert_str_is(groups_of(STR("me")), "/buckets/b/groups/g /buckets/b/groups/h");
    ck_assert_str_is(groups_of(STR("you")), "/buckets/b/groups/g");
    ck_assert_str_is(groups_of(STR("m")), "");
    ck_assert_str_is(groups_of(STR("")), "");
    set("/buckets/b/groups/g", "her you");
    ck_assert_str_is(groups_of(STR("me")), "/buckets/b/groups/h");
    ck_assert_str_is(groups_of(STR("her")), "/buckets/b/groups/g");
    ck_assert_str_is(groups_of(STR("you")), "/buckets/b/groups/g");
    set("/buckets/b/groups/g", "");
    ck_assert_str_is(groups_of(STR("you")), "");
    commit();
    begin_read();
    ck_assert_str_is(groups_of(STR("me")), "/buckets/b/groups/h");
    end_read();
}
END_TEST

START_TEST(neighbours_keep_their_members)
{
    begin_write();
    set("/buckets/b/groups/g", "me");
    set("/buckets/b/groups/g1", "me");
    set("/buckets/b/groups/g-x", "me");
    set("/buckets/b1/groups/g", "me");
    set("/buckets/b/groups/g", "");
    ck_assert_str_is(groups_of(STR("me")),
                     "/buckets/b/groups/g-x /buckets/b/groups/g1 /buckets/b1/groups/g");
    ck_assert_ok(store_delete_below(session, STR("/buckets/b/groups/g1")));
    ck_assert_str_is(groups_of(STR("me")), "/buckets/b/groups/g-x /buckets/b1/groups/g");
    ck_assert_ok(store_delete_below(session, STR("/buckets/b")));
    ck_assert_str_is(groups_of(STR("me")), "/buckets/b1/groups/g");
    commit();
}
END_TEST

/* Any string may be a member: none may be taken for another, or make a key too long. */
START_TEST(members_of_every_kind)
{
    static char longer[3][3000];
    str members[] = {STR("a"),    STR("a\0b"), STR("a\0"), STR(""), STR("/buckets/b/groups/g"),
                     STR("\xff"), STR("ab"),   STR_NONE,   STR_NONE};

    for (int i = 0; i < 3; i++) {
        memset(longer[i], 'm', sizeof longer[i]);
        longer[i][2000] = (char)('0' + i);
    }
    members[7] = (str){longer[0], sizeof longer[0]};
    members[8] = (str){longer[1], sizeof longer[1]};
    begin_write();
    ck_assert_ok(store_group_set(session, STR("/buckets/b/groups/g"), members, ARRAY_LEN(members)));
    commit();
    begin_read();
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        ck_assert_str_is(groups_of(members[i]), "/buckets/b/groups/g");
    ck_assert_str_is(groups_of((str){longer[2], sizeof longer[2]}), "");
    ck_assert_str_is(groups_of(STR("a\0c")), "");
    end_read();
    begin_write();
    set("/buckets/b/groups/g", "");
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        ck_assert_str_is(groups_of(members[i]), "");
    commit();
}
END_TEST

START_TEST(uris_of_every_length)
{
    char uri[9000];
    str me = STR("me");

    begin_write();
    snprintf(uri, sizeof uri, "/buckets/%04000d/groups/%04000d", 1, 2);
    set(uri, "me you");
    ck_assert_str_is(groups_of(me), uri);
    uri[9 + 4000] = '\0';
    ck_assert_ok(store_delete_below(session, str_from(uri)));
    ck_assert_str_is(groups_of(me), "");
    ck_assert_err(store_group_set(session, STR("/a\0b"), &me, 1), ERR_LIMIT);
    store_abort(session);
}
END_TEST

START_TEST(many_groups_of_one)
{
    char uri[64];
    const str *uris;
    size_t n;

    begin_write();
    for (int i = 0; i < 200; i++) {
        snprintf(uri, sizeof uri, "/buckets/b/groups/%03d", i);
        set(uri, "me");
    }
    ck_assert_ok(store_groups_of(session, &arena, STR("me"), &uris, &n));
    ck_assert_uint_eq(n, 200);
    ck_assert_str_is(uris[199], "/buckets/b/groups/199");
    commit();
}
END_TEST

START_TEST(damage_is_corrupt)
{
    struct key k;
    const str *uris;
    size_t n;

    begin_write();
    set("/buckets/b/groups/g", "me");
    store_key_init(&k, KEY_MEMBER);
    store_key_add(&k, STR("\2me/x"));
    ck_assert_ok(store_db_put(session, &k, STR("\x30/x")));
    ck_assert_err(store_groups_of(session, &arena, STR("me"), &uris, &n), ERR_CORRUPT);
    store_abort(session);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {set_replaces_the_members, neighbours_keep_their_members,
                                  members_of_every_kind,    uris_of_every_length,
                                  many_groups_of_one,       damage_is_corrupt};
    return suite_of("store/group", setup, teardown, tests, ARRAY_LEN(tests));
}

UNIT_MAIN(make_suite)
