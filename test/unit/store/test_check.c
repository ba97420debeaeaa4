/*
 * test/unit/store/test_check.c - a store is broken through the engine, key by key, value by value,
 * and by transactions that are left out; each break is found, and is mended by store_repair.
 *
 * STORE_SEED=n repeats a random run.
 */
#define TXN_WRITES 3
#include "store/check.c"

#include "test/unit/store/store_test.h"

#include "base/rand.h"

#define LONG_NAME_BYTES 300
static char long_name[LONG_NAME_BYTES + 1];

static const struct store_list_id buckets = {STR_INIT("bucket"), STR_INIT("")};
static const struct store_list_id groups = {STR_INIT("group"), STR_INIT("/buckets/b")};
static const struct store_list_id empty = {STR_INIT("record"),
                                           STR_INIT("/buckets/b/collections/e")};

/* ---- asking ---------------------------------------------------------------------------------- */

static struct buf problems; /* of the last check or repair, a line each */
static uint64_t progress_done, progress_total;

static void note_problem(void *arg, const char *text)
{
    (void)arg;
    for (const char *c = text; *c; c++)
        ck_assert_msg((unsigned char)*c >= 0x20, "%s", text);
    buf_printf(&problems, "%s\n", text);
}

static void note_progress(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    ck_assert_uint_le(done, total);
    progress_done = done;
    progress_total = total;
}

static const struct store_audit_options options = {note_problem, note_progress, NULL};

static void begin_problems(void)
{
    buf_fini(&problems);
    buf_init(&problems, MIB);
}

static struct store_audit_result look(void)
{
    struct store_audit_result r = {0};

    begin_problems();
    begin_read();
    ck_assert_ok(store_check(session, &options, &r));
    end_read();
    buf_add_char(&problems, '\0');
    return r;
}

static struct store_audit_result mend(void)
{
    struct store_audit_result r = {0};

    begin_problems();
    ck_assert_ok(store_repair(thread, &options, &r));
    buf_add_char(&problems, '\0');
    return r;
}

static void want_sound(void)
{
    struct store_audit_result r = look();

    ck_assert_msg(r.problems == 0, "%s", problems.p);
}

#define want_problem(part)                                                                         \
    ck_assert_msg(strstr(problems.p, (part)) != NULL, "no \"%s\" in: %s", (part), problems.p)

/* Broken: found, mended, and sound from then on. */
static void want_mended(const char *what)
{
    struct store_audit_result found = look(), mended;

    ck_assert_msg(found.problems > 0, "%s was not found", what);
    mended = mend();
    ck_assert_msg(mended.problems > 0, "%s was not mended", what);
    found = look();
    ck_assert_msg(found.problems == 0, "after %s: %s", what, problems.p);
}

/* ---- breaking -------------------------------------------------------------------------------- */

struct pair {
    str key, value;
};
struct image { /* everything in the engine */
    struct pair *pairs;
    size_t n;
};

static struct image image_take(void)
{
    struct engine_cursor c;
    struct image im = {NULL, 0};
    size_t cap = 0;

    begin_read();
    engine_cursor_init(&c, session->view, STR(""));
    for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c)) {
        str value;
        if (im.n == cap) {
            size_t bigger = cap == 0 ? 64 : 2 * cap;
            im.pairs =
                arena_extend(&arena, im.pairs, cap * sizeof *im.pairs, bigger * sizeof *im.pairs);
            cap = bigger;
        }
        ck_assert_ok(engine_cursor_value(&c, &value));
        im.pairs[im.n++] =
            (struct pair){arena_str(&arena, engine_cursor_key(&c)), arena_str(&arena, value)};
    }
    end_read();
    return im;
}

static const str *image_find(const struct image *im, str key)
{
    for (size_t i = 0; i < im->n; i++)
        if (str_eq(im->pairs[i].key, key))
            return &im->pairs[i].value;
    return NULL;
}

static bool image_eq(const struct image *x, const struct image *y)
{
    for (size_t i = 0; i < x->n && i < y->n; i++)
        if (!str_eq(x->pairs[i].key, y->pairs[i].key) ||
            !str_eq(x->pairs[i].value, y->pairs[i].value))
            return false;
    return x->n == y->n;
}

/* STR_NONE: the key is deleted. */
static void break_key(str key, str value)
{
    struct engine_txn *t;

    ck_assert_ok(engine_txn_begin(store->engine, &t));
    engine_txn_mark(t); /* as the store does for keys of names */
    if (str_none(value))
        ck_assert_ok(engine_del(t, key));
    else
        ck_assert_ok(engine_put(t, key, value));
    engine_txn_commit(t, NULL, NULL);
}

