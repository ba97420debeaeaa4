/*
 * api/authorize.c - may the caller do this?
 *
 * Permissions are asked of the object itself and of those it lies in (kinds.c), and of the
 * settings `kinto.<resource>_<create|read|write>_principals`, which count for requests on that
 * resource only. A creation asks the list's owner for "<kind>:create"; the root owns the buckets,
 * and only settings grant there.
 *
 * Two detours keep what exists from those who may not know, and no more than that:
 *   - PATCH or DELETE of what is not there needs only read on the list (a 404 follows);
 *   - a list that one may not read is cut to what is shared with the caller; who may at least
 *     create in it gets that list even when it is empty.
 */
#include "api/private.h"

unsigned api_given_by(const struct api_kind_info *k, enum api_want want, unsigned create_perm,
                      bool itself)
{
    switch (want) {
    case WANT_READ:
        break;
    case WANT_READ_ATTRIBUTES:
        return itself ? k->perms : STORE_PERM_READ | STORE_PERM_WRITE;
    case WANT_WRITE:
        return STORE_PERM_WRITE;
    case WANT_CREATE:
        return itself ? STORE_PERM_WRITE | create_perm : STORE_PERM_WRITE;
    }
    return STORE_PERM_READ | STORE_PERM_WRITE;
}

bool api_is_any_of(const struct api_req *r, const str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < r->who.count; j++)
            if (str_eq(names[i], r->who.names[j]))
                return true;
    return false;
}

bool api_is_one_of(const struct api_req *r, const struct api_names *names)
{
    return api_is_any_of(r, names->names, names->count);
}

static bool kind_allows(const struct api_req *r, const struct api_kind_info *k,
                        enum api_required required)
{
    if (api_is_one_of(r, &k->principals[required]))
        return true;
    return k->is.follows_parent && required != REQUIRED_CREATE &&
           kind_allows(r, &r->api->kinds[k->is.parent], required);
}

static bool settings_allow(const struct api_req *r, enum api_required required)
{
    return kind_allows(r, api_kind_of(r), required);
}

/* The settings of a kind that go with a set of permissions that would grant. */
static bool kind_allows_any(const struct api_req *r, const struct api_kind_info *k, unsigned perms)
{
    return ((perms & STORE_PERM_WRITE) && kind_allows(r, k, REQUIRED_WRITE)) ||
           ((perms & STORE_PERM_READ) && kind_allows(r, k, REQUIRED_READ)) ||
           ((perms & k->is.create_perm) && kind_allows(r, k, REQUIRED_CREATE));
}

/* Sets *allowed if something grants `want` on the object of levels[n - 1]. */
static enum err granted(struct api_req *r, unsigned n, enum api_want want, bool *allowed)
{
    const struct api_kind_info *kind = &r->api->kinds[r->levels[n - 1].kind];
    unsigned create = api_kind_of(r)->is.create_perm;
    unsigned above = api_given_by(kind, want, create, false);
    unsigned own = api_given_by(kind, want, create, true);
    if (kind_allows_any(r, api_kind_of(r), own | above)) {
        *allowed = true;
        return OK;
    }
    *allowed = false;
    for (unsigned i = n; i-- > 0 && !*allowed;) {
        unsigned perms = i == n - 1 ? own : above;
        enum err e = api_level_load(r, i);
        if (e != OK)
            return e;
        *allowed = r->levels[i].state == LEVEL_PRESENT &&
                   store_acl_allows(&r->levels[i].object, &r->who, perms);
    }
    return OK;
}

/* `want` of the list that the request is on: asked of the list's owner; the root has only settings.
 */
static enum err granted_on_list(struct api_req *r, enum api_want want, enum api_required required,
                                bool *allowed)
{
    unsigned nparents = r->route->type == TYPE_PLURAL ? r->nlevels : r->nlevels - 1;
    if (nparents == 0) {
        *allowed = settings_allow(r, required);
        return OK;
    }
    return granted(r, nparents, want, allowed);
}

static enum err may_create(struct api_req *r, bool *allowed)
{
    return granted_on_list(r, WANT_CREATE, REQUIRED_CREATE, allowed);
}

static bool valid_parents(const struct api_req *r)
{
    for (unsigned i = 0; i < r->nlevels; i++)
        if (!api_valid_id_of(r, r->levels[i].kind, r->levels[i].id))
            return false;
    return true;
}

static enum err something_is_shared(struct api_req *r, bool *shared)
{
    *shared = false;
    if (!valid_parents(r))
        return OK;
    struct store_query q = {.limit = 1, .shared_with = &r->who, .shared_perms = r->shared_perms};
    struct store_result result;
    enum err e = store_query(r->session, r->arena, r->list, &q, &result);
    if (e == OK)
        *shared = result.count > 0;
    return e;
}

