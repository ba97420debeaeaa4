/*
 * json/merge.c - JSON Merge Patch (RFC 7396, the algorithm of section 2).
 *
 * Recursion is as deep as the patch.
 */
#include "json/private.h"

static enum err merge_member(struct arena *a, struct json *target, const struct json_member *m)
{
    struct json *old, *merged;

    if (m->value->type == JSON_NULL) {
        json_remove(target, m->name);
        return OK;
    }
    old = json_get(target, m->name);
    merged = json_merge_patch(a, old, m->value);
    if (merged != NULL && merged == old)
        return OK; /* changed where it is */
    return json_set(a, target, m->name, merged);
}

struct json *json_merge_patch(struct arena *a, struct json *target, const struct json *patch)
{
    const struct json_member *m;
    uint32_t at = 0;

    if (!json_is(patch, JSON_OBJECT))
        return json_copy(a, patch);
    if (!json_is(target, JSON_OBJECT))
        target = json_new_object(a);
    if (target == NULL)
        return NULL;
    while ((m = json_next_member(patch, &at)) != NULL)
        if (merge_member(a, target, m) != OK)
            return NULL;
    return target;
}
