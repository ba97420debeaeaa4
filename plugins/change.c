/*
 * plugins/change.c - a change in JSON, as the history and the revisions keep it.
 */
#include "plugins/history.h"

#include "base/clock.h"

struct json *change_date(struct api_req *r)
{
    char date[33];
    clock_iso_date(clock_wall_us(), date);
    str text = arena_str(api_arena(r), str_from(date));
    return str_none(text) ? NULL : json_new_string(api_arena(r), text);
}

struct json *change_user(struct api_req *r)
{
    str user = api_user_id(r);
    return str_none(user) ? json_new_null(api_arena(r)) : json_new_string(api_arena(r), user);
}

const char *change_action(enum api_action action)
{
    switch (action) {
    case ACTION_CREATE:
        return "create";
    case ACTION_UPDATE:
        return "update";
    case ACTION_DELETE:
        break;
    }
    return "delete";
}

/* The principals that hold one permission; none: nothing is added. */
static enum err add_principals(struct arena *a, struct json *out, enum store_perm perm,
                               const struct store_ace *acl, size_t n)
{
    struct json *list = json_new_array(a);
    enum err e = list ? OK : ERR_NOMEM;
    for (size_t i = 0; i < n && e == OK; i++)
        if (acl[i].perms & perm)
            e = json_push(a, list, json_new_string(a, acl[i].principal));
    return e == OK && json_count(list) ? json_set(a, out, store_perm_name(perm), list) : e;
}

static enum err set_permissions(struct api_req *r, struct json *into, const struct store_object *o)
{
    struct arena *a = api_arena(r);
    struct json *out = json_new_object(a);
    const struct store_ace *acl = NULL;
    size_t n = 0;
    enum err e = o->deleted ? OK : store_acl_list(api_session(r), a, o, &acl, &n);
    for (unsigned bit = 0; bit < STORE_PERM_COUNT && e == OK; bit++)
        e = out ? add_principals(a, out, (enum store_perm)(1u << bit), acl, n) : ERR_NOMEM;
    return e == OK ? json_set(a, into, STR("permissions"), out) : e;
}

enum err change_set_state(struct api_req *r, struct json *into, const struct store_object *o)
{
    struct json *data;
    enum err e = store_data(api_arena(r), o, &data);
    if (e == OK)
        e = json_set(api_arena(r), into, STR("data"), data);
    return e == OK ? set_permissions(r, into, o) : e;
}
