/*
 * test/fuzz/fuzz.h - what a fuzz target is made of. A target is one file, fuzz_NAME.c, with one function: it
 * gives bytes that a stranger may send to the code that reads them, and CHECKs what must be true of the
 * answer, whatever the bytes are. Its seeds lie in seeds/NAME, words of its language in NAME.dict.
 *
 * libFuzzer (make fuzz) or replay.c (make test) calls it. The input is a heap block of exactly `size` bytes,
 * so that ASan sees a read beyond it; whoever looks at a part of it makes such a block of that (fuzz_copy).
 * A target keeps nothing from one input to the next that could change what it does.
 */
#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include "base/arena.h"

/* 0, or -1: not worth keeping. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes the first byte off the input; 0 when there is none. */
static inline uint8_t fuzz_byte(str *in)
{
    if (in->n == 0)
        return 0;
    uint8_t b = (uint8_t)in->p[0];
    *in = str_drop(*in, 1);
    return b;
}

/* Up to the next byte 0xff, which no UTF-8 has and no grammar here uses; the rest when there is none. */
static inline str fuzz_part(str *in)
{
    str part = str_cut(in, '\xff');
    return str_none(part) ? STR("") : part;
}

static inline str fuzz_input(const uint8_t *data, size_t size)
{
    return (str){size > 0 ? (const char *)data : "", size};
}

/* A block of its own, of exactly these bytes; free() it. */
static inline char *fuzz_copy(str s)
{
    char *p = malloc(s.n > 0 ? s.n : 1);
    CHECK(p != NULL);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

/* Is `part` a slice of `whole`, or none, or empty? */
static inline bool fuzz_within(str part, str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

/* A small generator, for sizes of pieces: the same for the same input. */
static inline uint32_t fuzz_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif
