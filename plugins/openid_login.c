/*
 * plugins/openid_login.c - logging in by a browser: two redirects between a page, this server and the
 * provider (OpenID Connect Core 1.0, section 3.1).
 *
 *     page      -> /openid/NAME/login?callback=&scope=      the callback is kept under a fresh state
 *               -> the provider, where the user logs in
 *     provider  -> /openid/NAME/token?code=&state=          the state is good once; the code is
 *               -> callback + base64 of the provider's answer        exchanged for tokens
 *
 * The state is made of random bytes; the callback is kept under a keyed hash of it, for that provider
 * alone, in the cache. So where tokens are sent is what was checked at the login, never what comes with
 * a code, and comparing takes no time that tells something about it.
 */
#include "base/hash.h"
#include "base/rand.h"
#include "plugins/openid.h"

#define MAX_CALLBACK 2048
#define MAX_STATE    256 /* bytes */
#define MAX_LOCATION (24 * KIB)

/* ---- what was asked -------------------------------------------------------------------------- */

/* A parameter of the query: its text; none when it is empty or missing. One that is there twice is an
 * error in the reference's words. */
static str parameter(struct api_req *r, const char *name, bool required)
{
    struct arena *a = api_arena(r);
    str rest = api_query(r), key, value, text = STR_NONE;
    struct json *all = json_new_array(a);
    struct buf b;

    while (http_query_next(a, &rest, &key, &value))
        if (str_eq(key, str_from(name))) {
            text = value;
            (void)!json_push(a, all, json_new_string(a, value)); /* the arena remembers */
        }
    if (arena_failed(a))
        return STR_NONE;
    if (json_count(all) > 1) {
        buf_init_arena(&b, a, 64 * KIB);
        json_write_repr(&b, all);
        buf_printf(&b, " is not a string: {'%s': ''}", name);
        api_invalid_add(r, "querystring", str_from(name), buf_str(&b));
        return STR_NONE;
    }
    if (text.n == 0 && required)
        api_invalid_add(r, "querystring", str_from(name), STR("Required"));
    return text.n > 0 ? text : STR_NONE;
}

static struct openid_provider *provider_of(struct api_req *r)
{
    str name = api_path_value(r, "provider");
    struct openid_provider *p;
    struct buf b;

    for (size_t i = 0; (p = openid_provider_at(api_of(r), i)) != NULL; i++)
        if (str_eq(p->name, name))
            return p;
    buf_init_arena(&b, api_arena(r), 64 * KIB);
    buf_add_lit(&b, "Unknown provider ");
    json_write_repr_string(&b, name);
    api_invalid_add(r, "path", STR("provider"), buf_str(&b));
    return NULL;
}

/* Where the provider sends the browser back to. */
static str token_url(struct api_req *r)
{
    struct buf b;
    buf_init_arena(&b, api_arena(r), 64 * KIB);
    buf_add_str(&b, api_origin(r));
    buf_add_lit(&b, "/v1/openid/");
    http_url_encode(&b, api_path_value(r, "provider"), NULL);
    buf_add_lit(&b, "/token");
    return buf_failed(&b) ? STR_NONE : buf_str(&b);
}

/* name=value of a form, blanks as '+'. */
static void add_pair(struct buf *b, const char *name, str value)
{
    buf_printf(b, "%s=", name);
    for (bool first = true; !str_none(value); first = false) {
        if (!first)
            buf_add_char(b, '+');
        http_url_encode(b, str_cut(&value, ' '), NULL);
    }
}

/* ---- asking the provider --------------------------------------------------------------------- */

/* A look at its configuration, when none is there yet. */
struct looking {
    struct api_work work;
    struct openid_provider *provider;
    struct openid_config config;
};

static enum err run_looking(struct api_work *w)
{
    struct looking *l = CONTAINER_OF(w, struct looking, work);
    return openid_config_get(l->provider, w->arena, &l->config);
}

static enum err share_looking(struct api_work *w, const struct api_work *done)
{
    (void)done;
    return run_looking(w); /* it is there now */
}

static enum api_step unavailable(struct api_req *r, enum err e)
{
    return e == ERR_NOMEM ? api_fail_err(r, e) : api_fail(r, API_ERR_UNAVAILABLE);
}

/* NEXT: *out is filled. */
static enum api_step configuration(struct openid_provider *p, struct api_req *r,
                                   struct openid_config *out)
{
    struct api_work *w = api_work_done(r, run_looking, p->name);

