/*
 * base/buf.c - growing bytes with a maximum.
 *
 * Invariants: n <= cap <= max; the memory at p is cap + 1 bytes long (vsnprintf wants room for its
 * NUL, and a text of exactly `max` bytes must still fit); err != OK makes every append a no-op.
 */
#include "base/buf.h"

#include "base/decimal.h"

#include <stdarg.h>

#define FIRST_CAP ((size_t)64)

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max = MIN_OF(max_bytes, SIZE_MAX - 1)};
}

void buf_init_arena(struct buf *b, struct arena *a, size_t max_bytes)
{
    buf_init(b, max_bytes);
    b->arena = a;
}

void buf_fini(struct buf *b)
{
    if (b->arena == NULL)
        free(b->p);
    *b = (struct buf){0};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->err = OK;
}

/* The next capacity that holds `need` (which is <= max): doubled, so that appending is linear. */
static size_t grown(const struct buf *b, size_t need)
{
    size_t cap = b->cap > b->max / 2 ? b->max : MAX_OF(b->cap * 2, FIRST_CAP);
    return MIN_OF(MAX_OF(cap, need), b->max);
}

static enum err grow(struct buf *b, size_t need)
{
    size_t cap = grown(b, need);
    size_t old = b->p != NULL ? b->cap + 1 : 0;
    char *p =
        b->arena != NULL ? arena_extend(b->arena, b->p, old, cap + 1) : realloc(b->p, cap + 1);

    if (p == NULL)
        return ERR_NOMEM;
    b->p = p;
    b->cap = cap;
    return OK;
}

enum err buf_make_room(struct buf *b, size_t more)
{
    size_t need;

    if (b->err != OK)
        return b->err;
    if (!size_add(b->n, more, &need) || need > b->max)
        b->err = ERR_LIMIT;
    else
        b->err = grow(b, need);
    return b->err;
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[DECIMAL_MAX_BYTES];
    const char *end = decimal_put_u64(digits, v);

    buf_add(b, digits, (size_t)(end - digits));
}

void buf_add_i64(struct buf *b, int64_t v)
{
    char digits[DECIMAL_MAX_BYTES];
    const char *end = decimal_put_i64(digits, v);

    buf_add(b, digits, (size_t)(end - digits));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (buf_reserve(b, 0) != OK)
        return;
    va_start(ap, fmt);
    n = vsnprintf(b->p + b->n, b->cap - b->n + 1, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->err = ERR_LIMIT;
        return;
    }
    if ((size_t)n > b->cap - b->n) {
        if (buf_reserve(b, (size_t)n) != OK)
            return;
        va_start(ap, fmt);
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    b->n += (size_t)n;
}
