/*
 * Indexes of declared fields. What they must do is what goes without them: two collections hold the same objects,
 * one with indexes and one without, and random queries have the same answers.
 */
#include "test/unit/store/store_test.h"

#define DECLARED "status+score, score,title+flag+score\n tags, deep.down"

static const struct store_list_id with = {STR_INIT("record"), STR_INIT("/buckets/b/collections/i")};
static const struct store_list_id without = {STR_INIT("record"),
                                             STR_INIT("/buckets/b/collections/plain")};

/* ---- a store with them ----------------------------------------------------------------------- */

static const char *declared; /* NULL: nothing */

static void open_declared(bool as_is)
{
    struct store_options o = {.dir = directory[0] != '\0' ? directory : NULL, .as_is = as_is};
    struct err_detail d = {.text = ""};
    enum err e;

    if (declared != NULL)
        o.declared[o.ndeclared++] = (struct store_declared){STR("b"), STR("i"), str_from(declared)};
    e = store_open(&store, &o, NULL, &d);
    ck_assert_msg(e == OK, "%s: %s", err_text(e), d.text);
    ck_assert_ok(store_thread_new(store, &thread));
}

static void reopen_with(const char *fields)
{
    close_store();
    declared = fields;
    open_declared(false);
}

static void setup_declared(void)
{
    setup_files();
    reopen_with(DECLARED);
}

/* Keys of indexes that the list has. */
static unsigned keys_of(struct store_list_id list)
{
    struct engine_cursor c;
    struct key prefix;
    uint32_t number;
    unsigned n = 0;

    begin_read();
    if (store_list_number(session, list, &number) == OK) {
        store_key_init_list(&prefix, number, SUB_FIELD);
        engine_cursor_init(&c, session->view, key_str(&prefix));
        for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c))
            n++;
    }
    end_read();
    return n;
}

static bool has_index(void)
{
    struct list *l;
    bool has;

    begin_read();
    ck_assert_ok(store_list_find(session, with, &l));
    has = l->fields != NULL;
    end_read();
    return has;
}

static void tell(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "%s\n", text);
}

static uint64_t problems(bool expected)
{
    struct store_audit_options o = {.problem = expected ? NULL : tell};
    struct store_audit_result r;

    begin_read();
    ck_assert_ok(store_check(session, &o, &r));
    end_read();
    return r.problems;
}

static struct key first_key(void)
{
    struct engine_cursor c;
    struct key k, found = {.n = 0};
    uint32_t number;

    begin_read();
    ck_assert_ok(store_list_number(session, with, &number));
    store_key_init_list(&k, number, SUB_FIELD);
    engine_cursor_init(&c, session->view, key_str(&k));
    ck_assert(engine_cursor_first(&c));
    store_key_add(&found, engine_cursor_key(&c));
    end_read();
    return found;
}

/* ---- random objects -------------------------------------------------------------------------- */

static uint64_t seed;

