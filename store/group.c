/*
 * store/group.c - who is a member of which group.
 *
 * A membership is one value under two keys: from the member to its groups, which every request
 * asks for (one range), and from the group to its members, to take them out again. The keys are
 * only for finding: the value says group and member in full.
 */
#include "store/private.h"

enum err store_membership_decode(str value, struct membership *out)
{
    struct reader r = store_reader(value);
    struct membership m;
    enum err e;

    m.uri = store_dec_bytes(&r, store_dec_varint(&r));
    m.member = store_dec_rest(&r);
    e = store_dec_end(&r, true);
    if (e == OK)
        *out = m;
    return e;
}

/* 06 n TEXT(member): n is the length of what follows it, so that no member begins another. */
static void member_prefix(struct key *k, str member)
{
    struct key text = {.n = 0};

    store_key_add_text(&text, member);
    store_key_init(k, KEY_MEMBER);
    store_key_add_u8(k, (unsigned)text.n);
    store_key_add(k, key_str(&text));
}

enum err store_member_key(struct key *k, const struct membership *m)
{
    member_prefix(k, m->member);
    return store_key_add_path(k, m->uri);
}

enum err store_group_key(struct key *k, const struct membership *m)
{
    enum err e;

    store_key_init(k, KEY_GROUP);
    e = store_key_add_path(k, m->uri);
    store_key_add_u8(k, 0);
    store_key_add_text(k, m->member);
    return e;
}

static enum err membership_put(struct store_session *s, const struct membership *m)
{
    struct key k, length = {.n = 0};
    struct buf b;
    enum err e;

    buf_init(&b, ENGINE_MAX_VALUE_BYTES);
    store_key_add_varint(&length, m->uri.n);
    buf_add_str(&b, key_str(&length));
    buf_add_str(&b, m->uri);
    buf_add_str(&b, m->member);
    e = b.err;
    if (e == OK)
        e = store_member_key(&k, m);
    if (e == OK)
        e = store_db_put(s, &k, buf_str(&b));
    buf_fini(&b);
    if (e == OK)
        e = store_group_key(&k, m);
    return e == OK ? store_db_link(s, &k) : e;
}

static enum err membership_delete(struct store_session *s, const struct membership *m)
{
    struct key k;
    enum err e = store_member_key(&k, m);

    if (e == OK)
        e = store_db_del(s, &k);
    if (e == OK)
        e = store_group_key(&k, m);
    return e == OK ? store_db_del(s, &k) : e;
}

/* ---- taking out ------------------------------------------------------------------------------ */

/* The first membership of a group (only `uri` itself, or all that lie below as well), copied. */
static enum err membership_first(struct store_session *s, str uri, bool children,
                                 struct membership *out)
{
    struct below b;
    str value;
    enum err e = store_below_init(&b, s, KEY_GROUP, uri);

    if (e == OK)
        e = store_below_next(&b, &value);
    if (e == OK && b.children && !children)
        e = ERR_NOTFOUND;
    if (e == OK)
        e = store_keep(s, s->arena, &value);
    return e == OK ? store_membership_decode(value, out) : e;
}

/* One at a time: a cursor does not outlive a write, and what was found is gone at the next. */
static enum err memberships_delete(struct store_session *s, str uri, bool children)
{
    for (;;) {
        struct arena_mark mark = arena_mark(s->arena);
        struct membership m;
        enum err e = membership_first(s, uri, children, &m);

        if (e == OK)
            e = membership_delete(s, &m);
        arena_release(s->arena, mark);
        if (e != OK)
            return e == ERR_NOTFOUND ? OK : e;
    }
}

enum err store_groups_delete_below(struct store_session *s, str uri)
{
    return memberships_delete(s, uri, true);
}

enum err store_group_set(struct store_session *s, str uri, const str *members, size_t n)
{
    enum err e = memberships_delete(s, uri, false);

    for (size_t i = 0; i < n && e == OK; i++)
        e = membership_put(s, &(struct membership){uri, members[i]});
    return store_fail(s, e);
}

/* ---- asking ---------------------------------------------------------------------------------- */

enum err store_groups_of(struct store_session *s, struct arena *a, str principal, const str **uris,
                         size_t *n)
{
    STORE_TIME(s->thread->store, GROUPS_OF);
    struct engine_cursor c;
    struct key prefix;
    str *list = NULL;
    size_t count = 0, cap = 0;

    member_prefix(&prefix, principal);
    engine_cursor_init(&c, s->view, key_str(&prefix));
    for (bool more = engine_cursor_first(&c); more; more = engine_cursor_next(&c)) {
        struct membership m;
        str value;
        enum err e = engine_cursor_value(&c, &value);
        if (e == OK)
            e = store_membership_decode(value, &m);
        if (e != OK)
            return e;
        if (count == cap) {
            size_t bigger = cap == 0 ? 8 : 2 * cap;
            list = arena_extend(a, list, cap * sizeof *list, bigger * sizeof *list);
            if (list == NULL)
                return ERR_NOMEM;
            cap = bigger;
        }
        list[count] = arena_str(a, m.uri);
        if (str_none(list[count++]))
            return ERR_NOMEM;
    }
    if (engine_cursor_err(&c) != OK)
        return engine_cursor_err(&c);
    *uris = list;
    *n = count;
    return OK;
}

void store_groups_recalled(struct store_session *s)
{
    STORE_TIME(s->thread->store, GROUPS_OF);
}
