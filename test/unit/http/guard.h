/*
 * test/unit/http/guard.h - input that ends where readable memory ends: one byte too far is a crash.
 */
#ifndef TEST_UNIT_HTTP_GUARD_H
#define TEST_UNIT_HTTP_GUARD_H

#include "base/str.h"
#include "test/support/unit.h"

#include <sys/mman.h>

#define GUARD_BYTES ((size_t)256 * 1024) /* the largest input */

/* A copy of `in` whose last byte is the last of a mapped page. One at a time: the next call takes
 * the same place. */
static inline char *guarded(str in)
{
    static char *end;

    if (end == NULL) {
        char *p = mmap(NULL, GUARD_BYTES + 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(p, MAP_FAILED);
        ck_assert_int_eq(mprotect(p + GUARD_BYTES, 4096, PROT_NONE), 0);
        end = p + GUARD_BYTES;
    }
    ck_assert_uint_le(in.n, GUARD_BYTES);
    if (in.n > 0)
        memcpy(end - in.n, in.p, in.n);
    return end - in.n;
}

#endif
