/*
 * cli/run.c - the settings that are in force, and the store on the data directory that they name: what
 * every command that works on data begins with.
 *
 * Where a setting comes from (the strongest first): command line, environment, INI file (or the
 * built-in one, see cli/ini.c), default. The settings are loaded twice when some of them follow from
 * others: the secret of the user ids is kept in the data directory, and where that is the settings say.
 */
#include "cli/private.h"
#include "process/process.h"

#include "api/api.h"
#include "auth/auth.h"
#include "base/os.h"
#include "http/http.h"
#include "plugins/plugins.h"

static const struct setting_table *const tables[] = {
    &store_settings, &http_settings,    &auth_settings,
    &api_settings,   &plugins_settings, &process_settings,
};

static enum err (*const checks[])(const struct settings *s, struct err_detail *d) = {
    store_settings_check,
    http_settings_check,
    api_settings_check,
    plugins_settings_check,
};

static void override(struct cli_run *r, const char *key, const char *value)
{
    CHECK(r->nover < CLI_MAX_OVERRIDES);
    r->over[r->nover++] = (struct setting_override){key, value};
}

static void override_by_args(struct cli_run *r)
{
    const struct cli_args *a = r->args;
    if (a->port)
        override(r, "kinto.server.port", a->port);
    if (a->host)
        override(r, "kinto.server.host", a->host);
    if (a->data)
        override(r, "kinto.storage_url", a->data);
    if (a->memory) {
        override(r, "kinto.storage_backend", "kinto.core.storage.memory");
        override(r, "kinto.permission_backend", "kinto.core.permission.memory");
    }
}

static enum err load(struct cli_run *r)
{
    struct setting_table all[ARRAY_LEN(tables)];
    struct settings *fresh;
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        all[i] = *tables[i];
    const struct ini *ini = &r->ini.ini;
    enum err e = settings_load(&fresh, all, ARRAY_LEN(all), ini, r->over, r->nover, &r->detail);
    if (e != OK)
        return e;
    settings_free(r->settings);
    r->settings = fresh;
    return OK;
}

static enum err check(struct cli_run *r)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        enum err e = checks[i](r->settings, &r->detail);
        if (e != OK)
            return e;
    }
    return OK;
}

enum err cli_run_open(struct cli_run *r)
{
    arena_init(&r->arena, NULL, 0, NULL, MIB);
    enum err e = cli_ini_open(&r->ini, r->args, &r->detail);
    if (e != OK)
        return e;
    log_set_level(cli_log_level(&r->ini.ini, r->args));
    override_by_args(r);
    e = load(r);
    if (e != OK)
        return e;
    process_keep_memory(r->settings);
    r->memory_bytes = os_memory_limit(""); /* a confined process does not see its cgroup */
    settings_log_without_effect(r->settings);
    return check(r);
}

void cli_run_close(struct cli_run *r)
{
    if (r->store)
        store_close(r->store);
    settings_free(r->settings);
    cli_ini_close(&r->ini);
    arena_fini(&r->arena);
}

enum err cli_run_derive(struct cli_run *r)
{
    size_t before = r->nover;
    str secret;
    if (!settings_is_set(r->settings, "kinto.userid_hmac_secret")) {
        enum err e = cli_secret_keep(&r->arena, r->data_dir, &secret, &r->detail);
        if (e != OK)
            return e;
        override(r, "kinto.userid_hmac_secret", secret.p);
        if (!settings_is_set(r->settings, "kinto.default_bucket_hmac_secret"))
            override(r, "kinto.default_bucket_hmac_secret", secret.p);
    }
    str scheme = settings_str(r->settings, "kinto.server.url_scheme");
    if (scheme.n != 0 && !settings_is_set(r->settings, "kinto.http_scheme")) {
        scheme = arena_str(&r->arena, scheme);
        if (str_none(scheme))
            return ERR_NOMEM;
        override(r, "kinto.http_scheme", scheme.p);
    }
    if (r->nover == before)
        return OK;
    log_set_level(LOG_ERROR); /* the first load has warned */
    enum err e = load(r);
    log_set_level(cli_log_level(&r->ini.ini, r->args));
    return e;
}

/* dir NULL: that of the settings. */
static enum err open_store(struct cli_run *r, const char *dir, bool new_index)
{
    struct store_options o;
    enum err e = store_options_load(&o, r->settings, &r->detail);
    if (e != OK)
        return e;
    if (dir)
        o.dir = dir;
    if (o.dir) { /* a copy: the settings may be loaded anew */
        r->data_dir = o.dir = arena_cstr(&r->arena, str_from(o.dir));
        if (!o.dir)
            return ERR_NOMEM;
    }
    o.new_index = new_index;
    o.as_is = r->as_is;
    o.memory_bytes = r->memory_bytes;
    return store_open(&r->store, &o, &r->opened, &r->detail);
}

enum err cli_run_open_store(struct cli_run *r)
{
    return open_store(r, NULL, false);
}

enum err cli_run_open_store_in(struct cli_run *r, const char *dir)
{
    return open_store(r, dir, false);
}

enum err cli_run_renew_index(struct cli_run *r)
{
    store_close(r->store);
    r->store = NULL;
    return open_store(r, NULL, true);
}
