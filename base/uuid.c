/* base/uuid.c - the text of a UUID. */
#include "base/uuid.h"

void uuid_write(const uint8_t uuid[UUID_BYTES], char out[UUID_TEXT_BYTES + 1])
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = hex[uuid[i] >> 4];
        *out++ = hex[uuid[i] & 15];
    }
    *out = '\0';
}
