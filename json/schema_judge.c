/*
 * json/schema_judge.c - judging: how a value goes through a schema, and how a refusal reads.
 *
 * A check (schema_assert.c, schema_apply.c, schema_evaluated.c) answers VALID, INVALID (told in
 * run->error, unless the run is quiet: below anyOf, not, if and their like nobody sees it, and no
 * message is made), or STOP, which nothing goes on after: the budget is spent, a reference leads
 * nowhere, or there is no memory.
 *
 * Cost: every keyword that is for the type of the value takes a step, so does every step down, and
 * every loop over something of the schema or the value takes as many as it has rounds.
 */
#include "json/schema_private.h"

/* ---- stopping -------------------------------------------------------------------------------- */

enum verdict schema_stop(struct run *run, enum err e)
{
    run->stop = e;
    return STOP;
}

enum verdict schema_stop_message(struct run *run, enum err e, const struct buf *message)
{
    if (buf_failed(message))
        return schema_stop(run, ERR_NOMEM);
    run->error->message = buf_str(message);
    return schema_stop(run, e);
}

enum verdict schema_stop_limit(struct run *run)
{
    run->error->message = STR("The schema takes too long to check");
    return schema_stop(run, ERR_LIMIT);
}

/* ---- refusing -------------------------------------------------------------------------------- */

static void tell_place(struct json_schema_error *e, const struct frame *f)
{
    while (f != NULL && f->path.kind == WHERE_NONE)
        f = f->up;
    e->at = JSON_SCHEMA_AT_ROOT;
    if (f == NULL)
        return;
    if (f->path.kind == WHERE_NAME) {
        e->at = JSON_SCHEMA_AT_MEMBER;
        e->member = f->path.name;
    } else {
        e->at = JSON_SCHEMA_AT_ITEM;
        e->item = f->path.index;
    }
}

void schema_begin_message(struct run *run, struct buf *b)
{
    buf_init_arena(b, run->arena, 256 * MIB);
}

/* Floats of more than 15 digits take a microsecond or two. */
static uint64_t cost_of_writing(const struct json *v)
{
    const struct json_member *m;
    char digits[JSON_EXACT_DIGITS + 1];
    int ignored;
    uint32_t at = 0;
    uint64_t sum = 1;

    if (v->type == JSON_NUMBER && !json_is_pyint(v))
        return json_number_digits(v->text, digits, JSON_EXACT_DIGITS, &ignored) ? 1 : 100;
    if (v->type == JSON_ARRAY)
        for (uint32_t i = 0; i < v->count; i++)
            sum += cost_of_writing(v->box->items[i]);
    while (v->type == JSON_OBJECT && (m = json_next_member(v, &at)) != NULL)
        sum += cost_of_writing(m->value);
    return sum;
}

void schema_write_value(struct run *run, struct buf *b, const struct json *v)
{
    if (run->stop == OK && schema_spend(run, cost_of_writing(v)))
        json_write_repr(b, v);
}

enum verdict schema_refuse(struct run *run, const struct frame *f, const struct schema_keyword *k,
                           const struct buf *message)
{
    struct json_schema_error *e = run->error;

    if (run->stop != OK)
        return STOP;
    if (buf_failed(message))
        return schema_stop(run, ERR_NOMEM);
    e->message = buf_str(message);
    e->keyword = k->row->name;
    e->keyword_value = k->value;
    tell_place(e, f);
    return INVALID;
}

enum verdict schema_refuse_pair(struct run *run, const struct frame *f,
                                const struct schema_keyword *k, const struct json *v,
                                const char *text, const struct json *other)
{
    struct buf b;

    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    schema_write_value(run, &b, v);
    buf_add_str(&b, str_from(text));
    if (other != NULL)
        schema_write_value(run, &b, other);
    return schema_refuse(run, f, k, &b);
}

enum verdict schema_refuse_value(struct run *run, const struct frame *f,
                                 const struct schema_keyword *k, const struct json *v,
                                 const char *text)
{
    return schema_refuse_pair(run, f, k, v, text, NULL);
}

