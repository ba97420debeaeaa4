/*
 * api/page.c - what a list request asks of the store: filters, order, limit, and the page it goes
 * on with.
 *
 * A page token is base64 of {"last_object": {sort field: value, ...}, "offset": n, "nonce": "..."},
 * as the reference's. It says where the page before ended in the order; the next one begins behind.
 * On DELETE a token works once, within its time: the nonce is kept in the cache.
 */
#include "api/private.h"
#include "base/decimal.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define NONCE  "pagination-token-" /* how the keys of nonces begin */

/* A point in time that a client may name: from 0 to a day ahead of the clocks, the list's own included:
 * an ETag that was answered can always be asked from. */
static bool valid_timestamp(const struct api_req *r, const struct json *v)
{
    int64_t end = MAX_OF(clock_wall_ms(), r->list_clock) + DAY_MS;
    int64_t n;
    if (json_is(v, JSON_STRING)) {
        str s = json_string(v);
        if (s.n > 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
            s = str_sub(s, 1, s.n - 2);
        uint64_t u;
        return str_to_u64(s, &u) == OK && u < (uint64_t)end;
    }
    if (!json_is(v, JSON_NUMBER) || !api_to_integer(v, &n))
        return false;
    return n >= 0 && n < end;
}

static bool has_nul(const struct json *v)
{
    if (json_is(v, JSON_STRING))
        return str_find(json_string(v), '\0') != STR_NPOS;
    if (json_is(v, JSON_ARRAY)) {
        for (size_t i = 0; i < json_count(v); i++)
            if (has_nul(json_at(v, i)))
                return true;
        return false;
    }
    str name;
    struct json *value;
    for (size_t i = 0; json_is(v, JSON_OBJECT) && json_member(v, i, &name, &value); i++)
        if (str_find(name, '\0') != STR_NPOS || has_nul(value))
            return true;
    return false;
}

/* ---- filters --------------------------------------------------------------------------------- */

static const struct {
    str prefix;
    enum store_op op;
} operators[] = {
    {STR_INIT("lt_"), STORE_LT},
    {STR_INIT("min_"), STORE_MIN},
    {STR_INIT("max_"), STORE_MAX},
    {STR_INIT("not_"), STORE_NOT},
    {STR_INIT("eq_"), STORE_EQ},
    {STR_INIT("gt_"), STORE_GT},
    {STR_INIT("in_"), STORE_IN},
    {STR_INIT("exclude_"), STORE_EXCLUDE},
    {STR_INIT("like_"), STORE_LIKE},
    {STR_INIT("has_"), STORE_HAS},
    /* The longer one first: contains_any_x is not contains_ of any_x. */
    {STR_INIT("contains_any_"), STORE_CONTAINS_ANY},
    {STR_INIT("contains_"), STORE_CONTAINS},
};

/* Letters, digits, '_' and '.', at least one; what is not ASCII counts as a letter. */
static bool is_field(str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool word = (unsigned char)c >= 0x80 || c == '_' || c == '.' || str_is_alnum(c);
        if (!word)
            return false;
    }
    return s.n > 0;
}

static void split_operator(str param, struct store_filter *f)
{
    f->op = STORE_EQ;
    f->field = param;
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        str field = str_drop(param, operators[i].prefix.n);
        if (!str_starts(param, operators[i].prefix) || !is_field(field))
            continue;
        f->op = operators[i].op;
        f->field = field;
        return;
    }
}

static enum api_step wrong(struct api_req *r, str param, const char *what)
{
    return api_fail_invalid(r, "querystring", param, str_from(what));
}

static enum api_step wrong_value(struct api_req *r, str param)
{
    return api_fail_invalid(r, "querystring", param,
                            ARENA_JOIN(r->arena, STR("Invalid value for "), param));
}

static bool all_of_type(const struct json *list, enum json_type type)
{
    for (size_t i = 0; i < json_count(list); i++)
        if (!json_is(json_at(list, i), type))
            return false;
    return true;
}

static bool is_named(const char *const *names, str name)
{
    for (; *names; names++)
        if (str_eq(name, str_from(*names)))
            return true;
    return false;
}

