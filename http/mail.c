/*
 * http/mail.c - what a mail looks like: addresses, header lines, the encodings of names, subjects and
 * bodies (RFC 5322, 2045, 2047).
 *
 * Nothing but what is made here gets into a mail: control characters are refused in everything that
 * becomes part of a header, and a body is encoded whatever it holds. So no text can end a line, and
 * what is sent is ASCII, in lines that every server takes.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "base/rand.h"
#include "http/outbound.h"
#include "http/smtp.h"

#define LINE 76 /* characters of an encoded line (RFC 2045, 6.7 and 6.8) */
#define WORD_BYTES                                                                                 \
    36 /* of an encoded word: with "Subject: " before it, a line is no longer than LINE */
#define PLAIN_TEXT    60 /* longer texts are encoded for the sake of their line breaks */
#define MAX_LOCAL     64 /* RFC 5321, 4.5.3.1 */
#define MAX_ADDRESS   254
#define MAX_DOMAIN    253
#define MAX_LABEL     63
#define MAX_TEXT      1000 /* bytes of a name or a subject */
#define MAX_MAIL      (32 * MIB)
#define CONTENT_LINES "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"

/* ---- addresses ------------------------------------------------------------------------------- */

static bool is_atom_char(char c) /* RFC 5322, 3.2.3 */
{
    return str_is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool local_part_valid(str local)
{
    str rest = local;

    if (local.n == 0 || local.n > MAX_LOCAL)
        return false;
    while (!str_none(rest)) {
        str atom = str_cut(&rest, '.');
        if (atom.n == 0)
            return false;
        for (size_t i = 0; i < atom.n; i++)
            if (!is_atom_char(atom.p[i]))
                return false;
    }
    return true;
}

static bool label_valid(str label)
{
    if (label.n == 0 || label.n > MAX_LABEL || label.p[0] == '-' || label.p[label.n - 1] == '-')
        return false;
    for (size_t i = 0; i < label.n; i++)
        if (!str_is_letter(label.p[i]) && !str_is_digit(label.p[i]) && label.p[i] != '-')
            return false;
    return true;
}

/* Stricter than names that can be looked up (net_host_is_name): RFC 5321, 2.3.5, which mail servers insist
 * on. */
bool mail_domain_valid(str domain)
{
    if (domain.n == 0 || domain.n > MAX_DOMAIN)
        return false;
    while (!str_none(domain))
        if (!label_valid(str_cut(&domain, '.')))
            return false;
    return true;
}

static bool address_valid(str address)
{
    str domain = address;
    str local = str_cut(&domain, '@');

    return address.n <= MAX_ADDRESS && local_part_valid(local) && !str_none(domain) &&
           mail_domain_valid(domain);
}

/* Text that may stand in a header once it is encoded. */
static bool text_valid(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return s.n <= MAX_TEXT && str_utf8_valid(s);
}

/* A name as it is meant, without its quotes; none in it that would have to be escaped. */
static bool take_name(str text, str *name)
{
    text = str_trim(text);
    if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"')
        text = str_sub(text, 1, text.n - 2);
    *name = text.n > 0 ? text : STR_NONE;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '\0' || strchr("\"\\<>", text.p[i]) != NULL)
            return false;
    return text_valid(text);
}

enum err mail_address(str mailbox, str *name, str *address, struct err_detail *d)
{
    str found_name = STR_NONE, found = str_trim(mailbox);
    bool ok = true;

    if (str_ends(found, STR(">"))) {
        size_t open = found.n - 1;
        while (open > 0 && found.p[open] != '<')
            open--;
        ok = found.p[open] == '<' && take_name(str_sub(found, 0, open), &found_name);
        found = str_sub(found, open + 1, found.n - open - 2);
    }
    if (!ok || !address_valid(found))
        return err_set(d, ERR_SYNTAX, 0, "not an address that mail can be sent to");
    *name = found_name;
    *address = found;
    return OK;
}

bool smtp_address_valid(str address)
{
    str name, bare;

    return mail_address(address, &name, &bare, NULL) == OK;
}

