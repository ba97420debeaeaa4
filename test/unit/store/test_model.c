/*
 * Random operations on the store and on a model that is too simple to be wrong: arrays that are
 * searched from end to end, JSON trees, and a sort. After each transaction both must answer alike,
 * and every key in the engine must be what store/private.h says (its invariants 1 to 4).
 *
 * STORE_SEED=n repeats a run; the seed of each run is in the message of a failure.
 */
#include "test/unit/store/store_test.h"

#include "base/rand.h"

enum { LISTS = 5, IDS = 14, WHO = 4, GROUPS = 4 };

static const struct {
    const char *resource, *parent;
} list_names[LISTS] = {{"bucket", ""},
                       {"collection", "/buckets/b"},
                       {"record", "/buckets/b/collections/c"},
                       {"record", "/buckets/b1/collections/c"},
                       {"group", "/buckets/b"}};
static const char *const id_names[IDS] = {"a",
                                          "b",
                                          "c",
                                          "d",
                                          "e",
                                          "f0",
                                          "f1",
                                          "g-1",
                                          "g-2",
                                          "472be9ec-26fe-461b-8282-9c4e4b207ab3",
                                          "472be9ec-26fe-461b-8282-9c4e4b207ab4",
                                          "00000000-26fe-461b-8282-9c4e4b207ab4",
                                          "x",
                                          "y"};
static const char *const who_names[WHO] = {"alice", "bob", "system.Everyone",
                                           "/buckets/b/groups/g"};
static const char *const group_names[GROUPS] = {"/buckets/b/groups/g", "/buckets/b/groups/g1",
                                                "/buckets/b1/groups/g", "/buckets/b"};
static const char *const v_texts[] = {NULL,        "null",      "false", "true",   "0",        "1",
                                      "1.0",       "-5",        "\"\"",  "\"Aa\"", "\"b\\n\"", "[]",
                                      "[1,\"a\"]", "{\"a\":1}", "{}",    "\"12\""};
static const char *const w_texts[] = {NULL, "{\"x\":1}", "{\"x\":\"s\"}", "7"};
static const char *const parents[] = {"/buckets/b", "/buckets/b1", "/buckets/b/collections/c",
                                      "/buckets/b/groups/g", "/buckets"};

struct m_object {
    bool there, deleted;
    int64_t ms;
    size_t v, w;
    unsigned acl[WHO];
};

struct model {
    struct m_object objects[LISTS][IDS];
    bool known[LISTS];
    int64_t clock[LISTS];
    bool member[GROUPS][WHO];
};

static struct model model;
static uint64_t seed, state;

static uint32_t below(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % n;
}

static bool one_in(uint32_t n)
{
    return below(n) == 0;
}

static struct store_list_id list_id(size_t l)
{
    return (struct store_list_id){str_from(list_names[l].resource), str_from(list_names[l].parent)};
}

/* ---- operations ------------------------------------------------------------------------------ */

static int64_t model_stamp(size_t l, const int64_t *asked)
{
    int64_t t;

    if (asked == NULL)
        t = MAX_OF(wall_now, model.clock[l] + 1);
    else
        t = *asked == model.clock[l] ? *asked + 1 : *asked;
    model.known[l] = true;
    model.clock[l] = MAX_OF(model.clock[l], t);
    return t;
}

/* NULL, or a time that often meets another one. */
static const int64_t *random_time(size_t l, int64_t *space)
{
    switch (below(6)) {
    case 0:
        *space = (int64_t)below(6) - 2;
        return space;
    case 1:
        *space = model.clock[l] + (int64_t)below(7) - 3;
        return space;
    case 2:
        *space = model.objects[l][below(IDS)].ms;
        return space;
    }
    return NULL;
}

static const int64_t *for_update(const int64_t *asked, const struct m_object *o)
{
    return asked != NULL && *asked <= o->ms ? NULL : asked;
}