/* Some lists know the fields of their objects; of a dotted name the first part counts. */
static bool known_field(const struct api_req *r, str field)
{
    const char *const *known = r->shape ? r->shape->fields : api_kind_of(r)->is.fields;
    return known == NULL || is_named(known, str_cut(&field, '.'));
}

/* What is compared with text that looks like a number is text, too. */
static void value_as_text(struct api_req *r, struct store_filter *f)
{
    const char *const *names = r->shape ? NULL : api_kind_of(r)->is.text_fields;
    if (names && json_is(f->value, JSON_NUMBER) && json_number_is_integer(f->value) &&
        is_named(names, f->field))
        f->value = json_new_string(r->arena, json_number(f->value));
}

/* An ordinary filter: operator, field and value must go together. */
static enum api_step check_filter(struct api_req *r, str param, const struct store_filter *f)
{
    if (!known_field(r, f->field))
        return api_fail_invalid(
            r, "querystring", param,
            ARENA_JOIN(r->arena, STR("Unknown filter field '"), param, STR("'")));
    bool id = str_eq(f->field, STR("id")), time = str_eq(f->field, STR("last_modified"));
    bool listed = f->op == STORE_IN || f->op == STORE_EXCLUDE;
    if (f->op == STORE_LIKE && !json_is(f->value, JSON_STRING))
        return wrong_value(r, param);
    if (listed && id && !all_of_type(f->value, JSON_STRING))
        return wrong_value(r, param);
    if (listed && time && !all_of_type(f->value, JSON_NUMBER))
        return wrong_value(r, param);
    if (str_find(f->field, '\0') != STR_NPOS || has_nul(f->value))
        return wrong(r, param, "Invalid character 0x00");
    if (time && !valid_timestamp(r, f->value))
        return wrong_value(r, param);
    if (id && (f->op == STORE_CONTAINS || f->op == STORE_CONTAINS_ANY))
        return wrong(r, param, "Field 'id' is not an array");
    return STEP_NEXT;
}

#define DEPRECATED_TO "_to is now deprecated, you should use _before instead"
#define DEPRECATED_TO_URL                                                                          \
    "https://kinto.readthedocs.io/en/2.4.0/api/resource.html#list-of-available-url-parameters"

/* _since, _before, _to: bounds of last_modified. */
static bool is_time_bound(str name)
{
    return str_eq(name, STR("_since")) || str_eq(name, STR("_before")) || str_eq(name, STR("_to"));
}

static enum api_step time_bound(struct api_req *r, str name, struct json *value,
                                struct store_filter *f)
{
    if (str_eq(name, STR("_to")))
        api_alert_deprecated(r, STR(DEPRECATED_TO), STR(DEPRECATED_TO_URL));
    if (!json_is(value, JSON_NULL) && !valid_timestamp(r, value))
        return wrong_value(r, name);
    f->op = str_eq(name, STR("_since")) ? STORE_GT : STORE_LT;
    f->field = STR("last_modified");
    f->value = value;
    return STEP_NEXT;
}

static enum api_step add_filter(struct api_req *r, const struct api_param *p,
                                struct store_filter *f)
{
    str name = str_trim(p->name);
    if (is_time_bound(name))
        return time_bound(r, name, p->value, f);
    split_operator(name, f);
    f->value = p->value;
    enum api_step s = check_filter(r, name, f);
    value_as_text(r, f);
    if (s == STEP_NEXT && f->op == STORE_HAS)
        f->value = json_new_bool(r->arena, !api_is_falsy(p->value)); /* any value will do */
    return s;
}

static bool is_filter(const struct api_param *p)
{
    str name = str_trim(p->name);
    return !str_starts(name, STR("_")) || is_time_bound(name);
}

/* What a list request may cost: each of these is looked up in each object. */
#define MAX_FILTERS     100
#define MAX_SORT_FIELDS 20

static size_t count_filters(const struct api_req *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->q.count; i++)
        n += is_filter(&r->q.params[i]);
    return n;
}

