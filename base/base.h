/*
 * base/base.h - what every file of the project may use.
 *
 * Sizes, checked arithmetic, attributes, and the two kinds of assertion. Nothing here allocates.
 *
 * Whose fault is it? What comes from outside (client, disk, network, settings) is answered with an
 * error value, never with an assertion. A broken invariant of our own is a BUG: CHECK() stops the
 * process with a message and stays on in release builds; DCHECK() costs too much for that and lives
 * in debug and sanitizer builds only.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_LEN(a)      (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN          __attribute__((noreturn))

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define KIB         ((size_t)1024)
#define MIB         ((size_t)1024 * 1024)

/* Arguments are evaluated once: another thread may change what is read, a recursion would be exponential. */
#ifdef __cppcheck__ /* (test/lint/analyze.sh) stumbles at the other form in an initializer */
#define PICK_OF(a, op, b, n) ((a)op(b) ? (a) : (b))
#else
#define PICK_OF(a, op, b, n)                                                                       \
    __extension__({                                                                                \
        __auto_type a_##n = (a);                                                                   \
        __auto_type b_##n = (b);                                                                   \
        a_##n op b_##n ? a_##n : b_##n;                                                            \
    })
#endif
#define PICK_OF_(a, op, b, n) PICK_OF(a, op, b, n)
#define MIN_OF(a, b)          PICK_OF_(a, <, b, __COUNTER__)
#define MAX_OF(a, b)          PICK_OF_(a, >, b, __COUNTER__)

/* Built with ASan, or with any sanitizer that minds what becomes of the process's memory and calls (gcc
 * says so by macros, clang by features)? 0 or 1, for #if and for C. */
#if defined(__has_feature)
#define HAS_FEATURE(f) __has_feature(f)
#else
#define HAS_FEATURE(f) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define WITH_ASAN 1
#else
#define WITH_ASAN 0
#endif
#if WITH_ASAN || defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* The structure that `ptr`, a pointer to its `member`, lies in. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Prints "file:line: what" to standard error and aborts. Any thread. */
void base_bug(const char *file, int line, const char *what) NORETURN;

#define CHECK(cond) (LIKELY(cond) ? (void)0 : base_bug(__FILE__, __LINE__, #cond))
#if defined(KINTO_DEBUG) || defined(__clang_analyzer__) /* whom it tells what must hold */
#define DCHECK(cond) CHECK(cond)
#else
#define DCHECK(cond) ((void)0)
#endif

/* Checked sums and products of sizes: false, and *out untouched, when the result does not fit. */
MUST_CHECK static inline bool size_add(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

MUST_CHECK static inline bool size_mul(size_t a, size_t b, size_t *out)
{
    size_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *out = r;
    return true;
}

/* Functions that cannot be used safely become compile errors. System headers come before this.
 * (Fortified headers define some as macros, and clang refuses to poison a macro.) */
#ifndef BASE_ALLOW_BANNED
#include <stdio.h>
#include <stdlib.h>
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atoll
#endif

#endif
