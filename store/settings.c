/*
 * store/settings.c - the rows of store/settings.def, and what they mean for store_open.
 *
 * There are two backends: the engine with files and without. Permissions and the cache follow the
 * storage, so their backends are only looked at to refuse what would not be kept where the user
 * expects it.
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

/* What a backend setting may say. */
static const struct backend {
    const char *key, *memory;
} backends[] = {
    {"kinto.storage_backend", "kinto.core.storage.memory"},
    {"kinto.permission_backend", "kinto.core.permission.memory"},
    {"kinto.cache_backend", "kinto.core.cache.memory"},
};

static bool says_engine(str value)
{
    return str_eq(value, STR("kinto.engine"));
}

static bool keeps_data(const struct settings *s)
{
    str value = settings_str(s, "kinto.storage_backend");
    return str_none(value) || says_engine(value);
}

static enum err check_backend(const struct settings *s, const struct backend *b,
                              struct err_detail *d)
{
    str value = settings_str(s, b->key);
    if (str_none(value) || says_engine(value) || str_eq(value, str_from(b->memory)))
        return OK;
    str origin = settings_origin(s, b->key);
    return err_set(d, ERR_UNSUPPORTED, 0,
                   STR_FMT ": %s: \"" STR_FMT "\" is not there; this build has only %s and "
                           "kinto.engine",
                   STR_ARG(origin), b->key, STR_ARG(value), b->memory);
}

/* Permissions that are to last need objects that last. */
static enum err check_permissions_last(const struct settings *s, struct err_detail *d)
{
    if (keeps_data(s) || !says_engine(settings_str(s, "kinto.permission_backend")))
        return OK;
    str origin = settings_origin(s, "kinto.permission_backend");
    return err_set(d, ERR_UNSUPPORTED, 0,
                   STR_FMT ": kinto.permission_backend: permissions live with the objects, which "
                           "kinto.storage_backend keeps in memory; leave it out",
                   STR_ARG(origin));
}

/* The directory that kinto.storage_url means; NULL (and a detail): it is no directory. */
static const char *data_dir(const struct settings *s, struct err_detail *d)
{
    str url = settings_str(s, "kinto.storage_url");
    if (str_none(url))
        return "./kinto-data";
    str file = STR("file://");
    str path = str_starts(url, file) ? str_drop(url, file.n) : url;
    bool relative = path.p != url.p && !str_starts(path, STR("/"));
    if (path.n != 0 && !relative && str_find_str(path, STR("://")) == STR_NPOS)
        return path.p;
    str origin = settings_origin(s, "kinto.storage_url");
    (void)err_set(d, ERR_UNSUPPORTED, 0,
                  STR_FMT ": kinto.storage_url: \"" STR_FMT "\" is neither a path nor file:///path",
                  STR_ARG(origin), STR_ARG(url));
    return NULL;
}

enum err store_settings_check(const struct settings *s, struct err_detail *d)
{
    static const char *const gone[] = {"kinto.storage_strict_json", "kinto.storage_max_size_bytes"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (settings_is_set(s, gone[i]))
            log_event(LOG_WARN, "setting_without_effect", "key=%s", gone[i]);
    for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
        enum err e = check_backend(s, &backends[i], d);
        if (e != OK)
            return e;
    }
    return check_permissions_last(s, d);
}

enum err store_options_load(struct store_options *o, const struct settings *s, struct err_detail *d)
{
    struct store_options got = {
        .cache_max_bytes = (size_t)settings_int(s, "kinto.cache_max_size_bytes", 0),
        .page_memory_bytes = (size_t)settings_int(s, "kinto.engine_page_memory_bytes", 0),
        .checkpoint_bytes = (uint64_t)settings_int(s, "kinto.engine_checkpoint_bytes", 0),
    };
    if (keeps_data(s)) {
        got.dir = data_dir(s, d);
        if (!got.dir)
            return ERR_UNSUPPORTED;
    }
    *o = got;
    return OK;
}
