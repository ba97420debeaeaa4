/* JSON Patch: RFC 6902, appendix A; the messages of the reference's libraries; random patches
 * against the properties that any patch has. */
#include "test/unit/json/json_test.h"

/* ---- RFC 6902, appendix A
 * -------------------------------------------------------------------------- */

static const struct {
    const char *doc, *ops, *want; /* NULL: it fails */
} cases[] = {
    /* A.1 adding an object member */
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}]",
     "{\"foo\":\"bar\",\"baz\":\"qux\"}"},
    /* A.2 adding an array element */
    {"{\"foo\":[\"bar\",\"baz\"]}", "[{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}]",
     "{\"foo\":[\"bar\",\"qux\",\"baz\"]}"},
    /* A.3 removing an object member */
    {"{\"baz\":\"qux\",\"foo\":\"bar\"}", "[{\"op\":\"remove\",\"path\":\"/baz\"}]",
     "{\"foo\":\"bar\"}"},
    /* A.4 removing an array element */
    {"{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "[{\"op\":\"remove\",\"path\":\"/foo/1\"}]",
     "{\"foo\":[\"bar\",\"baz\"]}"},
    /* A.5 replacing a value */
    {"{\"baz\":\"qux\",\"foo\":\"bar\"}",
     "[{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}]",
     "{\"baz\":\"boo\",\"foo\":\"bar\"}"},
    /* A.6 moving a value */
    {"{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
     "[{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}]",
     "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}"},
    /* A.7 moving an array element */
    {"{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
     "[{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}]",
     "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}"},
    /* A.8 testing a value: success */
    {"{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
     "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"qux\"},{\"op\":\"test\",\"path\":\"/foo/1\","
     "\"value\":2}]",
     "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}"},
    /* A.9 testing a value: error */
    {"{\"baz\":\"qux\"}", "[{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}]", NULL},
    /* A.10 adding a nested member object */
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"grandchild\":{}}}]",
     "{\"foo\":\"bar\",\"child\":{\"grandchild\":{}}}"},
    /* A.11 ignoring unrecognized elements */
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"xyz\":123}]",
     "{\"foo\":\"bar\",\"baz\":\"qux\"}"},
    /* A.12 adding to a nonexistent target */
    {"{\"foo\":\"bar\"}", "[{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}]", NULL},
    /* A.13 invalid JSON Patch document: the last "op" counts, and there is nothing to remove */
    {"{\"foo\":\"bar\"}",
     "[{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\",\"op\":\"remove\"}]", NULL},
    /* A.14 ~ escape ordering */
    {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}]",
     "{\"/\":9,\"~1\":10}"},
    /* A.15 comparing strings and numbers */
    {"{\"/\":9,\"~1\":10}", "[{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}]", NULL},
    /* A.16 adding an array value */
    {"{\"foo\":[\"bar\"]}", "[{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[\"abc\",\"def\"]}]",
     "{\"foo\":[\"bar\",[\"abc\",\"def\"]]}"},
    /* beyond the RFC's list */
    {"{\"a\":1}", "[]", "{\"a\":1}"},
    {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"\",\"value\":[1]}]", "[1]"},
    {"{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"\",\"value\":2}]", "2"},
    {"{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":2}]", "{\"a\":2}"},
    {"{\"a\":1,\"b\":2}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":null}]",
     "{\"a\":null,\"b\":2}"},
    {"[1,2]", "[{\"op\":\"add\",\"path\":\"/2\",\"value\":3}]", "[1,2,3]"},
    {"[1,2]", "[{\"op\":\"replace\",\"path\":\"/1\",\"value\":3}]", "[1,3]"},
    {"[1,2]", "[{\"op\":\"move\",\"from\":\"/0\",\"path\":\"/-\"}]", "[2,1]"},
    {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"\"}]", "{\"b\":1}"},
    {"{\"a\":{\"b\":1}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]",
     "{\"a\":{\"b\":1}}"},
    {"{\"a\":1}", "[{\"op\":\"move\",\"from\":\"\",\"path\":\"\"}]", "{\"a\":1}"},
    {"{\"a\":1,\"ab\":2}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/ab\"}]", "{\"ab\":1}"},
    {"{\"a\":1}", "[{\"op\":\"copy\",\"from\":\"\",\"path\":\"/b\"}]", "{\"a\":1,\"b\":{\"a\":1}}"},
    {"{\"a\":[1]}",
     "[{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"},{\"op\":\"add\",\"path\":\"/b/"
     "-\",\"value\":2}]",
     "{\"a\":[1],\"b\":[1,2]}"},
    {"{\"-\":{\"-\":1}}", "[{\"op\":\"remove\",\"path\":\"/-/-\"}]", "{\"-\":{}}"},
    {"{\"a\":1}", "[{\"op\":\"test\",\"path\":\"\",\"value\":{\"a\":1.0}}]", "{\"a\":1}"},
    {"{\"a\":[{\"x\":1,\"y\":2}]}",
     "[{\"op\":\"test\",\"path\":\"/a\",\"value\":[{\"y\":2,\"x\":1}]}]",
     "{\"a\":[{\"x\":1,\"y\":2}]}"},
};

