/*
 * What plugins build on, with a plugin of the test's own: a kind of objects below collections
 * ("note"), listeners, and work that is done on other threads while a request is parked.
 */
#include "test/unit/api/api_test.h"

/* ---- the plugin ------------------------------------------------------------------------------ */

struct doubling {
    struct api_work work;
    long in, out;
};

static pthread_t loop_thread;
static unsigned doublings;

static enum err run_double(struct api_work *w)
{
    struct doubling *d = CONTAINER_OF(w, struct doubling, work);

    ck_assert(!pthread_equal(pthread_self(), loop_thread));
    ck_assert_ptr_nonnull(ARENA_NEW(w->arena, int)); /* the request's arena may be used */
    ck_assert_ptr_null(w->arena->spares);            /* without what its loop goes on using */
    d->out = 2 * d->in;
    __atomic_add_fetch(&doublings, 1, __ATOMIC_RELAXED);
    return d->in < 0 ? ERR_RANGE : OK;
}

/* NEXT: *out is twice the number. */
static enum api_step twice(struct api_req *r, str number, long *out)
{
    struct doubling *d = (struct doubling *)api_work_done(r, run_double, number);

    if (d == NULL) {
        d = ARENA_NEW(api_arena(r), struct doubling);
        enum api_step s = api_work_begin(r, &d->work, run_double, number, POOL_COMPUTE);
        d->in = strtol(arena_cstr(api_arena(r), number), NULL, 10);
        return s;
    }
    *out = d->out;
    return d->work.result == OK ? STEP_NEXT : api_fail_err(r, d->work.result);
}

/* The number stands behind "?". */
static enum api_step get_double(struct api_req *r)
{
    long n = 0;
    enum api_step s = twice(r, r->query, &n);

    if (s != STEP_NEXT)
        return s;
    return api_reply_json(r, 200, arena_printf(api_arena(r), "{\"twice\":%ld}", n));
}

static enum api_step double_text(void *ctx, struct api_req *r, struct json *data)
{
    (void)ctx;
    const struct json *text = json_get_typed(data, STR("number"), JSON_STRING);
    long n = 0;
    enum api_step s = text ? twice(r, json_string(text), &n) : STEP_NEXT;

    if (s == STEP_NEXT && text)
        ck_assert_ok(json_set(api_arena(r), data, STR("number"), json_new_i64(api_arena(r), n)));
    return s;
}

static struct {
    unsigned n; /* of all; of the first of them also what */
    enum api_action action[32];
    char uri[32][96], old[32][160], now[32][160];
} told;
static const char *refused; /* the URI of a change that the listener refuses */
static enum api_error refused_as = API_ERR_INTERNAL;

static void keep_text(char out[160], const struct store_object *o)
{
    snprintf(out, 160, STR_FMT, STR_ARG(o ? o->data : STR("")));
}

static const char *kept_for; /* a principal that may read what the listener keeps of deletions */

/* As a plugin does that keeps a history. In a list that may lie before or behind those of the
 * request. */
static void keep_trace(struct api_req *r, const struct api_change *c)
{
    const struct store_ace ace = {str_from(kept_for), STORE_PERM_READ};
    const struct store_put put_ = {
        .id = STR("trace"), .data = json_new_object(api_arena(r)), .acl = &ace, .nacl = 1};
    struct store_object o;

    ck_assert_ok(store_put(api_session(r), api_arena(r),
                           (struct store_list_id){STR("trace"), c->list.parent}, &put_, &o));
}

static unsigned wanted_behind; /* so many functions are to be called behind the commit */
static unsigned behind[MAX_AFTERS + 1];

static void count_behind(void *ctx)
{
    ck_assert(pthread_equal(pthread_self(), loop_thread));
    ++*(unsigned *)ctx;
}

static void want_behind(struct api_req *r)
{
    for (int again = 0; again < 2; again++)
        for (unsigned i = 0; i < wanted_behind; i++)
            ck_assert_int_eq(api_after_commit(r, count_behind, &behind[i]),
                             i < MAX_AFTERS ? OK : ERR_LIMIT);
}

static enum api_step on_change(void *ctx, struct api_req *r, const struct api_change *c)
{
    (void)ctx;
    if (told.n < ARRAY_LEN(told.action)) {
        told.action[told.n] = c->action;
        snprintf(told.uri[told.n], sizeof told.uri[0], STR_FMT, STR_ARG(c->uri));
        keep_text(told.old[told.n], c->old);
        keep_text(told.now[told.n], c->now);
    }
    told.n++;
    ck_assert(store_is_writing(api_session(r)));
    api_set_header(r, STR("Told"), arena_printf(api_arena(r), "%u", told.n));
    if (kept_for && c->action != ACTION_CREATE)
        keep_trace(r, c);
    want_behind(r);
    return refused && str_eq(c->uri, str_from(refused)) ? api_fail(r, refused_as) : STEP_NEXT;
}