static void image_restore(const struct image *im)
{
    struct image now = image_take();

    for (size_t i = 0; i < now.n; i++)
        if (image_find(im, now.pairs[i].key) == NULL)
            break_key(now.pairs[i].key, STR_NONE);
    for (size_t i = 0; i < im->n; i++)
        break_key(im->pairs[i].key, im->pairs[i].value);
}

static bool is_object_key(str key, enum key_sub sub)
{
    return key.n > 5 && key.p[0] == KEY_OBJECT && key.p[5] == (char)sub;
}

/* Something of everything. */
static void fill(void)
{
    static const char *const ids[] = {"a", "b", "tied1", "tied2",
                                      "472be9ec-26fe-461b-8282-9c4e4b207ab3"};
    memset(long_name, 'n', LONG_NAME_BYTES);
    const struct store_ace acl[] = {{STR("alice"), STORE_PERM_READ},
                                    {STR("bob"), STORE_PERM_WRITE},
                                    {str_from(long_name), STORE_PERM_READ}};
    const str members[] = {STR("alice"), STR("bob"), str_from(long_name)};
    int64_t t;

    begin_write();
    put_for(buckets, "b", acl, 1);
    put_for(groups, "g", acl, 2);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        put_for(records, ids[i], acl, i % 4);
    put_for(records, "shared", acl, 3);
    put_at("tied1", 2000000);
    put_at("tied2", 2000000);
    put_at("early", -5);
    put("gone", "{}");
    put("gone2", "{}");
    delete_at("gone", NULL);
    t = 1000005;
    put_at("at-tomb", t);
    delete_at("gone2", &t);
    ck_assert_ok(store_group_set(session, STR("/buckets/b/groups/g"), members, 3));
    ck_assert_ok(store_timestamp(session, empty, &t));
    commit();
    want_sound();
}

/* ---- a sound store --------------------------------------------------------------------------- */

START_TEST(what_is_there_is_counted)
{
    fill();
    struct store_audit_result r = look();
    struct image im = image_take();
    ck_assert_uint_eq(r.lists, 4);
    ck_assert_uint_eq(r.objects, 10);
    ck_assert_uint_eq(r.tombstones, 2);
    ck_assert_uint_eq(r.problems, 0);
    ck_assert_uint_eq(progress_done, im.n);
    ck_assert_uint_eq(progress_total, im.n);
    begin_write(); /* states that are still in the session */
    put("new", "{}");
    ck_assert_ok(store_check(session, NULL, &r));
    ck_assert_uint_eq(r.objects, 11);
    ck_assert_uint_eq(r.problems, 0);
    commit();
}
END_TEST

START_TEST(a_sound_store_is_not_written_to)
{
    fill();
    struct image before = image_take(), after;
    ck_assert_uint_eq(mend().problems, 0);
    after = image_take();
    ck_assert(image_eq(&before, &after));
}
END_TEST

START_TEST(an_empty_store_is_sound)
{
    want_sound();
    ck_assert_uint_eq(mend().problems, 0);
    begin_write();
    put("a", "{}");
    ck_assert_ok(store_delete_everything(session));
    commit();
    want_sound();
}
END_TEST

/* ---- every key, every way -------------------------------------------------------------------- */

/* Can it be brought back exactly? Not the truth itself, nor what was forgotten with it. */
static bool comes_back(str key)
{
    if (key.p[0] == KEY_PRINCIPAL_NAME || is_object_key(key, SUB_ID) ||
        is_object_key(key, SUB_STATE))
        return false;
    return true;
}

/* All objects but the one of the key that was broken are there with the same text. */
static void want_objects(const struct image *before, str broken)
{
    struct image now = image_take();

    for (size_t i = 0; i < before->n; i++) {
        const struct pair *p = &before->pairs[i];
        struct object was, is;
        const str *v = image_find(&now, p->key);
        if (!is_object_key(p->key, SUB_ID) || str_eq(p->key, broken))
            continue;
        ck_assert_ptr_nonnull(v);
        ck_assert_ok(store_value_decode(p->value, &was));
        ck_assert_ok(store_value_decode(*v, &is));
        ck_assert(str_eq(was.o.data, is.o.data));
    }
}

static void break_each(const str *value, const char *how)
{
    char what[128];
    fill();
    const struct image before = image_take();
    for (size_t i = 0; i < before.n; i++) {
        struct arena_mark m = arena_mark(&arena);
        str key = before.pairs[i].key;
        snprintf(what, sizeof what, "key %zu (%02x %02x) %s", i, (unsigned char)key.p[0],
                 (unsigned char)key.p[MIN_OF((size_t)5, key.n - 1)], how);
        if (value != NULL &&
            (str_eq(*value, before.pairs[i].value) || (key.p[0] == KEY_META && value->n == 4)))
            continue; /* the same, or a counter that may be so high */
        break_key(key, value != NULL ? *value : STR_NONE);
        want_mended(what);
        want_objects(&before, key);
        struct image after = image_take();
        if (comes_back(key))
            ck_assert_msg(image_eq(&before, &after), "%s is not as it was", what);
        image_restore(&before);
        arena_release(&arena, m);
    }
    want_sound();
}