static size_t random_acl(struct store_ace *acl, unsigned *perms)
{
    size_t n = 0;

    memset(perms, 0, WHO * sizeof *perms);
    for (unsigned i = 0; i < WHO; i++) {
        if (!one_in(3))
            continue;
        perms[i] = 1 + below(3);
        acl[n++] = (struct store_ace){str_from(who_names[i]), perms[i]};
    }
    return n;
}

static void check_same(const struct store_object *o, size_t id, const struct m_object *m)
{
    ck_assert_str_is(o->id, id_names[id]);
    ck_assert_int_eq(o->last_modified, m->ms);
    ck_assert_int_eq(o->deleted, m->deleted);
}

static void op_put(void)
{
    size_t l = below(LISTS), id = below(IDS);
    struct m_object *m = &model.objects[l][id];
    struct store_ace acl[WHO];
    unsigned perms[WHO];
    int64_t space;
    const int64_t *asked = random_time(l, &space);
    struct json *data = json_new_object(&arena);
    struct store_put p = {str_from(id_names[id]), data, asked, NULL, 0};
    struct store_object o;
    bool live = m->there && !m->deleted;

    if (one_in(2)) {
        p.nacl = random_acl(acl, perms);
        p.acl = acl;
    } else if (live) {
        memcpy(perms, m->acl, sizeof perms);
    } else {
        memset(perms, 0, sizeof perms);
    }
    m->v = below(ARRAY_LEN(v_texts));
    m->w = below(ARRAY_LEN(w_texts));
    if (v_texts[m->v] != NULL)
        ck_assert_ok(json_set(&arena, data, STR("v"), parse(v_texts[m->v])));
    if (w_texts[m->w] != NULL)
        ck_assert_ok(json_set(&arena, data, STR("w"), parse(w_texts[m->w])));
    ck_assert_ok(store_put(session, &arena, list_id(l), &p, &o));
    m->ms = model_stamp(l, live ? for_update(asked, m) : asked);
    m->there = true;
    m->deleted = false;
    memcpy(m->acl, perms, sizeof perms);
    check_same(&o, id, m);
}

static void op_delete(void)
{
    size_t l = below(LISTS), id = below(IDS);
    struct m_object *m = &model.objects[l][id];
    int64_t space;
    const int64_t *asked = random_time(l, &space);
    struct store_object o;
    enum err e = store_delete(session, &arena, list_id(l), str_from(id_names[id]), asked, &o);

    if (!m->there || m->deleted) {
        ck_assert_err(e, ERR_NOTFOUND);
        return;
    }
    ck_assert_ok(e);
    m->ms = model_stamp(l, for_update(asked, m));
    m->deleted = true;
    memset(m->acl, 0, sizeof m->acl);
    check_same(&o, id, m);
}

static void op_set_acl(void)
{
    size_t l = below(LISTS), id = below(IDS);
    struct m_object *m = &model.objects[l][id];
    struct store_ace acl[WHO];
    unsigned perms[WHO];
    size_t n = random_acl(acl, perms);
    enum err e = store_set_acl(session, &arena, list_id(l), str_from(id_names[id]), acl, n);

    if (!m->there || m->deleted) {
        ck_assert_err(e, ERR_NOTFOUND);
        return;
    }
    ck_assert_ok(e);
    memcpy(m->acl, perms, sizeof perms);
}

static bool lies_below(const char *name, const char *uri)
{
    size_t n = strlen(uri);

    return strncmp(name, uri, n) == 0 && (name[n] == '\0' || name[n] == '/');
}

static void op_delete_below(void)
{
    const char *uri = parents[below(ARRAY_LEN(parents))];

    ck_assert_ok(store_delete_below(session, str_from(uri)));
    for (size_t l = 0; l < LISTS; l++)
        if (lies_below(list_names[l].parent, uri)) {
            memset(model.objects[l], 0, sizeof model.objects[l]);
            model.known[l] = false;
            model.clock[l] = 0;
        }
    for (size_t g = 0; g < GROUPS; g++)
        if (lies_below(group_names[g], uri))
            memset(model.member[g], 0, sizeof model.member[g]);
}

