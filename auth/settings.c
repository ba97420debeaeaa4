/*
 * auth/settings.c - the rows of auth/settings.def; auth_new checks what they say.
 */
#include "auth/auth.h"

static const struct setting_row rows[] = {
#define X(key, type, min, max, def, unit, allowed, help)                                           \
    {key, SETTING_##type, min, max, def, unit, allowed, help},
#include "auth/settings.def"
#undef X
};

const struct setting_table auth_settings = {rows, ARRAY_LEN(rows)};
