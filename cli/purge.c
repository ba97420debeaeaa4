/*
 * cli/purge.c - kinto purge-deleted: which tombstones shall go, by the operands, and the call.
 */
#include "cli/private.h"

#include "store/store.h"

enum err cli_purge_read(const struct cli_operands *words, struct cli_purge *out,
                        struct err_detail *d)
{
    struct cli_purge p = {.n = 0};
    int64_t keep;
    if (words->n < 2)
        return err_set(d, ERR_SYNTAX, 0, "resources and how many tombstones to keep are needed");
    const char *last = words->at[words->n - 1];
    if (str_to_i64(str_from(last), &keep) != OK)
        return err_set(d, ERR_SYNTAX, 0, "MAX_RETAINED is a number, found: %s", last);
    p.keep = keep > 0 ? (uint64_t)keep : 0; /* as the reference has it: below 0 is 0 */
    for (; p.n + 1 < words->n; p.n++)
        p.resources[p.n] = str_from(words->at[p.n]);
    *out = p;
    return OK;
}

enum err cli_purge_run(struct store *s, const struct cli_purge *p, uint64_t *count,
                       struct err_detail *d)
{
    struct store_thread *t;
    *count = 0;
    enum err e = store_thread_new(s, &t);
    if (e != OK)
        return e;
    e = store_purge_deleted(t, p->resources, p->n, p->keep, count);
    store_thread_free(t);
    if (e == OK)
        return OK;
    return err_set(d, e, 0, "%s, after %llu tombstones that are deleted", err_text(e),
                   (unsigned long long)*count);
}
