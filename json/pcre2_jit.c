/*
 * json/pcre2_jit.c - what stands in for PCRE2's compiler to machine code, a quarter of a megabyte that is never
 * called: patterns of strangers are interpreted, within limits, and the sandbox lets no memory be executed.
 *
 * The interpreter refers to four of its functions, for patterns that it has compiled. The linker leads these
 * references here (-Wl,--wrap, Makefile). Should a later version refer to more, its own compiler is linked in again,
 * and nothing breaks.
 */
#include "base/base.h"

size_t __wrap__pcre2_jit_get_size_8(void *jit);
void __wrap__pcre2_jit_free_8(void *jit, void *memory);
int __wrap__pcre2_jit_check_exec_8(void);
int __wrap_pcre2_jit_match_8(void);

size_t __wrap__pcre2_jit_get_size_8(void *jit)
{
    (void)jit;
    return 0;
}

void __wrap__pcre2_jit_free_8(void *jit, void *memory)
{
    (void)jit;
    (void)memory;
}

int __wrap__pcre2_jit_check_exec_8(void)
{
    return 0;
}

int __wrap_pcre2_jit_match_8(void)
{
    CHECK(false); /* only for what it has compiled */
    return 0;
}