static enum api_step build_filters(struct api_req *r, struct api_page *page)
{
    size_t most = count_filters(r);
    if (most > MAX_FILTERS)
        return wrong(r, STR_NONE, "Too many filters");
    struct store_filter *filters = ARENA_NEW_ARRAY(r->arena, struct store_filter, most + 2);
    if (filters == NULL)
        return api_fail_err(r, ERR_NOMEM);
    size_t n = 0;
    if (!str_none(r->only_id))
        filters[n++] =
            (struct store_filter){STR("id"), STORE_EQ, json_new_string(r->arena, r->only_id)};
    if (r->only_since)
        filters[n++] = (struct store_filter){STR("last_modified"), STORE_MIN,
                                             json_new_i64(r->arena, *r->only_since)};
    for (size_t i = 0; i < r->q.count; i++) {
        if (!is_filter(&r->q.params[i]))
            continue;
        enum api_step s = add_filter(r, &r->q.params[i], &filters[n]);
        if (s != STEP_NEXT)
            return s;
        bool time = str_eq(filters[n].field, STR("last_modified"));
        if (time && r->shape) /* its objects have no time: checked, and without effect */
            continue;
        if (time)
            page->query.tombstones = r->method != METHOD_DELETE;
        n++;
    }
    if (arena_failed(r->arena)) /* a filter that lacks its value */
        return api_fail_err(r, ERR_NOMEM);
    page->query.filters = filters;
    page->query.nfilters = n;
    return STEP_NEXT;
}

/* ---- order and limit ------------------------------------------------------------------------- */

/* Every order ends in what tells two objects apart, or nearly so: the time; of a shape its key. */
static size_t finish_sort(const struct api_req *r, struct store_sort *sort, size_t n, bool by_time)
{
    if (r->shape == NULL) {
        if (!by_time)
            sort[n++] = (struct store_sort){STR("last_modified"), true};
        return n;
    }
    str key = str_from(r->shape->key);
    size_t kept = 0;
    bool by_key = false;
    for (size_t i = 0; i < n; i++) {
        by_key = by_key || str_eq(sort[i].field, key);
        if (!str_eq(sort[i].field, STR("last_modified")))
            sort[kept++] = sort[i];
    }
    if (!by_key)
        sort[kept++] = (struct store_sort){key, true};
    return kept;
}

static enum api_step build_sort(struct api_req *r, struct api_page *page)
{
    const struct api_param *p = api_query_get(&r->q, "_sort");
    size_t most = p ? json_count(p->value) : 0, n = 0;
    if (most > MAX_SORT_FIELDS)
        return wrong(r, STR("_sort"), "Too many fields to sort by");
    struct store_sort *sort = ARENA_NEW_ARRAY(r->arena, struct store_sort, most + 1);
    if (sort == NULL)
        return api_fail_err(r, ERR_NOMEM);
    bool by_time = false;
    for (size_t i = 0; i < most; i++) {
        str field = json_string(json_at(p->value, i));
        by_time = by_time || str_eq(field, STR("last_modified"));
        field = str_trim(field);
        bool down = str_starts(field, STR("-"));
        if (down || str_starts(field, STR("+")))
            field = str_drop(field, 1);
        if (!is_field(field))
            continue;
        if (!known_field(r, field))
            return api_fail_invalid(
                r, "querystring", STR_NONE,
                ARENA_JOIN(r->arena, STR("Unknown sort field '"), field, STR("'")));
        sort[n++] = (struct store_sort){field, down};
    }
    page->query.sort = sort;
    page->query.nsort = finish_sort(r, sort, n, by_time);
    return STEP_NEXT;
}

/* Is it in the list, whose names are parted by commas? */
static bool names_field(str list, str field)
{
    while (!str_none(list))
        if (str_eq(str_cut(&list, ','), field))
            return true;
    return false;
}

/* _fields of a shape: all that are unknown are told at once. */
static enum api_step check_fields(struct api_req *r, struct api_page *page)
{
    (void)page;
    str unknown = STR_NONE;
    for (size_t i = 0; i < r->q.nfields; i++) {
        str rest = r->q.fields[i], first = str_cut(&rest, '.');
        if (known_field(r, first) || names_field(unknown, first))
            continue;
        unknown = str_none(unknown) ? first : ARENA_JOIN(r->arena, unknown, STR(","), first);
    }
    if (str_none(unknown))
        return STEP_NEXT;
    return api_fail_invalid(r, "body", STR("Invalid _fields parameter"),
                            ARENA_JOIN(r->arena, STR("Fields "), unknown, STR(" do not exist")));
}