static void op_group(void)
{
    size_t g = below(GROUPS), n = 0;
    str members[WHO];

    for (unsigned i = 0; i < WHO; i++) {
        model.member[g][i] = one_in(2);
        if (model.member[g][i])
            members[n++] = str_from(who_names[i]);
    }
    ck_assert_ok(store_group_set(session, str_from(group_names[g]), members, n));
}

static void op_timestamp(void)
{
    size_t l = below(LISTS);
    int64_t t;

    ck_assert_ok(store_timestamp(session, list_id(l), &t));
    if (!model.known[l])
        model_stamp(l, NULL);
    ck_assert_int_eq(t, model.clock[l]);
}

static void op_flush(void)
{
    ck_assert_ok(store_delete_everything(session));
    memset(&model, 0, sizeof model);
}

static void random_op(void)
{
    uint32_t dice = below(100);

    if (one_in(4))
        wall_now += (int64_t)below(7) - 3;
    if (dice < 55)
        op_put();
    else if (dice < 75)
        op_delete();
    else if (dice < 85)
        op_set_acl();
    else if (dice < 90)
        op_timestamp();
    else if (dice < 96)
        op_group();
    else if (dice < 99)
        op_delete_below();
    else if (one_in(4))
        op_flush();
}

/* ---- questions ------------------------------------------------------------------------------- */

/* The object as a tree, without the store's help. */
static struct json *m_tree(size_t id, const struct m_object *m)
{
    struct json *o = json_new_object(&arena);

    if (!m->deleted && v_texts[m->v] != NULL)
        ck_assert_ok(json_set(&arena, o, STR("v"), parse(v_texts[m->v])));
    if (!m->deleted && w_texts[m->w] != NULL)
        ck_assert_ok(json_set(&arena, o, STR("w"), parse(w_texts[m->w])));
    ck_assert_ok(json_set(&arena, o, STR("id"), json_new_string(&arena, str_from(id_names[id]))));
    ck_assert_ok(json_set(&arena, o, STR("last_modified"), json_new_i64(&arena, m->ms)));
    if (m->deleted)
        ck_assert_ok(json_set(&arena, o, STR("deleted"), json_new_bool(&arena, true)));
    return o;
}

static struct json *m_field(const struct json *o, str name)
{
    return str_eq(name, STR("w.x")) ? json_get(json_get(o, STR("w")), STR("x")) : json_get(o, name);
}

static bool m_in(const struct json *v, const struct json *list)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (json_equal(v, json_at(list, i)))
            return true;
    return false;
}

/* Patterns here have no stars and are ASCII. */
static bool m_like(const struct json *v, const struct json *pattern)
{
    str p = json_string(pattern);

    if (!json_is(v, JSON_STRING))
        return false;
    for (str rest = json_string(v); rest.n >= p.n; rest = str_drop(rest, 1)) {
        if (str_eq_nocase(str_sub(rest, 0, p.n), p))
            return true;
        if (rest.n == 0)
            break;
    }
    return false;
}

static bool m_contains(const struct json *v, const struct json *wanted, bool all)
{
    bool some = false;

    if (!json_is(v, JSON_ARRAY)) /* the operands here are no characters and no names */
        return all && json_count(wanted) == 0 &&
               (json_is(v, JSON_STRING) || json_is(v, JSON_OBJECT));
    for (size_t i = 0; i < json_count(wanted); i++) {
        bool held = m_in(json_at(wanted, i), v);
        if (all && !held)
            return false;
        some |= held;
    }
    return all || some;
}

static bool m_matches(const struct json *o, const struct store_filter *f)
{
    const struct json *v = m_field(o, f->field), *x = f->value;

    switch (f->op) {
    case STORE_EQ:
        return v != NULL && json_equal(v, x);
    case STORE_NOT:
        return v == NULL || !json_equal(v, x);
    case STORE_LT:
        return json_compare(v, x) < 0;
    case STORE_GT:
        return json_compare(v, x) > 0;
    case STORE_MIN:
        return json_compare(v, x) >= 0;
    case STORE_MAX:
        return json_compare(v, x) <= 0;
    case STORE_IN:
        return v != NULL && m_in(v, x);
    case STORE_EXCLUDE:
        return v == NULL || !m_in(v, x);
    case STORE_LIKE:
        return m_like(v, x);
    case STORE_HAS:
        return json_bool(x) == (v != NULL);
    case STORE_CONTAINS:
    case STORE_CONTAINS_ANY:
        break;
    }
    return m_contains(v, x, f->op == STORE_CONTAINS);
}

