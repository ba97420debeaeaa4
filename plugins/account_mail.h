/*
 * plugins/account_mail.h - accounts that prove by mail that they are somebody's, and new passwords for
 * those who forgot theirs (kinto.account_validation; the reference had both up to version 19).
 *
 *     sign-up          the account is not valid yet ("validated": false) and cannot log in; a key goes
 *                      to the address that is its name
 *     POST /accounts/NAME/validate/KEY          makes it valid; a confirmation goes out
 *     POST /accounts/NAME/reset-password        a password goes out that can do one thing only: set
 *                      another one (PUT, PATCH or POST of the account, with nothing but "password")
 *
 * Keys lie in the store, as hashes, below their account: the list ("account-key", "/accounts/NAME").
 * Each works once, and until it is too old.
 */
#ifndef PLUGINS_ACCOUNT_MAIL_H
#define PLUGINS_ACCOUNT_MAIL_H

#include "api/api.h"

struct account_mail;

/* *out is NULL when kinto.account_validation is off; it is the API's (api_keep). SYNTAX: a setting; NOMEM;
 * NOFILES: no file descriptor is left. */
MUST_CHECK enum err account_mail_new(struct account_mail **out, struct api *a,
                                     const struct settings *s, struct err_detail *d);

/* May an account have that name? (kinto.account_validation.email_regexp) */
MUST_CHECK enum err account_mail_is_address(struct account_mail *m, str name, bool *is);
const char *account_mail_regexp(const struct account_mail *m); /* for messages */

/* What follows from a change of an account: keys are made, mails sent, keys forgotten. `m` may be NULL:
 * keys that an earlier run has made are forgotten all the same. */
enum api_step account_mail_changed(struct account_mail *m, struct api_req *r,
                                   const struct api_change *c);

/* Is the account one that may log in? */
bool account_is_valid(const struct json *account);
/* Before the session: is it the password that was sent by mail, and the request one that it is for? */
MUST_CHECK enum err account_reset_fits(struct api_req *r, str name, str password, bool *fits);

#endif
