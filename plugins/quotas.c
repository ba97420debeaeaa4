/*
 * plugins/quotas.c - kinto.plugins.quotas: how much a bucket or a collection may hold.
 *
 * A listener: each change of an object is added up in the transaction that makes it, and a change
 * that goes over a limit is answered with a 507, which undoes all of the request.
 *
 * The sums are notes (store.h) at the URI of the bucket and at that of the collection: records, and
 * bytes. So they are as durable and as exact as the objects, and cost two small values a change. A
 * bucket's sums are those of everything in it: what a deleted collection held is known from its
 * note. Where notes are not right, everything is counted once, at the start (quotas_count.c).
 *
 * What must hold, behind each transaction:
 *     collection: records = its records; bytes = its own size and that of its records
 *     bucket:     records = those of its collections; bytes = its own size, that of its groups, and
 *                 the bytes of its collections
 *
 * A limit refuses only what makes its sum grow: who is over it (because it was lowered) can delete
 * and replace by what is smaller. That of one object is about what is written, whatever was there
 * before; but to forget somebody is nothing that a limit may refuse.
 */
#include "plugins/quotas.h"
#include "base/log.h"
#include "base/native.h"
#include "plugins/private.h"

enum limit { MAX_BYTES, MAX_ITEMS, MAX_ITEM_BYTES, LIMIT_COUNT };
enum scope { OF_BUCKET, OF_COLLECTION, SCOPE_COUNT };

static const char *const limit_names[LIMIT_COUNT] = {
    [MAX_BYTES] = "max_bytes",
    [MAX_ITEMS] = "max_items",
    [MAX_ITEM_BYTES] = "max_bytes_per_item",
};
static const char *const scope_names[SCOPE_COUNT] = {
    [OF_BUCKET] = "bucket",
    [OF_COLLECTION] = "collection",
};

#define UNLIMITED INT64_MAX

struct rule {
    int64_t general;
    struct map named; /* bucket, or bucket_collection -> int64_t */
};

struct quotas {
    struct arena arena;
    struct rule rules[SCOPE_COUNT][LIMIT_COUNT];
};

/* ---- limits ---------------------------------------------------------------------------------- */

static int64_t named_limit(const struct rule *rule, str name, int64_t otherwise)
{
    const int64_t *limit = str_none(name) ? NULL : map_get(&rule->named, name);
    return limit ? *limit : otherwise;
}

/* The limits of a bucket, or (collection not none) of a collection: the more is said, the stronger. */
static void limits_of(const struct quotas *q, struct arena *a, str bucket, str collection,
                      int64_t out[LIMIT_COUNT])
{
    enum scope scope = str_none(collection) ? OF_BUCKET : OF_COLLECTION;
    str both = STR_NONE;
    if (scope == OF_COLLECTION)
        both = ARENA_JOIN(a, bucket, STR("_"), collection);
    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        const struct rule *rule = &q->rules[scope][i];
        out[i] = named_limit(rule, both, named_limit(rule, bucket, rule->general));
    }
}

/* ---- one change ------------------------------------------------------------------------------ */

struct account { /* of a bucket, or of a collection */
    enum scope scope;
    str uri;
    int64_t limits[LIMIT_COUNT];
    struct sums before, after;
};

struct change {
    const struct api_change *c;
    uint64_t size;          /* of what is there now */
    struct sums gone, come; /* of the bucket */
    struct account accounts[SCOPE_COUNT];
    unsigned naccounts;
};

static str last_part(str uri)
{
    str part = uri, rest = uri;
    while (!str_none(rest))
        part = str_cut(&rest, '/');
    return part;
}

static str collection_uri(const struct api_change *c)
{
    if (c->kind == KIND_COLLECTION)
        return c->uri;
    return c->kind == KIND_RECORD ? c->list.parent : STR_NONE;
}

/* What it was before, and its limits. */
static enum err account_open(struct quotas *q, struct api_req *r, struct change *ch,
                             enum scope scope, str uri)
{
    struct arena *a = api_arena(r);
    struct account *x = &ch->accounts[ch->naccounts++];
    str bucket = last_part(quotas_bucket_uri(uri));
    x->scope = scope;
    x->uri = uri;
    limits_of(q, a, bucket, scope == OF_COLLECTION ? last_part(uri) : STR_NONE, x->limits);
    enum err e = quotas_sums_get(api_session(r), a, uri, &x->before);
    x->after = x->before;
    return e;
}

