/* Keys: order, bounds, and what must never be mistaken for another. And the codec of small values. */
#include "test/unit/store/store_test.h"

static str key_of_ms(struct key *k, int64_t ms)
{
    k->n = 0;
    store_key_add_ms(k, ms);
    return key_str(k);
}

START_TEST(times_keep_their_order)
{
    static const int64_t times[] = {
        INT64_MIN, -STORE_MAX_TIMESTAMP, -256,     -255, -1, 0, 1, 255, 256,
        65536,     1700000000000,        INT64_MAX};
    struct key x, y;

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        ck_assert_int_eq(store_time_ms(key_of_ms(&x, times[i])), times[i]);
        for (size_t j = 0; j < ARRAY_LEN(times); j++) {
            int c = str_cmp(key_of_ms(&x, times[i]), key_of_ms(&y, times[j]));
            ck_assert_int_eq((c > 0) - (c < 0), (i > j) - (i < j));
        }
    }
}
END_TEST

static size_t id_key_length(const char *id)
{
    struct key k = {.n = 0};

    store_key_add_id(&k, str_from(id));
    return k.n;
}

START_TEST(only_canonical_uuids_are_packed)
{
    ck_assert_uint_eq(id_key_length("472be9ec-26fe-461b-8282-9c4e4b207ab3"), 17);
    ck_assert_uint_eq(id_key_length("472BE9ec-26fe-461b-8282-9c4e4b207ab3"), 37);
    ck_assert_uint_eq(id_key_length("472be9ec+26fe-461b-8282-9c4e4b207ab3"), 37);
    ck_assert_uint_eq(id_key_length("472be9ec-26fe-461b-82829-c4e4b207ab3"), 37);
    ck_assert_uint_eq(id_key_length("472be9ec-26fe-461b-8282-9c4e4b207ab3a"), 38);
    ck_assert_uint_eq(id_key_length("472be9ec-26fe-461b-8282-9c4e4b207ab"), 36);
    ck_assert_uint_eq(id_key_length("47 be9ec-26fe-461b-8282-9c4e4b207ab3"), 37);
    ck_assert_uint_eq(id_key_length(""), 1);
}
END_TEST

START_TEST(uuids_are_packed_as_their_bytes)
{
    struct key k = {.n = 0};

    store_key_add_id(&k, STR("0123abcd-9def-4567-89ab-fedcba987650"));
    ck_assert_int_eq(
        memcmp(k.b + 1, "\x01\x23\xab\xcd\x9d\xef\x45\x67\x89\xab\xfe\xdc\xba\x98\x76\x50", 16), 0);
}
END_TEST

START_TEST(ids_differ_where_their_strings_do)
{
    static const char *ids[] = {"",
                                "a",
                                "b",
                                "ab",
                                "472be9ec-26fe-461b-8282-9c4e4b207ab3",
                                "472be9ec-26fe-461b-8282-9c4e4b207ab4",
                                "472BE9EC",
                                "\x01",
                                "\xff"};

    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        for (size_t j = 0; j < ARRAY_LEN(ids); j++) {
            int c = store_id_compare(str_from(ids[i]), str_from(ids[j]));
            int d = store_id_compare(str_from(ids[j]), str_from(ids[i]));
            ck_assert_int_eq(c == 0, i == j);
            ck_assert_int_eq((c > 0) - (c < 0), (d < 0) - (d > 0));
        }
}
END_TEST

static struct key text_key(size_t n, char last)
{
    static char text[5000];
    struct key k = {.n = 0};

    memset(text, 'x', sizeof text);
    if (n > 0)
        text[n - 1] = last;
    store_key_add_text(&k, (str){text, n});
    return k;
}

START_TEST(long_texts_end_in_a_hash)
{
    struct key x = text_key(200, 'a'), y = text_key(201, 'a'), z = text_key(201, 'b');
    struct key longest = text_key(5000, 'a');

    ck_assert_uint_eq(x.n, 200);
    ck_assert_uint_eq(y.n, 232);
    ck_assert_uint_eq(longest.n, 232);
    ck_assert(!str_eq(key_str(&y), key_str(&z)));
    ck_assert(!str_eq(key_str(&y), key_str(&longest)));
    ck_assert_mem_eq(y.b, longest.b, 200);
}
END_TEST

static struct key path_key(const char *path)
{
    struct key k = {.n = 0};

    ck_assert_ok(store_key_add_path(&k, str_from(path)));
    return k;
}

