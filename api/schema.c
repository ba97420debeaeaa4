/*
 * api/schema.c - JSON Schema: is what is stored as a schema one, and do objects fit theirs?
 *
 * A schema in a collection or bucket is checked against the metaschema of draft 7 whenever it is
 * written. With kinto.experimental_collection_schema_validation, a record is judged by the schema of
 * its collection, then by `record:schema` of its bucket; a collection or group by the bucket's
 * `collection:schema` or `group:schema`. What the server sets itself is no matter of the schema:
 * those fields are taken out of the object and out of the root's `required`.
 *
 * Compiled schemas are kept in a cache of the process, by their exact text: the latest few dozen,
 * and so many bytes. A user count keeps one alive that is dropped from the cache while it is used.
 */
#include "api/private.h"
#include "base/list.h"
#include <pthread.h>

#define CACHE_ENTRIES 64
#define CACHE_BYTES   (32 * MIB)

struct cached {
    struct list_node node; /* in the cache, oldest first */
    uint64_t hash;
    str text; /* own memory */
    enum api_kind kind;
    bool keeps_id;
    unsigned users; /* one of them is the cache */
    struct json_schema *schema;
};

struct api_schemas {
    struct json_schema *draft7;
    pthread_mutex_t lock;
    struct list_node cache;
    size_t count, bytes;
};

/* ---- the cache ------------------------------------------------------------------------------- */

enum err api_schemas_new(struct api_schemas **out)
{
    struct api_schemas *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    enum err e = json_schema_new_draft7(&s->draft7);
    CHECK(e == OK || e == ERR_NOMEM);
    if (e != OK) {
        free(s);
        return e;
    }
    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->cache);
    *out = s;
    return OK;
}

static size_t bytes_of(const struct cached *c)
{
    return sizeof *c + c->text.n + json_schema_bytes(c->schema);
}

static void free_cached(struct cached *c)
{
    json_schema_free(c->schema);
    free((char *)(uintptr_t)c->text.p);
    free(c);
}

/* Under the lock. */
static void drop_user(struct cached *c)
{
    if (--c->users == 0)
        free_cached(c);
}

/* The oldest, of which there is one. Under the lock. */
static void evict(struct api_schemas *s)
{
    struct cached *c = LIST_ENTRY(list_pop(&s->cache), struct cached, node);
    s->count--;
    s->bytes -= bytes_of(c);
    drop_user(c);
}

