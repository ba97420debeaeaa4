/* JSON Schema: a schema of a stranger's, and a value of another's. Input: schema 0xff value. */
#include "test/fuzz/fuzz.h"

#include "json/json.h"

static struct json_schema *draft7;

static void validate(struct arena *a, const struct json_schema *s, const struct json *v)
{
    struct json_schema_error error = {.message = STR_NONE};
    uint64_t steps = JSON_SCHEMA_STEPS / 8;
    enum err e = json_schema_validate(s, a, v, &steps, &error);

    CHECK(steps <= JSON_SCHEMA_STEPS / 8);
    CHECK(e == OK || e == ERR_RANGE || e == ERR_NOTFOUND || e == ERR_LIMIT ||
          (e == ERR_NOMEM && arena_failed(a)));
    if (e == ERR_RANGE || e == ERR_NOTFOUND || e == ERR_LIMIT)
        CHECK(!str_none(error.message) && str_utf8_valid(error.message));
    if (e == ERR_RANGE && error.at == JSON_SCHEMA_AT_MEMBER)
        CHECK(!str_none(error.member));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size), schema = fuzz_part(&in), value = fuzz_part(&in);
    static const str ignored[] = {STR_INIT("id"), STR_INIT("schema")};
    struct json_schema *s = NULL;
    struct json *v;
    struct arena a;

    if (draft7 == NULL)
        CHECK(json_schema_new_draft7(&draft7) == OK);
    arena_init(&a, NULL, 0, NULL, 64 * MIB);
    if (json_parse(&a, schema, &v, NULL) == OK)
        validate(&a, draft7, v);
    enum err e = json_schema_new(&s, schema, ignored, ARRAY_LEN(ignored));
    CHECK(e == OK || e == ERR_SYNTAX || e == ERR_LIMIT);
    if (e == OK && json_parse(&a, value, &v, NULL) == OK)
        validate(&a, s, v);
    if (e == OK)
        CHECK(json_schema_bytes(s) > schema.n);
    json_schema_free(s);
    arena_fini(&a);
    return 0;
}
