/*
 * test/http/test_schema.c - JSON Schemas in collections and buckets: refused when they are none, and
 * what they refuse. The settings switch judging on.
 */
#include "base/buf.h"
#include "test/support/api.h"
#include "test/support/unit.h"

#define C "/buckets/b/collections/c"

static void schema(const char *text)
{
    call("PUT", C, f("{'data':{'schema':%s}}", text));
    ck_assert_msg(re.status == 200, "%d %s", re.status, text);
}

static void bucket_schema(const char *field, const char *text)
{
    call("PUT", "/buckets/b", f("{'data':{'%s':%s}}", field, text));
    want(200);
}

static const char article[] =
    "{'type':'object','properties':{'title':{'type':'string','minLength':1},"
    "'rating':{'type':'integer'},'tags':{'type':'array','items':{'type':'string'}}},"
    "'required':['title']}";

START_TEST(capability)
{
    call("GET", "/", NULL);
    want_at("/capabilities/schema/description",
            "'Validates collection records with JSON schemas.'");
    want_at("/capabilities/schema/url", "'https://kinto.readthedocs.io/en/latest/api/1.x/"
                                        "collections.html#collection-json-schema'");
}
END_TEST

START_TEST(records_that_fit_are_stamped)
{
    make_collection();
    schema(article);
    int64_t version = num_at("/data/last_modified");
    call("PUT", R "/r", "{'data':{'title':'a','rating':3,'schema':42}}");
    want(201);
    ck_assert_int_eq(num_at("/data/schema"), version);
    call("POST", R, "{'data':{'title':'b'}}");
    want(201);
    ck_assert_int_eq(num_at("/data/schema"), version);
    schema("{'type':'object','minProperties':1}");
    ck_assert_int_gt(num_at("/data/last_modified"), version);
    call("GET", R "/r", NULL);
    ck_assert_int_eq(num_at("/data/schema"), version);
    call("PATCH", R "/r", "{'data':{'rating':4}}");
    want(200);
    ck_assert_int_gt(num_at("/data/schema"), version);
}
END_TEST

static const struct {
    const char *data, *name, *description;
} refused[] = {
    {"{'title':1}", "title", "1 is not of type 'string'"},
    {"{'title':''}", "title", "'' should be non-empty"},
    {"{'rating':1}", "title", "'title' is a required property"},
    {"{'title':'a','rating':'many'}", "rating", "'many' is not of type 'integer'"},
};

START_TEST(records_that_do_not_fit)
{
    make_collection();
    schema(article);
    call("PUT", R "/r", f("{'data':%s}", refused[_i].data));
    want_invalid("body", refused[_i].name, refused[_i].description);
    call("POST", R, f("{'data':%s}", refused[_i].data));
    want_invalid("body", refused[_i].name, refused[_i].description);
    call("GET", R "/r", NULL);
    want(404);
}
END_TEST

START_TEST(the_message_names_the_field)
{
    make_collection();
    schema(article);
    call("PUT", R "/r", "{'data':{'title':'a','rating':'many'}}");
    want_error(400, 107, "rating in body: 'many' is not of type 'integer'");
    call("PUT", R "/r", "{'data':{}}");
    want_error(400, 107, "'title' is a required property");
}
END_TEST

/* At the root the reference takes the last element of the keyword's value for the field. */
static const struct {
    const char *schema, *data, *name; /* JSON */
} roots[] = {
    {"{'required':['a','b']}", "{'b':1}", "'b'"},
    {"{'type':'array'}", "{}", "'y'"},
    {"{'type':['string','null']}", "{}", "'null'"},
    {"{'enum':[1,{'x':[2]}]}", "{}", "{'x':[2]}"},
    {"{'enum':[1,true]}", "{}", "true"},
    {"{'enum':[1,null]}", "{}", "null"},
    {"{'enum':[]}", "{}", "'enum'"},
    {"{'anyOf':[{'required':['a']},{'required':['b']}]}", "{}", "{'required':['b']}"},
    {"{'additionalProperties':false}", "{'a':1}", "'additionalProperties'"},
    {"{'propertyNames':{'pattern':'^a'}}", "{'b':1}", "'a'"},
    {"{'allOf':[false]}", "{}", "'allOf'"},
    {"{'maxProperties':0}", "{'a':1}", "'maxProperties'"},
    {"{'properties':{'l':{'items':{'type':'string'}}}}", "{'l':['a',1]}", "1"},
    {"{'properties':{'l':{'items':{'required':['x']}}}}", "{'l':[{}]}", "0"},
};