void api_schemas_free(struct api_schemas *s)
{
    if (s == NULL)
        return;
    while (!list_empty(&s->cache))
        evict(s);
    json_schema_free(s->draft7);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Under the lock; the one found has a user more and is the newest again. */
static struct cached *find_cached(struct api_schemas *s, str text, enum api_kind kind,
                                  uint64_t hash)
{
    LIST_EACH(&s->cache, it)
    {
        struct cached *c = LIST_ENTRY(it, struct cached, node);
        if (c->hash != hash || c->kind != kind || !str_eq(c->text, text))
            continue;
        list_remove(&c->node);
        list_push(&s->cache, &c->node);
        c->users++;
        return c;
    }
    return NULL;
}

/* The fields that no schema sees; `id` comes last, since a schema may ask for it. */
static const str *ignored_fields(enum api_kind kind, bool keeps_id, size_t *n)
{
    static const str names[] = {STR_INIT("schema"), STR_INIT("last_modified"),
                                STR_INIT("__permissions__"), STR_INIT("id")};
    bool record = kind == KIND_RECORD;
    *n = ARRAY_LEN(names) - !record - keeps_id;
    return names + !record;
}

static bool mentions_id(str schema)
{
    struct json_raw properties, ignored;
    return json_scan_member(schema, STR("properties"), &properties) &&
           json_scan_member(properties.text, STR("id"), &ignored);
}

static enum err compile(str text, enum api_kind kind, uint64_t hash, struct cached **out)
{
    struct cached *c = calloc(1, sizeof *c);
    char *copy = malloc(text.n + 1);
    enum err e = c && copy ? OK : ERR_NOMEM;
    if (e == OK) {
        size_t n;
        memcpy(copy, text.p, text.n);
        *c = (struct cached){.hash = hash, .text = {copy, text.n}, .kind = kind, .users = 2};
        c->keeps_id = mentions_id(text);
        const str *ignored = ignored_fields(kind, c->keeps_id, &n);
        e = json_schema_new(&c->schema, text, ignored, n);
    }
    if (e == OK) {
        *out = c;
        /* cppcheck-suppress memleak ; *out has it */
        return OK;
    }
    free(copy);
    free(c);
    return e;
}

static void add_cached(struct api_schemas *s, struct cached *c)
{
    pthread_mutex_lock(&s->lock);
    list_push(&s->cache, &c->node);
    s->count++;
    s->bytes += bytes_of(c);
    while (s->count > CACHE_ENTRIES || s->bytes > CACHE_BYTES)
        evict(s);
    pthread_mutex_unlock(&s->lock);
}

/* ---- what it may take ------------------------------------------------------------------------ */

/* A batch is one request: its parts together may take what four hard ones take, and what is usual. */
#define HARD_PARTS  4
#define USUAL_STEPS (JSON_SCHEMA_STEPS / 50)

static uint64_t most_steps(const struct api_req *r)
{
    size_t parts = r->parent ? api_batch_parts(r->parent) : 1;
    return (uint64_t)HARD_PARTS * JSON_SCHEMA_STEPS + parts * (uint64_t)USUAL_STEPS;
}

/* Where steps are counted: the batch counts for all of its parts. */
static uint64_t *spent(struct api_req *r)
{
    return r->parent ? &r->parent->schema_steps : &r->schema_steps;
}

/* What is left for the next object or schema. */
static uint64_t steps_left(struct api_req *r)
{
    uint64_t most = most_steps(r);
    return MIN_OF((uint64_t)JSON_SCHEMA_STEPS, most - MIN_OF(*spent(r), most));
}

/* Compiling a text takes about as long as so many steps. */
static uint64_t cost_of_compiling(str text)
{
    return MIN_OF((uint64_t)JSON_SCHEMA_STEPS, 3 * (uint64_t)text.n);
}

/* The compiled schema of a text; give_back it. Errors as json_schema_new's; LIMIT too where the request
 * has compiled enough. */
static enum err take(struct api_req *r, str text, enum api_kind kind, struct cached **out)
{
    struct api_schemas *s = r->api->schemas;
    uint64_t hash = map_hash(text);
    pthread_mutex_lock(&s->lock);
    struct cached *c = find_cached(s, text, kind, hash);
    pthread_mutex_unlock(&s->lock);
    if (c == NULL) {
        if (*spent(r) >= most_steps(r))
            return ERR_LIMIT;
        *spent(r) += cost_of_compiling(text);
        enum err e = compile(text, kind, hash, &c);
        if (e != OK)
            return e;
        add_cached(s, c);
    }
    *out = c;
    return OK;
}

static void give_back(struct api_schemas *s, struct cached *c)
{
    pthread_mutex_lock(&s->lock);
    drop_user(c);
    pthread_mutex_unlock(&s->lock);
}

/* ---- is it a schema? ------------------------------------------------------------------------- */

/* The reference's message: where it is wrong, and what, without a space between. */
static str schema_message(struct api_req *r, const struct json_schema_error *e)
{
    switch (e->at) {
    case JSON_SCHEMA_AT_MEMBER:
        return ARENA_JOIN(r->arena, e->member, e->message);
    case JSON_SCHEMA_AT_ITEM:
        return ARENA_JOIN(r->arena, arena_printf(r->arena, "%zu", e->item), e->message);
    case JSON_SCHEMA_AT_ROOT:
        break;
    }
    return e->message;
}

void api_check_schema(struct api_req *r, const struct json *schema, str name)
{
    struct json_schema_error error;
    uint64_t left = steps_left(r), steps = left;
    enum err e = json_schema_validate(r->api->schemas->draft7, r->arena, schema, &steps, &error);
    *spent(r) += left - steps;
    switch (e) {
    case OK:
        return;
    case ERR_RANGE:
        api_invalid_add(r, "body", name, schema_message(r, &error));
        return;
    case ERR_NOMEM: /* the arena remembers */
        api_invalid_add(r, "body", name, STR("Too large"));
        return;
    default:
        api_invalid_add(r, "body", name, error.message);
    }
}

/* ---- does an object fit? --------------------------------------------------------------------- */

static struct json *last_character(struct api_req *r, str s)
{
    size_t at = s.n;
    while (at > 0 && ((unsigned char)s.p[at - 1] & 0xC0) == 0x80)
        at--;
    return json_new_string(r->arena, str_drop(s, at - 1));
}

/*
 * What the reference calls the field: the last step to it; at the root the last element of the
 * keyword's value, whatever that is, as far as it has one (where it fails over that: the keyword).
 */
static const struct json *field_name(struct api_req *r, const struct json_schema_error *e)
{
    const struct json *v = e->keyword_value;
    if (e->at == JSON_SCHEMA_AT_MEMBER)
        return json_new_string(r->arena, e->member);
    if (e->at == JSON_SCHEMA_AT_ITEM)
        return json_new_i64(r->arena, (int64_t)e->item);
    if (json_is(v, JSON_STRING) && json_string(v).n > 0)
        return last_character(r, json_string(v));
    if (json_is(v, JSON_ARRAY) && json_count(v) > 0)
        return json_at(v, json_count(v) - 1);
    return json_new_string(r->arena, str_none(e->keyword) ? STR("schema") : e->keyword);
}

static enum api_step fail_schema(struct api_req *r, str message)
{
    return api_fail_invalid(r, "body", STR("schema"), message);
}

/* Messages show the whole object, and in the reference what it knows of a kind comes first. */
static enum err copy_known_first(struct api_req *r, const struct json *data, struct json *copy)
{
    static const char *const known[] = {"members", "schema", "cache_expires"};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < ARRAY_LEN(known); i++) {
        struct json *v = json_get(data, str_from(known[i]));
        if (v && (i == 0) == (r->route->kind == KIND_GROUP))
            e = json_set(r->arena, copy, str_from(known[i]), json_copy(r->arena, v));
    }
    str name;
    struct json *v;
    for (size_t i = 0; e == OK && json_member(data, i, &name, &v); i++)
        if (json_get(copy, name) == NULL)
            e = json_set(r->arena, copy, name, json_copy(r->arena, v));
    return e;
}

