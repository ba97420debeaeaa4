/*
 * auth/crypt_others.c - what stands in for the hashes of libxcrypt that are not bcrypt: a sixth of a megabyte, most of
 * it the tables of DES.
 *
 * Its one table of hashes refers to all of them; password.c asks for bcrypt only, and takes no setting of another. Defined
 * here and wanted before the archive is looked at (-Wl,-u, Makefile), they are not taken out of it. Weak, so that
 * nothing breaks should a later version need one of them in another way: then its own is linked in again. If one is called
 * all the same it refuses: the library has put its token of failure where the hash would be.
 */
#include "base/base.h"

#include <errno.h>

static void refuse(void)
{
    errno = EINVAL;
}

#define INSTEAD_OF(name)                                                                           \
    void _crypt_crypt_##name##_rn(void) __attribute__((weak, alias("refuse")));                    \
    void _crypt_gensalt_##name##_rn(void) __attribute__((weak, alias("refuse")))

INSTEAD_OF(bigcrypt);
INSTEAD_OF(bsdicrypt);
INSTEAD_OF(descrypt);
INSTEAD_OF(gost_yescrypt);
INSTEAD_OF(md5crypt);
INSTEAD_OF(nt);
INSTEAD_OF(scrypt);
INSTEAD_OF(sha1crypt);
INSTEAD_OF(sha256crypt);
INSTEAD_OF(sha512crypt);
INSTEAD_OF(sunmd5);
INSTEAD_OF(yescrypt);
