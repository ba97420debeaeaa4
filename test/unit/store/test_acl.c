/* Principals, permissions, and what is shared with whom. */
#include "test/unit/store/store_test.h"

static const str me = STR_INIT("basicauth:me"), you = STR_INIT("basicauth:you"),
                 all = STR_INIT("system.Everyone");

static struct store_principals resolve(const str *names, size_t n)
{
    struct store_principals p;

    ck_assert_ok(store_principals_resolve(session, &arena, names, n, &p));
    return p;
}

static void put_shared(const char *id, str who, unsigned perms)
{
    struct store_ace ace = {who, perms};

    put_for(records, id, &ace, 1);
}

static str shared_ids(str who, unsigned perms)
{
    struct store_principals p = resolve(&who, 1);
    struct store_query q = {.shared_with = &p, .shared_perms = perms, .tombstones = true};
    struct store_result r = query(&q);

    return ids_of(&r);
}

/* The lists that are shared with one, as "resource:parent ...". */
static str shared_lists(str who)
{
    struct store_principals p = resolve(&who, 1);
    const struct store_list_id *l;
    struct buf b;
    size_t n;

    ck_assert_ok(store_shared_lists(session, &arena, &p, &l, &n));
    buf_init_arena(&b, &arena, SIZE_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s" STR_FMT ":" STR_FMT, i > 0 ? " " : "", STR_ARG(l[i].resource),
                   STR_ARG(l[i].parent));
    return buf_str(&b);
}

START_TEST(names_of_permissions)
{
    for (unsigned i = 0; i < STORE_PERM_COUNT; i++)
        ck_assert_uint_eq(store_perm_from_name(store_perm_name((enum store_perm)(1u << i))),
                          1u << i);
    ck_assert_uint_eq(store_perm_from_name(STR("write")), STORE_PERM_WRITE);
    ck_assert_uint_eq(store_perm_from_name(STR("group:create")), STORE_PERM_GROUP_CREATE);
    ck_assert_uint_eq(store_perm_from_name(STR("writ")), 0);
    ck_assert(str_none(store_perm_name((enum store_perm)(1u << STORE_PERM_COUNT))));
}
END_TEST

START_TEST(principals_keep_their_number)
{
    str names[] = {me, you, all};
    struct store_principals p, q;

    begin_write();
    p = resolve(names, 3);
    ck_assert(p.count == 3 && p.nids == 0 && p.unseen);
    put_shared("a", you, STORE_PERM_READ);
    put_shared("b", me, STORE_PERM_READ);
    p = resolve(names, 3);
    ck_assert(p.nids == 2 && p.ids[0] != 0 && p.ids[0] < p.ids[1] && p.unseen);
    ck_assert_ok(store_delete_below(session, STR("/buckets/b")));
    commit();
    begin_write();
    put_shared("a", all, STORE_PERM_READ);
    q = resolve(names, 3);
    ck_assert(q.nids == 3 && !q.unseen);
    ck_assert(q.ids[0] == p.ids[0] && q.ids[1] == p.ids[1] && q.ids[2] > p.ids[1]);
    commit();
}
END_TEST

START_TEST(long_principals_are_different_ones)
{
    char names[2][3000];
    str p[2];

    begin_write();
    for (int i = 0; i < 2; i++) {
        memset(names[i], 'p', sizeof names[i]);
        names[i][sizeof names[i] - 1] = (char)('0' + i);
        p[i] = (str){names[i], sizeof names[i]};
    }
    put_shared("a", p[0], STORE_PERM_READ);
    ck_assert_str_is(shared_ids(p[0], STORE_PERM_READ), "a");
    ck_assert_str_is(shared_ids(p[1], STORE_PERM_READ), "");
    put_shared("b", p[1], STORE_PERM_READ);
    ck_assert_str_is(shared_ids(p[0], STORE_PERM_READ), "a");
    ck_assert_str_is(shared_ids(p[1], STORE_PERM_READ), "b");
    commit();
}
END_TEST

