/*
 * plugins/counters.c - GET /__counters__: how many objects and tombstones of each kind there are.
 * Who asks needs no credentials (as in the reference). A kind that has none is not named.
 *
 * Cost: two look-ups for each list there is, whatever it holds.
 */
#include <inttypes.h>

#include "plugins/private.h"

/* In the reference's order; some of them are other plugins'. */
static const str resources[] = {
    STR_INIT("account"), STR_INIT("bucket"),  STR_INIT("group"),       STR_INIT("collection"),
    STR_INIT("record"),  STR_INIT("history"), STR_INIT("attachments"),
};

static void add_count(struct buf *b, size_t resource, uint64_t count)
{
    if (count == 0)
        return;
    if (b->n > 0 && b->p[b->n - 1] != '{') /* none: there was no memory */
        buf_add_char(b, ',');
    buf_printf(b, "\"" STR_FMT "\":%" PRIu64, STR_ARG(resources[resource]), count);
}

static enum api_step reply(struct api_req *r, const struct store_counts *counts)
{
    struct buf b;
    buf_init_arena(&b, api_arena(r), MIB);
    buf_add_lit(&b, "{\"objects\":{");
    for (size_t i = 0; i < ARRAY_LEN(resources); i++)
        add_count(&b, i, counts[i].objects);
    buf_add_lit(&b, "},\"tombstones\":{");
    for (size_t i = 0; i < ARRAY_LEN(resources); i++)
        add_count(&b, i, counts[i].tombstones);
    buf_add_lit(&b, "}}");
    return buf_failed(&b) ? api_fail_err(r, b.err) : api_reply_json(r, 200, buf_str(&b));
}

static enum api_step count(struct api_req *r)
{
    struct store_counts counts[ARRAY_LEN(resources)];
    enum err e = store_count(api_session(r), resources, ARRAY_LEN(resources), counts);
    return e == OK ? reply(r, counts) : api_fail_err(r, e);
}

enum err counters_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    (void)s;
    (void)d;
    static const struct api_endpoint endpoint = {
        .path = "/__counters__",
        .methods = METHOD_BIT(METHOD_GET),
        .handler = count,
        .doc = {.operation = "get_counters",
                .endpoint = "counters",
                .tag = "Counters",
                .summary = "How many objects and tombstones of each kind there are."},
    };
    enum err e = api_add_endpoint(a, &endpoint);
    if (e != OK)
        return e;
    return api_add_capability(a, "counters_endpoint",
                              "{\"description\":\"The __counters__ endpoint exposes how many "
                              "objects are stored.\",\"url\":"
                              "\"https://kinto.readthedocs.io/en/latest/api/1.x/counters.html\"}");
}
