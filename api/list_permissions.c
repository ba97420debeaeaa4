/*
 * api/list_permissions.c - GET /permissions: every object on which the caller holds a permission,
 * and which ones.
 *
 * Where the entries come from:
 *     the index of sharing     lists in which one of the caller's principals holds something, and
 *                              in them the objects on which it does (doc/keys.md, 05 and 10..03)
 *     the settings             kinto.<resource>_<read|write|create>_principals that name the
 *                              caller count for all buckets, and for the collections or groups of
 *                              every bucket that is there: those are walked through as a whole
 *     the settings, once more  who may create what lies in nothing has the root as an entry
 * An entry names what is held on that object itself (and what follows from it there); what follows
 * for the objects below is not listed.
 *
 * Cost: the entries are made in the order of the lists and then put in the order that was asked
 * for, so each page looks at all objects that are shared with the caller, and at no others; a list
 * whose kind, bucket or collection no filter lets through is not opened. Memory: one page.
 */
#include "api/private.h"

static const char *const fields[] = {
    "uri",           "resource_name", "bucket_id", "collection_id", "group_id", "record_id", "id",
    "last_modified", "deleted",       NULL,
};
static const struct api_shape shape = {fields, "uri"};

struct listing {
    struct api_req *r;
    struct store_selection *rows;
    struct buf row;                  /* the one that is being made */
    struct buf parent;               /* of the list that is walked through */
    unsigned by_settings[MAX_KINDS]; /* permissions on every object of the kind */
    unsigned on_root;
    struct store_walk *shared, *all;
    struct arena bucket; /* for a look at one */
};

/* The list that is looked at. */
struct place {
    enum api_kind kind;
    struct store_list_id list;
    enum api_kind kinds[MAX_LEVELS]; /* of what it lies in, from the top, */
    str ids[MAX_LEVELS];             /* and their ids: */
    unsigned depth;                  /* so many */
    unsigned given;                  /* by the settings, on every object in it */
};

static const struct api_kind_info *kind_at(const struct listing *l, enum api_kind kind)
{
    return &l->r->api->kinds[kind];
}

/* ---- what is held ---------------------------------------------------------------------------- */

static void load_settings(struct listing *l)
{
    static const struct {
        enum api_required required;
        unsigned perms;
    } own[] = {{REQUIRED_READ, STORE_PERM_READ}, {REQUIRED_WRITE, STORE_PERM_WRITE}};
    for (unsigned k = 0; k < l->r->api->nkinds; k++) {
        const struct api_kind_info *kind = kind_at(l, (enum api_kind)k);
        for (size_t i = 0; i < ARRAY_LEN(own) && k <= KIND_COLLECTION; i++)
            if (api_is_one_of(l->r, &kind->principals[own[i].required]))
                l->by_settings[k] |= own[i].perms;
        if (!api_is_one_of(l->r, &kind->principals[REQUIRED_CREATE]))
            continue;
        if (kind->is.parent == KIND_NONE)
            l->on_root |= kind->is.create_perm;
        else
            l->by_settings[kind->is.parent] |= kind->is.create_perm;
    }
}

#define RW (STORE_PERM_READ | STORE_PERM_WRITE)

static void write_name(struct buf *b, str name)
{
    if (b->n > 0 && b->p[b->n - 1] != '[') /* none: there was no memory */
        buf_add_char(b, ',');
    json_write_string(b, name);
}

/* The names of what the permissions give on an object of that kind. */
static void write_held(struct buf *b, const struct api_kind_info *k, unsigned perms)
{
    static const struct {
        enum api_want want;
        str name;
    } wants[] = {
        {WANT_READ, STR_INIT("read")},
        {WANT_WRITE, STR_INIT("write")},
        {WANT_READ_ATTRIBUTES, STR_INIT("read:attributes")},
    };
    unsigned creates = k->perms & ~RW;
    buf_add_char(b, '[');
    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        /* Only what can have objects in it can be read without them. */
        bool has = creates != 0 || wants[i].want != WANT_READ_ATTRIBUTES;
        if (has && (perms & api_given_by(k, wants[i].want, 0, true)))
            write_name(b, wants[i].name);
    }
    for (unsigned i = 0; i < STORE_PERM_COUNT; i++)
        if ((creates & (1u << i)) && (perms & api_given_by(k, WANT_CREATE, 1u << i, true)))
            write_name(b, store_perm_name((enum store_perm)(1u << i)));
    buf_add_char(b, ']');
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void write_id(struct buf *b, const struct api_kind_info *k, str id)
{
    buf_printf(b, ",\"%s_id\":", k->is.name);
    json_write_string(b, id);
}