    if (w) {
        *out = CONTAINER_OF(w, struct looking, work)->config;
        return w->result == OK ? STEP_NEXT : unavailable(r, w->result);
    }
    if (openid_config_known(p, api_arena(r), out)) {
        openid_ask_aside(p, api_of(r)); /* if it is old */
        return STEP_NEXT;
    }
    struct looking *l = ARENA_NEW(api_arena(r), struct looking);
    if (l == NULL)
        return api_fail_err(r, ERR_NOMEM);
    l->provider = p;
    return api_work_begin_shared(r, &l->work, run_looking, share_looking, p->name, POOL_WAIT);
}

/* ---- login ----------------------------------------------------------------------------------- */

struct login {
    str callback, scope, prompt;
};

static void check_callback(struct api_req *r, str callback)
{
    bool bad = !str_none(callback) && !openid_is_url(callback);
    bool longer = callback.n > MAX_CALLBACK;
    if (!bad && !longer)
        return;
    api_invalid_add(r, "querystring", STR("callback"),
                    !longer ? STR("Must be a URL")
                    : !bad  ? STR("Longer than maximum length 2048")
                            : STR("Must be a URL; Longer than maximum length 2048"));
}

/* False: errors have been added. */
static bool read_login(struct api_req *r, struct openid_provider **p, struct login *l)
{
    l->callback = parameter(r, "callback", true);
    check_callback(r, l->callback);
    l->scope = parameter(r, "scope", true);
    l->prompt = parameter(r, "prompt", false);
    if (!str_none(l->prompt) && !str_starts(l->prompt, STR("none")))
        api_invalid_add(r, "querystring", STR("prompt"),
                        STR("String does not match expected pattern"));
    *p = provider_of(r);
    return !api_is_invalid(r);
}

/* Python's str.split(). */
static bool next_scope(str *rest, str *scope)
{
    size_t from = 0, n = 0;
    while (from < rest->n && strchr(" \t\n\r\f\v", rest->p[from]) != NULL && rest->p[from] != '\0')
        from++;
    while (from + n < rest->n &&
           (rest->p[from + n] == '\0' || strchr(" \t\n\r\f\v", rest->p[from + n]) == NULL))
        n++;
    *scope = str_sub(*rest, from, n);
    *rest = str_drop(*rest, from + n);
    return n > 0;
}

static int by_bytes(const void *x, const void *y)
{
    return str_cmp(*(const str *)x, *(const str *)y);
}

/* Those that may not be asked for, sorted, each once: "a, b"; none: there are none. */
static enum err unknown_scopes(const struct openid_provider *p, struct arena *a, str scope,
                               str *out)
{
    str *words = ARENA_NEW_ARRAY(a, str, scope.n / 2 + 1), rest = scope, word;
    size_t n = 0;
    struct buf b;

    if (words == NULL)
        return ERR_NOMEM;
    while (next_scope(&rest, &word))
        if (!str_is_one_of(word, p->scopes, p->nscopes))
            words[n++] = word;
    qsort(words, n, sizeof *words, by_bytes);
    buf_init_arena(&b, a, 64 * KIB);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && str_eq(words[i], words[i - 1]))
            continue;
        buf_add_str(&b, i > 0 ? STR(", ") : STR(""));
        buf_add_str(&b, words[i]);
    }
    *out = n > 0 ? buf_str(&b) : STR_NONE;
    return b.err;
}

static bool has_scope(str scope, str wanted)
{
    str word;
    while (next_scope(&scope, &word))
        if (str_eq(word, wanted))
            return true;
    return false;
}

/* What the reference finds wrong behind the schema; it names the body, although there is none. */
static enum api_step check_login(const struct openid_provider *p, struct api_req *r,
                                 const struct login *l)
{
    struct arena *a = api_arena(r);
    str unknown;
    enum err e = unknown_scopes(p, a, l->scope, &unknown);

    if (e != OK)
        return api_fail_err(r, e);
    if (!str_none(unknown))
        return api_fail_invalid(r, "body", STR("scope"),
                                ARENA_JOIN(a, STR("Scopes not allowed: "), unknown));
    if (!openid_is_trusted(l->callback, p->callbacks, p->ncallbacks))
        return api_fail_invalid(r, "body", STR("callback"), STR("Untrusted callback URL"));
    if (str_eq(p->userid_field, STR("email")) && !has_scope(l->scope, STR("email")))
        return api_fail_invalid(
            r, "body", STR("scope"),
            ARENA_JOIN(a, STR("Provider "), p->name, STR(" requires 'email' scope")));
    return STEP_NEXT;
}