START_TEST(paths_keep_what_lies_below_them)
{
    char uri[300], below[400], beside[400];
    static const int lengths[] = {1, 31, 63, 64, 65, 80, 200};

    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct key u, in, out;
        int n = lengths[i];
        snprintf(uri, sizeof uri, "/buckets/%0*d", n, 7);
        snprintf(below, sizeof below, "%s/collections/c", uri);
        snprintf(beside, sizeof beside, "%sx/collections/c", uri);
        u = path_key(uri);
        in = path_key(below);
        out = path_key(beside);
        store_key_add_u8(&u, '/');
        ck_assert(str_starts(key_str(&in), key_str(&u)));
        ck_assert(!str_starts(key_str(&out), key_str(&u)));
    }
}
END_TEST

START_TEST(paths_have_a_bound)
{
    char path[20000];
    struct key k = {.n = 3};

    /* Three ids of any length have room, as the deepest URI has. */
    memset(path, 'i', sizeof path);
    memcpy(path, "/buckets/", 9);
    memcpy(path + 4000, "/collections/", 13);
    memcpy(path + 8000, "/records/", 9);
    ck_assert_ok(store_key_add_path(&k, (str){path, 12000}));
    ck_assert_uint_le(k.n, 3 + 276);

    for (size_t i = 0; i < sizeof path; i++)
        path[i] = '/';
    ck_assert_err(store_key_add_path(&k, (str){path, sizeof path}), ERR_LIMIT);
    ck_assert_err(store_key_add_path(&k, STR("/a\0b")), ERR_LIMIT);
    k.n = 0;
    ck_assert_ok(store_key_add_path(&k, STR("")));
    ck_assert_uint_eq(k.n, 0);
}
END_TEST

START_TEST(numbers_come_back)
{
    static const int64_t values[] = {
        0,         1,         -1,           63,    64,        -64,        -65,
        127,       128,       16383,        16384, INT32_MAX, UINT32_MAX, 1700000000000,
        INT64_MAX, INT64_MIN, INT64_MIN + 1};

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct key k = {.n = 0};
        struct reader r;
        store_key_add_signed(&k, values[i]);
        store_key_add_varint(&k, (uint64_t)values[i]);
        store_key_add_u32(&k, (uint32_t)values[i]);
        r = store_reader(key_str(&k));
        ck_assert_int_eq(store_dec_signed(&r), values[i]);
        ck_assert_uint_eq(store_dec_varint(&r), (uint64_t)values[i]);
        ck_assert_uint_eq(store_dec_u32(&r), (uint32_t)values[i]);
        ck_assert_ok(store_dec_end(&r, true));
        for (size_t cut = 0; cut < k.n; cut++) { /* what is missing is noticed */
            r = store_reader((str){k.b, cut});
            store_dec_signed(&r);
            store_dec_varint(&r);
            store_dec_u32(&r);
            ck_assert_err(store_dec_end(&r, false), ERR_CORRUPT);
        }
    }
}
END_TEST

START_TEST(numbers_that_are_too_long_are_refused)
{
    static const str bad[] = {STR_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
                              STR_INIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
                              STR_INIT("\x80"), STR_INIT("")};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct reader r = store_reader(bad[i]);
        store_dec_varint(&r);
        ck_assert_err(store_dec_end(&r, false), ERR_CORRUPT);
    }
    struct reader r = store_reader(STR("abc"));
    ck_assert_uint_eq(store_dec_bytes(&r, UINT64_MAX).n, 0);
    ck_assert_err(store_dec_end(&r, false), ERR_CORRUPT);
    r = store_reader(STR("abc"));
    store_dec_bytes(&r, 2);
    ck_assert_ok(store_dec_end(&r, false));
    ck_assert_err(store_dec_end(&r, true), ERR_CORRUPT);
}
END_TEST

static void nothing(void)
{
}

static Suite *make_suite(void)
{
    const TTest *const tests[] = {times_keep_their_order,
                                  only_canonical_uuids_are_packed,
                                  uuids_are_packed_as_their_bytes,
                                  ids_differ_where_their_strings_do,
                                  long_texts_end_in_a_hash,
                                  paths_keep_what_lies_below_them,
                                  paths_have_a_bound,
                                  numbers_come_back,
                                  numbers_that_are_too_long_are_refused};
    return suite_of("store/key", nothing, nothing, tests, ARRAY_LEN(tests));
}

UNIT_MAIN(make_suite)
