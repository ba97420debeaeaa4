/* JSON: reading, writing what was read, and reading that again; the scanner, which must stay inside of any
 * text. */
#include "test/fuzz/fuzz.h"

#include "json/private.h"

/* Its depth, which recursion here may count on. */
static unsigned depth_of(const struct json *v)
{
    unsigned most = 0;
    struct json *child;
    str name;

    if (json_is(v, JSON_ARRAY))
        for (size_t i = 0; i < json_count(v); i++)
            most = MAX_OF(most, depth_of(json_at(v, i)));
    for (size_t i = 0; json_is(v, JSON_OBJECT) && json_member(v, i, &name, &child); i++) {
        CHECK(json_get(v, name) == child && str_utf8_valid(name));
        most = MAX_OF(most, depth_of(child));
    }
    return most + json_is_container(v);
}

static void scan(struct arena *a, str text, unsigned depth);

static void scan_raw(struct arena *a, const struct json_raw *raw, str text, unsigned depth)
{
    struct json *v;

    CHECK(fuzz_within(raw->text, text));
    if (raw->type == JSON_STRING)
        CHECK(json_raw_string(a, raw).n <= raw->text.n);
    (void)json_raw_compare(a, raw, raw);
    (void)!json_raw_parse(a, raw, &v);
    if (depth < 4)
        scan(a, raw->text, depth + 1);
}

static void scan(struct arena *a, str text, unsigned depth)
{
    struct json_raw raw, member;
    str name;

    for (size_t at = 0, before = 0; json_scan_item(text, &at, &raw); before = at) {
        CHECK(at > before && at <= text.n);
        scan_raw(a, &raw, text, depth);
    }
    for (size_t at = 0, before = 0; json_scan_next(a, text, &at, &name, &raw); before = at) {
        CHECK(at > before && at <= text.n);
        if (json_scan_member(text, name, &member))
            CHECK(fuzz_within(member.text, text));
        scan_raw(a, &raw, text, depth);
    }
}

/* What the scanner finds in text that was written here is what the tree has. */
static void scan_written(struct arena *a, const struct json *v, str text)
{
    struct json_raw raw;
    struct json *child, *found;
    str name;

    for (size_t i = 0; json_is(v, JSON_OBJECT) && json_member(v, i, &name, &child); i++) {
        CHECK(json_scan_member(text, name, &raw) && raw.type == json_type(child));
        CHECK(json_raw_parse(a, &raw, &found) == OK && json_equal(found, child));
    }
}

static void check_value(struct arena *a, struct json *v, str in)
{
    struct json *again, *copy;
    struct buf repr;
    str text = json_text(a, v), second;

    CHECK(!str_none(text) && text.n <= 6 * in.n && str_utf8_valid(text));
    CHECK(depth_of(v) <= JSON_MAX_DEPTH);
    CHECK(json_parse(a, text, &again, NULL) == OK);
    CHECK(json_equal(v, again) && json_compare(v, again) == 0 && json_hash(v) == json_hash(again));
    second = json_text(a, again);
    CHECK(str_eq(text, second));
    copy = json_copy(a, v);
    CHECK(copy != NULL && json_equal(v, copy));
    scan_written(a, v, text);
    buf_init_arena(&repr, a, 64 * MIB);
    json_write_repr(&repr, v);
    CHECK(!buf_failed(&repr) && str_utf8_valid(buf_str(&repr)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    struct json_error error;
    struct json *v;
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 64 * MIB);
    enum err e = json_parse(&a, in, &v, &error);
    CHECK(e == OK || e == ERR_SYNTAX || e == ERR_LIMIT);
    if (e == OK)
        check_value(&a, v, in);
    else
        CHECK(error.offset <= in.n && error.line >= 1 && error.column >= 1 && error.what != NULL);
    scan(&a, in, 0);
    CHECK(!arena_failed(&a));
    arena_fini(&a);
    return 0;
}
