/*
 * json/patch.c - JSON Patch (RFC 6902).
 *
 * Each operation finds its target by walking to the container of the last token (`find`), and then
 * does one thing to that container. What fails is said in the words of the libraries that the
 * reference uses, since its clients get to see them; the order of the checks follows from that,
 * too.
 *
 * An operation that fails leaves the operations before it applied.
 */
#include "json/private.h"

/* Where an operation works. */
struct target {
    enum { WHOLE, MEMBER, INDEX, END } kind;
    struct json *in; /* an object for MEMBER, an array for INDEX and END; the document for WHOLE */
    str token;       /* the last one, decoded */
    size_t index;
};

struct patch {
    struct arena *a;
    struct json *doc;
    const struct json *op;
    size_t copies; /* values that "copy" may still make */
    str what;      /* of the error */
};

/* ---- errors ---------------------------------------------------------------------------------- */

static enum err fail(struct patch *p, enum err e, const char *what)
{
    p->what = str_from(what);
    return e;
}

/* before + token + after */
static enum err fail_token(struct patch *p, enum err e, const char *before, str token,
                           const char *after)
{
    str parts[] = {str_from(before), token, str_from(after)};

    p->what = arena_concat(p->a, parts, ARRAY_LEN(parts));
    return str_none(p->what) ? ERR_NOMEM : e;
}

static enum err fail_buf(struct patch *p, enum err e, const struct buf *b)
{
    p->what = buf_str(b);
    return buf_failed(b) ? ERR_NOMEM : e;
}

static enum err fail_missing(struct patch *p, const struct json *object, str name)
{
    struct buf b;

    buf_init_arena(&b, p->a, SIZE_MAX);
    buf_add_lit(&b, "member '");
    buf_add_str(&b, name);
    buf_add_lit(&b, "' not found in ");
    json_write_repr(&b, object);
    return fail_buf(p, ERR_NOTFOUND, &b);
}

static enum err fail_not_indexable(struct patch *p, const char *type)
{
    return fail_token(p, ERR_NOTFOUND, "Document '", str_from(type),
                      "' does not support indexing, must be mapping/sequence or support "
                      "__getitem__");
}

/* The end of an array, in the words of a "test". */
static void write_end(struct buf *b, const struct json *array)
{
    buf_add_lit(b, "EndOfList(");
    json_write_repr(b, array);
    buf_add_lit(b, ") (<class 'jsonpointer.EndOfList'>)");
}

/* `in` is the array for its end, else NULL. */
static enum err fail_test(struct patch *p, const struct json *in, const struct json *found,
                          const struct json *value)
{
    struct buf b;

    buf_init_arena(&b, p->a, SIZE_MAX);
    if (in != NULL) {
        write_end(&b, in);
    } else {
        json_write_pystr(&b, found);
        buf_printf(&b, " (%s)", json_pytype(found));
    }
    buf_add_lit(&b, " is not equal to tested value ");
    json_write_pystr(&b, value);
    buf_printf(&b, " (%s)", json_pytype(value));
    return fail_buf(p, ERR_CONFLICT, &b);
}

static enum err too_deep(struct patch *p, enum err e)
{
    return e == ERR_LIMIT ? fail(p, e, "Nested too deeply.") : e;
}

/* ---- finding --------------------------------------------------------------------------------- */

static enum err check_pointer(struct patch *p, str pointer)
{
    str bad = json_pointer_bad_escape(pointer);

    if (!str_none(bad))
        return fail_token(p, ERR_SYNTAX, "Found invalid escape ", bad, "");
    if (pointer.n > 0 && pointer.p[0] != '/')
        return fail(p, ERR_SYNTAX, "Location must start with /");
    return OK;
}

/* What `token` means in the value `in`. */
static enum err aim(struct patch *p, struct json *in, str token, struct target *out)
{
    struct target t = {.in = in, .token = token};

