/*
 * Who may do what: every kind of object, every method, every permission on every level, for every
 * way to be somebody, against a small model of its own.
 *
 * The model knows no table of bits and no code of api/. It is the tree of "what gives what" in
 * words, as the documentation of the API has it, and the rules of the endpoints; it answers with a
 * status. Each case makes the objects with one permission on one of them for one principal (or
 * none), asks as the user, and compares.
 */
#include "test/unit/api/api_test.h"

/* ---- the objects ----------------------------------------------------------------------------- */

enum level { BUCKET, GROUP, COLLECTION, RECORD, LEVELS };

static const char *const uris[LEVELS] = {
    "/v1/buckets/b",
    "/v1/buckets/b/groups/g",
    "/v1/buckets/b/collections/c",
    "/v1/buckets/b/collections/c/records/r",
};
static const char *const lists[LEVELS] = {
    "/v1/buckets",
    "/v1/buckets/b/groups",
    "/v1/buckets/b/collections",
    "/v1/buckets/b/collections/c/records",
};
/* What can be given, and where. */
static const struct {
    enum level on;
    const char *perm;
} grants[] = {
    {BUCKET, "read"}, {BUCKET, "write"}, {BUCKET, "collection:create"}, {BUCKET, "group:create"},
    {GROUP, "read"},  {GROUP, "write"},  {COLLECTION, "read"},          {COLLECTION, "write"},
    {RECORD, "read"}, {RECORD, "write"}, {COLLECTION, "record:create"},
};

/* ---- who asks -------------------------------------------------------------------------------- */

/* Whom a permission can be given to. */
enum grantee { TO_HER, TO_GROUP, TO_AUTHENTICATED, TO_EVERYONE, TO_OTHER, GRANTEES };

static str her; /* user id */

static str user_id(void)
{
    struct fake_answer *a = want(200, "GET", "/v1/", NULL);

    return json_string(json_get(json_get(a->json, STR("user")), STR("id")));
}

static str principal_of(enum grantee g)
{
    switch (g) {
    case TO_HER:
        return her;
    case TO_GROUP:
        return STR("/buckets/b/groups/members");
    case TO_AUTHENTICATED:
        return STR("system.Authenticated");
    case TO_EVERYONE:
        return STR("system.Everyone");
    case TO_OTHER:
    case GRANTEES:
        break;
    }
    return STR("basicauth:other");
}

static const char *const users[] = {NULL, "her:x"};

/* Model: does the principal stand for the user? She is in the group. */
static bool stands_for(enum grantee g, bool anonymous)
{
    return g == TO_EVERYONE || (!anonymous && g != TO_OTHER);
}

/* ---- the model ------------------------------------------------------------------------------- */

struct grant {
    enum level level;
    const char *perm;
    bool hers;
};

static bool has(const struct grant *g, enum level on, const char *perm)
{
    return g->hers && g->level == on && strcmp(g->perm, perm) == 0;
}

static bool writes(const struct grant *g, enum level l)
{
    switch (l) {
    case BUCKET:
        return has(g, BUCKET, "write");
    case GROUP:
    case COLLECTION:
        return has(g, l, "write") || writes(g, BUCKET);
    case RECORD:
        return has(g, RECORD, "write") || writes(g, COLLECTION);
    case LEVELS:
        break;
    }
    return false;
}

/* The objects inside, and all that write gives. */
static bool reads(const struct grant *g, enum level l)
{
    bool own = has(g, l, "read") || writes(g, l);
    switch (l) {
    case BUCKET:
        return own;
    case GROUP:
    case COLLECTION:
        return own || reads(g, BUCKET);
    case RECORD:
        return own || reads(g, COLLECTION);
    case LEVELS:
        break;
    }
    return false;
}

/* The object itself: who may create in it may look at it. */
static bool reads_attributes(const struct grant *g, enum level l)
{
    if (l == BUCKET && (has(g, BUCKET, "collection:create") || has(g, BUCKET, "group:create")))
        return true;
    if (l == COLLECTION && has(g, COLLECTION, "record:create"))
        return true;
    return reads(g, l);
}

