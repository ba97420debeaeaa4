/*
 * test/http/test_access.c - the access matrix: who may what.
 *
 * Every target (test/access/targets.def) is asked for by every method, in every situation: who asks, what
 * that user holds, and by which way. What the answers have to be stands in test/access/answers.def,
 * recorded from the reference (test/access/record.py runs this program against it), and in
 * test/access/own.def, written by hand, for what only this server has. A cell is one request: status, how
 * many objects a list showed, whether permissions were shown.
 *
 * Each situation is a world, built anew by its administrators whenever a request has changed it:
 *
 *     /buckets/b            made by boss: group g, group team (of the user, in some situations), collections c and d,
 *                           records r and s in c
 *     /buckets/other        the same, where nobody holds anything
 *     default bucket        of olga, with a record
 *     accounts              ann and root
 *
 * A permission is given on one object of b: /buckets/b, its group g, its collection c, its record r.
 */
#include "base/hash.h"
#include "test/support/api.h"
#include "test/support/unit.h"

#define C "/buckets/b/collections/c"

/* ---- methods --------------------------------------------------------------------------------- */

/* "!" is a condition that fails, "*" one that there is nothing yet, "=" an id that is there. */
#define DATA "{'data':{'members':[],'password':'another'}}"
static const struct verb {
    const char *name, *method, *header, *value, *body;
} verbs[] = {
    {"GET", "GET", NULL, NULL, NULL},
    {"GET!", "GET", "If-Match", "\"1\"", NULL},
    {"HEAD", "HEAD", NULL, NULL, NULL},
    {"PUT", "PUT", NULL, NULL, DATA},
    {"PUT!", "PUT", "If-Match", "\"1\"", DATA},
    {"PUT*", "PUT", "If-None-Match", "*", DATA},
    {"POST", "POST", NULL, NULL, DATA},
    {"POST=", "POST", NULL, NULL, "{'data':{'id':'%s','members':[],'password':'another'}}"},
    {"PATCH", "PATCH", NULL, NULL, "{'data':{'a':1}}"},
    {"PATCH!", "PATCH", "If-Match", "\"1\"", "{'data':{'a':1}}"},
    {"DELETE", "DELETE", NULL, NULL, NULL},
    {"DELETE!", "DELETE", "If-Match", "\"1\"", NULL},
    {"OPTIONS", "OPTIONS", "Origin", "https://a.example\r\nAccess-Control-Request-Method: GET",
     NULL},
    {"BREW", "BREW", NULL, NULL, NULL},
};

/* ---- targets --------------------------------------------------------------------------------- */

struct target {
    const char *path, *id;
};

#define T(route, path, id) {path, id},
static const struct target on_objects[] = {
#define OBJECTS
#include "test/access/targets.def"
#undef OBJECTS
};
#define T(route, path, id) {path, id},
static const struct target on_rest[] = {
#define REST
#include "test/access/targets.def"
#undef REST
};
#define T(route, path, id) {path, id},
static const struct target on_accounts[] = {
#define ACCOUNTS
#include "test/access/targets.def"
#undef ACCOUNTS
};
#define T(route, path, id) {path, id},
static const struct target on_own[] = {
#define OWN
#include "test/access/targets.def"
#undef OWN
};
#define T(route, path, id) {path, id},
static const struct target on_mail[] = {
#define MAIL
#include "test/access/targets.def"
#undef MAIL
};

/* Which of them are asked for. */
enum { OBJECTS = 1, REST = 2, ACCOUNTS = 4, OWN = 8, MAIL = 16 };
static const struct {
    unsigned bit;
    const struct target *targets;
    size_t n;
} groups[] = {
    {OBJECTS, on_objects, ARRAY_LEN(on_objects)},
    {REST, on_rest, ARRAY_LEN(on_rest)},
    {ACCOUNTS, on_accounts, ARRAY_LEN(on_accounts)},
    {OWN, on_own, ARRAY_LEN(on_own)},
    {MAIL, on_mail, ARRAY_LEN(on_mail)},
};

/* ---- users ----------------------------------------------------------------------------------- */

#define SECRET "access-secret"