static unsigned dice(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* Values that are near each other: equal, equal to the eye of an index, of several types. */
static const char *const values[] = {
    "null",
    "\"\"",
    "\"a\"",
    "\"a\\u0000\"",
    "\"a\\u0000b\"",
    "\"ab\"",
    "\"\\u00e9\"",
    "0",
    "-0.0",
    "1",
    "1.0",
    "1e0",
    "-1",
    "-1.5",
    "2",
    "10",
    "1e300",
    "-1e300",
    "1e-400",
    "9007199254740993",
    "9007199254740992",
    "9007199254740992.5",
    "0.1",
    "0.10000000000000001",
    "0.1000000000000000055",
    "true",
    "false",
    "[]",
    "[1]",
    "[1,2]",
    "{}",
    "{\"a\":1}",
    "\"z\"",
    "\"Z\"",
    "\"\\\"\\\\\"",
};

static const char *const names[] = {"status", "score", "title", "flag", "tags"};

static void add_value(struct buf *b)
{
    unsigned which = dice(ARRAY_LEN(values) + 4);

    if (which < ARRAY_LEN(values)) {
        buf_printf(b, "%s", values[which]);
        return;
    }
    buf_add_char(b, '"'); /* as long as what an index cuts, and a little more or less */
    for (unsigned i = 0, n = (which % 2 ? 74 : 112) + dice(5); i < n; i++)
        buf_add_char(b, dice(40) == 0 ? 'b' : 'a');
    buf_add_char(b, '"');
}

static const char *random_object(void)
{
    struct buf b;

    buf_init_arena(&b, &arena, SIZE_MAX);
    buf_add_char(&b, '{');
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (dice(4) > 0) {
            buf_printf(&b, "%s\"%s\":", b.n > 1 ? "," : "", names[i]);
            add_value(&b);
        }
    if (dice(3) == 0) {
        buf_printf(&b, "%s\"deep\":{\"down\":", b.n > 1 ? "," : "");
        add_value(&b);
        buf_add_char(&b, '}');
    }
    buf_add_char(&b, '}');
    buf_add_char(&b, '\0');
    return b.p;
}

static const char *random_id(unsigned ids)
{
    char id[16];

    snprintf(id, sizeof id, "o%u", dice(ids));
    return arena_cstr(&arena, str_from(id));
}

/* The same to both collections, at the same time, which at times is that of another object. */
static void change_one(unsigned ids)
{
    const char *id = random_id(ids), *data = random_object();
    int64_t at = 1000 + (int64_t)dice(3 * ids);
    struct store_object o;

    if (dice(5) > 0) {
        put_in(with, id, data, &at);
        put_in(without, id, data, &at);
        return;
    }
    enum err e = store_delete(session, &arena, with, str_from(id), &at, &o);
    ck_assert_err(store_delete(session, &arena, without, str_from(id), &at, &o), e);
    ck_assert(e == OK || e == ERR_NOTFOUND);
}

static void fill(unsigned n, unsigned ids)
{
    for (unsigned i = 0; i < n; i += 50) {
        begin_write();
        for (unsigned k = 0; k < 50; k++)
            change_one(ids);
        commit();
        arena_reset(&arena);
    }
}

/* ---- random queries -------------------------------------------------------------------------- */

static const char *random_field(void)
{
    static const char *const others[] = {"deep.down", "last_modified", "id", "none"};

    return dice(4) > 0 ? names[dice(ARRAY_LEN(names))] : others[dice(ARRAY_LEN(others))];
}

static struct store_filter random_filter(void)
{
    static const enum store_op ops[] = {STORE_EQ,  STORE_EQ, STORE_EQ, STORE_EQ,
                                        STORE_NOT, STORE_LT, STORE_GT, STORE_MIN,
                                        STORE_MAX, STORE_IN, STORE_HAS};
    struct store_filter f = {.field = str_from(random_field()), .op = ops[dice(ARRAY_LEN(ops))]};
    struct buf b;

    buf_init_arena(&b, &arena, SIZE_MAX);
    if (f.op == STORE_HAS)
        buf_printf(&b, "%s", dice(2) ? "true" : "false");
    else if (f.op == STORE_IN)
        buf_printf(&b, "[1,\"a\",%s]", values[dice(ARRAY_LEN(values))]);
    else if (str_eq(f.field, STR("last_modified")))
        buf_printf(&b, "%u", 1000 + dice(900));
    else
        add_value(&b);
    buf_add_char(&b, '\0');
    f.value = parse(b.p);
    return f;
}

static struct store_query random_query(struct store_filter *filters, struct store_sort *sort)
{
    struct store_query q = {.filters = filters, .sort = sort};

    q.nfilters = dice(4);
    for (size_t i = 0; i < q.nfilters; i++)
        filters[i] = random_filter();
    q.nsort = dice(3);
    for (size_t i = 0; i < q.nsort; i++)
        sort[i] = (struct store_sort){str_from(random_field()), dice(2) == 0};
    q.limit = dice(4) == 0 ? 0 : 1 + dice(12);
    q.want_total = dice(3) == 0;
    q.bare = dice(4) == 0;
    q.tombstones = dice(6) == 0;
    return q;
}

static void same(const struct store_result *x, const struct store_result *y, const char *what)
{
    ck_assert_msg(x->count == y->count, "%s: %zu and %zu objects", what, x->count, y->count);
    ck_assert_msg(x->more == y->more, "%s: more", what);
    ck_assert_msg(x->total == y->total, "%s: total %llu and %llu", what,
                  (unsigned long long)x->total, (unsigned long long)y->total);
    for (size_t i = 0; i < x->count; i++)
        ck_assert_msg(str_eq(x->objects[i].id, y->objects[i].id) &&
                          x->objects[i].last_modified == y->objects[i].last_modified,
                      "%s: object %zu: %.*s and %.*s", what, i, STR_ARG(x->objects[i].data),
                      STR_ARG(y->objects[i].data));
}

/* The page behind what was the last object of this one. */
static const struct json *behind(const struct store_result *r, const struct store_query *q)
{
    const struct store_object *last = &r->objects[r->count - 1];
    struct json *after = json_new_object(&arena);

    for (size_t i = 0; i < q->nsort; i++) {
        struct json_raw raw;
        struct json *v;
        if (!store_field(&arena, last->data, q->sort[i].field, &raw))
            continue;
        ck_assert_ok(json_raw_parse(&arena, &raw, &v));
        ck_assert_ok(json_set(&arena, after, q->sort[i].field, v));
    }
    if (q->nsort == 0)
        ck_assert_ok(json_set(&arena, after, STR("last_modified"),
                              json_new_i64(&arena, last->last_modified)));
    if (json_get(after, STR("id")) == NULL)
        ck_assert_ok(json_set(&arena, after, STR("id"), json_new_string(&arena, last->id)));
    return after;
}

static void ask(unsigned n, const char *what)
{
    for (unsigned i = 0; i < n; i++) {
        struct store_filter filters[4];
        struct store_sort sort[3];
        struct store_query q = random_query(filters, sort);
        char name[80];
        begin_read();
        for (unsigned page = 0; page < 4; page++) {
            struct store_result x = query_in(with, &q), y = query_in(without, &q);
            snprintf(name, sizeof name, "%s, query %u, page %u, seed %llu", what, i, page,
                     (unsigned long long)seed);
            same(&x, &y, name);
            if (!y.more || y.count == 0 || q.bare)
                break;
            q.after = behind(&y, &q);
        }
        end_read();
        arena_reset(&arena);
    }
}

START_TEST(answers_are_the_same)
{
    const char *given = getenv("SEED");

    seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)clock_mono_ns();
    fprintf(stderr, "SEED=%llu\n", (unsigned long long)seed);
    fill(300, 120);
    ask(1500, "small");
    fill(3000, 900);
    ask(2500, "larger");
    ck_assert(has_index());
    ck_assert_uint_gt(keys_of(with), 2000);
    ck_assert_uint_eq(keys_of(without), 0);
    ck_assert_uint_eq(problems(false), 0);
}
END_TEST

