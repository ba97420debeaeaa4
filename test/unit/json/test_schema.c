/* JSON Schema, keyword by keyword and draft by draft: what the reference's validator says to each pair
 * of schema and value (schema_cases.def, made by schema_cases.py), and what is meant otherwise. */
#include "test/unit/json/json_test.h"

#include "json/schema_private.h"

static const struct schema_case {
    const char *schema, *value, *message, *last;
} cases[] = {
#define CASE(schema, value, message, last) {schema, value, message, last},
#define META(schema, message, last)
#include "test/unit/json/schema_cases.def"
#undef CASE
#undef META
};

static const struct schema_case checks[] = {
#define CASE(schema, value, message, last)
#define META(schema, message, last) {schema, NULL, message, last},
#include "test/unit/json/schema_cases.def"
#undef CASE
#undef META
};

static struct json_schema *compile(const char *text)
{
    struct json_schema *s;

    ck_assert_int_eq(json_schema_new(&s, str_from(text), NULL, 0), OK);
    return s;
}

static str last_step(const struct json_schema_error *e)
{
    if (e->at == JSON_SCHEMA_AT_MEMBER)
        return e->member;
    return e->at == JSON_SCHEMA_AT_ITEM ? arena_printf(&arena, "%zu", e->item) : STR_NONE;
}

static void expect(const struct schema_case *c, enum err got, const struct json_schema_error *e)
{
    str value = c->value ? str_from(c->value) : STR("");

    ck_assert_msg((got == OK) == (c->message == NULL), "%s\n%s\ngot %s " STR_FMT "\nwant %s",
                  c->schema, value.p, err_text(got), STR_ARG(e->message),
                  c->message ? c->message : "OK");
    if (got == OK)
        return;
    ck_assert_msg(got == ERR_RANGE, "%s\n%s\n%s", c->schema, value.p, err_text(got));
    ck_assert_msg(str_eq(e->message, str_from(c->message)), "%s\n%s\ngot " STR_FMT "\nwant %s",
                  c->schema, value.p, STR_ARG(e->message), c->message);
    ck_assert_msg(str_eq(last_step(e), str_from(c->last)) &&
                      str_none(last_step(e)) == (c->last == NULL),
                  "%s\n%s\nat " STR_FMT "\nwant %s", c->schema, value.p, STR_ARG(last_step(e)),
                  c->last ? c->last : "the root");
}

START_TEST(as_the_reference)
{
    const struct schema_case *c = &cases[_i];
    struct json_schema *s = compile(c->schema);
    struct json_schema_error e = {0};
    enum err got =
        json_schema_validate(s, &arena, parse(c->value), &(uint64_t){JSON_SCHEMA_STEPS}, &e);

    expect(c, got, &e);
    json_schema_free(s);
}
END_TEST

START_TEST(metaschema)
{
    struct json_schema *s;
    struct json_schema_error e = {0};

    ck_assert_int_eq(json_schema_new_draft7(&s), OK);
    expect(&checks[_i],
           json_schema_validate(s, &arena, parse(checks[_i].schema), &(uint64_t){JSON_SCHEMA_STEPS},
                                &e),
           &e);
    json_schema_free(s);
}
END_TEST

static void judge_is(const char *schema, const char *value, enum err want, const char *message)
{
    struct json_schema *s = compile(schema);
    struct json_schema_error e = {0};
    enum err got =
        json_schema_validate(s, &arena, parse(value), &(uint64_t){JSON_SCHEMA_STEPS}, &e);

    ck_assert_msg(got == want, "%s\n%s\ngot %s " STR_FMT, schema, value, err_text(got),
                  STR_ARG(e.message));
    if (message != NULL)
        ck_assert_str_is(e.message, message);
    json_schema_free(s);
}

/* A reference that leads nowhere counts when it is needed, and reads as the reference's. */
static const struct {
    const char *schema, *value, *message;
} dangling[] = {
    {"{\"$ref\":\"#/definitions/x\"}", "\"a\"",
     "PointerToNowhere: '/definitions/x' does not exist within {'$ref': '#/definitions/x'}"},
    {"{\"$ref\":\"#here\"}", "\"a\"",
     "NoSuchAnchor: 'here' does not exist within {'$ref': '#here'}"},
    {"{\"$ref\":\"#he/re\"}", "\"a\"",
     "InvalidAnchor: '#he/re' is not a valid anchor, neither as a plain name anchor nor as a JSON "
     "Pointer. You may have intended to use '#/he/re', as the slash is required *before each "
     "segment* of a JSON pointer."},
    {"{\"$ref\":\"other.json\"}", "\"a\"", "Unresolvable: other.json"},
    {"{\"$ref\":\"http://localhost:1/x#/y\"}", "\"a\"", "Unresolvable: http://localhost:1/x#/y"},
    {"{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"x\"}]}", "\"a\"", "Unresolvable: x"},
    {"{\"not\":{\"$ref\":\"x\"}}", "\"a\"", "Unresolvable: x"},
    {"{\"unevaluatedProperties\":false,\"$ref\":\"x\"}", "{}", "x"},
    {"{\"unevaluatedProperties\":false,\"$ref\":\"#x\"}", "{\"a\":1}",
     "'x' does not exist within {'unevaluatedProperties': False, '$ref': '#x'}"},
    {"{\"$ref\":\"#/enum/0\",\"enum\":[5]}", "\"a\"", "A reference leads to what is no schema"},
    {"{\"$ref\":\"#/x\",\"x\":{\"pattern\":\"(\"}}", "\"a\"", NULL},
};

