/* Objects: put, get, delete, tombstones, equal times, and sessions that fail. */
#include "test/unit/store/store_test.h"

START_TEST(put_shows_what_is_stored)
{
    begin_write();
    struct store_object o = put("x", "{\"a\":[1,2.50],\"id\":\"no\",\"last_modified\":1}");
    ck_assert_str_is(o.data, "{\"a\":[1,2.50],\"id\":\"x\",\"last_modified\":1000000}");
    ck_assert_str_is(o.id, "x");
    ck_assert(!o.deleted);
    ck_assert_str_is(get_object("x").data, o.data.p != NULL ? arena_cstr(&arena, o.data) : "");
    commit();
    begin_read();
    ck_assert(str_eq(get_object("x").data, o.data));
    end_read();
}
END_TEST

START_TEST(readers_see_what_is_durable)
{
    struct store_thread *other;
    struct store_session *r;
    struct store_object o;

    ck_assert_ok(store_thread_new(store, &other));
    begin_write();
    put("x", "{\"v\":1}");
    commit();
    ck_assert_ok(store_read_begin(other, &arena, &r));
    begin_write();
    put("x", "{\"v\":2}");
    put("y", "{}");
    ck_assert_ok(store_get(r, &arena, records, STR("x"), &o));
    ck_assert(str_find_str(o.data, STR("\"v\":1")) != STR_NPOS);
    commit();
    ck_assert_ok(store_get(r, &arena, records, STR("x"), &o)); /* a snapshot stays as it is */
    ck_assert(str_find_str(o.data, STR("\"v\":1")) != STR_NPOS);
    ck_assert_err(store_get(r, &arena, records, STR("y"), &o), ERR_NOTFOUND);
    store_read_end(r);
    ck_assert_ok(store_read_begin(other, &arena, &r));
    ck_assert_ok(store_get(r, &arena, records, STR("x"), &o));
    ck_assert(str_find_str(o.data, STR("\"v\":2")) != STR_NPOS);
    store_read_end(r);
    store_thread_free(other);
}
END_TEST

/* What came out in a write session stays good while the session writes on. */
START_TEST(objects_survive_later_writes)
{
    struct store_object o;
    struct store_result r;
    struct store_query q = {.limit = 0};
    char text[64];

    begin_write();
    put("x", "{\"v\":\"first\"}");
    put("y", "{}");
    o = get_object("x");
    r = query(&q);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "{\"v\":\"%d\"}", i);
        put("x", text);
    }
    ck_assert_str_is(o.data, "{\"v\":\"first\",\"id\":\"x\",\"last_modified\":1000000}");
    ck_assert_str_is(ids_of(&r), "y x");
    ck_assert(str_eq(r.objects[1].data, o.data));
    commit();
}
END_TEST

START_TEST(deleting_leaves_a_tombstone)
{
    struct store_object t;

    begin_write();
    put("x", "{\"a\":1}");
    t = delete_at("x", NULL);
    ck_assert_str_is(t.data, "{\"id\":\"x\",\"last_modified\":1000001,\"deleted\":true}");
    ck_assert(t.deleted);
    ck_assert_err(get_result(records, "x"), ERR_NOTFOUND);
    ck_assert_err(store_delete(session, &arena, records, STR("x"), NULL, &t), ERR_NOTFOUND);
    ck_assert_err(store_delete(session, &arena, records, STR("y"), NULL, &t), ERR_NOTFOUND);
    commit();
    begin_read();
    ck_assert_ok(store_get_tombstone(session, &arena, records, STR("x"), &t));
    ck_assert_int_eq(t.last_modified, 1000001);
    ck_assert_err(store_get_tombstone(session, &arena, records, STR("y"), &t), ERR_NOTFOUND);
    end_read();
}
END_TEST