    if (in->type == JSON_STRING)
        return fail_token(p, ERR_NOTFOUND, "Cannot apply token '", token,
                          "' to non-container type <class 'str'>");
    if (!json_is_container(in))
        return fail_not_indexable(p, json_pytype(in));
    if (in->type == JSON_OBJECT)
        t.kind = MEMBER;
    else if (str_eq(token, STR("-")))
        t.kind = END;
    else if (json_pointer_index(token, &t.index))
        t.kind = INDEX;
    else
        return fail_token(p, ERR_SYNTAX, "'", token, "' is not a valid sequence index");
    *out = t;
    return OK;
}

/* NULL: nothing is there. */
static struct json *look(const struct target *t)
{
    switch (t->kind) {
    case WHOLE:
        return t->in;
    case MEMBER:
        return json_get(t->in, t->token);
    case INDEX:
        return json_at(t->in, t->index);
    case END:
        break;
    }
    return NULL;
}

/* The value at `t`, which has to be there. */
static enum err walk(struct patch *p, const struct target *t, struct json **out)
{
    struct json *v = look(t);

    if (v != NULL) {
        *out = v;
        return OK;
    }
    if (t->kind == MEMBER)
        return fail_missing(p, t->in, t->token);
    return fail_token(p, ERR_NOTFOUND, "index '", t->token, "' is out of bounds");
}

/* Walks to the last token of a checked pointer. */
static enum err find(struct patch *p, str pointer, struct target *out)
{
    struct target t = {.kind = WHOLE, .in = p->doc, .token = STR("")};
    str rest = pointer, token;

    while (rest.n > 0) {
        struct json *in;
        enum err e = OK;
        if (t.kind == END)
            return fail_not_indexable(p, "<class 'jsonpointer.EndOfList'>");
        e = walk(p, &t, &in);
        if (e == OK)
            e = json_pointer_token(p->a, &rest, &token);
        if (e == OK)
            e = aim(p, in, token, &t);
        if (e != OK)
            return e;
    }
    *out = t;
    return OK;
}

/* As find, for a location that has to exist as something to take from. */
static enum err find_existing(struct patch *p, str pointer, struct target *t)
{
    enum err e = find(p, pointer, t);

    if (e == OK && t->kind == END)
        return fail(p, ERR_NOTFOUND, "invalid array index '-'");
    return e;
}

/* The value at a move's or copy's `from`. */
static enum err source(struct patch *p, const struct target *t, struct json **out)
{
    struct json *v = look(t);
    struct buf b;

    if (v != NULL) {
        *out = v;
        return OK;
    }
    if (t->kind == INDEX)
        return fail(p, ERR_NOTFOUND,
                    t->index > INT64_MAX ? "cannot fit 'int' into an index-sized integer"
                                         : "list index out of range");
    buf_init_arena(&b, p->a, SIZE_MAX);
    json_write_repr_string(&b, t->token);
    return fail_buf(p, ERR_NOTFOUND, &b);
}

/* ---- the operations -------------------------------------------------------------------------- */

static str path_of(const struct patch *p)
{
    return json_string(json_get(p->op, STR("path")));
}

static enum err get_value(struct patch *p, struct json **out)
{
    struct json *v = json_get(p->op, STR("value"));

    if (v == NULL)
        return fail(p, ERR_SYNTAX, "The operation does not contain a 'value' member");
    *out = v;
    return OK;
}

static enum err get_from(struct patch *p, str *out)
{
    struct json *v = json_get(p->op, STR("from"));

    if (v == NULL)
        return fail(p, ERR_SYNTAX, "The operation does not contain a 'from' member");
    if (v->type != JSON_STRING)
        return fail(p, ERR_SYNTAX, "Invalid 'from'");
    *out = v->text;
    return check_pointer(p, v->text);
}

/* Takes `value`. */
static enum err put(struct patch *p, str path, struct json *value)
{
    struct target t;
    enum err e = find(p, path, &t);