START_TEST(names_at_the_root)
{
    make_collection();
    schema(roots[_i].schema);
    call("PUT", R "/r", f("{'data':%s}", roots[_i].data));
    want(400);
    want_at("/details/0/name", roots[_i].name);
}
END_TEST

/* The reference fails with 500 where the value has no last element. */
static const struct {
    const char *schema, *name;
} failing[] = {
    {"{'not':{'type':'object'}}", "not"},
    {"{'minProperties':2}", "minProperties"},
    {"{'const':{'a':2}}", "const"},
    {"{'dependencies':{'a':['b']}, '$schema':'http://json-schema.org/draft-07/schema#'}",
     "dependencies"},
    {"{'propertyNames':{'minLength':2}}", "minLength"},
    {"{'$ref':'#/definitions/no','definitions':{'no':false}}", "schema"},
    {"{'$ref':'#'}", "schema"},
    {"{'properties':{'a':{'$ref':'#/properties/a'}}}", "schema"},
    {"{'properties':{'a':{'$ref':'#/title'}},'title':'x'}", "schema"},
};

START_TEST(where_the_reference_fails)
{
    make_collection();
    schema(failing[_i].schema);
    call("PUT", R "/r", "{'data':{'a':1}}");
    want(400);
    want_at("/details/0/name", f("'%s'", failing[_i].name));
}
END_TEST

START_TEST(what_the_server_sets_is_no_matter)
{
    make_collection();
    schema("{'additionalProperties':false,'properties':{'a':{}},'required':['id','schema','a','"
           "last_modified']}");
    call("PUT", R "/r", "{'data':{'id':'r','a':1,'last_modified':1234,'schema':5}}");
    want(201);
    call("PATCH", R "/r", "{'data':{'a':2}}");
    want(200);
    call("PUT", R "/r", "{'data':{'b':1}}");
    want_invalid("body", "additionalProperties",
                 "Additional properties are not allowed ('b' was unexpected)");
    schema("{'properties':{'id':{'pattern':'^[0-9]+$'}},'required':['id']}");
    call("PUT", R "/1", "{'data':{}}");
    want(201);
    call("PUT", R "/x", "{'data':{}}");
    want_invalid("body", "id", "'x' does not match '^[0-9]+$'");
    call("POST", R, "{'data':{}}");
    want_invalid("body", "id", "'id' is a required property");
}
END_TEST

START_TEST(patches_are_judged_as_merged)
{
    make_collection();
    call("PUT", R "/r", "{'data':{'title':'a','rating':1}}");
    want(201);
    schema(article);
    call("PATCH", R "/r", "{'data':{'rating':2}}");
    want(200);
    call("PATCH", R "/r", "{'data':{'rating':'x'}}");
    want_invalid("body", "rating", "'x' is not of type 'integer'");
    with("Content-Type", "application/merge-patch+json");
    call("PATCH", R "/r", "{'data':{'title':null}}");
    want_invalid("body", "title", "'title' is a required property");
    with("Content-Type", "application/json-patch+json");
    call("PATCH", R "/r", "[{'op':'add','path':'/data/tags','value':['a',1]}]");
    want(400);
    want_at("/details/0/name", "1");
    call("PUT", R "/r", "{'permissions':{'read':['system.Everyone']}}");
    want(200);
    call("GET", R "/r", NULL);
    want_at("/data/rating", "2");
}
END_TEST