/* Not even a tombstone, nor what was shared; equal times and the clock stay as they are. */
START_TEST(forgetting_leaves_nothing)
{
    const struct store_ace acl = {STR_INIT("bob"), STORE_PERM_READ};
    const str bob = STR("bob");
    struct store_query q = {.tombstones = true, .want_total = true};
    struct store_object o;
    struct store_principals who;
    struct store_audit_result audit;

    begin_write();
    put_at("x", 1000);
    put_at("y", 1000);
    put_for(records, "z", &acl, 1);
    delete_at("x", NULL);
    int64_t clock = timestamp();
    ck_assert_err(store_forget(session, &arena, records, STR("x")), ERR_NOTFOUND);
    ck_assert_err(store_forget(session, &arena, records, STR("w")), ERR_NOTFOUND);
    ck_assert_ok(store_forget(session, &arena, records, STR("z")));
    ck_assert_ok(store_forget(session, &arena, records, STR("y")));
    ck_assert_err(get_result(records, "y"), ERR_NOTFOUND);
    ck_assert_err(store_get_tombstone(session, &arena, records, STR("z"), &o), ERR_NOTFOUND);
    ck_assert_int_eq(timestamp(), clock);
    commit();
    begin_read();
    struct store_result r = query(&q);
    ck_assert_uint_eq(r.total, 0);
    ck_assert_str_is(ids_of(&r), "x!");
    ck_assert_ok(store_principals_resolve(session, &arena, &bob, 1, &who));
    struct store_query shared = {.shared_with = &who, .shared_perms = STORE_PERM_READ};
    ck_assert_uint_eq(query(&shared).count, 0);
    ck_assert_ok(store_check(session, &(struct store_audit_options){0}, &audit));
    ck_assert_uint_eq(audit.problems, 0);
    end_read();
    begin_write();
    put("z", "{}"); /* as if it had never been there */
    commit();
}
END_TEST

START_TEST(creating_again_takes_the_tombstone_away)
{
    struct store_query q = {.tombstones = true, .want_total = true};
    struct store_object t;
    struct store_result r;

    begin_write();
    put("x", "{}");
    delete_at("x", NULL);
    ck_assert_int_eq(put_at("x", 77).last_modified, 77); /* a creation: any time */
    ck_assert_err(store_get_tombstone(session, &arena, records, STR("x"), &t), ERR_NOTFOUND);
    commit();
    begin_read();
    r = query(&q);
    ck_assert_str_is(ids_of(&r), "x");
    ck_assert_uint_eq(r.total, 1);
    end_read();
}
END_TEST

/* At the tombstone's own time; its key is the new object's. */
START_TEST(creating_again_at_the_same_time)
{
    int64_t t = 77, later = 80;

    begin_write();
    put_at("x", 70);
    put("clock", "{}");
    delete_at("x", &t);
    ck_assert_int_eq(put_at("x", 77).last_modified, 77);
    ck_assert_ids((&(struct store_query){.tombstones = true}), "clock x");
    delete_at("x", &later);
    ck_assert_ids((&(struct store_query){.tombstones = true}), "clock x!");
    commit();
}
END_TEST

START_TEST(equal_times_are_all_kept)
{
    static const char *ids[] = {"c", "a", "b", "d"};
    struct store_query up = {.sort = &(struct store_sort){STR("last_modified"), false}, .nsort = 1};
    struct store_query down = {.tombstones = true, .want_total = true};

    begin_write();
    put("clock", "{}");
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ck_assert_int_eq(put_at(ids[i], 50).last_modified, 50);
    put_at("z", 49);
    put_at("y", 51);
    commit();
    begin_write();
    ck_assert_ids(&up, "z a b c d y clock");
    ck_assert_ids(&down, "clock y d c b a z");
    ck_assert_uint_eq(query(&down).total, 7);
    /* One goes, one is replaced, a tombstone joins. */
    int64_t fifty = 50;
    delete_at("a", NULL);
    put("b", "{}");
    delete_at("z", &fifty);
    ck_assert_ids(&up, "c d y clock b");
    ck_assert_ids(&down, "b a! clock y z! d c");
    delete_at("c", NULL);
    delete_at("d", NULL);
    put_at("e", 50);
    ck_assert_ids(&down, "d! c! b a! clock y z! e");
    ck_assert_uint_eq(query(&down).total, 4);
    commit();
}
END_TEST

