/*
 * plugins/quotas.c - kinto.plugins.quotas: how much a bucket or a collection may hold.
 *
 * A listener: each change of an object is added up in the transaction that makes it, and a change
 * that goes over a limit is answered with a 507, which undoes all of the request.
 *
 * The sums are notes (store.h) at the URI of the bucket and at that of the collection: records, and
 * bytes. So they are as durable and as exact as the objects, and cost two small values a change. A
 * bucket's sums are those of everything in it: what a deleted collection held is known from its
 * note. Where notes are not right (the plugin was off while objects were changed, or never on),
 * everything is counted once, at the start.
 *
 * What must hold, behind each transaction:
 *     collection: records = its records; bytes = its own size and that of its records
 *     bucket:     records = those of its collections; bytes = its own size, that of its groups, and
 *                 the bytes of its collections
 *
 * The size of an object is that of its data (with "id" and "last_modified") as compact JSON in
 * ASCII, as the reference counted: what is not ASCII takes the six bytes of \uXXXX, twice where
 * that is a surrogate pair. Permissions and tombstones count for nothing.
 *
 * A limit refuses only what makes its sum grow: who is over it (because it was lowered) can delete
 * and replace by what is smaller.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/native.h"
#include "plugins/private.h"

#define NOTE "quotas"

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

struct sums {
    uint64_t items, bytes;
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

/* ---- sizes and sums -------------------------------------------------------------------------- */

/* Bytes of the text with everything outside of printable ASCII written as \uXXXX. */
static uint64_t ascii_size(str text)
{
    uint64_t n = text.n;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c < 0x7f)
            continue;
        if (c >= 0xf0) /* a pair, in place of four bytes of UTF-8 */
            n += 12 - 4;
        else if (c >= 0xe0)
            n += 6 - 3;
        else if (c >= 0xc0)
            n += 6 - 2;
        else if (c == 0x7f)
            n += 6 - 1;
    }
    return n;
}

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

