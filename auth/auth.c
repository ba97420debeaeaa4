/*
 * auth/auth.c - the list of policies that is in force, and the asking of one after the other.
 */
#include "auth/private.h"

#define MAX_USER_BYTES ((size_t)255)

static const struct auth_policy *const own[] = {&basic_policy, &proxy_policy};

/* Those of this room, and behind them those that others brought. */
struct known {
    const struct auth_policy *const *more;
    size_t nmore;
};

static const struct auth_policy *policy_at(const struct known *k, size_t i)
{
    if (i < ARRAY_LEN(own))
        return own[i];
    return i - ARRAY_LEN(own) < k->nmore ? k->more[i - ARRAY_LEN(own)] : NULL;
}

static bool has_path(const struct auth_policy *p, str use)
{
    for (str rest = str_from(p->paths); !str_none(rest);)
        if (str_eq(str_cut(&rest, ' '), use))
            return true;
    return false;
}

/* By the Python path of `use`, or by the name itself when there is none. */
static const struct auth_policy *find_policy(const struct known *k, str name, str use)
{
    const struct auth_policy *p;
    for (size_t i = 0; (p = policy_at(k, i)) != NULL; i++)
        if (str_none(use) ? str_eq(name, str_from(p->name)) : has_path(p, use))
            return p;
    return NULL;
}

static void take_if_named(void *arg, str key, str star, str value, str origin)
{
    (void)key;
    struct auth_setting *l = arg;
    if (str_eq(star, l->name)) {
        l->value = value;
        l->origin = origin;
    }
}

struct auth_setting auth_setting(const struct settings *s, const char *pattern, str name)
{
    struct auth_setting l = {.name = name, .origin = settings_origin(s, "multiauth.policies")};
    settings_each(s, pattern, take_if_named, &l);
    return l;
}

bool auth_user_valid(str name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
            return false;
    return name.n > 0 && name.n <= MAX_USER_BYTES && str_utf8_valid(name);
}

static enum err unknown(const struct known *k, str origin, str name, str use, struct err_detail *d)
{
    char known[512];
    size_t n = 0;
    const struct auth_policy *p;
    for (size_t i = 0; (p = policy_at(k, i)) != NULL; i++) {
        str rest = str_from(p->paths), path = str_cut(&rest, ' ');
        int w = snprintf(known + n, sizeof known - n, "%s" STR_FMT, i ? ", " : "", STR_ARG(path));
        n = w < 0 || (size_t)w >= sizeof known - n ? sizeof known - 1 : n + (size_t)w;
    }
    return err_set(d, ERR_UNSUPPORTED, 0,
                   STR_FMT ": multiauth.policy.%s.use: there is no policy \"%s\"; there is: %s",
                   STR_ARG(origin), settings_quote(name).text, settings_quote(use).text, known);
}

static str in_lower_case(struct arena *a, str name)
{
    char *z = arena_cstr(a, name);
    for (char *p = z; p != NULL && *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    return z != NULL ? (str){z, name.n} : STR_NONE;
}

/* What may stand in quotes in a header. */
static bool is_quotable(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    return true;
}

static enum err add_challenge(struct auth *a, struct auth_active *p, const struct settings *s,
                              struct err_detail *d)
{
    struct auth_setting l = auth_setting(s, "multiauth.policy.*.realm", p->name);
    if (str_none(p->scheme))
        return OK;
    if (!is_quotable(l.value))
        return err_set(d, ERR_SYNTAX, 0,
                       STR_FMT ": multiauth.policy." STR_FMT
                               ".realm: found \"%s\", allowed is ASCII text without quotes",
                       STR_ARG(l.origin), STR_ARG(p->name), settings_quote(l.value).text);
    a->challenge =
        ARENA_JOIN(&a->arena, a->challenge, str_none(a->challenge) ? STR("") : STR(", "), p->scheme,
                   STR(" realm=\""), str_none(l.value) ? STR("Realm") : l.value, STR("\""));
    return OK;
}

static enum err add_policy(struct auth *a, const struct known *k, const struct settings *s,
                           str name, struct err_detail *d)
{
    struct auth_setting l = auth_setting(s, "multiauth.policy.*.use", name);
    const struct auth_policy *p = find_policy(k, name, l.value);
    if (p == NULL)
        return unknown(k, l.origin, name, str_none(l.value) ? name : l.value, d);
    if (a->count == AUTH_MAX_POLICIES)
        return err_set(d, ERR_LIMIT, 0, STR_FMT ": multiauth.policies: more than %d policies",
                       STR_ARG(l.origin), AUTH_MAX_POLICIES);
    struct auth_active *active = &a->active[a->count++];
    *active = (struct auth_active){.name = name, .policy = p, .scheme = str_from(p->scheme)};
    active->prefix = p->prefix ? str_from(p->prefix) : in_lower_case(&a->arena, name);
    enum err e = p->load(&a->arena, active, s, d);
    if (e == OK)
        e = add_challenge(a, active, s, d);
    return e == OK && arena_failed(&a->arena) ? ERR_NOMEM : e;
}

enum err auth_new(struct auth **out, const struct settings *s,
                  const struct auth_policy *const *more, size_t nmore, struct err_detail *d)
{
    const struct known known = {more, nmore};
    struct auth *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_NOMEM;
    arena_init(&a->arena, NULL, 0, NULL, MIB);
    size_t n;
    const str *names = settings_list(s, "multiauth.policies", &n);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < n; i++)
        e = add_policy(a, &known, s, names[i], d);
    if (e == OK)
        *out = a;
    else
        auth_free(a);
    return e;
}

void auth_free(struct auth *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->count; i++)
        if (a->active[i].policy->free)
            a->active[i].policy->free(a->active[i].data);
    arena_fini(&a->arena);
    free(a);
}

enum err auth_authenticate(const struct auth *a, struct auth_request *req, struct auth_user *user)
{
    *user = (struct auth_user){STR_NONE, STR_NONE};
    bool unsure = false;
    for (size_t i = 0; i < a->count; i++) {
        str id = STR_NONE;
        enum err e = a->active[i].policy->authenticate(&a->active[i], req, &id);
        if (e != OK && e != ERR_TIMEOUT)
            return e;
        unsure |= e == ERR_TIMEOUT;
        if (e != OK || str_none(id))
            continue;
        user->policy = a->active[i].prefix;
        user->id = ARENA_JOIN(req->arena, user->policy, STR(":"), id);
        return str_none(user->id) ? ERR_NOMEM : OK;
    }
    return unsure ? ERR_TIMEOUT : OK;
}

const struct auth_active *auth_active_at(const struct auth *a, size_t i)
{
    return i < a->count ? &a->active[i] : NULL;
}

void auth_stop(const struct auth *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->active[i].policy->stop)
            a->active[i].policy->stop(a->active[i].data);
}

str auth_challenge(const struct auth *a)
{
    return a->challenge;
}

bool auth_policy_at(const struct auth *a, size_t i, str *name, const char **security)
{
    if (i >= a->count)
        return false;
    *name = a->active[i].prefix;
    *security = a->active[i].policy->security;
    return true;
}

bool auth_has_policy(const struct auth *a, str name)
{
    for (size_t i = 0; i < a->count; i++)
        if (str_eq(a->active[i].name, name))
            return true;
    return false;
}
