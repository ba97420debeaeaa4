/*
 * plugins/settings.c - the rows of plugins/settings.def. plugins_load checks kinto.includes; here
 * is the check of what no plugin looks at.
 */
#include "base/log.h"
#include "plugins/plugins.h"

static const struct setting_row rows[] = {
#define X(key, type, min, max, def, unit, allowed, help)                                           \
    {key, SETTING_##type, min, max, def, unit, allowed, help},
#include "plugins/settings.def"
#undef X
};

const struct setting_table plugins_settings = {rows, ARRAY_LEN(rows)};

/* In the reference, too, the plugin is what sends; older INIs have the URL only. */
static void warn_of_unused_url(const struct settings *s)
{
    static const char key[] = "kinto.statsd_url";
    if (settings_str(s, key).n && !plugins_includes(s, "kinto.plugins.statsd"))
        log_event(LOG_WARN, "setting_without_effect",
                  "key=%s from=\"" STR_FMT "\" why=\"kinto.plugins.statsd is not in "
                  "kinto.includes: nothing is sent\"",
                  key, STR_ARG(settings_origin(s, key)));
}

enum err plugins_settings_check(const struct settings *s, struct err_detail *d)
{
    warn_of_unused_url(s);
    size_t n;
    const str *names = settings_list(s, "kinto.event_listeners", &n);
    if (n == 0)
        return OK;
    return settings_refuse(s, "kinto.event_listeners", ERR_UNSUPPORTED, d,
                           "\"%s\" would be told nothing: this build has no listeners yet",
                           settings_quote(names[0]).text);
}