/* To make an object of that kind. Buckets: the setting's default lets every user. */
static bool creates(const struct grant *g, enum level l, bool anonymous)
{
    switch (l) {
    case BUCKET:
        return !anonymous;
    case GROUP:
        return has(g, BUCKET, "group:create") || writes(g, BUCKET);
    case COLLECTION:
        return has(g, BUCKET, "collection:create") || writes(g, BUCKET);
    case RECORD:
        return has(g, COLLECTION, "record:create") || writes(g, COLLECTION);
    case LEVELS:
        break;
    }
    return false;
}

/* May she see the list of objects of that kind: all of it, or those shared with her, or, as one who
 * may create there (not by what is above), an empty one. */
static bool reads_list(const struct grant *g, enum level l, bool anonymous)
{
    enum level parent = l == RECORD ? COLLECTION : BUCKET;
    static const char *const create[] = {"", "group:create", "collection:create", "record:create"};
    bool whole = l == BUCKET ? false : reads(g, parent);
    bool shared = g->hers && g->level == l; /* any permission on the one that is there */
    bool maker = l == BUCKET ? !anonymous : has(g, parent, create[l]);
    return whole || shared || maker;
}

/* To delete what one may write of a list. */
static bool deletes_list(const struct grant *g, enum level l, bool anonymous)
{
    enum level parent = l == RECORD ? COLLECTION : BUCKET;
    static const char *const create[] = {"", "group:create", "collection:create", "record:create"};
    bool whole = l == BUCKET ? false : writes(g, parent);
    bool maker = l == BUCKET ? !anonymous : has(g, parent, create[l]);
    return whole || has(g, l, "write") || maker;
}

/* ---- the requests ---------------------------------------------------------------------------- */

enum ask {
    GET_ONE,
    PUT_ONE,
    PATCH_ONE,
    DELETE_ONE,
    PUT_NEW,
    PATCH_NEW,
    DELETE_NEW,
    GET_NEW,
    PUT_OVER,
    GET_LIST,
    HEAD_LIST,
    POST_LIST,
    POST_SAME,
    DELETE_LIST,
    ASKS
};

static const char *const methods[ASKS] = {"GET",   "PUT",    "PATCH", "DELETE", "PUT",
                                          "PATCH", "DELETE", "GET",   "PUT",    "GET",
                                          "HEAD",  "POST",   "POST",  "DELETE"};

static bool allowed(const struct grant *g, enum level l, enum ask a, bool anonymous)
{
    enum level parent = l == RECORD ? COLLECTION : BUCKET;
    bool above = l == BUCKET ? false : reads(g, parent);
    switch (a) {
    case GET_ONE:
    case POST_SAME:
        return reads_attributes(g, l);
    case PUT_ONE:
    case PATCH_ONE:
    case DELETE_ONE:
        return writes(g, l);
    case PUT_NEW:
    case PUT_OVER:
    case POST_LIST:
        return creates(g, l, anonymous);
    case PATCH_NEW:
    case DELETE_NEW: /* of what is not there: a reader of the list gets the 404 */
    case GET_NEW:
        return above;
    case GET_LIST:
    case HEAD_LIST:
        return reads_list(g, l, anonymous);
    case DELETE_LIST:
        return deletes_list(g, l, anonymous);
    case ASKS:
        break;
    }
    return false;
}

static int status_of(const struct grant *g, enum level l, enum ask a, bool anonymous)
{
    if (!allowed(g, l, a, anonymous))
        return anonymous ? 401 : 403;
    switch (a) {
    case PUT_NEW:
    case POST_LIST:
        return 201;
    case PATCH_NEW:
    case DELETE_NEW:
    case GET_NEW:
        return 404;
    case PUT_OVER:
        return 412;
    case GET_ONE:
    case PUT_ONE:
    case PATCH_ONE:
    case DELETE_ONE:
    case GET_LIST:
    case HEAD_LIST:
    case POST_SAME:
    case DELETE_LIST:
    case ASKS:
        break;
    }
    return 200;
}

