/*
 * plugins/accounts.h - accounts without a server: what kinto create-user needs of the plugin
 * (plugins/account_put.c).
 */
#ifndef PLUGINS_ACCOUNTS_H
#define PLUGINS_ACCOUNTS_H

#include "base/settings.h"
#include "store/store.h"

/* Of which form the names of users are, for people. */
#define ACCOUNTS_NAMES "letters, digits and + . @ _ -, of which the first is a letter or a digit"
bool accounts_valid_name(str name);

/*
 * The account of that name: made, or, when it is there, with that password and no other data, and without
 * the keys that were mailed for it. Its user becomes a writer of it. Takes as long as a hash, and returns
 * when all is durable. SYNTAX: no valid name, or a password that is empty or longer than bcrypt can take,
 * with a detail; what the store answers.
 */
MUST_CHECK enum err accounts_put(struct store_thread *t, const struct settings *s, str name,
                                 str password, struct err_detail *d);

#endif