START_TEST(schemas_of_the_bucket)
{
    make_collection();
    bucket_schema("record:schema", "{'required':['a']}");
    call("PUT", R "/r", "{'data':{}}");
    want_invalid("body", "a", "'a' is a required property");
    call("PUT", R "/r", "{'data':{'a':1}}");
    want(201);
    want_missing("/data/schema");
    schema("{'required':['b']}"); /* the collection's comes first */
    call("PUT", R "/r", "{'data':{}}");
    want_invalid("body", "b", "'b' is a required property");
    call("PUT", R "/r", "{'data':{'b':1}}");
    want_invalid("body", "a", "'a' is a required property");
    bucket_schema("collection:schema", "{'required':['title']}");
    call("PUT", C, "{'data':{}}");
    want_invalid("body", "title", "'title' is a required property");
    call("PUT", "/buckets/b/collections/d", "{'data':{'title':1}}");
    want(201);
    bucket_schema("group:schema", "{'properties':{'members':{'maxItems':1}}}");
    call("PUT", "/buckets/b/groups/g", "{'data':{'members':['a','b']}}");
    want_invalid("body", "members", "['a', 'b'] is too long");
    call("PUT", "/buckets/b/groups/g", "{'data':{'members':['a']}}");
    want(201);
}
END_TEST

START_TEST(in_a_batch)
{
    make_collection();
    call("POST", "/batch",
         "{'defaults':{'method':'PUT'},'requests':["
         "{'path':'" R "/1','body':{'data':{'a':'x'}}},"
         "{'path':'" C "','body':{'data':{'schema':{'properties':{'a':{'type':'integer'}}}}}},"
         "{'path':'" R "/2','body':{'data':{'a':'x'}}},"
         "{'path':'" R "/3','body':{'data':{'a':1}}}]}");
    want(200);
    want_at("/responses/0/status", "201");
    want_at("/responses/2/status", "400");
    ck_assert_str_eq(at("/responses/2/body/message"), "a in body: 'x' is not of type 'integer'");
    want_at("/responses/3/status", "201");
    ck_assert_str_eq(at("/responses/3/body/data/schema"),
                     at("/responses/1/body/data/last_modified"));
}
END_TEST

static const struct {
    const char *schema, *description;
} wrong[] = {
    {"{'type':'foo'}", "type'foo' is not valid under any of the given schemas"},
    {"{'minLength':-1}", "minLength-1 is less than the minimum of 0"},
    {"{'required':'a'}", "required'a' is not of type 'array'"},
    {"{'pattern':'['}", "pattern'[' is not a 'regex'"},
    {"{'patternProperties':{'(':{}}}", "patternProperties'(' is not a 'regex'"},
    {"{'items':{'allOf':[{},1]}}",
     "items{'allOf': [{}, 1]} is not valid under any of the given schemas"},
    {"{'allOf':[{},1]}", "11 is not of type 'object', 'boolean'"},
    {"[]", "\"[]\" is not a mapping type: Does not implement dict-like functionality."},
};

START_TEST(what_is_no_schema)
{
    make_collection();
    call("PUT", C, f("{'data':{'schema':%s}}", wrong[_i].schema));
    want_invalid("body", "data.schema", wrong[_i].description);
    call("PATCH", C, f("{'data':{'schema':%s}}", wrong[_i].schema));
    want_invalid("body", "schema", wrong[_i].description);
    call("PUT", "/buckets/b", f("{'data':{'record:schema':%s}}", wrong[_i].schema));
    want_invalid("body", "data.record:schema", wrong[_i].description);
    call("GET", C, NULL);
    want_missing("/data/schema");
}
END_TEST

START_TEST(references)
{
    make_collection();
    schema("{'properties':{'a':{'$ref':'#/definitions/nope'}}}");
    call("PUT", R "/r", "{'data':{'b':1}}");
    want(201);
    call("PUT", R "/r", "{'data':{'a':1}}");
    want_invalid("body", "schema",
                 "PointerToNowhere: '/definitions/nope' does not exist within {'properties': {'a': "
                 "{'$ref': '#/definitions/nope'}}}");
    schema("{'properties':{'a':{'$ref':'http://127.0.0.1:1/x.json'}}}");
    call("PUT", R "/r", "{'data':{'a':1}}");
    want_invalid("body", "schema", "Unresolvable: http://127.0.0.1:1/x.json");
}
END_TEST

