/* An INI file, and the settings that it makes with the rows of all rooms. */
#include "test/fuzz/fuzz.h"

#include "api/api.h"
#include "auth/auth.h"
#include "base/log.h"
#include "http/http.h"
#include "plugins/plugins.h"
#include "store/store.h"

static void each(void *arg, str key, str star, str value, str origin)
{
    CHECK(star.n > 0 && star.n < key.n && value.n > 0 && origin.n > 0);
    (void)arg;
}

static void settings(const struct ini *ini)
{
    const struct setting_table tables[] = {api_settings, auth_settings, http_settings,
                                           plugins_settings, store_settings};
    struct err_detail d = {.text = ""};
    struct settings *s = NULL;
    struct http_options http = {0};
    struct http_listen listen[HTTP_MAX_LISTEN];
    unsigned count = 0;
    struct arena a;
    enum err e = settings_load(&s, tables, ARRAY_LEN(tables), ini, NULL, 0, &d);

    CHECK(e == OK || d.text[0] != '\0' || e == ERR_NOMEM);
    if (e != OK)
        return;
    (void)(store_settings_check(s, &d) == OK && http_settings_check(s, &d) == OK &&
           api_settings_check(s, &d) == OK && plugins_settings_check(s, &d) == OK);
    settings_log_without_effect(s);
    settings_each(s, "multiauth.policy.*.use", each, NULL);
    http_options_load(&http, s);
    arena_init(&a, NULL, 0, NULL, MIB);
    if (http_listen_load(s, &a, listen, &count, &d) == OK)
        CHECK(count <= HTTP_MAX_LISTEN);
    arena_fini(&a);
    settings_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ini_var vars[] = {{STR_INIT("here"), STR_INIT("/etc")}};
    struct err_detail d = {.text = ""};
    struct ini ini;

    log_set_level(LOG_NONE);
    enum err e = ini_parse(&ini, fuzz_input(data, size), "test.ini", vars, ARRAY_LEN(vars), &d);
    CHECK(e == OK || e == ERR_SYNTAX || e == ERR_LIMIT);
    if (e != OK) {
        CHECK(d.text[0] != '\0');
        return 0;
    }
    unsigned line = 0;
    for (const struct ini_entry *it = ini.first; it != NULL; it = it->next) {
        CHECK(it->line > line && it->line <= size + 1 && it->key.n > 0);
        CHECK(str_utf8_valid(it->key) && str_utf8_valid(it->value));
        CHECK(ini_get(&ini, it->section, it->key) == it);
        line = it->line;
    }
    settings(&ini);
    ini_free(&ini);
    return 0;
}