static struct fake_answer *ask_it(enum level l, enum ask a)
{
    static const char *const ids[LEVELS] = {"b", "g", "c", "r"};
    bool list = a >= GET_LIST, other = a >= PUT_NEW && a <= GET_NEW;
    const char *path = list ? lists[l] : uris[l];
    const char *body = "{\"data\":{\"x\":1}}";
    if (other)
        path = arena_printf(&keep, "%s/new", lists[l]).p;
    if (a == POST_SAME)
        body = arena_printf(&keep, "{\"data\":{\"id\":\"%s\"}}", ids[l]).p;
    if (methods[a][0] == 'G' || methods[a][0] == 'H' || methods[a][0] == 'D')
        body = NULL;
    return ask(methods[a], path, a == PUT_OVER ? "If-None-Match: *\n" : NULL, body);
}

/* ---- the comparison -------------------------------------------------------------------------- */

/* The objects, nobody's, with the one permission. */
static void make(enum level on, const char *perm, str principal)
{
    user = "maker:x";
    want(202, "POST", "/v1/__flush__", NULL);
    for (int l = 0; l < LEVELS; l++) {
        str body = STR("");
        if ((int)on == l && perm != NULL)
            body = arena_printf(&keep, "{\"permissions\":{\"%s\":[\"" STR_FMT "\"]}}", perm,
                                STR_ARG(principal));
        /* The maker may by settings, and is named nowhere. */
        want(201, "PUT", uris[l], body.p);
        if (l == BUCKET) {
            str group = ARENA_JOIN(&keep, STR("{\"data\":{\"members\":[\""), principal_of(TO_HER),
                                   STR("\"]}}"));
            want(201, "PUT", "/v1/buckets/b/groups/members", group.p);
        }
    }
}

static void compare(enum level on, const char *perm, enum grantee to, enum level of, enum ask a,
                    bool anonymous)
{
    struct grant g = {on, perm ? perm : "", perm != NULL && stands_for(to, anonymous)};
    int status = status_of(&g, of, a, anonymous);

    user = users[!anonymous];
    struct fake_answer *got = ask_it(of, a);
    ck_assert_msg(got->status == status, "%s on %s to %s; %s %s %d as %s: %d, want %d",
                  perm ? perm : "nothing", uris[on], principal_of(to).p, methods[a],
                  a >= GET_LIST ? lists[of] : uris[of], a, anonymous ? "anonymous" : "her",
                  got->status, status);
}

static void all_of(enum level on, const char *perm, enum grantee to)
{
    str principal = principal_of(to);
    for (int of = 0; of < LEVELS; of++)
        for (int a = 0; a < ASKS; a++)
            for (int anonymous = 0; anonymous < 2; anonymous++) {
                struct arena_mark m = arena_mark(&keep);
                make(on, perm, principal);
                compare(on, perm, to, (enum level)of, (enum ask)a, anonymous);
                arena_release(&keep, m);
            }
}

static void setup_inherit(void)
{
    setup();
    user = "maker:x";
    str id = user_id();
    str ini = arena_printf(&keep,
                           PLAIN_INI "kinto.explicit_permissions = false\n"
                                     "kinto.collection_create_principals = " STR_FMT "\n"
                                     "kinto.group_create_principals = " STR_FMT "\n"
                                     "kinto.record_create_principals = " STR_FMT "\n",
                           STR_ARG(id), STR_ARG(id), STR_ARG(id));
    user = "her:x";
    her = user_id();
    server_stop(&server);
    server_start(ini.p);
}

/* One case a (level, permission, grantee). */
START_TEST(matrix)
{
    all_of(grants[_i / GRANTEES].on, grants[_i / GRANTEES].perm, (enum grantee)(_i % GRANTEES));
}
END_TEST

START_TEST(nothing_granted)
{
    all_of(BUCKET, NULL, TO_OTHER);
}
END_TEST

static Suite *make_suite(void)
{
    const TTest *const tests[] = {nothing_granted};
    Suite *s = suite_create("api/inherit");
    TCase *c = tests_of(s, "inherit", setup_inherit, teardown, tests, ARRAY_LEN(tests));

    tcase_add_loop_test(c, matrix, 0, (int)ARRAY_LEN(grants) * GRANTEES);
    return s;
}

UNIT_MAIN(make_suite)