/* The object as the schema sees it: without what the server sets, with the id where the schema asks
 * for it. NULL: no memory. */
static const struct json *visible(struct api_req *r, const struct json *data,
                                  const struct cached *c)
{
    size_t n;
    const str *ignored = ignored_fields(c->kind, c->keeps_id, &n);
    bool record = c->kind == KIND_RECORD;
    bool add_id = c->keeps_id && r->method != METHOD_POST && json_get(data, STR("id")) == NULL;
    bool same = record && !add_id;
    for (size_t i = 0; i < n; i++)
        same = same && json_get(data, ignored[i]) == NULL;
    if (same)
        return data;
    struct json *copy = record ? json_copy(r->arena, data) : json_new_object(r->arena);
    enum err e = copy ? OK : ERR_NOMEM;
    if (e == OK && !record)
        e = copy_known_first(r, data, copy);
    for (size_t i = 0; e == OK && i < n; i++)
        json_remove(copy, ignored[i]);
    if (e == OK && add_id)
        e = json_set(r->arena, copy, STR("id"), json_new_string(r->arena, r->id));
    return e == OK ? copy : NULL;
}

static enum api_step judge(struct api_req *r, const struct json *data, const struct cached *c,
                           uint64_t *steps)
{
    struct json_schema_error error;
    const struct json *seen = visible(r, data, c);
    if (seen == NULL)
        return api_fail_err(r, ERR_NOMEM);
    enum err e = json_schema_validate(c->schema, r->arena, seen, steps, &error);
    if (e == OK)
        return STEP_NEXT;
    if (e == ERR_NOMEM)
        return api_fail_err(r, e);
    if (e != ERR_RANGE)
        return fail_schema(r, error.message);
    return api_fail_invalid_value(r, "body", field_name(r, &error), error.message);
}

/* By the schema in `field` of what contains the object, if there is one. */
static enum api_step validate_by(struct api_req *r, const struct json *data,
                                 const struct api_level *level, str field, uint64_t *steps,
                                 bool *found)
{
    struct json_raw raw;
    struct cached *c;
    *found = level->state == LEVEL_PRESENT && json_scan_member(level->object.data, field, &raw);
    if (!*found)
        return STEP_NEXT;
    enum err e = take(r, raw.text, r->route->kind, &c);
    if (e == ERR_NOMEM)
        return api_fail_err(r, e);
    if (e != OK)
        return fail_schema(r, STR("The schema is too large"));
    enum api_step s = judge(r, data, c, steps);
    give_back(r->api->schemas, c);
    return s;
}

/* A record's collection comes before its bucket; the record tells which version it was judged by. */
static enum api_step validate_by_collection(struct api_req *r, struct json *data, uint64_t *steps)
{
    const struct api_level *collection = &r->levels[1];
    bool found;
    enum api_step s = validate_by(r, data, collection, STR("schema"), steps, &found);
    if (s != STEP_NEXT || !found)
        return s;
    enum err e = json_set(r->arena, data, STR("schema"),
                          json_new_i64(r->arena, collection->object.last_modified));
    return e == OK ? STEP_NEXT : api_fail_err(r, e);
}

enum api_step api_validate_by_schemas(struct api_req *r, struct json *data)
{
    static const struct {
        enum api_kind kind;
        const char *field; /* of the bucket */
    } rows[] = {{KIND_RECORD, "record:schema"},
                {KIND_COLLECTION, "collection:schema"},
                {KIND_GROUP, "group:schema"}};
    enum api_kind kind = r->route->kind;
    uint64_t left = steps_left(r), steps = left; /* for both schemas */
    if (!r->api->conf.schema_validation || kind == KIND_BUCKET)
        return STEP_NEXT;
    enum err e = api_level_load(r, 0);
    if (e == OK && kind == KIND_RECORD)
        e = api_level_load(r, 1);
    if (e != OK)
        return api_fail_err(r, e);
    enum api_step s = kind == KIND_RECORD ? validate_by_collection(r, data, &steps) : STEP_NEXT;
    for (size_t i = 0; s == STEP_NEXT && i < ARRAY_LEN(rows); i++) {
        bool ignored;
        if (rows[i].kind == kind)
            s = validate_by(r, data, &r->levels[0], str_from(rows[i].field), &steps, &ignored);
    }
    *spent(r) += left - steps;
    return s;
}
