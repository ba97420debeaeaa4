/*
 * base/arena.c - bump allocation in chunks.
 *
 * Invariants:
 *  1. [at, end) is the free part of the current chunk: the newest of `chunks`, or `first` when
 *     there is none. Both ends NULL when there is neither.
 *  2. `at` is 16-aligned, so every block is.
 *  3. `used` is the sum of the sizes (header included) of `chunks`, and never above `budget`.
 *  4. What is in `used` is taken out of the purse of `holder`, if there is one; spares are nobody's.
 *  5. A spare's size is one of the standard sizes, STANDARD_MIN doubling up to STANDARD_MAX.
 *  6. Under ASan, every byte of a chunk that is not inside a living block is poisoned, and a red
 *     zone lies behind each block, so that one byte too far is found although the chunk goes on.
 *
 * Chunks double, so that a request of any size costs few mallocs and wastes at most half; one that
 * asks for more than a standard size gets a chunk of its own size, which grows with it (a buffer that doubles
 * leaves nothing behind). Near the budget's end a chunk is
 * cut down to what the budget leaves, so that the last byte can be had.
 */
#include "base/arena.h"

#include <stdarg.h>

#if WITH_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#define RED_ZONE       ((size_t)16)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define RED_ZONE       ((size_t)0)
#endif

#define ALIGN        ((size_t)16)
#define STANDARD_MIN (16 * KIB)
#define STANDARD_MAX (256 * KIB)

struct arena_chunk {
    struct arena_chunk *next; /* the one before it; among spares, the next spare */
    size_t size;              /* header included */
    _Alignas(16) char data[];
};

#define HEADER sizeof(struct arena_chunk)
_Static_assert(HEADER % 16 == 0, "blocks behind the header stay aligned");

static _Thread_local unsigned fail_chunk_in;

void arena_test_fail_chunk(unsigned nth)
{
    fail_chunk_in = nth;
}

static bool test_fails_now(void)
{
    return fail_chunk_in > 0 && --fail_chunk_in == 0;
}

/* Where the free part of a chunk ends; NULL stands for the first chunk. */
static char *chunk_end(const struct arena *a, struct arena_chunk *c)
{
    if (c != NULL)
        return (char *)c + c->size;
    return a->first != NULL ? (char *)a->first + a->first_size : NULL;
}

static void chunk_free(struct arena_chunk *c)
{
    UNPOISON(c, c->size);
    free(c);
}

static bool is_standard(size_t size)
{
    return size >= STANDARD_MIN && size <= STANDARD_MAX && (size & (size - 1)) == 0;
}

static struct arena_chunk *spare_take(struct arena_spares *s, size_t least, size_t most)
{
    if (s == NULL)
        return NULL;
    for (struct arena_chunk **at = &s->head; *at != NULL; at = &(*at)->next) {
        struct arena_chunk *c = *at;
        if (c->size < least || c->size > most)
            continue;
        *at = c->next;
        s->count--;
        return c;
    }
    return NULL;
}

static void chunk_give_back(struct arena *a, struct arena_chunk *c)
{
    struct arena_spares *s = a->spares;

    a->used -= c->size;
    if (a->holder != NULL)
        purse_holder_give_back(a->holder, c->size);
    if (s == NULL || s->count >= s->max_chunks || !is_standard(c->size)) {
        chunk_free(c);
        return;
    }
    POISON(c->data, c->size - HEADER);
    c->next = s->head;
    s->head = c;
    s->count++;
}

void arena_spares_fini(struct arena_spares *s)
{
    while (s->head != NULL) {
        struct arena_chunk *c = s->head;
        s->head = c->next;
        chunk_free(c);
    }
    s->count = 0;
}

void arena_init(struct arena *a, void *first, size_t first_size, struct arena_spares *spares,
                size_t budget)
{
    CHECK((uintptr_t)first % ALIGN == 0);
    first_size -= first_size % ALIGN;
    *a = (struct arena){
        .first = first, .first_size = first_size, .spares = spares, .budget = budget};
    a->at = first;
    a->end = chunk_end(a, NULL);
    if (first != NULL)
        POISON(first, first_size);
}

void arena_set_holder(struct arena *a, struct purse_holder *h)
{
    CHECK(a->used == 0);
    a->holder = h;
}

