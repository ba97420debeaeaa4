/* Walks through whole lists, and queries over rows that were never stored. */
#include "test/unit/store/store_test.h"

/* ---- walks ----------------------------------------------------------------------------------- */

static str walked(const struct store_principals *p, struct store_list_id list)
{
    struct store_walk *w;
    struct store_object o;
    struct buf b;
    enum err e;

    buf_init_arena(&b, &arena, MIB);
    ck_assert_ok(store_walk_new(session, &arena, p, &w));
    for (int twice = 0; twice < 2; twice++) { /* a walk may be used again */
        buf_clear(&b);
        ck_assert_ok(store_walk_list(w, list));
        while ((e = store_walk_next(w, &o)) == OK) {
            buf_add_str(&b, o.id);
            if (p != NULL)
                buf_printf(&b, "%u", store_acl_held(&o, p));
            buf_add_char(&b, ' ');
        }
        ck_assert_err(e, ERR_NOTFOUND);
    }
    return buf_failed(&b) || b.n == 0 ? STR("") : str_sub(buf_str(&b), 0, b.n - 1);
}

START_TEST(walks_give_each_object_once)
{
    struct store_list_id nowhere = {STR("record"), STR("/buckets/nowhere")};
    str me = STR("me"), you = STR("you"), both[] = {me, you, STR("unheard of")};
    struct store_ace mine[] = {{me, STORE_PERM_READ}};
    struct store_ace ours[] = {{me, STORE_PERM_READ}, {you, STORE_PERM_WRITE}};
    struct store_principals p;

    begin_write();
    put("a", "{}");
    put_for(records, "b", mine, 1);
    put_for(records, "c", ours, 2);
    put("d", "{}");
    delete_at("d", NULL);
    commit();
    begin_read();
    ck_assert_str_is(walked(NULL, records), "a b c");
    ck_assert_str_is(walked(NULL, nowhere), "");
    ck_assert_ok(store_principals_resolve(session, &arena, both, ARRAY_LEN(both), &p));
    ck_assert_str_is(walked(&p, records), "b1 c3");
    ck_assert_str_is(walked(&p, nowhere), "");
    ck_assert_ok(store_principals_resolve(session, &arena, &you, 1, &p));
    ck_assert_str_is(walked(&p, records), "c2");
    end_read();
}
END_TEST

/* Of principals that hold something here, something elsewhere, and nothing; objects that several of
 * them see come once, in order, both ways. */
START_TEST(walks_with_many_principals)
{
    enum { WHO = 100, OBJECTS = 300 };
    struct store_list_id other = {STR("record"), STR("/buckets/b/collections/other")};
    struct store_ace acl[WHO];
    str names[WHO / 2];
    struct store_principals p;
    struct buf up, down;
    char id[16];

    for (size_t i = 0; i < WHO; i++)
        acl[i] = (struct store_ace){arena_printf(&arena, "group:%zu", i), STORE_PERM_READ};
    for (size_t i = 0; i < WHO / 2; i++)
        names[i] = acl[WHO - 1 - 2 * i].principal; /* the odd ones */
    buf_init_arena(&up, &arena, MIB);
    begin_write();
    put_for(other, "all", acl, WHO);
    for (size_t i = 0; i < OBJECTS; i++) {
        size_t from = i * i % 80, n = i % 4;
        snprintf(id, sizeof id, "o%zu", i);
        put_for(records, id, acl + from, n);
        if (n > 1 || (n == 1 && from % 2 == 1))
            buf_printf(&up, "%s%s1", up.n > 0 ? " " : "", id);
    }
    commit();
    begin_read();
    ck_assert_ok(store_principals_resolve(session, &arena, names, ARRAY_LEN(names), &p));
    ck_assert_str_is(walked(&p, other), "all1");
    str got = walked(&p, records);
    ck_assert(str_eq(got, buf_str(&up)));
    struct store_query q = {.shared_with = &p, .shared_perms = STORE_PERM_READ};
    struct store_result r = query(&q);
    buf_init_arena(&down, &arena, MIB);
    for (size_t i = r.count; i-- > 0;)
        buf_printf(&down, "%s" STR_FMT "1", down.n > 0 ? " " : "", STR_ARG(r.objects[i].id));
    ck_assert(str_eq(got, buf_str(&down)));
    end_read();
}
END_TEST

/* ---- selections ------------------------------------------------------------------------------ */