struct candidate {
    size_t id;
    const struct m_object *m;
    struct json *tree;
};

static const struct store_query *sort_query; /* of the comparison */

/* A field that is named again decides nothing: it is no last key either. */
static bool named_before(const struct store_sort *keys, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (str_eq(keys[i].field, keys[j].field))
            return true;
    return false;
}

static int m_compare(const struct candidate *x, const struct json *tree, str id)
{
    static const struct store_sort by_time = {STR_INIT("last_modified"), true};
    const struct store_sort *keys = sort_query->nsort > 0 ? sort_query->sort : &by_time;
    size_t n = sort_query->nsort > 0 ? sort_query->nsort : 1, decided_by = n;
    int c = 0;

    for (size_t i = 0; i < n && c == 0; i++) {
        c = json_compare(m_field(x->tree, keys[i].field), tree == sort_query->after
                                                              ? json_get(tree, keys[i].field)
                                                              : m_field(tree, keys[i].field));
        decided_by = c != 0 ? i : n;
    }
    if (c == 0 && !str_none(id)) {
        c = store_id_compare(str_from(id_names[x->id]), id);
        decided_by = n - 1;
        while (named_before(keys, decided_by))
            decided_by--;
    }
    return c != 0 && keys[decided_by].descending ? -c : c;
}

static int m_compare_two(const void *x, const void *y)
{
    const struct candidate *b = y;

    return m_compare(x, b->tree, str_from(id_names[b->id]));
}

static bool m_allowed(const struct m_object *m, const unsigned *who, unsigned perms)
{
    for (size_t i = 0; i < WHO; i++)
        if (who[i] != 0 && (m->acl[i] & perms) != 0)
            return true;
    return false;
}

static size_t m_select(size_t l, const struct store_query *q, const unsigned *who,
                       struct candidate *out)
{
    size_t n = 0;

    for (size_t id = 0; id < IDS; id++) {
        const struct m_object *m = &model.objects[l][id];
        struct candidate c = {id, m, NULL};
        bool ok = m->there && (!m->deleted || (q->tombstones && q->shared_with == NULL)) &&
                  (q->shared_with == NULL || m_allowed(m, who, q->shared_perms));
        if (!ok)
            continue;
        c.tree = m_tree(id, m);
        for (size_t i = 0; i < q->nfilters && ok; i++)
            ok = m_matches(c.tree, &q->filters[i]);
        if (ok)
            out[n++] = c;
    }
    sort_query = q;
    qsort(out, n, sizeof *out, m_compare_two);
    return n;
}

static struct store_filter random_filter(size_t l)
{
    static const char *const fields[] = {"v", "v", "w.x", "w", "id", "last_modified", "deleted"};
    static const char *const sets[] = {
        "[1,\"Aa\",null]", "[true,[]]", "[]", "[{\"a\":1.0},\"s\",\"12\",1]",
        "[\"a\",\"x\",\"472be9ec-26fe-461b-8282-9c4e4b207ab3\",\"no\"]"};
    static const char *const scalars[] = {"0",      "1",     "null",        "true",
                                          "\"Aa\"", "\"a\"", "[1,\"a\"]",   "{}",
                                          "\"g\"",  "1.5",   "\"472be9ec\""};
    static const char *const held[] = {"[1]", "[1,2]", "[]", "[1,[]]"};
    struct store_filter f = {.field = str_from(fields[below(ARRAY_LEN(fields))]),
                             .op = (enum store_op)below(STORE_CONTAINS_ANY + 1)};