static bool holder_has(const struct arena *a, size_t n)
{
    return a->holder == NULL || purse_holder_take(a->holder, n);
}

/* Back to where `at` was the start of the free part of chunk `c`. */
static void rewind_to(struct arena *a, struct arena_chunk *c, char *at)
{
    while (a->chunks != c) {
        struct arena_chunk *newest = a->chunks;
        CHECK(newest != NULL);
        a->chunks = newest->next;
        chunk_give_back(a, newest);
    }
    a->at = at;
    a->end = chunk_end(a, c);
    if (at != NULL)
        POISON(at, (size_t)(a->end - at));
}

void arena_reset(struct arena *a)
{
    rewind_to(a, NULL, a->first);
    a->failed = a->over_budget = false;
}

void arena_fini(struct arena *a)
{
    arena_reset(a);
    if (a->first != NULL)
        UNPOISON(a->first, a->first_size);
    *a = (struct arena){0};
}

void arena_init_beside(struct arena *beside, const struct arena *a)
{
    size_t all;
    if (!size_add(a->budget, a->first_size, &all))
        all = SIZE_MAX;
    arena_init(beside, NULL, 0, a->spares, all);
    beside->holder = a->holder;
}

void arena_fini_beside(struct arena *beside, struct arena *a)
{
    a->failed |= beside->failed;
    a->over_budget |= beside->over_budget;
    arena_fini(beside);
}

/* The standard size that follows the newest chunk's. */
static size_t next_standard(const struct arena *a)
{
    size_t size = STANDARD_MIN;

    while (a->chunks != NULL && size <= a->chunks->size && size < STANDARD_MAX)
        size *= 2;
    return size;
}

/* A chunk of `least` bytes or more, a spare one or out of malloc. NULL: no memory. */
static struct arena_chunk *chunk_get(struct arena *a, size_t least, size_t left)
{
    size_t size = MAX_OF(MIN_OF(next_standard(a), left - left % ALIGN), least);
    struct arena_chunk *c = spare_take(a->spares, least, left);

    if (c != NULL && holder_has(a, c->size))
        return c;
    if (c != NULL) { /* it may be larger than what the purse has left */
        chunk_free(c);
        size = least;
    }
    if (!holder_has(a, size))
        return NULL;
    c = malloc(size);
    if (c == NULL) {
        if (a->holder != NULL)
            purse_holder_give_back(a->holder, size);
        return NULL;
    }
    c->size = size;
    POISON(c->data, size - HEADER);
    return c;
}

/* Makes a chunk with at least `need` free bytes the current one. */
static bool chunk_add(struct arena *a, size_t need)
{
    size_t left = a->budget - a->used; /* invariant 3 */
    size_t least;
    struct arena_chunk *c;

    if (!size_add(need, HEADER, &least) || least > left) {
        a->over_budget = true;
        return false;
    }
    if (test_fails_now())
        return false;
    c = chunk_get(a, least, left);
    if (c == NULL)
        return false;
    c->next = a->chunks;
    a->chunks = c;
    a->used += c->size;
    a->at = c->data;
    a->end = (char *)c + c->size;
    return true;
}

/* The space a block of n bytes takes: never none, aligned, with its red zone. */
static bool block_step(size_t n, size_t *step)
{
    size_t r;

    if (!size_add(MAX_OF(n, (size_t)1), ALIGN - 1 + RED_ZONE, &r))
        return false;
    *step = r - r % ALIGN;
    return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t step;
    char *p;

    if (UNLIKELY(!block_step(n, &step)) ||
        UNLIKELY(step > (size_t)(a->end - a->at) && !chunk_add(a, step))) {
        a->failed = true;
        return NULL;
    }
    p = a->at;
    a->at += step;
    UNPOISON(p, n);
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    return p != NULL ? memset(p, 0, n) : NULL;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;

    if (!size_mul(count, size, &n)) {
        a->failed = true;
        return NULL;
    }
    return arena_zalloc(a, n);
}

/* Gives the newest block, at p, a new size where it lies. False when the chunk has no room. */
static bool resize_newest(struct arena *a, char *p, size_t new_n)
{
    size_t step;

    if (!block_step(new_n, &step) || step > (size_t)(a->end - p))
        return false;
    a->at = p + step;
    POISON(p, (size_t)(a->end - p));
    UNPOISON(p, new_n);
    return true;
}

