/*
 * http/gzip.c - bodies in the content coding gzip, over zlib (the only user of it).
 *
 * The input is given to deflate in portions, between which it is asked whether anybody still wants the result. The
 * room for the output begins with what JSON mostly needs and grows where that was too little, up to what
 * the caller allows: beyond it the result would not pay.
 */
#define ZLIB_CONST
#include "http/gzip.h"

#include <zlib.h>

#define PORTION  (8 * KIB) /* some 50 microseconds */
#define MAX_STEP (64 * MIB)

/* windowBits and memLevel of zlib.h. A window smaller than the input, and tables that stay in the processor's
 * cache, cost a small body next to nothing in size, and need not be cleared for as long as it takes to pack it. */
#define GZIP_FORMAT 16
#define SMALL_BITS  13
#define SMALL_LEVEL 6
#define LARGE_BITS  15
#define LARGE_LEVEL 8

struct packer {
    z_stream z;
    struct arena *arena; /* of the result */
    str rest;            /* of the input: not yet given to z */
    size_t step, most;   /* room is added in such steps, up to that */
    char *out;
    size_t cap;
};

static void *take(void *arena, unsigned count, unsigned size)
{
    size_t n;
    return size_mul(count, size, &n) ? arena_alloc(arena, n) : NULL;
}

static void put_back(void *arena, void *p) /* with the arena */
{
    (void)arena;
    (void)p;
}

static enum err add_room(struct packer *p)
{
    size_t cap = p->cap + MIN_OF(p->step, p->most - p->cap);
    if (cap == p->cap)
        return ERR_LIMIT;
    char *out = arena_extend(p->arena, p->out, p->cap, cap);
    if (out == NULL)
        return ERR_NOMEM;
    p->z.next_out = (Bytef *)out + p->cap;
    p->z.avail_out = (uInt)(cap - p->cap);
    p->out = out;
    p->cap = cap;
    return OK;
}

static void next_portion(struct packer *p)
{
    size_t n = MIN_OF(p->rest.n, PORTION);
    p->z.next_in = (const Bytef *)p->rest.p;
    p->z.avail_in = (uInt)n;
    p->rest = str_drop(p->rest, n);
}

static enum err pack(struct packer *p, struct http_gzip_patience patience)
{
    for (int r = Z_OK; r != Z_STREAM_END;) {
        if (p->z.avail_in == 0 && p->rest.n > 0) {
            if (patience.is_over(patience.ctx))
                return ERR_AGAIN;
            next_portion(p);
        }
        enum err e = p->z.avail_out == 0 ? add_room(p) : OK;
        if (e != OK)
            return e;
        r = deflate(&p->z, p->rest.n > 0 ? Z_NO_FLUSH : Z_FINISH);
        CHECK(r == Z_OK || r == Z_STREAM_END); /* there is always input, an end of it, or room */
    }
    return OK;
}

static enum err run(struct packer *p, struct http_gzip_patience patience)
{
    bool small = p->rest.n <= HTTP_GZIP_SMALL;
    int bits = small ? SMALL_BITS : LARGE_BITS, level = small ? SMALL_LEVEL : LARGE_LEVEL;
    struct arena beside;
    arena_init_beside(&beside, p->arena);
    p->z.zalloc = take;
    p->z.zfree = put_back;
    p->z.opaque = &beside;
    enum err e = ERR_NOMEM; /* all that can fail: the rest is ours */
    if (deflateInit2(&p->z, Z_BEST_SPEED, Z_DEFLATED, bits + GZIP_FORMAT, level,
                     Z_DEFAULT_STRATEGY) == Z_OK)
        e = pack(p, patience);
    arena_fini(&beside); /* deflateEnd() would do nothing beside that */
    return e;
}

enum err http_gzip(struct arena *a, str in, size_t most, struct http_gzip_patience patience,
                   str *out)
{
    CHECK(!arena_failed(a));
    const struct arena_mark before = arena_mark(a);
    struct packer p = {
        .arena = a, .rest = in, .step = MIN_OF(in.n / 3 + KIB, MAX_STEP), .most = most};
    enum err e = run(&p, patience);
    if (e != OK) {
        arena_release(a, before);
        arena_forgive(a);
        return e;
    }
    *out = (str){p.out, p.cap - p.z.avail_out};
    return OK;
}