/* Who asks: "": nobody; "name": name:secret; "name wrong": name:wrong. */
static void ask_as(const char *who)
{
    static const char wrong[] = " wrong";
    size_t n = strlen(who);
    bool is_wrong = n > sizeof wrong - 1 && strcmp(who + n - (sizeof wrong - 1), wrong) == 0;
    as(*who && !is_wrong ? who : NULL);
    if (!is_wrong)
        return;
    char bytes[512];
    struct arena a;
    arena_init(&a, bytes, sizeof bytes, NULL, sizeof bytes);
    const char *text = f("%.*s:wrong", (int)(n - (sizeof wrong - 1)), who);
    str code = hash_base64_encode(&a, str_from(text));
    with("Authorization", f("Basic " STR_FMT, STR_ARG(code)));
    arena_fini(&a);
}

/* The principal of name:secret under basicauth. */
static const char *basic(const char *name)
{
    char hex[2 * HASH_SHA256_LEN + 1];
    hash_hmac_sha256_hex(STR(SECRET), str_from(f("%s:secret", name)), hex);
    return f("basicauth:%s", hex);
}

/* The id of a user's default bucket: 128 bits of an HMAC of the user's id. */
static const char *bucket_of(const char *user)
{
    char hex[2 * HASH_SHA256_LEN + 1];
    hash_hmac_sha256_hex(STR(SECRET), str_from(user), hex);
    return f("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* {name} in `text` is what basic() makes of it, {olga's} her bucket. */
static const char *filled(const char *text)
{
    const char *out = "", *open, *close;
    while ((open = strchr(text, '{')) != NULL && (close = strchr(open, '}')) != NULL) {
        const char *name = f("%.*s", (int)(close - open - 1), open + 1);
        const char *value = strcmp(name, "olga's") == 0 ? bucket_of(basic("olga")) : basic(name);
        out = f("%s%.*s%s", out, (int)(open - text), text, value);
        text = close + 1;
    }
    return f("%s%s", out, text);
}

/* ---- servers --------------------------------------------------------------------------------- */

#define COMMON                                                                                     \
    "kinto.userid_hmac_secret = " SECRET "\n"                                                      \
    "kinto.default_bucket_hmac_secret = " SECRET "\n"                                              \
    "kinto.experimental_permissions_endpoint = true\n"                                             \
    "kinto.account_password_cost = 4\n"                                                            \
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n"                       \
    "multiauth.policy.basicauth.use = "                                                            \
    "kinto.core.authentication.BasicAuthAuthenticationPolicy\n"
#define PLUGINS                                                                                    \
    "kinto.plugins.default_bucket kinto.plugins.flush kinto.plugins.history "                      \
    "kinto.plugins.counters"
#define WITH_BASIC    "kinto.includes = " PLUGINS "\nmultiauth.policies = basicauth\n" COMMON
#define WITH_ACCOUNTS "kinto.includes = " PLUGINS " kinto.plugins.accounts\n" COMMON

enum { NO_ACCOUNTS, TWO_ACCOUNTS, ALL_ACCOUNTS }; /* all: boss, olga and tom, too */
static const struct server_kind {
    const char *name, *settings;
    bool world; /* there is one; else nothing is there */
    int accounts;
    size_t cells; /* are asked for of it */
} kinds[] = {
    {"plain", WITH_BASIC "kinto.bucket_create_principals = {boss} {olga}\n", true, NO_ACCOUNTS,
     42116},
    {"settings",
     WITH_BASIC "kinto.bucket_create_principals = {boss} {bucket-create}\n"
                "kinto.bucket_read_principals = {bucket-read}\n"
                "kinto.bucket_write_principals = {bucket-write} /buckets/b/groups/team\n"
                "kinto.group_create_principals = {group-create}\n"
                "kinto.group_read_principals = {group-read}\n"
                "kinto.group_write_principals = {group-write}\n"
                "kinto.collection_create_principals = {collection-create}\n"
                "kinto.collection_read_principals = {collection-read}\n"
                "kinto.collection_write_principals = {collection-write}\n"
                "kinto.record_create_principals = {record-create}\n"
                "kinto.record_read_principals = {record-read}\n"
                "kinto.record_write_principals = {record-write}\n"
                "kinto.history_read_principals = {history-read}\n"
                "kinto.permissions_read_principals = {permissions-read}\n"
                "kinto.user-data_delete_principals = {user-data-delete}\n",
     true, NO_ACCOUNTS, 12048},
    {"mixed",
     WITH_ACCOUNTS
     "multiauth.policies = account basicauth\n"
     "kinto.bucket_create_principals = {boss} {olga}\n"
     "kinto.account_create_principals = {boss} {account-create}\n"
     "kinto.account_read_principals = {account-read}\n"
     "kinto.account_write_principals = account:root {boss} {account-create} {account-write}\n",
     true, TWO_ACCOUNTS, 10460},
    {"accounts",
     WITH_ACCOUNTS "multiauth.policies = account\n"
                   "kinto.account_create_principals = system.Everyone\n"
                   "kinto.account_write_principals = account:root\n",
     true, ALL_ACCOUNTS, 3748},
    {"implicit",
     WITH_BASIC "kinto.explicit_permissions = false\n"
                "kinto.bucket_create_principals = {boss} {olga}\n"
                "kinto.group_create_principals = {boss} {olga}\n"
                "kinto.collection_create_principals = {boss} {olga}\n"
                "kinto.record_create_principals = {boss} {olga}\n",
     true, NO_ACCOUNTS, 3216},
    {"readonly", WITH_BASIC "kinto.bucket_write_principals = {boss}\nkinto.readonly = true\n",
     false, NO_ACCOUNTS, 2058},
    {"own",
     "kinto.includes = " PLUGINS " kinto.plugins.openid kinto.plugins.prometheus "
     "kinto.plugins.quotas kinto.plugins.revisions\n" COMMON
     "multiauth.policies = basicauth auth0\n"
     "multiauth.policy.auth0.use = kinto.plugins.openid.OpenIDConnectPolicy\n"
     "multiauth.policy.auth0.issuer = http://127.0.0.1:9/\n"
     "multiauth.policy.auth0.client_id = id\n"
     "multiauth.policy.auth0.client_secret = client-secret\n"
     "multiauth.policy.auth0.header_type = Bearer\n"
     "kinto.bucket_create_principals = {boss} {olga}\n",
     true, NO_ACCOUNTS, 5525},
    {"mail",
     WITH_ACCOUNTS "multiauth.policies = account basicauth\n"
                   "kinto.account_validation = true\n",
     false, NO_ACCOUNTS, 104},
};

/* ---- situations ------------------------------------------------------------------------------ */

struct situation {
    const struct server_kind *kind;
    const char *name;
    const char *asks;   /* as ask_as() takes it */
    const char *object; /* what the permission is on; NULL: none is given */
    const char *permission, *holder;
    const char *member;       /* of /buckets/b/groups/team; NULL: nobody */
    const char *other_member; /* of the group of that name in the other bucket */
    const char *creator;      /* of `object`, instead of boss */
};

enum { BUCKET_WRITE = 1 }; /* in the list that follows */
static const struct {
    const char *name, *object, *permission;
    bool by_accounts; /* asked for by each way of accounts, too */
} holdings[] = {
    {"bucket read", "/buckets/b", "read", false},
    {"bucket write", "/buckets/b", "write", true},
    {"bucket collection:create", "/buckets/b", "collection:create", false},
    {"bucket group:create", "/buckets/b", "group:create", false},
    {"group read", "/buckets/b/groups/g", "read", false},
    {"group write", "/buckets/b/groups/g", "write", false},
    {"collection read", C, "read", true},
    {"collection write", C, "write", false},
    {"collection record:create", C, "record:create", true},
    {"record read", C "/records/r", "read", false},
    {"record write", C "/records/r", "write", true},
};

#define TEAM "/buckets/b/groups/team"
static const struct way {
    const char *name, *holder, *asks, *member, *other_member;
} ways[] =
    {
        {"uma, uma asks", "{uma}", "uma", NULL, NULL},
        {"uma, another asks", "{uma}", "tom", NULL, NULL},
        {"uma, nobody asks", "{uma}", "", NULL, NULL},
        {"a group, a member asks", TEAM, "uma", "{uma}", NULL},
        {"a group, a member of another's of that name asks", TEAM, "uma", NULL, "{uma}"},
        {"Everyone, nobody asks", "system.Everyone", "", NULL, NULL},
        {"Everyone, uma asks", "system.Everyone", "uma", NULL, NULL},
        {"Authenticated, nobody asks", "system.Authenticated", "", NULL, NULL},
        {"Authenticated, uma asks", "system.Authenticated", "uma", NULL, NULL},
},
  account_ways[] =
      {
          {"an account, it asks", "account:ann", "ann", NULL, NULL},
          {"an account, its name with a wrong password asks", "account:ann", "ann wrong", NULL,
           NULL},
          {"an account, an administrator of accounts asks", "account:ann", "root", NULL, NULL},
          {"basicauth, an account of that name and password asks", "{ann}", "ann", NULL, NULL},
          {"a group, an account that is a member asks", TEAM, "ann", "account:ann", NULL},
          {"Authenticated, it asks", "system.Authenticated", "ann", NULL, NULL},
},
  few_ways[] = {
      {"uma, uma asks", "{uma}", "uma", NULL, NULL},
      {"Everyone, nobody asks", "system.Everyone", "", NULL, NULL},
};

/* ---- cells ----------------------------------------------------------------------------------- */

struct line {
    const char *when, *target, *cells;
};
#define WHEN(when)         {when, NULL, NULL},
#define ROW(target, cells) {NULL, target, cells},
#define AS_THE_BASE        {NULL, "", ""},
#define DIFFERS(target, verb, theirs, ours)
static const struct line lines[] = {
#include "test/access/answers.def"
#include "test/access/own.def"
};
#undef WHEN
#undef ROW
#undef AS_THE_BASE
#undef DIFFERS

/* Cells that are not as the reference's. */
#define WHEN(when)
#define ROW(target, cells)
#define AS_THE_BASE
#define DIFFERS(target, verb, theirs, ours) {target, verb, theirs, ours},
static const struct {
    const char *target, *verb, *theirs, *ours; /* ours: NULL, as for GET */
} differences[] = {
#include "test/access/own.def"
};
#undef WHEN
#undef ROW
#undef AS_THE_BASE
#undef DIFFERS

static const char *ours_of(const char *target, const char *verb, const char *theirs,
                           const char *of_get)
{
    for (size_t i = 0; i < ARRAY_LEN(differences); i++)
        if (strcmp(differences[i].target, target) == 0 && strcmp(differences[i].verb, verb) == 0 &&
            strcmp(differences[i].theirs, theirs) == 0)
            return differences[i].ours ? differences[i].ours : of_get;
    return theirs;
}

/* What a row says, as judge() gets it. */
static const char *read_row(const char *target, const char *cells)
{
    static char out[512];
    char copy[512], *rest = copy, *one;
    const char *of_get = NULL;
    size_t n = 0, v = 0;
    snprintf(copy, sizeof copy, "%s", cells);
    while ((one = strsep(&rest, " ")) != NULL) {
        if (!*one)
            continue; /* blanks align them */
        CHECK(v < ARRAY_LEN(verbs));
        of_get = v == 0 ? one : of_get;
        n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", v > 0 ? " " : "",
                              ours_of(target, verbs[v].name, one, of_get));
        v++;
    }
    return out;
}

/* What a row must be: that of the situation, or else that of its base. */
static const char *expected(const char *situation, const char *base, const char *target)
{
    const char *of_base = NULL;
    bool here = false, there = false, head = false;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (lines[i].when) {
            here = head && here;
            there = head && there;
            here = here || strcmp(lines[i].when, situation) == 0;
            there = there || strcmp(lines[i].when, base) == 0;
            head = true;
            continue;
        }
        head = false;
        if (here && strcmp(lines[i].target, target) == 0)
            return read_row(target, lines[i].cells);
        if (there && strcmp(lines[i].target, target) == 0)
            of_base = lines[i].cells;
    }
    return of_base ? read_row(target, of_base) : NULL;
}