    switch (f.op) {
    case STORE_IN:
    case STORE_EXCLUDE:
        f.value = parse(sets[below(ARRAY_LEN(sets))]);
        break;
    case STORE_LIKE:
        f.value = parse(one_in(2) ? "\"A\"" : "\"1\"");
        break;
    case STORE_HAS:
        f.value = json_new_bool(&arena, one_in(2));
        break;
    case STORE_CONTAINS:
    case STORE_CONTAINS_ANY:
        f.field = STR("v");
        f.value = parse(held[below(ARRAY_LEN(held))]);
        break;
    case STORE_EQ:
    case STORE_NOT:
    case STORE_LT:
    case STORE_GT:
    case STORE_MIN:
    case STORE_MAX:
        f.value =
            str_eq(f.field, STR("last_modified"))
                ? json_new_i64(&arena, model.objects[l][below(IDS)].ms + (int64_t)below(3) - 1)
                : parse(scalars[below(ARRAY_LEN(scalars))]);
        if (str_eq(f.field, STR("id"))) /* an integer would mean its digits */
            f.value = json_new_string(&arena, str_from(id_names[below(IDS)]));
        break;
    }
    return f;
}

static size_t random_sort(struct store_sort *keys)
{
    static const char *const fields[] = {"last_modified", "v", "w.x", "id", "nothing",
                                         "last_modified"};
    size_t n = below(4);

    for (size_t i = 0; i < n; i++)
        keys[i] = (struct store_sort){str_from(fields[below(ARRAY_LEN(fields))]), one_in(2)};
    return n;
}

static struct json *random_after(size_t l, const struct store_query *q)
{
    size_t id = below(IDS);
    const struct m_object *m = &model.objects[l][id];
    struct json *tree = m_tree(id, m), *after = json_new_object(&arena);

    for (size_t i = 0; i < q->nsort; i++) {
        struct json *v = m_field(tree, q->sort[i].field);
        if (v != NULL)
            ck_assert_ok(json_set(&arena, after, q->sort[i].field, json_copy(&arena, v)));
    }
    if (q->nsort == 0)
        ck_assert_ok(json_set(&arena, after, STR("last_modified"), json_new_i64(&arena, m->ms)));
    if (one_in(2))
        ck_assert_ok(
            json_set(&arena, after, STR("id"), json_get(json_copy(&arena, tree), STR("id"))));
    return after;
}

static const char *const op_names[] = {
    "=", "!=", "<", ">", ">=", "<=", "in", "exclude", "like", "has", "contains", "contains_any"};

/* What was asked, for the message of a failure. */
static const char *describe(size_t l, const struct store_query *q)
{
    struct buf b;

    buf_init_arena(&b, &arena, SIZE_MAX);
    buf_printf(&b, "seed %llu: list %zu limit %zu%s%s", (unsigned long long)seed, l, q->limit,
               q->tombstones ? " tombstones" : "", q->shared_with != NULL ? " shared" : "");
    for (size_t i = 0; i < q->nfilters; i++)
        buf_printf(&b, ", " STR_FMT " %s " STR_FMT, STR_ARG(q->filters[i].field),
                   op_names[q->filters[i].op], STR_ARG(json_text(&arena, q->filters[i].value)));
    for (size_t i = 0; i < q->nsort; i++)
        buf_printf(&b, " %s" STR_FMT, q->sort[i].descending ? "-" : "+", STR_ARG(q->sort[i].field));
    if (q->after != NULL)
        buf_printf(&b, " after " STR_FMT, STR_ARG(json_text(&arena, q->after)));
    return arena_cstr(&arena, buf_str(&b));
}