    if (e != OK)
        return e;
    switch (t.kind) {
    case WHOLE:
        p->doc = value;
        return OK;
    case MEMBER:
        return too_deep(p, json_set(p->a, t.in, t.token, value));
    case INDEX:
        e = json_insert(p->a, t.in, t.index, value);
        return e == ERR_RANGE ? fail(p, ERR_NOTFOUND, "can't insert outside of list")
                              : too_deep(p, e);
    case END:
        break;
    }
    return too_deep(p, json_push(p->a, t.in, value));
}

static enum err copy_value(struct patch *p, const struct json *v, struct json **out)
{
    struct json *copy = json_copy(p->a, v);

    if (copy == NULL)
        return ERR_NOMEM;
    *out = copy;
    return OK;
}

static enum err op_add(struct patch *p)
{
    struct json *value;
    enum err e = get_value(p, &value);

    if (e == OK)
        e = copy_value(p, value, &value);
    return e == OK ? put(p, path_of(p), value) : e;
}

static enum err take(struct patch *p, const struct target *t)
{
    switch (t->kind) {
    case WHOLE:
        return fail(p, ERR_CONFLICT, "can't remove the whole document");
    case MEMBER:
        if (json_remove(t->in, t->token))
            return OK;
        break;
    case INDEX:
        if (json_remove_at(t->in, t->index) != NULL)
            return OK;
        break;
    case END:
        return fail(p, ERR_NOTFOUND, "invalid array index '-'");
    }
    return fail_token(p, ERR_NOTFOUND, "can't remove a non-existent object '", t->token, "'");
}

static enum err op_remove(struct patch *p)
{
    struct target t = {.kind = WHOLE};
    enum err e = find(p, path_of(p), &t);

    return e == OK ? take(p, &t) : e;
}

static enum err replace_at(struct patch *p, const struct target *t, struct json *value)
{
    switch (t->kind) {
    case WHOLE:
        p->doc = value;
        return OK;
    case MEMBER:
        if (look(t) == NULL)
            return fail_token(p, ERR_NOTFOUND, "can't replace a non-existent object '", t->token,
                              "'");
        return too_deep(p, json_set(p->a, t->in, t->token, value));
    case INDEX:
        if (look(t) == NULL)
            return fail(p, ERR_NOTFOUND, "can't replace outside of list");
        return too_deep(p, json_replace_at(t->in, t->index, value));
    case END:
        break;
    }
    return fail(p, ERR_SYNTAX, "'path' with '-' can't be applied to 'replace' operation");
}

static enum err op_replace(struct patch *p)
{
    struct target t = {.kind = WHOLE};
    struct json *value;
    enum err e = get_value(p, &value);

    if (e == OK)
        e = find(p, path_of(p), &t);
    if (e == OK)
        e = copy_value(p, value, &value);
    return e == OK ? replace_at(p, &t, value) : e;
}

/* Is the location `path` below the location `from`? */
static bool is_below(str path, str from)
{
    return path.n > from.n && str_starts(path, from) && path.p[from.n] == '/';
}

static enum err op_move(struct patch *p)
{
    struct target t;
    struct json *value;
    str from, path = path_of(p);
    enum err e = get_from(p, &from);

    if (e != OK)
        return e;
    if (is_below(path, from))
        return fail(p, ERR_CONFLICT, "Cannot move values into their own children");
    e = find_existing(p, from, &t);
    if (e == OK)
        e = source(p, &t, &value);
    if (e != OK || str_eq(path, from))
        return e;
    e = take(p, &t);
    return e == OK ? put(p, path, value) : e;
}

/* False: `v` has more values than may still be copied. */
static bool afford(struct patch *p, const struct json *v)
{
    const struct json_member *m;
    uint32_t at = 0;

    if (p->copies == 0)
        return false;
    p->copies--;
    if (v->type == JSON_OBJECT)
        while ((m = json_next_member(v, &at)) != NULL)
            if (!afford(p, m->value))
                return false;
    if (v->type == JSON_ARRAY)
        for (size_t i = 0; i < json_count(v); i++)
            if (!afford(p, json_at(v, i)))
                return false;
    return true;
}