START_TEST(ids_of_every_kind)
{
    static const char *ids[] = {"472be9ec-26fe-461b-8282-9c4e4b207ab3",
                                "472BE9EC-26FE-461B-8282-9C4E4B207AB3",
                                "a",
                                "",
                                "user+x.y@z",
                                "caf\xc3\xa9"};
    char longer[2][STORE_MAX_ID_BYTES + 2];

    begin_write();
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        put(ids[i], "{}");
    for (int i = 0; i < 2; i++) {
        memset(longer[i], 'x', STORE_MAX_ID_BYTES + 1);
        longer[i][STORE_MAX_ID_BYTES] = '\0';
        longer[i][STORE_MAX_ID_BYTES - 1] = (char)('a' + i);
        put(longer[i], "{}");
    }
    commit();
    begin_read();
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ck_assert_str_is(get_object(ids[i]).id, ids[i]);
    for (int i = 0; i < 2; i++)
        ck_assert_str_is(get_object(longer[i]).id, longer[i]);
    end_read();
}
END_TEST

START_TEST(ids_that_cannot_be_are_refused)
{
    static const str bad[] = {STR_INIT("a\"b"), STR_INIT("a\\"),  STR_INIT("a\n"),
                              STR_INIT("\0"),   STR_INIT("\xff"), STR_INIT("\xed\xa0\x80")};
    static char longer[STORE_MAX_ID_BYTES + 1];
    struct store_put p = {.data = parse("{}")};
    struct store_object o;

    begin_write();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        p.id = bad[i];
        ck_assert_err(store_put(session, &arena, records, &p, &o), ERR_SYNTAX);
    }
    memset(longer, 'x', sizeof longer);
    p.id = (str){longer, sizeof longer};
    ck_assert_err(store_put(session, &arena, records, &p, &o), ERR_LIMIT);
    put("a", "{}");
    commit();
}
END_TEST

START_TEST(data_change_without_a_new_time)
{
    struct store_ace acl[] = {{STR("me"), STORE_PERM_WRITE}};
    const struct store_ace *got;
    struct store_object o;
    struct json *data;
    size_t n;

    begin_write();
    put("x", "{\"a\":1}");
    ck_assert_ok(store_set_acl(session, &arena, records, STR("x"), acl, 1));
    ck_assert_ok(
        json_parse(&arena, STR("{\"b\":2,\"id\":\"z\",\"last_modified\":7}"), &data, NULL));
    ck_assert_ok(store_set_data(session, &arena, records, STR("x"), data));
    ck_assert_err(store_set_data(session, &arena, records, STR("z"), data), ERR_NOTFOUND);
    commit();
    begin_read();
    o = get_object("x");
    ck_assert_str_is(o.data, "{\"b\":2,\"id\":\"x\",\"last_modified\":1000000}");
    ck_assert_ok(store_acl_list(session, &arena, &o, &got, &n));
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(timestamp(), 1000000);
    end_read();
}
END_TEST

START_TEST(permissions_change_without_a_new_time)
{
    struct store_ace acl[] = {{STR("me"), STORE_PERM_WRITE}};
    const struct store_ace *got;
    struct store_object o;
    size_t n;

    begin_write();
    put("x", "{\"a\":1}");
    ck_assert_ok(store_set_acl(session, &arena, records, STR("x"), acl, 1));
    ck_assert_err(store_set_acl(session, &arena, records, STR("y"), acl, 1), ERR_NOTFOUND);
    commit();
    begin_read();
    o = get_object("x");
    ck_assert_str_is(o.data, "{\"a\":1,\"id\":\"x\",\"last_modified\":1000000}");
    ck_assert_ok(store_acl_list(session, &arena, &o, &got, &n));
    ck_assert_uint_eq(n, 1);
    ck_assert_str_is(got[0].principal, "me");
    ck_assert_int_eq(timestamp(), 1000000);
    end_read();
}
END_TEST

START_TEST(a_failed_write_is_never_committed)
{
    struct store_object o;
    struct store_put p = {STR("y"), parse("{}"), NULL, NULL, 0};

    begin_write();
    put("x", "{}");
    store_fail(session, ERR_NOMEM);
    ck_assert_err(store_put(session, &arena, records, &p, &o), ERR_NOMEM);
    ck_assert_err(store_delete_below(session, STR("/buckets/b")), ERR_NOMEM);
    ck_assert_err(commit_result(), ERR_NOMEM);
    begin_read();
    ck_assert_err(get_result(records, "x"), ERR_NOTFOUND);
    end_read();
}
END_TEST