static void build_limit(struct api_req *r, struct api_page *page)
{
    const struct api_config *c = &r->api->conf;
    const struct api_param *p = api_query_get(&r->q, "_limit");
    int64_t limit = c->paginate_by;
    if (p && !(json_is(p->value, JSON_NUMBER) && api_to_integer(p->value, &limit)))
        limit = 0; /* given and empty: as if it were none */
    if (limit > 0 && c->paginate_by > 0)
        limit = MIN_OF(limit, c->paginate_by);
    limit = limit > 0 ? MIN_OF(limit, c->max_fetch) : c->max_fetch;
    page->limit = page->query.limit = (size_t)limit;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool valid_sort_value(const struct store_sort *sort, const struct json *value)
{
    bool time = str_eq(sort->field, STR("last_modified"));
    if (value == NULL)
        return !time; /* every object has a time; other fields may be absent */
    if (!time)
        return !has_nul(value);
    int64_t n; /* any that an object may have: before 1970, or where a clock that was set to
                  STORE_MAX_TIMESTAMP has gone since */
    return json_is(value, JSON_NUMBER) && json_to_i64(value, &n) == OK;
}

/* The parts of a token, or false. */
static bool read_token(struct api_req *r, str token, struct api_page *page, struct json **nonce)
{
    str text;
    struct json *root, *last, *offset;
    if (hash_base64_decode(r->arena, token, &text) != OK || !str_utf8_valid(text) ||
        json_parse(r->arena, text, &root, NULL) != OK)
        return false;
    last = json_get_typed(root, STR("last_object"), JSON_OBJECT);
    offset = json_get_typed(root, STR("offset"), JSON_NUMBER);
    *nonce = json_get(root, STR("nonce"));
    if (last == NULL || offset == NULL || *nonce == NULL ||
        json_to_i64(offset, &page->offset) != OK || page->offset < 0 ||
        page->offset > INT64_MAX / 2) /* it is added to */
        return false;
    for (size_t i = 0; i < page->query.nsort; i++)
        if (!valid_sort_value(&page->query.sort[i], json_get(last, page->query.sort[i].field)))
            return false;
    page->query.after = last;
    return true;
}

/* Its token is used up. A token may be anybody's making: it takes nothing else out of the cache. */
static bool take_nonce(struct api_req *r, const struct json *nonce)
{
    return json_is(nonce, JSON_STRING) && str_starts(json_string(nonce), STR(NONCE)) &&
           store_cache_delete(r->api->store, json_string(nonce));
}

static enum api_step build_after(struct api_req *r, struct api_page *page)
{
    const struct api_param *p = api_query_get(&r->q, "_token");
    if (p == NULL || !json_is(p->value, JSON_STRING) || json_string(p->value).n == 0)
        return STEP_NEXT;
    struct json *nonce;
    if (!read_token(r, json_string(p->value), page, &nonce))
        return api_fail_invalid(r, "querystring", STR_NONE, STR("_token has invalid content"));
    if (r->method == METHOD_DELETE && !take_nonce(r, nonce))
        return api_fail_invalid(r, "querystring", STR_NONE,
                                STR("_token was already used or has expired."));
    return STEP_NEXT;
}

enum api_step api_page_build(struct api_req *r, struct api_page *page)
{
    static enum api_step (*const parts[])(struct api_req *, struct api_page *) = {
        build_filters, build_sort, check_fields, build_after};
    *page = (struct api_page){0};
    if (r->shared_only) {
        page->query.shared_with = &r->who;
        page->query.shared_perms = r->shared_perms;
    }
    build_limit(r, page);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        enum api_step s = parts[i](r, page);
        if (s != STEP_NEXT)
            return s;
    }
    return STEP_NEXT;
}

/* One member of last_object; an absent field is left out. */
static void add_sort_value(struct api_req *r, struct buf *b, str last, str field, size_t n)
{
    struct json_raw value;
    if (!store_field(r->arena, last, field, &value))
        return;
    if (!buf_failed(b) && n && b->p[b->n - 1] != '{')
        buf_add_char(b, ',');
    json_write_string(b, field);
    buf_add_char(b, ':');
    buf_add_str(b, value.text);
}

