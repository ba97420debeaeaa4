/*
 * plugins/plugins.h - what `kinto.includes` switches on.
 *
 * A plugin is a row of plugins.def (its include name) and a file that registers itself with the
 * hooks of api/api.h. Nothing below this room knows a plugin by name.
 */
#ifndef PLUGINS_PLUGINS_H
#define PLUGINS_PLUGINS_H

#include "api/api.h"

extern const struct setting_table plugins_settings;

/*
 * Loads every plugin named in kinto.includes, in that order, into the API that is being set up
 * (before the first request). UNSUPPORTED: a name that is not there; the detail names it and those
 * there are.
 */
MUST_CHECK enum err plugins_load(struct api *a, const struct settings *s, struct err_detail *d);

/* Does kinto.includes name it ("kinto.plugins.accounts")? */
bool plugins_includes(const struct settings *s, const char *name);

/* The authentication policies that plugins bring (struct api_options). They count without the plugin,
 * too: multiauth.policies names them. Static. */
const struct auth_policy *const *plugins_policies(size_t *n);

/* Settings that no plugin of this build looks at, and that must not be ignored: UNSUPPORTED, with
 * file and line in the detail. */
MUST_CHECK enum err plugins_settings_check(const struct settings *s, struct err_detail *d);

#endif