/* With objects that were there before, in several portions; and again after a start, when nothing is made. */
START_TEST(made_for_what_is_there)
{
    unsigned n;

    reopen_with(NULL);
    seed = 7;
    fill(6000, 3000);
    ck_assert_uint_eq(keys_of(with), 0);
    reopen_with(DECLARED);
    n = keys_of(with);
    ck_assert_uint_gt(n, 5 * 1000);
    ck_assert_uint_eq(problems(false), 0);
    ask(300, "made");
    reopen_with(DECLARED);
    ck_assert(has_index());
    ck_assert_uint_eq(keys_of(with), n);
    fill(200, 3000);
    ck_assert_uint_eq(problems(false), 0);
    ask(300, "changed");
}
END_TEST

START_TEST(another_declaration_is_another_index)
{
    seed = 11;
    fill(400, 100);
    reopen_with("score");
    ck_assert(has_index());
    ck_assert_uint_eq(problems(false), 0);
    ask(100, "score");
    reopen_with("  score ,");
    ck_assert(has_index());
    reopen_with(NULL);
    ck_assert_uint_eq(keys_of(with), 0);
    ck_assert_uint_eq(problems(false), 0);
}
END_TEST

/* Somebody changes objects who was told to look only: the index is gone with the first change. */
START_TEST(who_does_not_keep_it_up_takes_it_away)
{
    seed = 13;
    fill(200, 100);
    close_store();
    open_declared(true);
    ck_assert_uint_gt(keys_of(with), 0);
    ck_assert_uint_eq(problems(false), 0);
    begin_write();
    put_in(without, "o1", "{}", NULL);
    put_in(with, "o1", "{}", NULL);
    commit();
    ck_assert_uint_eq(keys_of(with), 0);
    ck_assert_uint_eq(problems(false), 0);
    reopen_with(DECLARED);
    ck_assert(has_index());
    ck_assert_uint_eq(problems(false), 0);
    ask(100, "made anew");
}
END_TEST