/* The token that goes on behind the object with the text `last`. */
static enum err write_token(struct api_req *r, const struct api_page *page, str last, str nonce,
                            str *out)
{
    struct buf b;
    buf_init_arena(&b, r->arena, 64 * MIB);
    buf_add_lit(&b, "{\"last_object\":{");
    size_t n = 0;
    bool by_id = r->shape != NULL; /* ordered by its key at last: nothing is equal */
    for (size_t i = 0; i < page->query.nsort; i++) {
        add_sort_value(r, &b, last, page->query.sort[i].field, n++);
        by_id = by_id || str_eq(page->query.sort[i].field, STR("id"));
    }
    if (!by_id) /* so that objects which are equal in every sort field are neither skipped nor shown twice */
        add_sort_value(r, &b, last, STR("id"), n);
    buf_add_lit(&b, "},\"offset\":");
    buf_add_i64(&b, page->offset);
    buf_add_lit(&b, ",\"nonce\":\"");
    buf_add_str(&b, nonce);
    buf_add_lit(&b, "\"}");
    if (buf_failed(&b))
        return b.err;
    *out = hash_base64_encode(r->arena, buf_str(&b));
    return str_none(*out) ? ERR_NOMEM : OK;
}

static void add_query(struct buf *b, str name, str value)
{
    buf_add_char(b, b->n && b->p[b->n - 1] != '?' ? '&' : '?');
    http_url_encode(b, name, "");
    buf_add_char(b, '=');
    http_url_encode(b, value, "");
}

/* The request's own parameters (of repeated ones the last), with _limit and _token set. */
static void write_next_query(struct api_req *r, const struct api_page *page, str token,
                             struct buf *b)
{
    bool limited = false, continued = false;
    char digits[DECIMAL_MAX_BYTES];
    str limit = {digits, (size_t)(decimal_put_u64(digits, page->limit) - digits)};
    for (size_t i = 0; i < r->q.count; i++) {
        const struct api_param *p = &r->q.params[i];
        bool is_limit = str_eq(p->name, STR("_limit")), is_token = str_eq(p->name, STR("_token"));
        add_query(b, p->name, is_limit ? limit : is_token ? token : p->last);
        limited = limited || is_limit;
        continued = continued || is_token;
    }
    if (!limited)
        add_query(b, STR("_limit"), limit);
    if (!continued)
        add_query(b, STR("_token"), token);
}

/* A token holds the last object's sort fields, and has to fit into a URL. */
#define MAX_TOKEN_BYTES (4 * KIB)

static enum api_step add_next_page(struct api_req *r, const struct api_page *page, str token)
{
    if (token.n > MAX_TOKEN_BYTES)
        return api_fail_invalid(r, "querystring", STR("_sort"),
                                STR("The values to sort by are too long for pages"));
    struct buf url, query;
    buf_init_arena(&query, r->arena, 64 * KIB);
    write_next_query(r, page, token, &query);
    buf_init_arena(&url, r->arena, 128 * KIB);
    buf_add_str(&url, api_origin(r));
    buf_add_lit(&url, "/" API_PREFIX);
    http_url_encode(&url, r->path, "/");
    buf_add_str(&url, buf_str(&query));
    if (buf_failed(&query) || buf_failed(&url))
        return api_fail_err(r, buf_failed(&query) ? query.err : url.err);
    http_header_add(r->out, STR("Next-Page"), buf_str(&url));
    return STEP_NEXT;
}

enum api_step api_page_next(struct api_req *r, struct api_page *page,
                            const struct store_result *found)
{
    char nonce_text[sizeof NONCE - 1 + 37] = NONCE;
    if (!found->more)
        return STEP_NEXT;
    if (r->method != METHOD_DELETE) /* what that has passed is gone */
        page->offset += (int64_t)found->count + 1;
    rand_uuid4(nonce_text + sizeof NONCE - 1);
    str nonce = str_from(nonce_text), token;
    enum err e = write_token(r, page, found->objects[found->count - 1].data, nonce, &token);
    if (e == OK && r->method == METHOD_DELETE)
        e = store_cache_set(r->api->store, nonce, STR(""), (uint64_t)r->api->conf.token_ttl_ms);
    return e == OK ? add_next_page(r, page, token) : api_fail_err(r, e);
}
