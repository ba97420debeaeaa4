/*
 * base/buf.h - growing bytes with a maximum.
 *
 * A buffer gets its maximum at birth; nothing can make it grow beyond. The first failure (maximum,
 * or out of memory) is remembered and turns every later append into a no-op: check buf_failed()
 * once at the end. After a failure the contents are not to be used.
 *
 * Memory: from malloc (buf_fini gives it back) or from an arena (no fini; growth extends the newest
 * block in place where it can).
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/arena.h"

struct buf {
    char *p;
    size_t n, cap, max;
    struct arena *arena; /* NULL: malloc */
    enum err err;        /* OK, NOMEM or LIMIT */
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_init_arena(struct buf *b, struct arena *a, size_t max_bytes);
void buf_fini(struct buf *b);  /* frees (malloc kind); the struct may be initialised again */
void buf_clear(struct buf *b); /* n = 0, err = OK; memory is kept */

enum err buf_make_room(struct buf *b, size_t more); /* of buf_reserve(): where there is none yet */

/* Room for `more` bytes behind n. NOMEM, LIMIT. */
MUST_CHECK static inline enum err buf_reserve(struct buf *b, size_t more)
{
    if (LIKELY(b->err == OK && more <= b->cap - b->n && b->p != NULL))
        return OK;
    return buf_make_room(b, more);
}

static inline void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || buf_reserve(b, n) != OK)
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void buf_add_str(struct buf *b, str s)
{
    buf_add(b, s.p, s.n);
}

static inline void buf_add_char(struct buf *b, char c)
{
    if (buf_reserve(b, 1) == OK)
        b->p[b->n++] = c;
}

void buf_add_u64(struct buf *b, uint64_t v); /* decimal */
void buf_add_i64(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define buf_add_lit(b, lit) buf_add((b), "" lit, sizeof(lit) - 1)

static inline bool buf_failed(const struct buf *b)
{
    return b->err != OK;
}

/* What is in it; valid until the next append. */
static inline str buf_str(const struct buf *b)
{
    return (str){b->p ? b->p : "", b->n};
}

#endif