START_TEST(aces_are_joined_and_empty_ones_dropped)
{
    struct store_ace acl[] = {{you, STORE_PERM_READ},
                              {me, STORE_PERM_READ},
                              {all, 0},
                              {you, STORE_PERM_WRITE},
                              {you, STORE_PERM_READ}};
    const struct store_ace *got;
    struct store_object o;
    size_t n;

    begin_write();
    o = put_for(records, "x", acl, ARRAY_LEN(acl));
    ck_assert_ok(store_acl_list(session, &arena, &o, &got, &n));
    ck_assert_uint_eq(n, 2);
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(got[i].perms, str_eq(got[i].principal, you)
                                            ? STORE_PERM_READ | STORE_PERM_WRITE
                                            : STORE_PERM_READ);
    ck_assert_uint_eq(resolve(&all, 1).nids, 0);
    commit();
}
END_TEST

START_TEST(allows_what_one_of_the_principals_holds)
{
    struct store_ace acl[] = {{me, STORE_PERM_WRITE | STORE_PERM_RECORD_CREATE},
                              {all, STORE_PERM_READ}};
    str both[] = {you, all};
    struct store_principals mine, yours, nobody = {.count = 0};
    struct store_object o;

    begin_write();
    o = put_for(records, "x", acl, 2);
    mine = resolve(&me, 1);
    yours = resolve(both, 2);
    ck_assert(store_acl_allows(&o, &mine, STORE_PERM_WRITE));
    ck_assert(store_acl_allows(&o, &mine, STORE_PERM_WRITE | STORE_PERM_READ));
    ck_assert(store_acl_allows(&o, &mine, STORE_PERM_RECORD_CREATE));
    ck_assert(!store_acl_allows(&o, &mine, STORE_PERM_READ));
    ck_assert(!store_acl_allows(&o, &mine, 0));
    ck_assert(store_acl_allows(&o, &yours, STORE_PERM_READ));
    ck_assert(!store_acl_allows(&o, &yours, STORE_PERM_WRITE));
    ck_assert(!store_acl_allows(&o, &nobody, ~0u));
    yours = resolve(&you, 1); /* never seen: holds nothing, also where an ACL is empty */
    ck_assert(!store_acl_allows(&o, &yours, ~0u));
    o = put("y", "{}");
    ck_assert(!store_acl_allows(&o, &yours, ~0u));
    commit();
}
END_TEST

START_TEST(damaged_acls_allow_nothing)
{
    static const uint32_t one = 1;
    static const str bad[] = {STR_INIT("\1"),
                              STR_INIT("\1\0"),
                              STR_INIT("\0\1"),
                              STR_INIT("\xff"),
                              STR_INIT("\2\1\1"),
                              STR_INIT("\xff\xff\xff\xff\x7f\1"),
                              STR_INIT("\1\xff\xff\xff\xff\x7f")};
    struct store_principals p = {.names = &me, .count = 1, .ids = &one, .nids = 1};

    begin_read();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct store_object o = {.acl = bad[i]};
        const struct store_ace *got;
        size_t n;
        ck_assert(!store_acl_allows(&o, &p, ~0u));
        ck_assert_err(store_acl_list(session, &arena, &o, &got, &n), ERR_CORRUPT);
    }
    end_read();
}
END_TEST

START_TEST(put_keeps_or_replaces_the_acl)
{
    struct store_ace acl = {me, STORE_PERM_READ};

    begin_write();
    put_shared("x", me, STORE_PERM_READ);
    put("x", "{\"v\":1}");
    ck_assert_str_is(shared_ids(me, STORE_PERM_READ), "x");
    put_shared("x", you, STORE_PERM_READ);
    ck_assert_str_is(shared_ids(me, STORE_PERM_READ), "");
    ck_assert_str_is(shared_ids(you, STORE_PERM_READ), "x");
    put_for(records, "x", &acl, 0);
    ck_assert_str_is(shared_ids(you, STORE_PERM_READ), "");
    put_shared("x", you, STORE_PERM_READ);
    delete_at("x", NULL);
    ck_assert_str_is(shared_ids(you, STORE_PERM_READ), "");
    put("x", "{}"); /* a new object: nothing of the old one's */
    ck_assert_str_is(shared_ids(you, STORE_PERM_READ), "");
    ck_assert_uint_eq(get_object("x").acl.n, 0);
    commit();
}
END_TEST

