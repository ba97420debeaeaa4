/* Notes, and whether they are known to be right. */
#include "test/unit/store/store_test.h"

#include "engine/engine.h"

#define B "/buckets/b"
#define C "/buckets/b/collections/c"

static str note(const char *uri, const char *name)
{
    str value;
    enum err e = store_note_get(session, &arena, str_from(uri), name, &value);

    if (e == ERR_NOTFOUND)
        return STR("(none)");
    ck_assert_ok(e);
    return value;
}

static void set(const char *uri, const char *name, const char *value)
{
    ck_assert_ok(store_note_put(session, str_from(uri), name, str_from(value)));
}

/* A process that claims the name, and (unless they are right) makes its notes anew. */
static bool claim(const char *name)
{
    bool current;

    ck_assert_ok(store_notes_claim(thread, name, &current));
    return current;
}

static void settle(const char *name)
{
    begin_write();
    ck_assert_ok(store_notes_settle(session, name));
    commit();
}

static void sound(void)
{
    struct store_audit_result r;

    begin_read();
    ck_assert_ok(store_check(session, NULL, &r));
    ck_assert_uint_eq(r.problems, 0);
    end_read();
}

START_TEST(put_get_delete)
{
    begin_write();
    set(C, "sum", "1");
    set(C, "sum", "2");
    set(C, "summary", "");
    set(B, "sum", "3");
    set("/buckets/b2", "sum", "4");
    ck_assert_str_is(note(C, "sum"), "2");
    commit();
    begin_read();
    ck_assert_str_is(note(C, "sum"), "2");
    ck_assert_str_is(note(C, "summary"), "");
    ck_assert_str_is(note(C, "su"), "(none)");
    ck_assert_str_is(note("/buckets", "sum"), "(none)");
    end_read();
    sound();
    begin_write();
    ck_assert_ok(store_note_delete(session, STR(C), "sum"));
    ck_assert_ok(store_note_delete(session, STR(C), "sum"));
    ck_assert_str_is(note(C, "sum"), "(none)");
    ck_assert_str_is(note(C, "summary"), "");
    store_abort(session);
    begin_read();
    ck_assert_str_is(note(C, "sum"), "2");
    end_read();
}
END_TEST

/* That of the thing itself is its keeper's business. */
START_TEST(what_lies_below_goes)
{
    begin_write();
    set(C, "sum", "1");
    set(C "/records/r", "sum", "2");
    set(B, "sum", "3");
    set("/buckets/b2", "sum", "4");
    set("/buckets/b-2/collections/c", "sum", "5");
    ck_assert_ok(store_delete_below(session, STR(B)));
    ck_assert_str_is(note(C, "sum"), "(none)");
    ck_assert_str_is(note(C "/records/r", "sum"), "(none)");
    ck_assert_str_is(note(B, "sum"), "3");
    ck_assert_str_is(note("/buckets/b2", "sum"), "4");
    ck_assert_str_is(note("/buckets/b-2/collections/c", "sum"), "5");
    ck_assert_ok(store_delete_everything(session));
    ck_assert_str_is(note(B, "sum"), "(none)");
    commit();
    sound();
}
END_TEST

START_TEST(strange_uris)
{
    str value;
    static char longer[9000];

    memset(longer, '/', sizeof longer);
    begin_write();
    ck_assert_err(store_note_get(session, &arena, (str){longer, sizeof longer}, "sum", &value),
                  ERR_LIMIT);
    ck_assert_err(store_note_put(session, STR("a\0b"), "sum", STR("")), ERR_LIMIT);
    memset(longer, 'x', sizeof longer); /* one long part has room */
    ck_assert_ok(store_note_put(session, (str){longer, sizeof longer}, "sum", STR("1")));
    ck_assert_ok(store_note_put(session, (str){longer, sizeof longer - 1}, "sum", STR("2")));
    ck_assert_ok(store_note_get(session, &arena, (str){longer, sizeof longer}, "sum", &value));
    ck_assert_str_is(value, "1");
    commit();
    sound();
}
END_TEST

/* ---- marks ----------------------------------------------------------------------------------- */

START_TEST(notes_are_right_once_they_are_settled)
{
    ck_assert(!claim("sum"));
    begin_write();
    put("r", "{}");
    set(C, "sum", "1");
    commit();
    reopen();
    ck_assert(!claim("sum")); /* never settled: begin anew */
    begin_read();
    ck_assert_str_is(note(C, "sum"), "(none)");
    end_read();
    settle("sum");
    begin_write();
    set(C, "sum", "1");
    put("r", "{}");
    commit();
    reopen();
    ck_assert(claim("sum"));
    begin_read();
    ck_assert_str_is(note(C, "sum"), "1");
    end_read();
    ck_assert(!claim("other"));
    begin_write();
    ck_assert_ok(store_notes_settle(session, "other"));
    store_abort(session);
    reopen();
    ck_assert(!claim("other"));
    sound();
}
END_TEST

/* _i: what a process does that does not keep them up. */
static const struct {
    const char *what;
    bool matters;
} deeds[] = {
    {"put", true},          {"delete", true}, {"acl", true},    {"below", true},
    {"everything", true},   {"clock", false}, {"group", false}, {"nothing", false},
    {"aborted put", false}, {"repair", true}, {"purge", false},
};

