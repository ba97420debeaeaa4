/*
 * api/settings.c - the rows of api/settings.def, and the check of values that a type does not tell.
 */
#include "api/api.h"

static const struct setting_row rows[] = {
#define X(key, type, min, max, def, unit, allowed, help)                                           \
    {key, SETTING_##type, min, max, def, unit, allowed, help},
#include "api/settings.def"
#undef X
};

const struct setting_table api_settings = {rows, ARRAY_LEN(rows)};

static enum err refuse(const struct settings *s, const char *key, const char *allowed,
                       struct err_detail *d)
{
    return settings_refuse(s, key, ERR_UNSUPPORTED, d, "found \"%s\", allowed is %s",
                           settings_quote(settings_str(s, key)).text, allowed);
}

/* "1", or what begins with "1.". */
static bool is_version_one(str version)
{
    return str_eq(version, STR("1")) || str_starts(version, STR("1."));
}

enum err api_settings_check(const struct settings *s, struct err_detail *d)
{
    if (!is_version_one(settings_str(s, "kinto.http_api_version")))
        return refuse(s, "kinto.http_api_version", "1 or 1.x, as the API is served at /v1", d);
    if (!http_is_host(settings_str(s, "kinto.http_host"))) /* stands in its place (api_host) */
        return refuse(s, "kinto.http_host", "host or host:port, without https://", d);
    return OK;
}