/* A fresh state, under which the callback is kept. */
static enum err keep_callback(const struct openid_provider *p, struct api_req *r, str callback,
                              str *state)
{
    uint8_t bytes[MAX_STATE];
    char hex[2 * MAX_STATE + 1], key[OPENID_KEY_BYTES + 1];

    CHECK(p->state_bytes > 0 && p->state_bytes <= MAX_STATE);
    rand_bytes(bytes, p->state_bytes);
    hash_hex(bytes, p->state_bytes, hex);
    *state = arena_str(api_arena(r), str_from(hex));
    if (str_none(*state))
        return ERR_NOMEM;
    openid_key(p, "state", *state, key);
    return store_cache_set(api_store(api_of(r)), str_from(key), callback, p->state_ttl_ms);
}

static enum api_step send_to_provider(const struct openid_provider *p, struct api_req *r,
                                      const struct login *l, str authorization)
{
    str state;
    struct buf b;
    enum err e = keep_callback(p, r, l->callback, &state);

    if (e != OK)
        return api_fail_err(r, e);
    buf_init_arena(&b, api_arena(r), MAX_LOCATION);
    buf_add_str(&b, authorization);
    buf_add_char(&b, str_find(authorization, '?') == STR_NPOS ? '?' : '&');
    add_pair(&b, "client_id", p->client_id);
    add_pair(&b, "&response_type", STR("code"));
    add_pair(&b, "&scope", l->scope);
    add_pair(&b, "&redirect_uri", token_url(r));
    add_pair(&b, "&state", state);
    if (!str_none(l->prompt))
        add_pair(&b, "&prompt", l->prompt);
    if (p->audience.n > 0)
        add_pair(&b, "&audience", p->audience);
    return buf_failed(&b) ? api_fail_err(r, b.err) : api_redirect_to(r, buf_str(&b));
}

static enum api_step login(struct api_req *r)
{
    struct openid_provider *p;
    struct openid_config c;
    struct login l;

    if (!read_login(r, &p, &l))
        return api_invalid_fail(r, 400);
    if (arena_failed(api_arena(r)))
        return api_fail_err(r, ERR_NOMEM);
    enum api_step s = check_login(p, r, &l);
    if (s == STEP_NEXT)
        s = configuration(p, r, &c);
    if (s != STEP_NEXT)
        return s;
    if (str_none(c.authorization))
        return api_fail(r, API_ERR_UNAVAILABLE);
    return send_to_provider(p, r, &l, c.authorization);
}

/* ---- token ----------------------------------------------------------------------------------- */

struct token {
    str code, state, error, description;
};

static bool read_token(struct api_req *r, struct openid_provider **p, struct token *t)
{
    t->state = parameter(r, "state", true);
    t->code = parameter(r, "code", false);
    t->error = parameter(r, "error", false);
    t->description = parameter(r, "error_description", false);
    if (!api_is_invalid(r) && str_none(t->code) == str_none(t->error))
        api_invalid_add(r, "querystring", STR(""),
                        STR("Provide either 'state' and 'code', or 'error' and "
                            "'error_description', but not both."));
    *p = provider_of(r);
    return !api_is_invalid(r);
}

/* The callback that was kept for a state, which is then good no more. */
static bool take_callback(const struct openid_provider *p, struct api_req *r, str state,
                          str *callback)
{
    char key[OPENID_KEY_BYTES + 1];
    struct store *s = api_store(api_of(r));

    openid_key(p, "state", state, key);
    /* Of several who come with it at once, one finds it to delete. */
    return store_cache_get(s, api_arena(r), str_from(key), callback) &&
           store_cache_delete(s, str_from(key));
}

static enum api_step refuse_state(struct api_req *r)
{
    if (arena_failed(api_arena(r)))
        return api_fail_err(r, ERR_NOMEM);
    return api_fail_told(r, API_ERR_INVALID_PARAMETERS, STR("Invalid state"),
                         STR("[{\"location\":\"body\",\"name\":\"state\",\"description\":"
                             "\"Invalid state\",\"errno\":105}]"));
}

/* The provider would not: that goes on to the page. */
static enum api_step forward_error(struct api_req *r, const struct token *t, str callback)
{
    struct buf b;

