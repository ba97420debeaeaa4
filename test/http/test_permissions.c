/*
 * test/http/test_permissions.c - who may do what: inheritance, groups, creation permissions, what a
 * list shows to whom, 401 / 403 / 404.
 */
#include "test/support/api.h"
#include "test/support/unit.h"

static const char *alice, *bob, *carol;

static void people(void)
{
    alice = principal("alice");
    bob = principal("bob");
    carol = principal("carol");
}

/* The status of a request as a user. */
static int try(const char *user, const char *method, const char *path, const char *body)
{
    as(user);
    call(method, path, body);
    int status = re.status;
    as("alice");
    return status;
}

/* PATCHes the permissions of an object, as alice. */
static void grant(const char *path, const char *kind, const char *who)
{
    as("alice");
    call("PATCH", path, f("{'permissions':{'%s':['%s']}}", kind, who));
    want(200);
}

/* ---- one permission at a time ---------------------------------------------------------------- */

struct right {
    const char *path, *kind; /* granted to bob on bucket, collection, group or record */
    /* what bob's requests answer then */
    int get_bucket, put_bucket, list_collections, get_collection, patch_collection, get_record,
        list_records, patch_record, post_record, get_group, put_group, post_collection;
};

static const struct right RIGHTS[] = {
    /*                                   GETb PUTb LISTc GETc PATc GETr LISTr PATr POSTr GETg PUTg
       POSTc */
    {NULL, NULL, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403},
    {"/buckets/b", "read", 200, 403, 200, 200, 403, 200, 200, 403, 403, 200, 403, 403},
    {"/buckets/b", "write", 200, 200, 200, 200, 200, 200, 200, 200, 201, 200, 200, 201},
    {"/buckets/b", "collection:create", 200, 403, 200, 403, 403, 403, 403, 403, 403, 403, 403, 201},
    {"/buckets/b", "group:create", 200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403},
    {"/buckets/b/collections/c", "read", 403, 403, 200, 200, 403, 200, 200, 403, 403, 403, 403,
     403},
    {"/buckets/b/collections/c", "write", 403, 403, 200, 200, 200, 200, 200, 200, 201, 403, 403,
     403},
    {"/buckets/b/collections/c", "record:create", 403, 403, 200, 200, 403, 403, 200, 403, 201, 403,
     403, 403},
    {R "/r", "read", 403, 403, 403, 403, 403, 200, 200, 403, 403, 403, 403, 403},
    {R "/r", "write", 403, 403, 403, 403, 403, 200, 200, 200, 403, 403, 403, 403},
    {"/buckets/b/groups/g", "read", 403, 403, 403, 403, 403, 403, 403, 403, 403, 200, 403, 403},
    {"/buckets/b/groups/g", "write", 403, 403, 403, 403, 403, 403, 403, 403, 403, 200, 200, 403},
};