START_TEST(any_key_may_be_missing)
{
    break_each(NULL, "deleted");
}
END_TEST

START_TEST(any_value_may_be_another)
{
    static const str values[] = {
        STR_INIT(""),
        STR_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        STR_INIT("\x00\x00\x00\x63"),
        STR_INIT("\x10\x00\x00\x01{}"),
        {"\x10\x02\x00\x01{\"id\":\"z\",\"last_modified\":1}", 31},
        {"\x00\x00\x00\x07\x00record", 11},
    };
    break_each(&values[_i], "replaced");
}
END_TEST

/* ---- keys that should not be there ----------------------------------------------------------- */

#define K(lit) STR_INIT(lit)
static const struct {
    str key, value;
    const char *says;
} strangers[] = {
    {K("\x00"), K("x"), "means nothing (key 00)"},
    {K("\xff\xff"), K(""), "means nothing (key ffff)"},
    {K("\x0a"
       "abc"),
     K(""), "means nothing"},
    {K("\x11"), K(""), "means nothing"},
    {K("\x01"
       "what"),
     K("1"), "means nothing"},
    {K("\x02"
       "carol"),
     K(""), "a principal without a number"},
    {K("\x02"
       "carol"),
     K("\0\0\0\1"), "a principal with the number of another"},
    {K("\x03"
       "\0\0\0"),
     K("carol"), "a damaged name of a principal"},
    {K("\x03"
       "\0\0\0\0"),
     K("carol"), "a damaged name of a principal"},
    {K("\x03"
       "\0\0\0\x09"),
     K("alice"), "a second number of a principal"},
    {K("\x04"
       "/x\0record"),
     K("\0\0\0\1\2/y"
       "record"),
     "a damaged list"},
    {K("\x04"
       "/x\0record"),
     K("\0\0\0\1\2/x"
       "record"),
     "a list with the number of another"},
    {K("\x05"
       "\0\0\0\1\0\0\0"),
     K(""), "a damaged key of a list that is shared"},
    {K("\x05"
       "\0\0\0\1\0\0\0\x63"),
     K(""), "a principal that holds nothing here"},
    {K("\x06"
       "\5alice/buckets/b/groups/h"),
     K("\x13/buckets/b/groups/galice"), "a damaged membership"},
    {K("\x07"
       "/x\0"),
     K("\x09"), "a damaged membership"},
    {K("\x08"
       "\0\0\0"),
     K("\0\0\0\1\2/y"
       "record"),
     "a damaged name of a list"},
    {K("\x08"
       "\0\0\0\2"),
     K("\0\0\0\1\2/y"
       "record"),
     "a damaged name of a list"},
    {K("\x10"), K(""), "means nothing (key 10)"},
    {K("\x10"
       "\0\0\0"),
     K(""), "means nothing"},
    {K("\x10"
       "\0\0\0\1"),
     K(""), "means nothing"},
    {K("\x10"
       "\0\0\0\0\0"),
     K("\0\0\0"), "keys of a list that is not there"},
    {K("\x10"
       "\xff\xff\xff\xff\0"),
     K("\0\0\0"), "list 4294967295: keys of a list that is not there"},
    {K("\x10"
       "\0\0\0\1\0\0"),
     K("\0\0\0"), "means nothing"},
    {K("\x10"
       "\0\0\0\1\4\0"),
     K(""), "means nothing"},
    {K("\x10"
       "\0\0\0\1\6"),
     K(""), "means nothing"},
    {K("\x10"
       "\0\0\0\1\xff\1\2"),
     K(""), "means nothing"},
    {K("\x10"
       "\0\0\0\1\1\1x"),
     K("\x10\2\0\1{\"id\":\"y\",\"last_modified\":1}"), "an object under the id of another"},
    {K("\x10"
       "\0\0\0\1\1"),
     K(""), "a damaged object"},
    {K("\x10"
       "\0\0\0\1\2\x80\0\0\0\0\0\0\2"),
     K("\x10\2\0\1{\"id\":\"y\",\"last_modified\":1}"), "a time that is not its object's"},
    {K("\x10"
       "\0\0\0\1\2\x80\0\0\0\0\0\0\1"),
     K("\x10\2\0\1{\"id\":\"y\",\"last_modified\":1}"), "a time of an object that is not there"},
    {K("\x10"
       "\0\0\0\1\5\x80\0\0\0\0\0\0\1"),
     K("\x11\2\0\1{\"id\":\"y\",\"last_modified\":1,\"deleted\":true}"),
     "a time of an object that is not there"},
    {K("\x10"
       "\0\0\0\1\3\0\0\0\1\x80\0\0\0\0\0\0\1"),
     K(""), "holds nothing on the object"},
    {K("\x10"
       "\0\0\0\1\3\0\0\0\1"),
     K(""), "a damaged key of what is shared"},
};

