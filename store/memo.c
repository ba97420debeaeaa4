/*
 * store/memo.c - what a thread remembers of lists: their numbers, which every request asks for, and which
 * hardly ever change.
 *
 * A table in which each name has one place. What is there holds for views of the same mark
 * (engine_view_mark): every write of a key that has to do with names marks its transaction (store.c). Names
 * that are too long for a place are not remembered.
 */
#include "store/private.h"

#define PLACES     128 /* a power of two */
#define NAME_BYTES 140

struct memo_place {
    uint64_t mark;   /* of the view that it was found in */
    uint32_t number; /* of the list; 0: the place is free */
    uint8_t resource_n, parent_n;
    char name[NAME_BYTES]; /* the resource, then the parent */
};

struct memo {
    struct memo_place places[PLACES];
};

struct memo *store_memo_new(void)
{
    return calloc(1, sizeof(struct memo));
}

void store_memo_free(struct memo *m)
{
    free(m);
}

/* Where the name has its place; NULL: it is too long for one. */
static struct memo_place *place_of(struct store_session *s, struct store_list_id id)
{
    struct memo *m = s->thread->memo;

    if (id.resource.n == 0 || id.resource.n + id.parent.n > NAME_BYTES)
        return NULL;
    return &m->places[(str_spread(id.parent) + (uint8_t)id.resource.p[0]) %
                      PLACES]; /* neighbours have one parent */
}

static bool is_at(const struct memo_place *at, struct store_list_id id, uint64_t mark)
{
    return at->number != 0 && at->mark == mark && at->resource_n == id.resource.n &&
           at->parent_n == id.parent.n && memcmp(at->name, id.resource.p, id.resource.n) == 0 &&
           (id.parent.n == 0 || memcmp(at->name + id.resource.n, id.parent.p, id.parent.n) == 0);
}

uint32_t store_memo_number(struct store_session *s, struct store_list_id id)
{
    uint64_t mark = engine_view_mark(s->view);
    const struct memo_place *at = mark != ENGINE_NO_MARK ? place_of(s, id) : NULL;

    return at != NULL && is_at(at, id, mark) ? at->number : 0;
}

void store_memo_add(struct store_session *s, struct store_list_id id, uint32_t number)
{
    uint64_t mark = engine_view_mark(s->view);
    struct memo_place *at = mark != ENGINE_NO_MARK ? place_of(s, id) : NULL;

    if (at == NULL)
        return;
    at->mark = mark;
    at->number = number;
    at->resource_n = (uint8_t)id.resource.n;
    at->parent_n = (uint8_t)id.parent.n;
    memcpy(at->name, id.resource.p, id.resource.n);
    if (id.parent.n > 0)
        memcpy(at->name + id.resource.n, id.parent.p, id.parent.n);
}
