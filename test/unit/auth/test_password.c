/* bcrypt hashes: those of others are understood, ours are of the same form, and nothing else passes. */
#include "auth/password.h"
#include "test/support/unit.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 0, NULL, 16 * MIB);
}

static void teardown(void)
{
    arena_fini(&arena);
}

static bool fits(str password, str hash)
{
    bool same = true;

    ck_assert_int_eq(password_check(&arena, password, hash, &same), OK);
    return same;
}

/* Made by Python's bcrypt 5.0.0; the last two are of the Openwall test vectors. */
static const struct {
    const char *password, *hash;
} made_elsewhere[] = {
    {"secret", "$2b$04$Ij5BNB2NXRyjPDbwUtvYW.uh2S1JT58vmRNrWLrI48sVrDaf0/2ea"},
    {"p\xc3\xa4ssw\xc3\xb6rd", "$2b$04$qv7bXD5FrDEBp3x.xDYF8.LTd2L6MpRNMxQfoSlI3b1rTlRMaO9l6"},
    {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
     "$2b$04$sQsJfqX8gJaOSR24nDEIueks5jKvhtEGcUW3pKNoAju0fJMXGuC5C"},
    {"a", "$2b$04$zaXaLiMjs/XamuqNHRJ.Ue6T0Ot0Rv4PQnNioXvCVm3XzGsRpCumq"},
    {"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"},
    {"U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"},
};

START_TEST(hashes_of_others)
{
    str password = str_from(made_elsewhere[_i].password), hash = str_from(made_elsewhere[_i].hash);

    ck_assert(fits(password, hash));
    ck_assert(!fits(str_sub(password, 0, password.n - 1), hash));
    ck_assert(!fits(ARENA_JOIN(&arena, STR("y"), password), hash));
    ck_assert(!fits(STR(""), hash));
    char *other = arena_cstr(&arena, hash);
    other[hash.n - 1] ^= 1;
    ck_assert(!fits(password, (str){other, hash.n}));
}
END_TEST

START_TEST(our_hashes)
{
    str one, two;

    ck_assert_int_eq(password_hash(&arena, STR("secret"), 4, &one), OK);
    ck_assert_int_eq(password_hash(&arena, STR("secret"), 4, &two), OK);
    ck_assert(!str_eq(one, two)); /* a salt of its own */
    ck_assert(str_starts(one, STR("$2b$04$")));
    ck_assert_uint_eq(one.n, 60);
    ck_assert(fits(STR("secret"), one));
    ck_assert(fits(STR("secret"), two));
    ck_assert(!fits(STR("Secret"), one));
}
END_TEST

START_TEST(what_bcrypt_would_cut_is_not_hashed)
{
    static char x[PASSWORD_MAX_BYTES + 1];
    str hash = STR("untouched");

    memset(x, 'x', sizeof x);
    ck_assert(password_is_usable((str){x, PASSWORD_MAX_BYTES}));
    ck_assert(!password_is_usable((str){x, sizeof x}));
    ck_assert(!password_is_usable(STR("")));
    ck_assert(!password_is_usable((str){"a\0b", 3}));
    ck_assert_int_eq(password_hash(&arena, (str){x, sizeof x}, 4, &hash), ERR_RANGE);
    ck_assert_int_eq(password_hash(&arena, STR("a"), PASSWORD_MIN_COST - 1, &hash), ERR_RANGE);
    ck_assert_int_eq(password_hash(&arena, STR("a"), PASSWORD_MAX_COST + 1, &hash), ERR_RANGE);
    ck_assert_str_is(hash, "untouched");
    /* What was cut elsewhere fits as it did there. */
    ck_assert(fits((str){x, sizeof x}, str_from(made_elsewhere[2].hash)));
    ck_assert(!fits((str){"a\0b", 3}, str_from(made_elsewhere[3].hash)));
}
END_TEST

static const char *const no_hashes[] = {
    "",
    "secret",
    "$2b$04$",
    "$2b$31$Ij5BNB2NXRyjPDbwUtvYW.uh2S1JT58vmRNrWLrI48sVrDaf0/2ea", /* would take days */
    "$2b$03$Ij5BNB2NXRyjPDbwUtvYW.uh2S1JT58vmRNrWLrI48sVrDaf0/2ea",
    "$2b$00$Ij5BNB2NXRyjPDbwUtvYW.uh2S1JT58vmRNrWLrI48sVrDaf0/2ea",
    "$2b$4$$Ij5BNB2NXRyjPDbwUtvYW.uh2S1JT58vmRNrWLrI48sVrDaf0/2ea",
    "$2b$04$Ij5BNB2NXRyjPDbwUtvYW:uh2S1JT58vmRNrWLrI48sVrDaf0/2ea",
    "$2b$04$Ij5BNB2NXRyjPDbwUtvYW.uh2S1JT58vmRNrWLrI48sVrDaf0/2eaa",
    "$1$salt$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "*0",
    "*1",
};

START_TEST(what_is_no_hash_fits_nothing)
{
    ck_assert(!fits(STR("secret"), str_from(no_hashes[_i])));
    ck_assert(!fits(str_from(no_hashes[_i]), str_from(no_hashes[_i])));
}
END_TEST

/* A batch has many passwords, and a queue many batches. */
START_TEST(only_the_hash_is_kept)
{
    for (unsigned i = 0; i < 10; i++) {
        str hash;
        size_t before = arena.used;
        ck_assert_int_eq(password_hash(&arena, STR("secret"), PASSWORD_MIN_COST, &hash), OK);
        ck_assert(fits(STR("secret"), hash));
        ck_assert_uint_lt(arena.used - before, 17 * KIB); /* a chunk at most */
    }
    ck_assert_uint_lt(arena.used, 17 * KIB);
}
END_TEST

START_TEST(no_memory)
{
    char small[256];
    bool same = true;
    str hash;

    arena_fini(&arena);
    arena_init(&arena, small, sizeof small, NULL, sizeof small);
    ck_assert_int_eq(password_check(&arena, STR("secret"), str_from(made_elsewhere[0].hash), &same),
                     ERR_NOMEM);
    ck_assert(!same);
    ck_assert_int_eq(password_hash(&arena, STR("secret"), 4, &hash), ERR_NOMEM);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("auth/password");
    TCase *c = tcase_create("password");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, hashes_of_others, 0, (int)ARRAY_LEN(made_elsewhere));
    tcase_add_loop_test(c, what_is_no_hash_fits_nothing, 0, (int)ARRAY_LEN(no_hashes));
    tcase_add_test(c, our_hashes);
    tcase_add_test(c, what_bcrypt_would_cut_is_not_hashed);
    tcase_add_test(c, only_the_hash_is_kept);
    tcase_add_test(c, no_memory);
    suite_add_tcase(s, c);
    return s;
}
UNIT_MAIN(make_suite)
