/*
 * store/settings.c - the rows of store/settings.def, and what they mean for store_open.
 *
 * There are two backends: the engine with files and without. Permissions and the cache follow the
 * storage. So the reference's other storages stop the start, as the objects are in them; its other
 * backends of permissions and cache are not missed, and an INI that names one starts, with a
 * warning.
 */
#include "base/log.h"
#include "store/store.h"

static const struct setting_row rows[] = {
#define X(key, type, min, max, def, unit, allowed, help)                                           \
    {key, SETTING_##type, min, max, def, unit, allowed, help},
#include "store/settings.def"
#undef X
};

const struct setting_table store_settings = {rows, ARRAY_LEN(rows)};

/* What a backend setting may say, and what it may say without effect. */
static const struct backend {
    const char *key, *memory, *others, *why;
} backends[] = {
    {"kinto.storage_backend", "kinto.core.storage.memory", "", ""},
    {"kinto.permission_backend", "kinto.core.permission.memory",
     "kinto.core.permission.postgresql kinto_redis.permission",
     "permissions live with the objects"},
    {"kinto.cache_backend", "kinto.core.cache.memory",
     "kinto.core.cache.postgresql kinto.core.cache.memcached kinto.core.cache.redis "
     "kinto_redis.cache",
     "the cache is in memory"},
};

static bool says_engine(str value)
{
    return str_eq(value, STR("kinto.engine"));
}

static bool keeps_data(const struct settings *s)
{
    str value = settings_str(s, "kinto.storage_backend");
    return value.n == 0 || says_engine(value);
}

static enum err check_backend(const struct settings *s, const struct backend *b,
                              struct err_detail *d)
{
    str value = settings_str(s, b->key);
    if (value.n == 0 || says_engine(value) || str_eq(value, str_from(b->memory)))
        return OK;
    if (str_has_word(str_from(b->others), value)) {
        log_event(LOG_WARN, "setting_without_effect",
                  "key=%s from=\"" STR_FMT "\" found=\"" STR_FMT "\" why=\"%s\"", b->key,
                  STR_ARG(settings_origin(s, b->key)), STR_ARG(value), b->why);
        return OK;
    }
    return settings_refuse(s, b->key, ERR_UNSUPPORTED, d,
                           "\"%s\" is not there; this build has only %s and kinto.engine",
                           settings_quote(value).text, b->memory);
}

/* Permissions that are to last need objects that last. */
static enum err check_permissions_last(const struct settings *s, struct err_detail *d)
{
    str value = settings_str(s, "kinto.permission_backend");
    if (keeps_data(s) || value.n == 0 || str_eq(value, STR("kinto.core.permission.memory")))
        return OK;
    return settings_refuse(
        s, "kinto.permission_backend", ERR_UNSUPPORTED, d,
        "permissions live with the objects, which kinto.storage_backend keeps in "
        "memory; leave it out");
}

/* The directory that kinto.storage_url means; NULL (and a detail): it is no directory. */
static const char *data_dir(const struct settings *s, struct err_detail *d)
{
    str url = settings_str(s, "kinto.storage_url");
    if (url.n == 0)
        return "./kinto-data";
    str file = STR("file://");
    str path = str_starts(url, file) ? str_drop(url, file.n) : url;
    bool relative = path.p != url.p && !str_starts(path, STR("/"));
    if (path.n != 0 && !relative && str_find_str(path, STR("://")) == STR_NPOS)
        return path.p;
    (void)settings_refuse(s, "kinto.storage_url", ERR_UNSUPPORTED, d,
                          "\"%s\" is neither a path nor file:///path", settings_quote(url).text);
    return NULL;
}

/* ---- indexes ---------------------------------------------------------------------------------- */

#define INDEX_KEY "kinto.index."

struct indexes { /* on their way out of the settings */
    const struct settings *s;
    struct err_detail *d;
    struct store_options *o;
    enum err err;
};

static bool is_id(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!str_is_alnum(s.p[i]) && s.p[i] != '_' && s.p[i] != '-')
            return false;
    return s.n > 0;
}

static void index_take(void *arg, str key, str star, str value, str origin)
{
    struct indexes *x = arg;
    struct store_declared one = {.fields = value};
    const char *why;
    char name[128];
    str rest = star;

    (void)origin;
    if (x->err != OK)
        return;
    snprintf(name, sizeof name, STR_FMT, STR_ARG(str_sub(key, 0, sizeof name - 1)));
    one.bucket = str_cut(&rest, '.');
    one.collection = str_none(rest) ? STR("") : rest;
    if (!is_id(one.bucket) || !is_id(one.collection))
        x->err =
            settings_refuse(x->s, name, ERR_SYNTAX, x->d, "it is " INDEX_KEY "BUCKET.COLLECTION");
    else if (x->o->ndeclared == STORE_MAX_DECLARED)
        x->err = settings_refuse(x->s, name, ERR_UNSUPPORTED, x->d, "more than 64 collections");
    else if (store_declared_check(&one, &why) != OK)
        x->err = settings_refuse(x->s, name, ERR_SYNTAX, x->d, "\"%s\": %s",
                                 settings_quote(value).text, why);
    else
        x->o->declared[x->o->ndeclared++] = one;
}

static enum err load_indexes(struct store_options *o, const struct settings *s,
                             struct err_detail *d)
{
    struct indexes x = {s, d, o, OK};

    settings_each(s, INDEX_KEY "*", index_take, &x);
    return x.err;
}

/* ---- all --------------------------------------------------------------------------------------- */

enum err store_settings_check(const struct settings *s, struct err_detail *d)
{
    struct store_options unused = {.dir = NULL};
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        enum err e = check_backend(s, &backends[i], d);
        if (e != OK)
            return e;
    }
    enum err e = check_permissions_last(s, d);
    return e == OK ? load_indexes(&unused, s, d) : e;
}

enum err store_options_load(struct store_options *o, const struct settings *s, struct err_detail *d)
{
    struct store_options got = {
        .cache_max_bytes = settings_size(s, "kinto.cache_max_size_bytes"),
        .page_memory_bytes = settings_size(s, "kinto.engine_page_memory_bytes"),
        .checkpoint_bytes = (uint64_t)settings_int(s, "kinto.engine_checkpoint_bytes", 0),
    };
    if (keeps_data(s)) {
        got.dir = data_dir(s, d);
        if (!got.dir)
            return ERR_UNSUPPORTED;
    }
    enum err e = load_indexes(&got, s, d);
    if (e == OK)
        *o = got;
    return e;
}
