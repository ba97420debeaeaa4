/*
 * store/acl.c - principals, permissions, and the index of what is shared with whom.
 *
 * A principal is a number: given at its first appearance in an ACL and kept for good, so that an
 * ACL of an object is a few bytes and a key of the sharing index is short. A caller's principals
 * are looked up once a request; one that was never seen can hold nothing.
 *
 * The sharing index answers "which objects of this list does this principal hold permissions on",
 * in the order of time. It has no permission bits: what it finds is checked against the object's
 * ACL, which is the one truth.
 */
#include "store/private.h"

/* ---- names of permissions -------------------------------------------------------------------- */

static const str perm_names[] = {
#define X(name, text) STR_INIT(text),
    STORE_PERM_TABLE(X)
#undef X
};

str store_perm_name(enum store_perm one)
{
    for (unsigned i = 0; i < STORE_PERM_COUNT; i++)
        if ((unsigned)one == 1u << i)
            return perm_names[i];
    return STR_NONE;
}

unsigned store_perm_from_name(str name)
{
    for (unsigned i = 0; i < STORE_PERM_COUNT; i++)
        if (str_eq(perm_names[i], name))
            return 1u << i;
    return 0;
}

/* ---- principals ------------------------------------------------------------------------------ */

/* NOTFOUND: never seen. */
static enum err principal_find(struct store_session *s, str name, uint32_t *out)
{
    struct reader r;
    struct key k;
    uint32_t number = store_memo_principal(s, name);
    str value;
    enum err e;

    if (number != 0) {
        *out = number;
        return OK;
    }
    store_key_init(&k, KEY_PRINCIPAL);
    store_key_add_text(&k, name);
    e = store_db_get(s, &k, &value);
    if (e != OK)
        return e;
    r = store_reader(value);
    number = store_dec_u32(&r);
    e = store_dec_end(&r, true);
    if (e != OK)
        return e;
    store_memo_add_principal(s, name, number);
    *out = number;
    return OK;
}

static enum err principal_make(struct store_session *s, str name, uint32_t *out)
{
    struct key k, v = {.n = 0};
    uint32_t number;
    enum err e = principal_find(s, name, out);

    if (e != ERR_NOTFOUND)
        return e;
    e = store_db_count(s, COUNTER_PRINCIPAL, &number);
    if (e != OK)
        return e;
    store_key_init(&k, KEY_PRINCIPAL);
    store_key_add_text(&k, name);
    store_key_add_u32(&v, number);
    e = store_db_put(s, &k, key_str(&v));
    store_key_init(&k, KEY_PRINCIPAL_NAME);
    store_key_add_u32(&k, number);
    if (e == OK)
        e = store_db_put(s, &k, name);
    if (e == OK)
        *out = number;
    return e;
}

static enum err principal_name(struct store_session *s, struct arena *a, uint32_t number, str *out)
{
    struct key k;
    str name = store_memo_principal_name(s, number);
    enum err e;

    if (!str_none(name)) {
        *out = arena_str(a, name);
        return str_none(*out) ? ERR_NOMEM : OK;
    }
    store_key_init(&k, KEY_PRINCIPAL_NAME);
    store_key_add_u32(&k, number);
    e = store_db_get(s, &k, &name);
    if (e == OK) {
        store_memo_add_principal(s, name, number);
        e = store_keep(s, a, &name);
    }
    if (e == OK)
        *out = name;
    return e == ERR_NOTFOUND ? ERR_CORRUPT : e;
}

enum err store_principal_forget(struct store_session *s, str name)
{
    struct key k;
    uint32_t number;
    bool holds_some;
    enum err e = principal_find(s, name, &number);

    if (e != OK)
        return e == ERR_NOTFOUND ? OK : e;
    store_key_init(&k, KEY_SHARED_LIST);
    store_key_add_u32(&k, number);
    e = store_db_any(s, &k, &holds_some);
    if (e == OK && holds_some)
        e = ERR_EXISTS;
    if (e != OK)
        return e;
    store_key_init(&k, KEY_PRINCIPAL_NAME);
    store_key_add_u32(&k, number);
    e = store_db_del(s, &k);
    store_key_init(&k, KEY_PRINCIPAL);
    store_key_add_text(&k, name);
    return e == OK ? store_db_del(s, &k) : e;
}

static int number_compare(const void *x, const void *y)
{
    const uint32_t *a = x, *b = y;

    return (*a > *b) - (*a < *b);
}

/* Sorts them; each stays once. */
static size_t numbers_normalise(uint32_t *list, size_t n)
{
    size_t kept = 0;

    if (n > 1)
        qsort(list, n, sizeof *list, number_compare);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || list[kept - 1] != list[i])
            list[kept++] = list[i];
    return kept;
}

