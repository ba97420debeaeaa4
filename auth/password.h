/*
 * auth/password.h - passwords as bcrypt hashes, interchangeable with those of the reference.
 *
 * Both functions take long on purpose (a cost of 12: some 0.2 s, on a Raspberry Pi 1 s), so they
 * run on threads that may be busy, never on an event loop. Any thread.
 */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "base/arena.h"

/* bcrypt looks at no more, and at nothing behind a NUL. */
#define PASSWORD_MAX_BYTES 72

#define PASSWORD_MIN_COST 4
#define PASSWORD_MAX_COST 16

/* Can it be hashed as a whole? */
bool password_is_usable(str password);
/* "$2b$12$..." in the arena, with a salt of its own; 2^cost rounds. RANGE: the password is not usable;
 * NOMEM. */
MUST_CHECK enum err password_hash(struct arena *a, str password, unsigned cost, str *hash);
/*
 * Sets *same. A hash that is none ($2a$, $2b$ and $2y$ are), or that would take longer than with
 * PASSWORD_MAX_COST, is that of no password. Of a password the first PASSWORD_MAX_BYTES count, as
 * wherever bcrypt is used. NOMEM.
 */
MUST_CHECK enum err password_check(struct arena *a, str password, str hash, bool *same);

#endif
