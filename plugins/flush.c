/*
 * plugins/flush.c - POST /__flush__ empties the server. It asks for no credentials (as the
 * reference's): for test suites, never for a server that keeps something.
 */
#include "plugins/private.h"

static enum api_step flush(struct api_req *r)
{
    enum err e = store_delete_everything(api_session(r));
    if (e != OK)
        return api_fail_err(r, e);
    store_cache_flush(api_store(api_of(r)));
    return api_reply_json(r, 202, STR("{}"));
}

enum err flush_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    (void)s;
    (void)d;
    static const struct api_endpoint endpoint = {
        .path = "/__flush__",
        .methods = METHOD_BIT(METHOD_POST),
        .writes = true,
        .handler = flush,
        .doc = {.operation = "create_flush",
                .endpoint = "flush",
                .tag = "Flush",
                .summary = "Remove all data.",
                .status = 202},
    };
    enum err e = api_add_endpoint(a, &endpoint);
    if (e != OK)
        return e;
    return api_add_capability(
        a, "flush_endpoint",
        "{\"description\":\"The __flush__ endpoint can be used to remove all data from all "
        "backends.\",\"url\":\"https://kinto.readthedocs.io/en/latest/api/1.x/flush.html\"}");
}