/* "last" is the note with the greatest number. */
static enum err find_note(void *ctx, struct api_req *r, struct store_list_id list, str id,
                          struct store_object *out)
{
    (void)ctx;
    if (!str_eq(id, STR("last")))
        return store_get(api_session(r), api_arena(r), list, id, out);
    const struct store_sort sort = {STR("number"), true};
    const struct store_query q = {.sort = &sort, .nsort = 1, .limit = 1};
    struct store_result found;
    enum err e = store_query(api_session(r), api_arena(r), list, &q, &found);
    if (e == OK && found.count == 0)
        return ERR_NOTFOUND;
    if (e == OK)
        *out = found.objects[0];
    return e;
}

/* Bob sees no more than what is new, and nothing but its number. */
static bool is_bob(struct api_req *r)
{
    return str_eq(api_principals(r)->names[0], api_user_id(r)) &&
           str_find_str(api_req_header(r, "Authorization"), STR("Ym9iOng=")) != STR_NPOS;
}

static int64_t new_since;

static enum api_step enter(void *ctx, struct api_req *r)
{
    (void)ctx;
    ck_assert_str_is(api_list(r).resource, "note");
    ck_assert_ptr_null(api_remembered(r)); /* every run begins anew */
    api_remember(r, arena_zalloc(api_arena(r), 1));
    if (is_bob(r))
        api_only_since(r, new_since);
    return api_method_of(r) == METHOD_DELETE ? api_fail(r, API_ERR_FORBIDDEN) : STEP_NEXT;
}

static enum err show_note(void *ctx, struct api_req *r, const struct store_object *o, bool listed,
                          struct api_shown *out)
{
    struct json_raw number;
    (void)ctx;
    ck_assert_ptr_nonnull(api_remembered(r));
    if (!is_bob(r))
        return OK;
    if (!json_scan_member(o->data, STR("number"), &number))
        number.text = STR("null");
    out->data = ARENA_JOIN(api_arena(r), STR("{\"number\":"), number.text,
                           listed ? STR(",\"listed\":true}") : STR("}"));
    out->permissions = STR("{\"none\":[]}");
    return OK;
}

/* Makes a record of the note. */
static enum api_step post_note(void *ctx, struct api_req *r)
{
    (void)ctx;
    enum api_step s = api_require_object(r);
    if (s != STEP_NEXT)
        return s;
    str body = ARENA_JOIN(api_arena(r), STR("{\"data\":{\"note\":"), api_object(r)->data,
                          STR("},\"permissions\":{\"read\":[\"x:y\"]}}"));
    return api_handle_as(r, METHOD_PUT, STR("/buckets/b/collections/c/records/made"), body);
}

static enum api_step get_parts(struct api_req *r)
{
    str answer =
        ARENA_JOIN(api_arena(r), STR("[\""), api_path_value(r, "a"), STR("\",\""),
                   api_path_value(r, "b"), STR("\",\""), api_path_value(r, "c"), STR("\"]"));
    return api_reply_json(r, 200, answer);
}

static const char *const note_fields[] = {"id", "last_modified", "number", "text", NULL};

#define ROW(key, type, def)                                                                        \
    {                                                                                              \
        "kinto." key, SETTING_##type, 0, 100, def, "", NULL, ""                                    \
    }

static const struct setting_row note_settings[] = {
    ROW("note_create_principals", LIST, NULL),
    ROW("note_read_principals", LIST, NULL),
    ROW("note_write_principals", LIST, NULL),
    ROW("note_cache_expires_seconds", INT, NULL),
    ROW("note_id_generator", STRING, "x.NameGenerator"),
    ROW("plural_note_get_enabled", BOOL, "true"),
    ROW("plural_note_head_enabled", BOOL, "true"),
    ROW("plural_note_post_enabled", BOOL, "true"),
    ROW("object_note_get_enabled", BOOL, "true"),
    ROW("object_note_put_enabled", BOOL, "true"),
    ROW("object_note_post_enabled", BOOL, "true"),
    ROW("object_note_delete_enabled", BOOL, "false"),
};

static const struct api_resource note = {
    .name = "note",
    .plural = "notices",
    .parent = KIND_COLLECTION,
    .plural_methods = METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_HEAD) | METHOD_BIT(METHOD_POST),
    .doc.post = "Make a record of it.",
    .doc.prefix = "short_",
    .object_methods = METHOD_BIT(METHOD_GET) | METHOD_BIT(METHOD_PUT) | METHOD_BIT(METHOD_POST) |
                      METHOD_BIT(METHOD_DELETE),
    .fields = note_fields,
    .doc.data = "{\"type\":\"object\"}",
    .process = double_text,
    .text_fields = note_fields + 3,
    .find = find_note,
    .enter = enter,
    .show = show_note,
    .post = post_note,
};