static void do_deed(const char *what)
{
    struct store_audit_result found;
    uint64_t purged = 0;
    int64_t time;

    if (strcmp(what, "repair") == 0) {
        ck_assert_ok(store_repair(thread, NULL, &found));
        return;
    }
    if (strcmp(what, "purge") == 0) {
        ck_assert_ok(store_purge_deleted(thread, &(str)STR_INIT("record"), 1, 0, &purged));
        ck_assert_uint_eq(purged, 1);
        return;
    }
    begin_write();
    if (strcmp(what, "put") == 0 || strcmp(what, "aborted put") == 0)
        put("new", "{}");
    else if (strcmp(what, "delete") == 0)
        delete_at("r", NULL);
    else if (strcmp(what, "acl") == 0)
        ck_assert_ok(store_set_acl(session, &arena, records, STR("r"),
                                   &(struct store_ace){STR("x:y"), STORE_PERM_READ}, 1));
    else if (strcmp(what, "below") == 0)
        ck_assert_ok(store_delete_below(session, STR(B)));
    else if (strcmp(what, "everything") == 0)
        ck_assert_ok(store_delete_everything(session));
    else if (strcmp(what, "clock") == 0)
        ck_assert_ok(store_timestamp(
            session, (struct store_list_id){STR("record"), STR("/buckets/n")}, &time));
    else if (strcmp(what, "group") == 0)
        ck_assert_ok(store_group_set(session, STR("/g"), &(str)STR_INIT("x:y"), 1));
    if (strcmp(what, "aborted put") == 0)
        store_abort(session);
    else
        commit();
}

START_TEST(others_take_the_mark_away)
{
    ck_assert(!claim("sum"));
    ck_assert(!claim("kept"));
    settle("sum");
    settle("kept");
    begin_write();
    put("r", "{}");
    put("gone", "{}");
    delete_at("gone", NULL);
    set(C, "sum", "1");
    set("/buckets/x", "sum", "2");
    set("/buckets/x", "kept", "3");
    commit();
    reopen();
    ck_assert(claim("kept")); /* one is kept up, the other is not */
    do_deed(deeds[_i].what);
    do_deed("nothing");
    begin_write();
    put("more", "{}"); /* in a transaction of one who has dropped it already */
    if (deeds[_i].matters)
        commit();
    else
        store_abort(session);
    sound();
    reopen();
    bool repaired = strcmp(deeds[_i].what, "repair") == 0;
    ck_assert_msg(claim("kept") == !repaired, "%s", deeds[_i].what);
    ck_assert_msg(claim("sum") == !deeds[_i].matters, "%s", deeds[_i].what);
    begin_read();
    ck_assert_str_is(note("/buckets/x", "sum"), deeds[_i].matters ? "(none)" : "2");
    if (!repaired && strcmp(deeds[_i].what, "everything") != 0)
        ck_assert_str_is(note("/buckets/x", "kept"), "3");
    end_read();
    sound();
}
END_TEST

/* More than one transaction's worth are deleted; those of others stay. */
START_TEST(many_are_forgotten)
{
    ck_assert(!claim("sum"));
    begin_write();
    for (int i = 0; i < 2500; i++) {
        char uri[32];
        snprintf(uri, sizeof uri, "/buckets/%d", i);
        set(uri, "sum", "1");
        set(uri, "sums", "2");
    }
    commit();
    reopen();
    ck_assert(!claim("sum"));
    begin_read();
    for (int i = 0; i < 2500; i++) {
        char uri[32];
        snprintf(uri, sizeof uri, "/buckets/%d", i);
        ck_assert_str_is(note(uri, "sum"), "(none)");
        ck_assert_str_is(note(uri, "sums"), "2");
    }
    end_read();
}
END_TEST

START_TEST(too_many_names)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    bool current;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert(!claim(names[i]));
    ck_assert_err(store_notes_claim(thread, "i", &current), ERR_LIMIT);
}
END_TEST

/* A note whose key makes no sense is found, and goes. */
START_TEST(damaged_notes)
{
    static const char *const bad[] = {"\x09", "\x09no name", "\x09/b\0", "\x09/b\0a\0b",
                                      "\x09/b\0a name that is longer than names can be"};
    static const size_t n[] = {1, 8, 4, 6, 44};
    struct store_audit_result r;
    struct engine_txn *txn;

    ck_assert_ok(engine_txn_begin(store->engine, &txn));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_ok(engine_put(txn, (str){bad[i], n[i]}, STR("x")));
    ck_assert_ok(engine_txn_commit_wait(txn));
    begin_read();
    ck_assert_ok(store_check(session, NULL, &r));
    ck_assert_uint_eq(r.problems, ARRAY_LEN(bad));
    end_read();
    ck_assert_ok(store_repair(thread, NULL, &r));
    sound();
}
END_TEST

static Suite *make_suite(void)
{
    static const TTest *tests[16];
    size_t n = 0;
    tests[n++] = put_get_delete;
    tests[n++] = what_lies_below_goes;
    tests[n++] = strange_uris;
    tests[n++] = too_many_names;
    tests[n++] = damaged_notes;
    Suite *s = suite_of("store/note", setup, teardown, tests, n);
    TCase *c = tcase_create("marks");

    tcase_add_checked_fixture(c, setup_files, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, notes_are_right_once_they_are_settled);
    tcase_add_loop_test(c, others_take_the_mark_away, 0, (int)ARRAY_LEN(deeds));
    tcase_add_test(c, many_are_forgotten);
    suite_add_tcase(s, c);
    return s;
}
UNIT_MAIN(make_suite)