START_TEST(it_goes_with_its_list)
{
    seed = 17;
    fill(200, 100);
    begin_write();
    ck_assert_ok(store_delete_below(session, STR("/buckets/b")));
    commit();
    ck_assert_uint_eq(problems(false), 0);
    fill(200, 100);
    ck_assert(has_index());
    ck_assert_uint_gt(keys_of(with), 0);
    ask(100, "new list");
    begin_write();
    ck_assert_ok(store_delete_everything(session));
    commit();
    ck_assert_uint_eq(problems(false), 0);
    fill(200, 100);
    ask(100, "after a flush");
    ck_assert_uint_eq(problems(false), 0);
}
END_TEST

/* An aborted transaction leaves the keys as they were; changes of permissions alone, and objects that are
 * forgotten, are followed, too. */
START_TEST(all_changes_are_followed)
{
    struct store_ace ace = {STR("system.Everyone"), STORE_PERM_READ};

    seed = 19;
    fill(100, 50);
    begin_write();
    change_one(50);
    store_abort(session);
    ck_assert_uint_eq(problems(false), 0);
    begin_write();
    put_in(with, "o1", "{\"score\":5}", NULL);
    ck_assert_ok(store_set_acl(session, &arena, with, STR("o1"), &ace, 1));
    ck_assert_ok(store_set_data(session, &arena, with, STR("o1"), parse("{\"score\":6}")));
    commit();
    ck_assert_uint_eq(problems(false), 0);
    begin_write();
    ck_assert_ok(store_forget(session, &arena, with, STR("o1")));
    commit();
    ck_assert_uint_eq(problems(false), 0);
}
END_TEST

/* It is of use: few of many are found by looking at few. */
START_TEST(little_is_looked_at)
{
    struct store_filter f = {STR("status"), STORE_EQ, NULL};
    struct store_sort by_score = {STR("score"), true};
    struct store_query q = {.filters = &f, .nfilters = 1, .limit = 10};
    char data[64];
    uint64_t work[3];

    begin_write();
    for (int i = 0; i < 2000; i++) {
        char id[16];
        snprintf(id, sizeof id, "x%d", i);
        snprintf(data, sizeof data, "{\"status\":%d,\"score\":%d}", i % 50, i * 7919 % 2000);
        put_in(with, id, data, NULL);
        put_in(without, id, data, NULL);
    }
    commit();
    f.value = parse("7");
    for (int i = 0; i < 3; i++) { /* by status; and by score; by score alone */
        struct store_result x, y;
        uint64_t before;
        q.sort = &by_score;
        q.nsort = i > 0;
        q.nfilters = i < 2;
        begin_read();
        y = query_in(without, &q);
        before = store_work(session);
        x = query_in(with, &q);
        work[i] = store_work(session) - before;
        same(&x, &y, "few of many");
        ck_assert_uint_lt((i > 0 ? 20 : 5) * work[i],
                          before); /* the newest are found soon as it is */
        end_read();
    }
    ck_assert_uint_lt(work[1], work[0]); /* 11 and not 40 objects */
}
END_TEST

/* What leads to too many is left for the order of time, and the answer is right. */
START_TEST(too_many_are_found_otherwise)
{
    struct store_filter f = {STR("status"), STORE_EQ, NULL};
    struct store_query q = {.filters = &f, .nfilters = 1};

    begin_write();
    for (int i = 0; i < 1000; i++) {
        char id[16];
        snprintf(id, sizeof id, "x%d", i);
        put_in(with, id, i % 10 ? "{\"status\":1}" : "{\"status\":2}", NULL);
    }
    commit();
    begin_read();
    f.value = parse("1");
    ck_assert_uint_eq(query_in(with, &q).count, 900);
    f.value = parse("2");
    ck_assert_uint_eq(query_in(with, &q).count, 100);
    q.want_total = true;
    q.limit = 5;
    f.value = parse("1.0");
    ck_assert_uint_eq(query_in(with, &q).total, 900);
    ck_assert_uint_eq(query_in(with, &q).count, 5);
    end_read();
}
END_TEST

/* A query in a transaction sees what that has changed. */
START_TEST(a_transaction_sees_its_own)
{
    struct store_filter f = {STR("status"), STORE_EQ, NULL};
    struct store_query q = {.filters = &f, .nfilters = 1, .limit = 3};
    struct store_result r;

    begin_write();
    f.value = parse("\"mine\"");
    put_in(with, "a", "{\"status\":\"mine\"}", NULL);
    put_in(with, "b", "{\"status\":\"other\"}", NULL);
    r = query_in(with, &q);
    ck_assert_str_is(ids_of(&r), "a");
    put_in(with, "a", "{\"status\":\"other\"}", NULL);
    put_in(with, "b", "{\"status\":\"mine\"}", NULL);
    r = query_in(with, &q);
    ck_assert_str_is(ids_of(&r), "b");
    commit();
}
END_TEST