#define C     "/v1/buckets/b/collections/c"
#define NOTES C "/notices"

static void setup_note(void)
{
    static const struct api_endpoint doubles = {
        .path = "/double",
        .methods = METHOD_BIT(METHOD_GET),
        .handler = get_double,
        .doc = {.operation = "double", .tag = "Double", .summary = "Twice."}};

    static const struct api_endpoint parts = {
        .path = "/parts/{a}-{b}/x{c}",
        .methods = METHOD_BIT(METHOD_GET),
        .handler = get_parts,
        .doc = {.operation = "parts", .tag = "Double", .summary = "Parts.", .asks_who = true}};

    setup_bare();
    more_settings = (struct setting_table){note_settings, ARRAY_LEN(note_settings)};
    loop_thread = pthread_self();
    doublings = told.n = 0;
    refused = kept_for = NULL;
    wanted_behind = 0;
    memset(behind, 0, sizeof behind);
    server_start(PLAIN_INI "kinto.user-data_delete_principals = system.Authenticated\n");
    ck_assert_ok(api_add_resource(server.api, &note));
    ck_assert_ok(api_add_endpoint(server.api, &doubles));
    ck_assert_ok(api_add_endpoint(server.api, &parts));
    ck_assert_ok(api_add_listener(server.api, &(struct api_listener){.changed = on_change}));
    ck_assert_ok(api_describe(server.api));
    user = "alice:x";
    want(201, "PUT", "/v1/buckets/b", NULL);
    want(201, "PUT", C, NULL);
    told.n = 0;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

START_TEST(a_kind_has_all_that_kinds_have)
{
    want(201, "PUT", NOTES "/n", "{\"data\":{\"number\":1}}");
    struct fake_answer *a = want(200, "GET", NOTES "/n", NULL);
    ck_assert_str_is(at(a, "/data/number"), "1");
    ck_assert_uint_gt(at(a, "/permissions/write/0").n, 10);
    want(201, "POST", NOTES, "{\"data\":{\"number\":2}}");
    a = want(200, "GET", NOTES "?number=2", NULL);
    ck_assert_uint_eq(json_count(json_get(a->json, STR("data"))), 1);
    ck_assert_uint_eq(
        json_string(json_get(json_at(json_get(a->json, STR("data")), 0), STR("id"))).n, 8);
    a = want(400, "GET", NOTES "?other=2", NULL);
    ck_assert_uint_gt(at(a, "/details/0/description").n, 0);
    want(400, "GET", NOTES "?_fields=other", NULL);
    want(200, "GET", NOTES "?_fields=number", NULL);
    want(405, "DELETE", NOTES "/n", NULL); /* switched off */
    want(405, "PATCH", NOTES "/n", "{\"data\":{}}");
    want(405, "DELETE", NOTES, NULL);
    a = want(404, "GET", NOTES "/m", NULL);
    ck_assert_str_is(at(a, "/details/resource_name"), "\"note\"");
    a = ask("GET", NOTES "?_limit=1", NULL, NULL);
    bool next = false;
    for (unsigned i = 0; i < a->nheaders; i++)
        next = next || (str_eq(a->headers[i].name, STR("Next-Page")) &&
                        str_starts(a->headers[i].value, STR("http://example.org" NOTES "?")));
    ck_assert(next);
}
END_TEST

START_TEST(a_kind_is_allowed_as_its_place_says)
{
    want(201, "PUT", NOTES "/n", NULL);
    user = "bob:x";
    want(403, "GET", NOTES "/n", NULL);
    want(403, "PUT", NOTES "/m", NULL);
    user = "alice:x";
    want(200, "PATCH", C, "{\"permissions\":{\"read\":[\"system.Authenticated\"]}}");
    user = "bob:x";
    want(200, "GET", NOTES "/n", NULL);
    want(200, "GET", NOTES, NULL);
    want(403, "PUT", NOTES "/m", NULL);
    user = "alice:x";
    struct fake_answer *a = want(
        400, "PUT", NOTES "/n", "{\"permissions\":{\"record:create\":[\"system.Authenticated\"]}}");
    ck_assert_uint_gt(at(a, "/details/0/description").n, 0);
    want(200, "PUT", NOTES "/n", "{\"permissions\":{\"write\":[\"system.Authenticated\"]}}");
    user = "bob:x";
    want(200, "PUT", NOTES "/n", NULL);
}
END_TEST

START_TEST(a_kind_finds_its_objects)
{
    want(404, "GET", NOTES "/last", NULL);
    want(201, "PUT", NOTES "/m", "{\"data\":{\"number\":1}}");
    want(201, "PUT", NOTES "/n", "{\"data\":{\"number\":7}}");
    struct fake_answer *a = want(200, "GET", NOTES "/last", NULL);
    ck_assert_str_is(at(a, "/data/id"), "\"n\"");
    a = ask("GET", NOTES "/last", "If-Match: \"5\"\n", NULL);
    ck_assert_int_eq(a->status, 412);
}
END_TEST

START_TEST(a_kind_shows_what_it_likes)
{
    want(201, "PUT", NOTES "/m", "{\"data\":{\"number\":1}}");
    struct fake_answer *a =
        want(201, "PUT", NOTES "/n", "{\"data\":{\"number\":7,\"text\":\"x\"}}");
    ck_assert(json_to_i64(json_get(json_get(a->json, STR("data")), STR("last_modified")),
                          &new_since) == OK);
    want(200, "PATCH", C, "{\"permissions\":{\"read\":[\"system.Authenticated\"]}}");
    user = "bob:x";
    a = want(200, "GET", NOTES "/n", NULL);
    ck_assert_str_is(a->body, "{\"permissions\":{\"none\":[]},\"data\":{\"number\":7}}");
    a = want(200, "GET", NOTES, NULL);
    ck_assert_str_is(a->body, "{\"data\":[{\"number\":7,\"listed\":true}]}");
    a = want(200, "GET", NOTES "?number=1", NULL);
    ck_assert_str_is(a->body, "{\"data\":[]}");
    a = want(200, "GET", NOTES "?_fields=number", NULL);
    ck_assert_str_is(at(a, "/data/0"), "{\"number\":7}");
    user = "alice:x";
    a = want(200, "GET", NOTES, NULL);
    ck_assert_uint_eq(json_count(json_get(a->json, STR("data"))), 2);
    ck_assert_str_is(at(a, "/data/0/text"), "\"x\"");
}
END_TEST

START_TEST(fields_of_text)
{
    want(201, "PUT", NOTES "/m", "{\"data\":{\"number\":12,\"text\":\"12\"}}");
    static const char *const found[] = {"text=12",       "text=%2212%22", "number=12",
                                        "like_text=*1*", "has_text=true", "min_text=12"};
    static const char *const lost[] = {"text=12.0", "text=1", "text=true", "number=%2212%22",
                                       "has_text=false"};
    for (size_t i = 0; i < ARRAY_LEN(found) + ARRAY_LEN(lost); i++) {
        bool is_found = i < ARRAY_LEN(found);
        str target =
            arena_printf(&keep, NOTES "?%s", is_found ? found[i] : lost[i - ARRAY_LEN(found)]);
        struct fake_answer *a = want(200, "GET", target.p, NULL);
        ck_assert_msg(json_count(json_get(a->json, STR("data"))) == is_found, STR_FMT,
                      STR_ARG(target));
    }
}
END_TEST

/* All that goes with a PUT, and then the request is itself again. */
START_TEST(a_request_in_the_place_of_another)
{
    want(201, "PUT", NOTES "/n", "{\"data\":{\"number\":7}}");
    told.n = 0;
    struct fake_answer *a = want(201, "POST", NOTES "/n", NULL);
    ck_assert_str_is(at(a, "/data/note/number"), "7");
    ck_assert_str_is(at(a, "/data/id"), "\"made\"");
    ck_assert_str_is(at(a, "/permissions/read/0"), "\"x:y\"");
    ck_assert_uint_eq(told.n, 1);
    ck_assert_str_eq(told.uri[0], "/buckets/b/collections/c/records/made");
    want(200, "POST", NOTES "/n", NULL);
    want(404, "POST", NOTES "/m", NULL);
    a = ask("POST", NOTES "/n", "If-None-Match: *\n", NULL);
    ck_assert_int_eq(a->status, 412);
    a = want(200, "POST", "/v1/batch",
             "{\"requests\":[{\"method\":\"POST\",\"path\":\"" NOTES "/n\"},{\"path\":\"" NOTES
             "/n\"}]}");
    ck_assert_str_is(at(a, "/responses/0/path"), "\"" NOTES "/n\"");
    ck_assert_str_is(at(a, "/responses/0/body/data/id"), "\"made\"");
    ck_assert_str_is(at(a, "/responses/1/body/data/number"), "7");
    want(200, "PATCH", C, "{\"permissions\":{\"read\":[\"system.Authenticated\"]}}");
    user = "bob:x";
    want(403, "POST", NOTES "/n", NULL); /* may read it, but not write the record */
    user = "carol:x";
    want(200, "GET", NOTES "/n", NULL);
}
END_TEST

START_TEST(endpoints_with_parameters)
{
    struct fake_answer *a = want(200, "GET", "/v1/parts/1-2/x3", NULL);
    ck_assert_str_is(a->body, "[\"1\",\"2\",\"3\"]");
    a = want(200, "GET", "/v1/parts/1-2-3/xx", NULL); /* the first takes as much as it can */
    ck_assert_str_is(a->body, "[\"1-2\",\"3\",\"x\"]");
    a = want(200, "GET", "/v1/parts/--%2D/xx", NULL);
    ck_assert_str_is(a->body, "[\"-\",\"-\",\"x\"]");
    static const char *const lost[] = {"/v1/parts/1-2/x", "/v1/parts/1-/x3", "/v1/parts/-2/x3",
                                       "/v1/parts/12/x3", "/v1/parts/1-2/3", "/v1/parts/1-2/x3/4",
                                       "/v1/parts/1-2"};
    for (size_t i = 0; i < ARRAY_LEN(lost); i++)
        want(404, "GET", lost[i], NULL);
    a = want(200, "GET", "/v1/__api__", NULL);
    str parameters = at(a, "/paths/~1parts~1{a}-{b}~1x{c}/get/parameters");
    ck_assert(str_find_str(parameters, STR("\"name\":\"c\"")) != STR_NPOS);
    str post = at(a, "/paths/~1buckets~1{bucket_id}~1collections~1{collection_id}~1notices~1{id}"
                     "/post");
    ck_assert(str_find_str(post, STR("Make a record of it.")) != STR_NPOS);
    ck_assert(str_find_str(post, STR("\"post_short_note\"")) != STR_NPOS);
}
END_TEST

/* ---- listeners ------------------------------------------------------------------------------- */

static void told_of(unsigned i, enum api_action action, const char *uri)
{
    ck_assert_uint_lt(i, told.n);
    ck_assert_int_eq(told.action[i], action);
    ck_assert_str_eq(told.uri[i], uri);
}

START_TEST(listeners_are_told_of_each_change)
{
    want(201, "PUT", C "/records/r", "{\"data\":{\"a\":1}}");
    told_of(0, ACTION_CREATE, "/buckets/b/collections/c/records/r");
    ck_assert_str_eq(told.old[0], "");
    ck_assert(strncmp(told.now[0], "{\"a\":1,\"id\":\"r\",\"last_modified\":", 32) == 0);
    want(200, "PATCH", C "/records/r", "{\"data\":{\"a\":2}}");
    told_of(1, ACTION_UPDATE, "/buckets/b/collections/c/records/r");
    ck_assert_str_eq(told.old[1], told.now[0]);
    want(200, "DELETE", C "/records/r", NULL);
    told_of(2, ACTION_DELETE, "/buckets/b/collections/c/records/r");
    ck_assert_str_eq(told.old[2], told.now[1]);
    ck_assert_ptr_nonnull(strstr(told.now[2], "\"deleted\":true"));
    ck_assert_uint_eq(told.n, 3);
    want(201, "PUT", C "/records/r1", "{\"data\":{\"a\":1}}");
    want(201, "PUT", C "/records/r2", "{\"data\":{\"a\":2}}");
    want(200, "DELETE", C "/records", NULL);
    ck_assert_uint_eq(told.n, 7);
    for (unsigned i = 5; i < 7; i++) {
        ck_assert_int_eq(told.action[i], ACTION_DELETE);
        ck_assert_ptr_nonnull(strstr(told.old[i], "\"a\":"));
    }
    want(200, "GET", C "/records", NULL);
    want(200, "POST", "/v1/buckets", "{\"data\":{\"id\":\"b\"}}"); /* only read */
    ck_assert_uint_eq(told.n, 7);
    want(200, "GET", "/v1/buckets/default/collections/tasks", NULL); /* makes both */
    ck_assert_uint_eq(told.n, 9);
    ck_assert_int_eq(told.action[7], ACTION_CREATE);
    want(200, "DELETE", "/v1/buckets/b", NULL); /* what is in it goes without a word */
    ck_assert_uint_eq(told.n, 10);
    told_of(9, ACTION_DELETE, "/buckets/b");
}
END_TEST

START_TEST(a_listener_can_undo_everything)
{
    refused = "/buckets/b/collections/c/records/r";
    want(500, "PUT", C "/records/r", NULL);
    want(404, "GET", C "/records/r", NULL);
    want(500, "POST", "/v1/batch",
         "{\"requests\":[{\"method\":\"PUT\",\"path\":\"" C "/records/q\"},"
         "{\"method\":\"PUT\",\"path\":\"" C "/records/r\"}]}");
    want(404, "GET", C "/records/q", NULL);
    refused_as = API_ERR_FORBIDDEN; /* which would leave the change as it is */
    refused = "/buckets/b/collections/c/records/r";
    want(500, "PUT", C "/records/r", NULL);
    want(404, "GET", C "/records/r", NULL);
    refused_as = API_ERR_TOO_LARGE;
    refused = "/buckets/b/collections/c/records/r";
    want(413, "PUT", C "/records/r", NULL);
    want(413, "POST", "/v1/batch",
         "{\"requests\":[{\"method\":\"PUT\",\"path\":\"" C "/records/q\"},"
         "{\"method\":\"PUT\",\"path\":\"" C "/records/r\"}]}");
    refused_as = API_ERR_INSUFFICIENT_STORAGE;
    want(507, "PUT", C "/records/r", NULL);
    want(404, "GET", C "/records/q", NULL);
    want(404, "GET", C "/records/r", NULL);
    refused_as = API_ERR_INTERNAL;
    refused = "/buckets/b";
    want(500, "DELETE", "/v1/buckets/b", NULL);
    want(200, "GET", C, NULL);
}
END_TEST

/* Each once, when all is durable: for a batch, too, and not for what is undone. */
START_TEST(functions_behind_the_commit)
{
    wanted_behind = MAX_AFTERS + 1;
    want(201, "PUT", C "/records/r", NULL);
    for (unsigned i = 0; i <= MAX_AFTERS; i++)
        ck_assert_uint_eq(behind[i], i < MAX_AFTERS);
    wanted_behind = 1;
    want(200, "POST", "/v1/batch",
         "{\"defaults\":{\"method\":\"PUT\"},\"requests\":[{\"path\":\"" C
         "/records/a\"},{\"path\":\"" C "/records/b\"}]}");
    ck_assert_uint_eq(behind[0], 2);
    refused = "/buckets/b/collections/c/records/r";
    want(500, "PUT", C "/records/r", NULL);
    ck_assert_uint_eq(behind[0], 2);
}
END_TEST

static const char *header_of(const struct fake_answer *a, const char *name)
{
    for (unsigned i = 0; i < a->nheaders; i++)
        if (str_eq_nocase(a->headers[i].name, str_from(name)))
            return arena_cstr(&keep, a->headers[i].value);
    return NULL;
}

START_TEST(a_header_of_a_listener)
{
    ck_assert_ok(api_expose_header(server.api, "Told"));
    struct fake_answer *a = want(201, "PUT", C "/records/r", NULL);
    ck_assert_str_eq(header_of(a, "Told"), "1");
    ck_assert_ptr_nonnull(strstr(header_of(a, "Access-Control-Expose-Headers"), ", Told"));
    want(201, "PUT", C "/records/s", NULL);
    a = want(200, "DELETE", C "/records", NULL); /* two changes, one header: the last */
    ck_assert_str_eq(header_of(a, "Told"), "4");
    unsigned n = 0;
    for (unsigned i = 0; i < a->nheaders; i++)
        n += str_eq(a->headers[i].name, STR("Told"));
    ck_assert_uint_eq(n, 1);
    refused = "/buckets/b/collections/c/records/t";
    ck_assert_ptr_null(header_of(want(500, "PUT", C "/records/t", NULL), "Told"));
}
END_TEST

/* Requests are theirs from here on; who that is. */
static str become(const char *who)
{
    user = who;
    return json_string(
        json_get(json_get(want(200, "GET", "/v1/", NULL)->json, STR("user")), STR("id")));
}

/* What listeners share with the principal while it is erased goes, too. */
START_TEST(an_erasure_with_a_listener)
{
    static const char *const own[] = {"/v1/buckets/b/groups/g", C "/records/r", "/v1/buckets/own"};
    struct store_thread *t;
    struct store_session *s;
    struct store_principals p;

    want(200, "PATCH", "/v1/buckets/b",
         "{\"permissions\":{\"group:create\":[\"system.Authenticated\"]}}");
    want(200, "PATCH", C, "{\"permissions\":{\"record:create\":[\"system.Authenticated\"]}}");
    str bob = become("bob:x");
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        want(201, "PUT", own[i], "{\"data\":{\"members\":[]}}");
    user = "alice:x";
    want(201, "PUT", "/v1/buckets/b/groups/member",
         arena_printf(&keep, "{\"data\":{\"members\":[\"" STR_FMT "\"]}}", STR_ARG(bob)).p);
    kept_for = arena_cstr(&keep, bob);
    const char *target = arena_printf(&keep, "/v1/__user_data__/" STR_FMT, STR_ARG(bob)).p;
    refused = "/buckets/b/groups/member"; /* the last of all */
    want(500, "DELETE", target, NULL);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        user = "bob:x";
        want(200, "GET", own[i], NULL);
    }
    user = "alice:x";
    refused = NULL;
    told.n = 0;
    struct fake_answer *a = want(200, "DELETE", target, NULL);
    ck_assert_ptr_null(header_of(a, "Told"));
    ck_assert_uint_eq(told.n, 4);
    told_of(0, ACTION_DELETE, "/buckets/own");
    told_of(1, ACTION_DELETE, "/buckets/b/groups/g");
    told_of(2, ACTION_DELETE, "/buckets/b/collections/c/records/r");
    told_of(3, ACTION_UPDATE, "/buckets/b/groups/member");
    ck_assert_ok(store_thread_new(server.store, &t));
    ck_assert_ok(store_read_begin(t, &keep, &s));
    ck_assert_ok(store_principals_resolve(s, &keep, &bob, 1, &p));
    ck_assert_uint_eq(p.nids, 0); /* not even its name */
    store_read_end(s);
    store_thread_free(t);
}
END_TEST