/* The members that all rows of a list share; the object stays open. */
static void write_place(struct listing *l, const struct place *p)
{
    buf_printf(&l->row, "{\"resource_name\":\"%s\"", kind_at(l, p->kind)->is.name);
    for (unsigned i = 0; i < p->depth; i++)
        write_id(&l->row, kind_at(l, p->kinds[i]), p->ids[i]);
}

static enum err finish_row(struct listing *l)
{
    buf_add_char(&l->row, '}');
    return buf_failed(&l->row) ? l->row.err : store_select_add(l->rows, buf_str(&l->row));
}

static enum err add_object(struct listing *l, const struct place *p, const struct store_object *o)
{
    struct buf *b = &l->row;
    const struct api_kind_info *k = kind_at(l, p->kind);
    unsigned perms = store_acl_held(o, &l->r->who) | p->given;
    if (perms == 0)
        return OK;
    buf_clear(b);
    write_place(l, p);
    buf_add_lit(b, ",\"id\":");
    json_write_string(b, o->id);
    write_id(b, k, o->id);
    buf_add_lit(b, ",\"uri\":\"");
    buf_add_str(b, p->list.parent); /* ids and what is made of them need no escapes */
    buf_printf(b, "/%s/", k->is.plural);
    buf_add_str(b, o->id);
    buf_add_lit(b, "\",\"permissions\":");
    write_held(b, k, perms);
    return finish_row(l);
}