enum err store_principals_resolve(struct store_session *s, struct arena *a, const str *names,
                                  size_t n, struct store_principals *out)
{
    uint32_t *ids = ARENA_NEW_ARRAY(a, uint32_t, n);
    size_t seen = 0;

    if (ids == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        enum err e = principal_find(s, names[i], &ids[seen]);
        if (e != OK && e != ERR_NOTFOUND)
            return e;
        seen += e == OK;
    }
    *out = (struct store_principals){.names = names, .count = n, .ids = ids, .unseen = seen < n};
    out->nids = numbers_normalise(ids, seen);
    return OK;
}

/* In ever longer steps, then by halves: who looks for rising numbers goes through all of them in no
 * more steps than there are numbers, and in far fewer if it looks for few of many. */
size_t store_principals_from(const struct store_principals *p, size_t at, uint32_t who)
{
    size_t step = 1, end;

    while (step < p->nids - at && p->ids[at + step] < who) {
        at += step;
        step *= 2;
    }
    end = MIN_OF(p->nids, at + step);
    while (at < end) {
        size_t middle = at + (end - at) / 2;
        if (p->ids[middle] < who)
            at = middle + 1;
        else
            end = middle;
    }
    return at;
}

/* ---- access control lists -------------------------------------------------------------------- */

bool store_acl_next(struct reader *r, struct ace *out)
{
    uint64_t who, perms;

    if (r->at == r->end)
        return false;
    who = store_dec_varint(r);
    perms = store_dec_varint(r);
    if (r->bad || who == 0 || who > UINT32_MAX || perms == 0 || perms > UINT_MAX) {
        r->bad = true;
        return false;
    }
    *out = (struct ace){(uint32_t)who, (unsigned)perms};
    return true;
}

/* The next entry, from *at on, that is of one of the principals: both are in the order of their numbers
 * and walked through side by side. */
static bool next_held(struct reader *r, const struct store_principals *p, size_t *at,
                      struct ace *out)
{
    while (*at < p->nids && store_acl_next(r, out)) {
        *at = store_principals_from(p, *at, out->who);
        if (*at < p->nids && p->ids[*at] == out->who)
            return true;
    }
    return false;
}

bool store_acl_allows(const struct store_object *o, const struct store_principals *p,
                      unsigned perms)
{
    struct reader r = store_reader(o->acl);
    struct ace ace;
    size_t at = 0;

    while (next_held(&r, p, &at, &ace))
        if ((ace.perms & perms) != 0)
            return true;
    return false;
}

unsigned store_acl_held(const struct store_object *o, const struct store_principals *p)
{
    struct reader r = store_reader(o->acl);
    struct ace ace;
    unsigned held = 0;
    size_t at = 0;

    while (next_held(&r, p, &at, &ace))
        held |= ace.perms;
    return held;
}

enum err store_acl_list(struct store_session *s, struct arena *a, const struct store_object *o,
                        const struct store_ace **out, size_t *n)
{
    STORE_TIME(s->thread->store, ACL_LIST);
    struct reader r = store_reader(o->acl);
    struct store_ace *list;
    struct ace ace;
    size_t count = 0;

    while (store_acl_next(&r, &ace))
        count++;
    if (r.bad)
        return ERR_CORRUPT;
    list = ARENA_NEW_ARRAY(a, struct store_ace, count);
    if (list == NULL)
        return ERR_NOMEM;
    r = store_reader(o->acl);
    for (size_t i = 0; store_acl_next(&r, &ace); i++) {
        enum err e = principal_name(s, a, ace.who, &list[i].principal);
        if (e != OK)
            return e;
        list[i].perms = ace.perms;
    }
    *out = list;
    *n = count;
    return OK;
}

static int ace_compare(const void *x, const void *y)
{
    const struct ace *a = x, *b = y;

    return (a->who > b->who) - (a->who < b->who);
}

/* Sorts by principal and joins the entries of the same one; those without permissions go. */
static size_t aces_normalise(struct ace *list, size_t n)
{
    size_t kept = 0;

    qsort(list, n, sizeof *list, ace_compare);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && list[kept - 1].who == list[i].who)
            list[kept - 1].perms |= list[i].perms;
        else
            list[kept++] = list[i];
    }
    return kept;
}

