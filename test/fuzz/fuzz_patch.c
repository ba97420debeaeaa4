/* The three ways to change a document: pointer, merge patch, patch. Input: document 0xff patch. */
#include "test/fuzz/fuzz.h"

#include "json/private.h"

/* Of anything that was built or changed: it is as good as what was parsed. */
static void check_sound(struct arena *a, const struct json *v)
{
    struct json *again;
    str text = json_text(a, v);

    CHECK(!str_none(text) && json_parse(a, text, &again, NULL) == OK && json_equal(v, again));
}

static void merge(struct arena *a, const struct json *doc, const struct json *patch)
{
    str before = json_text(a, patch);
    struct json *target = json_copy(a, doc);
    struct json *once = json_merge_patch(a, target, patch);

    if (once == NULL)
        return; /* nested too deeply, as the pairs may be */
    check_sound(a, once);
    CHECK(str_eq(json_text(a, patch), before));
    struct json *twice = json_merge_patch(a, json_copy(a, once), patch);
    CHECK(twice != NULL && json_equal(once, twice)); /* a merge has one end */
}

static void patch_all(struct arena *a, const struct json *doc, const struct json *ops)
{
    struct json_patch_error error = {.what = STR_NONE};
    struct json *target = json_copy(a, doc);
    str before = json_text(a, ops);
    enum err e = json_patch_apply(a, &target, ops, &error);

    CHECK(e != ERR_NOMEM || arena_failed(a));
    if (e != OK && e != ERR_NOMEM)
        CHECK(!str_none(error.what) && str_utf8_valid(error.what));
    if (target != NULL)
        check_sound(a, target);
    CHECK(str_eq(json_text(a, ops), before));
}

static void pointers(struct arena *a, const struct json *doc, str pointer)
{
    struct json *found;

    if (json_pointer_get(a, doc, pointer, &found) == OK)
        check_sound(a, found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size), first = fuzz_part(&in), second = fuzz_part(&in);
    struct json *doc, *patch;
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 128 * MIB);
    if (json_parse(&a, first, &doc, NULL) == OK) {
        pointers(&a, doc, second);
        if (json_parse(&a, second, &patch, NULL) == OK) {
            merge(&a, doc, patch);
            if (json_is(patch, JSON_ARRAY))
                patch_all(&a, doc, patch);
        }
    }
    arena_fini(&a);
    return 0;
}
