/*
 * base/base.c - the end of the road for a broken invariant: say where, and stop.
 *
 * Only async-signal-safe calls, so that a CHECK inside a signal handler or on a thread that holds
 * any lock still gets its message out.
 */
#include "base/base.h"

#include <unistd.h>

static void put(const char *s)
{
    /* Nothing can be done about a failed write here. */
    if (write(STDERR_FILENO, s, strlen(s)) < 0)
        return;
}

void base_bug(const char *file, int line, const char *what)
{
    char digits[12];
    char *p = digits + sizeof digits;
    unsigned v = line > 0 ? (unsigned)line : 0;

    *--p = '\0';
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);

    put("BUG: ");
    put(file);
    put(":");
    put(p);
    put(": ");
    put(what);
    put("\n");
    abort();
}