START_TEST(dangling_references)
{
    judge_is(dangling[_i].schema, dangling[_i].value, ERR_NOTFOUND, dangling[_i].message);
}
END_TEST

/* Where the reference answers 500: what is no schema in its own draft counts as far as it can. */
static const struct {
    const char *schema, *value;
    enum err want;
} own[] = {
    {"{\"items\":[{\"type\":\"null\"}],\"additionalItems\":false}", "[null]", OK},
    {"{\"items\":[{\"type\":\"null\"}],\"additionalItems\":false}", "[null,1]", ERR_RANGE},
    {"{\"properties\":{\"a\":{\"items\":[{\"type\":\"null\"}]}}}", "{\"a\":[1]}", ERR_RANGE},
    {"{\"minContains\":\"x\",\"contains\":{}}", "[1]", OK},
    {"{\"dependentRequired\":5}", "{}", OK},
    {"{\"prefixItems\":{}}", "[1]", OK},
    {"{\"$schema\":\"http://json-schema.org/draft-04/schema#\",\"exclusiveMinimum\":5}", "5",
     ERR_RANGE},
    {"{\"$schema\":\"http://json-schema.org/draft-04/schema#\",\"minimum\":5,\"exclusiveMinimum\":"
     "true}",
     "5", ERR_RANGE},
    {"{\"$schema\":\"http://json-schema.org/draft-04/schema#\",\"maximum\":5,\"exclusiveMaximum\":"
     "true}",
     "4.9", OK},
    {"{\"$schema\":\"http://example.org/mine\",\"prefixItems\":[{\"type\":\"null\"}]}", "[1]",
     ERR_RANGE},
    {"{\"$schema\":\"HTTP://json-schema.org/draft-07/"
     "schema\",\"prefixItems\":[{\"type\":\"null\"}]}",
     "[1]", OK},
};

START_TEST(own_drafts)
{
    judge_is(own[_i].schema, own[_i].value, own[_i].want, NULL);
}
END_TEST

START_TEST(ignored_required)
{
    const str ignored[] = {STR_INIT("id"), STR_INIT("last_modified")};
    struct json_schema *s;
    struct json_schema_error e = {0};

    ck_assert_int_eq(json_schema_new(&s,
                                     STR("{\"required\":[\"id\",\"last_modified\"],\"not\":{}}"),
                                     ignored, 2),
                     OK);
    ck_assert_int_eq(
        json_schema_validate(s, &arena, parse("{}"), &(uint64_t){JSON_SCHEMA_STEPS}, &e),
        ERR_RANGE);
    ck_assert_str_is(e.keyword, "not");
    ck_assert_ptr_nonnull(e.keyword_value);
    json_schema_free(s);
    ck_assert_int_eq(
        json_schema_new(&s, STR("{\"required\":[\"id\",\"a\",\"last_modified\"]}"), ignored, 2),
        OK);
    ck_assert_int_eq(
        json_schema_validate(s, &arena, parse("{\"b\":1}"), &(uint64_t){JSON_SCHEMA_STEPS}, &e),
        ERR_RANGE);
    ck_assert_str_is(e.message, "'a' is a required property");
    ck_assert_json(e.keyword_value, "[\"a\"]");
    json_schema_free(s);
}
END_TEST

static const struct {
    const char *schema, *value, *keyword, *keyword_value;
} keywords[] = {
    {"{\"allOf\":[false]}", "1", "allOf", NULL},
    {"{\"allOf\":[{\"$ref\":\"#/$defs/n\"}],\"$defs\":{\"n\":false}}", "1", "0", NULL},
    {"{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":false}}", "1", NULL, NULL},
    {"{\"if\":true,\"then\":false}", "1", NULL, NULL},
    {"{\"dependentSchemas\":{\"a\":{\"if\":{},\"then\":false}}}", "{\"a\":1}", "a", NULL},
    {"{\"properties\":{\"a\":false}}", "{\"a\":1}", "properties", NULL},
    {"{\"propertyNames\":{\"pattern\":\"^a\"}}", "{\"b\":1}", "pattern", "\"^a\""},
    {"{\"contains\":{},\"maxContains\":0}", "[1,2]", "contains", "{}"},
    {"{\"contains\":{},\"maxContains\":1}", "[1,2]", "contains", "{}"},
    {"{\"contains\":{\"type\":\"null\"},\"minContains\":2}", "[null]", "contains",
     "{\"type\":\"null\"}"},
    {"{\"enum\":[1,2]}", "3", "enum", "[1,2]"},
};

