/*
 * api/settings.c - the rows of api/settings.def, and the check of what this build cannot do yet.
 *
 * What changes which data is accepted stops the start; what only leaves out an endpoint or a report
 * gives a warning.
 */
#include "api/api.h"
#include "base/log.h"

static const struct setting_row rows[] = {
#define X(key, type, min, max, def, unit, allowed, help)                                           \
    {key, SETTING_##type, min, max, def, unit, allowed, help},
#include "api/settings.def"
#undef X
};

const struct setting_table api_settings = {rows, ARRAY_LEN(rows)};

static void warn(const struct settings *s, const char *key)
{
    str origin = settings_origin(s, key);
    log_event(LOG_WARN, "setting_without_effect", "key=%s from=" STR_FMT, key, STR_ARG(origin));
}

static enum err refuse(const struct settings *s, const char *key, const char *why,
                       struct err_detail *d)
{
    str origin = settings_origin(s, key);
    return err_set(d, ERR_UNSUPPORTED, 0, STR_FMT ": %s: %s", STR_ARG(origin), key, why);
}

enum err api_settings_check(const struct settings *s, struct err_detail *d)
{
    static const char *const without_effect[] = {"kinto.sentry_dsn", "kinto.newrelic_config",
                                                 "kinto.profiler_enabled"};
    for (size_t i = 0; i < ARRAY_LEN(without_effect); i++)
        if (settings_is_set(s, without_effect[i]))
            warn(s, without_effect[i]);
    if (!str_starts(settings_str(s, "kinto.http_api_version"), STR("1.")))
        return refuse(s, "kinto.http_api_version",
                      "must begin with \"1.\", as the API is served at /v1", d);
    return OK;
}
