/*
 * store/memo.c - what a thread remembers of lists and principals: their numbers, which every request asks for, and
 * which hardly ever change.
 *
 * Tables in which each name, and each number of a principal, has one place. What is there holds for views of the
 * same mark (engine_view_mark): every write of a key that has to do with names marks its transaction (store.c).
 * Names that are too long for a place are not remembered.
 */
#include "store/private.h"

#define PLACES     128 /* a power of two */
#define PRINCIPALS 32  /* the same */
#define NAME_BYTES 140

/* Of a list: its resource, then its parent. Of a principal: all is behind the head. */
struct name {
    str head, rest;
};

struct memo_place {
    uint64_t mark;   /* of the view that it was found in */
    uint32_t number; /* 0: the place is free */
    uint8_t head_n, rest_n;
    char name[NAME_BYTES];
};

struct memo {
    struct memo_place lists[PLACES];
    struct memo_place principals[PRINCIPALS]; /* by their names */
    struct memo_place numbers[PRINCIPALS];    /* and by their numbers */
};

struct memo *store_memo_new(void)
{
    return calloc(1, sizeof(struct memo));
}

void store_memo_free(struct memo *m)
{
    free(m);
}

static bool is_at(const struct memo_place *at, const struct name *name, uint64_t mark)
{
    return at->number != 0 && at->mark == mark && at->head_n == name->head.n &&
           at->rest_n == name->rest.n && str_eq((str){at->name, at->head_n}, name->head) &&
           str_eq((str){at->name + at->head_n, at->rest_n}, name->rest);
}

static uint32_t number_at(struct store_session *s, const struct memo_place *at,
                          const struct name *name)
{
    uint64_t mark = engine_view_mark(s->view);

    return mark != ENGINE_NO_MARK && is_at(at, name, mark) ? at->number : 0;
}

static void fill(struct store_session *s, struct memo_place *at, const struct name *name,
                 uint32_t number)
{
    uint64_t mark = engine_view_mark(s->view);

    if (mark == ENGINE_NO_MARK || name->head.n + name->rest.n > NAME_BYTES)
        return;
    at->mark = mark;
    at->number = number;
    at->head_n = (uint8_t)name->head.n;
    at->rest_n = (uint8_t)name->rest.n;
    if (name->head.n > 0)
        memcpy(at->name, name->head.p, name->head.n);
    if (name->rest.n > 0)
        memcpy(at->name + name->head.n, name->rest.p, name->rest.n);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static struct memo_place *place_of_list(struct store_session *s, struct store_list_id id)
{
    uint64_t spread = str_spread(id.parent); /* neighbours have one parent */

    if (id.resource.n > 0)
        spread += (uint8_t)id.resource.p[0];
    return &s->thread->memo->lists[spread % PLACES];
}

uint32_t store_memo_number(struct store_session *s, struct store_list_id id)
{
    return number_at(s, place_of_list(s, id), &(struct name){id.resource, id.parent});
}

void store_memo_add(struct store_session *s, struct store_list_id id, uint32_t number)
{
    fill(s, place_of_list(s, id), &(struct name){id.resource, id.parent}, number);
}

/* ---- principals ------------------------------------------------------------------------------ */

static struct memo_place *place_of_principal(struct store_session *s, str name)
{
    return &s->thread->memo->principals[str_spread(name) % PRINCIPALS];
}

static struct memo_place *place_of_number(struct store_session *s, uint32_t number)
{
    return &s->thread->memo->numbers[number % PRINCIPALS];
}

uint32_t store_memo_principal(struct store_session *s, str name)
{
    return number_at(s, place_of_principal(s, name), &(struct name){STR_NONE, name});
}

str store_memo_principal_name(struct store_session *s, uint32_t number)
{
    const struct memo_place *at = place_of_number(s, number);
    uint64_t mark = engine_view_mark(s->view);

    if (mark == ENGINE_NO_MARK || at->mark != mark || at->number != number)
        return STR_NONE;
    return (str){at->name, at->rest_n};
}

void store_memo_add_principal(struct store_session *s, str name, uint32_t number)
{
    const struct name n = {STR_NONE, name};

    fill(s, place_of_principal(s, name), &n, number);
    fill(s, place_of_number(s, number), &n, number);
}