START_TEST(what_refused)
{
    struct json_schema *s = compile(keywords[_i].schema);
    struct json_schema_error e = {0};

    ck_assert_int_eq(json_schema_validate(s, &arena, parse(keywords[_i].value),
                                          &(uint64_t){JSON_SCHEMA_STEPS}, &e),
                     ERR_RANGE);
    ck_assert_int_eq(e.at, JSON_SCHEMA_AT_ROOT);
    ck_assert_msg(str_none(e.keyword) == (keywords[_i].keyword == NULL) &&
                      str_eq(e.keyword, str_from(keywords[_i].keyword)),
                  "%s: " STR_FMT, keywords[_i].schema, STR_ARG(e.keyword));
    if (keywords[_i].keyword_value == NULL)
        ck_assert_ptr_null(e.keyword_value);
    else
        ck_assert_json(e.keyword_value, keywords[_i].keyword_value);
    json_schema_free(s);
}
END_TEST

START_TEST(not_a_schema)
{
    struct json_schema *s = NULL;

    ck_assert_int_eq(json_schema_new(&s, STR("true"), NULL, 0), ERR_SYNTAX);
    ck_assert_int_eq(json_schema_new(&s, STR("{"), NULL, 0), ERR_SYNTAX);
    ck_assert_int_eq(json_schema_new(&s, STR(""), NULL, 0), ERR_SYNTAX);
    ck_assert_ptr_null(s);
    json_schema_free(NULL);
}
END_TEST

/* RFC 3986, section 5.4 (base http://a/b/c/d;p?q), as far as a schema can use them, and Python's own
 * ways. */
static const struct {
    const char *base, *uri, *joined;
} joins[] = {
    {"http://a/b/c/d;p?q", "g", "http://a/b/c/g"},
    {"http://a/b/c/d;p?q", "./g", "http://a/b/c/g"},
    {"http://a/b/c/d;p?q", "g/", "http://a/b/c/g/"},
    {"http://a/b/c/d;p?q", "/g", "http://a/g"},
    {"http://a/b/c/d;p?q", "//g", "http://g"},
    {"http://a/b/c/d;p?q", "?y", "http://a/b/c/d;p?y"},
    {"http://a/b/c/d;p?q", "g?y", "http://a/b/c/g?y"},
    {"http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"},
    {"http://a/b/c/d;p?q", "../g", "http://a/b/g"},
    {"http://a/b/c/d;p?q", "../../g", "http://a/g"},
    {"http://a/b/c/d;p?q", "../../../g", "http://a/g"},
    {"http://a/b/c/d;p?q", "/./g", "http://a/g"},
    {"http://a/b/c/d;p?q", "/../g", "http://a/g"},
    {"http://a/b/c/d;p?q", "g.", "http://a/b/c/g."},
    {"http://a/b/c/d;p?q", "..g", "http://a/b/c/..g"},
    {"http://a/b/c/d;p?q", "./../g", "http://a/b/g"},
    {"http://a/b/c/d;p?q", "g/./h", "http://a/b/c/g/h"},
    {"http://a/b/c/d;p?q", "g/../h", "http://a/b/c/h"},
    {"http://a/b/c/d;p?q", "g:h", "g:h"},
    {"http://a/b/c/d;p?q", "https://x/y", "https://x/y"},
    {"http://a", "g", "http://a/g"},
    {"", "g", "g"},
    {"g/h", "i", "g/i"},
    {"urn:x:y", "g", "g"},
    {"urn:x:y", "", "urn:x:y"},
};

START_TEST(uris)
{
    ck_assert_str_is(schema_join_uri(&arena, str_from(joins[_i].base), str_from(joins[_i].uri)),
                     joins[_i].joined);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json schema");
    TCase *t = tcase_create("schema");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, as_the_reference, 0, (int)ARRAY_LEN(cases));
    tcase_add_loop_test(t, metaschema, 0, (int)ARRAY_LEN(checks));
    tcase_add_loop_test(t, dangling_references, 0, (int)ARRAY_LEN(dangling));
    tcase_add_loop_test(t, own_drafts, 0, (int)ARRAY_LEN(own));
    tcase_add_test(t, ignored_required);
    tcase_add_loop_test(t, what_refused, 0, (int)ARRAY_LEN(keywords));
    tcase_add_test(t, not_a_schema);
    tcase_add_loop_test(t, uris, 0, (int)ARRAY_LEN(joins));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