enum { MAX_TOLD = 100 }; /* rows */
static FILE *record;     /* instead of comparing: "situation\tbase\ttarget\tcells\n" */
static size_t cells_asked, wrong_rows;

static void judge(const struct situation *s, const char *base, const char *target,
                  const char *cells)
{
    const char *name = f("%s: %s", s->kind->name, s->name);
    base = f("%s: %s", s->kind->name, base);
    if (record) {
        fprintf(record, "%s\t%s\t%s\t%s\n", name, base, target, cells);
        return;
    }
    const char *want = expected(name, base, target);
    if (want && strcmp(want, cells) == 0)
        return;
    if (wrong_rows++ < MAX_TOLD)
        fprintf(stderr, "%s: %s\n  want %s\n  got  %s\n", name, target, want ? want : "(no row)",
                cells);
}

/* ---- the world ------------------------------------------------------------------------------- */

static const struct server_kind *kind;

/* One request of the batch that builds it. */
static void add_part(FILE *out, const char *who, const char *path, const char *body)
{
    char bytes[512];
    struct arena a;
    arena_init(&a, bytes, sizeof bytes, NULL, sizeof bytes);
    str code = hash_base64_encode(&a, str_from(f("%s:secret", who)));
    fprintf(out,
            "%s{'method':'PUT','path':'%s','body':%s,"
            "'headers':{'Authorization':'Basic " STR_FMT "'}}",
            ftell(out) > 13 ? "," : "", path, body, STR_ARG(code));
    arena_fini(&a);
}

