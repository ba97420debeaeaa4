/*
 * base/arena.h - memory that lives as long as one request (or one transaction, or one load).
 *
 * Bump allocation in chunks. Nothing is freed singly; arena_reset() frees all at once. The first chunk
 * belongs to the arena's owner (a connection) and stays; further chunks come from malloc, or from the loop's
 * spares.
 *
 * Budget: an arena is born with the most bytes it may ever hold. Over it, or out of memory, an
 * allocation returns NULL *and the arena remembers* (arena_failed), so that a writer may go on with
 * no-ops and the pipeline looks once, before the first byte goes out. Beside that it may have to take its
 * chunks out of a purse that it shares with others (base/purse.h); that being empty is like being out of
 * memory.
 *
 * Threads: one at a time. A parked request's arena may be handed over, without its spares, which are of
 * one thread; the queue is the fence.
 * Under ASan, unused and freed space is poisoned.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/purse.h"
#include "base/str.h"

struct arena_chunk; /* private */

/* Spare chunks shared by the arenas of one thread; keeps at most `max_chunks`. Zero-init is empty.
 */
struct arena_spares {
    struct arena_chunk *head;
    unsigned count;
    unsigned max_chunks;
};
void arena_spares_fini(struct arena_spares *s);

struct arena {
    char *at, *end; /* free space in the current chunk */
    void *first;    /* the owner's chunk (borrowed), or NULL */
    size_t first_size;
    struct arena_chunk *chunks;  /* newest first */
    struct arena_spares *spares; /* borrowed, or NULL */
    struct purse_holder *holder; /* whose chunks they are: borrowed, or NULL */
    size_t used, budget;         /* bytes of chunks held, and the most that may be held */
    bool failed;
    bool over_budget; /* ... for want of budget, not of memory */
};

/*
 * `first` (may be NULL) is borrowed until arena_fini and must be 16-aligned. `budget` counts the
 * bytes of all chunks beyond the first one. Cannot fail.
 */
void arena_init(struct arena *a, void *first, size_t first_size, struct arena_spares *spares,
                size_t budget);
/* From here on chunks are his, out of his purse (NULL: nobody's, out of none). The arena holds none now. */
void arena_set_holder(struct arena *a, struct purse_holder *h);
void arena_reset(struct arena *a); /* gives chunks back; failed is cleared */
void arena_fini(struct arena *a);  /* arena_reset, for good */

/* One beside another, for what may go sooner: with the same spares and purse, and as much memory as that
 * has in all. What `beside` had not enough of, `a` is told when it ends. */
void arena_init_beside(struct arena *beside, const struct arena *a);
void arena_fini_beside(struct arena *beside, struct arena *a);

/* n bytes, aligned to 16; n = 0 gives a non-NULL pointer. NULL: out of budget or memory (sticky).
 */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t count, size_t size); /* zeroed, overflow-checked */
#define ARENA_NEW(a, type)            ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_NEW_ARRAY(a, type, cnt) ((type *)arena_array((a), (cnt), sizeof(type)))

/*
 * Grows (or shrinks) the block `p` of `old_n` bytes; in place when it is the newest block, else by
 * copy. NULL on failure, the old block stays valid. p = NULL allocates.
 */
void *arena_extend(struct arena *a, void *p, size_t old_n, size_t new_n);

/* Copies; a NUL follows the bytes. STR_NONE on failure. */
str arena_str(struct arena *a, str s);
char *arena_cstr(struct arena *a, str s); /* the same as a C string; NULL on failure */
str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
str arena_concat(struct arena *a, const str *parts, size_t n);
/* The strs one behind the other: ARENA_JOIN(a, x, STR(": "), y). Unlike a format ("%.*s" stops there), it
 * takes NUL bytes: use it for whatever came from outside. */
#define ARENA_JOIN(a, ...)                                                                         \
    arena_concat((a), (str[]){__VA_ARGS__}, sizeof((str[]){__VA_ARGS__}) / sizeof(str))

/* Text of whoever may write UTF-8 or Latin-1: itself when it is UTF-8, else each byte as the character that
 * Latin-1 has there. STR_NONE on failure, or for none. */
str arena_utf8(struct arena *a, str s);

/* Scratch inside a step: everything allocated since the mark is gone after release. Defers
 * registered since the mark must not exist, and what is older than it must not be extended. */
struct arena_mark {
    struct arena_chunk *chunk;
    char *at;
};
struct arena_mark arena_mark(struct arena *a);
void arena_release(struct arena *a, struct arena_mark m);

static inline bool arena_failed(const struct arena *a)
{
    return a->failed;
}

/* It need not be remembered: what failed since the arena was looked at (and had not failed) can be done
 * without. */
static inline void arena_forgive(struct arena *a)
{
    a->failed = a->over_budget = false;
}

/* Tests: the n-th chunk from now on fails (1 = the next); 0 switches it off. This thread only. */
void arena_test_fail_chunk(unsigned nth);

#endif
