/*
 * plugins/outbox.h - mails that must not be lost: they are written into the store, in the
 * transaction that is the reason for them, and sent behind it by a thread of the outbox, which tries
 * again until the mail server has taken them, refuses them for good, or they are too old.
 *
 * A mail is sent at least once: when the mail server's yes does not reach the store (a crash, a full
 * disk) it is sent again later. So that this does not become many, each attempt is written down before
 * it is made.
 */
#ifndef PLUGINS_OUTBOX_H
#define PLUGINS_OUTBOX_H

#include "api/api.h"

struct outbox;

/* By the settings mail.*; belongs to the API from then on. Its thread runs from the start of the API (but
 * not when that only reads) to its stop, and also sends what an earlier run has left. SYNTAX: a setting,
 * with a detail; NOFILES: no file descriptor is left; NOMEM. */
MUST_CHECK enum err outbox_new(struct outbox **out, struct api *a, const struct settings *s,
                               struct err_detail *d);

struct outbox_mail {
    /* UTF-8; a subject is cut at its first line break, and at OUTBOX_MAX_SUBJECT bytes */
    str from, to, subject, body;
    int64_t ttl_ms; /* not sent later than that */
};
#define OUTBOX_MAX_SUBJECT 200
/* In the request's write transaction. AGAIN: too many wait. */
MUST_CHECK enum err outbox_add(struct outbox *o, struct api_req *r, const struct outbox_mail *mail);
/* In the request's write transaction: what waits for that address is not sent any more, unless it is just
 * being sent. */
MUST_CHECK enum err outbox_forget(struct api_req *r, str to);
/* Takes as long as outbox_add(), with the same errors, and sends nothing. */
MUST_CHECK enum err outbox_add_none(struct outbox *o, struct api_req *r);

#endif
