/*
 * api/config.c - the settings of the API, read once into struct api_config.
 */
#include "api/private.h"
#include "base/native.h"
#include <inttypes.h>
#include <time.h>

static struct api_names names_setting(const struct settings *s, const char *key)
{
    struct api_names n;
    n.names = settings_list(s, key, &n.count);
    return n;
}

struct cache_target {
    struct api *api;
    struct map *map;
    enum err err;
};

static void take_cache_seconds(void *arg, str key, str star, str value, str origin)
{
    (void)key;
    (void)origin;
    struct cache_target *t = arg;
    int64_t *seconds = ARENA_NEW(&t->api->arena, int64_t);
    if (seconds == NULL || native_int(str_trim(value), seconds) != OK) {
        t->err = ERR_NOMEM; /* that it is a number has been checked when it was loaded */
        return;
    }
    enum err e = map_put(t->map, arena_str(&t->api->arena, star), seconds);
    if (e != OK)
        t->err = e;
}

static enum err load_record_cache(struct api *a)
{
    map_init(&a->conf.record_cache, &a->arena);
    map_init(&a->conf.record_cache_old, &a->arena);
    struct cache_target t = {a, &a->conf.record_cache, OK};
    settings_each(a->settings, "kinto.*.record_cache_expires_seconds", take_cache_seconds, &t);
    t.map = &a->conf.record_cache_old;
    settings_each(a->settings, "kinto.*_record_cache_expires_seconds", take_cache_seconds, &t);
    return t.err;
}

/* What may stand behind a date: "", "T12:34", " 12:34:56", with a fraction and "Z" for UTC. */
static bool read_time(const char *p, struct tm *tm)
{
    if (*p == '\0')
        return true;
    if (*p != 'T' && *p != ' ')
        return false;
    const char *end = strptime(p + 1, "%H:%M:%S", tm);
    if (end == NULL)
        end = strptime(p + 1, "%H:%M", tm);
    if (end == NULL)
        return false;
    if (*end == '.')
        end += 1 + strspn(end + 1, "0123456789");
    return strcmp(end, *end == 'Z' ? "Z" : "") == 0;
}

/* Only dates that mean one day to everybody: 01/02/2030 is none. Local times are not guessed: UTC.
 */
static bool read_date(const char *text, int64_t *ms)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y/%m/%d", "%d %B %Y", "%B %d, %Y",
                                        "%B %d %Y"};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        int day = tm.tm_mday;
        if (end == NULL || !read_time(end, &tm))
            continue;
        *ms = (int64_t)timegm(&tm) * 1000;
        return tm.tm_mday == day; /* February 30th became March */
    }
    return false;
}

static enum err load_end_of_service(struct api *a, struct err_detail *d)
{
    struct api_config *c = &a->conf;
    c->eos = settings_str(a->settings, "kinto.eos");
    c->eos_ms = INT64_MAX;
    if (c->eos.n == 0)
        return OK;
    str message = settings_str(a->settings, "kinto.eos_message");
    str url = settings_str(a->settings, "kinto.eos_url");
    url = str_none(url) ? c->project_docs : url;
    c->soft_eol = api_alert_text(&a->arena, "soft-eol", message, url);
    c->hard_eol = api_alert_text(&a->arena, "hard-eol", message, url);
    if (read_date(c->eos.p, &c->eos_ms))
        return OK;
    return settings_refuse(a->settings, "kinto.eos", ERR_SYNTAX, d,
                           "found \"%s\", allowed is a date like 2030-12-31 or 2030-12-31T23:59:59",
                           settings_quote(c->eos).text);
}

static void load_redirects(struct api_config *c, const struct settings *s)
{
    c->slash_redirect = settings_bool(s, "kinto.trailing_slash_redirect_enabled");
    c->slash_redirect_ttl = settings_int(s, "kinto.trailing_slash_redirect_ttl_seconds", 3600);
    c->version_redirect = settings_bool(s, "kinto.version_prefix_redirect_enabled");
    c->version_redirect_ttl = settings_int(s, "kinto.version_prefix_redirect_ttl_seconds", -1);
}

static void load_user_data(struct api_config *c, const struct settings *s)
{
    c->erasers = names_setting(s, "kinto.user-data_delete_principals");
    if (!c->readonly && settings_bool(s, "kinto.object_user-data_delete_enabled"))
        c->erase_methods |= METHOD_BIT(METHOD_DELETE);
}

static void load_permissions_list(struct api_config *c, const struct settings *s)
{
    c->permissions_readers = names_setting(s, "kinto.permissions_read_principals");
    c->permissions_cache = settings_int(s, "kinto.permissions_cache_expires_seconds", -1);
    if (settings_bool(s, "kinto.plural_permissions_get_enabled"))
        c->permissions_methods |= METHOD_BIT(METHOD_GET);
    if (settings_bool(s, "kinto.plural_permissions_head_enabled"))
        c->permissions_methods |= METHOD_BIT(METHOD_HEAD);
}

enum err api_config_load(struct api *a, struct err_detail *d)
{
    struct api_config *c = &a->conf;
    const struct settings *s = a->settings;
    c->readonly = settings_bool(s, "kinto.readonly");
    c->explicit_permissions = settings_bool(s, "kinto.explicit_permissions");
    c->schema_validation = settings_bool(s, "kinto.experimental_collection_schema_validation");
    c->batch_max = settings_int(s, "kinto.batch_max_requests", 25);
    c->paginate_by = settings_int(s, "kinto.paginate_by", 0);
    c->stay_awake_ns = (uint64_t)settings_int(s, "kinto.stay_awake_us", 300) * 1000;
    c->gzip = settings_bool(s, "kinto.gzip");
    c->gzip_min_bytes = (size_t)settings_int(s, "kinto.gzip_min_bytes", 1400);
    c->max_fetch = settings_int(s, "kinto.storage_max_fetch_size", 10000);
    c->token_ttl_ms = 1000 * settings_int(s, "kinto.pagination_token_validity_seconds", 600);
    c->cors_max_age = settings_int(s, "kinto.cors_max_age_seconds", 3600);
    c->cors_origins = names_setting(s, "kinto.cors_origins");
    c->root_cache = settings_int(s, "kinto.root_cache_expires_seconds", 86400);
    c->retry_after =
        arena_printf(&a->arena, "%" PRId64, settings_int(s, "kinto.retry_after_seconds", 3));
    if (settings_is_set(s, "kinto.backoff"))
        c->backoff = arena_printf(&a->arena, "%" PRId64, settings_int(s, "kinto.backoff", 0));
    c->backoff_percentage = settings_float(s, "kinto.backoff_percentage", -1);
    c->http_host = settings_str(s, "kinto.http_host");
    c->http_scheme = settings_str(s, "kinto.http_scheme");
    c->error_info = settings_str(s, "kinto.error_info_link");
    c->project_name = settings_str(s, "kinto.project_name");
    c->project_version = settings_str(s, "kinto.project_version");
    if (c->project_version.n == 0)
        c->project_version = a->version;
    c->project_docs = settings_str(s, "kinto.project_docs");
    c->http_api = settings_str(s, "kinto.http_api_version");
    c->version_path = settings_str(s, "kinto.version_json_path");
    load_permissions_list(c, s);
    load_user_data(c, s);
    load_redirects(c, s);
    enum err e = load_record_cache(a);
    return e == OK ? load_end_of_service(a, d) : e;
}
