/*
 * json/schema_ref.c - URIs, and what a `$ref` means.
 *
 * A reference is resolved against the URI of the resource that it stands in. What is left of the
 * `#` names a resource of the document (or a metaschema), what is right of it an anchor in that, or
 * a JSON pointer from its root. Nothing outside is ever fetched.
 */
#include "json/schema_private.h"

/* ---- URIs ------------------------------------------------------------------------------------ */

struct uri {
    str scheme, authority, path, query; /* none: absent (scheme and authority: empty) */
};

/* Cuts at the first of `marks`; what is behind it stays in *rest (none: there is no mark). */
static str cut_before(str *rest, const char *marks)
{
    str s = *rest;

    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\0' && strchr(marks, s.p[i]) != NULL) {
            *rest = str_drop(s, i);
            return str_sub(s, 0, i);
        }
    *rest = STR_NONE;
    return s;
}

static bool is_scheme(str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool more = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!letter && (i == 0 || !more))
            return false;
    }
    return s.n > 0;
}

/* RFC 3986, section 3, without a fragment. */
static struct uri split_uri(str s)
{
    struct uri u = {STR(""), STR(""), STR(""), STR_NONE};
    str rest = s, first = cut_before(&rest, ":/?#");

    if (!str_none(rest) && rest.p[0] == ':' && is_scheme(first)) {
        u.scheme = first;
        s = str_drop(rest, 1);
    }
    if (str_starts(s, STR("//"))) {
        rest = str_drop(s, 2);
        u.authority = cut_before(&rest, "/?");
        s = str_none(rest) ? STR("") : rest;
    }
    rest = s;
    u.path = cut_before(&rest, "?");
    if (!str_none(rest))
        u.query = str_drop(rest, 1);
    return u;
}

static bool is_hierarchical(str scheme)
{
    static const char *const known[] = {"", "http", "https", "ftp", "file", "ws", "wss", "sftp"};

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq_nocase(scheme, str_from(known[i])))
            return true;
    return false;
}

/* Section 5.2.4, in place: "a/./b" and "a/x/../b" are "a/b". The new length. */
static size_t remove_dots(char *p, size_t n)
{
    size_t out = 0, root = n > 0 && p[0] == '/';

    for (size_t i = root; i < n;) {
        size_t end = i;
        while (end < n && p[end] != '/')
            end++;
        str segment = {p + i, end - i};
        size_t next = end < n ? end + 1 : end;
        if (str_eq(segment, STR(".."))) {
            out -= out > 0; /* the slash, then the segment before it */
            while (out > 0 && p[root + out - 1] != '/')
                out--;
        } else if (!str_eq(segment, STR("."))) {
            memmove(p + root + out, p + i, next - i);
            out += next - i;
        }
        i = next;
    }
    return root + out;
}

/* The base's path up to its last slash, then `path`. */
static str merge_paths(struct arena *a, const struct uri *base, str path)
{
    size_t keep = base->path.n;
    str joined;

    while (keep > 0 && base->path.p[keep - 1] != '/')
        keep--;
    if (str_starts(path, STR("/")))
        keep = 0;
    joined = ARENA_JOIN(a,
                        keep == 0 && base->authority.n > 0 && !str_starts(path, STR("/"))
                            ? STR("/")
                            : str_sub(base->path, 0, keep),
                        path);
    if (!str_none(joined))
        joined.n = remove_dots((char *)(uintptr_t)joined.p, joined.n);
    return joined;
}

static str write_uri(struct arena *a, const struct uri *u)
{
    return ARENA_JOIN(a, u->scheme, u->scheme.n ? STR(":") : STR(""),
                      u->authority.n ? STR("//") : STR(""), u->authority, u->path,
                      str_none(u->query) ? STR("") : STR("?"),
                      str_none(u->query) ? STR("") : u->query);
}