START_TEST(strangers_go)
{
    fill();
    struct image before = image_take(), after;
    break_key(strangers[_i].key, strangers[_i].value);
    look();
    want_problem(strangers[_i].says);
    want_mended(strangers[_i].says);
    after = image_take();
    ck_assert(image_eq(&before, &after));
    want_objects(&before, STR_NONE);
}
END_TEST

/* ---- what missing transactions leave --------------------------------------------------------- */

static uint32_t number_in(struct store_list_id id)
{
    struct list *l;

    begin_read();
    ck_assert_ok(store_list_find(session, id, &l));
    uint32_t number = l->number;
    end_read();
    return number;
}

static struct object object_of(struct store_list_id list, const char *id)
{
    struct object o;
    uint32_t number = number_in(list);

    begin_read();
    ck_assert_ok(store_object_get(session, number, str_from(id), &o));
    o.value = arena_str(&arena, o.value);
    end_read();
    ck_assert_ok(store_value_decode(o.value, &o));
    return o;
}

static void del(const struct key *k)
{
    break_key(key_str(k), STR_NONE);
}

/* The transaction that first named the principal is missing, also from the counter. */
START_TEST(a_principal_that_nobody_can_name)
{
    struct key k, v = {.n = 0};
    const struct store_ace carol = {STR("carol"), STORE_PERM_WRITE};
    fill();
    break_key(STR("\x02"
                  "bob"),
              STR_NONE);
    break_key(STR("\x03"
                  "\0\0\0\2"),
              STR_NONE);
    store_key_init(&k, KEY_META);
    store_key_add(&k, STR("principal"));
    store_key_add_u32(&v, 1);
    break_key(key_str(&k), key_str(&v));
    look();
    want_problem("\"/buckets/b/collections/c\": object tied1 has permissions of nobody");
    want_problem("the last principal number given out is 1, but there is 3");
    want_mended("a principal");
    ck_assert_uint_eq(object_of(records, "shared").o.acl.n, 4);
    begin_write(); /* its number is not given to somebody else */
    put_for(records, "new", &carol, 1);
    commit();
    want_sound();
    ck_assert_int_eq(object_of(records, "new").o.acl.p[0], 4);
}
END_TEST

START_TEST(a_list_that_nobody_can_name)
{
    struct key k;
    fill();
    uint32_t number = number_in(records);
    ck_assert_ok(store_list_key(&k, records));
    del(&k);
    store_key_init(&k, KEY_LIST_NAME);
    store_key_add_u32(&k, number);
    del(&k);
    store_key_init(&k, KEY_META);
    store_key_add(&k, STR("list"));
    break_key(key_str(&k), STR("\0\0\0\1"));
    look();
    want_problem("list 3: nobody knows any more which list this was");
    want_mended("a list");
    begin_write();
    ck_assert_err(get_result(records, "a"), ERR_NOTFOUND);
    put("a", "{}");
    commit();
    ck_assert_uint_gt(number_in(records), number);
    ck_assert_uint_eq(number_in((struct store_list_id){STR(STORE_LOST), STR("/lost/3")}), number);
    want_sound();
}
END_TEST

/* The list was deleted in the missing transaction, and made anew in one behind it. */
static void two_lists(bool newer_is_known)
{
    fill();
    struct image before = image_take();
    uint32_t old = number_in(records);
    begin_write();
    ck_assert_ok(store_delete_below(session, STR("/buckets/b/collections/c")));
    put("fresh", "{}");
    commit();
    uint32_t newer = number_in(records);
    struct key by_name;
    ck_assert_ok(store_list_key(&by_name, records));
    for (size_t i = 0; i < before.n; i++) {
        struct reader r = store_reader(str_drop(before.pairs[i].key, 1));
        bool object = before.pairs[i].key.p[0] == KEY_OBJECT && store_dec_u32(&r) == old;
        bool name = before.pairs[i].key.p[0] == KEY_LIST_NAME && store_dec_u32(&r) == old;
        bool found = !newer_is_known && str_eq(before.pairs[i].key, key_str(&by_name));
        if (object || name || found)
            break_key(before.pairs[i].key, before.pairs[i].value);
    }
    look();
    want_problem("a list whose name is that of a newer one");
    want_mended("two lists of a name");
    ck_assert_uint_eq(number_in(records), newer);
    begin_read();
    ck_assert_ok(get_result(records, "fresh"));
    ck_assert_err(get_result(records, "a"), ERR_NOTFOUND);
    end_read();
}

START_TEST(two_lists_of_one_name)
{
    two_lists(_i == 0);
}
END_TEST