/* What goes and what comes: for a collection that is deleted, all that it held. */
static enum err measure(struct quotas *q, struct api_req *r, struct change *ch)
{
    const struct api_change *c = ch->c;
    bool gone = c->action == ACTION_DELETE, record = c->kind == KIND_RECORD;
    ch->size = gone ? 0 : quotas_size(c->now->data);
    ch->come = (struct sums){record && !gone, ch->size};
    ch->gone = (struct sums){record && c->old, c->old ? quotas_size(c->old->data) : 0};
    enum err e = account_open(q, r, ch, OF_BUCKET, quotas_bucket_uri(c->uri));
    str collection = collection_uri(c);
    if (e == OK && !str_none(collection))
        e = account_open(q, r, ch, OF_COLLECTION, collection);
    if (e == OK && c->kind == KIND_COLLECTION && gone)
        ch->gone = ch->accounts[OF_COLLECTION].before;
    return e;
}

/* 507; the messages are the reference's. */
static enum api_step refuse(struct api_req *r, str message)
{
    return str_none(message) ? api_fail_err(r, ERR_NOMEM)
                             : api_fail_told(r, API_ERR_INSUFFICIENT_STORAGE, message, STR_NONE);
}

static enum api_step judge_size(struct api_req *r, const struct change *ch)
{
    const struct account *last = &ch->accounts[ch->naccounts - 1];
    int64_t limit = last->limits[MAX_ITEM_BYTES];
    if (limit == UNLIMITED) /* the collection's own is stronger than that of the bucket */
        limit = ch->accounts[OF_BUCKET].limits[MAX_ITEM_BYTES];
    if (ch->size <= (uint64_t)limit || api_is_erasing(r))
        return STEP_NEXT;
    return refuse(r, arena_printf(api_arena(r),
                                  "Maximum bytes per object exceeded (%llu > %lld Bytes).",
                                  (unsigned long long)ch->size, (long long)limit));
}

static bool over(uint64_t before, uint64_t after, int64_t limit)
{
    return after > before && after > (uint64_t)limit;
}

static enum api_step judge(struct api_req *r, const struct account *x)
{
    static const struct {
        const char *bytes, *items, *end;
    } words[SCOPE_COUNT] = {
        [OF_BUCKET] = {"Bucket maximum total size", "Bucket maximum number of objects", " "},
        [OF_COLLECTION] = {"Collection maximum size", "Collection maximum number of objects", ""},
    };
    const struct sums *now = &x->after;
    if (over(x->before.bytes, now->bytes, x->limits[MAX_BYTES]))
        return refuse(r, arena_printf(api_arena(r), "%s exceeded (%llu > %lld Bytes).%s",
                                      words[x->scope].bytes, (unsigned long long)now->bytes,
                                      (long long)x->limits[MAX_BYTES], words[x->scope].end));
    if (over(x->before.items, now->items, x->limits[MAX_ITEMS]))
        return refuse(r, arena_printf(api_arena(r), "%s exceeded (%llu > %lld objects).",
                                      words[x->scope].items, (unsigned long long)now->items,
                                      (long long)x->limits[MAX_ITEMS]));
    return STEP_NEXT;
}

/* The note of what is deleted goes with it; what lay below it has none any more. */
static enum err account_close(struct api_req *r, const struct change *ch, const struct account *x)
{
    bool gone = ch->c->action == ACTION_DELETE && str_eq(ch->c->uri, x->uri);
    return gone ? store_note_delete(api_session(r), x->uri, QUOTAS_NOTE)
                : quotas_sums_put(api_session(r), x->uri, &x->after);
}

/* ---- Quota-Remaining ------------------------------------------------------------------------- */

static void lower(int64_t *left, int64_t limit, uint64_t used)
{
    if (limit == UNLIMITED)
        return;
    int64_t mine = used < (uint64_t)limit ? limit - (int64_t)used : 0;
    *left = MIN_OF(*left, mine);
}

/* What may still come to where something was written: "bytes=712, items=2" (RFC 9651, a dictionary);
 * without a limit, nothing. */
static void tell_remaining(struct api_req *r, const struct change *ch)
{
    int64_t bytes = UNLIMITED, items = UNLIMITED;
    if (ch->c->action == ACTION_DELETE && ch->c->kind == KIND_BUCKET)
        return;
    bool gone = ch->c->action == ACTION_DELETE && ch->c->kind == KIND_COLLECTION;
    for (unsigned i = 0; i < (gone ? 1 : ch->naccounts); i++) {
        const struct account *x = &ch->accounts[i];
        lower(&bytes, x->limits[MAX_BYTES], x->after.bytes);
        lower(&items, x->limits[MAX_ITEMS], x->after.items);
    }
    struct buf b;
    buf_init_arena(&b, api_arena(r), KIB);
    if (bytes != UNLIMITED)
        buf_printf(&b, "bytes=%lld", (long long)bytes);
    if (items != UNLIMITED)
        buf_printf(&b, "%sitems=%lld", bytes != UNLIMITED ? ", " : "", (long long)items);
    if (buf_str(&b).n > 0 && !buf_failed(&b))
        api_set_header(r, STR("Quota-Remaining"), buf_str(&b));
}

