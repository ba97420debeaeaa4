/* plugins/private.h - the loading functions: each registers its plugin with the hooks of api/api.h.
 */
#ifndef PLUGINS_PRIVATE_H
#define PLUGINS_PRIVATE_H

#include "auth/auth.h"
#include "plugins/plugins.h"

#define X(name, load) enum err load(struct api *a, const struct settings *s, struct err_detail *d);
#define POLICY(name)  extern const struct auth_policy name;
#include "plugins/plugins.def"

#endif