enum err store_acl_encode(struct store_session *s, struct arena *a, const struct store_ace *acl,
                          size_t n, str *out)
{
    struct ace *list = ARENA_NEW_ARRAY(a, struct ace, n);
    struct buf b;
    size_t used = 0;

    if (list == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        enum err e;
        if (acl[i].perms == 0)
            continue;
        e = principal_make(s, acl[i].principal, &list[used].who);
        if (e != OK)
            return e;
        list[used++].perms = acl[i].perms;
    }
    used = aces_normalise(list, used);
    buf_init_arena(&b, a, ENGINE_MAX_VALUE_BYTES);
    for (size_t i = 0; i < used; i++) {
        struct key pair = {.n = 0};
        store_key_add_varint(&pair, list[i].who);
        store_key_add_varint(&pair, list[i].perms);
        buf_add_str(&b, key_str(&pair));
    }
    if (b.err == OK)
        *out = buf_str(&b);
    return b.err;
}

/* ---- what is shared with whom ---------------------------------------------------------------- */

void store_shared_list_key(struct key *k, uint32_t who, uint32_t list)
{
    store_key_init(k, KEY_SHARED_LIST);
    store_key_add_u32(k, who);
    store_key_add_u32(k, list);
}

void store_shared_key(struct key *k, uint32_t list, uint32_t who, const struct object *o)
{
    store_key_init_list(k, list, SUB_SHARED);
    store_key_add_u32(k, who);
    if (o != NULL)
        store_key_add_time(k, o);
}

/* `held`: the principal held something on the object before, so it is known that it does in the list. */
static enum err share_add(struct store_session *s, uint32_t list, uint32_t who,
                          const struct object *o, bool held)
{
    struct key k;
    bool known;
    enum err e;

    store_shared_key(&k, list, who, o);
    e = store_db_put(s, &k, STR(""));
    if (held)
        return e;
    store_shared_list_key(&k, who, list);
    if (e == OK)
        e = store_db_has(s, &k, &known);
    return e == OK && !known ? store_db_put(s, &k, STR("")) : e;
}

/* `gone`: the principal holds nothing on the object any more, so perhaps nothing in the list. */
static enum err share_remove(struct store_session *s, uint32_t list, uint32_t who,
                             const struct object *o, bool gone)
{
    struct key k;
    bool more;
    enum err e;

    store_shared_key(&k, list, who, o);
    e = store_db_del(s, &k);
    if (e != OK || !gone)
        return e;
    store_shared_key(&k, list, who, NULL);
    e = store_db_any(s, &k, &more);
    if (e != OK || more)
        return e;
    store_shared_list_key(&k, who, list);
    return store_db_del(s, &k);
}

static bool same_time(const struct object *x, const struct object *y)
{
    return x->o.last_modified == y->o.last_modified && x->tied == y->tied;
}

/* One principal that is in the ACL before, or after, or in both. */
static enum err share_one(struct store_session *s, uint32_t list, uint32_t who,
                          const struct object *before, const struct object *after)
{
    enum err e = OK;

    if (before != NULL && after != NULL && same_time(before, after))
        return OK;
    if (before != NULL)
        e = share_remove(s, list, who, before, after == NULL);
    if (e == OK && after != NULL)
        e = share_add(s, list, who, after, before != NULL);
    return e;
}

/* Both ACLs are in the order of the principals: walked through side by side. */
enum err store_share(struct store_session *s, uint32_t list, const struct object *before,
                     const struct object *after)
{
    struct reader rb = store_reader(before != NULL ? before->o.acl : STR(""));
    struct reader ra = store_reader(after != NULL ? after->o.acl : STR(""));
    struct ace b = {0}, a = {0};
    bool has_b = store_acl_next(&rb, &b), has_a = store_acl_next(&ra, &a);
    enum err e = OK;

    while (e == OK && (has_b || has_a)) {
        bool use_b = has_b && (!has_a || b.who <= a.who);
        bool use_a = has_a && (!has_b || a.who <= b.who);
        e = share_one(s, list, use_b ? b.who : a.who, use_b ? before : NULL, use_a ? after : NULL);
        if (use_b)
            has_b = store_acl_next(&rb, &b);
        if (use_a)
            has_a = store_acl_next(&ra, &a);
    }
    return e == OK && (rb.bad || ra.bad) ? ERR_CORRUPT : e;
}

enum err store_share_forget(struct store_session *s, uint32_t list)
{
    struct engine_cursor c;
    struct key prefix, at;
    struct reader r;

    store_key_init_list(&prefix, list, SUB_SHARED);
    at = prefix;
    for (;;) { /* a cursor does not outlive a write: from principal to principal by seeking */
        uint32_t who;
        enum err e;
        engine_cursor_init(&c, s->view, key_str(&prefix));
        if (!engine_cursor_seek(&c, key_str(&at)))
            return engine_cursor_err(&c);
        r = store_reader(str_drop(engine_cursor_key(&c), prefix.n));
        who = store_dec_u32(&r);
        if (r.bad)
            return ERR_CORRUPT;
        store_shared_list_key(&at, who, list);
        e = store_db_del(s, &at);
        if (e != OK || who == UINT32_MAX)
            return e;
        at = prefix;
        store_key_add_u32(&at, who + 1);
    }
}

