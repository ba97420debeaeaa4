/*
 * test/support/gunzip.h - what a client makes of a body whose Content-Encoding is gzip.
 */
#ifndef TEST_SUPPORT_GUNZIP_H
#define TEST_SUPPORT_GUNZIP_H

#include "test/support/unit.h"

#include <stdlib.h>
#include <zlib.h>

#define GUNZIP_MAX (64 * MIB)

/* It must be one whole gzip member and nothing behind it. The caller frees what is in it. */
static inline str gunzip(str packed)
{
    size_t cap = GUNZIP_MAX;
    char *out = malloc(cap);
    z_stream z = {0};

    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)packed.p;
    z.avail_in = (uInt)packed.n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)cap;
    ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    ck_assert_uint_eq(z.avail_in, 0);
    str plain = {out, cap - z.avail_out};
    inflateEnd(&z);
    return plain;
}

static inline void gunzip_free(str plain)
{
    free((char *)(uintptr_t)plain.p);
}

/* Is `packed` gzip of that? */
static inline void want_gzip_of(str packed, str plain)
{
    str got = gunzip(packed);

    ck_assert_msg(str_eq(got, plain), "%zu bytes, want %zu", got.n, plain.n);
    gunzip_free(got);
}

#endif
