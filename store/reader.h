/*
 * store/reader.h - reading what lies in a value: every function gives zeros after the first one that ran over the end, so that
 * one look at the end tells. Borrows the value. In a header, as each object that a query looks at is read by it.
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include <endian.h>

#include "base/err.h"
#include "base/str.h"
#include "base/varint.h"

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct reader store_reader(str value)
{
    const uint8_t *p = (const uint8_t *)(value.p != NULL ? value.p : "");

    return (struct reader){p, p + value.n, false};
}

static inline void store_dec_fail(struct reader *r)
{
    r->bad = true;
    r->at = r->end;
}

static inline uint64_t store_dec_varint(struct reader *r)
{
    uint64_t v;
    const uint8_t *behind = varint_get(r->at, r->end, &v);

    if (behind == NULL) {
        store_dec_fail(r);
        return 0;
    }
    r->at = behind;
    return v;
}

/* A zigzag varint. */
static inline int64_t store_dec_signed(struct reader *r)
{
    uint64_t v = store_dec_varint(r);

    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static inline str store_dec_bytes(struct reader *r, uint64_t n)
{
    str bytes;

    if (n > (uint64_t)(r->end - r->at)) {
        store_dec_fail(r);
        return STR("");
    }
    bytes = (str){(const char *)r->at, (size_t)n};
    r->at += n;
    return bytes;
}

static inline str store_dec_rest(struct reader *r)
{
    return store_dec_bytes(r, (uint64_t)(r->end - r->at));
}

static inline uint32_t store_dec_u32(struct reader *r)
{
    str b = store_dec_bytes(r, 4);
    uint32_t v = 0;

    if (b.n > 0)
        memcpy(&v, b.p, sizeof v);
    return be32toh(v);
}

/* OK when all was there and, with `whole`, nothing is left; else CORRUPT. */
MUST_CHECK static inline enum err store_dec_end(const struct reader *r, bool whole)
{
    return r->bad || (whole && r->at != r->end) ? ERR_CORRUPT : OK;
}

#endif