/* A list whose 08 is missing, and an older one claims the name. */
START_TEST(the_newer_list_counts_without_its_number)
{
    struct key k;
    two_lists(true);
    uint32_t newer = number_in(records);
    store_key_init(&k, KEY_LIST_NAME);
    store_key_add_u32(&k, newer);
    del(&k);
    k.n = 0;
    store_key_init(&k, KEY_LIST_NAME);
    store_key_add_u32(&k, 1000000);
    break_key(key_str(&k), STR("\0\x0f\x42\x40\x18/buckets/b/collections/crecord"));
    want_mended("a name");
    begin_read();
    ck_assert_ok(get_result(buckets, "b"));
    end_read();
}
END_TEST

/* What is found by the name of one list is the value of another. */
START_TEST(a_name_that_leads_to_another_list)
{
    struct key keys[2];
    str value;
    fill();
    struct image before = image_take(), after;
    ck_assert_ok(store_list_key(&keys[0], _i == 0 ? records : groups));
    ck_assert_ok(store_list_key(&keys[1], _i == 0 ? groups : records));
    begin_read();
    ck_assert_ok(store_db_get(session, &keys[1], &value));
    value = arena_str(&arena, value);
    end_read();
    break_key(key_str(&keys[0]), value);
    want_mended("a name");
    after = image_take();
    ck_assert(image_eq(&before, &after));
}
END_TEST

/* Writes the object under 01 and its TIME as if nobody had known of the others. */
static struct key put_raw(const char *id, int64_t ms, bool tied, bool dead)
{
    struct value_parts parts = {.id = str_from(id),
                                .acl = dead ? STR("") : STR("\1\1"),
                                .last_modified = ms,
                                .tied = tied,
                                .data = dead ? NULL : parse("{}")};
    struct object o;
    struct key k;
    struct buf b;
    uint32_t list = number_in(records);

    buf_init_arena(&b, &arena, SIZE_MAX);
    ck_assert_ok(store_value_encode(&b, &parts));
    ck_assert_ok(store_value_decode(buf_str(&b), &o));
    store_id_key(&k, list, o.o.id);
    break_key(key_str(&k), o.value);
    store_time_key(&k, list, &o);
    break_key(key_str(&k), o.value);
    return k;
}

/* Each with each: alone or tied, alive or dead, which has the smaller id; and one or the other is not
 * found by its time, so that whoever comes first does not see it. */
START_TEST(one_time_of_two)
{
    bool tied[2] = {_i & 1, _i & 2}, dead[2] = {_i & 4, _i & 8};
    struct key times[2];
    if (tied[0] && tied[1])
        return;
    fill();
    const struct store_ace acl = {STR("alice"), STORE_PERM_READ};
    for (int i = 0; i < 2; i++)
        times[i] = put_raw(i == 0 ? "x" : "y", 777, tied[i], dead[i]);
    if (_i / 16 < 2)
        del(&times[_i / 16]);
    want_mended("one time of two");
    ck_assert(object_of(records, "x").tied && object_of(records, "y").tied);
    begin_write();
    if (!dead[0])
        ck_assert_ok(store_set_acl(session, &arena, records, STR("x"), &acl, 1));
    delete_at(dead[1] ? "a" : "y", NULL);
    commit();
    want_sound();
}
END_TEST

START_TEST(one_time_of_many)
{
    static const char *const ids[] = {"p", "q", "r", "s", "t"};
    struct key k;
    fill();
    const struct store_ace acl = {STR("alice"), STORE_PERM_READ};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        put_raw(ids[i], 777, i == 3, i == 4);
    begin_write(); /* one that is shared: its key 03 moves with its time */
    ck_assert_ok(store_set_acl(session, &arena, records, STR("t"), &acl, 1) == ERR_NOTFOUND
                     ? OK
                     : ERR_CORRUPT);
    ck_assert_ok(store_set_acl(session, &arena, records, STR("r"), &acl, 1));
    commit();
    store_key_init_list(&k, number_in(records), SUB_TOMBSTONE);
    store_key_add_ms(&k, 777);
    del(&k);
    want_mended("one time of many");
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ck_assert(object_of(records, ids[i]).tied);
    ck_assert_uint_gt(object_of(records, "r").o.acl.n, 0);
}
END_TEST