/* What the creator of an object needs on the one around it. */
static const char *needed(const struct situation *s, const char *path)
{
    bool in_c = s->creator && strcmp(s->object, C "/records/r") == 0;
    if (s->creator && in_c && strcmp(path, C) == 0)
        return f(",'permissions':{'record:create':['%s']}", basic(s->creator));
    if (s->creator && !in_c && strcmp(path, "/buckets/b") == 0)
        return f(",'permissions':{'%s:create':['%s']}",
                 strcmp(s->object, C) == 0 ? "collection" : "group", basic(s->creator));
    return "";
}

/* An object of the world, with the permission if it is the one. */
static void add_object(FILE *out, const struct situation *s, const char *path, const char *data)
{
    const char *permissions = needed(s, path);
    bool it = s->object && strcmp(s->object, path) == 0;
    if (it && s->permission)
        permissions = f(",'permissions':{'%s':['%s']}", s->permission, filled(s->holder));
    add_part(out, it && s->creator ? s->creator : "boss", path,
             f("{'data':%s%s}", data, permissions));
}

static const char *group_of(const char *member)
{
    return member ? f("{'members':['%s']}", filled(member)) : "{'members':[]}";
}

/* Sends the batch; every part must be answered with 2xx. */
static void send_batch(FILE *out, char **text)
{
    fputs("]}", out);
    CHECK(fclose(out) == 0);
    call("POST", "/batch", *text);
    want(200);
    for (size_t i = 0; has(f("/responses/%zu", i)); i++)
        if (num_at(f("/responses/%zu/status", i)) / 100 != 2)
            ck_abort_msg("the world is not built: %s %s", at(f("/responses/%zu/path", i)),
                         at(f("/responses/%zu/body", i)));
    free(*text);
    *text = NULL;
}