/* Somebody's records in C, so many; the target of his erasure. */
static const char *many_of(const char *who, unsigned n)
{
    want(200, "PATCH", C, "{\"permissions\":{\"record:create\":[\"system.Authenticated\"]}}");
    str id = become(who);
    const char *target = arena_printf(&keep, "/v1/__user_data__/" STR_FMT, STR_ARG(id)).p;
    for (unsigned i = 0; i < n; i++)
        want(201, "POST", C "/records", NULL);
    user = "alice:x";
    told.n = 0;
    return target;
}

static void left_in_c(const char *n)
{
    ck_assert_str_eq(header_of(want(200, "HEAD", C "/records", NULL), "Total-Objects"), n);
}

/* In portions of 500, each for itself: what one could not do leaves those before it. */
START_TEST(an_erasure_of_many)
{
    const char *target = many_of("bob:x", 1203);
    want(201, "PUT", "/v1/buckets/b/groups/g",
         arena_printf(&keep, "{\"data\":{\"members\":[\"%s\"]}}",
                      target + strlen("/v1/__user_data__/"))
             .p);
    told.n = 0;
    refused = "/buckets/b/groups/g";
    want(500, "DELETE", target, NULL);
    refused = NULL;
    left_in_c("203");
    ck_assert_uint_eq(told.n, 1204);
    told.n = 0;
    want(200, "DELETE", target, NULL);
    left_in_c("0");
    ck_assert_uint_eq(told.n, 204);
    want(200, "DELETE", target, NULL);
    ck_assert_uint_eq(told.n, 204);
}
END_TEST

