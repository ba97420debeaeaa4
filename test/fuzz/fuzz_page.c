/*
 * A page of the index, with whatever is in it: is it one (inspect.c), and does reading and changing one
 * that was found right stay within it (node.c)? Input: the length of a key, the key, and the page: its
 * header and some slots from the start, what is behind them ends where the page does.
 */
#include "test/fuzz/fuzz.h"

#include "engine/inspect.c"

static void look(const struct page *p, str key)
{
    uint8_t out[ENGINE_MAX_KEY_BYTES];
    bool exact;

    CHECK(node_used(p) <= PAGE_BYTES);
    for (unsigned i = 0; i < p->count; i++) {
        struct value_ref ref;
        struct cell cell = node_cell(p, i);
        CHECK(cell.suffix + cell.suffix_n <= (const uint8_t *)p + PAGE_BYTES);
        size_t n = node_key(p, i, out);
        CHECK(n <= ENGINE_MAX_KEY_BYTES);
        (void)node_has_prefix(p, i, key);
        if (p->level > 0)
            (void)node_child(p, i);
        else
            CHECK(cell.body + body_decode(cell.body, &ref) <= (const uint8_t *)p + PAGE_BYTES);
        if (p->level == 0)
            CHECK(node_lower(p, (str){(char *)out, n}, &exact) == i && exact);
        else if (i > 0)
            CHECK(node_child_slot(p, (str){(char *)out, n}) == i);
    }
    if (p->level > 0) {
        CHECK(node_child_slot(p, key) < p->count);
        return;
    }
    unsigned at = node_lower(p, key, &exact);
    CHECK(at <= p->count && node_prefix_end(p, at, key) <= p->count);
}

/* One more key, or one less: the page is right as before. */
static void change(const struct page *p, str key)
{
    struct tree_scratch *scratch = malloc(sizeof *scratch);
    struct page *copy = malloc(sizeof *copy);
    uint8_t body[BODY_MAX_BYTES];
    bool exact = false;

    CHECK(scratch != NULL && copy != NULL);
    node_copy(copy, p);
    CHECK(layout(copy) == NULL);
    struct value_ref ref = {
        .bytes = 1, .kind = VALUE_INLINE, .seg = 1, .data = (const uint8_t *)"x"};
    struct item it = {.head = (const uint8_t *)key.p,
                      .head_n = (uint16_t)key.n,
                      .body = body,
                      .body_n = (uint16_t)body_encode(body, &ref)};
    unsigned at = node_lower(copy, key, &exact);
    if (exact)
        node_remove(copy, at, 1);
    else if (key.n > 0)
        exact = node_insert(copy, at, &it, &scratch->copy, scratch->items);
    if (copy->count > 0) {
        CHECK(layout(copy) == NULL && keys_rise(copy, STR(""), NULL));
        size_t n = node_gather(copy, scratch->items);
        CHECK(n == copy->count);
        if (items_bytes(scratch->items, n, 0) <= PAGE_BYTES) {
            node_init(&scratch->copy, 0);
            node_build(&scratch->copy, scratch->items, n);
            CHECK(layout(&scratch->copy) == NULL && keys_rise(&scratch->copy, STR(""), NULL));
        }
    }
    free(copy);
    free(scratch);
}

static void fill(struct page *p, str in)
{
    size_t head = MIN_OF(in.n, (size_t)PAGE_HEADER_BYTES + 128);
    str tail = str_drop(in, head);

    tail.n = MIN_OF(tail.n, PAGE_BYTES - head);
    memset(p, 0, sizeof *p);
    if (head > 0)
        memcpy(p, in.p, head);
    memcpy((uint8_t *)p + PAGE_BYTES - tail.n, tail.p, tail.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    size_t n = fuzz_byte(&in) % 16;
    str key = str_sub(in, 0, n);
    struct page *p = malloc(sizeof *p);

    CHECK(p != NULL);
    in = str_drop(in, key.n);
    fill(p, in);
    if (layout(p) == NULL && keys_rise(p, STR(""), NULL)) {
        look(p, key);
        if (p->level == 0)
            change(p, key);
    }
    free(p);
    return 0;
}