START_TEST(sharing_is_by_permission_and_in_time_order)
{
    struct store_principals p;
    str both[] = {me, all};
    struct store_result r;

    begin_write();
    put_shared("a", me, STORE_PERM_READ);
    put_shared("b", me, STORE_PERM_WRITE);
    put("c", "{}");
    put_shared("d", all, STORE_PERM_READ);
    struct store_ace two[] = {{me, STORE_PERM_WRITE}, {all, STORE_PERM_READ}};
    put_for(records, "e", two, 2);
    put_shared("f", you, STORE_PERM_READ);
    commit();
    begin_read();
    ck_assert_str_is(shared_ids(me, STORE_PERM_READ), "a");
    ck_assert_str_is(shared_ids(me, STORE_PERM_WRITE), "e b");
    ck_assert_str_is(shared_ids(me, STORE_PERM_READ | STORE_PERM_WRITE), "e b a");
    ck_assert_str_is(shared_ids(you, STORE_PERM_WRITE), "");
    p = resolve(both, 2);
    struct store_sort up = {STR("last_modified"), false};
    struct store_query q = {
        .shared_with = &p, .shared_perms = STORE_PERM_READ | STORE_PERM_WRITE, .want_total = true};
    r = query(&q); /* e is seen through both, once */
    ck_assert_str_is(ids_of(&r), "e d b a");
    ck_assert_uint_eq(r.total, 4);
    q.sort = &up;
    q.nsort = 1;
    ck_assert_ids(&q, "a b d e");
    q.limit = 2;
    r = query(&q);
    ck_assert_str_is(ids_of(&r), "a b");
    ck_assert(r.more);
    ck_assert_uint_eq(r.total, 4);
    q.after = parse("{\"last_modified\":1000001}");
    ck_assert_ids(&q, "d e");
    struct store_sort by_id = {STR("id"), true};
    q.sort = &by_id;
    q.after = NULL;
    q.limit = 3;
    ck_assert_ids(&q, "e d b");
    struct store_filter f = {STR("id"), STORE_IN,
                             parse("[\"a\",\"c\",\"f\",\"e\",\"zz\",\"a\",7]")};
    q.filters = &f;
    q.nfilters = 1;
    q.limit = 0;
    r = query(&q);
    ck_assert_str_is(ids_of(&r), "e a");
    ck_assert_uint_eq(r.total, 2);
    end_read();
}
END_TEST

/* With equal times the index has ids in its keys, and they move when the second one comes. */
START_TEST(sharing_with_equal_times)
{
    struct store_ace ace = {me, STORE_PERM_READ};
    static const char *ids[] = {"b", "a", "c"};
    int64_t t = 50;

    begin_write();
    put("clock", "{}");
    for (int i = 0; i < 3; i++) {
        struct store_put p = {str_from(ids[i]), parse("{}"), &t, &ace, 1};
        struct store_object o;
        ck_assert_ok(store_put(session, &arena, records, &p, &o));
    }
    ck_assert_str_is(shared_ids(me, STORE_PERM_READ), "c b a");
    delete_at("b", NULL);
    ck_assert_str_is(shared_ids(me, STORE_PERM_READ), "c a");
    put("c", "{}");
    ck_assert_str_is(shared_ids(me, STORE_PERM_READ), "c a");
    delete_at("c", NULL);
    delete_at("a", NULL);
    ck_assert_str_is(shared_lists(me), "");
    commit();
}
END_TEST