static void ask_query(void)
{
    size_t l = below(LISTS), n, at = 0, total = 0;
    struct store_filter filters[3];
    struct store_sort keys[4];
    unsigned who[WHO];
    str names[WHO];
    struct store_principals p;
    struct store_query q = {.filters = filters,
                            .sort = keys,
                            .tombstones = one_in(2),
                            .limit = below(6),
                            .want_total = one_in(2)};
    struct candidate want[IDS];
    struct store_result r;

    q.nfilters = below(4);
    for (size_t i = 0; i < q.nfilters; i++)
        filters[i] = random_filter(l);
    q.nsort = random_sort(keys);
    if (one_in(3)) {
        size_t count = 0;
        for (size_t i = 0; i < WHO; i++) {
            who[i] = below(2);
            if (who[i] != 0)
                names[count++] = str_from(who_names[i]);
        }
        ck_assert_ok(store_principals_resolve(session, &arena, names, count, &p));
        q.shared_with = &p;
        q.shared_perms = 1 + below(3);
    }
    n = m_select(l, &q, who, want);
    for (size_t i = 0; i < n; i++)
        total += !want[i].m->deleted;
    if (one_in(2)) {
        struct json *id;
        q.after = random_after(l, &q);
        id = json_get(q.after, STR("id"));
        bool with_id = id != NULL;
        while (at < n && m_compare(&want[at], q.after, with_id ? json_string(id) : STR_NONE) <= 0)
            at++;
    }
    ck_assert_ok(store_query(session, &arena, list_id(l), &q, &r));
    n -= at;
    ck_assert_msg(r.count == (q.limit > 0 ? MIN_OF(n, q.limit) : n) && r.more == (r.count < n),
                  "%s: %zu objects, more %d, of %zu", describe(l, &q), r.count, r.more, n);
    for (size_t i = 0; i < r.count; i++)
        ck_assert_msg(str_eq(r.objects[i].id, str_from(id_names[want[at + i].id])),
                      "%s: [%zu] " STR_FMT ", want %s", describe(l, &q), i,
                      STR_ARG(r.objects[i].id), id_names[want[at + i].id]);
    for (size_t i = 0; i < r.count; i++)
        check_same(&r.objects[i], want[at + i].id, want[at + i].m);
    if (q.want_total)
        ck_assert_uint_eq(r.total, total);
}

static void ask_object(size_t l, size_t id)
{
    const struct m_object *m = &model.objects[l][id];
    struct store_object o;
    const struct store_ace *acl;
    struct json *tree;
    size_t n, want = 0;
    enum err e = m->deleted
                     ? store_get_tombstone(session, &arena, list_id(l), str_from(id_names[id]), &o)
                     : store_get(session, &arena, list_id(l), str_from(id_names[id]), &o);

    if (!m->there) {
        ck_assert_err(e, ERR_NOTFOUND);
        return;
    }
    ck_assert_ok(e);
    check_same(&o, id, m);
    ck_assert_ok(json_parse(&arena, o.data, &tree, NULL));
    ck_assert(json_equal(tree, m_tree(id, m)));
    ck_assert_ok(store_acl_list(session, &arena, &o, &acl, &n));
    for (size_t i = 0; i < WHO; i++)
        want += m->acl[i] != 0;
    ck_assert_uint_eq(n, want);
    for (size_t i = 0; i < n; i++)
        for (size_t w = 0; w < WHO; w++)
            if (str_eq(acl[i].principal, str_from(who_names[w])))
                ck_assert_uint_eq(acl[i].perms, m->acl[w]);
}

static void ask_groups(void)
{
    for (size_t w = 0; w < WHO; w++) {
        const str *uris;
        size_t n, want = 0;
        ck_assert_ok(store_groups_of(session, &arena, str_from(who_names[w]), &uris, &n));
        for (size_t g = 0; g < GROUPS; g++) {
            bool in = false;
            for (size_t i = 0; i < n; i++)
                in |= str_eq(uris[i], str_from(group_names[g]));
            ck_assert_int_eq(in, model.member[g][w]);
            want += model.member[g][w];
        }
        ck_assert_uint_eq(n, want);
    }
}

static void ask_clocks(void)
{
    for (size_t l = 0; l < LISTS; l++) {
        struct store_query q = {.want_total = true, .limit = 1};
        struct store_result r;
        size_t live = 0;
        int64_t t;
        if (model.known[l]) {
            ck_assert_ok(store_timestamp(session, list_id(l), &t));
            ck_assert_int_eq(t, model.clock[l]);
        } else if (!store_is_writing(session)) {
            ck_assert_err(store_timestamp(session, list_id(l), &t), ERR_AGAIN);
        }
        ck_assert_ok(store_query(session, &arena, list_id(l), &q, &r));
        for (size_t id = 0; id < IDS; id++)
            live += model.objects[l][id].there && !model.objects[l][id].deleted;
        ck_assert_uint_eq(r.total, live);
    }
}

