/*
 * http/smtp.h - makes mails (RFC 5322, MIME) and hands them to a mail server (RFC 5321).
 *
 *     struct smtp_settings s = {.host = STR("mail.example.com"), .tls = SMTP_STARTTLS,
 *                               .user = ..., .password = ..., .sender = STR("kinto@example.com"),
 *                               .trust = trust};
 *     struct smtp_mail mail = {.to = &address, .nto = 1, .subject = ..., .body = ...};
 *     e = smtp_send(&s, &mail, arena, &detail);
 *
 * Blocks until the server has taken the mail or the time is over; never call from an event loop.
 * OK means that the server has the mail, not that somebody will read it. After TIMEOUT or CLOSED it
 * may have it or not. A mail is for all of its recipients or for none: one that the server refuses
 * ends it.
 *
 * No text given here can add a header, a recipient or a command: addresses are checked, line breaks
 * in names and subjects refused, bodies encoded.
 *
 * Errors; the detail names the server, the step, and what the server said:
 *     SYNTAX       an address, subject or body that no mail can have
 *     AGAIN        the server refuses for now (4yz): the same mail may go through later; or
 *                  http_cancel_now()
 *     REFUSED      the server refuses (5yz)
 *     UNSUPPORTED  the server lacks what the settings ask for (STARTTLS, a way to log in)
 *     LIMIT        more recipients than SMTP_MAX_TO, a body of more than SMTP_MAX_BODY_BYTES, or a
 *                  mail larger than the server takes (SIZE); its answers, or its TLS, are endless;
 *                  there are too many file descriptors
 *     CORRUPT      what answers is not a mail server
 *     NOTFOUND, IO, TIMEOUT, UNTRUSTED, CLOSED, NOMEM   as in http/client.h
 *
 * Threads: any; nothing is kept between two mails.
 */
#ifndef HTTP_SMTP_H
#define HTTP_SMTP_H

#include "http/client.h"

enum smtp_tls {
    SMTP_PLAIN,    /* no TLS: for a server on this machine */
    SMTP_STARTTLS, /* a plain connection becomes TLS before anything is said; never goes on without */
    SMTP_TLS       /* TLS from the first byte (RFC 8314) */
};

/* All is borrowed for the call. Zero or none takes the default in brackets. */
struct smtp_settings {
    str host;
    uint16_t port; /* [25; 465 for SMTP_TLS] */
    enum smtp_tls tls;
    struct http_trust *trust; /* must not be NULL, but for SMTP_PLAIN */
    str user, password;  /* both, or none: no logging in. With SMTP_PLAIN they go in clear text */
    str sender;          /* the address of mails that have none of their own */
    unsigned timeout_ms; /* for all of it [30,000] */
    unsigned connect_timeout_ms;      /* for name, connection and TLS [10,000] */
    const struct http_cancel *cancel; /* [none] */
};

/* Addresses are "user@example.com" or "Name <user@example.com>", in ASCII but for the name. */
struct smtp_mail {
    str from; /* [the settings' sender] */
    const str *to;
    unsigned nto; /* 1 to SMTP_MAX_TO */
    str subject;  /* one line, UTF-8 */
    str body;     /* UTF-8; any line ends */
};

#define SMTP_MAX_TO         100
#define SMTP_MAX_BODY_BYTES (4 * MIB)

/* Can mail be sent with these at all? SYNTAX: no, with what is wrong. Asks nobody. */
MUST_CHECK enum err smtp_check(const struct smtp_settings *s, struct err_detail *d);

/* Whose failure it is: of the settings and the server, so that no mail would go through; or of this
 * mail, which cannot be written, or whose recipients or text the server does not take. */
enum smtp_stage { SMTP_AT_SERVER, SMTP_AT_MAIL };

/* *stage (may be NULL) is set also when all went well. */
MUST_CHECK enum err smtp_send(const struct smtp_settings *s, const struct smtp_mail *mail,
                              struct arena *a, enum smtp_stage *stage, struct err_detail *d);

/*
 * The mail as text: From, To, Subject, Date (now), Message-ID (a new one), MIME-Version,
 * Content-Type text/plain in UTF-8, and the body as quoted-printable or base64, whichever is
 * shorter. Lines end in CR LF and have at most 76 characters, or 998 where an address is long.
 * mail->from must be given. SYNTAX, LIMIT (too many recipients, too large a body), NOMEM.
 */
MUST_CHECK enum err smtp_build(const struct smtp_mail *mail, struct arena *a, str *out,
                               struct err_detail *d);

/* May mail be sent to it? "user@example.com" or with a name, as above. */
bool smtp_address_valid(str address);

#endif
