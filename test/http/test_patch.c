/*
 * test/http/test_patch.c - PATCH in its three forms, and Response-Behavior.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

#define MERGE_PATCH "application/merge-patch+json"
#define JSON_PATCH  "application/json-patch+json"

/* Every patch below starts from this record. */
#define START "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t'}"

static const struct {
    const char *type, *body;
    const char *data; /* what the record is then, without id and last_modified */
} PATCHES[] = {
    /* plain: shallow, null is a value */
    {NULL, "{'data':{}}", START},
    {NULL, "{'data':{'a':2}}", "{'a':2,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {NULL, "{'data':{'a':null}}", "{'a':null,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {NULL, "{'data':{'o':{'x':null}}}", "{'a':1,'l':[1,2],'o':{'x':null},'s':'t'}"},
    {NULL, "{'data':{'n':[]}}", "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t','n':[]}"},
    {NULL, "{'data':{'o':{}}}", "{'a':1,'l':[1,2],'o':{},'s':'t'}"},
    {NULL, "{'data':{'id':'r'}}", START},
    /* merge patch: deep, null removes */
    {MERGE_PATCH, "{'data':{}}", START},
    {MERGE_PATCH, "{'data':{'a':null}}", "{'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {MERGE_PATCH, "{'data':{'o':{'x':null}}}", "{'a':1,'l':[1,2],'o':{'y':{'z':2}},'s':'t'}"},
    {MERGE_PATCH, "{'data':{'o':{'y':{'z':3,'w':4}}}}",
     "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':3,'w':4}},'s':'t'}"},
    {MERGE_PATCH, "{'data':{'l':[null]}}", "{'a':1,'l':[null],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {MERGE_PATCH, "{'data':{'n':{'x':null,'y':1}}}",
     "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t','n':{'y':1}}"},
    {MERGE_PATCH, "{'data':{'o':5}}", "{'a':1,'l':[1,2],'o':5,'s':'t'}"},
    {MERGE_PATCH, "{'data':{'nope':null}}", START},
    /* JSON patch */
    {JSON_PATCH, "[]", START},
    {JSON_PATCH, "[{'op':'add','path':'/data/b','value':{'k':[]}}]",
     "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t','b':{'k':[]}}"},
    {JSON_PATCH, "[{'op':'add','path':'/data/l/0','value':0}]",
     "{'a':1,'l':[0,1,2],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {JSON_PATCH, "[{'op':'add','path':'/data/l/-','value':3}]",
     "{'a':1,'l':[1,2,3],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {JSON_PATCH, "[{'op':'add','path':'/data/l/2','value':3}]",
     "{'a':1,'l':[1,2,3],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {JSON_PATCH, "[{'op':'remove','path':'/data/o/y'}]", "{'a':1,'l':[1,2],'o':{'x':1},'s':'t'}"},
    {JSON_PATCH, "[{'op':'remove','path':'/data/l/0'}]",
     "{'a':1,'l':[2],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {JSON_PATCH, "[{'op':'replace','path':'/data/o/y/z','value':'q'}]",
     "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':'q'}},'s':'t'}"},
    {JSON_PATCH, "[{'op':'move','from':'/data/a','path':'/data/o/a'}]",
     "{'l':[1,2],'o':{'x':1,'y':{'z':2},'a':1},'s':'t'}"},
    {JSON_PATCH, "[{'op':'copy','from':'/data/l','path':'/data/m'}]",
     "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t','m':[1,2]}"},
    {JSON_PATCH, "[{'op':'test','path':'/data/o','value':{'y':{'z':2},'x':1}}]", START},
    {JSON_PATCH,
     "[{'op':'test','path':'/data/a','value':1},{'op':'remove','path':'/data/a'},"
     "{'op':'add','path':'/data/a','value':9}]",
     "{'a':9,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t'}"},
    {JSON_PATCH, "[{'op':'replace','path':'/data','value':{'q':1}}]", "{'q':1}"},
    {JSON_PATCH, "[{'op':'add','path':'/data/a~1b~0c','value':1}]",
     "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t','a/b~c':1}"},
    {JSON_PATCH, "[{'op':'add','path':'/data/','value':1}]",
     "{'a':1,'l':[1,2],'o':{'x':1,'y':{'z':2}},'s':'t','':1}"},
    {JSON_PATCH, "[{'op':'add','path':'/foo','value':1}]", START},
    {JSON_PATCH, "[{'op':'remove','path':'/data/id'}]", START},
};

static void start(void)
{
    make_collection();
    put(R "/r", START);
}

START_TEST(patched)
{
    start();
    uint64_t before = stamp();
    if (PATCHES[_i].type)
        with("Content-Type", PATCHES[_i].type);
    call("PATCH", R "/r", PATCHES[_i].body);
    want(200);
    uint64_t after = stamp();
    ck_assert_uint_gt(after, before);
    want_header("ETag", f("\"%llu\"", (unsigned long long)after));
    for (int i = 0; i < 2; i++) { /* in the answer, and as it is stored */
        const char *data = PATCHES[_i].data;
        want_at("/data", f("%.*s%s'id':'r','last_modified':%llu}", (int)strlen(data) - 1, data,
                           strlen(data) > 2 ? "," : "", (unsigned long long)after));
        want_count("/permissions/write", 1);
        call("GET", R "/r", NULL);
    }
}
END_TEST

static const struct {
    const char *body, *description;
} FAILS[] = {
    {"[{'op':'test','path':'/data/a','value':99}]",
     "1 (<class 'int'>) is not equal to tested value 99 (<class 'int'>)"},
    {"[{'op':'test','path':'/data/s','value':1}]", NULL},
    {"[{'op':'test','path':'/data/nope','value':1}]", NULL},
    {"[{'op':'test','path':'/data/l/9','value':1}]", "index '9' is out of bounds"},
    {"[{'op':'test','path':'/data/a'}]", "The operation does not contain a 'value' member"},
    {"[{'op':'move','path':'/data/m','from':'/data/nope'}]", "'nope'"},
    {"[{'op':'move','path':'/data/m'}]", "The operation does not contain a 'from' member"},
    {"[{'op':'copy','path':'/data/m'}]", "The operation does not contain a 'from' member"},
    {"[{'op':'move','path':'/data/o/k','from':'/data/o'}]",
     "Cannot move values into their own children"},
    {"[{'op':'add','path':'/data/l/9','value':1}]", "can't insert outside of list"},
    {"[{'op':'add','path':'/data/l/x','value':1}]", "'x' is not a valid sequence index"},
    {"[{'op':'add','path':'/data/l/01','value':1}]", "'01' is not a valid sequence index"},
    {"[{'op':'remove','path':'/data/l/9'}]", "can't remove a non-existent object '9'"},
    {"[{'op':'remove','path':'/foo'}]", "can't remove a non-existent object 'foo'"},
    {"[{'op':'replace','path':'/data/l/9','value':1}]", "can't replace outside of list"},
    {"[{'op':'add','path':'/data/nope/x','value':1}]", NULL},
    {"[{'op':'add','path':'/data/a/x','value':1}]", NULL},
    {"[{'op':'add','path':'/data/a~2b','value':1}]", "Found invalid escape ~2"},
    {"[{'op':'add','path':'/data/n','value':1},{'op':'test','path':'/data/n','value':2}]", NULL},
    {"[{'op':'remove','path':'/permissions/read/nope'}]",
     "can't remove a non-existent object 'nope'"},
};

/* A failed operation undoes those before it. */
START_TEST(failed_patch_changes_nothing)
{
    start();
    with("Content-Type", JSON_PATCH);
    call("PATCH", R "/r", FAILS[_i].body);
    want_invalid("body", NULL,
                 FAILS[_i].description ? f("JSON Patch operation failed: %s", FAILS[_i].description)
                                       : NULL);
    want_at("/details/0/name", "null");
    ck_assert(strstr(at("/details/0/description"), "JSON Patch operation failed: "));
    call("GET", R "/r", NULL);
    want_at("/data/l", "[1,2]");
    want_missing("/data/n");
}
END_TEST

/* ---- permissions ----------------------------------------------------------------------------- */

static const struct {
    const char *type, *body;
    const char *read; /* of the record; NULL: none. It starts as ["p","q"] */
} PERMISSIONS[] = {
    {NULL, "{'permissions':{}}", "['p','q']"},
    {NULL, "{'data':{'a':1}}", "['p','q']"},
    {NULL, "{'permissions':{'read':['z']}}", "['z']"},
    {NULL, "{'permissions':{'read':[]}}", NULL},
    {NULL, "{'permissions':{'read':null}}", "['p','q']"},
    {NULL, "{'permissions':{'write':['z']}}", "['p','q']"},
    {MERGE_PATCH, "{'permissions':{'read':null}}", NULL},
    {MERGE_PATCH, "{'permissions':{'read':['z']}}", "['z']"},
    {JSON_PATCH, "[{'op':'add','path':'/permissions/read/z'}]", "['p','q','z']"},
    {JSON_PATCH, "[{'op':'add','path':'/permissions/read/z','value':'what'}]", "['p','q','z']"},
    {JSON_PATCH, "[{'op':'remove','path':'/permissions/read/p'}]", "['q']"},
    {JSON_PATCH, "[{'op':'replace','path':'/permissions/read/p'}]", "['p','q']"},
    {JSON_PATCH, "[{'op':'test','path':'/permissions/read/p'}]", "['p','q']"},
    {JSON_PATCH, "[{'op':'add','path':'/permissions/read','value':['m']}]", "['m']"},
    {JSON_PATCH, "[{'op':'move','from':'/permissions/read/p','path':'/permissions/write/p'}]",
     "['q']"},
};

START_TEST(patched_permissions)
{
    make_collection();
    call("PUT", R "/r", "{'data':{'a':1},'permissions':{'read':['p','q']}}");
    want(201);
    uint64_t before = stamp();
    if (PERMISSIONS[_i].type)
        with("Content-Type", PERMISSIONS[_i].type);
    call("PATCH", R "/r", PERMISSIONS[_i].body);
    want(200);
    ck_assert_uint_gt(stamp(), before);
    for (int i = 0; i < 2; i++) {
        if (PERMISSIONS[_i].read)
            want_set("/permissions/read", PERMISSIONS[_i].read);
        else
            want_missing("/permissions/read");
        ck_assert_ptr_nonnull(strstr(at("/permissions/write"), "basicauth:"));
        call("GET", R "/r", NULL);
    }
}
END_TEST

START_TEST(moving_a_reader_makes_a_writer)
{
    make_collection();
    call("PUT", R "/r", "{'permissions':{'read':['p']}}");
    with("Content-Type", JSON_PATCH);
    call("PATCH", R "/r",
         "[{'op':'move','from':'/permissions/read/p','path':'/permissions/write/p'}]");
    want(200);
    want_missing("/permissions/read");
    want_count("/permissions/write", 2);
}
END_TEST

/* ---- Response-Behavior ----------------------------------------------------------------------- */

START_TEST(behaviour_light)
{
    start();
    with("Response-Behavior", "light");
    call("PATCH", R "/r", "{'data':{'a':7,'s':'t','last_modified':3}}");
    want(200);
    const char *now = f("%s", etag());
    want_body(f("{'data':{'a':7,'last_modified':%.*s}}", (int)strlen(now) - 2, now + 1));
    with("Response-Behavior", "light");
    call("PATCH", R "/r", "{'data':{'n':1}}");
    want_body("{'data':{'n':1}}");
    with("Response-Behavior", "light");
    call("PATCH", R "/r", "{'permissions':{'read':['k']}}");
    want_body("{'data':{}}");
}
END_TEST

START_TEST(behaviour_diff)
{
    start();
    with("Response-Behavior", "diff");
    call("PATCH", R "/r", "{'data':{'a':7,'n':1}}");
    want(200);
    want_body("{'data':{}}");
    with("Response-Behavior", "diff");
    call("PATCH", R "/r", "{'data':{'a':8,'last_modified':3}}");
    want_at("/data/last_modified", f("%.*s", (int)strlen(etag()) - 2, etag() + 1));
    want_count("/data", 1);
}
END_TEST

START_TEST(behaviour_full_and_wrong)
{
    start();
    with("Response-Behavior", "full");
    call("PATCH", R "/r", "{'data':{'a':7}}");
    want(200);
    want_at("/data/s", "'t'");
    want_count("/permissions/write", 1);
    static const char *const wrong[] = {"foo", "LIGHT", "light, diff"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        with("Response-Behavior", wrong[i]);
        call("PATCH", R "/r", "{'data':{'a':8}}");
        want_invalid("header", "Response-Behavior",
                     f("\"%s\" is not one of full, light, diff", wrong[i]));
    }
    call("GET", R "/r", NULL);
    want_at("/data/a", "7");
    with("Response-Behavior", "foo");
    call("PUT", R "/r", "{'data':{'a':9}}");
    want(200);
}
END_TEST

START_TEST(behaviour_on_other_resources)
{
    make("/buckets/b");
    put("/buckets/b/collections/c", "{'a':1}");
    with("Response-Behavior", "light");
    call("PATCH", "/buckets/b/collections/c", "{'data':{'z':1}}");
    want_body("{'data':{'z':1}}");
}
END_TEST

/* ---- other resources, missing objects -------------------------------------------------------- */

START_TEST(patches_on_other_resources)
{
    static const char *const paths[] = {"/buckets/b", "/buckets/b/collections/c",
                                        "/buckets/b/groups/g"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        put(paths[i], "{'a':1,'members':['x']}");
        call("PATCH", paths[i], "{'data':{'b':2}}");
        want(200);
        want_at("/data/a", "1");
        want_at("/data/b", "2");
        want_at("/data/members", "['x']");
        with("Content-Type", MERGE_PATCH);
        call("PATCH", paths[i], "{'data':{'b':null}}");
        want(200);
        want_missing("/data/b");
        with("Content-Type", JSON_PATCH);
        call("PATCH", paths[i], "[{'op':'add','path':'/data/members/-','value':'y'}]");
        want(200);
        want_at("/data/members", "['x','y']");
    }
}
END_TEST

START_TEST(patching_what_is_missing)
{
    make_collection();
    call("PATCH", R "/zz", "{'data':{'a':1}}");
    want_error(404, 110, "");
    call("PATCH", "/buckets/zz", "{'data':{'a':1}}");
    want_error(403, 121, NULL);
    with("Content-Type", JSON_PATCH);
    call("PATCH", R "/zz", "[]");
    want_error(404, 110, "");
}
END_TEST

START_TEST(patch_cannot_change_the_id)
{
    start();
    with("Content-Type", JSON_PATCH);
    call("PATCH", R "/r", "[{'op':'replace','path':'/data/id','value':'zzz'}]");
    want_invalid("body", "id", "Object id does not match existing object");
}
END_TEST

START_TEST(patch_of_data_to_no_object_is_refused)
{
    start();
    static const char *const bodies[] = {"[{'op':'remove','path':'/data'}]",
                                         "[{'op':'replace','path':'/data','value':1}]",
                                         "[{'op':'replace','path':'/data','value':null}]"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        with("Content-Type", JSON_PATCH);
        call("PATCH", R "/r", bodies[i]);
        want_error(400, 107, NULL);
    }
    call("GET", R "/r", NULL);
    want_at("/data/a", "1");
}
END_TEST

START_TEST(behaviour_on_groups)
{
    make("/buckets/b");
    put("/buckets/b/groups/g", "{'members':['x']}");
    with("Response-Behavior", "light");
    call("PATCH", "/buckets/b/groups/g", "{'data':{'z':1}}");
    want(200);
    want_body("{'data':{'z':1}}");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/patch");
    TCase *t = api_case(s, "patch", NULL);
    tcase_add_loop_test(t, patched, 0, ARRAY_LEN(PATCHES));
    tcase_add_loop_test(t, failed_patch_changes_nothing, 0, ARRAY_LEN(FAILS));
    tcase_add_loop_test(t, patched_permissions, 0, ARRAY_LEN(PERMISSIONS));
    tcase_add_test(t, moving_a_reader_makes_a_writer);
    tcase_add_test(t, behaviour_light);
    tcase_add_test(t, behaviour_diff);
    tcase_add_test(t, behaviour_full_and_wrong);
    tcase_add_test(t, behaviour_on_other_resources);
    tcase_add_test(t, patches_on_other_resources);
    tcase_add_test(t, patching_what_is_missing);
    tcase_add_test(t, patch_cannot_change_the_id);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, patch_of_data_to_no_object_is_refused);
    tcase_add_test(t, behaviour_on_groups);
    return s;
}

API_MAIN(suite, NULL)