/* ---- the keys --------------------------------------------------------------------------------- */

static bool has_key(const struct key *k)
{
    bool found;

    ck_assert_ok(store_db_has(session, k, &found));
    return found;
}

static str value_of(const struct key *k)
{
    str v;

    ck_assert_ok(store_db_get(session, k, &v));
    return v;
}

static uint32_t number_at(str key, size_t at)
{
    struct reader r = store_reader(str_drop(key, at));

    return store_dec_u32(&r);
}

/* A key 01: the same value under its TIME, and a key 03 for each in its ACL. */
static void check_id_key(uint32_t list, str value)
{
    struct object o;
    struct reader r;
    struct ace ace;
    struct key k;

    ck_assert_ok(store_value_decode(value, &o));
    store_key_init_list(&k, list, o.o.deleted ? SUB_TOMBSTONE : SUB_TIME);
    store_key_add_time(&k, &o);
    ck_assert(str_eq(value_of(&k), value));
    r = store_reader(o.o.acl);
    while (store_acl_next(&r, &ace)) {
        store_key_init_list(&k, list, SUB_SHARED);
        store_key_add_u32(&k, ace.who);
        store_key_add_time(&k, &o);
        ck_assert(has_key(&k));
        store_key_init(&k, KEY_SHARED_LIST);
        store_key_add_u32(&k, ace.who);
        store_key_add_u32(&k, list);
        ck_assert(has_key(&k));
    }
    ck_assert(!r.bad);
    ck_assert(!o.o.deleted || o.o.acl.n == 0);
}

/* A key 02 or 05: the value under its ID is the same, and a TIME without ID stands alone. */
static void check_time_key(uint32_t list, str time, str value)
{
    struct object o;
    struct key k;
    size_t same = 0;

    ck_assert_ok(store_value_decode(value, &o));
    ck_assert_int_eq(store_time_ms(time), o.o.last_modified);
    ck_assert_int_eq(o.tied, time.n > KEY_TIME_LEN);
    store_key_init_list(&k, list, SUB_ID);
    store_key_add_id(&k, o.o.id);
    ck_assert(str_eq(value_of(&k), value));
    for (int sub = SUB_TIME; sub <= SUB_TOMBSTONE; sub += SUB_TOMBSTONE - SUB_TIME) {
        struct engine_cursor c;
        store_key_init_list(&k, list, (enum key_sub)sub);
        store_key_add_ms(&k, o.o.last_modified);
        engine_cursor_init(&c, session->view, key_str(&k));
        for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c))
            same++;
    }
    ck_assert(o.tied || same == 1);
}

/* A key 03: its object is there and has the principal in its ACL. */
static void check_shared_key(uint32_t list, uint32_t who, str time)
{
    struct object o;
    struct reader r;
    struct ace ace;
    struct key k;
    bool held = false;

    store_key_init_list(&k, list, SUB_TIME);
    store_key_add(&k, time);
    ck_assert_ok(store_value_decode(value_of(&k), &o));
    r = store_reader(o.o.acl);
    while (store_acl_next(&r, &ace))
        held |= ace.who == who;
    ck_assert(held);
}

static void check_object_key(str key, str value, uint64_t *n)
{
    uint32_t list = number_at(key, 1);
    struct store_list_id id;

    ck_assert_ok(store_list_name(session, &arena, list, &id));
    n[(unsigned char)key.p[5]]++;
    switch ((enum key_sub)key.p[5]) {
    case SUB_STATE:
        break;
    case SUB_ID:
        check_id_key(list, value);
        break;
    case SUB_TIME:
    case SUB_TOMBSTONE:
        check_time_key(list, str_drop(key, 6), value);
        break;
    case SUB_SHARED:
        ck_assert_uint_eq(value.n, 0);
        check_shared_key(list, number_at(key, 6), str_drop(key, 10));
        break;
    case SUB_FIELD:
        ck_abort_msg("a key of an index that is not there");
    }
}