/* ---- the listener ---------------------------------------------------------------------------- */

/* `what` of the sum goes, `by` comes. The sum cannot be less than what goes, unless it is wrong. */
static void move(uint64_t *sum, uint64_t what, uint64_t by, str uri)
{
    if (what > *sum) {
        log_event(LOG_ERROR, "quotas_sum", "uri=\"" STR_FMT "\" error=\"a sum is too small\"",
                  STR_ARG(uri));
        what = *sum;
    }
    *sum = *sum - what + by;
}

static enum api_step changed(void *ctx, struct api_req *r, const struct api_change *c)
{
    struct change ch = {.c = c};
    if (!api_is_core(c->kind))
        return STEP_NEXT;
    enum err e = measure(ctx, r, &ch);
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = c->action == ACTION_DELETE ? STEP_NEXT : judge_size(r, &ch);
    for (unsigned i = 0; s == STEP_NEXT && i < ch.naccounts; i++) {
        struct account *x = &ch.accounts[i];
        move(&x->after.items, ch.gone.items, ch.come.items, x->uri);
        move(&x->after.bytes, ch.gone.bytes, ch.come.bytes, x->uri);
        s = judge(r, x);
    }
    for (unsigned i = 0; s == STEP_NEXT && e == OK && i < ch.naccounts; i++)
        e = account_close(r, &ch, &ch.accounts[i]);
    if (e != OK)
        return api_fail_err(r, e);
    if (s == STEP_NEXT)
        tell_remaining(r, &ch);
    return s;
}

/* ---- loading --------------------------------------------------------------------------------- */

struct target {
    struct quotas *quotas;
    struct rule *rule;
    enum err err;
};

static void take_named(void *arg, str key, str star, str value, str origin)
{
    (void)key;
    (void)origin;
    struct target *t = arg;
    int64_t *limit = ARENA_NEW(&t->quotas->arena, int64_t);
    if (limit == NULL || native_int(str_trim(value), limit) != OK) {
        t->err = ERR_NOMEM; /* that it is a number has been checked when it was loaded */
        return;
    }
    enum err e = map_put(&t->rule->named, arena_str(&t->quotas->arena, star), limit);
    if (e != OK)
        t->err = e;
}

static enum err load_limits(struct quotas *q, const struct settings *s)
{
    for (unsigned i = 0; i < SCOPE_COUNT; i++)
        for (unsigned k = 0; k < LIMIT_COUNT; k++) {
            struct target t = {q, &q->rules[i][k], OK};
            char key[64];
            map_init(&t.rule->named, &q->arena);
            snprintf(key, sizeof key, "kinto.quotas.%s_%s", scope_names[i], limit_names[k]);
            t.rule->general = settings_int(s, key, UNLIMITED);
            snprintf(key, sizeof key, "kinto.quotas.%s_*_%s", scope_names[i], limit_names[k]);
            settings_each(s, key, take_named, &t);
            if (t.err != OK)
                return t.err;
        }
    return OK;
}

static void quotas_release(void *ctx)
{
    struct quotas *q = ctx;
    arena_fini(&q->arena);
    free(q);
}

/* A server that changes nothing counts nothing. */
static enum err listen(struct api *a, const struct settings *s, struct err_detail *d)
{
    if (settings_bool(s, "kinto.readonly"))
        return OK;
    struct quotas *q = calloc(1, sizeof *q);
    if (q == NULL)
        return ERR_NOMEM;
    arena_init(&q->arena, NULL, 0, NULL, 16 * MIB);
    enum err e = api_keep(a, q, quotas_release);
    if (e == OK)
        e = load_limits(q, s);
    if (e == OK)
        e = quotas_make_current(api_store(a), d);
    return e == OK ? api_add_listener(a, &(struct api_listener){.ctx = q, .changed = changed}) : e;
}

enum err quotas_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    enum err e = listen(a, s, d);
    if (e == OK)
        e = api_expose_header(a, "Quota-Remaining");
    if (e != OK)
        return e;
    return api_add_capability(
        a, "quotas",
        "{\"description\":\"Quotas Management on buckets and collections.\",\"url\":"
        "\"https://kinto.readthedocs.io\"}");
}
