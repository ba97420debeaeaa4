/*
 * base/uuid.h - UUIDs in their canonical text: 36 characters, lower-case hex digits in groups of 8, 4, 4, 4 and
 * 12 with dashes between (RFC 9562, section 4). Of which version one is, is not asked. No allocation; any thread.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <endian.h>

#include "base/bytes.h"
#include "base/str.h"

#define UUID_BYTES      16
#define UUID_TEXT_BYTES 36

/* Eight at a time: ids of objects are UUIDs mostly, and every id of every request is read here. */
static inline bool uuid_digits(const char *p, uint8_t out[4])
{
    uint64_t w = le64toh(bytes_load(p)), letters = bytes_between(w, 'a', 'f');
    uint32_t bytes;

    if ((letters | bytes_between(w, '0', '9')) != BYTES_TOPS)
        return false;
    w = (w & EACH_BYTE(0x0f)) + (letters >> 7) * 9;
    w = (w << 4 | w >> 8) & UINT64_C(0x00ff00ff00ff00ff); /* each pair in its first byte */
    w = (w | w >> 8) & UINT64_C(0x0000ffff0000ffff);
    bytes = htole32((uint32_t)(w | w >> 16));
    memcpy(out, &bytes, sizeof bytes);
    return true;
}

/* False: it is no UUID, or written in another way, so that what was read is written as it was. `out` may then
 * have been written to. */
static inline bool uuid_read(str text, uint8_t out[UUID_BYTES])
{
    const char *p = text.p;
    char middle[16];

    if (text.n != UUID_TEXT_BYTES || p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
        return false;
    memcpy(middle, p + 9, 4);
    memcpy(middle + 4, p + 14, 4);
    memcpy(middle + 8, p + 19, 4);
    memcpy(middle + 12, p + 24, 4);
    return uuid_digits(p, out) && uuid_digits(middle, out + 4) &&
           uuid_digits(middle + 8, out + 8) && uuid_digits(p + 28, out + 12);
}

void uuid_write(const uint8_t uuid[UUID_BYTES], char out[UUID_TEXT_BYTES + 1]); /* with a NUL */

#endif
