/* A chunked body: whole, and in pieces. */
#include "test/fuzz/fuzz.h"

#include "http/private.h"

struct decoded {
    enum chunked_status status;
    size_t used, n;
    char *data; /* room for all of the input */
};

static struct decoded decode(str in, uint32_t random, bool pieces)
{
    struct decoded d = {.status = CHUNKED_MORE, .data = malloc(in.n + 1)};
    struct chunked state = {0};

    CHECK(d.data != NULL);
    while (d.status == CHUNKED_MORE && d.used < in.n) {
        str piece = str_drop(in, d.used);
        size_t data_n, used;
        if (pieces)
            piece = str_sub(piece, 0, 1 + fuzz_next(&random) % 20);
        char *p = fuzz_copy(piece);
        d.status = chunked_decode(&state, p, piece.n, &data_n, &used);
        CHECK(used <= piece.n && data_n <= used);
        CHECK(used == piece.n || d.status != CHUNKED_MORE);
        memcpy(d.data + d.n, p, data_n);
        d.n += data_n;
        d.used += used;
        free(p);
    }
    return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    uint32_t random = fuzz_byte(&in);
    struct decoded whole = decode(in, 0, false), parts = decode(in, random, true);

    CHECK(whole.status == parts.status && whole.used == parts.used && whole.n == parts.n);
    CHECK(memcmp(whole.data, parts.data, whole.n) == 0);
    free(whole.data);
    free(parts.data);
    return 0;
}
