/* The canonical text of UUIDs, and all that is none. */
#include "test/support/unit.h"

#include "base/uuid.h"

static const char text[] = "0123abcd-9def-4567-89ab-fedcba987650";
static const uint8_t bytes[UUID_BYTES + 1] =
    "\x01\x23\xab\xcd\x9d\xef\x45\x67\x89\xab\xfe\xdc\xba\x98\x76\x50";

START_TEST(there_and_back)
{
    uint8_t read[UUID_BYTES];
    char written[UUID_TEXT_BYTES + 1];

    ck_assert(uuid_read(str_from(text), read));
    ck_assert_mem_eq(read, bytes, UUID_BYTES);
    uuid_write(bytes, written);
    ck_assert_str_eq(written, text);
}
END_TEST

/* Each byte at each place: digits are read eight at a time. */
START_TEST(digits_are_told_from_all_else)
{
    uint8_t read[UUID_BYTES];
    char at[sizeof text], back[sizeof text];

    for (size_t i = 0; i < UUID_TEXT_BYTES; i++)
        for (int c = 0; c < 256; c++) {
            bool fits = text[i] == '-' ? c == '-' : c != 0 && strchr("0123456789abcdef", c) != NULL;
            memcpy(at, text, sizeof text);
            at[i] = (char)c;
            ck_assert_msg(uuid_read((str){at, UUID_TEXT_BYTES}, read) == fits, "%zu: %02x", i,
                          (unsigned)c);
            if (!fits)
                continue;
            uuid_write(read, back);
            ck_assert_str_eq(back, at);
        }
}
END_TEST

START_TEST(other_lengths_are_none)
{
    char longer[UUID_TEXT_BYTES * 2 + 1];
    uint8_t read[UUID_BYTES];

    snprintf(longer, sizeof longer, "%s%s", text, text);
    for (size_t n = 0; n < sizeof longer; n++) {
        char *alone = memcpy(malloc(n + 1), longer, n); /* so that a look behind it is seen */
        ck_assert_msg(uuid_read((str){alone, n}, read) == (n == UUID_TEXT_BYTES), "%zu", n);
        free(alone);
    }
    ck_assert(!uuid_read(STR_NONE, read));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/uuid");
    TCase *tc = tcase_create("uuid");

    tcase_add_test(tc, there_and_back);
    tcase_add_test(tc, digits_are_told_from_all_else);
    tcase_add_test(tc, other_lengths_are_none);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