START_TEST(lists_that_are_shared)
{
    static const struct store_list_id buckets = {STR_INIT("bucket"), STR_INIT("")};
    static const struct store_list_id other = {STR_INIT("record"),
                                               STR_INIT("/buckets/b1/collections/c")};
    struct store_ace ace = {me, STORE_PERM_READ};

    begin_write();
    ck_assert_str_is(shared_lists(me), "");
    put_for(buckets, "b", &ace, 1);
    put_shared("x", me, STORE_PERM_READ);
    put_shared("y", me, STORE_PERM_READ);
    put_for(other, "x", &ace, 1);
    ck_assert_str_is(shared_lists(me), "bucket: record:/buckets/b/collections/c "
                                       "record:/buckets/b1/collections/c");
    ck_assert_str_is(shared_lists(you), "");
    put_shared("x", you, STORE_PERM_READ);
    ck_assert_str_is(shared_lists(you), "record:/buckets/b/collections/c");
    commit();
    begin_write();
    ck_assert_str_is(shared_lists(me), "bucket: record:/buckets/b/collections/c "
                                       "record:/buckets/b1/collections/c");
    delete_at("y", NULL);
    ck_assert_str_is(shared_lists(me), "bucket: record:/buckets/b1/collections/c");
    put_shared("y", me, STORE_PERM_READ);
    ck_assert_ok(store_delete_below(session, STR("/buckets/b")));
    ck_assert_str_is(shared_lists(me), "bucket: record:/buckets/b1/collections/c");
    ck_assert_str_is(shared_lists(you), "");
    ck_assert_ok(store_delete_everything(session));
    ck_assert_str_is(shared_lists(me), "");
    commit();
}
END_TEST

START_TEST(a_big_acl)
{
    enum { N = 300 };
    struct store_ace acl[N];
    const struct store_ace *got;
    struct store_object o;
    size_t n;

    for (int i = 0; i < N; i++)
        acl[i] = (struct store_ace){arena_printf(&arena, "user:%d", i), STORE_PERM_READ};
    begin_write();
    put_for(records, "x", acl, N);
    o = put_for(records, "x", acl + 100, N - 100); /* half of it goes */
    ck_assert_ok(store_acl_list(session, &arena, &o, &got, &n));
    ck_assert_uint_eq(n, N - 100);
    ck_assert_str_is(shared_lists(acl[99].principal), "");
    ck_assert_str_is(shared_lists(acl[100].principal), "record:/buckets/b/collections/c");
    ck_assert_str_is(shared_ids(acl[N - 1].principal, STORE_PERM_READ), "x");
    commit();
}
END_TEST

/* The name of a principal is kept as long as it holds something, and its number is not given out
 * again. */
START_TEST(a_principal_is_forgotten)
{
    const struct store_ace acl[] = {{me, STORE_PERM_READ}, {you, STORE_PERM_WRITE}};
    const struct store_list_id other = {STR("collection"), STR("/buckets/b")};
    struct store_audit_result found;

    begin_write();
    put_for(records, "x", acl, 2);
    put_for(other, "c", acl, 1);
    uint32_t number = resolve(&me, 1).ids[0];
    ck_assert_err(store_principal_forget(session, me), ERR_EXISTS);
    ck_assert_ok(store_set_acl(session, &arena, records, STR("x"), acl + 1, 1));
    ck_assert_err(store_principal_forget(session, me), ERR_EXISTS);
    ck_assert_ok(store_set_acl(session, &arena, other, STR("c"), NULL, 0));
    ck_assert_ok(store_principal_forget(session, me));
    ck_assert_ok(store_principal_forget(session, me));
    ck_assert_ok(store_principal_forget(session, STR("never seen")));
    ck_assert_uint_eq(resolve(&me, 1).nids, 0);
    ck_assert_uint_eq(resolve(&you, 1).nids, 1);
    put_for(records, "y", acl, 1);
    ck_assert_uint_gt(resolve(&me, 1).ids[0], number);
    commit();
    begin_read();
    ck_assert_ok(store_check(session, NULL, &found));
    ck_assert_uint_eq(found.problems, 0);
    end_read();
}
END_TEST

static str holder_of(const char *id)
{
    const struct store_ace *acl;
    struct store_object o;
    size_t n;

    ck_assert_ok(store_get(session, &arena, records, str_from(id), &o));
    ck_assert_ok(store_acl_list(session, &arena, &o, &acl, &n));
    ck_assert_uint_eq(n, 1);
    return acl[0].principal;
}