/* A stop does not wait for all of it. */
START_TEST(an_erasure_that_is_stopped)
{
    const char *target = many_of("bob:x", 501);
    api_stop(server.api);
    struct fake_answer *a = want(503, "DELETE", target, NULL);
    ck_assert_ptr_nonnull(header_of(a, "Retry-After"));
    left_in_c("1");
    want(200, "DELETE", target, NULL); /* less than a portion */
    left_in_c("0");
}
END_TEST

/* A batch is one transaction, but not however large that becomes. */
START_TEST(an_erasure_in_a_batch)
{
    const char *target = many_of("bob:x", 4999);
    const char *batch = arena_printf(&keep,
                                     "{\"requests\":[{\"method\":\"DELETE\",\"path\":\"%s\"},"
                                     "{\"method\":\"PUT\",\"path\":\"" C "/records/r\"},"
                                     "{\"method\":\"PUT\",\"path\":\"" NOTES "/n\","
                                     "\"body\":{\"data\":{\"number\":\"2\"}}}]}",
                                     target)
                            .p;
    /* The note's work makes it run twice. */
    struct fake_answer *a = want(200, "POST", "/v1/batch", batch);
    ck_assert_str_is(at(a, "/responses/0/status"), "200");
    left_in_c("1");
    many_of("bob:x", 5001);
    a = want(413, "POST", "/v1/batch", batch);
    ck_assert_str_is(at(a, "/message"),
                     "\"There is more to erase than a batch may: ask for it alone.\"");
    left_in_c("5002");
    want(200, "DELETE", target, NULL);
    left_in_c("1");
}
END_TEST

