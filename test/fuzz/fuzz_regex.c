/* Patterns of Python's re: translated, compiled, and looked for. Input: pattern 0xff text. */
#include "test/fuzz/fuzz.h"

#include "json/regex_translate.h"

#define STEPS 200000

static void translate(struct arena *a, str pattern)
{
    const char *why = "";
    uint64_t steps = STEPS, reach = 0;
    struct buf out;

    buf_init_arena(&out, a, MIB);
    enum err e = json_regex_translate(pattern, &steps, &out, &reach, &why);
    CHECK(steps <= STEPS);
    CHECK((e == ERR_UNSUPPORTED) == (why != NULL));
    if (e == OK)
        CHECK(!buf_failed(&out) && str_utf8_valid(buf_str(&out)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size), pattern = fuzz_part(&in), text = fuzz_part(&in);
    struct json_regex_scratch scratch = {0};
    struct json_regex *r = NULL;
    uint64_t steps = STEPS;
    struct arena a;
    bool found;

    if (!str_utf8_valid(pattern) || !str_utf8_valid(text))
        return -1;
    arena_init(&a, NULL, 0, NULL, 4 * MIB);
    translate(&a, pattern);
    enum err e = json_regex_new(&r, pattern, &steps, NULL);
    CHECK(steps <= STEPS);
    CHECK(e == OK || e == ERR_SYNTAX || e == ERR_UNSUPPORTED || e == ERR_LIMIT);
    if (e == OK) {
        char *exact = fuzz_copy(text);
        e = json_regex_search(r, &scratch, (str){exact, text.n}, &steps, &found);
        CHECK(e == OK || e == ERR_LIMIT);
        free(exact);
        json_regex_scratch_fini(&scratch);
        json_regex_free(r);
    }
    arena_fini(&a);
    return 0;
}
