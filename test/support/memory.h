/*
 * test/support/memory.h - counts what the threads of a server allocate, and makes allocations of theirs fail.
 *
 * For programs that the Makefile names in COUNTED: there the linker puts these functions before malloc()
 * and its kin (ld's --wrap), for the tree and for mbedtls. What libc itself allocates is not counted.
 *
 * The test's own thread is left out, as it is the client, too; memory_mine(true) makes it count where it
 * acts for the server (start, stop). Bytes are those that the allocator gave, which may be a few more than
 * were asked for.
 */
#ifndef TEST_SUPPORT_MEMORY_H
#define TEST_SUPPORT_MEMORY_H

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static struct {
    atomic_long bytes, blocks; /* that there are */
    atomic_long calls;         /* that asked for memory, since memory_plan() */
    atomic_long nth;           /* of these fails; 0: none */
    atomic_bool for_ever;      /* and all behind it */
    atomic_long failed;        /* so many have */
} memory;

static _Thread_local bool memory_is_left_out;

/* From now on allocations of this thread count (true), or do not. */
static void memory_mine(bool counts)
{
    memory_is_left_out = !counts;
}

/* The nth allocation from now on fails, and with for_ever all behind it. 0: none does. */
static void memory_plan(long nth, bool for_ever)
{
    atomic_store(&memory.nth, 0);
    atomic_store(&memory.for_ever, for_ever);
    atomic_store(&memory.calls, 0);
    atomic_store(&memory.failed, 0);
    atomic_store(&memory.nth, nth);
}

/* Is this one to fail? */
static bool memory_fails(void)
{
    long nth, call;

    if (memory_is_left_out)
        return false;
    nth = atomic_load(&memory.nth);
    call = atomic_fetch_add(&memory.calls, 1) + 1;
    if (nth == 0 || call < nth || (call > nth && !atomic_load(&memory.for_ever)))
        return false;
    atomic_fetch_add(&memory.failed, 1);
    errno = ENOMEM;
    return true;
}

static void *memory_got(void *p)
{
    if (p != NULL && !memory_is_left_out) {
        atomic_fetch_add(&memory.bytes, (long)malloc_usable_size(p));
        atomic_fetch_add(&memory.blocks, 1);
    }
    return p;
}

static void memory_lost(void *p)
{
    if (p != NULL && !memory_is_left_out) {
        atomic_fetch_sub(&memory.bytes, (long)malloc_usable_size(p));
        atomic_fetch_sub(&memory.blocks, 1);
    }
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void __real_free(void *p);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n)
{
    return memory_fails() ? NULL : memory_got(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return memory_fails() ? NULL : memory_got(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    void *new;

    if (memory_fails())
        return NULL;
    memory_lost(p);
    new = __real_realloc(p, n);
    (void)memory_got(new != NULL ? new : p);
    return new;
}

char *__wrap_strdup(const char *s)
{
    return memory_fails() ? NULL : memory_got(__real_strdup(s));
}

void __wrap_free(void *p)
{
    memory_lost(p);
    __real_free(p);
}

#endif