START_TEST(erasures_in_a_batch)
{
    const char *bob = many_of("bob:x", 2600), *carol = many_of("carol:x", 2600);
    const char *batch = arena_printf(&keep,
                                     "{\"defaults\":{\"method\":\"DELETE\"},\"requests\":["
                                     "{\"path\":\"%s\"},{\"path\":\"%s\"}]}",
                                     bob, carol)
                            .p;
    want(413, "POST", "/v1/batch", batch);
    left_in_c("5200");
    want(200, "DELETE", bob, NULL);
    want(200, "POST", "/v1/batch", batch);
    left_in_c("0");
}
END_TEST

/* ---- work ------------------------------------------------------------------------------------ */

START_TEST(work_is_done_once_a_request)
{
    struct fake_answer *a = want(200, "GET", "/v1/double?21", NULL);
    ck_assert_str_is(at(a, "/twice"), "42");
    ck_assert_uint_eq(doublings, 1);
    want(200, "GET", "/v1/double?21", NULL); /* another request: again */
    ck_assert_uint_eq(doublings, 2);
    want(500, "GET", "/v1/double?-1", NULL); /* what went wrong is told */
}
END_TEST

START_TEST(work_inside_a_transaction_leaves_nothing_behind)
{
    struct fake_answer *a =
        want(201, "PUT", NOTES "/n",
             "{\"data\":{\"number\":\"4\",\"__permissions__\":{\"read\":[\"x:y\"]}}}");
    ck_assert_str_is(at(a, "/data/number"), "8");
    ck_assert_str_is(at(a, "/permissions/read/0"), "\"x:y\"");
    ck_assert_uint_eq(told.n, 1);
    ck_assert_uint_eq(doublings, 1);
    a = want(201, "POST", NOTES, "{\"data\":{\"number\":\"5\"}}");
    ck_assert_str_is(at(a, "/data/number"), "10");
}
END_TEST

