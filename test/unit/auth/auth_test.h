/* test/unit/auth/auth_test.h - policies in force by the lines of an INI file. */
#ifndef TEST_UNIT_AUTH_AUTH_TEST_H
#define TEST_UNIT_AUTH_AUTH_TEST_H

#include "test/unit/api/api_test.h"

#include "auth/private.h"

static struct auth *auth;

/* The lines begin in line 2 of test.ini. */
static inline enum err load(const char *lines, struct err_detail *d)
{
    str ini = arena_printf(&keep, "[app:main]\n%s", lines);

    ck_assert_ok(server_load(&server, ini.p, d));
    return auth_new(&auth, server.settings, NULL, 0, d);
}

static inline void start(const char *lines)
{
    struct err_detail d = {.text = ""};
    enum err e = load(lines, &d);

    ck_assert_msg(e == OK, "%s: %s", lines, d.text);
}

static inline void stop(void)
{
    auth_free(auth);
    auth = NULL;
    server_stop(&server);
}

#endif