/* Adds {"k":i,"v":i % 3} for the numbers below n, upwards, in one arena. */
static struct store_result select_of(struct arena *a, const struct store_query *q, int n)
{
    struct store_selection *sel;
    struct store_result r;
    char row[64];

    ck_assert_ok(store_select_new(session, a, q, &sel));
    for (int i = 0; i < n; i++) {
        snprintf(row, sizeof row, "{\"k\":%d,\"v\":%d}", i, i % 3);
        ck_assert_ok(store_select_add(sel, str_from(row)));
    }
    ck_assert_ok(store_select_end(sel, &r));
    return r;
}

static str keys_of(const struct store_result *r)
{
    struct json_raw k;
    struct buf b;

    buf_init_arena(&b, &arena, MIB);
    for (size_t i = 0; i < r->count; i++) {
        ck_assert(store_field(&arena, r->objects[i].data, STR("k"), &k));
        buf_printf(&b, "%s" STR_FMT, i ? " " : "", STR_ARG(k.text));
    }
    return b.n ? buf_str(&b) : STR("");
}

START_TEST(rows_are_filtered_sorted_and_paged)
{
    struct store_filter f = {STR("v"), STORE_EQ, parse("1")};
    struct store_sort sort[] = {{STR("v"), false}, {STR("k"), true}};
    struct store_query q = {.sort = sort, .nsort = 2};
    struct store_result r;

    begin_read();
    r = select_of(&arena, &q, 7);
    ck_assert_str_is(keys_of(&r), "6 3 0 4 1 5 2");
    ck_assert(!r.more && r.total == 7);
    q.limit = 3;
    r = select_of(&arena, &q, 7);
    ck_assert_str_is(keys_of(&r), "6 3 0");
    ck_assert(r.more && r.total == 7);
    q.after = parse("{\"v\":0,\"k\":0}");
    r = select_of(&arena, &q, 7);
    ck_assert_str_is(keys_of(&r), "4 1 5");
    q.after = parse("{\"v\":1,\"k\":1}");
    r = select_of(&arena, &q, 7);
    ck_assert_str_is(keys_of(&r), "5 2");
    ck_assert(!r.more && r.total == 7);
    q.filters = &f;
    q.nfilters = 1;
    q.after = NULL;
    r = select_of(&arena, &q, 7);
    ck_assert_str_is(keys_of(&r), "4 1");
    ck_assert(!r.more && r.total == 2);
    end_read();
}
END_TEST

START_TEST(what_is_known_of_a_row_may_rule_it_out)
{
    struct store_filter f[] = {{STR("kind"), STORE_EXCLUDE, parse("[\"x\"]")},
                               {STR("gone"), STORE_HAS, parse("false")},
                               {STR("k"), STORE_EQ, parse("1")}};
    struct store_sort sort = {STR("k"), false};
    struct store_query q = {.filters = f, .nfilters = 3, .sort = &sort, .nsort = 1};
    str known[] = {STR("kind"), STR("gone")};
    struct store_selection *sel;

    begin_read();
    ck_assert_ok(store_select_new(session, &arena, &q, &sel));
    ck_assert(store_select_may(sel, STR("{\"kind\":\"y\"}"), known, 2));
    ck_assert(!store_select_may(sel, STR("{\"kind\":\"x\"}"), known, 2));
    ck_assert(!store_select_may(sel, STR("{\"kind\":\"y\",\"gone\":1}"), known, 2));
    ck_assert(store_select_may(sel, STR("{\"kind\":\"x\"}"), known, 0));
    end_read();
}
END_TEST

/* Each row is better than all before it, so that each gets into the page and throws another out. */
START_TEST(a_page_of_many_rows_costs_its_own_length)
{
    struct store_sort sort = {STR("k"), true};
    struct store_query q = {.sort = &sort, .nsort = 1, .limit = 10};
    struct store_result r;
    struct arena small;

    begin_read();
    arena_init(&small, NULL, 0, NULL, 64 * KIB);
    r = select_of(&small, &q, 20000);
    ck_assert_str_is(keys_of(&r), "19999 19998 19997 19996 19995 19994 19993 19992 19991 19990");
    ck_assert(r.more && r.total == 20000);
    end_read();
    arena_fini(&small);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {
        walks_give_each_object_once, walks_with_many_principals, rows_are_filtered_sorted_and_paged,
        what_is_known_of_a_row_may_rule_it_out, a_page_of_many_rows_costs_its_own_length};
    return suite_of("store/select", setup, teardown, tests, ARRAY_LEN(tests));
}

UNIT_MAIN(make_suite)