str schema_join_uri(struct arena *a, str base, str uri)
{
    struct uri b = split_uri(base), u = split_uri(uri);

    if (base.n == 0)
        return uri;
    if (uri.n == 0)
        return base;
    if ((u.scheme.n > 0 && !str_eq_nocase(u.scheme, b.scheme)) || !is_hierarchical(b.scheme))
        return uri;
    u.scheme = b.scheme;
    if (u.authority.n > 0)
        return write_uri(a, &u);
    u.authority = b.authority;
    if (u.path.n > 0) {
        u.path = merge_paths(a, &b, u.path);
    } else {
        u.path = b.path;
        u.query = str_none(u.query) ? b.query : u.query;
    }
    return str_none(u.path) ? STR_NONE : write_uri(a, &u);
}

enum err schema_join(struct json_schema *s, str base, str uri, str *out)
{
    uint64_t cost = 1 + (base.n + uri.n) / 8;

    if (s->steps < cost)
        return ERR_LIMIT;
    s->steps -= cost;
    *out = schema_join_uri(&s->arena, base, uri);
    return str_none(*out) ? ERR_NOMEM : OK;
}

enum err schema_own_resource(struct json_schema *s, const struct json *value,
                             enum schema_draft draft, const struct schema_resource **resource)
{
    str id = schema_id(value, draft), uri;
    const struct schema_resource *own;
    enum err e;

    if (str_none(id) || value == (*resource)->root)
        return OK;
    e = schema_join(s, (*resource)->uri, id, &uri);
    own = e == OK ? map_get(&s->resources, uri) : NULL;
    if (own != NULL)
        *resource = own;
    return e;
}

/* ---- pointers -------------------------------------------------------------------------------- */

/* %41 -> A; what is no escape stays. In the arena when there is one. */
static str percent_decode(struct arena *a, str s)
{
    size_t n = 0;
    char *out;

    if (str_find(s, '%') == STR_NPOS)
        return s;
    out = arena_alloc(a, s.n);
    if (out == NULL)
        return STR_NONE;
    for (size_t i = 0; i < s.n; i++) {
        int high = i + 2 < s.n && s.p[i] == '%' ? str_hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? str_hex_digit(s.p[i + 2]) : -1;
        if (low >= 0) {
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = s.p[i];
        }
    }
    return (str){out, n};
}

static const struct json *step_into(const struct json *v, str token)
{
    uint64_t index;

    if (!json_is(v, JSON_ARRAY))
        return json_get(v, token);
    return str_to_u64(token, &index) == OK && index < SIZE_MAX ? json_at(v, (size_t)index) : NULL;
}

/* Follows a pointer ("/a/0") from the root of *resource; passing an `$id` moves *resource. */
static enum err follow_pointer(struct json_schema *s, struct schema_ref *ref, str pointer,
                               const struct schema_resource **resource, const struct json **value)
{
    const struct json *v = (*resource)->root;
    const struct schema_resource *inner = *resource;
    enum schema_draft draft = schema_own_draft(v, ref->draft);

    while (pointer.n > 0) {
        str token;
        enum err e = json_pointer_token(&s->arena, &pointer, &token);
        if (e != OK)
            return e;
        v = step_into(v, token);
        if (v == NULL) {
            ref->result = REF_NO_POINTER;
            return OK;
        }
        draft = schema_own_draft(v, draft);
        e = schema_own_resource(s, v, draft, &inner);
        if (e != OK)
            return e;
    }
    *resource = inner;
    *value = v;
    return OK;
}

/* ---- references ------------------------------------------------------------------------------ */

/* The resource of a URI; a metaschema is parsed when it is asked for. NULL: there is none. */
static enum err find_resource(struct json_schema *s, str uri, const struct schema_resource **out)
{
    struct json *root;
    struct schema_resource *made;
    str text;
    enum err e;

    *out = map_get(&s->resources, uri);
    text = *out == NULL ? schema_metaschema(uri) : STR_NONE;
    if (str_none(text))
        return OK;
    e = json_parse(&s->arena, text, &root, NULL);
    if (e == OK)
        e = schema_add_resource(s, uri, root, &made);
    if (e == OK)
        *out = made;
    return e;
}