/* More principals than a thread remembers, of which some come and go. */
START_TEST(names_and_numbers_stay_together)
{
    enum { N = 100 };
    str names[N];
    uint32_t numbers[N];

    begin_write();
    for (int i = 0; i < N; i++) {
        names[i] = arena_printf(&arena, "user:%d", i);
        put_shared(arena_printf(&arena, "r%d", i).p, names[i], STORE_PERM_READ);
    }
    commit();
    for (int round = 0; round < 3; round++) {
        begin_read();
        for (int i = 0; i < N; i++) {
            struct store_principals p = resolve(&names[i], 1);
            ck_assert_uint_eq(p.nids, 1);
            ck_assert(round == 0 || i == 0 || p.ids[0] == numbers[i]);
            ck_assert(round == 0 || i > 0 || p.ids[0] != numbers[i]);
            numbers[i] = p.ids[0];
            ck_assert_str_is(holder_of(arena_printf(&arena, "r%d", i).p), names[i].p);
        }
        end_read();
        begin_write();
        ck_assert_ok(store_set_acl(session, &arena, records, STR("r0"), NULL, 0));
        ck_assert_ok(store_principal_forget(session, names[0]));
        commit();
        begin_write();
        put_shared("r0", names[0], STORE_PERM_READ);
        commit();
    }
}
END_TEST

/* Each once, also when what is found goes away meanwhile. */
START_TEST(shared_lists_one_after_the_other)
{
    const struct store_ace acl[] = {{me, STORE_PERM_READ}, {you, STORE_PERM_WRITE}};
    str names[] = {me, you};
    char parent[32];
    unsigned seen = 0;

    begin_write();
    for (unsigned i = 0; i < 10; i++) {
        snprintf(parent, sizeof parent, "/buckets/%u", i);
        put_for((struct store_list_id){STR("group"), str_from(parent)}, "g", acl + i % 2, 1);
    }
    struct store_principals p = resolve(names, 2);
    struct store_list_id list;
    enum err e = OK;
    for (uint32_t number = 1; e == OK; number++) {
        e = store_shared_list_next(session, &arena, &p, &number, &list);
        if (e != OK)
            break;
        snprintf(parent, sizeof parent, "/buckets/%u", seen++);
        ck_assert_str_is(list.parent, parent);
        ck_assert_ok(store_set_acl(session, &arena, list, STR("g"), NULL, 0));
    }
    ck_assert_err(e, ERR_NOTFOUND);
    ck_assert_uint_eq(seen, 10);
    ck_assert_str_is(shared_lists(me), "");
    commit();
}
END_TEST

/* ---- a user in very many groups -------------------------------------------------------------- */

/* However the names come, the numbers are rising, each once, and those never seen leave nothing. */
START_TEST(numbers_of_principals_are_in_order)
{
    enum { N = 500 };
    struct store_ace acl[N];
    str names[2 * N + 1];
    size_t n = 0;

    for (size_t i = 0; i < N; i++)
        acl[i] = (struct store_ace){arena_printf(&arena, "group:%zu", i), STORE_PERM_READ};
    begin_write();
    put_for(records, "x", acl, N);
    for (size_t i = 0; i < N; i++) {
        names[n++] = acl[i * 7 % N].principal;
        names[n++] = i % 2 != 0 ? acl[i].principal : arena_printf(&arena, "unheard of:%zu", i);
    }
    struct store_principals p = resolve(names, n);
    ck_assert_ptr_eq(p.names, names);
    ck_assert_uint_eq(p.count, n);
    ck_assert_uint_eq(p.nids, N);
    ck_assert(p.unseen);
    for (size_t i = 1; i < p.nids; i++)
        ck_assert_uint_lt(p.ids[i - 1], p.ids[i]);
    commit();
}
END_TEST

START_TEST(the_next_of_the_numbers)
{
    uint32_t ids[40];
    struct store_principals p = {.ids = ids};

    for (p.nids = 0; p.nids < ARRAY_LEN(ids); p.nids++) {
        for (size_t i = 0; i < p.nids; i++)
            ids[i] = (uint32_t)(3 * i + 2);
        for (size_t at = 0; at <= p.nids; at++)
            for (uint32_t who = 0; who <= 3 * p.nids + 3; who++) {
                size_t want = at;
                while (want < p.nids && ids[want] < who)
                    want++;
                ck_assert_uint_eq(store_principals_from(&p, at, who), want);
            }
    }
    p = (struct store_principals){.count = 0};
    ck_assert_uint_eq(store_principals_from(&p, 0, 1), 0);
}
END_TEST

