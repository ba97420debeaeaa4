/*
 * http/mbedtls_certs.c - what stands in for the certificates of mbedtls 2.28's self test, 54 KB of them.
 *
 * Nobody calls that test, but it lies in one object with what reads certificates, and refers to these. Defined here
 * and wanted before the archive is looked at (-Wl,-u, Makefile), they are not taken out of it. Weak, so that
 * nothing breaks should a later version refer to more of them: then its own ones are linked in again. From 3.0 on there
 * are none in the library.
 */
#include "base/base.h"

#define WEAK __attribute__((weak))

extern const char *mbedtls_test_ca_crt, *mbedtls_test_cli_crt;
extern const size_t mbedtls_test_ca_crt_len, mbedtls_test_cli_crt_len;

WEAK const char *mbedtls_test_ca_crt = "";
WEAK const size_t mbedtls_test_ca_crt_len = sizeof "";
WEAK const char *mbedtls_test_cli_crt = "";
WEAK const size_t mbedtls_test_cli_crt_len = sizeof "";
