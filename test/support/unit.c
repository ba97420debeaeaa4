/*
 * test/support/unit.c - see unit.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test/support/unit.h"

void new_dir(char *out, size_t n)
{
    const char *tmp = getenv("TMPDIR");
    int made = snprintf(out, n, "%s/kinto-test-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");

    if (made > 0 && (size_t)made < n && mkdtemp(out) != NULL)
        return;
    fprintf(stderr, "no temporary folder %s: %s\n", out, strerror(errno));
    ck_abort_msg("no temporary folder %s", out);
}