START_TEST(appendix)
{
    struct json *doc = parse(cases[_i].doc), *ops = parse(cases[_i].ops);
    str before = json_text(&arena, ops);
    struct json_patch_error error = {0};
    enum err e = json_patch_apply(&arena, &doc, ops, &error);

    if (cases[_i].want != NULL) {
        ck_assert_msg(e == OK, "%s: " STR_FMT, cases[_i].ops, STR_ARG(error.what));
        ck_assert_json(doc, cases[_i].want);
    } else {
        ck_assert_int_ne(e, OK);
        ck_assert_uint_eq(error.op, 0);
        ck_assert_uint_gt(error.what.n, 0);
    }
    ck_assert(str_eq(json_text(&arena, ops), before)); /* is not changed */
}
END_TEST

/* ---- messages
 * -------------------------------------------------------------------------------------------- */

static const char document[] =
    "{\"a\":[1,2],\"s\":\"x\",\"n\":1,\"t\":true,\"z\":null,\"o\":{\"k\":\"v\"},"
    "\"f\":1.5,\"-\":4}";

/* Each sentence is what jsonpatch 1.47 and jsonpointer said about that patch of that document. */
static const struct {
    const char *ops;
    enum err want;
    size_t op;
    const char *what;
} failures[] = {
    {"[{\"op\":\"remove\",\"path\":\"/x\"}]", ERR_NOTFOUND, 0,
     "can't remove a non-existent object 'x'"},
    {"[{\"op\":\"replace\",\"path\":\"/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "can't replace a non-existent object 'x'"},
    {"[{\"op\":\"test\",\"path\":\"/x\",\"value\":3}]", ERR_CONFLICT, 0,
     "member 'x' not found in {'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': "
     "'v'}, 'f': 1.5, '-': 4}"},
    {"[{\"op\":\"copy\",\"from\":\"/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0, "'x'"},
    {"[{\"op\":\"move\",\"from\":\"/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0, "'x'"},
    {"[{\"op\":\"remove\",\"path\":\"/a/5\"}]", ERR_NOTFOUND, 0,
     "can't remove a non-existent object '5'"},
    {"[{\"op\":\"add\",\"path\":\"/a/5\",\"value\":3}]", ERR_NOTFOUND, 0,
     "can't insert outside of list"},
    {"[{\"op\":\"replace\",\"path\":\"/a/5\",\"value\":3}]", ERR_NOTFOUND, 0,
     "can't replace outside of list"},
    {"[{\"op\":\"test\",\"path\":\"/a/5\",\"value\":3}]", ERR_CONFLICT, 0,
     "index '5' is out of bounds"},
    {"[{\"op\":\"copy\",\"from\":\"/a/5\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "list index out of range"},
    {"[{\"op\":\"move\",\"from\":\"/a/5\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "list index out of range"},
    {"[{\"op\":\"move\",\"path\":\"/a/5\",\"from\":\"/s\"}]", ERR_NOTFOUND, 0,
     "can't insert outside of list"},
    {"[{\"op\":\"copy\",\"path\":\"/a/5\",\"from\":\"/s\"}]", ERR_NOTFOUND, 0,
     "can't insert outside of list"},
    {"[{\"op\":\"remove\",\"path\":\"/a/-\"}]", ERR_NOTFOUND, 0, "invalid array index '-'"},
    {"[{\"op\":\"replace\",\"path\":\"/a/-\",\"value\":3}]", ERR_SYNTAX, 0,
     "'path' with '-' can't be applied to 'replace' operation"},
    {"[{\"op\":\"test\",\"path\":\"/a/-\",\"value\":3}]", ERR_CONFLICT, 0,
     "EndOfList([1, 2]) (<class 'jsonpointer.EndOfList'>) is not equal to tested value 3 (<class "
     "'int'>)"},
    {"[{\"op\":\"copy\",\"from\":\"/a/-\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "invalid array index '-'"},
    {"[{\"op\":\"move\",\"from\":\"/a/-\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "invalid array index '-'"},
    {"[{\"op\":\"remove\",\"path\":\"/a/x\"}]", ERR_SYNTAX, 0, "'x' is not a valid sequence index"},
    {"[{\"op\":\"add\",\"path\":\"/a/x\",\"value\":3}]", ERR_SYNTAX, 0,
     "'x' is not a valid sequence index"},
    {"[{\"op\":\"replace\",\"path\":\"/a/x\",\"value\":3}]", ERR_SYNTAX, 0,
     "'x' is not a valid sequence index"},
    {"[{\"op\":\"test\",\"path\":\"/a/x\",\"value\":3}]", ERR_CONFLICT, 0,
     "'x' is not a valid sequence index"},
    {"[{\"op\":\"copy\",\"from\":\"/a/x\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "'x' is not a valid sequence index"},
    {"[{\"op\":\"move\",\"from\":\"/a/x\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "'x' is not a valid sequence index"},
    {"[{\"op\":\"remove\",\"path\":\"/a/01\"}]", ERR_SYNTAX, 0,
     "'01' is not a valid sequence index"},
    {"[{\"op\":\"add\",\"path\":\"/a/01\",\"value\":3}]", ERR_SYNTAX, 0,
     "'01' is not a valid sequence index"},
    {"[{\"op\":\"replace\",\"path\":\"/a/01\",\"value\":3}]", ERR_SYNTAX, 0,
     "'01' is not a valid sequence index"},
    {"[{\"op\":\"test\",\"path\":\"/a/01\",\"value\":3}]", ERR_CONFLICT, 0,
     "'01' is not a valid sequence index"},
    {"[{\"op\":\"copy\",\"from\":\"/a/01\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "'01' is not a valid sequence index"},
    {"[{\"op\":\"move\",\"from\":\"/a/01\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "'01' is not a valid sequence index"},
    {"[{\"op\":\"remove\",\"path\":\"/s/0\"}]", ERR_NOTFOUND, 0,
     "Cannot apply token '0' to non-container type <class 'str'>"},
    {"[{\"op\":\"add\",\"path\":\"/s/0\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Cannot apply token '0' to non-container type <class 'str'>"},
    {"[{\"op\":\"replace\",\"path\":\"/s/0\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Cannot apply token '0' to non-container type <class 'str'>"},
    {"[{\"op\":\"test\",\"path\":\"/s/0\",\"value\":3}]", ERR_CONFLICT, 0,
     "Cannot apply token '0' to non-container type <class 'str'>"},
    {"[{\"op\":\"copy\",\"from\":\"/s/0\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Cannot apply token '0' to non-container type <class 'str'>"},
    {"[{\"op\":\"move\",\"from\":\"/s/0\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Cannot apply token '0' to non-container type <class 'str'>"},
    {"[{\"op\":\"move\",\"path\":\"/s/0\",\"from\":\"/s\"}]", ERR_CONFLICT, 0,
     "Cannot move values into their own children"},
    {"[{\"op\":\"remove\",\"path\":\"/n/0\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'int'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"add\",\"path\":\"/n/0\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'int'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"replace\",\"path\":\"/n/0\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'int'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"test\",\"path\":\"/n/0\",\"value\":3}]", ERR_CONFLICT, 0,
     "Document '<class 'int'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"copy\",\"from\":\"/n/0\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'int'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"move\",\"from\":\"/n/0\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'int'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"remove\",\"path\":\"/f/0\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'float'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"add\",\"path\":\"/f/0\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'float'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"replace\",\"path\":\"/f/0\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'float'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"test\",\"path\":\"/f/0\",\"value\":3}]", ERR_CONFLICT, 0,
     "Document '<class 'float'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"copy\",\"from\":\"/f/0\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'float'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"move\",\"from\":\"/f/0\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'float'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"remove\",\"path\":\"/t/x\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'bool'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"add\",\"path\":\"/t/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'bool'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"replace\",\"path\":\"/t/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'bool'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"test\",\"path\":\"/t/x\",\"value\":3}]", ERR_CONFLICT, 0,
     "Document '<class 'bool'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"copy\",\"from\":\"/t/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'bool'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"move\",\"from\":\"/t/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'bool'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"remove\",\"path\":\"/z/x\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'NoneType'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"add\",\"path\":\"/z/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'NoneType'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"replace\",\"path\":\"/z/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'NoneType'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"test\",\"path\":\"/z/x\",\"value\":3}]", ERR_CONFLICT, 0,
     "Document '<class 'NoneType'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"copy\",\"from\":\"/z/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'NoneType'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"move\",\"from\":\"/z/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'NoneType'>' does not support indexing, must be mapping/sequence or support "
     "__getitem__"},
    {"[{\"op\":\"remove\",\"path\":\"/o/k/x\"}]", ERR_NOTFOUND, 0,
     "Cannot apply token 'x' to non-container type <class 'str'>"},
    {"[{\"op\":\"add\",\"path\":\"/o/k/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Cannot apply token 'x' to non-container type <class 'str'>"},
    {"[{\"op\":\"replace\",\"path\":\"/o/k/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Cannot apply token 'x' to non-container type <class 'str'>"},
    {"[{\"op\":\"test\",\"path\":\"/o/k/x\",\"value\":3}]", ERR_CONFLICT, 0,
     "Cannot apply token 'x' to non-container type <class 'str'>"},
    {"[{\"op\":\"copy\",\"from\":\"/o/k/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Cannot apply token 'x' to non-container type <class 'str'>"},
    {"[{\"op\":\"move\",\"from\":\"/o/k/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Cannot apply token 'x' to non-container type <class 'str'>"},
    {"[{\"op\":\"remove\",\"path\":\"/q/x\"}]", ERR_NOTFOUND, 0,
     "member 'q' not found in {'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': "
     "'v'}, 'f': 1.5, '-': 4}"},
    {"[{\"op\":\"add\",\"path\":\"/q/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "member 'q' not found in {'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': "
     "'v'}, 'f': 1.5, '-': 4}"},
    {"[{\"op\":\"replace\",\"path\":\"/q/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "member 'q' not found in {'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': "
     "'v'}, 'f': 1.5, '-': 4}"},
    {"[{\"op\":\"test\",\"path\":\"/q/x\",\"value\":3}]", ERR_CONFLICT, 0,
     "member 'q' not found in {'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': "
     "'v'}, 'f': 1.5, '-': 4}"},
    {"[{\"op\":\"copy\",\"from\":\"/q/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "member 'q' not found in {'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': "
     "'v'}, 'f': 1.5, '-': 4}"},
    {"[{\"op\":\"move\",\"from\":\"/q/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "member 'q' not found in {'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': "
     "'v'}, 'f': 1.5, '-': 4}"},
    {"[{\"op\":\"move\",\"path\":\"/q/x\",\"from\":\"/s\"}]", ERR_NOTFOUND, 0,
     "member 'q' not found in {'a': [1, 2], 'n': 1, 't': True, 'z': None, 'o': {'k': 'v'}, 'f': "
     "1.5, '-': 4}"},
    {"[{\"op\":\"remove\",\"path\":\"x\"}]", ERR_SYNTAX, 0, "Location must start with /"},
    {"[{\"op\":\"add\",\"path\":\"x\",\"value\":3}]", ERR_SYNTAX, 0, "Location must start with /"},
    {"[{\"op\":\"replace\",\"path\":\"x\",\"value\":3}]", ERR_SYNTAX, 0,
     "Location must start with /"},
    {"[{\"op\":\"test\",\"path\":\"x\",\"value\":3}]", ERR_SYNTAX, 0, "Location must start with /"},
    {"[{\"op\":\"copy\",\"from\":\"x\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "Location must start with /"},
    {"[{\"op\":\"move\",\"from\":\"x\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "Location must start with /"},
    {"[{\"op\":\"remove\",\"path\":\"/a~2\"}]", ERR_SYNTAX, 0, "Found invalid escape ~2"},
    {"[{\"op\":\"add\",\"path\":\"/a~2\",\"value\":3}]", ERR_SYNTAX, 0, "Found invalid escape ~2"},
    {"[{\"op\":\"replace\",\"path\":\"/a~2\",\"value\":3}]", ERR_SYNTAX, 0,
     "Found invalid escape ~2"},
    {"[{\"op\":\"test\",\"path\":\"/a~2\",\"value\":3}]", ERR_SYNTAX, 0, "Found invalid escape ~2"},
    {"[{\"op\":\"copy\",\"from\":\"/a~2\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "Found invalid escape ~2"},
    {"[{\"op\":\"move\",\"from\":\"/a~2\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "Found invalid escape ~2"},
    {"[{\"op\":\"remove\",\"path\":\"/a~\303\251\"}]", ERR_SYNTAX, 0,
     "Found invalid escape ~\303\251"},
    {"[{\"op\":\"add\",\"path\":\"/a~\303\251\",\"value\":3}]", ERR_SYNTAX, 0,
     "Found invalid escape ~\303\251"},
    {"[{\"op\":\"replace\",\"path\":\"/a~\303\251\",\"value\":3}]", ERR_SYNTAX, 0,
     "Found invalid escape ~\303\251"},
    {"[{\"op\":\"test\",\"path\":\"/a~\303\251\",\"value\":3}]", ERR_SYNTAX, 0,
     "Found invalid escape ~\303\251"},
    {"[{\"op\":\"copy\",\"from\":\"/a~\303\251\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "Found invalid escape ~\303\251"},
    {"[{\"op\":\"move\",\"from\":\"/a~\303\251\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "Found invalid escape ~\303\251"},
    {"[{\"op\":\"remove\",\"path\":\"/~\"}]", ERR_SYNTAX, 0, "Found invalid escape ~"},
    {"[{\"op\":\"add\",\"path\":\"/~\",\"value\":3}]", ERR_SYNTAX, 0, "Found invalid escape ~"},
    {"[{\"op\":\"replace\",\"path\":\"/~\",\"value\":3}]", ERR_SYNTAX, 0, "Found invalid escape ~"},
    {"[{\"op\":\"test\",\"path\":\"/~\",\"value\":3}]", ERR_SYNTAX, 0, "Found invalid escape ~"},
    {"[{\"op\":\"copy\",\"from\":\"/~\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "Found invalid escape ~"},
    {"[{\"op\":\"move\",\"from\":\"/~\",\"path\":\"/new\"}]", ERR_SYNTAX, 0,
     "Found invalid escape ~"},
    {"[{\"op\":\"remove\",\"path\":\"/a/-/x\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'jsonpointer.EndOfList'>' does not support indexing, must be "
     "mapping/sequence or support __getitem__"},
    {"[{\"op\":\"add\",\"path\":\"/a/-/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'jsonpointer.EndOfList'>' does not support indexing, must be "
     "mapping/sequence or support __getitem__"},
    {"[{\"op\":\"replace\",\"path\":\"/a/-/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "Document '<class 'jsonpointer.EndOfList'>' does not support indexing, must be "
     "mapping/sequence or support __getitem__"},
    {"[{\"op\":\"test\",\"path\":\"/a/-/x\",\"value\":3}]", ERR_CONFLICT, 0,
     "Document '<class 'jsonpointer.EndOfList'>' does not support indexing, must be "
     "mapping/sequence or support __getitem__"},
    {"[{\"op\":\"copy\",\"from\":\"/a/-/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'jsonpointer.EndOfList'>' does not support indexing, must be "
     "mapping/sequence or support __getitem__"},
    {"[{\"op\":\"move\",\"from\":\"/a/-/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "Document '<class 'jsonpointer.EndOfList'>' does not support indexing, must be "
     "mapping/sequence or support __getitem__"},
    {"[{\"op\":\"remove\",\"path\":\"/a/9/x\"}]", ERR_NOTFOUND, 0, "index '9' is out of bounds"},
    {"[{\"op\":\"add\",\"path\":\"/a/9/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "index '9' is out of bounds"},
    {"[{\"op\":\"replace\",\"path\":\"/a/9/x\",\"value\":3}]", ERR_NOTFOUND, 0,
     "index '9' is out of bounds"},
    {"[{\"op\":\"test\",\"path\":\"/a/9/x\",\"value\":3}]", ERR_CONFLICT, 0,
     "index '9' is out of bounds"},
    {"[{\"op\":\"copy\",\"from\":\"/a/9/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "index '9' is out of bounds"},
    {"[{\"op\":\"move\",\"from\":\"/a/9/x\",\"path\":\"/new\"}]", ERR_NOTFOUND, 0,
     "index '9' is out of bounds"},
    {"[{\"op\":\"remove\",\"path\":\"/a/2\"}]", ERR_NOTFOUND, 0,
     "can't remove a non-existent object '2'"},
    {"[{\"op\":\"test\",\"path\":\"/a/2\",\"value\":3}]", ERR_CONFLICT, 0,
     "index '2' is out of bounds"},
    {"[{\"op\":\"remove\",\"path\":\"\"}]", ERR_CONFLICT, 0, "can't remove the whole document"},
    {"[{\"op\":\"remove\",\"path\":\"/a/99999999999999999999\"}]", ERR_NOTFOUND, 0,
     "can't remove a non-existent object '99999999999999999999'"},
    {"[{\"op\":\"test\",\"path\":\"/a/99999999999999999999\",\"value\":1}]", ERR_CONFLICT, 0,
     "index '99999999999999999999' is out of bounds"},
    {"[{\"op\":\"move\",\"from\":\"/a/99999999999999999999\",\"path\":\"/x\"}]", ERR_NOTFOUND, 0,
     "cannot fit 'int' into an index-sized integer"},
    {"[{\"op\":\"copy\",\"from\":\"/it's\",\"path\":\"/x\"}]", ERR_NOTFOUND, 0, "\"it's\""},
    {"[{\"op\":\"test\",\"path\":\"/a\",\"value\":{\"x\":[1,null,true,1.5,\"it's\"]}}]",
     ERR_CONFLICT, 0,
     "[1, 2] (<class 'list'>) is not equal to tested value {'x': [1, None, True, 1.5, \"it's\"]} "
     "(<class 'dict'>)"},
    {"[{\"op\":\"test\",\"path\":\"/s\",\"value\":\"it's\"}]", ERR_CONFLICT, 0,
     "x (<class 'str'>) is not equal to tested value it's (<class 'str'>)"},
    {"[{\"op\":\"test\",\"path\":\"/t\",\"value\":1}]", ERR_CONFLICT, 0,
     "True (<class 'bool'>) is not equal to tested value 1 (<class 'int'>)"},
    {"[{\"op\":\"test\",\"path\":\"/n\",\"value\":true}]", ERR_CONFLICT, 0,
     "1 (<class 'int'>) is not equal to tested value True (<class 'bool'>)"},
    {"[{\"op\":\"test\",\"path\":\"\",\"value\":{}}]", ERR_CONFLICT, 0,
     "{'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': 'v'}, 'f': 1.5, '-': 4} "
     "(<class 'dict'>) is not equal to tested value {} (<class 'dict'>)"},
    {"[{\"op\":\"test\",\"path\":\"/n\",\"value\":1e+30}]", ERR_CONFLICT, 0,
     "1 (<class 'int'>) is not equal to tested value 1e+30 (<class 'float'>)"},
    {"[{\"op\":\"add\",\"path\":\"/n\"}]", ERR_SYNTAX, 0,
     "The operation does not contain a 'value' member"},
    {"[{\"op\":\"replace\",\"path\":\"/n\"}]", ERR_SYNTAX, 0,
     "The operation does not contain a 'value' member"},
    {"[{\"op\":\"test\",\"path\":\"/n\"}]", ERR_SYNTAX, 0,
     "The operation does not contain a 'value' member"},
    {"[{\"op\":\"test\",\"path\":\"/none\"}]", ERR_CONFLICT, 0,
     "member 'none' not found in {'a': [1, 2], 's': 'x', 'n': 1, 't': True, 'z': None, 'o': {'k': "
     "'v'}, 'f': 1.5, '-': 4}"},
    {"[{\"op\":\"move\",\"path\":\"/x\"}]", ERR_SYNTAX, 0,
     "The operation does not contain a 'from' member"},
    {"[{\"op\":\"copy\",\"path\":\"/x\"}]", ERR_SYNTAX, 0,
     "The operation does not contain a 'from' member"},
    {"[{\"op\":\"move\",\"path\":\"/x\",\"from\":5}]", ERR_SYNTAX, 0, "Invalid 'from'"},
    {"[{\"op\":\"test\",\"path\":\"/n\",\"value\":9},{\"op\":\"copy\",\"path\":\"/"
     "x\",\"from\":\"bad\"}]",
     ERR_CONFLICT, 0, "1 (<class 'int'>) is not equal to tested value 9 (<class 'int'>)"},
    {"[{\"op\":\"add\",\"path\":\"/new\",\"value\":1},{\"op\":\"remove\",\"path\":\"/"
     "new\"},{\"op\":\"remove\",\"path\":\"/new\"}]",
     ERR_NOTFOUND, 2, "can't remove a non-existent object 'new'"},
    {"[{\"path\":\"/x\"}]", ERR_SYNTAX, 0, "Operation does not contain 'op' member"},
    {"[{\"op\":\"nop\",\"path\":\"/x\"}]", ERR_SYNTAX, 0, "Unknown operation 'nop'"},
    {"[{\"op\":\"it's\",\"path\":\"/x\"}]", ERR_SYNTAX, 0, "Unknown operation \"it's\""},
    {"[{\"op\":1,\"path\":\"/x\"}]", ERR_SYNTAX, 0, "Operation's op must be a string"},
    {"[{\"op\":\"add\"}]", ERR_SYNTAX, 0, "Operation must have a 'path' member"},
    {"[{\"op\":\"add\",\"path\":1,\"value\":1}]", ERR_SYNTAX, 0, "Invalid 'path'"},
    {"[5]", ERR_SYNTAX, 0, "Operation must be an object"},
};

START_TEST(messages)
{
    struct json *doc = parse(document), *before = doc;
    struct json_patch_error error = {.op = 99};
    enum err e = json_patch_apply(&arena, &doc, parse(failures[_i].ops), &error);

    ck_assert_str_is(error.what, failures[_i].what);
    ck_assert_uint_eq(error.op, failures[_i].op);
    ck_assert_msg(e == failures[_i].want, "%s: %d", failures[_i].ops, e);
    ck_assert_ptr_eq(doc, before);
}
END_TEST

/* A bad pointer anywhere is found before anything is done. */
START_TEST(pointers_first)
{
    struct json *doc = parse("{}");
    struct json_patch_error error;
    struct json *ops =
        parse("[{\"op\":\"add\",\"path\":\"/a\",\"value\":1},{\"op\":\"remove\",\"path\":"
              "\"a\"}]");

    ck_assert_int_eq(json_patch_apply(&arena, &doc, ops, &error), ERR_SYNTAX);
    ck_assert_uint_eq(error.op, 1);
    ck_assert_json(doc, "{}");
}
END_TEST

/* Copying a document into itself again and again: the depth ends it, or the number of values. */
START_TEST(copy_bombs)
{
    struct json *doc = parse("{\"a\":{}}"), *ops = json_new_array(&arena);
    struct json *op = parse("{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a\"}");
    struct json *twice = parse("{\"op\":\"copy\",\"from\":\"\",\"path\":\"/b\"}");
    struct json_patch_error error;
    enum err e;

    for (int i = 0; i < JSON_MAX_DEPTH; i++)
        ck_assert_int_eq(json_push(&arena, ops, json_copy(&arena, op)), OK);
    ck_assert_int_eq(json_patch_apply(&arena, &doc, ops, &error), ERR_LIMIT);
    ck_assert_str_is(error.what, "Nested too deeply.");
    ck_assert_uint_eq(error.op, JSON_MAX_DEPTH - 2);

    doc = parse("{\"a\":{},\"b\":{}}");
    ops = json_new_array(&arena);
    for (int i = 0; i < 60; i++)
        ck_assert_int_eq(json_push(&arena, ops, json_copy(&arena, i % 2 ? op : twice)), OK);
    e = json_patch_apply(&arena, &doc, ops, &error);
    ck_assert_int_eq(e, ERR_LIMIT);
    ck_assert_str_is(error.what, "The operations copy too many values.");
    ck_assert(!arena_failed(&arena));
}
END_TEST

/* ---- random patches
 * ------------------------------------------------------------------------------------------ */

/* A pointer to something in v, or nearly. */
static str random_pointer(struct random *r, const struct json *v)
{
    struct buf b;

    buf_init_arena(&b, &arena, MIB);
    while (random_below(r, 4) > 0) {
        struct json *next = NULL;
        str name = STR("zz");
        if (json_count(v) == 0)
            break;
        if (json_is(v, JSON_OBJECT)) {
            ck_assert(json_member(v, random_below(r, (unsigned)json_count(v)), &name, &next));
        } else {
            unsigned i = random_below(r, (unsigned)json_count(v) + 1);
            next = json_at(v, i);
            name = arena_printf(&arena, next != NULL ? "%u" : "-", i);
        }
        buf_add_char(&b, '/');
        for (size_t i = 0; i < name.n; i++)
            buf_add_str(&b, name.p[i] == '/'   ? STR("~1")
                            : name.p[i] == '~' ? STR("~0")
                                               : str_sub(name, i, 1));
        v = next;
    }
    return buf_str(&b);
}

static struct json *random_operation(struct random *r, const struct json *doc)
{
    static const char *const ops[] = {"add", "remove", "replace", "move", "copy"};
    struct json *op = json_new_object(&arena);
    const char *name = ops[random_below(r, ARRAY_LEN(ops))];

    ck_assert_int_eq(json_set(&arena, op, STR("op"), json_new_string(&arena, str_from(name))), OK);
    ck_assert_int_eq(
        json_set(&arena, op, STR("path"), json_new_string(&arena, random_pointer(r, doc))), OK);
    ck_assert_int_eq(
        json_set(&arena, op, STR("from"), json_new_string(&arena, random_pointer(r, doc))), OK);
    ck_assert_int_eq(json_set(&arena, op, STR("value"), random_value(r, 2)), OK);
    return op;
}

/* What an operation promises can be read off the result by a pointer. */
static void check_result(const struct json *before, const struct json *op, const struct json *after)
{
    str name = json_string(json_get(op, STR("op"))), path = json_string(json_get(op, STR("path")));
    str from = json_string(json_get(op, STR("from")));
    struct json *want = json_get(op, STR("value")), *got = NULL;
    bool has_source = str_eq(name, STR("move")) || str_eq(name, STR("copy"));

    if (has_source)
        ck_assert_int_eq(json_pointer_get(&arena, before, from, &want), OK);
    if (str_eq(name, STR("remove")) || str_ends(path, STR("-")))
        return;
    ck_assert_int_eq(json_pointer_get(&arena, after, path, &got), OK);
    ck_assert(json_equal(got, want));
}

START_TEST(random_patches)
{
    struct random r = random_start();
    int applied = 0;

    for (int i = 0; i < 3000; i++) {
        struct json *doc = random_value(&r, 4), *before = json_copy(&arena, doc);
        struct json *ops = json_new_array(&arena), *op = random_operation(&r, doc);
        struct json_patch_error error;
        ck_assert_int_eq(json_push(&arena, ops, op), OK);
        if (json_patch_apply(&arena, &doc, ops, &error) == OK) {
            check_result(before, op, doc);
            ck_assert(json_equal(doc, parse_str(json_text(&arena, doc))));
            applied++;
        } else {
            ck_assert_uint_gt(error.what.n, 0);
            ck_assert(str_utf8_valid(error.what));
        }
        arena_reset(&arena);
    }
    ck_assert_int_gt(applied, 300);
}
END_TEST

static enum err patch(struct arena *a)
{
    static const str doc_text = STR_INIT("{\"a\":[1,2],\"b/c\":{\"d\":1}}");
    static const str ops_text = STR_INIT(
        "[{\"op\":\"add\",\"path\":\"/b~1c/x\",\"value\":[{\"y\":[]}]},{\"op\":\"copy\",\"from\":"
        "\"/b~1c\",\"path\":\"/a/-\"},{\"op\":\"move\",\"from\":\"/a/0\",\"path\":\"/new\"},"
        "{\"op\":\"test\",\"path\":\"/new\",\"value\":2}]");
    struct json *doc, *ops;
    struct json_patch_error error = {0};
    enum err e;

    if (json_parse(a, doc_text, &doc, NULL) != OK || json_parse(a, ops_text, &ops, NULL) != OK)
        return ERR_NOMEM;
    e = json_patch_apply(a, &doc, ops, &error);
    if (e == ERR_NOMEM)
        return e;
    ck_assert_int_eq(e, ERR_CONFLICT); /* and the message takes memory, too */
    ck_assert_str_is(error.what,
                     "1 (<class 'int'>) is not equal to tested value 2 (<class 'int'>)");
    return OK;
}

START_TEST(out_of_memory)
{
    torture(patch);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("json patch");
    TCase *t = tcase_create("patch");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, appendix, 0, (int)ARRAY_LEN(cases));
    tcase_add_loop_test(t, messages, 0, (int)ARRAY_LEN(failures));
    tcase_add_test(t, pointers_first);
    tcase_add_test(t, copy_bombs);
    tcase_add_test(t, random_patches);
    tcase_add_test(t, out_of_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