static bool varint_take(str *rest, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; rest->n > 0 && shift < 64; shift += 7) {
        uint8_t b = (uint8_t)rest->p[0];
        *rest = str_drop(*rest, 1);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

static size_t varint_put(char *out, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (char)((v & 0x7f) | 0x80);
    out[n++] = (char)v;
    return n;
}

/* Nothing was counted yet: zero. CORRUPT. */
static enum err sums_get(struct store_session *s, struct arena *a, str uri, struct sums *out)
{
    str value;
    enum err e = store_note_get(s, a, uri, NOTE, &value);
    if (e == ERR_NOTFOUND) {
        *out = (struct sums){0};
        return OK;
    }
    if (e == OK && (!varint_take(&value, &out->items) || !varint_take(&value, &out->bytes)))
        return ERR_CORRUPT;
    return e;
}

static enum err sums_put(struct store_session *s, str uri, const struct sums *sums)
{
    char value[20];
    size_t n = varint_put(value, sums->items);
    n += varint_put(value + n, sums->bytes);
    return store_note_put(s, uri, NOTE, (str){value, n});
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

/* "/buckets/b..." -> "/buckets/b" */
static str bucket_uri(str uri)
{
    str rest = str_drop(uri, strlen("/buckets/"));
    size_t n = str_find(rest, '/');
    return n == STR_NPOS ? uri : str_sub(uri, 0, strlen("/buckets/") + n);
}

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
    str bucket = last_part(bucket_uri(uri));
    x->scope = scope;
    x->uri = uri;
    limits_of(q, a, bucket, scope == OF_COLLECTION ? last_part(uri) : STR_NONE, x->limits);
    enum err e = sums_get(api_session(r), a, uri, &x->before);
    x->after = x->before;
    return e;
}

/* What goes and what comes: for a collection that is deleted, all that it held. */
static enum err measure(struct quotas *q, struct api_req *r, struct change *ch)
{
    const struct api_change *c = ch->c;
    bool gone = c->action == ACTION_DELETE, record = c->kind == KIND_RECORD;
    ch->size = gone ? 0 : ascii_size(c->now->data);
    ch->come = (struct sums){record && !gone, ch->size};
    ch->gone = (struct sums){record && c->old, c->old ? ascii_size(c->old->data) : 0};
    enum err e = account_open(q, r, ch, OF_BUCKET, bucket_uri(c->uri));
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
                             : api_fail_message(r, API_ERR_INSUFFICIENT_STORAGE, message);
}

static enum api_step judge_size(struct api_req *r, const struct change *ch)
{
    const struct account *last = &ch->accounts[ch->naccounts - 1];
    int64_t limit = last->limits[MAX_ITEM_BYTES];
    if (limit == UNLIMITED) /* the collection's own is stronger than that of the bucket */
        limit = ch->accounts[OF_BUCKET].limits[MAX_ITEM_BYTES];
    if (ch->size <= (uint64_t)limit)
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
    return gone ? store_note_delete(api_session(r), x->uri, NOTE)
                : sums_put(api_session(r), x->uri, &x->after);
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

static enum api_step changed(void *ctx, struct api_req *r, const struct api_change *c)
{
    struct change ch = {.c = c};
    if (c->kind > KIND_RECORD)
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

/* ---- counting everything --------------------------------------------------------------------- */

/*
 * At the start, when nobody else writes: so one snapshot stays true, however many transactions the
 * sums take. They are not believed before the last one, which settles them, so a start that was cut
 * short is followed by another count.
 */
#define STEP_NOTES 1000

struct count {
    struct store_thread *reading, *writing; /* of their own: a snapshot and a transaction at once */
    struct arena read_arena, write_arena;
    struct store_session *from, *to;
    struct store_walk *walk;
    unsigned notes; /* in this transaction */
    uint64_t objects, bytes;
};

static enum err turn_over(struct count *n)
{
    enum err e = store_commit_wait(n->to);
    n->to = NULL;
    n->notes = 0;
    arena_reset(&n->write_arena);
    return e == OK ? store_write_wait(n->writing, &n->write_arena, &n->to) : e;
}

static enum err add(struct count *n, str uri, const struct sums *what)
{
    struct sums sums;
    enum err e = sums_get(n->to, &n->write_arena, uri, &sums);
    if (e != OK)
        return e;
    sums.items += what->items;
    sums.bytes += what->bytes;
    e = sums_put(n->to, uri, &sums);
    return e == OK && ++n->notes == STEP_NOTES ? turn_over(n) : e;
}

/* What an object is itself, where objects of its kind have notes. */
static enum err add_own(struct count *n, struct store_list_id list, enum api_kind kind,
                        const struct store_object *o, uint64_t size)
{
    if (kind != KIND_BUCKET && kind != KIND_COLLECTION)
        return OK;
    str plural = kind == KIND_BUCKET ? STR("/buckets/") : STR("/collections/");
    str uri = ARENA_JOIN(&n->write_arena, list.parent, plural, o->id);
    return str_none(uri) ? ERR_NOMEM : add(n, uri, &(struct sums){0, size});
}

static enum err count_list(struct count *n, struct store_list_id list, enum api_kind kind)
{
    struct sums sums = {0};
    struct store_object o;
    enum err e = store_walk_list(n->walk, list);
    while (e == OK) {
        e = store_walk_next(n->walk, &o);
        if (e != OK)
            break;
        uint64_t size = ascii_size(o.data);
        sums.items += kind == KIND_RECORD;
        sums.bytes += size;
        n->objects++;
        e = add_own(n, list, kind, &o, size);
    }
    if (e != ERR_NOTFOUND)
        return e;
    n->bytes += sums.bytes;
    e = OK;
    if (kind == KIND_RECORD)
        e = add(n, list.parent, &sums);
    return e == OK && kind != KIND_BUCKET ? add(n, bucket_uri(list.parent), &sums) : e;
}

static enum err count_lists(struct count *n)
{
    static const str resources[] = {
        [KIND_BUCKET] = STR_INIT("bucket"),
        [KIND_GROUP] = STR_INIT("group"),
        [KIND_COLLECTION] = STR_INIT("collection"),
        [KIND_RECORD] = STR_INIT("record"),
    };
    struct store_list_id list;
    enum err e = store_walk_new(n->from, &n->read_arena, NULL, &n->walk);
    for (uint32_t number = 1; e == OK && number != 0; number++) {
        e = store_list_next(n->from, &number, &list);
        for (unsigned k = 0; e == OK && k < ARRAY_LEN(resources); k++)
            if (str_eq(list.resource, resources[k]))
                e = count_list(n, list, (enum api_kind)k);
    }
    return e == ERR_NOTFOUND ? OK : e;
}

static enum err count_into(struct count *n)
{
    enum err e = store_read_begin(n->reading, &n->read_arena, &n->from);
    if (e != OK)
        return e;
    e = store_write_wait(n->writing, &n->write_arena, &n->to);
    if (e == OK)
        e = count_lists(n);
    if (e == OK)
        e = store_notes_settle(n->to, NOTE);
    store_read_end(n->from);
    if (e == OK)
        return store_commit_wait(n->to);
    if (n->to)
        store_abort(n->to);
    return e;
}

static enum err count_everything(struct store *store, struct store_thread *thread)
{
    struct count n = {.writing = thread};
    uint64_t begun = clock_mono_ms();
    arena_init(&n.read_arena, NULL, 0, NULL, 16 * MIB);
    arena_init(&n.write_arena, NULL, 0, NULL, 16 * MIB);
    enum err e = store_thread_new(store, &n.reading);
    if (e == OK)
        e = count_into(&n);
    store_thread_free(n.reading);
    arena_fini(&n.read_arena);
    arena_fini(&n.write_arena);
    if (e == OK && n.objects > 0)
        log_event(LOG_INFO, "quotas_counted", "objects=%llu bytes=%llu ms=%llu",
                  (unsigned long long)n.objects, (unsigned long long)n.bytes,
                  (unsigned long long)(clock_mono_ms() - begun));
    return e;
}

static enum err make_current(struct store *store, struct err_detail *d)
{
    struct store_thread *thread;
    bool current = false;
    enum err e = store_thread_new(store, &thread);
    if (e != OK)
        return e;
    e = store_notes_claim(thread, NOTE, &current);
    if (e == OK && !current)
        e = count_everything(store, thread);
    store_thread_free(thread);
    return e == OK ? OK
                   : err_set(d, e, 0, "kinto.plugins.quotas: what is there cannot be counted: %s",
                             err_text(e));
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

static void quotas_free(void *ctx)
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
    enum err e = load_limits(q, s);
    if (e == OK)
        e = make_current(api_store(a), d);
    if (e == OK)
        e = api_add_listener(
            a, &(struct api_listener){.ctx = q, .changed = changed, .free = quotas_free});
    if (e != OK)
        quotas_free(q);
    return e;
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