static FILE *begin_batch(char **text)
{
    static size_t n;
    FILE *out = open_memstream(text, &n);
    CHECK(out);
    fputs("{'requests':[", out);
    return out;
}

#define PASSWORD "{'data':{'password':'secret'}}"
static void build_accounts(void)
{
    static const char *const names[] = {"ann", "root", "boss", "olga", "tom"};
    char *text;
    if (kind->accounts == TWO_ACCOUNTS) {
        FILE *out = begin_batch(&text);
        add_part(out, "boss", "/accounts/ann", PASSWORD);
        add_part(out, "boss", "/accounts/root", PASSWORD);
        send_batch(out, &text);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        call("PUT", f("/accounts/%s", names[i]), PASSWORD);
        want(201);
    }
}

static void build(const struct situation *s)
{
    char *text;
    as(NULL);
    call("POST", "/__flush__", NULL);
    if (!kind->world)
        return;
    want(202);
    if (kind->accounts)
        build_accounts();
    FILE *out = begin_batch(&text);
    add_object(out, s, "/buckets/b", "{}");
    add_object(out, s, "/buckets/b/groups/g", "{'members':[]}");
    add_object(out, s, TEAM, group_of(s->member));
    add_object(out, s, C, "{}");
    add_object(out, s, C "/records/r", "{}");
    send_batch(out, &text);
    /* Not in one batch: there the reference ascribes all to the first bucket, and shows entries of the
     * history to whoever may see others of their kind. */
    out = begin_batch(&text);
    add_object(out, s, "/buckets/other", "{}");
    add_object(out, s, "/buckets/other/groups/team", group_of(s->other_member));
    add_object(out, s, "/buckets/other/collections/c", "{}");
    add_object(out, s, "/buckets/other/collections/c/records/r", "{}");
    send_batch(out, &text);
    as("boss");
    call("PUT", "/buckets/b/collections/d", "{'data':{}}");
    want(201);
    call("PUT", C "/records/s", "{'data':{}}");
    want(201);
    as("olga");
    call("PUT", "/buckets/default/collections/c/records/r", "{'data':{}}");
    want(201);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static size_t count_at(const char *pointer)
{
    size_t n = 0;
    while (has(f("%s/%zu", pointer, n)))
        n++;
    return n;
}

/* Permissions are shown, and there is somebody in them. */
static bool shows_permissions(void)
{
    static const char *const names[] = {"read",         "write",         "collection:create",
                                        "group:create", "record:create", "bucket:create"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (has(f("/permissions/%s/0", names[i])))
            return true;
    return false;
}

/* NULL: none. */
static const char *body_of(const struct verb *v, const char *id)
{
    if (v->body && strstr(v->body, "%s"))
        return f("{'data':{'id':'%s','members':[],'password':'another'}}", id);
    return v->body;
}

/* One cell: "200/2", "201p", "403". True: the world may be another. */
static bool ask(const struct situation *s, const struct verb *v, const char *path, const char *id,
                char out[32])
{
    ask_as(s->asks);
    if (v->header)
        with(v->header, v->value);
    call(v->method, path, body_of(v, id));
    cells_asked++;
    const char *total = strcmp(v->method, "HEAD") == 0 ? header("Total-Objects") : NULL;
    bool list = re.status == 200 && has("/data") && at("/data")[0] == '[';
    if (list)
        snprintf(out, 32, "%d/%zu", re.status, count_at("/data"));
    else if (total)
        snprintf(out, 32, "%d/%s", re.status, total);
    else
        snprintf(out, 32, "%d%s", re.status, shows_permissions() ? "p" : "");
    bool reads = strcmp(v->method, "GET") == 0 || strcmp(v->method, "HEAD") == 0;
    return re.status < 300 && !reads && strcmp(v->method, "OPTIONS") != 0;
}

/* What changes nothing is the same as the part of a batch. */
static void ask_in_batch(const struct situation *s, const struct verb *v, const char *path,
                         const char *id, int status)
{
    if (record || !kind->world || kind->accounts != NO_ACCOUNTS /* takes long */ ||
        strcmp(v->method, "BREW") == 0 || strcmp(v->method, "OPTIONS") == 0 ||
        strncmp(path, "/batch", 6) == 0 || strncmp(path, "/__", 3) == 0)
        return;
    const char *body = body_of(v, id);
    char value[64] = "";
    for (const char *from = v->value; from && *from; from++)
        snprintf(value + strlen(value), sizeof value - strlen(value), "%s%c",
                 *from == '"' ? "\\" : "", *from);
    ask_as(s->asks);
    call("POST", "/batch",
         f("{'requests':[{'method':'%s','path':'%s'%s%s,'headers':{'%s':'%s'}}]}", v->method, path,
           body ? ",'body':" : "", body ? body : "", v->header ? v->header : "X-Header", value));
    want(200);
    if (num_at("/responses/0/status") != status && wrong_rows++ < MAX_TOLD)
        fprintf(stderr, "%s: %s: %s %s in a batch\n  want %d\n  got  %s\n", s->kind->name, s->name,
                v->name, path, status, at("/responses/0/status"));
}

static const char *revision_of(const char *object)
{
    as("boss");
    call("GET", f("%s/revisions", object), NULL);
    want(200);
    return at("/data/0/id");
}

static const char *path_of(const char *path)
{
    static const struct {
        const char *text, *object;
    } revisions[] = {{"{b's}", "/buckets/b"},
                     {"{g's}", "/buckets/b/groups/g"},
                     {"{c's}", C},
                     {"{r's}", C "/records/r"}};
    for (size_t i = 0; i < ARRAY_LEN(revisions); i++) {
        const char *at_it = strstr(path, revisions[i].text);
        if (at_it)
            return f("%.*s%s", (int)(at_it - path), path, revision_of(revisions[i].object));
    }
    return filled(path);
}

static void ask_all(const struct situation *s, const char *base, const struct target *targets,
                    size_t n, bool *dirty)
{
    for (size_t t = 0; t < n; t++) {
        char cells[512] = "", cell[32], path[256];
        for (size_t v = 0; v < ARRAY_LEN(verbs); v++) {
            bool skip = strcmp(verbs[v].name, "POST=") == 0 && !targets[t].id;
            if (*dirty)
                build(s);
            *dirty = false;
            if (skip)
                snprintf(cell, sizeof cell, "-");
            else {
                snprintf(path, sizeof path, "%s", path_of(targets[t].path));
                *dirty = ask(s, &verbs[v], path, targets[t].id, cell);
                if (!*dirty)
                    ask_in_batch(s, &verbs[v], path, targets[t].id, re.status);
            }
            size_t have = strlen(cells);
            snprintf(cells + have, sizeof cells - have, "%s%s", have ? " " : "", cell);
        }
        judge(s, base, targets[t].path, cells);
    }
}

static void look(const struct situation *s, unsigned which)
{
    const char *base = *s->asks ? "uma holds nothing" : "nobody asks";
    bool dirty = true;
    if (kind->accounts == ALL_ACCOUNTS && *s->asks)
        base = "tom holds nothing";
    for (size_t g = 0; g < ARRAY_LEN(groups); g++)
        if (which & groups[g].bit)
            ask_all(s, base, groups[g].targets, groups[g].n, &dirty);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static const struct server_kind *kind_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    ck_abort_msg("no server %s", name);
}

static struct server server;

static void begin(const char *name)
{
    const char *foreign = getenv("ACCESS_SERVER"), *to = getenv("ACCESS_RECORD");
    kind = kind_of(name);
    record = to ? fopen(to, "a") : NULL;
    ck_assert(!to || record);
    if (!foreign)
        server_start(&server, &(struct server_options){.settings = filled(kind->settings)});
    api_use(foreign ? foreign : server.url);
}

static void end(void)
{
    if (record)
        ck_assert(fclose(record) == 0);
    if (wrong_rows)
        ck_abort_msg("%zu rows are not as they have to be (see above)", wrong_rows);
    ck_assert_msg(record || cells_asked == kind->cells,
                  "%zu cells were asked for, not %zu: if that is meant, say so in `kinds`",
                  cells_asked, kind->cells);
    if (!getenv("ACCESS_SERVER"))
        server_stop(&server);
}

static void look_at(const char *name, const char *asks, unsigned which)
{
    look(&(struct situation){.kind = kind, .name = name, .asks = asks}, which);
}

static void look_at_holdings(const struct way *way, size_t n, unsigned which)
{
    char name[160];
    for (size_t h = 0; h < ARRAY_LEN(holdings); h++)
        for (size_t w = 0; w < n; w++) {
            bool wrong = strcmp(way[w].asks, "ann wrong") == 0; /* takes long */
            if (way == account_ways && (!holdings[h].by_accounts || (wrong && h != BUCKET_WRITE)))
                continue;
            snprintf(name, sizeof name, "%s by %s", holdings[h].name, way[w].name);
            look(&(struct situation){.kind = kind,
                                     .name = name,
                                     .asks = way[w].asks,
                                     .object = holdings[h].object,
                                     .permission = holdings[h].permission,
                                     .holder = way[w].holder,
                                     .member = way[w].member,
                                     .other_member = way[w].other_member},
                 which);
        }
}

static void look_at_creators(void)
{
    static const struct {
        const char *name, *object;
    } made[] = {{"uma made the group", "/buckets/b/groups/g"},
                {"uma made the collection", C},
                {"uma made the record", C "/records/r"}};
    for (size_t i = 0; i < ARRAY_LEN(made); i++)
        look(&(struct situation){.kind = kind,
                                 .name = made[i].name,
                                 .asks = "uma",
                                 .object = made[i].object,
                                 .creator = "uma"},
             OBJECTS);
}

START_TEST(held_permissions)
{
    begin("plain");
    look_at("nobody asks", "", OBJECTS | REST);
    look_at("uma holds nothing", "uma", OBJECTS | REST);
    look_at("boss made all", "boss", OBJECTS | REST);
    look_at("olga has a bucket", "olga", OBJECTS | REST);
    look_at_holdings(ways, ARRAY_LEN(ways), OBJECTS);
    look_at_creators();
    end();
}
END_TEST

START_TEST(principals_in_settings)
{
    static const char *const names[] = {
        "bucket-create",    "bucket-read",      "bucket-write",      "group-create",
        "group-read",       "group-write",      "collection-create", "collection-read",
        "collection-write", "record-create",    "record-read",       "record-write",
        "history-read",     "permissions-read", "user-data-delete",
    };
    begin("settings");
    look_at("nobody asks", "", OBJECTS | REST);
    look_at("uma holds nothing", "uma", OBJECTS | REST);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        look_at(names[i], names[i], OBJECTS | REST);
    look(
        &(struct situation){
            .kind = kind, .name = "bucket-write by a group", .asks = "uma", .member = "{uma}"},
        OBJECTS);
    end();
}
END_TEST

START_TEST(accounts_beside_basicauth)
{
    static const char *const names[] = {"account-create", "account-read", "account-write"};
    begin("mixed");
    look_at("nobody asks", "", OBJECTS | ACCOUNTS);
    look_at("uma holds nothing", "uma", OBJECTS | ACCOUNTS);
    look_at("an account holds nothing", "ann", OBJECTS | ACCOUNTS);
    look_at("a wrong password", "ann wrong", OBJECTS | ACCOUNTS);
    look_at("an administrator of accounts", "root", OBJECTS | ACCOUNTS);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        look_at(names[i], names[i], ACCOUNTS);
    look_at_holdings(account_ways, ARRAY_LEN(account_ways), OBJECTS);
    end();
}
END_TEST

START_TEST(accounts_alone)
{
    begin("accounts");
    look_at("nobody asks", "", OBJECTS | REST | ACCOUNTS);
    look_at("tom holds nothing", "tom", OBJECTS | REST | ACCOUNTS);
    look_at("an account holds nothing", "ann", ACCOUNTS);
    look_at("a wrong password", "ann wrong", OBJECTS | REST | ACCOUNTS);
    look_at("a name that nobody has", "nobody", OBJECTS | REST | ACCOUNTS);
    look_at("an administrator of accounts", "root", OBJECTS | REST | ACCOUNTS);
    end();
}
END_TEST

START_TEST(implicit_permissions)
{
    begin("implicit");
    look_at("nobody asks", "", OBJECTS | REST);
    look_at("uma holds nothing", "uma", OBJECTS | REST);
    look_at("boss made all", "boss", OBJECTS | REST);
    look_at_creators();
    end();
}
END_TEST

START_TEST(readonly)
{
    begin("readonly");
    look_at("nobody asks", "", OBJECTS | REST);
    look_at("uma holds nothing", "uma", OBJECTS | REST);
    look_at("boss may write", "boss", OBJECTS | REST);
    end();
}
END_TEST

START_TEST(own_routes)
{
    begin("own");
    look_at("nobody asks", "", OWN);
    look_at("uma holds nothing", "uma", OWN);
    look_at("boss made all", "boss", OWN);
    look_at_holdings(few_ways, ARRAY_LEN(few_ways), OWN);
    end();
}
END_TEST

START_TEST(routes_of_account_validation)
{
    begin("mail");
    look_at("nobody asks", "", MAIL);
    look_at("uma holds nothing", "uma", MAIL);
    end();
}
END_TEST

/* SECURITY.md says how many there are in all. */
START_TEST(many_questions)
{
    size_t all = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        all += kinds[i].cells;
    ck_assert_uint_ge(all, 79000);
}
END_TEST

static TCase *case_of(Suite *s, const char *name)
{
    TCase *t = api_case_own(s, name);
    tcase_set_timeout(t, 120);
    return t;
}

static Suite *suite(void)
{
    Suite *s = suite_create("access");
    tcase_add_test(case_of(s, "plain"), held_permissions);
    tcase_add_test(case_of(s, "settings"), principals_in_settings);
    tcase_add_test(case_of(s, "accounts"), accounts_alone);
    tcase_add_test(case_of(s, "implicit"), implicit_permissions);
    tcase_add_test(case_of(s, "readonly"), readonly);
    tcase_add_test(case_of(s, "mixed"), accounts_beside_basicauth);
    tcase_add_test(case_of(s, "own"), own_routes);
    tcase_add_test(case_of(s, "mail"), routes_of_account_validation);
    tcase_add_test(case_of(s, "size"), many_questions);
    return s;
}

/* For the recorder: ACCESS_INI=NAME prints the settings of that server, ACCESS_INI=verbs the methods. */
int main(void)
{
    const char *name = getenv("ACCESS_INI");
    if (name && strcmp(name, "verbs") == 0) {
        for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
            printf("%s%s", i ? " " : "", verbs[i].name);
        return 0;
    }
    if (name) {
        fputs(filled(kind_of(name)->settings), stdout);
        return 0;
    }
    const char *foreign = getenv("TEST_SERVER"); /* cannot be given these settings */
    SRunner *r = srunner_create(suite());
    srunner_run_tagged(r, NULL, getenv("CK_RUN_CASE"), NULL, foreign ? "own" : NULL, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
