/*
 * plugins/outbox.h - mails that must not be lost: they are written into the store, in the
 * transaction that is the reason for them, and sent behind it by a thread of the outbox, which tries
 * again until the mail server has taken them, refuses them for good, or they are too old.
 *
 * A mail is sent at least once: after a crash between the mail server's yes and its deletion here it is
 * sent again.
 */
#ifndef PLUGINS_OUTBOX_H
#define PLUGINS_OUTBOX_H

#include "api/api.h"

struct outbox;

/* By the settings mail.*; starts its thread, which also sends what an earlier run has left. SYNTAX: a
 * setting, with a detail; NOMEM, AGAIN (no thread). */
MUST_CHECK enum err outbox_new(struct outbox **out, struct api *a, const struct settings *s,
                               struct err_detail *d);
/* Ends the thread; what is not sent stays for the next run. NULL is fine. */
void outbox_free(struct outbox *o);

struct outbox_mail {
    str from, to, subject, body; /* UTF-8; a subject is cut at its first line break */
    int64_t ttl_ms;              /* not sent later than that; OUTBOX_NEVER: not at all */
};
#define OUTBOX_NEVER INT64_C(-1)
/* In the request's write transaction. */
MUST_CHECK enum err outbox_add(struct outbox *o, struct api_req *r, const struct outbox_mail *mail);
/* In the request's write transaction: what waits for that address is not sent any more, unless it is just
 * being sent. */
MUST_CHECK enum err outbox_forget(struct api_req *r, str to);

#endif