/* The first page of many, in the order of time, is not looked for in an index that is in another order. */
START_TEST(the_newest_of_many_are_found_by_time)
{
    struct store_filter f = {STR("status"), STORE_EQ, NULL};
    struct store_query q = {.filters = &f, .nfilters = 1, .limit = 5};
    struct store_result x, y;
    uint64_t before;

    begin_write();
    for (int i = 0; i < 5000; i++) {
        char id[16];
        snprintf(id, sizeof id, "x%d", i);
        put_in(with, id, i % 10 ? "{\"status\":1}" : "{\"status\":2}", NULL);
        put_in(without, id, i % 10 ? "{\"status\":1}" : "{\"status\":2}", NULL);
    }
    commit();
    begin_read();
    for (int i = 1; i < 3; i++) {
        f.value = parse(i == 1 ? "1" : "2");
        y = query_in(without, &q);
        before = store_work(session);
        x = query_in(with, &q);
        same(&x, &y, "newest");
        ck_assert_uint_lt(store_work(session) - before, 60000); /* all of them: 400000 and more */
    }
    end_read();
}
END_TEST

/* ---- a crash --------------------------------------------------------------------------------- */

/* The word on the indexes of a list, as it is while they are made, or when they are complete. */
static void say_state(char state)
{
    char value[200];
    struct key k;
    uint32_t number;
    str there;

    begin_write();
    ck_assert_ok(store_list_number(session, with, &number));
    store_key_init(&k, KEY_META);
    store_key_add(&k, STR(META_INDEX));
    store_key_add_u32(&k, number);
    ck_assert_ok(store_db_get(session, &k, &there));
    memcpy(value, there.p, there.n);
    value[0] = state;
    ck_assert_ok(store_db_put(session, &k, (str){value, there.n}));
    commit();
}

/* A process ends while they are made: nobody goes by them, a check finds nothing wrong, the next start makes them
 * anew, and a change of objects before that takes them away. */
START_TEST(half_made_is_none)
{
    struct key k;

    seed = 29;
    fill(200, 100);
    k = first_key();
    begin_write();
    ck_assert_ok(store_db_del(session, &k));
    commit();
    ck_assert_uint_gt(problems(true), 0);
    say_state(0);
    ck_assert_uint_eq(problems(false), 0);
    ck_assert(!has_index());
    ask(50, "half made");
    reopen_with(DECLARED);
    ck_assert(has_index());
    ck_assert_uint_eq(problems(false), 0);
    say_state(0);
    close_store();
    open_declared(true);
    begin_write();
    change_one(100);
    commit();
    ck_assert_uint_eq(keys_of(with), 0);
    ck_assert_uint_eq(problems(false), 0);
}
END_TEST

/* ---- damage ---------------------------------------------------------------------------------- */

/* Loop: a key is missing, leads elsewhere, is damaged, has a value; what says that there is an index is damaged,
 * or missing. */
START_TEST(damage_is_found_and_mended)
{
    struct store_audit_result r;
    struct key k;

    seed = 23;
    fill(100, 50);
    k = first_key();
    begin_write();
    if (_i >= 4) {
        uint32_t number;
        ck_assert_ok(store_list_number(session, with, &number));
        store_key_init(&k, KEY_META);
        store_key_add(&k, STR(META_INDEX));
        store_key_add_u32(&k, number);
    }
    if (_i < 3 || _i == 5)
        ck_assert_ok(store_db_del(session, &k));
    if (_i == 1)
        k.b[7]++;
    if (_i == 2)
        k.n -= 3;
    if (_i > 0 && _i < 5)
        ck_assert_ok(store_db_put(session, &k, _i >= 3 ? STR("x") : STR("")));
    commit();
    ck_assert_uint_gt(problems(true), 0);
    close_store();
    open_declared(true);
    ck_assert_ok(store_repair(thread, NULL, &r));
    ck_assert_uint_gt(r.problems, 0);
    ck_assert_uint_eq(problems(false), 0);
    reopen_with(DECLARED);
    ck_assert(has_index());
    ck_assert_uint_eq(problems(false), 0);
    ask(100, "repaired");
}
END_TEST

/* ---- declarations ---------------------------------------------------------------------------- */