enum verdict schema_refuse_missing(struct run *run, const struct frame *f,
                                   const struct schema_keyword *k, str name, const char *text,
                                   str other)
{
    struct buf b;

    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    json_write_repr_string(&b, name);
    buf_add_str(&b, str_from(text));
    if (!str_none(other))
        json_write_repr_string(&b, other);
    return schema_refuse(run, f, k, &b);
}

static int by_code_point(const void *a, const void *b)
{
    return str_cmp(*(const str *)a, *(const str *)b);
}

void schema_write_names(struct buf *b, str *names, size_t n, bool sorted)
{
    if (sorted)
        qsort(names, n, sizeof *names, by_code_point);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_add_lit(b, ", ");
        json_write_repr_string(b, names[i]);
    }
}

/* ---- going down ------------------------------------------------------------------------------ */

/* A number may have to be converted, which takes its time. */
static uint64_t cost_of_text(const struct json *v)
{
    if (v->type == JSON_STRING)
        return SCHEMA_TEXT_STEPS(v->text.n);
    return v->type == JSON_NUMBER ? v->text.n / 8 : 0;
}

enum verdict schema_run(struct run *run, const struct frame *f, const struct json *v)
{
    const struct schema_keyword *k = f->node->keywords, *end = k + f->node->count;
    uint64_t cost = 1 + cost_of_text(v);
    unsigned type = TYPE_BIT(v->type);
    enum verdict result = VALID;

    if (run->nesting == SCHEMA_MAX_NESTING) {
        run->error->message = STR("The schema refers to itself without end, or nests too deeply");
        return schema_stop(run, ERR_LIMIT);
    }
    run->nesting++;
    for (; result == VALID && k < end; k++)
        if (k->row->judges & type)
            result = schema_spend(run, cost + k->cost) ? k->row->check(run, f, k, v) : STOP;
    run->nesting--;
    return result;
}

static bool names_its_step(const struct schema_keyword *k)
{
    return k->id != KEYWORD_IF && k->id != KEYWORD_REF;
}

/*
 * The schema `false`. The reference does not count the step that led to it, neither in the value nor
 * in the schema, and calls it by what is left of the way through the schema.
 */
static enum verdict refuse_false(struct run *run, const struct frame *up,
                                 const struct schema_keyword *via, const struct json *v)
{
    struct json_schema_error *e = run->error;
    struct buf b;

    if (run->quiet)
        return INVALID;
    schema_begin_message(run, &b);
    buf_add_lit(&b, "False schema does not allow ");
    schema_write_value(run, &b, v);
    if (run->stop != OK)
        return STOP;
    if (buf_failed(&b))
        return schema_stop(run, ERR_NOMEM);
    e->message = buf_str(&b);
    e->keyword_value = NULL;
    e->keyword = STR_NONE;
    tell_place(e, up);
    for (; via != NULL; via = up->via, up = up->up) {
        if (names_its_step(via)) {
            e->keyword = via->row->name;
            return INVALID;
        }
        if (up->at.kind == WHERE_NAME)
            e->keyword = up->at.name;
        if (up->at.kind == WHERE_INDEX)
            e->keyword = arena_printf(run->arena, "%zu", up->at.index);
        if (!str_none(e->keyword))
            return INVALID;
    }
    return INVALID;
}

static enum verdict stop_bad(struct run *run)
{
    run->error->message = STR("A reference leads to what is no schema");
    return schema_stop(run, ERR_NOTFOUND);
}

enum verdict schema_descend(struct run *run, const struct frame *f,
                            const struct schema_keyword *via, const struct schema_node *node,
                            const struct json *v, struct where path, struct where at)
{
    struct frame inner = {f, via, node, path, at};

    SPEND(run, 1);
    switch (node->kind) {
    case NODE_TRUE:
        return VALID;
    case NODE_FALSE:
        return refuse_false(run, f, via, v);
    case NODE_BAD:
        return stop_bad(run);
    case NODE_KEYWORDS:
        break;
    }
    return schema_run(run, &inner, v);
}