/* Is the newest block, at p, all there is in a chunk of its own size? */
static bool has_own_chunk(const struct arena *a, const char *p)
{
    return a->chunks != NULL && p == a->chunks->data && a->chunks->size > STANDARD_MAX;
}

/* A chunk's size changes. Getting smaller cannot fail. */
static bool purse_moves(struct arena *a, size_t from, size_t to)
{
    if (to > from)
        return holder_has(a, to - from);
    if (a->holder != NULL)
        purse_holder_give_back(a->holder, from - to);
    return true;
}

/* Gives it another size, and with it its chunk, wherever that will lie. NULL: it stays as it was. */
static void *resize_own_chunk(struct arena *a, size_t new_n)
{
    struct arena_chunk *c = a->chunks;
    size_t step, size;

    if (!block_step(new_n, &step) || !size_add(step, HEADER, &size) ||
        size > a->budget - (a->used - c->size)) {
        a->failed = a->over_budget = true;
        return NULL;
    }
    if (!purse_moves(a, c->size, size)) {
        a->failed = true;
        return NULL;
    }
    UNPOISON(c, c->size);
    size_t was = c->size;
    c = test_fails_now() ? NULL : realloc(c, size);
    if (c == NULL) {
        CHECK(purse_moves(a, size, was));
        POISON(a->at, (size_t)(a->end - a->at));
        a->failed = true;
        return NULL;
    }
    a->used += size - c->size;
    c->size = size;
    a->chunks = c;
    a->at = a->end = (char *)c + size;
    POISON(c->data + new_n, step - new_n);
    return c->data;
}

void *arena_extend(struct arena *a, void *p, size_t old_n, size_t new_n)
{
    size_t old_step;
    void *fresh;

    if (p == NULL)
        return arena_alloc(a, new_n);
    CHECK(block_step(old_n, &old_step));
    if ((char *)p + old_step == a->at && resize_newest(a, p, new_n))
        return p;
    if (new_n <= old_n)
        return p;
    if ((char *)p + old_step == a->at && has_own_chunk(a, p))
        return resize_own_chunk(a, new_n);
    fresh = arena_alloc(a, new_n);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, p, old_n);
    POISON(p, old_n);
    return fresh;
}

char *arena_cstr(struct arena *a, str s)
{
    size_t n;
    char *p;

    if (!size_add(s.n, 1, &n)) {
        a->failed = true;
        return NULL;
    }
    p = arena_alloc(a, n);
    if (p == NULL)
        return NULL;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

str arena_str(struct arena *a, str s)
{
    char *p = arena_cstr(a, s);
    return p != NULL ? (str){p, s.n} : STR_NONE;
}

str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        a->failed = true;
        return STR_NONE;
    }
    p = arena_alloc(a, (size_t)n + 1);
    if (p == NULL)
        return STR_NONE;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (str){p, (size_t)n};
}

str arena_concat(struct arena *a, const str *parts, size_t n)
{
    size_t total = 1;
    char *p, *at;

    for (size_t i = 0; i < n; i++)
        if (!size_add(total, parts[i].n, &total)) {
            a->failed = true;
            return STR_NONE;
        }
    p = at = arena_alloc(a, total);
    if (p == NULL)
        return STR_NONE;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].n > 0)
            memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    *at = '\0';
    return (str){p, total - 1};
}

str arena_utf8(struct arena *a, str s)
{
    size_t room, n = 0;
    char *p;

    if (str_none(s) || str_utf8_valid(s))
        return s;
    if (!size_mul(s.n, 2, &room)) {
        a->failed = true;
        return STR_NONE;
    }
    p = arena_alloc(a, room);
    if (p == NULL)
        return STR_NONE;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x80)
            p[n++] = (char)(0xc0 | c >> 6);
        p[n++] = c >= 0x80 ? (char)(0x80 | (c & 0x3f)) : (char)c;
    }
    return (str){p, n};
}

struct arena_mark arena_mark(struct arena *a)
{
    return (struct arena_mark){a->chunks, a->at};
}

void arena_release(struct arena *a, struct arena_mark m)
{
    rewind_to(a, m.chunk, m.at);
}