/* The numbers 1, 1 + step, ... below `end`. */
static struct store_principals every(uint32_t *ids, uint32_t step, uint32_t end)
{
    struct store_principals p = {.ids = ids};

    for (uint32_t i = 1; i < end; i += step)
        ids[p.nids++] = i;
    return p;
}

/* Permissions of the entries, each of which has one bit by its number. */
static str acl_of_every(uint32_t step, uint32_t end)
{
    struct buf b;

    buf_init_arena(&b, &arena, MIB);
    for (uint32_t i = 1; i < end; i += step) {
        struct key pair = {.n = 0};
        store_key_add_varint(&pair, i);
        store_key_add_varint(&pair, 1u << i % STORE_PERM_COUNT);
        buf_add_str(&b, key_str(&pair));
    }
    return buf_str(&b);
}

START_TEST(many_entries_and_many_principals)
{
    enum { END = 3000 };
    static const uint32_t steps[] = {1, 2, 3, 5, 7, 64, 1000, END};
    static uint32_t ids[END];

    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            struct store_object o = {.acl = acl_of_every(steps[i], END)};
            struct store_principals p = every(ids, steps[k], END);
            unsigned want = 0;
            for (uint32_t who = 1; who < END; who++)
                if ((who - 1) % steps[i] == 0 && (who - 1) % steps[k] == 0)
                    want |= 1u << who % STORE_PERM_COUNT;
            ck_assert_uint_eq(store_acl_held(&o, &p), want);
            for (unsigned bit = 0; bit < STORE_PERM_COUNT; bit++)
                ck_assert_int_eq(store_acl_allows(&o, &p, 1u << bit), (want & 1u << bit) != 0);
            p.ids++; /* without the first of all, which is in each */
            p.nids--;
            ck_assert(steps[k] < END || store_acl_held(&o, &p) == 0);
        }
}
END_TEST

/* Each list once, with however many of the principals it is shared. */
START_TEST(lists_shared_with_many)
{
    enum { WHO = 60, LISTS = 40 };
    struct store_ace acl[WHO];
    const struct store_list_id *lists;
    str names[WHO];
    size_t n;

    for (size_t i = 0; i < WHO; i++) {
        names[i] = arena_printf(&arena, "group:%zu", i);
        acl[i] = (struct store_ace){names[i], STORE_PERM_READ};
    }
    begin_write();
    for (size_t i = 0; i < LISTS; i++) {
        str parent = arena_printf(&arena, "/buckets/%zu", i);
        put_for((struct store_list_id){STR("group"), parent}, "g", acl + i, WHO - i);
    }
    for (size_t first = 0; first < WHO; first += 7) {
        struct store_principals p = resolve(names, first + 1);
        ck_assert_ok(store_shared_lists(session, &arena, &p, &lists, &n));
        ck_assert_uint_eq(n, MIN_OF(first + 1, (size_t)LISTS));
        for (size_t i = 0; i < n; i++)
            ck_assert_str_is(lists[i].parent, arena_printf(&arena, "/buckets/%zu", i).p);
    }
    commit();
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {names_of_permissions,
                                  principals_keep_their_number,
                                  long_principals_are_different_ones,
                                  aces_are_joined_and_empty_ones_dropped,
                                  allows_what_one_of_the_principals_holds,
                                  damaged_acls_allow_nothing,
                                  put_keeps_or_replaces_the_acl,
                                  sharing_is_by_permission_and_in_time_order,
                                  sharing_with_equal_times,
                                  lists_that_are_shared,
                                  a_big_acl,
                                  a_principal_is_forgotten,
                                  names_and_numbers_stay_together,
                                  shared_lists_one_after_the_other,
                                  numbers_of_principals_are_in_order,
                                  the_next_of_the_numbers,
                                  many_entries_and_many_principals,
                                  lists_shared_with_many};
    return suite_of("store/acl", setup, teardown, tests, ARRAY_LEN(tests));
}

UNIT_MAIN(make_suite)
