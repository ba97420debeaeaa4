/* base/crc.h - CRC-32C (Castagnoli, RFC 3720 B.4). Hardware instructions where the CPU has them,
 * decided at run time; tables elsewhere. */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include "base/base.h"

/* The checksum of n bytes, going on from `crc` (0 at the start). crc32c(0, "123456789", 9) ==
 * 0xE3069283. crc32c(crc32c(0, a), b) == crc32c(0, a b). */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The value that crc32c went on from when it gave `crc` for these bytes. For few bytes. */
uint32_t crc32c_undo(uint32_t crc, const void *p, size_t n);

#endif
