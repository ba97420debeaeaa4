/* engine/bits.c - see bits.h. */
#include "engine/bits.h"
#include "engine/private.h"

enum err bits_grow(struct bits *b, size_t words)
{
    uint64_t *w;

    if (words <= b->words)
        return OK;
    words = MAX_OF(words, 2 * b->words);
    w = mem_zalloc(words * sizeof *w);
    if (w == NULL)
        return ERR_NOMEM;
    if (b->words > 0)
        memcpy(w, b->w, b->words * sizeof *w);
    free(b->w);
    *b = (struct bits){w, words};
    return OK;
}

void bits_fini(struct bits *b)
{
    free(b->w);
    *b = (struct bits){0};
}
