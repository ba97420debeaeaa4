/* Operations of a frame: what is written is read back, whatever the keys have in common; what makes no sense is no
 * operation. (What the engine makes of one that is in a file: test_recover.c.) */
#include "engine/private.h"
#include "test/unit/engine/kit.h"

#define OPS 3000

static uint8_t segment[FRAME_HEADER_BYTES + 4 * MIB];

static void begin_at(struct ops *o, size_t payload_bytes)
{
    const struct frames f = {.map = segment, .number = 3};
    const struct frame_header h = {.bytes = (uint32_t)payload_bytes};

    ops_begin(o, &f, 0, &h);
}

/* ---- back and forth -------------------------------------------------------------------------- */

static struct written {
    enum op op;
    size_t key_n;
    char key[ENGINE_MAX_KEY_BYTES];
} written[OPS];

/* Often like one of the keys before, in part or in all. */
static void make_key(struct written *all, size_t i, uint64_t *dice)
{
    struct written *w = &all[i];
    size_t back = kit_rand(dice) % 10;

    w->key_n = kit_rand(dice) % 4 == 0 ? 1 + kit_rand(dice) % ENGINE_MAX_KEY_BYTES
                                       : 1 + kit_rand(dice) % 40;
    for (size_t b = 0; b < w->key_n; b++)
        w->key[b] = (char)(kit_rand(dice) % 3);
    if (back > 0 && back <= i)
        memcpy(w->key, w[-(ptrdiff_t)back].key,
               kit_rand(dice) % (MIN_OF(w->key_n, w[-(ptrdiff_t)back].key_n) + 1));
}

static uint8_t *write_op(uint8_t *at, struct op_keys *keys, const struct written *w)
{
    struct op_head head = op_head(keys, w->op, (str){w->key, w->key_n});
    uint8_t *behind = op_head_put(at, &head, keys);

    ck_assert_uint_eq((size_t)(behind - at), head.bytes);
    ck_assert_uint_le(head.bytes,
                      1 + varint_size(w->key_n) + w->key_n); /* never more than without */
    if (w->op == OP_PUT) {                                   /* an empty value */
        memset(behind, 0, 5);
        behind += 5;
    }
    return behind;
}

START_TEST(what_is_written_is_read)
{
    static const enum op kinds[] = {OP_PUT, OP_LINK, OP_DEL, OP_DELPREFIX};
    uint64_t dice = kit_seed();
    struct op_keys keys;
    uint8_t *at = segment + FRAME_HEADER_BYTES;
    struct ops o;

    op_keys_clear(&keys);
    for (size_t i = 0; i < OPS; i++) {
        written[i].op = i == 0 ? OP_PUT : kinds[kit_rand(&dice) % ARRAY_LEN(kinds)];
        make_key(written, i, &dice);
        at = write_op(at, &keys, &written[i]);
    }
    begin_at(&o, (size_t)(at - segment) - FRAME_HEADER_BYTES);
    for (size_t i = 0; i < OPS; i++) {
        ck_assert(ops_more(&o));
        ck_assert(ops_link_is_next(&o) == (written[i].op == OP_LINK));
        ck_assert_int_eq(ops_next(&o), OK);
        ck_assert_int_eq(o.op, (int)written[i].op);
        ck_assert(str_eq(o.key, (str){written[i].key, written[i].key_n}));
    }
    ck_assert(!ops_more(&o));
}
END_TEST

/* The keys of objects that are written together: what a key has in common with one a few before it is not repeated. */
START_TEST(keys_that_are_alike_are_short)
{
    struct op_keys keys;
    struct op_head h;
    uint8_t at[ENGINE_MAX_KEY_BYTES + 8];
    char key[ENGINE_MAX_KEY_BYTES];

    memset(key, 'k', sizeof key);
    op_keys_clear(&keys);
    h = op_head(&keys, OP_PUT, (str){key, 20});
    ck_assert_uint_eq(h.bytes, 1 + 1 + 20);
    op_head_put(at, &h, &keys);
    for (size_t i = 1; i < OP_KEYS - 1; i++) {
        h = op_head(&keys, OP_DEL, (str){"other", 5});
        op_head_put(at, &h, &keys);
    }
    key[19] = 'l';
    h = op_head(&keys, OP_LINK, (str){key, 20});
    ck_assert_uint_eq(h.bytes, 1 + 1 + 1 + 1); /* the farthest that it can name */
    h = op_head(&keys, OP_DEL, (str){"other", 5});
    op_head_put(at, &h, &keys);
    h = op_head(&keys, OP_LINK, (str){key, 20});
    ck_assert_uint_eq(h.bytes, 1 + 1 + 20); /* too far */
    memset(key, 'k', sizeof key);
    h = op_head(&keys, OP_DEL, (str){key, sizeof key});
    ck_assert_uint_eq(h.bytes, 1 + 2 + sizeof key);
    op_head_put(at, &h, &keys);
    h = op_head(&keys, OP_DEL, (str){key, sizeof key});
    ck_assert_uint_eq(h.bytes, 1 + 2 + 1); /* the same one again */
}
END_TEST