START_TEST(what_can_be_declared)
{
    static const struct {
        const char *text;
        enum err e;
        unsigned n;
    } rows[] = {
        {"a", OK, 1},
        {"a,b", OK, 2},
        {" a + b", ERR_SYNTAX, 0},
        {"a+b+c+d", OK, 1},
        {"a+b+c+d+e", ERR_LIMIT, 0},
        {"", ERR_SYNTAX, 0},
        {", ,", ERR_SYNTAX, 0},
        {"a++b", ERR_SYNTAX, 0},
        {"+", ERR_SYNTAX, 0},
        {"a b c d e f g h", OK, 8},
        {"a b c d e f g h i", ERR_LIMIT, 0},
        {"a+last_modified", ERR_SYNTAX, 0},
        {"a.b\n c", OK, 2},
        {"id", OK, 1},
    };
    struct fields f;
    const char *why;
    char long_one[1100];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum err e = store_fields_parse(str_from(rows[i].text), &f, &why);
        ck_assert_msg(e == rows[i].e, "\"%s\": %s", rows[i].text, err_text(e));
        if (e == OK)
            ck_assert_uint_eq(f.n, rows[i].n);
        else
            ck_assert_uint_gt(strlen(why), 0);
    }
    memset(long_one, 'a', sizeof long_one);
    ck_assert_err(store_fields_parse((str){long_one, 1001}, &f, &why), ERR_LIMIT);
    ck_assert_err(store_fields_parse((str){long_one, 1000}, &f, &why), OK);
}
END_TEST

/* The keys are in the order of the values, and a key is never too long. */
START_TEST(keys_are_in_order)
{
    struct field_index ix = {.names = {STR("a")}, .n = 1};
    size_t n = ARRAY_LEN(values);

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            struct json *x = parse(values[i]), *y = parse(values[j]);
            struct json_raw rx, ry;
            struct key kx = {.n = 0}, ky = {.n = 0};
            int want = json_compare(x, y), got;
            ck_assert_ok(store_raw_from(&arena, x, &rx));
            ck_assert_ok(store_raw_from(&arena, y, &ry));
            ck_assert_ok(store_fields_add(&arena, &kx, &ix, &rx));
            ck_assert_ok(store_fields_add(&arena, &ky, &ix, &ry));
            got = str_cmp(key_str(&kx), key_str(&ky));
            ck_assert_msg(want == 0  ? got == 0
                          : want > 0 ? got >= 0
                                     : got <= 0,
                          "%s, %s", values[i], values[j]);
            ck_assert_uint_eq(store_fields_skip(key_str(&kx), 0, 1), kx.n);
        }
}
END_TEST

START_TEST(no_key_is_too_long)
{
    char id[300], data[9000];
    int64_t at = 5;
    size_t n;

    reopen_with("a+b+c+d, a, a+b");
    memset(id, 'i', sizeof id);
    id[299] = '\0';
    n = (size_t)snprintf(data, sizeof data, "{");
    for (int c = 'a'; c <= 'd'; c++) {
        n += (size_t)snprintf(data + n, sizeof data - n, "%s\"%c\":\"", c > 'a' ? "," : "", c);
        for (int i = 0; i < 300; i++)
            n += (size_t)snprintf(data + n, sizeof data - n, "\\u0000");
        n += (size_t)snprintf(data + n, sizeof data - n, "\"");
    }
    snprintf(data + n, sizeof data - n, "}");
    begin_write();
    put_in(with, "x", "{}", &at);
    put_in(with, id, data, &at); /* tied: its TIME has the id */
    commit();
    ck_assert_uint_eq(keys_of(with), 6);
    ck_assert_uint_eq(problems(false), 0);
}
END_TEST

static Suite *suite(void)
{
    const TTest *tests[] = {
        answers_are_the_same,
        made_for_what_is_there,
        another_declaration_is_another_index,
        who_does_not_keep_it_up_takes_it_away,
        it_goes_with_its_list,
        all_changes_are_followed,
        little_is_looked_at,
        too_many_are_found_otherwise,
        a_transaction_sees_its_own,
        the_newest_of_many_are_found_by_time,
        half_made_is_none,
        what_can_be_declared,
        keys_are_in_order,
        no_key_is_too_long,
    };
    Suite *s = suite_of("store/field", setup_declared, teardown, tests, ARRAY_LEN(tests));
    TCase *c = tcase_create("damage");

    tcase_add_checked_fixture(c, setup_declared, teardown);
    tcase_add_loop_test(c, damage_is_found_and_mended, 0, 6);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
