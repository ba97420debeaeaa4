/*
 * plugins/plugins.c - loads what kinto.includes names.
 */
#include "plugins/private.h"

static const struct {
    const char *name;
    enum err (*load)(struct api *a, const struct settings *s, struct err_detail *d);
} plugins[] = {
#define X(name, load) {name, load},
#include "plugins/plugins.def"
};

static const struct auth_policy *const policies[] = {
#define POLICY(name) &name,
#include "plugins/plugins.def"
};

const struct auth_policy *const *plugins_policies(size_t *n)
{
    *n = ARRAY_LEN(policies);
    return policies;
}

static enum err unknown(const struct settings *s, str name, struct err_detail *d)
{
    char known[512];
    size_t n = 0;
    known[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(plugins); i++) {
        int w = snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "", plugins[i].name);
        if (w > 0 && (size_t)w < sizeof known - n)
            n += (size_t)w;
    }
    return settings_refuse(s, "kinto.includes", ERR_UNSUPPORTED, d,
                           "there is no plugin \"%s\"; there are: %s", settings_quote(name).text,
                           known);
}

static enum err load_one(struct api *a, const struct settings *s, str name, struct err_detail *d)
{
    for (size_t i = 0; i < ARRAY_LEN(plugins); i++)
        if (str_eq(name, str_from(plugins[i].name)))
            return plugins[i].load(a, s, d);
    return unknown(s, name, d);
}

bool plugins_includes(const struct settings *s, const char *name)
{
    size_t n;
    const str *names = settings_list(s, "kinto.includes", &n);
    return str_is_one_of(str_from(name), names, n);
}

enum err plugins_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    size_t n;
    const str *names = settings_list(s, "kinto.includes", &n);
    for (size_t i = 0; i < n; i++) {
        /* Named twice is loaded once. */
        enum err e = str_is_one_of(names[i], names, i) ? OK : load_one(a, s, names[i], d);
        if (e != OK)
            return e;
    }
    return OK;
}