/* ---- what makes no sense --------------------------------------------------------------------- */

#define GOOD_DEL "\x03\x03key" /* before each */

static const struct {
    const char *what, *p;
    size_t n;
    enum err is;
} cases[] = {
    {"all of the key before", "\x0b\x03\x00", 3, OK},
    {"and more", "\x0b\x03\x01s", 4, OK},
    {"none of it", "\x0b\x00\x01s", 4, OK},
    {"none of it, and nothing", "\x0b\x00\x00", 3, ERR_CORRUPT},
    {"more than it has", "\x0b\x04\x00", 3, ERR_CORRUPT},
    {"more than can be", "\x0b\xff\xff\xff\xff\x0f\x01s", 8, ERR_CORRUPT},
    {"two before: there is none", "\x13\x01\x01s", 4, ERR_CORRUPT},
    {"too far", "\x43\x01\x01s", 4, ERR_CORRUPT},
    {"farther", "\xfb\x01\x01s", 4, ERR_CORRUPT},
    {"no length", "\x0b\x01", 2, ERR_CORRUPT},
    {"nothing at all", "\x0b", 1, ERR_CORRUPT},
    {"a rest that is not there", "\x0b\x01\x02s", 4, ERR_CORRUPT},
    {"with the rest more than a key may have", "\x0b\x03\xfe\x03", 516, ERR_CORRUPT},
    {"with the rest as much as a key may have", "\x0b\x03\xfd\x03", 513, OK},
    {"a trim has no key", "\x0d\x01", 2, ERR_CORRUPT},
    {"no code", "\x08\x01\x01s", 4, ERR_CORRUPT},
    {"an unknown one", "\x0e\x01\x01s", 4, ERR_CORRUPT},
    {"another", "\x0f\x01\x01s", 4, ERR_CORRUPT},
    {"a link before a put", "\x0a\x01\x01s", 4, ERR_CORRUPT},
};

START_TEST(a_key_like_another)
{
    uint8_t *at = segment + FRAME_HEADER_BYTES;
    struct ops o;

    memset(at, 'r', 600);
    memcpy(at, GOOD_DEL, 5);
    memcpy(at + 5, cases[_i].p, MIN_OF(cases[_i].n, (size_t)4)); /* of a long one the beginning */
    if (cases[_i].n <= 8)
        memcpy(at + 5, cases[_i].p, cases[_i].n);
    begin_at(&o, 5 + cases[_i].n);
    ck_assert_int_eq(ops_next(&o), OK);
    ck_assert_msg(ops_next(&o) == cases[_i].is, "%s", cases[_i].what);
    ck_assert_ptr_eq(o.at, cases[_i].is == OK ? at + 5 + cases[_i].n : at + 5);
}
END_TEST

/* What has no key is not counted. */
START_TEST(a_trim_is_no_key)
{
    static const char payload[] = GOOD_DEL "\x05\x03"
                                           "\x0b\x03\x01s";
    struct ops o;

    memcpy(segment + FRAME_HEADER_BYTES, payload, sizeof payload - 1);
    begin_at(&o, sizeof payload - 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ops_next(&o), OK);
    ck_assert(str_eq(o.key, STR("keys")));
    ck_assert(!ops_more(&o));
}
END_TEST

/* Cut anywhere, and no byte behind the cut is looked at. */
START_TEST(cut_anywhere)
{
    static const char payload[] = "\x01\x03key\x02"
                                  "crc.vv"
                                  "\x0a\x03\x01s"
                                  "\x0b\x02\x02tt";

    for (size_t n = 0; n < sizeof payload; n++) {
        uint8_t *copy = malloc(FRAME_HEADER_BYTES + n); /* a sanitizer sees its end */
        const struct frames f = {.map = copy, .number = 3};
        const struct frame_header h = {.bytes = (uint32_t)n};
        struct ops o;
        ck_assert_ptr_nonnull(copy);
        memcpy(copy + FRAME_HEADER_BYTES, payload, n);
        ops_begin(&o, &f, 0, &h);
        while (ops_more(&o) && ops_next(&o) == OK)
            continue;
        ck_assert(ops_more(&o) == (n != 0 && n != 12 && n != 16 && n != 21));
        free(copy);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/op");
    TCase *c = tcase_create("op");

    tcase_add_test(c, what_is_written_is_read);
    tcase_add_test(c, keys_that_are_alike_are_short);
    tcase_add_test(c, a_trim_is_no_key);
    tcase_add_test(c, cut_anywhere);
    tcase_add_loop_test(c, a_key_like_another, 0, (int)ARRAY_LEN(cases));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
