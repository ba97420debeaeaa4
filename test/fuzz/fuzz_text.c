/* Small things that are read everywhere: numbers, base64, UTF-8, values of settings, varints. */
#include "test/fuzz/fuzz.h"

#include "base/hash.h"
#include "base/native.h"
#include "base/varint.h"
#include "json/private.h"

static void integers(struct arena *a, str in)
{
    uint64_t u = 7;
    int64_t i = 7;

    if (str_to_u64(in, &u) == OK)
        CHECK(in.n > 0 && str_to_u64(arena_printf(a, "%llu", (unsigned long long)u), &u) == OK);
    else
        CHECK(u == 7);
    if (str_to_i64(in, &i) == OK) {
        int64_t again;
        CHECK(str_to_i64(arena_printf(a, "%lld", (long long)i), &again) == OK && again == i);
    } else {
        CHECK(i == 7);
    }
}

static void natives(struct arena *a, str in)
{
    double f;
    int64_t i;
    bool b;
    const str *list;
    size_t n;

    if (native_float(in, &f) == OK)
        CHECK(f - f == 0); /* finite */
    (void)!native_int(in, &i);
    (void)!native_bool(in, &b);
    (void)native_is_null(in);
    CHECK(!str_none(native_text(a, in)));
    if (native_list(a, in, &list, &n) == OK)
        for (size_t k = 0; k < n; k++)
            CHECK(!str_none(list[k]) && list[k].n <= in.n);
}

static void base64(struct arena *a, str in)
{
    str out, coded = hash_base64_encode(a, in);

    CHECK(hash_base64_decode(a, coded, &out) == OK && str_eq(out, in));
    if (hash_base64_decode(a, in, &out) == OK)
        CHECK(out.n <= in.n && out.p[out.n] == '\0');
    if (hash_base64url_decode(a, in, &out) == OK) {
        CHECK(out.n <= in.n && out.p[out.n] == '\0');
        CHECK(4 * out.n / 3 <= in.n && in.n <= 4 * out.n / 3 + 1); /* one spelling only */
    }
}

static void varints(str in)
{
    const uint8_t *p = (const uint8_t *)in.p, *end = p + in.n, *behind;
    uint8_t coded[VARINT_MAX_BYTES];
    uint64_t v;
    uint32_t w;

    behind = varint_get(p, end, &v);
    if (behind != NULL)
        CHECK(behind > p && behind <= end && varint_put(coded, v) <= coded + (behind - p));
    behind = varint_get32(p, end, &w);
    if (behind != NULL)
        CHECK(behind > p && behind <= end && behind - p <= VARINT32_MAX_BYTES);
}

/* Two numbers that JSON has; the order is total. */
static void numbers(struct arena *a, str x, str y)
{
    struct json *v, *w;

    if (json_parse(a, x, &v, NULL) != OK || json_parse(a, y, &w, NULL) != OK)
        return;
    int c = json_compare(v, w);
    CHECK((c > 0) == (json_compare(w, v) < 0) && (c == 0) == json_equal(v, w));
    if (c == 0)
        CHECK(json_hash(v) == json_hash(w));
    if (json_is(v, JSON_NUMBER) && json_is(w, JSON_NUMBER)) {
        double d = json_to_double(v), e = json_to_double(w);
        CHECK(d - d == 0 && (c <= 0 || d >= e) && (c >= 0 || d <= e));
    }
}

static void words(str in)
{
    str rest = in, word;

    while (str_next_word(&rest, &word))
        CHECK(word.n > 0 && fuzz_within(word, in));
    CHECK(fuzz_within(str_trim(in), in));
    (void)str_utf8_valid(in);
    (void)str_is_visible(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 16 * MIB);
    integers(&a, in);
    natives(&a, in);
    base64(&a, in);
    varints(in);
    words(in);
    str first = fuzz_part(&in), second = fuzz_part(&in);
    numbers(&a, first, second);
    CHECK(!arena_failed(&a));
    arena_fini(&a);
    return 0;
}
