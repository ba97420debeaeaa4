/* SHA-256 (FIPS 180-4), HMAC (RFC 4231), base64 (RFC 4648, and what Python's decoder takes). */
#include "test/support/unit.h"

#include "base/hash.h"

static const char *hex_of(const uint8_t *p)
{
    static char hex[2 * HASH_SHA256_LEN + 1];
    hash_hex(p, HASH_SHA256_LEN, hex);
    return hex;
}

START_TEST(sha256)
{
    uint8_t out[HASH_SHA256_LEN];

    hash_sha256(STR(""), out);
    ck_assert_str_eq(hex_of(out),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_sha256(STR_NONE, out);
    ck_assert_str_eq(hex_of(out),
                     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_sha256(STR("abc"), out);
    ck_assert_str_eq(hex_of(out),
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_sha256(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), out);
    ck_assert_str_eq(hex_of(out),
                     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}
END_TEST

START_TEST(hmac_of_rfc_4231)
{
    uint8_t out[HASH_SHA256_LEN], key[131];

    memset(key, 0x0b, 20);
    hash_hmac_sha256((str){(char *)key, 20}, STR("Hi There"), out);
    ck_assert_str_eq(hex_of(out),
                     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hash_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    ck_assert_str_eq(hex_of(out),
                     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key); /* longer than a block */
    hash_hmac_sha256((str){(char *)key, sizeof key},
                     STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    ck_assert_str_eq(hex_of(out),
                     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hash_hmac_sha256(STR_NONE, STR_NONE, out);
    ck_assert_str_eq(hex_of(out),
                     "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
END_TEST

START_TEST(equal_is_equal)
{
    ck_assert(hash_equal(STR(""), STR("")));
    ck_assert(hash_equal(STR("secret"), STR("secret")));
    ck_assert(!hash_equal(STR("secret"), STR("secreT")));
    ck_assert(!hash_equal(STR("Secret"), STR("secret")));
    ck_assert(!hash_equal(STR("secret"), STR("secre")));
    ck_assert(!hash_equal(STR("secret"), STR("secrets")));
    ck_assert(!hash_equal(STR("secret"), STR("")));
    ck_assert(hash_equal(STR("a\0b"), STR("a\0b")));
    ck_assert(!hash_equal(STR("a\0b"), STR("a\0c")));
    char other[2] = {0}; /* each bit of a byte counts */
    for (unsigned bit = 0; bit < 8; bit++) {
        other[0] = (char)('s' ^ 1 << bit);
        ck_assert(!hash_equal(STR("s"), str_from(other)));
    }
}
END_TEST

START_TEST(base64_of_rfc_4648)
{
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    struct arena a;

    arena_init(&a, NULL, 0, NULL, MIB);
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        str out;
        ck_assert_str_is(hash_base64_encode(&a, str_from(plain[i])), coded[i]);
        ck_assert_int_eq(hash_base64_decode(&a, str_from(coded[i]), &out), OK);
        ck_assert_str_is(out, plain[i]);
        ck_assert_int_eq(out.p[out.n], 0);
    }
    ck_assert_str_is(hash_base64_encode(&a, STR("\xfb\xff\xfe")), "+//+");
    arena_fini(&a);
}
END_TEST

/* Each row was asked of Python's base64.b64decode. */
static const struct {
    const char *in;
    const char *out; /* NULL: refused */
} lenient[] = {
    {"Zm 9v\n", "foo"}, {"Zm9v!!", "foo"},  {"Zg==Zm9v", "f"}, {"Zg=", NULL},
    {"Zg", NULL},       {"Z", NULL},        {"Zm9vZ", NULL},   {"=", ""},
    {"====", ""},       {"=Zg==", "f"},     {"Z=g==", "f"},    {"Zg=x=", "f\x0c"},
    {"Zm8", NULL},      {"Zm8==", "fo"},    {"Zm9v=", "foo"},  {"Zm9v====", "foo"},
    {"Zg= =", "f"},     {"-_-_", ""},       {"Zm=9v", "foo"},  {"Zg=\xc3\xa9=", "f"},
    {"Z=m=9=v=", "fo"}, {"Zm9=v===", "fo"},
};

START_TEST(decoding_is_as_lenient_as_the_reference)
{
    struct arena a;
    str out = STR("untouched");
    const char *want = lenient[_i].out;

    arena_init(&a, NULL, 0, NULL, MIB);
    ck_assert_int_eq(hash_base64_decode(&a, str_from(lenient[_i].in), &out),
                     want != NULL ? OK : ERR_SYNTAX);
    ck_assert_str_is(out, want != NULL ? want : "untouched");
    arena_fini(&a);
}
END_TEST

static const struct {
    const char *in;
    const char *out; /* NULL: refused */
} url[] = {
    {"", ""},
    {"Zg", "f"},
    {"Zm8", "fo"},
    {"Zm9v", "foo"},
    {"Zm9vYg", "foob"},
    {"Zm9vYmE", "fooba"},
    {"-_-_", "\xfb\xff\xbf"},
    {"Z", NULL},
    {"Zm9vY", NULL},
    {"Zg==", NULL},
    {"Zm8=", NULL},
    {"=", NULL},
    {"Zh", NULL},
    {"Zm9", NULL},
    {"Z/8", NULL},
    {"Z+8", NULL},
    {"Zm9v ", NULL},
    {"Zm 9v", NULL},
    {"Zm9v\n", NULL},
    {"Zm.v", NULL},
    {"Zm9\xc3", NULL},
};

START_TEST(base64url_has_one_spelling)
{
    struct arena a;
    str out = STR("untouched");
    const char *want = url[_i].out;

    arena_init(&a, NULL, 0, NULL, MIB);
    ck_assert_int_eq(hash_base64url_decode(&a, str_from(url[_i].in), &out),
                     want != NULL ? OK : ERR_SYNTAX);
    ck_assert_str_is(out, want != NULL ? want : "untouched");
    if (want != NULL)
        ck_assert_int_eq(out.p[out.n], 0);
    arena_fini(&a);
}
END_TEST

START_TEST(every_byte_comes_back)
{
    struct arena a;
    char all[256];

    arena_init(&a, NULL, 0, NULL, 10 * MIB);
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    for (size_t n = 0; n <= sizeof all; n++) {
        str out;
        ck_assert_int_eq(hash_base64_decode(&a, hash_base64_encode(&a, (str){all, n}), &out), OK);
        ck_assert(str_eq(out, (str){all, n}));
    }
    arena_fini(&a);
}
END_TEST

START_TEST(no_memory)
{
    struct arena a;
    str out = STR("untouched");

    arena_init(&a, NULL, 0, NULL, 0);
    ck_assert(str_none(hash_base64_encode(&a, STR("x"))));
    ck_assert_int_eq(hash_base64_decode(&a, STR("Zg=="), &out), ERR_NOMEM);
    ck_assert_int_eq(hash_base64url_decode(&a, STR("Zg"), &out), ERR_NOMEM);
    ck_assert_str_is(out, "untouched");
    arena_fini(&a);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/hash");
    TCase *tc = tcase_create("hash");

    tcase_add_test(tc, sha256);
    tcase_add_test(tc, hmac_of_rfc_4231);
    tcase_add_test(tc, equal_is_equal);
    tcase_add_test(tc, base64_of_rfc_4648);
    tcase_add_loop_test(tc, decoding_is_as_lenient_as_the_reference, 0, ARRAY_LEN(lenient));
    tcase_add_loop_test(tc, base64url_has_one_spelling, 0, ARRAY_LEN(url));
    tcase_add_test(tc, every_byte_comes_back);
    tcase_add_test(tc, no_memory);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
