/*
 * api/principals.c - as whom the caller acts: the user, everyone, the authenticated, and the groups of both.
 *
 * A loop remembers some of the callers it has had, for as long as nobody's groups and no principals change
 * (store_names_mark): then who asks again costs no look-up. A table in which each user has one place; users of
 * many groups are not remembered.
 */
#include "api/private.h"

#define PLACES      64
#define MOST_GROUPS 16
#define MOST_BYTES  (2 * KIB) /* of a user's name and those of the groups */

static const str everyone = STR_INIT("system.Everyone");
static const str authenticated = STR_INIT("system.Authenticated");

/* What is known of a user, in one piece of memory: the groups' names, numbers and texts lie behind. */
struct caller {
    uint64_t mark;
    str user;
    str groups[MOST_GROUPS];
    uint32_t ids[MOST_GROUPS + 3];
    size_t ngroups, nids;
    bool unseen;
    char text[];
};

struct api_callers {
    struct caller *places[PLACES];
};

struct api_callers *api_callers_new(void)
{
    return calloc(1, sizeof(struct api_callers));
}

void api_callers_free(struct api_callers *c)
{
    for (size_t i = 0; c && i < PLACES; i++)
        free(c->places[i]);
    free(c);
}

static struct caller **place_of(struct api_req *r)
{
    return &r->loop->callers->places[str_spread(r->user.id) % PLACES];
}

/* Copies s behind what is at *at. */
static str put_text(char **at, str s)
{
    str copy = {*at, s.n};
    memcpy(*at, s.p, s.n);
    *at += s.n;
    return copy;
}

/* The names behind the first three of r->who are those of groups. */
static void remember(struct api_req *r)
{
    uint64_t mark = store_names_mark(r->session);
    size_t ngroups = r->who.count - 3, bytes = r->user.id.n;
    for (size_t i = 0; i < ngroups; i++)
        bytes += r->who.names[3 + i].n;
    if (mark == STORE_NO_MARK || ngroups > MOST_GROUPS || bytes > MOST_BYTES)
        return;
    struct caller **place = place_of(r), *c = malloc(sizeof *c + bytes);
    if (c == NULL)
        return; /* then it is looked up again */
    char *at = c->text;
    c->mark = mark;
    c->user = put_text(&at, r->user.id);
    for (size_t i = 0; i < ngroups; i++)
        c->groups[i] = put_text(&at, r->who.names[3 + i]);
    c->ngroups = ngroups;
    c->nids = r->who.nids;
    memcpy(c->ids, r->who.ids, r->who.nids * sizeof *c->ids);
    c->unseen = r->who.unseen;
    free(*place);
    *place = c;
}

/* The user, both that go with one, and room for n groups. NULL: no memory. */
static str *names_with(struct api_req *r, size_t n)
{
    str *names = ARENA_NEW_ARRAY(r->arena, str, 3 + n);
    if (names == NULL)
        return NULL;
    names[0] = r->user.id;
    names[1] = everyone;
    names[2] = authenticated;
    return names;
}

/* Copied, for another request may take the place while this one waits. */
static enum err recall(struct api_req *r, const struct caller *c)
{
    str *names = names_with(r, c->ngroups);
    uint32_t *ids = ARENA_NEW_ARRAY(r->arena, uint32_t, c->nids);
    if (names == NULL || ids == NULL)
        return ERR_NOMEM;
    store_groups_recalled(r->session); /* the user's, */
    store_groups_recalled(r->session); /* and everybody's */
    for (size_t i = 0; i < c->ngroups; i++)
        names[3 + i] = arena_str(r->arena, c->groups[i]);
    memcpy(ids, c->ids, c->nids * sizeof *ids);
    r->who = (struct store_principals){names, 3 + c->ngroups, ids, c->nids, c->unseen};
    return arena_failed(r->arena) ? ERR_NOMEM : OK;
}

static enum err look_up(struct api_req *r)
{
    const str *own, *all;
    size_t nown = 0, nall = 0;
    enum err e = store_groups_of(r->session, r->arena, r->user.id, &own, &nown);
    if (e == OK)
        e = store_groups_of(r->session, r->arena, authenticated, &all, &nall);
    if (e != OK)
        return e;
    str *names = names_with(r, nown + nall);
    if (names == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < nown; i++)
        names[3 + i] = own[i];
    for (size_t i = 0; i < nall; i++)
        names[3 + nown + i] = all[i];
    e = store_principals_resolve(r->session, r->arena, names, 3 + nown + nall, &r->who);
    if (e == OK)
        remember(r);
    return e;
}

static enum err find_user(struct api_req *r)
{
    uint64_t mark = store_names_mark(r->session);
    const struct caller *known = mark != STORE_NO_MARK ? *place_of(r) : NULL;
    if (known && known->mark == mark && str_eq(known->user, r->user.id))
        return recall(r, known);
    return look_up(r);
}

enum api_step api_find_principals(struct api_req *r)
{
    enum err e;
    if (str_none(r->user.id)) {
        r->principal = everyone;
        e = store_principals_resolve(r->session, r->arena, &everyone, 1, &r->who);
    } else {
        r->principal = r->user.id;
        e = find_user(r);
    }
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

enum api_step api_add_principal(struct api_req *r, str principal)
{
    str *names = ARENA_NEW_ARRAY(r->arena, str, r->who.count + 1);
    if (names == NULL)
        return api_fail_err(r, ERR_NOMEM);
    for (size_t i = 0; i < r->who.count; i++)
        names[i] = r->who.names[i];
    names[r->who.count] = principal;
    enum err e = store_principals_resolve(r->session, r->arena, names, r->who.count + 1, &r->who);
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}
