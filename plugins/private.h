/* plugins/private.h - the loading functions: each registers its plugin with the hooks of api/api.h.
 */
#ifndef PLUGINS_PRIVATE_H
#define PLUGINS_PRIVATE_H

#include "plugins/plugins.h"

#define X(name, load) enum err load(struct api *a, const struct settings *s, struct err_detail *d);
#include "plugins/plugins.def"
#undef X

#endif
