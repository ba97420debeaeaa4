/*
 * auth/memory.c - what a thread remembers of credentials: a table in which each tag has one place, so that who
 * comes last stays. Whoever sends many different ones pushes others out, and costs them one hash.
 */
#include "auth/private.h"

#define PLACES 256

struct auth_memory {
    struct {
        struct siphash_tag tag;
        char answer[AUTH_ANSWER_BYTES];
        bool used;
    } places[PLACES];
};

struct auth_memory *auth_memory_new(void)
{
    return calloc(1, sizeof(struct auth_memory));
}

void auth_memory_free(struct auth_memory *m)
{
    free(m);
}

const char *auth_recall(const struct auth_memory *m, const struct siphash_tag *tag)
{
    size_t at = tag->t[0] % PLACES;
    return m->places[at].used && siphash_tag_equal(&m->places[at].tag, tag) ? m->places[at].answer
                                                                            : NULL;
}

void auth_remember(struct auth_memory *m, const struct siphash_tag *tag,
                   const char answer[AUTH_ANSWER_BYTES])
{
    size_t at = tag->t[0] % PLACES;
    m->places[at].tag = *tag;
    m->places[at].used = true;
    memcpy(m->places[at].answer, answer, AUTH_ANSWER_BYTES);
}
