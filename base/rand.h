/*
 * base/rand.h - random bytes from the kernel (getrandom), buffered by each thread. Fit for ids,
 * nonces and secrets. The process stops if the kernel has none (it never does after boot).
 */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include "base/uuid.h"

void rand_bytes(void *out, size_t n);
uint64_t rand_u64(void);
/* Version 4 (RFC 9562, section 5.4), as uuid_write writes it. */
void rand_uuid4(char out[UUID_TEXT_BYTES + 1]);
void rand_name(char *out, size_t n, const char *alphabet); /* n characters and a NUL, unbiased */

#endif