static enum err add_root(struct listing *l)
{
    if (l->on_root == 0)
        return OK;
    buf_clear(&l->row);
    buf_add_lit(&l->row, "{\"resource_name\":\"root\",\"uri\":\"/\",\"permissions\":[");
    for (unsigned i = 0; i < STORE_PERM_COUNT; i++)
        if (l->on_root & (1u << i))
            write_name(&l->row, store_perm_name((enum store_perm)(1u << i)));
    buf_add_char(&l->row, ']');
    return finish_row(l);
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Does a filter leave room for an object of the list? Its own id is all that is not known yet. */
static bool worthwhile(struct listing *l, const struct place *p)
{
    static const struct {
        enum api_kind kind;
        str field;
    } ids[] = {{KIND_BUCKET, STR_INIT("bucket_id")},
               {KIND_GROUP, STR_INIT("group_id")},
               {KIND_COLLECTION, STR_INIT("collection_id")},
               {KIND_RECORD, STR_INIT("record_id")}};
    str known[1 + ARRAY_LEN(ids)] = {STR("resource_name")};
    size_t n = 1;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (ids[i].kind != p->kind)
            known[n++] = ids[i].field;
    buf_clear(&l->row);
    write_place(l, p);
    buf_add_char(&l->row, '}');
    return buf_failed(&l->row) || store_select_may(l->rows, buf_str(&l->row), known, n);
}

static enum err add_list(struct listing *l, struct store_walk *w, const struct place *p)
{
    if (!worthwhile(l, p))
        return OK;
    enum err e = store_walk_list(w, p->list);
    while (e == OK) {
        struct store_object o;
        e = store_walk_next(w, &o);
        if (e == OK)
            e = add_object(l, p, &o);
    }
    return e == ERR_NOTFOUND ? OK : e;
}

/* False: no list of objects that have URLs (what a repair has found without a name, for one). */
static bool find_place(const struct listing *l, struct store_list_id list, struct place *out)
{
    *out = (struct place){.kind = api_kind_named(l->r->api, list.resource), .list = list};
    if (out->kind == KIND_NONE || kind_at(l, out->kind)->is.object_methods == 0)
        return false;
    const struct api_kind_info *k = kind_at(l, out->kind);
    out->list.resource = str_from(k->is.name);
    out->depth = k->depth;
    struct api_place above = {.n = 0};
    if (k->depth > 0 && !api_place(l->r->api, list.parent, &above))
        return false;
    for (unsigned i = 0; i < above.n; i++) {
        out->kinds[i] = above.at[i].kind;
        out->ids[i] = above.at[i].id;
    }
    return above.n == k->depth;
}

static enum err find_bucket(struct listing *l, str id)
{
    struct store_object ignored;
    enum err e =
        store_get(l->r->session, &l->bucket, api_list_of(l->r, KIND_BUCKET, 0), id, &ignored);
    arena_reset(&l->bucket);
    return e;
}

/* Settings give nothing in a bucket that is not there: its lists may still be shared. */
static enum err find_given(struct listing *l, struct place *p)
{
    unsigned given = l->by_settings[p->kind];
    enum err e = given == 0 || p->depth == 0 ? OK : find_bucket(l, p->ids[0]);
    p->given = e == OK ? given : 0;
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err add_shared(struct listing *l)
{
    const struct store_list_id *lists;
    size_t n;
    enum err e = store_shared_lists(l->r->session, l->r->arena, &l->r->who, &lists, &n);
    for (size_t i = 0; i < n && e == OK; i++) {
        struct place p;
        if (!find_place(l, lists[i], &p))
            continue;
        e = find_given(l, &p);
        if (e == OK && p.given == 0)
            e = add_list(l, l->shared, &p);
    }
    return e;
}

/* All of a list, if the settings give something on what is in it. */
static enum err add_by_kind(struct listing *l, struct store_list_id list)
{
    struct place p;
    buf_clear(&l->parent); /* it is borrowed, and the objects are looked at meanwhile */
    buf_add_str(&l->parent, list.parent);
    if (buf_failed(&l->parent))
        return l->parent.err;
    list.parent = buf_str(&l->parent);
    if (!find_place(l, list, &p))
        return OK;
    enum err e = find_given(l, &p);
    return e == OK && p.given != 0 ? add_list(l, l->all, &p) : e;
}

/* What the settings give on whole kinds. */
static enum err add_by_settings(struct listing *l)
{
    unsigned any = 0;
    for (unsigned k = 0; k < MAX_KINDS; k++)
        any |= l->by_settings[k];
    enum err e = OK;
    for (uint32_t number = 1; any != 0 && e == OK; number++) {
        struct store_list_id list;
        e = store_list_next(l->r->session, &number, &list);
        if (e == OK)
            e = add_by_kind(l, list);
        if (number == UINT32_MAX)
            break;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err select_rows(struct api_req *r, const struct store_query *q,
                            struct store_result *out)
{
    struct listing l = {.r = r};
    buf_init_arena(&l.row, r->arena, MIB);
    buf_init_arena(&l.parent, r->arena, MIB);
    arena_init_beside(&l.bucket, r->arena);
    load_settings(&l);
    enum err e = store_select_new(r->session, r->arena, q, &l.rows);
    if (e == OK)
        e = store_walk_new(r->session, r->arena, &r->who, &l.shared);
    if (e == OK)
        e = store_walk_new(r->session, r->arena, NULL, &l.all);
    if (e == OK)
        e = add_root(&l);
    if (e == OK)
        e = add_shared(&l);
    if (e == OK)
        e = add_by_settings(&l);
    arena_fini_beside(&l.bucket, r->arena);
    return e == OK ? store_select_end(l.rows, out) : e;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static enum api_step authorize(struct api_req *r)
{
    if (api_is_one_of(r, &r->api->conf.permissions_readers))
        return STEP_NEXT;
    return api_fail(r, str_none(r->user.id) ? API_ERR_UNAUTHORIZED : API_ERR_FORBIDDEN);
}

/*
 * The list has a clock, which clients of lists look for, but nothing moves it: what a user may do
 * changes with any write. So it says nothing about the entries, and preconditions are not heeded.
 */
static enum api_step add_headers(struct api_req *r)
{
    r->list = (struct store_list_id){STR("permission"), STR("")};
    enum api_step s = api_list_timestamp(r, &r->list_clock);
    if (s != STEP_NEXT)
        return s;
    api_timestamp_headers(r, r->list_clock);
    if (str_none(r->user.id) && r->api->conf.permissions_cache > 0)
        api_cache_seconds(r, r->api->conf.permissions_cache);
    else
        http_header_add(r->out, STR("Cache-Control"), STR("no-cache, no-store"));
    return STEP_NEXT;
}

static enum api_step reply(struct api_req *r, struct api_page *page, struct store_result *found)
{
    if (r->method == METHOD_HEAD) {
        api_total_headers(r, found->total);
        return api_reply_list(r, NULL, 0);
    }
    enum api_step s = api_page_next(r, page, found);
    return s == STEP_NEXT ? api_reply_list(r, found->objects, found->count) : s;
}

enum api_step api_list_permissions(struct api_req *r)
{
    struct api_page page;
    struct store_result found;
    r->shape = &shape;
    enum api_step s = authorize(r);
    if (s == STEP_NEXT)
        s = api_check_origin(r);
    if (s == STEP_NEXT)
        s = api_validate(r);
    if (s == STEP_NEXT)
        s = add_headers(r);
    if (s == STEP_NEXT)
        s = api_page_build(r, &page);
    if (s != STEP_NEXT)
        return s;
    if (r->method == METHOD_HEAD)
        page.query.limit = 1; /* what counts is the total */
    enum err e = select_rows(r, &page.query, &found);
    return e == OK ? reply(r, &page, &found) : api_fail_err(r, e);
}
