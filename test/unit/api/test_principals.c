/*
 * As whom callers act, while groups change: what a loop remembers of them never outlives the change, whichever
 * loop makes it.
 */
#include "test/unit/api/api_test.h"

#define USERS  90 /* more than a loop remembers */
#define GROUPS 20 /* more than one of a remembered user may have */
#define OWNER  "owner:x"

static struct api_loop *loops[2];
static bool member[GROUPS][USERS + 1]; /* the last: whoever is authenticated */
static uint64_t state;

static unsigned below(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % n;
}

static const char *name_of(unsigned u)
{
    return arena_printf(&keep, "user%u:x", u).p;
}

static str id_of(unsigned u)
{
    user = name_of(u);
    struct json *id;
    const struct fake_answer *a = want(200, "GET", "/v1/", NULL);
    ck_assert_ok(json_pointer_get(&keep, a->json, STR("/user/id"), &id));
    return json_string(id);
}

static void set_group(unsigned g, const str *ids)
{
    struct buf b;
    bool first = true;
    buf_init_arena(&b, &keep, MIB);
    buf_add_lit(&b, "{\"data\":{\"members\":[");
    for (unsigned u = 0; u <= USERS; u++) {
        if (!member[g][u])
            continue;
        buf_printf(&b, "%s\"" STR_FMT "\"", first ? "" : ",", STR_ARG(ids[u]));
        first = false;
    }
    buf_add_lit(&b, "]}}");
    user = OWNER;
    server.loop = loops[below(2)];
    str target = arena_printf(&keep, "/v1/buckets/b/groups/g%u", g);
    int status = ask_raw("PUT", target, NULL, buf_str(&b))->status;
    ck_assert(status == 200 || status == 201);
}

static void want_groups(unsigned u)
{
    struct json *list;
    user = name_of(u);
    server.loop = loops[below(2)];
    const struct fake_answer *a = want(200, "GET", "/v1/", NULL);
    ck_assert_ok(json_pointer_get(&keep, a->json, STR("/user/principals"), &list));
    unsigned wanted = 3, found = 0;
    for (unsigned g = 0; g < GROUPS; g++)
        wanted += member[g][u] + member[g][USERS]; /* by both ways, it is there twice */
    for (size_t i = 0; json_at(list, i) != NULL; i++, found++) {
        str name = json_string(json_at(list, i)), prefix = STR("/buckets/b/groups/g");
        uint64_t g;
        if (!str_starts(name, prefix))
            continue;
        ck_assert_ok(str_to_u64(str_drop(name, prefix.n), &g));
        ck_assert(member[g][u] || member[g][USERS]);
    }
    ck_assert_uint_eq(found, wanted);
}

START_TEST(groups_count_at_once)
{
    static str ids[USERS + 1];
    state = rand_u64();
    fprintf(stderr, "state=%llu\n", (unsigned long long)state);
    for (unsigned u = 0; u < USERS; u++)
        ids[u] = id_of(u);
    ids[USERS] = STR("system.Authenticated");
    user = OWNER;
    want(201, "PUT", "/v1/buckets/b", NULL);
    for (int round = 0; round < 2000; round++) {
        unsigned g = below(GROUPS), u = below(USERS);
        if (below(4) == 0) {
            u = below(20) == 0 ? USERS : u;
            member[g][u] = !member[g][u];
            set_group(g, ids);
        }
        if (u < USERS)
            want_groups(u);
        want_groups(below(USERS));
        want_groups(below(4)); /* some of them ask often */
    }
}
END_TEST

/* Who was never seen becomes a principal by the first thing that is given to them. */
START_TEST(a_new_principal_counts_at_once)
{
    str id = id_of(1);
    user = OWNER;
    want(201, "PUT", "/v1/buckets/b", NULL);
    for (unsigned turn = 0; turn < 2; turn++) {
        user = name_of(1);
        want(403, "GET", "/v1/buckets/b", NULL);
        want(403, "GET", "/v1/buckets/b", NULL);
    }
    user = OWNER;
    want(200, "PUT", "/v1/buckets/b",
         arena_printf(&keep, "{\"permissions\":{\"read\":[\"" STR_FMT "\"]}}", STR_ARG(id)).p);
    user = name_of(1);
    want(200, "GET", "/v1/buckets/b", NULL);
    server.loop = loops[1];
    want(200, "GET", "/v1/buckets/b", NULL);
}
END_TEST

static void setup_two(void)
{
    setup();
    memset(member, 0, sizeof member);
    loops[0] = server.loop;
    loops[1] = server.app.loop_start(server.app.ctx, 1);
    ck_assert_ptr_nonnull(loops[1]);
}

static void teardown_two(void)
{
    server.loop = loops[0];
    server.app.loop_stop(loops[1]);
    teardown();
}

static Suite *make_suite(void)
{
    const TTest *const tests[] = {groups_count_at_once, a_new_principal_counts_at_once};
    Suite *s = suite_create("api/principals");
    TCase *c = tests_of(s, "principals", setup_two, teardown_two, tests, ARRAY_LEN(tests));

    tcase_set_timeout(c, 60);
    return s;
}

UNIT_MAIN(make_suite)