static enum err find_anchor(struct schema_ref *ref, const struct schema_resource *resource,
                            const struct json **value)
{
    const struct schema_anchor *anchor = map_get(&resource->anchors, ref->fragment);

    if (anchor == NULL) {
        bool slash = str_find(ref->fragment, '/') != STR_NPOS;
        ref->result = slash ? REF_BAD_ANCHOR : REF_NO_ANCHOR;
        return OK;
    }
    ref->dynamic = anchor->dynamic;
    *value = anchor->value;
    return OK;
}

/* What stands left of the `#`: the resource that is meant, in *resource; NULL: there is none. */
static enum err find_target(struct json_schema *s, str target,
                            const struct schema_resource **resource)
{
    str uri;
    enum err e = schema_join(s, (*resource)->uri, target, &uri);

    return e == OK ? find_resource(s, uri, resource) : e;
}

/* What stands right of it. */
static enum err find_fragment(struct json_schema *s, struct schema_ref *ref,
                              const struct json **value)
{
    str pointer;

    if (!str_starts(ref->fragment, STR("/"))) {
        *value = ref->resource->root;
        return ref->fragment.n > 0 ? find_anchor(ref, ref->resource, value) : OK;
    }
    pointer = percent_decode(&s->arena, ref->fragment);
    return str_none(pointer) ? ERR_NOMEM : follow_pointer(s, ref, pointer, &ref->resource, value);
}

enum err schema_resolve(struct json_schema *s, struct schema_ref *ref,
                        const struct schema_resource *resource, const struct json **value)
{
    str fragment = ref->text, target = str_cut(&fragment, '#');
    enum err e = OK;

    ref->fragment = str_none(fragment) ? STR("") : fragment;
    if (!str_starts(ref->text, STR("#")))
        e = find_target(s, target, &resource);
    ref->resource = resource;
    ref->result = resource ? REF_FOUND : REF_NO_RESOURCE;
    return e == OK && resource != NULL ? find_fragment(s, ref, value) : e;
}

static void write_not_within(struct buf *b, const struct schema_ref *ref)
{
    json_write_repr_string(b, ref->fragment);
    buf_add_lit(b, " does not exist within ");
    json_write_repr(b, ref->resource->root);
    if (ref->result == REF_NO_POINTER && str_eq(ref->fragment, STR("/")))
        buf_add_lit(b, ". The pointer '/' is a valid JSON Pointer but it points to an empty "
                       "string property ''. If you intended to point to the entire resource, "
                       "you should use '#'.");
}

static void write_bad_anchor(struct buf *b, const struct schema_ref *ref)
{
    buf_add_lit(b, "'#");
    buf_add_str(b, ref->fragment);
    buf_add_lit(b, "' is not a valid anchor, neither as a plain name anchor nor as a JSON "
                   "Pointer. You may have intended to use '#/");
    buf_add_str(b, ref->fragment);
    buf_add_lit(b, "', as the slash is required *before each segment* of a JSON pointer.");
}

void schema_write_ref_error(struct buf *b, const struct schema_ref *ref, bool with_kind)
{
    static const char *const kinds[] = {
        [REF_FOUND] = "",
        [REF_NO_RESOURCE] = "Unresolvable: ",
        [REF_NO_POINTER] = "PointerToNowhere: ",
        [REF_NO_ANCHOR] = "NoSuchAnchor: ",
        [REF_BAD_ANCHOR] = "InvalidAnchor: ",
    };

    if (with_kind)
        buf_add_str(b, str_from(kinds[ref->result]));
    if (ref->result == REF_BAD_ANCHOR)
        write_bad_anchor(b, ref);
    else if (ref->result == REF_NO_RESOURCE)
        buf_add_str(b, ref->text);
    else
        write_not_within(b, ref);
}
