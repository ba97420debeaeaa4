/*
 * plugins/account.h - what the files of kinto.plugins.accounts share.
 *
 *     accounts.c          /accounts: the kind of objects, and what the plugin adds to the API
 *     account_policy.c    the policy: whose name and password are these?
 *     account_put.c       accounts without a server (plugins/accounts.h, for cli/)
 *     account_mail.c      accounts that prove an address (plugins/account_mail.h)
 */
#ifndef PLUGINS_ACCOUNT_H
#define PLUGINS_ACCOUNT_H

#include "store/store.h"

#define ACCOUNT_PREFIX STR("account:") /* of principals, whatever the policy is called */

extern const struct store_list_id account_list; /* of all accounts */
/* "/accounts/NAME", in the arena; none: NOMEM. What lies below are the keys that were mailed. */
str account_uri(struct arena *a, str name);

#endif
