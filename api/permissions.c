/*
 * api/permissions.c - the permissions of an object after a request.
 *
 * PUT with permissions replaces them all, PATCH those it names; whoever writes an object is among
 * its writers afterwards (kinto.explicit_permissions).
 */
#include "api/private.h"

#define FEW ((size_t)8) /* they are looked through faster than hashed */

struct acl_builder {
    struct api_req *r;
    struct store_ace *aces;
    size_t n, cap;
    struct map index; /* principal -> entry, when cap is more than FEW */
    bool changed;
};

static enum err index_put(struct acl_builder *b, struct store_ace *ace)
{
    return b->cap > FEW ? map_put(&b->index, ace->principal, ace) : OK;
}

static struct store_ace *index_get(const struct acl_builder *b, str principal)
{
    if (b->cap > FEW)
        return map_get(&b->index, principal);
    for (size_t i = 0; i < b->n; i++)
        if (str_eq(b->aces[i].principal, principal))
            return &b->aces[i];
    return NULL;
}

static enum err grow(struct acl_builder *b)
{
    size_t cap = b->cap ? b->cap * 2 : FEW;
    struct store_ace *aces = ARENA_NEW_ARRAY(b->r->arena, struct store_ace, cap);
    if (aces == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < b->n; i++)
        aces[i] = b->aces[i];
    b->aces = aces;
    b->cap = cap;
    map_init(&b->index, b->r->arena);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < b->n; i++)
        e = index_put(b, &aces[i]);
    return e;
}

static enum err allow(struct acl_builder *b, str principal, unsigned perms)
{
    struct store_ace *ace = index_get(b, principal);
    if (ace) {
        b->changed = b->changed || (ace->perms & perms) != perms;
        ace->perms |= perms;
        return OK;
    }
    if (b->n == b->cap) {
        enum err e = grow(b);
        if (e != OK)
            return e;
    }
    b->changed = true;
    ace = &b->aces[b->n++];
    *ace = (struct store_ace){principal, perms};
    return index_put(b, ace);
}

/* What the body says of one permission: a list of principals, or (JSON patch) an object of them. */
static enum err allow_listed(struct acl_builder *b, unsigned perm, const struct json *principals)
{
    enum err e = OK;
    for (size_t i = 0; json_is(principals, JSON_ARRAY) && e == OK && i < json_count(principals);
         i++)
        e = allow(b, json_string(json_at(principals, i)), perm);
    str name;
    struct json *value;
    for (size_t i = 0;
         json_is(principals, JSON_OBJECT) && e == OK && json_member(principals, i, &name, &value);
         i++)
        e = allow(b, name, perm);
    return e;
}

static enum err load_old(struct acl_builder *b, const struct store_object *old, unsigned replaced)
{
    const struct store_ace *acl;
    size_t n;
    enum err e = store_acl_list(b->r->session, b->r->arena, old, &acl, &n);
    for (size_t i = 0; e == OK && i < n; i++)
        if (acl[i].perms & ~replaced)
            e = allow(b, acl[i].principal, acl[i].perms & ~replaced);
    b->changed = false;
    return e;
}

bool api_author_writes(const struct api_req *r)
{
    bool owned = r->route && r->route->kind != KIND_NONE && api_kind_of(r)->is.owned;
    return owned || r->api->conf.explicit_permissions;
}

enum err api_new_acl(struct api_req *r, const struct store_object *old, const struct json *changes,
                     unsigned replaced, const struct store_ace **acl, size_t *n)
{
    struct acl_builder b = {.r = r};
    map_init(&b.index, r->arena);
    enum err e = old ? load_old(&b, old, replaced) : OK;
    str name;
    struct json *principals;
    for (size_t i = 0; e == OK && changes && json_member(changes, i, &name, &principals); i++)
        e = allow_listed(&b, store_perm_from_name(name), principals);
    if (e == OK && api_author_writes(r))
        e = allow(&b, r->principal, STORE_PERM_WRITE);
    if (e != OK)
        return e;
    bool keep = old && !b.changed && replaced == 0;
    static const struct store_ace nobody = {STR_INIT(""), 0};
    *acl = keep ? NULL : b.n ? b.aces : &nobody;
    *n = keep ? 0 : b.n;
    return OK;
}

/* The kinds of permission that a body names: all that the kind of object has on PUT and creation
 * (when it names any), else those named; null names nothing, but in a merge patch it clears. */
unsigned api_replaced_perms(struct api_req *r, const struct json *permissions)
{
    unsigned named = 0;
    str name;
    struct json *value;
    for (size_t i = 0; permissions && json_member(permissions, i, &name, &value); i++)
        if (!json_is(value, JSON_NULL) || r->patch == PATCH_MERGE)
            named |= store_perm_from_name(name);
    if (named && r->method != METHOD_PATCH && !r->inline_permissions)
        named = api_kind_of(r)->perms;
    return named;
}