/* Of the key of a list that is shared with the principal of that prefix. CORRUPT. */
static enum err shared_list_at(struct engine_cursor *c, const struct key *prefix, uint32_t *list)
{
    struct reader r = store_reader(str_drop(engine_cursor_key(c), prefix->n));

    *list = store_dec_u32(&r);
    return store_dec_end(&r, true) != OK || *list == 0 ? ERR_CORRUPT : OK;
}

/* The lowest number >= from of a list that is shared with one of them; 0: none. */
static enum err shared_list_from(struct store_session *s, const struct store_principals *p,
                                 uint32_t from, uint32_t *out)
{
    uint32_t lowest = 0;

    for (size_t i = 0; i < p->nids; i++) {
        struct engine_cursor c;
        struct key prefix, at;
        uint32_t list;
        enum err e;
        store_key_init(&prefix, KEY_SHARED_LIST);
        store_key_add_u32(&prefix, p->ids[i]);
        store_shared_list_key(&at, p->ids[i], from);
        engine_cursor_init(&c, s->view, key_str(&prefix));
        if (!engine_cursor_seek(&c, key_str(&at))) {
            e = engine_cursor_err(&c);
            if (e != OK)
                return e;
            continue;
        }
        e = shared_list_at(&c, &prefix, &list);
        if (e != OK)
            return e;
        if (lowest == 0 || list < lowest)
            lowest = list;
    }
    *out = lowest;
    return OK;
}

enum err store_shared_list_next(struct store_session *s, struct arena *a,
                                const struct store_principals *p, uint32_t *number,
                                struct store_list_id *out)
{
    uint32_t at;
    enum err e = shared_list_from(s, p, *number, &at);

    if (e == OK && at == 0)
        e = ERR_NOTFOUND;
    if (e == OK)
        e = store_list_name(s, a, at, out);
    if (e == OK)
        *number = at;
    return e;
}

struct numbers {
    uint32_t *list;
    size_t n, cap;
};

/* When there is no more room the numbers that came more than once give theirs: the memory is that
 * of the lists, with however many principals each is shared. */
static enum err numbers_add(struct arena *a, struct numbers *numbers, uint32_t one)
{
    bool full = numbers->n == numbers->cap;

    if (full)
        numbers->n = numbers_normalise(numbers->list, numbers->n);
    if (full && numbers->n >= numbers->cap / 2) {
        size_t more = numbers->cap == 0 ? 16 : 2 * numbers->cap;
        uint32_t *list =
            arena_extend(a, numbers->list, numbers->cap * sizeof *list, more * sizeof *list);
        if (list == NULL)
            return ERR_NOMEM;
        numbers->list = list;
        numbers->cap = more;
    }
    numbers->list[numbers->n++] = one;
    return OK;
}

static enum err add_lists_of(struct store_session *s, struct arena *a, uint32_t who,
                             struct numbers *numbers)
{
    struct engine_cursor c;
    struct key prefix;
    bool there;

    store_key_init(&prefix, KEY_SHARED_LIST);
    store_key_add_u32(&prefix, who);
    engine_cursor_init(&c, s->view, key_str(&prefix));
    for (there = engine_cursor_first(&c); there; there = engine_cursor_next(&c)) {
        uint32_t list;
        enum err e = shared_list_at(&c, &prefix, &list);
        if (e == OK)
            e = numbers_add(a, numbers, list);
        if (e != OK)
            return e;
    }
    return engine_cursor_err(&c);
}

enum err store_shared_lists(struct store_session *s, struct arena *a,
                            const struct store_principals *p, const struct store_list_id **out,
                            size_t *n)
{
    STORE_TIME(s->thread->store, SHARED_LISTS);
    struct numbers numbers = {.n = 0};
    struct store_list_id *lists;
    enum err e = OK;

    for (size_t i = 0; i < p->nids && e == OK; i++)
        e = add_lists_of(s, a, p->ids[i], &numbers);
    if (e != OK)
        return e;
    numbers.n = numbers_normalise(numbers.list, numbers.n);
    lists = ARENA_NEW_ARRAY(a, struct store_list_id, numbers.n);
    if (lists == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < numbers.n && e == OK; i++)
        e = store_list_name(s, a, numbers.list[i], &lists[i]);
    *out = lists;
    *n = numbers.n;
    return e;
}