/* ---- header lines ---------------------------------------------------------------------------- */

static bool is_plain(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return s.n <= PLAIN_TEXT && str_find_str(s, STR("=?")) == STR_NPOS;
}

/* How many of the first bytes fit a word without cutting a character in two. */
static size_t word_bytes(str s)
{
    size_t n = MIN_OF(s.n, (size_t)WORD_BYTES);

    while (n > 1 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* Encoded words (RFC 2047), each on a line of its own but the first. */
static void add_encoded(struct buf *b, str s)
{
    for (bool first = true; s.n > 0; first = false) {
        size_t n = word_bytes(s);
        str coded = hash_base64_encode(b->arena, str_sub(s, 0, n));

        if (str_none(coded)) {
            b->err = ERR_NOMEM;
            return;
        }
        if (!first)
            buf_add_lit(b, "\r\n ");
        buf_add_lit(b, "=?utf-8?B?");
        buf_add_str(b, coded);
        buf_add_lit(b, "?=");
        s = str_drop(s, n);
    }
}

static enum err add_mailbox(struct buf *b, str mailbox, struct err_detail *d)
{
    str name, address;
    enum err e = mail_address(mailbox, &name, &address, d);

    if (e != OK)
        return e;
    if (str_none(name)) {
        buf_add_str(b, address);
        return OK;
    }
    if (is_plain(name)) {
        buf_add_char(b, '"');
        buf_add_str(b, name);
        buf_add_lit(b, "\"");
    } else {
        add_encoded(b, name);
    }
    buf_add_lit(b, "\r\n <");
    buf_add_str(b, address);
    buf_add_char(b, '>');
    return OK;
}

static enum err add_recipients(struct buf *b, const struct smtp_mail *mail, struct err_detail *d)
{
    buf_add_lit(b, "To: ");
    for (unsigned i = 0; i < mail->nto; i++) {
        enum err e;
        if (i > 0)
            buf_add_lit(b, ",\r\n ");
        e = add_mailbox(b, mail->to[i], d);
        if (e != OK)
            return e;
    }
    buf_add_lit(b, "\r\n");
    return OK;
}

static void add_subject(struct buf *b, str subject)
{
    buf_add_lit(b, "Subject: ");
    if (is_plain(subject))
        buf_add_str(b, subject);
    else
        add_encoded(b, subject);
    buf_add_lit(b, "\r\n");
}

/* "Sun, 06 Nov 1994 08:49:37 +0000": that of HTTP but for the zone. */
static void add_date(struct buf *b)
{
    char date[30];

    clock_http_date(clock_wall_ms() / 1000, date);
    buf_add_lit(b, "Date: ");
    buf_add_str(b, str_sub(str_from(date), 0, sizeof "Sun, 06 Nov 1994 08:49:37" - 1));
    buf_add_lit(b, " +0000\r\n");
}

static void add_message_id(struct buf *b, str from)
{
    char id[37];
    str name, address;

    if (mail_address(from, &name, &address, NULL) != OK)
        return; /* add_mailbox has said so */
    rand_uuid4(id);
    buf_add_lit(b, "Message-ID: <");
    buf_add_str(b, str_from(id));
    buf_add_str(b, str_drop(address, str_find(address, '@')));
    buf_add_lit(b, ">\r\n");
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* All line ends as CR LF, and one at the end. */
static void add_lines(struct buf *b, str body)
{
    for (size_t i = 0; i < body.n; i++) {
        if (body.p[i] != '\r' && body.p[i] != '\n') {
            buf_add_char(b, body.p[i]);
            continue;
        }
        if (body.p[i] == '\r' && i + 1 < body.n && body.p[i + 1] == '\n')
            i++;
        buf_add_lit(b, "\r\n");
    }
    if (body.n > 0 && !str_ends(buf_str(b), STR("\r\n")))
        buf_add_lit(b, "\r\n");
}

/* A line without its CR LF as quoted-printable (RFC 2045, 6.7). */
static void add_quoted_line(struct buf *b, str line)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t column = 0;

    for (size_t i = 0; i < line.n; i++) {
        unsigned char c = (unsigned char)line.p[i];
        bool blank = c == ' ' || c == '\t', last = i + 1 == line.n;
        bool plain = (c > 0x20 && c < 0x7f && c != '=') || (blank && !last);
        size_t n = plain ? 1 : 3;

        if (column + n > LINE - (last ? 0 : 1)) { /* room for the "=" of the next break */
            buf_add_lit(b, "=\r\n");
            column = 0;
        }
        if (plain)
            buf_add_char(b, (char)c);
        else
            buf_add(b, (char[]){'=', digits[c >> 4], digits[c & 15]}, 3);
        column += n;
    }
    buf_add_lit(b, "\r\n");
}

static void add_quoted(struct buf *b, str lines)
{
    while (lines.n > 0) {
        size_t lf = str_find(lines, '\n'); /* there is one, and a CR before it: add_lines */
        add_quoted_line(b, str_sub(lines, 0, lf - 1));
        lines = str_drop(lines, lf + 1);
    }
}

static void add_base64(struct buf *b, str coded)
{
    while (coded.n > 0) {
        buf_add_str(b, str_sub(coded, 0, LINE));
        buf_add_lit(b, "\r\n");
        coded = str_drop(coded, LINE);
    }
}

static void add_body(struct buf *b, str body)
{
    struct buf lines, quoted;
    str coded;

    buf_init_arena(&lines, b->arena, MAX_MAIL);
    add_lines(&lines, body);
    buf_init_arena(&quoted, b->arena, MAX_MAIL);
    add_quoted(&quoted, buf_failed(&lines) ? STR("") : buf_str(&lines));
    coded = hash_base64_encode(b->arena, buf_str(&lines));
    if (buf_failed(&lines) || buf_failed(&quoted) || str_none(coded)) {
        b->err = ERR_NOMEM;
    } else if (quoted.n <= coded.n + coded.n / LINE * 2) {
        buf_add_lit(b, "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        buf_add_str(b, buf_str(&quoted));
    } else {
        buf_add_lit(b, "Content-Transfer-Encoding: base64\r\n\r\n");
        add_base64(b, coded);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum err check(const struct smtp_mail *mail, struct err_detail *d)
{
    if (mail->nto == 0)
        return err_set(d, ERR_SYNTAX, 0, "a mail without a recipient");
    if (mail->nto > SMTP_MAX_TO)
        return err_set(d, ERR_LIMIT, 0, "a mail to more than %d recipients", SMTP_MAX_TO);
    if (mail->body.n > SMTP_MAX_BODY_BYTES)
        return err_set(d, ERR_LIMIT, 0, "a mail of more than %zu bytes", SMTP_MAX_BODY_BYTES);
    if (!text_valid(mail->subject))
        return err_set(d, ERR_SYNTAX, 0,
                       "a mail's subject is not one line of UTF-8 of at most %d bytes", MAX_TEXT);
    if (!str_utf8_valid(mail->body))
        return err_set(d, ERR_SYNTAX, 0, "a mail's body is not UTF-8");
    return OK;
}

enum err smtp_build(const struct smtp_mail *mail, struct arena *a, str *out, struct err_detail *d)
{
    struct buf b;
    enum err e = check(mail, d);

    if (e != OK)
        return e;
    buf_init_arena(&b, a, MAX_MAIL);
    buf_add_lit(&b, "From: ");
    e = add_mailbox(&b, mail->from, d);
    if (e != OK)
        return e;
    buf_add_lit(&b, "\r\n");
    e = add_recipients(&b, mail, d);
    if (e != OK)
        return e;
    add_subject(&b, mail->subject);
    add_date(&b);
    add_message_id(&b, mail->from);
    buf_add_lit(&b, CONTENT_LINES);
    add_body(&b, mail->body);
    if (buf_failed(&b))
        return err_set(d, b.err, 0, "a mail");
    *out = buf_str(&b);
    return OK;
}