/* The parts before the one that waits run anew, from what was sent. */
START_TEST(work_in_a_batch)
{
    struct fake_answer *a =
        want(200, "POST", "/v1/batch",
             "{\"requests\":["
             "{\"path\":\"/double?1\"},"
             "{\"method\":\"PUT\",\"path\":\"" C "/records/r\",\"body\":{\"data\":{\"a\":1,"
             "\"__permissions__\":{\"read\":[\"x:y\"]}}}},"
             "{\"method\":\"PUT\",\"path\":\"" NOTES "/n\",\"body\":{\"data\":{\"number\":\"2\"}}},"
             "{\"method\":\"PUT\",\"path\":\"" NOTES "/m\",\"body\":{\"data\":{\"number\":\"3\"}}},"
             "{\"method\":\"POST\",\"path\":\"" NOTES "\",\"body\":{\"data\":{\"number\":\"3\"}}},"
             "{\"path\":\"" NOTES "/n\"}]}");
    ck_assert_str_is(at(a, "/responses/0/body/twice"), "2");
    ck_assert_str_is(at(a, "/responses/1/status"), "201");
    ck_assert_str_is(at(a, "/responses/1/body/permissions/read/0"), "\"x:y\"");
    ck_assert_str_is(at(a, "/responses/2/body/data/number"), "4");
    ck_assert_str_is(at(a, "/responses/3/body/data/number"), "6");
    ck_assert_str_is(at(a, "/responses/4/body/data/number"), "6");
    ck_assert_str_is(at(a, "/responses/5/body/data/number"), "4");
    ck_assert_uint_eq(doublings, 3);
    want(200, "GET", NOTES "/n", NULL);
}
END_TEST