    buf_init_arena(&b, api_arena(r), MAX_LOCATION);
    buf_add_str(&b, callback);
    add_pair(&b, "error", t->error);
    if (!str_none(t->description))
        add_pair(&b, "&error_description", t->description);
    return buf_failed(&b) ? api_fail_err(r, b.err) : api_redirect_to(r, buf_str(&b));
}

struct exchange {
    struct api_work work;
    struct openid_provider *provider;
    str code, redirect_uri, callback, answer;
};

static enum err run_exchange(struct api_work *w)
{
    struct exchange *x = CONTAINER_OF(w, struct exchange, work);
    return openid_exchange(x->provider, w->arena, x->code, x->redirect_uri, &x->answer);
}

static enum api_step begin_exchange(struct openid_provider *p, struct api_req *r,
                                    const struct token *t, str callback)
{
    struct exchange *x = ARENA_NEW(api_arena(r), struct exchange);
    str redirect_uri = token_url(r);

    if (x == NULL || str_none(redirect_uri))
        return api_fail_err(r, ERR_NOMEM);
    x->provider = p;
    x->code = t->code;
    x->redirect_uri = redirect_uri;
    x->callback = callback;
    return api_work_begin(r, &x->work, run_exchange, t->state, POOL_WAIT);
}

static enum api_step send_to_page(struct api_req *r, const struct exchange *x)
{
    struct buf b;
    str coded = hash_base64_encode(api_arena(r), x->answer);

    if (str_none(coded))
        return api_fail_err(r, ERR_NOMEM);
    buf_init_arena(&b, api_arena(r), MAX_LOCATION);
    buf_add_str(&b, x->callback);
    http_url_encode(&b, coded, "/");
    if (b.err == ERR_LIMIT)
        return api_fail(r, API_ERR_UNAVAILABLE);
    return buf_failed(&b) ? api_fail_err(r, b.err) : api_redirect_to(r, buf_str(&b));
}

/* The steps are run again when the code has been exchanged; the state is gone by then. */
static enum api_step token(struct api_req *r)
{
    struct openid_provider *p;
    struct token t;
    str callback;

    if (!read_token(r, &p, &t))
        return api_invalid_fail(r, 400);
    if (arena_failed(api_arena(r)))
        return api_fail_err(r, ERR_NOMEM);
    const struct api_work *w = api_work_done(r, run_exchange, t.state);
    if (w)
        return w->result == OK ? send_to_page(r, CONTAINER_OF(w, const struct exchange, work))
                               : unavailable(r, w->result);
    if (!take_callback(p, r, t.state, &callback))
        return refuse_state(r);
    return str_none(t.error) ? begin_exchange(p, r, &t, callback) : forward_error(r, &t, callback);
}

/* ---- endpoints ------------------------------------------------------------------------------- */

#define QUERY(name, required, more)                                                                \
    "{\"name\":\"" name "\",\"in\":\"query\",\"required\":" required ",\"type\":\"string\"" more "}"

enum err openid_add_endpoints(struct api *a)
{
    static const struct api_endpoint endpoints[] = {
        {.path = "/openid/{provider}/login",
         .methods = METHOD_BIT(METHOD_GET),
         .handler = login,
         .doc = {.operation = "get_openid_login",
                 .endpoint = "openid_login",
                 .tag = "Openid_login",
                 .summary = "Send a browser to the provider, to log in.",
                 .answer = "ErrorSchema",
                 .status = 307,
                 .answers_503 = true,
                 .parameters =
                     QUERY("callback", "true",
                           ",\"format\":\"url\",\"minLength\":1,"
                           "\"maxLength\":2048") "," QUERY("scope", "true",
                                                           "") "," QUERY("prompt", "false",
                                                                         ",\"pattern\":\"none\"")}},
        {.path = "/openid/{provider}/token",
         .methods = METHOD_BIT(METHOD_GET),
         .handler = token,
         .doc = {.operation = "get_openid_token",
                 .endpoint = "openid_token",
                 .tag = "Openid_token",
                 .summary = "Where the provider sends the browser back to: exchange the code.",
                 .answer = "ErrorSchema",
                 .status = 307,
                 .answers_503 = true,
                 .parameters = QUERY("state", "true", "") "," QUERY("code", "false", "") "," QUERY(
                     "error", "false", "") "," QUERY("error_description", "false", "")}},
    };
    enum err e = OK;
    for (size_t i = 0; e == OK && i < ARRAY_LEN(endpoints); i++)
        e = api_add_endpoint(a, &endpoints[i]);
    return e;
}