START_TEST(permissions_that_make_no_sense)
{
    static const str acls[] = {STR_INIT("\x01"),
                               STR_INIT("\x01\x00"),
                               STR_INIT("\x02\x01\x01\x01"),
                               STR_INIT("\x01\x01\x01\x02"),
                               STR_INIT("\x63\x01"),
                               STR_INIT("\x00\x01"),
                               STR_INIT("\x81\x00\x01")};
    fill();
    struct object o = object_of(records, _i % 2 == 0 ? "a" : "b");
    bool dead = _i >= (int)ARRAY_LEN(acls);
    struct value_parts parts = {.id = o.o.id,
                                .acl = acls[(size_t)_i % ARRAY_LEN(acls)],
                                .last_modified = o.o.last_modified,
                                .text = o.o.data};
    struct key k;
    struct buf b;
    if (dead) {
        o = object_of(records, "gone");
        parts = (struct value_parts){
            .id = o.o.id, .acl = parts.acl, .last_modified = o.o.last_modified};
    }
    buf_init_arena(&b, &arena, SIZE_MAX);
    ck_assert_ok(store_value_encode(&b, &parts));
    store_id_key(&k, number_in(records), o.o.id);
    break_key(key_str(&k), buf_str(&b));
    store_time_key(&k, number_in(records), &o);
    break_key(key_str(&k), buf_str(&b));
    look();
    want_problem("has permissions of nobody");
    want_mended("permissions");
    ck_assert_uint_le(object_of(records, dead ? "gone" : "a").o.acl.n, 2);
}
END_TEST

START_TEST(counts_and_clocks)
{
    struct list l = {.number = 3, .clock = 1999999, .live = 1, .tombstones = UINT64_MAX};
    struct key k, v;
    fill();
    ck_assert_uint_eq(number_in(records), 3);
    store_list_state_encode(&l, &k, &v);
    break_key(key_str(&k), key_str(&v));
    look();
    want_problem("record of \"/buckets/b/collections/c\": the clock is behind an object");
    want_problem("8 objects and 2 tombstones are there, counted are 1 and");
    want_mended("a state");
    begin_read();
    ck_assert_int_eq(timestamp(), 2000005);
    end_read();
    del(&k); /* without a clock it is now, or the latest time */
    want_mended("a state");
    begin_read();
    ck_assert_int_eq(timestamp(), 2000005);
    end_read();
    wall_now = 3000000;
    del(&k);
    want_mended("a state");
    begin_read();
    ck_assert_int_eq(timestamp(), 3000000);
    end_read();
}
END_TEST

static uint64_t commits_so_far(void)
{
    struct engine_stats stats;

    engine_stats(store->engine, &stats);
    return stats.commits;
}

/* More than fits one transaction of a repair, which goes on where it was. */
START_TEST(a_large_repair)
{
    char id[16];
    begin_write();
    for (int i = 0; i < 3000; i++) {
        snprintf(id, sizeof id, "r%d", i);
        put(id, "{}");
    }
    commit();
    struct image before = image_take(), after;
    for (size_t i = 0; i < before.n; i++)
        if (is_object_key(before.pairs[i].key, SUB_TIME) && i % 3 != 0)
            break_key(before.pairs[i].key, STR_NONE);
    uint64_t commits = commits_so_far();
    want_mended("many times");
    ck_assert_uint_ge(commits_so_far() - commits, 2000 / TXN_WRITES);
    after = image_take();
    ck_assert(image_eq(&before, &after));
    reopen();
    want_sound();
}
END_TEST

