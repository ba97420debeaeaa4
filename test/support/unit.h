/*
 * test/support/unit.h - what each test program begins with.
 *
 * A program is one suite: static cases, a function that builds the Suite, and UNIT_MAIN(that).
 * CK_FORK=no runs without forks (debuggers, TSan); CK_TIMEOUT_MULTIPLIER stretches time-outs.
 */
#ifndef TEST_SUPPORT_UNIT_H
#define TEST_SUPPORT_UNIT_H

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"

#define UNIT_MAIN(make_suite)                                                                      \
    int main(void)                                                                                 \
    {                                                                                              \
        SRunner *r = srunner_create(make_suite());                                                 \
        srunner_run_all(r, CK_ENV);                                                                \
        int failed = srunner_ntests_failed(r);                                                     \
        srunner_free(r);                                                                           \
        return failed ? 1 : 0;                                                                     \
    }

/* Check writes the place of each assertion to a file, to say where a test was when it died. In a loop over
 * thousands that is most of the work, so places that have been passed often are told now and then only. */
#define _mark_point(file, line)                                                                    \
    __extension__({                                                                                \
        static atomic_uint passed_;                                                                \
        unsigned n_ = atomic_fetch_add_explicit(&passed_, 1, memory_order_relaxed);                \
        if (n_ < 64 || n_ % 1024 == 0)                                                             \
            (_mark_point)(file, line);                                                             \
    })

/* Compares a str with a C string. */
#define ck_assert_str_is(s, lit)                                                                   \
    do {                                                                                           \
        str s_ = (s);                                                                              \
        const char *l_ = (lit);                                                                    \
        ck_assert_msg(str_eq(s_, str_from(l_)), "got \"" STR_FMT "\", want \"%s\"", STR_ARG(s_),   \
                      l_);                                                                         \
    } while (0)

/* A new folder under $TMPDIR (test/run.sh); its path into out, of n bytes. Whoever makes one removes it. Also
 * outside of a test, where Check's assertions do not work. */
void new_dir(char *out, size_t n);

/* A case that needs root asks first; without it, it has been skipped (test/run.sh) and returns. */
static inline bool is_root(void)
{
    if (geteuid() != 0)
        fprintf(stderr, "SKIPPED: not root\n");
    return geteuid() == 0;
}

#endif