#define want_try(status, ...)                                                                      \
    do {                                                                                           \
        int got_ = try(__VA_ARGS__);                                                               \
        ck_assert_msg(got_ == (status), "%s %s: %d, want %d", r->path ? r->path : "-",             \
                      f("%s as bob: " #__VA_ARGS__, r->kind ? r->kind : "nothing"), got_, status); \
    } while (0)

START_TEST(one_right)
{
    const struct right *r = &RIGHTS[_i];
    people();
    make_collection();
    put(R "/r", "{'a':1}");
    put("/buckets/b/groups/g", "{'members':[]}");
    if (r->path)
        grant(r->path, r->kind, bob);
    want_try(r->get_bucket, "bob", "GET", "/buckets/b", NULL);
    want_try(r->put_bucket, "bob", "PATCH", "/buckets/b", "{'data':{'z':1}}");
    want_try(r->list_collections, "bob", "GET", "/buckets/b/collections", NULL);
    want_try(r->get_collection, "bob", "GET", "/buckets/b/collections/c", NULL);
    want_try(r->patch_collection, "bob", "PATCH", "/buckets/b/collections/c", "{'data':{'z':1}}");
    want_try(r->get_record, "bob", "GET", R "/r", NULL);
    want_try(r->list_records, "bob", "GET", R, NULL);
    want_try(r->patch_record, "bob", "PATCH", R "/r", "{'data':{'z':1}}");
    want_try(r->post_record, "bob", "POST", R, "{'data':{}}");
    want_try(r->get_group, "bob", "GET", "/buckets/b/groups/g", NULL);
    want_try(r->put_group, "bob", "PATCH", "/buckets/b/groups/g", "{'data':{'z':1}}");
    want_try(r->post_collection, "bob", "POST", "/buckets/b/collections", "{'data':{}}");
    want_try(401, NULL, "GET", R "/r", NULL);
    want_try(403, "carol", "GET", R "/r", NULL);
}
END_TEST

/* ---- creators, writers ----------------------------------------------------------------------- */

START_TEST(creator_may_write)
{
    people();
    make_collection();
    want_at("/permissions", f("{'write':['%s']}", alice));
    call("PUT", R "/r", f("{'permissions':{'read':['%s'],'write':['%s']}}", bob, carol));
    want(201);
    want_set("/permissions/write", f("['%s','%s']", alice, carol));
    want_at("/permissions/read", f("['%s']", bob));
    call("POST", R, "{}");
    want_at("/permissions", f("{'write':['%s']}", alice));
}
END_TEST

START_TEST(anonymous_creator_is_everyone)
{
    people();
    make_collection();
    grant("/buckets/b/collections/c", "record:create", "system.Everyone");
    as(NULL);
    call("POST", R, "{'data':{'id':'x'}}");
    want(201);
    want_at("/permissions", "{'write':['system.Everyone']}");
    as("bob");
    call("PATCH", R "/x", "{'data':{'a':1}}");
    want(200);
}
END_TEST

START_TEST(permissions_are_shown_to_writers)
{
    people();
    make_collection();
    call("PUT", R "/r", f("{'permissions':{'read':['%s']}}", bob));
    as("bob");
    call("GET", R "/r", NULL);
    want(200);
    want_at("/permissions", "{}");
    as("alice");
    call("GET", R "/r", NULL);
    want_count("/permissions", 2);
    call("GET", R "/r?_fields=id", NULL);
    want_missing("/permissions");
    grant("/buckets/b/collections/c", "write", carol);
    as("carol");
    call("GET", R "/r", NULL);
    want(200);
    want_at("/permissions", "{}");
}
END_TEST

START_TEST(put_replaces_all_permissions)
{
    people();
    make_collection();
    call("PUT", R "/r", f("{'permissions':{'read':['%s'],'write':['x']}}", bob));
    call("PUT", R "/r", "{'data':{'a':1}}");
    want(200);
    want_set("/permissions/write", f("['%s','x']", alice));
    want_at("/permissions/read", f("['%s']", bob));
    call("PUT", R "/r", "{'permissions':{}}");
    want_at("/permissions/read", f("['%s']", bob));
    want_at("/data/a", "1");
    call("PUT", R "/r", "{'permissions':{'write':['y']}}");
    want_set("/permissions/write", f("['%s','y']", alice));
    want_missing("/permissions/read");
    call("PUT", R "/r", "{'permissions':{'read':['z']}}");
    want_at("/permissions", f("{'read':['z'],'write':['%s']}", alice));
}
END_TEST

START_TEST(data_without_data_is_kept)
{
    make_collection();
    put(R "/r", "{'a':1}");
    call("PUT", R "/r", "{'permissions':{'read':['x']}}");
    want(200);
    want_at("/data/a", "1");
    call("PUT", R "/r", NULL);
    want(200);
    want_at("/data/a", "1");
    call("PUT", R "/r", "{'data':{}}");
    want_missing("/data/a");
}
END_TEST

START_TEST(who_gave_write_away_keeps_his_own)
{
    people();
    make("/buckets/b");
    call("PATCH", "/buckets/b", f("{'permissions':{'write':['%s']}}", bob));
    want(200);
    want_set("/permissions/write", f("['%s','%s']", alice, bob));
    as("bob");
    call("PATCH", "/buckets/b", "{'data':{'by':'bob'}}");
    want(200);
}
END_TEST

START_TEST(duplicates_are_one)
{
    make_collection();
    call("PUT", R "/r", "{'permissions':{'read':['a','a']}}");
    want(201);
    want_at("/permissions/read", "['a']");
}
END_TEST

/* ---- lists ----------------------------------------------------------------------------------- */

START_TEST(lists_show_what_may_be_read)
{
    people();
    make_collection();
    put(R "/a", "{'n':1}");
    put(R "/b", "{'n':2}");
    put(R "/c", "{'n':3}");
    ck_assert_int_eq(try("bob", "GET", R, NULL), 403);
    grant(R "/b", "read", bob);
    grant(R "/c", "write", bob);
    as("bob");
    call("GET", R, NULL);
    want_ids("c,b");
    call("GET", R "?min_n=3", NULL);
    want_ids("c");
    call("GET", R "?_sort=n&_limit=1", NULL);
    want_ids("b");
    ck_assert_ptr_nonnull(header("Next-Page"));
    call("HEAD", R, NULL);
    want_header("Total-Objects", "2");
    call("GET", R "?id=a", NULL);
    want_ids("");
    call("DELETE", R, NULL);
    want_ids("-c");
}
END_TEST

START_TEST(buckets_are_shown_to_their_readers)
{
    people();
    make("/buckets/mine");
    make("/buckets/shared");
    make("/buckets/open");
    grant("/buckets/shared", "read", bob);
    grant("/buckets/open", "read", "system.Everyone");
    as("bob");
    call("GET", "/buckets", NULL);
    want_ids_any_order("open,shared");
    as("carol");
    call("GET", "/buckets", NULL);
    want_ids("open");
    as(NULL);
    call("GET", "/buckets", NULL);
    want_ids("open");
    as("alice");
    call("GET", "/buckets", NULL);
    want_ids_any_order("mine,open,shared");
}
END_TEST

START_TEST(bucket_list_is_empty_or_forbidden)
{
    call("GET", "/buckets", NULL);
    want_ids("");
    as(NULL);
    call("GET", "/buckets", NULL);
    want_error(401, 104, NULL);
    call("POST", "/buckets", "{}");
    want_error(401, 104, NULL);
    call("PUT", "/buckets/b", "{}");
    want_error(401, 104, NULL);
}
END_TEST

START_TEST(creators_of_records_see_their_own)
{
    people();
    make_collection();
    put(R "/r1", "{}");
    grant("/buckets/b/collections/c", "record:create", "system.Authenticated");
    as("bob");
    call("GET", R, NULL);
    want_ids("");
    call("PUT", R "/mine", "{'data':{'a':1}}");
    want(201);
    call("GET", R, NULL);
    want_ids("mine");
    call("GET", "/buckets/b/collections/c", NULL);
    want(200);
    call("GET", R "/r1", NULL);
    want_error(403, 121, NULL);
    call("PUT", R "/r1", "{}");
    want_error(403, 121, NULL);
    call("GET", R "/zz", NULL);
    want_error(403, 121, NULL);
    call("POST", R, "{'data':{'id':'r1','x':1}}");
    want_error(403, 121, NULL);
    call("DELETE", R, NULL);
    want_ids("-mine");
    as("alice");
    call("GET", R, NULL);
    want_ids("r1");
}
END_TEST

START_TEST(readers_of_the_parent_get_404)
{
    people();
    make_collection();
    grant("/buckets/b", "read", bob);
    as("bob");
    call("GET", R "/zz", NULL);
    want_error(404, 110, "");
    call("GET", "/buckets/b/collections/zz", NULL);
    want_error(404, 110, "");
    call("PUT", R "/zz", "{}");
    want_error(403, 121, NULL);
    call("DELETE", R "/zz", NULL);
    ck_assert(re.status == 403 || re.status == 404);
}
END_TEST

START_TEST(post_of_existing_needs_read)
{
    people();
    make_collection();
    put(R "/r", "{'a':1}");
    grant("/buckets/b/collections/c", "read", bob);
    as("bob");
    call("POST", R, "{'data':{'id':'r','a':2}}");
    want(200);
    want_at("/data/a", "1");
    call("POST", R, "{'data':{'id':'r2','a':2}}");
    want_error(403, 121, NULL);
}
END_TEST

/* ---- groups ---------------------------------------------------------------------------------- */

START_TEST(members_have_what_the_group_has)
{
    people();
    make_collection();
    put(R "/r", "{'a':1}");
    put("/buckets/b/groups/g", f("{'members':['%s']}", bob));
    grant(R "/r", "read", "/buckets/b/groups/g");
    ck_assert_int_eq(try("bob", "GET", R "/r", NULL), 200);
    ck_assert_int_eq(try("carol", "GET", R "/r", NULL), 403);
    put("/buckets/b/groups/g", f("{'members':['%s']}", carol));
    ck_assert_int_eq(try("bob", "GET", R "/r", NULL), 403);
    ck_assert_int_eq(try("carol", "GET", R "/r", NULL), 200);
    call("PATCH", "/buckets/b/groups/g", f("{'data':{'members':['%s','%s']}}", bob, carol));
    ck_assert_int_eq(try("bob", "GET", R "/r", NULL), 200);
    call("DELETE", "/buckets/b/groups/g", NULL);
    want(200);
    ck_assert_int_eq(try("bob", "GET", R "/r", NULL), 403);
    put("/buckets/b/groups/g", "{'members':[]}");
    ck_assert_int_eq(try("bob", "GET", R "/r", NULL), 403);
}
END_TEST

START_TEST(deleting_groups_takes_them_from_their_members)
{
    people();
    make("/buckets/b");
    put("/buckets/b/groups/g", f("{'members':['%s']}", bob));
    put("/buckets/b/groups/h", f("{'members':['%s']}", bob));
    as("bob");
    call("GET", "/", NULL);
    want_count("/user/principals", 5);
    as("alice");
    call("DELETE", "/buckets/b/groups?id=g", NULL);
    want_ids("-g");
    as("bob");
    call("GET", "/", NULL);
    want_set("/user/principals",
             f("['%s','system.Everyone','system.Authenticated','/buckets/b/groups/h']", bob));
}
END_TEST

/* Whoever makes bucket b again must not find yesterday's members in its groups. */
START_TEST(deleting_a_bucket_takes_its_groups_from_their_members)
{
    people();
    make("/buckets/b");
    put("/buckets/b/groups/g", f("{'members':['%s']}", bob));
    call("DELETE", "/buckets/b", NULL);
    want(200);
    as("bob");
    call("GET", "/", NULL);
    want_count("/user/principals", 3);
}
END_TEST

START_TEST(group_of_all_users)
{
    people();
    make_collection();
    put("/buckets/b/groups/g", "{'members':['system.Authenticated']}");
    want_at("/data/members", "['system.Authenticated']");
    call("GET", "/buckets/b/groups/g", NULL);
    want(200);
}
END_TEST

START_TEST(group_members_are_kept_as_sent)
{
    make("/buckets/b");
    put("/buckets/b/groups/g", "{'members':['x','y','x'],'title':'t'}");
    want_at("/data/members", "['x','y','x']");
    call("PATCH", "/buckets/b/groups/g", "{'data':{'title':'u'}}");
    want_at("/data/members", "['x','y','x']");
    call("POST", "/buckets/b/groups", "{'data':{'members':['z']}}");
    want(201);
    ck_assert_uint_eq(strlen(at("/data/id")), 8);
}
END_TEST

/* ---- everyone, authenticated ----------------------------------------------------------------- */

START_TEST(everyone_and_authenticated)
{
    people();
    make_collection();
    put(R "/r", "{}");
    grant(R "/r", "read", "system.Authenticated");
    ck_assert_int_eq(try("bob", "GET", R "/r", NULL), 200);
    ck_assert_int_eq(try(NULL, "GET", R "/r", NULL), 401);
    grant(R "/r", "read", "system.Everyone");
    ck_assert_int_eq(try(NULL, "GET", R "/r", NULL), 200);
    ck_assert_int_eq(try(NULL, "GET", R, NULL), 200);
    ck_assert_int_eq(try(NULL, "PATCH", R "/r", "{'data':{}}"), 401);
    grant("/buckets/b", "write", "system.Everyone");
    ck_assert_int_eq(try(NULL, "PATCH", R "/r", "{'data':{}}"), 200);
    ck_assert_int_eq(try(NULL, "PUT", "/buckets/b/groups/g", "{'data':{'members':[]}}"), 201);
}
END_TEST

START_TEST(owners_of_deleted_buckets_are_strangers)
{
    people();
    make("/buckets/b");
    call("DELETE", "/buckets/b", NULL);
    call("GET", "/buckets/b", NULL);
    want_error(403, 121, NULL);
    as("bob");
    make("/buckets/b");
    as("alice");
    call("GET", "/buckets/b", NULL);
    want_error(403, 121, NULL);
}
END_TEST

START_TEST(permissions_of_the_deleted_are_gone)
{
    people();
    make_collection();
    put(R "/r", "{}");
    grant(R "/r", "read", bob);
    call("DELETE", R "/r", NULL);
    put(R "/r", "{'secret':1}");
    ck_assert_int_eq(try("bob", "GET", R "/r", NULL), 403);
    grant("/buckets/b/collections/c", "read", bob);
    call("DELETE", "/buckets/b/collections/c", NULL);
    make("/buckets/b/collections/c");
    ck_assert_int_eq(try("bob", "GET", "/buckets/b/collections/c", NULL), 403);
}
END_TEST

/* A list that is shared record by record shows no tombstones. */
START_TEST(shared_lists_show_no_tombstones)
{
    people();
    make_collection();
    put(R "/a", "{}");
    put(R "/b", "{}");
    grant(R "/a", "read", bob);
    grant(R "/b", "read", bob);
    call("DELETE", R "/a", NULL);
    as("bob");
    call("GET", R "?_since=0", NULL);
    want_ids("b");
}
END_TEST

/* ---- settings -------------------------------------------------------------------------------- */

START_TEST(settings_give_rights)
{
    struct server s;
    server_start(&s, &(struct server_options){
                         .settings = "kinto.bucket_create_principals = system.Everyone\n"
                                     "kinto.bucket_read_principals = system.Authenticated\n"
                                     "kinto.collection_write_principals = system.Authenticated\n"
                                     "kinto.record_read_principals = system.Everyone"});
    api_use(s.url);
    make_collection();
    put(R "/r", "{}");
    ck_assert_int_eq(try(NULL, "POST", "/buckets", "{}"), 201);
    ck_assert_int_eq(try("bob", "GET", "/buckets/b", NULL), 200);
    ck_assert_int_eq(try(NULL, "GET", "/buckets/b", NULL), 401);
    ck_assert_int_eq(try("bob", "PATCH", "/buckets/b", "{'data':{}}"), 403);
    ck_assert_int_eq(try(NULL, "GET", R "/r", NULL), 200);
    ck_assert_int_eq(try("bob", "PATCH", R "/r", "{'data':{}}"), 403);
    ck_assert_int_eq(try("bob", "PATCH", "/buckets/b/collections/c", "{'data':{}}"), 200);
    server_stop(&s);
}
END_TEST

START_TEST(creation_for_some_only)
{
    struct server s;
    people();
    server_start(
        &s, &(struct server_options){.settings = f("kinto.bucket_create_principals = %s", alice)});
    api_use(s.url);
    ck_assert_int_eq(try("alice", "PUT", "/buckets/a", "{}"), 201);
    ck_assert_int_eq(try("bob", "PUT", "/buckets/b", "{}"), 403);
    ck_assert_int_eq(try(NULL, "PUT", "/buckets/b", "{}"), 401);
    server_stop(&s);
}
END_TEST

START_TEST(without_explicit_permissions)
{
    struct server s;
    server_start(&s, &(struct server_options){
                         .settings = "kinto.explicit_permissions = false\n"
                                     "kinto.collection_create_principals = system.Authenticated\n"
                                     "kinto.record_create_principals = system.Authenticated\n"
                                     "kinto.record_write_principals = system.Authenticated"});
    api_use(s.url);
    call("GET", "/", NULL);
    want_at("/settings/explicit_permissions", "false");
    make_collection();
    want_at("/permissions", "{}");
    put(R "/r", "{}");
    want_at("/permissions", "{}");
    ck_assert_int_eq(try("bob", "PATCH", R "/r", "{'data':{}}"), 200);
    ck_assert_int_eq(try("alice", "PATCH", "/buckets/b", "{'data':{}}"), 403);
    server_stop(&s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/permissions");
    TCase *t = api_case(s, "rights", NULL);
    tcase_add_loop_test(t, one_right, 0, ARRAY_LEN(RIGHTS));
    tcase_add_test(t, creator_may_write);
    tcase_add_test(t, anonymous_creator_is_everyone);
    tcase_add_test(t, permissions_are_shown_to_writers);
    tcase_add_test(t, put_replaces_all_permissions);
    tcase_add_test(t, data_without_data_is_kept);
    tcase_add_test(t, who_gave_write_away_keeps_his_own);
    tcase_add_test(t, duplicates_are_one);
    tcase_add_test(t, everyone_and_authenticated);
    tcase_add_test(t, owners_of_deleted_buckets_are_strangers);
    tcase_add_test(t, permissions_of_the_deleted_are_gone);
    t = api_case(s, "lists", NULL);
    tcase_add_test(t, lists_show_what_may_be_read);
    tcase_add_test(t, buckets_are_shown_to_their_readers);
    tcase_add_test(t, bucket_list_is_empty_or_forbidden);
    tcase_add_test(t, creators_of_records_see_their_own);
    tcase_add_test(t, readers_of_the_parent_get_404);
    tcase_add_test(t, post_of_existing_needs_read);
    tcase_add_test(t, shared_lists_show_no_tombstones);
    t = api_case(s, "groups", NULL);
    tcase_add_test(t, members_have_what_the_group_has);
    tcase_add_test(t, deleting_groups_takes_them_from_their_members);
    tcase_add_test(t, group_of_all_users);
    tcase_add_test(t, group_members_are_kept_as_sent);
    t = api_case(s, "unlike", "ours");
    tcase_add_test(t, deleting_a_bucket_takes_its_groups_from_their_members);
    t = api_case_own(s, "settings");
    tcase_add_test(t, settings_give_rights);
    tcase_add_test(t, creation_for_some_only);
    tcase_add_test(t, without_explicit_permissions);
    return s;
}

API_MAIN(suite, NULL)