/* May list because of being allowed to create: not inherited, the list's owner itself must say so.
 */
static enum err may_list_by_creating(struct api_req *r, bool *allowed)
{
    if (settings_allow(r, REQUIRED_CREATE)) {
        *allowed = true;
        return OK;
    }
    *allowed = false;
    if (r->nlevels == 0)
        return OK;
    enum err e = api_level_load(r, r->nlevels - 1);
    if (e == OK)
        *allowed = r->levels[r->nlevels - 1].state == LEVEL_PRESENT &&
                   store_acl_allows(&r->levels[r->nlevels - 1].object, &r->who,
                                    api_kind_of(r)->is.create_perm);
    return e;
}

static enum err may_list(struct api_req *r, enum api_want want, enum api_required required,
                         bool *allowed)
{
    enum err e = granted_on_list(r, want, required, allowed);
    if (e != OK || *allowed)
        return e;
    enum api_want own = want == WANT_READ ? WANT_READ_ATTRIBUTES : want;
    r->shared_only = true;
    r->shared_perms = api_given_by(api_kind_of(r), own, 0, true);
    e = something_is_shared(r, allowed);
    if (e == OK && !*allowed)
        e = may_list_by_creating(r, allowed);
    return e;
}

/* PATCH and DELETE: of what is not there, reading the list is enough. */
static enum err may_change(struct api_req *r, bool *allowed)
{
    if (r->exists)
        return granted(r, r->nlevels, WANT_WRITE, allowed);
    return granted_on_list(r, WANT_READ, REQUIRED_WRITE, allowed);
}

/* POST with the id of an object that is there only reads it. */
static enum err may_post(struct api_req *r, bool *allowed)
{
    if (!r->exists)
        return may_create(r, allowed);
    struct api_level *l = &r->levels[r->nlevels];
    *l = (struct api_level){r->route->kind, r->id, STR_NONE, LEVEL_PRESENT, r->object};
    return granted(r, r->nlevels + 1, WANT_READ_ATTRIBUTES, allowed);
}

static enum err may_put(struct api_req *r, bool *allowed)
{
    bool create = !r->exists || str_eq(api_req_header(r, "If-None-Match"), STR("*"));
    return create ? may_create(r, allowed) : granted(r, r->nlevels, WANT_WRITE, allowed);
}

static enum err decide(struct api_req *r, bool *allowed)
{
    bool plural = r->route->type == TYPE_PLURAL;
    switch (r->method) {
    case METHOD_GET:
    case METHOD_HEAD:
        return plural ? may_list(r, WANT_READ, REQUIRED_READ, allowed)
                      : granted(r, r->nlevels, WANT_READ_ATTRIBUTES, allowed);
    case METHOD_POST:
        return plural ? may_post(r, allowed)
                      : granted(r, r->nlevels, WANT_READ_ATTRIBUTES, allowed);
    case METHOD_PUT:
        return may_put(r, allowed);
    case METHOD_PATCH:
        return may_change(r, allowed);
    case METHOD_DELETE:
        return plural ? may_list(r, WANT_WRITE, REQUIRED_WRITE, allowed) : may_change(r, allowed);
    case METHOD_OPTIONS:
    case METHOD_OTHER:
        break;
    }
    return ERR_UNSUPPORTED;
}

enum api_step api_authorize(struct api_req *r)
{
    bool allowed = false;
    enum err e = decide(r, &allowed);
    if (e != OK)
        return api_fail_err(r, e);
    if (allowed)
        return STEP_NEXT;
    return api_fail(r, str_none(r->user.id) ? API_ERR_UNAUTHORIZED : API_ERR_FORBIDDEN);
}

enum err api_may_read(struct api_req *r, bool *allowed)
{
    return granted(r, r->nlevels, WANT_READ_ATTRIBUTES, allowed);
}

enum err api_may(struct api_req *r, const struct api_place *what, enum api_right right,
                 bool *allowed)
{
    const unsigned perms =
        right == RIGHT_WRITE ? STORE_PERM_WRITE : STORE_PERM_READ | STORE_PERM_WRITE;
    *allowed = kind_allows_any(r, &r->api->kinds[api_place_end(what)->kind], perms);
    for (unsigned i = what->n - (right == RIGHT_LIST); i-- > 0 && !*allowed;) {
        struct store_object o;
        enum err e = store_get(r->session, r->arena, what->at[i].list, what->at[i].id, &o);
        if (e == OK)
            *allowed = store_acl_allows(&o, &r->who, perms);
        else if (e != ERR_NOTFOUND)
            return e;
    }
    return OK;
}

bool api_reads_by_settings(const struct api_req *r)
{
    return kind_allows_any(r, api_kind_of(r), STORE_PERM_READ | STORE_PERM_WRITE);
}