enum verdict schema_is_valid(struct run *run, const struct frame *f, const struct schema_keyword *k,
                             const struct schema_node *node, const struct json *v)
{
    bool quiet = run->quiet;
    enum verdict result;

    run->quiet = true;
    result = schema_descend(run, f, k, node, v, NOWHERE, NOWHERE);
    run->quiet = quiet;
    return result;
}

const struct schema_keyword *schema_find_keyword(const struct schema_node *node,
                                                 enum schema_keyword_id id)
{
    for (size_t i = 0; i < node->count; i++)
        if (node->keywords[i].id == id)
            return &node->keywords[i];
    return NULL;
}

/* ---- references ------------------------------------------------------------------------------ */

/* The outermost resource on the way here that has a dynamic anchor of that name decides. */
static const struct schema_node *follow_dynamic(struct run *run, const struct schema_ref *ref)
{
    const struct schema_node *node = ref->node;

    for (const struct scope *s = run->scope; s != NULL; s = s->behind) {
        const struct schema_anchor *anchor = map_get(&s->resource->anchors, ref->fragment);
        if (anchor == NULL || !anchor->dynamic)
            continue;
        const struct schema_node *found = schema_find_node(run->schema, anchor->value, ref->draft);
        node = found ? found : node;
    }
    return node;
}

static bool is_recursive(const struct json *root)
{
    const struct json *anchor = json_get_typed(root, STR("$recursiveAnchor"), JSON_BOOL);

    return anchor != NULL && json_bool(anchor);
}

/* $recursiveRef: the root of the outermost resource, as long as all on the way say so. */
static const struct schema_node *follow_recursive(struct run *run, const struct schema_ref *ref)
{
    const struct schema_node *node = ref->node;

    if (!is_recursive(ref->resource->root))
        return node;
    for (const struct scope *s = run->scope; s != NULL && is_recursive(s->resource->root);
         s = s->behind) {
        const struct schema_node *found =
            schema_find_node(run->schema, s->resource->root, ref->draft);
        node = found ? found : node;
    }
    return node;
}

static void stop_dangling(struct run *run, const struct schema_ref *ref, bool with_kind)
{
    struct buf b;

    schema_begin_message(run, &b);
    schema_write_ref_error(&b, ref, with_kind);
    schema_stop_message(run, ERR_NOTFOUND, &b);
}

/* A resource is on the way once it has a URI and is left (or, as the first, gone on with). */
static bool joins_scope(const struct run *run, const struct schema_node *from,
                        const struct schema_node *to)
{
    return from->resource->uri.n > 0 && (run->scope == NULL || to->resource != from->resource);
}

bool schema_enter(struct run *run, const struct schema_node *from, const struct schema_ref *ref,
                  bool with_kind, struct schema_crossing *c)
{
    unsigned depth = run->scope ? run->scope->depth : 0;

    if (ref->result != REF_FOUND) {
        stop_dangling(run, ref, with_kind);
        return false;
    }
    if ((ref->recursive || ref->dynamic) && !schema_spend(run, UINT64_C(4) * depth))
        return false;
    c->outer = run->scope;
    c->own = (struct scope){from->resource, run->scope, depth + 1};
    if (joins_scope(run, from, ref->node))
        run->scope = &c->own;
    c->node = ref->recursive ? follow_recursive(run, ref)
              : ref->dynamic ? follow_dynamic(run, ref)
                             : ref->node;
    return true;
}

void schema_leave(struct run *run, const struct schema_crossing *c)
{
    run->scope = c->outer;
}

enum verdict schema_check_ref(struct run *run, const struct frame *f,
                              const struct schema_keyword *k, const struct json *v)
{
    struct schema_crossing crossing;
    enum verdict result;

    if (!schema_enter(run, f->node, k->ref, true, &crossing))
        return STOP;
    result = schema_descend(run, f, k, crossing.node, v, NOWHERE, NOWHERE);
    schema_leave(run, &crossing);
    return result;
}