/* Overwrites a part of a page in the middle of the index, with the store closed. */
static void damage_index(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/index", directory);
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    ck_assert_int_eq(fseek(file, ftell(file) / 2, SEEK_SET), 0);
    ck_assert_int_ge(fputs("damage", file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* What is not found for that is not missing: nothing is written because of it. */
START_TEST(a_damaged_index_is_no_reason_to_repair)
{
    struct store_audit_result r;
    char id[16];
    begin_write();
    for (int i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "r%d", i);
        put(id, "{}");
    }
    commit();
    ck_assert_ok(engine_checkpoint(store->engine));
    close_store();
    damage_index();
    open_store();
    ck_assert_uint_gt(look().problems, 0);
    want_problem("a page of the index is damaged");
    uint64_t commits = commits_so_far();
    enum err e = store_repair(thread, NULL, &r);
    ck_assert(e == ERR_CORRUPT || e == ERR_FAILED); /* as soon as the engine has seen it */
    ck_assert_uint_eq(commits_so_far(), commits);
}
END_TEST

/* ---- at random ------------------------------------------------------------------------------- */

static uint64_t seed, state;

static uint32_t below(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % n;
}

static void random_seed(void)
{
    const char *env = getenv("STORE_SEED");
    uint64_t n = 0;

    seed = env != NULL && str_to_u64(str_from(env), &n) == OK ? n : rand_u64() >> 16;
    state = seed;
    fprintf(stderr, "STORE_SEED=%llu\n", (unsigned long long)seed);
}

static struct store_list_id random_list(void)
{
    static const struct store_list_id lists[] = {
        {STR_INIT("bucket"), STR_INIT("")},
        {STR_INIT("group"), STR_INIT("/buckets/b")},
        {STR_INIT("record"), STR_INIT("/buckets/b/collections/c")},
        {STR_INIT("record"), STR_INIT("/buckets/b/collections/d")},
    };

    return lists[below(ARRAY_LEN(lists))];
}

static void random_put(const char *id, const int64_t *ms)
{
    static const str names[] = {STR_INIT("alice"), STR_INIT("bob"), STR_INIT("carol"),
                                STR_INIT("/buckets/b/groups/g1")};
    struct store_ace acl[3];
    char data[32];
    size_t n = below(4);
    struct store_object o;

    for (size_t i = 0; i < n; i++)
        acl[i] = (struct store_ace){names[below(ARRAY_LEN(names))], 1u << below(STORE_PERM_COUNT)};
    snprintf(data, sizeof data, "{\"v\":%u}", (unsigned)below(1000));
    struct store_put p = {str_from(id), parse(data), ms, below(3) ? acl : NULL, n};
    ck_assert_ok(store_put(session, &arena, random_list(), &p, &o));
}

static void random_op(void)
{
    static const char *const who[] = {"alice", "bob", "carol"};
    static const char *const uris[] = {"/buckets/b/groups/g1", "/buckets/b/groups/g2"};
    static const char *const parents[] = {"/buckets/b/collections/c", "/buckets/b/collections/d",
                                          "/buckets/b/groups/g1", "/buckets/b"};
    char id[8];
    str members[3];
    size_t n = 0;
    struct store_object o;
    int64_t ms = (int64_t)below(12);
    enum err e;

    snprintf(id, sizeof id, "%c", 'a' + (char)below(10));
    wall_now += below(3);
    switch (below(12)) {
    case 0:
        for (size_t i = 0; i < ARRAY_LEN(who); i++)
            if (below(2))
                members[n++] = str_from(who[i]);
        ck_assert_ok(store_group_set(session, str_from(uris[below(2)]), members, n));
        break;
    case 1:
        if (below(3) == 0)
            ck_assert_ok(store_delete_below(session, str_from(parents[below(4)])));
        break;
    case 2:
    case 3:
        e = store_delete(session, &arena, random_list(), str_from(id), below(2) ? &ms : NULL, &o);
        ck_assert(e == OK || e == ERR_NOTFOUND);
        break;
    default:
        random_put(id, below(2) ? &ms : NULL);
    }
}

static void random_transaction(void)
{
    begin_write();
    for (uint32_t i = 1 + below(6); i > 0; i--)
        random_op();
    commit();
}

/* An object that is whole, and under its id. */
static bool is_whole(const struct pair *p)
{
    struct object o;
    struct key k = {.n = 0};

    if (!is_object_key(p->key, SUB_ID) || store_value_decode(p->value, &o) != OK)
        return false;
    store_key_add(&k, str_sub(p->key, 0, 6));
    store_key_add_id(&k, o.o.id);
    return str_eq(key_str(&k), p->key);
}

static void want_whole(const struct image *before)
{
    struct image now = image_take();

    for (size_t i = 0; i < before->n; i++) {
        const struct pair *p = &before->pairs[i];
        struct object was, is;
        const str *v;
        if (!is_whole(p))
            continue;
        v = image_find(&now, p->key);
        ck_assert_msg(v != NULL, "an object is gone");
        ck_assert_ok(store_value_decode(p->value, &was));
        ck_assert_ok(store_value_decode(*v, &is));
        ck_assert(str_eq(was.o.data, is.o.data));
    }
}

static void break_at_random(void)
{
    struct image im = image_take();

    for (uint32_t n = 1 + below(6); n > 0; n--) {
        str key = im.pairs[below((uint32_t)im.n)].key;
        str value = below(3) ? STR_NONE : im.pairs[below((uint32_t)im.n)].value;
        break_key(key, value);
    }
}

/* Mends whatever is wrong; no object that is whole is lost, and the store works. */
static void want_repairable(void)
{
    struct image broken = image_take();

    mend();
    want_sound();
    want_whole(&broken);
    for (int i = 0; i < 5; i++)
        random_transaction();
    want_sound();
}

START_TEST(random_damage)
{
    random_seed();
    for (int round = 0; round < 60; round++) {
        for (uint32_t i = below(12) + 1; i > 0; i--)
            random_transaction();
        want_sound();
        break_at_random();
        want_repairable();
        arena_reset(&arena);
    }
}
END_TEST

/* What a transaction did: from the image before it to the one behind. */
struct delta {
    struct image from, to;
};

static void play(const struct delta *d)
{
    for (size_t i = 0; i < d->from.n; i++)
        if (image_find(&d->to, d->from.pairs[i].key) == NULL)
            break_key(d->from.pairs[i].key, STR_NONE);
    for (size_t i = 0; i < d->to.n; i++) {
        const str *was = image_find(&d->from, d->to.pairs[i].key);
        if (was == NULL || !str_eq(*was, d->to.pairs[i].value))
            break_key(d->to.pairs[i].key, d->to.pairs[i].value);
    }
}

/* The log of some transactions is played back without a few of them. */
START_TEST(random_transactions_are_missing)
{
    enum { TRANSACTIONS = 25 };
    struct delta log[TRANSACTIONS];
    random_seed();
    for (int round = 0; round < 20; round++) {
        struct image begin = image_take(), at = begin;
        for (int i = 0; i < TRANSACTIONS; i++) {
            random_transaction();
            log[i].from = at;
            log[i].to = at = image_take();
        }
        image_restore(&begin);
        uint32_t missing = below(TRANSACTIONS), many = 1 + below(3);
        for (uint32_t i = 0; i < TRANSACTIONS; i++)
            if (i < missing || i >= missing + many)
                play(&log[i]);
        /* Both lists of a name may be whole; the older one goes. Nothing else does. */
        struct store_audit_result found = look();
        bool rivals = found.problems > 0 && strstr(problems.p, "newer one") != NULL;
        if (rivals) {
            mend();
            want_sound();
        } else {
            want_repairable();
        }
        arena_reset(&arena);
    }
}
END_TEST

/* ---- failing --------------------------------------------------------------------------------- */

START_TEST(without_memory_nothing_is_claimed)
{
    static _Alignas(16) char space[2048];
    struct store_audit_result r = {.problems = 77};
    struct arena tight;
    enum err e = ERR_NOMEM;
    unsigned failed = 0;
    fill();
    for (size_t n = 1; e != OK; n += 16) {
        ck_assert_uint_le(n, sizeof space);
        arena_init(&tight, space, n, NULL, 0);
        e = store_read_begin(thread, &tight, &session);
        if (e == OK) {
            e = store_check(session, NULL, &r);
            end_read();
        }
        ck_assert(e == OK || (e == ERR_NOMEM && r.problems == 77));
        failed += e != OK;
        arena_fini(&tight);
    }
    ck_assert_uint_eq(r.problems, 0);
    ck_assert_uint_gt(failed, 2);
}
END_TEST

/* A repair is cut off at every place; begun again, it goes to the end. */
START_TEST(a_repair_that_fails_is_begun_again)
{
    struct store_audit_result r;
    unsigned failed = 0;
    enum err e = ERR_NOMEM;
    fill();
    struct image sound = image_take(), after;
    for (size_t i = 0; i < sound.n; i++)
        if (comes_back(sound.pairs[i].key) && sound.pairs[i].key.p[0] == KEY_OBJECT)
            break_key(sound.pairs[i].key, STR_NONE);
    struct image broken = image_take();
    for (unsigned n = 1; e != OK; n++) {
        image_restore(&broken);
        arena_test_fail_chunk(n);
        e = store_repair(thread, NULL, &r);
        arena_test_fail_chunk(0);
        ck_assert(e == OK || e == ERR_NOMEM);
        failed += e != OK;
        ck_assert_ok(store_repair(thread, NULL, &r));
        want_sound();
        after = image_take();
        ck_assert(image_eq(&sound, &after));
    }
    ck_assert_uint_gt(failed, 4);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {what_is_there_is_counted,
                                  a_sound_store_is_not_written_to,
                                  an_empty_store_is_sound,
                                  any_key_may_be_missing,
                                  a_principal_that_nobody_can_name,
                                  a_list_that_nobody_can_name,
                                  the_newer_list_counts_without_its_number,
                                  one_time_of_many,
                                  counts_and_clocks,
                                  without_memory_nothing_is_claimed,
                                  a_repair_that_fails_is_begun_again};
    Suite *s = suite_of("store/check", setup, teardown, tests, ARRAY_LEN(tests));
    TCase *t = tcase_create("tables"), *random = tcase_create("random"),
          *files = tcase_create("files");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, any_value_may_be_another, 0, 6);
    tcase_add_loop_test(t, strangers_go, 0, ARRAY_LEN(strangers));
    tcase_add_loop_test(t, two_lists_of_one_name, 0, 2);
    tcase_add_loop_test(t, a_name_that_leads_to_another_list, 0, 2);
    tcase_add_loop_test(t, one_time_of_two, 0, 48);
    tcase_add_loop_test(t, permissions_that_make_no_sense, 0, 14);
    suite_add_tcase(s, t);
    tcase_add_checked_fixture(random, setup, teardown);
    tcase_set_timeout(random, 300);
    tcase_add_loop_test(random, random_damage, 0, 3);
    tcase_add_loop_test(random, random_transactions_are_missing, 0, 3);
    suite_add_tcase(s, random);
    tcase_add_checked_fixture(files, setup_files, teardown);
    tcase_set_timeout(files, 60);
    tcase_add_test(files, a_large_repair);
    tcase_add_test(files, a_damaged_index_is_no_reason_to_repair);
    suite_add_tcase(s, files);
    return s;
}

UNIT_MAIN(make_suite)