START_TEST(hostile_patterns)
{
    make_collection();
    schema("{'properties':{'a':{'pattern':'^(a+)+$'}}}");
    call("PUT", R "/r", f("{'data':{'a':'%s!'}}", repeat('a', 5000)));
    want_invalid("body", "schema", "The schema takes too long to check");
    call("PUT", R "/r", "{'data':{'a':'aaa'}}");
    want(201);
    call("PUT", C, "{'data':{'schema':{'pattern':'\\\\N{DIGIT ONE}'}}}");
    want(400);
    want_at("/details/0/name", "'data.schema'");
}
END_TEST

/* More schemas than the cache keeps, in turns. */
START_TEST(many_schemas)
{
    make("/buckets/b");
    for (int i = 0; i < 80; i++) {
        call("PUT", f("/buckets/b/collections/c%d", i),
             f("{'data':{'schema':{'properties':{'n':{'maximum':%d}}}}}", i));
        want(201);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 80; i++) {
            call("PUT", f("/buckets/b/collections/c%d/records/r", i), f("{'data':{'n':%d}}", i));
            ck_assert_int_eq(re.status, round ? 200 : 201);
            call("PUT", f("/buckets/b/collections/c%d/records/r", i),
                 f("{'data':{'n':%d}}", i + 1));
            want_invalid("body", "n", f("%d is greater than the maximum of %d", i + 1, i));
        }
}
END_TEST

/* Also below /buckets/default, where the reference forgets the schemas. */
START_TEST(default_bucket)
{
    call("PUT", "/buckets/default/collections/c", "{'data':{'schema':{'required':['a']}}}");
    want(201);
    call("PUT", "/buckets/default/collections/c/records/r", "{'data':{}}");
    want_invalid("body", "a", "'a' is a required property");
}
END_TEST

/* The parts of a batch have a budget together: {} is judged by 2^17 schemas. */
START_TEST(a_batch_of_hard_schemas)
{
    struct buf b;

    make_collection();
    buf_init(&b, MIB);
    buf_add_lit(&b, "{'definitions':{");
    for (int i = 0; i < 17; i++)
        buf_printf(&b,
                   "'d%d':{'allOf':[{'$ref':'#/definitions/d%d'},{'$ref':'#/definitions/d%d'}]},",
                   i, i + 1, i + 1);
    buf_add_lit(&b, "'d17':{}},'allOf':[{'$ref':'#/definitions/d0'}]}");
    buf_add_char(&b, '\0');
    schema(b.p);
    put(R "/r", "{}");
    buf_clear(&b);
    for (int i = 0; i < 24; i++)
        buf_printf(&b, "{'method':'PUT','path':'%s/r%d'},", R, i);
    buf_add_char(&b, '\0');
    call("POST", "/batch", f("{'requests':[%s{'path':'/'}]}", b.p));
    want(200);
    want_at("/responses/0/status", "201");
    want_at("/responses/5/status", "201");
    want_at("/responses/23/status", "400");
    want_at("/responses/23/body/message", "'The schema takes too long to check'");
    want_at("/responses/24/status", "200");
    buf_fini(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http schema");
    TCase *t = api_case(s, "schema", NULL);
    tcase_add_test(t, capability);
    tcase_add_test(t, records_that_fit_are_stamped);
    tcase_add_loop_test(t, records_that_do_not_fit, 0, (int)ARRAY_LEN(refused));
    tcase_add_test(t, the_message_names_the_field);
    tcase_add_loop_test(t, names_at_the_root, 0, (int)ARRAY_LEN(roots));
    tcase_add_test(t, what_the_server_sets_is_no_matter);
    tcase_add_test(t, patches_are_judged_as_merged);
    tcase_add_test(t, schemas_of_the_bucket);
    tcase_add_loop_test(t, what_is_no_schema, 0, (int)ARRAY_LEN(wrong));
    tcase_add_test(t, many_schemas);
    TCase *ours = api_case(s, "ours", "ours");
    tcase_add_test(ours, in_a_batch); /* a part sees the schema that another has written */
    tcase_add_test(ours, references); /* the reference fetches what is elsewhere */
    tcase_add_loop_test(ours, where_the_reference_fails, 0, (int)ARRAY_LEN(failing));
    tcase_add_test(ours, hostile_patterns);
    tcase_add_test(ours, a_batch_of_hard_schemas);
    tcase_add_test(ours, default_bucket);
    return s;
}

API_MAIN(suite, "kinto.experimental_collection_schema_validation = true\n")