static void put_raw(struct key *k, str value)
{
    struct engine_txn *txn;

    ck_assert_ok(engine_txn_begin(store->engine, &txn));
    ck_assert_ok(engine_put(txn, key_str(k), value));
    struct store_session s = {.txn = txn};
    session = &s;
    commit();
}

/* Values that somebody else has written (or the disk): an error, not a crash. */
START_TEST(damage_below_is_corrupt)
{
    static const str bad[] = {STR_INIT(""), STR_INIT("\x10"), STR_INIT("\xff\xff\xff\xff"),
                              STR_INIT("\x10\x0a\x00\x01{\"id\":\"x\",\"last_modified\":6}")};
    struct store_query all = {.limit = 0}, some = {.limit = 1, .want_total = true};
    struct store_result r;
    struct key k;
    int64_t t;

    begin_write();
    put("x", "{}");
    commit();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        store_key_init_list(&k, 1, SUB_ID);
        store_key_add_id(&k, STR("x"));
        put_raw(&k, bad[i]);
        store_key_init_list(&k, 1, SUB_TIME);
        store_key_add_ms(&k, 1000000);
        put_raw(&k, bad[i]);
        begin_read();
        ck_assert_err(get_result(records, "x"), ERR_CORRUPT);
        ck_assert_err(store_query(session, &arena, records, &all, &r), ERR_CORRUPT);
        ck_assert_err(store_query(session, &arena, records, &some, &r), ERR_CORRUPT);
        end_read();
    }
    store_key_init_list(&k, 1, SUB_STATE);
    put_raw(&k, STR("\xff"));
    begin_read();
    ck_assert_err(store_timestamp(session, records, &t), ERR_CORRUPT);
    end_read();
    store_key_init(&k, KEY_LIST);
    ck_assert_ok(store_key_add_path(&k, records.parent));
    store_key_add_u8(&k, 0);
    store_key_add(&k, records.resource);
    put_raw(&k, STR("\1"));
    begin_read();
    ck_assert_err(store_timestamp(session, records, &t), ERR_CORRUPT);
    end_read();
}
END_TEST

START_TEST(another_layout_is_refused)
{
    struct store_options o = {.dir = directory};
    struct store *s;
    struct err_detail d;
    struct key k;

    store_key_init(&k, KEY_META);
    store_key_add(&k, STR("layout"));
    put_raw(&k, STR("\2"));
    close_store();
    ck_assert_err(store_open(&s, &o, NULL, &d), ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(d.text, "layout 2"));
    thread = NULL;
    store = NULL;
}
END_TEST

START_TEST(data_as_a_value)
{
    struct arena a;
    struct json *v;
    arena_init(&a, NULL, 0, NULL, MIB);
    ck_assert_int_eq(store_data(&a, &(struct store_object){.data = STR("{\"n\":5}")}, &v), OK);
    ck_assert_int_eq(json_get_i64(v, STR("n"), 0), 5);
    ck_assert_int_eq(store_data(&a, &(struct store_object){.data = STR("{\"n\":")}, &v),
                     ERR_CORRUPT);
    arena_fini(&a);
    arena_init(&a, NULL, 0, NULL, 0);
    ck_assert_int_eq(store_data(&a, &(struct store_object){.data = STR("{}")}, &v), ERR_NOMEM);
    arena_fini(&a);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {put_shows_what_is_stored,
                                  readers_see_what_is_durable,
                                  objects_survive_later_writes,
                                  deleting_leaves_a_tombstone,
                                  forgetting_leaves_nothing,
                                  creating_again_takes_the_tombstone_away,
                                  creating_again_at_the_same_time,
                                  equal_times_are_all_kept,
                                  ids_of_every_kind,
                                  ids_that_cannot_be_are_refused,
                                  permissions_change_without_a_new_time,
                                  data_change_without_a_new_time,
                                  a_failed_write_is_never_committed,
                                  damage_below_is_corrupt,
                                  data_as_a_value};
    Suite *s = suite_of("store/object", setup, teardown, tests, ARRAY_LEN(tests));
    TCase *files = tcase_create("files");

    tcase_add_checked_fixture(files, setup_files, teardown);
    tcase_add_test(files, another_layout_is_refused);
    suite_add_tcase(s, files);
    return s;
}

UNIT_MAIN(make_suite)