static void check_shared_list_key(str key)
{
    struct key k;
    bool found;

    store_key_init_list(&k, number_at(key, 5), SUB_SHARED);
    store_key_add_u32(&k, number_at(key, 1));
    ck_assert_int_eq(store_db_any(session, &k, &found), OK);
    ck_assert(found);
}

/* Every key of the engine. Only between transactions: states of lists lie in a writing session. */
static void check_keys(void)
{
    uint64_t n[8] = {0}, lists = 0, names = 0, members = 0, groups = 0, known = 0;
    struct engine_cursor c;

    engine_cursor_init(&c, session->view, STR(""));
    for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c)) {
        str key = engine_cursor_key(&c), value;
        ck_assert_ok(engine_cursor_value(&c, &value));
        switch ((enum key_tag)key.p[0]) {
        case KEY_OBJECT:
            check_object_key(key, value, n);
            break;
        case KEY_SHARED_LIST:
            check_shared_list_key(key);
            break;
        case KEY_LIST:
            lists++;
            break;
        case KEY_LIST_NAME:
            names++;
            break;
        case KEY_MEMBER:
            members++;
            break;
        case KEY_GROUP:
            groups++;
            break;
        case KEY_META:
        case KEY_PRINCIPAL:
        case KEY_PRINCIPAL_NAME:
        case KEY_NOTE:
            break;
        }
    }
    for (size_t l = 0; l < LISTS; l++)
        known += model.known[l];
    ck_assert_uint_eq(lists, known);
    ck_assert_uint_eq(names, known);
    ck_assert_uint_eq(n[SUB_STATE], known);
    ck_assert_uint_eq(n[SUB_ID], n[SUB_TIME] + n[SUB_TOMBSTONE]);
    ck_assert_uint_eq(members, groups);
}

/* ---- runs ------------------------------------------------------------------------------------- */

static void ask(void)
{
    for (int i = 0; i < 4; i++)
        ask_query();
    ask_object(below(LISTS), below(IDS));
    ask_clocks();
    ask_groups();
}

static void start_run(void)
{
    const char *env = getenv("STORE_SEED");
    uint64_t n = 0;

    seed = env != NULL && str_to_u64(str_from(env), &n) == OK ? n : rand_u64() >> 16;
    state = seed;
    memset(&model, 0, sizeof model);
}

static void one_transaction(void)
{
    struct model before = model;
    uint32_t ops = 1 + below(8);

    begin_write();
    for (uint32_t i = 0; i < ops; i++) {
        random_op();
        if (one_in(4))
            ask();
    }
    if (one_in(6)) {
        store_abort(session);
        model = before;
    } else {
        commit();
    }
}

static void run(int transactions, uint32_t reopen_one_in)
{
    start_run();
    fprintf(stderr, "STORE_SEED=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < transactions; i++) {
        one_transaction();
        if (reopen_one_in > 0 && one_in(reopen_one_in))
            reopen();
        begin_read();
        ask();
        if (one_in(5)) {
            check_keys();
            for (size_t l = 0; l < LISTS; l++)
                for (size_t id = 0; id < IDS; id++)
                    ask_object(l, id);
        }
        end_read();
        arena_reset(&arena);
    }
}

START_TEST(in_memory)
{
    run(600, 0);
}
END_TEST

START_TEST(with_files_and_restarts)
{
    run(150, 10);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("store/model");
    TCase *memory = tcase_create("memory"), *files = tcase_create("files");

    tcase_add_checked_fixture(memory, setup, teardown);
    tcase_add_loop_test(memory, in_memory, 0, 3);
    tcase_set_timeout(memory, 300);
    suite_add_tcase(s, memory);
    tcase_add_checked_fixture(files, setup_files, teardown);
    tcase_add_test(files, with_files_and_restarts);
    tcase_set_timeout(files, 300);
    suite_add_tcase(s, files);
    return s;
}

UNIT_MAIN(make_suite)