static enum err op_copy(struct patch *p)
{
    struct target t;
    struct json *value;
    str from;
    enum err e = get_from(p, &from);

    if (e == OK)
        e = find_existing(p, from, &t);
    if (e == OK)
        e = source(p, &t, &value);
    if (e == OK && !afford(p, value))
        e = fail(p, ERR_LIMIT, "The operations copy too many values.");
    if (e == OK)
        e = copy_value(p, value, &value);
    return e == OK ? put(p, path_of(p), value) : e;
}

static enum err op_test(struct patch *p)
{
    struct target t;
    struct json *found = NULL, *value;
    enum err e = find(p, path_of(p), &t);

    if (e == OK && t.kind != END)
        e = walk(p, &t, &found);
    if (e != OK)
        return e == ERR_NOTFOUND || e == ERR_SYNTAX ? ERR_CONFLICT : e;
    e = get_value(p, &value);
    if (e != OK)
        return e;
    if (t.kind != END && json_equal(found, value))
        return OK;
    return fail_test(p, t.kind == END ? t.in : NULL, found, value);
}

static const struct operation {
    str name;
    enum err (*apply)(struct patch *p);
} operations[] = {
    {STR_INIT("add"), op_add},   {STR_INIT("remove"), op_remove}, {STR_INIT("replace"), op_replace},
    {STR_INIT("move"), op_move}, {STR_INIT("copy"), op_copy},     {STR_INIT("test"), op_test},
};

static const struct operation *find_operation(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (str_eq(operations[i].name, name))
            return &operations[i];
    return NULL;
}

/* What can be wrong with an operation in itself. */
static enum err check_operation(struct patch *p)
{
    const struct json *op = json_get(p->op, STR("op")), *path = json_get(p->op, STR("path"));
    struct buf b;

    if (!json_is(p->op, JSON_OBJECT))
        return fail(p, ERR_SYNTAX, "Operation must be an object");
    if (op == NULL)
        return fail(p, ERR_SYNTAX, "Operation does not contain 'op' member");
    if (op->type != JSON_STRING)
        return fail(p, ERR_SYNTAX, "Operation's op must be a string");
    if (find_operation(op->text) == NULL) {
        buf_init_arena(&b, p->a, SIZE_MAX);
        buf_add_lit(&b, "Unknown operation ");
        json_write_repr_string(&b, op->text);
        return fail_buf(p, ERR_SYNTAX, &b);
    }
    if (path == NULL)
        return fail(p, ERR_SYNTAX, "Operation must have a 'path' member");
    if (path->type != JSON_STRING)
        return fail(p, ERR_SYNTAX, "Invalid 'path'");
    return check_pointer(p, path->text);
}

static enum err apply_operation(struct patch *p)
{
    return find_operation(json_string(json_get(p->op, STR("op"))))->apply(p);
}

enum err json_patch_apply(struct arena *a, struct json **doc, const struct json *ops,
                          struct json_patch_error *error)
{
    struct patch p = {.a = a, .doc = *doc, .copies = JSON_PATCH_MAX_COPIES};
    size_t n = json_count(ops), i = 0;
    enum err e = OK;

    CHECK(json_is(ops, JSON_ARRAY));
    for (i = 0; i < n && e == OK; i++) {
        p.op = json_at(ops, i);
        e = check_operation(&p);
    }
    if (e == OK)
        for (i = 0; i < n && e == OK; i++) {
            p.op = json_at(ops, i);
            e = apply_operation(&p);
        }
    if (e == OK)
        *doc = p.doc;
    else if (e != ERR_NOMEM)
        *error = (struct json_patch_error){.op = i - 1, .what = p.what};
    return e;
}