START_TEST(a_stop_drops_work)
{
    api_stop(server.api);
    struct fake_answer *a = want(503, "GET", "/v1/double?1", NULL);
    ck_assert_str_is(at(a, "/errno"), "201");
    want(503, "PUT", NOTES "/n", "{\"data\":{\"number\":\"4\"}}");
    want(404, "GET", NOTES "/n", NULL);
    ck_assert_uint_eq(doublings, 0);
}
END_TEST

static char released[8], names[] = {'1', '2', 'x'}; /* in the order of release; what is kept */

static void release(void *what)
{
    size_t n = strlen(released);
    ck_assert_uint_lt(n + 1, sizeof released);
    released[n] = *(char *)what;
    released[n + 1] = '\0';
}

START_TEST(what_is_kept_is_released_once)
{
    struct arena *a = &server.api->arena;
    released[0] = '\0';
    ck_assert_ok(api_keep(server.api, &names[0], release));
    ck_assert_ok(api_keep(server.api, &names[1], release));
    arena_test_fail_chunk(1);
    while (arena_alloc(a, 1)) /* until there is none */
        continue;
    arena_test_fail_chunk(1);
    ck_assert_int_eq(api_keep(server.api, &names[2], release), ERR_NOMEM);
    ck_assert_str_eq(released, "x");
    arena_test_fail_chunk(0);
    server_stop(&server);
    ck_assert_str_eq(released, "x21");
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {a_kind_has_all_that_kinds_have,
                                  a_kind_is_allowed_as_its_place_says,
                                  a_kind_finds_its_objects,
                                  a_kind_shows_what_it_likes,
                                  fields_of_text,
                                  a_request_in_the_place_of_another,
                                  endpoints_with_parameters,
                                  listeners_are_told_of_each_change,
                                  a_listener_can_undo_everything,
                                  functions_behind_the_commit,
                                  a_header_of_a_listener,
                                  an_erasure_with_a_listener,
                                  an_erasure_of_many,
                                  an_erasure_that_is_stopped,
                                  an_erasure_in_a_batch,
                                  erasures_in_a_batch,
                                  work_is_done_once_a_request,
                                  work_inside_a_transaction_leaves_nothing_behind,
                                  work_in_a_batch,
                                  a_stop_drops_work,
                                  what_is_kept_is_released_once};
    Suite *s = suite_create("api/extend");

    tests_of(s, "extend", setup_note, teardown, tests, ARRAY_LEN(tests));
    return s;
}
UNIT_MAIN(make_suite)
